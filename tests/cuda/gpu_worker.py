"""Workers of `benchmarks.gpu` and `benchmarks.peers` on an emulated GPU, made short.

It stands in the place of both: ``python -m tests.cuda.gpu_worker`` and their arguments.
"""

import sys
from dataclasses import replace

import pytest

from benchmarks import shapes
from benchmarks.gpu import operations, peaks, times, worker
from benchmarks.peers import worker as peer_worker
from benchmarks.peers.registry import PEERS
from tests.cuda import checks, emulator, tiles


def shrink():
    """Tiles of one thread, few rows, few epochs, small layers."""
    tiles.use_tiles(pytest.MonkeyPatch())
    peaks.BLOCK = peaks.BLOCKS = peaks.TURNS = 1
    peaks.COPIED, peaks.SECONDS, operations.SECONDS = 512, 1e-4, 1e-4
    peaks.MEASUREMENTS = operations.MEASUREMENTS = 1
    times.HIDDEN = (4,)
    times.TOGETHER[True] = times.TOGETHER[False] = 4, 2, 1
    times.SEARCHED[True] = times.SEARCHED[False] = 2, 2, 1
    checks.N_ROWS = 40
    checks.EPOCHS.update(float32=2, float64=2)
    checks.ESTIMATOR.update(hidden_layer_sizes=(5,), max_iter=2)
    load = shapes.load_digits

    def load_digits(return_X_y):
        X, y = load(return_X_y=True)
        return X[:60], y[:60]

    for module in (checks, shapes, times):
        module.load_digits = load_digits
    for name in list(shapes.SHAPES):
        few = dict(short=1, long=2, scored=1, batch_size=20, n_samples=60)
        sizes = (4,) * len(shapes.SHAPES[name].hidden_layer_sizes)
        few["hidden_layer_sizes"] = sizes
        shapes.SHAPES[name] = replace(shapes.SHAPES[name], **few)
    shapes.CUDA_BATCHES = 3


def main():
    """The worker that the arguments are meant for."""
    shrink()
    with emulator.gpu(multiprocessors=4):
        (peer_worker if sys.argv[1] in PEERS else worker).main()


if __name__ == "__main__":
    main()
