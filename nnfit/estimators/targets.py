"""Class labels and what a network is trained on instead of them.

Three kinds of classification target, named as scikit-learn's ``type_of_target``
names them: "binary" (one output, also for a single class), "multiclass" (one output
per class) and "multilabel-indicator" (one output per label).
"""

import sys
import warnings
from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import (
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from nnfit.functions.losses import BINARY, MULTICLASS, MULTILABEL


def find_classes(y):
    """Classes and kind of a classification target.

    Parameters
    ----------
    y : ndarray or sparse matrix of shape (n_samples,) or (n_samples, n_labels)

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    kind : {"binary", "multiclass", "multilabel-indicator"}
    """
    kind = type_of_target(y, input_name="y")
    if "multioutput" in kind:
        raise ValueError(
            "Multioutput target data is not supported with label binarization; "
            "expected y of shape (n_samples,) or a matrix of 0 and 1, got "
            f"{kind!r} of shape {y.shape}. Use "
            "sklearn.multioutput.MultiOutputClassifier for it."
        )
    if kind not in (BINARY, MULTICLASS, MULTILABEL):
        check_classification_targets(y)  # raises, with scikit-learn's advice
    if kind == MULTILABEL:
        _warn_of_one_hot(y)
        return np.arange(y.shape[1]), kind
    classes = np.unique(y)
    if classes.dtype == object:  # strings, which get a dtype of their length
        classes = np.array(classes.tolist())
    return classes, kind


def _warn_of_one_hot(y):
    """Tell of labels that look as if they were classes."""
    n_rows, n_labels = y.shape
    present = y != 0
    of_row, of_label = present.sum(axis=1), present.sum(axis=0)
    if n_rows > n_labels > 1 and (of_row == 1).all() and (of_label > 0).all():
        warnings.warn(
            f"y has exactly one 1 in every row. A matrix stands for {n_labels} labels "
            "that a row may have or not, independent of each other. For one class out "
            f"of {n_labels} pass y.argmax(axis=1)."
        )


def missing_classes(y, classes, kind):
    """Classes that do not occur; labels that every row has, or none, if multilabel.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
    classes : ndarray
    kind : str

    Returns
    -------
    list
    """
    if kind != MULTILABEL:
        return np.setdiff1d(classes, y).tolist()
    present = (y != 0).mean(axis=0)
    return classes[(present == 0) | (present == 1)].tolist()


def check_known_classes(y, classes, kind, all_required, name="y"):
    """Refuse labels that a fitted classifier cannot learn.

    Parameters
    ----------
    y : ndarray
    classes : ndarray
        Of the classifier.
    kind : str
        Of the classifier's target.
    all_required : bool
        Whether every class must occur, as scikit-learn wants with ``warm_start``.
    name : str
        What the user calls `y`.
    """
    if _are_known(y, classes, kind) and not all_required:
        return
    found = unique_labels(dense_target(y))
    if all_required and set(found) != set(classes):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the "
            f"previous call to fit. Previously got {classes}, `y` has {found}"
        )
    if len(np.setdiff1d(found, classes, assume_unique=True)):
        raise ValueError(
            f"`{name}` has classes not in `self.classes_`. "
            f"`self.classes_` has {classes}. '{name}' has {found}."
        )
    is_multilabel = getattr(y, "ndim", 1) == 2
    if is_multilabel != (kind == MULTILABEL) or (
        is_multilabel and y.shape[1] != len(classes)
    ):
        expected = (
            f"(n_samples, {len(classes)})" if kind == MULTILABEL else "(n_samples,)"
        )
        before = "as before" if name == "y" else "as y"
        raise ValueError(f"{name} must have shape {expected} {before}, got {y.shape}.")


def _are_known(y, classes, kind):
    """True for a vector of integers that are all classes.

    scikit-learn's ways to find out take 0.15 ms, more than an epoch on a few rows.
    """
    if kind == MULTILABEL or type(y) is not np.ndarray or y.ndim != 1:
        return False
    if y.dtype.kind not in "biu" or classes.dtype.kind not in "biu":
        return False
    index = np.minimum(encode_index(y, classes), len(classes) - 1)
    return bool((classes[index] == y).all())


