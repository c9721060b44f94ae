r"""Schedules: how rates change with the progress of training.

A schedule is a function of the progress in [0, 1], an array, and gives the factors of
a rate. The learning rate has one, and so have weight decay, momentum and dropout;
:class:`BatchFactors` holds the schedules of one fit and computes the factors of its
batches.

To add one, write the function and add a row to :data:`SCHEDULES`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnfit.numpy_errors import numpy_errors_of_caller


@dataclass(frozen=True)
class Schedule:
    """A row of the registry of schedules.

    Parameters
    ----------
    name : str
        Value of the estimators' parameter ``learning_rate`` and of the others.
    function : callable
        ``function(progress, *parameters) -> factors`` on ndarrays.
    parameters : tuple of str
        Names of the estimators' parameters that the function gets.
    formula : str
        Factor at the progress ``t`` in reStructuredText mathematics.
    reference : str
        Where the schedule comes from.
    """

    name: str
    function: Callable
    parameters: tuple[str, ...]
    formula: str
    reference: str


def constant(t):
    return np.ones_like(t)


def cosine(t):
    return 0.5 * (1.0 + np.cos(np.pi * t))


def cosine_restarts(t, cycles):
    # At its end, training is at the end of the last cycle, not at the begin of another.
    return cosine(cycles * t - np.minimum(_cycle(t, cycles), cycles - 1))


def one_cycle(t):
    first, last = 1.0 / 25.0, 1.0 / 25e4
    rising = 1.0 - (1.0 - first) * cosine(t / 0.3)
    falling = last + (1.0 - last) * cosine((t - 0.3) / 0.7)
    return np.where(t < 0.3, rising, falling)


def step(t, decay, cycles):
    return decay ** _cycle(t, cycles)


def _cycle(t, cycles):
    # Rounding may leave the progress of a batch just below the cycle's begin.
    return np.floor(cycles * t + 1e-9)


def exponential(t, decay):
    return decay**t


def coslog4(t):
    return 0.5 * (1.0 - np.cos(2.0 * np.pi * np.log2(1.0 + 15.0 * t)))


def flat_cosine(t):
    return np.where(t < 0.5, 1.0, cosine(2.0 * t - 1.0))


REALMLP = (
    'Holzmüller et al. (2024), "Better by default: strong pre-tuned MLPs and boosted '
    'trees on tabular data", NeurIPS, arXiv:2407.04491'
)
SCHEDULES: dict[str, Schedule] = {
    row.name: row
    for row in (
        Schedule(
            name="constant",
            function=constant,
            parameters=(),
            formula="1",
            reference="The rate itself.",
        ),
        Schedule(
            name="cosine",
            function=cosine,
            parameters=(),
            formula=r"\tfrac{1}{2} (1 + \cos \pi t)",
            reference='Loshchilov and Hutter (2017), "SGDR: stochastic gradient '
            'descent with warm restarts", ICLR, arXiv:1608.03983; one cycle of it.',
        ),
        Schedule(
            name="cosine_restarts",
            function=cosine_restarts,
            parameters=("learning_rate_cycles",),
            formula=r"\tfrac{1}{2} (1 + \cos \pi (c t - \lfloor c t \rfloor))",
            reference='Loshchilov and Hutter (2017), "SGDR: stochastic gradient '
            'descent with warm restarts", ICLR, arXiv:1608.03983; c cycles of equal '
            "length.",
        ),
        Schedule(
            name="one_cycle",
            function=one_cycle,
            parameters=(),
            formula=r"1 - \tfrac{24}{50} (1 + \cos \tfrac{\pi t}{0.3})"
            r" \text{ for } t < 0.3, \quad"
            r" \epsilon + \tfrac{1 - \epsilon}{2}"
            r" (1 + \cos \tfrac{\pi (t - 0.3)}{0.7})"
            r" \text{ from there on}, \quad \epsilon = \tfrac{1}{25} 10^{-4}",
            reference='Smith and Topin (2018), "Super-convergence: very fast training '
            'of neural networks using large learning rates", arXiv:1708.07120.',
        ),
        Schedule(
            name="step",
            function=step,
            parameters=("learning_rate_decay", "learning_rate_cycles"),
            formula=r"d^{\lfloor c t \rfloor}",
            reference='He et al. (2016), "Deep residual learning for image '
            'recognition", CVPR, arXiv:1512.03385, section 4.2.',
        ),
        Schedule(
            name="exponential",
            function=exponential,
            parameters=("learning_rate_decay",),
            formula="d^t",
            reference='Senior et al. (2013), "An empirical study of learning rates in '
            'deep neural networks for speech recognition", ICASSP.',
        ),
        Schedule(
            name="coslog4",
            function=coslog4,
            parameters=(),
            formula=r"\tfrac{1}{2} (1 - \cos(2 \pi \log_2(1 + 15 t)))",
            reference=f"{REALMLP}: four cycles, each twice as long as the one before.",
        ),
        Schedule(
            name="flat_cosine",
            function=flat_cosine,
            parameters=(),
            formula=r"1 \text{ for } t < \tfrac{1}{2}, \quad"
            r" \tfrac{1}{2} (1 + \cos \pi (2 t - 1)) \text{ from there on}",
            reference=f"{REALMLP}.",
        ),
    )
}
#: Learning rates that the engine changes after an epoch; their batch factors are 1.
BY_EPOCH = ("invscaling", "adaptive", "plateau")


@dataclass(frozen=True)
class BatchFactors:
    """Factors of the rates of every batch of a fit.

    Parameters
    ----------
    n_batches : int
        Batches of a whole training, ``max_iter`` times those of an epoch. Each batch
        adds ``1 / n_batches`` to the progress, up to 1.
    learning_rate, warmup, learning_rate_decay, learning_rate_cycles, \
    weight_decay_schedule, momentum_schedule, dropout_schedule, ema_decay, swa
        The estimators' parameters.
    begin : float, default=0.0
        Progress at which this fit begins, see `progress_after`.
    averaged : int, default=0
        Steps of the average of the weights before this fit, see `averaged_after`.
    """

    n_batches: int
    learning_rate: str | Callable = "constant"
    warmup: float = 0.0
    learning_rate_decay: float = 0.1
    learning_rate_cycles: int = 3
    weight_decay_schedule: str | Callable | None = None
    momentum_schedule: str | Callable | None = None
    dropout_schedule: str | Callable | None = None
    ema_decay: float | None = None
    swa: float | None = None
    begin: float = 0.0
    averaged: int = 0

    @property
    def averages(self):
        """Whether the weights are averaged."""
        return self.ema_decay is not None or self.swa is not None

    @property
    def is_constant(self):
        """Whether all factors are 1 and nothing is averaged."""
        schedules = (
            self.learning_rate,
            self.weight_decay_schedule,
            self.momentum_schedule,
            self.dropout_schedule,
        )
        changes = any(_changes(schedule) for schedule in schedules)
        return not (changes or self.warmup > 0.0 or self.averages)

    def __call__(self, first_batch, count):
        """Compute the factors of `count` batches.

        Parameters
        ----------
        first_batch : int
            Number of the first one; 0 is the first of this fit.
        count : int

        Returns
        -------
        factors : ndarray of float64, shape (count, 5)
            Of the learning rate, of weight decay, of momentum and of dropout; then
            the rate ``r`` of the average, ``average += r * (weights - average)``.

        Raises
        ------
        ValueError
            If a function of the user's returns no number, one that is not finite or
            is negative, or more than 1 for momentum or dropout.
        """
        batches = np.arange(first_batch, first_batch + count)
        progress = self._progress(batches)
        factors = np.ones((count, 5))
        factors[:, 0] = self._learning_rate(progress)
        for column, name, largest in (
            (1, "weight_decay_schedule", math.inf),
            (2, "momentum_schedule", 1.0),
            (3, "dropout_schedule", 1.0),
        ):
            if getattr(self, name) is not None:
                factors[:, column] = self._factors(name, progress, largest)
        if self.averages:
            factors[:, 4] = self._average_rates(batches)
        return factors

    def progress_after(self, batches):
        """Progress after so many batches of this fit."""
        return min(1.0, self.begin + batches / self.n_batches)

    def averaged_after(self, batches):
        """Steps of the average after so many batches of this fit."""
        if self.ema_decay is not None:
            return self.averaged + batches
        if self.swa is None:
            return 0
        return self._swa_before() + max(0, batches - self._swa_begin())

    def _progress(self, batches):
        return np.minimum(1.0, self.begin + batches / self.n_batches)

    def _learning_rate(self, progress):
        if self.warmup == 0.0:
            return self._factors("learning_rate", progress)
        after = np.maximum(0.0, (progress - self.warmup) / (1.0 - self.warmup))
        return np.where(
            progress < self.warmup,
            progress / self.warmup,
            self._factors("learning_rate", after),
        )

    def _factors(self, name, progress, largest=math.inf):
        schedule = getattr(self, name)
        if callable(schedule):
            return _call(name, schedule, progress, largest)
        if not _changes(schedule):
            return 1.0
        row = SCHEDULES[schedule]
        parameters = (getattr(self, parameter) for parameter in row.parameters)
        return row.function(progress, *parameters)

    # Averages of the weights ---------------------------------------------------

    def _average_rates(self, batches):
        if self.ema_decay is not None:
            # With (1 - d) / (1 - d^t) the factors of the first t weights add up to 1.
            steps = self.averaged + batches + 1.0
            log_decay = math.log(self.ema_decay)
            return math.expm1(log_decay) / np.expm1(steps * log_decay)
        steps = self._swa_before() + np.maximum(0, batches - self._swa_begin())
        return np.where(batches < self._swa_begin(), 1.0, 1.0 / (steps + 1.0))

    def _swa_begin(self):
        """Number of the first batch whose progress lies in the last part."""
        batch = math.ceil((1.0 - self.swa - self.begin) * self.n_batches)
        batch = max(0, batch - 1)  # what rounding may have added
        while self.progress_after(batch) < 1.0 - self.swa:
            batch += 1
        return batch

    def _swa_before(self):
        """Steps of the average before this fit; 0 if it begins in this fit."""
        return self.averaged if self._swa_begin() == 0 else 0


def _changes(schedule):
    return schedule not in (None, "constant", *BY_EPOCH)


def _call(name, function, progress, largest):
    """Compute factors with a function of the user's, called for each progress."""
    with numpy_errors_of_caller():
        values = [function(t) for t in progress.tolist()]
    try:
        factors = np.array(values)
    except ValueError:  # of different lengths
        factors = np.array(None)
    if _are_factors(factors, progress.shape, largest):
        return factors
    value, t = next(
        pair
        for pair in zip(values, progress.tolist(), strict=True)
        if not _are_factors(np.asarray(pair[0]), (), largest)
    )
    wanted = ">= 0" if math.isinf(largest) else f"in [0, {largest:g}]"
    raise ValueError(
        f"{name} must return a finite number {wanted} for each progress in [0, 1]: "
        f"{function!r} returned {value!r} at {t:g}."
    )


def _are_factors(values, shape, largest):
    """Whether values are so many numbers, finite, not negative and not too large."""
    return (
        values.shape == shape
        and values.dtype.kind in "fiub"
        and ((values >= 0.0) & (values <= largest) & (values < math.inf)).all()
    )
