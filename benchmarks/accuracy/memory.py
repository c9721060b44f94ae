"""How much memory something takes at its peak."""

import math
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """Resident memory of this process beyond that at the beginning, in megabytes; NaN
    elsewhere than on Linux."""

    def __init__(self):
        self.before = resident("VmRSS")

    def reset(self):
        """Begin to look for a peak."""
        if RESET.exists():
            RESET.write_text("5")

    def peak(self):
        """The most since `reset`."""
        return max(resident("VmHWM") - self.before, 0.0)


def resident(name):
    """A line of this process's status."""
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) / 1000 if found else math.nan
