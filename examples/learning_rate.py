"""
Learning rates and solvers
==========================

Find a learning rate, look at its schedules, and train twenty epochs by several of them
and by several solvers.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPRegressor, find_learning_rate

X, y = make_friedman1(6000, noise=0.3, random_state=0)
y = (y - y.mean()) / y.std()
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# The range test
# --------------
#
# It trains with a rate that grows from batch to batch. The rate it suggests is that at
# which the loss falls fastest.

net = MLPRegressor(
    hidden_layer_sizes=(64, 64), batch_size=64, max_iter=20, random_state=0
)
display = find_learning_rate(net, X_train, y_train, n_steps=200)
suggestion = display.suggestion
print(f"suggestion: {suggestion:.4f}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
display.plot(axes)
plt.show()

# %%
# Schedules
# ---------
#
# ``history_`` records the rate of every epoch, so a training of one small batch an
# epoch draws the schedules.

# Neither this nor what follows is to train until convergence.
warnings.simplefilter("ignore", ConvergenceWarning)
names = "cosine flat_cosine one_cycle cosine_restarts coslog4 step exponential".split()
schedules = {name: {"learning_rate": name} for name in names} | {
    "square root": {"learning_rate": lambda t: (1 - t) ** 0.5},
    "cosine with warm-up": {"learning_rate": "cosine", "warmup": 0.1},
}
figure, grid = plt.subplots(
    3, 3, figsize=(8, 6), sharex=True, sharey=True, layout="constrained"
)
for axes, (name, parameters) in zip(grid.flat, schedules.items(), strict=True):
    tiny = MLPRegressor(
        hidden_layer_sizes=(4,), learning_rate_init=1.0, max_iter=300, tol=0
    )
    tiny.set_params(n_iter_no_change=300, **parameters)
    tiny.fit(X[:50], y[:50])
    axes.plot(tiny.history_["learning_rate"])
    axes.set_title(name)
figure.supxlabel("epoch")
figure.supylabel("learning rate / learning_rate_init")
plt.show()

# %%
# Twenty epochs
# -------------
#
# The suggestion suits training at a constant rate. A schedule is below its full rate
# for most of the epochs and can start from more.

figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for solver, learning_rate, factor in (
    ("adam", "constant", 1),
    ("adam", "constant", 3),
    ("adam", "cosine", 3),
    ("adam", "one_cycle", 3),
    ("schedule_free", "constant", 3),
    ("muon", "one_cycle", 3),
):
    net.set_params(
        solver=solver,
        learning_rate=learning_rate,
        learning_rate_init=factor * suggestion,
    )
    net.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    name = f"{solver}, {learning_rate} x {factor}"
    print(f"{name:28} R2 {net.score(X_test, y_test):.4f}")
    axes.semilogy(range(1, 21), net.history_["val_loss"], label=name)
axes.set(xlabel="epoch", ylabel="loss on test data", xticks=range(2, 21, 2))
axes.legend()
plt.show()
