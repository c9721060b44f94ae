"""
Explanation
===========

Why does the network predict that? Backpropagation answers this, too: it can go
on from the first layer to the features. Attributions then say how much of a
prediction is due to each feature.
"""

# %%
# A network to explain
# --------------------
#
# It tells malignant from benign tumours by ten measures of cell nuclei. What we
# explain is the score of "benign", the number before the logistic function.

# sphinx_gallery_thumbnail_number = 2
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier
from nnfit.inspection import (
    AttributionDisplay,
    attribution_summary,
    input_gradients,
    integrated_gradients,
)

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
data = load_breast_cancer()
names = [str(name).removeprefix("mean ") for name in data.feature_names[:10]]
X = StandardScaler().fit_transform(data.data[:, :10])
y = data.target
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
net = MLPClassifier((32,), activation="tanh", alpha=0.1)
net.set_params(learning_rate_init=0.01, max_iter=200, random_state=0)
net.fit(X_train, y_train)
print(f"accuracy on test rows: {net.score(X_test, y_test):.3f}")

# %%
# Slopes
# ------
#
# The derivative of the score by a feature says what a small change of the
# feature would do. It is one more step of backpropagation:
#
# .. math::
#
#    \frac{\partial s}{\partial x} =
#    \left( W_2^T \odot (1 - a \odot a) \right) W_1^T.

W1, W2 = net.coefs_
A = np.tanh(X_test @ W1 + net.intercepts_[0])
slopes = (W2.T * (1 - A**2)) @ W1.T
assert np.allclose(slopes, input_gradients(net, X_test), atol=1e-4)
row = np.abs(net.decision_function(X_test)).argmin()
for name, slope in zip(names, slopes[row], strict=True):
    print(f"{name:18} {slope:+.2f}")

# %%
# From slopes to attributions
# ---------------------------
#
# A slope says what would happen next to the row. The question is mostly another
# one: why is the score of this row not that of a usual one? *Integrated
# gradients* go straight from a baseline :math:`x_0`, here the mean of the
# training rows, to the row, and add up the slopes on the way:
#
# .. math::
#
#    \phi_j = (x_j - x_{0j}) \int_0^1
#    \frac{\partial s}{\partial x_j} \left( x_0 + t (x - x_0) \right) dt.

baseline = X_train.mean(axis=0)
steps = (np.arange(1000) + 0.5) / 1000
way = baseline + steps[:, None] * (X_test[row] - baseline)
by_hand = (X_test[row] - baseline) * input_gradients(net, way).mean(axis=0)

# %%
# The same numbers
# ----------------
#
# nnfit chooses the steps itself. The attributions add up to the difference of
# the two scores: nothing is left unexplained.

found = integrated_gradients(net, X_test[[row]], baseline)
assert np.allclose(found.values[0], by_hand, atol=1e-3)
difference = net.decision_function([X_test[row], baseline]) @ [1, -1]
print(f"sum of the attributions: {found.values[0].sum():.3f}")
print(f"score of the row minus score of the mean: {difference:.3f}")
assert np.isclose(found.values[0].sum(), difference, atol=1e-2)

# %%
# The row is the one of which the network is least sure. Some measures speak for
# "benign", some against it.

order = np.argsort(np.abs(found.values[0]))
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
axes.barh(
    [f"{names[j]} = {X_test[row, j]:+.1f}" for j in order],
    found.values[0][order],
    color=np.where(found.values[0][order] > 0, "C0", "C3"),
)
axes.axvline(0, color="0.3", linewidth=1)
axes.set_xlabel('attribution to the score of "benign"')
plt.show()

# %%
# Many rows
# ---------
#
# ``AttributionDisplay`` explains all test rows. A point is a row. It is on the
# right where the feature speaks for "benign", and its colour is the value of
# the feature. The baseline here is not one row but many, and the attributions
# are estimates of Shapley values.

display = AttributionDisplay.from_estimator(
    net, X_test, feature_names=names, background=X_train[:50], random_state=0
)
display.ax_.set_xlabel('attribution to the score of "benign"')
plt.show()

# %%
# Is it true?
# -----------
#
# An explanation can be tested. Take the three features with the largest
# attributions and train without them; then take the three with the smallest.

summary = attribution_summary(
    net, X_test, names, background=X_train[:50], random_state=0
)
ranking = np.argsort(summary.importances)
scores = {}
for name, without in (("largest", ranking[-3:]), ("smallest", ranking[:3])):
    kept = np.setdiff1d(np.arange(10), without)
    net.fit(X_train[:, kept], y_train)
    scores[name] = net.score(X_test[:, kept], y_test)
    print(f"without the three {name:8}: accuracy {scores[name]:.3f}")
assert scores["smallest"] > scores["largest"]

# %%
# Attributions explain the network, not the world. Of two features that say the
# same, the network may look at either, so a feature with a small attribution
# need not be useless. :doc:`/user_guide/explaining` has all methods and their
# limits.
#
# This was the last page. :doc:`/user_guide/first_fit` begins with your own
# data, and :doc:`/user_guide/tabular` has networks that choose their parameters
# themselves.
