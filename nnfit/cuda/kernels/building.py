"""The device functions of a kernel, put together from those of its kinds of layers."""

import importlib
from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_batches, make_on_lines
from nnfit.cuda.kernels.functions import make_activate
from nnfit.cuda.kernels.outputs import (
    make_add_gradient,
    make_deliver,
    make_drop,
    make_finish,
    make_input_of,
    make_pool_phase,
    make_tensor_of,
)
from nnfit.cuda.kernels.products import make_loading, make_tiles
from nnfit.cuda.kernels.threads import make_memory, make_threads
from nnfit.cuda.kernels.updates import make_parameters
from nnfit.cuda.operations import gradients_of, operations_of

#: What kinds of layers build their functions from: the module, what it has for device
#: functions, the compute type, the `Kind` of the kernel, threads, and the helpers of
#: `outputs`, `batches` and `updates`.
Build = namedtuple(
    "Build",
    "cuda device scalar kind threads memory batches tiles loading activate finishing "
    "delivering input_of tensor_of parameters open_update",
)


def make_build(cuda, kind):
    """Build what all functions of a kernel use.

    Parameters
    ----------
    cuda : module
        `numba.cuda`, or what stands for it.
    kind : nnfit.cuda.kernels.Kind
    """
    threads = make_threads(cuda, kind.tile.n_threads)
    parameters = make_parameters(cuda, threads, kind)
    activate = make_activate(cuda, kind.dtype, kind.activations)
    return Build(
        cuda, cuda.jit(device=True), np.dtype(kind.dtype).type, kind, threads,
        make_memory(cuda, kind), make_batches(cuda, threads, kind),
        make_tiles(cuda, kind.tile), make_loading(cuda, kind),
        activate, make_finish(cuda, kind, activate), make_deliver(cuda, kind),
        make_input_of(cuda), make_tensor_of(cuda),
        parameters, parameters.open_update,
    )  # fmt: skip


def make_operations(build):
    """Build the operations of layers, by number."""
    numbers, found = operations_of(build.kind.layers), {}
    if build.kind.pool is not None:
        found[at.POOL] = make_pool_phase(build)
    if build.kind.drops and build.kind.drops_apart:
        found[at.DROP] = make_drop(build)
    if build.kind.trains and build.kind.adds:
        found[at.ADD_GRADIENT] = make_add_gradient(build)
    for module, traits in build.kind.layers:
        functions = importlib.import_module(module).make(build, traits)
        for name, function in functions.items():
            found[numbers[module, name]] = function
    if not build.kind.has_lines:
        return found
    return {number: _on_lines(build, function) for number, function in found.items()}


def _on_lines(build, function):
    """An operation whose batch is counted in lines of the layer's value."""
    on_lines = make_on_lines(build.cuda)

    @build.device
    def operation(m, net, place, now, block, n_blocks):
        function(m, net, place, on_lines(m, net + place, now), block, n_blocks)

    return operation


def make_gradients(build, store):
    """Build what finds gradients and hands them to `store`, by number."""
    found = _of_groups(build, "make_gradients", store)
    if not build.kind.has_lines:
        return found
    return {number: _sum_lines(build, function) for number, function in found.items()}


def _sum_lines(build, function):
    """A gradient of a group of units whose batch is counted in lines."""
    on_lines = make_on_lines(build.cuda)

    @build.device
    def gradient(m, net, group, now, parts, block, n_blocks):
        row = net + m.longs[group + at.G_ROW]
        lines = on_lines(m, row, now)
        function(m, net, group, lines, parts, block, n_blocks)

    return gradient


def make_sizes(build, size):
    """Build what sums the penalties of tensors as they are, by number."""
    return _of_groups(build, "make_sizes", size)


def make_steps(build, step):
    """Build what moves the lines that a batch has, by number."""
    return _of_groups(build, "make_steps", step)


def changes_by_lines(kind):
    """Whether a batch has only some lines of a tensor."""
    modules = [importlib.import_module(module) for module, _ in kind.layers]
    return any(hasattr(module, "make_steps") for module in modules)


def _of_groups(build, maker, function):
    numbers, found = gradients_of(build.kind.layers), {}
    for module, traits in build.kind.layers:
        make = getattr(importlib.import_module(module), maker, None)
        functions = make(build, traits, function) if make else {}
        for name, made in functions.items():
            found[numbers[module, name]] = made
    return found
