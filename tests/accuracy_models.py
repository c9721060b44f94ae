"""Makers for `benchmarks.accuracy`, as a user would write them."""

from sklearn.dummy import DummyClassifier, DummyRegressor


def constant(task, n_threads, seed):
    """The mean, or the shares of the classes."""
    if task == "regression":
        return DummyRegressor()
    return DummyClassifier(strategy="prior")


def broken(task, n_threads, seed):
    """Fails for regressions."""
    if task == "regression":
        raise RuntimeError("it knows no regression\nand says so at length")
    return DummyClassifier(strategy="uniform", random_state=seed)
