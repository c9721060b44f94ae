"""Check and time nnfit on a GPU, in one command.

From the root of the checkout::

    python -m benchmarks.gpu
    python -m benchmarks.gpu --quick --json gpu.json
    python -m benchmarks.gpu --parts checks,kernels --minutes 5

It compares the GPU's engine with the CPU's, bit by bit with itself, lets
compute-sanitizer look where it is installed, and measures epochs beside other
libraries, the kernels alone, many networks at once and compiling. The exit status is 1
if a check failed, 2 if there is no GPU. What is not done when the time is up is left
out and said.
"""

import argparse
import glob
import json
import os
import shutil
import sys
import tempfile
import time
import traceback

from ..peers import machine, measure
from ..peers.registry import peers_for
from ..shapes import shapes_for
from . import report
from .tasks import run_task, run_tasks

#: Parts in their order, and their shares of the time; what one leaves the next may use.
PARTS = {
    "checks": 0.45,
    "kernels": 0.12,
    "peers": 0.25,
    "population": 0.1,
    "compile": 0.03,
    "sanitizer": 0.05,
}
#: Seconds of one check. Compiling is most of it, beside as many others as there are
#: cores.
CHECK_SECONDS = 180
#: Most workers at once; each has a context of some hundred MB on the GPU.
MOST_WORKERS = 16
SANITIZER_ERROR = 77
#: Shapes by what they tell, for the time may end before them.
ORDER = ["digits", "large", "cover", "small", "tiny", "wide"]
QUICK_SHAPES = ["digits", "small"]
#: Seconds for an answer of a peer; torch.compile takes most.
PEER_SECONDS = 120


def arguments(argv=None):
    about, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=about,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--json", metavar="FILE", help="write all that was found there")
    add("--markdown", metavar="FILE", help="write the tables there as well")
    add("--quick", action="store_true", help="a part of the checks and shapes")
    add("--minutes", type=float, default=8, help="for all of it (default 8)")
    add("--parts", metavar="LIST", help="some of " + ",".join(PARTS))
    options = parser.parse_args(argv)
    options.parts = options.parts.split(",") if options.parts else list(PARTS)
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"unknown part {unknown}; choose from {list(PARTS)}")
    if options.minutes <= 0:
        parser.error(f"--minutes must be positive, got {options.minutes}")
    return options


def say(words):
    """A line about what goes on."""
    print(words, file=sys.stderr, flush=True)


def say_outcome(outcome):
    """A line about a task that has ended."""
    result = outcome.get("result", {})
    word = outcome["status"]
    if word == "done":
        word = "ok" if result.get("ok", True) else "DIFFERS"
    words = f"{word:8} {outcome['seconds']:5.1f} s  {outcome['task']}"
    say(f"{words} {json.dumps(outcome['arguments'])}")


# ------------------------------------------------------------------------- the parts


def check(quick, deadline):
    """All checks, in as many workers as there are cores."""
    from tests.cuda.checks import all_checks

    tasks = all_checks(quick)
    n_workers = max(1, min(MOST_WORKERS, machine.n_cores()))
    outcomes = run_tasks(tasks, n_workers, deadline, CHECK_SECONDS, say_outcome)
    run = [each for each in outcomes if each["status"] != "not run"]
    good = [each for each in run if each.get("result", {}).get("ok")]
    return {
        "ok": len(good) == len(run) > 0,
        "passed": len(good),
        "total": len(tasks),
        "not_run": len(tasks) - len(run),
        "worst": worst(run),
        "failures": [each for each in run if each not in good],
        "outcomes": outcomes,
    }


def worst(outcomes):
    """Rows of the largest difference of each kind, and where it was."""
    rows = []
    for dtype in ("float32", "float64"):
        for key in ("first_predictions", "first_epoch", "all_epochs", "validation"):
            found = [
                (each["result"][key], each["arguments"]["name"])
                for each in outcomes
                if key in each.get("result", {})
                and each["arguments"].get("dtype") == dtype
            ]
            if found:
                value, name = max(found)
                rows.append([f"{dtype}, {key}", f"{value:.1e}", name])
    return rows


def result_of(task, arguments, deadline, **options):
    """Result of a task that must not fail."""
    outcome = run_task(task, arguments, deadline - time.perf_counter(), **options)
    say_outcome(outcome)
    if outcome["status"] != "done":
        raise RuntimeError(f"{task}: {outcome['status']}: {outcome['error']}")
    return outcome["result"]


def measure_kernels(quick, deadline):
    """The table of kernels."""
    return result_of("kernel_table", {"quick": quick}, deadline)


