"""Displays, the record of gradients they need, and what notebooks show."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.inspection import PartialDependenceDisplay
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import (
    ConfidenceDisplay,
    GradientFlowDisplay,
    MLPClassifier,
    MLPRegressor,
    NetworkDisplay,
    RealMLPClassifier,
    TabMClassifier,
    TabularClassifier,
    TabularRegressor,
    TrainingCurveDisplay,
    WeightsDisplay,
    diagnose,
)
from nnfit.callbacks import GradientMonitor
from nnfit.displays.confidence import wilson
from nnfit.displays.training_curve import best_epoch, score_name
from nnfit.estimators.notebook import duration, summary
from nnfit.estimators.tracing import sample_of, training_network
from nnfit.network.outline import outline, shortened
from nnfit.training.tracing import trace
from tests.pairs import quick_every

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Of matplotlib with a newer pyparsing than it knew.
    pytest.mark.filterwarnings("ignore:.* deprecated.* use '"),
]

DIGITS = load_digits(return_X_y=True)
X, Y = DIGITS[0][:400, :] / 16.0, DIGITS[1][:400]
DISPLAYS = (TrainingCurveDisplay, GradientFlowDisplay, WeightsDisplay, NetworkDisplay)


def classifier(**parameters):
    return MLPClassifier((12, 8), random_state=0, max_iter=6, **parameters)


MODELS = {
    "plain": lambda: classifier(early_stopping=True, learning_rate="cosine"),
    "residual": lambda: classifier(residual=True, normalization="layer"),
    "ensemble": lambda: classifier(n_members=2),
    "realmlp": lambda: RealMLPClassifier(max_iter=2, random_state=0),
    "tabm": lambda: TabMClassifier(max_iter=2, random_state=0),
}


@pytest.fixture(scope="module")
def models():
    """One of each, with the record of gradients."""
    return {
        name: make().set_callbacks(GradientMonitor(n_rows=50)).fit(X, Y)
        for name, make in MODELS.items()
    }


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("name", quick_every(2, MODELS))
def test_every_display_draws_every_model(name, display, models, pyplot):
    figure, axes = pyplot.subplots(1, 2)
    drawn = display.from_estimator(models[name], ax=axes[1])
    assert drawn.ax_ is axes[1] and drawn.figure_ is figure
    figure.canvas.draw()


def test_confidence_of_every_model(models, pyplot):
    for model in models.values():
        display = ConfidenceDisplay.from_estimator(model, X, Y)
        assert display.counts.sum() == len(X) and display.kind == "confidence"


@pytest.mark.parametrize("display", [*DISPLAYS, ConfidenceDisplay])
def test_bad_input(display, pyplot):
    rows = (X, Y) if display is ConfidenceDisplay else ()
    with pytest.raises(NotFittedError):
        display.from_estimator(classifier(), *rows)
    with pytest.raises(TypeError, match=f"{display.__name__} needs a"):
        display.from_estimator(LinearRegression().fit(X, Y), *rows)


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib(display, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.plot requires matplot"):
        display.from_estimator(models["plain"])


# ------------------------------------------------------------- single displays


def test_training_curve(models, pyplot):
    model = models["plain"]
    display = TrainingCurveDisplay.from_estimator(model)
    assert list(display.axes_) == ["loss", "score", "learning_rate"]
    for axes, columns in (
        ("loss", ["loss", "val_loss"]),
        ("score", ["val_score"]),
        ("learning_rate", ["learning_rate"]),
    ):
        lines = display.axes_[axes].get_lines()
        for line, column in zip(lines, columns, strict=False):
            np.testing.assert_array_equal(line.get_ydata(), model.history_[column])
    assert display.best_epochs == [1 + np.argmax(model.history_["val_score"])]
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    expected = ["training", "validation", f"best epoch {display.best_epochs[0]}"]
    assert texts == expected
    assert display.axes_["score"].get_ylabel() == "validation\naccuracy"
    assert TrainingCurveDisplay.from_estimator(models["ensemble"]).axes_.keys() == {
        "loss"
    }


def test_the_best_epoch_without_early_stopping(models):
    assert best_epoch(models["residual"]) == 6  # of the lowest loss
    model = classifier().fit(X[:200], Y[:200], X_val=X[200:], y_val=Y[200:])
    model.history_["val_loss"][2] = 0.0
    assert best_epoch(model) == 3


def test_the_score_of_two_classes_is_named_as_that_of_more(models):
    assert score_name(models["plain"]) == "accuracy"
    assert score_name(classifier().fit(X[:100], Y[:100] > 4)) == "accuracy"


def test_training_curve_in_axes_at_a_place_of_their_own(models, pyplot):
    ax = pyplot.figure().add_axes((0.2, 0.2, 0.6, 0.6))
    display = TrainingCurveDisplay.from_estimator(models["plain"], ax=ax)
    assert display.ax_ is ax and len(display.axes_) == 3


def test_gradient_flow(models, pyplot):
    record = models["plain"].gradient_history_
    display = GradientFlowDisplay.from_estimator(models["plain"])
    for axes, name in ((display.ax_, "gradient"), (display.axes_["activation"],) * 2):
        name = "gradient" if axes is display.ax_ else "activation"
        drawn = [line.get_ydata() for line in axes.get_lines()]
        np.testing.assert_array_equal(np.transpose(drawn), record[name])
    assert record["layers"] == ["hidden 1", "hidden 2", "output"]
    with pytest.raises(ValueError, match=r"set_callbacks\(nnfit.callbacks.GradientMon"):
        GradientFlowDisplay.from_estimator(classifier().fit(X, Y))
    with pytest.raises(ValueError, match="member must be an integer from 0 to 1"):
        GradientFlowDisplay.from_estimator(models["ensemble"], member=2)


@pytest.mark.emulated
def test_the_record_of_gradients(any_engine):
    some = X[:50], Y[:50]
    model = classifier().set_callbacks(GradientMonitor(every=2, n_rows=25))
    model.fit(*some)
    assert model.gradient_history_["epoch"] == [2, 4, 6]
    # The last epoch's are those of the fitted network on the same rows.
    last = trace_of(model, *(each[::2] for each in some)).layers
    for name, values in (
        ("gradient", [layer.gradient for layer in last]),
        ("activation", [layer.size for layer in last]),
        ("dead", [layer.dead_share for layer in last]),
    ):
        np.testing.assert_allclose(model.gradient_history_[name][-1], values, rtol=1e-4)
    model.set_callbacks().fit(*some)
    assert not hasattr(model, "gradient_history_"), "it belongs to another fit"
    plain = classifier().fit(*some)
    np.testing.assert_array_equal(plain.coefs_[0], model.coefs_[0])


@pytest.mark.parametrize("parameters", [{"every": 0}, {"n_rows": 1.5}, {"every": True}])
def test_bad_parameters_of_the_monitor(parameters):
    with pytest.raises((TypeError, ValueError), match=r"every|n_rows"):
        GradientMonitor(**parameters)


def test_weights(models, pyplot):
    model = models["plain"]
    display = WeightsDisplay.from_estimator(model)
    assert display.image_shape == (8, 8) and not display.is_norm
    shown = display.image_.get_array()
    strongest = np.argmax(np.linalg.norm(model.coefs_[0], axis=0))
    image = model.coefs_[0][:, strongest].reshape(8, 8)
    np.testing.assert_array_equal(shown[:8, :8], image)
    assert np.ma.getmaskarray(shown)[8].all(), "between images is nothing"
    names = [f"pixel {i}" for i in range(64)]
    display = WeightsDisplay.from_estimator(model, feature_names=names)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert len(labels) == 30 and set(labels) < set(names)
    assert display.image_.get_array().shape == (30, 12)
    with pytest.raises(ValueError, match=r"64 features, got \(7, 7\)"):
        WeightsDisplay.from_estimator(model, image_shape=(7, 7))
    with pytest.raises(ValueError, match="each of the 64 features of the network, got"):
        WeightsDisplay.from_estimator(model, feature_names=["a"])


def test_weights_behind_embeddings(models, pyplot):
    display = WeightsDisplay.from_estimator(models["realmlp"], image_shape=None)
    assert display.is_norm and display.weights.shape == (64, 256)
    matrix = np.asarray(models["realmlp"].coefs_[0], np.float64)
    np.testing.assert_allclose(
        np.square(display.weights).sum(), np.square(matrix).sum()
    )


def test_confidence_of_two_classes(pyplot):
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=20000)
    model = SimpleNamespace(
        predict_proba=lambda X: np.c_[1 - chance, chance],
        classes_=np.array(["no", "yes"]),
        __sklearn_tags__=lambda: SimpleNamespace(estimator_type="classifier"),
    )
    y = np.where(rng.uniform(size=20000) < chance, "yes", "no")
    display = ConfidenceDisplay.from_estimator(model, None, y, n_bins=5)
    assert display.kind == "class" and len(display.predicted) == 5
    assert display.error < 0.01
    np.testing.assert_allclose(display.predicted, [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.01)
    heights = [bar.get_height() for bar in display.histogram_ax_.patches]
    np.testing.assert_array_equal(heights, display.counts)
    with pytest.raises(ValueError, match="n_bins must be an integer of at least 1"):
        ConfidenceDisplay.from_estimator(model, None, y, n_bins=0)


def test_confidence_of_quantiles_and_members(pyplot):
    y = X[:, 10] + np.random.default_rng(0).normal(scale=0.1, size=len(X))
    small = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
    model = MLPRegressor(loss="quantile", quantile=[0.1, 0.5, 0.9], **small).fit(X, y)
    display = ConfidenceDisplay.from_estimator(model, X, y)
    np.testing.assert_allclose(display.predicted, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(
        display.observed, np.mean(y[:, None] <= model.predict(X), axis=0)
    )
    members = MLPRegressor(n_members=2, **small).fit(X, y)
    display = ConfidenceDisplay.from_estimator(members, X, y)
    mean = members.predict(X)
    assert display.observed[3] == np.mean(y <= mean) and display.histogram_ax_ is None
    with pytest.raises(TypeError, match="Fit one with loss='quantile'"):
        ConfidenceDisplay.from_estimator(members.members_[0], X, y)


def test_interval_of_shares():
    low, high = wilson(np.array([0.0, 0.5]), np.array([10, 10]))
    np.testing.assert_allclose(low, [0.0, 0.2366], atol=1e-3)
    np.testing.assert_allclose(high, [0.2775, 0.7634], atol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_network(name, models, pyplot):
    model = models[name]
    display = NetworkDisplay.from_estimator(model)
    single = getattr(model, "members_", [model])[0]
    network, _ = single._fitted_network()
    n_members = len(getattr(model, "members_", [model]))
    assert display.n_parameters == n_members * network.n_parameters
    texts = [text.get_text() for text in display.ax_.texts]
    assert {"features", "hidden 1", "output"} <= set(texts)
    assert f"{display.n_parameters:,} parameters" in display.ax_.get_title(loc="left")
    # Every node is in one block, and blocks read what comes before them.
    blocks = outline(network)
    nodes = [node for block in blocks for node in block.nodes]
    assert sorted(nodes) == list(range(len(network.nodes)))
    assert all(max(b.inputs) < n for n, b in enumerate(blocks) if n)


def test_deep_networks_are_shortened(pyplot):
    model = MLPClassifier((5,) * 40, residual=True, max_iter=1, random_state=0)
    model.set_callbacks(GradientMonitor()).fit(X[:50], Y[:50])
    legend = GradientFlowDisplay.from_estimator(model).ax_.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == 12 and (names[0], names[-1]) == ("output", "hidden 1")
    display = NetworkDisplay.from_estimator(model)
    texts = [text.get_text() for text in display.ax_.texts]
    assert {"hidden 9", "29 more layers", "hidden 40", "output"} <= set(texts)
    assert "5 units, relu, residual, each" in texts
    assert "13 more layers" in summary(model)
    network, _ = model._fitted_network()
    assert display.n_parameters == network.n_parameters
    shown = shortened(outline(network), 14)
    assert sum(block.n_parameters for block in shown) == network.n_parameters
    assert [block.inputs for block in shown[1:]] == [(n,) for n in range(13)]


def test_a_pipeline_and_partial_dependence(pyplot):
    model = make_pipeline(StandardScaler(), classifier()).fit(X, Y)
    assert TrainingCurveDisplay.from_estimator(model).ax_ is not None
    display = PartialDependenceDisplay.from_estimator(
        model, X, [10, (10, 20)], target=3, grid_resolution=5
    )
    assert display.axes_.shape == (1, 2)


def test_a_mixture_shows_the_networks_of_its_first_family(pyplot):
    model = TabularClassifier("fast", n_members=2, random_state=0, max_time=2)
    model.set_callbacks(GradientMonitor(every=5, n_rows=50))
    model.fit(X[:200], Y[:200] > 4)
    members = model._parts[0].models
    histories = TrainingCurveDisplay.from_estimator(model).histories
    assert histories == [each.estimator.history_ for each in members]
    for display in (WeightsDisplay, NetworkDisplay, GradientFlowDisplay):
        assert display.from_estimator(model).ax_ is not None
        assert display.from_estimator(make_pipeline(model)).ax_ is not None
        with pytest.raises(NotFittedError):
            display.from_estimator(TabularClassifier())
    assert ConfidenceDisplay.from_estimator(model, X[200:], Y[200:] > 4).kind == "class"
    assert "<polyline" in model._repr_html_()
    model._parts[0].models = []  # as where the trees have all the weight
    for show in (TrainingCurveDisplay.from_estimator, lambda m: diagnose(m, X, Y)):
        with pytest.raises(TypeError, match="alone predicts"):
            show(model)
    assert "<polyline" not in model._repr_html_()


def test_quantiles_of_a_mixture_in_a_pipeline(pyplot):
    model = TabularRegressor("fast", n_members=1, random_state=0, max_iter=2)
    target = X[:200, 20] + 0.1 * Y[:200]
    pipeline = make_pipeline(StandardScaler(), model).fit(X[:200], target)
    display = ConfidenceDisplay.from_estimator(pipeline, X[200:], X[200:, 20])
    assert display.kind == "quantile" and len(display.predicted) == 7


def test_the_record_of_partial_fit_and_of_sparse_rows():
    model = classifier().set_callbacks(GradientMonitor())
    rows = scipy.sparse.csr_matrix(X)
    for _ in range(3):
        model.partial_fit(rows, Y, classes=np.arange(10))
    record = model.gradient_history_
    assert record["epoch"] == [1, 2, 3] and np.shape(record["gradient"]) == (3, 3)


# --------------------------------------------------------------------- tracing


def trace_of(model, X, y):
    sample = sample_of(model, X, y)
    return trace(*training_network(model, sample), sample.X, sample.target)


def test_gradients_are_derivatives_of_the_loss():
    rows, y = X[:50, 18:21], Y[:50] % 3
    model = MLPClassifier((2, 3), dtype="float64", max_iter=6, random_state=0)
    model.fit(rows, y)
    found = trace_of(model, rows, y)
    chance = model.predict_proba(rows)[np.arange(50), y]
    assert found.loss == pytest.approx(-np.log(chance).mean(), rel=1e-6)
    layer, coef, step = found.layers[1], model.coefs_[1], 1e-5
    slopes = np.empty_like(coef)
    for place in np.ndindex(coef.shape):
        kept, losses = coef[place], []
        for sign in (1, -1):
            coef[place] = kept + sign * step
            losses.append(trace_of(model, rows, y).loss)
        coef[place] = kept
        slopes[place] = (losses[0] - losses[1]) / (2 * step)
    assert layer.gradient == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


# ------------------------------------------------------------------- notebooks


@pytest.mark.parametrize("name", MODELS)
def test_what_notebooks_show(name, models):
    model = models[name]
    text = summary(model)
    assert len(text) < 12_000 and "<script" not in text
    assert (
        text in model._repr_html_() and text in model._repr_mimebundle_()["text/html"]
    )
    assert "hidden 1" in text and "<polyline" in text and " on cpu" in text
    assert not re.search(r"nan|inf\b", text)
    assert summary(clone(model)) == ""


def test_names_are_escaped_in_notebooks():
    def own(z):
        return (z, 1.0)

    own.__name__ = "<img src=x>"
    model = MLPClassifier((5,), activation=own, max_iter=3).fit(X[:50], Y[:50] > 4)
    assert "<img" not in summary(model)


def test_weights_that_do_not_fit_leave_the_diagram(models):
    model = clone(models["residual"]).fit(X, Y)
    model.coefs_ = model.coefs_[:1]
    assert summary(model) == "" and "MLPClassifier" in model._repr_html_()


@pytest.mark.parametrize(
    "seconds, text",
    [(0.001234, "0.0012 s"), (59.0, "59 s"), (720.0, "12 min"), (9000.0, "2.5 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
