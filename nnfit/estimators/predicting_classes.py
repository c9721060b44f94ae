"""Classes and probabilities: what a fitted classifier makes of a network's outputs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.utils.metaestimators import available_if

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import FloatArray, Rows, typed
from nnfit.estimators.calibration import find_temperature
from nnfit.estimators.losses import check_probabilities
from nnfit.estimators.overflow import saturated
from nnfit.estimators.predicting import FittedMLP
from nnfit.estimators.probabilities import inside, pooled, probabilities
from nnfit.estimators.targets import BINARY, MULTICLASS, MULTILABEL, decode
from nnfit.estimators.uncertainty import average, networks
from nnfit.numpy_errors import without_numpy_errors

#: Any: a sparse matrix of labels where those of the training were.
Labels: TypeAlias = npt.NDArray[Any] | Any


class FittedClassifier(FittedMLP):
    """Part of `MLPClassifier` that reads what was fitted.

    ``classes_`` is an attribute that users may set, as the weights are.
    """

    classes_: npt.NDArray[Any]
    temperature_: float

    @property
    def _target_kind(self):
        """Kind of the target; where no fit has seen it, as the weights say."""
        kept = vars(self).get("_target_kind")
        if kept is None:
            out_activation = getattr(self, "out_activation_", None)
            return by_hand.kind_of_outputs(self.coefs_, out_activation)
        return kept

    @_target_kind.setter
    def _target_kind(self, kind):
        vars(self)["_target_kind"] = kind

    @property
    def _label_binarizer(self):
        """That of scikit-learn's classifier, which may be set as there."""
        return by_hand.label_binarizer(self.classes_, self._target_kind)

    @_label_binarizer.setter
    def _label_binarizer(self, binarizer):
        self.classes_, self._target_kind = binarizer.classes_, binarizer.y_type_

    @without_numpy_errors
    def decision_function(self, X: Rows) -> FloatArray:
        """Raw predictions of the network, the scores that decide on the class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            For two classes one number for each row, above 0 for ``classes_[1]``; else
            a column for each class or label. If the loss has probabilities, the number
            for two classes is the logarithm of the odds. An ensemble returns the
            logarithms of its mean probabilities (of the odds for two classes and for
            labels), or its mean scores if the loss has no probabilities. Finite;
            float64, or float32 if network and `X` are.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid, or if float64 does not hold the outputs of a row, which
            the message names.
        """
        raw = self._raw(*self._check_rows(X))
        return raw[:, 0] if self._target_kind == BINARY else raw

    @without_numpy_errors
    def predict(self, X: Rows) -> Labels:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray or sparse matrix of shape (n_samples,) or (n_samples, n_labels)
            Class labels. For multilabel targets 0 and 1 per label, sparse if the
            training targets were.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid, or if float64 does not hold the outputs of a row, which
            the message names.
        """
        raw = self._raw(*self._check_rows(X))
        labels = decode(raw, self.classes_, self._target_kind)
        was_sparse = getattr(self, "_sparse_target", False)
        sparse = was_sparse and self._target_kind == MULTILABEL
        return csr_matrix(labels) if sparse else labels

    @typed(available_if(check_probabilities))
    @without_numpy_errors
    def predict_log_proba(self, X: Rows) -> FloatArray:
        """Predict logarithms of probabilities; always finite.

        Only where the loss has probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; of the type of `predict_proba`.
        """
        return np.log(self.predict_proba(X))

    @overload
    def predict_proba(
        self, X: Rows, n_passes: int | None = None, return_std: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def predict_proba(
        self, X: Rows, n_passes: int | None = None, *, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def predict_proba(
        self, X: Rows, n_passes: int | None = None, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...

    @typed(available_if(check_probabilities))
    @without_numpy_errors
    def predict_proba(
        self, X: Rows, n_passes: int | None = None, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict probabilities.

        Only where the loss has probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        n_passes : int or None, default=None
            Number of predictions with dropout as in training, whose mean is returned
            (Monte Carlo dropout). None stands for one prediction without dropout.
        return_std : bool, default=False
            Whether to return the standard deviation too, over the passes and over the
            members of an ensemble.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`, between 0 and 1 exclusively. Rows sum to 1,
            except for multilabel targets, where each column is the probability of
            a label. float64, or float32 if network and `X` are.
        std : ndarray of shape (n_samples, n_classes)
            Only with `return_std`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `X` is invalid, or if float64 does not hold the outputs of a row, which
            the message names.
        """
        X, given = self._check_rows(X)

        def predict(network, dropout):
            return network._probabilities(self, X, dropout, given)

        return average(self, n_passes, return_std, predict)

    def _check_outputs(self, n_outputs):
        by_hand.check_classes(self, n_outputs)

    def _raw(self, X, given):
        """Raw predictions, divided by the temperature; of an ensemble as one."""
        raws = [network._scaled(self, X, given=given) for network in networks(self)]
        if len(raws) == 1:
            return raws[0]
        together = pooled(raws, self._target_kind, self._link)
        return saturated(together, raws[0].dtype)

    def _scaled(self, whole, X, dropout=None, given=None):
        """Raw predictions of a single network, divided by its temperature."""
        raw = self._outputs(whole, X, True, dropout, given)
        if not hasattr(self, "temperature_"):
            return raw
        return saturated(raw / self.temperature_, raw.dtype)

    def _probabilities(self, whole, X, dropout, given):
        """Probabilities that a single network predicts, see `_outputs`."""
        scaled = hasattr(self, "temperature_")
        by_engine = (MULTICLASS, "softmax"), (MULTILABEL, "logistic")
        kind, link = self._target_kind, whole._link
        if (kind, link) in by_engine and not scaled:
            return inside(self._outputs(whole, X, False, dropout, given))
        raw = self._scaled(whole, X, dropout, given)
        return inside(probabilities(raw, kind, link))

    def _calibrate(self, validation, incremental):
        vars(self).pop("temperature_", None)
        if not self.temperature_scaling:
            return
        X, weight = validation.X, validation.sample_weight
        target, rows = validation.y, validation.rows
        if rows is not None:
            X, target = X[rows], target[rows]
            weight = None if weight is None else weight[rows]
        raw = self._outputs(self, X, True)
        self.temperature_ = find_temperature(
            raw, target, weight, self._target_kind, self._link
        )
