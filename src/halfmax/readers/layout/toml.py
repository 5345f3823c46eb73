"""Layouts in wellmap's TOML: sections that name wells, the smaller of which win over the larger."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from halfmax import units
from halfmax.errors import FileError, HalfmaxError, RangeError, StudyError, nearest
from halfmax.readers.layout.model import Layout, shape_of, size_text
from halfmax.readers.layout.saying import KEYS, Map, Saying, field_of, layout_of, say, value_of
from halfmax.wells import row_column, well_name

__all__ = ["read_toml", "toml_key", "toml_string"]

_SECTIONS = ("well", "block", "row", "col", "irow", "icol")
_LARGEST = (32, 48)


@dataclass(frozen=True)
class _Group:
    """One section of the TOML: its kind, the wells, rows or columns it names, and what it says."""

    kind: str
    where: str
    wells: frozenset[tuple[int, int]] = frozenset()
    lines: tuple[int, ...] = ()
    area: int = 0
    own: bool = False
    values: tuple[tuple[str, str | float], ...] = ()

    @property
    def precedence(self) -> tuple[int, int, bool]:
        """Sort key: the first group that speaks about a well is right."""
        return (*_SECTIONS, "expt").index(self.kind), self.area, not self.own


@dataclass(frozen=True)
class _Toml:
    """What holds for a whole TOML file."""

    file: str
    shape: tuple[int, int] | None
    concentration_unit: str | None
    time_unit: str | None

    @property
    def limits(self) -> tuple[int, int]:
        return self.shape or _LARGEST


def read_toml(text: str, file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """Layout of a TOML text; size of the plate and unit of its bare concentrations where it states none."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{file}: not valid TOML: {error}.") from None
    known = ("meta", "expt", "plate", *_SECTIONS)
    for name, section in document.items():
        if name not in known:
            raise StudyError(f'{file}: unknown section "{name}". {nearest(name, known)}')
        if not isinstance(section, dict):
            raise StudyError(f"{file}: {name} must be a section, such as [{name}], found {section!r}.")
    _check_meta(document.get("meta", {}), file)
    expt, plates = dict(document.get("expt", {})), dict(document.get("plate", {}))
    whole = _whole(expt, plates, file, shape, unit)
    shared = [*_groups(document, whole, ""), _group("expt", expt, f"{file}, [expt]", whole)]
    said: Map = {}
    if not plates:
        _resolve(shared, whole, "", said)
    for name, section in plates.items():
        if not isinstance(section, dict):
            raise StudyError(f'{file}, [plate]: unknown key "{name}". {nearest(name, ("wells",))}')
        own = {key: value for key, value in section.items() if key not in _SECTIONS}
        where = f"{file}, [plate.{toml_key(name)}]"
        groups = [*_groups(section, whole, f"plate.{toml_key(name)}."), _group("expt", own, where, whole, own=True)]
        _resolve([*groups, *shared], whole, name.strip(), said)
    return layout_of(said, file, whole.shape)


def toml_key(name: str) -> str:
    """Name as a TOML key: bare where it may be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_string(name)


def toml_string(text: str) -> str:
    """Text as a TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_meta(meta: Mapping[str, object], file: str) -> None:
    """``[meta]`` is wellmap's own; what would change the map is refused, the rest is no matter of the map."""
    for key in meta:
        if key not in ("path", "paths", "alert", "extras", "title"):
            raise StudyError(f"{file}, [meta]: {key} is not supported. Write the whole layout into this file.")


def _whole(
    expt: dict[str, Any], plates: dict[str, Any], file: str, shape: tuple[int, int] | None, unit: str | None
) -> _Toml:
    """Takes the plate's size and the units out of ``[expt]`` and ``[plate]``."""
    stated = {"the call": shape} if shape else {}
    for section, where in ((expt, "[expt]"), (plates, "[plate]")):
        if "wells" in section and not isinstance(section["wells"], dict):
            stated[where] = shape_of(section.pop("wells"), f"{file}, {where}")
    if len(set(stated.values())) > 1:
        said = " and ".join(f"{size_text(value)} in {where}" for where, value in stated.items())
        raise StudyError(f"{file}: two sizes of the plate: {said}. Keep one.")
    found: dict[str, str | None] = {"concentration_unit": unit, "time_unit": None}
    for key, factor in (("concentration_unit", units.concentration), ("time_unit", units.duration)):
        if key in expt:
            found[key] = str(expt.pop(key))
            try:
                factor(1, unit=found[key])
            except RangeError as error:
                raise RangeError(f"{file}, [expt], {key}: {error}") from None
    return _Toml(file, next(iter(stated.values()), None), found["concentration_unit"], found["time_unit"])


