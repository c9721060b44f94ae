"""
Self-supervision
================

Labels are dear, rows are cheap. A network can learn from rows without labels if it is
given a task that the rows answer themselves: restore what was spoilt, or find the other
copy of a row. What it learns there is a start for the real task.
"""

# %%
# A task without labels
# ---------------------
#
# ``DenoisingAutoencoder`` gets pictures of which a part of the pixels is exchanged for
# those of other pictures. It has to say what the pixels were. The loss is the squared
# error of its answer. For that it has to know which pixels go together, and nobody has
# told it what a digit is.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import (
    ContrastivePretrainer,
    DenoisingAutoencoder,
    MLPClassifier,
    TrainingCurveDisplay,
)

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
denoising = DenoisingAutoencoder((64,), max_iter=60, random_state=0)
denoising.set_params(corruption_rate=0.3, learning_rate_init=0.005)
denoising.fit(X)
TrainingCurveDisplay.from_estimator(denoising)
plt.show()

# %%
# What it has learnt
# ------------------
#
# New pictures are spoilt and restored: above as they were, in the middle what the
# network gets, below what it makes of it.

rng = np.random.default_rng(0)
spoilt = np.where(rng.random(X_test.shape) < 0.3, rng.permutation(X_test), X_test)
restored = denoising.inverse_transform(denoising.transform(spoilt))
before, after = np.mean((spoilt - X_test) ** 2), np.mean((restored - X_test) ** 2)
print(f"mean squared error: spoilt {before:.4f}, restored {after:.4f}")
assert after < before / 2

figure, grid = plt.subplots(3, 8, figsize=(7, 2.8), layout="constrained")
for lines, pictures in zip(grid, (X_test, spoilt, restored), strict=True):
    for axes, picture in zip(lines, pictures, strict=False):
        axes.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
plt.show()

# %%
# The hidden layer
# ----------------
#
# ``transform`` gives the hidden units of each row. They are the forward pass of the
# first page, and an estimator can start from them.

units = np.maximum(X_test @ denoising.coefs_[0] + denoising.intercepts_[0], 0)
assert np.allclose(units, denoising.transform(X_test), atol=1e-5)
print("rows and hidden units:", units.shape)

# %%
# Which copy belongs to which row?
# --------------------------------
#
# ``ContrastivePretrainer`` has another task. Each row of a batch gets a spoilt copy,
# and the network is to tell which copy belongs to which row. With the similarity
# :math:`s_{ij}` of row :math:`i` and copy :math:`j`, the loss of a row is the log-loss
# of choosing the right copy:
#
# .. math:: \ell_i = - \log \frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} / \tau}}.

contrast = ContrastivePretrainer((64,), max_iter=60, random_state=0)
contrast.set_params(corruption_rate=0.3, learning_rate_init=0.005).fit(X)
print(
    f"loss at the begin {contrast.loss_curve_[0]:.2f}, at the end {contrast.loss_:.2f}"
)
print(f"loss of guessing among the 200 copies of a batch: {np.log(200):.2f}")

# %%
# Few labels
# ----------
#
# Two labels of each digit, and all rows without labels: does the start help? Mean and
# standard deviation of the accuracy on test rows, over ten choices of the labels.

starts = {"new weights": None, "denoising": denoising, "contrast": contrast}
numbers = (2, 5, 20)
accuracy = np.empty((len(starts), len(numbers), 10))
for seed in range(10):
    order = np.random.default_rng(seed).permutation(len(y))
    for i, n in enumerate(numbers):
        few = np.concatenate([order[y[order] == d][:n] for d in range(10)])
        for k, start in enumerate(starts.values()):
            net = MLPClassifier((64,), max_iter=100, init_from=start, random_state=seed)
            accuracy[k, i, seed] = net.fit(X[few], y[few]).score(X_test, y_test)
print(f"{'labels of each digit':22}" + "".join(f"{n:>15}" for n in numbers))
for name, values in zip(starts, accuracy, strict=True):
    cells = [f"{v.mean():.3f} ±{v.std():.3f}" for v in values]
    print(f"{name:22}" + "".join(f"{cell:>15}" for cell in cells))

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for k, (name, values) in enumerate(zip(starts, accuracy, strict=True)):
    places = np.arange(len(numbers)) + 0.12 * (k - 1)
    axes.plot(np.repeat(places, 10), values.ravel(), ".", color=f"C{k}", alpha=0.4)
    axes.plot(places, values.mean(axis=1), "s", color=f"C{k}", label=name)
axes.set(xlabel="labels of each digit", ylabel="accuracy on test rows")
axes.set_xticks(range(len(numbers)), numbers)
axes.legend(loc="lower right")
plt.show()

# %%
# The gain is largest where labels are fewest. It is no gain everywhere:
# :doc:`/user_guide/pretraining` has three tables, of which one gains nothing. Next is
# :ref:`explanation <sphx_glr_tutorial_13_explanation.py>`.
