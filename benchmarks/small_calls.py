"""Calls on one row or a few, nnfit's and scikit-learn's in turns.

Prints the median milliseconds of each and the median of their ratios: what a server of
single predictions waits for. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, if set, slow
scikit-learn.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
from scipy.sparse import random as random_matrix
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import nnfit

N_ROWS = 400


def predictions():
    """Name, fitted model of either library and rows, for each kind of row."""
    import pandas as pd  # asv, which imports all of benchmarks/, does without

    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N_ROWS)
    X = rng.normal(size=(N_ROWS, 20))
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(20)])
    sparse = random_matrix(N_ROWS, 2000, density=0.05, format="csr", random_state=0)
    kinds = {
        "an array": (X, X[:1]),
        "a list of lists": (X, X[:1].tolist()),
        "integers": (X, (3 * X[:1]).astype(int)),
        "a DataFrame": (table, table[:1]),
        "a sparse matrix": (sparse, sparse[:1]),
    }
    for name, (rows, one) in kinds.items():
        models = [
            library.MLPClassifier(max_iter=3, random_state=0).fit(rows, y)
            for library in (nnfit, neural_network)
        ]
        for method in ("predict", "predict_proba"):
            calls = [getattr(model, method) for model in models]
            yield f"{method}, a row of {name}", [(call, one) for call in calls]


def fits():
    """The same for fits by L-BFGS on a few rows."""
    rng = np.random.default_rng(0)
    for n_rows in (8, 20, 100):
        X, y = rng.normal(size=(n_rows, 5)), rng.integers(0, 2, n_rows)
        models = [
            library.MLPClassifier((5,), solver="lbfgs", max_iter=10, random_state=0)
            for library in (nnfit, neural_network)
        ]
        yield f"fit, lbfgs, {n_rows} rows", [(model.fit, X, y) for model in models]


def compare(calls, repeats):
    """Median milliseconds of both, and the median ratio."""
    times = []
    for _ in range(repeats + 5):
        marks = [time.perf_counter()]
        for call, *arguments in calls:
            call(*arguments)
            marks.append(time.perf_counter())
        times.append(np.diff(marks))
    times = np.array(times[5:])
    return *np.median(1e3 * times, axis=0), statistics.median(times[:, 0] / times[:, 1])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'':36} {'nnfit ms':>9} {'scikit-learn ms':>16} {'ratio':>6}")
    for name, calls in (*predictions(), *fits()):
        ours, theirs, ratio = compare(calls, options.repeats)
        print(f"{name:36} {ours:9.3f} {theirs:16.3f} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    main()
