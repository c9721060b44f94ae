"""Dask itself, which is imported when it is used."""

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
    if given is not None:
        return given
    try:
        return dask("distributed").default_client()
    except (ImportError, ValueError):  # there is none
        return None
