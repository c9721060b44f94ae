"""A fitted estimator as a function of its features, with slopes.

Codes of categories and what is missing have no slope. Attributions along a path go
through what the network makes of them instead: the networks begin with the outputs of
such layers (`nnfit.inspection.cutting`), whose attributions are summed to columns.
"""

from contextlib import contextmanager

import numpy as np
from scipy.sparse import issparse

from nnfit.cpu.gradients import Gradients
from nnfit.estimators.numeric_columns import filled
from nnfit.estimators.standardising import of_all_features
from nnfit.inspection.cutting import cut
from nnfit.inspection.targets import find_output
from nnfit.network import fitted
from nnfit.training import device
from nnfit.training.threads import prediction_operations

#: Numbers of the rows that pass the networks together.
BLOCK = 1 << 20


class Explained:
    """Networks of an estimator, and one number of their prediction.

    Parameters
    ----------
    estimator : estimator of nnfit
        Fitted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows to explain.
    target, response_method
        See `nnfit.inspection.targets.find_output`.
    has_path : bool
        Whether slopes are those along a path, or by the features themselves.

    Attributes
    ----------
    rows : list of ndarray
        Of each network, see `represent`.
    index : ndarray of int of shape (n_samples,)
        Which output of each row is explained.
    """

    def __init__(self, estimator, X, target, response_method, has_path):
        mixture = check_estimator(estimator)
        self._estimator, self._has_path = estimator, has_path
        checked, _ = estimator._check_rows(X)
        self._networks = [
            _Part(network, mixture.link, checked.dtype.name, has_path)
            for network in mixture.networks
        ]
        self.output, self.index = find_output(
            estimator, mixture, X, target, response_method
        )
        self.rows = self._represented(checked)

    @property
    def n_columns(self):
        """Number of features."""
        return self._estimator.n_features_in_

    @property
    def dtype(self):
        """Name of the type of the networks' arithmetic."""
        return self.rows[0].dtype.name

    @property
    def epsilon(self):
        """Precision of the networks' arithmetic."""
        return float(np.finfo(self.dtype).eps)

    @property
    def scales(self):
        """What each feature is divided by before the networks, (n_features,)."""
        return of_all_features(self._estimator, "scale", 1.0)

    def others(self, X, name):
        """Other rows as the networks begin with them, one for all or one for each.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), \
                (1, n_features) or (n_features,)
        name : str
            What the user calls it.
        """
        given = X
        if not hasattr(X, "columns") and np.ndim(X) == 1 and not issparse(X):
            given = np.asarray(X)[None]
        rows = self.represent(given)
        n, expected = len(rows[0]), len(self.index)
        if n not in (1, expected):
            raise ValueError(
                f"{name} must have one row, or one for each of the {expected} rows of "
                f"X, got {n}."
            )
        return [np.broadcast_to(each, (expected, each.shape[1])) for each in rows]

    def represent(self, X):
        """What the networks begin with.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        list of ndarray of shape (n_samples, n_units)
            Of each network.
        """
        return self._represented(self._estimator._check_rows(X)[0])

    def _represented(self, checked):
        if issparse(checked):
            checked = checked.toarray()
        return [each.represent(checked) for each in self._networks]

    def mix(self, first, second, share):
        """Rows between others, in the arithmetic of the networks.

        Parameters
        ----------
        first, second : list of ndarray of shape (n, n_units)
        share : ndarray of shape (n,) or (n, n_features)
            Of the second, of each row or of each of its features; truth values for
            all or nothing.
        """
        return [
            part.mix(*pair, share)
            for part, *pair in zip(self._networks, first, second, strict=True)
        ]

    def values(self, points, index):
        """The number that is explained, (n,), at points as `represent` gives them."""
        return self.evaluate(points, index, with_slopes=False)[0]

    def evaluate(self, points, index, with_values=True, with_slopes=True):
        """Values and slopes.

        Parameters
        ----------
        points : list of ndarray of shape (n, n_units)
        index : ndarray of int of shape (n,)
        with_values, with_slopes : bool, default=True
            What is wanted; without values what the slopes need of them is found only
            where they need it.

        Returns
        -------
        values : ndarray of float64 of shape (n,) or None
        slopes : list of ndarray, like `points`, or None
        """
        n, size = len(index), max(each.n_numbers for each in self._networks)
        step = max(1, BLOCK // size)
        with self._threads(n) as n_threads:
            found = [
                self._block(
                    [each[begin : begin + step] for each in points],
                    index[begin : begin + step], with_values, with_slopes, n_threads,
                )
                for begin in range(0, n, step)
            ]  # fmt: skip
        values, slopes = zip(*found, strict=True)
        values = np.concatenate(values) if with_values else None
        if not with_slopes:
            return values, None
        return values, [np.concatenate(each) for each in zip(*slopes, strict=True)]

    def _block(self, points, index, with_values, with_slopes, n_threads):
        raws = None
        if not with_values:
            raws = [each.no_raw(len(index)) for each in self._networks]
        if with_values or not self.output.is_linear(raws):
            raws = [
                part.gradients.raw(own, n_threads)
                for part, own in zip(self._networks, points, strict=True)
            ]
        values, seeds = self.output.of(raws, index)
        if not with_slopes:
            return values, None
        return values, [
            part.gradients.by_features(own, seed, n_threads)
            for part, own, seed in zip(self._networks, points, seeds, strict=True)
        ]

    @contextmanager
    def _threads(self, n_rows):
        """Threads as a prediction of so many rows has them; a way back is two more."""
        rows = np.broadcast_to(np.float32(0.0), (n_rows, self.n_columns))
        network = self._networks[0].network
        operations = 3 * len(self._networks) * prediction_operations(network, rows)
        jobs = self._estimator.n_jobs
        with device.threads_for(device.CPU, jobs, operations, operations) as n_threads:
            yield n_threads

    def by_columns(self, parts):
        """Sums of what belongs to a column, over its units and the networks.

        Parameters
        ----------
        parts : list of ndarray of shape (n, n_units)

        Returns
        -------
        ndarray of float64 of shape (n, n_features)
        """
        return sum(
            part.by_columns(own)
            for part, own in zip(self._networks, parts, strict=True)
        )


class _Part:
    """A network, from what has slopes on."""

    def __init__(self, estimator, link, dtype, has_path):
        self._estimator = estimator
        network, weights = network_of(estimator, link, dtype)
        self._cut = cut(network, weights) if has_path else None
        if self._cut is not None:
            network, weights = self._cut.network, self._cut.weights
        self.network, self.gradients = network, Gradients(network, weights)
        self._sources = None if self._cut is None else self._cut.sources

    @property
    def n_numbers(self):
        """Numbers of a row that pass the network, those of features and outputs."""
        return self.network.n_features + self.network.lines[-1] * self.network.n_outputs

    def represent(self, checked):
        """See `Explained.represent`."""
        X = filled(self._estimator, checked)
        X = X if self._cut is None else self._cut.represent(X)
        return np.ascontiguousarray(X)

    def no_raw(self, n):
        """Raw outputs that are not known."""
        shape = n, self.network.lines[-1], self.network.n_outputs
        return np.broadcast_to(0.0, shape)

    def mix(self, first, second, share):
        """See `Explained.mix`."""
        if share.ndim == 1:
            share = share[:, None]
        elif self._sources is not None:
            share = share[:, self._sources]
        if share.dtype == bool:
            return np.where(share, second, first)
        share = share.astype(first.dtype)
        return first + share * (second - first)

    def by_columns(self, parts):
        """See `Explained.by_columns`."""
        parts = parts.astype(np.float64)
        return parts if self._cut is None else self._cut.by_columns(parts)


def network_of(estimator, link, dtype):
    """Network and weights of an estimator that has one, with an inverse link."""
    weights, described = estimator._weights(), estimator._description()
    sizes = fitted.sizes_of(weights.coefs, described.get("members"))
    estimator._check_outputs(sizes[-1])
    return fitted.network_for(described, link, sizes, dtype), weights


def check_estimator(estimator):
    """See that an estimator is one whose networks are known.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError
        If it is not, or if models without slopes predict, too; the message says what
        to pass.
    NotFittedError
    """
    name = type(estimator).__name__
    if not hasattr(estimator, "_as_mixture"):
        cure = "Pass one of nnfit's estimators with a network."
        if hasattr(estimator, "steps"):
            cure = "Pass its last step, and the rows as the steps before make them."
        elif hasattr(estimator, "best_estimator_"):
            cure = "Pass its best_estimator_."
        raise TypeError(f"estimator must have a network of its own, got {name}. {cure}")
    mixture = estimator._as_mixture()
    if mixture.others:
        raise TypeError(
            f"estimator must predict by networks alone, got a {name} in which "
            f"{' and '.join(mixture.others)}, which has no slopes, has a weight. Fit "
            "it with partner=None."
        )
    return mixture
