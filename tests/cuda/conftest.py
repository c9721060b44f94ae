"""A GPU for tests: the emulated one."""

import pytest

from tests.cuda import emulator


@pytest.fixture
def emulated_gpu():
    """A GPU whose kernels run in Python; returns its driver, see `emulator.gpu`."""
    with emulator.gpu() as driver:
        yield driver
