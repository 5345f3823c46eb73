"""Plate-reader exports: `read` finds out by content which program wrote a file, and reads it.

Every reader is a pair of functions, ``recognises(book) -> bool`` and
``parse(book) -> list[Reading]``, in one of the modules of `formats`; `FORMATS` lists
them in the order in which they are asked.  What they promise: a reading of every
well of the read area, the instrument's own number or NaN with the flag that says
why (never 0 for a missing one), and a refusal where a file is cut off or doubtful.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halfmax.errors import FileError, TableError
from halfmax.readers.cell import Reading
from halfmax.readers.formats import drawn, flipr, gen5, plain, softmax, tecan
from halfmax.readers.sheet import Book, open_book
from halfmax.table import AssayTable, Source

__all__ = ["FORMATS", "Format", "read", "table_of"]


@dataclass(frozen=True)
class Format:
    """A kind of export: its name, how it is recognised, and how it is read."""

    name: str
    recognises: Callable[[Book], bool]
    parse: Callable[[Book], list[Reading]]


#: All formats, in the order in which they are asked: those with a signature of
#: their own first, then the well list, then any drawn plate.
FORMATS: tuple[Format, ...] = (
    Format("softmax", softmax.recognises, softmax.parse),
    Format("flipr", flipr.recognises, flipr.parse),
    Format("gen5", gen5.recognises, gen5.parse),
    Format("bmg mars", drawn.recognises_mars, drawn.parse_mars),
    Format("envision", drawn.recognises_envision, drawn.parse_envision),
    Format("kaleido", drawn.recognises_kaleido, drawn.parse_kaleido),
    Format("i-control", tecan.recognises_icontrol, tecan.parse_icontrol),
    Format("magellan", tecan.recognises_magellan, tecan.parse_magellan),
    Format("skanit", drawn.recognises_skanit, drawn.parse_skanit),
    Format("tidy csv", plain.recognises_tidy, plain.parse_tidy),
    Format("grid", plain.recognises_grid, plain.parse_grid),
)


def read(path: str | Path) -> AssayTable:
    """Table of all raw readings of a plate reader's export, a table of wells, or drawn plates.

    Parameters
    ----------
    path : str or Path
        SoftMax Pro, FLIPR, Gen5, BMG MARS, EnVision, Kaleido, Tecan i-control or
        Magellan, SkanIt; or a CSV, TSV, text or Excel file with a line per well or with
        plates of 8 × 12, 16 × 24 or 32 × 48. The name of the file does not matter.

    Returns
    -------
    AssayTable
        plate, well, channel, time_s (NaN for an endpoint), signal and flag filled;
        also replicate and experiment where a table of wells has them. Roles stay
        ``unassigned``: a layout gives them.

    Raises
    ------
    FileError
        If the file cannot be read, is cut off, or is no plate; the message says
        where, what was expected, what was found and what to do.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "plate_1.csv"
    >>> _ = path.write_text("well;OD570\\nA1;0,512\\nA2;OVRFLW\\n")
    >>> table = read(path)
    >>> table.frame[["plate", "well", "channel", "signal", "flag"]].values.tolist()
    [['plate_1', 'A1', '570', 0.512, ''], ['plate_1', 'A2', '570', nan, 'saturated']]
    """
    book = open_book(path)
    plain.refuse_transfers(book)
    for kind in FORMATS:
        if kind.recognises(book):
            readings = kind.parse(book)
            if all(reading.flag == "empty" for reading in readings):
                raise FileError(
                    f"{book.file}: a {kind.name} file in which every well is empty. The plate was not read; "
                    "export it after the run."
                )
            return table_of(readings, Source.of(book.path, reader=kind.name))
    return _read_unknown(book)


def table_of(readings: list[Reading], source: Source) -> AssayTable:
    """Readings of one file as a table."""
    columns = {
        name: [getattr(reading, name) for reading in readings]
        for name in ("time_s", "plate", "well", "experiment", "replicate", "channel", "signal", "flag")
    }
    try:
        return AssayTable.of(dict(columns), [source])
    except TableError as error:
        raise FileError(f"{source.file}: {error}") from error


def _read_unknown(book: Book) -> AssayTable:
    """Last resort: allotropy where it is installed, else a refusal that names what would have been read."""
    begin = next((text for cells in book.head(1) for text in cells if text), "")
    refusal = (
        f'{book.file}: no plate in a form that halfmax knows (it begins with "{begin[:40]}"). Expected an export of '
        "SoftMax Pro, FLIPR, Gen5, BMG MARS, EnVision, Kaleido, i-control, Magellan or SkanIt, a table with a column "
        "of wells, or a drawn plate with row letters and column numbers. "
    )
    if importlib.util.find_spec("allotropy") is None:
        raise FileError(
            refusal + 'Other instruments: `pip install "halfmax[vendor]"` may help. '
            "A long table of doses and responses goes to `halfmax fit`."
        )
    from halfmax.readers.vendor import read_vendor

    try:
        return read_vendor(book.path)
    except FileError as error:
        raise FileError(f"{refusal}allotropy was asked, too: {error}") from error
