"""Peak memory of a process that fits, data and imports included."""

from nnfit import MLPClassifier

from .shapes import SHAPES, make_data
from .timing import fit


class Memory:
    params = list(SHAPES)
    param_names = ["shape"]

    def setup(self, name):
        self.X, self.y, _, _ = make_data(name)

    def peakmem_data(self, name):
        """What the process holds before it fits, to subtract."""

    def peakmem_fit(self, name):
        fit(MLPClassifier, name, 1, self.X, self.y)
