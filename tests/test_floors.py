"""Imports point only downward: the order of floors of docs/architecture.rst."""

import ast
from collections import namedtuple
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import nnfit

#: Packages and modules of nnfit from the top to the bottom. Each may import itself and
#: what stands on a lower floor, nothing beside it.
FLOORS = (
    ("__main__",),
    ("dask", "diagnosis", "displays", "onnx"),
    (
        *("demo", "exporting_c", "information", "interchange", "model_selection"),
        *("preprocessing", "pretraining", "tabular", "trusted", "tuning", "warming"),
    ),
    ("inspection",),
    ("estimators",),
    ("callbacks",),
    ("batches",),
    ("tables",),
    ("training",),
    ("cpu", "cuda"),
    ("engine_settings", "population", "progress", "running_numba", "sparsity"),
    ("network",),
    ("functions",),
    ("addresses", "blas", "cache", "foreign_names", "numpy_errors", "pages"),
    ("fork_lock", "interruption"),
    ("__init__", "__pyinstaller"),
)
PACKAGE = Path(nnfit.__file__).parent

Import = namedtuple("Import", "module line")


def name_of(path, root):
    """Module of a file below the folder that holds the package."""
    *folders, last = path.relative_to(root).with_suffix("").parts
    return ".".join(folders if last == "__init__" else [*folders, last])


MODULES = {name_of(path, PACKAGE.parent): path for path in PACKAGE.rglob("*.py")}


def imports_of(path):
    """What a file imports of nnfit, also inside of functions and by its name."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [own(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "nnfit":
            names = [own("nnfit", node.attr)]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
        for name in names:
            if name in MODULES:
                yield Import(name, node.lineno)


def own(module, name):
    """Module that holds a name of another: a part of it, or where an export lives."""
    inner = f"{module}.{name}"
    if module == "nnfit":
        inner = nnfit._EXPORTS.get(name, inner)
    return inner if inner in MODULES else module


def part_of(module):
    """Package or module directly below nnfit to which a module belongs."""
    _, *rest = module.split(".")
    return rest[0] if rest else "__init__"


def wrong_imports(files):
    """A sentence for each import of files, by module, that does not point downward."""
    floor_of = {part: i for i, floor in enumerate(FLOORS) for part in floor}
    for module, path in files.items():
        part = part_of(module)
        for imported in imports_of(path):
            other = part_of(imported.module)
            if part != other and floor_of[part] >= floor_of[other]:
                yield (
                    f"{path}:{imported.line} imports {imported.module}: {part}, on "
                    f"the floor {FLOORS[floor_of[part]]}, may import only what is "
                    f"lower, and {other} is on {FLOORS[floor_of[other]]}"
                )


def test_all_parts_of_the_package_have_a_floor():
    listed = [part for floor in FLOORS for part in floor]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(map(part_of, MODULES))


def test_imports_point_only_downward():
    assert list(wrong_imports(MODULES)) == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {
        module: {one.module for one in imports_of(path)} - {module}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize(
    "statement",
    [
        "from nnfit.training import loop",
        "import nnfit.training.loop",
        "def f():\n    from nnfit.training.loop import train",
        "from nnfit import MLPClassifier",
        "import nnfit\nnnfit.warmup",
        "import importlib\nimportlib.import_module('nnfit.training.loop')",
        "from nnfit.cuda import fields",
    ],
)
def test_an_import_that_points_upward_is_told(statement, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(statement + "\n")
    (sentence,) = wrong_imports({"nnfit.cpu.module": path})
    assert sentence.startswith(f"{path}:") and "('cpu', 'cuda')" in sentence


def test_an_import_that_points_downward_is_not(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import nnfit\nfrom nnfit.network import Network\nnnfit.__version__"
    )
    assert not list(wrong_imports({"nnfit.cpu.module": path}))


def test_the_documented_floors_are_these():
    text = (PACKAGE.parent / "docs" / "architecture.rst").read_text()
    (table,) = [t for t in text.split(".. list-table::") if "   * - Floor\n" in t]
    described = [
        {name.removeprefix("nnfit/").strip("/").removesuffix(".py") for name in names}
        for row in table.split("   * - ")[2:]
        for names in [row.split("     -")[0].split("``")[1::2]]
    ]
    assert described == [set(floor) for floor in FLOORS]
