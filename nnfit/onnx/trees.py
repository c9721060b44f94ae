"""scikit-learn's gradient boosting, with categories, as ONNX operators.

A split by categories reads a number of its own: 0 for rows that go left, found in a
table by the code of the category.
"""

import numpy as np

from nnfit.onnx.graph import ML
from nnfit.onnx.rows import places_of

#: Categories that a split of scikit-learn's may tell apart.
N_CODES = 256


def raw_predictions(graph, model, x):
    """Raw predictions of a `nnfit.tabular.models.BoostingModel`, (n, n_outputs).

    Parameters
    ----------
    graph : Graph
        Computing in float64.
    model : BoostingModel
    x : str
        As networks read it.

    Returns
    -------
    str
    """
    boosting = model.estimator
    x, is_category = _features(graph, model, x)
    x, trees = _with_splits(graph, boosting, x, is_category)
    summed = _summed(graph, trees, boosting.n_trees_per_iteration_, x)
    start = np.asarray(boosting._baseline_prediction, np.float64).reshape(1, -1)
    return graph.op("Add", graph.cast(summed, "float64"), start)


def _features(graph, model, x):
    """Columns in the order of the trees: codes of categories, then numbers."""
    x = graph.cast(x, "float64")
    columns, known = model.columns.categories, model.columns.known
    n = model.estimator.n_features_in_
    encoder = getattr(model.estimator, "_preprocessor", None)
    parts = []
    if columns:
        own = encoder.named_transformers_["encoder"].categories_
        for column, codes in zip(columns, own, strict=True):
            place = places_of(graph, graph.columns(x, [column]), known[column], np.nan)
            codes = np.asarray(codes, np.float64)
            codes = codes[~np.isnan(codes)]
            parts.append(places_of(graph, place, codes, np.nan))
    numbers = [column for column in range(n) if column not in known]
    if numbers:
        taken = graph.columns(x, numbers)
        is_empty = np.isin(numbers, model._empty)
        if is_empty.any():
            taken = graph.op("Where", is_empty[None], 0.0, taken)
        parts.append(taken)
    return graph.concatenated(parts), len(columns)


def _with_splits(graph, boosting, x, n_categories):
    """Features with a number for each split by categories, and the trees' nodes."""
    trees, tables = [], [[] for _ in range(n_categories)]
    places = []  # of each such split its tree, node, column, and number in the column
    for predictors in boosting._predictors:
        for output, predictor in enumerate(predictors):
            nodes = predictor.nodes.copy()
            for number in np.flatnonzero(nodes["is_categorical"] & ~_leaf(nodes)):
                column = int(nodes["feature_idx"][number])
                goes_left = _goes_left(predictor, nodes[number], boosting, column)
                places.append((len(trees), number, column, len(tables[column])))
                tables[column].append(1.0 - goes_left)
            trees.append((output, nodes))
    first, parts = boosting.n_features_in_, [x]
    starts = {}
    for column, own in enumerate(tables):
        if own:
            code = graph.op("Gather", x, column, axis=1)
            is_missing = graph.op("IsNaN", code)
            code = graph.op("Where", is_missing, float(N_CODES), code)
            table = np.stack(own, axis=1)
            parts.append(graph.op("Gather", table, graph.cast(code, "int64"), axis=0))
            starts[column] = first
            first += len(own)
    for tree, number, column, place in places:
        nodes = trees[tree][1]
        nodes["feature_idx"][number] = starts[column] + place
        nodes["num_threshold"][number] = 0.5
    return graph.concatenated(parts), trees


def _leaf(nodes):
    return nodes["is_leaf"].astype(bool)


def _goes_left(predictor, node, boosting, column):
    """For each code, and for what is missing, whether a split sends it to the left."""
    by_missing = float(node["missing_go_to_left"])
    left = _bits(predictor.raw_left_cat_bitsets[node["bitset_idx"]])
    bitsets, row_of = boosting._bin_mapper.make_known_categories_bitsets()
    known = _bits(bitsets[row_of[column]])
    found = np.where(left, 1.0, np.where(known, 0.0, by_missing))
    return np.append(found, by_missing)


def _bits(words):
    """Truth values of the bits of eight numbers of 32 bits."""
    return np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little") > 0


def _summed(graph, trees, n_outputs, x):
    """The sum over all trees, (n, n_outputs) of float32."""
    nodes = np.concatenate([own for _, own in trees])
    sizes = [len(own) for _, own in trees]
    tree = np.repeat(np.arange(len(trees)), sizes)
    number = np.concatenate([np.arange(size) for size in sizes])
    output = np.repeat([own for own, _ in trees], sizes)
    is_leaf = _leaf(nodes)

    def where(inner, leaf):
        return np.where(is_leaf, leaf, inner).tolist()

    return graph.op(
        "TreeEnsembleRegressor",
        x,
        domain=ML,
        n_targets=n_outputs,
        nodes_treeids=tree.tolist(),
        nodes_nodeids=number.tolist(),
        nodes_featureids=where(nodes["feature_idx"], 0),
        nodes_modes=where("BRANCH_LEQ", "LEAF"),
        nodes_values_as_tensor=np.where(is_leaf, 0.0, nodes["num_threshold"]),
        nodes_truenodeids=where(nodes["left"], 0),
        nodes_falsenodeids=where(nodes["right"], 0),
        nodes_missing_value_tracks_true=where(nodes["missing_go_to_left"], 0),
        target_treeids=tree[is_leaf].tolist(),
        target_nodeids=number[is_leaf].tolist(),
        target_ids=output[is_leaf].tolist(),
        target_weights_as_tensor=nodes["value"][is_leaf].astype(np.float64),
    )
