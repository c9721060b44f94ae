"""Networks that see two views of a row, and their loss on rows set aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from nnfit.network import Network
from nnfit.network.kinds import Batch, Node, kind_of
from nnfit.training.loop import Validation


def contrasted(network, corruption_rate, temperature):
    """A network that is trained on its own outputs for two views of each row.

    Parameters
    ----------
    network : nnfit.network.Network
        Whose last value is the projection.
    corruption_rate, temperature : float

    Returns
    -------
    nnfit.network.Network
        With the same arrays.
    """
    moved = (
        replace(node, inputs=tuple(value + 1 for value in node.inputs))
        for node in network.nodes
    )
    views = Node("views", (0,), options=(float(corruption_rate),), layer=None)
    inputs = (len(network.nodes) + 1,)
    contrast = Node("contrast", inputs, options=(float(temperature),), layer=None)
    nodes = views, *moved, contrast
    return Network(
        network.n_features, nodes, network.loss, network.loss_parameters, network.dtype
    )


@dataclass(frozen=True)
class HeldOut(Validation):
    """Rows set aside, whose copies are drawn once.

    Attributes
    ----------
    estimator : BaseMLP
        Runs the network.
    network : nnfit.network.Network
        Up to the projection.
    contrast : nnfit.network.kinds.Node
    views : ndarray of shape (2 * n_rows, n_features)
    batch_size : int
        Rows that are told apart from each other.
    """

    estimator: Any = None
    network: Any = None
    contrast: Any = None
    views: Any = None
    batch_size: int = 0

    @classmethod
    def of(cls, validation, estimator, network, settings):
        """Of validation data as `nnfit.estimators` watches them.

        Parameters
        ----------
        validation : Validation
        estimator, network
            See the attributes.
        settings : nnfit.engine_settings.EngineSettings
        """
        X = validation.X if validation.rows is None else validation.X[validation.rows]
        X = X.toarray() if scipy.sparse.issparse(X) else X
        trained = contrasted(network, estimator.corruption_rate, estimator.temperature)
        draws = np.random.default_rng(settings.seed)
        masked = lambda rate, shape: draws.uniform(size=shape) < rate  # noqa: E731
        node = trained.nodes[0]
        views, _ = kind_of(node).forward(node, [X], [], Batch(None, None, masked))
        return cls(
            **vars(validation), estimator=estimator, network=network,
            contrast=trained.nodes[-1], views=views, batch_size=settings.batch_size,
        )  # fmt: skip

    def begin(self, engine):
        """The engine watches nothing: its evaluations know no batches."""

    def evaluate(self, engine):
        """Loss and score of the weights that count."""
        weights = engine.get_weights(engine.evaluated())
        outputs = self.estimator._run_network(self.network, weights, self.views, True)
        losses, kind = [], kind_of(self.contrast)
        for begin in range(0, len(outputs), 2 * self.batch_size):
            lines = outputs[begin : begin + 2 * self.batch_size]
            batch = Batch(np.ones(len(lines) // 2), None)  # not weighed here
            losses.append(kind.forward(self.contrast, [lines], [], batch)[0][:, 0])
        weight = self.sample_weight
        if weight is not None and self.rows is not None:
            weight = weight[self.rows]
        loss = float(np.average(np.concatenate(losses), weights=weight))
        return loss, -loss
