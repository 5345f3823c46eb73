"""The forest plot: every EC50 with its interval, its experiments under it, and what was published beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from halfmax.estimate import Parameter
from halfmax.estimate.combining import experiment_of
from halfmax.reference import Value
from halfmax.reference.entry import QUANTITIES
from halfmax.report.document import Curve
from halfmax.report.marks import Key, legend, point, points, rules, simulated_label, texts
from halfmax.report.style import (
    FAINT,
    GREY,
    INK,
    MUTED,
    concentration_expression,
    concentration_ticks,
    configuration,
)
from halfmax.units import format_duration

__all__ = ["axis_around", "concentration_axis", "forest", "published_points", "row_label"]

WIDTH = 460
_HEAD, _COMBINED, _STEP = 13, 31, 12
#: An interval may reach this far beyond the estimates before the axis cuts it.
REACH = 30.0
#: The axis spans at least this factor, so that a precise EC50 looks precise.
LEAST_RANGE = 30.0
Row = dict[str, Any]


def published_points(curve: Curve) -> list[Value]:
    """Published values that can stand on a concentration axis."""
    return [v for v in curve.published if v.value is not None and QUANTITIES[v.quantity][1] == "concentration"]


def _numbers(curve: Curve) -> list[float]:
    """Concentrations of one curve that the axis must show."""
    parameters = [curve.combined["ec50"], *(one["ec50"] for one in curve.by_experiment)]
    shown = [p.value for p in parameters] + [v.value_M for v in published_points(curve)]
    return [x for x in shown if math.isfinite(x) and x > 0]


def axis_range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Ends of the concentration axis that all rows share."""
    values = [x for curve in curves for x in _numbers(curve)] or [1e-7, 1e-4]
    least, most = min(values) / REACH, max(values) * REACH
    ends = [p for c in curves for p in (c.combined["ec50"].low, c.combined["ec50"].high)]
    return axis_around(values + [x for x in ends if least < x < most])


def axis_around(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis with room round some concentrations, never so short that scatter looks large."""
    low, high = min(values) / 1.8, max(values) * 1.8
    wider = max(1.0, math.sqrt(LEAST_RANGE / (high / low)))
    return low / wider, high * wider


def forest(curves: Sequence[Curve], colour: dict[tuple[str, str], str], *, simulated: bool, title: str) -> Any:
    """Forest plot of some curves, one row each.

    Parameters
    ----------
    curves : sequence of Curve
    colour : dict
        Of each (compound, line).
    simulated : bool
    title : str

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    low, high = axis_range(curves)
    row_height = _row_height(curves)
    height = row_height * len(curves)
    x = concentration_axis(low, high)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[height, 0], nice=False, zero=False), axis=None)
    rows: dict[str, list[Row]] = {"rules": [], "points": [], "labels": [], "values": []}
    for index, curve in enumerate(curves):
        _row(curve, index * row_height, colour[curve.compound, curve.cell_line], (low, high), rows)
    lines = [{"y": index * row_height} for index in range(1, len(curves))]
    between = rules([{**line, "stroke": FAINT, "width": 1.0} for line in lines], y=y)
    plot = alt.layer(
        *([between] if lines else []),
        rules(rows["rules"], x=x, x2=alt.X2("x2:Q"), y=y),
        points(rows["points"], x, y),
        texts(rows["labels"], alt.value(4), y, align="left", fontWeight="bold"),
        texts(rows["values"], alt.value(WIDTH - 4), y, align="right"),
        *simulated_label(simulated, WIDTH),
        width=WIDTH,
        height=height,
    )
    keys = legend(_keys(curves, rows["points"]), WIDTH)
    return alt.vconcat(plot, keys, title=alt.TitleParams(text=title), config=configuration(simulated=simulated))


def _row_height(curves: Sequence[Curve]) -> int:
    """Height of a row with room for what the rows hold: the EC50, its experiments, published values."""
    steps = any(len(curve.by_experiment) > 1 for curve in curves) + any(published_points(curve) for curve in curves)
    return _COMBINED + _STEP * (1 + steps)


def concentration_axis(low: float, high: float) -> Any:
    """Logarithmic axis of EC50s, labelled as a person says them."""
    import altair as alt

    ticks = concentration_ticks(low, high, thirds=3.2)
    return alt.X(
        "x:Q",
        title="EC50 (log scale)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=concentration_expression(ticks, {}), grid=True),
    )


def row_label(curve: Curve, *, compound: bool = True) -> str:
    """Compound, line and time of a row."""
    time = format_duration(curve.time_s) if math.isfinite(curve.time_s) else ""
    return ", ".join(part for part in (curve.title if compound else curve.cell_line, time) if part)


