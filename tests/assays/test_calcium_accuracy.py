"""Recordings whose truth is known, through the whole pipeline: how far calcium, peaks, movement and cells are off.

All recordings are simulated. The large ones are those of `MovieDesign`: 600 frames, two channels, 512 × 512 pixels,
200 cells, drift, channels that bleach unequally. Nothing is told of who responds.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from halfmax.assays.calcium.calibration import Calibration
from halfmax.assays.calcium.camera import Camera
from halfmax.assays.calcium.dish import Settings, analyse_dish
from halfmax.assays.calcium.segment import anatomy
from halfmax.movie import Stimulus
from halfmax.readers.movie import open_movie
from halfmax.virtual import Addition, Background, Calcium, Cells, Drift, Fluo, MovieDesign, simulate_movie
from halfmax.virtual import Camera as Sensor
from halfmax.virtual.movie import light

#: Frames whose mean is looked at.
MEAN = 50


class Analysed(NamedTuple):
    """A dish, the truth behind it, and which true cell each of its cells is."""

    dish: object
    truth: object
    found: np.ndarray
    true: np.ndarray


def analysed(path, truth, *, masks):
    """The dish of a recording, with its true calibration and camera."""
    design, dye = truth.design, truth.design.optics
    calibration = None if isinstance(dye, Fluo) else Calibration(dye.kd, dye.rmin, dye.rmax, dye.beta)
    one = design.camera
    settings = Settings(
        camera=Camera(one.gain, one.read_noise, one.offset, one.full_scale), calibration=calibration,
        baseline_s=min(60.0, design.additions[0].start_s), response_s=60.0,
    )  # fmt: skip
    stimuli = [Stimulus(a.name, a.start_s, a.concentration, a.end_s, a.role) for a in design.additions]
    dish = analyse_dish(open_movie(path), masks=truth.labels if masks else None, stimuli=stimuli, settings=settings)
    if masks:
        return Analysed(dish, truth, np.arange(truth.cells), np.arange(truth.cells))
    shared = overlap(dish.labels, truth.labels)
    found = np.flatnonzero(shared.max(axis=1) > 0.5)
    return Analysed(dish, truth, found, shared[found].argmax(axis=1))


def overlap(labels, truth):
    """Intersection over union of each found cell with each true one."""
    found, true = int(labels.max()), int(truth.max())
    both = np.bincount((labels.astype(np.int64) * (true + 1) + truth).ravel(), minlength=(found + 1) * (true + 1))
    both = both.reshape(found + 1, true + 1)
    shared = both[1:, 1:]
    return shared / (both[1:].sum(axis=1)[:, None] + both[:, 1:].sum(axis=0) - shared)


def f1(labels, truth):
    """F1 of cells that share more than half of their union with a true one."""
    hits = int((overlap(labels, truth) > 0.5).sum())
    return 2 * hits / (int(labels.max()) + int(truth.max()))


def plain_watershed(picture, distance):
    """The recipe of scikit-image's gallery, told how far cells lie apart."""
    bright = picture > threshold_otsu(picture)
    depth = ndimage.distance_transform_edt(bright)
    markers = np.zeros(picture.shape, dtype=np.int32)
    peaks = peak_local_max(depth, labels=bright.astype(np.int32), min_distance=distance)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-depth, markers, mask=bright)


def calcium_error(one, frames):
    """Relative error of each cell's calcium, from its mean ratio over some frames."""
    mean = np.nanmean(one.dish.signal[one.found][:, frames], axis=1)
    return one.dish.calibration.concentration(mean) / one.truth.calcium[one.true][:, frames].mean(axis=1) - 1


def frame_error(one, frames):
    """Relative error of calcium in each cell and frame."""
    found = one.dish.calibration.concentration(one.dish.signal[one.found][:, frames])
    return found / one.truth.calcium[one.true][:, frames] - 1


def peak_error(one):
    """Relative error of the peak of calcium of the cells that truly respond to the last addition."""
    response = one.dish.responses[-1]
    inside = response.response.inside(one.truth.time_s[:, 0])
    who = one.truth.responder[one.true]
    highest = one.truth.calcium[one.true][who][:, inside].max(axis=1)
    return response.peak[one.found][who] / highest - 1


def displacement_rms(one):
    """Root mean square distance of the displacements from the true ones, pixels."""
    return float(np.sqrt(((one.dish.traces.shift - one.truth.shifts) ** 2).sum(axis=1).mean()))


def middle(error):
    """Median size of an error."""
    return float(np.nanmedian(np.abs(error)))


# The large recording


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """The recording of `MovieDesign`, with the true masks and with cells that were searched for."""
    path = tmp_path_factory.mktemp("large") / "dish.ome.tif"
    truth = simulate_movie(path, MovieDesign(), seed=1)
    yield {masks: analysed(path, truth, masks=masks) for masks in (True, False)}
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("masks", [True, False])
def test_calcium_of_a_large_recording_at_baseline_and_after_1100_s(large, masks):
    one = large[masks]
    for frames, limit in ((np.arange(5, 5 + MEAN), 0.02), (np.arange(600 - MEAN, 600), 0.03)):
        assert middle(calcium_error(one, frames)) < limit / 5
        assert middle(frame_error(one, frames)) < limit / 2
        assert abs(np.nanmedian(calcium_error(one, frames))) < limit / 5
    assert one.truth.time_s[600 - MEAN, 0] == 1100.0
    assert one.dish.rates.method == "quiet cells"


