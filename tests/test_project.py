"""The project around the library: metadata, README, documentation, demo."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import nnfit
from nnfit import demo
from nnfit.__main__ import main
from nnfit.estimators.parameters import REGULARISATION
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.training.schedules import SCHEDULES

# Of matplotlib with a newer pyparsing than it knew.
pytestmark = pytest.mark.filterwarnings("ignore:.* deprecated.* use '")

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


def test_version_is_the_installed_one():
    assert metadata.version("nnfit") == nnfit.__version__


def test_runtime_dependencies():
    requirements = [Requirement(r) for r in PYPROJECT["project"]["dependencies"]]
    expected = {"numpy", "scipy", "numba", "scikit-learn", "joblib"}
    assert {r.name for r in requirements} == expected
    for requirement in requirements:
        # A floor and no ceiling: .ci/floors.py pins what is written here.
        assert re.fullmatch(r"[\w-]+>=[\d.]+", str(requirement))
        installed = Version(metadata.version(requirement.name))
        assert requirement.specifier.contains(installed)


def test_group_and_extra_of_the_tests_agree():
    assert (
        PYPROJECT["dependency-groups"]["test"]
        == PYPROJECT["project"]["optional-dependencies"]["test"]
    )


def test_extras_of_cuda_agree():
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert extras["cuda"] == extras["cuda13"]
    assert [extras["cuda12"][0].replace("cu12", "cu13")] == extras["cuda"]
    tested = f"{extras['cuda'][0]}; sys_platform != 'darwin'"
    assert tested in extras["test"], "the floor is proven by .ci/floors.py"


def test_package_is_typed():
    assert (Path(nnfit.__file__).parent / "py.typed").exists()


def test_readme_has_the_commands_that_ci_runs():
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    run, test, build = commands = [block.strip() for block in blocks]
    for command in commands:
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert run.endswith("-m nnfit demo")
    assert test.endswith('-m pytest -n 2 -m "not slow"')
    assert build.endswith("-m sphinx docs docs/_build/html")
    # .ci/run finds each by a part of it, which must be in no other.
    steps = re.findall(r'readme \w+ "(.+?)"', (ROOT / ".ci" / "run").read_text())
    found = [[command for command in commands if words in command] for words in steps]
    assert sorted(found) == sorted([command] for command in commands)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_named_files_exist(page):
    text = (ROOT / page).read_text()
    for name in re.findall(
        r"`((?:docs|examples|tests|nnfit|benchmarks)/[^` ]*)`", text
    ):
        assert (ROOT / name).exists() or name.startswith("docs/_build"), name


def test_the_tutorial_lists_its_pages_and_each_leads_to_the_next():
    pages = sorted((ROOT / "docs" / "_tutorial").glob("*.py"))
    links = {
        page: re.findall(r"<sphx_glr_tutorial_(\w+)\.py>", page.read_text())
        for page in (ROOT / "docs" / "_tutorial" / "GALLERY_HEADER.rst", *pages)
    }
    (listed, *of_pages), names = links.values(), [page.stem for page in pages]
    assert listed == names
    for name, found in zip(names[1:], of_pages, strict=False):
        assert found[-1] == name


@pytest.mark.parametrize(
    "kind, registry",
    [
        ("activations", ACTIVATIONS),
        ("losses", LOSSES),
        ("solvers", OPTIMIZERS),
        ("schedules", SCHEDULES),
    ],
)
def test_components_page_has_every_row(monkeypatch, kind, registry):
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    describing = importlib.import_module("describing")
    lines = list(describing.DESCRIBE[kind][1]())
    for name, row in registry.items():
        assert name in lines
        assert f"   {row.formula}" in lines


def test_ingredients_have_the_defaults_of_the_estimator():
    page = (ROOT / "docs" / "user_guide" / "ingredients.rst").read_text()
    told = dict(re.findall(r"``(\w+)=([^`\s,]+)``", page.split("Where to begin")[0]))
    signature = inspect.signature(nnfit.MLPClassifier).parameters
    assert told == {
        name: f"{signature[name].default!r}".replace("'", '"') for name in told
    }
    new = set(REGULARISATION.constraints) | {"n_members", "clip_norm", "residual"}
    assert new <= set(told)


@pytest.fixture
def quick_demo(monkeypatch):
    monkeypatch.setattr(demo, "REPEATS", 1)
    monkeypatch.setitem(demo.PARAMETERS, "max_iter", 30)


@pytest.mark.slow  # .ci/run runs the command itself
def test_demo(quick_demo, capsys, tmp_path):
    picture = tmp_path / "curves.png"
    assert main(["demo", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +1 +\d\.\d+ \* ", out, flags=re.MULTILINE)
    for name in ("nnfit", "scikit-learn"):
        (accuracy,) = re.findall(rf"^{name} +(0\.\d+) +30 ", out, flags=re.MULTILINE)
        assert float(accuracy) > 0.9
    assert picture.exists() or "pip install matplotlib" in out


@pytest.fixture
def short_demo(quick_demo, monkeypatch):
    monkeypatch.setitem(demo.PARAMETERS, "max_iter", 2)


def test_demo_without_matplotlib(short_demo, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture = tmp_path / "curves.png"
    assert main(["demo", "--picture", str(picture)]) == 0
    assert "pip install matplotlib" in capsys.readouterr().out
    assert not picture.exists()


def test_demo_with_a_picture_that_cannot_be_saved(short_demo, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert main(["demo", "--picture", str(tmp_path / "none" / "curves.png")]) == 1
    captured = capsys.readouterr()
    assert "scikit-learn" in captured.out
    assert "Could not save the picture" in captured.err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "the following arguments are required: command"),
        (["dmo"], "invalid choice: 'dmo'"),
    ],
)
def test_command_line_errors(arguments, message):
    command = [sys.executable, "-m", "nnfit", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
