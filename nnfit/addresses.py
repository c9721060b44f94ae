"""Addresses of arrays for compiled code, which checks nothing itself.

The one place where an array becomes a number: what compiled code is told of an array,
its type and how many elements it has, is compared with the array here.
"""

import numpy as np


def address(array, dtype, size=0):
    """Where the elements of an array begin; 0 for None.

    Parameters
    ----------
    array : ndarray or None
    dtype : dtype
        That compiled code takes the elements for.
    size : int, default=0
        Elements that compiled code may touch.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the array is of another type, shorter, not C-contiguous or not aligned.
    """
    if array is None:
        return 0
    flags = array.flags
    if (
        array.dtype != dtype
        or array.size < size
        or not flags.c_contiguous
        or not flags.aligned
    ):
        raise ValueError(
            f"Compiled code needs at least {size} elements of {np.dtype(dtype)}, "
            f"C-contiguous and aligned; got {array.size} of {array.dtype} with the "
            f"strides {array.strides}. Copy the array with np.require(array, dtype, "
            "['C', 'A'])."
        )
    return array.__array_interface__["data"][0]


def plain(array, dtype=None):
    """An array that `address` takes: itself, or a copy.

    Parameters
    ----------
    array : array-like
    dtype : dtype, default=None
        None for its own.

    Returns
    -------
    ndarray
    """
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.aligned else array.copy()
