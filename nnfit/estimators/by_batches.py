"""Fits to rows that come in batches, of which memory holds some at a time.

A first pass counts rows and classes, and keeps a sample (`nnfit.batches.survey`). The
fit then begins as one to the sample, with the numbers of all rows; its engine trains on
blocks of the source's rows, which a thread reads ahead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context

from nnfit.batches.blocks import Batches, block_sizes, cut
from nnfit.batches.given import as_source
from nnfit.batches.reading import Ahead
from nnfit.batches.rows import as_one, n_bytes
from nnfit.estimators import checkpoints
from nnfit.estimators.annotations import typed
from nnfit.estimators.fitting import Fit
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.row_weights import mean_class_weight
from nnfit.estimators.standardising import standardised
from nnfit.estimators.streams import BLOCK, FEWEST, Stream, naming
from nnfit.estimators.validation import check_more_rows
from nnfit.estimators.watching import encoded
from nnfit.training.blocks import BlockEngine


class BatchFit(Fit):
    """A fit whose rows are those of a stream; `data` holds the sample."""

    by_epoch = True  # no engine sees a whole one

    def __init__(self, stream, *arguments):
        super().__init__(*arguments)
        self.stream, estimator = stream, self.estimator
        if self.splits:
            raise ValueError(
                "fit_batches sets no rows aside, and early stopping and recipes that "
                "keep the best epoch need some. Pass validation, a source or a tuple "
                "(X_val, y_val)."
            )
        _check_passes(estimator, self.optimizer)

    @property
    def n_rows(self):
        """Rows of the source."""
        return self.stream.n_rows

    def take(self, X, y, sample_weight, classes, groups):
        """Check the sample; weights of classes are those of all rows."""
        super().take(X, y, sample_weight, self.stream.classes, groups)
        estimator, data = self.estimator, self.data
        if data.loss_weight is not data.sample_weight:
            estimator._set_class_weights(self._class_counts())
            weights = estimator._loss_weights(data.y, data.sample_weight)
            self.data = data._replace(loss_weight=weights)
        return True

    def _class_counts(self):
        """Weights of the rows of every class."""
        estimator, counts = self.estimator, self.stream.class_counts
        if not counts:
            raise ValueError(
                "class_weight of a matrix of labels needs all rows at once, got "
                f"class_weight={estimator.class_weight!r}. Pass sample weights, as the "
                "third of what a source yields."
            )
        return np.array([counts.get(each, 0.0) for each in estimator.classes_.tolist()])

    def _factor(self):
        """What sample weights are multiplied by; None without class weights."""
        estimator, data = self.estimator, self.data
        if data.loss_weight is data.sample_weight:
            return None
        counts = self._class_counts()
        sums = float(counts @ estimator._class_weights), float(counts.sum())
        return mean_class_weight(estimator, sums, self.incremental)

    @contextmanager
    def feeding(self, engine, settings):
        """Give the engine blocks of the source's rows."""
        factor, stream = self._factor(), self.stream
        some = self._encoded(stream.sample.part(slice(FEWEST)), factor)
        row = sum(map(n_bytes, some)) / some[0].shape[0]
        batch = settings.engine.batch_size
        room = int(BLOCK * stream.memory)
        if batch * row > room:
            raise MemoryError(
                f"memory leaves {room} bytes for a block of rows, and a batch of "
                f"{batch} rows takes {batch * row:.0f}. Raise memory, or lower "
                "batch_size."
            )
        sizes = block_sizes(stream.n_rows, int(room / row), batch)
        blocks = partial(self._read_on, settings.engine, sizes, factor)
        with closing(BlockEngine(engine, blocks, sizes, some)) as blocks:
            yield blocks

    def _read_on(self, settings, sizes, factor, epoch):
        """Blocks from an epoch on, read ahead."""
        return Ahead(self._blocks(settings, sizes, factor, epoch))

    def _blocks(self, settings, sizes, factor, epoch):
        for number in count(epoch):
            rng = None
            if settings.shuffle:
                rng = np.random.default_rng([settings.seed, number])
            pieces = (self._encoded(each, factor) for each in self.stream.read(rng))
            yield from cut(pieces, sizes, self.stream.source.name)

    def _encoded(self, batch, factor):
        """A batch as the engine takes it: X, targets, and both kinds of weights."""
        estimator, names = self.estimator, ("X", "y")
        dtype = estimator._compute_dtype()
        with naming(batch.name):
            X, y = check_more_rows(estimator, batch.X, batch.y, dtype, names)
            X = standardised(estimator, batch.X, X)
            X, y, target = encoded(estimator, X, y, dtype, names)
            weight = batch.sample_weight
        if factor is None:
            return X, target, weight, None
        divisor = np.ones(len(y)) if weight is None else weight
        return X, target, divisor * factor, estimator._weigh(y, weight)


def _check_passes(estimator, optimizer):
    """Refuse what needs all rows at once."""
    if optimizer is None:
        raise ValueError(
            "fit_batches trains on mini-batches, got solver='lbfgs', which needs all "
            "rows at once. Choose another solver."
        )
    averages = (
        estimator.ema_decay is not None
        or estimator.swa is not None
        or optimizer.average is not None
    )
    if averages and estimator.normalization == "batch":
        raise ValueError(
            "normalization='batch' needs a pass over all rows for the statistics of "
            "averaged weights (ema_decay, swa, solver='schedule_free'), which "
            "fit_batches does not make. Choose normalization='layer', or no average."
        )


