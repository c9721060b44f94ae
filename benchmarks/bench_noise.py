"""Fits beside a process that takes a processor now and then, over the better of one and
two threads that stay: 1.15 at most is wanted. `noise` prints all of it."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from . import noise
from .brief import few, values
from .shapes import make_data
from .timing import fit

SECONDS = few(3.0, brief=0.5)


class Noise:
    """The larger ratio of ``n_jobs=None`` and ``n_jobs=2``."""

    params = values(["digits", "cover", "wide"], list(noise.NOISES)[1:])
    param_names = ["shape", "noise"]
    timeout = 120

    def setup(self, shape, name):
        import nnfit

        fit(nnfit, shape, 1, *make_data(shape)[:2])  # compiles, or loads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            medians = noise.measure(shape, name, SECONDS, turns=1)
        self.ratios = noise.over_the_better(medians).values()

    def track_whole_fit(self, shape, name):
        return max(whole for whole, _ in self.ratios)

    def track_windows(self, shape, name):
        """Of the 90th percentiles of windows of 100 ms."""
        return max(windows for _, windows in self.ratios)

    track_whole_fit.unit = track_windows.unit = "times"
