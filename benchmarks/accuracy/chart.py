"""A picture of mean rank against the time of training."""

from ..peers.chart import OTHER, OWN
from .registry import OWN as OWN_NAME
from .report import title

#: Read on white and on black alike: 4.5 to 1 and more against both.
TEXT = "#7d7d7d"
#: Of the page, so that 600 pixels show text of ten.
WIDTH, HEIGHT = 6.0, 4.0


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
    for entry in summary["models"]:
        colour = OWN if entry["name"].startswith(OWN_NAME) else OTHER
        low, high = entry["rank_interval"]
        x, y = entry["fit_seconds"], entry["rank"]
        axes.plot([x, x], [low, high], color=colour, alpha=0.6, lw=1.5)
        axes.plot(x, y, "o", color=colour, ms=7)
        axes.annotate(
            title(entry), (x, y), xytext=(6, 4), textcoords="offset points",
            color=colour, fontsize=9,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("Processor seconds of training for 1,000 rows")
    axes.set_ylabel("Mean rank, the best above")
    for spine in axes.spines.values():
        spine.set_color(TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=TEXT, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(TEXT)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.25)  # room for the last label
    return figure
