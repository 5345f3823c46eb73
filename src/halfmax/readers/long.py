"""Long tables of dose and response (CSV or Parquet), one observation a row, read in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError, TableError, nearest
from halfmax.response import Response
from halfmax.units import concentration_factor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "Curves", "in_batches", "read_curves", "read_rows", "stream_curves", "text_size"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]
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


@dataclass(frozen=True)
class Curves:
    """Some curves as arrays, the rows of each together; they iterate as (labels, Response).

    Parameters
    ----------
    columns : Columns
    labels : tuple of arrays of str, each shape (curves,)
        Texts of the `by` columns; where a cell is empty, "".
    starts : array of int, shape (curves + 1,)
        Where the rows of each curve begin; the last is where all end.
    concentration, signal : array, shape (rows,)
    """

    columns: Columns
    labels: tuple[Texts, ...]
    starts: Indices
    concentration: Array
    signal: Array

    def __len__(self) -> int:
        return self.starts.size - 1

    def __iter__(self) -> Iterator[tuple[dict[str, str], Response]]:
        return ((self.labels_of(i), self.response(i)) for i in range(len(self)))

    def keys(self) -> list[tuple[str, ...]]:
        """Labels of each curve."""
        return list(zip(*self.labels, strict=True)) if self.labels else [()] * len(self)

    def labels_of(self, i: int) -> dict[str, str]:
        """Labels of one curve."""
        return dict(zip(self.columns.by, (texts[i] for texts in self.labels), strict=True))

    def response(self, i: int) -> Response:
        """One curve."""
        rows = slice(self.starts[i], self.starts[i + 1])
        title = ", ".join(f"{column} {value}" for column, value in self.labels_of(i).items()) or self.columns.response
        unit = "M" if self.columns.unit else ""
        return Response.of(self.concentration[rows], self.signal[rows], quantity=title, concentration_unit=unit)

    def part(self, first: int, last: int) -> Curves:
        """Curves from `first` to before `last`."""
        starts = self.starts[first : last + 1]
        rows = slice(starts[0], starts[-1])
        labels = tuple(texts[first:last] for texts in self.labels)
        return Curves(self.columns, labels, starts - starts[0], self.concentration[rows], self.signal[rows])

    @staticmethod
    def joined(parts: Sequence[Curves]) -> Curves:
        """Parts one after the other; where one begins with the curve that the one before ends with, it goes on."""
        if len(parts) == 1:
            return parts[0]
        offsets = np.cumsum([0, *(part.concentration.size for part in parts)])
        starts = np.concatenate([part.starts[:-1] + offset for part, offset in zip(parts, offsets, strict=False)])
        labels = tuple(np.concatenate(texts) for texts in zip(*(part.labels for part in parts), strict=True))
        seams = np.cumsum([len(part) for part in parts[:-1]])
        goes_on = [seam for seam in seams if all(texts[seam] == texts[seam - 1] for texts in labels)]
        return Curves(
            parts[0].columns,
            tuple(np.delete(texts, goes_on) for texts in labels),
            np.append(np.delete(starts, goes_on), offsets[-1]),
            np.concatenate([part.concentration for part in parts]),
            np.concatenate([part.signal for part in parts]),
        )


def in_batches(parts: Iterable[Curves], *, curves: int, rows: int) -> Iterator[Curves]:
    """The same, so many curves at a time, or fewer that have so many rows; always cut at the same places."""
    held: list[Curves] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) < curves and sum(one.signal.size for one in held) <= rows:
            continue
        whole, first = Curves.joined(held), 0
        while first < len(whole):
            last = int(np.searchsorted(whole.starts, whole.starts[first] + rows, side="right")) - 1
            last = min(max(last, first + 1), first + curves)
            if last >= len(whole) and last < first + curves:
                break
            yield whole.part(first, last)
            first = last
        held = [whole.part(first, len(whole))] if first < len(whole) else []
    if held:
        yield Curves.joined(held)


def read_curves(files: Sequence[Path], columns: Columns) -> Curves:
    """Curves of long tables, one for each combination of the `by` columns, in order of appearance.

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
    blocks = list(_blocks(files, columns))
    if not blocks:
        raise FileError(f"{files[0].name}: holds a header and no rows.")
    return _Block.joined(blocks).grouped().curves(columns)


