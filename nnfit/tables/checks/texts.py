"""Columns of texts: disguised missing values, numbers as text, types, spelling."""

import re
from numbers import Number

from nnfit.tables.report import Finding, names, percent, rows, show

#: What programs and people write where a value is missing.
DISGUISES = frozenset(
    "|?|-|--|.|na|n/a|n.a.|#n/a|#na|<na>|nan|null|(null)|nil|#value!|#div/0!".split("|")
)
#: These are values in other columns: of "other debtors" "none" is an answer.
BESIDE_NUMBERS = DISGUISES | {"none", "unknown", "missing", "undefined"}
#: Share of texts that are numbers from which a column is one of numbers. Of the tickets
#: of the Titanic, which are names, 74 % look like numbers.
NEARLY_ALL = 0.9

_AMOUNT = re.compile(
    r"[+-]?\s*[$€£¥]?\s*[+-]?"
    r"(\d+([.,]\d+)?|\d{1,3}([ ',.\u00a0]\d{3})+([.,]\d+)?|[.,]\d+)([eE][+-]?\d+)?"
    r"\s*[%$€£¥]?"
)


def texts(columns):
    """Findings in the texts of columns."""
    for column in columns:
        if column.kind == "categories" and column.n_present:
            yield from _of_column(column)


def _of_column(column):
    counts = dict(zip(column.values, column.counts.tolist(), strict=True))
    counts = {value: count for value, count in counts.items() if count}
    words = {value: n for value, n in counts.items() if isinstance(value, str)}
    amounts = {value: n for value, n in words.items() if _is_amount(value)}
    others = {value: n for value, n in counts.items() if not isinstance(value, str)}
    numeric = {v: n for v, n in others.items() if isinstance(v, Number)}

    n_numbers = sum(amounts.values()) + sum(numeric.values())
    plain = {v: n for v, n in words.items() if v.strip().casefold() not in DISGUISES}
    of_numbers = n_numbers >= NEARLY_ALL * (sum(plain.values()) + sum(others.values()))
    known = BESIDE_NUMBERS if of_numbers else DISGUISES
    disguised = {v: n for v, n in words.items() if v.strip().casefold() in known}
    if disguised and len(disguised) < len(counts):
        yield _disguised(column, disguised)
    rest = {v: n for v, n in words.items() if v not in amounts and v not in disguised}
    # Codes with zeros in front (01234) are names, and so is what is declared as such.
    codes = column.declared or any(re.match(r"0\d", each.strip()) for each in amounts)
    if amounts and of_numbers and not codes:
        yield _numbers_as_text(column, amounts, rest, numeric)
    elif (others and rest) or len({_type(value) for value in others}) > 1:
        yield _mixed(column, counts)
    yield from _spelling(column, rest)


def _is_amount(text):
    return bool(_AMOUNT.fullmatch(text.strip()))


def _type(value):
    return "number" if isinstance(value, Number) else type(value).__name__


def _disguised(column, disguised):
    count = sum(disguised.values())
    hold = "holds" if count == 1 else "hold"
    return Finding(
        "disguised_missing",
        (column.name,),
        f"{rows(count)} ({percent(count / len(column))}) "
        f"{hold} {names(list(disguised))} where a value is missing.",
        "Put NaN or None in its place, or name it in na_values when you read the file.",
    )


def _numbers_as_text(column, amounts, rest, numeric):
    example = max(amounts, key=lambda value: (len(value), value))
    seen = f"Numbers are written as text, for instance {show(example)}"
    if numeric:
        seen += f", in {rows(sum(amounts.values()))}; others hold numbers"
    if rest:
        count = sum(rest.values())
        seen += f"; {rows(count)} {'has' if count == 1 else 'have'} other text, "
        seen += names(list(rest)[:3])
    comma = " (its decimal comma is an option when you read the file)"
    return Finding(
        "number_as_text",
        (column.name,),
        seen + ".",
        "Convert it to numbers" + (comma if "," in example else "") + "; as text its "
        "values have no order and no distance.",
    )


def _mixed(column, counts):
    kinds = {}
    for value, count in counts.items():
        _, total = kinds.setdefault(_type(value), (value, 0))
        kinds[_type(value)] = value, total + count
    words = {"str": "text", "number": "a number"}
    parts = [
        f"{rows(total)} with {words.get(kind, kind)} ({show(value)})"
        for kind, (value, total) in sorted(kinds.items(), key=lambda each: -each[1][1])
    ]
    return Finding(
        "mixed_types",
        (column.name,),
        f"It mixes types: {', '.join(parts)}.",
        "Give all values one type; put NaN where a number has a word in its place.",
    )


def _spelling(column, words):
    """Values that differ in capitals and blanks alone."""
    spellings = {}
    for word in words:
        spellings.setdefault(" ".join(word.split()).casefold(), []).append(word)
    several = [group for group in spellings.values() if len(group) > 1]
    if several:
        yield Finding(
            "spelling",
            (column.name,),
            f"{len(several):,} of its values {'is' if len(several) == 1 else 'are'} "
            f"spelt in several ways, for instance {names(several[0])}.",
            "Write each in one way: the same capitals, no blanks around it.",
        )
