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
    sigma2, sigma1, wash = report.analyses
    assert sigma2.estimate["ki"].low < 14.7e-9 < sigma2.estimate["ki"].high
    assert sigma1.estimate["ki"].operator == ">"
    assert sigma1.estimate["ki"].value > 1e-5
    assert "None is seen to come back" in wash.sentence
    assert "one of 6 h is excluded" in wash.sentence
    assert wash.estimate.status == "ok"


def test_doses_around_k_inact_half_tell_the_constants_apart(capsys):
    runpy.run_path(str(EXAMPLES / "how_fast_does_it_bind" / "example.py"), run_name="__main__")
    below, around, *ridge = capsys.readouterr().out.split("simulated, ")[1:]
    assert "not separable" in below
    assert around.splitlines()[1].strip() == "ok"
    assert "19 nM after 10" in around
    assert "161 nM after 10" in around
    assert not ridge


def test_the_partial_agonist_is_told_and_the_dual_activity_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "partial_or_full_agonist" / "example.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "simulated: tau_partial 1." in said
    share = float(said.partition("reaches ")[2].partition(" %")[0])
    assert share == pytest.approx(100 * 1.2 / 2.2, abs=5)
    assert "simulated" in (tmp_path / "dual_activity.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.parent.name)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
