"""Tables of traces: the light of cells over time, as Fiji, workbooks and scripts write it.

Four forms are told apart by their header:

- *multi-measure* of Fiji: a line a page, columns ``Mean1``, ``Mean2`` …, or ``Mean(name)``;
- *results* of Fiji: a line a region and page, columns ``Label``, ``Mean``, ``Ch``, ``Frame`` or ``Slice``;
- *wide*: a column a cell, the first perhaps the time or the number of the frame;
- *long*: columns time, cell, channel, signal.

A unit of time is read from a title or given by the caller; it is never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfmax import units
from halfmax.errors import FileError, RangeError, nearest
from halfmax.readers.cell import number, signal
from halfmax.readers.column import folded
from halfmax.readers.sheet import Sheet, open_file, text_sheet
from halfmax.table import Source

__all__ = ["TraceTable", "read_traces"]

Array = NDArray[np.float64]

_WANTED = "a table of traces (text or workbook)"
_NO_TIME = "The file does not say when its frames were taken: give interval, in s."
_CELL = ("cell", "roi", "region", "cell id", "roi id", "neuron")
_SIGNAL = ("signal", "value", "intensity", "mean", "fluorescence", "f")
_CHANNEL = ("channel", "ch", "wavelength")
_FRAME = ("frame", "slice", "index", "no", "nr", "")
_TIME = re.compile(r"(?:elapsed )?(?:time|t)(?: (ms|msec|s|sec|secs|seconds?|min|mins|minutes?|h|hours?))?")
_UNITS = {"msec": "ms", "sec": "s", "secs": "s", "mins": "min"}
_MEAN = re.compile(r"Mean(?:\((.+)\)|_?(\d+))", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class TraceTable:
    """Light of cells over time.

    Parameters
    ----------
    time_s : array, shape (frames,), s
        From the first frame; NaN where nothing says.
    cells : tuple of str
    channels : tuple of str
        ``("",)`` where there is one without a name.
    signal : array, shape (channels, cells, frames)
        As the file has it; NaN where a cell of the table is empty.
    notes : tuple of str
        What the reader had to assume.
    sources : tuple of Source
    simulated : bool
        Whether the file says of itself that it is simulated.
    """

    time_s: Array
    cells: tuple[str, ...]
    channels: tuple[str, ...]
    signal: Array
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    simulated: bool = False


@dataclass(frozen=True)
class _Asked:
    """What the caller says of the table."""

    channels: tuple[str, ...] | None
    interval: float | None
    time_unit: str | None


@dataclass(frozen=True, eq=False)
class _Read:
    """What one form gives: signal of shape (channels, cells, frames), and times where the file has them."""

    signal: Array
    cells: tuple[str, ...]
    channels: tuple[str, ...]
    time_s: Array | None
    notes: tuple[str, ...] = ()


def read_traces(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    interval: float | None = None,
    time_unit: str | None = None,
    sheet: str | None = None,
) -> TraceTable:
    """Read a table of traces; its header decides which form it has.

    Parameters
    ----------
    path : str or Path
        Text or workbook.
    channels : sequence of str, optional
        Names of the channels. Lines of a multi-measure or wide table are divided by them, channel by
        channel in each frame.
    interval : float, s, optional
        Time from frame to frame, where the file has no times.
    time_unit : str, optional
        Unit of a column of times whose title has none.
    sheet : str, optional
        Which sheet of a workbook.

    Raises
    ------
    FileError
        If the file is no such table, a cell is no number, times have no unit or do not rise, or the lines are
        no multiple of the channels.
    RangeError
        If a parameter means nothing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "traces.csv"
    >>> _ = path.write_text("time (min),cell 1,cell 2\\n0,10,20\\n0.5,11,21\\n1,12,22\\n")
    >>> table = read_traces(path)
    >>> table.time_s.tolist(), table.cells, table.signal.shape
    ([0.0, 30.0, 60.0], ('cell 1', 'cell 2'), (1, 2, 3))
    """
    path = Path(path)
    asked = _asked(channels, interval, time_unit)
    found = _sheet(path, sheet)
    head = _header(found)
    read = _form(found, head)(found, head, asked)
    time_s, notes = _times(found, read, asked)
    return TraceTable(
        time_s=time_s,
        cells=read.cells,
        channels=read.channels,
        signal=read.signal,
        notes=(*read.notes, *notes),
        sources=(Source.of(path, reader="traces"),),
        simulated=any("simulated" in text.casefold() for row in found.rows[: head + 1] for text in row),
    )


def _asked(channels: Sequence[str] | None, interval: float | None, time_unit: str | None) -> _Asked:
    names = None if channels is None else tuple(channels)
    if isinstance(channels, str) or (names is not None and (not names or len(set(names)) < len(names))):
        raise RangeError(f'channels: expected different names such as ("340", "380"), found {channels!r}. Name each.')
    if interval is not None and not (math.isfinite(interval) and interval > 0):
        raise RangeError(f"interval: expected seconds above 0, found {interval}. Give the time between frames.")
    if time_unit is not None:
        units.duration(1.0, unit=time_unit)
    return _Asked(names, interval, time_unit)


# Which form


def _sheet(path: Path, name: str | None) -> Sheet:
    content = open_file(path, _WANTED)
    if isinstance(content, str):
        return text_sheet(path.name, content)
    full = {sheet.name: sheet for sheet in content if sheet.last >= 1}
    if name is not None and name not in full:
        raise FileError(f'{path.name}: there is no sheet "{name}" that holds a table. {nearest(name, list(full))}')
    if name is None and len(full) != 1:
        raise FileError(
            f"{path.name}: expected one sheet that holds a table, found {len(full)} ({', '.join(full)}). "
            "Say which one with sheet."
        )
    return full[name] if name is not None else next(iter(full.values()))


def _header(sheet: Sheet) -> int:
    """Line above the first that holds mostly numbers."""
    for row in range(len(sheet.rows)):
        texts = [text for text in sheet.cells(row) if text]
        numbers = sum(number(text, sheet.comma) is not None for text in texts)
        if texts and 2 * numbers >= len(texts):
            head = next((above for above in range(row - 1, -1, -1) if not sheet.is_blank(above)), None)
            if head is None:
                raise FileError(f"{sheet.place(row)}: expected a header that names the cells, found numbers. Add one.")
            return head
    raise FileError(f"{sheet.file}: expected {_WANTED}, found no line of numbers. Export the traces as CSV.")


def _form(sheet: Sheet, head: int) -> Callable[[Sheet, int, _Asked], _Read]:
    names = [folded(title) for title in sheet.cells(head)]
    if _first(names, _CELL) is not None and any(_TIME.fullmatch(name) for name in names):
        return _long
    if "label" in names and "mean" in names:
        return _results
    return _wide


def _first(names: list[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


# Wide tables, and the multi-measure of Fiji


def _wide(sheet: Sheet, head: int, asked: _Asked) -> _Read:
    """A column a cell, a line a page."""
    titles = [text.strip() for text in sheet.rows[head]]
    rows = [row for row in range(head + 1, sheet.last + 1) if not sheet.is_blank(row)]
    columns = [place for place in range(max(map(len, sheet.rows))) if any(sheet.cell(row, place) for row in rows)]
    titles += [""] * (max(columns, default=0) + 1 - len(titles))
    measured = {place: match for place in columns if (match := _MEAN.fullmatch(titles[place]))}
    time_column = next((place for place in columns if _TIME.fullmatch(folded(titles[place]))), None)
    frame_column = columns[0] if folded(titles[columns[0]]) in _FRAME and columns[0] not in measured else None
    if frame_column is not None and time_column is None:
        _check_counts(sheet, rows, frame_column)
    named = [place for place in (measured or columns) if place not in (time_column, frame_column)]
    untitled = next((place for place in named if not titles[place]), None)
    if untitled is not None or not named:
        raise FileError(
            f"{sheet.place(head)}: expected a name above each column of numbers, found none above one. Add it."
        )
    cells = tuple((measured[place][1] or measured[place][2]) if measured else titles[place] for place in named)
    _check_names(sheet, head, cells)
    table = np.array([[_value(sheet, row, place, titles[place]) for place in named] for row in rows])
    times = None if time_column is None else _column_times(sheet, rows, time_column, titles[time_column], asked)
    signal_, times = _by_channel(sheet, table, times, asked)
    notes = _alternation(table) if asked.channels is None else ()
    return _Read(signal_, cells, asked.channels or ("",), times, notes)


def _by_channel(sheet: Sheet, table: Array, times: Array | None, asked: _Asked) -> tuple[Array, Array | None]:
    """Lines as (channels, cells, frames); a frame has the time of its first line."""
    count = len(asked.channels or ("",))
    if len(table) % count:
        raise FileError(
            f"{sheet.file}: expected as many lines for each of {count} channels, found {len(table)} lines. "
            "A page was dropped, and from there on the channels may be swapped. Export the table again."
        )
    divided = table.reshape(-1, count, table.shape[1]).transpose(1, 2, 0)
    return np.ascontiguousarray(divided), None if times is None else times[::count]


def _check_counts(sheet: Sheet, rows: list[int], column: int) -> None:
    """A first column without a title must count the frames; anything else could be a time."""
    counts = [number(sheet.cell(row, column), sheet.comma) for row in rows]
    start = counts[0]
    if start is None or any(count != start + place for place, count in enumerate(counts)):
        raise FileError(
            f"{sheet.place(rows[0])}: the first column has no title and does not count the frames, so that it may be a "
            'time in any unit. Name it, as in "time (s)".'
        )


def _check_names(sheet: Sheet, head: int, cells: tuple[str, ...]) -> None:
    twice = next((name for name in cells if cells.count(name) > 1), None)
    if twice is not None:
        raise FileError(f'{sheet.place(head)}: two cells are called "{twice}". Give each a name of its own.')


def _alternation(table: Array) -> tuple[str, ...]:
    """Lines that alternate between two levels look like two channels."""
    if len(table) < 8:
        return ()
    even = len(table) // 2 * 2
    first, second = table[:even:2], table[1:even:2]
    apart = np.abs(np.median(first - second, axis=0))
    within = np.median(np.abs(np.diff(first, axis=0)), axis=0) + np.median(np.abs(np.diff(second, axis=0)), axis=0)
    if np.mean(apart > 3 * within) < 0.9:
        return ()
    return ("Lines alternate between two levels, as two interleaved channels do: if they are, give channels.",)


# The results table of Fiji


def _results(sheet: Sheet, head: int, asked: _Asked) -> _Read:
    """A line a region and page; the regions of a page come in the same order on every page."""
    names = [folded(title) for title in sheet.rows[head]]
    mean, label = names.index("mean"), names.index("label")
    channel, frame = _first(names, ("ch", "channel")), _first(names, ("frame", "slice"))
    if frame is None:
        raise FileError(
            f'{sheet.place(head)}: expected a column "Frame" or "Slice", found none. In Fiji, tick "Stack position" '
            "under Set Measurements and measure again."
        )
    groups: dict[tuple[int, int], list[int]] = {}
    for row in (row for row in range(head + 1, sheet.last + 1) if not sheet.is_blank(row)):
        key = (_count(sheet, row, channel, "Ch") if channel is not None else 1, _count(sheet, row, frame, "Frame"))
        groups.setdefault(key, []).append(row)
    channels, frames = (sorted({key[axis] for key in groups}) for axis in (0, 1))
    first = groups[min(groups)]
    for page in ((one, two) for one in channels for two in frames):
        if len(groups.get(page, ())) != len(first):
            raise FileError(
                f"{sheet.file}, channel {page[0]}, frame {page[1]}: expected {len(first)} regions as on the first "
                f"page, found {len(groups.get(page, ()))}. Measure all regions on all pages."
            )
    values = [[[_value(sheet, row, mean, "Mean") for row in groups[one, two]] for two in frames] for one in channels]
    texts = ("",) if channel is None else tuple(str(one) for one in channels)
    return _Read(
        signal=np.ascontiguousarray(np.array(values).transpose(0, 2, 1)),
        cells=_region_names([sheet.cell(row, label) for row in first]),
        channels=_renamed(sheet, texts, asked),
        time_s=None,
        notes=("Regions are told apart by their order on each page.",),
    )


def _renamed(sheet: Sheet, found: tuple[str, ...], asked: _Asked) -> tuple[str, ...]:
    if asked.channels is not None and len(asked.channels) != len(found):
        raise FileError(
            f"{sheet.file}: expected {len(found)} names of channels, as the file has {len(found)}, "
            f"found {len(asked.channels)} ({', '.join(asked.channels)}). Give one for each."
        )
    return asked.channels or found


def _region_names(labels: list[str]) -> tuple[str, ...]:
    """The middle of Fiji's labels (picture:region:page) where it tells the regions apart, else their order."""
    middles = [label.split(":")[1] if label.count(":") >= 1 else "" for label in labels]
    if all(middles) and len(set(middles)) == len(middles):
        return tuple(middles)
    return tuple(str(place + 1) for place in range(len(labels)))


