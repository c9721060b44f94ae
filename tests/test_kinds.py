"""Every kind of layer: its NumPy functions, then the compiled engine against them.

Cases come from the registry of kinds: `tests.graphs.EXAMPLES` has some of each.
"""

import ast
import importlib
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPRegressor
from nnfit.cpu import compiling, kernels, plans, training_plans
from nnfit.cpu import engine as cpu
from nnfit.cpu.graph import kernel_of_kind
from nnfit.cpu.prediction import FEW_ROWS
from nnfit.functions.normalization import EPSILON
from nnfit.network.kinds import KINDS, Batch, Node, kind_of
from nnfit.network.passes import by_node
from tests.engines import (
    OTHERS,
    assert_same_training,
    is_in_parts,
    make_data,
    make_engine,
    make_weights,
    numerical_gradient,
    results_of,
    tolerance_of,
    train,
    trained_elements,
    use_processor,
)
from tests.graphs import EXAMPLES, PLACES, dense, first, graph, name_of, sparse_features
from tests.numpy_engine.functions import activate
from tests.pairs import in_turn, pairwise
from tests.test_floors import MODULES

ALL = pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
#: Kinds that need the whole batch: rows of others.
WHOLE = {"contrast", "views"}


# ---------------------------------------------------------- the NumPy functions


def make_case(example, n_rows=6):
    """Node, its inputs, its arrays and a batch, in float64."""
    network = first(example)
    node, arrays = network.nodes[-2], by_node(network, make_weights(network))[-2]
    X, _ = make_data(network, n_rows)
    share = np.random.default_rng(5).uniform(0.5, 2.0, size=n_rows)
    return node, [X + i for i in range(len(node.inputs))], arrays, share / share.sum()


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def like(vector, arrays):
    """Parts of a vector, with the shapes of arrays."""
    ends = np.cumsum([array.size for array in arrays])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(a.shape) for part, a in zip(parts, arrays, strict=True)]


@ALL
@pytest.mark.parametrize("running", [False, True])
def test_backward_is_the_derivative_of_forward(example, running):
    """In all inputs and all arrays, of a sum with random factors."""
    node, inputs, arrays, share = make_case(example)
    kind, batch = kind_of(node), Batch(None if running else share, activate)
    output, kept = kind.forward(node, inputs, arrays, batch)
    of_output = np.random.default_rng(6).normal(size=output.shape)
    found = flat([x for part in kind.backward(node, kept, of_output, arrays, batch)
                  for x in part])  # fmt: skip

    def value(vector):
        parts = like(vector, [*inputs, *arrays])
        moved = parts[: len(inputs)], parts[len(inputs) :]
        return np.sum(of_output * kind.forward(node, *moved, batch)[0])

    expected = numerical_gradient(value, flat([*inputs, *arrays]))
    of_arrays = like(expected, [*inputs, *arrays])[len(inputs) :]
    own = first(example).tensors_of_nodes[-2]
    for tensor, part in zip(own, of_arrays, strict=True):
        if tensor.n_trained is not None:
            part[tensor.n_trained :] = 0.0  # statistics
    assert np.abs(found - expected).max() < 1e-9 * max(1.0, np.abs(expected).max())


def of_dense(x, arrays, **_):
    coef, *intercept = arrays
    return sum((x[0] @ coef, *x[1:], *intercept))


def of_normalization(x, arrays, how, share, **_):
    intercept, *norms = arrays
    (z,) = x
    if how == "none":
        return z + intercept
    if how == "layer":
        mean, variance = z.mean(1)[:, None], z.var(1)[:, None]
    else:
        mean = np.average(z, axis=0, weights=share)
        variance = np.average((z - mean) ** 2, axis=0, weights=share)
    return norms[0][0] * (z - mean) / np.sqrt(variance + EPSILON) + intercept


def of_selection(x, arrays, node, **_):
    return np.stack([x[0][:, column] for column in node.options[0]], axis=1)


def of_imputation(x, arrays, node, **_):
    columns, indicated = node.options
    rows = []
    for row in x[0]:
        filled = [
            fill if np.isnan(row[column]) else row[column]
            for column, fill in zip(columns, arrays[0], strict=True)
        ]
        rows.append([*filled, *(float(np.isnan(row[c])) for c in indicated)])
    return np.array(rows)


