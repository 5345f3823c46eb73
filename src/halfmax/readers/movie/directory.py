"""The directories of a TIFF: where each page lies, read without a pixel and without trust in the file's length.

tifffile stops where a file stops.  Here a file that was cut off must still tell how much of it is whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from halfmax.errors import FileError

__all__ = ["Directory", "Pages", "is_tiff", "read_directories"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _COUNTS, _FORMAT, _SUBFILE, _TILES, _TILE_COUNTS = 273, 277, 279, 339, 254, 324, 325
_WANTED = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES, _COUNTS, _FORMAT, _SUBFILE, _TILES,
    _TILE_COUNTS,
}  # fmt: skip
#: struct characters of the types of TIFF that hold whole numbers.
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}
#: Reading as many bytes at once takes in a directory and its neighbours.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Directory:
    """One page.

    `runs` are (offset, bytes) of its strips or tiles, joined where they touch.
    `place` counts all directories of the file, also those that are left out.
    """

    place: int
    width: int
    height: int
    bits: int
    samples: int
    form: int
    compression: int
    photometric: int
    is_tiled: bool
    runs: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels without compression."""
        return self.width * self.height * self.samples * self.bits // 8

    @property
    def is_raw(self) -> bool:
        """Whether its bytes are its pixels, row after row."""
        plain = self.compression == 1 and not self.is_tiled and self.bits in (8, 16, 32, 64)
        return plain and sum(count for _, count in self.runs) == self.nbytes

    @property
    def end(self) -> int:
        """Offset behind its last byte."""
        return max((offset + count for offset, count in self.runs), default=0)


@dataclass(frozen=True)
class Pages:
    """All pages of a file.

    `next_offset` is where the chain of directories leads behind the last that could be read: 0 at its end.
    """

    path: Path
    byteorder: str
    size: int
    pages: tuple[Directory, ...]
    next_offset: int


def is_tiff(head: bytes) -> bool:
    """Whether a file with these first bytes is a TIFF or a BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_directories(path: Path) -> Pages:
    """Pages of a TIFF or BigTIFF, without thumbnails.

    Raises
    ------
    FileError
        If the file is no TIFF, ends before its first page is described, or its directories run in a circle.
    """
    size = path.stat().st_size
    with open(path, "rb", buffering=_BLOCK) as stream:
        head = stream.read(16)
        if not is_tiff(head):
            raise FileError(f"{path.name}: expected a TIFF, found other content. Export the raw 16-bit stack as TIFF.")
        order = "<" if head[:2] == b"II" else ">"
        big = head[2 if order == "<" else 3] == 43
        walker = _Walker(stream, order, big, size)
        offset = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
        pages, offset = _chain(walker, offset, path.name)
    if not pages:
        raise FileError(
            f"{path.name}: the file ends before its first page is described ({size} bytes). Copy or export it again."
        )
    return Pages(path, order, size, tuple(pages), offset)


def _chain(walker: _Walker, offset: int, file: str) -> tuple[list[Directory], int]:
    """Follow the directories to their end, or to where the file ends."""
    pages: list[Directory] = []
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise FileError(f"{file}: the directories of this TIFF run in a circle; it is damaged. Export it again.")
        seen.add(offset)
        found = walker.directory(offset)
        if found is None:
            break
        tags, following = found
        # Bit 0 of the subfile type: a thumbnail of another page.
        if not tags.get(_SUBFILE, (0,))[0] & 1:
            pages.append(_page(len(seen) - 1, tags))
        offset = following
    return pages, offset


class _Walker:
    """Reads directories at given offsets."""

    def __init__(self, stream: BinaryIO, order: str, big: bool, size: int) -> None:
        self._stream, self._order, self._size = stream, order, size
        self._count = struct.Struct(order + ("Q" if big else "H"))
        self._entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
        self._offset = struct.Struct(order + ("Q" if big else "I"))

    def directory(self, offset: int) -> tuple[dict[int, tuple[int, ...]], int] | None:
        """Tags of whole numbers and the offset of the next directory; None where the file ends before."""
        number = self._read(offset, self._count.size)
        if number is None:
            return None
        entries: int = self._count.unpack(number)[0]
        start = offset + self._count.size
        body = self._read(start, entries * self._entry.size + self._offset.size) if entries <= 4096 else None
        if body is None:
            return None
        tags: dict[int, tuple[int, ...]] = {}
        for tag, kind, count, value in self._entry.iter_unpack(body[: -self._offset.size]):
            if tag in _WANTED and kind in _TYPES:
                values = self._values(_TYPES[kind], count, value)
                if values is None:
                    return None
                tags[tag] = values
        return tags, int(self._offset.unpack_from(body, len(body) - self._offset.size)[0])

    def _values(self, kind: str, count: int, value: bytes) -> tuple[int, ...] | None:
        form = f"{self._order}{count}{kind}"
        size = struct.calcsize(form)
        if size <= len(value):
            return struct.unpack(form, value[:size])
        content = self._read(self._offset.unpack(value)[0], size)
        return None if content is None else struct.unpack(form, content)

    def _read(self, offset: int, size: int) -> bytes | None:
        if offset + size > self._size:
            return None
        self._stream.seek(offset)
        content = self._stream.read(size)
        return content if len(content) == size else None


def _page(place: int, tags: dict[int, tuple[int, ...]]) -> Directory:
    def first(tag: int, default: int) -> int:
        return (tags.get(tag) or (default,))[0]

    width, height, bits, samples = first(_WIDTH, 0), first(_HEIGHT, 0), first(_BITS, 1), first(_SAMPLES, 1)
    offsets = tags.get(_STRIPS) or tags.get(_TILES, ())
    # One strip may come without its length: it is then the whole page.
    whole = (width * height * samples * bits // 8,) if len(offsets) == 1 else ()
    counts = tags.get(_COUNTS) or tags.get(_TILE_COUNTS, whole)
    return Directory(
        place=place,
        width=width,
        height=height,
        bits=bits,
        samples=samples,
        form=first(_FORMAT, 1),
        compression=first(_COMPRESSION, 1),
        photometric=first(_PHOTOMETRIC, 1),
        is_tiled=_TILES in tags,
        runs=_joined(offsets, counts),
    )


def _joined(offsets: tuple[int, ...], counts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Strips as runs: those that touch are one."""
    if len(offsets) == 1 == len(counts):
        return ((offsets[0], counts[0]),)
    runs: list[tuple[int, int]] = []
    for offset, count in zip(offsets, counts, strict=False):
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((offset, count))
    return tuple(runs)
