"""Initial weights.

Numbers of "glorot" are drawn in the order and from the generator scikit-learn uses,
layer by layer, weights before intercepts: the same ``random_state`` gives the same
network in both libraries.

In a residual network every layer with a skip adds its product to what came before.
So that the sum does not grow with the depth, their weights are divided by the root of
their number (Hanin and Rolnick 2018, arXiv:1803.01719; Zhang et al. 2019,
arXiv:1901.09321).
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from nnfit.blas import one_blas_thread
from nnfit.functions.activations import ACTIVATIONS, Activation
from nnfit.functions.losses import LOSSES
from nnfit.functions.normalization import EPSILON
from nnfit.network.description import Network, Weights
from nnfit.network.kinds import Batch, kind_of
from nnfit.network.kinds.normalization import start_of_norms


class Place(NamedTuple):
    """Where weights stand in a network, as far as their distribution depends on it.

    Attributes
    ----------
    n_in, n_out : int
        Rows and columns of the weights, without those of a projection.
    activation : Activation
        Of the layer; for the last layer that of the last hidden one, as scikit-learn
        has it.
    before : Activation or None
        Of the layer before; None for the first layer, which sees the features.
    is_last : bool
    """

    n_in: int
    n_out: int
    activation: Activation
    before: Activation | None
    is_last: bool = False


# Distributions ---------------------------------------------------------------


def glorot_bound(place):
    """Half-width of Glorot and Bengio's uniform distribution (2010, eq. 16).

    scikit-learn takes a third of the variance for logistic units, whose slope at
    zero is 1/4, and draws the intercepts from the same interval.
    """
    factor = 2.0 if place.activation.name == "logistic" else 6.0
    bound = np.sqrt(factor / (place.n_in + place.n_out))
    return bound, bound


def he_bound(place):
    """Half-width of the uniform distribution with He et al.'s variance 2 / n_in.

    Intercepts start at zero, as in the paper (2015, section 2.2).
    """
    return np.sqrt(6.0 / place.n_in), 0.0


def lecun_bound(place):
    """Half-width of the uniform distribution with LeCun et al.'s variance 1 / n_in.

    It keeps the mean square of a signal in linear units (1998, "Efficient BackProp",
    section 4.6). Intercepts start at zero.
    """
    return np.sqrt(3.0 / place.n_in), 0.0


def uniform_bound(place):
    """Half-width of a uniform distribution with the variance 1 / (3 n_in).

    PyTorch's linear layers start so, intercepts too.
    """
    return (1.0 / np.sqrt(place.n_in),) * 2


def _uniform(bounds):
    def draw(place, random_state):
        coef_bound, intercept_bound = bounds(place)
        coef = random_state.uniform(-coef_bound, coef_bound, (place.n_in, place.n_out))
        intercept = random_state.uniform(-intercept_bound, intercept_bound, place.n_out)
        return coef, intercept

    return draw


def orthogonal(place, random_state):
    """Saxe et al.'s random orthogonal matrix (2014, arXiv:1312.6120), times a gain.

    With fewer rows than columns the rows are orthonormal, else the columns. Intercepts
    start at zero.
    """
    shape = max(place.n_in, place.n_out), min(place.n_in, place.n_out)
    with one_blas_thread():
        q, r = np.linalg.qr(random_state.standard_normal(shape))
    # Only with a positive diagonal of R is every orthogonal matrix as likely as any
    # other (Mezzadri 2007, arXiv:math-ph/0609050).
    q *= np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    coef = q if place.n_in >= place.n_out else q.T
    return gain(place.before) * coef, np.zeros(place.n_out)


def normal(place, random_state):
    """A normal distribution with the variance 1 / n_in, of intercepts 1.

    The last layer starts at zero: so does a training whose large rates would else have
    to undo what was drawn (RealMLP-TD-S, Holzmüller et al. 2024, arXiv:2407.04491).
    """
    shape = place.n_in, place.n_out
    if place.is_last:
        return np.zeros(shape), np.zeros(place.n_out)
    coef = random_state.standard_normal(shape) / np.sqrt(place.n_in)
    return coef, random_state.standard_normal(place.n_out)


#: Points and weights of the mean over a normal distribution: an even number, so that
#: none lies on a kink at zero. The last is 7.6; a user's function has been tried to 8.
POINTS, POINT_WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def gain(activation):
    """Factor that makes up for the size a signal loses in an activation.

    With it a normal weighted input of variance 1 has a mean square of 1 behind the
    activation: He's root of 2 for 'relu', 1 for 'selu' and 'identity', 1.59 for
    'tanh'.

    Parameters
    ----------
    activation : Activation or None
        None stands for features.

    Returns
    -------
    float
    """
    if activation is None:
        return 1.0
    squares = [activation.function(float(z))[0] ** 2 for z in POINTS]
    mean = np.average(squares, weights=POINT_WEIGHTS)
    return float(1.0 / np.sqrt(mean)) if mean > 0.0 else 1.0


# name -> function of (place, random_state) that draws weights and intercepts; None
# where they depend on the layers before.
INITIALIZATIONS = {
    "glorot": _uniform(glorot_bound),
    "he": _uniform(he_bound),
    "lecun": _uniform(lecun_bound),
    "uniform": _uniform(uniform_bound),
    "orthogonal": orthogonal,
    "normal": normal,
    "data_driven": None,
}


def initial_weights(
    network, random_state, initialization="glorot", X=None, rows=None, engine=None,
    found=None,
):  # fmt: skip
    """Draw the weights a network starts from.

    Parameters
    ----------
    network : Network
    random_state : numpy.random.RandomState
    initialization : str, default="glorot"
        Key of `INITIALIZATIONS`.
    X : ndarray or CSR matrix of shape (n_samples, n_features), default=None
        Features, of the network's dtype; only "data_driven" needs them.
    rows : ndarray of int64, default=None
        Rows to train on; None for all.
    engine : module or DeviceEngine, default=None
        With ``predict`` and ``activate``; only "data_driven" needs it.
    found : dict, default=None
        Arrays that come from the data, by number of the node and name of the tensor.

    Returns
    -------
    weights : Weights
        Of the network's dtype; drawn in float64 and rounded.
    """
    if not network.layers:
        return _of_graph(network, random_state, initialization, found or {})
    before = network.nodes[: network.n_input_nodes]
    arrays = _of_nodes(network, before, _Draw(None, random_state), found or {})
    others = [array for own in (*arrays, *_of_body(network)) for array in own]
    if initialization == "data_driven":
        X = _sample(X, rows, random_state)
        if arrays:
            X = _after_inputs(network, arrays, X, engine)
        weights = _data_driven(network, random_state, X, engine)
        return weights._replace(others=others)
    draw = INITIALIZATIONS[initialization]
    hidden = [layer.activation for layer in network.layers[:-1]]
    activations = hidden + (hidden[-1:] or [ACTIVATIONS["identity"]])
    coefs, intercepts = [], []
    for layer, activation, before in zip(
        network.layers, activations, [None, *hidden], strict=True
    ):
        is_last = layer is network.layers[-1]
        place = Place(_n_before(layer), layer.n_out, activation, before, is_last)
        coef, intercept = draw(place, random_state)
        if _has_skip(layer):
            coef /= _root_of_branches(network)
        if layer.skip == "projection":
            coef = np.vstack([coef, _draw_projection(layer, random_state)])
        coefs.append(coef.astype(network.dtype, order="C", copy=False))
        intercepts.append(intercept.astype(network.dtype, copy=False))
    norms = [
        start_of_norms(layer.normalization, layer.n_out).astype(network.dtype)
        for layer in network.layers
        if layer.normalization is not None
    ]
    return Weights(coefs, intercepts, norms, others)


def _of_nodes(network, nodes, draw, found):
    """Arrays of each of the first nodes, as their kinds or the data have them."""
    arrays = []
    for number, node in enumerate(nodes):
        widths = [network.widths[value] for value in node.inputs]
        drawn = kind_of(node).initial(node, widths, draw)
        drawn = [
            found.get((number, tensor.name), array)
            for tensor, array in zip(
                network.tensors_of_nodes[number], drawn, strict=True
            )
        ]
        arrays.append([np.ascontiguousarray(each, network.dtype) for each in drawn])
    return arrays


def _of_body(network):
    """Arrays of the nodes of a chain that are none of a plain one's."""
    if network.body is None:
        return []
    arrays = []
    for number in range(network.n_input_nodes, len(network.nodes)):
        node, tensors = network.nodes[number], network.tensors_of_nodes[number]
        if any(tensor.place == "others" for tensor in tensors):
            widths = [network.widths[value] for value in node.inputs]
            own = kind_of(node).initial(node, widths, None)
            arrays.append([array.astype(network.dtype) for array in own])
    return arrays


