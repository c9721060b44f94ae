r"""Loss functions: scalar code and registry.

A loss works on one row: ``loss(raw, y, grad, n, params) -> value`` takes the ``n``
raw predictions of the last layer (before the inverse link), writes the derivative
of its value with respect to ``raw[j]`` to ``grad[j]`` and returns the value, summed
over the outputs. ``raw``, ``y``, ``grad`` and ``params`` are only indexed (arrays
in Python, pointers when compiled) and ``grad`` may not overlap the others. Sample
weights and the mean over rows are the caller's business.

Link and loss go together, so values and gradients come from the raw prediction
(log-sum-exp, softplus) and never from a clipped probability.

To add one, write the function and add a row to :data:`LOSSES`; what the estimators
offer, check and refuse follows from the row. The rules for scalar code are those of
:mod:`nnfit.functions.activations`. At a kink the gradient is 0.
An infinite raw prediction may give a NaN: training has diverged by then, and both
are reported as that.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nnfit.functions.links import PROBABILITY_LINKS
from nnfit.functions.maths import exp, log, sigmoid, softplus
from nnfit.functions.reconstruction import reconstruction

#: Kinds of classification target, as scikit-learn's ``type_of_target`` names them: one
#: output (also for a single class), one output per class, one output per label.
BINARY, MULTICLASS, MULTILABEL = "binary", "multiclass", "multilabel-indicator"


@dataclass(frozen=True)
class Loss:
    """A row of the registry of losses.

    Parameters
    ----------
    name : str
        Value of the estimators' parameter ``loss``, unless ``selected_by`` is one.
    function : callable
        ``function(raw, y, grad, n, params) -> value``, see the module.
    task : {"classification", "regression", "reconstruction"}
        Kind of estimator that offers the loss. The last one has no parameter ``loss``.
    link : str
        Key of `nnfit.functions.links.LINKS`: how raw predictions become predictions. In
        classification one of its `PROBABILITY_LINKS`, or "identity" for a loss whose
        raw predictions are scores and no probabilities: the largest, or for one output
        its sign, is the class.
    formula : str
        Value in reStructuredText mathematics, for the documentation.
    reference : str
        Where the loss comes from.
    parameters : tuple of str
        Names of the estimator's parameters whose values are ``params``, in order.
    y_min : float
        Smallest valid target.
    y_min_inclusive : bool
        Whether ``y_min`` itself is valid.
    average_outputs : bool
        True where scikit-learn reports the mean over outputs instead of the sum;
        the gradient is that of the sum in any case.
    selected_by : str or None
        Value of ``loss`` that stands for several rows, one for each kind of target.
    kinds : tuple of str
        Of a classification loss, the kinds of target that it is for.
    power : int
        For a loss that depends on the differences of raw predictions and targets alone:
        if all of them are multiplied by c, the loss is multiplied by ``c ** power`` and
        its slopes, which its parameters are, by one power less. 0 for other losses.
    takes_index : bool
        Of a classification loss: whether ``y[0]`` is the number of the class, in
        place of a 0 or 1 for each output.
    of_rows : callable or None
        The function for several rows at once, where a row by itself is slow:
        ``of_rows(z, y, values, work, rows, n, params)``. Raw prediction j of row r is
        ``z[j * rows + r]``, where its derivative takes its place; `work` are three
        numbers a row for its own use.
    """

    name: str
    function: Callable
    task: str
    link: str
    formula: str
    reference: str
    parameters: tuple[str, ...] = ()
    y_min: float = -float("inf")
    y_min_inclusive: bool = True
    average_outputs: bool = False
    selected_by: str | None = None
    kinds: tuple[str, ...] = (BINARY, MULTICLASS, MULTILABEL)
    takes_index: bool = False
    power: int = 0
    of_rows: Callable | None = None

    @property
    def option(self):
        """Value of the estimators' parameter ``loss``."""
        return self.selected_by or self.name

    @property
    def has_probabilities(self):
        """Whether predictions are probabilities."""
        return self.link in PROBABILITY_LINKS


