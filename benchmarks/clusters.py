"""Fits on a Dask cluster of this machine, and the model of what they cost.

Prints three tables, or with ``--only`` one of them:

- scores: score and seconds of one process, of one, two and four workers, and of two of
  which one is killed;
- shards: the score after some epochs by the number of shards;
- costs: the seconds of a round with one and two workers, while the link to the client
  is slowed down, beside those of `Cost`, which docs/scaling.rst describes, and what it
  predicts for clusters that are not here.

Usage: python -m benchmarks.clusters [--rows 120000] [--epochs 20] [--only costs]
"""

import argparse
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import make_classification

from nnfit import MLPClassifier
from nnfit.callbacks import Callback
from nnfit.dask import DaskMLPClassifier, workers

N_FEATURES = 30
N_PARTS = 8
N_ROUNDS = 10
#: Shards, epochs of a round, and the outer step where it is another than the default.
DILOCO = {"outer_learning_rate": 0.7, "outer_momentum": 0.9}
SHARDS = (
    *((1, 1, {}), (2, 1, {}), (4, 1, {}), (8, 1, {}), (16, 1, {}), (8, 5, {})),
    *((8, 0.2, {}), (8, 1, DILOCO), (8, 0.2, DILOCO), (16, 0.1, DILOCO)),
)
MB = 1e6


@dataclass
class Cost:
    """Seconds of a round, as docs/scaling.rst has them.

    Attributes
    ----------
    row : float
        Seconds that a worker takes for a row, a parameter and an epoch.
    latency, of_worker : float
        Seconds of a round without rows: its own, and for each worker.
    bandwidth : float
        Bytes that pass the client's link in a second, one array after the other.
    """

    row: float
    latency: float
    of_worker: float
    bandwidth: float

    def round(self, n_rows, n_parameters, n_workers, n_shards, local_epochs=1):
        """Seconds from one synchronisation to the next."""
        rows = -(-n_shards // n_workers) * n_rows / n_shards
        computing = local_epochs * rows * n_parameters * self.row
        sent = 4 * n_parameters / self.bandwidth  # the weights, once
        # The first worker begins after one, the last after all, and while one computes
        # others use the link.
        alone = max(1 + n_shards, n_workers + n_shards / n_workers) * sent
        busy = (n_workers + n_shards) * sent
        latency = self.latency + self.of_worker * n_workers
        return latency + max(computing + alone, busy)


@contextmanager
def cluster(n_workers):
    """A client of processes on this machine, each with one thread."""
    import distributed  # asv imports this file, and has no Dask

    with (
        distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
        ) as made,
        distributed.Client(made) as client,
    ):
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


