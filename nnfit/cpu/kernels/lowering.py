"""From Python functions to a native object file, through numba and LLVM.

numba is the front end: it types a function and writes LLVM's intermediate
language. What is exported gets a C signature here, everything else becomes
internal to the object, so that LLVM can inline and drop it, and the whole is
optimised and assembled once. The object needs nothing of numba at run time:
a test holds its undefined symbols to the C library's.
"""

from contextlib import contextmanager, nullcontext
from unittest import mock

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba.core import compiler, config, sigutils
from numba.core import typed_passes as typed
from numba.core import types as nb
from numba.core import untyped_passes as untyped
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu_options import FastMathOptions
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

from nnfit.cpu.kernels import denormals
from nnfit.functions import specialising

#: 'contract' allows fused multiply-adds and 'nsz' ignores the sign of zero.
#: Anything more changes bits between a slice and the whole array (a SiLU: 236
#: of 516 slices differed), or hides the NaN that shows a diverging fit.
FASTMATH = {"contract", "nsz"}

#: Passes of numba's front end for what kernels have none of: closures, ``with``,
#: exceptions, literals, overloads to be inlined, and parallel loops. They take a
#: tenth of its time.
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
    typed.NoPythonSupportedFeatureValidation,
    typed.AnnotateTypes,
    typed.DumpParforDiagnostics,
}


class KernelCompiler(compiler.CompilerBase):
    """numba's front end without the passes that kernels do not need."""

    def define_pipelines(self):
        """Return the one pipeline, numba's for compiled code with fewer passes."""
        pipeline = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (step, name)
            for step, name in pipeline.passes
            if step not in _SKIPPED_PASSES
        ]
        pipeline.finalize()
        return [pipeline]


#: Decorator of every helper that compiled code calls. NumPy's error model,
#: since a division that may raise stops LLVM from vectorising the loop around
#: it (Adam: 12 times slower).
_OPTIONS = dict(
    fastmath=FASTMATH,
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    no_rewrites=True,
    _nrt=False,
    pipeline_class=KernelCompiler,
)
helper = numba.njit(**_OPTIONS)
#: For scalar functions: LLVM does not inline a long one of its own accord, and
#: the loop around a call stays scalar (GELU: 13.8 instead of 2.0 ns an element).
scalar_helper = numba.njit(forceinline=True, **_OPTIONS)
#: For a sum whose terms are always the same ones, never a slice of them: LLVM may
#: sum in vectors. In order, each step would wait for the one before.
sum_helper = numba.njit(**{**_OPTIONS, "fastmath": FASTMATH | {"reassoc"}})
#: For functions of the registries and of users, which may be any that numba compiles.
_any_scalar_helper = numba.njit(
    forceinline=True, **{**_OPTIONS, "pipeline_class": compiler.Compiler}
)


def scalar_type(dtype):
    """numba's type of ``"float32"`` or ``"float64"``."""
    return nb.float32 if dtype == "float32" else nb.float64


# ------------------------------------------------------------------ assembly


def emit_object(exports, target, machine):
    """Compile functions to one object file with C entry points.

    Parameters
    ----------
    exports : dict
        ``{name: (function, numba signature)}``; arguments and results are
        integers, floats and ``CPointer``.
    target : nnfit.cpu.target.Target
    machine : llvmlite.binding.TargetMachine

    Returns
    -------
    code : bytes
    """
    module = optimised_module(exports, target, machine)
    return bytes(machine.emit_object(module))


