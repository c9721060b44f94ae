"""skorch: a PyTorch module as a scikit-learn estimator.

Its DataLoader is replaced by one that indexes the tensors, and all callbacks are
left out: what a user in a hurry changes.
"""

import torch
from skorch import NeuralNet

from .torch_loops import LOSSES, Torch, make_net, net_weights


class ShuffledBatches:
    """What skorch needs of a DataLoader."""

    def __init__(self, dataset, batch_size):
        self.X, self.y, self.batch_size = dataset.X, dataset.y, batch_size

    def __iter__(self):
        for rows in torch.randperm(len(self.X)).split(self.batch_size):
            yield self.X[rows], self.y[rows]


class Net(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.layers = make_net(weights)

    def forward(self, X):
        return self.layers(X)


class Loss(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, raw, y):
        return self.function(raw, y)


class Skorch(Torch):
    def load(self, problem):
        super().load(problem)
        self.settings = {
            "module__weights": self.weights,
            "criterion__function": LOSSES[problem.shape.task],
            "batch_size": self.batch_size,
            "iterator_train": ShuffledBatches,
            "train_split": None,
            "callbacks": "disable",
            "optimizer": torch.optim.Adam,
            "optimizer__fused": True,
            "verbose": 0,
            **{f"optimizer__{key}": value for key, value in self.adam.items()},
        }

    def fit(self, epochs):
        net = NeuralNet(Net, Loss, max_epochs=epochs, **self.settings)
        net.fit(self.X, self.y)
        return net_weights(net.module_.layers)
