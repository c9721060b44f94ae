"""RealMLP: the network, its training, its presets and what it does with data."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification

from nnfit import (
    MLPClassifier,
    PopulationSearchCV,
    RealMLPClassifier,
    RealMLPRegressor,
    find_learning_rate,
)
from nnfit.estimators.settings import training_settings
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.network import Network
from nnfit.network.chain import Body
from tests.cuda import tiles

SMALL = dict(hidden_layer_sizes=(8, 6), max_iter=6, random_state=0)
X, Y = make_classification(
    90, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=0
)
T = 40.0 * X[:, 0] - 25.0 * X[:, 1] + 20.0 * np.sin(3.0 * X[:, 2])
TASKS = {"classification": (RealMLPClassifier, Y), "regression": (RealMLPRegressor, T)}
BOTH = pytest.mark.parametrize("task", TASKS)
PRESETS = pytest.mark.parametrize("preset", ["td", "td_s"])


def fitted(task, *arguments, **parameters):
    estimator, target = TASKS[task]
    return estimator(*arguments, **{**SMALL, **parameters}).fit(X, target)


# ---------------------------------------------------------------- in NumPy, by itself


class Naive:
    """RealMLP as its paper writes it: x W / sqrt(n_in) + b, a softmax of two classes.

    Parameters
    ----------
    model : RealMLPClassifier or RealMLPRegressor
        Of one binary or numeric target, of numbers without missing ones.
    """

    def __init__(self, model):
        self.is_full, self.is_class = model.preset == "td", hasattr(model, "classes_")
        self.rates = 0.04 if self.is_class else 0.2 if self.is_full else 0.07
        others, self.n_layers = list(model.others_), len(model.coefs_)
        self.scaling = others.pop(0)
        names = ["frequencies", "phases", "matrix", "intercept"] * self.is_full
        own = {name: (others.pop(0), 0.1) for name in names}
        own["scale"] = others.pop(0), 6.0
        units = model._fitted["targets"]
        for i, (coef, b) in enumerate(
            zip(model.coefs_, model.intercepts_, strict=True)
        ):
            if units is not None and i == self.n_layers - 1:
                coef = coef / units["scale"]
                b = (b - units["shift"]) / units["scale"]
            if self.is_class and i == self.n_layers - 1:
                coef, b = (np.concatenate([-a / 2, a / 2], axis=-1) for a in (coef, b))
            own[f"W{i}"] = coef * np.sqrt(len(coef)), 1.0
            own[f"b{i}"] = b, 0.1
        for i, share in enumerate(others):
            own[f"a{i}"] = share, 0.1
        self.names = list(own)
        self.arrays = [np.array(array) for array, _ in own.values()]
        self.factors = [factor for _, factor in own.values()]
        self.m, self.v = ([0.0 * a for a in self.arrays] for _ in range(2))

    def forward(self, X, arrays=None):
        p = dict(
            zip(self.names, self.arrays if arrays is None else arrays, strict=True)
        )
        m, s, _ = self.scaling
        z = s * (X - m)
        x = z / np.sqrt(1 + (z / 3) ** 2)
        if self.is_full:
            n, k = p["frequencies"].shape
            waves = np.cos(2 * np.pi * x[:, :, None] * p["frequencies"] + p["phases"])
            e = np.einsum("rik,iko->rio", waves, p["matrix"].reshape(n, k, -1))
            e = np.concatenate([e + p["intercept"], x[:, :, None]], axis=2)
            x = e.reshape(len(X), -1)
        x = x * p["scale"]
        for i in range(self.n_layers):
            x = x @ p[f"W{i}"] / np.sqrt(x.shape[1]) + p[f"b{i}"]
            if i < self.n_layers - 1:
                share = p[f"a{i}"] if self.is_full else 1.0
                x = (1 - share) * x + share * self.activation(x)
        return x

    def activation(self, x):
        if self.is_class:
            alpha, scale = 1.6732632423543772, 1.0507009873554805
            return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
        return x * np.tanh(np.log1p(np.exp(x)))

    def loss(self, X, target, arrays=None):
        raw = self.forward(X, arrays)
        if not self.is_class:
            return np.mean((raw[:, 0] - target) ** 2)
        wanted = 0.9 * np.eye(2)[target] + 0.1 / 2
        log_p = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
        return -np.mean((wanted * log_p).sum(axis=1))

    def gradient(self, X, target, h=1e-5):
        found = []
        for number, array in enumerate(self.arrays):
            of_array = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                values = []
                for step in (h, -h):
                    arrays = [a.copy() for a in self.arrays]
                    arrays[number][place] += step
                    values.append(self.loss(X, target, arrays))
                of_array[place] = (values[0] - values[1]) / (2 * h)
            found.append(of_array)
        return found

    def step(self, X, target, t, progress):
        """Adam, and before it the decay with squared factors of the rate."""
        rate = self.rates * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * progress))) / 2
        decay = (0.02 if self.is_full else 0.0) * (
            1.0 if progress < 0.5 else (1 + np.cos(np.pi * (2 * progress - 1))) / 2
        )
        for i, g in enumerate(self.gradient(X, target)):
            f = self.factors[i]
            if not self.names[i].startswith("b"):
                self.arrays[i] *= 1 - decay * rate * f**2
            self.m[i] = 0.9 * self.m[i] + 0.1 * g
            self.v[i] = 0.95 * self.v[i] + 0.05 * g**2
            m, v = self.m[i] / (1 - 0.9**t), self.v[i] / (1 - 0.95**t)
            self.arrays[i] -= rate * f * m / (np.sqrt(v) + 1e-8)


@BOTH
@PRESETS
def test_steps_are_those_of_the_paper(task, preset):
    estimator, target = TASKS[task]
    target = (target > 0).astype(int) if task == "classification" else target
    x, target, n_steps = X[:24, :2], target[:24], 5
    model = estimator(
        preset, hidden_layer_sizes=(4, 3), max_iter=n_steps, dropout=0.0,
        dtype="float64", random_state=0,
    )  # fmt: skip
    classes = {"classes": [0, 1]} if task == "classification" else {}
    naive = None
    for number in range(n_steps):
        model.partial_fit(x, target, **classes)
        if naive is None:  # the first step has the rate 0
            naive = Naive(model)
        units = model._fitted["targets"]
        scaled = target
        if units is not None:
            scaled = (target - units["shift"][0]) / units["scale"]
            assert abs(scaled.mean()) < 1e-12 and abs(scaled.std() - 1.0) < 1e-12
        naive.step(x, scaled, number + 1, number / n_steps)
        raw = naive.forward(x)
        if task == "classification":
            found, expected = model.decision_function(x), raw[:, 1] - raw[:, 0]
        else:
            found, expected = model.predict(x), raw[:, 0] * units["scale"]
            expected = expected + units["shift"]
            if preset == "td":
                expected = np.clip(expected, target.min(), target.max())
        tolerance = 1e-4 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=tolerance)


@BOTH
def test_units_vary_by_one_at_the_start(task):
    """Of every layer, the last included; of an output that is a pair each half."""
    model = fitted(task, dtype="float64", max_iter=1, learning_rate_init=1e-12)
    naive = Naive.__new__(Naive)
    if task == "regression":
        naive.__init__(model)
        deviation = (naive.forward(X) - naive.arrays[naive.names.index("b2")]).std()
        assert 0.7 < deviation < 1.3  # on all rows, of which 80 % are trained on
    assert 0.1 < np.abs(model.intercepts_[0]).mean() < 3.0


@BOTH
def test_the_simple_form_starts_at_zero(task):
    model = fitted(task, "td_s", max_iter=1, learning_rate_init=1e-12)
    units = model._fitted["targets"] or {"shift": 0.0}
    assert np.abs(model.coefs_[-1]).max() < 1e-8
    assert np.abs(model.intercepts_[-1] - units["shift"]).max() < 1e-8
    assert 0.2 < model.coefs_[0].std() * np.sqrt(4) < 2.0


# ------------------------------------------------------------------------- training


@PRESETS
def test_rates_follow_the_schedule_and_the_rest_of_the_rows_is_left_out(preset):
    model = fitted("regression", preset, batch_size=20, max_iter=8)  # 72 rows: 3 steps
    last = (3 * np.arange(1, 9) - 1) / 24
    expected = (1 - np.cos(2 * np.pi * np.log2(1 + 15 * last))) / 2
    rate = {"td": 0.2, "td_s": 0.07}[preset]
    np.testing.assert_allclose(model.history_["learning_rate"], rate * expected)
    assert model.t_ == 8 * 60


@BOTH
@PRESETS
def test_settings_of_a_training(task, preset):
    model = fitted(task, preset)
    sizes = (*(len(coef) for coef in model.coefs_), model.n_outputs_)
    optimizer = model._chosen_optimizer()
    network = model._network(sizes, "float32")
    found = training_settings(model, network, optimizer, 72, 0, True, False)
    assert optimizer.name == "adamw" and found.engine.hyper == (0.9, 0.95, 1e-8)
    assert found.engine.batch_size == 72 and found.engine.alpha == 0.0
    is_full = preset == "td"
    assert found.engine.weight_decay == (0.02 if is_full else 0.0)
    assert found.engine.dropout == ((0.15, 0.15) if is_full else ())
    flat = np.array([1, 1, 1, 1, 0.75, 0.25])
    progress = np.array([0, 1, 2, 3, 4, 5]) / 6
    flat = np.where(progress < 0.5, 1, (1 + np.cos(np.pi * (2 * progress - 1))) / 2)
    factors = found.batch_factors(0, 6)
    np.testing.assert_allclose(factors[:, 1], flat)
    np.testing.assert_allclose(factors[:, 3], flat)


def scored(values, kept):
    """A score that has these values one after the other and keeps the weights."""

    def score(estimator, X, y):
        kept.append(estimator.coefs_[0].copy())
        return values[len(kept) - 1]

    return score


@BOTH
def test_of_equal_epochs_the_last_is_kept(task):
    kept = []
    model = fitted(task, scoring=scored([1, 3, 2, 3, 0, 1], kept))
    assert model.n_iter_ == 6 and model.best_validation_score_ == 3
    assert np.array_equal(model.coefs_[0], kept[3])
    plain = MLPClassifier(
        early_stopping=True, max_iter=6, scoring=scored([1, 3, 2, 3, 0, 1], kept := [])
    )
    with pytest.warns(Warning, match="hasn't converged"):
        plain.fit(X, Y)
    assert np.array_equal(plain.coefs_[0], kept[1])


@pytest.mark.filterwarnings("error")
def test_patience_grows_with_the_best_epoch():
    values = [0, 1, 2, *[1] * 60]
    for stops, expected in ((False, 40), (True, 27)):  # 3 + 20 + 3, and the next
        model = fitted(
            "regression", max_iter=40, early_stopping=stops, scoring=scored(values, [])
        )
        assert model.n_iter_ == expected


@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        (None, 0.1), ("accuracy", 0.1), ("balanced_accuracy", 0.1), ("loss", 0.0),
        ("neg_log_loss", 0.0), ("roc_auc_ovr", 0.0), (lambda e, X, y: 1.0, 0.1),
    ],
)  # fmt: skip
def test_labels_are_smoothed_for_scores_of_classes(scoring, expected):
    model = RealMLPClassifier(scoring=scoring)
    assert model._value("label_smoothing") == expected
    assert model.label_smoothing == "auto"
    model.set_params(label_smoothing=0.3)
    assert model._value("label_smoothing") == 0.3


def test_predictions_stay_within_the_targets_that_were_trained_on():
    model = fitted("regression", max_iter=20)
    far = model.predict(1e3 * X)
    low, high = model._fitted["range"].values()
    assert low[0] <= far.min() and far.max() <= high[0]
    assert T.min() <= low[0] and high[0] <= T.max()
    wide = RealMLPRegressor("td_s", **SMALL).fit(X, T)
    assert wide._fitted.get("range") is None
    model.set_params(n_members=2).fit(X, T)
    assert T.min() <= model.predict(1e3 * X).min()
    weights = (T < np.median(T)).astype(float)
    model.set_params(n_members=1).fit(X, T, weights)
    assert model.predict(1e3 * X).max() <= np.median(T)


def test_the_validation_score_is_that_of_the_predictions():
    model = RealMLPRegressor(**{**SMALL, "max_iter": 12}).fit(
        X, T, X_val=3 * X, y_val=T
    )
    assert model.best_validation_score_ == pytest.approx(model.score(3 * X, T))


# -------------------------------------------------------------------------- presets


@BOTH
def test_a_preset_gives_what_is_left_open(task):
    estimator, _ = TASKS[task]
    rate = {"classification": 0.04, "regression": 0.2}[task]
    model = estimator()
    assert model.get_params()["learning_rate_init"] is None
    assert model._value("learning_rate_init") == rate
    assert model._value("numeric_embedding") == {
        "kind": "pbld", "learning_rate_factor": 0.1,
    }  # fmt: skip
    assert model._value("initialization") == "data_driven"
    model.set_params(preset="td_s", learning_rate_init=0.01, dropout=[0.1, 0.2, 0.3])
    assert model._value("learning_rate_init") == 0.01
    assert model._value("dropout") == [0.1, 0.2, 0.3]
    assert model._value("numeric_embedding") is None
    model.set_params(numeric_embedding={"kind": "periodic", "learning_rate_factor": 1})
    assert model._value("numeric_embedding")["learning_rate_factor"] == 1
    model.set_params(numeric_embedding="piecewise_linear_encoding")
    assert model._value("numeric_embedding") == {"kind": "piecewise_linear_encoding"}
    model.set_params(preset="td", numeric_embedding=None)
    assert model._value("numeric_embedding") is None


@BOTH
def test_the_body_is_that_of_the_preset(task):
    full, simple = fitted(task)._fitted["body"], fitted(task, "td_s")._fitted["body"]
    assert full == tuple(Body(6.0, 0.1, 0.1, False))
    assert simple == tuple(Body(6.0, None, 0.1, False))
    two = RealMLPClassifier(**SMALL).fit(X, Y > 0)
    assert two._fitted["body"] == tuple(Body(6.0, 0.1, 0.1, True))


@BOTH
def test_a_preset_cannot_change_in_a_training(task):
    model = fitted(task, warm_start=True)
    with pytest.raises(ValueError, match="another preset, got preset='td_s'"):
        model.set_params(preset="td_s").fit(X, TASKS[task][1])


def test_wrong_values_are_named():
    for given, words in (
        ({"preset": "td_x"}, "'preset' parameter"),
        ({"label_smoothing": "yes"}, "'label_smoothing' parameter"),
        ({"learning_rate_init": 0}, "'learning_rate_init' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
    ):
        with pytest.raises(ValueError, match=words):
            RealMLPClassifier(**given).fit(X, Y)
    with pytest.raises(ValueError, match="makes plain networks, got a RealMLPReg"):
        RealMLPRegressor.from_arrays([np.ones((2, 1))], [np.ones(1)])


# ------------------------------------------------------------------------------ data


@pytest.mark.parametrize("preset", ["td", "td_s"])
def test_tables_are_taken_as_they_are(preset):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    n = 120
    table = pandas.DataFrame(
        {
            "number": rng.normal(size=n),
            "few": rng.choice(["x", "y", "z"], n),
            "many": rng.choice(list("abcdefghijkl"), n),
            "gaps": np.where(rng.uniform(size=n) < 0.2, np.nan, rng.normal(size=n)),
        }
    )
    y = np.where(table["few"] == "x", "in", "out")
    model = RealMLPClassifier(preset, **{**SMALL, "max_iter": 30}).fit(table, y)
    assert model.score(table, y) > 0.9
    kinds = [kind for kind, *_ in model._fitted["inputs"][1]]
    assert kinds[:2] == ["imputation", "scaling"]
    assert ("pbld" in kinds) == (preset == "td")
    assert kinds.count("category_embedding") == (2 if preset == "td" else 1)
    assert kinds.count("scaling") == 2  # of numbers, of indicators
    table.loc[0, "few"] = "new"
    assert model.predict(table[:3]).shape == (3,)


def test_indicators_are_scaled_robustly():
    codes = np.random.default_rng(0).integers(0, 3, 90)
    model = RealMLPClassifier(categorical_features=[1], **SMALL)
    model.fit(np.column_stack([X[:, 0], codes]), Y)
    scaling = next(array for array in model.others_ if array.shape == (3, 3))
    for code, (shift, scale, cut) in enumerate(scaling.T):
        share = np.mean(codes == code)
        assert shift == 0.0 and cut == np.float32(1 / 3)
        assert scale == (1.0 if share > 0.25 else 2.0)


@BOTH
def test_fitted_models_hold_no_data_and_no_moments(task):
    model = fitted(task, hidden_layer_sizes=(64, 64))
    arrays = [array for arrays in model._weights() for array in arrays]
    size = sum(array.nbytes for array in arrays)
    assert len(pickle.dumps(model)) < 1.5 * size + 10_000
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))


def test_several_labels_and_several_targets():
    labels = np.column_stack([Y > 0, Y > 1]).astype(int)
    model = RealMLPClassifier(**{**SMALL, "max_iter": 60}).fit(X, labels)
    assert model._fitted["body"][-1]
    assert model.predict_proba(X).shape == (90, 2)
    assert np.mean(model.predict(X) == labels) > 0.8
    targets = np.column_stack([T, -T])
    regressor = RealMLPRegressor(batch_size=16, **{**SMALL, "max_iter": 60})
    regressor.fit(X, targets)
    assert regressor.score(X, targets) > 0.5
    assert (regressor.predict(9 * X) <= targets.max(axis=0)).all()


@BOTH
def test_weights_groups_and_validation_data(task):
    estimator, target = TASKS[task]
    model = estimator(**SMALL)
    weights = np.random.default_rng(0).integers(0, 3, 90).astype(float)
    plain = clone(model).fit(X, target)
    assert len(plain.history_["val_score"]) == 6
    weighted = clone(model).fit(X, target, weights)
    assert not np.array_equal(weighted.coefs_[0], plain.coefs_[0])
    grouped = clone(model).fit(X, target, groups=np.arange(90) // 10)
    assert grouped.t_ == 6 * 70  # 2 of 9 groups are set aside
    given = clone(model).fit(X[:60], target[:60], X_val=X[60:], y_val=target[60:])
    assert given.t_ == 6 * 60
    assert given.best_validation_score_ == pytest.approx(
        given.score(X[60:], target[60:])
    )


@BOTH
def test_trainings_go_on(task):
    estimator, target = TASKS[task]
    classes = {"classes": [0, 1, 2]} if task == "classification" else {}
    model = estimator(**SMALL)
    for number in range(3):
        model.partial_fit(X, target, **classes)
        assert model.t_ == 90 * (number + 1)  # all rows
    again = estimator(**SMALL, warm_start=True).fit(X, target)
    again.fit(X, target)
    assert len(again.history_["loss"]) == 12
    stopping = estimator(**SMALL, early_stopping=True)
    with pytest.raises(ValueError, match="does not support early_stopping=True"):
        stopping.partial_fit(X, target, **classes)
    stopping.partial_fit(X, target, **classes, X_val=X, y_val=target)


@BOTH
def test_ensembles_and_searches(task):
    estimator, target = TASKS[task]
    model = estimator(**SMALL, n_members=2).fit(X, target)
    assert len(model.members_) == 2
    assert model.members_[0]._fitted["body"] == model._body()
    grid = {"preset": ["td", "td_s"], "learning_rate_init": [None, 0.01]}
    search = PopulationSearchCV(estimator(**SMALL), grid, cv=2).fit(X, target)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    display = find_learning_rate(estimator(**SMALL), X, target, n_steps=20)
    assert display.suggestion > 0


@BOTH
@PRESETS
def test_a_gpu_trains_as_the_processor(task, preset):
    estimator, target = TASKS[task]
    # After few steps: rates are large, and roundings grow.
    parameters = {**SMALL, "max_iter": 3, "dtype": "float64", "dropout": 0.0}
    expected = estimator(preset, **parameters).fit(X[:40], target[:40])
    with tiles.small_gpu():
        found = estimator(preset, **parameters, device="cuda").fit(X[:40], target[:40])
    assert found.device_ == "cuda:0"
    np.testing.assert_allclose(found.coefs_[1], expected.coefs_[1], atol=1e-6)


def test_probabilities_can_be_scaled_on_the_rows_that_are_set_aside():
    model = RealMLPClassifier(**SMALL, temperature_scaling=True).fit(X, Y)
    plain = clone(model).set_params(temperature_scaling=False).fit(X, Y)
    assert model.temperature_ != 1.0
    assert np.array_equal(model.predict(X), plain.predict(X))
    expected = plain.decision_function(X) / model.temperature_
    np.testing.assert_allclose(model.decision_function(X), expected, rtol=1e-5)


def test_bodies_are_chains_of_kinds():
    activation, loss = ACTIVATIONS["selu"], LOSSES["log_loss"]
    body = Body(6.0, 0.1, 0.1, True)
    network = Network.dense(
        (4, 9, 1), (activation,), loss, (0.0,), "float64", body=body
    )
    kinds = [node.kind for node in network.nodes]
    assert kinds == ["scale", "dense", "parametric_activation", "dense"]
    rates = [(each.learning_rate, each.decay) for each in network.tensors]
    first, last, b, out, scale, share = rates
    np.testing.assert_allclose(first, [1 / 2, 2])  # over the root of four inputs
    np.testing.assert_allclose(last, [2 / 3, 3 / 2])  # twice, over that of nine
    assert b == (0.1, 1.0) and out == (0.2, 1.0)
    assert scale == (6.0, 6.0) and share == (0.1, 0.1)
    decays = [each.is_penalised for each in network.tensors]
    assert decays == [True, True, False, False, True, True]
    assert [each.penalty for each in network.tensors[-2:]] == [0.0, 0.0]
