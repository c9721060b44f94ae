"""The orders in which epochs take the rows of the training data."""

import ctypes

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import compiling
from nnfit.cpu.kernels import ORDERS

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64


def shuffled_orders(rows, seed, epoch, n_epochs):
    """Orders of consecutive epochs, those of `nnfit.cpu.engine`.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
    seed : int
        Of the training.
    epoch : int
        Number of the first epoch.
    n_epochs : int

    Returns
    -------
    orders : ndarray of int32, shape (n_epochs, n)
    """
    orders = np.empty((n_epochs, len(rows)), np.int32)
    kernel = compiling.load(ORDERS)
    types = (POINTER, POINTER, INT64, INT64, INT64, INT64)
    fill = kernel.function("orders", None, *types)
    seed = int(np.uint64(seed).astype(np.int64))
    addresses = address(orders, np.int32), address(rows, np.int64)
    fill(*addresses, len(rows), n_epochs, seed, epoch)
    return orders
