"""Any file as sheets of text cells: the one form in which every reader of this room sees a file.

`open_file` decides what a file physically is (text in some encoding, a workbook, or
neither) and refuses what no export and no layout can be, before it is read into
memory; `text_sheet` divides a text into cells.  What the cells mean is for the
readers in `formats` and for `layout`.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from halfmax.errors import FileError, RangeError, nearest
from halfmax.readers.cell import Comma, comma_of, number, signal
from halfmax.wells import parse_well

__all__ = ["LARGEST_CELLS", "LARGEST_TEXT", "Book", "Sheet", "check_there", "open_book", "open_file", "text_sheet"]

#: Largest file, in bytes, that is taken for an instrument's export or a plate map.
LARGEST_TEXT = 64 * 2**20

#: Largest number of lines, and of cells, of a text file.
LARGEST_CELLS = 5_000_000

_SIGNATURES = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_EXPORT = "a text file or a workbook of a plate reader"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")


@dataclass(frozen=True)
class Sheet:
    """Rows of text cells, as one text file or one sheet of a workbook holds them.

    `is_open` says that a text file ends without a line end: its last line may be cut.
    """

    file: str
    name: str
    rows: tuple[tuple[str, ...], ...]
    is_open: bool = False

    @cached_property
    def comma(self) -> Comma:
        """What a comma inside a number means on this sheet."""
        return comma_of(cell for row in self.rows for cell in row)

    @cached_property
    def last(self) -> int:
        """Row that is the last to hold anything, -1 on an empty sheet."""
        return max((row for row in range(len(self.rows)) if not self.is_blank(row)), default=-1)

    def place(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f'{self.file}, sheet "{self.name}", row {row + 1}' if self.name else f"{self.file}, line {row + 1}"

    def cell(self, row: int, column: int) -> str:
        """Text of a cell without surrounding blanks, empty where there is no such cell."""
        if not 0 <= row < len(self.rows) or not 0 <= column < len(self.rows[row]):
            return ""
        return self.rows[row][column].strip()

    def cells(self, row: int) -> list[str]:
        """Texts of a row, empty cells at its end left out."""
        texts = [text.strip() for text in self.rows[row]] if 0 <= row < len(self.rows) else []
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def is_blank(self, row: int) -> bool:
        """Whether a row holds nothing."""
        return not any(text.strip() for text in self.rows[row])

    def is_cut(self, row: int, width: int) -> bool:
        """Whether a row is the last of its text file and ends before its columns do."""
        return not self.name and row == self.last and len(self.rows[row]) < width

    def well(self, row: int, text: str) -> str:
        """Canonical name of the well that a text of this row names."""
        try:
            return parse_well(text)
        except RangeError as error:
            raise FileError(f"{self.place(row)}: {error} Correct the cell, or remove the line.") from error

    def signal(self, row: int, column: int, well: str) -> tuple[float, str]:
        """Signal and flag of a well's cell; text that is neither a number nor a known word is an error."""
        text = self.cell(row, column)
        found = signal(text, self.comma)
        if found is not None:
            return found
        if number(text, "decimal") is not None:
            raise FileError(
                f'{self.place(row)}, well {well}: "{text}" can be read in two ways (decimal comma or thousands '
                "separator), and no other number of the file tells which. Export it with decimal points."
            )
        raise FileError(
            f'{self.place(row)}, well {well}: expected a number, or a word such as OVRFLW or Masked, found "{text}". '
            "Correct the cell, or leave it empty if the well was not read."
        )


@dataclass(frozen=True)
class Book:
    """A file opened: where it is, and its sheets (one, without a name, for a text file)."""

    path: Path
    sheets: tuple[Sheet, ...]
    is_workbook: bool

    @property
    def file(self) -> str:
        """Name of the file, for messages."""
        return self.path.name

    @property
    def stem(self) -> str:
        """Name of the file without its ending: what a plate is called that has no other name."""
        return self.path.stem

    @property
    def first(self) -> Sheet:
        """First sheet."""
        return self.sheets[0]

    def head(self, rows: int = 12) -> Iterator[list[str]]:
        """First rows that hold something, of the first sheet."""
        sheet = self.first
        full = (row for row in range(len(sheet.rows)) if not sheet.is_blank(row))
        for row, _ in zip(full, range(rows), strict=False):
            yield sheet.cells(row)


def open_book(path: str | Path) -> Book:
    """File as sheets of text cells.

    Raises
    ------
    FileError
        As `open_file` does.
    """
    path = Path(path)
    content = open_file(path)
    if isinstance(content, str):
        return Book(path, (text_sheet(path.name, content),), False)
    return Book(path, content, True)


