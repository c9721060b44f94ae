"""What a fitted network is, beside its arrays: a dict of plain values.

Parameters of an estimator may change after a fit, what was fitted does not. Estimators
keep this description, predict by it, and go on training by it only. Sizes are not in
it: the arrays, which users may edit, have them.
"""

from functools import lru_cache

import numpy as np

from nnfit.functions.custom import find_activation, fingerprint
from nnfit.functions.losses import LOSSES
from nnfit.network.description import Network, Weights


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


# Units of the targets --------------------------------------------------------


def in_units(weights, targets):
    """Weights as estimators keep them: they tell the function from features to targets.

    Parameters
    ----------
    weights : Weights
        Of the network.
    targets : dict or None
        What targets have been shifted by, for every output or one number for all, and
        then divided by: "shift" and "scale". None stands for neither.

    Returns
    -------
    Weights
        Of which the last layer's are float64 if there is a shift, which tell those of
        the network to the bit.
    """
    if targets is None:
        return weights
    *coefs, coef = weights.coefs
    *intercepts, intercept = weights.intercepts
    coef, intercept = (array.astype(np.float64) for array in (coef, intercept))
    intercept = intercept * targets["scale"] + targets["shift"]
    coefs.append(coef * targets["scale"])
    return Weights(coefs, [*intercepts, intercept], weights.norms)


def without_units(weights, targets, dtype):
    """Weights of the network, of its type: the inverse of `in_units`."""
    if targets is None:
        return weights
    *coefs, coef = weights.coefs
    *intercepts, intercept = weights.intercepts
    intercept = (np.asarray(intercept) - targets["shift"]) / targets["scale"]
    coefs.append((np.asarray(coef) / targets["scale"]).astype(dtype))
    return Weights(coefs, [*intercepts, intercept.astype(dtype)], weights.norms)


def outputs_in_units(outputs, targets):
    """Outputs of the network as predictions of targets; float64 if there is a shift."""
    if targets is None:
        return outputs
    return outputs.astype(np.float64) * targets["scale"] + targets["shift"]


def loss_unit(loss, targets, of_slope=False):
    """What a loss of 1 of the network, or its slope, is in the units of the targets."""
    if targets is None:
        return 1.0
    return targets["scale"] ** (loss.power - of_slope)
