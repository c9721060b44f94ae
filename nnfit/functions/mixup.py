"""The share that a row has in its mixture with another, as a table.

The number of an entry is drawn for each row; a table that both devices read gives both
the same shares.
"""

from functools import lru_cache

import numpy as np

#: Entries of the table.
N_QUANTILES = 1024


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
    return betaincinv(a, a, levels)
