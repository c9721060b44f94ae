"""The engine in NumPy: naive, obvious and slow.

Same interface as ``nnfit.cpu.engine``. It is the reference the compiled engine is
tested against, and lets the estimators be tested without compiling anything.
Formulas of the common functions are written out again here, on whole arrays, so
that a mistake in ``nnfit.functions`` shows as a difference; functions that are not
listed (new rows, users' own) fall back to the scalar function, element by element.
"""

from types import SimpleNamespace

import numpy as np
from scipy.special import expit, log_softmax, logsumexp, softmax, xlogy
from sklearn.metrics import accuracy_score, r2_score

from nnfit.functions.losses import LINKS
from nnfit.network import Weights

# activations: z -> (value, slope) --------------------------------------------


def _relu(z):
    return np.maximum(z, 0), (z > 0).astype(z.dtype)


def _tanh(z):
    value = np.tanh(z)
    return value, 1 - value**2


def _logistic(z):
    value = expit(z)
    return value, value * (1 - value)


def _identity(z):
    return z, np.ones_like(z)


ACTIVATIONS = {
    "identity": _identity,
    "logistic": _logistic,
    "tanh": _tanh,
    "relu": _relu,
}


def activate(activation, z):
    """Value and slope of an activation at every element of ``z``."""
    if activation.name in ACTIVATIONS:
        return ACTIVATIONS[activation.name](z)
    pairs = [activation.function(float(item)) for item in z.ravel()]
    both = np.array(pairs, dtype=z.dtype).reshape(*z.shape, 2)
    return both[..., 0], both[..., 1]


# losses: raw (n, k), y (n, n_y), params -> (values (n,), gradient (n, k)) ----


def _softmax(raw, y, params):
    k = raw.shape[1]
    target = np.eye(k, dtype=raw.dtype)[y[:, 0].astype(int)]
    target = target * (1 - params[0]) + params[0] / k
    value = -(target * log_softmax(raw, axis=1)).sum(axis=1)
    return value, softmax(raw, axis=1) - target


def _log_loss(raw, y, params):
    target = y * (1 - params[0]) + params[0] / 2
    value = np.logaddexp(0, raw) - target * raw
    return value.sum(axis=1), expit(raw) - target


def _squared_error(raw, y, params):
    return 0.5 * ((raw - y) ** 2).sum(axis=1), raw - y


def _quantile(raw, y, params):
    levels = np.asarray(params, dtype=raw.dtype)
    error = y - raw
    value = np.maximum(levels * error, (levels - 1) * error)
    return value.sum(axis=1), np.where(error > 0, -levels, 1 - levels) * (error != 0)


def _poisson(raw, y, params):
    mean = np.exp(raw)
    return (xlogy(y, y) - y * raw - y + mean).sum(axis=1), mean - y


LOSSES = {
    "softmax": _softmax,
    "log_loss": _log_loss,
    "squared_error": _squared_error,
    "quantile": _quantile,
    "poisson": _poisson,
}


def row_losses(network, raw, y):
    """Loss of every row and its gradient in the raw predictions."""
    loss = network.loss
    with np.errstate(all="ignore"):
        if loss.name in LOSSES:
            values, gradient = LOSSES[loss.name](raw, y, network.loss_parameters)
        else:
            gradient = np.empty_like(raw)
            values = np.array(
                [
                    loss.function(
                        [float(item) for item in raw[i]],
                        [float(item) for item in y[i]],
                        gradient[i],
                        raw.shape[1],
                        network.loss_parameters,
                    )
                    for i in range(len(raw))
                ]
            )
    return np.asarray(values, dtype=np.float64), gradient.astype(raw.dtype, copy=False)


def reported(network):
    """Factor of the losses that are reported: some are means over the outputs."""
    return 1 / network.n_outputs if network.loss.average_outputs else 1.0


# links: raw -> predictions ---------------------------------------------------


def link(network, raw):
    """Predictions from raw predictions."""
    with np.errstate(all="ignore"):
        if network.loss.link == "softmax":
            return np.exp(raw - logsumexp(raw, axis=1, keepdims=True))
        if network.loss.link == "logistic":
            return expit(raw)
        if network.loss.link == "exp":
            return np.exp(raw)
        out = np.empty_like(raw)
        for i in range(len(raw)):
            LINKS[network.loss.link](raw[i], out[i], raw.shape[1])
        return out


# the network -----------------------------------------------------------------


