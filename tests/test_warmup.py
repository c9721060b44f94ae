"""`nnfit.warmup` and the commands ``warmup`` and ``info``."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import nnfit
from nnfit import (
    DenoisingAutoencoder,
    MLPClassifier,
    MLPRegressor,
    information,
    warming,
)
from nnfit.__main__ import main
from nnfit.cache.folder import Folder, cache_folder
from nnfit.cpu import compiling
from nnfit.cpu import engine as cpu
from nnfit.cpu import target as targets
from nnfit.cuda import toolkit
from nnfit.estimators.parameters import STOCHASTIC_SOLVERS
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.links import LINKS
from nnfit.functions.losses import BINARY, LOSSES, MULTICLASS, MULTILABEL
from nnfit.functions.optimizers import OPTIMIZERS
from tests.cuda import emulator
from tests.engines import make_data, make_engine, make_weights, use_processor
from tests.graphs import EXAMPLES, between

posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX owners")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; returns its folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nnfit"


@pytest.fixture
def compiled(monkeypatch):
    """Kernels compiled since the start of the test, in this process; no code."""
    calls = []

    def compile_nothing(builder, arguments, target):
        calls.append((builder, *arguments))
        return b"no code"

    monkeypatch.setattr(compiling, "_compile", compile_nothing)
    monkeypatch.setattr(warming, "MAX_PROCESSES", 1)
    return calls


# ------------------------------------------------------------------- warmup


def test_warmup_compiles_everything_once(cache, compiled, capsys):
    nnfit.warmup()
    count = len(compiled)
    assert len(set(compiled)) == count == len(list(cache.iterdir()))
    out = capsys.readouterr().out
    assert out.startswith(f"{count} kernels in {cache}, {count} of them compiled in ")
    assert out.count("\n") == 1
    nnfit.warmup()
    assert len(compiled) == count
    assert f" {cache}, 0 of them compiled in " in capsys.readouterr().out


def test_warmup_of_one_precision(cache, compiled):
    nnfit.warmup("float64")
    assert {arguments[-1] for arguments in compiled} == {"float64"}
    nnfit.warmup()
    assert {arguments[-1] for arguments in compiled} == {"float32", "float64"}
    assert len(set(compiled)) == len(compiled)


def test_warmup_replaces_damaged_files(cache, compiled):
    nnfit.warmup("float32")
    path = min(cache.iterdir())
    path.write_bytes(b"")
    count = len(compiled)
    nnfit.warmup("float32")
    assert len(compiled) == count + 1


@pytest.mark.parametrize(
    "kind, registry",
    [
        ("activation", ACTIVATIONS),
        ("loss", LOSSES),
        ("link", LINKS),
        ("optimizer", OPTIMIZERS),
    ],
)
def test_a_new_row_is_warmed(kind, registry, monkeypatch):
    row = next(iter(registry.values()))
    before = warming.builtin_kernels(["float32"])
    monkeypatch.setitem(registry, "new", row if kind == "link" else replace(row))
    new = set(warming.builtin_kernels(["float32"])) - set(before)
    # Links of both types: a network of float32 predicts float64 too.
    dtypes = warming.DTYPES if kind == "link" else ["float32"]
    builder = f"nnfit.cpu.kernels.elementwise:{kind}"
    assert new == {(builder, "new", dtype) for dtype in dtypes}


#: What each needs a kernel for that no other fit loads.
TRAINING = (
    {"activation": "identity", "dropout": 0.5, "input_noise": 0.1},
    {"clip_norm": 1.0, "ema_decay": 0.9},
    {"solver": "muon", "hidden_layer_sizes": (4, 4)},
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"residual": True, "hidden_layer_sizes": (4, 5)},
)


def test_warmup_has_what_estimators_load(monkeypatch):
    """And nothing else: every kernel of both lists."""
    loaded, load = set(), compiling.load

    def record(*arguments):
        loaded.add(arguments)
        return load(*arguments)

    def record_with_fingerprint(*arguments, fingerprint=b"", target=None):
        return record(*arguments)

    monkeypatch.setattr(compiling, "load", record_with_fingerprint)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    sparse = scipy.sparse.random(40, 30, density=0.05, format="csr", random_state=rng)
    y = np.abs(rng.normal(size=40)) + 0.1
    classes = np.arange(40) % 3
    labels = {BINARY: classes > 0, MULTICLASS: classes, MULTILABEL: np.eye(3)[classes]}
    losses = [name for name, row in LOSSES.items() if row.task == "regression"]
    settings = {"max_iter": 1, "random_state": 0, "hidden_layer_sizes": (4,)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in warming.DTYPES:
            settings["dtype"] = dtype
            X, sparse = X.astype(dtype), sparse.astype(dtype)
            for name in ACTIVATIONS:
                MLPRegressor(activation=name, **settings).fit(X, y).predict(X)
            for name in losses:
                MLPRegressor(loss=name, **settings).fit(X, y).predict(X)
            DenoisingAutoencoder(**settings).fit(X).transform(X)
            for row in LOSSES.values():
                if row.task == "classification":
                    model = MLPClassifier(loss=row.option, **settings)
                    model.fit(X, labels[row.kinds[0]]).predict(X)
            for name in (*STOCHASTIC_SOLVERS, "lbfgs"):
                model = MLPClassifier(solver=name, **settings).fit(X, classes)
                model.predict_proba(X)
            model = MLPClassifier(solver="sgd", nesterovs_momentum=False, **settings)
            model.fit(X, np.eye(3)[classes]).predict_proba(X)  # three labels a row
            MLPRegressor(**settings).fit(sparse, y).predict(sparse)
            MLPRegressor(early_stopping=True, **settings).fit(X, y).predict(X[:1])
            for changes in TRAINING:
                MLPRegressor(**{**settings, **changes}).fit(X, y).predict(X)
            for example in EXAMPLES:  # also of kinds that no estimator has
                network = between(example, dtype=dtype)
                make_engine(cpu, network, make_data(network, 9))
            for name in {row.link: row.name for row in LOSSES.values()}.values():
                network = between(("members", ""), loss=name, dtype=dtype)
                cpu.predict(network, make_weights(network), make_data(network, 1)[0])
    assert loaded == set(warming.builtin_kernels(warming.DTYPES))


USE = """
import json, sys, warnings
import numpy as np, scipy.sparse
from nnfit import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")  # two epochs do not converge
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = np.abs(X[:, 0]) + 0.1
for solver in ("adam", "lion", "sgd", "lbfgs"):
    for activation in ("relu", "tanh", "gelu"):
        model = MLPClassifier(
            (5,), activation=activation, solver=solver, max_iter=2, dtype="float32"
        )
        model.fit(X, np.arange(60) % 3).predict_proba(X)