@pytest.mark.slow
@pytest.mark.parametrize("masks", [True, False])
def test_peaks_of_a_large_recording(large, masks):
    error = peak_error(large[masks])
    assert middle(error) < 0.02
    assert np.nanquantile(np.abs(error), 0.95) < 0.05


@pytest.mark.slow
def test_movement_of_a_large_recording(large):
    one = large[True]
    assert np.abs(one.truth.shifts).max() > 3
    assert displacement_rms(one) < 0.05
    assert displacement_rms(one) < 0.02


@pytest.mark.slow
def test_bleaching_of_a_large_recording_is_that_of_the_design(large):
    one = large[True]
    assert one.dish.rates.rate == pytest.approx(one.truth.design.optics.bleach, rel=0.01)


@pytest.mark.slow
def test_separated_cells_are_found(large):
    one = large[False]
    assert np.unique(one.true).size >= 0.98 * one.truth.cells
    assert one.found.size >= 0.98 * one.dish.cells


@pytest.mark.slow
def test_touching_cells_are_told_apart_better_than_by_the_plain_watershed(tmp_path):
    path = tmp_path / "touching.ome.tif"
    truth = simulate_movie(path, MovieDesign(cells=Cells(touching=0.3)), seed=1)
    one = analysed(path, truth, masks=False)
    path.unlink()
    ours = f1(one.dish.labels, truth.labels)
    theirs = f1(plain_watershed(anatomy(one.dish.picture), round(truth.design.cells.radius)), truth.labels)
    assert truth.touching.mean() == pytest.approx(0.3, abs=0.01)
    assert ours >= 0.98
    assert ours > theirs
    assert middle(calcium_error(one, np.arange(550, 600))) < 0.03


# Harder recordings, smaller

BASE = MovieDesign(
    shape=(320, 320), frames=250, cells=Cells(number=70),
    additions=(
        Addition("vehicle", role="vehicle", concentration=0.0, start_s=100.0),
        Addition("CM572", concentration=10e-6, start_s=200.0),
    ),
)  # fmt: skip
ADDED = BASE.additions


def harder(tmp_path, **changes):
    """A smaller recording that is harder in one way, analysed with the true masks."""
    path = tmp_path / "dish.ome.tif"
    return analysed(path, simulate_movie(path, replace(BASE, **changes), seed=2), masks=True)


@pytest.mark.parametrize(
    ("changes", "first", "last", "moved"),
    [
        ({}, 0.005, 0.005, 0.02),
        ({"background": Background(unevenness=0.5)}, 0.005, 0.005, 0.02),
        ({"background": Background(unevenness=0.9, step=0.2)}, 0.01, 0.01, 0.02),
        ({"drift": Drift(rms=8.0)}, 0.005, 0.005, 0.02),
        ({"drift": Drift(rms=6.0, jumps=3, jump=12.0)}, 0.005, 0.005, 0.02),
        ({"cells": Cells(number=70, brightness=100.0)}, 0.02, 0.03, 0.1),
        ({"calcium": Calcium(responders=1.0)}, 0.005, 0.03, 0.02),
        ({"calcium": Calcium(oscillators=0.5)}, 0.02, 0.03, 0.02),
    ],
    ids=["ordinary", "uneven", "very uneven", "drift", "jumps", "dim", "all respond", "oscillating"],
)
def test_harder_recordings(tmp_path, changes, first, last, moved):
    one = harder(tmp_path, **changes)
    assert middle(calcium_error(one, np.arange(MEAN))) < first
    assert middle(calcium_error(one, np.arange(250 - MEAN, 250))) < last
    assert displacement_rms(one) < moved


def test_the_light_of_a_dye_of_one_channel_is_relative_to_its_baseline(tmp_path):
    one = harder(tmp_path, dye="fluo")
    truth = light(one.truth.calcium, Fluo())[0]
    before = one.truth.time_s[:, 0] < ADDED[0].start_s
    change = truth / truth[:, before].mean(axis=1, keepdims=True)
    error = np.nanmean((one.dish.signal + 1) / change - 1, axis=1)
    assert one.dish.unit == "ΔF/F0"
    assert middle(error) < 0.005
    assert one.dish.rates.rate == pytest.approx((1.5e-4,), rel=0.05)


def test_light_of_the_compound_is_found_although_cells_respond_to_it(tmp_path):
    one = harder(tmp_path, additions=(ADDED[0], replace(ADDED[1], artefact=0.05)))
    vehicle, sample = one.dish.responses
    assert not vehicle.artefact.dish_flagged
    assert sample.artefact.dish_flagged
    assert 0.03 < sample.artefact.dish_size < 0.15


def test_without_light_of_the_compound_none_is_found(tmp_path):
    assert not any(r.artefact.dish_flagged for r in harder(tmp_path).dish.responses)


def test_saturated_cells_are_flagged_and_the_others_are_right(tmp_path):
    one = harder(tmp_path, cells=Cells(number=70, saturated=0.1), camera=Sensor(full_scale=4095))
    flagged = np.array([flag == "saturated" for flag in one.dish.traces.flags])
    assert flagged.sum() == 7
    assert np.nanquantile(np.abs(calcium_error(one, np.arange(MEAN)))[~flagged], 0.95) < 0.02
