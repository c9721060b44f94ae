"""
Backpropagation
===============

The derivative of the loss by a weight says what a small change of this weight
does to the loss. Backpropagation finds the derivatives by all weights in one
pass from the loss back to the features.
"""

# %%
# The network and its loss
# ------------------------
#
# Data, network and first weights are those of the page before. The forward pass
# keeps what the way back will need: the activations of the units and the
# probabilities.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier

X, y = make_moons(200, noise=0.15, random_state=0)
n = len(X)
rng = np.random.default_rng(0)
W1, W2 = rng.normal(size=(2, 3)), rng.normal(size=(3, 1))
b1, b2 = np.zeros(3), np.zeros(1)


def forward(W1, b1, W2, b2):
    """Activations of the units and probabilities of class 1."""
    A = np.tanh(X @ W1 + b1)
    return A, 1 / (1 + np.exp(-(A @ W2 + b2)))


def loss(W1, b1, W2, b2):
    """Mean log-loss."""
    p = forward(W1, b1, W2, b2)[1][:, 0]
    return -np.mean(np.log(np.where(y == 1, p, 1 - p)))


A, p = forward(W1, b1, W2, b2)
print(f"loss: {loss(W1, b1, W2, b2):.4f}")

# %%
# A derivative by trying
# ----------------------
#
# Change one weight a little and look at the loss: the difference of the losses,
# divided by the change, is nearly the derivative.
#
# .. math::
#
#    \frac{\partial L}{\partial w} \approx \frac{L(w + h) - L(w - h)}{2 h}
#
# This takes two forward passes for each weight, which is too much for a network
# of thousands. It is good for checking.


def by_trying(k, h=1e-5):
    """Derivatives by the numbers of one of the four arrays."""
    arrays = [W1, b1, W2, b2]
    found = np.empty_like(arrays[k])
    for place in np.ndindex(found.shape):
        change = np.zeros_like(found)
        change[place] = h
        up, down = list(arrays), list(arrays)
        up[k], down[k] = arrays[k] + change, arrays[k] - change
        found[place] = (loss(*up) - loss(*down)) / (2 * h)
    return found


print(f"by the first weight: {by_trying(0)[0, 0]:.5f}")

# %%
# From the loss to the score
# --------------------------
#
# The way back begins at the loss. The loss depends on the probability, and the
# probability on the score :math:`s`. By the chain rule the two derivatives are
# multiplied. For the log-loss and the logistic function nearly all cancels:
#
# .. math:: \frac{\partial \ell}{\partial s} = p - y.
#
# It is positive where the probability is too large, and zero where it is right.
# The loss is a mean, so every row counts one part in :math:`n`.

d_score = (p - y[:, None]) / n

# %%
# From the score to the last weights
# ----------------------------------
#
# The score is :math:`s = A W_2 + b_2`. A weight of the output is multiplied by
# the activation of its unit, so this activation is its derivative. The rows are
# summed up, which a product of matrices does:
#
# .. math::
#
#    \frac{\partial L}{\partial W_2} = A^T \frac{\partial L}{\partial s}, \qquad
#    \frac{\partial L}{\partial b_2} = \sum_i \frac{\partial L}{\partial s_i}.

d_W2 = A.T @ d_score
d_b2 = d_score.sum(axis=0)
assert np.allclose(d_W2, by_trying(2), atol=1e-8)
assert np.allclose(d_b2, by_trying(3), atol=1e-8)

# %%
# From the score to the units
# ---------------------------
#
# The same product has another factor: the activation of a unit is multiplied by
# the weight of the output. So the derivative by the activation is that by the
# score, times this weight. Behind the activation is :math:`\tanh`, whose
# derivative is :math:`1 - \tanh^2`. With :math:`\odot` for a product number by
# number, this gives
#
# .. math::
#
#    \frac{\partial L}{\partial Z} =
#    \left( \frac{\partial L}{\partial s} W_2^T \right) \odot (1 - A \odot A).

d_Z = (d_score @ W2.T) * (1 - A**2)

# %%
# From the units to the first weights
# -----------------------------------
#
# The units are :math:`Z = X W_1 + b_1`. This is the form that the score had, so
# the step is the same. In a deeper network it would be repeated layer by layer.
#
# .. math::
#
#    \frac{\partial L}{\partial W_1} = X^T \frac{\partial L}{\partial Z}, \qquad
#    \frac{\partial L}{\partial b_1} = \sum_i \frac{\partial L}{\partial Z_i}

d_W1 = X.T @ d_Z
d_b1 = d_Z.sum(axis=0)
assert np.allclose(d_W1, by_trying(0), atol=1e-8)
assert np.allclose(d_b1, by_trying(1), atol=1e-8)
print(f"by the first weight: {d_W1[0, 0]:.5f}")

# %%
# All thirteen derivatives together are the *gradient*. Backpropagation found
# them in one pass, with about twice the products of a forward pass. Trying took
# 26 forward passes.

print("gradient by W1:", d_W1.round(3), sep="\n")
print("gradient by W2:", d_W2.ravel().round(3))

# %%
# The same numbers
# ----------------
#
# nnfit computes the same gradient in compiled code. One step of plain gradient
# descent subtracts it from the weights, so the difference of the weights before
# and after such a step is the gradient.

warnings.simplefilter("ignore", ConvergenceWarning)  # one step is wanted
net = MLPClassifier(
    (3,),
    activation="tanh",
    init_from=([W1, W2], [b1, b2]),
    solver="sgd",
    momentum=0,
    learning_rate_init=1.0,
    batch_size=n,
    max_iter=1,
    alpha=0,
)
net.fit(X, y)
assert np.allclose(W1 - net.coefs_[0], d_W1, atol=1e-6)
assert np.allclose(W2 - net.coefs_[1], d_W2, atol=1e-6)
assert np.allclose(b1 - net.intercepts_[0], d_b1, atol=1e-6)
assert np.allclose(b2 - net.intercepts_[1], d_b2, atol=1e-6)
print("nnfit, by W1:", (W1 - net.coefs_[0]).round(3), sep="\n")

# %%
# Where the gradient is
# ---------------------
#
# The picture has the derivatives at the connections of the network. A thick red
# line: a larger weight makes the loss larger. A thick blue line: a larger
# weight makes the loss smaller.

figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
heights = [np.array([1.0, -1.0]), np.array([1.5, 0.0, -1.5]), np.array([0.0])]
for layer, gradient in enumerate([d_W1, d_W2]):
    for (i, j), value in np.ndenumerate(gradient):
        start, end = heights[layer][i], heights[layer + 1][j]
        line = {"color": "firebrick" if value > 0 else "royalblue"}
        line["linewidth"] = 0.5 + 30 * abs(value)
        axes.plot([layer, layer + 1], [start, end], alpha=0.7, **line)
        place = 0.3 if layer == 0 else 0.45
        axes.text(
            layer + place,
            start + place * (end - start),
            f"{value:+.3f}",
            ha="center",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
names = [["x1", "x2"], ["unit 1", "unit 2", "unit 3"], ["score"]]
for layer, (texts, places) in enumerate(zip(names, heights, strict=True)):
    for text, place in zip(texts, places, strict=True):
        box = {"boxstyle": "round", "facecolor": "white"}
        axes.text(layer, place, text, ha="center", va="center", bbox=box)
axes.set(xlim=(-0.2, 2.2), ylim=(-2, 2))
axes.axis("off")
plt.show()

# %%
# Next is :ref:`gradient descent <sphx_glr_tutorial_04_gradient_descent.py>`:
# many such steps.
