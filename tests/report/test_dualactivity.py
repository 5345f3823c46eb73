"""The figure of CM572's dual activity: what its curves must show, and that it says what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from halfmax.curves.receptor import operational
from halfmax.report import save_figure
from halfmax.report.dualactivity import DualActivity, activity_windows, dual_activity, dual_activity_curves
from halfmax.report.figure import svg_of


@pytest.fixture(scope="module")
def figure():
    return dual_activity()


def at(curve, concentration):
    return float(np.interp(np.log(concentration), np.log(curve[0]), curve[1]))


def test_cb_64d_is_a_full_agonist():
    curve = dual_activity_curves()["CB-64D alone"]
    assert at(curve, 1e-9) < 1
    assert at(curve, 1e-5) > 99


def test_cm572_alone_is_silent_where_it_antagonises_and_a_partial_agonist_above():
    curve = dual_activity_curves()["CM572 alone"]
    assert at(curve, 1e-7) < 0.1
    assert at(curve, 1e-6) < 2
    assert 25 < at(curve, 1e-5) < at(curve, 1e-4) < 50


def test_cm572_antagonises_cb_64d_between_100_nm_and_1_um():
    curve = dual_activity_curves()["CB-64D after CM572"]
    assert at(curve, 1e-9) > 95
    assert at(curve, 1e-7) < 60
    assert (np.diff(curve[1]) <= 1e-9).all()


def test_the_antagonist_ends_on_the_effect_of_cm572_itself():
    """One site without adaptation: the floor is what covalently held receptors do."""
    parameters = DualActivity()
    curves = dual_activity_curves(parameters)
    assert curves["CB-64D after CM572"][1][-1] == pytest.approx(parameters.floor, rel=1e-6)
    assert curves["CM572 alone"][1][-1] <= parameters.floor


def test_the_windows_follow_from_the_curves():
    antagonist, agonist = activity_windows()
    assert 3e-8 < antagonist < 1e-7
    assert 1e-6 < agonist < 3e-6
    assert activity_windows(DualActivity(pretreatment=36000.0))[0] == pytest.approx(antagonist / 10, rel=0.02)


def test_an_efficacy_of_0_is_an_irreversible_antagonist():
    curves = dual_activity_curves(DualActivity(efficacy=0.0))
    assert curves["CM572 alone"][1].max() == 0
    assert curves["CB-64D after CM572"][1][-1] < 1e-6


def test_its_parameters_are_those_of_the_literature_where_there_are_any():
    parameters = DualActivity()
    assert parameters.ka == 16.5e-9
    whole = operational(1.0, ka=parameters.ka, tau=parameters.tau, transducer_slope=parameters.transducer_slope)
    assert whole == pytest.approx(0.913, abs=1e-3)


def test_it_says_that_it_is_simulated_on_itself_in_its_caption_and_in_its_text(figure):
    drawn = json.dumps(figure.chart.to_dict(), ensure_ascii=False)
    assert "simulated data" in drawn
    assert "hand-set parameters" in drawn
    assert figure.caption.startswith("Simulated. ")
    assert figure.alt.startswith("Three simulated concentration–response curves.")


def test_its_caption_says_what_the_model_cannot_do(figure):
    assert "down to 43 %" in figure.caption
    assert "A site without adaptation cannot go below it." in figure.caption


def test_it_is_written_as_svg_with_its_text_and_as_png(figure, tmp_path):
    for ending in (".svg", ".png"):
        save_figure(figure, tmp_path / f"dual{ending}")
        assert (tmp_path / f"dual{ending}").stat().st_size > 5000
    said = svg_of(figure)
    for label in ("CB-64D alone", "CM572 alone,", "CM572 for 1 h, wash,", "100 nM", "simulated data"):
        assert label in said
    assert svg_of(dual_activity()) == said
