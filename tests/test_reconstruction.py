"""Pretrainers that say again what rows are: DenoisingAutoencoder, MaskedPretrainer."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from nnfit import DenoisingAutoencoder, MaskedPretrainer, MLPClassifier

pd = pytest.importorskip("pandas")
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 5, "tol": 0.0, "random_state": 0}
BOTH = pytest.mark.parametrize("kind", [DenoisingAutoencoder, MaskedPretrainer])
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(np.float32), y


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    size = rng.normal(5.0, 2.0, 120)
    color = np.where(size > 5.0, "red", "blue").astype(object)
    color[::17] = None
    size[::11] = np.nan
    return pd.DataFrame({"size": size, "color": color, "n": rng.normal(size=120)})


@BOTH
def test_threads_and_pickles_give_equal_bits(kind, cancer):
    X, _ = cancer
    one = kind(**SMALL, n_jobs=1).fit(X)
    two = clone(one).set_params(n_jobs=2).fit(X)
    for a, b in zip(one.coefs_, two.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    units = one.transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).transform(X), units)
    assert units.dtype == np.float32 and units.shape == (len(X), 8)
    assert one.get_feature_names_out()[0] == f"{kind.__name__.lower()}0"


@BOTH
def test_an_estimator_starts_from_it(kind, cancer):
    X, y = cancer
    donor = kind(**SMALL).fit(X)
    model = MLPClassifier((8,), init_from=donor, max_iter=1).fit(X, y)
    assert model.init_report_["layers"][0] == "taken"
    assert model.init_report_["layers"][1].startswith("new")


@pytest.mark.parametrize("corruption", ["swap", "mask", "noise"])
def test_categories_and_missing_values_come_back(corruption, table):
    model = DenoisingAutoencoder(
        (16,), corruption=corruption, categorical_features=["color"], max_iter=60,
        learning_rate_init=0.02, scaling="standard", random_state=0,
    ).fit(table)  # fmt: skip
    back = model.inverse_transform(model.transform(table))
    known = table["color"].notna().to_numpy()
    right = back[known, 1] == table["color"].to_numpy()[known]
    assert right.mean() > 0.9
    known = table["size"].notna().to_numpy()
    sizes = back[known, 0].astype(float), table["size"].to_numpy()[known]
    assert np.corrcoef(*sizes)[0, 1] > 0.8
    assert np.isfinite(model.reconstruction_error(table)).all()


def test_errors_are_those_of_the_definition(table):
    model = DenoisingAutoencoder(categorical_features=["color"], **SMALL).fit(table)
    columns = model._columns
    raw = model.transform(table) @ model.coefs_[-1] + model.intercepts_[-1]
    size = table["size"].to_numpy()
    z = (size - np.nanmean(size)) / np.nanstd(size)
    own = [0.5 * (raw[:, 0] - z) ** 2]
    codes = table["color"].map({"blue": 0, "red": 1}).to_numpy()
    log_p = raw[:, 1:3] - np.logaddexp(raw[:, 1], raw[:, 2])[:, None]
    known = ~np.isnan(codes)
    chosen = np.full(len(codes), np.nan)
    chosen[known] = -log_p[known, codes[known].astype(int)]
    n = table["n"].to_numpy()
    own += [chosen, 0.5 * (raw[:, 3] - (n - n.mean()) / n.std()) ** 2]
    assert columns.n_categories == (0, 2, 0)
    expected = np.nanmean(own, axis=0)
    errors = model.reconstruction_error(table)
    np.testing.assert_allclose(errors, expected, rtol=1e-4)
    np.testing.assert_array_equal(model.score_samples(table), -errors)
    assert model.score(table) == pytest.approx(-errors.mean())


def test_unusual_rows_have_larger_errors(cancer):
    """Malignant tumours, by a network that has seen benign ones alone."""
    X, y = cancer
    benign = X[y == 1]
    model = DenoisingAutoencoder((32, 8, 32), max_iter=60, random_state=0)
    model.fit(benign[:250])
    rest = np.vstack([benign[250:], X[y == 0]])
    is_normal = np.arange(len(rest)) < len(benign) - 250
    assert roc_auc_score(is_normal, model.score_samples(rest)) > 0.9


@BOTH
def test_early_stopping_weights_and_validation_data(kind, cancer):
    X, _ = cancer
    model = kind(**SMALL, early_stopping=True).fit(X)
    assert len(model.validation_scores_) == model.n_iter_
    weight = np.repeat([1.0, 0.0], [300, len(X) - 300])
    model = kind(**SMALL).fit(X, sample_weight=weight, X_val=X[:50])
    assert np.isfinite(model.history_["val_loss"]).all()
    assert model._columns.means[0] == pytest.approx(X[:300, 0].mean(), abs=1e-5)


def test_the_mask_is_learnt(cancer):
    """Its log-loss falls below that of the share that is swapped."""
    X, _ = cancer
    settings = {
        **SMALL,
        "hidden_layer_sizes": (64,),
        "max_iter": 60,
        "learning_rate_init": 0.01,
    }
    model = MaskedPretrainer(**settings, mask_weight=100.0).fit(X)
    rate = 0.3
    chance = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert model.loss_curve_[-1] / 100.0 < 0.95 * chance


@BOTH
def test_bad_input_says_what_to_do(kind, cancer):
    import scipy.sparse

    X, _ = cancer
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        kind(**SMALL).fit(scipy.sparse.csr_array(X))
    with pytest.raises(ValueError, match="hidden_layer_sizes must have a layer"):
        kind(()).fit(X)
    if kind is DenoisingAutoencoder:
        with pytest.raises(ValueError, match="a column for each of the 8 units"):
            kind(**SMALL).fit(X).inverse_transform(X)
