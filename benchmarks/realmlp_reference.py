"""RealMLP beside its authors' package, pytabkit: steps, scores and seconds.

``steps`` starts both from the same weights and compares predictions after some steps
on all rows. ``scores`` trains both on tables, seed by seed on the same rows, and
compares errors on others, and seconds of one thread. Where pytabkit is not
installed, nnfit's columns alone are printed.
"""

import argparse
import importlib.util
import json
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

import nnfit
from nnfit import RealMLPClassifier, RealMLPRegressor

HAS_REFERENCE = importlib.util.find_spec("pytabkit") is not None
PRESETS = {"td": "TD", "td_s": "TD_S"}


def reference(task, preset, **parameters):
    """An estimator of pytabkit."""
    import pytabkit

    name = "Classifier" if task == "classification" else "Regressor"
    estimator = getattr(pytabkit, f"RealMLP_{PRESETS[preset]}_{name}")
    return estimator(device="cpu", **parameters)


def ours(task, preset, **parameters):
    """An estimator of nnfit."""
    is_class = task == "classification"
    estimator = RealMLPClassifier if is_class else RealMLPRegressor
    return estimator(preset, **parameters)


# Steps -------------------------------------------------------------------------


def steps_apart(task, preset, n_classes=2, n_steps=8, n_rows=600, n_features=5):
    """Largest difference of predictions after steps from the same weights.

    Parameters
    ----------
    task : {"classification", "regression"}
    preset : {"td", "td_s"}
    n_classes, n_steps, n_rows, n_features : int

    Returns
    -------
    float
        Of probabilities, or of predictions over the deviation of the targets.
    """
    import pandas as pd
    from pytabkit.models.sklearn.default_params import DefaultParams
    from pytabkit.models.training.nn_creator import NNCreator

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features)) * 10.0 ** rng.integers(-2, 3, n_features)
    y = np.sin(X[:, 0] / X[:, 0].std()) + X[:, 1] / X[:, 1].std()
    y += 0.3 * rng.normal(size=n_rows)
    if task == "classification":
        y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    n = n_rows * 3 // 4
    X = pd.DataFrame(X.astype(np.float32))
    X.columns = [f"x{number}" for number in range(n_features)]
    X["few"] = pd.Categorical(rng.choice(list("abc"), n_rows, p=[0.7, 0.2, 0.1]))
    X["two"] = pd.Categorical(rng.choice(list("ab"), n_rows, p=[0.4, 0.6]))
    start, create = [], NNCreator.create_model

    def keep(self, *arguments, **others):
        model = create(self, *arguments, **others)
        start.extend(array.detach().numpy()[0].copy() for array in model.parameters())
        return model

    kind = "CLASS" if task == "classification" else "REG"
    defaults = getattr(DefaultParams, f"RealMLP_{PRESETS[preset]}_{kind}")
    with (
        mock.patch.object(NNCreator, "create_model", keep),
        mock.patch.dict(defaults, use_best_epoch=False),
    ):
        theirs = reference(
            task, preset, n_epochs=n_steps, batch_size=n, p_drop=0.0, random_state=0
        )
        theirs.fit(X[:n], y[:n], X[n:], y[n:])
    model = ours(task, preset, max_iter=n_steps, batch_size=n, dropout=0.0)
    classes = {"classes": np.unique(y)} if task == "classification" else {}

    def begin(network, *arguments, **others):
        from nnfit.network import initial_weights

        weights = initial_weights(network, *arguments, **others)
        return mapped(start, weights, n_features, preset)

    with mock.patch("nnfit.estimators.mlp.initial_weights", begin):
        for _ in range(n_steps):
            model.partial_fit(X[:n], y[:n], **classes)
    if task == "classification":
        return float(np.abs(model.predict_proba(X) - theirs.predict_proba(X)).max())
    difference = model.predict(X) - np.ravel(theirs.predict(X))
    return float(np.abs(difference).max() / y.std())


def mapped(start, weights, n_features, preset):
    """The reference's first weights in the order of nnfit's."""
    start = list(start)
    others = list(weights.others)
    order = np.arange(n_features)
    if preset == "td":
        (frequencies, matrix, phases, intercept), start = start[:4], start[4:]
        embedding = [frequencies, phases, matrix, intercept]
        size = matrix.shape[-1]
        first = [array.shape for array in others].index((n_features, size)) - 3
        for place, array in enumerate(embedding, first):
            others[place] = array.reshape(others[place].shape)
        # Theirs: all embeddings, then all numbers; here each number behind its own.
        of_embeddings = np.arange(n_features * size).reshape(n_features, size)
        numbers = n_features * size + np.arange(n_features)
        order = np.column_stack([of_embeddings, numbers]).ravel()
    scale, *start = start
    order = np.append(order, np.arange(len(order), scale.size))
    coefs, intercepts, shares = [], [], []
    per_layer = 3 if preset == "td" else 2
    for number in range(len(weights.coefs)):
        part, start = start[:per_layer], start[per_layer:]
        coef, intercept = part[0], part[1].ravel()
        coef = coef / np.sqrt(len(coef))
        if number == 0:
            coef = coef[order]
        if weights.coefs[number].shape[1] != coef.shape[1]:  # one output for two
            coef, intercept = coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]
        coefs.append(coef)
        intercepts.append(intercept)
        shares += [each.ravel() for each in part[2:]]
    n_shares = len(shares)
    others[len(others) - n_shares - 1] = scale.ravel()[order]
    if n_shares:
        others[len(others) - n_shares :] = shares
    arrays = [
        [np.ascontiguousarray(new, old.dtype) for new, old in zip(*pair, strict=True)]
        for pair in ((coefs, weights.coefs), (intercepts, weights.intercepts),
                     (others, weights.others))
    ]  # fmt: skip
    return weights._replace(coefs=arrays[0], intercepts=arrays[1], others=arrays[2])