def of_scaling(x, arrays, node, **_):
    parts = []
    for column, (shift, scale, cut) in zip(node.options[0], arrays[0].T, strict=True):
        z = scale * (x[0][:, column] - shift)
        parts.append(z if cut == 0.0 else np.sign(z) / np.hypot(1 / z, cut))
    return np.stack(parts, axis=1)


def of_quantile_scaling(x, arrays, node, **_):
    parts = []
    for column, n, *own in zip(*node.options, *arrays, strict=True):
        knots, values = (each[:n] for each in own)
        parts.append(np.interp(x[0][:, column], knots, values))
    return np.stack(parts, axis=1)


def encodings_of(x, bins, node):
    """Of each column all bins, each cut off where its neighbours begin."""
    for column, n, edges in zip(*node.options[:2], bins, strict=True):
        parts = []
        for t in range(n):
            part = (x[:, column] - edges[t]) / (edges[t + 1] - edges[t])
            part = part if t == 0 else np.maximum(part, 0.0)
            parts.append(part if t == n - 1 else np.minimum(part, 1.0))
        yield column, np.stack(parts, axis=1)


def of_encoding(x, arrays, node, **_):
    scale, keeps_input = node.options[2:]
    parts = []
    for column, encoding in encodings_of(x[0], arrays[0], node):
        parts += [x[0][:, [column]]] * keeps_input + [scale * encoding]
    return np.hstack(parts)


def of_embedding(x, arrays, node, **_):
    bins, slope, intercept, weights = arrays
    parts, first = [], 0
    for i, (column, encoding) in enumerate(encodings_of(x[0], bins, node)):
        line = np.outer(x[0][:, column], slope[i]) + intercept[i]
        n = encoding.shape[1]
        parts.append(line + encoding @ weights[first : first + n])
        first += n
    return np.hstack(parts)


def of_periodic_embedding(x, arrays, node, **_):
    columns, k, _, is_lite, _ = node.options
    frequencies, weights, intercept = arrays
    blocks = []
    for i, column in enumerate(columns):
        turns = np.exp(2j * np.pi * np.outer(x[0][:, column], frequencies[i]))
        own = slice(0, 2 * k) if is_lite else slice(2 * k * i, 2 * k * (i + 1))
        of_cosines, of_sines = np.split(weights[own], 2)
        z = turns.real @ of_cosines + turns.imag @ of_sines
        blocks.append(z + (intercept if is_lite else intercept[i]))
    return np.hstack(blocks)


def of_pbld(x, arrays, node, **_):
    columns, k, _, _ = node.options
    frequencies, phases, weights, intercept = arrays
    blocks = []
    for i, column in enumerate(columns):
        number = x[0][:, [column]]
        h = np.exp(1j * (2 * np.pi * number * frequencies[i] + phases[i])).real
        blocks += [h @ weights[k * i : k * (i + 1)] + intercept[i], number]
    return np.hstack(blocks)


def of_category_embedding(x, arrays, node, **_):
    (codes,), (lines, *vectors) = x, arrays
    columns, n_codes, n_lines, is_one_hot, *_ = node.options
    rows = []
    for row in codes:
        parts, first_code, first_line = [], 0, 0
        for i, column in enumerate(columns):
            code, line = row[column], 0
            if code in range(n_codes[i]):
                line = int(lines[first_code + int(code)])
            first_code += n_codes[i]
            if not is_one_hot[i]:
                parts += list(vectors[0][first_line + line])
                first_line += n_lines[i]
            elif n_lines[i] == 3:
                parts.append({0: 0.0, 1: 1.0, 2: -1.0}[line])
            else:
                parts += [float(line == k) for k in range(1, n_lines[i])]
        rows.append(parts)
    return np.array(rows)


def of_contrast(x, arrays, node, **_):
    lines, losses = x[0], []
    for a in lines[::2]:
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in lines[1::2]]
        odds = np.exp(np.array(cosines) / node.options[0])
        losses.append([np.log(odds.sum() / odds[len(losses)])])
    return np.array(losses)


