"""The documentation: the Python of each page runs in order and prints what the page
shows, its commands exist, and the guide's index has every page."""

import ast
import contextlib
import importlib.util
import io
import itertools
import re
import shlex
import sys
import textwrap
from pathlib import Path

import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid

from nnfit.__main__ import _parser
from nnfit.cuda import modules
from nnfit.estimators.mlp import BaseMLP
from tests.cuda import tiles
from tests.test_guides import GUIDES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
#: Written by hand; the others are made by a build.
FOLDERS = ("", "user_guide", "coming_from", "contributing")
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text()
    for folder in FOLDERS
    for path in sorted((DOCS / folder).glob("*.rst"))
}
#: Their blocks are parts of files of nnfit, see tests/test_guides.py.
RECIPES = {f"contributing/{name}" for name in (*GUIDES, "kind")}

#: A section of it needs packages that the others do not, see tests/test_recipes.py.
BY_SECTION = "user_guide/recipes"

#: Packages of the extra "onnx" and what runs models; pages with them need them.
OPTIONAL = ("dask", "onnx", "onnxruntime", "skl2onnx", "skops", "safetensors")
CORE = {"nnfit", "numpy", "scipy", "sklearn", "joblib", *sys.stdlib_module_names}
DIRECTIVE = re.compile(r"( *)\.\. code-block:: *(\S*)")
DECIMAL = re.compile(r"\d+\.\d+")


def blocks(page):
    """Language, number of lines before the code, and code of each block of a page."""
    lines = PAGES[page].splitlines()
    for number, line in enumerate(lines, 1):
        if found := DIRECTIVE.fullmatch(line):
            indent, language = found.groups()
            body = []
            for following in lines[number:]:
                if following.strip() and not following.startswith(f"{indent} "):
                    break
                body.append(following)
            yield language, number, textwrap.dedent("\n".join(body))


def python_blocks(page):
    """Number of lines before the code, the code, and the output that the page shows.

    An output is a block of text with nothing but an empty line between it and the code;
    it is empty where there is none.
    """
    for block, following in itertools.pairwise([*blocks(page), ("", 0, "")]):
        (language, before, code), (below, its_before, text) = block, following
        if language == "python":
            follows = its_before == before + len(code.split("\n")) + 1
            yield before, code, text if follows and below == "text" else ""


WITH_PYTHON = [
    page for page in PAGES if page not in RECIPES and any(python_blocks(page))
]


def imported(code):
    """Packages that a block imports."""
    packages = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add(node.module.split(".")[0])
    return packages


def run(code, name, namespace):
    """Run a block; returns the values of its expressions, and what it prints."""
    values, printed = [], io.StringIO()
    with contextlib.redirect_stdout(printed):
        for node in ast.parse(code, name).body:
            if isinstance(node, ast.Expr):
                expression = ast.Expression(node.value)
                values.append(eval(compile(expression, name, "eval"), namespace))
            else:
                exec(compile(ast.Module([node], []), name, "exec"), namespace)
    return values, printed.getvalue()


def agrees(shown, printed):
    """Whether an output on a page is what was printed.

    In an output "..." stands for anything, such as times. Processors round differently,
    so decimals may differ by 3 %, or by two of the last place shown. Any space is as
    good as any other.
    """

    def pattern_of(part):
        if part.strip() == "...":
            return ".*?"
        if DECIMAL.fullmatch(part):
            return f"({DECIMAL.pattern})"
        return r"\s+" if part.isspace() else re.escape(part)

    def are_close(shown, printed):
        place = 0.1 ** len(shown.partition(".")[2])
        tolerance = max(0.03 * float(shown), 2.1 * place)
        return abs(float(printed) - float(shown)) < tolerance

    parts = re.split(rf"(\s*\.\.\.\s*|{DECIMAL.pattern}|\s+)", shown.strip())
    pattern = "".join(map(pattern_of, parts))
    found = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    decimals = filter(DECIMAL.fullmatch, parts)
    return found is not None and all(map(are_close, decimals, found.groups()))


def networks(estimator):
    """The networks in an estimator; of a search those of every candidate."""
    if isinstance(estimator, BaseMLP):
        return [estimator]
    parts = estimator.get_params().values()
    if grid := getattr(estimator, "param_grid", None):
        base = estimator.estimator
        parts = [clone(base).set_params(**changes) for changes in ParameterGrid(grid)]
    parts = [part for part in parts if isinstance(part, BaseEstimator)]
    return [network for part in parts for network in networks(part)]


