"""Networks a second in searches over small networks."""

import warnings
from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnfit.training.device import resolve

from .brief import few, values
from .population import make_searches, networks_a_second

SEARCHES = make_searches(
    SimpleNamespace(
        candidates=few(30, 4), folds=3, hidden=[32], max_iter=30, jobs=2, device="cuda"
    )
)


class Search:
    params = values(SEARCHES)
    param_names = ["search"]
    timeout = 120

    def setup(self, name):
        self.search = SEARCHES[name]()
        if self.search.estimator.device != "cpu" and resolve("auto") == "cpu":
            raise NotImplementedError  # no GPU; asv skips it
        X, self.y = load_digits(return_X_y=True)
        self.X = (X / 16).astype(np.float32)
        self.track_networks(name)  # compiles, or loads

    def track_networks(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return networks_a_second(self.search, self.X, self.y)

    track_networks.unit = "networks/s"
