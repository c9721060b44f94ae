"""Setting rows aside for validation."""

import math

import numpy as np
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils.extmath import _approximate_mode


def validation_split(n_samples, validation_fraction, random_state, stratify=None):
    """Split row numbers as scikit-learn's MLP splits rows.

    Only the numbers are split, so the data are not copied; the engine trains on these
    rows, in the order of the split. ``train_test_split`` gives the same rows, but makes
    lists of Python's numbers: 0.4 times the size of a table of 50 columns.

    Parameters
    ----------
    n_samples : int
    validation_fraction : float
    random_state : numpy.random.RandomState
    stratify : ndarray of bool of shape (n_samples,) or None
        Labels whose proportions both parts keep.

    Returns
    -------
    train_rows, validation_rows : ndarray of int64

    Raises
    ------
    ValueError
        If fewer than two rows are left for validation or none for training, or if a
        label has no row in one of the parts.
    """
    n_validation = math.ceil(validation_fraction * n_samples)
    n_train = n_samples - n_validation
    _check_sizes(n_train, n_validation, validation_fraction, f"{n_samples} samples")
    if stratify is None:
        order = random_state.permutation(n_samples)
        return order[n_validation:], order[:n_validation]
    return _stratified_split(stratify, n_train, n_validation, random_state)


def split_every_class(labels, validation_fraction, random_state):
    """Split row numbers so that both parts have rows of every class.

    The proportions of classes are kept, except for classes that would have no row.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
    validation_fraction : float
    random_state : numpy.random.RandomState

    Returns
    -------
    train_rows, validation_rows : ndarray of int64
        Or None, if a class has only one row, or a part has fewer rows than classes.
    """
    n_validation = math.ceil(validation_fraction * len(labels))
    n_train = len(labels) - n_validation
    counts = np.unique(labels, return_counts=True)[1]
    if counts.min() < 2 or min(n_train, n_validation) < len(counts):
        return None
    return _stratified_split(labels, n_train, n_validation, random_state, every=True)


def group_split(groups, validation_fraction, random_state):
    """Split row numbers so that no group has rows in both parts.

    The groups are those that scikit-learn's ``GroupShuffleSplit`` takes.

    Parameters
    ----------
    groups : ndarray of shape (n_samples,)
    validation_fraction : float
        Of the groups, rounded up.
    random_state : numpy.random.RandomState

    Returns
    -------
    train_rows, validation_rows : ndarray of int64
        Both in increasing order.

    Raises
    ------
    ValueError
        If there are fewer than two groups, none for training, or fewer than two
        validation rows.
    """
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            "groups must hold at least 2 different groups, of which one can be set "
            f"aside for validation, got {n_groups}. Pass X_val and y_val, or leave out "
            "groups."
        )
    of_what = f"{n_groups} groups"
    n_validation = math.ceil(validation_fraction * n_groups)
    # One group may have several rows, so the sizes are checked again after the split.
    _check_sizes(
        n_groups - n_validation, 2 * n_validation, validation_fraction, of_what
    )
    split = GroupShuffleSplit(
        n_splits=1, test_size=validation_fraction, random_state=random_state
    )
    ((train, validation),) = split.split(groups, groups=groups)
    _check_sizes(len(train), len(validation), validation_fraction, of_what)
    return train, validation


def _check_sizes(n_train, n_validation, validation_fraction, of_what):
    if n_validation < 2 or n_train < 1:
        size, change = ("small", "Increase") if n_train > 0 else ("large", "Decrease")
        raise ValueError(
            f"The validation set is too {size}. {change} 'validation_fraction' "
            "or increase the size of your dataset. Got "
            f"validation_fraction={validation_fraction} of {of_what}, "
            "expected at least 2 validation samples and 1 training sample."
        )


def _stratified_split(labels, n_train, n_validation, random_state, every=False):
    """Split with the random numbers of ``StratifiedShuffleSplit``, in its order."""
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2 or min(n_train, n_validation) < len(counts):
        raise ValueError(
            "Both parts of the split by validation_fraction need a sample of every "
            f"class, got classes of {counts.tolist()} samples and parts of {n_train} "
            f"and {n_validation}. Pass X_val and y_val."
        )
    of_train = _approximate_mode(counts, n_train, random_state)
    of_validation = _approximate_mode(counts - of_train, n_validation, random_state)
    if every:
        _move_to_empty(of_validation, of_train)
        _move_to_empty(of_train, of_validation)
    train, validation = [], []
    for label, first, second in zip(classes, of_train, of_validation, strict=True):
        rows = np.flatnonzero(labels == label)
        random_state.shuffle(rows)
        train.append(rows[:first])
        validation.append(rows[first : first + second])
    train, validation = np.concatenate(train), np.concatenate(validation)
    random_state.shuffle(train)
    random_state.shuffle(validation)
    return train, validation


def _move_to_empty(of_part, of_other):
    """Give a part a row of every class, in exchange for rows of its largest class."""
    while not of_part.all():
        rare, common = of_part.argmin(), of_part.argmax()
        for part, change in ((of_part, 1), (of_other, -1)):
            part[rare] += change
            part[common] -= change