#: Formulas of the outputs before an activation, written out again.
FORMULAS = {
    "dense": of_dense,
    "normalization": of_normalization,
    "concatenation": lambda x, arrays, **_: np.concatenate(x, axis=1),
    "scale": lambda x, arrays, **_: x[0] @ np.diag(arrays[0]),
    "selection": of_selection,
    "imputation": of_imputation,
    "scaling": of_scaling,
    "quantile_scaling": of_quantile_scaling,
    "piecewise_linear_encoding": of_encoding,
    "piecewise_linear_embedding": of_embedding,
    "periodic_embedding": of_periodic_embedding,
    "pbld": of_pbld,
    "ntp": lambda x, arrays, **_: x[0] / np.sqrt(x[0].shape[1]),
    "category_embedding": of_category_embedding,
    "views": lambda x, arrays, **_: np.repeat(x[0], 2, axis=0),
    "contrast": of_contrast,
    "gaussian_sampling": lambda x, arrays, **_: x[0],
}


@pytest.mark.parametrize(
    "example", [case for case in EXAMPLES if case[0] in FORMULAS], ids=name_of
)
def test_forward_is_the_formula(example):
    node, inputs, arrays, share = make_case(example)
    output, _ = kind_of(node).forward(node, inputs, arrays, Batch(share, activate))
    others = dict(how=example[1], share=share, node=node)
    expected = FORMULAS[node.kind](inputs, arrays, **others)
    expected = activate(node.activation, expected)[0]
    # Squares of lengths in `contrast` are a little larger than those of the lines.
    np.testing.assert_allclose(output, expected, rtol=1e-7, atol=1e-12)


