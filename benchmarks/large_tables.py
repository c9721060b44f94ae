"""Fits to tables that are larger than the memory they may take: memory and speed.

Writes a table of some times the bound as `.npy` shards and, where pyarrow is installed,
as Parquet files, and prints for each

* the largest memory of a fit by `fit_batches`, beside what the process had before, as a
  part of the bound: pages of its own (RssAnon of Linux), not those of mapped files;
* seconds of the first pass; of an epoch; and of its halves alone: the reading of all
  blocks, and the training on one block again and again. Reading and training go on at
  the same time, so an epoch should take as long as the slower half.

    python -m benchmarks.large_tables --memory 64 --times 10 --folder /tmp
"""

import argparse
import importlib.util
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier
from nnfit.batches import NpySource, ParquetSource
from nnfit.estimators.by_batches import BatchFit
from nnfit.estimators.streams import Stream

N_FEATURES, N_SHARDS = 20, 8


def write(folder, n_bytes):
    """Write a table of so many bytes; returns its sources by name."""
    n_rows = n_bytes // (4 * N_FEATURES) // N_SHARDS
    has_pyarrow = importlib.util.find_spec("pyarrow") is not None
    for number in range(N_SHARDS):
        rng = np.random.default_rng(number)
        X = rng.standard_normal((n_rows, N_FEATURES), "f4")
        y = (X[:, 0] * X[:, 1] > 0).astype(np.int8)
        np.save(folder / f"X_{number}.npy", X)
        np.save(folder / f"y_{number}.npy", y)
        if has_pyarrow:
            import pyarrow
            from pyarrow import parquet

            columns = {f"x{i}": column for i, column in enumerate(X.T)}
            table = pyarrow.table({**columns, "y": y})
            path = folder / f"part_{number}.parquet"
            parquet.write_table(table, path, row_group_size=2**16)
    sources = {"npy": NpySource(str(folder / "X_*.npy"), str(folder / "y_*.npy"))}
    if has_pyarrow:
        sources["parquet"] = ParquetSource(folder, "y")
    return n_rows * N_SHARDS, sources


@contextmanager
def watched_memory():
    """Yields a list, to which the largest number of bytes is added at the end."""
    found, ended, most = [], threading.Event(), [0]

    def watch():
        while not ended.wait(0.002):
            most[0] = max(most[0], own_bytes())

    thread = threading.Thread(target=watch)
    before = own_bytes()
    thread.start()
    yield found
    ended.set()
    thread.join()
    found.append(most[0] - before)


def own_bytes():
    """Memory of this process that no file holds."""
    with open("/proc/self/status") as lines:
        (line,) = (line for line in lines if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


class Halves(BatchFit):
    """A fit that reads or trains alone, as `half` says."""

    half = None

    @contextmanager
    def feeding(self, engine, settings):
        """As of a fit, but for what is left out."""
        with super().feeding(engine, settings) as blocks:
            if self.half == "reading":
                started = time.perf_counter()
                reading = blocks._blocks(0)
                for _ in blocks._sizes:
                    next(reading)
                    reading.go_on()
                reading.close()
                raise Read(time.perf_counter() - started)
            if self.half == "training":
                reading = blocks._blocks(0)
                block = next(reading)
                reading.close()
                blocks._blocks = lambda epoch: Repeated(block)
            yield blocks


class Read(Exception):
    """Ends a fit after all has been read."""


class Repeated:
    """The same block again and again."""

    def __init__(self, block):
        self._blocks = repeat(block)

    def __next__(self):
        return next(self._blocks)

    def go_on(self):
        """It is there."""

    def close(self):
        """Nothing is open."""


def epoch(model, stream, half=None):
    """Seconds of an epoch, or of a half of it."""
    kind = type("Half", (Halves,), {"half": half})
    sample = stream.sample
    try:
        model._fit(
            sample.X, sample.y, None, n_rows=stream.n_rows, kind=partial(kind, stream)
        )
    except Read as read:
        return read.args[0]
    return float(np.median(np.diff([0.0, *model.history_["seconds"]])))


def measure(name, source, n_rows, memory, hidden, n_rounds):
    """Print the figures of a source."""
    model = MLPClassifier(hidden, batch_size=512, max_iter=1, random_state=0, n_jobs=1)
    sample = source.read(source.parts(2048)[0], 2048)
    first = next(sample)
    model.fit_batches(lambda: iter([first[:2]]), memory=memory)  # compiled
    with watched_memory() as found:
        model.fit_batches(source, memory=memory)
    started = time.perf_counter()
    stream = Stream(model, source, memory, None, None)
    first_pass = time.perf_counter() - started
    print(
        f"{name:8} {found[0] / 2**20:7.0f} MiB, {found[0] / memory:.2f} of the bound; "
        f"first pass {first_pass:5.1f} s"
    )
    rounds = []
    for _ in range(n_rounds):
        halves = [epoch(model, stream, half) for half in ("reading", "training", None)]
        rounds.append([*halves, halves[2] / max(halves[:2])])
    if rounds:
        reading, training, both, ratio = np.median(rounds, axis=0)
        print(
            f"{name:8} reading {reading:.1f} s, training {training:.1f} s, an epoch "
            f"{both:.1f} s: {ratio:.2f} of the slower, "
            f"{n_rows / both / 1e6:.2f} million rows a second"
        )


def main():
    """Write the table, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", type=int, default=64, help="bound in MiB")
    parser.add_argument("--times", type=float, default=10, help="table over bound")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 64])
    parser.add_argument("--rounds", type=int, default=3, help="of times; 0 for none")
    parser.add_argument("--folder", help="where the table is written")
    arguments = parser.parse_args()
    memory = arguments.memory * 2**20
    warnings.simplefilter("ignore", ConvergenceWarning)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        n_rows, sources = write(Path(folder), int(arguments.times * memory))
        print(
            f"{n_rows} rows of {N_FEATURES} features in float32, "
            f"{arguments.times:g} x memory={memory}, layers {arguments.hidden}"
        )
        for name, source in sources.items():
            hidden = tuple(arguments.hidden)
            measure(name, source, n_rows, memory, hidden, arguments.rounds)


if __name__ == "__main__":
    main()
