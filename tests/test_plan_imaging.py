"""A planned calcium experiment: dishes, stimuli, amounts, how much it will tell, and that the analysis can read it."""

from __future__ import annotations

import csv
import io
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from halfmax.assays.calcium.responders import Recording, call_responders
from halfmax.assays.calcium.windows import Window
from halfmax.cli import app
from halfmax.errors import FileError, RangeError
from halfmax.estimate import fit_arrays
from halfmax.plan.imaging import (
    Bench,
    Controls,
    Expected,
    ImagingDesign,
    Scatter,
    Timing,
    days_for_power,
    days_needed,
    dishes_of,
    ec50_sd,
    half_width,
    imaging_html,
    imaging_toml,
    power,
    precision_table,
    quiet_s,
    ratio_sd,
    solutions_of,
    write_imaging,
)
from halfmax.readers.stimuli import read_stimuli
from halfmax.study.document import load
from halfmax.study.road import analyse
from halfmax.units import duration
from halfmax.virtual import Addition, Calcium, Cells, simulate_movie, small_design


def made(**changes) -> ImagingDesign:
    return ImagingDesign(**{"compound": "CM572", "cell_line": "SK-N-SH", **changes})


# ── Dishes ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_day_holds_every_dish_once():
    design = made(dishes=3, days=4, controls=Controls(vehicle=4, reference_dishes=2))
    for day in range(1, 5):
        mine = [dish for dish in dishes_of(design) if dish.day == day]
        given = [(dish.kind, dish.additions[0].concentration) for dish in mine]
        assert [given.count(("sample", dose)) for dose in design.doses] == [3] * 5
        kinds = [kind for kind, _ in given]
        assert (kinds.count("vehicle"), kinds.count("reference"), kinds.count("calibration")) == (4, 2, 1)
        assert len(mine) == design.dishes_a_day
        assert kinds[-1] == "calibration"


def test_blocks_of_a_day_hold_each_concentration_once():
    design = made(dishes=3, days=2, controls=Controls(vehicle=3, reference_dishes=0, calibration=0))
    for day in (1, 2):
        doses = [dish.additions[0].concentration for dish in dishes_of(design) if dish.day == day]
        for block in np.array_split(np.array(doses), 3):
            assert sorted(block[np.isfinite(block)]) == list(design.doses)


def test_the_order_follows_the_seed_and_differs_from_day_to_day():
    def order(seed: int) -> list[str]:
        return [dish.additions[0].solution for dish in dishes_of(made(days=2, seed=seed))]

    assert order(1) == order(1) != order(2)
    assert order(1)[:14] != order(1)[14:]


def test_names_of_dishes_are_unique_and_do_not_tell_the_dose():
    dishes = dishes_of(made())
    assert len({dish.name for dish in dishes}) == len(dishes)
    assert all(re.fullmatch(r"\d-\d\d", dish.name) for dish in dishes)


@settings(max_examples=150, deadline=None)
@given(
    interval=st.sampled_from([0.5, 1, 2, 3, 5, 7]),
    base=st.integers(5, 90),
    response=st.integers(5, 90),
    settle=st.integers(0, 10),
    late=st.floats(0, 0.99),
)
def test_the_time_before_the_first_addition_suffices_for_the_analysis(interval, base, response, settle, late):
    """Whatever the windows, and wherever the addition falls between two frames: 20 cells are judged by shams."""
    texts = {"baseline": base, "response": response, "settle": settle}
    timing = Timing(interval=f"{interval} s", **{name: f"{n * interval} s" for name, n in texts.items()})
    start = quiet_s(timing) + late * interval
    settled = start + settle * interval
    end = settled + response * interval
    time = np.arange(0, end + 2 * interval, interval)
    traces = np.random.default_rng(1).normal(1, 0.02, (20, time.size))
    recording = Recording.of(
        traces, time, response=Window(settled, end), baseline=Window(start - base * interval, start),
        quiet=Window(0.0, start),
    )  # fmt: skip
    assert call_responders(recording).null == "sham"


def test_the_time_before_the_first_addition_is_not_much_longer_than_it_must_be():
    """Twenty seconds less, and the analysis refuses."""
    timing = Timing()
    start = quiet_s(timing) - 20
    time = np.arange(0, start + 62, 2.0)
    traces = np.random.default_rng(1).normal(1, 0.02, (20, time.size))
    calls = call_responders(
        Recording.of(traces, time, response=Window(start, start + 60), baseline=Window(start - 60, start))
    )
    assert calls.status.startswith("refused")


