"""What frozen layers save, on one thread.

``python -m benchmarks.bench_freezing`` prints, for networks of four layers whose first
two are frozen, the processor time of an epoch beside that of the whole network, and the
same ratio of the multiplications.
"""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier

from .brief import few, values

N_ROWS, N_FEATURES, N_CLASSES, N_LAYERS, N_FROZEN = 4000, 64, 10, 4, 2
EPOCHS, ROUNDS = 4, few(7)


def seconds(width, freeze):
    """Processor time of a fit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    y = rng.integers(0, N_CLASSES, N_ROWS)
    model = MLPClassifier(
        (width,) * N_LAYERS, max_iter=EPOCHS, freeze=freeze, n_jobs=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        begin = time.process_time()
        model.fit(X, y)
    return time.process_time() - begin


def ratio(width, rounds=ROUNDS):
    """Time with frozen layers to that without, the median of alternate fits."""
    seconds(width, N_FROZEN)
    pairs = [(seconds(width, N_FROZEN), seconds(width, None)) for _ in range(rounds)]
    return float(np.median([frozen / whole for frozen, whole in pairs]))


def arithmetic(width):
    """The same ratio of multiplications: forward, by the weights, by the inputs."""
    sizes = [N_FEATURES, *(width,) * N_LAYERS, N_CLASSES]
    layers = np.multiply(sizes[:-1], sizes[1:])
    whole = 3 * layers.sum() - layers[0]
    saved = 2 * layers[:N_FROZEN].sum() - layers[0] + layers[N_FROZEN]
    return 1.0 - saved / whole


class Freezing:
    """Time of an epoch with the first half of the layers frozen, to that without."""

    params = values([256, 100])
    param_names = ("width",)

    def track_ratio(self, width):
        """Ratio of processor times."""
        return ratio(width)


if __name__ == "__main__":
    for width in (100, 256, 512):
        found = f"time {ratio(width):.3f}, arithmetic {arithmetic(width):.3f}"
        print(f"{width} units: {found}")
