"""Tecan exports: Magellan well lists, and i-control with its labelled sections (English or German).

i-control writes one section a label, each with its settings and then either a
grid with the corner ``<>``, or a kinetic table (``Cycle Nr.``, ``Time [s]``) with the
wells downwards or across, or, with several reads a well, the list or block whose
*Mean* is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from halfmax.errors import FileError
from halfmax.readers.cell import Reading, clock, number
from halfmax.readers.grid import Distinct, find_grids, plain_channel
from halfmax.readers.sheet import Book, Sheet

__all__ = ["parse_icontrol", "parse_magellan", "recognises_icontrol", "recognises_magellan"]

_APPLICATION = ("Application: Tecan i-control", "Programm: Tecan i-control", "Application: SparkControl")
_WELL = re.compile(r"[A-P]\d{1,2}|A[A-F]\d{1,2}")
_CYCLE = ("Cycle Nr", "Zyklus Nr")
_CYCLES = ("Cycles / Well", "Zyklen / Well")
_TIME = ("Time", "Zeit")
_MEAN = ("Mean", "Mittelwert")
_LABEL = ("Label:", "Beschriftung:")


@dataclass
class _Settings:
    """What a label's section says of its read."""

    mode: str = ""
    wavelength: str = ""


@dataclass
class _Section:
    """One i-control sheet: the settings of each label, and the channels already given."""

    sheet: Sheet
    plate: str
    settings: dict[str, _Settings] = field(default_factory=dict)
    distinct: Distinct = field(default_factory=Distinct)

    def channel(self, label: str) -> str:
        """Wavelength of an absorbance label, else the label."""
        known = self.settings.get(label, _Settings())
        if known.wavelength and (not known.mode or known.mode.casefold().startswith("abs")):
            return self.distinct(known.wavelength)
        return self.distinct(plain_channel(label))


def recognises_icontrol(book: Book) -> bool:
    """A sheet begins with the application's name."""
    return any(_has_application(sheet) for sheet in book.sheets)


def _has_application(sheet: Sheet) -> bool:
    return any(sheet.cell(row, 0).startswith(_APPLICATION) for row in range(min(len(sheet.rows), 3)))


def parse_icontrol(book: Book) -> list[Reading]:
    """Readings of every sheet that is an export; several sheets are several plates."""
    sheets = [sheet for sheet in book.sheets if _has_application(sheet)]
    names = Distinct()
    readings: list[Reading] = []
    for sheet in sheets:
        section = _Section(sheet, names(_plate_name(sheet) or (sheet.name if len(sheets) > 1 else book.stem)))
        _read_settings(section)
        found = list(_tables(section))
        if not found:
            raise FileError(
                f"{sheet.place(sheet.last)}: an i-control export without a plate: expected a grid with the corner <>, "
                "or a table of cycles. The run was stopped or the export cut off; export it again."
            )
        readings.extend(found)
    return readings


def _plate_name(sheet: Sheet) -> str:
    """Plate identifier of the stacker, where the file has one."""
    for row in range(len(sheet.rows)):
        cells = [text for text in sheet.cells(row) if text]
        if len(cells) > 1 and cells[0].startswith(("Plate-ID", "Platten-ID")):
            return cells[1]
    return ""


def _read_settings(section: _Section) -> None:
    """Mode and wavelength of each label."""
    label = ""
    for row in range(len(section.sheet.rows)):
        cells = [text for text in section.sheet.cells(row) if text]
        if not cells:
            continue
        if cells[0].startswith(_LABEL):
            label = cells[0].partition(":")[2].strip()
        settings = section.settings.setdefault(label, _Settings())
        if len(cells) > 1 and cells[0] in ("Mode", "Modus"):
            settings.mode = cells[1]
        elif len(cells) > 1 and cells[0] in ("Measurement Wavelength", "Wavelength", "Wellenlänge", "Messwellenlänge"):
            settings.wavelength = cells[1].removesuffix(".0")


