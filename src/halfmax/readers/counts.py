"""Counts of radioactivity, one tube or well a line, from the files that counters and people write.

A file is taken apart into *records*: what one line (or one block of a Hidex file)
says of one tube, by field, with the place where it stands.  What `read_counts`
promises: the counter's own number for every tube, or NaN with the flag that says why
(never 0 for a missing one), and no tube twice without a time that tells the two apart.

The layouts are those of QuantaSmart (Tri-Carb), of the serial output of older Packard
counters, of gamma counters (Wizard), of the Hidex 300 SL, and of tables and drawn
plates that people write themselves.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from halfmax import units
from halfmax.errors import FileError, RangeError
from halfmax.readers.cell import Reading, clock, number, signal
from halfmax.readers.column import folded
from halfmax.readers.formats import plain
from halfmax.readers.plate import table_of
from halfmax.readers.sheet import Book, Sheet, open_file, text_sheet
from halfmax.table import AssayTable, Source
from halfmax.wells import parse_well

__all__ = ["CHANNELS", "read_counts"]

#: What a tube can be read for: the channels of the table.
CHANNELS = {
    "cpm": "counts per minute",
    "dpm": "disintegrations per minute, where the counter computed them from its quench curve",
    "minutes": "counting time",
    "error_percent": "two standard deviations of the count, in percent (2S%)",
    "quench": "the counter's quench number (tSIE, SIS, SQP, H#, TDCR)",
}

_WANTED = "a file of counts (text or workbook)"
#: Words for each field, as `folded` gives them, the one that wins first.
_FIELDS: dict[str, tuple[str, ...]] = {
    "position": (
        "tube", "tube no", "well", "wname", "s", "sample", "sample no", "sample number", "sam no", "samp", "vial",
        "vial no", "pos", "position", "no",
    ),
    "rack": ("rack", "rack no", "plate", "plate no", "plate name", "barcode"),
    "cpm": ("cpm", "cpma", "cpm1", "cpm 1", "ccpm", "ccpm1", "ccpm 1"),
    "dpm": ("dpm", "dpma", "dpm1", "dpm 1"),
    "counts": ("counts", "countsa", "counts1", "counts 1"),
    "error": ("a 2s", "2s", "2 sigma", "a 2 sigma"),
    "quench": ("tsie", "tsie aec", "sis", "sqp e", "sqp", "h", "tdcr"),
    "message": ("messages", "message", "flag", "info", "status"),
    "elapsed": ("eltime", "elapsed time", "elapsed", "endtime", "end time", "measurement date time"),
}  # fmt: skip
_NUCLIDE = re.compile(r"([a-z]{1,2} ?\d{1,3}|\d{1,3} ?[a-z]{1,2}) (cpm|dpm|counts|info)")
_NUCLIDE_FIELDS = {"cpm": "cpm", "dpm": "dpm", "counts": "counts", "info": "message"}
_TIME = re.compile(r"(?:count(?:ing)? )?(?:time|ctime)(?: (min|minutes|s|sec|seconds|h))?")
_BAD = (
    ("saturated", re.compile(r"saturat|overflow|overload|too (?:high|hot)|dead ?time", re.IGNORECASE)),
    ("missed", re.compile(r"missing|no (?:vial|tube|sample)|not counted|abort|skipped", re.IGNORECASE)),
)
_MISSING_VIAL = re.compile(r"missing (?:vial|tube|sample)\D*(\d+)", re.IGNORECASE)
_SUMMARY = ("mean", "average", "avg", "sd", "std", "cv", "median")
_RATE = ("counts", "cpm", "time")
_DATES = ("%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M:%S")


@dataclass(frozen=True)
class _Record:
    """What a file says of one tube: texts by field, and the line where it stands."""

    sheet: Sheet
    row: int
    texts: Mapping[str, str]
    minutes_per: float

    @property
    def vessel(self) -> tuple[str, str]:
        """Plate and well; a tube is a vessel of its own, and stands where the plate would."""
        text, rack = self.texts["position"], self.texts.get("rack", "")
        try:
            return rack or Path(self.sheet.file).stem, parse_well(text)
        except RangeError:
            name = str(int(text)) if re.fullmatch(r"\d+", text) else text
            return (f"{rack}/{name}" if rack else name), ""

    @property
    def place(self) -> str:
        return f"{self.sheet.place(self.row)}, {_named(self.vessel)}"

    def value(self, field: str) -> tuple[float, str]:
        """Number and flag of one field; a text that is neither a number nor a known word is an error."""
        text = self.texts.get(field, "")
        found = signal(text, self.sheet.comma)
        if found is not None:
            return found
        if number(text, "decimal") is not None:
            raise FileError(
                f'{self.place}: "{text}" can be read in two ways (decimal comma or thousands separator), and no other '
                "number of the file tells which. Export it with decimal points."
            )
        raise FileError(
            f'{self.place}: {field} must be a number, or a word such as OVRFLW or "not counted", found "{text}". '
            "Correct the cell, or leave it empty if the tube was not counted."
        )


def read_counts(path: str | Path, *, column: str | None = None) -> AssayTable:
    """Table of the counts of a scintillation or gamma counter, one tube or well a row and channel.

    Parameters
    ----------
    path : str or Path
        A counter's text or workbook, or a table with columns such as *tube* (or
        *well*, *S#*, *pos*) and *CPM*. Lines above the table are skipped.
    column : str, optional
        Title of the column of counts per minute, where the file has several.

    Returns
    -------
    AssayTable
        Channels of `CHANNELS`, as far as the file has them. A well stands in `plate`
        and `well`; a tube is a vessel of its own and stands in `plate` (``"37"``, or
        ``"2/5"`` for position 5 of rack 2). A tube that is missing, saturated or was
        not counted has no number and the flag ``missed``, ``saturated`` or ``empty``.
        `time_s` is filled only where a tube was counted several times.

    Raises
    ------
    FileError
        If no table of counts is found, a cell is no number, a tube stands twice, or
        the times of a tube counted again do not rise.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.csv"
    >>> _ = path.write_text("Assay Type: CPM\\n\\nS#,Count Time,CPMA,MESSAGES\\n1,2.00,1042,\\n2,2.00,,Missing vial\\n")
    >>> table = read_counts(path).where(channel="cpm")
    >>> table.frame[["plate", "signal", "flag"]].values.tolist()
    [['1', 1042.0, ''], ['2', nan, 'missed']]
    """
    path = Path(path)
    sheets = _open(path)
    records = [record for sheet in sheets for record in _records(sheet, column)]
    if not records:
        return _drawn(Book(path, sheets, len(sheets) > 1 or bool(sheets[0].name)))
    times = _times(records)
    readings = [reading for record, time_s in zip(records, times, strict=True) for reading in _read(record, time_s)]
    return table_of(readings, Source.of(path, reader="counts"))


def _named(vessel: tuple[str, str]) -> str:
    return f"well {vessel[1]} of plate {vessel[0]}" if vessel[1] else f"tube {vessel[0]}"


# From a file to records


def _open(path: Path) -> tuple[Sheet, ...]:
    """Sheets of a file; the sign that divides the header of the counts divides all lines."""
    content = open_file(path, _WANTED)
    if not isinstance(content, str):
        return content
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = next((line for line in lines if re.search(r"cpm|\bcounts\b", line, re.IGNORECASE) and _is_head(line)), "")
    sign = max("\t;,", key=head.count)
    if not head or head.count(sign):
        return (text_sheet(path.name, content, sign if head else None),)
    width = len(re.split(r"\s{2,}", head.strip()))
    rows = tuple(_blank_cells(line.strip(), width) for line in lines)
    return (Sheet(path.name, "", rows, not content.endswith(("\n", "\r"))),)


def _blank_cells(line: str, width: int) -> tuple[str, ...]:
    """Cells of a line of a report in columns: titles and messages hold single blanks, numbers may stand as close."""
    close = line.split()
    numbers = sum(number(text, "decimal") is not None for text in close)
    return tuple(close if 2 * numbers > len(close) and len(close) <= width else re.split(r"\s{2,}", line))


def _is_head(line: str) -> bool:
    """Whether a line of text, however it is divided, names counts and tubes."""
    return "position" in _columns([folded(text) for text in re.split(r"[\t;,]|\s{2,}", line)], None)


def _records(sheet: Sheet, column: str | None) -> Iterator[_Record]:
    """Records of a sheet: those of Hidex blocks, or those of all its tables."""
    if any(sheet.cell(row, 0) == "Sample start" for row in range(len(sheet.rows))):
        yield from _hidex(sheet)
        return
    columns, factor = dict[str, int](), math.nan
    for row in range(len(sheet.rows)):
        names = [folded(text) for text in sheet.cells(row)]
        if (found := _columns(names, column)) and "position" in found:
            _check_one_nuclide(sheet, row, column)
            columns, factor = found, _minutes_per(sheet, row, found)
        elif columns and names:
            texts = {field: sheet.cell(row, place) for field, place in columns.items()}
            if missing := _MISSING_VIAL.search(" ".join(sheet.cells(row))):
                place = texts["position"] if texts["position"].isdigit() else missing.group(1)
                yield _Record(sheet, row, {"position": place, "message": "missing", "cpm": ""}, factor)
            elif _is_tube(texts):
                _check_whole(sheet, row)
                yield _Record(sheet, row, texts, factor)


def _columns(names: list[str], column: str | None) -> dict[str, int]:
    """Column of each field, none where the line does not name counts."""
    if column is not None and folded(column) not in names:
        return {}
    own = _NUCLIDE.fullmatch(folded(column)) if column is not None else None
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        match = _NUCLIDE.fullmatch(name)
        if _TIME.fullmatch(name):
            found.setdefault("time", place)
        elif match is not None and (own is None or own.group(1) == match.group(1)):
            found.setdefault(_NUCLIDE_FIELDS[match.group(2)], place)
    for field, words in _FIELDS.items():
        for word in words:
            if field not in found and word in names:
                found[field] = names.index(word)
    if column is not None:
        found["cpm"] = names.index(folded(column))
    return found if "cpm" in found or {"counts", "time"} <= found.keys() else {}


def _check_one_nuclide(sheet: Sheet, head: int, column: str | None) -> None:
    """Counts of two nuclides need to be told which of them is meant."""
    titles = [title for title in sheet.cells(head) if _NUCLIDE.fullmatch(folded(title)) and "cpm" in folded(title)]
    if column is None and len(titles) > 1:
        raise FileError(
            f"{sheet.place(head)}: expected one column of counts per minute, found {', '.join(titles)}. Say which is "
            f'meant: column="{titles[0]}".'
        )


def _is_tube(texts: Mapping[str, str]) -> bool:
    """Whether a line under a table is about a tube, and not a mean, a caption or a foot."""
    place = texts["position"]
    counted = any(texts.get(field) for field in ("cpm", "counts", "dpm"))
    is_place = re.fullmatch(r"\d+|[A-Za-z]{1,2}\d{1,2}", place) is not None
    return is_place or (counted and bool(place) and place.casefold() not in _SUMMARY)


def _check_whole(sheet: Sheet, row: int) -> None:
    """The last line of a text file that ends without a line end has all its cells."""
    if sheet.is_open and row == sheet.last and row > 0 and len(sheet.rows[row]) < len(sheet.rows[row - 1]):
        raise FileError(
            f"{sheet.place(row)}: the file ends inside this line. Expected {len(sheet.rows[row - 1])} cells, found "
            f"{len(sheet.rows[row])}. Export it again."
        )


def _minutes_per(sheet: Sheet, head: int, columns: Mapping[str, int]) -> float:
    """Minutes in one unit of the column of counting times, from its title or from counts and counts per minute."""
    if "time" not in columns:
        return math.nan
    title = folded(sheet.cell(head, columns["time"]))
    match = _TIME.fullmatch(title)
    if match is not None and match.group(1):
        return units.duration(1.0, unit=match.group(1)) / 60.0
    if {"cpm", "counts"} <= columns.keys():
        # The background that a counter takes off its CPM weighs least where most is counted.
        counted = expected = 0.0
        for row in range(head + 1, len(sheet.rows)):
            counts, cpm, time = (number(sheet.cell(row, columns[name]), sheet.comma) for name in _RATE)
            if counts and cpm and time:
                counted, expected = counted + counts, expected + cpm * time
        for factor in (1.0, 1.0 / 60.0):
            if expected > 0 and 0.5 < counted / expected / factor < 2:
                return factor
    if title == "count time" or folded(sheet.cell(head, columns.get("cpm", -1))) in ("cpma", "cpm1"):
        return 1.0
    raise FileError(
        f'{sheet.place(head)}: the column "{sheet.cell(head, columns["time"])}" of counting times has no unit, and no '
        'counts tell which it is. Name it "Count time (min)" or "Count time (s)".'
    )


def _hidex(sheet: Sheet) -> Iterator[_Record]:
    """Records of a Hidex file: a block of ``name;value`` lines a count."""
    texts: dict[str, str] = {}
    start = -1
    for row in range(len(sheet.rows) + 1):
        name = sheet.cell(row, 0)
        if row == len(sheet.rows) or name in ("Sample start", "Spectrum:"):
            if texts:
                found = _columns([folded(title) for title in texts], None)
                values = list(texts.values())
                if "position" not in found:
                    raise FileError(
                        f"{sheet.place(start)}: a Hidex block without a vial or without CPM; found "
                        f"{', '.join(texts) or 'nothing'}. Export it again with Samp., WName and CPM."
                    )
                yield _Record(sheet, start, {field: values[place] for field, place in found.items()}, 1.0 / 60.0)
            texts, start = {}, row if name == "Sample start" else -1
        elif start >= 0 and name:
            texts[name] = sheet.cell(row, 1)


def _drawn(book: Book) -> AssayTable:
    """Counts of plates drawn as grids."""
    if not plain.recognises_grid(book):
        begin = next((text for cells in book.head(1) for text in cells if text), "")
        raise FileError(
            f'{book.file}: no counts found (it begins with "{begin[:40]}"). Expected a table with a column of tubes or '
            "wells (S#, Pos, Tube, Well) and one of counts per minute (CPM, CPMA, CPM1), or a drawn plate. Check that "
            "this is the counter's result, or rename the two columns to tube and cpm."
        )
    readings = plain.parse_grid(book)
    return table_of([reading._replace(channel="cpm") for reading in readings], Source.of(book.path, reader="grid"))


# From records to readings


def _read(record: _Record, time_s: float) -> Iterator[Reading]:
    """Readings of one record, one a channel; where the count is missing, nothing else of the tube is a number."""
    minutes = record.value("time")[0] * record.minutes_per if "time" in record.texts else math.nan
    if minutes < 0:
        raise FileError(
            f"{record.place}: the counting time must be ≥ 0, found {record.texts['time']}. Correct the cell."
        )
    said = f"{record.texts.get('cpm', '')} {record.texts.get('message', '')}"
    flag = next((flag for flag, words in _BAD if words.search(said)), "")
    cpm, own = (math.nan, flag) if flag else record.value("cpm" if "cpm" in record.texts else "counts")
    flag = own or ("missed" if minutes == 0 else "")
    if "cpm" not in record.texts and not flag:
        cpm = cpm / minutes
        flag = "" if math.isfinite(cpm) else "missed"
    plate, well = record.vessel
    yield Reading(plate, well, "cpm", time_s, math.nan if flag else cpm, flag)
    if flag:
        return
    if math.isfinite(minutes):
        yield Reading(plate, well, "minutes", time_s, minutes, "")
    for channel, field in (("dpm", "dpm"), ("error_percent", "error"), ("quench", "quench")):
        if field in record.texts:
            value, missing = record.value(field)
            if not missing or field == "dpm":
                yield Reading(plate, well, channel, time_s, value, missing)


def _times(records: list[_Record]) -> list[float]:
    """Time of each count in s since the first, where tubes were counted again; else NaN."""
    counts: dict[tuple[str, str], list[int]] = {}
    for index, record in enumerate(records):
        counts.setdefault(record.vessel, []).append(index)
    if all(len(indices) == 1 for indices in counts.values()):
        return [math.nan] * len(records)
    for indices in counts.values():
        for index in indices[1:]:
            first = records[indices[0]]
            if not records[index].texts.get("elapsed"):
                raise FileError(
                    f"{records[index].place} stands in this file twice (also in row {first.row + 1}), and no elapsed "
                    "time tells the two apart. Keep one, or add a column of elapsed times."
                )
    times = [_elapsed(record) for record in records]
    start = min(times)
    for indices in counts.values():
        for before, after in itertools.pairwise(indices):
            if times[after] <= times[before]:
                raise FileError(
                    f"{records[after].place}: the time must rise from one count of a tube to the next, found "
                    f'"{records[after].texts["elapsed"]}" after "{records[before].texts["elapsed"]}" (row '
                    f"{records[before].row + 1}). Sort the counts by time, or keep one of the two."
                )
    return [time - start for time in times]


def _elapsed(record: _Record) -> float:
    """Time of a count in s: a date, a clock time, or minutes."""
    text = record.texts.get("elapsed", "")
    for form in _DATES:
        try:
            return datetime.strptime(text, form).timestamp()
        except ValueError:
            continue
    value = clock(text) if ":" in text else number(text, record.sheet.comma)
    if value is None:
        raise FileError(
            f'{record.place}: expected the time of the count (minutes, h:min:s, or date and time), found "{text}". '
            "Correct the cell."
        )
    return value if ":" in text else 60.0 * value
