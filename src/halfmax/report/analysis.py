"""Analyses whose answer is not an EC50: the figure of wells and fit, and the tables of what was found."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate import Parameter
from halfmax.estimate.combining import is_combination
from halfmax.report.document import Analysis, HeatMap, Outlines, Plot, Series, StudyReport
from halfmax.report.marks import Key, data, legend, point, points, simulated_label
from halfmax.report.pictures import (
    Stimuli,
    heat_alt,
    heat_caption,
    heat_figure,
    outlines_alt,
    outlines_caption,
    outlines_figure,
    time_unit,
)
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

__all__ = [
    "SECTIONS",
    "analysis_alt",
    "analysis_caption",
    "analysis_figure",
    "analysis_table",
    "findings_table",
    "shown",
    "words",
]

#: Sections of a report that are made of analyses: their titles.
SECTIONS = {
    "binding": "Binding",
    "kinetics": "Kinetics",
    "function": "Receptor theory",
    "calcium": "Calcium",
    "blots": "Western blots",
    "mechanism": "Mechanism",
}
WIDTH, HEIGHT = 440, 280
_WORDS = {"=": "identified", ">": "one-sided: above a bound", "<": "one-sided: below a bound", "?": "not identified"}
#: Places of a drawn line, at most.
MOST_PLACES = 600
_DASH, _ARROW = "M-1.6,0L1.6,0", "M0,-1.2L0,0.8M-0.6,0.2L0,0.9L0.6,0.2"
#: What an estimate counts, by its model; else wells, or experiments of a combination.
_COUNTED = {"dish": "cells", "dishes": "dishes", "comparison by days": "days"}
#: Times of so many s and more are told in minutes, hours or days.
_MINUTES = 300.0
#: So many whole numbers on an axis are told one by one.
_FEW = 12
Row = dict[str, Any]


def analysis_figure(analysis: Analysis, plot: Plot | Outlines | HeatMap, *, simulated: bool) -> Any:
    """One figure of an analysis: every well of every condition and the fit, a picture of cells, or a heat map.

    Beyond the colours there are, conditions come in the same colours with open symbols of another shape. On a
    logarithmic ordinate, wells at or below zero are arrows on its lower edge.

    Returns
    -------
    altair.VConcatChart
    """
    if isinstance(plot, Outlines):
        return outlines_figure(analysis.title, plot, simulated=simulated)
    if isinstance(plot, HeatMap):
        return heat_figure(analysis.title, plot, simulated=simulated)
    return _plot_figure(analysis, plot, simulated=simulated)


def _plot_figure(analysis: Analysis, plot: Plot, *, simulated: bool) -> Any:
    import altair as alt

    axis, ordinate = _Axis(plot), _Ordinate(plot)
    above = axis.stimuli.height
    x, y = axis.encoding(), ordinate.encoding(above)
    wells = [row for i, one in enumerate(plot.series) for row in _wells(one, i, axis, ordinate)]
    lines = [row for i, one in enumerate(plot.series) for row in _line(one, i, axis, ordinate)]
    bands = [row for i, one in enumerate(plot.series) for row in _band(one, i, axis, ordinate)]
    layers = [*axis.stimuli.guides(x, HEIGHT + above), *([_filled(bands, x, y)] if bands else [])]
    layers += [_drawn(lines, x, y, dashed=simulated and not _is_trace(plot))] if lines else []
    layers += [points(wells, x, y)] if wells else []
    layers += [*axis.stimuli.layers(x), *simulated_label(simulated, WIDTH)]
    drawn = alt.layer(*layers, width=WIDTH, height=HEIGHT + above)
    title = alt.TitleParams(
        text=_wrapped(analysis.title, 60), subtitle=_wrapped(analysis.answer, 68), subtitleColor=INK
    )
    keys = _keys(plot, ordinate, dashed=simulated and not _is_trace(plot))
    return alt.vconcat(drawn, legend(keys, WIDTH), title=title, config=configuration(simulated=simulated))


def _wrapped(text: str, width: int) -> str | list[str]:
    """Text as lines of at most so many letters, for a title; as it is where it is short."""
    return textwrap.wrap(text, width) if len(text) > width else text


def _is_trace(plot: Plot) -> bool:
    """Whether lines are what was read frame by frame: like wells, and unlike fits, those are never dashed."""
    return plot.x_kind == "time" and not any(one.x.size for one in plot.series)


def _keys(plot: Plot, ordinate: _Ordinate, *, dashed: bool) -> list[Key]:
    """What the legend shows: a symbol for wells, a dash in its colour for a line alone."""
    how = " (dashed: simulated)" if dashed else ""
    keys = [
        Key(_look(i) if one.x.size else point(_DASH, _tone(i), _tone(i), 50, 1.7), one.label)
        for i, one in enumerate(plot.series)
    ]
    if any(one.x.size and one.at.size for one in plot.series):
        keys.append(Key(point(_DASH, GREY, GREY, 50, 1.7), f"fit{how}"))
    elif dashed and any(one.at.size for one in plot.series):
        keys.append(Key(point("M0,0", GREY, GREY, 1, 0), "dashed: simulated"))
    if any(ordinate.is_below(y) for one in plot.series for y in one.y.tolist()):
        keys.append(Key(point(_ARROW, GREY, GREY, 50, 1.2), "at or below 0"))
    return keys


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
        #: Days and the like have no places between them.
        counts = sorted(set(values.tolist()))
        whole = plot.x_kind == "plain" and len(counts) <= _FEW and all(one == int(one) for one in counts)
        self.whole = counts if whole else []
        timed = plot.x_kind == "time"
        self.stimuli = Stimuli(plot.bars if timed else (), self.low, self.high, WIDTH)
        if timed:
            self.scale, unit = time_unit(self.stimuli.high)
            self.title = f"{self.title} ({unit})"

    def place(self, value: float) -> float:
        """Where a value stands on the axis."""
        return self.none if self.log and value == 0 else value / self.scale

    def encoding(self) -> Any:
        """The axis for altair."""
        import altair as alt

        if not self.log:
            shown = alt.Scale(domain=self.stimuli.domain(), nice=False, zero=False)
            given = {"scale": shown} if self.stimuli.rows else {}
            places = {"values": self.whole} if self.whole else {"tickCount": 6}
            return alt.X("x:Q", title=self.title, axis=alt.Axis(grid=False, **places), **given)
        ticks = concentration_ticks(self.low, self.high)
        none = {} if math.isnan(self.none) else {self.none: "none"}
        ends = [(self.low if not none else self.none) / 1.5, self.high * 1.5]
        labels = concentration_expression(ticks, none)
        return alt.X(
            "x:Q", title=f"{self.title} (log scale)", scale=alt.Scale(type="log", domain=ends, nice=False),
            axis=alt.Axis(values=sorted([*none, *ticks]), labelExpr=labels, grid=False, labelOverlap=True),
        )  # fmt: skip


class _Ordinate:
    """Where signals stand: on a line from zero, or on a logarithm whose lower edge takes what has none."""

    def __init__(self, plot: Plot) -> None:
        bands = [edge for one in plot.series for edge in (one.low, one.high) if edge is not None]
        values = np.concatenate([*(np.concatenate([one.y, one.line]) for one in plot.series), *bands])
        values = values[np.isfinite(values)]
        self.title, self.log = plot.y_title, plot.y_log and bool((values > 0).any())
        if self.log:
            values = values[values > 0]
            self.low, self.high = float(values.min()) / 1.15, float(values.max()) * 1.15
        else:
            low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
            pad = 0.04 * (high - low or 1.0)
            self.low, self.high = low - pad, high + pad

    def is_below(self, value: float) -> bool:
        """Whether a signal has no logarithm."""
        return self.log and value <= 0

    def place(self, value: float) -> float:
        """Where a signal stands on the axis."""
        return self.low if self.is_below(value) else float(f"{value:.5g}")

    def within(self, value: float) -> float:
        """Where a signal stands on the axis, or the edge beyond which it lies."""
        return self.place(min(max(value, self.low), self.high))

    def encoding(self, above: int) -> Any:
        """The axis for altair, below so many pixels of stimulus bars."""
        import altair as alt

        room = {"range": [HEIGHT + above, above]} if above else {}
        if not self.log:
            scale = alt.Scale(domain=[self.low, self.high], nice=False, zero=False, **room)
            return alt.Y("y:Q", title=self.title, axis=alt.Axis(grid=True, tickCount=6), scale=scale)
        ticks = concentration_ticks(self.low, self.high)
        labels = concentration_expression(ticks, {}, molar=False)
        return alt.Y(
            "y:Q", title=f"{self.title} (log scale)", axis=alt.Axis(values=ticks, labelExpr=labels, grid=True),
            scale=alt.Scale(type="log", domain=[self.low, self.high], nice=False, **room),
        )  # fmt: skip


def _tone(index: int) -> str:
    return OKABE_ITO[index % len(OKABE_ITO)]


def _look(index: int) -> Row:
    """Symbol of a condition: filled while there are colours, then open and of another shape: no two are alike."""
    turn, tone = index // len(OKABE_ITO), _tone(index)
    shape = SHAPES[(index + 3 * turn) % len(OKABE_ITO)]
    return point(shape, "white", tone, 36, 1.5) if turn else point(shape, tone, "white", 40, 0.5)


def _wells(one: Series, index: int, axis: _Axis, ordinate: _Ordinate) -> list[Row]:
    rows = []
    for x, y in zip(one.x.tolist(), one.y.tolist(), strict=True):
        if math.isfinite(y):
            said = format_concentration(x) if axis.log else f"{x / axis.scale:.3g}"
            look = _look(index) | {"tip": f"{one.label}, {said}: {y:.4g}"}
            if ordinate.is_below(y):
                look |= {"shape": _ARROW, "stroke": _tone(index), "width": 1.2}
            rows.append({"x": axis.place(x), "y": ordinate.place(y), **look})
    return rows


def _line(one: Series, index: int, axis: _Axis, ordinate: _Ordinate) -> list[Row]:
    shown = np.array([math.isfinite(y) and not ordinate.is_below(y) for y in one.line.tolist()], dtype=bool)
    places = np.flatnonzero(shown)
    stretches = _stretches(places, MOST_PLACES // 2 - 1) if places.size > MOST_PLACES else []
    if stretches:
        ends = [(part[one.line[part].argmin()], part[one.line[part].argmax()]) for part in stretches]
        places = np.unique([*np.ravel(ends), places[0], places[-1]])
    parts = _parts(shown, places, len(stretches[0]) if stretches else 0)
    return [
        {"x": axis.place(x), "y": ordinate.place(y), "tone": _tone(index), "series": index, "part": part}
        for x, y, part in zip(one.at[places].tolist(), one.line[places].tolist(), parts, strict=True)
    ]


def _band(one: Series, index: int, axis: _Axis, ordinate: _Ordinate) -> list[Row]:
    """The interval of a line: the extremes of each stretch where there are too many places."""
    if one.low is None or one.high is None:
        return []
    shown = ~(np.isnan(one.low) | np.isnan(one.high))
    places = np.flatnonzero(shown)
    stretches = _stretches(places, MOST_PLACES // 2 if places.size > MOST_PLACES else places.size)
    firsts = np.array([part[0] for part in stretches], dtype=int)
    parts = _parts(shown, firsts, max((len(part) for part in stretches), default=1) - 1)
    return [
        {
            "x": axis.place(float(one.at[stretch].mean())), "y": ordinate.within(float(one.low[stretch].min())),
            "y2": ordinate.within(float(one.high[stretch].max())), "tone": _tone(index), "series": index, "part": part,
        }
        for stretch, part in zip(stretches, parts, strict=True)
    ]  # fmt: skip


def _stretches(places: NDArray[np.intp], count: int) -> list[NDArray[np.intp]]:
    """Places in so many stretches of about the same length."""
    return np.array_split(places, count) if count else []


def _parts(shown: NDArray[np.bool_], places: NDArray[np.intp], gap: int) -> list[int]:
    """Part of a line that each place belongs to: a new one begins after more than `gap` missing values in a row."""
    missing = np.diff(np.cumsum(~shown)[places]) > gap
    return [0, *np.cumsum(missing).tolist()][: places.size]


def _drawn(rows: Sequence[Row], x: Any, y: Any, *, dashed: bool) -> Any:
    import altair as alt

    dash = [6, 3] if dashed else [1, 0]
    line = alt.Chart(data(rows)).mark_line(strokeWidth=1.7, clip=True, aria=False, strokeDash=dash)
    return line.encode(x=x, y=y, stroke=alt.Stroke("tone:N", scale=None), detail=["series:N", "part:N"])


def _filled(rows: Sequence[Row], x: Any, y: Any) -> Any:
    import altair as alt

    band = alt.Chart(data(rows)).mark_area(opacity=0.2, line=False, clip=True, aria=False)
    return band.encode(x=x, y=y, y2="y2", fill=alt.Fill("tone:N", scale=None), detail=["series:N", "part:N"])


def analysis_caption(plot: Plot | Outlines | HeatMap) -> str:
    """What is seen, and what the drawing did to it."""
    if isinstance(plot, Outlines):
        return outlines_caption(plot)
    return heat_caption(plot) if isinstance(plot, HeatMap) else plot.caption


def analysis_alt(analysis: Analysis, plot: Plot | Outlines | HeatMap) -> str:
    """A figure in words, with its numbers."""
    if isinstance(plot, Outlines):
        return outlines_alt(analysis.title, plot)
    if isinstance(plot, HeatMap):
        return heat_alt(analysis.title, plot)
    counts = [one.y.size for one in plot.series if one.y.size]
    conditions = f"{sum(counts)} points in {len(counts)} condition{'s' * (len(counts) != 1)}"
    axis = _Axis(plot)
    alone = [_trace_words(one, plot, axis) for one in plot.series if one.at.size and not one.y.size]
    parts = [conditions] if counts or not alone else []
    parts += [f"lines: {', '.join(alone)}"] if alone else []
    said = f"{plot.y_title} against {plot.x_title}, {'; '.join(parts)}{axis.stimuli.words()}"
    return f"{analysis.title}: {said}. {analysis.answer}."


def _trace_words(one: Series, plot: Plot, axis: _Axis) -> str:
    """A line without wells: its name, and in time its highest place."""
    if plot.x_kind != "time" or not np.isfinite(one.line).any():
        return one.label
    top = int(np.nanargmax(np.where(np.isfinite(one.line), one.line, np.nan)))
    unit = time_unit(axis.stimuli.high)[1]
    return f"{one.label} (highest {one.line[top]:.3g} at {axis.place(float(one.at[top])):.3g} {unit})"


def analysis_table(report: StudyReport, analysis: Analysis, index: int) -> Table:
    """Every parameter of an analysis with its interval, and what the data say of it."""
    found, conditions = analysis.estimate.parameters, _conditions(analysis)
    level = f"{100 * analysis.estimate.level:.0f} %"
    return table_of(
        report, f"analysis-{index + 1}", f"{analysis.title}: parameters with their {level} intervals.",
        ("parameter", f"value ({level} interval)", "verdict", "interval by"),
        [(words(one.name, conditions), shown(one), _verdict(one), one.method) for one in found], (),
        ("parameter", "unit", *heads("value", ""), "method"),
        [(one.name, one.unit, *numbers(one), one.method) for one in found],
    )  # fmt: skip


def findings_table(report: StudyReport) -> Table | None:
    """The answers of all analyses: one row each."""
    if not report.analyses:
        return None
    rows = []
    for one in report.analyses:
        counted = "experiments" if is_combination(one.estimate) else _COUNTED.get(one.estimate.model, "wells")
        count = f"{one.estimate.n} {counted}"
        rows.append((SECTIONS[one.section], one.title, one.answer, count))
    there = [SECTIONS[section] for section in SECTIONS if any(one.section == section for one in report.analyses)]
    caption = f"{_listed(there)}: the answer of each analysis."
    return table_of(report, "findings", caption, ("assay", "analysis", "answer", "of"), rows, (3,))


def _listed(titles: Sequence[str]) -> str:
    """Titles in a row, with the first letter of a name kept.

    Examples
    --------
    >>> _listed(["Binding", "Calcium", "Western blots"])
    'Binding, calcium and Western blots'
    """
    first, *rest = titles
    rest = [title if title.startswith("Western") else title.lower() for title in rest]
    return " and ".join([", ".join([first, *rest[:-1]]), *rest[-1:]])


def _conditions(analysis: Analysis) -> tuple[str, ...]:
    """What the wells of an analysis are called in its legends."""
    plots = [plot for plot in analysis.plots if isinstance(plot, Plot)]
    return tuple(one.label.removeprefix("after ") for plot in plots for one in plot.series)


def _verdict(one: Parameter) -> str:
    """What the data say of a parameter; nothing of a number without an interval."""
    return "" if one.operator == "=" and math.isnan(one.low) else _WORDS[one.operator]


def words(name: str, conditions: Iterable[str] = ()) -> str:
    """A parameter as the field writes it; `conditions` are names that its name may end with, as they are written.

    Examples
    --------
    >>> words("tau_CB_64D", ["CB-64D"]), words("q_1p5_uM"), words("em")
    ('τ of CB-64D', 'q after 1.5 µM', 'E_m')
    """
    if name in _NAMES:
        return _NAMES[name]
    start, _, end = name.partition("_")
    if start not in _OF or not end:
        return name.replace("_", " ")
    written = {re.sub(r"[^0-9A-Za-z]+", "_", one).strip("_"): one for one in conditions}
    dose = re.fullmatch(r"(\d+)(?:p(\d+))?_([a-z]?)M", end)
    if dose and start == "q":
        number, rest, prefix = dose.groups()
        written[end] = f"{number}{'.' + rest if rest else ''} {prefix.replace('u', 'µ')}M"
    return _OF[start].format(written.get(end, end.replace("_", " ")))


def shown(parameter: Parameter) -> str:
    """Value with interval; rates by the minute, where that reads better, and tau/KA as its logarithm."""
    if parameter.operator == "=" and math.isnan(parameter.low) and math.isnan(parameter.high):
        return f"{parameter.value:.3g} {parameter.unit}".strip()
    if parameter.name.startswith("transduction") and parameter.unit == "1/M" and parameter.best > 0:
        return _log10(parameter).text()
    if parameter.unit == "1/s" and max(abs(parameter.best), abs(parameter.value)) < 0.1:
        return parameter.scaled(60.0, "/min").text()
    if parameter.unit == "1/(M s)":
        return parameter.scaled(60e-6, "/µM/min").text()
    if parameter.unit == "s" and parameter.operator == "=" and parameter.high >= _MINUTES:
        value, low, high = (format_duration(time) for time in (parameter.value, parameter.low, parameter.high))
        return f"{value} ({low}–{high})"
    return parameter.text()


def _log10(parameter: Parameter) -> Parameter:
    """Logarithm of a positive quantity with its interval."""
    low = math.log10(parameter.low) if parameter.low > 0 else -math.inf
    return Parameter.bounded(parameter.name, math.log10(parameter.best), low, math.log10(parameter.high))


#: Beginnings of the names of parameters that there is one of for each condition.
_OF = {"tau": "τ of {}", "ka": "K_A of {}", "transduction": "log(τ/K_A) of {}", "q": "q after {}"}
_NAMES = {
    "ki": "Ki", "kd": "Kd", "ic50": "IC50", "bmax": "Bmax", "kinact": "kinact", "k_inact_half": "K_I",
    "k_inact_ratio": "kinact / K_I", "kobs": "k_obs", "kon": "k_on", "koff": "k_off", "nsb": "non-specific binding",
    "pa2": "pA2", "kb": "K_B", "tau": "τ", "ka": "K_A", "em": "E_m", "ec50": "EC50", "emax": "E_max",
    "hill_slope": "Hill slope", "schild_slope": "Schild slope", "ki_cheng_prusoff": "Ki (Cheng–Prusoff)",
    "transduction": "log(τ/K_A)", "i_squared": "I²",
    "sd_log10": "SD between experiments (decades)", "tau_log10": "τ between experiments (decades)",
    "ec50_next": "EC50 of a next experiment", "icc": "ICC", "inactivation_efficiency": "kinact / K_I",
}  # fmt: skip
