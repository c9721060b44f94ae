"""Time of an epoch and score after a fixed number of epochs, side by side:
speed without score means nothing."""

import statistics

import nnfit

from .brief import values
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
            for _ in range(3)
        )

    track_epoch.unit = "ms"

    def track_score(self, name):
        return self.fit(name, SHAPES[name].scored).score(self.X_test, self.y_test)

    track_score.unit = "accuracy or R²"
