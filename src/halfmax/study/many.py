"""The road for many curves: long tables → batches of fits → one table, in bounded memory, resumable.

While a run is under way its batches stand in a hidden folder beside the output, with a
manifest that says what was asked.  The output appears when all batches are there, and the
folder goes; after an interruption the run is taken up where it stopped.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from halfmax import __version__
from halfmax.errors import FileError, RangeError
from halfmax.estimate.many import BATCH, WELLS, Records, fit_curves
from halfmax.output import csv_text, write_file
from halfmax.parallel import map_batches
from halfmax.readers.long import Columns, Curves, in_batches, read_curves, stream_curves, text_size

__all__ = ["LARGE", "Work", "expand", "fit_tables", "fit_to_file"]

#: Bytes of input, as text, from which on rows of a curve must stand together and the output goes to a file.
LARGE = 64_000_000
#: Batches in a row group of a Parquet output.
_ROW_GROUP = 20
#: Told of each batch: how many curves are done.
Progress = Callable[[int], None]
Record = dict[str, object]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """What is fitted, how, and by whom."""

    files: tuple[Path, ...]
    columns: Columns
    model: str = "hill4"
    level: float = 0.95
    workers: int = 1
    cluster: str | None = None

    @property
    def large(self) -> bool:
        """Whether the input is too large to be held in memory."""
        return bool(self.columns.by) and sum(map(text_size, self.files)) > LARGE

    def batches(self) -> Iterator[Curves]:
        """Curves, a batch at a time."""
        parts = stream_curves(self.files, self.columns) if self.large else [read_curves(self.files, self.columns)]
        return in_batches(parts, curves=BATCH, rows=WELLS)

    def results(self, finish: Callable[[Records], Result], *, skip: int = 0) -> Iterator[Result]:
        """What `finish` makes, where the fit is done, of the records of each batch but the first ones."""
        work = partial(_fit, model=self.model, level=self.level, finish=finish)
        return map_batches(work, islice(self.batches(), skip, None), workers=self.workers, cluster=self.cluster)


def _fit(curves: Curves, *, model: str, level: float, finish: Callable[[Records], Result]) -> Result:
    """One batch; EC50 in what the concentrations are in."""
    records = fit_curves(curves, model, level=level)
    columns = curves.columns
    if not columns.unit and "ec50" in records.columns:
        records.columns["ec50_unit"] = np.full(len(records), f"unit of {columns.concentration}", dtype=object)
    return finish(records)


def expand(patterns: Sequence[Path]) -> tuple[Path, ...]:
    """Files of some paths and patterns (``plates/*.csv``), in order, each once.

    Raises
    ------
    FileError
        If a path is not there, or a pattern matches nothing.
    """
    found: list[Path] = []
    for pattern in patterns:
        if pattern.is_file():
            found.append(pattern)
            continue
        if not any(sign in pattern.name for sign in "*?["):
            raise FileError(f"{pattern}: there is no such file.")
        matches = sorted(path for path in pattern.parent.glob(pattern.name) if path.is_file())
        if not matches:
            raise FileError(f"{pattern}: no file matches.")
        found += matches
    return tuple(dict.fromkeys(found))


def fit_tables(work: Work, progress: Progress) -> list[Record]:
    """All records, in memory."""
    records: list[Record] = []
    for batch in work.results(Records.rows):
        records += batch
        progress(len(records))
    return records


def fit_to_file(work: Work, output: Path, progress: Progress, *, resume: bool = False) -> tuple[int, int]:
    """Fit and write one table, whole or not at all; returns how many curves there are, and how many are open.

    Parameters
    ----------
    work : Work
    output : Path
        ``.csv`` or ``.parquet``.
    progress : callable
    resume : bool
        Take up a run that was interrupted, if it asked for the same.

    Raises
    ------
    FileError
        If the output cannot be written, or an interrupted run asked for something else.
    """
    suffix = output.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise RangeError(f'{output.name}: many curves go to ".csv" or ".parquet", not "{suffix}".')
    if suffix == ".parquet":
        _arrow()
    parts = output.parent / f".{output.name}.parts"
    _begin(output, parts, _manifest(work, suffix), resume=resume)
    finish = _csv_part if suffix == ".csv" else _arrow_part
    made = _made(parts)
    count = _total(made, "curves")
    progress(count)
    try:
        for part in work.results(finish, skip=len(made)):
            place = parts / f"{len(made):06d}.{part.curves}-curves.{part.opened}-open"
            write_file(place, part.content)
            made.append(place)
            count += part.curves
            progress(count)
    except BaseException:
        if not made:
            shutil.rmtree(parts)
        raise
    _join(made, output, suffix)
    shutil.rmtree(parts)
    return count, _total(made, "open")


def _made(parts: Path) -> list[Path]:
    """The batches that are there, in order."""
    return sorted(path for path in parts.iterdir() if path.name[:1].isdigit())


def _total(made: Sequence[Path], what: str) -> int:
    """How many curves some batches hold, or how many open ones, by their names."""
    return sum(int(number) for number in re.findall(rf"(\d+)-{what}", " ".join(path.name for path in made)))


@dataclass(frozen=True)
class _Part:
    """A batch as it is kept until all are there, how many curves it holds, and how many of them are open."""

    content: bytes
    curves: int
    opened: int


def _csv_part(records: Records) -> _Part:
    """A batch as CSV."""
    return _Part(csv_text(records.rows()).encode(), len(records), records.opened)


def _arrow_part(records: Records) -> _Part:
    """A batch as a stream of Arrow, NaN as nothing."""
    pa = _arrow()[0]
    types = {"O": pa.string(), "i": pa.int64(), "f": pa.float64()}
    table = pa.table({
        name: pa.array(values, types[values.dtype.kind], from_pandas=True) for name, values in records.columns.items()
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return _Part(sink.getvalue().to_pybytes(), len(records), records.opened)


def _manifest(work: Work, suffix: str) -> str:
    """What a run asks for; two runs may share their batches only where it is the same."""
    inputs = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in work.files]
    asked: dict[str, Any] = {
        "inputs": inputs, "columns": asdict(work.columns), "model": work.model, "level": work.level,
        "batch": [BATCH, WELLS], "format": suffix, "version": __version__,
    }  # fmt: skip
    return json.dumps(asked, indent=1)


def _begin(output: Path, parts: Path, manifest: str, *, resume: bool) -> None:
    """Make the folder of batches, or take up the one that is there."""
    note = parts / "manifest.json"
    if parts.exists() and resume:
        if not note.is_file() or note.read_text(encoding="utf-8") != manifest:
            raise FileError(f"{parts}: the interrupted run asked for something else. Run without --resume.")
        return
    if parts.exists():
        shutil.rmtree(parts)
    try:
        parts.mkdir()
    except OSError as error:
        raise FileError(f"{output}: cannot be written ({error.strerror}). Choose another place.") from error
    write_file(note, manifest)


def _join(parts: Sequence[Path], output: Path, suffix: str) -> None:
    """One table from all batches, a few of them in memory at a time."""
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output.parent) as folder:
        whole = Path(folder, output.name)
        (_join_csv if suffix == ".csv" else _join_parquet)(parts, whole)
        whole.replace(output)


def _join_csv(parts: Sequence[Path], whole: Path) -> None:
    with open(whole, "wb") as stream:
        for number, part in enumerate(parts):
            header, rows = part.read_bytes().split(b"\n", 1)
            stream.write((header + b"\n" if number == 0 else b"") + rows)


def _join_parquet(parts: Sequence[Path], whole: Path) -> None:
    pa, pq = _arrow()
    with pq.ParquetWriter(whole, pa.ipc.open_stream(parts[0].read_bytes()).schema) as writer:
        for first in range(0, len(parts), _ROW_GROUP):
            group = [pa.ipc.open_stream(part.read_bytes()).read_all() for part in parts[first : first + _ROW_GROUP]]
            writer.write_table(pa.concat_tables(group), row_group_size=_ROW_GROUP * BATCH)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FileError('Parquet needs pyarrow, which is not installed. pip install "halfmax[parquet]"') from error
    return pa, pq
