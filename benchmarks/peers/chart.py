"""A chart of the results: one panel a shape, one bar a peer."""

from ..bars import DIFFERENT, OTHER, OWN, Bar, panel, sheet, side_by_side
from . import report
from .registry import PEERS


def panels(results):
    """SVG elements; each panel has its own scale, since a hundred thousandfold lies
    between the shapes."""
    peers = report.measured_peers(results)
    return [draw_shape(name, shape, peers) for name, shape in results["shapes"].items()]


def draw_shape(name, shape, peers):
    title, _, sizes = report.shape_words(name, shape).partition(": ")
    bars = []
    for peer in peers:
        entry = shape["peers"].get(peer) or {}
        colour = OTHER if entry.get("agrees") else DIFFERENT
        bars.append(
            Bar(
                PEERS[peer].title,
                entry.get("ms_per_epoch", 0.0),
                report.cell(entry) if entry else "not measured",
                OWN if peer == report.BASE else colour,
            )
        )
    return panel(title, sizes, bars)


def html(results):
    """A page's element with all panels."""
    return side_by_side(panels(results))


def save(results, path):
    """Write an SVG file with all panels."""
    with open(path, "w") as file:
        file.write(sheet(panels(results), "Milliseconds of one epoch"))
