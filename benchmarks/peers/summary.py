"""What the rounds of a shape say: medians, the best number of threads, the verdict."""

import itertools
import math
import statistics

import numpy as np

from ..shapes import SHAPES
from .registry import PEERS

#: How far a peer's loss may be from the median of all, as a share of it: equal
#: training differs by the order of the rows alone, which makes 1 to 5 %.
LOSS_TOLERANCE = 0.15
#: A fit was interrupted if a task waited for a processor in a larger share of its time,
#: beyond the least of the same run, whose own threads may wait.
INTERRUPTED = 0.05


def clean(run):
    """Which rounds of a run no interruption has spoiled, as booleans."""
    most = min(run["waited"], default=0.0) + INTERRUPTED
    return [share <= most for share in run["waited"]]


def counted(run):
    """Which rounds count: the clean ones, or all where most are interrupted; on a
    machine that is always busy a few that are less so tell no more."""
    rounds = clean(run)
    return rounds if 2 * sum(rounds) >= len(rounds) else [True] * len(rounds)


def summarize(name, runs, errors, peak):
    """Best run of every peer, its share of the peak, and whether losses agree.

    Parameters
    ----------
    name : str
    runs : dict
        Of (peer, number of threads) to ``loss``, ``score``, and lists with a number for
        each round: ``ms``, ``processor_ms`` and ``waited``.
    errors : dict
        Of (peer, number of threads) to a sentence.
    peak : float
        GFLOP/s.

    Returns
    -------
    result : dict
        ``peak_gflops``; ``peers`` with an entry for each that was asked: ``errors`` and
        ``runs`` by number of threads and, unless all failed, the best run's figures and
        ``agrees``; `verdict`'s ``verdict``.
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
        medians = {
            n: statistics.median(itertools.compress(run["ms"], counted(run)))
            for n, run in own.items()
        }
        threads = min(medians, key=medians.get)
        best, ms = own[threads], medians[threads]
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
        "verdict": verdict(peers),
    }


def verdict(peers):
    """The fastest other peer that trains the same, and its time over that of nnfit.

    Returns
    -------
    verdict : dict or None
        ``peer``; ``ratio`` of the medians; ``low`` and ``high``, the quartiles of the
        rounds' ratios; ``word``, "ahead" if nnfit is faster in three rounds of four,
        "behind" if the other is, else "level", and "undecided" with fewer than three
        rounds. None where one of the two is lacking.
    """
    base = next(iter(PEERS))
    timed = {
        peer: entry["ms_per_epoch"]
        for peer, entry in peers.items()
        if "ms_per_epoch" in entry and (entry["agrees"] or peer == base)
    }
    if base not in timed or len(timed) == 1:
        return None
    other = min(timed.keys() - {base}, key=timed.get)
    pair = [peers[p]["runs"][str(peers[p]["threads"])] for p in (base, other)]
    ms = np.array(list(zip(*(run["ms"] for run in pair), strict=False)))
    counts = np.all(list(zip(*map(counted, pair), strict=False)), axis=1)
    ratios = ms[counts if counts.any() else slice(None)]
    low, high = np.quantile(ratios[:, 1] / ratios[:, 0], (0.25, 0.75))
    word = "ahead" if low > 1 else "behind" if high < 1 else "level"
    word = word if len(ratios) >= 3 else "undecided"
    return {
        "peer": other,
        "ratio": timed[other] / timed[base],
        "low": float(low),
        "high": float(high),
        "word": word,
    }
