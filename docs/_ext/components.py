"""Directives for nnfit's own registries.

``.. nnfit-components:: activations`` (or ``losses``, ``solvers``, ``schedules``) writes
a section for every row of the registry, and ``.. nnfit-formula:: solvers adam`` the
formula and the reference of one row; see `describing`. ``.. nnfit-names::`` lists what
is called otherwise elsewhere, and ``:here:`epochs``` or ``:here:`loss mse``` is what
one name of a parameter, or of its value, is called here.
"""

import describing
from describing import DESCRIBE, FORMULAS, formula
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective, SphinxRole

from nnfit import foreign_names


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


class Names(SphinxDirective):
    """A table of the names of others for parameters, and one for their values."""

    def run(self):
        self.env.note_dependency(foreign_names.__file__)
        parameters = {"Parameter": foreign_names.PARAMETERS}
        of_values = {f"``{name}=``": of for name, of in foreign_names.VALUES.items()}
        rows = [
            ("" if i else title, others, here)
            for title, names in (parameters | of_values).items()
            for i, (here, others) in enumerate(by_meaning(names).items())
        ]
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in [("", "Elsewhere", "Here"), *rows]:
            lines += [f"   * - {row[0]}", *(f"     - {cell}" for cell in row[1:])]
        return self.parse_text_to_nodes("\n".join(lines))


class Here(SphinxRole):
    """What a name from elsewhere is called here, or a sentence."""

    def run(self):
        self.env.note_dependency(foreign_names.__file__)
        words = describing.here(self.text)
        is_sentence = " " in words
        return [nodes.Text(words) if is_sentence else nodes.literal(words, words)], []


def by_meaning(names):
    """By what is here, in reStructuredText, the names that others have for it."""
    found = {}
    for other, here in names.items():
        here = f"``{here}``" if here.isidentifier() else here
        found.setdefault(here, []).append(f"``{other}``")
    return {here: ", ".join(others) for here, others in found.items()}


def setup(app):
    app.add_directive("nnfit-names", Names)
    app.add_role("here", Here())
    app.add_directive("nnfit-components", Components)
    app.add_directive("nnfit-formula", Formula)
    return {"parallel_read_safe": True}
