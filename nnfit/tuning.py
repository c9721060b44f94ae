"""``python -m nnfit tune``: the tile of matrix products that this processor is best at.

Which of three heights is fastest depends on how many instructions a processor takes at
once, and on what a multiply-add waits for, which no feature tells. Products of layers
are measured with each, in turns, and the choice is kept with the compiled kernels.
"""

import ctypes
import itertools
import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from nnfit.cache.folder import cache_folder
from nnfit.cpu import compiling, machine_code, tile_choice
from nnfit.cpu import target as targets
from nnfit.cpu.layout import aligned_zeros

BUILDER = "nnfit.cpu.kernels.products:build"
DTYPES = ("float32", "float64")
#: How much faster a tile must be than the one without a choice. A tile beside itself
#: was 1.3 % slower to 2.4 % faster while eight other processes shared two processors.
WORTHWHILE = 1.03
#: Measurements of each tile, seconds of one, and which share of them is slower than
#: what counts: others' work on the machine makes some slow and none fast.
TURNS, SECONDS, QUANTILE = 100, 0.002, 0.9
#: Processor time, without waits for a processor; of Windows it has steps of 16 ms.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time


@dataclass(frozen=True)
class Product:
    """A product as layers have it.

    Attributes
    ----------
    name : str
    rows, k, columns : int
        Of the result, of the sums, and of the result.
    of_copies : bool
        Whether the first operand lies as copied for the gradient of weights: by tiles,
        of which one step of the sum is a line. Else as a layer's input.
    """

    name: str
    rows: int
    k: int
    columns: int
    of_copies: bool = False

    @property
    def operations(self):
        """Multiplications and additions."""
        return 2 * self.rows * self.k * self.columns


#: 64 rows count what a tile computes for nothing: 12 rows make 6 of 72.
PRODUCTS = (
    Product("small layer", 64, 64, 64),
    Product("large layer", 96, 256, 256),
    Product("gradient", 256, 256, 256, of_copies=True),
)


def tune():
    """Measure the candidates, print a table, and keep the choice.

    Raises
    ------
    OSError
        If a choice cannot be kept; nothing is measured.
    ValueError
        If the environment variable ``NNFIT_CPU`` names no processor of this machine.
    """
    target = targets.untuned(targets.chosen_name())
    tile_choice.check_writable()
    start = time.perf_counter()
    rates = measure(target)
    rows, gain = best(rates)
    tile_choice.store(target, rows)
    print(_table(target, rates))
    print(f"Chosen: {rows} rows{_reason(rates, gain)}")
    seconds = time.perf_counter() - start
    print(f"Kept in {cache_folder()}; {seconds:.1f} s. New processes use it.")


def best(rates):
    """The rows of the fastest tile, or of the first where that hardly gains.

    Parameters
    ----------
    rates : dict
        By rows, GFLOP/s of each product. The first tile is the one without a choice.

    Returns
    -------
    rows : int
    gain : float
        Its speed beside the first one's, the geometric mean over products.
    """
    first, *_ = rates
    gains = {
        rows: float(np.prod(np.divide(own, rates[first]))) ** (1 / len(own))
        for rows, own in rates.items()
    }
    fastest = max(gains, key=gains.get)
    rows = fastest if gains[fastest] >= WORTHWHILE else first
    return rows, gains[rows]


def measure(target):
    """GFLOP/s of the products in `DTYPES`, by the rows of candidates.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
        As it is untuned.

    Returns
    -------
    rates : dict
        Of lists, in the order of `DTYPES` and, within a dtype, of `PRODUCTS`.
    """
    candidates = tile_choice.CANDIDATES[target.tile_rows]
    rates = {rows: [] for rows in candidates}
    for dtype in DTYPES:
        kernels = {rows: _kernel(target, dtype, rows) for rows in candidates}
        for product in PRODUCTS:
            runs = {
                rows: _run(kernel, target, dtype, rows, product)
                for rows, kernel in kernels.items()
            }
            for rows, rate in fastest_rates(runs, product.operations).items():
                rates[rows].append(rate)
    return rates


def fastest_rates(runs, operations, clock=CLOCK):
    """GFLOP/s of several ways to do the same, in turns.

    Parameters
    ----------
    runs : dict
        ``run(repeats)`` by name.
    operations : int
        Of one repeat.
    clock : callable, default=CLOCK

    Returns
    -------
    rates : dict
    """

    def seconds(run, repeats):
        start = clock()
        run(repeats)
        return clock() - start

    repeats = 1
    while seconds(next(iter(runs.values())), repeats) < SECONDS:
        repeats *= 2
    times = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, run in runs.items():
            times[name].append(seconds(run, repeats))
    return {
        name: repeats * operations / np.quantile(own, 1 - QUANTILE) / 1e9
        for name, own in times.items()
    }


def _kernel(target, dtype, rows):
    """Compiled products by a tile of so many rows. Not kept: measured once."""
    target = replace(target, tile_rows=rows)
    code = compiling.compile_object(BUILDER, (dtype,), target)
    return machine_code.Kernel(code, target)


def _run(kernel, target, dtype, height, product):
    """``run(repeats)`` of a product, with operands of its own."""
    integers, pointers = [ctypes.c_int64] * 5, [ctypes.c_void_p] + [ctypes.c_int64] * 3
    multiply = kernel.function(
        "multiply", None, *integers, *pointers, *pointers[:2], *pointers[:3]
    )
    target = replace(target, tile_rows=height)
    panel, slot = target.panel(dtype), target.tile_slot(dtype)
    rows, k, columns = product.rows, product.k, product.columns
    tiles = -(-rows // height)
    if product.of_copies:  # each tile by itself; a strip follows the one before
        together = height
        a_size, a_strides = tiles * k * slot, (k * slot, 1, slot)
        c_size, c_strides = rows * panel, (0, panel)
    else:
        together = rows
        a_size, a_strides = rows * k, (0, k, 1)
        c_size, c_strides = rows * columns, (panel, columns)
    random = np.random.default_rng(0)
    a, b, c = (aligned_zeros(size, dtype) for size in (a_size, k * columns, c_size))
    a[:], b[:] = random.standard_normal(a.size), random.standard_normal(b.size)

    def run(repeats):
        multiply(
            repeats, rows, columns, k, together,
            a.ctypes.data, *a_strides, b.ctypes.data, panel, c.ctypes.data, *c_strides,
        )  # fmt: skip

    return run


def _table(target, rates):
    """A line for each product, 76 columns wide."""
    heads = "".join(f"{f'{rows} rows':>10}" for rows in rates)
    lines = [f"{f'GFLOP/s on {target.cpu}':46}{heads}"]
    measured = zip(*rates.values(), strict=True)
    for (dtype, product), own in zip(
        itertools.product(DTYPES, PRODUCTS), measured, strict=True
    ):
        size = f"{product.rows} x {product.k} x {product.columns}"
        numbers = "".join(f"{rate:10.1f}" for rate in own)
        lines.append(f"{dtype:10}{product.name:16}{size:20}{numbers}")
    return "\n".join(lines)


def _reason(rates, gain):
    first, *_ = rates
    if gain == 1.0:
        return f", as without a choice: none is {100 * (WORTHWHILE - 1):.0f} % faster."
    return f", {100 * (gain - 1):.0f} % faster than the {first} without a choice."
