"""Windows of time on traces: baseline, peak, area, plateau, how fast it rises and falls, and when the addition came.

Traces are arrays of shape (traces, reads), a row for each well or cell.  Times are of shape
(reads,), or (traces, reads) where a reader goes from well to well.  NaN is a missing read:
it takes no part, and a window without a finite read gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = [
    "Addition", "Decay", "Peak", "Window", "area", "baseline", "decay_half_time", "find_addition", "peak", "plateau",
    "rise_times", "smoothed", "spread",
]  # fmt: skip

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Jump between two reads, in the trace's own robust SDs, that the upper quartile of the traces must show.
ADDITION = 5.0
#: Jump beside the largest that still belongs to the addition.
BESIDE = 3.0


@dataclass(frozen=True, eq=False)
class Window:
    """From a time, included, to another, left out; each one number or one a trace.

    Parameters
    ----------
    start, end : float or array, shape (traces,), s
        `end` may be infinite.

    Raises
    ------
    RangeError
        If a window ends before it starts.

    Examples
    --------
    >>> Window(10, 30).inside(np.array([5.0, 10.0, 20.0, 30.0])).tolist()
    [False, True, True, False]
    """

    start: float | Array
    end: float | Array = float("inf")

    def __post_init__(self) -> None:
        start, end = np.asarray(self.start), np.asarray(self.end)
        if not np.all(~(end <= start)):
            raise RangeError(
                f"a window must end after it starts, found {np.min(start):g} s to {np.min(end):g} s. Exchange the two."
            )

    def inside(self, time_s: Array) -> Mask:
        """Which reads lie in the window, in the shape of `time_s`, or (traces, reads) for a window a trace."""
        start, end = (np.asarray(edge)[..., None] if np.ndim(edge) else edge for edge in (self.start, self.end))
        return np.asarray((time_s >= start) & (time_s < end))


@dataclass(frozen=True, eq=False)
class Addition:
    """The addition, as the traces show it.

    Parameters
    ----------
    read, settled : int
        First changed read (counted from 0), and the first read at which quiet traces have settled again.
    start_s, settled_s : array, shape (traces,), s
        The times of these reads in each trace.
    score : float
        Largest jump: the upper quartile of the traces, in robust SDs of each trace's own jumps.
    """

    read: int
    settled: int
    start_s: Array
    settled_s: Array
    score: float


class Peak(NamedTuple):
    """Highest point of the smoothed traces and when it is reached, each of shape (traces,)."""

    height: Array
    time_s: Array


class Decay(NamedTuple):
    """Half times of shape (traces,), s, and an operator each: ``=``, ``>`` for an open end, empty without a peak."""

    half_time_s: Array
    operator: NDArray[np.str_]


def _traces(signal: ArrayLike, time_s: ArrayLike) -> tuple[Array, Array]:
    """Signals and times, both of shape (traces, reads)."""
    values = np.atleast_2d(np.asarray(signal, dtype=float))
    times = np.asarray(time_s, dtype=float)
    if times.shape[-1] != values.shape[1] or times.shape not in (values.shape, values.shape[1:]):
        raise RangeError(
            f"traces of shape {values.shape} need times of shape {values.shape[1:]} or {values.shape}, "
            f"found {times.shape}."
        )
    return values, np.broadcast_to(times, values.shape)


def _median(values: Array) -> Array:
    """Median over the last axis of what is finite; NaN where nothing is."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)
    pick = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)], axis=-1)
    return np.where(count > 0, np.take_along_axis(ordered, pick, axis=-1).mean(axis=-1), np.nan)


