"""A layout from any file: what it is physically is asked of `sheet`, what it says is told by its first lines."""

from __future__ import annotations

import re
from pathlib import Path

from halfmax.readers.layout.cells import read_sheets, read_text
from halfmax.readers.layout.model import Layout, shape_of
from halfmax.readers.layout.records import looks_like_records, read_records
from halfmax.readers.layout.toml import read_toml
from halfmax.readers.sheet import open_file

__all__ = ["read_layout"]


def read_layout(path: str | Path, *, wells: int | None = None, concentration_unit: str | None = None) -> Layout:
    """Layout from a file, recognised by its content.

    Parameters
    ----------
    path : path
        A wellmap-style TOML, a CSV (comma, semicolon or tab) with one grid a
        layer or one well a row, or a workbook (XLSX) of either; a map of kinetic
        plates by stretches of rows (CSV) or as a list of wells (JSON).
    wells : int, optional
        Size of the plate (6 to 1536) where the file does not state it; by
        default the smallest of 96, 384 and 1536 that holds all wells.
    concentration_unit : str, optional
        Unit of concentrations that the file writes without one.

    Raises
    ------
    FileError
        If the file cannot be read or is none of these.
    StudyError, RangeError
        If it contradicts itself; the message names the file, the section or
        line, and the key.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "well,role,compound,concentration_uM\\nA1,DMSO,,\\nB2,sample,CM572,10\\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "map.csv")
    ...     _ = path.write_text(text, encoding="utf-8")
    ...     layout = read_layout(path)
    >>> layout.shape, list(layout.frame["role"]), list(layout.frame["concentration_M"])
    ((8, 12), ['vehicle', 'sample'], [0.0, 1e-05])
    """
    path = Path(path)
    shape = shape_of(wells, path.name) if wells is not None else None
    content = open_file(path, "a plate layout (TOML, CSV or XLSX)")
    if not isinstance(content, str):
        return read_sheets(content, shape, concentration_unit)
    if _looks_like_toml(content, path):
        return read_toml(content, path.name, shape, concentration_unit)
    read = read_records if looks_like_records(content) else read_text
    return read(content, path.name, shape, concentration_unit)


def _looks_like_toml(text: str, path: Path) -> bool:
    if path.suffix.lower() == ".toml":
        return True
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    return re.match(r"\s*\[\s*(meta|expt|plate|well|block|i?row|i?col)\b", first) is not None
