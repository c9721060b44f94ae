"""nnfit and scikit-learn: the same estimators, the same arguments."""

import importlib

from ...timing import fit


class Estimator:
    library = None

    def __init__(self, n_threads):
        self.module = importlib.import_module(self.library)
        self.changes = {"alpha": 0.0}

    def load(self, problem):
        self.problem = problem

    def fit(self, epochs):
        problem = self.problem
        model = fit(
            self.module, problem.name, epochs, problem.X, problem.y, **self.changes
        )
        return list(zip(model.coefs_, model.intercepts_, strict=True))


class Nnfit(Estimator):
    library = "nnfit"

    def __init__(self, n_threads, device="cpu"):
        super().__init__(n_threads)
        self.changes |= {"n_jobs": n_threads, "device": device}


class Sklearn(Estimator):
    """Its threads are those of NumPy's BLAS, which the environment sets."""

    library = "sklearn.neural_network"
