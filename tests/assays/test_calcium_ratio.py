"""From light to concentration: camera, bleaching, ratios and their checks, calibration."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage, stats

from halfmax.assays.calcium.bleach import bleach_rates, corrected
from halfmax.assays.calcium.calibration import (
    ABOVE,
    BELOW,
    MISSING,
    OK,
    Calibration,
    calcium,
    calcium_from_fluo,
    calibrate_from,
)
from halfmax.assays.calcium.camera import Camera, measure_camera
from halfmax.assays.calcium.ratio import (
    Alpha,
    compound_artefact,
    estimate_alpha,
    ratio,
    relative_change,
    saturation,
    sum_shift,
)
from halfmax.assays.calcium.traces import Traces
from halfmax.assays.calcium.windows import Window
from halfmax.errors import FitError, RangeError

FURA = {"kd": 224e-9, "rmin": 0.333, "rmax": 8.0, "beta": 8.0}
ISSUE = Calibration(**FURA, kd_se=0.2, rmin_se=0.05, rmax_se=0.1, beta_se=0.1)
RATES = (1.0e-4, 2.154e-4)
#: The camera of fura2_ccd, as published for it: 0.146 ADU per electron, and 16.4 electrons of read noise.
CCD = Camera(gain=0.146, read_noise=0.146 * 16.4)
#: The calibration published with fura2_ccd: constants, and standard errors (µM for kd and keff).
PUBLISHED = {"rmin": (0.136, 0.00363), "rmax": (2.701, 0.151), "keff": (3.637, 0.729), "kd": (0.583, 0.123)}


def lights(concentration, kd=224e-9, rmin=0.333, rmax=8.0, beta=8.0):
    """Light at 340 and 380 nm, relative to that at 380 nm without calcium."""
    bound = concentration / (concentration + kd)
    return np.stack([rmin * (1 - bound) + rmax / beta * bound, (1 - bound) + bound / beta])


def traces_of(signal, variance, every=2.0, saturated=None):
    channels, cells, frames = signal.shape
    time = np.arange(frames) * every
    return Traces(
        signal=signal,
        variance=variance,
        background=np.zeros((channels, frames)),
        time_s=np.stack([time] * channels, axis=1),
        labels=np.arange(1, cells + 1),
        area=np.full(cells, 150.0),
        centre=np.zeros((cells, 2)),
        saturated=np.zeros(signal.shape, dtype=np.int64) if saturated is None else saturated,
        shift=np.zeros((frames, 2)),
        channels=("340", "380")[:channels],
        simulated=True,
    )


def dish(seed, *, share, cells=200, frames=600, every=2.0, start_s=100.0, electrons=900.0, rates=RATES, **more):
    """A simulated dish of Fura-2: plateaus of very different heights, unequal bleaching, noise of the camera.

    `more`: `flicker` (SD of the lamp, of each channel for itself), `wander` (SD of a cell's own slow noise), `bright`
    (light of the compound added to both channels, relative to the cell's light at 380 nm), `plateau`.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(frames) * every
    rest = 100e-9 * np.exp(rng.normal(0, 0.25, cells))
    responds = rng.random(cells) < share
    height = more.get("plateau", 3.0) * rest * np.exp(rng.normal(0, 0.8, cells)) * responds
    since = np.maximum(time - start_s, 0.0)
    course = (1 - np.exp(-since / 10)) * (0.5 + 0.5 * np.exp(-since / 60)) * (time >= start_s)
    concentration = rest[:, None] + height[:, None] * course
    own = electrons * CCD.gain * np.exp(rng.normal(0, 0.4, cells))[:, None]
    lamp = np.exp(more.get("flicker", 0.0) * rng.normal(0, 1, (2, 1, frames)))
    wander = ndimage.uniform_filter1d(rng.normal(0, 1, (2, cells, frames)), 5, axis=2) * np.sqrt(5)
    light = lights(concentration) + more.get("bright", 0.0) * (time >= start_s)
    light = light * own * lamp * np.exp(more.get("wander", 0.0) * wander)
    light = light * np.exp(-np.array(rates)[:, None] * time)[:, None, :]
    variance = (CCD.variance(light) + CCD.variance(20.0)) / 150
    return (
        traces_of(light + rng.normal(0, 1, light.shape) * np.sqrt(variance), variance, every),
        concentration,
        responds,
    )


# Camera


def test_the_variance_of_a_pixel_is_gain_times_light_and_read_noise():
    rng = np.random.default_rng(1)
    camera = Camera(gain=0.46, read_noise=2.0, offset=100.0)
    for electrons in (0, 30, 3000):
        written = 100 + 0.46 * rng.poisson(electrons, 200_000) + rng.normal(0, 2.0, 200_000)
        assert written.var() == pytest.approx(camera.variance(0.46 * electrons), rel=0.02)


def recording(seed, *, frames=64):
    """A simulated recording that bleaches, flickers, trembles by 0.1 px, and of which a part responds."""
    rng = np.random.default_rng(seed)
    field = np.clip(50 + ndimage.gaussian_filter(np.random.default_rng(9).normal(0, 1, (96, 96)), 5) * 8000, 20, None)
    pages = []
    for frame in range(frames):
        light = ndimage.shift(field, rng.normal(0, 0.1, 2), order=1, mode="nearest")
        light = light * (1 - 0.003 * frame) * (1 + rng.normal(0, 0.003))
        light = light * np.where(field > 150, 1.3 if frame > 30 else 1.0, 1.0)
        pages.append(100 + np.round(0.46 * rng.poisson(light) + rng.normal(0, 2.0, field.shape)))
    return np.array(pages)


def test_gain_and_read_noise_are_found_under_bleaching_flicker_trembling_and_responses():
    found = [measure_camera(recording(seed), offset=100) for seed in range(4)]
    assert np.mean([fit.camera.gain for fit in found]) == pytest.approx(0.46, rel=0.015)
    # Rounding to whole numbers adds 1/12.
    assert np.mean([fit.read_variance for fit in found]) == pytest.approx(4 + 1 / 12, rel=0.04)


def test_the_errors_of_gain_and_read_noise_are_those_of_repeats():
    light = np.geomspace(20, 3000, 48 * 48).reshape(48, 48)
    fits = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fits.append(measure_camera(0.5 * rng.poisson(light, (24, 48, 48)) + rng.normal(0, 3, (24, 48, 48))))
    gains, reads = np.array([f.camera.gain for f in fits]), np.array([f.read_variance for f in fits])
    assert np.mean([f.gain_se for f in fits]) == pytest.approx(gains.std(ddof=1), rel=0.3)
    assert np.mean([f.read_variance_se for f in fits]) == pytest.approx(reads.std(ddof=1), rel=0.3)
    assert gains.mean() == pytest.approx(0.5, abs=4 * gains.std() / np.sqrt(60))
    assert reads.mean() == pytest.approx(9.0, abs=4 * reads.std() / np.sqrt(60))


def test_the_offset_moves_the_read_noise_but_not_the_gain():
    pages = recording(0)
    known, unknown = measure_camera(pages, offset=100), measure_camera(pages)
    assert unknown.camera.gain == pytest.approx(known.camera.gain, rel=1e-6)
    assert unknown.read_variance == pytest.approx(known.read_variance - 100 * known.camera.gain, rel=1e-6)
    assert unknown.camera.read_noise == 0
    assert np.isnan(unknown.read_noise_se)
    assert "not told from 0" in unknown.notes[-1]


def test_a_real_ccd_has_the_published_gain_and_read_noise(data):
    """The constants are 0.146 ADU per electron and 16.4 electrons.

    The packages that come with the recording stabilise variance by ``sqrt(adu + G s²)`` (CalciOMatic) and
    ``2 sqrt(adu/G + s²)`` (DynClust): so ``var(adu) = G adu + G² s²``, and 16.4² are electrons², 5.73 ADU².
    Taken as ADU² it would be 269, more than the whole variance of the darkest pixels (about 175).
    """
    pages = tifffile.imread(data / "calcium/fura2_ccd/adu340_4small_TYX.tif")
    assert pages.shape == (128, 50, 50)
    fit = measure_camera(pages)
    assert fit.camera.gain == pytest.approx(0.146, abs=2 * fit.gain_se)
    assert fit.gain_se < 0.03 * fit.camera.gain
    assert fit.read_variance == pytest.approx(CCD.read_noise**2, abs=2 * fit.read_variance_se)
    for part in np.array_split(np.argsort(fit.mean), 6):
        assert fit.variance[part].mean() == pytest.approx(CCD.variance(fit.mean[part]).mean(), rel=0.04)
    assert np.median(fit.variance[np.argsort(fit.mean)[:50]]) < 16.4**2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pages": np.ones((3, 20, 20))}, RangeError, "at least 8 frames.*found the shape"),
        ({"pages": np.ones((20, 20, 20))}, FitError, "no line of variance against mean"),
        ({"pages": recording(0, frames=10), "saturated": 101.0}, FitError, "pixels below saturation"),
        (
            {"pages": np.arange(900.0).reshape(30, 30) + np.random.default_rng(1).normal(0, 1, (20, 30, 30))},
            FitError,
            "does not grow with the light",
        ),
    ],
)
def test_a_recording_that_shows_no_camera_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        measure_camera(**change)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gain": 0.0, "read_noise": 1.0}, "gain must be above 0"),
        ({"gain": 1.0, "read_noise": -1.0}, "read noise must be 0 ADU or more"),
        ({"gain": 1.0, "read_noise": 1.0, "offset": 100.0, "saturated": 50.0}, "must lie above the offset"),
    ],
)
def test_an_impossible_camera_is_refused(fields, message):
    with pytest.raises(RangeError, match=message):
        Camera(**fields)


