"""The one place that knows which scikit-learn has callbacks.

From 1.9 on it is scikit-learn's `sklearn.callback`, which hands the callbacks of a
search or a pipeline on to the estimators inside. That API is experimental, so what
nnfit uses of it beyond its public names stands here. For older versions
`nnfit.callbacks.alone` has the same names for an estimator alone.
"""

from contextlib import contextmanager
from importlib import import_module

import sklearn

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    are_propagated = True
except ImportError:
    from nnfit.callbacks.alone import CallbackSupportMixin, with_callbacks

    are_propagated = False

__all__ = [
    "CallbackSupportMixin",
    "are_propagated",
    "callbacks_of",
    "check_propagation",
    "optional_import",
    "subtask",
    "with_callbacks",
    "without_fit",
]

#: Attributes of an estimator while it is being fitted.
OF_FIT = ("_callback_fit_ctx", "_skl_callbacks_to_teardown", "_training")


def callbacks_of(estimator):
    """Those that somebody has set, a list."""
    return vars(estimator).get("_skl_callbacks", [])


def check_propagation(name):
    """Refuse callbacks of a meta-estimator that would not reach those inside."""
    if not are_propagated:
        raise RuntimeError(
            f"{name} hands callbacks on to the estimators inside with scikit-learn 1.9 "
            f"or later, and this is {sklearn.__version__}. Set them on the estimator "
            "itself, or install a newer scikit-learn."
        )


def optional_import(name, who):
    """A package that nnfit does not need, or a sentence on how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{who} needs the package {name}. Install it with: pip install {name}"
        ) from error


@contextmanager
def subtask(context, estimator, callbacks):
    """Let an estimator of the same kind be fitted as a task of another one's fit.

    Its tasks become those of `context`. All callbacks go with it, those that are not
    propagated to other estimators too: to the user it is a part of the whole.

    Parameters
    ----------
    context : CallbackContext
        A leaf.
    estimator : estimator object
    callbacks : list
        Of the whole.
    """
    estimator._skl_callbacks = callbacks
    estimator._parent_callback_ctx = context
    try:
        yield
    finally:
        for name in ("_skl_callbacks", "_parent_callback_ctx"):
            vars(estimator).pop(name, None)


def without_fit(state):
    """State of an estimator without what belongs to a fit that goes on."""
    return {name: value for name, value in state.items() if name not in OF_FIT}
