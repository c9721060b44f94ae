"""How to train, as an engine takes it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from nnfit.cpu import fields as at

SCHEDULES = {
    "constant": at.CONSTANT,
    "invscaling": at.INVSCALING,
    "adaptive": at.ADAPTIVE,
    "plateau": at.PLATEAU,
}


class Features(NamedTuple):
    """What a training needs beside the plainest one: each has kernels or buffers."""

    drops: bool = False  # units
    augments: bool = False  # inputs
    mixes: bool = False
    penalises: bool = False  # beyond the penalty that optimizers have
    updates_whole: bool = False
    averages: bool = False
    has_rates: bool = False  # of layers


@dataclass(frozen=True)
class EngineSettings:
    """Numbers with the names and meanings of the estimators' parameters.

    Attributes
    ----------
    hyper : tuple of float
        The solver's own parameters, in the order of its registry row.
    seed : int
        Of orders of rows and of all other random numbers of the training.
    monitor_loss : bool
        Whether the engine looks at the training loss and stops by itself.
    dropout : tuple of float
        One for each hidden layer, or none.
    learning_rate_factors : tuple of float
        One for each layer, or none.
    average : bool
        Whether an average of the weights is kept, by the last column of the plan.
    plan : callable or None
        ``plan(first_batch, count)`` gives for each batch, counted from the first one
        after these settings, the columns of `nnfit.cpu.fields.PLAN_RATE` and so on as
        a float64 array of shape (count, 5).
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
    mixup: float = 0.0
    learning_rate_factors: tuple[float, ...] = ()
    average: bool = False
    plan: Callable | None = None

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
            augments=bool(self.input_dropout or self.input_noise or self.mixup),
            mixes=self.mixup > 0.0,
            penalises=whole or self.l1 > 0.0 or not math.isinf(self.clip_value),
            updates_whole=whole,
            averages=self.average,
            has_rates=len(self.learning_rate_factors) > 0,
        )

    def fill(self, tables, solver):
        """Write the numbers into tables.

        Parameters
        ----------
        tables : nnfit.cpu.tables.Tables
        solver : nnfit.functions.optimizers.Optimizer or None
        """
        ints, floats = tables.ints, tables.floats
        ints[at.SHUFFLE], ints[at.MONITOR] = self.shuffle, self.monitor_loss
        ints[at.SEED] = np.uint64(self.seed).astype(np.int64)
        ints[at.SCHEDULE] = SCHEDULES[self.schedule]
        ints[at.N_ITER_NO_CHANGE] = self.n_iter_no_change
        floats[at.ALPHA], floats[at.L1] = self.alpha, self.l1
        floats[at.CLIP_NORM], floats[at.CLIP_VALUE] = self.clip_norm, self.clip_value
        floats[at.MAX_NORM] = self.max_norm
        floats[at.WEIGHT_DECAY] = self.weight_decay
        floats[at.LEARNING_RATE_INIT] = self.learning_rate_init
        floats[at.LEARNING_RATE] = self.learning_rate_init
        floats[at.LEARNING_RATE_DECAY] = self.learning_rate_decay
        floats[at.POWER_T], floats[at.TOL] = self.power_t, self.tol
        ints[at.HYPER] = tables.keep(np.array((*self.hyper, 0.0)))
        ints[at.MOMENTUM] = -1
        if solver is not None and solver.momentum is not None:
            ints[at.MOMENTUM] = number = solver.parameters.index(solver.momentum)
            floats[at.MOMENTUM_GIVEN] = self.hyper[number]
        if self.learning_rate_factors:
            ints[at.LAYER_RATES] = tables.keep(np.array(self.learning_rate_factors))
        self._fill_random(tables)

    def _fill_random(self, tables):
        ints, features = tables.ints, self.features(None)
        if features.drops or features.augments:
            tables.set_dropout(self.dropout, self.input_dropout)
        if features.augments:
            # The second is the weight of a batch, for the engine itself.
            ints[at.AUGMENTATION] = tables.keep(np.array([self.input_noise, 0.0]))
        if features.mixes:
            ints[at.BETA_QUANTILES] = tables.keep(beta_quantiles(self.mixup))


@lru_cache(maxsize=8)
def beta_quantiles(a):
    """Quantiles of the distribution Beta(a, a) in the middles of equal intervals."""
    levels = (np.arange(at.N_QUANTILES) + 0.5) / at.N_QUANTILES
    return betaincinv(a, a, levels)
