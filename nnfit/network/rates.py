"""What differs between the tensors of a network in an update: rates and penalties."""

from functools import lru_cache

import numpy as np


def rates_of_tensors(network, has_rates):
    """For each tensor what its rates depend on: layer, and its two factors.

    Parameters
    ----------
    network : nnfit.network.description.Network
    has_rates : bool
        Whether layers have learning rates of their own.
    """
    return [
        (tensor.layer if has_rates else 0, tensor.learning_rate, tensor.decay)
        for tensor in network.tensors
    ]


@lru_cache(maxsize=64)
def rate_rows(network, has_rates):
    """What is different of `rates_of_tensors`, in order: rows of rates of a step."""
    return tuple(dict.fromkeys(rates_of_tensors(network, has_rates)))


def rate_factors(network, given):
    """What is each row's own, as `nnfit.engine_settings.N_RATE_FACTORS` says.

    Parameters
    ----------
    network : nnfit.network.description.Network
    given : sequence of float
        Factors of the learning rates of layers, or none.
    """
    keys = rates_of_tensors(network, bool(given))
    tensors = zip(keys, network.tensors, strict=True)
    trained = {key for key, tensor in tensors if not tensor.is_frozen}
    return [
        (
            key[1] * (1.0 if key[0] is None or not given else given[key[0]]),
            key[2],
            float(key not in trained),
        )
        for key in rate_rows(network, bool(given))
    ]


def memory_for(memory, shape):
    """What optimizers carry from step to step, for a network with other rows of rates.

    Parameters
    ----------
    memory : ndarray of shape (2, n_rows, n)
    shape : tuple of int
        Where it has another number of rows, layers have got rates of their own, or had
        them, and all go on with the numbers of the first row.

    Returns
    -------
    ndarray
        Of that shape. A state of a version that counted no missed steps has none.
    """
    if memory.shape[1] != shape[1]:
        memory = memory[:, :1]
    found = np.zeros(shape)
    found[..., : memory.shape[2]] = memory
    return found


def penalised_parts(tensors, offsets, size):
    """Slices of flat parameters with penalties and their factors, neighbours together.

    Parameters
    ----------
    tensors : sequence of nnfit.network.kinds.Tensor
    offsets : sequence of int
        Where each begins.
    size : int
        Where the last one ends.
    """
    begin = end = 0
    factor = 1.0
    for tensor, start, stop in zip(tensors, offsets, [*offsets[1:], size], strict=True):
        if tensor.is_penalised and (start, tensor.penalty) == (end, factor):
            end = stop
        elif tensor.is_penalised:
            yield slice(begin, end), factor
            begin, end, factor = start, stop, tensor.penalty
    yield slice(begin, end), factor
