"""No kernel reads or writes beyond the end of an array or of a buffer of its own."""

import ctypes
import os
import signal

import numpy as np
import pytest
import scipy.sparse

from nnfit.cpu import engine as cpu
from nnfit.cpu.target import CPU_VARIABLE
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from tests.engines import evaluate, make_data, make_engine, results_of, train
from tests.features import FEATURES, structured
from tests.graphs import GRAPHS, graph
from tests.trials.pages import SLACK, protected
from tests.trials.workers import Worker

NAMES = list(FEATURES)


def draw(rng, number):
    """A training of any shape; each feature in turn, and each precision."""
    most = int(rng.choice([12, 70, 150]))  # wide layers have buffers of their own
    dtype = ("float32", "float64")[(number + number // len(NAMES)) % 2]

    def size(most=most):
        return int(rng.integers(1, most))

    return dict(
        name=NAMES[number % len(NAMES)],
        dtype=dtype,
        loss=str(rng.choice(list(LOSSES))),
        activation=str(rng.choice(list(ACTIVATIONS))),
        sizes=(size(), *(size() for _ in range(size(5))), 1 + size(6)),
        n_rows=size(150),
        batch_size=size(120),
        density=rng.choice([None, 0.02, 0.3]),
        weighted=bool(rng.integers(2)),
        on_some=bool(rng.integers(2)),
        shuffle=bool(rng.integers(2)),
        n_threads=int(rng.choice([1, 1, 2, 3])),
        # In one precision, for each takes 20 seconds to compile.
        processor="plain" if dtype == "float64" and rng.uniform() < 0.2 else "host",
        nodes=None if rng.integers(3) else str(rng.choice(list(GRAPHS))),
    )


def score_of(loss):
    """The score that the engine computes beside a loss."""
    if loss.takes_index:
        return "accuracy"
    if loss.task == "classification":
        return "multilabel_accuracy"
    return None if "quantile" in loss.parameters else "r2"


def work(
    name, dtype, loss, activation, sizes, n_rows, batch_size, density, weighted,
    on_some, shuffle, n_threads, processor, nodes,
):  # fmt: skip
    """All numbers that training, validation and prediction compute."""
    os.environ[CPU_VARIABLE] = processor
    rng = np.random.default_rng(0)
    network, options = structured(name, dtype, sizes, loss=loss, activation=activation)
    if nodes is not None:  # of sizes of its own
        network = graph(5, *GRAPHS[nodes], dtype=dtype)
    if "learning_rate_factors" in options:
        options["learning_rate_factors"] = (0.5,) * network.n_layers
    if "dropout" in options:
        options["dropout"] = (0.3,) * network.n_dropout
    X, y = make_data(network, n_rows)
    if density is not None:
        X = scipy.sparse.csr_array(np.where(rng.uniform(size=X.shape) < density, X, 0))
        # Of their own memory, not the beginning of a larger one.
        X.data, X.indices = X.data.copy(), X.indices.copy()
    weight = rng.uniform(size=n_rows) if weighted else None
    rows = rng.permutation(n_rows)[: -(-n_rows // 2)] if on_some else None
    batch_size = min(batch_size, n_rows if rows is None else len(rows))
    engine = make_engine(
        cpu, network, (X, y, weight), rows=rows, n_threads=n_threads,
        batch_size=batch_size, shuffle=shuffle, **options,
    )  # fmt: skip
    results = [train(engine, 2)]
    for score in (None, score_of(network.loss)):
        results.append(np.array(evaluate(engine, X, y, weight, rows, score)))
    weights = engine.get_weights()
    for few in (X, X[:1], X[: min(n_rows, 17)]):
        for raw in (False, True):
            results.append(
                cpu.predict(network, weights, few, raw=raw, n_threads=n_threads)
            )
    if network.n_dropout > 0:
        dropout = ((0.5,) * network.n_dropout, 0.5, 3, 1)
        results.append(cpu.predict(network, weights, X, dropout=dropout))
    results += results_of(engine)
    engine.close()
    return [np.array(array) for array in results]


def compare(case):
    """Whether the numbers are the same in protected memory."""
    expected = work(**case)
    with protected():
        results = work(**case)
        equal = all(map(np.array_equal, expected, results, [True] * len(results)))
        del results
    return equal


def read_beyond(what):
    """Read a byte beyond the end of an array or a buffer."""
    with protected() as buffers:
        if what == "array":
            array, slack = np.ones(7, np.float32), 0
        else:
            array, slack = buffers.aligned_zeros(16, np.float32), SLACK
        end = array.ctypes.data + array.nbytes + slack
        assert ctypes.string_at(end - 1, 1)
        return ctypes.string_at(end, 1)


@pytest.mark.parametrize("what", ["array", "buffer"])
def test_the_page_is_protected(what):
    with Worker() as worker:
        outcome = worker.call(read_beyond, what)
    assert (outcome.kind, outcome.value) == ("died", -signal.SIGSEGV)


def test_protected_pages(trial):
    n_rounds, failed = trial.rounds(full=3000, fewest=len(NAMES)), []
    with Worker() as worker:
        for number in range(n_rounds):
            case = draw(trial.rng, number)
            outcome = worker.call(compare, case)
            if outcome.kind != "returned" or not outcome.value:
                failed.append((case, outcome))
    trial.figure(f"{n_rounds - len(failed)} of {n_rounds} trainings stay inside")
    assert not failed, "\n".join(f"{case}\n{o.value} {o.text}" for case, o in failed)