@pytest.mark.parametrize("delivery", ["perfusion", "pipette"])
@pytest.mark.parametrize("after", [True, False])
def test_windows_of_two_additions_do_not_meet(delivery, after):
    timing = Timing(baseline="90 s", response="150 s", settle="4 s", follow="30 s", dead_time="20 s")
    controls = Controls(reference_after=after)
    for dish in dishes_of(made(timing=timing, controls=controls, bench=Bench(delivery=delivery))):
        if dish.kind == "calibration":
            continue
        arrivals = [one.start_s + 20 for one in dish.additions]
        assert len(arrivals) == (2 if after and dish.kind != "reference" else 1)
        for one, other in pairwise(arrivals):
            assert one + 4 + 150 <= other - 90
            assert other - one >= 2 * 90
        assert arrivals[-1] + 4 + 150 < dish.record_s


# ── Amounts ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delivery", ["perfusion", "pipette"])
def test_tubes_hold_what_the_dishes_take_and_the_dose_is_met(delivery):
    design = made(bench=Bench(delivery=delivery))
    found = solutions_of(design)
    for tube in (*found.tubes, found.reference):
        assert abs(tube.error) < 0.02
    working = {tube.tube: tube for tube in found.tubes if tube.step == "working"}
    for tube in working.values():
        assert tube.total_volume >= 1000 * 2 * found.per_dish[tube.tube]
        share = tube.source_volume / tube.total_volume
        assert share == pytest.approx(design.solvent_fraction * design.bench.fold, rel=0.01)


def test_a_pipetted_dish_sees_the_dose():
    """1.5 mL bath and 0.375 mL of five times the dose; then 0.469 mL of five times the reference."""
    found = solutions_of(made(bench=Bench(delivery="pipette")))
    assert found.per_dish["W1"] * 5 / (1.5 + found.per_dish["W1"]) == pytest.approx(1)
    assert found.per_dish["R"] * 5 / (1.875 + found.per_dish["R"]) == pytest.approx(1)


def test_perfused_volume_is_flow_times_time():
    """4 min from the valve to the next, and 15 s of tubing, at 2 mL/min."""
    assert solutions_of(made()).per_dish["W1"] == pytest.approx(2 * 4.25)


def test_the_dye_follows_from_dishes_and_molar_mass():
    """14 dishes × 1 mL × 1.15 of 2 µM from 1 mM: 32.2 µL; 32.2 nmol of 1001.86 g/mol: 32.3 µg."""
    found = solutions_of(made())
    assert (found.loading, found.dye, found.dye_mass) == pytest.approx((16.1, 32.2, 32.26), rel=1e-3)


def test_one_concentration_is_a_plan_too():
    found = solutions_of(made(concentrations=("10 µM",)))
    assert [tube.tube for tube in found.tubes] == ["S1", "W1", "WV"]


# ── Refusals ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: made(dye="fura3"), r'dye must be one of fura2, fluo8, found "fura3"\. Did you mean "fura2"\?'),
        (lambda: made(concentrations=()), "concentrations must be > 0 and each there once, found none"),
        (lambda: made(concentrations=("1 µM", "1000 nM")), "each there once, found 1 µM, 1000 nM"),
        (lambda: made(concentrations=("0 µM", "1 µM")), "Vehicle dishes are controls"),
        (lambda: made(concentrations=("1 mM",)), r"needs 5\.00% DMSO, .* Use a stock of at least 200 mM"),
        (lambda: made(days=0), "days must be a whole number ≥ 1, found 0"),
        (lambda: made(compound="atp"), 'the reference agonist is the compound itself, "atp"'),
        (lambda: Timing(baseline="5 s"), "baseline must hold at least 5 frames, found 5 s with a frame every 2 s"),
        (lambda: Timing(interval="0 s"), "interval must be longer than nothing"),
        (lambda: Timing(follow="4"), "has no unit"),
        (lambda: Controls(reference_stock="1 µM"), "below reference_stock, found 100 µM and 1 µM"),
        (lambda: Bench(delivery="pump"), "delivery must be one of perfusion, pipette"),
        (lambda: Bench(dye_final="50 µM"), "at most a hundredth of dye_stock"),
        (lambda: Bench(flow="0 mL/min"), "flow must be > 0"),
        (lambda: Scatter(icc=1.0), "icc must lie from 0 to below 1, found 1"),
        (lambda: ec50_sd(Scatter(), [1e-6, 1e-5], dishes=2, cells=40), "at least 4 concentrations besides vehicle"),
        (
            lambda: ec50_sd(Scatter(), [1e-6, 1.01e-6, 1.02e-6, 1.03e-6], dishes=2, cells=40, ec50=1e-9),
            "do not tell bottom, top, EC50 and slope apart",
        ),
        (lambda: days_needed(0.001, 1.0, largest=20), "more than 20 days are needed for ± 0.001 decades"),
        (lambda: days_for_power(0.001, 1.0, largest=20), "more than 20 days are needed to find 0.001 decades"),
        (lambda: days_needed(0.0, 1.0), "half width must be > 0 decades"),
        (lambda: precision_table(made(), effect=1.0), "effect must be a ratio > 0 other than 1"),
        (lambda: Expected(factor=0.5), "must be a factor > 1 to either side, found 0.5"),
    ],
)
def test_what_means_nothing_is_refused(build, message):
    with pytest.raises(RangeError, match=message):
        build()


