"""The figure of one curve: every well, the fit of each experiment with its band, the EC50 with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate import Estimate, zero_of
from halfmax.report.document import Curve
from halfmax.report.forest import row_label
from halfmax.report.marks import Key, data, legend, point, points, rules, simulated_label
from halfmax.report.style import (
    CROSS,
    GREY,
    INK,
    MUTED,
    SHAPES,
    SLASH,
    concentration_expression,
    concentration_ticks,
    configuration,
    shade,
)
from halfmax.response import Response
from halfmax.units import format_concentration

__all__ = ["curve_alt", "curve_figure", "in_percent"]

WIDTH, HEIGHT = 440, 280
#: A fit whose plateaus lie this many times further apart than the wells is no curve that can be drawn.
BEYOND_WELLS = 1e4
#: Steps of this share of the width spread any number of points evenly.
_GOLDEN = 0.6180339887498949
Array = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Places:
    """Where things stand on the broken concentration axis."""

    doses: tuple[float, float]
    vehicle: float | None
    right: dict[str, float]
    breaks: tuple[float, ...]
    ends: tuple[float, float]


@dataclass(frozen=True)
class _Display:
    """Line from raw signals to what is shown: percent of the experiment's vehicle, or the signal itself."""

    zero: float = 0.0
    scale: float = 1.0

    def __call__(self, signal: Any) -> Any:
        return (signal - self.zero) * self.scale


def _display(response: Response) -> _Display | None:
    """Percent of vehicle of one experiment; None where its vehicle does not allow it."""
    vehicle = response.signal[response.used & (response.role == "vehicle")]
    zero = zero_of(response)
    zero = 0.0 if math.isnan(zero) else zero
    if vehicle.size == 0 or not float(vehicle.mean()) > zero:
        return None
    return _Display(zero, 100.0 / (float(vehicle.mean()) - zero))


def in_percent(curve: Curve) -> bool:
    """Whether the figure shows percent of vehicle: several experiments, each with its vehicle."""
    return len(curve.fits) > 1 and all(fit.response is not None and _display(fit.response) for fit in curve.fits)


def _places(responses: Sequence[Response]) -> _Places:
    doses = np.concatenate([r.concentration[(r.role == "sample") & (r.concentration > 0)] for r in responses])
    low, high = (float(doses.min()), float(doses.max())) if doses.size else (1e-7, 1e-4)
    gap = 0.1 + 0.09 * math.log10(high / low)
    roles = {role for r in responses for role in r.role.tolist()} & {"vehicle", "kill", "blank"}
    zero_dose = any(((r.role == "sample") & (r.concentration == 0)).any() for r in responses)
    vehicle = low * 10 ** (-1.7 * gap) if "vehicle" in roles or zero_dose else None
    right: dict[str, float] = {}
    for role in ("kill", "blank"):
        if role in roles:
            right[role] = high * 10 ** (gap * (1.7 + 1.5 * len(right)))
    breaks = ([low * 10 ** (-0.75 * gap)] if vehicle else []) + ([high * 10 ** (0.75 * gap)] if right else [])
    ends = ((vehicle or low) * 10 ** (-0.6 * gap), max([high, *right.values()]) * 10 ** (0.6 * gap))
    return _Places((low, high), vehicle, right, tuple(breaks), ends)


