"""Pretrainers whose network says again what the columns of a row are."""

from __future__ import annotations

import numpy as np

from nnfit.estimators.numeric_columns import fills_missing
from nnfit.functions.losses import LOSSES
from nnfit.pretraining.base import Pretrainer
from nnfit.pretraining.columns import Columns, find_columns


class Reconstructing(Pretrainer):
    """Part of a pretrainer whose targets are the columns of X."""

    _scales_targets = True

    @property
    def _columns(self):
        return Columns(*self._standard("columns"))

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        if first_pass:
            self._find_units(y, sample_weight)
        return y

    def _find_units(self, y, sample_weight):
        categories = self._standard("categories") or {}
        self._fitted["columns"] = tuple(find_columns(y, categories, sample_weight))

    def _encode(self, y, dtype):
        return self._columns.encoded(y, dtype)

    def _count_outputs(self, target):
        return sum(self._columns.widths)

    def _loss_row(self):
        return LOSSES["reconstruction"], self._columns.loss_parameters()

    def _replacing(self):
        """What stands in for masked entries: missing ones, as the network has them."""
        columns, knows_missing = self._columns, fills_missing(self._standard("inputs"))
        pairs = zip(columns.n_categories, columns.means, strict=True)
        return tuple(
            -1.0 if n else (np.nan if knows_missing else mean) for n, mean in pairs
        )
