"""The road for many curves: long tables → batches of fits → one table, in bounded memory, resumable.

While a run is under way its batches stand in a hidden folder beside the output, with a
manifest that says what was asked.  The output appears when all batches are there, and the
folder goes; after an interruption the run is taken up where it stopped.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halfmax import __version__
from halfmax.errors import FileError, RangeError
from halfmax.estimate.many import BATCH, fit_many
from halfmax.output import csv_text, write_file
from halfmax.readers.long import Columns, read_curves, stream_curves, text_size

__all__ = ["LARGE", "Work", "expand", "fit_tables", "fit_to_file"]

#: Bytes of input, as text, from which on rows of a curve must stand together and the output goes to a file.
LARGE = 64_000_000
#: Told of each batch: how many curves are done.
Progress = Callable[[int], None]
Record = dict[str, object]


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

    def batches(self, skip: int = 0) -> Iterator[list[Record]]:
        """Records, a batch at a time."""
        curves = (stream_curves if self.large else read_curves)(self.files, self.columns)
        unit = "M" if self.columns.unit else f"unit of {self.columns.concentration}"
        for batch in fit_many(
            curves, self.model, level=self.level, skip=skip, workers=self.workers, cluster=self.cluster
        ):
            yield [{**record, "ec50_unit": unit} for record in batch]


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
    for batch in work.batches():
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
    done = _begin(output, parts, _manifest(work, suffix), resume=resume)
    count = done * BATCH
    progress(count)
    for number, batch in enumerate(work.batches(skip=done), start=done):
        opened = sum(record["ec50_operator"] != "=" for record in batch)
        part = parts / f"{number:06d}-{opened}{suffix}"
        write_file(part, csv_text(batch) if suffix == ".csv" else _parquet_bytes(batch))
        count += len(batch)
        progress(count)
    made = sorted(parts.glob(f"*{suffix}"))
    _join(made, output, suffix)
    shutil.rmtree(parts)
    return count, sum(int(part.stem.split("-")[1]) for part in made)


def _manifest(work: Work, suffix: str) -> str:
    """What a run asks for; two runs may share their batches only where it is the same."""
    inputs = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in work.files]
    asked: dict[str, Any] = {"inputs": inputs, "columns": asdict(work.columns), "model": work.model,
                             "level": work.level, "batch": BATCH, "format": suffix, "version": __version__}  # fmt: skip
    return json.dumps(asked, indent=1)


def _begin(output: Path, parts: Path, manifest: str, *, resume: bool) -> int:
    """Make the folder of batches, or take up the one that is there; returns how many batches it has."""
    note = parts / "manifest.json"
    if parts.exists() and resume:
        if not note.is_file() or note.read_text(encoding="utf-8") != manifest:
            raise FileError(f"{parts}: the interrupted run asked for something else. Run without --resume.")
        return len([path for path in parts.iterdir() if path.name[:1].isdigit()])
    if parts.exists():
        shutil.rmtree(parts)
    try:
        parts.mkdir()
    except OSError as error:
        raise FileError(f"{output}: cannot be written ({error.strerror}). Choose another place.") from error
    write_file(note, manifest)
    return 0


def _join(parts: Sequence[Path], output: Path, suffix: str) -> None:
    """One table from all batches, a batch in memory at a time."""
    if suffix == ".parquet":
        pq = _arrow()[1]
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=output.parent) as folder:
            whole = Path(folder, output.name)
            with pq.ParquetWriter(whole, pq.read_schema(parts[0])) as writer:
                for part in parts:
                    writer.write_table(pq.read_table(part))
            whole.replace(output)
        return
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output.parent) as folder:
        whole = Path(folder, output.name)
        with open(whole, "wb") as stream:
            for number, part in enumerate(parts):
                header, rows = part.read_bytes().split(b"\n", 1)
                stream.write((header + b"\n" if number == 0 else b"") + rows)
        whole.replace(output)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FileError('Parquet needs pyarrow, which is not installed. pip install "halfmax[parquet]"') from error
    return pa, pq


def _parquet_bytes(batch: Sequence[Record]) -> bytes:
    """A batch as Parquet; types follow from the names, so that an all-empty column has its type too."""
    pa, pq = _arrow()
    texts = ("model", "status", "notes")
    schema = pa.schema([
        (name, pa.int64() if name in ("n", "df") else pa.string()
         if name in texts or name.endswith(("_operator", "_unit")) or isinstance(value, str) else pa.float64())
        for name, value in batch[0].items()
    ])  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(batch), schema=schema), sink)
    return bytes(sink.getvalue().to_pybytes())
