"""The processor that kernels are compiled for, and what it decides.

The register block of the matrix kernel follows from the vector registers:
their width gives the number of columns, their count the number of rows, unless
`python -m nnfit tune` chose another.
"""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from math import lcm

from llvmlite import binding as llvm

from nnfit import fork_lock
from nnfit.cpu import tile_choice

#: Name of the environment variable that overrides the processor: ``plain`` compiles
#: for the baseline of the architecture (SSE2 on x86-64), which every such machine can
#: run, ``avx2`` for the third level of x86-64, whose vectors have 32 bytes.
CPU_VARIABLE = "NNFIT_CPU"
CHOICES = ("host", "avx2", "plain")
#: What LLVM's processor x86-64-v3 has beyond the baseline and compiled code can use.
AVX2_FEATURES = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it.

    Attributes
    ----------
    triple : str
        LLVM's target triple.
    cpu : str
        LLVM's name of the processor, for example ``"znver4"``.
    features : str
        LLVM's feature string, for example ``"+avx2,+fma,..."``.
    vector_bytes : int
        Width of a vector register in bytes: 64, 32 or 16.
    tile_rows : int
        Rows of the register block of the matrix kernel.
    fma : bool
        Whether a fused multiply-add is one instruction.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    tile_rows: int
    fma: bool

    def lanes(self, dtype):
        """Number of elements of `dtype` in a vector register."""
        return self.vector_bytes // (4 if dtype == "float32" else 8)

    def panel(self, dtype):
        """Columns of a weight panel: two vectors, the tile's width."""
        return 2 * self.lanes(dtype)

    def tile_slot(self, dtype):
        """Elements kept for a row of a tile's operand: whole vectors, if need be
        shorter ones."""
        vector = min(self.lanes(dtype), 1 << (self.tile_rows - 1).bit_length())
        return -(-self.tile_rows // vector) * vector

    def strip(self, dtype):
        """Rows of a strip of weights, the unit of an update.

        Whole tiles, and whole panels of the transposed weights; some 48, so that
        gradient, weights and optimizer state of a strip fit in 16 kB.
        """
        unit = lcm(self.tile_rows, self.panel(dtype))
        return unit * max(1, 48 // unit)


def describe(triple, cpu, features):
    """Build a `Target` from LLVM's description of a processor.

    A tile of ``tile_rows`` × 2 vectors keeps ``2 * tile_rows`` accumulators,
    two vectors of B and one of A in registers: 6 rows fill 15 of the 16
    registers of SSE2 and AVX2, 12 rows fill 27 of the 32 of NEON. AVX-512 takes 8 of
    its 32: the products of its 16 sums are as fast as those of 24, fewer rows are
    computed for nothing (64 make 8 tiles, not 6 of 12), and strips are of 32 rows, not
    of 96, which would leave the first-level cache.
    """
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    if {"avx512f", "avx512vl"} <= enabled:
        return Target(triple, cpu, features, 64, 8, True)
    if {"avx2", "fma"} <= enabled:
        return Target(triple, cpu, features, 32, 6, True)
    if triple.startswith(("aarch64", "arm64")):
        return Target(triple, cpu, features, 16, 12, True)
    return Target(triple, cpu, features, 16, 6, False)


@lru_cache(maxsize=1)
def initialize_llvm():
    """Register the host's code generator with LLVM, once."""
    with fork_lock.held():
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()


@lru_cache(maxsize=len(CHOICES))
def _named_target(name):
    target = untuned(name)
    return replace(target, tile_rows=tile_choice.load(target) or target.tile_rows)


def untuned(name):
    """Return the `Target` of a name in `CHOICES`, as its features alone decide."""
    if name not in CHOICES:
        raise ValueError(
            f"The environment variable {CPU_VARIABLE} must be 'host', 'avx2' or "
            f"'plain', got {name!r}."
        )
    with fork_lock.held():
        initialize_llvm()
        triple = llvm.get_process_triple()
        if name != "plain":
            cpu, features = llvm.get_host_cpu_name(), _host_features()
    if name == "host":
        return describe(triple, cpu, features)
    if name == "avx2":
        _check_avx2(cpu, features)
        features = ",".join(f"+{feature}" for feature in AVX2_FEATURES)
        return describe(triple, "x86-64-v3", features)
    cpu = "generic" if triple.startswith(("aarch64", "arm64")) else "x86-64"
    return describe(triple, cpu, "")


def _check_avx2(cpu, features):
    lacking = [name for name in AVX2_FEATURES if f"+{name}" not in features.split(",")]
    if lacking:
        raise ValueError(
            f"The environment variable {CPU_VARIABLE} is 'avx2', but this processor "
            f"({cpu}) lacks {', '.join(lacking)}. Unset it, or set it to 'plain'."
        )


def _host_features():
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on some virtual machines
        return ""
    if not features.get("avx", True):
        # A hypervisor may mask AVX and leave features visible that need it.
        features = {name: on and "avx" not in name for name, on in features.items()}
    return ",".join(("+" if on else "-") + name for name, on in features.items())


def host():
    """Return the `Target` of this process.

    Raises
    ------
    ValueError
        If the environment variable ``NNFIT_CPU`` has an unknown value, or names a
        processor whose instructions this one lacks.
    """
    return _named_target(chosen_name())


def chosen_name():
    """The name in `CHOICES` that the environment asks for."""
    return os.environ.get(CPU_VARIABLE) or "host"
