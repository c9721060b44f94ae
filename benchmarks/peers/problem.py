"""What all peers train: data, initial weights, and the judgement of fitted weights."""

from itertools import pairwise

import numpy as np
from scipy.special import log_softmax

from ..shapes import SHAPES, make_data

#: Adam's parameters beside the learning rate, scikit-learn's defaults.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Problem:
    """A shape with its data.

    Attributes
    ----------
    name : str
    shape : benchmarks.shapes.Shape
    X, y, X_test, y_test : ndarray
    n_threads : int
    device : {"cpu", "cuda"}
    """

    def __init__(self, name, n_threads, device="cpu"):
        self.name, self.shape = name, SHAPES[name].on(device)
        self.n_threads, self.device = n_threads, device
        self.X, self.y, self.X_test, self.y_test = make_data(name)

    def initial_weights(self):
        """Glorot's uniform weights and intercepts, drawn as scikit-learn draws them.

        Returns
        -------
        weights : list of (ndarray of shape (n_in, n_out), ndarray of shape (n_out,))
            float32.
        """
        random = np.random.RandomState(0)
        weights = []
        for n_in, n_out in pairwise(self.shape.sizes):
            bound = np.sqrt(6 / (n_in + n_out))
            coef = random.uniform(-bound, bound, (n_in, n_out))
            intercept = random.uniform(-bound, bound, n_out)
            weights.append((coef.astype(np.float32), intercept.astype(np.float32)))
        return weights

    def batches(self):
        """Number of whole batches in an epoch, and of rows that remain."""
        return divmod(self.shape.n_samples, self.shape.batch_size)

    def judge(self, weights):
        """Loss of fitted weights on the training data and score on the test data.

        Returns
        -------
        loss : float
            Mean cross-entropy, or half of the mean squared error.
        score : float
            Accuracy, or R².
        """
        raw, raw_test = forward(weights, self.X), forward(weights, self.X_test)
        if self.shape.task == "classification":
            log_proba = log_softmax(raw.astype(np.float64), axis=1)
            loss = -log_proba[np.arange(len(self.y)), self.y].mean()
            score = np.mean(raw_test.argmax(axis=1) == self.y_test)
        else:
            loss = 0.5 * np.mean((raw[:, 0] - self.y) ** 2, dtype=np.float64)
            errors = np.mean((raw_test[:, 0] - self.y_test) ** 2, dtype=np.float64)
            score = 1 - errors / np.var(self.y_test, dtype=np.float64)
        return float(loss), float(score)


def forward(weights, X):
    """Raw predictions of a network with ReLU."""
    hidden = X
    for coef, intercept in weights[:-1]:
        hidden = np.maximum(hidden @ coef + intercept, 0)
    coef, intercept = weights[-1]
    return hidden @ coef + intercept
