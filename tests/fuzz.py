"""Random calls in processes that may die, and what came of them.

    python -m tests.fuzz --calls 500 --seed 1
    python -m tests.fuzz --only 1-137        # repeats one call here

A worker carries out calls one after another. One that dies or does not answer is
replaced, and the seed that it worked on is told. Every exception is sorted: a sentence
of nnfit's, or of scikit-learn's checks, is how a wrong call should end; anything else
is a fault, and so are predictions that are not finite, wrong shapes, and estimators
that a failed call has changed.
"""

import argparse
import faulthandler
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Seconds after which a call counts as one that hangs; compiling takes some.
PATIENCE = 120
#: Arguments of Python for a worker.
COMMAND = ["-m", "tests.fuzz", "--worker"]


class Worker:
    """A process that carries out calls, and is replaced when it ends."""

    def __init__(self):
        self._process = None

    def run(self, seed):
        """What came of a call: its faults and the errors that users understand."""
        if self._process is None:
            self._start()
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            return self._lost(f"no answer within {PATIENCE} seconds")
        if not line:
            self._process.wait()
            return self._lost(f"process ended with {self._process.returncode}")
        return json.loads(line)

    def _start(self):
        self._log = tempfile.TemporaryFile("w+")
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        process, lines = self._process, self._lines
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def _lost(self, reason):
        """The fault of a worker that is no more, with what it has written."""
        written = self.close()
        return {"faults": [f"{reason}\n{written[-4000:]}"], "errors": []}

    def close(self):
        """End the process; returns what it has written to standard error."""
        if self._process is None:
            return ""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None
        with self._log:
            self._log.seek(0)
            return self._log.read()


def run_calls(seeds):
    """Carry out calls in a worker.

    Parameters
    ----------
    seeds : iterable of str

    Yields
    ------
    seed, outcome : str, dict
        With the lists ``"faults"`` and ``"errors"``.
    """
    worker = Worker()
    try:
        for seed in seeds:
            yield seed, worker.run(seed)
    finally:
        worker.close()


def work():
    """Carry out the calls whose seeds come by standard input."""
    faulthandler.enable()
    from tests.random_calls import run

    # Whatever prints, prints elsewhere.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(asdict(run(line.strip()))), file=answers, flush=True)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500, help="number of calls")
    parser.add_argument("--seed", type=int, default=0, help="of the first call")
    parser.add_argument("--only", help="one call, as the report names it, in here")
    parser.add_argument("--errors", action="store_true", help="list clear errors, too")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()
    seeds = [f"{arguments.seed}-{number}" for number in range(arguments.calls)]
    if arguments.only:
        from tests.random_calls import run

        results = [(arguments.only, asdict(run(arguments.only)))]
    else:
        results = run_calls(seeds)
    counts, errors = Counter(), Counter()
    for seed, outcome in results:
        counts["calls"] += 1
        counts["calls with a clear error"] += bool(outcome["errors"])
        counts["calls with a fault"] += bool(outcome["faults"])
        errors.update(outcome["errors"])
        for fault in outcome["faults"]:
            print(f"{seed}: {fault}", flush=True)
    if arguments.errors:
        for text, count in errors.most_common():
            print(f"{count:5d} {text}")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return int(counts["calls with a fault"] > 0)


if __name__ == "__main__":
    sys.exit(main())
