"""Inverse links as C: the counterparts of `LINKS` in nnfit/functions/links.py."""

LOGISTIC = (
    "for (int i = 0; i < n; i++) {",
    "    v[i] = 1.0 / (1.0 + exp(-v[i]));",
    "}",
)
#: Statements that replace the `n` numbers of ``v``.
WRITTEN = {
    "identity": (),
    "logistic": LOGISTIC,
    "softmax": (
        "real largest = v[0], sum = 0.0;",
        "for (int i = 1; i < n; i++) {",
        "    largest = v[i] > largest ? v[i] : largest;",
        "}",
        "for (int i = 0; i < n; i++) {",
        "    v[i] = exp(v[i] - largest);",
        "    sum += v[i];",
        "}",
        "for (int i = 0; i < n; i++) {",
        "    v[i] /= sum;",
        "}",
    ),
    "exp": (
        "for (int i = 0; i < n; i++) {",
        "    v[i] = exp(v[i]);",
        "}",
    ),
    "sorted": (
        "for (int i = 1; i < n; i++) {",
        "    for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {",
        "        const real other = v[j];",
        "        v[j] = v[j - 1];",
        "        v[j - 1] = other;",
        "    }",
        "}",
    ),
}
#: Of a binary classifier, from ``v[0]``: 1 - p would cancel.
BOTH = (
    "const real z = v[0];",
    "v[0] = 1.0 / (1.0 + exp(z));",
    "v[n - 1] = 1.0 / (1.0 + exp(-z));",
)
#: Shares in the sum of logistic functions, of a loss that has that link for several
#: classes.
SHARES = (
    "real sum = 0.0;",
    "for (int i = 0; i < n; i++) {",
    "    v[i] = 1.0 / (1.0 + exp(-v[i]));",
    "    sum += v[i];",
    "}",
    "for (int i = 0; i < n; i++) {",
    "    v[i] /= sum;",
    "}",
)


def linked(source, name, statements, values):
    """Add the statements of a link.

    Parameters
    ----------
    source : nnfit.exporting_c.source.Source
    name : str
    statements : tuple of str
        Such as those of `WRITTEN`.
    values : nnfit.exporting_c.source.Values
    """
    if statements:
        source.function(f"static void link_{name}(real *v, int n)", *statements)
        source.add(f"link_{name}({values.name}, {values.width});")
