"""Hidden units of a network as features for what comes after it."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.estimators.hidden import n_units
from nnfit.pages import LinkedToItsPage


class NetworkTransformer(
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    LinkedToItsPage,
    BaseEstimator,
):
    """Give the outputs of a network's hidden layer as features.

    Parameters
    ----------
    estimator : estimator of nnfit
        A classifier or regressor. A new one is fitted; one that is fitted already and
        shall stay as it is goes in as ``FrozenEstimator(estimator)``.
    layer : int, default=-2
        Number of the layer: 1 is the first hidden layer, -2 the last.

    Attributes
    ----------
    estimator_ : estimator of nnfit
        The fitted one.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` was a table with names that are strings.

    See Also
    --------
    MLPClassifier.hidden_features : The same of a fitted estimator.

    Examples
    --------
    >>> from nnfit import MLPClassifier, NetworkTransformer
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.frozen import FrozenEstimator
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8, 4), random_state=0, max_iter=300).fit(X, y)
    >>> NetworkTransformer(FrozenEstimator(network)).fit_transform(X).shape
    (150, 4)
    """

    _parameter_constraints: dict[str, Any] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "layer": [Interval(Integral, None, None, closed="neither")],
    }

    estimator_: Any

    def __init__(self, estimator: Any, *, layer: int = -2) -> None:
        self.estimator = estimator
        self.layer = layer

    def fit(self, X: Rows, y: npt.ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the network, unless it is frozen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets; not used where the network is frozen.
        **fit_params
            What the network's `fit` takes besides, such as ``sample_weight``; with
            scikit-learn's metadata routing what it has asked for.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid.
        NotFittedError
            If a frozen network is not fitted.
        """
        self._validate_params()
        is_frozen = isinstance(self.estimator, FrozenEstimator)
        network = self.estimator.estimator if is_frozen else clone(self.estimator)
        if not hasattr(network, "_as_mixture"):
            raise ValueError(
                "estimator must be an estimator of nnfit, such as MLPClassifier(), or "
                f"a FrozenEstimator of one, got {network!r}. In a Pipeline, its steps "
                "before the network come before the NetworkTransformer."
            )
        if not is_frozen:
            if get_config()["enable_metadata_routing"]:
                fit_params = process_routing(self, "fit", **fit_params).estimator.fit
            network.fit(X, y, **fit_params)
        self._n_features_out = n_units(network, self.layer)
        self.estimator_ = network
        return self

    def transform(self, X: Rows) -> FloatArray:
        """Outputs of the layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
        """
        check_is_fitted(self)
        return self.estimator_.hidden_features(X, self.layer)

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in `fit`."""
        return self._of_network("n_features_in_")

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the features, if `X` was a table with names that are strings."""
        return self._of_network("feature_names_in_")

    def _of_network(self, name):
        """An attribute of the fitted network."""
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        return getattr(self.estimator_, name)

    def get_metadata_routing(self) -> MetadataRouter:
        """What `fit` passes on.

        Returns
        -------
        MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=type(self).__name__).add(
            estimator=self.estimator, method_mapping=mapping
        )

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        return tags
