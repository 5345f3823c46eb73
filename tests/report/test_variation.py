"""What a report says of the variation between experiments."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace

import pytest

from halfmax.estimate import average_plates, combine, leave_one_out
from halfmax.report import figures
from halfmax.report.content import content_of
from halfmax.report.figure import svg_of
from halfmax.report.html import html_of
from halfmax.report.pdf import pdf_of
from halfmax.report.tables import which
from halfmax.report.variation import influence_table, narrower, variation_table, variation_words
from halfmax.report.wording import References, methods, undetermined


@pytest.fixture(scope="module")
def nested(report):
    """The report with the three fits of MCF-7 as plates of two days, and a pooled fit beside the answer."""
    curve = report.curves[0]
    fits = [
        replace(fit, response=replace(fit.response, experiment=day)) for fit, day in zip(curve.fits, "112", strict=True)
    ]
    days = average_plates(fits)
    pooled = curve.fits[0]
    made = replace(curve, fits=tuple(fits), experiments=days, combined=combine(days), pooled=pooled, absolute=None)
    return replace(report, curves=(made,), comparisons=(), plates=())


@pytest.fixture(scope="module")
def compared(report):
    """The report with the pooled wells and the influence of each experiment beside the answers."""
    curves = tuple(replace(c, pooled=c.fits[0], influence=leave_one_out(c.fits)) for c in report.curves)
    return replace(report, curves=curves, plates=())


def read(table):
    return list(csv.DictReader(io.StringIO(table.csv())))


def test_the_words_give_the_spread_in_decades_and_as_a_fold(nested):
    sd = nested.curves[0].combined["sd_log10"]
    said = variation_words(nested)
    assert said.startswith("The 2 experiments differ in EC50 by an SD of ")
    decades, fold = re.search(r"SD of ([\d.]+) decades, ([\d.]+)-fold", said).groups()
    assert float(decades) == pytest.approx(sd.value, rel=0.05)
    assert float(fold) == pytest.approx(10**sd.value, abs=0.006)
    assert "plates of one experiment by" in said


def test_several_curves_are_told_in_one_sentence_with_their_range(compared):
    said = variation_words(compared)
    assert re.search(r"by an SD of [\d.]+ to [\d.]+ decades, [\d.]+-fold to [\d.]+-fold\. One fit through all", said)
    assert "plates of one experiment" not in said


def test_the_pooled_wells_are_called_no_answer_wherever_they_stand(nested):
    table = variation_table(nested)
    assert "wells pooled (no answer)" in table.columns
    assert "no answer" in table.caption
    assert any("no answer" in text for text in re.findall(r"<text[^>]*>([^<]*)", svg_of(figures(nested)[1])))
    assert "For comparison only" in " ".join(methods(nested, References()))


def test_the_width_is_compared_on_the_logarithm_and_only_where_both_are_closed(nested, compared):
    curve = nested.curves[0]
    answer, pooled = curve.combined["ec50"], curve.pooled["ec50"]
    expected = math.log(answer.high / answer.low) / math.log(pooled.high / pooled.low)
    assert narrower(curve) == pytest.approx(expected)
    assert math.isnan(narrower(replace(curve, pooled=None)))
    opened = compared.curves[3]
    assert opened.combined["ec50"].operator == ">"
    assert math.isnan(narrower(opened))


def test_columns_without_anything_to_say_are_left_out_and_stand_in_the_csv(report):
    table = variation_table(report)
    assert not {"plates", "SD between plates", "wells pooled (no answer)", "narrower"} & set(table.columns)
    assert {"sd_plate_log10", "pooled_ec50_M", "times_narrower"} <= set(read(table)[0])


def test_each_experiment_is_left_out_in_turn_and_the_one_that_matters_most_is_marked(compared):
    table = influence_table(compared)
    assert len(table.rows) == 12
    marked = [row for row in read(table) if row["most"] == "most"]
    for curve, row in zip(compared.curves, marked, strict=True):
        assert row["without"] == curve.influence.most
    assert sum("most" in row[3] for row in table.rows) == 4


def test_a_report_of_single_experiments_has_no_such_section(report):
    single = replace(
        report, curves=tuple(replace(c, fits=c.fits[:1]) for c in report.curves), comparisons=(), plates=()
    )
    assert variation_table(single) is None
    assert variation_words(single) == ""
    assert influence_table(single) is None
    assert 'id="experiments"' not in html_of(single)


def test_days_with_plates_have_a_figure_with_every_plate_and_the_others_have_none(report, nested):
    drawn = figures(nested)
    assert [figure.kind for figure in drawn] == ["forest", "spread", "curve"]
    assert drawn[1].chart.to_dict(validate=True)
    for plate in nested.curves[0].fits:
        assert plate["ec50"].text() in drawn[1].alt
    assert svg_of(drawn[1]).count("one plate:") == 3
    assert "spread" not in [figure.kind for figure in figures(replace(report, plates=()))]


def test_experiments_are_counted_and_not_their_plates(nested):
    content = content_of(nested)
    assert "2 / " in content.summary.rows[0][content.summary.columns.index("experiments / wells")]
    single = replace(nested.curves[0], fits=nested.curves[0].fits[:2], experiments=nested.curves[0].experiments[:1])
    found = undetermined(replace(nested, curves=(single,)))
    assert any("there is only one" in what for _, what, _ in found.rows)


def test_notes_name_the_plate_where_plates_were_fitted_apart(report, nested):
    curve = nested.curves[0]
    assert (
        which(curve, curve.fits[:2]) == f"Plates {curve.fits[0].response.plate[0]}, {curve.fits[1].response.plate[0]}"
    )
    assert which(report.curves[0], report.curves[0].fits[1:2]) == "Experiment 2"
    table = content_of(nested).curves[0].table
    assert table.columns[0] == "experiment, plate"
    assert table.rows[0][0].startswith("1, ")


def test_both_documents_hold_the_section(nested, compared):
    for told in (nested, compared):
        assert html_of(told).count('id="experiments"') == 1
        assert pdf_of(told).startswith(b"%PDF")
    assert "Without one experiment" in html_of(compared)
