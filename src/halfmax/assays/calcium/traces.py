"""Traces of cells: what the pass over a recording leaves, and all that later steps work on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Traces"]

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Traces:
    """Mean light of each cell in each channel and frame, background taken off.

    Parameters
    ----------
    signal : array, shape (channels, cells, frames), ADU
        Mean of the cell's pixels less the background of the page. NaN where a cell has left the picture.
    variance : array, same shape, ADU²
        Of `signal`, from the camera's gain and read noise and from the background's own error.
    background : array, shape (channels, frames), ADU
    time_s : array, shape (frames, channels), s
    labels : array of int, shape (cells,)
        Of the cells in the masks.
    area : array, shape (cells,), pixels
    centre : array, shape (cells, 2), pixels
        Row and column of the centres in the first frame's picture.
    saturated : array of int, shape (channels, cells, frames)
        Pixels of the cell that are saturated.
    shift : array, shape (frames, 2), pixels
        By how much each frame lies down and right of the reference.
    channels : tuple of str
    flags : tuple of str, one a cell
        Empty, or why the cell deserves a second look (``saturated``, ``left the picture``).
    notes : tuple of str
    simulated : bool
    """

    signal: Array
    variance: Array
    background: Array
    time_s: Array
    labels: Counts
    area: Array
    centre: Array
    saturated: Counts
    shift: Array
    channels: tuple[str, ...]
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    simulated: bool = False

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.signal.shape[1])

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.signal.shape[2])
