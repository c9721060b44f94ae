"""
A hundred layers
================

A plain network of a hundred layers does not learn at all: what distinguishes two rows
is lost on the way forward, and the gradient on the way back. Residual blocks and
normalisation keep both alive.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, stratify=y, random_state=0
)

# %%
# Twenty epochs
# -------------
#
# The same hundred layers of 32 units, four times. ``normalization`` alone does not help
# here. With ``residual=True`` each hidden layer adds its part to what came before, and
# the network trains; with both it also does better on the test data.

# Twenty epochs are what is wanted here, not convergence.
warnings.simplefilter("ignore", ConvergenceWarning)

configurations = {
    "plain": {},
    "batch normalisation": {"normalization": "batch"},
    "residual": {"residual": True},
    "residual, batch normalisation": {"residual": True, "normalization": "batch"},
}
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name, parameters in configurations.items():
    net = MLPClassifier((32,) * 100, max_iter=20, random_state=0, **parameters)
    net.fit(X_train, y_train)
    print(f"{name:30} accuracy {net.score(X_test, y_test):.3f}")
    axes.plot(range(1, 21), net.loss_curve_, label=name)
axes.set(xlabel="epoch", ylabel="training loss", xticks=range(2, 21, 2))
axes.legend()
plt.show()

# %%
# Deeper and deeper
# -----------------
#
# The plain network gets worse with every layer after the first few; the other one does
# not.

depths = [1, 3, 10, 30, 100]
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for name in ("plain", "residual, batch normalisation"):
    scores = []
    for depth in depths:
        net = MLPClassifier(
            (32,) * depth, max_iter=20, random_state=0, **configurations[name]
        )
        scores.append(net.fit(X_train, y_train).score(X_test, y_test))
    axes.semilogx(depths, scores, "o-", label=name)
axes.set(xlabel="hidden layers", ylabel="accuracy on test data", ylim=(0, 1.02))
axes.set_xticks(depths, [str(depth) for depth in depths])
axes.legend()
plt.show()
