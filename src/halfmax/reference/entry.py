"""The types of a published fact: who, what, how much, how sure, where it is printed.

Every entry is frozen.  Numbers are kept as text, exactly as their source prints
them, and converted to M or s only when asked; what the source does not say is None.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from halfmax import units
from halfmax.errors import RangeError

__all__ = [
    "CATEGORIES",
    "ERROR_KINDS",
    "OPERATORS",
    "QUANTITIES",
    "ROLES",
    "SOURCE_KINDS",
    "CellLine",
    "Citation",
    "Discrepancy",
    "Ligand",
    "PublishedRatio",
    "Target",
    "Value",
    "molar_mass",
    "published_ratio",
]

#: Quantity: its label, and the dimension of its number (None where it is an observation in words).
QUANTITIES: dict[str, tuple[str, str | None]] = {
    "ki": ("Ki", "concentration"),
    "kd": ("Kd", "concentration"),
    "ec50": ("EC50", "concentration"),
    "concentration": ("concentration", "concentration"),
    "bmax": ("Bmax", "density"),
    "selectivity": ("selectivity", "ratio"),
    "irreversibility": ("covalent binding", None),
    "calcium": ("calcium", None),
    "death": ("cell death", None),
    "bid_cleavage": ("BID cleavage", None),
    "antagonism": ("antagonism", None),
    "mtt_reduction": ("MTT reduction", None),
    "assay_role": ("role in the assay", None),
}

#: Units of the dimensions that are not concentrations; these numbers are never converted.
PLAIN_UNITS = {"density": ("fmol/mg",), "ratio": ("fold",)}

#: Operator in the data: its sign in print.
OPERATORS = {"=": "", "~": "~ ", ">": "> ", ">=": "≥ ", "<": "< ", "<=": "≤ ", "range": ""}

#: What the ± of a source is.
ERROR_KINDS = {
    "undefined": "± undefined: SD or SEM, n unknown",
    "sd": "± SD",
    "sem": "± SEM",
}

#: How far a value can be trusted.
SOURCE_KINDS = {
    "published": "read in a published source",
    "vendor guide": "only in a vendor's technical guide, not peer reviewed",
    "general knowledge": "to be checked against a reference before it is cited",
    "calculated": "follows from other values of this collection",
}

#: What a ligand is used as.
ROLES = {
    "agonist": "activates",
    "partial agonist": "activates less than a full agonist, and blocks one",
    "antagonist": "blocks",
    "radioligand": "is measured when bound",
    "masking ligand": "occupies another receptor so that it is not measured",
    "non-specific binding": "in excess, leaves only non-specific binding",
}

#: What cells are.
CATEGORIES = ("tumour", "normal")

# IUPAC abridged standard atomic weights, g/mol.
_ATOMIC_WEIGHTS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "S": 32.06, "Cl": 35.45}


def molar_mass(formula: str) -> float:
    """Molar mass in g/mol of a molecular formula of H, C, N, O, F, S and Cl.

    Raises
    ------
    RangeError
        If the formula holds another element or another character.

    Examples
    --------
    >>> round(molar_mass("C22H23FN4O2S"), 2)
    426.51
    """
    parts = re.findall(r"([A-Z][a-z]?)([1-9]\d*)?", formula)
    if not parts or "".join(symbol + count for symbol, count in parts) != formula:
        raise RangeError(f'"{formula}" is not a molecular formula. Write it as "C22H23FN4O2S".')
    unknown = sorted({symbol for symbol, _ in parts} - set(_ATOMIC_WEIGHTS))
    if unknown:
        raise RangeError(
            f'formula "{formula}": no atomic weight for {", ".join(unknown)}; known: {", ".join(_ATOMIC_WEIGHTS)}.'
        )
    return math.fsum(_ATOMIC_WEIGHTS[symbol] * int(count or 1) for symbol, count in parts)


@dataclass(frozen=True)
class Citation:
    """A source.  A field is None where it was not verified, and `checked` says against what the rest was.

    Examples
    --------
    >>> Citation(key="kitz1962", kind="article", authors="Kitz R, Wilson IB", year=1962,
    ...          journal="J Biol Chem", volume="237", pages="3245").text()
    'Kitz R, Wilson IB (1962). J Biol Chem 237:3245.'
    """

    key: str
    kind: str
    authors: str | None = None
    year: int | None = None
    title: str | None = None
    journal: str | None = None
    volume: str | None = None
    pages: str | None = None
    doi: str | None = None
    pmc: str | None = None
    pmid: str | None = None
    url: str | None = None
    checked: str | None = None

    def text(self) -> str:
        """The reference on one line, with the fields that are known."""
        place = self.journal or ""
        if place and self.volume:
            place += f" {self.volume}" + (f":{self.pages}" if self.pages else "")
        said = [part for part in (self.authors, self.title, place) if part]
        if said and self.year is not None:
            said[0] += f" ({self.year})"
        links = [f"doi:{self.doi}" if self.doi else None, self.pmc, self.url]
        return ". ".join([*said, *(link for link in links if link)]) + "."


@dataclass(frozen=True)
class Target:
    """A receptor: its gene, its UniProt entry, where it sits."""

    name: str
    gene: str
    uniprot: str
    species: str
    location: str
    synonyms: tuple[str, ...] = ()
    transmembrane_passes: int | None = None
    note: str | None = None
    citations: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it is called."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class CellLine:
    """Cells: what they came from, tumour or normal; the doubling time only where a source gives one."""

    name: str
    species: str
    tissue: str
    origin: str
    category: str
    synonyms: tuple[str, ...] = ()
    doubling_time: str | None = None
    note: str | None = None
    citations: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything they are called."""
        return (self.name, *self.synonyms)

    @property
    def doubling_time_s(self) -> float | None:
        """Doubling time in s, or None where no source gives one."""
        return None if self.doubling_time is None else units.duration(self.doubling_time)


