"""All figures of a report, each with its caption and its text; how a figure becomes a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halfmax.errors import FileError
from halfmax.output import write_file
from halfmax.report.analysis import analysis_alt, analysis_caption, analysis_figure
from halfmax.report.document import StudyReport
from halfmax.report.doseresponse import curve_alt, curve_figure, in_percent
from halfmax.report.forest import forest, forest_alt, published_points, row_label
from halfmax.report.platemap import plate_alt, plate_figure, shows_percent
from halfmax.report.style import SIMULATED, colours
from halfmax.report.variation import spread_alt, spread_caption, spread_figure

__all__ = ["Figure", "figures", "save_figure", "svg_of"]

#: Rows of one forest plot; more go into a second one.
FOREST_ROWS = 12
_SVG = "http://www.w3.org/2000/svg"
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Figure:
    """A figure: its name (also of its files), its caption, its content in words, and the chart itself.

    `kind` is ``forest``, ``spread``, ``curve``, ``analysis`` or ``plate``; `index` counts within a kind, in the
    order of the report.
    """

    name: str
    kind: str
    index: int
    caption: str
    alt: str
    chart: Any

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return self.chart._repr_mimebundle_(*args, **kwargs)


def figures(report: StudyReport) -> tuple[Figure, ...]:
    """Forest plot, experiments with their plates, curves, analyses and plates of a report, in its order.

    The charts are those of the report, to be shown in a notebook or saved by `save_figure`.
    """
    return (*_forests(report), *_spreads(report), *_curves(report), *_analyses(report), *_plates(report))


def _said(text: str, report: StudyReport) -> str:
    return f"{text} {SIMULATED.capitalize()}." if report.simulated else text


def _forests(report: StudyReport) -> Iterator[Figure]:
    colour = colours(report)
    chunks = [report.curves[k : k + FOREST_ROWS] for k in range(0, len(report.curves), FOREST_ROWS)]
    for index, chunk in enumerate(chunks):
        part = f" ({index + 1} of {len(chunks)})" if len(chunks) > 1 else ""
        caption = "EC50 of every curve; the bar is its interval."
        if any(len(curve.by_experiment) > 1 for curve in chunk):
            caption += " Dot and bar: all experiments together. Small marks: single experiments."
        if any(published_points(curve) for curve in chunk):
            caption += " Diamonds: published values, with ± as printed."
        chart = forest(chunk, colour, simulated=report.simulated, title=f"EC50{part}")
        yield Figure(
            f"forest-{index + 1}", "forest", index, _said(caption, report), _said(forest_alt(chunk), report), chart
        )


def _spreads(report: StudyReport) -> Iterator[Figure]:
    colour = colours(report)
    nested = [curve for curve in report.curves if curve.experiments]
    for index, curve in enumerate(nested):
        chart = spread_figure(curve, colour[curve.compound, curve.cell_line], simulated=report.simulated)
        name = f"experiments-{index + 1}-{_plain(row_label(curve))}"
        yield Figure(
            name, "spread", index, _said(spread_caption(curve), report), _said(spread_alt(curve), report), chart
        )


def _curves(report: StudyReport) -> Iterator[Figure]:
    colour = colours(report)
    channels = {plate.channel for plate in report.plates if plate.channel}
    channel = channels.pop() if len(channels) == 1 else ""
    for index, curve in enumerate(report.curves):
        how = (
            "Every well is a point, shifted sideways a little so that it can be seen; vehicle and full-effect wells "
            "stand beyond the breaks of the axis."
        )
        if in_percent(curve):
            how += " Signals are shown as percent of each experiment's vehicle, and were fitted raw."
        chart = curve_figure(
            curve, colour[curve.compound, curve.cell_line], simulated=report.simulated, channel=channel
        )
        name = f"curve-{index + 1}-{_plain(row_label(curve))}"
        yield Figure(
            name, "curve", index, _said(f"{row_label(curve)}. {how}", report), _said(curve_alt(curve), report), chart
        )


def _analyses(report: StudyReport) -> Iterator[Figure]:
    for index, one in enumerate(report.analyses):
        for number, plot in enumerate(one.plots, start=1):
            chart = analysis_figure(one, plot, simulated=report.simulated)
            name = f"analysis-{index + 1}{'' if number == 1 else f'-{number}'}-{_plain(one.title)}"
            caption = _said(f"{one.title}. {analysis_caption(plot)}", report)
            yield Figure(name, "analysis", index, caption, _said(analysis_alt(one, plot), report), chart)


def _plates(report: StudyReport) -> Iterator[Figure]:
    for index, plate in enumerate(report.plates):
        shown = "percent of the plate's vehicle" if shows_percent(plate) else "signal"
        chart = plate_figure(plate, simulated=report.simulated)
        name = f"plate-{index + 1}-{_plain(plate.name)}"
        yield Figure(
            name, "plate", index, _said(f"Plate {plate.name}, {shown}.", report), _said(plate_alt(plate), report), chart
        )


def _plain(text: str) -> str:
    """Text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:60] or "unnamed"


