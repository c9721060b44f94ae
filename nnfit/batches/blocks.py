"""Batches of a source in an order, and re-cut to blocks of given sizes."""

import numpy as np
import scipy.sparse

from nnfit.batches.rows import check_alike


class Batches:
    """The batches of a source, which are seen to be alike.

    Parameters
    ----------
    source : nnfit.batches.sources.Source

    Attributes
    ----------
    first : Batch or None
        The first one that was read.
    """

    def __init__(self, source):
        self.source, self.first = source, None

    def read(self, n_rows, rng=None):
        """Batches of `n_rows` at most, with the parts of the source in random order.

        Parameters
        ----------
        n_rows : int
        rng : numpy.random.Generator or None
            None for the order of the source.
        """
        parts = self.source.parts(n_rows)
        order = range(len(parts)) if rng is None else rng.permutation(len(parts))
        for number in order:
            for batch in self.source.read(parts[number], n_rows):
                if batch.n_rows == 0:
                    continue
                if self.first is None:
                    self.first = batch.part(slice(1))
                check_alike(batch, self.first)
                for start in range(0, batch.n_rows, n_rows):
                    yield batch.part(slice(start, start + n_rows))


def block_sizes(n_rows, block_rows, batch_rows):
    """Rows of the blocks that some rows are cut into.

    Batches of blocks are then those of all rows in one piece.

    Parameters
    ----------
    n_rows, block_rows : int
    batch_rows : int
        Rows of a batch: blocks have multiples of it, and the last one has the rest
        besides.

    Returns
    -------
    list of int
    """
    size = max(1, block_rows // batch_rows) * batch_rows
    sizes = [size] * (n_rows // size)
    rest = n_rows - sum(sizes)
    if rest >= batch_rows or not sizes:
        sizes.append(rest)
    else:
        sizes[-1] += rest
    return sizes


def cut(pieces, sizes, name):
    """Re-cut pieces of several arrays each to blocks of given sizes.

    Parameters
    ----------
    pieces : iterable of tuple of ndarray, CSR matrix or None
        All of one kind, and of one length within a piece, whose first is no None.
    sizes : list of int
    name : str
        Of their source, for messages.

    Yields
    ------
    tuple
        New arrays.

    Raises
    ------
    ValueError
        If there are fewer or more rows.
    """
    pieces, rest, done = iter(pieces), None, 0
    for size in sizes:
        spaces, filled = None, 0
        while filled < size:
            piece = next(pieces, None) if rest is None else rest
            if piece is None:
                raise _other_count(name, done + filled, sum(sizes))
            length = piece[0].shape[0]
            count, rest = min(size - filled, length), None
            if spaces is None:
                spaces = [_space(array, size) for array in piece]
            for space, array in zip(spaces, piece, strict=True):
                if array is not None:
                    space[filled : filled + count] = array[:count]
            if count < length:
                rest = tuple(None if each is None else each[count:] for each in piece)
            filled += count
        done += size
        piece = None
        yield tuple(
            space.matrix() if isinstance(space, _Sparse) else space for space in spaces
        )
    if rest is None:
        rest = next(pieces, None)
    if rest is not None:
        raise _other_count(name, f"{done + rest[0].shape[0]} or more", done)


def _other_count(name, got, expected):
    return ValueError(
        f"{name} gave {got} rows in a pass, and {expected} were expected, as n_rows or "
        "the first pass says. It must give the same rows in every pass."
    )


def _space(like, size):
    """Where the rows of a block go; None where there are none."""
    if like is None:
        return None
    if scipy.sparse.issparse(like):
        return _Sparse()
    return np.empty((size, *like.shape[1:]), like.dtype)


class _Sparse:
    """Rows of a CSR matrix that are put together at the end."""

    def __init__(self):
        self._parts = []

    def __setitem__(self, rows, part):
        self._parts.append(part)

    def matrix(self):
        """All of them."""
        return scipy.sparse.vstack(self._parts, format="csr")
