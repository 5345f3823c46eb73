"""Cells are found on simulated recordings, and oddities are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from halfmax.assays.calcium.segment import anatomy, noise_of, segment
from halfmax.errors import RangeError
from halfmax.virtual import Addition, Background, Cells, Drift, Fura2, MovieDesign, simulate_movie

SIDE = 512
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)


def recording(folder: Path, seed: int, *, frames: int = 4, **changes: Any) -> tuple[np.ndarray, Any]:
    """Mean pictures of a simulated recording without drift, and its truth."""
    parts = {"drift": Drift(rms=0.0), "additions": ()} | changes
    design = MovieDesign(frames=frames, **parts)
    file = folder / "dish.ome.tif"
    truth = simulate_movie(file, design, seed=seed)
    pages = tifffile.imread(file).reshape(frames, -1, *design.shape)
    return pages.mean(axis=0), truth


def overlap(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union, shape (found, true)."""
    found, true = int(labels.max()), int(truth.max())
    both = np.bincount((labels.astype(np.int64) * (true + 1) + truth).ravel(), minlength=(found + 1) * (true + 1))
    both = both.reshape(found + 1, true + 1)
    return both[1:, 1:] / (both[1:].sum(axis=1)[:, None] + both[:, 1:].sum(axis=0) - both[1:, 1:])


def match(labels: np.ndarray, truth: np.ndarray, iou: float = 0.5) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    hits = int((overlap(labels, truth) > iou).sum())
    found, true = int(labels.max()), int(truth.max())
    return hits / max(found, 1), hits / true, 2 * hits / (found + true)


def plain_watershed(picture: np.ndarray, **options: Any) -> np.ndarray:
    """scikit-image's gallery: Otsu, distance transform, peak_local_max."""
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    bright = picture > threshold_otsu(picture)
    distance = ndimage.distance_transform_edt(bright)
    peaks = peak_local_max(distance, labels=bright.astype(np.int32), **options)
    markers = np.zeros(picture.shape, dtype=np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, markers, mask=bright))


def disks(
    *cells: tuple[float, float, float, float], blur: float = 1.0, noise: float = 0.3, seed: int = 1
) -> np.ndarray:
    """Blurred disks (row, column, radius, light) on 100, with noise."""
    light = np.zeros((SIDE, SIDE))
    for row, column, radius, height in cells:
        light = np.maximum(light, height * (np.hypot(Y - row, X - column) < radius))
    return 100 + ndimage.gaussian_filter(light, blur) + noise * np.random.default_rng(seed).standard_normal(light.shape)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Any]:
    return recording(tmp_path_factory.mktemp("apart"), seed=1)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Any]:
    cells = Cells(touching=0.3, brightness_sd=0.5)
    return recording(tmp_path_factory.mktemp("crowded"), seed=2, cells=cells, background=Background(unevenness=0.5))


# What is found


def test_separated_cells_are_found(apart: tuple[np.ndarray, Any]) -> None:
    pictures, truth = apart
    cells = segment(anatomy(pictures))
    precision, recall, _ = match(cells.labels, truth.labels)
    assert truth.cells == 200
    assert recall >= 0.98
    assert precision >= 0.98


def test_touching_cells_are_divided_better_than_by_a_plain_watershed(crowded: tuple[np.ndarray, Any]) -> None:
    pictures, truth = crowded
    picture = anatomy(pictures)
    *_, mine = match(segment(picture).labels, truth.labels)
    rivals = [{"footprint": np.ones((3, 3))}, {"min_distance": round(truth.design.cells.radius)}]
    others = [match(plain_watershed(picture, **options), truth.labels)[2] for options in rivals]
    assert mine >= 0.98
    assert mine > max(others) + 0.05


def test_touching_cells_are_flagged_and_trusted_less(crowded: tuple[np.ndarray, Any]) -> None:
    pictures, truth = crowded
    cells = segment(anatomy(pictures))
    shared = overlap(cells.labels, truth.labels)
    touching = truth.touching[shared.argmax(axis=1)]
    assert np.mean(cells.touching == touching) > 0.95
    assert np.median(cells.score[touching]) < 0.8 < np.median(cells.score[~touching])
    assert np.all((cells.score >= 0) & (cells.score <= 1))


@pytest.mark.parametrize(("radius", "number"), [(4, 60), (9, 30), (20, 6)])
def test_the_diameter_is_found(tmp_path: Path, radius: float, number: int) -> None:
    side = 200 if radius < 20 else 320
    design = Cells(number=number, radius=radius, radius_sd=radius / 9, touching=0.3, margin=3.0)
    pictures, truth = recording(tmp_path, seed=3, shape=(side, side), cells=design)
    cells = segment(pictures[1])
    assert cells.diameter == pytest.approx(2 * radius, rel=0.15)
    assert match(cells.labels, truth.labels)[2] >= 0.97


