"""Start-up: what an import and a first fit load, compile, write and print.

Processes of their own, each with a cache folder of the test. Those that compile
the whole engine take some ten seconds and are marked slow; the others start from
`warm_cache`, a copy of the kernels that this machine's cache already has.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnfit
from nnfit import MLPClassifier
from nnfit.cpu import compiling
from tests.engines import use_processor

NOTICE = "nnfit: compiling kernels for this machine, once (a few seconds)\n"

#: Fits, predicts and scores; prints the weights and what was loaded as JSON.
FIT = """
import json, pathlib, sys, warnings
import numpy as np
from nnfit import MLPClassifier
warnings.simplefilter("ignore")  # three epochs do not converge
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)
model = MLPClassifier((5,), max_iter=3, random_state=0).fit(X, y)
model.predict(X)
model.predict_proba(X)
model.score(X, y)
print(json.dumps({
    "coefs": [c.tolist() for c in model.coefs_],
    "numba": [name for name in sys.modules if name.split(".")[0] == "numba"],
}))
"""
#: Training, batch, dense layers, weights, activation, loss and optimizer of the fit;
#: prediction of all 60 rows.
N_KERNELS = 8


def environment(folder, **variables):
    """This process's, with a cache folder (None: the user's) and more variables."""
    result = {k: v for k, v in os.environ.items() if k != "NNFIT_CPU"}
    if folder is not None:
        result["NUMBA_CACHE_DIR"] = str(folder)
    result["PYTHONPATH"] = str(Path(nnfit.__file__).parents[1])
    return result | variables


def start(code, folder, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Standard output and standard error of a process that must succeed."""
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()  # of use where it hangs
    assert process.returncode == 0, err
    return out, err


def run(code, folder, **variables):
    return finish(start(code, folder, **variables))


def fit(folder, **variables):
    out, err = run(FIT, folder, **variables)
    return json.loads(out), err


def contents(folder):
    """Names, times and sizes below a folder: equal if nothing was written."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            path.stat().st_size,
        )
        for path in folder.rglob("*")
    }


#: Prints the files that are looked for in the cache, after a script's own output.
RECORD = """
import atexit, json
from nnfit.cache.folder import Folder
paths, read = [], Folder.read
def record(folder, name):
    paths.append(str(folder.path / name))
    return read(folder, name)
Folder.read = record
atexit.register(lambda: print(json.dumps(paths)))
"""


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory):
    """A folder with exactly the kernels of `FIT`, through this machine's cache."""
    out, _ = run(RECORD + FIT, None)
    folder = tmp_path_factory.mktemp("warm") / "nnfit"
    folder.mkdir(mode=0o700)
    for path in map(Path, set(json.loads(out.splitlines()[-1]))):
        if path.exists():  # a choice of a tile is looked for, and there may be none
            shutil.copy2(path, folder)
    return folder.parent


@pytest.fixture
def own_cache(warm_cache, tmp_path):
    """A copy of `warm_cache` to write to."""
    return Path(shutil.copytree(warm_cache, tmp_path / "cache"))


# --------------------------------------------------------------------- imports

LOADED = """
import json, sys
print(json.dumps(sorted(sys.modules)))
"""
CUDA = ("numba_cuda", "cuda", "nnfit.cuda")


def modules_after(statement, folder):
    out, err = run(statement + LOADED, folder)
    assert err == ""
    return json.loads(out)


def of_package(modules, *packages):
    return [
        name
        for name in modules
        if any(name == p or name.startswith(p + ".") for p in packages)
    ]


def test_import_loads_compiles_and_writes_nothing(tmp_path):
    folder = tmp_path / "cache"
    modules = modules_after("import nnfit", folder)
    assert "nnfit" in modules
    unwanted = ("numba", "llvmlite", "sklearn", "scipy", *CUDA)
    assert of_package(modules, *unwanted) == []
    assert not folder.exists()


def test_importing_the_estimators_loads_no_compiler(tmp_path):
    folder = tmp_path / "cache"
    modules = modules_after("from nnfit import MLPClassifier, MLPRegressor", folder)
    assert "sklearn.base" in modules
    unwanted = ("numba", "llvmlite", "sklearn.neural_network", *CUDA)
    assert of_package(modules, *unwanted) == []
    assert not folder.exists()


def test_importing_the_gpus_engine_loads_no_compiler(tmp_path):
    """It is there where all kernels are in the cache, too."""
    modules = modules_after("import nnfit.cuda.engine", tmp_path / "cache")
    assert of_package(modules, "numba", "numba_cuda", "cuda") == []


# ----------------------------------------------------------------------- fits


def test_a_fresh_process_hits_the_cache(own_cache):
    before = contents(own_cache)
    assert len(before) == 1 + N_KERNELS, "a folder and its files"
    result, err = fit(own_cache)
    assert err == ""
    assert result["numba"] == []
    assert contents(own_cache) == before


