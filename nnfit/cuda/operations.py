"""Numbers of the device functions of kinds of layers.

A kernel has the functions of the kinds in its network, and tables know them by number:
operations, which phases run, and gradients, which updates of groups of units run.
"""

import importlib
from functools import lru_cache

from nnfit.cuda import fields as at
from nnfit.network.kinds import kind_of


def kinds_of(network):
    """Kinds that a kernel has, tuples of a module's name and what its code must do.

    The latter are the kind's own words, those of all its layers.
    """
    traits = {}
    for node in network.nodes:
        module = kind_of(node, "cuda")
        own = traits.setdefault(module.__name__, set())
        own.update(module.traits(node))
    return tuple((name, tuple(sorted(traits[name]))) for name in sorted(traits))


def drops_apart(node):
    """Whether units of a layer are dropped in a phase of its own, not by its kind."""
    module = kind_of(node, "cuda")
    return node.dropout is not None and not getattr(module, "DROPS", False)


@lru_cache(maxsize=64)
def operations_of(kinds):
    """Numbers of the operations of `kinds_of`, by module and name."""
    return _numbers(kinds, "OPERATIONS", at.N_STAGES)


@lru_cache(maxsize=64)
def gradients_of(kinds):
    """Numbers of the functions that find gradients, by module and name."""
    return _numbers(kinds, "GRADIENTS", 0)


def _numbers(kinds, names, first):
    functions = [
        (module, name)
        for module, _ in kinds
        for name in getattr(importlib.import_module(module), names)
    ]
    return {function: first + i for i, function in enumerate(functions)}
