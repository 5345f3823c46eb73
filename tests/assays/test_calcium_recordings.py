"""Recordings that went wrong, through the whole pipeline: a message that says what to do, or a flagged answer."""

import json
import sys
import time
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from halfmax.assays.calcium.camera import Camera
from halfmax.assays.calcium.dish import Settings, analyse_dish
from halfmax.assays.calcium.extract import _Masks, extract
from halfmax.cli import main
from halfmax.errors import StudyError, TableError
from halfmax.movie import Stimulus
from halfmax.readers.movie import open_movie
from halfmax.virtual import Cells, Drift, simulate_movie, small_design

DESIGN = small_design(
    shape=(128, 128), frames=80, cells=Cells(number=20, radius=5.0, margin=4.0), drift=Drift(rms=2.0, smoothness=5.0)
)
CAMERA = Camera(DESIGN.camera.gain, DESIGN.camera.read_noise, DESIGN.camera.offset, DESIGN.camera.full_scale)
ADDED = (Stimulus("CM572", 110.0, concentration=1e-5),)
SETTINGS = Settings(baseline_s=20.0, response_s=20.0, camera=CAMERA)
#: Frames of which pages are spoilt, counted from 0.
SPOILT = (30, 31, 32)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A simulated recording of 20 cells, and its truth."""
    path = tmp_path_factory.mktemp("recording") / "dish.ome.tif"
    return simulate_movie(path, DESIGN, seed=4), open_movie(path)


def spoilt(movie, frames, channels, page):
    """The same recording with other pages in some frames and channels."""
    return replace(movie, page=lambda t, c: page(movie.shape) if t in frames and c in channels else movie.page(t, c))


class Sized(NamedTuple):
    """What masks must know of a recording."""

    shape: tuple[int, int]


def zeros(shape):
    return np.zeros(shape, dtype=np.uint16)


def closed(shape):
    """What a camera writes behind a closed shutter."""
    return np.random.default_rng(1).normal(100.0, 2.4, shape).round().astype(np.uint16)


@pytest.mark.parametrize("page", [zeros, closed])
@pytest.mark.parametrize("channels", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("frames", [SPOILT[:1], SPOILT])
def test_a_dark_page_is_missing_and_named_and_never_a_ratio(recorded, page, channels, frames):
    truth, movie = recorded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dish = analyse_dish(spoilt(movie, frames, channels, page), masks=truth.labels, stimuli=ADDED, settings=SETTINGS)
    missing = np.zeros(movie.frames, dtype=bool)
    missing[list(frames)] = True
    assert np.array_equal(np.isnan(dish.signal), np.broadcast_to(missing, dish.signal.shape))
    for channel in channels:
        said = f"{len(frames)} of 80 pages of {movie.channels[channel]} show no light of the cells"
        assert any(note.startswith(said) and "31" in note for note in dish.notes)
    assert not any("unlike" in note for note in dish.notes)
    assert set(dish.traces.flags) == {""}
    assert np.sqrt(((dish.traces.shift - truth.shifts)[~missing] ** 2).sum(axis=1).mean()) < 0.05


def test_a_recording_without_light_at_its_start_is_followed_all_the_same(recorded):
    truth, movie = recorded
    found, _ = extract(spoilt(movie, (0,), (0, 1), zeros), truth.labels, camera=CAMERA)
    assert np.isnan(found.signal[:, :, 0]).all()
    assert np.isfinite(found.signal[:, :, 1:]).all()
    moved = found.shift[1:] - (truth.shifts[1:] - truth.shifts[1])
    assert np.sqrt((moved**2).sum(axis=1).mean()) < 0.05


def test_frames_out_of_focus_are_said_to_be_unlike(recorded):
    truth, movie = recorded

    def page(frame, channel):
        sharp = movie.page(frame, channel)
        return ndimage.gaussian_filter(sharp, 8.0) if frame in SPOILT else sharp

    found, _ = extract(replace(movie, page=page), truth.labels, camera=CAMERA)
    assert "3 of 80 frames are unlike the first ones (frames 31, 32, 33): out of focus" in found.notes[0]


def test_another_place_is_said_to_be_a_jump(recorded):
    truth, movie = recorded
    turned = replace(movie, page=lambda t, c: movie.page(t, c)[::-1, ::-1] if t >= 60 else movie.page(t, c))
    found, _ = extract(turned, truth.labels, camera=CAMERA)
    assert any("The picture jumps by more than 8 pixels at frame 61" in note for note in found.notes)


def test_light_that_falls_and_stays_low_is_no_dark_page(recorded):
    truth, movie = recorded
    dim = replace(
        movie,
        page=lambda t, c: 100 + (movie.page(t, c) - 100) // 20 if t >= 40 else movie.page(t, c),
    )
    found, _ = extract(dim, truth.labels, camera=CAMERA)
    assert np.isfinite(found.signal).all()


def test_masks_of_another_size_are_refused_by_their_sizes(recorded):
    _, movie = recorded
    with pytest.raises(TableError, match=r"the masks are 64 × 128 pixels, the recording 128 × 128. Draw them on"):
        analyse_dish(movie, masks=np.ones((64, 128), dtype=np.int32), settings=SETTINGS)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (500.0, "within the recording of 158.25 s, found 500 s, after its end"),
        (-5.0, "at or after the first frame, found -5 s"),
    ],
)
def test_a_stimulus_outside_the_recording_is_refused_with_its_name(recorded, start, expected):
    truth, movie = recorded
    with pytest.raises(StudyError, match=f"stimulus CM572: expected a start {expected}"):
        analyse_dish(movie, masks=truth.labels, stimuli=(Stimulus("CM572", start),), settings=SETTINGS)


def command(monkeypatch, capsys, *words):
    """`halfmax movie` in this process: exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["halfmax", "movie", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def test_a_sparse_file_of_16_gb_is_answered_in_seconds(monkeypatch, capsys, tmp_path):
    path = tmp_path / "reserved.tif"
    tifffile.imwrite(path, shape=(4096, 2, 1024, 1024), dtype="uint16", bigtiff=True, metadata={"axes": "TCYX"})
    assert path.stat().st_size > 16e9
    begun = time.monotonic()
    code, out, err = command(monkeypatch, capsys, path, "--interval", "1 s", "-o", tmp_path / "out", "--json")
    assert time.monotonic() - begun < 30
    assert (code, out) == (3, "")
    assert "reserved.tif" in err
    assert "nothing but zeros on 8 pages spread over its 4096 frames" in err
    assert "Export it again" in err
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_masks_and_stimuli_of_another_recording(monkeypatch, capsys, tmp_path, recorded):
    truth, movie = recorded
    (path,) = movie.files
    tifffile.imwrite(tmp_path / "half.tif", truth.labels[:64].astype(np.uint16))
    late = tmp_path / "late.csv"
    late.write_text("name,concentration,unit,start\nCM572,10,µM,900\n", encoding="utf-8")
    for option, message in (
        (("--masks", tmp_path / "half.tif"), "128 × 128"),
        (("--stimuli", late), "found 900 s, after its end"),
    ):
        code, out, err = command(monkeypatch, capsys, path, *option, "-o", tmp_path / "out", "--json")
        assert (code, out) == (3, "")
        assert message in err
        assert not (tmp_path / "out").exists()


def test_the_command_counts_a_dark_page_and_still_answers(monkeypatch, capsys, tmp_path, recorded):
    truth, movie = recorded
    pages = tifffile.imread(movie.files[0]).reshape(movie.frames, 2, *movie.shape)
    pages[30, 1] = 0
    described = {"axes": "TCYX", "Channel": {"Name": ["340", "380"]}, "TimeIncrement": 2.0, "TimeIncrementUnit": "s"}
    tifffile.imwrite(tmp_path / "dark.ome.tif", pages, ome=True, metadata=described)
    tifffile.imwrite(tmp_path / "masks.tif", truth.labels.astype(np.uint16))
    code, out, _ = command(monkeypatch, capsys, tmp_path / "dark.ome.tif", "--masks", tmp_path / "masks.tif", "--json")
    assert code == 0
    assert json.loads(out)["cells"] == 20


def test_few_cells_in_a_corner_are_enough_to_measure_the_camera(tmp_path):
    design = small_design(shape=(256, 256), cells=Cells(number=3, radius=5.0), drift=Drift(rms=1.0))
    truth = simulate_movie(tmp_path / "few.ome.tif", design, seed=1)
    dish = analyse_dish(open_movie(tmp_path / "few.ome.tif"), masks=truth.labels)
    assert dish.camera.gain == pytest.approx(design.camera.gain, rel=0.1)


def test_the_light_of_a_cell_between_pixels_is_exact_for_a_parabola():
    y, x = np.mgrid[:80, :96].astype(float)
    labels = np.zeros((80, 96), dtype=np.int32)
    labels[(y - 40) ** 2 + (x - 50) ** 2 < 45] = 3
    labels[np.hypot(y, x - 20) < 6] = 7
    inside = np.argwhere(labels == 3)

    def surface(down, right):
        return 500 + 2 * down - 3 * right + 0.2 * down**2 - 0.05 * right**2 + 0.03 * down * right

    masks = _Masks.of(labels, Sized((80, 96)))
    for shift in ((0.0, 0.0), (0.3, -0.4), (1.3, 2.7), (-5.5, 0.0)):
        place, weight = masks.moved(np.array(shift))
        found = masks.mean(surface(y, x).ravel().take(place) * weight)
        assert found[0] == pytest.approx(surface(*(inside + shift).T).mean(), rel=1e-6)
    assert masks.inside(np.array([-0.4, 0.2])).tolist() == [True, True]
    assert masks.inside(np.array([-0.6, 0.2])).tolist() == [True, False]
    assert masks.labels.tolist() == [3, 7]
