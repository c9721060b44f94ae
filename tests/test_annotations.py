"""Annotations of the public interface: they are complete and change nothing.

What a type checker makes of them is checked by .ci/run, see tests/typing_consumer.py.
"""

import ast
import inspect
import typing
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import nnfit
from nnfit.estimators import annotations
from nnfit.estimators.documentation import entries, section_of

# Of matplotlib with a newer pyparsing than it knew.
pytestmark = pytest.mark.filterwarnings("ignore:.* deprecated.* use '")

ROOT = Path(__file__).parent.parent
NAMES = list(nnfit._EXPORTS)
CLASSES = [
    name
    for name in NAMES
    # A NamedTuple has its annotations as fields.
    if inspect.isclass(getattr(nnfit, name))
    and not issubclass(getattr(nnfit, name), tuple)
]


def functions():
    """Functions of nnfit behind every public name, by a label."""
    for name in NAMES:
        item = getattr(nnfit, name)
        if callable(item) and not inspect.isclass(item):
            yield name, item
        if name not in CLASSES:
            continue
        yield f"{name}.__init__", item.__init__
        for member in dir(item):
            function = getattr(item, member)
            function = getattr(function, "fget", function)
            own = getattr(function, "__module__", None) or ""
            if not member.startswith("_") and own.startswith("nnfit."):
                yield f"{name}.{member}", function


FUNCTIONS = dict(functions())


def attributes(cls):
    """Names of the fitted attributes that the docstring of a class has."""
    text = section_of(inspect.getdoc(cls), "Attributes")
    lines = [entry.splitlines()[0] for entry in entries(text).values()]
    return [name for line in lines for name in line.split(" : ")[0].split(", ")]


def annotated(cls):
    """Annotations of the attributes of a class that nnfit has written."""
    found = {}
    for base in cls.__mro__:
        if base.__module__.startswith("nnfit."):
            found |= inspect.get_annotations(base)
    return {name: text for name, text in found.items() if not name.startswith("_")}


def test_functions_are_found():
    expected = {"warmup", "find_learning_rate", "LearningRateDisplay.plot"}
    expected |= {"PopulationSearchCV.fit", "MLPRegressor.score", "MLPClassifier.fit"}
    expected |= {"MLPClassifier.from_arrays", "MLPClassifier.feature_scales_"}
    expected |= {"MLPClassifier.predict_proba", "MLPRegressor.partial_fit"}
    assert expected <= set(FUNCTIONS)


@pytest.mark.parametrize("label", FUNCTIONS)
def test_every_parameter_and_result_has_an_annotation(label):
    signature = inspect.signature(FUNCTIONS[label])
    missing = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name != "self"
    ]
    assert missing == []
    assert signature.return_annotation is not signature.empty


def resolve(item):
    """Types that the annotations of a function or class stand for."""
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

    from nnfit.estimators.mlp import BaseMLP

    # What their modules import for type checkers alone.
    only = Axes, AxesImage, Figure, SubFigure, Line2D, BaseMLP
    local = {each.__name__: each for each in only}
    return typing.get_type_hints(item, localns=local | {"Dtype": annotations.Dtype})


@pytest.mark.parametrize("label", FUNCTIONS)
def test_annotations_name_what_is_there(label):
    hints = resolve(inspect.unwrap(FUNCTIONS[label]))
    assert "return" in hints


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_annotations_resolve_without_the_names_of_type_checkers(name):
    """Tools that make command lines of signatures look them up as the program runs."""
    cls = getattr(nnfit, name)
    hints = typing.get_type_hints(cls.__init__)
    assert hints["dtype"] == annotations.Dtype | None
    assert hints["max_iter"] is int
    assert typing.get_type_hints(cls)["coefs_"] == list[annotations.FloatArray]


@pytest.mark.parametrize("name", CLASSES)
def test_documented_attributes_have_annotations_and_no_values(name):
    cls = getattr(nnfit, name)
    hints = annotated(cls)
    documented = attributes(cls)
    for attribute in documented:
        if attribute in hints:
            assert not hasattr(cls, attribute), "it is there before fit"
        else:
            assert isinstance(getattr(cls, attribute), property)
    assert set(hints) <= set(documented)
    resolve(cls)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_a_new_estimator_has_no_fitted_attribute(name):
    model = getattr(nnfit, name)()
    assert not any(hasattr(model, attribute) for attribute in annotated(type(model)))
    assert sorted(vars(model)) == sorted(BaseEstimator.get_params(model))


def test_the_stub_has_the_exports():
    """Type checkers read it in the place of nnfit/__init__.py."""
    tree = ast.parse((ROOT / "nnfit" / "__init__.pyi").read_text())
    imported, names, annotated = {}, None, []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            imported |= {alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Assign):
            names = ast.literal_eval(node.value)
        else:
            annotated.append(node.target.id)
    assert imported == nnfit._EXPORTS
    assert names == nnfit.__all__
    assert sorted([*imported, *annotated]) == sorted(names)
