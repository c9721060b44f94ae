"""
Few labels, many rows
=====================

Labels are dear and rows are cheap: here 200 rows have labels, and all of the training
rows go into pretraining without them. Whether that helps depends on the table. Three
are tried over ten seeds, with the same network, rows and epochs each time; only the
weights that training starts from differ.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nnfit import ContrastivePretrainer, MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
SEEDS, SIZES = range(10), (128, 128)
TABLES = {
    "digits": load_digits(return_X_y=True),
    "clusters": make_classification(
        3000, 30, n_informative=12, n_redundant=10, n_classes=4, random_state=0
    ),
    "breast cancer": load_breast_cancer(return_X_y=True),
}
PRETRAINERS = {"contrast": ContrastivePretrainer}


def accuracies(X, y, seed):
    """Accuracy with new weights, then with those of each pretrainer."""
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    few, _, y_few, _ = train_test_split(
        X, y, train_size=200, stratify=y, random_state=seed
    )
    found = []
    for pretrainer in (None, *PRETRAINERS.values()):
        start = None
        if pretrainer is not None:
            start = pretrainer(SIZES, max_iter=50, random_state=seed).fit(X)
        network = MLPClassifier(SIZES, init_from=start, random_state=seed)
        found.append(network.fit(few, y_few).score(X_test, y_test))
    return found


# %%
# Means and standard deviations over the seeds, and in how many of them the pretrained
# network is the better one:

columns = ("new weights", *PRETRAINERS)
results = {}
print(f"{'':14}" + "".join(f"{name:>20}" for name in columns))
for table, (X, y) in TABLES.items():
    found = results[table] = np.array([accuracies(X, y, seed) for seed in SEEDS])
    better = (found > found[:, :1]).sum(axis=0)
    cells = [
        f"{mean:.3f} ±{spread:.3f} ({count:2})"
        for mean, spread, count in zip(
            found.mean(axis=0), found.std(axis=0), better, strict=True
        )
    ]
    print(f"{table:14}" + "".join(f"{cell:>20}" for cell in cells))

# %%
# Each line is a seed:

figure, axes = plt.subplots(
    1, len(results), figsize=(3 * len(results), 3.2), layout="constrained"
)
for ax, (table, found) in zip(axes, results.items(), strict=True):
    ax.plot(columns, found.T, color="0.7", marker="o", markersize=3, linewidth=1)
    ax.errorbar(
        columns, found.mean(axis=0), found.std(axis=0),
        color="C0", marker="s", linewidth=2, capsize=4,
    )  # fmt: skip
    ax.set(title=table)
    ax.margins(x=0.2)
axes[0].set_ylabel("accuracy")
plt.show()
