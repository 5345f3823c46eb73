"""Between experiments: how much they differ, what pooling their wells would claim, and what rests on one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from halfmax.estimate import Estimate, Parameter
from halfmax.estimate.combining import experiment_of
from halfmax.report.document import Curve, StudyReport
from halfmax.report.forest import REACH, axis_around, concentration_axis, row_label
from halfmax.report.marks import Key, Row, legend, point, points, rules, simulated_label, texts
from halfmax.report.style import CROSS, FAINT, GREY, INK, MUTED, configuration, shade
from halfmax.report.tables import Table, filled, heads, numbers, short, table_of

__all__ = ["influence_table", "spread_alt", "spread_caption", "spread_figure", "variation_table", "variation_words"]

WIDTH = 460
#: Heights of a line with one mark, and of one with its plates below it; where words and bar stand.
_STEP, _STEP_PLATES, _HEAD, _BAR, _PLATES = 31, 42, 12, 23, 35


def fold(decades: float) -> str:
    """A standard deviation of log10 as a person says it.

    Examples
    --------
    >>> fold(0.0991), fold(0.301), fold(math.nan)
    ('1.26-fold', '2.00-fold', '–')
    """
    return f"{10**decades:.2f}-fold" if math.isfinite(decades) else "–"


def _width(parameter: Parameter) -> float:
    """Width of a closed interval on the logarithm; NaN for any other."""
    closed = parameter.operator == "=" and 0 < parameter.low < parameter.high < math.inf
    return math.log(parameter.high / parameter.low) if closed else math.nan


def narrower(curve: Curve) -> float:
    """How many times narrower the interval of the pooled wells is than that over the experiments; NaN without both."""
    if curve.pooled is None:
        return math.nan
    return _width(curve.combined["ec50"]) / _width(curve.pooled["ec50"])


def _value(estimate: Estimate, name: str) -> float:
    return estimate[name].value if name in estimate else math.nan


def _wells(curve: Curve) -> int:
    return sum(int(fit.response.used.sum()) for fit in curve.fits if fit.response is not None)


def _several(report: StudyReport) -> list[Curve]:
    return [curve for curve in report.curves if len(curve.by_experiment) > 1]


def variation_words(report: StudyReport) -> str:
    """What the table of the variation says, in a few sentences; empty where no curve has several experiments."""
    curves = [curve for curve in _several(report) if math.isfinite(_value(curve.combined, "sd_log10"))]
    if not curves:
        return ""
    said = _of_one(curves[0]) if len(curves) == 1 else _of_several(curves)
    plates = [sd for curve in curves if math.isfinite(sd := _value(curve.combined, "sd_plate_log10"))]
    said += f"; plates of one experiment by {_from_to(plates, short)} decades, {_folds(plates)}" if plates else ""
    times = [narrower(curve) for curve in curves if narrower(curve) > 1]
    if not times:
        return f"{said}."
    all_of = f"all {_wells(curves[0])} wells" if len(curves) == 1 else "all wells of a curve"
    return (
        f"{said}. One fit through {all_of} has an interval {_from_to(times, short)} times narrower. It takes wells for "
        "experiments, and says nothing of what the next experiment would give."
    )


def _of_one(curve: Curve) -> str:
    sd, level = curve.combined["sd_log10"], f"{100 * curve.combined.level:.0f} %"
    count = sum(one["ec50"].operator == "=" for one in curve.by_experiment)
    bounded = "" if count == len(curve.by_experiment) else " that bound it on both sides"
    return (
        f"The {count} experiments{bounded} differ in EC50 by an SD of {short(sd.value)} decades, "
        f"{fold(sd.value)} ({level} interval {short(sd.low)} to {short(sd.high)} decades)"
    )


def _of_several(curves: Sequence[Curve]) -> str:
    found = [_value(curve.combined, "sd_log10") for curve in curves]
    return f"Experiments differ in EC50 by an SD of {_from_to(found, short)} decades, {_folds(found)}"


def _from_to(values: Sequence[float], shown: Callable[[float], str]) -> str:
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def _folds(decades: Sequence[float]) -> str:
    return _from_to(decades, fold)


def variation_table(report: StudyReport) -> Table | None:
    """One row a curve of several experiments: its interval, how much they differ, and the pooled wells beside it."""
    rows, machine = [], []
    for curve in _several(report):
        sd, plates = (_value(curve.combined, name) for name in ("sd_log10", "sd_plate_log10"))
        ec50, pooled = curve.combined["ec50"], curve.pooled["ec50"] if curve.pooled is not None else None
        upcoming = next((p for p in curve.combined.parameters if p.name == "ec50_next"), None)
        n_plates = str(len(curve.fits)) if curve.experiments else "–"
        rows.append((
            row_label(curve), str(len(curve.by_experiment)), n_plates, ec50.text(), _spread(sd), _spread(plates),
            _ends(upcoming), pooled.text() if pooled is not None else "–", _times(narrower(curve)),
        ))  # fmt: skip
        machine.append((
            curve.compound, curve.cell_line, curve.time_s, len(curve.by_experiment), len(curve.fits), _wells(curve),
            sd, plates, _value(curve.combined, "tau_log10"), *numbers(ec50), *numbers(upcoming), *numbers(pooled),
            narrower(curve),
        ))  # fmt: skip
    if not rows:
        return None
    table = table_of(
        report, "variation",
        "How much experiments differ (SD of log10 EC50, in decades and as a fold), and the interval in which the next "
        "one is expected. The last two columns are for comparison and no answer: one fit through all wells takes "
        "each for an experiment.",
        ("curve", "experiments", "plates", "EC50 over experiments", "SD between experiments", "SD between plates",
         "next experiment", "wells pooled (no answer)", "narrower"),
        rows, (),
        ("compound", "cell_line", "time_s", "experiments", "fits", "wells", "sd_log10", "sd_plate_log10", "tau_log10",
         *heads("ec50"), *heads("ec50_next"), *heads("pooled_ec50"), "times_narrower"),
        machine,
    )  # fmt: skip
    return filled(table, 2)


def _spread(decades: float) -> str:
    return f"{short(decades)} ({fold(decades)})" if math.isfinite(decades) else "–"


def _times(times: float) -> str:
    return f"{short(times)} times" if math.isfinite(times) else "–"


def _ends(parameter: Parameter | None) -> str:
    """Ends of an interval, without the value between them."""
    if parameter is None or parameter.operator != "=":
        return "–"
    text = parameter.text()
    unit = text.split(" (")[0].split(" ", 1)
    return text[text.index("(") + 1 : -1] + (f" {unit[1]}" if len(unit) > 1 else "")


def influence_table(report: StudyReport) -> Table | None:
    """Every curve of three experiments or more without each of them."""
    rows, machine = [], []
    for curve in report.curves:
        if curve.influence is None:
            continue
        found = curve.influence
        for name, without, shift in zip(found.names, found.without, found.shifts, strict=True):
            ec50, most = without["ec50"], "most" if name == found.most else ""
            moved = f"× {10**shift:.2f}{', most' if most else ''}" if math.isfinite(shift) else "–"
            rows.append((row_label(curve), name, ec50.text(), moved))
            machine.append((curve.compound, curve.cell_line, curve.time_s, name, *numbers(ec50), shift, most))
    if not rows:
        return None
    return table_of(
        report, "leave-one-out",
        "EC50 without each of the experiments in turn, by what factor that moves it, and which one moves it most. "
        "The intervals are those of the experiments left, so wider: what counts here is how far the value moves.",
        ("curve", "without experiment", "EC50", "moves by"), rows, (),
        ("compound", "cell_line", "time_s", "without", *heads("ec50"), "shift_log10", "most"), machine,
    )  # fmt: skip


def spread_caption(curve: Curve) -> str:
    """Caption of the figure of experiments and plates."""
    return (
        f"{row_label(curve)}: every plate (open), its experiment (dot and bar), all experiments together, and the "
        "interval in which the next experiment is expected. Last, crossed out: all wells in one fit, no answer."
    )


def spread_alt(curve: Curve) -> str:
    """The figure in words, with its numbers."""
    parts = [
        f"experiment {experiment_of(one)}: {one['ec50'].text()}, plates "
        + ", ".join(plate["ec50"].text() for plate in one.parts)
        for one in curve.experiments
    ]
    parts.append(f"together {curve.combined['ec50'].text()}")
    if curve.pooled is not None:
        parts.append(f"wells pooled, no answer, {curve.pooled['ec50'].text()}")
    return f"EC50 of {row_label(curve)} by experiment and plate. {'; '.join(parts)}."


def spread_figure(curve: Curve, colour: str, *, simulated: bool) -> Any:
    """Figure of the experiments of a curve whose plates were fitted apart.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    low, high = _range(curve)
    lines = _lines(curve, colour)
    steps = [_STEP_PLATES if line.plates else _STEP for line in lines]
    tops = [sum(steps[:index]) for index in range(len(lines))]
    height = sum(steps)
    x = concentration_axis(low, high)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[height, 0], nice=False, zero=False), axis=None)
    rows: dict[str, list[Row]] = {"rules": [], "points": [], "labels": [], "values": []}
    for line, top in zip(lines, tops, strict=True):
        _draw(line, top, (low, high), rows)
    cut = [{"y": tops[len(curve.experiments)], "stroke": FAINT, "width": 1.0}]
    plot = alt.layer(
        rules(cut, y=y),
        rules(rows["rules"], x=x, x2=alt.X2("x2:Q"), y=y),
        points(rows["points"], x, y),
        texts(rows["labels"], alt.value(4), y, align="left"),
        texts(rows["values"], alt.value(WIDTH - 4), y, align="right"),
        *simulated_label(simulated, WIDTH),
        width=WIDTH,
        height=height,
    )
    level = f"{100 * curve.combined.level:.0f} %"
    keys = [
        Key(point("circle", "white", MUTED, 34, 1.4), "one plate"),
        Key(point("circle", MUTED, "white", 90), f"EC50, bar: {level} interval"),
        Key(point(CROSS, "transparent", GREY, 40, 1.6), "no answer: wells taken for experiments"),
    ]
    title = alt.TitleParams(text=f"{row_label(curve)}: experiments and plates")
    return alt.vconcat(plot, legend(keys, WIDTH), title=title, config=configuration(simulated=simulated))


