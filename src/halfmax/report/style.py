"""How everything in a report looks: colours, shapes, sizes, and the words on axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from halfmax.report.document import StudyReport
from halfmax.units import format_concentration

__all__ = [
    "CONTROLS",
    "CROSS",
    "FAINT",
    "FONT",
    "GREY",
    "INK",
    "MUTED",
    "OKABE_ITO",
    "SHAPES",
    "SIMULATED",
    "SLASH",
    "WARNING",
    "colours",
    "concentration_expression",
    "concentration_ticks",
    "configuration",
    "shade",
]

#: Okabe and Ito's colours without yellow, which cannot be read on white.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, MUTED, GREY, FAINT, WARNING = "#1b1f24", "#57606a", "#8a9099", "#e3e5e8", "#9a3412"
#: Metric-compatible faces, so that text measured while drawing fits wherever it is shown.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
#: The label that every simulated figure and table carries.
SIMULATED = "simulated data"
#: Experiments are told apart by shape first and lightness second.
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "triangle-right", "triangle-left", "wedge")
CROSS, SLASH = "M-1,-1L1,1M-1,1L1,-1", "M-1,1L1,-1"
#: Outline, letter and words of each kind of control well.
CONTROLS = {
    "vehicle": ("#57606a", "V", "vehicle"),
    "untreated": ("#009E73", "U", "untreated"),
    "kill": ("#D55E00", "K", "kill"),
    "blank": ("#56B4E9", "B", "blank"),
    "compound_blank": ("#CC79A7", "C", "compound without cells"),
    "time_zero": ("#E69F00", "T", "time zero"),
}


def colours(report: StudyReport) -> dict[tuple[str, str], str]:
    """Colour of each (compound, line): one a line, or one a compound where there is only one line."""
    lines = list(dict.fromkeys(curve.cell_line for curve in report.curves))
    compounds = list(dict.fromkeys(curve.compound for curve in report.curves))
    by_line = len(lines) > 1
    order = lines if by_line else compounds
    return {
        (curve.compound, curve.cell_line): OKABE_ITO[
            order.index(curve.cell_line if by_line else curve.compound) % len(OKABE_ITO)
        ]
        for curve in report.curves
    }


def shade(colour: str, index: int, count: int) -> str:
    """Colour of one of several experiments: the first darker, the last lighter than `colour`.

    Examples
    --------
    >>> shade("#0072B2", 0, 1)
    '#0072b2'
    """
    place = 0.0 if count < 2 else 2.0 * index / (count - 1) - 1.0
    target, weight = (255, 0.38 * place) if place > 0 else (0, -0.35 * place)
    parts = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (target - part) * weight):02x}" for part in parts)


def concentration_ticks(low: float, high: float, *, thirds: float = 2.2) -> list[float]:
    """Round concentrations between two others: decades, with thirds where there are fewer than `thirds` of them.

    Examples
    --------
    >>> concentration_ticks(1e-7, 1e-4)
    [1e-07, 1e-06, 1e-05, 0.0001]
    >>> concentration_ticks(2e-6, 4e-5)
    [3e-06, 1e-05, 3e-05]
    """
    steps: tuple[float, ...] = (1.0,) if math.log10(high / low) >= thirds else (1.0, 3.0)
    if math.log10(high / low) < 0.8:
        steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = (float(f"{step}e{decade}") for decade in decades for step in steps)
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def concentration_expression(ticks: Iterable[float], words: dict[float, str], *, molar: bool = True) -> str:
    """Vega expression that labels an axis as a person says it: ``100 nM``, ``1 µM``; `words` label special places."""
    labels = {tick: format_concentration(tick) if molar else f"{tick:g}" for tick in ticks} | words
    expression = "''"
    for place, label in labels.items():
        expression = f"abs(datum.value / {place:.9e} - 1) < 1e-6 ? '{label}' : {expression}"
    return expression


def configuration(*, simulated: bool) -> Any:
    """Fonts, sizes and quiet axes of every figure; a simulated one keeps its label on the line of its title.

    Axes and titles get no labels of their own for assistive technology: vega writes them without escaping quotes,
    and the figure as a whole is described by its text.
    """
    import altair as alt

    return alt.Config(
        font=FONT,
        background="white",
        padding=8,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelColor=INK, titleColor=INK,
            gridColor=FAINT, domainColor=GREY, tickColor=GREY, labelFlush=False, aria=False,
        ),
        title=alt.TitleConfig(
            fontSize=14, subtitleFontSize=12, anchor="start", color=INK, offset=-10 if simulated else 10,
            subtitleColor=WARNING if simulated else MUTED, subtitlePadding=4, aria=False,
        ),
        legend=alt.LegendConfig(aria=False),
        concat=alt.CompositionConfig(spacing=4),
    )  # fmt: skip
