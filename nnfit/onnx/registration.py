"""Converters of nnfit's estimators for skl2onnx."""

from sklearn.utils.validation import check_is_fitted

from nnfit.estimators.conventions import Conventions
from nnfit.estimators.targets import BINARY, MULTILABEL
from nnfit.onnx.estimators import check_estimator, output_dtype, predicted
from nnfit.onnx.graph import ML, ML_VERSION, ONNX_TYPES, OPSET, Graph
from nnfit.onnx.models import attributes_of, tensors_of
from nnfit.onnx.rows import Given
from nnfit.onnx.transformers import TRANSFORMERS, dtype_of, transformed

#: Options that skl2onnx reads of classifiers.
OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def register_skl2onnx():
    """Let skl2onnx convert the estimators of nnfit.

    They then convert by themselves and within scikit-learn's `Pipeline`,
    `ColumnTransformer`, `CalibratedClassifierCV`, `GridSearchCV` and other estimators
    that skl2onnx knows. So do `RobustSmoothScaler`, `PiecewiseLinearEncoder` and
    `CategoryEncoder`. What it needs is opset 18 or later.

    Raises
    ------
    ImportError
        Without skl2onnx.

    Examples
    --------
    >>> from nnfit.onnx import register_skl2onnx
    >>> register_skl2onnx()  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError:
        raise ImportError(
            "Registration needs the package skl2onnx, which is not installed. Install "
            "it with: pip install 'nnfit[onnx]'"
        ) from None
    import nnfit

    for name in ESTIMATORS:
        cls = getattr(nnfit, name)
        options = None
        if cls._task == "classification":
            options = dict(OPTIONS)
            if hasattr(cls, "decision_function"):
                options["raw_scores"] = [True, False]
        update_registered_converter(
            cls, f"nnfit{name}", _infer_types, _convert, options=options
        )
    for name in TRANSFORMERS:
        cls = getattr(nnfit, name)
        update_registered_converter(
            cls, f"nnfit{name}", _infer_columns, _convert_columns
        )
    Conventions._convert_to_onnx = staticmethod(_convert)


#: Public classes that predict.
ESTIMATORS = tuple(
    f"{family}{task}"
    for family in ("MLP", "RealMLP", "TabM", "Tabular")
    for task in ("Classifier", "Regressor")
)


def _given(operator):
    """The inputs of skl2onnx's operator, a list of Given."""
    names = {
        "FloatTensorType": "float32", "DoubleTensorType": "float64",
        "Int64TensorType": "int64", "Int32TensorType": "int32",
        "StringTensorType": "str", "BooleanTensorType": "bool",
    }  # fmt: skip
    given = []
    for variable in operator.inputs:
        kind, shape = type(variable.type).__name__, variable.type.shape
        if kind not in names:
            raise TypeError(
                f"The input {variable.raw_name!r} must be one of {sorted(names)}, got "
                f"{kind}."
            )
        width = shape[1] if len(shape) > 1 else None
        if not isinstance(width, int):  # not known
            width = (
                operator.raw_operator.n_features_in_ if len(operator.inputs) == 1 else 1
            )
        given.append(Given(variable.full_name, names[kind], width))
    return given


def _infer_types(operator):
    """Types and shapes of the outputs, for skl2onnx."""
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    estimator = operator.raw_operator
    check_estimator(estimator)
    n = operator.inputs[0].get_first_dimension()
    is_double = output_dtype(estimator, _given(operator)) == "float64"
    values = DoubleTensorType if is_double else FloatTensorType
    if estimator._task == "regression":
        operator.outputs[0].type = values([n, None])
        return
    n_classes = len(estimator.classes_)
    is_text = estimator.classes_.dtype.kind in "OUS"
    is_multilabel = estimator._target_kind == MULTILABEL
    label = StringTensorType if is_text and not is_multilabel else Int64TensorType
    operator.outputs[0].type = label([n, n_classes] if is_multilabel else [n])
    operator.outputs[1].type = values([n, n_classes])


def _infer_columns(operator):
    """Type and shape of what a transformer gives, for skl2onnx."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    transformer = operator.raw_operator
    check_is_fitted(transformer)
    types = {"float32": FloatTensorType, "float64": DoubleTensorType}
    n, given = operator.inputs[0].get_first_dimension(), _given(operator)
    width = len(transformer.get_feature_names_out())
    operator.outputs[0].type = types[dtype_of(transformer, given)]([n, width])


def _check_opset(operator, container):
    if container.target_opset < OPSET:
        raise RuntimeError(
            f"{type(operator.raw_operator).__name__} needs opset {OPSET} or later, got "
            f"target_opset={container.target_opset}."
        )


def _convert_columns(scope, operator, container):
    """Add what a transformer computes to skl2onnx's container."""
    _check_opset(operator, container)
    graph = Graph(scope.get_unique_variable_name)
    found = transformed(graph, operator.raw_operator, _given(operator))
    graph.op("Identity", found, output=operator.output_full_names[0])
    _add(graph, scope, container)


def _convert(scope, operator, container):
    """Add what an estimator computes to skl2onnx's container."""
    estimator = operator.raw_operator
    check_estimator(estimator)
    _check_opset(operator, container)
    graph, given = Graph(scope.get_unique_variable_name), _given(operator)
    found = predicted(graph, estimator, given)
    values, outputs = found.values, operator.output_full_names
    if found.label is not None:
        label_type = type(operator.outputs[0].type).__name__
        number = {"Int64TensorType": "int64", "StringTensorType": "str"}[label_type]
        graph.op("Cast", found.label, output=outputs[0], to=ONNX_TYPES[number])
        if _wants_scores(scope, estimator):
            values = _both_scores(graph, estimator, found.scores)
    dtype = output_dtype(estimator, given)
    graph.op("Cast", values, output=outputs[-1], to=ONNX_TYPES[dtype])
    _add(graph, scope, container)


def _add(graph, scope, container):
    """Add operators and constants to skl2onnx's container."""
    for tensor in tensors_of(graph):
        content = list(tensor.string_data) if tensor.string_data else tensor
        shape = list(tensor.dims)
        container.add_initializer(tensor.name, tensor.data_type, shape, content)
    for each in graph.operators:
        container.add_node(
            each.kind, each.inputs, each.outputs, op_domain=each.domain,
            op_version=ML_VERSION if each.domain == ML else None,
            name=scope.get_unique_operator_name(each.kind), **attributes_of(each),
        )  # fmt: skip


def _wants_scores(scope, estimator):
    options = scope.get_options(estimator, {"raw_scores": False}, fail=False)
    return bool(options and options.get("raw_scores"))


def _both_scores(graph, estimator, scores):
    """Scores with a column for each class, as skl2onnx's converters have them."""
    if estimator._target_kind != BINARY:
        return scores
    return graph.concatenated([graph.op("Neg", scores), scores])