def _after_inputs(network, arrays, X, engine):
    """What the first layer reads of some rows."""

    def activate(activation, z):
        is_identity = activation in (None, ACTIVATIONS["identity"])
        return z if is_identity else engine.activate(activation, z), None

    values = [X.toarray() if issparse(X) else X]
    with one_blas_thread():
        for node, own in zip(network.nodes, arrays, strict=False):
            inputs = [values[value] for value in node.inputs]
            output, _ = kind_of(node).forward(node, inputs, own, Batch(None, activate))
            values.append(np.ascontiguousarray(output, network.dtype))
    return values[-1]


class _Draw:
    """What kinds of layers draw their initial arrays with."""

    def __init__(self, draw_at, random_state):
        self._draw_at, self.random_state = draw_at, random_state

    def __call__(self, node, n_in):
        """A matrix and intercepts of a dense layer."""
        activation = node.activation or ACTIVATIONS["identity"]
        before = None if 0 in node.inputs else activation
        place = Place(n_in, node.n_out, activation, before)
        return self._draw_at(place, self.random_state)


def _of_graph(network, random_state, initialization, found):
    """`initial_weights` of a network that is no chain, as its kinds of layers say."""
    draw_at = INITIALIZATIONS[initialization]
    if draw_at is None:
        raise ValueError(
            f"initialization={initialization!r} needs a chain of dense layers, got a "
            'graph. Use another, such as "he".'
        )
    draw = _Draw(draw_at, random_state)
    of_nodes = _of_nodes(network, network.nodes, draw, found)
    arrays = [array for own in of_nodes for array in own]
    return network.weights_of(arrays[number] for number in network.tensor_order)


