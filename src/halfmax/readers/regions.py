"""Where the cells are: masks of any program as one label image, 0 between the cells and a number in each.

Read are label images (TIFF, PNG, NumPy), ImageJ's regions of interest (.roi, .zip) and Cellpose's ``_seg.npy``.
The last is a pickle, which could run anything: only arrays and plain containers pass here.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FileError
from halfmax.readers.sheet import check_there

if TYPE_CHECKING:
    from roifile import ImagejRoi

__all__ = ["Regions", "read_regions"]

Labels = NDArray[np.int32]
_PNG, _NUMPY, _ZIP, _ROI = b"\x89PNG", b"\x93NUMPY", b"PK\x03\x04", b"Iout"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, eq=False)
class Regions:
    """Cells of one picture.

    Parameters
    ----------
    labels : array of int32, shape (height, width)
        0 where there is no cell, else the number of the cell.
    names : tuple of str
        Names of the numbers that occur, in ascending order.
    notes : tuple of str
        What the reader had to assume.
    """

    labels: Labels
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers that occur, ascending."""
        found = np.unique(self.labels)
        return found[found > 0].astype(np.int64)


def read_regions(path: str | Path, shape: tuple[int, int]) -> Regions:
    """Masks of cells for pictures of a size.

    Parameters
    ----------
    path : str or Path
        Label image (TIFF, PNG, npy), ImageJ regions (.roi or .zip), or Cellpose's ``_seg.npy``.
        An image of two values is a mask: its connected parts become the cells. Pixels of several
        regions belong to none of them.
    shape : (int, int)
        Height and width of the recording, pixels.

    Raises
    ------
    FileError
        If the file is of no such kind, is of another size than the recording, holds no cell, would run code,
        or has a region that lies outside the picture or wholly under others.
    """
    path = Path(path)
    check_there(path)
    with open(path, "rb") as stream:
        head = stream.read(16)
    if head.startswith((_ZIP, _ROI)):
        return _from_rois(path, shape)
    if head.startswith(_TIFF):
        image = _tiff(path)
    elif head.startswith(_PNG):
        image = _png(path)
    elif head.startswith(_NUMPY):
        image = _numpy(path)
    else:
        raise FileError(
            f"{path.name}: expected masks (label image as TIFF, PNG or npy; ImageJ .roi or .zip; Cellpose _seg.npy), "
            "found other content. Save the masks in one of these forms."
        )
    return _labelled(path.name, image, shape)


# Label images


def _labelled(file: str, image: NDArray[Any], shape: tuple[int, int]) -> Regions:
    """Whole numbers in a picture as labels; two values alone are a mask whose parts are the cells."""
    image = np.squeeze(image)
    if image.ndim != 2:
        raise FileError(
            f"{file}: expected one picture of labels, found an array of {image.shape}. "
            "Save the labels as one plane, a number for each cell, not as colours."
        )
    if image.shape != tuple(shape):
        raise FileError(
            f"{file}: expected masks of {shape[0]} × {shape[1]} pixels as the recording has, found "
            f"{image.shape[0]} × {image.shape[1]}. Draw them on this recording, or bring them to its size."
        )
    if image.dtype.kind not in "uifb" or not np.all(np.isfinite(image)) or np.any(image != np.floor(image)):
        raise FileError(
            f"{file}: expected whole numbers as labels, found {image.dtype} with fractions. Save a label image."
        )
    if image.min() < 0 or image.max() > np.iinfo(np.int32).max:
        raise FileError(
            f"{file}: expected labels of 0 or more, found {image.min()} to {image.max()}. Save a label image."
        )
    values = np.unique(image)
    if not values[-1] > 0:
        raise FileError(f"{file}: expected cells, found no label above 0. Draw or segment them first.")
    notes: tuple[str, ...] = ()
    labels = image.astype(np.int32)
    if len(values) <= 2:
        labels, notes = _parted(labels)
    return Regions(labels, tuple(str(value) for value in np.unique(labels) if value), notes)


def _parted(mask: Labels) -> tuple[Labels, tuple[str, ...]]:
    from scipy import ndimage

    parts, count = ndimage.label(mask > 0, structure=np.ones((3, 3)))
    if count == 1:
        return mask, ()
    return parts.astype(np.int32), (
        f"A mask of two values: its {count} connected parts are taken for cells, and cells that touch for one.",
    )


def _tiff(path: Path) -> NDArray[Any]:
    from tifffile import TiffFile, TiffFileError

    try:
        with TiffFile(path) as tif:
            page = tif.pages.first
            if len(tif.pages) > 1 or page.samplesperpixel > 1:
                raise FileError(
                    f"{path.name}: expected one picture of labels, found {len(tif.pages)} pages of "
                    f"{page.samplesperpixel} sample(s). Save the labels alone, not as colours."
                )
            return page.asarray()
    except (TiffFileError, ValueError, OSError) as error:
        raise FileError(f"{path.name}: cannot be read as TIFF ({error}). Save the labels again.") from error


