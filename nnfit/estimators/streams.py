"""Rows of a source as a fit by batches needs them: counted, sampled, read on."""

from contextlib import closing, contextmanager
from types import SimpleNamespace

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import _get_feature_names

from nnfit.batches.blocks import Batches
from nnfit.batches.rows import as_one
from nnfit.batches.survey import Survey
from nnfit.estimators.columns import columns_of
from nnfit.estimators.validation import check_objects, check_weights
from nnfit.tables.encoding import FROM_DTYPE
from nnfit.tables.reading import table_of

#: Parts of the memory: the sample, of which there are three copies while it is drawn,
#: and later the rows as they are and encoded; each of two blocks; a batch that is being
#: read, which is there as it is, checked and encoded.
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
        self.source, self.classes = source, classes
        self.memory = memory - source.reading_bytes
        if 2 * self.memory < memory:
            raise MemoryError(
                f"memory={memory} has too little room for rows, since "
                f"{source.name} takes {source.reading_bytes} bytes to read a row group "
                "of its files. Raise memory, or write smaller row groups."
            )
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
        encoded = first.row_bytes
        if not issparse(first.X):
            dtype = np.dtype(self._estimator._compute_dtype())
            encoded = first.X.shape[1] * dtype.itemsize
        copies = first.row_bytes + 2 * max(encoded, first.row_bytes)
        self.read_rows = max(FEWEST, int(READ * self.memory / copies))
        self.sample_rows = max(FEWEST, int(SAMPLE * self.memory / copies))
        return first

    def _survey(self, has_labels):
        first = self._first()
        categories = categories_asked_for(self._estimator, first.X)
        found = Survey(self.read(), self.sample_rows, categories, has_labels)
        self.n_rows, self.sample = found.n_rows, found.sample
        self.class_counts = found.class_counts

    def _look(self, n_rows):
        """Take the first rows for the sample, without a pass over all."""
        self._first()
        self.n_rows, self.class_counts, kept = n_rows, {}, []
        left = min(n_rows, self.sample_rows)
        with closing(self.read()) as batches:
            while left > 0 and (batch := next(batches, None)) is not None:
                kept.append(batch.part(np.arange(min(left, batch.n_rows))))
                left -= kept[-1].n_rows
        self.sample = as_one(kept, kept[0].name)

    def read(self, rng=None):
        """Batches of the source, whose targets and weights are what they must be."""
        y_numeric = self._estimator._y_numeric
        for batch in self._batches.read(self.read_rows, rng):
            with naming(batch.name):
                check_objects(batch.y, "y", y_numeric)
                weight = batch.sample_weight
                if weight is not None and weight.any():  # all zero in some batches
                    check_weights(weight, batch.X)
            if self.classes is not None and batch.y.ndim == 1:
                unknown = np.setdiff1d(batch.y, self.classes).tolist()
                if unknown:
                    raise ValueError(
                        f"{batch.name} has the classes {unknown}, and only "
                        f"{np.asarray(self.classes).tolist()} were expected, as "
                        "classes says."
                    )
            yield batch


def categories_asked_for(estimator, X):
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
