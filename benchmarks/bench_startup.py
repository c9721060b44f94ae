"""What a new process pays: the import, and the first fit with an empty and with a
filled cache of compiled kernels."""

import os
import subprocess
import sys
import tempfile

from .brief import few

FIRST_FIT = """
import time
import numpy as np
import sklearn.neural_network
from nnfit import MLPClassifier
X = np.random.default_rng(0).standard_normal((100, 5), dtype=np.float32)
y = (X[:, 0] > 0).astype(int)
model = MLPClassifier((10,), max_iter=1, tol=0.0, random_state=0)
start = time.perf_counter()
import warnings
warnings.simplefilter("ignore")
model.fit(X, y)
print(time.perf_counter() - start)
"""


def seconds_of_first_fit(cache_dir):
    """Seconds of ``fit`` in a new process, scikit-learn being imported already."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FIT],
        env=dict(os.environ, NUMBA_CACHE_DIR=cache_dir),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


class Startup:
    timeout = 300

    def timeraw_import(self):
        return "import nnfit"

    def timeraw_import_estimators(self):
        return "from nnfit import MLPClassifier, MLPRegressor"

    def timeraw_import_sklearn(self):
        """The part of the former that is scikit-learn's own."""
        return "import sklearn.neural_network"

    def track_first_fit_cold(self):
        with tempfile.TemporaryDirectory() as cache_dir:
            return seconds_of_first_fit(cache_dir)

    track_first_fit_cold.unit = "s"

    def track_first_fit_cached(self):
        with tempfile.TemporaryDirectory() as cache_dir:
            seconds_of_first_fit(cache_dir)
            return min(seconds_of_first_fit(cache_dir) for _ in range(few(3)))

    track_first_fit_cached.unit = "s"
