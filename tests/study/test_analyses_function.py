"""Receptor theory of a study: each analysis from file to finding, and bad entries told."""

import json

import numpy as np
import pandas as pd
import pytest

from halfmax.curves import receptor
from halfmax.errors import FitError, RangeError, StudyError, TableError
from halfmax.study import run
from halfmax.study.document import load

DOSES = np.geomspace(1e-10, 1e-4, 13)
FULL = {"tau": 60.0, "ka": 1e-6, "em": 100.0}
COMMON = {
    "name": "cells", "file": "wells.csv", "agonist_column": "agonist", "unit": "nM", "signal_column": "signal",
    "quantity": "response (%)",
}  # fmt: skip
ANTAGONIST = {"antagonist_column": "antagonist", "agonist": "CB-64D", "ligand": "SN79"}
AGONISTS = {"analysis": "agonists", "ligand_column": "ligand", "full": "CB-64D"}
INACTIVATION = {"analysis": "inactivation", "treatment_column": "treatment", "control": "none", "agonist": "CB-64D"}
PRETREATMENT = {"analysis": "pretreatment", "irreversible_column": "dose", "agonist": "CB-64D", "ligand": "CM572"}
TOGETHER = {"analysis": "together", "irreversible_column": "dose", "time_column": "time", "time_unit": "s"}


def crossed(*levels):
    """Every level of each condition beside every one of the others."""
    return [part.ravel() for part in np.meshgrid(*levels, indexing="ij")]


def study(folder, keys, columns, clean, *, noise=3.0, seed=3):
    """A folder with one function entry and its simulated wells, concentrations in nM, each condition twice."""
    entry = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**COMMON, **keys}.items())
    head = '[study]\ntitle = "Function"\nlevel = 0.99\nsimulated = true\n\n[[function]]\n'
    (folder / "study.toml").write_text(head + entry, encoding="utf-8")
    scale = {"agonist": 1e9, "antagonist": 1e9, "dose": 1e9, "time": 1.0}
    table = {name: np.tile(values * scale[name] if name in scale else values, 2) for name, values in columns.items()}
    signal = np.tile(clean, 2) + np.random.default_rng(seed).normal(0, noise, 2 * len(clean))
    pd.DataFrame({**table, "signal": signal}).to_csv(folder / "wells.csv", index=False)
    return folder


def only(folder):
    """The one analysis of a study."""
    (one,) = run(folder, write=False).report.analyses
    return one


def holds(estimate, **truth):
    """Whether every true value is inside its interval."""
    return {name: estimate[name].low <= value <= estimate[name].high for name, value in truth.items()}


def antagonism(folder, *, antagonists=(0, 3e-8, 1e-7, 3e-7, 1e-6), slope=1.0, keys=ANTAGONIST, noise=3.0):
    antagonist, agonist = crossed(list(antagonists), DOSES)
    clean = receptor.gaddum(agonist, antagonist, ec50=2e-8, pa2=7.5, schild_slope=slope, emax=100.0)
    return study(folder, keys, {"agonist": agonist, "antagonist": antagonist}, clean, noise=noise)


def two_agonists(folder, *, partial=1.2, keys=AGONISTS, **given):
    clean = [receptor.operational(DOSES, **FULL), receptor.operational(DOSES, tau=partial, ka=2e-7, em=100.0)]
    columns = {"agonist": np.tile(DOSES, 2), "ligand": np.repeat(["CB-64D", "CM-572"], DOSES.size)}
    return study(folder, keys, columns, np.concatenate(clean), **given)


def inactivated(folder, *, left=(1.0, 0.1, 0.01), keys=INACTIVATION):
    q, agonist = crossed(list(left), DOSES)
    clean = receptor.response_after_inactivation(agonist, q=q, **FULL)
    names = np.where(q == 1.0, "none", np.where(q > 0.05, "low dose", "high dose"))
    return study(folder, keys, {"agonist": agonist, "treatment": names}, clean)


def pretreated(folder, *, residual=0.02, keys=PRETREATMENT, times=(3600.0,)):
    time, dose, agonist = crossed(list(times), [0, 1e-8, 3e-8, 1e-7, 1e-6], np.r_[0, DOSES])
    kinetics = {"kinact": 0.393 / 60, "k_inact_half": 1e-6, "residual_efficacy": residual}
    clean = receptor.response_after_pretreatment(agonist, dose, time, **kinetics, **FULL)
    return study(folder, keys, {"agonist": agonist, "dose": dose, "time": time}, clean)


