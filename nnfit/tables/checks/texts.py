"""Columns of texts: disguised missing values, numbers as text, types, spelling."""

from numbers import Number

from nnfit.tables.checks.column import is_disguise
from nnfit.tables.report import Finding, names, percent, rows, show

#: These are values in other columns: of "other debtors" "none" is an answer.
BESIDE_NUMBERS = {"none", "unknown", "missing", "undefined"}


def texts(column):
    """Findings in the texts of a column."""
    if column.kind != "categories" or not column.n_present:
        return
    counted = zip(column.values, column.counts.tolist(), strict=True)
    counts = {value: count for value, count in counted if count}
    disguised = {t: n for t, n in column.texts.items() if _is_disguise(t, column)}
    if disguised and len(disguised) < len(counts):
        yield _disguised(column, disguised)
    others = {value: n for value, n in counts.items() if not isinstance(value, str)}
    rest = column.texts.keys() - column.amounts.keys() - disguised.keys()
    rest = {text: n for text, n in column.texts.items() if text in rest}
    if column.amounts and column.of_numbers:
        yield _numbers_as_text(column, rest, bool(others))
    elif (others and rest) or len({_type(value) for value in others}) > 1:
        yield _mixed(column, counts)
    yield from _spelling(column, rest)


def _is_disguise(text, column):
    word = text.strip().casefold()
    return is_disguise(text) or (column.of_numbers and word in BESIDE_NUMBERS)


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


def _numbers_as_text(column, rest, others):
    amounts = column.amounts
    example = max(amounts, key=lambda value: (len(value), value))
    seen = f"Numbers are written as text, for instance {show(example)}"
    if others:
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
            f"spelt in several ways: {names(several[0])}.",
            "Write each in one way: the same capitals, no blanks around it.",
        )