# ── Folder ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dye", ["fura2", "fluo8"])
@pytest.mark.parametrize("delivery", ["perfusion", "pipette"])
def test_the_tables_of_stimuli_are_read_as_they_were_meant(tmp_path, dye, delivery):
    design = made(dye=dye, bench=Bench(delivery=delivery))
    folder = write_imaging(design, tmp_path / "plan")
    for dish in dishes_of(design):
        read = read_stimuli(folder / "stimuli" / f"{dish.name}.csv")
        assert [(one.name, one.role) for one in read] == [(one.name, one.role) for one in dish.additions]
        for found, meant in zip(read, dish.additions, strict=True):
            assert found.start_s == meant.start_s + 15
            assert found.end_s == meant.end_s + 15
            assert found.concentration == pytest.approx(meant.concentration, nan_ok=True)


def test_the_study_is_a_study_document(tmp_path):
    design = made(timing=Timing(baseline="80 s", settle="3 s"), cell_line='K"562 \\ µ')
    folder = write_imaging(design, tmp_path / "plan")
    document = load(folder)
    assert document.study.title == design.title
    section = document.calcium
    assert [duration(text) for text in (section.baseline, section.response, section.settle)] == [80, 60, 3]
    assert len(document.movie) == 3 * 13
    for entry in document.movie:
        assert (folder / entry.stimuli).is_file()
        assert entry.channels == ["340", "380"]
        assert entry.cell_line == design.cell_line
        assert entry.dish.startswith(f"{entry.experiment}-")


def test_a_dye_of_one_channel_names_none():
    assert "channels" not in imaging_toml(made(dye="fluo8"))


def test_the_folder_is_whole_and_the_same_each_time(tmp_path):
    one, two = (write_imaging(made(), tmp_path / name) for name in "ab")
    names = sorted(path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file())
    assert len(names) == 6 + 42
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
    with pytest.raises(FileError, match="is there already and not empty"):
        write_imaging(made(), one)


def test_the_order_on_file_is_that_of_the_sheet(tmp_path):
    folder = write_imaging(made(), tmp_path / "plan")
    order = pd.read_csv(folder / "order.csv")
    assert order["dish"].tolist() == [dish.name for dish in dishes_of(made())]
    one = order[order["day"] == 1]
    assert (one["dye off (min)"] - one["dye on (min)"]).tolist() == pytest.approx([45] * 14)
    assert np.diff(one["record (min)"])[0] == pytest.approx(570 / 60 + 5)
    assert (one["record (min)"] - one["dye off (min)"]).tolist() == pytest.approx([25] * 14)


def test_a_name_that_looks_like_a_formula_is_text(tmp_path):
    folder = write_imaging(made(compound="=cmd|' /C calc'!A0"), tmp_path / "plan")
    for path in folder.rglob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))):
            assert not any(re.match(r"[=+@]|-[^0-9.]", cell) for cell in row), path


