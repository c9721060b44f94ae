"""Losses of the classifier beside the log-loss, on every path of training."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.svm import LinearSVC

from nnfit import MLPClassifier, PopulationSearchCV, find_learning_rate
from nnfit.functions.losses import LOSSES, loss_options
from tests.conftest import identify, use_numpy_engine
from tests.cuda import tiles

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X = np.where(np.abs(X) < 0.3, 0.0, X)
WEIGHT = np.random.RandomState(0).randint(0, 4, size=150) / 2.0
TARGETS = {
    "binary": Y == 1,
    "multiclass": np.array(["a", "b", "c"])[Y],
    "multilabel": np.column_stack([Y == 0, Y > 0, X[:, 0] > 0]).astype(int),
}
NEW = [name for name in loss_options("classification") if name != "log_loss"]
WITHOUT_PROBABILITIES = [
    row.option
    for row in LOSSES.values()
    if row.task == "classification" and not row.has_probabilities
]


def classifier(loss, **changes):
    parameters = {
        "hidden_layer_sizes": (8,),
        "learning_rate_init": 0.02,
        "batch_size": 32,
        "max_iter": 4,
        "random_state": 0,
    }
    return MLPClassifier(loss=loss, **parameters | changes)


def assert_same(model, other, **tolerance):
    for mine, theirs in zip(
        (*model.coefs_, *model.intercepts_),
        (*other.coefs_, *other.intercepts_),
        strict=True,
    ):
        assert_allclose(mine, theirs, **tolerance or {"rtol": 0})


# on every path -----------------------------------------------------------------

PATHS = {
    "dense": ({}, {}),
    "weights": ({}, {"sample_weight": WEIGHT}),
    "class weights": ({"class_weight": "balanced"}, {}),
    "mixup": ({"mixup": 0.4, "dropout": 0.2}, {}),
    "stopped early": ({"early_stopping": True, "scoring": "loss"}, {}),
    "validated": ({}, {"X_val": X[::3], "sample_weight_val": WEIGHT[::3]}),
    "lbfgs": ({"solver": "lbfgs"}, {}),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("loss", NEW)
def test_it_trains_as_the_naive_engine(monkeypatch, loss, kind, path):
    y, (changes, given) = TARGETS[kind], PATHS[path]
    if path == "validated":
        given = {**given, "y_val": y[::3]}
    model = classifier(loss, dtype="float64", **changes)
    ours = clone(model).fit(X, y, **given)
    use_numpy_engine(monkeypatch)
    theirs = clone(model).fit(X, y, **given)
    assert_same(ours, theirs, rtol=1e-6, atol=1e-8)
    for column in ("loss", "val_loss", "val_score"):
        assert_allclose(ours.history_[column], theirs.history_[column], rtol=1e-6)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("loss", NEW)
def test_threads_and_sparse_rows_give_the_same(loss, kind):
    y = TARGETS[kind]
    one = classifier(loss, n_jobs=1).fit(X, y)
    assert one.coefs_[0].dtype == np.float32
    assert_same(classifier(loss, n_jobs=3).fit(X, y), one)
    sparse = classifier(loss).fit(csr_array(X), y)
    assert_same(sparse, one, rtol=1e-4, atol=1e-5)
    assert_array_equal(sparse.predict(csr_array(X)), one.predict(X))


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("loss", NEW)
def test_a_gpu_trains_the_same(loss, kind):
    y = TARGETS[kind][::5]
    model = classifier(
        loss, max_iter=2, batch_size=8, hidden_layer_sizes=(3,), dtype="float64"
    )
    with tiles.small_gpu():
        ours = clone(model).set_params(device="cuda").fit(X[::5], y)
    assert ours.device_ == "cuda:0"
    theirs = model.fit(X[::5], y)
    assert_same(ours, theirs, rtol=1e-9, atol=1e-11)
    assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("loss", NEW)
def test_training_goes_on(loss, kind):
    y = TARGETS[kind]
    whole = classifier(loss, tol=0.0).fit(X, y)
    parts = classifier(loss, tol=0.0, max_iter=2, warm_start=True)
    again = pickle.loads(pickle.dumps(parts.fit(X, y)))
    assert_same(again.fit(X, y), whole, rtol=1e-5, atol=1e-6)
    classes = None if kind == "multilabel" else np.unique(y)
    steps = classifier(loss)
    for _ in range(4):
        steps.partial_fit(X, y, classes=[0, 1, 2] if classes is None else classes)
    assert_same(steps, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("loss", NEW)
def test_ensembles_and_searches(loss, kind):
    y = TARGETS[kind]
    model = classifier(loss, n_members=3, max_iter=30).fit(X, y)
    scores = model.decision_function(X)
    assert scores.shape == (150,) if kind == "binary" else (150, 3)
    if loss in WITHOUT_PROBABILITIES:
        each = [member.decision_function(X) for member in model.members_]
        assert_allclose(scores, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)
    assert model.score(X, y) > 0.6
    search = PopulationSearchCV(classifier(loss), {"alpha": [1e-4, 1.0]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.3


def test_range_test():
    display = find_learning_rate(classifier("squared_hinge"), X, Y)
    assert 1e-4 < display.suggestion < 1.0


# focal loss -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_focal_loss_of_gamma_zero_is_the_log_loss(kind, dtype):
    focal = classifier("focal", focal_gamma=0.0, dtype=dtype).fit(X, TARGETS[kind])
    plain = classifier("log_loss", dtype=dtype).fit(X, TARGETS[kind])
    tolerance = 1e-3 if dtype == "float32" else 1e-9
    assert_same(focal, plain, rtol=tolerance, atol=tolerance)
    assert focal.out_activation_ == plain.out_activation_


@pytest.mark.parametrize("kind", TARGETS)
def test_larger_gamma_makes_predictions_less_sure(kind):
    def sureness(gamma):
        model = classifier("focal", focal_gamma=gamma, solver="lbfgs", max_iter=60)
        probability = model.fit(X, TARGETS[kind]).predict_proba(X)
        return np.abs(probability - 0.5).mean()

    assert sureness(0.0) > sureness(2.0) > sureness(5.0)


@pytest.mark.parametrize("kind", TARGETS)
def test_temperature_makes_up_for_the_focal_loss(kind):
    # Mukhoti et al. (2020), arXiv:2002.09437: what is not sure enough gets a T below 1.
    rng = np.random.RandomState(1)
    y = TARGETS[kind].copy()
    y[rng.uniform(size=150) < 0.1] = y[0]
    linear = {"hidden_layer_sizes": (), "solver": "lbfgs", "max_iter": 100}
    model = classifier("focal", focal_gamma=4.0, temperature_scaling=True, **linear)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert 0.05 < model.temperature_ < 1.0


def test_focal_gamma_is_refused_below_zero():
    with pytest.raises(ValueError, match="'focal_gamma' parameter"):
        classifier("focal", focal_gamma=-0.5).fit(X, Y)


# losses without probabilities -----------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_squared_hinge_is_that_of_linear_svc(kind):
    """One versus the rest, and a penalty of the same strength."""
    alpha, linear = 0.5, {"hidden_layer_sizes": (), "solver": "lbfgs", "tol": 1e-9}
    ours = classifier("squared_hinge", alpha=alpha, max_iter=5000, **linear)
    ours.fit(X, TARGETS[kind])
    # It penalises the intercept, over the scaling.
    svc = LinearSVC(C=1 / alpha, intercept_scaling=1e3, tol=1e-9, dual=False)
    svc.fit(X, TARGETS[kind])
    assert_allclose(ours.decision_function(X), svc.decision_function(X), atol=0.02)
    assert_array_equal(ours.predict(X), svc.predict(X))


@pytest.mark.parametrize("loss", WITHOUT_PROBABILITIES)
def test_no_probabilities(loss):
    model = classifier(loss)
    for estimator in (model, clone(model).fit(X, Y), clone(model).fit(X, Y > 0)):
        for name in ("predict_proba", "predict_log_proba"):
            assert not hasattr(estimator, name)
            message = f"'MLPClassifier' has no attribute '{name}'"
            with pytest.raises(AttributeError, match=message) as caught:
                getattr(estimator, name)
            reason = str(caught.value.__cause__)
            assert f"not available for loss={loss!r}" in reason
            for advice in ("decision_function", "CalibratedClassifierCV", "'log_loss'"):
                assert advice in reason
    assert model.fit(X, Y).out_activation_ == "identity"


@pytest.mark.parametrize("loss", WITHOUT_PROBABILITIES)
def test_the_loss_of_the_fit_decides(loss):
    model = classifier("log_loss").fit(X, Y)
    probability = model.predict_proba(X)
    model.set_params(loss=loss)
    assert_array_equal(model.predict_proba(X), probability)
    model.fit(X, Y).set_params(loss="log_loss")
    assert not hasattr(model, "predict_proba")
    assert hasattr(model.fit(X, Y), "predict_proba")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_scores_can_be_calibrated(kind, method):
    y = TARGETS[kind]
    model = classifier("squared_hinge", max_iter=30)
    calibrated = CalibratedClassifierCV(model, method=method, cv=3).fit(X, y)
    probability = calibrated.predict_proba(X)
    assert_allclose(probability.sum(axis=1), 1.0)
    assert calibrated.score(X, y) > 0.85


@pytest.mark.parametrize("scoring", ["accuracy", "loss", None])
def test_scores_of_a_loss_without_probabilities(scoring):
    model = classifier("squared_hinge", early_stopping=True, scoring=scoring)
    assert len(model.fit(X, Y).validation_scores_) > 0
    ranked = classifier("squared_hinge", early_stopping=True, scoring="roc_auc")
    assert max(ranked.fit(X, Y > 0).validation_scores_) > 0.9


def probabilities_wanted(estimator, X, y):
    return estimator.predict_proba(X)[0, 0]


def own(raw_prediction, y):
    r = raw_prediction - y
    return 0.5 * r * r, r


VALIDATED = {"early_stopping": True}


@pytest.mark.parametrize(
    ("loss", "changes", "error", "message"),
    [
        (
            "squared_hinge",
            {"temperature_scaling": True, **VALIDATED},
            ValueError,
            "needs 'log_loss' or 'focal' as the loss.*, got loss='squared_hinge'. Set",
        ),
        (
            "squared_hinge",
            {"scoring": "neg_log_loss", **VALIDATED},
            ValueError,
            "scoring='neg_log_loss' needs probabilities, .* scoring='loss'",
        ),
        (
            "squared_hinge",
            {"scoring": probabilities_wanted, **VALIDATED},
            AttributeError,
            "no attribute 'predict_proba'",
        ),
        *(
            (
                loss,
                {"label_smoothing": 0.1},
                ValueError,
                "label_smoothing needs 'log_loss' as the loss, got label_smoothing=0.1",
            )
            for loss in ("squared_hinge", "focal", own)
        ),
    ],
    ids=identify,
)
def test_what_does_not_fit_the_loss(loss, changes, error, message):
    for more in ({}, {"n_members": 2}):
        model = classifier(loss, **changes, **more)
        with pytest.raises(error, match=message):
            model.fit(X, Y)
        assert set(vars(model)) == set(model.get_params()), "as before"


def test_a_loss_that_is_not_for_every_kind_of_target(monkeypatch):
    monkeypatch.delitem(LOSSES, "focal_softmax")
    with pytest.raises(ValueError, match=r"needs binary or multilabel.*got multiclass"):
        classifier("focal").fit(X, Y)
    classifier("focal").fit(X, Y > 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", loss_options("classification"))
def test_far_predictions_do_not_break_a_fit(loss, dtype):
    """Rows so large that probabilities round to 0 and 1 from the first step on."""
    model = classifier(loss, dtype=dtype, learning_rate_init=1e-4)
    for y in TARGETS.values():
        model.fit(1e4 * X, y)
        assert np.isfinite(model.history_["loss"]).all()
        assert np.isfinite(model.decision_function(1e4 * X)).all()
