"""
When to stop
============

Early stopping on parts of the training data, on data of your own and call by call, and
a limit of time.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier

# %%
# Groups
# ------
#
# The rows come from 200 patients, and much of what they share no feature explains. If
# rows are set aside at random, the network has seen each patient of the validation
# data: the score is too good, and training goes on for too long. ``groups`` sets whole
# patients aside.

rng = np.random.default_rng(0)
patients = np.repeat(np.arange(200), 20)
trait = rng.normal(0, 1, (200, 10))[patients]
X = trait + rng.normal(0, 0.5, trait.shape)
unexplained = rng.normal(0, 2, 200)[patients]
y = (X[:, 0] + X[:, 1] * X[:, 2] + unexplained > 0).astype(int)

# Half of the patients are for the test.
split = GroupShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = next(split.split(X, y, patients))

print(f"{'set aside':10}{'epochs':>8}{'validation AUC':>16}{'AUC of new patients':>21}")
for name, groups in (("rows", None), ("patients", patients[train])):
    net = MLPClassifier(
        (64, 64),
        early_stopping=True,
        validation_fraction=0.3,
        scoring="roc_auc",
        max_iter=500,
        random_state=0,
    )
    net.fit(X[train], y[train], groups=groups)
    auc = roc_auc_score(y[test], net.predict_proba(X[test])[:, 1])
    print(f"{name:10}{net.n_iter_:8}{net.best_validation_score_:16.3f}{auc:21.3f}")

# %%
# Validation data of your own
# ---------------------------
#
# ``X_val`` and ``y_val`` take the place of the split. Metadata routing lets a pipeline
# scale them as it scales ``X``. ``history_`` has the curves; the weights kept are those
# of the epoch with the best score, here the smallest loss.

X_train, y_train, X_val, y_val = X[train], y[train], X[test], y[test]
net = MLPClassifier((64, 64), early_stopping=True, scoring="loss", random_state=0)
with sklearn.config_context(enable_metadata_routing=True):
    net.set_fit_request(X_val=True, y_val=True)
    model = Pipeline(
        [("scale", StandardScaler()), ("net", net)], transform_input=["X_val"]
    )
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)

history = net.history_
best = int(np.argmax(history["val_score"]))
print(f"stopped after {net.n_iter_} epochs, kept those of epoch {best + 1}")
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
epochs = range(1, net.n_iter_ + 1)
axes.plot(epochs, history["loss"], label="training loss")
axes.plot(epochs, history["val_loss"], label="validation loss")
axes.axvline(best + 1, color="grey", linestyle="--", label="weights kept")
axes.set(xlabel="epoch")
axes.legend()
plt.show()

# %%
# Call by call
# ------------
#
# ``partial_fit`` trains for one epoch, on any rows. Given validation data it stops as
# well: ``stopped_`` says so, and the weights are the best of all calls.

net = MLPClassifier((64, 64), early_stopping=True, scoring="loss", random_state=0)
for _ in range(100):
    net.partial_fit(X_train, y_train, classes=[0, 1], X_val=X_val, y_val=y_val)
    if net.stopped_:
        break
n_calls = len(net.loss_curve_)
print(f"stopped after {n_calls} calls, loss {-net.best_validation_score_:.3f}")

# %%
# A limit of time
# ---------------
#
# ``max_time`` ends a fit that would take longer, with a warning.

net = MLPClassifier((300, 300), max_iter=100_000, tol=0, max_time=0.5, random_state=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", ConvergenceWarning)
    net.fit(X_train, y_train)
print(f"{caught[0].category.__name__}: training ended after max_time={net.max_time}")
