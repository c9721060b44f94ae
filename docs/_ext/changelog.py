"""The directive ``nnfit-changelog``: ``CHANGELOG.md`` as sections of a page."""

import re
from pathlib import Path

import interface
from sphinx.util.docutils import SphinxDirective

from nnfit.estimators.parameters import HEADINGS

FILE = Path(__file__).parent.parent.parent / "CHANGELOG.md"
UNDERLINES = {"##": "-", "###": "~"}


def restructured(text):
    """Lines of reStructuredText of a text in the Markdown of the changelog."""
    public = (name for name, _ in interface.public())
    names = {name.removeprefix("nnfit."): name for name in public}
    names = {name: names[name] for name in names.keys() - HEADINGS.keys()}

    def code(found):
        name = names.get(found[1].removeprefix("nnfit."))
        return f":obj:`~{name}`" if name else f"``{found[1]}``"

    for line in text.splitlines():
        marks, _, title = line.partition(" ")
        if marks in UNDERLINES:
            yield from [title, UNDERLINES[marks] * len(title)]
        elif marks != "#":
            line = re.sub(r"\[(.+?)\]\((.+?)\)", r"`\1 <\2>`__", line)
            yield re.sub(r"(?<!`)`([^`<]+)`(?!`)(?!_)", code, line)


class Changelog(SphinxDirective):
    """What each version has brought."""

    def run(self):
        self.env.note_dependency(str(FILE))
        text = "\n".join(restructured(FILE.read_text()))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app):
    app.add_directive("nnfit-changelog", Changelog)
    return {"parallel_read_safe": True}
