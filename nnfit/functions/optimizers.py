r"""Elementwise optimizers: scalar code and registry.

``update(w, g, *slots, h)`` takes one parameter, its gradient (with the L2 term), its
optimizer state and the scalars ``h`` of this step; it returns the new parameter and
the new state. ``prepare(step, learning_rate, hyper, memory)`` computes ``h``, eight
floats, once a step (``step`` counts from 1). It runs in float64 whatever the compute
dtype: ``1 - beta_2`` alone would lose four digits in float32.

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
        Number of state values per parameter, 0 to 2.
    update : callable
        ``update(w, g, h) -> w``, ``update(w, g, s, h) -> (w, s)`` or
        ``update(w, g, m, v, h) -> (w, m, v)``, by the number of slots.
    prepare : callable
        ``prepare(step, learning_rate, hyper, memory) -> h``, a tuple of 8 floats.
        ``memory``, 4 floats that start at 0, carries what it writes there to the
        next step. It may be called several times for a step, and layers with a
        learning rate of their own have a memory of their own.
    parameters : tuple of str
        Names of the estimator's parameters in ``hyper``, in order.
    formula : str
        Update in reStructuredText mathematics, for the documentation.
    reference : str
        Where the optimizer comes from.
    start : tuple of bool, default=(False, False)
        Whether each state value starts at the parameter instead of 0.
    momentum : str or None, default=None
        The parameter that ``momentum_schedule`` multiplies.
    decoupled : bool, default=False
        Whether ``weight_decay`` acts: weights, not biases, are multiplied by
        ``1 - learning_rate * weight_decay`` before the update.
    decays : bool, default=False
        Whether the update does that itself, its own way. It gets the weight as it is,
        and ``learning_rate * weight_decay`` as ``h[7]``.
    average : callable or None, default=None
        ``average(w, *slots, hyper) -> w``: the parameter that is evaluated, where it is
        not the one in training.
    matrices : bool, default=False
        Whether the weights between two hidden layers are updated as whole matrices,
        see :mod:`nnfit.cpu.kernels`; ``update`` is that of the rest.
    positive : tuple of str, default=()
        Names of ``parameters`` that may not be 0 as they may in other solvers.
    """

    name: str
    slots: int
    update: Callable
    prepare: Callable
    parameters: tuple[str, ...]
    formula: str
    reference: str
    start: tuple[bool, ...] = (False, False)
    momentum: str | None = None
    decoupled: bool = False
    decays: bool = False
    average: Callable | None = None
    matrices: bool = False
    positive: tuple[str, ...] = ()


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


def prepare_nadam(step, learning_rate, hyper, memory):
    beta_1 = hyper[0]
    beta_2 = hyper[1]
    of_next_m = -learning_rate * beta_1 / expm1((step + 1.0) * log(beta_1))
    of_g = -learning_rate * (1.0 - beta_1) / expm1(step * log(beta_1))
    of_root = 1.0 / sqrt(-expm1(step * log(beta_2)))
    return (
        of_next_m,
        of_g,
        beta_1,
        1.0 - beta_1,
        beta_2,
        1.0 - beta_2,
        of_root,
        hyper[2],
    )


def nadam(w, g, m, v, h):
    m = h[2] * m + h[3] * g
    v = h[4] * v + h[5] * (g * g)
    return w - (h[0] * m + h[1] * g) / (h[6] * sqrt(v) + h[7]), m, v


def prepare_rmsprop(step, learning_rate, hyper, memory):
    return learning_rate, hyper[0], 1.0 - hyper[0], hyper[1], 0.0, 0.0, 0.0, 0.0


def rmsprop(w, g, v, h):
    v = h[1] * v + h[2] * (g * g)
    return w - h[0] * g / (sqrt(v) + h[3]), v


def prepare_lion(step, learning_rate, hyper, memory):
    beta_1 = hyper[0]
    beta_2 = hyper[1]
    return learning_rate, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2, 0.0, 0.0, 0.0


def lion(w, g, m, h):
    c = h[1] * m + h[2] * g
    # Neither positive nor negative: 0, or the NaN that must be seen.
    sign = 1.0 if c > 0.0 else (-1.0 if c < 0.0 else c)
    return w - h[0] * sign, h[3] * m + h[4] * g


def prepare_schedule_free(step, learning_rate, hyper, memory):
    beta_1 = hyper[0]
    beta_2 = hyper[1]
    # Of the steps before this one, which may be prepared several times: the largest
    # rate, and the sum of the squares of what was the largest at each step.
    if step > memory[3]:
        memory[0] = memory[2]
        memory[1] += memory[2] * memory[2]
    largest = learning_rate if learning_rate > memory[0] else memory[0]
    memory[2] = largest
    memory[3] = step
    weight = largest * largest
    # All rates were 0 if this one is: nothing has moved.
    share = weight / (memory[1] + weight) if weight > 0.0 else 0.0
    of_step = 1.0 - beta_1 * (1.0 - share)
    of_root = 1.0 / sqrt(-expm1(step * log(beta_2)))
    return learning_rate, share, of_step, beta_2, 1.0 - beta_2, of_root, hyper[2], 0.0


def schedule_free(y, g, z, v, h):
    v = h[3] * v + h[4] * (g * g)
    step = h[0] * g / (h[5] * sqrt(v) + h[6]) + h[7] * y
    # What the three sequences of the paper come to without x.
    return y + h[1] * (z - y) - h[2] * step, z - step, v