# Bleaching


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("electrons", [100.0, 900.0])
def test_the_choice_of_quiet_cells_does_not_bend_the_rate(share, electrons):
    found = [bleach_rates(dish(seed, share=share, electrons=electrons)[0], Window(0, 100)) for seed in range(8)]
    assert {rates.method for rates in found} == {"quiet cells"}
    off = 1100 * (np.array([rates.rate for rates in found]) - RATES)
    assert np.abs(off.mean(axis=0)).max() < 0.0003
    assert np.abs(off).max() < 0.003
    assert np.abs(off[:, 0] - off[:, 1]).max() < 0.003


def test_slow_noise_of_the_cells_does_not_make_them_responders():
    for seed in range(4):
        traces, _, responds = dish(seed, share=0.6, wander=0.01)
        rates = bleach_rates(traces, Window(0, 100))
        assert rates.method == "quiet cells"
        assert (rates.cells & ~responds).sum() > 0.5 * (~responds).sum()
        assert np.abs(1100 * (rates.rate - RATES)).max() < 0.003


def test_with_a_third_to_all_cells_responding_calcium_after_twenty_minutes_is_right():
    for share, limit in ((0.3, 0.01), (0.6, 0.01), (1.0, 0.03)):
        traces, truth, _ = dish(3, share=share)
        raw, mended = (ratio(each) for each in (traces, corrected(traces, bleach_rates(traces, Window(0, 100)))))
        late = np.s_[:, -50:]
        known = Calibration(**FURA)
        error = [np.nanmedian(known.concentration(r.value)[late] / truth[late]) - 1 for r in (raw, mended)]
        assert error[0] > 0.15
        assert abs(error[1]) < limit


