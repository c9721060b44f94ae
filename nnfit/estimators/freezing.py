"""Layers that are not trained: the parameter ``freeze``."""

from numbers import Integral

import numpy as np

from nnfit.network.parts import with_frozen

BODY = "body"


def frozen_part(estimator, network):
    """The network whose layers that are to stay as they are do so.

    Parameters
    ----------
    estimator : BaseMLP
    network : nnfit.network.Network

    Returns
    -------
    nnfit.network.Network

    Raises
    ------
    ValueError
        If there are no such layers, or if all of them are named.
    """
    if estimator.freeze is None:
        return network
    layers = _numbers(estimator.freeze, network.n_layers)
    if len(layers) == network.n_layers:
        raise ValueError(
            f"freeze must leave a layer to train, got freeze={estimator.freeze!r} for "
            f"a network with {network.n_layers} layers of weights."
        )
    inputs = estimator._standard("inputs")
    return with_frozen(network, layers, 0 if inputs is None else len(inputs[1]))


def _numbers(freeze, n_layers):
    """Layers that a value of the parameter names, from 0, a set."""
    if isinstance(freeze, str):  # "body"
        return set(range(n_layers - 1))
    if isinstance(freeze, Integral):
        if not 0 <= freeze <= n_layers:
            raise ValueError(
                f"freeze must be a number of first layers, 0 to {n_layers - 1} in this "
                f"network, got {freeze!r}."
            )
        return set(range(freeze))
    numbers = np.asarray(freeze)
    known = [*range(1, n_layers + 1), *range(-n_layers, 0)]
    if numbers.ndim != 1 or not np.isin(numbers, known).all():
        raise ValueError(
            f"freeze must list numbers of layers, 1 to {n_layers} or {-n_layers} to -1 "
            f"in this network, got {freeze!r}."
        )
    return {int(number - 1 if number > 0 else number + n_layers) for number in numbers}
