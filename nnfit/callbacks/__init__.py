"""Callbacks: what looks at a fit, epoch by epoch, and may end it."""

from nnfit.callbacks.base import Callback
from nnfit.callbacks.checkpoint import Checkpoint

__all__ = ["Callback", "Checkpoint"]
