"""What has been trained, as a table and in plain words."""

import textwrap

from nnfit.tabular.families import WORDS

WIDTH = 80


def leaderboard(estimator, parts):
    """Columns by name, the best family first."""
    loss = "log_loss" if estimator._task == "classification" else "rmse"
    ranked = sorted(parts, key=lambda part: (-part.weight, part.loss))
    return {
        "family": [part.name for part in ranked],
        "score": [part.score for part in ranked],
        loss: [estimator._shown_loss(part.loss) for part in ranked],
        "seconds": [part.seconds for part in ranked],
        "weight": [part.weight for part in ranked],
        "n_members": [len(part.models) for part in ranked],
    }


def table(columns, name):
    """Columns as lines of text; the score under its own name."""
    titles = [name if title == "score" else title for title in columns]
    rows = [
        [_shown(value) for value in row] for row in zip(*columns.values(), strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = []
    for row in (titles, *rows):
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]))
    return "\n".join(lines)


def _shown(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}"


def explanation(estimator, parts, held, name, together, notes):
    """Why the model is as it is.

    Parameters
    ----------
    estimator : Tabular
    parts : list of Part
    held : str
        The rows by which families are judged.
    name : str
        Of the score.
    together : (float, float)
        Score and loss of all parts together.
    notes : list of str
        Sentences about what is left out.
    """
    used = [part for part in parts if part.weight > 0]
    loss = "log-loss" if estimator._task == "classification" else "rmse"
    what = "probabilities" if estimator._task == "classification" else "predictions"
    score, value = together
    sentences = []
    for part in sorted(used, key=lambda part: -part.weight):
        share = f"{part.weight:.0%} of the weight has " if len(used) > 1 else "It is "
        n = len(part.models)
        sentences.append(
            f"{share}{part.name}, {WORDS[part.name]}: the mean {what} of {n} member"
            f"{'s' * (n > 1)}."
        )
    for part in parts:
        if part.weight == 0:
            sentences.append(
                f"{part.name} has no weight: with it the others are no better on the "
                "rows held out."
            )
    temperatures = [
        f"{part.name} {part.temperature:.2f}" for part in used if part.temperature
    ]
    if temperatures:
        sentences.append(
            "Their scores are divided by temperatures, which make the probabilities "
            f"honest (above 1: less sure): {', '.join(temperatures)}."
        )
    opening = f"The model of preset={estimator.preset!r}, judged on {held}:"
    end = f"All together: {name} {score:.4g}, {loss} {value:.4g}."
    lines = [*sentences, *notes, end]
    paragraphs = [
        textwrap.fill(line, WIDTH, initial_indent="- ", subsequent_indent="  ")
        for line in lines
    ]
    shown = table(estimator.leaderboard_, name)
    return "\n".join([textwrap.fill(opening, WIDTH), "", *paragraphs, "", shown])