def _mean(values: Array, keep: Mask) -> Array:
    """Mean over the last axis of what is kept; NaN where nothing is."""
    count = keep.sum(axis=-1)
    total = np.where(keep, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def baseline(signal: ArrayLike, time_s: ArrayLike, window: Window) -> Array:
    """Mean of the reads in a window, shape (traces,).

    Examples
    --------
    >>> baseline([1.0, 3.0, np.nan, 9.0], [0.0, 1.0, 2.0, 3.0], Window(0, 3)).tolist()
    [2.0]
    """
    values, times = _traces(signal, time_s)
    return _mean(values, window.inside(times) & np.isfinite(values))


def plateau(signal: ArrayLike, time_s: ArrayLike, window: Window, base: ArrayLike = 0.0) -> Array:
    """Mean of the reads in a window above the baseline, shape (traces,)."""
    return np.asarray(baseline(signal, time_s, window) - np.asarray(base, dtype=float))


def spread(signal: ArrayLike, time_s: ArrayLike, window: Window) -> Array:
    """Standard deviation of the reads in a window, shape (traces,); NaN with fewer than two."""
    values, times = _traces(signal, time_s)
    keep = window.inside(times) & np.isfinite(values)
    count = keep.sum(axis=-1)
    centred = np.where(keep, values - _mean(values, keep)[:, None], 0.0)
    squares = (centred**2).sum(axis=-1)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def smoothed(signal: ArrayLike, reads: int = 3, how: Literal["median", "mean"] = "median") -> Array:
    """Running median or mean of an odd number of reads, shape (traces, reads); fewer at the ends and around gaps.

    A missing read stays missing.

    Raises
    ------
    RangeError
        If `reads` is no odd number ≥ 1.

    Examples
    --------
    >>> smoothed([[1.0, 9.0, 1.0, 1.0, 5.0]]).tolist()
    [[5.0, 1.0, 1.0, 1.0, 3.0]]
    """
    if reads < 1 or reads % 2 == 0:
        raise RangeError(f"a running {how} needs an odd number of reads, found {reads}. Take 1 (none), 3 or 5.")
    values = np.atleast_2d(np.asarray(signal, dtype=float))
    padded = np.pad(values, ((0, 0), (reads // 2, reads // 2)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, reads, axis=1)
    running = _median(around) if how == "median" else _mean(around, np.isfinite(around))
    return np.where(np.isfinite(values), running, np.nan)


def peak(
    signal: ArrayLike,
    time_s: ArrayLike,
    window: Window,
    base: ArrayLike = 0.0,
    *,
    reads: int = 3,
    how: Literal["median", "mean"] = "median",
) -> Peak:
    """Highest point above the baseline of the smoothed traces in a window, and its time.

    Only reads of the window are smoothed, so that nothing before the addition, nor its
    artefact, is drawn in.  A maximum of noise lies above zero: compare it with wells or
    windows in which nothing happens.

    Parameters
    ----------
    signal : array, shape (traces, reads)
    time_s : array, shape (reads,) or (traces, reads), s
    window : Window
    base : float or array, shape (traces,)
    reads : int
        Odd; 1 does not smooth.
    how : {"median", "mean"}

    Examples
    --------
    >>> found = peak([[0.0, 9.0, 0.0, 2.0, 3.0, 2.0, 0.0]], np.arange(7.0), Window(2, 7))
    >>> found.height.tolist(), found.time_s.tolist()
    ([2.0], [3.0])
    """
    values, times = _traces(signal, time_s)
    smooth = smoothed(np.where(window.inside(times), values, np.nan), reads, how)
    seen = np.isfinite(smooth)
    at = np.where(seen, smooth, -np.inf).argmax(axis=1)[:, None]
    found = seen.any(axis=1)
    height = np.where(found, np.take_along_axis(smooth, at, axis=1)[:, 0], np.nan)
    when = np.where(found, np.take_along_axis(times, at, axis=1)[:, 0], np.nan)
    return Peak(np.asarray(height - np.asarray(base, dtype=float)), when)


def area(signal: ArrayLike, time_s: ArrayLike, window: Window, base: ArrayLike = 0.0) -> Array:
    """Area between trace and baseline in a window by trapezoids on the real times, shape (traces,), signal · s.

    From the first to the last finite read of the window; a gap between is bridged by a
    straight line.  Below the baseline the area is negative.  NaN with fewer than two reads.

    Examples
    --------
    >>> area([[1.0, 3.0, 1.0]], [0.0, 1.0, 3.0], Window(0, 4), base=1.0).tolist()
    [3.0]
    """
    values, times = _traces(signal, time_s)
    keep = window.inside(times) & np.isfinite(values)
    above = _bridged(np.where(keep, values, np.nan), times) - np.asarray(base, dtype=float).reshape(-1, 1)
    steps = np.diff(times, axis=1) * (above[:, 1:] + above[:, :-1]) / 2
    total = np.where(np.isfinite(steps), steps, 0.0).sum(axis=1)
    return np.where(keep.sum(axis=1) > 1, total, np.nan)


def _bridged(values: Array, times: Array) -> Array:
    """Traces with the gaps inside them filled by straight lines; what is missing at the ends stays so."""
    seen = np.isfinite(values)
    if seen.all():
        return values
    filled = values.copy()
    for row in np.flatnonzero(~seen.all(axis=1) & (seen.sum(axis=1) > 1)):
        known = np.flatnonzero(seen[row])
        gap = np.arange(known[0], known[-1] + 1)
        filled[row, gap] = np.interp(times[row, gap], times[row, known], values[row, known])
    return filled


def rise_times(
    signal: ArrayLike,
    time_s: ArrayLike,
    window: Window,
    base: ArrayLike,
    *,
    fractions: tuple[float, ...] = (0.1, 0.5, 0.9),
    reads: int = 3,
) -> Array:
    """Time from the window's start to the given fractions of the peak, shape (traces, fractions), s.

    First crossing of the smoothed trace, by a straight line between two reads.  NaN where
    the peak is not above the baseline.  No crossing can be timed more sharply than the reads
    stand apart: one at the first read of the window gets that read's time.

    Examples
    --------
    >>> rise_times([[0.0, 0.0, 1.0, 2.0, 2.0]], np.arange(5.0), Window(1, 9), 0.0, reads=1).round(2).tolist()
    [[0.2, 1.0, 1.8]]
    """
    values, times = _traces(signal, time_s)
    smooth = _bridged(smoothed(np.where(window.inside(times), values, np.nan), reads), times)
    floor = np.broadcast_to(np.asarray(base, dtype=float), values.shape[:1])
    height = peak(values, times, window, floor, reads=reads).height
    start = np.broadcast_to(np.asarray(window.start, dtype=float), height.shape)
    found = [_crossing(smooth >= (floor + part * height)[:, None], smooth, times, floor + part * height)
             for part in fractions]  # fmt: skip
    return np.where((height > 0)[:, None], np.stack(found, axis=1) - start[:, None], np.nan)


def _crossing(passed: Mask, values: Array, times: Array, level: Array) -> Array:
    """Time at which each trace first passes a level; NaN where it does not."""
    at = passed.argmax(axis=1)[:, None]
    before = np.maximum(at - 1, 0)
    y0, y1 = (np.take_along_axis(values, place, axis=1)[:, 0] for place in (before, at))
    t0, t1 = (np.take_along_axis(times, place, axis=1)[:, 0] for place in (before, at))
    step = np.where(y1 == y0, 1.0, y1 - y0)
    between = t0 + (level - y0) / step * (t1 - t0)
    exact = np.where(np.isfinite(y0) & (before[:, 0] < at[:, 0]), between, t1)
    return np.where(passed.any(axis=1), exact, np.nan)


def decay_half_time(
    signal: ArrayLike, time_s: ArrayLike, window: Window, base: ArrayLike, *, reads: int = 3
) -> Decay:  # fmt: skip
    """Time from the peak to half of its height; a lower bound where the recording ends before.

    First crossing of the smoothed trace after its peak.  A trace that does not fall to half
    within the window gets the time from its peak to its last read, with the operator ``>``.

    Examples
    --------
    >>> traces = [[0.0, 4.0, 3.0, 1.0, 0.0], [0.0, 4.0, 4.0, 3.0, 3.0]]
    >>> found = decay_half_time(traces, np.arange(5.0), Window(0, 9), 0.0, reads=1)
    >>> found.half_time_s.tolist(), found.operator.tolist()
    ([1.5, 3.0], ['=', '>'])
    """
    values, times = _traces(signal, time_s)
    kept = np.where(window.inside(times), values, np.nan)
    smooth = _bridged(smoothed(kept, reads), times)
    floor = np.broadcast_to(np.asarray(base, dtype=float), values.shape[:1])
    found = peak(values, times, window, floor, reads=reads)
    half = floor + found.height / 2
    fallen = (times > found.time_s[:, None]) & (smooth <= half[:, None])
    when = _crossing(fallen, smooth, times, half)
    last = np.where(np.isfinite(kept), times, -np.inf).max(axis=1)
    rises = found.height > 0
    until = np.where(np.isfinite(when), when, last) - found.time_s
    operator = np.where(~rises, "", np.where(np.isfinite(when), "=", ">"))
    return Decay(np.where(rises, until, np.nan), operator)


def find_addition(signal: ArrayLike, time_s: ArrayLike, *, quiet: Mask | None = None) -> Addition:
    """When something was added, from the jump that most traces share.

    The jump from read to read, less its median, in robust SDs (1.4826 MAD of the trace's
    own jumps); of the traces, the upper quartile of its size.  The largest must exceed
    `ADDITION`; neighbours above `BESIDE` belong to it.  With `quiet` traces (buffer,
    vehicle that does not respond) the same quartile over them tells when the artefact of
    the addition is over.

    Parameters
    ----------
    signal : array, shape (traces, reads)
    time_s : array, shape (reads,) or (traces, reads), s
    quiet : array of bool, shape (traces,), optional

    Raises
    ------
    RangeError
        If there are fewer than five reads, or no jump stands out: then the time must be said.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(0, 1, (24, 60))
    >>> noise[:, 20:] += 30
    >>> found = find_addition(noise, np.arange(60.0))
    >>> found.read, float(found.start_s[0])
    (20, 20.0)
    """
    values, times = _traces(signal, time_s)
    if values.shape[1] < 5:
        raise RangeError(f"finding an addition needs at least five reads, found {values.shape[1]}. Say when it was.")
    jump = _jumps(values)
    score = _upper_quartile(jump)
    largest = int(np.argmax(score))
    if not score[largest] > ADDITION:
        raise RangeError(
            f"no addition stands out: the largest jump that a quarter of the traces share has {score[largest]:.1f} "
            f"robust SDs, an addition at least {ADDITION:g}. Say when it was (addition_s)."
        )
    first = largest
    while first > 0 and score[first - 1] > BESIDE:
        first -= 1
    settled = first
    if quiet is not None and np.any(quiet):
        calm = _upper_quartile(jump[np.asarray(quiet)])
        while settled < calm.size and calm[settled] > BESIDE:
            settled += 1
    settled = max(settled, first + 1)
    when = [_time_of(times, read) for read in (first + 1, settled)]
    return Addition(first + 1, settled, when[0], when[1], float(score[largest]))


def _time_of(times: Array, read: int) -> Array:
    """Time of a read in each trace; the median of the others where a trace has none."""
    column = times[:, read]
    return np.where(np.isfinite(column), column, _median(column[None])[0])


def _jumps(values: Array) -> Array:
    """Sizes of the steps between neighbouring reads, in robust SDs of each trace, shape (traces, reads − 1)."""
    step = np.diff(values, axis=1)
    step = step - _median(step)[:, None]
    size = np.abs(step)
    scale = 1.4826 * _median(size)
    # Counts that hardly move have a median step of nothing; their mean step still has a size.
    scale = np.where(scale > 0, scale, 1.2533 * _mean(size, np.isfinite(size)))
    usable = scale > 0
    return np.asarray(np.where(usable[:, None], size / np.where(usable, scale, 1.0)[:, None], np.nan))


def _upper_quartile(jump: Array) -> Array:
    """Three quarters of the traces jump less, at each step; 0 where no trace has a read."""
    seen = np.isfinite(jump)
    enough = seen.any(axis=0)
    quartile = np.zeros(jump.shape[1])
    if enough.any():
        quartile[enough] = np.nanquantile(jump[:, enough], 0.75, axis=0)
    return quartile