def test_views_replace_entries_by_those_of_other_rows_in_the_same_columns():
    """A share of them, from different rows in different columns; a row alone stays."""
    x = np.arange(200.0)[:, None] + 1000 * np.arange(3)
    masked = np.random.default_rng(0).uniform(size=(400, 3)) < 0.6
    batch = Batch(None, activate, lambda rate, shape: masked[: shape[0]])
    node = Node("views", (0,), options=(0.6,))
    (output, _), (alone, _) = (
        kind_of(node).forward(node, [rows], [], batch) for rows in (x, x[:1])
    )
    assert np.array_equal(output[::2], x) and np.array_equal(alone, x[[0, 0]])
    second = output[1::2]
    assert np.array_equal(second // 1000, x // 1000)
    assert np.array_equal(second != x, masked[1::2])
    places = second % 1000
    taken = masked[1::2].all(axis=1)
    assert (places[taken][:, 0] != places[taken][:, 1]).all()


def test_a_parametric_activation_is_between_the_input_and_its_activation():
    node, (x,), _, _ = make_case(("parametric_activation", ""))
    value = activate(node.activation, x)[0]
    for share, expected in ((0.0, x), (1.0, value), (0.5, (x + value) / 2)):
        arrays = [np.full(5, share)]
        output, _ = kind_of(node).forward(node, [x], arrays, Batch(None, activate))
        np.testing.assert_allclose(output, expected, rtol=1e-15)


# --------------------------------------------------------- the compiled engine


@pairwise(
    example=list(EXAMPLES),
    place=PLACES,
    dtype=["float32", "float64"],
    n_rows=[1, 2, 17, 97],
    solver=["sgd", "adamw", "muon"],
)
def test_it_trains_as_the_reference(example, place, dtype, n_rows, solver):
    network = PLACES[place](example, dtype=dtype)
    data = make_data(network, n_rows)
    rate = 1e-3 if solver != "sgd" else 1e-2
    assert_same_training(
        network, data, **tolerance_of(dtype), solver=solver, batch_size=n_rows,
        learning_rate_init=rate,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("cpu_name", "dtype"), OTHERS)
def test_other_processors_train_as_the_reference(cpu_name, dtype, monkeypatch):
    """Kinds with kernels of products, of sines and of whole lanes."""
    use_processor(monkeypatch, cpu_name)
    for example in [
        ("dense", "activated"),
        ("normalization", "layer"),
        ("piecewise_linear_embedding", "wide"),
        ("periodic_embedding", "wide"),
        ("members", ""),
    ]:
        network = PLACES["between"](example, dtype=dtype)
        data = make_data(network, 97)
        assert_same_training(network, data, **tolerance_of(dtype), batch_size=60)


@ALL
@pytest.mark.parametrize("place", PLACES)
def test_gradient_is_the_derivative_of_the_loss(example, place):
    """By L-BFGS's function where that has no statistics of a batch."""
    network = PLACES[place](example)
    if network.has_statistics:
        pytest.skip("estimators refuse lbfgs with batch normalisation")
    data = *make_data(network, 9), np.random.default_rng(5).uniform(0.5, 2.0, size=9)
    engine = make_engine(cpu, network, data, None, alpha=0.3)
    flat = engine.flat.copy()
    _, gradient = engine.loss_and_gradient(flat)
    expected = numerical_gradient(lambda at: engine.loss_and_gradient(at)[0], flat)
    used = trained_elements(network, flat)
    assert np.abs(gradient - expected)[used].max() < 1e-7 * np.abs(expected).max()
    assert not gradient[~used].any()


@in_turn(example=EXAMPLES, dtype=["float32", "float64"])
def test_bits_do_not_depend_on_the_number_of_threads(example, dtype):
    network = PLACES["between"](example, dtype=dtype)
    data = *make_data(network, 97), np.random.default_rng(3).uniform(size=97)
    results = []
    for n_threads in (1, 2, 3, 4, 7):
        engine = make_engine(cpu, network, data, "adam", n_threads, batch_size=60)
        results.append([train(engine, 3), *results_of(engine)])
    for others in results[1:]:
        for one, many in zip(results[0], others, strict=True):
            assert np.array_equal(one, many)


def works_in_parts(kind):
    return getattr(importlib.import_module(kind.cpu), "works_in_parts", False)


@pytest.mark.parametrize(
    ("batch", "n_layers", "width", "n_threads", "expected"),
    [
        (256, 8, 64, 1, 256),
        (256, 20, 64, 1, 132),  # not 126, 126 and 4
        (256, 20, 64, 2, 256),
        (4096, 1, 64, 1, 126),
        (4096, 1, 64, 2, 516),
        (200, 4, 400, 1, 200),  # more weights than numbers
    ],
)
def test_rows_of_a_part(batch, n_layers, width, n_threads, expected):
    network = graph(width, *(dense((layer,), width) for layer in range(n_layers)))
    assert training_plans.part_rows(network, batch, 6, n_threads) == expected


def test_kinds_that_need_the_whole_batch():
    assert {name for name in KINDS if not works_in_parts(KINDS[name])} == WHOLE


@ALL
def test_bits_do_not_depend_on_the_parts_of_a_batch(example, set_parts):
    network = PLACES["between"](example, dtype="float32")
    data = *make_data(network, 97), np.random.default_rng(3).uniform(size=97)
    has_parts = not (network.has_statistics or network.changes_by_lines) and all(
        works_in_parts(KINDS[node.kind]) for node in network.nodes
    )
    results = []
    for lines, n_threads in ((None, 1), (0, 1), (0, 2)):
        set_parts(lines)
        engine = make_engine(cpu, network, data, "adam", n_threads, batch_size=60)
        assert is_in_parts(engine) == (has_parts and lines is not None)
        results.append([train(engine, 3), *results_of(engine)])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert np.array_equal(one, other)


@in_turn(example=EXAMPLES, place=PLACES, dtype=["float32", "float64"])
def test_few_rows_are_predicted_as_many(example, place, dtype):
    """With the weights where estimators keep them, to the same bits."""
    network = PLACES[place](example, dtype=dtype)
    X, _ = make_data(network, 97)
    weights = make_weights(network)
    together = cpu.predict(network, weights, X, n_threads=2)
    for n_rows in (1, 2, FEW_ROWS):
        parts = [X[i : i + n_rows].copy() for i in range(0, len(X), n_rows)]
        few = [cpu.predict(network, weights, part) for part in parts]
        assert np.array_equal(together, np.concatenate(few))


@in_turn(example=EXAMPLES, dtype=["float32", "float64"])
def test_sparse_features_give_the_bits_of_dense_ones(example, dtype):
    """Also to a layer that cannot read their entries."""
    network = PLACES["first"](example, n_features=40, dtype=dtype)
    X, y = make_data(network, 97)
    X = sparse_features(X, 0.05)
    results = []
    for features in (X, scipy.sparse.csr_array(X)):
        engine = make_engine(cpu, network, (features, y), n_threads=2)
        losses, weights = train(engine, 2), engine.get_weights()
        predictions = [
            cpu.predict(network, weights, features[:n]) for n in (1, 16, 17, 97)
        ]
        results.append([losses, *results_of(engine), *predictions])
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_a_kind_without_kernels_for_a_device_is_refused(monkeypatch):
    network = first(("scale", ""))
    monkeypatch.setitem(KINDS, "scale", replace(KINDS["scale"], cuda=None))
    with pytest.raises(ValueError, match="kind 'scale' have no kernels for 'cuda'"):
        kind_of(network.nodes[0], "cuda")


# -------------------------------------------------- what knows of kinds, and loads them


@pytest.fixture
def loaded(monkeypatch):
    """Kernels loaded by what is planned since the start of the test."""
    names, load = [], compiling.load

    def record(*arguments, fingerprint=b"", target=None):
        names.append(arguments)
        return load(*arguments, fingerprint=fingerprint, target=target)

    monkeypatch.setattr(compiling, "load", record)
    for cached in (training_plans.load_training, training_plans.training_plan):
        cached.cache_clear()
    plans.forward_plan.cache_clear()
    return names


@ALL
def test_a_training_loads_the_kernels_of_its_kinds_alone(example, loaded):
    network = PLACES["between"](example, dtype="float32")
    X, y = make_data(network, 20)
    train(make_engine(cpu, network, (X, y)), 1)
    cpu.predict(network, make_weights(network), X)
    examples = [make(0, 5) for make in EXAMPLES.values()]
    of_kinds = {kernel_of_kind(node)[0] for node in examples}
    own = {(*kernel_of_kind(node), "float32") for node in network.nodes}
    found = {name for name in loaded if name[0] in of_kinds}
    assert found == own


def test_a_first_fit_loads_what_it_calls(loaded):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, X[:, 0])
    assert {name[:-1] for name in loaded} == {
        (kernels.TRAINING,),
        (kernels.BATCH,),
        (kernels.DENSE,),
        (kernels.WEIGHTS,),
        (kernels.ACTIVATION, "relu"),
        (kernels.LOSS, "squared_error"),
        (kernels.OPTIMIZER, "adam"),
    }