def _tables(section: _Section) -> Iterator[Reading]:
    """All tables of a sheet, each under the label above it."""
    sheet, label = section.sheet, ""
    grids = {grid.head: grid for grid in find_grids(sheet)}
    row, channel = 0, ""
    of: str | None = None
    while row < len(sheet.rows):
        cells = sheet.cells(row)
        first = cells[0] if cells else ""
        if first.startswith(_LABEL):
            label = first.partition(":")[2].strip()
        elif len(cells) == 1 and _opens_table(sheet, row + 1):
            label = first
        if row in grids:
            grids[row].check_complete(some_rows=True)
            yield from grids[row].readings(section.plate, section.channel(label))
            row = grids[row].last
        elif first.startswith(_CYCLE):
            table = _cycles_down if any(_WELL.fullmatch(text) for text in cells[1:]) else _cycles_across
            yield from table(section, row, section.channel(label))
        elif first.startswith(_CYCLES):
            if label != of:
                of, channel = label, section.channel(label)
            yield from _cycles_of_well(section, row + 1, channel)
        elif first == "Well" and len(cells) > 1 and cells[1] in _MEAN:
            yield from _means(section, row, section.channel(label))
        row += 1


def _opens_table(sheet: Sheet, row: int) -> bool:
    return sheet.cell(row, 0).startswith((*_CYCLE, "<>"))


def _cycles_across(section: _Section, head: int, channel: str) -> Iterator[Reading]:
    """Cycles side by side: a line of times, a line of temperatures, a line per well."""
    sheet, times = section.sheet, list[tuple[int, float]]()
    width = len(sheet.cells(head))
    for row in range(head + 1, len(sheet.rows)):
        first = sheet.cell(row, 0)
        if not first or (not _WELL.fullmatch(first) and times and not first.startswith("Temp")):
            break
        if first.startswith(_TIME):
            times = [(column, _seconds(sheet, row, column)) for column in range(1, width) if sheet.cell(row, column)]
        elif _WELL.fullmatch(first):
            well = sheet.well(row, first)
            for column, time_s in times:
                yield Reading(section.plate, well, channel, time_s, *sheet.signal(row, column, well))


def _cycles_down(section: _Section, head: int, channel: str) -> Iterator[Reading]:
    """Cycles one below the other: number, time and temperature, then the wells."""
    sheet = section.sheet
    labels = sheet.cells(head)
    at = next((column for column, text in enumerate(labels) if text.startswith(_TIME)), None)
    if at is None:
        raise FileError(f'{sheet.place(head)}: expected a column "Time [s]" beside the cycles. Export the times, too.')
    wells = [(column, sheet.well(head, text)) for column, text in enumerate(labels) if _WELL.fullmatch(text)]
    for row in range(head + 1, len(sheet.rows)):
        if number(sheet.cell(row, 0)) is None:
            break
        time_s = _seconds(sheet, row, at)
        if sheet.is_cut(row, wells[-1][0] + 1):
            raise FileError(f"{sheet.place(row)}: the line ends before well {wells[-1][1]}: the export is cut off.")
        for column, well in wells:
            yield Reading(section.plate, well, channel, time_s, *sheet.signal(row, column, well))


def _cycles_of_well(section: _Section, head: int, channel: str) -> Iterator[Reading]:
    """Block of one well that was read at several places: its mean at each cycle."""
    sheet = section.sheet
    well = sheet.well(head, sheet.cell(head, 0))
    times: list[tuple[int, float]] = []
    for row in range(head + 1, len(sheet.rows)):
        first = sheet.cell(row, 0)
        if not first or first.startswith(_CYCLES):
            break
        if first.startswith(_TIME):
            columns = range(1, len(sheet.cells(head)))
            times = [(column, _seconds(sheet, row, column)) for column in columns if sheet.cell(row, column)]
        elif first in _MEAN:
            for column, time_s in times:
                yield Reading(section.plate, well, channel, time_s, *sheet.signal(row, column, well))


def _means(section: _Section, head: int, channel: str) -> Iterator[Reading]:
    """List of wells that were read at several places: their means."""
    sheet = section.sheet
    for row in range(head + 1, len(sheet.rows)):
        if not _WELL.fullmatch(sheet.cell(row, 0)):
            break
        well = sheet.well(row, sheet.cell(row, 0))
        yield Reading(section.plate, well, channel, math.nan, *sheet.signal(row, 1, well))


