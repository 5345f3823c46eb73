"""Virtual recordings: what is on the pages is what the truth says."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from halfmax.curves import hill
from halfmax.errors import FileError, RangeError
from halfmax.virtual import (
    Addition,
    Background,
    Calcium,
    Camera,
    Cells,
    Drift,
    Fluo,
    Fura2,
    MovieDesign,
    MovieTruth,
    movie,
    simulate_movie,
    small_design,
    write_stimuli,
)
from halfmax.virtual.movie import NOTE, grynkiewicz, light

FINE = Camera(gain=20.0, noise=False)
STILL = Drift(rms=0.0)
DARK = Background(level=(0.0, 0.0))
FLAT = Background(unevenness=0.0)
FEW = Cells(number=6, radius=5.0, radius_sd=0.4, margin=4.0)


def pages(path):
    """The recording as numbers, shape (frames, channels, height, width)."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        data = file.asarray().astype(float)
        return data if file.series[0].axes == "TCYX" else data[:, None]


def recorded(folder, design, *, seed=5):
    truth = simulate_movie(folder / "dish.ome.tif", design, seed=seed)
    return truth, pages(folder / "dish.ome.tif")


def means(truth, data):
    """Mean of each cell's pixels, shape (frames, channels, cells)."""
    return np.stack([data[:, :, truth.labels == cell].mean(axis=2) for cell in range(1, truth.cells + 1)], axis=2)


def cell_light(folder, design, *, seed=5):
    """Mean light of each cell less that of the same dish without light from cells."""
    truth, data = recorded(folder, design, seed=seed)
    _, behind = recorded(folder, replace(design, cells=replace(design.cells, brightness=1e-9)), seed=seed)
    return truth, means(truth, data - behind)


# The file


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path):
    content = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_movie(tmp_path / name, small_design(frames=5), seed=seed)
        content.append((tmp_path / name).read_bytes())
    assert content[0] == content[1] != content[2]


def test_the_file_says_that_it_is_simulated(tmp_path):
    import tifffile

    recorded(tmp_path, small_design(frames=3))
    with tifffile.TiffFile(tmp_path / "dish.ome.tif") as file:
        assert file.is_ome
        assert file.pages[0].tags["Software"].value == NOTE
        assert "<Description>SIMULATED by halfmax" in file.ome_metadata


@pytest.mark.parametrize(("dye", "names"), [("fura2", ["340", "380"]), ("fluo", ["Fluo-8"])])
def test_channels_times_and_pixel_size_stand_in_the_ome_xml(tmp_path, dye, names):
    import tifffile

    truth, _ = recorded(tmp_path, small_design(frames=4, dye=dye, interval=1.5, channel_delay=0.3, pixel_um=0.5))
    with tifffile.TiffFile(tmp_path / "dish.ome.tif") as file:
        root = ElementTree.fromstring(file.ome_metadata)
    space = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    assert [channel.get("Name") for channel in root.iter(f"{space}Channel")] == names
    assert next(root.iter(f"{space}Pixels")).get("PhysicalSizeX") == "0.5"
    times = {(int(p.get("TheT")), int(p.get("TheC"))): float(p.get("DeltaT")) for p in root.iter(f"{space}Plane")}
    assert times == {index: pytest.approx(value) for index, value in np.ndenumerate(truth.time_s)}


def test_the_pages_can_be_read_with_one_plain_read(tmp_path):
    import tifffile

    _, data = recorded(tmp_path, small_design(frames=4))
    with tifffile.TiffFile(tmp_path / "dish.ome.tif") as file:
        start = file.pages[0].dataoffsets[0]
    plain = np.fromfile(tmp_path / "dish.ome.tif", dtype="<u2", offset=start, count=data.size)
    np.testing.assert_array_equal(plain.reshape(data.shape), data)


def test_a_large_recording_becomes_a_bigtiff(tmp_path, monkeypatch):
    import tifffile

    monkeypatch.setattr(movie, "_CLASSIC_LIMIT", 20_000)
    _, data = recorded(tmp_path, small_design(frames=3))
    with tifffile.TiffFile(tmp_path / "dish.ome.tif") as file:
        assert file.is_bigtiff
    assert data.shape == (3, 2, 64, 64)


