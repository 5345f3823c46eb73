"""Analyses of binding, kinetics and receptor theory: the figure of wells and fit, and the tables of what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfmax.estimate import Parameter
from halfmax.estimate.combining import is_combination
from halfmax.report.document import Analysis, Plot, Series, StudyReport
from halfmax.report.marks import Key, data, legend, point, points, simulated_label
from halfmax.report.style import (
    GREY,
    INK,
    OKABE_ITO,
    SHAPES,
    concentration_expression,
    concentration_ticks,
    configuration,
)
from halfmax.report.tables import Table, heads, numbers, table_of
from halfmax.units import format_concentration, format_duration

__all__ = ["SECTIONS", "analysis_alt", "analysis_figure", "analysis_table", "findings_table"]

#: Sections of a report that are made of analyses: their titles.
SECTIONS = {"binding": "Binding", "kinetics": "Kinetics", "function": "Receptor theory"}
WIDTH, HEIGHT = 440, 280
_WORDS = {"=": "identified", ">": "one-sided: above a bound", "<": "one-sided: below a bound", "?": "not identified"}
_TIMES = ((86400.0, 3 * 86400.0, "d"), (3600.0, 3 * 3600.0, "h"), (60.0, 180.0, "min"), (1.0, 0.0, "s"))
Row = dict[str, Any]


def analysis_figure(analysis: Analysis, plot: Plot, *, simulated: bool) -> Any:
    """One plot of an analysis: every well of every condition, and the fit.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    axis = _Axis(plot)
    x, y = axis.encoding(), _y(plot)
    tones = [OKABE_ITO[i % len(OKABE_ITO)] for i in range(len(plot.series))]
    wells = [row for i, one in enumerate(plot.series) for row in _wells(one, i, tones[i], axis)]
    lines = [row for i, one in enumerate(plot.series) for row in _line(one, i, tones[i], axis)]
    layers = [_drawn(lines, x, y, simulated=simulated)] if lines else []
    layers += [points(wells, x, y), *simulated_label(simulated, WIDTH)]
    drawn = alt.layer(*layers, width=WIDTH, height=HEIGHT)
    keys = [Key(_look(i, tone), one.label) for i, (one, tone) in enumerate(zip(plot.series, tones, strict=True))]
    keys.append(Key(point("M-1.6,0L1.6,0", GREY, GREY, 50, 1.7), f"fit{' (dashed: simulated)' if simulated else ''}"))
    title = alt.TitleParams(text=analysis.title, subtitle=analysis.answer, subtitleColor=INK)
    return alt.vconcat(drawn, legend(keys, WIDTH), title=title, config=configuration(simulated=simulated))


class _Axis:
    """Where an abscissa stands: concentrations on a logarithm with none beyond a break, times in a readable unit."""

    def __init__(self, plot: Plot) -> None:
        values = np.concatenate([np.concatenate([one.x, one.at]) for one in plot.series])
        self.title, self.log = plot.x_title, plot.x_kind == "concentration"
        self.scale, self.none = 1.0, math.nan
        if self.log:
            above = values[values > 0]
            self.low, self.high = float(above.min()), float(above.max())
            if (values == 0).any():
                self.none = self.low / 10 ** (0.25 + 0.08 * math.log10(self.high / self.low))
        else:
            self.low, self.high = float(values.min()), float(values.max())
        if plot.x_kind == "time":
            self.scale, unit = next((size, name) for size, least, name in _TIMES if self.high >= least)
            self.title = f"{self.title} ({unit})"

    def place(self, value: float) -> float:
        """Where a value stands on the axis."""
        return self.none if self.log and value == 0 else value / self.scale

    def encoding(self) -> Any:
        """The axis for altair."""
        import altair as alt

        if not self.log:
            return alt.X("x:Q", title=self.title, axis=alt.Axis(grid=False, tickCount=6))
        ticks = concentration_ticks(self.low, self.high)
        none = {} if math.isnan(self.none) else {self.none: "none"}
        ends = [(self.low if not none else self.none) / 1.5, self.high * 1.5]
        labels = concentration_expression(ticks, none)
        return alt.X(
            "x:Q", title=f"{self.title} (log scale)", scale=alt.Scale(type="log", domain=ends, nice=False),
            axis=alt.Axis(values=sorted([*none, *ticks]), labelExpr=labels, grid=False, labelOverlap=True),
        )  # fmt: skip


