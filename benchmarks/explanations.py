"""Explanations beside shap: error against exact Shapley values over seconds.

    python -m benchmarks.explanations FOLDER

needs shap and matplotlib. For a regression and a classification with 12 features each,
all 4096 coalitions of a row's features are enumerated over the same 100 background
rows. Methods take turns, three times each, on one thread; a time is the median of the
processor's. Errors are roots of mean squares over 20 rows and their features, in parts
of that of the Shapley values. It writes explanations.json and explanations.svg to the
folder, and prints how much faster nnfit has the error of ``KernelExplainer`` with its
defaults.
"""

import argparse
import json
import time
import warnings
from math import comb
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.preprocessing import StandardScaler

import nnfit
from nnfit import MLPClassifier, MLPRegressor
from nnfit.inspection import expected_gradients

N_FEATURES, N_BACKGROUND, N_ROWS, TURNS = 12, 100, 20, 3
SIZES = {"hidden_layer_sizes": (64, 64), "random_state": 0, "n_jobs": 1}
ORDERS, SAMPLES = (1, 2, 4, 8, 16, 32), (50, 100, 200, 400, 1000, 2072)
EVALUATIONS = (50, 100, 200, 400, 800, 1600)
#: Of the picture: colours for the colour-blind (Okabe and Ito), and marks.
LOOKS = {
    "expected_gradients": ("#0072B2", "o"),
    "expected_gradients, 1 and 4 stages": ("#56B4E9", "^"),
    "KernelExplainer": ("#D55E00", "s"),
    "KernelExplainer, l1_reg=False": ("#E69F00", "D"),
    "PermutationExplainer": ("#009E73", "v"),
}
DEFAULT = "KernelExplainer"


def problems():
    """Name, function that is explained, estimator, background and rows."""
    X, y = make_friedman1(2000, n_features=N_FEATURES, noise=0.5, random_state=0)
    X = StandardScaler().fit_transform(X)
    regressor = MLPRegressor(max_iter=100, **SIZES).fit(X, y)
    yield "regression (Friedman 1)", regressor.predict, regressor, X
    data = load_breast_cancer()
    X = StandardScaler().fit_transform(data.data[:, :N_FEATURES])
    classifier = MLPClassifier(max_iter=60, **SIZES).fit(X, data.target)
    yield "classification (breast cancer)", classifier.decision_function, classifier, X


def exact(function, rows, background):
    """Shapley values by enumeration."""
    n = rows.shape[1]
    chosen = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    sizes = chosen.sum(axis=1)
    found = np.empty(rows.shape)
    for i, row in enumerate(rows):
        values = [function(np.where(each, row, background)).mean() for each in chosen]
        values = np.array(values)
        for j in range(n):
            without = np.flatnonzero(~chosen[:, j])
            weights = [1 / (n * comb(n - 1, size)) for size in sizes[without]]
            gains = values[without | (1 << j)] - values[without]
            found[i, j] = gains @ np.array(weights)
    return found


def methods(function, estimator, rows, background):
    """Name, setting, whether it is the default, and what explains the rows."""
    import shap

    kernel = shap.KernelExplainer(function, background)
    permutation = shap.PermutationExplainer(function, background)

    def ours(**parameters):
        found = expected_gradients(
            estimator, rows, background, random_state=0, **parameters
        )
        return found.values

    for n in ORDERS:
        yield "expected_gradients", n, n == 2, lambda n=n: ours(n_orders=n)
    for stages in (1, 4):
        name = "expected_gradients, 1 and 4 stages"
        yield name, stages, False, lambda n=stages: ours(n_stages=n)
    for n in SAMPLES:
        yield (
            "KernelExplainer, l1_reg=False", n, False,
            lambda n=n: kernel.shap_values(rows, nsamples=n, l1_reg=False, silent=True),
        )  # fmt: skip
    for n in (*SAMPLES[:-1], "auto"):
        yield (
            DEFAULT, n, n == "auto",
            lambda n=n: kernel.shap_values(rows, nsamples=n, silent=True),
        )  # fmt: skip
    for n in EVALUATIONS:
        yield (
            "PermutationExplainer", n, False,
            lambda n=n: permutation(rows, max_evals=n, silent=True).values,
        )  # fmt: skip


