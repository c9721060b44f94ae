"""
A network that does not learn
=============================

Eight layers of logistic units look like a powerful network and learn nothing: the
gradient fades on its way back through them. ``diagnose`` says so, a picture shows it,
and the cure is a parameter.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import GradientFlowDisplay, MLPClassifier, diagnose
from nnfit.callbacks import GradientMonitor

warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)
# Three pixels are never used, and a constant column is a finding, too.
X = X[:, X.std(axis=0) > 0] / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


def train(**parameters):
    """A network of eight hidden layers, with a record of its gradients."""
    net = MLPClassifier((32,) * 8, max_iter=40, random_state=0)
    net.set_params(learning_rate_init=0.005, n_iter_no_change=40, **parameters)
    return net.set_callbacks(GradientMonitor()).fit(X_train, y_train)


# %%
# Logistic units
# --------------

broken = train(activation="logistic")
print(f"accuracy {broken.score(X_test, y_test):.2f}\n")
print(diagnose(broken, X_train, y_train, X_val=X_test, y_val=y_test))

# %%
# Each layer is a curve. From the output to the first layer the gradient loses a factor
# of some ten a layer, until nothing is left of it.

GradientFlowDisplay.from_estimator(broken)
plt.show()

# %%
# What the advice makes of it
# ---------------------------

mended = train(activation="relu", residual=True, normalization="layer")
print(f"accuracy {mended.score(X_test, y_test):.2f}\n")
print(diagnose(mended, X_train, y_train, X_val=X_test, y_val=y_test))

# %%
# The gradients of all layers are of one size, and become small together, as the network
# makes fewer mistakes.

GradientFlowDisplay.from_estimator(mended)
plt.show()
