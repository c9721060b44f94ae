"""PyTorch as it is mostly written, and compiled."""

import numpy as np
import torch
from torch.nn import functional

from ..problem import BETA_1, BETA_2, EPSILON


def make_net(weights):
    """Linear layers with ReLU between them, from (n_in, n_out) arrays."""
    layers = []
    for coef, intercept in weights:
        linear = torch.nn.Linear(*coef.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(coef.T))
            linear.bias.copy_(torch.from_numpy(intercept))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def net_weights(net):
    return [
        (layer.weight.detach().numpy().T, layer.bias.detach().numpy())
        for layer in net
        if isinstance(layer, torch.nn.Linear)
    ]


def half_squared_error(raw, y):
    return 0.5 * functional.mse_loss(raw[:, 0], y)


LOSSES = {"classification": functional.cross_entropy, "regression": half_squared_error}


class Torch:
    def __init__(self, n_threads):
        torch.set_num_threads(n_threads)

    def load(self, problem):
        self.X, self.y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
        self.adam = {
            "lr": problem.shape.learning_rate,
            "betas": (BETA_1, BETA_2),
            "eps": EPSILON,
        }
        self.loss = LOSSES[problem.shape.task]
        self.batch_size = problem.shape.batch_size
        self.weights = problem.initial_weights()

    def batches(self, epochs):
        """Shuffled row numbers, batch by batch."""
        for _ in range(epochs):
            yield from torch.randperm(len(self.X)).split(self.batch_size)


class Eager(Torch):
    """The loop of the tutorials, on tensors instead of a DataLoader.

    Adam is the fused one: small 40 ms an epoch against 48 in a loop over the
    parameters and 106 with ``foreach``; cover 460, 535, 807 (one thread of a Zen 4
    processor). Rows gathered batch by batch cost the same as all at once, and denormal
    numbers flushed to zero change nothing.
    """

    def fit(self, epochs):
        net = make_net(self.weights)
        optimizer = torch.optim.Adam(net.parameters(), **self.adam, fused=True)
        for rows in self.batches(epochs):
            optimizer.zero_grad()
            self.loss(net(self.X[rows]), self.y[rows]).backward()
            optimizer.step()
        return net_weights(net)


class Compiled(Torch):
    """The whole step, gather, gradient and Adam, as one graph of torch.compile.

    It needs a C++ compiler. A network compiled with its loss, with backward() and
    fused Adam outside, takes 45 ms on small where the single graph takes 14, and 8
    against 1.7 on tiny. "reduce-overhead" saves 10 % on the smallest nets and costs
    nothing on others; "max-autotune", also with C++ templates of products, and
    cpp_wrapper save nothing more. Several steps unrolled in one graph save 25 % of tiny
    with four, but eight take 100 s to compile; not done.
    """

    def load(self, problem):
        super().load(problem)
        torch._dynamo.reset()  # of the problem before
        step = make_step(self.loss, problem.shape.learning_rate)
        self.step = torch.compile(step, mode="reduce-overhead", dynamic=False)

    @torch.no_grad()
    def fit(self, epochs):
        # Transposed as Linear has them.
        arrays = [np.array(a.T, order="C") for layer in self.weights for a in layer]
        parameters = [torch.from_numpy(a) for a in arrays]
        first, second = (list(map(torch.zeros_like, parameters)) for _ in range(2))
        t = torch.zeros(())
        for rows in self.batches(epochs):
            self.step(parameters, first, second, t, self.X, self.y, rows)
        arrays = [p.numpy().T for p in parameters]
        return list(zip(arrays[::2], arrays[1::2], strict=True))


def make_step(loss, learning_rate):
    """A function that changes parameters, moments and number of steps in place."""

    def total(parameters, X, y):
        *hidden, coef, intercept = parameters
        for i in range(0, len(hidden), 2):
            X = torch.relu(functional.linear(X, hidden[i], hidden[i + 1]))
        return loss(functional.linear(X, coef, intercept), y)

    def step(parameters, first, second, t, X, y, rows):
        gradients = torch.func.grad(total)(tuple(parameters), X[rows], y[rows])
        t += 1
        rate = learning_rate * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        for p, m, v, gradient in zip(parameters, first, second, gradients, strict=True):
            m.mul_(BETA_1).add_(gradient, alpha=1 - BETA_1)
            v.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            p.sub_(rate * m / (v.sqrt() + EPSILON))

    return step
