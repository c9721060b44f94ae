"""Early stopping on validation data of one's own, by a metric of one's own choice.

The rows come in groups (say, patients) that share a trait. A random split would put
rows of one group on both sides and flatter the score, so whole groups are set aside.
"""

import numpy as np
import sklearn
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier

rng = np.random.default_rng(0)
n_groups, per_group = 200, 20
groups = np.repeat(np.arange(n_groups), per_group)
trait = rng.normal(0, 2, (n_groups, 10))[groups]
X = trait + rng.normal(0, 1, trait.shape)
y = (X[:, 0] * X[:, 1] + X[:, 2] + rng.normal(0, 2, len(X)) > 0).astype(int)

split = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=0)
train, validation = next(split.split(X, y, groups))

# Routing lets the pipeline scale X_val as it scales X.
sklearn.set_config(enable_metadata_routing=True)
net = MLPClassifier(
    (64, 64),
    early_stopping=True,
    scoring="roc_auc",
    max_iter=500,
    random_state=0,
).set_fit_request(X_val=True, y_val=True)
model = Pipeline([("scale", StandardScaler()), ("net", net)], transform_input=["X_val"])
model.fit(X[train], y[train], X_val=X[validation], y_val=y[validation])

history = model["net"].history_
best = int(np.argmax(history["val_score"]))
print(f"{'epoch':>5}{'loss':>9}{'val_loss':>10}{'val AUC':>9}")
for epoch in sorted({0, best // 2, best, len(history["loss"]) - 1}):
    print(
        f"{epoch + 1:5}{history['loss'][epoch]:9.4f}"
        f"{history['val_loss'][epoch]:10.4f}{history['val_score'][epoch]:9.4f}"
    )
print(f"stopped after {model['net'].n_iter_} epochs, kept those of epoch {best + 1}")
