"""Whether predicted probabilities, or quantiles, are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d

from nnfit.displays.display import BLUE, GREY, Display, strips
from nnfit.estimators.annotations import FloatArray, Rows
from nnfit.estimators.tracing import fitted_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Levels at which the spread of an ensemble is looked at.
LEVELS = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])
#: Normal deviate of an interval of 95 %.
Z = 1.96


class ConfidenceDisplay(Display):
    """Predicted probabilities beside how often they are right, or quantiles likewise.

    Make one with `from_estimator`, on rows that were not trained on.

    Of a classifier, rows are put into bins by their probability: of two classes, and of
    labels, that of the second class, of more classes that of the class predicted. Each
    point is a bin; on the diagonal as many are right as predicted, below it the
    classifier is too sure. A histogram has the number of rows.

    Of a regressor, each point is a quantile: the share of the targets below it. An
    interval between the quantiles 0.1 and 0.9 should have the shares 0.1 and 0.9. The
    quantiles are those that it predicts (``loss="quantile"`` or
    ``predict_quantiles``), or, of an ensemble, those of a normal distribution with its
    mean and spread.

    Bars are intervals of 95 % for the number of rows (Wilson 1927).

    Parameters
    ----------
    predicted, observed : ndarray of shape (n_points,)
        Probabilities or levels, and the shares that were seen.
    counts : ndarray of shape (n_points,)
        Number of rows of each.
    kind : {"class", "confidence", "quantile"}
        What the probabilities are of.
    edges : ndarray of shape (n_bins + 1,) or None, default=None
        Of the bins.

    Attributes
    ----------
    ax_ : matplotlib Axes
    histogram_ax_ : matplotlib Axes or None
        The numbers of rows; None for quantiles.
    figure_ : matplotlib Figure
    error : float
        Mean distance of observed from predicted shares, weighted by numbers of rows:
        the expected calibration error.
    """

    ax_: Axes
    histogram_ax_: Axes | None
    figure_: Figure | SubFigure
    error: float

    def __init__(
        self,
        *,
        predicted: FloatArray,
        observed: FloatArray,
        counts: npt.NDArray[np.integer[Any]],
        kind: str,
        edges: FloatArray | None = None,
    ) -> None:
        self.predicted, self.observed, self.counts = predicted, observed, counts
        self.kind, self.edges = kind, edges
        self.error = float(np.average(np.abs(predicted - observed), weights=counts))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Rows,
        y: npt.ArrayLike,
        *,
        n_bins: int = 10,
        ax: Axes | None = None,
    ) -> Self:
        """Predict rows, and draw what came true.

        Parameters
        ----------
        estimator : estimator object
            Fitted: a classifier with ``predict_proba``, or a regressor with quantiles
            or members.
        X, y
            Rows and targets that were not trained on.
        n_bins : int, default=10
            Bins of the probabilities, of equal width.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        display : ConfidenceDisplay

        Raises
        ------
        TypeError
            If the estimator has neither probabilities nor quantiles.
        """
        if not is_classifier(estimator):
            return cls(**_of_quantiles(estimator, X, y)).plot(ax)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"{cls.__name__} needs predict_proba, which {estimator!r} does not "
                "have. Choose a loss with probabilities, or wrap it in "
                "sklearn.calibration.CalibratedClassifierCV."
            )
        if isinstance(n_bins, bool) or not isinstance(n_bins, int) or n_bins < 1:
            raise ValueError(
                f"n_bins must be an integer of at least 1, got {n_bins!r}."
            )
        return cls(**_of_classes(estimator, X, y, n_bins)).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        self : ConfidenceDisplay
        """
        ax = self._begin(ax, (5.2, 5.2))
        ax.plot([0, 1], [0, 1], "--", color=GREY, label="as predicted")
        low, high = wilson(self.observed, self.counts)
        ax.errorbar(
            self.predicted,
            self.observed,
            yerr=[self.observed - low, high - self.observed],
            fmt="o-",
            color=BLUE,
            capsize=3,
            label=f"observed (calibration error {self.error:.3f})",
        )
        kind = self.kind
        x, y = {
            "class": ("predicted probability", "share of the rows\nthat were so"),
            "confidence": (
                "probability of the predicted class",
                "share of the rows\nthat were right",
            ),
            "quantile": ("level of the quantile", "share of the targets below it"),
        }[kind]
        ax.set(ylabel=y, ylim=(-0.03, 1.03), xlim=(-0.03, 1.03))
        # Above the axes: points may lie anywhere inside.
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)
        below, self.histogram_ax_ = ax, None
        if self.edges is not None:
            (below,) = strips(ax, 1)
            self.histogram_ax_ = below
            centres, width = (self.edges[1:] + self.edges[:-1]) / 2, self.edges[1]
            full = np.zeros(len(centres))
            full[_bins(self.predicted, self.edges)] = self.counts
            below.bar(centres, full, 0.9 * width, color=BLUE)
            below.set_ylabel("rows")
        below.set_xlabel(x)
        return self


