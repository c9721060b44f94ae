"""What a user's type checker makes of nnfit's interface; nothing runs this.

.ci/run checks it by `mypy --strict`, against the installed package. Comments that
ignore an error are checks, too: mypy reports one that ignores nothing.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import nnfit
from nnfit import (
    ConfidenceDisplay,
    Diagnosis,
    LearningRateDisplay,
    MLPClassifier,
    MLPRegressor,
    PopulationSearchCV,
    RealMLPClassifier,
    RealMLPRegressor,
    Symptom,
    TabularClassifier,
    TabularRegressor,
    TrainingCurveDisplay,
    diagnose,
    find_learning_rate,
    warmup,
)
from nnfit.callbacks import Callback, Checkpoint, EarlyStopAt

Floats = npt.NDArray[np.floating[Any]]

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)


def swish(z: float) -> tuple[float, float]:
    s = 1.0 / (1.0 + np.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def squared(raw_prediction: float, y: float) -> tuple[float, float]:
    r = raw_prediction - y
    return 0.5 * r * r, r


# ---------------------------------------------------------------- the classifier

classifier = MLPClassifier(
    (50, 20),
    activation=["relu", swish],
    batch_size="auto",
    learning_rate=lambda progress: 1.0 - progress,
    random_state=np.random.RandomState(0),
    n_iter_no_change=np.inf,
    loss=squared,
    class_weight={"a": 1, "b": 2.5},
    dropout=[0.1, 0.2],
    dtype="float64",
)
MLPClassifier(hidden_layer_sizes=50, activation=swish, class_weight="balanced")
MLPClassifier([50, 20], class_weight=[{0: 1, 1: 2}], dropout=np.array([0.1, 0.2]))
MLPClassifier(np.array([50, 20]), scoring=lambda estimator, X, y: 0.0)

assert_type(classifier.fit(X, y), MLPClassifier)
classifier.fit([[0, 1], [1, 0]], ["a", "b"], [1.0, 2.0], groups=[1, 2])
classifier.fit(X, y, X_val=X, y_val=y, sample_weight_val=None)
assert_type(classifier.partial_fit(X, y, classes=[0, 1]), MLPClassifier)
assert_type(classifier.decision_function(X), Floats)
assert_type(classifier.predict_log_proba(X), Floats)
assert_type(classifier.predict_proba(X), Floats)
assert_type(classifier.predict_proba(X, 20), Floats)
assert_type(classifier.predict_proba(X, 20, return_std=True), tuple[Floats, Floats])
classes: npt.NDArray[np.str_] = classifier.predict(X)
assert_type(classifier.score(X, y), float)
assert_type(classifier.set_params(alpha=0.1), MLPClassifier)
assert_type(classifier.get_params(), dict[str, Any])

copied = MLPClassifier.from_arrays(
    classifier.coefs_, classifier.intercepts_, classifier.classes_, activation="tanh"
)
assert_type(copied, MLPClassifier)

assert_type(classifier.coefs_, list[Floats])
assert_type(classifier.intercepts_[-1], Floats)
assert_type(classifier.norms_, list[Floats])
assert_type(classifier.feature_shifts_, Floats)
assert_type(classifier.feature_scales_, Floats)
assert_type(classifier.classes_, npt.NDArray[Any])
assert_type(classifier.temperature_, float)
assert_type(classifier.loss_curve_, list[float])
assert_type(classifier.validation_scores_, list[float] | None)
assert_type(classifier.best_loss_, float | None)
assert_type(classifier.history_["val_loss"], list[float])
assert_type(classifier.n_iter_, int)
assert_type(classifier.out_activation_, str)
assert_type(classifier.members_, list[MLPClassifier])

MLPClassifier(max_iter="200")  # type: ignore[arg-type]
MLPClassifier(dtype="float16")  # type: ignore[arg-type]
MLPClassifier(activation=squared)  # type: ignore[arg-type]
MLPClassifier((50,), "relu", "adam")  # type: ignore[call-arg]
MLPClassifier(hidden_layers=(50,))  # type: ignore[call-arg]
classifier.fit(X)  # type: ignore[call-arg]
classifier.fit(None, y)  # type: ignore[arg-type]
classifier.predict_proba(X, n_passes=2.5)  # type: ignore[call-overload]


class Mine(MLPClassifier):
    """A subclass keeps its own type."""


assert_type(Mine().fit(X, y), Mine)
assert_type(Mine.from_arrays([X], [y], y), Mine)

# ----------------------------------------------------------------- the regressor

regressor = MLPRegressor("quantile", quantile=[0.1, 0.5, 0.9], solver="lbfgs")
assert_type(regressor.fit(X, X[:, 0]), MLPRegressor)
assert_type(regressor.partial_fit(X, X[:, 0]), MLPRegressor)
assert_type(regressor.predict(X), Floats)
assert_type(regressor.predict(X, 20, return_std=True), tuple[Floats, Floats])
either = regressor.predict(X, return_std=bool(y[0]))
assert_type(either, Floats | tuple[Floats, Floats])
assert_type(regressor.score(X, X[:, 0]), float)
assert_type(MLPRegressor.from_arrays([X], [y]), MLPRegressor)
MLPRegressor(label_smoothing=0.1)  # type: ignore[call-arg]

# ------------------------------------------------------------------- around them

search = PopulationSearchCV(
    MLPRegressor(),
    {"hidden_layer_sizes": [(10,), (20,)], "alpha": np.logspace(-4, 0, 5)},
    scoring=["r2", "neg_mean_squared_error"],
    refit="r2",
)
PopulationSearchCV(MLPRegressor(), param_distributions=[{"alpha": [0.1]}], n_iter=5)
assert_type(search.fit(X, y, sample_weight=y), PopulationSearchCV)
assert_type(search.best_params_, dict[str, Any])
assert_type(search.best_score_, float)
assert_type(search.best_index_, int)
assert_type(search.score(X, y), float)
search.predict(X)

display = find_learning_rate(classifier, X, y, n_steps=50)
assert_type(display, LearningRateDisplay)
assert_type(display.suggestion, float)
assert_type(display.smoothed_losses, Floats)
assert_type(display.plot(color="red"), LearningRateDisplay)

curve = TrainingCurveDisplay.from_estimator(classifier)
assert_type(curve, TrainingCurveDisplay)
assert_type(ConfidenceDisplay.from_estimator(classifier, X, y).error, float)
report = diagnose(classifier, X, y, X_val=X, y_val=y)
assert_type(report, Diagnosis)
assert_type(report[0], Symptom)
assert_type(report[0].figure, float)
assert_type([each.kind for each in report], list[str])

warmup("float32")
warmup(device="cuda", estimator=classifier, compute_capability="9.0")
warmup("float16")  # type: ignore[arg-type]

assert_type(nnfit.__version__, str)
nnfit.MLPClasifier  # type: ignore[attr-defined]  # noqa: B018

# ------------------------------------------------------------------------ recipes

recipe = RealMLPClassifier("td_s", label_smoothing="auto", categorical_features=[0])
assert_type(recipe.fit(X, y), RealMLPClassifier)
assert_type(RealMLPRegressor(learning_rate_init=None).fit(X, X[:, 0]), RealMLPRegressor)
assert_type(recipe.predict_proba(X), Floats)
RealMLPRegressor("slow")  # type: ignore[arg-type]
RealMLPRegressor(solver="sgd")  # type: ignore[call-arg]

# --------------------------------------------------------------- estimators of choice

choice = TabularRegressor("best", max_time=60, partner=None, scoring="r2").fit(
    X, X[:, 0]
)
assert_type(choice, TabularRegressor)
assert_type(choice.predict_quantiles(X, [0.1, 0.9]), Floats)
assert_type(choice.explain_choice(), str)
assert_type(TabularClassifier(class_weight="balanced").predict_proba(X), Floats)
TabularClassifier("slow")  # type: ignore[arg-type]

# -------------------------------------------------------------------------- callbacks


class Watch(Callback):
    def after_epoch(self, estimator: object, context: object) -> bool:
        return False


watched = MLPClassifier().set_callbacks(Watch(), EarlyStopAt(score=0.9))
assert_type(watched, MLPClassifier)
assert_type(watched.fit(X, y, resume_from=Path("fit.npz")), MLPClassifier)
assert_type(choice.set_callbacks(Checkpoint("fits", every=2)), TabularRegressor)
Checkpoint("fits", every="2")  # type: ignore[arg-type]