def _count(sheet: Sheet, row: int, column: int, title: str) -> int:
    value = number(sheet.cell(row, column), sheet.comma)
    if value is None or value != int(value):
        raise FileError(f'{sheet.place(row)}: {title} must be a whole number, found "{sheet.cell(row, column)}".')
    return int(value)


# Long tables


def _long(sheet: Sheet, head: int, asked: _Asked) -> _Read:
    """A line a cell, channel and time; every cell and channel has the same times."""
    names = [folded(title) for title in sheet.rows[head]]
    cell, value, channel = _first(names, _CELL), _first(names, _SIGNAL), _first(names, _CHANNEL)
    time = next(place for place, name in enumerate(names) if _TIME.fullmatch(name))
    if value is None:
        raise FileError(
            f'{sheet.place(head)}: expected a column "signal", found "{", ".join(sheet.cells(head))}". Name it.'
        )
    rows = [row for row in range(head + 1, sheet.last + 1) if not sheet.is_blank(row)]
    seconds = _column_times(sheet, rows, time, sheet.cell(head, time), asked)
    courses: dict[tuple[str, str], dict[float, float]] = {}
    for row, second in zip(rows, seconds.tolist(), strict=True):
        key = (sheet.cell(row, channel) if channel is not None else "", sheet.cell(row, cell or 0))
        course = courses.setdefault(key, {})
        if second in course:
            raise FileError(f"{sheet.place(row)}: cell {key[1]} has two signals at {second:g} s. Keep one.")
        course[second] = _value(sheet, row, value, "signal")
    return _stacked(sheet, courses, asked)


