"""Numbers as cosines and sines of learnt frequencies, on a GPU.

What this kind and `nnfit.cuda.kinds.pbld` have in common is here and in
`nnfit.cuda.kernels.waves`. Products are those of tiles, column by column:

    find_waves      cosines and sines of all columns
    forward         (batch, waves) (waves, size)    intercept, activation, dropout
    back_to_angles  (batch, size) (size, waves)     times the slopes of the waves
    backward        delivers the gradient by the input
    weights         (waves, batch) (batch, size)

Gradients of shared weights, and of all else, are sums of a lane for each element.
"""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import waves
from nnfit.network.kinds.periodic_embedding import (
    COLUMNS,
    IS_LITE,
    N_FREQUENCIES,
    SIZE,
)

OPERATIONS = ("find_waves", "forward", "back_to_angles", "backward")
GRADIENTS = ("frequencies", "weights", "shared_weights", "intercept")
#: Units are dropped where their outputs are finished.
DROPS = True


def traits(node):
    """Whether columns have weights of their own, or share them."""
    is_shared = node.options[IS_LITE] and len(node.options[COLUMNS]) > 1
    return ("shared",) if is_shared else ("own",)


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, columns = graph.plan, node.options[COLUMNS]
    k, size, n = node.options[N_FREQUENCIES], node.options[SIZE], len(columns)
    row, words = graph.new_row(number, waves.UNITS + n), plan.words
    own = graph.network.tensors_of_nodes[number]
    words[row + waves.N_COLUMNS], words[row + waves.N_WAVES] = n, k
    words[row + waves.N_SIZE], words[row + waves.IS_SHARED] = size, own[-1].rows < n
    words[row + waves.UNITS : row + waves.UNITS + n] = columns
    plan.buffer(row + waves.WAVES, plan.n_rows * n * 2 * k)
    graph.output(number)
    if plan.trains and graph.is_activated(node):
        plan.buffer(row + at.SLOPE, plan.n_rows * words[row + at.STRIDE])
        graph.gradient(number, row + at.SLOPE)
    else:
        graph.gradient(number)
    n_waves = _n_waves(graph, number)
    graph.phase(node, "find_waves", row)
    graph.phase(node, "forward", row, _work(graph, n, size, n_waves))


def _n_waves(graph, number):
    """Lines of a column's weights."""
    row, weights = graph.row_of(number), graph.network.tensors_of_nodes[number][-2]
    is_shared = graph.plan.words[row + waves.IS_SHARED]
    return weights.rows // (1 if is_shared else graph.plan.words[row + waves.N_COLUMNS])


def _work(graph, n_columns, width, depth):
    """That of a product for each column."""
    work = graph.of_tiles(width, depth)
    return work._replace(blocks=work.blocks * n_columns)


def way_back(graph, number, node):
    """Gradients by the angles, and by the inputs if anything learns from it."""
    plan, row = graph.plan, graph.row_of(number)
    n, n_waves = len(node.options[COLUMNS]), _n_waves(graph, number)
    plan.buffer(row + waves.OF_ANGLE, plan.n_rows * n * n_waves)
    work = _work(graph, n, n_waves, node.options[SIZE])
    graph.phase(node, "back_to_angles", row, work)
    if graph.deliver(number, 0):
        graph.phase(node, "backward", row)


def add_units(graph, number, node):
    """All tensors."""
    names = [tensor.name for tensor in graph.network.tensors_of_nodes[number]]
    is_shared = graph.plan.words[graph.row_of(number) + waves.IS_SHARED]
    for tensor, name in enumerate(names):
        if name != "weights":
            graph.add_columns(number, tensor, name)
        elif is_shared:
            graph.add_columns(number, tensor, "shared_weights")
        else:
            graph.add_tiles(number, tensor, name, len(node.options[COLUMNS]))


def make(build, traits):
    """Device functions of `OPERATIONS`."""
    return waves.make(build, has_phases=False)


def make_gradients(build, traits, store):
    """Device functions of `GRADIENTS`."""
    return waves.make_gradients(build, traits, store, has_phases=False)


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