def test_a_plan_its_recordings_and_the_analysis(tmp_path):
    """Simulated recordings of every planned dish: cells are judged by shams, and vehicle does little."""
    design = ImagingDesign(
        "CM572", "SK-N-SH", ("1 µM", "30 µM"), dishes=1, days=2,
        controls=Controls(vehicle=1, reference_dishes=0, calibration=0),
        timing=Timing(baseline="40 s", response="30 s", interval="5 s", dead_time="5 s", follow="60 s"),
    )  # fmt: skip
    folder = write_imaging(design, tmp_path / "plan")
    for number, dish in enumerate(dishes_of(design)):
        given = read_stimuli(folder / "stimuli" / f"{dish.name}.csv")
        additions = tuple(
            Addition(one.name, one.role, one.concentration, one.start_s, one.end_s, emax=0.8e-6, ec50=3e-6)
            for one in given
        )
        movie = small_design(
            shape=(128, 128), frames=round(dish.record_s / 5), interval=5.0,
            cells=Cells(number=26, radius=5.0, radius_sd=0.3, margin=4.0), calcium=Calcium(responders=1.0),
            additions=additions,
        )  # fmt: skip
        simulate_movie(folder / "recordings" / f"{dish.name}.ome.tif", movie, seed=number)
    report = analyse(load(folder), folder)
    answers = {one.title: one for one in report.analyses}
    assert "CM572: calcium against concentration" in answers
    assert len(report.analyses) >= 4
    for title, one in answers.items():
        assert "not called" not in one.answer, title
        assert "efused" not in one.sentence, title
    assert any("of 26 cells respond to 30 µM CM572" in one.answer for one in report.analyses)


def test_the_command_writes_the_plan_and_says_what_it_will_tell(tmp_path):
    runner = CliRunner()
    words = ["plan-imaging", str(tmp_path / "plan"), "-l", "MCF-7", "-c", "CM572", "-d", "10 µM", "-d", "1 µM"]
    result = runner.invoke(app, [*words, "--dye", "fluo8", "--days", "4", "--ec50", "3 µM"])
    assert result.exit_code == 0, result.output
    assert "Calcium (Fluo-8) in MCF-7 under CM572: 7 dishes a day, 4 days" in result.output
    assert "A ratio of 2 between two groups is found with a chance of 81 % in 4 days" in result.output
    assert len(load(tmp_path / "plan").movie) == 28
    refused = runner.invoke(app, [*words[:1], str(tmp_path / "no"), *words[2:], "--dye", "fura"])
    assert isinstance(refused.exception, RangeError)
    assert not (tmp_path / "no").exists()


# ── Sheet ───────────────────────────────────────────────────────────────────────────────────────────


class Balance(HTMLParser):
    """Counts tags, so that an element left open is noticed."""

    void = frozenset({"meta", "input", "rect", "circle", "path", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, _):
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, _):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def words_of(page: str) -> str:
    return page.replace("\u00a0", " ").replace("\u2060", "")


@pytest.mark.parametrize(
    "design",
    [
        made(),
        made(dye="fluo8", concentrations=("10 µM",), bench=Bench(delivery="pipette")),
        made(controls=Controls(vehicle=0, reference_dishes=0, reference_after=False, calibration=0)),
    ],
    ids=["fura2", "fluo8", "bare"],
)
def test_the_sheet_is_whole_html_with_six_steps_and_a_course(design):
    page, reader = imaging_html(design), Balance()
    reader.feed(page)
    assert reader.open == []
    assert page.count('class="step"') == 6
    assert page.count('class="course"') == 1
    assert "MTT" not in page
    assert not re.search(r"<(script|link|iframe|img)\b|\bhref=|\bsrc=|url\(.?https?:|@import", page)
    assert page.count('aria-label="dish ') == design.dishes_a_day * design.days


def test_names_cannot_break_the_sheet():
    page = imaging_html(made(compound='<script>alert(1)</script> & "x"', cell_line="<b>K562</b>"))
    assert "<script>" not in page
    assert "<b>K562" not in page


def test_the_sheet_says_what_the_protocol_asks_for():
    page = words_of(imaging_html(made()))
    for text in (
        "glass-bottom dishes",
        "45 min at 37 °C",
        "Wash 3 times with 2 mL of HBSS",
        "until the ester is cleaved",
        "4 min 10 s: touch nothing",
        "three sham windows of 60 s",
        "fewer than 20 cells",
        "excitation 340/380 nm, emission 510 nm",
        "340 nm first, then 380 nm",
        "32.2 µL of 1 mM",
        "It reaches the cells 15 s later",
        "R (100 µM ATP)",
        "5 mM EGTA, 5 µM ionomycin",
        "Initials",
        "These are not measured",
        "Research use only",
    ):
        assert text in page, text