def test_one_frame_is_a_recording(tmp_path):
    truth = simulate_movie(tmp_path / "one.ome.tif", small_design(frames=1), seed=1)
    np.testing.assert_array_equal(truth.shifts, [[0.0, 0.0]])


def test_an_interrupt_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "dish.ome.tif"
    target.write_bytes(b"old")
    left = iter(range(5))
    whole = movie._exposed

    def interrupted(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(movie, "_exposed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate_movie(target, small_design(), seed=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["dish.ome.tif"]
    assert target.read_bytes() == b"old"


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"nowhere.*cannot be written.*Nothing was written"):
        simulate_movie(tmp_path / "nowhere" / "dish.ome.tif", small_design(frames=2), seed=1)


# Light and calcium


def test_the_light_of_fura2_gives_grynkiewicz_back():
    optics = Fura2()
    calcium = np.geomspace(1e-9, 1e-5, 30)
    f340, f380 = light(calcium, optics)
    back = grynkiewicz(f340 / f380, kd=optics.kd, rmin=optics.rmin, rmax=optics.rmax, beta=optics.beta)
    np.testing.assert_allclose(back, calcium, rtol=1e-9)
    np.testing.assert_allclose(f340 + optics.alpha * f380, f340[0] + optics.alpha * f380[0], rtol=1e-12)
    assert light(0.0, optics).tolist() == [optics.rmin, 1.0]


def test_negative_calcium_is_refused():
    with pytest.raises(RangeError, match="expected calcium of 0 or more"):
        light([-1e-9], Fura2())


def test_uncorrected_bleaching_makes_resting_calcium_look_29_percent_higher_after_20_minutes():
    optics = Fura2()
    f340, f380 = light(100e-9, optics) * np.exp(-1200.0 * np.array(optics.bleach))
    seen = grynkiewicz(f340 / f380, kd=optics.kd, rmin=optics.rmin, rmax=optics.rmax, beta=optics.beta)
    assert float(seen) == pytest.approx(129e-9, rel=0.002)


def test_the_ratio_inside_a_cell_gives_its_calcium(tmp_path):
    truth, seen = cell_light(tmp_path, small_design(camera=FINE, drift=STILL))
    f340, f380 = (seen / truth.bleaching()[:, :, None]).transpose(1, 2, 0)
    found = grynkiewicz(f340 / f380, kd=224e-9, rmin=0.333, rmax=8.0, beta=8.0)
    np.testing.assert_allclose(found, truth.calcium, rtol=1e-3)
    assert truth.calcium.max() > 3e-7
    total = f340 + truth.alpha * f380
    np.testing.assert_allclose(total, np.repeat(total[:, :1], 60, axis=1), rtol=1e-3)


def test_the_light_of_one_wavelength_follows_its_binding_curve(tmp_path):
    dye = Fluo(kd=345e-9, dynamic_range=50.0)
    truth, seen = cell_light(tmp_path, small_design(camera=FINE, drift=STILL, dye=dye))
    relative = (seen / truth.bleaching()[:, :, None])[:, 0].T
    bound = truth.calcium / (truth.calcium + 345e-9)
    expected = 1 + 49 * bound
    np.testing.assert_allclose(relative / relative[:, :1], expected / expected[:, :1], rtol=1e-3)


def test_responders_rise_by_the_dose_and_the_others_stay_flat(tmp_path):
    peaks = []
    for dose in (1e-6, 5.7e-6):
        addition = Addition("CM572", concentration=dose, start_s=40.0, emax=500e-9, plateau=0.3)
        design = small_design(frames=300, interval=1.0, additions=(addition,), calcium=Calcium(responders=0.5))
        truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=3)
        rise = truth.calcium - truth.calcium[:, :1]
        assert truth.responder.sum() == 3
        np.testing.assert_array_equal(rise[~truth.responder], 0.0)
        np.testing.assert_array_equal(rise[:, :40], 0.0)
        peaks.append(rise[truth.responder].max(axis=1))
        assert np.all(rise[truth.responder, -1] < 0.6 * peaks[-1])
        assert np.all(rise[truth.responder, -1] > 0.25 * peaks[-1])
    expected = float(
        hill(5.7e-6, ec50=5.7e-6, hill_slope=1.0, top=1.0) / hill(1e-6, ec50=5.7e-6, hill_slope=1.0, top=1.0)
    )
    np.testing.assert_allclose(peaks[1] / peaks[0], expected, rtol=1e-9)
    assert np.median(peaks[1]) == pytest.approx(250e-9, rel=0.5)


