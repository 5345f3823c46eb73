"""Binding: from counts to moles, what is kept, what is flagged, what is refused. All data are simulated."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfmax.assays.binding import (
    HALF_LIVES,
    BindingAssay,
    BindingExperiment,
    Radioligand,
    Tube,
    binding_experiments,
    binding_quality,
    tubes_of,
)
from halfmax.errors import FitError, RangeError, StudyError, TableError
from halfmax.readers.counts import read_counts
from halfmax.readers.tubes import read_tubes
from halfmax.table import AssayTable

LIGAND = Radioligand.of("[3H]DTG", specific_activity="80 Ci/mmol", efficiency=0.5)
ASSAY = BindingAssay.of(LIGAND, volume="0.5 mL", protein="50 µg", target="sigma-2", masking="(+)-pentazocine")

#: cpm of 1 pM bound in ASSAY: 1e-12 M × 0.5 mL × 177.6e15 dpm/mol × 0.5.
CPM_OF_PM = 1e-12 * 0.5e-3 * 177.6e15 * 0.5


def counts(cpm: dict[str, float], *, minutes: float | None = 2.0, flags: dict[str, str] | None = None, **channels):
    """Table of tubes."""
    flags = flags or {}
    columns = {"cpm": cpm, **channels} | ({} if minutes is None else {"minutes": dict.fromkeys(cpm, minutes)})
    rows = [
        {"plate": tube, "channel": channel, "signal": value, "flag": flags.get(tube, "") if channel == "cpm" else ""}
        for channel, values in columns.items()
        for tube, value in values.items()
    ]
    return AssayTable(pd.DataFrame(rows))


def layout(*rows: str, titles: str = "tube role radioligand_nM compound concentration") -> pd.DataFrame:
    """Layout of rows of words; a dot is an empty cell."""
    cells = [["" if word == "." else word.replace("~", " ") for word in row.split()] for row in rows]
    index = [f"tubes.csv, line {n}, tube {row[0]}" for n, row in enumerate(cells, 2)]
    return pd.DataFrame(cells, columns=titles.split(), index=index)


SIMPLE = layout("1 total 5 . .", "2 total 5 . .", "3 nonspecific 5 haloperidol 10~µM", "4 background . . .")
SIMPLE_COUNTS = {"1": 2030.0, "2": 2130.0, "3": 430.0, "4": 30.0}


def one(table: AssayTable, tubes: pd.DataFrame, assay: BindingAssay = ASSAY, **options: object) -> BindingExperiment:
    (only,) = binding_experiments(table, tubes, assay, **options)  # type: ignore[arg-type]
    return only


# From counts to moles


def test_counts_become_moles_by_efficiency_specific_activity_and_volume():
    made = one(counts(SIMPLE_COUNTS), SIMPLE)
    assert made.bound * 1e12 == pytest.approx(np.array([2000.0, 2100.0, 400.0]) / CPM_OF_PM)
    assert made.nonspecific.tolist() == [False, False, True]
    assert made.nonspecific_by == "haloperidol"
    assert made.competitor.tolist() == [0.0, 0.0, 0.0]


def test_eighty_curies_a_millimole_are_177_6_dpm_a_femtomole():
    assert LIGAND.dpm_per_mol == pytest.approx(177.6e15)
    assert Radioligand.of("L", specific_activity="177.6 dpm/fmol").dpm_per_mol == pytest.approx(177.6e15)
    assert Radioligand.of("L", specific_activity="2.96 TBq/mmol").dpm_per_mol == pytest.approx(177.6e15)


def test_units_of_bound_lead_into_each_other_and_back():
    made = one(counts(SIMPLE_COUNTS), SIMPLE)
    mass = made.in_fmol_per_mg()
    assert mass.bound == pytest.approx(made.bound * 0.5e-3 * 1e15 / 0.05)
    assert made.in_unit("cpm").bound == pytest.approx([2000.0, 2100.0, 400.0])
    assert made.in_unit("dpm").bound == pytest.approx([4000.0, 4200.0, 800.0])
    for unit in ("cpm", "dpm", "fmol/mg"):
        assert made.in_unit(unit).in_molar().bound == pytest.approx(made.bound, rel=1e-12)
        assert one(counts(SIMPLE_COUNTS), SIMPLE, unit=unit).bound == pytest.approx(made.in_unit(unit).bound)


def test_the_counters_own_dpm_are_taken_where_no_efficiency_is_stated():
    ligand = dataclasses.replace(LIGAND, efficiency=math.nan)
    dpm = {tube: 2.0 * cpm for tube, cpm in SIMPLE_COUNTS.items()}
    made = one(counts(SIMPLE_COUNTS, dpm=dpm), SIMPLE, dataclasses.replace(ASSAY, radioligand=ligand))
    expected = one(counts(SIMPLE_COUNTS), SIMPLE)
    assert made.bound == pytest.approx(expected.bound)
    assert made.bound_sd == pytest.approx(expected.bound_sd)
    assert "The disintegrations are the counter's own (dpm)." in made.notes


def test_a_stated_background_is_that_of_background_tubes():
    stated = dataclasses.replace(ASSAY, background=30.0)
    rows = SIMPLE[SIMPLE["role"] != "background"]
    assert one(counts(SIMPLE_COUNTS), rows, stated).bound == pytest.approx(one(counts(SIMPLE_COUNTS), SIMPLE).bound)
    notes = one(counts(SIMPLE_COUNTS), rows).notes
    assert "No background was taken off: there are no background tubes." in notes


def test_protein_may_be_given_in_the_volume_or_tube_by_tube():
    assert BindingAssay.of(LIGAND, volume="0.5 mL", protein="0.1 mg/mL").protein == pytest.approx(0.05)
    rows = SIMPLE.assign(**{"protein (µg)": ["50", "100", "50", ""]})
    bound = one(counts(SIMPLE_COUNTS), rows, unit="fmol/mg").bound
    assert bound[1] / bound[0] == pytest.approx(2100 / 2000 / 2)


def test_the_counting_error_is_that_of_poisson():
    made = one(counts(SIMPLE_COUNTS), SIMPLE, unit="cpm")
    assert made.bound_sd == pytest.approx(np.sqrt(np.array([2030, 2130, 430]) / 2 + 30 / 2))


def test_the_counting_error_predicts_the_scatter_of_simulated_counts():
    rng = np.random.default_rng(1)
    minutes, rate, back = 2.0, 400.0, 30.0
    n = 4000
    gross = rng.poisson(rate * minutes, n) / minutes
    empty = rng.poisson(back * minutes, n) / minutes
    found = [
        one(counts({"1": g, "4": b}), SIMPLE[SIMPLE["tube"].isin(["1", "4"])], unit="cpm")
        for g, b in zip(gross[:40], empty[:40], strict=True)
    ]
    expected = float(np.mean([made.bound_sd[0] for made in found]))
    assert (gross - empty).std() == pytest.approx(expected, rel=0.05)


def test_a_tube_without_a_single_count_has_an_error_all_the_same():
    rows = {"1": 2030.0, "2": 2030.0, "3": 0.0, "4": 0.0}
    assert (one(counts(rows), SIMPLE, unit="cpm").bound_sd > 0).all()


def test_the_counters_two_sigma_serve_where_there_is_no_time():
    table = counts(SIMPLE_COUNTS, minutes=None, error_percent=dict.fromkeys(SIMPLE_COUNTS, 4.0))
    assert one(table, SIMPLE, unit="cpm").bound_sd[0] == pytest.approx(math.hypot(0.02 * 2030, 0.02 * 30))
    assert any("counting error is not known" in n for n in one(counts(SIMPLE_COUNTS, minutes=None), SIMPLE).notes)


# Decay


@pytest.mark.parametrize("isotope", ["3H", "35S", "125I"])
def test_decay_over_one_half_life_doubles_the_moles_of_a_disintegration(isotope):
    days = round(HALF_LIVES[isotope] / 86400)
    start = pd.Timestamp("2020-01-01").date()
    fresh = Radioligand("L", isotope, 1e14, start, start)
    old = dataclasses.replace(fresh, counted=start + pd.Timedelta(days=days).to_pytimedelta())
    assert (1 / old.dpm_per_mol) / (1 / fresh.dpm_per_mol) == pytest.approx(2.0, rel=0.01)


@given(st.integers(0, 20_000))
def test_decay_is_two_to_the_minus_time_over_half_life(days):
    start = pd.Timestamp("2020-01-01").date()
    ligand = Radioligand("L", "3H", 1e14, start, start + pd.Timedelta(days=days).to_pytimedelta())
    assert ligand.remaining == pytest.approx(2 ** (-days / (12.32 * 365.25)), rel=1e-12)


def test_a_ligand_that_decay_destroys_keeps_its_specific_activity_and_loses_concentration():
    ligand = Radioligand.of(
        "[125I]X", specific_activity="2000 Ci/mmol", calibrated="2026-01-01", counted="2026-03-01", efficiency=0.8,
        decayed_binds=False,
    )  # fmt: skip
    kept = dataclasses.replace(ligand, decayed_binds=True)
    assay = dataclasses.replace(ASSAY, radioligand=ligand)
    made = one(counts(SIMPLE_COUNTS), SIMPLE, assay)
    assert made.radioligand[0] == pytest.approx(5e-9 * 2 ** (-59 / 59.4))
    other = one(counts(SIMPLE_COUNTS), SIMPLE, dataclasses.replace(assay, radioligand=kept))
    assert other.radioligand[0] == pytest.approx(5e-9)
    assert other.bound / made.bound == pytest.approx(2 ** (59 / 59.4))


@pytest.mark.parametrize(
    ("name", "isotope"),
    [("[3H]DTG", "3H"), ("[³H]DTG", "3H"), ("H-3 DTG", "3H"), ("[125I]RHM-4", "125I"), ("35S-GTPγS", "35S"),
     ("(14C)urea", "14C"), ("DTG", "")],
)  # fmt: skip
def test_the_isotope_is_read_off_the_name(name, isotope):
    assert Radioligand.of(name).isotope == isotope


# Added, bound, free


def test_what_was_counted_as_added_replaces_the_nominal_concentration():
    added = 4.0e-9 * 0.5e-3 * 177.6e15 * 0.5 * 0.1 + 30
    rows = pd.concat([SIMPLE, layout("5 added 5 . .")]).assign(fraction=["", "", "", "", "0.1"])
    made = one(counts({**SIMPLE_COUNTS, "5": added}), rows)
    assert made.radioligand == pytest.approx(4e-9)
    assert made.recovery == pytest.approx(0.8)


def test_free_and_bound_add_up_to_added():
    made = one(counts(SIMPLE_COUNTS), SIMPLE)
    assert made.free() + made.bound == pytest.approx(made.radioligand, rel=1e-15)


def test_depletion_above_ten_percent_is_flagged():
    few = one(counts(SIMPLE_COUNTS), SIMPLE)
    assert not any("added radioligand is bound" in flag for flag in binding_quality(few).flags)
    many = {"1": 800 * CPM_OF_PM, "2": 900 * CPM_OF_PM, "3": 430.0, "4": 30.0}
    quality = binding_quality(one(counts(many), SIMPLE))
    assert quality.fraction_bound == pytest.approx(0.17, rel=0.01)
    assert any(f.startswith("17 % of the added radioligand is bound (above 10 %)") for f in quality.flags)


def test_a_nominal_concentration_stands_in_where_the_added_was_not_counted():
    rows = pd.concat([SIMPLE, layout("5 total 1 . .", "6 added 5 . .")])
    table = counts({**SIMPLE_COUNTS, "5": 500.0, "6": 5e-9 * 0.5e-3 * 177.6e15 * 0.5 + 30})
    made = one(table, rows)
    assert made.radioligand.tolist() == pytest.approx([1e-9, 5e-9, 5e-9, 5e-9])
    assert "The radioligand added was not counted at 1 nM: the nominal concentration stands there." in made.notes


def test_in_cpm_the_tubes_added_are_left_alone():
    rows = pd.concat([SIMPLE, layout("6 added 5 . .")])
    bare = BindingAssay(Radioligand.of("[3H]DTG"))
    made = one(counts({**SIMPLE_COUNTS, "6": 2e5}), rows, bare, unit="cpm")
    assert made.radioligand[0] == 5e-9
    assert any("tubes of role added were not used" in note for note in made.notes)


# What goes together


def test_each_compound_has_the_controls_of_its_own_experiment():
    titles = "tube role radioligand_nM compound concentration experiment"
    rows = layout(
        "1 total 5 . . a", "2 total 5 X 1~µM a", "3 total 5 Y 1~µM a", "4 NSB 5 haloperidol 10~µM a",
        "5 total 5 . . b", "6 total 5 X 1~µM b", "7 NSB 5 haloperidol 10~µM b", "8 background . . . .", titles=titles,
    )  # fmt: skip
    cpm = {str(n): value for n, value in enumerate([2000.0, 900, 1500, 300, 2200, 1000, 310, 30], 1)}
    made = binding_experiments(counts(cpm), rows, ASSAY, unit="cpm")
    assert [(m.experiment, m.compound, m.tube.tolist()) for m in made] == [
        ("a", "X", ["1", "2", "4"]), ("a", "Y", ["1", "3", "4"]), ("b", "X", ["5", "6", "7"]),
    ]  # fmt: skip
    assert [m.bound[0] for m in made] == [1970.0, 1970.0, 2170.0]


def test_excluded_and_flagged_tubes_stay_with_their_reasons():
    rows = SIMPLE.assign(excluded=["dropped", "", "", ""])
    cpm = {**SIMPLE_COUNTS, "2": math.nan}
    made = one(counts(cpm, flags={"2": "saturated"}), rows)
    assert made.excluded.tolist() == ["dropped", "saturated: the instrument's range was exceeded", ""]
    assert made.used.tolist() == [False, False, True]
    assert math.isnan(made.bound[1])
    assert one(counts(SIMPLE_COUNTS), SIMPLE).excluding(["3"], "leaked").excluded.tolist() == ["", "", "leaked"]


def test_repeated_counts_are_pooled_after_incubation_and_a_time_course_without():
    rows = [("1", 0.0, 2000.0), ("1", 60.0, 2100.0), ("3", 0.0, 430.0), ("3", 60.0, 430.0)]
    table = AssayTable.of({"plate": [r[0] for r in rows], "time_s": [r[1] for r in rows], "channel": "cpm",
                           "signal": [r[2] for r in rows]})  # fmt: skip
    plain = SIMPLE[SIMPLE["tube"].isin(["1", "3"])]
    read_in_place = one(table, plain, unit="cpm")
    assert read_in_place.time_s.tolist() == [0.0, 60.0, 0.0, 60.0]
    assert read_in_place.designs == ("time course",)
    stopped = one(table, plain.assign(time="120 min"), unit="cpm")
    assert stopped.bound.tolist() == [2050.0, 430.0]
    assert stopped.time_s.tolist() == [7200.0, 7200.0]


def test_wells_of_a_plate_are_tubes():
    table = AssayTable.of({"plate": "p", "well": ["A1", "A2", "B1"], "channel": "cpm", "signal": [900.0, 100.0, 9.0]})
    rows = layout("a01 total 5 . .", "A2 nsb 5 x 1~µM", "B1 bg . . .", titles="well role hot_nM compound conc")
    assert one(table, rows, unit="cpm").tube.tolist() == ["A1", "A2"]


# Invariances


def _saturation(rng: random.Random) -> tuple[dict[str, float], list[str]]:
    rows, cpm = [], {}
    for level in (0.5, 1, 2, 5, 10, 20):
        for role in ("total", "total", "nonspecific"):
            tube = str(len(rows) + 1)
            rows.append(f"{tube} {role} {level} {'haloperidol 10~µM' if role == 'nonspecific' else '. .'}")
            specific = 0 if role == "nonspecific" else 2000 * level / (level + 8)
            cpm[tube] = round(30 + 20 * level + specific + rng.gauss(0, 10), 1)
    for _ in range(3):
        tube = str(len(rows) + 1)
        rows.append(f"{tube} background . . .")
        cpm[tube] = round(30 + rng.gauss(0, 1), 1)
    return cpm, rows


def assert_same(first: BindingExperiment, second: BindingExperiment, rel: float) -> None:
    for name in ("radioligand", "competitor", "bound", "bound_sd"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=rel, abs=0), name
    for name in ("tube", "replicate", "excluded", "nonspecific"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist(), name
    assert first.notes == second.notes


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_tubes_never_matters(rng):
    cpm, rows = _saturation(random.Random(1))
    expected = one(counts(cpm), layout(*rows))
    tubes, shuffled = list(cpm), list(rows)
    rng.shuffle(tubes)
    rng.shuffle(shuffled)
    assert_same(one(counts({tube: cpm[tube] for tube in tubes}), layout(*shuffled)), expected, rel=0)


@pytest.mark.parametrize("unit", ["pM", "nM", "µM", "mol/L"])
def test_the_unit_of_a_concentration_changes_nothing(unit):
    cpm, rows = _saturation(random.Random(2))
    frame = layout(*rows)
    scale = {"pM": 1e3, "nM": 1.0, "µM": 1e-3, "mol/L": 1e-9}[unit]
    scaled = [repr(float(text) * scale) if text else "" for text in frame["radioligand_nM"]]
    other = frame.drop(columns="radioligand_nM").assign(**{f"radioligand ({unit})": scaled})
    assert_same(one(counts(cpm), other), one(counts(cpm), frame), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 1.0), st.floats(1e-5, 1e-2), st.floats(1e-3, 10.0))
def test_mol_bound_falls_with_efficiency_and_does_not_know_the_volume(efficiency, volume, protein):
    table = counts({tube: 0.01 * cpm for tube, cpm in SIMPLE_COUNTS.items()})
    ligand = dataclasses.replace(LIGAND, efficiency=efficiency)
    made = one(table, SIMPLE, BindingAssay(ligand, volume, protein, masking="x"), unit="fmol/mg")
    mol = made.bound * 1e-15 * protein
    assert mol == pytest.approx(np.array([20.0, 21.0, 4.0]) / efficiency / 177.6e15, rel=1e-9)
    assert made.in_molar().bound == pytest.approx(mol / volume, rel=1e-12)


# Quality


def test_quality_says_nonspecific_share_window_scatter_and_recovery():
    quality = binding_quality(one(counts(SIMPLE_COUNTS), SIMPLE))
    assert quality.nonspecific_fraction == pytest.approx(400 / 2050)
    assert quality.window == pytest.approx(1650 / 400)
    assert quality.replicate_cv == pytest.approx(100 * math.sqrt(2 * (50 / 2050) ** 2))
    assert (quality.n_total, quality.n_nonspecific, quality.n_excluded, quality.n_negative) == (2, 1, 0, 0)
    assert quality.counting_cv == pytest.approx(100 * np.median(np.sqrt([1030, 1080]) / [2000, 2100]), rel=1e-3)
    assert quality.flags == ()


@pytest.mark.parametrize(
    ("cpm", "flag"),
    [
        ({"3": 1630.0}, "nonspecific is up to 78 % of total"),
        ({"2": 1030.0}, "replicates scatter by 47 %"),
    ],
)
def test_what_is_not_good_is_flagged_in_words(cpm, flag):
    made = one(counts({**SIMPLE_COUNTS, **cpm}), SIMPLE)
    assert flag in binding_quality(made).flags
    assert f"Flag: {flag}." in made.notes


def test_a_short_count_and_a_poor_recovery_are_flagged():
    brief = one(counts(SIMPLE_COUNTS, minutes=0.05), SIMPLE)
    assert "counting alone gives 10 % error: count longer" in binding_quality(brief).flags
    poor = dataclasses.replace(brief, recovery=0.5)
    assert "50 % of the nominal radioligand was counted as added" in binding_quality(poor).flags
    bare = one(counts(SIMPLE_COUNTS), SIMPLE[SIMPLE["role"] != "nonspecific"])
    assert any(flag.startswith("no nonspecific tubes") for flag in binding_quality(bare).flags)


def test_negative_specific_binding_is_kept_and_noted():
    made = one(counts({"1": 420.0, "2": 560.0, "3": 430.0, "4": 30.0}), SIMPLE, unit="cpm")
    assert made.specific().tolist()[:2] == [-10.0, 130.0]
    assert made.bound.tolist() == [390.0, 530.0, 400.0]
    assert binding_quality(made).n_negative == 1
    assert "Specific binding is negative in 1 of 2 total tubes (1): kept, not set to zero." in made.notes


def test_negative_bound_below_the_background_is_kept():
    made = one(counts({"1": 20.0, "2": 25.0, "3": 22.0, "4": 30.0}), SIMPLE, unit="cpm")
    assert made.bound.tolist() == [-10.0, -5.0, -8.0]


def test_a_missing_masking_ligand_is_noted_at_sigma_2_with_dtg_only():
    bare = dataclasses.replace(ASSAY, masking="")
    told = [note for note in one(counts(SIMPLE_COUNTS), SIMPLE, bare).notes if "masking" in note]
    assert told == [
        "[3H]DTG binds to sigma-1 as well, and no masking ligand is stated: what is bound may be both. State masking, "
        "such as 100 nM (+)-pentazocine."
    ]
    for other in (
        ASSAY,
        dataclasses.replace(bare, target="sigma-1"),
        dataclasses.replace(bare, radioligand=dataclasses.replace(LIGAND, name="[125I]RHM-4")),
    ):
        assert not any("masking" in note for note in one(counts(SIMPLE_COUNTS), SIMPLE, other).notes)
    mixed = SIMPLE.assign(masking=["100 nM (+)-pentazocine", "", "", ""])
    assert any(n.startswith("Some tubes state a masking") for n in one(counts(SIMPLE_COUNTS), mixed, bare).notes)


# Refusals


def test_nonspecific_above_total_is_refused_unless_chance_explains_it():
    swapped = layout(
        "1 total 5 . .", "2 total 5 . .", "3 nsb 5 h 10~µM", "5 nsb 5 h 10~µM", "4 background . . .",
    )  # fmt: skip
    cpm = {"1": 430.0, "2": 445.0, "3": 2030.0, "5": 2100.0, "4": 30.0}
    with pytest.raises(
        TableError,
        match=r"\[3H\]DTG at sigma-2, radioligand 5 nM: nonspecific is above total\. Expected nonspecific ≤ total .* "
        r"found .* against .* M\. Are the roles of total and nonspecific tubes swapped",
    ):
        binding_experiments(counts(cpm), swapped, ASSAY)
    chance = {"1": 430.0, "2": 470.0, "3": 455.0, "5": 460.0, "4": 30.0}
    assert any("negative" in note for note in one(counts(chance), swapped).notes)


def test_nonspecific_above_total_is_refused_by_the_counting_error_where_there_are_no_replicates():
    rows = SIMPLE[SIMPLE["tube"] != "2"]
    assert one(counts({"1": 400.0, "3": 430.0, "4": 30.0}), rows)
    with pytest.raises(TableError, match="nonspecific is above total"):
        binding_experiments(counts({"1": 430.0, "3": 2030.0, "4": 30.0}), rows, ASSAY)


def test_more_bound_than_added_is_refused():
    with pytest.raises(
        TableError, match=r"more is bound than was added\. Expected .*, found bound at .* times .*units"
    ):
        binding_experiments(counts(SIMPLE_COUNTS), SIMPLE.assign(radioligand_nM="0.005"), ASSAY)


def _assay(**ligand: object) -> BindingAssay:
    return dataclasses.replace(ASSAY, radioligand=dataclasses.replace(LIGAND, **ligand))


MISSING = {
    "specific activity": (
        lambda: one(counts(SIMPLE_COUNTS), SIMPLE, _assay(specific_activity=math.nan)),
        r"radioligand \[3H\]DTG: specific_activity is missing; expected such as \"80 Ci/mmol\"\. It stands on",
    ),
    "efficiency": (
        lambda: one(counts(SIMPLE_COUNTS), SIMPLE, _assay(efficiency=math.nan), unit="dpm"),
        r"radioligand \[3H\]DTG: efficiency is missing, and the counter gave no dpm .* Expected a number > 0 and ≤ 1",
    ),
    "volume": (
        lambda: one(counts(SIMPLE_COUNTS), SIMPLE, dataclasses.replace(ASSAY, volume=math.nan)),
        r"assay: volume is missing; expected such as \"0\.5 mL\", .* Add it",
    ),
    "volume of the protein": (
        lambda: BindingAssay.of(LIGAND, protein="0.1 mg/mL"),
        r"assay: protein is given as \"0\.1 mg/mL\", but volume is missing; expected such as .* Add the volume",
    ),
    "protein": (
        lambda: one(counts(SIMPLE_COUNTS), SIMPLE, dataclasses.replace(ASSAY, protein=math.nan)).in_fmol_per_mg(),
        r"protein is missing for 3 of 3 tubes; expected such as \"50 µg\" in a tube\. Add protein",
    ),
    "isotope": (
        lambda: Radioligand.of("DTG", calibrated="2026-01-01"),
        r"radioligand DTG: dates are given but no isotope, .* Expected one of 3H, .*\. Add isotope",
    ),
    "a tube": (
        lambda: one(counts({"1": 10.0, "11": 20.0}), layout("1 total 5 . .", "12 total 5 . .")),
        r"tubes\.csv, line 3, tube 12: tube 12 is missing: the counts hold no count of it\. Expected one for every "
        r"tube of the layout, found 2 counted\. Did you mean \"1\"\? Correct the name",
    ),
    "cpm": (
        lambda: one(AssayTable.of({"plate": ["1"], "channel": "570", "signal": [0.1]}), SIMPLE),
        r"the counts hold no channel \"cpm\"; found 570\. Read the counter's file",
    ),
    "totals": (
        lambda: binding_experiments(counts(SIMPLE_COUNTS), SIMPLE[3:], ASSAY),
        r"expected tubes of role total, found none",
    ),
    "a plate": (
        lambda: one(
            AssayTable.of({"plate": ["p", "q"], "well": "A1", "channel": "cpm", "signal": [1.0, 2.0]}),
            layout("A1 total 5 . ."),
        ),
        r"tube A1: well A1 stands on several plates of the counts, and the layout names none\. Add a column plate",
    ),
    "counts of what was added": (
        lambda: one(counts({**SIMPLE_COUNTS, "5": 20.0}), pd.concat([SIMPLE, layout("5 added 5 . .")])),
        r"line 2, tube 5: a tube of role added must hold more than the background, found 20 cpm\. Check its role",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named_with_what_to_do(name):
    make, message = MISSING[name]
    with pytest.raises(StudyError, match=message):
        make()


NO_RADIOLIGAND = r"tubes\.csv, line 2, tube 1: a tube of role total needs a radioligand concentration > 0, found "
LAYOUTS = {
    "radioligand of zero": (("1 total 0 . .",), NO_RADIOLIGAND + "0"),
    "no radioligand": (("1 total . . .",), NO_RADIOLIGAND + "none"),
    "negative radioligand": (("1 total -5 . .",), r"tube 1: radioligand: concentration must be ≥ 0, found \"-5\""),
    "an unknown role": (
        ("1 totl 5 . .",),
        r"tubes\.csv, line 2, tube 1: unknown role \"totl\"; expected one of total, .* Did you mean \"total",
    ),
    "no role": (("1 . 5 . .",), r"tubes\.csv, line 2, tube 1: expected a role, found an empty cell\. Write it"),
    "a tube twice": (
        ("1 total 5 . .", "01 total 5 . ."),
        r"tubes\.csv, line 3, tube 01: tube 01 is described twice, also in tubes\.csv, line 2, tube 1\. .* Keep one",
    ),
    "units mixed": (
        ("1 total 5 . .", "2 total 5~µM . ."),
        r"tubes\.csv, line 3, tube 2: the column of radioligand is in nM, found \"5 µM\"\. Units are mixed: give",
    ),
    "no unit": (
        ("1 total 5 X 10",),
        r"tubes\.csv, line 2, tube 1: concentration: concentration \"10\" has no unit\. W",
    ),
    "a wrong unit": (("1 total 5 X 10~min",), r"line 2, tube 1: concentration: concentration \"10 min\": unit \"min\""),
    "a competitor without a name": (
        ("1 total 5 . 10~nM",),
        r"tube 1: 10 nM of a competitor that has no name; expected",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_mistake_in_a_layout_is_refused_with_its_line_and_a_way_out(name):
    rows, message = LAYOUTS[name]
    with pytest.raises((StudyError, RangeError), match=message):
        tubes_of(layout(*rows))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"tube": ["1"], "role": ["total"], "radoligand": ["5 nM"]}, r"unknown column \"radoligand\"\. Did you mean"),
        ({"tube": ["1"], "radioligand": ["5 nM"]}, r"expected a column \"role\", found tube, radioligand\. Add it"),
        ({"tube": ["1"], "role": ["added"], "radioligand": ["5 nM"], "fraction": ["x"]}, r"row 1: fraction must be a"),
        ({"tube": ["1"], "role": ["added"], "radioligand": ["5 nM"], "fraction": ["2"]}, r"row 1: fraction must be >"),
        ({"tube": ["1"], "role": ["total"], "radioligand": ["5 nM"], "time": ["-1 min"]}, r"row 1: time: time must"),
    ],
)  # fmt: skip
def test_a_frame_of_ones_own_is_checked_as_well(frame, message):
    with pytest.raises((StudyError, RangeError), match=message):
        tubes_of(pd.DataFrame(frame))


OUT_OF_RANGE = {
    "efficiency in percent": (
        lambda: Radioligand.of("[3H]DTG", efficiency=45),
        r"radioligand \[3H\]DTG: efficiency must be > 0 and ≤ 1, found 45\. It is a fraction: write 45 % as 0\.45",
    ),
    "efficiency of zero": (lambda: Radioligand.of("L", efficiency=0), r"efficiency must be > 0 and ≤ 1, found 0\. T"),
    "specific activity of another unit": (
        lambda: Radioligand.of("[3H]DTG", specific_activity="80 Ci/µmol"),
        r"specific activity must be > 0 and < 580 Ci/mmol, .* found 8e\+04 Ci/mmol\. Check its unit",
    ),
    "specific activity without a unit": (
        lambda: Radioligand.of("L", specific_activity="80"),
        r"radioligand L: specific activity \"80\" has no unit\. .* Write it as \"80 Ci/mmol\"",
    ),
    "specific activity in cpm": (
        lambda: Radioligand.of("L", specific_activity="80 cpm/fmol"),
        r"radioligand L: specific activity \"80 cpm/fmol\": unknown unit .* Write it as \"80 Ci/mmol\"",
    ),
    "an isotope": (lambda: Radioligand.of("L", isotope="131I"), r"isotope must be one of 3H, .*, found \"131I\""),
    "a date": (
        lambda: Radioligand.of("[3H]L", calibrated="1.3.2026"),
        r"calibrated must be a date such as 2026-03-01 \(year, month, day\), found \"1\.3\.2026\"",
    ),
    "a volume": (lambda: BindingAssay(LIGAND, volume=-1.0), r"assay: volume must be a finite number > 0 L, found -1"),
    "a protein": (lambda: BindingAssay.of(LIGAND, protein="5 nM"), r"protein \"5 nM\": .* Write it as \"50 µg\""),
    "a background": (lambda: BindingAssay(LIGAND, background=-1.0), r"background must be ≥ 0 cpm, found -1"),
    "a tube's time": (lambda: Tube("1", "total", 1e-9, time_s=-1.0), r"tube 1: time_s must be a finite number ≥ 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_what_is_out_of_range_is_refused(name):
    make, message = OUT_OF_RANGE[name]
    with pytest.raises(RangeError, match=message):
        make()


def test_one_concentration_is_no_curve():
    made = one(counts(SIMPLE_COUNTS), SIMPLE)
    assert made.designs == ()
    with pytest.raises(
        FitError,
        match=r"a saturation needs at least 3 different radioligand concentrations, found 1 \(5 nM\)\. Add more",
    ):
        made.require("saturation")
    with pytest.raises(FitError, match=r"a competition needs at least 3 different concentrations.*, found 0\. Add"):
        made.require("competition")
    with pytest.raises(StudyError, match=r"unknown design \"saturate\"\. Did you mean \"saturation\"\?"):
        made.require("saturate")
    cpm, rows = _saturation(random.Random(3))
    one(counts(cpm), layout(*rows)).require("saturation")


HAND_MADE = {
    "radioligand": ({"radioligand": [0.0, 1e-9]}, r"row 1: radioligand must be a finite number > 0 M, found 0\. Corr"),
    "competitor": ({"competitor": [0.0, -1e-9]}, r"row 2: competitor must be a finite number ≥ 0 M, found -1e-09"),
    "time": ({"time_s": [0.0, -5.0]}, r"row 2: time must be a finite number ≥ 0 s, found -5"),
    "bound": ({"bound": [0.0, math.inf]}, r"row 2: bound must be a finite number or missing, found inf"),
    "length": ({"tube": ["1"]}, r"expected one tube a tube, found 1 for 2 tubes\. Give them in the same order"),
    "unit": ({"unit": "nM"}, r"bound must be in one of cpm, dpm, M, fmol/mg, found the unit \"nM\"\. "),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_MADE)
def test_an_experiment_made_by_hand_is_checked(name):
    change, message = HAND_MADE[name]
    fields = {"radioligand": [1e-9, 2e-9], "bound": [1e-11, 2e-11], **change}
    with pytest.raises((TableError, StudyError), match=message):
        BindingExperiment.of(fields.pop("radioligand"), fields.pop("bound"), **fields)


def test_an_exclusion_needs_a_reason_and_a_tube():
    made = one(counts(SIMPLE_COUNTS), SIMPLE)
    with pytest.raises(TableError, match=r"an exclusion needs a reason; found none\. Write why"):
        made.excluding(["1"], " ")
    with pytest.raises(TableError, match=r"there is no tube \"9\" to exclude"):
        made.excluding(["9"], "leaked")


def test_a_channel_counted_twice_is_refused():
    table = AssayTable.of({"plate": ["1", "1"], "channel": "cpm", "signal": [1.0, 2.0]})
    with pytest.raises(StudyError, match=r"tube 1 is counted twice in channel cpm\. Expected one .* Keep one"):
        binding_experiments(table, layout("1 total 5 . ."), ASSAY)


# The whole road


def test_files_become_an_experiment(tmp_path: Path):
    (tmp_path / "run.txt").write_text(
        "SIMULATED\n\nS#\tCount Time\tCPMA\ttSIE\n1\t2.00\t2030\t410\n2\t2.00\t2130\t409\n3\t2.00\t430\t411\n"
        "4\t2.00\t30\t412\n", encoding="utf-16",
    )  # fmt: skip
    (tmp_path / "tubes.toml").write_text(
        "[expt]\nradioligand = '5 nM'\ntime = '120 min'\n[tube.'1-2']\nrole = 'total'\n"
        "[tube.3]\nrole = 'NSB'\ncompound = 'haloperidol'\nconcentration = '10 µM'\n[tube.4]\nrole = 'background'\n",
        encoding="utf-8",
    )
    made = one(read_counts(tmp_path / "run.txt"), read_tubes(tmp_path / "tubes.toml"), simulated=True)
    assert made.in_unit("cpm").bound == pytest.approx([2000.0, 2100.0, 400.0])
    assert made.time_s.tolist() == [7200.0] * 3
    assert made.simulated
    assert made.label == "[3H]DTG at sigma-2"
