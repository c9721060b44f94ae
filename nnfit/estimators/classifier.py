"""Classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from nnfit.estimators import by_hand
from nnfit.estimators.annotations import (
    Activation,
    ClassWeight,
    Dtype,
    FloatArray,
    Loss,
    Numbers,
    RandomState,
    Rows,
    Schedule,
    Scoring,
    Sizes,
    typed,
)
from nnfit.estimators.by_batches import BatchMLP
from nnfit.estimators.conventions import store_arguments
from nnfit.estimators.documentation import documented
from nnfit.estimators.losses import find_loss, takes_index
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.parameters import NOT_NEGATIVE, PART, among
from nnfit.estimators.predicting_classes import FittedClassifier
from nnfit.estimators.targets import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    apply_class_weights,
    check_known_classes,
    class_weights,
    count_classes,
    dense_target,
    encode_index,
    encode_labels,
    find_classes,
    missing_classes,
)
from nnfit.estimators.validation import check_objects, check_sum_of_weights
from nnfit.functions.losses import loss_options


@documented
class MLPClassifier(ClassifierMixin, FittedClassifier, BatchMLP):
    """Multi-layer perceptron classifier.

    Minimises the log-loss, another loss, or one of your own, over the weights of a
    fully connected network. Takes the place of scikit-learn's `MLPClassifier`: it has
    the same parameters, attributes and warnings, and more parameters and attributes.

    Parameters
    ----------
    early_stopping : bool, default=False
        Whether to stop when the score on validation data has not risen by `tol` for
        `n_iter_no_change` epochs, and to keep the best weights. The data are
        `X_val` and `y_val` of `fit`, or else a part of the training data. This part
        is stratified by class if there are two classes, or if `scoring` needs a row
        of each. Not used by 'lbfgs'.
    loss : str or callable, default="log_loss"
        Loss function:
        {classification losses},
        or a function of your own. 'focal' is the log-loss with less weight on rows
        that are right already. 'squared_hinge' is the loss of support vector machines,
        one versus the rest if there are several classes. It has no probabilities, so
        there is no `predict_proba`, and `decision_function` gives the scores. A
        function ``f(raw_prediction, y) -> (value, gradient)`` on floats is summed over
        the classes, with y = 1 for the true one and 0 for the others. Probabilities
        are then the logistic function of the raw predictions. With several classes
        they are divided by their sum.
    label_smoothing : float, default=0.0
        Part of the target's probability, in [0, 1), that the log-loss spreads evenly
        over the classes. Other losses refuse it.
    focal_gamma : float, default=2.0
        Exponent of `loss='focal'`, 0 or more. A row whose class has the probability p
        counts ``(1 - p) ** focal_gamma`` times. With 0 it is the log-loss.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes in the loss, times `sample_weight`. "balanced" stands
        for ``n_samples / (n_classes * count)``, where rows count by their weights and
        `partial_fit` counts those of all calls.
        For multilabel `y`, a list with a dict with the keys 0 and 1 for each label;
        these weights are multiplied. Weights are finite and not negative. The loss of
        a batch is divided by the mean weight of all rows, not of the batch's own, so
        that classes count by their weights whatever `batch_size` is. Only the default
        score counts them.
    scoring : str, callable or None, default=None
        Score of the validation data: the name of a scikit-learn scorer, or a function
        ``scorer(estimator, X, y)``. None stands for the accuracy, "loss" for the
        negative loss.
    temperature_scaling : bool, default=False
        Whether to divide the raw predictions by `temperature_`, the number with the
        smallest log-loss on the validation data (Guo et al. 2017). Needs `X_val` or
        `early_stopping`, and some hundred validation rows. The predicted classes stay
        the same.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the labels if `y` is multilabel.
    {attributes}
    out_activation_ : str
        Inverse link: 'softmax' for several classes, else 'logistic'; 'identity' for a
        loss without probabilities.
    temperature_ : float
        The number that raw predictions are divided by, from 0.05 to 1000. Only with
        `temperature_scaling`.

    See Also
    --------
    MLPRegressor : The same for regression.
    sklearn.neural_network.MLPClassifier : Whose place this class takes.

    Notes
    -----
    As in scikit-learn, with a single class the probabilities have two columns.

    Examples
    --------
    >>> from nnfit import MLPClassifier
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X, y, stratify=y, random_state=1
    ... )
    >>> clf = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
    >>> clf.predict_proba(X_test[:1]).shape
    (1, 2)
    >>> clf.score(X_test, y_test) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **BaseMLP._parameter_constraints,
        "loss": [among(loss_options("classification")), callable],
        "label_smoothing": PART,
        "focal_gamma": NOT_NEGATIVE,
        "class_weight": [among(["balanced"]), dict, list, None],
        "temperature_scaling": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (100,),
        activation: Activation | Sequence[Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Loss = "log_loss",
        label_smoothing: float = 0.0,
        focal_gamma: float = 2.0,
        class_weight: ClassWeight | None = None,
        weight_decay: float = 0.01,
        l1: float = 0.0,
        max_norm: float | None = None,
        dropout: Numbers = 0.0,
        input_dropout: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        feature_swap: float = 0.0,
        input_noise: float = 0.0,
        ema_decay: float | None = None,
        swa: float | None = None,
        initialization: str = "glorot",
        init_from: Any | None = None,
        freeze: int | str | npt.ArrayLike | None = None,
        unfreeze_at: int | None = None,
        normalization: str | None = None,
        residual: bool = False,
        scaling: str | None = None,
        numeric_embedding: str | dict[str, Any] | None = None,
        categorical_features: npt.ArrayLike | str | None = None,
        category_embedding: dict[str, Any] | None = None,
        n_shared_members: int = 1,
        member_adapters: str = "all",
        member_rows: str = "shared",
        n_layers: int | None = None,
        layer_width: int = 100,
        taper: float = 1.0,
        rho: float = 0.9,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        learning_rate_factors: Sequence[float] | FloatArray | None = None,
        warmup: float = 0.0,
        learning_rate_decay: float = 0.1,
        learning_rate_cycles: int = 3,
        weight_decay_schedule: Schedule | None = None,
        dropout_schedule: Schedule | None = None,
        momentum_schedule: Schedule | None = None,
        scoring: Scoring | None = None,
        max_time: float | None = None,
        temperature_scaling: bool = False,
        n_members: int = 1,
        dtype: Dtype | None = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        store_arguments(self, locals())

    # Targets -----------------------------------------------------------------

    _task = "classification"
    _needed_to_predict = (*BaseMLP._needed_to_predict, "classes_")

    def _learn_target(self, y, sample_weight, first_pass, incremental, classes):
        check_objects(classes, "classes", y_numeric=False)
        if not incremental and first_pass and classes is not None:
            vars(self).pop("classes_", None)  # of an earlier fit
            incremental = True
        if incremental and _check_partial_fit_first_call(self, classes):
            kind = type_of_target(y)
            if not kind.startswith("multilabel"):
                kind = type_of_target(self.classes_)
            self._target_kind = kind if kind in (MULTICLASS, MULTILABEL) else BINARY
            self._sparse_target = issparse(y)
            check_known_classes(y, self.classes_, self._target_kind, self.warm_start)
        elif first_pass and not incremental:
            self.classes_, self._target_kind = find_classes(y)
            self._sparse_target = issparse(y)
        else:
            check_known_classes(y, self.classes_, self._target_kind, self.warm_start)
        y = dense_target(y)
        self._learn_class_weights(y, sample_weight, incremental)
        return y

    def _learn_class_weights(self, y, sample_weight, incremental):
        counts = None
        if isinstance(self.class_weight, str):  # "balanced"
            counts = count_classes(y, sample_weight, self.classes_, self._target_kind)
            if incremental and getattr(self, "_class_counts", None) is not None:
                counts = counts + self._class_counts
        self._set_class_weights(counts)

    def _set_class_weights(self, counts):
        """Weights of the classes, of which there are so many rows."""
        self._class_counts = counts
        self._class_weights = class_weights(
            self.class_weight, self.classes_, self._target_kind, counts
        )

    def _check_target_again(self, y, name="y_val"):
        check_known_classes(y, self.classes_, self._target_kind, False, name)
        return dense_target(y)

    def _encode(self, y, dtype):
        if takes_index(self.loss, self._target_kind):
            index = encode_index(y, self.classes_)
            return np.ascontiguousarray(index[:, None], dtype=dtype)
        return encode_labels(y, self.classes_, self._target_kind, dtype)

    def _count_outputs(self, target):
        return 1 if self._target_kind == BINARY else len(self.classes_)

    def _loss_row(self):
        return find_loss(self, self._target_kind)

    def _weigh(self, y, sample_weight):
        if self._class_weights is None:
            return sample_weight
        weights = apply_class_weights(
            self._class_weights, y, self.classes_, self._target_kind
        )
        return weights if sample_weight is None else weights * sample_weight

    def _loss_weights(self, y, sample_weight, name="sample_weight"):
        weights = self._weigh(y, sample_weight)
        if self._class_weights is None:
            return weights
        return check_sum_of_weights(weights, f"class_weight times {name}")

    def _stratify(self, y, target, every=False):
        # As scikit-learn: neither multilabel targets nor more than two classes, of
        # which the rarest may have too few rows for two parts.
        if self._target_kind == BINARY:
            return target[:, 0] > 0
        wanted = every and self._target_kind == MULTICLASS
        return encode_index(y, self.classes_) if wanted else None

    def _missing_classes(self, y):
        return missing_classes(y, self.classes_, self._target_kind)

    def _default_score(self):
        return "accuracy" if self._target_kind == MULTICLASS else "multilabel_accuracy"

    # Fitting -----------------------------------------------------------------

    @typed(available_if(lambda estimator: estimator._check_solver()))
    @typed(_fit_context(prefer_skip_nested_validation=True))
    def partial_fit(
        self,
        X: Rows,
        y: Rows,
        sample_weight: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: Rows | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on the given data, going on from earlier calls.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Required in the first call, may be
            left out in later ones.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data, evaluated after the epoch and recorded in ``history_``.
            Needed with ``early_stopping=True``: once ``n_iter_no_change`` calls have
            not raised the score by ``tol``, the best weights of all calls are restored
            and ``stopped_`` is True. Further calls train no more, until `fit` or
            ``early_stopping=False``.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation data.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation data.

        Returns
        -------
        self : object
            The estimator after one more epoch.

        Raises
        ------
        ValueError
            As `fit`; also if `activation`, `normalization`, `residual` or a size is not
            that of earlier calls, or if `y` has a class that the first call did not
            name.
        MemoryError
            If the network does not fit into memory.
        """
        given = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, given, incremental=True, classes=classes)

    @classmethod
    def from_arrays(
        cls,
        coefs: Sequence[npt.ArrayLike],
        intercepts: Sequence[npt.ArrayLike],
        classes: npt.ArrayLike,
        *,
        multilabel: bool = False,
        norms: Sequence[npt.ArrayLike] = (),
        **parameters: Any,
    ) -> Self:
        """Make a fitted classifier of weights from elsewhere.

        It predicts, and goes on training with ``partial_fit`` or ``warm_start=True``.

        Parameters
        ----------
        coefs : list of array-like of shape (n_in, n_out)
            Weights of every layer, which are copied. The last one has a column for each
            class, or one for two classes.
        intercepts : list of array-like of shape (n_out,)
            Intercepts of every layer, which are copied.
        classes : array-like of shape (n_classes,)
            In the order of the columns, and sorted.
        multilabel : bool, default=False
            Whether the columns are labels, of which a row may have several.
        norms : list of array-like, default=()
            As the attribute ``norms_``, with the parameter ``normalization``.
        **parameters
            Of the estimator, such as ``activation``. ``hidden_layer_sizes`` is that of
            the weights.

        Returns
        -------
        MLPClassifier
            With what `fit` sets, except for the records of a training. It
            standardises nothing. If the source did, pass it features from which the
            source's ``feature_shifts_`` are subtracted and that are divided by its
            ``feature_scales_``.

        Raises
        ------
        ValueError
            If shapes do not belong together, or `classes` are not sorted.
        """
        model = cls(**parameters)
        model.classes_ = by_hand.check_sorted(classes)
        if multilabel:
            model._target_kind = MULTILABEL
        return model._take(coefs, intercepts, norms)

    # Scoring -----------------------------------------------------------------

    if TYPE_CHECKING:  # scikit-learn's method, which has no annotations

        def score(
            self, X: Rows, y: Rows, sample_weight: npt.ArrayLike | None = None
        ) -> float: ...

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
