"""Errors about names that other libraries have end with what is meant."""

import inspect
from functools import partial

import numpy as np
import pytest

from nnfit import (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabMRegressor,
    TabularClassifier,
    TabularRegressor,
    foreign_names,
)

ESTIMATORS = (
    MLPClassifier,
    MLPRegressor,
    RealMLPClassifier,
    TabMRegressor,
    TabularClassifier,
    TabularRegressor,
)
NAMES = {name for kind in ESTIMATORS for name in inspect.signature(kind).parameters}


X, Y = np.eye(4), [0, 1, 0, 1]


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("foreign", foreign_names.PARAMETERS)
def test_a_parameter_is_named(foreign):
    assert foreign not in NAMES
    here = foreign_names.PARAMETERS[foreign]
    kinds = [k for k in ESTIMATORS if here in inspect.signature(k).parameters]
    expected = f"It is called {here} here."
    if not here.isidentifier():
        kinds, expected = ESTIMATORS, here
    assert kinds, f"no estimator has {here}"
    for kind in kinds:
        text = message(TypeError, partial(kind, **{foreign: 1}))
        assert text.startswith(f"{kind.__name__}.__init__() got an unexpected keyword")
        assert text.endswith(f"'{foreign}'. {expected}")
        text = message(ValueError, partial(kind().set_params, **{foreign: 1}))
        assert text.startswith(f"Invalid parameter {foreign!r} for estimator")
        assert text.endswith(expected)


VALUES = [
    (parameter, foreign, here)
    for parameter, names in foreign_names.VALUES.items()
    for foreign, here in names.items()
]


@pytest.mark.parametrize(("parameter", "foreign", "here"), VALUES)
def test_a_value_is_named(parameter, foreign, here):
    texts = []
    for kind in (MLPClassifier, MLPRegressor):
        if parameter in inspect.signature(kind).parameters:
            model = kind(**{parameter: foreign})
            texts.append(message(ValueError, partial(model.fit, X, Y)))
    expected = f"It is called {here!r} here." if here.isidentifier() else here
    assert any(text.endswith(f" {expected}") for text in texts), texts


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"learning_rate": 0.01}, "the rate itself is learning_rate_init=0.01."),
        ({"hidden_layer_sizes": 100.0}, "Sizes are integers, such as 100 or"),
        ({"scoring": "acuracy"}, "Did you mean 'accuracy'?"),
        ({"solver": "adm"}, "Did you mean 'adam'?"),
        ({"activation": "Sigmoid"}, "It is called 'logistic' here."),
        ({"activation": "leaky-relu"}, "It is called 'leaky_relu' here."),
    ],
)
def test_other_values(parameters, expected):
    model = MLPClassifier(**{"hidden_layer_sizes": (3, 3), **parameters})
    assert expected in message(ValueError, partial(model.fit, X, Y))


def test_a_typing_error_gets_the_nearest_name():
    text = message(TypeError, lambda: MLPClassifier(hidden_layer_size=3))
    assert text.endswith("'hidden_layer_size'. Did you mean hidden_layer_sizes?")
    text = message(ValueError, lambda: MLPClassifier().set_params(early_stoping=True))
    assert text.endswith("Did you mean early_stopping?")


def test_other_errors_are_as_they_were():
    class Mine(MLPClassifier):
        def __init__(self, depth=1):
            super().__init__((3,) * depth)

    assert message(TypeError, lambda: Mine(depht=1)).endswith("Did you mean depth?")
    assert Mine(2).hidden_layer_sizes == (3, 3)
    text = message(TypeError, lambda: MLPClassifier(wings=2))
    assert text.endswith("got an unexpected keyword argument 'wings'")
    assert "positional" in message(TypeError, lambda: MLPClassifier(1, 2, 3, 4, 5))
