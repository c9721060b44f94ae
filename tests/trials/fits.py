"""Fits of every kind, small ones, and a digest of all that they have computed."""

import hashlib
import warnings

import numpy as np
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, PopulationSearchCV
from nnfit.estimators.uncertainty import networks
from tests import many_threads  # noqa: F401
from tests.test_threads import CASES, LABELS, WEIGHT, Y
from tests.test_threads import X as DENSE

SPARSE = scipy.sparse.csr_array(np.where(DENSE > 1.5, DENSE, 0))
NETWORKS = {**CASES, "ensemble": MLPClassifier((20,), n_members=3)}
#: Names for `prepare`; rows are dense, sparse and weighted in turn.
FITS = (*NETWORKS, "warm start", "partial_fit", "search")


def prepare(name, n_jobs=1, epochs=6):
    """What is to be fitted, and how.

    Parameters
    ----------
    name : str
        One of `FITS`.
    n_jobs : int, default=1
    epochs : int, default=6

    Returns
    -------
    model : MLPClassifier, MLPRegressor or PopulationSearchCV
    fit : callable
        Fits it; without arguments.
    """
    model = clone(NETWORKS.get(name, NETWORKS["adam"]))
    y = LABELS if isinstance(model, MLPClassifier) else Y
    model.set_params(max_iter=epochs, random_state=3, n_jobs=n_jobs, batch_size=64)
    kind = FITS.index(name) % 3
    rows = (SPARSE if kind == 1 else DENSE, y)
    weight = {"sample_weight": WEIGHT} if kind == 2 else {}
    train, keywords = model.fit, weight
    if name == "search":
        model.set_params(n_jobs=None)
        model = PopulationSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs)
        train = model.fit
    elif name == "partial_fit":
        train, keywords = model.partial_fit, {**weight, "classes": np.unique(y)}
    elif name == "warm start":
        model.set_params(warm_start=True)
    if name in ("warm start", "partial_fit"):
        quietly(lambda: train(*rows, **keywords))
    return model, lambda: quietly(lambda: train(*rows, **keywords))


def quietly(function):
    """Call a function without its warnings that training has not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function()


def fit(name, n_jobs=1, epochs=6):
    """Digest of one of `FITS`."""
    model, train = prepare(name, n_jobs, epochs)
    train()
    return digest(model)


def digest(model):
    """Hash of weights, curves, scores and predictions."""
    found = hashlib.sha256()
    if isinstance(model, PopulationSearchCV):
        found.update(np.array(model.cv_results_["mean_test_score"]).tobytes())
        model = model.best_estimator_
    for network in networks(model):
        for array in (*network.coefs_, *network.intercepts_, *network.norms_):
            found.update(array.tobytes())
        for name, curve in network.history_.items():
            if name != "seconds":
                found.update(np.array(curve).tobytes())
    for X in (DENSE, SPARSE):
        found.update(model.predict(X).tobytes())
    return found.hexdigest()[:16]
