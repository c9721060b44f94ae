"""`diagnose`: networks broken on purpose, sound ones, and what a report looks like."""

import re

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import (
    Diagnosis,
    MLPClassifier,
    MLPRegressor,
    Symptom,
    TabularClassifier,
    diagnose,
)
from nnfit.diagnosis.report import KINDS
from tests.broken_networks import BROKEN, SOUND, cancer, classifier, iris, vanishing

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:The values of"
)


@pytest.mark.parametrize(("make", "kind"), BROKEN.items())
def test_what_is_broken_is_found(make, kind):
    model, X, y, val = make()
    report = diagnose(model, X, y, **val)
    (symptom, *_) = [each for each in report if each.kind == kind]
    assert abs(symptom.figure - symptom.threshold) > 0
    assert symptom.seen.endswith(".") and symptom.advice.endswith(".")


@pytest.mark.parametrize("make", SOUND)
def test_sound_networks_have_no_findings(make):
    model, X, y, val = make()
    report = diagnose(model, X, y, **val)
    assert not report, str(report)


def test_every_kind_has_a_broken_network():
    assert set(BROKEN.values()) == set(KINDS)


def test_the_report():
    report = diagnose(*vanishing()[:3])
    assert isinstance(report, Diagnosis) and isinstance(report[0], Symptom)
    assert [KINDS.index(each.kind) for each in report] == sorted(
        KINDS.index(each.kind) for each in report
    )
    assert report[0].kind == "vanishing_gradients" and report[0].where == ("hidden 1",)
    assert report[0].figure < report[0].threshold == 1e-3
    text = str(report)
    assert re.match(r"\d findings in MLPClassifier on 150 rows\n\n1\. vanish", text)
    assert "residual=True" in text and max(map(len, text.splitlines())) < 80
    assert "<td>vanishing_gradients</td><td>hidden 1</td>" in report._repr_html_()


def test_pipelines_searches_sparse_rows_and_members():
    X, y = cancer(scales=False)
    pipeline = make_pipeline(StandardScaler(), classifier(10, max_iter=30))
    assert not diagnose(pipeline.fit(X, y), X, y)
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1]}, cv=2).fit(X, y)
    assert not diagnose(search, X, y)
    X, y = iris()
    rows = scipy.sparse.csr_matrix(np.c_[100.0 * X[:, 0], X])
    model = classifier(10, max_iter=20, n_members=2).fit(rows, y)
    for member in model.members_:
        member.intercepts_[0][:] = -1e4
    found = {each.kind: each for each in diagnose(model, rows, y)}
    assert found["unscaled_features"].where == ("column 0 of X",)
    assert re.fullmatch(r"hidden 1 of member [01]", found["dead_units"].where[0])


def test_every_network_of_a_mixture_is_looked_at():
    X, y = iris()
    model = TabularClassifier("fast", n_members=2, max_iter=10, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    assert not diagnose(pipeline, X, y)
    _, network = model._as_mixture().networks
    network.history_["loss"][-1] = float("nan")
    network.intercepts_[0][:] = -1e4
    found = {each.kind: each.where for each in diagnose(pipeline, X, y)}
    assert found["learning_rate_high"] == ("member 1 of TabularNetwork",)
    assert found["dead_units"] == ("hidden 1 of member 1 of TabularNetwork",)
    for network in model._as_mixture().networks:
        network.intercepts_[-1][:] = [-50.0, 0.0, 50.0]
    given = {"X_val": X[::2], "y_val": y[::2]}
    found = {each.kind: each.where for each in diagnose(model, X, y, **given)}
    assert found["underfitting"] == ("TabularNetwork",)
    assert found["class_never_predicted"] == ("0", "1") and "shared_rows" in found


def test_by_lbfgs_and_with_labels():
    X, y = iris()
    assert not diagnose(MLPClassifier((5,), solver="lbfgs", alpha=1).fit(X, y), X, y)
    Y = np.c_[y == 0, X[:, 0] > 5].astype(int)
    Y[::30, 1] = 1
    found = diagnose(classifier(10).fit(X, Y), X, Y)
    assert [each.where for each in found if each.kind == "class_never_predicted"] == [
        ("1",)
    ]


def test_the_curve_tells_of_overfitting_where_no_rows_are_passed():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), rng.normal(size=200)
    model = MLPRegressor(hidden_layer_sizes=(50,), max_iter=60, learning_rate_init=0.01)
    model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    (found,) = [s for s in diagnose(model, X[:100], y[:100]) if s.kind == "overfitting"]
    assert "The validation loss was lowest in epoch" in found.seen


def test_a_loss_that_is_not_finite():
    X, y = iris()
    model = classifier(10, max_iter=10).fit(X, y)
    model.history_["loss"][-1] = float("nan")
    report = diagnose(model, X, y)
    assert [each.kind for each in report][:1] == ["learning_rate_high"]


def test_bad_input():
    X, y = iris()
    model = classifier(5, max_iter=5)
    with pytest.raises(ValueError, match="not fitted yet"):
        diagnose(model, X, y)
    model.fit(X, y)
    with pytest.raises(ValueError, match="4 features"):
        diagnose(model, X[:, :3], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        diagnose(model, X, y[:5])
    with pytest.raises(ValueError, match="y_val was not provided"):
        diagnose(model, X, y, X_val=X)
    with pytest.raises(TypeError, match="diagnose needs a fitted network of nnfit"):
        diagnose(LogisticRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="has classes not in"):
        diagnose(model, X, y + 5)
