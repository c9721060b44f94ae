"""Threads: equal bits for any number, also under load and where some leave."""

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from nnfit.cpu import engine as cpu
from nnfit.cpu import placement, prediction, thread_choice, thread_group
from nnfit.training import threads
from tests.engines import make_data, make_engine, make_network, train
from tests.pairs import in_turn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(230, 12)).astype(np.float32)
Y = np.abs(X[:, :2] @ [[1.0], [-2.0]]).ravel() + 0.1
LABELS = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])
WEIGHT = rng.uniform(size=230)

CASES = {
    "adam": MLPClassifier((40, 17)),
    "adamw, gelu, float64": MLPClassifier(
        (40,), "gelu", solver="adamw", dtype="float64"
    ),
    "sgd, invscaling": MLPClassifier(
        (40,), solver="sgd", learning_rate="invscaling", learning_rate_init=0.1
    ),
    "momentum without Nesterov": MLPClassifier(
        (20,), solver="sgd", nesterovs_momentum=False
    ),
    "lbfgs": MLPClassifier((20,), solver="lbfgs"),
    "lbfgs, float32": MLPRegressor(
        "squared_error", (20,), solver="lbfgs", dtype="float32"
    ),
    "early stopping": MLPClassifier((30,), early_stopping=True),
    "adaptive, early stopping": MLPRegressor(
        "squared_error",
        (30,),
        solver="sgd",
        learning_rate="adaptive",
        early_stopping=True,
        tol=0.1,
    ),
    "poisson, tanh": MLPRegressor("poisson", (30,), "tanh"),
    "no hidden layer": MLPRegressor("squared_error", ()),
    "one batch": MLPClassifier((140, 150), batch_size=230),
    "batch normalisation, dropout, average": MLPClassifier(
        (40, 40), normalization="batch", residual=True, dropout=0.2, ema_decay=0.8
    ),
    "layer normalisation, augmentation, one cycle": MLPRegressor(
        "squared_error",
        (40, 20),
        normalization="layer",
        input_noise=0.1,
        mixup=0.2,
        learning_rate="one_cycle",
    ),
    "muon, clipping": MLPClassifier(
        (40, 40, 20), solver="muon", clip_norm=0.1, max_norm=1.0
    ),
    "schedule-free, one rate a layer": MLPClassifier(
        (40,), solver="schedule_free", learning_rate_factors=[0.5, 2.0]
    ),
}


def fitted(estimator, n_jobs, data=X, weight=None):
    """A copy, fitted on `n_jobs` threads for a few epochs."""
    is_classifier = isinstance(estimator, MLPClassifier)
    model = clone(estimator).set_params(max_iter=6, random_state=3, n_jobs=n_jobs)
    if model.batch_size == "auto":
        model.set_params(batch_size=64)
    return model.fit(data, LABELS if is_classifier else Y, weight)


def numbers_of(model):
    """All that a fit has computed, as one list of arrays."""
    curves = [getattr(model, "loss_curve_", []), model.history_["val_score"]]
    return [*model.coefs_, *model.intercepts_, *map(np.array, curves)]


#: Pauses after which several threads are tried in every call.
ALWAYS = {True: (0, 0), False: (math.inf, math.inf)}


