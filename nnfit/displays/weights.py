"""The weights of the first layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nnfit.displays.display import Display
from nnfit.displays.gradient_flow import chosen
from nnfit.estimators.annotations import FloatArray
from nnfit.estimators.tracing import members_in
from nnfit.network.kinds import kind_of
from nnfit.network.outline import layers
from nnfit.network.passes import by_node

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

#: Units, and features, that a picture has room for.
MOST_IMAGES, MOST_UNITS, MOST_FEATURES = 20, 40, 30
#: Features from which on a square number of them without names is taken for an image.
SMALLEST_IMAGE = 16


class WeightsDisplay(Display):
    """First-layer weights: an image for each unit, or a heat map of features and units.

    Make one with `from_estimator`. Shown are the units, and the features, of the
    largest weights. Features that an embedding makes several numbers of have the norm
    of the weights of all of these.

    Parameters
    ----------
    weights : ndarray of shape (n_features, n_units)
    feature_names : sequence of str
    image_shape : tuple of int or None, default=None
        Of the image that the features are; None for a heat map.
    is_norm : bool, default=False
        Whether they are norms, and have no sign.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    """

    ax_: Axes
    figure_: Figure | SubFigure
    image_: AxesImage

    def __init__(
        self,
        *,
        weights: FloatArray,
        feature_names: Sequence[str],
        image_shape: tuple[int, int] | None = None,
        is_norm: bool = False,
    ) -> None:
        self.weights, self.feature_names = weights, feature_names
        self.image_shape, self.is_norm = image_shape, is_norm

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, int] | str | None = "auto",
        feature_names: Sequence[str] | None = None,
        member: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the weights of a fitted estimator.

        Parameters
        ----------
        estimator : estimator object
            A fitted network of nnfit, a Pipeline that ends with one, or a search.
        image_shape : tuple of int, "auto" or None, default="auto"
            Height and width of the image that the features are, row by row. "auto"
            takes a square number of at least 16 features without names for a square
            image. None for a heat map.
        feature_names : sequence of str, default=None
            None for those that the estimator has seen, or numbers.
        member : int, default=0
            Which member of an ensemble.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        display : WeightsDisplay

        Raises
        ------
        TypeError
            If the estimator is none of nnfit's.
        ValueError
            If shape, names or member do not fit the network.
        """
        network = chosen(members_in(estimator, cls.__name__), member)
        weights, is_norm = first_weights(network)
        given = feature_names
        if given is None:
            given = getattr(network, "feature_names_in_", None)
        shape = _image_shape(image_shape, len(weights), given is not None)
        display = cls(
            weights=weights,
            feature_names=_names(given, len(weights)),
            image_shape=shape,
            is_norm=is_norm,
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.

        Returns
        -------
        self : WeightsDisplay
        """
        ax = self._begin(ax, (6.4, 5.0))
        shown = self._images() if self.image_shape else self._heat_map()
        end = float(np.nanmax(np.abs(shown))) or 1.0
        colors: dict[str, Any] = {"cmap": "viridis", "vmin": 0.0, "vmax": end}
        if not self.is_norm:
            colors = {"cmap": "RdBu_r", "vmin": -end, "vmax": end}
        self.image_ = ax.imshow(
            shown,
            aspect="equal" if self.image_shape else "auto",
            interpolation="nearest",
            **colors,
        )
        label = "norm of the weights" if self.is_norm else "weight"
        self.figure_.colorbar(self.image_, ax=ax, label=label, shrink=0.8)
        return self

    def _images(self):
        """Images of units side by side, with one empty pixel between them."""
        ax, (height, width) = self.ax_, self.image_shape
        units = strongest(self.weights, 1, MOST_IMAGES)
        n_columns = math.ceil(math.sqrt(len(units) * height / width))
        n_rows = -(-len(units) // n_columns)
        shown = np.full(
            (n_rows * (height + 1) - 1, n_columns * (width + 1) - 1), np.nan
        )
        for place, unit in enumerate(units):
            row, column = divmod(place, n_columns)
            top, left = row * (height + 1), column * (width + 1)
            image = self.weights[:, unit].reshape(height, width)
            shown[top : top + height, left : left + width] = image
        ax.set_axis_off()
        ax.set_title(f"Weights of {self._of_units(len(units))}")
        return shown

    def _heat_map(self):
        ax = self.ax_
        features = np.sort(strongest(self.weights, 0, MOST_FEATURES))
        units = strongest(self.weights, 1, MOST_UNITS)
        ax.set_yticks(
            range(len(features)), [cut(self.feature_names[f]) for f in features]
        )
        if len(features) > 15:
            ax.tick_params(axis="y", labelsize="small")
        n = len(self.weights)
        if len(features) < n:
            ax.set_ylabel(f"the {len(features)} strongest of {n} features")
        ax.set_xticks([])
        ax.set_xlabel(f"{self._of_units(len(units))}, the strongest first")
        return self.weights[np.ix_(features, units)]

    def _of_units(self, n_shown):
        n = self.weights.shape[1]
        of_all = "all " if n_shown == n else f"{n_shown} of "
        return f"{of_all}{n} units of the first layer"


def _names(given, n_features):
    """Names of features, or numbers where none are given."""
    found = list(map(str, range(n_features) if given is None else given))
    if len(found) != n_features:
        raise ValueError(
            f"feature_names must have a name for each of the {n_features} features "
            f"of the network, got {len(found)}."
        )
    return found


def _image_shape(given, n_features, is_named):
    """Height and width of the image that the features are, None if they are none."""
    if isinstance(given, str) and given == "auto":
        side = math.isqrt(n_features)
        is_square = side * side == n_features >= SMALLEST_IMAGE
        return (side, side) if is_square and not is_named else None
    if given is not None and (isinstance(given, str) or math.prod(given) != n_features):
        raise ValueError(
            f"image_shape must be 'auto', None, or height and width of an image of the "
            f"network's {n_features} features, got {given!r}."
        )
    return given


def first_weights(network):
    """Weights of the first layer by features, and whether they are norms of several.

    Parameters
    ----------
    network : BaseMLP
        Fitted, not an ensemble.

    Returns
    -------
    weights : ndarray of shape (n_features, n_units)
    is_norm : bool
    """
    described, arrays = network._fitted_network()
    product = layers(described)[0].product
    matrix = by_node(described, arrays)[product][0].astype(np.float64)
    of_units = sources(described, described.nodes[product].inputs[0])
    n_features = described.n_features
    if np.array_equal(np.sort(of_units), np.arange(n_features)):
        return matrix[np.argsort(of_units)], False
    squares = np.zeros((n_features, matrix.shape[1]))
    np.add.at(squares, of_units, matrix**2)
    return np.sqrt(squares), True


def sources(network, value):
    """The feature that each unit of a value before the first layer is made of."""
    if value == 0:
        return np.arange(network.n_features)
    node = network.nodes[value - 1]
    return kind_of(node).sources(node, [sources(network, v) for v in node.inputs])


def strongest(weights, axis, most):
    """Numbers of the rows (0) or columns (1) of the largest norms, largest first."""
    norms = np.linalg.norm(weights, axis=1 - axis)
    return np.argsort(-norms, kind="stable")[:most]


def cut(name, most=24):
    """A name that fits beside a picture."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
