"""Configurations of engines that cover every feature of training.

Tests of trajectories, threads and calls go through `FEATURES`: a feature that is added
here is compared with the naive engine, on sparse data and with weights, and its
weights are shown not to depend on the number of threads or the length of calls.
"""

import numpy as np

from nnfit.functions.optimizers import OPTIMIZERS
from tests.engines import make_network, tolerance_of

#: One of the residual blocks is an identity, the other a projection.
SIZES = (9, 14, 14, 6, 3)
#: Arguments of `make_network`; all others are options of `make_engine`.
STRUCTURE = ("sizes", "activation", "loss", "normalization", "residual")


def batch_factors(first_batch, count):
    """Factors that change from batch to batch, and reach 0."""
    batch = np.arange(first_batch, first_batch + count)
    return np.column_stack(
        [
            batch % 7 / 6,
            1 + batch % 3,
            1 - batch % 4 / 10,
            batch % 5 / 4,
            1 / (1 + batch % 6),
        ]
    )


DROPOUT = dict(dropout=(0.3, 0.0, 0.6))
AUGMENTATION = dict(input_dropout=0.2, input_noise=0.3, mixup=0.4)
BATCH, LAYER = dict(normalization="batch"), dict(normalization="layer")
CLIPPED = dict(clip_norm=0.05, clip_value=0.01, max_norm=0.7, l1=0.01)
FACTORS = (0.1, 2.0, 0.0, 1.0)
SCHEDULED = dict(batch_factors=batch_factors)
AVERAGED = dict(SCHEDULED, average=True)

#: One at a time.
SINGLE = {
    "layer normalisation": LAYER,
    "batch normalisation": BATCH,
    "residual": dict(residual=True),
    "dropout": DROPOUT,
    "dropout of the input": dict(input_dropout=0.4),
    "noise": dict(input_noise=0.5),
    "mixup": dict(mixup=0.3),
    "swaps": dict(feature_swap=0.4),
    "l1": dict(l1=0.02),
    "clip_norm": dict(clip_norm=0.1),
    "clip_value": dict(clip_value=0.01),
    "max_norm": dict(max_norm=0.8),
    "learning_rate_factors": dict(learning_rate_factors=FACTORS),
    "schedules": SCHEDULED,
    "average": AVERAGED,
    **{name: dict(solver=name) for name in OPTIMIZERS if name not in ("sgd", "adam")},
}
#: Several at a time, in particular those that share a kernel.
COMBINED = {
    "residual, layer normalisation": dict(LAYER, residual=True),
    "residual, batch normalisation": dict(BATCH, residual=True),
    "residual, dropout": dict(DROPOUT, residual=True),
    "dropout of everything": dict(DROPOUT, input_dropout=0.4, solver="sgd"),
    "augmentation": dict(AUGMENTATION, solver="sgd"),
    "cutmix, swaps, noise": dict(cutmix=1.0, feature_swap=0.2, input_noise=0.2),
    "penalty and clipping": CLIPPED,
    "batch normalisation, dropout, average": dict(BATCH, **DROPOUT, **AVERAGED),
    "batch normalisation, augmentation": dict(BATCH, **AUGMENTATION),
    "batch normalisation, schedule-free": dict(BATCH, solver="schedule_free"),
    "residual, muon": dict(LAYER, residual=True, solver="muon", **SCHEDULED),
    "clipping, muon": dict(CLIPPED, solver="muon", learning_rate_factors=FACTORS),
    "clipping, schedule-free": dict(CLIPPED, solver="schedule_free", **SCHEDULED),
    "factors, schedules, decay": dict(
        **SCHEDULED, solver="adamw", learning_rate_factors=FACTORS
    ),
    "everything, layer normalisation": dict(
        LAYER, residual=True, solver="lion", **DROPOUT, **AUGMENTATION, **CLIPPED,
        **AVERAGED,
    ),
    "everything, batch normalisation": dict(
        BATCH, residual=True, solver="nadam", **DROPOUT, **AUGMENTATION, **CLIPPED,
        **AVERAGED, learning_rate_factors=FACTORS,
    ),
}  # fmt: skip
FEATURES = {**SINGLE, **COMBINED}
#: For tests that take long: configurations that between them call every kernel of a
#: step.
BY_KERNEL = (
    "everything, layer normalisation",
    "everything, batch normalisation",
    "residual, muon",
    "clipping, schedule-free",
    "dropout of everything",
)


def structured(name, dtype="float64", sizes=SIZES, **structure):
    """Network and engine options of a configuration."""
    options = dict(FEATURES[name])
    for key in STRUCTURE:
        if key in options:
            structure[key] = options.pop(key)
    defaults = dict(activation="tanh", loss="softmax")
    network = make_network(sizes, dtype=dtype, **{**defaults, **structure})
    return network, options


def rounding(name, dtype="float64"):
    """What may lie between two engines: the compiled one's noise has nine digits."""
    if "input_noise" in FEATURES[name] and dtype == "float64":
        return dict(rtol=1e-6, atol=1e-8)
    return tolerance_of(dtype)
