"""Gen5 text exports (BioTek, Agilent): matrix, column and row layouts, endpoint and kinetic, several plates.

A read's label ends in its wavelengths (``abs450:450``, ``Fluo:485,528``, ``600``)
or in ``Lum``.  Only such labels are signals: what Gen5 computed (``Blank …``,
``Corrected […]``, ``[Concentration]``, ``Max V […]``, ``Ratio …``, the path length in
cm) is left out.  The raw reads at 977 and 900 nm of a path length correction
(``[Test]``, ``[Ref]``) are kept, as channels of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from halfmax.errors import FileError
from halfmax.readers.cell import Reading, clock
from halfmax.readers.grid import ROWS_OF, Distinct, Grid, find_grids, heading, plain_channel, row_number
from halfmax.readers.sheet import Book, Sheet
from halfmax.wells import row_label, well_name

__all__ = ["parse", "recognises"]

_BAND = r"\d{3,4}(?:/\d+)?(?:,\d{3,4}(?:/\d+)?)?"
_RAW = re.compile(rf"(?:(?P<name>[^\[\]]*):)?(?:{_BAND}|Lum|Alpha)(?:\s*\[(?:Test|Ref|\d+)\])?", re.IGNORECASE)
_READ_NUMBER = re.compile(r"\s+Read\s*#\d+$")
_READ_TIME = re.compile(r"Time\s+\d+\s+\(([\d:.,]+)\)")
_WELLS = re.compile(r"[A-P]\d{1,2}\s*\.\.\s*[A-P]\d{1,2}.*")
_DERIVED = ("blank ", "mean ", "corrected ", "std dev", "ratio ")

#: One cell of a result: well, label, seconds, sheet row, sheet column.
_Found = tuple[str, str, float, int, int]


def recognises(book: Book) -> bool:
    """The head names a software version and an experiment, a plate or a reader."""
    keys = {cells[0] for cells in book.head() if cells}
    return "Software Version" in keys and bool(keys & {"Plate Number", "Reader Type:", "Experiment File Path:"})


def parse(book: Book) -> list[Reading]:
    """Raw readings of all plates."""
    sheet, names = book.first, Distinct()
    starts = [row for row in range(len(sheet.rows)) if sheet.cell(row, 0) == "Plate Number"] or [0]
    readings: list[Reading] = []
    for start, end in zip(starts, [*starts[1:], len(sheet.rows)], strict=True):
        plate = names(
            sheet.cell(start, 1) if sheet.cell(start, 0) == "Plate Number" and sheet.cell(start, 1) else book.stem
        )
        found = list(_plate(sheet, plate, start, end))
        if not found:
            raise FileError(
                f"{sheet.place(start)}: plate {plate}: expected raw readings (a label such as 570 or Read 1:570), "
                "found none. The export is cut off, or holds only what Gen5 computed; export the raw data, too."
            )
        readings.extend(found)
    return readings


def _plate(sheet: Sheet, plate: str, start: int, end: int) -> Iterator[Reading]:
    """Readings of one plate; what two tables of the file repeat is taken once."""
    reads = {sheet.cell(row, 1) for row in range(start, end) if sheet.cell(row, 0) == "Read"}
    channels: dict[str, str] = {}
    distinct = Distinct()
    seen: dict[object, Reading] = {}
    for well, label, seconds, row, column in _cells(sheet, start, end):
        label = _READ_NUMBER.sub("", label)
        if not _is_raw(label, reads):
            continue
        if label not in channels:
            channels[label] = distinct(label if label.casefold().startswith("lum") else plain_channel(label))
        reading = Reading(plate, well, channels[label], seconds, *sheet.signal(row, column, well))
        if reading.place in seen:
            if repr(seen[reading.place]) != repr(reading):
                raise FileError(
                    f"{sheet.place(row)}: well {well} of {plate} is read twice in {label} with different values. "
                    "Export each read once."
                )
            continue
        seen[reading.place] = reading
        yield reading


def _is_raw(label: str, reads: set[str]) -> bool:
    """Whether a label names a read, not something computed from one."""
    match = _RAW.fullmatch(label)
    if match is None:
        return False
    return match.group("name") in reads or not label.casefold().startswith(_DERIVED)


def _cells(sheet: Sheet, start: int, end: int) -> Iterator[_Found]:
    """All cells of all result tables, whatever their layout."""
    grids = {grid.head: grid for grid in find_grids(sheet, range(start, end))}
    for row in range(start, end):
        first, second = sheet.cell(row, 0), sheet.cell(row, 1)
        if row in grids:
            yield from _matrix(sheet, grids[row])
        elif first == "Time" and (_is_well(second) or _is_well(sheet.cell(row, 2))):
            yield from _times_down(sheet, row, end)
        elif first == "Time" and any(_is_well(sheet.cell(row + below, 0)) for below in (1, 2)):
            yield from _times_across(sheet, row, end)
        elif "Well" in (first, second) and _is_well(sheet.cell(row, 1)):
            yield from _wells_across(sheet, row, end)
        elif "Well" in (first, second):
            yield from _wells_down(sheet, row, end)


def _matrix(sheet: Sheet, grid: Grid) -> Iterator[_Found]:
    """A drawn plate, one or more labelled lines a row letter."""
    above, _ = heading(sheet, grid.head, 3)
    if above == "Layout":
        return
    at = grid.first + len(grid.columns)
    lines: list[tuple[int, int, str]] = []
    row, letter = grid.head + 1, -1
    while row < len(sheet.rows) and not sheet.is_blank(row):
        named = row_number(sheet.cell(row, grid.first - 1))
        letter = letter if named is None else named
        lines.append((letter, row, sheet.cell(row, at)))
        row += 1
    _check_matrix(sheet, grid, lines)
    time_s = _matrix_time(sheet, grid.head)
    for letter, line, label in lines:
        for offset, column in enumerate(grid.columns):
            yield well_name(letter, column), label or above, time_s, line, grid.first + offset


def _check_matrix(sheet: Sheet, grid: Grid, lines: list[tuple[int, int, str]]) -> None:
    """All rows of the plate, each with the same labels, or the export was cut off."""
    labels: dict[int, list[str]] = {}
    for letter, _, label in lines:
        labels.setdefault(letter, []).append(label)
    whole = ROWS_OF.get(len(grid.columns), len(labels))
    at_end = lines[-1][1] >= sheet.last
    partial = any(_WELLS.fullmatch(text) for row in range(grid.head) for text in sheet.cells(row)[1:2])
    uneven = [letter for letter, found in labels.items() if found != labels[lines[0][0]]]
    if not uneven and (partial or not at_end or len(labels) >= whole):
        return
    place = f"row {row_label(uneven[0])} of the plate is not complete" if uneven else "the plate is not complete"
    raise FileError(
        f"{sheet.place(lines[-1][1])}: {place}: expected rows A…{row_label(whole - 1)}, each with the same results, "
        f"and the last line ends at row {row_label(lines[-1][0])}. The export is cut off; export it again."
    )


def _matrix_time(sheet: Sheet, head: int) -> float:
    """Seconds that the heading of a kinetic matrix names, NaN for an endpoint."""
    for row in (head - 1, head - 2):
        match = _READ_TIME.search(sheet.cell(row, 0))
        if match and (seconds := clock(match.group(1))) is not None:
            return seconds
    return math.nan


def _times_down(sheet: Sheet, head: int, end: int) -> Iterator[_Found]:
    """A line per time, the wells side by side; planned reads that never came are left out."""
    label, _ = heading(sheet, head, 3)
    wells = [(column, sheet.well(head, text)) for column, text in enumerate(sheet.cells(head)) if _is_well(text)]
    latest = -1.0
    for row in range(head + 1, end):
        if sheet.is_blank(row):
            break
        seconds = clock(sheet.cell(row, 0))
        if seconds is None:
            raise FileError(
                f'{sheet.place(row)}: expected a time such as 0:05:00 or an empty line, found "{sheet.cell(row, 0)}". '
                "Export the file again."
            )
        if seconds <= latest and not any(sheet.cell(row, column) for column, _ in wells):
            continue
        _check_line(sheet, row, wells[-1][0] + 1)
        latest = seconds
        for column, well in wells:
            yield well, label, seconds, row, column


def _check_line(sheet: Sheet, row: int, width: int) -> None:
    """Gen5 ends every line, so that a table whose last line is open or short was cut off."""
    if sheet.is_cut(row, width) or (sheet.is_open and row == sheet.last):
        raise FileError(
            f"{sheet.place(row)}: the file ends within this line of results. The export is cut off; export it again."
        )


def _times_across(sheet: Sheet, head: int, end: int) -> Iterator[_Found]:
    """A line per well, the times side by side."""
    label, _ = heading(sheet, head, 3)
    lines = []
    for row in range(head + 1, end):
        if sheet.is_blank(row):
            break
        if _is_well(sheet.cell(row, 0)):
            _check_line(sheet, row, 2)
            lines.append(row)
    latest = -1.0
    for column, text in enumerate(sheet.cells(head)):
        seconds = clock(text)
        if column == 0 or seconds is None:
            continue
        if seconds <= latest and not any(sheet.cell(row, column) for row in lines):
            continue
        latest = seconds
        for row in lines:
            yield sheet.well(row, sheet.cell(row, 0)), label, seconds, row, column


def _wells_across(sheet: Sheet, head: int, end: int) -> Iterator[_Found]:
    """A line per label, the wells side by side."""
    for row in range(head + 1, end):
        if sheet.is_blank(row):
            break
        _check_line(sheet, row, len(sheet.cells(head)))
        for column, text in enumerate(sheet.cells(head)):
            if column and text:
                yield sheet.well(head, text), sheet.cell(row, 0), math.nan, row, column


def _wells_down(sheet: Sheet, head: int, end: int) -> Iterator[_Found]:
    """A line per well, the labels side by side."""
    labels = sheet.cells(head)
    at = labels.index("Well")
    for row in range(head + 1, end):
        if sheet.is_blank(row):
            break
        if not sheet.cell(row, at):
            continue
        _check_line(sheet, row, len(labels))
        for column, label in enumerate(labels):
            if column > at:
                yield sheet.well(row, sheet.cell(row, at)), label, math.nan, row, column


def _is_well(text: str) -> bool:
    return re.fullmatch(r"[A-Z]{1,2}\d{1,2}", text) is not None
