"""Gradients by the features: every kind of layer, against numerical ones."""

import numpy as np
import pytest

from nnfit.cpu.gradients import Gradients
from nnfit.cpu.prediction import predict
from nnfit.functions.activations import ACTIVATIONS
from tests.engines import make_data, make_weights
from tests.graphs import CODED, EXAMPLES, PLACES, dense, graph, name_of, together

STEP = 1e-6
ALL = pytest.mark.parametrize("example", EXAMPLES, ids=name_of)


def features_with_slopes(network):
    """Features that no layer reads as codes."""
    coded = [n for n in network.nodes if n.kind in CODED and 0 in n.inputs]
    codes = {column for node in coded for column in node.options[0]}
    return [j for j in range(network.n_features) if j not in codes]


@ALL
def test_gradients_are_derivatives(example):
    for place in PLACES.values():
        check_derivatives(place(example))


def check_derivatives(network):
    weights, (X, _) = make_weights(network), make_data(network, 7)
    gradients = Gradients(network, weights)
    raw = gradients.raw(X)
    seeds = np.random.default_rng(0).normal(size=raw.shape)
    found = gradients.by_features(X, seeds)
    if raw.shape[1] == 1:
        np.testing.assert_array_equal(raw[:, 0], predict(network, weights, X, raw=True))
    for feature in features_with_slopes(network):
        step = STEP * (np.arange(network.n_features) == feature)
        ends = [(gradients.raw(X + s) * seeds).sum(axis=(1, 2)) for s in (step, -step)]
        expected = (ends[0] - ends[1]) / (2 * STEP)
        np.testing.assert_allclose(found[:, feature], expected, rtol=1e-6, atol=1e-7)


def test_gradients_pass_every_activation():
    nodes = [dense((0,), 2, row) for row in ACTIVATIONS.values()]
    values = range(1, len(nodes) + 1)
    nodes += [together(*values), dense((len(nodes) + 1,), 2)]
    check_derivatives(graph(3, *nodes))