for loss in ("squared_error", "poisson", "huber"):
    MLPRegressor(hidden_layer_sizes=(5,), loss=loss, max_iter=2).fit(X, y).predict(X)
sparse = scipy.sparse.random(60, 40, density=0.02, format="csr", random_state=0)
MLPRegressor(hidden_layer_sizes=(5,), max_iter=2).fit(sparse, y).predict(sparse)
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "numba"]))
"""


def run(arguments, **variables):
    return subprocess.run(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(nnfit.__file__).parents[1]),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_after_warmup_no_process_compiles(tmp_path, monkeypatch):
    """What other tests have compiled is there, but for every sixth kernel."""
    cache = tmp_path / "nnfit"
    cache.mkdir(0o700)
    for number, path in enumerate(sorted(cache_folder().glob("*.nnfit"))):
        if number % 6:
            shutil.copy(path, cache)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    done = run(["-m", "nnfit", "warmup", "--dtype", "float32"])
    assert (done.returncode, done.stderr) == (0, "")
    count, new = map(int, re.findall(r"(\d+) (?:kernels|of them)", done.stdout))
    assert 0 < new <= count
    before = sorted(path.name for path in cache.iterdir())
    assert len(before) >= count
    assert all(name.endswith(".nnfit") for name in before), "no temporary files"
    done = run(["-c", USE])
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == []
    assert sorted(path.name for path in cache.iterdir()) == before


# ------------------------------------------------------------------- errors


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(ValueError, match=r"'float32', 'float64' or None .*'float16'"):
        nnfit.warmup("float16")


@pytest.fixture
def impossible(tmp_path, monkeypatch):
    """A cache folder that cannot be made: a file is in its place."""
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file))
    return file


def test_warmup_needs_a_folder(impossible):
    with pytest.raises(OSError, match=r"cannot be used for compiled kernels: .*\. Set"):
        nnfit.warmup()


@pytest.mark.parametrize("command", ["warmup", "info"])
def test_commands_without_a_folder(command, impossible, capsys):
    assert main([command]) == (1 if command == "warmup" else 0)
    out, err = capsys.readouterr()
    text = err if command == "warmup" else out
    assert f"{impossible / 'nnfit'} cannot be used for compiled kernels: " in text
    assert "NUMBA_CACHE_DIR" in text


@posix
def test_warmup_says_why_a_folder_is_not_trusted(cache, capsys):
    cache_folder().chmod(0o770)
    assert main(["warmup"]) == 1
    assert "other users may write to it" in capsys.readouterr().err


def test_warmup_needs_a_folder_that_can_be_written(cache, monkeypatch, capsys):
    """It says so before it compiles, which takes long."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    cache_folder()
    monkeypatch.setattr(Folder, "remove", refuse)
    monkeypatch.setattr(warming, "_compile_all", None)
    assert main(["warmup"]) == 1
    err = capsys.readouterr().err
    assert f"{cache} cannot be used for compiled kernels: Permission denied." in err


