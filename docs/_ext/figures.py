"""Measured figures in sentences, and the picture of the front page.

``:measured:`errors nnfit_tabular_best hist``` is a figure of `benchmarks.published`,
whose `FIGURES` say which there are. ``.. nnfit-front::`` is the picture of the README
with its sentences, and ``.. nnfit-by-data::`` a table of errors by kind of table.
"""

from docutils import nodes
from peers import list_table
from sphinx.util.docutils import SphinxDirective, SphinxRole

from benchmarks import published
from benchmarks.bars import side_by_side


def note_files(env):
    """What a page with figures is made of."""
    for file in (published.PEERS_FILE, published.ACCURACY_FILE, published.__file__):
        env.note_dependency(str(file))


class Measured(SphinxRole):
    """A figure in a sentence."""

    def run(self):
        note_files(self.env)
        try:
            return [nodes.Text(published.figure(self.text))], []
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            raw = self.rawtext
            return [self.inliner.problematic(raw, raw, message)], [message]


class Front(SphinxDirective):
    """Pictures of speed and accuracy, and what they say."""

    def run(self):
        note_files(self.env)
        panels = [draw() for draw in published.PANELS.values()]
        return [
            nodes.raw("", side_by_side(panels), format="html"),
            *self.parse_text_to_nodes("\n\n".join(published.sentences())),
        ]


class ByData(SphinxDirective):
    """Errors beside those of gradient boosting, by kind of table."""

    def run(self):
        note_files(self.env)
        lines = list_table(*published.by_data())
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app):
    app.add_role("measured", Measured())
    app.add_directive("nnfit-front", Front)
    app.add_directive("nnfit-by-data", ByData)
    return {"parallel_read_safe": True}
