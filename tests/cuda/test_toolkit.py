"""What is said where CUDA cannot be used, and when nothing is said."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nnfit.cuda import toolkit
from nnfit.cuda.driver import open_device
from nnfit.cuda.toolkit import CudaUnavailable
from tests.cuda import emulator
from tests.cuda.emulator import CUresult

RESTRICTED = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def no_restriction(monkeypatch):
    monkeypatch.delenv(RESTRICTED, raising=False)


def test_no_problem(emulated_gpu):
    assert toolkit.problem() is None
    assert toolkit.device_count() == 1


def installed(monkeypatch, *packages):
    monkeypatch.setattr(
        toolkit, "version", {package: "13.0" for package in packages}.get
    )


@pytest.mark.parametrize(
    "packages, missing",
    [
        ([], "numba-cuda"),
        (["cuda-bindings"], "numba-cuda"),
        (["numba-cuda"], "cuda-bindings"),
    ],
)
def test_package_that_is_not_installed(monkeypatch, emulated_gpu, packages, missing):
    installed(monkeypatch, *packages)
    problem = toolkit.problem()
    assert f"the package {missing}, which is not installed" in problem
    assert 'pip install "nnfit[cuda]"' in problem
    assert '"nnfit[cuda12]" for a driver of CUDA 12' in problem
    with pytest.raises(CudaUnavailable, match=f"{missing}, which is not installed"):
        open_device(0)


def test_compiler_that_is_not_installed(monkeypatch):
    installed(monkeypatch)
    with pytest.raises(CudaUnavailable, match="numba-cuda, which is not installed"):
        toolkit.compiler()


def test_package_that_cannot_be_imported(emulated_gpu):
    # Undone before the emulated driver goes, or it would be put back after.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cuda.bindings.driver", None)
        problem = toolkit.problem()
        assert toolkit.device_count() == 0
    assert "the module cuda.bindings.driver, which cannot be imported" in problem
    assert 'pip install "nnfit[cuda]"' in problem


@pytest.mark.parametrize("is_there", [True, False])
def test_a_name_that_numpy_may_not_have(monkeypatch, is_there):
    """numba-cuda 0.30 looks it up; NumPy 2.5 has it no more."""
    name = toolkit._FORMER_NAME
    monkeypatch.setattr(np, name, np.vstack, raising=False)
    if not is_there:
        monkeypatch.delattr(np, name)
    with toolkit.names_of_numpy():
        assert getattr(np, name)(([1], [2])).tolist() == [[1], [2]]
    assert hasattr(np, name) == is_there


def test_no_driver(monkeypatch, emulated_gpu):
    def cuInit(flags):
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(emulated_gpu, "cuInit", cuInit, raising=False)
    assert toolkit.problem().startswith("No NVIDIA driver was found on this machine")
    with pytest.raises(CudaUnavailable, match="No NVIDIA driver"):
        open_device(0)


def test_the_real_bindings_say_that_there_is_no_driver():
    """Or the machine has a driver, and `problem` an answer; in a process of its own."""
    pytest.importorskip("cuda.bindings.driver")
    code = "from nnfit.cuda import toolkit; print(toolkit.problem())"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.startswith(("No NVIDIA driver", "The NVIDIA driver", "None", "CUDA"))


def test_no_device(monkeypatch):
    with emulator.gpu(n_devices=0):
        assert toolkit.problem() == "The NVIDIA driver finds no CUDA device."
        assert toolkit.device_count() == 0
    monkeypatch.setenv(RESTRICTED, "")
    with emulator.gpu(n_devices=0):
        assert toolkit.problem() == (
            "The NVIDIA driver finds no CUDA device (CUDA_VISIBLE_DEVICES='')."
        )


@pytest.mark.parametrize(
    "n_devices, visible", [(1, "one is visible"), (2, "2 are visible")]
)
def test_device_that_does_not_exist(monkeypatch, n_devices, visible):
    with emulator.gpu(n_devices=n_devices):
        assert toolkit.problem(n_devices - 1) is None
        problem = toolkit.problem(n_devices)
        assert problem.startswith(f"There is no CUDA device {n_devices}: {visible}, ")
        monkeypatch.setenv(RESTRICTED, "3")
        assert "(CUDA_VISIBLE_DEVICES='3')" in toolkit.problem(-1)


@pytest.mark.parametrize(
    "version, expected",
    [
        (12080, "The NVIDIA driver is for CUDA 12, the packages for CUDA 13: update"),
        (13000, None),
        (14000, None),
    ],
)
def test_driver_of_another_version(version, expected):
    with emulator.gpu(version=version):
        problem = toolkit.problem()
    if expected is None:
        assert problem is None
    else:
        assert problem.startswith(expected)
        assert 'pip install "nnfit[cuda12]"' in problem


def test_driver_before_cuda_12(monkeypatch):
    with emulator.gpu(version=11080):
        monkeypatch.setattr(
            toolkit, "version", {"numba-cuda": "0.30", "cuda-bindings": "12.9.1"}.get
        )
        assert toolkit.problem() == (
            "The NVIDIA driver is for CUDA 11, the packages for CUDA 12: update it."
        )


@pytest.mark.parametrize(
    "capability, is_supported", [((7, 0), False), ((7, 5), True), ((12, 0), True)]
)
def test_compute_capability(capability, is_supported):
    with emulator.gpu(compute_capability=capability):
        problem = toolkit.problem()
    if is_supported:
        assert problem is None
    else:
        assert problem == (
            "CUDA device 0, Emulated GPU, has compute capability 7.0; nnfit needs 7.5 "
            "or newer."
        )


@pytest.mark.parametrize(
    "code, message",
    [
        (CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "restart the machine"),
        (CUresult.CUDA_ERROR_NOT_INITIALIZED, "forked from one that had used CUDA"),
        (CUresult.CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE. Does `nvidia-"),
    ],
)
def test_driver_that_does_not_start(emulated_gpu, code, message):
    emulated_gpu.failures["cuInit"] = code
    assert message in toolkit.problem()


def test_problem_is_looked_for_once(emulated_gpu):
    emulated_gpu.failures["cuInit"] = CUresult.CUDA_ERROR_NO_DEVICE
    first = toolkit.problem()
    emulated_gpu.failures.clear()
    assert toolkit.problem() == first
    assert emulated_gpu.calls.count("cuInit") == 1


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_child(work):
    """What a function returns in a forked child, a string."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(work()).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


