"""What ``verbose`` prints of a fit, and the bar of a search."""

import io
import re

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris

from nnfit import MLPClassifier, MLPRegressor, PopulationSearchCV
from nnfit.training import bar, reporting
from nnfit.training.history import Record
from nnfit.training.reporting import Pace, Reporter, duration

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0, "verbose": 1}


@pytest.fixture
def clock(monkeypatch):
    """The time of reporters and bars, as a list of one number."""
    now = [0.0]
    for module in (reporting, bar):
        monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def unpaced(monkeypatch):
    """Every epoch is printed."""
    monkeypatch.setattr(Pace, "is_due", lambda self: True)


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def report(clock, losses, seconds, **options):
    """Epochs of equal length."""
    reporter, record = Reporter(len(losses), **options), Record()
    reporter.begin(record)
    for number, loss in enumerate(losses, 1):
        clock[0] += seconds
        record.add_epoch(loss, 0.001, number * seconds, np.nan, np.nan)
        reporter.after_epoch(record)
    reporter.end(record)


def test_the_table_of_a_fit(capsys, unpaced):
    model = MLPClassifier(early_stopping=True, **SMALL).fit(X, Y)
    header, *rows = lines(capsys)
    assert re.split(r"  +", header) == [
        "epoch", "loss", "val. score", "learning rate", "time left"
    ]  # fmt: skip
    assert {len(row) for row in rows if "Best" not in row} == {len(header)}
    for epoch, row in enumerate(rows[:4]):
        cells = row.replace(" *", "").split()
        assert int(cells[0]) == epoch + 1
        assert float(cells[1]) == pytest.approx(model.loss_curve_[epoch], rel=1e-4)
        score = model.validation_scores_[epoch]
        assert float(cells[2]) == pytest.approx(score, rel=1e-4)
        is_best = score > max(model.validation_scores_[:epoch], default=-1)
        assert (" *" in row) == is_best


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "lbfgs"},
        {"n_members": 2},
        {"hidden_layer_sizes": (5, 4), "verbose": 2},
        {"hidden_layer_sizes": (), "verbose": 2},
        {"n_shared_members": 3, "verbose": 2, "solver": "lbfgs"},
        {"normalization": "batch", "verbose": 2},
    ],
)
def test_every_kind_of_fit_has_a_table(parameters, capsys, unpaced):
    MLPClassifier(**SMALL | parameters).fit(csr_array(X), Y)
    header, *rows = lines(capsys)
    n_members = parameters.get("n_members", 1)
    assert len(rows) == 4 * n_members
    assert ("learning rate" in header) == ("solver" not in parameters)
    assert ("dead units" in header) == (parameters.get("verbose") == 2)
    whose = [row.split(":")[0] for row in rows if row.startswith("member")]
    if n_members == 2:
        assert sorted(whose) == 4 * ["member 1 of 2"] + 4 * ["member 2 of 2"]
    else:
        assert not whose


def test_gradient_and_dead_units_are_those_of_the_network(capsys, unpaced):
    model = MLPRegressor(**SMALL | {"verbose": 2, "max_iter": 1, "solver": "sgd"})
    model.set_params(learning_rate_init=1e-9, alpha=0.0).fit(X, Y)
    cells = lines(capsys)[1].replace("*", "").split()
    rows = X[::3]  # 50 of 150
    hidden = rows @ model.coefs_[0] + model.intercepts_[0]
    error = np.maximum(hidden, 0) @ model.coefs_[1] + model.intercepts_[1]
    error = error[:, 0] - Y[::3]
    by_hidden = error[:, None] * model.coefs_[1].T * (hidden > 0)
    parts = rows.T @ by_hidden, np.maximum(hidden, 0).T @ error
    norm = np.sqrt(sum(np.sum(part**2) for part in parts)) / len(rows)
    assert float(cells[3]) == pytest.approx(norm, rel=1e-2)
    dead = (hidden <= 0).all(axis=0).mean()
    assert float(cells[4].rstrip("%")) == pytest.approx(100 * dead, abs=0.1)


def test_at_most_five_lines_a_second(clock, capsys):
    report(clock, np.linspace(1, 0.1, 100), 0.01)
    epochs = [int(line.split()[0]) for line in lines(capsys)[1:]]
    assert epochs == [1, 21, 41, 61, 81, 100]


def test_members_share_the_pace(clock, capsys):
    pace = Pace()
    for number in range(3):
        report(clock, [1.0], 0.0, who=f"{number} ", pace=pace)
    assert [line.split()[0] for line in lines(capsys)] == ["epoch", "0", "1", "2"]


def test_a_long_fit_is_announced_after_the_first_epoch(clock, capsys):
    report(clock, [3.0, 2.0, 1.0, 0.5], 5.0)
    first, _, *rows = lines(capsys)
    assert first == (
        "This fit will take about 15 s, or less if it ends early: at most 4 epochs of "
        "5.0 s."
    )
    assert [row.split()[-2:] for row in rows] == [
        ["15", "s"], ["10", "s"], ["5.0", "s"], ["0", "s"]
    ]  # fmt: skip
    report(clock, [3.0, 2.0, 1.0], 5.0, max_time=12.0)
    assert "will take" not in capsys.readouterr().out


def test_calls_of_partial_fit_are_lines_of_one_table(capsys, unpaced):
    model = MLPClassifier(**SMALL)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    header, *rows = lines(capsys)
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert "time left" not in header


def test_durations():
    seconds = [0.01, 0.4, 9.96, 59.6, 200, 7500]
    told = ["0 s", "0.4 s", "10 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]
    assert list(map(duration, seconds)) == told


def test_a_search_shows_a_bar(capsys):
    network = MLPClassifier(**SMALL | {"verbose": 0})
    search = PopulationSearchCV(network, {"alpha": [0.1, 1.0]}, cv=2, verbose=1)
    search.fit(X, Y)
    first, *rows = lines(capsys)
    assert first.startswith("Fitting 2 folds for each of 2 candidates")
    assert re.search(r"\b4 (of 4 )?fits", rows[-1]) and "_bar" not in vars(search)


def test_a_bar_has_a_line_for_every_tenth(clock, capsys):
    shown = bar.Bar("fits", 40)
    for _ in range(40):
        clock[0] += 0.3
        shown.advance()
    shown.end()
    rows = lines(capsys)
    assert len(rows) == 11  # and the first
    assert rows[5] == "[###############...............] 20 of 40 fits, 6.0 s left"


def test_on_a_terminal_the_line_of_a_bar_is_overwritten(clock, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    shown = bar.Bar("fits", 10)
    for _ in range(10):
        clock[0] += 0.1
        shown.advance()
    shown.end()
    written = terminal.getvalue()
    assert written.count("\r") == 6 and written.count("\n") == 1
    assert "[##############################] 10 of 10 fits, 0 s left" in written
