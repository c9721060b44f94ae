"""
Adam and SGD
============

Gradient descent in batches is called *SGD*, stochastic gradient descent.
*Momentum* makes it steadier. *Adam* gives each weight a step of its own length.
This page makes the steps of both by hand, and measures how much Adam gains.
"""

# %%
# Momentum
# --------
#
# Plain SGD forgets each gradient after its step. Momentum keeps a velocity
# :math:`v`, to which every gradient :math:`g` adds. What the batches agree on
# adds up, what they do not agree on cancels:
#
# .. math:: v \leftarrow \mu v - \eta g, \qquad w \leftarrow w + v.
#
# *Nesterov's momentum*, the default of ``solver="sgd"``, takes the gradient one
# step ahead.
#
# Here plain momentum learns two slopes and an intercept, as gradient descent
# learnt a line before. The gradient is that of all rows.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, make_friedman1
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
X_line = rng.uniform(-1, 2, (50, 2)) * [1.0, 0.1]  # the second feature is small
target = X_line @ [1.5, 5.0] - 0.5 + rng.normal(scale=0.3, size=50)


def gradient(w):
    """Derivatives of the loss by the two slopes and the intercept."""
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
# Adam keeps two running means for each weight, :math:`m` of the gradient and
# :math:`v` of its square:
#
# .. math::
#
#    m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
#    v \leftarrow \beta_2 v + (1 - \beta_2) g^2.
#
# The step is the first mean over the root of the second:
#
# .. math::
#
#    w \leftarrow w - \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \,
#    \frac{m}{\sqrt{v} + \epsilon}.
#
# Both means begin at zero, hence are too small at first. The factor behind
# :math:`\eta` makes up for it in step :math:`t`. The tiny :math:`\epsilon`
# keeps the division from zero.
#
# A weight with small gradients is divided by a small root. So all weights move
# by about the learning rate, whatever the size of their gradients.

w, m, v = np.array([-1.0, 1.0, 2.0]), np.zeros(3), np.zeros(3)
for t in range(1, 31):
    g = gradient(w)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    factor = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    step = 0.1 * factor * m / (np.sqrt(v) + 1e-8)
    if t == 1:
        print("first gradient:", g.round(3), " first step:", step.round(3))
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
momentum = {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False}
for parameters, by_hand in (
    (momentum, by_momentum),
    ({"solver": "adam"}, by_adam),
):
    line = MLPRegressor(
        hidden_layer_sizes=(),
        init_from=start,
        learning_rate_init=0.1,
        batch_size=50,
        max_iter=30,
        **parameters,
        **fixed,
    )
    line.fit(X_line, target)
    found = np.append(line.coefs_[0], line.intercepts_[0])
    print(f"{line.solver}: {found.round(4)}")
    assert np.allclose(found, by_hand, rtol=1e-4)

# %%
# Which is faster?
# ----------------
#
# A fair comparison gives each solver its own best learning rate. Three solvers
# train the same network for thirty epochs, with five rates each, from the same
# three sets of first weights. The goal is the loss that the slowest of them
# reaches in the end, and what counts is the number of epochs until it. One task
# is the digits, the other one a function of five features.

solvers = {
    "Adam": ({"solver": "adam"}, 0.3),
    "SGD, Nesterov's momentum": ({"solver": "sgd", "momentum": 0.9}, 1.0),
    "SGD, plain": ({"solver": "sgd", "momentum": 0}, 3.0),
}


def curves(net, X, y, name):
    """Losses of a solver by rate, means over three sets of first weights."""
    parameters, largest = solvers[name]
    found = {}
    for rate in largest * 10.0 ** (-0.5 * np.arange(5)):
        net.set_params(learning_rate_init=rate, **parameters)
        try:
            runs = [
                net.set_params(random_state=seed).fit(X, y).loss_curve_
                for seed in range(3)
            ]
        except ValueError:  # the weights fly away, and nnfit says so
            continue
        found[rate] = np.mean(runs, axis=0)
    return found


digits, digit = load_digits(return_X_y=True)
numbers, value = make_friedman1(800, random_state=0)
small = {"hidden_layer_sizes": (32,), "batch_size": 64, "max_iter": 30, **fixed}
tasks = {
    "digits": (MLPClassifier(**small), digits[:800] / 16, digit[:800]),
    "function": (MLPRegressor(**small), numbers - 0.5, (value - 14) / 5),
}
figure, grid = plt.subplots(1, 2, figsize=(8.5, 3.8), layout="constrained")
for axes, (task, data) in zip(grid, tasks.items(), strict=True):
    found = {name: curves(*data, name) for name in solvers}
    goal = max(np.min(list(of_rates.values())) for of_rates in found.values())
    for name, of_rates in found.items():
        epochs, rate = min(
            (1 + np.flatnonzero(curve <= goal)[0], rate)
            for rate, curve in of_rates.items()
            if curve.min() <= goal
        )
        print(f"{task:9} {name:25} rate {rate:.3f}: {epochs:2} epochs")
        axes.semilogy(range(1, 31), of_rates[rate], label=name)
    axes.axhline(goal, color="0.5", linestyle=":")
    axes.set(xlabel="epoch", ylabel="loss", title=task)
grid[0].legend()
plt.show()

# %%
# The plain steps are the slowest. Between Adam and Nesterov's momentum it
# depends on the task.

# %%
# What Adam saves
# ---------------
#
# What Adam saves is the search for a rate. At nnfit's default rate of 0.001 it
# learns the digits well enough, and SGD has hardly begun.

losses = {}
for name, (parameters, _) in solvers.items():
    net = MLPClassifier(**small, **parameters, random_state=0)
    losses[name] = net.fit(*tasks["digits"][1:]).loss_
    print(f"{name:25}: loss {losses[name]:.3f} at the default rate")
assert 5 * losses["Adam"] < losses["SGD, Nesterov's momentum"]

# %%
# Two data sets show little. The user guide has the same measurement on twelve
# tables, under "Adam beside SGD" in :doc:`/user_guide/solvers`, with the
# command that repeats it. Next are :ref:`overfitting and its cures
# <sphx_glr_tutorial_08_overfitting.py>`.
