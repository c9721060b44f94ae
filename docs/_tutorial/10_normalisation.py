"""
Normalisation
=============

A network learns well from numbers near zero with a spread near one. Features
are brought there before training. *Batch normalisation* and *layer
normalisation* do the same inside the network, for the units of each hidden
layer.
"""

# %%
# Features of different sizes
# ---------------------------
#
# The features of the breast cancer data are measures of cell nuclei. Their
# spreads differ by more than a factor of 100,000, and the gradients of their
# weights with them. No learning rate suits all of them.

# sphinx_gallery_thumbnail_number = 2
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, random_state=0
)
mean, spread = X_train.mean(axis=0), X_train.std(axis=0)
print(f"spreads of the features: {spread.min():.5f} to {spread.max():.1f}")
assert spread.max() / spread.min() > 100_000

# %%
# *Standardising* subtracts the mean of each feature and divides by its standard
# deviation, both of the training rows:
#
# .. math:: x' = \frac{x - \mu}{\sigma}.
#
# scikit-learn's ``StandardScaler`` does it, and so does ``scaling="standard"``
# inside of nnfit's networks.

fixed = {"max_iter": 100, "n_iter_no_change": 100, "random_state": 0}
of_raw = MLPClassifier((32,), **fixed).fit(X_train, y_train)
by_hand = MLPClassifier((32,), **fixed).fit((X_train - mean) / spread, y_train)
inside = MLPClassifier((32,), scaling="standard", **fixed).fit(X_train, y_train)
scores = {
    "raw": of_raw.score(X_test, y_test),
    "standardised by hand": by_hand.score((X_test - mean) / spread, y_test),
    'scaling="standard"': inside.score(X_test, y_test),
}
for name, score in scores.items():
    print(f"{name:21} accuracy on test rows: {score:.3f}")
assert scores['scaling="standard"'] > scores["raw"] + 0.02

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
axes.semilogy(range(1, 101), of_raw.loss_curve_, label="raw")
axes.semilogy(range(1, 101), inside.loss_curve_, label='scaling="standard"')
axes.set(xlabel="epoch", ylabel="training loss")
axes.legend()
plt.show()

# %%
# Inside the network
# ------------------
#
# A hidden layer is the features of the next one. Its spread changes as the
# layers before it learn, and no scaler can be fitted beforehand. *Batch
# normalisation* takes mean and variance of each unit over the rows of the
# batch, in every step:
#
# .. math::
#
#    \hat z = \gamma \, \frac{z - \mu}{\sqrt{\sigma^2 + 10^{-5}}} + b.
#
# The scale :math:`\gamma` and the intercept :math:`b` are learnt, so that the
# network can choose another spread where it needs one. For predictions there is
# no batch: then running means of :math:`\mu` and :math:`\sigma^2` from training
# are used.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=800, stratify=y, random_state=0
)
net = MLPClassifier((32,), normalization="batch", max_iter=30, random_state=0)
net.fit(X_train, y_train)
scale, mu, variance = net.norms_[0]
print("arrays of the hidden layer:", net.norms_[0].shape)

# %%
# The same numbers
# ----------------
#
# With the three arrays of ``norms_`` the predictions are a few lines.

z = X_test @ net.coefs_[0]
z = scale * (z - mu) / np.sqrt(variance + 1e-5) + net.intercepts_[0]
score = np.maximum(z, 0) @ net.coefs_[1] + net.intercepts_[1]
p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
assert np.allclose(p, net.predict_proba(X_test), atol=1e-5)
print(f"accuracy by hand: {np.mean(p.argmax(axis=1) == y_test):.3f}")
print(f"accuracy, nnfit:  {net.score(X_test, y_test):.3f}")

# %%
# What the units look like
# ------------------------
#
# Here are the numbers of the units before their activation, in a network of
# four hidden layers whose first weights are five times too large. Layer by
# layer they grow. With *layer normalisation*, which takes mean and variance
# over the units of one row, they stay where they are.

rng = np.random.default_rng(0)
sizes = {"plain": [], "layer normalisation": []}
plain, normalised = X_train, X_train
for n_inputs in (64, 64, 64, 64):
    W = 5 * rng.normal(scale=np.sqrt(2 / n_inputs), size=(n_inputs, 64))
    z = plain @ W
    sizes["plain"].append(z.std())
    plain = np.maximum(z, 0)
    z = normalised @ W
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)
    sizes["layer normalisation"].append(z.std())
    normalised = np.maximum(z, 0)
for name, values in sizes.items():
    print(f"{name:20}", np.round(values, 1))
assert sizes["plain"][-1] > 100 and np.allclose(sizes["layer normalisation"], 1)

# %%
# What it is good for
# -------------------
#
# Ten hidden layers learn digits in fifteen epochs, at four learning rates and
# from three sets of first weights each. Without normalisation the network needs
# the right rate. With batch normalisation the larger rates are the best ones.
# Layer normalisation is ahead at the smallest rate and fails at the largest.

rates, ways = (0.001, 0.003, 0.01, 0.02), (None, "batch", "layer")
accuracy = np.empty((len(ways), len(rates), 3))
for k, i, seed in np.ndindex(accuracy.shape):
    net = MLPClassifier((32,) * 10, normalization=ways[k], batch_size=50)
    net.set_params(learning_rate_init=rates[i], max_iter=15, random_state=seed)
    accuracy[k, i, seed] = net.fit(X_train, y_train).score(X_test, y_test)
mean = accuracy.mean(axis=2)
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
print(f"{'rate':22}" + "".join(f"{rate:8}" for rate in rates))
for way, values in zip(ways, mean, strict=True):
    name = f"normalization={way!r}"
    print(f"{name:22}" + "".join(f"{value:8.3f}" for value in values))
    axes.semilogx(rates, values, "o-", label=name)
axes.set(xlabel="learning rate", ylabel="accuracy on test rows", ylim=(0, 1))
axes.set_xticks(rates, [str(rate) for rate in rates])
axes.minorticks_off()
axes.legend()
plt.show()
assert (mean[1, 1:] > mean[0, 1:]).all()
assert mean[2, 0] == mean[:, 0].max() and mean[2, -1] < 0.5

# %%
# Batch normalisation wants batches of 32 rows or more; layer normalisation does
# not care. :doc:`/user_guide/deep_networks` has both. Next is :ref:`transfer
# <sphx_glr_tutorial_11_transfer.py>`.
