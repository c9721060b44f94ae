"""Dense layers on the CPU: ``activation(x W + b)``, or ``x W + start``.

The products are those of `nnfit.cpu.kernels.dense`, which has the shapes; of a layer on
the entries of a sparse matrix those of `nnfit.cpu.kernels.sparse`; and for a few rows,
with weights where estimators keep them, those of `nnfit.cpu.kernels.row_major`. They
give the same bits.
"""

from nnfit.cpu import fields as at
from nnfit.cpu.kernels import DENSE, IN_PLACE, SPARSE
from nnfit.network.kinds.dense import has_intercept

#: What compiles its functions.
BUILDER = DENSE
#: Numbers of the layer's row.
Z = at.PRIVATE  # (batch, stride): the product, in the place of slopes or of the output
ACTIVATION = Z + 1  # address of its kernel, 0 for the identity
HAS_INTERCEPT = Z + 2
TRANSPOSED = Z + 3  # address of W transposed in panels, or 0
INPUT_TILES = Z + 4  # the batch's inputs by tiles, (tiles, batch, slot), or 0
GRADIENT_PANELS = Z + 5  # gradient by z, (panels, batch, columns), or 0
END = Z + 6

#: Inputs and units of a layer, and multiplications of the weights' gradient, from which
#: that product reads copies made for it. They are read once a panel or tile and keep
#: the cache's lines whole. With and without them on one thread, AVX-512: 256 rows of
#: 2048 and 2048 16 % less time, of 512 and 512 9, of 256 and 256 2 more, 4096 rows of
#: 256 and 256 8 less, but of 64 and 256 3 more; with AVX2 11, 5, -2 and 7 less.
PACK_SIZE, PACK_FROM = 128, 1 << 26
#: What a weight takes, in rows of the batch whose products take as long: Adam's update
#: (16 to 20, on Emerald Rapids with AVX-512 36) and the copy into the transposed ones
#: (6 to 11). A row of the sum for the intercepts, a tile of one row, takes as long as
#: two of weights.
UPDATE_COST, TRANSPOSE_COST, INTERCEPT_ROWS = 24, 8, 2


#: Whether products read the gradient by the output beyond the units.
reads_padding = True
works_in_parts = True
#: Whether the layer can read the entries of a sparse matrix.
takes_entries = True


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, words = graph.plan, graph.plan.words
    row = graph.new_row(number, END)
    words[row + HAS_INTERCEPT] = has_intercept(node)
    graph.output(number)
    if plan.is_activated(node):
        plan.buffer(row + Z, plan.n_rows * words[row + at.STRIDE])
        plan.activation(row + ACTIVATION, node)
        # Slopes take the place of z, and the gradient by z that of slopes.
        plan.same(row + at.SLOPE, row + Z)
        graph.gradient(number, row + Z)
    else:
        plan.same(row + Z, row + at.OUTPUT)
        graph.gradient(number, graph.freed(number))
    reads_entries = graph.reads_entries(node.inputs[0])
    if plan.in_place:
        name = "forward_entries" if reads_entries else "forward"
        graph.instruct(plan.kernel(IN_PLACE), name, row)
    elif reads_entries:
        graph.instruct(plan.kernel(SPARSE), "forward", row)
    else:
        graph.instruct(plan.kernel_of(node), "forward", row)
    if graph.passes(node.inputs[0]):
        graph.instruct(plan.kernel_of(node), _reserve_tiles(plan, row), row)


def way_back(graph, number, node):
    """Gradient by the inputs, and copies for that of the weights."""
    plan, words = graph.plan, graph.plan.words
    row, kernel = graph.row_of(number), plan.kernel_of(node)
    n_in, n_out = words[row + at.EDGES + at.N_IN], words[row + at.N_OUT]
    if graph.deliver(number, 0, in_tiles=True):
        plan.buffer(row + TRANSPOSED, plan.padded(n_in) * n_out)
        graph.instruct(kernel, "backward", row)
    if len(node.inputs) == 2:
        graph.pass_on(number, 1)
    if graph.reads_entries(node.inputs[0]) and graph.trains_at(number):
        sort_batch = plan.kernel(SPARSE).address("sort_batch")
        plan.program.once(sort_batch, row)
    elif copies_input(graph, number):
        if not words[row + INPUT_TILES]:
            plan.program.rows_last(kernel.address(_reserve_tiles(plan, row)), row)
        plan.buffer(row + GRADIENT_PANELS, words[row + at.WIDTH] * plan.n_rows)
        plan.program.rows_last(kernel.address("pack_gradients"), row)


def copies_input(graph, number):
    """Whether the weights' gradient reads copies of inputs and gradient by z."""
    widths, value = graph.network.widths, graph.network.nodes[number].inputs[0]
    if graph.reads_entries(value) or not graph.trains_at(number):
        return False
    n_in, n_out = widths[value], widths[number + 1]
    size = graph.plan.n_rows * n_in * n_out
    return min(n_in, n_out) >= PACK_SIZE and size >= PACK_FROM


def _reserve_tiles(plan, row):
    """Reserve the copy of the inputs; name of the operation that makes it."""
    tiles = -(-plan.words[row + at.EDGES + at.N_IN] // plan.target.tile_rows)
    slot = plan.target.tile_slot(plan.dtype)
    plan.buffer(row + INPUT_TILES, tiles * plan.n_rows * slot)
    return "pack_inputs"


def add_units(graph, number, node):
    """Strips of the panels of W, and the intercepts."""
    plan, words = graph.plan, graph.plan.words
    row, kernel = graph.row_of(number), plan.kernel_of(node)
    n_in, width = words[row + at.EDGES + at.N_IN], words[row + at.WIDTH]
    panel, strip = plan.target.panel(plan.dtype), plan.target.strip(plan.dtype)
    gradient, per_row = kernel.address("weights_gradient"), 1
    if graph.reads_entries(node.inputs[0]):  # the products of entries are few
        gradient, per_row = plan.kernel(SPARSE).address("weights_gradient"), 0
    fixed, after = UPDATE_COST, 0
    if words[row + TRANSPOSED]:
        fixed, after = UPDATE_COST + TRANSPOSE_COST, kernel.address("transpose")
    for column in range(0, width, panel):
        columns = min(panel, width - column)
        plan.units.begin_group()
        for first in range(0, n_in, strip):
            rows = min(strip, n_in - first)
            graph.add_unit(
                number,
                0,
                gradient,
                after,
                start=column * n_in + first * columns,
                size=rows * columns,
                place=(column, first, rows),
                cost=(per_row, fixed),
            )
    if has_intercept(node):
        gradient = kernel.address("intercept_gradient")
        graph.add_vector(number, 1, gradient, (INTERCEPT_ROWS, UPDATE_COST))
