"""Pretraining by contrast: what is learnt, what is passed on, and on which paths."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline

from nnfit import ContrastivePretrainer, MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = dict(
    hidden_layer_sizes=(16, 12), projection_size=8, max_iter=8, scaling="standard",
    batch_size=64, random_state=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture(scope="module")
def pretrainer(data):
    return ContrastivePretrainer(**SMALL).fit(data[0])


def test_rows_are_told_apart_better_than_by_chance(pretrainer, data):
    losses = pretrainer.loss_curve_
    assert losses[-1] < losses[0] < np.log(64) + 0.1
    features = pretrainer.transform(data[0])
    assert features.shape == (200, 12)
    assert features.shape[1] == len(pretrainer.get_feature_names_out())


def test_hidden_layers_are_passed_on_and_the_projection_is_not(pretrainer, data):
    X, y = data
    for sizes, report in (
        ((16, 12), ["taken", "taken", "new: init_from has no outputs"]),
        ((16, 12, 8), ["taken", "taken", "new: init_from has fewer layers",
                       "new: init_from has no outputs"]),
    ):  # fmt: skip
        start = dict(scaling="standard", init_from=pretrainer, freeze="body")
        network = MLPClassifier(sizes, max_iter=1, **start).fit(X, y)
        assert network.init_report_["layers"] == report
    frozen = MLPClassifier((16, 12), max_iter=1, **start).fit(X, y)
    np.testing.assert_array_equal(frozen.hidden_features(X), pretrainer.transform(X))


def test_a_mismatch_says_what_is_new(pretrainer, data):
    with pytest.warns(UserWarning, match="no layer that fits"):
        network = MLPClassifier((9,), max_iter=1, init_from=pretrainer).fit(*data)
    assert network.init_report_["layers"][0].startswith("new: ")


def test_early_stopping_is_by_the_loss_of_rows_set_aside(data):
    X, y = data
    options = SMALL | dict(early_stopping=True, n_iter_no_change=3, max_iter=40)
    fitted = ContrastivePretrainer(**options).fit(X, sample_weight=y + 1.0)
    scores = fitted.validation_scores_
    assert len(scores) == fitted.n_iter_
    assert fitted.best_validation_score_ == max(scores)
    assert -np.log(20) - 0.1 < scores[0] < 0  # 20 rows are set aside


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"solver": "adamw"}])
def test_threads_do_not_change_bits(data, options):
    X, y = data
    found = [
        ContrastivePretrainer(**SMALL | dict(max_iter=2, n_jobs=n_jobs), **options)
        .fit(X, sample_weight=y + 0.5)
        .coefs_
        for n_jobs in (1, 2)
    ]
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)


def test_sparse_rows_are_as_dense_ones(data):
    X = np.where(np.abs(data[0]) > 1.0, data[0], 0.0)
    options = SMALL | dict(max_iter=2, scaling=None)
    dense = ContrastivePretrainer(**options).fit(X)
    sparse = ContrastivePretrainer(**options).fit(scipy.sparse.csr_array(X))
    for one, two in zip(dense.coefs_, sparse.coefs_, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_tables_with_categories_and_missing_values(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    table = pandas.DataFrame(X[:, :4], columns=list("abcd"))
    table.loc[::7, "b"] = np.nan
    table["kind"] = pandas.Categorical(np.array(["p", "q", "r"])[np.arange(200) % 3])
    options = dict(categorical_features="from_dtype", scaling="standard")
    pretrainer = ContrastivePretrainer(**SMALL | options).fit(table)
    network = MLPClassifier((16, 12), max_iter=1, init_from=pretrainer, **options)
    network.fit(table[:50], y[:50])
    assert network.init_report_["layers"][:2] == ["taken", "taken"]
    named = pretrainer.set_output(transform="pandas").transform(table)
    assert next(iter(named.columns)) == "contrastivepretrainer0"


def test_pickles_clones_and_pipelines(pretrainer, data):
    X, y = data
    again = pickle.loads(pickle.dumps(pretrainer))
    assert np.array_equal(again.transform(X), pretrainer.transform(X))
    pipeline = make_pipeline(clone(pretrainer), MLPClassifier(max_iter=2))
    assert pipeline.fit(X, y).predict(X).shape == (200,)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"corruption_rate": 0.0}, "corruption_rate"),
        ({"temperature": 0.001}, "temperature"),
        ({"projection_size": 0}, "projection_size"),
        ({"solver": "lbfgs"}, "solver"),
        ({"hidden_layer_sizes": ()}, "must have a layer"),
    ],
)
def test_bad_parameters_are_named(data, parameters, words):
    with pytest.raises(ValueError, match=words):
        ContrastivePretrainer(**parameters).fit(data[0])


def test_validation_data_of_ones_own(data):
    X, _ = data
    fitted = ContrastivePretrainer(**SMALL).fit(X[:150], X_val=X[150:])
    losses = fitted.history_["val_loss"]
    assert len(losses) == fitted.n_iter_
    assert 0 < losses[0] < np.log(50) + 0.1
