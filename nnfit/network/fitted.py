"""What a fitted network is, beside its arrays: a dict of plain values.

Parameters of an estimator may change after a fit, what was fitted does not. Estimators
keep this description, predict by it, and go on training by it only. Sizes are not in
it: the arrays, which users may edit, have them.
"""

import math
import sys
from functools import lru_cache

import numpy as np

from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import find_activation, is_same
from nnfit.functions.losses import LOSSES
from nnfit.network.chain import Body, Inputs
from nnfit.network.description import Network
from nnfit.network.kinds import Factors, Node
from nnfit.network.members import Members

#: Parameters of hidden layers that say which function of its weights a network is.
OF_HIDDEN = ("activation", "normalization", "residual")
#: All such parameters.
ARCHITECTURE = (
    *OF_HIDDEN,
    *("scaling", "numeric_embedding"),
    *("categorical_features", "category_embedding"),
    *("n_shared_members", "member_adapters"),
)
#: Those that predictions with dropout depend on, too.
DROPOUT = ("dropout", "input_dropout")
#: Any loss with the link.
LOSS_OF_LINK = {row.link: row for row in LOSSES.values()}


def describe(value_of, loss, loss_parameters):
    """Take down what predictions depend on.

    Parameters
    ----------
    value_of : callable
        ``value_of(name)`` is the value of a parameter of the estimator.
    loss : Loss
    loss_parameters : tuple of float

    Returns
    -------
    dict
        Of strings, numbers, lists of them and the user's activation functions:
        `ARCHITECTURE` and `DROPOUT` as they were given, and ``"levels"``, those of
        quantiles, which are predicted in increasing order.
    """
    fitted = {name: plain(value_of(name)) for name in ARCHITECTURE + DROPOUT}
    is_sorted = loss.link == "sorted"
    return fitted | {"levels": list(loss_parameters) if is_sorted else []}


