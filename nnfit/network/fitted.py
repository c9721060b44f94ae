"""What a fitted network is, beside its arrays: a dict of plain values.

Parameters of an estimator may change after a fit, what was fitted does not. Estimators
keep this description, predict by it, and go on training by it only. Sizes are not in
it: the arrays, which users may edit, have them.
"""

from functools import lru_cache

from nnfit.functions.custom import find_activation, fingerprint
from nnfit.functions.losses import LOSSES
from nnfit.network.description import Network


@lru_cache(maxsize=64)
def network_of(
    sizes, activations, loss, loss_parameters, dtype, normalization, residual
):
    """`Network.dense`; the same one for the same arguments, for engines look it up."""
    return Network.dense(
        sizes, activations, loss, loss_parameters, dtype, normalization, residual
    )


def activation_rows(activations):
    """Rows of names and of users' functions, each of which is checked once."""
    different = {id(item): item for item in activations}
    rows = {key: find_activation(item) for key, item in different.items()}
    return tuple(rows[id(item)] for item in activations)


def describe(network, activations):
    """Describe a network that is to be trained.

    Parameters
    ----------
    network : Network
    activations : list of str or callable
        One for each hidden layer, as the user named them: a function that is decorated
        is pickled, what it decorates is not.

    Returns
    -------
    dict
        Of strings, numbers, lists of them and the user's functions.
    """
    return {
        "activations": [item if callable(item) else str(item) for item in activations],
        "normalization": network.normalization,
        "residual": any(layer.skip is not None for layer in network.layers),
    }


def rebuild(fitted, link, weights, dtype):
    """Network that predicts as the one that was described.

    Parameters
    ----------
    fitted : dict
        From `describe`.
    link : str
        Name of an inverse link.
    weights : Weights
        Whose sizes count.
    dtype : str

    Returns
    -------
    Network
    """
    coefs = weights.coefs
    sizes = (coefs[0].shape[0], *(coef.shape[1] for coef in coefs))
    # Any loss with the link will do: predictions need no more of it.
    loss = next(row for row in LOSSES.values() if row.link == link)
    return network_of(
        sizes,
        activation_rows(fitted["activations"]),
        loss,
        (),
        dtype,
        fitted["normalization"],
        fitted["residual"],
    )


def differences(fitted, other):
    """Names of what differs between two descriptions of networks."""
    return [name for name in fitted if not _is_same(fitted[name], other[name])]


def _is_same(value, other):
    """Equality; functions are equal that have been defined twice."""
    if isinstance(value, list):
        pairs = zip(value, other, strict=False)
        return len(value) == len(other) and all(_is_same(*pair) for pair in pairs)
    if value == other or not (callable(value) and callable(other)):
        return value == other
    prints = [fingerprint(function) for function in (value, other)]
    return prints[0] is not None and prints[0] == prints[1]
