"""From the YAML files of this folder to a checked `Library`.

Reading is strict: an unknown key, a name that no file defines, a number without a
unit or an operator nobody knows stops the reading, with file, entry and remedy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from halfmax import units
from halfmax.errors import FileError, RangeError, nearest
from halfmax.reference.entry import (
    CATEGORIES,
    ERROR_KINDS,
    OPERATORS,
    PLAIN_UNITS,
    QUANTITIES,
    ROLES,
    SOURCE_KINDS,
    CellLine,
    Citation,
    Discrepancy,
    Ligand,
    Target,
    Value,
    molar_mass,
    published_ratio,
)

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["Library", "fold", "library", "load"]

_Entry = TypeVar("_Entry", Citation, Target, CellLine, Ligand, Value, Discrepancy)


@dataclass(frozen=True)
class Library:
    """All entries of one folder; every name one of them uses is defined by another."""

    citations: tuple[Citation, ...]
    targets: tuple[Target, ...]
    cell_lines: tuple[CellLine, ...]
    ligands: tuple[Ligand, ...]
    values: tuple[Value, ...]
    discrepancies: tuple[Discrepancy, ...]


def fold(name: str) -> str:
    """Form in which two spellings of a name are the same.

    Case, spaces, hyphens, brackets and sub- or superscripts do not count, and σ is
    sigma.  A plus sign counts: (+)-pentazocine is not pentazocine.

    Examples
    --------
    >>> fold("σ₂") == fold("Sigma-2"), fold("MCF7") == fold("MCF-7")
    (True, True)
    """
    text = unicodedata.normalize("NFKC", name).casefold().replace("σ", "sigma")
    return "".join(character for character in text if character.isalnum() or character == "+")


@lru_cache(maxsize=1)
def library() -> Library:
    """The packaged library, read once."""
    return load(files("halfmax.reference"))


def load(folder: Traversable) -> Library:
    """Library of a folder with the six files of this room.

    Raises
    ------
    FileError
        If a file is missing, is not YAML, or an entry breaks a rule.
    """
    read = Library(
        citations=_entries(folder, "citations", Citation),
        targets=_entries(folder, "targets", Target),
        cell_lines=_entries(folder, "cell_lines", CellLine),
        ligands=_entries(folder, "ligands", Ligand),
        values=_entries(folder, "values", Value),
        discrepancies=_entries(folder, "discrepancies", Discrepancy),
    )
    _check_names(read)
    for citation in read.citations:
        _check_citation(citation)
    for target in read.targets:
        if not re.fullmatch(r"[OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z0-9]{2}\d){1,2}", target.uniprot):
            raise _bad("targets", target.name, f'"{target.uniprot}" is not a UniProt accession, such as Q5BJF2')
    for cells in read.cell_lines:
        _one_of("cell_lines", cells.name, "category", cells.category, CATEGORIES)
        _check_time("cell_lines", cells.name, cells.doubling_time)
    for ligand in read.ligands:
        _check_ligand(ligand)
    for value in read.values:
        _check_value(value)
    by_id = {value.id: value for value in read.values}
    for value in read.values:
        _check_derived(value, by_id)
    return replace(read, discrepancies=tuple(_computed(entry, by_id) for entry in read.discrepancies))


# Reading one file ------------------------------------------------------------


def _bad(stem: str, entry: str, trouble: str) -> FileError:
    return FileError(f'reference/{stem}.yaml, entry "{entry}": {trouble}.')


def _entries(folder: Traversable, stem: str, entry_type: type[_Entry]) -> tuple[_Entry, ...]:
    """The entries of one file, each with known keys of the right type."""
    import yaml

    try:
        rows = yaml.safe_load(folder.joinpath(f"{stem}.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FileError(f"reference/{stem}.yaml cannot be read: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise FileError(f"reference/{stem}.yaml: expected a list of entries, found {type(rows).__name__}.")
    return tuple(_entry(stem, number, row, entry_type) for number, row in enumerate(rows, start=1))


def _entry(stem: str, number: int, row: object, entry_type: type[_Entry]) -> _Entry:
    """One entry from one YAML mapping."""
    known = {field.name: field for field in fields(entry_type)}
    if not isinstance(row, Mapping):
        raise _bad(stem, f"number {number}", f"expected keys and values, found {row!r}")
    identity = str(row.get(next(iter(known)), f"number {number}"))
    arguments: dict[str, Any] = {}
    for key, content in row.items():
        if key not in known:
            raise _bad(stem, identity, f'unknown key "{key}". {nearest(str(key), list(known)).rstrip(".")}')
        arguments[key] = _typed(stem, identity, key, content, str(known[key].type))
    for name, field in known.items():
        if field.default is MISSING and name not in arguments:
            raise _bad(stem, identity, f'the key "{name}" is missing')
    return entry_type(**arguments)


def _typed(stem: str, identity: str, key: str, content: object, wanted: str) -> object:
    """`content` if it has the type of its field; a list of words as a tuple."""
    if wanted.startswith("tuple[tuple"):
        if isinstance(content, Mapping) and all(_is_pair(pair) for pair in content.values()):
            return tuple((str(name), tuple(pair)) for name, pair in content.items())
        raise _bad(stem, identity, f'"{key}" must give each name two ids, [numerator, denominator]; found {content!r}')
    if wanted.startswith("tuple"):
        if isinstance(content, list) and all(isinstance(word, str) and word for word in content):
            return tuple(content)
        raise _bad(stem, identity, f'"{key}" must be a list of words, found {content!r}')
    expected = int if wanted.startswith("int") else str
    if not isinstance(content, expected) or isinstance(content, bool) or content == "":
        kind = "a whole number" if expected is int else "text"
        raise _bad(stem, identity, f'"{key}" must be {kind}, found {content!r}')
    return content


def _is_pair(content: object) -> bool:
    return isinstance(content, list) and len(content) == 2 and all(isinstance(word, str) for word in content)


# Rules ------------------------------------------------------------------------


def _one_of(stem: str, identity: str, key: str, word: str | None, known: Iterable[str]) -> None:
    names = list(known)
    if word not in names:
        raise _bad(stem, identity, f'{key} "{word}" is not known. {nearest(str(word), names).rstrip(".")}')


def _check_time(stem: str, identity: str, text: str | None) -> None:
    try:
        if text is not None:
            units.duration(text)
    except RangeError as error:
        raise _bad(stem, identity, str(error).rstrip(".")) from error


def _check_names(read: Library) -> None:
    """No two entries share a name, and every name that an entry uses is defined."""
    spelt: list[tuple[str, list[tuple[str, ...]]]] = [
        ("citations", [(entry.key,) for entry in read.citations]),
        ("targets", [entry.names for entry in read.targets]),
        ("cell_lines", [entry.names for entry in read.cell_lines]),
        ("ligands", [entry.names for entry in read.ligands]),
        ("values", [(entry.id,) for entry in read.values]),
        ("discrepancies", [(entry.id,) for entry in read.discrepancies]),
    ]
    for stem, names in spelt:
        owner: dict[str, str] = {}
        for own in names:
            for name in own:
                if fold(name) in owner:
                    raise _bad(stem, own[0], f'the name "{name}" is already taken by "{owner[fold(name)]}"')
            owner |= {fold(name): own[0] for name in own}

    keys = [entry.key for entry in read.citations]
    targets = [entry.name for entry in read.targets]
    lines = [entry.name for entry in read.cell_lines]
    ligands = [entry.name for entry in read.ligands]
    ids = [entry.id for entry in read.values]
    for target in read.targets:
        _defined("targets", target.name, "citation", target.citations, keys)
    for cells in read.cell_lines:
        _defined("cell_lines", cells.name, "citation", cells.citations, keys)
    for ligand in read.ligands:
        _defined("ligands", ligand.name, "citation", ligand.citations, keys)
        _defined("ligands", ligand.name, "target", (ligand.target,), targets)
    for value in read.values:
        _defined("values", value.id, "ligand", (value.ligand,), ligands)
        _defined("values", value.id, "target", (value.target,), targets)
        _defined("values", value.id, "cell line", (value.cell_line,), lines)
        _defined("values", value.id, "citation", (value.citation,), keys)
        _defined("values", value.id, "value", value.derived_from, ids)
    for entry in read.discrepancies:
        _defined("discrepancies", entry.id, "ligand", entry.ligands, ligands)
        _defined("discrepancies", entry.id, "target", entry.targets, targets)
        _defined("discrepancies", entry.id, "value", entry.values, ids)
        _defined("discrepancies", entry.id, "citation", entry.citations, keys)
        _defined("discrepancies", entry.id, "value", (name for _, pair in entry.ratios for name in pair), ids)


def _defined(stem: str, identity: str, what: str, used: Iterable[object], known: list[str]) -> None:
    for name in used:
        if name is not None and name not in known:
            raise _bad(stem, identity, f'no {what} is called "{name}". {nearest(str(name), known).rstrip(".")}')


def _check_citation(citation: Citation) -> None:
    _one_of("citations", citation.key, "kind", citation.kind, ("article", "vendor guide"))
    for name, pattern in (("doi", r"10\.\d{4,9}/\S+"), ("pmc", r"PMC\d+"), ("pmid", r"\d+"), ("url", r"https://\S+")):
        content = getattr(citation, name)
        if content is not None and not re.fullmatch(pattern, content):
            raise _bad("citations", citation.key, f'"{content}" is not a {name.upper()}')
    if not (citation.title or citation.doi or citation.pmc or citation.pmid or citation.url):
        raise _bad("citations", citation.key, "nobody could find it: give a title, a DOI, a PMC number or an address")


def _check_ligand(ligand: Ligand) -> None:
    _one_of("ligands", ligand.name, "role", ligand.role, ROLES)
    if ligand.smiles is not None and ligand.formula is None:
        raise _bad("ligands", ligand.name, "a SMILES stands without a formula to check it against")
    if ligand.formula is not None:
        try:
            molar_mass(ligand.formula)
        except RangeError as error:
            raise _bad("ligands", ligand.name, str(error).rstrip(".")) from error


def _check_value(value: Value) -> None:
    """A number is complete and has a unit of its dimension; an observation has a statement and no number."""
    _one_of("values", value.id, "quantity", value.quantity, QUANTITIES)
    _one_of("values", value.id, "source_kind", value.source_kind, SOURCE_KINDS)
    _check_time("values", value.id, value.time)
    if value.citation is None and value.source_kind in ("published", "vendor guide"):
        raise _bad("values", value.id, f'"{value.source_kind}" without a citation')
    dimension = QUANTITIES[value.quantity][1]
    if dimension is None:
        if value.statement is None or any((value.value, value.operator, value.upper, value.error, value.error_kind)):
            raise _bad("values", value.id, f"{value.quantity} is told in words: give a statement, and no number")
        return
    if value.value is None or value.statement is not None:
        raise _bad("values", value.id, f"{value.quantity} is a number: give a value with its unit, and no statement")
    _one_of("values", value.id, "operator", value.operator, OPERATORS)
    if (value.error is None) != (value.error_kind is None):
        raise _bad("values", value.id, "error and error_kind belong together: what is the ±")
    if value.error_kind is not None:
        _one_of("values", value.id, "error_kind", value.error_kind, ERROR_KINDS)
    if (value.upper is None) != (value.operator != "range"):
        raise _bad("values", value.id, 'upper belongs to the operator "range", and only to it')
    numbers = [
        _size(value, text, dimension) if text is not None else None for text in (value.value, value.upper, value.error)
    ]
    if any(number is not None and number <= 0 for number in numbers):
        raise _bad("values", value.id, f"a {dimension} must be > 0")
    if numbers[1] is not None and numbers[0] is not None and numbers[1] <= numbers[0]:
        raise _bad("values", value.id, f"upper ({value.upper}) must exceed value ({value.value})")


def _size(value: Value, text: str, dimension: str) -> float:
    """Number of a quantity in the unit of its dimension."""
    _, _, unit = text.partition(" ")
    if not unit or unit != unit.strip():
        raise _bad("values", value.id, f'"{text}" must be a number, one space and a unit, as in "4.9 µM"')
    try:
        if dimension == "concentration":
            return units.concentration(text)
        read, unit = units.split(text)
    except RangeError as error:
        raise _bad("values", value.id, str(error).rstrip(".")) from error
    if unit not in PLAIN_UNITS[dimension]:
        raise _bad("values", value.id, f'a {dimension} is given in {PLAIN_UNITS[dimension][0]}, found "{text}"')
    return read


def _check_derived(value: Value, by_id: Mapping[str, Value]) -> None:
    """A calculated value follows from the two it names, to the digits in which it is written."""
    if (value.source_kind == "calculated") != bool(value.derived_from):
        raise _bad("values", value.id, '"calculated" and derived_from belong together')
    if not value.derived_from:
        return
    if len(value.derived_from) != 2:
        raise _bad("values", value.id, "derived_from must name a numerator and a denominator")
    numerator, denominator = (by_id[name] for name in value.derived_from)
    ratio = published_ratio(numerator, denominator).ratio
    written = units.split(value.value or "")[0]
    if abs(ratio / written - 1) > 0.005:
        origin = " and ".join(value.derived_from)
        raise _bad("values", value.id, f"{written:g} is written, {ratio:.4g} follows from {origin}")


def _computed(entry: Discrepancy, by_id: Mapping[str, Value]) -> Discrepancy:
    """The discrepancy with its ratios computed and its statement filled with them."""
    ratios = {name: published_ratio(*(by_id[str(one)] for one in pair)) for name, pair in entry.ratios}
    printed = {name: value.text() for name, value in by_id.items()}
    try:
        statement = entry.statement.format(printed=printed, **ratios)
    except (KeyError, AttributeError, IndexError, ValueError, TypeError) as error:
        raise _bad("discrepancies", entry.id, f"the statement names a figure that is not there: {error}") from error
    return replace(entry, statement=statement, ratios=tuple(ratios.items()))
