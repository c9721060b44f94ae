"""Products of the tile alone, which `nnfit.tuning` measures."""

from numba.core import types as nb

from nnfit.cpu.kernels.pointers import offset, pointer_from_address, pointer_type
from nnfit.cpu.kernels.tile import make_tile


def build(target, dtype):
    """Kernel of products, panel by panel and tile by tile as those of layers are.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
    dtype : {"float32", "float64"}

    Returns
    -------
    exports : dict
        Of ``multiply(repeats, rows, columns, k, a, a_tile, a_row, a_k, b, b_k, c,
        c_panel, c_row)``: sizes, and distances in elements. All are arguments, so that
        none is a constant, for which LLVM would make another loop than layers have.
    """
    height, panel = target.tile_rows, target.panel(dtype)
    tile, pointer = make_tile(target, dtype, 2), pointer_type(dtype)
    as_floats = pointer_from_address(dtype)

    def multiply(
        repeats, rows, columns, k, a, a_tile, a_row, a_k, b, b_k, c, c_panel, c_row
    ):
        null = as_floats(0)
        for _ in range(repeats):
            for p in range(columns // panel):
                for t in range((rows + height - 1) // height):
                    tile(
                        k, min(height, rows - t * height),
                        offset(a, t * a_tile), a_row, a_k,
                        offset(b, p * k * b_k), b_k,
                        offset(c, p * c_panel + t * height * c_row), c_row,
                        null, 0, null, 0,
                    )  # fmt: skip

    sizes, distance = (nb.int64,) * 4, nb.int64
    a, b = (pointer, distance, distance, distance), (pointer, distance)
    return {
        "multiply": (multiply, nb.void(*sizes, *a, *b, pointer, distance, distance))
    }
