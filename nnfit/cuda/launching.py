"""Launches of several networks at once: one for all that train the same way."""

import time

import numpy as np

from nnfit.cuda.space import index_of


def run_together(engines):
    """Run a call of `Engine.train` of each engine, between its `begin` and `finish`.

    Engines of one group train in one launch.

    Parameters
    ----------
    engines : list of Engine
        Of one device.
    """
    started = time.perf_counter()
    groups = {}
    for engine in engines:
        groups.setdefault(engine.group, []).append(engine)
    for group in groups.values():
        if group[0].launches:
            group[0]._launch_batches()
            continue
        n_blocks = _blocks_of_each(group)
        for engine in group:
            engine.share(n_blocks)
        launch_networks(group, [engine._tables.address for engine in group])
    for group in groups.values():
        group[0].stream.synchronize()
    for engine in engines:
        engine._seconds = time.perf_counter() - started


def _blocks_of_each(engines):
    """Blocks of each network of a launch.

    Networks share the multiprocessors: the more there are, the fewer blocks has each.
    """
    first = engines[0]
    resident = first._module.blocks_at_once("train", first._tile.n_threads)
    return max(1, min(first._n_blocks, resident // len(engines)))


def launch_networks(engines, addresses):
    """Train several networks in one launch, each on blocks of its own."""
    first, n_blocks = engines[0], _blocks_of_each(engines)
    for engine in engines:
        # The counter must begin at a multiple of the number of blocks, which changes.
        engine._tables.space.set("barrier", [0])
        engine.stream.synchronize()  # all that was sent is there
    block = first._tile.n_threads
    networks = first.stream.renewed(first._networks, len(addresses), np.int64)
    networks.set(np.array(addresses, np.int64))
    first._networks = networks  # until the launch has ended
    first._module.launch(
        first.stream,
        "train",
        n_blocks * len(engines),
        block,
        (index_of(networks), n_blocks),
        cooperative=n_blocks > 1,
    )
