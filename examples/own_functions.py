"""
Functions of your own
=====================

An activation and a loss in plain Python. Each returns its value and its derivative.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPRegressor


def bent_identity(z):
    """Value and slope at z."""
    root = math.sqrt(z * z + 1.0)
    return 0.5 * (root - 1.0) + z, 0.5 * z / root + 1.0


def log_cosh(raw_prediction, y):
    """Value, and derivative with respect to the raw prediction."""
    r = raw_prediction - y
    value = abs(r) + math.log1p(math.exp(-2.0 * abs(r))) - math.log(2.0)
    return value, math.tanh(r)


z = np.linspace(-4, 4, 201)
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
left.plot(z, [bent_identity(each) for each in z], label=["value", "slope"])
left.set(title="bent_identity", xlabel="z")
right.plot(z, [log_cosh(each, 0.0) for each in z], label=["value", "derivative"])
right.set(title="log_cosh", xlabel="raw prediction - y")
left.legend()
right.legend()
plt.show()

# %%
# They take the place of a name.

X, y = load_diabetes(return_X_y=True)
for activation, loss in (("relu", "squared_error"), (bent_identity, log_cosh)):
    net = MLPRegressor(
        loss, (16,), activation, alpha=1.0, max_iter=1000, random_state=0
    )
    model = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), net), transformer=StandardScaler()
    )
    scores = cross_val_score(model, X, y)
    names = ", ".join(getattr(f, "__name__", f) for f in (activation, loss))
    print(f"{names:30} R2 {scores.mean():.3f}")

# %%
# A slope that is not the derivative of the value is found before training.

try:
    MLPRegressor(activation=lambda z: (z * z, z)).fit(X, y)
except ValueError as error:
    print(f"refused: {error}")
