"""Tables of users, whoever made them: what they hold, codes of categories, and splits.

None of the libraries that make tables is imported: who passes a table has loaded its
library before.
"""