def _stacked(sheet: Sheet, courses: dict[tuple[str, str], dict[float, float]], asked: _Asked) -> _Read:
    channels, cells = (tuple(dict.fromkeys(key[axis] for key in courses)) for axis in (0, 1))
    times = sorted(next(iter(courses.values())))
    signal_ = np.full((len(channels), len(cells), len(times)), np.nan)
    for one, channel in enumerate(channels):
        for two, cell in enumerate(cells):
            course = courses.get((channel, cell), {})
            if sorted(course) != times:
                raise FileError(
                    f"{sheet.file}, cell {cell}{f', channel {channel}' if channel else ''}: expected the {len(times)} "
                    f"times of the first cell, found {len(course)} others or missing ones. "
                    "Give all cells the same times, with an empty signal where one was not measured."
                )
            signal_[one, two] = [course[second] for second in times]
    return _Read(signal_, cells, _renamed(sheet, channels, asked), np.array(times))


# Cells of the table


def _value(sheet: Sheet, row: int, column: int, title: str) -> float:
    text = sheet.cell(row, column)
    found = signal(text, sheet.comma)
    if found is None:
        raise FileError(
            f'{sheet.place(row)}, column "{title}": expected a number with a decimal point, found "{text}". '
            "Correct the cell, or leave it empty if the cell was not measured."
        )
    return found[0]


