"""Models of earlier releases, which later ones must load.

``python -m tests.old_models FOLDER`` fits some with the nnfit that is imported and
writes them to ``FOLDER/models-VERSION.pickle``, with rows and what they predict for
them; ``tests/test_old_models.py`` reads all that are there. Runs with any release.
"""

import pickle
import sys
from pathlib import Path

import numpy as np

import nnfit
from nnfit import MLPClassifier, MLPRegressor


def rows():
    """A few rows, and targets of three classes, of labels and of numbers."""
    X = np.random.default_rng(0).normal(size=(60, 4)).round(3)
    total = X.sum(axis=1)
    classes = np.array(["low", "middle", "high"])[np.digitize(total, [-1.0, 1.0])]
    labels = np.column_stack([total > 0, X[:, 0] > 0]).astype(int)
    return X, classes, labels, total.round(3)


def models():
    """Fitted estimators by what is special with them."""
    X, classes, labels, numbers = rows()
    small = {"hidden_layer_sizes": (5,), "max_iter": 8, "random_state": 0, "tol": 0.0}
    return {
        "classes": MLPClassifier(**small, class_weight="balanced").fit(X, classes),
        "labels": MLPClassifier(**small, activation="tanh").fit(X, labels),
        "early stopping": MLPClassifier(**small, early_stopping=True).fit(X, classes),
        "numbers": MLPRegressor(**small, loss="huber").fit(X, numbers),
        "far numbers": MLPRegressor(**small).fit(X, 1e6 + numbers),
        "lbfgs": MLPRegressor(**small, solver="lbfgs").fit(X, numbers),
        "warm start": MLPRegressor(**small, warm_start=True).fit(X, numbers),
        "partial fit": MLPClassifier(**small).partial_fit(
            X, classes, classes=np.unique(classes)
        ),
    }


def write(folder):
    """Write the file and return its path."""
    X = rows()[0]
    fitted = models()
    methods = {
        name: "predict_proba" if hasattr(model, "predict_proba") else "predict"
        for name, model in fitted.items()
    }
    kept = {
        name: {
            "pickle": pickle.dumps(model),
            "method": methods[name],
            "output": getattr(model, methods[name])(X[:5]),
        }
        for name, model in fitted.items()
    }
    path = Path(folder) / f"models-{nnfit.__version__}.pickle"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"X": X[:5], "models": kept}))
    return path


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(write(sys.argv[1]))