def log_loss(raw, y, grad, n, params):
    # -y log p - (1 - y) log(1 - p), p = sigmoid(z), is log(1 + e^-|z|) plus |z| times
    # the share of y on the wrong side, so a confident right answer costs
    # e^-|z| and not a cancelled 0.
    smoothing = params[0]
    total = 0.0
    for j in range(n):
        z = raw[j]
        target = y[j] + smoothing * (0.5 - y[j])
        wrong = 1.0 - target if z > 0.0 else target
        grad[j] = sigmoid(z) - target
        total += softplus(-abs(z)) + abs(z) * wrong
    return total


def softmax(raw, y, grad, n, params):
    # y[0] is the class index. Everything is relative to the largest raw prediction,
    # so the exponentials lie in [0, 1] and their sum in [1, n].
    smoothing = params[0]
    target = int(y[0])
    largest = raw[0]
    for j in range(1, n):
        largest = raw[j] if raw[j] > largest else largest
    for j in range(n):
        grad[j] = exp(raw[j] - largest)
    total = 0.0
    shifted = 0.0
    count = 0.0  # n as a float of the compute dtype; float(n) would be a float64
    for j in range(n):
        total += grad[j]
        shifted += raw[j] - largest
        count += 1.0
    uniform = smoothing / count
    scale = 1.0 / total
    for j in range(n):
        grad[j] = grad[j] * scale - uniform
    grad[target] -= 1.0 - smoothing
    value = log(total) - (1.0 - smoothing) * (raw[target] - largest)
    # The sum of differences is finite unless a raw prediction is not.
    return value - uniform * shifted


def softmax_of_rows(z, y, values, work, rows, n, params):
    # `softmax` of several rows: the steps of a row wait for one another, those of rows
    # do not.
    smoothing = params[0]
    largest, total, right = 0, rows, 2 * rows  # where they begin in `work`
    for r in range(rows):
        work[largest + r] = z[r]
    for j in range(1, n):
        for r in range(rows):
            raw = z[j * rows + r]
            work[largest + r] = raw if raw > work[largest + r] else work[largest + r]
    for r in range(rows):
        work[right + r] = z[int(y[r]) * rows + r] - work[largest + r]
        work[total + r] = 0.0
        values[r] = 0.0
    count = 0.0
    for j in range(n):
        for r in range(rows):
            shifted = z[j * rows + r] - work[largest + r]
            z[j * rows + r] = exp(shifted)
            work[total + r] += z[j * rows + r]
            values[r] += shifted
        count += 1.0
    uniform = smoothing / count
    for r in range(rows):
        cost = log(work[total + r]) - (1.0 - smoothing) * work[right + r]
        values[r] = cost - uniform * values[r]
        work[total + r] = 1.0 / work[total + r]
    for j in range(n):
        for r in range(rows):
            z[j * rows + r] = z[j * rows + r] * work[total + r] - uniform
    for r in range(rows):
        z[int(y[r]) * rows + r] -= 1.0 - smoothing


def focal_of(u, gamma):
    # Value and slope of -(1 - p)^gamma log(p) with p = sigmoid(u), the probability of
    # what is right: log(p) = -softplus(-u) and log(1 - p) = -softplus(u), so nothing is
    # lost where p rounds to 0 or 1, and no power of 1 - p is divided by it again.
    cost = softplus(-u)
    factor = exp(-gamma * softplus(u))
    return factor * cost, -factor * (gamma * sigmoid(u) * cost + sigmoid(-u))


