"""Which sparse matrices the first layer takes entry by entry, and what that saves."""

import numpy as np
import scipy.sparse

#: Share of entries below which a sparse matrix is used as one. An entry costs some
#: ten times as much as one of a row that is written out.
SPARSE_BELOW = 0.1


def is_sparse(X):
    """Whether the first layer works on the entries of X and not on its rows."""
    if not scipy.sparse.issparse(X):
        return False
    return X.nnz < SPARSE_BELOW * X.shape[0] * X.shape[1]


def operations_per_row(network, X):
    """Multiplications and additions that a row of X takes in one product of a layer."""
    dense = network.n_products
    if not is_sparse(X):
        return 2 * dense
    entries = X.nnz / X.shape[0]
    share = (network.n_features - entries) / network.n_features  # that is zero
    return 2 * (dense - share * network.n_products_of_features)


def entries_of_batch(X, batch_size):
    """Most entries that so many rows of a CSR matrix can have, an int."""
    lengths = np.sort(np.diff(X.indptr))
    return int(lengths[max(0, len(lengths) - batch_size) :].sum(dtype=np.int64))
