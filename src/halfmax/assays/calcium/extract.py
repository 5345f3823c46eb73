"""One pass over a recording: registration, background and the mean light of every cell, a few frames in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
#: Pixels from frame to frame that are no drift.
_JUMP = 8.0
#: A page whose cells give less than this share of what they give in so many frames around it is dark.
_DARK, _AROUND = 0.1, 31
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
    its pixels (between pixels, by a parabola through their neighbours, which takes no light away) less the background
    of the page at its place. Where a page is dark (shutter closed, or not written), its values are missing.

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
        seen.look(frame, pages, masks, background, movie.saturated)
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
    """Cells and the pixels around them, cell by cell in one row, and by how much each pixel counts for its cell.

    Parameters
    ----------
    labels : array of int, shape (cells,)
    at : array of int, shape (pixels, 2)
        Row and column in the first frame; beside cells at the border, outside the picture.
    begin : array of int, shape (cells,)
        Where each cell begins in that row.
    member : array of float, shape (pixels,)
        1 within the cell, 0 beside it.
    edge : array of int, shape (edges,)
        Which of the pixels have a neighbour of the other kind.
    beside : array, shape (9, edges)
        Which neighbours of these belong to the cell.
    area, centre
        As in `Traces`.
    first, last : array of int, shape (cells, 2)
        Smallest and largest row and column.
    shape : (int, int)
    """

    labels: NDArray[np.int64]
    at: NDArray[np.int64]
    begin: NDArray[np.int64]
    member: NDArray[np.float32]
    edge: NDArray[np.int64]
    beside: NDArray[np.float32]
    area: Array
    centre: Array
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    shape: tuple[int, int]
    _placed: dict[tuple[int, int], NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, labels: Labels, movie: Movie) -> _Masks:
        """Masks of a label image."""
        from scipy import ndimage

        if labels.shape != movie.shape:
            raise TableError(
                f"the masks are {labels.shape[0]} × {labels.shape[1]} pixels, the recording {movie.shape[0]} × "
                f"{movie.shape[1]}. Draw them on a picture of this recording, without scaling or cropping."
            )
        if not (labels > 0).any():
            raise TableError("the masks hold no cell: every pixel is 0. Draw them anew, or leave them out.")
        boxes = {name: box for name, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}
        around = [_around(labels, name, box) for name, box in boxes.items()]
        count = [len(near) for _, near in around]
        at, near = (np.concatenate(parts) for parts in zip(*around, strict=True))
        member = near[:, 4]
        edge = np.flatnonzero(near.min(axis=1) < near.max(axis=1))
        begin = np.r_[0, np.cumsum(count)[:-1]]
        area = np.add.reduceat(member, begin, dtype=float)
        centre = np.add.reduceat(at * member[:, None], begin, axis=0) / area[:, None]
        first, last = (np.array([[getattr(side, end) for side in box] for box in boxes.values()])
                       for end in ("start", "stop"))  # fmt: skip
        return cls(
            np.array(list(boxes), dtype=np.int64), at, begin, member, edge, np.ascontiguousarray(near[edge].T), area,
            centre, first, last - 1, labels.shape,
        )  # fmt: skip

    def inside(self, shift: Array) -> NDArray[np.bool_]:
        """Cells that lie in the picture, to half a pixel, when it has moved so far."""
        whole = np.rint(shift).astype(int)
        return np.asarray(((self.first + whole >= 0) & (self.last + whole < self.shape)).all(axis=1))

    def moved(self, shift: Array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Flat indices of the pixels when the picture has moved so far, and by how much each counts.

        A parabola through three neighbours in each direction, which is exact at whole pixels. Outside the picture
        the pixels of its border are repeated.
        """
        whole = np.rint(shift).astype(int)
        down, right = (np.array([f * (f - 1) / 2, 1 - f * f, f * (f + 1) / 2]) for f in (shift - whole).tolist())
        # The light at a place between pixels is that of its neighbours: seen from them, the kernel is turned round.
        kernel = np.outer(down, right).ravel()[::-1].astype(np.float32)
        weight = self.member.copy()
        # Not as a matrix product: the threads of a linear-algebra library cost more here than they save.
        weight[self.edge] = np.einsum("k,ke->e", kernel, self.beside)
        key = int(whole[0]), int(whole[1])
        if key not in self._placed:
            self._placed.clear()
            self._placed[key] = np.clip(self.at + whole, 0, np.array(self.shape) - 1) @ np.array([self.shape[1], 1])
        return self._placed[key], weight

    def mean(self, seen: NDArray[np.float32]) -> Array:
        """Sum over the pixels of each cell, as a share of its area."""
        return np.asarray(np.add.reduceat(seen, self.begin) / self.area)


