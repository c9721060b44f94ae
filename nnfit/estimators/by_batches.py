"""Fits to rows that come in batches, of which memory holds some at a time.

A first pass counts rows and classes, and keeps a sample (`nnfit.batches.survey`). The
fit then begins as one to the sample, with the numbers of all rows; its engine trains on
blocks of the source's rows, which a thread reads ahead.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from numbers import Integral
from types import SimpleNamespace

import numpy as np
from sklearn.utils.validation import _get_feature_names

from nnfit.batches.blocks import Batches, block_sizes, cut
from nnfit.batches.reading import Ahead
from nnfit.batches.rows import as_one, n_bytes
from nnfit.batches.sources import as_source
from nnfit.batches.survey import Survey
from nnfit.estimators.columns import columns_of
from nnfit.estimators.fitting import Fit
from nnfit.estimators.row_weights import mean_class_weight
from nnfit.estimators.standardising import standardised
from nnfit.estimators.validation import check_more_rows, check_objects, check_weights
from nnfit.estimators.watching import encoded
from nnfit.tables.encoding import FROM_DTYPE
from nnfit.tables.reading import table_of
from nnfit.training.blocks import BlockEngine

#: Parts of the memory: rows of the sample, of which there are three copies while they
#: are drawn and two later; each of two blocks; the batches that are being read, which
#: are there as they are, checked and encoded.
SAMPLE, BLOCK, READ = 1 / 5, 1 / 5, 1 / 16
#: Fewest rows of the sample and of a read.
FEWEST = 64


class Stream:
    """Rows of a source, and what the first pass has found of them.

    Parameters
    ----------
    estimator : BaseMLP
    source : Source
    memory : int
        Bytes.
    classes, n_rows
        See `BaseMLP.fit_batches`.

    Attributes
    ----------
    n_rows : int
    sample : Batch
    class_counts : dict
    """

    def __init__(self, estimator, source, memory, classes, n_rows):
        self.source, self.memory, self.classes = source, memory, classes
        self._batches, self._estimator = Batches(source), estimator
        has_labels = not estimator._y_numeric
        is_known = n_rows is not None and not (has_labels and classes is None)
        if is_known and getattr(estimator, "class_weight", None) is None:
            self._look(n_rows)
        else:
            self._survey(has_labels)
            if n_rows not in (None, self.n_rows):
                raise ValueError(
                    f"{source.name} has {self.n_rows} rows, and {n_rows} were expected "
                    "as n_rows says."
                )

    def _first(self):
        """Rows of a first read, from which those of others follow."""
        first = next(self._batches.read(FEWEST), None)
        if first is None:
            raise ValueError(
                f"{self.source.name} gives no rows, and at least one was expected."
            )
        both = 3 * first.row_bytes
        self.read_rows = max(FEWEST, int(READ * self.memory / both))
        self.sample_rows = max(FEWEST, int(SAMPLE * self.memory / both))
        return first

    def _survey(self, has_labels):
        first = self._first()
        categories = _category_columns(self._estimator, first.X)
        found = Survey(
            self.read(), self.sample_rows, categories, has_labels,
        )  # fmt: skip
        self.n_rows, self.sample = found.n_rows, found.sample
        self.class_counts = found.class_counts

    def _look(self, n_rows):
        """Take the first rows for the sample, without a pass over all."""
        self._first()
        self.n_rows, self.class_counts, kept = n_rows, {}, []
        left = min(n_rows, self.sample_rows)
        for batch in self.read():
            kept.append(batch.part(slice(left)))
            left -= kept[-1].n_rows
            if left == 0:
                break
        self.sample = as_one(kept, kept[0].name)

    def read(self, rng=None):
        """Batches of the source, whose targets are no mere objects."""
        y_numeric = self._estimator._y_numeric
        for batch in self._batches.read(self.read_rows, rng):
            with naming(batch.name):
                check_objects(batch.y, "y", y_numeric)
            yield batch


def _category_columns(estimator, X):
    """Numbers of the columns of categories, which nothing has been learnt of."""
    asked = estimator.categorical_features
    if asked is None:
        return []
    if isinstance(asked, str) and asked == FROM_DTYPE:
        table = table_of(X)
        columns = [] if table is None else range(X.shape[1])
        return [each for each in columns if table.column(each).numbers is None]
    names = _get_feature_names(X)
    known = {} if names is None else {"feature_names_in_": names}
    view = SimpleNamespace(n_features_in_=X.shape[1], **known)
    return columns_of(view, asked, "categorical_features")


@contextmanager
def naming(name):
    """Put where rows come from before the message of an error."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = type(error) if type(error) in (ValueError, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


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
                f"memory={stream.memory} leaves {room} bytes for a block of rows, and "
                f"a batch of {batch} rows takes {batch * row:.0f}. Raise memory, or "
                "lower batch_size."
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
            weight = _check_some(batch.sample_weight, X)
        if factor is None:
            return X, target, weight, None
        divisor = np.ones(len(y)) if weight is None else weight
        return X, target, divisor * factor, estimator._weigh(y, weight)


def _check_some(weight, X):
    """Weights of some rows, which may all be zero."""
    return weight if weight is None or not weight.any() else check_weights(weight, X)


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


def fit_batches(
    estimator, source, target, validation, classes, n_rows, memory, resume_from
):
    """Fit an estimator, see `BaseMLP.fit_batches`."""
    if estimator.n_members > 1:
        raise ValueError(
            "fit_batches trains one network, and each of an ensemble would read the "
            f"source for itself, got n_members={estimator.n_members}. Set "
            "n_members=1, or n_shared_members for members of one network."
        )
    memory = _check_number("memory", memory, "bytes")
    if n_rows is not None:
        n_rows = _check_number("n_rows", n_rows, "rows")
    if estimator._y_numeric and classes is not None:
        raise ValueError(f"classes are those of a classifier, got {classes!r}.")
    source = as_source(source, target)
    given = _validation_rows(validation, target, memory)
    stream = Stream(estimator, source, memory, classes, n_rows)
    sample = stream.sample
    return estimator._fit(
        sample.X, sample.y, sample.sample_weight, given, n_rows=stream.n_rows,
        kind=partial(BatchFit, stream), resume_from=resume_from,
    )  # fmt: skip


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
