"""Random calls end as they should, and what does not is noticed."""

import re

import numpy as np
import pytest

from nnfit import MLPRegressor
from tests import fuzz
from tests.random_calls import Outcome, run, sort_error


def faults_of(seed, n_calls):
    """Faults of so many calls, each with the seed that repeats it."""
    calls = fuzz.run_calls(f"{seed}-{number}" for number in range(n_calls))
    return [f"{call}: {fault}" for call, found in calls for fault in found["faults"]]


def test_200_calls():
    assert faults_of("suite", 200) == []


def test_a_seed_repeats_a_call():
    assert run("suite-7") == run("suite-7")
    assert len({str(run(f"suite-{number}")) for number in range(20)}) > 3


def test_errors_are_sorted():
    def sorted_as(function):
        outcome = Outcome()
        try:
            function()
        except Exception as error:
            sort_error(outcome, "call", error)
        return bool(outcome.errors), bool(outcome.faults)

    clear, raw = (True, False), (False, True)
    assert sorted_as(lambda: MLPRegressor(alpha=-1).fit([[1.0]], [1.0])) == clear
    assert sorted_as(lambda: MLPRegressor().predict([[1.0]])) == clear
    assert sorted_as(lambda: MLPRegressor().fit([[1.0, np.inf]], [1.0])) == clear
    assert sorted_as(lambda: np.zeros(3) @ np.zeros(4)) == raw
    assert sorted_as(lambda: {}["key"]) == raw


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("import os; os.abort()", "process ended with -?[0-9]+"),
        ("0", "no answer within"),
    ],
)
def test_processes_that_die_or_hang(monkeypatch, ending, message):
    monkeypatch.setattr(fuzz, "PATIENCE", 1.0)
    code = f"import sys\nfor line in sys.stdin:\n    {ending}"
    monkeypatch.setattr(fuzz, "COMMAND", ["-c", code])
    calls = dict(fuzz.run_calls(["1-0", "1-1"]))
    assert list(calls) == ["1-0", "1-1"]  # a new process for the second
    for found in calls.values():
        (fault,) = found["faults"]
        assert re.match(message, fault)
