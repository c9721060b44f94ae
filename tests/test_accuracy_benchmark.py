"""The benchmark of accuracy, ``python -m benchmarks.accuracy``, and `adam_sgd`."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.metrics import brier_score_loss, log_loss

from benchmarks import adam_sgd
from benchmarks.accuracy import __main__ as command
from benchmarks.accuracy import measure, memory, report, summary, tables, worker
from benchmarks.accuracy.records import Records
from benchmarks.accuracy.registry import MODELS, load_maker, model
from tests.pairs import in_turn

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

#: Models of the first table of docs/accuracy.rst.
SHOWN = [
    *("nnfit_tabular_fast", "nnfit_tabular_default", "nnfit_tabular_best"),
    *("nnfit", "sklearn_mlp", "hist", "lightgbm", "xgboost", "catboost"),
]
CONSTANT, BROKEN = (f"tests.accuracy_models:{name}" for name in ("constant", "broken"))
# Of an older matplotlib with a newer pyparsing, when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def make_frame(n_rows=80, n_classes=2, seed=0):
    """Numbers, categories, dates and truth values, with holes, and classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "a[1]": np.where(rng.uniform(size=n_rows) < 0.1, np.nan, x),
            "b": rng.integers(5, size=n_rows),
            "c": rng.choice(["red", "green", None], size=n_rows),
            "when": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(np.arange(n_rows), "D"),
            "flag": rng.uniform(size=n_rows) < 0.5,
        }
    )
    limits = np.quantile(x, np.linspace(0, 1, n_classes + 1)[1:-1])
    frame["target"] = [f"class {i}" for i in np.searchsorted(limits, x)]
    return frame, x


@pytest.fixture
def folder(tmp_path):
    """Two tables: classes, and numbers."""
    frame, x = make_frame()
    frame.to_parquet(tmp_path / "classes.parquet")
    frame.assign(target=x).to_parquet(tmp_path / "numbers.parquet")
    return tmp_path


class HereInstead:
    """A worker in this process; it counts the fits, and can end them by Ctrl-C."""

    fits, most = 0, math.inf

    def __init__(self, model, n_threads, timeout, module):
        self.worker = worker.Worker(model, n_threads, "cpu")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, do, **arguments):
        if do == "fit":
            if HereInstead.fits == HereInstead.most:
                raise KeyboardInterrupt
            HereInstead.fits += 1
        try:
            return getattr(self.worker, do)(**arguments)
        except Exception as error:
            raise measure.WorkerError(str(error)) from None


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(measure, "WorkerProcess", HereInstead)
    monkeypatch.setattr(HereInstead, "fits", 0)
    return HereInstead


def run(folder, *words):
    given = ["--models", f"{CONSTANT},{BROKEN}", "--json", folder / "results.json"]
    return command.main([str(word) for word in (folder, *given, *words)])


def test_a_run_in_processes(folder, capsys):
    words = ("--tables", "numbers", "--splits", 2, "--picture", folder / "ranks.png")
    assert run(folder, *words) == 0
    out, err = capsys.readouterr()
    assert f"FAILED numbers, {BROKEN}, split 0: RuntimeError: it knows no" in out
    assert "at length" not in out
    assert f"numbers: {BROKEN} failed" in err
    assert (folder / "ranks.png").stat().st_size > 5000
    fits = Records(folder / "results.json").fits
    assert len(fits) == 4
    assert fits["numbers", CONSTANT, 0]["error"] == pytest.approx(1.0, abs=0.1)


def test_a_killed_run_goes_on(folder, here, capsys):
    file = folder / "results.json"
    assert run(folder, "--splits", 3) == 0
    # One table has three fits of two models, of the other one model fails at once.
    assert here.fits == 9
    text = file.read_text()
    file.write_text(text[: text.rindex('"split"')])  # in the midst of the last line
    assert run(folder, "--splits", 3) == 0
    assert here.fits == 9 and "failed" in capsys.readouterr().err
    assert len(Records(file).fits) == 12
    assert run(folder, "--splits", 4) == 0
    assert here.fits == 12
    assert run(folder, "--splits", 4, "--retry", "--models", BROKEN) == 2
    assert "every fit has failed" in capsys.readouterr().err
    assert run(folder, "--max-rows", 30) == 2
    assert "has fits with 8000 rows, not 30" in capsys.readouterr().err


