"""Searches that train their networks side by side."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils._param_validation import Interval

from nnfit.callbacks.support import are_propagated, check_propagation
from nnfit.estimators.annotations import RandomState, Rows, Scoring
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.resuming import unchanged_on_error
from nnfit.estimators.sparse import check_structure
from nnfit.pages import LinkedToItsPage
from nnfit.population import MOST_AT_ONCE, population
from nnfit.training import device
from nnfit.training.bar import Bar
from nnfit.training.side_by_side import side_by_side

#: Values, or a distribution, by name of the parameter; or several such.
Space: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class PopulationSearchCV(LinkedToItsPage, BaseSearchCV):
    """Search over parameters of networks that are trained side by side.

    It is scikit-learn's `GridSearchCV` or, with `param_distributions`, its
    `RandomizedSearchCV`, with their methods, attributes and results to the bit, for
    networks of nnfit alone and in pipelines. All candidates in all folds are a
    population of networks, each of which trains on a thread of this process: compiled
    code lets them run at the same time, on data that none of them copies to a process
    of its own. With a GPU as the estimator's `device`, hundreds of them train in the
    same launches.

    Parameters
    ----------
    estimator : estimator object
        An estimator of nnfit, or one that contains it, such as a pipeline.
    param_grid : dict or list of dicts, default=None
        Values of every parameter, all combinations of which are tried; of several
        dicts those of each. See `GridSearchCV`.
    param_distributions : dict or list of dicts, default=None
        In place of `param_grid`, to try `n_iter` candidates drawn at random: for
        each parameter a list of values, or a distribution with a method ``rvs``. See
        `RandomizedSearchCV`.
    n_iter : int, default=10
        Number of candidates drawn from `param_distributions`.
    random_state : int, RandomState instance or None, default=None
        Of the draws from `param_distributions`.
    scoring : str, callable, list, tuple or dict, default=None
        How to score predictions on the rows left out; None for the estimator's own
        ``score``. See `GridSearchCV` for several scores.
    n_jobs : int, default=None
        Number of networks that train at once, each on one thread. None stands for
        the processors that no other fit of the process has taken, and for one in a
        worker of joblib, multiprocessing or Dask; -1 for all processors. On a GPU
        None stands for up to 256 networks. The results do not depend on it.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, on all threads; with several
        scores the name of the one that decides, or a function that takes
        ``cv_results_`` and returns the index of the best.
    cv : int, cross-validation generator or iterable, default=None
        Folds; None for 5, stratified for classifiers.
    verbose : int, default=0
        1 shows a bar of the fits, 2 prints every fit, 3 its scores.
    error_score : "raise" or number, default=nan
        Score of a candidate whose fit fails.
    return_train_score : bool, default=False
        Whether to score predictions on the training rows as well.

    Attributes
    ----------
    cv_results_ : dict of str -> ndarray
        Parameters, scores and times of every candidate, as `GridSearchCV` has them.
        Times are those of a network beside the others.
    best_estimator_ : estimator
        Fitted to all rows; not there with ``refit=False``.
    best_score_ : float
        Mean score of the best candidate.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its index in ``cv_results_``.
    scorer_ : callable or dict
        What has scored.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit.
    multimetric_ : bool
        Whether there are several scores.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if refitted to data that have them.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : For estimators other than nnfit's.

    Notes
    -----
    If the best candidate has been refitted, the search has its ``n_features_in_`` and
    ``classes_``, and its ``predict`` and other methods.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier, PopulationSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier(max_iter=100, tol=0, random_state=0)
    >>> grid = {"hidden_layer_sizes": [(10,), (20,)], "learning_rate_init": [0.01, 0.1]}
    >>> search = PopulationSearchCV(net, grid, cv=3)
    >>> search.fit(X, y)  # doctest: +SKIP
    """

    _parameter_constraints: dict = {
        **BaseSearchCV._parameter_constraints,
        "param_grid": [dict, list, None],
        "param_distributions": [dict, list, None],
        "n_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    cv_results_: dict[str, Any]
    best_estimator_: Any
    best_score_: float
    best_params_: dict[str, Any]
    best_index_: int
    scorer_: Any
    n_splits_: int
    refit_time_: float
    multimetric_: bool
    feature_names_in_: npt.NDArray[np.object_]

    # What the base class reads and no user of threads needs to set.
    pre_dispatch = "2*n_jobs"

    def __init__(
        self,
        estimator: Any,
        param_grid: Space | None = None,
        *,
        param_distributions: Space | None = None,
        n_iter: int = 10,
        random_state: RandomState | None = None,
        scoring: Scoring | Sequence[str] | Mapping[str, Scoring] | None = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[dict[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
    ) -> None:
        store_arguments(self, locals())

    def fit(self, X: Rows, y: Rows | None = None, **params: Any) -> Self:
        """Train and score all candidates in all folds, then fit the best one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        **params : dict
            Passed to ``fit`` of the estimator, the scorer and the splitter, as
            `GridSearchCV` does: of arrays with a row per sample the rows of the fold,
            such as ``sample_weight``; ``groups`` to the splitter.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            If there are no candidates to try or two kinds of them, if there is no
            network of nnfit, or if all fits fail.
        KeyboardInterrupt
            On Ctrl-C. All fits end within about a tenth of a second. As after any
            error, the search then is as before.
        """
        if (self.param_grid is None) == (self.param_distributions is None):
            given = "neither" if self.param_grid is None else "both"
            raise ValueError(
                "Set either param_grid, to try all combinations, or "
                "param_distributions, to try n_iter candidates drawn at random; got "
                f"{given}."
            )
        check_structure(X, "X")  # before its rows are taken apart
        check_structure(y, "y")
        at_once = MOST_AT_ONCE if self._uses_gpu() else None
        with (
            unchanged_on_error(self),
            self._shown_bar() as after_each,
            # Each fit's thread puts back the filters that it has found, perhaps
            # those of another thread.
            warnings.catch_warnings(),
            population(),
            side_by_side(at_once, after_each),
        ):
            return super().fit(X, y, **params)

    if TYPE_CHECKING:  # scikit-learn's method, which has no annotations

        def score(self, X: Rows, y: Rows | None = None, **params: Any) -> float: ...

    if not are_propagated:

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Say which scikit-learn hands them on to the networks."""
            check_propagation("PopulationSearchCV")
            return self

    @contextmanager
    def _shown_bar(self):
        """What to call after each fit, if there is a bar."""
        if self.verbose != 1:
            yield None
            return
        self._bar = bar = Bar("fits")
        try:
            yield bar.advance
        finally:
            bar.end()
            vars(self).pop("_bar", None)

    def _counted(self, evaluate_candidates):
        """The function that evaluates all candidates, and tells the bar how many."""

        def counted(candidates, *arguments, **options):
            candidates = list(candidates)
            # Versions of scikit-learn before 1.9 know the folds only inside.
            if hasattr(self, "n_splits_"):
                self._bar.total = len(candidates) * self.n_splits_
            return evaluate_candidates(candidates, *arguments, **options)

        return counted

    def _uses_gpu(self):
        """Whether a network of the search would train on a GPU.

        Raises
        ------
        ValueError
            If there is no network that could train beside others.
        """
        spaces = self.param_grid, self.param_distributions
        networks = [*_find_networks(self.estimator), *_find_networks(spaces)]
        if not networks:
            raise ValueError(
                "PopulationSearchCV trains estimators of nnfit, such as MLPClassifier, "
                "alone or inside of others; estimator is a "
                f"{type(self.estimator).__name__} without one. Use scikit-learn's "
                "GridSearchCV or RandomizedSearchCV for it."
            )
        return any(device.resolve(each.device) != device.CPU for each in networks)

    def _run_search(self, evaluate_candidates, callback_ctx=None):
        """Evaluate all candidates at once."""
        if self.verbose == 1:
            evaluate_candidates = self._counted(evaluate_candidates)
        kind = RandomizedSearchCV if self.param_grid is None else GridSearchCV
        # Versions of scikit-learn with callbacks require the context.
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        kind._run_search(self, evaluate_candidates, **context)


def _find_networks(value):
    """Estimators of nnfit in an estimator or in a search space."""
    if isinstance(value, BaseMLP):
        yield value
        return
    if isinstance(value, dict):
        value = list(value.values())
    elif hasattr(value, "get_params") and not isinstance(value, type):
        value = list(value.get_params(deep=False).values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _find_networks(each)
