"""What trials share: how many rounds, which seed, and where figures go."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

#: Share of the rounds of ``python -m tests.trials``.
SHARE = float(os.environ.get("NNFIT_TRIALS", 0))
SEED = int(os.environ.get("NNFIT_TRIALS_SEED", 0))


def pytest_collection_modifyitems(items):
    """All trials are slow, and look at processes as Linux shows them."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="trials need /proc"))


class Trial:
    """One run of a trial.

    Parameters
    ----------
    note : callable
        Takes a line of figures.

    Attributes
    ----------
    rng : numpy.random.Generator
        Of all that the trial draws.
    """

    def __init__(self, note):
        self._note = note
        self.rng = np.random.default_rng(SEED)

    def rounds(self, full, fewest):
        """How many rounds to make, at least `fewest`."""
        return max(fewest, round(SHARE * full))

    def figure(self, text):
        """Print a line at the end of the tests."""
        self._note(f"{text} (seed {SEED})")


@pytest.fixture
def trial(record_property):
    return Trial(lambda text: record_property("figure", text))
