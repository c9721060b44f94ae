"""The script that breaks lines: its changes are legal Python, one in each module."""

import ast
import json
import shutil

import pytest

from tests import mutation


def test_mutants_are_the_same_for_a_seed():
    mutants = mutation.draw(3, 8)
    assert mutants == mutation.draw(3, 8) != mutation.draw(4, 8)
    assert len({mutant["path"] for mutant in mutants}) == len(mutants) == 8
    json.dumps(mutants)


def test_every_change_is_one_of_its_lines(tmp_path):
    module = "nnfit/functions/stopping.py"
    source = (mutation.ROOT / module).read_text()
    changes = mutation.Sites(source).changes
    assert len(changes) > 20
    for first, last, text in changes:
        before = "\n".join(source.splitlines()[first - 1 : last])
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mutation.ROOT / module, tmp_path / module)
        mutant = dict(path=module, line=first, before=before, after=text)
        assert mutation.apply(mutant, tmp_path) == range(first, last + 1)
        changed = (tmp_path / module).read_text()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_a_line_is_found_where_it_has_moved_to(tmp_path):
    (tmp_path / "module.py").write_text("a = 1\nb = 2\na = 1\nc = 3\na = 1\n")
    mutant = dict(path="module.py", line=4, before="a = 1", after="a = 2")
    assert mutation.apply(mutant, tmp_path) == range(3, 4)
    assert (tmp_path / "module.py").read_text().splitlines()[2] == "a = 2"
    with pytest.raises(LookupError, match=r"module.py has no line 'd = 4'"):
        mutation.apply({**mutant, "before": "d = 4"}, tmp_path)
