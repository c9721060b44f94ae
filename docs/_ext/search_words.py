"""Words by which people from elsewhere search, of `nnfit.foreign_names`; no Sphinx."""

import inspect

import nnfit
from nnfit import foreign_names
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training.schedules import SCHEDULES

#: Estimators on whose pages words stand: on the first that has the parameter.
KINDS = (nnfit.MLPClassifier, nnfit.MLPRegressor, nnfit.TabularClassifier)
#: Of some parameters the values that have sections on the page of components.
SECTIONS = {
    "activation": set(ACTIVATIONS),
    "loss": {row.option for row in LOSSES.values()},
    "solver": set(OPTIMIZERS),
    "learning_rate": set(SCHEDULES),
}


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
        elsewhere = SECTIONS.get(name, ())
        words += [other for other, here in values if here not in elsewhere]
    return _said(words)


def of_value(parameter, value):
    """Words that lead to the section of a value, on the page of components."""
    values = foreign_names.VALUES[parameter].items()
    return _said([other for other, here in values if here == value])


def every():
    """All words that shall lead somewhere."""
    here = {name for kind in KINDS for name in inspect.signature(kind).parameters}
    others = [name for name, known in foreign_names.PARAMETERS.items() if known in here]
    values = foreign_names.VALUES.values()
    return set(_said([*others, *(name for names in values for name in names)]))


def directive(words):
    """Lines of reStructuredText that put words into the search, if there are any."""
    entries = ", ".join(f"! {word}" for word in words)
    return [f".. index:: {entries}", ""] if words else []


def _said(names):
    """Names as they are written and as they are said, "max_iter" and "max iter"."""
    both = ((name, name.replace("_", " ")) for name in names)
    return list(dict.fromkeys(word for pair in both for word in pair))
