"""Background of a page from its cell-free pixels: one smooth surface a channel and frame.

The picture is divided into tiles. In each, the mean of its cell-free pixels is taken, those far from
the tile's median pulled in to three standard deviations, which a few bright specks hardly move; a
quadratic surface is laid through the tiles. It stands still while the cells drift. What is common to
all cells of a frame is the background's error, so that many pixels are looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import TableError
from halfmax.movie import Page

__all__ = ["Background", "cell_free"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Tiles along each side, and pixels looked at in each; so many of them say where its median is.
_TILES, _PIXELS, _MEDIAN = 8, 1024, 63
#: Standard deviations from the median beyond which a pixel counts as if it lay there.
_FAR = 3.0
#: A tile with fewer cell-free pixels takes no part; with fewer tiles the surface is level.
_LEAST, _LEVEL = 64, 12
#: A pixel brighter than its tile by so many robust standard deviations of the first frames' mean is no background.
_BRIGHT = 3.0


@dataclass(frozen=True, eq=False)
class Background:
    """Where the background of a recording is looked at, and how a surface is laid through it.

    Parameters
    ----------
    places : array of int, shape (tiles, pixels)
        Flat indices of the pixels.
    solve : array, shape (terms, tiles)
        From tiles to the terms of the surface.
    shape : (int, int)
    """

    places: NDArray[np.int64]
    solve: Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, free: Flags, picture: Array, *, seed: int = 0) -> Background:
        """From the cell-free pixels and a picture of little noise, in which what is bright is no background.

        Raises
        ------
        TableError
            If too few pixels are free of cells.
        """
        rng, places, centres = np.random.default_rng(seed), [], []
        height, width = free.shape
        for rows in np.array_split(np.arange(height), min(_TILES, height)):
            for columns in np.array_split(np.arange(width), min(_TILES, width)):
                at = np.ix_(rows, columns)
                flat = (rows[:, None] * width + columns)[free[at] & _dark(picture[at], free[at])]
                if flat.size >= min(_LEAST, rows.size * columns.size // 4 + 1):
                    places.append(rng.choice(flat, _PIXELS, replace=flat.size < _PIXELS))
                    centres.append([(flat // width).mean(), (flat % width).mean()])
        if not places:
            raise TableError(
                f"the masks leave {free.mean():.0%} of the picture free of cells, and nowhere enough to see the "
                "background. Record with a cell-free place in the picture, or give smaller masks."
            )
        terms = _terms(np.array(centres), free.shape)
        solve = np.asarray(np.linalg.pinv(terms if len(places) >= _LEVEL else terms[:, :1]), dtype=float)
        return cls(np.array(places), solve, (height, width))

    def surface(self, page: Page) -> tuple[Array, float]:
        """Terms of the background's surface in a page, and the variance of a cell-free pixel.

        Returns
        -------
        terms : array, shape (terms,), ADU
        variance : float, ADU²
        """
        seen = page.ravel()[self.places]
        some = seen[:, :_MEDIAN].copy()
        quarter = _MEDIAN // 4
        some.partition((quarter, _MEDIAN // 2, _MEDIAN - 1 - quarter), axis=1)
        low, middle, high = (some[:, at].astype(float) for at in (quarter, _MEDIAN // 2, _MEDIAN - 1 - quarter))
        spread = float((high - low).mean()) / _QUARTERS
        near = np.clip(seen, (middle - _FAR * spread)[:, None], (middle + _FAR * spread)[:, None])
        return self.solve @ near.mean(axis=1), spread**2

    def at(self, terms: Array, places: Array) -> Array:
        """Background at places, shape (places, 2)."""
        return np.asarray(_terms(places, self.shape)[:, : terms.size] @ terms)

    @property
    def share(self) -> float:
        """Variance of the level of the background, as a share of that of a pixel."""
        return float(self.solve.shape[0]) / self.places.size


#: Distance of the quartiles of normal values, in standard deviations.
_QUARTERS = 1.349


def cell_free(labels: NDArray[np.int32], *, margin: float) -> Flags:
    """Pixels at least so many pixels away from every cell."""
    from scipy import ndimage

    if not (labels > 0).any():
        return np.ones(labels.shape, dtype=bool)
    return np.asarray(ndimage.distance_transform_edt(labels == 0) > margin)


def _dark(part: Array, free: Flags) -> Flags:
    """Pixels that are not much brighter than the middle of their tile's free ones."""
    if not free.any():
        return free
    middle = float(np.median(part[free]))
    spread = float(np.median(np.abs(part[free] - middle))) * 1.4826
    return np.asarray(part <= middle + _BRIGHT * spread) if spread > 0 else np.ones(part.shape, dtype=bool)


def _terms(places: Array, shape: tuple[int, int]) -> Array:
    """Terms of a quadratic surface at places, in units of the picture."""
    y, x = ((places[:, axis] / max(shape[axis] - 1, 1) - 0.5) * math.sqrt(12.0) for axis in (0, 1))
    return np.stack([np.ones_like(x), y, x, y * x, y**2 - 1.0, x**2 - 1.0], axis=1)
