"""The device's memory, counted before anything is allocated."""


def check_memory(network, n_bytes, device):
    """Refuse what does not fit.

    Parameters
    ----------
    network : nnfit.network.description.Network
    n_bytes : int
        That will be allocated.
    device : nnfit.cuda.driver.Device

    Raises
    ------
    MemoryError
        Naming the size and the layers.
    """
    free, _ = device.memory()
    if n_bytes <= free:
        return
    sizes = [network.n_features, *(layer.n_out for layer in network.layers)]
    smaller = "dtype='float32' or " if network.dtype == "float64" else "or "
    raise MemoryError(
        f"Training a network with layers of {sizes} units in {network.dtype} needs "
        f"{n_bytes / 2**30:.3g} GiB more on {device.name}, got {free / 2**30:.3g} GiB "
        "of free memory. Use smaller hidden_layer_sizes, a smaller batch_size, "
        f"{smaller}device='cpu'."
    )
