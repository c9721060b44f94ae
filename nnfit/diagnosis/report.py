"""Findings about a fitted network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nnfit.tables.report import Report, names, plural

#: Kinds of symptoms, causes before their consequences.
KINDS = (
    "shared_rows",
    "learning_rate_high",
    "unscaled_features",
    "exploding_gradients",
    "vanishing_gradients",
    "dead_units",
    "saturated_units",
    "learning_rate_low",
    "underfitting",
    "overfitting",
    "class_never_predicted",
    "constant_features",
)


class Symptom(NamedTuple):
    """One thing that :func:`nnfit.diagnose` has found.

    Attributes
    ----------
    kind : str
        For instance ``"dead_units"``; the user guide lists all.
    where : tuple of str
        Layers, columns or classes; of an only network as a whole nothing, else which
        one it is.
    figure, threshold : float
        What was measured, and from where on it is a finding.
    seen : str
        What was seen, a sentence.
    advice : str
        What to do, a sentence.
    """

    kind: str
    where: tuple[str, ...]
    figure: float
    threshold: float
    seen: str
    advice: str


class Diagnosis(Report[Symptom]):
    """The findings of :func:`nnfit.diagnose`, causes before their consequences.

    A sequence of :class:`nnfit.Symptom`, false where there are none. ``str`` and
    ``print`` show it for a terminal, notebooks as a table, ``pandas.DataFrame(report)``
    makes a table of it.

    Parameters
    ----------
    findings : sequence of Symptom
    name : str
        Of the estimator.
    n_rows : int
        That were looked at.

    Attributes
    ----------
    findings : list of Symptom
    name : str
    n_rows : int
    """

    findings: list[Symptom]
    name: str
    n_rows: int
    _kinds = KINDS

    def __init__(self, findings: Iterable[Symptom], name: str, n_rows: int) -> None:
        super().__init__(findings)
        self.name, self.n_rows = name, n_rows

    def _about(self, about):
        return names(about).replace("'", "")

    def _what(self):
        return f"{self.name} on {self.n_rows:,} {plural('row', self.n_rows)}"
