"""Small networks that are graphs, of every kind of layer there is.

`EXAMPLES` has a layer or more of each kind.
"""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.network import Network
from nnfit.network.kinds import KINDS, Factors, Node, kind_of, lines_of
from nnfit.network.members import Members, member_nodes

TANH, RELU, GELU = (ACTIVATIONS[name] for name in ("tanh", "relu", "gelu"))


def dense(inputs, n_out, activation=None, intercept=True, **others):
    """A dense layer."""
    return Node("dense", inputs, n_out, activation, (intercept,), **others)


def normed(inputs, kind, activation=TANH, **others):
    """A normalised layer, or one of neither mean nor variance."""
    return Node("normalization", inputs, 0, activation, (kind,), **others)


def together(*inputs, **others):
    """Values beside one another."""
    return Node("concatenation", inputs, **others)


def categories(value, width, kinds, size=5, mask=0.0):
    """A layer of codes: "o" for a column that becomes one-hot, "e" for vectors."""
    numbers = range(len(kinds))
    columns = tuple((4 - number) % width for number in numbers)
    n_codes = tuple((3, 40, 5, 2, 9)[number] for number in numbers)
    n_lines = tuple((3, 33, 6, 3, 2)[number] for number in numbers)
    is_one_hot = tuple(kind == "o" for kind in kinds)
    options = columns, n_codes, n_lines, is_one_hot, size, mask
    return Node("category_embedding", (value,), options=options)


#: Kinds whose inputs are codes, by which there is no derivative.
CODED = {"category_embedding"}


def reads_codes(network):
    """Whether a layer reads codes among the features."""
    return any(node.kind in CODED and 0 in node.inputs for node in network.nodes)


def with_codes(network, X, seed=0):
    """X with codes where a layer reads such, some that it does not know."""
    X, rng = X.copy(), np.random.default_rng(seed)
    for node in network.nodes:
        if node.kind in CODED and node.inputs == (0,):
            for column, n_codes in zip(*node.options[:2], strict=True):
                X[:, column] = rng.integers(-1, n_codes + 1, size=len(X))
    return X


def periodic(value, columns, k, size, is_lite=False, activation=RELU):
    """Cosines and sines of some columns, and a layer behind them."""
    options = (columns, k, size, is_lite, 0.3)
    return Node("periodic_embedding", (value,), 0, activation, options)


def pbld(value, columns, k, size):
    """Cosines of some columns, and themselves."""
    return Node("pbld", (value,), options=(columns, k, size, 0.1))


def graph(n_features, *nodes, loss="squared_error", dtype="float64"):
    """A network of nodes."""
    return Network(n_features, nodes, LOSSES[loss], (), dtype)


def binned(kind, value, width, *options, activation=None):
    """A layer that reads bins: of all columns from the last on, one to four bins."""
    columns = tuple(range(width - 1, -1, -1))
    n_bins = tuple(1 + 3 * i % 4 for i in columns)
    return Node(kind, (value,), 0, activation, (columns, n_bins, *options))


def encoded(value, width, *options):
    """An encoding of bins."""
    return binned("piecewise_linear_encoding", value, width, *options)


def embedded(value, width, d, activation=None):
    """An embedding of bins."""
    kind = "piecewise_linear_embedding"
    return binned(kind, value, width, d, activation=activation)


