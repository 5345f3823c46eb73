"""Long tables of dose and response (CSV), one observation a row, read in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfmax.errors import FileError, TableError, nearest
from halfmax.response import Response
from halfmax.units import concentration_factor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_curves"]

_BLOCK = 200_000


def read_curves(
    path: str | Path, *, concentration: str, response: str, by: Sequence[str] = (), unit: str | None = None
) -> list[tuple[dict[str, str], Response]]:
    """Responses of a long CSV, one for each combination of the `by` columns, in order of appearance.

    Only the named columns are held in memory. Rows of concentration 0 are vehicle; a
    row without a response is missing.

    Parameters
    ----------
    path : path
        CSV with a header; ``,``, ``;`` (then with decimal commas) or tab between columns.
    concentration, response : str
        Names of columns.
    by : sequence of str
        Columns whose values tell the curves apart.
    unit : str, optional
        Unit of the concentrations; with it they are converted to M.

    Raises
    ------
    FileError
        If the file is not a CSV with these columns.
    TableError
        If a concentration is negative, missing or not finite, or a number is text; the
        message names the row, counted as in a text editor.
    """
    import numpy as np
    import pandas as pd

    file = Path(path)
    columns = [concentration, response, *by]
    separator = _separator(file, columns)
    factor = concentration_factor(unit) if unit else 1.0
    doses, signals, keys = [], [], []
    line = 2
    for block in _blocks(file, separator, columns, [concentration, response]):
        _check(file.name, block, concentration, response, line)
        doses.append(block[concentration].to_numpy(dtype=float) * factor)
        signals.append(block[response].to_numpy(dtype=float))
        keys.append(block[list(by)].astype("category") if by else None)
        line += len(block)
    if not sum(block.size for block in doses):
        raise FileError(f"{file.name}: holds a header and no rows.")
    dose, signal = np.concatenate(doses), np.concatenate(signals)
    name = (unit and "M") or ""
    if not by:
        return [({}, Response.of(dose, signal, quantity=response, concentration_unit=name))]
    joined = pd.concat([key.astype(str) for key in keys if key is not None], ignore_index=True)
    groups = joined.groupby(list(by), sort=False).indices
    curves = []
    for key, rows in groups.items():
        values = key if isinstance(key, tuple) else (key,)
        labels = dict(zip(by, (str(value) for value in values), strict=True))
        title = ", ".join(f"{column} {value}" for column, value in labels.items())
        curves.append((labels, Response.of(dose[rows], signal[rows], quantity=title, concentration_unit=name)))
    return curves


def _separator(file: Path, columns: Sequence[str]) -> str:
    """Separator of the header, which must hold all columns."""
    try:
        with open(file, "rb") as stream:
            start = stream.read(1 << 16)
    except FileNotFoundError:
        raise FileError(f"{file}: there is no such file.") from None
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror}).") from error
    head = start.split(b"\n", 1)[0]
    if not start.strip():
        raise FileError(f"{file.name}: is empty. Expected a CSV with the columns {', '.join(columns)}.")
    if b"\0" in start:
        raise FileError(f"{file.name}: is a binary file, not a CSV. Expected the columns {', '.join(columns)}.")
    text = head.decode("utf-8-sig", errors="replace").strip("\r\n")
    separator = max((";", "\t", ","), key=text.count)
    names = [name.strip().strip('"') for name in text.split(separator)]
    for column in columns:
        if column not in names:
            raise FileError(f'{file.name}: there is no column "{column}". {nearest(column, names)}')
    return separator


def _blocks(file: Path, separator: str, columns: Sequence[str], numbers: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Blocks of the named columns; a number that is text is an error that names its row."""
    import pandas as pd

    options: dict[str, Any] = {
        "sep": separator,
        "usecols": list(dict.fromkeys(columns)),
        "skipinitialspace": True,
        "encoding": "utf-8-sig",
        "encoding_errors": "replace",
        "chunksize": _BLOCK,
        "decimal": "," if separator == ";" else ".",
    }
    types = dict.fromkeys(columns, str) | dict.fromkeys(numbers, float)
    try:
        yield from pd.read_csv(file, dtype=types, **options)
    except (ValueError, pd.errors.ParserError) as error:
        _find_text(file, numbers, options)
        raise FileError(f"{file.name}: not a CSV that can be read: {error}.") from error


def _find_text(file: Path, numbers: Sequence[str], options: dict[str, Any]) -> None:
    """Raise TableError at the first cell that should be a number and is not."""
    import pandas as pd

    line = 2
    for block in pd.read_csv(file, dtype=str, **options):
        for column in numbers:
            text = block[column].dropna()
            plain = text.str.replace(",", ".", regex=False) if options["decimal"] == "," else text
            bad = text[pd.to_numeric(plain, errors="coerce").isna()]
            if len(bad):
                raise TableError(
                    f'{file.name}, row {line + int(bad.index[0]) - int(block.index[0])}: column "{column}" must hold '
                    f'numbers, found "{bad.iloc[0]}". Leave the cell empty where a well is missing.'
                )
        line += len(block)


def _check(file: str, block: pd.DataFrame, concentration: str, response: str, line: int) -> None:
    """Concentrations finite and not negative, responses not infinite."""
    import numpy as np

    dose, signal = block[concentration].to_numpy(dtype=float), block[response].to_numpy(dtype=float)
    for bad, column, what in (
        (~np.isfinite(dose) | (dose < 0), concentration, "a finite number ≥ 0"),
        (np.isinf(signal), response, "finite, or empty where the well is missing"),
    ):
        rows = np.flatnonzero(bad)
        if rows.size:
            found = block[column].iloc[rows[0]]
            raise TableError(f'{file}, row {line + int(rows[0])}: column "{column}" must be {what}, found {found:g}.')