def test_a_full_warmup_needs_no_folder_that_can_be_written(
    cache, compiled, monkeypatch
):
    nnfit.warmup("float32")
    monkeypatch.setattr(Folder, "check_writable", None)
    nnfit.warmup("float32")


def test_warmup_reports_a_disk_that_fills_up(cache, compiled, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Folder, "write", refuse)
    assert main(["warmup"]) == 1
    assert "No space left on device" in capsys.readouterr().err


# --------------------------------------------------------------------- info


def info(capsys):
    assert main(["info"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_info_of_a_filled_cache(cache, compiled, capsys):
    nnfit.warmup("float32")
    capsys.readouterr()
    out = info(capsys)
    assert re.search(rf"^nnfit +{re.escape(nnfit.__version__)}$", out, re.MULTILINE)
    for name in ("Python", "numba", "llvmlite", "numpy", "scipy", "scikit-learn"):
        assert re.search(rf"\b{name} \d", out)
    assert f"{cache}: {len(compiled)} files, 0.0 MB\n" in out


def test_info_names_the_processor(cache, capsys, monkeypatch):
    monkeypatch.setenv("NNFIT_CPU", "plain")
    out = info(capsys)
    assert "(NNFIT_CPU=plain)" in out
    assert "vectors of 16 bytes, 4 float32 or 2 float64" in out
    use_processor(monkeypatch, "avx2")
    out = info(capsys)
    assert "x86-64-v3 (NNFIT_CPU=avx2)\n" in out
    assert re.search("vector features: .*avx2.* fma\n", out) and "avx512" not in out
    assert "vectors of 32 bytes, 8 float32 or 4 float64" in out


@pytest.mark.parametrize("features", ["", "-avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"])
def test_a_processor_without_avx2_is_a_clear_error(capsys, monkeypatch, features):
    monkeypatch.setenv("NNFIT_CPU", "avx2")
    monkeypatch.setattr(targets, "_host_features", lambda: features)
    monkeypatch.setattr(targets.llvm, "get_host_cpu_name", lambda: "ivybridge")
    targets._named_target.cache_clear()
    assert main(["info"]) == 1
    lacking = "avx2" if features else "avx2, bmi, bmi2, f16c, fma, lzcnt, movbe"
    assert capsys.readouterr().err == (
        "python -m nnfit info: The environment variable NNFIT_CPU is 'avx2', but this "
        f"processor (ivybridge) lacks {lacking}. Unset it, or set it to 'plain'.\n"
    )


def test_info_names_the_variables_of_threads(cache, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS=3, NUMBA_NUM_THREADS=unset" in info(capsys)


def test_info_says_that_a_folder_is_read_only(cache, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "It cannot be written" in info(capsys)


@pytest.mark.parametrize("gpus", [[], ["Some GPU"]], ids=["none", "one"])
def test_info_says_why_no_gpu_is_used(cache, capsys, monkeypatch, gpus):
    monkeypatch.setattr(information, "_gpu_names", lambda: gpus)
    monkeypatch.setattr(toolkit, "_problems", {0: "The reason."})
    out = info(capsys)
    assert (gpus or ["none that CUDA's driver can see"])[0] in out
    assert "The reason." in out
    assert "on the CPU." in out


def test_info_describes_gpus(cache, capsys):
    with emulator.gpu(n_devices=2):
        out = info(capsys)
    for number in range(2):
        assert (
            f"cuda:{number} is Emulated GPU: compute capability 9.0, 2 "
            "multiprocessors, 0.1 of 0.1 GB free"
        ) in out
    assert "driver for CUDA 13.0" in out
    assert "numba-cuda 0.30.4, cuda-bindings 13.5.0" in out


def test_info_reports_a_wrong_variable(capsys, monkeypatch):
    monkeypatch.setenv("NNFIT_CPU", "pentium")
    assert main(["info"]) == 1
    assert "NNFIT_CPU must be" in capsys.readouterr().err


def test_info_imports_no_compiler(cache):
    done = run(["-X", "importtime", "-m", "nnfit", "info"])
    assert done.returncode == 0, done.stderr
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "nnfit.information" in imported
    assert "numba" not in imported
    assert not any(name.startswith("numba.") for name in imported)
