"""Recordings of a study, simulated: dose–response, comparison by days, tables, and recordings that are no good."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from halfmax.errors import FileError, HalfmaxError, StudyError, TableError
from halfmax.study import run
from halfmax.virtual import Addition, Calcium, Cells, simulate_movie, small_design, write_stimuli

EC50 = 5.7e-6
CALCIUM = """
[calcium]
baseline = "24 s"
response = "18 s"
rmin = 0.333
rmax = 8.0
beta = 8.0
rmax_error = 0.1
gain = 0.146
read_noise = 2.39
offset = 100
"""
DESIGN = small_design(
    shape=(80, 80), interval=3.0, cells=Cells(number=11, radius=5.0, radius_sd=0.3, margin=4.0),
    calcium=Calcium(responders=0.75, amplitude_sd=0.08),
)  # fmt: skip
CM572 = Addition("CM572", concentration=1e-6, ec50=EC50, emax=0.6e-6)
CB64D = Addition("CB-64D", concentration=20e-6, ec50=5e-6, emax=1.9e-6)
DISHES = {
    **{f"CM572 {1e6 * dose:g}": (replace(CM572, concentration=dose),) for dose in (1e-6, 3e-6, 1e-5, 3e-5, 1e-4)},
    "CB-64D": (CB64D,),
    "both": (CM572, replace(CB64D, emax=0.25 * CB64D.emax)),
}
FIRST_S, GAP_S = 150.0, 45.0


def entry(day, dish):
    stem = f"{day}_{dish}".replace(" ", "_")
    return f'[[movie]]\nfile = "{stem}.ome.tif"\nstimuli = "{stem}.csv"\ndish = "{dish}"\nexperiment = "day {day}"\n'


def record(folder, day, dish, *, seed):
    """Simulate a dish: vehicle, then what it is given, 45 s apart."""
    given = [replace(one, start_s=FIRST_S + GAP_S * k) for k, one in enumerate(DISHES[dish], start=1)]
    vehicle = Addition("vehicle", role="vehicle", concentration=0.0, start_s=FIRST_S)
    design = replace(DESIGN, frames=round((given[-1].start_s + GAP_S) / 3), additions=(vehicle, *given))
    place = folder / f"{day}_{dish}".replace(" ", "_")
    simulate_movie(f"{place}.ome.tif", design, seed=seed)
    write_stimuli(f"{place}.csv", design)


def study(folder, *entries, calcium=CALCIUM):
    text = '[study]\ntitle = "Calcium of virtual cells"\n' + calcium + "\n".join(entries)
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Two days of seven dishes, run and written."""
    folder = tmp_path_factory.mktemp("calcium")
    for number, (day, dish) in enumerate((day, dish) for day in (1, 2) for dish in DISHES):
        record(folder, day, dish, seed=number)
    study(folder, *(entry(day, dish) for day in (1, 2) for dish in DISHES))
    return folder, run(folder, name="first")


@pytest.fixture(scope="module")
def found(days):
    return {one.title: one for one in days[1].report.analyses}


def test_the_ec50_of_the_days_contains_the_truth_and_counts_days(found):
    one = found["CM572: calcium against concentration"]
    assert one.estimate["ec50"].low < EC50 < one.estimate["ec50"].high
    assert one.estimate["ec50"].value == pytest.approx(EC50, rel=0.3)
    assert one.estimate.n == 2
    assert "n = 2 days" in one.answer
    assert "day 1: " in one.sentence
    assert "day 2: " in one.sentence
    assert one.notes == ("2 days, 12 dishes, 132 cells.",)
    assert one.plots[0].y_title == "peak, mean of all cells (nM)"


def test_a_compound_after_another_is_compared_by_days(found):
    one = found["CB-64D after 1 µM CM572 against CB-64D"]
    assert one.estimate["ratio"].value == pytest.approx(0.25, rel=0.25)
    assert one.estimate.n == 2
    assert "paired t on days" in one.sentence
    assert "p = " in one.sentence
    assert one.estimate.status == "ok, two days: an interval on so few is very wide"


def test_the_nesting_counts_a_dish_once_however_often_it_was_given_something(found):
    one = found["Cells, dishes and days"]
    assert one.answer == "2 days, 14 dishes, 154 cells"
    assert one.estimate.n == 14
    assert one.sentence.startswith("ICC ")
    assert one.estimate["icc"].low <= one.estimate["icc"].value <= one.estimate["icc"].high
    assert "1: day 1; 2: day 2" in one.plots[0].caption


def test_three_dishes_are_shown_and_the_rest_is_in_tables(days, found):
    titles = list(found)
    assert titles[3:] == ["CM572 1, day 1", "CM572 3, day 1", "CM572 10, day 1"]
    assert [len(found[title].plots) for title in titles[3:]] == [7, 1, 1]
    tables = {path.name for path in (days[1].folder / "tables").iterdir()}
    wanted = {f"day_{day}_{dish}_{what}.csv".replace(" ", "_") for day in (1, 2) for dish in DISHES
              for what in ("traces", "cells")}  # fmt: skip
    assert tables == wanted | {"dishes.csv"}


