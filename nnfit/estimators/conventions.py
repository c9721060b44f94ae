"""scikit-learn's conventions: parameters, tags and pickles of an estimator."""

from __future__ import annotations

import re
import warnings
from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils._param_validation import (
    InvalidParameterError,
    Options,
    validate_parameter_constraints,
)

from nnfit import __version__, foreign_names
from nnfit.callbacks.support import without_fit
from nnfit.estimators import resuming
from nnfit.estimators.donors import frozen
from nnfit.estimators.notebook import summary
from nnfit.estimators.parameters import STOCHASTIC_SOLVERS
from nnfit.pages import LinkedToItsPage


def store_arguments(estimator, arguments):
    """Set the arguments of `__init__`, its ``locals()``, as attributes."""
    for name, value in arguments.items():
        if name != "self":
            setattr(estimator, name, frozen(value) if name == "init_from" else value)


class Conventions(LinkedToItsPage, BaseEstimator):
    """Part of an estimator that scikit-learn asks for, whatever is fitted."""

    #: For skl2onnx, once `nnfit.onnx.register_skl2onnx` is called.
    _convert_to_onnx: Any = None

    if TYPE_CHECKING:  # methods of scikit-learn's, which has no annotations

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def set_callbacks(self, *callbacks: Any) -> Self: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _naming_the_unknown(cls.__init__)  # type: ignore[method-assign]

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params
            By name.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is no parameter of such a name.
        """
        if "init_from" in params:
            params["init_from"] = frozen(params["init_from"])
        try:
            return super().set_params(**params)
        except ValueError as error:
            advice = _advice(params, self._get_param_names())
            if not advice:
                raise
            raise ValueError(f"{error}{advice}") from None

    @classmethod
    @cache
    def _get_param_names(cls):
        """Names of the parameters.

        Scikit-learn asks four times in a fit of a search and each time takes 0.1 ms to
        find them in the signature, as long as an epoch of a tiny network.
        """
        return super()._get_param_names()

    def _validate_params(self):
        """Check the parameters that are not the defaults, as scikit-learn does all.

        All of them take 0.2 ms, a seventh of a fit by L-BFGS on a few rows.
        """
        defaults = _valid_defaults(type(self))
        given = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in defaults or value is not defaults[name]
        }
        try:
            validate_parameter_constraints(
                self._parameter_constraints, given, caller_name=type(self).__name__
            )
        except InvalidParameterError as error:
            (name,) = re.match("The '(.+?)' parameter|", str(error)).groups("")
            valid = _names_among(self._parameter_constraints.get(name, ()))
            advice = foreign_names.of_value(name, given.get(name), valid)
            if not advice:
                raise
            raise InvalidParameterError(f"{error}{advice}") from None

    def _check_solver(self):
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic"
                f" optimizers. {self.solver} is not stochastic."
            )
        return True

    def onnx_converter(self) -> Any:
        """Tell skl2onnx what converts this estimator, whatever is registered.

        The converters of scikit-learn's own networks would leave out normalisation,
        residual connections, temperatures and all before the first layer.

        Returns
        -------
        callable

        Raises
        ------
        RuntimeError
            Before `nnfit.onnx.register_skl2onnx` is called.
        """
        if self._convert_to_onnx is None:
            raise RuntimeError(
                f"{type(self).__name__} needs the converter of nnfit: call "
                "nnfit.onnx.register_skl2onnx() before the conversion. Those of "
                "scikit-learn's networks do not compute what it predicts."
            )
        return self._convert_to_onnx

    def _repr_html_inner(self):
        return super()._repr_html_inner() + summary(self)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += summary(self)
        return bundle

    def __getstate__(self):
        state = without_fit(super().__getstate__())
        state = resuming.without_optimizer_state(state)
        return {**state, "_nnfit_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_nnfit_version", "unknown")
        of_sklearn = state.pop("_sklearn_version", None) is not None
        if version != __version__ and not of_sklearn:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=__version__,
                    original_sklearn_version=version,
                )
            )
        if not vars(self):  # another version may have had fewer parameters
            self.__init__()
        super().__setstate__(state)


def _advice(given, names):
    """What to do about the first of some names that is no parameter, or ""."""
    unknown = [name for name in given if name.partition("__")[0] not in names]
    return foreign_names.of_parameter(unknown[0], names) if unknown else ""


def _naming_the_unknown(init):
    """An `__init__` whose message about an unknown parameter says what to do."""
    names = list(signature(init).parameters)[1:]

    @wraps(init)
    def checked(self, *args, **parameters):
        try:
            init(self, *args, **parameters)
        except TypeError as error:
            advice = _advice(parameters, names)
            if not advice or "unexpected keyword argument" not in str(error):
                raise
            raise TypeError(f"{error}.{advice}") from None

    return checked


def _names_among(constraints):
    """Strings that the constraints of a parameter allow, as far as they list them."""
    lists = (each.options for each in constraints if isinstance(each, Options))
    return [name for options in lists for name in options if isinstance(name, str)]


@cache
def _valid_defaults(kind):
    """Defaults of an estimator's parameters; none if a subclass has an invalid one."""
    parameters = signature(kind.__init__).parameters
    defaults = {name: parameters[name].default for name in kind._get_param_names()}
    try:
        validate_parameter_constraints(kind._parameter_constraints, defaults, "")
    except InvalidParameterError:
        return {}
    return defaults
