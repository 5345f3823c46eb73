"""Tables: what is printed, and what the CSV holds."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from halfmax.report.content import content_of
from halfmax.report.tables import Table, quality_table, summary_table
from halfmax.report.wording import References, methods, undetermined


@pytest.fixture(scope="session")
def content(report):
    return content_of(report)


def read(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv())))


def test_the_summary_has_a_row_a_curve_with_the_published_value_beside_ours(content):
    rows = content.summary.rows
    assert [row[1] for row in rows] == ["MCF-7", "HMEC", "SK-N-SH", "PANC-1"]
    assert rows[0][-1].startswith("4.9 ± 1.17 µM, ± undefined, 48 h [")
    assert rows[3][3].startswith("> ")


def test_no_table_prints_a_number_that_no_scientist_would(content):
    tables = [content.summary, content.comparisons, content.quality, *(part.table for part in content.curves)]
    for table in tables:
        for row in table.rows:
            assert not [cell for cell in row if re.search(r"\d\.\d{4,}", cell)]


def test_the_csv_has_full_numbers_and_empty_cells_for_open_ends(content):
    first, *_, last = read(content.summary)
    assert float(first["ec50_low_M"]) < float(first["ec50_M"]) < float(first["ec50_high_M"])
    assert (last["ec50_operator"], last["ec50_high_M"]) == (">", "")


def test_every_simulated_table_says_so_in_caption_and_csv(content):
    for table in (content.summary, content.quality, content.exclusions, content.open_questions, content.files):
        assert "Simulated data." in table.caption
        assert {row["origin"] for row in read(table)} == {"simulated data"}


def test_no_cell_of_a_csv_starts_a_formula(report):
    name = '=HYPERLINK("http://x")'
    curve = replace(report.curves[0], compound=name)
    row = read(summary_table(replace(report, curves=(curve,)), References()))[0]
    assert row["compound"] == "'" + name


def test_a_column_that_says_nothing_is_not_printed_but_stands_in_the_csv(report):
    curves = tuple(replace(curve, published=(), absolute=None) for curve in report.curves)
    table = summary_table(replace(report, curves=curves), References())
    assert not {"published", "absolute EC50"} & set(table.columns)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert {"published", "ec50_absolute_M"} <= set(read(table)[0])


def test_a_report_without_plates_has_no_table_of_quality(report):
    assert quality_table(replace(report, plates=())) is None


def test_what_is_open_stands_beside_the_experiment_that_would_settle_it(content):
    rows = content.open_questions.rows
    assert any("PANC-1" in who and "Add higher doses" in todo for who, _, todo in rows)
    assert any(who == "time of exposure" and "confounded" in what for who, what, _ in rows)


def test_one_experiment_is_told_to_be_repeated(report):
    curve = replace(report.curves[0], fits=report.curves[0].fits[:1])
    found = undetermined(replace(report, curves=(curve,), comparisons=()))
    assert any("only one" in what for _, what, _ in found.rows)


def test_methods_are_those_that_were_used(report):
    cite = References()
    said = " ".join(methods(report, cite))
    assert "profile likelihoods at 95 %" in said
    assert "Welch" in said
    assert "Welch" not in " ".join(methods(replace(report, comparisons=()), References()))
    assert "10.1177/108705719900400206" in " ".join(work.link for work in cite.works())


def test_references_are_numbered_in_the_order_in_which_they_are_cited():
    cite = References()
    assert (cite("zhang1999"), cite("welch1947", "zhang1999"), cite(None)) == ("[1]", "[2, 1]", "")


def test_the_printed_ratio_stands_beside_that_of_the_printed_means(content):
    row = content.comparisons.rows[0]
    assert "6.59" in row[4]
    assert any("6.4-fold" in note for note in content.ratio_notes)
