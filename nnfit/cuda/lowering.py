"""From Python functions to the linker's intermediate language, through numba-cuda.

numba-cuda compiles whatever anybody may write, and takes its time: for the seventy
functions of a training 9.5 seconds, linking included. What is changed of it here, while
it compiles kernels, and pointers in the place of arrays make 4.6 of them. The changes
are the process's; the lock of `nnfit.cache.compiled` keeps others from compiling
meanwhile.
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

#: Passes for what kernels have none of, as on the CPU (`nnfit.cpu.kernels.lowering`).
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
    # numba asks the driver for a device where one function calls another, and for
    # nothing of that device but this.
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
    """numba-cuda's pipeline; a shorter one for functions of this package.

    Those of users, and of numba-cuda itself, may need any.
    """
    (pipeline,) = _define_pipelines(compiler)
    if compiler.state.func_id.modname.startswith("nnfit."):
        pipeline.passes = [
            (step, name)
            for step, name in pipeline.passes
            if step not in _SKIPPED_PASSES
        ]
        pipeline.finalize()
    return [pipeline]


def _initialize_only(compiler, typing_context, target_context, *rest, **named):
    """`CompilerBase.__init__` without looking for new registrations: 0.5 seconds.

    numba-cuda would for each function, and does where it misses one.
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
    """numba's search for what an operator does with types, once for the same types.

    It tries dozens of templates for every ``+`` and every index: 1 second.
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


#: In the place of numba-cuda's, which lists a function once for every way in which the
#: kernel comes to call it. The linker would drop the copies: 0.2 seconds.
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
