"""Names of cached kernels: what they cover, and from where it is read."""

import compileall
import pkgutil
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from nnfit.cache import keys
from nnfit.cpu import compiling
from nnfit.cpu import target as targets
from tests.engines import PROCESSORS, use_processor
from tests.small_kernels import BUILDER, RELU
from tests.test_floors import MODULES, imports_of, part_of


def key(builder=BUILDER, arguments=("relu", "float32"), own=b"", target=None):
    return keys.key(builder, arguments, own, target or targets.host())


def test_a_key_is_the_same_for_the_same_kernel():
    assert key() == key(own=b"")


@pytest.mark.parametrize(
    "change",
    [
        {"builder": "nnfit.cpu.kernels.elementwise:link"},
        {"arguments": ("tanh", "float32")},
        {"arguments": ("relu", "float64")},
        {"arguments": ("relu", "float32", 1)},
        {"arguments": ("relu", "float32", 1.0)},
        {"arguments": ("relufloat32",)},
        {"own": b"other"},
    ],
    ids=str,
)
def test_a_key_covers_what_the_kernel_is_built_from(change):
    assert key(**change) != key()


def test_numbers_of_different_type_have_different_keys():
    """1 and 1.0 are equal in Python and different code."""
    assert key(arguments=(1,)) != key(arguments=(1.0,))