def _check_number(name, value, unit):
    is_number = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_number or value < 1:
        raise ValueError(
            f"{name} must be a number of {unit}, an integer of at least 1, got "
            f"{value!r}."
        )
    return int(value)


def _validation_rows(validation, target, memory):
    """X_val, y_val and sample_weight_val of arrays, or of all rows of a source."""
    if validation is None:
        return None, None, None
    if isinstance(validation, tuple | list):
        if len(validation) not in (2, 3):
            raise ValueError(
                "validation must be a source or a tuple (X_val, y_val) or (X_val, "
                f"y_val, sample_weight_val), got {len(validation)} entries."
            )
        return (*validation, None)[:3]
    is_path = isinstance(validation, str) or hasattr(validation, "__fspath__")
    source = as_source(validation, target if is_path else None)
    kept, taken = [], 0
    for batch in Batches(source).read(2**16):
        kept.append(batch._replace(X=_copied(batch.X)))
        taken += batch.row_bytes * batch.n_rows
        if taken > memory:
            raise MemoryError(
                f"validation, {source.name}, has more rows than memory={memory} holds, "
                "and all of them are kept. Pass fewer rows, or raise memory."
            )
    if not kept:
        raise ValueError(f"{source.name} gives no rows, and at least one was expected.")
    rows = as_one(kept, source.name)
    return rows.X, rows.y, rows.sample_weight


def _copied(X):
    """Rows that a file holds, in memory."""
    return np.array(X) if isinstance(X, np.memmap) else X


class BatchMLP(BaseMLP):
    """Base of the estimators that can be fitted to more rows than memory holds."""

    @typed(_fit_context(prefer_skip_nested_validation=True))
    def fit_batches(
        self,
        source: Any,
        *,
        target: str | Sequence[str] | None = None,
        validation: Any = None,
        classes: npt.ArrayLike | None = None,
        n_rows: int | None = None,
        memory: int = 2**28,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit the network to rows that come in batches, more than memory holds.

        A first pass over the source counts rows and classes, and draws a sample of the
        rows. What `fit` learns of the data before it trains, such as `scaling`, bins
        and categories, is learnt from the sample. Every epoch is a pass over the
        source, which a thread reads ahead.

        Parameters
        ----------
        source : path, NpySource, ParquetSource or callable
            Path of a Parquet file or of a folder of them, which needs `target`; a
            source of `nnfit.batches`; or a function without arguments that returns a
            fresh iterator of tuples ``(X, y)`` or ``(X, y, sample_weight)``, of arrays
            or tables as `fit` takes them, in every pass the same rows.
        target : str or list of str, default=None
            Column of the targets, where `source` is a path.
        validation : source or tuple, default=None
            Validation data: another source, all of whose rows are kept in memory, or
            ``(X_val, y_val)`` or ``(X_val, y_val, sample_weight_val)``. Early stopping
            needs them, since no rows are set aside.
        classes : array-like of shape (n_classes,), default=None
            All classes of a classifier.
        n_rows : int, default=None
            Number of rows. With `classes`, or in regression, there is no first pass
            then, unless `class_weight` needs one; the first rows are the sample.
        memory : int, default=268435456
            Bytes that rows may take, beside the parameters of the network and
            validation data: those in training, the next ones, and the sample.
        resume_from : str or path, default=None
            See `fit`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`; also if the source gives no rows, other ones than in the first
            pass, or batches that differ in their columns.
        TypeError
            If the source is none, or an iterator that is used up after one pass.
        MemoryError
            If `memory` or the machine has too little.

        Notes
        -----
        With ``shuffle=True`` parts of the source (stretches of ``.npy`` files, row
        groups of Parquet files) come in random order, and rows are shuffled within
        blocks that take a fifth of `memory`. With ``shuffle=False`` the network is that
        of `fit` with all rows, bit for bit, if the sample has them all, or if nothing
        of the data is used before training but numbers of rows and classes.
        """
        if self.n_members > 1:
            raise ValueError(
                "fit_batches trains one network, and each of an ensemble would read "
                f"the source for itself, got n_members={self.n_members}. Set "
                "n_members=1, or n_shared_members for members of one network."
            )
        if self._y_numeric and classes is not None:
            raise ValueError(f"classes are those of a classifier, got {classes!r}.")
        if resume_from is not None:
            checkpoints.check_place(resume_from, self)
        memory = _check_number("memory", memory, "bytes")
        if n_rows is not None:
            n_rows = _check_number("n_rows", n_rows, "rows")
        rows = as_source(source, target)
        given = _validation_rows(validation, target, memory)
        stream = Stream(self, rows, memory, classes, n_rows)
        sample = stream.sample
        return self._fit(
            sample.X, sample.y, sample.sample_weight, given, n_rows=stream.n_rows,
            kind=partial(BatchFit, stream), resume_from=resume_from,
        )  # fmt: skip
