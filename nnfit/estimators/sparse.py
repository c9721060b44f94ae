"""Sparse matrices of users: whether they hold what they say, and in plain arrays.

When a sparse matrix is made, SciPy does not check that its indices lie in it. Neither
SciPy nor compiled code looks later: a wrong index is read, or written to.
"""

import operator

import numpy as np
from scipy.sparse import issparse

from nnfit.addresses import plain


def check_structure(X, name):
    """Refuse a sparse matrix whose indices lead out of it.

    It comes before anything else is done with the matrix, for SciPy's own conversions
    write where an index says. The indices are read twice.

    Parameters
    ----------
    X : object
        Anything; what is not sparse is passed over.
    name : str
        Of the argument, for messages.

    Raises
    ------
    ValueError
        Naming the array and what is wrong with it.
    """
    if not issparse(X):
        return
    if X.format == "coo":
        for axis, (indices, size) in enumerate(zip(X.coords, X.shape, strict=True)):
            what = f"{name}.coords[{axis}]"
            _check_length(what, indices, len(X.data), "one for each value")
            _check_range(what, indices, size)
    elif X.format in ("csr", "csc", "bsr"):
        _check_compressed(X, name)
    elif X.format == "lil":
        for row in X.rows.ravel():
            _check_range(f"{name}.rows", np.asarray(row, np.int64), X.shape[1])


def _check_compressed(X, name):
    shape = X.shape if len(X.shape) == 2 else (1, *X.shape)
    if X.format == "csc":
        shape = shape[::-1]
    elif X.format == "bsr":
        shape = [n // size for n, size in zip(shape, X.blocksize, strict=True)]
    indptr, what = X.indptr, f"{name}.indptr"
    _check_integers(what, indptr)
    if indptr.shape != (shape[0] + 1,) or indptr[0] != 0:
        raise ValueError(
            f"{what} must begin with 0 and have {shape[0] + 1} elements, one more than "
            f"{name} has {'columns' if X.format == 'csc' else 'rows'}; got "
            f"{indptr[:1].tolist()} and the shape {indptr.shape}. {_ADVICE}"
        )
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if len(falls):
        i = int(falls[0])
        raise ValueError(
            f"{what} must not fall, got {indptr[i]} and then {indptr[i + 1]} in the "
            f"places {i} and {i + 1}. {_ADVICE}"
        )
    n_entries = int(indptr[-1])
    wanted = f"as many as {what}[-1] says"
    _check_length(f"{name}.data", X.data, n_entries, wanted)
    _check_length(f"{name}.indices", X.indices, n_entries, wanted)
    _check_range(f"{name}.indices", X.indices[:n_entries], shape[1])


def _check_integers(name, array):
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got {array.dtype}. {_ADVICE}")


def _check_length(name, array, size, why):
    if len(array) < size:
        raise ValueError(
            f"{name} must have {size} elements, {why}; got {len(array)}. {_ADVICE}"
        )


def _check_range(name, indices, size):
    _check_integers(name, indices)
    if len(indices) == 0:
        return
    # As unsigned numbers negative ones are large: one look at all of them.
    if indices.view(f"{indices.dtype.byteorder}u{indices.itemsize}").max() < size:
        return
    wrong = indices[(indices < 0) | (indices >= size)][0]
    raise ValueError(
        f"{name} must lie between 0 and {size - 1}, got {wrong}. {_ADVICE}"
    )


_ADVICE = "Build the sparse matrix anew, from the values and their rows and columns."


def canonical(X):
    """CSR in plain arrays, with sorted indices and no duplicates; the user's is kept.

    Parameters
    ----------
    X : ndarray or CSR matrix
        An ndarray too comes back as compiled code takes it.
    """
    if not issparse(X):
        return plain(X)
    arrays = X.data, X.indices, X.indptr
    plainly = tuple(map(plain, arrays))
    is_ordered = _is_ordered(*plainly[1:])
    if is_ordered and all(map(operator.is_, plainly, arrays)):
        return X
    X = type(X)(plainly, shape=X.shape, copy=not is_ordered)
    if not is_ordered:
        X.sum_duplicates()
    return X


def _is_ordered(indices, indptr):
    """Whether indices rise within every row.

    Not SciPy's ``has_canonical_format``: it takes four times as long, and afterwards
    tells of the indices that there were when it was first asked.
    """
    indices = indices[: indptr[-1]]
    rises = indices[1:] > indices[:-1]
    begins = indptr[1:-1]
    rises[begins[(begins > 0) & (begins < len(indices))] - 1] = True
    return bool(rises.all())
