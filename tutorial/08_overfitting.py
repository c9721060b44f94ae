"""
Overfitting and its cures
=========================

A large network can learn its rows by heart, with all their errors. New rows are then
predicted worse than by a simpler network. This is *overfitting*. Only rows that were
not trained on can show it.
"""

# %%
# Few rows and a large network
# ----------------------------
#
# Eighty training rows with a lot of noise, and a network of more than ten thousand
# weights. Two thousand other rows say how good it is.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from nnfit import ConfidenceDisplay, MLPClassifier, TrainingCurveDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
X_train, y_train = make_moons(80, noise=0.35, random_state=0)
X_test, y_test = make_moons(2000, noise=0.35, random_state=1)


def train(X=X_train, y=y_train, **parameters):
    """Fit the network, with the loss on the test rows after each epoch."""
    net = MLPClassifier((100, 100), learning_rate_init=0.005, max_iter=400, alpha=0)
    net.set_params(batch_size=40, tol=0, n_iter_no_change=400, random_state=0)
    return net.set_params(**parameters).fit(X, y, X_val=X_test, y_val=y_test)


plain = train()
print(f"weights: {sum(W.size for W in plain.coefs_)}")
print(f"accuracy on the training rows: {plain.score(X_train, y_train):.3f}")
print(f"accuracy on the test rows:     {plain.score(X_test, y_test):.3f}")

# %%
# Two curves
# ----------
#
# The training loss goes on falling. The loss on test rows falls at first, and then
# grows: from there on the network learns noise.

display = TrainingCurveDisplay.from_estimator(plain)
plt.show()
test_loss = np.array(plain.history_["val_loss"])
print(f"lowest test loss {test_loss.min():.3f} after {1 + test_loss.argmin()} epochs")
print(f"last test loss   {test_loss[-1]:.3f} after {len(test_loss)} epochs")
assert test_loss[-1] > 2 * test_loss.min()

# %%
# Too sure
# --------
#
# A network that knows its rows by heart is sure of everything. On test rows it should
# be right as often as it says; the points should be on the diagonal.

ConfidenceDisplay.from_estimator(plain, X_test, y_test)
plt.show()

# %%
# A penalty on weights
# --------------------
#
# Bent borders need large weights. The *L2 penalty* adds their squares to the loss,
# times ``alpha``:
#
# .. math:: L = \frac{1}{n} \sum_i \ell_i + \frac{\alpha}{2 n} \sum_k w_k^2.
#
# The loss of the first step shows the penalty, since all rows are in one batch.

first = {}
for alpha in (0, 1.0):
    net = MLPClassifier((100, 100), alpha=alpha, batch_size=80, max_iter=1)
    net.set_params(random_state=0, init_from=(plain.coefs_, plain.intercepts_))
    first[alpha] = net.fit(X_train, y_train).loss_curve_[0]
penalty = sum(np.sum(W.astype(float) ** 2) for W in plain.coefs_) / (2 * 80)
print(f"penalty by hand {penalty:.4f}, of nnfit {first[1.0] - first[0]:.4f}")
assert np.isclose(first[1.0] - first[0], penalty, rtol=1e-4)

# %%
# Dropout
# -------
#
# *Dropout* leaves out a random part of the units in each step. What the network knows
# must then be spread over many units, and no unit can rely on another one. Predictions
# use all units.
#
# Early stopping
# --------------
#
# *Early stopping* sets some training rows aside, looks at them after each epoch, and
# keeps the weights that were best for them. Here that is a fifth of the rows.
#
# More rows
# ---------
#
# The best cure is data. Sixteen times as many rows cannot be learnt by heart as easily.
#
# All of them beside each other
# -----------------------------

X_many, y_many = make_moons(1280, noise=0.35, random_state=2)
cures = {
    "nothing": plain,
    "alpha=5": train(alpha=5.0),
    "dropout=0.7": train(dropout=0.7),
    "early stopping": MLPClassifier(
        (100, 100),
        learning_rate_init=0.005,
        max_iter=400,
        batch_size=40,
        early_stopping=True,
        scoring="loss",
        validation_fraction=0.2,
        random_state=0,
    ).fit(X_train, y_train),
    "1280 rows": train(X_many, y_many, max_iter=40),
}
x1, x2 = np.meshgrid(np.linspace(-2, 3, 100), np.linspace(-1.7, 2.2, 100))
plane = np.column_stack([x1.ravel(), x2.ravel()])
figure, grid = plt.subplots(
    2, 3, figsize=(8.5, 5), sharex=True, sharey=True, layout="constrained"
)
losses = {}
for axes, (name, net) in zip(grid.flat, cures.items(), strict=False):
    losses[name] = log_loss(y_test, net.predict_proba(X_test))
    accuracy = net.score(X_test, y_test)
    print(f"{name:15} test loss {losses[name]:.3f}, test accuracy {accuracy:.3f}")
    chance = net.predict_proba(plane)[:, 1].reshape(x1.shape)
    axes.contourf(x1, x2, chance, np.linspace(0, 1, 21), cmap="RdBu_r")
    axes.contour(x1, x2, chance, [0.5], colors="black")
    axes.scatter(*X_train.T, c=y_train, cmap="RdBu_r", s=10, edgecolors="black")
    axes.set_title(name)
grid.flat[-1].axis("off")
plt.show()
assert all(losses[name] < losses["nothing"] for name in cures if name != "nothing")

# %%
# How much of a cure is right depends on the data; a search with cross-validation finds
# it. :doc:`/user_guide/regularization` has all cures, and :doc:`/user_guide/validation`
# early stopping. Next are
# :ref:`vanishing gradients <sphx_glr_tutorial_09_vanishing_gradients.py>`.
