"""
The loss
========

Learning needs a number that says how wrong the predictions are. This number is
the *loss*. Learning is then a search for weights with a small loss.
"""

# %%
# A network that knows nothing
# ----------------------------
#
# The network is that of the page before: two features, three units, one
# probability. Its weights are drawn at random, since nothing has been learnt
# yet.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, MLPRegressor

X, y = make_moons(200, noise=0.15, random_state=0)
rng = np.random.default_rng(0)
coefs = [rng.normal(size=(2, 3)), rng.normal(size=(3, 1))]
intercepts = [np.zeros(3), np.zeros(1)]


def forward(coefs, intercepts):
    """Probability of class 1 for each row."""
    A = np.tanh(X @ coefs[0] + intercepts[0])
    score = A @ coefs[1] + intercepts[1]
    return 1 / (1 + np.exp(-score[:, 0]))


p = forward(coefs, intercepts)
print("classes:      ", y[:5])
print("probabilities:", p[:5].round(2))
print(f"accuracy: {np.mean((p > 0.5) == y):.3f}")

# %%
# The loss of a row
# -----------------
#
# Accuracy is no good guide for learning. It counts rows, so that a small change
# of a weight mostly leaves it as it is. The *log-loss* changes with every
# probability. With the class :math:`y` and the probability :math:`p` of class
# 1, the loss of a row is
#
# .. math:: \ell = - y \log p - (1 - y) \log (1 - p),
#
# which is minus the logarithm of the probability that the true class was given.

losses = -y * np.log(p) - (1 - y) * np.log(1 - p)
print("losses:       ", losses[:5].round(2))

# %%
# A prediction that is sure and right costs nearly nothing. A prediction that is
# sure and wrong costs a lot, without any upper limit. One half costs
# :math:`\log 2`, about 0.69, either way.

chance = np.linspace(0.005, 0.995, 200)
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.plot(chance, -np.log(chance), label="the class is 1")
axes.plot(chance, -np.log(1 - chance), label="the class is 0")
axes.plot(0.5, np.log(2), "ko")
axes.set(
    xlabel="probability of class 1", ylabel="loss of the row", ylim=(0, 5.5)
)
axes.legend()
plt.show()

# %%
# The loss of all rows
# --------------------
#
# The loss of a network is the mean over the rows:
#
# .. math:: L = \frac{1}{n} \sum_{i=1}^{n} \ell_i.

loss = losses.mean()
print(f"loss: {loss:.4f}, loss of saying one half each time: {np.log(2):.4f}")

# %%
# The same number
# ---------------
#
# ``loss_curve_`` of nnfit has a loss for each *epoch*, a pass over all rows.
# With ``init_from`` the network starts from our weights. With all rows in one
# batch, the first number is the loss of these weights. ``alpha`` adds a penalty
# to the loss, see :ref:`overfitting <sphx_glr_tutorial_08_overfitting.py>`, and
# is 0 here.

warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is wanted
one_epoch = {"batch_size": 200, "max_iter": 1, "alpha": 0}
net = MLPClassifier(
    (3,), activation="tanh", init_from=(coefs, intercepts), **one_epoch
).fit(X, y)
print(f"nnfit: {net.loss_curve_[0]:.4f}")
assert np.isclose(net.loss_curve_[0], loss, rtol=1e-5)

# %%
# Numbers in the place of classes
# -------------------------------
#
# In regression the target :math:`t` is a number, and the output is not made a
# probability. The usual loss is half the squared error,
#
# .. math:: \ell = \frac{1}{2} (s - t)^2.
#
# Here the target is the sum of the two features.

target = X.sum(axis=1)
A = np.tanh(X @ coefs[0] + intercepts[0])
output = A @ coefs[1] + intercepts[1]
squared = 0.5 * np.mean((output[:, 0] - target) ** 2)
regressor = MLPRegressor(
    hidden_layer_sizes=(3,),
    activation="tanh",
    init_from=(coefs, intercepts),
    **one_epoch,
).fit(X, target)
print(f"by hand: {squared:.4f}, nnfit: {regressor.loss_curve_[0]:.4f}")
assert np.isclose(regressor.loss_curve_[0], squared, rtol=1e-5)

# %%
# A landscape
# -----------
#
# The loss depends on all weights. Change one weight, keep the others, and the
# loss draws a curve; change two, and it draws a landscape. Learning is the way
# down.

change = np.linspace(-4, 4, 81)
landscape = np.empty((81, 81))
for i, first in enumerate(change):
    for j, second in enumerate(change):
        W1 = coefs[0] + [[0, 0, 0], [0, 0, second]]
        W2 = coefs[1] + [[0], [0], [first]]
        chance = forward([W1, W2], intercepts)
        landscape[i, j] = -np.mean(np.log(np.where(y == 1, chance, 1 - chance)))
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
shown = axes.contourf(change, change, landscape, 30, cmap="viridis")
axes.plot(0, 0, "w*", markersize=12)
axes.annotate("the network", (0, 0), (0.3, 0.3), color="white")
axes.set(
    xlabel="change of a weight of the third unit",
    ylabel="change of the weight of its output",
)
figure.colorbar(shown, label="loss")
plt.show()
assert np.isclose(landscape[40, 40], loss)
print(f"lowest loss in the picture: {landscape.min():.4f}")

# %%
# Next is :ref:`backpropagation <sphx_glr_tutorial_03_backpropagation.py>`:
# which way is down? The user guide has the other losses, for outliers, counts,
# quantiles and wrong labels: :doc:`/user_guide/losses_activations`.
