"""Classes and probabilities: what a fitted classifier makes of a network's outputs."""

from nnfit.estimators import by_hand
from nnfit.estimators.calibration import find_temperature
from nnfit.estimators.overflow import saturated
from nnfit.estimators.predicting import FittedMLP
from nnfit.estimators.probabilities import inside, pooled, probabilities
from nnfit.estimators.targets import MULTICLASS, MULTILABEL
from nnfit.estimators.uncertainty import networks


class FittedClassifier(FittedMLP):
    """Part of `MLPClassifier` that reads what was fitted.

    ``classes_`` is an attribute that users may set, as the weights are.
    """

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

    def _calibrate(self, validation):
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
