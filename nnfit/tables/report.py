"""Findings about a table or a model, as text, as HTML and as a list."""

import textwrap
from collections.abc import Hashable, Iterable, Iterator, Sequence
from html import escape
from typing import Any, NamedTuple, TypeVar, overload

#: Kinds of findings, the most severe first: what makes a model or its score wrong, what
#: hides information from it, what costs accuracy or time.
KINDS = (
    "missing_target",
    "constant_target",
    "unseen_class",
    "leak",
    "shared_rows",
    "infinite",
    "sentinel",
    "outlier",
    "disguised_missing",
    "number_as_text",
    "date_as_text",
    "mixed_types",
    "identifier",
    "duplicate_rows",
    "rare_class",
    "imbalance",
    "skewed_target",
    "spelling",
    "constant",
    "mostly_missing",
    "duplicate_columns",
    "rare_category",
)

#: Printed findings of one kind, and names in one finding; the rest are counted.
SHOWN = 6
WIDTH = 79


class Finding(NamedTuple):
    """One thing that :func:`nnfit.check_table` has seen.

    Attributes
    ----------
    kind : str
        For instance ``"leak"``; the user guide lists all.
    columns : tuple
        Names of the columns, numbers where the table has no names. That of y is
        ``"target"``, of several ``"target 0"`` and so on. Empty where a finding is
        about rows.
    seen : str
        What was seen, a sentence.
    advice : str
        What to do, a sentence.
    """

    kind: str
    columns: tuple[Hashable, ...]
    seen: str
    advice: str


F = TypeVar("F", bound=tuple[Any, ...])


class Report(Sequence[F]):
    """Findings in order of severity: what reports of them have in common.

    A finding is a tuple whose first two fields are its kind and what it is about, and
    whose last two are what was seen and what to do.
    """

    findings: list[F]
    #: Kinds of findings, the most severe first.
    _kinds: tuple[str, ...]

    def __init__(self, findings: Iterable[F]) -> None:
        self.findings = sorted(findings, key=lambda each: self._kinds.index(each[0]))

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, index: int) -> F: ...

    @overload
    def __getitem__(self, index: slice) -> list[F]: ...

    def __getitem__(self, index: int | slice) -> F | list[F]:
        return self.findings[index]

    def __iter__(self) -> Iterator[F]:
        return iter(self.findings)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [self._title()]
        for number, finding, more in self._shown():
            kind, about, *_, seen, advice = finding
            heading = f"{kind}: {self._about(about)}".removesuffix(": ")
            lines += ["", f"{number}. {heading}"]
            for first, text in (("", seen), ("-> ", advice)):
                lines += textwrap.wrap(
                    first + text,
                    WIDTH,
                    initial_indent="   ",
                    subsequent_indent="   " + " " * len(first),
                )
            if more:
                lines.append(f"   ({more} more findings of this kind)")
        return "\n".join(lines)

    def _repr_html_(self):
        rows = []
        for _, (kind, about, *_, seen, advice), more in self._shown():
            rows.append(_html_row("td", (kind, self._about(about), seen, advice)))
            if more:
                rows.append(_html_row("td", ("", f"({more} more)", "", "")))
        head = ""
        if rows:
            fields = type(self.findings[0])._fields
            head = _html_row("th", (*fields[:2], *fields[-2:]))
        return f"<p>{escape(self._title())}</p><table>{head}{''.join(rows)}</table>"

    def _about(self, about):
        """What a finding is about, as text."""
        return names(about)

    def _title(self):
        n = len(self)
        count = {0: "No findings", 1: "1 finding"}.get(n, f"{n} findings")
        return f"{count} in {self._what()}"

    def _what(self):
        """What was looked at, as text."""
        raise NotImplementedError

    def _shown(self):
        """Number, finding, and how many of its kind are left out after it."""
        seen = {}
        for number, finding in enumerate(self.findings, 1):
            kind = finding[0]
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= SHOWN:
                total = sum(each[0] == kind for each in self.findings)
                yield number, finding, total - SHOWN if seen[kind] == SHOWN else 0


class TableReport(Report[Finding]):
    """The findings of :func:`nnfit.check_table`, the most severe first.

    A sequence of :class:`nnfit.Finding`, false where there are none. ``str`` and
    ``print`` show it for a terminal, notebooks as a table, ``pandas.DataFrame(report)``
    makes a table of it.

    Parameters
    ----------
    findings : sequence of Finding
    n_rows, n_columns : int
        Of the table.

    Attributes
    ----------
    findings : list of Finding
        In order of severity.
    n_rows, n_columns : int
    """

    findings: list[Finding]
    n_rows: int
    n_columns: int
    _kinds = KINDS

    def __init__(
        self, findings: Iterable[Finding], n_rows: int, n_columns: int
    ) -> None:
        super().__init__(findings)
        self.n_rows = n_rows
        self.n_columns = n_columns

    def _what(self):
        return (
            f"a table of {self.n_rows:,} {plural('row', self.n_rows)} and "
            f"{self.n_columns:,} {plural('column', self.n_columns)}"
        )


def _html_row(cell, texts):
    return f"<tr>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in texts)}</tr>"


def names(columns):
    """Columns, or values, as text."""
    text = ", ".join(show(each) for each in columns[:SHOWN])
    more = len(columns) - SHOWN
    return f"{text} and {more} more" if more > 0 else text


def show(value):
    """A value or a name as a sentence has it, long texts cut."""
    if isinstance(value, str):
        return repr(value if len(value) <= 30 else value[:27] + "...")
    if isinstance(value, float):
        return number(value)
    return str(value)


def number(value):
    """A number with six digits, which float32 has."""
    whole = float(value).is_integer() and abs(value) < 1e15
    return f"{value:.0f}" if whole else f"{value:.6g}"


def plural(word, count):
    return word if count == 1 else f"{word}s"


def rows(count):
    return f"{count:,} {plural('row', count)}"


def percent(share):
    """A share in percent; only all is 100 %."""
    text = f"{100 * share:.1f}" if share > 0.001 else f"{100 * share:.2g}"
    if text == "100.0":
        text = "100" if share == 1 else "99.9"
    return f"{text} %"
