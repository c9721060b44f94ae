"""Fitted estimators as ONNX models, which run without Python.

Needs the extra ``nnfit[onnx]``. One builder (`nnfit.onnx.estimators`) makes the graph
for `to_onnx` and for the converters of `register_skl2onnx`.
"""

from nnfit.onnx.models import to_onnx
from nnfit.onnx.registration import register_skl2onnx

__all__ = ["register_skl2onnx", "to_onnx"]
