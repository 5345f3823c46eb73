"""Long tables in a study: what they may look like, and what real ones of three days come to."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from halfmax.curves import hill
from halfmax.errors import HalfmaxError, StudyError, TableError
from halfmax.study import analyse, load, records, run, write_example

STUDY = """
[study]
title = "A table"

[viability]
quantity = "fluorescence"

[[table]]
file = "t.csv"
concentration_column = "conc"
unit = "mM"
signal_column = "f"
experiment_column = "day"
plate_column = "plate"
compound = "acrylamide"
cell_line = "SH-SY5Y"
"""
DOSES = [0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
DAYS = {"mon": ["1", "2"], "tue": ["3"], "wed": ["4", "5"]}


def rows(seed=1, *, days=DAYS):
    """Plates of some days in mM: days differ by more than plates, every plate has a scale of its own."""
    rng = np.random.default_rng(seed)
    for number, (day, plates) in enumerate(days.items()):
        for plate in plates:
            ec50 = 5.0 * 1.5 ** (number - 1) * math.exp(rng.normal(0, 0.03))
            top = rng.uniform(500, 3000)
            for k, dose in enumerate(DOSES):
                mean = top if dose == 0 else float(hill(dose, ec50=ec50, hill_slope=-1.5, top=top, bottom=0))
                for replicate in range(4):
                    yield {
                        "conc": dose, "f": round(mean + rng.normal(0, 0.04 * top), 2), "day": day, "plate": plate,
                        "well": f"{'ABCD'[replicate]}{k + 1}", "number": 8 * k + replicate + 1,
                    }  # fmt: skip


def folder_of(tmp_path, text=STUDY, table=None):
    content = list(rows()) if table is None else table
    with open(tmp_path / "t.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, content[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(content)
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    return tmp_path


def report_of(tmp_path, text=STUDY, table=None):
    folder = folder_of(tmp_path, text, table)
    return analyse(load(folder), folder)


def with_key(key):
    return STUDY.replace('compound = "acrylamide"\n', f'compound = "acrylamide"\n{key}\n')


def test_plates_are_fitted_apart_and_days_are_the_sample(tmp_path):
    (curve,) = report_of(tmp_path).curves
    assert [fit.response.plate[0] for fit in curve.fits] == [f"t · {k}" for k in range(1, 6)]
    assert [len(day.parts) for day in curve.experiments] == [2, 1, 2]
    assert (curve.combined.n, curve.combined.df) == (3, 2)
    logs = [np.mean([math.log(plate["ec50"].value) for plate in day.parts]) for day in curve.experiments]
    low, high = stats.t.interval(0.95, 2, np.mean(logs), stats.sem(logs))
    ec50 = curve.combined["ec50"]
    assert (ec50.low, ec50.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert ec50.low < 5e-3 < ec50.high


def test_pooled_wells_are_narrower_and_stand_apart_from_the_answer(tmp_path):
    report = report_of(tmp_path)
    (curve,) = report.curves
    pooled, answer = curve.pooled["ec50"], curve.combined["ec50"]
    assert math.log(pooled.high / pooled.low) < 0.5 * math.log(answer.high / answer.low)
    assert curve.pooled.n == 5 * 4 * len(DOSES)
    assert curve.pooled.response.signal_unit == "% of vehicle"
    assert {row["kind"] for row in records(report)} == {"plate", "experiment", "combined"}
    assert curve.influence.names == ("mon", "tue", "wed")


def test_plates_together_or_without_names_are_one_fit_an_experiment(tmp_path):
    (together,) = report_of(tmp_path, with_key('plates = "together"')).curves
    assert [fit.response.experiment for fit in together.fits] == ["mon", "tue", "wed"]
    assert together.experiments == ()
    assert "Wells of 2 plates of this experiment are fitted together." in together.fits[0].notes
    (unnamed,) = report_of(tmp_path, STUDY.replace('plate_column = "plate"\n', "")).curves
    assert len(unnamed.fits) == 3


def test_one_plate_a_day_needs_no_average(tmp_path):
    (curve,) = report_of(tmp_path, table=list(rows(days={"mon": ["1"], "tue": ["2"]}))).curves
    assert curve.experiments == ()
    assert (curve.combined.n, curve.influence) == (2, None)
    assert curve.pooled is not None


def test_without_wells_there_are_no_pictures_of_plates_and_with_them_there_are(tmp_path):
    assert report_of(tmp_path).plates == ()
    plates = report_of(tmp_path, with_key('well_column = "well"')).plates
    assert [plate.name for plate in plates] == [f"t · {k}" for k in range(1, 6)]
    assert plates[0].quality.n_vehicle == 4


@pytest.mark.parametrize(("numbers", "name"), [("down", "B12"), ("across", "H6")])
def test_numbered_wells_are_named_as_they_are_counted(tmp_path, numbers, name):
    table = [{**row, "number": 90 if row["number"] == 1 else row["number"]} for row in rows()]
    text = with_key(f'well_column = "number"\nwell_numbers = "{numbers}"')
    frame = report_of(tmp_path, text, table).plates[0].frame
    assert name in set(frame["well"])
    assert len(frame) == 4 * len(DOSES)


def test_columns_may_say_compound_line_and_role(tmp_path):
    table = [{**row, "drug": "acrylamide", "cells": "SH-SY5Y", "role": ""} for row in rows()]
    table += [{**table[0], "conc": 0, "f": 5.0, "role": "kill", "plate": plate, "day": day}
              for day, plates in DAYS.items() for plate in plates for _ in range(3)]  # fmt: skip
    text = STUDY.replace('compound = "acrylamide"', 'compound_column = "drug"').replace(
        'cell_line = "SH-SY5Y"', 'cell_line_column = "cells"\nrole_column = "role"'
    )
    (curve,) = report_of(tmp_path, text, table).curves
    assert curve.title == "acrylamide · SH-SY5Y"
    roles = curve.fits[0].response.role.tolist()
    assert (roles.count("kill"), roles.count("vehicle")) == (3, 4)
    assert np.isnan(curve.fits[0].response.concentration[curve.fits[0].response.role == "kill"]).all()


def test_a_row_without_a_signal_is_a_missing_well(tmp_path):
    table = list(rows())
    table[9]["f"] = ""
    fit = report_of(tmp_path, table=table).curves[0].fits[0]
    assert fit.n == 4 * len(DOSES) - 1
    assert "1 well is missing (flagged when read)." in fit.notes


def test_wells_of_a_table_can_be_left_out_with_a_reason(tmp_path):
    text = with_key('well_column = "well"') + '[[exclude]]\nplate = "t · 3"\nwells = ["A5"]\nreason = "bubble"\n'
    report = report_of(tmp_path, text)
    assert [fit.n for fit in report.curves[0].fits] == [32, 32, 31, 32, 32]
    assert report.exclusions[0].reason == "bubble"
    assert report.curves[0].pooled.n == 159


def test_tables_and_plates_make_one_study(tmp_path):
    example = write_example(tmp_path / "example")
    head, *plates = (example / "study.toml").read_text(encoding="utf-8").split("[[plate]]")
    table = [{**row, "day": "9", "plate": "1"} for row in rows(days={"9": ["1"]})]
    folder_of(
        example, head.split("[[compare]]")[0] + "[[plate]]" + plates[0] + STUDY[STUDY.index("[[table]]") :], table
    )
    report = analyse(load(example), example)
    assert [curve.compound for curve in report.curves] == ["CM572", "acrylamide"]
    assert [plate.channel for plate in report.plates] == ["570 − 660"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('signal_column = "f"', 'signal_column = "fluo"'), r'table\[1\] \(t\.csv\): .*there is no column "fluo"'),
        (('file = "t.csv"', 'file = "u.csv"'), r'table\[1\] .*u\.csv: there is no such file .*Did you mean "t\.csv"'),
        (('unit = "mM"', 'unit = "mN"'), r"table\[1\]\.unit: "),
        (('unit = "mM"\n', ""), r"table\[1\]\.unit is missing"),
        (('compound = "acrylamide"\n', ""), r'table\[1\]: an EC50 is of a compound\. Add compound = "…"'),
        (('cell_line = "SH-SY5Y"', 'cell_line = "x"\ncell_line_column = "y"'),
         r"table\[1\]: cell_line and cell_line_column both say it\. Keep one of them"),
        (('plate_column = "plate"', 'plat_column = "plate"'),
         r'unknown key "plat_column" in table\[1\]\. Did you mean "plate_column"'),
        (('plate_column = "plate"', 'plate_column = "plate"\nwell_column = "number"'),
         r'column "number" holds numbers, found "1"\. Say how wells are counted: well_numbers = "down"'),
        (('plate_column = "plate"', 'plate_column = "plate"\nplate_wells = 95'),
         r"table\[1\]\.plate_wells: no plate has 95 wells\. Known: 6, 12, 24, 48, 96"),
        (('plate_column = "plate"',
          'plate_column = "plate"\nwell_column = "number"\nwell_numbers = "down"\nplate_wells = 24'),
         r'column "number": a plate of 24 has no well 25'),
        (('plate_column = "plate"', 'plate_column = "plate"\nrole_column = "well"'), r'unknown role "A1"'),
        (('quantity = "fluorescence"', 'signal = "570"'),
         r"name channels of plate files, and this study has only tables\. Take them out"),
        (('time = "48', 'time = "48'), None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_named_and_nothing_is_written(tmp_path, change, message):
    if message is None:
        text, message = with_key('time = "48"'), r'table\[1\]\.time: time "48" has no unit'
    else:
        text = STUDY.replace(*change)
    folder = folder_of(tmp_path, text)
    with pytest.raises(HalfmaxError, match=message):
        run(folder)
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"conc": "-1"}, r'table\[1\] \(t\.csv\): t\.csv, row 3: column "conc" must be a finite number ≥ 0, found -1'),
        pytest.param(
            {"f": "high"},
            r't\.csv, row 3: column "f" must hold numbers, found "high"',
            # readers.long leaves closing the file to the garbage collector here
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
        ({"day": ""}, r't\.csv: column "day" is empty in a row\. Every row needs its day'),
        ({"plate": ""}, r't\.csv: column "plate" is empty in a row'),
        ({"conc": ""}, r't\.csv, row 3: column "conc" must be a finite number ≥ 0, found nan'),
    ],
)
def test_cells_that_are_not_what_their_column_holds_are_named(tmp_path, cells, message):
    table = list(rows())
    table[1] = {**table[1], **cells}
    with pytest.raises(TableError, match=message):
        report_of(tmp_path, table=table)


def test_a_vehicle_with_a_concentration_is_refused(tmp_path):
    table = [{**row, "role": "vehicle"} for row in rows()]
    text = with_key('role_column = "role"')
    with pytest.raises(TableError, match=r"a row says vehicle but has a concentration of 0\.0001 M\. Vehicle wells"):
        report_of(tmp_path, text, table)


def test_the_same_plate_twice_would_count_its_wells_twice(tmp_path):
    text = STUDY + STUDY[STUDY.index("[[table]]") :]
    with pytest.raises(StudyError, match=r'table\[1\] and table\[2\] both give plate "t · 1" of experiment "mon"'):
        report_of(tmp_path, text)


# The real table: CellTiter-Blue, acrylamide on SH-SY5Y, seven plates on three days.

CTB = """
[study]
title = "Acrylamide in SH-SY5Y: seven plates on three days"

