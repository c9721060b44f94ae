"""From a builder to machine code: compilation without a GPU, and the cache."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from nnfit import fork_lock
from nnfit.cuda import driver, modules, toolkit
from tests.cuda import emulator
from tests.pairs import in_turn

BUILDER = "tests.cuda.kernels:axpy"
ELF = b"\x7fELF"

compiled = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None,
    reason='numba-cuda is not installed (pip install "nnfit[cuda]")',
)


def architecture(code):
    """Compute capability in the flags of a native image, as 90 for 9.0."""
    flags = int.from_bytes(code[48:52], "little")
    return flags >> 8 & 0xFFFF if code[8] >= 8 else flags & 0xFF


@compiled
@in_turn(capability=[(7, 5), (8, 0), (9, 0), (12, 0)], dtype=["float32", "float64"])
def test_kernels_compile_for_every_generation(capability, dtype):
    image = modules.compile_module(BUILDER, (dtype,), capability)
    found, kernels, code = modules.split_image(image)
    assert found == dtype
    assert code.startswith(ELF)
    assert architecture(code) == 10 * capability[0] + capability[1]
    assert {name: n for name, (_, n) in kernels.items()} == {"add": 4, "sum_all": 5}
    for symbol, _ in kernels.values():
        assert f"\0.text.{symbol}\0".encode() in code


@compiled
def test_a_device_newer_than_the_toolkit_gets_ptx():
    image = modules.compile_module(BUILDER, ("float32",), (99, 0))
    _, kernels, code = modules.split_image(image)
    text = code.rstrip(b"\0").decode()
    assert code.endswith(b"\0"), "the driver looks for the end"
    for symbol, _ in kernels.values():
        assert f".entry {symbol}(" in text
    (known,) = re.findall(r"\.target sm_(\d+)", text)
    assert int(known) >= 120


@compiled
def test_a_device_that_the_toolkit_has_dropped():
    with pytest.raises(toolkit.CudaUnavailable, match=r"for compute capability 3\.5"):
        modules.compile_module(BUILDER, ("float32",), (3, 5))


@compiled
def test_parameters_that_are_passed_in_another_way_are_noticed(monkeypatch):
    monkeypatch.setattr(modules, "_ARRAY", 5)
    with pytest.raises(RuntimeError, match="in a way that nnfit does not know"):
        modules.compile_module(BUILDER, ("float32",), (9, 0))


@compiled
def test_an_error_of_the_linker_is_told():
    with pytest.raises(RuntimeError, match="could not be linked: "):
        modules._link([b"no code\0"], "PTX", (9, 0))


@compiled
def test_a_library_that_is_not_found(monkeypatch):
    from cuda.pathfinder import DynamicLibNotFoundError

    def find():
        raise DynamicLibNotFoundError('Failure finding "libnvrtc.so.13": No such file')

    monkeypatch.setattr(toolkit, "compiler_library", find)
    with pytest.raises(toolkit.CudaUnavailable) as caught:
        modules.compile_module(BUILDER, ("float32",), (9, 0))
    assert str(caught.value).startswith(
        'CUDA needs a library that was not found (Failure finding "libnvrtc.so.13"): '
        'pip install "nnfit[cuda]"'
    )


@compiled
def test_parameters_are_where_launches_put_them():
    """Address and integer are read, and at most shape and stride besides."""
    image = modules.compile_module(f"{__name__}:alike", (), (99, 0))
    text = modules.split_image(image)[2].decode()
    longs, integer = 2 * modules._ARRAY, 4 * modules._ARRAY
    read = {
        int(n) for n in re.findall(r"ld\.param\.[\w.]+\s+[^\[]*\[\w+_param_(\d+)", text)
    }
    assert {longs + 4, integer} <= read <= {longs + 4, longs + 5, longs + 6, integer}


@compiled
def test_kernels_of_one_factory():
    image = modules.compile_module(f"{__name__}:alike", (), (9, 0))
    _, kernels, _ = modules.split_image(image)
    assert len({symbol for symbol, _ in kernels.values()}) == 3


def alike(cuda):
    """Kernels whose names are alike, from functions with the same name."""

    def make(value):
        def kernel(memory, doubles, longs, ints, at):
            longs[at] = value

        return kernel, 1

    names = ("set", "set_one", "et")
    return modules.Kernels("float32", {name: make(i) for i, name in enumerate(names)})


# ------------------------------------------------------------------------- cache


@pytest.fixture
def made(monkeypatch, cache):
    """Calls of `compile_module` since the start of the test."""
    calls = []

    def compile_module(builder, arguments, compute_capability):
        calls.append((builder, arguments, compute_capability))
        return modules.join_image("float32", {}, b"code " + str(len(calls)).encode())

    monkeypatch.setattr(modules, "compile_module", compile_module)
    return calls


def find(builder=BUILDER, arguments=("float32",), fingerprint=b"", capability=(9, 0)):
    return modules.find_image(builder, arguments, fingerprint, capability)


def test_a_hit_compiles_nothing(made, cache):
    first = find()
    assert find() == first
    assert len(made) == len(list(cache.glob("*.nnfit"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"builder": "tests.cuda.kernels:other"},
        {"arguments": ("float64",)},
        {"arguments": ("float32", 1)},
        {"fingerprint": b"own"},
        {"capability": (8, 9)},
    ],
    ids=str,
)
def test_the_key_covers(made, change):
    find()
    find(**change)
    assert len(made) == 2


@pytest.mark.parametrize("package", toolkit.PACKAGES)
def test_the_key_covers_the_versions(made, monkeypatch, package):
    find()
    true = toolkit.version
    monkeypatch.setattr(
        toolkit, "version", lambda name: "0.0" if name == package else true(name)
    )
    find()
    assert len(made) == 2


def test_a_function_without_fingerprint_is_compiled_anew(made, cache):
    assert find(fingerprint=None) != find(fingerprint=None)
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"nnfit-object-1\n", b"x" * 1000])
def test_a_damaged_file_is_replaced(made, cache, damage):
    find()
    (path,) = cache.glob("*.nnfit")
    path.write_bytes(damage)
    image = find()
    assert len(made) == 2
    assert find() == image
    assert len(made) == 2


def test_a_folder_that_cannot_be_used(made, monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file))
    find()
    find()
    assert len(made) == 2


@compiled
def test_a_hit_imports_no_compiler(tmp_path):
    code = f"""