def stream_curves(files: Sequence[Path], columns: Columns) -> Iterator[Curves]:
    """The same some at a time, with only one block in memory; the rows of a curve must stand together.

    Raises
    ------
    TableError
        Besides those of `read_curves`: if a curve goes on after another one has begun.
    """
    met, count = _Met(), 0
    for curves in _standing_together(files, columns):
        keys = curves.keys()
        for place in met.again(np.fromiter(map(_mark, keys), dtype=np.int64, count=len(keys))):
            before = chain.from_iterable(part.keys() for part in _standing_together(files, columns))
            if keys[place] in islice(before, count + int(place)):
                shown = ", ".join(keys[place])
                raise TableError(
                    f"the rows of curve {shown} do not stand together. Sort the table by {', '.join(columns.by)}."
                )
        count += len(curves)
        yield curves


def read_rows(files: Sequence[Path], columns: Columns) -> Iterator[tuple[Array, Array, pd.DataFrame]]:
    """Checked rows of long tables, a block at a time: concentrations, responses, and the `by` columns as text.

    Raises
    ------
    FileError, TableError
        As `read_curves`, but that a table may have no rows.
    """
    import pandas as pd

    for block in _blocks(files, columns):
        labels = {name: text[code] for name, text, code in zip(columns.by, block.texts, block.codes, strict=True)}
        yield block.concentration, block.signal, pd.DataFrame(labels, index=range(block.signal.size))


def _standing_together(files: Sequence[Path], columns: Columns) -> Iterator[Curves]:
    """Curves whose rows stand together, some at a time; one that comes again later is another."""
    last: list[Curves] = []
    for block in _blocks(files, columns):
        curves = Curves.joined([*last, block.curves(columns)])
        if len(curves) > 1:
            yield curves.part(0, len(curves) - 1)
        last = [curves.part(len(curves) - 1, len(curves))]
    if not last:
        raise FileError(f"{files[0].name}: holds a header and no rows.")
    yield last[0]


def _mark(key: tuple[str, ...]) -> int:
    return hash(key)


class _Met:
    """Marks of the curves met so far, 8 bytes each, in sorted runs of which each is at least twice the next."""

    def __init__(self) -> None:
        self.runs: list[NDArray[np.int64]] = []

    def again(self, marks: NDArray[np.int64]) -> Indices:
        """Which of some more marks were met before."""
        order = np.argsort(marks, kind="stable")
        fresh = marks[order]
        found = np.append(False, fresh[1:] == fresh[:-1])
        for run in self.runs:
            place = np.searchsorted(run, fresh)
            found |= run[np.minimum(place, run.size - 1)] == fresh
        self.runs.append(fresh)
        while len(self.runs) > 1 and self.runs[-2].size < 2 * self.runs[-1].size:
            self.runs[-2:] = [np.sort(np.concatenate(self.runs[-2:]), kind="stable")]
        return np.sort(order[found])