@pytest.mark.parametrize(
    "change",
    [
        {"triple": "x86_64-pc-windows-msvc"},
        {"cpu": "another"},
        {"features": "+one-more"},
        {"vector_bytes": 128},
        {"tile_rows": 7},
        {"fma": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_key_covers_the_processor(change):
    assert key(target=replace(targets.host(), **change)) != key()


def test_processors_share_no_kernel(monkeypatch):
    names = {key(target=use_processor(monkeypatch, name)) for name in PROCESSORS}
    assert len(names) == len(PROCESSORS)


SOURCES = {
    "__init__": "",
    "cpu/__init__": "",
    "cpu/kernel": "two = 2\n",
    "estimators/__init__": "",
    "estimators/fit": "three = 3\n",
    "model_selection": "four = 4\n",
}


def write(root, sources=SOURCES):
    for name, text in sources.items():
        path = root / "nnfit" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "nnfit"


def as_bytecode(package):
    """Leave a folder as `compileall -b` and the removal of sources do."""
    compileall.compile_dir(package, legacy=True, quiet=1)
    for path in package.rglob("*.py"):
        path.unlink()
    return package


def as_archive(package):
    archive = shutil.make_archive(package.parent, "zip", package.parent)
    return Path(archive) / "nnfit"


FORMS = {
    "folder": lambda package: package,
    "bytecode": as_bytecode,
    "archive": as_archive,
    "archive-of-bytecode": lambda package: as_archive(as_bytecode(package)),
}


@pytest.fixture
def fingerprint_of(monkeypatch):
    """Function that takes a package for nnfit and returns its fingerprint."""

    def fingerprint(package):
        monkeypatch.setattr(keys.nnfit, "__path__", [str(package)])
        sys.path_importer_cache.clear()
        keys.environment_fingerprint.cache_clear()
        return keys.environment_fingerprint()

    yield fingerprint
    keys.environment_fingerprint.cache_clear()


@pytest.mark.parametrize("form", FORMS)
def test_the_fingerprint_covers_the_package(form, fingerprint_of, tmp_path):
    """Also where there are no sources: an update must not run the old code."""
    make = FORMS[form]
    first, second, other = (
        fingerprint_of(make(write(tmp_path / name, SOURCES | changed)))
        for name, changed in {
            "one": {},
            "two": {"cpu/kernel": "two = 3\n"},
            "three": {"estimators/fit": "3\n", "model_selection": '"""A docstring."""'},
        }.items()
    )
    assert first is not None
    assert second != first
    assert other == first, "kernels outlive a change of estimators"


def test_the_fingerprint_covers_the_names_of_files(fingerprint_of, tmp_path):
    package = write(tmp_path)
    before = fingerprint_of(package)
    (package / "cpu" / "kernel.py").rename(package / "cpu" / "other.py")
    assert keys.environment_fingerprint() == before, "it is computed once a process"
    assert fingerprint_of(package) != before


@pytest.mark.parametrize("name", ["numba", "llvmlite"])
def test_the_fingerprint_covers_the_compilers_version(
    name, fingerprint_of, tmp_path, monkeypatch
):
    version = keys.importlib.metadata.version
    package = write(tmp_path)
    before = fingerprint_of(package)
    monkeypatch.setattr(
        keys.importlib.metadata,
        "version",
        lambda asked: "0.0" if asked == name else version(asked),
    )
    assert fingerprint_of(package) != before


def test_the_fingerprint_covers_the_packages_version(
    fingerprint_of, tmp_path, monkeypatch
):
    package = write(tmp_path)
    before = fingerprint_of(package)
    monkeypatch.setattr(keys.nnfit, "__version__", "another")
    assert fingerprint_of(package) != before


def test_versions_where_metadata_are_missing(monkeypatch):
    """A frozen application has none unless it asks for them."""

    def fail(name):
        raise keys.importlib.metadata.PackageNotFoundError(name)

    expected = [keys.version(name) for name in ("llvmlite", "scikit-learn")]
    monkeypatch.setattr(keys.importlib.metadata, "version", fail)
    assert [keys.version(name) for name in ("llvmlite", "scikit-learn")] == expected


class FrozenFinder:
    """Modules that are code objects without any file, as in a frozen application."""

    def __init__(self, sources):
        self.sources = sources

    def iter_modules(self, prefix):
        return [(prefix + name, False) for name in self.sources]

    def find_spec(self, name, target=None):
        return types.SimpleNamespace(name=name, origin="/no/where", loader=self)

    def get_code(self, name):
        source = self.sources[name.rpartition(".")[2]]
        return source and compile(source, "", "exec")


def frozen_fingerprint(sources, fingerprint_of, monkeypatch):
    monkeypatch.setattr(keys.pkgutil, "iter_modules", _iter_frozen(sources))
    return fingerprint_of("/no/where")


def _iter_frozen(sources):
    finder = FrozenFinder(sources)
    return lambda path, prefix: [
        pkgutil.ModuleInfo(finder, name, is_package)
        for name, is_package in finder.iter_modules(prefix)
    ]


def test_the_fingerprint_of_a_frozen_package(fingerprint_of, monkeypatch):
    one = "def f(x):\n    return x in {{1, 2}} and (lambda: {})\n"
    first, same, other = (
        frozen_fingerprint({"cpu": one.format(n)}, fingerprint_of, monkeypatch)
        for n in (3, 3, 4)
    )
    assert first == same
    assert first is not None
    assert first != other


@pytest.mark.parametrize("sources", [{}, {"cpu": None}], ids=["nothing", "no-code"])
def test_without_any_source_nothing_is_kept(
    sources, fingerprint_of, cache, compiled, monkeypatch, capsys
):
    assert frozen_fingerprint(sources, fingerprint_of, monkeypatch) is None
    monkeypatch.setattr("nnfit.cache.compiled._announced", set())
    compiling.load(*RELU)
    err = capsys.readouterr().err
    assert "in every process: nnfit's own modules can be read neither as source" in err
    assert not cache.exists()
    with pytest.raises(OSError, match="cannot be kept: nnfit's own modules"):
        compiling.missing([RELU])


def test_keys_cover_what_kernels_import_and_nothing_else():
    known, found = set(), {"nnfit.cpu.compiling", "nnfit.cuda.lowering"}
    found |= {module for module in MODULES if ".kernels." in module}
    while found > known:
        known = set(found)
        found |= {one.module for name in known for one in imports_of(MODULES[name])}
    parts = set(map(part_of, found)) - {"__init__"}
    assert parts == set(keys._PARTS_OF_KERNELS)
