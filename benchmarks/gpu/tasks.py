"""Tasks that run beside each other in workers, each with a limit of time."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ..peers.process import ROOT

#: Module that runs a task.
WORKER = "benchmarks.gpu.worker"
#: Characters of a failed worker's last words.
LAST_WORDS = 1500


def run_task(task, arguments, timeout, prefix=(), variables=None):
    """Run one task; never raises for what happens in it.

    Parameters
    ----------
    task : str
    arguments : dict
    timeout : float
        Seconds.
    prefix : sequence of str
        A program that runs the worker.
    variables : dict, default=None
        Of the environment.

    Returns
    -------
    outcome : dict
        ``task``, ``arguments``, ``seconds``, ``status`` ("done", "failed", "timeout" or
        "not run") and then ``result`` or ``error``.
    """
    outcome = {"task": task, "arguments": arguments, "seconds": 0.0}
    if timeout <= 0:
        return {**outcome, "status": "not run", "error": "no time was left"}
    command = [*prefix, sys.executable, "-m", WORKER, task, json.dumps(arguments)]
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            _, errors = process.communicate()
            outcome["status"] = "timeout"
            outcome["error"] = f"nothing within {timeout:.0f} s\n{errors[-LAST_WORDS:]}"
        except BaseException:  # Ctrl-C
            _end(process)
            raise
    outcome["seconds"] = time.perf_counter() - started
    if "status" in outcome:
        return outcome
    outcome["code"] = process.returncode
    answers = [line for line in output.splitlines() if line.startswith(("{", "["))]
    if process.returncode == 0 and answers:
        return {**outcome, "status": "done", "result": json.loads(answers[-1])}
    words = f"{output[-LAST_WORDS:]}\n{errors[-LAST_WORDS:]}".strip()
    return {**outcome, "status": "failed", "error": words or "no answer"}


def _end(process):
    """End a worker with the programs that run it."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:  # Windows
        process.kill()


def run_tasks(tasks, n_workers, deadline, timeout, report):
    """Run tasks in so many workers at a time, until the deadline.

    Parameters
    ----------
    tasks : list of (str, dict)
    n_workers : int
    deadline : float
        Of `time.perf_counter`; what has not begun then is not run.
    timeout : float
        Seconds of one task.
    report : callable
        Takes the outcome of each as soon as it is there.

    Returns
    -------
    outcomes : list of dict
        As `run_task` returns them, in the order of the tasks.
    """
    lock = threading.Lock()

    def run(task):
        left = deadline - time.perf_counter()
        outcome = run_task(*task, min(timeout, left))
        with lock:
            report(outcome)
        return outcome

    with ThreadPoolExecutor(n_workers) as pool:
        try:
            return list(pool.map(run, tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
