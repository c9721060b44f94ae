"""Networks by PyTorch's names, and back; modules where torch is installed."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from nnfit import MLPClassifier, MLPRegressor, from_torch, to_torch_state_dict
from nnfit.functions.activations import ACTIVATIONS
from nnfit.interchange import pytorch

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
FEW = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (4, 5)}
X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
TARGETS = {
    "two": (X[:, 0] > 0).astype(int),
    "three": np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])],
    "labels": (X > 0).astype(int),
}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_classifiers_there_and_back(y):
    ours = MLPClassifier(**FEW).fit(X, y)
    state = to_torch_state_dict(ours)
    layers = [f"{layer}.{name}" for layer in (0, 2, 4) for name in ("weight", "bias")]
    assert list(state) == layers and state["2.weight"].shape == (5, 4)
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}
    is_multilabel = y.ndim == 2
    back = from_torch(state, ours.classes_, multilabel=is_multilabel, activation="relu")
    np.testing.assert_array_equal(back.predict_proba(X), ours.predict_proba(X))
    np.testing.assert_array_equal(back.predict(X), ours.predict(X))
    back.partial_fit(X, y)


def test_regressors_there_and_back():
    ours = MLPRegressor(**FEW, activation="gelu").fit(X, X[:, :2])
    back = from_torch(to_torch_state_dict(ours), activation="gelu")
    np.testing.assert_array_equal(back.predict(X), ours.predict(X))
    far = X + [1e5, 0.0, 0.0]
    ours = MLPRegressor(**FEW).fit(far, X[:, 0] + 1e5)
    state = to_torch_state_dict(ours)
    assert state["0.weight"].dtype == np.float64
    difference = from_torch(state, activation="relu").predict(far) - ours.predict(far)
    assert np.abs(difference).max() < 1e-5 * X[:, 0].std()


def test_a_temperature_is_part_of_the_weights():
    ours = MLPClassifier(**FEW, temperature_scaling=True, early_stopping=True)
    ours.fit(X, TARGETS["three"])
    back = from_torch(to_torch_state_dict(ours), ours.classes_, activation="relu")
    found = back.predict_proba(X)
    np.testing.assert_allclose(found, ours.predict_proba(X), atol=1e-6)


def test_two_outputs_for_two_classes_and_no_bias():
    weight = np.random.default_rng(0).normal(size=(2, 3))
    model = from_torch({"last.weight": weight}, [0, 1])
    expected = softmax(X @ weight.T, axis=1)
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"n_members": 2}, "have no n_members"),
        ({"normalization": "layer"}, "have no normalization"),
        ({"residual": True}, "have no residual"),
        ({"scaling": "robust"}, "have no scaling, embeddings or missing"),
    ],
)
def test_what_linear_layers_do_not_have_is_named(parameters, words):
    ours = MLPClassifier(**FEW, **parameters).fit(X, TARGETS["two"])
    with pytest.raises(ValueError, match=words):
        to_torch_state_dict(ours)


ONE = np.ones((2, 3))


@pytest.mark.parametrize(
    "state, words",
    [
        ({"0.weight": ONE, "1.running_mean": ONE[0]}, "alone, got '1.running_mean'"),
        ({"0.weight": ONE[0]}, r"alone, got '0.weight' of shape \(3,\)"),
        ({"0.bias": ONE[0]}, "layer '0' has a bias but no weight"),
        ({"0.weight": ONE, "0.bias": ONE[0]}, r"has 2 units, got a bias of shape \(3"),
        ({"0.weight": ONE, "2.weight": ONE}, "'2' takes 3 numbers.*it gives 2"),
        ({"0.weight": ONE, "2.weight": ONE[:, :2]}, "Pass it to from_torch, such as"),
        ({}, "at least one Linear layer"),
    ],
)
def test_other_weights_are_named(state, words):
    with pytest.raises(ValueError, match=words):
        from_torch(state)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"a module of PyTorch's.*got list"):
        from_torch([])
    with pytest.raises(TypeError, match="an MLP of nnfit, got list"):
        to_torch_state_dict([])


# ------------------------------------------------------------------ modules


def test_every_activation_has_a_name():
    assert list(pytorch.ACTIVATIONS.values()) == list(ACTIVATIONS)


@pytest.mark.parametrize("name", pytorch.ACTIVATIONS)
def test_modules_of_every_activation(name, torch):
    nn = torch.nn
    torch.manual_seed(0)
    own = [nn.Linear(3, 4), getattr(nn, name)(), nn.Dropout(0.5), nn.Linear(4, 5)]
    module = nn.Sequential(nn.Sequential(*own), nn.Tanh(), nn.Linear(5, 1)).eval()
    expected = module(torch.from_numpy(X)).detach().numpy()[:, 0]
    found = from_torch(module)
    np.testing.assert_allclose(found.predict(X), expected, atol=1e-5)
    layers = [nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 1)]
    sequence = nn.Sequential(
        layers[0], getattr(nn, name)(), layers[1], nn.Tanh(), layers[2]
    )
    state = to_torch_state_dict(found)
    sequence.load_state_dict({key: torch.from_numpy(a) for key, a in state.items()})
    again = sequence(torch.from_numpy(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(again, expected, atol=1e-5)


@pytest.mark.parametrize("end, n_out", [("Softmax", 3), ("LogSoftmax", 2)])
def test_modules_for_classes(end, n_out, torch):
    nn = torch.nn
    module = nn.Sequential(nn.Linear(3, n_out), getattr(nn, end)(dim=1)).double()
    raw = module[0](torch.from_numpy(X).double()).detach().numpy()
    found = from_torch(module, range(n_out)).predict_proba(X.astype(np.float64))
    np.testing.assert_allclose(found, softmax(raw, axis=1), atol=1e-12)
    with pytest.raises(ValueError, match=f"takes nothing here, got {end}"):
        from_torch(module)
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Sigmoid())
    found = from_torch(module, [0, 1, 2], multilabel=True).predict_proba(X)
    expected = expit(X @ module[0].weight.detach().numpy().T)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="Softmax or LogSoftmax here, got Sigmoid"):
        from_torch(module, [0, 1, 2])


def test_one_activation_at_several_places(torch):
    nn, tanh = torch.nn, torch.nn.Tanh()
    module = nn.Sequential(
        nn.Linear(3, 4), tanh, nn.Linear(4, 5), tanh, nn.Linear(5, 2)
    )
    expected = module(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(from_torch(module).predict(X), expected, atol=1e-6)


def test_other_modules_are_named(torch):
    nn = torch.nn

    def refused(words, *between, **parameters):
        module = nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 1))
        with pytest.raises(ValueError, match=words):
            from_torch(module, **parameters)

    refused("got BatchNorm1d", nn.BatchNorm1d(4), nn.ReLU())
    refused("with negative_slope=0.01", nn.LeakyReLU(0.2))
    refused("with approximate='none'", nn.GELU(approximate="tanh"))
    refused(r"got ReLU\(\) and Tanh\(\)", nn.ReLU(), nn.Tanh())
    refused("Hidden layers have no Softmax", nn.Softmax(dim=1))
    refused("tells its activations", nn.ReLU(), activation="tanh")

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

    with pytest.raises(ValueError, match=r"takes the state_dict\(\)"):
        from_torch(Own())
    assert from_torch(Own().half().state_dict()).predict(X).shape == (60,)
