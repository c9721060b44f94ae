"""The CUDA engine at the size of tests: tiles of a few threads, which run in Python.

A kernel does the same with any number of threads. One thread runs without barriers and
is fast; several, on several blocks, show whether they wait for each other.
"""

from contextlib import contextmanager

import pytest

from nnfit.cuda import engine, tables
from nnfit.cuda.kernels.products import Tile
from tests.cuda import emulator

#: In the place of `tables.SMALL` and `tables.LARGE`, by number of threads. No two sides
#: are alike, so that a mistaken one shows.
TILES = {
    1: (Tile(8, 4, 8, 4, 2), Tile(4, 8, 4, 8, 2)),
    4: (Tile(4, 8, 2, 4, 2), Tile(8, 4, 4, 2, 4)),
    8: (Tile(8, 4, 2, 2, 2), Tile(4, 8, 2, 2, 4)),
}


def use_tiles(patch, n_threads=1, n_blocks=None, launches=False):
    """Make blocks small.

    Parameters
    ----------
    patch : pytest.MonkeyPatch
    n_threads : int, default=1
        Of a block.
    n_blocks : int, default=None
        With which a network is trained in one launch; None for what is chosen.
    launches : bool, default=False
        Whether each step of a batch has a launch of its own.
    """
    small, large = TILES[n_threads]
    patch.setattr(tables, "SMALL", small)
    patch.setattr(tables, "LARGE", large)
    patch.setattr(tables, "LARGE_OPERATIONS", 0.0 if launches else float("inf"))
    if n_blocks is not None:
        patch.setattr(engine, "choose_blocks", lambda work, tile, resident: n_blocks)


@contextmanager
def small_gpu(n_threads=1, n_blocks=None, launches=False, **options):
    """An emulated GPU and small blocks.

    Parameters
    ----------
    n_threads, n_blocks, launches
        See `use_tiles`.
    **options
        Of `emulator.gpu`.

    Yields
    ------
    driver : EmulatedDriver
    """
    options = {"multiprocessors": 4, **options}
    with emulator.gpu(**options) as driver, pytest.MonkeyPatch.context() as patch:
        use_tiles(patch, n_threads, n_blocks, launches)
        yield driver
