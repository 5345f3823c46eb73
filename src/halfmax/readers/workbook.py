"""Workbooks (.xlsx, .xlsm, .xls), opened so that a hostile or broken one cannot exhaust memory.

A workbook is a zip of XML.  Before the parser sees it, every member is unpacked
once in blocks and counted: total size, number of cells, the rectangle they span
(two cells in opposite corners would make a parser allocate all between them) and
the repetition of long texts.  A zip whose members are not what its directory
declares fails in this pass.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfmax.errors import FileError

__all__ = ["LARGEST_CELLS", "LARGEST_UNPACKED", "read_workbook"]

#: Largest total of unpacked bytes, and largest number of cells a sheet may span.
LARGEST_UNPACKED = 256 * 2**20
LARGEST_CELLS = 1_000_000

_Named = tuple[str, tuple[tuple[str, ...], ...]]
_BLOCK = 1 << 20
_TAG = 1 << 16
_CELL = re.compile(rb"<(?:\w+:)?c(?=[\s/>])[^>]*>")
_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,4})(\d{1,9})["']""")
_ROW = re.compile(rb"""<(?:\w+:)?row\s[^>]*?\br\s*=\s*["'](\d{1,9})["']""")
_TEXT = re.compile(rb"<(?:\w+:)?t(?:\s[^>]*)?>([^<]*)<")
_SHARED = re.compile(rb"""\st\s*=\s*["']s["']""")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


@dataclass
class _Extent:
    """What the cells of one sheet span."""

    cells: int = 0
    shared: int = 0
    rows: int = 0
    columns: int = 0

    def add(self, body: bytes) -> None:
        for match in _ROW.finditer(body):
            self.rows = max(self.rows, int(match.group(1)))
        for match in _CELL.finditer(body):
            self.cells += 1
            self.shared += bool(_SHARED.search(match.group(0)))
            if place := _PLACE.search(match.group(0)):
                self.columns = max(self.columns, _column_number(place.group(1)))
                self.rows = max(self.rows, int(place.group(2)))

    @property
    def spanned(self) -> int:
        return max(self.cells, self.rows * max(self.columns, 1))


def read_workbook(path: Path, content: bytes) -> list[_Named]:
    """Name and rows of text cells of every sheet.

    Raises
    ------
    FileError
        If the workbook is protected, damaged, of another kind, or too large.
    """
    if content.startswith(b"PK"):
        _check_zip(path.name, content)
        return _sheets(path.name, content)
    if _ENCRYPTED in content:
        raise FileError(f"{path.name}: the workbook is protected by a password. Save it without one.")
    return _sheets_apart(path.name, content)


def _sheets(file: str, content: bytes) -> list[_Named]:
    """Sheets as calamine reads them; whatever it stumbles over becomes a FileError."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        return [_sheet(file, book, name) for name in book.sheet_names]
    except FileError:
        raise
    except BaseException as error:
        # A parser in Rust that trips over a broken file raises what is not even an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if "password" in f"{type(error).__name__} {error}".lower():
            raise FileError(f"{file}: the workbook is protected by a password. Save it without one.") from error
        raise FileError(_unreadable(file, str(error))) from error


def _sheet(file: str, book: Any, name: str) -> _Named:
    """Name and rows of one sheet."""
    sheet = book.get_sheet_by_name(name)
    if sheet.total_height * sheet.total_width > LARGEST_CELLS:
        raise FileError(_too_large(file, f'sheet "{name}" spans more than {LARGEST_CELLS:,} cells'))
    rows = sheet.to_python(skip_empty_area=False)
    return name, tuple(tuple(_text(value) for value in row) for row in rows)


def _sheets_apart(file: str, content: bytes) -> list[_Named]:
    """Sheets of an old binary workbook, read by a process of its own.

    Its lengths cannot be checked beforehand, and a wrong one makes the parser ask
    for terabytes, which ends the process that asked.
    """
    code = f"from halfmax.readers.workbook import _answer; _answer({file!r})"
    try:
        child = subprocess.run(
            [sys.executable, "-c", code], input=content, capture_output=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FileError(_unreadable(file, "it could not be read in time")) from error
    if child.returncode != 0:
        raise FileError(_unreadable(file, "the parser gave up"))
    answer = json.loads(child.stdout)
    if isinstance(answer, str):
        raise FileError(answer)
    return [(name, tuple(tuple(row) for row in rows)) for name, rows in answer]


def _answer(file: str) -> None:
    """The process of its own: a workbook comes in, its sheets or a message go out."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    try:
        answer: Any = _sheets(file, sys.stdin.buffer.read())
    except FileError as error:
        answer = str(error)
    sys.stdout.buffer.write(json.dumps(answer).encode())


