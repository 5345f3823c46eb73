"""Studies of binding, kinetics and function: from files to a report, and bad files told."""

import json

import numpy as np
import pandas as pd
import pytest

from halfmax.curves import binding, receptor
from halfmax.errors import StudyError, TableError
from halfmax.study import run

COUNTS = """SIMULATED by halfmax
S#,Count Time,CPMA
"""
FUNCTION = """
[[function]]
name = "antagonism"
file = "function.csv"
agonist_column = "agonist"
antagonist_column = "antagonist"
unit = "µM"
signal_column = "signal"
"""
WASHOUT = """
[[washout]]
name = "wash-out"
file = "washout.csv"
arm_column = "arm"
time_column = "hours"
time_unit = "h"
signal_column = "bound"
rival_half_life = "6 h"
"""
BINDING = """
[[binding]]
name = "sigma-2"
counts = "counts.csv"
layout = "tubes.csv"
radioligand = "[3H]DTG"
kd = "20 nM"
"""
INACTIVATION = """
[[inactivation]]
name = "EPIC-Fit sample"
file = "epicfit_sample.csv"
concentration_column = "[Inhibitor] (µM)"
unit = "µM"
preincubation_column = "Pre-incubation time (min)"
incubation_column = "Incubation time (min)"
signal_column = "% Control"
substrate = "1.43 µM"
enzyme = "0.0002 µM"
kcat = 11
km = "2.9 µM"
volume_before = 8
volume_after = 10
"""


def study(folder, *entries, simulated=True):
    """A folder with a study of some entries and the simulated files that they name."""
    rng = np.random.default_rng(11)
    head = f'[study]\ntitle = "Binding and function"\nsimulated = {str(simulated).lower()}\n'
    (folder / "study.toml").write_text(head + "".join(entries), encoding="utf-8")
    agonist, antagonist = (x.ravel() for x in np.meshgrid(np.geomspace(1e-3, 100, 10), [0, 0.03, 0.1, 0.3]))
    signal = receptor.gaddum(agonist * 1e-6, antagonist * 1e-6, ec50=5e-8, pa2=7.5, emax=100.0)
    function = {"agonist": agonist, "antagonist": antagonist, "signal": signal + rng.normal(0, 2, signal.size)}
    pd.DataFrame(function).to_csv(folder / "function.csv", index=False)
    arms = ["control"] * 4 + ["washed"] * 8
    bound = np.r_[np.full(4, 1000.0), np.full(8, 80.0)] + rng.normal(0, 30, 12)
    washout = {"arm": arms, "hours": [""] * 4 + [1] * 4 + [24] * 4, "bound": bound}
    pd.DataFrame(washout).to_csv(folder / "washout.csv", index=False)
    doses = np.repeat([0, 1, 3, 10, 30, 100, 300, 1000], 2) * 1e-9
    share = binding.occupancy_competition(5e-9, doses, kd=2e-8, ki=1.5e-8) / binding.occupancy(5e-9, kd=2e-8)
    cpm = np.r_[400 + 3000 * share, 400, 400, 400] + rng.normal(0, 40, doses.size + 3)
    counts = "".join(f"{i + 1},2.00,{value:.0f}\n" for i, value in enumerate(cpm))
    (folder / "counts.csv").write_text(COUNTS + counts, encoding="utf-8")
    tubes = [f"{i + 1},total,5,{'CM572' if x else ''},{x * 1e9 if x else ''}" for i, x in enumerate(doses)]
    tubes += [f"{doses.size + i + 1},nonspecific,5,haloperidol,10000" for i in range(3)]
    text = "\n".join(["tube,role,radioligand_nM,compound,concentration_nM", *tubes])
    (folder / "tubes.csv").write_text(text + "\n", encoding="utf-8")
    return folder


