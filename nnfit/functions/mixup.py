"""The share that a row has in its mixture with another, as a table.

The number of an entry is drawn for each row; a table that both devices read gives both
the same shares.
"""

from functools import lru_cache

import numpy as np

#: Entries of the table.
N_QUANTILES = 1024
#: Beyond these the distribution is at its limits: 0 and 1, or 0.5 within 2e-6. SciPy
#: 1.13 gives NaN for 1e-300, and for 1e16 it does not end.
SMALLEST, LARGEST = 1e-100, 1e12


@lru_cache(maxsize=8)
def beta_quantiles(a):
    """Quantiles of the distribution Beta(a, a) in the middles of equal intervals.

    Returns
    -------
    ndarray of float64 of shape (N_QUANTILES,)
    """
    # Who compiles kernels needs the number alone; this import takes 0.15 seconds.
    from scipy.special import betaincinv

    levels = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    a = min(max(a, SMALLEST), LARGEST)
    return betaincinv(a, a, levels)
