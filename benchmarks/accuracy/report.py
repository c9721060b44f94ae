"""Tables of a summary: for the terminal, in 80 columns, for Markdown, for the docs."""

import textwrap

import numpy as np

from ..peers.report import align, markdown_table, milliseconds
from .registry import model

#: Columns of a terminal, of one error with what is before it, and of a table's name.
WIDTH, ERROR, NAME = 80, 6, 8
READING = (
    "The error is 1 - accuracy, or the RMSE over the target's deviation; error/best is "
    "a geometric mean over the tables; p is Wilcoxon's against the first, with Holm's "
    "correction. Processor seconds of training and milliseconds of prediction for "
    "1,000 rows, and megabytes that a fit takes, are medians over the tables."
)


def title(entry):
    return model(entry["name"]).title


def shorten(name, most):
    return name if len(name) <= most else name[: most - 1] + "…"


def number(value, form=".2f"):
    """A number, or nothing where there is none."""
    return "" if value is None or np.isnan(value) else format(value, form)


def seconds(value):
    """Three digits."""
    return "" if np.isnan(value) else milliseconds(value)


def interval(entry, name, form, ends):
    low, high = entry[f"{name}_interval"]
    return f"{entry[name]:{form}} ({low:{ends}}–{high:{ends}})"


def table(summary):
    """Header and rows: rank, error over the best, tables on which it is first, the test
    against the best, training, prediction, memory."""
    header = ["model", "rank (95 %)", "error/best (95 %)", "p"]
    header += ["s/1K", "ms/1K", "MB"]
    rows = [
        [
            title(entry),
            interval(entry, "rank", ".2f", ".1f"),
            interval(entry, "ratio", ".3f", ".2f"),
            number(entry["p"], ".3f"),
            seconds(entry["fit_seconds"]),
            seconds(1000 * entry["predict_seconds"]),
            number(entry["megabytes"], ".0f"),
        ]
        for entry in summary["models"]
    ]
    return header, rows


def details(summary):
    """Header and rows: log loss and Brier score over the best, tables on which a model
    is first, fits that have failed, seconds of the first fit."""
    failed = [record["model"] for record in summary["failed"]]
    header = ["model", "log loss/best", "Brier/best", "first in", "failed", "first fit"]
    rows = [
        [
            title(entry),
            number(entry.get("log_loss"), ".3f"),
            number(entry.get("brier"), ".3f"),
            str(entry["first"]),
            str(failed.count(entry["name"])),
            seconds(entry["first_seconds"]) + " s",
        ]
        for entry in summary["models"]
    ]
    return header, rows


def error_table(summary):
    """Header and rows: errors of the models, numbered as they rank."""
    most = max(NAME, WIDTH - ERROR * len(summary["models"]))
    header = ["error", *(str(i + 1) for i in range(len(summary["models"])))]
    rows = [
        [
            shorten(each["name"], most),
            *(number(error, ".3f").lstrip("0") for error in each["errors"]),
        ]
        for each in summary["tables"]
    ]
    return header, rows


def origin(summary):
    """Where the figures come from, and how to read them, in a few sentences."""
    run = summary["runs"][-1]
    splits, versions = summary["splits"], {}
    for each in summary["runs"]:  # of whose models some may not have been there
        versions |= each["machine"]["versions"]
    names = {model(entry["name"]).distribution for entry in summary["models"]}
    listed = [f"{name} {versions[name]}" for name in sorted(names & set(versions))]
    n, several = run["threads"], f"{splits[0]} to {splits[-1]} splits"
    several = (
        several if len(splits) > 1 else f"{splits[0]} split{'s' * (splits[0] > 1)}"
    )
    where = "one thread" if n == 1 else f"{n} threads"
    return (
        f"{len(summary['tables'])} tables, at most {run['rows']} training rows, "
        f"{several}, {where} of an {run['machine']['cpu']}, {', '.join(listed)}. "
        f"{READING}"
    )


def sentences(summary):
    """The test of ranks, what is left out, and what has failed."""
    lines = []
    if summary["critical_difference"]:
        lines.append(
            f"Mean ranks that differ by less than {summary['critical_difference']:.2f} "
            "are not told apart by Nemenyi's test (5 %)."
        )
    if summary["left_out"]:
        names = ", ".join(summary["left_out"])
        lines.append(f"Not fitted by every model, and left out: {names}.")
    lines += dict.fromkeys(note for run in summary["runs"] for note in run["notes"])
    lines += [
        f"FAILED {each['table']}, {each['model']}, split {each['split']}: "
        f"{each['failed']}"
        for each in summary["failed"]
    ]
    return lines


def in_width(header, rows):
    """Tables of the first column and of as many others as a terminal has room for."""
    most = (WIDTH - NAME) // ERROR
    for begin in range(1, len(header), most):
        yield [[row[0], *row[begin : begin + most]] for row in (header, *rows)]


def terminal(summary):
    """All tables, as text."""
    blocks = [align([head, *rows]) for head, rows in (table(summary), details(summary))]
    blocks += map(align, in_width(*error_table(summary)))
    words = [origin(summary), *sentences(summary)]
    blocks.append([textwrap.fill(each, WIDTH) for each in words])
    return "\n\n".join("\n".join(block) for block in blocks)


def markdown(summary):
    """The first table, with sentences on its origin above."""
    above = " ".join([origin(summary), *sentences(summary)])
    return f"{above}\n\n{markdown_table(*table(summary))}\n"
