"""What an estimator makes of the features before the first layer.

`scaling`, `numeric_embedding`, `categorical_features` and `category_embedding` become
nodes of the network. What they need to know of the data, such as bins and categories,
is found in the training rows of the first call and kept.
"""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from nnfit.estimators.categories import (
    find_categories,
    scaled_indicators,
    with_rate,
)
from nnfit.estimators.columns import category_columns, columns_of, name_of
from nnfit.estimators.losses import listed
from nnfit.estimators.numeric_columns import (
    Numbers,
    TrainingRows,
    are_complete,
    find_numbers,
)
from nnfit.estimators.validation import check_learning_rate_factors, hidden_sizes
from nnfit.functions.activations import ACTIVATIONS
from nnfit.network import fitted
from nnfit.network.bins import find_bins
from nnfit.network.chain import Inputs, all_decay
from nnfit.network.kinds import Factors, Node, kind_of
from nnfit.network.kinds.category_embedding import columns_of as codes_of
from nnfit.network.members import Members


class Option(NamedTuple):
    """What a key of a parameter may be.

    Attributes
    ----------
    default : object
    fits : callable
        Whether a value is allowed.
    expected : str
        The same in words.
    """

    default: object
    fits: object
    expected: str


def _is(kind, value):
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def _count(default):
    fits = lambda value: _is(Integral, value) and value >= 1  # noqa: E731
    return Option(default, fits, "an integer of at least 1")


def _number(default, low=0.0, high=np.inf):
    fits = lambda value: _is(Real, value) and low <= value < high  # noqa: E731
    return Option(default, fits, f"a number in [{low:g}, {high:g})")


def _flag(default):
    return Option(default, lambda value: isinstance(value, bool), "True or False")


ANY = Option(None, lambda value: True, "")
BINS = {
    "n_bins": _count(48),
    "bins": Option("quantile", {"quantile", "tree"}.__contains__, "'quantile', 'tree'"),
}
RATE = {"learning_rate_factor": _number(1.0)}
#: By kind its options; "features" are the columns that it embeds.
NUMERIC = {
    "piecewise_linear": {**BINS, "n_outputs": _count(16), **RATE},
    "piecewise_linear_encoding": {
        **BINS,
        "scale": _number(1.0),
        "keep_input": _flag(False),
    },
    "periodic": {
        "n_frequencies": _count(48),
        "n_outputs": _count(24),
        "sigma": _number(0.01),
        "lite": _flag(False),
        **RATE,
    },
    "pbld": {
        "n_frequencies": _count(16),
        "n_outputs": _count(3),
        "sigma": _number(0.1),
        **RATE,
    },
}
CATEGORY = {
    "max_one_hot": Option(
        8, lambda v: _is(Integral, v) and v >= 0, "an integer of at least 0"
    ),
    "n_outputs": _count(8),
    "mask": _number(0.02, high=1.0),
    **RATE,
}


# Parameters ------------------------------------------------------------------


def are_asked_for(estimator):
    """Whether parameters put anything before the first layer."""
    return (
        estimator.scaling is not None
        or estimator._value("numeric_embedding") is not None
        or estimator.categorical_features is not None
        or estimator._value("n_shared_members") > 1
    )


def are_wanted(estimator, X):
    """Whether anything stands before the first layer; missing numbers want it too."""
    return are_asked_for(estimator) or not are_complete(X)


def check(estimator):
    """Refuse what parameters may not be, before any data are looked at.

    Raises
    ------
    ValueError
        That names the parameter and the key.
    """
    _numeric_options(estimator)
    _category_options(estimator)
    if estimator._value("n_shared_members") > 1:
        _check_members(estimator)
    if estimator.scaling is not None:
        _check_raw(estimator, "scaling", ("input_noise", "input_dropout"))
    if estimator.categorical_features is None:
        if estimator.category_embedding is not None:
            raise ValueError(
                "category_embedding needs categorical_features, the columns of X that "
                f"hold codes, got category_embedding={estimator.category_embedding!r} "
                "and categorical_features=None."
            )
        return
    changes = "mixup", "input_noise", "input_dropout"
    _check_raw(estimator, "categorical_features", changes)


def _check_raw(estimator, parameter, changes):
    """Refuse what changes features before the network takes them."""
    reasons = {
        "scaling": "before they are scaled",
        "categorical_features": "which codes of categories are not for",
    }
    others = {"mixup": "cutmix"}
    for name in changes:
        value = getattr(estimator, name)
        if value != 0:
            raise ValueError(
                f"{name} changes features, {reasons[parameter]}, got {name}={value!r} "
                f"and {parameter}. Set one of the two to its default, or take "
                f"{others.get(name, 'feature_swap')}, which leaves values as they are."
            )


