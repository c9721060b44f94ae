"""Populations: engines of many threads that share launches."""

import contextvars
import gc
import signal
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import PopulationSearchCV, model_selection, population
from nnfit.cpu import engine as cpu
from nnfit.interruption import Abandoned, Interruption, interrupted_by
from nnfit.training.side_by_side import side_by_side
from tests.test_model_selection import (
    GRID,
    X,
    Y,
    assert_same_results,
    classifier,
    no_threads_left,  # noqa: F401
    search,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# launches together -----------------------------------------------------------


class Fake:
    """An engine that trains nothing and remembers its launches."""

    launches, sizes = [], []

    def __init__(self, group="a"):
        self.member = population.join()
        self.group = group
        self.begun = self.ran = 0

    def begin(self, max_epochs, seconds):
        if max_epochs < 0:
            raise ValueError("begin")
        self.begun += 1

    def finish(self):
        self.ran += 1
        return self.begun, self.ran

    def train(self, max_epochs=1, run=None):
        return self.member.train(self, run or self.run_together, max_epochs, np.inf)

    def run_together(self, engines):
        Fake.launches.append({engine.group for engine in engines})
        Fake.sizes.append(len(engines))


@pytest.fixture
def patient(monkeypatch):
    """A launch happens when all are there, or else the test takes long."""
    monkeypatch.setattr(population, "PATIENCE", 20.0)
    Fake.launches, Fake.sizes = [], []


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(population, "PATIENCE", 0.001)
    Fake.launches, Fake.sizes = [], []


class Crowd:
    """Threads in the context of the test, each with its result or error."""

    def __init__(self, *works):
        self.outcomes = [None] * len(works)
        self.threads = []
        for i, work in enumerate(works):
            run = contextvars.copy_context().run
            thread = threading.Thread(target=run, args=(self._work, i, work))
            thread.start()
            self.threads.append(thread)

    def _work(self, i, work):
        try:
            self.outcomes[i] = work()
        except BaseException as error:
            self.outcomes[i] = error

    def wait(self):
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()
        return self.outcomes


def test_alone():
    Fake.launches, Fake.sizes = [], []
    engine = Fake()
    assert engine.train() == (1, 1) and engine.train() == (2, 2)
    engine.member.leave()
    assert Fake.sizes == [1, 1]
    array = np.zeros(3)
    assert population.shared_upload(array, lambda given: given) is array


def test_all_meet(patient):
    """Every launch has all engines of a group, however often they train."""
    with population.population():
        engines = [Fake(group) for group in "aaabb"]
        works = [lambda e=e: [e.train() for _ in range(20)] for e in engines]
        for outcome in Crowd(*works).wait():
            assert outcome[-1] == (20, 20)
    assert len(Fake.launches) == 40
    for groups, size in zip(Fake.launches, Fake.sizes, strict=True):
        assert (groups, size) in [({"a"}, 3), ({"b"}, 2)]


def test_launches_of_two_groups_run_at_the_same_time(patient):
    both = threading.Barrier(2, timeout=10)
    with population.population():
        engines = [Fake("a"), Fake("b")]
        run = [lambda e=e: e.train(run=lambda engines: both.wait()) for e in engines]
        assert Crowd(*run).wait() == [(1, 1), (1, 1)]


def test_one_that_comes_during_a_launch_does_not_wait_for_its_end(patient):
    running, come = threading.Event(), threading.Event()

    def slow(engines):
        running.set()
        assert come.wait(10)

    with population.population():
        first = Fake()
        crowd = Crowd(lambda: first.train(run=slow))
        assert running.wait(10)
        assert Fake().train() == (1, 1)
        come.set()
        assert crowd.wait() == [(1, 1)]
    assert Fake.sizes == [1]


def test_one_that_leaves_is_not_waited_for(patient):
    with population.population():
        stays, leaves, changes = Fake(), Fake(), Fake("b")
        crowd = Crowd(stays.train)
        time.sleep(0.02)
        leaves.member.leave()
        leaves.member.leave()
        assert changes.train() == (1, 1)  # not of this group, which was unknown
        assert crowd.wait() == [(1, 1)]
        back = Crowd(leaves.train)
        while not leaves.member.is_awaited:
            time.sleep(0.001)
        assert stays.train() == (2, 2) and back.wait() == [(1, 1)]
    assert Fake.sizes == [1, 1, 2]


@pytest.mark.parametrize("how", ["idle", "forgotten"])
def test_one_that_never_trains(hasty, how):
    with population.population():
        engines = [Fake() for _ in range(4)]
        if how == "forgotten":
            engines.pop()
            gc.collect()
        works = [lambda e=e: [e.train() for _ in range(5)] for e in engines[:3]]
        for outcome in Crowd(*works).wait():
            assert outcome[-1] == (5, 5)
    assert sum(Fake.sizes) == 15


def test_errors_reach_those_they_belong_to(patient):
    def fail(engines):
        raise ZeroDivisionError

    class Unfinished(Fake):
        def finish(self):
            raise RuntimeError("finish")

    with population.population():
        failing = [Fake("b"), Fake("b")]
        works = [lambda e=e: e.train(run=fail) for e in failing]
        begins, good = Fake(), Fake()
        begins_late = lambda: (time.sleep(0.02), begins.train(-1))  # noqa: E731
        crowd = Crowd(*works, good.train, Unfinished().train, begins_late)
        time.sleep(0.05)
        begins.member.leave()  # as a fit does that fails
        outcomes = crowd.wait()
        assert [type(each) for each in outcomes] == [
            ZeroDivisionError, ZeroDivisionError, tuple, RuntimeError, ValueError
        ]  # fmt: skip
        # All of them can go on.
        crowd = Crowd(*[each.train for each in failing])
        assert crowd.wait() == [(2, 1), (2, 1)]


def test_interruption_of_one_that_waits(patient):
    """It goes, and the next one keeps the time for the others."""
    interruption = Interruption(Abandoned)

    def interrupted(engine):
        interrupted_by.set(interruption)
        return engine.train()

    with population.population():
        first, second, third, late = (Fake() for _ in range(4))
        crowd = Crowd(lambda: interrupted(first))
        while not first.begun:
            time.sleep(0.001)
        others = Crowd(second.train, third.train)
        while not third.begun:
            time.sleep(0.001)
        interruption.set()
        late.member.leave()  # complete: the first looks, and finds that it has to go
        assert isinstance(crowd.wait()[0], Abandoned)
        first.member.leave()
        assert others.wait() == [(1, 1), (1, 1)]
    assert Fake.sizes[-1] == 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")
@pytest.mark.parametrize("keeps_time", [True, False])
def test_control_c_in_the_main_thread(patient, keeps_time, monkeypatch):
    # Where polars has been imported, its handler lets a wait go on to its end.
    monkeypatch.setattr(population, "PATIENCE", 1.0)
    main = threading.main_thread().ident
    with population.population():
        here, there, never = Fake(), Fake(), Fake()
        crowd = Crowd() if keeps_time else Crowd(there.train)
        while not keeps_time and not there.begun:
            time.sleep(0.001)
        time.sleep(0.02)  # it waits now
        timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            here.train()
        for engine in (here, never):
            engine.member.leave()
        assert crowd.wait() == ([] if keeps_time else [(1, 1)])
        there.member.leave()


def test_a_population_that_is_full(hasty, monkeypatch):
    monkeypatch.setattr(population, "MOST_AT_ONCE", 3)
    lock, running = threading.Lock(), []

    def work(forget):
        engine = Fake()
        with lock:
            running.append(1)
            assert len(running) <= 3
        for _ in range(3):
            engine.train()
        with lock:
            running.pop()
        if not forget:
            engine.member.leave()
        return engine.ran

    with population.population():
        works = [lambda i=i: work(forget=i % 4 == 0) for i in range(12)]
        assert Crowd(*works).wait() == [3] * 12
        kept = [Fake() for _ in range(3)]
        interruption = Interruption(Abandoned)
        interruption.set()
        token = interrupted_by.set(interruption)
        with pytest.raises(Abandoned):
            Fake()
        interrupted_by.reset(token)
        kept.pop()
        Fake()


def test_populations_do_not_nest(patient):
    with population.population():
        outer = population._current.get()
        with population.population():
            assert population._current.get() is outer
        assert population._current.get() is outer
    assert population._current.get() is None


def test_equal_arrays_share_one_copy():
    class Buffer:
        pass

    uploads = []

    def upload(array):
        time.sleep(0.01)
        uploads.append(array)
        return Buffer()

    array = np.arange(6.0).reshape(2, 3)
    with population.population():
        share = population.shared_upload
        buffers = Crowd(*[lambda: share(array.copy(), upload)] * 5).wait()
        assert len(set(map(id, buffers))) == len(uploads) == 1
        others = [
            array + 1, array.reshape(3, 2), array.view(np.int64), np.zeros((0, 3))
        ]  # fmt: skip
        kept = [share(other, upload) for other in others] + [share(array, upload, 1)]
        assert len({*map(id, kept), id(buffers[0])}) == 6
        assert share(array, upload) is buffers[0]
        del buffers
        gc.collect()
        assert share(array, upload) is not None
        assert len(uploads) == 7


# a device --------------------------------------------------------------------


class DeviceEngine(cpu.Engine):
    """The compiled engine, as one that trains in launches.

    So many engines begin together as `expect` has said.
    """

    sizes = []

    @classmethod
    def expect(cls, n_engines):
        cls.sizes.clear()
        cls.barrier = threading.Barrier(max(1, n_engines), timeout=30)
        cls.expected = iter(range(n_engines))

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.member = population.join()
        self.group = self.network.dtype

    def begin(self, *limits):
        if self.progress.epoch == 0 and next(self.expected, None) is not None:
            self.barrier.wait()
        self.limits = limits

    def finish(self):
        return self.curves

    def train(self, max_epochs, seconds=np.inf):
        return self.member.train(self, self.run_together, max_epochs, seconds)

    @staticmethod
    def run_together(engines):
        DeviceEngine.sizes.append(len(engines))
        for engine in engines:
            engine.curves = cpu.Engine.train(engine, *engine.limits)

    def close(self):
        self.member.leave()
        super().close()


@pytest.fixture
def a_device(monkeypatch):
    """Name of a device that is there, and whose launches the engine writes down."""
    monkeypatch.setattr(population, "PATIENCE", 20.0)
    DeviceEngine.expect(0)
    module = ModuleType("nnfit.cuda")
    module.toolkit = SimpleNamespace(problem=lambda number: None)

    def engine(*arguments, device_number, shuffled_orders, **options):
        return DeviceEngine(*arguments, **options)

    def predict(*arguments, device_number, **options):
        return cpu.predict(*arguments, **options)

    module.engine = SimpleNamespace(Engine=engine, predict=predict)
    monkeypatch.setitem(sys.modules, "nnfit.cuda", module)
    return "cuda:0"


@pytest.mark.parametrize("early_stopping", [False, True])
def test_search_on_a_device(a_device, early_stopping):
    grid = {**GRID, "dtype": ["float32", "float64"]}
    net = classifier(max_iter=20, early_stopping=early_stopping)
    DeviceEngine.expect(8 * 3)
    found = PopulationSearchCV(clone(net).set_params(device=a_device), grid, cv=3)
    found.fit(X, Y)
    assert found.best_estimator_.device_ == a_device
    assert DeviceEngine.sizes[:2] == [12, 12] and DeviceEngine.sizes[-1] == 1
    assert_same_results(found, GridSearchCV(net, grid, cv=3).fit(X, Y))


def test_solver_without_launches_on_a_device(a_device):
    net, grid = classifier(solver="lbfgs"), {"alpha": [0.1, 1.0]}
    found = PopulationSearchCV(clone(net).set_params(device=a_device), grid, cv=3)
    assert_same_results(found.fit(X, Y), GridSearchCV(net, grid, cv=3).fit(X, Y))
    assert DeviceEngine.sizes == []


@pytest.mark.parametrize("where", ["estimator", "pipeline", "grid"])
def test_number_of_threads_on_a_device(a_device, monkeypatch, where):
    seen = []
    monkeypatch.setattr(
        model_selection,
        "side_by_side",
        lambda n, after_each: seen.append(n) or side_by_side(n, after_each),
    )
    net, grid = classifier(device=a_device), {"alpha": [0.1]}
    if where == "pipeline":
        net, grid = make_pipeline(StandardScaler(), net), {}
    elif where == "grid":
        net, grid = Pipeline([("last", LogisticRegression())]), {"last": [net]}
    PopulationSearchCV(net, grid, cv=2).fit(X, Y)
    search(param_grid=GRID).fit(X, Y)
    assert seen == [population.MOST_AT_ONCE, None]


def test_ensemble_on_a_device(a_device):
    net = classifier(n_members=3)
    DeviceEngine.expect(3)
    model = clone(net).set_params(device=a_device).fit(X, Y)
    assert DeviceEngine.sizes == [3]
    assert_array_equal(model.predict_proba(X), net.fit(X, Y).predict_proba(X))
    # In a search the networks of all ensembles share launches.
    DeviceEngine.expect(12)
    PopulationSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, refit=False).fit(X, Y)
    assert DeviceEngine.sizes == [12]


def test_a_device_that_is_missing(a_device, monkeypatch):
    toolkit = sys.modules["nnfit.cuda"].toolkit
    monkeypatch.setattr(toolkit, "problem", lambda number: "It is not there.")
    toolkit.CudaUnavailable = RuntimeError
    with pytest.raises(RuntimeError, match=r"device='cuda:9' .* used\. It is not"):
        search(estimator=classifier(device="cuda:9"), param_grid=GRID).fit(X, Y)
