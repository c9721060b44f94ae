"""JAX: an epoch, or several, in one compiled call that scans over the batches.

Tried, on one thread of a Zen 4 processor with AVX2: parameters in one flat vector, so
that Adam is one loop (tiny 0.26 to 0.21 ms); several epochs in one call (tiny 0.21 to
0.17); one-hot targets instead of indices (cover 360 to 325). Nothing came from rows
gathered for the epoch instead of the batch, transposed weights, an unrolled scan, and
XLA's flags for fast maths and oneDNN; shuffling by ``jax.random`` costs 25 ms on
cover.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..problem import BETA_1, BETA_2, EPSILON


class Jax:
    def __init__(self, n_threads, device="cpu"):
        """XLA has read threads and platform from the environment.

        On a GPU its products would have the 10 bits of TF32, those of the others 23.
        """
        jax.config.update("jax_default_matmul_precision", "highest")

    def load(self, problem):
        shape = problem.shape
        self.n_rows = shape.n_samples
        # Every number of epochs that is asked for is a multiple of this.
        self.epochs_per_call = math.gcd(shape.short, shape.scored)
        y = jnp.asarray(problem.y)
        if shape.task == "classification":
            y = jax.nn.one_hot(y, shape.n_outputs)
        self.X, self.y = jnp.asarray(problem.X), y
        self.start, self.unravel = ravel_pytree(problem.initial_weights())
        loss = make_loss(self.unravel, shape.task)
        epoch = make_epoch(loss, shape.learning_rate, *problem.batches())

        def epochs(state, X, y, orders):
            one = lambda state, order: (epoch(state, X, y, order), None)  # noqa: E731
            return jax.lax.scan(one, state, orders)[0]

        self.epochs = jax.jit(epochs, donate_argnums=0)

    def fit(self, epochs):
        random = np.random.default_rng(0)
        zeros = jnp.zeros_like(self.start)
        state = (jnp.copy(self.start), zeros, jnp.copy(zeros), jnp.float32(0))
        for _ in range(epochs // self.epochs_per_call):
            orders = [
                random.permutation(self.n_rows) for _ in range(self.epochs_per_call)
            ]
            state = self.epochs(state, self.X, self.y, np.array(orders, np.int32))
        return jax.tree.map(np.asarray, self.unravel(state[0]))


def make_loss(unravel, task):
    def loss(flat, X, y):
        *hidden, last = unravel(flat)
        for coef, intercept in hidden:
            X = jax.nn.relu(X @ coef + intercept)
        raw = X @ last[0] + last[1]
        if task == "classification":
            return -jnp.mean(jnp.sum(jax.nn.log_softmax(raw) * y, axis=1))
        return 0.5 * jnp.mean((raw[:, 0] - y) ** 2)

    return loss


def make_epoch(loss, learning_rate, n_batches, n_left):
    """Function ``epoch(state, X, y, order)``; ``state`` is the flat parameters, both
    moments and the number of steps."""

    def step(state, X, y):
        flat, first, second, t = state
        gradient = jax.grad(loss)(flat, X, y)
        t = t + 1
        rate = learning_rate * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        first = BETA_1 * first + (1 - BETA_1) * gradient
        second = BETA_2 * second + (1 - BETA_2) * gradient**2
        flat = flat - rate * first / (jnp.sqrt(second) + EPSILON)
        return flat, first, second, t

    def epoch(state, X, y, order):
        whole = len(order) - n_left
        batches = order[:whole].reshape(n_batches, -1)
        state, _ = jax.lax.scan(
            lambda state, rows: (step(state, X[rows], y[rows]), None), state, batches
        )
        if n_left:
            rows = order[whole:]
            state = step(state, X[rows], y[rows])
        return state

    return epoch
