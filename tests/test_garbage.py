"""Data and buffers are given back at once: nothing that holds them needs a collector.

Python collects cycles of objects rarely, those that have lived for some time only when
a quarter of all objects are new. What such a cycle holds would pile up until then.
"""

import gc
import threading
from contextlib import contextmanager, suppress
from itertools import count, cycle, product

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import GridSearchCV
from sklearn.utils.fixes import parse_version, sp_version

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV, find_learning_rate
from nnfit.cpu.plans import forward_plan
from nnfit.cpu.training_plans import training_plan
from nnfit.training import device

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 8))
Y = X[:, 0].copy()
SPARSE = scipy.sparse.csr_array(np.where(X > 1.5, X, 0.0))
#: Bytes of an array that counts: less than any that goes with the number of rows.
LARGE = 200
QUICK = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "batch_size": 30}


@contextmanager
def nothing_for_the_collector():
    """Fail if what was done leaves cycles with arrays, or with objects of nnfit."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        held = sorted(set(map(describe, filter(holds_data, gc.garbage))))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held


def holds_data(item):
    if type(item).__module__.startswith("nnfit"):
        return True
    return any(
        isinstance(part, np.ndarray) and part.nbytes >= LARGE
        for part in gc.get_referents(item)
    )


def describe(item):
    if hasattr(item, "f_code"):
        return f"frame of {item.f_code.co_qualname}"
    return f"{type(item).__module__}.{type(item).__qualname__}"


def interrupt_at(call, error=KeyboardInterrupt):
    """An engine whose ``train`` raises at the call of this number."""

    def patched(monkeypatch):
        engine = device.load_engine(device.CPU).Engine
        engine = getattr(engine, "func", engine)  # a GPU's with its number
        numbers = count(1)
        train = engine.train

        def train_or_raise(self, *arguments):
            if next(numbers) == call:
                raise error("in the middle")
            return train(self, *arguments)

        monkeypatch.setattr(engine, "train", train_or_raise)

    return patched


def regressor(**options):
    return MLPRegressor(**{**QUICK, **options})


def classifier(**options):
    return MLPClassifier(**{**QUICK, **options})


def in_calls(model):
    for _ in range(2):
        model.partial_fit(X, Y)
    model.predict(X)


def predicting(model, rows=X):
    model.fit(rows, Y)
    model.predict(rows)


def failing(call):
    with suppress(ValueError, RuntimeError, KeyboardInterrupt, MemoryError):
        call()


def own_schedule(t):
    return 1.0 - t


WORK = {
    "fit": lambda: predicting(regressor()),
    "float32": lambda: regressor().fit(X.astype(np.float32), Y),
    "sparse": lambda: predicting(regressor(), SPARSE),
    "classifier": lambda: classifier().fit(X, Y > 0).predict_proba(X),
    "threads": lambda: predicting(regressor(n_jobs=2)),
    "early stopping": lambda: regressor(early_stopping=True).fit(X, Y),
    "a scorer": lambda: regressor(early_stopping=True, scoring="r2").fit(X, Y),
    "X_val": lambda: regressor().fit(X, Y, X_val=X, y_val=Y),
    "average": lambda: regressor(ema_decay=0.9, normalization="batch").fit(X, Y),
    "schedule": lambda: regressor(learning_rate=own_schedule).fit(X, Y),
    "data-driven": lambda: regressor(initialization="data_driven").fit(X, Y),
    "lbfgs": lambda: predicting(regressor(solver="lbfgs")),
    "partial_fit": lambda: in_calls(regressor()),
    "warm_start": lambda: regressor(warm_start=True).fit(X, Y).fit(X, Y),
    "ensemble": lambda: predicting(regressor(n_members=3)),
    "ensemble in calls": lambda: in_calls(regressor(n_members=2)),
    "range test": lambda: find_learning_rate(regressor(), X, Y, n_steps=5),
    "PopulationSearchCV": lambda: PopulationSearchCV(
        regressor(), {"alpha": [0.1, 0.2]}, cv=2
    ).fit(X, Y),
    "GridSearchCV": lambda: GridSearchCV(regressor(), {"alpha": [0.1, 0.2]}, cv=2).fit(
        X, Y
    ),
    "diverging": lambda: failing(
        lambda: regressor(solver="sgd", learning_rate_init=1e30).fit(X, Y)
    ),
    "an ensemble diverging": lambda: failing(
        lambda: regressor(solver="sgd", learning_rate_init=1e30, n_members=3).fit(X, Y)
    ),
    "a search diverging": lambda: failing(
        lambda: PopulationSearchCV(
            regressor(solver="sgd"), {"learning_rate_init": [1e30]}, cv=2
        ).fit(X, Y)
    ),
    "bad input": lambda: failing(lambda: regressor().fit(X, Y[:5])),
}


#: Ways to call an engine; what estimators do beside that is the same on a GPU.
ON_A_GPU = (
    "fit", "sparse", "early stopping", "average", "lbfgs", "partial_fit", "ensemble",
    "PopulationSearchCV", "diverging",
)  # fmt: skip


@pytest.fixture
def engine(request):
    """The CPU's, or the emulated GPU's."""
    if request.param == "cpu":
        yield request.param
        return
    from tests import conftest

    with conftest.emulated_gpu():
        yield request.param


@pytest.mark.parametrize(
    ("engine", "name"),
    [("cpu", name) for name in WORK]
    + [pytest.param("cuda", name, marks=pytest.mark.slow) for name in ON_A_GPU],
    indirect=["engine"],
)
def test_nothing_is_left_for_the_collector(engine, name):
    if name == "lbfgs" and sp_version < parse_version("1.14"):
        pytest.skip("SciPy 1.13 keeps the function that it minimises in a cycle")
    WORK[name]()  # what is kept for good, such as kernels
    with nothing_for_the_collector():
        WORK[name]()


def test_plans_that_many_others_crowd_out_are_given_back():
    WORK["threads"]()
    with nothing_for_the_collector():
        for plans in (forward_plan, training_plan):
            assert plans.cache_info().currsize
            plans.cache_clear()


FITS = {
    "fit": lambda: regressor(max_iter=5, early_stopping=True).fit(X, Y),
    "partial_fit": lambda: in_calls(regressor()),
    "threads": lambda: regressor(n_jobs=2).fit(X, Y),
    "ensemble": lambda: regressor(n_members=3).fit(X, Y),
    "search": lambda: PopulationSearchCV(
        regressor(), {"alpha": [0.1, 0.2]}, cv=2, error_score="raise"
    ).fit(X, Y),
}


ERRORS = [KeyboardInterrupt, ValueError, MemoryError]


@pytest.mark.parametrize(
    ("engine", "name", "error"),
    [("cpu", *case) for case in product(FITS, ERRORS)]
    + [
        pytest.param("cuda", *case, marks=pytest.mark.slow)
        for case in zip(FITS, cycle(ERRORS), strict=False)
    ],
    indirect=["engine"],
)
def test_nothing_is_left_of_a_fit_that_ends_in_the_middle(
    engine, name, error, monkeypatch
):
    interrupt_at(1, error)(monkeypatch)
    failing(FITS[name])
    interrupt_at(1, error)(monkeypatch)
    with nothing_for_the_collector():
        failing(FITS[name])
    assert not [t for t in threading.enumerate() if t.name.startswith("nnfit")]
