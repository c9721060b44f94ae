"""Estimators that learn from rows without labels, for others to start from."""
