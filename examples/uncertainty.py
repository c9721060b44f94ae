"""
What a network does not know
============================

Probabilities that deserve the name, and an error bar for every prediction: by an
ensemble, by Monte Carlo dropout, by quantiles, and by temperature scaling.
"""

# %%
# Probabilities
# -------------
# Two hundred digits are enough to get most of the others right, and far too few to be
# as sure of them as a single network is. Its log-loss shows it. Temperature scaling
# divides the raw predictions by one number, which is found on validation data; an
# ensemble averages the probabilities of networks that began differently; both together
# do best. All but the temperature leave the classes nearly as they are.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=400, stratify=y, random_state=0
)
X_train, X_val, y_train, y_val = train_test_split(
    X_train, y_train, train_size=200, stratify=y_train, random_state=0
)


def expected_calibration_error(probability, y):
    """Mean distance of confidence and accuracy, over ten bins of confidence."""
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == y
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = np.bincount(bins, confidence - right, minlength=10)
    return np.abs(gaps).sum() / len(y)


print(f"{'':30}{'accuracy':>9}{'log-loss':>10}{'calibration error':>19}")
for name, parameters in {
    "one network": {},
    "with temperature scaling": {"temperature_scaling": True},
    "ensemble of ten": {"n_members": 10},
    "both": {"n_members": 10, "temperature_scaling": True},
}.items():
    model = MLPClassifier(
        (100, 100), learning_rate_init=0.003, max_iter=200, random_state=0, **parameters
    )
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    probability = model.predict_proba(X_test)
    print(
        f"{name:30}{accuracy_score(y_test, probability.argmax(axis=1)):9.3f}"
        f"{log_loss(y_test, probability):10.3f}"
        f"{expected_calibration_error(probability, y_test):19.3f}"
    )

# %%
# Where there are no data
# -----------------------
# Networks of an ensemble agree where the data tell them what to say, and go their own
# ways elsewhere. So do the passes of a network with dropout. Quantiles are about
# something else: how far the targets themselves spread. They see the noise, which grows
# to the right; what they say about the gap in the middle, they have made up.

rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-4, -1, 300), rng.uniform(1.5, 4, 300)])
target = np.sin(2 * x) + rng.normal(0, 0.05 + 0.04 * (x + 4))
grid = np.linspace(-6, 6, 241)

common = dict(
    hidden_layer_sizes=(100, 100),
    activation="silu",
    learning_rate_init=0.005,
    max_iter=300,
    n_iter_no_change=300,
    random_state=0,
)
ensemble = MLPRegressor(n_members=10, **common)
dropout = MLPRegressor(dropout=0.1, **common)
quantiles = MLPRegressor("quantile", quantile=[0.05, 0.5, 0.95], **common)
for model in (ensemble, dropout, quantiles):
    model.fit(x[:, None], target)

mean, std = ensemble.predict(grid[:, None], return_std=True)
passes_mean, passes_std = dropout.predict(grid[:, None], n_passes=100, return_std=True)
low, median, high = quantiles.predict(grid[:, None]).T

with_data = ((-4 < grid) & (grid < -1)) | ((1.5 < grid) & (grid < 4))
outside = np.abs(grid) > 4.5
gap = (-0.7 < grid) & (grid < 1.2)
print(f"\n{'mean width of':30}{'with data':>11}{'in the gap':>12}{'outside':>9}")
for name, width in {
    "ensemble, 2 std": 2 * std,
    "Monte Carlo dropout, 2 std": 2 * passes_std,
    "quantiles, (95 % - 5 %) / 2": (high - low) / 2,
}.items():
    places = [width[rows].mean() for rows in (with_data, gap, outside)]
    print(f"{name:30}{places[0]:11.2f}{places[1]:12.2f}{places[2]:9.2f}")

# %%
# A band of two standard deviations, or from the 5 % to the 95 % quantile.

bands = {
    "ensemble": (mean, mean - 2 * std, mean + 2 * std),
    "Monte Carlo dropout": (
        passes_mean,
        passes_mean - 2 * passes_std,
        passes_mean + 2 * passes_std,
    ),
    "quantiles": (median, low, high),
}
figure, all_axes = plt.subplots(
    1, 3, figsize=(10, 3.2), sharey=True, layout="constrained"
)
for axes, (name, (middle, lower, upper)) in zip(all_axes, bands.items(), strict=True):
    axes.scatter(x, target, s=3, color="grey", alpha=0.5)
    axes.plot(grid, middle)
    axes.fill_between(grid, lower, upper, alpha=0.3)
    axes.set(title=name, ylim=(-4, 4))
plt.show()
