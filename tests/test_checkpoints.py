"""Checkpoints: fits that were killed go on, and what is refused."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier, MLPRegressor, RealMLPRegressor, TabMClassifier
from nnfit.callbacks import Callback, Checkpoint, files
from tests.test_callbacks import SMALL, StopAt, arrays_of, assert_same, networks_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:.*does not exist, so the fit starts anew",
)

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
#: Trainings whose state is more than weights and moments.
TRAININGS = {
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.1},
    "average of normalised": {"ema_decay": 0.9, "normalization": "batch"},
    "schedule-free": {"solver": "schedule_free", "normalization": "batch"},
    "schedules": {"learning_rate": "cosine", "warmup": 0.2, "swa": 0.5},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1
    },
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "dropout": {"dropout": 0.3, "mixup": 0.2, "input_noise": 0.1},
    "members": {"n_members": 2},
    "any random state": {"random_state": None, "early_stopping": True},
}  # fmt: skip


class Killed(BaseException):
    """Ends a fit without a word, as kill -9 does."""


class KillAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def after_epoch(self, estimator, context):
        if len(estimator.history_["loss"]) == self.epoch:
            raise Killed


def network(*callbacks, **parameters):
    model = MLPClassifier(**SMALL | {"max_iter": 7} | parameters)
    return model.set_callbacks(*callbacks)


def kill(model, path, *data, epoch=5, every=2, **given):
    """Fit and be killed between two checkpoints."""
    model = clone(model).set_callbacks(Checkpoint(path, every=every), KillAt(epoch))
    with pytest.raises(Killed):
        model.fit(*data, **given)


def assert_resumes(model, path, *data, **given):
    """From the checkpoint of the killed fit, and from the end of the resumed one."""
    np.random.seed(3)  # noqa: NPY002  what random_state=None draws from
    whole = clone(model).fit(*data, **given)
    np.random.seed(3)  # noqa: NPY002
    kill(model, path, *data, **given)
    for callbacks in ((Checkpoint(path, every=3),), ()):
        again = clone(model).set_callbacks(*callbacks)
        again.fit(*data, **given, resume_from=path)
        assert_same(again, whole)
        for one, its in zip(networks_of(again), networks_of(whole), strict=True):
            assert one.loss_curve_ == its.loss_curve_
            assert one.t_ == its.t_ and one.n_iter_ == its.n_iter_


@pytest.mark.parametrize("name", TRAININGS)
def test_a_killed_fit_goes_on_to_the_same_bits(name, any_engine, tmp_path):
    assert_resumes(network(**TRAININGS[name]), tmp_path, X, Y)


@pytest.mark.emulated
@pytest.mark.parametrize("name", ["early stopping", "average of normalised"])
def test_on_a_gpu_too(name, any_engine, tmp_path):
    small = {"hidden_layer_sizes": (3,), "batch_size": 10, "max_iter": 3}
    model = network(**TRAININGS[name], **small)
    whole = clone(model).fit(X[::5], Y[::5])
    kill(model, tmp_path, X[::5], Y[::5], epoch=2, every=1)
    assert_same(model.fit(X[::5], Y[::5], resume_from=tmp_path), whole)


@pytest.mark.parametrize("kind", ["sparse, weighted", "validated", "recipes"])
def test_other_data_and_estimators_go_on(kind, tmp_path):
    given, file = {"X_val": X[::2], "y_val": Y[::2]}, tmp_path / "fit.npz"
    if kind == "sparse, weighted":
        weight = 1.0 + Y
        assert_resumes(network(), file, csr_array(X), Y, sample_weight=weight)
    elif kind == "validated":
        assert_resumes(network(early_stopping=True, n_jobs=2), file, X, Y, **given)
    else:
        regressor = RealMLPRegressor(max_iter=7, random_state=0)
        assert_resumes(regressor, tmp_path, X, X[:, 0], **given)
        assert_resumes(TabMClassifier(max_iter=7, random_state=0), tmp_path, X, Y)


def test_a_warm_start_goes_on(tmp_path):
    before = network(warm_start=True, max_iter=3).fit(X, Y).set_params(max_iter=7)
    whole = pickle.loads(pickle.dumps(before)).fit(X, Y)
    doomed = pickle.loads(pickle.dumps(before))
    doomed.set_callbacks(Checkpoint(tmp_path, every=2), KillAt(8))
    with pytest.raises(Killed):
        doomed.fit(X, Y)
    assert_same(before.fit(X, Y, resume_from=tmp_path), whole)
    assert before.loss_curve_ == whole.loss_curve_
    with pytest.raises(ValueError, match="another network to begin with"):
        clone(before).fit(X, Y, resume_from=tmp_path)


def test_the_end_by_a_callback_is_kept(tmp_path):
    stopped = network(Checkpoint(tmp_path, every=10), StopAt(3)).fit(X, Y)
    assert_same(network().fit(X, Y, resume_from=tmp_path), stopped)


@pytest.mark.parametrize(
    "backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_every_fit_of_a_search_has_its_file(backend, tmp_path):
    pipeline = make_pipeline(StandardScaler(), network(Checkpoint(tmp_path)))
    search = GridSearchCV(
        pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2, n_jobs=2
    )
    with joblib.parallel_config(backend):
        search.fit(X, Y, mlpclassifier__resume_from=tmp_path)
        written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert len(written) == 5
        best = search.best_estimator_[-1]
        search.set_params(estimator__mlpclassifier=network())
        search.fit(X, Y, mlpclassifier__resume_from=tmp_path)
    assert_same(search.best_estimator_[-1], best)
    assert search.best_estimator_[-1].history_["seconds"] == best.history_["seconds"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_it_is_written_as_often_as_asked_for(tmp_path, naive_engine, monkeypatch):
    written, write = [], files.write
    monkeypatch.setattr(files, "write", lambda *a: written.append(a) or write(*a))
    network(Checkpoint(tmp_path, every=3)).fit(X, Y)
    assert [header["record"]["n_iter"] for _, header, _ in written] == [3, 6, 7]
    written.clear()
    network(Checkpoint(tmp_path), max_iter=30).fit(X, Y)
    assert 2 <= len(written) < 30


def test_routing_and_pipelines_take_the_path(tmp_path):
    assert "resume_from" in MLPClassifier().fit.__doc__
    with config_context(enable_metadata_routing=True):
        routed = network(Checkpoint(tmp_path)).set_fit_request(resume_from=True)
        search = GridSearchCV(make_pipeline(routed), {}, cv=2, refit=False)
        search.fit(X, Y, resume_from=tmp_path)
    assert len(os.listdir(tmp_path)) == 2


# trouble -----------------------------------------------------------------------


def test_a_full_disk_leaves_the_last_good_file(tmp_path, monkeypatch, naive_engine):
    file = tmp_path / "fit.npz"
    kill(network(), file, X, Y, every=1, epoch=3)
    good = file.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No checkpoint could be written") as caught:
        model = network(Checkpoint(file, every=1)).fit(X, Y)
    messages = [str(each.message) for each in caught]
    assert sum("No checkpoint" in message for message in messages) == 1
    assert "No space left on device" in messages[0] and str(file) in messages[0]
    assert model.n_iter_ == 7 and file.read_bytes() == good
    assert os.listdir(tmp_path) == ["fit.npz"]


def test_what_a_killed_write_left_is_removed(tmp_path, naive_engine):
    (tmp_path / "fit.npz.123-4.tmp").write_bytes(b"half")
    network(Checkpoint(tmp_path / "fit.npz")).fit(X, Y)
    assert os.listdir(tmp_path) == ["fit.npz"]


class Runs:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def damaged(file, kind):
    """Change the file of a checkpoint."""
    content = bytearray(file.read_bytes())
    if kind == "flipped":
        content[len(content) // 3] ^= 1
    elif kind == "truncated":
        del content[len(content) // 2 :]
    elif kind == "empty":
        content.clear()
    elif kind == "text":
        content = b"no checkpoint"
    elif kind == "pickle":
        content = pickle.dumps(Runs(file.parent / "run"))
    file.write_bytes(content)
    header, arrays = {"format": 1}, {"a": np.zeros(3)}
    if kind == "array":
        np.save(file.with_suffix(""), np.zeros(3))
        os.replace(file.with_suffix(".npy"), file)
    elif kind == "other arrays":
        np.savez(file, **arrays)
    elif kind == "objects":
        np.savez(file, nnfit=np.array([Runs(file.parent / "run")], object))
    elif kind == "later":
        files.write(file, header, arrays)
        content = file.read_bytes().replace(b'"format": 1', b'"format": 2')
        with np.load(file) as read:
            text = read["nnfit"].tobytes().replace(b": 1", b": 2")
        np.savez(file, nnfit=np.frombuffer(text, np.uint8), **arrays)


KINDS = "flipped truncated empty text pickle array objects later".split()


@pytest.mark.parametrize("kind", [*KINDS, "other arrays"])
def test_other_files_are_refused_by_name_and_run_nothing(kind, tmp_path, naive_engine):
    file = tmp_path / "fit.npz"
    kill(network(), file, X, Y, every=1, epoch=2)
    damaged(file, kind)
    model = network()
    what = "of the format 2" if kind == "later" else "no checkpoint of nnfit, or a dam"
    with pytest.raises(ValueError, match=what) as caught:
        model.fit(X, Y, resume_from=file)
    assert str(file) in str(caught.value)
    assert not (tmp_path / "run").exists() and not hasattr(model, "coefs_")


@pytest.mark.parametrize(
    ("change", "data", "what"),
    [
        ({"alpha": 0.5}, (X, Y), "alpha=0.0001, and this one has alpha=0.5"),
        ({"hidden_layer_sizes": (7,)}, (X, Y), r"hidden_layer_sizes=\[6\], and"),
        ({"random_state": 1}, (X, Y), "random_state=0, and this one"),
        ({}, (X[:-1], Y[:-1]), "other data"),
        ({}, (X, Y[::-1]), "other data"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(change, data, what, tmp_path):
    file = tmp_path / "fit.npz"
    kill(network(), file, X, Y, every=1, epoch=2)
    with pytest.raises(
        ValueError, match=f"fit.npz is a checkpoint of a fit with {what}"
    ):
        network(**change).fit(*data, resume_from=file)
    with pytest.raises(ValueError, match="a fit with another estimator"):
        MLPRegressor(**SMALL).fit(X, Y, resume_from=file)
    network(verbose=False, n_jobs=2, max_time=100.0).fit(X, Y, resume_from=file)


def test_missing_arrays_are_told(tmp_path, naive_engine):
    file = tmp_path / "fit.npz"
    kill(network(), file, X, Y, every=1, epoch=2)
    header, arrays = files.read(file)
    for name, value in (("raw coefs 0", None), ("raw coefs 0", np.zeros((2, 2)))):
        changed = {**arrays, name: value}
        if value is None:
            del changed[name]
        files.write(file, header, changed)
        with pytest.raises(ValueError, match="is not the checkpoint of this network"):
            network().fit(X, Y, resume_from=file)


def test_what_cannot_go_on_says_so(tmp_path, naive_engine):
    file = tmp_path / "fit.npz"
    for model, message in (
        (
            network(Checkpoint(file), solver="lbfgs"),
            "is for mini-batches, got solver=.* pickle the estimator between short",
        ),
        (network(Checkpoint(file), n_members=2), "is one file, and the networks of"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y)
        with pytest.raises(ValueError, match=message):
            model.set_callbacks().fit(X, Y, resume_from=file)
    with pytest.raises(
        ValueError, match=r"call of partial_fit\. Remove the callback and pi"
    ):
        network(Checkpoint(file)).partial_fit(X, Y, classes=[0, 1, 2])
    for wrong in (3, "", None):
        with pytest.raises(ValueError, match="path must be the path of a file or"):
            Checkpoint(wrong)
    with pytest.raises(ValueError, match="resume_from must be the path of a file or"):
        network().fit(X, Y, resume_from=3)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="every must be a number of epochs"):
            Checkpoint(file, every=wrong)
    with pytest.warns(UserWarning, match=r"fit\.npz' does not exist, so the fit start"):
        network().fit(X, Y, resume_from=file)


def test_calls_of_partial_fit_go_on_from_pickles(tmp_path, naive_engine):
    """What the user guide does: the estimator is written whole after each call."""
    file, batches = tmp_path / "net", [(X[:40], Y[:40]), (X[40:], Y[40:])] * 3

    def train(until):
        model, first = network(), 0
        if file.exists():
            model, first = pickle.loads(file.read_bytes())
        for number, batch in enumerate(batches[first:until], start=first + 1):
            model.partial_fit(*batch, classes=[0, 1, 2])
            file.write_bytes(pickle.dumps((model, number)))
        return model

    train(2)
    resumed = train(6)
    file.unlink()
    assert_same(resumed, train(6))
    assert resumed.history_["loss"] and len(resumed.history_["loss"]) == 6


def test_pieces_of_lbfgs_go_on_from_pickles():
    model = network(solver="lbfgs", warm_start=True, max_iter=3).fit(X, Y)
    again = pickle.loads(pickle.dumps(model)).fit(X, Y)
    assert again.history_["loss"][:3] == model.history_["loss"]
    for mine, its in zip(arrays_of(again), arrays_of(model.fit(X, Y)), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4)  # SciPy's sums have no order


# kill -9 -----------------------------------------------------------------------

CHILD = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from nnfit.callbacks import Checkpoint
from tests.test_checkpoints import X, Y, network
folder, number = sys.argv[1:]
model = network(Checkpoint(folder, every=1), max_iter=60, tol=0.0, n_members=2)
print("ready", flush=True)
model.fit(X, Y, resume_from=folder)
np.savez(f"{folder}/{number}.done", *[a for m in model.members_ for a in m.coefs_])
"""


@pytest.mark.slow
def test_processes_that_are_killed_go_on_to_the_same_bits(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = network(max_iter=60, tol=0.0, n_members=2).fit(X, Y)
    for number, seconds in enumerate((0.05, 0.2, 60.0)):
        arguments = [sys.executable, "-c", CHILD, str(tmp_path), str(number)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    with np.load(tmp_path / "2.done.npz") as saved:
        arrays = [saved[name] for name in saved.files]
    expected = [a for m in whole.members_ for a in m.coefs_]
    for array, its in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, its)
    assert arrays_of(whole)
