"""
The learning rate
=================

The learning rate is the length of a step. It is the first number to choose: too
small and learning takes for ever, too large and it never comes to rest, or the
weights fly away.
"""

# %%
# Three rates on a slope
# ----------------------
#
# Here descent goes down a bowl that is steep in one direction and flat in the
# other. Its loss is
#
# .. math:: L = \frac{1}{2} (10 \, w_1^2 + w_2^2).
#
# The gradient is :math:`(10 w_1, w_2)`. A step multiplies :math:`w_1` by
# :math:`1 - 10 \eta`. Above :math:`\eta = 0.2` this factor is below -1, and
# each step leads farther away on the other side.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPRegressor, TrainingCurveDisplay, find_learning_rate

slopes = np.array([10.0, 1.0])
w1, w2 = np.meshgrid(np.linspace(-2.2, 2.2, 80), np.linspace(-1, 6, 80))
figure, grid = plt.subplots(
    1, 3, figsize=(8.5, 3.2), sharex=True, sharey=True, layout="constrained"
)
for axes, rate in zip(grid, (0.01, 0.17, 0.205), strict=True):
    w = np.array([1.0, 5.0])
    path = [w]
    for _ in range(20):
        w = w - rate * slopes * w
        path.append(w)
    loss = 0.5 * np.sum(slopes * w**2)
    print(f"rate {rate}: loss after 20 steps {loss:.4f}")
    axes.contour(w1, w2, 5 * w1**2 + w2**2 / 2, 12, cmap="viridis", alpha=0.7)
    axes.plot(*np.transpose(path), ".-", color="C3")
    axes.plot(0, 0, "k*")
    axes.set(title=f"rate {rate}", xlabel="w1", xlim=(-2.2, 2.2), ylim=(-1, 6))
grid[0].set_ylabel("w2")
plt.show()

# %%
# The steepest direction says how large the rate may be, and the flattest one
# how long the descent takes. This is why features should have the same scale,
# see :ref:`normalisation <sphx_glr_tutorial_10_normalisation.py>`.

# %%
# Rates of a network
# ------------------
#
# Nobody knows the slopes of a network beforehand, so rates are tried, by
# factors of ten. The target is a known function of five features, and five more
# features say nothing. *R2* is the part of the target's variance that is
# predicted, at best 1.

X, y = make_friedman1(1500, noise=0.5, random_state=0)
X, y = X - X.mean(axis=0), (y - y.mean()) / y.std()
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
net = MLPRegressor(hidden_layer_sizes=(64, 64), batch_size=32, random_state=0)
net.set_params(max_iter=20, n_iter_no_change=20, tol=0)
found = {}
for rate in (0.0001, 0.001, 0.01, 0.1):
    net.set_params(learning_rate_init=rate).fit(X_train, y_train)
    found[rate] = net.score(X_test, y_test)
    print(f"rate {rate:<6}: loss {net.loss_:.4f}, test R2 {found[rate]:.3f}")
assert min(found, key=found.get) == 0.0001

# %%
# The range test
# --------------
#
# ``find_learning_rate`` tries all rates in one short training, in which the
# rate grows from batch to batch. At small rates nothing happens, then the loss
# falls, then it explodes. The suggestion is the rate at which it falls fastest.

display = find_learning_rate(net, X_train, y_train, n_steps=200)
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
display.plot(axes)
plt.show()
print(f"suggestion: {display.suggestion:.4f}")

# %%
# A rate that falls
# -----------------
#
# Long steps are good at the beginning and short ones at the end, where the
# scatter of the batches has to die down. A *schedule* changes the rate in the
# course of the training. The cosine goes from the full rate to zero. With
# :math:`t` from 0 at the beginning to 1 at the end it is
#
# .. math:: \eta(t) = \eta_0 \, \frac{1 + \cos(\pi t)}{2}.

net.set_params(learning_rate_init=0.02).fit(X_train, y_train)
constant = net.score(X_test, y_test)
net.set_params(learning_rate="cosine")
net.fit(X_train, y_train, X_val=X_test, y_val=y_test)
cosine = net.score(X_test, y_test)
print(f"test R2: constant {constant:.3f}, cosine {cosine:.3f}")
assert cosine > constant
TrainingCurveDisplay.from_estimator(net)
plt.show()

# %%
# Next are :ref:`Adam and SGD <sphx_glr_tutorial_07_adam_and_sgd.py>`, a length
# of step for each weight. The user guide has more on the range test,
# :doc:`/user_guide/learning_rate`, and on schedules,
# :doc:`/user_guide/solvers`.
