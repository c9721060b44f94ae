"""What a fork waits for: LLVM at work, and modules half imported.

A forked child inherits numba's, llvmlite's and the import system's own locks. Were one
held by a thread, the child, which does not have that thread, would hang in its first
fit. So every use of LLVM, even the smallest, and every import in a fit lies within this
lock: a thread that looks up an address waits for Python's lock while it holds
llvmlite's. LLVM is used by one thread at a time anyway.
"""

import os
import threading
from contextlib import contextmanager

#: Seconds that a fork waits for a kernel that another thread compiles. They take up to
#: 2, and 13 where six processes share a processor. The wait has an end, so that no
#: thread can stop a fork for good.
_FORK_WAIT = 60.0

_lock = threading.RLock()


@contextmanager
def held():
    """Keep the process from forking; a thread may do so again."""
    with _lock:
        yield


def _wait_before_fork():
    _lock.acquire(timeout=_FORK_WAIT)


def _release_after_fork():
    try:
        _lock.release()
    except RuntimeError:  # not ours: the wait came to its end
        pass


def _renew_after_fork():
    """Give a forked child a lock that no vanished thread can hold."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_wait_before_fork,
        after_in_parent=_release_after_fork,
        after_in_child=_renew_after_fork,
    )
