"""Names that people give to the columns of a table with a line per well, be it readings or a layout."""

from __future__ import annotations

import re

from halfmax.readers.sheet import Sheet

__all__ = ["NAMES", "folded", "header_row", "well_columns"]

#: Words for each column, the one that wins first; compare with the `folded` text of a header.
NAMES: dict[str, tuple[str, ...]] = {
    "plate": ("plate", "plate name", "plate id", "barcode"),
    "well": ("well", "wells", "well position", "well name", "position", "well id", "wellid", "wellname"),
    "experiment": ("experiment", "biological replicate", "exp"),
    "replicate": ("replicate", "technical replicate", "rep"),
}


def folded(text: str) -> str:
    """Text as names are compared: lower case, everything between letters and digits one blank.

    Examples
    --------
    >>> folded("Well_ID"), folded(" No-Cells ")
    ('well id', 'no cells')
    """
    return re.sub(r"[^a-z0-9]+", " ", text.casefold()).strip()


def header_row(sheet: Sheet) -> int:
    """First line that is neither empty nor a comment."""
    rows = range(len(sheet.rows))
    return next((row for row in rows if not sheet.is_blank(row) and not sheet.rows[row][0].lstrip().startswith("#")), 0)


def well_columns(sheet: Sheet, head: int) -> tuple[int, ...]:
    """Column of the wells, or those of their rows and columns; none where the header names neither."""
    names = [folded(text) for text in sheet.cells(head)]
    for name in NAMES["well"]:
        if name in names:
            return (names.index(name),)
    column = next((name for name in ("column", "col") if name in names), "")
    return (names.index("row"), names.index(column)) if column and "row" in names else ()
