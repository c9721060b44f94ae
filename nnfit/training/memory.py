"""How much memory training takes, counted before anything is allocated."""

import os

from nnfit.network.description import ITEM_SIZE


def available_memory():
    """Bytes that can be allocated without swapping, or None where unknown."""
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


#: Bytes that any machine has; asking the system takes 50 microseconds.
SMALL = 2**24


def training_memory(network, n_slots, batch_size):
    """Bytes that the arrays of a training run need, as an exact Python int.

    Parameters
    ----------
    network : Network
    n_slots : int
        Arrays of optimizer state.
    batch_size : int
        Rows that go through the network together.

    Returns
    -------
    int
    """
    # Weights, their transpose and their copy in the estimator, beside the state. Of
    # a batch value and gradient per unit, and a copy of both and of the inputs.
    parameters = network.n_parameters * (3 + n_slots)
    units = sum(layer.n_out for layer in network.layers)
    activations = batch_size * (4 * units + 2 * network.n_features)
    return ITEM_SIZE[network.dtype] * (parameters + activations)


def check_memory(network, n_slots, batch_size):
    """Refuse a network that does not fit.

    The operating system may grant memory that it does not have and kill the
    process when it is used, so the size is compared beforehand.

    Parameters
    ----------
    network : Network
    n_slots : int
    batch_size : int

    Raises
    ------
    MemoryError
        Naming the size and the layers.
    """
    needed = training_memory(network, n_slots, batch_size)
    if needed <= SMALL:
        return
    available = available_memory()
    if available is None or needed <= available:
        return
    sizes = [network.n_features, *(layer.n_out for layer in network.layers)]
    raise MemoryError(
        f"Training a network with layers of {sizes} units in {network.dtype} needs "
        f"{needed / 2**30:.3g} GiB ({network.n_parameters} parameters), got "
        f"{available / 2**30:.3g} GiB of available memory. Use smaller "
        "hidden_layer_sizes, fewer features, a smaller batch_size or "
        "dtype='float32'."
    )
