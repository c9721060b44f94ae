"""Which rows a member is not trained on, so that they tell how good it is."""

import warnings

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

#: Folds, if there are not more members: each trains on four fifths of the rows.
N_FOLDS = 5


def split_rows(n_members, labels, groups, weight, random_state):
    """Rows to train on and rows held out of every member.

    Folds have the same shares of the classes. Never held out are rows of no weight, and
    those of a class that would be missing in the training then.

    Parameters
    ----------
    n_members : int
        Of a family. If there are more than folds some have the same fold.
    labels : ndarray of int of shape (n_samples,) or None
        Classes.
    groups : ndarray of shape (n_samples,) or None
        No group is both trained on and held out.
    weight : ndarray of shape (n_samples,)
        Of the rows in the loss.
    random_state : numpy.random.RandomState

    Returns
    -------
    list of (ndarray of int64, ndarray of int64)
    """
    usable = np.flatnonzero(weight > 0)
    n_folds = min(max(n_members, N_FOLDS), max(2, len(usable) // 2))
    if len(usable) < 2:
        raise ValueError(
            "X must have at least 2 rows of some weight, one to train on and one to "
            f"tell how good that is, got {len(usable)} of n_samples={len(weight)}."
        )
    fold_of = np.full(len(weight), -1)
    if groups is None:
        order = random_state.permutation(usable)
        if labels is not None:
            order = order[np.argsort(labels[order], kind="stable")]
        fold_of[order] = np.arange(len(order)) % n_folds
    else:
        own = None if labels is None else labels[usable]
        fold_of[usable] = _folds_of_groups(groups[usable], own, n_folds, random_state)
    if labels is not None:
        _keep_in_training(fold_of, labels, groups, weight)
    folds = np.unique(fold_of[fold_of >= 0])
    if len(folds) == 0:
        raise ValueError(
            "Every class has a single row, or rows of one group alone, so that none "
            "can be held out to tell how good a model is. Pass X_val and y_val."
        )
    splits = [
        (np.flatnonzero(fold_of != f), np.flatnonzero(fold_of == f)) for f in folds
    ]
    return [splits[number % len(splits)] for number in range(n_members)]


def _folds_of_groups(groups, labels, n_folds, random_state):
    """Number of the fold of every row; rows of a group are in one fold."""
    _, groups = np.unique(groups, return_inverse=True)
    n_groups = groups.max() + 1
    if n_groups < 2:
        raise ValueError(
            "groups must hold at least 2 different groups, of which one can be held "
            f"out, got {n_groups}. Pass X_val and y_val, or leave out groups."
        )
    groups = random_state.permutation(n_groups)[groups]
    n_folds, kind = min(n_folds, n_groups), GroupKFold
    if labels is not None and np.bincount(labels).max() >= n_folds:
        kind = StratifiedGroupKFold
    fold_of = np.empty(len(groups), np.int64)
    with warnings.catch_warnings():
        # What is to be done about rare classes is done afterwards.
        warnings.filterwarnings("ignore", "The least populated class")
        folds = kind(n_folds).split(groups, labels, groups)
        for number, (_, rows) in enumerate(folds):
            fold_of[rows] = number
    return fold_of


def _keep_in_training(fold_of, labels, groups, weight):
    """Take classes that are in one fold alone out of the folds, with their groups."""
    is_usable = weight > 0
    for label in np.unique(labels[is_usable]):
        rows = is_usable & (labels == label)
        if len(np.unique(fold_of[rows])) > 1 or (fold_of[rows] == -1).all():
            continue
        if groups is not None:
            rows = is_usable & np.isin(groups, groups[rows])
        fold_of[rows] = -1
