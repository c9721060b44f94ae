"""Tables of users, whoever made them: what columns hold, codes of categories, findings.

None of the libraries that make tables is imported: who passes a table has loaded its
library before.
"""
