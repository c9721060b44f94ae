"""What the figures were measured on and with."""

import os
import platform
from importlib import metadata

from .registry import PEERS


def describe(device="cpu", peers=PEERS):
    """Processor, cores that this process may use, system, versions, and the GPU."""
    versions = {"Python": platform.python_version()}
    names = [
        "numpy",
        "numba",
        "numba-cuda",
        *(peer.distribution for peer in peers.values()),
    ]
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    known = {
        "cpu": cpu_name(),
        "cores": n_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }
    return known if device == "cpu" else {**known, "gpu": describe_gpu()}


def describe_gpu():
    """The first GPU, its driver and its memory."""
    from nnfit.cuda import toolkit
    from nnfit.cuda.driver import open_device

    device = open_device(0)
    return {
        "name": device.name,
        "compute_capability": toolkit.dotted(device.compute_capability),
        "multiprocessors": device.n_multiprocessors,
        "memory": device.memory()[1],
        "driver": toolkit.driver_version(),
    }


def n_cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count()


def waited_seconds():
    """Time in which a task waited for a processor, of the mean processor, and in which
    the hypervisor ran something else, since the start.

    Linux counts both, exactly the first and in hundredths the second; elsewhere it is
    0.0. Processor time tells less: threads that wait for each other look like
    interrupted ones.
    """
    try:
        with open("/proc/pressure/cpu") as file:
            waited = int(file.readline().rpartition("=")[2]) / 1e6
        with open("/proc/stat") as file:
            stolen = int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
    return waited + stolen / n_cores()


def cpu_name():
    """The processor's name, with that which kernels are compiled for: virtual
    machines often hide the model."""
    from nnfit.cpu import target

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    name = line.partition(":")[2].strip()
                    break
    except OSError:
        pass
    return f"{name} ({target.host().cpu})"
