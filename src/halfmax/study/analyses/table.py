"""Tables of an analysis as columns of numbers in SI, with errors that name file, row and column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import TableError, nearest
from halfmax.estimate import Estimate
from halfmax.report.document import Analysis, Series
from halfmax.table import Source

__all__ = ["Array", "Found", "columns_of", "needed", "places", "status_of"]

Array = NDArray[np.float64]


class Found(NamedTuple):
    """An analysis, and the files it came from that no earlier one has named.

    `key` is entry and compound of the value that other entries refer to, and `percent` its
    competition curves as percent of specific binding.
    """

    analysis: Analysis
    sources: list[Source]
    key: tuple[str, str] = ("", "")
    percent: tuple[Series, ...] = ()


def columns_of(
    path: Path, numbers: Mapping[str, float], texts: tuple[str, ...] = ()
) -> tuple[dict[str, Array], dict[str, list[str]]]:
    """Columns of a table: numbers times a factor, NaN where a cell is empty, and columns of texts."""
    from halfmax.readers.cell import comma_of, number
    from halfmax.readers.column import header_row
    from halfmax.readers.sheet import open_book

    sheet = open_book(path).sheets[0]
    head = header_row(sheet)
    names = [name.strip() for name in sheet.cells(head)]
    places = {}
    for name in (*numbers, *texts):
        if name not in names:
            raise TableError(f'{path.name}: there is no column "{name}". {nearest(name, names)}')
        places[name] = names.index(name)
    rows = [row for row in range(head + 1, len(sheet.rows)) if not sheet.is_blank(row)]
    cells = {name: [_cell(sheet.cells(row), place) for row in rows] for name, place in places.items()}
    comma = comma_of([cell for name in numbers for cell in cells[name]])
    result = {}
    for name, factor in numbers.items():
        values = [math.nan if not cell else number(cell, comma) for cell in cells[name]]
        if None in values:
            at = values.index(None)
            raise TableError(
                f'{path.name}, row {rows[at] + 1}: {name} must be a number, found "{cells[name][at]}". '
                "Correct it, or leave the cell empty where nothing was measured."
            )
        result[name] = factor * np.array(values, dtype=float)
    return result, {name: cells[name] for name in texts}


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place].strip() if place < len(cells) else ""


def needed(path: Path, columns: Mapping[str, Array], *, without: str) -> None:
    """Refuse an empty cell in what was set; only what was read may be missing."""
    for name, column in columns.items():
        bad = np.flatnonzero(np.isnan(column))
        if name != without and bad.size:
            raise TableError(f"{path.name}: {name} is empty in data row {bad[0] + 1}. Every well needs it.")


def places(values: Array) -> Array:
    """Places of a smooth line between the concentrations above zero."""
    above = values[values > 0]
    return np.geomspace(above.min(), above.max(), 121)


def status_of(estimate: Estimate) -> str:
    return "" if estimate.status == "ok" else estimate.status
