"""How many epochs Adam and SGD take to the same loss, each at its best rate.

``python -m benchmarks.adam_sgd FOLDER`` fits every parquet file of a folder (column
``target``) with Adam, with SGD and Nesterov's momentum, and with plain SGD: the same
network, initial weights, order of rows and batches, and equally many learning rates of
each. A curve of the loss is a mean over seeds. The goals are parts of the way from the
loss of the best constant down to the best loss that all solvers reach within the
budget; for each goal every solver takes the rate that reaches it first. Prints epochs
of SGD over those of Adam: above 1, Adam is faster.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

import nnfit

from .accuracy import tables
from .accuracy.models.networks import preparation
from .peers.report import align

NETWORK = {"hidden_layer_sizes": (64, 64), "batch_size": 64, "alpha": 0.0}
EPOCHS = 100
#: Parts of the way down.
GOALS = (0.9, 0.99, 1.0)
#: Parameters of each solver and the largest of its rates, which decrease by factors of
#: the root of ten; wide enough that the best one is inside.
SOLVERS = {
    "adam": ({"solver": "adam"}, 0.1),
    "nesterov": ({"solver": "sgd"}, 3.0),
    "plain": ({"solver": "sgd", "momentum": 0.0}, 10.0),
}
N_RATES = 9
LOSSES = ("loss", "val_loss")
#: The rate of both in scikit-learn's defaults.
DEFAULT_RATE = 0.001


def rates_of(solver):
    return SOLVERS[solver][1] * 10.0 ** (-0.5 * np.arange(N_RATES))


def curves(model, data):
    """Losses of every epoch, of training and of validation, infinite after training
    has diverged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(*data[0], X_val=data[1][0], y_val=data[1][1])
        except ValueError:  # weights that are not finite
            return np.full((len(LOSSES), EPOCHS), np.inf)
    found = np.array([model.history_[name] for name in LOSSES])
    return np.where(np.isfinite(found), found, np.inf)


def prepared(path, most_rows):
    """Training and validation data of a table, the loss of the best constant, and the
    class of its estimator."""
    table = tables.read(path)
    rows = table.rows(0, most_rows)
    X, y = preparation(), table.y
    X.fit(table.X.iloc[rows[0]])
    if table.task == "regression":
        y = StandardScaler().fit(y[rows[0], None]).transform(y[:, None])[:, 0]
        start, cls = 0.5, nnfit.MLPRegressor
    else:
        shares = np.bincount(y[rows[0]]) / len(rows[0])
        start = -np.sum(shares * np.log(np.maximum(shares, 1e-300)))
        cls = nnfit.MLPClassifier
    data = [
        (X.transform(table.X.iloc[part]).astype(np.float32), y[part]) for part in rows
    ]
    return data, start, cls


def measure(path, most_rows, seeds):
    """Curves of a table.

    Returns
    -------
    start : float
    found : dict
        Of solver and rate to a list for each loss, means over the seeds.
    """
    data, start, cls = prepared(path, most_rows)
    found = {}
    for solver, (parameters, _) in SOLVERS.items():
        for rate in {*rates_of(solver), DEFAULT_RATE}:
            made = [
                curves(
                    cls(
                        **NETWORK,
                        **parameters,
                        learning_rate_init=rate,
                        max_iter=EPOCHS,
                        tol=0.0,
                        n_iter_no_change=np.inf,
                        random_state=seed,
                        n_jobs=1,
                    ),
                    data,
                )
                for seed in range(seeds)
            ]
            found[solver, float(f"{rate:.3g}")] = np.mean(made, axis=0).tolist()
    return start, found


def epochs_to(goal, curve, start):
    """Epochs until a curve is at a goal, between two epochs by a line; infinite where
    it never is."""
    reached = np.flatnonzero(curve <= goal)
    if not len(reached):
        return np.inf
    i = reached[0]
    before = start if i == 0 else curve[i - 1]
    return i + (before - goal) / (before - curve[i]) if before > curve[i] else i + 1.0


