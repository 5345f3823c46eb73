"""What people write themselves: a table with a line per well, and plates drawn as bare grids.

Also the lists that look like plates and are none: what a liquid handler
transferred is no reading, and is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from halfmax import units
from halfmax.errors import FileError, RangeError
from halfmax.readers.cell import Reading, clock, number, signal
from halfmax.readers.column import NAMES, folded, header_row, well_columns
from halfmax.readers.grid import ROWS_OF, Distinct, Grid, find_grids, plain_channel, row_number
from halfmax.readers.sheet import Book, Sheet
from halfmax.table import FLAGS

__all__ = ["parse_grid", "parse_tidy", "recognises_grid", "recognises_tidy", "refuse_transfers"]

_NAMELESS = ("signal", "value", "reading", "raw", "raw data", "measurement", "intensity", "data")
_SIGNAL = re.compile(
    r"(?:signal|value|reading|raw|raw data|measurement|intensity|data|od|abs|absorbance|a|optical density|fluorescence"
    r"|fluo|luminescence|lum|rfu|rlu|cps|cpm|dpm|counts?)(?: ?(?P<wavelength>\d{3,4}))?(?: ?nm)?"
)
_TIME = re.compile(r"(?:elapsed )?time(?: (?P<unit>[a-z]+))?")
_COLUMNS = {
    **{name: NAMES[name] for name in ("plate", "replicate", "experiment")},
    "channel": ("channel", "wavelength", "wavelength nm", "label"),
    "flag": ("flag",),
}
_WAVELENGTH_TITLE = re.compile(r"(?:OD|Abs(?:orbance)?|A)?[ :_]*(\d{3})\s*(?:nm)?", re.IGNORECASE)


# A line per well


@dataclass(frozen=True)
class _Tidy:
    """Where the columns of a table of wells stand."""

    sheet: Sheet
    head: int
    well: tuple[int, ...]
    signals: tuple[tuple[int, str], ...]
    time: int
    factor: float
    others: dict[str, int]

    def other(self, row: int, name: str) -> str:
        """Text of an optional column."""
        return self.sheet.cell(row, self.others[name]) if name in self.others else ""


def recognises_tidy(book: Book) -> bool:
    """The first line names a column of wells."""
    sheet = book.first
    head = header_row(sheet)
    return len(sheet.cells(head)) > 1 and bool(well_columns(sheet, head))


def parse_tidy(book: Book) -> list[Reading]:
    """Readings of a table with a line per well, or per well and time or channel."""
    tidy = _tidy(book.first)
    sheet = tidy.sheet
    seen: dict[object, int] = {}
    readings: list[Reading] = []
    for row in range(tidy.head + 1, len(sheet.rows)):
        if sheet.is_blank(row):
            continue
        for reading in _tidy_row(tidy, row, book.stem):
            if reading.place in seen:
                raise FileError(
                    f"{sheet.place(row)}: well {reading.well} of plate {reading.plate} stands in this table twice "
                    f"(also in row {seen[reading.place] + 1}). Keep one, or give the two a plate, channel or time of "
                    "their own."
                )
            seen[reading.place] = row
            readings.append(reading)
    if not readings:
        raise FileError(f"{book.file}: expected a line per well below the header, found none. Export it again.")
    return readings


def _tidy(sheet: Sheet) -> _Tidy:
    """Columns of a table of wells, from its header."""
    head = header_row(sheet)
    titles = sheet.cells(head)
    names = [folded(text) for text in titles]
    signals = []
    for column, name in enumerate(names):
        if match := _SIGNAL.fullmatch(name):
            label = "" if name in _NAMELESS else titles[column]
            signals.append((column, match.group("wavelength") or label))
    if not signals:
        raise FileError(
            f"{sheet.place(head)}: a table of wells, but no column is named as a signal (signal, value, OD, "
            f"absorbance, OD570, RFU …); found {', '.join(titles[:8])}. Rename that column to signal. "
            "If this is a plate layout, give it as one."
        )
    others = {key: names.index(name) for key, known in _COLUMNS.items() for name in known[::-1] if name in names}
    time, factor = _time_column(sheet, head, names)
    return _Tidy(sheet, head, well_columns(sheet, head), tuple(signals), time, factor, others)


def _time_column(sheet: Sheet, head: int, names: list[str]) -> tuple[int, float]:
    """Column of the times (-1 if there is none) and the factor that takes them to seconds."""
    for column, name in enumerate(names):
        match = _TIME.fullmatch(name)
        if match is None:
            continue
        unit = match.group("unit")
        if unit is None:
            rows = range(head + 1, len(sheet.rows))
            if all(":" in sheet.cell(row, column) for row in rows if not sheet.is_blank(row)):
                return column, 1.0
            raise FileError(
                f'{sheet.place(head)}: the column "{sheet.cell(head, column)}" has no unit. Name it time_h, '
                "time_min or time_s."
            )
        try:
            return column, units.duration(1.0, unit=unit)
        except RangeError as error:
            raise FileError(f"{sheet.place(head)}: {error} Name the column time_h, time_min or time_s.") from error
    return -1, 1.0


def _tidy_row(tidy: _Tidy, row: int, stem: str) -> Iterator[Reading]:
    """Readings of one line, one a signal column."""
    sheet = tidy.sheet
    well = sheet.well(row, "".join(sheet.cell(row, column) for column in tidy.well))
    time_s = math.nan
    if tidy.time >= 0:
        shown = sheet.cell(row, tidy.time)
        seconds = clock(shown) if ":" in shown else number(shown, sheet.comma)
        if seconds is None or seconds < 0:
            raise FileError(f'{sheet.place(row)}, well {well}: expected a time ≥ 0, found "{shown}". Correct the cell.')
        time_s = seconds * (1.0 if ":" in shown else tidy.factor)
    given = tidy.other(row, "flag")
    if given and given not in FLAGS:
        raise FileError(
            f'{sheet.place(row)}, well {well}: unknown flag "{given}". Known: {", ".join(FLAGS)}. Correct the cell.'
        )
    own = plain_channel(tidy.other(row, "channel"))
    for column, label in tidy.signals:
        value, flag = sheet.signal(row, column, well)
        channel = " ".join(part for part in (own, label) if part) if len(tidy.signals) > 1 else own or label
        yield Reading(
            tidy.other(row, "plate") or stem,
            well,
            channel,
            time_s,
            value,
            given or flag,
            tidy.other(row, "replicate"),
            tidy.other(row, "experiment"),
        )


# Drawn plates


def recognises_grid(book: Book) -> bool:
    """A drawn plate, or a block of numbers with a side of one."""
    return any(find_grids(sheet) or _blocks(sheet) for sheet in book.sheets)


def parse_grid(book: Book) -> list[Reading]:
    """Readings of all drawn plates; a grid that holds nothing but names is a layout, and is left out."""
    drawn = [(sheet, grids) for sheet in book.sheets if (grids := _all_grids(sheet))]
    signals = [(sheet, [grid for grid in grids if _has_numbers(grid)]) for sheet, grids in drawn]
    signals = [(sheet, grids) for sheet, grids in signals if grids]
    if not signals:
        raise FileError(
            f"{book.file}: a drawn plate without a single number; this is a layout, not a reading. Give it as the "
            "layout, and here the reader's export."
        )
    plates = Distinct()
    readings: list[Reading] = []
    for sheet, grids in signals:
        readings.extend(_sheet_readings(sheet, grids, sheet.name if len(signals) > 1 else book.stem, plates))
    return readings


def _sheet_readings(sheet: Sheet, grids: list[Grid], base: str, plates: Distinct) -> Iterator[Reading]:
    """Readings of one sheet's grids: a title names the plate, a title that is a wavelength the channel."""
    plate, channels, free = "", Distinct(), 0
    for grid in grids:
        grid.check_complete()
        titles = _titles(sheet, grid.head, free)
        wavelengths = [match.group(1) for title in titles if (match := _WAVELENGTH_TITLE.fullmatch(title))]
        names = [title for title in titles if not _WAVELENGTH_TITLE.fullmatch(title)]
        if names or not plate or not wavelengths:
            plate, channels = plates(names[0] if names else base), Distinct()
        channel = channels(wavelengths[0]) if wavelengths else ""
        yield from grid.readings(plate, channel)
        free = grid.last + 1