@pytest.mark.parametrize("error", [0.7, 1.3])
def test_a_diameter_that_is_wrong_by_a_third_does_no_harm(crowded: tuple[np.ndarray, Any], error: float) -> None:
    pictures, truth = crowded
    cells = segment(anatomy(pictures), diameter=18 * error)
    assert cells.diameter == 18 * error
    assert match(cells.labels, truth.labels)[2] >= 0.97


def test_dim_cells_on_a_bright_uneven_background_are_found(tmp_path: Path) -> None:
    design = Cells(number=30, brightness=150, brightness_sd=0.5)
    background = Background(level=(600.0, 600.0), unevenness=0.5)
    pictures, truth = recording(tmp_path, 4, frames=40, shape=(256, 256), cells=design, background=background)
    assert match(segment(anatomy(pictures)).labels, truth.labels)[1] >= 0.96


def test_saturated_cells_hide_no_others(tmp_path: Path) -> None:
    pictures, truth = recording(tmp_path, 5, shape=(256, 256), cells=Cells(number=40, saturated=0.1))
    assert pictures.max() == 65535
    precision, recall, _ = match(segment(pictures[1]).labels, truth.labels)
    assert min(precision, recall) >= 0.95


def test_haze_is_no_cell() -> None:
    far = np.hypot(Y - 200, X - 330)
    picture = disks((100, 100, 9, 40), (400, 300, 9, 40), (300, 120, 9, 40)) + 20 * np.exp(-((far / 40) ** 2) / 2)
    cells = segment(picture)
    assert np.allclose(cells.centre, [[100, 100], [300, 120], [400, 300]], atol=1)
    assert any("left out as haze" in note for note in cells.notes)


def test_a_long_flat_cell_is_one() -> None:
    long = np.hypot((Y - 250) / 8, (X - 250) / 17) < 1
    picture = disks((100, 100, 10, 40), (400, 300, 10, 40)) + 40 * ndimage.gaussian_filter(long.astype(float), 1.0)
    cells = segment(picture)
    assert len(cells) == 3
    assert cells.area[1] == pytest.approx(long.sum(), rel=0.15)


def test_a_cell_with_a_dark_nucleus_is_one_without_a_hole() -> None:
    far = np.hypot(Y - 250, X - 250)
    picture = disks((100, 100, 12, 40), (400, 300, 12, 40)) + 40 * ndimage.gaussian_filter((far < 14) * 1.0, 1.0)
    cells = segment(picture - 25 * ndimage.gaussian_filter((far < 6) * 1.0, 1.0))
    assert len(cells) == 3
    assert cells.labels[250, 250] == 2
    assert cells.area[1] == pytest.approx(np.pi * 14**2, rel=0.15)


def test_bright_and_dim_cells_are_drawn_alike() -> None:
    cells = segment(disks((100, 100, 10, 400), (250, 250, 10, 40), (400, 400, 10, 20)))
    assert np.ptp(cells.area) < 0.05 * cells.area.mean()


def test_neither_scale_nor_offset_of_the_light_matters(apart: tuple[np.ndarray, Any]) -> None:
    picture = apart[0][1][:256, :256]
    one, other = segment(picture), segment(0.01 * picture - 7)
    assert np.mean(one.labels != other.labels) < 1e-3
    assert one.score == pytest.approx(other.score, abs=1e-3)


def test_cells_at_the_border_are_kept_and_flagged() -> None:
    picture = disks((0, 100, 12, 50), (511, 300, 12, 50), (200, 4, 12, 50), (256, 256, 12, 50), (80, 400, 12, 50))
    cells = segment(picture)
    assert len(cells) == 5
    cut = (cells.centre < 12) | (cells.centre > SIDE - 13)
    assert np.array_equal(cells.border, cut.any(axis=1))
    assert cells.score[cells.border].max() < cells.score[~cells.border].min()


def test_one_cell_fills_the_picture() -> None:
    picture = disks((256, 256, 240, 50), blur=3)
    cells = segment(picture, diameter=480)
    assert len(cells) == 1
    assert cells.area[0] > 0.7 * np.pi * 240**2


def test_a_cell_much_larger_than_the_common_one_earns_a_note() -> None:
    cells = segment(disks((60, 60, 6, 40), (60, 140, 6, 40), (60, 220, 6, 40), (140, 60, 6, 40), (300, 300, 22, 40)))
    assert any("as large as a circle of the common diameter" in note for note in cells.notes)


# Nothing to find

