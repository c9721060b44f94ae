"""Time of an epoch and score after a fixed number of epochs, side by side: speed
without score means nothing. And the time as a share of what the processor can."""

import statistics

import nnfit
from nnfit.training.threads import usable_processors

from .bench_kernels import peak_gflops
from .brief import few, values
from .shapes import SHAPES, make_data, shapes_for
from .timing import fit, seconds_per_epoch


class Fit:
    params = values(shapes_for("cpu"))
    param_names = ["shape"]
    device = "cpu"

    def setup(self, name):
        self.X, self.y, self.X_test, self.y_test = make_data(name)
        self.fit(name, 1)  # compiles, or loads

    def fit(self, name, epochs):
        return fit(nnfit, name, epochs, self.X, self.y, device=self.device)

    def track_epoch(self, name):
        return 1000 * statistics.median(
            seconds_per_epoch(
                lambda epochs: self.fit(name, epochs), SHAPES[name].on(self.device)
            )
            for _ in range(few(3))
        )

    track_epoch.unit = "ms"

    def track_score(self, name):
        return self.fit(name, SHAPES[name].scored).score(self.X_test, self.y_test)

    track_score.unit = "accuracy or R²"


class ShareOfPeak:
    """What an epoch's products reach of the multiply-adds on registers of as many
    threads, measured in turns."""

    params = values(shapes_for("cpu"), [1, 2])
    param_names = ["shape", "n_jobs"]

    def setup(self, name, n_jobs):
        if n_jobs > usable_processors():
            raise NotImplementedError  # asv skips it
        self.X, self.y, *_ = make_data(name)
        self.fit(name, 1, n_jobs)  # compiles, or loads

    def fit(self, name, epochs, n_jobs):
        return fit(nnfit, name, epochs, self.X, self.y, n_jobs=n_jobs)

    def track_share(self, name, n_jobs):
        shape, shares = SHAPES[name], []
        for _ in range(few(3)):
            peak = 1e9 * peak_gflops("float32", n_jobs)
            seconds = seconds_per_epoch(
                lambda epochs: self.fit(name, epochs, n_jobs), shape
            )
            shares.append(shape.flops_per_epoch / seconds / peak)
        return 100 * statistics.median(shares)

    track_share.unit = "%"