def test_where_all_cells_respond_the_baselines_are_carried_on_and_the_intervals_cover():
    inside = []
    for seed in range(40):
        rates = bleach_rates(
            dish(seed, share=1.0, frames=300, every=4.0, flicker=0.002 * (seed % 2))[0], Window(0, 100)
        )
        assert rates.method == "baseline"
        assert "keep to a straight line to the end" in rates.notes[0]
        low, high = rates.interval()
        inside += ((low <= RATES) & (high >= RATES)).tolist()
    assert stats.binom.cdf(np.sum(inside), 80, 0.95) > 0.001


def test_intervals_of_the_rate_from_quiet_cells_cover():
    inside = []
    for seed in range(40):
        traces = dish(seed, share=0.5, cells=80, frames=200, every=6.0, flicker=0.002 * (seed % 2))[0]
        low, high = bleach_rates(traces, Window(0, 100)).interval()
        inside.append((low <= RATES) & (high >= RATES))
    assert stats.binom.cdf(np.sum(inside), 80, 0.95) > 0.001


def test_one_channel_is_corrected_from_its_own_quiet_cells():
    traces, _, _ = dish(5, share=0.5)
    one = traces_of(traces.signal[:1], traces.variance[:1])
    rates = bleach_rates(one, Window(0, 100))
    assert rates.method == "quiet cells"
    assert 1100 * rates.rate[0] == pytest.approx(1100 * RATES[0], abs=0.003)


def test_named_cells_are_taken_as_they_are_and_light_that_grows_has_a_negative_rate():
    traces, _, responds = dish(2, share=0.5, rates=(-1e-5, 0.0))
    rates = bleach_rates(traces, Window(0, 100), cells=~responds)
    assert rates.method == "named cells"
    assert rates.cells.tolist() == (~responds).tolist()
    assert rates.rate[0] == pytest.approx(-1e-5, abs=5e-7)
    assert "cells that were named" in rates.text()


