"""Layers as ONNX operators, a module for each kind.

``convert(graph, node, inputs, arrays)`` adds the operators of a node to a graph and
returns the name of its output. It computes what ``forward`` of the kind's NumPy
functions (`nnfit.network.kinds`) computes for a prediction.
"""
