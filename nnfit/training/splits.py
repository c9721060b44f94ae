"""Setting rows aside for validation."""

import numpy as np
from sklearn.model_selection import train_test_split


def validation_split(n_samples, validation_fraction, random_state, stratify=None):
    """Split row numbers as scikit-learn's MLP splits rows.

    Only the numbers are split, so the data are not copied; the engine trains on
    the rows it is told, in the order of the split.

    Parameters
    ----------
    n_samples : int
    validation_fraction : float
    random_state : numpy.random.RandomState
    stratify : ndarray of shape (n_samples, 1) or None
        Labels whose proportions both parts keep.

    Returns
    -------
    train_rows, validation_rows : ndarray of int64

    Raises
    ------
    ValueError
        If fewer than two rows are left for validation.
    """
    train_rows, validation_rows = train_test_split(
        np.arange(n_samples, dtype=np.int64),
        test_size=validation_fraction,
        random_state=random_state,
        stratify=stratify,
    )
    if len(validation_rows) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset. Got "
            f"validation_fraction={validation_fraction} of {n_samples} samples, "
            "expected at least 2 validation samples."
        )
    return train_rows, validation_rows