def _of_classes(estimator, X, y, n_bins):
    probability = estimator.predict_proba(X)
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:  # labels
        kind, chance, is_so = "class", probability.ravel(), y.ravel() > 0
    elif probability.shape[1] == 2:
        kind, chance = "class", probability[:, 1]
        is_so = column_or_1d(y) == estimator.classes_[1]
    else:
        kind, chance = "confidence", probability.max(axis=1)
        is_so = column_or_1d(y) == estimator.classes_[probability.argmax(axis=1)]
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bins = _bins(chance, edges)
    counts = np.bincount(bins, minlength=n_bins)
    used = counts > 0
    sums = (np.bincount(bins, values, n_bins)[used] for values in (chance, is_so))
    predicted, observed = (each / counts[used] for each in sums)
    return {
        "predicted": predicted,
        "observed": observed,
        "counts": counts[used],
        "kind": kind,
        "edges": edges,
    }


def _bins(values, edges):
    """Number of the bin that each of some probabilities is in."""
    return np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)


def _of_quantiles(estimator, X, y):
    levels, quantiles = _quantiles(estimator, X)
    y = column_or_1d(y)
    return {
        "predicted": np.asarray(levels, np.float64),
        "observed": np.mean(y[:, None] <= quantiles, axis=0),
        "counts": np.full(len(levels), len(y)),
        "kind": "quantile",
    }


def _quantiles(estimator, X):
    """Levels, and the quantiles that are predicted, (n, n_levels)."""
    name = ConfidenceDisplay.__name__
    if hasattr(estimator, "predict_quantiles"):
        return LEVELS, estimator.predict_quantiles(X, LEVELS)
    network, transform, _ = fitted_in(estimator, name)
    if hasattr(
        network, "predict_quantiles"
    ):  # in a Pipeline, which does not pass it on
        return LEVELS, network.predict_quantiles(transform(X), LEVELS)
    levels = network._description()["levels"]
    if levels:
        return levels, np.reshape(estimator.predict(X), (-1, len(levels)))
    if network.n_outputs_ == 1 and len(getattr(network, "members_", ())) > 1:
        mean, std = estimator.predict(X, return_std=True)
        return LEVELS, mean[:, None] + std[:, None] * ndtri(LEVELS)
    raise TypeError(
        f"{name} needs a regressor that says how sure it is of "
        "one target. Fit one with loss='quantile' and several levels, for example "
        "quantile=[0.05, 0.5, 0.95], or an ensemble with n_members=5."
    )


def wilson(share, counts):
    """Interval of 95 % of shares of some numbers of rows (Wilson 1927)."""
    centre = (share + Z**2 / (2 * counts)) / (1 + Z**2 / counts)
    spread = share * (1 - share) / counts + Z**2 / (4 * counts**2)
    half = Z * np.sqrt(spread) / (1 + Z**2 / counts)
    return np.minimum(centre - half, share), np.maximum(centre + half, share)
