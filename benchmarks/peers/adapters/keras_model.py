"""Keras with the fastest backend that is installed: JAX before PyTorch."""

import importlib.util
import os

os.environ["KERAS_BACKEND"] = "jax" if importlib.util.find_spec("jax") else "torch"

import keras
import numpy as np

from ..problem import BETA_1, BETA_2, EPSILON

#: Batches of one compiled call: tiny takes 4.3 ms an epoch with one, 2.8 with 8 and
#: 2.6 with 32, small 22, 15 and 13 (JAX, one thread of a Zen 4 processor).
STEPS = 32


def half_squared_error(y, raw):
    return 0.5 * keras.ops.mean((raw - y) ** 2)


class Keras:
    def __init__(self, n_threads):
        if keras.backend.backend() == "torch":
            import torch

            torch.set_num_threads(n_threads)

    def load(self, problem):
        keras.backend.clear_session()
        self.problem, shape = problem, problem.shape
        layers = [keras.layers.Dense(n, "relu") for n in shape.hidden_layer_sizes]
        layers.append(keras.layers.Dense(shape.n_outputs))
        self.model = keras.Sequential([keras.Input((shape.n_features,)), *layers])
        self.y = problem.y
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if shape.task == "regression":
            loss, self.y = half_squared_error, problem.y[:, None]
        adam = keras.optimizers.Adam(
            shape.learning_rate, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON
        )
        self.model.compile(optimizer=adam, loss=loss, steps_per_execution=STEPS)
        adam.build(self.model.trainable_variables)
        self.first_state = [np.array(v) for v in adam.variables]

    def fit(self, epochs):
        model, problem = self.model, self.problem
        # A new model would be compiled again.
        weights = [array for layer in problem.initial_weights() for array in layer]
        model.set_weights(weights)
        for variable, value in zip(
            model.optimizer.variables, self.first_state, strict=True
        ):
            variable.assign(value)
        model.fit(
            problem.X,
            self.y,
            batch_size=problem.shape.batch_size,
            epochs=epochs,
            shuffle=True,
            verbose=0,
        )
        weights = model.get_weights()
        return list(zip(weights[::2], weights[1::2], strict=True))