def measure_peers(quick, deadline):
    """Epochs beside other libraries, shape by shape while there is time."""
    peers, notes = measure.installed(peers_for("cuda"), "cuda")
    shapes = QUICK_SHAPES if quick else sorted(shapes_for("cuda"), key=ORDER.index)

    def while_there_is_time():
        for name in shapes:
            if time.perf_counter() < deadline:
                yield name
            else:
                notes.append(f"{name} is left out: no time was left.")

    results = measure.compare(
        while_there_is_time(), peers, 1, 2 if quick else 3, PEER_SECONDS, say, "cuda"
    )
    about = {"machine": machine.describe("cuda"), "threads": 1, "notes": notes}
    part = {**about, "shapes": results}
    failed = report.peers_report.complaints(part)
    own = [words for words in failed if f", {report.peers_report.BASE}" in words]
    return {"ok": bool(results) and not own, **part}


def measure_population(quick, deadline):
    """Many networks at once: engines, then searches."""
    rates, errors = {}, []
    for task, given in (("together", {}), ("searches", {"jobs": machine.n_cores()})):
        try:
            result = result_of(task, {**given, "quick": quick}, deadline)
        except RuntimeError as error:
            errors.append(str(error))
            continue
        found = result.pop("networks_a_second")
        rates[f"{task}: {json.dumps(result)}"] = found
    if errors:
        raise RuntimeError("\n".join(errors))
    return {"rates": rates}


def measure_compile(quick, deadline):
    """A first fit with an empty cache, then in a new process with what is there."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"variables": {"NUMBA_CACHE_DIR": folder}}
        cold = result_of("first_fit", {}, deadline, **cache)
        warm = result_of("first_fit", {}, deadline, **cache)
    rows = {
        "first of a machine": cold["first"],
        "first of a process": warm["first"],
        "later": warm["next"],
    }
    return {"rows": rows}


def find_sanitizer():
    """Path of compute-sanitizer, or None."""
    places = glob.glob("/usr/local/cuda*/bin/compute-sanitizer")
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        places.insert(0, os.path.join(home, "bin", "compute-sanitizer"))
    found = shutil.which("compute-sanitizer")
    return found or next(filter(os.path.exists, places), None)


def sanitize(quick, deadline):
    """compute-sanitizer on a few batches."""
    program = find_sanitizer()
    if program is None:
        return {"ok": None, "skipped": "compute-sanitizer is not installed."}
    rows, words, ok = [], [], True
    for tool in ("memcheck", "racecheck"):
        for launches in (False, True):
            outcome = run_task(
                "sanitized",
                {"launches": launches},
                min(120, deadline - time.perf_counter()),
                (program, "--tool", tool, "--error-exitcode", str(SANITIZER_ERROR)),
            )
            say_outcome(outcome)
            status = outcome["status"]
            if outcome.get("code") == SANITIZER_ERROR:
                status, ok = "ERRORS", False
            if status != "done":  # a tool that cannot run says nothing of the kernels
                words.append(f"{tool}, launches={launches}: {outcome['error']}")
            rows.append([tool, launches, "clean" if status == "done" else status])
    return {"ok": ok, "outcomes": rows, "words": words}


RUN = {
    "checks": check,
    "kernels": measure_kernels,
    "peers": measure_peers,
    "population": measure_population,
    "compile": measure_compile,
    "sanitizer": sanitize,
}


def run_parts(options):
    """All parts that are asked for; an error in one leaves the others."""
    started, seconds, parts = time.perf_counter(), 60 * options.minutes, {}
    whole, share = sum(PARTS[name] for name in options.parts), 0.0
    for name in options.parts:
        share += PARTS[name]
        begun = time.perf_counter()
        say(f"== {name}")
        try:
            part = RUN[name](options.quick, started + seconds * share / whole)
        except Exception:  # of whatever kind, the GPU's time is short
            part = {"ok": False, "error": traceback.format_exc(limit=-4)}
        parts[name] = {**part, "seconds": time.perf_counter() - begun}
        say(f"== {name}: {report.words_of(parts[name])}")
        yield parts


def write(options, results):
    """Write what there is; after every part, so that nothing is lost."""
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(report.markdown(results))


def main(argv=None):
    options = arguments(argv)
    from nnfit.cuda import toolkit

    problem = toolkit.problem()
    if problem:
        say(problem)
        return 2
    known = machine.describe("cuda")
    results = {"machine": {**known.pop("gpu"), **known}, "quick": options.quick}
    say(json.dumps(results["machine"]))
    try:
        for results["parts"] in run_parts(options):
            write(options, results)
    except KeyboardInterrupt:
        return 130
    print(report.markdown(results))
    return int(any(part.get("ok") is False for part in results["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