def test_the_tables_hold_all_cells_and_every_dish(days):
    tables = days[1].folder / "tables"
    traces, cells = (pd.read_csv(tables / f"day_2_both_{what}.csv") for what in ("traces", "cells"))
    assert len(traces) == 95
    assert {"time_s", "cell_1_ratio", "cell_1_nM", "cell_1_340_ADU", "cell_11_380_ADU"} <= set(traces.columns)
    assert len(cells) == 11
    assert {"vehicle_peak", "1_µM_CM572_q", "20_µM_CB-64D_responds"} <= set(cells.columns)
    dishes = pd.read_csv(tables / "dishes.csv", keep_default_na=False)
    assert len(dishes) == 2 * (7 * 2 + 1)
    assert set(dishes["group"]) == {"", "CM572", "CB-64D", "CB-64D after 1 µM CM572"}


def test_the_report_is_written_and_says_that_it_is_simulated(days):
    folder, outcome = days
    html = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert (outcome.folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert outcome.report.simulated
    assert "simulated data" in html
    assert "CM572: calcium against concentration" in html
    names = {Path(source.file).name for source in outcome.report.provenance.sources}
    assert {path.name for path in folder.glob("*.tif")} <= names


def test_one_day_gives_no_p_value(days):
    folder, _ = days
    study(folder, *(entry(1, dish) for dish in DISHES))
    found = {one.title: one for one in run(folder, write=False).report.analyses}
    compared = found["CB-64D after 1 µM CM572 against CB-64D"]
    assert compared.estimate.status.startswith("refused: no p-value with one day")
    assert "p = " not in compared.sentence
    assert not math.isfinite(compared.estimate["ratio"].high)
    curve = found["CM572: calcium against concentration"]
    assert curve.sentence.endswith("One day: the interval is that of its dishes.")
    assert curve.estimate["ec50"].low < EC50 < curve.estimate["ec50"].high


def test_the_share_of_responders_is_an_answer_too(days):
    folder, _ = days
    study(folder, *(entry(1, dish) for dish in DISHES), calcium=f'{CALCIUM}summary = "fraction"\n')
    report = run(folder, write=False).report
    assert report.analyses[0].plots[0].y_title == "share of cells that respond"


# Recordings that are no good


@pytest.fixture(scope="module")
def dish(tmp_path_factory):
    """A recording of 30 frames, its pages and its description."""
    folder = tmp_path_factory.mktemp("dish")
    design = small_design(frames=30, additions=(replace(CM572, start_s=30.0),))
    simulate_movie(folder / "dish.ome.tif", design, seed=1)
    write_stimuli(folder / "dish.csv", design)
    return folder


@pytest.fixture
def bad(dish, tmp_path):
    """A folder with that recording, and the files of `spoil` beside it."""
    for path in dish.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path)
    return tmp_path