@dataclass(frozen=True)
class Ligand:
    """A compound: its names, what it does at its target, its structure where that is certain."""

    name: str
    role: str
    synonyms: tuple[str, ...] = ()
    chemical_name: str | None = None
    target: str | None = None
    warhead: str | None = None
    smiles: str | None = None
    formula: str | None = None
    note: str | None = None
    citations: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything it is called, the chemical name last."""
        return (self.name, *self.synonyms, *([self.chemical_name] if self.chemical_name else []))

    @property
    def covalent(self) -> bool:
        """Whether it carries a group that binds covalently."""
        return self.warhead is not None

    @property
    def molar_mass(self) -> float | None:
        """Molar mass in g/mol, computed from the formula; None where there is none."""
        return None if self.formula is None else molar_mass(self.formula)


@dataclass(frozen=True)
class Value:
    """One published number, or one observation in words, with its conditions and its source.

    Numbers stay text as the source prints them (``"4.9 µM"``, ``"1.17 µM"``).
    The ± is `error`, and `error_kind` says what it is: mostly ``"undefined"``.

    Examples
    --------
    >>> value = Value(id="x", ligand="CM572", quantity="ec50", operator="=", value="4.9 µM", error="1.17 µM",
    ...               error_kind="undefined", source_kind="vendor guide")
    >>> value.text()
    '4.9 ± 1.17 µM'
    >>> value.value_M
    4.9e-06
    """

    id: str
    ligand: str
    quantity: str
    source_kind: str
    target: str | None = None
    cell_line: str | None = None
    effect: str | None = None
    operator: str | None = None
    value: str | None = None
    upper: str | None = None
    error: str | None = None
    error_kind: str | None = None
    time: str | None = None
    conditions: str | None = None
    statement: str | None = None
    note: str | None = None
    citation: str | None = None
    derived_from: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"number"`` or ``"qualitative"``."""
        return "qualitative" if self.value is None else "number"

    @property
    def label(self) -> str:
        """What it is, in a few words: ``EC50 (cell death)``."""
        name = QUANTITIES[self.quantity][0]
        return f"{name} ({self.effect})" if self.effect else name

    def _molar(self, text: str | None) -> float:
        if text is None:
            raise RangeError(f"{self.id} is an observation in words, not a number. Read its statement.")
        if QUANTITIES[self.quantity][1] != "concentration":
            raise RangeError(f"{self.id} is no concentration ({text}), so it has no value in M. Read its text().")
        return units.concentration(text)

    @property
    def value_M(self) -> float:  # noqa: N802 - the unit's own letter, as in the columns of the table
        """The number in M; of a range its lower end.

        Raises
        ------
        RangeError
            If this is an observation in words, or its unit is not a concentration.
        """
        return self._molar(self.value)

    @property
    def error_M(self) -> float | None:  # noqa: N802
        """The printed ± in M, whatever it is (see `error_kind`), or None."""
        return None if self.error is None else self._molar(self.error)

    @property
    def low_M(self) -> float:  # noqa: N802
        """Lower end of what the operator allows, in M; the ± is not an interval and is not used."""
        return 0.0 if self.operator in ("<", "<=") else self.value_M

    @property
    def high_M(self) -> float:  # noqa: N802
        """Upper end of what the operator allows, in M: infinite for a lower bound."""
        if self.operator in (">", ">="):
            return math.inf
        return self._molar(self.upper) if self.operator == "range" else self.value_M

    @property
    def time_s(self) -> float | None:
        """Time of exposure or incubation in s, or None where none is said."""
        return None if self.time is None else units.duration(self.time)

    def text(self) -> str:
        """The value as its source prints it, with operator and ±; an observation as its statement.

        Digits are never changed: ``4.9 ± 1.17 µM``, ``≥ 10 µM``, ``6.4-fold``, ``3–5 nM``.
        """
        if self.value is None:
            return self.statement or ""
        number, unit = _printed(self.value)
        if self.error is not None:
            error, error_unit = _printed(self.error)
            number = f"{number} ± {error}" if error_unit == unit else f"{number} {unit} ± {error}"
            unit = error_unit
        if self.upper is not None:
            upper, upper_unit = _printed(self.upper)
            number = f"{number}–{upper}" if upper_unit == unit else f"{number} {unit} – {upper}"
            unit = upper_unit
        return f"{OPERATORS[self.operator or '=']}{number}{'-fold' if unit == 'fold' else f' {unit}'}"


