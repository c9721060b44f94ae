"""From the parameter ``loss`` to a row of the registry, and what follows from the row.

Nothing here knows a loss by its name: kinds of target, parameters and whether there are
probabilities are fields of the rows.
"""

import numpy as np

from nnfit.functions.custom import custom_loss
from nnfit.functions.links import PROBABILITY_LINKS
from nnfit.functions.losses import LOSSES, loss_options, rows_of

#: Parameters of losses that do nothing at 0, their default. Others, such as the size of
#: an error, say how a loss works and not that it should: another loss ignores them.
SWITCHES = ("label_smoothing",)


def find_loss(estimator, kind=None):
    """Loss that an estimator trains with.

    Parameters
    ----------
    estimator : BaseMLP
    kind : str or None, default=None
        Of the target of a classifier.

    Returns
    -------
    loss : Loss
        Of the registry, or the user's own.
    parameters : tuple of float

    Raises
    ------
    ValueError
        If the loss is not for this kind of target.
    """
    if callable(estimator.loss):
        return custom_loss(estimator.loss, estimator._task), ()
    row = _row(estimator.loss, estimator._task, kind)
    values = (np.atleast_1d(estimator._value(name)) for name in row.parameters)
    return row, tuple(number for array in values for number in array.tolist())


def takes_index(loss, kind):
    """Whether a classifier's loss takes the number of the class as its target."""
    return not callable(loss) and _row(loss, "classification", kind).takes_index


def is_for(loss, kind):
    """Whether a classifier's loss can be trained on a kind of target."""
    if callable(loss):
        return True
    return any(kind in row.kinds for row in rows_of(loss, "classification"))


def _row(option, task, kind):
    rows = rows_of(option, task)
    for row in rows:
        if kind is None or kind in row.kinds:
            return row
    supported = " or ".join(kind for row in rows for kind in row.kinds)
    others = [name for name in loss_options(task) if is_for(name, kind)]
    raise ValueError(
        f"loss={option!r} needs {supported} targets, got {kind} y. Choose another loss "
        f"for it: {listed(others)}."
    )


def listed(names):
    """Names as the text of a message: 'a', 'b' or 'c'."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last


# Probabilities ---------------------------------------------------------------


def has_probabilities(loss):
    """Whether a classifier that trains with a loss predicts probabilities."""
    if not isinstance(loss, str):
        return True  # the user's; what is neither, or an unknown name, `fit` refuses
    return all(row.has_probabilities for row in rows_of(loss, "classification"))


def check_probabilities(classifier):
    """True, or the AttributeError that hides ``predict_proba``.

    What counts of a fitted classifier is the loss that it was fitted with.
    """
    link = getattr(classifier, "_link", None)
    fitted = link is not None
    if link in PROBABILITY_LINKS if fitted else has_probabilities(classifier.loss):
        return True
    raise AttributeError(
        f"Probability estimates are not available for loss={classifier.loss!r}. Use "
        "decision_function, wrap the classifier in "
        "sklearn.calibration.CalibratedClassifierCV, or fit it with "
        f"{listed(_with_probabilities())} as the loss."
    )


def check_scorer(estimator, scorer):
    """Refuse a scorer for probabilities, or for classes, where there are none.

    Parameters
    ----------
    estimator : BaseMLP
    scorer : callable
        From scikit-learn's ``check_scoring``.
    """
    method = getattr(scorer, "_response_method", "predict")
    methods = [method] if isinstance(method, str) else method  # any of several
    if estimator._task == "regression":
        if "predict" not in methods:
            raise ValueError(
                f"scoring={estimator.scoring!r} needs {listed(methods)}, which a "
                "regressor does not have. Choose a score for numbers, for example "
                "scoring='r2' or scoring='loss'."
            )
    elif method == "predict_proba" and not has_probabilities(estimator.loss):
        raise ValueError(
            f"scoring={estimator.scoring!r} needs probabilities, which "
            f"loss={estimator.loss!r} does not have. Choose another score, for example "
            f"scoring='loss', or {listed(_with_probabilities())} as the loss."
        )


def _with_probabilities():
    return [name for name in loss_options("classification") if has_probabilities(name)]


# Parameters that do not fit the loss -------------------------------------------


def check_loss_parameters(estimator):
    """Refuse parameters that are switched on and that the loss does not read.

    Parameters
    ----------
    estimator : BaseMLP

    Raises
    ------
    ValueError
    """
    for name in SWITCHES:
        value = estimator._value(name) if hasattr(estimator, name) else 0
        rows = [row for row in LOSSES.values() if name in row.parameters]
        readers = list(dict.fromkeys(row.option for row in rows))
        if value != 0 and estimator.loss not in readers:
            raise ValueError(
                f"{name} needs {listed(readers)} as the loss, got {name}={value!r} "
                f"with loss={estimator.loss!r}. Change the loss or leave {name} at 0."
            )


def check_temperature_scaling(estimator, has_validation):
    """Refuse a temperature where nothing can be scaled or tells how.

    Parameters
    ----------
    estimator : BaseMLP
    has_validation : bool
        Whether there are validation data.

    Raises
    ------
    ValueError
    """
    if not getattr(estimator, "temperature_scaling", False):
        return
    if not has_probabilities(estimator.loss):
        raise ValueError(
            f"temperature_scaling=True needs {listed(_with_probabilities())} as the "
            f"loss, which has probabilities to scale, got loss={estimator.loss!r}. Set "
            "temperature_scaling=False, or wrap the classifier in "
            "sklearn.calibration.CalibratedClassifierCV."
        )
    if not has_validation:
        raise ValueError(
            "temperature_scaling=True needs validation data, got none. Pass X_val and "
            "y_val, or let a solver other than 'lbfgs' set a part of the training data "
            "aside in fit with early_stopping=True."
        )
