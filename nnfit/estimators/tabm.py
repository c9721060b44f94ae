"""TabM: members that share the weights of one network for tables.

Gorishniy, Kotelnikov and Babenko (2025), "TabM: advancing tabular deep learning with
parameter-efficient ensembling", ICLR, arXiv:2410.24210.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

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
from nnfit.estimators.parameters import CONSTRAINTS, among
from nnfit.estimators.recipe import CLASSIFIER, REGRESSOR, Recipe, recipe
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.selecting import select
from nnfit.estimators.targets import MULTICLASS
from nnfit.training.rules import Rules

#: Entries of parameters that both classes have.
PARAMETERS = """
preset : {"default", "paper"}, default="default"
    The values of the four parameters after it, where they are None. "default" is small
    enough for a CPU: 8 members, 128 units twice. "paper" is the reference: 32 members,
    512 units twice, adapters in all layers, and rows of its own for each member.
n_shared_members : int or None, default=None
    Number of members in one network that share its weights. Each has factors and a last
    layer of its own and is trained by its own loss. The prediction is the mean of their
    probabilities (in regression: predictions). `n_members` counts whole networks.
hidden_layer_sizes : array-like of shape (n_hidden_layers,) or None, default=None
    Number of units of each hidden layer; an int stands for one layer, an empty
    tuple for none.
member_adapters : {"all", "first"} or None, default=None
    Which layers have factors for each member: "all", which also have intercepts for
    each member (TabM), or the "first" alone, which is faster (TabM-mini).
member_rows : {"shared", "own"} or None, default=None
    Which rows members see in a step: all the same batch, or each its own.
select_members : bool, default=False
    Whether to keep, after the training, only members that together predict the
    validation data best. The first is the best one. As long as the loss falls, the
    member is added with which it falls most. With fewer members predictions are faster.
    `warm_start` and `partial_fit` go on with the members that are left.
learning_rate_init : float, default=0.002
    Step size.
weight_decay : float, default=0.0003
    Each step multiplies the weights, not the intercepts, by
    ``1 - learning_rate * weight_decay``.
dropout : float or array-like of shape (n_hidden_layers,), default=0.1
    Part of the units of each hidden layer, in [0, 1), that a line of a member does not
    use in training, drawn anew at every step; or one for each layer.
batch_size : int or "auto", default="auto"
    Rows per step; "auto" is 32 for fewer than 2,800 rows to train on, 64 for fewer than
    4,500, 128 for fewer than 6,400, 256 for fewer than 32,000, else 512.
max_iter : int, default=1000
    Most epochs of a call of `fit`, which early stopping nearly always ends before.
n_iter_no_change : int or np.inf, default=16
    Epochs without a better score on validation data after which `fit` stops. The
    weights of the best epoch are kept in any case. `partial_fit` stops by itself never.
validation_fraction : float, default=0.2
    The part of the training data set aside to find the best epoch, in (0, 1), unless
    `X_val` is given.
numeric_embedding : str, dict or None, default="piecewise_linear"
    What the network learns of each number before its first layer, as for
    `MLPClassifier`. Numbers have been brought to a normal distribution before, by their
    quantiles.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
        default="from_dtype"
    Columns of `X` that hold categories: a mask, numbers or names. "from_dtype" stands
    for all columns whose type is one of categories or strings.
category_embedding : dict or None, default=None
    How categories are taken, as for `MLPClassifier`; None stands for indicators of up
    to 64 categories, and none of the rows treated as missing.
