"""Transformers of columns, by the functions that the network's own layers use."""