def test_ctrl_c(folder, here, monkeypatch, capsys):
    monkeypatch.setattr(here, "most", 4)
    assert run(folder) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert len(Records(folder / "results.json").fits) == 4
    monkeypatch.setattr(here, "most", math.inf)
    assert run(folder) == 0
    assert here.fits == 9


def test_tables_from_a_file(folder, here, capsys):
    run(folder, "--models", CONSTANT)
    capsys.readouterr()
    file = str(folder / "results.json")
    assert command.main(["--from-json", file, "--markdown"]) == 0
    assert (
        "| constant | 1.00 (1.0–1.0) | 1.000 (1.00–1.00) |" in capsys.readouterr().out
    )


def test_a_model_that_is_not_installed(folder, here, capsys):
    assert run(folder, "--models", f"{CONSTANT},nowhere:maker") == 0
    assert "maker is left out: nowhere is not installed." in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "give a folder of parquet files, or --from-json FILE"),
        ("{} --models nnfitt", "unknown model 'nnfitt'; choose from nnfit, "),
        ("{} --tables clases", "unknown table ['clases']; choose from ['classes', "),
        ("{} --max-rows 0", "--max-rows must be positive, got 0"),
        ("{}/nothing", "There is no parquet file in "),
    ],
)
def test_wrong_arguments(words, message, folder, capsys):
    with pytest.raises(SystemExit):
        command.main(words.format(folder).split())
    assert message in capsys.readouterr().err


# Tables ----------------------------------------------------------------------


def test_columns_become_numbers_and_categories(folder):
    table = tables.read(folder / "classes.parquet")
    assert table.task == "classification"
    assert list(table.X.dtypes.astype(str)) == [
        *("float32", "float32", "category", "float32", "float32")
    ]
    assert table.X["f0"].isna().any() and table.X["f2"].isna().any()
    np.testing.assert_array_equal(table.X["f3"], np.arange(80))
    np.testing.assert_array_equal(np.unique(table.y), [0, 1])


@pytest.mark.parametrize(
    "target, task",
    [
        (np.arange(80) / 7, "regression"),
        (np.arange(80), "regression"),
        (np.arange(80) % 30, "classification"),
        (np.arange(80) % 2 == 0, "classification"),
    ],
)
def test_task_of_a_target(folder, target, task):
    frame, _ = make_frame()
    frame.assign(target=target).to_parquet(folder / "other.parquet")
    assert tables.read(folder / "other.parquet").task == task


def test_task_of_an_index(folder):
    index = {"numbers": {"task": "regression"}, "classes": {"task": "multiclass"}}
    (folder / "index.json").write_text(json.dumps(index))
    for name, task in (("numbers", "regression"), ("classes", "classification")):
        assert tables.read(folder / f"{name}.parquet").task == task


def test_rows_without_a_target_are_left_out_and_one_must_be_there(folder):
    frame, x = make_frame()
    frame["target"] = np.where(np.arange(80) < 10, np.nan, x)
    frame.to_parquet(folder / "holes.parquet")
    assert len(tables.read(folder / "holes.parquet").y) == 70
    frame.drop(columns="target").to_parquet(folder / "none.parquet")
    with pytest.raises(ValueError, match=r"none\.parquet has no column 'target'"):
        tables.read(folder / "none.parquet")


def test_splits_are_the_same_rows_for_all(folder):
    table = tables.read(folder / "classes.parquet")
    train, test = table.rows(0, 8000)
    assert (len(train), len(test)) == (60, 20)
    assert not set(train) & set(test)
    assert table.y[test].sum() == 10  # stratified
    for again, first in zip(table.rows(0, 8000), (train, test), strict=True):
        np.testing.assert_array_equal(again, first)
    assert set(table.rows(1, 8000)[1]) != set(test)
    assert [len(rows) for rows in table.rows(0, 12)] == [12, 12]
    rare = tables.Table("", "classification", table.X, np.r_[2, table.y[1:]])
    assert [len(rows) for rows in rare.rows(0, 8000)] == [60, 20]


