"""Which names are public, and since which version; needs no Sphinx.

``docs/interfaces/`` has a file for each release, with the names that it had. What no
file has came with the version of the code. To record a release::

    python docs/_ext/interface.py > docs/interfaces/0.2.0.txt
"""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

from packaging.version import Version

DOCS = Path(__file__).parent.parent
#: Modules whose ``__all__`` is public: those that the reference has.
MODULES = tuple(
    dict.fromkeys(
        re.findall(r"^.. currentmodule:: (\S+)", (DOCS / "api.rst").read_text(), re.M)
    )
)
RECORDS = DOCS / "interfaces"


def public(modules=MODULES):
    """Qualified name and object of everything that is exported."""
    for name in modules:
        try:
            module = import_module(name)
        except ModuleNotFoundError:  # releases before it
            continue
        for each in module.__all__:
            if not each.startswith("__"):
                yield f"{name}.{each}", getattr(module, each)


def members(kind):
    """Names of what a class has for its users, inherited ones too.

    Of a tuple neither the fields, which are among its attributes, nor what all have.
    """
    without = (*dir(tuple), *kind._fields) if issubclass(kind, tuple) else ()
    return [each for each in dir(kind) if each[0] != "_" and each not in without]


def is_of_sklearn(kind, name):
    """Whether a member of a class comes from scikit-learn's base classes."""
    value = getattr(kind, name, None)
    module = getattr(getattr(value, "fget", value), "__module__", None) or ""
    return module.startswith("sklearn")


def names(modules=MODULES):
    """All names: objects, members, ``member(parameter)``, and fitted attributes."""
    for name, value in public(modules):
        yield name
        yield from _parameters(name, value)
        if inspect.isclass(value):
            for attribute in re.findall(r"\w+_\b", _attributes(value)):
                yield f"{name}.{attribute}"
            for each in members(value):
                yield f"{name}.{each}"
                yield from _parameters(f"{name}.{each}", getattr(value, each))


def _parameters(name, value):
    if callable(value):
        for each in inspect.signature(value).parameters:
            if each != "self":
                yield f"{name}({each})"


def _attributes(kind):
    """Lines of the docstring that name fitted attributes."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("\nAttributes\n----------\n")
    section = re.split(r"\n\n.+\n--+\n", section)[0]
    return "\n".join(re.findall(r"^(\w.*?) :", section, re.MULTILINE))


def releases(folder=RECORDS):
    """Of each recorded release, oldest first, the version and the names."""
    files = sorted(folder.glob("*.txt"), key=lambda path: Version(path.stem))
    return {path.stem: set(path.read_text().split()) for path in files}


def since(name, recorded, version):
    """Version that brought a name, unless it was there from the start.

    Parameters
    ----------
    name : str
        As `names` has it.
    recorded : dict of set
        As `releases` gives it.
    version : str
        Of the code.

    Returns
    -------
    str or None
        None also for what came with its class, method or function.
    """
    owner = re.sub(r"\(\w+\)$|\.\w+$", "", name)
    first = next(iter(recorded))
    found = _first(name, recorded, version)
    if found == first or (
        owner not in MODULES and found == _first(owner, recorded, version)
    ):
        return None
    return found


def _first(name, recorded, version):
    having = (release for release, names in recorded.items() if name in names)
    return next(having, version)


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in sorted(set(names())))
