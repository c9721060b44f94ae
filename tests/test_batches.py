"""Fits to rows that come in batches: `fit_batches`."""

import pickle
import time
import tracemalloc
from functools import partial

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

from nnfit import MLPClassifier, MLPRegressor, RealMLPClassifier
from nnfit.batches import NpySource
from nnfit.batches.blocks import block_sizes
from nnfit.batches.reading import Ahead
from nnfit.callbacks import Callback, Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS, MEMORY = 437, 25_000
rng = np.random.default_rng(0)
X = rng.standard_normal((N_ROWS, 5)).astype("float32")
NUMBERS = X @ rng.standard_normal(5).astype("float32")
CLASSES = np.digitize(NUMBERS, [-1.0, 1.0])
WEIGHTS = rng.random(N_ROWS)
PARAMETERS = dict(
    hidden_layer_sizes=(8,), batch_size=20, max_iter=4, random_state=0, n_jobs=1
)
classifier = partial(MLPClassifier, **PARAMETERS)
regressor = partial(MLPRegressor, **PARAMETERS)


def source_of(*arrays, size=70):
    """A function that yields so many rows of each at a time."""

    def rows():
        for start in range(0, arrays[0].shape[0], size):
            yield tuple(array[start : start + size] for array in arrays)

    return rows


def assert_same(one, other):
    """The same networks, bit for bit, and the same records."""
    for name in ("coefs_", "intercepts_", "norms_"):
        pairs = zip(getattr(one, name), getattr(other, name), strict=True)
        for array, expected in pairs:
            np.testing.assert_array_equal(array, expected)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-12)
    assert (one.n_iter_, one.t_) == (other.n_iter_, other.t_)
    assert one.validation_scores_ == other.validation_scores_


SITUATIONS = {
    "plain": {},
    "threads": {"n_jobs": 2},
    "schedule": {"learning_rate": "cosine", "warmup": 0.2},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {
        **{"solver": "sgd", "learning_rate": "adaptive"},
        **{"tol": 0.1, "n_iter_no_change": 1},
    },
    "stops": {"tol": 1.0, "n_iter_no_change": 1, "max_iter": 30},
    "average": {"ema_decay": 0.9},
    "batch normalisation": {"normalization": "batch"},
    "float64": {"dtype": "float64"},
    "automatic batches": {"batch_size": "auto"},
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_without_shuffle_the_network_is_that_of_fit(name):
    parameters = {"shuffle": False, **SITUATIONS[name]}
    model = classifier(**parameters).fit_batches(source_of(X, CLASSES), memory=MEMORY)
    assert_same(model, classifier(**parameters).fit(X, CLASSES))


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1, 1: 2, 2: 4}])
def test_weights_of_rows_and_classes(class_weight):
    model = classifier(shuffle=False, class_weight=class_weight)
    expected = clone(model).fit(X, CLASSES, WEIGHTS)
    rows = source_of(X, CLASSES, WEIGHTS)
    assert_same(model.fit_batches(rows, memory=MEMORY), expected)


@pytest.mark.parametrize("known", [{}, {"n_rows": N_ROWS}])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_numbers(offset, known):
    """Those with an offset are standardised, as the sample says: of all rows here."""
    memory = 200_000 if offset else MEMORY
    model, y = regressor(shuffle=False), NUMBERS + offset
    model.fit_batches(source_of(X, y), memory=memory, **known)
    assert_same(model, regressor(shuffle=False).fit(X, y))


def test_numbers_and_classes_given_spare_the_first_pass():
    passes = []

    def rows():
        passes.append(0)
        return source_of(X, CLASSES)()

    model = classifier(shuffle=False, max_iter=1)
    model.fit_batches(rows, memory=MEMORY, n_rows=N_ROWS, classes=[0, 1, 2])
    n_passes = len(passes)
    assert_same(model, clone(model).fit(X, CLASSES))
    model.fit_batches(rows, memory=MEMORY)
    assert len(passes) > n_passes


def test_sparse_rows():
    sparse = scipy.sparse.random(
        N_ROWS, 30, 0.2, "csr", dtype=np.float32, random_state=0
    )
    model = classifier(shuffle=False)
    model.fit_batches(source_of(sparse, CLASSES), memory=MEMORY)
    assert_same(model, classifier(shuffle=False).fit(sparse, CLASSES))


def test_missing_and_scaled_numbers_and_targets_of_several_columns():
    holes = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    y = np.stack([NUMBERS, -NUMBERS], axis=1)
    model = regressor(shuffle=False, scaling="standard")
    model.fit_batches(source_of(holes, y), memory=10 * MEMORY)  # all are the sample
    assert_same(model, clone(model).fit(holes, y))


def test_rows_are_shuffled_and_learnt_from():
    model = classifier(max_iter=20, learning_rate_init=0.01)
    model.fit_batches(source_of(X, CLASSES), memory=MEMORY)
    assert model.score(X, CLASSES) > 0.85
    again = clone(model).fit_batches(source_of(X, CLASSES), memory=MEMORY)
    assert_same(model, again)
    other = clone(model).set_params(shuffle=False)
    other.fit_batches(source_of(X, CLASSES), memory=MEMORY)
    assert (other.coefs_[0] != model.coefs_[0]).any()