def curve_figure(curve: Curve, colour: str, *, simulated: bool, channel: str = "") -> Any:
    """Figure of one curve.

    Parameters
    ----------
    curve : Curve
    colour : str
        Of its line, ``#rrggbb``.
    simulated : bool
    channel : str
        What was read, for the axis of a single experiment: ``570 − 660 nm``.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    fits = [fit for fit in curve.fits if fit.response is not None]
    responses = [fit.response for fit in fits if fit.response is not None]
    percent = in_percent(curve)
    displays = [(_display(r) if percent else None) or _Display() for r in responses]
    places = _places(responses)
    names = [r.experiment if curve.experiments else str(i) for i, r in enumerate(responses)]
    experiments = list(dict.fromkeys(names))
    of = [experiments.index(name) for name in names]
    shades = [shade(colour, i, len(experiments)) for i in range(len(experiments))]
    wells = [
        row for i, r in enumerate(responses) for row in _wells(r, of[i], len(experiments), colour, places, displays[i])
    ]
    y = _y_axis([row["y"] for row in wells], responses, percent, channel)
    x = _x_axis(places, responses)
    seen = [row["y"] for row in wells] or [0.0, 1.0]
    reach = (2 * min(seen) - max(seen), 2 * max(seen) - min(seen))
    fitted = [_fitted(fit, places, displays[i], shades[of[i]], i, reach) for i, fit in enumerate(fits)]
    layers = [
        *_lines([row for rows in fitted for row in rows], x, y, simulated=simulated),
        points(wells, x, y),
        *_half_height(curve, _middle(fits, displays, seen), places, x, y),
        *_axis_line(places, x),
        *simulated_label(simulated, WIDTH),
    ]
    plot = alt.layer(*layers, width=WIDTH, height=HEIGHT)
    first = [responses[of.index(i)] for i in range(len(experiments))]
    keys = _keys(first, shades, simulated=simulated, level=curve.combined.level)
    keys += _excluded_key(responses)
    ec50 = curve.combined["ec50"].text()
    title = alt.TitleParams(text=row_label(curve), subtitle=f"EC50 {ec50}", subtitleColor=INK)
    return alt.vconcat(plot, legend(keys, WIDTH), title=title, config=configuration(simulated=simulated))


def _x_axis(places: _Places, responses: Sequence[Response]) -> Any:
    import altair as alt

    low, high = places.doses
    ticks = concentration_ticks(low, high)
    words = {places.vehicle: "vehicle"} if places.vehicle else {}
    words |= {at: role for role, at in places.right.items()}
    compounds = list(dict.fromkeys(r.compound for r in responses if r.compound))
    unit = responses[0].concentration_unit if responses else "M"
    title = f"{', '.join(compounds) or 'concentration'} (log scale{'' if unit == 'M' else ', ' + unit})"
    return alt.X(
        "x:Q",
        title=title,
        scale=alt.Scale(type="log", domain=list(places.ends), nice=False),
        axis=alt.Axis(
            values=sorted([*words, *ticks]), labelExpr=concentration_expression(ticks, words, molar=unit == "M"),
            grid=False, domain=False, labelOverlap=False,
        ),
    )  # fmt: skip


def _y_axis(values: Sequence[float], responses: Sequence[Response], percent: bool, channel: str) -> Any:
    import altair as alt

    first = responses[0] if responses else None
    unit = f" ({first.signal_unit})" if first is not None and first.signal_unit else ""
    title: Any = " ".join(part for part in (first.quantity if first is not None else "signal", channel) if part) + unit
    if percent:
        title = ["% of vehicle (display only;", "fitted on raw signals)"]
    low, high = min([0.0, *values]), max([0.0, *values])
    pad = 0.04 * (high - low or 1.0)
    return alt.Y(
        "y:Q",
        title=title,
        scale=alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False),
        axis=alt.Axis(grid=True, tickCount=6),
    )


def _wells(response: Response, index: int, count: int, colour: str, places: _Places, display: _Display) -> list[Row]:
    """Every measured well as a jittered point; excluded wells crossed."""
    tone, rows, seen = shade(colour, index, count), [], {}  # type: ignore[var-annotated]
    decades = math.log10(places.ends[1] / places.ends[0])
    for k in range(response.signal.size):
        role, dose, signal = str(response.role[k]), float(response.concentration[k]), float(response.signal[k])
        at = places.right.get(role, places.vehicle if role == "vehicle" or dose == 0 else dose)
        if not math.isfinite(signal) or at is None or not math.isfinite(at):
            continue
        turn = seen.setdefault((role, dose), 0)
        seen[role, dose] = turn + 1
        within = 6.0 * ((0.5 + turn * _GOLDEN) % 1.0 - 0.5)
        wide = 0.0035 if role == "sample" else 0.0045
        shift = decades * (0.013 * (index - (count - 1) / 2) * min(1.0, 5 / count) + wide * within)
        excluded = str(response.excluded[k])
        look = _look(role, tone, SHAPES[index % len(SHAPES)], excluded)
        rows.append({"x": at * 10**shift, "y": float(display(signal)), **look, "tip": _tip(response, k, display)})
    return rows


def _look(role: str, tone: str, shape: str, excluded: str) -> Row:
    if excluded:
        return point(CROSS, "transparent", INK, 26, 1.6)
    if role in ("vehicle", "kill", "blank"):
        return point(shape, "white", GREY if role == "vehicle" else MUTED, 22, 1.0)
    return point(shape, tone, "white", 34, 0.5)


def _tip(response: Response, k: int, display: _Display) -> str:
    """What a well says when pointed at."""
    dose, role = float(response.concentration[k]), str(response.role[k])
    shown = role
    if role == "sample":
        unit = response.concentration_unit
        shown = format_concentration(dose) if unit == "M" else f"{dose:.3g} {unit}".strip()
    plate = f"plate {response.plate[k]}, " if str(response.plate[k]) else ""
    well = f"well {response.well[k]}, " if str(response.well[k]) else ""
    signal = f"signal {response.signal[k]:.3g}{' ' + response.signal_unit if response.signal_unit else ''}"
    share = f" ({display(float(response.signal[k])):.0f} % of vehicle)" if display.scale != 1.0 else ""
    out = f", excluded: {response.excluded[k]}" if str(response.excluded[k]) else ""
    experiment = f", experiment {response.experiment}" if response.experiment else ""
    return f"{plate}{well}{shown}: {signal}{share}{experiment}{out}"


def _fitted(
    fit: Estimate, places: _Places, display: _Display, tone: str, index: int, reach: tuple[float, float]
) -> list[Row]:
    """Fitted curve of one experiment between its doses, with its band where there is a curve, cut off at `reach`."""
    window = abs(display.scale * (fit["top"].best - fit["bottom"].best))
    if not window < BEYOND_WELLS * (reach[1] - reach[0]):
        return []
    dose = np.geomspace(*places.doses, 121)
    low, high = fit.band(dose)
    if fit.status.startswith("no curve"):
        low = high = np.full(dose.size, np.nan)
    shown = (np.clip(display(line), *reach) for line in (fit.predict(dose), low, high))
    columns = zip(dose, *shown, strict=True)
    return [
        {"x": float(f"{x:.4g}"), "y": _short(y), "low": _short(a), "high": _short(b), "tone": tone, "experiment": index}
        for x, y, a, b in columns
    ]


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _lines(rows: Sequence[Row], x: Any, y: Any, *, simulated: bool) -> list[Any]:
    import altair as alt

    if not rows:
        return []
    tone = alt.Stroke("tone:N", scale=None)
    base = alt.Chart(data(rows)).encode(x=x, detail=alt.Detail("experiment:N"))
    banded = alt.Chart(data([row for row in rows if row["low"] is not None]))
    band = banded.mark_area(opacity=0.13, clip=True, aria=False).encode(
        x=x, y=alt.Y("low:Q", scale=y["scale"], title=y["title"], axis=y["axis"]), y2=alt.Y2("high:Q"),
        fill=alt.Fill("tone:N", scale=None), detail=alt.Detail("experiment:N"),
    )  # fmt: skip
    dash = [6, 3] if simulated else [1, 0]
    line = base.mark_line(strokeWidth=1.7, clip=True, aria=False, strokeDash=dash).encode(y=y, stroke=tone)
    return [band, line]


def _middle(fits: Sequence[Estimate], displays: Sequence[_Display], seen: Sequence[float]) -> float:
    """Half height of the curves as shown, kept within the wells: an unbounded plateau has none; NaN without a curve."""
    middles = [
        float(display((fit["top"].best + fit["bottom"].best) / 2))
        for fit, display in zip(fits, displays, strict=True)
        if math.isfinite(fit["top"].best) and math.isfinite(fit["bottom"].best)
    ]
    return min(max(sum(middles) / len(middles), min(seen)), max(seen)) if middles else math.nan


def _half_height(curve: Curve, at: float, places: _Places, x: Any, y: Any) -> list[Any]:
    """The combined EC50 at half height: a dot with its interval as a bar, or an arrow from a bound."""
    import altair as alt

    ec50 = curve.combined["ec50"]
    if ec50.operator == "?" or math.isnan(at):
        return []
    edge = (places.breaks[0] if places.vehicle else places.ends[0], places.ends[1])
    edge = (edge[0], places.breaks[-1] if places.right else edge[1])
    low, high = max(ec50.low, edge[0]), min(ec50.high, edge[1])
    value = min(max(ec50.value, edge[0]), edge[1])
    tip = f"EC50 {ec50.text()}"
    marks: list[Row] = []
    for end, true, shape in ((low, ec50.low, "triangle-left"), (high, ec50.high, "triangle-right")):
        if end != true:
            is_open = true == 0 or math.isinf(true)
            marks.append({"x": end, "y": at, **point(shape, INK if is_open else "white", INK, 80, 1.5, tip)})
    dot = (
        point("circle", INK, "white", 90, 1.2, tip)
        if ec50.operator == "="
        else point("M0,-1L0,1", INK, INK, 60, 2.5, tip)
    )
    marks.append({"x": value, "y": at, **dot})
    bar = [{"x": min(low, value), "x2": max(high, value), "y": at, "stroke": INK, "width": 2.2}]
    return [rules(bar, x=x, x2=alt.X2("x2:Q"), y=y), points(marks, x, y)]


def _axis_line(places: _Places, x: Any) -> list[Any]:
    """The foot of the axis, broken between the doses and the controls."""
    import altair as alt

    cuts = [places.ends[0], *places.breaks, places.ends[1]]
    gap = 10 ** (0.008 * math.log10(places.ends[1] / places.ends[0]))
    pieces = [
        {
            "x": start * (gap if i else 1.0),
            "x2": stop / (gap if i < len(cuts) - 2 else 1.0),
            "stroke": GREY,
            "width": 1.0,
        }
        for i, (start, stop) in enumerate(pairwise(cuts))
    ]
    foot = alt.value(HEIGHT)
    slashes = [
        {"x": at * side, **point(SLASH, "transparent", GREY, 40, 1.2, "axis break")}
        for at in places.breaks
        for side in (gap, 1 / gap)
    ]
    layers = [rules(pieces, x=x, x2=alt.X2("x2:Q"), y=foot)]
    return [*layers, points(slashes, x, foot)] if slashes else layers


def _keys(responses: Sequence[Response], shades: Sequence[str], *, simulated: bool, level: float) -> list[Key]:
    """Legend: the experiments in the shapes and shades of their wells, the fit, the EC50."""
    keys = [
        Key(point(SHAPES[i % len(SHAPES)], shades[i], "white", 40, 0.5), f"experiment {r.experiment}")
        for i, r in enumerate(responses)
    ]
    colour = shades[len(shades) // 2] if shades else MUTED
    keys.append(
        Key(
            point("M-1.6,0L1.6,0", colour, colour, 50, 1.7),
            f"fit{' (dashed: simulated)' if simulated else ''}, band: {100 * level:.0f} %",
        )
    )
    keys.append(Key(point("circle", INK, "white", 90, 1.2), f"EC50, bar: {100 * level:.0f} % interval"))
    return keys


def _excluded_key(responses: Sequence[Response]) -> list[Key]:
    found = any((r.excluded != "").any() for r in responses)
    return [Key(point(CROSS, "transparent", INK, 26, 1.6), "excluded")] if found else []


def curve_alt(curve: Curve) -> str:
    """The figure in words, with its numbers."""
    wells = sum(int(fit.response.used.sum()) for fit in curve.fits if fit.response is not None)
    slopes = [f"{fit['hill_slope'].best:.2g}" for fit in curve.fits if math.isfinite(fit["hill_slope"].best)]
    return (
        f"Concentration–response of {row_label(curve)}: {wells} wells in {len(curve.by_experiment)} experiments, "
        f"EC50 {curve.combined['ec50'].text()}, Hill slopes {', '.join(slopes) or 'none'}."
    )
