"""Opening a recording: which format it is, whether it holds light at all, and several files as one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmax.errors import FileError, RangeError, nearest
from halfmax.movie import Movie, Page
from halfmax.readers.movie.directory import is_tiff
from halfmax.readers.movie.recording import Asked
from halfmax.readers.movie.tiff import open_tiff
from halfmax.readers.movie.vendor import open_czi, open_lif, open_nd2
from halfmax.readers.sheet import check_there

__all__ = ["open_movie"]

_ORDERS = ("interleaved", "planar")
#: Frames, spread over the recording, that are looked at when it is opened.
_LOOKED_AT = 8
_READERS = {
    b"\xda\xce\xbe\x0a": open_nd2,
    b"\x00\x00\x00\x0cjP  ": open_nd2,
    b"ZISRAWFILE": open_czi,
    b"\x70\x00\x00\x00": open_lif,
}


def open_movie(
    path: str | Path | Sequence[str | Path],
    *,
    channels: Sequence[str] | None = None,
    interval: float | None = None,
    order: str | None = None,
    frames: int | None = None,
    image: int | None = None,
) -> Movie:
    """Open a recording.

    Parameters
    ----------
    path : str or Path, or several of them
        TIFF, OME-TIFF, ImageJ stack; ND2, CZI and LIF with their extras. Several paths are one channel each.
    channels : sequence of str, optional
        Names of the channels. A file that takes all its pages for one channel is divided by them.
    interval : float, s, optional
        Time from frame to frame; it goes before what the file says.
    order : {"interleaved", "planar"}, optional
        How a file of one channel is divided: ``"interleaved"`` (the default) has channel by channel in each
        frame, ``"planar"`` all pages of the first channel, then all of the second.
    frames : int, optional
        Read only so many frames from the start, as of a file that was cut off.
    image : int, optional
        Which image, from 0, of a file that holds several.

    Returns
    -------
    Movie

    Raises
    ------
    FileError
        If the file is missing, is no recording, was cut off or lost a page, has pages of several shapes, one frame
        (unless ``frames=1``), colours, or nothing but zeros.
    RangeError
        If a parameter means nothing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from halfmax.virtual import simulate_movie, small_design
    >>> with TemporaryDirectory() as folder:
    ...     _ = simulate_movie(f"{folder}/dish.ome.tif", small_design(frames=5), seed=1)
    ...     movie = open_movie(f"{folder}/dish.ome.tif")
    ...     page = movie.page(0, 1)
    >>> movie.channels, movie.frames, page.shape == movie.shape, movie.simulated
    (('340', '380'), 5, True, True)
    """
    asked = _asked(channels, interval, order, frames, image)
    if isinstance(path, (str, Path)):
        movie = _open_one(Path(path), asked)
    else:
        movie = _open_each([Path(part) for part in path], asked)
    _check_light(movie)
    return movie


def _asked(
    channels: Sequence[str] | None, interval: float | None, order: str | None, frames: int | None, image: int | None
) -> Asked:
    names = None if channels is None else tuple(channels)
    if isinstance(channels, str) or (names is not None and (not names or len(set(names)) < len(names))):
        raise RangeError(f'channels: expected different names such as ("340", "380"), found {channels!r}. Name each.')
    if interval is not None and not (math.isfinite(interval) and interval > 0):
        raise RangeError(f"interval: expected seconds above 0, found {interval}. Give the time between frames.")
    if order is not None and order not in _ORDERS:
        raise RangeError(f'order: expected "interleaved" or "planar", found "{order}". {nearest(order, _ORDERS)}')
    return Asked(names, interval, order, frames, image)


def _open_one(path: Path, asked: Asked) -> Movie:
    """Recording of one file, by its first bytes."""
    check_there(path)
    with open(path, "rb") as stream:
        head = stream.read(16)
    if is_tiff(head):
        return open_tiff(path, asked)
    for signature, reader in _READERS.items():
        if head.startswith(signature):
            return reader(path, asked)
    empty = "nothing but zeros" if not any(head) else "other content"
    raise FileError(
        f"{path.name}: expected a recording (TIFF, OME-TIFF, ND2, CZI or LIF), found {empty} at its start. "
        "Export the raw stack as OME-TIFF."
    )


def _open_each(paths: list[Path], asked: Asked) -> Movie:
    """Several files, one channel each, as one recording."""
    names = asked.channels or tuple(path.stem for path in paths)
    if not paths or len(names) != len(paths) or len(set(names)) < len(names):
        raise RangeError(f"channels: expected a name for each of {len(paths)} files, found {names}. Give channels.")
    movies = [_open_one(path, replace(asked, channels=None, order=None)) for path in paths]
    first = movies[0]
    for path, movie in zip(paths, movies, strict=True):
        if len(movie.channels) != 1:
            raise FileError(
                f"{path.name}: expected one channel in each file, found {len(movie.channels)}. Open it alone."
            )
        if (movie.frames, movie.shape, movie.dtype) != (first.frames, first.shape, first.dtype):
            raise FileError(
                f"{path.name}: expected {_extent(first)} as in {paths[0].name}, found {_extent(movie)}. "
                "Give files of one recording."
            )

    def page(frame: int, channel: int) -> Page:
        if not 0 <= channel < len(movies):
            raise RangeError(f"page of channel {channel}: expected channels 0 to {len(movies) - 1}.")
        return movies[channel].page(frame, 0)

    notes = dict.fromkeys(itertools.chain.from_iterable(movie.notes for movie in movies))
    together = "Times in each file are counted from its own first page."
    return replace(
        first,
        channels=names,
        time_s=np.concatenate([movie.time_s for movie in movies], axis=1),
        page=page,
        saturated=min(movie.saturated for movie in movies),
        files=tuple(paths),
        notes=(*notes, together),
        simulated=any(movie.simulated for movie in movies),
    )


def _extent(movie: Movie) -> str:
    return f"{movie.frames} frames of {movie.shape[0]} × {movie.shape[1]} {movie.dtype}"


def _check_light(movie: Movie) -> None:
    """Refuse a channel that holds nothing but zeros on pages spread over the recording."""
    looked_at = np.unique(np.linspace(0, movie.frames - 1, _LOOKED_AT).astype(int)).tolist()
    for channel, name in enumerate(movie.channels):
        if not any(movie.page(frame, channel).any() for frame in looked_at):
            where = f", channel {name}" if len(movie.channels) > 1 else ""
            raise FileError(
                f"{movie.files[0].name}{where}: expected a recording, found nothing but zeros on {len(looked_at)} "
                f"pages spread over its {movie.frames} frames. The file was reserved but not written, "
                "or the channel was not recorded. Export it again."
            )
