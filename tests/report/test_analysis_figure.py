"""The figure of an analysis: many conditions, a logarithmic ordinate, lines alone and points alone."""

import json

import numpy as np
import pytest

from halfmax.estimate import Estimate, Parameter
from halfmax.report.analysis import analysis_alt, analysis_figure, shown, words
from halfmax.report.document import Analysis, Plot, Series
from halfmax.report.figure import save_figure

DOSES = np.geomspace(1e-9, 1e-5, 9)
NONE = np.array([])


def decay(index):
    """A condition whose signal falls over decades."""
    y = 1000 * 0.6**index * np.exp(-DOSES / 3e-6)
    return Series(f"{10 * (index + 1)} min of pre-incubation", DOSES, y, DOSES, y)


def analysis(*plots, answer="τ 1.2 (0.9–1.6)"):
    return Analysis("function", "a title", answer, "", Estimate("model", ()), plots)


def drawn(tmp_path, plot, **given):
    """The figure as written, SVG, and what went into it."""
    chart = analysis_figure(analysis(plot, **given), plot, simulated=True)
    save_figure(chart, tmp_path / "figure.svg")
    return (tmp_path / "figure.svg").read_text(encoding="utf-8"), chart.to_dict()


def rows_of(specification, *names):
    """Rows of data in a figure that have all of some names."""
    rows = [row for text in specification["datasets"].values() for row in json.loads(text)]
    return [row for row in rows if set(names) <= set(row)]


def test_twelve_conditions_have_twelve_looks_and_a_legend_that_wraps(tmp_path):
    plot = Plot("inhibitor", "concentration", "activity (%)", tuple(decay(i) for i in range(12)))
    _, specification = drawn(tmp_path, plot)
    keys = rows_of(specification, "label", "shape")[:12]
    assert len({(key["shape"], key["fill"], key["stroke"]) for key in keys}) == 12
    assert len({(key["shape"], key["fill"] if key["fill"] != "white" else key["stroke"]) for key in keys}) == 12
    assert len({key["y"] for key in keys}) > 3
    assert all(key["label"] + 0.5 * 11 * len(key["text"]) < 460 for key in keys)


def test_a_logarithmic_ordinate_says_so_and_has_decades(tmp_path):
    plot = Plot("inhibitor", "concentration", "activity (%)", tuple(decay(i) for i in range(3)), y_log=True)
    svg, specification = drawn(tmp_path, plot)
    assert "activity (%) (log scale)" in svg
    assert ">1000<" in svg
    assert ">100<" in svg
    lowest = min(row["y"] for row in rows_of(specification, "tone", "series"))
    assert lowest == pytest.approx(1000 * 0.6**2 * np.exp(-10 / 3), rel=1e-3)


def test_wells_at_or_below_zero_stay_on_a_logarithmic_figure_as_arrows(tmp_path):
    y = np.array([100.0, 10.0, 1.0, 0.0, -2.0])
    plot = Plot("time", "time", "sites", (Series("washed", np.arange(5) * 600.0, y, NONE, NONE),), y_log=True)
    svg, specification = drawn(tmp_path, plot)
    assert "at or below 0" in svg
    wells = [row for row in rows_of(specification, "tip") if row["tip"]]
    assert len(wells) == 5
    arrows = [row for row in wells if row["shape"].startswith("M0")]
    assert [row["y"] for row in arrows] == pytest.approx([1 / 1.15] * 2, rel=1e-3)


def test_a_line_alone_has_a_dash_in_its_colour_and_points_alone_a_symbol(tmp_path):
    line = Series("fit to all curves", NONE, NONE, DOSES, np.log10(DOSES) + 8)
    dots = Series("dose ratios", DOSES[3:], np.log10(DOSES[3:]) + 8.1, NONE, NONE)
    plot = Plot("antagonist", "concentration", "log10(dose ratio − 1)", (dots, line))
    svg, specification = drawn(tmp_path, plot)
    symbol, dash, word = rows_of(specification, "label", "shape")
    assert symbol["shape"] == "circle"
    assert dash["shape"] == "M-1.6,0L1.6,0"
    assert {row["tone"] for row in rows_of(specification, "tone", "series")} == {dash["stroke"]}
    assert dash["stroke"] != symbol["fill"]
    assert word["text"] == "dashed: simulated"
    assert ">fit<" not in svg
    said = analysis_alt(analysis(plot), plot)
    assert "6 points in 1 condition; lines: fit to all curves" in said


def test_a_long_answer_is_broken_into_lines(tmp_path):
    plot = Plot("inhibitor", "concentration", "activity (%)", (decay(0),))
    answer = "residual efficacy of CM572 0.017 (0.011–0.025), a floor of 55 % of the greatest response"
    svg, _ = drawn(tmp_path, plot, answer=answer)
    assert f">{answer}<" not in svg
    assert "greatest response</tspan>" in svg


def test_parameters_are_called_as_in_a_paper():
    assert words("tau_CB_64D", ["CB-64D"]) == "τ of CB-64D"
    assert words("q_300_nM") == "q after 300 nM"
    assert words("q_high_dose", ["high dose"]) == "q after high dose"
    assert words("transducer_slope") == "transducer slope"
    ratio = Parameter.bounded("transduction_CM572", 1e7, 1e6, 1e8, log=True, unit="1/M")
    assert shown(ratio) == "7.0 (6.0–8.0)"
    assert shown(Parameter.bounded("transduction", 1e7, 1e6, np.inf, log=True, unit="1/M")) == "> 6"
