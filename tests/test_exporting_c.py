"""Networks as C, compiled and run where a C compiler is there."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabularRegressor,
    export_c,
)
from nnfit.exporting_c import activations, kinds, links
from nnfit.exporting_c.exporting import source_of
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import LOSSES
from nnfit.network.kinds import KINDS

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
FLAGS = [
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-O2",
    "-fPIC",
    "-shared",
]
FEW = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (6,), "batch_size": 32}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4)).astype(np.float32)
MISSING = np.where(RNG.uniform(size=X.shape) < 0.1, np.nan, X)
#: A column far from zero, which is standardised.
FAR = X + np.array([1e5, 0, 0, 0])
TARGETS = {
    "two": np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)],
    "three": np.digitize(X[:, 0] + X[:, 1], [-0.4, 0.4]),
    "labels": (X[:, :3] > 0).astype(int),
}


def compiled(path):
    """The function of a file, for rows; without a compiler the test is skipped."""
    found = [shutil.which(each) for each in ("cc", "gcc", "clang", "zig")]
    compilers = [each for each in found if each]
    if not compilers:
        pytest.skip("There is no C compiler")
    command = [compilers[0], *(["cc"] if compilers[0].endswith("zig") else [])]
    library = path.with_suffix(".so")
    subprocess.run([*command, *FLAGS, str(path), "-o", str(library), "-lm"], check=True)
    text = path.read_text()
    n_out = int(text.split("_N_OUTPUTS ")[1].split()[0])
    real = np.float64 if "const double *x" in text else np.float32
    predict = getattr(ctypes.CDLL(str(library)), f"{path.stem}_predict")
    predict.restype, predict.argtypes = None, [ctypes.c_void_p] * 2

    def run(X):
        X = np.ascontiguousarray(X, real)
        out = np.full((len(X), n_out), np.nan, real)
        for row, own in zip(X, out, strict=True):
            predict(row.ctypes.data, own.ctypes.data)
        return out

    return run


def difference(estimator, X, folder):
    """The largest one between C and the estimator: of regressors in spreads of y."""
    # A library that has been loaded stays so under its name.
    path = folder / f"model{len(list(folder.iterdir()))}.c"
    export_c(estimator, path)
    found, X = compiled(path)(X), np.asarray(X, np.float32)
    if estimator._task == "classification":
        has_scores = not hasattr(estimator, "predict_proba")
        name = "decision_function" if has_scores else "predict_proba"
        expected, spread = getattr(estimator, name)(X), 1.0
    else:
        expected = np.asarray(estimator.predict(X))
        spread = expected.std()
    expected = expected.reshape(len(X), -1)
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / spread


# ------------------------------------------------------------------ the registries


def test_every_activation_and_link_has_its_text():
    assert list(activations.WRITTEN) == list(ACTIVATIONS)
    assert list(links.WRITTEN) == list(LINKS)
    assert set(kinds.WRITTEN) < set(KINDS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype, tmp_path):
    """Of one unit, so that the output is the value itself."""
    z = np.concatenate([np.linspace(-9, 9, 73), [-np.inf, np.inf, -60, 60, 1e-4]])
    arrays = [np.ones((1, 1), dtype)] * 2, [np.zeros(1, dtype)] * 2
    model = MLPRegressor.from_arrays(*arrays, activation=activation, dtype=dtype)
    path = tmp_path / "model.c"
    export_c(model, path)
    row = ACTIVATIONS[activation]
    with np.errstate(all="ignore"):
        expected = [row.function(each)[0] for each in z.tolist()]
    found = compiled(path)(z[:, None])[:, 0]
    exact = 2e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, expected, exact, exact)


@pytest.mark.parametrize("link", LINKS)
def test_links(link, tmp_path):
    raw = 3 * np.random.default_rng(0).normal(size=(20, 3))
    own = {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]} if link == "sorted" else {}
    arrays = [np.eye(3)], [np.zeros(3)]
    model = MLPRegressor.from_arrays(*arrays, dtype="float64", **own)
    if link != "sorted":
        model.out_activation_ = link
    path, expected = tmp_path / "model.c", np.zeros((20, 3))
    export_c(model, path)
    for out, row in zip(expected, raw, strict=True):
        LINKS[link](row, out, 3)
    np.testing.assert_allclose(compiled(path)(raw), expected, 1e-12, 1e-12)


# ------------------------------------------------------------------ estimators

CLASSIFIERS = {
    "plain": {},
    "float64": {"dtype": "float64"},
    "batch": {"normalization": "batch", "hidden_layer_sizes": (6, 6)},
    "residual": {
        "normalization": "layer",
        "residual": True,
        "hidden_layer_sizes": (6, 6, 4),
        "activation": ["tanh", "gelu", "relu"],
    },
    "ensemble": {"n_members": 2},
    "tempered": {"temperature_scaling": True, "early_stopping": True},
    "scores": {"loss": "squared_hinge"},
    "scaled": {"scaling": "robust"},
}


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_classifiers(case, y, tmp_path):
    classifier = MLPClassifier(**{**FEW, **CLASSIFIERS[case]}).fit(X, y)
    assert difference(classifier, X, tmp_path) <= 1e-5


REGRESSION = [name for name, row in LOSSES.items() if row.task == "regression"]


@pytest.mark.parametrize("loss", REGRESSION)
def test_regressors_of_every_loss(loss, tmp_path):
    y = X[:, 0] ** 2 + 0.1
    parameters = {**FEW, "loss": LOSSES[loss].option}
    assert difference(MLPRegressor(**parameters).fit(X, y), X, tmp_path) <= 1e-5


def test_several_quantiles(tmp_path):
    quantiles = {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}
    regressor = MLPRegressor(**FEW, **quantiles).fit(X, X[:, 0])
    assert difference(regressor, X, tmp_path) <= 1e-5


@pytest.mark.parametrize("parameters", [{}, {"n_members": 2}, {"scaling": "standard"}])
def test_standardised_columns_targets_and_missing_numbers(parameters, tmp_path):
    y = np.stack([100 + X[:, 0], X[:, 1]], axis=1)
    regressor = MLPRegressor(**FEW, **parameters).fit(FAR, y)
    assert difference(regressor, FAR, tmp_path) <= 1e-5
    regressor = MLPRegressor(**FEW, **parameters).fit(MISSING, X[:, 0])
    assert difference(regressor, MISSING, tmp_path) <= 1e-5


EMBEDDED = {
    "quantiles": {"scaling": "quantile"},
    "realmlp": None,
    **{
        kind: {"numeric_embedding": kind, "scaling": "robust"}
        for kind in ("periodic", "pbld", "piecewise_linear")
    },
    "lite": {"numeric_embedding": {"kind": "periodic", "lite": True}},
    "bins": {"numeric_embedding": "piecewise_linear_encoding"},
    "float64": {"numeric_embedding": "pbld", "dtype": "float64"},
}


@pytest.mark.parametrize("case", EMBEDDED)
def test_numbers_and_codes_become_vectors(case, tmp_path):
    table = np.column_stack([RNG.integers(0, 3, 80), MISSING, RNG.integers(0, 9, 80)])
    of_codes = {"categorical_features": [0, 5], "max_iter": 3}
    of_codes |= {"random_state": 0, "hidden_layer_sizes": (6,)}
    own = EMBEDDED[case]
    if own is None:
        model = RealMLPClassifier(**of_codes)
    else:
        vectors = {"max_one_hot": 4, "n_outputs": 2}
        model = MLPClassifier(**of_codes, category_embedding=vectors, **own)
    model.fit(table, TARGETS["three"])
    table[::5, 5], table[1::5, 0] = 99, np.nan  # which are no codes
    assert difference(model, table, tmp_path) <= 1e-5


def test_categories_by_their_values(tmp_path):
    cities = RNG.choice(np.array(["rome", "oslo", "bern"], object), 80)
    table = np.column_stack([X.astype(object), cities])
    model = MLPRegressor(**FEW, categorical_features=[4]).fit(table, X[:, 0])
    path = tmp_path / "model.c"
    export_c(model, path)
    known = model._standard("categories")[4]
    codes = [known.index(city) for city in cities]
    found = compiled(path)(np.column_stack([X, codes]))[:, 0]
    np.testing.assert_allclose(found, model.predict(table), 0, 1e-5)
    assert f'1: "{known[1]}"' in path.read_text()


def test_the_file_says_what_goes_in_and_out():
    pandas = pytest.importorskip("pandas")
    names = ["age */ \\", "a\nb", "??/", "é"]
    table = pandas.DataFrame(X, columns=names)
    text = source_of(MLPClassifier(**FEW).fit(table, TARGETS["two"]), "some")
    assert text.isascii() and text.index("*/") > text.index('out[1]: "yes"')
    assert 'x[1]: "a\\nb"' in text and "#define some_N_FEATURES 4" in text
    assert "#define some_N_OUTPUTS 2" in text


# ------------------------------------------------------------------ refusals


def own_activation(z):
    return z, 1.0


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"activation": own_activation}, "'own_activation' is a Python function"),
        ({"n_shared_members": 2}, "kind 'members'.*to_onnx"),
    ],
)
def test_what_cannot_be_written_is_named(parameters, words, tmp_path):
    table = np.column_stack([np.arange(80) % 3, X])
    classifier = MLPClassifier(**FEW, **parameters).fit(table, TARGETS["two"])
    with pytest.raises(ValueError, match=words):
        export_c(classifier, tmp_path / "model.c")
    assert not list(tmp_path.iterdir())


def test_other_objects_and_places_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"got TabularRegressor. Use nnfit.onnx"):
        export_c(TabularRegressor(), tmp_path / "model.c")
    with pytest.raises(NotFittedError):
        export_c(MLPRegressor(), tmp_path / "model.c")
    fitted = MLPRegressor(**FEW).fit(X, X[:, 0])
    with pytest.raises(FileNotFoundError, match="export_c cannot write the file"):
        export_c(fitted, tmp_path / "nowhere" / "model.c")
    (tmp_path / "folder.c").mkdir()
    with pytest.raises(OSError, match="export_c cannot write the file"):
        export_c(fitted, tmp_path / "folder.c")
    export_c(fitted, tmp_path / "2 models.c")
    assert "void network_2_models_predict(" in (tmp_path / "2 models.c").read_text()
    assert {each.name for each in tmp_path.iterdir()} == {"2 models.c", "folder.c"}
