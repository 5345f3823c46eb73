"""Positions on a plate: ``A1``, ``A01``, ``a1`` and ``AA1`` name wells, and a plate is 6 to 1536 of them.

The canonical name has an upper-case row and a column without leading zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from halfmax.errors import RangeError

__all__ = [
    "PLATE_SHAPES",
    "edge_distance",
    "parse_well",
    "plate_shape",
    "row_column",
    "row_label",
    "well_name",
    "well_names",
]

#: Rows and columns of the plates that are made, by number of wells.
PLATE_SHAPES: dict[int, tuple[int, int]] = {
    6: (2, 3),
    12: (3, 4),
    24: (4, 6),
    48: (6, 8),
    96: (8, 12),
    384: (16, 24),
    1536: (32, 48),
}
_WELL = re.compile(r"^\s*([A-Za-z]{1,2})\s*0*([1-9]\d?)\s*$")


def row_label(row: int) -> str:
    """Letter of a row counted from 0.

    Examples
    --------
    >>> row_label(0), row_label(7), row_label(26), row_label(31)
    ('A', 'H', 'AA', 'AF')
    """
    if not 0 <= row < 32:
        raise RangeError(f"row must lie in 0…31, found {row}.")
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def row_column(name: str) -> tuple[int, int]:
    """Row and column of a well, both counted from 0.

    Raises
    ------
    RangeError
        If the text names no well of any plate up to 1536 wells.

    Examples
    --------
    >>> row_column("A01"), row_column("h12"), row_column("AF48")
    ((0, 0), (7, 11), (31, 47))
    """
    match = _WELL.match(str(name))
    if match is None:
        raise RangeError(f'"{name}" is not a well. Expected a row letter and a column number, such as A1 or AF48.')
    letters, column = match.group(1).upper(), int(match.group(2)) - 1
    row = ord(letters) - 65 if len(letters) == 1 else 26 + ord(letters[1]) - 65
    if (len(letters) == 2 and letters[0] != "A") or row >= 32 or column >= 48:
        raise RangeError(f'"{name}" lies outside every plate (rows A…AF, columns 1…48).')
    return row, column


def well_name(row: int, column: int) -> str:
    """Canonical name of the well at a row and column counted from 0.

    Examples
    --------
    >>> well_name(2, 6)
    'C7'
    """
    return f"{row_label(row)}{column + 1}"


def parse_well(name: str, shape: tuple[int, int] | None = None) -> str:
    """Canonical name of a well, checked against a plate where its shape is given.

    Examples
    --------
    >>> parse_well("a01")
    'A1'
    >>> parse_well("P24", shape=(8, 12))
    Traceback (most recent call last):
    ...
    halfmax.errors.RangeError: well P24 lies outside a plate of 8 × 12 = 96 wells.
    """
    row, column = row_column(name)
    if shape is not None and (row >= shape[0] or column >= shape[1]):
        raise RangeError(
            f"well {well_name(row, column)} lies outside a plate of "
            f"{shape[0]} × {shape[1]} = {shape[0] * shape[1]} wells."
        )
    return well_name(row, column)


def well_names(shape: tuple[int, int]) -> list[str]:
    """All wells of a plate, row by row.

    Examples
    --------
    >>> well_names((2, 3))
    ['A1', 'A2', 'A3', 'B1', 'B2', 'B3']
    """
    return [well_name(row, column) for row in range(shape[0]) for column in range(shape[1])]


def plate_shape(wells: Iterable[str]) -> tuple[int, int]:
    """Smallest plate that is made and holds all these wells.

    Examples
    --------
    >>> plate_shape(["A1", "H12"]), plate_shape(["I1"])
    ((8, 12), (16, 24))
    """
    places = [row_column(well) for well in wells]
    rows = 1 + max((row for row, _ in places), default=0)
    columns = 1 + max((column for _, column in places), default=0)
    for shape in PLATE_SHAPES.values():
        if shape[0] * shape[1] >= 96 and rows <= shape[0] and columns <= shape[1]:
            return shape
    raise RangeError(f"no plate has {rows} rows and {columns} columns.")


def edge_distance(name: str, shape: tuple[int, int]) -> int:
    """Number of wells between this one and the nearest edge (0 on the edge)."""
    row, column = row_column(name)
    return min(row, column, shape[0] - 1 - row, shape[1] - 1 - column)
