"""Responders with a known false-positive rate, and what a response is in numbers. All traces are simulated."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from halfmax.assays.calcium.events import fit_kinetics, measure_events
from halfmax.assays.calcium.responders import Recording, Rule, benjamini_hochberg, call_responders
from halfmax.assays.calcium.windows import Window
from halfmax.errors import RangeError

PATH = Path(__file__).parents[2] / "benchmarks" / "responders.py"
SPECIFICATION = importlib.util.spec_from_file_location("responders_by_chance", PATH)
bench = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(bench)


def noise(cells=200, frames=270, *, autocorrelation=0.5, drift="none", seed=1):
    return bench.traces(cells, frames, autocorrelation, drift, np.random.default_rng(seed))


def recording(signal, *, before=240, base=40, window=30, quiet=None):
    time = np.arange(signal.shape[1], dtype=float)
    response, baseline = Window(before, before + window), Window(before - base, before)
    return Recording.of(signal, time, response=response, baseline=baseline, quiet=quiet)


# False positives


@pytest.mark.parametrize("drift", ["none", "each its own", "bleaching"])
@pytest.mark.parametrize("autocorrelation", [0.0, 0.9])
def test_one_in_twenty_cells_that_do_nothing_is_called(autocorrelation, drift):
    signal = noise(4000, autocorrelation=autocorrelation, drift=drift)
    found = bench.called(signal, bench.LENGTHS[0])
    (rate,) = found.false_positive_rates
    assert 0.04 <= found.fraction <= 0.06
    assert rate.measured == pytest.approx(0.05, abs=0.002)
    assert rate.expected == 0.05
    assert found.discovered.sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("drift", bench.DRIFTS)
@pytest.mark.parametrize("autocorrelation", bench.AUTOCORRELATIONS)
def test_calls_by_chance_stay_within_four_and_six_percent(autocorrelation, drift):
    for row, (lengths, score) in enumerate(itertools.product(bench.LENGTHS, ("peak", "area"))):
        rng = np.random.default_rng((bench.SEED, row))
        signal = bench.traces(bench.CELLS, lengths[1] + lengths[2], autocorrelation, drift, rng)
        assert 0.04 <= bench.called(signal, lengths, score=score).fraction <= 0.06, (lengths, score)
        if drift != "bleaching":
            assert 0.04 <= bench.called(signal, lengths, drift="level", score=score).fraction <= 0.06, (lengths, score)


@pytest.mark.slow
def test_in_small_dishes_too_and_discoveries_are_rarer_than_their_rate():
    found = [bench.called(noise(100, seed=(3, k), drift="each its own"), bench.LENGTHS[0]) for k in range(500)]
    assert 0.045 <= np.mean([one.fraction for one in found]) <= 0.055
    assert np.mean([one.discovered.any() for one in found]) <= 0.07


def test_mean_plus_three_sd_calls_many_more():
    signal = noise(4000, autocorrelation=0.9, drift="each its own")
    assert bench.three_sd(signal, bench.LENGTHS[0]).mean() > 0.15


def test_p_values_of_quiet_cells_are_uniform():
    p = bench.called(noise(4000, autocorrelation=0.6), bench.LENGTHS[0]).p
    assert stats.kstest(p, "uniform").statistic < 0.03


# Calls


def test_cells_that_respond_are_found_and_the_denominator_is_all_cells():
    signal = noise(200, autocorrelation=0.3)
    signal[:60, 240:] += 8 * signal[:60, :240].std(axis=1, keepdims=True)
    signal[190:, 250:] = np.nan
    found = call_responders(recording(signal))
    assert found.discovered[:60].mean() > 0.95
    assert (found.cells, found.judged) == (200, 190)
    assert not found.called[190:].any()
    assert np.isnan(found.p[190:]).all()
    assert found.fraction == found.called.sum() / 200
    assert found.fraction_above_chance == pytest.approx(60 / 190, abs=0.05)
    assert_array_equal(found.called[:190], found.score[:190] > found.threshold[:190])
    assert "10 could not be judged and count as not responding" in found.text()
    assert "by chance 5 % are expected (10 cells), measured 5.0 % on held-out sham windows" in found.text()
    assert any("10 of 200 cells lack more than 20 % of the reads" in note for note in found.notes)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5), order=st.permutations(range(40)))
def test_calls_do_not_depend_on_the_unit_nor_on_the_order_of_cells(scale, shift, order):
    signal = noise(40)
    signal[:8, 240:] += 3
    one, other = (call_responders(recording(s)) for s in (signal, scale * signal[order] + shift))
    assert_allclose(other.p, one.p[order], atol=2e-3)


def test_a_few_missing_reads_change_little():
    signal = noise(500)
    gaps = np.where(np.random.default_rng(2).random(signal.shape) < 0.05, np.nan, signal)
    found = call_responders(recording(gaps))
    assert found.judged > 490
    assert 0.02 < found.fraction < 0.08


def test_a_step_of_the_addition_itself_is_seen_by_vehicle_and_not_by_shams():
    signal, vehicle = noise(300), [noise(150, seed=k) for k in (2, 3)]
    for one in (signal, *vehicle):
        one[:, 240:] += 1.0
    dishes = [recording(one) for one in vehicle]
    shams, both, alone = (
        call_responders(recording(signal), rule=Rule(drift="level"), vehicle=dishes, null=null)
        for null in ("sham", "auto", "vehicle")
    )
    assert shams.fraction > 0.12
    assert both.null == "both"
    assert max(both.fraction, alone.fraction) < 0.09
    assert [rate.source for rate in both.false_positive_rates] == ["sham windows", "vehicle cells"]


def test_what_moves_all_cells_at_once_is_said():
    signal = noise(300)
    signal[:, 120:125] += 6.0
    notes = call_responders(recording(signal), rule=Rule(drift="level")).notes
    assert any("something moves all cells at once" in note for note in notes)


def test_a_bent_drift_is_said():
    signal = noise(2000, autocorrelation=0.0) + 60 * np.exp(-np.arange(270) / 80)
    notes = call_responders(recording(signal), rule=Rule(drift="level")).notes
    assert any("Sham scores rise along the time before the stimulus" in note for note in notes)


def test_too_little_before_the_stimulus_is_refused_unless_there_is_vehicle():
    short = noise(200, frames=110)
    found = call_responders(recording(short, before=80))
    assert found.status.startswith("refused: no false-positive rate can be known.")
    assert "holds 1 sham windows side by side, 3 are needed: 130 s" in found.text()
    assert np.isnan(found.fraction)
    assert not found.called.any()
    dish = recording(noise(100, frames=110, seed=2), before=80)
    judged = call_responders(recording(short, before=80), vehicle=[dish])
    assert (judged.null, judged.status) == ("vehicle", "ok")
    assert 0.01 < judged.fraction < 0.1
    assert any("One vehicle dish" in note for note in judged.notes)


def test_few_cells_are_refused():
    status = call_responders(recording(noise(4))).status
    assert "4 cells in 6 sham windows side by side make 24 scores, too few for a threshold at 5 %: 60" in status


def test_quiet_time_ends_before_an_earlier_stimulus():
    signal = noise(200, frames=400)
    signal[:, 60:90] += 20.0
    whole = call_responders(recording(signal, before=360), rule=Rule(drift="level"))
    quiet = call_responders(recording(signal, before=360, quiet=Window(110, 360)), rule=Rule(drift="level"))
    assert whole.fraction < 0.02
    assert 0.02 < quiet.fraction < 0.08


def test_benjamini_and_hochberg_agree_with_scipy():
    p = np.random.default_rng(4).random(50) ** 3
    assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": 300}, r"response window from 300 s holds no frame; the recording runs from 0 s to 269 s"),
        ({"base": 3}, r"the baseline holds 3 frames, at least 5 are needed"),
    ],
)
def test_windows_outside_the_recording_are_refused(change, message):
    signal, before = noise(5, frames=270), change.get("before", 240)
    response, baseline = Window(before, before + 30), Window(240 - change.get("base", 40), 240)
    with pytest.raises(RangeError, match=message):
        Recording.of(signal, np.arange(270.0), response=response, baseline=baseline)


def test_other_faults_are_named():
    time = np.arange(50.0)
    with pytest.raises(RangeError, match="baseline must end before the response window begins, found 29 s and 25 s"):
        Recording.of(np.ones((2, 50)), time, response=Window(25, 40), baseline=Window(10, 30))
    with pytest.raises(RangeError, match="one time a frame, found"):
        Recording.of(np.ones((2, 49)), time, response=Window(25, 40), baseline=Window(10, 20))
    with pytest.raises(RangeError, match="frames out of order"):
        Recording.of(np.ones((2, 50)), time[::-1], response=Window(25, 40), baseline=Window(10, 20))
    with pytest.raises(RangeError, match='unknown score "peek"'):
        Rule(score="peek")
    with pytest.raises(RangeError, match='unknown null "shams"'):
        call_responders(recording(noise(20)), null="shams")
    with pytest.raises(RangeError, match="vehicle dish 1: baseline and window must have as many frames"):
        call_responders(recording(noise(100)), vehicle=[recording(noise(100), window=20)])


# Events

TIME = np.arange(-60.0, 240.0, 2.0)
AFTER, BEFORE = Window(0), Window(-60, 0)


def response(rise, decay, sustained, *, onset=5.0, cells=100, sd=0.03, autocorrelation=0.0, seed=1):
    since = np.maximum(TIME - onset, 0)
    true = 1 + np.exp(-since / decay) - np.exp(-since / rise) + sustained * (1 - np.exp(-since / rise))
    rng = np.random.default_rng(seed)
    shape = bench.traces(cells, TIME.size, autocorrelation, "none", rng)
    return true + sd * shape / shape.std(axis=1, keepdims=True)


def test_transient_and_sustained_parts_are_told_apart():
    found = measure_events(response(4, 25, 0.4, sd=0.0, onset=0.0, cells=3), TIME, response=AFTER, baseline=BEFORE)
    assert_allclose(found.base, 1.0)
    assert_allclose(found.sustained, 0.4, atol=0.01)
    assert_allclose(found.transient + found.sustained, found.peak)
    assert (found.time_to_10_s < found.time_to_50_s).all()
    assert (found.time_to_50_s < found.time_to_90_s).all()
    assert (found.time_to_90_s < found.peak_s).all()
    assert (found.half_decay_operator == "=").all()


def test_a_cell_that_left_the_picture_has_no_plateau_and_harms_no_other():
    signal = response(4, 25, 0.4, cells=3)
    signal[1, 80:] = np.nan
    signal[2] = np.nan
    found = measure_events(signal, TIME, response=AFTER, baseline=BEFORE)
    assert np.isfinite(found.peak[:2]).all()
    assert np.isnan(found.sustained).tolist() == [False, True, True]
    kinetics = fit_kinetics(signal, TIME, response=AFTER, baseline=BEFORE)
    assert kinetics.status[2].startswith("refused: fewer than 12 reads")
    alone = fit_kinetics(signal[:1], TIME, response=AFTER, baseline=BEFORE)
    assert_allclose(kinetics.decay.value[0], alone.decay.value[0], rtol=1e-6)


def test_events_without_reads_are_refused():
    with pytest.raises(
        RangeError, match=r"the response window \(300–inf s\) holds no read: the recording runs from -60 s"
    ):
        measure_events(np.ones((1, TIME.size)), TIME, response=Window(300), baseline=BEFORE)


@pytest.mark.parametrize("autocorrelation", [0.0, 0.7])
def test_intervals_of_time_constants_hold_the_truth(autocorrelation):
    found = fit_kinetics(response(4, 30, 0.3, autocorrelation=autocorrelation), TIME, response=AFTER, baseline=BEFORE)
    for one, truth in ((found.rise, 4), (found.decay, 30)):
        assert ((one.low <= truth) & (truth <= one.high)).mean() >= 0.88
        assert (one.operator == "=").all()
    assert np.median(found.onset_s) == pytest.approx(5, abs=0.3)
    assert np.median(found.sustained) == pytest.approx(0.3, abs=0.03)


def test_a_decay_that_does_not_end_within_the_recording_is_a_bound():
    found = fit_kinetics(response(4, 4000, 0.0), TIME, response=AFTER, baseline=BEFORE)
    open_end = found.decay.operator == ">"
    assert open_end.mean() > 0.8
    assert (found.decay.value[open_end] <= 4000).mean() > 0.9
    assert found.decay.text(int(open_end.argmax())).startswith("> ")
    assert "open: the decay has no end within the recording" in found.status


def test_a_rise_within_one_read_is_a_bound():
    found = fit_kinetics(response(0.2, 30, 0.3), TIME, response=AFTER, baseline=BEFORE)
    assert (found.rise.operator == "<").mean() > 0.8


def test_noise_has_no_time_constants():
    found = fit_kinetics(1 + noise(100, TIME.size, autocorrelation=0.0), TIME, response=AFTER, baseline=BEFORE)
    assert np.mean(found.status == "open: no response that stands out of the noise") > 0.9


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_time_constants_follow_the_unit_of_time_and_not_that_of_the_signal(factor):
    signal = response(4, 30, 0.3, cells=5)
    one = fit_kinetics(signal, TIME, response=AFTER, baseline=BEFORE)
    other = fit_kinetics(factor * signal, factor * TIME, response=AFTER, baseline=Window(-60 * factor, 0))
    assert_allclose(other.decay.value, factor * one.decay.value, rtol=1e-3)
    assert_allclose(other.transient, factor * one.transient, rtol=1e-2)