def test_all_cells_answer_to_a_reference_and_none_to_vehicle_or_wash(tmp_path):
    for role, answers in (("reference", True), ("vehicle", False), ("wash", False)):
        addition = Addition(role, role=role, concentration=1e-5, start_s=20.0)
        truth = simulate_movie(tmp_path / "dish.ome.tif", small_design(additions=(addition,)), seed=3)
        rise = truth.calcium.max(axis=1) - truth.calcium[:, 0]
        assert np.all(rise > 1e-8) if answers else np.all(rise == 0)


def test_calcium_returns_once_the_compound_is_washed_away(tmp_path):
    addition = Addition("CB-64D", concentration=3e-5, start_s=40.0, end_s=100.0, plateau=0.8)
    truth = simulate_movie(tmp_path / "dish.ome.tif", small_design(frames=200, additions=(addition,)), seed=3)
    np.testing.assert_allclose(truth.calcium[:, -1], truth.calcium[:, 0], rtol=1e-3)


def test_oscillators_spike_without_any_addition(tmp_path):
    design = small_design(frames=200, additions=(), calcium=Calcium(oscillators=0.5, oscillation=300e-9))
    truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=3)
    swing = np.ptp(truth.calcium, axis=1)
    assert truth.oscillator.sum() == 3
    np.testing.assert_allclose(swing[truth.oscillator], 300e-9, rtol=0.05)
    np.testing.assert_array_equal(swing[~truth.oscillator], 0.0)


def test_an_artefact_of_the_compound_steps_the_same_way_in_both_channels(tmp_path):
    compound = Addition("glowing", role="vehicle", concentration=0.0, start_s=40.0, end_s=80.0, artefact=0.2)
    optics = Fura2(bleach=(0.0, 0.0))
    truth, seen = cell_light(tmp_path, small_design(camera=FINE, drift=STILL, dye=optics, additions=(compound,)))
    step = seen[25] - seen[15]
    assert np.all(step > 0)
    np.testing.assert_allclose(step[0], step[1], rtol=0.01)
    np.testing.assert_allclose(seen[50], seen[15], rtol=1e-3)
    np.testing.assert_array_equal(truth.calcium[:, 25], truth.calcium[:, 15])


# Cells, drift, background, camera


@pytest.mark.parametrize(("number", "tolerance"), [(1, 0.005), (12, 0.01)])
def test_drift_on_the_pages_is_that_of_the_truth(tmp_path, number, tolerance):
    drift = Drift(rms=3.0, smoothness=5.0, jumps=2, jump=1.5)
    design = MovieDesign(
        shape=(128, 128),
        frames=60,
        camera=FINE,
        drift=drift,
        background=DARK,
        additions=(),
        cells=Cells(number=number, radius=6.0, margin=20.0),
    )
    truth, data = recorded(tmp_path, design)
    picture = data[:, 1] - design.camera.offset
    total = picture.sum(axis=(1, 2))
    axis = np.arange(128)
    centroid = np.stack([(picture.sum(axis=2) * axis).sum(axis=1), (picture.sum(axis=1) * axis).sum(axis=1)], axis=1)
    centroid /= total[:, None]
    np.testing.assert_allclose(centroid - centroid[0], truth.shifts, atol=tolerance)
    assert np.abs(truth.shifts).max() > 2


def test_the_walk_has_the_distance_asked_for(tmp_path):
    design = small_design(frames=100, drift=Drift(rms=2.5))
    truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=8)
    assert np.sqrt((truth.shifts**2).sum(axis=1).mean()) == pytest.approx(2.5)
    assert np.abs(np.diff(truth.shifts, axis=0)).max() < 1.0