def _column_times(sheet: Sheet, rows: list[int], column: int, title: str, asked: _Asked) -> Array:
    """Times of a column, s."""
    match = _TIME.fullmatch(folded(title))
    own = (match.group(1) or "") if match else ""
    unit = _UNITS.get(own, own) or asked.time_unit
    if unit is None:
        raise FileError(
            f'{sheet.file}: the column "{title}" has times without a unit. Write the unit in its title, as in '
            '"time (s)", or give time_unit.'
        )
    factor = units.convert(1.0, "second", unit=unit)
    values = [number(sheet.cell(row, column), sheet.comma) for row in rows]
    if None in values:
        row = rows[values.index(None)]
        raise FileError(f'{sheet.place(row)}: expected a time, found "{sheet.cell(row, column)}". Correct it.')
    return np.array([factor * value for value in values if value is not None])


def _times(sheet: Sheet, read: _Read, asked: _Asked) -> tuple[Array, tuple[str, ...]]:
    frames = read.signal.shape[2]
    if read.time_s is None:
        if asked.interval is None:
            return np.full(frames, np.nan), (_NO_TIME,)
        return np.arange(frames, dtype=float) * asked.interval, ()
    if asked.interval is not None:
        raise RangeError(f"{sheet.file}: has times of its own. Leave out interval={asked.interval:g}.")
    falls = np.flatnonzero(np.diff(read.time_s) <= 0)
    if len(falls):
        raise FileError(
            f"{sheet.file}: expected times that rise from frame to frame, found {read.time_s[falls[0] + 1]:g} s after "
            f"{read.time_s[falls[0]]:g} s. Sort the table by time."
        )
    return np.asarray(read.time_s - read.time_s[0], dtype=float), ()
