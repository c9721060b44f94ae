"""Callbacks: what looks at a fit, epoch by epoch, and may end it."""

from nnfit.callbacks.base import Callback
from nnfit.callbacks.checkpoint import Checkpoint
from nnfit.callbacks.gradient_monitor import GradientMonitor
from nnfit.callbacks.stopping import EarlyStopAt, OptunaPruning
from nnfit.callbacks.tracking import MLflowLog

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopAt",
    "GradientMonitor",
    "MLflowLog",
    "OptunaPruning",
]
