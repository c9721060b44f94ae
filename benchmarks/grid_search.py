"""A grid search over networks, with nnfit and with scikit-learn, in turns.

24 candidates in 5 folds of scikit-learn's digits, in two processes, as somebody would
run it. Prints the seconds of each search, their ratio and the best scores.
"""

import argparse
import platform
import statistics
import time
import warnings

import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

import nnfit

GRID = {
    "hidden_layer_sizes": [(50,), (100,), (50, 50)],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [1e-3, 1e-2],
    "activation": ["relu", "tanh"],
}


def search(estimator, max_iter, n_jobs, X, y):
    """Seconds and best score of a search."""
    model = estimator(max_iter=max_iter, random_state=0)
    grid = GridSearchCV(model, GRID, cv=5, n_jobs=n_jobs)
    started = time.perf_counter()
    grid.fit(X, y)
    return time.perf_counter() - started, grid.best_score_


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grid_search", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--max-iter", type=int, default=50)
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X = X / 16
    estimators = {"nnfit": nnfit.MLPClassifier, "scikit-learn": SklearnMLPClassifier}
    print(
        f"nnfit {nnfit.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}; n_jobs="
        f"{options.jobs}, at most {options.max_iter} epochs; seconds a search\n"
    )
    seconds = {library: [] for library in estimators}
    for turn in range(options.repeats):
        for library, estimator in estimators.items():
            taken, score = search(estimator, options.max_iter, options.jobs, X, y)
            seconds[library].append(taken)
            print(
                f"{turn + 1}  {library:14}{taken:8.2f}  score {score:.4f}", flush=True
            )
    ours, theirs = (statistics.median(values) for values in seconds.values())
    print(f"\nmedian ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    # Workers are processes of their own and print their own warnings.
    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
