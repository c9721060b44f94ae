"""Networks broken on purpose, and sound ones, for tests of `nnfit.diagnose`."""

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
    make_circles,
)
from sklearn.preprocessing import scale

from nnfit import MLPClassifier, MLPRegressor, RealMLPClassifier, TabMRegressor


def iris():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


def cancer(scales=True):
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X) if scales else X, y


def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X), y


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


def classifier(*layers, **parameters):
    defaults = {"random_state": 0, "max_iter": 100, "learning_rate_init": 0.01}
    return MLPClassifier(layers or (20,), **{**defaults, **parameters})


def regressor(*layers, **parameters):
    defaults = {"random_state": 0, "max_iter": 100, "learning_rate_init": 0.01}
    return MLPRegressor(
        hidden_layer_sizes=layers or (20,), **{**defaults, **parameters}
    )


def _fit(model, X, y, **given):
    return model.fit(X, y, **given), X, y, {}


# Broken: a function for each, and the kinds that must be found ----------------


def dead():
    """A step so large that it leaves every unit on the flat side."""
    X, y = wine()
    model = classifier(20, 20, max_iter=20).fit(X, y)
    model.intercepts_[0][:15] = -100.0
    return model, X, y, {}


def saturated():
    X, y = cancer(scales=False)
    return _fit(classifier(20, activation="tanh", max_iter=20), X[:, 20:], y)


def vanishing():
    X, y = iris()
    layers = (20,) * 8
    return _fit(classifier(*layers, activation="logistic", max_iter=20), X, y)


def exploding():
    X, y = wine()
    model = classifier(*(20,) * 8, max_iter=5, solver="sgd").fit(X, y)
    for coef in model.coefs_:
        coef *= 5.0
    return model, X, y, {}


def overfitted():
    X, y = diabetes()
    model = regressor(100, 100, max_iter=150).fit(X[:150], y[:150])
    return model, X[:150], y[:150], {"X_val": X[150:], "y_val": y[150:]}


def underfitted():
    X, y = make_circles(200, noise=0.1, random_state=0)
    return _fit(classifier(5, activation="identity"), X, y)


def unscaled():
    X, y = cancer(scales=False)
    return _fit(classifier(20), X, y)


def constant():
    X, y = iris()
    return _fit(classifier(10), np.c_[X, np.zeros(len(X))], y)


def too_fast():
    X, y = wine()
    return _fit(classifier(50, learning_rate_init=3.0, max_iter=30), X, y)


def too_slow():
    X, y = wine()
    return _fit(classifier(20, learning_rate_init=1e-5, max_iter=50), X, y)


def one_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = rng.permutation(np.arange(600) < 20)
    return _fit(classifier(10, max_iter=20), X, np.where(y, "rare", "usual"))


def leaking():
    X, y = cancer()
    model = classifier(20, max_iter=30).fit(X[:400], y[:400])
    return model, X[:400], y[:400], {"X_val": X[300:500], "y_val": y[300:500]}


def leaking_holdout():
    X, y = wine()
    X, y = np.r_[X, X], np.r_[y, y]
    return _fit(classifier(20, early_stopping=True), X, y)


BROKEN = {
    dead: "dead_units",
    saturated: "saturated_units",
    vanishing: "vanishing_gradients",
    exploding: "exploding_gradients",
    overfitted: "overfitting",
    underfitted: "underfitting",
    unscaled: "unscaled_features",
    constant: "constant_features",
    too_fast: "learning_rate_high",
    too_slow: "learning_rate_low",
    one_class: "class_never_predicted",
    leaking: "shared_rows",
    leaking_holdout: "shared_rows",
}


# Sound ------------------------------------------------------------------------


def sound_classes():
    return _fit(classifier(20), *iris())


def sound_stopped():
    return _fit(classifier(50, 20, early_stopping=True, n_iter_no_change=20), *cancer())


def sound_deep():
    X, y = wine()
    layers = (20,) * 6
    return _fit(classifier(*layers, residual=True, normalization="layer"), X, y)


def sound_tanh():
    return _fit(classifier(30, activation="tanh", alpha=0.01), *wine())


def sound_numbers():
    X, y = diabetes()
    model = regressor(20, early_stopping=True, alpha=1.0)
    return _fit(model, X, y)


def sound_members():
    X, y = cancer()
    model = classifier(20, n_members=2, max_iter=30).fit(X[:400], y[:400])
    return model, X[:400], y[:400], {"X_val": X[400:], "y_val": y[400:]}


def sound_realmlp():
    X, y = cancer(scales=False)
    return _fit(RealMLPClassifier(max_iter=20, random_state=0), X, y)


def sound_tabm():
    X, y = load_diabetes(return_X_y=True)
    return _fit(TabMRegressor(max_iter=40, random_state=0), X, y)


SOUND = (
    sound_classes,
    sound_stopped,
    sound_deep,
    sound_tanh,
    sound_numbers,
    sound_members,
    sound_realmlp,
    sound_tabm,
)