# One fit ---------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_scikit_learn(n_classes):
    y = np.arange(30) % n_classes
    table = tables.Table("", "classification", pd.DataFrame(index=range(30)), y)
    proba = np.random.default_rng(0).dirichlet(np.ones(n_classes), 30)
    fitted = DummyClassifier().fit(np.zeros((30, 1)), y)
    found = worker.score(table, np.arange(30), fitted, proba)
    assert found["error"] == np.mean(proba.argmax(axis=1) != y)
    assert found["log_loss"] == pytest.approx(log_loss(y, proba))
    given = proba[:, 1] if n_classes == 2 else proba
    assert found["brier"] == pytest.approx(brier_score_loss(y, given))


def test_scores_where_training_lacked_a_class():
    y = np.array([0, 1, 2, 0])
    table = tables.Table("", "classification", pd.DataFrame(index=range(4)), y)
    fitted = DummyClassifier().fit(np.zeros((2, 1)), [0, 1])
    found = worker.score(table, np.arange(4), fitted, np.full((4, 2), 0.5))
    assert found["error"] == 0.5
    assert found["log_loss"] > 5


def test_error_of_a_regression(folder):
    table = tables.read(folder / "numbers.parquet")
    test = np.arange(20)
    y = table.y[test]
    assert worker.score(table, test, None, np.full(20, y.mean())) == {
        "error": pytest.approx(1.0)
    }


def test_memory_of_a_block():
    taken = memory.Memory()
    if math.isnan(taken.before):
        pytest.skip("is counted on Linux only")
    taken.reset()
    np.ones(10**7)
    assert 70 < taken.peak() < 120
    taken.reset()
    assert taken.peak() < 40


@pytest.mark.slow
@in_turn(name=MODELS, task=["binary", "multiclass", "regression"])
def test_every_installed_model_fits(name, task, recwarn):
    if MODELS[name].missing():
        pytest.skip(f"{MODELS[name].missing()} is not installed")
    frame, x = make_frame(300, 3 if task == "multiclass" else 2)
    y = pd.factorize(frame.pop("target"))[0] if task != "regression" else 5 + x
    X = frame.apply(tables._plain)
    kind = "regression" if task == "regression" else "classification"
    table = tables.Table("", kind, X.rename(columns={"a[1]": "a"}), y)
    fitted = load_maker(name)(kind, 1, 0).fit(table.X[:200], y[:200])
    outputs = worker.predict(fitted, table.X[200:], kind)
    found = worker.score(table, np.arange(200, 300), fitted, outputs)
    assert found["error"] < (0.5 if task != "multiclass" else 0.6)


def test_names_of_models():
    with pytest.raises(ValueError, match="unknown model 'lightgmb'; choose from nnfit"):
        model("lightgmb")
    assert model(CONSTANT).title == "constant"
    assert load_maker("sklearn_mlp")("regression", 1, 0).regressor is not None


# Summary ---------------------------------------------------------------------


def make_records(errors, n_splits=3, task="regression", models=None):
    """Records of errors of shape (n_tables, n_models), NaN for a failure."""
    records = Records()
    records.begin(
        {
            "machine": {"cpu": "a processor", "versions": {"lightgbm": "1.2.3"}},
            "rows": 8000,
            "threads": 1,
            "notes": ["TabM is left out: tabm is not installed."],
        }
    )
    for i, row in enumerate(errors):
        for name, error in zip(models or list(MODELS)[: len(row)], row, strict=True):
            for split in range(n_splits):
                key = {
                    "table": f"a table's long name {i}",
                    "model": name,
                    "split": split,
                }
                done = {
                    **{"task": task, "rows": 1000, "test_rows": 100, "columns": 5},
                    **{"error": error * (1 + 0.01 * split), "megabytes": 12.0},
                    **{"fit_seconds": [9.0, 2.0], "predict_seconds": [9.0, 0.1]},
                    "first_seconds": 0.5,
                }
                records.add({**key, **({"failed": "no"} if np.isnan(error) else done)})
    return records


