"""The hook for PyInstaller: it names what no tool can see."""

import importlib
import importlib.metadata
import pkgutil
import re
import sys
import tomllib
import types
from pathlib import Path

import nnfit
from nnfit import __pyinstaller
from nnfit.cpu import kernels


def load_hook(monkeypatch):
    """Run the hook with PyInstaller's functions in simple words."""
    hooks = types.ModuleType("PyInstaller.utils.hooks")

    def collect_submodules(package, filter):
        modules = pkgutil.walk_packages(nnfit.__path__, "nnfit.")
        return [module.name for module in modules if filter(module.name)]

    hooks.collect_submodules = collect_submodules
    hooks.copy_metadata = lambda name: [(importlib.metadata.version(name), name)]
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, hooks.__name__, hooks)
    (folder,) = __pyinstaller.get_hook_dirs()
    names = {}
    exec((Path(folder) / "hook-nnfit.py").read_text(), names)
    return names


def test_the_hook_names_what_is_imported_by_name(monkeypatch):
    hook = load_hook(monkeypatch)
    builders = {value for value in vars(kernels).values() if _is_builder(value)}
    wanted = {builder.partition(":")[0] for builder in builders}
    wanted |= set(nnfit._EXPORTS.values()) | {"nnfit.cpu.kernels.lowering"}
    assert wanted <= set(hook["hiddenimports"])
    assert not any("__pyinstaller" in name for name in hook["hiddenimports"])
    assert {name for _, name in hook["datas"]} == {"numba", "llvmlite"}
    importlib.import_module("numba._devicearray")  # as long as there is one


def _is_builder(value):
    return isinstance(value, str) and re.fullmatch(r"nnfit\.[\w.]+:\w+", value)


def test_pyinstaller_finds_the_hook():
    """The entry point leads to the folder of the hook."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    entry = project["project"]["entry-points"]["pyinstaller40"]["hook-dirs"]
    assert pkgutil.resolve_name(entry) is __pyinstaller.get_hook_dirs
