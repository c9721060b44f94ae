"""Networks of other libraries as estimators, and back."""
