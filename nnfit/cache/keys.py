"""Names of what is kept: hashes of everything that it depends on."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import platform
import sys
import types
from functools import lru_cache

import nnfit

#: What kernels are made of: all that they import lies in these packages and modules.
#: A change elsewhere, such as in an estimator, compiles nothing anew.
_PARTS_OF_KERNELS = (
    "addresses",
    "cache",
    "cpu",
    "cuda",
    "engine_settings",
    "fork_lock",
    "functions",
    "interruption",
    "network",
    "running_numba",
)


def key(builder, arguments, fingerprint, target):
    """Return the name of a kernel, or None if nothing is to be kept.

    Parameters are those of `nnfit.cache.compiled.cached`.
    """
    environment = environment_fingerprint()
    if fingerprint is None or environment is None:
        return None
    text = repr((environment, builder, plain(arguments), target))
    return hashlib.sha256(text.encode() + fingerprint).hexdigest()[:40]


def plain(arguments):
    """Return those arguments that are part of a key by value."""
    return tuple(a for a in arguments if isinstance(a, (int, float, str)))


def fingerprint_of_builder(builder):
    """What a kernel's key needs of a builder outside of this package: its source.

    Parameters
    ----------
    builder : str
        ``"module:function"``.

    Returns
    -------
    fingerprint : bytes or None
        Empty for a module of this package, which `environment_fingerprint` covers.
        None where the source cannot be read.
    """
    module, _, _ = builder.partition(":")
    if module.split(".")[0] == nnfit.__name__:
        return b""
    return _content(importlib.util.find_spec(module))


def version(distribution):
    """Return the version of a package.

    A frozen application may have none of the metadata; that imports the package.
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        module = {"scikit-learn": "sklearn"}.get(distribution, distribution)
        return importlib.import_module(module).__version__


@lru_cache(maxsize=1)
def environment_fingerprint():
    """Hash of all that compiled code depends on besides its own arguments.

    None where this package's contents cannot be read: its version alone does not tell
    two states of it apart.
    """
    versions = [nnfit.__version__, *map(version, ("numba", "llvmlite"))]
    versions += [platform.python_version(), sys.platform]
    digest = hashlib.sha256(repr(versions).encode())
    is_empty = True
    for name, content in _modules(nnfit.__path__, "nnfit."):
        if content is None:
            return None
        digest.update(f"{name}:{len(content)}:".encode() + content)
        is_empty = False
    return None if is_empty else digest.hexdigest()


def _modules(path, prefix):
    """Names and contents of the modules below a package, whoever loads them."""
    for finder, name, is_package in sorted(
        pkgutil.iter_modules(path, prefix), key=lambda info: info.name
    ):
        if name.split(".")[1] in _PARTS_OF_KERNELS:
            spec = finder.find_spec(name)
            yield name, _content(spec)
            if is_package:
                yield from _modules(spec.submodule_search_locations, name + ".")


def _content(spec):
    """Source of a module, else its code, from a folder, an archive or a program."""
    try:
        if spec.origin.endswith(".py"):
            return spec.loader.get_data(spec.origin)
    except (AttributeError, OSError):
        pass
    try:
        code = spec.loader.get_code(spec.name)
    except (AttributeError, ImportError):
        code = None
    return None if code is None else repr(_described(code)).encode()


def _described(code):
    """A code object by value; `marshal` depends on counts of references."""
    return (
        code.co_code,
        [_described_constant(constant) for constant in code.co_consts],
        *(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        *(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        *(code.co_flags, code.co_exceptiontable),
    )


def _described_constant(constant):
    if isinstance(constant, types.CodeType):
        return _described(constant)
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
