"""RealMLP: a network for tables that is trained by one recipe.

Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: strong pre-tuned MLPs
and boosted trees on tabular data", NeurIPS, arXiv:2407.04491.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import get_scorer

from nnfit.estimators.annotations import (
    ClassWeight,
    Dtype,
    Numbers,
    RandomState,
    Scoring,
    Sizes,
)
from nnfit.estimators.categories import MOST_CODES
from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.embeddings import NUMERIC
from nnfit.estimators.parameters import NOT_NEGATIVE, PART, POSITIVE, among
from nnfit.estimators.recipe import CLASSIFIER, REGRESSOR, Recipe, recipe
from nnfit.estimators.regressor import MLPRegressor
from nnfit.network.chain import Body
from nnfit.training.rules import Rules

#: Entries of parameters that both classes have.
PARAMETERS = """
preset : {"td", "td_s"}, default="td"
    The recipe: "td", tuned defaults, or "td_s", its simple form at half the cost. The
    simple form has no embedding of numbers, learnt activations, dropout, weight decay,
    data-driven weights or bounds of predictions. Parameters at their default have the
    recipe's value.
hidden_layer_sizes : array-like of shape (n_hidden_layers,), default=(256, 256, 256)
    Number of units of each hidden layer; an int stands for one layer, an empty
    tuple for none.
max_iter : int, default=256
    Number of epochs of a call of `fit`. The schedules are spread over them, so fewer
    epochs make a faster recipe, not one that ends early.
batch_size : int or "auto", default="auto"
    Rows per step; "auto" is ``min(256, n_samples)``. Rows that do not fill a last batch
    are left out of the epoch.
weight_decay : float or None, default=None
    Each step multiplies the weights, not the intercepts, by
    ``1 - learning_rate * weight_decay``. The factor of the learning rate of a kind of
    weights counts squared here. None stands for 0.02 ("td") or 0 ("td_s"). The decay
    falls to 0 in the second half of the training.
dropout : float, array-like of shape (n_hidden_layers,) or None, default=None
    Part of the units of each hidden layer, in [0, 1), that a row does not use in
    training. None stands for 0.15 ("td") or 0 ("td_s"). It falls to 0 in the second
    half of the training.
numeric_embedding : str, dict or None, default="auto"
    What the network learns of each number before its first layer, as for
    `MLPClassifier`; "auto" stands for "pbld" ("td") or None ("td_s"). Its learning rate
    has the factor 0.1 unless a dict says otherwise.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
        default="from_dtype"
    Columns of `X` that hold categories: a mask, numbers or names. "from_dtype" stands
    for all columns whose type is one of categories or strings.
category_embedding : dict or None, default=None
    How categories are taken, as for `MLPClassifier`; "td_s" makes indicators of all.
    Indicators are scaled as numbers are, and codes are not masked.
early_stopping : bool, default=False
    Whether to stop when the score on validation data has not risen for 20 epochs and
    as many as the best one had needed. The weights of the best epoch are kept in any
    case, of equal ones the last.
validation_fraction : float, default=0.2
    The part of the training data set aside to find the best epoch, in (0, 1), unless
    `X_val` is given.
"""
#: Entry of a parameter that classifiers by this recipe have.
SMOOTHING = """
label_smoothing : float or "auto", default="auto"
    Part of the probability, in [0, 1), that the log-loss wants spread evenly over
    the classes. "auto" stands for 0.1, which helps the accuracy, and for 0 where
    `scoring` is a score of probabilities, such as "neg_log_loss" or "roc_auc".
