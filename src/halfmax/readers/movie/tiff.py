"""A TIFF as a recording: every page found and checked before the first pixel is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError
from halfmax.movie import Movie
from halfmax.readers.movie.described import describe
from halfmax.readers.movie.directory import Directory, Pages, read_directories
from halfmax.readers.movie.pages import DecodedPages, Grid, RawPages
from halfmax.readers.movie.recording import NO_PAGE, Asked, Described, count_time

if TYPE_CHECKING:
    from tifffile import TiffFile

__all__ = ["SIMULATED", "named", "open_tiff", "range_of"]

SIMULATED = "SIMULATED by halfmax"
_KINDS = {1: "u", 2: "i", 3: "f"}
_RGB, _PALETTE, _YCBCR = 2, 3, 6


@dataclass(frozen=True, eq=False)
class _Found:
    """All that is known of a recording before its pages are arranged."""

    files: tuple[Pages, ...]
    said: Described
    simulated: bool

    @property
    def file(self) -> str:
        return self.files[0].path.name

    @property
    def first(self) -> Directory:
        return self.files[0].pages[0]


def open_tiff(path: Path, asked: Asked) -> Movie:
    """Recording of a TIFF, an OME-TIFF (also one in several files) or an ImageJ stack.

    Raises
    ------
    FileError
        See `halfmax.readers.movie.open_movie`.
    """
    from tifffile import TiffFile, TiffFileError

    pages = read_directories(path)
    _check_pages(pages)
    try:
        with TiffFile(path) as tif:
            said = describe(tif, pages, asked)
            simulated = _is_simulated(tif)
    except (TiffFileError, ValueError) as error:
        raise FileError(
            f"{path.name}: its description cannot be read ({error}). Export it again as OME-TIFF."
        ) from error
    others = tuple(_other(path, name) for name in said.files)
    if not said.by_file and pages.next_offset:
        said = _of_cut(said, pages, len(asked.channels or ("",)))
    found = _Found((pages, *others), _arranged(path.name, said, asked), simulated)
    return _movie(_shortened(found, asked), asked)


def _is_simulated(tif: TiffFile) -> bool:
    page = tif.pages.first
    return any(SIMULATED in str(text) for text in (page.description, page.software))


def _other(path: Path, name: str) -> Pages:
    """A further file of the same recording."""
    if not path.with_name(name).is_file():
        raise FileError(
            f'{path.name}: some of its pages are in "{name}", which is not beside it. Put the files into one folder.'
        )
    pages = read_directories(path.with_name(name))
    _check_pages(pages)
    return pages


def _check_pages(pages: Pages) -> None:
    """Refuse pictures for the eye, and pages that are not all alike."""
    file, first = pages.path.name, pages.pages[0]
    if first.samples > 1 or first.photometric in (_RGB, _YCBCR):
        raise FileError(
            f"{file}: {first.bits}-bit RGB: an export for the eye, intensities were rescaled; "
            "export the raw 16-bit stack."
        )
    if first.form not in _KINDS or first.bits < 8 or not first.width or not first.height:
        raise FileError(
            f"{file}: expected pixels of 8 to 64 bits, found {first.bits} bits of sample format {first.form}. "
            "Export the raw 16-bit stack."
        )
    kind = (first.height, first.width, first.bits, first.samples, first.form)
    for number, page in enumerate(pages.pages):
        if (page.height, page.width, page.bits, page.samples, page.form) != kind:
            raise FileError(
                f"{file}, page {number + 1}: expected {first.height} × {first.width} pixels of {first.bits} bits as on "
                f"page 1, found {page.height} × {page.width} of {page.bits} bits. "
                "Export the recording alone, without thumbnails or overviews."
            )


# From what the file says and what the caller says to frames and channels


def _of_cut(said: Described, pages: Pages, channels: int) -> Described:
    """Pages of a file that was cut off and says nothing of itself: those that the chain of directories allows for."""
    number, first = len(pages.pages), pages.pages[0]
    if number == 1 and first.is_raw and len(first.runs) == 1:
        number = max((pages.next_offset - first.runs[0][0]) // first.nbytes, 1)
    return replace(said, places=np.arange(max(number // channels, 1) * channels)[:, None])


def _arranged(file: str, said: Described, asked: Asked) -> Described:
    """Pages as frames and channels; the caller may divide what the file takes for one channel."""
    frames, channels = said.places.shape
    names = asked.channels
    if names is None or len(names) == channels:
        if asked.order is not None and names is None:
            raise FileError(f'{file}: order="{asked.order}" needs the names of the channels. Give channels as well.')
        return replace(said, channels=names or named(said.channels, channels))
    if channels > 1:
        raise FileError(
            f"{file}: expected {channels} names of channels, as the file has {channels}, found {len(names)} "
            f"({', '.join(names)}). Give one for each."
        )
    if frames % len(names):
        whole, left = divmod(frames, len(names))
        raise FileError(
            f"{file}: expected as many pages for each of the {len(names)} channels {', '.join(names)}, found {frames}: "
            f"{whole} whole frames and {left} over. A page was dropped, and from there on the channels may be swapped. "
            "Export the recording again, or cut the stack where it is whole."
        )
    notes = (*said.notes, f"Pages are taken to be {asked.order or 'interleaved'}: {', '.join(names)}.")
    return replace(
        said,
        places=_divided(said.places, len(names), asked.order),
        parts=None if said.parts is None else _divided(said.parts, len(names), asked.order),
        time_s=None if said.time_s is None else _divided(said.time_s, len(names), asked.order),
        channels=names,
        notes=notes,
    )


def _divided(pages: NDArray[Any], channels: int, order: str | None) -> NDArray[Any]:
    return pages.reshape(channels, -1).T if order == "planar" else pages.reshape(-1, channels)


def named(names: tuple[str, ...], channels: int) -> tuple[str, ...]:
    """Names of the file where they tell the channels apart, else numbers; of one channel its name or none."""
    if len(names) == channels and len(set(names)) == channels and (all(names) or channels == 1):
        return names
    return ("",) if channels == 1 else tuple(str(number + 1) for number in range(channels))


# From the pages to what is whole


def _shortened(found: _Found, asked: Asked) -> _Found:
    """The frames asked for, or all of them if they are whole."""
    found = _completed(found)
    said = found.said
    declared = len(said.places)
    whole = _whole_frames(found)
    wanted = declared if asked.frames is None else asked.frames
    if wanted > declared or wanted < 1:
        raise FileError(f"{found.file}: expected frames from 1 to {declared}, found frames={wanted}. Give fewer.")
    lost = not said.by_file and found.files[0].next_offset > 0 and asked.frames is None
    if wanted > whole or lost:
        raise _cut_or_dropped(found, whole, declared)
    if wanted == 1 and asked.frames is None:
        raise FileError(
            f"{found.file}: expected a time course, found one frame. Give the whole recording; "
            "to open it as a picture, give frames=1."
        )
    notes = said.notes if wanted == declared else (*said.notes, f"The first {wanted} of {declared} frames are read.")
    cut = replace(
        said,
        places=said.places[:wanted],
        parts=None if said.parts is None else said.parts[:wanted],
        time_s=None if said.time_s is None else said.time_s[:wanted],
        notes=notes,
    )
    return replace(found, said=cut)


def _completed(found: _Found) -> _Found:
    """With the pages that follow the first without directories of their own, as ImageJ and tifffile write them."""
    pages, said = found.files[0], found.said
    declared = int(said.places.max()) + 1
    first = found.first
    if len(pages.pages) > 1 or declared == 1 or len(found.files) > 1 or not first.is_raw or len(first.runs) > 1:
        return found
    start, count = first.runs[0]
    if pages.next_offset and pages.next_offset < start + declared * count:
        return found
    one_by_one = (replace(first, place=NO_PAGE, runs=((start + page * count, count),)) for page in range(1, declared))
    return replace(found, files=(replace(pages, pages=(first, *one_by_one)),))


def _whole_frames(found: _Found) -> int:
    """How many frames from the start have all of their pages in the files."""
    for frame, places in enumerate(found.said.places):
        for channel, place in enumerate(places):
            pages = _file_of(found, frame, channel)
            if not 0 <= place < len(pages.pages) or pages.pages[place].end > pages.size:
                return frame
    return len(found.said.places)


def _file_of(found: _Found, frame: int, channel: int) -> Pages:
    return found.files[0 if found.said.parts is None else int(found.said.parts[frame, channel])]


def _cut_or_dropped(found: _Found, whole: int, declared: int) -> FileError:
    """Why frame `whole` cannot be read."""
    channels = found.said.places.shape[1]
    shape = f"{declared} frames of {channels} channel{'s' if channels > 1 else ''}"
    if not found.said.by_file and found.files[0].next_offset:
        return FileError(
            f"{found.file}: the file is cut off, and what it said of its channels is lost or was never there: of about "
            f"{shape}, {whole} frames are whole ({found.files[0].size} bytes were found). Copy or export it again; "
            f"or read the whole frames alone: give the names of the channels, and frames={whole}."
        )
    places = found.said.places[whole]
    if np.any(places == NO_PAGE) and not np.all(places == NO_PAGE):
        lacking = found.said.channels[int(np.argmax(places == NO_PAGE))]
        return FileError(
            f"{found.file}: frame {whole + 1} lacks channel {lacking}; {shape} are declared. "
            f"{_cure(whole, 'Export the recording again')}"
        )
    pages = _file_of(found, whole, 0)
    ends = [pages.pages[place].end for place in places if 0 <= place < len(pages.pages)]
    if pages.next_offset == 0 and len(ends) < channels and all(end <= pages.size for end in ends):
        return FileError(
            f"{found.file}: {shape} are declared, which is {declared * channels} pages, found {len(pages.pages)}. "
            "A channel or a page was dropped, and from there on the channels may be swapped. "
            "Export the recording again."
        )
    return FileError(
        f"{pages.path.name}: the file is cut off: {shape} are declared, {whole} frames are whole "
        f"({pages.size} bytes were found). {_cure(whole, 'Copy or export it again')}"
    )


def _cure(whole: int, again: str) -> str:
    return f"{again}; or read the whole frames alone with frames={whole}." if whole else f"{again}."


# From whole pages to the recording


def _movie(found: _Found, asked: Asked) -> Movie:
    said, first = found.said, found.first
    size = said.places.shape
    dtype = np.dtype(f"{found.files[0].byteorder}{_KINDS[first.form]}{first.bits // 8 if first.bits % 8 == 0 else 2}")
    time_s, time_notes = count_time(found.file, said.time_s, (size[0], size[1]), asked.interval)
    saturated, range_notes = range_of(dtype, said.bits)
    grid = Grid(size[0], size[1], (first.height, first.width), dtype)
    used = [_file_of(found, *place).pages[page] for place, page in np.ndenumerate(said.places)]
    return Movie(
        channels=said.channels,
        time_s=time_s,
        shape=grid.shape,
        dtype=dtype.newbyteorder("="),
        page=_raw(found, grid) if all(page.is_raw for page in used) else _decoded(found, grid),
        saturated=saturated,
        pixel_um=said.pixel_um,
        files=tuple(pages.path for pages in found.files),
        notes=(*said.notes, *time_notes, *range_notes, *_kind_notes(used)),
        simulated=found.simulated,
    )


def range_of(dtype: np.dtype[Any], bits: int | None) -> tuple[float, tuple[str, ...]]:
    """From which value on a pixel is saturated, and what had to be assumed."""
    if dtype.kind == "f":
        return math.inf, ("Pixels are floats: nothing says where they saturate.",)
    if bits and 0 < bits <= 8 * dtype.itemsize:
        return float(2**bits - 1), ()
    top = float(np.iinfo(dtype).max)
    if dtype.itemsize == 1:
        return top, ("8-bit pixels: if the camera has more bits, intensities were rescaled; export the raw stack.",)
    return top, (f"The file does not say how many bits the camera has; {top:.0f} is taken for saturated.",)


def _kind_notes(pages: Iterable[Directory]) -> tuple[str, ...]:
    pages = list(pages)
    notes = ("JPEG compression is lossy: intensities are not those of the camera.",)
    lossy = any(page.compression in (6, 7, 33003, 33005, 34712) for page in pages)
    palette = any(page.photometric == _PALETTE for page in pages)
    return (notes if lossy else ()) + (("A colour table is ignored.",) if palette else ())


def _raw(found: _Found, grid: Grid) -> RawPages:
    said = found.said
    runs = [
        [_file_of(found, frame, channel).pages[place].runs for channel, place in enumerate(places)]
        for frame, places in enumerate(said.places.tolist())
    ]
    parts = np.zeros(said.places.shape, dtype=np.int64) if said.parts is None else said.parts
    return RawPages(grid, tuple(pages.path for pages in found.files), parts, runs)


def _decoded(found: _Found, grid: Grid) -> DecodedPages:
    """Compressed or tiled pages; one file, kept open by tifffile."""
    from tifffile import TiffFile

    if len(found.files) > 1:
        raise FileError(f"{found.file}: a compressed recording in several files is not read. Export it as one file.")
    tif = TiffFile(found.files[0].path)
    numbers = np.array([page.place for page in found.files[0].pages])[found.said.places]

    def decode(frame: int, channel: int) -> NDArray[Any]:
        return tif.pages[int(numbers[frame, channel])].asarray()

    return DecodedPages(grid, found.file, decode, tif.close)
