"""The examples: each runs, says that its data are simulated, and finds what the simulation put in."""

import runpy
import shutil
from pathlib import Path

import pytest

from halfmax.study import run

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_the_wash_out_says_irreversible_and_keeps_sigma_1_censored(tmp_path):
    folder = shutil.copytree(EXAMPLES / "is_it_irreversible", tmp_path / "study")
    runpy.run_path(str(folder / "simulate.py"), run_name="__main__")
    report = run(folder, write=False).report
    assert report.simulated
    sigma2, ridge, sigma1, ratio, wash = report.analyses
    assert sigma2.estimate["ki"].low < 14.7e-9 < sigma2.estimate["ki"].high
    assert sigma1.estimate["ki"].operator == ">"
    assert sigma1.estimate["ki"].value > 1e-5
    assert ratio.estimate["selectivity"].operator == ">"
    assert ratio.estimate["selectivity"].value > 685
    assert ridge.estimate["k_inact_ratio"].high > 0.393e6 / 60
    assert "After 5 min the same pairs give Ki" in ridge.sentence
    assert "None is seen to come back" in wash.sentence
    assert "one of 6 h is excluded" in wash.sentence
    assert wash.estimate.status == "ok"


def test_binding_in_time_is_told_and_doses_around_k_inact_half_tell_the_constants_apart(tmp_path):
    folder = shutil.copytree(EXAMPLES / "how_fast_does_it_bind", tmp_path / "study")
    runpy.run_path(str(folder / "simulate.py"), run_name="__main__")
    report = run(folder, write=False).report
    assert report.simulated
    association, dissociation, competition, below, around = (one.estimate for one in report.analyses)
    assert association["kon"].low < 1e5 < association["kon"].high
    assert association["kd"].low < 2e-8 < association["kd"].high
    assert dissociation["koff"].low < 2e-3 < dissociation["koff"].high
    assert competition["ki"].low < 7e-9 < competition["ki"].high
    assert "not separable" in below.status
    assert below["kinact"].operator == ">"
    assert around.status == "ok"
    assert around["k_inact_half"].low < 1e-6 < around["k_inact_half"].high


def test_one_ki_leaves_kinact_open_and_an_early_reading_does_not(capsys):
    runpy.run_path(str(EXAMPLES / "how_fast_does_it_bind" / "example.py"), run_name="__main__")
    first, *pairs = capsys.readouterr().out.splitlines()
    assert first.startswith("simulated")
    assert all("Ki 14.6 nM after 120 min" in pair for pair in pairs)
    assert pairs[0].endswith("19 nM after 10")
    assert pairs[3].endswith("161 nM after 10")


def test_the_partial_agonist_is_told_and_the_dual_activity_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "partial_or_full_agonist" / "example.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "simulated: tau_partial 1." in said
    share = float(said.partition("reaches ")[2].partition(" %")[0])
    assert share == pytest.approx(100 * 1.2 / 2.2, abs=5)
    assert "simulated" in (tmp_path / "dual_activity.svg").read_text(encoding="utf-8")


def test_receptor_theory_finds_what_the_simulation_put_in(tmp_path):
    folder = shutil.copytree(EXAMPLES / "partial_or_full_agonist", tmp_path / "study")
    truth = runpy.run_path(str(folder / "simulate.py"), run_name="__main__")
    report = run(folder, write=False).report
    assert report.simulated
    agonists, antagonist, inactivation, before = report.analyses
    for estimate, name, value in (
        (agonists.estimate, "tau_partial", truth["PARTIAL"]["tau"]),
        (agonists.estimate, "ka_partial", truth["PARTIAL"]["ka"]),
        (antagonist.estimate, "pa2", truth["PA2"]),
        (inactivation.estimate, "ka", truth["CB64D"]["ka"]),
        (inactivation.estimate, "q_low_dose", truth["LEFT"]["low dose"]),
        (before.estimate, "residual_efficacy", truth["CM572"]["residual_efficacy"]),
    ):
        assert estimate[name].low < value < estimate[name].high, name
    assert "is compatible with 1" in antagonist.sentence
    assert antagonist.plots[1].y_title == "log10(dose ratio − 1)"
    assert "no dose of CM572 lowers it further" in before.sentence


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.parent.name)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
