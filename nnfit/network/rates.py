"""What differs between the tensors of a network in an update: rates and penalties."""

from functools import lru_cache


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
    """Factors of learning rate and decay of each row, (learning rate, decay) tuples.

    Parameters
    ----------
    network : nnfit.network.description.Network
    given : sequence of float
        Factors of the learning rates of layers, or none.
    """
    return [
        (rate * (1.0 if layer is None or not given else given[layer]), decay)
        for layer, rate, decay in rate_rows(network, bool(given))
    ]


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