def summarized(errors, **changes):
    records = make_records(errors, **changes)
    names = list(dict.fromkeys(name for _, name, _ in records.fits))
    return summary.summarize(records, names)


ERRORS = np.exp(np.random.default_rng(3).normal(-1.0, 0.3, size=(13, 4)))


def test_ranks_and_errors_over_the_best_are_those_of_scipy():
    found = summarized(ERRORS)
    expected = stats.rankdata(ERRORS, axis=1).mean(axis=0)
    over = ERRORS / ERRORS.min(axis=1, keepdims=True)
    names = list(MODELS)[:4]
    for entry in found["models"]:
        i = names.index(entry["name"])
        assert entry["rank"] == pytest.approx(expected[i])
        assert entry["ratio"] == pytest.approx(stats.gmean(over[:, i]))
        assert entry["first"] == (ERRORS.argmin(axis=1) == i).sum()
        low, high = entry["rank_interval"]
        assert low < entry["rank"] < high
    assert found["models"][0]["rank"] == expected.min()
    # 1,000 rows in 2 and 100 in 0.1 seconds of processor time.
    assert entry["fit_seconds"] == 2.0 and entry["predict_seconds"] == 1.0


def test_tests_are_those_of_scipy():
    # The example of Demsar (2006), four classifiers on 14 data sets.
    assert summary.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    p = summary.against(ERRORS, base=1)
    assert np.isnan(p[1])
    raw = [
        stats.wilcoxon(np.log(ERRORS[:, i] / ERRORS[:, 1])).pvalue for i in (0, 2, 3)
    ]
    first, second, third = np.sort(raw)
    holm = [min(3 * first, 1)]
    holm.append(min(max(holm[0], 2 * second), 1))
    holm.append(min(max(holm[1], third), 1))
    np.testing.assert_allclose(np.sort(p[[0, 2, 3]]), holm)
    assert summary.against(np.ones((5, 2)), base=0)[1] == 1.0


def test_intervals_hold_the_spread_of_tables_and_of_splits():
    same = summarized(np.tile([0.1, 0.2], (5, 1)), n_splits=1)["models"]
    assert [entry["rank_interval"].tolist() for entry in same] == [[1, 1], [2, 2]]
    # Tables alone: a mean of ranks 1 and 2 over n tables is binomial.
    flipped = np.tile([[0.1, 0.2], [0.2, 0.1]], (10, 1))
    low, high = summarized(flipped, n_splits=1)["models"][0]["rank_interval"]
    expected = 1 + stats.binom.ppf([0.025, 0.975], 20, 0.5) / 20
    np.testing.assert_allclose([low, high], expected, atol=0.051)
    # Splits alone: of one table.
    array = np.array([[1.0, 2.0], [3.0, 2.0]])
    low, high = summary.bootstrap([array], lambda means: means.mean(axis=1))
    assert low.tolist() == [1.0, 2.0] and high.tolist() == [3.0, 2.0]


def test_a_failure_is_the_last_of_its_table_and_in_no_ratio():
    errors = np.array([[0.1, 0.2, 0.3], [0.2, np.nan, 0.1], [0.1, 0.3, 0.2]])
    found = {entry["name"]: entry for entry in summarized(errors)["models"]}
    names = list(MODELS)[:3]
    assert [found[name]["rank"] for name in names] == pytest.approx([4 / 3, 8 / 3, 2])
    assert found[names[1]]["ratio"] == pytest.approx(math.sqrt(2 * 3))
    assert "FAILED" in report.terminal(summarized(errors))


def test_an_error_of_nothing_is_half_a_row():
    entry = summarized([[0.0, 0.01]] * 2, n_splits=1, task="classification")["models"][
        1
    ]
    assert entry["ratio"] == pytest.approx(2.0)


