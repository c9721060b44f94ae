"""`init_from`: weights of another network to start from."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as OfScikitLearn

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabMClassifier,
    TabularClassifier,
)
from nnfit.callbacks import Checkpoint, files
from nnfit.estimators.donors import donor_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
COMMON = {"hidden_layer_sizes": (7, 5), "max_iter": 3, "random_state": 0}
#: One epoch that leaves the weights as they are.
STILL = {"max_iter": 1, "learning_rate_init": 1e-12, "random_state": 1}


def begun(kind, donor, X=X, y=Y, **parameters):
    """A network that has started from a donor and learnt nothing."""
    model = kind(**COMMON | parameters, init_from=donor)
    return model.set_params(**STILL).fit(X, y)


#: Networks that are the same function as their donor.
SAME = {
    "plain": (MLPClassifier, {}),
    "normalised": (MLPClassifier, {"normalization": "layer", "residual": True}),
    "embedded": (
        MLPClassifier,
        {"numeric_embedding": "piecewise_linear", "scaling": "robust"},
    ),
    "realmlp": (RealMLPClassifier, {"hidden_layer_sizes": (8, 6)}),
    "tabm": (TabMClassifier, {"hidden_layer_sizes": (8, 6), "n_shared_members": 2}),
    "ensemble": (MLPClassifier, {"n_members": 2}),
}


@pytest.mark.parametrize("name", SAME)
def test_it_starts_as_the_donor(name):
    kind, parameters = SAME[name]
    donor = kind(**COMMON | parameters).fit(X, Y)
    model = begun(kind, donor, 2.0 * X + 1.0, **parameters)
    assert_allclose(model.predict_proba(X), donor.predict_proba(X), atol=1e-6)
    network = getattr(model, "members_", [model])[-1]
    assert network.init_report_["layers"] == ["taken"] * 3


def test_networks_of_scikit_learn_and_arrays_are_donors():
    donor = OfScikitLearn((7, 5), max_iter=3, random_state=0).fit(X, Y)
    for given in (donor, (donor.coefs_, donor.intercepts_)):
        model = begun(MLPClassifier, given)
        assert_allclose(model.predict_proba(X), donor.predict_proba(X), atol=1e-6)


def test_training_goes_on_from_them(any_engine):
    donor = MLPClassifier(**COMMON).fit(X, Y)
    by_hand = MLPClassifier.from_arrays(
        donor.coefs_, donor.intercepts_, classes=donor.classes_, **COMMON
    )
    expected = by_hand.set_params(warm_start=True, random_state=4).fit(X, Y)
    model = MLPClassifier(**COMMON | {"random_state": 4}, init_from=donor)
    for _ in range(2):  # a second fit starts anew
        model.fit(X, Y)
        assert_allclose(model.coefs_[0], expected.coefs_[0], atol=0.02)
        assert not np.array_equal(model.coefs_[0], donor.coefs_[0])


def test_the_head_is_new_where_classes_are_others():
    donor = MLPClassifier(**COMMON).fit(X, Y)
    model = begun(MLPClassifier, donor, y=Y + 1)
    *layers, head = model.init_report_["layers"]
    assert layers == ["taken", "taken"]
    assert head == "new: other classes or targets, or another link"
    assert_allclose(model.coefs_[1], donor.coefs_[1], atol=1e-6)
    assert not np.allclose(model.coefs_[2], donor.coefs_[2])


def test_layers_are_taken_where_shapes_agree():
    donor = MLPClassifier(**COMMON).fit(X, Y)
    model = begun(MLPClassifier, donor, hidden_layer_sizes=(7, 6))
    assert [text.split(":")[0] for text in model.init_report_["layers"]] == [
        "taken", "new", "new",
    ]  # fmt: skip
    assert (
        "(7, 6) and (6,), in init_from (7, 5) and (5,)"
        in (model.init_report_["layers"][1])
    )
    with pytest.warns(UserWarning, match="no layer that fits"):
        begun(MLPClassifier, donor, hidden_layer_sizes=(4,))


def test_features_are_matched_by_name():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    donor = MLPClassifier(**COMMON).fit(table, Y)
    changed = table[["d", "a", "b"]].assign(new=1.0)
    with pytest.warns(UserWarning, match=r"of \['new'\] start at zero.*of \['c'\]"):
        model = begun(MLPClassifier, donor, changed)
    assert model.init_report_ == {
        "donor": "MLPClassifier",
        "layers": ["taken: 3 of 4 features", "taken", "taken"],
        "new_features": ["new"],
        "missing_features": ["c"],
    }
    without = donor.predict_proba(table.assign(c=0.0))
    assert_allclose(model.predict_proba(changed), without, atol=1e-6)


@pytest.mark.parametrize("n_members", [1, 2])
def test_categories_keep_their_embedding(n_members):
    pandas = pytest.importorskip("pandas")
    parameters = {
        "categorical_features": "from_dtype",
        "category_embedding": {"max_one_hot": 0},
        "n_members": n_members,
    }
    table = pandas.DataFrame({"a": X[:, 0], "kind": np.array(list("cab"))[Y]})
    donor = MLPClassifier(**COMMON | parameters).fit(table, Y)
    changed = table.assign(kind=np.array(list("xbc"))[Y])
    model = begun(MLPClassifier, donor, changed, **parameters)
    network = getattr(model, "members_", [model])[-1]
    assert network.init_report_["layers"] == ["taken"] * 3
    assert_allclose(
        model.predict_proba(changed), donor.predict_proba(changed), atol=1e-6
    )


def test_codes_and_values_of_categories_are_not_mixed_up():
    texts = np.column_stack([X[:, 0].astype(object), np.array(list("cab"))[Y]])
    codes = np.column_stack([X[:, 0], Y])
    parameters = {
        "categorical_features": [1],
        "category_embedding": {"max_one_hot": 0},
    }
    for given, others in ((texts, codes), (codes, texts)):
        donor = MLPClassifier(**COMMON | parameters).fit(given, Y)
        with pytest.warns(UserWarning, match="by codes or by values as there"):
            model = begun(MLPClassifier, donor, others, **parameters)
        kinds = "values", "codes"
        own, its = kinds if others is texts else kinds[::-1]
        assert model.init_report_["layers"][0] == (
            f"new: categories are {own} in column 1, in init_from {its} in column 1"
        )


@pytest.mark.parametrize(
    ("of_donor", "own", "X", "told"),
    [
        (
            {"scaling": "robust"},
            {},
            X,
            "scaling is None, in init_from 'robust'. Use the same scaling in both.",
        ),
        (
            {},
            {"scaling": "robust", "numeric_embedding": "piecewise_linear"},
            X,
            "scaling is 'robust', in init_from None, numeric_embedding is "
            "'piecewise_linear', in init_from None. Use the same scaling and numeric",
        ),
        (
            {"scaling": "robust"},
            {"scaling": "robust"},
            X * [1.0, 1e-3, 1.0, 1.0] + [0.0, 1e5, 0.0, 0.0],
            "columns far from zero are standardised by other numbers. Subtract from",
        ),
    ],
)
def test_other_inputs_are_told_with_what_to_do(of_donor, own, X, told):
    """The first layer is new; the others are taken."""
    donor = MLPClassifier(**COMMON | of_donor).fit(load_iris().data, Y)
    pattern = re.escape(f"init_from gives no first layer, for {told}")
    with pytest.warns(UserWarning, match=pattern):
        model = begun(MLPClassifier, donor, X, **own)
    assert model.init_report_["layers"][0] == f"new: {told.split('. ')[0]}"


def test_columns_with_embeddings_must_be_in_order():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    donor = MLPClassifier(**COMMON, scaling="robust").fit(table, Y)
    told = r"columns are \['d', 'a', 'b', 'c'\], in .* Give X the columns of init_from"
    with pytest.warns(UserWarning, match=told):
        begun(MLPClassifier, donor, table[["d", "a", "b", "c"]], scaling="robust")


def test_features_without_names_must_be_as_many():
    donor = MLPClassifier(**COMMON).fit(X, Y)
    model = begun(MLPClassifier, donor, X[:, :3])
    assert model.init_report_["layers"][0] == (
        "new: 3 features and not 4, without names to match them"
    )


def test_columns_and_targets_far_from_zero_keep_their_function():
    far, y = X + [0.0, 1e5, 0.0, 0.0], 1e6 + 1e3 * X[:, 0]
    donor = MLPRegressor(**COMMON, dtype="float64").fit(far, y)
    others = np.r_[far, [[0.0, 2e5, 0.0, 0.0]]]
    model = begun(MLPRegressor, donor, others, np.r_[y, 0.0], dtype="float64")
    assert model.feature_scales_[1] != donor.feature_scales_[1]
    assert_allclose(model.predict(far), donor.predict(far), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:init_from has no layer")
def test_donors_survive_clones_searches_and_pickles():
    donor = MLPClassifier(**COMMON).fit(X, Y)
    model = MLPClassifier(**COMMON, init_from=donor)
    assert isinstance(model.init_from, FrozenEstimator)
    assert clone(model).init_from.estimator is donor
    assert model.set_params(init_from=donor).init_from.estimator is donor
    assert len(cross_val_score(model, X, Y, cv=2, n_jobs=2)) == 2
    search = GridSearchCV(model, {"hidden_layer_sizes": [(7, 5), (7,)]}, cv=2)
    search.fit(X, Y)
    fitted = pickle.loads(pickle.dumps(model.fit(X, Y)))
    assert_array_equal(fitted.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("donor", "error", "message"),
    [
        (MLPClassifier(), NotFittedError, "init_from must be fitted, got a MLP"),
        (OfScikitLearn(), NotFittedError, "pass FrozenEstimator"),
        (GridSearchCV(MLPClassifier(), {}), ValueError, "best_estimator_"),
        (TabularClassifier(), ValueError, "Fit one of its models alone, such as Real"),
        (([np.ones(3)], [np.ones(3)]), ValueError, "must be a list of matrices"),
        (([np.ones((4, 3))], []), ValueError, "intercepts_ must hold 1 arrays"),
        (3, ValueError, "The 'init_from' parameter"),
    ],
)
def test_other_donors_are_refused(donor, error, message):
    with pytest.raises(error, match=message):
        MLPClassifier(init_from=donor).fit(X, Y)


# Layers that are not trained --------------------------------------------------


@pytest.mark.parametrize(
    ("freeze", "kept"),
    [(1, {0}), ("body", {0, 1}), ([2], {1}), ([-1, 1], {0, 2}), (0, set())],
)
def test_frozen_layers_stay_as_they_are(any_engine, freeze, kept):
    donor = MLPClassifier(**COMMON, normalization="batch").fit(X, Y)
    model = MLPClassifier(
        **COMMON, normalization="batch", freeze=freeze, init_from=donor
    )
    model.set_params(alpha=1.0, max_norm=0.5, ema_decay=0.9).fit(X, Y)
    for name in ("coefs_", "intercepts_", "norms_"):
        pairs = zip(getattr(model, name), getattr(donor, name), strict=True)
        same = {layer for layer, pair in enumerate(pairs) if np.array_equal(*pair)}
        assert same == kept - ({2} if name == "norms_" else set())


@pytest.mark.parametrize("solver", ["lbfgs", "muon", "schedule_free"])
def test_every_solver_leaves_them_alone(solver):
    donor = MLPClassifier(**COMMON, dtype="float64").fit(X, Y)
    parameters = {"solver": solver, "init_from": donor, "dtype": "float64"}
    model = MLPClassifier(**COMMON, **parameters, freeze=1).fit(csr_array(X), Y)
    assert_array_equal(model.coefs_[0], donor.coefs_[0])
    assert not np.allclose(model.coefs_[1], donor.coefs_[1])


@pytest.mark.parametrize("name", ["embedded", "realmlp", "tabm"])
def test_what_stands_before_the_first_layer_is_frozen_with_it(name):
    kind, parameters = SAME[name]
    donor = kind(**COMMON | parameters).fit(X, Y)
    model = kind(**COMMON | parameters, init_from=donor, freeze="body").fit(X, Y)
    assert_array_equal(model.hidden_features(X), donor.hidden_features(X))
    assert not np.array_equal(model.coefs_[-1], donor.coefs_[-1])


def test_they_can_be_trained_later():
    model = MLPClassifier(**COMMON, freeze="body", warm_start=True).fit(X, Y)
    before = model.coefs_[0].copy()
    model.set_params(freeze=None).fit(X, Y)
    assert not np.array_equal(model.coefs_[0], before)
    assert len(model.loss_curve_) == 6


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (3, "must leave a layer to train"),
        (4, "0 to 2 in this network, got 4"),
        ([1, 4], r"1 to 3 or -3 to -1 in this network, got \[1, 4\]"),
        ("head", "The 'freeze' parameter"),
    ],
)
def test_other_layers_cannot_be_frozen(freeze, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**COMMON, freeze=freeze).fit(X, Y)


# Checkpoints ------------------------------------------------------------------


def files_of(folder, donor, *data):
    """The donor's own checkpoints, written at the end of its fit."""
    donor.set_callbacks(Checkpoint(folder, every=2)).fit(*data)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("as_path", [str, Path])
