"""From Python functions to the linker's intermediate language, through numba-cuda.

numba-cuda compiles any Python, and takes 9.5 seconds for the seventy functions of a
training, linking included. It takes 4.6 seconds with pointers in the place of arrays
and with the changes of this module, which are in force while it compiles kernels. They
apply to the whole process; the lock of `nnfit.cache.compiled` keeps others from
compiling meanwhile.
"""

from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

from numba.core import types as nb
from numba.core.types.functions import BaseFunction
from numba.cuda import codegen, dispatcher, extending
from numba.cuda import compiler as numba_compiler
from numba.cuda.core import compiler as numba_core
from numba.cuda.core import typed_passes as typed
from numba.cuda.core import untyped_passes as untyped
from numba.cuda.descriptor import cuda_target

from nnfit.cuda.kernels import pointers

#: Passes for Python that kernels do not use, see also `nnfit.cpu.kernels.lowering`.
_SKIPPED_PASSES = {
    untyped.WithLifting,
    untyped.InlineClosureLikes,
    untyped.RewriteDynamicRaises,
    untyped.MakeFunctionToJitFunction,
    untyped.InlineInlinables,
    untyped.FindLiterallyCalls,
    untyped.LiteralUnroll,
    untyped.LiteralPropagationSubPipelinePass,
    typed.InlineOverloads,
    typed.NopythonRewrites,
    typed.AnnotateTypes,
}

_define_pipelines = numba_compiler.CUDACompiler.define_pipelines
_initialize = numba_core.CompilerBase.__init__
_get_call_template = dispatcher.CUDADispatcher.get_call_template
_get_call_type = BaseFunction.get_call_type


def lower_kernel(cuda, function, signature, compute_capability):
    """Compile a kernel.

    Parameters
    ----------
    cuda : module
        `numba.cuda`.
    function : callable
    signature : numba signature
    compute_capability : tuple of int

    Returns
    -------
    code : bytes
        LTO-IR: of the kernel and all that it calls.
    """
    with _shorter_compilation(compute_capability):
        code, _ = cuda.compile(
            function,
            signature,
            cc=compute_capability,
            device=False,
            abi="numba",
            output="ltoir",
        )
    return code


@contextmanager
def _shorter_compilation(compute_capability):
    # Where one function calls another, numba asks the driver for a device. It uses
    # nothing of that device but its compute capability.
    device = SimpleNamespace(compute_capability=compute_capability)
    cuda_target.typing_context.refresh()
    cuda_target.target_context.refresh()
    with ExitStack() as stack:
        for place, name, ours in (
            (dispatcher, "get_current_device", lambda: device),
            (numba_compiler.CUDACompiler, "define_pipelines", _define_fewer_passes),
            (numba_core.CompilerBase, "__init__", _initialize_only),
            (dispatcher.CUDADispatcher, "get_call_template", _template_for_any_value),
            (BaseFunction, "get_call_type", _remembering_call_types()),
            (codegen.CUDACodeLibrary, "llvm_strs", _DISTINCT_CODE),
        ):
            stack.enter_context(mock.patch.object(place, name, ours))
        yield


def _define_fewer_passes(compiler):
    """Return numba-cuda's pipeline, or a shorter one for functions of this package.

    Functions of users, and of numba-cuda itself, may need any pass.
    """
    (pipeline,) = _define_pipelines(compiler)
    if compiler.state.func_id.modname.startswith("nnfit."):
        pipeline.passes = [
            (each, name)
            for each, name in pipeline.passes
            if each not in _SKIPPED_PASSES
        ]
        pipeline.finalize()
    return [pipeline]


def _initialize_only(compiler, typing_context, target_context, *rest, **named):
    """`CompilerBase.__init__` without a search for new registrations.

    numba-cuda searches for each function, which takes 0.5 seconds in all. It still
    searches where it misses a registration.
    """
    with (
        mock.patch.object(type(typing_context), "refresh", _do_nothing),
        mock.patch.object(type(target_context), "refresh", _do_nothing),
    ):
        _initialize(compiler, typing_context, target_context, *rest, **named)


def _do_nothing(context):
    pass


def _template_for_any_value(called, arguments, keywords):
    """What a call compiles: the same for ``f(x, 0)`` and ``f(x, n)``, as on the CPU."""
    arguments = tuple(map(nb.unliteral, arguments))
    keywords = {name: nb.unliteral(type_) for name, type_ in keywords.items()}
    return _get_call_template(called, arguments, keywords)


def _remembering_call_types():
    """numba's search for what an operator does with types, made once for equal types.

    numba tries dozens of templates for every ``+`` and every index, which takes 1
    second.
    """
    known = {}

    def get_call_type(function, context, arguments, keywords):
        if keywords:
            return _get_call_type(function, context, arguments, keywords)
        key = function, tuple(arguments)
        if key not in known:
            known[key] = _get_call_type(function, context, arguments, keywords)
        return known[key]

    return get_call_type


#: Code of all functions, each once. numba-cuda's own list has a function once for every
#: chain of calls that leads to it; the linker takes 0.2 seconds to drop the copies.
_DISTINCT_CODE = property(
    lambda library: list(dict.fromkeys(str(module) for module in library.modules))
)


# --------------------------------------------------------------------- pointers


@extending.type_callable(pointers.pointer)
def _type_pointer(context):
    return lambda array: nb.CPointer(array.dtype)


@extending.lower_builtin(pointers.pointer, nb.Array)
def _lower_pointer(context, builder, signature, arguments):
    (type_,) = signature.args
    return context.make_array(type_)(context, builder, arguments[0]).data


@extending.type_callable(pointers.offset)
def _type_offset(context):
    return lambda pointer, elements: pointer


@extending.lower_builtin(pointers.offset, nb.CPointer, nb.Integer)
def _lower_offset(context, builder, signature, arguments):
    pointer, elements = arguments
    return builder.gep(pointer, [elements])
