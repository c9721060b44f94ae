"""The recipes of the user guide: each runs by itself, where its packages are."""

import re
from importlib.util import find_spec

import pytest

from tests.test_documentation import (
    BY_SECTION,
    PAGES,
    agrees,
    imported,
    python_blocks,
    run,
    session,
)

__all__ = ["session"]  # a fixture

#: Those that start processes.
SLOW = {"Searches of scikit-learn"}


def recipes():
    """Each block of code of the page, with the heading above it."""
    lines = PAGES[BY_SECTION].splitlines()
    for recipe in python_blocks(BY_SECTION):
        above = "\n".join(lines[: recipe[0]])
        name = re.findall(r"^(.+)\n-+$", above, re.MULTILINE)[-1]
        lacking = ", ".join(
            filter(lambda name: not find_spec(name), imported(recipe[1]))
        )
        marks = [pytest.mark.skipif(lacking != "", reason=f"needs {lacking}")]
        if name in SLOW:
            marks.append(pytest.mark.slow)
        yield pytest.param(*recipe, id=name, marks=marks)


@pytest.mark.filterwarnings("ignore")  # what other packages warn of is theirs to mend
@pytest.mark.parametrize("before, code, shown", list(recipes()))
def test_a_recipe_prints_what_the_page_shows(before, code, shown, session):
    _, printed = run("\n" * before + code, "recipes.rst", {"__name__": "__main__"})
    assert shown and agrees(shown, printed), f"line {before} prints\n{printed}"
