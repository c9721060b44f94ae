"""New rows that are like those of a table, by a variational autoencoder."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import QuantileTransformer
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.multiclass import type_of_target

from nnfit.estimators.annotations import RandomState
from nnfit.estimators.regressor import MLPRegressor
from nnfit.estimators.validation import check_weights
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.network import Network
from nnfit.network.kinds import Node
from nnfit.pretraining.containers import columns_of, rows_like, values_like

#: Units of the hidden layers and of what is drawn, and what the divergence counts
#: beside the sum of the columns' losses.
HIDDEN, DRAWN, DIVERGENCE = 128, 16, 0.1


def synthesize(
    X: Any,
    y: Any = None,
    n: int = 100,
    *,
    sample_weight: npt.ArrayLike | None = None,
    max_iter: int = 300,
    random_state: RandomState | None = None,
    n_jobs: int | None = None,
    device: str = "cpu",
) -> Any:
    """Draw rows that are like those of a table.

    A small variational autoencoder learns the columns and the target together. Each new
    row is what it says of a random row of the table after noise, with the noise of each
    column besides. See :ref:`synthesis`.

    Parameters
    ----------
    X : array or table of shape (n_samples, n_features)
        Numbers, or in a table of pandas, polars or pyarrow also texts, categories and
        booleans. Entries may be missing.
    y : array-like of shape (n_samples,), default=None
        Classes or numbers, which are drawn with the rows.
    n : int, default=100
        Rows to draw.
    sample_weight : array-like of shape (n_samples,), default=None
        How often rows count: in the training, and as those that new rows are like.
    max_iter : int, default=300
        Epochs of the training.
    random_state : int, RandomState or None, default=None
        The same int draws the same rows.
    n_jobs : int or None, default=None
        Threads of the training, as in `MLPRegressor`; rows do not depend on it.
    device : str, default="cpu"
        Where the network is trained, as in `MLPRegressor`.

    Returns
    -------
    X_new : array or table of shape (n, n_features)
        Of the library of `X`, with its columns, types and kinds: numbers are within the
        range that was seen, whole numbers stay whole, and entries are missing about as
        often.
    y_new : ndarray, or column of the library of `y`, of shape (n,)
        If `y` is given.

    Raises
    ------
    ValueError
        If the data are invalid.

    Examples
    --------
    >>> import nnfit
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> X_new, y_new = nnfit.synthesize(X, y, 50, max_iter=20, random_state=0)
    >>> X_new.shape, y_new.shape
    ((50, 4), (50,))
    """
    check_scalar(n, "n", Integral, min_val=1)
    check_scalar(max_iter, "max_iter", Integral, min_val=1)
    given = _columns_of(X)
    if y is not None:
        given.append(_target_of(y, len(given[0][0])))
    given, weight = _used(given, sample_weight)
    rng = check_random_state(random_state)
    columns = [_learn(x, is_category) for x, is_category in given]
    drawn = _draw(columns, weight, n, max_iter, rng, n_jobs=n_jobs, device=device)
    if y is None:
        return rows_like(X, drawn)
    return rows_like(X, drawn[:-1]), values_like(y, drawn[-1])


# ------------------------------------------------------------------- columns


def _columns_of(X):
    """For each column its values, and whether they are categories."""
    columns = columns_of(X)
    if not columns or len(columns[0][0]) < 2:
        raise ValueError(f"X must have columns and 2 rows or more, got {np.shape(X)}.")
    if any(np.isinf(x).any() for x, own in columns if not own):
        raise ValueError("X must hold finite numbers or NaN, got infinity.")
    return columns


def _target_of(y, n_rows):
    values = np.asarray(y)
    # scikit-learn knows the types of pandas, and of others NumPy's.
    kind = type_of_target(y if hasattr(y, "iloc") else values, input_name="y")
    if kind not in ("binary", "multiclass", "continuous"):
        raise ValueError(f"y must be one column of classes or numbers, got {kind!r}.")
    if len(values) != n_rows:
        raise ValueError(f"y must have {n_rows} entries as X has rows, got {len(y)}.")
    return values.ravel(), kind != "continuous"


def _used(columns, sample_weight):
    """Columns and weights of the rows that count; None where all count the same."""
    weight = check_weights(sample_weight, columns[0][0])
    if weight is None:
        return columns, None
    used = weight > 0.0
    if used.sum() < 2:
        raise ValueError(
            "sample_weight must be above 0 for 2 rows or more, got 1 such weight."
        )
    return [(x[used], is_category) for x, is_category in columns], weight[used]


@dataclass(frozen=True)
class Column:
    """A column as the network has it.

    Attributes
    ----------
    values : list or QuantileTransformer
        The categories, of which None is a missing one; or from numbers to a normal
        distribution.
    target : ndarray of shape (n_samples,)
        Codes, or numbers with the deviation 1; NaN if missing.
    """

    values: Any
    target: Any
    scale: float = 1.0
    dtype: Any = None
    is_whole: bool = False

    @property
    def width(self):
        """Outputs; 1 for numbers."""
        return max(len(self.values), 2) if isinstance(self.values, list) else 1

    @property
    def has_missing(self):
        """Whether numbers are missing, which an output more says."""
        return self.width == 1 and bool(np.isnan(self.target).any())

    def inputs(self):
        """What the network reads, (n_samples, ...)."""
        if self.width > 1:
            return np.eye(self.width)[self.target.astype(int)]
        missing = np.isnan(self.target)
        filled = np.where(missing, 0.0, self.target)[:, None]
        return np.hstack([filled, missing[:, None]]) if self.has_missing else filled


def _learn(x, is_category):
    if is_category:
        codes: dict = {}
        target = [codes.setdefault(value, len(codes)) for value in x.tolist()]
        return Column(list(codes), np.array(target, float), dtype=x.dtype)
    numbers = x.astype(float)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        raise ValueError("A column must have a number, got one of which all miss.")
    normal = QuantileTransformer(
        n_quantiles=min(len(known), 1000),
        output_distribution="normal",
        subsample=None,
    )
    z = normal.fit_transform(numbers[:, None])[:, 0]
    # Equal numbers have a deviation of some roundings.
    scale = np.nanstd(z) if known.min() < known.max() else 1.0
    is_whole = bool((known == np.round(known)).all())
    return Column(normal, z / scale, scale, x.dtype, is_whole)


# --------------------------------------------------------------- the network


class _Autoencoder(MLPRegressor):
    """Training of `MLPRegressor` with another network and loss."""

    widths: tuple  # of the columns and masks of the loss
    columns: Any  # targets of the loss

    def _own_target(self, X, y):
        return self.columns

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        self._fitted["targets"] = None
        return y

    def _encode(self, y, dtype):
        return np.ascontiguousarray(y, dtype)

    def _loss_row(self):
        own = [number for width in self.widths for number in (width, 1.0)]
        latent = [1, DIVERGENCE] * DRAWN + [-1, DIVERGENCE] * DRAWN
        return LOSSES["reconstruction"], tuple(map(float, own + latent))

    def _count_outputs(self, target):
        return sum(max(width, 1) for width in self.widths)

    def _check_outputs(self, n_outputs):
        pass

    def _describe(self, n_features, target, dtype):
        relu, n_out = ACTIVATIONS["relu"], self._count_outputs(target)
        dense = {"options": (True,)}
        nodes = (
            Node("dense", (0,), HIDDEN, relu, **dense),
            Node("dense", (1,), DRAWN, **dense),
            Node("dense", (1,), DRAWN, **dense),
            Node("gaussian_sampling", (2, 3)),
            Node("dense", (4,), HIDDEN, relu, **dense),
            Node("dense", (5,), n_out, **dense),
            Node("concatenation", (6, 2, 3)),
        )
        loss, parameters = self._loss_row()
        return Network(n_features, nodes, loss, parameters, dtype)

    def _set_structure(self, network):
        self._fitted = {**vars(self).get("_fitted", {}), "dtype": network.dtype}

    def outputs(self, inputs, rng):
        """What the network says of rows after draws."""
        first, mean, spread, second, last = (
            lambda x, w=w, b=b: x @ w.astype(float) + b
            for w, b in zip(self.coefs_, self.intercepts_, strict=True)
        )
        hidden = np.maximum(first(inputs), 0.0)
        noise = rng.normal(size=(len(inputs), DRAWN))
        drawn = mean(hidden) + np.exp(0.5 * spread(hidden)) * noise
        return last(np.maximum(second(drawn), 0.0))


def _draw(columns, weight, n, max_iter, rng, **how):
    """Train, and draw n values of each column."""
    inputs = np.hstack([column.inputs() for column in columns])
    targets, widths = [], []
    for column in columns:
        targets.append(column.target)
        widths.append(column.width)
        if column.has_missing:
            targets.append(np.isnan(column.target))
            widths.append(0)
    n_rows = len(inputs)
    latent = np.zeros((n_rows, 2 * DRAWN))
    model = _Autoencoder(
        batch_size=min(64, n_rows), max_iter=max_iter, tol=0.0,
        n_iter_no_change=max_iter, learning_rate_init=2e-3,
        random_state=rng.randint(2**31 - 1), **how,
    )  # fmt: skip
    model.widths = tuple(widths)
    model.columns = np.hstack([np.stack(targets, axis=1), latent])
    with warnings.catch_warnings():  # the number of epochs is what was asked for
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, np.zeros(n_rows), weight)
    seen = model.outputs(inputs, rng)
    said = model.outputs(inputs[_rows(weight, n_rows, n, rng)], rng)
    drawn, begin = [], 0
    for column in columns:
        end = begin + column.width
        if column.width > 1:
            drawn.append(_draw_categories(column, said[:, begin:end], rng))
        else:
            error = _deviation(column.target - seen[:, begin], weight)
            z = said[:, begin] + error * rng.normal(size=n)
            x = column.values.inverse_transform(column.scale * z[:, None])[:, 0]
            x = np.round(x) if column.is_whole else x
            if column.has_missing:
                x[rng.uniform(size=n) < expit(said[:, end])] = np.nan
            drawn.append(x.astype(column.dtype))
        begin = end + column.has_missing
    return drawn


def _rows(weight, n_rows, n, rng):
    """Numbers of random rows, by their weights."""
    if weight is None:
        return rng.randint(n_rows, size=n)
    return rng.choice(n_rows, n, p=weight / weight.sum())


def _deviation(errors, weight):
    """Standard deviation of the errors that are known."""
    known = ~np.isnan(errors)
    if weight is None or known.sum() < 2:
        return np.nanstd(errors)
    return np.sqrt(np.cov(errors[known], aweights=weight[known], ddof=0))


def _draw_categories(column, raw, rng):
    ends = softmax(raw[:, : len(column.values)], axis=1).cumsum(axis=1)
    codes = (rng.uniform(size=(len(raw), 1)) > ends).sum(axis=1)
    values = np.empty(len(column.values), object)
    values[:] = column.values
    return values[np.minimum(codes, len(values) - 1)].astype(column.dtype)
