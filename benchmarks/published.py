"""Figures of the README and of the documentation, from the files of two runs.

``python -m benchmarks.published`` writes those of the README and its pictures anew;
the documentation takes its own when it is built. The files are those that
``python -m benchmarks.peers --json`` and ``python -m benchmarks.accuracy --json`` have
written, in ``docs/_static``.
"""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np

from .accuracy import report as accuracy_report
from .accuracy.records import Records
from .accuracy.registry import model
from .accuracy.summary import costs, paired, summarize
from .bars import OTHER, OWN, Bar, panel, standalone
from .peers import report
from .peers.registry import PEERS

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "docs" / "_static"
README = ROOT / "README.md"
PEERS_FILE, ACCURACY_FILE = STATIC / "peers.json", STATIC / "accuracy.json"
#: The models that the README compares.
COMPARED = (
    *("nnfit_tabular_best", "nnfit_tabular_default", "nnfit_tabular_fast", "nnfit"),
    *("sklearn_mlp", "hist", "lightgbm", "xgboost", "catboost"),
)
#: The model that the others are compared with.
BASE = "hist"
SENTENCES = (
    """
    **Speed.** {networks} networks from tiny to big, {cpu}: an epoch takes
    scikit-learn's MLP {epoch-least sklearn} to {epoch-most sklearn} times nnfit's
    time, PyTorch {epoch-least torch} to {epoch-most torch} times, and the best of all
    others {best-epoch-least} to {best-epoch-most} times. Another library is
    faster on {behind}.
    """,
    """
    **Accuracy.** {tables} tables, beside scikit-learn's histogram gradient boosting:
    ``TabularClassifier`` and ``TabularRegressor`` make {errors nnfit_tabular_default}
    of its errors and are better on {wins nnfit_tabular_default} tables; with
    ``preset="best"`` they make {errors nnfit_tabular_best} and are better on
    {wins nnfit_tabular_best}. They take longer: {seconds nnfit_tabular_default} and
    {seconds nnfit_tabular_best} processor seconds for 1,000 rows, boosting
    {seconds hist}. ``MLPClassifier`` and
    ``MLPRegressor`` are as accurate as scikit-learn's MLP ({errors nnfit sklearn_mlp}
    of its errors) and train {times sklearn_mlp nnfit} times as fast.
    """,
)
BEGIN = "<!-- Written by `python -m benchmarks.published`. -->\n"
END = "<!-- Until here. -->\n"


@cache
def peers():
    """Results of the comparison of speed."""
    return json.loads(PEERS_FILE.read_text())


@cache
def records():
    """Fits of the comparison of accuracy."""
    return Records(ACCURACY_FILE)


def epochs(peer):
    """By shape, the time of a peer's epoch over that of nnfit's."""
    found = {}
    for name, shape in peers()["shapes"].items():
        times = [
            shape["peers"].get(each, {}).get("ms_per_epoch")
            for each in (peer, report.BASE)
        ]
        if all(times):
            found[name] = times[0] / times[1]
    if not found:
        raise ValueError(f"There are no times of {peer}.")
    return found


def best_epochs():
    """By shape, the same for the best other peer; the verdicts' ratios."""
    return {
        name: shape["verdict"]["ratio"]
        for name, shape in peers()["shapes"].items()
        if shape["verdict"]
    }


def mean(ratios):
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(list(ratios)))))


def errors(name, base, is_in=None):
    """Geometric mean over the tables of a model's error over that of another.

    Parameters
    ----------
    name, base : str
    is_in : callable, optional
        Of a record of a table, whether the table counts.
    """
    found = paired(records().fits, name, base, is_in)
    return mean(own / other for own, other in found.values())


def wins(name, base):
    """Number of tables on which a model's error is smaller than that of another."""
    pairs = paired(records().fits, name, base).values()
    return sum(own < other for own, other in pairs)


def training(name, base=None):
    """Processor seconds of training for a thousand rows, over those of another."""
    splits = {}
    for table, each, split in records().fits:
        if each == name:
            splits.setdefault(table, []).append(split)
    seconds = costs(records().fits, name, splits)["fit_seconds"]
    return seconds / training(base) if base else seconds


def behind():
    """Names of the networks on which the best other library is faster."""
    names = [name for name, ratio in best_epochs().items() if ratio < 1]
    return ", ".join(names) or "none of them"


def shares():
    """nnfit's shares of the processor's peak."""
    return [
        shape["peers"][report.BASE]["share_of_peak"]
        for shape in peers()["shapes"].values()
    ]


def rounded(value):
    """Two digits, three near one, and all before the point."""
    if value >= 10:
        return f"{value:.0f}"
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if value >= 1.95 else f"{value:.2f}"


