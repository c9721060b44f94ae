"""One layer after the other, for a block of rows: what every pass is made of.

Forward, a layer is a product, then what finishes it: normalisation, activation and
dropout, each a kernel of its own that is called by its address where there is one.
"""

from collections import namedtuple

from numba.core import types as nb

from nnfit.cpu import fields as at
from nnfit.cpu.kernels.dropout import DROP
from nnfit.cpu.kernels.lowering import helper
from nnfit.cpu.kernels.normalization import NORMALISE
from nnfit.cpu.kernels.pointers import (
    FLOAT64_POINTER,
    INT64_POINTER,
    caller,
    layer_at,
    offset,
    pointer_from_address,
    pointer_type,
)
from nnfit.cpu.kernels.rows import make_rows

Layers = namedtuple(
    "Layers", "gather gather_targets product finish find_row_losses scale_slopes back"
)

#: ``augment(table, position, row, rows)`` and ``mixed_loss``, likewise
AUGMENT = (INT64_POINTER, nb.int64, nb.int64, nb.int64)


def loss_arguments(dtype):
    """Of the kernel of a loss, see `nnfit.cpu.kernels.elementwise.loss`."""
    pointer = pointer_type(dtype)
    return (
        pointer, nb.int64, pointer, nb.int64, pointer, FLOAT64_POINTER, pointer,
        nb.int64, nb.int64, pointer,
    )  # fmt: skip


def make_layers(target, dtype, dense):
    """Build the functions of layers for a processor and a precision.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}
    dense : nnfit.cpu.kernels.dense.Dense

    Returns
    -------
    layers : Layers
        Helpers for compiled code.
    """
    as_floats = pointer_from_address(dtype)
    as_doubles = pointer_from_address("float64")
    rows_of = make_rows(dtype)
    call_loss = caller(nb.void, *loss_arguments(dtype))
    call_normalise = caller(nb.void, *NORMALISE)
    call_augment = caller(nb.void, *AUGMENT)
    call_dropout = caller(nb.void, *DROP[dtype])
    sparse_product = caller(
        nb.void, INT64_POINTER, INT64_POINTER, nb.int64, nb.int64, nb.int64
    )

    @helper
    def gather(table, position, row, rows):
        """Inputs of the first layer, unless it works on the entries of a matrix."""
        if table[at.SPARSE] == 0:
            first = layer_at(table, 0)
            rows_of.gather(table, first, first[at.N_IN], position, row, rows)
        if table[at.AUGMENT_KERNEL] != 0:
            call_augment(table[at.AUGMENT_KERNEL], (table, position, row, rows))

    @helper
    def product(table, index, position, row, rows):
        """z of a layer."""
        layer = layer_at(table, index)
        if index == 0 and table[at.SPARSE] != 0:
            sparse_product(
                table[at.SPARSE_FORWARD], (table, layer, position, row, rows)
            )
            return
        stride = layer[at.INPUT_STRIDE]
        inputs = offset(as_floats(layer[at.INPUT]), row * stride)
        dense.product(layer, inputs, stride, row, rows)

    @helper
    def drop(table, layer, index, position, row, rows):
        rates = as_doubles(table[at.DROPOUT_RATES])
        rate = rates[table[at.N_LAYERS] + index]
        if rate <= 0.0:
            return
        stride = layer[at.STRIDE]
        call_dropout(
            table[at.DROPOUT_KERNEL],
            (
                offset(as_floats(layer[at.OUTPUT]), row * stride),
                offset(as_floats(layer[at.SLOPE]), row * stride),
                stride,
                rows,
                layer[at.N_OUT],
                table[at.SEED],
                table[at.STEP],
                index,
                position + row,
                rate,
            ),
        )

    @helper
    def finish(table, index, position, row, rows):
        """Output and slope of a layer whose z is computed."""
        layer = layer_at(table, index)
        if layer[at.NORMALISE] != 0:
            call_normalise(layer[at.NORMALISE], (table, layer, row, rows))
        dense.activate_rows(layer, row, rows)
        if table[at.DROPOUT_KERNEL] != 0 and index < table[at.N_LAYERS] - 1:
            drop(table, layer, index, position, row, rows)
        if layer[at.PASS_Z] != 0:
            call_normalise(layer[at.PASS_Z], (table, layer, row, rows))

    @helper
    def find_row_losses(table, position, row, rows):
        """Losses of a block of rows; the gradient goes where it is propagated."""
        if table[at.MIXED_LOSS_KERNEL] != 0:
            call_augment(table[at.MIXED_LOSS_KERNEL], (table, position, row, rows))
            return
        last = layer_at(table, table[at.N_LAYERS] - 1)
        start = row * last[at.STRIDE]
        n_targets = table[at.N_TARGETS]
        call_loss(
            table[at.LOSS_KERNEL],
            (
                offset(as_floats(last[at.OUTPUT]), start),
                last[at.STRIDE],
                offset(as_floats(table[at.BATCH_Y]), row * n_targets),
                n_targets,
                offset(as_floats(last[at.SLOPE]), start),
                offset(as_doubles(table[at.ROW_LOSS]), row),
                offset(as_floats(table[at.BATCH_LOSS_WEIGHT]), row),
                rows,
                table[at.N_OUTPUTS],
                as_floats(table[at.LOSS_PARAMETERS]),
            ),
        )

    @helper
    def scale_slopes(table, layer, row, rows):
        """Gradient by what is activated, of a layer whose z is kept."""
        call_normalise(layer[at.SCALE_SLOPES], (table, layer, row, rows))

    @helper
    def back(table, layer, row, rows):
        """Gradient by z from that."""
        call_normalise(layer[at.NORMALISE_BACK], (table, layer, row, rows))

    return Layers(
        gather, rows_of.gather_targets, product, finish, find_row_losses,
        scale_slopes, back,
    )  # fmt: skip
