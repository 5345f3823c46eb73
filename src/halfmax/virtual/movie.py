"""Virtual recordings of cells: an OME-TIFF as a microscope writes it, and the truth behind it.

Cells are drawn anew at their place in each frame, from a formula, so no interpolation blurs the drift.
Every file says of itself that it is simulated.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import FileError, RangeError
from halfmax.output import whole_file, write_file
from halfmax.virtual.movie_design import Fluo, Fura2, MovieDesign
from halfmax.virtual.movie_scene import REACH, Scene, background_shapes, background_time, draw, label_image

__all__ = ["NOTE", "MovieTruth", "grynkiewicz", "light", "simulate_movie", "write_stimuli"]

Array = NDArray[np.float64]
Page = NDArray[np.uint16]

NOTE = "SIMULATED by halfmax"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
#: Pages and their directories of larger files need the addresses of BigTIFF.
_CLASSIC_LIMIT = 2**32 - 2**25


@dataclass(frozen=True, eq=False)
class MovieTruth:
    """What is true of a virtual recording.

    Parameters
    ----------
    design : MovieDesign
    seed : int
    labels : array of int32, shape (height, width)
        Cell of each pixel in the first frame, from 1: its profile is at least a quarter of the peak.
    centres : array, shape (cells, 2), pixels
        Row and column in the first frame.
    axes : array, shape (cells, 2), pixels
        Long and short half axis of the outline.
    brightness : array, shape (cells,), e
        Light at the centre: F380 without calcium, or Fluo with saturating calcium.
    calcium : array, shape (cells, frames), M
    shifts : array, shape (frames, 2), pixels
        By how much each frame lies down and right of the first.
    background : array, shape (frames, channels), e
        Mean over the picture.
    responder, touching, oscillator : array of bool, shape (cells,)
        Who answers to samples, whose outline meets another one's, who oscillates without any.
    time_s : array, shape (frames, channels), s
    """

    design: MovieDesign
    seed: int
    labels: NDArray[np.int32]
    centres: Array
    axes: Array
    brightness: Array
    calcium: Array
    shifts: Array
    background: Array
    responder: NDArray[np.bool_]
    touching: NDArray[np.bool_]
    oscillator: NDArray[np.bool_]
    time_s: Array

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.centres)

    @property
    def alpha(self) -> float:
        """The factor with which F340 + alpha * F380 does not change when calcium does; NaN for one channel."""
        return self.design.optics.alpha

    def bleaching(self) -> Array:
        """Share of its first light that the dye still gives on each page, shape (frames, channels)."""
        return _bleaching(self.design, self.time_s)

    def save(self, path: str | Path) -> None:
        """Write the truth as a NumPy archive, whole or not at all."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        record = json.dumps(self.design.record())
        with whole_file(Path(path)) as place, open(place, "wb") as stream:
            np.savez_compressed(stream, note=NOTE, design=record, seed=self.seed, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> MovieTruth:
        """Read what `save` wrote.

        Raises
        ------
        FileError
            If there is no such file, or it is no truth of a virtual recording.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as archive:
                design = MovieDesign.from_record(json.loads(str(archive["design"])))
                return cls(design=design, seed=int(archive["seed"]), **{name: archive[name] for name in _ARRAYS})
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except (KeyError, ValueError, TypeError) as error:
            raise FileError(
                f"{path}: expected the truth of a virtual recording as MovieTruth.save writes it, "
                f"found another file ({error}). Simulate the recording again."
            ) from error


_ARRAYS = tuple(entry.name for entry in fields(MovieTruth) if entry.name not in ("design", "seed"))


def grynkiewicz(ratio: ArrayLike, *, kd: float, rmin: float, rmax: float, beta: float) -> Array:
    """Calcium of a ratio of Fura-2::

        [Ca] = kd * beta * (R - rmin) / (rmax - R)

    Parameters
    ----------
    ratio : array
        F340 / F380.
    kd : float, M
    rmin, rmax, beta : float
        See `Fura2`.

    Returns
    -------
    array, M
        NaN where the ratio is not between `rmin` and `rmax`.

    References
    ----------
    .. [1] Grynkiewicz, Poenie & Tsien (1985), J Biol Chem 260:3440.

    Examples
    --------
    >>> grynkiewicz([1.0, 9.0], kd=224e-9, rmin=0.333, rmax=8.0, beta=8.0).round(9).tolist()
    [1.71e-07, nan]
    """
    ratio = np.asarray(ratio, dtype=float)
    inside = (ratio > rmin) & (ratio < rmax)
    ratio = np.where(inside, ratio, np.nan)
    return np.asarray(kd * beta * (ratio - rmin) / (rmax - ratio), dtype=float)


def light(calcium: ArrayLike, optics: Fura2 | Fluo) -> Array:
    """Light of each channel at a concentration of calcium, relative to the brightness of a cell::

        bound = [Ca] / ([Ca] + kd);   F = F_free * (1 - bound) + F_bound * bound

    For Fura-2 the ratio of the two is (rmin + rmax x) / (1 + x) with x = [Ca] / (kd beta): exactly
    Grynkiewicz's, and F340 + alpha F380 does not depend on calcium.

    Parameters
    ----------
    calcium : array, M
        >= 0.
    optics : Fura2 or Fluo

    Returns
    -------
    array, shape (channels, ...)

    Raises
    ------
    RangeError
        If a concentration is negative.

    Examples
    --------
    >>> f340, f380 = light(224e-9, Fura2(rmin=0.5, rmax=8.0, beta=4.0))
    >>> float(f340), float(f380)
    (1.25, 0.625)
    """
    calcium = np.asarray(calcium, dtype=float)
    if np.any(calcium < 0):
        raise RangeError(f"light of {type(optics).__name__}: expected calcium of 0 or more, found {calcium.min()} M.")
    bound = calcium / (calcium + optics.kd)
    channels = zip(optics.free, optics.bound, strict=True)
    return np.stack([free * (1 - bound) + full * bound for free, full in channels])


def simulate_movie(path: str | Path, design: MovieDesign, *, seed: int) -> MovieTruth:
    """Write a virtual recording as an OME-TIFF, page by page, and return the truth behind it.

    A pixel of frame t and channel c expects::

        background_c(t, y, x) + sum over cells of profile(y, x) * shine_c(t)
        shine_c(t) = brightness * (light_c([Ca](t)) * exp(-bleach_c * t) + artefact(t))

    photo-electrons, which a `Camera` turns into ADU.  The pages (uint16, uncompressed, one after the other)
    go channel by channel and then frame by frame.  The same design and seed give the same bytes.

    Parameters
    ----------
    path : str or Path
        Best ending in ``.ome.tif``. What is there is replaced once the new file is complete.
    design : MovieDesign
    seed : int

    Returns
    -------
    MovieTruth

    Raises
    ------
    RangeError
        If the cells do not fit into the picture.
    FileError
        If the place cannot be written; nothing was written then.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from halfmax.virtual import small_design
    >>> with TemporaryDirectory() as folder:
    ...     truth = simulate_movie(f"{folder}/dish.ome.tif", small_design(frames=5), seed=1)
    >>> truth.cells, truth.time_s.shape
    (6, (5, 2))
    """
    *scene_streams, behind, noise = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6))
    scene = draw(design, scene_streams)
    time_s = _times(design)
    shapes = background_shapes(design, behind)
    level = background_time(design, time_s)
    pages = _pages(design, scene, shapes, level, time_s, noise)
    with whole_file(Path(path)) as place:
        _write_tiff(place, design, time_s, pages)
    return MovieTruth(
        design=design,
        seed=seed,
        labels=label_image(scene, design.shape),
        centres=scene.centres,
        axes=scene.axes,
        brightness=scene.brightness,
        calcium=scene.calcium,
        shifts=scene.shifts,
        background=level,
        responder=scene.responder,
        touching=scene.touching,
        oscillator=scene.oscillator,
        time_s=time_s,
    )


def write_stimuli(path: str | Path, design: MovieDesign) -> None:
    """Write what was added when, as CSV: ``name,role,concentration,unit,start,end``, times in s.

    The first line says that it is simulated; an end that is empty means that the compound stays.
    """
    stream = io.StringIO(newline="")
    stream.write(f"# {NOTE}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "role", "concentration", "unit", "start", "end"])
    for addition in design.additions:
        given = not math.isnan(addition.concentration)
        dose = [f"{addition.concentration * 1e6:.12g}", "µM"] if given else ["", ""]
        end = f"{addition.end_s:.12g}" if math.isfinite(addition.end_s) else ""
        writer.writerow([addition.name, addition.role, *dose, f"{addition.start_s:.12g}", end])
    write_file(Path(path), stream.getvalue())


# From the scene to pages


def _times(design: MovieDesign) -> Array:
    """When each page is taken, s, shape (frames, channels)."""
    channels = len(design.optics.channels)
    return np.asarray(np.arange(design.frames)[:, None] * design.interval + np.arange(channels) * design.channel_delay)


def _bleaching(design: MovieDesign, time_s: Array) -> Array:
    return np.asarray(np.exp(-time_s * np.array(design.optics.bleach)), dtype=float)


def _emission(design: MovieDesign, scene: Scene, time_s: Array) -> Array:
    """Light at the centre of each cell, e, shape (frames, channels, cells)."""
    shining = light(scene.calcium, design.optics).transpose(2, 0, 1) * _bleaching(design, time_s)[:, :, None]
    for addition in design.additions:
        there = (time_s >= addition.start_s) & (time_s < addition.end_s)
        shining += addition.artefact * there[:, :, None]
    return np.asarray(shining * scene.brightness, dtype=float)


def _pages(
    design: MovieDesign,
    scene: Scene,
    shapes: NDArray[np.float32],
    level: Array,
    time_s: Array,
    noise: np.random.Generator,
) -> Iterator[Page]:
    """The pages as the camera writes them, channel by channel and frame by frame."""
    emission = _emission(design, scene, time_s)
    for frame in range(design.frames):
        place, profile = _profiles(scene, scene.shifts[frame], design.shape)
        for channel in range(len(shapes)):
            weights = (profile * emission[frame, channel, :, None]).ravel()
            cells = np.bincount(place, weights=weights, minlength=math.prod(design.shape) + 1)[:-1]
            electrons = shapes[channel] * np.float32(level[frame, channel])
            electrons += cells.astype(np.float32).reshape(design.shape)
            yield _exposed(design, electrons, noise)


def _profiles(scene: Scene, shift: Array, shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Places in the flattened picture and profiles of all cells, patch by patch; outside it lies behind its end."""
    form = scene.forms()[:, :, None]
    half = math.ceil(REACH * float(scene.axes.max())) + 1
    centres = scene.centres + shift
    corner = np.floor(centres).astype(np.intp) - half
    patch = np.arange(2 * half + 2)
    rows, columns = (corner[:, axis, None] + patch for axis in (0, 1))
    dy, dx = rows - centres[:, :1], columns - centres[:, 1:]
    s = (form[:, 0] * dy**2).astype(np.float32)[:, :, None] + (form[:, 2] * dx**2).astype(np.float32)[:, None, :]
    s += (2 * form[:, 1] * dy).astype(np.float32)[:, :, None] * dx.astype(np.float32)[:, None, :]
    np.minimum(s, 1.0, out=s)
    profile = (1 - s * s) ** 2
    place = (rows * shape[1])[:, :, None] + columns[:, None, :]
    seen_rows, seen_columns = (rows >= 0) & (rows < shape[0]), (columns >= 0) & (columns < shape[1])
    place[~(seen_rows[:, :, None] & seen_columns[:, None, :])] = math.prod(shape)
    return place.ravel(), profile.reshape(len(centres), -1)


def _exposed(design: MovieDesign, electrons: NDArray[np.float32], noise: np.random.Generator) -> Page:
    """What the camera writes for the light it expects."""
    camera = design.camera
    signal = electrons * np.float32(camera.gain)
    if camera.noise:
        spread = np.sqrt(signal * np.float32(camera.gain) + np.float32(camera.read_noise**2))
        spread *= noise.standard_normal(design.shape, dtype=np.float32)
        signal += spread
    signal += np.float32(camera.offset)
    np.rint(signal, out=signal)
    return np.clip(signal, 0, camera.full_scale, out=signal).astype("<u2")


# From pages to the file


def _write_tiff(place: Path, design: MovieDesign, time_s: Array, pages: Iterator[Page]) -> None:
    from tifffile import TiffWriter

    size = (time_s.size, *design.shape)
    big = 2 * math.prod(size) + 4096 * time_s.size > _CLASSIC_LIMIT
    with TiffWriter(place, bigtiff=big, byteorder="<") as writer:
        writer.write(
            pages,
            shape=size,
            dtype=np.uint16,
            photometric="minisblack",
            description=_ome_xml(design, time_s),
            metadata=None,
            software=NOTE,
        )


def _ome_xml(design: MovieDesign, time_s: Array) -> str:
    """Description of the file in OME-XML, 2016-06; plain ASCII."""
    height, width = design.shape
    frames, channels = time_s.shape
    bits = int(design.camera.full_scale).bit_length()
    names = "".join(
        f'<Channel ID="Channel:0:{number}" Name={quoteattr(name)} SamplesPerPixel="1"/>'
        for number, name in enumerate(design.optics.channels)
    )
    planes = "".join(
        f'<Plane TheZ="0" TheT="{frame}" TheC="{channel}" DeltaT="{time_s[frame, channel]:.12g}" DeltaTUnit="s"/>'
        for frame in range(frames)
        for channel in range(channels)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_SCHEMA}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_SCHEMA} {_SCHEMA}/ome.xsd" Creator="halfmax">'
        f'<Image ID="Image:0" Name="simulated"><Description>{NOTE}: no microscope recorded this</Description>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SignificantBits="{bits}" BigEndian="false" '
        f'SizeX="{width}" SizeY="{height}" SizeC="{channels}" SizeZ="1" SizeT="{frames}" '
        f'PhysicalSizeX="{design.pixel_um:.12g}" PhysicalSizeXUnit="&#181;m" '
        f'PhysicalSizeY="{design.pixel_um:.12g}" PhysicalSizeYUnit="&#181;m" '
        f'TimeIncrement="{design.interval:.12g}" TimeIncrementUnit="s">'
        f'{names}<TiffData IFD="0" PlaneCount="{frames * channels}"/>{planes}</Pixels></Image></OME>'
    )
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
