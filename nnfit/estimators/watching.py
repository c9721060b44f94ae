"""Validation data: what training watches while it goes on."""

from sklearn.metrics import check_scoring

from nnfit.estimators import resuming
from nnfit.estimators.losses import check_scorer
from nnfit.estimators.standardising import standardised
from nnfit.estimators.validation import check_validation_data, check_weights
from nnfit.network.fitted import loss_unit
from nnfit.training.loop import Validation
from nnfit.training.splits import group_split, validation_split


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
        Whether nobody has standardised ``X_val`` yet.

    Returns
    -------
    Validation
    """
    as_given, y, sample_weight = given
    dtype, n_columns = training[0].dtype.name, training[1].shape[1]
    X, y = check_validation_data(estimator, as_given, y, dtype, estimator._y_numeric)
    if is_raw:
        X = standardised(estimator._fitted["features"], as_given, X)
    if estimator.early_stopping and X.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Early stopping needs at least 2 samples "
            f"in X_val, got {X.shape[0]}."
        )
    sample_weight = check_weights(sample_weight, X, "sample_weight_val")
    y = estimator._check_target_again(y)
    target = estimator._encode(y, dtype)
    if target.shape[1] != n_columns:
        raise ValueError(
            f"y_val must have {n_columns} columns as y, got {target.shape[1]}."
        )
    loss_weight = estimator._loss_weights(y, sample_weight)
    return _watch(estimator, X, y, target, sample_weight, loss_weight, None)


def split_validation(estimator, data, groups, random_state):
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
    train_rows : ndarray of int64
    validation : Validation
        The other rows; copied only for a scorer of scikit-learn's.
    """
    _, _, target, sample_weight, _ = data
    fraction = estimator.validation_fraction
    random_state = resuming.split_random_state(estimator, random_state)
    if groups is not None:
        split = group_split(groups, fraction, random_state)
    else:
        labels = estimator._stratify(target)
        split = validation_split(len(target), fraction, random_state, labels)
    train_rows, validation_rows = split
    if sample_weight is not None:
        parts = {"training": train_rows, "validation": validation_rows}
        for part, rows in parts.items():
            if not sample_weight[rows].any():
                raise ValueError(
                    f"sample_weight of all {part} samples of the split by "
                    "validation_fraction is zero. Pass X_val and y_val, or leave out "
                    "samples of no weight."
                )
    return train_rows, _watch(estimator, *data, validation_rows)


def _watch(estimator, X, y, target, sample_weight, loss_weight, rows):
    """Validation data with the score that ``scoring`` names."""
    score = "loss" if estimator.scoring == "loss" else estimator._default_score()
    if estimator.scoring not in (None, "loss"):
        data = (X, y, sample_weight)
        if rows is not None:
            data = (None if item is None else item[rows] for item in data)
        score = _scikit_learn_score(estimator, *data)
    unit = loss_unit(estimator._loss_row()[0], estimator._fitted["targets"])
    return Validation(X, target, loss_weight, rows, score, unit)


def _scikit_learn_score(estimator, X, y, sample_weight):
    scorer = check_scoring(estimator, scoring=estimator.scoring)
    check_scorer(estimator, scorer)
    # A copy predicts for the scorer: the estimator itself is as before until the fit
    # has succeeded. These rows have no feature names, so the copy has none either.
    view = type(estimator).__new__(type(estimator))
    view.__dict__.update(vars(estimator))
    view._fitted = {**estimator._fitted, "features": None}  # of X they are done
    for name in ("feature_names_in_", "temperature_"):  # nor is it calibrated yet
        view.__dict__.pop(name, None)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}

    def score(engine):
        arrays = engine.get_weights(engine.evaluated())
        view._set_weights(arrays)
        return scorer(view, X, y, **weights)

    return score
