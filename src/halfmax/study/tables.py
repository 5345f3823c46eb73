"""Long tables of a study: one well a row, named columns → AssayTable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halfmax.errors import FileError, TableError
from halfmax.readers import long
from halfmax.study.entries import TableEntry
from halfmax.table import AssayTable, Source
from halfmax.units import duration
from halfmax.wells import PLATE_SHAPES, well_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

#: Roles of wells that hold no compound and are no vehicle.
_WITHOUT = ("kill", "blank", "unused")


def read_table(entry: TableEntry, path: Path) -> AssayTable:
    """Readings of one long table of a study.

    Without a column of roles, rows of concentration 0 are vehicle wells and all others
    samples. Rows without a signal are missing wells.

    Parameters
    ----------
    entry : TableEntry
    path : Path
        CSV or Parquet.

    Returns
    -------
    AssayTable
        With one channel, named like the column of the signals. A plate is called like
        the file, or ``file · plate`` where the file holds several.

    Raises
    ------
    FileError
        If the file is not a table with these columns.
    TableError
        If a cell is not what its column holds, or a row has no experiment or plate.
    """
    frame = _rows(entry, path)
    plates = _texts(frame, entry.plate_column, "", required=path.name)
    several = plates.nunique() > 1
    roles = _texts(frame, entry.role_column, "").where(lambda role: role != "", _roles(frame))
    contradicted = frame[(roles == "vehicle") & (frame["concentration_M"] > 0)]
    if len(contradicted):
        raise TableError(
            f"{path.name}: a row says vehicle but has a concentration of "
            f"{contradicted['concentration_M'].iloc[0]:.3g} M. Vehicle wells have 0; compound makes a sample."
        )
    signal = frame["signal"]
    return AssayTable.of(
        {
            "assay": "viability",
            "compound": _texts(frame, entry.compound_column, entry.compound),
            "concentration_M": frame["concentration_M"].where(~roles.isin(_WITHOUT)),
            "time_s": duration(entry.time) if entry.time else float("nan"),
            "cell_line": _texts(frame, entry.cell_line_column, entry.cell_line),
            "plate": [f"{path.stem} · {plate}" if several else path.stem for plate in plates],
            "well": _wells(frame, entry, path.name),
            "experiment": _texts(frame, entry.experiment_column, entry.experiment, required=path.name),
            "role": roles,
            "channel": entry.signal_column,
            "signal": signal,
            "flag": signal.isna().map({True: "missed", False: ""}),
        },
        [Source.of(path, reader="long table")],
    )


def _rows(entry: TableEntry, path: Path) -> pd.DataFrame:
    """One row a well: concentration in M, signal, and the texts of the label columns."""
    import pandas as pd

    columns = long.Columns(entry.concentration_column, entry.signal_column, by=entry.label_columns, unit=entry.unit)
    parts = [
        labels.add_prefix("label ").assign(concentration_M=concentration, signal=signal)
        for concentration, signal, labels in long.read_rows([path], columns)
    ]
    if not parts:
        raise FileError(f"{path.name}: holds a header and no rows.")
    return pd.concat(parts, ignore_index=True)


def _texts(frame: pd.DataFrame, column: str | None, constant: str, *, required: str = "") -> pd.Series:
    """Labels of all rows, from a column or the same for all; `required` names the file where none may be empty."""
    import pandas as pd

    if column is None:
        return pd.Series(constant, index=frame.index, dtype=object)
    texts = frame[f"label {column}"].astype(object).fillna("").replace("nan", "")
    if required and (texts == "").any():
        raise TableError(f'{required}: column "{column}" is empty in a row. Every row needs its {column}.')
    return texts


def _roles(frame: pd.DataFrame) -> pd.Series:
    """Vehicle where the concentration is 0, else sample."""
    return (frame["concentration_M"] == 0).map({True: "vehicle", False: "sample"})


def _wells(frame: pd.DataFrame, entry: TableEntry, file: str) -> pd.Series:
    """Names of wells; numbered ones as they are counted on their plate."""
    texts = _texts(frame, entry.well_column, "")
    numbered = texts.str.fullmatch(r"\d+")
    if not numbered.any():
        return texts
    if entry.well_numbers == "none":
        raise TableError(
            f'{file}: column "{entry.well_column}" holds numbers, found "{texts[numbered].iloc[0]}". Say how wells are '
            'counted: well_numbers = "down" (A1, B1, …) or "across" (A1, A2, …), or leave well_column out.'
        )
    rows, columns = PLATE_SHAPES[entry.plate_wells]
    names = {}
    for text in texts[numbered].unique():
        place = int(text) - 1
        if not 0 <= place < rows * columns:
            raise TableError(f'{file}: column "{entry.well_column}": a plate of {rows * columns} has no well {text}.')
        row, column = (place % rows, place // rows) if entry.well_numbers == "down" else divmod(place, columns)
        names[text] = well_name(row, column)
    return texts.replace(names)