def test_the_sheet_of_a_dye_of_one_channel_speaks_of_one():
    page = words_of(imaging_html(made(dye="fluo8")))
    assert "excitation 490 nm, emission 520 nm" in page
    assert "ΔF/F0" in page
    assert "380" not in page


def test_the_sheet_warns_of_designs_that_will_not_answer():
    design = made(
        days=2, dishes=12, timing=Timing(loading="2 h"),
        controls=Controls(vehicle=0, reference_dishes=0, reference_after=False, calibration=0),
    )  # fmt: skip
    page = words_of(imaging_html(design, Expected(cells=10)))
    for text in (
        "Fewer than three days",
        "outside the usual 30–60 min",
        "No vehicle dish",
        "No reference agonist",
        "no [Ca²⁺]",
        "A day lasts",
        "responders are called from 20 on",
    ):
        assert text in page, text
    assert "known to about ±" in words_of(imaging_html(made()))
    assert 'class="note"' not in imaging_html(made(), Expected(Scatter(cell=0.2)))


# ── How much it will tell ───────────────────────────────────────────────────────────────────────────


def test_dishes_and_cells_share_the_icc():
    scatter = Scatter(cell=0.6, icc=0.25)
    assert scatter.dish**2 / (scatter.dish**2 + 0.36) == pytest.approx(0.25)
    assert scatter.of_dish(10**9) == pytest.approx(scatter.dish)


def test_more_dishes_help_and_more_cells_soon_do_not():
    scatter = Scatter(day=0.0)
    sd = [ratio_sd(scatter, dishes=n, cells=40) for n in (1, 2, 4)]
    assert sd[0] / sd[1] == pytest.approx(math.sqrt(2))
    assert sd[1] / sd[2] == pytest.approx(math.sqrt(2))
    assert ratio_sd(scatter, dishes=2, cells=4000) > 0.9 * ratio_sd(scatter, dishes=2, cells=40)
    floor = Scatter(day=0.1)
    assert ratio_sd(floor, dishes=1000, cells=40) == pytest.approx(0.1, rel=0.01)


def test_the_error_of_an_ec50_grows_with_noise_and_is_that_of_the_scale():
    doses = np.geomspace(1e-7, 1e-4, 7)
    noise = [ec50_sd(Scatter(cell=c, day=0), doses, dishes=2, cells=40) for c in (0.1, 0.2)]
    assert noise[1] == pytest.approx(2 * noise[0])
    moved = ec50_sd(Scatter(cell=0.1, day=0), 100 * doses, dishes=2, cells=40)
    assert moved == pytest.approx(noise[0])


def test_days_that_do_not_differ_need_two():
    assert days_needed(0.1, 0.0) == 2
    assert power(0.3, 0.0, 2) == 1.0
    assert power(0.3, 0.1, 1) == 0.0
    assert half_width(0.1, 1) == math.inf


def test_power_without_an_effect_is_the_level():
    for days in (2, 3, 6):
        assert power(0.0, 0.2, days) == pytest.approx(0.05)
    assert power(-0.3, 0.2, 4) == pytest.approx(power(0.3, 0.2, 4))


def test_power_of_a_large_effect_is_a_number():
    assert power(5.0, 0.01, 3) == pytest.approx(1.0)


def within(hits: int, runs: int, rate: float) -> bool:
    """Whether a count agrees with a rate, at 1 in 10,000 to either side."""
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], runs, rate)
    return low <= hits <= high


def log_ratios(scatter: Scatter, days: int, dishes: int, cells: int, effect: float, runs: int) -> np.ndarray:
    """log10 ratios of days, shape (runs, days): cells in dishes in days, two groups, a day that both share."""
    rng = np.random.default_rng(7)
    shape = (runs, days, 2, dishes)
    shared = np.exp(rng.normal(0, 0.4, (runs, days, 1)))
    value = 1 + scatter.dish * rng.standard_normal(shape)
    value += scatter.cell * rng.standard_normal((*shape, cells)).mean(axis=-1)
    means = shared * value.mean(axis=-1)
    return np.log10(means[..., 1] / means[..., 0]) + rng.normal(effect, scatter.day, (runs, days))