#: By the first word of a figure, what makes it of the words behind.
FIGURES = {
    "errors": lambda name, base=BASE: f"{errors(name, base):.2f}",
    "wins": lambda name, base=BASE: str(wins(name, base)),
    "tables": lambda name=BASE: str(len(paired(records().fits, name, BASE))),
    "times": lambda name, base=BASE: rounded(training(name, base)),
    "seconds": lambda name: rounded(training(name)),
    "epoch": lambda peer: rounded(mean(epochs(peer).values())),
    "epoch-least": lambda peer: rounded(min(epochs(peer).values())),
    "epoch-most": lambda peer: rounded(max(epochs(peer).values())),
    "best-epoch": lambda: rounded(mean(best_epochs().values())),
    "best-epoch-least": lambda: rounded(min(best_epochs().values())),
    "best-epoch-most": lambda: rounded(max(best_epochs().values())),
    "behind": behind,
    "share-least": lambda: f"{min(shares()):.0%}",
    "share-most": lambda: f"{max(shares()):.0%}",
    "networks": lambda: str(len(peers()["shapes"])),
    "cpu": lambda: peers()["machine"]["cpu"],
}


def figure(words):
    """A figure as text, such as that of "errors nnfit catboost".

    Raises
    ------
    ValueError
        There is none of these words.
    """
    name, *given = words.split()
    try:
        return FIGURES[name](*given)
    except (KeyError, TypeError, IndexError) as error:
        known = ", ".join(FIGURES)
        raise ValueError(f"no figure {words!r}; they begin with {known}") from error


def filled(text):
    """A text with figures for what is in braces."""
    return re.sub(r"\{(.+?)\}", lambda found: figure(found[1]), text)


def sentences():
    """What the pictures say, in paragraphs that are Markdown and reStructuredText."""
    return [" ".join(filled(text).split()) for text in SENTENCES]


def speed_panel():
    """How long an epoch of each peer takes beside one of nnfit's."""
    bars = []
    for peer in report.measured_peers(peers()):
        ratios = epochs(peer).values()
        least, middle, most = map(rounded, (min(ratios), mean(ratios), max(ratios)))
        own = peer == report.BASE
        text = "1" if own else f"{middle} ({least} to {most})"
        colour = OWN if own else OTHER
        bars.append(Bar(PEERS[peer].title, mean(ratios), text, colour))
    bars.sort(key=lambda bar: bar.value)
    words = f"nnfit = 1; mean of {len(peers()['shapes'])} networks (least to most)"
    return panel("Time of an epoch, less is better", words, bars)


def accuracy_panel():
    """Errors of the models beside those of gradient boosting, and their times."""
    bars = []
    for name in COMPARED:
        value = errors(name, BASE)
        text = f"{value:.2f}, {rounded(training(name))} s"
        own = name.startswith(report.BASE)
        bars.append(Bar(model(name).title, value, text, OWN if own else OTHER))
    bars.sort(key=lambda bar: bar.value)
    words = f"{model(BASE).title} = 1; seconds of training for 1,000 rows"
    tables = len(paired(records().fits, BASE, BASE))
    return panel(f"Errors on {tables} tables, less is better", words, bars)


#: Kinds of tables, by what a record of one says.
KINDS = {
    "classes": lambda record: record["task"] == "classification",
    "numbers": lambda record: record["task"] == "regression",
    "up to 5,000 rows": lambda record: record["rows"] <= 5000,
    "more rows": lambda record: record["rows"] > 5000,
}


def by_data():
    """Header and rows: a model's errors over those of `BASE` by kind of table, on how
    many tables it is better, its seconds of training, and the splits measured."""
    fits, rows = records().fits, []
    for name in (*COMPARED[:4], "nnfit_realmlp", "nnfit_tabm", *COMPARED[4:]):
        splits = {split for _, each, split in fits if each == name}
        better = f"{wins(name, BASE)} of {len(paired(fits, name, BASE))}"
        better = "" if name == BASE else better
        found = [f"{errors(name, BASE, is_in):.2f}" for is_in in KINDS.values()]
        seconds = rounded(training(name))
        rows.append([model(name).title, *found, better, seconds, str(len(splits))])
    header = ["model", *KINDS, "better on", "s/1K", "splits"]
    return header, rows


PANELS = {"speed.svg": speed_panel, "accuracy.svg": accuracy_panel}


def readme_block():
    """What the README has between `BEGIN` and `END`."""
    summary = summarize(records(), list(COMPARED))
    images = " ".join(
        f'<img src="docs/_static/{file}" width="400" align="top" alt="{alt}">'
        for file, alt in zip(PANELS, ("Speed", "Accuracy"), strict=True)
    )
    return "\n".join(
        [
            f"<p>{images}</p>\n",
            "\n\n".join(sentences()),
            "\n<details><summary>All figures</summary>\n",
            report.markdown(peers()),
            accuracy_report.markdown(summary),
            "</details>\n",
        ]
    )


def contents():
    """By path, the text that each generated file should have."""
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    files = {README: before + BEGIN + readme_block() + END + after}
    return files | {STATIC / name: standalone(draw()) for name, draw in PANELS.items()}


def main():
    """Write them."""
    for path, text in contents().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
