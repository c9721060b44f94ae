"""Estimators whose training is a recipe, with presets and few parameters.

A recipe is a subclass of `MLPClassifier` or `MLPRegressor` with a short signature. Of
the parameters that it does not have, the class has the values, where the shared code
reads them as if they had been given.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any, TypeVar

from nnfit.estimators.mlp import BaseMLP

C = TypeVar("C", bound="type[Recipe]")

#: Entries of parameters that recipes have, by their task.
CLASSIFIER = """
class_weight : dict, list of dict, "balanced" or None, default=None
    Weights of the classes in the loss, see `MLPClassifier`.
scoring : str, callable or None, default=None
    Score of the validation data, by which the best epoch is found: None stands for
    the accuracy, "loss" for the negative loss; otherwise the name of a scikit-learn
    scorer or a function ``scorer(estimator, X, y)``.
temperature_scaling : bool, default=False
    Whether to divide the raw predictions by `temperature_`, the number that gives
    the validation data the smallest log-loss, see `MLPClassifier`. Predicted
    classes stay.
"""
REGRESSOR = """
scoring : str, callable or None, default=None
    Score of the validation data, by which the best epoch is found: None stands for
    R2, "loss" for the negative loss; otherwise the name of a scikit-learn scorer or
    a function ``scorer(estimator, X, y)``.
"""


def recipe(
    base: type[BaseMLP], without: tuple[str, ...] = (), /, **fixed: Any
) -> Callable[[C], C]:
    """Class decorator: what the class has no parameter for is an attribute of it.

    Parameters
    ----------
    base : type
        The estimator with all parameters, whose defaults hold for those that neither
        the class nor `fixed` has.
    without : tuple of str
        Parameters of `base` that the class does not have in any way: scikit-learn's
        checks set what they find.
    **fixed
        Values of parameters of `base`.
    """

    def decorate(cls: C) -> C:
        own = _defaults(cls)
        for name, default in {**_defaults(base), **fixed}.items():
            if name not in own and name not in without:
                setattr(cls, name, default)
        constraints = base._parameter_constraints | cls._own_constraints
        cls._parameter_constraints = {name: constraints[name] for name in own}
        return cls

    return decorate


@cache
def _defaults(cls):
    """Parameters of an estimator and their defaults."""
    parameters = signature(cls).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


class Recipe(BaseMLP):
    """Part of an estimator with the parameter ``preset``."""

    #: By name of the preset what it says of parameters at their default, and of
    #: parameters that the class does not have; of a dict the keys not given.
    _presets: dict[str, dict[str, Any]]
    _own_constraints: dict[str, list]

    def _value(self, name):
        """Value of a parameter; that of the preset where it is left at the default."""
        value, of_preset = super()._value(name), self._presets[self.preset]
        if name not in of_preset:
            return value
        if isinstance(of_preset[name], dict):
            return {**of_preset[name], **(value or {})}
        return of_preset[name] if self._is_open(name) else value

    def _is_open(self, name):
        """Whether a parameter has its default, or is none of the class."""
        defaults = _defaults(type(self))
        if name not in defaults:
            return True
        value, default = getattr(self, name), defaults[name]
        return value is default or (isinstance(value, str) and value == default)

    def _check_continuation(self, network):
        if self._body() != self._standard("body"):
            raise ValueError(
                "Cannot continue to train a network of another preset, got preset="
                f"{self.preset!r}. Start one with warm_start=False, or set preset "
                "to what it was."
            )
        super()._check_continuation(network)
