"""Time of an epoch and accuracy after a fixed number of epochs, side by side:
speed without score means nothing."""

import statistics

from nnfit import MLPClassifier

from .shapes import SHAPES, make_data
from .timing import fit, seconds_per_epoch


class Fit:
    params = list(SHAPES)
    param_names = ["shape"]

    def setup(self, name):
        self.X, self.y, self.X_test, self.y_test = make_data(name)
        fit(MLPClassifier, name, 1, self.X, self.y)  # compiles, or loads

    def track_epoch(self, name):
        return 1000 * statistics.median(
            seconds_per_epoch(MLPClassifier, name, self.X, self.y) for _ in range(3)
        )

    track_epoch.unit = "ms"

    def track_accuracy(self, name):
        model, _ = fit(MLPClassifier, name, SHAPES[name].scored, self.X, self.y)
        return model.score(self.X_test, self.y_test)

    track_accuracy.unit = "accuracy"
