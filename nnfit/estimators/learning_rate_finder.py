"""The learning-rate range test: which rates a network learns with."""

from __future__ import annotations

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import Interval, validate_params

from nnfit.estimators.annotations import FloatArray, Rows, typed
from nnfit.estimators.mlp import BaseMLP
from nnfit.training.schedules import BatchFactors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

#: What a clone is trained without: the test is of the steps alone.
OFF = {
    "early_stopping": False,
    "warm_start": False,
    "verbose": False,
    "n_members": 1,
    "temperature_scaling": False,
    "select_members": False,
}


class LearningRateDisplay:
    """Losses of a range test by learning rate, see :func:`find_learning_rate`.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_steps,)
        Rate of every step until the loss exploded.
    losses : ndarray of shape (n_steps,)
        Loss of the step's batch before it.
    smoothed_losses : ndarray of shape (n_steps,)
        Means of the losses of the steps around each one.
    suggestion : float
        Rate at which the smoothed loss falls fastest, per factor of the rate.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where `plot` has drawn.
    figure_ : matplotlib Figure
        The figure around it.
    line_ : matplotlib Artist
        The smoothed losses.
    """

    ax_: Axes
    figure_: Figure | SubFigure
    line_: Line2D

    def __init__(
        self,
        *,
        learning_rates: FloatArray,
        losses: FloatArray,
        smoothed_losses: FloatArray,
        suggestion: float,
    ) -> None:
        self.learning_rates = learning_rates
        self.losses = losses
        self.smoothed_losses = smoothed_losses
        self.suggestion = suggestion

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the losses by learning rate, and the suggestion.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Passed to matplotlib's ``plot`` for the smoothed losses.

        Returns
        -------
        self : LearningRateDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        (self.line_,) = ax.plot(self.learning_rates, self.smoothed_losses, **kwargs)
        color = self.line_.get_color()
        ax.plot(self.learning_rates, self.losses, ".", color=color, alpha=0.3)
        if np.isfinite(self.suggestion):
            ax.axvline(
                self.suggestion,
                linestyle="--",
                color=color,
                label=f"suggestion: {self.suggestion:.2g}",
            )
            ax.legend()
        # The explosion at the end would leave nothing to see of the rest.
        until_lowest = self.losses[: np.argmin(self.smoothed_losses) + 1]
        low, high = self.smoothed_losses.min(), until_lowest.max()
        margin = 0.1 * (high - low) or 0.1
        ax.set(
            xscale="log",
            ylim=(min(low, until_lowest.min()) - margin, high + 3.0 * margin),
            xlabel="Learning rate",
            ylabel="Loss of the batch",
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self


@typed(
    validate_params(
        {
            "min_rate": [Interval(Real, 0, None, closed="neither")],
            "max_rate": [Interval(Real, 0, None, closed="neither")],
            "n_steps": [Interval(Integral, 2, None, closed="left")],
            "smoothing": [Interval(Real, 0, 1, closed="left")],
        },
        # The estimator's parameters are the user's.
        prefer_skip_nested_validation=False,
    )
)
def find_learning_rate(
    estimator: BaseMLP | Pipeline,
    X: Rows,
    y: Rows,
    *,
    sample_weight: npt.ArrayLike | None = None,
    min_rate: float = 1e-7,
    max_rate: float = 10.0,
    n_steps: int = 100,
    smoothing: float = 0.8,
) -> LearningRateDisplay:
    """Learning-rate range test: train with a growing rate and watch the loss.

    A clone of the estimator makes `n_steps` steps from its initial weights, each with a
    rate larger than the one before by the same factor. The loss stays where it is as
    long as the rate is too small, falls while it is right, and explodes when it is too
    large, which ends the test. Everything but the learning rate is as in `fit`.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        Not fitted and not changed. Of a pipeline that ends with one of the two, the
        steps before are fitted and transform `X`.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the loss.
    min_rate, max_rate : float, default=1e-7, 10.0
        First and last rate.
    n_steps : int, default=100
        Steps from the one to the other.
    smoothing : float, default=0.8
        In [0, 1): a loss counts by ``smoothing ** distance`` in the mean that is the
        smoothed loss of a step some steps away.

    Returns
    -------
    display : LearningRateDisplay
        With the attributes `learning_rates`, `losses`, `smoothed_losses` and
        `suggestion`, and the method `plot`.

    Raises
    ------
    TypeError
        If the estimator is none of nnfit's.
    ValueError
        If data or parameters are invalid, the solver is 'lbfgs', or the first loss
        is not finite.

    Warns
    -----
    UserWarning
        If the loss did not fall at any rate; the suggestion then is NaN.

    References
    ----------
    Smith (2017), "Cyclical learning rates for training neural networks", WACV,
    arXiv:1506.01186, section 3.3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from nnfit import MLPClassifier, find_learning_rate
    >>> X, y = load_digits(return_X_y=True)
    >>> display = find_learning_rate(MLPClassifier(random_state=0), X / 16.0, y)
    >>> bool(1e-4 < display.suggestion < 1.0)
    True
    """
    if min_rate >= max_rate:
        raise ValueError(
            f"min_rate must be less than max_rate, got min_rate={min_rate!r} and "
            f"max_rate={max_rate!r}."
        )
    network = estimator
    if isinstance(estimator, Pipeline):
        network = estimator[-1]
    if not isinstance(network, BaseMLP):
        raise TypeError(
            "find_learning_rate needs an MLPClassifier or MLPRegressor of nnfit, or a "
            f"Pipeline that ends with one, got {estimator!r}."
        )
    if network.solver == "lbfgs":
        raise ValueError(
            "solver='lbfgs' has no learning rate to look for. Choose another solver."
        )
    if network is not estimator and len(estimator) > 1:
        X = clone(estimator[:-1]).fit_transform(X, y)
    model = clone(network).set_callbacks()  # there are no epochs to look at
    model.set_params(**{k: v for k, v in OFF.items() if k in model.get_params()})
    test = _RangeTest(float(min_rate), float(max_rate), int(n_steps), float(smoothing))
    model._run = test.run  # in the place of the training
    model.fit(X, y, sample_weight)
    return test.display()


class _RangeTest:
    """The test of one network, in the place of its training."""

    def __init__(self, min_rate, max_rate, n_steps, smoothing):
        self.min_rate, self.n_steps = min_rate, n_steps
        self.factor = (max_rate / min_rate) ** (1.0 / (n_steps - 1))
        self.smoothing = smoothing
        self.losses = []

    def run(self, engine, settings, *others):
        """Train with a growing rate until its end, or until the loss explodes."""
        last = self.n_steps - 1
        batch_factors = BatchFactors(
            self.n_steps,
            learning_rate=lambda t: self.factor ** min(t * self.n_steps, last),
        )
        engine.configure(
            replace(
                settings.engine,
                schedule="constant",
                learning_rate_init=self.min_rate,
                monitor_loss=False,
                average=False,
                batch_factors=batch_factors,
            )
        )
        engine.keep_batch_losses = True
        # No batch makes more than an epoch.
        last_epoch = engine.progress.epoch + self.n_steps
        while len(self.losses) < self.n_steps and not engine.progress.stopped:
            losses = engine.train(last_epoch)["batch_loss"] * settings.unit
            self.losses.extend(losses.tolist())
            if self._explosion() is not None:
                break

    def _explosion(self):
        """Number of the first step whose loss is far above the lowest, or None."""
        total = weight = 0.0
        first, lowest = None, np.inf
        for step, loss in enumerate(self.losses):
            if np.isnan(loss):
                continue
            total = total * self.smoothing + loss
            weight = weight * self.smoothing + 1.0
            mean = total / weight
            first = mean if first is None else first
            lowest = min(lowest, mean)
            if mean > max(lowest + 3.0 * abs(lowest), first):
                return step
        return None

    def display(self):
        """Show what came out."""
        end = self._explosion()
        end = self.n_steps if end is None else end + 1
        losses = np.array(self.losses[:end])
        rates = self.min_rate * self.factor ** np.arange(len(losses))
        seen = np.isfinite(losses)  # not those of batches without weight
        losses, rates = losses[seen], rates[seen]
        if len(losses) < 2:
            raise ValueError(
                "The loss is not finite at the smallest learning rate. Scale X, for "
                "example with sklearn.preprocessing.StandardScaler, or lower min_rate."
            )
        smoothed = _smooth(losses, self.smoothing)
        return LearningRateDisplay(
            learning_rates=rates,
            losses=losses,
            smoothed_losses=smoothed,
            suggestion=_steepest(rates, smoothed),
        )


def _smooth(losses, smoothing):
    """Means around every loss with weights that fall by a factor a step."""

    def sums(values):
        total, weight, result = 0.0, 0.0, []
        for value in values:
            total, weight = total * smoothing + value, weight * smoothing + 1.0
            result.append((total, weight))
        return np.array(result)

    # Both sides count the loss itself.
    both = sums(losses) + sums(losses[::-1])[::-1]
    return (both[:, 0] - losses) / (both[:, 1] - 1.0)


def _steepest(rates, smoothed):
    """Rate of the steepest slope of the descent to the lowest loss."""
    slopes = np.gradient(smoothed, np.log(rates))
    lowest = int(np.argmin(smoothed))
    # Before it, losses differ by their batches, steeply where those are small. It
    # begins where they are a tenth below what they were at first for the last time.
    start = smoothed[: max(1, len(smoothed) // 4)].mean()
    level = start - 0.1 * (start - smoothed[lowest])
    above = np.flatnonzero(smoothed[: lowest + 1] >= level)
    begin = int(above[-1]) if len(above) else 0
    steepest = begin + int(np.argmin(slopes[begin : lowest + 1]))
    if start - smoothed[lowest] > 1e-9 * abs(start):  # more than rounding
        return float(rates[steepest])
    warnings.warn(
        "The loss did not fall at any learning rate, so that there is none to suggest. "
        "Try other values of min_rate, max_rate and n_steps."
    )
    return float("nan")
