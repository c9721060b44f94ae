"""The guides of docs/contributing, followed word by word in a copy of the package."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nnfit
from nnfit.network import kinds
from tests.engines import assert_same_training, make_data, tolerance_of

ROOT = Path(nnfit.__file__).parents[1]
#: Guides, and the parameters that take the names they add.
GUIDES = {
    "activation": "activation",
    "loss": "loss",
    "optimizer": "solver",
    "schedule": "learning_rate",
}


def read(guide):
    return (ROOT / "docs" / "contributing" / f"{guide}.rst").read_text()


def blocks(guide, language):
    """Code blocks of a guide, without indentation."""
    lines = rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)"
    found = re.findall(lines, read(guide), flags=re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for block in found]


def is_row(block):
    return re.match(r"[A-Z]\w+\(\n", block) is not None


def names_of(guide):
    """Names of the rows that a guide adds."""
    rows = filter(is_row, blocks(guide, "python"))
    return [re.search(r'name="(\w+)"', row)[1] for row in rows]


def follow(guide, root):
    """Put the code of a guide into the one file that it names."""
    (path,) = re.findall(r"All of it is in ``(\S+)``", read(guide))
    (registry,) = re.findall(r"registry, ``(\w+)``", read(guide))
    source = (root / path).read_text()
    for block in blocks(guide, "python"):
        begin = source.index(f"\n{registry}: dict") + 1
        if is_row(block):
            end = source.index("    )\n}\n", begin)
            source = source[:end] + textwrap.indent(block, 8 * " ") + source[end:]
        elif block.startswith("from "):
            line = rf"^{block.split(' import ')[0]} import .*\n"
            source, count = re.subn(line, block, source, flags=re.MULTILINE)
            assert count == 1
        else:
            source = source[:begin] + block + "\n\n" + source[begin:]
    (root / path).write_text(source)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run Python in a copy of the repository in which all guides were followed."""
    root = tmp_path_factory.mktemp("guides")
    for name in ("nnfit", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "setup.cfg", root)
    for guide in GUIDES:
        follow(guide, root)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    # Kernels of the copy are not for the cache of others.
    env = {**inherited, "NUMBA_CACHE_DIR": str(root / "cache")}

    def run(arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=root, env=env, capture_output=True, text=True
        )

    run.root = root
    return run


def assert_passes(run, command):
    _, *arguments = shlex.split(command)

    done = run([*arguments, "-p", "no:cacheprovider"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def commands():
    """Those of all guides: files of tests, and the words that choose some of them."""
    found = [command for guide in GUIDES for command in blocks(guide, "sh")]
    return [
        re.fullmatch(r"python -m pytest (.+) -k (\w+)\n", c).groups() for c in found
    ]


@pytest.mark.slow
def test_the_tests_that_guides_name_pass(run):
    """In one process, which compiles a kernel once, and in one precision of two."""
    files = dict.fromkeys(" ".join(files for files, _ in commands()).split())
    words = " or ".join(word for _, word in commands())
    command = f"python -m pytest {' '.join(files)} -k '({words}) and not float32'"
    assert_passes(run, command)


#: A test file for the copy.
LISTED = """
import pytest
from nnfit import MLPClassifier, MLPRegressor


@pytest.mark.parametrize(("parameter", "name"), {rows})
def test_listed(parameter, name):
    both = MLPClassifier, MLPRegressor
    estimators = [each for each in both if repr(name) in each.__doc__]
    assert len(estimators) == (1 if parameter == "loss" else 2)
    for estimator in estimators:
        estimator(**{{parameter: name}})._validate_params()
        with pytest.raises(ValueError, match=f"'{{parameter}}' parameter .*'{{name}}'"):
            estimator(**{{parameter: "none"}})._validate_params()
"""


def test_the_quick_tests_of_all_guides_pass(run):
    """In one process and with nothing to compile; and the names are listed."""
    rows = [(GUIDES[guide], name) for guide in GUIDES for name in names_of(guide)]
    (run.root / "tests" / "test_listed.py").write_text(LISTED.format(rows=rows))
    files = {re.search(r"tests/\w+\.py", blocks(guide, "sh")[0])[0] for guide in GUIDES}
    names = " or ".join(name for _, name in rows)
    wanted = f"({names}) and not compiled and not rates_of_layers"
    files = " ".join(sorted(files))
    assert_passes(run, f"python -m pytest tests/test_listed.py {files} -k '{wanted}'")


# ------------------------------------------------------------ a kind of layer


def modules_of(guide):
    """Files that a guide gives, and the code of its blocks without a name."""
    pattern = r"^\.\. code-block:: python\n(?:   :caption: (\S+)\n)?\n((?:   .*\n|\n)+)"
    found = re.findall(pattern, read(guide), flags=re.MULTILINE)
    found = [(name, textwrap.dedent(code)) for name, code in found]
    named = {name: code for name, code in found if name}
    return named, "".join(code for name, code in found if not name)


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """The guide's kind of layer, in a folder that Python finds modules in."""
    named, code = modules_of("kind")
    for name, text in named.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(kinds, "KINDS", kinds.KINDS.copy())
    yield tmp_path, code
    for name in named:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_the_kind_of_the_guide_trains_as_its_reference(kind):
    namespace = {}
    exec(kind[1], namespace)
    network = namespace["network"]
    assert network.widths == (5, 5, 16, 16, 3)
    data = make_data(network, 40)
    assert_same_training(network, data, **tolerance_of("float64"), n_threads=2)


@pytest.mark.slow
def test_the_tests_that_the_guide_of_kinds_names_pass(kind):
    folder, code = kind
    row = "from nnfit.network.kinds import KINDS, Kind\n"
    row += re.search(r"^KINDS.*\n", code, flags=re.MULTILINE)[0]
    (folder / "shift_row.py").write_text(row)
    (command,) = blocks("kind", "sh")
    _, *arguments = shlex.split(command)
    done = subprocess.run(
        [sys.executable, *arguments, "-p", "shift_row", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 8