def _row(curve: Curve, top: float, colour: str, ends: tuple[float, float], rows: dict[str, list[Row]]) -> None:
    """All marks of one curve, from `top` downwards."""
    ec50 = curve.combined["ec50"]
    rows["labels"].append({"y": top + _HEAD, "text": row_label(curve)})
    rows["values"].append({"y": top + _HEAD, "text": ec50.text()})
    tip = f"{row_label(curve)}: {ec50.text()}"
    _interval(ec50, top + _COMBINED, colour, ends, tip, rows)
    single = curve.by_experiment
    for one in single if len(single) > 1 else ():
        own, name = one["ec50"], experiment_of(one)
        tip = f"{row_label(curve)}, experiment {name}: {own.text()}"
        shape = {">": "triangle-right", "<": "triangle-left"}.get(own.operator, "circle")
        if own.operator != "?":
            look = point(shape, "white", colour, 34, 1.4, tip)
            rows["points"].append({"x": own.value, "y": top + _COMBINED + _STEP, **look})
    for value in published_points(curve):
        below = _STEP * (1 + (len(curve.by_experiment) > 1))
        _published(value, top + _COMBINED + below, ends, rows)


def _interval(
    ec50: Parameter, y: float, colour: str, ends: tuple[float, float], tip: str, rows: dict[str, list[Row]]
) -> None:
    """Dot and bar of a bounded EC50, tick and arrow of a bound, nothing where it is not identified."""
    if ec50.operator == "?":
        return
    low, high = max(ec50.low, ends[0]), min(ec50.high, ends[1])
    rows["rules"].append({"x": low, "x2": high, "y": y, "stroke": colour, "width": 3.0})
    for at, true, shape in ((low, ec50.low, "triangle-left"), (high, ec50.high, "triangle-right")):
        if at != true:
            is_open = true == 0 or math.isinf(true)
            rows["points"].append(
                {"x": at, "y": y, **point(shape, colour if is_open else "white", colour, 90, 1.5, tip)}
            )
    look = (
        point("circle", colour, "white", 110, 1.0, tip)
        if ec50.operator == "="
        else point("stroke", colour, colour, 60, 3.0, tip)
    )
    if ec50.operator != "=":
        look["shape"] = "M0,-1L0,1"
    rows["points"].append({"x": ec50.value, "y": y, **look})


def _published(value: Value, y: float, ends: tuple[float, float], rows: dict[str, list[Row]]) -> None:
    """Hollow diamond of a published value, its ± as printed drawn thin."""
    at, error = value.value_M, value.error_M
    tip = f"published: {value.text()}" + (" (± undefined in the source)" if value.error_kind == "undefined" else "")
    if error is not None:
        low, high = max(at - error, ends[0]), min(at + error, ends[1])
        rows["rules"].append({"x": low, "x2": high, "y": y, "stroke": GREY, "width": 1.2})
    rows["points"].append({"x": at, "y": y, **point("diamond", "white", INK, 60, 1.2, tip)})


def _keys(curves: Sequence[Curve], drawn: Sequence[Row]) -> list[Key]:
    """Legend of the kinds of mark that are in the figure."""
    operators = {curve.combined["ec50"].operator for curve in curves}
    level = f"{100 * curves[0].combined.level:.0f} %"
    keys = [Key(point("circle", MUTED, "white", 110), f"EC50, bar: {level} interval")]
    if any(len(curve.by_experiment) > 1 for curve in curves):
        keys.append(Key(point("circle", "white", MUTED, 34, 1.4), "one experiment"))
    if operators & {"<", ">"}:
        keys.append(Key(point("triangle-right", MUTED, MUTED, 90), "interval open: a bound only"))
    if any(row["fill"] == "white" and row["size"] == 90 for row in drawn):
        keys.append(Key(point("triangle-right", "white", MUTED, 90, 1.5), "interval goes on beyond the axis"))
    values = [value for curve in curves for value in published_points(curve)]
    if values:
        kinds = {value.error_kind for value in values if value.error is not None}
        text = "published" + (", ± undefined in source" if "undefined" in kinds else "")
        keys.append(Key(point("diamond", "white", INK, 60, 1.2), text))
    return keys


def forest_alt(curves: Sequence[Curve]) -> str:
    """The forest plot in words, with its numbers."""
    parts = []
    for curve in curves:
        published = "; ".join(value.text() for value in published_points(curve))
        parts.append(
            f"{row_label(curve)}: {curve.combined['ec50'].text()}" + (f" (published {published})" if published else "")
        )
    return "Forest plot of EC50s on a logarithmic axis. " + ". ".join(parts) + "."
