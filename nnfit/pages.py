"""The page of an estimator, to which its picture in a notebook leads."""

from functools import cache
from importlib import metadata

import nnfit


class LinkedToItsPage:
    """Part of an estimator that scikit-learn asks where it is described."""

    _doc_link_module = "nnfit"

    @property
    def _doc_link_template(self):
        name = type(self).__name__
        address = address_of_pages()
        if not address or name not in nnfit.__all__:
            return ""
        return f"{address}/{nnfit.__version__}/api/generated/nnfit.{name}.html"


@cache
def address_of_pages():
    """Where the documentation of all versions is, or "".

    It is the entry ``Documentation`` below ``[project.urls]`` of ``pyproject.toml``.
    """
    try:
        entries = metadata.metadata("nnfit").get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:  # a frozen application without metadata
        return ""
    addresses = dict(entry.split(", ", 1) for entry in entries)
    return addresses.get("Documentation", "").rstrip("/")
