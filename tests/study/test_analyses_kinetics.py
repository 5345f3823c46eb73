"""Kinetics of a study: inactivation and binding in time, from tables to a report, and bad entries told."""

import json

import numpy as np
import pandas as pd
import pytest

from halfmax.curves.inactivation import (
    EndpointAssay,
    competition_kinetics,
    inactivated_fraction,
    kobs,
    share_of_control,
)
from halfmax.errors import FitError, RangeError, StudyError, TableError
from halfmax.study import run

MINUTE, NM = 60.0, 1e-9
DTG = {"radioligand_kon": 1e5, "radioligand_koff": 2e-3}
RIVAL = {"kon": 4e5, "koff": 2.8e-3}
COVALENT = {"kinact": 6e-3, "k_inact_half": 1e-6}
ASSAY = EndpointAssay(substrate=1.4e-6, enzyme=2e-10, kcat=11 / MINUTE, km=2.9e-6, volume_before=8, volume_after=10)
INACTIVATION = """
[[inactivation]]
name = "covalent"
file = "data.csv"
concentration_column = "dose"
unit = "nM"
signal_column = "signal"
"""
SITES = INACTIVATION + 'analysis = "sites"\ntime_column = "min"\nquantity = "sites left (%)"\n'
RATES = INACTIVATION + 'analysis = "rates"\n'
ENDPOINT = (
    INACTIVATION
    + """preincubation_column = "before"
incubation_column = "during"
substrate = "1.4 µM"
km = "2.9 µM"
kcat = 11
enzyme = "0.2 nM"
volume_before = 8
volume_after = 10
"""
)
COURSES = """
[[time_course]]
name = "DTG"
file = "data.csv"
time_column = "min"
concentration_column = "dose"
unit = "nM"
signal_column = "signal"
"""
BESIDE = (
    COURSES
    + """analysis = "competitor"
radioligand_concentration = "5 nM"
radioligand_kon = "0.006 /nM/min"
radioligand_koff = "0.12 /min"
"""
)
SINGLE = """
[[time_course]]
name = "DTG"
file = "data.csv"
analysis = "single"
time_column = "min"
signal_column = "signal"
"""


def study(folder, *entries):
    """The folder with a study of these entries."""
    head = '[study]\ntitle = "Kinetics"\nsimulated = true\n'
    (folder / "study.toml").write_text(head + "".join(entries), encoding="utf-8")
    return folder


def analysed(folder, entry, table):
    """Analyses of one entry with its simulated table."""
    pd.DataFrame(table).to_csv(folder / "data.csv", index=False)
    return run(study(folder, entry), write=False).report.analyses


def grid(minutes, doses, replicates=2):
    """Time in min and concentration in nM of each well."""
    time, dose = np.meshgrid(np.repeat(np.array(minutes, dtype=float), replicates), np.array(doses, dtype=float))
    return time.ravel(), dose.ravel()


def noise(size, spread):
    """Scatter that is even around the truth, so that no test hangs on one draw."""
    return np.resize([spread, -spread], size)


def association(doses=(2, 5, 10, 20, 40)):
    time, dose = grid([1, 2, 4, 8, 16, 40], doses)
    bound = 2000 * competition_kinetics(time * MINUTE, radioligand=dose * NM, **DTG)
    return {"min": time, "dose": dose, "signal": bound + noise(time.size, 20)}


def beside(doses=(0, 3, 10, 30), radioligand=5.0):
    time, dose = grid([1, 2, 4, 8, 16, 40, 90], doses)
    bound = 2000 * competition_kinetics(
        time * MINUTE, radioligand=radioligand * NM, competitor=dose * NM, **DTG, **RIVAL
    )
    return {"min": time, "dose": dose, "signal": bound + noise(time.size, 8)}


def sites(doses=(0, 300, 1000, 3000)):
    time, dose = grid([0, 1, 2, 5, 10], doses)
    left = 100 * (1 - inactivated_fraction(dose * NM, time * MINUTE, **COVALENT))
    return {"min": time, "dose": dose, "signal": left + noise(time.size, 2)}


def rates(doses=(100, 300, 1000, 3000, 10000)):
    dose = np.repeat(np.array(doses, dtype=float), 2)
    rate = MINUTE * kobs(dose * NM, **COVALENT)
    return {"dose": dose, "signal": rate * (1 + noise(dose.size, 0.03))}


