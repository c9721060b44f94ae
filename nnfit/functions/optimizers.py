r"""Elementwise optimizers: scalar code and registry.

``update(w, g, *slots, h)`` takes one parameter, its gradient (with the L2 term), its
optimizer state and the scalars ``h`` of this step; it returns the new parameter and
the new state. ``prepare(step, learning_rate, hyper)`` computes ``h``, eight floats,
once a step (``step`` counts from 1). It runs in float64 whatever the compute dtype:
``1 - beta_2`` alone would lose four digits in float32.

To add one, write both functions and add a row to :data:`OPTIMIZERS`. The rules for
scalar code are those of :mod:`nnfit.functions.activations`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nnfit.functions.maths import expm1, log, sqrt


@dataclass(frozen=True)
class Optimizer:
    """A row of the registry of optimizers.

    Parameters
    ----------
    name : str
        Internal name; the estimators' parameter ``solver`` for all but
        ``sgd_nesterov``.
    slots : int
        Number of state values per parameter, 0 to 2; they start at 0.
    update : callable
        ``update(w, g, h) -> w``, ``update(w, g, s, h) -> (w, s)`` or
        ``update(w, g, m, v, h) -> (w, m, v)``, by the number of slots.
    prepare : callable
        ``prepare(step, learning_rate, hyper) -> h``, a tuple of 8 floats.
    parameters : tuple of str
        Names of the estimator's parameters in ``hyper``, in order.
    formula : str
        Update in reStructuredText mathematics, for the documentation.
    reference : str
        Where the optimizer comes from.
    """

    name: str
    slots: int
    update: Callable
    prepare: Callable
    parameters: tuple[str, ...]
    formula: str
    reference: str


def prepare_sgd(step, learning_rate, hyper, memory):
    return learning_rate, hyper[0], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0


def sgd(w, g, s, h):
    s = h[1] * s - h[0] * g
    return w + s, s


def sgd_nesterov(w, g, s, h):
    s = h[1] * s - h[0] * g
    return w + (h[1] * s - h[0] * g), s


def prepare_adam(step, learning_rate, hyper, memory):
    beta_1 = hyper[0]
    beta_2 = hyper[1]
    # 1 - beta^step without cancellation for beta near 1; beta = 0 gives 1.
    correction_1 = -expm1(step * log(beta_1))
    correction_2 = -expm1(step * log(beta_2))
    rate = learning_rate * sqrt(correction_2) / correction_1
    return rate, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2, hyper[2], 0.0, 0.0


def adam(w, g, m, v, h):
    m = h[1] * m + h[2] * g
    v = h[3] * v + h[4] * (g * g)
    return w - h[0] * m / (sqrt(v) + h[5]), m, v


OPTIMIZERS: dict[str, Optimizer] = {
    row.name: row
    for row in (
        Optimizer(
            name="sgd",
            slots=1,
            update=sgd,
            prepare=prepare_sgd,
            parameters=("momentum",),
            formula=r"v \leftarrow \mu v - \eta g, \quad w \leftarrow w + v",
            reference='Polyak (1964), "Some methods of speeding up the convergence '
            'of iteration methods".',
        ),
        Optimizer(
            name="sgd_nesterov",
            slots=1,
            update=sgd_nesterov,
            prepare=prepare_sgd,
            parameters=("momentum",),
            formula=r"v \leftarrow \mu v - \eta g, \quad"
            r" w \leftarrow w + \mu v - \eta g",
            reference='Sutskever et al. (2013), "On the importance of '
            'initialization and momentum in deep learning", ICML.',
        ),
        Optimizer(
            name="adam",
            slots=2,
            update=adam,
            prepare=prepare_adam,
            parameters=("beta_1", "beta_2", "epsilon"),
            formula=r"m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad"
            r" v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad"
            r" w \leftarrow w - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}"
            r" \frac{m}{\sqrt{v} + \epsilon}",
            reference='Kingma and Ba (2014), "Adam: a method for stochastic '
            'optimization", arXiv:1412.6980, in the form of the end of its '
            "section 2, as in scikit-learn.",
        ),
        Optimizer(
            name="adamw",
            slots=2,
            update=adam,
            prepare=prepare_adam,
            parameters=("beta_1", "beta_2", "epsilon"),
            formula=r"W \leftarrow (1 - \eta \lambda) W"
            r" \text{ (weights only), then Adam}",
            reference='Loshchilov and Hutter (2017), "Decoupled weight decay '
            'regularization", arXiv:1711.05101.',
        ),
    )
}
