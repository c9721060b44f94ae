"""Searches over the estimators: with the workers of joblib's backends, and Optuna's."""

import os
from contextlib import contextmanager
from functools import partial

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV
from threadpoolctl import threadpool_info

from nnfit import MLPClassifier
from nnfit.tabular.models import BoostingModel
from nnfit.training import threads

# Ray, Dask and Optuna warn of themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4)).astype(np.float32)
Y = X[:, 0] * X[:, 1] > 0
NETWORK = MLPClassifier((8,), random_state=0)


@contextmanager
def dask():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        yield


@contextmanager
def ray():
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.util.joblib").register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with joblib.parallel_config("ray"):
            yield
    finally:
        ray.shutdown()


BACKENDS = {
    "loky": partial(joblib.parallel_config, "loky"),
    "threading": partial(joblib.parallel_config, "threading"),
    "dask": dask,
    "ray": ray,
}


def accuracy(caller, model, X, y):
    """Accuracy in a worker, where a fit, however large, and BLAS take one thread.

    BLAS is the whole process's; where that is the caller's, with workers that are
    threads, nnfit trains without it.
    """
    assert threads.usable_processors() == 1
    if os.getpid() != caller:
        assert {library["num_threads"] for library in threadpool_info()} == {1}
    return model.score(X, y)


def grid(**options):
    rates = {"learning_rate_init": [1e-3, 1e-2], "max_iter": [1, 3]}
    return GridSearchCV(NETWORK, rates, cv=2, error_score="raise", **options)


def halving(**options):
    return HalvingRandomSearchCV(
        NETWORK,
        {"learning_rate_init": loguniform(1e-3, 1e-1)},
        resource="max_iter", min_resources=1, max_resources=3, cv=2, random_state=0,
        error_score="raise", **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "loky" else [])
        for name in BACKENDS
    ],
)
def test_two_workers_find_what_one_finds_with_a_thread_each(backend):
    alone = [make().fit(X, Y) for make in (grid, halving)]
    scoring = partial(accuracy, os.getpid())
    with BACKENDS[backend]():
        both = [make(n_jobs=2, scoring=scoring).fit(X, Y) for make in (grid, halving)]
    for one, two in zip(alone, both, strict=True):
        for name in ("params", "mean_test_score"):
            assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    assert list(both[1].n_resources_) == [1, 3]


def test_boosted_trees_of_a_mixture_predict_on_one_thread_in_a_worker():
    model = BoostingModel(None, None, n_jobs=None)

    def openmp_threads():
        with model.threads(model.FEW_ROWS):
            pools = threadpool_info()
        return {pool["num_threads"] for pool in pools if pool["user_api"] == "openmp"}

    with joblib.parallel_config("threading", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(openmp_threads)() for _ in range(2))
    assert found == [{1}, {1}]


def test_optuna_prunes_candidates_that_learn_too_slowly():
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration")
    choices = optuna.distributions.CategoricalDistribution((1e-2, 1e-9))
    search = integration.OptunaSearchCV(
        NETWORK,
        {"learning_rate_init": choices},
        cv=2, enable_pruning=True, max_iter=20, n_trials=20, n_jobs=2, random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert search.best_params_ == {"learning_rate_init": 1e-2}
    assert {trial.state.name for trial in search.trials_} == {"COMPLETE", "PRUNED"}
    assert search.best_estimator_.score(X, Y) > 0.6