@pytest.mark.parametrize("name", ["plain", "embedded", "tabm"])
def test_a_checkpoint_is_a_donor_as_its_estimator(name, as_path, tmp_path):
    kind, parameters = SAME[name]
    donor = kind(**COMMON | parameters)
    (file,) = files_of(tmp_path, donor, X, Y)
    one, other = (
        begun(kind, each, 2.0 * X + 1.0, **parameters)
        for each in (donor, as_path(file))
    )
    assert_array_equal(other.predict_proba(X), one.predict_proba(X))
    report = {**one.init_report_, "donor": f"checkpoint {file} of {kind.__name__}"}
    report["donor"] += ", 3 epochs"
    assert other.init_report_ == report


def test_the_weights_that_count_are_taken(tmp_path):
    """Those of the best epoch, an average; those of targets far from zero."""
    model = MLPRegressor(**COMMON | {"max_iter": 9}, early_stopping=True)
    model.set_params(learning_rate_init=0.3, target_scaling="standard")
    averaged = MLPRegressor(**COMMON, ema_decay=0.9)
    for number, donor in enumerate((model, averaged)):
        (tmp_path / str(number)).mkdir()
        (file,) = files_of(tmp_path / str(number), donor, X, 100.0 + Y)
        found = donor_of(MLPRegressor(init_from=file)).weights
        for one, its in zip(found.coefs, donor.coefs_, strict=True):
            assert_array_equal(one, its)


