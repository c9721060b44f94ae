"""Memory, descriptors, threads and objects do not grow with the number of calls."""

import ctypes
import gc
import os
from contextlib import suppress

import numpy as np
import pytest

from nnfit import MLPClassifier
from tests.trials.fits import DENSE, FITS, LABELS, SPARSE, prepare, quietly
from tests.trials.workers import Worker

#: Calls before the first look, and looks; growth counts from the third one, since
#: pools of memory fill before.
WARM, LOOKS, SETTLED = 100, 10, 2
#: Kilobytes that memory may seem to grow by, as it is handed out in other orders: one
#: array of 100 numbers lost in every fit of the full trial would be 2400.
TOLERANCE = 1000
#: Objects that may: those of fits of another kind at the last look.
OBJECTS = 100


def look():
    """Kilobytes of memory, descriptors, threads of the system, objects of Python."""
    gc.collect()
    with suppress(AttributeError):  # not in every C library
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        len(gc.get_objects()),
    )


def again_and_again(call, count):
    """What `look` returns, between so many calls with their numbers."""
    for number in range(WARM):
        call(number)
    looks = [look()]
    for part in np.array_split(np.arange(count), LOOKS):
        for number in part.tolist():
            call(number)
        looks.append(look())
    return looks


def fits(count):
    """Looks between fits of every kind, on one thread and on two."""

    def call(number):
        _, train = prepare(FITS[number % len(FITS)], 1 + number // len(FITS) % 2, 2)
        train()

    return again_and_again(call, count)


def predictions(count):
    """Looks between predictions of few rows and many, dense and sparse."""
    model = MLPClassifier((20, 20), max_iter=5, normalization="layer", dropout=0.2)
    quietly(lambda: model.fit(DENSE, LABELS))
    rows = [DENSE[:1], DENSE[:17].astype(float), DENSE, SPARSE, np.tile(DENSE, (9, 1))]

    def call(number):
        model.set_params(n_jobs=1 + number // len(rows) % 2)
        model.predict_proba(rows[number % len(rows)])
        if number % 7 == 0:
            model.predict_proba(DENSE[:3], n_passes=2)

    return again_and_again(call, count)


@pytest.mark.parametrize(("calls", "full"), [(fits, 3000), (predictions, 20_000)])
def test_nothing_grows(trial, calls, full):
    count = trial.rounds(full, full // 20)
    with Worker() as worker:
        looks = np.array(worker.call(calls, count, limit=3600).result())
    growth = looks[-1] - looks[SETTLED]
    units = "kB of memory", "descriptors", "threads", "objects"
    grown = ", ".join(f"{n:+d} {unit}" for n, unit in zip(growth, units, strict=True))
    trial.figure(f"{grown} in the last 80 % of {count} {calls.__name__}")
    assert (growth <= [TOLERANCE, 0, 0, OBJECTS]).all(), looks
