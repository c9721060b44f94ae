"""How much memory training takes, counted before anything is allocated."""

import os

from nnfit.network.description import ITEM_SIZE
from nnfit.sparsity import entries_of_batch, is_sparse
from nnfit.training.containers import memory_left


def available_memory():
    """Bytes that can be allocated without swapping, or None where unknown.

    This is the free memory of the machine, or what the limits of a container leave.
    """
    known = [each for each in (_of_machine(), memory_left()) if each is not None]
    return min(known, default=None)


def _of_machine():
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None  # Windows has no sysconf


#: Bytes that any machine has; asking the system takes 0.2 to 2 ms.
SMALL = 2**24


def training_memory(network, n_slots, batch_size, X):
    """Bytes that the arrays of a training run need, as an exact Python int.

    Parameters
    ----------
    network : Network
    n_slots : int
        Arrays as large as the parameters: state of the optimizer, averages, best
        weights.
    batch_size : int
        Rows that go through the network together; 0 where another device does that.
    X : ndarray or CSR matrix of shape (n_samples, n_features)

    Returns
    -------
    int
    """
    # Weights, their transpose and their copy in the estimator, beside the state. Of
    # a batch for each unit of a node value, slope and gradient, and what its kind keeps
    # or copies: four numbers at most, and another gradient for each further reader; so
    # many for each line of the row.
    item = ITEM_SIZE[network.dtype]
    values = zip(network.widths, network.lines, network.n_consumers, strict=True)
    _, *values = values  # the inputs are counted below
    units = sum(w * lines * (4 + max(0, count - 1)) for w, lines, count in values)
    numbers = network.n_parameters * (3 + n_slots) + batch_size * units
    if is_sparse(X):  # its entries by column, each with its row
        entries = entries_of_batch(X, batch_size)
        inputs = entries * (item + 8) + (network.n_features + 2) * 8
    else:  # and of the inputs two copies
        inputs = 2 * batch_size * network.n_features * item
    return item * numbers + inputs


def check_memory(network, n_slots, batch_size, X):
    """Refuse a network that does not fit.

    The operating system may grant memory that it does not have and kill the
    process when it is used, so the size is compared beforehand.

    Parameters
    ----------
    network : Network
    n_slots : int
    batch_size : int
    X : ndarray or CSR matrix of shape (n_samples, n_features)

    Raises
    ------
    MemoryError
        Naming the size and the layers.
    """
    needed = training_memory(network, n_slots, batch_size, X)
    if needed <= SMALL:
        return
    available = available_memory()
    if available is not None and needed > available:
        raise network.memory_error(
            needed, available, "available memory", "fewer features"
        )
