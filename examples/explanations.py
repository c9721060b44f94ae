"""
Why the network predicts that
=============================

Which features a prediction is made of, for a row, for many rows and for pictures, from
the slopes of the network.
"""

# %%
# Many rows
# ---------
# A network tells malignant from benign tumours by ten measures of cell nuclei. Its
# score for "benign" is split among the measures: a point is a tumour, to the right
# where a measure speaks for benign, and its colour tells how large the measure is. The
# attributions are estimates of Shapley values over 100 of the rows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, TabularRegressor
from nnfit.inspection import (
    AttributionDisplay,
    attribution_summary,
    expected_gradients,
    integrated_gradients,
)

data = load_breast_cancer()
names = [str(name).removeprefix("mean ") for name in data.feature_names[:10]]
X = StandardScaler().fit_transform(data.data[:, :10])
X_train, X_test, y_train, y_test = train_test_split(X, data.target, random_state=0)
model = MLPClassifier((32,), alpha=0.01, early_stopping=True, random_state=0)
model.set_params(learning_rate_init=0.01, max_iter=100).fit(X_train, y_train)
print(f"accuracy {model.score(X_test, y_test):.3f}")

display = AttributionDisplay.from_estimator(
    model, X_test, feature_names=names, background=X_train, random_state=0
)
display.ax_.set_xlabel('attribution to the score of "benign"')
plt.show()

# %%
# One row
# -------
# The test row of which the network is least sure, with what speaks for and against. The
# attributions add up from the mean score of the background to the score of the row.

score = model.decision_function(X_test)
row = np.abs(score).argmin()
found = expected_gradients(model, X_test[[row]], X_train[:100], random_state=0)
values, base = found.values[0], found.base_values[0]
print(f"{base:.2f} {values.sum():+.2f} = {score[row]:.2f}, the score of the row")

order = np.argsort(np.abs(values))
ends = base + np.cumsum(values[order])
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.barh(
    [f"{names[j]} = {X_test[row, j]:+.1f}" for j in order],
    values[order],
    left=ends - values[order],
    color=np.where(values[order] > 0, "#0072B2", "#D55E00"),
)
axes.axvline(base, color="0.5", linestyle=":")
axes.axvline(score[row], color="0.2")
axes.annotate("  mean", (base, -0.9), color="0.4", va="center")
axes.annotate("  this row", (score[row], 9.9), va="center")
axes.set(xlabel='score of "benign"', ylim=(-1.4, 10.4))
axes.set_xlim(min(base, ends.min()) - 0.2, max(base, ends.max()) + 0.2)
plt.show()

# %%
# Pictures
# --------
# What makes a digit the one that it is? Integrated gradients go from the mean of all
# pictures to one of them; blue pixels speak for the class that is predicted, red ones
# against it. Ink that is missing counts, too, such as that in the middle of a 0.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
of_digits = MLPClassifier((64,), alpha=0.1, max_iter=60, random_state=0)
of_digits.set_params(learning_rate_init=0.01, early_stopping=True)
of_digits.fit(X_train, y_train)

rows = np.array([np.flatnonzero(y_test == digit)[0] for digit in (0, 3, 4, 7, 8)])
found = integrated_gradients(of_digits, X_test[rows], X_train.mean(axis=0))
end = np.abs(found.values).max()
figure, all_axes = plt.subplots(2, 5, figsize=(6.4, 2.9), layout="constrained")
for (above, below), picture, values, digit in zip(
    all_axes.T, X_test[rows], found.values, of_digits.predict(X_test[rows]), strict=True
):
    above.imshow(picture.reshape(8, 8), cmap="gray_r")
    shown = below.imshow(values.reshape(8, 8), cmap="RdBu", vmin=-end, vmax=end)
    above.set_title(f"a {digit}")
    for axes in (above, below):
        axes.set(xticks=[], yticks=[])
figure.colorbar(shown, ax=all_axes[1], label="attribution")
plt.show()

# %%
# A mixture of networks
# ---------------------
# ``TabularRegressor`` predicts by several networks, which are explained together. Of
# these ten columns the target depends on the first five alone.

X, y = make_friedman1(600, noise=0.5, random_state=0)
regressor = TabularRegressor("fast", random_state=0).fit(X, y)
print(attribution_summary(regressor, X[:200], random_state=0))
