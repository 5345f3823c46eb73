"""One pass over a recording: registration, background and the mean light of every cell, a few frames in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.background import Background, cell_free
from halfmax.assays.calcium.camera import Camera
from halfmax.assays.calcium.motion import Tracker
from halfmax.assays.calcium.traces import Traces
from halfmax.errors import TableError
from halfmax.movie import Movie, Page

__all__ = ["extract", "picture_of"]

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
#: Told of each step: how many frames are done, how many there are.
Progress = Callable[[int, int], None]

#: Frames of a picture of the recording.
_SAMPLED = 60
#: Frames whose mean says what is too bright for background.
_FIRST = 8
#: A frame less like the reference than this is flagged.
_UNLIKE = 0.7
#: Cell-free pixels keep so many times the cells' radius away from them.
_AWAY = 0.6


def picture_of(movie: Movie, *, frames: int = _SAMPLED) -> Array:
    """Mean of frames spread over a recording, registered by whole pixels.

    Parameters
    ----------
    movie : Movie
    frames : int
        How many are looked at.

    Returns
    -------
    array, shape (channels, height, width), ADU
    """
    tracker, picture = Tracker(movie), _Picture(movie)
    for frame in np.unique(np.linspace(0, movie.frames - 1, frames).astype(int)).tolist():
        pages = _pages(movie, frame)
        picture.add(pages, tracker.shift(pages)[0])
    return picture.mean()


def extract(movie: Movie, labels: Labels, *, camera: Camera, progress: Progress | None = None) -> tuple[Traces, Array]:
    """Traces of all cells, and a picture of the recording, in one pass.

    Each frame is registered against the first; the masks are moved, not the picture. A cell's light is the mean of
    its pixels (between pixels, by their neighbours) less the background of the page at its place.

    Parameters
    ----------
    movie : Movie
    labels : array of int, shape (height, width)
        Cell of each pixel in the first frame; 0 is none.
    camera : Camera
        For the variances.
    progress : callable, optional

    Returns
    -------
    traces : Traces
    picture : array, shape (channels, height, width), ADU

    Raises
    ------
    TableError
        If the masks are of another size, hold no cell, or leave no background to be seen.
    """
    masks, tracker = _Masks.of(labels, movie), Tracker(movie)
    free = cell_free(labels, margin=_AWAY * math.sqrt(float(np.median(masks.area)) / math.pi))
    background = Background.of(free, _first(movie))
    seen, picture = _Seen.empty(movie, masks), _Picture(movie)
    sampled = set(np.linspace(0, movie.frames - 1, _SAMPLED).astype(int).tolist())
    for frame in range(movie.frames):
        pages = _pages(movie, frame)
        seen.shift[frame], seen.alike[frame] = tracker.shift(pages)
        for channel, page in enumerate(pages):
            seen.look(frame, channel, page, masks, background, movie.saturated)
        if frame in sampled:
            picture.add(pages, seen.shift[frame])
        if progress is not None:
            progress(frame + 1, movie.frames)
    return seen.traces(movie, masks, background, camera), picture.mean()


def _pages(movie: Movie, frame: int) -> list[Page]:
    return [movie.page(frame, channel) for channel in range(len(movie.channels))]


def _first(movie: Movie) -> Array:
    """Mean of all channels of the first frames, which have hardly moved."""
    frames = range(min(_FIRST, movie.frames))
    return np.asarray(np.mean([np.sum(_pages(movie, k), axis=0, dtype=float) for k in frames], axis=0))


class _Picture:
    """A mean of frames, each moved back by whole pixels; where the picture ends, fewer take part."""

    def __init__(self, movie: Movie) -> None:
        self._sum = np.zeros((len(movie.channels), *movie.shape))
        self._count = np.zeros(movie.shape)

    def add(self, pages: Sequence[Page], shift: Array) -> None:
        """One more frame."""
        whole = np.rint(shift).astype(int).tolist()
        parts = [_overlap(by, size) for by, size in zip(whole, self._count.shape, strict=True)]
        here, there = zip(*parts, strict=True)
        for channel, page in enumerate(pages):
            self._sum[channel][here] += page[there]
        self._count[here] += 1.0

    def mean(self) -> Array:
        """The picture so far; pixels that no frame shows are zero."""
        return self._sum / np.maximum(self._count, 1.0)


def _overlap(by: int, size: int) -> tuple[slice, slice]:
    """Pixels of the first frame that a frame moved by so many shows, and where they lie in it."""
    return slice(max(-by, 0), size - max(by, 0)), slice(max(by, 0), size + min(by, 0))


@dataclass(frozen=True, eq=False)
class _Masks:
    """Cells as a sparse matrix over the pixels, whose rows give means; and where each cell lies."""

    labels: NDArray[np.int64]
    matrix: Any
    area: Array
    centre: Array
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def of(cls, labels: Labels, movie: Movie) -> _Masks:
        """Masks of a label image."""
        from scipy import sparse

        if labels.shape != movie.shape:
            raise TableError(
                f"the masks are {labels.shape[0]} × {labels.shape[1]} pixels, the recording {movie.shape[0]} × "
                f"{movie.shape[1]}. Draw them on a picture of this recording, without scaling or cropping."
            )
        places = np.flatnonzero(labels > 0)
        if places.size == 0:
            raise TableError("the masks hold no cell: every pixel is 0. Draw them anew, or leave them out.")
        names, cell = np.unique(labels.ravel()[places], return_inverse=True)
        area = np.bincount(cell).astype(float)
        rows, columns = np.divmod(places, labels.shape[1])
        values = (1.0 / area[cell]).astype(np.float32)
        matrix = sparse.csr_matrix((values, (cell, places)), shape=(names.size, labels.size))
        centre = np.stack([np.bincount(cell, one) / area for one in (rows, columns)], axis=1)
        first, last = np.full((names.size, 2), labels.size), np.zeros((names.size, 2), dtype=int)
        for axis, one in enumerate((rows, columns)):
            np.minimum.at(first[:, axis], cell, one)
            np.maximum.at(last[:, axis], cell, one)
        return cls(names.astype(np.int64), matrix, area, centre, first, last, labels.shape)

    def inside(self, shift: Array) -> NDArray[np.bool_]:
        """Cells that lie in the picture when it has moved so far."""
        low, high = self.first + np.floor(shift), self.last + np.ceil(shift)
        return np.asarray(((low >= 0) & (high <= np.array(self.shape) - 1)).all(axis=1))

    def means(self, padded: NDArray[np.float32], shift: Array) -> Array:
        """Mean of the pixels of each cell in a page that stands in the middle of `padded`."""
        size, width = self.shape[0] * self.shape[1], self.shape[1]
        whole = np.floor(shift).astype(int)
        down, right = (shift - whole).tolist()
        start = (padded.size - size) // 2 + int(whole[0]) * width + int(whole[1])
        total = np.zeros(self.area.size)
        for row, across in ((0, 1.0 - down), (width, down)):
            for column, along in ((0, 1.0 - right), (1, right)):
                if across * along > 0 and 0 <= start + row + column <= padded.size - size:
                    at = start + row + column
                    total += across * along * (self.matrix @ padded[at : at + size])
        return total


@dataclass(frozen=True, eq=False)
class _Seen:
    """What has been seen so far, filled frame by frame."""

    light: Array
    background: Array
    noise: Array
    level: Array
    saturated: NDArray[np.int64]
    shift: Array
    alike: Array
    padded: NDArray[np.float32]

    @classmethod
    def empty(cls, movie: Movie, masks: _Masks) -> _Seen:
        """Room for all frames."""
        channels, frames, cells = len(movie.channels), movie.frames, masks.area.size
        height, width = movie.shape
        pad = (height // 2) * width + width
        return cls(
            np.full((channels, cells, frames), np.nan), np.full((channels, cells, frames), np.nan),
            np.zeros((channels, frames)), np.zeros((channels, frames)),
            np.zeros((channels, cells, frames), dtype=np.int64), np.zeros((frames, 2)), np.ones(frames),
            np.zeros(height * width + 2 * pad, dtype=np.float32),
        )  # fmt: skip

    def look(
        self, frame: int, channel: int, page: Page, masks: _Masks, background: Background, saturated: float
    ) -> None:
        """Light of all cells in a page."""
        shift, inside = self.shift[frame], masks.inside(self.shift[frame])
        pad = (self.padded.size - page.size) // 2
        self.padded[pad : pad + page.size] = page.ravel()
        light = masks.means(self.padded, shift)
        terms, self.noise[channel, frame] = background.surface(page)
        self.level[channel, frame] = terms[0]
        self.light[channel, inside, frame] = light[inside]
        self.background[channel, inside, frame] = background.at(terms, masks.centre[inside] + shift)
        if page.max() >= saturated:
            self.padded[pad : pad + page.size] = (page >= saturated).ravel()
            share = masks.means(self.padded, np.rint(shift))
            self.saturated[channel, :, frame] = np.rint(share * masks.area).astype(int)

    def traces(self, movie: Movie, masks: _Masks, background: Background, camera: Camera) -> Traces:
        """All of it with variances and flags."""
        own = camera.variance(self.light - camera.offset) / masks.area[:, None]
        below = background.share * self.noise[:, None, :]
        lost = np.asarray(np.isnan(self.light).any(axis=(0, 2)))
        bright = np.asarray((self.saturated > 0).any(axis=(0, 2)))
        flags = [", ".join(name for name, here in (("saturated", b), ("left the picture", g)) if here)
                 for b, g in zip(bright.tolist(), lost.tolist(), strict=True)]  # fmt: skip
        return Traces(
            signal=self.light - self.background, variance=own + below, background=self.level, time_s=movie.time_s,
            labels=masks.labels, area=masks.area, centre=masks.centre, saturated=self.saturated, shift=self.shift,
            channels=movie.channels, flags=tuple(flags), notes=self._notes(), simulated=movie.simulated,
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        unlike = np.flatnonzero(self.alike < _UNLIKE)
        if unlike.size == 0:
            return ()
        which = ", ".join(str(one + 1) for one in unlike[:5]) + (" …" if unlike.size > 5 else "")
        return (
            f"{unlike.size} of {self.alike.size} frames are unlike the first ones (frames {which}): out of focus, or "
            "another place. Look at them before the numbers are used.",
        )
