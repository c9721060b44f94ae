"""
Pictures of a network
=====================

What a network looks like, how it was trained, what its first layer sees, and whether
its probabilities can be believed: one line a picture.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer, load_digits, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import PartialDependenceDisplay
from sklearn.model_selection import train_test_split

from nnfit import (
    ConfidenceDisplay,
    MLPClassifier,
    MLPRegressor,
    NetworkDisplay,
    TabMClassifier,
    TrainingCurveDisplay,
    WeightsDisplay,
)

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
net = MLPClassifier(
    (64, 32),
    early_stopping=True,
    learning_rate="cosine",
    learning_rate_init=0.005,
    max_iter=60,
    n_iter_no_change=60,
    alpha=0.1,
    random_state=0,
)
net.fit(X_train, y_train)

# %%
# In a notebook
# -------------
#
# A fitted estimator shows its layers, curves and time below scikit-learn's diagram.

# sphinx_gallery_capture_repr_block = ('_repr_html_',)
net

# %%
# The training
# ------------
#
# Losses above, the score that early stopping watches and the learning rate below.

TrainingCurveDisplay.from_estimator(net)
plt.show()

# %%
# The architecture
# ----------------
#
# A chain of layers, and TabM: eight members that share the weights of one network,
# behind an embedding of each number.

NetworkDisplay.from_estimator(net)
plt.show()

# %%
cells = load_breast_cancer()
X_cells, y_cells = cells.data, cells.target
tabm = TabMClassifier(max_iter=10, random_state=0).fit(X_cells, y_cells)
NetworkDisplay.from_estimator(tabm)
plt.show()

# %%
# The first layer
# ---------------
#
# Each unit is a picture of what it looks for: red pixels speak for it, blue ones
# against it. A table has names in the place of pixels.

WeightsDisplay.from_estimator(net)
plt.show()

# %%
scaled = (X_cells - X_cells.mean(axis=0)) / X_cells.std(axis=0)
table = MLPClassifier((16,), alpha=1.0, max_iter=100, random_state=0)
table.fit(scaled, y_cells)
WeightsDisplay.from_estimator(table, feature_names=cells.feature_names)
plt.show()

# %%
# Confidence
# ----------
#
# Of the digits that a network calls 90 % certain, nine in ten should be right. On the
# diagonal they are; below it the network is too sure of itself.

ConfidenceDisplay.from_estimator(net, X_test, y_test)
plt.show()

# %%
# Of a regressor that predicts quantiles, a picture shows the share of the targets below
# each of them.

X_number, y_number = make_friedman1(2000, noise=1.0, random_state=0)
quantiles = MLPRegressor(
    loss="quantile",
    quantile=[0.05, 0.25, 0.5, 0.75, 0.95],
    early_stopping=True,
    random_state=0,
)
quantiles.fit(X_number[:1000], y_number[:1000])
ConfidenceDisplay.from_estimator(quantiles, X_number[1000:], y_number[1000:])
plt.show()

# %%
# Partial dependence
# ------------------
#
# scikit-learn's displays take networks like any other estimator. Of the function
# ``10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4`` the network has found the
# parabola and the line.

numbers = MLPRegressor(
    hidden_layer_sizes=(64, 32), learning_rate_init=0.01, max_iter=100, random_state=0
)
numbers.fit(X_number, y_number)
figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
PartialDependenceDisplay.from_estimator(
    numbers, X_number, [2, 3, (0, 1)], ax=axes, grid_resolution=20, subsample=200
)
plt.show()