def imputed(value, width):
    """Three columns, one of them twice, and two indicators."""
    options = (width - 1, 0, width - 1), (0, width // 2)
    return Node("imputation", (value,), options=options)


def with_holes(network, X, seed=0):
    """X with NaN here and there if all layers that read it replace it."""
    kinds = {node.kind for node in network.nodes if 0 in node.inputs}
    if kinds != {"imputation"}:
        return X
    holes = np.random.default_rng(seed).uniform(size=X.shape) < 0.3
    return np.where(holes, np.nan, X).astype(X.dtype)


def scaled(value, width):
    """All columns, the first of them once more."""
    return Node("scaling", (value,), options=((*range(width), 0),))


def as_found(tensor, start, rng):
    """An array that data say, such as data might say; `start` where it tells enough."""
    noise = rng.normal(size=tensor.shape)
    if tensor.name == "scaling":
        cuts = np.arange(tensor.columns) % 2 / 3
        return np.stack([0.3 * noise[0], np.exp(0.3 * noise[1]), cuts])
    return {"fills": noise, "values": start + 0.3 * noise}.get(tensor.name, start)


def by_quantiles(value, width):
    """Columns from the last on, of two to five knots."""
    columns = tuple(range(width - 1, -1, -1))
    n_knots = tuple(2 + 3 * i % 4 for i in columns)
    return Node("quantile_scaling", (value,), options=(columns, n_knots))


#: Members of the examples.
MEMBERS = 3


def members(inputs, start="ones", blocks=None, **others):
    """Lines for members, or with their factors."""
    return Node("members", inputs, options=(MEMBERS, start, blocks), **others)


def adapter(inputs, activation=TANH, **others):
    """What members have of their own behind a product."""
    return Node("member_adapter", inputs, 0, activation, (MEMBERS, 5), **others)


def head(inputs, n_out, **others):
    """A dense layer of each member's own."""
    return Node("member_head", inputs, n_out, options=(MEMBERS,), **others)


#: By kind and what is special: a layer that reads a value, of the given width.
EXAMPLES = {
    ("dense", ""): lambda v, width: dense((v,), 7),
    ("dense", "activated"): lambda v, width: dense((v,), 7, GELU),
    ("dense", "without intercept"): lambda v, width: dense((v,), 7, TANH, False),
    ("dense", "from a start"): lambda v, width: dense((v, v), width, TANH),
    ("normalization", "none"): lambda v, width: normed((v,), None),
    ("normalization", "layer"): lambda v, width: normed((v,), "layer"),
    ("normalization", "batch"): lambda v, width: normed((v,), "batch", RELU),
    ("normalization", "linear"): lambda v, width: normed((v,), "batch", None),
    ("concatenation", ""): lambda v, width: together(v, v),
    ("scale", ""): lambda v, width: Node("scale", (v,)),
    ("parametric_activation", ""): lambda v, width: Node(
        "parametric_activation", (v,), activation=GELU
    ),
    ("selection", ""): lambda v, width: Node(
        "selection", (v,), options=((width - 1, 0, width // 2),)
    ),
    ("imputation", ""): lambda v, width: imputed(v, width),
    ("scaling", ""): lambda v, width: scaled(v, width),
    ("quantile_scaling", ""): lambda v, width: by_quantiles(v, width),
    ("piecewise_linear_encoding", ""): lambda v, width: encoded(v, width, 1.0, False),
    ("piecewise_linear_encoding", "after its input"): lambda v, width: encoded(
        v, width, 0.5, True
    ),
    ("piecewise_linear_embedding", ""): lambda v, width: embedded(v, width, 3),
    ("piecewise_linear_embedding", "activated"): lambda v, width: embedded(
        v, width, 2, GELU
    ),
    ("piecewise_linear_embedding", "wide"): lambda v, width: embedded(v, width, 18),
    ("category_embedding", "one-hot"): lambda v, width: categories(v, width, "ooo"),
    ("category_embedding", "vectors"): lambda v, width: categories(v, width, "eee"),
    ("category_embedding", "mixed"): lambda v, width: categories(v, width, "oeoeo"),
    ("category_embedding", "masked"): lambda v, width: categories(
        v, width, "oeoe", mask=0.4
    ),
    ("periodic_embedding", ""): lambda v, width: periodic(
        v, tuple(range(width)), 5, 3, activation=TANH
    ),
    ("periodic_embedding", "wide"): lambda v, width: periodic(v, (0,), 50, 37),
    ("periodic_embedding", "lite"): lambda v, width: periodic(
        v, tuple(range(width)), 4, 2, is_lite=True
    ),
    ("periodic_embedding", "lite of some"): lambda v, width: periodic(
        v, (width - 1, 0, width - 1), 19, 17, is_lite=True, activation=None
    ),
    ("pbld", ""): lambda v, width: pbld(v, tuple(range(width)), 16, 3),
    ("pbld", "of some"): lambda v, width: pbld(v, (width - 1, 0, 0), 3, 20),
    ("ntp", ""): lambda v, width: Node("ntp", (v,)),
    ("members", ""): lambda v, width: members((v,), "normal", (1, width - 1)),
    ("members", "begun"): lambda v, width: members((v,), None),
    ("member_adapter", ""): lambda v, width: adapter((v,), GELU),
    ("member_adapter", "linear"): lambda v, width: adapter((v,), None),
    ("member_head", ""): lambda v, width: head((v,), 2),
    ("views", ""): lambda v, width: Node("views", (v,), options=(0.6,)),
    ("contrast", ""): lambda v, width: Node("contrast", (v,), options=(0.5,)),
    ("gaussian_sampling", ""): lambda v, width: Node("gaussian_sampling", (v, v)),
}
#: Examples that read the lines of members.
OF_MEMBERS = {
    case for case in EXAMPLES if case[0].startswith("member_") or case[1] == "begun"
}
#: Examples that read two lines of a row, and kinds of layers around such.
OF_VIEWS = {("contrast", "")}
OF_PAIRS = {"views", "contrast"}
#: Those that take the statistics of a batch, which lines of members do not have.
OF_BATCHES = {("normalization", "batch"), ("normalization", "linear")}
# A new kind has an example as soon as it has a row.
for _kind in sorted(set(KINDS) - {kind for kind, _ in EXAMPLES}):
    EXAMPLES[_kind, ""] = lambda v, width, kind=_kind: Node(kind, (v,))


def name_of(example):
    """Of a case, for pytest."""
    return "-".join(filter(None, example)) if isinstance(example, tuple) else None


def lines_before(example, value):
    """What makes the lines of a value that a layer reads, if it does: nodes."""
    if example in OF_VIEWS:
        return (Node("views", (value,), options=(0.3,)),)
    return (members((value,)),) * (example in OF_MEMBERS)


def first(example, n_features=5, **options):
    """A layer that reads the features or their members, before a dense one."""
    before = lines_before(example, 0)
    n = len(before)
    nodes = EXAMPLES[example](n, n_features), dense((n + 1,), 3)
    return graph(n_features, *before, *nodes, **options)


def between(example, n_features=5, **options):
    """A layer between two that are dense and the only one that reads the first."""
    before = (dense((0,), 9, TANH), *lines_before(example, 1))
    n = len(before)
    nodes = *before, EXAMPLES[example](n, 9), dense((n + 1,), 2)
    return graph(n_features, *nodes, **options)


def last(example, n_features=5, **options):
    """A layer at the end, where it needs no activation."""
    before = (dense((0,), 4, TANH), *lines_before(example, 1))
    n = len(before)
    node = EXAMPLES[example](n, 4)
    if node.kind != "parametric_activation":
        node = replace(node, activation=None)
    nodes = (node,) if node.activation is None else (node, dense((n + 1,), 2))
    return graph(n_features, *before, *nodes, **options)


PLACES = {"first": first, "between": between, "last": last}


def residual_blocks(kind):
    """Two blocks of two layers each, with a sum of equal widths after each."""
    return (
        dense((0,), 6, intercept=False),  # 1
        normed((1,), kind, dropout=0),
        dense((2,), 5, intercept=False),
        normed((3,), kind, layer=1, dropout=1),
        dense((4, 1), 6, intercept=False, is_hidden=True),  # 5
        normed((5,), kind, layer=1),
        dense((6,), 7, intercept=False, is_hidden=True, layer=1),
        normed((7,), kind, dropout=1),
        dense((8, 5), 6, intercept=False, layer=1),  # 9
        normed((9,), kind),
        dense((10,), 3, layer=2),
    )


def chain(*widths, **structure):
    """Layers of a chain of dense ones."""
    activations = [TANH, GELU, RELU][: len(widths) - 2]
    loss = LOSSES["squared_error"]
    return Network.dense(widths, activations, loss, (), "float64", **structure).layers


def frozen(node):
    """The same layer, which no training changes."""
    return replace(node, is_frozen=True)


def with_factors(nodes):
    """Nodes whose tensors, two each, have factors of their own."""
    return tuple(
        replace(node, factors=FACTORS) if node.kind == "member_adapter" else node
        for node in nodes
    )


FACTORS = Factors(0.3, 2.0, 3.0), Factors(1.7, 0.5, 0.0, is_penalised=True)
#: Of five features.
GRAPHS = {
    "two readers": (
        dense((0,), 6, TANH, dropout=0),
        dense((1,), 4, RELU, layer=1, is_hidden=True),
        dense((1,), 3, GELU, layer=1),
        together(2, 3),
        dense((4,), 3, layer=2),
    ),
    "three readers": (
        dense((0,), 6, TANH, dropout=0),
        dense((1,), 6, GELU, layer=1, dropout=1, is_hidden=True),
        dense((2, 1), 6, TANH, layer=1),
        together(1, 3, 2),
        dense((4,), 3, layer=2),
    ),
    "readers that do not multiply": (
        dense((0,), 6, dropout=0),
        Node("scale", (1,), layer=1),
        normed((1,), "layer", layer=1, dropout=1),
        Node("parametric_activation", (1,), activation=RELU, layer=2),
        together(1, 2, 3, 4, dropout=1),
        dense((5,), 3),
    ),
    "a sum that starts from an earlier value": (
        dense((0,), 6, TANH),
        dense((1,), 4, GELU, dropout=0, is_hidden=True),
        dense((2, 1), 6, RELU, dropout=1),
        dense((3,), 3),
    ),
    "a sum that starts from what it multiplies": (
        dense((0,), 6, TANH, dropout=0),
        dense((1, 1), 6, GELU, is_hidden=True),
        dense((2,), 3),
    ),
    "a sum that starts from the features": (
        dense((0,), 6, TANH),
        dense((1, 0), 5, GELU, dropout=0),
        dense((2,), 3),
    ),
    "a sum whose start is an activation away": (
        dense((0,), 6),
        normed((1,), "batch", dropout=0),
        dense((2,), 6, TANH),
        dense((3, 2), 6),
        dense((4, 1), 6, TANH, dropout=1),
        dense((5, 4), 3 + 3),
        dense((6,), 3),
    ),
    "features beside a hidden layer": (
        dense((0,), 4, TANH, dropout=0),
        together(1, 0),
        dense((2,), 3),
    ),
    "a hidden layer beside features": (
        dense((0,), 4, TANH, dropout=0),
        together(0, 1, dropout=1),
        dense((2,), 3),
    ),
    "concatenations in concatenations": (
        dense((0,), 4, TANH, dropout=0),
        dense((0,), 3, RELU),
        together(1, 2, dropout=1),
        together(3, 2, 1),
        dense((4,), 5, GELU, is_hidden=True),
        together(5, 3, 5),
        dense((6,), 3),
    ),
    "a concatenation at the end": (
        dense((0,), 4, TANH),
        dense((1,), 1),
        dense((1,), 2),
        together(2, 3),
    ),
    "a concatenation whose dropout others do not see": (
        dense((0,), 4, TANH),
        together(1, 0, dropout=0),
        dense((1,), 4, GELU),
        dense((2, 3), 4, TANH),
        dense((4,), 3),
    ),
    "a draw between two networks, and what it is drawn from beside the end": (
        dense((0,), 6, TANH),
        dense((1,), 3, is_hidden=True),
        dense((1,), 3, layer=1),
        Node("gaussian_sampling", (2, 3)),
        dense((4,), 6, RELU, layer=1),
        dense((5,), 4, layer=2),
        together(6, 2, 3),
    ),
    "a chain of scales": (
        Node("scale", (0,), layer=1),
        dense((1,), 6, layer=1),
        Node("parametric_activation", (2,), activation=TANH, dropout=0),
        Node("scale", (3,)),
        Node("scale", (4,), dropout=1),
        dense((5,), 3, layer=2),
    ),
    "normalised features": (
        normed((0,), "batch", None),
        dense((1,), 6, TANH, dropout=0),
        normed((2,), "layer", None),
    ),
    "numbers by bins": (
        Node("selection", (0,), options=((3, 0, 4),)),
        replace(embedded(1, 3, 3, RELU), dropout=0, layer=1),
        encoded(0, 5, 1.0, True),
        together(2, 3),
        dense((4,), 6, TANH, dropout=1),
        replace(embedded(5, 6, 2), layer=None),
        encoded(5, 6, 0.5, False),
        together(6, 7, 5),
        dense((8,), 3, layer=2),
    ),
    "residual blocks": residual_blocks(None),
    "residual blocks, normalised by layers": residual_blocks("layer"),
    "residual blocks, normalised by batches": residual_blocks("batch"),
    "frozen first layers": (
        frozen(replace(embedded(0, 5, 3, RELU), dropout=0)),
        frozen(dense((1,), 6, TANH)),
        frozen(normed((2,), "batch")),
        dense((3,), 4, GELU, layer=1, dropout=1, is_hidden=True),
        dense((4,), 3, layer=2),
    ),
    "frozen embeddings": (
        frozen(pbld(0, (0, 1, 3), 4, 3)),
        frozen(categories(0, 5, "oeo")),
        together(1, 2),
        frozen(Node("scale", (3,))),
        dense((4,), 6, TANH, dropout=0),
        frozen(pbld(5, (0, 2), 3, 2)),
        frozen(Node("parametric_activation", (6,), activation=GELU, dropout=1)),
        dense((7,), 3, layer=1),
    ),
    "frozen layers behind others": (
        dense((0,), 6, TANH, dropout=0),
        frozen(dense((1,), 4, intercept=False, is_hidden=True)),
        frozen(normed((2,), "batch", RELU, dropout=1)),
        frozen(dense((1, 1), 6, TANH)),
        normed((4,), "batch"),
        together(3, 5),
        dense((6,), 3, layer=1),
    ),
    "embedded numbers": (
        replace(pbld(0, (0, 1, 3), 4, 3), dropout=0),
        Node("scale", (1,)),
        Node("ntp", (2,)),
        dense((3,), 6, TANH, dropout=1),
        Node("ntp", (4,), layer=None),
        dense((5,), 3, layer=1),
    ),
    "embeddings of numbers and of a hidden layer": (
        replace(periodic(0, (4, 2), 5, 3, activation=GELU), dropout=0),
        dense((0,), 4, TANH),
        periodic(2, (0, 3, 3), 3, 2, is_lite=True, activation=None),
        replace(pbld(2, (1,), 3, 2), dropout=1),
        together(4, 1, 3, 2),
        dense((5,), 3),
    ),
    "codes beside numbers": (
        categories(0, 5, "oeo", mask=0.3),
        together(1, 0),
        dense((2,), 6, TANH, dropout=0, is_hidden=True),
        dense((3,), 3),
    ),
    "vectors of rates of their own": (
        replace(
            categories(0, 5, "ee"),
            factors=(Factors(), Factors(0.3, 2.0, 3.0)),
            dropout=0,
            layer=1,
        ),
        dense((1,), 6, TANH, layer=0),
        categories(2, 6, "eo", mask=0.2),
        categories(0, 5, "oee", size=2, mask=0.2),
        together(1, 2, 3, 4, dropout=1),
        dense((5,), 3),
    ),
    "factors": (
        Node("scale", (0,), factors=(Factors(8.0),)),
        dense((1,), 6, TANH, factors=FACTORS, layer=1, dropout=0),
        dense((2,), 6, GELU, factors=FACTORS[::-1], layer=1, is_hidden=True),
        normed((3,), "batch", factors=(FACTORS[0], Factors(1.7, 0.0, 3.0))),
        dense((4,), 3, factors=(Factors(decay=3.0), Factors(0.0)), layer=2),
    ),
    "members": member_nodes(chain(5, 7, 6, 3), (), Members(4)),
    "members of a residual network": member_nodes(
        chain(5, 6, 7, 3, normalization="layer", residual=True),
        (),
        Members(3, "first", (2, 3)),
    ),
    "members behind other layers": (
        *(BEFORE := (dense((0,), 4, GELU), together(0, 1))),
        *with_factors(
            member_nodes(chain(9, 6, 6, 3), BEFORE, Members(3, "all", (1,) * 9))[2:]
        ),
    ),
    "members beside members": (
        members((0,), "normal"),
        dense((1,), 6, TANH, dropout=0),
        together(1, 2, dropout=1),
        adapter((3,), layer=1),
        dense((4, 3), 11, GELU, layer=1, is_hidden=True),
        Node("scale", (5,)),
        members((6,), None),
        normed((7,), "layer"),
        together(8, 3),
        head((9,), 3, layer=2),
    ),
    "contrast": (
        dense((0,), 6, TANH, dropout=0),
        Node("views", (1,), options=(0.6,)),
        dense((2,), 7, RELU, layer=1, is_hidden=True, dropout=1),
        dense((3,), 4, layer=1),
        Node("contrast", (4,), options=(0.5,)),
        together(1, 5),
        dense((6,), 3, layer=2),
    ),
}


@st.composite
def graphs(draw):
    """Networks of up to six layers, each read by another one."""
    widths, lines, nodes, unread = [draw(st.integers(1, 20))], [1], [], set()

    def fits(case, value):
        """Whether an example can read a value, by its lines."""
        if case[0] in OF_PAIRS:  # two lines do not join the three of members
            return False
        if case[0] == "gaussian_sampling":  # exponential: codes up to 40 overflow
            return False
        if lines[value] == 1:
            return case not in OF_MEMBERS
        return case not in {("members", ""), *OF_BATCHES}

    def like(value):
        """A value of as many lines."""
        same = [v for v, count in enumerate(lines) if count == lines[value]]
        return draw(st.sampled_from(same))

    for _ in range(draw(st.integers(0, 5))):
        value = draw(st.integers(0, len(nodes)))
        cases = [case for case in EXAMPLES if fits(case, value)]
        node = EXAMPLES[draw(st.sampled_from(cases))](value, widths[value])
        if node.kind == "concatenation":
            node = together(value, like(value))
        elif node.kind == "dense" and draw(st.booleans()):
            start = like(value)
            node = dense((value, start), widths[start], node.activation)
        elif node.kind == "dense" and len(node.inputs) == 1:
            node = replace(node, n_out=draw(st.integers(1, 20)))
        node = replace(
            node,
            dropout=draw(st.sampled_from([None, 0, 1])),
            layer=draw(st.integers(0, 2)),
            is_hidden=draw(st.booleans()),
        )
        unread -= set(node.inputs)
        nodes.append(node)
        unread.add(len(nodes))
        of_inputs = [widths[number] for number in node.inputs]
        widths.append(kind_of(node).width(node, of_inputs))
        lines.append(lines_of(node, [lines[number] for number in node.inputs]))
    if len({lines[value] for value in unread}) > 1:
        for value in [value for value in unread if lines[value] == 1]:
            unread.remove(value)
            nodes.append(members((value,), "normal"))
            unread.add(len(nodes))
    if len(unread) > 1:
        nodes.append(together(*sorted(unread)))
    nodes.append(dense((len(nodes),), draw(st.integers(1, 3))))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return graph(widths[0], *nodes, dtype=dtype)


def sparse_features(X, density=0.3):
    """X with most of its entries 0."""
    keep = np.random.default_rng(0).uniform(size=X.shape) < density
    return np.where(keep, X, 0).astype(X.dtype)