def assert_equal_bits(one, other):
    for a, b in zip(numbers_of(one), numbers_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_no_threads_left(before):
    names = [t.name for t in threading.enumerate() if t not in before]
    assert "nnfit" not in names


# ------------------------------------------------------------------ equal bits


@in_turn(case=CASES, kind=["dense", "sparse", "weights"])
def test_fits_do_not_depend_on_the_number_of_threads(case, kind):
    data = scipy.sparse.csr_matrix(np.where(X > 1.5, X, 0)) if kind == "sparse" else X
    weight = WEIGHT if kind == "weights" else None
    before = threading.enumerate()
    one = fitted(CASES[case], 1, data, weight)
    assert one.n_threads_ == 1
    for n_jobs in (2, 3, 4, 7, 16):
        many = fitted(CASES[case], n_jobs, data, weight)
        assert many.n_threads_ == n_jobs
        assert_equal_bits(one, many)
    assert_no_threads_left(before)


@pytest.mark.parametrize("call", ["partial_fit", "warm_start"])
def test_resumed_training_does_not_depend_on_the_number_of_threads(call):
    models = []
    for numbers in ((1, 1, 1), (3, 1, 2)):
        model = MLPClassifier((30,), batch_size=50, max_iter=3, random_state=0)
        for n_jobs in numbers:
            model.set_params(n_jobs=n_jobs)
            if call == "partial_fit":
                model.partial_fit(X, LABELS, classes=np.unique(LABELS))
            else:
                model.set_params(warm_start=True).fit(X, LABELS)
            assert model.n_threads_ == n_jobs
        models.append(model)
    assert_equal_bits(*models)


@pytest.mark.parametrize("call", ["partial_fit", "warm_start", "fit"])
def test_trainings_that_go_on_know_what_threads_gain(monkeypatch, call):
    """Each call is over before a second number of threads is tried."""
    monkeypatch.setattr(threads, "usable_processors", lambda: 2)
    for name in ("ALL_OPERATIONS", "STEP_OPERATIONS"):
        monkeypatch.setattr(threads, name, 1)
    model = MLPClassifier((30,), batch_size=115, max_iter=1, random_state=0)
    model.set_params(warm_start=call == "warm_start")
    classes = {"classes": np.unique(LABELS)} if call == "partial_fit" else {}
    used = []
    for batch_size in (115, 115, 46):
        model.set_params(batch_size=batch_size)
        getattr(model, "fit" if call == "warm_start" else call)(X, LABELS, **classes)
        used.append(model.n_threads_)
    assert used == ([1, 1, 1] if call == "fit" else [1, 2, 1])


@pytest.mark.parametrize("n_rows", [17, 1000, 5003])
@pytest.mark.parametrize("sparse", [False, True])
def test_predictions_do_not_depend_on_the_number_of_threads(sparse, n_rows):
    model = fitted(CASES["adam"], 1)
    data = np.random.default_rng(1).normal(size=(n_rows, 12)).astype(np.float32)
    if sparse:
        data = scipy.sparse.csr_matrix(np.where(data > 1.5, data, 0))
    before = threading.enumerate()
    expected = model.predict_proba(data)
    for n_jobs in (2, 5):
        model.set_params(n_jobs=n_jobs)
        np.testing.assert_array_equal(model.predict_proba(data), expected)
    assert_no_threads_left(before)


@pytest.mark.parametrize(("n_rows", "sizes"), [(17, []), (192, [2]), (193, [3])])
def test_a_prediction_starts_no_thread_without_rows(monkeypatch, n_rows, sizes):
    started = []

    def start(size):
        started.append(size)
        return thread_group.ThreadGroup(size)

    for module in (cpu, prediction):
        monkeypatch.setattr(module, "ThreadGroup", start)
    model = fitted(CASES["adam"], 1)
    model.set_params(n_jobs=64).predict_proba(X[:n_rows])
    assert started == [1, *sizes]  # the fit and the prediction


# ------------------------------------------------- fewer threads in between


def test_threads_wait_before_they_leave_one_alone():
    network = make_network((12, 20, 3))
    engine = make_engine(cpu, network, make_data(network, 50), n_threads=2)
    seconds = engine._tables.ints[cpu.at.PATIENCE] * cpu.CLOCK_TICK
    assert seconds == pytest.approx(cpu.PATIENCE)


@pytest.fixture
def impatient(monkeypatch):
    """Nearly every call on several threads ends on one."""
    monkeypatch.setattr(cpu, "PATIENCE", 0.0)


@pytest.mark.parametrize("sparse", [False, True])
def test_threads_that_wait_leave_one_alone(impatient, sparse):
    network = make_network((12, 20, 3), loss="softmax", dtype="float32")
    data = make_data(network, 500)
    if sparse:
        data = (scipy.sparse.csr_matrix(np.where(data[0] > 1.5, data[0], 0)), data[1])
    engines = [make_engine(cpu, network, data, n_threads=n) for n in (1, 16)]
    losses = [train(engine, 100) for engine in engines]
    assert engines[1].threads_used == 16
    # 16 threads of two rows each cannot but wait.
    assert engines[1]._tables.shared[cpu.at.ALONE_FROM] or (
        engines[1]._choice._rates[True] == np.inf
    )
    assert (engines[1]._tables.ints[cpu.at.COLUMN_STARTS] != 0) == sparse
    np.testing.assert_array_equal(*losses)
    np.testing.assert_array_equal(engines[0].flat, engines[1].flat)
    engines[1].close()


def test_a_sum_over_all_data_is_whole_when_threads_leave(impatient, monkeypatch):
    """As L-BFGS asks for; in small parts, so that many are left for one thread."""
    monkeypatch.setattr(thread_choice, "PAUSES", ALWAYS)
    network = make_network((12, 20, 3), "tanh", "softmax")
    data = make_data(network, 1000)
    one, many = (make_engine(cpu, network, data, None, n, batch_size=8) for n in (1, 9))
    flat = one.flat.copy()
    expected = one.loss_and_gradient(flat)
    alone_from = []
    for _ in range(5):
        loss, gradient = many.loss_and_gradient(flat)
        assert loss == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])
        alone_from.append(many._tables.shared[cpu.at.ALONE_FROM])
    many.close()
    assert any(0 < batch < 125 for batch in alone_from)