def spoil(folder):
    """Write what can go wrong with a recording."""
    with tifffile.TiffFile(folder / "dish.ome.tif") as file:
        pages, about = file.asarray().reshape(-1, 64, 64), file.ome_metadata.encode("ascii", "xmlcharrefreplace")
    whole = (folder / "dish.ome.tif").read_bytes()
    (folder / "cut.ome.tif").write_bytes(whole[: int(0.6 * len(whole))])
    tifffile.imwrite(folder / "dropped.ome.tif", pages[:30], description=about, metadata=None, photometric="minisblack")
    tifffile.imwrite(folder / "plain.tif", pages)
    tifffile.imwrite(folder / "odd.tif", pages[:-1])
    tifffile.imwrite(folder / "one.tif", pages[:2])
    tifffile.imwrite(folder / "rgb.tif", np.zeros((20, 64, 64, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(folder / "masks.tif", np.ones((32, 32), np.uint16))
    (folder / "late.csv").write_text("name,start\nCM572,500\n", encoding="utf-8")
    (folder / "first.csv").write_text("name,start\nCM572,0\n", encoding="utf-8")


STACK = 'channels = ["340", "380"]\norder = "interleaved"'


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ('file = "dish.ome.tif"\nstimuli = "late.csv"', StudyError,
         r"movie\[1\] \(dish\.ome\.tif\): stimulus CM572: expected a start within the recording of 58\.25 s, found "
         r"500 s, after its end"),
        ('file = "dish.ome.tif"\nstimuli = "first.csv"', StudyError,
         r"movie\[1\] \(dish\.ome\.tif\): stimulus CM572 begins with the first frame, and there is no baseline"),
        ('file = "dish.ome.tif"\nmasks = "masks.tif"', FileError,
         r"movie\[1\] \(dish\.ome\.tif\): masks\.tif: expected masks of 64 × 64 pixels .*, found 32 × 32"),
        (f'file = "plain.tif"\n{STACK}', TableError,
         r"movie\[1\] \(plain\.tif\): nothing says when the frames .* were taken.*interval = \"2 s\""),
        ('file = "cut.ome.tif"', FileError,
         r"movie\[1\] \(cut\.ome\.tif\): cut\.ome\.tif: the file is cut off: 30 frames of 2 channels are declared, "
         r"\d+ frames are whole"),
        ('file = "dropped.ome.tif"', FileError,
         r"movie\[1\] \(dropped\.ome\.tif\): .* which is 60 pages, found 30\. A channel or a page was dropped"),
        (f'file = "odd.tif"\ninterval = "2 s"\n{STACK}', FileError,
         r"movie\[1\] \(odd\.tif\): .* found 59: 29 whole frames and 1 over"),
        ('file = "rgb.tif"\ninterval = "2 s"', FileError,
         r"movie\[1\] \(rgb\.tif\): .*8-bit RGB: an export for the eye"),
        (f'file = "one.tif"\ninterval = "2 s"\n{STACK}', FileError,
         r"movie\[1\] \(one\.tif\): .*expected a time course, found one frame"),
        ('file = "disk.ome.tif"', FileError, r'disk\.ome\.tif: there is no such file .*Did you mean "dish\.ome\.tif"'),
        ('file = "dish.ome.tif"\nstimulus = "dish.csv"', StudyError,
         r'unknown key "stimulus" in movie\[1\]\. Did you mean "stimuli"'),
        ('file = "dish.ome.tif"\ninterval = "2 parsec"', StudyError, r"movie\[1\]\.interval: "),
    ],
    ids=["late", "no-baseline", "masks", "no-interval", "cut-off", "dropped", "odd", "rgb", "one-frame", "missing",
         "key", "unit"],
)  # fmt: skip
def test_a_recording_that_is_no_good_is_named_with_what_to_do(bad, lines, error, message):
    with pytest.raises(error, match=message):
        run(study(bad, f"[[movie]]\n{lines}\n"))
    assert not (bad / "results").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("rmin = 0.3", "study.toml: calcium: rmin and rmax go together. Give both, or neither."),
        ("rmin = 3\nrmax = 2", "rmax must be above rmin, found 2 and 3. Exchange them."),
        ("rmaxx = 2", 'unknown key "rmaxx" in calcium. Did you mean "rmax"?'),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(bad, lines, message):
    with pytest.raises(StudyError) as caught:
        run(study(bad, '[[movie]]\nfile = "dish.ome.tif"\n', calcium=f"[calcium]\n{lines}\n"))
    assert message in str(caught.value)


def test_the_second_of_two_recordings_is_named_where_it_is_the_bad_one(bad):
    with pytest.raises(FileError, match=r"movie\[2\] \(cut\.ome\.tif\)"):
        run(study(bad, '[[movie]]\nfile = "dish.ome.tif"\n', '[[movie]]\nfile = "cut.ome.tif"\n'))


@pytest.mark.parametrize("second", ['file = "plain.tif"\ndish = "dish"', 'file = "dish.ome.tif"'])
def test_two_recordings_of_one_dish_and_day_are_refused(bad, second):
    with pytest.raises(StudyError, match=r'movie\[1\] .* and movie\[2\] .* the same dish of experiment "1"'):
        run(study(bad, '[[movie]]\nfile = "dish.ome.tif"\n', f"[[movie]]\n{second}\n"))


def test_a_plain_stack_is_read_once_it_is_said_what_its_pages_are(bad):
    lines = f'[[movie]]\nfile = "plain.tif"\nstimuli = "dish.csv"\ninterval = "2 s"\n{STACK}\n'
    (one,) = run(study(bad, lines, calcium=""), write=False).report.analyses
    assert one.title == "plain"
    assert one.estimate.n == 6


def test_too_few_cells_refuse_the_calls_and_say_why(bad):
    outcome = run(study(bad, '[[movie]]\nfile = "dish.ome.tif"\nstimuli = "dish.csv"\n', calcium=""), write=False)
    (one,) = outcome.report.analyses
    assert one.estimate.status.startswith("refused: no false-positive rate can be known")
    assert outcome.refused == [one.estimate]


def test_without_stimuli_there_are_traces_and_no_responses(bad):
    (one,) = run(study(bad, '[[movie]]\nfile = "dish.ome.tif"\n'), write=False).report.analyses
    assert one.answer == "6 cells"
    assert one.sentence == "No stimulus is known."
    assert {export.name for export in one.exports} == {"1_dish_traces", "1_dish_cells"}


def test_every_error_of_a_recording_is_a_halfmax_error(bad):
    (bad / "text.ome.tif").write_text("no picture", encoding="utf-8")
    with pytest.raises(HalfmaxError, match=r"movie\[1\] \(text\.ome\.tif\)"):
        run(study(bad, '[[movie]]\nfile = "text.ome.tif"\n'))
