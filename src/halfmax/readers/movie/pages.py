"""Pages read on demand: the bytes of a page straight into a fresh array, or a compressed page through tifffile.

A file is not mapped into memory: the pages of a map count as memory of the process.
A file is closed with the last reference to its pages.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError, RangeError
from halfmax.movie import Page

__all__ = ["DecodedPages", "Grid", "RawPages"]


@dataclass(frozen=True)
class Grid:
    """How many frames and channels there are, and what each page is."""

    frames: int
    channels: int
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]

    def check(self, frame: int, channel: int) -> None:
        """Refuse a page that is not there."""
        if not (0 <= frame < self.frames and 0 <= channel < self.channels):
            raise RangeError(
                f"page of frame {frame}, channel {channel}: expected frames 0 to {self.frames - 1} "
                f"and channels 0 to {self.channels - 1}."
            )


class RawPages:
    """Pages that are rows of pixels in their files."""

    def __init__(
        self,
        grid: Grid,
        files: tuple[Path, ...],
        parts: NDArray[np.int64],
        runs: list[list[tuple[tuple[int, int], ...]]],
    ) -> None:
        self._grid, self._files, self._parts, self._runs = grid, files, parts, runs
        with ExitStack() as stack:
            self._streams = [stack.enter_context(open(path, "rb", buffering=0)) for path in files]
            weakref.finalize(self, stack.pop_all().close)

    def __call__(self, frame: int, channel: int) -> Page:
        self._grid.check(frame, channel)
        part = int(self._parts[frame, channel])
        page = np.empty(self._grid.shape, dtype=self._grid.dtype)
        view = memoryview(page.data).cast("B")
        stream, done = self._streams[part], 0
        for offset, count in self._runs[frame][channel]:
            stream.seek(offset)
            stop = done + count
            while done < stop:
                got = stream.readinto(view[done:stop])
                if not got:
                    raise FileError(
                        f"{self._files[part].name}: expected {count} bytes of frame {frame + 1}, found the end of the "
                        "file. It was changed while it was read; run again once it is whole."
                    )
                done += got
        return native(page)


class DecodedPages:
    """Pages that a library decodes, one after the other."""

    def __init__(
        self, grid: Grid, file: str, decode: Callable[[int, int], NDArray[Any]], close: Callable[[], Any]
    ) -> None:
        self._grid, self._file, self._decode = grid, file, decode
        weakref.finalize(self, close)

    def __call__(self, frame: int, channel: int) -> Page:
        self._grid.check(frame, channel)
        try:
            page = np.array(self._decode(frame, channel))
        # Each codec fails in its own way at damaged bytes.
        except Exception as error:
            cure = (
                'Install the codecs with "pip install imagecodecs", or export without compression.'
                if "imagecodecs" in str(error)
                else "Copy or export the file again."
            )
            raise FileError(
                f"{self._file}, frame {frame + 1}: the page cannot be decoded ({str(error).rstrip('.')}). {cure}"
            ) from error
        page = page.reshape(page.shape[-2:]) if page.size == np.prod(page.shape[-2:]) else page
        if page.shape != self._grid.shape:
            raise FileError(
                f"{self._file}, frame {frame + 1}: expected a page of {self._grid.shape[0]} × {self._grid.shape[1]} "
                f"pixels, found {page.shape}. Export the recording again."
            )
        return native(page)


def native(page: NDArray[Any]) -> Page:
    """The same numbers in the byte order of this machine."""
    if page.dtype.isnative:
        return page
    return page.byteswap(inplace=True).view(page.dtype.newbyteorder("="))
