"""Machine code in this process: what it needs, and its functions."""

import ctypes
import importlib
import re
import weakref
from contextlib import contextmanager

from llvmlite import binding as llvm

from nnfit import fork_lock
from nnfit.cpu import object_files
from nnfit.cpu import target as targets
from nnfit.interruption import uninterrupted
from nnfit.running_numba import NeedsPython

#: What a kernel may need from the process that loads it; every C library has it. LLVM
#: does not report what is missing: the process ends when it is called.
C_LIBRARY = {
    "memset",  # LLVM makes them of loops that fill or copy
    "memcpy",
    "memmove",
    "bzero",  # memset of zeros on macOS
    "sched_yield",  # the barrier lets another thread run ...
    "SwitchToThread",  # ... on Windows, in kernel32
    "clock_gettime",  # how long it waited for the others
    "QueryPerformanceCounter",  # ... on Windows, in kernel32
    "pow",  # the invscaling schedule, once a batch
    "_fltused",  # Windows: marks the use of floating point, not a function
}
#: Python itself, and numba's helpers that use it or its memory: kernels run without
#: Python's lock.
_OF_PYTHON = re.compile(r"_?Py|NRT_|numba_(gil_|unpickle|do_raise|fatal_error|list_)")


def check(code):
    """See that machine code finds what it needs, in C's library or in numba.

    Functions of a user may need numba's helpers (``math.gamma``, ``np.random``), which
    exist once numba is imported.

    Raises
    ------
    NeedsPython
        If it needs Python, or something that does not exist.
    """
    _, needed = object_files.symbols(code)
    needed -= C_LIBRARY
    refused = sorted(filter(_OF_PYTHON.match, needed))
    if refused:
        raise NeedsPython(
            f"it uses Python while it runs, as print does ({', '.join(refused)})"
        )
    if not all(map(llvm.address_of_symbol, needed)):
        # numba adds its helpers to LLVM's symbols when a target is first used.
        lowering = importlib.import_module("nnfit.cpu.kernels.lowering")
        lowering.cpu_target.target_context.refresh()
        absent = {name for name in needed if not llvm.address_of_symbol(name)}
        if absent:
            raise NeedsPython(f"its code needs {', '.join(sorted(absent))}")


@contextmanager
def _llvm():
    """Use LLVM where neither a fork nor Ctrl-C can meet it.

    Ctrl-C between the two lines with which llvmlite takes its lock would leave it held:
    the next fit that loads a kernel in another thread would wait for ever.
    """
    with uninterrupted(), fork_lock.held():
        yield


class Kernel:
    """Machine code in this process: C functions by name.

    Parameters
    ----------
    code : bytes
        A native object file.
    target : nnfit.cpu.target.Target
        The processor it was compiled for.
    """

    def __init__(self, code, target):
        with _llvm():
            targets.initialize_llvm()
            check(code)
            module = llvm.parse_assembly(f'target triple = "{target.triple}"')
            self._engine = llvm.create_mcjit_compiler(module, target_machine(target))
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()
        self.code = code
        self._addresses, self._functions = {}, {}
        weakref.finalize(self, _free, self._engine).atexit = False

    def address(self, name):
        """Return the address of a function, an int."""
        if name not in self._addresses:
            with _llvm():
                address = self._engine.get_function_address(name)
            if not address:
                raise LookupError(f"The kernel has no function {name!r}.")
            self._addresses[name] = address
        return self._addresses[name]

    def function(self, name, restype, *argtypes, is_short=False):
        """Return a function that releases the GIL while it runs, unless it is short.

        Where other threads wait for the GIL, releasing it made the prediction of a row
        slower: by a fifth on 2 threads, by 1.6 times on 16.
        """
        if (name, is_short) not in self._functions:
            kind = ctypes.PYFUNCTYPE if is_short else ctypes.CFUNCTYPE
            prototype = kind(restype, *argtypes)
            self._functions[name, is_short] = prototype(self.address(name))
        return self._functions[name, is_short]


def _free(engine):
    """Give an engine back."""
    with _llvm():
        engine.close()


def target_machine(target):
    """LLVM's code generator, set up as for any code loaded into a process."""
    is_x86 = target.triple.startswith(("x86", "i386", "i686"))
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=3,
        reloc="static" if is_x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )
