"""A picture of mean rank against the time of training."""

import io

from ..bars import OWN
from .registry import OWN as OWN_NAME
from .report import title

#: Read on white and on black alike, 4 to 1 and more against both.
TEXT, OTHER = "#7d7d7d", "#5f83a8"
#: In inches, so small that a phone shows text of ten pixels.
WIDTH, HEIGHT = 4.8, 3.6
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
    axes.set_xscale("log")
    for entry in summary["models"]:
        x, color = entry["fit_seconds"], colour(entry)
        axes.plot([x, x], entry["rank_interval"], color=color, alpha=0.4, lw=1.5)
        axes.plot(x, entry["rank"], "o", color=color, ms=7)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.set_xlabel("Processor seconds of training for 1,000 rows")
    axes.set_ylabel("Mean rank, the best above")
    for spine in axes.spines.values():
        spine.set_color(TEXT)
    axes.tick_params(colors=TEXT, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(TEXT)
    name_points(figure, axes, summary["models"])
    return figure


def colour(entry):
    return OWN if entry["name"].startswith(OWN_NAME) else OTHER


def name_points(figure, axes, entries):
    """Write a name beside each point, where it covers least of what is there."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # which settles where the points are
    points = [(entry["fit_seconds"], entry["rank"]) for entry in entries]
    places = axes.transData.transform(points) * 72 / figure.dpi
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    edge = figure.get_size_inches() * 72
    for entry, point, (x, y) in zip(entries, points, places, strict=True):
        width = 5.2 * len(title(entry))
        boxes = {
            (dx, dy, ha): Bbox.from_bounds(x + dx - at * width, y + dy - 2, width, 9)
            for ha, at, dx in (("left", 0, 6), ("right", 1, -6), ("center", 0.5, 0))
            for dy in ((9, -15) if ha == "center" else (4, -3, -10))
        }
        (dx, dy, ha), box = min(
            boxes.items(), key=lambda item: covered(item[1], taken, edge[0])
        )
        taken.append(box)
        axes.annotate(
            title(entry), point, xytext=(dx, dy), textcoords="offset points", ha=ha,
            color=colour(entry), fontsize=9,
        )  # fmt: skip


def covered(box, others, edge):
    """How much of others a box covers, and how far it leaves the figure."""
    common = [box.intersection(box, other) for other in others]
    outside = max(0.0, box.x1 - edge) + max(0.0, -box.x0)
    return sum(each.width * each.height for each in common if each) + 20 * outside


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