def _titles(sheet: Sheet, head: int, free: int) -> list[str]:
    """Lone texts directly above a grid, the nearest first, at most two."""
    titles: list[str] = []
    for row in range(head - 1, free - 1, -1):
        texts = [text for text in sheet.cells(row) if text]
        if len(texts) > 1 or len(titles) == 2:
            break
        if texts and not texts[0].startswith("#"):
            titles.append(texts[0].rstrip(":").strip())
    return titles


def _has_numbers(grid: Grid) -> bool:
    return any(number(grid.sheet.cell(row, column), "decimal") is not None for _, row, column in grid.wells())


def _all_grids(sheet: Sheet) -> list[Grid]:
    """Labelled grids of a sheet, else its bare blocks of numbers."""
    return find_grids(sheet) or [_bare(sheet, start, stop) for start, stop in _blocks(sheet)]


def _blocks(sheet: Sheet) -> list[tuple[int, int]]:
    """Runs of lines that hold nothing but readings, with a side that a plate has."""
    blocks, start = [], 0
    for row in range(len(sheet.rows) + 1):
        if row < len(sheet.rows) and _is_values(sheet, row):
            continue
        height = row - start
        width = max((len(sheet.cells(line)) for line in range(start, row)), default=0)
        sized = 3 < height < 34 and 3 < width < 50
        lettered = sized and all(row_number(sheet.cell(line, 0)) is not None for line in range(start, row))
        if sized and (lettered or width in (12, 24, 48) or height in (8, 16, 32)):
            blocks.append((start, row))
        start = row + 1
    return blocks


