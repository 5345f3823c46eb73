"""Recordings in the makers' own formats, each through a library that is an extra: ND2, CZI, LIF.

Thin on purpose: the libraries know the formats, this module only asks them for one page at a time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError
from halfmax.movie import Movie
from halfmax.readers.movie.pages import DecodedPages, Grid
from halfmax.readers.movie.recording import Array, Asked, count_time
from halfmax.readers.movie.tiff import named, range_of

__all__ = ["open_czi", "open_lif", "open_nd2"]


@dataclass(frozen=True, eq=False)
class _Told:
    """What a library tells of a file."""

    sizes: dict[str, int]
    dtype: np.dtype[Any]
    decode: Callable[[int, int], NDArray[Any]]
    channels: tuple[str, ...] = ()
    time_s: Array | None = None
    pixel_um: float = math.nan
    bits: int | None = None


#: Asks a library for what it tells of an open file; what must be closed goes onto the stack.
_Teller = Callable[[Any, BinaryIO, ExitStack], _Told]


def open_nd2(path: Path, asked: Asked) -> Movie:
    """Recording of Nikon's ND2."""
    return _opened(path, asked, _library("nd2", "nd2", path), _tell_nd2)


def open_czi(path: Path, asked: Asked) -> Movie:
    """Recording of Zeiss' CZI. A frame in tiles is refused."""
    return _opened(path, asked, _library("czifile", "czi", path), _tell_czi)


def open_lif(path: Path, asked: Asked) -> Movie:
    """Recording of Leica's LIF; of several time courses in one file, the caller says which."""
    return _opened(path, asked, _library("liffile", "lif", path), partial(_tell_lif, image=asked.image))


