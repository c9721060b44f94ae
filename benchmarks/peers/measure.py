"""Rounds over all peers: each is asked for one epoch's time in every round."""

import contextlib
import itertools
import math
import statistics
import time

from ..bench_kernels import peak_gflops
from ..shapes import SHAPES
from .process import WorkerError, WorkerProcess
from .registry import PEERS

#: How far a peer's loss may be from the median of all, as a share of it: equal
#: training differs by the order of the rows alone, which makes 1 to 5 %.
LOSS_TOLERANCE = 0.15
#: Seconds before each measurement in which threads of the one before fall asleep:
#: those of OpenBLAS and OpenMP wait for work without sleeping for a while.
PAUSE = 0.1


def compare(shapes, peers, n_threads, repeats, timeout, report=print, device="cpu"):
    """Measure peers on shapes.

    Parameters
    ----------
    shapes, peers : list of str
    n_threads : int
        Every peer runs with as many threads, and with one as well; the better of
        the two counts.
    repeats : int
        Rounds.
    timeout : float
        Seconds for one answer of a worker.
    report : callable
        Takes lines about what goes on.
    device : {"cpu", "cuda"}, default="cpu"

    Returns
    -------
    results : dict
        Of shape name to `measure_shape`'s result.
    """
    results, workers = {}, {}
    find_peak = peak_finder(device, n_threads)
    with contextlib.ExitStack() as stack:
        for name in shapes:
            for key in itertools.product(peers, sorted({1, n_threads})):
                if key not in workers:  # or it failed on the shape before
                    worker = WorkerProcess(*key, timeout, device)
                    workers[key] = stack.enter_context(worker)
            results[name] = measure_shape(name, workers, find_peak, repeats, report)
    return results


def peak_finder(device, n_threads):
    """A function that measures the multiply-add peak of what is used, in GFLOP/s."""
    if device == "cpu":
        return lambda: peak_gflops("float32", n_threads)
    from ..gpu.peaks import Peaks

    return Peaks().float32_gflops


def measure_shape(name, workers, find_peak, repeats, report):
    """Measure all workers on one shape; those that fail are taken out of `workers`.

    Returns
    -------
    result : dict
        ``peak_gflops``, and ``peers`` with an entry for each that was asked:
        ``errors`` and ``runs`` by number of threads and, unless all failed, the
        best run's figures and ``agrees``.
    """
    runs, errors, peaks = {}, {}, []

    def ask(key, do, **arguments):
        try:
            return workers[key].ask(do, **arguments)
        except WorkerError as error:
            errors[key] = str(error)
            del workers[key]
            report(f"{name}: {key[0]} with {key[1]} threads failed: {error}")

    for key in list(workers):
        report(f"{name}: {key[0]}, threads: {key[1]}, compiles and fits")
        if ask(key, "load", shape=name) is None:
            continue
        judged = ask(key, "judge")
        if judged is not None:
            runs[key] = {**judged, "ms": [], "processor_ms": []}
    for number in range(repeats):
        report(f"{name}: round {number + 1} of {repeats}")
        time.sleep(PAUSE)
        peaks.append(find_peak())
        for key in [key for key in runs if key in workers]:
            time.sleep(PAUSE)
            measured = ask(key, "time")
            if measured is not None:
                runs[key]["ms"].append(1000 * measured["seconds"])
                seconds = measured["processor_seconds"]
                runs[key]["processor_ms"].append(1000 * seconds)
    return summarize(name, runs, errors, statistics.median(peaks))


def summarize(name, runs, errors, peak):
    """Best run of every peer, its share of the peak, and whether losses agree.

    Parameters
    ----------
    name : str
    runs : dict
        Of (peer, number of threads) to ``loss``, ``score``, lists ``ms`` and
        ``processor_ms``.
    errors : dict
        Of (peer, number of threads) to a sentence.
    peak : float
        GFLOP/s.
    """
    shape = SHAPES[name]
    runs = {key: run for key, run in runs.items() if key not in errors}
    losses = [run["loss"] for run in runs.values() if math.isfinite(run["loss"])]
    usual = statistics.median(losses) if losses else math.nan
    peers = {}
    for peer in dict.fromkeys(peer for peer, _ in (*runs, *errors)):
        own = {n: run for (each, n), run in runs.items() if each == peer}
        failed = {n: text for (each, n), text in errors.items() if each == peer}
        peers[peer] = {"errors": {str(n): text for n, text in failed.items()}}
        if not own:
            continue
        threads = min(own, key=lambda n: statistics.median(own[n]["ms"]))
        best = own[threads]
        ms = statistics.median(best["ms"])
        peers[peer] |= {
            "threads": threads,
            "ms_per_epoch": ms,
            "share_of_peak": shape.flops_per_epoch / (ms / 1000) / (1e9 * peak),
            "loss": best["loss"],
            "score": best["score"],
            "agrees": all(
                abs(run["loss"] - usual) <= LOSS_TOLERANCE * usual
                for run in own.values()
            ),
            "runs": {str(n): run for n, run in own.items()},
        }
    return {
        "samples": shape.n_samples,
        "features": shape.n_features,
        "hidden_layer_sizes": list(shape.hidden_layer_sizes),
        "batch_size": shape.batch_size,
        "task": shape.task,
        "epochs": shape.scored,
        "flops_per_epoch": shape.flops_per_epoch,
        "peak_gflops": peak,
        "median_loss": usual,
        "peers": peers,
    }


def scaling(shapes, n_threads, repeats, timeout, report=print):
    """nnfit's epoch on 1, 2, 4, ... up to ``n_threads`` threads.

    Returns
    -------
    results : dict
        Of shape name to a dict of number of threads to ``ms_per_epoch``, ``ms`` and
        ``share_of_peak``, the peak being that of as many threads.
    """
    numbers = [2**i for i in range(n_threads.bit_length()) if 2**i < n_threads]
    numbers.append(n_threads)
    results = {name: {} for name in shapes}
    with contextlib.ExitStack() as stack:
        workers = {
            n: stack.enter_context(WorkerProcess("nnfit", n, timeout)) for n in numbers
        }
        for name in shapes:
            times = {n: [] for n in numbers}
            for worker in workers.values():
                worker.ask("load", shape=name)
            for number in range(repeats):
                report(f"{name}: scaling, round {number + 1} of {repeats}")
                for n, worker in workers.items():
                    time.sleep(PAUSE)
                    times[n].append(1000 * worker.ask("time")["seconds"])
            for n in numbers:
                ms, peak = statistics.median(times[n]), peak_gflops("float32", n)
                share = SHAPES[name].flops_per_epoch / (ms / 1000) / (1e9 * peak)
                results[name][str(n)] = {
                    "ms_per_epoch": ms,
                    "ms": times[n],
                    "share_of_peak": share,
                }
    return results


def installed(peers, device="cpu"):
    """Split names of peers into those that can run and sentences on the others."""
    missing = {name: PEERS[name].missing(device) for name in peers}
    notes = [
        f"{PEERS[name].title} is left out: {need} is not installed."
        for name, need in missing.items()
        if need
    ]
    return [name for name in peers if not missing[name]], notes
