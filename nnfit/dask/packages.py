"""Dask itself, which is imported when it is used."""

from contextlib import nullcontext
from importlib import import_module

#: Module and what it is a part of.
EXTRA = "nnfit.dask needs the package {}. Install it with: pip install 'nnfit[dask]'"


def dask(name="dask"):
    """A module of dask or distributed, or a sentence on how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(EXTRA.format(name.partition(".")[0])) from error


def client_of(given):
    """The client that is given, else the current one, else None."""
    try:
        client = given or dask("distributed").default_client()
    except (ImportError, ValueError):  # there is none
        return None
    if client.asynchronous:
        raise TypeError(
            f"fit waits for the workers, which {client!r} is not for, since it is "
            "asynchronous. Pass a client that is not."
        )
    return client


def current(client):
    """Context manager in which Dask computes by a client; by its own choice if None."""
    return nullcontext() if client is None else client.as_current()