def print_steps():
    """Differences after one step, of the rate 0, and after more.

    They grow with the steps as those of any two roundings do: with float32, a rate that
    goes to its largest value and back in so few, and a last intercept whose gradient
    is 0 but for rounding.
    """
    cases = [("classification", 2), ("classification", 3), ("regression", 0)]
    numbers = 1, 2, 8
    print(f"{'steps':24}" + "".join(f"{number:10}" for number in numbers))
    for preset in PRESETS:
        for task, n_classes in cases:
            apart = (
                f"{steps_apart(task, preset, n_classes, n_steps=number):10.1e}"
                for number in numbers
            )
            print(f"{preset:5} {task:14} {n_classes or '':3}", *apart, flush=True)


# Scores ------------------------------------------------------------------------


def read(folder, name, n_rows, seed):
    """Training and test rows of a table, as frames, and its task."""
    import pandas as pd

    task = json.loads((folder / "index.json").read_text())[name]["task"]
    table = pd.read_parquet(folder / f"{name}.parquet")
    table = table.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    y = table.pop("target")
    if task == "regression":
        y = y.to_numpy(np.float64)
    else:
        task, y = "classification", pd.factorize(y, sort=True)[0]
    for column in table:
        if table[column].dtype.kind not in "fiub":
            table[column] = table[column].astype("category")
    n = min(n_rows, len(y) * 3 // 4)
    return table[:n], y[:n], table[n : n + 10_000], y[n : n + 10_000], task


def imputed(train, test):
    """Missing numbers as the mean of the training rows, and indicators of them."""
    train, test = train.copy(), test.copy()
    for column in train.columns[train.dtypes != "category"]:
        missing = [part[column].isna() for part in (train, test)]
        if any(each.any() for each in missing):
            mean = train[column].mean()
            for part, own in zip((train, test), missing, strict=True):
                part[column] = part[column].astype(float).fillna(mean)
                part[f"{column} is missing"] = own.astype(float)
    return train, test


def error(model, task, X, y):
    """Part of wrong classes, or root mean square over the targets' deviation."""
    if task == "classification":
        return 1.0 - np.mean(np.ravel(model.predict(X)) == y)
    return np.sqrt(np.mean((np.ravel(model.predict(X)) - y) ** 2)) / y.std()


def print_scores(options):
    """A line for each fit, then one for each table, and how far apart the two are."""
    libraries = {"nnfit": ours, **({"pytabkit": reference} if HAS_REFERENCE else {})}
    names = options.tables or json.loads((options.data / "index.json").read_text())
    errors = {name: [] for name in names}
    print(f"{'':28}error {'':18}CPU-s/1000 rows; {', '.join(libraries)}")
    for seed in range(options.seeds):
        for name in names:
            pair = fit_pair(libraries, name, seed, options)
            errors[name].append([own[0] for own in pair])
            text = " ".join(f"{own[0]:9.4f}" for own in pair)
            taken = " ".join(f"{own[1]:7.2f}" for own in pair)
            print(f"{seed:2} {name:24} {text}   {taken}", flush=True)
    if HAS_REFERENCE:
        print_ratios(errors)


def fit_pair(libraries, name, seed, options):
    """Error, and seconds per 1,000 rows, of each library.

    Both find the best epoch on the same fifth of the rows.
    """
    train, y, test, y_test, task = read(options.data, name, options.rows, seed)
    train, test = imputed(train, test)
    n = len(y) * 4 // 5
    validation = {"X_val": train[n:], "y_val": y[n:]}
    found = []
    for library, make in libraries.items():
        more = {"n_jobs" if library == "nnfit" else "n_threads": 1}
        model = make(task, options.preset, random_state=seed, **more)
        started = time.process_time()
        model.fit(train[:n], y[:n], **validation)
        taken = (time.process_time() - started) * 1000 / len(y)
        found.append((error(model, task, test, y_test), taken))
    return found


def print_ratios(errors):
    """Geometric means of nnfit's error over the reference's, and of all tables."""
    means = []
    for name, own in errors.items():
        ratios = np.log(np.array(own)[:, 0] / np.array(own)[:, 1])
        means.append(ratios.mean())
        print(f"{name:24} {np.exp(means[-1]):.3f} +- {deviation(ratios):.3f}")
    print(f"{'all':24} {np.exp(np.mean(means)):.3f} +- {deviation(means):.3f}")


def deviation(values):
    """Standard deviation of a mean; NaN of a single value."""
    return np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.realmlp_reference",
        description=__doc__.split("\n", 1)[0],
    )
    parser.add_argument("what", choices=["steps", "scores"])
    parser.add_argument("--data", type=Path, help="folder of tables and index.json")
    parser.add_argument("--tables", nargs="*")
    parser.add_argument("--preset", choices=PRESETS, default="td")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"nnfit {nnfit.__version__}, pytabkit: {HAS_REFERENCE}")
    if options.what == "steps":
        print_steps()
    else:
        print_scores(options)


if __name__ == "__main__":
    main()
