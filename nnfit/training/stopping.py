"""scikit-learn's rule of when to stop or to lower the learning rate."""

MIN_ADAPTIVE_LEARNING_RATE = 1e-6


def update_no_improvement(loss, best_loss, count, tol):
    """Count the epochs in which a loss did not fall by ``tol``.

    Compiled engines use this function too: it is plain arithmetic on scalars.

    Parameters
    ----------
    loss : float
        Loss of the epoch that has ended.
    best_loss : float
        Smallest loss of the epochs before.
    count : int
        Epochs without improvement before.
    tol : float

    Returns
    -------
    best_loss : float
    count : int
    """
    count = count + 1 if loss > best_loss - tol else 0
    return (loss if loss < best_loss else best_loss), count


def update_no_improvement_score(score, best_score, count, tol):
    """Count the epochs in which a score did not rise by ``tol``.

    A score of NaN counts as an improvement that is not the best, as in
    scikit-learn, whose comparisons are these.

    Parameters
    ----------
    score : float
        Validation score of the epoch that has ended.
    best_score : float
        Largest score of the epochs before.
    count : int
        Epochs without improvement before.
    tol : float

    Returns
    -------
    best_score : float
    count : int
    """
    count = count + 1 if score < best_score + tol else 0
    return (score if score > best_score else best_score), count