[viability]
quantity = "fluorescence"

[[table]]
file = "ctb.csv"
concentration_column = "conc"
unit = "mM"
signal_column = "fluorescence"
experiment_column = "day"
plate_column = "plate"
well_column = "well"
well_numbers = "down"
compound = "acrylamide"
cell_line = "SH-SY5Y"
"""


@pytest.fixture(scope="module")
def ctb(data, tmp_path_factory):
    """Study of the real table, run as a user runs it."""
    folder = tmp_path_factory.mktemp("ctb")
    shutil.copy(data / "dose_response/drc/ctb.csv", folder)
    (folder / "study.toml").write_text(CTB, encoding="utf-8")
    return run(folder, name="r")


def by_scipy(path):
    """EC50 in M of every plate and the day it is of, by another optimiser."""
    with open(path, encoding="utf-8", newline="") as stream:
        wells = list(csv.DictReader(stream))

    def curve(dose, log_ec50, slope, top, bottom):
        with np.errstate(divide="ignore"):
            return bottom + (top - bottom) / (1 + np.exp(slope * (np.log(dose) - log_ec50)))

    found = {}
    for plate in dict.fromkeys(well["plate"] for well in wells):
        own = [well for well in wells if well["plate"] == plate]
        dose, signal = (np.array([float(w[name]) for w in own]) for name in ("conc", "fluorescence"))
        best, _ = optimize.curve_fit(curve, dose, signal, [math.log(5), 1.3, signal.max(), 0.0], xtol=1e-12, ftol=1e-12)
        found.setdefault(own[0]["day"], []).append(best[0] + math.log(1e-3))
    return found


def test_real_plates_and_days_agree_with_another_optimiser_and_a_pocket_calculator(ctb, data):
    (curve,) = ctb.report.curves
    days = by_scipy(data / "dose_response/drc/ctb.csv")
    assert [math.log(fit["ec50"].value) for fit in curve.fits] == pytest.approx(
        [x for day in days.values() for x in day], abs=1e-4
    )
    means = np.array([np.mean(day) for day in days.values()])
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    ec50 = curve.combined["ec50"]
    assert (ec50.low, ec50.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-3)
    assert curve.combined["sd_log10"].value == pytest.approx(means.std(ddof=1) / math.log(10), rel=1e-3)
    squares = sum(((np.array(day) - np.mean(day)) ** 2).sum() for day in days.values())
    assert curve.combined["sd_plate_log10"].value == pytest.approx(math.sqrt(squares / 4) / math.log(10), rel=1e-3)


def test_real_days_differ_by_more_than_plates_and_pooling_their_wells_hides_it(ctb):
    (curve,) = ctb.report.curves
    assert (len(curve.fits), curve.combined.n, curve.pooled.n) == (7, 3, 647)
    combined = curve.combined
    assert combined["sd_log10"].value > 2 * combined["sd_plate_log10"].value
    assert combined["i_squared"].value > 0.9
    answer, pooled = combined["ec50"], curve.pooled["ec50"]
    assert 5 < math.log(answer.high / answer.low) / math.log(pooled.high / pooled.low) < 9
    outside = [day for day in curve.experiments if not pooled.low < day["ec50"].value < pooled.high]
    assert len(outside) == 3
    assert all(answer.low < day["ec50"].value < answer.high for day in curve.experiments)


def test_the_report_of_the_real_table_states_the_variation_between_days(ctb):
    page = (ctb.folder / "report.html").read_text(encoding="utf-8")
    said = re.search(r"The 3 experiments differ in EC50 by an SD of ([\d.]+) decades, ([\d.]+)-fold", page)
    assert (float(said[1]), float(said[2])) == (0.099, 1.26)
    assert "plates of one experiment by 0.032 decades, 1.08-fold" in page
    assert "One fit through all 647 wells has an interval 7.2 times narrower" in page
    assert "647 wells pooled: no answer" in page
    assert {"report.pdf", "estimates.csv"} <= {path.name for path in ctb.folder.iterdir()}
    with open(ctb.folder / "estimates.csv", encoding="utf-8", newline="") as stream:
        kinds = [row["kind"] for row in csv.DictReader(stream)]
    assert kinds == ["plate"] * 7 + ["experiment"] * 3 + ["combined"]
    inputs = json.loads((ctb.folder / "provenance.json").read_text(encoding="utf-8"))["inputs"]
    assert [source["file"] for source in inputs] == ["ctb.csv", "study.toml"]


def test_real_plates_have_the_gradient_that_their_numbering_shows(ctb):
    """Counted down, the wells of every plate fall from row A to H at all doses: the numbering is right."""
    assert len(ctb.report.plates) == 7
    drifts = [{e.name: e for e in plate.quality.effects}["drift"] for plate in ctb.report.plates]
    assert all(drift.percent < -5 and drift.p < 0.05 for drift in drifts)


def test_the_page_of_the_docs_says_what_the_real_table_gives(ctb):
    page = (Path(__file__).parents[2] / "docs/methods/between-days.md").read_text(encoding="utf-8")
    (curve,) = ctb.report.curves
    told = [curve.combined["ec50"].text(), curve.pooled["ec50"].text(), *(d["ec50"].text() for d in curve.experiments)]
    told += [f"| {fit.response.plate[0]} | {fit['ec50'].text()} |" for fit in curve.fits]
    for text in told:
        assert text in page, f"between-days.md does not say {text}"
    for toml in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        assert toml.split("[[table]]")[1].split() == CTB.split("[[table]]")[1].split()
