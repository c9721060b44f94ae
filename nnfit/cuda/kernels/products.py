"""Tiled matrix products in shared memory, with whatever is done to their elements.

A block computes a tile of ``A @ B``, each thread a rectangle of it in registers. Slices
of A and B along the sum go through shared memory; while one is multiplied, the next is
on its way from global memory. An element that is complete goes to `store`, so that
bias, activation, dropout or the optimizer's update cost no pass of their own.
"""

from typing import NamedTuple

import numpy as np
from numba.core import types as nb


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


def shapes_of_slices(tile):
    """Shapes of the shared memory that products take.

    Rows of a slice lie 4 elements further than they must: threads that write a column
    of it meet fewer banks twice, and four elements stay aligned.
    """
    return (tile.depth, tile.rows + 4), (tile.depth, tile.columns + 4)


def make_product(cuda, threads, kind, along_depth, store, with_sums=False):
    """Build ``product(m, a, a_stride, b, b_stride, rows, columns, depth, row, column, c)``.

    Parameters
    ----------
    cuda : module
    threads : Threads
    kind : nnfit.cuda.kernels.Kind
    along_depth : tuple of bool
        Whether neighbours in memory of A, and of B, are neighbours in the sum: A is
        (rows, depth) then and else (depth, rows); B is (columns, depth) or (depth,
        columns). The strides are those of the other dimension.
    store : callable
        ``store(m, c, r, j, value) -> float``: takes an element. The function returns
        the sum over the thread's elements of what `store` does.
    with_sums : bool, default=False
        Whether the sums of B's columns over the depth go to `store` as well, from
        the tiles of the first rows, as row -1.

    Returns
    -------
    product : callable
        For device code; called by all threads of a block. Addresses `a` and `b`, the
        first `row` and `column` of the tile, and what `store` gets.
    """
    tile, dtype = kind.tile, kind.dtype
    scalar = np.dtype(dtype).type
    zero = scalar(0.0)
    number_type = nb.float32 if dtype == "float32" else nb.float64
    rectangle = (tile.thread_rows, tile.thread_columns)
    rows_each, columns_each = rectangle
    across = tile.columns // columns_each
    tile_rows, tile_columns, slice_depth = tile.rows, tile.columns, tile.depth
    n_threads = tile.n_threads
    loads_a = tile.rows * tile.depth // n_threads
    loads_b = tile.columns * tile.depth // n_threads
    a_along, b_along = along_depth
    loaded = loads_a + loads_b
    own_columns = -(-tile.columns // n_threads)
    number = threads.number

    @cuda.jit(device=True)
    def place(t, q, size, along):
        """Element and depth in a slice that a thread loads as its number q."""
        e = t + q * n_threads
        if along:
            return e // slice_depth, e % slice_depth
        return e % size, e // size

    @cuda.jit(device=True)
    def read(m, base, stride, along, e, k, limit, depth):
        if e >= limit or k >= depth:
            return zero
        if along:
            return m.floats[base + e * stride + k]
        return m.floats[base + k * stride + e]

    @cuda.jit(device=True)
    def product(m, a, a_stride, b, b_stride, rows, columns, depth, row, column, c):
        slice_a, slice_b = m.a, m.b
        sums = cuda.local.array(rectangle, number_type)
        ahead = cuda.local.array(loaded, number_type)
        t = number()
        my_row, my_column = t // across * rows_each, t % across * columns_each
        for i in range(rows_each):
            for j in range(columns_each):
                sums[i, j] = zero
        of_columns = cuda.local.array(own_columns, number_type)
        for q in range(own_columns):
            of_columns[q] = zero
        for begin in range(-slice_depth, depth, slice_depth):
            if begin >= 0:
                cuda.syncthreads()
                for q in range(loads_a):
                    e, k = place(t, q, tile_rows, a_along)
                    slice_a[k, e] = ahead[q]
                for q in range(loads_b):
                    e, k = place(t, q, tile_columns, b_along)
                    slice_b[k, e] = ahead[loads_a + q]
                cuda.syncthreads()
            after = begin + slice_depth
            if after < depth:
                for q in range(loads_a):
                    e, k = place(t, q, tile_rows, a_along)
                    ahead[q] = read(
                        m, a, a_stride, a_along, row + e, after + k, rows, depth
                    )
                for q in range(loads_b):
                    e, k = place(t, q, tile_columns, b_along)
                    ahead[loads_a + q] = read(
                        m, b, b_stride, b_along, column + e, after + k, columns, depth
                    )
            if begin >= 0:
                for k in range(slice_depth):
                    for i in range(rows_each):
                        for j in range(columns_each):
                            sums[i, j] += (
                                slice_a[k, my_row + i] * slice_b[k, my_column + j]
                            )
                if with_sums and row == 0:
                    for q in range(own_columns):
                        e = t + q * n_threads
                        if e < tile_columns:
                            for k in range(slice_depth):
                                of_columns[q] += slice_b[k, e]
        total = 0.0
        for i in range(rows_each):
            for j in range(columns_each):
                r, q = row + my_row + i, column + my_column + j
                if r < rows and q < columns:
                    total += store(m, c, r, q, sums[i, j])
        if with_sums and row == 0:
            for q in range(own_columns):
                e = t + q * n_threads
                if e < tile_columns and column + e < columns:
                    total += store(m, c, -1, column + e, of_columns[q])
        cuda.syncthreads()  # before the next tile writes its slices
        return total

    return product