def test_correction_undoes_bleaching_and_scales_the_variance_and_leaves_gaps():
    traces, _, _ = dish(1, share=0.2)
    traces.signal[:, 3, 40:] = np.nan
    rates = bleach_rates(traces, Window(0, 100))
    mended = corrected(traces, rates)
    gain = np.exp(rates.rate * 1198)
    assert mended.signal[:, 0, -1] == pytest.approx(traces.signal[:, 0, -1] * gain)
    assert mended.variance[:, 0, -1] == pytest.approx(traces.variance[:, 0, -1] * gain**2)
    assert np.isnan(mended.signal[:, 3, 40:]).all()
    assert rates.ratio_error(0.0) == 0
    assert rates.ratio_error(1100.0) < 0.001
    assert "corrected log-linearly" in mended.notes[0]


def test_two_rates_of_bleaching_are_noted_where_the_quiet_cells_share_them():
    traces, _, _ = dish(1, share=0.0)
    bent = 0.1 * np.exp(-np.arange(600) / 60)
    bleaching = traces_of(traces.signal * np.exp(bent), traces.variance)
    rates = bleach_rates(bleaching, Window(0, 100))
    assert any("no straight line in the logarithm explains" in note for note in rates.notes)


def test_bleaching_is_not_measured_without_a_baseline_or_light():
    traces, _, _ = dish(1, share=0.2, frames=60)
    with pytest.raises(RangeError, match=r"2 frames lie in the baseline \(0 to 4 s\).*at least 5"):
        bleach_rates(traces, Window(0, 4))
    with pytest.raises(RangeError, match="no cell has light"):
        bleach_rates(traces_of(-traces.signal, traces.variance), Window(0, 100))
    with pytest.raises(RangeError, match="2 rates of bleaching for 1 channels"):
        corrected(traces_of(traces.signal[:1], traces.variance[:1]), bleach_rates(traces, Window(0, 80)))


# Ratio and relative change


def test_the_variance_of_a_ratio_is_that_of_repeats():
    rng = np.random.default_rng(1)
    light = np.broadcast_to(np.array([60.0, 100.0])[:, None, None], (2, 40, 500))
    variance = np.broadcast_to(np.array([9.0, 16.0])[:, None, None], light.shape)
    found = ratio(traces_of(light + rng.normal(0, 1, light.shape) * np.sqrt(variance), variance))
    assert found.value.var() == pytest.approx(np.median(found.variance), rel=0.03)
    assert np.log(found.value).var() == pytest.approx(np.median(found.log_variance), rel=0.03)


def test_the_ratio_of_means_is_right_where_the_mean_of_pixel_ratios_is_not():
    rng = np.random.default_rng(1)
    pixels = rng.poisson(10, (2, 2000, 150)) + rng.normal(0, 1, (2, 2000, 150))
    means = ratio(traces_of(pixels.mean(axis=2)[:, :, None], np.full((2, 2000, 1), 11 / 150)))
    below = np.where(np.abs(pixels[1]) > 1, pixels[1], np.nan)
    assert np.nanmean(pixels[0] / below) > 1.1
    assert means.value.mean() == pytest.approx(1.0, abs=0.01)


def test_channels_are_named_dark_cells_are_missing_and_saturation_is_flagged():
    signal = np.full((2, 3, 4), 10.0)
    signal[1, 0] = 1.0
    signal[0, 1, 2] = np.nan
    full = np.zeros(signal.shape, dtype=np.int64)
    full[0, 2, 1] = 3
    traces = traces_of(signal, np.ones(signal.shape), saturated=full)
    found = ratio(traces, "340", "380")
    assert np.isnan(found.value[0]).all()
    assert found.dark.sum() == 4
    assert np.isnan(found.value[1]).tolist() == [False, False, True, False]
    assert np.argwhere(found.saturated).tolist() == [[2, 1]]
    assert saturation(traces)[1] == ("", "", "saturated")
    with pytest.raises(RangeError, match="no channel '360'; found 340, 380"):
        ratio(traces, "360")


def test_relative_change_has_the_error_of_its_baseline():
    rng = np.random.default_rng(2)
    light = 100 * np.where(np.arange(60) < 10, 1.0, 2.0) + rng.normal(0, 3, (4000, 60))
    change = relative_change(light, np.full(light.shape, 9.0), np.arange(60.0), Window(0, 10))
    for frame in (3, 30):
        assert change.value[:, frame].std() == pytest.approx(np.sqrt(change.variance[:, frame].mean()), rel=0.08)
    assert change.value[:, 30:].mean() == pytest.approx(1.0, abs=0.002)
    steady = relative_change(light, np.full(light.shape, 0.01), np.arange(60.0), Window(0, 10))
    assert np.median(steady.base_variance) == pytest.approx(0.9, rel=0.1)
    with pytest.raises(RangeError, match="so there is no F0"):
        relative_change(light, light, np.arange(60.0), Window(70, 80))