def test_variance_rises_with_the_mean_by_the_gain(tmp_path):
    camera = Camera(gain=0.5, read_noise=3.0)
    design = small_design(
        frames=300,
        dye=Fura2(bleach=(0.0, 0.0)),
        camera=camera,
        drift=STILL,
        additions=(),
        background=Background(level=(100.0, 100.0), rate=(0.0, 0.0)),
        cells=replace(FEW, brightness=3000.0),
    )
    _, data = recorded(tmp_path, design)
    mean = data.mean(axis=0).ravel() - camera.offset
    variance = data.var(axis=0, ddof=1).ravel()
    slope, level = np.polyfit(mean, variance, 1, w=1 / (mean + 20))
    assert slope == pytest.approx(0.5, rel=0.01)
    assert level == pytest.approx(3.0**2 + 1 / 12, abs=0.5)


def test_noise_does_not_move_the_cells(tmp_path):
    noisy = simulate_movie(tmp_path / "a", small_design(frames=3), seed=4)
    silent = simulate_movie(tmp_path / "b", small_design(frames=3, camera=Camera(noise=False)), seed=4)
    np.testing.assert_array_equal(noisy.labels, silent.labels)
    np.testing.assert_array_equal(noisy.calcium, silent.calcium)


def neighbours(labels):
    """Pairs of cells with pixels side by side."""
    pairs = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        meet = (a != b) & (a > 0) & (b > 0)
        pairs |= {tuple(sorted(pair)) for pair in zip(a[meet].tolist(), b[meet].tolist(), strict=True)}
    return pairs


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_touching_cells_is_the_one_asked_for(tmp_path, share):
    design = MovieDesign(shape=(300, 300), frames=1, cells=Cells(number=40, touching=share))
    truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=2)
    pairs = neighbours(truth.labels)
    assert truth.touching.mean() == share
    assert len(pairs) == 20 * share
    assert {cell for pair in pairs for cell in pair} == set((np.flatnonzero(truth.touching) + 1).tolist())


def test_every_cell_has_its_label_at_its_centre_and_the_area_of_its_outline(tmp_path):
    truth = simulate_movie(tmp_path / "dish.ome.tif", MovieDesign(frames=1), seed=2)
    rows, columns = np.rint(truth.centres).astype(int).T
    np.testing.assert_array_equal(truth.labels[rows, columns], np.arange(1, 201))
    area = np.bincount(truth.labels.ravel())[1:]
    np.testing.assert_allclose(area, np.pi * truth.axes.prod(axis=1), rtol=0.06)
    assert np.sqrt(area.mean() / np.pi) == pytest.approx(9.0, rel=0.05)


def test_background_fades_steps_at_additions_and_is_uneven(tmp_path):
    background = Background(level=(200.0, 400.0), rate=(5e-4, 1e-3), step=0.1, unevenness=0.3)
    design = small_design(camera=FINE, background=background, cells=replace(FEW, brightness=1e-9))
    truth, data = recorded(tmp_path, design)
    level = (data.mean(axis=(2, 3)) - FINE.offset) / FINE.gain
    np.testing.assert_allclose(level, truth.background, rtol=1e-4)
    expected = (
        np.array([200.0, 400.0]) * np.exp(-truth.time_s * np.array([5e-4, 1e-3])) * np.where(truth.time_s < 40, 1, 1.1)
    )
    np.testing.assert_allclose(truth.background, expected)
    spread = np.abs((data[0] - FINE.offset) / FINE.gain - [[[200.0]], [[400.0]]]).max(axis=(1, 2))
    np.testing.assert_allclose(spread, [60.0, 120.0], rtol=0.01)


def test_saturated_cells_reach_the_full_scale_and_no_others_do(tmp_path):
    camera = Camera(full_scale=4095)
    design = small_design(camera=camera, cells=replace(FEW, saturated=0.34), calcium=Calcium(resting_sd=0.0))
    truth, data = recorded(tmp_path, design)
    full = {cell for cell in range(1, 7) if (data[0, :, truth.labels == cell] == 4095).any()}
    assert data.max() == 4095
    assert len(full) == 2
    assert full == set((np.argsort(truth.brightness)[-2:] + 1).tolist())


# Truth, stimuli, messages


@pytest.mark.parametrize("dye", ["fura2", Fluo(kd=300e-9)])
def test_the_truth_comes_back_from_its_file(tmp_path, dye):
    design = small_design(frames=7, dye=dye, additions=(Addition("CM572", concentration=1e-5, end_s=9.0),))
    truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=11)
    truth.save(tmp_path / "truth.npz")
    back = MovieTruth.load(tmp_path / "truth.npz")
    assert (back.design, back.seed) == (design, 11)
    for name in movie._ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(truth, name))
    assert back.labels.dtype == np.int32
    assert np.isnan(back.alpha) == (dye != "fura2")