def endpoint(minutes=(0.5, 2, 8), scale=1.0, **constants):
    before, dose = grid(minutes, [30, 100, 300, 1000, 3000, 10000])
    share = share_of_control(dose * NM, before * MINUTE, 900.0, assay=ASSAY, **COVALENT, **constants)
    signal = scale * (100 * share + noise(dose.size, 1))
    return {"before": before, "during": np.full(dose.size, 15.0), "dose": dose, "signal": signal}


def assert_holds(analysis, **truth):
    for name, value in truth.items():
        found = analysis.estimate[name]
        assert found.operator == "=", name
        assert found.low < value < found.high, name


def assert_drawn(analysis, labels, kind):
    (plot,) = analysis.plots
    assert [one.label for one in plot.series] == labels
    assert plot.x_kind == kind
    for one in plot.series:
        assert np.isfinite(one.line).all()
        spread = np.ptp(np.concatenate([s.y for s in plot.series]))
        assert np.abs(np.interp(one.x, one.at, one.line) - one.y).max() < 0.15 * spread


def test_sites_left_give_both_constants_and_a_line_for_each_dose(tmp_path):
    (one,) = analysed(tmp_path, SITES, sites())
    assert_holds(one, kinact=6e-3, k_inact_half=1e-6, k_inact_ratio=6e3)
    assert_drawn(one, ["no ligand", "300 nM", "1 µM", "3 µM"], "time")
    assert one.answer.startswith("kinact / K_I 0.3")
    assert "/µM/min" in one.answer
    assert one.sentence.startswith("Both constants are identified: kinact 0.3")
    assert one.plots[0].y_title == "sites left (%)"


def test_doses_far_below_k_inact_half_leave_kinact_one_sided(tmp_path):
    (one,) = analysed(tmp_path, SITES, sites((0, 3, 10, 30)) | {"min": 4 * grid([0, 1, 2, 5, 10], [0] * 4)[0]})
    assert one.estimate["kinact"].operator in (">", "?")
    assert one.estimate["k_inact_half"].operator in (">", "?")
    assert one.estimate.status.startswith("open")
    assert "not separable" in one.sentence


@pytest.mark.parametrize(("unit", "factor", "noise_model"), [("min", 1.0, "proportional"), ("s", 1 / 60, "constant")])
def test_rates_are_by_the_time_unit(tmp_path, unit, factor, noise_model):
    table = rates()
    entry = RATES + f'time_unit = "{unit}"\nnoise = "{noise_model}"\n'
    (one,) = analysed(tmp_path, entry, table | {"signal": factor * table["signal"]})
    assert_holds(one, kinact=6e-3, k_inact_half=1e-6)
    assert_drawn(one, ["k_obs"], "concentration")
    assert one.plots[0].y_title == "k_obs (/min)"


def test_an_endpoint_may_be_raw_product_with_its_control_fitted(tmp_path):
    (percent,) = analysed(tmp_path, ENDPOINT, endpoint())
    (raw,) = analysed(tmp_path, ENDPOINT + "fit_control = true\n", endpoint(scale=37.0))
    for one in (percent, raw):
        assert_holds(one, kinact=6e-3, k_inact_half=1e-6)
        assert_drawn(one, [f"{time} pre-incubation" for time in ("30 s", "2 min", "8 min")], "concentration")
    assert_holds(raw, control=3700.0)
    assert (percent.plots[0].y_title, raw.plots[0].y_title) == ("% of control", "product")


def test_a_bond_that_opens_again_has_its_k6(tmp_path):
    (one,) = analysed(tmp_path, ENDPOINT + "reversible = true\n", endpoint((0.5, 2, 8, 60), k6=5e-4))
    assert_holds(one, k6=5e-4, k_inact_half=1e-6, kinact=6e-3)
    assert_drawn(one, [f"{time} pre-incubation" for time in ("30 s", "2 min", "8 min", "1 h")], "concentration")
    assert one.sentence.startswith("All constants are identified: kinact 0.36")
    assert "k6 0.03" in one.sentence
    assert "k5" in one.notes[0]