def _groups(document: Mapping[str, Any], whole: _Toml, prefix: str) -> Iterator[_Group]:
    """The groups of wells of a document, or of one plate's part of it."""
    for kind in _SECTIONS:
        for pattern, section in document.get(kind, {}).items():
            where = f"{whole.file}, [{prefix}{kind}.{toml_key(pattern)}]"
            if not isinstance(section, dict):
                raise StudyError(
                    f"{whole.file}, [{prefix}{kind}]: {pattern} must name wells and hold keys, found {section!r}."
                )
            try:
                if kind == "block":
                    yield from _blocks(pattern, section, whole, prefix)
                elif kind == "well":
                    wells = frozenset(_wells_in(pattern, whole.limits))
                    yield _group(kind, section, where, whole, wells=wells, own=bool(prefix))
                else:
                    lines = tuple(_lines_in(pattern, kind, whole.limits))
                    yield _group(kind, section, where, whole, lines=lines, own=bool(prefix))
            except _PatternError as error:
                raise StudyError(f"{where}: {error}") from None


def _blocks(size: str, section: Mapping[str, Any], whole: _Toml, prefix: str) -> Iterator[_Group]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if match is None:
        raise _PatternError(f'"{size}" is not the size of a block. Expected width x height, such as 3x8.')
    width, height = int(match.group(1)), int(match.group(2))
    for pattern, values in section.items():
        where = f"{whole.file}, [{prefix}block.{size}.{toml_key(pattern)}]"
        if not isinstance(values, dict):
            raise StudyError(f"{where}: expected [block.{size}.A1] with keys, found {values!r}.")
        try:
            wells = frozenset(
                _within((row + down, column + right), whole.limits)
                for row, column in _wells_in(pattern, whole.limits)
                for down in range(height)
                for right in range(width)
            )
        except _PatternError as error:
            raise StudyError(f"{where}: {error}") from None
        yield _group("block", values, where, whole, wells=wells, area=width * height, own=bool(prefix))


def _group(kind: str, section: Mapping[str, Any], where: str, whole: _Toml, **places: Any) -> _Group:
    """Group of wells with its values converted; each key is checked here, once."""
    values: dict[str, str | float] = {}
    for key, given in section.items():
        field, unit = field_of(key, where, KEYS)
        default = whole.concentration_unit if field == "concentration" else whole.time_unit
        value = value_of(field, given, unit or default, f"{where}, {key}")
        if field == "note" or value is None:
            continue
        if field in values:
            raise StudyError(f"{where}: {field} is given twice (the second time as {key}). Keep one.")
        values[field] = value
    return _Group(kind, where, values=tuple(values.items()), **places)


def _resolve(groups: list[_Group], whole: _Toml, plate: str, said: Map) -> None:
    """Adds the wells of one plate to the map, the groups in order of precedence."""
    places = _places(groups, whole)
    for well in itertools.chain.from_iterable(places.values()):
        said.setdefault((plate, well_name(*well)), {})
    levels: dict[tuple[int, int, bool], list[_Group]] = {}
    for group in sorted(groups, key=lambda group: group.precedence):
        levels.setdefault(group.precedence, []).append(group)
    for level in levels.values():
        here: Map = {}
        for group in level:
            for well in places[group.where]:
                for field, value in group.values:
                    say(here, (plate, well_name(*well)), field, Saying(value, group.where))
        for place, fields in here.items():
            for column, saying in fields.items():
                said[place].setdefault(column, saying)


def _places(groups: list[_Group], whole: _Toml) -> dict[str, tuple[tuple[int, int], ...]]:
    """Wells of each group: rows and columns reach as far as the wells that anything else names."""
    fixed = [well for group in groups for well in group.wells]
    lines = {kind: [line for group in groups if group.kind == kind for line in group.lines] for kind in _SECTIONS}
    rows = _span([*(row for row, _ in fixed), *lines["row"]])
    columns = _span([*(column for _, column in fixed), *lines["col"]])
    if whole.shape and (lines["row"] or lines["irow"]):
        columns = columns or range(whole.shape[1])
    if whole.shape and (lines["col"] or lines["icol"]):
        rows = rows or range(whole.shape[0])
    all_rows = _span([*rows, *(_interleaved(line, column) for line in lines["irow"] for column in columns)])
    all_columns = _span([*columns, *(_interleaved(line, row) for line in lines["icol"] for row in rows)])
    everywhere = dict.fromkeys(fixed)
    for group in groups:
        wells = [well for line in group.lines for well in _line_wells(group.kind, line, all_rows, all_columns)]
        everywhere |= dict.fromkeys(wells)
        if group.lines and not wells:
            other = "columns" if group.kind in ("row", "irow") else "rows"
            raise StudyError(
                f"{group.where}: no {other} are named, so it holds no well. "
                f"Add them, or state the plate (wells = 96 under [plate])."
            )
    return {group.where: tuple(well for well in everywhere if _holds(group, well)) for group in groups}