def _png(path: Path) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise FileError(
                    f"{path.name}: expected one picture of labels, found colours ({image.mode}). "
                    "Save the labels as 16-bit grey, a number for each cell."
                )
            return np.array(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(f"{path.name}: cannot be read as PNG ({error}). Save the labels again.") from error


# NumPy, and the pickle of Cellpose


def _numpy(path: Path) -> NDArray[Any]:
    """Array of a .npy; of Cellpose's dictionary its masks."""
    content = path.read_bytes()
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read_header(stream)
        if not dtype.hasobject:
            return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise FileError(f"{path.name}: cannot be read as a NumPy array ({error}). Save the masks again.") from error
    said = _unpickled(path.name, stream)
    said = said.item() if isinstance(said, np.ndarray) and said.shape == () else said
    if not isinstance(said, dict) or not isinstance(said.get("masks"), np.ndarray):
        raise FileError(
            f'{path.name}: expected the dictionary of Cellpose with an array "masks", found {type(said).__name__}. '
            "Save the masks with Cellpose, or as a label image."
        )
    return np.asarray(said["masks"])


def _unpickled(file: str, stream: io.BytesIO) -> Any:
    try:
        return _Restricted(stream, file).load()
    except FileError:
        raise
    # A damaged pickle fails in as many ways as it has instructions.
    except Exception as error:
        raise FileError(f"{file}: cannot be read as Cellpose's masks ({error!r}). Save them again.") from error


class _Restricted(pickle.Unpickler):
    """Unpickles arrays, numbers and plain containers; whatever else a pickle names is refused, not imported."""

    def __init__(self, stream: io.BytesIO, file: str) -> None:
        super().__init__(stream)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        found = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise FileError(
                f'{self._file}: refused, because it would load "{module}.{name}", which no array of masks needs and '
                "which may run code. If you trust the file, save its masks as a TIFF or PNG of labels."
            )
        return found


def _empty_array(kind: Any, shape: Any, _dtype: Any) -> NDArray[Any]:
    """Array whose content follows; genuine pickles begin with one of no elements."""
    if kind is not np.ndarray or shape != (0,):
        raise ValueError("not a plain array")
    return np.empty(0, dtype=np.int8)


def _scalar(dtype: Any, content: Any = None) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes):
        raise ValueError("not a plain number")
    return np.frombuffer(content, dtype=dtype, count=1)[0]


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes as old protocols write them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("not plain bytes")
    return text.encode("latin-1")


def _path_text(*parts: Any) -> str:
    return str(PurePosixPath(*(str(part) for part in parts)))


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _encoded,
    **{(module, name): _path_text for module in ("pathlib", "pathlib._local") for name in _PATHS},
}


# Regions of interest of ImageJ


def _from_rois(path: Path, shape: tuple[int, int]) -> Regions:
    """Regions drawn in ImageJ, each as a label in their order."""
    rois = _read_rois(path)
    masks = [(_name(roi, place), _mask(roi, shape)) for place, roi in enumerate(rois)]
    painted = [(name, mask) for name, mask in masks if mask is not None]
    left_out = len(rois) - len(painted)
    if not painted:
        raise FileError(
            f"{path.name}: expected regions with an area, found {len(rois)} points, lines or texts. Draw areas."
        )
    notes = (
        [f"{left_out} of {len(rois)} regions have no area (points, lines, texts) and are left out."] if left_out else []
    )
    for name, mask in painted:
        if not mask.any():
            raise FileError(
                f'{path.name}: region "{name}" lies outside the recording of {shape[0]} × {shape[1]} pixels. '
                "The regions were drawn on a picture of another size: draw them on this recording."
            )
    labels, shared = _merged([mask for _, mask in painted], shape)
    if shared:
        notes.append(f"{shared} pixels lie in several regions and belong to none of them.")
    for number, (name, _) in enumerate(painted, start=1):
        if not np.any(labels == number):
            raise FileError(
                f'{path.name}: region "{name}" lies wholly under others. Remove it, or the regions above it.'
            )
    return Regions(labels, tuple(name for name, _ in painted), tuple(notes))


def _read_rois(path: Path) -> list[ImagejRoi]:
    from roifile import roiread

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if not any(name.lower().endswith(".roi") for name in archive.namelist()):
                    raise FileError(
                        f"{path.name}: expected an archive of ImageJ regions, found no .roi in it. Save it again."
                    )
        found = roiread(str(path))
    except (ValueError, OSError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise FileError(f"{path.name}: cannot be read as regions of ImageJ ({error}). Save them again.") from error
    return found if isinstance(found, list) else [found]


def _name(roi: ImagejRoi, place: int) -> str:
    return (roi.name or "").removesuffix(".roi") or str(place + 1)


def _mask(roi: ImagejRoi, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Pixels whose centre lies in a region; None where the region has no area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE
    from skimage import draw

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        return None
    mask = np.zeros(shape, dtype=bool)
    if roi.roitype == ROI_TYPE.OVAL:
        return _oval(roi, mask, draw.ellipse)
    if roi.roitype not in (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return None
    for outline in roi.coordinates(multi=True):
        if len(outline) >= 3:
            # ImageJ counts from the corner of a pixel, scikit-image from its centre. Inner outlines are holes.
            mask ^= draw.polygon2mask(shape, np.asarray(outline, dtype=float)[:, ::-1] - 0.5)
    return mask


def _oval(roi: ImagejRoi, mask: NDArray[np.bool_], ellipse: Callable[..., Any]) -> NDArray[np.bool_]:
    height, width = roi.bottom - roi.top, roi.right - roi.left
    rows, columns = ellipse(
        roi.top + height / 2 - 0.5, roi.left + width / 2 - 0.5, height / 2, width / 2, shape=mask.shape
    )
    mask[rows, columns] = True
    return mask


def _merged(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int]) -> tuple[Labels, int]:
    """Labels of masks from 1; a pixel of several masks has none."""
    labels, times = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
        times += mask
    labels[times > 1] = 0
    return labels, int((times > 1).sum())
