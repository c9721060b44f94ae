"""Which kernels an estimator will need on a GPU, found without data and without a GPU.

A kernel is compiled for a combination of functions, solver and features, see
`nnfit.cuda.kernels.Kind`: all of them together would take days. So it is the estimator
that says which; what only data can tell, how many classes and how large, is answered
by every possibility.
"""

import numpy as np
from sklearn.base import clone, is_classifier

from nnfit.cuda import engine, prediction, tables
from nnfit.cuda.tables import functions_of, kind_of, training_kind
from nnfit.estimators import embeddings
from nnfit.estimators.losses import is_for
from nnfit.estimators.settings import training_settings
from nnfit.estimators.targets import BINARY, MULTICLASS, MULTILABEL

#: Rows enough for any size of a batch.
MANY = 2**40


def kernels_of(estimator, dtype=None):
    """Kernels of fits on dense data, and of predictions.

    Parameters
    ----------
    estimator : BaseMLP
    dtype : {"float32", "float64"}, default=None
        None is that of the estimator.

    Returns
    -------
    kernels : list of tuple
        Fingerprint of the functions of a user, and what `nnfit.cuda.modules.load`
        takes after the device. None of those that cannot be cached.
    """
    estimator._validate_params()
    dtype = dtype or estimator._compute_dtype()
    found = {}
    for network in _networks(estimator, dtype):
        functions = functions_of(network)
        if functions.fingerprint is None:
            continue
        for builder, entry, kind in _kinds(estimator, network, functions):
            text, own = kind.encoded()
            kernel = functions.fingerprint, (builder, *entry, text, *own)
            found[kernel] = None
    return list(found)


def _networks(estimator, dtype):
    """Those that it may train, but for the numbers of inputs and outputs."""
    one = clone(estimator)
    if not is_classifier(one):
        return [_network(one, dtype)]
    networks = []
    for kind in (BINARY, MULTICLASS, MULTILABEL):
        if is_for(one.loss, kind):
            one._target_kind, one.classes_ = kind, np.arange(3)
            networks.append(_network(one, dtype))
    return networks


def _network(estimator, dtype):
    """The network for one feature, a number that is never missing."""
    X, target = np.arange(8.0, dtype=dtype)[:, None], np.zeros((8, 1), dtype)
    estimator.n_features_in_ = 1
    estimator._fitted = {"body": estimator._body(), "targets": None}
    if embeddings.are_wanted(estimator, X):
        embeddings.find(estimator, (X, target[:, 0], target, None, None), None)
    return estimator._describe(1, target, dtype)


def _kinds(estimator, network, functions):
    """Builder, what it takes before the `Kind`, and the `Kind`, of each kernel."""
    solver = estimator._chosen_optimizer()
    settings = training_settings(estimator, network, solver, MANY, 0, False, False)
    features, trained = (
        settings.engine.features(solver),
        settings.engine.trained(network),
    )
    for entry, tile in ("train", tables.SMALL), ("run_operation", tables.LARGE):
        yield (
            engine.BUILDER,
            (entry,),
            training_kind(trained, solver, tile, functions, features, is_sparse=False),
        )
        forward = {"is_sparse": False, "trains": False}
        for link in sorted({"identity", network.loss.link}):
            kind = kind_of(
                network, tile, functions, link=link, gathers=False, **forward
            )
            yield prediction.BUILDER, (), kind
        if settings.keeps_best:
            kind = kind_of(network, tile, functions, loss=functions.loss, **forward)
            yield prediction.BUILDER, (), kind