def test_a_cell_without_light_before_the_stimulus_has_no_relative_change():
    change = relative_change([[0.1, -0.1, 5.0], [9.0, 9.0, 18.0]], np.ones((2, 3)), [0.0, 1.0, 2.0], Window(0, 2))
    assert np.isnan(change.value[0]).all()
    assert change.value[1, 2] == pytest.approx(1.0)


# The two checks


BEFORE, AFTER = Window(60, 100), Window(130, 170)


def test_alpha_is_that_of_the_calibration_and_its_error_that_of_repeats():
    found = [estimate_alpha(dish(seed, share=0.7, rates=(0, 0), frames=100)[0], BEFORE, AFTER) for seed in range(40)]
    values = np.array([alpha.value for alpha in found])
    assert values.mean() == pytest.approx(Calibration(**FURA).alpha, rel=0.003)
    assert np.mean([alpha.se for alpha in found]) == pytest.approx(values.std(ddof=1), rel=0.4)


def test_the_sum_does_not_move_with_calcium_and_moves_with_light_lost():
    known = Calibration(**FURA)
    alpha = Alpha(known.alpha, 0.02 * known.alpha, 50)
    traces, _, _ = dish(4, share=0.8, rates=(0, 0), frames=100)
    still = sum_shift(traces, alpha, BEFORE, AFTER)
    assert not still.dish_moved
    assert still.moved.mean() < 0.02
    lost = np.where(np.arange(100) * 2.0 >= 100, 0.9, 1.0)
    moved = sum_shift(traces_of(traces.signal * lost, traces.variance), alpha, BEFORE, AFTER)
    assert moved.dish_moved
    assert moved.dish == pytest.approx(-0.1, abs=0.005)
    assert "more than calcium can explain" in moved.text()


def test_an_unsure_alpha_explains_a_shift_of_the_sum_by_calcium():
    traces, _, _ = dish(4, share=1.0, rates=(0, 0), frames=100)
    wrong = 1.3 * Calibration(**FURA).alpha
    assert sum_shift(traces, Alpha(wrong, 0.001, 9), BEFORE, AFTER).dish_moved
    assert not sum_shift(traces, Alpha(wrong, 0.3 * wrong, 9), BEFORE, AFTER).dish_moved


def test_alpha_needs_cells_that_respond():
    with pytest.raises(RangeError, match="at least 3 are needed for the factor alpha"):
        estimate_alpha(dish(1, share=0.0, rates=(0, 0), frames=100)[0], BEFORE, AFTER)


def test_calcium_and_flicker_are_no_artefact_of_the_compound():
    called, dishes = 0, 0
    for seed in range(20):
        traces = dish(seed, share=0.5 * (seed % 3), rates=(0, 0), frames=100, flicker=0.002)[0]
        found = compound_artefact(traces, 100, 10, settle_s=4)
        called += int(found.flagged.sum())
        dishes += found.dish_flagged
    assert called < 0.005 * 20 * 200
    assert dishes <= 1


def test_light_of_the_compound_is_flagged_with_its_size():
    traces, _, _ = dish(1, share=0.0, rates=(0, 0), frames=100, bright=0.1)
    found = compound_artefact(traces, 100, 10)
    assert found.dish_flagged
    assert found.flagged.mean() > 0.9
    under = lights(np.array(100e-9))[1]
    assert found.dish_size == pytest.approx(0.1 / under, rel=0.1)
    assert "light of the compound, of at least" in found.text()
    quiet = compound_artefact(dish(1, share=0.0, rates=(0, 0), frames=100)[0], 100, 10)
    assert not quiet.dish_flagged
    assert "no artefact" in quiet.text()
    with pytest.raises(RangeError, match="no frame of channel 340 lies in the window after"):
        compound_artefact(traces, 199, 10)


# Calibration


@pytest.mark.parametrize(
    ("measured", "value", "low", "high"),
    [
        (0.6, 65, 39, 106),
        (1.0, 171, 105, 280),
        (2.0, 498, 301, 826),
        (4.0, 1643, 934, 3043),
        (6.0, 5078, 2339, 17969),
    ],
)
def test_calcium_and_its_interval_for_ordinary_uncertainty(measured, value, low, high):
    found = calcium(measured, 0.0, ISSUE)
    ends = found.interval()
    assert 1e9 * float(found.value) == pytest.approx(value, rel=0.01)
    assert [1e9 * float(end) for end in ends] == pytest.approx([low, high], rel=0.05)