def _y(plot: Plot) -> Any:
    import altair as alt

    values = np.concatenate([np.concatenate([one.y, one.line]) for one in plot.series])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    pad = 0.04 * (high - low or 1.0)
    return alt.Y(
        "y:Q", title=plot.y_title, axis=alt.Axis(grid=True, tickCount=6),
        scale=alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False),
    )  # fmt: skip


def _look(index: int, tone: str) -> Row:
    return point(SHAPES[index % len(SHAPES)], tone, "white", 40, 0.5)


def _wells(one: Series, index: int, tone: str, axis: _Axis) -> list[Row]:
    rows = []
    for x, y in zip(one.x.tolist(), one.y.tolist(), strict=True):
        if math.isfinite(y):
            shown = format_concentration(x) if axis.log else f"{x / axis.scale:.3g}"
            look = _look(index, tone) | {"tip": f"{one.label}, {shown}: {y:.4g}"}
            rows.append({"x": axis.place(x), "y": y, **look})
    return rows


def _line(one: Series, index: int, tone: str, axis: _Axis) -> list[Row]:
    pairs = [(x, y) for x, y in zip(one.at.tolist(), one.line.tolist(), strict=True) if math.isfinite(y)]
    return [{"x": axis.place(x), "y": float(f"{y:.5g}"), "tone": tone, "series": index} for x, y in pairs]


def _drawn(rows: Sequence[Row], x: Any, y: Any, *, simulated: bool) -> Any:
    import altair as alt

    dash = [6, 3] if simulated else [1, 0]
    line = alt.Chart(data(rows)).mark_line(strokeWidth=1.7, clip=True, aria=False, strokeDash=dash)
    return line.encode(x=x, y=y, stroke=alt.Stroke("tone:N", scale=None), detail=alt.Detail("series:N"))


def analysis_alt(analysis: Analysis, plot: Plot) -> str:
    """A plot in words, with its numbers."""
    wells = sum(one.y.size for one in plot.series)
    return f"{analysis.title}: {plot.y_title}, {wells} points in {len(plot.series)} conditions. {analysis.answer}."


def analysis_table(report: StudyReport, analysis: Analysis, index: int) -> Table:
    """Every parameter of an analysis with its interval, and what the data say of it."""
    found = analysis.estimate.parameters
    level = f"{100 * analysis.estimate.level:.0f} %"
    return table_of(
        report, f"analysis-{index + 1}", f"{analysis.title}: parameters with their {level} intervals.",
        ("parameter", f"value ({level} interval)", "verdict", "interval by"),
        [(words(one.name), shown(one), _WORDS[one.operator], one.method) for one in found], (),
        ("parameter", "unit", *heads("value", ""), "method"),
        [(one.name, one.unit, *numbers(one), one.method) for one in found],
    )  # fmt: skip


def findings_table(report: StudyReport) -> Table | None:
    """The answers of all analyses: one row each."""
    if not report.analyses:
        return None
    rows = []
    for one in report.analyses:
        count = f"{one.estimate.n} experiments" if is_combination(one.estimate) else f"{one.estimate.n} wells"
        rows.append((SECTIONS[one.section], one.title, one.answer, count))
    caption = "Binding, kinetics and receptor theory: the answer of each analysis."
    return table_of(report, "findings", caption, ("assay", "analysis", "answer", "of"), rows, (3,))


def words(name: str) -> str:
    """A parameter as the field writes it."""
    return _NAMES.get(name, name.replace("_", " "))


def shown(parameter: Parameter) -> str:
    """Value with interval; rates by the minute, where that reads better."""
    if parameter.unit == "1/s" and max(abs(parameter.best), abs(parameter.value)) < 0.1:
        return parameter.scaled(60.0, "/min").text()
    if parameter.unit == "1/(M s)":
        return parameter.scaled(60e-6, "/µM/min").text()
    if parameter.unit == "s" and parameter.operator == "=":
        value, low, high = (format_duration(time) for time in (parameter.value, parameter.low, parameter.high))
        return f"{value} ({low}–{high})"
    return parameter.text()


_NAMES = {
    "ki": "Ki", "kd": "Kd", "ic50": "IC50", "bmax": "Bmax", "kinact": "kinact", "k_inact_half": "K_I",
    "k_inact_ratio": "kinact / K_I", "kobs": "k_obs", "kon": "k_on", "koff": "k_off", "nsb": "non-specific binding",
    "pa2": "pA2", "kb": "K_B", "tau": "τ", "ka": "K_A", "em": "E_m", "ec50": "EC50", "emax": "E_max",
    "hill_slope": "Hill slope", "schild_slope": "Schild slope", "ki_cheng_prusoff": "Ki (Cheng–Prusoff)",
}  # fmt: skip