def open_file(path: Path, wanted: str = _EXPORT) -> str | tuple[Sheet, ...]:
    """Text of a text file, or the sheets of a workbook.

    Parameters
    ----------
    path : Path
    wanted : str
        What the file should be, for the messages.

    Raises
    ------
    FileError
        If the file is missing, empty, a folder, too large, binary, or a workbook
        that cannot or should not be opened.
    """
    check_there(path)
    size = path.stat().st_size
    if size > LARGEST_TEXT:
        raise FileError(
            f"{path.name}: {size / 2**20:.0f} MB; {wanted} is never larger than {LARGEST_TEXT // 2**20} MB. "
            "A long table of doses and responses goes to `halfmax fit`."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}).") from error
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        from halfmax.readers.workbook import read_workbook

        sheets = tuple(Sheet(path.name, name, rows) for name, rows in read_workbook(path, content))
        if not any(sheet.last >= 0 for sheet in sheets):
            raise FileError(f"{path.name}: the workbook holds no cell with anything in it. Expected {wanted}.")
        return sheets
    text = _decode(path.name, content, wanted)
    if not text.strip():
        found = "nothing but blanks" if text else "nothing"
        raise FileError(f"{path.name}: the file is empty. Expected {wanted}, found {found}. Save or export it again.")
    return text


def text_sheet(file: str, text: str, delimiter: str | None = None) -> Sheet:
    """Sheet of a text; without a delimiter, the one under which most cells are numbers."""
    return Sheet(file, "", _split(file, text, delimiter), not text.endswith(("\n", "\r")))


def check_there(path: Path) -> None:
    """Nothing but a regular file passes; a missing one is answered with the nearest name beside it.

    Raises
    ------
    FileError
        If it is missing, a folder, or a device.
    """
    if path.is_dir():
        raise FileError(f"{path}: is a folder; expected one file. Name a file in it.")
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: is not a regular file. Name a file on a disk.")
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise FileError(f"{path}: cannot be read: there is no such file, nor the folder {path.parent}.")
    hint = nearest(path.name, sorted(entry.name for entry in path.parent.iterdir() if entry.is_file()))
    hint = f" {hint}" if hint.startswith("Did you mean") else ""
    raise FileError(f"{path}: cannot be read: there is no such file.{hint}")


def _decode(file: str, content: bytes, wanted: str) -> str:
    """Text of a file: by its byte order mark, by its zero bytes, as UTF-8, else as Windows Latin."""
    for signature, kind in _SIGNATURES:
        if content.startswith(signature) and (len(signature) > 2 or _CONTROL.search(content[:512].decode("latin-1"))):
            raise FileError(f"{file}: is {kind}; expected {wanted}.")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content[: len(content) // 2 * 2].decode("utf-16", errors="replace")
    elif wide := _wide_encoding(content[:4096]):
        text = content[: len(content) // 2 * 2].decode(wide, errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    if _CONTROL.search(text):
        raise FileError(f"{file}: holds binary data; expected {wanted}.")
    return text


def _wide_encoding(sample: bytes) -> str:
    """UTF-16 without byte order mark shows as zeros at every second byte."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = max(len(sample) // 2, 1)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.6 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _split(file: str, text: str, delimiter: str | None) -> tuple[tuple[str, ...], ...]:
    """Rows of cells; every line is taken for itself, so that a stray quote cannot swallow others."""
    if text.count("\n") + text.count("\r") > LARGEST_CELLS:
        raise FileError(f"{file}: more than {LARGEST_CELLS:,} lines; no plate export has as many. Refused.")
    lines = re.split(r"\r\n|\r|\n", text.lstrip("\ufeff"))
    while lines and not lines[-1].strip():
        lines.pop()
    delimiter = _delimiter(lines) if delimiter is None else delimiter
    if text.count(delimiter or " ") > LARGEST_CELLS:
        raise FileError(f"{file}: more than {LARGEST_CELLS:,} cells; no plate export has as many. Refused.")
    return tuple(tuple(_cells(line, delimiter)) for line in lines)


def _cells(line: str, delimiter: str) -> list[str]:
    """Cells of one line; an empty delimiter stands for any run of blanks."""
    if not delimiter:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def _delimiter(lines: list[str]) -> str:
    """Delimiter under which most cells are numbers; blanks only where no sign separates the cells."""
    sample = [line for line in lines if line.strip()][:3000]

    def numbers(delimiter: str) -> int:
        return sum(number(cell, "decimal") is not None for line in sample for cell in _cells(line, delimiter))

    scores = {delimiter: numbers(delimiter) for delimiter in ("\t", ";", ",")}
    best = max(scores, key=lambda delimiter: scores[delimiter])
    tabbed = sum("\t" in line for line in sample)
    if tabbed < 2 and numbers("") > 1.5 * scores[best]:
        return ""
    if scores[best]:
        return best
    return max(scores, key=lambda delimiter: sum(line.count(delimiter) for line in sample))
