"""What OME-XML says of the pages of a TIFF.

Schema: https://www.openmicroscopy.org/Schemas/OME/2016-06
"""

from __future__ import annotations

import math
from pathlib import PurePath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from halfmax import units
from halfmax.errors import FileError, RangeError
from halfmax.readers.movie.recording import NO_PAGE, Array, Described

__all__ = ["describe_ome"]


def describe_ome(xml: str, file: str, pages: int, image: int | None) -> Described:
    """Pages, channels and times of one image of an OME-TIFF.

    Parameters
    ----------
    xml : str
    file : str
        Name of the file, for messages and to know its own pages.
    pages : int
        Directories in the file.
    image : int or None
        Which image, from 0, where the file has several time courses.

    Raises
    ------
    FileError
        If the XML is damaged, stands in another file, describes several time courses and none was chosen, or a stack.
    """
    try:
        root = ElementTree.fromstring(xml.encode("utf-8"))
    except ElementTree.ParseError as error:
        raise FileError(
            f"{file}: expected OME-XML that can be parsed, found damaged XML ({error}). Export the recording again."
        ) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    only = root.find("BinaryOnly")
    if only is not None:
        raise FileError(f'{file}: its description stands in "{only.get("MetadataFile", "")}". Open that file instead.')
    pixels, notes = _chosen(list(root.iter("Pixels")), file, image)
    sizes = {axis: int(pixels.get(f"Size{axis}", "1")) for axis in "ZCT"}
    as_time = sizes["T"] == 1 and sizes["Z"] > 1
    if as_time:
        notes += (f"The {sizes['Z']} planes of depth of this file are taken to be frames of time.",)
    elif sizes["Z"] > 1:
        raise FileError(
            f"{file}: expected one plane of depth, found {sizes['Z']} in each of {sizes['T']} frames. "
            "Export one plane, or a projection."
        )
    places, parts, files = _places(pixels, sizes, _own_name(root, pixels, file), pages)
    bits = pixels.get("SignificantBits")
    time_axis = "TheZ" if as_time else "TheT"
    return Described(
        places=_frames_first(places, as_time),
        channels=tuple(_channel_name(channel) for channel in pixels.findall("Channel")),
        time_s=_times(pixels, (sizes["Z"] if as_time else sizes["T"], sizes["C"]), time_axis),
        pixel_um=_quantity(pixels, "PhysicalSizeX", "µm", "micrometer"),
        bits=int(bits) if bits else None,
        parts=_frames_first(parts, as_time),
        files=files,
        notes=notes,
    )


def _chosen(
    images: list[ElementTree.Element], file: str, image: int | None
) -> tuple[ElementTree.Element, tuple[str, ...]]:
    """The image asked for, or the only one that has frames."""
    if not images:
        raise FileError(f"{file}: expected an image in its OME-XML, found none. Export the recording again.")
    if image is not None:
        if not 0 <= image < len(images):
            raise FileError(
                f"{file}: expected an image from 0 to {len(images) - 1}, found image={image}. Choose another."
            )
        return images[image], ()
    courses = [number for number, found in enumerate(images) if int(found.get("SizeT", "1")) > 1] or [0]
    if len(courses) > 1:
        raise FileError(
            f"{file}: expected one recording, found {len(courses)} (images {', '.join(map(str, courses))}). "
            "Say which one with image, as in image=0."
        )
    notes = (f"Image {courses[0]} of {len(images)} is read, the only one with frames.",) if len(images) > 1 else ()
    return images[courses[0]], notes


def _places(
    pixels: ElementTree.Element, sizes: dict[str, int], own: str, pages: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Directory and file of each plane, both of shape (C, T, Z), and the names of other files."""
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    shape = tuple(sizes[axis] for axis in order)
    places = np.full(math.prod(shape), NO_PAGE, dtype=np.int64)
    parts = np.zeros(math.prod(shape), dtype=np.int64)
    files: list[str] = []
    # The first axis of DimensionOrder moves fastest.
    strides = dict(zip(order, np.cumprod((1, *shape[:-1])).tolist(), strict=True))
    blocks = pixels.findall("TiffData") or [ElementTree.Element("TiffData")]
    for block in blocks:
        start = sum(int(block.get(f"First{axis}", "0")) * strides[axis] for axis in order)
        first = int(block.get("IFD", "0"))
        alone = "IFD" in block.keys() and "PlaneCount" not in block.keys()  # noqa: SIM118
        count = 1 if alone else int(block.get("PlaneCount", str(min(pages, len(places)))))
        stop = min(start + count, len(places))
        if not 0 <= start < stop:
            raise FileError(f"{own}: OME-XML places pages outside its own sizes. Export the recording again.")
        places[start:stop] = np.arange(first, first + stop - start)
        parts[start:stop] = _part(block, own, files)
    axes = [order[::-1].index(axis) for axis in "CTZ"]
    turned = [array.reshape(shape[::-1]).transpose(axes) for array in (places, parts)]
    return turned[0], turned[1], tuple(files)


def _frames_first(array: NDArray[np.int64], as_time: bool) -> NDArray[np.int64]:
    """From (channels, frames, depth), one of the last two being 1, to (frames, channels)."""
    return array[:, 0, :].T if as_time else array[:, :, 0].T


def _own_name(root: ElementTree.Element, pixels: ElementTree.Element, file: str) -> str:
    """Name under which the XML knows its own file, which may have been renamed since."""
    uuids = pixels.findall("TiffData/UUID")
    names = {PurePath(uuid.get("FileName", file)).name for uuid in uuids}
    if len(names) == 1:
        return names.pop()
    own = root.get("UUID")
    return next((PurePath(uuid.get("FileName", file)).name for uuid in uuids if own and uuid.text == own), file)


def _part(block: ElementTree.Element, own: str, files: list[str]) -> int:
    """Number of the file that a block of pages is in: 0 is the file itself; others are added to `files`."""
    uuid = block.find("UUID")
    name = PurePath(uuid.get("FileName", own)).name if uuid is not None else own
    if name == own:
        return 0
    if name not in files:
        files.append(name)
    return files.index(name) + 1


def _channel_name(channel: ElementTree.Element) -> str:
    return channel.get("Name") or channel.get("ExcitationWavelength") or channel.get("Fluor") or ""


def _times(pixels: ElementTree.Element, size: tuple[int, int], axis: str) -> Array | None:
    """Time of each plane; where no plane has one, from the time increment."""
    time_s = np.full(size, np.nan)
    for plane in pixels.findall("Plane"):
        frame, channel = int(plane.get(axis, "0")), int(plane.get("TheC", "0"))
        if frame < size[0] and channel < size[1] and "DeltaT" in plane.attrib:
            time_s[frame, channel] = _quantity(plane, "DeltaT", "s", "second")
    if np.isfinite(time_s).any():
        return time_s
    step = _quantity(pixels, "TimeIncrement", "s", "second")
    return np.repeat(np.arange(size[0])[:, None] * step, size[1], axis=1) if step > 0 else None


def _quantity(element: ElementTree.Element, name: str, default: str, target: str) -> float:
    """Attribute with a unit of its own; NaN where there is none, or one that is no unit (pixel, reference frame)."""
    text, unit = element.get(name), element.get(f"{name}Unit", default)
    if text is None:
        return math.nan
    if unit == default:
        return float(text)
    try:
        return units.convert(float(text), target, unit=unit)
    except RangeError:
        return math.nan
