"""When the validation score ends training.

The rule for the training loss is in :mod:`nnfit.functions.stopping`, where compiled
engines find it.
"""


def update_no_improvement_score(score, best_score, count, tol):
    """Count the epochs in a row that did not raise a score by ``tol``.

    A score of NaN counts as an improvement that is not the best, as in
    scikit-learn, whose comparisons are these.

    Parameters
    ----------
    score, best_score : float
        Validation score of the epoch and the highest one before it.
    count : int
    tol : float

    Returns
    -------
    best_score, count : float, int
    """
    count = count + 1 if score < best_score + tol else 0
    return (score if score > best_score else best_score), count
