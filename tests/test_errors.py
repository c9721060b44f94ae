"""Bad input: the type of scikit-learn's error, and a sentence that helps."""

import time

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

from nnfit import MLPClassifier, MLPRegressor
from nnfit.training import memory

X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0}

ignore_convergence = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"
)


# parameters ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        (MLPClassifier, {"loss": "hinge"}),
        (MLPClassifier, {"label_smoothing": 1.0}),
        (MLPClassifier, {"class_weight": "unbalanced"}),
        (MLPRegressor, {"loss": "log_loss"}),
        (MLPRegressor, {"huber_delta": 0.0}),
        (MLPRegressor, {"quantile": 1.0}),
        (MLPRegressor, {"activation": 3}),
        (MLPRegressor, {"weight_decay": -0.1}),
        (MLPRegressor, {"initialization": "zeros"}),
        (MLPRegressor, {"scoring": "beauty"}),
        (MLPRegressor, {"dtype": "float16"}),
    ],
)
def test_invalid_parameters(estimator, parameters):
    (name,) = parameters
    message = f"The '{name}' parameter of {estimator.__name__} must be"
    with pytest.raises(InvalidParameterError, match=message):
        estimator(**QUICK | parameters).fit(X, Y)
    with pytest.raises(InvalidParameterError, match=message):
        estimator(**QUICK | parameters).partial_fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (5, -1)}, "hidden_layer_sizes must be > 0, got"),
        ({"hidden_layer_sizes": (5.5,)}, "hidden_layer_sizes must be integers, got"),
        ({"activation": ["relu", "tanh"]}, "one per hidden layer, 1 here, got 2"),
        ({"activation": ["ghost"]}, "names among .*'relu'.*, got 'ghost'"),
        ({"activation": lambda z: z}, "must return two floats"),
        ({"activation": lambda z: (z * z, z)}, "wrong slope"),
        ({"loss": lambda raw, y: (raw - y, 0.0)}, "wrong gradient"),
    ],
)
def test_parameters_that_do_not_fit_together(parameters, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**QUICK | parameters).fit(X, Y)


def test_options_have_an_order():
    message = r"a str among {'batch', 'layer'} or None. Got 'group' instead"
    with pytest.raises(InvalidParameterError, match=message):
        MLPRegressor(normalization="group").fit(X, Y)
    for estimator in (MLPClassifier, MLPRegressor):
        for constraints in estimator._parameter_constraints.values():
            for options in constraints:
                assert not isinstance(getattr(options, "options", ()), set) or (
                    len(options.options) == 1
                )


@pytest.mark.parametrize("sizes", [(100,), [5, 5], 64, np.array([3])], ids=str)
def test_sizes_in_the_place_of_the_loss(sizes):
    message = r"'loss' parameter of MLPRegressor must be .*first argument; sizes of hid"
    for call in (MLPRegressor(sizes).fit, MLPRegressor(sizes).partial_fit):
        with pytest.raises(InvalidParameterError, match=message):
            call(X, Y)


@ignore_convergence
def test_a_search_reports_the_parameter():
    search = GridSearchCV(
        MLPClassifier(**QUICK), {"activation": ["relu", "ghost"]}, error_score="raise"
    )
    with pytest.raises(InvalidParameterError, match="'activation' parameter"):
        search.fit(X, Y)
    with pytest.raises(ValueError, match="Invalid parameter 'activate'"):
        GridSearchCV(MLPClassifier(**QUICK), {"activate": ["relu"]}).fit(X, Y)


# data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("poisson", -0.3, "loss='poisson' needs y >= 0, got a minimum of -0.3"),
        ("gamma", 0.0, "loss='gamma' needs y > 0, got a minimum of 0"),
    ],
)
def test_targets_outside_the_range_of_a_loss(loss, y, message):
    targets = np.append(np.ones(149), y)
    model = MLPRegressor(loss, **QUICK)
    with pytest.raises(ValueError, match=message):
        model.fit(X, targets)
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.ones(150), X_val=X, y_val=targets)


def test_several_targets_of_a_quantile():
    with pytest.raises(ValueError, match="predicts one target, got y with 4 columns"):
        MLPRegressor("quantile", **QUICK).fit(X, X)


def test_values_too_large_for_float32():
    message = r"Input {} contains infinity or a value too large for dtype\('float32'\)"
    large = X.copy()
    large[3, 1] = 1e39
    with pytest.raises(ValueError, match=message.format("X")):
        MLPRegressor(**QUICK).fit(large, Y)
    with pytest.raises(ValueError, match=message.format("X")):
        MLPRegressor(**QUICK).fit(csr_array(large), Y)
    with pytest.raises(ValueError, match=message.format("y")):
        MLPRegressor(**QUICK).fit(X, large[:, 1])
    with pytest.raises(ValueError, match=message.format("X_val")):
        MLPRegressor(**QUICK).fit(X, Y, X_val=large, y_val=Y)


