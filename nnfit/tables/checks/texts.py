"""Columns of texts: disguised missing values, numbers as text, types, spelling."""

from numbers import Number

from nnfit.tables.checks.column import is_disguise
from nnfit.tables.report import Finding, names, percent, rows, show


def texts(column):
    """Findings in the texts of a column."""
    if column.kind != "categories" or not column.n_present:
        return
    counts = column.counted
    disguised = {
        text: n
        for text, n in column.texts.items()
        if is_disguise(text, beside_numbers=column.of_numbers)
    }
    others = {value: n for value, n in counts.items() if not isinstance(value, str)}
    rest = column.texts.keys() - column.amounts.keys() - disguised.keys()
    rest = {text: n for text, n in column.texts.items() if text in rest}
    if column.amounts and column.of_numbers:
        yield _numbers_as_text(column, disguised, rest, bool(others))
        return
    if column.of_dates:
        yield _dates_as_text(column)
        return
    if disguised and len(disguised) < len(counts):
        yield _disguised(column, disguised)
    if (others and rest) or len({_type(value) for value in others}) > 1:
        yield _mixed(column, counts)
    yield from _spelling(column, rest)


def _type(value):
    return "number" if isinstance(value, Number) else type(value).__name__


def _disguised(column, disguised):
    return Finding(
        "disguised_missing",
        (column.name,),
        f"{_hold(disguised, len(column))} where a value is missing.",
        "Put NaN or None in its place, or name it in na_values when you read the file.",
    )


def _hold(texts, n):
    count = sum(texts.values())
    hold = "holds" if count == 1 else "hold"
    return f"{rows(count)} ({percent(count / n)}) {hold} {names(list(texts))}"


def _numbers_as_text(column, disguised, rest, others):
    amounts = column.amounts
    example = max(amounts, key=lambda value: (len(value), value))
    seen = f"Numbers are written as text, for instance {show(example)}"
    if others:
        seen += f", in {rows(sum(amounts.values()))}; others hold numbers"
    if disguised:
        seen += f"; {_hold(disguised, len(column))} where a value is missing"
    if rest:
        seen += f"; {_hold(rest, len(column))}"
    advice = "Convert it to numbers"
    if disguised or rest:
        advice += ", with NaN for the other texts (na_values when you read the file)"
    if "," in example:
        advice += "; the decimal comma is an option when you read the file"
    return Finding(
        "number_as_text",
        (column.name,),
        seen + ".",
        advice + ". As texts the values have no order and no distance.",
    )


def _dates_as_text(column):
    example = next(iter(column.texts))
    return Finding(
        "date_as_text",
        (column.name,),
        f"Dates are written as text, for instance {show(example)}.",
        "Convert it to dates, or to parts that may matter: year, month, weekday, hour.",
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
