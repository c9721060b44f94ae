"""Networks a second in searches over small networks."""

import warnings
from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from .population import make_searches, networks_a_second

OPTIONS = dict(candidates=30, folds=3, hidden=[32], max_iter=30, jobs=2)


class Search:
    params = [
        ["GridSearchCV", "PopulationSearchCV"],
        [1, 2, None],
        ["cpu", "cuda"],
    ]
    param_names = ["search", "n_jobs", "device"]
    timeout = 120

    def setup(self, kind, n_jobs, device):
        options = SimpleNamespace(**OPTIONS, device=device)
        X, y = load_digits(return_X_y=True)
        self.X, self.y = (X / 16).astype(np.float32), y
        self.make = make_searches(options).get(f"{kind}, {device}, n_jobs={n_jobs}")
        if self.make is None:  # that combination says nothing new
            raise NotImplementedError
        if device != "cpu":
            from nnfit.training.device import resolve

            if resolve("auto") == "cpu":
                raise NotImplementedError
        self.run()  # compiles, or loads

    def run(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return networks_a_second(self.make(), self.X, self.y)

    def track_networks(self, *names):
        return self.run()

    track_networks.unit = "networks/s"
