"""How many blocks train a network, and in how many launches.

Few blocks wait less for each other, many blocks compute faster. The choice is made with
estimates of the time of a phase. The weights do not depend on it.
"""

from nnfit.cuda import tables

#: Seconds of a barrier between blocks, of a barrier within a block, and of the overhead
#: of a phase. PRODUCTS is the number of products that a multiprocessor finishes in a
#: second: a quarter of those that 128 units at 1.7 GHz could.
GRID_BARRIER, BLOCK_BARRIER, PHASE_SECONDS, PRODUCTS = 1.5e-6, 5e-8, 5e-7, 5e10


def launches_pay(network, batch):
    """Whether each phase of a batch shall have a launch of its own."""
    return tables.tile_of(network, batch) is tables.LARGE


def seconds_of_batch(work, tile, n_blocks):
    """Rough time of a batch.

    Parameters
    ----------
    work : list of nnfit.cuda.phases.Work
    tile : Tile
    n_blocks : int
    """
    barrier = GRID_BARRIER if n_blocks > 1 else BLOCK_BARRIER
    size = tile.rows * tile.columns / PRODUCTS
    return sum(
        barrier + -(-part.blocks // n_blocks) * (PHASE_SECONDS + part.depth * size)
        for part in work
    )


def choose_blocks(work, tile, resident):
    """Number of blocks with which a batch takes the least time.

    Parameters
    ----------
    work : list of nnfit.cuda.phases.Work
    tile : Tile
    resident : int
        Blocks that the device runs at once.
    """
    useful = min(max(part.blocks for part in work), resident)
    candidates = {1, useful, *(2**i for i in range(useful.bit_length()))}
    return min(
        (n for n in sorted(candidates) if n <= useful),
        key=lambda n: seconds_of_batch(work, tile, n),
    )
