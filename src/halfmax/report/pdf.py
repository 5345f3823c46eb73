"""The report as a PDF: typeset by typst with its own fonts, the same bytes for the same report."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from halfmax.output import write_file
from halfmax.report.content import Content, CurvePart, content_of
from halfmax.report.document import StudyReport
from halfmax.report.figure import Figure, svg_of
from halfmax.report.tables import Table

__all__ = ["pdf_of", "write_pdf"]

#: The face that typst brings along; figures take it too, so that no font of the machine enters the file.
_FACE = "Libertinus Serif"
#: Words longer than this may be broken in a table.
_LONG = 14
#: Cells up to this length stay on one line.
_WHOLE = 19


def write_pdf(report: StudyReport, path: Path | str) -> None:
    """Write a report as PDF, whole or not at all.

    The same report gives the same bytes: the file carries no time but `report.provenance.created`,
    and no font of the machine.

    Parameters
    ----------
    report : StudyReport
    path : Path
        In a folder that exists.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    write_file(Path(path), pdf_of(report))


def pdf_of(report: StudyReport) -> bytes:
    """The document as bytes. Texts reach typst as data, never as markup."""
    import typst

    content = content_of(report)
    template = files("halfmax.report").joinpath("templates", "report.typ").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="halfmax-") as name:
        folder = Path(name)
        (folder / "report.typ").write_text(template, encoding="utf-8")
        told = json.dumps(_told(content, folder), ensure_ascii=False, allow_nan=False)
        (folder / "content.json").write_text(told, encoding="utf-8")
        made: bytes = typst.compile(folder / "report.typ", root=folder, format="pdf", ignore_system_fonts=True)
    return made


def _told(content: Content, folder: Path) -> dict[str, Any]:
    """What the template reads, with the figures written beside it."""
    report = content.report
    return {
        "title": report.title,
        "description": report.description,
        "created": content.date,
        "banner": content.banner,
        "version": content.version,
        "summary": _table(content.summary),
        "findings": _table(content.findings),
        "comparisons": _table(content.comparisons),
        "ratio_notes": list(content.ratio_notes),
        "forests": [_figure(figure, folder) for figure in content.forests],
        "variation": _table(content.variation),
        "variation_words": content.variation_words,
        "spreads": [_figure(figure, folder) for figure in content.spreads],
        "influence": _table(content.influence),
        "read_curves": content.how_to_read_curves,
        "curves": [_part(part, folder) for part in content.curves],
        "sections": [
            {"title": section.title, "parts": [_part(part, folder) for part in section.parts]}
            for section in content.sections
        ],
        "read_plates": content.how_to_read_plates,
        "plates": [{"figure": _figure(part.figure, folder), "lines": list(part.lines)} for part in content.plates],
        "quality": _table(content.quality),
        "exclusions": _table(content.exclusions),
        "suggestions": _table(content.suggestions),
        "open": _table(content.open_questions),
        "methods": list(content.methods),
        "doubts": [vars(doubt) for doubt in content.doubts],
        "works": [{"text": work.text, "link": work.link} for work in content.works],
        "files": _table(content.files),
        "settings": _table(content.settings),
    }  # fmt: skip


def _part(part: CurvePart, folder: Path) -> dict[str, Any]:
    return {
        "title": part.title, "answer": part.answer, "status": part.status, "notes": list(part.notes),
        "figures": [_figure(figure, folder) for figure in part.figures], "table": _table(part.table),
    }  # fmt: skip


def _figure(figure: Figure, folder: Path) -> dict[str, str]:
    """Write a figure beside the document, in the document's own face."""
    name = f"{figure.name}.svg"
    text = re.sub(r'font-family="[^"]*"', f'font-family="{_FACE}"', svg_of(figure))
    (folder / name).write_text(text, encoding="utf-8")
    return {"file": name, "alt": figure.alt, "caption": figure.caption}


def _table(table: Table | None) -> dict[str, Any] | None:
    if table is None:
        return None
    return {
        "caption": table.caption,
        "columns": list(table.columns),
        "rows": [[_breakable(cell) for cell in row] for row in table.rows],
        "weights": _weights(table),
        "numeric": list(table.numeric),
    }


def _breakable(text: str) -> str:
    """Text whose very long words may be broken."""
    return re.sub(rf"\S{{{_LONG + 1},}}", lambda m: "\u200b".join(re.findall(rf".{{1,{_LONG}}}", m.group())), text)


def _weights(table: Table) -> list[float]:
    """Shares of the page's width: room for the longest word, and for long texts more than for short ones."""
    weights = []
    for index, head in enumerate(table.columns):
        cells: Sequence[str] = [row[index] for row in table.rows]
        longest = max((len(word) for text in (f"{head}+", *cells) for word in text.split()), default=1)
        length = max((len(text) for text in cells), default=1)
        wanted = length + 2 if length <= _WHOLE else max(_WHOLE, min(length, 120) ** 0.7)
        weights.append(float(max(min(longest, _LONG) + 2, wanted, 4)))
    return weights