def _unreadable(file: str, why: str) -> str:
    return (
        f"{file}: cannot be read as a workbook ({why}). The file is damaged or of another kind; "
        "open it in the spreadsheet program and save it as .xlsx."
    )


def _text(value: Any) -> str:
    """Text of a cell: whole numbers without a point, times and dates as ISO."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02}:{seconds % 60:g}"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _check_zip(file: str, content: bytes) -> None:
    """A zip passes that is a workbook and whose members, unpacked in blocks, stay within the limits."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_kind(file, {member.filename for member in members})
            declared = sum(member.file_size for member in members)
            if declared > LARGEST_UNPACKED:
                raise FileError(_too_large(file, f"it unpacks to {declared / 2**20:,.0f} MB"))
            unpacked = shared = longest = 0
            for member in members:
                extent, size, text = _measure(archive, member)
                unpacked += size
                shared += extent.shared
                longest = max(longest, text)
                if unpacked > LARGEST_UNPACKED:
                    raise FileError(_too_large(file, f"it unpacks to more than {LARGEST_UNPACKED // 2**20} MB"))
                if extent.spanned > LARGEST_CELLS:
                    raise FileError(_too_large(file, f"{member.filename} spans more than {LARGEST_CELLS:,} cells"))
            if shared * longest > 4 * LARGEST_UNPACKED:
                raise FileError(_too_large(file, "its texts repeat to more than a gigabyte"))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FileError(f"{file}: the workbook is damaged or cut off ({error}). Export it again.") from error


def _check_kind(file: str, names: set[str]) -> None:
    """Of all zips only an Excel workbook of XML passes."""
    if "xl/workbook.xml" in names:
        return
    if "xl/workbook.bin" in names or "content.xml" in names:
        kind = "a binary workbook (.xlsb)" if "xl/workbook.bin" in names else "an OpenDocument file"
        raise FileError(f"{file}: is {kind}; expected .xlsx, .xls or text. Save it as .xlsx.")
    some = ", ".join(sorted(names)[:3]) or "nothing"
    raise FileError(
        f"{file}: is a zip archive and not a workbook (it holds {some}). Unpack it, and give one file of it."
    )


def _measure(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[_Extent, int, int]:
    """Extent of the cells, unpacked size and longest shared text of one member."""
    extent, size, longest, tail = _Extent(), 0, 0, b""
    with archive.open(member) as stream:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > LARGEST_UNPACKED:
                break
            # The last tag may go on in the next block; every member is looked at, as any may be declared a sheet.
            body = tail + block
            cut = max(body.rfind(b"<"), 0)
            body, tail = body[:cut], body[cut:]
            if len(tail) > _BLOCK:
                longest, tail = max(longest, len(tail)), tail[:_TAG]
            extent.add(body)
            longest = max([longest, *(len(text) for text in _TEXT.findall(body))])
        extent.add(tail)
    return extent, size, longest


def _column_number(letters: bytes) -> int:
    """Number of a spreadsheet column, A being 1."""
    result = 0
    for letter in letters.upper():
        result = result * 26 + letter - 64
    return result


def _too_large(file: str, what: str) -> str:
    return f"{file}: {what}; no plate export is that large, and opening it could exhaust the memory. Refused."