def _printed(text: str) -> tuple[str, str]:
    """Number and unit of ``"4.90 µM"`` without touching the digits."""
    number, _, unit = text.partition(" ")
    return number, unit


class PublishedRatio(NamedTuple):
    """Ratio of two published numbers and its standard error, None where that has no meaning."""

    ratio: float
    standard_error: float | None


def published_ratio(numerator: Value, denominator: Value) -> PublishedRatio:
    """Ratio of two published values, with the standard error that follows if each ± is an SEM.

    The delta method on the logarithm, numerator and denominator independent::

        r = a / b;    SE(r) = r * sqrt((se_a / a)**2 + (se_b / b)**2)

    Parameters
    ----------
    numerator, denominator : Value
        Two numbers of the same dimension; units may differ.

    Returns
    -------
    PublishedRatio
        `ratio` and `standard_error`.  The error is None unless both values are
        printed with ``=`` and a ±.  A bound gives a bound: the ratio of ``≥ 10 µM``
        and ``= 14.6 nM`` is the least that it can be.

    Raises
    ------
    RangeError
        If a value is no single number, the dimensions differ, or two bounds are
        divided, which bounds nothing.

    Examples
    --------
    >>> from halfmax import reference
    >>> hmec, = reference.values("CM572", "HMEC", "ec50")
    >>> mcf7, = reference.values("CM572", "MCF-7", "ec50")
    >>> ratio, standard_error = published_ratio(hmec, mcf7)
    >>> f"{ratio:.2f} ± {standard_error:.1f}"
    '6.59 ± 1.6'
    """
    pair = (numerator, denominator)
    for value in pair:
        if value.value is None or value.operator == "range":
            raise RangeError(f"{value.id} is no single number ({value.text()}), so no ratio can be taken.")
    dimensions = [QUANTITIES[value.quantity][1] for value in pair]
    if dimensions[0] != dimensions[1]:
        raise RangeError(
            f"{numerator.id} is a {dimensions[0]} and {denominator.id} a {dimensions[1]}: their ratio means nothing."
        )
    if all(value.operator in (">", ">=", "<", "<=") for value in pair):
        raise RangeError(f"{numerator.id} and {denominator.id} are both bounds: their ratio is not bounded.")
    (a, se_a), (b, se_b) = (_number(value) for value in pair)
    ratio = a / b
    if se_a is None or se_b is None or any(value.operator != "=" for value in pair):
        return PublishedRatio(ratio, None)
    return PublishedRatio(ratio, ratio * math.hypot(se_a / a, se_b / b))


def _number(value: Value) -> tuple[float, float | None]:
    """Number and ± in the unit of the dimension (M for concentrations)."""
    if QUANTITIES[value.quantity][1] == "concentration":
        return value.value_M, value.error_M
    error = None if value.error is None else units.split(value.error)[0]
    return units.split(value.value or "")[0], error


@dataclass(frozen=True)
class Discrepancy:
    """Something the published numbers contradict, or do not say, and what follows for the reader.

    Its figures are computed from the values it names when the data are read, and
    kept in `ratios` as (name, ratio) pairs.
    """

    id: str
    title: str
    statement: str
    consequence: str
    ligands: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    ratios: tuple[tuple[str, PublishedRatio], ...] = ()
    citations: tuple[str, ...] = ()
