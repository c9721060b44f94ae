"""Validation data: what training watches while it goes on."""

import math
import warnings
from contextlib import nullcontext

import numpy as np
from sklearn.metrics import check_scoring

from nnfit.estimators import resuming
from nnfit.estimators.columns import category_columns
from nnfit.estimators.losses import check_scorer
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.overflow import Overflow
from nnfit.estimators.standardising import (
    FEW_ROWS,
    are_rounded,
    moments,
    standardised,
)
from nnfit.estimators.validation import check_validation_data, check_weights
from nnfit.network.fitted import loss_unit
from nnfit.numpy_errors import numpy_errors_of_caller
from nnfit.training.loop import Validation
from nnfit.training.splits import group_split, split_every_class, validation_split

#: Rows of training and of validation data that are compared, evenly spaced.
COMPARED = 256
#: Distance of the means in standard deviations of X, as the root mean square over the
#: features, each of which counts 10 at most. For raw data beside scaled ones it is 3.8
#: (iris) and 5.5 (breast cancer), for the last fifth of a trend beside the rest 2.
UNLIKE, MOST = 3.0, 10.0


def given_validation(estimator, given, training, is_raw):
    """Check ``X_val, y_val, sample_weight_val`` of ``fit`` and prepare to watch them.

    Parameters
    ----------
    estimator : BaseMLP
        Being fitted; knows its classes already.
    given : tuple
    training : tuple
        Features and encoded targets of the training data.
    is_raw : bool
        Whether nobody has checked and standardised them yet.

    Returns
    -------
    Validation
    """
    as_given, y, sample_weight = given
    dtype, n_columns = training[0].dtype.name, training[1].shape[1]
    X = as_given
    if is_raw:
        X, y = check_validation_data(estimator, X, y, dtype)
        X = standardised(estimator, as_given, X)
    X, y, target = encoded(estimator, X, y, dtype, ("X_val", "y_val"))
    if estimator._keeps_best() and X.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Early stopping needs at least 2 samples "
            f"in X_val, got {X.shape[0]}."
        )
    sample_weight = check_weights(sample_weight, X, "sample_weight_val")
    if target.shape[1] != n_columns:
        raise ValueError(
            f"y_val must have {n_columns} columns as y, got {target.shape[1]}."
        )
    loss_weight = estimator._loss_weights(y, sample_weight, "sample_weight_val")
    return watch(estimator, X, y, target, sample_weight, loss_weight, None)


def encoded(estimator, X, y, dtype, names):
    """Rows beside the first training data as the network takes them.

    Parameters
    ----------
    estimator : BaseMLP
    X, y
        Checked, and standardised.
    dtype : str
    names : tuple of str
        What the user calls both.

    Returns
    -------
    X, y, target
    """
    y = estimator._own_target(X, y)
    X = filled(estimator, X, names[0])
    y = estimator._check_target_again(y, names[1])
    return X, y, estimator._encode(y, dtype)


