"""Tables of users, whoever made them: what their columns hold, and codes of categories.

None of the libraries that make tables is imported: who passes a table has loaded its
library before.
"""
