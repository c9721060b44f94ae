"""nnfit's and scikit-learn's networks, behind what a user puts before them."""

import math

import numpy as np
from sklearn import neural_network
from sklearn.base import clone, is_classifier
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


def preparation():
    """Means for missing numbers, with indicators, all standardised, and indicators of
    categories."""
    numbers = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MOST_CATEGORIES,
        sparse_output=False,
        dtype=np.float32,
    )
    return make_column_transformer((numbers, NUMBERS), (categories, CATEGORIES))


def prepared(network):
    """A pipeline; the target of a regression is standardised, too."""
    pipeline = make_pipeline(preparation(), network)
    if is_classifier(network):
        return pipeline
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def plain(task, n_threads, seed):
    """nnfit's defaults, which scale and take categories and missing values."""
    scaling = {"scaling": "standard", "categorical_features": "from_dtype"}
    if task == "regression":
        scaling["target_scaling"] = "standard"
    return estimator(task, nnfit)(**scaling, random_state=seed, n_jobs=n_threads)


def realmlp(task, n_threads, seed):
    """nnfit's RealMLP with its defaults."""
    return estimator(task, nnfit, "RealMLP")(random_state=seed, n_jobs=n_threads)


def tabm(task, n_threads, seed):
    """nnfit's TabM with its defaults."""
    return estimator(task, nnfit, "TabM")(random_state=seed, n_jobs=n_threads)


def tabular(preset):
    """A maker of nnfit's estimator of choice."""

    def make(task, n_threads, seed):
        cls = estimator(task, nnfit, "Tabular")
        return cls(preset, random_state=seed, n_jobs=n_threads)

    return make


tabular_fast, tabular_default, tabular_best = map(tabular, ("fast", "default", "best"))


def estimator(task, library, name="MLP"):
    """The class of a task."""
    ending = "Regressor" if task == "regression" else "Classifier"
    return getattr(library, name + ending)


def scikit_learn(task, n_threads, seed):
    """scikit-learn's defaults; BLAS takes the threads."""
    return prepared(estimator(task, neural_network)(random_state=seed))


#: Ingredients of RealMLP's defaults, fewer epochs, and four members.
RECIPE = {
    "scaling": "robust",
    "numeric_embedding": {
        "kind": "piecewise_linear_encoding",
        "n_bins": 16,
        "scale": 0.3,
        "keep_input": True,
    },
    "categorical_features": "from_dtype",
    "category_embedding": {"max_one_hot": MOST_CATEGORIES},
    "hidden_layer_sizes": (256, 256, 256),
    "initialization": "data_driven",
    "solver": "adamw",
    "beta_2": 0.95,
    "batch_size": 256,
    "learning_rate": "coslog4",
    "alpha": 0.0,
    "weight_decay": 0.15,
    "weight_decay_schedule": "flat_cosine",
    "dropout": 0.15,
    "dropout_schedule": "flat_cosine",
    "max_iter": 64,
    "early_stopping": True,
    "n_iter_no_change": np.inf,  # all epochs, and the best of them
    "validation_fraction": 0.2,
    "n_members": 4,
}
#: What it has for one task only.
OF_TASK = {
    "classification": {
        "activation": "selu",
        "learning_rate_init": 0.04,
        "label_smoothing": 0.1,
        "scoring": "accuracy",
    },
    "regression": {
        "activation": "mish",
        "learning_rate_init": 0.2,
        "target_scaling": "standard",
    },
}


def recipe(task, n_threads, seed):
    """nnfit with parameters that are good for tables."""
    given = {**RECIPE, **OF_TASK[task], "random_state": seed, "n_jobs": n_threads}
    return Recipe(estimator(task, nnfit)(**given))


class Recipe:
    """A network whose layers learn by their number of inputs, as RealMLP's do.

    How many inputs the first one has is known after its bins and categories are.
    """

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        probe = clone(self.model).set_params(max_iter=1, n_members=1).fit(X, y)
        factors = [1.0 / math.sqrt(len(coef)) for coef in probe.coefs_]
        self.model.set_params(learning_rate_factors=factors).fit(X, y)
        return self

    def predict(self, X):
        return self.model.predict(X)

    def predict_proba(self, X):
        return self.model.predict_proba(X)

    @property
    def classes_(self):
        return self.model.classes_
