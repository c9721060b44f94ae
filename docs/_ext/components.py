"""The directives ``nnfit-components`` and ``nnfit-formula``: nnfit's own registries.

``.. nnfit-components:: activations`` (or ``losses``, ``solvers``, ``schedules``) writes
a section for every row of the registry, and ``.. nnfit-formula:: solvers adam`` the
formula and the reference of one row; see `describing`.
"""

from describing import DESCRIBE, FORMULAS, formula
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class Components(SphinxDirective):
    """Sections for every row of a registry."""

    required_arguments = 1

    def run(self):
        kind = directives.choice(self.arguments[0], DESCRIBE)
        module, describe = DESCRIBE[kind]
        self.env.note_dependency(module.__file__)
        text = "\n".join(describe())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class Formula(SphinxDirective):
    """Formula and reference of one row of a registry."""

    required_arguments = 2

    def run(self):
        module, registry = FORMULAS[directives.choice(self.arguments[0], FORMULAS)]
        self.env.note_dependency(module.__file__)
        row = registry[self.arguments[1]]
        text = "\n".join([*formula(row.formula), row.reference])
        return self.parse_text_to_nodes(text)


def setup(app):
    app.add_directive("nnfit-components", Components)
    app.add_directive("nnfit-formula", Formula)
    return {"parallel_read_safe": True}