def test_the_interval_is_that_of_exact_quadrature():
    """Given rmin and rmax, kd times beta is log-normal; over them, midpoints of equal chance."""
    spread = np.hypot(0.2, 0.1)
    chance = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    rmin = 0.333 * np.exp(0.05 * stats.norm.ppf((np.arange(400) + 0.5) / 400))[:, None]
    rmax = 8 * np.exp(0.1 * chance)
    for measured in (0.36, 0.6, 2.0, 5.5):
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(np.maximum(measured - rmin, 0) / np.maximum(rmax - measured, 0) * 224e-9 * 8)
        for end, chance_below in zip(ISSUE.interval(measured), (0.025, 0.975), strict=True):
            if end > 0:
                share = stats.norm.cdf((np.log(end) - log) / spread).mean()
                assert share == pytest.approx(chance_below, abs=0.0008)


def test_outside_rmin_and_rmax_calcium_is_missing_with_a_flag_never_clipped():
    found = calcium(np.array([[0.2, 0.333, 1.0], [8.0, 9.0, np.nan]]), 1e-6, ISSUE)
    assert found.flag.tolist() == [[BELOW, BELOW, OK], [ABOVE, ABOVE, MISSING]]
    assert np.isfinite(found.value).sum() == 1
    for array in (found.noise_se, found.calibration_se, *found.interval(), *found.interval(of="noise")):
        assert np.isfinite(array).tolist() == np.isfinite(found.value).tolist()
    assert "1 of 6 values; missing: 2 with a ratio below Rmin, 2 above Rmax, 1 without" in found.text()


def test_near_the_ends_the_interval_is_open():
    low, high = ISSUE.interval(np.array([0.34, 1.0, 7.0]))
    assert low[0] == 0
    assert high[2] == np.inf
    assert np.isfinite([high[0], low[1], high[1], low[2]]).all()
    noisy = calcium([0.5, 6.0], [0.2**2, 1.5**2], Calibration(**FURA))
    ends = noisy.interval()
    assert ends[0][0] == 0
    assert ends[1][1] == np.inf


def test_noise_and_calibration_are_kept_apart_and_added_in_squares_on_request():
    found = calcium(np.full((1000, 1), 1.0), 0.02**2, ISSUE)
    repeats = ISSUE.concentration(np.random.default_rng(1).normal(1.0, 0.02, 100_000))
    assert found.noise_se[0, 0] == pytest.approx(repeats.std(), rel=0.02)
    assert found.calibration_se[0, 0] / found.value[0, 0] == pytest.approx(0.2524, abs=0.001)
    both, noise, shared = (found.interval(of=part)[1][0, 0] for part in ("both", "noise", "calibration"))
    away = [np.log(end / found.value[0, 0]) for end in (both, noise, shared)]
    assert away[0] == pytest.approx(np.hypot(away[1], away[2]))


def test_without_errors_the_interval_is_the_value():
    ratios = np.array([0.3331, 0.5, 1.0, 7.9999])
    for end in Calibration(**FURA).interval(ratios):
        assert end == pytest.approx(Calibration(**FURA).concentration(ratios))


def test_lights_made_from_calcium_give_it_back():
    truth = np.geomspace(1e-9, 5e-5, 30)
    over, under = lights(truth)
    assert Calibration(**FURA).concentration(over / under) == pytest.approx(truth, rel=1e-9)
    assert np.ptp(over + Calibration(**FURA).alpha * under) < 1e-12


def test_draws_have_the_errors_and_correlations_asked_for():
    correlation = np.eye(4)
    correlation[0, 3] = correlation[3, 0] = -0.7
    draws = np.log(
        Calibration(**FURA, kd_se=0.2, rmin_se=0.05, rmax_se=0.1, beta_se=0.3, correlation=correlation).draws
    )
    assert draws.std(axis=0) == pytest.approx([0.2, 0.05, 0.1, 0.3], rel=0.01)
    assert np.corrcoef(draws.T) == pytest.approx(correlation, abs=0.01)