def _check_members(estimator):
    wrong = None
    n_members, adapters = map(estimator._value, ("n_shared_members", "member_adapters"))
    if estimator.normalization == "batch":
        wrong = "normalization='batch'", "normalization='layer' or None"
    elif estimator.initialization == "data_driven":
        wrong = "initialization='data_driven'", "another initialization"
    elif adapters == "all" and estimator.normalization is not None:
        wrong = f"normalization={estimator.normalization!r}", "member_adapters='first'"
    elif adapters == "all" and estimator.residual:
        wrong = "residual=True", "member_adapters='first'"
    if wrong is not None:
        raise ValueError(
            f"n_shared_members={n_members} with member_adapters={adapters!r} cannot "
            f"have {wrong[0]}. Choose {wrong[1]}, or n_members for networks that share "
            "nothing."
        )


def _numeric_options(estimator):
    """Name of the kind, the columns asked for, and its options; None for no kind."""
    name = "numeric_embedding"
    asked = given = estimator._value(name)
    if given is None:
        return None
    given = {"kind": given} if isinstance(given, str) else dict(given)
    kind = given.pop("kind", None)
    if kind not in NUMERIC:
        raise ValueError(
            f"{name} must be None, {listed(NUMERIC)}, or a dict with one of these as "
            f"'kind', got {asked!r}."
        )
    options = _options(f"{name} of the kind {kind!r}", given, NUMERIC[kind])
    return kind, options.pop("features"), options


def _category_options(estimator):
    given = dict(estimator._value("category_embedding") or {})
    if "features" in given:
        raise ValueError(
            "category_embedding takes no 'features': the columns are those of "
            f"categorical_features, got {given!r}."
        )
    return _options("category_embedding", given, CATEGORY)


def _options(name, given, table):
    """All options, those given and the others at their defaults."""
    table = {"features": ANY, **table}
    for key, value in given.items():
        if key not in table:
            raise ValueError(
                f"{name} has the keys {listed(table)}, got {key!r} in {given!r}."
            )
        if not table[key].fits(value):
            raise ValueError(
                f"{name} needs as {key!r} {table[key].expected}, got {value!r}."
            )
    return {key: given.get(key, option.default) for key, option in table.items()}


# What data say ---------------------------------------------------------------


def find(estimator, data, rows):
    """Look at the first training data; sets ``_fitted["inputs"]``.

    Parameters
    ----------
    estimator : BaseMLP
    data : tuple
        X as the network takes it, y, encoded targets, and weights of the score and of
        the loss (or None).
    rows : ndarray of int64 or None
        Rows to train on; None for all.

    Returns
    -------
    dict
        Arrays that belong to the network from the start, by number of the node and name
        of the tensor.
    """
    X, y, target, _, weights = data
    table = TrainingRows(X, rows)
    if rows is not None:
        y, target = y[rows], target[rows]
        weights = None if weights is None else weights[rows]
    categories = category_columns(estimator)
    left = sorted(set(range(X.shape[1])) - set(categories))
    numbers = find_numbers(estimator, X, table, weights, left)
    parts, blocks = [], None
    numeric = _numeric_options(estimator)
    if numeric is not None:
        kind, asked, options = numeric
        columns = left
        if asked is not None:
            columns = columns_of(estimator, asked, "'features' of numeric_embedding")
            _check_numeric(estimator, columns, categories)
        if columns:
            goal = y if estimator._task == "classification" else target
            training = Training(numbers, goal, weights, estimator._task)
            node, arrays, widths = MAKERS[kind](columns, options, training)
            parts.append((_with_decay(estimator, node, numbers.width), arrays))
            blocks = list(widths)
        embedded = {numbers.place(column) for column in columns}
        left = sorted(set(numbers.places) - embedded)
    else:
        left = numbers.places
    if len(left) == numbers.width:
        parts.append((len(numbers.nodes), {}))
    elif left:
        options = (tuple(left),)
        parts.append((Node("selection", (len(numbers.nodes),), options=options), {}))
    before, of_categories = numbers.nodes, []
    if categories:
        of_categories = find_categories(
            estimator, table, categories, _category_options(estimator)
        )
    for node, arrays in of_categories:
        if estimator._scales_indicators and not kind_of(node).n_vectors(node):
            before.append((node, arrays))
            place = len(before)
            node, arrays = scaled_indicators(node, arrays, table, weights, place)
        parts.append((node, arrays))
    if blocks is not None:
        blocks += [1] * len(left)
        blocks += [each.n_out for node, _ in of_categories for each in codes_of(node)]
    n_members, adapters = map(estimator._value, ("n_shared_members", "member_adapters"))
    if n_members > 1:
        blocks = None if blocks is None else tuple(blocks)
        estimator._fitted["members"] = tuple(Members(int(n_members), adapters, blocks))
    return _put_together(estimator, X.shape[1], before, parts)


class Training(NamedTuple):
    """What embeddings of numbers are found from.

    Attributes
    ----------
    numbers : Numbers
    y : ndarray of shape (n,) or (n, n_outputs)
        Classes, or encoded targets.
    weights : ndarray of shape (n,) or None
    task : {"classification", "regression"}
    """

    numbers: Numbers
    y: np.ndarray
    weights: np.ndarray | None
    task: str


