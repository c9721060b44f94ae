"""Sizes of TabM: errors and seconds on tables, and what a choice by half of them costs.

``fit`` appends a record for each table, seed and size to a file, and goes on where it
was interrupted. ``report`` reads such files: errors relative to a plain network trained
by the same recipe, and the size that each half of the tables chooses beside the one
with the smallest error, as the other half sees it.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from sklearn.metrics import log_loss

from benchmarks.accuracy import tables
from nnfit import TabMClassifier, TabMRegressor
from nnfit.estimators import tabm

PLAIN, PAPER = "plain", "paper"
#: Rows to test on, at most, and to train on for no figure.
TESTED, FEW = 4000, 100


def parameters(name):
    """Parameters of a size such as "8x128-all-shared": members, width, adapters, rows.

    An ending such as "-d8" gives the numbers that become of each number.
    """
    if name == PAPER:
        return {"preset": PAPER}
    if name == PLAIN:
        return {
            "n_shared_members": 1,
            "hidden_layer_sizes": (512, 512),
            "numeric_embedding": None,
        }
    shape, adapters, rows, *size = name.split("-")
    n_members, width = map(int, shape.split("x"))
    chosen = {
        "n_shared_members": n_members,
        "hidden_layer_sizes": (width, width),
        "member_adapters": adapters,
        "member_rows": rows,
    }
    if size:
        embedding = {"kind": "piecewise_linear", "n_outputs": int(size[0][1:])}
        chosen["numeric_embedding"] = embedding
    return chosen


def fit(table, name, seed, n_rows, n_threads):
    """Train on some rows; a record of the whole network and of selected members."""
    rows, test = table.rows(seed, max(TESTED, n_rows))
    rows = rows[:n_rows]
    is_class = table.task == "classification"
    make = TabMClassifier if is_class else TabMRegressor
    model = make(
        **parameters(name), select_members=True, random_state=seed, n_jobs=n_threads
    )
    whole = make()
    record = {"table": table.name, "size": name, "seed": seed, "rows": len(rows)}

    def select(estimator, validation):
        vars(whole).update(vars(estimator))
        record["seconds"] = time.process_time() - started
        tabm_select(estimator, validation)
        record["selecting"] = time.process_time() - started - record["seconds"]

    tabm_select = tabm.select
    with mock.patch.object(tabm, "select", select):
        started = time.process_time()
        model.fit(table.X.iloc[rows], table.y[rows])
        record.setdefault("seconds", time.process_time() - started)
    scores = score(model, table, test)
    if name != PLAIN:
        record["members"] = len(model.selected_members_)
        record["selected"], scores = scores, score(whole, table, test)
    return {**record, **scores, "epochs": model.n_iter_}


def score(model, table, test):
    """Error, log-loss and seconds of a prediction of the rows to test on."""
    X, y = table.X.iloc[test], table.y[test]
    started = time.process_time()
    if table.task == "regression":
        predicted = model.predict(X)
        taken = time.process_time() - started
        error = np.sqrt(np.mean((predicted - y) ** 2)) / y.std()
        return {"error": float(error), "predict": taken}
    outputs = model.predict_proba(X)
    taken = time.process_time() - started
    error = np.mean(model.classes_[outputs.argmax(axis=1)] != y)
    return {
        "error": float(error),
        "log_loss": float(log_loss(y, outputs, labels=model.classes_)),
        "predict": taken,
    }


def measure(options):
    """Fit all sizes that the file does not have yet."""
    done = {(each["table"], each["size"], each["seed"]) for each in read([options.out])}
    for seed in range(options.seeds):
        for path in tables.find(options.data, options.tables):
            missing = [
                name for name in options.sizes if (path.stem, name, seed) not in done
            ]
            table = tables.read(path) if missing else None
            for name in missing:
                fit(table, name, seed, FEW, options.threads)  # compiles
                record = fit(table, name, seed, options.rows, options.threads)
                with options.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(record, flush=True)


def read(paths):
    """All records of some files."""
    lines = [line for p in paths if p.exists() for line in p.read_text().splitlines()]
    return [json.loads(line) for line in lines]


# Report ------------------------------------------------------------------------


def report(options):
    """A line for each size, and what halves of the tables choose.

    Of the tables and seeds that all of these sizes have.
    """
    records = read(options.files)
    found = {(each["table"], each["seed"], each["size"]): each for each in records}
    sizes = options.sizes or list(dict.fromkeys(each["size"] for each in records))
    keys = sorted({key[:2] for key in found})
    keys = [key for key in keys if all((*key, size) in found for size in sizes)]
    names = sorted({name for name, _ in keys})
    print(f"{len(names)} tables, {len(keys)} fits of each size, errors by {PLAIN}'s")

    def column(size, value):
        """Values by table, of seeds the mean."""
        values = {name: [] for name in names}
        for name, seed in keys:
            values[name].append(
                value(found[name, seed, size], found[name, seed, PLAIN])
            )
        return np.array([np.mean(values[name]) for name in names])

    logs = {
        size: column(size, lambda own, plain: np.log(own["error"] / plain["error"]))
        for size in sizes
    }
    costs = {
        size: column(size, lambda own, _: own["seconds"] * 1000 / own["rows"])
        for size in sizes
    }
    for size in sizes:
        selected = ""
        if size != PLAIN:
            ratio = column(
                size, lambda own, _: np.log(own["selected"]["error"] / own["error"])
            )
            kept = column(size, lambda own, _: own["members"])
            faster = column(
                size, lambda own, _: own["predict"] / own["selected"]["predict"]
            )
            selected = (
                f"  selected: members {kept.mean():4.1f} error x "
                f"{np.exp(ratio.mean()):.3f} predicts x {np.median(faster):.1f} faster"
            )
        epochs = column(size, lambda own, _: own["epochs"])
        by_table = " ".join(f"{each:.2f}" for each in np.exp(logs[size]))
        print(
            f"{size:18} {np.exp(logs[size].mean()):.3f}  s/1000 rows "
            f"{np.median(costs[size]):6.2f} (most {costs[size].max():6.2f})  epochs "
            f"{np.median(epochs):4.0f}{selected}\n{'':18} {by_table}"
        )
    if PAPER not in sizes:
        return
    candidates = [size for size in sizes if size not in (PLAIN, PAPER)]
    for half in range(2):
        inside = np.arange(len(names)) % 2 == half
        gains = {size: -logs[size][inside].mean() for size in candidates}
        cheap = [s for s in candidates if np.median(costs[s]) <= options.most]
        best = max(cheap, key=gains.__getitem__)
        outside = -logs[best][~inside].mean(), -logs[PAPER][~inside].mean()
        print(
            f"chosen on half {half}: {best}; on the other half error x "
            f"{np.exp(-outside[0]):.3f}, paper x {np.exp(-outside[1]):.3f}, part of "
            f"the paper's gain {outside[0] / outside[1]:.2f}"
        )


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabm_sizes", description=__doc__.split("\n", 1)[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fits = commands.add_parser("fit")
    fits.add_argument("out", type=Path, help="file of records, a line each")
    fits.add_argument("sizes", nargs="+", help="plain, paper, 8x128-all-shared, ...")
    fits.add_argument("--data", type=Path, required=True, help="folder of tables")
    fits.add_argument("--tables", nargs="*")
    fits.add_argument("--seeds", type=int, default=2)
    fits.add_argument("--rows", type=int, default=1000)
    fits.add_argument("--threads", type=int, default=1)
    reports = commands.add_parser("report")
    reports.add_argument("files", type=Path, nargs="+")
    reports.add_argument("--sizes", nargs="+", help="those of the files, all")
    reports.add_argument(
        "--most", type=float, default=12.0, help="seconds of one processor, 1,000 rows"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    (measure if options.command == "fit" else report)(options)


if __name__ == "__main__":
    main()