_rng = np.random.default_rng(7)
EMPTY = {
    "constant": np.full((64, 80), 100.0),
    "noise": 100 + _rng.standard_normal((256, 256)),
    "noise smoothed by interpolation": ndimage.gaussian_filter(_rng.standard_normal((256, 256)), 0.7),
    "uneven": 100 + 20 * (X / SIDE) - 30 * (Y / SIDE - 0.4) ** 2 + 0.05 * _rng.standard_normal(X.shape),
    "slope": 100 + X,
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_picture_has_no_cells_and_says_so(kind: str) -> None:
    cells = segment(EMPTY[kind])
    assert len(cells) == 0
    assert cells.labels.shape == EMPTY[kind].shape
    assert not cells.labels.any()
    assert np.isnan(cells.diameter)
    assert "No cell found" in cells.notes[0]


def test_labels_count_from_one_without_gaps(crowded: tuple[np.ndarray, Any]) -> None:
    cells = segment(crowded[0][1])
    assert cells.labels.dtype == np.int32
    assert np.array_equal(np.unique(cells.labels), np.arange(len(cells) + 1))
    assert np.array_equal(np.bincount(cells.labels.ravel())[1:], cells.area)
    assert all(ndimage.label(cells.labels == number)[1] == 1 for number in range(1, 20))


# Channels


def test_anatomy_with_alpha_does_not_see_calcium(tmp_path: Path) -> None:
    answer = (Addition("CM572", concentration=1e-4, start_s=0.0),)
    cells = Cells(number=20)
    pictures = []
    for additions in ((), answer):
        found, _ = recording(tmp_path, 6, frames=30, shape=(200, 200), cells=cells, additions=additions)
        pictures.append(found)
    background = [np.median(picture, axis=(1, 2), keepdims=True) for picture in pictures]
    weights = [noise_of(pictures[0][0]), Fura2().alpha * noise_of(pictures[0][1])]
    rest = anatomy(pictures[0], weights=weights)
    active = pictures[1] - background[1]
    busy = active[0] + Fura2().alpha * active[1]
    bright = rest > 0.3 * rest.max()
    assert np.median(busy[bright] / rest[bright]) == pytest.approx(1.0, abs=0.05)
    alone = active[0][bright] / (pictures[0] - background[0])[0][bright]
    assert np.median(alone) > 1.1


def test_anatomy_is_in_units_of_noise_and_leaves_out_a_dead_channel() -> None:
    rng = np.random.default_rng(1)
    picture = 100 + 3 * rng.standard_normal((100, 100))
    dead = np.full_like(picture, 5.0)
    assert anatomy([picture]).std() == pytest.approx(1.0, rel=0.05)
    assert np.array_equal(anatomy([picture, dead]), anatomy([picture]))
    assert not anatomy([dead]).any()


def test_noise_is_that_of_the_pixels_whatever_the_cells() -> None:
    assert noise_of(disks((100, 100, 9, 40), (300, 300, 40, 400), noise=0.5)) == pytest.approx(0.5, rel=0.05)


# Messages

WRONG = {
    "one dimension": (np.zeros(50), {}, r"one picture of shape \(height, width\), found 1 dimensions"),
    "a movie": (np.zeros((5, 50, 50)), {}, "Give the mean over the frames"),
    "tiny": (np.zeros((10, 50)), {}, "at least 16 × 16 pixels, found 10 × 50"),
    "NaN": (np.where(np.eye(50) > 0, np.nan, 1.0), {}, "found nan in 50 of 2500 .*row 0, column 0.*Cut the edge"),
    "diameter too large": (np.zeros((50, 60)), {"diameter": 51}, "from 4 to 50 pixels.*found 51.*not in µm"),
    "diameter too small": (np.zeros((50, 60)), {"diameter": 2}, "from 4 to 50 pixels.*found 2"),
    "diameter NaN": (np.zeros((50, 60)), {"diameter": np.nan}, "found nan"),
    "significance": (np.zeros((50, 60)), {"significance": 0}, "significance above 0"),
    "outline": (np.zeros((50, 60)), {"outline": 1.0}, "outline between 0 and 1"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_bad_input_is_named(kind: str) -> None:
    image, options, message = WRONG[kind]
    with pytest.raises(RangeError, match=message):
        segment(image, **options)


def test_channels_that_do_not_fit_are_named() -> None:
    with pytest.raises(RangeError, match="one size, found 20 × 30 and 30 × 20"):
        anatomy([np.zeros((20, 30)), np.zeros((30, 20))])
    with pytest.raises(RangeError, match="one size, found none"):
        anatomy([])
    with pytest.raises(RangeError, match="expected 2 weights of 0 or more"):
        anatomy(np.zeros((2, 20, 20)), weights=[1.0, -1.0])
    with pytest.raises(RangeError, match="anatomy, channel 2: expected finite light"):
        anatomy([np.zeros((20, 20)), np.full((20, 20), np.inf)])