def save_figure(chart: Any, path: Path | str, *, scale: float = 3.0) -> None:
    """Write a chart to SVG, PDF or PNG, by the ending of the path; whole or not at all.

    Parameters
    ----------
    chart : Figure or altair chart
    path : Path
        Ends in ``.svg``, ``.pdf`` or ``.png``.
    scale : float
        Pixels of a PNG for each pixel of the figure.

    Raises
    ------
    FileError
        If the ending is another, or the file cannot be written.
    """
    import vl_convert

    drawn = chart.chart if isinstance(chart, Figure) else chart
    specification, path = drawn.to_dict(), Path(path)
    ending = path.suffix.casefold()
    if ending == ".svg":
        content = _svg(drawn, chart.alt if isinstance(chart, Figure) else "", "n").encode("utf-8")
    elif ending == ".pdf":
        content = vl_convert.vegalite_to_pdf(specification)
    elif ending == ".png":
        content = vl_convert.vegalite_to_png(specification, scale=scale)
    else:
        raise FileError(f'{path.name}: a figure is written as .svg, .pdf or .png, found "{path.suffix or path.name}".')
    write_file(path, content)


def svg_of(figure: Figure, *, prefix: str = "") -> str:
    """The figure as SVG text that can stand in a page, the same for the same figure.

    One image for assistive technology, described by the figure's text; what a mark
    says when pointed at is its title; the names inside are made unlike those of
    other figures by `prefix`.
    """
    return _svg(figure.chart, figure.alt, prefix)


def _svg(chart: Any, alt: str, prefix: str = "") -> str:
    import vl_convert

    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    drawn = _CONTROL_CHARACTERS.sub("\ufffd", vl_convert.vegalite_to_svg(chart.to_dict()))
    root = ElementTree.fromstring(drawn)
    names: dict[str, str] = {}
    for element in root.iter():
        if "id" in element.attrib:
            names[element.attrib["id"]] = f"{prefix}{len(names)}"
    for element in root.iter():
        _tidy(element, names)
    root.set("role", "img")
    if alt:
        root.set("aria-label", alt)
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(element: ElementTree.Element, names: dict[str, str]) -> None:
    """Turn the label of a mark into its title, and call what has a name by its new one."""
    label = element.attrib.pop("aria-label", None)
    role = element.attrib.pop("role", None)
    for name in ("aria-roledescription", "aria-hidden", "class"):
        element.attrib.pop(name, None)
    if label and role == "graphics-symbol":
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = label
        element.insert(0, title)
    for name, value in element.attrib.items():
        if name == "id":
            element.set(name, names[value])
        elif "url(#" in value:
            element.set(name, re.sub(r"url\(#([^)]*)\)", lambda found: f"url(#{names[found.group(1)]})", value))
