"""Processes that may crash, hang and be interrupted, and are started again."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Seconds after which a call counts as one that hangs: all kernels of a fit are
#: compiled in ten, on a machine that does nothing else.
LIMIT = 300.0

#: Linux's, of a process that must not outlive the one that has started it.
PR_SET_PDEATHSIG = 1

_PROGRAM = "import sys; from tests.trials.workers import serve; serve(int(sys.argv[1]))"


@dataclass(frozen=True)
class Outcome:
    """How a call in a worker ended.

    Attributes
    ----------
    kind : {"returned", "raised", "died", "hung"}
    value : object
        What it returned; the name of the error's type; the exit status of the process,
        negative for a signal; None.
    text : str
        What tells more: the traceback, or the end of the standard error.
    """

    kind: str
    value: Any = None
    text: str = ""

    def result(self):
        """What the call returned, where it had to."""
        assert self.kind == "returned", f"{self.kind} {self.value}\n{self.text}"
        return self.value


class Worker:
    """A process of Python that calls functions, one after the other.

    It is started by the first call, and again after one that ended or hung it.

    Parameters
    ----------
    **environment
        Variables to set, or to remove where they are None.
    """

    def __init__(self, **environment):
        changed = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._environment = {k: str(v) for k, v in changed.items() if v is not None}
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def begin(self, function, *arguments):
        """Let the process call a function of a module."""
        if self.process is None:
            self._start()
        self._connection.send((function, arguments))

    def end(self, limit=LIMIT):
        """Wait for the end of what was begun; returns the `Outcome`."""
        if not self._connection.poll(limit):
            self.process.send_signal(signal.SIGABRT)  # says where every thread is
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            text = self._errors()
            self.close()
            return Outcome("hung", None, text)
        try:
            return Outcome(*self._connection.recv())
        except (EOFError, ConnectionResetError):
            status = self.process.wait()
            text = self._errors()
            self.close()
            return Outcome("died", status, text)

    def call(self, function, *arguments, limit=LIMIT):
        """`begin` and `end`."""
        self.begin(function, *arguments)
        return self.end(limit)

    def close(self):
        """Kill the process, if there is one, and those that it has started."""
        if self.process is not None:
            for process in group(self.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self.process.wait()
            self._connection.close()
            self._stderr.close()
            self.process = None

    def _start(self):
        self._connection, theirs = Pipe()
        self._stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-c",
                _PROGRAM,
                str(theirs.fileno()),
            ],
            pass_fds=[theirs.fileno()],
            env=self._environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
        )
        theirs.close()

    def _errors(self):
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace")
        # Python's last words are a list of all that is imported.
        return text.partition("Extension modules:")[0][-12_000:]


def group(leader):
    """Numbers of the running processes that a worker has started, and its own."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, number = status.read_text().rsplit(")", 1)[1].split()[:3]
            if int(number) == leader and state != "Z":
                found.append(int(status.parent.name))
    return found


def serve(descriptor):
    """Call what comes through a connection; the whole life of a worker."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = Connection(descriptor)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            reply = "returned", function(*arguments)
        except BaseException as error:
            reply = "raised", type(error).__name__, traceback.format_exc()
        connection.send(reply)