@pytest.mark.parametrize(("days", "dishes"), [(3, 2), (5, 1), (4, 3)])
def test_half_width_chance_and_power_are_those_of_simulated_cells(days, dishes):
    """4000 simulated studies each, by the t interval and the t-test that the analysis uses."""
    scatter, cells, effect, runs = Scatter(cell=0.4, icc=0.1, day=0.08), 20, 0.2, 4000
    sd = ratio_sd(scatter, dishes=dishes, cells=cells)
    found = log_ratios(scatter, days, dishes, cells, effect, runs)
    own = found.std(axis=1, ddof=1)
    widths = stats.t.ppf(0.975, days - 1) * own / math.sqrt(days)
    assert widths.mean() == pytest.approx(half_width(sd, days), rel=0.04)
    hits = int((np.abs(found.mean(axis=1)) > widths).sum())
    assert hits / runs == pytest.approx(power(effect, sd, days), abs=0.03)
    covered = int((np.abs(found.mean(axis=1) - effect) <= widths).sum())
    assert within(covered, runs, 0.95)


@pytest.mark.parametrize(("wanted", "sd", "assurance"), [(0.1, 0.1, 0.8), (0.2, 0.15, 0.9), (0.3, 0.1, 0.5)])
def test_days_needed_keep_their_promise_and_one_day_less_does_not(wanted, sd, assurance):
    rng, runs = np.random.default_rng(3), 20_000
    days = days_needed(wanted, sd, assurance=assurance)

    def kept(n: int) -> float:
        own = rng.normal(0, sd, (runs, n)).std(axis=1, ddof=1)
        return float((stats.t.ppf(0.975, n - 1) * own / math.sqrt(n) <= wanted).mean())

    margin = 4 * math.sqrt(assurance * (1 - assurance) / runs)
    assert kept(days) >= assurance - margin
    assert days == 2 or kept(days - 1) < assurance + margin


def test_power_is_that_of_simulated_t_tests():
    rng, runs = np.random.default_rng(5), 20_000
    for effect, sd, days in ((0.301, 0.14, 3), (0.2, 0.2, 6), (0.1, 0.05, 2)):
        found = rng.normal(effect, sd, (runs, days))
        p = stats.ttest_1samp(found, 0.0, axis=1).pvalue
        assert within(int((p < 0.05).sum()), runs, power(effect, sd, days))


@pytest.mark.parametrize(("cell", "dishes", "hill_slope"), [(0.12, 2, 1.0), (0.25, 2, 1.0), (0.25, 2, 2.0)])
def test_the_error_of_an_ec50_is_that_of_fitted_curves(cell, dishes, hill_slope):
    """2000 simulated days, fitted; the middle 68 % (fits without a plateau have long tails)."""
    scatter, rng, dose = Scatter(cell=cell, day=0.0), np.random.default_rng(1), np.array([0.1, 1, 3, 10, 100]) * 1e-6
    at = np.concatenate([np.zeros(2), np.repeat(dose, dishes)])
    with np.errstate(divide="ignore"):
        curve = 1 / (1 + (3e-6 / at) ** hill_slope)
    signals = curve + rng.normal(0, scatter.of_dish(40), (2000, at.size))
    low, high = np.quantile(np.log10(fit_arrays(at, signals, intervals=False).best["ec50"]), [0.1587, 0.8413])
    expected = ec50_sd(scatter, dose, dishes=dishes, cells=40, ec50=3e-6, hill_slope=hill_slope)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.12)


def test_the_table_holds_the_plan_and_follows_its_formulas():
    design, scatter = made(days=7, dishes=5), Scatter()
    table = precision_table(design, scatter=scatter)
    assert {(3, 1), (8, 4), (7, 5)} <= set(zip(table["days"], table["dishes"], strict=True))
    row = table[(table["days"] == 7) & (table["dishes"] == 5)].iloc[0]
    sd = ec50_sd(scatter, design.doses, dishes=5, cells=40)
    assert row["ec50_factor"] == pytest.approx(10 ** half_width(sd, 7))
    assert row["power"] == pytest.approx(power(math.log10(2), ratio_sd(scatter, dishes=5, cells=40), 7))
    for _, part in table.groupby("dishes"):
        assert part["ec50_half_width"].is_monotonic_decreasing
        assert part["power"].is_monotonic_increasing


def test_few_concentrations_give_no_ec50():
    design = made(concentrations=("1 µM", "10 µM"))
    assert precision_table(design)["ec50_sd"].isna().all()
    assert len(Expected().sentences(design)) == 1
    assert "EC50" not in words_of(imaging_html(design))
