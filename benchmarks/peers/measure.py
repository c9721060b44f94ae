"""Rounds over all peers: each is asked for one epoch's time in every round.

A run is a peer with a number of threads. All are in processes of their own that live
on, and take turns: a short and a long fit each. Where something waited for a processor
meanwhile, the fit was interrupted: it does not count, and rounds are added for it.
"""

import contextlib
import itertools
import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..bench_kernels import peak_gflops
from ..shapes import SHAPES
from . import machine
from .process import WorkerError, WorkerProcess
from .registry import PEERS
from .summary import clean, summarize

#: Seconds before each measurement in which threads of the one before fall asleep:
#: those of OpenBLAS and OpenMP wait for work without sleeping for a while.
PAUSE = 0.1
#: A number of threads that takes so many times as long as a peer's other one, at their
#: best, is not measured again.
FAR = 1.4
#: Rounds for each that is wanted, where fits are interrupted.
MOST = 3


def compare(
    shapes,
    peers,
    n_threads,
    repeats,
    timeout,
    report=print,
    device="cpu",
    seconds=math.inf,
):
    """Measure peers on shapes.

    Parameters
    ----------
    shapes, peers : list of str
    n_threads : int
        Every peer runs with as many threads, and with one as well; the better of
        the two counts.
    repeats : int
        Rounds without an interruption that are enough.
    timeout : float
        Seconds for one answer of a worker.
    report : callable
        Takes lines about what goes on.
    device : {"cpu", "cuda"}, default="cpu"
    seconds : float
        For a shape, after which no round begins. What it leaves over is the next ones'.

    Returns
    -------
    results : dict
        Of shape name to `measure_shape`'s result.
    """
    results, workers = {}, {}
    find_peak, start = peak_finder(device, n_threads), time.perf_counter()
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(shapes, 1):
            for key in itertools.product(peers, sorted({1, n_threads})):
                if key not in workers:  # or it failed on the shape before
                    worker = WorkerProcess(*key, timeout, device)
                    workers[key] = stack.enter_context(worker)
            deadline = start + number * seconds
            results[name] = measure_shape(
                name, workers, find_peak, repeats, report, deadline
            )
    return results


def peak_finder(device, n_threads):
    """A function that measures the multiply-add peak of what is used, in GFLOP/s."""
    if device == "cpu":
        return lambda: peak_gflops("float32", n_threads)
    from ..gpu.peaks import Peaks

    return Peaks().float32_gflops


def measure_shape(name, workers, find_peak, repeats, report, deadline=math.inf):
    """Measure all workers on one shape; those that fail are taken out of `workers`.

    Returns
    -------
    result : dict
        `summarize`'s.
    """
    errors = {}

    def ask(key, do, **arguments):
        try:
            return workers[key].ask(do, **arguments)
        except WorkerError as error:
            errors[key] = str(error)
            del workers[key]
            report(f"{name}: {key[0]} with {key[1]} threads failed: {error}")

    runs = prepare(name, list(workers), ask, report)
    asked, peaks = list(runs), [find_peak()]
    for number in range(1, MOST * repeats + 1):
        report(f"{name}: round {number}, {len(asked)} runs")
        seconds = {key: take_turn(runs[key], partial(ask, key)) for key in asked}
        peaks.append(find_peak())
        asked = [key for key in contenders(runs) if key in workers]
        end = time.perf_counter() + sum(seconds[key] for key in asked)
        enough = all(sum(clean(runs[key])) >= repeats for key in asked)
        if enough or end > deadline:
            break
    return summarize(name, runs, errors, statistics.median(peaks))


def prepare(name, keys, ask, report):
    """Let all runs compile, fit and be judged; nothing of this is measured, so as many
    work at once as have processors of their own."""

    def begin(key):
        report(f"{name}: {key[0]}, threads: {key[1]}, compiles and fits")
        return None if ask(key, "load", shape=name) is None else ask(key, "judge")

    judged = {}
    for n in {n for _, n in keys}:
        some = [key for key in keys if key[1] == n]
        with ThreadPoolExecutor(max(1, machine.n_cores() // n)) as pool:
            judged |= zip(some, pool.map(begin, some), strict=True)
    return {
        key: {**judged[key], "ms": [], "processor_ms": [], "waited": []}
        for key in keys
        if judged[key] is not None
    }


def take_turn(run, ask):
    """Measure a run once more; returns the seconds that it took."""
    start = time.perf_counter()
    time.sleep(PAUSE)
    measured = ask("time")
    if measured is not None:
        run["ms"].append(1000 * measured["seconds"])
        run["processor_ms"].append(1000 * measured["processor_seconds"])
        run["waited"].append(measured["waited"])
    return time.perf_counter() - start


def contenders(runs):
    """The runs that can be their peer's best."""
    best = {}
    for (peer, _), run in runs.items():
        best[peer] = min(best.get(peer, math.inf), *run["ms"], math.inf)
    return [
        key
        for key, run in runs.items()
        if min(run["ms"], default=0) <= FAR * best[key[0]]
    ]


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
                worker.ask("judge")
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


def installed(peers, device="cpu", registry=PEERS):
    """Split names of peers into those that can run and sentences on the others."""
    missing = {name: registry[name].missing(device) for name in peers}
    notes = [
        f"{registry[name].title} is left out: {need} is not installed."
        for name, need in missing.items()
        if need
    ]
    return [name for name in peers if not missing[name]], notes
