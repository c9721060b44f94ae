"""Epoch times of nnfit and scikit-learn, taken in turns in one run, on one thread.

From the root of the checkout::

    python -m benchmarks.compare_sklearn
    python -m benchmarks.compare_sklearn tiny digits --repeats 9 --json result.json

Both train the same network with the same parameters on the same float32 data. The
time of an epoch is a long fit less a short one, over the difference of their epochs;
the table shows medians, and the accuracy both have reached after the long fit. The
GFLOP/s count the matrix products only.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

from .shapes import SHAPES, make_data
from .timing import fit, seconds_per_epoch

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


def compare(name, estimators, repeats):
    """Median milliseconds per epoch and accuracy of each estimator on one shape."""
    X, y, X_test, y_test = make_data(name)
    accuracy = {}
    for library, estimator in estimators.items():  # also warms caches
        model, _ = fit(estimator, name, SHAPES[name].long, X, y)
        accuracy[library] = float(model.score(X_test, y_test))
    seconds = {library: [] for library in estimators}
    for _ in range(repeats):
        for library, estimator in estimators.items():
            seconds[library].append(seconds_per_epoch(estimator, name, X, y))
    result = {}
    for library in estimators:
        median = statistics.median(seconds[library])
        result[library] = {
            "ms_per_epoch": 1000 * median,
            "all_ms_per_epoch": [1000 * s for s in seconds[library]],
            "gflops": SHAPES[name].flops_per_epoch / median / 1e9,
            "accuracy": accuracy[library],
        }
    return result


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare_sklearn",
        description=__doc__.split("\n", 1)[0],
    )
    parser.add_argument("shapes", nargs="*", metavar="shape", help=", ".join(SHAPES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    options = parser.parse_args()
    unknown = set(options.shapes) - set(SHAPES)
    if unknown:
        parser.error(f"unknown shape {sorted(unknown)}; choose from {list(SHAPES)}")
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")

    # BLAS reads its number of threads when it is loaded, so one thread needs a
    # process that starts with these variables set.
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", "benchmarks.compare_sklearn", *sys.argv[1:]]
        environment = {**os.environ, **ONE_THREAD}
        sys.exit(subprocess.run(command, env=environment).returncode)

    import sklearn
    from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

    import nnfit

    estimators = {"nnfit": nnfit.MLPClassifier, "scikit-learn": SklearnMLPClassifier}
    print(
        f"nnfit {nnfit.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}; one thread; "
        f"median of {options.repeats}\n"
    )
    print(
        f"{'':8}{'ms per epoch':^24}{'':8}{'GFLOP/s':^22}{'accuracy':^22}\n"
        f"{'shape':8}{'nnfit':>10}{'scikit-learn':>14}{'ratio':>8}"
        + 2
        * f"{'nnfit':>8}{'scikit-learn':>14}"
    )
    results = {}
    for name in options.shapes or SHAPES:
        results[name] = result = compare(name, estimators, options.repeats)
        ours, theirs = result["nnfit"], result["scikit-learn"]
        ratio = theirs["ms_per_epoch"] / ours["ms_per_epoch"]
        print(
            f"{name:8}{ours['ms_per_epoch']:10.3f}{theirs['ms_per_epoch']:14.3f}"
            f"{ratio:8.2f}{ours['gflops']:8.1f}{theirs['gflops']:14.1f}"
            f"{ours['accuracy']:8.3f}{theirs['accuracy']:14.3f}",
            flush=True,
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
