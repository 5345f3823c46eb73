"""Figures: what they show, that they are valid, and how they become files."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from halfmax.errors import FileError
from halfmax.report import figures, save_figure
from halfmax.report.figure import svg_of
from halfmax.report.style import OKABE_ITO, SIMULATED, colours

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="session")
def drawn(report):
    return figures(report)


@pytest.fixture(scope="session")
def svgs(drawn):
    return {figure.name: svg_of(figure, prefix=f"f{k}-") for k, figure in enumerate(drawn)}


def words(svg: str) -> list[str]:
    return [part for element in ElementTree.fromstring(svg).iter(f"{SVG}text") for part in element.itertext()]


def test_there_is_a_forest_plot_a_figure_a_curve_and_a_figure_a_plate(report, drawn):
    kinds = [figure.kind for figure in drawn]
    assert kinds == ["forest"] + ["curve"] * len(report.curves) + ["plate"] * len(report.plates)


def test_every_specification_is_valid_vega_lite(drawn):
    for figure in drawn:
        specification = figure.chart.to_dict(validate=True)
        assert "vega-lite" in specification["$schema"]


def test_every_simulated_figure_says_so_on_itself_in_its_caption_and_in_its_text(drawn, svgs):
    for figure in drawn:
        assert SIMULATED in words(svgs[figure.name])
        assert "Simulated data." in figure.caption
        assert "Simulated data." in figure.alt


def test_a_measured_figure_does_not_say_simulated(report):
    for figure in figures(replace(report, simulated=False, plates=report.plates[:1], curves=report.curves[:1])):
        assert "imulated" not in svg_of(figure)


def test_the_fit_is_dashed_only_where_it_is_simulated(report):
    dashes = []
    for simulated in (True, False):
        one = replace(report, simulated=simulated, plates=(), curves=report.curves[:1])
        dashes.append('stroke-dasharray="6,3"' in svg_of(figures(one)[1]))
    assert dashes == [True, False]


def test_an_open_interval_is_printed_with_its_operator(drawn, svgs):
    assert any(text.startswith("> ") for text in words(svgs["forest-1"]))
    assert "> " in drawn[0].alt


def test_the_axis_is_labelled_as_a_person_says_it(svgs):
    curve = next(name for name in svgs if name.startswith("curve-1"))
    assert {"vehicle", "100 nM", "1 µM", "10 µM", "100 µM", "kill", "blank"} <= set(words(svgs[curve]))


def test_percent_is_said_to_be_for_display_only(svgs):
    curve = next(name for name in svgs if name.startswith("curve-1"))
    assert "% of vehicle (display only;" in words(svgs[curve])


def test_a_single_experiment_is_shown_in_its_own_unit(report):
    curve = replace(report.curves[0], fits=report.curves[0].fits[:1])
    figure = figures(replace(report, curves=(curve,)))[1]
    assert "absorbance 570 − 660 nm (OD)" in words(svg_of(figure))


def test_a_well_says_what_it_is_when_pointed_at(svgs):
    titles = [e.text or "" for e in ElementTree.fromstring(svgs["plate-1-mcf-7-1"]).iter(f"{SVG}title")]
    assert any(title.startswith("C4: CM572 1 µM") and "pipetting error" in title for title in titles)


def test_a_plateau_that_the_data_do_not_bound_does_not_stretch_the_figure(report):
    curve = report.curves[0]
    fit = curve.fits[0]
    wild = tuple(replace(p, best=-1e35) if p.name == "bottom" else p for p in fit.parameters)
    one = replace(curve, fits=(replace(fit, parameters=wild), *curve.fits[1:]))
    root = ElementTree.fromstring(svg_of(figures(replace(report, curves=(one,), plates=()))[1]))
    assert float(root.attrib["height"]) < 600


def test_only_wells_and_estimates_speak_when_pointed_at(svgs):
    for svg in svgs.values():
        titles = [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]
        assert not [title for title in titles if "; y: " in title or "stroke" in title]


def test_excluded_and_flagged_wells_stand_in_the_legend_of_their_plate(svgs):
    assert "excluded" in words(svgs["plate-1-mcf-7-1"])
    assert "flagged" in words(svgs["plate-5-hmec-2"])
    assert "excluded" not in words(svgs["plate-2-mcf-7-2"])


def test_unused_wells_are_neither_coloured_nor_numbered(report):
    plate = report.plates[0]
    idle = plate.frame.assign(role=plate.frame["role"].replace("blank", "unused"))
    before, after = (
        words(svg_of(figures(replace(report, curves=(), plates=(one,)))[0]))
        for one in (plate, replace(plate, frame=idle))
    )
    assert (before.count("blank"), after.count("blank")) == (1, 0)
    assert sum(text.lstrip("−").isdigit() for text in before) - sum(text.lstrip("−").isdigit() for text in after) == 8


def test_one_dose_alone_is_drawn_and_said_to_be_refused(report):
    from halfmax.estimate import combine, fit_all
    from halfmax.response import Response

    fits = fit_all([Response.of([0, 0, 1e-6, 1e-6], [1, 1.1, 0.5, 0.6], compound="X", cell_line="Y", experiment="1")])
    curve = replace(report.curves[0], fits=tuple(fits), combined=combine(fits), absolute=None, published=())
    forest, figure = figures(replace(report, curves=(curve,), plates=()))
    assert "not identified" in words(svg_of(forest))
    assert "vehicle" in words(svg_of(figure))


def test_one_line_has_one_colour(report):
    found = colours(report)
    assert len(set(found.values())) == len(report.curves)
    assert set(found.values()) <= set(OKABE_ITO)


def test_names_inside_one_figure_are_not_those_of_another(svgs):
    seen: set[str] = set()
    for svg in svgs.values():
        own = {element.attrib["id"] for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib}
        assert not own & seen
        seen |= own


def test_an_ec50_that_is_not_identified_is_said_in_words(report):
    from halfmax.estimate import Estimate, Parameter

    nothing = Parameter("ec50", float("nan"), 0.0, float("inf"), "?", "M", log=True)
    spread = tuple(Parameter(name, float("nan"), float("nan"), float("nan")) for name in ("sd_log10", "i_squared"))
    curve = replace(report.curves[0], combined=Estimate("two-stage t", (nothing, *spread), status="open: none"))
    forest, figure = figures(replace(report, curves=(curve,), plates=()))
    assert "not identified" in words(svg_of(forest))
    assert "EC50 not identified" in words(svg_of(figure))


@pytest.mark.parametrize("shape", [(16, 24), (32, 48)])
def test_larger_plates_are_drawn(report, shape):
    plate = replace(report.plates[0], shape=shape)
    svg = svg_of(figures(replace(report, curves=(), plates=(plate,)))[0])
    assert ("AF" in words(svg) or "AE" in words(svg)) == (shape[0] == 32)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_a_figure_is_saved_by_the_ending_of_its_path(drawn, tmp_path, ending, start):
    path = tmp_path / f"forest.{ending}"
    save_figure(drawn[0], path)
    assert path.read_bytes().startswith(start)


def test_another_ending_is_refused(drawn, tmp_path):
    with pytest.raises(FileError, match=r"written as \.svg, \.pdf or \.png"):
        save_figure(drawn[0].chart, tmp_path / "forest.docx")


def test_the_specification_is_json(drawn):
    text = json.dumps(drawn[0].chart.to_dict(), allow_nan=False)
    assert json.loads(text)["$schema"]
