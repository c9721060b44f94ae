"""A process that trains one peer when it is told to.

``python -m benchmarks.peers.worker PEER THREADS DEVICE`` reads a request in JSON from
every line of its input and answers with one line: ``{"do": "load", "shape": NAME}``
reads the data and compiles, ``{"do": "judge"}`` fits and returns loss and score,
``{"do": "time"}`` returns the seconds of an epoch, and of processor time, and in what
share of the time something waited for a processor. Where that fails the answer is
``{"error": SENTENCE}``.
"""

import json
import math
import os
import sys
import time
from dataclasses import replace

import numpy as np

from ..timing import seconds_per_epoch
from . import machine
from .problem import Problem
from .registry import load_adapter

#: Seconds of a long fit, about, for every library; an epoch may take longer.
SECONDS = 0.4


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


class Worker:
    """A peer, and the problem that it has in hand."""

    def __init__(self, peer, n_threads, device):
        self.n_threads, self.device = n_threads, device
        self.adapter = load_adapter(peer, device)(n_threads)
        self.problem = None

    def load(self, shape):
        self.problem = Problem(shape, self.n_threads, self.device)
        self.adapter.load(self.problem)
        self.adapter.fit(self.problem.shape.short)  # compiles, and fills caches
        return {}

    def judge(self):
        """Fit and score, and choose the epochs of a long fit by the time that takes."""
        shape, start = self.problem.shape, time.perf_counter()
        weights = self.adapter.fit(shape.scored)
        epochs = SECONDS / (time.perf_counter() - start) * shape.scored
        # A multiple, for those who do several epochs at once.
        long = shape.short * (1 + math.ceil(epochs / shape.short))
        self.problem.shape = replace(shape, long=long)
        loss, score = self.problem.judge(weights)
        return {"loss": loss, "score": score}

    def time(self):
        start, waited = time.perf_counter(), machine.waited_seconds()
        wall, processor = seconds_per_epoch(
            self.adapter.fit, self.problem.shape, clocks
        )
        waited = machine.waited_seconds() - waited
        share = waited / (time.perf_counter() - start)
        return {"seconds": wall, "processor_seconds": processor, "waited": share}


def serve(make):
    """Answer the requests of `process.WorkerProcess` by methods of an object.

    Parameters
    ----------
    make : callable
        Takes the peer, the number of threads and the device; returns the object.
    """
    peer, n_threads, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = make(peer, n_threads, device)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # of any library
            first = str(error).strip().partition("\n")[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(answer), file=answers, flush=True)


def main():
    serve(Worker)


if __name__ == "__main__":
    main()
