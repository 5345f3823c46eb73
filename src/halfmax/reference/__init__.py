"""Published facts as data: ligands, targets, cell lines, values, discrepancies, citations.

The facts are YAML files beside this module, each value as its source prints it,
with operator, ±, conditions and citation.  They are read once, checked, and given
out as frozen entries.  Names are found in any spelling: ``TMEM97``, ``σ2`` and
``sigma-2`` are one target, ``MCF7`` and ``MCF-7`` one cell line.

What the numbers contradict, or leave open, is data too: see `discrepancies`.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from halfmax.errors import RangeError, nearest
from halfmax.reference.entry import (
    ERROR_KINDS,
    QUANTITIES,
    SOURCE_KINDS,
    CellLine,
    Citation,
    Discrepancy,
    Ligand,
    PublishedRatio,
    Target,
    Value,
    published_ratio,
)
from halfmax.reference.loader import fold, library

__all__ = [
    "CellLine",
    "Citation",
    "Discrepancy",
    "Ligand",
    "PublishedRatio",
    "Target",
    "Value",
    "as_dict",
    "cell_line",
    "cell_lines",
    "citation",
    "discrepancies",
    "ligand",
    "ligands",
    "published_ratio",
    "summary",
    "target",
    "targets",
    "value",
    "values",
]

#: Version of the mapping that `as_dict` gives.
SCHEMA_VERSION = 1

_Named = TypeVar("_Named", bound="Ligand | Target | CellLine")


# Looking up ---------------------------------------------------------------------


def _unknown(what: str, name: str, known: Sequence[str]) -> RangeError:
    return RangeError(f'no {what} is called "{name}" in the reference data. {nearest(name, list(known))}')


def _spellings(entries: Iterable[Ligand | Target | CellLine]) -> list[str]:
    """Names to suggest; chemical names are found, but never suggested."""
    return [name for entry in entries for name in (entry.name, *entry.synonyms)]


def _named(what: str, name: str, entries: Sequence[_Named]) -> _Named:
    """The entry with this name, or RangeError with the nearest one."""
    found = _find(name, entries)
    if found is None:
        raise _unknown(what, name, _spellings(entries))
    return found


def _find(name: str, entries: Iterable[_Named]) -> _Named | None:
    """The entry with this name or synonym, in any spelling, or None."""
    wanted = fold(name)
    return next((entry for entry in entries if wanted in {fold(own) for own in entry.names}), None)


def ligand(name: str) -> Ligand:
    """Ligand by its name or a synonym, in any spelling.

    Raises
    ------
    RangeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> ligand("cm-572").warhead
    'isothiocyanate'
    """
    return _named("ligand", name, library().ligands)


def ligands() -> tuple[Ligand, ...]:
    """All ligands.

    Examples
    --------
    >>> [one.name for one in ligands() if one.covalent]
    ['CM572']
    """
    return library().ligands


def target(name: str) -> Target:
    """Target by its name, gene or another synonym, in any spelling.

    Raises
    ------
    RangeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> target("σ2") is target("TMEM97")
    True
    """
    return _named("target", name, library().targets)


def targets() -> tuple[Target, ...]:
    """All targets.

    Examples
    --------
    >>> [one.gene for one in targets()]
    ['TMEM97', 'SIGMAR1']
    """
    return library().targets


def cell_line(name: str) -> CellLine:
    """Cell line, or kind of primary cells, by its name or a synonym, in any spelling.

    Raises
    ------
    RangeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> cell_line("MCF7").category
    'tumour'
    """
    return _named("cell line", name, library().cell_lines)


def cell_lines() -> tuple[CellLine, ...]:
    """All cell lines and kinds of primary cells.

    Examples
    --------
    >>> [cells.name for cells in cell_lines() if cells.category == "normal"]
    ['HMEC', 'melanocytes']
    """
    return library().cell_lines


def citation(key: str) -> Citation:
    """Citation by its key.

    Raises
    ------
    RangeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> citation("zeng2019").doi
    '10.1038/s41420-019-0141-2'
    """
    for entry in library().citations:
        if fold(entry.key) == fold(key):
            return entry
    raise _unknown("citation", key, [entry.key for entry in library().citations])


def value(identity: str) -> Value:
    """Value by its id.

    Raises
    ------
    RangeError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> value("cm572-ki-sigma1").text()
    '≥ 10 µM'
    """
    for entry in library().values:
        if fold(entry.id) == fold(identity):
            return entry
    raise _unknown("value", identity, [entry.id for entry in library().values])


def values(
    ligand: str | None = None,
    cell_line: str | None = None,
    quantity: str | None = None,
    *,
    target: str | None = None,
) -> tuple[Value, ...]:
    """Published values and observations, narrowed by what is given.

    Parameters
    ----------
    ligand, cell_line, target : str, optional
        Names or synonyms, in any spelling.
    quantity : str, optional
        A key of `halfmax.reference.entry.QUANTITIES`: ``"ki"``, ``"ec50"``, ``"calcium"``, …

    Returns
    -------
    tuple of Value
        In the order of the data; empty where nothing is published.

    Raises
    ------
    RangeError
        If a name is unknown.

    Examples
    --------
    >>> [found.text() for found in values("CM572", quantity="ec50")]
    ['7.6 ± 1.7 µM', '4.9 ± 1.17 µM', '32.3 ± 1.7 µM']
    """
    wanted_ligand = None if ligand is None else _ligand(ligand).name
    wanted_line = None if cell_line is None else _cell_line(cell_line).name
    wanted_target = None if target is None else _target(target).name
    wanted_quantity = None if quantity is None else quantity.casefold()
    if wanted_quantity is not None and wanted_quantity not in QUANTITIES:
        raise _unknown("quantity", str(quantity), list(QUANTITIES))
    return tuple(
        entry
        for entry in library().values
        if wanted_ligand in (None, entry.ligand)
        and wanted_line in (None, entry.cell_line)
        and wanted_target in (None, entry.target)
        and wanted_quantity in (None, entry.quantity)
    )


def discrepancies(ligand: str | None = None) -> tuple[Discrepancy, ...]:
    """What the published numbers contradict or leave open, of one ligand or of all.

    Raises
    ------
    RangeError
        If the ligand is unknown.

    Examples
    --------
    >>> discrepancies("CM572")[0].title
    'The printed selectivity is not the ratio of the printed EC50s'
    """
    name = None if ligand is None else _ligand(ligand).name
    return tuple(entry for entry in library().discrepancies if name is None or name in entry.ligands)


# The names of the arguments above hide the functions.
_ligand, _target, _cell_line = ligand, target, cell_line


# Showing --------------------------------------------------------------------------


def _entry(name: str) -> Ligand | Target | CellLine:
    """Ligand, target or cell line of this name."""
    read = library()
    everything: list[Ligand | Target | CellLine] = [*read.ligands, *read.targets, *read.cell_lines]
    found = _find(name, everything)
    if found is None:
        raise _unknown("ligand, target or cell line", name, _spellings(everything))
    return found


def _about(entry: Ligand | Target | CellLine) -> tuple[tuple[Value, ...], tuple[Discrepancy, ...]]:
    """The values of an entry, and the discrepancies that concern it."""
    if isinstance(entry, Ligand):
        return values(entry.name), discrepancies(entry.name)
    own = values(target=entry.name) if isinstance(entry, Target) else values(cell_line=entry.name)
    ids = {found.id for found in own}
    doubts = (found for found in discrepancies() if entry.name in found.targets or ids & set(found.values))
    return own, tuple(doubts)


def _facts(entry: Ligand | Target | CellLine) -> list[tuple[str, str | None]]:
    """The rows of the card: what, and its text where it is known."""
    if isinstance(entry, Ligand):
        mass = entry.molar_mass
        return [
            ("name", entry.chemical_name),
            ("also called", ", ".join(entry.synonyms)),
            ("role", f"{entry.role}, {entry.target}" if entry.target else entry.role),
            ("covalent", f"yes, through its {entry.warhead}" if entry.warhead else None),
            ("formula", f"{entry.formula}, {mass:.2f} g/mol" if mass is not None else None),
            ("SMILES", entry.smiles),
            ("note", entry.note),
        ]
    if isinstance(entry, Target):
        passes = entry.transmembrane_passes
        return [
            ("also called", ", ".join(entry.synonyms)),
            ("gene", f"{entry.gene} ({entry.species}), UniProt {entry.uniprot}"),
            ("location", entry.location + (f", {passes} transmembrane passes" if passes else "")),
            ("note", entry.note),
        ]
    return [
        ("also called", ", ".join(entry.synonyms)),
        ("origin", f"{entry.origin} ({entry.species} {entry.tissue})"),
        ("category", entry.category),
        ("doubling", entry.doubling_time),
        ("note", entry.note),
    ]


class _Numbers:
    """Numbers of the citations, in the order in which they are first used."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str | None) -> str:
        used = [key for key in keys if key is not None]
        self.keys += [key for key in used if key not in self.keys]
        return "".join(f"[{number}]" for number in sorted(self.keys.index(key) + 1 for key in used))


