"""
Rare classes
============

What ``class_weight`` does to recall and precision, where one row in fifty belongs to
class 1.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.metrics import (
    PrecisionRecallDisplay,
    balanced_accuracy_score,
    precision_score,
    recall_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier

X, y = make_classification(
    n_samples=10_000,
    n_features=20,
    n_informative=8,
    weights=[0.98],
    class_sep=0.7,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# Weights move the point where the classes are told apart: more of the rare ones are
# found, at the price of more false alarms. The circles are that point, the curves what
# other thresholds of the probability would give with the same models.

figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
print(f"{'class_weight':24}{'recall':>8}{'precision':>11}{'balanced accuracy':>19}")
for class_weight in (None, {0: 1, 1: 5}, "balanced"):
    net = MLPClassifier(
        (32,),
        alpha=1.0,
        max_iter=400,
        tol=1e-3,
        class_weight=class_weight,
        random_state=0,
    )
    model = make_pipeline(StandardScaler(), net).fit(X_train, y_train)
    predicted = model.predict(X_test)
    recall = recall_score(y_test, predicted)
    precision = precision_score(y_test, predicted, zero_division=0)
    print(
        f"{class_weight!s:24}{recall:8.3f}{precision:11.3f}"
        f"{balanced_accuracy_score(y_test, predicted):19.3f}"
    )
    display = PrecisionRecallDisplay.from_estimator(
        model, X_test, y_test, name=str(class_weight), ax=axes
    )
    axes.plot(recall, precision, "o", color=display.line_.get_color())
plt.show()
