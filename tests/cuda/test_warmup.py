"""`nnfit.warmup` for GPUs: which kernels, and their images in the cache."""

import ast
import warnings

import numpy as np
import pytest

import nnfit
from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPRegressor,
    TabMClassifier,
    warming,
)
from nnfit.__main__ import main
from nnfit.cpu import compiling
from nnfit.cuda import modules, toolkit
from nnfit.functions.links import LINKS
from nnfit.training import device as devices
from nnfit.warming import gpu


@pytest.fixture
def compiled(monkeypatch, cache):
    """What was compiled since the start of the test, in this process; no code."""
    calls = []

    def compile_nothing(builder, arguments, target):
        calls.append((builder, *arguments, target))
        return b"no code"

    monkeypatch.setattr(compiling, "_compile", compile_nothing)
    monkeypatch.setattr(modules, "compile_for", compile_nothing)
    monkeypatch.setattr(warming, "MAX_PROCESSES", 1)
    return calls


def capabilities(compiled):
    """Of the images among what was compiled."""
    targets = [call[-1] for call in compiled]
    return [target[1] for target in targets if isinstance(target, tuple)]


def test_without_a_gpu(compiled, cache, capsys):
    nnfit.warmup(device="cuda", compute_capability="8.6")
    assert len(compiled) == len(set(compiled)) == len(list(cache.iterdir()))
    found = capabilities(compiled)
    assert set(found) == {(8, 6)}
    others = len(LINKS) - 1  # of predictions in float64; the identity is none
    assert len(found) == len(compiled) - 1 - others, "orders are the processor's too"
    count = len(compiled)
    assert capsys.readouterr().out.startswith(f"{count} kernels in {cache}, {count} ")
    nnfit.warmup(device="cuda", compute_capability="8.6")
    assert len(compiled) == count
    nnfit.warmup(device="cuda", compute_capability="9.0")
    assert len(compiled) == 2 * count - 1 - others


def test_the_capability_is_that_of_the_gpu(compiled, emulated_gpu):
    assert main(["warmup", "--device", "cuda"]) == 0
    assert set(capabilities(compiled)) == {(9, 0)}


def test_an_image_is_found_again(compiled, cache):
    nnfit.warmup(device="cuda", compute_capability="9.0", estimator=MLPRegressor())
    for fingerprint, (builder, *arguments) in gpu.kernels_of(MLPRegressor()):
        image = modules.find_image(builder, tuple(arguments), fingerprint, (9, 0))
        assert image == b"no code"


def without_tile(kernel):
    """A kernel, whatever its tile, which tests choose."""
    *rest, kind = kernel
    dtype, _, *others = ast.literal_eval(kind)
    return *rest, dtype, *others


ESTIMATORS = [
    MLPClassifier(),
    MLPClassifier(solver="sgd", l1=0.1, dropout=0.2, ema_decay=0.9),
    MLPClassifier(early_stopping=True, normalization="batch", mixup=0.2),
    MLPRegressor(solver="muon", loss="huber", residual=True, input_noise=0.1),
    MLPRegressor(solver="lbfgs", activation=["tanh", "gelu"], dtype="float32"),
    MLPRegressor(dtype="float64", clip_norm=1.0, early_stopping=True),
    RealMLPRegressor("td_s", numeric_embedding="pbld"),
    TabMClassifier(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_it_has_what_fits_and_predictions_load(estimator, small_gpu, monkeypatch):
    loaded, load = set(), modules.load

    def record(device, *kernel, fingerprint):
        loaded.add(without_tile(kernel))
        return load(device, *kernel, fingerprint=fingerprint)

    monkeypatch.setattr(modules, "load", record)
    monkeypatch.setattr(devices, "resolve_prediction", lambda *_: "cuda:0")
    model = estimator.set_params(
        device="cuda", max_iter=1, hidden_layer_sizes=(3, 3), random_state=0
    )
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch does not converge
        for classes in (2, 3):
            model.fit(X, np.arange(20) % classes).predict(X)
            if hasattr(model, "predict_proba"):
                model.predict_proba(X)
    found = {without_tile(kernel) for _, kernel in gpu.kernels_of(estimator)}
    assert loaded <= found
    # The rest is for large networks, and what this one did not predict.
    rest = found - loaded
    assert all(
        "run_operation" in kernel or "prediction" in kernel[0] for kernel in rest
    )


def own(z):
    return z * z, 2.0 * z


unknown = []


def own_with_a_list(z):
    return z * len(unknown), 0.0 * z


def test_functions_of_a_user():
    kernels = gpu.kernels_of(MLPRegressor(activation=own))
    assert all(own in kernel for _, kernel in kernels)
    assert len({fingerprint for fingerprint, _ in kernels} - {b""}) == 1
    assert gpu.kernels_of(MLPRegressor(activation=own_with_a_list)) == []


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"compute_capability": "9"}, ValueError, r"such as '9\.0', got '9'"),
        ({"estimator": "MLP"}, TypeError, "must be an MLPClassifier or"),
        ({"device": "cpu"}, ValueError, "are for a GPU, got device='cpu'"),
        ({"device": "gpu"}, ValueError, "device must be 'cpu', 'cuda'"),
        ({"estimator": MLPRegressor(solver="none")}, ValueError, "'solver'"),
        ({"dtype": "float16"}, ValueError, "got 'float16'"),
    ],
    ids=str,
)
def test_errors(changes, error, message, compiled):
    arguments = {"device": "cuda", "compute_capability": "9.0", **changes}
    with pytest.raises(error, match=message):
        nnfit.warmup(**arguments)
    assert compiled == []


def test_a_gpu_that_cannot_be_used(monkeypatch, compiled, capsys):
    monkeypatch.setattr(toolkit, "_problems", {0: "The reason."})
    assert main(["warmup", "--device", "cuda"]) == 1
    assert "The reason." in capsys.readouterr().err


def test_the_notice_names_the_gpu(cache, monkeypatch, capsys):
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    monkeypatch.setattr(modules, "compile_module", lambda *arguments: b"no code")
    modules.find_image("a:b", (), b"", (9, 0))
    assert "compiling kernels for the GPU" in capsys.readouterr().err