def optimised_module(exports, target, machine):
    """The LLVM module behind `emit_object`, for tests that look into it."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    module = llvm.parse_assembly("")
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    with _front_end_only():
        for name, (function, signature) in exports.items():
            result = _type_and_lower(function, signature)
            _link(module, result.library)
            flushed_on = target if denormals.flushes(function) else None
            entry_point = _c_entry_point(name, result, flushed_on)
            module.link_in(llvm.parse_assembly(entry_point))
    for function in module.functions:
        if not function.is_declaration and function.name not in exports:
            function.linkage = "internal"
    for variable in module.global_variables:
        if variable.linkage == llvm.Linkage.common:  # numba's environments
            variable.linkage = "internal"
    module.verify()
    _optimise(module, machine)
    return module


@contextmanager
def _front_end_only():
    """Keep numba from optimising and assembling what is done as a whole here.

    It would do both for every helper with all that it calls, hence once for each
    function above: of 6.4 seconds for the engine 1.0 by optimisation and 1.3 by
    machine code that nobody runs. These settings are the process's; numba's lock
    keeps others from compiling meanwhile.
    """
    with (
        global_compiler_lock,
        mock.patch.object(Dispatcher, "get_call_template", _template_for_any_value),
        mock.patch.object(config, "OPT", 0),
        mock.patch.object(JITCodeLibrary, "_finalize_final_module", _mark_finalized),
        mock.patch.object(cpu_target.target_context, "get_executable", _no_executable),
    ):
        yield


def _template_for_any_value(dispatcher, arguments, keywords):
    """What a call of a helper compiles: the same for ``f(x, 0)`` and ``f(x, n)``.

    numba has a type for each literal and would compile `f` once more for 0, which
    made 11 of the 64 functions of an engine.
    """
    arguments = [nb.unliteral(type_) for type_ in arguments]
    keywords = {name: nb.unliteral(type_) for name, type_ in keywords.items()}
    return _get_call_template(dispatcher, arguments, keywords)


_get_call_template = Dispatcher.get_call_template


def _mark_finalized(library):
    library._finalized = True


def _no_executable(library, function, environment):
    """An entry point that Python never calls: numba wants a built-in, one each."""
    return [].append


def _type_and_lower(function, signature):
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    flags.nrt = False
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(FASTMATH)
    arguments, result = sigutils.normalize_signature(signature)
    return compiler.compile_extra(
        cpu_target.typing_context,
        cpu_target.target_context,
        function,
        arguments,
        result,
        flags,
        {},
        pipeline_class=KernelCompiler,
    )


def _link(module, library):
    """Copy a function's code and that of all it calls into `module`.

    The function comes first: LLVM drops callees that nothing refers to yet.
    """
    module.link_in(library._final_module, preserve=True)
    for part in library._linking_libraries:
        module.link_in(part._get_module_for_linking(), preserve=True)


def _c_entry_point(name, result, flushed_on):
    """A function with a plain C signature around one with numba's.

    numba returns through a pointer and reports exceptions by a status, which
    is ignored here: kernels raise none. If `flushed_on` is a target, denormal
    numbers are zero until it returns.
    """
    context = cpu_target.target_context
    module = ir.Module()
    inner = context.declare_function(module, result.fndesc)
    restype = context.get_value_type(result.fndesc.restype)
    is_void = result.fndesc.restype == nb.none
    argtypes = [context.get_value_type(t) for t in result.fndesc.argtypes]
    entry = ir.Function(
        module, ir.FunctionType(ir.VoidType() if is_void else restype, argtypes), name
    )
    builder = ir.IRBuilder(entry.append_basic_block())
    mode = denormals.flushed(builder, flushed_on) if flushed_on else nullcontext()
    with mode:
        status, value = context.call_conv.call_function(
            builder, inner, result.fndesc.restype, result.fndesc.argtypes, entry.args
        )
    if flushed_on:  # or arithmetic could leave the part where the mode is set
        status.code.attributes.add("noinline")
    if is_void:
        builder.ret_void()
    else:
        builder.ret(value)
    return str(module)


def _optimise(module, machine):
    # Level 3 inlines more: kernels as fast as these, a third larger and slower to
    # compile (1.1 instead of 0.85 s for an engine).
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = True
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)


# ------------------------------------------------------- scalar mathematics


def specialise(function, dtype, maths):
    """Copy of a scalar function for one precision: `nnfit.functions.specialising`.

    Parameters
    ----------
    function : callable
    dtype : {"float32", "float64"}
    maths : dict
        Vectorising implementations, by the name of their function in
        `nnfit.functions.maths`.

    Returns
    -------
    helper : numba dispatcher
    """
    return specialising.specialise(function, dtype, maths, _any_scalar_helper)