def _range(curve: Curve) -> tuple[float, float]:
    """Ends of the axis: all that the figure shows, as far as it stays near the estimates."""
    shown = [*curve.experiments, *curve.fits, curve.combined, *([curve.pooled] if curve.pooled is not None else [])]
    values = [e["ec50"].value for e in shown if e["ec50"].operator != "?"] or [1e-7, 1e-4]
    ends = [end for e in (*curve.experiments, curve.combined) for end in (e["ec50"].low, e["ec50"].high)]
    if "ec50_next" in curve.combined:
        ends += [curve.combined["ec50_next"].low, curve.combined["ec50_next"].high]
    near = [x for x in ends if min(values) / REACH < x < max(values) * REACH]
    return axis_around([*values, *near])


@dataclass(frozen=True)
class _Line:
    """One line of the figure: what it says, its interval and its plates, and how they look."""

    label: str
    ec50: Parameter
    colour: str
    width: float
    mark: str
    plates: tuple[Parameter, ...] = ()


def _lines(curve: Curve, colour: str) -> list[_Line]:
    """Lines of the figure, from top to bottom."""
    count = len(curve.experiments)
    lines = [
        _Line(f"experiment {experiment_of(one)}", one["ec50"], shade(colour, index, count), 2.4, "circle",
              tuple(plate["ec50"] for plate in one.parts))
        for index, one in enumerate(curve.experiments)
    ]  # fmt: skip
    lines.append(_Line(f"{count} experiments together", curve.combined["ec50"], INK, 3.6, "circle"))
    if "ec50_next" in curve.combined:
        lines.append(_Line("next experiment", curve.combined["ec50_next"], MUTED, 1.4, ""))
    if curve.pooled is not None:
        lines.append(_Line(f"{_wells(curve)} wells pooled: no answer", curve.pooled["ec50"], GREY, 1.4, CROSS))
    return lines


