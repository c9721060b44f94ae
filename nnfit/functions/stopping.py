"""When to stop and how fast to learn: scikit-learn's rules as pure functions.

Plain arithmetic that the training loop calls and compiled engines compile, so that a
tiny net runs many epochs without a turn through Python.
"""

#: Rules by which the learning rate changes after an epoch.
CONSTANT, INVSCALING, ADAPTIVE, PLATEAU = range(4)
SCHEDULES = {
    "constant": CONSTANT,
    "invscaling": INVSCALING,
    "adaptive": ADAPTIVE,
    "plateau": PLATEAU,
}
#: State of a training.
RUNNING, CONVERGED, DIVERGED = range(3)


def invscaling(learning_rate_init, samples, power_t):
    """Learning rate after `samples` training rows, schedule ``"invscaling"``."""
    return learning_rate_init / (samples + 1.0) ** power_t


def after_epoch(
    loss, best_loss, count, tol, n_iter_no_change, schedule, learning_rate, decay
):
    """Look at the loss of an epoch: stop, go on, or go on with another rate.

    One function without calls of others, so that any compiler takes it as it is.

    Parameters
    ----------
    loss, best_loss : float
        Loss of the epoch and the lowest one before it; of scores, which shall be
        high, the negative. NaN counts as an improvement that is not the best, as in
        scikit-learn, whose comparisons are these.
    count : int
        Epochs in a row that did not improve the loss by `tol`.
    tol : float
    n_iter_no_change : int
        Training stops when `count` exceeds it.
    schedule : int
        One of `SCHEDULES`. "adaptive" divides the rate by 5 in the place of stopping,
        until it is too small; "plateau" lowers it each time that half of the epochs
        that end training have brought no improvement.
    learning_rate : float
    decay : float
        Factor of the rate for "plateau".

    Returns
    -------
    best_loss, count, learning_rate, stops : float, int, float, bool
    """
    count = count + 1 if loss > best_loss - tol else 0
    best_loss = loss if loss < best_loss else best_loss
    stops = count > n_iter_no_change
    if schedule == PLATEAU and count > 0 and not stops:
        if count % max(1, n_iter_no_change // 2) == 0:
            learning_rate = learning_rate * decay
    elif schedule == ADAPTIVE and stops and learning_rate > 1e-6:
        learning_rate, count, stops = learning_rate / 5.0, 0, False
    return best_loss, count, learning_rate, stops
