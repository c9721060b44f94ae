"""
Adam and SGD
============

Gradient descent in batches is called *SGD*, stochastic gradient descent. *Momentum*
makes it steadier. *Adam* gives each weight a step of its own length. This page makes
the steps of both by hand, and measures how much Adam gains.
"""

# %%
# Momentum
# --------
#
# Plain SGD forgets each gradient after its step. Momentum keeps a velocity :math:`v`,
# to which every gradient :math:`g` adds. What the batches agree on adds up, what they
# do not agree on cancels:
#
# .. math:: v \leftarrow \mu v - \eta g, \qquad w \leftarrow w + v.
#
# Here it learns a line, as gradient descent did before. The gradient is that of all
# rows.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
x = rng.uniform(-1, 2, 50) * [[1.0], [0.1]]  # two features, one ten times smaller
target = x[0] + 10 * x[1] * rng.choice([0, 1], 50) + rng.normal(scale=0.3, size=50)
X_line = x.T


def gradient(w):
    """Derivatives of half the mean squared error by two slopes and an intercept."""
    error = X_line @ w[:2] + w[2] - target
    return np.append(X_line.T @ error, error.sum()) / len(target)


w, v = np.array([-1.0, 1.0, 2.0]), np.zeros(3)
for _ in range(30):
    v = 0.9 * v - 0.1 * gradient(w)
    w = w + v
by_momentum = w

# %%
# Adam
# ----
#
# Adam keeps two running means for each weight, of the gradient and of its square. The
# step is the first mean over the root of the second:
#
# .. math::
#
#    m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
#    v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
#    w \leftarrow w - \eta \, \frac{\hat m}{\sqrt{\hat v} + \epsilon}.
#
# Both means begin at zero, hence are too small at first; :math:`\hat m = m / (1 -
# \beta_1^t)` and :math:`\hat v = v / (1 - \beta_2^t)` make up for it in step :math:`t`.
# A weight with small gradients is divided by a small root. So all weights move by about
# the learning rate, whatever the size of their gradients.

w, m, v = np.array([-1.0, 1.0, 2.0]), np.zeros(3), np.zeros(3)
first = None
for t in range(1, 31):
    g = gradient(w)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    step = 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    if t == 1:
        print("first gradient:", g.round(3), " first step of Adam:", step.round(3))
    w = w - step
by_adam = w

# %%
# The same numbers
# ----------------
#
# nnfit makes the same thirty steps.

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of steps
start = [np.array([[-1.0], [1.0]])], [np.array([2.0])]
fixed = {"tol": 0, "n_iter_no_change": 10_000, "alpha": 0}
for parameters, by_hand in (
    ({"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False}, by_momentum),
    ({"solver": "adam"}, by_adam),
):
    line = MLPRegressor(
        hidden_layer_sizes=(),
        init_from=start,
        learning_rate_init=0.1,
        batch_size=50,
        max_iter=30,
        dtype="float64",
        **parameters,
        **fixed,
    )
    line.fit(X_line, target)
    found = np.append(line.coefs_[0], line.intercepts_[0])
    print(f"{line.solver}: {found.round(4)}")
    assert np.allclose(found, by_hand, rtol=1e-9)

# %%
# Which is faster?
# ----------------
#
# A fair comparison gives each solver its own best learning rate. Three solvers train
# the same network on digits for thirty epochs, with five rates each, from the same
# three sets of first weights. The goal is the loss that the slowest of them reaches in
# the end, and what counts is the epochs until it.

X, y = load_digits(return_X_y=True)
X = X[:800] / 16
y = y[:800]
solvers = {
    "Adam": ({"solver": "adam"}, 0.1),
    "SGD, Nesterov's momentum": ({"solver": "sgd"}, 1.0),
    "SGD, plain": ({"solver": "sgd", "momentum": 0}, 3.0),
}
curves = {}
for name, (parameters, largest) in solvers.items():
    for rate in largest * 10.0 ** (-0.5 * np.arange(5)):
        net = MLPClassifier((32,), batch_size=64, max_iter=30, **parameters, **fixed)
        net.set_params(learning_rate_init=rate)
        runs = [net.set_params(random_state=s).fit(X, y).loss_curve_ for s in range(3)]
        curves[name, rate] = np.mean(runs, axis=0)

best = {
    name: min((c for (each, _), c in curves.items() if each == name), key=np.min)
    for name in solvers
}
goal = max(curve.min() for curve in best.values())
epochs = {}
for name in solvers:
    of_rates = [
        (1 + np.flatnonzero(curve <= goal)[0], rate)
        for (each, rate), curve in curves.items()
        if each == name and curve.min() <= goal
    ]
    epochs[name], rate = min(of_rates)
    print(
        f"{name:25}: {epochs[name]:2} epochs to a loss of {goal:.4f}, rate {rate:.3g}"
    )

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, curve in best.items():
    axes.semilogy(range(1, 31), curve, label=name)
axes.axhline(goal, color="0.5", linestyle=":")
axes.set(xlabel="epoch", ylabel="loss", title="each at its best rate")
axes.legend()
plt.show()

# %%
# What Adam saves
# ---------------
#
# With tuned rates the gain is there, but not large. Where nobody tunes it is another
# matter: at nnfit's default rate of 0.001, which is near Adam's best on most data, SGD
# hardly moves.

losses = {}
for name, (parameters, _) in solvers.items():
    net = MLPClassifier((32,), batch_size=64, max_iter=30, **parameters, **fixed)
    losses[name] = net.set_params(random_state=0).fit(X, y).loss_
    print(f"{name:25}: loss {losses[name]:.3f} at the default rate")
assert losses["Adam"] < losses["SGD, Nesterov's momentum"] < losses["SGD, plain"]

# %%
# One data set shows little. The user guide has the same measurement on twelve tables,
# under "Adam beside SGD" in :doc:`/user_guide/solvers`, with the command that repeats
# it. Next are :ref:`overfitting and its cures <sphx_glr_tutorial_08_overfitting.py>`.
