"""The estimators of choice for tables: unlike models that predict together."""
