"""Docstrings of the estimators, put together when their classes are made.

A class describes what is its own; the entries of the parameters and attributes that
both have come from `nnfit.estimators.parameters`. What `help`, Sphinx and the checks of
scikit-learn read is the whole.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TypeVar

from nnfit.estimators.attributes import ATTRIBUTES
from nnfit.estimators.parameters import GROUPS, NAMES

C = TypeVar("C", bound=type)

#: Stand in the docstring of a class for the shared attributes, and for parameters where
#: it has no entries of its own.
PLACE_OF_ATTRIBUTES, PLACE_OF_PARAMETERS = "{attributes}", "{parameters}"


def documented(cls: C, texts: tuple[str, ...] = ()) -> C:
    """Class decorator: add the shared entries to the docstring of an estimator.

    Parameters come in the order of the signature. An entry of the class goes before a
    shared one of the same name, and one of `texts`, which some classes share, between.
    """
    if cls.__doc__ is None:  # python -OO
        return cls
    text = inspect.cleandoc(cls.__doc__)
    section = section_of(text, "Parameters")
    own = section.replace(PLACE_OF_PARAMETERS, "")
    described: dict[str, str] = {}
    for part in (*(group.text for group in GROUPS), *texts, own):
        described |= entries(part)
    # Names that share an entry, such as beta_1 and beta_2, stand under the first.
    names = [name for name in inspect.signature(cls).parameters if name in described]
    text = text.replace(section, "\n".join(described[name] for name in names))
    text = re.sub(r"^( +)\{([a-z ]+)\}([.,]?)$", _listed, text, flags=re.MULTILINE)
    cls.__doc__ = text.replace(PLACE_OF_ATTRIBUTES, ATTRIBUTES.strip())
    return cls


def _listed(place):
    """Lines of the names that a line in braces stands for."""
    indent, kind, end = place.groups()
    names = ", ".join(map(repr, NAMES[kind])) + end
    return textwrap.fill(names, 80, initial_indent=indent, subsequent_indent=indent)


def section_of(text, heading):
    """Lines of a section of a docstring without indentation, the heading left out."""
    lines = rf"^{heading}\n-+\n(.*?)(?=\n\n[^\n]+\n-+\n|\Z)"
    return re.search(lines, text, re.DOTALL | re.MULTILINE).group(1)


def entries(text):
    """Entries of a numpydoc section.

    Parameters
    ----------
    text : str
        Without indentation; further lines of an entry are indented.

    Returns
    -------
    dict of str
        The text of each entry by the first of its names.
    """
    parts = re.split(r"^(?=\w)", text.strip(), flags=re.MULTILINE)
    return {re.match(r"\w+", part).group(): part.rstrip() for part in parts if part}
