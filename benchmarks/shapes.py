"""The networks that every fit, memory and comparison benchmark uses."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits

N_CLASSES = 10
#: Batches between the short and the long fit on a GPU, which does them much faster
#: than a CPU, and the operations that are enough.
CUDA_BATCHES, CUDA_OPERATIONS = 4000, 1e13


@dataclass(frozen=True)
class Shape:
    """A data set and a network that classifies it into ten classes, or predicts one
    number from it.

    ``short`` and ``long`` are numbers of epochs: the time of an epoch is the
    difference of two fits, so that validation, initial weights and compiling drop
    out of it. ``scored`` is the number of epochs before loss and score are taken.
    """

    n_samples: int
    n_features: int
    hidden_layer_sizes: tuple
    batch_size: int
    short: int
    long: int
    scored: int
    task: str = "classification"
    learning_rate: float = 0.001
    devices: tuple = ("cpu",)

    def on(self, device):
        """The same with as many epochs as it takes to time one there."""
        if device == "cpu":
            return self
        per_epoch = -(-self.n_samples // self.batch_size)
        enough = CUDA_OPERATIONS * per_epoch / self.flops_per_epoch
        apart = math.ceil(min(CUDA_BATCHES, enough) / per_epoch)
        # Several epochs at once, where a peer can do that.
        apart = -(-apart // self.short) * self.short
        return replace(self, long=max(self.long, self.short + apart))

    @property
    def estimator(self):
        """Name of the class that fits it, in nnfit and in scikit-learn."""
        return (
            "MLP"
            + {"classification": "Classifier", "regression": "Regressor"}[self.task]
        )

    @property
    def n_outputs(self):
        return N_CLASSES if self.task == "classification" else 1

    @property
    def sizes(self):
        """Units of every layer, the input's first."""
        return (self.n_features, *self.hidden_layer_sizes, self.n_outputs)

    @property
    def flops_per_epoch(self):
        """Operations in the products of one epoch: three products for a layer,
        two for the first, whose input needs no gradient."""
        products = [2 * a * b for a, b in pairwise(self.sizes)]
        return self.n_samples * (3 * sum(products) - products[0])


BOTH = {"devices": ("cpu", "cuda")}
SHAPES = {
    "tiny": Shape(500, 10, (32,), 32, short=10, long=410, scored=100, **BOTH),
    "digits": Shape(1797, 64, (100,), 200, short=5, long=205, scored=50, **BOTH),
    "small": Shape(5000, 20, (64, 64), 64, short=2, long=32, scored=20, **BOTH),
    "cover": Shape(50000, 54, (256, 256), 256, short=1, long=4, scored=4, **BOTH),
    "wide": Shape(20000, 784, (512, 512), 256, short=1, long=3, scored=3, **BOTH),
    "deep": Shape(10000, 32, (64,) * 8, 128, short=2, long=12, scored=10),
    "batch": Shape(50000, 64, (256, 256), 4096, short=1, long=4, scored=6),
    "regression": Shape(
        20000, 30, (128, 128), 128, short=2, long=12, scored=6, task="regression"
    ),
    # With the usual rate the loss of so wide a net differs twofold by its shuffle.
    "big": Shape(
        4000, 256, (2048, 2048), 256, short=1, long=3, scored=2, learning_rate=1e-4
    ),
    "large": Shape(
        65536, 256, (1024, 1024), 4096, short=1, long=3, scored=5, devices=("cuda",)
    ),
}


def shapes_for(device, task=None):
    """Names of the shapes that are measured on a device, all or those of a task."""
    return [
        name
        for name, shape in SHAPES.items()
        if device in shape.devices and task in (None, shape.task)
    ]


def make_data(name, n_test=1000):
    """Training and test data of one shape.

    "digits" is scikit-learn's, trained on whole and scored on the same rows. The
    others are normal features labelled by a random network with one hidden layer of
    32 tanh units, so that there is something to learn that is not linear; a number
    to predict is the first of that network's outputs, with a standard deviation of
    about 4, plus normal noise.

    Returns
    -------
    X, y, X_test, y_test : ndarrays
        y of int64 for classification, of float32 for regression.
    """
    shape = SHAPES[name]
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(np.float32)
        return X, y, X, y
    rng = np.random.default_rng(0)
    n = shape.n_samples + n_test
    X = rng.standard_normal((n, shape.n_features), dtype=np.float32)
    inner = rng.standard_normal((shape.n_features, 32), dtype=np.float32)
    inner /= np.sqrt(np.float32(shape.n_features))
    outer = rng.standard_normal((32, N_CLASSES), dtype=np.float32)
    raw = np.tanh(2 * X @ inner) @ outer
    if shape.task == "classification":
        y = np.argmax(raw, axis=1)
    else:
        y = raw[:, 0] + rng.standard_normal(n, dtype=np.float32)
    train, test = slice(0, shape.n_samples), slice(shape.n_samples, n)
    return X[train], y[train], X[test], y[test]


def parameters(name, max_iter):
    """Constructor arguments that scikit-learn's and our estimators both take: Adam,
    ReLU, and no stopping before ``max_iter`` epochs."""
    shape = SHAPES[name]
    return {
        "hidden_layer_sizes": shape.hidden_layer_sizes,
        "batch_size": shape.batch_size,
        "max_iter": max_iter,
        "learning_rate_init": shape.learning_rate,
        "tol": 0.0,
        "n_iter_no_change": np.inf,
        "random_state": 0,
    }