def _seconds(sheet: Sheet, row: int, column: int) -> float:
    """Time of a cycle; i-control and Magellan give seconds, some exports milliseconds and say so."""
    seconds = clock(sheet.cell(row, column))
    if seconds is None:
        raise FileError(f'{sheet.place(row)}: expected a time in seconds, found "{sheet.cell(row, column)}".')
    return seconds / 1000.0 if "[ms]" in sheet.cell(row, 0) else seconds


def recognises_magellan(book: Book) -> bool:
    """A column of well positions, as Magellan names it."""
    return any("Well positions" in cells for sheet in book.sheets for cells in [_first_cells(sheet)])


def _first_cells(sheet: Sheet) -> list[str]:
    return sheet.cells(0) if sheet.rows else []


def parse_magellan(book: Book) -> list[Reading]:
    """Readings of the list: a line per well, a column per read."""
    sheet = next(sheet for sheet in book.sheets if "Well positions" in _first_cells(sheet))
    labels = sheet.cells(0)
    at = labels.index("Well positions")
    plate_at = labels.index("Plate") if "Plate" in labels else -1
    lines = [row for row in range(1, len(sheet.rows)) if _WELL.fullmatch(sheet.cell(row, at))]
    _check_lines(sheet, lines, at)
    plates = _plates_of(sheet, lines, plate_at, book.stem)
    skipped = {"Well positions", "Plate", "Layout", "Replicate Info", "Dilution", "Concentration", "Sample IDs"}
    columns = [column for column, label in enumerate(labels) if label and label not in skipped]
    times = {column: _list_time(sheet, column, lines[0]) for column in columns}
    channels = _list_channels(sheet, [labels[column] for column in columns], lines[-1])
    return [
        Reading(plate, well, channel, times[column], *sheet.signal(row, column, well))
        for column, channel in zip(columns, channels, strict=True)
        for row, plate in zip(lines, plates, strict=True)
        for well in [sheet.well(row, sheet.cell(row, at))]
    ]


def _check_lines(sheet: Sheet, lines: list[int], at: int) -> None:
    """Every well once, and nothing between the wells that is none."""
    if not lines:
        raise FileError(f"{sheet.place(0)}: the column of well positions names no well. Export the list again.")
    seen: dict[tuple[str, str], int] = {}
    for row in range(lines[0], lines[-1] + 1):
        text = sheet.cell(row, at)
        if row not in lines and text:
            raise FileError(f'{sheet.place(row)}: expected a well such as A1, found "{text}".')
    for row in lines:
        key = (sheet.cell(row, at), "|".join(sheet.cells(row)[at + 1 :]))
        if key in seen:
            raise FileError(
                f"{sheet.place(row)}: well {key[0]} stands in this list twice (also in row {seen[key] + 1}). Keep one."
            )
        seen[key] = row


def _plates_of(sheet: Sheet, lines: list[int], at: int, stem: str) -> list[str]:
    """Plate of each line; Magellan may leave the name out after the first ones."""
    names = list(dict.fromkeys(sheet.cell(row, at) for row in lines if at >= 0 and sheet.cell(row, at)))
    if len(names) < 2:
        return [names[0] if names else stem] * len(lines)
    return [sheet.cell(row, at) or stem for row in lines]


def _list_time(sheet: Sheet, column: int, first: int) -> float:
    """Seconds that stand between the header and the wells, NaN where none do."""
    for row in range(1, first):
        match = re.fullmatch(r"([\d.]+)\s*s", sheet.cell(row, column))
        if match:
            return float(match.group(1))
    return math.nan


def _list_channels(sheet: Sheet, labels: list[str], last: int) -> list[str]:
    """Wavelengths that the lines below the list give, where there is one for each column or one for all."""
    text = [sheet.cell(row, 0) for row in range(last + 1, len(sheet.rows))]
    found = [match.group(1) for line in text if (match := re.match(r"Measurement wavelength:\s*([\d.]+)", line))]
    absorbing = any("Absorbance" in line for line in text)
    if absorbing and len(set(found)) == 1 and len(set(labels)) == 1:
        return found[:1] * len(labels)
    distinct = Distinct()
    if absorbing and len(found) == len(labels):
        return [distinct(wavelength) for wavelength in found]
    return [distinct(plain_channel(label)) for label in labels]
