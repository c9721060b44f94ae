"""
Sixty networks side by side
===========================

A random search in which the networks train side by side on the threads of one process:
`PopulationSearchCV` with `param_distributions`. Its results are those of scikit-learn's
`RandomizedSearchCV`.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier, PopulationSearchCV

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)

# Thirty epochs are what is wanted here, not convergence.
warnings.simplefilter("ignore", ConvergenceWarning)
search = PopulationSearchCV(
    MLPClassifier(hidden_layer_sizes=(32,), max_iter=30, random_state=0),
    param_distributions={
        "learning_rate_init": loguniform(1e-4, 1),
        "alpha": loguniform(1e-4, 1e2),
    },
    n_iter=60,
    cv=3,
    random_state=0,
)
started = time.perf_counter()
search.fit(X_train, y_train)
seconds = time.perf_counter() - started
print(f"{60 * 3 / seconds:.0f} networks a second")
print(f"accuracy of the best: {search.score(X_test, y_test):.3f}, with")
for name, value in sorted(search.best_params_.items()):
    print(f"  {name:20}{value:.2g}")

# %%
# All sixty. The rate decides first; a penalty matters where it is too large.

results = search.cv_results_
rates = np.array([each["learning_rate_init"] for each in results["params"]])
penalties = np.array([each["alpha"] for each in results["params"]])
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
points = axes.scatter(rates, penalties, c=results["mean_test_score"], s=60)
best = search.best_index_
axes.plot(rates[best], penalties[best], "r*", markersize=15, label="best")
axes.set(xscale="log", yscale="log", xlabel="learning_rate_init", ylabel="alpha")
axes.legend()
figure.colorbar(points, label="accuracy in cross-validation")
plt.show()