def _hyphenated(text: str, width: int) -> str:
    """A chemical name with a space after those hyphens where a line of `width` must break."""
    lines = [""]
    for piece in re.split(r"(?<=-)", text):
        if len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return " ".join(lines)


def _wrapped(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _value_lines(entry: Value, numbers: _Numbers, width: int) -> list[str]:
    """A value on one line, label, text and source in columns; an observation wrapped."""
    source = f"{entry.source_kind} {numbers(entry.citation)}".rstrip()
    where = f", {entry.time}" if entry.time else ""
    if entry.kind == "qualitative":
        lines = _wrapped(f"{entry.label}{where}: {entry.text()} ({source})", width, "  ", "    ")
    else:
        sign = " (± undefined)" if entry.error_kind == "undefined" else ""
        row = f"  {entry.label + where:<35} {entry.text() + sign}"
        line = f"{row:<70} {source}"
        lines = [line] if len(line) <= width else [row, f"    {source}"]
    further = "; ".join(part for part in (entry.conditions, entry.note) if part)
    if further:
        lines += _wrapped(further, width, "    ")
    return lines


def _groups(entry: Ligand | Target | CellLine, own: Sequence[Value]) -> dict[str, list[Value]]:
    """Values under ligand, target and cell line, the card's own name left out; those that name none last."""
    groups: dict[str, list[Value]] = {}
    nowhere: list[Value] = []
    for found in own:
        parts = (("", found.ligand), ("at", found.target), ("in", found.cell_line))
        words = [f"{word} {name}" for word, name in parts if name not in (None, entry.name)]
        heading = " ".join(words).removeprefix(" ").removeprefix("at ").removeprefix("in ")
        (groups.setdefault(heading, []) if heading else nowhere).append(found)
    return groups | ({"no target or cell line named": nowhere} if nowhere else {})


def summary(name: str, *, width: int = 88) -> str:
    """Card of a ligand, target or cell line as plain text.

    What it is, every value with operator, ±, source and citation, what the numbers
    contradict or leave open, and the citations.

    Parameters
    ----------
    name : str
        Name or synonym, in any spelling.
    width : int
        Width of the lines in characters; a SMILES is never broken.

    Raises
    ------
    RangeError
        If nothing has this name; the message names the nearest.

    Examples
    --------
    >>> print(summary("HMEC").splitlines()[0])
    HMEC
    """
    entry = _entry(name)
    own, doubts = _about(entry)
    numbers = _Numbers()
    lines = [entry.name, "=" * len(entry.name)]
    for what, text in _facts(entry):
        if text:
            text = _hyphenated(text, width - 13) if what == "name" else text
            lines += _wrapped(text, width, f"{what:<12} ")
    if entry.citations:
        lines.append(f"{'see':<12} {numbers(*entry.citations)}")
    for heading, members in _groups(entry, own).items():
        lines += ["", heading]
        for found in members:
            lines += _value_lines(found, numbers, width)
    if doubts:
        lines += ["", "What the numbers contradict, or leave open"]
        for doubt in doubts:
            lines += _wrapped(f"{doubt.title} {numbers(*doubt.citations)}".rstrip(), width, "  * ")
            lines += _wrapped(doubt.statement, width, "    ")
            lines += _wrapped(f"So: {doubt.consequence}", width, "    ")
    legend = [ERROR_KINDS[kind] for kind in ERROR_KINDS if any(found.error_kind == kind for found in own)]
    legend += [f"{kind}: {said}" for kind, said in SOURCE_KINDS.items() if any(v.source_kind == kind for v in own)]
    if legend:
        lines += ["", "Legend", *(line for said in legend for line in _wrapped(said, width, "  ", "    "))]
    if numbers.keys:
        lines += ["", "Sources"]
        for position, key in enumerate(numbers.keys, start=1):
            lines += _wrapped(citation(key).text(), width, f"  [{position}] ")
    return "\n".join(lines) + "\n"


def _value_dict(entry: Value) -> dict[str, Any]:
    content = {**asdict(entry), "kind": entry.kind, "label": entry.label, "text": entry.text(), "time_s": entry.time_s}
    is_molar = entry.value is not None and QUANTITIES[entry.quantity][1] == "concentration"
    high = entry.high_M if is_molar else None
    return {
        **content,
        "value_M": entry.value_M if is_molar else None,
        "error_M": entry.error_M if is_molar else None,
        "low_M": entry.low_M if is_molar else None,
        "high_M": high if high is not None and math.isfinite(high) else None,
    }


def _discrepancy_dict(entry: Discrepancy) -> dict[str, Any]:
    return {**asdict(entry), "ratios": {name: ratio._asdict() for name, ratio in entry.ratios}}


def as_dict(name: str) -> dict[str, Any]:
    """The card of `summary` as plain mappings and lists that JSON can hold.

    Concentrations appear as printed and in M; an infinite or unknown number is null.

    Raises
    ------
    RangeError
        If nothing has this name; the message names the nearest.

    Examples
    --------
    >>> as_dict("CM572")["ligand"]["formula"]
    'C22H23FN4O2S'
    """
    entry = _entry(name)
    own, doubts = _about(entry)
    kind = {Ligand: "ligand", Target: "target", CellLine: "cell_line"}[type(entry)]
    card = asdict(entry)
    if isinstance(entry, Ligand):
        mass = entry.molar_mass
        card |= {"covalent": entry.covalent, "molar_mass": None if mass is None else round(mass, 3)}
    elif isinstance(entry, CellLine):
        card |= {"doubling_time_s": entry.doubling_time_s}
    keys = dict.fromkeys(
        key
        for key in (
            *entry.citations,
            *(found.citation for found in own),
            *(key for doubt in doubts for key in doubt.citations),
        )
        if key is not None
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        kind: card,
        "values": [_value_dict(found) for found in own],
        "discrepancies": [_discrepancy_dict(doubt) for doubt in doubts],
        "citations": [{**asdict(citation(key)), "text": citation(key).text()} for key in keys],
    }
