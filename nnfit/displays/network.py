"""The architecture of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from nnfit.displays.display import BLUE, GREEN, GREY, ORANGE, Display
from nnfit.estimators.tracing import members_in
from nnfit.network.outline import Block, outline, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Height of a box where a level has the height 1, and half of what is between two.
BOX, MARGIN = 0.62, 0.04
#: Boxes that a picture has room for.
MOST_BLOCKS = 14
#: Width of the picture, in which the boxes of a level share.
WIDTH = 4.0


class NetworkDisplay(Display):
    """The parts of a network as boxes, with their sizes and numbers of parameters.

    Make one with `from_estimator`. Data go from top to bottom. Green boxes make numbers
    of the features, blue ones are hidden layers, the last one is the output; an arrow
    past a layer is a residual connection.

    Parameters
    ----------
    blocks : sequence of nnfit.network.outline.Block
    link : str
        What makes predictions of the outputs.
    n_members : int, default=1
        Networks of an ensemble, all of which have these parts.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self, *, blocks: Sequence[Block], link: str, n_members: int = 1
    ) -> None:
        self.blocks, self.link, self.n_members = blocks, link, n_members

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : estimator object
            A fitted network of nnfit, a Pipeline that ends with one, or a search.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        display : NetworkDisplay

        Raises
        ------
        TypeError
            If the estimator is none of nnfit's.
        """
        members = members_in(estimator, cls.__name__)
        blocks = outline(members[0]._fitted_network()[0])
        display = cls(blocks=blocks, link=members[0]._link, n_members=len(members))
        return display.plot(ax)

    @property
    def n_parameters(self) -> int:
        """Trained numbers of all members."""
        return self.n_members * sum(block.n_parameters for block in self.blocks)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the boxes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        self : NetworkDisplay
        """
        blocks = shortened(self.blocks, MOST_BLOCKS)
        levels = levels_of(blocks)
        n_levels = 1 + max(levels)
        ax = self._begin(ax, (6.4, 0.8 + 0.82 * n_levels))
        places = places_of(blocks, levels)
        for number, block in enumerate(blocks):
            self._box(block, *places[number])
            for value in block.inputs:
                self._arrow(places[value], places[number])
            if "residual" in block.details:
                self._detour(places[block.inputs[0]], places[number])
        has_detour = any("residual" in block.details for block in blocks)
        ax.set(xlim=(0.0, WIDTH + 0.35 * has_detour), ylim=(1.0 - n_levels - BOX, BOX))
        ax.set_axis_off()
        title = f"{self.n_parameters:,} parameters"
        if self.n_members > 1:
            title += f" of {self.n_members} members, each with a network like this"
        ax.set_title(title, loc="left")
        return self

    def _box(self, block, left, width, middle):
        from matplotlib.patches import FancyBboxPatch

        left, width = left + MARGIN, width - 2 * MARGIN
        color = GREY if not block.nodes else BLUE if block.is_layer else GREEN
        color = ORANGE if block.name == "output" else color
        style = "round,pad=0,rounding_size=0.08"
        corner = left, middle - BOX / 2
        box = FancyBboxPatch(corner, width, BOX, style, facecolor=color, alpha=0.16)
        edge = FancyBboxPatch(corner, width, BOX, style, facecolor="none", ec=color)
        self.ax_.add_patch(box)
        self.ax_.add_patch(edge)
        is_narrow = width < WIDTH / 1.5
        units = "unit" if block.n_out == 1 else "units"
        columns = units.replace("unit", "column")
        below = [f"{block.n_out:,} {units if block.nodes else columns}"]
        below += block.details
        if block.name == "output" and self.link != "identity":
            below.append(self.link)
        parameters = f"{block.n_parameters:,} parameters" if block.n_parameters else ""
        text = {"va": "center", "fontsize": "small" if is_narrow else "medium"}
        x, high, low = left + 0.12, middle + 0.13, middle - 0.14
        self.ax_.text(x, high, block.name, fontweight="bold", **text)
        text["fontsize"] = "x-small" if is_narrow else "small"
        if is_narrow:
            below.append(parameters)
        self.ax_.text(x, low, ", ".join(filter(None, below)), **text)
        if not is_narrow:
            right = left + width - 0.12
            self.ax_.text(right, high, parameters, ha="right", **text)

    def _arrow(self, start, end):
        # Straight down from, or to, the middle of the narrower box.
        narrow = min(start, end, key=lambda place: place[1])
        x = narrow[0] + narrow[1] / 2
        self.ax_.annotate(
            "",
            (x, end[2] + BOX / 2),
            (x, start[2] - BOX / 2),
            arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0},
        )

    def _detour(self, start, end):
        x = WIDTH - MARGIN
        self.ax_.annotate(
            "",
            (x, end[2] + 0.12),
            (x, start[2] - 0.12),
            arrowprops={
                "arrowstyle": "-|>",
                "color": BLUE,
                "connectionstyle": "bar,fraction=-0.28",
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def levels_of(blocks):
    """How far each block is from the features, a list of int."""
    levels = []
    for block in blocks:
        levels.append(1 + max((levels[value] for value in block.inputs), default=-1))
    return levels


def places_of(blocks, levels):
    """Left end, width and middle height of each box.

    Those that read one value share its width; one that reads several has theirs.
    """
    found = []
    for number, (block, level) in enumerate(zip(blocks, levels, strict=True)):
        left, width = 0.0, WIDTH
        if block.inputs:
            left = min(found[value][0] for value in block.inputs)
            width = max(sum(found[value][:2]) for value in block.inputs) - left
        if len(block.inputs) == 1:
            beside = [n for n, b in enumerate(blocks) if b.inputs == block.inputs]
            width /= len(beside)
            left += width * beside.index(number)
        found.append((left, width, -float(level)))
    return found
