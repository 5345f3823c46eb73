"""A recording of cells: pages that are read when they are asked for, and what was added to the dish.

Pictures are not tables: a `Movie` lives only between its reader and `halfmax.assays.calcium`, which
turns it into traces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import StudyError

__all__ = ["ROLES", "Movie", "Page", "Stimulus", "check_overlap", "check_stimuli"]

Array = NDArray[np.float64]
#: A page: one channel of one frame, shape (height, width), unsigned integers or floats.
Page = NDArray[Any]
#: What a stimulus is for. Reference: a full response (ionomycin, a reference agonist).
ROLES = ("sample", "vehicle", "reference", "wash")


@dataclass(frozen=True, eq=False)
class Movie:
    """A recording whose pages are read when they are asked for.

    Parameters
    ----------
    channels : tuple of str
        Such as ``("340", "380")``; of one channel ``("",)`` where the file does not say.
    time_s : array, shape (frames, channels), s
        When each page was taken, from the first one; NaN where nothing says.
    shape : (int, int)
        Height and width, pixels.
    dtype : numpy.dtype
    page : callable
        ``page(frame, channel)`` gives an array of `shape` that belongs to the caller.
    saturated : float
        A pixel that is not below it is saturated; infinity where the range is not known.
    pixel_um : float, µm
        Side of a pixel, NaN where the file does not say.
    files : tuple of Path
    notes : tuple of str
        What the reader had to assume.
    simulated : bool
        Whether the file says of itself that halfmax simulated it.
    """

    channels: tuple[str, ...]
    time_s: Array
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    page: Callable[[int, int], Page]
    saturated: float
    pixel_um: float = float("nan")
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.time_s.shape[0])

    @property
    def nbytes(self) -> int:
        """Size of all pages, bytes."""
        height, width = self.shape
        return self.frames * len(self.channels) * height * width * self.dtype.itemsize


@dataclass(frozen=True)
class Stimulus:
    """What was added to a dish, and when.

    Parameters
    ----------
    name : str
        Compound, or ``vehicle``, ``ionomycin`` …
    start_s : float, s
        When it reaches the cells, from the first frame; the dead time is added already.
    concentration : float, M
        NaN where there is none, as for a buffer change.
    end_s : float, s
        When it is washed away; infinity where it stays.
    role : str
        ``sample``, ``vehicle``, ``reference`` (full response: ionomycin, a reference agonist), ``wash``.
    """

    name: str
    start_s: float
    concentration: float = float("nan")
    end_s: float = float("inf")
    role: str = "sample"


def check_stimuli(stimuli: Iterable[Stimulus], duration_s: float) -> None:
    """Refuse stimuli that a recording of this length cannot show.

    Raises
    ------
    StudyError
        If a stimulus begins before the first frame or not before the last, ends before it begins, or doses of one
        compound overlap.
    """
    stimuli = tuple(stimuli)
    for stimulus in stimuli:
        if not stimulus.start_s >= 0:
            raise StudyError(
                f"stimulus {stimulus.name}: expected a start at or after the first frame, "
                f"found {stimulus.start_s:g} s. Count its time from the first frame."
            )
        if stimulus.start_s >= duration_s:
            raise StudyError(
                f"stimulus {stimulus.name}: expected a start within the recording of {duration_s:g} s, found "
                f"{stimulus.start_s:g} s, after its end. Correct the time or its unit, or give the whole recording."
            )
        if not stimulus.end_s > stimulus.start_s:
            raise StudyError(
                f"stimulus {stimulus.name}: expected an end after its start at {stimulus.start_s:g} s, "
                f"found {stimulus.end_s:g} s. Correct one of them."
            )
    check_overlap(stimuli, "")


def check_overlap(stimuli: Iterable[Stimulus], where: str) -> None:
    """Refuse two concentrations of one compound at a time; different compounds may be there together."""
    ordered = sorted(stimuli, key=lambda stimulus: stimulus.start_s)
    for first, second in combinations(ordered, 2):
        if first.name.casefold() == second.name.casefold() and second.start_s < first.end_s:
            raise StudyError(
                f"{where}{first.name}: expected one dose at a time, found a dose from {second.start_s:g} s while that "
                f"from {first.start_s:g} s is still there. End the first at {second.start_s:g} s, and write for the "
                "second the concentration that the cells see."
            )
