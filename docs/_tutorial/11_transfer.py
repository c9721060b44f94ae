"""
Transfer
========

A network that has learnt one task has learnt something about its data. Another
network can start from there and needs fewer rows, if the tasks have enough in
common.
"""

# %%
# A network with many rows
# ------------------------
#
# A network learns digits from 900 pictures. ``WeightsDisplay`` draws what the
# units of its first layer look for: red pixels speak for a unit, blue ones
# against it. A new task with such pictures can use
# what they look for.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, WeightsDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
X, y = load_digits(return_X_y=True)
X = X / 16
old = MLPClassifier((64, 64), alpha=0.1, max_iter=60, random_state=0)
old.fit(X[:900], y[:900])
print(f"accuracy on the other pictures: {old.score(X[900:], y[900:]):.3f}")
WeightsDisplay.from_estimator(old)
plt.show()

# %%
# Another scanner
# ---------------
#
# The new pictures are smeared: each pixel is the mean of itself and two
# neighbours. The old network is not made for them.

images = X[900:].reshape(-1, 8, 8)
smeared = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)) / 3
Z, labels = smeared.reshape(-1, 64), y[900:]
figure, grid = plt.subplots(2, 8, figsize=(7, 2), layout="constrained")
for column, (above, below) in enumerate(grid.T):
    above.imshow(images[column], cmap="gray_r")
    below.imshow(smeared[column], cmap="gray_r")
    for axes in (above, below):
        axes.set(xticks=[], yticks=[])
plt.show()
print(f"accuracy of the old network: {old.score(Z, labels):.3f}")

# %%
# Start from the old weights
# --------------------------
#
# There are five labels of each digit. One network starts from new weights and
# one from those of the old network, with ``init_from``. What it has taken is in
# ``init_report_``.

few = np.concatenate([np.flatnonzero(labels == d)[:5] for d in range(10)])
rest = np.setdiff1d(np.arange(len(labels)), few)
new = MLPClassifier((64, 64), max_iter=100, random_state=0)
new.fit(Z[few], labels[few])
warm = MLPClassifier((64, 64), max_iter=100, init_from=old, random_state=0)
warm.fit(Z[few], labels[few])
print("layers:", warm.init_report_["layers"])
print(f"new weights: {new.score(Z[rest], labels[rest]):.3f}")
print(f"old weights: {warm.score(Z[rest], labels[rest]):.3f}")

# %%
# Frozen layers
# -------------
#
# ``freeze="body"`` keeps the hidden layers as they are and trains the last
# layer alone. The network is then the old one's hidden units and a linear model
# on them.

frozen = MLPClassifier(
    (64, 64), max_iter=100, init_from=old, freeze="body", random_state=0
)
frozen.fit(Z[few], labels[few])
assert np.array_equal(frozen.coefs_[0], old.coefs_[0])
assert np.array_equal(frozen.coefs_[1], old.coefs_[1])
assert not np.array_equal(frozen.coefs_[2], old.coefs_[2])
print(f"frozen body: {frozen.score(Z[rest], labels[rest]):.3f}")

# %%
# How much it helps
# -----------------
#
# One choice of labels says little. The next picture has the mean over five
# choices of rows and first weights, for one to twenty labels of each digit.

numbers = (1, 5, 20)
ways = {
    "new weights": {},
    "old weights": {"init_from": old},
    "frozen body": {"init_from": old, "freeze": "body"},
}
accuracy = np.empty((len(ways), len(numbers), 5))
for seed in range(5):
    order = np.random.default_rng(seed).permutation(len(labels))
    for i, n in enumerate(numbers):
        few = np.concatenate([order[labels[order] == d][:n] for d in range(10)])
        rest = np.setdiff1d(order, few)
        for k, parameters in enumerate(ways.values()):
            net = MLPClassifier((64, 64), max_iter=60, random_state=seed)
            net.set_params(**parameters).fit(Z[few], labels[few])
            accuracy[k, i, seed] = net.score(Z[rest], labels[rest])
mean = accuracy.mean(axis=2)
print(f"{'labels of each digit':22}" + "".join(f"{n:>8}" for n in numbers))
for name, values in zip(ways, mean, strict=True):
    print(f"{name:22}" + "".join(f"{value:8.3f}" for value in values))
assert (mean[1] > mean[0]).all()

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, values in zip(ways, accuracy, strict=True):
    axes.errorbar(
        numbers,
        values.mean(axis=1),
        values.std(axis=1),
        label=name,
        marker="o",
        capsize=3,
    )
axes.set(xlabel="labels of each digit", ylabel="accuracy", xscale="log")
axes.set_xticks(numbers, numbers)
axes.minorticks_off()
axes.legend(loc="lower right")
plt.show()

# %%
# Transfer can hurt, too: a network that knows 0 to 4 is a bad start for 5 to 9,
# see :doc:`/examples/transfer`. :doc:`/user_guide/reusing` has all of it. Next
# is :ref:`self-supervision <sphx_glr_tutorial_12_self_supervision.py>`: the old
# network needs no labels either.
