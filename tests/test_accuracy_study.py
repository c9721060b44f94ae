"""The choice of defaults by leaving tables out, ``benchmarks.accuracy.study``."""

import numpy as np
import pytest

from benchmarks.accuracy import study
from benchmarks.accuracy.records import Records

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def record(table, model, split, error, seconds=1.0, task="regression"):
    times = [seconds, seconds]
    return dict(
        table=table, model=model, split=split, error=error, task=task, fit_seconds=times
    )


def test_an_answer_is_compared_on_the_splits_that_it_has():
    records = Records()
    for split in range(2):
        for table in "abcd":
            records.add(record(table, "default", split, 0.2 + split))
    for table in "abcd":
        records.add(record(table, "dropout: 0.0", 0, 0.1, seconds=3.0))
    title, _, line, _ = study.report(records, ["dropout", "decay"])
    assert title == "dropout (4 tables; left out: 0.500)"
    name, _, numbers, error, _, seconds, *interval = line.split()
    assert (name, numbers, error, seconds) == ("0.0", "0.500", "0.500", "3.000")
    assert interval == ["0.500", "to", "0.500"]


def test_what_is_best_by_chance_is_not_so_on_other_tables():
    noise = np.random.default_rng(0).normal(size=(12, 9), scale=0.05)
    assert study.left_out(noise) > np.exp(noise.mean(axis=0).min()) + 0.01
    assert study.left_out(np.tile([-0.1, 0.2], (12, 1))) == pytest.approx(np.exp(-0.1))


def test_fits_are_records_of_a_file(tmp_path, monkeypatch, capsys):
    small = {"max_iter": 1, "hidden_layer_sizes": 4}
    answers = {"width": {"4": small}, "smoothing": {"none": {"label_smoothing": 0.0}}}
    monkeypatch.setattr(study, "QUESTIONS", answers)
    x = np.random.default_rng(0).normal(size=60)
    pd.DataFrame({"x": x, "target": x}).to_parquet(tmp_path / "numbers.parquet")
    path = tmp_path / "numbers.parquet"
    found = study.fit(path, "width: 4", small, 0, 40)
    assert found["task"] == "regression" and found["rows"] == 40
    # A regression has no labels to smooth.
    assert study.fit(path, "smoothing", answers["smoothing"]["none"], 0, 40) is None
    file = tmp_path / "study.json"
    known = Records(file)
    known.begin({"machine": "", "rows": 40, "threads": 1})
    for table in ("numbers", "others"):
        for name in ("width: 4", "default"):
            known.add({**found, "table": table, "model": name})
    study.main(["--from-json", str(file)])
    assert "width (2 tables; left out: 1.000)" in capsys.readouterr().out
