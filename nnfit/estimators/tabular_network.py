"""The network of the estimator of choice for tables.

RealMLP's way of training (Holzmüller et al. 2024, arXiv:2407.04491) on a plain chain,
with the numbers embedded as TabM has it (Gorishniy et al. 2025, arXiv:2410.24210): by a
line and a piecewise linear function, which starts at zero. Inputs and activations learn
no factors. How many rows a batch has, and for the smallest tables how many epochs a
training, follows from the number of rows. `benchmarks.accuracy.study` chose the
defaults; docs/accuracy.rst has the figures.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy.typing as npt

from nnfit.estimators.annotations import (
    ClassWeight,
    Dtype,
    Numbers,
    RandomState,
    Scoring,
    Sizes,
)
from nnfit.estimators.classifier import MLPClassifier
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.parameters import CONSTRAINTS, NOT_NEGATIVE, PART, POSITIVE, among
from nnfit.estimators.realmlp import (
    FIXED,
    SMOOTHING,
    WITHOUT,
    RealMLPClassifier,
    RealMLPRegressor,
    slow,
)
from nnfit.estimators.recipe import CLASSIFIER, REGRESSOR, recipe
from nnfit.estimators.regressor import MLPRegressor
from nnfit.network.chain import Body
from nnfit.training.rules import Rules

#: Entries of parameters that both classes have.
PARAMETERS = """
preset : {"default", "fast"}, default="default"
    The recipe. "fast" takes a third of the time: it has fewer epochs.
hidden_layer_sizes : array-like of shape (n_hidden_layers,), default=(256, 256)
    Number of units of each hidden layer; an int stands for one layer, an empty
    tuple for none.
learning_rate_init : float or None, default=None
    Largest step size; None stands for 0.04 in classification and 0.2 in regression.
max_iter : int or "auto", default="auto"
    Epochs of a call of `fit`, over which the schedules are spread. "auto" is 64 (24 if
    "fast"), and 256 (80) for fewer than 150 rows to train on.
batch_size : int or "auto", default="auto"
    Rows per step; "auto" is 32 for fewer than 600 rows to train on, 64 for fewer than
    2,000, 128 for fewer than 12,000, else 256. What fills no batch is left out of an
    epoch.
weight_decay : float, default=0.02
    Each step multiplies the weights, not the intercepts, by
    ``1 - learning_rate * weight_decay``. Falls to 0 in the second half of the training.
dropout : float or array-like of shape (n_hidden_layers,), default=0.15
    Part of the units of each hidden layer, in [0, 1), that a row does not use in
    training. Falls to 0 in the second half.
numeric_embedding : str, dict or None, default="auto"
    What the network learns of each number before its first layer, as for
    `MLPClassifier`; "auto" stands for "piecewise_linear" with 16 bins. Its learning
    rate has the factor 0.1 unless a dict says otherwise.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
        default="from_dtype"
    Columns of `X` that hold categories: a mask, numbers or names. "from_dtype" stands
    for all columns whose type is one of categories or strings.
category_embedding : dict or None, default=None
    How categories are taken, as for `MLPClassifier`. Indicators are scaled as numbers
    are, and codes are not masked.
validation_fraction : float, default=0.2
    The part of the training data set aside to find the best epoch, in (0, 1), unless
    `X_val` is given. The weights of the best epoch are kept, of equal ones the last.
"""

#: What numbers become; a vector of 4 for each is as good as TabM's 16.
EMBEDDING = {"kind": "piecewise_linear", "n_bins": 16, "n_outputs": 4}
#: What the presets share.
SHARED = {
    "category_embedding": {"mask": 0.0},  # missing ones are not trained
    "initialization": "data_driven",
}
PRESETS = {"default": SHARED, "fast": SHARED}
#: Rows of a batch and numbers of epochs by rows to train on.
RULES = Rules(
    auto_batch=256,
    auto_epochs=64,
    small_epochs=((150, 256),),
    small_batches=((600, 32), (2000, 64), (12000, 128)),
    drop_last=True,
    last_of_equals=True,
    is_plan=True,
)
#: By preset.
RULES_OF = {
    "default": RULES,
    "fast": RULES._replace(auto_epochs=24, small_epochs=((150, 80),)),
}
#: Factor of the learning rate of intercepts.
SLOW_RATE = 0.1


class TabularNetwork:
    """What classifier and regressor share."""

    _own_constraints = {
        "preset": [among(PRESETS)],
        "max_iter": [among(["auto"]), *CONSTRAINTS["max_iter"]],
        "learning_rate_init": [*POSITIVE, None],
        "weight_decay": [*NOT_NEGATIVE],
        "dropout": [*PART, "array-like"],
        "label_smoothing": [among(["auto"]), *PART],
    }

    @property
    def _rules(self):
        return RULES_OF[self.preset]

    def _value(self, name):
        if name != "numeric_embedding":
            return super()._value(name)
        given = EMBEDDING if self._is_open(name) else self.numeric_embedding
        return None if given is None else slow(given)

    def _body(self):
        has_pairs = self._loss_row()[0].link == "logistic"
        return tuple(Body(None, None, SLOW_RATE, has_pairs))

    def _has_range(self):
        return True


@partial(documented, texts=(PARAMETERS, CLASSIFIER, SMOOTHING))
@recipe(MLPClassifier, WITHOUT, activation="selu", **FIXED)
class TabularNetworkClassifier(TabularNetwork, RealMLPClassifier):  # type: ignore[override]
    """A multi-layer perceptron for tables, as a classifier.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the labels if `y` is multilabel.
    {attributes}
    out_activation_ : str
        Inverse link: 'softmax' for several classes, else 'logistic'.
    temperature_ : float
        What raw predictions are divided by, only with `temperature_scaling`.
    """

    _presets = {
        name: {**preset, "learning_rate_init": 0.04} for name, preset in PRESETS.items()
    }

    def __init__(
        self,
        preset: Literal["default", "fast"] = "default",
        *,
        hidden_layer_sizes: Sizes = (256, 256),
        learning_rate_init: float | None = None,
        max_iter: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        weight_decay: float = 0.02,
        dropout: Numbers = 0.15,
        label_smoothing: float | Literal["auto"] = "auto",
        numeric_embedding: str | dict[str, Any] | None = "auto",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
        class_weight: ClassWeight | None = None,
        validation_fraction: float = 0.2,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        temperature_scaling: bool = False,
        init_from: Any | None = None,
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        warm_start: bool = False,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())


@partial(documented, texts=(PARAMETERS, REGRESSOR))
@recipe(MLPRegressor, WITHOUT, activation="mish", target_scaling="standard", **FIXED)
class TabularNetworkRegressor(TabularNetwork, RealMLPRegressor):  # type: ignore[override]
    """A multi-layer perceptron for tables, as a regressor.

    Targets are standardised, and predictions stay within the range of those trained on.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}
    out_activation_ : str
        Inverse link: 'identity'.
    """

    _presets = {
        name: {**preset, "learning_rate_init": 0.2} for name, preset in PRESETS.items()
    }

    def __init__(
        self,
        preset: Literal["default", "fast"] = "default",
        *,
        hidden_layer_sizes: Sizes = (256, 256),
        learning_rate_init: float | None = None,
        max_iter: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        weight_decay: float = 0.02,
        dropout: Numbers = 0.15,
        numeric_embedding: str | dict[str, Any] | None = "auto",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
        validation_fraction: float = 0.2,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        init_from: Any | None = None,
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        warm_start: bool = False,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())