@pytest.mark.parametrize("paired", [True, False])
def test_dishes_calibrate_with_errors_of_the_dishes_and_what_they_share(paired):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        dye = np.exp(rng.normal(0, 0.08, (2, 6)))
        dye[1] = dye[0] if paired else dye[1]
        low, high = 0.333 * np.exp(rng.normal(0, 0.1, 6)), 8 * np.exp(rng.normal(0, 0.2, 6))
        found.append(calibrate_from(low, high, 800 * dye[0] / low, 100 * dye[1], kd=224e-9, kd_se=0.2, paired=paired))
    logs = np.log([[each.rmin, each.rmax, each.beta] for each in found])
    said = np.sqrt(np.mean([each.log_se[1:] ** 2 for each in found], axis=0))
    assert said == pytest.approx(logs.std(axis=0), rel=0.12)
    shared = np.corrcoef(logs.T)[0, 2]
    assert shared < -0.5
    assert np.mean([each.correlation[1, 3] for each in found]) == pytest.approx(shared, abs=0.08)
    assert found[0].kd_se == 0.2


def test_one_dish_does_not_calibrate():
    with pytest.raises(RangeError, match="r_max_values: a calibration needs at least two dishes"):
        calibrate_from([0.3, 0.34], [8.0], [800, 810], [100, 101], kd=224e-9, kd_se=0.2)
    with pytest.raises(RangeError, match=r"sb2: .*each above 0"):
        calibrate_from([0.3, 0.34], [8.0, 7.5], [800, 810], [100, -3], kd=224e-9, kd_se=0.2)
    with pytest.raises(RangeError, match=r"same dishes, found 2 r_min_values with 3 sf2"):
        calibrate_from([0.3, 0.34], [8.0, 7.5], [800, 810, 790], [100, 101], kd=224e-9, kd_se=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kd": -1.0}, "kd must be above 0"),
        ({"rmin": 9.0}, "must lie above rmin"),
        ({"beta_se": -0.1}, "standard error of a logarithm"),
        ({"correlation": np.full((4, 4), 2.0)}, "symmetric matrix of 4 by 4"),
        ({"correlation": np.eye(3)}, "symmetric matrix of 4 by 4"),
    ],
)
def test_an_impossible_calibration_is_refused(change, message):
    with pytest.raises(RangeError, match=message):
        Calibration(**{**FURA, **change})


def test_fluo_has_calcium_only_by_the_cells_own_limits():
    truth = np.array([[50e-9, 389e-9, 2e-6]] * 2)
    lowest, highest = np.array([10.0, 40.0]), np.array([500.0, 3000.0])
    light = lowest[:, None] + (highest - lowest)[:, None] * truth / (truth + 389e-9)
    found = calcium_from_fluo(light, np.ones(light.shape), kd=389e-9, kd_se=0.15, fmin=lowest, fmax=highest)
    assert found.value == pytest.approx(truth)
    assert found.calibration_se == pytest.approx(0.15 * truth)
    rng = np.random.default_rng(1)
    tops = 500 + rng.normal(0, 20, (50_000, 1))
    repeats = 389e-9 * (light[0, 0] - 10) / (tops - light[0, 0])
    said = calcium_from_fluo(light[:1], 0 * light[:1], kd=389e-9, fmin=10.0, fmax=500.0, fmax_variance=400.0)
    assert said.noise_se[0, 0] == pytest.approx(repeats.std(), rel=0.03)
    assert calcium_from_fluo([[5.0, 600.0]], 1.0, kd=389e-9, fmin=10, fmax=500).flag.tolist() == [[BELOW, ABOVE]]
    assert calcium_from_fluo([[5.0]], 1.0, kd=389e-9, fmin=10, fmax=9).flag.tolist() == [[MISSING]]


# Real photometry with its published calibration


def published():
    """Kd and Keff = Kd beta were measured apart, so beta, their quotient, has both errors, and goes against Kd."""
    value = {name: each[0] for name, each in PUBLISHED.items()}
    se = {name: each[1] / each[0] for name, each in PUBLISHED.items()}
    beta_se = float(np.hypot(se["kd"], se["keff"]))
    correlation = np.eye(4)
    correlation[0, 3] = correlation[3, 0] = -se["kd"] / beta_se
    return Calibration(
        1e-6 * value["kd"], value["rmin"], value["rmax"], value["keff"] / value["kd"],
        se["kd"], se["rmin"], se["rmax"], beta_se, correlation,
    )  # fmt: skip