def _check_numeric(estimator, columns, categories):
    both = sorted(set(columns) & set(categories))
    if both:
        raise ValueError(
            f"{name_of(estimator, both[0])} is in categorical_features and in the "
            "'features' of numeric_embedding. Name it in one of them."
        )


def _put_together(estimator, n_features, before, parts):
    """Nodes of numbers one after the other, then parts beside one another.

    Parameters
    ----------
    estimator : BaseMLP
    n_features : int
    before, parts : list
        Of nodes and their arrays by name. A number among the parts is a value.
    """
    nodes, found, values = [], {}, []
    for node, arrays in (*before, *parts):
        found |= {(len(nodes), name): array for name, array in arrays.items()}
        if isinstance(node, Node):
            nodes.append(_decaying(estimator, node, n_features))
            values.append(len(nodes))
        else:
            values.append(node)
    values = tuple(values[len(before) :])
    if len(values) > 1:
        nodes.append(Node("concatenation", values))
    inputs = Inputs(n_features, tuple(nodes))
    estimator._fitted["inputs"] = fitted.plain_inputs(inputs) if nodes else None
    return found


def _with_decay(estimator, node, n_in):
    """A node of numbers whose decaying arrays decay by the rate without its factors.

    What a number has beyond a line then shrinks to nothing unless it helps. Penalties
    leave it alone. On kin8nm, a smooth table, an embedding of 16 bins makes the error
    1.060 times as large where nothing decays, and 1.015 times so (one split, four
    networks by the recipe of RealMLP, 32 epochs); on phoneme it is 0.833 and 0.844.
    """
    own = kind_of(node).tensors(node, [n_in])
    factors = list(node.factors or (Factors(),) * len(own))
    of_layers = check_learning_rate_factors(
        estimator.learning_rate_factors, len(hidden_sizes(estimator)) + 1
    )
    for place, tensor in enumerate(own):
        if tensor.is_penalised:
            rate = factors[place].learning_rate * (of_layers or (1.0,))[0]
            decay = 1.0 / rate if rate > 0.0 else 0.0
            factors[place] = replace(factors[place], decay=decay, penalty=0.0)
    return replace(node, factors=tuple(factors))


def _decaying(estimator, node, n_in):
    """A node whose trained arrays all decay, where those of the chain do."""
    if estimator._standard("body") is None:
        return node
    own = kind_of(node).tensors(node, [n_in])
    factors = node.factors or (Factors(),) * len(own)
    return replace(
        node,
        factors=tuple(
            all_decay(each.learning_rate) if tensor.size_trained else each
            for tensor, each in zip(own, factors, strict=True)
        ),
    )


# Numbers ---------------------------------------------------------------------


def _bins(columns, options, training):
    numbers, y, weights, task = training
    values = (numbers.values(column) for column in columns)
    y = y if options["bins"] == "tree" else None
    dtype = numbers.table.dtype
    return find_bins(values, options["n_bins"], weights, dtype, y=y, task=task)


def _node(kind, columns, training, *options, activation=None):
    """A node that reads columns of numbers."""
    numbers = training.numbers
    options = tuple(map(numbers.place, columns)), *options
    return Node(kind, (len(numbers.nodes),), activation=activation, options=options)


def _piecewise_linear(columns, options, training):
    n_bins, bins = _bins(columns, options, training)
    size = int(options["n_outputs"])
    node = _node("piecewise_linear_embedding", columns, training, n_bins, size)
    node = with_rate(node, training.numbers.width, options["learning_rate_factor"])
    return node, {"bins": bins}, [size] * len(columns)


def _piecewise_linear_encoding(columns, options, training):
    n_bins, bins = _bins(columns, options, training)
    keeps = bool(options["keep_input"])
    own = n_bins, float(options["scale"]), keeps
    node = _node("piecewise_linear_encoding", columns, training, *own)
    return node, {"bins": bins}, [n + keeps for n in n_bins]


def _waves(kind, own, columns, options, training, activation=None):
    """`periodic` and `pbld`, whose arrays come from no data."""
    own = (type_(options[name]) for name, type_ in own.items())
    node = _node(kind, columns, training, *own, activation=activation)
    n_in = training.numbers.width
    node = with_rate(node, n_in, options["learning_rate_factor"])
    width = kind_of(node).width(node, [n_in]) // len(columns)
    return node, {}, [width] * len(columns)


#: By kind a function of columns, options and training data: a node, its arrays, and how
#: many numbers become of each column.
MAKERS = {
    "piecewise_linear": _piecewise_linear,
    "piecewise_linear_encoding": _piecewise_linear_encoding,
    "periodic": partial(
        _waves,
        "periodic_embedding",
        {"n_frequencies": int, "n_outputs": int, "lite": bool, "sigma": float},
        activation=ACTIVATIONS["relu"],
    ),
    "pbld": partial(
        _waves, "pbld", {"n_frequencies": int, "n_outputs": int, "sigma": float}
    ),
}
