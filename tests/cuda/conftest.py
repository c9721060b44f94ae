"""A GPU for tests: the emulated one."""

import pytest

from tests.cuda import emulator, tiles


@pytest.fixture
def emulated_gpu():
    """A GPU whose kernels run in Python; returns its driver, see `emulator.gpu`."""
    with emulator.gpu() as driver:
        yield driver


@pytest.fixture
def small_gpu():
    """The same, where the engine's blocks have one thread; see `tiles.small_gpu`."""
    with tiles.small_gpu() as driver:
        yield driver
