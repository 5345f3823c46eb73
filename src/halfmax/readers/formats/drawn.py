"""Formats that draw the plate under a heading: BMG MARS, EnVision and Kaleido (Revvity), SkanIt (Thermo).

In each of them the same file holds grids that are no signals (plate maps, sample
names, calculated results); the heading tells them apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from halfmax.errors import FileError
from halfmax.readers.cell import Reading, clock
from halfmax.readers.grid import Distinct, Grid, find_grids, heading, plain_channel
from halfmax.readers.sheet import Book, Sheet

__all__ = [
    "parse_envision",
    "parse_kaleido",
    "parse_mars",
    "parse_skanit",
    "recognises_envision",
    "recognises_kaleido",
    "recognises_mars",
    "recognises_skanit",
]

_RAW_DATA = re.compile(r"(?:Raw Data|Rohdaten)\s*(?:\((.*)\))?", re.IGNORECASE)
_MULTICHROMATIC = re.compile(r"(\d{3,4})(?: \d{1,2})?")
_ENVISION = re.compile(r"Results for (.+) - (?:channel \d+)?\s*\((.*)\)")
_ONE_WAVELENGTH = re.compile(r"\D*(\d{3})\D*(?:\(\d+\))?")
_STEP = re.compile(r"Wavelength:\s*([\d.]+)\s*nm", re.IGNORECASE)


def recognises_mars(book: Book) -> bool:
    """A user and a path in the first line, or the headings of a MARS table."""
    sheet = book.first
    head = [" ".join(cells) for cells in book.head(4)]
    named = any(line.startswith(("User:", "Benutzer:")) and "Path:" in line for line in head)
    return named and any(_RAW_DATA.match(text) for row in sheet.rows for text in row)


def parse_mars(book: Book) -> list[Reading]:
    """Grids under ``Raw Data (…)``, or the table with a line per well."""
    sheet = book.first
    plate = _mars_plate(sheet) or book.stem
    channels = Distinct()
    readings: list[Reading] = []
    for row in range(len(sheet.rows)):
        cells = sheet.cells(row)
        if cells[:2] == ["Well Row", "Well Col"] or cells[:2] == ["Well", "Content"]:
            readings.extend(_mars_table(sheet, row, plate))
    for grid in find_grids(sheet):
        match = _RAW_DATA.fullmatch(heading(sheet, grid.head)[0])
        if match:
            grid.check_complete()
            readings.extend(grid.readings(plate, channels(_mars_channel(match.group(1) or ""))))
    if not readings:
        raise FileError(
            f"{book.file}: a BMG MARS export without readings under Raw Data. The export is cut off, or holds only "
            "calculated values; export the raw data."
        )
    return readings


def _mars_plate(sheet: Sheet) -> str:
    """The first identifier that the head names (ID1, then ID2, ID3)."""
    for row in range(min(len(sheet.rows), 12)):
        for text in sheet.cells(row):
            match = re.fullmatch(r"ID\d:\s*(\S.*)", text)
            if match:
                return match.group(1).strip()
    return ""


def _mars_channel(label: str) -> str:
    """``450 1`` is the first wavelength, 450 nm; filters and fluorescence pairs stay as they are."""
    match = _MULTICHROMATIC.fullmatch(label.strip())
    return match.group(1) if match else label.strip()


def _mars_table(sheet: Sheet, head: int, plate: str) -> Iterator[Reading]:
    """A line per well; a line of times below the header makes it kinetic."""
    labels = [text.strip() for text in sheet.rows[head]]
    split = labels[0] == "Well Row"
    columns = [column for column, label in enumerate(labels) if _RAW_DATA.fullmatch(label)]
    times: dict[int, float] = {}
    distinct = Distinct()
    names: dict[int, str] = {}
    rows = [row for row in range(head + 1, len(sheet.rows)) if not sheet.is_blank(row)]
    if rows and not sheet.cell(rows[0], 0):
        found = {column: clock(sheet.cell(rows[0], column)) for column in columns}
        times = {column: seconds for column, seconds in found.items() if seconds is not None}
        rows = rows[1:]
    for column in columns:
        match = _RAW_DATA.fullmatch(labels[column])
        label = _mars_channel((match.group(1) if match else "") or "")
        names[column] = distinct(label, times.get(column))
    for row in rows:
        well = sheet.well(row, sheet.cell(row, 0) + (sheet.cell(row, 1) if split else ""))
        for column in columns:
            yield Reading(plate, well, names[column], times.get(column, math.nan), *sheet.signal(row, column, well))


def recognises_envision(book: Book) -> bool:
    """The first line opens the plate information, the second says Plate, Repeat, Barcode."""
    head = list(book.head(2))
    return len(head) == 2 and head[0][0] == "Plate information" and head[1][:2] == ["Plate", "Repeat"]


def parse_envision(book: Book) -> list[Reading]:
    """Grids under ``Results for …``; calculated results and plate maps are left out."""
    sheet = book.first
    channels = Distinct()
    readings: list[Reading] = []
    for grid in find_grids(sheet):
        match = _ENVISION.fullmatch(heading(sheet, grid.head)[0])
        if match is None:
            continue
        grid.check_complete(some_rows=True)
        plate = _envision_plate(sheet, grid.head)
        label = match.group(1).strip()
        one = _ONE_WAVELENGTH.fullmatch(label) if match.group(2).strip() == "A" else None
        channel = channels(one.group(1) if one else label, plate)
        readings.extend(grid.readings(plate, channel))
    if not readings:
        raise FileError(
            f'{book.file}: an EnVision export without a plate under "Results for …". The export is cut off, or holds '
            "only calculated results; export the raw results."
        )
    return readings


def _envision_plate(sheet: Sheet, head: int) -> str:
    """Barcode of the plate information above, else its number."""
    for row in range(head - 1, 0, -1):
        cells = sheet.cells(row - 1)
        if cells[:2] == ["Plate", "Repeat"]:
            at = cells.index("Barcode") if "Barcode" in cells else -1
            barcode = sheet.cell(row, at).removeprefix("=").strip('"') if at > 0 else ""
            return barcode or f"Plate {sheet.cell(row, 0)}"
    return "Plate 1"


def recognises_kaleido(book: Book) -> bool:
    """Results for a measurement, and the barcode line below."""
    head = [cells[0].replace("\xa0", " ") for cells in book.head(3)]
    return len(head) > 1 and head[0].startswith("Results for") and head[1].startswith("Barcode:")


def parse_kaleido(book: Book) -> list[Reading]:
    """Grids between the results' heading and the analysis or the measurement's information."""
    sheet = book.first
    texts = [sheet.cell(row, 0).replace("\xa0", " ") for row in range(len(sheet.rows))]
    stop = next(
        (row for row, text in enumerate(texts) if text.startswith(("Analysis Result", "Measurement B"))), len(texts)
    )
    if not any(text.startswith("Exported with") for text in texts):
        raise FileError(
            f'{sheet.place(sheet.last)}: a Kaleido export ends with a line "Exported with Kaleido"; found none. '
            "The export is cut off; export it again."
        )
    channels = Distinct()
    readings: list[Reading] = []
    for grid in find_grids(sheet, range(stop)):
        grid.check_complete(some_rows=True)
        plate, label = book.stem, ""
        for row in range(grid.head - 1, -1, -1):
            if texts[row].startswith("Barcode:") and plate == book.stem:
                plate = texts[row].removeprefix("Barcode:").strip().strip(",").strip() or plate
            if texts[row].startswith("Results for"):
                label = texts[row].removeprefix("Results for").strip()
                break
        channel = channels(_kaleido_channel(sheet, label), plate)
        readings.extend(grid.readings(plate, channel))
    if not readings:
        raise FileError(f"{book.file}: a Kaleido export without a plate below its heading. Export it again.")
    return readings


def _kaleido_channel(sheet: Sheet, label: str) -> str:
    """Wavelength that the file's measurement section gives an absorbance read, else its label."""
    if not label.casefold().startswith("abs"):
        return label
    inside = False
    for row in range(len(sheet.rows)):
        texts = [text.replace("\xa0", " ") for text in sheet.cells(row) if text]
        if len(texts) == 2 and texts[0] == "Tech":
            inside = texts[1] == label
        elif inside and len(texts) == 2 and texts[0].startswith("Excitation wavelength"):
            return plain_channel(texts[1])
    return label