def added_together(folder, *, keys=TOGETHER, times=(30.0, 600.0)):
    time, dose, agonist = crossed(list(times), [0, 1e-6, 1e-5, 1e-4], np.r_[0, np.geomspace(1e-9, 1e-5, 13)])
    truth = {"kinact": 0.003, "k_inact_half": 5e-6, "bound_efficacy": 0.5, "residual_efficacy": 0.1, "tau": 5.0}
    clean = receptor.response_together(agonist, dose, time, ka=1e-7, em=100.0, **truth)
    return study(folder, keys, {"agonist": agonist, "dose": dose, "time": time}, clean, noise=1.0)


def test_a_schild_plot_stands_beside_the_joint_fit_and_its_points_lie_on_the_line_of_the_truth(tmp_path):
    one = only(antagonism(tmp_path, noise=1.0))
    assert all(holds(one.estimate, pa2=7.5, schild_slope=1.0, ec50=2e-8).values())
    assert one.answer.startswith("pA2 7.")
    assert "Schild slope" in one.answer
    assert "is compatible with 1 (F-test, p = " in one.sentence
    curves, schild = one.plots
    assert [series.label for series in curves.series][:2] == ["no SN79", "with 30 nM SN79"]
    points, free, unity = schild.series
    assert schild.y_title == "log10(dose ratio − 1)"
    assert points.x == pytest.approx([3e-8, 1e-7, 3e-7, 1e-6])
    assert points.y == pytest.approx(np.log10(points.x) + 7.5, abs=0.08)
    assert np.interp(-7.5, np.log10(unity.at), unity.line) == pytest.approx(0, abs=0.05)
    assert free.x.size == unity.x.size == points.at.size == 0
    assert "for the eye" in schild.caption
    assert "fitted to all curves at once" in schild.caption


def test_a_slope_that_is_not_one_is_told_with_its_p(tmp_path):
    one = only(antagonism(tmp_path, slope=1.6))
    assert "differs from 1 (F-test, p < 0.0001)" in one.sentence
    assert holds(one.estimate, schild_slope=1.6) == {"schild_slope": True}


def test_dose_ratios_at_or_below_one_are_left_out_of_the_schild_plot_and_named(tmp_path):
    one = only(antagonism(tmp_path, antagonists=(0, 1e-13, 1e-7, 3e-7, 1e-6), noise=4.0))
    assert one.notes == ("Not in the Schild plot, because the dose ratio is open or at most 1: 100 fM.",)
    assert one.plots[1].series[0].x == pytest.approx([1e-7, 3e-7, 1e-6])


def test_one_antagonist_concentration_gives_kb_and_no_schild_plot(tmp_path):
    one = only(antagonism(tmp_path, antagonists=(0, 3e-7)))
    assert len(one.plots) == 1
    assert "K_B" in one.answer
    assert "the Schild slope cannot be tested" in one.sentence


def test_a_schild_slope_held_at_one_is_said_to_be_untested(tmp_path):
    one = only(antagonism(tmp_path, keys=ANTAGONIST | {"hold": ["schild_slope = 1", "basal = 0"]}))
    assert "held at 1, and was not tested" in one.sentence
    assert holds(one.estimate, pa2=7.5, kb=10**-7.5) == {"pa2": True, "kb": True}
    assert one.estimate["basal"].best == 0


def test_an_inhibition_curve_has_a_plot_of_its_own(tmp_path):
    agonist = np.r_[DOSES, np.full(8, 1e-7)]
    antagonist = np.r_[np.zeros(DOSES.size), np.geomspace(3e-9, 1e-5, 8)]
    clean = receptor.gaddum(agonist, antagonist, ec50=2e-8, pa2=7.5, emax=100.0)
    keys = ANTAGONIST | {"hold": ["schild_slope = 1"]}
    one = only(study(tmp_path, keys, {"agonist": agonist, "antagonist": antagonist}, clean))
    curve, inhibition = one.plots
    assert len(curve.series) == 1
    assert inhibition.x_title == "SN79"
    assert [series.label for series in inhibition.series] == ["with 100 nM CB-64D"]
    assert inhibition.series[0].line[0] > inhibition.series[0].line[-1]
    assert holds(one.estimate, pa2=7.5) == {"pa2": True}


