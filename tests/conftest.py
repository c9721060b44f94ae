"""Which engine the tests of the estimators run on."""

import os

import pytest
from hypothesis import settings

from nnfit.training import device
from tests import numpy_engine

# What lands must not depend on which examples were drawn that day.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def use_numpy_engine(patch):
    """Put the NumPy engine in the place of the compiled one."""
    patch.setattr(device, "load_engine", lambda: numpy_engine)


@pytest.fixture(params=["compiled", "numpy"])
def any_engine(request, monkeypatch):
    """Run a test on the compiled engine and on the NumPy one."""
    if request.param == "numpy":
        use_numpy_engine(monkeypatch)
    return request.param