def _draw(line: _Line, top: float, ends: tuple[float, float], rows: dict[str, list[Row]]) -> None:
    """All marks of one line, from `top` downwards."""
    ec50, at = line.ec50, top + _BAR
    value = ec50.text() if line.mark else _ends(ec50)
    rows["labels"].append({"y": top + _HEAD, "text": line.label})
    rows["values"].append({"y": top + _HEAD, "text": value})
    for plate in line.plates:
        if plate.operator != "?":
            mark = point("circle", "white", line.colour, 34, 1.4, f"{line.label}, one plate: {plate.text()}")
            rows["points"].append({"x": plate.value, "y": top + _PLATES, **mark})
    if ec50.operator == "?":
        return
    tip, low, high = f"{line.label}: {value}", max(ec50.low, ends[0]), min(ec50.high, ends[1])
    rows["rules"].append({"x": low, "x2": high, "y": at, "stroke": line.colour, "width": line.width})
    for end, true, shape in ((low, ec50.low, "triangle-left"), (high, ec50.high, "triangle-right")):
        if end != true:
            rows["points"].append({"x": end, "y": at, **point(shape, line.colour, line.colour, 70, 1.4, tip)})
    if line.mark == CROSS:
        rows["points"].append({"x": ec50.value, "y": at, **point(CROSS, "transparent", line.colour, 46, 1.8, tip)})
    elif line.mark:
        rows["points"].append({"x": ec50.value, "y": at, **point(line.mark, line.colour, "white", 100, 1.0, tip)})
