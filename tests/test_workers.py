"""How many threads a fit takes: of the machine, in workers, after a fork."""

import multiprocessing
import os
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_info

from nnfit import MLPClassifier
from nnfit.blas import one_blas_thread
from nnfit.sparsity import operations_per_row
from nnfit.training import threads
from tests import many_threads
from tests.engines import make_network
from tests.test_threads import LABELS, X, assert_no_threads_left

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # Of a fork with threads, which is what is tested here.
    "ignore:This process:DeprecationWarning",
)


@pytest.fixture
def four_processors(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "most_threads", many_threads.most_threads)
    monkeypatch.setattr(threads, "_is_worker", lambda: False)
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)


def reserved(n_jobs=None, step=1e9, total=1e12):
    with threads.reserve_threads(n_jobs, step, total) as n_threads:
        return n_threads


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [(1, 1), (4, 4), (9, 4), (-1, 4), (-2, 3), (-9, 1), (None, 4)],
)
def test_meaning_of_n_jobs(four_processors, n_jobs, expected):
    assert reserved(n_jobs) == expected
    if n_jobs is not None:  # obeyed for small work, too
        assert reserved(n_jobs, 1.0, 1.0) == expected


def test_operations_are_those_of_the_engine():
    """Of a sparse matrix the first layer takes entries, or rows if they are many."""
    network = make_network((100, 20, 3))
    rows = 2 * (100 * 20 + 20 * 3)
    assert operations_per_row(network, np.ones((4, 100))) == rows
    many = scipy.sparse.csr_matrix(np.ones((4, 100)))
    assert operations_per_row(network, many) == rows
    few = scipy.sparse.eye(100, format="csr")
    assert operations_per_row(network, few) == 2 * (1 * 20 + 20 * 3)


def test_small_work_gets_one_thread(four_processors):
    assert reserved(step=2e6) == 2
    assert reserved(step=1.9e6) == 1
    assert reserved(total=1e8) == 1


@pytest.mark.parametrize("name", threads.LIMITS)
def test_environment_limits_the_threads(four_processors, monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert reserved() == 3
    assert reserved(4) == 4
    monkeypatch.setenv(name, "2,1")
    assert reserved() == 2
    for nonsense in ("", "many", "0"):
        monkeypatch.setenv(name, nonsense)
        assert reserved() == 4


def test_fits_of_a_process_share_the_processors(four_processors):
    with threads.reserve_threads(None, 3e6, 1e12) as first:
        assert first == 3
        with threads.reserve_threads(None, 1e9, 1e12) as second:
            assert second == 1
            with threads.reserve_threads(None, 1e9, 1e12) as third:
                assert third == 1
        with threads.reserve_threads(4, 1e9, 1e12) as asked_for:
            assert asked_for == 4
    assert reserved() == 4


def test_a_worker_may_be_granted_processors(four_processors, monkeypatch):
    monkeypatch.setattr(threads, "_is_worker", lambda: True)
    assert reserved() == 1
    with threads.granted(3):
        assert reserved() == 3
    assert reserved() == 1


@pytest.mark.parametrize("n_jobs", [0, 1.5, "all"])
def test_bad_n_jobs(n_jobs):
    with pytest.raises(ValueError, match="n_jobs"):
        MLPClassifier(n_jobs=n_jobs).fit(X, LABELS)


def big_fit(n_jobs=None, seed=0):
    """Large enough for all processors; returns the weights and `n_threads_`."""
    data = np.random.default_rng(0).normal(size=(6000, 60)).astype(np.float32)
    target = data[:, 0] > 0
    model = MLPClassifier((256, 256), max_iter=2, random_state=seed, n_jobs=n_jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data, target)
    return model.coefs_, model.n_threads_


def assert_same_weights(results, n_threads):
    expected, _ = big_fit(1)
    for coefs, used in results:
        assert used == n_threads
        for a, b in zip(coefs, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_large_fit_uses_the_processors(monkeypatch):
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    # A worker of pytest-xdist is no worker of joblib's.
    assert_same_weights([big_fit()], joblib.cpu_count())


# -------------------------------------------------------- workers and forks


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_workers_of_joblib(backend, n_jobs):
    big_fit()  # a fork must not inherit anything of it
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(big_fit)(n_jobs) for _ in range(3))
    assert_same_weights(results, n_jobs or 1)


@pytest.mark.parametrize(
    "method", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.slow)]
)
def test_workers_of_multiprocessing(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    if method == "fork" and sys.platform == "darwin":
        pytest.skip("forking is not safe on macOS")
    big_fit()
    with multiprocessing.get_context(method).Pool(2) as pool:
        alone = pool.map_async(big_fit, [None, None])
        asked_for = pool.map_async(big_fit, [2])
        assert_same_weights(alone.get(timeout=120), 1)
        assert_same_weights(asked_for.get(timeout=120), 2)


def test_workers_of_dask():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        futures = client.map(big_fit, [None] * 3, pure=False)
        assert_same_weights(client.gather(futures), 1)
        with joblib.parallel_config(backend="dask"):
            results = joblib.Parallel()(joblib.delayed(big_fit)() for _ in range(3))
        assert_same_weights(results, 1)


@pytest.mark.skipif(
    not hasattr(os, "fork") or sys.platform == "darwin",
    reason="forking with threads is safe on Linux only",
)
def test_a_fork_during_a_fit_of_another_thread():
    """The child has neither the other thread nor what it had reserved."""
    started, enough = threading.Event(), threading.Event()

    def keep_busy():
        with threads.reserve_threads(None, 1e9, 1e12):
            started.set()
            enough.wait(60)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    started.wait(60)
    try:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(_reserved_by_others) == 0
            assert_same_weights([pool.apply(big_fit, (2,))], 2)
    finally:
        enough.set()
        thread.join()


def _reserved_by_others():
    return threads._taken


@pytest.mark.parametrize("n_jobs", [None, 3])
def test_many_fits_at_once(n_jobs):
    """From more Python threads than there are processors."""
    results = [None] * 8

    def work(number):
        results[number] = big_fit(n_jobs)[0]

    before = threading.enumerate()
    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    expected, _ = big_fit(1)
    for coefs in results:
        for a, b in zip(coefs, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert threads._taken == 0
    assert_no_threads_left(before)


def _blas_threads():
    return [
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


@pytest.mark.usefixtures("two_blas_threads")
def test_the_limit_of_blas_ends_with_the_last_that_needs_it():
    before = _blas_threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    assert set(_blas_threads()) <= {1}
    first.__exit__(None, None, None)
    assert set(_blas_threads()) <= {1}
    second.__exit__(None, None, None)
    assert _blas_threads() == before


def test_cross_validation_in_workers_scores_the_same():
    model = MLPClassifier((20,), max_iter=5, random_state=0)
    scores = [cross_val_score(model, X, LABELS, n_jobs=n, cv=3) for n in (1, 2)]
    np.testing.assert_array_equal(*scores)