def _library(module: str, extra: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise FileError(
            f"{path.name}: is a recording that needs the library {module}. "
            f'Install it with "pip install halfmax[{extra}]", or export the recording as OME-TIFF.'
        ) from error


def _opened(path: Path, asked: Asked, library: Any, tell: _Teller) -> Movie:
    """Recording of a file; closed again if it is none."""
    with ExitStack() as stack:
        stream = stack.enter_context(open(path, "rb"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                told = tell(library, stream, stack)
        except FileError as error:
            raise FileError(f"{path.name}: {error}") from error
        # Each library fails in its own ways at a damaged file.
        except Exception as error:
            raise FileError(
                f"{path.name}: cannot be read ({str(error).rstrip('.')}). Copy it again, or export it as OME-TIFF."
            ) from error
        return _movie(path, asked, told, stack.pop_all().close)


# What each library tells


def _tell_nd2(library: Any, stream: BinaryIO, stack: ExitStack) -> _Told:
    file = library.ND2File(stream)
    stack.callback(file.close)
    sizes, last = dict(file.sizes), _Last(file.read_frame)
    size = sizes.get("T", 1), sizes.get("C", 1)
    meta = file.metadata

    def decode(frame: int, channel: int) -> NDArray[Any]:
        planes = last(frame)
        page: NDArray[Any] = planes[channel] if planes.ndim == 3 else planes
        return page

    def seconds(frame: int) -> list[float]:
        told = file.frame_metadata(frame)
        found = [] if isinstance(told, dict) else (told.channels or [])
        return [entry.time.relativeTimeMs / 1000 for entry in found] or [math.nan]

    return _Told(
        sizes=sizes,
        dtype=np.dtype(file.dtype),
        decode=decode,
        channels=() if isinstance(meta, dict) else tuple(found.channel.name for found in meta.channels or ()),
        time_s=np.broadcast_to(np.array([seconds(frame) for frame in range(size[0])]), size),
        pixel_um=float(file.voxel_size().x),
        bits=file.attributes.bitsPerComponentSignificant,
    )


class _Last:
    """The frame read last, kept because all channels of a frame come together."""

    def __init__(self, read: Callable[[int], NDArray[Any]]) -> None:
        self._read, self._frame, self._planes = read, -1, np.empty(0)

    def __call__(self, frame: int) -> NDArray[Any]:
        if frame != self._frame:
            self._frame, self._planes = frame, self._read(frame)
        return self._planes


def _tell_czi(library: Any, stream: BinaryIO, stack: ExitStack) -> _Told:
    file = stack.enter_context(library.CziFile(stream))
    blocks = list(file.filtered_subblock_directory)
    axes = blocks[0].axes[:-1]
    starts = np.array([block.start[:-1] for block in blocks])
    low = starts.min(axis=0)
    stops = np.array([block.shape[:-1] for block in blocks]) + starts
    sizes = {axis: int(size) for axis, size in zip(axes, stops.max(axis=0) - low, strict=True)}
    table = {_time_and_channel(axes, start - low): block for start, block in zip(starts, blocks, strict=True)}
    frames, channels = sizes.get("T", 1), sizes.get("C", 1)
    if not len(table) == len(blocks) == frames * channels:
        raise FileError(
            f"expected {frames} frames × {channels} channels, found {len(blocks)} blocks: tiles, planes of depth, "
            "or a page that is missing. Export one field as OME-TIFF."
        )

    def decode(frame: int, channel: int) -> NDArray[Any]:
        return np.squeeze(np.asarray(table[frame, channel].data_segment().data()))

    names, time_s, pixel_um, bits = _czi_metadata(file.metadata(), sizes)
    stamps = [entry.data() for entry in file.attachments() if entry.attachment_entry.name == "TimeStamps"]
    if stamps and len(stamps[0]) == frames:
        time_s = np.repeat(np.asarray(stamps[0], dtype=float)[:, None], channels, axis=1)
    return _Told(sizes, np.dtype(file.dtype), decode, names, time_s, pixel_um, bits)


def _time_and_channel(axes: str, start: Any) -> tuple[int, int]:
    at = dict(zip(axes, start, strict=True))
    return int(at.get("T", 0)), int(at.get("C", 0))


def _czi_metadata(xml: str, sizes: dict[str, int]) -> tuple[tuple[str, ...], Array | None, float, int | None]:
    """Names of channels, times, side of a pixel in µm, and significant bits from the metadata of a CZI."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(xml)
    image = root.find("Metadata/Information/Image")
    if image is None:
        return (), None, math.nan, None
    names = tuple(found.get("Name", "") for found in image.findall("Dimensions/Channels/Channel"))
    increment = image.findtext("Dimensions/T/Positions/Interval/Increment")
    time_s = None
    if increment is not None and float(increment) > 0:
        time_s = np.repeat(np.arange(sizes.get("T", 1))[:, None] * float(increment), sizes.get("C", 1), axis=1)
    side = root.findtext("Metadata/Scaling/Items/Distance[@Id='X']/Value")
    bits = image.findtext("ComponentBitCount")
    return names, time_s, float(side) * 1e6 if side else math.nan, int(bits) if bits else None


def _tell_lif(library: Any, stream: BinaryIO, stack: ExitStack, *, image: int | None) -> _Told:
    file = stack.enter_context(library.LifFile(stream))
    chosen = _chosen(list(file.images), image)
    sizes = dict(chosen.sizes)

    def decode(frame: int, channel: int) -> NDArray[Any]:
        page: NDArray[Any] = chosen.frame(**{axis: at for axis, at in (("T", frame), ("C", channel)) if axis in sizes})
        return page

    return _Told(
        sizes=sizes,
        dtype=np.dtype(chosen.dtype),
        decode=decode,
        time_s=_lif_times(chosen, sizes),
        pixel_um=_lif_pixel(chosen, sizes),
    )


def _chosen(images: list[Any], number: int | None) -> Any:
    names = ", ".join(f"{place} ({image.name})" for place, image in enumerate(images))
    courses = [image for image in images if image.sizes.get("T", 1) > 1]
    if number is not None and 0 <= number < len(images):
        return images[number]
    if number is None and len(courses) == 1:
        return courses[0]
    raise FileError(
        f"expected one recording, found {len(courses)} among its images {names}. "
        "Say which one with image, as in image=0."
    )


def _lif_times(image: Any, sizes: dict[str, int]) -> Array | None:
    """Time stamps, one a page and channel or one a frame; else the times that its dimension gives."""
    size = sizes.get("T", 1), sizes.get("C", 1)
    stamps = image.timestamps
    if stamps is not None and len(stamps):
        seconds = (stamps - stamps[0]) / np.timedelta64(1, "s")
        if len(seconds) == math.prod(size):
            return np.asarray(seconds, dtype=float).reshape(size)
        if len(seconds) == size[0]:
            return np.repeat(np.asarray(seconds, dtype=float)[:, None], size[1], axis=1)
    found = image.coords.get("T")
    return None if found is None else np.repeat(np.asarray(found, dtype=float)[:, None], size[1], axis=1)


def _lif_pixel(image: Any, sizes: dict[str, int]) -> float:
    along = image.coords.get("X")
    return float(along[1] - along[0]) * 1e6 if along is not None and sizes.get("X", 0) > 1 else math.nan


# From what a library tells to the recording


def _movie(path: Path, asked: Asked, told: _Told, close: Callable[[], Any]) -> Movie:
    sizes, grid_size = told.sizes, (told.sizes.get("T", 1), told.sizes.get("C", 1))
    try:
        frames = _wanted(path, asked, sizes)
        found = None if told.time_s is None else told.time_s[:frames]
        time_s, time_notes = count_time(path.name, found, (frames, grid_size[1]), asked.interval)
    except FileError:
        close()
        raise
    saturated, range_notes = range_of(told.dtype, told.bits)
    grid = Grid(frames, grid_size[1], (sizes["Y"], sizes["X"]), told.dtype)
    return Movie(
        channels=asked.channels or named(told.channels, grid_size[1]),
        time_s=time_s,
        shape=grid.shape,
        dtype=told.dtype.newbyteorder("="),
        page=DecodedPages(grid, path.name, told.decode, close),
        saturated=saturated,
        pixel_um=told.pixel_um,
        files=(path,),
        notes=(*time_notes, *range_notes),
    )


def _wanted(path: Path, asked: Asked, sizes: dict[str, int]) -> int:
    """How many frames are read; refuses what is no time course of single pages."""
    frames, channels = sizes.get("T", 1), sizes.get("C", 1)
    beside = {axis for axis, size in sizes.items() if axis not in ("T", "C", "Y", "X") and size > 1}
    if beside:
        raise FileError(
            f"{path.name}: expected axes of time, channel, height and width, found {sizes}. "
            "Export one field and one plane of depth as OME-TIFF."
        )
    if asked.order is not None or (asked.channels is not None and len(asked.channels) != channels):
        raise FileError(
            f"{path.name}: has {channels} channel(s) of its own, found {asked.channels} and order={asked.order}. "
            "Give a name for each, and no order."
        )
    wanted = frames if asked.frames is None else asked.frames
    if not 1 <= wanted <= frames or (wanted == 1 and asked.frames is None):
        raise FileError(
            f"{path.name}: expected a time course and frames from 1 to {frames}, found {wanted}. "
            "Give the whole recording; to open it as a picture, give frames=1."
        )
    return wanted
