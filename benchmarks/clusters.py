"""Fits on a Dask cluster of this machine beside one process, and the model of their cost.

Prints the score and the seconds of one process, of one, two and four workers, and of
two of which one is killed; then the seconds of a round with one and two workers while
the link to the client is slowed down, beside those of `Cost`, which docs/scaling.rst
describes.

Usage: python -m benchmarks.clusters [--rows 200000] [--epochs 20]
"""

import argparse
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import dask.array as da
import distributed
import numpy as np
from sklearn.datasets import make_classification

from nnfit import MLPClassifier
from nnfit.callbacks import Callback
from nnfit.dask import DaskMLPClassifier, workers

N_FEATURES = 30
N_PARTS = 8
MB = 1e6


@dataclass
class Cost:
    """Seconds of a round, as docs/scaling.rst has them.

    Attributes
    ----------
    row : float
        Seconds that a worker takes for a row and an epoch.
    latency : float
        Seconds of a round whose shards have nothing to do, for each worker.
    bandwidth : float
        Bytes that pass the client's link in a second.
    """

    row: float
    latency: float
    bandwidth: float

    def round(self, n_rows, n_parameters, n_workers, n_shards, local_epochs=1):
        """Seconds from one synchronisation to the next."""
        of_worker = -(-n_shards // n_workers) * n_rows / n_shards
        computing = local_epochs * of_worker * self.row
        sent = 4 * n_parameters * (n_workers + n_shards)
        return computing + self.latency * n_workers + sent / self.bandwidth


@contextmanager
def cluster(n_workers):
    """A client of processes on this machine, each with one thread."""
    with distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
    ) as made, distributed.Client(made) as client:
        yield client


def data(n_rows):
    """Rows to train on and a fifth as many to score."""
    X, y = make_classification(
        n_rows + n_rows // 5, N_FEATURES, n_informative=20, n_redundant=0,
        n_classes=3, n_clusters_per_class=6, class_sep=1.5, flip_y=0.01,
        random_state=0,
    )  # fmt: skip
    X = X.astype(np.float32)
    return (X[:n_rows], y[:n_rows]), (X[n_rows:], y[n_rows:])


def cut(X, y):
    rows = -(-len(X) // N_PARTS)
    return da.from_array(X, chunks=(rows, -1)), da.from_array(y, chunks=rows)


class Rounds(Callback):
    """Notes when rounds end, and does something after one of them."""

    def __init__(self, after=None, action=None):
        self.after, self.action = after, action
        self.times = [time.perf_counter()]

    def after_epoch(self, estimator, context):
        self.times.append(time.perf_counter())
        if len(self.times) - 1 == self.after:
            self.action()

    @property
    def seconds(self):
        """Median seconds of a round, without the first, in which shards are made."""
        return float(np.median(np.diff(self.times[1:])))


def scores(train, test, parameters):
    """Lines of a table: what, score on new rows, seconds, seconds of a round."""

    def line(what, model, rounds, started):
        seconds = time.perf_counter() - started
        local = model.to_local() if hasattr(model, "to_local") else model
        print(
            f"{what:34} {local.score(*test):8.4f} {seconds:9.1f} {rounds.seconds:9.3f}",
            flush=True,
        )
        return local

    def fit(what, model, given, after=None, action=None):
        started, rounds = time.perf_counter(), Rounds(after, action)
        model.set_callbacks(rounds).fit(*given)
        return line(what, model, rounds, started)

    print(f"{'':34} {'score':>8} {'seconds':>9} {'a round':>9}")
    fit("one process", MLPClassifier(**parameters), train)
    here, collections = {}, cut(*train)
    for n_shards in (2, 4):
        model = DaskMLPClassifier(n_shards=n_shards, **parameters)
        here[n_shards] = fit(f"{n_shards} shards in this process", model, collections)
    for n_workers, n_shards in ((1, 2), (2, 2), (4, 4)):
        with cluster(n_workers) as client:
            client.run(_import)
            model = DaskMLPClassifier(n_shards=n_shards, **parameters)
            what = f"{n_workers} workers, {n_shards} shards"
            local = fit(what, model, collections)
            same = all(
                np.array_equal(a, b)
                for a, b in zip(local.coefs_, here[n_shards].coefs_, strict=True)
            )
            assert same, "the weights depend on the workers"
            if n_workers == 2:
                (pid, *_) = client.run(os.getpid).values()
                kill = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start
                fit(f"{what}, one killed", model, collections, 5, kill)


def _import():
    import nnfit.dask  # noqa: F401


# The model of cost ----------------------------------------------------------------


def slow_link(bandwidth):
    """In a worker: let all weights pass one link, which has so many bytes a second."""
    train_all = workers.train_all

    def through_link(shards, n_threads, weights, *more):
        link = distributed.Lock("link")
        size = sum(array.nbytes for arrays in weights for array in arrays)
        with link:
            time.sleep(size / bandwidth)
        trained = train_all(shards, n_threads, weights, *more)
        with link:
            time.sleep(size * len(trained) / bandwidth)
        return trained

    workers.train_all = through_link


def rounds_of(client, collections, parameters, n_shards=2):
    """Median seconds of a round, and the parameters of the network."""
    rounds = Rounds()
    model = DaskMLPClassifier(n_shards=n_shards, **parameters)
    model.set_callbacks(rounds).fit(*collections)
    arrays = (*model.coefs_, *model.intercepts_)
    return rounds.seconds, sum(array.size for array in arrays)


def costs(n_rows, parameters):
    """Measured and predicted seconds of a round with a slow link."""
    (X, y), _ = data(n_rows)
    given, few = cut(X, y), cut(X[: 8 * N_PARTS], y[: 8 * N_PARTS])
    found = None
    print(f"\n{'workers':>7} {'MB/s':>8} {'measured':>9} {'model':>9}   seconds a round")
    for n_workers in (1, 2):
        for bandwidth in (np.inf, 20 * MB, 5 * MB, 1 * MB):
            with cluster(n_workers) as client:
                client.run(_import)
                if bandwidth < np.inf:
                    client.run(slow_link, bandwidth)
                seconds, n_parameters = rounds_of(client, given, parameters)
                if found is None:  # from one worker without a limit, all else follows
                    latency, _ = rounds_of(client, few, parameters)
                    row = (seconds - latency) / len(X)
                    found = Cost(row, latency, np.inf)
                    print(
                        f"{n_parameters} parameters, {row * 1e6:.2f} microseconds a row, "
                        f"{latency * 1e3:.0f} ms of latency"
                    )
            cost = Cost(found.row, found.latency, bandwidth)
            predicted = cost.round(len(X), n_parameters, n_workers, 2)
            print(
                f"{n_workers:7} {bandwidth / MB:8.0f} {seconds:9.3f} {predicted:9.3f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", choices=["scores", "costs"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    parameters = {
        "hidden_layer_sizes": (128, 128),
        "max_iter": given.epochs,
        "random_state": 0,
        "n_jobs": 1,
    }
    if given.only != "costs":
        scores(*data(given.rows), parameters)
    if given.only != "scores":
        parameters |= {"hidden_layer_sizes": (512, 256), "max_iter": 8}
        costs(given.rows // 8, parameters)


if __name__ == "__main__":
    main()