def _holds(group: _Group, well: tuple[int, int]) -> bool:
    row, column = well
    if group.kind in ("row", "irow"):
        return (row if group.kind == "row" else _interleaved(row, column)) in group.lines
    if group.kind in ("col", "icol"):
        return (column if group.kind == "col" else _interleaved(column, row)) in group.lines
    return group.kind == "expt" or well in group.wells


def _line_wells(kind: str, line: int, rows: range, columns: range) -> list[tuple[int, int]]:
    if kind == "row":
        return [(line, column) for column in columns]
    if kind == "col":
        return [(row, line) for row in rows]
    if kind == "irow":
        return [(_interleaved(line, column), column) for column in columns]
    return [(row, _interleaved(line, row)) for row in rows]


def _span(indices: list[int]) -> range:
    return range(min(indices), max(indices) + 1) if indices else range(0)


def _interleaved(line: int, across: int) -> int:
    """Row (column) that an interleaved row (column) passes through at a column (row): it swaps with its pair."""
    return line ^ (across & 1)


# ── Patterns of wells ───────────────────────────────────────────────────────────────────────────────


class _PatternError(HalfmaxError):
    """A pattern that names no wells; always turned into a StudyError that says where."""


def _lines_in(pattern: str, kind: str, limits: tuple[int, int]) -> list[int]:
    """Rows or columns, counted from 0, that a pattern names.

    Examples
    --------
    >>> _lines_in("A,C,...,G", "row", (8, 12)), _lines_in("1-3,7", "col", (8, 12))
    ([0, 2, 4, 6], [0, 1, 2, 6])
    """
    is_row = kind in ("row", "irow")

    def index(token: str) -> tuple[int, int]:
        shape = r"[A-Za-z]{1,2}" if is_row else r"0*[1-9]\d?"
        if re.fullmatch(shape, token) is None:
            raise _PatternError(f'"{token}" is not a {"row (A, B, …)" if is_row else "column (1, 2, …)"}.')
        return _position(f"{token}1" if is_row else f"A{token}", limits)

    return [place[0 if is_row else 1] for place in _expanded(pattern, index)]


def _wells_in(pattern: str, limits: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns, counted from 0, of the wells that a pattern names.

    Examples
    --------
    >>> [well_name(*place) for place in _wells_in("A1,C3,...,C5", (8, 12))]
    ['A1', 'A3', 'A5', 'C1', 'C3', 'C5']
    """
    return _expanded(pattern, lambda token: _position(token, limits))


def _position(token: str, limits: tuple[int, int]) -> tuple[int, int]:
    try:
        return _within(row_column(token), limits)
    except RangeError as error:
        raise _PatternError(str(error)) from None


def _within(place: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    if place[0] >= limits[0] or place[1] >= limits[1]:
        name = well_name(*place) if place[0] < 32 else f"in row {place[0] + 1}"
        raise _PatternError(f"well {name} lies outside a plate of {size_text(limits)}.")
    return place


def _expanded(pattern: str, position: Callable[[str], tuple[int, int]]) -> list[tuple[int, int]]:
    """Positions of ``x,y``, ``x-z`` and ``x,y,...,z``; steps run along both axes."""
    tokens = [token.strip() for token in pattern.split(",")]
    if "..." in tokens:
        if len(tokens) != 4 or tokens[2] != "...":
            raise _PatternError(f'"{pattern}" is not a pattern. Expected first,second,...,last, such as A1,A3,...,A11.')
        first, second, last = (position(tokens[index]) for index in (0, 1, 3))
        axes = [_steps(*axis, pattern) for axis in zip(first, second, last, strict=True)]
        return [(row, column) for row in axes[0] for column in axes[1]]
    places: list[tuple[int, int]] = []
    for token in tokens:
        first, *rest = (position(end) for end in token.split("-"))
        if len(rest) > 1 or (rest and (rest[0][0] < first[0] or rest[0][1] < first[1])):
            raise _PatternError(f'"{token}" is not a range. Expected first-last, such as A1-C6.')
        last = rest[0] if rest else first
        places += [(row, column) for row in range(first[0], last[0] + 1) for column in range(first[1], last[1] + 1)]
    return list(dict.fromkeys(places))


def _steps(first: int, second: int, last: int, pattern: str) -> range:
    step = second - first
    if step == 0 and last == first:
        return range(first, first + 1)
    if step <= 0 or last < second or (last - first) % step:
        raise _PatternError(f'"{pattern}" does not reach its last element in steps from its first to its second.')
    return range(first, last + 1, step)
