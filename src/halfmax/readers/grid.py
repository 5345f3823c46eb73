"""Rectangles of wells on a sheet: found by their column numbers and row letters, checked, and walked.

Almost every plate reader draws the plate somewhere in its file: a line of column
numbers, then lines that begin with a row letter.  `find_grids` finds all of them,
also several side by side; which of them are signals is for the formats to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from halfmax.errors import FileError
from halfmax.readers.cell import Reading
from halfmax.readers.sheet import Sheet
from halfmax.wells import PLATE_SHAPES, row_column, row_label, well_name

__all__ = ["ROWS_OF", "Distinct", "Grid", "find_grids", "heading", "plain_channel", "row_number"]

#: Rows of a plate by its number of columns.
ROWS_OF = {columns: rows for rows, columns in PLATE_SHAPES.values()}

_ROW = re.compile(r"[A-Z]|A[A-F]")
_COLUMN = re.compile(r"0*([1-9]\d?)")
_WAVELENGTH = re.compile(r"(?:.*:\s*)?([1-9]\d{2,3})(?:\.0+)?\s*(?:nm)?(?:\s*\[(?:Test|Ref)\])?", re.IGNORECASE)


@dataclass(frozen=True)
class Grid:
    """One drawn plate: where its cells stand on the sheet.

    `columns` are plate columns counted from 0, the first one standing in sheet
    column `first`; `lines` pair plate rows with sheet rows.
    """

    sheet: Sheet
    head: int
    first: int
    columns: tuple[int, ...]
    lines: tuple[tuple[int, int], ...]
    corner: str

    @property
    def last(self) -> int:
        """Last sheet row of the grid."""
        return self.lines[-1][1]

    def wells(self) -> Iterator[tuple[str, int, int]]:
        """Well, sheet row and sheet column of every cell."""
        for row, line in self.lines:
            for offset, column in enumerate(self.columns):
                yield well_name(row, column), line, self.first + offset

    def readings(self, plate: str, channel: str, time_s: float = float("nan")) -> Iterator[Reading]:
        """Readings of all its cells."""
        for well, line, column in self.wells():
            yield Reading(plate, well, channel, time_s, *self.sheet.signal(line, column, well))

    def check_complete(self, *, some_rows: bool = False) -> None:
        """Refuse a grid that an export cut off; with `some_rows`, rows may be missing if the file goes on below."""
        sheet, width = self.sheet, self.first + len(self.columns)
        if sheet.is_cut(self.last, width):
            raise FileError(
                f"{sheet.place(self.last)}: the line ends after {len(sheet.rows[self.last]) - self.first} of "
                f"{len(self.columns)} wells, and so does the file. The export is cut off; export it again."
            )
        whole = ROWS_OF.get(len(self.columns)) if self.columns[0] == 0 else None
        rows = [row for row, _ in self.lines]
        if whole is None or rows == list(range(whole)):
            return
        if len(rows) > whole and rows == list(range(len(rows))) and len(rows) in ROWS_OF.values():
            return
        if some_rows and self.last < sheet.last:
            return
        found = f"{len(rows)} ({row_label(rows[0])}…{row_label(rows[-1])})"
        raise FileError(
            f"{sheet.place(self.head)}: a plate of {len(self.columns)} columns has {whole} rows, "
            f"A…{row_label(whole - 1)}; found {found}. The export is cut off; export it again. "
            "Rows that were not read belong in it as empty lines."
        )


class Distinct:
    """Names that do not repeat among those of one plate: the second ``426`` becomes ``426 #2``.

    Examples
    --------
    >>> distinct = Distinct()
    >>> [distinct(name) for name in ("426", "426", "260")]
    ['426', '426 #2', '260']
    """

    def __init__(self) -> None:
        self._used: set[tuple[object, str]] = set()

    def __call__(self, name: str, among: object = None) -> str:
        """This name, or the first free one made from it."""
        free, count = name, 1
        while (among, free) in self._used:
            count += 1
            free = f"{name} #{count}"
        self._used.add((among, free))
        return free


def row_number(text: str) -> int | None:
    """Plate row, counted from 0, that a letter names.

    Examples
    --------
    >>> row_number("A"), row_number("AF"), row_number("Z"), row_number("1")
    (0, 31, 25, None)
    """
    letters = text.strip().upper()
    return row_column(f"{letters}1")[0] if _ROW.fullmatch(letters) else None


def plain_channel(label: str) -> str:
    """Wavelength of a label that names just one, else the label itself.

    Examples
    --------
    >>> plain_channel("abs450:450"), plain_channel("570 nm"), plain_channel("Fluo:485,528"), plain_channel("Lum")
    ('450', '570', 'Fluo:485,528', 'Lum')
    """
    match = _WAVELENGTH.fullmatch(label.strip())
    return match.group(1) if match else label.strip()


def find_grids(sheet: Sheet, rows: Iterable[int] | None = None) -> list[Grid]:
    """All grids of a sheet with column numbers above and row letters beside, from top to bottom."""
    grids: list[Grid] = []
    for row in rows if rows is not None else range(len(sheet.rows)):
        for start, columns in _number_runs(sheet, row):
            beside = max(start - 1, 0)
            if any(grid.first == beside + 1 and grid.head < row <= grid.last for grid in grids):
                continue
            if row + 1 >= len(sheet.rows) or row_number(sheet.cell(row + 1, beside)) is None:
                continue
            if len(columns) < 2 and sheet.cell(row, beside) != "<>":
                continue
            lines = _lettered(sheet, row + 1, beside)
            corner = sheet.cell(row, beside) if start else ""
            grids.append(Grid(sheet, row, beside + 1, columns, lines, corner))
    return grids


def _number_runs(sheet: Sheet, row: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Runs of consecutive column numbers in a row: where each starts, and its columns counted from 0."""
    start, run = 0, [0] * 0
    for column in range(len(sheet.rows[row]) + 1):
        match = _COLUMN.fullmatch(sheet.cell(row, column))
        value = int(match.group(1)) - 1 if match else -1
        if run and value == run[-1] + 1:
            run.append(value)
            continue
        if run:
            yield start, tuple(run)
        start, run = column, [value] if 0 <= value < 48 else []


def _lettered(sheet: Sheet, row: int, column: int) -> tuple[tuple[int, int], ...]:
    """Plate row and sheet row of the lines that go on with a later row letter each."""
    lines: list[tuple[int, int]] = []
    while row < len(sheet.rows):
        letter = row_number(sheet.cell(row, column))
        if letter is None or (lines and letter <= lines[-1][0]):
            break
        lines.append((letter, row))
        row += 1
    return tuple(lines)


def heading(sheet: Sheet, row: int, back: int = 8) -> tuple[str, int]:
    """First text of the nearest line above that holds any, and its row (-1 if there is none)."""
    for above in range(row - 1, max(row - 1 - back, -1), -1):
        texts = [text for text in sheet.cells(above) if text]
        if texts:
            return texts[0], above
    return "", -1
