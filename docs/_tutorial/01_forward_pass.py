"""
The forward pass
================

A network makes a prediction from the numbers of a row. It multiplies, adds and
bends them, layer by layer. This page does so by hand for a network of three
units, and gets the prediction of nnfit.
"""

# %%
# A network to look at
# --------------------
#
# The data have two *features* for each row and a *class*, 0 or 1. The network
# has one *hidden layer* of three *units* between the features and the output.
# ``fit`` finds its *weights*, and how it does that is the subject of the next
# pages. Here the weights are given.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from nnfit import MLPClassifier, NetworkDisplay

X, y = make_moons(200, noise=0.15, random_state=0)
net = MLPClassifier(
    (3,),
    activation="tanh",
    learning_rate_init=0.1,
    max_iter=500,
    random_state=0,
)
net.fit(X, y)
W1, W2 = net.coefs_
b1, b2 = net.intercepts_
print("weights of the hidden layer:", W1.round(2), sep="\n")
print("its intercepts:", b1.round(2))
print("weights of the output:", W2.ravel().round(2))
print("its intercept:", b2.round(2))

# %%
# ``coefs_`` has a matrix for each layer: a line for each input, a column for
# each unit. ``NetworkDisplay`` draws the layers. The numbers of parameters
# count weights and intercepts.

NetworkDisplay.from_estimator(net)
plt.show()

# %%
# A unit
# ------
#
# A unit multiplies each feature by a weight and adds an intercept. The
# intercept is also called the bias. For the two features of a row this is
#
# .. math:: z = x_1 w_1 + x_2 w_2 + b.

row = X[0]
z = row[0] * W1[0, 0] + row[1] * W1[1, 0] + b1[0]
print(f"row: {row.round(2)}, first unit: z = {z:.3f}")

# %%
# The activation
# --------------
#
# The unit then bends its number by a function, the *activation*. Here it is the
# hyperbolic tangent, which is between -1 and 1:
#
# .. math:: a = \tanh(z).

a = np.tanh(z)
print(f"first unit: a = {a:.3f}")

# %%
# Without an activation a second layer would add nothing. Two matrices one after
# the other are the same as their product, which is one matrix.

assert np.allclose((X @ W1) @ W2, X @ (W1 @ W2))

# %%
# A layer
# -------
#
# All units of a layer read the same features. One product of matrices therefore
# computes all units for all rows:
#
# .. math:: A = \tanh(X W_1 + b_1).

A = np.tanh(X @ W1 + b1)
print("rows and features:", X.shape, " rows and units:", A.shape)
assert np.isclose(A[0, 0], a)

# %%
# The output
# ----------
#
# The output reads the units as the units read the features. Its number is the
# *score* :math:`s`, which may be any number. The logistic function, also called
# sigmoid, makes a probability of it:
#
# .. math:: s = A W_2 + b_2, \qquad p = \frac{1}{1 + e^{-s}}.

score = A @ W2 + b2
p = 1 / (1 + np.exp(-score[:, 0]))
print(f"first row: score {score[0, 0]:.2f}, probability of class 1: {p[0]:.4f}")

# %%
# The same numbers
# ----------------
#
# ``predict_proba`` of nnfit does the same for all rows, in compiled code.
# ``predict`` says class 1 where the probability is above one half. nnfit
# computes with seven digits (``dtype="float32"``) and numpy with sixteen, so
# that the last of the seven may differ.

assert np.allclose(p, net.predict_proba(X)[:, 1], rtol=1e-4)
assert np.array_equal(p > 0.5, net.predict(X))
print(f"accuracy: {np.mean((p > 0.5) == y):.3f}")

# %%
# What the units see
# ------------------
#
# Each unit divides the plane by a straight line: its activation is positive on
# one side, red, and negative on the other, blue. The output adds the three
# units up. The line on which it is undecided is bent. The points are the rows,
# those of class 1 are red.

x1, x2 = np.meshgrid(np.linspace(-1.7, 2.7, 120), np.linspace(-1.3, 1.7, 120))
plane = np.column_stack([x1.ravel(), x2.ravel()])
units = np.tanh(plane @ W1 + b1)
output = net.predict_proba(plane)[:, 1]
figure, grid = plt.subplots(
    2, 2, figsize=(7, 5), sharex=True, sharey=True, layout="constrained"
)
pictures = [*units.T, 2 * output - 1]
titles = ["unit 1", "unit 2", "unit 3", "the network"]
for axes, values, title in zip(grid.flat, pictures, titles, strict=True):
    values = values.reshape(x1.shape)
    levels = np.linspace(-1, 1, 21)
    axes.contourf(x1, x2, values, levels, cmap="RdBu_r", vmin=-2, vmax=2)
    axes.contour(x1, x2, values, [0], colors="black")
    axes.scatter(
        *X.T, c=y, cmap="bwr", s=10, edgecolors="white", linewidths=0.4
    )
    axes.set_title(title)
plt.show()

# %%
# Next is :ref:`the loss <sphx_glr_tutorial_02_loss.py>`: how wrong are these
# probabilities? The user guide has the other activations:
# :doc:`/user_guide/losses_activations`.
