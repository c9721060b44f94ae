"""`check_table`: what to look at in a table before a model is trained on it."""

from typing import Any

from nnfit.tables.checks import columns as of_columns
from nnfit.tables.checks import leaks, numbers, rows, target, texts
from nnfit.tables.checks.column import CheckedColumn, read_columns
from nnfit.tables.report import TableReport


def check_table(
    X: Any,
    y: Any = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    task: str = "auto",
) -> TableReport:
    """Look for what spoils a model, or its score, in a table.

    Nothing is changed. A sound table has no findings; a finding says what was seen and
    what to do about it, and is a question to you who knows where the table comes from.
    The user guide lists the kinds of findings and their limits.

    Parameters
    ----------
    X : table of shape (n_samples, n_features)
        Of pandas, polars or pyarrow, an array (also of objects) or a list of rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        The target. Without it, nothing that concerns it is looked for.
    X_val, y_val : optional
        Features and targets of validation or test, of the same columns.
    task : {"auto", "classification", "regression"}, default="auto"
        Whether y holds classes. "auto": texts and booleans are classes, and so are two
        whole numbers, and at most 30 integers with ten rows each on average; other
        numbers are amounts.

    Returns
    -------
    TableReport
        A sequence of findings, the most severe first, which is false where there are
        none; ``print`` it.

    Notes
    -----
    All rows are read, except for leaks, which are looked for on a fixed sample of at
    most 5,000 rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nnfit import check_table
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> print(check_table(X, X[:, 1] > 0))
    1 finding in a table of 200 rows and 3 columns
    <BLANKLINE>
    1. leak: 1
       It alone predicts the target: a tree that sees nothing else leaves no part
       of the errors of always guessing one class (5-fold cross-validation on 200
       rows).
       -> Ask whether it is known before the outcome is: drop it if it is made from
          the outcome, or measured or filled in later.
    """
    if task not in ("auto", "classification", "regression"):
        raise ValueError(
            f"task must be 'auto', 'classification' or 'regression', got {task!r}."
        )
    columns = _columns(X, "X")
    targets = [] if y is None else _targets(y, columns, "y", "X")
    classes = task == "classification"
    if task == "auto":
        classes = all(target.is_classes(column) for column in targets)
    findings = _of_each(columns)
    findings += rows.repeated([*columns, *targets])
    for column in targets:
        findings += numbers.infinite(column)
        findings += numbers.impossible(column)
        findings += target.target(column, classes)
        findings += leaks.leaks(columns, column, classes)
    if X_val is not None:
        others = _columns(X_val, "X_val")
        _check_same(columns, others)
        findings += rows.shared(columns, others)
    if y_val is not None and targets:
        val = _targets(y_val, others if X_val is not None else None, "y_val", "X_val")
        findings += target.unseen(targets, val) if classes else []
    return TableReport(findings, len(columns[0]), len(columns))


def _of_each(columns):
    """Findings about columns, read one after the other."""
    findings, signatures, constant = [], [], []
    for column in columns:
        for check in (
            of_columns.mostly_missing,
            of_columns.identifier,
            of_columns.rare_categories,
            texts.texts,
            numbers.infinite,
            numbers.impossible,
        ):
            findings += check(column)
        if of_columns.is_constant(column):
            constant.append(column)
        signatures.append(of_columns.signature(column))
        column.forget()
    findings += of_columns.constant(constant)
    findings += of_columns.duplicates(columns, signatures)
    return findings


def _columns(X, what):
    columns = read_columns(X, what)
    if not columns or not len(columns[0]):
        raise ValueError(f"{what} has no {'rows' if columns else 'columns'}.")
    return columns


def _targets(y, columns, what, table):
    targets = read_columns(y, what)
    for number, column in enumerate(targets):
        column.name = "target" if len(targets) == 1 else f"target {number}"
    if columns is not None and len(targets[0]) != len(columns[0]):
        raise ValueError(
            f"{what} must have a value for each row of {table}, got "
            f"{len(targets[0])} for {len(columns[0])} rows."
        )
    return targets


def _check_same(columns: list[CheckedColumn], others: list[CheckedColumn]):
    mine, other = ([column.name for column in each] for each in (columns, others))
    if mine != other:
        wrong = [name for name in (*mine, *other) if (name in mine) != (name in other)]
        raise ValueError(
            f"X_val must have the columns of X in the same order, got {len(other)} for "
            f"{len(mine)}; differing: {wrong[:5]}."
        )
