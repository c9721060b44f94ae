"""
Self-supervision
================

Labels are dear, rows are cheap. A network can learn from rows without labels if
it is given a task that the rows answer themselves: restore what was spoilt, or
find the spoilt copy of a row. What it learns there is a start for the real
task.
"""

# %%
# A task without labels
# ---------------------
#
# ``DenoisingAutoencoder`` gets pictures with noise and has to say what they
# were without it. The loss is the squared error of its answer, in units of each
# pixel's spread. For that it has
# to know which pixels go together. Nobody tells it what a digit is.

# sphinx_gallery_thumbnail_number = 2
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
fixed = {"scaling": "standard", "max_iter": 50, "random_state": 0}
denoising = DenoisingAutoencoder((128, 128), corruption="noise", **fixed)
denoising.set_params(noise_scale=1.0).fit(X)
TrainingCurveDisplay.from_estimator(denoising)
plt.show()

# %%
# What it has learnt
# ------------------
#
# New pictures are spoilt and restored: above as they were, in the middle what
# the network gets, below what it makes of it.

rng = np.random.default_rng(0)
spoilt = X_test + rng.normal(size=X_test.shape) * X.std(axis=0)
restored = denoising.inverse_transform(denoising.transform(spoilt))
before = np.mean((spoilt - X_test) ** 2)
after = np.mean((restored - X_test) ** 2)
print(f"mean squared error: spoilt {before:.4f}, restored {after:.4f}")
assert after < 0.4 * before

figure, grid = plt.subplots(3, 8, figsize=(7, 2.8), layout="constrained")
for lines, pictures in zip(grid, (X_test, spoilt, restored), strict=True):
    for axes, picture in zip(lines, pictures, strict=False):
        axes.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
plt.show()

# %%
# The hidden layers
# -----------------
#
# ``transform`` gives the hidden units of each row. They are the forward pass of
# the first page, and an estimator can start from them.

spread = X.std(axis=0)
units = (X_test - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
for W, b in zip(denoising.coefs_[:2], denoising.intercepts_[:2], strict=True):
    units = np.maximum(units @ W + b, 0)
assert np.allclose(units, denoising.transform(X_test), atol=1e-4)
print("rows and hidden units:", units.shape)

# %%
# Which copy belongs to which row?
# --------------------------------
#
# ``ContrastivePretrainer`` has another task. Each row of a batch gets a spoilt
# copy, and the network is to tell which copy belongs to which row. With the
# similarity :math:`s_{ij}` of row :math:`i` and copy :math:`j`, and a
# *temperature* :math:`\tau`, which is 1 here, the loss of a row is the log-loss
# of choosing the right copy:
#
# .. math:: \ell_i = - \log \frac{e^{s_{ii} / \tau}}{\sum_j e^{s_{ij} / \tau}}.

contrast = ContrastivePretrainer((128, 128), corruption_rate=0.3, **fixed)
contrast.fit(X)
print(f"loss of the first epoch: {contrast.loss_curve_[0]:.2f}")
print(f"loss of the last epoch:  {contrast.loss_:.2f}")
print(f"loss of guessing among the 200 copies of a batch: {np.log(200):.2f}")

# %%
# Few labels
# ----------
#
# There are one, five or twenty labels of each digit, and all rows without
# labels. Does the start help? Here are mean and standard deviation of the
# accuracy on test rows, over five choices of the labels.

starts = {"new weights": None, "denoising": denoising, "contrast": contrast}
numbers = (1, 5, 20)
accuracy = np.empty((len(starts), len(numbers), 5))
for seed in range(5):
    order = np.random.default_rng(seed).permutation(len(y))
    for i, n in enumerate(numbers):
        few = np.concatenate([order[y[order] == d][:n] for d in range(10)])
        for k, start in enumerate(starts.values()):
            net = MLPClassifier((128, 128), scaling="standard", init_from=start)
            net.set_params(max_iter=100, random_state=seed).fit(X[few], y[few])
            accuracy[k, i, seed] = net.score(X_test, y_test)
print(f"{'labels of each digit':22}" + "".join(f"{n:>15}" for n in numbers))
for name, values in zip(starts, accuracy, strict=True):
    cells = [f"{v.mean():.3f} ±{v.std():.3f}" for v in values]
    print(f"{name:22}" + "".join(f"{cell:>15}" for cell in cells))
mean = accuracy.mean(axis=2)
assert (mean[1:, 0] > mean[0, 0] + 0.01).all()
assert (abs(mean[1:, 2] - mean[0, 2]) < 0.02).all()

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for k, (name, values) in enumerate(zip(starts, accuracy, strict=True)):
    places = np.arange(len(numbers)) + 0.12 * (k - 1)
    style = {"color": f"C{k}"}
    axes.plot(np.repeat(places, 5), values.ravel(), ".", alpha=0.4, **style)
    axes.plot(places, values.mean(axis=1), "s", label=name, **style)
axes.set(xlabel="labels of each digit", ylabel="accuracy on test rows")
axes.set_xticks(range(len(numbers)), numbers)
axes.legend(loc="lower right")
plt.show()

# %%
# With one label of each digit both starts gain, and with twenty there is
# nothing left to gain. Nor is there a gain on every table:
# :doc:`/user_guide/pretraining` has three tables, of which one gains nothing.
# Next is :ref:`explanation <sphx_glr_tutorial_13_explanation.py>`.