def test_a_file_that_is_no_truth_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", something=1)
    with pytest.raises(FileError, match=r"other\.npz: expected the truth of a virtual recording"):
        MovieTruth.load(tmp_path / "other.npz")
    with pytest.raises(FileError, match=r"missing\.npz: cannot be read"):
        MovieTruth.load(tmp_path / "missing.npz")


def test_stimuli_are_a_table_that_says_it_is_simulated(tmp_path):
    additions = (
        Addition("vehicle", role="vehicle", concentration=0.0, start_s=20.0),
        Addition("CM572", concentration=7.6e-6, start_s=40.0, end_s=90.5),
        Addition("HBSS", role="wash", start_s=90.5),
    )
    write_stimuli(tmp_path / "stimuli.csv", small_design(additions=additions))
    assert (tmp_path / "stimuli.csv").read_text(encoding="utf-8").splitlines() == [
        "# SIMULATED by halfmax",
        "name,role,concentration,unit,start,end",
        "vehicle,vehicle,0,µM,20,",
        "CM572,sample,7.6,µM,40,90.5",
        "HBSS,wash,,,90.5,",
    ]


def test_more_cells_than_fit_are_refused(tmp_path):
    with pytest.raises(RangeError, match=r"room for 60 cells in 64 × 64 pixels, found it for \d+ after .* fewer"):
        simulate_movie(tmp_path / "dish.ome.tif", small_design(cells=replace(FEW, number=60)), seed=1)
    with pytest.raises(RangeError, match="found it for 0"):
        simulate_movie(tmp_path / "dish.ome.tif", small_design(cells=replace(FEW, margin=40.0)), seed=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Camera(gain=-0.1), "camera: gain: expected a number above 0, found -0.1"),
        (lambda: Camera(full_scale=70000), "camera: full_scale: expected a whole number above the offset"),
        (lambda: Camera(read_noise=float("nan")), "camera: read_noise: expected a number of 0 or more, found nan"),
        (lambda: MovieDesign(dye="fura-2"), 'dye: expected one of fura2, fluo, found "fura-2". Did you mean "fura2"?'),
        (lambda: MovieDesign(frames=0), "frames: expected a whole number from 1, found 0"),
        (lambda: MovieDesign(frames=2.5), "frames: expected a whole number from 1, found 2.5"),
        (lambda: MovieDesign(shape=(8, 64)), "shape: expected height and width of at least 16 pixels"),
        (lambda: MovieDesign(interval=0.2), "channel_delay: expected all channels within 0.2 s"),
        (lambda: MovieDesign(background=Background(level=(1.0,))), "background: level: expected 2 values"),
        (lambda: Fura2(rmax=0.2), "fura2: rmax: expected above rmin (0.333), found 0.2"),
        (lambda: Fura2(beta=1.0), "fura2: beta: expected a number above 1"),
        (lambda: Fura2(bleach=(1e-4,)), "fura2: bleach: expected 2 rate(s)"),
        (lambda: Fluo(dynamic_range=1.0), "fluo: dynamic_range"),
        (lambda: Cells(touching=1.5), "cells: touching: expected a share between 0 and 1, found 1.5"),
        (lambda: Cells(number=0), "cells: number: expected a whole number from 1, found 0"),
        (lambda: Calcium(responders=-0.1), "calcium: responders: expected a share"),
        (
            lambda: Addition("x", role="sampel"),
            'role: expected one of sample, vehicle, reference, wash, found "sampel"',
        ),
        (lambda: Addition("x", start_s=5.0, end_s=5.0), "end_s: expected a time after the start (5.0 s)"),
        (lambda: Addition("x", concentration=-1.0), "concentration: expected 0 or more M"),
        (lambda: Drift(rms=-1.0), "drift: rms: expected a number of 0 or more"),
        (lambda: Drift(jumps=-1), "drift: jumps: expected a whole number from 0"),
        (lambda: Background(step=-1.0), "background: step: expected a number above -1"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(RangeError, match=re.escape(message)):
        make()