def test_parameters_copies_and_more_training():
    model = classifier(shuffle=False, warm_start=True)
    expected = clone(model).fit(X, CLASSES).fit(X, CLASSES)
    model.fit_batches(source_of(X, CLASSES), memory=MEMORY)
    model = pickle.loads(pickle.dumps(model))
    model.fit_batches(source_of(X, CLASSES), memory=MEMORY)
    assert_same(model, expected)
    assert clone(model).get_params() == model.get_params() == expected.get_params()


@pytest.mark.parametrize("kind", ["arrays", "source"])
def test_validation_and_early_stopping(kind):
    model = classifier(shuffle=False, early_stopping=True)
    val = X[:90], CLASSES[:90]
    expected = clone(model).fit(X, CLASSES, X_val=val[0], y_val=val[1])
    val = val if kind == "arrays" else source_of(*val, size=40)
    model.fit_batches(source_of(X, CLASSES), memory=MEMORY, validation=val)
    assert_same(model, expected)
    assert model.history_["val_loss"] == expected.history_["val_loss"]


def test_recipes_keep_the_best_epoch():
    model = RealMLPClassifier(hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="Pass validation"):
        model.fit_batches(source_of(X, CLASSES), memory=MEMORY)
    val = X[:90], CLASSES[:90]
    model.fit_batches(source_of(X, CLASSES), memory=2**20, validation=val)
    assert len(model.validation_scores_) == 2


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
@pytest.mark.parametrize("shuffle", [False, True])
def test_checkpoints(shuffle, tmp_path):
    rows = source_of(X, CLASSES)
    expected = classifier(shuffle=shuffle).fit_batches(rows, memory=MEMORY)
    path = tmp_path / "fit.npz"

    def stop(self, estimator, context):
        if len(estimator.history_["loss"]) == 2:
            raise KeyboardInterrupt

    killer = type("Killer", (Callback,), {"after_epoch": stop})()
    model = classifier(shuffle=shuffle).set_callbacks(Checkpoint(path, every=1), killer)
    assert model.fit_batches(rows, memory=MEMORY).n_iter_ == 2
    model = classifier(shuffle=shuffle)
    model.fit_batches(rows, memory=MEMORY, resume_from=path)
    assert_same(model, expected)


@pytest.mark.emulated
def test_every_engine(any_engine):
    parameters = {"shuffle": False, "max_iter": 2}
    expected = classifier(**parameters).fit(X[:90], CLASSES[:90])
    model = classifier(**parameters)
    model.fit_batches(source_of(X[:90], CLASSES[:90]), memory=6000)
    for array, other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(array, other)
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_)


# Files -----------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path):
    for number, start in enumerate(range(0, N_ROWS, 150)):
        rows = slice(start, start + 150)
        np.save(tmp_path / f"X_{number}.npy", X[rows])
        np.save(tmp_path / f"y_{number}.npy", CLASSES[rows])
    return tmp_path


def test_arrays_in_files(shards):
    source = NpySource(str(shards / "X_*.npy"), str(shards / "y_*.npy"))
    model = classifier(shuffle=False).fit_batches(source, memory=MEMORY)
    assert_same(model, classifier(shuffle=False).fit(X, CLASSES))
    files = [shards / f"X_{i}.npy" for i in range(3)]
    labels = [shards / f"y_{i}.npy" for i in range(3)]
    model = classifier(max_iter=20, learning_rate_init=0.01)
    model.fit_batches(NpySource(files, labels), memory=MEMORY)
    assert model.score(X, CLASSES) > 0.85


# Memory and time --------------------------------------------------------------


