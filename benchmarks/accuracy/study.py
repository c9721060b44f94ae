"""Choose defaults of the network for tables by leaving tables out.

From the root of the checkout, with a folder as for `benchmarks.accuracy`::

    python -m benchmarks.accuracy.study FOLDER --json study.json
    python -m benchmarks.accuracy.study FOLDER --json study.json --questions width
    python -m benchmarks.accuracy.study --from-json study.json

A question changes one thing about the defaults, and every answer fits the same rows.
What is printed of an answer is its error, log-loss and time over those of the defaults,
geometric means over the tables. The tables are then halved many times: the answer with
the smallest error on one half is scored on the other. ``left out`` is the mean of that
over the halvings: above 1, what the choice seems to gain is noise. Fits that the file
has are not made again.
"""

import argparse
import multiprocessing
import warnings

import numpy as np

from . import tables
from .records import Records
from .worker import clocks, predict, score

#: Of the rows that are not trained on.
MOST_TEST_ROWS = 6000
#: Names of what has no other parameters than the defaults.
DEFAULT = "default"


def embedding(kind="piecewise_linear", **options):
    return {"numeric_embedding": {"kind": kind, **options}}


def of_tasks(name, classification, regression):
    return {"classification": {name: classification}, "regression": {name: regression}}


def rates(factor):
    return of_tasks("learning_rate_init", 0.04 * factor, 0.2 * factor)


#: By question the answers: parameters, or those of each task.
QUESTIONS = {
    "embedding": {
        "none": {"numeric_embedding": None},
        "fixed bins": embedding(
            "piecewise_linear_encoding", n_bins=16, scale=0.3, keep_input=True
        ),
        "cosines": {"numeric_embedding": "pbld"},
        "48 bins": embedding(n_bins=48, n_outputs=4),
        "length 16": embedding(n_bins=16, n_outputs=16),
        "rate 0.03": embedding(n_bins=16, n_outputs=4, learning_rate_factor=0.03),
        "rate 0.3": embedding(n_bins=16, n_outputs=4, learning_rate_factor=0.3),
    },
    "epochs": {f"{n} epochs": {"max_iter": n} for n in (32, 128, 256)},
    "batch": {f"{n} rows": {"batch_size": n} for n in (32, 64, 128, 256)},
    "width": {
        f"{depth} x {width}": {"hidden_layer_sizes": (width,) * depth}
        for depth, width in ((2, 128), (3, 128), (3, 256), (2, 384))
    },
    "dropout": {f"{rate}": {"dropout": rate} for rate in (0.0, 0.05, 0.3)},
    "decay": {f"{rate}": {"weight_decay": rate} for rate in (0.0, 0.1)},
    "smoothing": {
        "none": {"label_smoothing": 0.0},
        "none, temperature": {"label_smoothing": 0.0, "temperature_scaling": True},
        "0.1, temperature": {"temperature_scaling": True},
        "0.05": {"label_smoothing": 0.05},
    },
    "rate": {f"x {factor}": rates(factor) for factor in (0.5, 2.0)},
}


def network(task, parameters, seed):
    """A network with some parameters; None if it has none of them."""
    from nnfit.estimators import tabular_network

    ending = "Regressor" if task == "regression" else "Classifier"
    model = getattr(tabular_network, f"TabularNetwork{ending}")
    parameters = parameters.get(task, parameters)
    known = {k: v for k, v in parameters.items() if k in model().get_params()}
    if parameters and not known:
        return None
    return model(**known, n_jobs=1, random_state=seed)


def fit(path, name, parameters, split, most):
    """Fit a network; returns a record, or None where the parameters are another's."""
    warnings.simplefilter("ignore")
    table = tables.read(path)
    rows, _ = table.rows(split, most)
    others = np.setdiff1d(np.arange(len(table.y)), rows)
    test = np.random.default_rng(split).permutation(others)[:MOST_TEST_ROWS]
    model = network(table.task, parameters, split)
    if model is None:
        return None
    start = clocks()
    model.fit(table.X.iloc[rows], table.y[rows])
    seconds = (clocks() - start).tolist()
    outputs = predict(model, table.X.iloc[test], table.task)
    return {
        "table": table.name,
        "model": name,
        "split": split,
        "task": table.task,
        "rows": len(rows),
        "fit_seconds": seconds,
        **score(table, test, model, outputs),
    }


def answers(questions):
    """Parameters by "question: answer", the defaults first."""
    return {DEFAULT: {}} | {
        f"{question}: {answer}": parameters
        for question in questions
        for answer, parameters in QUESTIONS[question].items()
    }