"""

#: What the recipe has of the parameters of the plain estimators.
FIXED: dict[str, Any] = {
    "solver": "adamw",
    "alpha": 0.0,
    "beta_2": 0.95,
    "learning_rate": "coslog4",
    "dropout_schedule": "flat_cosine",
    "weight_decay_schedule": "flat_cosine",
    "tol": 0.0,
    "scaling": "robust",
}
#: What it has a rule of its own for.
WITHOUT: tuple[str, ...] = ("n_iter_no_change",)
#: What the presets have of them in classification and regression.
TD = {
    "weight_decay": 0.02,
    "dropout": 0.15,
    "numeric_embedding": "pbld",
    "category_embedding": {"mask": 0.0},  # missing ones are not trained
    "initialization": "data_driven",
}
TD_S = {
    "weight_decay": 0.0,
    "dropout": 0.0,
    "numeric_embedding": None,
    "category_embedding": {"max_one_hot": MOST_CODES},
    "initialization": "normal",
}
LABEL_SMOOTHING = 0.1
#: Factors of learning rates: of the learnt factors of inputs, of embeddings, and of
#: intercepts and of shares of activations.
SCALE_RATE, EMBEDDING_RATE, SLOW_RATE = 6.0, 0.1, 0.1
#: Epochs without improvement that a training has besides those of the best epoch.
PATIENCE = 20


class RealMLP(Recipe):
    """What classifier and regressor share."""

    _rules: Rules = Rules(
        auto_batch=256,
        drop_last=True,
        last_of_equals=True,
        patience_growth=1.0,
        is_plan=True,
    )
    _scales_indicators = True
    _own_constraints: dict[str, list] = {
        "preset": [among(["td", "td_s"])],
        "learning_rate_init": [*POSITIVE, None],
        "weight_decay": [*NOT_NEGATIVE, None],
        "dropout": [*PART, "array-like", None],
        "label_smoothing": [among(["auto"]), *PART],
    }

    def _value(self, name):
        if name == "n_iter_no_change":
            return PATIENCE if self.early_stopping else math.inf
        value = super()._value(name)
        if name == "numeric_embedding" and value is not None:
            return slow(value)
        return value

    def _keeps_best(self, incremental=False):
        return self.early_stopping or not incremental

    def _has_range(self):
        """Whether predictions stay within the range of the targets trained on."""
        return self.preset == "td"

    def _body(self):
        is_full = self.preset == "td"
        share = SLOW_RATE if is_full else None
        # A softmax of two classes, as RealMLP has it, in one output.
        has_pairs = self._loss_row()[0].link == "logistic"
        return tuple(Body(SCALE_RATE, share, SLOW_RATE, has_pairs))


def slow(embedding):
    """An embedding of numbers with a slower rate than the matrices."""
    given = {"kind": embedding} if isinstance(embedding, str) else embedding
    if "learning_rate_factor" not in NUMERIC.get(given.get("kind"), ()):
        return given  # it learns nothing
    return {"learning_rate_factor": EMBEDDING_RATE, **given}


@partial(documented, texts=(PARAMETERS, CLASSIFIER, SMOOTHING))
@recipe(MLPClassifier, WITHOUT, activation="selu", **FIXED)
class RealMLPClassifier(RealMLP, MLPClassifier):
    """RealMLP, a multi-layer perceptron for tables, as a classifier.

    A network that needs no tuning: its architecture and training were tuned together on
    many tables. Unlike in `MLPClassifier`, numbers are embedded by cosines,
    every input has a learnt factor, and every unit a learnt share of its activation.
    Kinds of weights have learning rates of their own, in four cycles. A part of the
    rows is set aside, and the epoch that is best on them is kept.

    Parameters
    ----------
    learning_rate_init : float or None, default=None
        Largest step size; None stands for 0.04.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the labels if `y` is multilabel.
    {attributes}
    out_activation_ : str
        Inverse link: 'softmax' for several classes, else 'logistic'.
    temperature_ : float
        What raw predictions are divided by, only with `temperature_scaling`.

    See Also
    --------
    RealMLPRegressor : The same for regression.
    MLPClassifier : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import RealMLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = RealMLPClassifier(random_state=0, max_iter=32).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    """

    _presets = {
        "td": {**TD, "learning_rate_init": 0.04},
        "td_s": {**TD_S, "learning_rate_init": 0.04},
    }

    def __init__(
        self,
        preset: Literal["td", "td_s"] = "td",
        *,
        hidden_layer_sizes: Sizes = (256, 256, 256),
        learning_rate_init: float | None = None,
        max_iter: int = 256,
        batch_size: int | Literal["auto"] = "auto",
        weight_decay: float | None = None,
        dropout: Numbers | None = None,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        label_smoothing: float | Literal["auto"] = "auto",
        numeric_embedding: str | dict[str, Any] | None = "auto",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
        class_weight: ClassWeight | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        temperature_scaling: bool = False,
        init_from: Any | None = None,
        freeze: int | str | npt.ArrayLike | None = None,
        unfreeze_at: int | None = None,
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        warm_start: bool = False,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    def _value(self, name):
        if name == "label_smoothing" and self._is_open(name):
            return 0.0 if _looks_at_probabilities(self.scoring) else LABEL_SMOOTHING
        return super()._value(name)


def _looks_at_probabilities(scoring):
    """Whether a score is one of probabilities; of a function nobody knows."""
    if scoring is None or scoring == "loss":
        return scoring is not None
    scorer = get_scorer(scoring)
    return "predict" not in np.atleast_1d(
        getattr(scorer, "_response_method", "predict")
    )


@partial(documented, texts=(PARAMETERS, REGRESSOR))
@recipe(MLPRegressor, WITHOUT, activation="mish", target_scaling="standard", **FIXED)
class RealMLPRegressor(RealMLP, MLPRegressor):
    """RealMLP, a multi-layer perceptron for tables, as a regressor.

    A network that needs no tuning: its architecture and training were tuned together on
    many tables. Unlike in `MLPRegressor`, numbers are embedded by cosines,
    every input has a learnt factor, and every unit a learnt share of its activation.
    Kinds of weights have learning rates of their own, in four cycles. A part of the
    rows is set aside, and the epoch that is best on them is kept.
    Targets are standardised, and predictions stay within the range of those trained on.

    Parameters
    ----------
    learning_rate_init : float or None, default=None
        Largest step size; None stands for 0.2 ("td") or 0.07 ("td_s").

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        Inverse link: 'identity'.

    See Also
    --------
    RealMLPClassifier : The same for classification.
    MLPRegressor : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import RealMLPRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regr = RealMLPRegressor(random_state=0, max_iter=32).fit(X, y)
    >>> regr.score(X, y) > 0.3
    True
    """

    _presets = {
        "td": {**TD, "learning_rate_init": 0.2},
        "td_s": {**TD_S, "learning_rate_init": 0.07},
    }

    def __init__(
        self,
        preset: Literal["td", "td_s"] = "td",
        *,
        hidden_layer_sizes: Sizes = (256, 256, 256),
        learning_rate_init: float | None = None,
        max_iter: int = 256,
        batch_size: int | Literal["auto"] = "auto",
        weight_decay: float | None = None,
        dropout: Numbers | None = None,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        numeric_embedding: str | dict[str, Any] | None = "auto",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        init_from: Any | None = None,
        freeze: int | str | npt.ArrayLike | None = None,
        unfreeze_at: int | None = None,
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        warm_start: bool = False,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    def _learn_range(self, y, loss_weight, rows):
        if not self._has_range():
            return
        y = y.reshape(len(y), -1)
        seen = np.ones(len(y), bool) if loss_weight is None else loss_weight > 0
        if rows is not None:
            seen[np.setdiff1d(np.arange(len(y)), rows)] = False
        low, high = y[seen].min(axis=0), y[seen].max(axis=0)
        before = self._standard("range")
        if before is not None:  # of earlier calls
            low = np.minimum(low, before["low"])
            high = np.maximum(high, before["high"])
        self._fitted["range"] = {"low": low, "high": high}