def forward(network, coefs, intercepts, X):
    """Values and slopes of every layer; the last values are the raw predictions."""
    values, slopes = [X], []
    with np.errstate(all="ignore"):
        for layer, coef, intercept in zip(
            network.layers, coefs, intercepts, strict=True
        ):
            value, slope = activate(layer.activation, values[-1] @ coef + intercept)
            values.append(value)
            slopes.append(slope)
    return values, slopes


def predict(network, weights, X, raw=False, n_threads=1):
    """Predictions row by row, so that they do not depend on the other rows."""
    out = np.empty((X.shape[0], network.n_outputs), dtype=network.dtype)
    for i in range(X.shape[0]):
        out[i] = forward(network, *weights[:2], X[i : i + 1])[0][-1][0]
    return out if raw else link(network, out)


def backward(network, coefs, values, slopes, delta):
    """Gradients of weights and intercepts, from that of the raw predictions."""
    coef_grads, intercept_grads = [], []
    with np.errstate(all="ignore"):
        for i in reversed(range(len(coefs))):
            delta = delta * slopes[i]
            coef_grads.insert(0, np.asarray(values[i].T @ delta))
            intercept_grads.insert(0, delta.sum(axis=0))
            delta = delta @ coefs[i].T
    return coef_grads, intercept_grads


# optimizers: (w, g, slots, step, learning rate, hyper) -> (w, slots) ----------


def _sgd(w, g, slots, step, rate, hyper):
    velocity = hyper[0] * slots[0] - rate * g
    return w + velocity, [velocity]


def _nesterov(w, g, slots, step, rate, hyper):
    velocity = hyper[0] * slots[0] - rate * g
    return w + hyper[0] * velocity - rate * g, [velocity]


def _adam(w, g, slots, step, rate, hyper):
    beta_1, beta_2, epsilon = hyper
    m = beta_1 * slots[0] + (1 - beta_1) * g
    v = beta_2 * slots[1] + (1 - beta_2) * g**2
    rate = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return w - rate * m / (np.sqrt(v) + epsilon), [m, v]


OPTIMIZERS = {"sgd": _sgd, "sgd_nesterov": _nesterov, "adam": _adam, "adamw": _adam}


