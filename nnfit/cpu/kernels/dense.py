"""Dense layers: forward, backward, and the gradient of one strip of weights.

Shapes of a layer with `n_in` inputs and `n_out` units, for a block of rows:

    input   (rows, n_in)           stride of its own
    W       panels of `panel` columns, (n_in, panel) each; the last may be one
            vector wide: unit stride for the tile, and a strip of a panel is one
            contiguous piece of parameters, gradient and optimizer state
    z       (rows, width)          width = n_out padded to vectors
    output  (rows, width)          the activation
    slope   (rows, width)          d activation / d z, in the place of z
    W^T     panels of rows of W, for the way back

Padded columns of W and intercepts are zero and stay zero: so are their gradients.
"""

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper, scalar_type
from nnfit.cpu.kernels.operations import batch_of, edge_of, exports, tensor_of
from nnfit.cpu.kernels.pointers import (
    caller,
    make_copy,
    make_stack_array,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.tile import make_panel_tile, make_tile
from nnfit.cpu.kernels.transposition import make_transpose_block
from nnfit.cpu.kinds import dense as own

#: Rows of the batch that a gradient tile sums before the next tile begins: a panel
#: of 256 rows and 64 bytes is half of the first-level cache.
SUM_BLOCK = 256


def build(target, dtype):
    """Kernel of dense layers.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of `forward`, `backward`, `pack_inputs`, `pack_gradients`, and for units
        `weights_gradient`, `intercept_gradient` and `transpose`.
    """
    product = make_product(target, dtype)
    activate = make_activate(dtype)
    backward = make_backward(target, dtype)
    packs = make_packs(target, dtype)
    gradients = make_gradients(target, dtype)
    transpose = make_transpose(target, dtype)

    def forward(table, row, now, begin, count):
        """z = inputs W + start, then output and slope."""
        product(table, row, begin, count)
        activate(row, row[own.ACTIVATION], row[own.Z], row[at.OUTPUT], begin, count)

    return exports(
        dtype,
        operations=(forward, backward, *packs),
        gradients=gradients,
        after=(transpose,),
    )


def make_activate(dtype):
    """Make ``activate(row, address, z, value, begin, count)``, by the function there.

    `z` and `value` are addresses of buffers with the layer's stride; the slopes come in
    the place of z. Nothing is done without a function.
    """
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    call = caller(
        nb.void, pointer, pointer, nb.int64, nb.int64, nb.int64
    )  # z, value, rows, columns, stride

    @helper
    def activate(row, address, z, value, begin, count):
        if address == 0:
            return
        width, stride = row[at.WIDTH], row[at.STRIDE]
        if stride == width:  # one long line
            count, width = 1, count * width
        start = begin * stride
        call(
            address,
            (
                offset(as_floats(z), start),
                offset(as_floats(value), start),
                count,
                width,
                stride,
            ),
        )

    return activate


def make_product(target, dtype):
    """Make ``product(table, row, begin, count)``: z = inputs W + start."""
    as_floats = pointer_from_address(dtype)
    panel, tile = target.panel(dtype), make_panel_tile(target, dtype)
    start_of = make_start(dtype)

    @helper
    def product(table, row, begin, count):
        edge = edge_of(row, 0)
        n_in, width, stride = edge[at.N_IN], row[at.WIDTH], row[at.STRIDE]
        input_stride = edge[at.INPUT_STRIDE]
        inputs = offset(as_floats(edge[at.INPUT]), begin * input_stride)
        weights = as_floats(tensor_of(table, row, 0)[at.ADDRESS])
        z = offset(as_floats(row[own.Z]), begin * stride)
        null = as_floats(0)
        start, start_stride, given = start_of(table, row, begin)
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            tile(
                n_in, count, inputs, input_stride, 1,
                offset(weights, column * n_in), columns, columns,
                offset(z, column), stride,
                offset(start, column) if given else null, start_stride, null, 0,
            )  # fmt: skip

    return product


def make_start(dtype):
    """Make ``start_of(table, row, begin)``: what the sum of a row starts from.

    It returns a pointer, the distance of rows and whether there is anything.
    """
    as_floats = pointer_from_address(dtype)

    @helper
    def start_of(table, row, begin):
        if row[own.HAS_INTERCEPT] != 0:
            return as_floats(tensor_of(table, row, 1)[at.ADDRESS]), 0, True
        edge = edge_of(row, 1)
        stride = edge[at.INPUT_STRIDE]
        start = offset(as_floats(edge[at.INPUT]), begin * stride)
        return start, stride, edge[at.INPUT] != 0

    return start_of


def make_backward(target, dtype):
    """Make ``backward(table, row, now, begin, count)``: gradient by the inputs.

    ``goal = (added + gradient W^T) * slope``, by the edge. What is added and the slopes
    may lie where the goal does.
    """
    as_floats = pointer_from_address(dtype)
    panel, tile = target.panel(dtype), make_panel_tile(target, dtype)

    def backward(table, row, now, begin, count):
        edge = edge_of(row, 0)
        n_out, stride = row[at.N_OUT], row[at.GRADIENT_STRIDE]
        gradient = offset(as_floats(row[at.GRADIENT_BY_OUTPUT]), begin * stride)
        transposed = as_floats(row[own.TRANSPOSED])
        goal_stride, added_stride = edge[at.GOAL_STRIDE], edge[at.ADDED_STRIDE]
        goal = offset(as_floats(edge[at.GOAL]), begin * goal_stride)
        added = offset(as_floats(edge[at.ADDED]), begin * added_stride)
        scale_stride = edge[at.SCALE_STRIDE]
        scale = offset(as_floats(edge[at.SCALE]), begin * scale_stride)
        null = as_floats(0)
        width = edge[at.GOAL_WIDTH]
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            tile(
                n_out, count, gradient, stride, 1,
                offset(transposed, column * n_out), columns, columns,
                offset(goal, column), goal_stride,
                offset(added, column) if edge[at.ADDED] != 0 else null, added_stride,
                offset(scale, column) if edge[at.SCALE] != 0 else null, scale_stride,
            )  # fmt: skip

    return backward


def make_packs(target, dtype):
    """Make `pack_inputs` and `pack_gradients`: a block's copies for strips' products.

    A tile of a strip reads a few columns of many rows. Taken from rows that lie
    kilobytes apart, every step is a cache line of its own (79 % of peak); taken from
    here they are one stream (95 %). Each number is copied once and read once for every
    panel or strip; see `nnfit.cpu.kinds.dense` for when that pays.
    """
    as_floats = pointer_from_address(dtype)
    rows_of_tile, slot = target.tile_rows, target.tile_slot(dtype)
    panel, lanes = target.panel(dtype), target.lanes(dtype)
    copy_slot, copy_panel = make_copy(dtype, slot), make_copy(dtype, panel)
    copy_lanes = make_copy(dtype, lanes)

    def pack_inputs(table, row, now, begin, count):
        edge, batch = edge_of(row, 0), batch_of(now) * row[at.LINES]
        n_in, stride = edge[at.N_IN], edge[at.INPUT_STRIDE]
        inputs = offset(as_floats(edge[at.INPUT]), begin * stride)
        tiles = offset(as_floats(row[own.INPUT_TILES]), begin * slot)
        for first in range(0, n_in, rows_of_tile):
            goal = offset(tiles, first // rows_of_tile * batch * slot)
            for r in range(count):
                copy_slot(offset(goal, r * slot), offset(inputs, r * stride + first))

    def pack_gradients(table, row, now, begin, count):
        batch = batch_of(now) * row[at.LINES]
        width, stride = row[at.WIDTH], row[at.GRADIENT_STRIDE]
        by_z = offset(as_floats(row[at.GRADIENT_BY_OUTPUT]), begin * stride)
        panels = as_floats(row[own.GRADIENT_PANELS])
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            goal = offset(panels, column * batch + begin * columns)
            for r in range(count):
                line = offset(by_z, r * stride + column)
                if columns == panel:
                    copy_panel(offset(goal, r * panel), line)
                else:
                    copy_lanes(offset(goal, r * lanes), line)

    return pack_inputs, pack_gradients


def make_gradient_columns(target, dtype):
    """Make ``gradient_columns(row, batch, column)``: the gradient by z of a panel.

    It returns a pointer to the panel's columns and the distance of its rows.
    """
    as_floats, panel = pointer_from_address(dtype), target.panel(dtype)

    @helper
    def gradient_columns(row, batch, column):
        if row[own.GRADIENT_PANELS] != 0:
            panels = as_floats(row[own.GRADIENT_PANELS])
            columns = min(panel, row[at.WIDTH] - column)
            return offset(panels, column * batch), columns
        gradient = as_floats(row[at.GRADIENT_BY_OUTPUT])
        return offset(gradient, column), row[at.GRADIENT_STRIDE]

    return gradient_columns


def make_gradients(target, dtype):
    """Make ``weights_gradient`` and ``intercept_gradient`` of units.

    That of a strip, inputs[:, first:first+rows]^T gradient[:, column:] over the batch,
    is (rows, columns of the panel) and contiguous; that of intercepts (width,). Its
    tiles have one row, and four vectors where they can: each sum waits for its last
    step, so that four take as long as one. So have those of a single unit.
    """
    as_floats = pointer_from_address(dtype)
    rows_of_tile, slot = target.tile_rows, target.tile_slot(dtype)
    panel = target.panel(dtype)
    tile = make_panel_tile(target, dtype)
    lanes, several = target.lanes(dtype), 4 * target.lanes(dtype)
    sum_lanes = make_tile(target, dtype, 1, 1)
    sum_several = make_tile(target, dtype, 4, 1)
    sums_of_strip = make_stack_array(dtype, target.strip(dtype) + lanes)
    zero = scalar_type(dtype)(0.0)
    gradient_columns = make_gradient_columns(target, dtype)

    @helper
    def sum_line(batch, factor, between, lines, stride, goal, width, adds):
        """goal (width,) = sum of lines times their factors, in whole vectors."""
        null, column = as_floats(0), 0
        while column < width:
            b, c = offset(lines, column), offset(goal, column)
            start = c if adds else null
            if width - column >= several:
                sum_several(
                    batch, 1, factor, 0, between, b, stride, c, 0, start, 0, null, 0
                )
                column += several
            else:
                sum_lanes(
                    batch, 1, factor, 0, between, b, stride, c, 0, start, 0, null, 0
                )
                column += lanes

    @helper
    def gradient_of_one(table, row, unit, batch, goal):
        """The strip of a layer of one unit: a vector is one of inputs, not of units."""
        edge, rows, sums = edge_of(row, 0), unit[at.U_ROWS], sums_of_strip()
        for i in range(rows):
            sums[i] = goal[i * lanes]
        sum_line(
            batch, as_floats(row[at.GRADIENT_BY_OUTPUT]), row[at.GRADIENT_STRIDE],
            offset(as_floats(edge[at.INPUT]), unit[at.U_FIRST]), edge[at.INPUT_STRIDE],
            sums, rows, table[at.ADDS] != 0,
        )  # fmt: skip
        for i in range(rows * lanes):
            goal[i] = zero
        for i in range(rows):
            goal[i * lanes] = sums[i]

    def weights_gradient(table, row, unit, batch, goal):
        if row[at.N_OUT] == 1 and row[own.INPUT_TILES] == 0:
            gradient_of_one(table, row, unit, batch, goal)
            return
        column, first, rows = unit[at.U_COLUMN], unit[at.U_FIRST], unit[at.U_ROWS]
        columns = min(panel, row[at.WIDTH] - column)
        edge = edge_of(row, 0)
        inputs, a_k, together = as_floats(edge[at.INPUT]), edge[at.INPUT_STRIDE], rows
        place = first
        if row[own.INPUT_TILES] != 0:  # each tile of inputs lies by itself
            inputs, a_k, together = as_floats(row[own.INPUT_TILES]), slot, rows_of_tile
            place = first // rows_of_tile * batch * slot
        by_z, b_k = gradient_columns(row, batch, column)
        null, adds = as_floats(0), table[at.ADDS] != 0
        for begin in range(0, batch, SUM_BLOCK):
            count = min(SUM_BLOCK, batch - begin)
            for r in range(0, rows, together):
                tile_place = place + r // rows_of_tile * batch * slot
                c = offset(goal, r * columns)
                tile(
                    count, min(together, rows - r),
                    offset(inputs, tile_place + begin * a_k), 1, a_k,
                    offset(by_z, begin * b_k), columns, b_k,
                    c, columns,
                    c if adds or begin > 0 else null, columns, null, 0,
                )  # fmt: skip

    def intercept_gradient(table, row, unit, batch, goal):
        sum_line(
            batch, as_floats(table[at.ONE]), 0,
            as_floats(row[at.GRADIENT_BY_OUTPUT]), row[at.GRADIENT_STRIDE],
            goal, row[at.WIDTH], table[at.ADDS] != 0,
        )  # fmt: skip

    return weights_gradient, intercept_gradient


def make_transpose(target, dtype):
    """Make ``transpose(table, row, unit)``: copy a strip of W to its place in W^T.

    Block by block; a strip begins with a whole vector of inputs.
    """
    as_floats = pointer_from_address(dtype)
    panel, lanes = target.panel(dtype), target.lanes(dtype)
    transpose_block = make_transpose_block(target, dtype)

    def transpose(table, row, unit):
        if row[own.TRANSPOSED] == 0:
            return
        column, first, rows = unit[at.U_COLUMN], unit[at.U_FIRST], unit[at.U_ROWS]
        n_in, n_out = edge_of(row, 0)[at.N_IN], row[at.N_OUT]
        columns = min(panel, row[at.WIDTH] - column)
        source = as_floats(unit[at.U_ADDRESS])
        input_width = (n_in + lanes - 1) // lanes * lanes
        for begin in range(0, rows, lanes):
            inside = (first + begin) % panel
            of_panel = first + begin - inside
            width = min(panel, input_width - of_panel)
            goal = offset(as_floats(row[own.TRANSPOSED]), of_panel * n_out + inside)
            for j in range(0, min(columns, n_out - column), lanes):
                transpose_block(
                    offset(source, begin * columns + j), columns, rows - begin,
                    offset(goal, (column + j) * width), width, n_out - column - j,
                )  # fmt: skip

    return transpose
