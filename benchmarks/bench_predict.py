"""Latency of one row and time of many."""

import numpy as np

import nnfit

from .brief import values
from .shapes import make_data, shapes_for
from .timing import fit


class Predict:
    params = values(shapes_for("cpu", "classification"))
    param_names = ["shape"]
    device = "cpu"

    def setup(self, name):
        X, y, _, _ = make_data(name)
        self.model = fit(nnfit, name, 1, X, y, device=self.device)
        self.one = X[:1]
        self.many = np.resize(X, (20000, X.shape[1]))
        self.model.predict_proba(self.one)

    def time_one_row(self, name):
        self.model.predict_proba(self.one)

    def time_20000_rows(self, name):
        self.model.predict_proba(self.many)
