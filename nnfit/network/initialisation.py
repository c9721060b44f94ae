"""Initial weights.

Numbers are drawn in the order and from the generator scikit-learn uses, layer by
layer, weights before intercepts: the same ``random_state`` gives the same network
in both libraries.
"""

import numpy as np

from nnfit.network.description import Weights


def glorot_bound(layer, scale_activation):
    """Half-width of Glorot and Bengio's uniform distribution (2010, eq. 16).

    scikit-learn takes a third of the variance for logistic units, whose slope at
    zero is 1/4, and draws the intercepts from the same interval.
    """
    factor = 2.0 if scale_activation == "logistic" else 6.0
    bound = np.sqrt(factor / (layer.n_in + layer.n_out))
    return bound, bound


def he_bound(layer, scale_activation):
    """Half-width of the uniform distribution with He et al.'s variance 2 / n_in.

    Intercepts start at zero, as in the paper (2015, section 2.2).
    """
    return np.sqrt(6.0 / layer.n_in), 0.0


# name -> function of (layer, name of the activation) that gives the half-widths of
# the uniform distributions of weights and intercepts
INITIALIZATIONS = {"glorot": glorot_bound, "he": he_bound}


def initial_weights(network, random_state, initialization="glorot"):
    """Draw the weights a network starts from.

    Parameters
    ----------
    network : Network
    random_state : numpy.random.RandomState
        Advanced by one draw per weight and intercept.
    initialization : {"glorot", "he"}, default="glorot"

    Returns
    -------
    weights : Weights
        Of the network's dtype; drawn in float64 and rounded.
    """
    bounds = INITIALIZATIONS[initialization]
    hidden = [layer.activation.name for layer in network.layers[:-1]]
    # The output layer follows the last hidden one, as scikit-learn's does.
    names = hidden + (hidden[-1:] or ["identity"])
    coefs, intercepts = [], []
    for layer, name in zip(network.layers, names, strict=True):
        coef_bound, intercept_bound = bounds(layer, name)
        coef = random_state.uniform(-coef_bound, coef_bound, (layer.n_in, layer.n_out))
        intercept = random_state.uniform(-intercept_bound, intercept_bound, layer.n_out)
        coefs.append(coef.astype(network.dtype, copy=False))
        intercepts.append(intercept.astype(network.dtype, copy=False))
    norms = [_start_of_norm(layer).astype(network.dtype) for layer in network.layers]
    return Weights(coefs, intercepts, [norm for norm in norms if len(norm)])


def _start_of_norm(layer):
    """Scale 1, running mean 0 and running variance 1 of every unit."""
    return np.repeat([[1.0], [0.0], [1.0]], layer.n_out, axis=1)[: layer.n_norms]
