"""A chart of the results: one panel a shape, one bar a peer."""

import io

from . import report
from .registry import PEERS

COLUMNS = 3
#: Told apart in any colour vision, and by brightness alone.
OWN, OTHER, DIFFERENT = "#d55e00", "#8da9c4", "#d9d9d9"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.bottom": False,
    # Text that a reader can select and search, in the page's font.
    "svg.fonttype": "none",
    "svg.hashsalt": "nnfit",
}


def draw(results):
    """Draw a figure; bars are proportional to the time of an epoch, each panel with
    its own scale, since a hundred thousandfold lies between the shapes.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    peers = report.measured_peers(results)
    shapes = results["shapes"]
    rows = -(-len(shapes) // COLUMNS)
    columns = min(COLUMNS, len(shapes))
    height = 0.5 + rows * (0.6 + 0.22 * len(peers))
    figure = Figure(figsize=(1 + 3 * columns, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shapes) :]:
        axes.axis("off")
    for axes, (name, shape) in zip(grid.flat, shapes.items(), strict=False):
        draw_shape(axes, name, shape, peers, axes in grid[:, 0])
    figure.supxlabel(
        "Milliseconds of one epoch, less is better. "
        "Below each name: rows × features, hidden layers, batch.",
        fontsize=9,
    )
    return figure


def draw_shape(axes, name, shape, peers, has_labels):
    entries = [shape["peers"].get(peer) or {} for peer in peers]
    times = [entry.get("ms_per_epoch", 0.0) for entry in entries]
    colours = [
        OWN if peer == report.BASE else (OTHER if entry.get("agrees") else DIFFERENT)
        for peer, entry in zip(peers, entries, strict=True)
    ]
    axes.barh(range(len(peers)), times, color=colours, height=0.75)
    for i, entry in enumerate(entries):
        axes.annotate(
            report.cell(entry) if entry else "not measured",
            (times[i], i),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold" if peers[i] == report.BASE else "normal",
        )
    axes.set_xlim(0, 1.22 * max(times, default=0.0) or 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    titles = [PEERS[peer].title for peer in peers] if has_labels else []
    axes.set_yticks(range(len(peers)) if has_labels else [], titles)
    axes.tick_params(length=0)
    title, _, sizes = report.shape_words(name, shape).partition(": ")
    axes.set_title(f"{title}\n", loc="left", fontweight="bold", fontsize=10)
    axes.annotate(
        sizes,
        (0, 1),
        xytext=(0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8,
        color="#404040",
    )


def save(results, file, draw=draw, **settings):
    """Write a chart to a path, in the format that it ends with, or to a file."""
    import matplotlib

    with matplotlib.rc_context(STYLE):  # used in drawing and in writing
        draw(results).savefig(file, dpi=150, **settings)


def svg(results, draw=draw):
    """A chart as an SVG element."""
    with io.StringIO() as file:
        save(results, file, draw, format="svg", metadata={"Date": None})
        text = file.getvalue()
    return text[text.index("<svg") :]