def focal(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        sign = y[j] + y[j] - 1.0
        value, slope = focal_of(sign * raw[j], params[0])
        grad[j] = sign * slope
        total += value
    return total


def focal_softmax(raw, y, grad, n, params):
    # The odds of class y[0] against all others together are e^u, where u is its raw
    # prediction less the log-sum-exp of theirs. They share its slope in proportion.
    target = int(y[0])
    largest = raw[1] if target == 0 else raw[0]
    for j in range(n):
        larger = j != target and raw[j] > largest
        largest = raw[j] if larger else largest
    total = 0.0
    for j in range(n):
        grad[j] = 0.0 if j == target else exp(raw[j] - largest)
        total += grad[j]
    value, slope = focal_of(raw[target] - largest - log(total), params[0])
    scale = -slope / total
    for j in range(n):
        grad[j] = grad[j] * scale
    grad[target] = slope
    return value


def squared_hinge(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        sign = y[j] + y[j] - 1.0
        short = 1.0 - sign * raw[j]
        # "short <= 0" and not "short > 0": a NaN takes the second branch and stays one.
        short = 0.0 if short <= 0.0 else short
        grad[j] = -2.0 * sign * short
        total += short * short
    return total


def squared_error(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        r = raw[j] - y[j]
        grad[j] = r
        total += 0.5 * r * r
    return total


def absolute_error(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        r = raw[j] - y[j]
        # The last r is 0 or NaN.
        grad[j] = 1.0 if r > 0.0 else (-1.0 if r < 0.0 else r)
        total += abs(r)
    return total


def huber(raw, y, grad, n, params):
    delta = params[0]
    total = 0.0
    for j in range(n):
        r = raw[j] - y[j]
        clipped = delta if r > delta else (-delta if r < -delta else r)
        grad[j] = clipped
        # r^2 / 2 inside, delta (|r| - delta / 2) outside.
        total += clipped * (r - 0.5 * clipped)
    return total


def quantile(raw, y, grad, n, params):
    # Output j is the quantile of level params[j] of the one target y[0].
    total = 0.0
    for j in range(n):
        r = raw[j] - y[0]
        slope = 1.0 - params[j] if r > 0.0 else (-params[j] if r < 0.0 else r)
        grad[j] = slope
        total += slope * r
    return total


def poisson(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        predicted = exp(raw[j])
        grad[j] = predicted - y[j]
        # y log(y / predicted), which is 0 for y = 0
        relative = 0.0 if y[j] == 0.0 else y[j] * (log(y[j]) - raw[j])
        total += relative - y[j] + predicted
    return total


def gamma(raw, y, grad, n, params):
    total = 0.0
    for j in range(n):
        ratio = y[j] * exp(-raw[j])
        grad[j] = 1.0 - ratio
        total += ratio + raw[j] - log(y[j]) - 1.0
    return total


LIN = (
    'Lin, Goyal, Girshick, He and Dollár (2017), "Focal loss for dense object '
    'detection", ICCV, arXiv:1708.02002'
)
LOSSES: dict[str, Loss] = {
    row.name: row
    for row in (
        Loss(
            name="log_loss",
            function=log_loss,
            task="classification",
            link="logistic",
            formula=r"-\sum_j y_j \log p_j + (1 - y_j) \log(1 - p_j), \;"
            r" p_j = \sigma(z_j)",
            reference="Negative log-likelihood of independent Bernoulli variables: "
            'Bishop (2006), "Pattern Recognition and Machine Learning", 5.2. '
            "Label smoothing e replaces y by y (1 - e) + e / 2.",
            parameters=("label_smoothing",),
            kinds=(BINARY, MULTILABEL),
        ),
        Loss(
            name="softmax",
            function=softmax,
            task="classification",
            link="softmax",
            formula=r"\log \sum_j e^{z_j} - \sum_j q_j z_j, \;"
            r" q_j = (1 - \epsilon) [j = y] + \epsilon / C",
            reference="Negative log-likelihood of one of C classes: Bishop (2006), "
            '"Pattern Recognition and Machine Learning", 5.2; label smoothing: '
            'Szegedy et al. (2015), "Rethinking the Inception architecture for '
            'computer vision", arXiv:1512.00567.',
            parameters=("label_smoothing",),
            selected_by="log_loss",
            kinds=(MULTICLASS,),
            takes_index=True,
            of_rows=softmax_of_rows,
        ),
        Loss(
            name="focal",
            function=focal,
            task="classification",
            link="logistic",
            formula=r"-\sum_j (1 - q_j)^\gamma \log q_j, \;"
            r" q_j = \sigma(z_j) \text{ if } y_j = 1 \text{ else } \sigma(-z_j)",
            reference=f"{LIN}. Their factors of the classes are ``class_weight``.",
            parameters=("focal_gamma",),
            kinds=(BINARY, MULTILABEL),
        ),
        Loss(
            name="focal_softmax",
            function=focal_softmax,
            task="classification",
            link="softmax",
            formula=r"-(1 - p_y)^\gamma \log p_y, \;"
            r" p_y = e^{z_y} / \sum_j e^{z_j}",
            reference=f"{LIN}, section 3.1, with the probability of one of C classes.",
            parameters=("focal_gamma",),
            selected_by="focal",
            kinds=(MULTICLASS,),
            takes_index=True,
        ),
        Loss(
            name="squared_hinge",
            function=squared_hinge,
            task="classification",
            link="identity",
            formula=r"\sum_j \max(0, 1 - s_j z_j)^2, \;"
            r" s_j = 1 \text{ if } y_j = 1 \text{ else } -1",
            reference='Tang (2013), "Deep learning using linear support vector '
            'machines", arXiv:1306.0239: several classes one versus the rest, as in '
            "scikit-learn's LinearSVC. It has no probabilities.",
        ),
        Loss(
            name="squared_error",
            function=squared_error,
            task="regression",
            link="identity",
            formula=r"\frac{1}{2} \sum_j (z_j - y_j)^2",
            reference="Least squares; the half as in scikit-learn's MLPRegressor.",
            average_outputs=True,
            power=2,
        ),
        Loss(
            name="reconstruction",
            function=reconstruction,
            task="reconstruction",
            link="identity",
            formula=r"\sum_c w_c \ell_c, \; \ell_c = \frac{1}{2} (z - y)^2, \;"
            r" \log \sum_k e^{z_k} - z_y \text{ or } \log(1 + e^z) - y z",
            reference="Of each column c of a row by its kind: squared error of a "
            "standardised number, negative log-likelihood of a category (Bishop 2006, "
            '"Pattern Recognition and Machine Learning", 5.2), log-loss of a mask. '
            "Missing entries count nothing.",
        ),
        Loss(
            name="absolute_error",
            function=absolute_error,
            task="regression",
            link="identity",
            formula=r"\sum_j |z_j - y_j|",
            reference="Least absolute deviations.",
            power=1,
        ),
        Loss(
            name="huber",
            function=huber,
            task="regression",
            link="identity",
            formula=r"\sum_j \frac{1}{2} r_j^2 \text{ if } |r_j| \le \delta \text{ else"
            r" } \delta (|r_j| - \frac{\delta}{2}), \; r_j = z_j - y_j",
            reference='Huber (1964), "Robust estimation of a location parameter", '
            "Annals of Mathematical Statistics 35.",
            parameters=("huber_delta",),
            power=2,
        ),
        Loss(
            name="quantile",
            function=quantile,
            task="regression",
            link="sorted",
            formula=r"\sum_j \max(\tau_j (y - z_j), (\tau_j - 1) (y - z_j))",
            reference='Koenker and Bassett (1978), "Regression quantiles", '
            "Econometrica 46.",
            parameters=("quantile",),
            power=1,
        ),
        Loss(
            name="poisson",
            function=poisson,
            task="regression",
            link="exp",
            formula=r"\sum_j y_j \log(y_j / e^{z_j}) - y_j + e^{z_j}",
            reference="Half the Poisson deviance with logarithmic link: McCullagh "
            'and Nelder (1989), "Generalized Linear Models".',
            y_min=0.0,
        ),
        Loss(
            name="gamma",
            function=gamma,
            task="regression",
            link="exp",
            formula=r"\sum_j y_j e^{-z_j} + z_j - \log y_j - 1",
            reference="Half the gamma deviance with logarithmic link: McCullagh and "
            'Nelder (1989), "Generalized Linear Models".',
            y_min=0.0,
            y_min_inclusive=False,
        ),
    )
}


def loss_options(task):
    """Values of the parameter ``loss``, in the order of the registry.

    Parameters
    ----------
    task : {"classification", "regression"}

    Returns
    -------
    list of str
    """
    rows = (row for row in LOSSES.values() if row.task == task)
    return list(dict.fromkeys(row.option for row in rows))


def rows_of(option, task):
    """Rows that a value of the parameter ``loss`` stands for; of a function none."""
    return [row for row in LOSSES.values() if row.option == option and row.task == task]
