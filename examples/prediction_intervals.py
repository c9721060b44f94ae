"""
Prediction intervals
====================

Three quantiles from one network. The noise grows from left to right; the interval has
to follow it.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPRegressor

rng = np.random.default_rng(0)
X = rng.uniform(0, 10, (4000, 1))
y = np.sin(X[:, 0]) + rng.normal(0, 0.05 + 0.05 * X[:, 0])
X_train, X_test, y_train, y_test = X[:3000], X[3000:], y[:3000], y[3000:]

model = make_pipeline(
    StandardScaler(),
    MLPRegressor(
        loss="quantile",
        quantile=[0.05, 0.5, 0.95],
        hidden_layer_sizes=(64, 64),
        activation="silu",
        max_iter=300,
        random_state=0,
    ),
)
model.fit(X_train, y_train)

# %%
# Nine targets of ten should lie between the lowest quantile and the highest, and no
# quantile above a higher one.

low, median, high = model.predict(X_test).T
inside = np.mean((low <= y_test) & (y_test <= high))
print(f"share of pinball loss explained: {model.score(X_test, y_test):.3f}")
print(f"inside the interval, wanted 0.90: {inside:.2f}")
print(f"crossing quantiles: {np.sum((low > median) | (median > high))}")

# %%
grid = np.linspace(0, 10, 400)[:, None]
low, median, high = model.predict(grid).T
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.scatter(X_test, y_test, s=4, alpha=0.4, color="grey", label="test data")
axes.plot(grid, median, label="median")
axes.fill_between(grid[:, 0], low, high, alpha=0.3, label="90 % interval")
axes.legend()
plt.show()
