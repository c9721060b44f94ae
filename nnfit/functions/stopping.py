"""When to stop and how fast to learn: scikit-learn's rules as pure functions.

Plain arithmetic that the training loop calls and the compiled engine compiles,
so that a tiny net runs many epochs without a turn through Python.
"""

import math


def update_no_improvement(loss, best_loss, count, tol):
    """Count the epochs in a row that did not improve a loss by `tol`.

    Parameters
    ----------
    loss, best_loss : float
        Loss of the epoch and the lowest one before it.
    count : int
    tol : float

    Returns
    -------
    best_loss, count : float, int
    """
    count = count + 1 if loss > best_loss - tol else 0
    best_loss = loss if loss < best_loss else best_loss
    return best_loss, count


def invscaling(learning_rate_init, samples, power_t):
    """Learning rate after `samples` training rows, schedule ``"invscaling"``."""
    return learning_rate_init / (samples + 1.0) ** power_t


def adaptive(learning_rate):
    """Learning rate after a plateau, schedule ``"adaptive"``.

    Returns
    -------
    learning_rate : float
        A fifth of the rate.
    stop : bool
        True when the rate is too small to be lowered again.
    """
    stop = learning_rate <= 1e-6
    return learning_rate if stop else learning_rate / 5.0, stop


def plateau(learning_rate, count, n_iter_no_change, decay):
    """Learning rate after an epoch, schedule ``"plateau"``.

    It is lowered each time that half of the epochs that end training have brought
    no improvement.

    Parameters
    ----------
    learning_rate : float
    count : int
        Epochs in a row without improvement, see `update_no_improvement`.
    n_iter_no_change : int or inf
        Training stops when `count` exceeds it; with infinity the rate stays.
    decay : float
        Factor of the rate.
    """
    if count == 0 or count > n_iter_no_change or n_iter_no_change == math.inf:
        return learning_rate
    patience = max(1, n_iter_no_change // 2)
    return learning_rate * decay if count % patience == 0 else learning_rate