def _around(labels: Labels, name: int, box: tuple[slice, slice]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pixels of a cell and those beside it: row and column of each, and which of its nine neighbours are the cell's."""
    cell = np.pad(labels[box] == name, 2)
    near = np.lib.stride_tricks.sliding_window_view(cell, (3, 3))
    here = np.argwhere(near.any(axis=(2, 3)))
    corner = np.array([box[0].start - 1, box[1].start - 1])
    return here + corner, near[tuple(here.T)].reshape(-1, 9).astype(np.float32)


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

    @classmethod
    def empty(cls, movie: Movie, masks: _Masks) -> _Seen:
        """Room for all frames."""
        channels, frames, cells = len(movie.channels), movie.frames, masks.area.size
        return cls(
            np.full((channels, cells, frames), np.nan), np.full((channels, cells, frames), np.nan),
            np.zeros((channels, frames)), np.zeros((channels, frames)),
            np.zeros((channels, cells, frames), dtype=np.int64), np.zeros((frames, 2)), np.ones(frames),
        )  # fmt: skip

    def look(self, frame: int, pages: Sequence[Page], masks: _Masks, background: Background, saturated: float) -> None:
        """Light of all cells in the pages of a frame."""
        shift = self.shift[frame]
        inside = masks.inside(shift)
        place, weight = masks.moved(shift)
        under = background.under(masks.centre[inside], background.solve.shape[0])
        for channel, page in enumerate(pages):
            seen = page.ravel().take(place)
            terms, self.noise[channel, frame] = background.surface(page, shift)
            self.level[channel, frame] = terms[0]
            self.light[channel, inside, frame] = masks.mean(seen * weight)[inside]
            self.background[channel, inside, frame] = under[:, : terms.size] @ terms
            if seen.max() >= saturated:
                full = masks.mean((seen >= saturated) * masks.member)[inside]
                self.saturated[channel, inside, frame] = np.rint(full * masks.area[inside]).astype(int)

    def traces(self, movie: Movie, masks: _Masks, background: Background, camera: Camera) -> Traces:
        """All of it with variances and flags."""
        own = camera.variance(self.light - camera.offset) / masks.area[:, None]
        below = background.share * self.noise[:, None, :]
        lost = np.asarray(np.isnan(self.light).any(axis=(0, 2)))
        bright = np.asarray((self.saturated > 0).any(axis=(0, 2)))
        flags = [", ".join(name for name, here in (("saturated", b), ("left the picture", g)) if here)
                 for b, g in zip(bright.tolist(), lost.tolist(), strict=True)]  # fmt: skip
        signal = self.light - self.background
        dark = _dark(signal)
        signal[np.broadcast_to(dark[:, None], signal.shape)] = np.nan
        return Traces(
            signal=signal, variance=own + below, background=self.level, time_s=movie.time_s, labels=masks.labels,
            area=masks.area, centre=masks.centre, saturated=self.saturated, shift=self.shift, channels=movie.channels,
            flags=tuple(flags), notes=(*_dark_notes(dark, movie.channels), *self._notes(np.asarray(~dark.any(axis=0)))),
            simulated=movie.simulated,
        )  # fmt: skip

    def _notes(self, lit: NDArray[np.bool_]) -> tuple[str, ...]:
        unlike = np.flatnonzero((self.alike < _UNLIKE) & lit)
        jumps = 1 + np.flatnonzero(np.hypot(*np.diff(self.shift, axis=0).T) > _JUMP)
        notes = []
        if unlike.size:
            notes.append(
                f"{unlike.size} of {self.alike.size} frames are unlike the first ones ({_listed(unlike)}): out of "
                "focus, or another place. Look at them before the numbers are used."
            )
        if jumps.size:
            notes.append(
                f"The picture jumps by more than {_JUMP:g} pixels at {_listed(jumps)}: the stage moved, or it is "
                "another place. Look whether the cells are the same."
            )
        return tuple(notes)


def _dark(signal: Array) -> NDArray[np.bool_]:
    """Pages in which the cells suddenly give no light, shape (channels, frames).

    The median cell is held against the running median of the frames around: a lasting fall is no dark page.
    """
    from scipy import ndimage

    dark = np.zeros((signal.shape[0], signal.shape[2]), dtype=bool)
    for channel, light in enumerate(signal):
        seen = np.isfinite(light).any(axis=0)
        middle = np.nanmedian(light[:, seen], axis=0)
        usual = ndimage.median_filter(middle, min(_AROUND, middle.size), mode="mirror")
        dark[channel, seen] = (middle < _DARK * usual) & (usual > 0)
    return dark


def _dark_notes(dark: NDArray[np.bool_], channels: Sequence[str]) -> tuple[str, ...]:
    """Which pages are dark."""
    return tuple(
        f"{int(pages.sum())} of {pages.size} pages{f' of {channel}' if channel else ''} show no light of the cells "
        f"({_listed(np.flatnonzero(pages))}): the shutter was closed, or they were not written. Their values are "
        "missing."
        for pages, channel in zip(dark, channels, strict=True) if pages.any()
    )  # fmt: skip


def _listed(frames: NDArray[np.int64]) -> str:
    """The first few frames by their numbers, from 1."""
    numbers = ", ".join(str(one + 1) for one in frames[:5].tolist())
    return f"frame{'s' if frames.size > 1 else ''} {numbers}{' …' if frames.size > 5 else ''}"
