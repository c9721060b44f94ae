"""Classification."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, issparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import check_scoring

from nnfit.estimators.annotations import (
    ClassWeight,
    Dtype,
    FloatArray,
    RandomState,
    Rows,
    Scoring,
)
from nnfit.estimators.calibration import find_temperature
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.parameters import among
from nnfit.estimators.probabilities import inside, probabilities
from nnfit.estimators.recipe import CLASSIFIER
from nnfit.estimators.targets import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    apply_class_weights,
    check_known_classes,
    class_weights,
    count_classes,
    decode,
    dense_target,
    encode_index,
    encode_labels,
    find_classes,
    missing_classes,
)
from nnfit.estimators.validation import check_sum_of_weights
from nnfit.numpy_errors import without_numpy_errors
from nnfit.tabular.base import PARAMETERS, Tabular
from nnfit.tabular.data import Rows as RowsOfFit
from nnfit.tabular.judging import PredictedClasses


@partial(documented, texts=(PARAMETERS, CLASSIFIER))
class TabularClassifier(ClassifierMixin, Tabular):
    """The classifier of choice for tables: tables in, good predictions out.

    Several networks predict together, by their mean probabilities. Each has rows of its
    own held out. On these rows temperatures make the probabilities honest, and families
    of models get the weights that are best.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        What the predictions shall be good at: the name of a scikit-learn scorer, or a
        function ``scorer(estimator, X, y)``. It decides how networks are trained (with
        smoothed labels or not), which epoch is their best, and how families are
        weighted. None stands for the accuracy, and for the log-loss in the weights.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the labels if `y` is multilabel.
    leaderboard_ : dict of list
        A row for each family, that with the largest weight first: "family", "score" (of
        `scoring`) and "log_loss" on rows held out, "seconds" of training, "weight",
        "n_members".
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.
    n_iter_ : int
        Epochs, or trees, of the longest training.

    See Also
    --------
    TabularRegressor : The same for regression.
    RealMLPClassifier : One of the families.
    MLPClassifier : A network of which everything can be chosen.

    Examples
    --------
    >>> from nnfit import TabularClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TabularClassifier("fast", random_state=0, max_iter=30).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    """

    _parameter_constraints: dict = {
        **Tabular._parameter_constraints,
        "class_weight": [among(["balanced"]), dict, list, None],
    }
    _task = "classification"
    classes_: npt.NDArray[Any]

    def __init__(
        self,
        preset: Literal["fast", "default", "best"] = "default",
        *,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        partner: Literal["hist_gradient_boosting", "auto"] | None = "auto",
        n_members: int | None = None,
        max_iter: int | None = None,
        class_weight: ClassWeight | None = None,
        categorical_features: npt.ArrayLike | str | None = "from_dtype",
        random_state: RandomState | None = None,
        verbose: bool | int = False,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    # Targets -----------------------------------------------------------------

    def _learn_target(self, y, sample_weight):
        self.classes_, self._target_kind = find_classes(y)
        self._sparse_target = issparse(y)
        y = dense_target(y)
        counts = None
        if isinstance(self.class_weight, str):  # "balanced"
            counts = count_classes(y, sample_weight, self.classes_, self._target_kind)
        self._class_weights = class_weights(
            self.class_weight, self.classes_, self._target_kind, counts
        )
        return y

    def _check_target_again(self, y):
        check_known_classes(y, self.classes_, self._target_kind, False, "y_val")
        return dense_target(y)

    def _rows(self, X, y, sample_weight, name):
        weight = sample_weight
        if self._class_weights is not None:
            weight = apply_class_weights(
                self._class_weights, y, self.classes_, self._target_kind
            )
            weight = weight if sample_weight is None else weight * sample_weight
            weight = check_sum_of_weights(weight, f"class_weight times {name}")
        if self._target_kind == MULTILABEL:
            target = encode_labels(y, self.classes_, self._target_kind, "float64")
        else:
            target = encode_index(y, self.classes_)[:, None]
        return RowsOfFit(X, y, target, sample_weight, weight)

    def _labels(self, rows):
        return None if self._target_kind == MULTILABEL else rows.target[:, 0]

    def _scoring_of_members(self, data, splits):
        if self.scoring in (None, "loss") or callable(self.scoring):
            return self.scoring, []
        scorer = check_scoring(self, scoring=self.scoring)
        if getattr(scorer, "_response_method", "predict") == "predict":
            return self.scoring, []
        kind = self._target_kind
        for split in splits:
            y = data.held.y if split is None else data.held.y[split[1]]
            if missing := missing_classes(y, self.classes_, kind):
                shown = ", ".join(map(repr, missing[:3]))
                return "loss", [
                    f"Best epochs are those of least log-loss: {self.scoring!r} needs "
                    f"rows of every class, and some rows held out have none of {shown}."
                ]
        return self.scoring, []

    # Values: probabilities ---------------------------------------------------

    @property
    def _link(self):
        return "softmax" if self._target_kind == MULTICLASS else "logistic"

    def _find_temperature(self, raw, rows):
        return find_temperature(
            raw, rows.target, rows.loss_weight, self._target_kind, self._link
        )

    def _values(self, raw, temperature):
        raw = raw if temperature is None else raw / temperature
        return inside(probabilities(raw, self._target_kind, self._link))

    # The mean of honest probabilities is less sure than it could be.

    def _calibrated(self, values, rows):
        raw = self._raw(values)
        self._temperature = self._find_temperature(raw, rows)
        return self._values(raw, self._temperature)

    def _raw(self, values):
        """Raw predictions that stand for probabilities."""
        if self._target_kind == MULTICLASS:
            return np.log(values)
        ones = values[:, 1:] if self._target_kind == BINARY else values
        return np.log(ones) - np.log1p(-ones)

    def _losses(self, values, target):
        if self._target_kind == MULTILABEL:
            return -np.log(np.where(target > 0.5, values, 1 - values)).sum(axis=1)
        return -np.log(np.take_along_axis(values, target, axis=1)[:, 0])

    def _predicted(self, values):
        labels = self._decoded(values)
        return PredictedClasses(len(values), labels, values, self.classes_)

    def _decoded(self, values):
        kind = self._target_kind
        if kind != MULTICLASS:  # whose raw predictions are compared with 0
            values = (values[:, 1:] if kind == BINARY else values) - 0.5
        return decode(values, self.classes_, kind)

    # Predicting --------------------------------------------------------------

    @without_numpy_errors
    def predict_proba(self, X: Rows) -> FloatArray:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`, float64, between 0 and 1 exclusively. Rows sum
            to 1, except for multilabel targets, where each column is the probability of
            a label.
        """
        raw = self._raw(inside(self._mixture(self._check_rows(X)[0])))
        return self._values(raw, self._temperature)

    def predict_log_proba(self, X: Rows) -> FloatArray:
        """Predict logarithms of probabilities; always finite.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return np.log(self.predict_proba(X))

    def predict(self, X: Rows) -> npt.NDArray[Any] | Any:
        """Predict classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray or sparse matrix of shape (n_samples,) or (n_samples, n_labels)
            Class labels. For multilabel targets 0 and 1 per label, sparse if the
            training targets were.
        """
        labels = self._decoded(self.predict_proba(X))
        is_sparse = self._sparse_target and self._target_kind == MULTILABEL
        return csr_matrix(labels) if is_sparse else labels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
