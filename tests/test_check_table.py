"""`check_table`: what is wrong is found, what is sound is silent."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn import datasets

from nnfit import Finding, TableReport, check_table
from nnfit.tables.report import KINDS, SHOWN
from tests.broken_tables import BROKEN, copies, customers, sound


def objects(X):
    return np.array(list(X.values()), dtype=object).T


def rows_of(X):
    return [list(row) for row in zip(*X.values(), strict=True)]


MAKERS = {
    "pandas": pd.DataFrame,
    "polars": lambda X: pl.DataFrame(X, strict=False),
    "pyarrow": lambda X: pa.table(
        {k: pa.array(v, from_pandas=True) for k, v in X.items()}
    ),
    "objects": objects,
    "rows": rows_of,
}


def found(report):
    columns = {}
    for finding in report:
        columns.setdefault(finding.kind, set()).update(finding.columns)
    return columns


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_table_is_found_and_nothing_else(name, maker):
    X, y, expected = BROKEN[name]()
    if name == "export" and maker in ("polars", "pyarrow"):
        # They have no columns of numbers and strings: all become strings.
        X = {k: np.array([str(v) for v in values]) for k, values in X.items()}
        expected |= {"number_as_text": {"size", "age", "floors"}}
        expected["disguised_missing"] = {"heating"}
        del expected["mixed_types"]
    names = list(X)
    report = check_table(MAKERS[maker](X), y)
    if maker in ("objects", "rows"):
        places = {name: i for i, name in enumerate(names)} | {"target": "target"}
        expected = {k: {places[c] for c in of} for k, of in expected.items()}
    assert found(report) == expected
    order = [KINDS.index(finding.kind) for finding in report]
    assert order == sorted(order)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_sound_table_has_no_findings(maker):
    X, y = sound()
    report = check_table(MAKERS[maker](X), y)
    assert not report and len(report) == 0, str(report)
    assert str(report) == "No findings in a table of 400 rows and 6 columns"


@pytest.mark.parametrize(
    "name", ["iris", "wine", "breast_cancer", "diabetes", "linnerud"]
)
def test_toy_data_have_no_findings(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    report = check_table(X, y)
    assert not report, str(report)


def test_digits_have_constant_pixels():
    (finding,) = check_table(*datasets.load_digits(return_X_y=True))
    assert finding.kind == "constant" and finding.columns == (0, 32, 39)


@pytest.mark.parametrize("n", [30, 100, 3000])
def test_heavy_tails_have_no_findings(n):
    rng = np.random.default_rng(n)
    X = {
        "lognormal": rng.lognormal(0, 2, n),
        "Pareto": rng.pareto(3, n),
        "Student": rng.standard_t(2, n),
        "sums": rng.integers(0, 10**6, n),
        "counts": rng.geometric(0.01, n),
        "zeros": np.where(rng.random(n) < 0.3, 0, rng.exponential(size=n)),
        "far from zero": rng.normal(1e6, 1, n),
    }
    report = check_table(pd.DataFrame(X), rng.normal(size=n))
    assert not report, str(report)


def test_a_strong_column_is_no_leak():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    assert not check_table(x, x[:, 0] + 0.2 * rng.normal(size=2000))
    assert not check_table(x, x[:, 0] + 0.1 * rng.normal(size=2000) > 0)


@pytest.mark.parametrize(
    "how, classes",
    [
        *[(how, True) for how in ("monotone", "reversed", "noisy", "text")],
        *[(how, False) for how in ("monotone", "reversed", "noisy")],
    ],
)
def test_leaks(how, classes):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600) if classes else rng.lognormal(size=600)
    x = np.log(y + 1.0) if how == "monotone" else -y.astype(float)
    if how == "noisy":
        x = y + 0.02 * rng.normal(size=600) * (1 if classes else y)
    if how == "text":
        x = np.array(["low", "middle", "high"], object)[y]
    X = pd.DataFrame({"sound": rng.normal(size=600), "leak": x})
    report = check_table(X, y)
    assert found(report)["leak"] == {"leak"}


def test_a_leak_of_a_rare_class_is_found():
    rng = np.random.default_rng(0)
    y = rng.random(50_000) < 0.002
    X = pd.DataFrame({"sound": rng.normal(size=50_000), "fraud_team": y * 1.0})
    report = check_table(X, y)
    assert found(report) == {"leak": {"fraud_team"}, "imbalance": {"target"}}
    assert "on a sample of 2," in report[0].seen


def test_each_of_several_targets_is_looked_at():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(300, 3)), rng.normal(size=(300, 2))
    X[:, 2], Y[4, 0] = Y[:, 1], np.nan
    report = check_table(X, Y)
    assert found(report) == {"leak": {2}, "missing_target": {"target 0"}}
    assert "the target 1" in report[1].seen


@pytest.mark.parametrize(
    "values, is_identifier",
    [
        (np.arange(100), True),
        (np.arange(100)[::-1] + 5000.0, True),
        (np.random.default_rng(0).permutation(400)[:100], True),
        (np.random.default_rng(0).integers(0, 10**9, 100), False),
        (np.linspace(0, 1, 100), False),
        ([f"person {i}" for i in range(100)], True),
        ([f"person {i % 95}" for i in range(100)], True),
        ([f"person {i % 25}" for i in range(100)], False),
        ([str(i + 0.5) for i in range(100)], False),
        (pd.date_range("2024-01-01", periods=100), False),
    ],
)
def test_identifiers(values, is_identifier):
    report = check_table(pd.DataFrame({"x": values}))
    assert ("identifier" in found(report)) == is_identifier


def test_integers_of_any_size_are_identifiers_by_their_name():
    values = np.random.default_rng(0).integers(0, 10**9, 100)
    for name in ("id", "ID", "user_id", "customerID", "Unnamed: 0", "uuid"):
        assert found(check_table(pd.DataFrame({name: values}))) == {
            "identifier": {name}
        }
    for name in ("paid", "humid", "valid", "keys", "amount"):
        assert not check_table(pd.DataFrame({name: values}))


@pytest.mark.parametrize(
    "texts",
    [
        ["12,5", "3,75", "0,5", "-4,1"],
        ["1,234.50", "12", "999", "5.5"],
        ["$ 5", "$ 7.5", "€12", "9 €"],
        ["5 %", "7.5%", "90%", "1%"],
        ["1e3", "2.5e-2", "1", ".5"],
        ["1 200", "15 000", "3", "1 000 000"],
    ],
)
def test_numbers_as_text(texts):
    X = pd.DataFrame({"x": texts * 30})
    assert found(check_table(X)) == {"number_as_text": {"x"}}
    assert not check_table(X.astype("category"))


def test_codes_with_zeros_in_front_are_names():
    assert not check_table(pd.DataFrame({"zip": ["01067", "10115", "80331"] * 30}))


@pytest.mark.parametrize("word", ["?", " ?", "", "N/A", "nan", "NULL", "-", "#N/A"])
def test_disguised_missing_values(word):
    X = pd.DataFrame({"x": ["red", "blue", "green", word] * 30})
    (finding,) = check_table(X)
    assert finding.kind == "disguised_missing"
    assert finding.seen.startswith(f"30 rows (25.0 %) hold {word!r} where")


def test_numbers_as_text_with_missing_values():
    X = pd.DataFrame({"x": ["1.5", "2", "?", "none"] * 10 + ["3"] * 60})
    (finding,) = check_table(X)
    assert finding.seen == (
        "Numbers are written as text, for instance '1.5'; 20 rows (20.0 %) hold '?', "
        "'none' where a value is missing."
    )


@pytest.mark.parametrize(
    "date", ["2024-05-{:02}", "{}.5.2024", "2024-05-{:02} 12:30:11"]
)
def test_dates_as_text(date):
    X = pd.DataFrame({"x": [date.format(1 + i % 28) for i in range(100)]})
    assert found(check_table(X)) == {"date_as_text": {"x"}}


def test_words_that_are_answers_are_not_missing():
    assert not check_table(pd.DataFrame({"debtors": ["none", "co-applicant"] * 30}))
    assert not check_table(pd.DataFrame({"job": ["unknown", "clerk", "smith"] * 30}))


@pytest.mark.parametrize("value", [-999, 9999, -99, 2**31 - 1])
def test_sentinels(value):
    x = np.r_[np.random.default_rng(0).integers(10, 60, 200), [value] * 4]
    (finding,) = check_table(x[:, None])
    assert finding.kind == "sentinel"
    assert finding.seen.startswith(f"4 rows hold {value}; all other values lie from 10")


def test_numbers_of_nines_among_others_are_no_sentinels():
    assert not check_table(np.r_[0:1000, 0:1000][:, None])
    assert not check_table(np.tile(np.arange(90, 100), 30)[:, None])


def test_zeros_of_counts_are_no_sentinels():
    rng = np.random.default_rng(0)
    assert not check_table(rng.poisson(5, (500, 1)))
    amounts = np.where(rng.random(500) < 0.5, 0, rng.uniform(50, 90, 500))
    assert not check_table(amounts[:, None])


def test_an_outlier_says_how_far_it_is():
    x = np.r_[np.random.default_rng(0).normal(size=500), 1000.0, -2000]
    first, second = check_table(x[:, None])
    assert first.kind == second.kind == "outlier"
    assert first.seen.startswith("1 row holds 1000; the next largest value is ")
    assert second.seen.startswith("1 row holds -2000; the next smallest value is ")
    assert "(robust z-score 97" in first.seen and "z-score -19" in second.seen


def test_equal_columns_of_rounded_numbers():
    x = np.random.default_rng(0).normal(170, 10, 3000)
    X = np.column_stack([x, -2.54 * x + 7, x**2]).astype(np.float32)
    (finding,) = check_table(X)
    assert finding.kind == "duplicate_columns" and finding.columns == (0, 1)


def test_equal_columns_with_holes_at_regular_places():
    x = np.random.default_rng(0).normal(size=500)
    x[::7] = np.nan  # every row that a sample of 64 would look at
    (finding,) = check_table(np.column_stack([x, 2.54 * x]))
    assert finding.kind == "duplicate_columns"


def test_few_rows_off_the_most_frequent_value_are_no_evidence_of_equality():
    X = np.zeros((300, 2))
    X[7] = 1
    X[9:250, 0] = 0
    assert not check_table(X)


def test_rows_of_training_in_validation():
    X, y, _ = customers()
    X = pd.DataFrame(X)[["months", "price"]]
    report = check_table(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert not report
    report = check_table(X[:320], y[:320], X_val=X[300:], y_val=y[300:])
    (finding,) = report
    assert finding.kind == "shared_rows"
    assert finding.seen == "20 rows of X_val (20.0 %) are in X as well."


def test_classes_of_validation_that_training_lacks():
    X, y = np.random.default_rng(0).normal(size=(90, 2)), np.arange(90) % 2
    (finding,) = check_table(X, y, X_val=X + 1, y_val=np.where(np.arange(90) < 4, 7, y))
    assert finding.kind == "unseen_class"
    assert finding.seen == "4 rows of y_val have a class that y lacks: 7."


def test_passengers_who_are_alike_are_no_copies():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, (500, 4))
    assert not check_table(X) and not check_table(X[:250], X_val=X[250:])


def test_people_who_are_alike_in_columns_that_depend_on_each_other_are_no_copies():
    rng = np.random.default_rng(0)
    ticket = rng.geometric(0.02, 900)
    fares = rng.lognormal(size=(ticket.max() + 1, 3)).round(1)
    X = np.column_stack([fares[ticket], rng.integers(0, 4, 900)])
    assert not check_table(X, rng.random(900))


def test_the_task():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), rng.integers(0, 3, 200).astype(float)
    y[0] = 9
    assert not check_table(X, y)
    assert found(check_table(X, y.astype(int))) == {"rare_class": {"target"}}
    assert found(check_table(X, y, task="classification")) == {"rare_class": {"target"}}
    assert not check_table(X, y.astype(int), task="regression")
    with pytest.raises(ValueError, match=r"task must be 'auto', .* got 'classify'"):
        check_table(X, y, task="classify")


def test_a_constant_target():
    (finding,) = check_table(np.random.default_rng(0).normal(size=(50, 2)), np.ones(50))
    assert finding.kind == "constant_target"


def test_many_findings_of_a_kind_are_counted():
    x = np.random.default_rng(0).normal(size=(100, 10))
    x[0] = np.inf
    report = check_table(x)
    assert len(report) == 10
    assert str(report).count("infinite:") == SHOWN
    assert "(4 more findings of this kind)" in str(report)
    assert "(4 more)" in report._repr_html_()


def test_the_report():
    X, y, _ = copies()
    report = check_table(pd.DataFrame(X), y)
    assert isinstance(report, TableReport) and isinstance(report[0], Finding)
    assert max(map(len, str(report).splitlines())) < 80
    assert list(report) == report.findings and report[-1] == report.findings[-1]
    frame = pd.DataFrame(report)
    assert list(frame.columns) == ["kind", "columns", "seen", "advice"]
    assert "<td>duplicate_rows</td>" in report._repr_html_()


def test_html_is_escaped():
    X = pd.DataFrame({"<b>": [1] * 30})
    assert "&lt;b&gt;" in check_table(X)._repr_html_()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"X": np.empty((0, 2))}, "X has no rows"),
        ({"X": pd.DataFrame()}, "X has no columns"),
        ({"X": np.ones((2, 2, 2))}, "got 3 dimensions"),
        ({"X": [[1, 2], [3]]}, "rows of X must be of the same length"),
        ({"X": np.ones((5, 2)), "y": np.ones(4)}, "y must have .* got 4 for 5 rows"),
        (
            {"X": np.ones((5, 2)), "X_val": np.ones((5, 3))},
            "X_val must have the columns",
        ),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_table(**arguments)


def test_sparse_matrices_are_refused():
    with pytest.raises(TypeError, match="got a sparse matrix"):
        check_table(sparse.csr_array(np.eye(3)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_rows(n):
    rng = np.random.default_rng(0)
    assert found(check_table(rng.normal(size=(n, 2)), rng.normal(size=n))).keys() <= {
        "constant",
        "constant_target",
    }


def test_odd_cells():
    X = np.empty((40, 3), object)
    X[:, 0] = [[1, 2]] * 40
    X[:, 1] = [{"a": i % 3} for i in range(40)]
    X[:, 2] = [None] * 40
    assert found(check_table(X)) == {"constant": {0}, "mostly_missing": {2}}


def test_no_library_of_tables_is_needed():
    code = """
import sys
class Absent:
    def find_spec(self, name, *rest):
        if name in ("pandas", "polars", "pyarrow", "numba"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
from nnfit import check_table, train_validation_test_split
X = np.array([[1, "a"], [2, "b"]] * 9, object)
train_validation_test_split(X, stratify=X[:, 1])
print([finding.kind for finding in check_table(X, [0, 1] * 9)])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "['rare_class', 'duplicate_columns']\n", run.stderr
