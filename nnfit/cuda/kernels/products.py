"""Tiled matrix products in shared memory, with an epilogue for each element.

A block computes a tile of ``A @ B``, each thread a rectangle of it in registers. Slices
of A and B along the sum go through shared memory; while one is multiplied, the next is
loaded from global memory. A finished element goes to `store`, so that bias, activation,
dropout or the optimizer's update need no pass over memory of their own.
"""

from typing import NamedTuple

import numpy as np

#: Terms of a slice's sum that are written out one after the other. In a loop over
#: single terms, the counting would cost more than the sums.
RUN = 8


class Tile(NamedTuple):
    """Sizes of a tile.

    Attributes
    ----------
    rows, columns : int
        Of the tile.
    thread_rows, thread_columns : int
        Of a thread's rectangle.
    depth : int
        Of a slice. Rows and columns times depth are multiples of `n_threads`.
    """

    rows: int
    columns: int
    thread_rows: int
    thread_columns: int
    depth: int

    @property
    def n_threads(self):
        """Threads of a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    def count(self, rows, columns):
        """Tiles of a matrix."""
        return -(-rows // self.rows) * -(-columns // self.columns)


def lengths_in_slices(tile):
    """Distances from row to row of the two slices in shared memory.

    They are 4 elements longer than a row: fewer threads that write a column of a slice
    then use the same bank, and groups of four elements stay aligned.
    """
    return tile.rows + 4, tile.columns + 4


def make_tiles(cuda, tile):
    """Build the numbering of the tiles of a matrix.

    Returns
    -------
    count, corner : callable
        ``count(rows, columns)``, and ``corner(number, columns)``, first row and column.
    """
    tile_rows, tile_columns = tile.rows, tile.columns

    @cuda.jit(device=True)
    def count(rows, columns):
        across = (columns + tile_columns - 1) // tile_columns
        return (rows + tile_rows - 1) // tile_rows * across

    @cuda.jit(device=True)
    def corner(number, columns):
        across = (columns + tile_columns - 1) // tile_columns
        return number // across * tile_rows, number % across * tile_columns

    return count, corner


def make_loading(cuda, kind):
    """Build what threads load slices of both operands with.

    Returns
    -------
    place, start, read : callable
    """
    tile, zero = kind.tile, np.dtype(kind.dtype).type(0.0)
    slice_depth, n_threads, device = tile.depth, tile.n_threads, cuda.jit(device=True)

    @device
    def place(t, q, size, along):
        """Element and depth in a slice that a thread loads as its number q."""
        e = t + q * n_threads
        if along:
            return e // slice_depth, e % slice_depth
        return e % size, e // size

    @device
    def start(base, stride, e, k, along):
        """Address of an element of a matrix at some depth."""
        if along:
            return base + e * stride + k
        return base + k * stride + e

    @device
    def read(m, address, is_inside):
        return m.floats[address] if is_inside else zero

    return place, start, read


def make_product(build, along_depth, store, store_sum=None):
    """Build the product of a tile.

    ``product(m, a, a_stride, b, b_stride, rows, columns, depth, row, column, c)``

    Parameters
    ----------
    build : nnfit.cuda.kernels.building.Build
    along_depth : tuple of bool
        Whether neighbours in memory of A, and of B, are neighbours in the sum: A is
        (rows, depth) then and else (depth, rows); B is (columns, depth) or (depth,
        columns). The strides are those of the other dimension.
    store : callable
        ``store(m, c, r, j, value) -> float`` takes a finished element. `product`
        returns the sum of what it returns, over the elements of the thread.
    store_sum : callable, default=None
        ``store_sum(m, c, j, value) -> float`` takes the sum of column j of B over the
        depth, from the tiles of the first rows. What it returns is added, too.

    Returns
    -------
    product : callable
        For device code; all threads of a block must call it. `a` and `b` are
        addresses, `row` and `column` the first ones of the tile; `store` gets `c`.
    """
    # Imported here, since the size of a tile is also asked for without numba.
    from numba.core import types as nb

    cuda, tile, dtype = build.cuda, build.kind.tile, build.kind.dtype
    place, start, read = build.loading
    zero = np.dtype(dtype).type(0.0)
    number_type, int64 = getattr(nb, dtype), nb.int64
    rectangle = (tile.thread_rows, tile.thread_columns)
    rows_each, columns_each = rectangle
    n_done, across = rows_each * columns_each, tile.columns // columns_each
    tile_rows, tile_columns, slice_depth = tile.rows, tile.columns, tile.depth
    run = min(RUN, slice_depth)
    length_a, length_b = lengths_in_slices(tile)
    n_threads = tile.n_threads
    loads_a = tile.rows * tile.depth // n_threads
    loads_b = tile.columns * tile.depth // n_threads
    own_columns = -(-tile.columns // n_threads)
    a_along, b_along = along_depth
    number, with_sums = build.threads.number, store_sum is not None

    @build.device
    def product(m, a, a_stride, b, b_stride, rows, columns, depth, row, column, c):
        slice_a, slice_b = m.a, m.b
        sums = cuda.local.array(rectangle, number_type)
        of_columns = cuda.local.array(own_columns, number_type)
        from_a = cuda.local.array(loads_a, int64)
        from_b = cuda.local.array(loads_b, int64)
        ahead_a = cuda.local.array(loads_a, number_type)
        ahead_b = cuda.local.array(loads_b, number_type)
        t = number()
        my_row, my_column = t // across * rows_each, t % across * columns_each
        step_a = slice_depth if a_along else slice_depth * a_stride
        step_b = slice_depth if b_along else slice_depth * b_stride
        for q in range(loads_a):
            e, k = place(t, q, tile_rows, a_along)
            from_a[q] = start(a, a_stride, row + e, k, a_along)
        for q in range(loads_b):
            e, k = place(t, q, tile_columns, b_along)
            from_b[q] = start(b, b_stride, column + e, k, b_along)
        for i in range(rows_each):
            for j in range(columns_each):
                sums[i, j] = zero
        for q in range(own_columns):
            of_columns[q] = zero
        for begin in range(-slice_depth, depth, slice_depth):
            if begin >= 0:
                cuda.syncthreads()
                for q in range(loads_a):
                    e, k = place(t, q, tile_rows, a_along)
                    slice_a[k * length_a + e] = ahead_a[q]
                for q in range(loads_b):
                    e, k = place(t, q, tile_columns, b_along)
                    slice_b[k * length_b + e] = ahead_b[q]
                cuda.syncthreads()
            after = begin + slice_depth
            if after < depth:
                for q in range(loads_a):
                    e, k = place(t, q, tile_rows, a_along)
                    is_inside = row + e < rows and after + k < depth
                    ahead_a[q] = read(m, from_a[q], is_inside)
                    from_a[q] += step_a
                for q in range(loads_b):
                    e, k = place(t, q, tile_columns, b_along)
                    is_inside = column + e < columns and after + k < depth
                    ahead_b[q] = read(m, from_b[q], is_inside)
                    from_b[q] += step_b
            if begin >= 0:
                for first in range(0, slice_depth, run):
                    for k in range(run):
                        from_row = (first + k) * length_a + my_row
                        from_column = (first + k) * length_b + my_column
                        for i in range(rows_each):
                            for j in range(columns_each):
                                sums[i, j] += (
                                    slice_a[from_row + i] * slice_b[from_column + j]
                                )
                if with_sums and row == 0:
                    for q in range(own_columns):
                        e = t + q * n_threads
                        if e < tile_columns:
                            for k in range(slice_depth):
                                of_columns[q] += slice_b[k * length_b + e]
        # A long epilogue stays a loop, which needs the addresses of its values. The
        # sums are copied for it: only values without an address stay in registers.
        done = cuda.local.array(n_done, number_type)
        for i in range(rows_each):
            for j in range(columns_each):
                done[i * columns_each + j] = sums[i, j]
        total = 0.0
        for q in range(n_done):
            r = row + my_row + q // columns_each
            j = column + my_column + q % columns_each
            if r < rows and j < columns:
                total += store(m, c, r, j, done[q])
        if with_sums and row == 0:
            for q in range(own_columns):
                e = t + q * n_threads
                if e < tile_columns and column + e < columns:
                    total += store_sum(m, c, column + e, of_columns[q])
        cuda.syncthreads()  # before the next tile writes its slices
        return total

    return product
