"""The comparison with other libraries: ``python -m benchmarks.peers``."""

import copy
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks import shapes
from benchmarks.peers import __main__ as command
from benchmarks.peers import chart, machine, measure, problem, process, report, summary
from benchmarks.peers import worker as peer_worker
from benchmarks.peers.registry import PEERS, peers_for

ROOT = Path(__file__).parent.parent
PUBLISHED = json.loads((ROOT / "docs" / "_static" / "peers.json").read_text())


def run(**changes):
    """A run of a peer, of one round or several without an interruption."""
    rounds = len(changes.get("ms", [2.0]))
    run = {"loss": 1.0, "score": 0.5, "ms": [2.0], "processor_ms": [2.0] * rounds}
    return {**run, "waited": [0.0] * rounds, **changes}


@pytest.mark.slow
def test_comparison_from_the_command_line(tmp_path):
    file = tmp_path / "result.json"
    words = "tiny --peers nnfit,sklearn --threads 1 --repeats 1 --strict --json"
    command = [sys.executable, "-m", "benchmarks.peers", *words.split(), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("nnfit", "scikit-learn", "tiny: 500 × 10, (32,), 32", "best peer"):
        assert text in done.stdout
    assert "tiny: round 1, 2 runs" in done.stderr
    results = json.loads(file.read_text())
    (shape,) = results["shapes"].values()
    assert shape["peak_gflops"] > 0
    assert set(shape["peers"]) == {"nnfit", "sklearn"}
    for entry in shape["peers"].values():
        assert entry["agrees"] and not entry["errors"]
        (times,) = (each["ms"] for each in entry["runs"].values())
        assert 1 <= len(times) <= measure.MOST
        # A pause of the machine can make a short fit longer than a long one.
        assert math.isfinite(times[0])


@pytest.fixture(scope="module")
def reference():
    """Loss and score of scikit-learn."""
    with process.WorkerProcess("sklearn", 1, 600) as worker:
        judged = {}
        for name in ("tiny", "regression"):
            worker.ask("load", shape=name)
            judged[name] = worker.ask("judge")
    return judged


@pytest.mark.slow
@pytest.mark.parametrize("peer", [p for p in peers_for("cpu") if p != "sklearn"])
def test_every_installed_peer_trains_the_same(peer, reference):
    if PEERS[peer].missing():
        pytest.skip(f"{PEERS[peer].missing()} is not installed")
    with process.WorkerProcess(peer, 1, 600) as worker:
        for name, expected in reference.items():
            worker.ask("load", shape=name)
            judged = worker.ask("judge")
            tolerance = summary.LOSS_TOLERANCE
            assert judged["loss"] == pytest.approx(expected["loss"], rel=tolerance)
            assert judged["score"] == pytest.approx(expected["score"], abs=0.05)


@pytest.mark.parametrize("name", ["tiny", "regression"])
def test_initial_weights_and_loss_are_those_of_scikit_learn(name):
    given = problem.Problem(name, 1)
    estimator = MLPClassifier if name == "tiny" else MLPRegressor
    model = estimator(
        hidden_layer_sizes=given.shape.hidden_layer_sizes,
        alpha=0.0,
        learning_rate_init=1e-30,
        batch_size=given.shape.n_samples,
        max_iter=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(given.X, given.y)
    for (coef, intercept), coef_, intercept_ in zip(
        given.initial_weights(), model.coefs_, model.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(coef, coef_)
        np.testing.assert_array_equal(intercept, intercept_)
    loss, score = given.judge(given.initial_weights())
    assert loss == pytest.approx(model.loss_, rel=1e-5)
    assert score == pytest.approx(model.score(given.X_test, given.y_test), rel=1e-5)


@pytest.mark.parametrize(
    "loss, agrees", [(1.05, True), (1.5, False), (math.nan, False)]
)
def test_different_training_is_found(loss, agrees):
    runs = {("nnfit", 1): run(), ("sklearn", 1): run(), ("jax", 1): run(loss=loss)}
    shape = summary.summarize("tiny", runs, {}, 100.0)
    assert shape["peers"]["jax"]["agrees"] is agrees
    assert shape["peers"]["nnfit"]["agrees"] and shape["peers"]["sklearn"]["agrees"]
    results = {**PUBLISHED, "shapes": {"tiny": shape}}
    sentences = report.complaints(results)
    assert len(sentences) == (not agrees)
    assert ("2.00 !" in report.terminal(results)) is not agrees


def test_strict_ends_with_an_error_code(tmp_path, capsys):
    results = copy.deepcopy(PUBLISHED)
    next(iter(results["shapes"].values()))["peers"]["nnfit"]["agrees"] = False
    file = tmp_path / "result.json"
    file.write_text(json.dumps(results))
    assert command.main(["--from-json", str(file)]) == 0
    assert command.main(["--from-json", str(file), "--strict"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_better_number_of_threads_counts():
    runs = {("nnfit", 1): run(ms=[3.0, 1.0, 1.0]), ("nnfit", 2): run(ms=[2.0] * 3)}
    entry = summary.summarize("tiny", runs, {}, 100.0)["peers"]["nnfit"]
    assert (entry["threads"], entry["ms_per_epoch"]) == (1, 1.0)
    flops = shapes.SHAPES["tiny"].flops_per_epoch
    assert entry["share_of_peak"] == pytest.approx(flops / 1e-3 / 100e9)


def verdict(own, others):
    """Of runs by number of threads of nnfit and JAX."""
    runs = {("nnfit", n): run for n, run in own.items()}
    runs |= {("jax", n): run for n, run in others.items()}
    return summary.summarize("tiny", runs, {}, 100.0)["verdict"]


@pytest.mark.parametrize(
    "ms, word",
    [((3, 3, 1, 3), "ahead"), ((1, 3, 3, 1), "level"), ((1, 1, 3, 1), "behind")],
)
def test_the_verdict_is_that_of_three_rounds_in_four(ms, word):
    found = verdict({1: run(ms=[2.0] * 4)}, {1: run(ms=[float(t) for t in ms])})
    assert found["word"] == word and found["peer"] == "jax"
    assert found["ratio"] == np.median(ms) / 2
    assert (found["low"], found["high"]) == tuple(np.quantile(ms, (0.25, 0.75)) / 2)
    shape = summary.summarize("tiny", {("nnfit", 1): run()}, {}, 100.0)
    assert shape["verdict"] is None and report.ratio(shape) == ""


def test_a_verdict_is_of_the_same_rounds_and_of_the_better_threads():
    """Rounds in which the machine was twice as slow for both change no ratio."""
    own = {1: run(ms=[9.0]), 2: run(ms=[2.0, 4.0, 2.0, 4.0])}
    others = {1: run(ms=[3.0, 6.0, 3.0, 6.0]), 2: run(ms=[9.0])}
    found = verdict(own, others)
    assert (found["low"], found["ratio"], found["high"]) == (1.5, 1.5, 1.5)


def test_interrupted_rounds_do_not_count():
    """Also not where the other was interrupted."""
    own = run(ms=[2.0, 8.0, 2.0, 2.0, 2.0], waited=[0.01, 0.3, 0.05, 0.0, 0.0])
    other = run(ms=[9.0, 4.0, 4.0, 4.0, 4.0], waited=[0.9, 0.2, 0.2, 0.2, 0.2])
    runs = {("nnfit", 2): own, ("jax", 1): other}
    shape = summary.summarize("tiny", runs, {}, 100.0)
    assert shape["peers"]["nnfit"]["ms_per_epoch"] == 2.0
    assert shape["peers"]["nnfit"]["runs"]["2"]["ms"] == own["ms"]
    verdict = shape["verdict"]
    assert (verdict["low"], verdict["high"]) == (2.0, 2.0)
    results = {**PUBLISHED, "shapes": {"tiny": shape}}
    assert "1 of 5, 1 of 5  " in report.terminal(results)


def test_all_rounds_count_where_most_are_interrupted():
    own = run(ms=[1.0, 2.0, 3.0], waited=[0.1, 0.9, 0.8])
    shape = summary.summarize("tiny", {("nnfit", 1): own}, {}, 100.0)
    assert shape["peers"]["nnfit"]["ms_per_epoch"] == 2.0


def test_two_rounds_decide_nothing():
    found = verdict({1: run(ms=[1.0, 1.0])}, {1: run(ms=[3.0, 3.0])})
    assert found["word"] == "undecided"


class Turns:
    """Workers that answer from lists of milliseconds and shares of waiting."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def worker(self, name):
        def ask(do, **_):
            if do != "time":
                return {"judge": {"loss": 1.0, "score": 0.5}}.get(do, {})
            self.asked.append(name)
            ms, waited = self.answers[name]
            # The last answer is that of all further rounds.
            ms, waited = (a.pop(0) if len(a) > 1 else a[0] for a in (ms, waited))
            seconds = {"seconds": ms / 1e3, "processor_seconds": ms / 1e3}
            return {**seconds, "waited": waited}

        return SimpleNamespace(ask=ask)

    def measure(self, repeats, **options):
        workers = {("nnfit", int(name[-1])): self.worker(name) for name in self.answers}
        return measure.measure_shape(
            "tiny", workers, lambda: 100.0, repeats, lambda _: None, **options
        )


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setattr(measure, "PAUSE", 0.0)


def test_runs_take_turns_and_slow_ones_leave(without_pauses):
    turns = Turns(n1=([3.0], [0.0]), n2=([2.0], [0.0]), n4=([9.0], [0.0]))
    shape = turns.measure(3)
    assert turns.asked == ["n1", "n2", "n4", "n2", "n2"]
    runs = shape["peers"]["nnfit"]["runs"]
    assert [len(run["ms"]) for run in runs.values()] == [1, 3, 1]


def test_an_interrupted_round_is_repeated(without_pauses):
    turns = Turns(n1=([2.0], [0.0]), n2=([2.0, 5.0, 2.0], [0.0, 0.5, 0.0]))
    shape = turns.measure(2)
    assert turns.asked == ["n1", "n2"] * 3
    assert shape["peers"]["nnfit"]["runs"]["2"]["ms"] == [2.0, 5.0, 2.0]
    turns = Turns(n1=([2.0], [0.0, 0.9]))
    turns.measure(2)  # interrupted in all others
    assert turns.asked == ["n1"] * 2 * measure.MOST


def test_no_round_begins_after_the_time_of_a_shape(without_pauses):
    turns = Turns(n1=([2.0], [0.0]))
    turns.measure(5, deadline=0.0)
    assert turns.asked == ["n1"]


def test_a_shape_leaves_its_time_to_the_next(monkeypatch):
    deadlines, start = [], time.perf_counter()
    monkeypatch.setattr(
        measure, "measure_shape", lambda *given: deadlines.append(given[-1])
    )
    measure.compare(["tiny", "digits"], [], 1, 3, 600, seconds=100)
    assert [round(end - start, -1) for end in deadlines] == [100, 200]


def test_a_worker_fits_as_long_as_the_others(monkeypatch):
    """Epochs by the time of one, several at once where the short fit has several."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: 0.5 * clock[0])
    monkeypatch.setattr(machine, "waited_seconds", lambda: 0.1 * clock[0])

    class Adapter:
        def __init__(self, *_):
            self.epochs = []

        def load(self, problem):
            self.weights = problem.initial_weights()

        def fit(self, epochs):
            self.epochs.append(epochs)
            clock[0] += 1e-3 * epochs
            return self.weights

    monkeypatch.setattr(peer_worker, "load_adapter", lambda *_: Adapter)
    worker = peer_worker.Worker("nnfit", 1, "cpu")
    worker.load("tiny")
    worker.judge()
    measured = worker.time()
    assert worker.adapter.epochs == [10, 100, 10, 410]
    assert measured["seconds"] == pytest.approx(1e-3)
    assert measured["processor_seconds"] == pytest.approx(0.5e-3)
    assert measured["waited"] == pytest.approx(0.1)


FAILURES = {
    "import time\ninput()\ntime.sleep(60)": "no answer to 'load' within 0.5 s",
    """input()\nprint('{"error": "ValueError: broken"}')""": "ValueError: broken",
    "import nothing_of_that_name": "ModuleNotFoundError: No module named '"
    "nothing_of_that_name'",
    "import os\ninput()\nos._exit(3)": "ended with 3",
    "": "ended with 0",
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_peer_that_fails_is_reported_and_ended(code, monkeypatch):
    popen = subprocess.Popen
    command = [sys.executable, "-c", code]
    monkeypatch.setattr(
        process.subprocess, "Popen", lambda _, **settings: popen(command, **settings)
    )
    timeout = 0.5 if "sleep" in code else 60
    with process.WorkerProcess("nnfit", 1, timeout) as worker:
        with pytest.raises(process.WorkerError) as caught:
            worker.ask("load", shape="tiny")
        assert str(caught.value) == FAILURES[code]
        assert worker._process.poll() is not None


def test_the_others_go_on_when_a_peer_fails():
    class Broken:
        def ask(self, do, **_):
            raise process.WorkerError("broken")

    class Working:
        def ask(self, do, **_):
            answers = {"judge": {"loss": 1.0, "score": 0.5}, "load": {}}
            seconds = {"seconds": 1e-3, "processor_seconds": 1e-3}
            return answers.get(do, {**seconds, "waited": 0.0})

    workers = {("nnfit", 1): Working(), ("jax", 1): Broken()}
    lines = []
    shape = measure.measure_shape("tiny", workers, lambda: 100.0, 2, lines.append)
    assert list(workers) == [("nnfit", 1)]
    assert shape["peers"]["nnfit"]["ms_per_epoch"] == pytest.approx(1.0)
    assert shape["peers"]["jax"] == {"errors": {"1": "broken"}}
    results = {**PUBLISHED, "shapes": {"tiny": shape}}
    assert "FAILED tiny, jax, threads 1: broken" in report.terminal(results)


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jax" else find(name)
    )
    peers, notes = measure.installed(["nnfit", "jax"])
    assert peers == ["nnfit"]
    assert notes == ["JAX is left out: jax is not installed."]


@pytest.mark.parametrize("has_cuda", [False, True])
def test_a_torch_without_cuda_is_left_out(monkeypatch, tmp_path, has_cuda):
    (tmp_path / "lib").mkdir()
    if has_cuda:
        (tmp_path / "lib" / "libtorch_cuda.so").touch()
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert PEERS["graphs"].missing("cuda") == (None if has_cuda else "torch for CUDA")


def test_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(command, "gpu_problem", lambda: "There is no GPU.")
    assert command.main(["tiny", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "There is no GPU.\n"


def test_shapes_on_a_gpu_have_epochs_enough():
    for name in shapes.shapes_for("cuda"):
        here, there = shapes.SHAPES[name], shapes.SHAPES[name].on("cuda")
        assert there.long >= here.long and here.on("cpu") is here
        assert (there.long - there.short) % there.short == 0
        assert (there.scored, there.short) == (here.scored, here.short)


@pytest.mark.slow
def test_recorded_steps_train_the_same(monkeypatch, reference):
    """With graphs that run the step again, since only a GPU records them."""
    torch = pytest.importorskip("torch")
    from benchmarks.peers.adapters import torch_loops

    def record(self, size):
        rows = torch.arange(size)
        self.step(rows)  # as it is done before recording
        return rows, SimpleNamespace(replay=lambda: self.step(rows))

    adam = torch.optim.Adam
    monkeypatch.setattr(
        torch.optim, "Adam", lambda *given, capturable, **more: adam(*given, **more)
    )
    monkeypatch.setattr(torch_loops.Graphs, "record", record)
    adapter = torch_loops.Graphs(1)
    tiny = problem.Problem("tiny", 1)
    adapter.load(tiny)
    for _ in range(2):  # the second fit begins anew
        loss, _ = tiny.judge(adapter.fit(tiny.shape.scored))
        assert loss == pytest.approx(reference["tiny"]["loss"], rel=0.15)


def test_waiting_for_a_processor_is_counted():
    """Of more processes than processors one waits all the time."""
    if machine.waited_seconds() == 0.0:
        pytest.skip("the system does not say how long tasks waited")
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    spinning = []
    try:
        for _ in range(machine.n_cores() + 1):
            spinning.append(subprocess.Popen(spin, stdout=subprocess.PIPE))
            spinning[-1].stdout.readline()
        start, waited = time.perf_counter(), machine.waited_seconds()
        time.sleep(0.5)
        share = (machine.waited_seconds() - waited) / (time.perf_counter() - start)
    finally:
        for process in spinning:
            process.kill()
            process.communicate()
    assert share > summary.INTERRUPTED


def test_settings_of_a_worker(monkeypatch):
    variables = process.environment(2)
    assert variables["OMP_NUM_THREADS"] == variables["NPROC"] == "2"
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & set(variables)
    assert "OPENBLAS_CORETYPE" not in os.environ
    assert (variables["JAX_PLATFORMS"], variables["CUDA_VISIBLE_DEVICES"]) == (
        "cpu",
        "",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("NNFIT_CPU", "avx2")
    variables = process.environment(1)
    assert "--xla_cpu_max_isa=AVX2" in variables["XLA_FLAGS"].split()
    assert variables["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    monkeypatch.delenv("NNFIT_CPU")
    variables = process.environment(1, "cuda")
    assert variables["JAX_PLATFORMS"] == "cuda"
    assert variables["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize(
    "words, message",
    [
        ("smal", "unknown shape ['smal']"),
        ("tiny --peers nnfit,jaxx", "unknown peer ['jaxx']"),
        ("tiny --repeats 0", "--repeats must be positive, got 0"),
        ("tiny --minutes -1", "--minutes must be positive, got -1"),
        ("tiny --threads 0", "--threads must be positive, got 0"),
        ("deep --device cuda", "unknown shape ['deep']"),
        ("tiny --device cuda --peers sklearn", "unknown peer ['sklearn']"),
        ("tiny --peers graphs", "unknown peer ['graphs']"),
        ("tiny --device cuda --scaling", "--scaling is for threads of the CPU"),
    ],
)
def test_wrong_arguments(words, message, capsys):
    with pytest.raises(SystemExit):
        command.main(words.split())
    assert message in capsys.readouterr().err


def test_readme_shows_the_published_run():
    assert report.markdown(PUBLISHED) in (ROOT / "README.md").read_text()


def test_published_run_is_whole():
    assert list(PUBLISHED["shapes"]) == shapes.shapes_for("cpu")
    assert report.complaints(PUBLISHED) == []
    for name, shape in PUBLISHED["shapes"].items():
        assert list(shape["peers"]) == peers_for("cpu")
        assert shape["flops_per_epoch"] == shapes.SHAPES[name].flops_per_epoch
    for path in (ROOT / "docs" / "_static").glob("peers-*.json"):
        assert report.complaints(json.loads(path.read_text())) == []


def test_chart_has_every_peer_and_shape(tmp_path):
    chart.save(PUBLISHED, tmp_path / "chart.svg")
    for text in (chart.html(PUBLISHED), (tmp_path / "chart.svg").read_text()):
        titles = [PEERS[peer].title for peer in peers_for("cpu")]
        for word in [*PUBLISHED["shapes"], *titles]:
            assert f">{word}<" in text
