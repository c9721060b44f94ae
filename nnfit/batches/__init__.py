"""Rows that come in batches, from files or a function: more than memory holds."""

from nnfit.batches.npy import NpySource
from nnfit.batches.parquet import ParquetSource
from nnfit.batches.sources import Source

__all__ = ["NpySource", "ParquetSource", "Source"]
