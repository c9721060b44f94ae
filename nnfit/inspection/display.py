"""Attributions as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.utils._optional_dependencies import check_matplotlib_support

from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.inspection.summary import attribution_summary
from nnfit.inspection.targets import name_of_output
from nnfit.tables.encoding import numbers_of
from nnfit.tables.reading import table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

KINDS = ("beeswarm", "bar")
#: Width of a feature's points, in parts of the distance of features, and the bins in
#: which points lie side by side.
SPREAD, BINS = 0.4, 100
GREY = "0.35"


class AttributionDisplay:
    """Attributions of many rows by feature.

    Use :meth:`from_estimator`, or pass what :func:`attribution_summary` has found.

    Parameters
    ----------
    attributions : ndarray of shape (n_samples, n_features)
    feature_names : list of str
    features : ndarray of shape (n_samples, n_features), default=None
        Values of the features, which colour the points. Those of NaN are grey, and all
        with None.
    name : str, default="prediction"
        What the attributions add up to.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` has drawn.
    figure_ : matplotlib Figure
        The figure around it.
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        attributions: FloatArray,
        feature_names: list[str],
        features: FloatArray | None = None,
        name: str = "prediction",
    ) -> None:
        self.attributions = attributions
        self.feature_names = feature_names
        self.features = features
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Rows,
        *,
        feature_names: npt.ArrayLike | None = None,
        background: Rows | None = None,
        target: object = None,
        response_method: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        kind: Literal["beeswarm", "bar"] = "beeswarm",
        max_features: int = 12,
        ax: Axes | None = None,
    ) -> Self:
        """Find attributions with :func:`attribution_summary` and draw them.

        Parameters
        ----------
        estimator : estimator object
            A fitted network of nnfit, an ensemble, or a Tabular estimator without
            trees.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to explain.
        feature_names, background, target, response_method, random_state
            See :func:`attribution_summary`.
        kind, max_features, ax
            See :meth:`plot`.

        Returns
        -------
        AttributionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        found = attribution_summary(
            estimator, X, feature_names, background=background, target=target,
            response_method=response_method, random_state=random_state,
        )  # fmt: skip
        display = cls(
            attributions=found.attributions,
            feature_names=found.feature_names,
            features=_numbers(X),
            name=name_of_output(estimator, target, response_method),
        )
        return display.plot(kind=kind, max_features=max_features, ax=ax)

    def plot(
        self,
        *,
        kind: Literal["beeswarm", "bar"] = "beeswarm",
        max_features: int = 12,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the features that count most, the first at the top.

        Parameters
        ----------
        kind : {"beeswarm", "bar"}, default="beeswarm"
            A point for each row, coloured by the value of the feature (grey for texts
            and missing values), or the mean absolute attribution.
        max_features : int, default=12
            Most features to draw.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Passed to matplotlib's ``scatter`` or ``barh``.

        Returns
        -------
        self : AttributionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
        import matplotlib.pyplot as plt

        importances = np.abs(self.attributions).mean(axis=0)
        shown = np.argsort(-importances, kind="stable")[:max_features]
        if ax is None:
            size = 6.0, 1.2 + 0.35 * len(shown)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if kind == "bar":
            ax.barh(range(len(shown)), importances[shown], **kwargs)
            ax.set_xlabel(f"mean absolute attribution to the {self.name}")
        else:
            self._draw_points(shown, kwargs)
            ax.set_xlabel(f"attribution to the {self.name}")
        names = [_short(self.feature_names[j]) for j in shown]
        ax.set_yticks(range(len(shown)), names)
        ax.set_ylim(len(shown) - 0.5, -0.5)
        return self

    def _draw_points(self, shown, options):
        from matplotlib import colormaps

        ax = self.ax_
        options = {"s": 9, "linewidths": 0} | options
        ax.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        span = np.ptp(self.attributions[:, shown]) or 1.0
        for place, j in enumerate(shown):
            values = self.attributions[:, j]
            colors = {"color": GREY}
            if self.features is not None:
                ranks = _ranks(self.features[:, j])
                colors = {"c": ranks, "vmin": 0, "vmax": 1, "plotnonfinite": True}
                colors["cmap"] = colormaps["viridis"].with_extremes(bad=GREY)
            heights = place + _beside(values, span / BINS)
            points = ax.scatter(values, heights, **colors | options)
        if self.features is not None:
            bar = self.figure_.colorbar(points, ax=ax, ticks=(0, 1), aspect=30)
            bar.ax.set_yticklabels(("low", "high"))
            bar.set_label("value of the feature, by rank", labelpad=-14)


def _numbers(X):
    """Values of the features, NaN where they are no numbers; None if none is one."""
    table = table_of(X)
    if table is None:
        return np.asarray(X.toarray() if issparse(X) else X, np.float64)
    columns = [_numbers_of(table.column(j)) for j in range(table.shape[1])]
    if all(each is None for each in columns):
        return None
    numbers = np.full(table.shape, np.nan)
    for j, each in enumerate(columns):
        if each is not None:
            numbers[:, j] = each
    return numbers


def _numbers_of(column):
    """A column of a table as numbers, None where they are texts."""
    try:
        return numbers_of(column, "it")
    except (TypeError, ValueError):
        return None


def _ranks(values):
    """Ranks from 0 to 1, equal ones for equal values; NaN for missing ones."""
    known, places = np.unique(values, return_inverse=True)
    n_known = max(1, np.isfinite(known).sum() - 1)
    return np.where(np.isfinite(values), places / n_known, np.nan)


def _beside(values, width):
    """Heights that put points of a bin side by side, within `SPREAD`."""
    bins = np.round(values / width).astype(np.int64)
    order = np.lexsort((np.arange(len(values)), bins))
    _, first, counts = np.unique(bins[order], return_index=True, return_counts=True)
    number = np.arange(len(values)) - np.repeat(first, counts)
    sides = np.where(number % 2, 1, -1) * ((number + 1) // 2)
    heights = np.empty(len(values))
    heights[order] = SPREAD * sides / max(5.0, counts.max() / 2)
    return heights


def _short(name):
    return name if len(name) <= 28 else f"{name[:27]}…"
