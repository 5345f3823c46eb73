"""What was added to a dish and when: a table with a line for each stimulus."""

from __future__ import annotations

import math
import re
from pathlib import Path

from halfmax import units
from halfmax.errors import FileError, RangeError, nearest
from halfmax.movie import ROLES, Stimulus, check_overlap
from halfmax.readers.cell import number
from halfmax.readers.column import folded, header_row
from halfmax.readers.sheet import Sheet, open_file, text_sheet

__all__ = ["read_stimuli"]

_WANTED = "a table of stimuli (CSV or workbook)"
_COLUMNS = ("name", "role", "concentration", "unit", "start", "end", "dead time")
_AMOUNT = re.compile(r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)(.*)")


def read_stimuli(path: str | Path) -> tuple[Stimulus, ...]:
    """Stimuli of a recording, in the order of their start.

    Parameters
    ----------
    path : str or Path
        CSV or workbook with a header and the columns *name* and *start*; *role* (of `ROLES`, sample where
        it is empty), *concentration*, *unit*, *end* and *dead time* may follow. Times are in s, or carry
        their unit in the cell (``2 min``) or in the title (``start_min``); a concentration needs a unit in
        the cell, in the column *unit* or in the title. The dead time of the tubing is added to start and end.

    Raises
    ------
    FileError
        If the file cannot be read, a column is missing or unknown, or a cell cannot be understood.
    StudyError
        If doses of one compound overlap.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stimuli.csv"
    >>> _ = path.write_text("name,role,concentration,unit,start,end\\nCM572,sample,10,µM,2 min,300\\n", "utf-8")
    >>> read_stimuli(path)
    (Stimulus(name='CM572', start_s=120.0, concentration=1e-05, end_s=300.0, role='sample'),)
    """
    path = Path(path)
    sheet = _sheet(path)
    head = header_row(sheet)
    columns = _columns(sheet, head)
    rows = [row for row in range(head + 1, len(sheet.rows)) if not sheet.is_blank(row)]
    stimuli = sorted((_stimulus(sheet, row, columns) for row in rows), key=lambda stimulus: stimulus.start_s)
    if not stimuli:
        raise FileError(f"{path.name}: expected a line for each stimulus below the header, found none. Add them.")
    check_overlap(stimuli, f"{path.name}: ")
    return tuple(stimuli)


def _sheet(path: Path) -> Sheet:
    content = open_file(path, _WANTED)
    if not isinstance(content, str):
        return next((sheet for sheet in content if sheet.last >= 0), content[0])
    lines = [line for line in content.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise FileError(
            f"{path.name}: expected {_WANTED}, found no line. Write name,role,concentration,unit,start,end."
        )
    return text_sheet(path.name, content, max(",;\t", key=lines[0].count))


def _columns(sheet: Sheet, head: int) -> dict[str, tuple[int, str]]:
    """Number and unit of each column."""
    columns: dict[str, tuple[int, str]] = {}
    for place, title in enumerate(sheet.cells(head)):
        words, unit = _title(title)
        if not words:
            continue
        if words not in _COLUMNS:
            raise FileError(f'{sheet.place(head)}: unknown column "{title}". {nearest(words, _COLUMNS)}')
        if words in columns:
            raise FileError(f'{sheet.place(head)}: two columns are called "{words}". Keep one.')
        columns[words] = (place, unit)
    for needed in ("name", "start"):
        if needed not in columns:
            raise FileError(
                f'{sheet.place(head)}: expected a column "{needed}", found "{", ".join(sheet.cells(head))}". Add it.'
            )
    return columns


def _title(title: str) -> tuple[str, str]:
    """Name and unit of a column: ``start_min``, ``concentration (µM)``."""
    words = folded(title)
    if words in _COLUMNS:
        return words, ""
    match = re.fullmatch(
        r"\s*([A-Za-z][A-Za-z _]*?)[\s_]*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[_ ]([a-zµμ]{0,2}[A-Za-z]))\s*", title
    )
    if match is None or folded(match.group(1)) not in _COLUMNS:
        return words, ""
    return folded(match.group(1)), match.group(2) or match.group(3)


def _stimulus(sheet: Sheet, row: int, columns: dict[str, tuple[int, str]]) -> Stimulus:
    def text(name: str) -> str:
        return sheet.cell(row, columns[name][0]) if name in columns else ""

    def unit(name: str) -> str:
        return columns.get(name, (0, ""))[1]

    name = text("name")
    if not name:
        raise FileError(f"{sheet.place(row)}: expected the name of a stimulus, found an empty cell. Write it.")
    where = f"{sheet.place(row)}, stimulus {name}"
    role = text("role").casefold() or "sample"
    if role not in ROLES:
        raise FileError(
            f'{where}: expected a role of {", ".join(ROLES)}, found "{text("role")}". {nearest(role, ROLES)}'
        )
    dead = _seconds(sheet, where, text("dead time"), unit("dead time"), "dead time") if text("dead time") else 0.0
    start = _seconds(sheet, where, text("start"), unit("start"), "start")
    end = _seconds(sheet, where, text("end"), unit("end"), "end") if text("end") else math.inf
    if not end > start:
        raise FileError(
            f"{where}: expected an end after its start at {start:g} s, found {end:g} s. Correct one of them."
        )
    return Stimulus(
        name,
        start + dead,
        _dose(sheet, where, text("concentration"), text("unit") or unit("concentration")),
        end + dead,
        role,
    )


def _seconds(sheet: Sheet, where: str, text: str, unit: str, what: str) -> float:
    """Time from the first frame, s; a number without a unit is in s."""
    try:
        seconds = units.convert(_pointed(sheet, where, text), "second", unit=unit or "s", what=what)
    except RangeError as error:
        raise FileError(f"{where}: {error}") from error
    if seconds < 0:
        raise FileError(
            f'{where}: expected a {what} at or after the first frame, found "{text}", before it. '
            "Count times from the first frame."
        )
    return seconds


def _dose(sheet: Sheet, where: str, text: str, unit: str) -> float:
    if not text:
        return math.nan
    try:
        return units.concentration(_pointed(sheet, where, text), unit=unit or None)
    except RangeError as error:
        raise FileError(f"{where}: {error}") from error


def _pointed(sheet: Sheet, where: str, text: str) -> str:
    """The text with a decimal point, whatever sign its file writes."""
    match = _AMOUNT.fullmatch(text)
    if match is None or "," not in text:
        return text
    value = number(match.group(1), sheet.comma)
    if value is None:
        raise FileError(f'{where}: "{text}" can be read in two ways. Write it with a decimal point.')
    return f"{value!r}{match.group(2)}"
