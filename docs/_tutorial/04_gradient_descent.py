"""
Gradient descent
================

The gradient points to where the loss grows fastest. Gradient descent goes a
step the other way, computes the gradient anew, and repeats this until the loss
falls no more.
"""

# %%
# The step
# --------
#
# A step subtracts the gradient from the weights, times the *learning rate*
# :math:`\eta`, which says how long the step is:
#
# .. math:: w \leftarrow w - \eta \, \frac{\partial L}{\partial w}.
#
# First we watch it where there are two numbers to learn: the slope :math:`w`
# and the intercept :math:`b` of a line through points.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, MLPRegressor, TrainingCurveDisplay

rng = np.random.default_rng(0)
x = rng.uniform(-1, 2, 50)
target = 1.5 * x - 0.5 + rng.normal(scale=0.3, size=50)


def line_gradient(w, b):
    """Derivatives of half the mean squared error by slope and intercept."""
    error = w * x + b - target
    return np.mean(error * x), np.mean(error)


w, b = -1.0, 2.0
path = [(w, b)]
for _ in range(50):
    by_w, by_b = line_gradient(w, b)
    w, b = w - 0.5 * by_w, b - 0.5 * by_b
    path.append((w, b))
print(f"after 50 steps: w = {w:.3f}, b = {b:.3f}")

# %%
# Downhill
# --------
#
# The contours join slopes and intercepts of the same loss. The first steps are
# long, because the gradient is large on a steep slope. Near the lowest point
# they become short by themselves. There is a formula for the best line, and
# descent has found the same.

best = np.polyfit(x, target, 1)
assert np.allclose([w, b], best, atol=1e-3)

ws, bs = np.meshgrid(np.linspace(-1.5, 3, 100), np.linspace(-2, 2.6, 100))
errors = ws[..., None] * x + bs[..., None] - target
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.6), layout="constrained"
)
left.contour(ws, bs, np.log(np.mean(errors**2, axis=-1)), 15, cmap="viridis")
left.plot(*zip(*path, strict=True), "o-", color="C3", markersize=4)
left.plot(*best, "k*", markersize=12)
left.set(xlabel="slope w", ylabel="intercept b")
right.plot(x, target, ".", color="0.6")
ends = np.array([-1, 2])
for step in (0, 1, 2, 4, 50):
    slope, intercept = path[step]
    right.plot(ends, slope * ends + intercept, label=f"after {step} steps")
right.set(xlabel="x", ylabel="target")
right.legend()
plt.show()

# %%
# A network without hidden layers is such a line. nnfit takes the same steps
# when all rows are in one batch and there is no momentum.

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of steps
plain = {"solver": "sgd", "momentum": 0, "alpha": 0}
plain |= {
    "tol": 0,
    "n_iter_no_change": 10_000,
}  # all steps, whatever the loss does
line = MLPRegressor(
    hidden_layer_sizes=(),
    init_from=([np.array([[-1.0]])], [np.array([2.0])]),
    learning_rate_init=0.5,
    batch_size=len(x),
    max_iter=50,
    **plain,
)
line.fit(x[:, None], target)
slope, intercept = line.coefs_[0][0, 0], line.intercepts_[0][0]
print(f"nnfit:          w = {slope:.3f}, b = {intercept:.3f}")
assert np.allclose([slope, intercept], [w, b], rtol=1e-4)

# %%
# The network of three units
# --------------------------
#
# The same loop trains the network of the page before. Forward pass, loss,
# backpropagation and step are a few lines, and this is all of it.

X, y = make_moons(200, noise=0.15, random_state=0)
n, classes = len(X), y[:, None]
rng = np.random.default_rng(0)
W1, W2 = rng.normal(size=(2, 3)), rng.normal(size=(3, 1))
b1, b2 = np.zeros(3), np.zeros(1)
start = [W1, W2], [b1, b2]
losses = []
for _ in range(1000):
    A = np.tanh(X @ W1 + b1)
    p = 1 / (1 + np.exp(-(A @ W2 + b2)))
    losses.append(-np.mean(np.log(np.where(classes == 1, p, 1 - p))))
    d_score = (p - classes) / n
    d_Z = (d_score @ W2.T) * (1 - A**2)
    W2, b2 = W2 - A.T @ d_score, b2 - d_score.sum(axis=0)
    W1, b1 = W1 - X.T @ d_Z, b1 - d_Z.sum(axis=0)
print(f"loss before: {losses[0]:.4f}, loss of the last step: {losses[-1]:.4f}")
print(f"accuracy: {np.mean((p > 0.5) == classes):.3f}")

# %%
# The learning rate was 1, which is large. It can be, because the features are
# small and the loss is a mean over all rows.
#
# The same numbers
# ----------------
#
# nnfit, from the same weights, has the same losses and ends with the same
# weights.

net = MLPClassifier(
    (3,),
    activation="tanh",
    init_from=start,
    learning_rate_init=1.0,
    batch_size=n,
    max_iter=1000,
    **plain,
)
net.fit(X, y)
assert np.allclose(net.loss_curve_, losses, rtol=1e-4)
assert np.allclose(net.coefs_[0], W1, rtol=1e-4)
assert np.allclose(net.coefs_[1], W2, rtol=1e-4)
print(f"nnfit, loss of the last step: {net.loss_curve_[-1]:.4f}")

# %%
# ``TrainingCurveDisplay`` draws the losses. There are slopes and plains on the
# way: the loss hardly falls for a while, and then falls again.

TrainingCurveDisplay.from_estimator(net)
plt.show()

# %%
# Where descent ends
# ------------------
#
# Descent ends in a valley, and there may be others. From other first weights
# the same network ends elsewhere. This is why ``random_state`` matters.

for seed in range(5):
    net.set_params(init_from=None, random_state=seed).fit(X, y)
    accuracy = net.score(X, y)
    print(f"random_state={seed}: loss {net.loss_:.4f}, accuracy {accuracy:.3f}")

# %%
# Next are :ref:`batches and epochs
# <sphx_glr_tutorial_05_batches_and_epochs.py>`: a step needs only a few of the
# rows. The user guide has the other solvers: :doc:`/user_guide/solvers`.
