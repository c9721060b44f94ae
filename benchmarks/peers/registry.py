"""The peers, and where their adapters are.

An adapter is a class in a module of `adapters`, all with the same two methods.
``Adapter(n_threads)`` tells the library the number of threads (those of peers with a
GPU take ``Adapter(n_threads, device)``);
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
from functools import partial
from pathlib import Path


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
    cuda : tuple of str or None
        What else must be installed for a GPU; None where it is not measured there.
    cpu : bool
        Whether it is measured without one.
    """

    title: str
    distribution: str
    adapter: str
    requires: tuple
    cuda: tuple | None = None
    cpu: bool = True

    def runs_on(self, device):
        """Whether it is to be measured there."""
        return self.cpu if device == "cpu" else self.cuda is not None

    def missing(self, device="cpu"):
        """What is not installed, as words, or None."""
        more = () if device == "cpu" else self.cuda
        for need in (*self.requires, *more):
            choice = need if isinstance(need, tuple) else (need,)
            if not any(map(is_installed, choice)):
                return " or ".join(choice)
        return None


#: PyTorch has one name with and without CUDA.
CUDA_TORCH = "torch for CUDA"


def is_installed(name):
    """Whether there is such a module; none is imported."""
    spec = importlib.util.find_spec("torch" if name == CUDA_TORCH else name)
    if spec is None or name != CUDA_TORCH:
        return spec is not None
    return any(Path(spec.origin).parent.glob("lib/*torch_cuda.*"))


#: Of JAX, by version of CUDA.
JAX_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")
#: The first is the one that the others are compared with.
PEERS = {
    "nnfit": Peer(
        "nnfit", "nnfit", "estimators:Nnfit", ("nnfit",), cuda=("numba_cuda",)
    ),
    "sklearn": Peer("scikit-learn", "scikit-learn", "estimators:Sklearn", ("sklearn",)),
    "jax": Peer("JAX", "jax", "jax_scan:Jax", ("jax",), cuda=(JAX_PLUGINS,)),
    "torch": Peer(
        "PyTorch", "torch", "torch_loops:Eager", ("torch",), cuda=(CUDA_TORCH,)
    ),
    "graphs": Peer(
        "PyTorch graphs", "torch", "torch_loops:Graphs", ("torch",), cuda=(CUDA_TORCH,),
        cpu=False,
    ),
    "compiled": Peer(
        "PyTorch compiled", "torch", "torch_loops:Compiled", ("torch",),
        cuda=(CUDA_TORCH,),
    ),
    "skorch": Peer("skorch", "skorch", "skorch_net:Skorch", ("skorch", "torch")),
    "keras": Peer("Keras", "keras", "keras_model:Keras", ("keras", ("jax", "torch"))),
}  # fmt: skip


def peers_for(device):
    """Names of the peers that are measured on a device."""
    return [name for name, peer in PEERS.items() if peer.runs_on(device)]


def load_adapter(name, device="cpu"):
    """Import the adapter of a peer; returns what takes the number of threads."""
    module, _, cls = PEERS[name].adapter.partition(":")
    adapter = getattr(importlib.import_module(f"{__package__}.adapters.{module}"), cls)
    return adapter if device == "cpu" else partial(adapter, device=device)