class Clock:
    """In the place of a module's `time`."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(thread_choice, "time", clock)
    return clock


def test_pace_on_one_thread_never_asks_for_more(clock):
    measured = thread_choice.ThreadChoice(1, worthwhile=0.95)
    for _ in range(5):
        assert measured.next_call() == (False, thread_choice.CALL_SECONDS)
        measured.record(False, 1.0, 1, False)


WORTHWHILE_OF_ALL = [*threads.WORTHWHILE.values(), math.inf]


class Training:
    """Calls as an engine makes them, which take as long as they shall."""

    def __init__(self, clock, n_threads, worthwhile):
        self.choice = thread_choice.ThreadChoice(n_threads, worthwhile)
        self.clock = clock
        self.rates = {False: 1e-4, True: 6e-5}
        self.gives_up = False

    def call(self):
        several, seconds = self.choice.next_call()
        gave_up = several and self.gives_up
        if gave_up:
            seconds = cpu.PATIENCE
        batches = max(1, int(seconds / self.rates[several]))
        seconds = batches * self.rates[several]
        self.clock.now += seconds
        self.choice.record(several, seconds, batches, gave_up)
        return several

    def seconds_on_one(self, most):
        """Seconds until a call on several threads."""
        start = self.clock.now
        while not self.call() and self.clock.now < start + most:
            pass
        return self.clock.now - start


@pytest.mark.parametrize("worthwhile", WORTHWHILE_OF_ALL)
@pytest.mark.parametrize("ms", [4, 20, 150, 1000])
def test_threads_come_back_soon_after_an_interruption(clock, worthwhile, ms):
    """At most as long after it as it has lasted, and a fifth of a second."""
    training = Training(clock, 2, worthwhile)
    for _ in range(100):
        training.call()
    training.gives_up, end = True, clock.now + 1e-3 * ms
    while clock.now < end:
        training.call()
    training.gives_up = False
    late = training.seconds_on_one(1.0)
    assert late < min(1e-3 * ms, 0.2) + 3 * thread_choice.TRIAL_SECONDS
    assert training.call()


@pytest.mark.parametrize("worthwhile", WORTHWHILE_OF_ALL)
@pytest.mark.parametrize("batch", [1e-4, 0.1])
def test_threads_that_never_pay_take_a_twentieth_of_the_time(clock, worthwhile, batch):
    training = Training(clock, 2, worthwhile)
    training.gives_up, training.rates = True, {False: batch, True: batch}
    seconds = {False: 0.0, True: 0.0}
    for _ in range(2000):
        start = clock.now
        several = training.call()
        if start > 100 * batch:  # pauses have grown
            seconds[several] += clock.now - start
    assert 0 < seconds[True] < 0.05 * seconds[False]


def test_one_thread_is_tried_rarely_while_several_are_faster(clock):
    training = Training(clock, 2, worthwhile=0.95)
    assert [training.call() for _ in range(3)] == [False, True, True]
    for _ in range(1000):
        training.call()
    calls = [training.call() for _ in range(500)]
    assert 1 <= calls.count(False) <= 500 * thread_choice.CALL_SECONDS / 3
    # When it is the faster one it is found out, and several are tried again.
    training.rates[True] = 1.1e-4
    for _ in range(50):
        training.call()
    calls = [training.call() for _ in range(100)]
    assert 0 < calls.count(True) < 50


def test_a_number_that_was_given_is_left_only_where_it_hurts(clock):
    training = Training(clock, 2, threads.WORTHWHILE[True])
    training.rates[True] = 1.05e-4  # slower, by little
    calls = [training.call() for _ in range(500)]
    assert calls[:3] == [True, False, True]
    assert calls.count(False) < 30
    training.rates[True] = 2e-4
    for _ in range(100):
        training.call()
    start, several = clock.now, 0.0
    for _ in range(500):
        began = clock.now
        several += training.call() and clock.now - began
    assert 0 < several < 0.05 * (clock.now - start)


def test_an_engine_obeys_a_number_unless_its_threads_give_up(clock):
    training = Training(clock, 4, worthwhile=math.inf)
    training.rates[True] = 100.0  # slower, but they do not wait for each other
    assert all(training.call() for _ in range(100))
    training.gives_up, training.rates[True] = True, 1e-4
    assert training.call()
    training.gives_up = False
    assert [training.call(), training.call()] == [False, True]
    assert training.choice.next_call() == (True, thread_choice.CALL_SECONDS)


def test_thread_0_goes_on_alone_for_a_short_time(impatient):
    network = make_network((12, 20, 3), dtype="float32")
    engine = make_engine(cpu, network, make_data(network, 500), n_threads=16)
    ints, shared = engine._tables.ints, engine._tables.shared
    engine._seconds_per_batch = 1e-5
    engine.train(10**6)
    assert shared[cpu.at.ALONE_FROM]
    assert ints[cpu.at.ALONE_BATCHES] == 1  # no patience
    assert ints[cpu.at.BATCHES] == shared[cpu.at.ALONE_FROM] + 1
    engine.close()


# ----------------------------------------------------- processors of their own


class System:
    """A fake of what `placement` asks of the system, for one thread at a time."""

    def __init__(self, usable, refuses=False):
        self.here, self.usable, self.refuses = 0, set(usable), refuses
        self.affinity = set(usable)

    def sched_getaffinity(self, thread):
        assert thread == 0
        return set(self.affinity)

    def sched_setaffinity(self, thread, processors):
        assert thread == 0
        if self.refuses:
            raise PermissionError
        self.affinity = set(processors)
        if self.here not in processors:
            self.here = min(processors)

    def begin(self, places, here, **options):
        """A thread takes a place; return where it is then."""
        self.here = here
        places.take(**options)
        assert self.affinity == self.usable
        return self.here


@pytest.fixture
def system(monkeypatch):
    def install(usable, **options):
        system = System(usable, **options)
        monkeypatch.setattr(placement, "os", system)
        monkeypatch.setattr(placement, "_processor", lambda: system.here)
        return system, placement.Places()

    return install


def test_threads_begin_on_processors_of_their_own(system):
    fake, places = system({0, 2, 3})
    assert fake.begin(places, 2, move=False) == 2
    assert fake.begin(places, 2) == 0
    assert fake.begin(places, 3) == 3
    assert fake.begin(places, 3) == 3  # none is free


def test_a_thread_that_has_a_processor_stays(system):
    fake, places = system({0, 1}, refuses=True)
    assert fake.begin(places, 1, move=False) == 1
    assert fake.begin(places, 0) == 0


@pytest.mark.parametrize("usable", [{0}, {0, 1}])
def test_threads_stay_where_they_must(system, usable):
    fake, places = system(usable, refuses=True)
    assert [fake.begin(places, 0, move=False), fake.begin(places, 0)] == [0, 0]


def test_without_the_systems_call_no_thread_is_moved(system, monkeypatch):
    fake, places = system({0, 1})
    monkeypatch.setattr(placement, "_processor", None)
    assert [fake.begin(places, 0, move=False), fake.begin(places, 0)] == [0, 0]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="the system moves no thread"
)
def test_calls_leave_the_affinity_as_it_was():
    usable = os.sched_getaffinity(0)
    group, found = thread_group.ThreadGroup(3), []
    group.start()
    for _ in range(50):
        group.run(lambda _: found.append(os.sched_getaffinity(0)), lambda: None)
    group.close()
    assert len(found) == 150
    assert all(affinity == usable for affinity in found)


# --------------------------------------------------------------- the threads


def test_a_thread_that_cannot_start_lowers_the_number(monkeypatch):
    start = threading.Thread.start
    started = []

    def refuse(thread):
        if thread.name == "nnfit" and len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    many = fitted(CASES["adam"], 7)
    assert many.n_threads_ == 3
    monkeypatch.undo()
    assert_equal_bits(many, fitted(CASES["adam"], 1))


@pytest.mark.parametrize("moment", ["before all were called", "in another thread"])
def test_an_error_on_a_thread_leaves_no_other_waiting(monkeypatch, moment):
    """Whoever waits in compiled code for a thread that never comes returns."""
    serve = thread_group._serve

    class Work:
        def __init__(self, queue):
            self._queue, self.get = queue, queue.get

        def put(self, work):
            if work is not None and self.bad:
                raise KeyboardInterrupt
            self._queue.put(work)

    def failing_serve(work, results):
        if moment == "in another thread" and next(served) == 1:
            _, _, abort = work.get()
            abort()
            results.put(ZeroDivisionError("in a thread"))
            assert work.get() is None
        else:
            serve(work, results)

    numbers, served = iter(range(100)), iter(range(100))
    make = thread_group._Member.__init__

    def numbered(member):
        member.number = next(numbers)
        make(member)
        member.work = Work(member.work)
        member.work.bad = moment == "before all were called" and member.number == 1

    monkeypatch.setattr(thread_group._Member, "__init__", numbered)
    monkeypatch.setattr(thread_group, "_serve", failing_serve)
    before = threading.enumerate()
    if moment == "in another thread":
        with pytest.raises(ZeroDivisionError, match="in a thread"):
            fitted(CASES["adam"], 3)
    else:
        with pytest.warns(UserWarning, match="interrupted by user"):
            fitted(CASES["adam"], 3)
    assert_no_threads_left(before)


def test_a_failed_fit_leaves_no_threads():
    before = threading.enumerate()
    with pytest.raises(ValueError, match="non-finite"):
        MLPRegressor(
            hidden_layer_sizes=(5,), solver="sgd", learning_rate_init=1e30, n_jobs=3
        ).fit(X, Y)
    assert_no_threads_left(before)


# ------------------------------------------------------- what is not to be had


@pytest.fixture
def no_threads(monkeypatch):
    """A system that starts no thread."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def few_threads(monkeypatch):
    """A system that starts one thread beside the first."""
    start = threading.Thread.start

    def refuse(thread):
        if sum(t.name.startswith("nnfit") for t in threading.enumerate()):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


