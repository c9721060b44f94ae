"""How to train, as the engine of any device takes it.

The training loop writes these settings, and engines read them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

#: Columns of the batch factors: factors of four numbers, and the rate of the average.
RATE_FACTOR, DECAY_FACTOR, MOMENTUM_FACTOR, DROPOUT_FACTOR, AVERAGE_FACTOR = range(5)
N_FACTORS = 5
#: What is carried from step to step for tensors with the same rates: four numbers of
#: the optimizer, and how many of the steps these tensors, frozen, have not taken.
MISSED, N_MEMORY = 4, 5
#: Of such tensors: factors of learning rate and decay, and whether they are frozen.
N_RATE_FACTORS = 3


class Features(NamedTuple):
    """What a training needs beside the plainest one: each has kernels or buffers."""

    drops: bool = False  # units
    mixes: bool = False  # losses of two rows, by mixup or cutmix
    cuts: bool = False
    swaps: bool = False
    marks_swaps: bool = False
    adds_noise: bool = False
    drops_inputs: bool = False
    penalises: bool = False  # beyond the penalty that optimizers have
    updates_whole: bool = False
    averages: bool = False
    has_rates: bool = False  # of layers

    @property
    def changes(self):
        """What changes the features of a batch, in order: names of functions."""
        wanted = {
            "mix": self.mixes and not self.cuts,
            "cut": self.cuts,
            "swap": self.swaps,
            "mark_swaps": self.marks_swaps,
            "add_noise": self.adds_noise,
            "drop_inputs": self.drops_inputs,
        }
        return tuple(name for name, has in wanted.items() if has)

    @property
    def augments(self):
        """Whether the features of a batch are changed."""
        return bool(self.changes)


@dataclass(frozen=True)
class EngineSettings:
    """Numbers with the names and meanings of the estimators' parameters.

    Limits are infinite and lists empty where there are none.

    Attributes
    ----------
    hyper : tuple of float
        The solver's own parameters, in the order of its registry row.
    seed : int
        Of orders of rows and of all other random numbers of the training.
    schedule : str
        How the learning rate changes after an epoch, a name of
        `nnfit.functions.stopping.SCHEDULES`.
    n_iter_no_change : int
        At most 2**62, for engines count with integers of 64 bits.
    monitor_loss : bool
        Whether the engine looks at the training loss and stops by itself.
    dropout : tuple of float
        One for each hidden layer, or none.
    noise_scales : tuple of float
        Factors of `input_noise`, one for each column of X, or none.
    cutmix : float
        Other than `mixup`, of which one at most is not 0.
    feature_swap : float
        Probability, in [0, 1), with which an entry of X is replaced by that of the same
        column in another row of the batch: a random training row, which is there also
        where a device holds a part of the data alone. Each entry has a row of its own.
    swap_values : tuple of float
        What stands in for swapped entries instead, one for each column, or none.
    swap_mask : int
        First of as many columns of y as X has, in which a batch has 1 for swapped
        entries and 0 for others; -1 for none, as with `mixup` and `cutmix`.
    learning_rate_factors : tuple of float
        One for each layer, or none.
    own_rows : bool
        Whether members that share weights have an order of the rows each: member m of
        k begins `m / k` of the rows further on than the first, and goes on from the
        last row with the first one.
    average : bool
        Whether an average of the weights is kept, by the factors' last column.
    drop_last : bool
        Whether an epoch leaves out the last of its rows that fill no batch.
    batch_factors : callable or None
        ``batch_factors(first_batch, count)`` returns a float64 array of shape
        (count, N_FACTORS), with the columns `RATE_FACTOR` and so on. Batches are
        counted from the first one after these settings.
    """

    batch_size: int
    shuffle: bool
    seed: int
    alpha: float
    weight_decay: float
    learning_rate_init: float
    schedule: str
    power_t: float
    hyper: tuple[float, ...]
    tol: float
    n_iter_no_change: int
    monitor_loss: bool
    learning_rate_decay: float = 0.1
    l1: float = 0.0
    clip_norm: float = math.inf
    clip_value: float = math.inf
    max_norm: float = math.inf
    dropout: tuple[float, ...] = ()
    input_dropout: float = 0.0
    input_noise: float = 0.0
    noise_scales: tuple[float, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    feature_swap: float = 0.0
    swap_values: tuple[float, ...] = ()
    swap_mask: int = -1
    learning_rate_factors: tuple[float, ...] = ()
    own_rows: bool = False
    average: bool = False
    drop_last: bool = False
    batch_factors: Callable | None = None

    def rows_of_epoch(self, n_rows):
        """How many of some rows to train on an epoch takes."""
        rest = n_rows % min(self.batch_size, n_rows)
        return n_rows - rest if self.drop_last else n_rows

    def batches_of_epoch(self, n_rows):
        """Steps of an epoch with so many rows to train on."""
        return -(-self.rows_of_epoch(n_rows) // min(self.batch_size, n_rows))

    def noise_deviations(self, n_features):
        """Standard deviations of the noise of columns, a list."""
        scales = self.noise_scales or (1.0,) * n_features
        return [self.input_noise * scale for scale in scales]

    def trained(self, network):
        """The network as batches pass it in training.

        Parameters
        ----------
        network : nnfit.network.description.Network
        """
        return network.with_own_rows if self.own_rows else network

    def features(self, solver):
        """Which `Features` a training with these settings has.

        Parameters
        ----------
        solver : nnfit.functions.optimizers.Optimizer or None
        """
        whole = solver is not None and (
            solver.matrices
            or not math.isinf(self.clip_norm)
            or not math.isinf(self.max_norm)
        )
        return Features(
            drops=any(self.dropout),
            mixes=self.mixup > 0.0 or self.cutmix > 0.0,
            cuts=self.cutmix > 0.0,
            swaps=self.feature_swap > 0.0,
            marks_swaps=self.swap_mask >= 0,
            adds_noise=self.input_noise > 0.0,
            drops_inputs=self.input_dropout > 0.0,
            penalises=whole or self.l1 > 0.0 or not math.isinf(self.clip_value),
            updates_whole=whole,
            averages=self.average,
            has_rates=len(self.learning_rate_factors) > 0,
        )
