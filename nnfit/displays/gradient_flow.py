"""How gradients and activations flow through the layers of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nnfit.displays.display import Display, epochs_on, strips
from nnfit.estimators.tracing import members_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Layers that the legend names, evenly spaced ones; the colours tell the others.
MOST_NAMES = 12


class GradientFlowDisplay(Display):
    """Norms of gradients and sizes of activations by layer, over the epochs.

    Make one with `from_estimator`, of an estimator that was fitted with the callback
    `nnfit.callbacks.GradientMonitor`. Layers are coloured from dark, the first one, to
    light. Where the gradients of the first layers lie far below those of the last, they
    vanish on the way back.

    Parameters
    ----------
    record : dict
        ``gradient_history_`` of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The gradients.
    axes_ : dict of matplotlib Axes
        By name: "gradient" and "activation".
    figure_ : matplotlib Figure
    """

    ax_: Axes
    axes_: dict[str, Axes]
    figure_: Figure | SubFigure

    def __init__(self, *, record: Mapping[str, Any]) -> None:
        self.record = record

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, member: int = 0, ax: Axes | None = None
    ) -> Self:
        """Draw what the callback has recorded in the fit of an estimator.

        Parameters
        ----------
        estimator : estimator object
            A fitted network of nnfit, a Pipeline that ends with one, or a search.
        member : int, default=0
            Which member of an ensemble.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        display : GradientFlowDisplay

        Raises
        ------
        TypeError
            If the estimator is none of nnfit's.
        ValueError
            If there is no record, or no such member.
        """
        network = chosen(members_in(estimator, cls.__name__), member)
        record = vars(network).get("gradient_history_")
        if record is None:
            raise ValueError(
                f"{cls.__name__} draws what the callback GradientMonitor records, and "
                "this estimator was fitted without it. Fit it again after "
                "estimator.set_callbacks(nnfit.callbacks.GradientMonitor(every=1))."
            )
        return cls(record=record).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the norms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        self : GradientFlowDisplay
        """
        ax = self._begin(ax, (6.4, 5.2))
        from matplotlib import colormaps

        (below,) = strips(ax, 1, share=0.9)
        self.axes_ = {"gradient": ax, "activation": below}
        layers, epochs = self.record["layers"], self.record["epoch"]
        colors = colormaps["viridis"](np.linspace(0.0, 0.9, len(layers)))
        for name, axes in self.axes_.items():
            values = np.array(self.record[name], np.float64)
            values = np.where(values > 0.0, values, np.nan)  # of a dead layer
            for number, layer in enumerate(layers):
                axes.plot(
                    epochs,
                    values[:, number],
                    color=colors[number],
                    label=layer,
                    marker="o" if len(epochs) < 20 else None,
                    markersize=3,
                )
        ax.set(yscale="log", ylabel="norm of the gradient\nby the weights")
        epochs_on(below)
        below.set(xlabel="epoch", ylabel="size of the outputs\n(root mean square)")
        sizes = np.array(self.record["activation"])
        if sizes.max() > 100.0 * sizes[sizes > 0.0].min(initial=np.inf):
            below.set_yscale("log")
        else:
            below.set_ylim(bottom=0.0)
        # From above as the curves lie where gradients vanish: the output first.
        handles, names = ax.get_legend_handles_labels()
        place = np.linspace(len(names) - 1, 0, min(len(names), MOST_NAMES)).astype(int)
        ax.legend(
            [handles[n] for n in place],
            [names[n] for n in place],
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
        )
        return self


def chosen(members, member):
    """One of the networks of an estimator, by its number."""
    if not isinstance(member, int | np.integer) or not 0 <= member < len(members):
        raise ValueError(
            f"member must be an integer from 0 to {len(members) - 1}, the number of a "
            f"network of the estimator, got {member!r}."
        )
    return members[member]
