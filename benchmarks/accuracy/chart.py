"""A picture of mean rank against the time of training."""

import io

from ..bars import OWN
from .registry import OWN as OWN_NAME
from .report import title

#: Read on white and on black alike, 4 to 1 and more against both.
TEXT, OTHER = "#7d7d7d", "#5f83a8"
#: Of the page, so that 600 pixels show text of ten.
WIDTH, HEIGHT = 6.0, 4.0
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Text that a reader can select and search, in the page's font.
    "svg.fonttype": "none",
    "svg.hashsalt": "nnfit",
}


def draw(summary):
    """Draw a figure without a background.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    times = [entry["fit_seconds"] for entry in summary["models"]]
    middle = (min(times) * max(times)) ** 0.5
    for entry, x in zip(summary["models"], times, strict=True):
        colour = OWN if entry["name"].startswith(OWN_NAME) else OTHER
        y, is_left = entry["rank"], x <= middle
        axes.plot([x, x], entry["rank_interval"], color=colour, alpha=0.4, lw=1.5)
        axes.plot(x, y, "o", color=colour, ms=7)
        axes.annotate(
            title(entry), (x, y), xytext=(6 if is_left else -6, 4),
            textcoords="offset points", ha="left" if is_left else "right",
            color=colour, fontsize=9,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.set_xlabel("Processor seconds of training for 1,000 rows")
    axes.set_ylabel("Mean rank, the best above")
    for spine in axes.spines.values():
        spine.set_color(TEXT)
    axes.tick_params(colors=TEXT, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(TEXT)
    return figure


def save(summary, file, **settings):
    """Write a picture to a path, in the format that it ends with, or to a file."""
    import matplotlib

    with matplotlib.rc_context(STYLE):  # used in drawing and in writing
        draw(summary).savefig(file, dpi=150, **settings)


def svg(summary):
    """A picture as an SVG element."""
    with io.StringIO() as file:
        save(summary, file, format="svg", metadata={"Date": None})
        text = file.getvalue()
    return text[text.index("<svg") :]
