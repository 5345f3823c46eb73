"""The table that says what stood in each tube, as cells of text: a line a tube, or TOML.

What the cells mean is for the assay; here they are read, expanded to one line a tube,
and given the place where they stand, so that the assay's messages can name it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmax.errors import FileError, StudyError, nearest
from halfmax.readers.cell import number
from halfmax.readers.column import folded, header_row
from halfmax.readers.sheet import Sheet, open_file, text_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TUBE_NAMES", "read_tubes"]

#: Titles of the column of tubes.
TUBE_NAMES = ("tube", "well", "vial", "sample", "position", "pos")
_WANTED = "a layout of tubes (CSV, XLSX or TOML)"
_AMOUNT = re.compile(r"([-+]?[\d.,]*,[\d.,]*(?:[eE][-+]?\d+)?)(\s*[^\d.,]*)")
#: Largest number of tubes that a range such as 1-96 may name.
_LARGEST_RANGE = 10_000


def read_tubes(path: str | Path) -> pd.DataFrame:
    """Cells of a layout of tubes, one tube a row.

    Parameters
    ----------
    path : str or Path
        CSV (comma, semicolon or tab) or workbook with a header and a line a tube, or
        TOML with ``[expt]`` (what holds for all) and ``[tube.'1-3']``. One line or
        section may name several tubes: ``1-3``, ``4,5,9``.

    Returns
    -------
    pandas.DataFrame
        Text cells. The index says where each row stands (file and line); the first
        column is ``tube``; the others have the titles of the file.

    Raises
    ------
    FileError
        If the file cannot be read or holds no column of tubes.
    StudyError
        If two sections of a TOML say different things of one tube.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tubes.csv"
    >>> _ = path.write_text("tube;role;radioligand_nM\\n1-2;total;0,5\\n3;nonspecific;0,5\\n")
    >>> read_tubes(path)["radioligand_nM"].to_dict()
    {'tubes.csv, line 2, tube 1': '0.5', 'tubes.csv, line 2, tube 2': '0.5', 'tubes.csv, line 3, tube 3': '0.5'}
    """
    path = Path(path)
    content = open_file(path, _WANTED)
    if not isinstance(content, str):
        sheet = next(sheet for sheet in content if sheet.last >= 0)
        return _frame(_lines(sheet), path.name)
    if path.suffix.lower() == ".toml" or re.search(r"^\s*\[(?:expt|tube)\b", content, re.MULTILINE):
        return _frame(_sections(content, path.name), path.name)
    first = next(line for line in content.splitlines() if line.strip())
    return _frame(_lines(text_sheet(path.name, content, max(",;\t", key=first.count))), path.name)


def _frame(rows: Iterator[tuple[str, dict[str, str]]], file: str) -> pd.DataFrame:
    """Rows as a frame; the text of missing cells is empty."""
    import pandas as pd

    kept = list(rows)
    if not kept:
        raise FileError(f"{file}: the layout describes no tube. Expected a line a tube below the header. Add them.")
    return pd.DataFrame([cells for _, cells in kept], index=[where for where, _ in kept]).fillna("")


def _lines(sheet: Sheet) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a table under a header."""
    head = header_row(sheet)
    titles = sheet.cells(head)
    names = [folded(title) for title in titles]
    column = next((names.index(name) for name in TUBE_NAMES if name in names), None)
    if column is None:
        raise FileError(
            f'{sheet.place(head)}: expected a column "tube" (or "well") in the header, found '
            f'"{", ".join(titles[:6])}". Rename the column that says which tube a line is about.'
        )
    twice = next((name for name in names if name and names.count(name) > 1), "")
    if twice:
        raise FileError(f'{sheet.place(head)}: two columns are called "{twice}". Expected one of each. Keep one.')
    for row in range(head + 1, len(sheet.rows)):
        if sheet.is_blank(row):
            continue
        if len(sheet.cells(row)) > len(titles):
            raise FileError(
                f"{sheet.place(row)}: expected {len(titles)} cells as in the header, found {len(sheet.cells(row))}. "
                "Put quotes around a cell that holds the separator."
            )
        cells = {title: _pointed(sheet, row, place) for place, title in enumerate(titles) if title}
        named = sheet.cell(row, column)
        if not named:
            raise FileError(f"{sheet.place(row)}: expected the name of a tube, found an empty cell. Write it.")
        cells.pop(titles[column])
        for tube in _tubes(named, sheet.place(row)):
            yield f"{sheet.place(row)}, tube {tube}", {"tube": tube, **cells}


def _pointed(sheet: Sheet, row: int, column: int) -> str:
    """Cell with a decimal point, whatever sign its file writes."""
    text = sheet.cell(row, column)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return text
    value = number(match.group(1), sheet.comma)
    if value is None and number(match.group(1), "decimal") is not None:
        raise FileError(
            f'{sheet.place(row)}: "{text}" can be read in two ways (decimal comma or thousands separator), and no '
            "other number of the file tells which. Write it with a decimal point."
        )
    return text if value is None else f"{value!r}{match.group(2)}"


def _tubes(text: str, where: str) -> list[str]:
    """Tubes that a text names: ``3``, ``1-3``, ``4,5,9``; ``2/5`` is position 5 of rack 2."""
    tubes: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"(\d+/)?(\d+)\s*[-–]\s*(\d+)", part)
        if match is None:
            tubes.append(part)
            continue
        first, last = int(match.group(2)), int(match.group(3))
        if not 0 <= last - first < _LARGEST_RANGE:
            raise FileError(f'{where}: expected a range of tubes such as 1-3, found "{part}". Correct it.')
        tubes += [f"{match.group(1) or ''}{tube}" for tube in range(first, last + 1)]
    return [str(int(tube)) if tube.isdigit() else tube for tube in tubes if tube]


def _sections(text: str, file: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a TOML: each tube has what its sections say, and what ``[expt]`` says of all."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{file}: not valid TOML: {error}. Correct that line.") from None
    for name, section in document.items():
        if name not in ("expt", "tube") or not isinstance(section, dict):
            raise StudyError(
                f'{file}: expected the sections [expt] and [tube.…], found "{name}". {nearest(name, ("expt", "tube"))}'
            )
    shared = _texts(document.get("expt", {}), f"{file}, [expt]")
    said: dict[str, dict[str, str]] = {}
    place: dict[str, str] = {}
    for named, section in document.get("tube", {}).items():
        where = f"{file}, [tube.'{named}']"
        if not isinstance(section, dict):
            raise StudyError(f"{where}: expected a section, found {section!r}. Write [tube.'{named}'] above its keys.")
        for tube in _tubes(named, where):
            before = said.setdefault(tube, {})
            for key, value in _texts(section, where).items():
                if before.setdefault(key, value) != value:
                    raise StudyError(
                        f"{where}: tube {tube} has {key} {value}, but {place[tube]} says {before[key]}. Keep one."
                    )
            place.setdefault(tube, where)
    for tube, cells in said.items():
        yield f"{place[tube]}, tube {tube}", {"tube": tube, **shared, **cells}


def _texts(section: Mapping[str, Any], where: str) -> dict[str, str]:
    """Values of a section as text."""
    for key, value in section.items():
        if not isinstance(value, (str, int, float, bool)):
            raise StudyError(f"{where}: {key} must be text or a number, found {value!r}. Write one value.")
    return {
        key: ("yes" if value else "no") if isinstance(value, bool) else str(value) for key, value in section.items()
    }