def encode_labels(y, classes, kind, dtype):
    """Labels as 0 and 1, one column per output.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
    classes : ndarray of shape (n_classes,)
    kind : str
    dtype : str

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
    """
    if kind == MULTILABEL:
        return np.ascontiguousarray(y != 0, dtype=dtype)
    index = encode_index(y, classes)
    if kind == MULTICLASS:
        return np.eye(len(classes), dtype=dtype)[index]
    return index.astype(dtype)[:, None]


def encode_index(y, classes):
    """Position of every label in the sorted classes, int64 of shape (n_samples,)."""
    return np.searchsorted(classes, y).astype(np.int64, copy=False)


def decode(raw, classes, kind):
    """Labels from raw predictions.

    Every inverse link rises with the raw prediction, so the largest probability is
    where the largest raw prediction is, and 0.5 is where it is 0. Scores without
    probabilities are read the same way.

    Parameters
    ----------
    raw : ndarray of shape (n_samples, n_outputs)
    classes : ndarray of shape (n_classes,)
    kind : str

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_labels)
    """
    if kind == MULTILABEL:
        return (raw > 0).astype(int)
    if kind == MULTICLASS:
        return classes[raw.argmax(axis=1)]
    if len(classes) == 1:
        return np.repeat(classes, len(raw))
    return classes[(raw[:, 0] > 0).astype(int)]


def dense_target(y):
    """Sparse multilabel targets as an array; they are as small as predictions."""
    return y.toarray() if issparse(y) else y


def count_classes(y, sample_weight, classes, kind):
    """Rows of every class, a row of weight 2 counted as two.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
    sample_weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    kind : str

    Returns
    -------
    ndarray of shape (n_classes,) or (n_labels, 2)
        For multilabel targets rows without and with each label.
    """
    if kind != MULTILABEL:
        index = encode_index(y, classes)
        return np.bincount(index, sample_weight, minlength=len(classes)).astype(float)
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    present = weight @ (y != 0)
    return np.stack([weight.sum() - present, present], axis=1)


def class_weights(class_weight, classes, kind, counts):
    """Weight of every class, from the parameter ``class_weight``.

    Parameters
    ----------
    class_weight : "balanced", dict, list of dict or None
    classes : ndarray of shape (n_classes,)
    kind : str
    counts : ndarray or None
        From :func:`count_classes`; needed for "balanced".

    Returns
    -------
    ndarray of shape (n_classes,) or (n_labels, 2), or None
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        occurring = counts > 0
        shares = occurring.sum(axis=-1, keepdims=True) * counts
        total = counts.sum(axis=-1, keepdims=True)
        return np.divide(total, shares, out=np.zeros_like(counts), where=occurring)
    if kind != MULTILABEL and isinstance(class_weight, dict):
        return _weights_of_dict(class_weight, classes)
    if (
        kind == MULTILABEL
        and isinstance(class_weight, list)
        and len(class_weight) == len(classes)
        and all(isinstance(item, dict) for item in class_weight)
    ):
        both = np.array([0, 1])
        return np.stack([_weights_of_dict(item, both) for item in class_weight])
    several = f"a list of {len(classes)} dicts, one per label"
    raise ValueError(
        f"class_weight must be None, 'balanced' or "
        f"{several if kind == MULTILABEL else 'a dict'} for {kind} y, got "
        f"{class_weight!r}."
    )


def _weights_of_dict(class_weight, classes):
    """Weight of every class: a finite number that is not negative."""
    for label, weight in class_weight.items():
        if not (isinstance(weight, Real) and 0 <= weight <= sys.float_info.max):
            raise ValueError(
                "class_weight must hold finite numbers that are not negative, got "
                f"{weight!r} for the class {label!r}."
            )
    return compute_class_weight(class_weight, classes=classes, y=classes)


def apply_class_weights(weights, y, classes, kind):
    """Class weight of every row; with several labels the product over them."""
    if kind != MULTILABEL:
        return weights[encode_index(y, classes)]
    present = (y != 0).astype(np.int64)
    return np.prod(weights[np.arange(len(classes)), present], axis=1)