# Python warns where other threads live, of earlier tests or of BLAS.
@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
class TestFork:
    def test_child_of_a_process_that_used_cuda(self, emulated_gpu):
        stream = open_device(0).stream()
        buffer = stream.empty(3, "float32")
        calls = len(emulated_gpu.calls)
        for work in (
            toolkit.problem,
            lambda: open_device(0),
            buffer.get,
            toolkit.bindings,
        ):
            text = in_child(work)
            assert "forked from one that had used CUDA" in text
            assert '"spawn" or "forkserver"' in text and '"loky"' in text
        assert toolkit.problem() is None
        assert len(emulated_gpu.calls) == calls, "none since"

    def test_child_frees_nothing(self, emulated_gpu):
        buffer = open_device(0).stream().empty(3, "float32")

        def work():
            before = len(emulated_gpu.calls)
            buffer.free()
            return len(emulated_gpu.calls) - before

        assert in_child(work) == "0"
        assert buffer.get().shape == (3,)

    def test_child_of_a_process_that_did_not(self, emulated_gpu):
        assert in_child(toolkit.problem) == "None"

    def test_child_looks_for_a_problem_again(self, emulated_gpu):
        emulated_gpu.failures["cuInit"] = CUresult.CUDA_ERROR_NO_DEVICE
        assert toolkit.problem() is not None

        def work():
            emulated_gpu.failures.clear()
            return toolkit.problem()

        assert in_child(work) == "None"
