"""Random calls of the estimators, valid and not, end as they should."""

import pytest

from tests.fuzz import run_calls


@pytest.mark.parametrize("part", range(4))  # for as many processors
def test_random_calls(trial, part):
    count, faults, errors = trial.rounds(full=7000, fewest=250), [], 0
    drawn = trial.rng.integers(2**31) + part
    for call, outcome in run_calls(f"{drawn}-{number}" for number in range(count)):
        errors += bool(outcome["errors"])
        faults += [f"{call}: {fault}" for fault in outcome["faults"]]
    trial.figure(
        f"{len(faults)} faults in {count} random calls, {errors} of them refused by a "
        "sentence"
    )
    assert not faults, "\n".join(faults)
