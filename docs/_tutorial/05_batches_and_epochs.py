"""
Batches and epochs
==================

A step does not need all rows. A few of them, a *batch*, give a rough gradient
in a small part of the time. A pass over all rows, batch by batch, is an
*epoch*.
"""

# %%
# A rough gradient
# ----------------
#
# The data are pictures of digits, 8 x 8 pixels each, and the network says which
# digit a picture has. Here are many derivatives of the loss of an untrained
# network by one weight, each from a batch of rows. Their mean is the derivative
# over all rows, and larger batches scatter less: a hundred times the rows, a
# tenth of the scatter.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1280, stratify=y, random_state=0
)
n = len(X_train)

# The simplest network for it has no hidden layer: ten scores of 64 pixels.
indicator = np.eye(10)[y_train]
by_row = X_train[:, 20] * (0.1 - indicator[:, 3])  # all probabilities are 0.1
rng = np.random.default_rng(0)
for size in (1, 100):
    batches = rng.choice(by_row, size=(2000, size)).mean(axis=1)
    print(f"batches of {size:3}: {batches.mean():+.4f} ±{batches.std():.4f}")
print(f"all rows:       {by_row.mean():+.4f}")

# %%
# An epoch by hand
# ----------------
#
# An epoch goes through the rows in batches and makes a step with each. The
# network has no hidden layer, and its probabilities are those of *softmax*,
# which is the logistic function for more than two classes:
#
# .. math:: p_k = \frac{e^{s_k}}{\sum_j e^{s_j}}.
#
# As with two classes, the derivative by a score is :math:`p_k - 1` for the true
# class and :math:`p_k` for the others.

W, b = np.zeros((64, 10)), np.zeros(10)
rate, size = 0.1, 32
losses = []
for begin in range(0, n, size):
    rows = slice(begin, begin + size)
    score = X_train[rows] @ W + b
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    losses.append(-np.mean(np.log(p[indicator[rows] == 1])))
    d_score = (p - indicator[rows]) / size
    W, b = W - rate * X_train[rows].T @ d_score, b - rate * d_score.sum(axis=0)
print(f"{len(losses)} steps, mean of their losses: {np.mean(losses):.4f}")

# %%
# nnfit does the same. Its loss of an epoch is the mean over the batches, each
# before its step. ``shuffle=False`` keeps the rows in their order; by default
# they are put into a new order for each epoch, so that no two batches are the
# same.

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
plain = {"solver": "sgd", "momentum": 0, "alpha": 0, "learning_rate_init": rate}
net = MLPClassifier(
    (),
    init_from=([np.zeros((64, 10))], [np.zeros(10)]),
    batch_size=size,
    shuffle=False,
    max_iter=1,
    **plain,
)
net.fit(X_train, y_train)
assert np.isclose(net.loss_curve_[0], np.mean(losses), rtol=1e-5)
assert np.allclose(net.coefs_[0], W, atol=1e-6)
print(f"nnfit: {net.loss_curve_[0]:.4f}")

# %%
# Many small steps or few good ones
# ---------------------------------
#
# Three networks with a hidden layer train for twenty epochs each, in batches of
# 1280, 128 and 16 rows. All see every row twenty times. The first one makes a
# step in an epoch, the last one makes eighty.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.6), sharey=True, layout="constrained"
)
final = {}
for size in (1280, 128, 16):
    net = MLPClassifier((32,), batch_size=size, max_iter=20, **plain)
    net.set_params(random_state=0).fit(X_train, y_train)
    final[size] = net.loss_
    steps = np.arange(1, 21) * (n // size)
    print(
        f"batches of {size:4}: {steps[-1]:4} steps, loss {net.loss_:.3f}, "
        f"test accuracy {net.score(X_test, y_test):.3f}"
    )
    left.plot(range(1, 21), net.loss_curve_, label=f"batches of {size}")
    right.semilogx(steps, net.loss_curve_, ".-")
left.set(xlabel="epoch", ylabel="loss", xticks=range(2, 21, 3))
right.set(xlabel="step")
left.legend()
plt.show()
assert final[16] < final[128] < final[1280]

# %%
# By the epoch, small batches are far ahead. By the step, the curves lie close
# together: at the beginning a step of 16 rows does about as much as one of
# 1280.

# %%
# The price of a small batch
# --------------------------
#
# Small batches are not free. A processor computes a large product faster than
# many small ones with as many multiplications. And the scatter of the gradients
# does not let the weights come to rest. Here is the line of :ref:`gradient
# descent <sphx_glr_tutorial_04_gradient_descent.py>` once more, with steps of
# all fifty rows and with steps of two rows.

x = rng.uniform(-1, 2, 50)
target = 1.5 * x - 0.5 + rng.normal(scale=0.3, size=50)
best = np.polyfit(x, target, 1)
ws, bs = np.meshgrid(np.linspace(0.9, 2.1, 80), np.linspace(-1.1, 0.1, 80))
landscape = np.mean((ws[..., None] * x + bs[..., None] - target) ** 2, axis=-1)
figure, grid = plt.subplots(
    1, 2, figsize=(8, 3.6), sharex=True, sharey=True, layout="constrained"
)
distance = {}
for axes, size in zip(grid, (50, 2), strict=True):
    w, b = 1.0, 0.0
    path = [(w, b)]
    for _ in range(300):
        rows = rng.choice(50, size, replace=False)
        error = w * x[rows] + b - target[rows]
        w, b = w - 0.3 * np.mean(error * x[rows]), b - 0.3 * np.mean(error)
        path.append((w, b))
    distance[size] = np.linalg.norm(np.array(path[-100:]) - best, axis=1).mean()
    print(f"batches of {size:2}: {distance[size]:.4f} from the best line")
    axes.contour(ws, bs, np.log(landscape), 15, cmap="viridis")
    axes.plot(*zip(*path, strict=True), ".-", color="C3", linewidth=0.7)
    axes.plot(*best, "k*", markersize=12)
    axes.set(title=f"batches of {size}", xlabel="slope w")
grid[0].set_ylabel("intercept b")
plt.show()
assert distance[50] < 1e-4 and distance[2] > 0.05

# %%
# A learning rate that falls in the course of training brings the weights to
# rest, see :ref:`the learning rate <sphx_glr_tutorial_06_learning_rate.py>`.

# %%
# ``batch_size`` is ``"auto"`` by default, which is 200 rows or fewer.
# ``max_iter`` is the number of epochs. Next is :ref:`the learning rate
# <sphx_glr_tutorial_06_learning_rate.py>`.
