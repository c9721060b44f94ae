"""nnfit beside other models on tables: how good, how fast, in how much memory.

Every model gets the same rows of the same splits, as a DataFrame with categories and
missing values, and prepares them as its maker says (`models`). A model fits a table in
a process of its own (`worker`), one after the other (`measure`); what comes out is
added to a file line by line (`records`), from which tables and pictures are made
(`summary`, `report`, `chart`).
"""
