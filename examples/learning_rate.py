"""Find a learning rate, then train twenty epochs by several schedules and solvers.

The rate that the range test suggests suits training at a constant rate. A schedule is
below its full rate for most of the epochs and can start from more.
"""

import warnings

from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPRegressor, find_learning_rate

X, y = make_friedman1(6000, noise=0.3, random_state=0)
y = (y - y.mean()) / y.std()
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
net = MLPRegressor(
    hidden_layer_sizes=(64, 64), batch_size=64, max_iter=20, random_state=0
)

display = find_learning_rate(net, X_train, y_train, n_steps=200)
suggestion = display.suggestion  # display.plot() draws the losses
print(f"suggestion: {suggestion:.4f}")

# Twenty epochs are what is wanted here, not convergence.
warnings.simplefilter("ignore", ConvergenceWarning)
for solver, learning_rate, factor in (
    ("adam", "constant", 1),
    ("adam", "constant", 3),
    ("adam", "cosine", 3),
    ("adam", "one_cycle", 3),
    ("schedule_free", "constant", 3),
    ("muon", "one_cycle", 3),
):
    net.set_params(solver=solver, learning_rate=learning_rate)
    net.set_params(learning_rate_init=factor * suggestion)
    score = net.fit(X_train, y_train).score(X_test, y_test)
    print(f"{solver:>13}, {learning_rate:<9} x {factor}: R2 {score:.4f}")
