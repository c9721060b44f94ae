"""Labels of a classifier: their types, and those that are missing."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn import neural_network
from sklearn.metrics import get_scorer, log_loss

from nnfit import MLPClassifier
from nnfit.training.splits import split_every_class

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NAMES = ["low", "highest"] * 30
QUICK = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}

# ------------------------------------------------------------------------------- types

KINDS = [
    NAMES,
    np.array(NAMES),
    np.array(NAMES, object),
    pd.Series(NAMES),
    pd.Series(NAMES, dtype="category"),
    pd.Series(NAMES, dtype="string"),
    np.array([1, 2] * 30, np.int8),
    np.array([True, False] * 30),
    np.array([1.0, 2.0] * 30, np.float32),
    pd.Series([1, 2] * 30, dtype="Int64"),
]


@pytest.mark.parametrize("y", KINDS, ids=lambda y: f"{type(y).__name__} {len(set(y))}")
def test_classes_have_the_type_that_scikit_learn_gives(y):
    expected = neural_network.MLPClassifier((2,), max_iter=1).fit(X, y)
    for model in (
        MLPClassifier(**QUICK).fit(X, y),
        MLPClassifier(**QUICK, warm_start=True).fit(X, y).fit(X, y),
        MLPClassifier(**QUICK, n_members=2).fit(X, y),
    ):
        assert model.classes_.dtype == expected.classes_.dtype
        assert_array_equal(model.classes_, expected.classes_)
        assert model.predict(X).dtype == expected.predict(X).dtype
        assert 0 <= model.score(X, y) <= 1


def test_names_train_as_numbers():
    of_objects = MLPClassifier(**QUICK, class_weight={"low": 1, "highest": 3})
    of_objects.fit(X, np.array(NAMES, object))
    of_numbers = MLPClassifier(**QUICK, class_weight={1: 1, 0: 3})
    of_numbers.fit(X, np.array([1, 0] * 30))
    assert_array_equal(of_objects.coefs_[0], of_numbers.coefs_[0])


# --------------------------------------------------------------------- what is no label


@pytest.mark.parametrize("label", ["a", 1, True])
@pytest.mark.parametrize("missing", [None, pd.NA, pd.NaT, np.nan], ids=str)
def test_none_is_no_label(label, missing):
    given = rf" must hold a label everywhere, got {missing} at position 7\."
    y = [label] * 60
    with_none = np.array([missing if i == 7 else label for i in range(60)], object)
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match="^y" + given):
        model.fit(X, with_none)
    with pytest.raises(ValueError, match="^y" + given):
        model.set_params(n_members=2).fit(X, with_none)
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match="^y" + given):
        model.partial_fit(X, with_none, classes=[label])
    with pytest.raises(ValueError, match=r"^classes must .* got None at position 1\."):
        model.partial_fit(X, y, classes=[label, None])
    with pytest.raises(ValueError, match="^y_val" + given):
        model.fit(X, y, X_val=X, y_val=with_none)


def test_labels_of_several_types():
    with pytest.raises(ValueError, match="y must hold labels of one type, got 'a'"):
        MLPClassifier(**QUICK).fit(X, np.array(["a", 1] * 30, object))


def test_unseen_classes_of_validation_data_are_those_of_y_val():
    y = RNG.integers(0, 3, size=60)
    model = MLPClassifier(**QUICK)
    with pytest.raises(ValueError, match=r"^`y_val` has .* 'y_val' has \[1 2 3"):
        model.fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(ValueError, match=r"^y_val must have shape \(n_samples,\) as"):
        model.fit(X, y, X_val=X, y_val=np.eye(3, dtype=int)[y])


def test_one_hot_classes_are_taken_for_labels():
    one_hot = np.eye(3, dtype=int)[RNG.integers(0, 3, size=60)]
    for y in (one_hot, csr_array(one_hot)):
        with pytest.warns(match=r"one 1 in every row.* pass y\.argmax\(axis=1\)"):
            MLPClassifier(**QUICK).fit(X, y)
    one_hot[5] = 1
    MLPClassifier(**QUICK).fit(X, one_hot)  # not so


# ---------------------------------------------------- classes that validation rows lack

#: The third class has five rows, of which a split by proportion sets none aside.
RARE = np.where(np.arange(60) < 55, np.arange(60) % 2, 2)
OF_COLUMNS = ("neg_log_loss", "roc_auc_ovr", "top_k_accuracy", "neg_brier_score")
STOPPING = {**QUICK, "early_stopping": True}


def own_loss(estimator, X, y):
    return -log_loss(y, estimator.predict_proba(X))


@pytest.mark.parametrize("scoring", [*OF_COLUMNS, get_scorer("neg_log_loss")], ids=str)
@pytest.mark.parametrize("names", [[0, 1, 2], ["a", "b", "c"]], ids=["0", "a"])
def test_a_split_has_every_class_that_the_score_needs(scoring, names):
    y = np.array(names)[RARE]
    for seed in range(3):
        model = MLPClassifier(**STOPPING | {"random_state": seed}, scoring=scoring)
        model.fit(X, y)
        assert np.isfinite(model.validation_scores_).all()


def test_other_scores_keep_the_split_of_scikit_learn():
    plain = MLPClassifier(**STOPPING).fit(X, RARE)
    for scoring in ("accuracy", "f1_macro", get_scorer("accuracy")):
        model = MLPClassifier(**STOPPING, scoring=scoring).fit(X, RARE)
        assert_array_equal(model.loss_curve_, plain.loss_curve_)


@pytest.mark.parametrize("n_rare", [2, 3, 30])
@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_both_parts_have_rows_of_every_class(fraction, n_rare):
    y = np.arange(100) % 5
    y[y == 3] = 0
    y[:n_rare] = 3
    train, held_out = split_every_class(y, fraction, np.random.RandomState(0))
    assert_array_equal(np.sort(np.r_[train, held_out]), np.arange(100))
    assert len(held_out) == 100 * fraction
    for part in (train, held_out):
        assert set(y[part]) == set(range(5))
    assert split_every_class(y, 0.01, np.random.RandomState(0)) is None
    assert split_every_class(np.r_[y, 7], 0.2, np.random.RandomState(0)) is None


@pytest.mark.parametrize(
    "scoring", [*OF_COLUMNS, own_loss], ids=[*OF_COLUMNS, "own loss"]
)
def test_missing_classes_are_named(scoring):
    message = (
        r"^scoring=.* every class, but .* no row of the classes \[2\]\. Pass X_val"
    )
    given = {"X_val": X[RARE < 2], "y_val": RARE[RARE < 2]}
    model = MLPClassifier(**STOPPING, scoring=scoring)
    with pytest.raises(ValueError, match=message):
        model.fit(X, RARE, **given)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, RARE, classes=[0, 1, 2], **given)
    assert not hasattr(model, "coefs_")
    single = np.where(np.arange(60) < 59, RARE % 2, 2)
    with pytest.raises(ValueError, match=message):
        model.set_params(random_state=1).fit(X, single)
    with pytest.raises(ValueError, match=r"no row of the classes \[0, 1\]"):
        model.fit(X, RARE, groups=np.where(RARE == 2, 9, np.arange(60) % 5))


@pytest.mark.filterwarnings("ignore:Only one class")
def test_scores_without_a_value():
    """Where the score is NaN and shall stop the training."""
    model = MLPClassifier(**STOPPING, scoring="roc_auc")
    with pytest.raises(ValueError, match=r"no row of the classes \[1\]"):
        model.fit(X, RARE % 2, X_val=X[:3], y_val=[0, 0, 0])
    labels = np.column_stack([RARE % 2, np.arange(60) == 0])
    with pytest.raises(ValueError, match=r"only rows without, the labels \[1\]"):
        model.fit(X, labels)
    model = MLPClassifier(**QUICK, scoring="roc_auc")
    model.fit(X, RARE % 2, X_val=X[:3], y_val=[0, 0, 0])
    assert np.isnan(model.history_["val_score"]).all()
