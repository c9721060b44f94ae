"""
First fit
=========

A network in a pipeline: scaled features, a score, and a small search.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=0))
model.fit(X_train, y_train)
print(f"accuracy: {model.score(X_test, y_test):.3f}")
print(f"epochs: {model[-1].n_iter_}, last loss: {model[-1].loss_:.4f}")

# %%
# ``loss_curve_`` has the loss of every epoch, ``history_`` this and more.

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.semilogy(model[-1].loss_curve_)
axes.set(xlabel="epoch", ylabel="training loss")
plt.show()

# %%
# Every parameter is a plain argument, so searches work as with any estimator.

search = GridSearchCV(
    model,
    {
        "mlpclassifier__activation": ["relu", "silu", "tanh"],
        "mlpclassifier__alpha": [1e-4, 1e-1, 10.0],
    },
)
search.fit(X_train, y_train)
print(f"best of the search: {search.best_params_}")
print(f"its accuracy: {search.score(X_test, y_test):.3f}")
