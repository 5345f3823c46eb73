"""How far each frame of a recording has moved: rigid, sub-pixel, one frame at a time.

The low frequencies of a window of the picture are correlated with those of the reference, and Newton
steps on the exact derivatives climb to the top of the correlation. The window moves along, so that
what is left to find is less than a pixel; where the top is lost, it is looked for in the whole window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.movie import Movie, Page

__all__ = ["Tracker"]

Array = NDArray[np.float64]
Window = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

#: Side of the window, pixels, and the share of its frequencies that is used.
_SIDE, _LOW = 256, 0.25
#: Where the first frames are less alike than this, noise shows, and the window is larger.
_CLEAR, _LARGE = 0.99, 512
#: Share of a small picture that the window takes, so that it can move.
_WITHIN = 0.75
#: Waves longer than this, pixels, hardly count.
_WIDEST = 64.0
#: Frames that make the reference.
_REFERENCE = 8
_STEPS, _SETTLED, _FAR = 6, 2e-3, 1.0
#: A frame less like the reference than this share of the reference's own frames is looked for anew.
_LOST = 0.7
#: One less alike than this shows nothing that could be followed, as with the shutter closed.
_NOTHING = 0.3
#: Frequencies above this share of the band show how much noise the reference has.
_NOISE = 0.8


class Tracker:
    """Displacement of each frame against the first, pixels down and right.

    Parameters
    ----------
    movie : Movie
        Its first frames make the reference.
    """

    def __init__(self, movie: Movie) -> None:
        first = _first(movie)
        clear = self._refer(first, _SIDE)
        if clear < _CLEAR and _side(_LARGE, movie.shape) > self._band.side:
            self._refer(first, _LARGE)

    def _refer(self, first: Sequence[Window], side: int) -> float:
        """Make the reference in a window of at most such a side; how alike its frames are."""
        shape = first[0].shape
        side = _side(side, shape)
        taper = np.hanning(side + 1)[:-1]
        self._taper = np.outer(taper, taper).astype(np.float32)
        self._band = _Band.of(side)
        self._limit = np.array(shape) - side
        self._corner = self._richest(first[0])
        self._at, self._least = np.zeros(2), math.inf
        self._reference = self._spectrum([first[0]], self._corner)
        found = [self._found([picture]) for picture in first]
        # Once against the first frame, and once against the mean, which has less noise.
        for _ in range(2):
            moved = [self._band.moved(spectrum, at - found[0][0]) for at, spectrum, _ in found]
            self._reference = self._band.cleaned(np.mean(moved, axis=0, dtype=np.complex64))
            self._at = np.zeros(2)
            found = [self._found([picture]) for picture in first]
        clear = min(alike for *_, alike in found)
        self._least, self._at = _LOST * clear, np.zeros(2)
        return clear

    def shift(self, pages: Sequence[Page]) -> tuple[Array, float]:
        """Displacement of a frame, and how alike it is to the reference.

        Parameters
        ----------
        pages : sequence of array, shape (height, width)
            All channels of the frame.

        Returns
        -------
        shift : array, shape (2,), pixels
        alike : float
            1 is the same; below 0.7 of what is usual, the frame is out of focus or another place. Below 0.3 it shows
            nothing that could be followed, and its displacement is that of the frame before.
        """
        before = self._at
        at, _, found = self._found(pages)
        alike = found / self._least * _LOST
        if alike < _NOTHING:
            at = self._at = before
        return at, alike

    def _found(self, pages: Sequence[Page | Window]) -> tuple[Array, Spectrum, float]:
        """Displacement, spectrum of the window less its displacement by whole pixels, and likeness."""
        for _ in range(2):  # once more where the frame has jumped out of the window
            corner = np.clip(self._corner + np.rint(self._at).astype(int), 0, self._limit)
            whole = corner - self._corner
            spectrum = self._spectrum(pages, corner)
            left, alike = self._left(spectrum, self._at - whole)
            self._at = whole + left
            if np.abs(left).max() < _FAR:
                break
        return self._at, self._band.moved(spectrum, -whole.astype(float)), alike

    def _left(self, spectrum: Spectrum, start: Array) -> tuple[Array, float]:
        """Displacement within the window, and likeness; looked for everywhere where it is not near the start."""
        product = spectrum * np.conj(self._reference)
        size = math.sqrt(self._band.energy(spectrum) * self._band.energy(self._reference)) or 1.0
        left, height = self._band.top(product, start)
        if height < self._least * size:
            again = self._band.top(product, self._band.searched(product))
            left, height = max((left, height), again, key=lambda one: one[1])
        return left, height / size

    def _spectrum(self, pages: Sequence[Page | Window], corner: NDArray[np.int64]) -> Spectrum:
        """Low frequencies of the window of the sum of all channels."""
        rows, columns = (slice(start, start + self._taper.shape[0]) for start in corner.tolist())
        part = pages[0][rows, columns].astype(np.float32)
        for page in pages[1:]:
            part += page[rows, columns]
        part -= part.mean()
        part *= self._taper
        return self._band.spectrum(part)

    def _richest(self, picture: Window) -> NDArray[np.int64]:
        """Corner of the window with most structure, of nine that leave it room to move."""
        steps = [np.unique(np.linspace(limit / 4, 3 * limit / 4, 3).astype(int)) for limit in self._limit]
        corners = [np.array([row, column]) for row in steps[0] for column in steps[1]]
        return max(corners, key=lambda corner: self._band.energy(self._spectrum([picture], corner)))


def _side(most: int, shape: tuple[int, ...]) -> int:
    """Side of a window, even, that can move within the picture."""
    return min(most, *(int(_WITHIN * length) // 2 * 2 for length in shape))


def _first(movie: Movie) -> list[Window]:
    """The first frames, without those that show nothing at all where others do."""
    pictures = [_sum_of(movie, frame) for frame in range(min(_REFERENCE, movie.frames))]
    return [picture for picture in pictures if np.ptp(picture) > 0] or pictures


def _sum_of(movie: Movie, frame: int) -> Window:
    """All channels of a frame together."""
    pages = [movie.page(frame, channel) for channel in range(len(movie.channels))]
    return np.asarray(np.sum(pages, axis=0, dtype=np.float32))


@dataclass(frozen=True)
class _Band:
    """Frequencies of a square window between haze and noise.

    `down` and `right` hold their powers 0 to 2, radians a pixel; `weight` is what each counts.
    """

    side: int
    down: Window
    right: Window
    weight: Window

    @classmethod
    def of(cls, side: int) -> _Band:
        """Frequencies of a window of so many pixels."""
        keep = max(int(side * _LOW), 2)
        turn = 2.0 * math.pi / side
        down, right = turn * np.r_[0:keep, -keep:0], turn * np.arange(keep)
        rows, columns = (np.stack([one**power for power in range(3)]).astype(np.float32) for one in (down, right))
        # What is wider than cells stands still: background, and the edge of the window itself.
        narrow = 1.0 - np.exp(-0.5 * (down[:, None] ** 2 + right**2) * (_WIDEST / (2.0 * math.pi)) ** 2)
        # A real picture has a symmetric spectrum: each column but the first stands for two.
        return cls(side, rows, columns, (narrow * np.where(right == 0, 1.0, 2.0)).astype(np.float32))

    def spectrum(self, part: Window) -> Spectrum:
        """Low frequencies of a window."""
        from scipy import fft

        keep = self.right.shape[1]
        whole = fft.fft(fft.rfft(part, axis=1)[:, :keep], axis=0)
        return np.concatenate([whole[:keep], whole[-keep:]])

    def cleaned(self, spectrum: Spectrum) -> Spectrum:
        """Spectrum of a mean of frames less its noise, as its highest frequencies show it (Wiener's filter)."""
        power = spectrum.real**2 + spectrum.imag**2
        far = np.hypot(self.down[1][:, None], self.right[1]) > _NOISE * self.right[1].max()
        noise = float(np.median(power[far])) / math.log(2.0)
        gain = np.maximum(1.0 - noise / np.maximum(power, np.float32(1e-30)), 0.0)
        return np.asarray(spectrum * gain, dtype=np.complex64)

    def energy(self, spectrum: Spectrum) -> float:
        """Sum of the squares of what a spectrum stands for."""
        return float(((spectrum.real**2 + spectrum.imag**2) * self.weight).sum())

    def moved(self, spectrum: Spectrum, by: Array) -> Spectrum:
        """Spectrum of a window moved back by a displacement."""
        down, right = np.exp(1j * self.down[1] * by[0]), np.exp(1j * self.right[1] * by[1])
        return np.asarray(spectrum * down[:, None] * right, dtype=np.complex64)

    def top(self, product: Spectrum, start: Array) -> tuple[Array, float]:
        """Highest place of a correlation near a start, and its height."""
        weighed, at = product * self.weight, start.copy()
        for _ in range(_STEPS):
            value, slope, curve = self._derivatives(weighed, at)
            size = curve[0] * curve[1] - curve[2] ** 2
            if not (curve[0] < 0 and size > 0):
                break
            step = np.array([curve[1] * slope[0] - curve[2] * slope[1], curve[0] * slope[1] - curve[2] * slope[0]])
            step /= -size
            if not np.abs(at + step - start).max() < _FAR:
                break
            at = at + step
            if np.abs(step).max() < _SETTLED:
                break
        return at, value

    def _derivatives(
        self, weighed: Spectrum, at: Array
    ) -> tuple[float, tuple[float, float], tuple[float, float, float]]:
        """Height, slopes, and second derivatives (rows, columns, both) of a correlation at a place."""
        down = self.down * np.exp(1j * self.down[1] * np.float32(at[0]))
        right = self.right * np.exp(1j * self.right[1] * np.float32(at[1]))
        sums = down @ weighed @ right.T
        (down_1, right_1), curves = (-sums[[1, 0], [0, 1]].imag).tolist(), (-sums[[2, 0, 1], [0, 2, 1]].real).tolist()
        return float(sums[0, 0].real), (down_1, right_1), (curves[0], curves[1], curves[2])

    def searched(self, product: Spectrum) -> Array:
        """Highest place of a correlation in the whole window, to within a pixel."""
        from scipy import fft

        keep = self.right.shape[1]
        weighed = product * (self.weight / np.where(np.arange(keep) == 0, 1.0, 2.0))
        coarse = fft.irfft2(np.pad(weighed, ((0, 0), (0, 1))), s=(2 * keep, 2 * keep))
        row, column = np.unravel_index(int(np.argmax(coarse)), coarse.shape)
        places = np.array([row, column], dtype=float)
        signed = np.where(places >= keep, places - 2 * keep, places)
        return np.asarray(signed * (self.side / (2 * keep)), dtype=float)