"""

#: What the recipe has of the parameters of the plain estimators.
FIXED = {
    "solver": "adamw",
    "alpha": 0.0,
    "clip_norm": 1.0,
    "initialization": "uniform",
    "scaling": "quantile",
    "tol": 1e-9,  # an equal score is no better one
}
#: Names of the parameters that presets give a value.
SHAPE = ("n_shared_members", "hidden_layer_sizes", "member_adapters", "member_rows")
#: Missing categories are zeros.
CATEGORIES = {"category_embedding": {"mask": 0.0, "max_one_hot": 64}}
PRESETS = {
    "default": dict(zip(SHAPE, (8, (128, 128), "all", "shared"), strict=True)),
    "paper": dict(zip(SHAPE, (32, (512, 512), "all", "own"), strict=True)),
}


class TabM(Recipe):
    """What classifier and regressor share."""

    _presets = {name: shape | CATEGORIES for name, shape in PRESETS.items()}
    _rules = Rules(
        auto_batch=512,
        small_batches=((2800, 32), (4500, 64), (6400, 128), (32000, 256)),
    )
    _own_constraints = {
        "preset": [among(PRESETS)],
        "select_members": ["boolean"],
        **{name: [*CONSTRAINTS[name], None] for name in SHAPE},
    }

    def _keeps_best(self, incremental=False):
        return not incremental

    def _calibrate(self, validation, incremental):
        if self.select_members and self._standard("members") and not incremental:
            select(self, validation)
        super()._calibrate(validation, incremental)

    @property
    def selected_members_(self) -> list[int]:
        """Which of the members are left."""
        selected = self._standard("selected_members")
        if selected is None:
            raise AttributeError("selected_members_ needs a fit with select_members.")
        return list(selected)


@partial(documented, texts=(PARAMETERS, CLASSIFIER))
@recipe(MLPClassifier, **FIXED)
class TabMClassifier(TabM, MLPClassifier):
    """TabM, an ensemble in one network for tables, as a classifier.

    Members share the weights of one multi-layer perceptron. They differ by factors of
    their inputs and by their last layer, so an ensemble's accuracy costs little more
    than a network. Beside `MLPClassifier`: numbers are brought to a normal
    distribution and embedded by functions that are piecewise linear, gradients are
    clipped, a part of the rows is set aside, and the best epoch on them counts.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the labels if `y` is multilabel.
    selected_members_ : list of int
        Numbers of the members that are left, from 0; only with `select_members`.
    {attributes}
    out_activation_ : str
        Inverse link: 'softmax' for several classes, else 'logistic'.
    temperature_ : float
        What raw predictions are divided by, only with `temperature_scaling`.

    See Also
    --------
    TabMRegressor : The same for regression.
    RealMLPClassifier : A network without members, trained by another recipe.
    MLPClassifier : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import TabMClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TabMClassifier(random_state=0, max_iter=20).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        preset: Literal["default", "paper"] = "default",
        *,
        n_shared_members: int | None = None,
        hidden_layer_sizes: Sizes | None = None,
        member_adapters: Literal["all", "first"] | None = None,
        member_rows: Literal["shared", "own"] | None = None,
        select_members: bool = False,
        learning_rate_init: float = 0.002,
        weight_decay: float = 0.0003,
        dropout: Numbers = 0.1,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 1000,
        n_iter_no_change: int | float = 16,
        validation_fraction: float = 0.2,
        numeric_embedding: str | dict[str, Any] | None = "piecewise_linear",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
        class_weight: ClassWeight | None = None,
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

    # Probabilities of what is true, whose mean over the members is the ensemble's.

    def _part(self, raw, target):
        if self._target_kind == MULTICLASS:
            return np.take_along_axis(softmax(raw, axis=1), target.astype(int), axis=1)
        return expit(np.where(target > 0.5, raw, -raw))

    def _cost(self, mean):
        return -np.log(np.maximum(mean, np.finfo(float).tiny))


@partial(documented, texts=(PARAMETERS, REGRESSOR))
@recipe(MLPRegressor, target_scaling="standard", **FIXED)
class TabMRegressor(TabM, MLPRegressor):
    """TabM, an ensemble in one network for tables, as a regressor.

    Members share the weights of one multi-layer perceptron. They differ by factors of
    their inputs and by their last layer, so an ensemble's accuracy costs little more
    than a network. Beside `MLPRegressor`: numbers are brought to a normal
    distribution and embedded by functions that are piecewise linear, targets are
    standardised, gradients are clipped, a part of the rows is set aside, and the best
    epoch on them counts.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    selected_members_ : list of int
        Numbers of the members that are left, from 0; only with `select_members`.
    {attributes}
    out_activation_ : str
        Inverse link: 'identity'.

    See Also
    --------
    TabMClassifier : The same for classification.
    RealMLPRegressor : A network without members, trained by another recipe.
    MLPRegressor : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import TabMRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regr = TabMRegressor(random_state=0, max_iter=20).fit(X, y)
    >>> regr.score(X, y) > 0.3
    True
    """

    def __init__(
        self,
        preset: Literal["default", "paper"] = "default",
        *,
        n_shared_members: int | None = None,
        hidden_layer_sizes: Sizes | None = None,
        member_adapters: Literal["all", "first"] | None = None,
        member_rows: Literal["shared", "own"] | None = None,
        select_members: bool = False,
        learning_rate_init: float = 0.002,
        weight_decay: float = 0.0003,
        dropout: Numbers = 0.1,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 1000,
        n_iter_no_change: int | float = 16,
        validation_fraction: float = 0.2,
        numeric_embedding: str | dict[str, Any] | None = "piecewise_linear",
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        category_embedding: dict[str, Any] | None = None,
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

    # Errors, whose mean over the members is the ensemble's.

    def _part(self, raw, target):
        return raw - target

    def _cost(self, mean):
        return mean**2
