"""What tests share: the engine they run on, an empty cache."""

import os
import re

import pytest
from hypothesis import settings

from nnfit import compiling
from nnfit.training import device
from tests import numpy_engine

# What lands must not depend on which examples were drawn that day.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def use_numpy_engine(patch):
    """Put the NumPy engine in the place of the compiled one."""
    patch.setattr(device, "load_engine", lambda device="cpu": numpy_engine)


def identify(value):
    """Name of a parametrised test without addresses, the same in every process."""
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", str(value))


#: Engines that `any_engine` runs a test on: functions that put one in the place of the
#: CPU's, whatever device an estimator asks for, or None.
ENGINES = {"compiled": None, "numpy": use_numpy_engine}


@pytest.fixture(params=ENGINES)
def any_engine(request, monkeypatch):
    """Run a test on every engine; returns its name."""
    use_engine = ENGINES[request.param]
    if use_engine is not None:
        use_engine(monkeypatch)
    return request.param


@pytest.fixture
def naive_engine(monkeypatch):
    """Run a test on the NumPy engine alone."""
    use_numpy_engine(monkeypatch)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache in a process that has loaded nothing; returns its folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "_loaded", {})
    monkeypatch.setattr(compiling, "_announced", True)
    return tmp_path / "nnfit"
