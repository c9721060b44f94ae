"""The one place that chooses the engine."""


def load_engine():
    """Module with ``Engine`` and ``predict``; imported when first needed."""
    from nnfit.cpu import engine

    return engine