def test_a_study_without_plates_has_its_binding_kinetics_and_function_in_the_report(tmp_path):
    outcome = run(study(tmp_path, BINDING, WASHOUT, FUNCTION), name="one")
    analyses = {one.section: one for one in outcome.report.analyses}
    assert list(analyses) == ["binding", "kinetics", "function"]
    assert analyses["binding"].estimate["ki"].low < 1.5e-8 < analyses["binding"].estimate["ki"].high
    assert analyses["function"].estimate["pa2"].low < 7.5 < analyses["function"].estimate["pa2"].high
    assert "irreversible" in analyses["kinetics"].sentence or "lost" in analyses["kinetics"].answer
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    for text in ("Binding", "Kinetics", "Receptor theory", analyses["binding"].answer, "simulated data"):
        assert text in page
    assert (outcome.folder / "report.pdf").read_bytes()[:5] == b"%PDF-"
    written = json.loads((outcome.folder / "estimates.json").read_text(encoding="utf-8"))["estimates"]
    assert {record["kind"] for record in written} == {"binding", "kinetics", "function"}
    sources = json.loads((outcome.folder / "provenance.json").read_text(encoding="utf-8"))["inputs"]
    assert {"counts.csv", "tubes.csv", "washout.csv", "function.csv"} <= {one["file"] for one in sources}


def test_the_public_example_of_inactivation_says_what_cannot_be_separated(tmp_path, data):
    source = data / "dose_response" / "kinact" / "epicfit_sample.csv"
    folder = study(tmp_path, INACTIVATION, simulated=False)
    (folder / source.name).write_bytes(source.read_bytes())
    (one,) = run(folder, write=False).report.analyses
    assert one.estimate["k_inact_ratio"].best * 60e-6 == pytest.approx(0.571, rel=0.005)
    assert one.estimate["kinact"].operator == one.estimate["k_inact_half"].operator == ">"
    assert one.estimate["kinact"].low * 60 == pytest.approx(0.15, abs=0.01)
    assert one.estimate["k_inact_half"].low == pytest.approx(0.26e-6, abs=0.01e-6)
    assert "kinact and K_I are not separable" in one.sentence


def test_bad_tables_are_told_with_their_place(tmp_path):
    folder = study(tmp_path, FUNCTION)
    table = pd.read_csv(folder / "function.csv")
    table.rename(columns={"signal": "Signal"}).to_csv(folder / "function.csv", index=False)
    with pytest.raises(TableError, match=r'function\.csv: there is no column "signal"\. Did you mean "Signal"'):
        run(folder, write=False)
    table.astype(object).assign(agonist=["10 uM?", *table["agonist"][1:]]).to_csv(folder / "function.csv", index=False)
    with pytest.raises(TableError, match=r'function\.csv, row 2: agonist must be a number, found "10 uM\?"'):
        run(folder, write=False)


def test_a_competition_needs_the_kd_of_its_radioligand(tmp_path):
    with pytest.raises(StudyError, match=r'Ki needs the Kd of the radioligand\. Add kd = "20 nM"'):
        run(study(tmp_path, BINDING.replace('kd = "20 nM"\n', "")), write=False)


def test_several_experiments_are_joined_in_two_stages_and_shown_first(tmp_path):
    folder = study(tmp_path, BINDING)
    lines = (folder / "tubes.csv").read_text(encoding="utf-8").splitlines()
    tubes = [f"{line},{day}" for day in (1, 2, 3) for line in lines[1:]]
    numbered = [f"{i + 1},{line.partition(',')[2]}" for i, line in enumerate(tubes)]
    (folder / "tubes.csv").write_text("\n".join([f"{lines[0]},experiment", *numbered]) + "\n", encoding="utf-8")
    cpm = [float(line.split(",")[2]) for line in (folder / "counts.csv").read_text(encoding="utf-8").splitlines()[2:]]
    rng = np.random.default_rng(3)
    counts = "".join(f"{i + 1},2.00,{value + rng.normal(0, 40):.0f}\n" for i, value in enumerate(cpm * 3))
    (folder / "counts.csv").write_text(COUNTS + counts, encoding="utf-8")
    together, *single = run(folder, write=False).report.analyses
    assert together.title == "sigma-2: CM572, 3 experiments"
    assert together.estimate.n == len(single) == 3
    mean = np.exp(np.mean([np.log(one.estimate["ki"].best) for one in single]))
    assert together.estimate["ki"].best == pytest.approx(mean)
    assert [one.label for one in together.plots[0].series] == ["experiment 1", "experiment 2", "experiment 3"]