def _is_values(sheet: Sheet, row: int) -> bool:
    """Whether all cells of a line are readings, but for a row letter before them."""
    cells = sheet.cells(row)
    if cells and row_number(cells[0]) is not None:
        cells = cells[1:]
    numbers = sum(number(text, "decimal") is not None for text in cells)
    filled = sum(bool(text) for text in cells)
    return (numbers > 0 or filled > 3) and all(
        number(text, "decimal") is not None or signal(text) is not None for text in cells
    )


def _bare(sheet: Sheet, start: int, stop: int) -> Grid:
    """Block of readings as a grid: by its letters or numbers where it has them, else by its shape."""
    lettered = all(row_number(sheet.cell(row, 0)) is not None for row in range(start, stop))
    first = 1 if lettered else 0
    whole = ROWS_OF.get(max(len(sheet.rows[row]) for row in range(start, stop)) - first)
    while whole != stop - start and not any(sheet.cell(row, first) for row in range(start, stop)):
        first += 1
    width = max(len(sheet.cells(row)) for row in range(start, stop)) - first
    stored = max(len(sheet.rows[row]) for row in range(start, stop)) - first
    numbered = [sheet.cell(start, first + column) for column in range(width)] == [str(n + 1) for n in range(width)]
    top = start + 1 if numbered and stop - start - 1 == ROWS_OF.get(width) else start
    height = stop - top
    if height == ROWS_OF.get(stored):
        width = stored
    if height != ROWS_OF.get(width) or (width < 12 and not lettered and top == start):
        raise FileError(
            f"{sheet.place(start)}: a block of {height} × {width} numbers; a plate without letters and numbers must "
            "have 8 × 12, 16 × 24 or 32 × 48. The file is cut off, or the block has lost a row or a column; export it "
            "again, or write the column numbers above and the row letters beside it."
        )
    letters = [row_number(sheet.cell(row, 0)) if lettered else row - top for row in range(top, stop)]
    lines = tuple((letter or 0, row) for letter, row in zip(letters, range(top, stop), strict=True))
    return Grid(sheet, top, first, tuple(range(width)), lines, "")


# Not plates


def refuse_transfers(book: Book) -> None:
    """Refuse the list of a liquid handler, saying what it is.

    Raises
    ------
    FileError
        If a line names source and destination wells, or steps of aspirating and dispensing.
    """
    for sheet in book.sheets:
        for row in range(min(len(sheet.rows), 200)):
            names = {folded(text) for text in sheet.cells(row)}
            joined = "|".join(sorted(names))
            pairs = re.search(r"(?:source|src)[a-z ]*well", joined) and re.search(r"dest[a-z ]*well", joined)
            steps = {"transfer step", "labware name"} <= names or {"aspirate", "dispense"} <= names
            if pairs or steps or ("transfer volume" in names and len(names) > 3):
                shown = ", ".join(text for text in sheet.cells(row) if text)
                raise FileError(
                    f"{sheet.place(row)}: a liquid-handling transfer list, not a reading ({shown[:90]}…): it tells "
                    "what was pipetted, not what was measured. Give the plate reader's export here."
                )