@dataclass(frozen=True)
class _Block:
    """Checked rows of a table; each `by` column as its texts and, row by row, which of them it is."""

    concentration: Array
    signal: Array
    codes: tuple[Indices, ...]
    texts: tuple[Texts, ...]

    @staticmethod
    def joined(blocks: Sequence[_Block]) -> _Block:
        """Blocks one after the other."""
        codes, texts = [], []
        for column in range(len(blocks[0].codes)):
            offsets = np.cumsum([0, *(block.texts[column].size for block in blocks)])
            shifted = [block.codes[column] + offset for block, offset in zip(blocks, offsets, strict=False)]
            code, text = _coded(np.concatenate(shifted), np.concatenate([block.texts[column] for block in blocks]))
            codes.append(code)
            texts.append(text)
        concentration = np.concatenate([block.concentration for block in blocks])
        return _Block(concentration, np.concatenate([b.signal for b in blocks]), tuple(codes), tuple(texts))

    def grouped(self) -> _Block:
        """The rows of each curve together, in order of appearance."""
        import pandas as pd

        curve = np.zeros(self.signal.size, dtype=np.int64)
        for codes, texts in zip(self.codes, self.texts, strict=True):
            curve = pd.factorize(curve * texts.size + codes)[0]
        order = np.argsort(curve, kind="stable")
        rows = tuple(codes[order] for codes in self.codes)
        return _Block(self.concentration[order], self.signal[order], rows, self.texts)

    def curves(self, columns: Columns) -> Curves:
        """Curves as their rows stand."""
        changed = np.zeros(self.signal.size, dtype=bool)
        changed[0] = True
        for code in self.codes:
            changed[1:] |= code[1:] != code[:-1]
        starts = np.flatnonzero(changed)
        labels = tuple(text[code[starts]] for code, text in zip(self.codes, self.texts, strict=True))
        return Curves(columns, labels, np.append(starts, self.signal.size), self.concentration, self.signal)


def _coded(codes: Indices, texts: Texts) -> tuple[Indices, Texts]:
    """The same with each text once."""
    import pandas as pd

    own, distinct = pd.factorize(texts)
    return (codes, texts) if distinct.size == texts.size else (own[codes], distinct)


def _text_column(values: pd.Series) -> tuple[Indices, Texts]:
    """Cells as codes and their texts; an empty cell is the text ""."""
    import pandas as pd

    codes, found = pd.factorize(values, use_na_sentinel=False)
    missing = pd.isna(found)
    texts = ["" if empty else str(value) for value, empty in zip(found.tolist(), missing, strict=True)]
    return _coded(codes, np.array(texts, dtype=object))


def _blocks(files: Sequence[Path], columns: Columns) -> Iterator[_Block]:
    """Checked blocks of all files."""
    factor = concentration_factor(columns.unit) if columns.unit else 1.0
    for file in files:
        line = 2
        for frame in _parquet(file, columns) if _is_parquet(file) else _csv(file, columns):
            if len(frame) == 0:
                continue
            _check(file.name, frame, columns.concentration, columns.response, line)
            line += len(frame)
            coded = [_text_column(frame[column]) for column in columns.by]
            dose, signal = (frame[name].to_numpy(dtype=float) for name in (columns.concentration, columns.response))
            yield _Block(dose * factor, signal, tuple(codes for codes, _ in coded), tuple(texts for _, texts in coded))


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
    with table:
        for batch in table.iter_batches(batch_size=_BLOCK, columns=columns.names):
            yield batch.to_pandas(integer_object_nulls=True)


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


def _csv(file: Path, columns: Columns) -> Iterator[pd.DataFrame]:
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
        with pd.read_csv(file, dtype=types, **options) as blocks:
            yield from blocks
    except (ValueError, pd.errors.ParserError) as error:
        _find_text(file, numbers, options)
        raise FileError(f"{file.name}: not a CSV that can be read: {error}.") from error


def _find_text(file: Path, numbers: Sequence[str], options: dict[str, Any]) -> None:
    """Raise TableError at the first cell that should be a number and is not."""
    import pandas as pd

    line = 2
    with pd.read_csv(file, dtype=str, **options) as blocks:
        for block in blocks:
            for column in numbers:
                text = block[column].dropna()
                plain = text.str.replace(",", ".", regex=False) if options["decimal"] == "," else text
                bad = text[pd.to_numeric(plain, errors="coerce").isna()]
                if len(bad):
                    raise TableError(
                        f'{file.name}, row {line + int(bad.index[0]) - int(block.index[0])}: column "{column}" must '
                        f'hold numbers, found "{bad.iloc[0]}". Leave the cell empty where a well is missing.'
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
