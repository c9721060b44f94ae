"""The directive ``nnfit-picture``: what the Python of a page has drawn.

``.. nnfit-picture:: TEXT`` shows the figures that the blocks above it have drawn with
matplotlib since the last picture; the text says what is seen on them. The blocks run
when the page is read, and not with -D plot_gallery=0, as the examples.
"""

import base64
import contextlib
import html
import io
import warnings

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class picture(nodes.General, nodes.Element):
    """Place of a picture, until the page's blocks have run."""


class Picture(SphinxDirective):
    """Place of a picture."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        return [picture(alt=" ".join(self.arguments[0].split()))]


def is_part(node):
    """Whether a node is a picture or Python that may draw one."""
    return isinstance(node, picture) or (
        isinstance(node, nodes.literal_block) and node.get("language") == "python"
    )


def draw(app, document):
    """Run the blocks of a page up to its last picture, and put pictures in place."""
    parts = list(document.findall(is_part))
    while parts and not isinstance(parts[-1], picture):
        parts.pop()
    if not parts:
        return
    if not app.config.sphinx_gallery_conf["plot_gallery"]:
        for place in list(document.findall(picture)):
            place.parent.remove(place)
        return
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    namespace = {"__name__": "__main__"}
    for part in parts:
        if isinstance(part, picture):
            part.replace_self(nodes.raw("", images(pyplot, part["alt"]), format="html"))
            pyplot.close("all")
        else:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(part.astext(), namespace)


def images(pyplot, alt):
    """HTML of all open figures."""
    found = []
    for number in pyplot.get_fignums():
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, dpi=110, bbox_inches="tight")
        data = base64.b64encode(file.getvalue()).decode()
        source = f"data:image/png;base64,{data}"
        found.append(f'<img class="drawn" alt="{html.escape(alt)}" src="{source}">')
    if not found:
        raise RuntimeError(f"nothing is drawn for the picture: {alt}")
    return "\n".join(found)


def setup(app):
    app.add_node(picture)
    app.add_directive("nnfit-picture", Picture)
    app.connect("doctree-read", draw)
    return {"parallel_read_safe": True}
