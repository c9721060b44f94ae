"""What a notebook shows of a fitted estimator, below scikit-learn's diagram.

Layers with their parameters, the curves of the training and its time, as HTML without
scripts. Text and lines take their colour from the page, so that they can be read on a
dark one; the two curves have colours that can be told apart on both.
"""

from html import escape

import numpy as np

from nnfit.network.outline import outline, shortened

#: Size of the curves in pixels, and most points and members that are drawn.
WIDTH, HEIGHT, MOST_POINTS, MOST_MEMBERS = 260, 110, 120, 10
#: Most layers that are listed.
MOST_LAYERS = 30
CURVES = {"loss": ("training", "#2f88c5"), "val_loss": ("validation", "#e0702a")}
STYLE = """<style>
.nnfit-summary {font-size: .85em; margin-top: .5em; display: flex; flex-wrap: wrap;
  gap: 1.5em; align-items: flex-start; color: inherit}
.nnfit-summary table {border-collapse: collapse; margin: 0; color: inherit}
.nnfit-summary caption {text-align: left; padding-bottom: .3em; color: inherit;
  caption-side: top; white-space: nowrap}
.nnfit-summary th, .nnfit-summary td {text-align: left; padding: .15em .8em .15em 0;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, .35); background: none;
  color: inherit}
.nnfit-summary td.number, .nnfit-summary th.number {text-align: right}
.nnfit-summary svg text {fill: currentColor; font-size: 11px}
</style>"""


def summary(estimator):
    """HTML of a fitted estimator, "" of another.

    Parameters
    ----------
    estimator : BaseMLP
    """
    try:
        members = estimator._as_mixture().families[0].networks
        network, _ = members[0]._fitted_network()
    except (AttributeError, IndexError, ValueError):
        # Not fitted, without a network, or with weights that do not fit.
        return ""
    histories = [getattr(member, "history_", None) or {} for member in members]
    table = _table(estimator, network, len(members), histories)
    return f'{STYLE}<div class="nnfit-summary">{table}{_curves(histories)}</div>'


def _table(estimator, network, n_members, histories):
    blocks = shortened(outline(network), MOST_LAYERS)
    body = "".join(
        _row(
            "td",
            block.name,
            f"{block.n_out:,}",
            ", ".join(block.details),
            f"{block.n_parameters:,}" if block.n_parameters else "",
        )
        for block in blocks
    )
    total = n_members * sum(block.n_parameters for block in blocks)
    caption = f"{total:,} parameters"
    if n_members > 1:
        caption += f" of {n_members} members, each with these layers"
    seconds = [each["seconds"][-1] for each in histories if each.get("seconds")]
    if seconds:
        n_iter, where = estimator.n_iter_, getattr(estimator, "device_", "cpu")
        epochs = f"{n_iter} epoch{'s' * (n_iter != 1)}"
        caption += f"; {epochs} in {duration(max(seconds))} on {where}"
    head = _row("th", "layer", "units", "", "parameters")
    return f"<table><caption>{escape(caption)}</caption>{head}{body}</table>"


def _row(cell, *texts):
    numbers = ("", ' class="number"', "", ' class="number"')
    cells = zip(numbers, texts, strict=True)
    inner = "".join(f"<{cell}{n}>{escape(text)}</{cell}>" for n, text in cells)
    return f"<tr>{inner}</tr>"


def duration(seconds):
    """A time with two digits, "0.34 s" or "12 min"."""
    if seconds < 100.0:
        return f"{seconds:.2g} s"
    return (
        f"{seconds / 60.0:.0f} min" if seconds < 6000.0 else f"{seconds / 3600:.1f} h"
    )


# Curves ----------------------------------------------------------------------


def _curves(histories):
    """An SVG of the losses; "" where there are too few epochs for a curve."""
    found = [
        (name, np.array(history.get(name, ()), np.float64))
        for history in histories[:MOST_MEMBERS]
        for name in CURVES
    ]
    found = [(name, values) for name, values in found if np.isfinite(values).sum() > 1]
    if not found:
        return ""
    finite = np.concatenate([values[np.isfinite(values)] for _, values in found])
    low, high = finite.min(), finite.max()
    is_log = bool(0.0 < 30.0 * low < high)
    scale = np.log if is_log else np.asarray
    n_epochs = max(len(values) for _, values in found)
    lines, shown = [], {}
    for name, values in found:
        label, color = CURVES[name]
        points = _points(values, scale, scale(low), scale(high), n_epochs)
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" '
            f'stroke-width="1.5" opacity="{1.0 if len(histories) == 1 else 0.6}"/>'
        )
        shown[label] = color
    names = " and ".join(shown)
    keys = "".join(
        f'<text x="{70 + 75 * place}" y="12" style="fill:{color}">{label}</text>'
        for place, (label, color) in enumerate(shown.items())
    )
    return (
        f'<svg width="{WIDTH + 70}" height="{HEIGHT + 40}" role="img" '
        f'aria-label="Loss of {names} by epoch"><text x="4" y="12">loss</text>{keys}'
        f'<g transform="translate(60,20)">{_frame(low, high, n_epochs, is_log)}'
        f"{''.join(lines)}</g></svg>"
    )


def _points(values, scale, low, high, n_epochs):
    """Points of a polyline; of many epochs some."""
    epochs = np.flatnonzero(np.isfinite(values))
    epochs = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_POINTS).astype(int))]
    x = WIDTH * epochs / max(1, n_epochs - 1)
    y = HEIGHT * (1.0 - (scale(values[epochs]) - low) / ((high - low) or 1.0))
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _frame(low, high, n_epochs, is_log):
    line = f'stroke="currentColor" stroke-opacity=".5" d="M0,0V{HEIGHT}H{WIDTH}"'
    below = HEIGHT + 14
    middle = "epoch (logarithmic loss)" if is_log else "epoch"
    return (
        f'<path fill="none" {line}/>'
        f'<text x="-5" y="8" text-anchor="end">{high:.3g}</text>'
        f'<text x="-5" y="{HEIGHT}" text-anchor="end">{low:.3g}</text>'
        f'<text x="0" y="{below}">1</text>'
        f'<text x="{WIDTH / 2}" y="{below}" text-anchor="middle">{middle}</text>'
        f'<text x="{WIDTH}" y="{below}" text-anchor="end">{n_epochs}</text>'
    )