def test_association_at_several_concentrations_gives_kon_koff_and_kd(tmp_path):
    (one,) = analysed(tmp_path, COURSES, association())
    assert_holds(one, kon=1e5, koff=2e-3, kd=2e-8, bmax=2000.0)
    assert_drawn(one, ["2 nM", "5 nM", "10 nM", "20 nM", "40 nM"], "time")
    assert one.answer.startswith("k_on 5.9") or one.answer.startswith("k_on 6.0")
    assert "All three are identified: Kd = k_off / k_on is" in one.sentence
    assert "Half of the complex is gone after 5." in one.sentence


def test_a_competitor_beside_the_radioligand_gives_its_own_constants(tmp_path):
    (one,) = analysed(tmp_path, BESIDE, beside())
    assert_holds(one, kon=4e5, koff=2.8e-3, ki=7e-9, bmax=2000.0)
    assert_drawn(one, ["no competitor", "3 nM", "10 nM", "30 nM"], "time")
    assert one.notes == (
        "k_on 6 /µM/min and k_off 0.12 /min of the radioligand were taken as known: their own uncertainty is not in "
        "the intervals.",
    )


def test_the_radioligand_may_differ_between_tubes(tmp_path):
    one, other = pd.DataFrame(beside((0, 10))), pd.DataFrame(beside((0, 10), radioligand=20.0))
    table = pd.concat([one.assign(hot=5.0), other.assign(hot=20.0)])
    entry = BESIDE.replace('radioligand_concentration = "5 nM"', 'radioligand_column = "hot"')
    (found,) = analysed(tmp_path, entry, table)
    assert_holds(found, kon=4e5, koff=2.8e-3)
    assert found.plots[0].series[-1].label == "10 nM, 20 nM radioligand"


def test_single_courses_are_fitted_one_by_one(tmp_path):
    found = analysed(tmp_path, COURSES + 'analysis = "single"\n', association((10, 40)))
    assert [one.title for one in found] == ["DTG, 10 nM", "DTG, 40 nM"]
    for one, rate in zip(found, (3e-3, 6e-3), strict=True):
        assert_holds(one, kobs=rate)
        assert_drawn(one, ["association"], "time")
        assert one.answer.startswith("k_obs 0.")
    time = np.repeat([0.0, 1, 2, 4, 8, 16, 40], 2)
    table = {"min": time, "signal": 700 * np.exp(-0.12 * time) + noise(time.size, 10)}
    (one,) = analysed(tmp_path, SINGLE + 'model = "dissociation"\n', table)
    assert_holds(one, koff=2e-3)
    assert one.title == "DTG"
    assert "Half of the complex is gone after" in one.sentence


def test_the_report_has_every_condition_and_says_that_data_are_simulated(tmp_path):
    for name, table in {"binding": association(), "sites": sites()}.items():
        pd.DataFrame(table).to_csv(tmp_path / f"{name}.csv", index=False)
    entries = (COURSES.replace("data.csv", "binding.csv"), SITES.replace("data.csv", "sites.csv"))
    outcome = run(study(tmp_path, *entries), name="one")
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    for text in ("Kinetics", "simulated data", "40 nM", "no ligand", *(one.answer for one in outcome.report.analyses)):
        assert text in page
    assert (outcome.folder / "report.pdf").read_bytes()[:5] == b"%PDF-"
    written = json.loads((outcome.folder / "estimates.json").read_text(encoding="utf-8"))["estimates"]
    assert [record["label"] for record in written] == ["DTG", "covalent"]
    sources = json.loads((outcome.folder / "provenance.json").read_text(encoding="utf-8"))["inputs"]
    assert {"binding.csv", "sites.csv"} <= {one["file"] for one in sources}


@pytest.mark.parametrize(
    ("entry", "without", "message"),
    [
        (ENDPOINT, 'km = "2.9 µM"\n', r'analysis = "endpoint" needs km\. Add km = "2\.9 µM"'),
        (ENDPOINT, "kcat = 11\n", r'needs kcat\. Add kcat = 11, or choose another analysis: "sites", "rates"'),
        (SITES, 'time_column = "min"\n', r'analysis = "sites" needs time_column\. Add time_column = "minutes"'),
        (COURSES, 'concentration_column = "dose"\n', r'"radioligand" needs concentration_column\. Add .* = "radiolig'),
        (BESIDE, 'radioligand_kon = "0.006 /nM/min"\n', r'needs radioligand_kon\. Add .* = "0\.006 /nM/min"'),
        (BESIDE, 'radioligand_concentration = "5 nM"\n', r"a competition needs the radioligand once\. Add either"),
        (COURSES + 'analysis = "single"\n', 'unit = "nM"\n', r'concentration_column has no unit\. Add unit = "nM"'),
    ],
)
def test_a_key_that_an_analysis_needs_is_asked_for(tmp_path, entry, without, message):
    with pytest.raises(StudyError, match=r"study\.toml: (inactivation|time_course)\[1\]: .*" + message):
        run(study(tmp_path, entry.replace(without, "")), write=False)


