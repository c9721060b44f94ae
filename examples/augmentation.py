"""
Augmentation, and where it does not help
========================================

Rows that mix, swap values or get noise, on four small tables. Each number is a mean
over ten splits, with the standard error of its difference from the plain network.
"""

import warnings

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor

warnings.simplefilter("ignore", ConvergenceWarning)

# All train for eighty epochs, whatever the loss does.
COMMON = dict(
    hidden_layer_sizes=(64, 64),
    solver="adamw",
    learning_rate="cosine",
    learning_rate_init=0.003,
    batch_size=32,
    max_iter=80,
    n_iter_no_change=80,
)
TABLES = {
    "digits": (load_digits, MLPClassifier, {}),
    "breast cancer": (load_breast_cancer, MLPClassifier, {}),
    "wine": (load_wine, MLPClassifier, {}),
    "diabetes": (load_diabetes, MLPRegressor, {"target_scaling": "standard"}),
}
AUGMENTATIONS = {
    "none": {},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "feature_swap": {"feature_swap": 0.1},
    "input_noise": {"input_noise": 0.1},
    "dropout": {"dropout": 0.2},
}


def scores_of(load, estimator, options):
    """Scores of every augmentation, (splits, augmentations)."""
    X, y = load(return_X_y=True)
    stratify = None if estimator is MLPRegressor else y
    scores = []
    for seed in range(10):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, train_size=120, stratify=stratify, random_state=seed
        )
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        nets = (
            estimator(**COMMON, **options, **each, random_state=seed)
            for each in AUGMENTATIONS.values()
        )
        scores.append([net.fit(X_train, y_train).score(X_test, y_test) for net in nets])
    return np.array(scores)


# %%
# 120 rows to train on
# --------------------
#
# Accuracy, of diabetes R².

print(f"{'':14}" + "".join(f"{name:>18}" for name in AUGMENTATIONS))
for name, table in TABLES.items():
    scores = scores_of(*table)
    differences = scores - scores[:, :1]
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(scores))
    cells = (
        f"{mean:10.3f} ± {error:.3f}"
        for mean, error in zip(scores.mean(axis=0), errors, strict=True)
    )
    print(f"{name:14}" + "".join(f"{cell:>18}" for cell in cells))
