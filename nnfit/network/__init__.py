"""Description of a network: its layers, sizes and initial weights."""

from nnfit.network.description import Layer, Network, Weights
from nnfit.network.initialisation import INITIALIZATIONS, initial_weights

__all__ = ["INITIALIZATIONS", "Layer", "Network", "Weights", "initial_weights"]
