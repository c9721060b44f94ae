"""Orders of rows in coming epochs, and sums of their weights."""

import numpy as np

from nnfit.functions.normalization import spread_of_weights


class Orders:
    """Orders of the rows of some epochs, kept from call to call.

    They are kept because a call may be a small part of an epoch, and to shuffle many
    rows takes as long as such a call.

    Parameters
    ----------
    data : nnfit.cuda.data.Data
    of_epoch : tuple of int
        Rows of a batch, and of an epoch, which are the first ones of its order.
    seed : int or None
        Of the shuffles; None if all epochs have the same order.
    shuffled_orders : callable
        That of `nnfit.cpu.orders`, not used if all epochs have the same order.
    n_lines : int
        Of a row of a batch, each with a row of the data of its own
        (`EngineSettings.own_rows`).

    Attributes
    ----------
    first : int
        Number of the first epoch that is known.
    orders : ndarray of shape (n_epochs, rows of an epoch)
    """

    def __init__(self, data, of_epoch, seed, shuffled_orders, n_lines):
        self._data, self._seed = data, seed
        self._batch, self._n_rows = of_epoch
        self._shuffled_orders = shuffled_orders
        self.first, self.orders = 0, np.empty((0, self._n_rows), np.int32)
        self._begins = np.arange(n_lines) * self._n_rows // n_lines
        self._weights = None

    @property
    def is_shuffled(self):
        """Whether every epoch has an order of its own."""
        return self._seed is not None

    def know(self, epoch, n_epochs):
        """Find the orders of some epochs; returns whether there are new ones."""
        if not self.is_shuffled:
            is_new = len(self.orders) == 0
            self.first, orders = epoch, self._data.all_rows[None]
        else:
            is_new = epoch < self.first or epoch + n_epochs > self.first + len(
                self.orders
            )
            if is_new:
                self.first = epoch
                orders = self._shuffled_orders(
                    self._data.all_rows, self._seed, epoch, n_epochs
                )
        if is_new:
            self.orders = np.ascontiguousarray(orders[:, : self._n_rows])
            self._weights = None
        return is_new

    def places(self, begin, count):
        """Places of all lines from one in an epoch on, through the epochs after it."""
        n_rows, places = self._n_rows, begin + np.arange(count)
        own = (places[:, None] % n_rows + self._begins) % n_rows
        return (own + places[:, None] // n_rows * n_rows).ravel()

    def rows(self, epoch, places):
        """Row numbers at places of `places`."""
        numbers = epoch - self.first + places // self._n_rows
        if not self.is_shuffled:
            numbers = 0
        return self.orders[numbers, places % self._n_rows]

    def weights(self, epoch, begin, count):
        """Sums and spreads of the sample weights of batches, (count, 2).

        Parameters
        ----------
        epoch : int
        begin : int
            Number of the first batch in it.
        count : int
        """
        if self._weights is None:
            self._weights = self._weights_of_batches()
        per_epoch = -(-self._n_rows // self._batch)
        numbers = (epoch - self.first) * per_epoch + begin + np.arange(count)
        # The last number may lie beyond the known epochs: that batch is prepared only.
        return self._weights.take(numbers, axis=0, mode="wrap")

    def _weights_of_batches(self):
        n_rows, weights = self._n_rows, self._data.sample_weight
        starts = np.arange(0, n_rows, self._batch)
        if weights is None:
            sums = squares = np.diff(starts, append=n_rows).astype(np.float64)
            sums = squares = np.tile(sums, len(self.orders))
        else:
            weights = weights[self.orders]
            if len(self._begins) > 1:  # of a row the mean of those of its lines
                own = [np.roll(weights, -begin, axis=1) for begin in self._begins]
                weights = np.mean(own, axis=0)
            sums = np.add.reduceat(weights, starts, axis=1).ravel()
            squares = np.add.reduceat(weights * weights, starts, axis=1).ravel()
        return np.stack([sums, spread_of_weights(sums, squares)], axis=1)
