"""What a file says of its own pages before it becomes a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError

__all__ = ["NO_PAGE", "Array", "Asked", "Described", "count_time"]

Array = NDArray[np.float64]
#: Stands in a table of pages where the file has none.
NO_PAGE = -1


@dataclass(frozen=True)
class Asked:
    """What the caller says of a recording; None where nothing is said."""

    channels: tuple[str, ...] | None = None
    interval: float | None = None
    order: str | None = None
    frames: int | None = None
    image: int | None = None


@dataclass(frozen=True, eq=False)
class Described:
    """What a file says of its pages.

    Parameters
    ----------
    places : array of int, shape (frames, channels)
        Number of each page in its file, `NO_PAGE` where the file says it has none.
    channels : tuple of str
        Empty where the file names none.
    time_s : array, shape (frames, channels), s, or None
    pixel_um : float, µm
    bits : int or None
        Significant bits of a pixel.
    by_file : bool
        Whether the file itself says what its frames and channels are.
    parts : array of int, shape (frames, channels), or None
        Which of `files` holds each page, where there are several.
    files : tuple of str
        Names of the files beside the first that hold pages.
    notes : tuple of str
    """

    places: NDArray[np.int64]
    channels: tuple[str, ...] = ()
    time_s: Array | None = None
    pixel_um: float = math.nan
    bits: int | None = None
    by_file: bool = True
    parts: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def count_time(
    file: str, found: Array | None, size: tuple[int, int], interval: float | None
) -> tuple[Array, tuple[str, ...]]:
    """Times of all pages from the first one, s, and notes: the caller's interval, else the file's own times.

    Raises
    ------
    FileError
        If the file's own times do not rise and the caller gives none.
    """
    frames, channels = size
    if interval is not None:
        time_s = np.repeat(np.arange(frames)[:, None] * interval, channels, axis=1)
        return time_s, _interval_notes(found, interval, channels)
    if found is None or not np.isfinite(found).any():
        return np.full(size, np.nan), ("The file does not say when its frames were taken: give interval, in s.",)
    time_s = np.asarray(found - np.nanmin(found), dtype=float)
    if np.any(np.diff(time_s, axis=0) <= 0):
        frame = int(np.argmax((np.diff(time_s, axis=0) <= 0).any(axis=1))) + 1
        raise FileError(
            f"{file}: expected times that rise from frame to frame, found frame {frame + 1} not after frame {frame}. "
            "Give the time between frames as interval, in s; it replaces the times of the file."
        )
    missing = int(np.isnan(time_s).sum())
    notes = (f"The file gives no time for {missing} of {time_s.size} pages.",) if missing else ()
    return time_s, notes


def _interval_notes(found: Array | None, interval: float, channels: int) -> tuple[str, ...]:
    notes = ["The channels of a frame are taken to be simultaneous."] if channels > 1 else []
    if found is not None and len(found) > 1:
        own = float(np.nanmedian(np.diff(found, axis=0))) if np.isfinite(found).any() else math.nan
        if abs(own - interval) > 0.01 * interval:
            notes.append(f"The interval given, {interval:g} s, replaces the file's own, {own:.4g} s.")
    return tuple(notes)
