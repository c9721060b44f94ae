"""What the ingredients of training are worth: a random search against the defaults.

For scikit-learn's digits, and for every parquet file given (column ``target``; the kind
of target is taken from its type), candidates drawn at random are scored in five folds,
and the best of them as well as the plain default once more in five other folds, so that
the choice has not seen what judges it. Prints one row a table.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nnfit import MLPClassifier, MLPRegressor

#: Epochs of every candidate, whose schedules run through.
EPOCHS = 60


def draw(rng, is_classifier):
    """One candidate: parameters of an estimator."""

    def log_uniform(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def maybe(value, otherwise=0.0):
        return value if rng.uniform() < 0.5 else otherwise

    def one_of(*values):
        return values[rng.integers(len(values))]

    solver = one_of("adam", "adamw", "nadam", "schedule_free", "muon")
    schedule = one_of("constant", "cosine", "one_cycle", "coslog4", "flat_cosine")
    candidate = {
        "n_layers": int(rng.integers(1, 5)),
        "layer_width": round(log_uniform(32, 256)),
        "activation": one_of("relu", "silu", "mish", "selu"),
        "solver": solver,
        "learning_rate_init": log_uniform(3e-4, 2e-2),
        "learning_rate": "constant" if solver == "schedule_free" else schedule,
        "warmup": maybe(0.1),
        "batch_size": one_of(32, 64, 128, 256),
        "alpha": log_uniform(1e-6, 1.0),
        "weight_decay": log_uniform(1e-3, 1.0),
        "dropout": maybe(float(rng.uniform(0, 0.5))),
        "mixup": maybe(0.2),
        "input_noise": maybe(log_uniform(0.01, 0.3)),
        "normalization": one_of(None, "batch", "layer"),
        "residual": one_of(True, False),
        "initialization": one_of("glorot", "he", "lecun", "orthogonal", "data_driven"),
        "clip_norm": maybe(1.0, None),
        "ema_decay": None if solver == "schedule_free" else maybe(0.98, None),
        "max_iter": EPOCHS,
        "n_iter_no_change": EPOCHS,
    }
    if is_classifier:
        candidate["label_smoothing"] = maybe(0.1)
    return candidate


def model(table, parameters):
    """A pipeline that prepares any table, and a network on standardised targets."""
    numbers = table.select_dtypes("number").columns
    others = table.columns.difference(numbers)
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", max_categories=20), others),
        sparse_threshold=0.0,
    )
    if parameters.pop("is_classifier"):
        return make_pipeline(prepare, MLPClassifier(n_jobs=1, **parameters))
    network = MLPRegressor(n_jobs=1, **parameters)
    return make_pipeline(
        prepare, TransformedTargetRegressor(network, transformer=StandardScaler())
    )


def score(table, target, is_classifier, parameters, seed):
    """Mean score in five folds, and seconds; NaN where training diverged."""
    # Warnings of a worker are its own.
    warnings.simplefilter("ignore")
    kind = StratifiedKFold if is_classifier else KFold
    started = time.perf_counter()
    scores = cross_val_score(
        model(table, {**parameters, "is_classifier": is_classifier, "random_state": 0}),
        table,
        target,
        cv=kind(5, shuffle=True, random_state=seed),
        scoring="accuracy" if is_classifier else "r2",
    )
    return float(scores.mean()), time.perf_counter() - started


def load_tables(paths, n_rows):
    """Names, tables of features, targets, and whether these are classes."""
    import pandas as pd

    digits = load_digits(as_frame=True)
    yield "digits", digits.data, digits.target, True
    for path in paths:
        table = pd.read_parquet(path)
        if len(table) > n_rows:
            table = table.sample(n_rows, random_state=0).reset_index(drop=True)
        target = table.pop("target")
        is_classifier = not pd.api.types.is_float_dtype(target) and (
            target.nunique() <= 30
        )
        target = target if is_classifier else target.astype(float)
        yield Path(path).stem, table, target.to_numpy(), is_classifier


def search(name, table, target, is_classifier, n_trials, n_jobs):
    """Scores of the default and of the best of the candidates."""
    rng = np.random.default_rng(0)
    candidates = [draw(rng, is_classifier) for _ in range(n_trials)]
    data = table, target, is_classifier
    found = joblib.Parallel(n_jobs)(
        joblib.delayed(score)(*data, candidate, 0) for candidate in candidates
    )
    scores = np.array([value for value, _ in found])
    best = int(np.nanargmax(scores))
    (default, default_seconds), (chosen, chosen_seconds) = joblib.Parallel(n_jobs)(
        joblib.delayed(score)(*data, parameters, 1)
        for parameters in ({}, candidates[best])
    )
    return {
        "table": name,
        "rows": len(table),
        "default": default,
        "best": chosen,
        "best_in_search": float(scores[best]),
        "median_in_search": float(np.nanmedian(scores)),
        "default_seconds": default_seconds,
        "best_seconds": chosen_seconds,
        "parameters": candidates[best],
    }


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.random_search", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("paths", nargs="*", help="parquet files with a column target")
    parser.add_argument("--rows", type=int, default=4000, help="most rows of a table")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args()
    results = []
    print(f"{'table':24}{'rows':>6}{'default':>9}{'best':>9}{'search':>9}{'median':>9}")
    for table in load_tables(options.paths, options.rows):
        row = search(*table, options.trials, options.jobs)
        results.append(row)
        print(
            f"{row['table']:24}{row['rows']:6}{row['default']:9.4f}{row['best']:9.4f}"
            f"{row['best_in_search']:9.4f}{row['median_in_search']:9.4f}",
            flush=True,
        )
        print(f"    {row['parameters']}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
