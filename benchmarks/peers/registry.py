"""The peers, and where their adapters are.

An adapter is a class in a module of `adapters`, all with the same two methods.
``Adapter(n_threads)`` imports the library and tells it the number of threads;
``load(problem)`` takes data, initial weights and sizes; ``fit(epochs)`` trains from
the initial weights for that many epochs and returns the fitted weights as
`Problem.initial_weights` does. What ``fit`` does once, however many the epochs, drops
out of the time of an epoch.

That folder has no ``__init__.py``: asv imports every package below ``benchmarks``,
and would fail at the first library that is not installed.
"""

import importlib
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A library, or one way to use it.

    Attributes
    ----------
    title : str
    distribution : str
        What its version is looked up by.
    adapter : str
        ``module:class`` in `adapters`.
    requires : tuple of str
        What must be installed; a tuple in it stands for any one of its members.
    """

    title: str
    distribution: str
    adapter: str
    requires: tuple

    @property
    def missing(self):
        """What is not installed, as words, or None."""
        for need in self.requires:
            choice = need if isinstance(need, tuple) else (need,)
            if not any(map(importlib.util.find_spec, choice)):
                return " or ".join(choice)
        return None


#: The first is the one that the others are compared with.
PEERS = {
    "nnfit": Peer("nnfit", "nnfit", "estimators:Nnfit", ("nnfit",)),
    "sklearn": Peer("scikit-learn", "scikit-learn", "estimators:Sklearn", ("sklearn",)),
    "jax": Peer("JAX", "jax", "jax_scan:Jax", ("jax",)),
    "torch": Peer("PyTorch", "torch", "torch_loops:Eager", ("torch",)),
    "compiled": Peer("PyTorch compiled", "torch", "torch_loops:Compiled", ("torch",)),
    "skorch": Peer("skorch", "skorch", "skorch_net:Skorch", ("skorch", "torch")),
    "keras": Peer("Keras", "keras", "keras_model:Keras", ("keras", ("jax", "torch"))),
}


def load_adapter(name):
    """Import the adapter of a peer; returns its class."""
    module, _, cls = PEERS[name].adapter.partition(":")
    return getattr(importlib.import_module(f"{__package__}.adapters.{module}"), cls)
