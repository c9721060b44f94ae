"""What the compiled engine does between batches: their losses, the plateau."""

import math

import numpy as np
import pytest

from nnfit.cpu import engine as cpu
from nnfit.functions import stopping
from tests.engines import make_data, make_engine, make_network

NETWORK = make_network((5, 7, 3), "tanh", "softmax", "float64")


@pytest.mark.parametrize("n_threads", [1, 2])
def test_losses_of_the_batches(n_threads):
    X, y = make_data(NETWORK, 70)
    weight = np.ones(70)
    weight[32:64] = 0.0
    engine = make_engine(cpu, NETWORK, (X, y, weight), n_threads=n_threads)
    assert "batch_loss" not in engine.train(1)
    engine.keep_batch_losses = True
    losses, batches = [], []
    while engine.progress.epoch < 4:
        curves = engine.train(4)
        losses.extend(curves["loss"])
        batches.extend(curves["batch_loss"])
    engine.close()
    batches = np.reshape(batches, (3, 3))
    assert np.isnan(batches[:, 1]).all()
    rows = np.array([32, 0, 6])
    np.testing.assert_allclose(losses, np.nansum(batches * rows, axis=1) / 70)


def test_rate_on_a_plateau():
    # No epoch improves by so much; the count is 0 after the first.
    data = make_data(NETWORK, 70)
    engine = make_engine(
        cpu,
        NETWORK,
        data,
        schedule="plateau",
        learning_rate_decay=0.5,
        tol=1e9,
        n_iter_no_change=5,
        monitor_loss=True,
    )
    curves = engine.train(20)
    np.testing.assert_allclose(
        curves["learning_rate"], 0.01 * 0.5 ** np.array([0, 0, 0, 1, 1, 2, 2])
    )
    assert engine.progress.stopped == 1


# the rule ---------------------------------------------------------------------


def apply_rule(loss=1.0, best_loss=1.0, count=0, schedule="constant", rate=1.0):
    """The rule with patience for 4 epochs that do not improve by 0.1."""
    code = stopping.SCHEDULES[schedule]
    return stopping.after_epoch(loss, best_loss, count, 0.1, 4, code, rate, 0.5)


@pytest.mark.parametrize(
    ("loss", "best_loss", "expected"),
    [
        (1.0, math.inf, (1.0, 0)),
        (0.95, 1.0, (0.95, 4)),
        (2.0, 1.0, (1.0, 4)),
        (math.nan, 1.0, (1.0, 0)),
        # scores, with their sign changed
        (-1.2, -1.0, (-1.2, 0)),
        (-1.05, -1.0, (-1.05, 4)),
        (math.nan, -1.0, (-1.0, 0)),
    ],
)
def test_rule_of_improvement(loss, best_loss, expected):
    assert apply_rule(loss, best_loss, count=3) == (*expected, 1.0, False)


@pytest.mark.parametrize(
    ("schedule", "count", "rate", "expected"),
    [
        ("constant", 3, 1.0, (4, 1.0, False)),
        ("constant", 4, 1.0, (5, 1.0, True)),
        ("invscaling", 4, 1.0, (5, 1.0, True)),
        ("adaptive", 3, 1.0, (4, 1.0, False)),
        ("adaptive", 4, 1.0, (0, 0.2, False)),
        ("adaptive", 4, 1e-6, (5, 1e-6, True)),
        ("plateau", 0, 1.0, (1, 1.0, False)),
        ("plateau", 1, 1.0, (2, 0.5, False)),
        ("plateau", 3, 1.0, (4, 0.5, False)),
        ("plateau", 4, 1.0, (5, 1.0, True)),
    ],
)
def test_rule_of_stopping(schedule, count, rate, expected):
    assert apply_rule(count=count, schedule=schedule, rate=rate)[1:] == expected


@pytest.mark.parametrize(
    ("patience", "lowered"), [(1, [1]), (2, [1, 2]), (10, [5, 10]), (2**62, [])]
)
def test_when_a_plateau_lowers_the_rate(patience, lowered):
    counts = range(30)
    rates = [
        stopping.after_epoch(
            1.0, 1.0, count - 1, 0.1, patience, stopping.PLATEAU, 1.0, 0.1
        )[2]
        for count in counts
    ]
    assert [count for count in counts if rates[count] < 1.0] == lowered