def test_names_and_categories_of_a_checkpoint(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    table["e"] = pandas.Categorical(np.array(["x", "y", "z"])[Y])
    parameters = {**COMMON, "categorical_features": "from_dtype"}
    (file,) = files_of(tmp_path, MLPClassifier(**parameters), table, Y)
    model = MLPClassifier(**parameters, init_from=str(file)).fit(table[::2], Y[::2])
    assert model.init_report_["layers"] == ["taken"] * 3


def test_files_that_are_no_donors_are_named(tmp_path):
    (file,) = files_of(tmp_path, MLPClassifier(**COMMON), X, Y)
    header, arrays = files.read(file)
    with pytest.raises(ValueError, match=r"and .* is a folder\. Pass the path of an"):
        MLPClassifier(init_from=tmp_path).fit(X, Y)
    with pytest.raises(ValueError, match=r"gone\.npz is not there"):
        MLPClassifier(init_from=tmp_path / "gone.npz").fit(X, Y)
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"\.npz is no checkpoint of nnfit, or a dam"):
        MLPClassifier(init_from=file).fit(X, Y)
    files.write(file, {**header, "donor": None}, arrays)
    with pytest.raises(ValueError, match="does not tell what its network is"):
        MLPClassifier(init_from=file).fit(X, Y)
    for broken in ({**header, "donor": "{"}, {**header, "record": {}}):
        files.write(file, broken, arrays)
        with pytest.raises(files.NotACheckpoint, match="is a damaged checkpoint"):
            MLPClassifier(init_from=file).fit(X, Y)
    del arrays["raw coefs 1"]
    files.write(file, header, arrays)
    with pytest.raises(files.NotACheckpoint, match="is a damaged checkpoint"):
        MLPClassifier(init_from=file).fit(X, Y)