def measure(name, function, estimator, X):
    """Records of all methods on a problem."""
    background, rows = X[:N_BACKGROUND], X[N_BACKGROUND : N_BACKGROUND + N_ROWS]
    expected = exact(function, rows, background)
    size = np.sqrt(np.mean(expected**2))
    tried = list(methods(function, estimator, rows, background))
    tried[0][3](), tried[-1][3]()  # compiles what there is to compile
    seconds, found = [[] for _ in tried], [None] * len(tried)
    for _ in range(TURNS):
        for number, (*_, explain) in enumerate(tried):
            begin = time.process_time()
            found[number] = explain()
            seconds[number].append((time.process_time() - begin) / N_ROWS)
    return [
        {
            "problem": name,
            "method": method,
            "setting": setting,
            "is_default": is_default,
            "seconds_per_row": float(np.median(times)),
            "error": float(np.sqrt(np.mean((values - expected) ** 2)) / size),
        }
        for (method, setting, is_default, _), times, values in zip(
            tried, seconds, found, strict=True
        )
    ]


def ratios(records):
    """By problem: how much faster nnfit has the error of shap's default."""
    found = {}
    for name in dict.fromkeys(each["problem"] for each in records):
        own = [each for each in records if each["problem"] == name]
        (kernel,) = [e for e in own if e["method"] == DEFAULT and e["is_default"]]
        ours = [each for each in own if each["method"].startswith("expected")]
        fit = [e["seconds_per_row"] for e in ours if e["error"] <= kernel["error"]]
        found[name] = kernel["seconds_per_row"] / min(fit)
    return found


def draw(records, path):
    """The picture: a panel for each problem."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(each["problem"] for each in records))
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nnfit"})
    size = {"figsize": (7.5, 4.4), "layout": "constrained"}
    figure, panels = pyplot.subplots(1, len(names), sharex=True, sharey=True, **size)
    for panel, name in zip(panels, names, strict=True):
        for method, (color, mark) in LOOKS.items():
            own = [e for e in records if (e["problem"], e["method"]) == (name, method)]
            own.sort(key=lambda each: each["seconds_per_row"])
            x = [1000 * each["seconds_per_row"] for each in own]
            y = [each["error"] for each in own]
            label = method if panel is panels[0] else None
            panel.plot(x, y, mark + "-", color=color, label=label, markersize=5)
            defaults = [k for k, each in enumerate(own) if each["is_default"]]
            panel.plot(
                x, y, "o", color="none", markeredgecolor="black", markersize=11,
                markevery=defaults, visible=bool(defaults),
            )  # fmt: skip
        panel.set(xscale="log", yscale="log", title=name)
        panel.set_xlabel("milliseconds per row")
        panel.set_xticks((1, 10, 100), ("1", "10", "100"))
        panel.set_yticks((0.003, 0.01, 0.03, 0.1), ("0.3 %", "1 %", "3 %", "10 %"))
        panel.grid(True, color="0.9")
    panels[0].set_ylabel("error against exact Shapley values")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main():
    """Measure, write and print."""
    import shap

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")
    records = [each for problem in problems() for each in measure(*problem)]
    versions = {"nnfit": nnfit.__version__, "shap": shap.__version__}
    found = {"versions": versions, "times_faster": ratios(records), "records": records}
    (folder / "explanations.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(records, folder / "explanations.svg")
    for each in records:
        mark = "default" if each["is_default"] else ""
        print(
            f"{each['problem']:32} {each['method']:36} {each['setting']!s:>5} "
            f"{1000 * each['seconds_per_row']:8.2f} ms {each['error']:7.2%} {mark}"
        )
    for name, times in found["times_faster"].items():
        print(f"{name}: {times:.0f} times faster at the error of {DEFAULT}'s defaults")


if __name__ == "__main__":
    main()
