"""What normalised layers compute alike in the kernels of every device."""

import numpy as np

#: Added to a variance before its root is taken, as PyTorch does.
EPSILON = 1e-5
#: A batch whose rows but one have no weight, up to rounding, has no variance.
SMALLEST_SPREAD = 1e-7

#: Part of the way from the running statistics of batch normalisation to those of a
#: batch, as in PyTorch; less for a last batch of fewer rows.
STATISTICS_MOMENTUM = 0.1


def spread_of_weights(total, squares):
    """1 - the sum of the squared parts of a batch's weights.

    Parameters
    ----------
    total, squares : float or ndarray
        Sums of the weights and of their squares.

    Returns
    -------
    float or ndarray
        0 where there is no weight, or too little to be squared.
    """
    square = np.square(total)
    known = square > 0.0
    return np.where(known, 1.0 - squares / np.where(known, square, 1.0), 0.0)