#: Modules of a kind: in a package of kinds, or named after one among the kernels.
OWN = re.compile(r"\.kinds\b|\.kernels\.(" + "|".join(KINDS) + r")\b")


def questions_of(source):
    """Lines that ask what kind a layer is: comparisons with the name of one, or a
    choice by ``.kind`` that is not made by the registry.
    """

    def is_name(node):
        return isinstance(node, ast.Constant) and node.value in set(KINDS)

    for node in ast.walk(ast.parse(source)):
        asks = False
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            asks = any(is_name(each) for part in parts for each in ast.walk(part))
        elif isinstance(node, ast.MatchValue):
            asks = is_name(node.value)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Attribute):
            asks = node.slice.attr == "kind" and ast.unparse(node.value) != "KINDS"
        if asks:
            yield node.lineno if hasattr(node, "lineno") else node.value.lineno


def test_questions_are_found():
    assert list(questions_of("a = 1\nif node.kind == 'dense':\n    pass")) == [2]
    assert list(questions_of("b = node.kind in ('scale', 'dense')")) == [1]
    assert list(questions_of("c = {'x': 1}[node.kind]")) == [1]
    assert list(questions_of("match a:\n    case 'dense':\n        pass")) == [2]
    assert list(questions_of("d = KINDS[node.kind].cpu\ne = x.dtype.kind == 'f'")) == []


def test_no_module_but_its_own_asks_for_a_kind():
    found = {
        module: lines
        for module, path in MODULES.items()
        if not OWN.search(module)
        and not module.startswith("nnfit.tables")  # findings have kinds too
        and (lines := list(questions_of(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
