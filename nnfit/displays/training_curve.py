"""The curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nnfit.displays.display import BLUE, GREEN, GREY, ORANGE, Display, epochs_on, strips
from nnfit.estimators.tracing import members_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class TrainingCurveDisplay(Display):
    """Loss, validation and learning rate of a training, epoch by epoch.

    Make one with `from_estimator`. Above are the losses; below, where they were
    recorded, the validation score, and, where it changes, the learning rate. A dashed
    line marks the best epoch: that of the highest validation score where training
    keeps the best weights, else that of the lowest validation loss, or, without
    validation data, of the lowest loss.

    Parameters
    ----------
    histories : list of dict
        ``history_`` of the network, or of each member of an ensemble.
    best_epochs : list of int
        Of each of them, from 1.
    score_name : str, default="score"
        Name of the validation score.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The losses.
    axes_ : dict of matplotlib Axes
        By name: "loss", and "score" and "learning_rate" where they are drawn.
    figure_ : matplotlib Figure
    """

    ax_: Axes
    axes_: dict[str, Axes]
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        histories: Sequence[Mapping[str, Sequence[float]]],
        best_epochs: Sequence[int],
        score_name: str = "score",
    ) -> None:
        self.histories, self.best_epochs = histories, best_epochs
        self.score_name = score_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator object
            A fitted network of nnfit, a Pipeline that ends with one, or a search.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        TypeError
            If the estimator is none of nnfit's.
        ValueError
            If it has no record of its training.
        """
        members = members_in(estimator, cls.__name__)
        histories = [vars(member).get("history_", {}) for member in members]
        if not all(each.get("loss") for each in histories):
            raise ValueError(
                f"{cls.__name__} needs history_, which fit and partial_fit record, "
                "got an estimator without it. Fit the estimator."
            )
        display = cls(
            histories=histories,
            best_epochs=[best_epoch(member) for member in members],
            score_name=score_name(members[0]),
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        rows = {
            "score": ("val_score", f"validation\n{self.score_name}", GREEN),
            "learning_rate": ("learning_rate", "learning\nrate", GREY),
        }
        rows = {name: row for name, row in rows.items() if self._is_drawn(name, row[0])}
        ax = self._begin(ax, (6.4, 4.4 + 0.6 * len(rows)))
        self.axes_ = {"loss": ax} | dict(zip(rows, strips(ax, len(rows)), strict=True))
        self._curves(ax, "loss", BLUE, "training")
        if self._has("val_loss"):
            self._curves(ax, "val_loss", ORANGE, "validation")
        ax.set_ylabel("loss")
        for name, (column, label, color) in rows.items():
            self._curves(self.axes_[name], column, color)
            self.axes_[name].set_ylabel(label)
        for axes in self.axes_.values():
            self._mark(axes, axes is ax)
        self._scale(ax)
        ax.legend()
        epochs_on(ax)
        list(self.axes_.values())[-1].set_xlabel("epoch")
        return self

    def _values(self, column):
        return [np.array(each[column], np.float64) for each in self.histories]

    def _has(self, column):
        return any(np.isfinite(values).any() for values in self._values(column))

    def _is_drawn(self, name, column):
        if name == "learning_rate":
            return any(len(set(each[column])) > 1 for each in self.histories)
        # The score "loss" is the loss once more.
        return self._has(column) and self.score_name != "loss"

    def _curves(self, ax, column, color, label=None):
        n = len(self.histories)
        thin = {} if n == 1 else {"alpha": 0.6, "linewidth": 1.0}
        if n > 1 and label is not None:
            label = f"{label}, {n} members"
        for values in self._values(column):
            epochs = np.arange(1, len(values) + 1)
            marker = "o" if len(values) == 1 else None
            ax.plot(epochs, values, color=color, label=label, marker=marker, **thin)
            label = None

    def _mark(self, ax, is_first):
        shown = sorted(set(self.best_epochs))
        label = "best epoch"
        label += f" {shown[0]}" if len(shown) == 1 else "s of the members"
        for epoch in shown:
            ax.axvline(
                epoch,
                color="black" if len(shown) == 1 else GREY,
                linestyle="--",
                linewidth=1.0 if len(shown) == 1 else 0.6,
                label=label if is_first else None,
            )
            label = None

    def _scale(self, ax):
        """A logarithmic axis where losses are positive and fall by powers of ten."""
        values = np.concatenate([*self._values("loss"), *self._values("val_loss")])
        values = values[np.isfinite(values)]
        if len(values) and 0.0 < 30.0 * values.min() < values.max():
            ax.set_yscale("log")


def score_name(network):
    """Name of the validation score that a network was watched by."""
    scoring = network.scoring
    if callable(scoring):
        return "score"
    name = network._default_score() if scoring is None else scoring
    # Of two classes and of labels, a row is right if all its outputs are.
    return {"r2": "R²", "multilabel_accuracy": "accuracy"}.get(name, name)


def best_epoch(network):
    """The epoch that counts as the best of a single network's, from 1."""
    history = {k: np.array(v, np.float64) for k, v in network.history_.items()}
    for is_used, values in (
        (network._keeps_best(), history["val_score"]),
        (True, -history["val_loss"]),
        (True, -history["loss"]),
    ):
        if is_used and np.isfinite(values).any():
            return 1 + int(np.nanargmax(values))
    return len(history["loss"])