def test_a_second_fit_compiles_nothing(monkeypatch):
    """Whatever the sizes, depths, hyperparameters and data: they are not compiled."""

    def refuse(builder, arguments, target):
        raise AssertionError(f"compiled {builder} {arguments}")

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] > 0).astype(int)
    settings = dict(max_iter=1, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        MLPClassifier((5,), **settings).fit(X, y).predict(X)
    monkeypatch.setattr(compiling, "compile_object", refuse)
    X = rng.normal(size=(90, 7))
    with pytest.warns(match="Maximum iterations"):
        model = MLPClassifier(
            (9, 3, 17), alpha=0.1, batch_size=13, learning_rate_init=0.1, **settings
        ).fit(X, np.tile(y, 2)[:90])
    assert model.predict(X).shape == (90,)
    assert model.coefs_[2].shape == (3, 17)


# ------------------------------------------------- processes at the same time


@pytest.mark.slow
def test_three_processes_fit_with_a_cold_cache_at_once(tmp_path):
    """Those that compile say so, and write the kernels; others wait for their files."""
    processes = [start(FIT, tmp_path) for _ in range(3)]
    finished = [finish(process) for process in processes]
    notices = [err for _, err in finished]
    assert NOTICE in notices and set(notices) <= {NOTICE, ""}
    results = [json.loads(out) for out, _ in finished]
    for result, notice in zip(results, notices, strict=True):
        assert ("numba" in result["numba"]) == (notice == NOTICE)
    assert all(result["coefs"] == results[0]["coefs"] for result in results)
    before = contents(tmp_path)
    files = contents(tmp_path / "nnfit")
    assert len(files) == N_KERNELS
    assert all(name.endswith(".nnfit") for name in files), "no temporary files"
    again, err = fit(tmp_path)
    assert err == "", "every file is whole"
    assert again["coefs"] == results[0]["coefs"]
    assert again["numba"] == []
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_eight_processes_compile_small_kernels_at_once(tmp_path):
    """Small kernels, compiled within a tenth of a second: they do collide."""
    code = """
import hashlib, json
from nnfit.cpu import compiling
names = ("relu", "tanh", "silu", "elu", "logistic", "identity")
builder = "nnfit.cpu.kernels.elementwise:activation"
kernels = [compiling.load(builder, name, "float32") for name in names]
for kernel in kernels:
    kernel.address("activate")
print(json.dumps([hashlib.sha256(kernel.code).hexdigest() for kernel in kernels]))
"""
    processes = [start(code, tmp_path) for _ in range(8)]
    codes = [finish(process)[0] for process in processes]
    assert len(json.loads(codes[0])) == 6
    files = contents(tmp_path / "nnfit")
    assert len(files) == 6
    assert all(name.endswith(".nnfit") for name in files), "no temporary files"
    out, err = run(code, tmp_path)
    assert err == "", "every file is whole"
    assert out in codes


# ------------------------------------------------------------ unwritable caches


def drop_root_rights():
    """Give up root's right to write what it may not (CAP_DAC_*), on Linux."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    rights = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    if libc.capget(header, rights) == 0:
        rights[0] &= ~0b110  # effective CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.capset(header, rights)


WITHOUT_RIGHTS = f"""
{inspect.getsource(drop_root_rights)}
if {sys.platform == "linux"}:
    drop_root_rights()
import os, pathlib
try:
    (pathlib.Path(os.environ["NUMBA_CACHE_DIR"]) / "nnfit" / "probe").touch()
except PermissionError:
    pass
else:
    raise SystemExit("the test is wrong: this folder can be written")
"""


@pytest.fixture
def read_only(own_cache):
    """Function that makes `own_cache` read-only until the end of the test."""

    def make():
        (own_cache / "nnfit").chmod(0o500)
        return own_cache

    yield make
    (own_cache / "nnfit").chmod(0o700)


needs_permissions = pytest.mark.skipif(
    not hasattr(os, "getuid") or (os.getuid() == 0 and sys.platform != "linux"),
    reason="every folder is writable for this user",
)


@needs_permissions
def test_a_read_only_cache_is_read(read_only):
    folder = read_only()
    before = contents(folder)
    out, err = run(WITHOUT_RIGHTS + FIT, folder)
    assert err == ""
    assert json.loads(out)["numba"] == []
    assert contents(folder) == before


@needs_permissions
def test_a_read_only_cache_that_lacks_a_kernel_does_no_harm(read_only, own_cache):
    """The smallest file is missing; it is compiled and not written."""
    files = (own_cache / "nnfit").iterdir()
    min(files, key=lambda path: path.stat().st_size).unlink()
    folder = read_only()
    before = contents(folder)
    out, err = run(WITHOUT_RIGHTS + FIT, folder)
    assert f"in every process: {folder / 'nnfit'} cannot be used" in err
    assert "numba" in json.loads(out)["numba"]
    assert contents(folder) == before


@pytest.mark.slow
def test_damaged_files_are_replaced_in_a_fit(own_cache):
    """The four smallest; the others take seconds to compile."""
    expected, _ = fit(own_cache)
    files = sorted((own_cache / "nnfit").iterdir(), key=lambda p: p.stat().st_size)
    for path in files[:4]:
        path.write_bytes(path.read_bytes()[:100])
    result, err = fit(own_cache)
    assert err == NOTICE
    assert result["coefs"] == expected["coefs"]
    # Sizes may differ: names of functions that are not inlined have numbers.
    assert all(path.stat().st_size > 100 for path in files)
    result, err = fit(own_cache)
    assert err == "", "all are whole"
    assert result["coefs"] == expected["coefs"]


# ------------------------------------------------------------------ processors


@pytest.mark.slow
def test_another_processor_gives_the_same_results(monkeypatch):
    """Only the order of roundings differs."""
    name = "avx2"
    use_processor(monkeypatch, name)
    other, _ = fit(None, NNFIT_CPU=name)
    host, _ = fit(None, NNFIT_CPU="host")
    for ours, theirs in zip(other["coefs"], host["coefs"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-5)


def test_an_unknown_processor_is_a_clear_error(tmp_path):
    process = start(FIT, tmp_path, NNFIT_CPU="pentium")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert err.splitlines()[-1] == (
        "ValueError: The environment variable NNFIT_CPU must be 'host', 'avx2' "
        "or 'plain', got 'pentium'."
    )
