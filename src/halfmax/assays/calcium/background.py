"""Background of a page from its cell-free pixels: one smooth surface a channel and frame.

The picture is divided into tiles. In each, the mean of its cell-free pixels is taken, those far from
the tile's median pulled in to three standard deviations, which a few bright specks hardly move; a
quadratic surface is laid through the tiles. The background stands still while the cells drift, but the
pixels that are looked at move with the cells, so that none drifts into them: the surface is laid anew
in each frame. What is common to all cells of a frame is the background's error, so that many pixels
are looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import TableError
from halfmax.movie import Page

__all__ = ["Background", "cell_free"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Tiles along each side, and pixels looked at in each; every so many of them says where its median is.
_TILES, _PIXELS, _EVERY = 8, 1024, 16
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
        Flat indices of the pixels in the first frame.
    solve : array, shape (terms, tiles)
        From tiles to the terms of the surface.
    shape : (int, int)
    """

    places: NDArray[np.int64]
    solve: Array
    shape: tuple[int, int]
    _moved: dict[tuple[int, int], tuple[NDArray[np.int64], Array]] = field(default_factory=dict)

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
                    places.append(np.sort(rng.choice(flat, _PIXELS, replace=flat.size < _PIXELS)))
                    centres.append([(flat // width).mean(), (flat % width).mean()])
        if not places:
            raise TableError(
                f"the masks leave {free.mean():.0%} of the picture free of cells, and nowhere enough to see the "
                "background. Record with a cell-free place in the picture, or give smaller masks."
            )
        return cls(np.array(places), _solve(np.array(centres), (height, width)), (height, width))

    def surface(self, page: Page, shift: Array | None = None) -> tuple[Array, float]:
        """Terms of the background's surface in a page, and the variance of a cell-free pixel.

        Parameters
        ----------
        page : array, shape (height, width), ADU
        shift : array, shape (2,), pixels, optional
            By how much the cells lie down and right of the first frame.

        Returns
        -------
        terms : array, shape (terms,), ADU
            Of the surface under the cells: `at` takes their places in the first frame.
        variance : float, ADU²
        """
        whole = (0, 0) if shift is None else (round(float(shift[0])), round(float(shift[1])))
        if whole not in self._moved:
            self._moved.clear()
            self._moved[whole] = self._after(*whole)
        places, solve = self._moved[whole]
        seen = page.ravel().take(places)
        some = np.sort(seen[:, ::_EVERY], axis=1)
        last = some.shape[1] - 1
        low, middle, high = (some[:, at].astype(float) for at in (last // 4, last // 2, last - last // 4))
        spread = float((high - low).mean()) / _QUARTERS
        return solve @ _near(seen, middle[:, None], _FAR * spread).mean(axis=1), spread**2

    def _after(self, down: int, right: int) -> tuple[NDArray[np.int64], Array]:
        """Where the pixels lie when all has moved, and from tiles to terms; what has left the picture is left out."""
        height, width = self.shape
        rows, columns = np.divmod(self.places, width)
        moved = self.places + down * width + right
        here = (rows + down >= 0) & (rows + down < height) & (columns + right >= 0) & (columns + right < width)
        if here.all():
            return moved, self.solve
        count = here.sum(axis=1)
        left = np.flatnonzero(count >= _LEAST)
        if left.size == 0:
            return np.clip(moved, 0, height * width - 1), self.solve
        order = np.argsort(~here[left], axis=1, kind="stable")
        order = np.take_along_axis(order, np.arange(_PIXELS) % count[left, None], axis=1)
        picked = [np.take_along_axis(each[left], order, axis=1) for each in (moved, rows, columns)]
        centres = np.stack([each.mean(axis=1) for each in picked[1:]], axis=1)
        return np.sort(picked[0], axis=1), _solve(centres, self.shape, level=self.solve.shape[0] == 1)

    def at(self, terms: Array, places: Array) -> Array:
        """Background at places of the first frame, shape (places, 2)."""
        return self.under(places, terms.size) @ terms

    def under(self, places: Array, terms: int) -> Array:
        """From so many terms of the surface to the background at places of the first frame."""
        return _terms(places, self.shape)[:, :terms]

    @property
    def share(self) -> float:
        """Variance of the level of the background, as a share of that of a pixel."""
        return float(self.solve.shape[0]) / self.places.size


def _solve(centres: Array, shape: tuple[int, int], *, level: bool = False) -> Array:
    """From tiles at such centres to the terms of the surface; level where there are few tiles."""
    terms = _terms(centres, shape)
    few = level or len(centres) < _LEVEL
    return np.asarray(np.linalg.pinv(terms[:, :1] if few else terms), dtype=float)


def _near(seen: Page, middle: Array, reach: float) -> Page:
    """Values, those far from the middle drawn in; whole numbers stay whole, for speed."""
    low, high = middle - reach, middle + reach
    if seen.dtype.kind == "u":
        top = float(np.iinfo(seen.dtype).max)
        low, high = (np.clip(np.rint(edge), 0.0, top).astype(seen.dtype) for edge in (low, high))
    return np.minimum(np.maximum(seen, low), high)


#: Distance of the quartiles of 64 normal values, in standard deviations.
_QUARTERS = 1.392


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
