"""Calcium on kinetic plates: windows of traces, traces of plates, responses; simulated wells and real plates."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from halfmax.assays.calcium import windows
from halfmax.assays.calcium.plate_responses import (
    measure,
    percent_of_reference,
    responders,
    responses,
    summarise_lines,
)
from halfmax.assays.calcium.plates import compound_artefacts, subtract_vehicle, traces_of
from halfmax.assays.calcium.windows import Window, find_addition
from halfmax.errors import RangeError, StudyError
from halfmax.estimate import fit
from halfmax.readers import read
from halfmax.readers.layout import read_layout
from halfmax.table import AssayTable

TIME = np.arange(0.0, 200.0, 2.0)


def transient(rise=8.0, decay=30.0, start=40.0, height=1.0):
    """Simulated: a rise and a decay that peak at `height`, exactly; its peak time."""
    since = np.maximum(TIME - start, 0)
    late = np.log((rise + decay) / rise) * rise
    top = (1 - np.exp(-late / rise)) * np.exp(-late / decay)
    return height * (1 - np.exp(-since / rise)) * np.exp(-since / decay) / top, start + late


class TestWindows:
    def test_peak_is_found_where_it_is(self):
        trace, when = transient()
        found = windows.peak(trace, TIME, Window(40), reads=1)
        assert_allclose(found.height, 1.0, atol=0.01)
        assert_allclose(found.time_s, when, atol=2.0)

    def test_spike_of_one_read_is_no_peak(self):
        trace, _ = transient()
        trace[60] = 9.0
        assert windows.peak(trace, TIME, Window(40), reads=3).height[0] < 1.01
        assert windows.peak(trace, TIME, Window(40), reads=1).height[0] == 9.0

    def test_smoothing_takes_nothing_from_before_the_window(self):
        trace = np.where(TIME < 40, 50.0, 0.0)
        assert windows.peak(trace, TIME, Window(40)).height[0] == 0.0

    def test_area_of_a_known_curve_on_uneven_times(self):
        time = np.sort(np.random.default_rng(1).uniform(0, 10, 4000))
        assert_allclose(windows.area(2 + np.sin(time), time, Window(0, 11), base=2.0), 1 - np.cos(10), atol=2e-3)

    def test_area_bridges_a_gap_and_is_in_time(self):
        line = 3.0 * TIME
        whole = windows.area(line, TIME, Window(0, 100))
        gappy = np.where((TIME > 20) & (TIME < 50), np.nan, line)
        assert_allclose(windows.area(gappy, TIME, Window(0, 100)), whole)
        assert_allclose(windows.area(line, 2 * TIME, Window(0, 200)), 2 * whole)

    def test_rise_times_of_a_ramp(self):
        ramp = np.clip((TIME - 40) / 50, 0, 1)
        found = windows.rise_times(ramp, TIME, Window(40), 0.0, reads=1)
        assert_allclose(found, [[5.0, 25.0, 45.0]])

    def test_decay_has_an_open_end_where_it_does_not_fall(self):
        traces = np.stack([transient(decay=30.0)[0], transient(decay=1e4)[0], np.full(TIME.size, -1.0)])
        found = windows.decay_half_time(traces, TIME, Window(40), 0.0)
        assert found.operator.tolist() == ["=", ">", ""]
        assert found.half_time_s[1] <= 198 - 40
        assert np.isnan(found.half_time_s[2])

    def test_decay_half_time_of_an_exponential(self):
        trace = np.where(TIME < 40, 0.0, np.exp(-(TIME - 40) / 20))
        found = windows.decay_half_time(trace, TIME, Window(40), 0.0, reads=1)
        assert_allclose(found.half_time_s, 20 * np.log(2), atol=0.1)

    @pytest.mark.parametrize("statistic", ["peak", "area", "plateau", "rise", "decay"])
    def test_everything_missing_is_missing(self, statistic):
        trace, window = np.full((2, TIME.size), np.nan), Window(40)
        found = {
            "peak": lambda: windows.peak(trace, TIME, window).height,
            "area": lambda: windows.area(trace, TIME, window),
            "plateau": lambda: windows.plateau(trace, TIME, window),
            "rise": lambda: windows.rise_times(trace, TIME, window, 0.0)[:, 0],
            "decay": lambda: windows.decay_half_time(trace, TIME, window, 0.0).half_time_s,
        }[statistic]()
        assert np.isnan(found).all()

    def test_each_trace_may_have_its_own_times_and_window(self):
        times = np.stack([TIME, TIME + 1.0])
        traces = np.stack([transient()[0], transient(start=41.0)[0]])
        window = Window(np.array([40.0, 41.0]))
        both = windows.rise_times(traces, times, window, 0.0, reads=1)
        alone = [windows.rise_times(traces[k], times[k], Window(40.0 + k), 0.0, reads=1)[0] for k in range(2)]
        assert_allclose(both, alone)

    def test_median_of_any_number_is_that_of_numpy(self):
        rng = np.random.default_rng(2)
        values = np.where(rng.random((50, 9)) < 0.3, np.nan, rng.normal(size=(50, 9)))
        values[0] = np.nan
        assert_allclose(windows._median(values)[1:], np.nanmedian(values[1:], axis=1))

    def test_a_window_that_ends_before_it_starts_is_refused(self):
        with pytest.raises(RangeError, match="must end after it starts, found 30 s to 10 s"):
            Window(30, 10)

    def test_an_even_number_of_reads_cannot_be_smoothed(self):
        with pytest.raises(RangeError, match="odd number of reads, found 4"):
            windows.smoothed([[1.0, 2.0]], 4)

    def test_times_of_another_length_are_refused(self):
        with pytest.raises(RangeError, match=r"need times of shape \(3,\)"):
            windows.baseline([[1.0, 2.0, 3.0]], [0.0, 1.0], Window(0))


class TestAddition:
    def test_is_found_in_noise_and_drift(self):
        rng = np.random.default_rng(3)
        for place in (10, 40, 80):
            traces = rng.normal(0, 1, (30, TIME.size)) + 0.02 * TIME
            traces[:, place:] += rng.uniform(6, 40, (30, 1))
            assert find_addition(traces, TIME).read == place

    def test_is_not_found_in_noise(self):
        rng = np.random.default_rng(4)
        for wells in (1, 8, 96):
            for _ in range(40):
                with pytest.raises(RangeError, match="no addition stands out"):
                    find_addition(rng.normal(0, 1, (wells, 100)).round(1), TIME)

    def test_quiet_wells_tell_when_its_artefact_is_over(self):
        traces = np.random.default_rng(5).normal(0, 1, (20, TIME.size))
        traces[:, 20:23] += [40, 80, 25]
        traces[10:, 20:] += 30 * np.minimum(np.arange(80), 10)
        found = find_addition(traces, TIME, quiet=np.arange(20) < 10)
        assert (found.read, found.settled) == (20, 23)
        assert find_addition(traces, TIME).settled == 20


def plate(wells, *, channel="", noise=0.0, seed=0, **columns):
    """Simulated table: wells as (name, role, compound, dose, trace), with times of their own."""
    rng = np.random.default_rng(seed)
    frames = []
    for place, (well, role, compound, dose, trace) in enumerate(wells):
        time = TIME + 0.01 * place
        frames.append(
            pd.DataFrame({"plate": "p", "well": well, "role": role, "compound": compound, "concentration_M": dose,
                          "time_s": time, "channel": channel, "signal": trace + rng.normal(0, noise, TIME.size),
                          **columns})
        )  # fmt: skip
    return AssayTable(pd.concat(frames, ignore_index=True))


def step(height, start=40.0):
    return np.where(start <= TIME, height, 0.0)


class TestTraces:
    def test_ratio_takes_background_off_each_channel(self):
        wells = [("A1", "sample", "x", 1e-6, 120.0 + step(60)), ("A2", "vehicle", "", 0.0, 120.0 + step(0)),
                 ("A3", "blank", "", np.nan, 20.0 + step(0))]  # fmt: skip
        over = plate(wells, channel="340/510")
        under = plate([(*well[:4], 220.0 - 0.5 * (well[4] - 120)) for well in wells[:2]]
                      + [("A3", "blank", "", np.nan, 20.0 + step(0))], channel="380/510")  # fmt: skip
        traces = traces_of(AssayTable.concat([over, under]), addition_s=40)
        assert traces.quantity == "ratio 340/380"
        assert traces.well.tolist() == ["A1", "A2"]
        assert_allclose(traces.signal[0, [0, -1]], [100 / 200, 160 / 170])
        named = traces_of(AssayTable.concat([over, under]), addition_s=40, background={"340": 20, "380": 20})
        assert_allclose(named.signal, traces.signal)

    def test_single_channel_is_relative_to_the_time_before(self):
        wells = [("A1", "sample", "x", 1e-6, 300.0 + step(100)), ("A2", "blank", "", np.nan, 100.0 + step(0))]
        traces = traces_of(plate(wells), addition_s=40)
        assert traces.quantity == "ΔF/F0"
        assert_allclose(traces.signal[0, [0, -1]], [0.0, 0.5])

    def test_background_above_the_signal_gives_no_number(self):
        wells = [("A1", "sample", "x", 1e-6, 300.0 + step(100)), ("A2", "sample", "x", 1e-6, 50.0 + step(1))]
        traces = traces_of(plate(wells), addition_s=40, background={"": 60.0})
        assert np.isnan(traces.signal[1]).all()
        assert "1 wells are no brighter than the background" in " ".join(traces.notes)

    def test_vehicle_of_the_own_line_is_taken_off(self):
        wells = [(f"{row}{k}", role, compound, dose, 100 + step(gain))
                 for row, role, compound, dose, gain in (("A", "vehicle", "", 0.0, 5), ("B", "sample", "x", 1e-6, 25))
                 for k in (1, 2, 3)]  # fmt: skip
        table = plate(wells)
        other = table.frame.assign(
            well=lambda f: f["well"].str.replace("A", "C").str.replace("B", "D"), cell_line="b",
            signal=lambda f: np.where(f["time_s"] >= 40, f["signal"] + 10, f["signal"]),
        )  # fmt: skip
        both = AssayTable.concat([table.with_columns(cell_line="a"), AssayTable(other)])
        cleared = subtract_vehicle(traces_of(both, addition_s=40))
        assert_allclose(cleared.signal[cleared.role == "vehicle"], 0, atol=1e-12)
        assert_allclose(cleared.signal[cleared.role == "sample"][:, -1], 0.20)

    def test_messages_say_what_to_do(self):
        table = plate([("A1", "sample", "x", 1e-6, 100 + step(0)), ("A2", "sample", "x", 1e-6, 100 + step(0))], noise=1)
        with pytest.raises(StudyError, match=r"plate p: no addition stands out.*addition_s"):
            traces_of(table)
        with pytest.raises(StudyError, match="these are end points"):
            traces_of(table.with_columns(time_s=float("nan"), plate=[f"p{k}" for k in range(len(table))]))
        with pytest.raises(StudyError, match="Apply the plate's layout first"):
            traces_of(table.with_columns(role="unassigned"))
        with pytest.raises(StudyError, match='no well has the role "vehicle"'):
            traces_of(table, quiet="vehicle", addition_s=40)
        with pytest.raises(StudyError, match=r"well A2: 99 reads in channel .*other wells have 100"):
            traces_of(AssayTable(table.frame[:-1]), addition_s=40)
        with pytest.raises(StudyError, match="no vehicle well of this plate and cell line"):
            subtract_vehicle(traces_of(table, addition_s=40))
        with pytest.raises(StudyError, match="needs the raw readings at 340 and 380"):
            compound_artefacts(traces_of(table, addition_s=40))


def fura(gains, *, seed=1):
    """Simulated raw Fura-2 plate: wells as (name, role, step at 340, step at 380) in percent."""
    rng = np.random.default_rng(seed)
    tables = []
    for channel, column in (("340", 2), ("380", 3)):
        wells = [(gain[0], gain[1], "x" * (gain[1] == "sample"), 1e-6 * (gain[1] == "sample"),
                  500 * (1 + step(gain[column]) / 100) + rng.normal(0, 2, TIME.size)) for gain in gains]  # fmt: skip
        tables.append(plate(wells, channel=channel))
    return traces_of(AssayTable.concat(tables), addition_s=40)


class TestArtefacts:
    def test_same_sign_is_flagged_and_calcium_is_not(self):
        vehicle = [(f"A{k}", "vehicle", 0, 0) for k in range(1, 9)]
        samples = [
            ("B1", "sample", 30, -20),
            ("B2", "sample", 30, 25),
            ("B3", "sample", -9, -12),
            ("B4", "sample", 0, 0),
        ]
        found = compound_artefacts(fura(vehicle + samples))
        assert [flag.well for flag in found] == ["B2", "B3"]
        assert_allclose(found[0].steps, (30, 25), atol=1.0)

    def test_dilution_by_the_addition_itself_is_no_artefact(self):
        vehicle = [(f"A{k}", "vehicle", -10, -10) for k in range(1, 9)]
        assert compound_artefacts(fura([*vehicle, ("B1", "sample", -10, -10)])) == []

    def test_is_rare_where_there_is_none(self):
        wells = [(f"A{k}", "vehicle", 0, 0) for k in range(1, 13)]
        wells += [(f"{row}{k}", "sample", 0, 0) for row in "BCDEFGH" for k in range(1, 13)]
        assert sum(len(compound_artefacts(fura(wells, seed=seed), level=0.05)) for seed in range(10)) <= 6


DOSES = np.geomspace(1e-9, 1e-5, 9)


def dose_plate(mode="agonist", *, seed=1, noise=0.6, ec50=1e-7, wells=4):
    """Simulated plate: a compound of one potency, with its controls; `noise` in counts on F0 = 100."""
    rng = np.random.default_rng(seed)
    rows, shape = [], transient()[0]
    for column, dose in enumerate([*DOSES, 0.0, np.nan], 1):
        share = dose / (dose + ec50) if np.isfinite(dose) else 1.0
        height = share if mode == "agonist" else 1 - share
        role = "sample" if dose > 0 else "vehicle" if dose == 0 else ("sample" if mode == "agonist" else "untreated")
        name = "x" if dose > 0 else ("ionomycin" if role == "sample" else "")
        dose = 1e-6 if name == "ionomycin" else dose
        for row in range(wells):
            trace = 100 * (1 + height * rng.normal(1, 0.05) * shape)
            rows.append((f"{'ABCDEFGH'[row]}{column}", role, name, dose, trace + rng.normal(0, noise, TIME.size)))
    return traces_of(plate(rows), addition_s=40)


class TestResponses:
    @pytest.mark.parametrize(("mode", "direction"), [("agonist", "rising"), ("antagonist", "falling")])
    @pytest.mark.parametrize("statistic", ["peak", "area"])
    def test_potency_is_recovered(self, mode, direction, statistic):
        traces = dose_plate(mode)
        (response,) = responses(traces, statistic=statistic, mode=mode, reference=["ionomycin"] * (mode == "agonist"))
        found = fit(response, direction=direction)["ec50"]
        assert found.low < 1e-7 < found.high
        assert_allclose(found.value, 1e-7, rtol=0.25)
        roles = dict(zip(*np.unique(response.role, return_counts=True), strict=True))
        assert roles == {"sample": 36, "vehicle": 4} | ({"kill": 4} if mode == "antagonist" else {})
        assert np.isnan(response.concentration[response.role == "kill"]).all()

    def test_reference_carries_its_error(self):
        traces = dose_plate()
        values = measure(traces)
        percent, error = percent_of_reference(traces, values, "ionomycin")
        top = traces.compound == "ionomycin"
        assert_allclose(percent[top].mean(), 100)
        assert_allclose(percent[traces.role == "vehicle"].mean(), 0, atol=1e-10)
        rng = np.random.default_rng(2)
        low = traces.role == "vehicle"
        v = values[low].mean() + rng.normal(0, values[low].std(ddof=1) / 2, 40_000)
        r = values[top].mean() + rng.normal(0, values[top].std(ddof=1) / 2, 40_000)
        for well in (0, 20, 35):
            assert_allclose(error[well], (100 * (values[well] - v) / (r - v)).std(), rtol=0.05)

    def test_messages_say_what_to_do(self):
        traces = dose_plate()
        with pytest.raises(StudyError, match=r'no well holds the reference "ionomycn"\. Did you mean "ionomycin"'):
            responses(traces, reference=["ionomycn"])
        with pytest.raises(StudyError, match="nothing to fit"):
            responses(traces, reference=["x", "ionomycin"])
        with pytest.raises(StudyError, match="fit the traces as they were read"):
            responses(subtract_vehicle(traces))
        with pytest.raises(StudyError, match=r'unknown statistic "peek"\. Did you mean "peak"'):
            measure(traces, "peek")
        with pytest.raises(StudyError, match="the recording ends at 198 s, the addition is at 40 s"):
            measure(traces, window=Window(500))
        with pytest.raises(StudyError, match='no well holds the reference "ATP"'):
            percent_of_reference(traces, measure(traces), "ATP")

    @pytest.mark.parametrize(("statistic", "rows", "nominal"), [("peak", "ABC", 1 / 25), ("plateau", "A", 0.05)])
    def test_false_positives_stay_at_their_nominal_rate(self, statistic, rows, nominal):
        """Noise and drift, simulated: ranks among 24 vehicle wells, and a t bound of 8 for a mean."""
        called, found_false = [], []
        for seed in range(120):
            rng = np.random.default_rng(seed)
            noise = rng.normal(0, 0.02, (40, 1)) * (TIME - 40) + rng.normal(0, 1, (40, TIME.size))
            names = [f"{row}{column}" for row in "ABCDE" for column in range(1, 9)]
            wells = [(name, "vehicle" if name[0] in rows else "sample", "", 0.0, 100 + noise[k])
                     for k, name in enumerate(names)]  # fmt: skip
            traces = traces_of(plate(wells), addition_s=40)
            found = responders(traces, measure(traces, statistic))
            assert found.rate == pytest.approx(nominal)
            called.append(found.called.sum() / (traces.role == "sample").sum())
            found_false.append(found.false_positive_rate)
        error = np.std(called) / np.sqrt(120)
        assert abs(np.mean(called) - nominal) < 3 * error
        assert error < 0.01
        assert abs(np.mean(found_false) - nominal) < 0.015

    def test_lines_are_the_sample(self):
        table = plate([(f"A{k}", "sample", "x", 1e-6, 100 + step(10 + 10 * (k > 6))) for k in range(1, 13)])
        table = table.with_columns(
            cell_line=np.where(table.frame["well"].isin([f"A{k}" for k in range(1, 7)]), "a", "b")
        )
        traces = traces_of(table, addition_s=40)
        (found,) = summarise_lines(traces, measure(traces))
        assert (found.n, found.wells) == (2, (6, 6))
        assert_allclose(found.mean, 0.15)
        assert_allclose(found.high - found.mean, 12.706 * 0.05, rtol=1e-3)


def by_grid(dose, signal):
    """Residual sum of squares and EC50 of the best Hill curve on a grid, its plateaus in closed form: numpy only."""
    best = (np.inf, 0.0)
    for log_ec50 in np.linspace(-9.5, -5, 451):
        for slope in np.linspace(0.3, 3, 136):
            share = np.where(dose > 0, 1 / (1 + (10**log_ec50 / np.where(dose > 0, dose, 1)) ** slope), 0)
            design = np.stack([np.ones_like(share), share], axis=1)
            rest = signal - design @ np.linalg.lstsq(design, signal, rcond=None)[0]
            best = min(best, (float(rest @ rest), 10**log_ec50))
    return best


def flexstation(data, readings, layout):
    folder = data / "calcium" / "flexstation_fura2"
    return traces_of(read_layout(folder / layout).apply(read(folder / readings)))


class TestRealPlates:
    def test_inhibitor_series_of_the_raw_plate(self, data):
        traces = flexstation(data, "data_3nM_to_3uM.txt", "map_3nM_to_3uM.csv")
        assert traces.quantity == "ratio 340/380"
        assert traces.start_s.min() > 60  # the file's own protocol says 60 s
        assert traces.start_s.max() < 63
        assert compound_artefacts(traces) == []
        (response,) = responses(traces, mode="antagonist")
        assert (response.used.sum(), response.doses().size) == (48, 7)
        found = fit(response, direction="falling")
        _, ic50 = by_grid(response.concentration, response.signal)
        assert_allclose(found["ec50"].value, ic50, rtol=0.02)
        assert_allclose(found["ec50"].value, 1.57e-7, rtol=0.02)
        assert 9e-8 < found["ec50"].low < 1e-7
        assert 3e-7 < found["ec50"].high < 5e-7

    def test_plateaus_are_those_of_the_authors(self, data):
        """The workbook beside the plate holds its authors' ratios and plateaus (mean of reads 33 to 42)."""
        openpyxl = pytest.importorskip("openpyxl")
        path = data / "calcium" / "flexstation_fura2" / "Example_multiplate_export.xlsx"
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        ratio = {row[0]: row[1:] for row in book["ratio_plate_1_data"].iter_rows(min_row=2, values_only=True)}
        amplitude = {row[1]: row[-1] for row in book["plateau_data"].iter_rows(min_row=2, max_row=97, values_only=True)}
        traces = flexstation(data, "data_3nM_to_3uM.txt", "map_3nM_to_3uM.csv")
        assert_allclose(traces.signal, [np.array(ratio[well], float) for well in traces.well], rtol=1e-12)
        found = measure(traces, "plateau", Window(160, 209))
        base = windows.baseline(traces.signal, traces.time_s, traces.before)
        wanted = np.array([amplitude[well] for well in traces.well], float)
        # Their baseline is the mean of the first 11 reads, ours of all 12 before the addition.
        eleven = windows.baseline(traces.signal, traces.time_s, Window(-1, 55))
        assert_allclose(found + base - eleven, wanted, rtol=1e-9)
        (response,) = responses(traces, statistic="plateau", window=Window(160, 209), mode="antagonist")
        ic50 = fit(response, direction="falling")["ec50"]
        assert ic50.low < 144.4e-9 < ic50.high  # theirs, of normalised means

    def test_activator_series_of_the_reduced_plate(self, data):
        traces = flexstation(data, "activator_example_data.txt", "activator_example_map.csv")
        assert traces.quantity == "ratio"
        assert np.isnan(traces.signal[:, -1]).all()  # Limits+
        (response,) = responses(traces, reference=["EA"])
        assert response.compound == "activator"
        found = fit(response, direction="rising")
        _, ec50 = by_grid(response.concentration, response.signal)
        assert_allclose(found["ec50"].value, ec50, rtol=0.02)
        assert_allclose(found["ec50"].value, 9.6e-9, rtol=0.02)
        assert 6e-9 < found["ec50"].low < found["ec50"].high < 1.5e-8
        percent, error = percent_of_reference(traces, measure(traces), "EA")
        assert 90 < percent[traces.concentration == 3e-7].mean() < 110
        assert (error[traces.concentration == 3e-7] < 10).all()

    def test_flipr_plate(self, data):
        folder = data / "calcium" / "flipr_seq1"
        table = read_layout(folder / "ATP_layout.json").apply(read(folder / "ATP_data.seq1"))
        traces = traces_of(table, quiet="vehicle")
        assert set(traces.start_s) == {23.72}
        assert set(traces.settled_s) == {26.72}
        values = measure(traces, "plateau", traces.within(4, 60))
        found = responders(traces, values)
        atp, ionomycin, buffer = (traces.compound == "ATP", traces.compound == "Ionomycin", traces.role == "vehicle")
        assert (found.called[ionomycin].sum(), found.called[atp].sum()) == (35, 30)
        assert (found.n_vehicle, found.n_false, found.by_rank) == (24, 0, True)
        assert "4 % of wells without response would" in found.text()
        assert "0 of the 24 vehicle wells (0 %) respond" in found.text()
        full = measure(traces)
        weak = ionomycin & (full < 1)
        assert sorted(traces.well[weak]) == ["D6", "E6", "F6"]  # the ionomycin of column 6 did not arrive
        by_dose = {(one.compound, one.concentration): one for one in summarise_lines(traces, values)}
        lines = [by_dose[key] for key in (("ATP", 1e-4), ("Ionomycin", 1e-6), ("", 0.0))]
        assert [one.n for one in lines] == [4, 4, 4]
        assert [one.wells for one in lines] == [(9,) * 4, (9,) * 4, (6,) * 4]
        assert all(a > b for a, b in zip(lines[0].means, lines[2].means, strict=True))
        assert all(a > 10 * b for a, b in zip(lines[1].means, lines[0].means, strict=True))
        assert buffer.sum() == 24