def photometry(data):
    """Each recording as one cell: counts of all its pixels, per second, background off, with the camera's variance."""
    meta = pd.read_csv(data / "calcium/fura2_ccd/inVitro_meta.csv").set_index("exp")
    table = pd.read_csv(data / "calcium/fura2_ccd/inVitro_traces.csv")
    signal, variance = [], []
    for (name, _), part in table.groupby(["exp", "stim"]):
        about = meta.loc[name]
        raw = part[["adu340", "adu380"]].to_numpy(float).T
        dark = np.array([[about.adu340Background], [about.adu380Background]]) * about.P / about.PBackground
        exposure = np.array([[about.exposureTime340], [about.exposureTime380]])
        signal.append((raw - dark) / exposure)
        variance.append((CCD.gain * raw + about.P * CCD.read_noise**2) / exposure**2)
    return traces_of(np.stack(signal, axis=1), np.stack(variance, axis=1), every=0.075)


REST, DEPOLARISED = Window(0, 0.63), Window(0.8, 1.1)


def test_real_ratios_lie_within_the_published_limits_and_give_resting_and_evoked_calcium(data):
    """The files hold no solutions without or with saturating calcium, so Rmin and Rmax cannot be refitted from them.

    What they can say: no ratio is outside, and calcium is that of resting and depolarised neurones.
    """
    traces = photometry(data)
    assert traces.signal.shape == (2, 58, 160)
    measured = ratio(traces)
    at_rest = relative_change(measured.value, measured.variance, measured.time_s, REST).base
    found = calcium(at_rest, 0.0, published())
    assert (found.flag == OK).all()
    assert 1e9 * np.median(found.value) == pytest.approx(139, abs=2)
    high = calcium(np.nanmax(measured.value, axis=1), 0.0, published())
    assert (high.flag == OK).all()
    assert 1e6 * np.median(high.value) == pytest.approx(0.36, abs=0.01)
    assert (high.value > found.value).all()
    assert np.median(found.calibration_se / found.value) == pytest.approx(0.22, abs=0.03)


def test_the_factor_alpha_of_real_responses_agrees_with_the_published_constants(data):
    """(Rmax − Rmin Keff/Kd)/(Keff/Kd − 1) is the one combination of the constants that responses show."""
    alpha = estimate_alpha(photometry(data), REST, DEPOLARISED)
    draws = published().draws
    possible = (draws[:, 2] - draws[:, 1] * draws[:, 3]) / (draws[:, 3] - 1)
    low, high = np.quantile(possible, [0.025, 0.975])
    assert published().alpha == pytest.approx(0.354, abs=0.001)
    assert alpha.cells > 50
    assert low < alpha.value < high
    assert alpha.value == pytest.approx(0.25, abs=0.03)


def test_the_noise_of_real_ratios_is_what_the_camera_model_says(data):
    measured = ratio(photometry(data))
    bends = np.diff(np.log(measured.value[:, 100:]), 2, axis=1)
    excess = (bends**2).mean(axis=1) / 6 / measured.log_variance[:, 100:].mean(axis=1)
    assert np.median(excess) == pytest.approx(1.0, abs=0.25)


# What is missing stays missing, and takes nothing else with it


def test_a_cell_without_light_and_gaps_pass_through_every_step_and_change_no_other_cell():
    traces, _, _ = dish(6, share=0.4, frames=200)
    whole = bleach_rates(traces, Window(0, 100))
    gaps = traces_of(traces.signal.copy(), traces.variance.copy())
    gaps.signal[:, 0] = np.nan
    gaps.signal[:, 1] = 0.0
    gaps.signal[:, 2, ::7] = np.nan
    gaps.signal[0, 3, 60:90] = -5.0
    gaps.variance[:, 0] = np.nan
    rates = bleach_rates(gaps, Window(0, 100))
    assert not rates.cells[:2].any()
    assert rates.rate == pytest.approx(whole.rate, abs=4 * whole.se.max())
    mended = corrected(gaps, rates)
    measured = ratio(mended)
    found = calcium(measured.value, measured.variance, Calibration(**FURA))
    ends = found.interval(of="noise")
    assert np.isnan(ends[0][:2]).all()
    assert np.isfinite(found.value[4:]).all()
    assert measured.value[4:] == pytest.approx(ratio(corrected(traces, rates)).value[4:])
    change = relative_change(measured.value, measured.variance, measured.time_s, Window(0, 100))
    assert np.isnan(change.value[:2]).all()
    assert np.isfinite(change.value[4:]).all()
    shift = sum_shift(mended, estimate_alpha(mended, BEFORE, AFTER), BEFORE, AFTER)
    assert np.isnan(shift.shift[:2]).all()
    assert np.isfinite(shift.dish)
    assert not compound_artefact(mended, 100, 10).flagged[:2].any()
