"""
Vanishing gradients and skip connections
========================================

Many layers can say more than few. But the gradient has to come back through all
of them, and in each layer it is multiplied by something. Over many layers
nearly nothing of it is left. Skip connections give it a way around.
"""

# %%
# A product of small numbers
# --------------------------
#
# Backpropagation multiplies by the derivative of the activation in each layer.
# For the logistic function :math:`\sigma` it is
#
# .. math:: \sigma'(z) = \sigma(z) (1 - \sigma(z)) \le \frac{1}{4}.
#
# So a gradient that goes back through ten of them is multiplied by a millionth
# or less, if the weights do not make up for it.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnfit import GradientFlowDisplay, MLPClassifier
from nnfit.callbacks import GradientMonitor

z = np.linspace(-8, 8, 1001)
logistic = 1 / (1 + np.exp(-z))
slope = logistic * (1 - logistic)
assert slope.max() == 0.25
print(f"ten layers: at most {0.25**10:.1e}")

# %%
# A deep network
# --------------
#
# Ten hidden layers of logistic units learn digits. The callback
# ``GradientMonitor`` writes down the size of the gradient in each layer after
# every epoch.

warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
X, y = load_digits(return_X_y=True)
X_train, y_train, X_test, y_test = X[:256] / 16, y[:256], X[256:] / 16, y[256:]
fixed = {"batch_size": 32, "max_iter": 60, "random_state": 0}
fixed["n_iter_no_change"] = 60
deep = MLPClassifier((32,) * 10, activation="logistic", **fixed)
deep.set_callbacks(GradientMonitor()).fit(X_train, y_train)
print(f"accuracy on test rows: {deep.score(X_test, y_test):.3f}")
assert deep.score(X_test, y_test) < 0.2

# %%
# The network learns nothing: one digit in ten is guessed. The picture says why.
# Each line is a layer, dark for the first one. The gradient of the first layer
# is less than a millionth of that of the last one.

GradientFlowDisplay.from_estimator(deep)
plt.show()
sizes = np.array(deep.gradient_history_["gradient"])
assert (sizes[:, 0] < 1e-6 * sizes[:, -1]).all()

# %%
# The same numbers
# ----------------
#
# Backpropagation by hand has the same sizes: the root of the sum of the squared
# derivatives of each matrix, with the weights at the end of training.

outputs = [X_train]
for W, b in zip(deep.coefs_[:-1], deep.intercepts_[:-1], strict=True):
    outputs.append(1 / (1 + np.exp(-(outputs[-1] @ W + b))))
score = outputs[-1] @ deep.coefs_[-1] + deep.intercepts_[-1]
p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
back = (p - np.eye(10)[y_train]) / len(X_train)
norms = []
for W, a in zip(deep.coefs_[::-1], outputs[::-1], strict=True):
    norms.insert(0, np.linalg.norm(a.T @ back))
    back = (back @ W.T) * a * (1 - a)
recorded = deep.gradient_history_["gradient"][-1]
for name, norm in zip(deep.gradient_history_["layers"], norms, strict=True):
    print(f"{name:10} {norm:.1e}")
assert np.allclose(norms, recorded, rtol=1e-2)

# %%
# Skip connections
# ----------------
#
# With ``residual=True`` a layer adds what it has computed to what came before.
# With :math:`z_{i-1}` the numbers of a layer and :math:`f` the activation, the
# next layer has
#
# .. math::
#
#    z_i = z_{i-1} + f(z_{i-1}) W_i, \qquad
#    \frac{\partial z_i}{\partial z_{i-1}} = 1 + \cdots
#
# The 1 is the way around the layer: on it the gradient is not multiplied by
# anything. Nothing else is changed here.

skipping = MLPClassifier((32,) * 10, activation="logistic", **fixed)
skipping.set_params(residual=True)
skipping.set_callbacks(GradientMonitor()).fit(X_train, y_train)
print(f"accuracy on test rows: {skipping.score(X_test, y_test):.3f}")
GradientFlowDisplay.from_estimator(skipping)
plt.show()

# %%
# No layer is left without a gradient, and the network learns.

for name, net in (("plain", deep), ("with skip connections", skipping)):
    sizes = np.array(net.gradient_history_["gradient"])
    ratio = np.median(sizes[:, 0] / sizes[:, -1])
    print(f"{name:22} gradient of the first layer over the last: {ratio:.0e}")
assert skipping.score(X_test, y_test) > 0.5

# %%
# Other activations
# -----------------
#
# The default activation ``relu`` is :math:`\max(0, z)`. Its derivative is 1 or
# 0, so that the gradients vanish more slowly. In a deep network the skip
# connections help it, too.

figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
accuracy = {}
for activation in ("logistic", "relu"):
    for residual in (False, True):
        name = activation + (", residual" if residual else "")
        net = MLPClassifier((32,) * 10, activation=activation, **fixed)
        net.set_params(residual=residual).fit(X_train, y_train)
        accuracy[name] = net.score(X_test, y_test)
        axes.plot(range(1, 61), net.loss_curve_, label=name)
        print(f"{name:20} accuracy on test rows: {accuracy[name]:.3f}")
axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, 2.6))
axes.legend()
plt.show()
assert accuracy["relu, residual"] > accuracy["relu"] > accuracy["logistic"]

# %%
# The example :doc:`/examples/deep_network` has a hundred layers, and
# :doc:`/user_guide/diagnosing` says what to do about gradients that vanish or
# explode. Next is :ref:`normalisation <sphx_glr_tutorial_10_normalisation.py>`.
