"""What a recipe of training changes beside the values of parameters."""

from typing import NamedTuple


class Rules(NamedTuple):
    """How epochs are cut into batches, and which of them counts.

    Attributes
    ----------
    auto_batch : int
        Rows of a batch where nobody says how many; fewer if there are no more.
    small_batches : tuple of (int, int)
        Pairs, in increasing order: fewer rows of data than the one have batches of the
        other.
    auto_epochs : int
        Epochs of a fit where nobody says how many.
    small_epochs : tuple of (int, int)
        Pairs, in increasing order: fewer rows to train on than the one have epochs of
        the other number.
    drop_last : bool
        See `nnfit.engine_settings.EngineSettings`.
    last_of_equals : bool
        Whether the last of epochs with equal scores is the best one, and not the first.
    patience_growth : float
        Part of the number of the best epoch that is added to `n_iter_no_change`.
    is_plan : bool
        Whether all of `max_iter` epochs are meant to be trained, so that there is
        nothing to warn of when they are.
    """

    auto_batch: int = 200
    small_batches: tuple[tuple[int, int], ...] = ()
    auto_epochs: int = 200
    small_epochs: tuple[tuple[int, int], ...] = ()
    drop_last: bool = False
    last_of_equals: bool = False
    patience_growth: float = 0.0
    is_plan: bool = False

    def batch_of(self, n_rows):
        """Rows of a batch of so many rows of data where nobody says how many."""
        sizes = [size for below, size in self.small_batches if n_rows < below]
        return min(n_rows, *sizes, self.auto_batch)

    def epochs_of(self, n_rows):
        """Epochs of a fit to so many rows where nobody says how many."""
        counts = (count for below, count in self.small_epochs if n_rows < below)
        return next(counts, self.auto_epochs)


#: Those of scikit-learn's networks.
PLAIN = Rules()
