"""FLIPR text exports (Molecular Devices ScreenWorks, ``.seq1``): a line per well, a column per read.

The settings stand as ``Name = value`` in the first cells of the lines, beside wells that
have nothing to do with them.  The line with ``Well`` holds the times of the reads in s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

from halfmax.errors import FileError
from halfmax.readers.cell import Reading, number
from halfmax.readers.sheet import Book, Sheet
from halfmax.wells import PLATE_SHAPES, row_column, well_names

__all__ = ["parse", "recognises"]

_SETTING = re.compile(r"\s*(\S[^=]*?)\s*=\s*(.*?)\s*")
_BARCODE = re.compile(r"<.*>|none|", re.IGNORECASE)
_SIZE = re.compile(r"(?<!\d)(96|384|1536)$")


def recognises(book: Book) -> bool:
    """A setting in the first cell, and a line of times behind the word Well."""
    sheet = book.first
    if book.is_workbook or not sheet.rows or not _SETTING.fullmatch(sheet.cell(0, 0)):
        return False
    at = _well_column(sheet)
    return at > 0 and number(sheet.cell(0, at + 1)) is not None


def parse(book: Book) -> list[Reading]:
    """Readings of all wells, in the order of the file."""
    sheet, at = book.first, _well_column(book.first)
    settings = _settings(sheet, at)
    times = _times(sheet, at)
    lines = {row: sheet.cell(row, at) for row in range(1, len(sheet.rows)) if sheet.cell(row, at)}
    wells = {row: sheet.well(row, text) for row, text in lines.items()}
    _check_wells(sheet, list(wells.values()), settings)
    barcode = settings.get("Read Plate Barcode", "")
    plate = book.stem if _BARCODE.fullmatch(barcode) else barcode
    channel = _channel(settings)
    return [reading for row, well in wells.items() for reading in _line(sheet, row, at, well, plate, channel, times)]


def _well_column(sheet: Sheet) -> int:
    """Column of the wells, 0 where the first line names none (the first cell is a setting)."""
    return next((column for column in range(1, 12) if sheet.cell(0, column).casefold() == "well"), 0)


def _settings(sheet: Sheet, at: int) -> dict[str, str]:
    """What the cells before the wells say, the first of two equal names."""
    found: dict[str, str] = {}
    for row in range(len(sheet.rows)):
        for column in range(at):
            if match := _SETTING.fullmatch(sheet.cell(row, column)):
                found.setdefault(match.group(1), match.group(2))
    return found


def _times(sheet: Sheet, at: int) -> list[float]:
    """Times of the reads, ascending."""
    texts = sheet.cells(0)[at + 1 :]
    times = [number(text, sheet.comma) for text in texts]
    strange = [text for text, time in zip(texts, times, strict=True) if time is None]
    if strange:
        raise FileError(
            f'{sheet.place(0)}: expected the time of each read in s behind the word Well, found "{strange[0]}". '
            "Export the plate again."
        )
    seconds = [float(time) for time in times if time is not None]
    for place, (before, after) in enumerate(pairwise(seconds)):
        if not (math.isfinite(after) and 0 <= before < after):
            raise FileError(
                f"{sheet.place(0)}: the times of the reads must ascend from 0 s, found {before:g} s and then {after:g} "
                f"s (reads {place + 1} and {place + 2}). Export the plate again."
            )
    return seconds


def _channel(settings: dict[str, str]) -> str:
    """Excitation and emission of the read mode, as SoftMax exports are labelled; empty where it is not said."""
    light = [
        settings.get(f"Read Mode 1 {kind} Wavelength", "").replace("_", "-") for kind in ("Excitation", "Emission")
    ]
    return "/".join(light) if all(light) else ""


def _check_wells(sheet: Sheet, wells: list[str], settings: dict[str, str]) -> None:
    """All wells of a plate, once each: a file that lost its last lines is not a smaller plate."""
    twice = [well for well in wells if wells.count(well) > 1]
    if twice:
        raise FileError(
            f"{sheet.file}: well {twice[0]} stands on {wells.count(twice[0])} lines. "
            "Export each plate and each read mode into a file of its own."
        )
    match = _SIZE.search(settings.get("Read Plate name", ""))
    declared = int(match.group(1)) if match else 0
    places = [row_column(well) for well in wells]
    sizes = [n for n, (rows, columns) in PLATE_SHAPES.items() if all(r < rows and c < columns for r, c in places)]
    size = declared or next((n for n in sizes if n >= 96), 96)
    expected = well_names(PLATE_SHAPES[size])
    strange = [well for well in wells if well not in expected]
    absent = [well for well in expected if well not in wells]
    if strange:
        raise FileError(
            f"{sheet.file}: the settings declare a plate of {size} wells, but a line holds well {strange[0]}. "
            "Correct the plate in the protocol, and export it again."
        )
    if absent:
        raise FileError(
            f"{sheet.place(sheet.last)}: a plate of {size} wells must have a line for each of them; found "
            f"{len(wells)}, the first missing is {absent[0]}. The export is cut off or a selection of wells; export "
            "the whole plate."
        )


def _line(
    sheet: Sheet, row: int, at: int, well: str, plate: str, channel: str, times: list[float]
) -> Iterator[Reading]:
    """Readings of one well; as many as there are times, or none at all."""
    found = sheet.cells(row)[at + 1 :]
    is_cut = sheet.is_open and sheet.is_cut(row, len(sheet.rows[0]))
    if is_cut or (found and len(found) != len(times)):
        raise FileError(
            f"{sheet.place(row)}, well {well}: {len(times)} reads have a time, but the line holds {len(found)}. "
            "The export is cut off or was edited; export it again."
        )
    for read, time_s in enumerate(times):
        yield Reading(plate, well, channel, time_s, *sheet.signal(row, at + 1 + read, well))
