"""The road for many curves: long tables → batches of fits → one table, in bounded memory, resumable.

While a run is under way its batches stand in a hidden folder beside the output, with a
manifest that says what was asked.  The output appears when all batches are there, and the
folder goes; after an interruption the run is taken up where it stopped.  What takes all
curves at once, the false-discovery rate, is added as the batches are joined.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from halfmax import __version__
from halfmax.curves import curve
from halfmax.errors import FileError, RangeError
from halfmax.estimate import false_discovery
from halfmax.estimate.many import BATCH, WELLS, FitOptions, Records, fit_curves
from halfmax.output import csv_text, write_file
from halfmax.parallel import map_batches
from halfmax.readers.long import Columns, Curves, in_batches, read_curves, stream_curves, text_size

__all__ = ["LARGE", "Work", "arrow", "expand", "fit_tables", "fit_to_file"]

#: Bytes of input, as text, from which on rows of a curve must stand together and the output goes to a file.
LARGE = 64_000_000
#: Batches in a row group of a Parquet output.
_ROW_GROUP = 20
#: Column of the false-discovery rates, the last one of the output.
Q_FLAT = "q_flat"
#: Told of each batch: how many curves are done.
Progress = Callable[[int], None]
Record = dict[str, object]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """What is fitted, how, and by whom.

    Raises
    ------
    RangeError
        If the columns and what is to be fitted do not go together.
    """

    files: tuple[Path, ...]
    columns: Columns
    options: FitOptions = field(default_factory=FitOptions)
    workers: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        family = curve(self.options.model)
        if self.columns.unit and any(term.kind == "rate" for term in family.terms):
            raise RangeError(
                f'{family.name} is a curve in time, to which the unit of a concentration, "{self.columns.unit}", does '
                "not apply. Leave the unit out."
            )
        if "ec50_absolute" in self.options.also and self.options.zero is None:
            raise RangeError(
                "ec50_absolute needs the signal of wells without cells, which a table of doses and responses does not "
                "tell. Give it, as in --zero 0."
            )
        for name in self.columns.by:
            if name == Q_FLAT or name.removesuffix("_unit") in (*family.outside_names, *self.options.also):
                raise RangeError(f'column "{name}": a result has the same name. Rename the column.')

    @property
    def large(self) -> bool:
        """Whether the input is too large to be held in memory."""
        return bool(self.columns.by) and sum(map(text_size, self.files)) > LARGE

    @property
    def shown(self) -> tuple[str, ...]:
        """What a person is shown of each curve: EC50 where it is fitted, else all that is; what is asked besides."""
        fitted = self.options.fitted
        return ("ec50", *self.options.also) if "ec50" in fitted else fitted

    def batches(self) -> Iterator[Curves]:
        """Curves, a batch at a time."""
        parts = stream_curves(self.files, self.columns) if self.large else [read_curves(self.files, self.columns)]
        return in_batches(parts, curves=BATCH, rows=WELLS)

    def results(self, finish: Callable[[Records], Result], *, skip: int = 0) -> Iterator[Result]:
        """What `finish` makes, where the fit is done, of the records of each batch but the first ones."""
        work = partial(_fit, options=self.options, finish=finish)
        return map_batches(work, islice(self.batches(), skip, None), workers=self.workers, cluster=self.cluster)


def _fit(curves: Curves, *, options: FitOptions, finish: Callable[[Records], Result]) -> Result:
    """One batch, finished."""
    records = fit_curves(curves, options)
    return finish(records if curves.columns.unit else _with_units(records, options, curves.columns.concentration))


def _with_units(records: Records, options: FitOptions, column: str) -> Records:
    """Records that say which quantities are in what the concentrations, or times, of a column are in."""
    family = curve(options.model)
    units = {"position": f"unit of {column}", "rate": f"1 / unit of {column}"}
    kinds = {named.name: family.terms[named.row].kind for named in family.names(False)}
    kinds |= {name: "position" for name in options.also if name.startswith("ec")}
    found: dict[str, Any] = {}
    for name, values in records.columns.items():
        found.setdefault(name, values)
        parameter = name.removesuffix("_delta_high")
        if parameter != name and (unit := units.get(kinds.get(parameter, ""))):
            found[f"{parameter}_unit"] = np.full(len(records), unit, dtype=object)
    return Records(found)


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
    rates = false_discovery(np.array([record["p_flat"] for record in records], dtype=float))
    for record, rate in zip(records, rates.tolist(), strict=True):
        record[Q_FLAT] = rate if math.isfinite(rate) else None
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
        arrow()
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
    pa = arrow()[0]
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
        "inputs": inputs, "columns": asdict(work.columns), "fit": vars(work.options), "batch": [BATCH, WELLS],
        "format": suffix, "version": __version__,
    }  # fmt: skip
    return json.dumps(asked, indent=1, sort_keys=True, default=str)


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
    p_flat = (float(row.rsplit(b",", 1)[1] or "nan") for part in parts for row in _csv_rows(part)[1:])
    rates = iter(false_discovery(np.fromiter(p_flat, float)))
    with open(whole, "wb") as stream:
        for number, part in enumerate(parts):
            header, *rows = _csv_rows(part)
            if number == 0:
                stream.write(b"%b,%b\n" % (header, Q_FLAT.encode()))
            for row, rate in zip(rows, islice(rates, len(rows)), strict=True):
                stream.write(b"%b,%b\n" % (row, repr(float(rate)).encode() if math.isfinite(rate) else b""))


def _csv_rows(part: Path) -> list[bytes]:
    """Header and rows of a batch; each ends with the p-value, and a line break within a cell is within quotes."""
    rows: list[bytes] = []
    within = 0
    for line in part.read_bytes().split(b"\n")[:-1]:
        if within:
            rows[-1] += b"\n" + line
        else:
            rows.append(line)
        within ^= line.count(b'"') % 2
    return rows


def _join_parquet(parts: Sequence[Path], whole: Path) -> None:
    pa, pq = arrow()

    def table(part: Path) -> Any:
        return pa.ipc.open_stream(part.read_bytes()).read_all()

    # A copy, so that the rest of the batch is let go.
    p_flat = [table(part)["p_flat"].to_numpy().copy() for part in parts]
    rates = pa.array(false_discovery(np.concatenate(p_flat)), from_pandas=True)
    schema = pa.ipc.open_stream(parts[0].read_bytes()).schema.append(pa.field(Q_FLAT, pa.float64()))
    done = 0
    with pq.ParquetWriter(whole, schema) as writer:
        for first in range(0, len(parts), _ROW_GROUP):
            group = pa.concat_tables(map(table, parts[first : first + _ROW_GROUP]))
            group = group.append_column(Q_FLAT, rates[done : done + len(group)])
            writer.write_table(group, row_group_size=_ROW_GROUP * BATCH)
            done += len(group)


def arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet, or a word on how to install them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FileError('Parquet needs pyarrow, which is not installed. pip install "halfmax[parquet]"') from error
    return pa, pq