@pytest.mark.parametrize("hill_form", [False, True])
def test_two_agonists_give_efficacy_and_affinity_of_the_partial_one(tmp_path, hill_form):
    one = only(two_agonists(tmp_path, keys=AGONISTS | {"hill_form": hill_form}))
    assert all(holds(one.estimate, tau_CM_572=1.2, ka_CM_572=2e-7, em=100.0).values())
    assert one.answer.startswith("τ of CM-572 1.")
    share = float(one.answer.partition("reaches ")[2].partition(" %")[0])
    assert share == pytest.approx(100 * 1.2 / 2.2, abs=5)
    assert "If it is not, all τ and K_A are too large" in one.sentence
    full, partial = one.plots[0].series
    assert (full.label, partial.label) == ("CB-64D", "CM-572")
    assert partial.line == pytest.approx(receptor.operational(partial.at, tau=1.2, ka=2e-7, em=100.0), abs=5)
    assert one.estimate.status == "ok"


def test_an_agonist_as_good_as_full_is_open_and_the_experiment_is_named(tmp_path):
    one = only(two_agonists(tmp_path, partial=300.0))
    assert "cannot be told from a full agonist" in one.sentence
    assert one.estimate.status.startswith("open: τ of CM")
    assert "after partial inactivation of the receptors." in one.estimate.status
    assert "at least" in one.answer
    line = one.plots[0].series[1].line
    assert line[-1] == pytest.approx(100, abs=4)


def test_inactivation_gives_affinity_and_efficacy_of_a_full_agonist(tmp_path):
    one = only(inactivated(tmp_path))
    assert all(holds(one.estimate, tau=60.0, ka=1e-6, q_low_dose=0.1, q_high_dose=0.01).values())
    assert one.answer.startswith("CB-64D: K_A ")
    assert "Receptors left: " in one.sentence
    assert "of all receptors" in one.sentence
    assert [series.label for series in one.plots[0].series] == ["none", "after low dose", "after high dose"]


def test_inactivation_that_took_next_to_nothing_says_what_would_tell(tmp_path):
    one = only(inactivated(tmp_path, left=(1.0, 0.9)))
    assert "τ and K_A are not told apart" in one.sentence
    assert one.answer.startswith("CB-64D: log(τ/K_A) ")
    assert "Add a treatment that lowers the greatest response" in one.estimate.status


def test_an_irreversible_partial_agonist_leaves_a_floor(tmp_path):
    one = only(pretreated(tmp_path, keys=PRETREATMENT | {"time": "60 min"}))
    truth = {"residual_efficacy": 0.02, "tau": 60.0, "ka": 1e-6, "inactivation_efficiency": 0.393 / 60 / 1e-6}
    assert all(holds(one.estimate, **truth).values())
    share = float(one.answer.partition("a floor of ")[2].partition(" %")[0])
    assert share == pytest.approx(100 * 1.2 / 2.2, abs=4)
    floor = one.plots[0].series[-1]
    assert floor.x.size == 0
    assert floor.line == pytest.approx(np.full(floor.at.size, share), abs=4)
    assert "kinact / K_I is " in one.sentence


def test_without_a_time_each_dose_has_its_share_of_receptors(tmp_path):
    one = only(pretreated(tmp_path))
    q = np.exp(-0.393 * 60 * 1e-8 / (1e-6 + 1e-8))
    assert holds(one.estimate, q_10_nM=q, residual_efficacy=0.02) == {"q_10_nM": True, "residual_efficacy": True}
    assert "Receptors left: " in one.sentence
    assert "after 10 nM" in one.sentence


def test_an_irreversible_antagonist_is_a_bound_on_the_efficacy_left(tmp_path):
    one = only(pretreated(tmp_path, residual=0.0, keys=PRETREATMENT | {"time": "60 min"}))
    assert "Nothing tells CM572 from an irreversible antagonist" in one.sentence
    assert "a floor of at most" in one.answer
    assert one.estimate["residual_efficacy"].operator == "<"
    assert not any("floor" in series.label for series in one.plots[0].series)


def test_times_of_pretreatment_have_a_plot_each(tmp_path):
    keys = PRETREATMENT | {"time_column": "time", "time_unit": "s"}
    one = only(pretreated(tmp_path, keys=keys, times=(600.0, 3600.0)))
    assert [plot.x_title for plot in one.plots] == ["CB-64D, pretreated for 10 min", "CB-64D, pretreated for 1 h"]
    assert holds(one.estimate, residual_efficacy=0.02) == {"residual_efficacy": True}


def test_added_together_and_read_twice_both_efficacies_are_told(tmp_path):
    one = only(added_together(tmp_path, keys=TOGETHER | {"hold": ["transducer_slope = 1"]}))
    assert all(holds(one.estimate, bound_efficacy=0.5, residual_efficacy=0.1, tau=5.0, ka=1e-7).values())
    assert one.answer.startswith("efficacy of the irreversible ligand: bound 0.")
    assert [plot.x_title for plot in one.plots] == ["agonist, read after 30 s", "agonist, read after 10 min"]
    assert one.estimate["transducer_slope"].best == 1


