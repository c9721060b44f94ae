"""What hidden units say of rows: outputs of a layer in the middle of a network."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.overflow import finite_outputs
from nnfit.estimators.uncertainty import networks
from nnfit.network.parts import up_to_layer, weights_of_part


def hidden_features(estimator, X, layer):
    """Outputs of a hidden layer of all networks side by side.

    Parameters
    ----------
    estimator : BaseMLP
    X, layer
        See `FittedMLP.hidden_features`.

    Returns
    -------
    ndarray of shape (n_samples, n_units)
    """
    rows, given = estimator._check_rows(X)
    members = networks(estimator)
    number = _number_of(layer, len(members[0].coefs_) + 1)
    parts = [_of_network(estimator, member, rows, number) for member in members]
    units = parts[0] if len(parts) == 1 else np.hstack(parts)
    return units.astype(np.float64) if given is np.float64 else units


def n_units(estimator, layer):
    """Number of columns that `hidden_features` returns.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    layer : int

    Returns
    -------
    int
    """
    members = networks(estimator)
    coefs = members[0].coefs_
    return len(members) * coefs[_number_of(layer, len(coefs) + 1)].shape[1]


def _number_of(layer, n_layers):
    """Number of a hidden layer from 0, as the user counts it.

    Parameters
    ----------
    layer : int
        0 for the features, 1 for the first hidden layer, -1 for the outputs.
    n_layers : int
        All of them, with features and outputs.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such hidden layer.
    """
    check_scalar(layer, "layer", Integral)
    if n_layers == 2:
        raise ValueError(
            "The network has no hidden layer, so that it has no hidden features. Fit "
            "one with hidden_layer_sizes=(100,), for example."
        )
    number = layer + n_layers if layer < 0 else layer
    if not 1 <= number <= n_layers - 2:
        raise ValueError(
            f"layer must be the number of a hidden layer, 1 to {n_layers - 2} or "
            f"{1 - n_layers} to -2 in this network, got {layer!r}."
        )
    return number - 1


def _of_network(whole, network, rows, layer):
    """Outputs of a hidden layer of a single network."""

    def compute(X, raw):
        described, weights = network._fitted_network(whole._link, X)
        part, tensors = up_to_layer(described, layer)
        weights = weights_of_part(part, tensors, weights)
        return whole._run_network(part, weights, X, raw)

    return finite_outputs(compute, filled(network, rows), True)
