"""Registration, background and the light of cells, against virtual recordings whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from halfmax.assays.calcium.background import Background, cell_free
from halfmax.assays.calcium.camera import Camera
from halfmax.assays.calcium.extract import extract, picture_of
from halfmax.assays.calcium.motion import Tracker
from halfmax.errors import TableError
from halfmax.movie import Movie
from halfmax.readers.movie import open_movie
from halfmax.virtual.movie import simulate_movie
from halfmax.virtual.movie_design import Background as Haze
from halfmax.virtual.movie_design import Cells, Drift, MovieDesign, small_design

PLACES = ((6, 40), (24, 64), (34, 20), (46, 44), (60, 76), (66, 18), (78, 50))


def movie_of(stack, *, saturated=65535.0):
    """A recording of an array of frames × channels × height × width."""
    frames, channels, *shape = stack.shape
    times = 2.0 * np.arange(frames)[:, None] + 0.25 * np.arange(channels)
    names = ("340", "380")[:channels] if channels == 2 else ("",)
    return Movie(names, times, tuple(shape), stack.dtype, lambda frame, channel: stack[frame, channel], saturated)


def known(design):
    """The camera of a design."""
    one = design.camera
    return Camera(one.gain, one.read_noise, one.offset, one.full_scale)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recording of 192 × 192 pixels and 80 frames with 25 cells, and its truth."""
    path = tmp_path_factory.mktemp("movie") / "dish.ome.tif"
    design = MovieDesign(shape=(192, 192), frames=80, cells=Cells(number=25))
    return simulate_movie(path, design, seed=3), path, design


@pytest.fixture(scope="module")
def seen(recorded):
    truth, path, design = recorded
    return extract(open_movie(path), truth.labels, camera=known(design))[0]


def test_displacement_is_found_to_a_twentieth_of_a_pixel(recorded, seen):
    truth, *_ = recorded
    assert np.abs(truth.shifts).max() > 0.5
    assert np.sqrt(((seen.shift - truth.shifts) ** 2).mean()) < 0.05


def test_a_jump_of_the_stage_is_followed(tmp_path):
    design = replace(small_design(), shape=(128, 128), cells=Cells(number=12), drift=Drift(rms=0.5, jumps=1, jump=9.0))
    truth = simulate_movie(tmp_path / "jump.ome.tif", design, seed=5)
    movie = open_movie(tmp_path / "jump.ome.tif")
    tracker = Tracker(movie)
    found = np.array([tracker.shift([movie.page(k, 0), movie.page(k, 1)])[0] for k in range(movie.frames)])
    assert np.abs(np.diff(truth.shifts, axis=0)).max() > 6
    assert np.abs(found - truth.shifts).max() < 0.1


def test_the_ratio_of_what_is_extracted_is_that_of_the_truth(recorded, seen):
    truth, _, design = recorded
    bleaching = np.moveaxis(np.broadcast_to(truth.bleaching(), (80, 2)), 1, 0)
    ratio = (seen.signal[0] / bleaching[0]) / (seen.signal[1] / bleaching[1])
    dye = design.optics
    calcium = dye.kd * dye.beta * (ratio - dye.rmin) / (dye.rmax - ratio)
    error = np.nanmean(calcium / truth.calcium - 1, axis=1)
    assert np.nanmedian(np.abs(error)) < 0.02


def test_variances_are_those_of_the_noise(seen):
    noise = np.nanvar(np.diff(seen.signal[:, :, :20], axis=2), axis=2) / 2
    ratio = noise / np.nanmean(seen.variance[:, :, :20], axis=2)
    assert 0.8 < np.nanmedian(ratio) < 1.25


def test_the_background_may_be_uneven(tmp_path):
    design = replace(small_design(), shape=(128, 128), background=Haze(unevenness=0.5))
    truth = simulate_movie(tmp_path / "haze.ome.tif", design, seed=2)
    movie = open_movie(tmp_path / "haze.ome.tif")
    page = movie.page(0, 0)
    free = cell_free(truth.labels, margin=6.0)
    background = Background.of(free, page.astype(float))
    terms, variance = background.surface(page)
    places = np.argwhere(free)
    left = page[free] - background.at(terms, places.astype(float))
    assert abs(left.mean()) < 0.3
    assert variance == pytest.approx(left.var(), rel=0.15)
    for part in (places[:, 0] < 40, places[:, 0] > 88, places[:, 1] < 40, places[:, 1] > 88):
        assert abs(left[part].mean()) < 1.0


def test_a_cell_that_leaves_the_picture_is_missing_and_flagged():
    stack = np.full((30, 1, 96, 96), 100, dtype=np.uint16)
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:96, :96]
    for frame in range(30):
        for row, column in PLACES:
            stack[frame, 0] += (400 * np.exp(-((yy - row + frame * 0.2) ** 2 + (xx - column) ** 2) / 18)).astype(
                np.uint16
            )
    stack += rng.integers(0, 5, stack.shape).astype(np.uint16)
    labels = np.zeros((96, 96), dtype=np.int32)
    for name, (row, column) in enumerate(PLACES, start=1):
        labels[(yy - row) ** 2 + (xx - column) ** 2 < 25] = name
    found, _ = extract(movie_of(stack), labels, camera=Camera(1.0, 2.0, 100.0, 65535.0))
    assert found.flags == ("left the picture", *[""] * 6)
    assert np.isnan(found.signal[0, 0, -1])
    assert np.isfinite(found.signal[0, 1:]).all()
    assert np.abs(found.shift[:, 0] + 0.2 * np.arange(30)).max() < 0.1


def test_saturated_pixels_are_counted():
    rng = np.random.default_rng(1)
    stack = rng.integers(90, 110, (12, 1, 64, 64)).astype(np.uint16)
    labels = np.zeros((64, 64), dtype=np.int32)
    labels[20:30, 20:30], labels[40:50, 40:50] = 1, 2
    stack[:, 0, 20:30, 20:30] += 300
    stack[:, 0, 40:50, 40:50] += 300
    stack[6, 0, 22:24, 22:24] = 4095
    found, _ = extract(movie_of(stack, saturated=4095.0), labels, camera=Camera(1.0, 2.0, 0.0, 4095.0))
    assert found.saturated[0, 0, 6] == 4
    assert found.saturated.sum() == 4
    assert found.flags == ("saturated", "")


def test_the_picture_is_sharp_where_frames_drift(recorded):
    truth, path, _ = recorded
    picture = picture_of(open_movie(path)).sum(axis=0)
    inside = picture[truth.labels > 0].mean() - np.median(picture)
    assert inside > 5 * picture[cell_free(truth.labels, margin=8.0)].std()


def test_masks_of_another_size_or_without_cells_are_refused():
    stack = np.zeros((10, 1, 32, 32), dtype=np.uint16) + 100
    camera = Camera(1.0, 1.0, 0.0, 65535.0)
    with pytest.raises(TableError, match="the masks are 16 × 32 pixels, the recording 32 × 32"):
        extract(movie_of(stack), np.zeros((16, 32), dtype=np.int32), camera=camera)
    with pytest.raises(TableError, match="the masks hold no cell"):
        extract(movie_of(stack), np.zeros((32, 32), dtype=np.int32), camera=camera)
    with pytest.raises(TableError, match="nowhere enough to see the background"):
        extract(movie_of(stack), np.ones((32, 32), dtype=np.int32), camera=camera)
