"""Layouts in cells: grids drawn one below the other, each a layer, or a table with a line per well.

Where a plate reader's file is searched for what looks like a plate, every line of
a layout must have a meaning: a well that is passed over would be taken for unused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from halfmax.errors import FileError, RangeError, StudyError
from halfmax.readers.cell import Comma, number
from halfmax.readers.column import header_row, well_columns
from halfmax.readers.layout.model import Layout
from halfmax.readers.layout.rows import header_of_rows, read_rows
from halfmax.readers.layout.saying import COLUMN_OF, KEYS, Map, Saying, field_of, layout_of, say, value_of
from halfmax.readers.sheet import Sheet, text_sheet
from halfmax.wells import PLATE_SHAPES, parse_well, plate_shape, row_label, well_name

__all__ = ["read_sheets", "read_text"]

#: Cells that say nothing.
_EMPTY_CELLS = frozenset({"", "na", "n/a", "nan", "-", "–", "—"})
_AMOUNT = re.compile(r"([-+]?[\d.,]*\d[\d.,]*)(.*)", re.DOTALL)


def read_text(text: str, file: str, shape: tuple[int, int] | None, unit: str | None) -> Layout:
    """Layout of a text of cells; its first line tells the delimiter, and a semicolon means decimal commas."""
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = max(",;\t", key=first.count)
    sheet = text_sheet(file, text, delimiter)
    return read_sheets([sheet], shape, unit, comma="decimal" if delimiter == ";" else None)


def read_sheets(
    sheets: Sequence[Sheet], shape: tuple[int, int] | None, unit: str | None, *, comma: Comma | None = None
) -> Layout:
    """Layout of all sheets together; without `comma`, the numbers of each sheet tell what a comma means."""
    said: Map = {}
    rows = columns = 0
    filled = [sheet for sheet in sheets if sheet.last >= 0]
    if not filled:
        raise FileError(f"{sheets[0].file}: the file is empty. Expected a plate layout, found only empty cells.")
    by_rows = header_of_rows(filled[0]) if len(filled) == 1 else None
    if by_rows is not None:
        return read_rows(filled[0], by_rows, shape)
    for sheet in filled:
        cells = _Cells(sheet, unit, comma or sheet.comma, said)
        head = header_row(sheet)
        if _numbered(sheet.cells(head)):
            drawn = cells.read_drawn(head)
            rows, columns = max(rows, drawn[0]), max(columns, drawn[1])
        elif well_columns(sheet, head):
            cells.read_tidy(head, shape)
        else:
            raise FileError(
                f"{sheet.place(head) if sheet.name else sheet.file}: not a plate layout. Expected TOML, a grid (first "
                "row: the layer's name, 1, 2, 3 …; first column: A, B, C …) or a table with a column "
                f'"well"; found "{", ".join(sheet.cells(head)[:6])}".'
            )
    if shape is None and columns:
        corner = well_name(max(rows, 1) - 1, columns - 1)
        is_whole = (rows, columns) in PLATE_SHAPES.values()
        shape = (rows, columns) if is_whole else plate_shape([corner, *(well for _, well in said)])
    return layout_of(said, filled[0].file, shape)


def _numbered(cells: list[str]) -> bool:
    """Whether a line is the first of a grid: the name of a layer and the numbers of its columns."""
    return len(cells) > 1 and [cell.lstrip("0") for cell in cells[1:]] == [str(n) for n in range(1, len(cells))]


@dataclass(frozen=True)
class _Cells:
    """One sheet, how its bare numbers are meant, and the map that takes what it says."""

    sheet: Sheet
    unit: str | None
    comma: Comma
    said: Map

    def read_drawn(self, head: int) -> tuple[int, int]:
        """Grids one below the other, each a layer; the rows and columns of the largest."""
        sheet, rows, columns, width, count = self.sheet, 0, 0, 0, 0
        for line in range(head, len(sheet.rows)):
            cells, where = sheet.cells(line), sheet.place(line)
            if not cells:
                width = 0
            elif _numbered(cells):
                title, width, count = cells[0], len(cells) - 1, 0
                field = field_of(title, where, KEYS)
                columns = max(columns, width)
            elif not width:
                raise StudyError(
                    f'{where}: expected the first row of a grid (its name, 1, 2, 3 …), found "{cells[0]}".'
                )
            else:
                _check_row(cells, count, width, where)
                for column, cell in enumerate(cells[1:]):
                    well = well_name(count, column)
                    place = f"{where} (layer {title}, well {well})"
                    self._say(("", well), field, cell, place, place)
                count += 1
                rows = max(rows, count)
        return rows, columns

    def read_tidy(self, head: int, shape: tuple[int, int] | None) -> None:
        """One well a line under a header."""
        sheet, at = self.sheet, well_columns(self.sheet, head)
        known, where = ("plate", "well", *KEYS), sheet.place(head)
        titles = enumerate(sheet.cells(head))
        fields = [("", None) if column in at else field_of(title, where, known) for column, title in titles]
        names = [field for field, _ in fields]
        twice = [name for name in names if name and names.count(name) > 1 and name != "note"]
        if twice:
            raise StudyError(f"{where}: two columns hold the {twice[0]}. Keep one.")
        for line in range(head + 1, len(sheet.rows)):
            cells, where = sheet.cells(line), sheet.place(line)
            if not cells:
                continue
            if len(cells) > len(fields):
                raise StudyError(f"{where}: {len(cells)} cells, but the header has {len(fields)} columns.")
            try:
                well = parse_well("".join(sheet.cell(line, column) for column in at), shape)
            except RangeError as error:
                raise StudyError(f"{where}: {error}") from None
            place = (_unguarded(sheet.cell(line, names.index("plate"))) if "plate" in names else "", well)
            self.said.setdefault(place, {})
            for field, cell in zip(fields, cells, strict=False):
                self._say(place, field, cell, f"{where}, well {well}", where)

    def _say(self, place: tuple[str, str], field: tuple[str, str | None], cell: str, here: str, where: str) -> None:
        """Put what one cell says on the map."""
        name, unit = field
        text = _unguarded(cell)
        if name in ("", "plate", "well", "note") or text.casefold() in _EMPTY_CELLS:
            return
        if name in COLUMN_OF:
            text = self._with_point(text, here)
        value = value_of(name, text, unit or (self.unit if name == "concentration" else None), here)
        if value is not None:
            say(self.said, place, name, Saying(value, where))

    def _with_point(self, text: str, where: str) -> str:
        """Amount with a decimal point, whatever sign its file writes."""
        match = _AMOUNT.fullmatch(text)
        if match is None or "," not in match.group(1):
            return text
        value = number(match.group(1), self.comma)
        if value is None and number(match.group(1), "decimal") is not None:
            raise StudyError(
                f'{where}: "{text}" can be read in two ways (decimal comma or thousands separator), and no other '
                "number of the file tells which. Write it with a decimal point."
            )
        return text if value is None else f"{value!r}{match.group(2)}"


def _unguarded(cell: str) -> str:
    """Text without the quote that keeps a spreadsheet from taking it for a formula."""
    return re.sub(r"^'(?=[=+@-])", "", cell)


def _check_row(cells: list[str], count: int, width: int, where: str) -> None:
    """A row has the next letter, and no more wells than its grid has columns."""
    if count >= 32:
        raise StudyError(f"{where}: a plate has at most 32 rows.")
    if cells[0].upper() != row_label(count):
        raise StudyError(f'{where}: expected row {row_label(count)} of the plate, found "{cells[0]}".')
    if len(cells) - 1 > width:
        raise StudyError(
            f"{where}: row {row_label(count)} has {len(cells) - 1} wells, but its grid has {width} columns."
        )
