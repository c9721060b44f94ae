"""Networks a second in searches: PopulationSearchCV and GridSearchCV, in turns.

Candidates with different learning rates and penalties are scored in folds of
scikit-learn's digits. Each turn runs every kind of search once; prints networks a
second, the medians, and how many times more they are than those of the fastest grid
search.
"""

import argparse
import platform
import statistics
import time
import warnings

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import nnfit
from nnfit import MLPClassifier, PopulationSearchCV


def make_grid(n_candidates):
    """Learning rates and penalties, so many in all, or a few more."""
    n_rates = round(n_candidates**0.5)
    n_penalties = -(-n_candidates // n_rates)
    return {
        "learning_rate_init": np.geomspace(1e-3, 3e-2, n_rates).tolist(),
        "alpha": np.geomspace(1e-5, 1e-1, n_penalties).tolist(),
    }


def make_searches(options):
    """Name and function that makes a search, without refitting, of each kind."""
    grid = make_grid(options.candidates)

    def make(kind, device, n_jobs):
        net = MLPClassifier(
            hidden_layer_sizes=tuple(options.hidden),
            max_iter=options.max_iter,
            random_state=0,
            device=device,
        )
        return kind(net, grid, cv=options.folds, n_jobs=n_jobs, refit=False)

    rows = [
        (GridSearchCV, "cpu", 1),
        (GridSearchCV, "cpu", options.jobs),
        (PopulationSearchCV, "cpu", options.jobs),
    ]
    if options.device != "cpu":
        rows += [(GridSearchCV, options.device, 1)]
        rows += [(PopulationSearchCV, options.device, None)]
    return {
        f"{kind.__name__}, {device}, n_jobs={n_jobs}": (
            lambda row=(kind, device, n_jobs): make(*row)
        )
        for kind, device, n_jobs in rows
    }


def networks_a_second(search, X, y):
    """Networks that a search has trained and scored, each second."""
    started = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - started
    return len(search.cv_results_["params"]) * search.n_splits_ / seconds


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.population", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--device", default="cpu", help="beside the CPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--hidden", type=int, nargs="+", default=[32])
    parser.add_argument("--max-iter", type=int, default=30)
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    print(
        f"nnfit {nnfit.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}; about "
        f"{options.candidates} candidates in {options.folds} folds, layers of "
        f"{options.hidden}, {options.max_iter} epochs; networks a second\n"
    )
    searches = make_searches(options)
    for make in searches.values():  # compiles, or loads
        networks_a_second(make(), X, y)
    speeds = {name: [] for name in searches}
    for turn in range(options.repeats):
        for name, make in searches.items():
            speeds[name].append(networks_a_second(make(), X, y))
            print(f"{turn + 1}  {name:40}{speeds[name][-1]:8.1f}", flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    best = max(value for name, value in medians.items() if name.startswith("Grid"))
    print()
    for name, value in medians.items():
        print(f"{name:43}{value:8.1f}{value / best:8.2f} times the best grid search")


if __name__ == "__main__":
    # Workers are processes of their own and print their own warnings.
    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
