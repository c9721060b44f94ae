"""What a fitted estimator is made of, and the outputs of its network."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import FloatArray
from nnfit.estimators.hidden import HiddenFeatures
from nnfit.estimators.mixtures import Family, Mixture
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.overflow import finite_outputs
from nnfit.estimators.standardising import of_all_features, standardised
from nnfit.estimators.uncertainty import networks
from nnfit.estimators.validation import check_X
from nnfit.network import Weights, fitted
from nnfit.numpy_errors import without_numpy_errors
from nnfit.training import device
from nnfit.training.threads import prediction_operations


class FittedMLP(HiddenFeatures):
    """Part of `BaseMLP` that reads what was fitted, never the parameters alone.

    Weights and out_activation_ are attributes that users may set; the rest is the
    description in ``_fitted``, see `nnfit.network.fitted`.
    """

    # In the order of `nnfit.estimators.attributes`.
    members_: list[Self]
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    history_: dict[str, list[float]]
    gradient_history_: dict[str, list[Any]]
    init_report_: dict[str, list[str]]
    t_: int
    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    norms_: list[FloatArray]
    others_: list[FloatArray]
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    n_iter_: int
    n_layers_: int
    n_threads_: int
    device_: str
    n_outputs_: int
    stopped_: bool
    out_activation_: str

    def _description(self):
        """What was fitted; of weights that were set by hand the parameters tell."""
        kept = vars(self).get("_fitted")
        return fitted.describe(self._value, *self._loss_row()) if kept is None else kept

    def _standard(self, name):
        """What "features" or "targets" are standardised by, or None."""
        return vars(self).get("_fitted", {}).get(name)

    @property
    def _link(self):
        """Inverse link, by the attribute that users of scikit-learn may set."""
        name = vars(self).get("out_activation_")
        if name is None:
            return self._loss_row()[0].link
        return by_hand.link_of(name, self._description()["levels"])

    def _weights(self):
        """Those of the network, whose outputs have a unit and a zero of their own."""
        weights = Weights(
            list(map(np.asarray, self.coefs_)),
            list(map(np.asarray, self.intercepts_)),
            list(map(np.asarray, getattr(self, "norms_", ()))),
            list(map(np.asarray, getattr(self, "others_", ()))),
        )
        targets = self._standard("targets")
        return fitted.without_units(weights, targets, self._standard("dtype"))

    def _set_weights(self, weights):
        """Set the attributes that `_weights` reads."""
        vars(self).update(self._attributes_of(weights))

    def _attributes_of(self, weights):
        """Attributes that `_weights` would read these from."""
        weights = fitted.in_units(weights, self._standard("targets"))
        return {f"{name}_": arrays for name, arrays in weights._asdict().items()}

    def _as_mixture(self):
        """The networks that predict, see `nnfit.estimators.mixtures`."""
        by_hand.check_fitted(self)
        own = networks(self)
        temperatures = tuple(getattr(each, "temperature_", 1.0) for each in own)
        return Mixture([Family("", own, 1.0, temperatures)], self._link)

    @property
    def feature_shifts_(self) -> FloatArray:
        """What is subtracted from every feature."""
        return of_all_features(self, "shift", 0.0)

    @property
    def feature_scales_(self) -> FloatArray:
        """What every feature is divided by after that."""
        return of_all_features(self, "scale", 1.0)

    def _check_rows(self, X):
        """Rows to predict, as the engine takes them, and their type as given."""
        by_hand.check_fitted(self)
        weights = networks(self)[0]._weights()
        arrays = (*weights.coefs, *weights.intercepts)
        is_single = all(array.dtype == np.float32 for array in arrays)
        rows, given = check_X(self, X, "float32" if is_single else "float64")
        return standardised(self, X, rows), given

    def _outputs(self, whole, X, raw, dropout=None, given=None):
        """Outputs of a single network.

        Everything is local, so that any number of threads may predict at once.

        Parameters
        ----------
        whole : BaseMLP
            Whose `n_jobs` and `device` count: for a member, its ensemble.
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        raw : bool
            Whether the outputs are those before the inverse link.
        dropout : tuple or None, default=None
            As the engine's ``predict`` takes it.
        given : {numpy.float32, numpy.float64}, default=None
            Type of X as the user gave it; None stands for its own.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            Finite; float64 if `given` is, else of the network's dtype. The inverse link
            is applied in that type, so that probabilities sum to one in it.

        Raises
        ------
        Overflow
            If no type holds them.
        """

        def compute(X, raw):
            return self._compute(whole, X, raw, dropout, given)

        outputs = finite_outputs(compute, filled(self, X), raw)
        outputs = fitted.outputs_in_units(outputs, self._standard("targets"))
        return fitted.within(outputs, self._standard("range"))

    def _compute(self, whole, X, raw, dropout, given):
        """Outputs in the arithmetic of the type of `X`, see `_outputs`."""
        network, weights = self._fitted_network(whole._link, X)
        widens = given is np.float64 and network.dtype != "float64"
        outputs = whole._run_network(network, weights, X, raw or widens, dropout)
        if widens:
            outputs = outputs.astype(np.float64)
            if not raw:
                device.apply_link(outputs, whole._link)
        return outputs

    def _run_network(self, network, weights, X, raw, dropout=None):
        """Outputs of any network, where this estimator predicts."""
        operations = prediction_operations(network, X)
        where = device.resolve_prediction(self.device, X.shape[0], operations)
        threads = device.threads_for(where, self.n_jobs, operations, operations)
        with threads as n_threads:
            return device.load_engine(where).predict(
                network, weights, X, raw=raw, n_threads=n_threads, dropout=dropout
            )

    def _fitted_network(self, link=None, X=None):
        """The network that was fitted, and its weights, for rows that are checked.

        None stands for the fitted link, and for rows of the type of the training.
        """
        if X is None:
            X = np.empty((0, self.n_features_in_), self._standard("dtype"))
        link = self._link if link is None else link
        weights, described = self._weights(), self._description()
        sizes = fitted.sizes_of(weights.coefs, described.get("members"))
        if X.shape[1] != fitted.n_features_of(described, sizes):
            raise ValueError(
                f"coefs_[0] must have a row for each of the {X.shape[1]} features, "
                f"got the shape {weights.coefs[0].shape}."
            )
        self._check_outputs(sizes[-1])
        return fitted.network_for(described, link, sizes, X.dtype.name), weights

    @without_numpy_errors
    def _forward_pass_fast(self, X, check_input=True):
        """Predictions of the network itself, as scikit-learn's method has them."""
        given = None
        if check_input:
            X, given = self._check_rows(X)
        return self._outputs(self, X, False, given=given)
