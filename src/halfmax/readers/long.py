"""Long tables of dose and response (CSV or Parquet), one observation a row, read in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError, TableError, nearest
from halfmax.response import Response
from halfmax.units import concentration_factor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "read_curves", "stream_curves", "text_size"]

Array = NDArray[np.float64]
_BLOCK = 200_000


@dataclass(frozen=True)
class Columns:
    """Which columns of a long table mean what.

    Parameters
    ----------
    concentration, response : str
        Names of columns.
    by : tuple of str
        Columns whose values tell the curves apart.
    unit : str or None
        Unit of the concentrations; with it they are converted to M.
    """

    concentration: str
    response: str
    by: tuple[str, ...] = ()
    unit: str | None = None

    @property
    def names(self) -> list[str]:
        """All columns, each once."""
        return list(dict.fromkeys([self.concentration, self.response, *self.by]))

    def curve(self, key: tuple[str, ...], dose: Array, signal: Array) -> tuple[dict[str, str], Response]:
        """Labels and response of one curve."""
        labels = dict(zip(self.by, key, strict=True))
        title = ", ".join(f"{column} {value}" for column, value in labels.items()) or self.response
        return labels, Response.of(dose, signal, quantity=title, concentration_unit="M" if self.unit else "")


def read_curves(files: Sequence[Path], columns: Columns) -> list[tuple[dict[str, str], Response]]:
    """Responses of long tables, one for each combination of the `by` columns, in order of appearance.

    The rows may come in any order; the named columns are held in memory. Rows of
    concentration 0 are vehicle; a row without a response is missing.

    Raises
    ------
    FileError
        If a file is not a table with these columns.
    TableError
        If a concentration is negative, missing or not finite, or a number is text; the
        message names the row, counted as in a text editor.
    """
    import pandas as pd

    blocks = list(_numbers(files, columns))
    if not blocks:
        raise FileError(f"{files[0].name}: holds a header and no rows.")
    dose, signal = np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])
    if not columns.by:
        return [columns.curve((), dose, signal)]
    keys = pd.concat([block[2] for block in blocks], ignore_index=True)
    groups = keys.groupby(list(columns.by), sort=False).indices
    return [
        columns.curve(tuple(map(str, key if isinstance(key, tuple) else (key,))), dose[rows], signal[rows])
        for key, rows in groups.items()
    ]


def stream_curves(files: Sequence[Path], columns: Columns) -> Iterator[tuple[dict[str, str], Response]]:
    """The same one after the other, with only one block in memory; the rows of a curve must stand together.

    Raises
    ------
    TableError
        Besides those of `read_curves`: if a curve goes on after another one has begun.
    """
    key: tuple[str, ...] | None = None
    seen: set[int] = set()
    doses: list[Array] = []
    signals: list[Array] = []
    for dose, signal, keys in _numbers(files, columns):
        changed = (keys != keys.shift()).any(axis=1).to_numpy()
        starts = np.flatnonzero(changed)
        for first, last in zip(starts, np.append(starts[1:], len(keys)), strict=True):
            own = tuple(map(str, keys.iloc[first]))
            if own != key:
                if key is not None:
                    yield columns.curve(key, np.concatenate(doses), np.concatenate(signals))
                if hash(own) in seen:
                    shown = ", ".join(own)
                    raise TableError(
                        f"the rows of curve {shown} do not stand together. Sort the table by {', '.join(columns.by)}."
                    )
                seen.add(hash(own))
                key, doses, signals = own, [], []
            doses.append(dose[first:last])
            signals.append(signal[first:last])
    if key is None:
        raise FileError(f"{files[0].name}: holds a header and no rows.")
    yield columns.curve(key, np.concatenate(doses), np.concatenate(signals))


def _numbers(files: Sequence[Path], columns: Columns) -> Iterator[tuple[Array, Array, pd.DataFrame]]:
    """Checked blocks of (concentrations, responses, keys as text) of all files."""
    factor = concentration_factor(columns.unit) if columns.unit else 1.0
    for file in files:
        line = 2
        for block in _parquet(file, columns) if _is_parquet(file) else _blocks(file, columns):
            if len(block) == 0:
                continue
            _check(file.name, block, columns.concentration, columns.response, line)
            line += len(block)
            keys = block[list(columns.by)].astype(str)
            yield (
                block[columns.concentration].to_numpy(dtype=float) * factor,
                block[columns.response].to_numpy(dtype=float),
                keys,
            )


def text_size(file: Path) -> int:
    """Bytes of a table as text; those of a Parquet file are estimated from its rows."""
    if not _is_parquet(file):
        return file.stat().st_size
    return 30 * int(_parquet_file(file).metadata.num_rows)


def _is_parquet(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            return stream.read(4) == b"PAR1"
    except FileNotFoundError:
        raise FileError(f"{file}: there is no such file.") from None
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror}).") from error


def _parquet(file: Path, columns: Columns) -> Iterator[pd.DataFrame]:
    """Blocks of the named columns of a Parquet file."""
    table = _parquet_file(file)
    for column in columns.names:
        if column not in table.schema_arrow.names:
            raise FileError(f'{file.name}: there is no column "{column}". {nearest(column, table.schema_arrow.names)}')
    for batch in table.iter_batches(batch_size=_BLOCK, columns=columns.names):
        yield batch.to_pandas()


def _parquet_file(file: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FileError(
            f'{file.name}: Parquet needs pyarrow, which is not installed. pip install "halfmax[parquet]"'
        ) from error
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{file.name}: not a Parquet file that can be read: {error}.") from error


def _separator(file: Path, columns: Sequence[str]) -> str:
    """Separator of the header, which must hold all columns."""
    with open(file, "rb") as stream:
        start = stream.read(1 << 16)
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


def _blocks(file: Path, columns: Columns) -> Iterator[pd.DataFrame]:
    """Blocks of the named columns of a CSV; a number that is text is an error that names its row."""
    import pandas as pd

    separator, numbers = _separator(file, columns.names), [columns.concentration, columns.response]
    options: dict[str, Any] = {
        "sep": separator,
        "usecols": columns.names,
        "skipinitialspace": True,
        "encoding": "utf-8-sig",
        "encoding_errors": "replace",
        "chunksize": _BLOCK,
        "decimal": "," if separator == ";" else ".",
    }
    types: dict[str, type] = {name: float if name in numbers else str for name in columns.names}
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
    dose, signal = block[concentration].to_numpy(dtype=float), block[response].to_numpy(dtype=float)
    for bad, column, what in (
        (~np.isfinite(dose) | (dose < 0), concentration, "a finite number ≥ 0"),
        (np.isinf(signal), response, "finite, or empty where the well is missing"),
    ):
        rows = np.flatnonzero(bad)
        if rows.size:
            found = block[column].iloc[rows[0]]
            raise TableError(f'{file}, row {line + int(rows[0])}: column "{column}" must be {what}, found {found:g}.')
