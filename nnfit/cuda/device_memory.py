"""The device's memory, counted before anything is allocated."""


def check_memory(network, n_bytes, device):
    """Refuse a network whose buffers do not fit.

    Parameters
    ----------
    network : nnfit.network.description.Network
    n_bytes : int
        Size of the buffers.
    device : nnfit.cuda.driver.Device

    Raises
    ------
    MemoryError
        Naming the size and the layers.
    """
    free, _ = device.memory()
    if n_bytes > free:
        raise network.memory_error(
            n_bytes, free, f"free memory on {device.name}", "device='cpu'"
        )