NEEDY = {
    "fit": MLPRegressor(hidden_layer_sizes=(5,), n_jobs=3),
    "ensemble": MLPRegressor(hidden_layer_sizes=(5,), n_members=3, n_jobs=3),
    "search": PopulationSearchCV(
        MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0),
        {"alpha": [0.1, 0.2]},
        cv=2,
        n_jobs=3,
    ),
}


@pytest.mark.parametrize("system", ["no_threads", "few_threads"])
@pytest.mark.parametrize("name", NEEDY)
def test_a_system_that_starts_no_threads(name, system, request):
    def predictions():
        model = clone(NEEDY[name])
        if name != "search":
            model.set_params(max_iter=3, random_state=0)
        return model.fit(X[:100], Y[:100]).predict(X)

    expected = predictions()
    request.getfixturevalue(system)
    np.testing.assert_array_equal(predictions(), expected)


INTERRUPTED = """
import os, signal, sys, threading, time, warnings
import numpy as np
from threadpoolctl import threadpool_info
import nnfit
from nnfit import MLPRegressor
from nnfit.training import threads
warnings.simplefilter("ignore")

def blas():
    return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

def raise_in_nnfit(number, frame):
    while frame is not None:
        if nnfit.__path__[0] in frame.f_code.co_filename:
            raise KeyboardInterrupt
        frame = frame.f_back

def interrupt(seconds):
    time.sleep(seconds)
    for _ in range(4):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(gap)

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 20))
lbfgs = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", max_iter=10**6, tol=0)
adam = MLPRegressor(hidden_layer_sizes=(20,), n_jobs=3, max_iter=10**6, tol=0)
for model in (lbfgs, adam):
    model.set_params(max_time=0.01).fit(X, X[:, 0]).set_params(max_time=None)
before = blas()
signal.signal(signal.SIGINT, raise_in_nnfit)
for turn in range(40):
    gap = rng.uniform(0, 2e-3)
    for model in (lbfgs, adam):
        seconds = rng.uniform(0.005, 0.02)
        other = threading.Thread(target=interrupt, args=(seconds,))
        try:
            other.start()
            model.fit(X, X[:, 0])
        except KeyboardInterrupt:
            pass
        other.join()
assert blas() == before, (blas(), before)
assert threads._taken == 0
deadline = time.monotonic() + 10
while any(t.name == "nnfit" for t in threading.enumerate()):
    assert time.monotonic() < deadline, threading.enumerate()
    time.sleep(0.01)
print("as before")
"""


@pytest.mark.slow
def test_several_interruptions_leave_all_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True
    )
    assert done.stdout == "as before\n", done.stderr[-2000:]
