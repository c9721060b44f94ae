"""Which engine the tests of the estimators run on."""

import pytest

from nnfit.training import device
from tests import numpy_engine


def use_numpy_engine(patch):
    """Put the NumPy engine in the place of the compiled one."""
    patch.setattr(device, "load_engine", lambda: numpy_engine)


@pytest.fixture(params=["compiled", "numpy"])
def any_engine(request, monkeypatch):
    """Run a test on the compiled engine and on the NumPy one."""
    if request.param == "numpy":
        use_numpy_engine(monkeypatch)
    return request.param
