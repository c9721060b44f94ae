"""Parameters: signature, checks, storage and text of every one agree."""

import inspect
import re

import pytest
from sklearn.base import clone

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    RealMLPRegressor,
    TabMClassifier,
    TabMRegressor,
)
from nnfit.estimators import documentation, parameters
from nnfit.estimators.tabular_network import (
    TabularNetworkClassifier,
    TabularNetworkRegressor,
)

ESTIMATORS = [
    *(MLPClassifier, MLPRegressor, RealMLPClassifier, RealMLPRegressor),
    *(TabMClassifier, TabMRegressor),
    *(TabularNetworkClassifier, TabularNetworkRegressor),
]


def described(estimator):
    """First line of every parameter's entry, by name."""
    section = documentation.section_of(estimator.__doc__, "Parameters")
    lines = [line for line in section.splitlines() if re.match(r"\w", line)]
    described = {}
    for line in lines:
        names, values = line.split(" : ", 1)
        described |= dict.fromkeys(names.split(", "), values)
    return described


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_described_and_checked(estimator):
    names = list(inspect.signature(estimator).parameters)
    assert set(estimator._parameter_constraints) == set(names)
    assert list(vars(estimator())) == names
    entries = list(described(estimator))
    assert set(entries) == set(names)
    # An entry of several names stands in the place of the first.
    assert sorted(entries, key=names.index) == entries


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_described_default_is_the_default(estimator):
    for name, parameter in inspect.signature(estimator).parameters.items():
        values = described(estimator)[name].split("default=")[1].split(", ")
        if name not in ("beta_1", "beta_2"):
            values = [", ".join(values)]
        assert parameter.default in [eval(value) for value in values], name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstrings_as_scikit_learn_checks_them(estimator):
    pytest.importorskip("numpydoc")
    from sklearn.utils._testing import check_docstring_parameters

    for documented in (estimator, estimator.fit, estimator.partial_fit):
        assert check_docstring_parameters(documented) == []


def test_groups_check_what_they_describe():
    for group in parameters.GROUPS:
        own = {"early_stopping", "scoring"}  # each estimator describes its own
        assert set(group.constraints) - own - {"beta_2"} == set(
            documentation.entries(group.text)
        )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_only_stored(estimator):
    values = {name: object() for name in inspect.signature(estimator).parameters}
    model = estimator(**values)
    assert model.get_params(deep=False) == values
    default = clone(estimator())
    default._validate_params()
    assert repr(default) == f"{estimator.__name__}()"
    assert "dropout" in default._repr_html_()


def test_a_subclass_with_parameters_of_its_own():
    class Wide(MLPClassifier):
        """A wide network."""

        def __init__(self, width=7, max_iter=5):
            super().__init__(hidden_layer_sizes=(width,), max_iter=max_iter)
            self.width = width

    assert Wide.__doc__ == "A wide network."
    assert clone(Wide(3)).get_params() == {"width": 3, "max_iter": 5}
    assert Wide(3).hidden_layer_sizes == (3,)
