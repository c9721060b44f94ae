"""Broken lines that the test suite should notice: a script, not a test.

    python -m tests.mutation draw --seed 1 mutants.json
    python -m tests.mutation contexts lines.coverage        # needs pytest-cov
    python -m tests.mutation run mutants.json --contexts lines.coverage -- -n 2

`draw` picks modules of nnfit at random, no module twice, and breaks one line in each:
another comparison, operator or number, a condition turned around, a statement left out.
`run` makes one change at a time in a copy of the working tree and runs pytest until a
test fails: those that execute the line, known from `contexts`; or those of the engine
where a line is compiled and no coverage sees it. What is left goes through the whole
suite, all changes at once, and each alone through the tests that failed then. A failure
counts if the same test passes without the change.

Mutants are known by the text of their lines, so a file that was drawn from one version
of the package can be run against the tests of another.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What sees most of compiled code in least time.
ENGINE_TESTS = ["tests/test_engine.py", "tests/test_features.py"]
#: Tests that execute a line and are run for it alone, beginning with those that execute
#: the fewest lines.
MOST = 100
#: Seconds for pytest; a line with which it never ends has been noticed.
LIMIT = 1800

SWAPPED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=",
    ast.NotEq: "==", ast.Is: "is not", ast.IsNot: "is", ast.In: "not in",
    ast.NotIn: "in", ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*",
    ast.FloorDiv: "*", ast.Mod: "*", ast.And: "or", ast.Or: "and",
}  # fmt: skip


# ---------------------------------------------------------------------- drawing


class Sites(ast.NodeVisitor):
    """Every change that could be made to a module.

    Parameters
    ----------
    source : str

    Attributes
    ----------
    changes : list of tuple
        First and last line, counted from 1, and the text that takes their place.
    """

    def __init__(self, source):
        self.lines = source.splitlines()
        self.changes = []
        self.visit(ast.parse(source))

    def replace(self, node, text):
        """Put a text in the place of an expression or a simple statement."""
        # Offsets of `ast` count bytes.
        first = self.lines[node.lineno - 1].encode()[: node.col_offset].decode()
        last = self.lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
        self.changes.append((node.lineno, node.end_lineno, first + text + last))

    def visit_Compare(self, node):
        if len(node.ops) == 1 and type(node.ops[0]) in SWAPPED:
            left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
            self.replace(node, f"({left} {SWAPPED[type(node.ops[0])]} {right})")
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if type(node.op) in SWAPPED and not is_text(node):
            left, right = ast.unparse(node.left), ast.unparse(node.right)
            self.replace(node, f"(({left}) {SWAPPED[type(node.op)]} ({right}))")
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        word = f" {SWAPPED[type(node.op)]} "
        self.replace(
            node, "(" + word.join(f"({ast.unparse(v)})" for v in node.values) + ")"
        )
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        self.replace(node, f"({ast.unparse(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value))
        elif isinstance(node.value, (int, float)):
            self.replace(node, repr(node.value + 1))

    def visit_If(self, node):
        self.replace(node.test, f"(not ({ast.unparse(node.test)}))")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.replace(node.test, f"(not ({ast.unparse(node.test)}))")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.replace(node, "pass")
            self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node):
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self.replace(node, "pass")  # an attribute or an element keeps what it had
        self.generic_visit(node)

    def visit_Raise(self, node):
        self.replace(node, "pass")  # not what the message says

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node):
        for part in [*node.body, *node.decorator_list, node.args]:
            self.visit(part)

    def visit_arg(self, node):
        """Annotations change nothing."""


def is_text(node):
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str)
        for part in ast.walk(node)
    )


def draw(seed, count):
    """Return mutants: file, first line, its text and the text that replaces it."""
    rng = random.Random(seed)
    modules = sorted((ROOT / "nnfit").rglob("*.py"))
    rng.shuffle(modules)
    mutants = []
    for module in modules:
        source = module.read_text()
        changes = sorted(set(Sites(source).changes))
        if not changes:
            continue
        first, last, text = rng.choice(changes)
        before = "\n".join(source.splitlines()[first - 1 : last])
        path = module.relative_to(ROOT).as_posix()
        mutants.append(dict(path=path, line=first, before=before, after=text))
        if len(mutants) == count:
            break
    return mutants


# ---------------------------------------------------------------------- running


def copy_of_tree(folder):
    tree = Path(folder) / "tree"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "_build", ".asv")
    shutil.copytree(ROOT, tree, ignore=ignored)
    return tree


def apply(mutant, tree):
    """Change the line with the mutant's text that is nearest to where it was.

    Returns
    -------
    lines : range
        Those of the change in the tree, counted from 1.

    Raises
    ------
    LookupError
        If no line has the text any more.
    """
    path = tree / mutant["path"]
    lines = path.read_text().splitlines() if path.exists() else []
    before = mutant["before"].splitlines()
    places = [i for i in range(len(lines)) if lines[i : i + len(before)] == before]
    if not places:
        raise LookupError(f"{mutant['path']} has no line {mutant['before']!r}")
    place = min(places, key=lambda i: abs(i + 1 - mutant["line"]))
    lines[place : place + len(before)] = [mutant["after"]]
    path.write_text("\n".join(lines) + "\n")
    return range(place + 1, place + 1 + len(before))


def run_pytest(tree, tests, options):
    """Run tests in a tree.

    Returns
    -------
    failed : list of str
        Tests that failed, ["time"] if they do not end, or the end of what pytest has
        printed if it could not run.
    """
    arguments = tree.parent / "tests.txt"
    arguments.write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", *options]
    environment = {**os.environ, "PYTHONPATH": str(tree), "CI": "true"}
    # One cache for all mutants: kernels are kept under a hash of the sources.
    environment.setdefault("NUMBA_CACHE_DIR", tempfile.gettempdir() + "/nnfit-mutants")
    with subprocess.Popen(
        [*command, f"@{arguments}"], cwd=tree, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return ["time"]
    failed = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE)
    if failed or process.returncode in (0, 5):
        return failed
    return [output.strip()[-300:]]


def covering(contexts, path, lines):
    """Return the tests that execute one of some lines, those of few lines first."""
    if contexts is None:
        return []
    with sqlite3.connect(contexts) as data:
        rows = data.execute(
            "select context.context, numbits from line_bits "
            "join file on file.id = file_id join context on context.id = context_id "
            "where file.path like ?",
            ("%/" + path,),
        ).fetchall()
    found = {}
    for context, numbits in rows:
        name = context.split("|")[0]
        hit = any(
            line // 8 < len(numbits) and numbits[line // 8] & 1 << line % 8
            for line in lines
        )
        if hit and name:
            found[name] = sum(byte.bit_count() for byte in numbits)
    return sorted(found, key=found.get)[:MOST]


@contextmanager
def broken(*mutants):
    """A copy of the working tree with some changes; yields it and the changed lines."""
    with tempfile.TemporaryDirectory(prefix="nnfit-mutant.") as folder:
        tree = copy_of_tree(folder)
        yield tree, [apply(mutant, tree) for mutant in mutants]


def passes_unchanged(test, options):
    if "::" not in test:  # a file that cannot be collected, or time
        return True
    with broken() as (tree, _):
        return not run_pytest(tree, [test], options)


def meet(mutant, contexts, options):
    """Run the tests that are likeliest to notice a mutant; returns one that does."""
    with broken(mutant) as (tree, (lines,)):
        tests = covering(contexts, mutant["path"], lines) or ENGINE_TESTS
        failed = run_pytest(tree, tests, ["-x", *options])
    return next((test for test in failed if passes_unchanged(test, options)), None)


def meet_all(mutants, options):
    """Run the whole suite against what `meet` has left; writes what notices them."""
    with broken(*mutants) as (tree, _):
        failed = run_pytest(tree, ["tests"], options)
    suspects = [test for test in failed if passes_unchanged(test, options)]
    for mutant in mutants if suspects else []:
        with broken(mutant) as (tree, _):
            found = run_pytest(tree, suspects, ["-x", *options])
        mutant["noticed"] = found[0] if found else None


def run(mutants, contexts, options):
    """Print, and write to the mutants, which test notices each."""
    for mutant in mutants:
        start = time.monotonic()
        try:
            mutant["noticed"] = meet(mutant, contexts, options)
        except LookupError as error:
            mutant["noticed"] = f"gone: {error}"
        report(mutant, time.monotonic() - start)
    left = [mutant for mutant in mutants if mutant["noticed"] is None]
    if left:
        print(f"{len(left)} go through the whole suite", flush=True)
        meet_all(left, options)
        for mutant in left:
            report(mutant)
    noticed = sum(mutant["noticed"] is not None for mutant in mutants)
    print(f"{noticed} of {len(mutants)} were noticed")


def report(mutant, seconds=None):
    time = "" if seconds is None else f"  ({seconds:.0f} s)"
    print(f"{mutant['path']}:{mutant['line']}{time}")
    print(f"   - {mutant['before'].strip()}\n   + {mutant['after'].strip()}")
    print(f"   {mutant['noticed'] or 'not noticed'}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    commands = parser.add_subparsers(required=True, dest="command")
    command = commands.add_parser("draw", help="draw lines and how to break them")
    command.add_argument("file", type=Path)
    command.add_argument("--seed", type=int, required=True)
    command.add_argument("--count", type=int, default=20)
    command = commands.add_parser("contexts", help="record which tests run which lines")
    command.add_argument("file", type=Path)
    command = commands.add_parser("run", help="run the tests against broken lines")
    command.add_argument("file", type=Path)
    command.add_argument("--contexts", type=Path)
    words, options = sys.argv[1:], []  # those behind -- are pytest's
    if "--" in words:
        place = words.index("--")
        words, options = words[:place], words[place + 1 :]
    given = parser.parse_args(words)
    if given.command == "draw":
        given.file.write_text(json.dumps(draw(given.seed, given.count), indent=1))
    elif given.command == "contexts":
        record(given.file, options)
    else:
        mutants = json.loads(given.file.read_text())
        run(mutants, given.contexts, options)
        given.file.write_text(json.dumps(mutants, indent=1))


def record(file, options):
    """Run all tests and keep for each line the tests that execute it."""
    with tempfile.TemporaryDirectory() as folder:
        # Without branches, whose pairs of lines would be kept for every test.
        settings = Path(folder) / "coverage.ini"
        settings.write_text(f"[run]\nsource = nnfit\ndata_file = {file.resolve()}\n")
        command = [sys.executable, "-m", "pytest", "-q", "--cov=nnfit"]
        command += [f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
        subprocess.run([*command, *options], cwd=ROOT)


if __name__ == "__main__":
    main()
