"""Pickles of earlier releases load, predict what they did, and train on."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

from nnfit.estimators import conventions
from tests import old_models

FILES = sorted((Path(__file__).parent / "data").glob("models-*.pickle"))
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.InconsistentVersionWarning",
)
CASES = [
    (path.stem, name)
    for path in FILES
    for name in pickle.loads(path.read_bytes())["models"]
]


@pytest.fixture(scope="module")
def kept():
    return {path.stem: pickle.loads(path.read_bytes()) for path in FILES}


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_model_predicts_as_it_did(kept, file, name):
    case = kept[file]["models"][name]
    model = pickle.loads(case["pickle"])
    output = getattr(model, case["method"])(kept[file]["X"])
    np.testing.assert_allclose(output, case["output"], rtol=1e-5, atol=1e-7)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        getattr(again, case["method"])(kept[file]["X"]), output
    )


@pytest.mark.parametrize("file", [path.stem for path in FILES])
def test_training_goes_on(kept, file):
    X, classes, _, numbers = old_models.rows()
    models = kept[file]["models"]
    warm = pickle.loads(models["warm start"]["pickle"])
    before = warm.loss_
    assert warm.fit(X, numbers).loss_ < before
    assert warm.t_ == 2 * 8 * len(X)
    partial = pickle.loads(models["partial fit"]["pickle"])
    assert partial.partial_fit(X, classes).t_ == 2 * len(X)
    assert len(partial.loss_curve_) == 2


def test_a_warning_names_both_versions(kept, monkeypatch):
    monkeypatch.setattr(conventions, "__version__", "9.8.7")
    data = next(iter(kept["models-0.1.0"]["models"].values()))["pickle"]
    with pytest.warns(InconsistentVersionWarning) as caught:
        pickle.loads(data)
    texts = [str(each.message) for each in caught]
    assert any("0.1.0" in text and "9.8.7" in text for text in texts)