def cut(X, y, n_parts=N_PARTS):
    import dask.array as da

    rows = -(-len(X) // n_parts)
    return da.from_array(X, chunks=(rows, -1)), da.from_array(y, chunks=rows)


class Rounds(Callback):
    """Notes when rounds end, and does something after one of them."""

    def __init__(self, after=None, action=None, every=1):
        self.after, self.action, self.every = after, action, every
        self.times = [time.perf_counter()]

    def after_epoch(self, estimator, context):
        self.times.append(time.perf_counter())
        if len(self.times) - 1 == self.after:
            self.action()

    @property
    def seconds(self):
        """Median seconds of a round, without the first, in which shards are made."""
        return float(np.median(np.diff(self.times[self.every :: self.every])))


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


def slow_link():
    """In a worker: all weights pass one link, of `workers.bandwidth` bytes a second."""
    import distributed

    workers.bandwidth, train_all = np.inf, workers.train_all

    def wait(link, size):
        if workers.bandwidth < np.inf:
            with link:
                time.sleep(size / workers.bandwidth)

    def through_link(shards, n_threads, weights, *more):
        link = distributed.Lock("link")
        size = sum(array.nbytes for arrays in weights for array in arrays)
        wait(link, size)
        trained = train_all(shards, n_threads, weights, *more)
        wait(link, size * len(trained))
        return trained

    workers.train_all = through_link


def set_bandwidth(bandwidth):
    workers.bandwidth = bandwidth


def rounds_of(collections, parameters, local_epochs=1, n_shards=2):
    """Median seconds of a round, and the parameters of the network."""
    rounds = Rounds(every=local_epochs)
    parameters = {**parameters, "max_iter": local_epochs * N_ROUNDS}
    model = DaskMLPClassifier(
        n_shards=n_shards, local_epochs=local_epochs, **parameters
    )
    model.set_callbacks(rounds).fit(*collections)
    arrays = (*model.coefs_, *model.intercepts_)
    return rounds.seconds, sum(array.size for array in arrays)


def latencies(given, parameters):
    """Seconds of a round with next to no rows, its own and for each worker."""
    found = []
    for n_workers in (1, 2, 4):
        with cluster(n_workers) as client:
            client.run(_import)
            found.append(rounds_of(given, parameters, n_shards=n_workers)[0])
    of_worker = (found[2] - found[0]) / 3
    print("Latency of 1, 2 and 4 workers:", *(f"{1e3 * each:.0f} ms" for each in found))
    return found[0] - of_worker, of_worker


def costs(n_rows, parameters):
    """Measured and predicted seconds of a round with a slow link."""
    (X, y), _ = data(n_rows)
    third = n_rows // 3
    latency = latencies(cut(X[: 8 * N_PARTS], y[: 8 * N_PARTS]), parameters)
    cases = [
        *((n_rows, 1, bandwidth) for bandwidth in (np.inf, 20 * MB, 5 * MB, 2 * MB)),
        (third, 1, np.inf),
        (third, 3, 5 * MB),
    ]
    print("workers     rows  epochs     MB/s  measured     model   seconds of a round")
    for n_workers in (1, 2):
        row = None
        with cluster(n_workers) as client:
            client.run(slow_link)
            for rows, local_epochs, bandwidth in cases:
                client.run(set_bandwidth, bandwidth)
                seconds, size = rounds_of(
                    cut(X[:rows], y[:rows]), parameters, local_epochs
                )
                if row is None:  # from the first line, the others follow
                    rest = seconds - latency[0] - latency[1] * n_workers
                    row = rest / (n_rows / n_workers * size)
                    print(f"{size} parameters, {row * 1e12:.0f} ps for a row and one")
                predicted = Cost(row, *latency, bandwidth).round(
                    rows, size, n_workers, 2, local_epochs
                )
                print(
                    f"{n_workers:7} {rows:8} {local_epochs:7} {bandwidth / MB:8.0f} "
                    f"{seconds:9.3f} {predicted:9.3f}",
                    flush=True,
                )
            if n_workers == 1:
                alone = row
    predictions(alone, latency)


def predictions(row, latency, n_rows=10**9, threads=8, share=0.8):
    """What the model says of workers with several threads and a link of 10 Gbit/s."""
    cost = Cost(row / (threads * share), *latency, 1.25e9)
    print(f"\n{n_rows:.0e} rows, workers of {threads} threads, 10 Gbit/s")
    print("parameters  workers  rounds an epoch  seconds an epoch  times one worker")
    for n_parameters in (10**5, 10**7):
        alone = cost.round(n_rows, n_parameters, 1, 1)
        for n_workers, n_rounds in ((1, 1), (8, 1), (64, 1), (64, 20), (256, 1)):
            seconds = n_rounds * cost.round(
                n_rows, n_parameters, n_workers, n_workers, 1 / n_rounds
            )
            print(
                f"{n_parameters:10} {n_workers:8} {n_rounds:16} {seconds:17.1f} "
                f"{alone / seconds:17.1f}"
            )


def shards(train, test, parameters):
    """Scores after some epochs by the number of shards, in this process."""
    epochs = [parameters["max_iter"] // 4, parameters["max_iter"] // 2]
    epochs.append(parameters["max_iter"])
    print(f"\n{'shards':>12} {'epochs a round':>14}   score after {epochs} epochs")
    for n_shards, local_epochs, outer in SHARDS:
        after = []
        for each in epochs:
            model = DaskMLPClassifier(
                n_shards=n_shards, local_epochs=local_epochs,
                **parameters | outer | {"max_iter": each},
            ).fit(*cut(*train, n_parts=n_shards))  # fmt: skip
            after.append(f"{model.to_local().score(*test):.4f}")
        print(
            f"{n_shards:12} {local_epochs:14g}  ", *after, *outer.values(), flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", choices=["scores", "shards", "costs"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    parameters = {
        "hidden_layer_sizes": (128, 128),
        "max_iter": given.epochs,
        "random_state": 0,
        "n_jobs": 1,
    }
    if given.only in (None, "scores"):
        scores(*data(given.rows), parameters)
    if given.only in (None, "shards"):
        shards(*data(given.rows), parameters)
    if given.only in (None, "costs"):
        parameters |= {"hidden_layer_sizes": (512, 256)}
        costs(given.rows // 2, parameters)


if __name__ == "__main__":
    main()
