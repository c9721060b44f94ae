"""The parent's end of a worker process."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

#: Seconds that a process which was told to end may take.
LAST_SECONDS = 10
#: What keeps the libraries below PyTorch and NumPy from AVX-512; XLA takes a flag.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
ROOT = Path(__file__).parents[2]
WORKER = "benchmarks.peers.worker"


class WorkerError(Exception):
    """A worker that failed, crashed or did not answer in time."""


def environment(n_threads, device="cpu"):
    """Environment variables that give a library ``n_threads`` threads, or a GPU.

    Each library reads some of them when it is imported; JAX goes by NPROC. Where
    NNFIT_CPU holds nnfit to AVX2, they hold the others to it as well.
    """
    number = str(n_threads)
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "VECLIB")
    variables = {**os.environ, **{f"{name}_NUM_THREADS": number for name in names}}
    variables["NPROC"] = number
    variables["JAX_PLATFORMS"] = device
    if device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    else:  # otherwise it takes most of the memory from the others
        variables["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    # Otherwise processes that compile would stay beside those that are measured.
    variables["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    flags = [variables.get("XLA_FLAGS", "")]
    if n_threads == 1:
        flags.append("--xla_cpu_multi_thread_eigen=false")
    if os.environ.get("NNFIT_CPU") == "avx2":
        flags.append("--xla_cpu_max_isa=AVX2")
        variables |= AVX2
    variables["XLA_FLAGS"] = " ".join(flags).strip()
    return variables


class WorkerProcess:
    """A worker; a context manager that ends it.

    Parameters
    ----------
    peer : str
    n_threads : int
    timeout : float
        Seconds for one answer.
    device : {"cpu", "cuda"}, default="cpu"
    module : str or None, default=None
        What the process runs instead of the worker of this package.
    """

    def __init__(self, peer, n_threads, timeout, device="cpu", module=None):
        self.timeout = timeout
        self._errors = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module or WORKER, peer, str(n_threads), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(n_threads, device),
            cwd=ROOT,
            # Ctrl-C reaches the parent alone, which ends its workers.
            start_new_session=True,
        )
        # select() does not know pipes on Windows, a thread and a queue do.
        self._answers = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(None)

    def ask(self, do, **arguments):
        """Send a request and wait for its answer.

        Raises
        ------
        WorkerError
            The request failed, the process ended, or did not answer within
            ``timeout`` seconds; it is not running any more.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=self.timeout)
        except queue.Empty:
            self.close(0)
            message = f"no answer to '{do}' within {self.timeout:g} s"
            raise WorkerError(message) from None
        except OSError:
            answer = None
        if answer is None:
            self.close()
            raise WorkerError(self._last_words())
        answer = json.loads(answer)
        if "error" in answer:
            self.close()
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self):
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else f"ended with {self._process.returncode}"

    def close(self, wait=LAST_SECONDS):
        """End the process: end of its input, and force if it takes too long."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        # Nobody waits for an answer after Ctrl-C or an error.
        self.close(0 if error else LAST_SECONDS)
        self._errors.close()