def ratios(start, found, solver, rate=None):
    """Epochs of a solver over those of Adam, at their best rates or at one.

    Returns
    -------
    ratios : ndarray of shape (2, n_goals)
        Of the training and the validation loss.
    """
    found = {key: both for key, both in found.items() if rate in (None, key[1])}
    rows = []
    for i in range(len(LOSSES)):
        both = {
            name: [np.array(c[i]) for (each, _), c in found.items() if each == name]
            for name in ("adam", solver)
        }
        best = max(np.min(curves) for curves in both.values())
        goals = [best + (1.0 - part) * (start - best) for part in GOALS]
        epochs = {
            name: [min(epochs_to(g, curve, start) for curve in curves) for g in goals]
            for name, curves in both.items()
        }
        rows.append(np.divide(epochs[solver], epochs["adam"]))
    return np.array(rows)


def report(results):
    """Tables of the ratios, and on how many data sets Adam is that much faster."""
    cases = [(solver, None) for solver in list(SOLVERS)[1:]]
    cases.append(("nesterov", DEFAULT_RATE))
    blocks = []
    for solver, rate in cases:
        found = np.array([ratios(*each, solver, rate) for each in results.values()])
        goals = [f"{part:.0%}" for part in GOALS]
        header = [f"{solver}, {'best rates' if rate is None else f'both {rate}'}"]
        for word in ("train", "valid."):
            header += [f"{word} {goals[0]}", *goals[1:]]
        rows = [
            [name, *(f"{ratio:.2f}" for ratio in row.ravel())]
            for name, row in zip(results, found, strict=True)
        ]
        rows.append(["median", *(f"{r:.2f}" for r in np.median(found, axis=0).ravel())])
        for least in (1.0, 1.5, 2.0):
            counts = (found >= least).sum(axis=0).ravel()
            rows.append([f"{least:g} or more", *(f"{n}/{len(found)}" for n in counts)])
        blocks.append("\n".join(align([header, *rows])))
    return "\n\n".join([*blocks, edges(results)])


def edges(results):
    """How often the best rate is the first or last of its grid, which may then be too
    narrow."""
    counts = []
    for solver in SOLVERS:
        outer = {float(f"{rate:.3g}") for rate in rates_of(solver)[[0, -1]]}
        best = [
            min(
                (min(c[i]), rate) for (each, rate), c in found.items() if each == solver
            )
            for _, found in results.values()
            for i in range(len(LOSSES))
        ]
        at_edge = sum(rate in outer for _, rate in best)
        counts.append(f"{solver} {at_edge} of {len(best)}")
    return f"Best rates at an end of their grid: {', '.join(counts)}."


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adam_sgd")
    parser.add_argument("folder")
    parser.add_argument("--tables", help="default: all of the folder")
    parser.add_argument("--max-rows", type=int, default=8000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", help="write the curves there, and go on from them")
    options = parser.parse_args()
    names = options.tables.split(",") if options.tables else None
    results = load(options.json) if options.json else {}
    for path in tables.find(options.folder, names):
        if path.stem in results:
            continue
        print(path.stem, file=sys.stderr, flush=True)
        results[path.stem] = measure(path, options.max_rows, options.seeds)
        if options.json:
            save(results, options.json)
    print(report(results))


def load(path):
    """What `save` has written, if it has."""
    if not Path(path).exists():
        return {}
    return {
        name: (
            table["start"],
            {(c["solver"], c["rate"]): [c[n] for n in LOSSES] for c in table["curves"]},
        )
        for name, table in json.loads(Path(path).read_text()).items()
    }


def save(results, path):
    """Write curves as JSON."""
    plain = {
        name: {
            "start": float(start),
            "curves": [
                {"solver": solver, "rate": rate, "loss": loss, "val_loss": val_loss}
                for (solver, rate), (loss, val_loss) in found.items()
            ],
        }
        for name, (start, found) in results.items()
    }
    Path(path).write_text(json.dumps(plain))


if __name__ == "__main__":
    main()
