"""``python -m benchmarks.gpu`` on an emulated GPU, so that a GPU's time is not lost."""

import inspect
import json
import subprocess
import sys

import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import peaks, report, tasks
from benchmarks.gpu.worker import load_task
from benchmarks.peers import process
from nnfit.cuda import toolkit
from tests.cuda import checks
from tests.features import FEATURES

WORKER = "tests.cuda.gpu_worker"
#: One of each kind of check.
CHECKS = [
    ("feature", {"name": "schedules", "dtype": "float32", "launches": False}),
    ("loss", {"name": "softmax", "dtype": "float64"}),
    ("bits", {"launches": False}),
    ("estimator", {"name": "lbfgs"}),
]


@pytest.fixture
def small_gpu(emulated_gpu, monkeypatch):
    """The command with workers on an emulated GPU, few checks and one shape."""
    for module in (tasks, process):
        monkeypatch.setattr(module, "WORKER", WORKER)
    for name, value in (
        ("BLOCK", 1), ("BLOCKS", 1), ("TURNS", 1), ("COPIED", 512), ("SECONDS", 1e-4),
    ):  # fmt: skip
        monkeypatch.setattr(peaks, name, value)
    monkeypatch.setattr(checks, "all_checks", lambda quick: CHECKS)
    monkeypatch.setattr(command, "QUICK_SHAPES", ["digits"])
    monkeypatch.setattr(command, "peers_for", lambda device: ["nnfit"])
    monkeypatch.setattr(command, "find_sanitizer", lambda: None)


@pytest.fixture
def run(small_gpu, tmp_path):
    """Runs the command; returns its exit status and what it has written."""

    def run(words):
        files = [tmp_path / "gpu.json", tmp_path / "gpu.md"]
        options = ["--quick", "--json", str(files[0]), "--markdown", str(files[1])]
        status = command.main([*options, *words.split()])
        return status, json.loads(files[0].read_text()), files[1].read_text()

    return run


@pytest.mark.slow
def test_checks(run):
    status, results, text = run("--parts checks")
    part = results["parts"]["checks"]
    assert part["failures"] == []
    assert (status, part["passed"], part["not_run"]) == (0, len(CHECKS), 0)
    assert results["machine"]["name"] == "Emulated GPU"
    assert "| checks | passed |" in text
    assert "| float32, all_epochs |" in text


@pytest.mark.slow
def test_times(run, capsys):
    status, results, text = run("--parts kernels,peers,population,compile,sanitizer")
    parts = results["parts"]
    assert [part.get("error") for part in parts.values()] == [None] * 5
    assert status == 0
    operations = {row["operation"] for row in parts["kernels"]["rows"]}
    assert {"batch", "barrier", "gather", "gradient and update"} < operations
    assert parts["kernels"]["peak_gflops"] > 0
    digits = parts["peers"]["shapes"]["digits"]
    assert digits["peers"]["nnfit"]["ms_per_epoch"] > 0
    assert len(parts["population"]["rates"]) == 2
    for title in ("forward 64 -> 4", "GB/s by driver", "one after the other"):
        assert title in text
    assert "compute-sanitizer is not installed" in text
    assert text.strip() in capsys.readouterr().out


def test_a_check_that_fails(run, monkeypatch):
    wrong = [("feature", {"name": "no such", "dtype": "float32", "launches": False})]
    monkeypatch.setattr(checks, "all_checks", lambda quick: wrong)
    status, results, text = run("--parts checks")
    (failure,) = results["parts"]["checks"]["failures"]
    assert (status, failure["status"]) == (1, "failed")
    assert "KeyError: 'no such'" in failure["error"]
    assert "KeyError: 'no such'" in text


def test_a_part_that_fails_leaves_the_others(run, monkeypatch):
    monkeypatch.setitem(command.RUN, "kernels", lambda quick, deadline: 1 / 0)
    status, results, text = run("--parts kernels,sanitizer")
    assert status == 1
    assert "ZeroDivisionError" in results["parts"]["kernels"]["error"]
    assert "| kernels | FAILED: ZeroDivisionError" in text
    assert "skipped" in results["parts"]["sanitizer"]


def test_a_worker_that_hangs_is_ended(monkeypatch):
    outcome = tasks.run_task("feature", {}, 0.5, (sys.executable, "-c", "input()"))
    assert outcome["status"] in ("timeout", "failed")  # where there is no input
    wait = "import time; time.sleep(60)"
    outcome = tasks.run_task("feature", {}, 0.5, (sys.executable, "-c", wait))
    assert outcome["status"] == "timeout"
    assert outcome["seconds"] < 30


def test_what_is_late_is_not_run():
    outcomes = tasks.run_tasks([("moving", {})], 1, 0.0, 60, lambda outcome: None)
    assert [each["status"] for each in outcomes] == ["not run"]


@pytest.mark.parametrize("code, ok", [(0, True), (command.SANITIZER_ERROR, False)])
def test_sanitizer(small_gpu, monkeypatch, tmp_path, code, ok):
    monkeypatch.setattr(command, "find_sanitizer", lambda: "compute-sanitizer")
    called = []

    def run_task(task, arguments, timeout, prefix):
        called.append(prefix)
        answer = {"task": task, "arguments": arguments, "seconds": 1.0, "code": code}
        if code:
            return {**answer, "status": "failed", "error": "a race"}
        return {**answer, "status": "done", "result": {"ok": True}}

    monkeypatch.setattr(command, "run_task", run_task)
    part = command.sanitize(False, 1e9)
    assert part["ok"] is ok
    assert {prefix[2] for prefix in called} == {"memcheck", "racecheck"}
    assert ("a race" in "\n".join(report.write_sanitizer(part))) is not ok


@pytest.mark.parametrize("quick", [False, True])
def test_checks_are_there(quick):
    listed = checks.all_checks(quick)
    for task, arguments in listed:
        inspect.signature(load_task(task)).bind(**arguments)
    assert len(listed) == len({json.dumps(each) for each in listed})
    if not quick:
        names = {each["name"] for task, each in listed if task == "feature"}
        assert names == set(FEATURES)


def test_goals():
    def shape(**times):
        return {"peers": {name: {"ms_per_epoch": ms} for name, ms in times.items()}}

    shapes = {"digits": shape(nnfit=1.0, torch=4.0, compiled=0.5), "large": shape()}
    rows = report.goals({"shapes": shapes})
    assert rows == [
        ["digits", "torch", 4.0, 3.0, True],
        ["digits", "compiled", 0.5, 1.0, False],
    ]


def test_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(toolkit, "problem", lambda: "There is no GPU.")
    assert command.main(["--quick"]) == 2
    assert capsys.readouterr().err == "There is no GPU.\n"


@pytest.mark.parametrize(
    "words, message",
    [
        ("--parts check", "unknown part ['check']"),
        ("--minutes 0", "--minutes must be positive, got 0"),
    ],
)
def test_wrong_arguments(words, message, capsys):
    with pytest.raises(SystemExit):
        command.main(words.split())
    assert message in capsys.readouterr().err


def test_a_worker_answers_in_one_line():
    arguments = json.dumps({"name": "relu", "dtype": "float64"})
    command = [sys.executable, "-m", WORKER, "activation", arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=process.ROOT)
    assert json.loads(done.stdout)["ok"] is True, done.stderr
