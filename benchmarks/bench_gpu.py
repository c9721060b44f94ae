"""Fits, predictions and kernels on a GPU; all are skipped where there is none.

`bench_population` has searches on one.
"""

from . import bench_fit, bench_predict
from .brief import values
from .shapes import SHAPES, shapes_for


def need_gpu():
    """Skip a benchmark, in the way of asv, where no GPU can be used."""
    from nnfit.training.device import resolve

    if resolve("auto") == "cpu":
        raise NotImplementedError


class FitOnGpu(bench_fit.Fit):
    """Time of an epoch and score, as on the CPU."""

    params = values(shapes_for("cuda"))
    device = "cuda"

    def setup(self, name):
        need_gpu()
        super().setup(name)


class PredictOnGpu(bench_predict.Predict):
    """Many rows; a single one is predicted on the CPU."""

    params = values(shapes_for("cuda", "classification"))
    device = "cuda"

    def setup(self, name):
        need_gpu()
        super().setup(name)


class Batch:
    """A batch of training by the engine alone."""

    params = values(shapes_for("cuda"))
    param_names = ["shape"]

    def setup(self, name):
        need_gpu()
        from .gpu.operations import Timer, make_engine

        shape = SHAPES[name]
        self.seconds = Timer(
            make_engine(shape.sizes, shape.batch_size)
        ).seconds_of_batch()

    def track_batch(self, name):
        return 1e6 * self.seconds

    track_batch.unit = "µs"

    def track_share_of_peak(self, name):
        from .gpu.peaks import Peaks

        shape = SHAPES[name]
        operations = shape.flops_per_epoch * shape.batch_size / shape.n_samples
        return 100 * operations / self.seconds / (1e9 * Peaks().float32_gflops())

    track_share_of_peak.unit = "%"
