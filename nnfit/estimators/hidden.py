"""What hidden units say of rows: outputs of a layer in the middle of a network."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.overflow import finite_outputs
from nnfit.network.parts import up_to_layer, weights_of_part
from nnfit.numpy_errors import without_numpy_errors


class HiddenFeatures:
    """Part of estimators with networks that gives what hidden units say."""

    _as_mixture: Any
    _check_rows: Any

    @without_numpy_errors
    def hidden_features(self, X: Rows, layer: int = -2) -> FloatArray:
        """Activations of the units of a hidden layer for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        layer : int, default=-2
            Number of the layer, counted as in `n_layers_`: 0 stands for the features,
            1 for the first hidden layer, and -1 for the outputs. The default is the
            last hidden layer.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            Outputs of the layer's activation. An ensemble returns those of its members
            side by side, and a mixture those of its networks. Where members share
            weights (`TabMClassifier`), it is their mean.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid, if there is no such hidden layer, or if float64 does not
            hold the values of a row, which the message names.
        """
        rows, given = self._check_rows(X)
        parts = [
            _of_network(self, member, rows, number)
            for member, number in _members(self, layer)
        ]
        units = parts[0] if len(parts) == 1 else np.hstack(parts)
        return units.astype(np.float64) if given is np.float64 else units


def n_units(estimator, layer):
    """Number of columns that `hidden_features` returns.

    Parameters
    ----------
    estimator : BaseMLP or a mixture
        Fitted.
    layer : int

    Returns
    -------
    int
    """
    members = _members(estimator, layer)
    return sum(member.coefs_[number].shape[1] for member, number in members)


def _members(estimator, layer):
    """The single networks, and in each the number of the layer."""
    members = estimator._as_mixture().networks
    if not members:
        raise ValueError(
            f"This {type(estimator).__name__} predicts by trees alone, which have no "
            "hidden units. Fit it with partner=None."
        )
    return [(each, _number_of(layer, len(each.coefs_) + 1)) for each in members]


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
    if not hasattr(whole, "_run_network"):  # a mixture, whose networks run themselves
        whole = network

    def compute(X, raw):
        described, weights = network._fitted_network(whole._link, X)
        part, tensors = up_to_layer(described, layer)
        weights = weights_of_part(part, tensors, weights)
        return whole._run_network(part, weights, X, raw)

    return finite_outputs(compute, filled(network, rows), True)