def recognises_skanit(book: Book) -> bool:
    """A workbook with a sheet of measurement results."""
    return book.is_workbook and any(sheet.rows and sheet.cell(0, 0) == "Measurement results" for sheet in book.sheets)


def parse_skanit(book: Book) -> list[Reading]:
    """Grids of the sheets of measurement results; those of the samples' names are left out."""
    channels = Distinct()
    readings: list[Reading] = []
    for sheet in book.sheets:
        if sheet.cell(0, 0) != "Measurement results":
            continue
        for grid in find_grids(sheet):
            if grid.corner.casefold() in ("", "sample", "samples", "group", "concentration", "dilution"):
                continue
            grid.check_complete()
            plate, channel = _skanit_names(grid)
            channel = channels(channel, plate or book.stem)
            readings.extend(grid.readings(plate or book.stem, channel))
    if not readings:
        raise FileError(f"{book.file}: a SkanIt workbook without a plate of measured values. Export the results again.")
    return readings


def _skanit_names(grid: Grid) -> tuple[str, str]:
    """Plate and channel from the lines above a grid: its plate, its wavelength, else the step."""
    sheet, plate, wavelength = grid.sheet, "", ""
    for row in range(grid.head - 1, 3, -1):
        text = sheet.cell(row, 0)
        step = _STEP.fullmatch(text)
        if not plate and text and not step:
            plate = text
        elif step:
            wavelength = step.group(1).removesuffix(".0")
            break
        elif text and sheet.cell(row, 1):
            break
    step_name = sheet.cell(4, 0)
    return plate, wavelength if wavelength.strip("0") else step_name
