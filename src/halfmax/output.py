"""Files and folders that appear whole or not at all, and cells that a spreadsheet does not take for formulas.

What is written is first written beside its place and then moved there, so that an
error, a full disk or Ctrl-C leaves either the old state or the new one.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from halfmax.errors import FileError

__all__ = [
    "csv_text",
    "guarded",
    "whole_file",
    "write_file",
    "write_folder",
    "write_table",
    "write_texts",
    "xlsx_bytes",
]


def guarded(value: object) -> object:
    """Cell for a spreadsheet: text that would be taken for a formula is quoted, None is empty.

    A lone sign, such as the operator ``=``, is no formula and stays as it is.

    Examples
    --------
    >>> guarded("=1+1"), guarded(-1.5), guarded(None)
    ("'=1+1", -1.5, '')
    """
    if isinstance(value, str) and len(value) > 1 and value[0] in "=+-@\t\r":
        return "'" + value
    return "" if value is None else value


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Records as CSV with a header, its cells guarded; columns in order of appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([guarded(column) for column in columns])
    writer.writerows([guarded(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue()


def xlsx_bytes(rows: Iterable[Mapping[str, object]], *, title: str = "halfmax") -> bytes:
    """Records as a workbook of one sheet: header fixed, cells guarded; the same records give the same bytes."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    sheet.freeze_panes = "A2"
    sheet.append([guarded(column) for column in columns])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for row in rows:
        values = (guarded(row.get(column)) for column in columns)
        sheet.append([None if value == "" else value for value in values])
    for index, column in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(index)].width = max(10, len(column) + 2)
    book.properties.created = book.properties.modified = datetime(1980, 1, 1)
    stream = io.BytesIO()
    book.save(stream)
    return _timeless(stream.getvalue())


def _timeless(archive: bytes) -> bytes:
    """The same archive with every time stamp in it set to one moment."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, content)
    return stream.getvalue()


def write_table(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write records as CSV, or as a workbook where the name ends in ``.xlsx``."""
    write_file(path, xlsx_bytes(rows) if path.suffix.lower() == ".xlsx" else csv_text(rows))


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8 with the line ends it has), replacing what was there.

    Raises
    ------
    FileError
        If the place cannot be written; what was there is still there.
    """
    with whole_file(path) as place:
        place.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place at the end; after an error what was there still is.

    Raises
    ------
    FileError
        If the place cannot be written.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error}). Nothing was written.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_texts(folder: Path, texts: Mapping[str, str], *, empty: Iterable[str] = ()) -> Path:
    """Make a folder of text files appear, by their names below it, and of `empty` folders."""

    def fill(new: Path) -> None:
        for name in empty:
            (new / name).mkdir(parents=True)
        for name, text in texts.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(text, encoding="utf-8", newline="\n")

    return write_folder(folder, fill)


def write_folder(path: Path, fill: Callable[[Path], object]) -> Path:
    """Make a folder appear, filled by `fill`; one that is there already and not empty is never touched.

    Raises
    ------
    FileError
        If the folder is in use, or cannot be written; nothing was written then.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileError(f"{path}: is there already and not empty. Nothing is overwritten; choose another place.")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
        fill(temporary)
        os.chmod(temporary, 0o755)
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error}). Nothing was written.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return path