def test_added_together_and_read_once_the_advice_is_to_read_again(tmp_path):
    keys = {key: value for key, value in TOGETHER.items() if not key.startswith("time")} | {"time": "10 min"}
    one = only(added_together(tmp_path, keys=keys | {"hold": ["transducer_slope = 1", "ka = 100 nM"]}, times=(600.0,)))
    assert "read at several, or hold one" in one.sentence
    assert len(one.plots) == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r'needs antagonist_column. Add antagonist_column = "SN79"'),
        ({"analysis": "agonists", "full": "A"}, r'"agonists" needs ligand_column\. Add ligand_column = "ligand"'),
        ({"analysis": "agonists", "ligand_column": "a"}, r'needs full. Add full = "CB-64D"'),
        ({"analysis": "inactivation", "control": "none"}, r'needs treatment_column\. Add treatment_column = "tr'),
        ({"analysis": "inactivation", "treatment_column": "t"}, r'needs control. Add control = "none"'),
        ({"analysis": "pretreatment"}, r'needs irreversible_column. Add irreversible_column = "CM572"'),
        ({"analysis": "together", "irreversible_column": "d"}, r'needs time or time_column\. Add time = "60 min"'),
        (AGONISTS | {"antagonist_column": "b"}, r'antagonist_column has no meaning for analysis = "agonists"'),
        (PRETREATMENT | {"time": "1 h", "time_column": "t"}, r"time and time_column both say it\. Keep one of them"),
        (ANTAGONIST | {"hold": ["pa2"]}, r'expected a name and its value, found "pa2"\. Write "transducer_slope = 1"'),
        (ANTAGONIST | {"hold": ["basal = 0", "basal = 1"]}, r"basal is held twice\. Keep one of them"),
        (ANTAGONIST | {"unit": "mg"}, r"function\[1\]\.unit: .*mg"),
        (TOGETHER | {"time_unit": "m"}, r"function\[1\]\.time_unit"),
        ({"analysis": "schild"}, r"'antagonist', 'agonists', 'inactivation', 'pretreatment' or 'together'"),
    ],
)  # fmt: skip
def test_an_entry_says_which_key_its_analysis_lacks(tmp_path, keys, message):
    study(tmp_path, keys, {"agonist": DOSES}, DOSES)
    with pytest.raises(StudyError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("make", "keys", "error", "message"),
    [
        (two_agonists, AGONISTS | {"full": "CB64D"}, RangeError, r'no ligand "CB64D"\. Did you mean "CB-64D"'),
        (two_agonists, AGONISTS | {"ligand_column": "Ligand"}, TableError, r'there is no column "Ligand"\. Did you'),
        (inactivated, INACTIVATION | {"control": "nothing"}, RangeError, r'no treatment "nothing"\. Known: '),
        (antagonism, {"antagonist_column": "agonist"}, FitError, r"no well is without antagonist"),
        (antagonism, ANTAGONIST | {"hold": ["schild_slope = 2"]}, FitError, r"can be held at 1 only, found 2\."),
        (antagonism, ANTAGONIST | {"hold": ["slope = 2"]}, FitError, r'"slope"'),
    ],
)  # fmt: skip
def test_wells_that_do_not_fit_their_entry_are_refused(tmp_path, make, keys, error, message):
    with pytest.raises(error, match=message):
        only(make(tmp_path, keys=keys))


def test_one_curve_alone_is_refused(tmp_path):
    folder = study(tmp_path, AGONISTS, {"agonist": DOSES, "ligand": np.repeat("CB-64D", 13)}, DOSES * 1e6)
    with pytest.raises(FitError, match=r"cells: curves of CB-64D only\. One curve cannot tell tau from KA.*Add a part"):
        only(folder)


def test_a_well_without_a_name_is_refused_but_for_wells_without_agonist(tmp_path):
    folder = two_agonists(tmp_path)
    table = pd.read_csv(folder / "wells.csv")
    basal = pd.DataFrame({"agonist": [0, 0], "ligand": ["", ""], "signal": [0.5, -0.5]})
    pd.concat([table, basal]).to_csv(folder / "wells.csv", index=False)
    assert [series.label for series in only(folder).plots[0].series] == ["CB-64D", "CM-572", "no agonist"]
    table.loc[3, "ligand"] = ""
    table.to_csv(folder / "wells.csv", index=False)
    with pytest.raises(TableError, match=r"wells\.csv: ligand is empty in data row 4\. Every well needs it"):
        only(folder)
