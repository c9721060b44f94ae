"""A second process that compiles kernels into the cache while this one does others.

numba and LLVM hold Python's lock, so that threads would take turns. The process fills
the cache and does nothing else: whatever it does not bring, because it died, was slow
or could not be started, this process compiles itself.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import joblib

#: Seconds until a second process has begun to compile, and what it must take off this
#: one's hands to be worth the processor time of starting it and importing numba.
START_SECONDS, WORTHWHILE = 0.3, 0.8
#: Seconds that are waited for it at least, and in shares of this process's own time.
MIN_WAIT, WAIT = 1.0, 1.0

_PROGRAM = (
    "import json, sys\n"
    "path, work = json.loads(sys.stdin.readline())\n"
    "sys.path[:] = path\n"
    "from nnfit.cpu import compiling\n"
    "compiling.serve(work)\n"
)


def can_help(is_alone):
    """Whether a second process of Python may be started, and has a processor.

    Parameters
    ----------
    is_alone : bool
        Whether no other process compiles: the other workers of a pool wait then, and
        their processors are free.
    """
    return (
        not getattr(sys, "frozen", False)
        # Not so in programs that embed Python: starting one would open it again.
        and Path(sys.executable or "").stem.lower().startswith(("python", "pypy"))
        and (is_alone or multiprocessing.parent_process() is None)
        and joblib.cpu_count() > 1
    )


def divide(work, cost, is_alone=False):
    """Deal work to two processes, the longest first.

    Parameters
    ----------
    work : list
    cost : callable
        Rough seconds of an item.
    is_alone : bool, default=False
        As `can_help` takes it.

    Returns
    -------
    own, others : list
        `others` is empty where a second process is not worth starting.
    """
    shares, seconds = ([], []), [0.0, START_SECONDS]
    for item in sorted(work, key=cost, reverse=True):
        index = int(seconds[1] < seconds[0])
        shares[index].append(item)
        seconds[index] += cost(item)
    if sum(map(cost, shares[1])) < WORTHWHILE or not can_help(is_alone):
        return work, []
    return shares


@contextmanager
def helped_with(work):
    """Let a second process compile `work` for as long as the context lasts.

    At its end the process is waited for, as long again as the context took; then, or
    after an error or Ctrl-C, it is killed.

    Parameters
    ----------
    work : list of tuple
        Builder, then numbers and strings, of each kernel.
    """
    process = _start(work) if work else None
    if process is None:
        yield
        return
    started = time.monotonic()
    try:
        yield
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(MIN_WAIT, WAIT * (time.monotonic() - started)))
    finally:
        process.kill()
        with suppress(OSError):
            process.stdin.close()
        process.wait()


def _start(work):
    message = json.dumps([[str(path) for path in sys.path], work]) + "\n"
    try:
        process = subprocess.Popen(
            # Isolated, so that it imports nothing before it has this one's path.
            [sys.executable, "-I", *_bytecode_options(), "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError):
        return None
    # Left open: its end tells the process that this one has gone.
    with suppress(OSError):
        process.stdin.write(message.encode())
        process.stdin.flush()
    return process


def _bytecode_options():
    """Where bytecode goes, which an isolated process does not ask the environment."""
    if sys.dont_write_bytecode:
        yield "-B"
    if sys.pycache_prefix:
        yield from ("-X", f"pycache_prefix={sys.pycache_prefix}")


def end_with_parent():
    """Let the second process, in which this is called, end when the first one does."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
    sys.stdin.read()
    os._exit(0)
