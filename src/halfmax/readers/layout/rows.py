"""Maps of kinetic plates as FlexStation users write them: stretches of a row, or a well a line.

::

    Experiment Title:,,Inhibitor assay
    Row,Start,End,Type,Contents,Compound,Protein,Concentration,Concentration Units
    A,1,6,Control,Activator+DMSO,,TRPC5,,nM
    B,1,6,Compound,Activator+Inhibitor,Inhibitor,TRPC5,3,nM

``Protein``, what the cells express, is the cell line of the table.  The word ``control``
says little here, so the dose decides: a control with a dose is a sample of that compound
(a reference agonist), one without is the vehicle: what the doses are compared with, the
solvent, or in an inhibition assay the agonist with the solvent.  A *plate control* beside
an *assay control* has no agonist, and is ``untreated``.
"""

from __future__ import annotations

import re

from halfmax.errors import RangeError, StudyError, nearest
from halfmax.readers.column import folded
from halfmax.readers.layout.model import Layout
from halfmax.readers.layout.saying import Map, Saying, layout_of, say, value_of
from halfmax.readers.sheet import Sheet
from halfmax.wells import parse_well

__all__ = ["header_of_rows", "read_rows"]

_ROW = ("row", "start", "end")
_WELL = ("well", "well id")
_KNOWN = {
    "type": ("type",),
    "compound": ("compound",),
    "cell_line": ("protein", "cell line"),
    "concentration": ("concentration",),
    "unit": ("concentration units", "concentration unit"),
    "contents": ("contents",),
}
_EMPTY = ("", "none", "nan", "na")
_CONTROL = re.compile(r"(assay |plate )?control ?\d*")


def header_of_rows(sheet: Sheet) -> int | None:
    """Line of the header of such a map, None where the sheet is none: a title may stand above it."""
    for row in range(min(len(sheet.rows), 6)):
        names = [folded(text) for text in sheet.cells(row)]
        placed = all(name in names for name in _ROW) or any(name in names for name in _WELL)
        if placed and any(name in names for name in _KNOWN["unit"]):
            return row
    return None


def read_rows(sheet: Sheet, head: int, shape: tuple[int, int] | None) -> Layout:
    """Layout of a map whose header stands in line `head`."""
    names = _columns(sheet, head)
    said: Map = {}
    for row in range(head + 1, len(sheet.rows)):
        if sheet.is_blank(row):
            continue
        cells = {name: sheet.cell(row, column) for name, column in names.items()}
        where = sheet.place(row)
        wells = _stretch(cells, where, shape) if "row" in cells else [_well(cells["well"], where, shape)]
        told = _told(cells, where)
        for well in wells:
            said.setdefault(("", well), {})
            for field, value in told.items():
                say(said, ("", well), field, Saying(value, where))
    return layout_of(said, sheet.file, shape)


def _columns(sheet: Sheet, head: int) -> dict[str, int]:
    """Column of each field; a title that is not known would be passed over in silence."""
    place_of = {"row": ("row",), "start": ("start",), "end": ("end",), "well": _WELL, "": ("",)}
    field_of = {word: field for field, words in (place_of | _KNOWN).items() for word in words}
    found: dict[str, int] = {}
    for column, title in enumerate(sheet.cells(head)):
        name = folded(title)
        if name not in field_of:
            raise StudyError(
                f'{sheet.place(head)}: unknown column "{title}" in a map of rows or wells. '
                f"{nearest(name, sorted(field_of))}"
            )
        if name and found.setdefault(field_of[name], column) != column:
            raise StudyError(f'{sheet.place(head)}: two columns are called "{title}". Keep one.')
    return found


def _stretch(cells: dict[str, str], where: str, shape: tuple[int, int] | None) -> list[str]:
    """Wells of a row from Start to End."""
    ends = [cells[name] for name in ("start", "end")]
    if not all(re.fullmatch("[0-9]{1,2}", text) for text in ends) or not 0 < int(ends[0]) <= int(ends[1]):
        raise StudyError(
            f"{where}, row {cells['row']}: Start and End must be columns of the plate with Start ≤ End, found "
            f'"{ends[0]}" and "{ends[1]}". Write the first and the last column, such as 1 and 6.'
        )
    return [_well(f"{cells['row']}{column}", where, shape) for column in range(int(ends[0]), int(ends[1]) + 1)]


def _well(text: str, where: str, shape: tuple[int, int] | None) -> str:
    try:
        return parse_well(text, shape)
    except RangeError as error:
        raise StudyError(f"{where}: {error} Correct the row or well in this line of the map.") from None


def _told(cells: dict[str, str], where: str) -> dict[str, str | float]:
    """What one line says of its wells."""
    texts = {name: "" if text.casefold() in _EMPTY else text for name, text in cells.items()}
    kind, unit = folded(texts.get("type", "")), texts.get("unit", "") or None
    dose = value_of("concentration", texts.get("concentration", ""), unit, where)
    role = _role(kind, texts, dose, where)
    told: dict[str, str | float] = {"role": role}
    if role != "unused" and texts.get("cell_line"):
        told["cell_line"] = texts["cell_line"]
    if role == "sample":
        told["compound"] = texts.get("compound", "")
        told["concentration"] = dose if dose is not None else ""
    return {field: value for field, value in told.items() if value != ""}


def _role(kind: str, texts: dict[str, str], dose: str | float | None, where: str) -> str:
    """Role of a line's wells."""
    if kind in ("", "empty", "unused"):
        if kind == "" and (texts.get("compound") or dose):
            raise StudyError(
                f"{where}: the wells have a compound or a dose, but no Type. Write Compound, Control, Blank or Empty."
            )
        return "unused"
    if kind == "blank":
        return "blank"
    if kind == "compound":
        return "sample"
    if not _CONTROL.fullmatch(kind):
        raise StudyError(
            f'{where}: unknown Type "{texts["type"]}". Known: Compound, Control (also numbered), Assay control, '
            "Plate control, Blank, Empty."
        )
    if dose:
        return "sample"
    return "untreated" if kind.startswith("plate") else "vehicle"
