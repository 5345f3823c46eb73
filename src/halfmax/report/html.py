"""The report as one HTML file: no request to any network, readable without scripts, good on paper."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any

from halfmax.output import write_file
from halfmax.report.content import Content, content_of
from halfmax.report.document import StudyReport
from halfmax.report.figure import Figure, svg_of
from halfmax.report.tables import Table

__all__ = ["html_of", "write_html"]


def write_html(report: StudyReport, path: Path | str) -> None:
    """Write a report as one HTML file, whole or not at all.

    Figures stand in the page as SVG; wells say what they are when pointed at. Every
    table has its CSV in the page, every figure can be saved as SVG or PNG. Nothing is
    ever loaded from elsewhere.

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
    write_file(Path(path), html_of(report))


def html_of(report: StudyReport) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    folder = files("halfmax.report").joinpath("templates")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(svg=_Numbered(), csv_link=_csv_link)
    template = environment.from_string(folder.joinpath("report.html.jinja").read_text(encoding="utf-8"))
    return template.render(**_names(content_of(report)), **_assets(folder)) + "\n"


def _names(content: Content) -> dict[str, Any]:
    return {"report": content.report, "content": content}


def _assets(folder: Any) -> dict[str, Any]:
    """Style sheet and script: our own files, so safe to stand in the page as they are."""
    from markupsafe import Markup

    return {
        "style": Markup(folder.joinpath("report.css").read_text(encoding="utf-8")),
        "script": Markup(folder.joinpath("report.js").read_text(encoding="utf-8")),
    }


class _Numbered:
    """SVG of figures for the page, each with names of its own inside."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, figure: Figure) -> Any:
        from markupsafe import Markup

        self.count += 1
        return Markup(svg_of(figure, prefix=f"f{self.count}-"))


def _csv_link(table: Table) -> str:
    """The table as a link that holds its own CSV; the mark in front tells spreadsheets that it is UTF-8."""
    content = base64.b64encode(b"\xef\xbb\xbf" + table.csv().encode("utf-8")).decode("ascii")
    return f"data:text/csv;charset=utf-8;base64,{content}"
