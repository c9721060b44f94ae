"""Pages of the reference: parameters by groups, versions, short signatures.

Works on what numpydoc makes of docstrings. A class whose parameters all belong to
groups of `nnfit.estimators.parameters` gets them under the titles of the groups; what
the first release did not have gets the version that brought it (`interface`); words by
which others look for a parameter go into the search (`search_words`). When the pages
are built, a public name, method or word that none of them has is a warning.
"""

import inspect
import re

import interface
import search_words
from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

import nnfit
from nnfit.estimators.parameters import GROUPS, HEADINGS

logger = logging.getLogger(__name__)
ENTRY = re.compile(r"    \*\*(?P<names>.+?)\*\*( : .*)?")
RELEASES = interface.releases()
#: Parameters that a signature shows before it is cut, and what stands for the others.
SHOWN, OTHERS = 4, "others"


class Since(SphinxRole):
    """The version that brought something, small, behind its name."""

    def run(self):
        return [nodes.inline("", f"since {self.text}", classes=["since"])], []


def is_grouped(kind):
    """Whether all parameters of a class belong to groups."""
    names = inspect.signature(kind).parameters
    return len(names) > SHOWN and all(name in HEADINGS for name in names)


def since(name):
    """Version that brought a name, as `interface` has it."""
    return interface.since(name, RELEASES, nnfit.__version__)


def mend(app, what, name, value, options, lines):
    """Rewrite what numpydoc has made of a docstring, in place."""
    if what not in ("class", "method", "function", "property"):
        return
    if what in ("method", "property") and _is_inherited(name):
        return
    new = lines[:]
    for field in (":Parameters:", ":Attributes:"):
        if field in new:
            new = _rewritten(new, field, name, what)
    if version := since(name):
        last = _end_of_summary(new)
        new[last] += f" :since:`{version}`"
    lines[:] = new


def _end_of_summary(lines):
    """Number of the last line of the first paragraph."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    return next(i for i in full if i + 1 not in full)


def _is_inherited(name):
    """Whether scikit-learn has made a method, by its name in Sphinx."""
    owner, _, member = name.rpartition(".")
    kind = dict(interface.public()).get(owner)
    return kind is None or interface.is_of_sklearn(kind, member)


def _rewritten(lines, field, name, what):
    """Lines of a docstring, with versions, words and titles in one of its fields."""
    start = lines.index(field) + 1
    rest = lines[start:]
    ends = (i for i, line in enumerate(rest) if line and not line.startswith(" "))
    end = next(ends, len(rest))
    parameters = field == ":Parameters:"
    member = ("{}({})" if parameters else "{}.{}").format
    found = []
    for names, (line, *text) in _entries(rest[:end]):
        versions = {since(member(name, each)) for each in names} - {None}
        if versions:
            line += f" :since:`{', '.join(sorted(versions))}`"
        words = search_words.of_parameters(name, names) if parameters else []
        index = [f"        {row}" for row in search_words.directive(words)]
        found.append((names, [line, *index, *text]))
    new = [line for _, entry in found for line in entry]
    if parameters and what == "class":
        new = _under_titles(found, name) or new
    return [*lines[:start], "", *new, *rest[end:]]


def _under_titles(found, page):
    """Lines of entries by groups; none if they belong to one group or not to any."""
    by_title = {}
    for names, entry in found:
        by_title.setdefault(HEADINGS.get(names[0]), []).extend(entry)
    if None in by_title or len(by_title) == 1:
        return []
    titles = [group.title for group in GROUPS if group.title in by_title]
    targets = [re.sub(r"\W+", "-", f"{page} {each}".lower()) for each in titles]
    both = list(zip(titles, targets, strict=True))
    links = " · ".join(f"`{title} <{target}_>`__" for title, target in both)
    new = [f"    {links}", ""]
    for title, target in both:
        options = [f"       :name: {target}", "       :class: group"]
        new += [f"    .. rubric:: {title}", *options, "", *by_title[title]]
    return new


def _entries(body):
    """Names and lines of each entry of a field."""
    found = []
    for line in body:
        if entry := ENTRY.fullmatch(line):
            names = re.sub(r"[\\*]", "", entry["names"])
            found.append((names.split(", "), []))
        if found:
            found[-1][1].append(line)
    return found


def skip(app, what, name, value, skipped, options):
    """Leave out what `interface.members` leaves out of tuples."""
    is_field = type(value).__name__ == "_tuplegetter"
    return True if is_field or value is getattr(tuple, name, None) else None


def shorten(app, what, name, value, options, signature, returned):
    """Cut the signature of a class whose parameters are listed in groups below it."""
    if what != "class" or not is_grouped(value):
        return None
    shown = list(inspect.signature(value).parameters.values())[:SHOWN]
    others = inspect.Parameter(OTHERS, inspect.Parameter.KEYWORD_ONLY)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in shown]
    cut = inspect.Signature([*plain, others])
    return str(cut), returned


def mark_others(app, domain, kind, content):
    """Put dots for the parameters that `shorten` has cut."""
    for parameter in content.parent.findall(addnodes.desc_parameter):
        if parameter.astext() == OTHERS:
            parameter[:] = [nodes.Text("…")]


def check(app, exception):
    """Warn of public names and methods that no page has."""
    if exception or app.builder.format != "html":
        return
    has = app.env.domains.python_domain.objects
    for name, value in interface.public():
        missing = [] if name in has else [name]
        if inspect.isclass(value):
            missing += [
                f"{name}.{each}"
                for each in interface.members(value)
                if callable(getattr(value, each, None)) and f"{name}.{each}" not in has
            ]
        for each in missing:
            logger.warning("no page of the reference has %s", each)
    for word in search_words.every() - _indexed(app.env):
        logger.warning("a search for %r finds no entry of an index", word)


def _indexed(env):
    """Words of the index of all pages, which the search puts first."""
    pages = env.domains.index_domain.entries.values()
    return {entry[1] for entries in pages for entry in entries}


def setup(app):
    app.add_role("since", Since())
    # numpydoc's has the priority 500.
    app.connect("autodoc-process-docstring", mend, priority=600)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", shorten)
    app.connect("object-description-transform", mark_others)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
