"""Masks of every form as labels, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi, roiwrite

from halfmax.errors import FileError
from halfmax.readers.regions import read_regions

SHAPE = (24, 32)


@pytest.fixture
def labels() -> np.ndarray:
    """Three cells, with numbers that leave gaps."""
    image = np.zeros(SHAPE, dtype=np.int32)
    image[2:8, 3:9] = 1
    image[10:16, 12:20] = 4
    image[18:22, 22:30] = 7
    return image


def save_cellpose(path: Path, labels: object, **more: object) -> Path:
    """Masks as Cellpose saves them: a dictionary inside an object array."""
    np.save(path, {"masks": labels, "outlines": labels, "filename": "dish.tif", "flows": [], **more}, allow_pickle=True)
    return path


def polygon(points: list[tuple[float, float]], name: str) -> ImagejRoi:
    return ImagejRoi.frompoints(np.array(points), name=name)


def box(roitype: ROI_TYPE, top: int, left: int, bottom: int, right: int, name: str) -> ImagejRoi:
    roi = ImagejRoi(roitype=roitype, top=top, left=left, bottom=bottom, right=right)
    roi.name = name
    return roi


# Forms


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_label_tiff_is_read(tmp_path: Path, labels: np.ndarray, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "masks.tif", labels.astype(dtype))
    regions = read_regions(tmp_path / "masks.tif", SHAPE)
    assert regions.labels.dtype == np.int32
    assert regions.names == ("1", "4", "7")
    assert regions.numbers.tolist() == [1, 4, 7]
    np.testing.assert_array_equal(regions.labels, labels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_label_png_is_read(tmp_path: Path, labels: np.ndarray, dtype: str) -> None:
    Image.fromarray(labels.astype(dtype)).save(tmp_path / "masks.png")
    np.testing.assert_array_equal(read_regions(tmp_path / "masks.png", SHAPE).labels, labels)


def test_label_npy_is_read(tmp_path: Path, labels: np.ndarray) -> None:
    np.save(tmp_path / "masks.npy", labels.astype("uint16"))
    np.testing.assert_array_equal(read_regions(tmp_path / "masks.npy", SHAPE).labels, labels)


def test_mask_of_two_values_is_parted(tmp_path: Path, labels: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "masks.tif", (labels > 0).astype("uint8") * 255)
    regions = read_regions(tmp_path / "masks.tif", SHAPE)
    assert regions.names == ("1", "2", "3")
    assert "3 connected parts" in regions.notes[0]


def test_cellpose_masks_are_read(tmp_path: Path, labels: np.ndarray) -> None:
    more = {
        "est_diam": np.float64(30.0),
        "ismanual": np.zeros(3, dtype=bool),
        "colors": {1, 2},
        "model_path": Path("m"),
    }
    path = save_cellpose(tmp_path / "dish_seg.npy", labels.astype("uint16"), **more)
    np.testing.assert_array_equal(read_regions(path, SHAPE).labels, labels)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_cellpose_masks_of_older_protocols_are_read(tmp_path: Path, labels: np.ndarray, protocol: int) -> None:
    whole = np.empty((), dtype=object)
    whole[()] = {"masks": labels, "diameter": np.float32(3)}
    with open(tmp_path / "a_seg.npy", "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(whole, stream, protocol=protocol)
    np.testing.assert_array_equal(read_regions(tmp_path / "a_seg.npy", SHAPE).labels, labels)


def test_real_label_image_is_read(data: Path) -> None:
    path = data / "calcium" / "fret_two_channel" / "31.05_H3_Well5_RCampMask.tif"
    assert len(read_regions(path, (256, 256)).names) == 99


def test_imagej_regions_are_filled_with_their_pixels(tmp_path: Path) -> None:
    rois = [
        box(ROI_TYPE.RECT, 2, 3, 8, 9, "left"),
        polygon([(12, 10), (20, 10), (20, 16), (12, 16)], "middle"),
        box(ROI_TYPE.OVAL, 12, 22, 22, 30, "right"),
    ]
    roiwrite(tmp_path / "cells.zip", rois)
    regions = read_regions(tmp_path / "cells.zip", SHAPE)
    assert regions.names == ("left", "middle", "right")
    assert regions.notes == ()
    np.testing.assert_array_equal(np.argwhere(regions.labels == 1).min(axis=0), (2, 3))
    assert (regions.labels == 1).sum() == 36
    np.testing.assert_array_equal(np.argwhere(regions.labels == 2).max(axis=0), (15, 19))
    assert (regions.labels == 2).sum() == 48
    assert (regions.labels == 3).sum() == pytest.approx(np.pi * 5 * 4, rel=0.05)
    np.testing.assert_allclose(np.argwhere(regions.labels == 3).mean(axis=0), (16.5, 25.5))


def test_one_roi_file_is_one_cell(tmp_path: Path) -> None:
    roi = polygon([(2.5, 2.5), (12.5, 3.5), (9.5, 14.5)], "cell 5")
    roi.roitype = ROI_TYPE.FREEHAND
    roi.tofile(tmp_path / "cell.roi")
    regions = read_regions(tmp_path / "cell.roi", SHAPE)
    assert regions.names == ("cell 5",)
    # Half of |10 * 12 - 7 * 1|.
    assert (regions.labels == 1).sum() == pytest.approx(56.5, rel=0.1)


def test_pixels_of_two_regions_belong_to_none(tmp_path: Path) -> None:
    roiwrite(tmp_path / "a.zip", [box(ROI_TYPE.RECT, 2, 2, 10, 10, "a"), box(ROI_TYPE.RECT, 8, 8, 16, 16, "b")])
    regions = read_regions(tmp_path / "a.zip", SHAPE)
    assert (regions.labels[8:10, 8:10] == 0).all()
    assert (regions.labels == 1).sum() == 60
    assert regions.notes == ("4 pixels lie in several regions and belong to none of them.",)


def test_points_and_lines_are_left_out_with_a_note(tmp_path: Path) -> None:
    roiwrite(tmp_path / "a.zip", [box(ROI_TYPE.RECT, 2, 2, 10, 10, "a"), box(ROI_TYPE.LINE, 0, 0, 5, 5, "line")])
    regions = read_regions(tmp_path / "a.zip", SHAPE)
    assert regions.names == ("a",)
    assert "1 of 2 regions have no area" in regions.notes[0]


# What is refused


@pytest.mark.parametrize("ending", ["tif", "png", "npy", "_seg.npy"])
def test_masks_of_another_size_are_refused(tmp_path: Path, labels: np.ndarray, ending: str) -> None:
    path = tmp_path / f"masks{ending}" if ending.startswith("_") else tmp_path / f"masks.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, labels)
    elif ending == "png":
        Image.fromarray(labels.astype("uint8")).save(path)
    elif ending == "npy":
        np.save(path, labels)
    else:
        save_cellpose(path, labels)
    with pytest.raises(FileError, match=r"expected masks of 48 × 64 pixels as the recording has, found 24 × 32\. Draw"):
        read_regions(path, (48, 64))


def test_region_outside_the_picture_is_refused(tmp_path: Path) -> None:
    roiwrite(tmp_path / "a.zip", [box(ROI_TYPE.RECT, 2, 2, 9, 9, "in"), box(ROI_TYPE.RECT, 100, 100, 110, 110, "out")])
    with pytest.raises(FileError, match=r'a\.zip: region "out" lies outside the recording of 24 × 32 .* another size'):
        read_regions(tmp_path / "a.zip", SHAPE)


def test_region_under_another_is_refused(tmp_path: Path) -> None:
    roiwrite(tmp_path / "a.zip", [box(ROI_TYPE.RECT, 2, 2, 20, 20, "big"), box(ROI_TYPE.RECT, 4, 4, 8, 8, "small")])
    with pytest.raises(FileError, match='region "small" lies wholly under others'):
        read_regions(tmp_path / "a.zip", SHAPE)


class Malicious:
    """Runs a command where a pickle is trusted."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._mark}",)