def check_alike(X, X_val):
    """Warn if validation data look as if steps of a pipeline had left them out.

    Parameters
    ----------
    X, X_val : ndarray or CSR matrix of shape (n_samples, n_features)
    """
    if X.shape[0] < FEW_ROWS:
        return
    mean, deviation, _ = moments(X[:: max(1, X.shape[0] // COMPARED)])
    mean_val, _, _ = moments(X_val[:: max(1, X_val.shape[0] // COMPARED)])
    varies = (deviation > 0) & ~np.isnan(mean_val)
    if not varies.any():
        return
    distance = np.abs(mean_val - mean)[varies] / deviation[varies]
    distance = float(np.sqrt(np.mean(np.minimum(distance, MOST) ** 2)))
    if distance > UNLIKE:
        warnings.warn(
            "X_val is unlike X: the means of its features are far from those of X, "
            f"{distance:.2g} standard deviations or more. The steps of a Pipeline "
            "transform X only. Let them transform X_val too with Pipeline(..., "
            "transform_input=['X_val']), or pass it transformed."
        )


def split_rows(estimator, data, groups, random_state):
    """Set rows aside by ``validation_fraction``.

    Parameters
    ----------
    estimator : BaseMLP
    data : tuple
        X, y, encoded targets, weights of the score and of the loss (or None).
    groups : ndarray of shape (n_samples,) or None
    random_state : numpy.random.RandomState

    Returns
    -------
    train_rows, validation_rows : ndarray of int64
    """
    _, y, target, _, loss_weight = data
    fraction = estimator.validation_fraction
    random_state = resuming.split_random_state(estimator, random_state)
    if groups is not None:
        split = group_split(groups, fraction, random_state)
    else:
        labels = estimator._stratify(y, target)
        split = validation_split(len(target), fraction, random_state, labels)
        if _needs_every_class(estimator) and estimator._missing_classes(y[split[1]]):
            labels = estimator._stratify(y, target, every=True)
            if labels is not None:
                split = split_every_class(labels, fraction, random_state) or split
    train_rows, validation_rows = split
    if loss_weight is not None:
        parts = {"training": train_rows, "validation": validation_rows}
        for part, rows in parts.items():
            if not loss_weight[rows].any():
                raise ValueError(
                    f"The weight of all {part} samples of the split by "
                    "validation_fraction is zero. Pass X_val and y_val, or leave out "
                    "samples of no weight."
                )
    return train_rows, validation_rows


def watch(estimator, X, y, target, sample_weight, loss_weight, rows):
    """Validation data with the score that ``scoring`` names.

    Parameters
    ----------
    estimator : BaseMLP
    X, y, target, sample_weight, loss_weight : ndarray or None
    rows : ndarray of int64 or None
        Those of the data; None for all. Copied only for a scorer of scikit-learn's.

    Returns
    -------
    Validation
    """
    scoring, try_first = estimator.scoring, False
    score = "loss" if scoring == "loss" else estimator._default_score()
    targets = estimator._standard("targets")
    if (
        score == "r2"
        and scoring is None
        and (
            estimator._standard("range") is not None
            or (targets is None and are_rounded(y, target))
        )
    ):
        scoring = "r2"  # of what is predicted, and of the targets that were given
    if scoring not in (None, "loss"):
        data = (X, y, sample_weight)
        if rows is not None:
            data = (None if item is None else item[rows] for item in data)
        score = _scikit_learn_score(estimator, scoring, *data)
        # Not by a function of the user's, which may count its calls, and not in a
        # regression: a score may need predictions that come with training, such as
        # positive ones.
        of_classes = isinstance(scoring, str) and not estimator._y_numeric
        try_first = of_classes and not hasattr(estimator, "coefs_")
    unit = loss_unit(estimator._loss_row()[0], targets)
    return Validation(X, target, loss_weight, rows, score, try_first, unit)


def _needs_every_class(estimator):
    """Whether the score compares columns, one for a class, with the classes of rows."""
    if estimator.scoring in (None, "loss"):
        return False
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    return getattr(scorer, "_response_method", "predict") != "predict"


def _scikit_learn_score(estimator, scoring, X, y, sample_weight):
    missing = estimator._missing_classes(y)
    scorer = check_scoring(estimator, scoring=scoring)
    check_scorer(estimator, scorer)
    # A copy predicts for the scorer: the estimator itself is as before until the fit
    # has succeeded. These rows have no feature names, so the copy has none either.
    view = type(estimator).__new__(type(estimator))
    view.__dict__.update(vars(estimator))
    # X has been encoded and standardised.
    codes = dict.fromkeys(category_columns(estimator))
    view._fitted = {**estimator._fitted, "features": None, "categories": codes}
    for name in ("feature_names_in_", "temperature_"):  # not calibrated yet
        view.__dict__.pop(name, None)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}

    of_user = callable(estimator.scoring)

    def score(engine):
        view._set_weights(engine.get_weights(engine.evaluated()))
        try:
            with numpy_errors_of_caller() if of_user else nullcontext():
                value = scorer(view, X, y, **weights)
        except Overflow:  # the training may yet end with the best weights before
            return math.nan
        except ValueError as error:
            if missing:
                raise ValueError(_advice(estimator, y, missing)) from error
            if of_user:
                raise
            raise ValueError(
                f"scoring={estimator.scoring!r} cannot score the validation data: "
                f"{error}"
            ) from error
        if missing and estimator._keeps_best() and np.isnan(value):
            raise ValueError(_advice(estimator, y, missing))
        return value

    return score


def _advice(estimator, y, missing):
    """What to do about classes that validation data lack and a score needs."""
    lack = f"have no row of the classes {missing}"
    if y.ndim == 2:
        lack = f"have only rows with, or only rows without, the labels {missing}"
    return (
        f"scoring={estimator.scoring!r} needs rows of every class, but the validation "
        f"data {lack}. Pass X_val and y_val that have them, raise validation_fraction, "
        "or choose another score, for example scoring='loss'."
    )
