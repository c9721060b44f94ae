"""The same training in PyTorch, where it is installed."""

import warnings

import numpy as np
import pytest

from nnfit import MLPClassifier, MLPRegressor

torch = pytest.importorskip("torch")

ACTIVATIONS = {
    "identity": torch.nn.Identity(),
    "logistic": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(0.01),
    "elu": torch.nn.ELU(),
    "selu": torch.nn.SELU(),
    "gelu": torch.nn.GELU(),
    "silu": torch.nn.SiLU(),
    "mish": torch.nn.Mish(),
    "softplus": torch.nn.Softplus(),
    "hard_swish": torch.nn.Hardswish(),
}
# Adam's epsilon stands outside of the bias correction in PyTorch: make it vanish.
SOLVERS = {
    "sgd": (
        {"nesterovs_momentum": False},
        lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    ),
    "adam": (
        {"epsilon": 1e-14},
        lambda groups: torch.optim.Adam(groups, lr=0.01, eps=1e-14),
    ),
    "adamw": (
        {"epsilon": 1e-14, "weight_decay": 0.1},
        lambda groups: torch.optim.AdamW(groups, lr=0.01, eps=1e-14),
    ),
    # So large a decay makes the momentum of every step beta_1.
    "nadam": (
        {},
        lambda groups: torch.optim.NAdam(groups, lr=0.01, momentum_decay=1e9),
    ),
    "rmsprop": (
        {"rho": 0.95},
        lambda groups: torch.optim.RMSprop(groups, lr=0.01, alpha=0.95),
    ),
}
LOSSES = {
    "squared_error": lambda raw, y: 0.5 * torch.nn.functional.mse_loss(raw[:, 0], y),
    "huber": lambda raw, y: torch.nn.functional.huber_loss(raw[:, 0], y),
    "poisson": lambda raw, y: (
        torch.special.xlogy(y, y) - y - y * raw[:, 0] + raw[:, 0].exp()
    ).mean(),
}
EPOCHS, BATCH = 20, 32


def fit(estimator, X, y):
    """Fit without shuffling for all epochs."""
    estimator.set_params(
        hidden_layer_sizes=(9, 5), learning_rate_init=0.01, max_iter=EPOCHS,
        batch_size=BATCH, shuffle=False, alpha=0.0, random_state=0, dtype="float64",
        n_iter_no_change=EPOCHS + 1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


def torch_loss_curve(model, activation, optimizer, loss, X, y):
    """Loss of every epoch of a PyTorch network that starts from equal weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = model.__class__(**{**model.get_params(), "learning_rate_init": 1e-300})
        start.set_params(max_iter=1, solver="sgd").fit(X, y)
    layers = []
    for coef, intercept in zip(start.coefs_, start.intercepts_, strict=True):
        layer = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight[...] = torch.from_numpy(coef.T.copy())
            layer.bias[...] = torch.from_numpy(intercept)
        layers += [layer, ACTIVATIONS[activation]]
    net = torch.nn.Sequential(*layers[:-1])
    groups = [
        {"params": [p for p in net.parameters() if p.ndim == 2]},
        {"params": [p for p in net.parameters() if p.ndim == 1]},
    ]
    if model.solver == "adamw":
        groups[0]["weight_decay"], groups[1]["weight_decay"] = model.weight_decay, 0.0
    step = optimizer(groups)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    curve = []
    for _ in range(EPOCHS):
        total = 0.0
        for first in range(0, len(X), BATCH):
            rows = slice(first, first + BATCH)
            step.zero_grad()
            value = loss(net(X[rows]), y[rows])
            value.backward()
            step.step()
            total += value.item() * len(X[rows])
        curve.append(total / len(X))
    return curve


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_learn_as_in_torch(activation):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 6)), rng.integers(0, 3, size=150)
    model = fit(MLPClassifier(activation=activation, epsilon=1e-14), X, y)
    curve = torch_loss_curve(
        model, activation, SOLVERS["adam"][1], torch.nn.functional.cross_entropy, X, y
    )
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_losses_and_solvers_learn_as_in_torch(loss, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 6))
    y = np.exp(0.5 * X[:, 0])
    changes, optimizer = SOLVERS[solver]
    model = MLPRegressor(loss, activation="tanh", solver=solver, **changes)
    fit(model, X, y)
    curve = torch_loss_curve(model, "tanh", optimizer, LOSSES[loss], X, y)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-5)
