"""nnfit's and scikit-learn's networks, behind what a user puts before them."""

import math
import warnings

import numpy as np
from sklearn import neural_network
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import nnfit

#: Categories of a column that become indicators; rarer ones share one.
MOST_CATEGORIES = 30
NUMBERS = make_column_selector(dtype_include="number")
CATEGORIES = make_column_selector(dtype_exclude="number")


def prepared(network):
    """A pipeline: means for missing numbers, with indicators, all standardised, and
    indicators of categories; the target of a regression is standardised, too."""
    numbers = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MOST_CATEGORIES,
        sparse_output=False,
        dtype=np.float32,
    )
    prepare = make_column_transformer((numbers, NUMBERS), (categories, CATEGORIES))
    pipeline = make_pipeline(prepare, network)
    if is_classifier(network):
        return pipeline
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def plain(task, n_threads, seed):
    """nnfit's defaults."""
    cls = nnfit.MLPRegressor if task == "regression" else nnfit.MLPClassifier
    return prepared(cls(random_state=seed, n_jobs=n_threads))


def scikit_learn(task, n_threads, seed):
    """scikit-learn's defaults; BLAS takes the threads."""
    kind = "MLPRegressor" if task == "regression" else "MLPClassifier"
    return prepared(getattr(neural_network, kind)(random_state=seed))


class Recipe:
    """Ingredients of RealMLP's defaults, written as parameters, and four members.

    Robust scaling with a smooth clip, also of indicators; positions in 16 bins beside
    each number; rates of layers by their inputs.
    """

    def __init__(self, task, n_threads, seed):
        self.is_regression = task == "regression"
        self.given = dict(
            hidden_layer_sizes=(256, 256, 256),
            batch_size=256,
            alpha=0.0,
            solver="adamw",
            beta_2=0.95,
            initialization="data_driven",
            learning_rate="coslog4",
            dropout=0.15,
            dropout_schedule="flat_cosine",
            weight_decay=0.15,
            weight_decay_schedule="flat_cosine",
            max_iter=64,
            n_iter_no_change=np.inf,
            early_stopping=True,
            validation_fraction=0.2,
            n_members=4,
            random_state=seed,
            n_jobs=n_threads,
        )
        if self.is_regression:
            self.given |= dict(activation="mish", learning_rate_init=0.2)
        else:
            self.given |= dict(
                activation="selu",
                learning_rate_init=0.04,
                label_smoothing=0.1,
                scoring="accuracy",
            )

    def fit(self, X, y):
        numbers = list(X.select_dtypes("number"))
        filled = SimpleImputer(add_indicator=True, keep_empty_features=True)
        categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.prepare = make_column_transformer(
            (make_pipeline(filled, RobustSmooth()), NUMBERS),
            (make_pipeline(categories, RobustSmooth()), CATEGORIES),
        )
        Z = self.prepare.fit_transform(X, y).astype(np.float32)
        given = dict(self.given)
        if numbers:
            given["numeric_embedding"] = {
                "kind": "piecewise_linear_encoding",
                "n_bins": 16,
                "scale": 0.3,
                "keep_input": True,
                "features": list(range(len(numbers))),
            }
        if self.is_regression:
            self.scaler = StandardScaler()
            y = self.scaler.fit_transform(y[:, None])[:, 0]
        cls = nnfit.MLPRegressor if self.is_regression else nnfit.MLPClassifier
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe = cls(**{**given, "max_iter": 1, "n_members": 1}).fit(
                Z[:500], y[:500]
            )
            sizes = [coef.shape[0] for coef in probe.coefs_]
            given["learning_rate_factors"] = [1 / math.sqrt(n) for n in sizes]
            self.model = cls(**given).fit(Z, y)
        return self

    def predict(self, X):
        values = self.model.predict(self.prepare.transform(X).astype(np.float32))
        return self.scaler.inverse_transform(values[:, None])[:, 0]

    def predict_proba(self, X):
        return self.model.predict_proba(self.prepare.transform(X).astype(np.float32))

    @property
    def classes_(self):
        return self.model.classes_


def recipe(task, n_threads, seed):
    return Recipe(task, n_threads, seed)


class RobustSmooth(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        X = np.asarray(X, float)
        q = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
        low, high = X.min(0), X.max(0)
        w, w2 = q[2] - q[0], (high - low) / 2
        self.scale_ = np.where(
            w > 0,
            1 / np.where(w > 0, w, 1),
            np.where(w2 > 0, 1 / np.where(w2 > 0, w2, 1), 0),
        )
        self.middle_ = q[1]
        return self

    def transform(self, X):
        z = self.scale_ * (np.asarray(X, float) - self.middle_)
        return z / np.sqrt(1 + (z / 3) ** 2)