def measured(options, records):
    """Make the fits that are not among the records."""
    paths = tables.find(options.folder, options.tables and options.tables.split(","))
    tasks = [
        (path, name, parameters, split, options.max_rows)
        for split in range(options.splits)
        for name, parameters in answers(options.chosen).items()
        for path in reversed(paths)  # the largest first
        if (path.stem, name, split) not in records.fits
    ]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for record in filter(None, pool.imap_unordered(_fit, tasks)):
            records.add(record)
            print("{table} {split} {model}: {error:.4f}".format(**record), flush=True)


def _fit(task):
    return fit(*task)


# What it says -----------------------------------------------------------------


def ratios(records, names, value):
    """Logarithms of values over those of the defaults, (n_tables, n_names), by table
    the mean over the splits that all have; NaN where a task does not have the value."""
    by_table = {}
    for table, _, split in records.fits:
        by_table.setdefault(table, set()).add(split)
    lines = {}
    for table, splits in sorted(by_table.items()):
        rows = [
            [records.fits.get((table, name, split)) for name in (DEFAULT, *names)]
            for split in splits
        ]
        rows = [[value(record) for record in row] for row in rows if all(row)]
        if rows:
            means = np.mean(rows, axis=0)
            lines[table] = np.log(means[1:]) - np.log(means[0])
    return lines


def left_out(lines, halvings=200):
    """What the best answer of half of the tables, the defaults among them, makes of the
    error of the other half; NaN for a single table."""
    if len(lines) < 2:
        return np.nan
    errors = np.insert(lines, 0, 0.0, axis=1)
    random, found = np.random.default_rng(0), []
    for _ in range(halvings):
        order = random.permutation(len(errors))
        for half in np.array_split(order, 2):
            others = np.setdiff1d(order, half)
            best = errors[half].mean(axis=0).argmin()
            found.append(errors[others, best].mean())
    return float(np.exp(np.mean(found)))


def report(records, questions):
    """Lines of a table for each question."""
    known = {name for _, name, _ in records.fits}
    tasks = {record["table"]: record["task"] for record in records.fits.values()}
    for question in questions:
        names = [n for n in answers([question]) if n in known and n != DEFAULT]
        error = ratios(records, names, lambda record: max(record["error"], 1e-4))
        if not names or not error:
            continue
        seconds = ratios(records, names, lambda record: record["fit_seconds"][1])
        loss = ratios(records, names, lambda record: record.get("log_loss", np.nan))
        parts = {
            "classes": [error[t] for t in error if tasks[t] == "classification"],
            "numbers": [error[t] for t in error if tasks[t] == "regression"],
            "error": list(error.values()),
            "log-loss": [row for row in loss.values() if not np.isnan(row).any()],
            "seconds": list(seconds.values()),
        }
        yield (
            f"{question} ({len(error)} tables; left out: "
            f"{left_out(np.array(list(error.values()))):.3f})"
        )
        yield " " * 20 + "".join(f"{part:>10}" for part in parts) + "  interval"
        spread = np.std(parts["error"], axis=0) / np.sqrt(len(error) - 1 or 1)
        for i, name in enumerate(names):
            cells = [
                np.exp(np.mean(rows, axis=0)[i]) if rows else np.nan
                for rows in parts.values()
            ]
            centre = np.mean(parts["error"], axis=0)[i]
            low, high = np.exp(centre + 1.64 * spread[i] * np.array([-1, 1]))
            answer = name.partition(": ")[2]
            yield (
                f"{answer:20}" + "".join(f"{cell:10.3f}" for cell in cells)
                + f"  {low:.3f} to {high:.3f}"
            )  # fmt: skip
        yield ""


def main(argv=None):
    about, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.study",
        description=about,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="of parquet files")
    add = parser.add_argument
    add("--questions", metavar="LIST", help="some of " + ",".join(QUESTIONS))
    add("--tables", metavar="LIST", help="default: all of the folder")
    add("--splits", type=int, default=2, help="for each table (default 2)")
    add("--max-rows", type=int, default=1500, help="to train on (default 1500)")
    add("--processes", type=int, default=1, help="with a thread each (default 1)")
    add("--json", metavar="FILE", help="add all fits there, and go on from them")
    add("--from-json", metavar="FILE", help="fit nothing, take the fits from there")
    options = parser.parse_args(argv)
    if bool(options.folder) == bool(options.from_json):
        parser.error("give a folder of parquet files, or --from-json FILE")
    options.chosen = options.questions.split(",") if options.questions else QUESTIONS
    unknown = sorted(set(options.chosen) - set(QUESTIONS))
    if unknown:
        parser.error(f"unknown question {unknown}; choose from {sorted(QUESTIONS)}")
    records = Records(options.from_json or options.json)
    if options.folder:
        records.begin({"machine": "", "rows": options.max_rows, "threads": 1})
        measured(options, records)
    print("\n".join(report(records, options.chosen)))


if __name__ == "__main__":
    main()
