"""Callbacks: what looks at a fit, epoch by epoch, and may end it."""

__all__ = ["Callback", "Checkpoint", "GradientMonitor"]

_EXPORTS = {
    "Callback": "nnfit.callbacks.base",
    "Checkpoint": "nnfit.callbacks.checkpoint",
    "GradientMonitor": "nnfit.callbacks.gradient_monitor",
}


def __getattr__(name):
    if name in _EXPORTS:
        from importlib import import_module

        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