@pytest.mark.slow
def test_the_memory_is_that_of_blocks(tmp_path):
    """For a table of ten times that."""
    memory, n_rows = 2**22, 520_000
    files = tmp_path / "X.npy", tmp_path / "y.npy"
    rows = np.random.default_rng(0).standard_normal((n_rows, 20), "f4")
    np.save(files[0], rows)
    np.save(files[1], rows[:, 0])
    assert rows.nbytes > 9.9 * memory
    del rows
    model = regressor(batch_size=100, max_iter=1)
    few = np.random.default_rng(1).standard_normal((100, 20), "f4")
    model.fit_batches(source_of(few, few[:, 0]))  # compiled
    source = NpySource(*files)
    tracemalloc.start()
    model.fit_batches(source, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < memory


def test_reading_and_computing_take_the_time_of_the_slower():
    pause, count = 0.01, 20

    def items():
        for number in range(count):
            time.sleep(pause)
            yield number

    ahead, ratios = None, []
    for _ in range(3):  # other processes may take the processor
        started = time.perf_counter()
        ahead = Ahead(items())
        for _ in range(count):
            next(ahead)
            ahead.go_on()
            time.sleep(pause)
        ahead.close()
        ratios.append((time.perf_counter() - started) / (pause * count))
    assert min(ratios) < 1.6  # one after the other: 2


# Mistakes --------------------------------------------------------------------


def used_up():
    batches = source_of(X, CLASSES)()
    return lambda: batches


def late(*arrays):
    return lambda: iter([(X[:300], CLASSES[:300]), arrays])


WRONG = {
    "iterator": (source_of(X, CLASSES)(), "got a generator, which is used up"),
    "used up": (used_up(), "gave 0 rows in a pass, and .* were expected"),
    "empty": (lambda: iter([]), r"gives no rows, and at least one was expected"),
    "number": (7, "source must be a path, a source of nnfit.batches, or a callable"),
    "no iterator": (lambda: 7, "must return an iterator of .* got int"),
    "one array": (lambda: iter([X]), r"batch 0 .* must be a tuple \(X, y\)"),
    "lengths": (lambda: iter([(X, [1])]), "as many entries of y as rows of X, 437"),
    "width": (
        late(X[:, :4], CLASSES),
        r"batch 1 of \S+ has X of 4 columns, and X of 5 columns was expected as in "
        r"batch 0 of",
    ),
    "targets": (late(X, np.eye(3)[CLASSES]), "batch 1 .* has y of 3 columns"),
    "weights": (late(X, CLASSES, WEIGHTS), "has sample weights, and no sample"),
    "infinity": (late(X + np.inf, CLASSES), "batch 1 .* holds infinity in column 0"),
    "negative": (
        lambda: iter([(X, CLASSES, -WEIGHTS)]),
        "batch 0 of .*: Negative values in data passed to `sample_weight`",
    ),
    "label": (late(X, [None] * N_ROWS), "batch 1 .* must hold a label everywhere"),
    "path": ("table.parquet", "needs target, the name of the column of y"),
    "array": ("X.npy", r"Pass nnfit\.batches\.NpySource\(X, y\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_sources(name):
    source, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        classifier().fit_batches(source, memory=MEMORY)


WRONG_CALLS = {
    "late class": ({"n_rows": 737, "classes": [0, 1]}, "has the classes .2., and only"),
    "rows": ({"n_rows": 12}, "has 437 rows, and 12 were expected as n_rows says"),
    "more rows": (
        {"n_rows": 500, "classes": [0, 1, 2]}, "gave 437 rows in a pass, and 500 were"
    ),
    "memory": ({"memory": 1000}, "a batch of 20 rows takes"),
    "no memory": ({"memory": 0}, "memory must be a number of bytes"),
    "target": ({"target": "y"}, "target names a column of the Parquet files"),
    "validation": ({"validation": (X,)}, "a tuple .X_val, y_val"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls(name):
    arguments, message = WRONG_CALLS[name]
    with pytest.raises((ValueError, MemoryError), match=message):
        classifier().fit_batches(
            source_of(X, CLASSES), **{"memory": MEMORY, **arguments}
        )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_members": 2}, "fit_batches trains one network"),
        ({"solver": "lbfgs"}, "needs all rows at once"),
        ({"early_stopping": True}, "fit_batches sets no rows aside"),
        ({"ema_decay": 0.9, "normalization": "batch"}, "needs a pass over all rows"),
    ],
)
def test_parameters_that_need_all_rows(parameters, message):
    with pytest.raises(ValueError, match=message):
        classifier(**parameters).fit_batches(source_of(X, CLASSES), memory=MEMORY)


def test_wrong_files(shards):
    np.save(shards / "X_2.npy", X[:137, :4])
    with pytest.raises(ValueError, match=r"X_2\.npy has rows of the shape \(4,\), and"):
        NpySource(str(shards / "X_*.npy"), str(shards / "y_*.npy"))
    with pytest.raises(ValueError, match=r"y must have a file for each of the 3 of X"):
        NpySource(str(shards / "X_*.npy"), shards / "y_0.npy")
    with pytest.raises(ValueError, match=r"y_0\.npy must have an entry for each of"):
        NpySource(shards / "X_2.npy", shards / "y_0.npy")
    (shards / "X_2.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"X_2\.npy must hold an array of numbers"):
        NpySource(shards / "X_2.npy", shards / "y_2.npy")
    with pytest.raises(FileNotFoundError, match=r"none was found"):
        NpySource(shards / "Z_*.npy", shards / "y_2.npy")


# Parts -----------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [1, 9, 10, 39, 40, 41, 49, 50, 400])
def test_blocks_hold_whole_batches(n_rows):
    sizes = block_sizes(n_rows, 47, 10)
    assert sum(sizes) == n_rows
    assert all(size % 10 == 0 for size in sizes[:-1])
    assert sizes[-1] >= min(n_rows, 10)
    assert max(sizes) < 50


def test_items_are_made_one_ahead():
    made = []

    def items():
        for number in range(3):
            made.append(number)
            yield number

    ahead = Ahead(items())
    assert next(ahead) == 0
    assert made == [0]
    ahead.go_on()
    assert next(ahead) == 1
    ahead.close()
    assert made == [0, 1]
    failing = Ahead(1 / number for number in (1, 0))
    assert next(failing) == 1
    failing.go_on()
    with pytest.raises(ZeroDivisionError):
        next(failing)
    failing.close()
