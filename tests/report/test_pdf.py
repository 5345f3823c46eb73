"""The PDF: the same bytes for the same report, and nothing in it that the machine brought along."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

import pytest

from halfmax.errors import FileError
from halfmax.report import write_pdf
from halfmax.report.pdf import _breakable, pdf_of


def small(report, **changes: object):
    """A report that is quickly typeset."""
    return replace(report, curves=report.curves[:1], plates=report.plates[:1], comparisons=(), **changes)


def test_it_is_a_pdf(pdf):
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_same_report_gives_the_same_bytes(report):
    one = small(report)
    assert pdf_of(one) == pdf_of(one)


def test_it_holds_no_time_and_only_the_fonts_that_typst_brings(pdf):
    content = pdf.read_bytes()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        try:
            content += zlib.decompress(stream)
        except zlib.error:
            continue
    assert b"CreationDate" not in content
    fonts = {name.split(b"+")[-1] for name in re.findall(rb"/FontName\s*/([A-Za-z0-9+-]+)", content)}
    assert fonts
    assert all(name.startswith((b"Libertinus", b"NewCM", b"DejaVuSansMono")) for name in fonts)


@pytest.mark.parametrize("name", ['#panic("x")', "<script>alert(1)</script>", "=1+1", "$x$ *b* _i_ @ref \\ `c` // /*"])
def test_text_from_files_is_never_markup(report, name):
    curve = replace(report.curves[0], compound=name)
    hostile = replace(small(report, title=name, description=name), curves=(curve,))
    assert pdf_of(hostile).startswith(b"%PDF")


def test_a_report_with_nothing_but_a_title_is_still_a_pdf(report):
    empty = replace(report, curves=(), plates=(), comparisons=(), exclusions=(), discrepancies=())
    assert pdf_of(empty).startswith(b"%PDF")


def test_a_long_word_can_be_broken_and_a_short_one_not():
    assert _breakable("a" * 20) == "a" * 14 + "\u200b" + "a" * 6
    assert _breakable("compound in a line") == "compound in a line"


def test_a_folder_that_is_not_there_is_named(report, tmp_path):
    with pytest.raises(FileError, match="nowhere"):
        write_pdf(replace(report, curves=(), plates=()), tmp_path / "nowhere" / "report.pdf")
