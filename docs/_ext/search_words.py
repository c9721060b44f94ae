"""Words by which people from elsewhere search, of `nnfit.foreign_names`; no Sphinx."""

import inspect

import nnfit
from nnfit import foreign_names

#: Estimators on whose pages words stand: on the first that has the parameter.
KINDS = (nnfit.MLPClassifier, nnfit.MLPRegressor, nnfit.TabularClassifier)
#: Parameters whose values have sections on the page of components.
ON_COMPONENTS = ("activation", "loss", "solver", "learning_rate")


def of_parameters(page, parameters):
    """Words that lead to an entry of parameters.

    Parameters
    ----------
    page : str
        Qualified name of the class on whose page they are described.
    parameters : list of str
    """
    words = []
    for name in parameters:
        kinds = (k for k in KINDS if name in inspect.signature(k).parameters)
        first = next(kinds, None)
        if first is None or page != f"nnfit.{first.__name__}":
            continue
        words += [name] if "_" in name else []
        words += [
            other for other, here in foreign_names.PARAMETERS.items() if here == name
        ]
        values = foreign_names.VALUES.get(name, {}).items()
        words += [
            other
            for other, here in values
            if name not in ON_COMPONENTS or not here.isidentifier()
        ]
    return _said(words)


def of_value(parameter, value):
    """Words that lead to the section of a value, on the page of components."""
    values = foreign_names.VALUES[parameter].items()
    return _said([other for other, here in values if here == value])


def _said(names):
    """Names, and how they are said: the search takes underscores for letters."""
    return list(dict.fromkeys(name.replace("_", " ") for name in names))
