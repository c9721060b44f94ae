"""Networks as scikit-learn's own estimators, and back."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from nnfit.interchange.plain import arrays_of, check_plain

#: Parameters that have the same meaning in both, whatever the network is.
SHARED = (
    *("activation", "alpha", "batch_size", "learning_rate_init", "max_iter"),
    *("shuffle", "random_state", "tol", "early_stopping", "validation_fraction"),
    *("n_iter_no_change", "solver", "learning_rate", "power_t"),
    *("momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon", "max_fun"),
)
#: Activations and solvers that scikit-learn has.
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
SOLVERS = ("adam", "sgd", "lbfgs")


def from_sklearn(mlp: Any) -> Any:
    """Make an estimator of nnfit of a fitted network of scikit-learn's.

    Parameters
    ----------
    mlp : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With copies of the weights, which predicts the same and trains on with
        ``warm_start=True`` or ``partial_fit``; its optimizer begins anew.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from nnfit import from_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> source = MLPClassifier((8,), solver="lbfgs", max_iter=50).fit(X, y)
    >>> bool((from_sklearn(source).predict(X) == source.predict(X)).all())
    True
    """
    from sklearn import neural_network

    from nnfit.estimators.classifier import MLPClassifier
    from nnfit.estimators.regressor import MLPRegressor

    is_classifier = isinstance(mlp, neural_network.MLPClassifier)
    if not is_classifier and not isinstance(mlp, neural_network.MLPRegressor):
        raise TypeError(
            "from_sklearn takes a network of sklearn.neural_network, got "
            f"{type(mlp).__name__}."
        )
    check_is_fitted(mlp)
    parameters = {name: getattr(mlp, name) for name in SHARED}
    arrays = mlp.coefs_, mlp.intercepts_
    model: Any
    if is_classifier:
        is_multilabel = mlp._label_binarizer.y_type_ == "multilabel-indicator"
        model = MLPClassifier.from_arrays(
            *arrays, mlp.classes_, multilabel=is_multilabel, **parameters
        )
    else:
        parameters["loss"] = getattr(mlp, "loss", "squared_error")
        model = MLPRegressor.from_arrays(*arrays, **parameters)
    if hasattr(mlp, "feature_names_in_"):
        model.feature_names_in_ = mlp.feature_names_in_
    return model


def to_sklearn(estimator: Any) -> Any:
    """Make a network of scikit-learn's own of a fitted estimator.

    Columns that were standardised, a temperature and the targets' scale become part of
    the weights, in float64.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor of nnfit
        Fitted: a single network without what scikit-learn does not have, such as
        normalisation, residual connections, embeddings and other activations.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        With copies of the weights. It predicts; its `fit` begins anew.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.
    ValueError
        If the network has what scikit-learn does not have, which the message names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier, to_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> source = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> to_sklearn(source).predict_proba(X).shape
    (150, 3)
    """
    from sklearn import neural_network

    from nnfit.estimators.mlp import BaseMLP

    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            f"to_sklearn takes an MLP of nnfit, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    link = estimator._link
    has_no_loss = (
        link not in ("logistic", "softmax")
        if estimator._task == "classification"
        else link == "sorted"
    )
    others = {f"{estimator.loss!r} as the loss": has_no_loss}
    check_plain(estimator, "scikit-learn's networks", others)
    is_classifier = estimator._task == "classification"
    name = "MLPClassifier" if is_classifier else "MLPRegressor"
    described = estimator._description()
    parameters = {each: estimator._value(each) for each in SHARED}
    if parameters["solver"] not in SOLVERS:
        del parameters["solver"]
    parameters["activation"] = _name_of_activation(described["activation"])
    coefs, intercepts = arrays_of(estimator)
    parameters["hidden_layer_sizes"] = tuple(coef.shape[1] for coef in coefs[:-1])
    if estimator._link == "exp":
        parameters["loss"] = "poisson"
    model = getattr(neural_network, name)()
    known = model.get_params()
    valid = {key: value for key, value in parameters.items() if key in known}
    model.set_params(**valid)
    model.coefs_, model.intercepts_ = coefs, intercepts
    model.n_layers_, model.n_outputs_ = len(coefs) + 1, coefs[-1].shape[1]
    model.n_features_in_ = coefs[0].shape[0]
    model.out_activation_ = estimator.out_activation_
    for each in ("feature_names_in_", "n_iter_", "loss_"):
        if hasattr(estimator, each):
            setattr(model, each, getattr(estimator, each))
    if is_classifier:
        model.classes_ = estimator.classes_
        model._label_binarizer = estimator._label_binarizer
    return model


def _name_of_activation(activation):
    """The one activation of all hidden layers."""
    given = activation if isinstance(activation, list) else [activation]
    if given[:1] * len(given) != given or given[0] not in ACTIVATIONS:
        raise ValueError(
            f"scikit-learn's networks have one of the activations {ACTIVATIONS} for "
            f"all hidden layers, got {activation!r}."
        )
    return given[0]
