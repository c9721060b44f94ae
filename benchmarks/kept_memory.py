"""Memory that fits leave behind, with the garbage collector off.

Prints the resident megabytes of the process before the fits and after every tenth of
them, of nnfit and of scikit-learn, each in a process of its own. Linux only.
"""

import argparse
import gc
import os
import subprocess
import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

LIBRARIES = ("nnfit", "sklearn.neural_network")


def resident():
    """Megabytes of this process in memory."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def fit_often(library, n_fits, n_rows):
    """Fit for one epoch, often, and print the memory."""
    regressor = __import__(library, fromlist=["MLPRegressor"]).MLPRegressor
    X = np.random.default_rng(0).standard_normal((n_rows, 100))
    y = X[:, 0].copy()
    model = regressor(hidden_layer_sizes=(16,), max_iter=1, random_state=0)
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X[:1000], y[:1000])
    gc.collect()
    gc.disable()
    sizes = [resident()]
    for number in range(1, n_fits + 1):
        model.fit(X, y)
        if number % max(1, n_fits // 10) == 0:
            sizes.append(resident())
    print(f"{library:23}", *(f"{size:5.0f}" for size in sizes), flush=True)


def main():
    """Print a line for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=50)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--library", choices=LIBRARIES)
    options = parser.parse_args()
    if options.library:
        fit_often(options.library, options.fits, options.rows)
        return
    for library in LIBRARIES:
        command = [sys.executable, "-m", "benchmarks.kept_memory", *sys.argv[1:]]
        subprocess.run([*command, "--library", library], check=True)


if __name__ == "__main__":
    main()
