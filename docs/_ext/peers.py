"""The directive ``nnfit-peers``: a run of ``python -m benchmarks.peers``.

``.. nnfit-peers:: FILE`` draws the chart and writes the tables of the JSON file that
the run has written, when the page is built, so that neither can differ from it.
"""

import json

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from benchmarks.peers import chart, report


def list_table(header, rows):
    """Lines of a list-table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for first, *others in [header, *rows]:
        lines += [f"   * - {first}", *(f"     - {text}" for text in others)]
    return [*lines, ""]


class Peers(SphinxDirective):
    """Chart and tables of one run, behind the words that are given."""

    required_arguments = 1
    has_content = True

    def run(self):
        _, path = self.env.relfn2path(self.arguments[0])
        for file in (path, chart.__file__):
            self.env.note_dependency(file)
        with open(path) as file:
            results = json.load(file)
        text = [report.origin(results).replace("`", "``"), ""]
        text += list_table(*report.table(results))
        text += ["Share of the multiply-add peak, and the number of threads:", ""]
        text += list_table(*report.share_table(results))
        if "scaling" in results:
            text += ["nnfit on more threads, and its share of their peak:", ""]
            text += list_table(*report.scaling_table(results))
        return [
            *self.parse_content_to_nodes(),
            nodes.raw("", chart.html(results), format="html"),
            *self.parse_text_to_nodes("\n".join(text)),
        ]


def setup(app):
    app.add_directive("nnfit-peers", Peers)
    return {"parallel_read_safe": True}
