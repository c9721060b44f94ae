"""How to train, written into the tables that the compiled engine reads."""

import numpy as np

from nnfit.cpu import fields as at
from nnfit.functions.mixup import beta_quantiles
from nnfit.functions.stopping import SCHEDULES
from nnfit.network.rates import rate_factors


def fill(tables, settings, solver):
    """Write the settings' numbers into tables.

    Parameters
    ----------
    tables : nnfit.cpu.tables.Tables
    settings : nnfit.engine_settings.EngineSettings
    solver : nnfit.functions.optimizers.Optimizer or None
    """
    ints, floats = tables.ints, tables.floats
    ints[at.SHUFFLE], ints[at.MONITOR] = settings.shuffle, settings.monitor_loss
    ints[at.SEED] = np.uint64(settings.seed).astype(np.int64)
    ints[at.SCHEDULE] = SCHEDULES[settings.schedule]
    ints[at.N_ITER_NO_CHANGE] = settings.n_iter_no_change
    floats[at.ALPHA], floats[at.L1] = settings.alpha, settings.l1
    floats[at.CLIP_NORM] = settings.clip_norm
    floats[at.CLIP_VALUE] = settings.clip_value
    floats[at.MAX_NORM] = settings.max_norm
    floats[at.WEIGHT_DECAY] = settings.weight_decay
    floats[at.LEARNING_RATE_INIT] = settings.learning_rate_init
    floats[at.LEARNING_RATE] = settings.learning_rate_init
    floats[at.LEARNING_RATE_DECAY] = settings.learning_rate_decay
    floats[at.POWER_T], floats[at.TOL] = settings.power_t, settings.tol
    ints[at.HYPER] = tables.keep(np.array((*settings.hyper, 0.0)), np.float64)
    ints[at.MOMENTUM] = -1
    if solver is not None and solver.momentum is not None:
        ints[at.MOMENTUM] = number = solver.parameters.index(solver.momentum)
        floats[at.MOMENTUM_GIVEN] = settings.hyper[number]
    factors = rate_factors(tables.network, settings.learning_rate_factors)
    ints[at.RATE_FACTORS] = tables.keep(np.array(factors), np.float64)
    _fill_random(tables, settings)


def _fill_random(tables, settings):
    ints, features = tables.ints, settings.features(None)
    if features.drops or features.augments:
        tables.set_dropout(settings.dropout, settings.input_dropout)
    if features.adds_noise:
        noise = np.array(settings.noise_deviations(tables.network.n_features))
        ints[at.NOISE] = tables.keep(noise, np.float64)
    tables.floats[at.FEATURE_SWAP] = settings.feature_swap
    ints[at.SWAP_MASK] = settings.swap_mask
    if settings.swap_values:
        dtype = tables.network.dtype
        values = np.array(settings.swap_values, dtype)
        ints[at.SWAP_VALUES] = tables.keep(values, dtype)
    if features.mixes:
        ints[at.CUTS] = features.cuts
        quantiles = beta_quantiles(settings.cutmix or settings.mixup)
        ints[at.BETA_QUANTILES] = tables.keep(quantiles, np.float64)