import json, sys
from nnfit.cuda import modules
image = modules.find_image({BUILDER!r}, ("float32",), b"", (9, 0))
names = ("numba", "numba_cuda", "cuda.bindings", "cuda.core")
print(json.dumps([name for name in names if name in sys.modules]))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    results = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert [json.loads(result.stdout) for result in results][1] == []
    assert "numba" in json.loads(results[0].stdout)
    assert "compiling kernels" in results[0].stderr
    assert results[1].stderr == ""


# ----------------------------------------------------------------------- loading


def test_a_module_is_loaded_once(emulated_gpu):
    device = driver.open_device(0)
    module = modules.load(device, BUILDER, "float32")
    assert modules.load(device, BUILDER, "float32") is module
    assert modules.load(device, BUILDER, "float64") is not module
    assert modules.load(device, BUILDER, "float32", fingerprint=b"own") is not module
    assert emulated_gpu.calls.count("cuModuleLoadData") == 3


def test_a_module_that_cannot_be_named_is_not_kept(emulated_gpu):
    device = driver.open_device(0)
    one, other = (
        modules.load(device, BUILDER, "float32", fingerprint=None) for _ in range(2)
    )
    assert one is not other


def test_devices_load_their_own(emulated_gpu):
    with emulator.gpu(n_devices=2):
        one, other = (
            modules.load(driver.open_device(number), BUILDER, "float32")
            for number in range(2)
        )
        assert one is not other


def test_a_kernel_that_the_image_lacks(emulated_gpu):
    image = modules.join_image("float32", {"add": ("none", 4)}, b"emulated 0")
    emulated_gpu.image(BUILDER, ("float32",))
    with pytest.raises(driver.CudaError, match="cuModuleGetFunction failed"):
        modules.Module(driver.open_device(0), image)


def test_compiling_waits_for_a_compilation_of_the_cpu(cache, monkeypatch):
    """numba compiles one thing at a time; and a fork waits for it."""
    held = []

    def compile_module(*arguments):
        held.append(fork_lock._lock._is_owned())
        return b"code"

    monkeypatch.setattr(modules, "compile_module", compile_module)
    find()
    assert held == [True]
