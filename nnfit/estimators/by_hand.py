"""Fitted attributes that users set themselves, copy from elsewhere or override.

scikit-learn's users give a new estimator the ``coefs_``, ``intercepts_`` and
``classes_`` of another, and reach for methods that are private there.
"""

from functools import cache

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from nnfit.functions.links import LINKS
from nnfit.functions.losses import BINARY, MULTICLASS, MULTILABEL

#: Methods of scikit-learn's networks that train or predict there, and are not called
#: here, so that overriding one would do nothing.
NOT_CALLED = frozenset(
    (
        *("_init_coef", "_forward_pass", "_forward_pass_fast", "_backprop"),
        *("_compute_loss_grad", "_loss_grad_lbfgs", "_fit_lbfgs", "_fit_stochastic"),
        *("_update_no_improvement_count", "_score_with_function"),
    )
)


def check_overridden(estimator, base):
    """Refuse to fit where a method is overridden that is not called.

    Parameters
    ----------
    estimator : BaseMLP
    base : type
        The class that overrides none.

    Raises
    ------
    TypeError
    """
    of_class = _overridden(type(estimator), base)
    names = [*of_class, *NOT_CALLED & vars(estimator).keys()]
    if names:
        raise TypeError(
            f"{type(estimator).__name__} has a method {names[0]} of its own, as for "
            "scikit-learn's networks, which nnfit does not call. Give it another name. "
            "Initial weights can be set with from_arrays and warm_start=True; "
            "activation, loss and scoring may be functions."
        )


@cache
def _overridden(cls, base):
    none = object()
    return [
        name
        for name in NOT_CALLED
        if getattr(cls, name, none) is not getattr(base, name, none)
    ]


def check_fitted(estimator):
    """Raise NotFittedError before `fit`, or if attributes set by hand are missing.

    `check_is_fitted` asks for the estimator's tags, which takes 20 microseconds.
    """
    kept = vars(estimator)
    if "members_" in kept:
        if "coefs_" in kept:
            raise ValueError(
                "members_ and coefs_ are both there, an ensemble and a single network. "
                "Delete one of them, or set coefs_ of the members."
            )
        return
    needed = estimator._needed_to_predict
    missing = [name for name in needed if name not in kept]
    if missing and "coefs_" not in kept:
        check_is_fitted(estimator, ["coefs_", "members_"], all_or_any=any)
    if missing:
        raise NotFittedError(
            f"This {type(estimator).__name__} has coefs_ and no {missing[0]}. Set all "
            f"of {', '.join(needed)}, or make the estimator with from_arrays."
        )
    n_layers = len(kept["coefs_"]) + 1
    if n_layers == 1:
        raise ValueError("coefs_ must be a list of matrices, got an empty one.")
    if kept.get("n_layers_", n_layers) != n_layers:
        raise ValueError(
            f"n_layers_ must be {n_layers}, one more than there are arrays in coefs_, "
            f"got {kept['n_layers_']}. Change coefs_ and intercepts_ along with it."
        )


def check_classes(classifier, n_outputs):
    """See that there is an output for each class.

    Parameters
    ----------
    classifier : MLPClassifier
    n_outputs : int
        Columns of the last of ``coefs_``.
    """
    n_classes, kind = len(classifier.classes_), classifier._target_kind
    if kind == BINARY:
        fits, needed = n_outputs == 1 and n_classes <= 2, 1
    else:
        fits, needed = n_outputs == n_classes, n_classes
    if not fits:
        raise ValueError(
            f"coefs_[-1] must have {needed} columns for {kind} targets with "
            f"{n_classes} classes_, got {n_outputs}. Make an estimator of other "
            "weights and classes with from_arrays."
        )


def link_of(out_activation, levels):
    """Inverse link that an estimator predicts with.

    Parameters
    ----------
    out_activation : str
        The attribute ``out_activation_``.
    levels : list of float
        Of quantiles.

    Returns
    -------
    str
        Key of `LINKS`.
    """
    if levels and out_activation == "identity":
        return "sorted"
    if out_activation not in LINKS or out_activation == "sorted":
        allowed = ", ".join(name for name in LINKS if name != "sorted")
        raise ValueError(
            f"out_activation_ must be one of {allowed}, got {out_activation!r}."
        )
    return out_activation


def name_of_link(link):
    """The attribute ``out_activation_``: quantiles are sorted raw predictions."""
    return "identity" if link == "sorted" else link


def kind_of_outputs(coefs, out_activation):
    """Kind of a classifier's target, where no fit has seen it."""
    if np.shape(coefs[-1])[-1] == 1:
        return BINARY
    return MULTILABEL if out_activation == "logistic" else MULTICLASS


def label_binarizer(classes, kind):
    """What scikit-learn's classifier keeps beside its ``classes_``."""
    from sklearn.preprocessing import LabelBinarizer  # only for those who look at it

    is_multilabel = kind == MULTILABEL
    fitted_on = np.eye(len(classes), dtype=int) if is_multilabel else classes
    return LabelBinarizer().fit(fitted_on)


def check_sorted(classes):
    """Classes that a user gives, as an array."""
    classes = np.asarray(classes)
    if classes.ndim != 1 or not np.array_equal(classes, np.unique(classes)):
        raise ValueError(
            f"classes must be different and sorted, got {classes!r}. Sort them, and "
            "the columns of the last weights and intercepts alike."
        )
    return classes


def plain_arrays(name, arrays):
    """Copies as C-contiguous float32 or float64, finite; `name` is for messages."""
    copies = [np.array(array, order="C") for array in arrays]
    for place, copy in enumerate(copies):
        if copy.dtype.kind not in "biuf" or not np.isfinite(copy).all():
            raise ValueError(
                f"{name} must hold arrays of finite numbers, got for layer {place}: "
                f"{copy!r}."
            )
    return [
        copy if copy.dtype == np.float32 else copy.astype(np.float64) for copy in copies
    ]
