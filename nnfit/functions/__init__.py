"""Scalar mathematics of activations, losses and optimizers, in plain Python.

Everything here runs as ordinary Python and is, unchanged, the source that the
engine of each device compiles. Adding a function means writing it in its module
and adding one row to the registry at the end of that module.
"""
