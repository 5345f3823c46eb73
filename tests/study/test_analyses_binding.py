"""Binding entries: lines of every fit, selectivity, what the Ki of a covalent ligand leaves open."""

import numpy as np
import pytest

from halfmax import apparent_ki
from halfmax.curves import binding
from halfmax.errors import StudyError
from halfmax.study import run

HEAD = '[study]\ntitle = "Binding"\nsimulated = true\n'
ENTRY = """
[[binding]]
name = "{name}"
counts = "{name}.csv"
layout = "{name}_tubes.csv"
radioligand = "[3H]DTG"
"""
SELECTIVITY = """
[[selectivity]]
name = "sigma-1 over sigma-2"
compound = "CM572"
target = "sigma-2"
"""
DOSES = np.repeat([0, 1, 3, 10, 30, 100, 300, 1000, 3000], 2) * 1e-9
ASSAY = {"incubation_time": 7200.0, "radioligand": 5e-9, "kd": 2e-8}


def tubes(folder, name, rows, cpm):
    """A counter's text and its layout; `rows` say role, radioligand (nM), compound, concentration (nM)."""
    counts = "".join(f"{i},2.00,{value:.0f}\n" for i, value in enumerate(cpm, start=1))
    text = f"SIMULATED by halfmax\nS#,Count Time,CPMA\n{counts}"
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    head = "tube,role,radioligand_nM,compound,concentration_nM"
    lines = [f"{i},{row}" for i, row in enumerate(rows, start=1)]
    (folder / f"{name}_tubes.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def competition(folder, name, ki, seed):
    """Files and entry of a competition of CM572 with [3H]DTG of 5 nM and a Kd of 20 nM."""
    rng = np.random.default_rng(seed)
    share = binding.occupancy_competition(5e-9, DOSES, kd=2e-8, ki=ki) / binding.occupancy(5e-9, kd=2e-8)
    cpm = np.r_[400 + 3000 * share, 400, 400, 400, 400] + rng.normal(0, 40, DOSES.size + 4)
    rows = [f"total,5,{'CM572' if x else ''},{x * 1e9 if x else ''}" for x in DOSES]
    tubes(folder, name, rows + ["nonspecific,5,haloperidol,10000"] * 4, cpm)
    return ENTRY.format(name=name) + 'kd = "20 nM"\n'


def analyses(folder, *entries):
    (folder / "study.toml").write_text(HEAD + "".join(entries), encoding="utf-8")
    return {one.title.partition(":")[0]: one for one in run(folder, write=False).report.analyses}


def test_selectivity_over_a_site_that_is_not_reached_is_a_bound(tmp_path):
    entries = competition(tmp_path, "sigma-2", 1.5e-8, 1), competition(tmp_path, "sigma-1", 1.0, 2)
    found = analyses(tmp_path, *entries, SELECTIVITY + 'other = "sigma-1"\n')
    ratio = found["sigma-1 over sigma-2"].estimate["selectivity"]
    other, target = found["sigma-1"].estimate["ki"], found["sigma-2"].estimate["ki"]
    assert other.operator == ratio.operator == ">"
    assert ratio.value == pytest.approx(other.low / target.high)
    assert found["sigma-1 over sigma-2"].answer == f"{ratio.text()}-fold"
    first, second = found["sigma-1 over sigma-2"].plots[0].series
    assert (first.label, second.label) == ("sigma-2", "sigma-1")
    assert first.line[0] > 90
    assert first.line[-1] < 10
    assert abs(first.y[first.x == 0].mean() - 100) < 5


def test_selectivity_over_a_published_bound(tmp_path):
    entry = competition(tmp_path, "sigma-2", 1.5e-8, 1)
    found = analyses(tmp_path, entry, SELECTIVITY + 'other_ki = "≥ 10 µM"\n')
    ratio = found["sigma-1 over sigma-2"].estimate["selectivity"]
    assert ratio.operator == ">"
    assert ratio.value == pytest.approx(1e-5 / found["sigma-2"].estimate["ki"].high)


def test_selectivity_names_what_is_there(tmp_path):
    entry = competition(tmp_path, "sigma-2", 1.5e-8, 1)
    with pytest.raises(StudyError, match=r'no binding entry "sigma-3" gives a Ki of CM572\. .*sigma-2 / cm572'):
        analyses(tmp_path, entry, SELECTIVITY + 'other = "sigma-3"\n')
    with pytest.raises(StudyError, match=r'give either other \(a \[\[binding\]\]\) or other_ki \(such as "> 10 µM"\)'):
        analyses(tmp_path, entry, SELECTIVITY)


def test_what_one_ki_of_a_covalent_ligand_leaves_open(tmp_path):
    ki = float(apparent_ki(k_inact_half=1e-6, kinact=6.5e-3, **ASSAY))
    entry = competition(tmp_path, "sigma-2", ki, 5)
    (tmp_path / "study.toml").write_text(
        HEAD + entry + 'covalent = ["CM572"]\nincubation_time = "120 min"\n', encoding="utf-8"
    )
    measured, left = run(tmp_path, write=False).report.analyses
    assert left.section == "kinetics"
    bounds = left.estimate
    assert [bounds[name].operator for name in ("k_inact_half", "kinact", "k_inact_ratio")] == [">", "?", "<"]
    assert bounds["k_inact_half"].low < measured.estimate["ki"].best
    assert bounds["k_inact_ratio"].high > 6.5e-3 / 1e-6
    assert "K_I and kinact are not separable. After 5 min" in left.sentence
    ridge, times = left.plots
    half, rate = ridge.series[0].at, ridge.series[0].line / 60
    again = apparent_ki(k_inact_half=half, kinact=rate, **ASSAY)
    assert again == pytest.approx(np.full(half.size, measured.estimate["ki"].best), rel=1e-8)
    assert ridge.y_log
    lines = np.array([one.line for one in times.series[1:]])
    at_measured = times.series[1].at == 7200.0
    assert np.ptp(np.log(lines[:, at_measured])) < 1e-8
    assert lines[:, 0].max() / lines[:, 0].min() > 10


def test_the_ki_of_a_covalent_ligand_needs_its_incubation_time(tmp_path):
    entry = competition(tmp_path, "sigma-2", 1.5e-8, 1)
    with pytest.raises(StudyError, match=r'depends on the time\. Add incubation_time = "120 min"'):
        analyses(tmp_path, entry + 'covalent = ["CM572"]\n')


@pytest.mark.parametrize("sites", [1, 2])
def test_the_line_of_a_competition_is_its_fit(tmp_path, sites):
    found = analyses(tmp_path, competition(tmp_path, "sigma-2", 1.5e-8, 7) + f"sites = {sites}\n")["sigma-2"]
    total, nothing = found.plots[0].series
    seen = np.interp(np.log(total.x[total.x > 0]), np.log(total.at), total.line)
    assert np.abs(seen - total.y[total.x > 0]).max() < 150
    assert abs(nothing.line.mean() - nothing.y.mean()) < 60


def test_the_line_of_a_competition_with_known_sites_is_its_fit(tmp_path):
    rng = np.random.default_rng(4)
    share = binding.bound_competition(5e-9, DOSES, receptor=5e-9, kd=1e-9, ki=1e-8)
    share = share / binding.bound_depleted(5e-9, receptor=5e-9, kd=1e-9)
    rows = [f"total,5,{'CM572' if x else ''},{x * 1e9 if x else ''}" for x in DOSES]
    tubes(tmp_path, "sigma-2", rows, 400 + 3000 * share + rng.normal(0, 30, DOSES.size))
    entry = ENTRY.format(name="sigma-2") + 'kd = "1 nM"\ndepletion = true\nreceptor = "5 nM"\n'
    found = analyses(tmp_path, entry)["sigma-2"]
    assert found.estimate["ki"].low < 1e-8 < found.estimate["ki"].high
    (total,) = found.plots[0].series
    seen = np.interp(np.log(total.x[total.x > 0]), np.log(total.at), total.line)
    assert np.abs(seen - total.y[total.x > 0]).max() < 150


def test_a_saturation_has_its_scatchard_plot_for_the_eye(tmp_path):
    rng = np.random.default_rng(9)
    added, masked = np.tile(np.repeat([0.5, 1, 2, 5, 10, 20, 50, 100], 2), 2), np.repeat([False, True], 16)
    cpm = binding.total_binding(added * 1e-9, kd=1e-8, bmax=np.where(masked, 0, 4000), nsb=1e10, background=30)
    rows = [f"{'nonspecific' if one else 'total'},{x:g},{'haloperidol' if one else ''},{10000 if one else ''}"
            for x, one in zip(added, masked, strict=True)]  # fmt: skip
    tubes(tmp_path, "sigma-2", rows, cpm + rng.normal(0, 20, cpm.size))
    found = analyses(tmp_path, ENTRY.format(name="sigma-2") + 'analysis = "saturation"\n')["sigma-2"]
    assert found.estimate["kd"].low < 1e-8 < found.estimate["kd"].high
    assert found.plots[0].series[0].line[-1] == pytest.approx(cpm[~masked].max(), rel=0.05)
    (one,) = found.plots[1].series
    slope, intercept = np.polyfit(one.at, one.line, 1)
    assert -1 / slope == pytest.approx(found.estimate["kd"].best * 1e9)
    assert -intercept / slope == pytest.approx(found.estimate["bmax"].best)
    assert "for the eye only" in found.plots[1].caption