class Engine:
    """Training of one network; see the interface in ``nnfit.cpu.engine``."""

    threads_used = 1

    def __init__(self, network, solver, *, n_threads=1, choose=False):
        self.network = network
        self.solver = solver
        self.flat = np.zeros(network.n_parameters, dtype=network.dtype)
        n_slots = 0 if solver is None else solver.slots
        self._slots = np.zeros((n_slots, len(self.flat)), dtype=network.dtype)
        self.progress = SimpleNamespace(
            epoch=0,
            step=0,
            t=0,
            learning_rate=0.0,
            best_loss=np.inf,
            no_improvement=0,
            stopped=0,
        )

    def close(self):
        """This engine has no threads."""

    # weights

    def _split(self, flat):
        coefs, intercepts, start = [], [], 0
        for layer in self.network.layers:
            stop = start + layer.n_in * layer.n_out
            coefs.append(flat[start:stop].reshape(layer.n_in, layer.n_out))
            intercepts.append(flat[stop : stop + layer.n_out])
            start = stop + layer.n_out
        return coefs, intercepts

    def set_weights(self, weights):
        for mine, given in zip(self._split(self.flat), weights[:2], strict=True):
            for array, value in zip(mine, given, strict=True):
                array[...] = value

    def get_weights(self, flat=None):
        flat = self.flat if flat is None else flat
        coefs, intercepts = self._split(flat.copy())
        return Weights([c.copy() for c in coefs], [i.copy() for i in intercepts], [])

    def get_state(self):
        return self._slots.copy()

    def set_state(self, state):
        self._slots[...] = state

    # data and settings

    def set_data(self, X, y, sample_weight=None, rows=None):
        self._X, self._y, self._weight = X, y, sample_weight
        self._rows = np.arange(X.shape[0]) if rows is None else rows

    def configure(self, **settings):
        self._settings = SimpleNamespace(**settings)
        self.progress.learning_rate = settings["learning_rate_init"]

    # evaluation

    def watch(self, X, y, sample_weight=None, rows=None, score=None):
        if rows is not None:
            X, y = X[rows], y[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        self._watched = X, y, sample_weight, score

    def validate(self):
        X, y, sample_weight, score = self._watched
        raw = forward(self.network, *self._split(self.flat), X)[0][-1]
        with np.errstate(all="ignore"):
            values = row_losses(self.network, raw, y)[0]
            mean = np.average(values, weights=sample_weight)
        loss = float(mean) * reported(self.network)
        predicted = link(self.network, raw)
        if score is None or not np.isfinite(predicted).all():
            return loss, np.nan
        if score == "r2":
            with np.errstate(all="ignore"):
                return loss, r2_score(y, predicted, sample_weight=sample_weight)
        if score == "accuracy":
            predicted = raw.argmax(axis=1)
            y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
        else:
            predicted, y = raw > 0, y > 0.5
        return loss, accuracy_score(y, predicted, sample_weight=sample_weight)

    # training

    def _batch(self, rows, flat, scale=1.0):
        """Loss (scaled data term and penalty) of some rows, and its gradient."""
        coefs, intercepts = self._split(flat)
        X, y = self._X[rows], self._y[rows]
        weight = np.ones(len(rows)) if self._weight is None else self._weight[rows]
        total = weight.sum()
        if total == 0:
            return 0.0, None
        values, slopes = forward(self.network, coefs, intercepts, X)
        losses, delta = row_losses(self.network, values[-1], y)
        dtype = self.network.dtype
        delta = delta * weight[:, None].astype(dtype)
        gradient = np.empty_like(flat)
        with np.errstate(all="ignore"):
            coef_grads, intercept_grads = backward(
                self.network, coefs, values, slopes, delta
            )
            into_coefs, into_intercepts = self._split(gradient)
            alpha = self._settings.alpha
            penalty = 0.0
            for i, coef in enumerate(coefs):
                into_coefs[i][...] = (coef_grads[i] + alpha * coef) / total
                into_intercepts[i][...] = intercept_grads[i] / total
                penalty += float(np.sum(np.square(coef, dtype=np.float64)))
            loss = float(scale * (losses @ weight) + 0.5 * alpha * penalty) / total
        return loss, gradient

    def loss_and_gradient(self, flat):
        return self._batch(self._rows, np.asarray(flat, dtype=self.network.dtype))

    def _update(self, gradient):
        settings, progress = self._settings, self.progress
        progress.step += 1
        rate = progress.learning_rate
        with np.errstate(all="ignore"):
            if self.solver.name == "adamw":
                for coef in self._split(self.flat)[0]:
                    coef *= 1 - rate * settings.weight_decay
            self.flat[...], self._slots[...] = OPTIMIZERS[self.solver.name](
                self.flat, gradient, self._slots, progress.step, rate, settings.hyper
            )

    def _epoch(self):
        settings, progress = self._settings, self.progress
        rows = self._rows
        if settings.shuffle:
            rows = np.random.default_rng([settings.seed, progress.epoch]).permutation(
                rows
            )
        total = 0.0
        for start in range(0, len(rows), settings.batch_size):
            batch = rows[start : start + settings.batch_size]
            loss, gradient = self._batch(batch, self.flat, reported(self.network))
            total += loss * len(batch)
            if gradient is not None:
                self._update(gradient)
        return total / len(rows)

    def _monitor(self, loss):
        """scikit-learn's rule: stop, or go on with a fifth of the learning rate."""
        settings, progress = self._settings, self.progress
        better = loss <= progress.best_loss - settings.tol
        progress.no_improvement = 0 if better else progress.no_improvement + 1
        progress.best_loss = min(progress.best_loss, loss)
        if progress.no_improvement > settings.n_iter_no_change:
            if settings.schedule == "adaptive" and progress.learning_rate > 1e-6:
                progress.learning_rate /= 5.0
                progress.no_improvement = 0
            else:
                progress.stopped = 1

    def train(self, max_epochs):
        settings, progress = self._settings, self.progress
        losses, rates = [], []
        if progress.epoch < max_epochs and not progress.stopped:
            rate = progress.learning_rate
            loss = self._epoch()
            if not (np.isfinite(loss) and np.isfinite(self.flat).all()):
                progress.stopped = 2
                return {"loss": np.array([]), "learning_rate": np.array([])}
            losses.append(loss)
            rates.append(rate)
            progress.epoch += 1
            progress.t += len(self._rows)
            if settings.schedule == "invscaling":
                scale = (progress.t + 1) ** settings.power_t
                progress.learning_rate = settings.learning_rate_init / scale
            if settings.monitor_loss:
                self._monitor(loss)
        return {"loss": np.array(losses), "learning_rate": np.array(rates)}