@ignore_convergence
def test_values_too_large_in_predict():
    model = MLPRegressor(**QUICK).fit(X, Y)
    with pytest.raises(ValueError, match="value too large"):
        model.predict(X * 1e39)


@ignore_convergence
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.0, np.inf, 1.0, 0.0]], "Input X contains infinity"),
        ([[0.0, 1.0, 2.0]], "X has 3 features, but MLPRegressor is expecting 4"),
        ([0.0, 1.0, 2.0, 3.0], "Expected 2D array, got 1D array instead"),
        (np.zeros((0, 4)), "Found array with 0 sample"),
    ],
)
def test_rows_that_cannot_be_predicted(rows, message, dtype):
    model = MLPRegressor(**QUICK).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        model.predict(np.array(rows, dtype))


@ignore_convergence
def test_rows_whose_sum_overflows_are_predicted():
    model = MLPRegressor(**QUICK).fit(X, Y)
    model.coefs_[0][...] = 0.0
    large = np.full((1, 4), 2e38, np.float32)
    assert np.isfinite(model.predict(large)).all()


def test_not_fitted():
    for call in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(MLPClassifier(), call)(X)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_sample_weights(estimator):
    model = estimator(**QUICK)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_w"):
        model.fit(X, Y, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match=r"(?i)weight.*zero"):
        model.fit(X, Y, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        model.fit(X, Y, sample_weight=np.full(150, np.nan))
    for weight in (np.zeros(150), -np.ones(150), np.full(150, np.nan), np.ones(3)):
        with pytest.raises(ValueError, match=r"^sample_weight_val\b"):
            model.fit(X, Y, X_val=X, y_val=Y, sample_weight_val=weight)
    with pytest.raises(ValueError, match=r"(?i)weight.*zero"):
        weight = np.zeros(150)
        weight[0] = 1.0
        model.set_params(early_stopping=True).fit(X, Y, weight)


@pytest.mark.parametrize(
    ("class_weight", "y", "message"),
    [
        ([{0: 1, 1: 1}], Y, "a dict for multiclass y"),
        ({0: 1, 1: 1}, 1 - np.eye(3, dtype=int)[Y], "a list of 3 dicts, one per label"),
        ([{0: 1}], 1 - np.eye(3, dtype=int)[Y], "a list of 3 dicts, one per label"),
        ({0: 1, 7: 1}, Y, "are not in class_weight"),
        ({0: 0, 1: 0, 2: 0}, Y, "(?i)weight.*zero"),
    ],
)
def test_class_weights(class_weight, y, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight, **QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X}, "X_val is provided, but y_val was not provided"),
        ({"y_val": Y}, "y_val is provided, but X_val was not provided"),
        ({"sample_weight_val": Y}, "y_val is provided, but X_val|X_val"),
        ({"X_val": X[:, :2], "y_val": Y}, "X has 2 features, but MLPClassifier is"),
        ({"X_val": X * np.inf, "y_val": Y}, "Input X_val contains infinity"),
        ({"X_val": X, "y_val": Y[:9]}, "inconsistent numbers of samples"),
        ({"X_val": X, "y_val": Y + 1}, "`y_val` has classes not in `self.classes_`"),
        ({"X_val": X[:1], "y_val": Y[:1]}, "The validation set is too small"),
    ],
)
def test_validation_data(given, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(early_stopping=True, **QUICK).fit(X, Y, **given)


def test_targets_in_y_val():
    with pytest.raises(ValueError, match="Input y_val contains NaN"):
        MLPRegressor(**QUICK).fit(X, Y, X_val=X, y_val=Y * np.nan)
    with pytest.raises(ValueError, match="y_val must have 1 columns as y, got 4"):
        MLPRegressor(**QUICK).fit(X, Y, X_val=X, y_val=X)


@ignore_convergence
def test_continuing_with_another_shape():
    model = MLPRegressor(warm_start=True, **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match="residual or the number of outputs"):
        model.set_params(hidden_layer_sizes=(6,)).fit(X, Y)
    with pytest.raises(ValueError, match="residual or the number of outputs"):
        model.set_params(hidden_layer_sizes=(5,)).fit(X, X)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.fit(X[:, :2], Y)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_no_partial_fit_with_lbfgs(estimator):
    model = estimator(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        model.partial_fit(X, Y)


# memory ----------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_networks_that_do_not_fit_are_refused_at_once(solver):
    model = MLPClassifier((10**9, 10**9), solver=solver)
    started = time.perf_counter()
    with pytest.raises(MemoryError, match=r"\[4, 1000000000, 1000000000, 3\].* GiB"):
        model.fit(X, Y)
    assert time.perf_counter() - started < 2


@ignore_convergence
def test_memory_limit(monkeypatch):
    model = MLPRegressor(**{**QUICK, "hidden_layer_sizes": (1000, 1000)})
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"got 9.31e-07 GiB of available memory"):
        model.fit(X, Y)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    model.fit(X, Y)


@pytest.mark.parametrize(("dtype", "advised"), [("float32", False), ("float64", True)])
def test_a_smaller_type_is_advised_where_there_is_one(dtype, advised):
    with pytest.raises(MemoryError, match="a smaller batch_size") as error:
        MLPClassifier((10**9, 10**9), dtype=dtype).fit(X, Y)
    assert ("dtype='float32'" in str(error.value)) == advised


def test_available_memory():
    assert memory.available_memory() > 2**20


# divergence ------------------------------------------------------------------

DIVERGING = {
    "hidden_layer_sizes": (20, 20),
    "activation": "identity",
    "solver": "sgd",
    "learning_rate_init": 10.0,
    "max_iter": 50,
    "random_state": 0,
}


@pytest.mark.emulated
def test_divergence_is_an_error_with_advice(any_engine):
    model = MLPRegressor(**DIVERGING)
    message = (
        "^Solver produced non-finite parameter weights. The input data may contain "
        "large values and need to be preprocessed. Scale X .*StandardScaler.* lower "
        "learning_rate_init, which is 10.0"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X * 100, Y)
    assert not hasattr(model, "coefs_")


@ignore_convergence
def test_a_failed_fit_leaves_the_former_one():
    model = MLPRegressor(activation="identity", **QUICK).fit(X, Y)
    before = {**vars(model), "curve": list(model.loss_curve_)}
    predicted = model.predict(X)
    model.set_params(**DIVERGING | {"hidden_layer_sizes": (5,)}, warm_start=True)
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(X * 1e6, Y * 1e6)
    model.set_params(activation="relu")
    np.testing.assert_array_equal(model.predict(X), predicted)
    assert model.loss_curve_ == before["curve"]
    with pytest.raises(ValueError, match="infinity"):
        model.fit(X * np.inf, Y)
    with pytest.raises(ValueError, match="non-finite"):
        model.set_params(warm_start=False).fit(X[:, :2] * 1e6, Y * 1e6)
    assert model.n_features_in_ == 4
    assert set(vars(model)) == set(before) - {"curve"}


@pytest.mark.emulated
def test_early_stopping_restores_the_best_weights(any_engine):
    model = MLPRegressor(early_stopping=True, **DIVERGING)
    with pytest.warns(ConvergenceWarning, match="diverged.*best weights.*restored"):
        model.fit(X * 100, Y)
    assert np.isnan(model.validation_scores_[-1])
    assert isinstance(model.validation_scores_[-1], float)
    assert all(np.isfinite(coef).all() for coef in model.coefs_)
    assert np.isfinite(model.predict(X)).all()
    lengths = {len(column) for column in model.history_.values()}
    curves = (model.loss_curve_, model.validation_scores_)
    assert lengths == {model.n_iter_} == {len(curve) for curve in curves}


def test_lbfgs_without_a_finite_loss_keeps_finite_weights():
    model = MLPRegressor(solver="lbfgs", activation="identity", max_iter=5)
    with (
        np.errstate(all="ignore"),
        pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"),
    ):
        model.fit(X * 1e200, Y * 1e200)
    assert all(np.isfinite(coef).all() for coef in model.coefs_)


@ignore_convergence
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_infinite_values_are_named_by_their_column(value, named):
    wrong = X.copy()
    wrong[7, 2] = value
    wrong[3, 0] = np.nan
    good = X
    if named:
        pandas = pytest.importorskip("pandas")
        good, wrong = (pandas.DataFrame(x, columns=list("abcd")) for x in (X, wrong))
    column = "column 'c' of" if named else "column 2 of"
    model = MLPClassifier(**QUICK)
    message = rf"Input {{}} contains infinity or .*float32.*: {column} {{}}, row 7\."
    with pytest.raises(ValueError, match=message.format("X", "X")):
        model.fit(wrong, Y)
    with pytest.raises(ValueError, match=message.format("X_val", "X_val")):
        model.fit(good, Y, X_val=wrong, y_val=Y)
    with pytest.raises(ValueError, match=message.format("X", "X")):
        model.fit(good, Y).predict(wrong)


@ignore_convergence
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil"])
def test_nan_in_a_sparse_matrix_is_named_by_its_column(format):
    wrong = np.where(X > 3, X, 0)
    wrong[7, 2] = np.nan
    wrong = csr_array(wrong).asformat(format)
    message = "contains NaN and is sparse: column 2 of X, row 7. Only in arrays"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**QUICK).fit(wrong, Y)
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**QUICK).fit(X, Y).predict(wrong)
