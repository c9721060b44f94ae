"""Files of weights: what is saved predicts as before, and damaged ones are refused."""

import json
import math
import struct

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabularClassifier,
    TabularRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FEW = {"max_iter": 2, "random_state": 0, "hidden_layer_sizes": (4,)}
X = np.random.default_rng(0).normal(size=(60, 3))
LABELS = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
CASES = {
    "classes": (MLPClassifier(**FEW, normalization="batch"), LABELS),
    "ensemble": (MLPClassifier(**FEW, n_members=2), LABELS),
    "far": (MLPRegressor(**FEW), 1e6 + X[:, 0]),
    "bins": (MLPClassifier(**FEW, numeric_embedding="piecewise_linear"), LABELS),
    "quantiles": (MLPRegressor(**FEW, loss="quantile", quantile=[0.2, 0.8]), X[:, 0]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_new_estimator_predicts_as_the_saved_one(case, tmp_path):
    estimator, y = CASES[case]
    estimator.fit(X, y).save_weights(tmp_path / "w")
    new = type(estimator)().load_weights(tmp_path / "w")
    method = "predict_proba" if y is LABELS else "predict"
    expected = getattr(estimator, method)(X)
    np.testing.assert_array_equal(getattr(new, method)(X), expected)
    assert new.get_params() == type(estimator)().get_params()


def test_categories_and_names_of_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "u", "v")})
    source = MLPClassifier(**FEW, categorical_features="from_dtype").fit(table, LABELS)
    source.save_weights(tmp_path / "w")
    new = MLPClassifier(**FEW).load_weights(tmp_path / "w")
    np.testing.assert_array_equal(new.predict_proba(table), source.predict_proba(table))


def test_training_goes_on_and_weights_replace_others(tmp_path):
    source = MLPClassifier(**FEW).fit(X, LABELS)
    source.save_weights(tmp_path / "w")
    other = MLPClassifier(**FEW, warm_start=True, solver="sgd").fit(X, LABELS[::-1])
    other.load_weights(tmp_path / "w")
    np.testing.assert_array_equal(other.predict_proba(X), source.predict_proba(X))
    other.fit(X, LABELS)
    other.partial_fit(X, LABELS)


def test_other_libraries_read_the_arrays(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    source = MLPClassifier(**FEW).fit(X, LABELS)
    source.save_weights(tmp_path / "w")
    found = numpy.load_file(tmp_path / "w")
    np.testing.assert_array_equal(found["coefs.0"], source.coefs_[0])
    assert set(found) == {"coefs.0", "coefs.1", "intercepts.0", "intercepts.1"}


MIXTURE = {"preset": "fast", "max_iter": 1, "random_state": 0}


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_mixtures_of_networks(cls, tmp_path):
    y = LABELS if cls is TabularClassifier else X[:, 0]
    table = np.column_stack([X.astype(object), np.where(X[:, 1] > 0, "u", "v")])
    source = cls(**MIXTURE, categorical_features=[3]).fit(table, y)
    source.save_weights(tmp_path / "w")
    new = cls().load_weights(tmp_path / "w")
    method = "predict_proba" if y is LABELS else "predict"
    expected = getattr(source, method)(table)
    np.testing.assert_array_equal(getattr(new, method)(table), expected)
    assert new.explain_choice() == source.explain_choice()
    assert new.leaderboard_ == source.leaderboard_
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-4])
    refused(tmp_path / "w", "it has .* bytes instead of", new)
    if cls is TabularRegressor:
        with pytest.raises(ValueError, match="files of weights hold networks alone"):
            new.predict_quantiles(table, [0.1])
        assert new.fit(X, y).predict_quantiles(X, [0.1]).shape == (60, 1)


def test_trees_beside_networks_are_refused_by_their_name(tmp_path):
    trees = {"partner": "hist_gradient_boosting", "preset": "fast"}
    mixture = TabularClassifier(**MIXTURE | trees).fit(X, LABELS)
    with pytest.raises(ValueError, match="and HistGradientBoosting predicts beside"):
        mixture.save_weights(tmp_path / "w")
    with pytest.raises(NotFittedError):
        TabularClassifier().save_weights(tmp_path / "w")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ bad input


def saved(path):
    MLPClassifier(**FEW).fit(X, LABELS).save_weights(path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def refused(path, words, estimator=None):
    estimator = estimator or MLPClassifier(**FEW).fit(X, LABELS)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=f"w is no file of weights.*{words}"):
        estimator.load_weights(path)
    assert vars(estimator) == before


def test_damaged_files_are_refused_by_their_name(tmp_path):
    path = tmp_path / "w"
    header, data = saved(path)
    write(path, header, data[:-4])
    refused(path, "it has .* bytes instead of")
    path.write_bytes(b"abc")
    refused(path, "damaged one")
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    refused(path, "header of .* bytes is longer than the file")
    header["coefs.0"]["shape"] = [10**9, 10**9]
    write(path, header, data)
    refused(path, r"'coefs\.0' does not have the size of \(1000000000")


def test_arrays_of_other_shapes_and_other_estimators_are_refused(tmp_path):
    path = tmp_path / "w"
    header, data = saved(path)
    header["coefs.0"]["shape"] = header["coefs.0"]["shape"][::-1]
    write(path, header, data)
    refused(path, "damaged one: ")
    saved(path)
    refused(path, "it is of a MLPClassifier, got a RealMLPC", RealMLPClassifier())


def swish(z):
    s = 1.0 / (1.0 + math.exp(-z))
    return z * s, s + z * s * (1.0 - s)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        MLPClassifier().save_weights(tmp_path / "w")
    arrays = [np.ones((3, 2)), np.ones((2, 1))], [np.zeros(2), np.zeros(1)]
    regressor = MLPRegressor.from_arrays(*arrays, activation=swish)
    with pytest.raises(ValueError, match=r"got activation='swish'\. Save the est"):
        regressor.save_weights(tmp_path / "w")
    assert not list(tmp_path.iterdir())
    MLPRegressor.from_arrays(*arrays).save_weights(tmp_path / "w")
    new = MLPRegressor().load_weights(tmp_path / "w")
    np.testing.assert_allclose(new.predict(np.ones((1, 3))), [6.0])
