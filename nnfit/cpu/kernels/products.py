"""Products of the tile alone, which `nnfit.tuning` measures."""

from numba.core import types as nb

from nnfit.cpu.kernels.pointers import offset, pointer_from_address, pointer_type
from nnfit.cpu.kernels.tile import make_tile


def build(target, dtype):
    """Kernel of products, panel by panel as those of layers are.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of ``multiply(repeats, rows, columns, k, together, a, a_next, a_row, a_k, b,
        b_k, c, c_panel, c_row)``: sizes, rows of a call of the tile, and distances in
        elements. All are arguments, so that none is a constant, for which LLVM would
        make another loop than layers have.
    """
    panel = target.panel(dtype)
    tile, pointer = make_tile(target, dtype, 2), pointer_type(dtype)
    as_floats = pointer_from_address(dtype)

    def multiply(
        repeats, rows, columns, k, together, a, a_next, a_row, a_k, b, b_k, c, c_panel,
        c_row,
    ):  # fmt: skip
        null = as_floats(0)
        for _ in range(repeats):
            for p in range(columns // panel):
                for r in range(0, rows, together):
                    tile(
                        k, min(together, rows - r),
                        offset(a, r // together * a_next), a_row, a_k,
                        offset(b, p * k * b_k), b_k,
                        offset(c, p * c_panel + r * c_row), c_row,
                        null, 0, null, 0,
                    )  # fmt: skip

    sizes, distance = (nb.int64,) * 5, nb.int64
    a, b = (pointer, distance, distance, distance), (pointer, distance)
    return {
        "multiply": (multiply, nb.void(*sizes, *a, *b, pointer, distance, distance))
    }