def plain(value):
    """A value of a parameter as plain numbers, strings, lists and dicts."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def network_of(fitted, sizes, loss, loss_parameters, dtype):
    """Network of a description.

    Parameters
    ----------
    fitted : dict
        From `describe`.
    sizes : sequence of int
        Number of features, units of every hidden layer, number of outputs.
    loss : Loss
    loss_parameters : tuple of float
    dtype : {"float32", "float64"}

    Returns
    -------
    Network
    """
    return _network(
        tuple(activations(fitted["activation"], len(sizes) - 2)),
        fitted["normalization"],
        bool(fitted["residual"]),
        fitted.get("inputs"),
        fitted.get("members"),
        fitted.get("body"),
        tuple(sizes),
        loss,
        tuple(loss_parameters),
        dtype,
    )


# The same one for the same arguments: engines look it up, a user's function takes a
# check, and a prediction of one row is not to wait for it.
@lru_cache(maxsize=64)
def _network(
    activations, normalization, residual, inputs, members, body, sizes, loss,
    parameters, dtype,
):  # fmt: skip
    different = {id(item): item for item in activations}
    rows = {key: find_activation(item) for key, item in different.items()}
    rows = [rows[id(item)] for item in activations]
    return Network.dense(
        sizes, rows, loss, parameters, dtype, normalization, residual,
        None if inputs is None else inputs_of(inputs),
        None if members is None else Members(*members),
        None if body is None else Body(*body),
    )  # fmt: skip


# Before the first layer ------------------------------------------------------


def plain_inputs(inputs):
    """Take down what stands before the first layer, as tuples of plain values.

    Parameters
    ----------
    inputs : nnfit.network.chain.Inputs
        Whose nodes have the learning rate of the first layer.

    Returns
    -------
    tuple
        Number of features, and of each node kind, inputs, name of the activation or
        None, options, and factors of its arrays.
    """
    return inputs.n_features, tuple(
        (
            node.kind,
            node.inputs,
            None if node.activation is None else node.activation.name,
            node.options,
            tuple(tuple(vars(each).values()) for each in node.factors),
        )
        for node in inputs.nodes
    )


def inputs_of(plain):
    """The inverse of `plain_inputs`."""
    n_features, nodes = plain
    return Inputs(
        n_features,
        tuple(
            Node(
                kind,
                inputs,
                activation=None if activation is None else ACTIVATIONS[activation],
                options=options,
                factors=tuple(Factors(*each) for each in factors),
            )
            for kind, inputs, activation, options, factors in nodes
        ),
    )


def n_features_of(fitted, sizes):
    """Features of a network, whose first layer may read what is made of them.

    Parameters
    ----------
    fitted : dict
    sizes : sequence of int

    Returns
    -------
    int
    """
    inputs = fitted.get("inputs")
    return sizes[0] if inputs is None else inputs[0]


def sizes_of(coefs, members=None):
    """Number of features, or of what is made of them, and of units of every layer.

    Parameters
    ----------
    coefs : list of ndarray
        That the user may have set.
    members : tuple or None, default=None
        As a description has it. The last matrix then holds one of each member, and
        inputs are its columns.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        If they are no matrices.
    """
    shapes = [coef.shape for coef in coefs]
    if not shapes or max(map(len, shapes)) != 2 or min(map(len, shapes)) != 2:
        raise ValueError(
            "coefs_ must be a list of matrices, one for each layer, got the shapes "
            f"{shapes}."
        )
    if members is not None:
        n_rows, n_in = shapes[-1]
        shapes[-1] = n_in, n_rows // members[0]
    return (shapes[0][0], *[shape[1] for shape in shapes])


def network_for(fitted, link, sizes, dtype):
    """`network_of` for predictions, which need no more of a loss than its link."""
    return network_of(fitted, sizes, LOSS_OF_LINK[link], (), dtype)


def activations(activation, n_hidden):
    """One name or function for every hidden layer.

    Parameters
    ----------
    activation : str, callable, or list or tuple of them
    n_hidden : int

    Returns
    -------
    list of str or callable
    """
    if not isinstance(activation, list | tuple):
        return [activation] * n_hidden
    if len(activation) != n_hidden:
        raise ValueError(
            f"activation must be one function or a list of one per hidden layer, "
            f"{n_hidden} here, got {len(activation)}: {activation!r}."
        )
    return list(activation)


def differences(fitted, other, n_hidden):
    """Parameters of `ARCHITECTURE` in which two networks of equal sizes differ.

    Parameters
    ----------
    fitted, other : dict
        From `describe`.
    n_hidden : int
        Number of hidden layers.

    Returns
    -------
    list of str
    """
    pairs = zip(
        *(activations(each["activation"], n_hidden) for each in (fitted, other)),
        strict=True,
    )
    return [
        name
        for name in ARCHITECTURE
        if (
            any(not is_same(*pair) for pair in pairs)
            if name == "activation"
            else (n_hidden or name not in OF_HIDDEN) and fitted[name] != other[name]
        )
    ]


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
        Those of the last layer are float64 if there is a shift, so that the network's
        own follow to the bit.
    """
    if targets is None:
        return weights
    *coefs, coef = weights.coefs
    *intercepts, intercept = weights.intercepts
    coef, intercept = (array.astype(np.float64) for array in (coef, intercept))
    intercept = intercept * targets["scale"] + targets["shift"]
    coefs.append(coef * targets["scale"])
    return weights._replace(coefs=coefs, intercepts=[*intercepts, intercept])


def without_units(weights, targets, dtype):
    """Weights of the network, of its type: the inverse of `in_units`."""
    if targets is None:
        return weights
    *coefs, coef = weights.coefs
    *intercepts, intercept = weights.intercepts
    intercept = (np.asarray(intercept) - targets["shift"]) / targets["scale"]
    coefs.append((np.asarray(coef) / targets["scale"]).astype(dtype))
    intercepts.append(intercept.astype(dtype))
    return weights._replace(coefs=coefs, intercepts=intercepts)


def outputs_in_units(outputs, targets):
    """Outputs of the network as predictions of targets; float64 if there is a shift."""
    if targets is None:
        return outputs
    return outputs.astype(np.float64) * targets["scale"] + targets["shift"]


def within(outputs, bounds):
    """Predictions inside of bounds, "low" and "high" of every output, if there are."""
    if bounds is None:
        return outputs
    return outputs.clip(*(bounds[end].astype(outputs.dtype) for end in ("low", "high")))


def loss_unit(loss, targets, of_slope=False):
    """What a loss of 1 of the network, or its slope, is in the units of the targets."""
    if targets is None:
        return 1.0
    return targets["scale"] ** (loss.power - of_slope)


def loss_in_units(value, unit):
    """A loss of the network in the units of the targets, see `loss_unit`.

    A finite one stays finite: a huge penalty ends at the largest number.
    """
    largest = sys.float_info.max
    return max(-largest, min(value * unit, largest)) if math.isfinite(value) else value