def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, labels: np.ndarray) -> None:
    mark = tmp_path / "ran"
    path = save_cellpose(tmp_path / "a_seg.npy", labels, evil=Malicious(mark))
    with pytest.raises(FileError, match=r'refused, because it would load "(posix|nt)\.system"'):
        read_regions(path, SHAPE)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nobject\n(I0\ntS'b'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR.",
        b"cnumpy\nload\n(S'a'\ntR.",
        b"Pobject\n.",
        b"garbage",
        b"",
    ],
)
def test_crafted_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    with open(tmp_path / "a_seg.npy", "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        stream.write(content)
    with pytest.raises(FileError, match=r"a_seg\.npy: (refused|cannot be read)"):
        read_regions(tmp_path / "a_seg.npy", SHAPE)


def test_dictionary_without_masks_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a_seg.npy", {"flows": [1]}, allow_pickle=True)
    with pytest.raises(FileError, match='expected the dictionary of Cellpose with an array "masks"'):
        read_regions(tmp_path / "a_seg.npy", SHAPE)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(SHAPE, dtype="uint8"), "expected cells, found no label above 0"),
        (np.full(SHAPE, 0.5, dtype="float32"), "expected whole numbers as labels"),
        (np.full(SHAPE, -1, dtype="int16"), "expected labels from 0, found -1 to -1|labels of 0 or more, found -1"),
    ],
)
def test_images_that_are_no_labels_are_refused(tmp_path: Path, image: np.ndarray, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image)
    with pytest.raises(FileError, match=message):
        read_regions(tmp_path / "a.tif", SHAPE)


def test_colours_are_no_labels(tmp_path: Path) -> None:
    colours = np.zeros((*SHAPE, 3), dtype="uint8")
    Image.fromarray(colours).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    for name in ("a.png", "a.tif"):
        with pytest.raises(FileError, match="expected one picture of labels"):
            read_regions(tmp_path / name, SHAPE)


def test_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(FileError, match=r"a\.csv: expected masks .* found other content"):
        read_regions(tmp_path / "a.csv", SHAPE)
