"""PyTorch as it is mostly written, recorded, and compiled.

On a GPU the rows lie there, and products are those of float32, PyTorch's default, not
of TF32.
"""

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
        (layer.weight.detach().cpu().numpy().T, layer.bias.detach().cpu().numpy())
        for layer in net
        if isinstance(layer, torch.nn.Linear)
    ]


def half_squared_error(raw, y):
    return 0.5 * functional.mse_loss(raw[:, 0], y)


LOSSES = {"classification": functional.cross_entropy, "regression": half_squared_error}


class Torch:
    def __init__(self, n_threads, device="cpu"):
        torch.set_num_threads(n_threads)
        self.device = device

    def load(self, problem):
        self.X = torch.from_numpy(problem.X).to(self.device)
        self.y = torch.from_numpy(problem.y).to(self.device)
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
            order = torch.randperm(len(self.X), device=self.device)
            yield from order.split(self.batch_size)


class Eager(Torch):
    """The loop of the tutorials, on tensors instead of a DataLoader.

    Adam is the fused one: small 40 ms an epoch against 48 in a loop over the
    parameters and 106 with ``foreach``; cover 460, 535, 807 (one thread of a Zen 4
    processor). Rows gathered batch by batch cost the same as all at once, and denormal
    numbers flushed to zero change nothing.
    """

    def fit(self, epochs):
        net = make_net(self.weights).to(self.device)
        optimizer = torch.optim.Adam(net.parameters(), **self.adam, fused=True)
        for rows in self.batches(epochs):
            optimizer.zero_grad()
            self.loss(net(self.X[rows]), self.y[rows]).backward()
            optimizer.step()
        return net_weights(net)


class Graphs(Torch):
    """The eager loop's step, recorded once as a CUDA graph and replayed.

    One graph for whole batches and one for the last of an epoch, which is smaller.
    """

    def load(self, problem):
        super().load(problem)
        self.net = make_net(self.weights).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), **self.adam, fused=True, capturable=True
        )
        n_batches, n_left = problem.batches()
        sizes = [self.batch_size] * (n_batches > 0) + [n_left] * (n_left > 0)
        self.graphs = {size: self.record(size) for size in sizes}

    def step(self, rows):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.net(self.X[rows]), self.y[rows]).backward()
        self.optimizer.step()

    def record(self, size):
        """Row numbers that a graph reads, and the graph."""
        rows = torch.arange(size, device=self.device)
        side = torch.cuda.Stream()  # a graph must not be the first to do something
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step(rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step(rows)
        return rows, graph

    @torch.no_grad()
    def begin(self):
        """Set weights and moments where they are: graphs know addresses."""
        start = make_net(self.weights).parameters()
        for parameter, value in zip(self.net.parameters(), start, strict=True):
            parameter.copy_(value)
        for state in self.optimizer.state.values():
            for tensor in state.values():
                tensor.zero_()

    def fit(self, epochs):
        self.begin()
        for numbers in self.batches(epochs):
            rows, graph = self.graphs[len(numbers)]
            rows.copy_(numbers)
            graph.replay()
        return net_weights(self.net)


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
        # Transposed as Linear has them.
        arrays = [np.array(a.T, order="C") for layer in self.weights for a in layer]
        self.start = [torch.from_numpy(a).to(self.device) for a in arrays]
        likes = torch.zeros_like
        self.parameters, *moments = (list(map(likes, self.start)) for _ in range(3))
        t = torch.zeros((), device=self.device)
        self.state = [*moments, t]
        # Changed in place: a CUDA graph takes only what it knows to stay where it is.
        for tensor in [*self.parameters, *moments[0], *moments[1], t]:
            torch._dynamo.mark_static_address(tensor)

    @torch.no_grad()
    def fit(self, epochs):
        first, second, t = self.state
        for tensor in [*first, *second, t]:
            tensor.zero_()
        for parameter, start in zip(self.parameters, self.start, strict=True):
            parameter.copy_(start)
        for rows in self.batches(epochs):
            self.step(self.parameters, first, second, t, self.X, self.y, rows)
        arrays = [p.cpu().numpy().T.copy() for p in self.parameters]
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
