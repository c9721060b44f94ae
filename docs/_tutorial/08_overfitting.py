"""
Overfitting and its cures
=========================

A large network can learn its rows by heart, with all their errors. New rows are
then predicted worse than by a simpler network. This is *overfitting*. Only rows
that were not trained on can show it.
"""

# %%
# Few rows and a large network
# ----------------------------
#
# There are eighty training rows with a lot of noise. The network has more than
# ten thousand weights. Two thousand other rows say how good it is.

# sphinx_gallery_thumbnail_number = 3
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
    net = MLPClassifier((100, 100), max_iter=400, batch_size=40, alpha=0)
    net.set_params(
        learning_rate_init=0.005, n_iter_no_change=400, random_state=0
    )
    return net.set_params(**parameters).fit(X, y, X_val=X_test, y_val=y_test)


plain = train()
print(f"weights: {sum(W.size for W in plain.coefs_)}")
print(f"accuracy on the training rows: {plain.score(X_train, y_train):.3f}")
print(f"accuracy on the test rows:     {plain.score(X_test, y_test):.3f}")

# %%
# Two curves
# ----------
#
# The training loss goes on falling. The loss on test rows falls at first, and
# then grows: from there on the network learns noise.

display = TrainingCurveDisplay.from_estimator(plain)
plt.show()
test_loss = np.array(plain.history_["val_loss"])
best = test_loss.argmin()
print(f"lowest test loss {test_loss[best]:.3f} after {best + 1} epochs")
print(f"last test loss   {test_loss[-1]:.3f} after {len(test_loss)} epochs")
assert test_loss[-1] > 2 * test_loss.min()

# %%
# Too sure
# --------
#
# A network that knows its rows by heart is sure of everything. On test rows it
# should be right as often as it says; the points should be on the diagonal.

ConfidenceDisplay.from_estimator(plain, X_test, y_test)
plt.show()

# %%
# A penalty on weights
# --------------------
#
# Bent borders need large weights. The *L2 penalty* adds their squares to the
# loss, times ``alpha``:
#
# .. math:: L = \frac{1}{n} \sum_i \ell_i + \frac{\alpha}{2 n} \sum_k w_k^2.
#
# The loss of a first step with all rows shows the penalty.

first = {}
for alpha in (0, 1.0):
    net = MLPClassifier((100, 100), alpha=alpha, batch_size=80, max_iter=1)
    net.set_params(random_state=0, init_from=(plain.coefs_, plain.intercepts_))
    first[alpha] = net.fit(X_train, y_train).loss_curve_[0]
penalty = sum(np.sum(W.astype(float) ** 2) for W in plain.coefs_) / (2 * 80)
print(f"penalty by hand {penalty:.4f}, of nnfit {first[1.0] - first[0]:.4f}")
assert np.isclose(first[1.0] - first[0], penalty, rtol=1e-4)

# %%
# A training with the penalty keeps the weights small.

cures = {"nothing": plain, "alpha=0.3": train(alpha=0.3)}


def report(name):
    """Print loss and accuracy on the test rows; returns the loss."""
    chance = cures[name].predict_proba(X_test)
    loss, accuracy = log_loss(y_test, chance), cures[name].score(X_test, y_test)
    print(f"{name:15} test loss {loss:.3f}, test accuracy {accuracy:.3f}")
    return loss


without = report("nothing")
assert report("alpha=0.3") < without / 2

# %%
# Dropout
# -------
#
# *Dropout* leaves out a random part of the units in each step. What the network
# knows must then be spread over many units, and no unit can rely on another
# one. Predictions use all units.

cures["dropout=0.7"] = train(dropout=0.7)
assert report("dropout=0.7") < without

# %%
# Early stopping
# --------------
#
# *Early stopping* sets some training rows aside, looks at them after each
# epoch, and keeps the weights that were best for them. Here that is a fifth of
# the rows.

stopped = MLPClassifier((100, 100), early_stopping=True, random_state=0)
stopped.set_params(learning_rate_init=0.005, batch_size=40, max_iter=400)
stopped.set_params(scoring="loss", validation_fraction=0.2)
cures["early stopping"] = stopped.fit(X_train, y_train)
print(f"stopped after {stopped.n_iter_} epochs")
assert report("early stopping") < without / 2

# %%
# More rows
# ---------
#
# The best cure is data. Here are sixteen times as many rows, and a sixteenth of
# the epochs, so that the number of steps is the same.

X_many, y_many = make_moons(1280, noise=0.35, random_state=2)
cures["1280 rows"] = train(X_many, y_many, max_iter=25)
assert report("1280 rows") < without / 2

# %%
# What they have learnt
# ---------------------
#
# The points are the training rows. Without a cure the border winds around
# single rows, and nearly everywhere the network is sure: few places are
# pale.

x1, x2 = np.meshgrid(np.linspace(-2, 3, 100), np.linspace(-1.7, 2.2, 100))
plane = np.column_stack([x1.ravel(), x2.ravel()])
figure, grid = plt.subplots(
    2, 3, figsize=(8.5, 5), sharex=True, sharey=True, layout="constrained"
)
for axes, (name, net) in zip(grid.flat, cures.items(), strict=False):
    chance = net.predict_proba(plane)[:, 1].reshape(x1.shape)
    levels = np.linspace(0, 1, 21)
    axes.contourf(x1, x2, chance, levels, cmap="RdBu_r", vmin=-0.5, vmax=1.5)
    axes.contour(x1, x2, chance, [0.5], colors="black")
    axes.scatter(*X_train.T, c=y_train, cmap="bwr", s=12, edgecolors="white")
    axes.set_title(name)
grid.flat[-1].axis("off")
plt.show()

# %%
# How much of a cure is right depends on the data; a search with
# cross-validation finds it. :doc:`/user_guide/regularization` has all cures,
# and :doc:`/user_guide/validation` early stopping. Next are :ref:`vanishing
# gradients <sphx_glr_tutorial_09_vanishing_gradients.py>`.
