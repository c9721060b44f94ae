"""Optimizers on whole arrays.

They are written out again, so that a mistake in ``nnfit.functions`` shows as a
difference; those that are not listed (new rows) fall back to the scalar functions,
element by element.

``update(w, g, slots, step, rate, hyper) -> (w, slots)``; `step` counts from 1 and
`hyper` maps the names of the estimator's parameters to their values. Its item
``shrink`` is the rate times the decoupled weight decay of `w`, 0 for biases.
"""

from functools import partial

import numpy as np


def _sgd(w, g, slots, step, rate, hyper):
    velocity = hyper["momentum"] * slots[0] - rate * g
    return w + velocity, [velocity]


def _nesterov(w, g, slots, step, rate, hyper):
    velocity = hyper["momentum"] * slots[0] - rate * g
    return w + hyper["momentum"] * velocity - rate * g, [velocity]


def _moments(g, slots, hyper):
    beta_1, beta_2 = hyper["beta_1"], hyper["beta_2"]
    m = beta_1 * slots[0] + (1 - beta_1) * g
    v = beta_2 * slots[1] + (1 - beta_2) * g**2
    return m, v


def _adam(w, g, slots, step, rate, hyper):
    m, v = _moments(g, slots, hyper)
    rate = rate * np.sqrt(1 - hyper["beta_2"] ** step) / (1 - hyper["beta_1"] ** step)
    return w - rate * m / (np.sqrt(v) + hyper["epsilon"]), [m, v]


def _adamw(w, g, slots, step, rate, hyper):
    return _adam(w * (1 - hyper["shrink"]), g, slots, step, rate, hyper)


def _nadam(w, g, slots, step, rate, hyper):
    beta_1 = hyper["beta_1"]
    m, v = _moments(g, slots, hyper)
    ahead = beta_1 * m / (1 - beta_1 ** (step + 1)) + (1 - beta_1) * g / (
        1 - beta_1**step
    )
    spread = np.sqrt(v / (1 - hyper["beta_2"] ** step))
    return w - rate * ahead / (spread + hyper["epsilon"]), [m, v]


def _rmsprop(w, g, slots, step, rate, hyper):
    v = hyper["rho"] * slots[0] + (1 - hyper["rho"]) * g**2
    return w - rate * g / (np.sqrt(v) + hyper["epsilon"]), [v]


def _lion(w, g, slots, step, rate, hyper):
    beta_1, beta_2 = hyper["beta_1"], hyper["beta_2"]
    direction = np.sign(beta_1 * slots[0] + (1 - beta_1) * g)
    w = w * (1 - hyper["shrink"])
    return w - rate * direction, [beta_2 * slots[0] + (1 - beta_2) * g]


def _schedule_free(w, g, slots, step, rate, hyper):
    """`w` is y, where the gradient is taken; the slots are z and v.

    The item ``share`` of `hyper` is that of z in the average x.
    """
    z, v = slots
    beta_1, beta_2, share = hyper["beta_1"], hyper["beta_2"], hyper["share"]
    x = schedule_free_average(w, z, hyper)
    v = beta_2 * v + (1 - beta_2) * g**2
    z = z - rate * g / (np.sqrt(v / (1 - beta_2**step)) + hyper["epsilon"])
    z = z - hyper["shrink"] * w
    x = (1 - share) * x + share * z
    return (1 - beta_1) * z + beta_1 * x, [z, v]


def schedule_free_average(w, z, hyper):
    """The weights that schedule-free AdamW evaluates, x, from those it trains."""
    beta_1 = hyper["beta_1"]
    return (w - (1 - beta_1) * z) / beta_1


def orthogonalised(u):
    """Nearly the closest matrix with orthonormal columns or rows."""
    x = u / (np.linalg.norm(u) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon(w, g, slots, step, rate, hyper):
    """Muon's step of a whole matrix."""
    mu = hyper["momentum"]
    momentum = mu * slots[0] + (1 - mu) * g
    direction = orthogonalised((1 - mu) * g + mu * momentum)
    scale = 0.2 * np.sqrt(max(w.shape))
    w = w * (1 - hyper["shrink"])
    return w - rate * scale * direction, [momentum, slots[1]]


OPTIMIZERS = {
    "sgd": _sgd,
    "sgd_nesterov": _nesterov,
    "adam": _adam,
    "adamw": _adamw,
    "nadam": _nadam,
    "rmsprop": _rmsprop,
    "lion": _lion,
    "schedule_free": _schedule_free,
    "muon": _adamw,  # of all but the hidden matrices
}
#: What the schedule of momentum multiplies.
MOMENTUM = {
    "sgd": "momentum",
    "sgd_nesterov": "momentum",
    "rmsprop": None,
    "schedule_free": None,
    "muon": "momentum",
    "adam": "beta_1",
    "adamw": "beta_1",
    "nadam": "beta_1",
    "lion": "beta_1",
}


def update_of(row):
    """The function above for a row of the registry, or one that calls the row's."""
    return OPTIMIZERS.get(row.name) or partial(_by_element, row)


def momentum_of(row):
    """Name of the parameter that the schedule of momentum multiplies, or None."""
    return MOMENTUM.get(row.name, row.momentum)


def average_of(row, w, slots, hyper):
    """The weights that are evaluated, from those in training."""
    if row.name == "schedule_free":
        return schedule_free_average(w, slots[0], hyper)
    values = [hyper[name] for name in row.parameters]
    columns = [array.ravel().tolist() for array in (w, *slots)]
    found = [row.average(*numbers, values) for numbers in zip(*columns, strict=True)]
    return np.array(found, w.dtype).reshape(w.shape)


def _by_element(row, w, g, slots, step, rate, hyper):
    memory = hyper["memory"]  # of these weights, from step to step
    values = [hyper[name] for name in row.parameters]
    h = row.prepare(float(step), float(rate), values, memory)
    if row.decays:
        h = (*h[:7], hyper["shrink"])
    else:
        w = w * (1 - hyper["shrink"] * row.decoupled)
    columns = [array.ravel().tolist() for array in (w, g, *slots)]
    found = [row.update(*numbers, h) for numbers in zip(*columns, strict=True)]
    arrays = np.array(found, w.dtype).reshape(w.size, 1 + row.slots).T
    w, *slots = arrays.reshape(1 + row.slots, *w.shape)
    return w, slots