# Residual and normalised layers ----------------------------------------------


def _has_skip(layer):
    return layer.skip in ("identity", "projection")


def _n_before(layer):
    """Units of the layer before, or features."""
    return layer.n_in // 2 if layer.skip == "projection" else layer.n_in


def _root_of_branches(network):
    return np.sqrt(sum(map(_has_skip, network.layers)))


def _draw_projection(layer, random_state):
    """Weights of variance 1 / n_in, which keep the mean square of a weighted input."""
    n_in = _n_before(layer)
    bound = np.sqrt(3.0 / n_in)
    return random_state.uniform(-bound, bound, (n_in, layer.n_out))


# Data-driven weights ---------------------------------------------------------

#: Training rows that "data_driven" looks at, which determine a standard deviation to
#: less than 1 %.
SAMPLE = 10_000
#: Rows whose mean is a unit's kink, the five of "he+5".
ROWS_OF_A_KINK = 5


def _data_driven(network, random_state, X, engine):
    """Weights with which the product of every unit has the standard deviation 1.

    As in RealMLP (Holzmüller et al. 2024, arXiv:2407.04491): layer by layer, the
    last one included, weights are drawn from a normal distribution and divided by
    the standard deviation of the unit's product with the training rows. Intercepts
    put the unit's kink at a random mean of five rows ("he+5", after Steinwart 2019,
    arXiv:1903.11482). Normalised units start with an intercept of 0 as always, and
    batch normalisation with mean and variance of the rows.

    All rows count once, whatever their weights.
    """
    dtype, root = network.dtype, _root_of_branches(network)
    inputs, before, weighted = X, None, None
    coefs, intercepts, norms = [], [], []
    for layer in network.layers:
        if before is not None:
            inputs = _activate(engine, before, weighted, intercepts[-1], norms[-1:])
        n_out = layer.n_out * (2 if _has_pairs(network, layer) else 1)
        coef = random_state.standard_normal((_n_before(layer), n_out))
        coef = coef.astype(dtype, copy=False)
        product = _multiply(engine, inputs, coef)
        scale = _sizes(product, len(coef)) * (root if _has_skip(layer) else 1.0)
        coef /= scale
        product /= scale
        if layer.skip == "identity":
            product += weighted
        elif layer.skip == "projection":
            projection = _draw_projection(layer, random_state).astype(dtype)
            product += _multiply(engine, weighted, projection)
            coef = np.vstack([coef, projection])
        before, weighted = layer, product
        coefs.append(coef)
        if layer.normalization is None:
            intercepts.append(-_mean_of_some_rows(weighted, random_state))
        else:
            intercepts.append(np.zeros(layer.n_out, dtype))
            norm = start_of_norms(layer.normalization, layer.n_out)
            norms.append(norm.astype(dtype))
        if layer.normalization == "batch":
            norms[-1][1] = weighted.mean(axis=0, dtype=np.float64)
            norms[-1][2] = weighted.var(axis=0, dtype=np.float64)
    if _has_pairs(network, network.layers[-1]):
        for arrays in (coefs, intercepts):
            arrays[-1] = np.subtract(*np.split(arrays[-1], 2, axis=-1))
    return Weights(coefs, intercepts, norms)


