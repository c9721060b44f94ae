"""Text of nnfit's registries for the documentation; needs no Sphinx.

Of every row: what selects it, its formula, the parameters it reads with their defaults,
and its reference. Nothing is written twice, so the pages cannot fall behind the code.
"""

import inspect
import math

import search_words

import nnfit
from nnfit import foreign_names
from nnfit.functions import activations, losses, optimizers
from nnfit.training import schedules

CLASSIFIER = inspect.signature(nnfit.MLPClassifier).parameters
REGRESSOR = inspect.signature(nnfit.MLPRegressor).parameters

# What kinds of target a row is for, where one value of ``loss`` chooses between rows.
KINDS = {
    losses.BINARY: "two classes",
    losses.MULTICLASS: "more than two classes",
    losses.MULTILABEL: "every label of a multilabel target",
}
# Rows that one value of a public parameter chooses between.
SGD = {"sgd": "nesterovs_momentum=False", "sgd_nesterov": "nesterovs_momentum=True"}

INVERSE_LINKS = {
    "identity": ":math:`z_j`",
    "scores": "the class of the largest :math:`z_j`; the second of two classes, or a "
    "label, where :math:`z_j > 0`; no probabilities",
    "logistic": r":math:`\sigma(z_j) = 1 / (1 + e^{-z_j})`, a probability",
    "softmax": r":math:`e^{z_j} / \sum_k e^{z_k}`, a probability",
    "exp": ":math:`e^{z_j}`, a mean that is never negative",
    "sorted": ":math:`z` in increasing order, so that quantiles never cross",
}


def heading(title, parameter, value):
    """A title; searches for other names of the value find it."""
    index = search_words.directive(search_words.of_value(parameter, value))
    return [*index, title, "~" * len(title), ""]


def formula(text):
    return [".. math::", "", f"   {text}", ""]


def parameter(name, signature):
    """A parameter as its estimator spells it, with its default."""
    default = signature[name].default
    return f"``{name}={default!r}``"


def describe_activations():
    default = CLASSIFIER["activation"].default
    for name, row in activations.ACTIVATIONS.items():
        yield from heading(name, "activation", name)
        selected = f'``activation="{name}"``'
        yield from [selected + (", the default" if name == default else ""), ""]
        yield from formula(row.formula)
        yield from [row.reference, ""]


def describe_losses():
    for name, row in losses.LOSSES.items():
        classifies = row.task == "classification"
        signature = CLASSIFIER if classifies else REGRESSOR
        estimator = "MLPClassifier" if classifies else "MLPRegressor"
        yield from heading(name, "loss", row.option)
        selected = f':class:`nnfit.{estimator}`, ``loss="{row.option}"``'
        if row.task == "reconstruction":
            selected = ":class:`nnfit.DenoisingAutoencoder` and others that have no y"
        elif row.option == signature["loss"].default:
            selected += ", the default"
        if classifies and len(row.kinds) < len(KINDS):
            selected += f"; for {', and for '.join(KINDS[kind] for kind in row.kinds)}"
        yield from [selected, ""]
        yield from formula(row.formula)
        for own in row.parameters:
            yield from [f"* Parameter: {parameter(own, signature)}"]
        scores = classifies and not row.has_probabilities
        yield f"* Prediction: {INVERSE_LINKS['scores' if scores else row.link]}"
        if math.isfinite(row.y_min):
            sign = r"\ge" if row.y_min_inclusive else ">"
            yield f"* Targets: :math:`y {sign} {row.y_min:g}`"
        if row.average_outputs:
            yield (
                "* The reported value is the mean over several outputs, as in "
                "scikit-learn; the gradient is that of the sum."
            )
        yield from ["", row.reference, ""]


def describe_solvers():
    default = CLASSIFIER["solver"].default
    for name, row in optimizers.OPTIMIZERS.items():
        public = "sgd" if name in SGD else name
        yield from heading(name, "solver", public)
        selected = f'``solver="{public}"``'
        if name in SGD:
            selected += f", ``{SGD[name]}``"
        yield from [selected + (", the default" if public == default else ""), ""]
        yield from formula(row.formula)
        own = ["learning_rate_init", *row.parameters]
        if row.decoupled:
            own.append("weight_decay")
        listed = ", ".join(parameter(each, CLASSIFIER) for each in own)
        yield from [f"* Parameters: {listed}"]
        values = "value" if row.slots == 1 else "values"
        yield from [f"* State: {row.slots} {values} per weight", ""]
        yield from [row.reference, ""]


def describe_schedules():
    default = CLASSIFIER["learning_rate"].default
    for name, row in schedules.SCHEDULES.items():
        yield from heading(name, "learning_rate", name)
        selected = f'``learning_rate="{name}"``'
        yield from [selected + (", the default" if name == default else ""), ""]
        yield from formula(row.formula)
        if row.parameters:
            listed = ", ".join(parameter(each, CLASSIFIER) for each in row.parameters)
            yield from [f"* Parameters: {listed}", ""]
        yield from [row.reference, ""]


def here(words):
    """What is here for a parameter from elsewhere, or for a value of a parameter.

    Parameters
    ----------
    words : str
        The name of a parameter elsewhere, or of one here and of its value elsewhere.
    """
    *parameter, name = words.split()
    names = (
        foreign_names.VALUES[parameter[0]] if parameter else foreign_names.PARAMETERS
    )
    found = names[name]
    if parameter and found.isidentifier():
        return f'{parameter[0]}="{found}"'
    return found


DESCRIBE = {
    "activations": (activations, describe_activations),
    "losses": (losses, describe_losses),
    "solvers": (optimizers, describe_solvers),
    "schedules": (schedules, describe_schedules),
}
FORMULAS = {
    "solvers": (optimizers, optimizers.OPTIMIZERS),
    "schedules": (schedules, schedules.SCHEDULES),
}
