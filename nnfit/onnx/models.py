"""Models of their own: `to_onnx`."""

import numpy as np

from nnfit import __version__
from nnfit.estimators.targets import MULTILABEL
from nnfit.onnx.estimators import (
    check_estimator,
    compute_dtype,
    output_dtype,
    predicted,
)
from nnfit.onnx.graph import ML, ML_VERSION, ONNX_TYPES, OPSET, Graph
from nnfit.onnx.rows import Given

#: Version of the file format, that of the operators.
IR_VERSION = 8


def to_onnx(estimator, *, quantiles=None):
    """Make an ONNX model of a fitted estimator.

    The model computes all that `predict` and `predict_proba` do, from the table as it
    was given to `fit`: codes of categories, missing values, scaling and embeddings,
    members of ensembles and mixtures, temperatures, quantiles in order.

    Parameters
    ----------
    estimator : classifier or regressor of nnfit
        Fitted.
    quantiles : float or array-like of shape (n_quantiles,), default=None
        Of a `TabularRegressor` the levels, in (0, 1), of a further output "quantiles",
        as `predict_quantiles` gives them.

    Returns
    -------
    onnx.ModelProto
        It has one input "X", float32 for a network of float32, else double; or where
        columns hold categories by their values, one input (n, 1) for each column by its
        name: strings for categories that are strings, otherwise numbers. A string that
        was not in the training, such as "", stands for a missing category.

        The outputs of a classifier are "label" and "probabilities", or "scores" where
        the loss has no probabilities; that of a regressor is "variable", of shape (n,
        n_outputs).

    Raises
    ------
    ImportError
        Without onnx.
    NotFittedError
        Before `fit`.
    TypeError
        If it is something else.
    ValueError
        If it holds what cannot be converted, such as a Python function as its
        activation, which the message names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnfit import MLPClassifier
    >>> from nnfit.onnx import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    >>> model = to_onnx(classifier)  # doctest: +SKIP
    >>> [output.name for output in model.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    helper, _ = _onnx()
    check_estimator(estimator)
    graph, given = Graph(), _inputs(estimator)
    found = predicted(graph, estimator, given, quantiles)
    dtype = output_dtype(estimator, given)
    outputs = []
    if found.label is not None:
        graph.op("Identity", found.label, output="label")
        outputs.append(("label", *_label_type(estimator)))
    name = _name_of_values(estimator, found)
    graph.op("Cast", found.values, output=name, to=ONNX_TYPES[dtype])
    outputs.append((name, ONNX_TYPES[dtype], [None, None]))
    if found.quantiles is not None:
        graph.op("Identity", found.quantiles, output="quantiles")
        shape = [None] * (2 if estimator._is_vector else 3)
        outputs.append(("quantiles", ONNX_TYPES["float64"], shape))
    own = helper.make_graph(
        nodes_of(graph),
        type(estimator).__name__,
        [
            helper.make_tensor_value_info(
                each.name, ONNX_TYPES[each.dtype], [None, each.width]
            )
            for each in given
        ],
        [helper.make_tensor_value_info(*each) for each in outputs],
        tensors_of(graph),
    )
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_VERSION)]
    return helper.make_model(
        own,
        opset_imports=versions,
        ir_version=IR_VERSION,
        producer_name="nnfit",
        producer_version=__version__,
    )


def _onnx():
    try:
        from onnx import helper, numpy_helper
    except ImportError:
        raise ImportError(
            "Conversion to ONNX needs the package onnx, which is not installed. "
            "Install it with: pip install 'nnfit[onnx]'"
        ) from None
    return helper, numpy_helper


def _inputs(estimator):
    """Inputs of a model: the table whole, or by columns where categories need it."""
    categories = estimator._standard("categories") or {}
    n = estimator.n_features_in_
    is_single = (
        compute_dtype(estimator) == "float32"
        and estimator._standard("features") is None
    )
    dtype = "float32" if is_single else "float64"
    if all(known is None for known in categories.values()):
        return [Given("X", dtype, n)]
    names = getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(n)])

    def dtype_of(known):
        if known and all(isinstance(value, str) for value in known):
            return "str"
        return dtype if known is None else "float64"

    return [
        Given(str(name), dtype_of(categories.get(number)), 1)
        for number, name in enumerate(names)
    ]


def _label_type(estimator):
    """Type and shape of the labels."""
    if estimator._target_kind == MULTILABEL:
        return ONNX_TYPES["int64"], [None, len(estimator.classes_)]
    names = {"i": "int64", "u": "int64", "f": "float64", "b": "bool"}
    return ONNX_TYPES[names.get(estimator.classes_.dtype.kind, "str")], [None]


def _name_of_values(estimator, found):
    if found.label is None:
        return "variable"
    return "scores" if found.values == found.scores else "probabilities"


def nodes_of(graph):
    """The operators of a graph as ONNX has them, a list of NodeProto."""
    helper, _ = _onnx()
    return [
        helper.make_node(
            each.kind, each.inputs, each.outputs, name=f"{each.kind}_{number}",
            domain=each.domain, **attributes_of(each),
        )
        for number, each in enumerate(graph.operators)
    ]  # fmt: skip


def attributes_of(operator):
    """Attributes of an operator; arrays as tensors."""
    _, numpy_helper = _onnx()
    return {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in operator.attributes.items()
    }


def tensors_of(graph):
    """The constants of a graph as ONNX has them, a list of TensorProto."""
    _, numpy_helper = _onnx()
    return [
        numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        for name, value in graph.constants.items()
    ]
