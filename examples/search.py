"""
Searching for an architecture
=============================

``n_layers``, ``layer_width`` and ``taper`` are plain numbers, so that any search can
draw them: depth, width and shape of the network, together with all else.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RandomizedSearchCV, train_test_split

from nnfit import MLPClassifier

# Two arms of a spiral, which a third feature moves a little; three more say nothing.
rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (3000, 6))
radius, angle = np.hypot(X[:, 0], X[:, 1]), np.arctan2(X[:, 1], X[:, 0])
y = (np.sin(2 * angle + 8 * radius) + 0.3 * X[:, 2] > 0).astype(int)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1000, random_state=0
)

# %%
# Hidden layer ``i``, from 0, has ``layer_width * taper**i`` units, rounded.

# Sixty epochs are what is wanted here, not convergence.
warnings.simplefilter("ignore", ConvergenceWarning)
net = MLPClassifier(
    solver="adamw", learning_rate="cosine", batch_size=50, max_iter=60, random_state=0
)
search = RandomizedSearchCV(
    net,
    {
        "n_layers": randint(1, 6),
        "layer_width": randint(8, 129),
        "taper": uniform(0.5, 0.5),
        "residual": [False, True],
        "normalization": [None, "layer", "batch"],
        "activation": ["relu", "silu"],
        "dropout": uniform(0, 0.4),
        "weight_decay": loguniform(1e-2, 1e1),
        "learning_rate_init": loguniform(1e-3, 2e-2),
    },
    n_iter=40,
    cv=3,
    random_state=0,
)
search.fit(X_train, y_train)

default = MLPClassifier(random_state=0).fit(X_train, y_train)
print(f"accuracy of the default: {default.score(X_test, y_test):.3f}")
print(f"accuracy of the best found: {search.score(X_test, y_test):.3f}, with")
for name, value in sorted(search.best_params_.items()):
    value = f"{value:.2g}" if isinstance(value, float) else value
    print(f"  {name:20}{value}")
sizes = [len(intercept) for intercept in search.best_estimator_.intercepts_[:-1]]
print(f"Its hidden layers have {', '.join(map(str, sizes))} units.")

# %%
# All that was tried: deeper networks do better here, and normalised ones do.

results = search.cv_results_
scores = results["mean_test_score"]
n_layers = np.array([each["n_layers"] for each in results["params"]])
normalised = np.array([each["normalization"] is not None for each in results["params"]])
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for chosen, marker, label in (
    (normalised, "o", "normalised"),
    (~normalised, "x", "not normalised"),
):
    apart = rng.uniform(-0.15, 0.15, chosen.sum())
    axes.plot(n_layers[chosen] + apart, scores[chosen], marker, label=label)
axes.set(xlabel="n_layers", ylabel="accuracy in cross-validation", xticks=range(1, 6))
axes.legend()
plt.show()