def _has_pairs(network, layer):
    """Whether each output of a layer starts as the difference of two."""
    body = network.body
    return layer is network.layers[-1] and body is not None and body.has_pairs


def _sample(X, rows, random_state):
    """All rows if they are few, else some, drawn with replacement: no permutation."""
    n_rows = X.shape[0] if rows is None else len(rows)
    if n_rows > SAMPLE:
        chosen = random_state.randint(n_rows, size=SAMPLE)
        return X[np.sort(chosen if rows is None else rows[chosen])]
    return X if rows is None else X[rows]


def _sizes(product, n_in):
    """What each unit's weights are divided by.

    The standard deviation of its product with the rows; where all rows are equal, to
    rounding, the absolute value; the root of n_in where that is 0 or not finite.
    """
    limits = np.finfo(product.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = product.std(axis=0, dtype=np.float64)
        size = np.sqrt(np.square(product, dtype=np.float64).mean(axis=0))
        sizes = np.where(deviation > 8.0 * limits.eps * size, deviation, size)
    usable = np.isfinite(sizes) & (sizes > limits.tiny)
    return np.where(usable, sizes, np.sqrt(n_in))


def _mean_of_some_rows(weighted, random_state):
    """For every unit another mean over five rows, weighted at random."""
    shape = weighted.shape[1], ROWS_OF_A_KINK
    rows = random_state.randint(len(weighted), size=shape)
    shares = random_state.exponential(size=shape)
    shares /= shares.sum(axis=1, keepdims=True)
    values = weighted[rows, np.arange(shape[0])[:, None]]
    return (shares * values).sum(axis=1).astype(weighted.dtype)


def _multiply(engine, inputs, coef):
    """Their product by the engine, whose bits do not depend on a number of threads."""
    weights = Weights([coef], [np.zeros(coef.shape[1], coef.dtype)])
    loss = LOSSES["squared_error"]
    network = Network.dense(coef.shape, (), loss, (), coef.dtype.name)
    return engine.predict(network, weights, inputs, raw=True)


def _activate(engine, layer, weighted, intercept, norms):
    """Outputs of a hidden layer from its weighted inputs."""
    if layer.normalization == "batch":  # scale and intercept are those of the start
        _, mean, variance = norms[0]
        u = (weighted - mean) / np.sqrt(variance + _epsilon(weighted))
    elif layer.normalization == "layer":
        u = weighted - weighted.mean(axis=1, keepdims=True)
        variance = np.square(u).mean(axis=1, keepdims=True)
        u /= np.sqrt(variance + _epsilon(weighted))
    else:
        u = weighted + intercept
    return engine.activate(layer.activation, u)


def _epsilon(values):
    return values.dtype.type(EPSILON)
