"""Searches and ensembles on an emulated GPU: networks that share launches."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from nnfit import MLPClassifier, PopulationSearchCV, population
from nnfit.cuda import engine
from tests.cuda.tiles import small_gpu

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = (data[::5] for data in load_iris(return_X_y=True))
X = (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.fixture
def launches(monkeypatch):
    """Numbers of networks in a launch; those of a test wait for each other."""
    monkeypatch.setattr(population, "PATIENCE", 20.0)
    run_together, sizes = engine.run_together, []

    def run(engines):
        sizes.append(len(engines))
        run_together(engines)

    monkeypatch.setattr(engine, "run_together", run)
    with small_gpu():
        yield sizes


@pytest.fixture
def come_together(monkeypatch):
    """Call with a number: so many engines begin when all of them are there."""

    def expect(n_engines):
        barrier = threading.Barrier(n_engines, timeout=30)
        tickets, begin = iter(range(n_engines)), engine.Engine.begin

        def wait_and_begin(self, *limits):
            if self.progress.epoch == 0 and next(tickets, None) is not None:
                barrier.wait()
            begin(self, *limits)

        monkeypatch.setattr(engine.Engine, "begin", wait_and_begin)

    return expect


def classifier(**parameters):
    return MLPClassifier(
        hidden_layer_sizes=(3,),
        max_iter=2,
        batch_size=10,
        random_state=0,
        device="cuda",
        **parameters,
    )


def test_search(launches, come_together):
    grid = {"alpha": [0.1, 1.0]}
    alone = GridSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, Y)
    launches.clear()
    come_together(4)
    found = PopulationSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, Y)
    assert launches[0] == 4 and launches[-1] == 1
    scores = found.cv_results_["mean_test_score"]
    assert_array_equal(scores, alone.cv_results_["mean_test_score"])
    best = found.best_estimator_.coefs_
    for mine, its in zip(best, alone.best_estimator_.coefs_, strict=True):
        assert_array_equal(mine, its)


def test_ensemble(launches, come_together):
    come_together(3)
    model = classifier(n_members=3).fit(X, Y)
    assert launches[0] == 3
    for member in model.members_:
        network = clone(member).fit(X, Y)
        for mine, its in zip(member.coefs_, network.coefs_, strict=True):
            assert_array_equal(mine, its)


def test_the_rows_of_a_fold_are_uploaded_once(launches, come_together, monkeypatch):
    uploads, share = [], population.Population.upload

    def count(self, array, upload, place):
        return share(self, array, lambda a: uploads.append(a) or upload(a), place)

    monkeypatch.setattr(population.Population, "upload", count)
    come_together(6)
    grid = {"alpha": np.geomspace(0.1, 1, 3).tolist()}
    PopulationSearchCV(classifier(), grid, cv=2, refit=False).fit(X, Y)
    assert len(uploads) == 2