@pytest.mark.parametrize(
    ("entry", "old", "new", "message"),
    [
        (SITES, 'unit = "nM"', 'unit = "nmM"', r'inactivation\[1\]\.unit: unknown unit "nmM"'),
        (SITES, "quantity", 'time_unit = "minits"\nquantity', r'inactivation\[1\]\.time_unit: .*"minits"'),
        (ENDPOINT, "0.2 nM", "0.2", r"inactivation\[1\]\.enzyme: .*has no unit"),
        (ENDPOINT, "2.9 µM", "0 µM", r'km: a concentration above 0 was expected, found "0 µM"'),
        (BESIDE, "0.006 /nM/min", "6 /min", r'kon: a rate constant above 0 was expected, found "6 /min"\. Write it as'),
        (BESIDE, "0.12 /min", "-0.12 /min", r'koff: a rate .*found "-0\.12 /min"\. Write it as "0\.12 /min"'),
        (SITES, "quantity", 'km = "1 µM"\nquantity', r'km has no meaning for analysis = "sites"\. Remove it, or set'),
        (
            COURSES,
            "unit",
            'model = "dissociation"\nunit',
            r'model has no meaning .*"radioligand".* analysis = "single"',
        ),
    ],
)
def test_units_and_keys_out_of_place_are_told(tmp_path, entry, old, new, message):
    with pytest.raises(StudyError, match=message):
        run(study(tmp_path, entry.replace(old, new)), write=False)


def test_times_and_concentrations_below_zero_are_told_with_their_row(tmp_path):
    table = association()
    with pytest.raises(TableError, match=r"data\.csv: min must be at least 0, found -1 in data row 3\. Correct it"):
        analysed(tmp_path, COURSES, table | {"min": np.r_[table["min"][:2], -1, table["min"][3:]]})
    with pytest.raises(TableError, match=r"data\.csv: dose must be at least 0, found -5 in data row 1"):
        analysed(tmp_path, COURSES, table | {"dose": np.r_[-5, table["dose"][1:]]})
    with pytest.raises(TableError, match=r"data\.csv: min is empty in data row 2"):
        analysed(tmp_path, COURSES, table | {"min": np.r_[1, np.nan, table["min"][2:]]})


def test_a_single_course_whose_time_goes_back_is_told(tmp_path):
    table = {"min": [0, 1, 5, 2, 10], "signal": [10.0, 8, 4, 6, 2]}
    with pytest.raises(RangeError, match=r"data\.csv: DTG, row 4: the time goes back from 300 s to 120 s\. Sort"):
        analysed(tmp_path, SINGLE, table)


@pytest.mark.parametrize(
    ("entry", "table", "message"),
    [
        (COURSES, association((10,)), r'one concentration above 0 \(10 nM\).*alone with analysis = "single"'),
        (SITES, sites((0, 300)), r"one concentration above 0 \(300 nM\)\. kinact and K_I cannot be told apart"),
        (RATES, rates((300,)), r"one concentration above 0 \(300 nM\)\. .* Add rates at concentrations below and"),
    ],
)
def test_one_concentration_cannot_tell_the_constants_apart(tmp_path, entry, table, message):
    with pytest.raises(FitError, match=r"data\.csv: dose holds " + message):
        analysed(tmp_path, entry, table)


def test_a_competition_without_competitor_names_its_file(tmp_path):
    with pytest.raises(RangeError, match=r"data\.csv: the competitor's concentrations are all 0 M"):
        analysed(tmp_path, BESIDE, beside((0,)))


def test_a_column_that_is_not_there_is_told(tmp_path):
    with pytest.raises(TableError, match=r'data\.csv: there is no column "min"\. Known: time, dose, signal'):
        analysed(tmp_path, COURSES, pd.DataFrame(association()).rename(columns={"min": "time"}))
