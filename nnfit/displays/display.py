"""What displays have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.utils._optional_dependencies import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Colours that colour-blind readers tell apart (Okabe and Ito 2008, "Color universal
#: design"), and in print by their brightness.
BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
COLORS = (BLUE, ORANGE, GREEN, PINK, SKY)
GREY = "#767676"


class Display:
    """Base of displays: where they draw."""

    ax_: Axes
    figure_: Figure | SubFigure

    def _begin(self, ax, size=None):
        """Axes to draw into: the given ones, or those of a new figure."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def strips(ax, n_strips, share=0.28):
    """Split axes: the upper part, and strips below it of the same horizontal axis.

    Parameters
    ----------
    ax : matplotlib Axes
    n_strips : int
    share : float, default=0.28
        Height of a strip as a part of that of the upper axes.

    Returns
    -------
    list of matplotlib Axes
        The strips from above, empty where none is wanted.
    """
    place = ax.get_subplotspec()
    if place is None:  # axes at a place of their own
        from mpl_toolkits.axes_grid1 import make_axes_locatable

        divider, height = make_axes_locatable(ax), f"{100 * share:.0f}%"
        found = [
            divider.append_axes("bottom", height, 0.1, sharex=ax)
            for _ in range(n_strips)
        ]
    else:
        ratios = [1.0] + n_strips * [share]
        parts = place.subgridspec(1 + n_strips, 1, height_ratios=ratios, hspace=0.06)
        ax.set_subplotspec(parts[0])
        found = [ax.figure.add_subplot(part, sharex=ax) for part in list(parts)[1:]]
    for upper in [ax, *found][:-1]:
        upper.tick_params(labelbottom=False)
    return found


def epochs_on(ax):
    """Let the horizontal axis have whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