@pytest.fixture
def session(tmp_path, monkeypatch):
    """What a session in Python has that a page may change."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    with sklearn.config_context():
        yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def gpu(page, request, monkeypatch):
    """What a page needs of a GPU: one to train on, or the compiler."""
    if page == "user_guide/gpu":
        with tiles.small_gpu() as emulated:
            yield
        assert emulated.launches
    elif page == "compile_time":
        # `tests.cuda.test_compilation` compiles every function, in a minute or more.
        request.getfixturevalue("cache")
        monkeypatch.setattr(modules, "compile_for", lambda *kernel: b"no code")
        yield
    else:
        yield


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Of matplotlib with a newer pyparsing than it knew.
@pytest.mark.filterwarnings("ignore:.* deprecated.* use '")
@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page != BY_SECTION])
def test_a_page_runs_from_top_to_bottom(page, session, gpu):
    for package in OPTIONAL:
        if f"import {package}" in PAGES[page]:
            pytest.importorskip(package)
    namespace, values = {"__name__": "__main__"}, []
    for before, code, shown in python_blocks(page):
        # An error names the page and its line.
        found, printed = run("\n" * before + code, f"{page}.rst", namespace)
        values += found
        assert agrees(shown, printed), f"{page}.rst, line {before}, prints\n{printed}"
    for value in [*values, *namespace.values()]:
        if isinstance(value, BaseEstimator):
            for network in networks(value):
                network._validate_params()
    if page == "contributing/gpu":
        name, grid, block, *_ = namespace["gpu"].launches[0]
        assert isinstance(name, str) and grid and block


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_a_page_says_what_it_needs(page):
    lines = PAGES[page].splitlines()
    for before, code, _ in python_blocks(page):
        paragraph = "\n".join(lines[: before - 1]).rstrip().split("\n\n")[-1]
        for package in imported(code) - CORE:
            assert re.search(rf"\b{package}\b", paragraph), (page, package)


@pytest.mark.parametrize(
    "printed, agree",
    [
        ("a 0.98 b\n  3 in 7 s", True),
        ("a 0.96 b\n  3 in 0.1 s", True),
        ("a 0.94 b 3 in 7 s", False),  # farther from it than processors are
        ("a 0.98 b 4 in 7 s", False),
        ("a 0.98 b 3 in 7 s.", False),
        ("", False),
    ],
)
def test_outputs_agree_but_for_roundings_and_what_is_left_open(printed, agree):
    assert agrees("a 0.98 b\n3 in ... s", printed) == agree


def test_the_index_of_the_guide_has_every_page_once():
    """In the tree that is shown beside the pages, and in a list that describes them."""
    text = PAGES["user_guide/index"]
    trees = re.findall(r"\.\. toctree::\n((?:   .*\n|\n)*)", text)
    beside = re.findall(r"^   (\w+)$", "".join(trees), re.MULTILINE)
    assert beside == re.findall(r"^:doc:`(\w+)`$", text, re.MULTILINE)
    pages = [page.removeprefix("user_guide/") for page in PAGES if "guide/" in page]
    assert sorted([*beside, "index"]) == sorted(pages)


def test_no_code_is_hidden_from_these_tests():
    for page, text in PAGES.items():
        for language, before, code in blocks(page):
            known = ("python", "python3", "sh", "docker", "text")
            assert language in known, (page, before)
            if language == "python3":  # needs another library, and does not run here
                ast.parse(code)
        for number, line in enumerate(text.splitlines(), 1):
            other = r"\s*(>>>|\.\. (code|literalinclude|doctest)::|(?!\.\. ).*::$)"
            assert not re.match(other, line), (page, number)


def command_lines():
    """Where a command may stand: page, line of a block or what is in backquotes."""
    for page in PAGES:
        for language, _, code in blocks(page):
            if language in ("sh", "docker"):
                for line in code.splitlines():
                    yield page, line
        for code in re.findall(r"``(.+?)``", PAGES[page], re.DOTALL):
            yield page, code
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                yield page, line
        for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
            yield page, code


def commands():
    """Modules that the documentation runs, with their arguments."""
    for page, line in command_lines():
        for command in " ".join(line.split()).split(" && "):
            found = re.search(r"python3? -m ((nnfit|benchmarks|pytest)\b.*)", command)
            if found:
                yield page, found[1]


@pytest.mark.parametrize("page, command", sorted(set(commands())))
def test_commands_are_valid(page, command):
    module, *arguments = shlex.split(command)
    if module == "nnfit":
        parser = _parser()
        parser.error = pytest.fail
        if arguments != ["--version"]:
            parser.parse_args(arguments)
    elif module == "pytest":
        assert all((ROOT / word).exists() for word in arguments if "/" in word)
    else:
        spec = importlib.util.find_spec(module)
        if spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{module}.__main__")
        source = Path(spec.origin).read_text()
        for option in arguments:
            assert not option.startswith("-") or f'"{option}"' in source, option


def test_the_reference_has_every_option_of_the_command_line():
    (usage,) = [code for language, _, code in blocks("api") if language == "text"]
    parser = _parser()
    (commands,) = [a for a in parser._actions if isinstance(a.choices, dict)]
    options = {
        option
        for part in (parser, *commands.choices.values())
        for action in part._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    assert set(re.findall(r"--[\w-]+", usage)) == options - {"--help"}
    assert set(re.findall(r"-m nnfit (\w+)", usage)) == set(commands.choices)
