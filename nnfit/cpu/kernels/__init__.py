"""Kernels of the CPU engine; the only modules that import numba."""
