"""Threads for the fits of a search, as a backend of joblib.

Scikit-learn hands the fits of a search to joblib, which asks its backend to run them.
Compiled code lets threads run beside each other, and threads share the data and all
that is compiled; processes, joblib's usual workers, share neither.
"""

import contextvars
from contextlib import contextmanager

import joblib
from joblib.parallel import ParallelBackendBase, get_active_backend

from nnfit.interruption import Abandoned, Interruption, interrupted_by
from nnfit.training.pools import Pool, can_start_threads
from nnfit.training.threads import free_processors, threads_of


@contextmanager
def side_by_side(at_once=None, after_each=None):
    """Let the next ``joblib.Parallel`` of this thread work on threads.

    Only this one works so: the functions that it runs, and what comes after it, find
    joblib as it was. If no thread can be started, it works on the calling thread.

    Parameters
    ----------
    at_once : int, default=None
        Number of threads if neither the ``Parallel`` nor a ``joblib.parallel_config``
        around it has a number; None for the number of free processors.
    after_each : callable, default=None
        Called in a thread after each function that has been run.
    """
    if not can_start_threads():
        with joblib.parallel_config(backend="sequential"):
            yield
        return
    backend = _Threads()
    backend.after_each = after_each
    backend.default_n_jobs = get_active_backend()[1] or at_once or free_processors()
    config = joblib.parallel_config(backend=backend)
    backend.leave = config.unregister
    try:
        with config:
            yield
    finally:
        # The config and the `Parallel` hold the backend, and the `Parallel` holds
        # functions with their data.
        backend.leave = backend.parallel = backend.after_each = None


class _Threads(ParallelBackendBase):
    """A backend for a single ``joblib.Parallel``.

    After an error or Ctrl-C the running fits end when the calls of their engines end,
    and the backend waits for that.
    """

    supports_retrieve_callback = True
    supports_sharedmem = True
    uses_threads = True

    def effective_n_jobs(self, n_jobs):
        """Return at least 2: joblib would run fits of one worker in the calling thread.

        There Ctrl-C would end one fit, which keeps what it has learnt, and the search
        would go on. The pool has as many threads as were asked for.
        """
        return max(2, threads_of(n_jobs))

    def configure(self, n_jobs=1, parallel=None, **options):
        """Start of the one ``Parallel``."""
        self.leave()
        self._interruption = Interruption(Abandoned)
        # Fits run in the context of the search, which has np.errstate and the like. A
        # fit is submitted by the thread that has ended another one.
        self._context = contextvars.copy_context()
        self._pool = Pool(threads_of(n_jobs), "nnfit-search")
        return super().configure(n_jobs, parallel)

    def submit(self, func, callback=None):
        """Run a function in a thread as soon as one is free.

        Returns nothing, for the future's callback holds what is returned. A future
        would hold itself, and its error the data of the fit, until Python's collector
        comes.
        """
        try:
            future = self._pool.submit(self._context.copy().run, self._run, func)
        except RuntimeError:
            # A fit that ends submits the next one, even while all fits are being ended.
            if not self._interruption.is_set():
                raise
            return
        if callback is not None:
            future.add_done_callback(callback)

    apply_async = submit  # its name before joblib 1.5

    def _run(self, func):
        interrupted_by.set(self._interruption)
        result = func()
        if self.after_each is not None:
            self.after_each()
        return result

    def retrieve_result_callback(self, out):
        """Result of a future, or its error."""
        return out.result()

    def abort_everything(self, ensure_ready=True):
        """End the threads and what they may still be running."""
        self._interruption.set()
        self._pool.shutdown(cancel_futures=True)

    terminate = abort_everything
