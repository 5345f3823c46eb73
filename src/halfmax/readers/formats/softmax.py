"""SoftMax Pro text exports (Molecular Devices): endpoint, kinetic and Flex, several wavelengths, several plates.

The file is a sequence of blocks, each closed by ``~End``.  A ``Plate:`` block
declares in its first line what follows; its raw readings stand under the line
that says *Temperature*, in plates (PlateFormat) or with the wells side by side
(TimeFormat).  A second header without *Temperature* opens the reduced values,
which are not read.  ``Group:`` and ``Note:`` blocks are skipped.  A plate that was
exported reduced only is read into the channel ``reduced``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from halfmax.errors import FileError
from halfmax.readers.cell import Reading, clock
from halfmax.readers.grid import Distinct
from halfmax.readers.sheet import Book, Sheet
from halfmax.wells import PLATE_SHAPES, parse_well, row_column, well_name

__all__ = ["parse", "recognises"]

_BLOCKS = ("Plate:", "Group:", "Note:", "Graph:", "Cuvette:", "CuvetteSet:", "Image:")
_KINETIC = ("kinetic", "flex")


@dataclass(frozen=True)
class _Header:
    """What the first line of a plate block declares."""

    plate: str
    is_time_format: bool
    is_kinetic: bool
    reads: int
    channels: tuple[str, ...]
    plate_rows: int
    read_rows: range
    read_columns: range


def recognises(book: Book) -> bool:
    """The first line counts the blocks."""
    return any(cells[0].startswith("##BLOCKS") for cells in book.head(1))


def parse(book: Book) -> list[Reading]:
    """Raw readings of all plates."""
    sheet, names = book.first, Distinct()
    readings: list[Reading] = []
    blocks = list(_plate_blocks(sheet))
    for start, end in blocks:
        header = _header(sheet, start, names)
        table = next((row for row in range(start, end) if sheet.cell(row, 1).startswith("Temperature")), None)
        if table is None:
            raise FileError(
                f"{sheet.place(start)}: expected a line with Temperature and the columns of the plate in this block, "
                "found none. Export the plate with its raw data."
            )
        rows = _across(sheet, header, table, end) if header.is_time_format else _plates(sheet, header, table, end)
        readings.extend(rows)
    if not blocks:
        raise FileError(f"{book.file}: a SoftMax Pro export without a Plate block. Export the plate sections, too.")
    return readings


def _plate_blocks(sheet: Sheet) -> Iterator[tuple[int, int]]:
    """First and closing row of every plate block."""
    kind, start = "", 0
    for row in range(len(sheet.rows)):
        first = sheet.cell(row, 0)
        opens = first.startswith(_BLOCKS) if not kind else first == "Plate:" and len(sheet.rows[row]) > 5
        if first == "~End":
            if kind == "Plate":
                yield start, row
            kind = ""
        elif opens and kind == "Plate":
            break
        elif opens:
            kind, start = first.partition(":")[0], row
    if kind:
        raise FileError(
            f"{sheet.place(start)}: this {kind} block must be closed by ~End, but the file ends or the next block "
            "begins without it. The export is cut off; export it again."
        )


def _header(sheet: Sheet, row: int, names: Distinct) -> _Header:
    """Declarations of a plate block; they stand one field later where fluorescence is read from below or above."""
    fields = [text.strip() for text in sheet.rows[row]] + [""] * 40
    kind = next((place for place in range(5, 9) if fields[place] in ("Raw", "Reduced", "Both")), None)
    read_type = fields[4].casefold()
    if kind is None or read_type not in ("endpoint", *_KINETIC):
        raise FileError(
            f"{sheet.place(row)}: expected an endpoint or kinetic plate with raw data, "
            f'found read type "{fields[4]}". Export the plate as Raw, in plate or time format.'
        )
    count = _whole(fields[kind + 8], 1)
    wells = _whole(fields[kind + 12], 96)
    plate_rows, plate_columns = PLATE_SHAPES.get(wells, (8, 12))
    fluorescent = "fluor" in fields[5].casefold() or "polar" in fields[5].casefold()
    area = kind + (22 if fluorescent else 13)
    first_row, rows = _whole(fields[area], 1), _whole(fields[area + 1], plate_rows)
    first_column, columns = _whole(fields[kind + 10], 1), _whole(fields[kind + 11], plate_columns)
    labels = ["reduced"] if fields[kind] == "Reduced" else _labels(fields, kind, count, fluorescent)
    distinct = Distinct()
    return _Header(
        plate=names(fields[1] or "Plate"),
        is_time_format=fields[3] == "TimeFormat",
        is_kinetic=read_type in _KINETIC,
        reads=_whole(fields[kind + 2], 0) if read_type in _KINETIC else 0,
        channels=tuple(distinct(label) for label in labels),
        plate_rows=plate_rows,
        read_rows=range(first_row - 1, first_row - 1 + rows),
        read_columns=range(first_column - 1, first_column - 1 + columns),
    )


def _labels(fields: list[str], kind: int, count: int, fluorescent: bool) -> list[str]:
    """Wavelengths of the reads; excitation/emission for fluorescence, the mode where there is none."""
    emissions = fields[kind + 9].split() or [fields[5].casefold()]
    emissions = (emissions + emissions[-1:] * count)[:count]
    excitations = fields[kind + 13].split() if fluorescent else []
    if len(excitations) == count:
        return [f"{excitation}/{emission}" for excitation, emission in zip(excitations, emissions, strict=True)]
    return emissions


def _whole(text: str, default: int) -> int:
    return int(text) if re.fullmatch("[0-9]{1,6}", text) and int(text) > 0 else default


def _plates(sheet: Sheet, header: _Header, table: int, end: int) -> Iterator[Reading]:
    """Readings drawn as plates, one below the other in time, the wavelengths side by side."""
    groups = _groups(sheet, table)
    if len(groups) != len(header.channels):
        raise FileError(
            f"{sheet.place(table)}: the block declares {len(header.channels)} wavelength(s), but {len(groups)} set(s) "
            "of columns stand side by side. Export the plate again."
        )
    row, reads = table + 1, 0
    strange = [label for group in groups for _, label in group if not 0 < _whole(label, 0) <= 48]
    if strange:
        raise FileError(
            f'{sheet.place(table)}: expected a column number of the plate, found "{strange[0]}". Export it again.'
        )
    while row < end and not _is_reduced(sheet, row, table):
        if _is_separator(sheet, row):
            row += 1
            continue
        _check_rows(sheet, row, end, header, table)
        time_s = _time(sheet, row) if header.is_kinetic else math.nan
        for channel, group in zip(header.channels, groups, strict=True):
            for line in range(header.plate_rows):
                for column, label in group:
                    well = well_name(line, int(label) - 1)
                    is_read = line in header.read_rows and int(label) - 1 in header.read_columns
                    if is_read or sheet.cell(row + line, column):
                        yield Reading(header.plate, well, channel, time_s, *sheet.signal(row + line, column, well))
        row, reads = row + header.plate_rows, reads + 1
    _check_reads(sheet, header, table, reads)


def _check_reads(sheet: Sheet, header: _Header, row: int, reads: int, channel: str = "") -> None:
    """A kinetic block holds as many reads as its first line declares."""
    if header.reads and reads != header.reads:
        of = f" of {channel}" if channel else ""
        raise FileError(
            f"{sheet.place(row)}: the plate {header.plate} declares {header.reads} reads, found {reads}{of}. The "
            "export is cut off; export it again. If the run was stopped early, export only the reads that were made."
        )


def _check_rows(sheet: Sheet, row: int, end: int, header: _Header, table: int) -> None:
    """A read must have all rows of the plate before its block, the next read or the reduced values begin."""
    for line in range(1, header.plate_rows):
        below = row + line
        is_row = below < end and not _is_separator(sheet, below) and not sheet.cell(below, 0)
        if is_row and not _is_reduced(sheet, below, table):
            continue
        raise FileError(
            f"{sheet.place(row)}: the plate {header.plate} must have {header.plate_rows} rows here, found {line}. "
            "The export is cut off; export it again."
        )


def _across(sheet: Sheet, header: _Header, table: int, end: int) -> Iterator[Reading]:
    """Readings with the wells side by side and the time downwards, one wavelength below the other."""
    wells = [(column, label) for group in _groups(sheet, table) for column, label in group]
    clocks = {label[:-1]: column for column, label in wells if label.endswith("T")}
    signals = [(column, sheet.well(table, label)) for column, label in wells if not label.endswith("T")]
    clocked = {parse_well(label): column for label, column in clocks.items()}
    sets = list(_sets(sheet, table, end))
    if len(sets) > len(header.channels):
        raise FileError(
            f"{sheet.place(sets[len(header.channels)][0])}: the block declares {len(header.channels)} wavelength(s); "
            "found another set of readings after them. Export the plate again."
        )
    if len(sets) < len(header.channels):
        raise FileError(
            f"{sheet.place(table)}: the block declares {len(header.channels)} wavelengths, found readings of "
            f"{len(sets)}. The export is cut off; export it again."
        )
    for channel, rows in zip(header.channels, sets, strict=True):
        _check_reads(sheet, header, rows[0], len(rows), channel)
        for row in rows:
            _check_width(sheet, row, header, signals)
            for column, well in signals:
                if sheet.cell(row, column) or _in_area(header, well):
                    time_s = _time(sheet, row, clocked.get(well, 0)) if header.is_kinetic else math.nan
                    yield Reading(header.plate, well, channel, time_s, *sheet.signal(row, column, well))


def _sets(sheet: Sheet, table: int, end: int) -> Iterator[list[int]]:
    """Rows of the raw reads of each wavelength; an empty line ends a set."""
    rows: list[int] = []
    for row in range(table + 1, end):
        if _is_reduced(sheet, row, table):
            break
        if not _is_separator(sheet, row):
            rows.append(row)
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def _check_width(sheet: Sheet, row: int, header: _Header, signals: list[tuple[int, str]]) -> None:
    """A line of a kinetic read goes on to the last well of the read area."""
    last = max((column for column, well in signals if _in_area(header, well)), default=0)
    if header.is_kinetic and len(sheet.rows[row]) <= last:
        well = next(well for column, well in signals if column >= len(sheet.rows[row]))
        raise FileError(
            f"{sheet.place(row)}: the line ends before well {well}, which this plate was read in. "
            "The export is cut off or was edited; export it again."
        )


def _groups(sheet: Sheet, table: int) -> list[list[tuple[int, str]]]:
    """Sheet columns and labels of the header line, in groups that an empty cell separates."""
    groups: list[list[tuple[int, str]]] = [[]]
    for column in range(2, len(sheet.rows[table])):
        label = sheet.cell(table, column)
        if label:
            groups[-1].append((column, label))
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _in_area(header: _Header, well: str) -> bool:
    row, column = row_column(well)
    return row in header.read_rows and column in header.read_columns


def _time(sheet: Sheet, row: int, column: int = 0) -> float:
    """Seconds of a read."""
    text = sheet.cell(row, column)
    seconds = clock(text)
    if seconds is None:
        raise FileError(
            f'{sheet.place(row)}: a kinetic read begins with its time, such as 00:01:30; found "{text}". '
            "Export the plate again."
        )
    return seconds


def _is_separator(sheet: Sheet, row: int) -> bool:
    return sheet.is_blank(row) and len(sheet.rows[row]) < 4


def _is_reduced(sheet: Sheet, row: int, table: int) -> bool:
    """The header of the reduced values repeats that of the raw ones, without time, temperature and wavelengths."""
    if sheet.cell(row, 0) or sheet.cell(row, 1):
        return False
    labels = [label for _, label in _groups(sheet, table)[0] if not label.endswith("T")]
    return [text for text in sheet.cells(row) if text] == labels
