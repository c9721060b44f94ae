"""Dense layers: forward, backward, and the gradient of one strip of weights.

Shapes of a layer with `n_in` inputs and `n_out` units, for a block of rows:

    input   (rows, n_in)           stride of its own
    W       panels of `panel` columns, (n_in, panel) each; the last may be one
            vector wide: unit stride for the tile, and a strip of a panel is one
            contiguous piece of parameters, gradient and optimizer state
    output  (rows, width)          the activation; width = n_out padded to vectors
    slope   (rows, width)          z, then d activation / d z, then d loss / d z
    W^T     panels of rows of W, for the way back

Padded columns of W and biases are zero and stay zero: so are their gradients.

Of a normalised or residual layer z is kept, in a buffer of its own, and what is
activated is computed from it (`nnfit.cpu.kernels.normalization`).
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.pointers import (
    caller,
    make_copy,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.tile import make_panel_tile

Dense = namedtuple(
    "Dense",
    "z_of activate_rows product backward pack_rows gradient_columns "
    "strip_gradient bias_gradient transpose",
)

#: Rows of the batch that a gradient tile sums before the next tile begins: a panel
#: of 256 rows and 64 bytes is half of the first-level cache.
SUM_BLOCK = 256


def make_dense(target, dtype):
    """Build the functions of dense layers for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    dense : Dense
        Helpers for compiled code.
    """
    pointer = pointer_type(dtype)
    as_floats = pointer_from_address(dtype)
    rows_of_tile = target.tile_rows
    panel = target.panel(dtype)
    lanes = target.lanes(dtype)
    slot = target.tile_slot(dtype)
    copy_slot = make_copy(dtype, slot)
    copy_panel = make_copy(dtype, panel)
    copy_lanes = make_copy(dtype, lanes)
    tile = make_panel_tile(target, dtype)
    activate = caller(
        nb.void, pointer, pointer, nb.int64, nb.int64, nb.int64
    )  # z, value, rows, columns, stride

    @helper
    def z_of(layer):
        """Address of the buffer that the product is written to."""
        if layer[at.NORMALISE] != 0:
            return layer[at.Z]
        return layer[at.OUTPUT] if layer[at.ACTIVATION] == 0 else layer[at.SLOPE]

    @helper
    def activate_rows(layer, row, rows):
        """output = activation and slope, of what lies where slopes belong."""
        if layer[at.ACTIVATION] == 0:
            return
        width, stride = layer[at.WIDTH], layer[at.STRIDE]
        z = offset(as_floats(layer[at.SLOPE]), row * stride)
        output = offset(as_floats(layer[at.OUTPUT]), row * stride)
        if stride == width:  # one long line
            rows, width = 1, rows * width
        activate(layer[at.ACTIVATION], (z, output, rows, width, stride))

    @helper
    def product(layer, inputs, input_stride, row, rows):
        """z[row:row+rows] = inputs W + what it starts from."""
        n_in, width, stride = layer[at.N_IN], layer[at.WIDTH], layer[at.STRIDE]
        weights = as_floats(layer[at.WEIGHTS])
        z = offset(as_floats(z_of(layer)), row * stride)
        null = as_floats(0)
        start, start_stride = as_floats(layer[at.BIAS]), 0
        if layer[at.NORMALISE] != 0:
            start, start_stride = null, 0
            if layer[at.START] != 0:
                start_stride = layer[at.START_STRIDE]
                start = offset(as_floats(layer[at.START]), row * start_stride)
        given = layer[at.NORMALISE] == 0 or layer[at.START] != 0
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            for r in range(0, rows, rows_of_tile):
                tile(
                    n_in, min(rows_of_tile, rows - r),
                    offset(inputs, r * input_stride), input_stride, 1,
                    offset(weights, column * n_in), columns, columns,
                    offset(z, r * stride + column), stride,
                    offset(start, r * start_stride + column) if given else null,
                    start_stride, null, 0,
                )  # fmt: skip

    @helper
    def backward(layer, before, row, rows):
        """Gradient by the outputs of the layer `before` from that by z of `layer`.

        Of a plain layer, slope_before[row:row+rows] *= gradient W^T: at once the
        gradient by z, where the slope of an identity is not stored and counts as one.
        """
        n_out, stride = layer[at.N_OUT], layer[at.STRIDE]
        gradient = offset(as_floats(layer[at.GRADIENT_BY_Z]), row * stride)
        transposed = as_floats(layer[at.TRANSPOSED])
        width, stride_before = before[at.RESULT_WIDTH], before[at.RESULT_STRIDE]
        result = offset(as_floats(before[at.RESULT]), row * stride_before)
        null = as_floats(0)
        scaled = before[at.ACTIVATION] != 0 and before[at.NORMALISE] == 0
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            for r in range(0, rows, rows_of_tile):
                c = offset(result, r * stride_before + column)
                tile(
                    n_out, min(rows_of_tile, rows - r),
                    offset(gradient, r * stride), stride, 1,
                    offset(transposed, column * n_out), columns, columns,
                    c, stride_before,
                    null, 0, c if scaled else null, stride_before,
                )  # fmt: skip

    @helper
    def pack_rows(layer, batch, row, rows):
        """Lay inputs and gradients of a block of rows out for the strips.

        A tile of a strip reads a few columns of many rows. Taken from rows that
        lie kilobytes apart, every step is a cache line of its own (79 % of peak);
        taken from here they are one stream (95 %). Each number is copied once
        and read once for every panel or strip; see `Engine` for when that pays.
        """
        if layer[at.INPUT_TILES] != 0:
            pack_inputs(layer, batch, row, rows)
        if layer[at.GRADIENT_PANELS] != 0:
            pack_gradients(layer, batch, row, rows)

    @helper
    def pack_inputs(layer, batch, row, rows):
        n_in, stride = layer[at.N_IN], layer[at.INPUT_STRIDE]
        inputs = offset(as_floats(layer[at.INPUT]), row * stride)
        tiles = offset(as_floats(layer[at.INPUT_TILES]), row * slot)
        for first in range(0, n_in, rows_of_tile):
            goal = offset(tiles, first // rows_of_tile * batch * slot)
            for r in range(rows):
                copy_slot(offset(goal, r * slot), offset(inputs, r * stride + first))

    @helper
    def pack_gradients(layer, batch, row, rows):
        width, stride = layer[at.WIDTH], layer[at.STRIDE]
        by_z = offset(as_floats(layer[at.GRADIENT_BY_Z]), row * stride)
        panels = as_floats(layer[at.GRADIENT_PANELS])
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            goal = offset(panels, column * batch + row * columns)
            for r in range(rows):
                line = offset(by_z, r * stride + column)
                if columns == panel:
                    copy_panel(offset(goal, r * panel), line)
                else:
                    copy_lanes(offset(goal, r * lanes), line)

    @helper
    def gradient_columns(layer, batch, column):
        """The gradient by z of a panel's columns, and the distance of its rows."""
        if layer[at.GRADIENT_PANELS] != 0:
            panels = as_floats(layer[at.GRADIENT_PANELS])
            columns = min(panel, layer[at.WIDTH] - column)
            return offset(panels, column * batch), columns
        return offset(as_floats(layer[at.GRADIENT_BY_Z]), column), layer[at.STRIDE]

    @helper
    def strip_gradient(layer, batch, column, first, rows, gradient):
        """gradient = inputs[:, first:first+rows]^T by_z[:, column:], over the batch.

        `gradient` is (rows, columns of the panel), contiguous.
        """
        columns = min(panel, layer[at.WIDTH] - column)
        inputs, between_tiles, a_k = (
            as_floats(layer[at.INPUT_TILES]),
            batch * slot,
            slot,
        )
        if layer[at.INPUT_TILES] == 0:
            inputs, between_tiles = as_floats(layer[at.INPUT]), rows_of_tile
            a_k = layer[at.INPUT_STRIDE]
        by_z, b_k = gradient_columns(layer, batch, column)
        null = as_floats(0)
        for begin in range(0, batch, SUM_BLOCK):
            count = min(SUM_BLOCK, batch - begin)
            for r in range(0, rows, rows_of_tile):
                tile_start = (first + r) // rows_of_tile * between_tiles
                c = offset(gradient, r * columns)
                tile(
                    count, min(rows_of_tile, rows - r),
                    offset(inputs, tile_start + begin * a_k), 1, a_k,
                    offset(by_z, begin * b_k), columns, b_k,
                    c, columns,
                    null if begin == 0 else c, columns, null, 0,
                )  # fmt: skip

    @helper
    def bias_gradient(table, layer, batch, gradient):
        """Sum over the batch of the gradient by what the bias is added to, (width,)."""
        width = layer[at.WIDTH]
        null = as_floats(0)
        for column in range(0, width, panel):
            columns = min(panel, width - column)
            by_z, b_k = gradient_columns(layer, batch, column)
            if layer[at.NORMALISE] != 0:
                by_z, b_k = offset(as_floats(layer[at.SLOPE]), column), layer[at.STRIDE]
            tile(
                batch, 1, as_floats(table[at.ONE]), 0, 0, by_z, columns, b_k,
                offset(gradient, column), 0, null, 0, null, 0,
            )  # fmt: skip

    @helper
    def transpose(layer, column, first, rows):
        """Copy a strip of W, rows first to first+rows, to its place in W^T."""
        n_in, n_out = layer[at.N_IN], layer[at.N_OUT]
        columns = min(panel, layer[at.WIDTH] - column)
        source = offset(as_floats(layer[at.WEIGHTS]), column * n_in + first * columns)
        input_width = (n_in + lanes - 1) // lanes * lanes
        begin = 0
        while begin < rows:
            of_panel = (first + begin) // panel * panel
            width = min(panel, input_width - of_panel)
            count = min(rows - begin, of_panel + panel - first - begin)
            inside = first + begin - of_panel
            goal = offset(as_floats(layer[at.TRANSPOSED]), of_panel * n_out + inside)
            for j in range(min(columns, n_out - column)):
                line = offset(goal, (column + j) * width)
                values = offset(source, begin * columns + j)
                for i in range(count):
                    line[i] = values[i * columns]
            begin += count

    return Dense(
        z_of, activate_rows, product, backward, pack_rows,
        gradient_columns, strip_gradient, bias_gradient, transpose,
    )  # fmt: skip
