"""The directive ``nnfit-accuracy``: a run of ``python -m benchmarks.accuracy``.

``.. nnfit-accuracy:: FILE`` draws the picture and writes the tables of the file that
the run has written, when the page is built, so that neither can differ from it. The
words behind it are models to compare; without any it is all.
"""

from docutils import nodes
from peers import list_table
from sphinx.util.docutils import SphinxDirective

from benchmarks.accuracy import chart, report
from benchmarks.accuracy.records import Records
from benchmarks.accuracy.summary import summarize


class Accuracy(SphinxDirective):
    """Picture and tables of one run."""

    required_arguments = 1
    optional_arguments = 99

    def run(self):
        file, *models = self.arguments
        _, path = self.env.relfn2path(file)
        for file in (path, chart.__file__):
            self.env.note_dependency(file)
        records = Records(path)
        summary = summarize(records, models or records.models())
        svg = chart.svg(summary)
        text = [report.origin(summary), "", *report.sentences(summary), ""]
        text += list_table(*report.table(summary))
        text += list_table(*report.details(summary))
        text += ["Errors, the models numbered as they rank:", ""]
        text += list_table(*report.error_table(summary))
        return [
            nodes.raw("", f'<figure class="picture">{svg}</figure>', format="html"),
            *self.parse_text_to_nodes("\n".join(text)),
        ]


def setup(app):
    app.add_directive("nnfit-accuracy", Accuracy)
    return {"parallel_read_safe": True}