def test_only_what_all_have_tried_is_compared():
    records = make_records(ERRORS[:3, :2])
    for split in (1, 2):
        del records.fits["a table's long name 0", "nnfit_recipe", split]
    for split in range(3):
        del records.fits["a table's long name 1", "nnfit_recipe", split]
    found = summary.summarize(records, ["nnfit", "nnfit_recipe"])
    assert [table["name"][-1] for table in found["tables"]] == ["0", "2"]
    assert "left out: a table's long name 1." in " ".join(report.sentences(found))
    alone = summary.summarize(records, ["nnfit"])
    assert len(alone["tables"]) == 3
    with pytest.raises(ValueError, match="no split that all models have tried"):
        summary.summarize(records, ["nnfit", "tabm"])


# Report ----------------------------------------------------------------------


def test_everything_fits_80_columns():
    names = list(MODELS)
    errors = np.random.default_rng(0).uniform(0.1, 0.4, size=(13, len(names)))
    text = report.terminal(summarized(errors))
    assert max(map(len, text.splitlines())) <= 80
    for name in names:
        assert MODELS[name].title in text
    assert "lightgbm 1.2.3" in text and "tabm is not installed" in text


def test_versions_of_all_runs_are_named():
    records = make_records(ERRORS)
    machine = {"cpu": "a processor", "versions": {"scikit-learn": "1.9.1"}}
    records.begin({**records.runs[-1], "machine": machine})
    found = {"runs": records.runs, "splits": [3], "tables": []}
    found["models"] = [{"name": "lightgbm"}, {"name": "hist"}]
    assert "lightgbm 1.2.3, scikit-learn 1.9.1" in report.origin(found)


def test_picture_names_every_model(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.accuracy import chart

    text = chart.svg(summarized(ERRORS))
    for name in list(MODELS)[:4]:
        assert f">{MODELS[name].title}<" in text


def test_published_run_is_whole():
    records = Records(
        Path(__file__).parent.parent / "docs" / "_static" / "accuracy.json"
    )
    found = summary.summarize(records, SHOWN)
    assert not found["failed"] and len(found["tables"]) == 12
    assert found["splits"] == [3]
    page = (Path(__file__).parent.parent / "docs" / "accuracy.rst").read_text()
    assert " ".join(SHOWN) in page


# Adam and SGD ----------------------------------------------------------------


def test_epochs_to_a_goal():
    curve = np.array([0.8, 0.4, 0.4, 0.2])
    for goal, epochs in ((0.9, 0.5), (0.8, 1), (0.6, 1.5), (0.3, 3.5), (0.1, np.inf)):
        assert adam_sgd.epochs_to(goal, curve, 1.0) == pytest.approx(epochs)


def test_each_goal_has_the_rate_that_reaches_it_first():
    slow, fast = 1 - np.arange(1, 11) / 10, 1 - np.arange(1, 11) / 5
    found = {
        ("adam", 0.1): [fast, fast],
        ("nesterov", 0.1): [slow, slow],
        ("nesterov", 1.0): [np.full(10, np.inf), np.r_[0.5, np.full(9, 0.5)]],
    }
    both = adam_sgd.ratios(1.0, found, "nesterov")
    np.testing.assert_allclose(both[0], 2.0)  # slow at 0 takes 10 epochs, fast 5
    np.testing.assert_allclose(both[1], 2.0)
    assert np.all(adam_sgd.ratios(1.0, found, "nesterov", rate=0.1) == both)


def test_adam_and_sgd_from_the_command_line(folder, monkeypatch, capsys):
    monkeypatch.setattr(adam_sgd, "EPOCHS", 3)
    monkeypatch.setattr(adam_sgd, "N_RATES", 2)
    file = folder / "curves.json"
    words = ["adam_sgd", str(folder), "--seeds", "1", "--json", str(file)]
    monkeypatch.setattr("sys.argv", words)
    adam_sgd.main()
    out = capsys.readouterr().out
    assert "nesterov, best rates" in out and "numbers" in out
    assert max(map(len, out.splitlines())) <= 80
    assert set(json.loads(file.read_text())) == {"classes", "numbers"}
    monkeypatch.setattr(adam_sgd, "measure", None)  # nothing is left to measure
    adam_sgd.main()
    assert capsys.readouterr().out == out
