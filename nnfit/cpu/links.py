"""Inverse links of predictions that are wider than the network's arithmetic."""

from functools import cache

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import compiling
from nnfit.cpu.kernels import LINK
from nnfit.cpu.tables import INT64, POINTER, SHORT_LINKS


def apply_link(raw, link):
    """Make raw predictions predictions, in place.

    Parameters
    ----------
    raw : ndarray of shape (n_samples, n_outputs)
        C-contiguous, float32 or float64.
    link : str
        Key of `nnfit.functions.links.LINKS`.
    """
    if link == "identity":
        return
    kernel = _load(link, raw.dtype.type)
    function = kernel.function(
        "link", None, POINTER, INT64, POINTER, INT64, INT64,
        is_short=raw.size <= SHORT_LINKS,
    )  # fmt: skip
    (n_rows, n_outputs), values = raw.shape, address(raw, raw.dtype, raw.size)
    function(values, n_outputs, values, n_rows, n_outputs)


@cache
def _load(link, kind):
    """The kernel; the names that `compiling.load` takes need 10 microseconds."""
    return compiling.load(LINK, link, np.dtype(kind).name)
