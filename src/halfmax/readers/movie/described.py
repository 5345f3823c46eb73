"""What ImageJ, tifffile or a maker's own tags say of the pages of a TIFF, and what to do where nothing says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from halfmax.errors import FileError
from halfmax.readers.movie.directory import Pages
from halfmax.readers.movie.ome import describe_ome
from halfmax.readers.movie.recording import Asked, Described

if TYPE_CHECKING:
    from tifffile import TiffFile

__all__ = ["describe"]

_MICRON = {"micron": 1.0, "microns": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "nm": 1e-3, "mm": 1e3}
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}
#: Formats inside TIFF whose order of pages tifffile knows.
_MAKERS = {"lsm", "stk", "fluoview", "nih", "scanimage", "sis", "micromanager"}
#: Pixels of a camera on a microscope are smaller, µm: 72 dpi, which many programs write, is no scale.
_LARGEST_PIXEL = 20.0


def describe(tif: TiffFile, pages: Pages, asked: Asked) -> Described:
    """What the file says of its pages, whichever program wrote it."""
    file = pages.path.name
    xml = tif.ome_metadata
    if xml:
        return describe_ome(xml, file, len(pages.pages), asked.image)
    if tif.imagej_metadata is not None:
        return _imagej(tif.imagej_metadata, tif, pages)
    named = _shaped(tif, pages)
    if named is None and _MAKERS & set(tif.flags):
        series = tif.series[0]
        named = _by_axes(file, series.axes, series.shape)
    if named is not None:
        return named
    return Described(np.arange(len(pages.pages))[:, None], pixel_um=_resolution(tif), by_file=False)


def _imagej(said: dict[str, Any], tif: TiffFile, pages: Pages) -> Described:
    """ImageJ's own description; its pages go channel by channel, then by depth, then frame by frame."""
    file = pages.path.name
    images = int(said.get("images", len(pages.pages)))
    channels, slices, frames = (int(said.get(key, 1)) for key in ("channels", "slices", "frames"))
    notes: tuple[str, ...] = ()
    if frames == 1 and slices > 1:
        frames, slices = slices, 1
        notes = (f"The {frames} slices of this ImageJ stack are taken to be frames of time.",)
    if slices > 1:
        raise FileError(
            f"{file}: expected one plane of depth, found {slices} in each of {frames} frames. "
            "Export one plane, or a projection."
        )
    if channels * frames == 1 and images > 1:
        frames = images
    elif channels * frames != images:
        raise FileError(
            f"{file}: ImageJ says {channels} channels × {frames} frames = {channels * frames} pages, and {images} "
            "images. A channel was dropped, or a page. Export the recording again."
        )
    step = float(said.get("finterval", 0.0)) * _SECONDS.get(str(said.get("tunit", "")).strip().lower(), math.nan)
    return Described(
        places=np.arange(images).reshape(frames, channels),
        channels=_labels(said.get("Labels"), channels),
        time_s=np.repeat(np.arange(frames)[:, None] * step, channels, axis=1) if step > 0 else None,
        pixel_um=_scale(tif, _MICRON.get(str(said.get("unit", "")).strip().lower(), math.nan)),
        notes=notes,
    )


def _labels(labels: Any, channels: int) -> tuple[str, ...]:
    """Names of the channels from the labels of ImageJ's slices, where every frame repeats them."""
    if channels == 1 or not isinstance(labels, list) or len(labels) < 2 * channels:
        return ()
    texts = [str(label).strip() for label in labels]
    repeated = all(len(set(texts[channel::channels])) == 1 for channel in range(channels))
    names = tuple(texts[:channels])
    return names if repeated and len(set(names)) == channels else ()


def _shaped(tif: TiffFile, pages: Pages) -> Described | None:
    """tifffile's own description: a shape, perhaps with names of its axes."""
    if not tif.is_shaped:
        return None
    import json

    text = tif.pages.first.description
    said = json.loads(text) if text.startswith("{") else {}
    shape, axes = tuple(said.get("shape", ())), str(said.get("axes", ""))
    if len(axes) != len(shape) or not {"T", "C", "Z"} & set(axes):
        return None if len(shape) < 4 else _unnamed(shape)
    return _by_axes(pages.path.name, axes, shape)


def _unnamed(shape: tuple[int, ...]) -> Described | None:
    if len(shape) != 4:
        return None
    note = f"The axes of {shape} have no names: the first is taken to be time, the second the channel."
    return Described(np.arange(shape[0] * shape[1]).reshape(shape[:2]), notes=(note,))


def _by_axes(file: str, axes: str, shape: tuple[int, ...]) -> Described | None:
    """Pages in the order that named axes give."""
    outer = [(axis, length) for axis, length in zip(axes, shape, strict=True) if axis not in "YXS"]
    sizes = dict(outer)
    unknown = [axis for axis, length in outer if axis not in "TCZ" and length > 1]
    if unknown or axes[-2:] != "YX" or (sizes.get("Z", 1) > 1 and sizes.get("T", 1) > 1):
        raise FileError(
            f"{file}: expected axes of time, channel, height and width, found {axes} of {shape}. "
            "Export one plane of depth, with its channels as pages of their own."
        )
    places = np.arange(math.prod(length for _, length in outer)).reshape([length for _, length in outer])
    channel = next((number for number, (axis, _) in enumerate(outer) if axis == "C"), None)
    table = places.reshape(-1, 1) if channel is None else np.moveaxis(places, channel, -1).reshape(-1, sizes["C"])
    notes = ("The planes of depth of this file are taken to be frames of time.",) if sizes.get("Z", 1) > 1 else ()
    return Described(table, notes=notes)


def _resolution(tif: TiffFile) -> float:
    """Side of a pixel from the resolution, µm, where it can be that of a microscope."""
    unit = tif.pages.first.tags.valueof("ResolutionUnit", 1)
    side = _scale(tif, {2: 25400.0, 3: 10000.0}.get(int(unit), math.nan))
    return side if side < _LARGEST_PIXEL else math.nan


def _scale(tif: TiffFile, unit_um: float) -> float:
    """Side of a pixel, µm, from pixels a unit."""
    value = tif.pages.first.tags.valueof("XResolution", (0, 1))
    return unit_um * value[1] / value[0] if value[0] > 0 else math.nan