def schedule_free_average(y, z, v, hyper):
    return (y - (1.0 - hyper[0]) * z) / hyper[0]


def prepare_gradient_sum(step, learning_rate, hyper, memory):
    return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0


def gradient_sum(w, g, s, h):
    return w, s + g


#: No optimizer: it leaves the parameters and adds up their gradient, for L-BFGS.
GRADIENT_SUM = Optimizer(
    name="gradient_sum",
    slots=1,
    update=gradient_sum,
    prepare=prepare_gradient_sum,
    parameters=(),
    formula="",
    reference="",
)

OPTIMIZERS: dict[str, Optimizer] = {
    row.name: row
    for row in (
        Optimizer(
            name="sgd",
            slots=1,
            momentum="momentum",
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
            momentum="momentum",
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
            momentum="beta_1",
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
            momentum="beta_1",
            decoupled=True,
            update=adam,
            prepare=prepare_adam,
            parameters=("beta_1", "beta_2", "epsilon"),
            formula=r"W \leftarrow (1 - \eta \lambda) W"
            r" \text{ (weights only), then Adam}",
            reference='Loshchilov and Hutter (2017), "Decoupled weight decay '
            'regularization", arXiv:1711.05101.',
        ),
        Optimizer(
            name="nadam",
            slots=2,
            momentum="beta_1",
            update=nadam,
            prepare=prepare_nadam,
            parameters=("beta_1", "beta_2", "epsilon"),
            formula=r"m, v \text{ as Adam's}, \quad"
            r" w \leftarrow w - \eta \frac{\beta_1 m / (1 - \beta_1^{t+1})"
            r" + (1 - \beta_1) g / (1 - \beta_1^t)}"
            r"{\sqrt{v / (1 - \beta_2^t)} + \epsilon}",
            reference='Dozat (2016), "Incorporating Nesterov momentum into Adam", ICLR '
            "workshop; beta_1 is the same at every step.",
        ),
        Optimizer(
            name="rmsprop",
            slots=1,
            update=rmsprop,
            prepare=prepare_rmsprop,
            parameters=("rho", "epsilon"),
            formula=r"v \leftarrow \rho v + (1 - \rho) g^2, \quad"
            r" w \leftarrow w - \eta \frac{g}{\sqrt{v} + \epsilon}",
            reference='Tieleman and Hinton (2012), "Lecture 6.5: RMSprop: divide the '
            'gradient by a running average of its recent magnitude", Coursera.',
        ),
        Optimizer(
            name="lion",
            slots=1,
            momentum="beta_1",
            decoupled=True,
            update=lion,
            prepare=prepare_lion,
            parameters=("beta_1", "beta_2"),
            formula=r"W \leftarrow (1 - \eta \lambda) W"
            r" \text{ (weights only)}, \quad"
            r" w \leftarrow w - \eta \operatorname{sign}"
            r"(\beta_1 m + (1 - \beta_1) g), \quad"
            r" m \leftarrow \beta_2 m + (1 - \beta_2) g",
            reference='Chen et al. (2023), "Symbolic discovery of optimization '
            'algorithms", NeurIPS, arXiv:2302.06675.',
        ),
        Optimizer(
            name="schedule_free",
            slots=2,
            start=(True, False),
            decoupled=True,
            decays=True,
            average=schedule_free_average,
            positive=("beta_1",),  # the share of the averaged weights in those trained
            update=schedule_free,
            prepare=prepare_schedule_free,
            parameters=("beta_1", "beta_2", "epsilon"),
            formula=r"y = (1 - \beta_1) z + \beta_1 x, \quad"
            r" v \leftarrow \beta_2 v + (1 - \beta_2) g(y)^2, \quad"
            r" z \leftarrow z - \eta \left("
            r" \frac{g(y)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}"
            r" + \lambda y \right), \quad x \leftarrow (1 - c) x + c z, \quad"
            r" c = \frac{\eta_\text{max}^2}{\sum \eta_\text{max}^2},"
            r" \text{ the largest } \eta \text{ so far}",
            reference='Defazio et al. (2024), "The road less scheduled", NeurIPS, '
            "arXiv:2405.15682. Trains y, evaluates and predicts with x.",
        ),
        Optimizer(
            name="muon",
            slots=2,
            momentum="momentum",
            decoupled=True,
            matrices=True,
            update=adam,
            prepare=prepare_adam,
            parameters=("beta_1", "beta_2", "epsilon", "momentum"),
            formula=r"M \leftarrow \mu M + (1 - \mu) G, \quad"
            r" X = \operatorname{orth}((1 - \mu) G + \mu M), \quad"
            r" W \leftarrow (1 - \eta \lambda) W"
            r" - 0.2 \sqrt{\max(n_\text{in}, n_\text{out})} \, \eta X"
            r" \text{ between hidden layers, AdamW for the rest}",
            reference='Jordan et al. (2024), "Muon: an optimizer for hidden layers in '
            'neural networks", https://kellerjordan.github.io/posts/muon, whose five '
            'steps of Newton and Schulz are orth; Liu et al. (2025), "Muon is scalable '
            'for LLM training", arXiv:2502.16982, for the factor, with which one rate '
            "serves all weights.",
        ),
    )
}
