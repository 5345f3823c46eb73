"""The picture of a plate: wells in cividis, controls outlined, excluded crossed, flagged struck, suspects ringed."""

from __future__ import annotations

import math
from typing import Any

from halfmax.report.document import Plate
from halfmax.report.marks import Key, data, legend, point, points
from halfmax.report.style import CONTROLS, CROSS, INK, SIMULATED, SLASH, configuration
from halfmax.units import format_concentration, format_duration
from halfmax.wells import row_column, row_label

__all__ = ["plate_alt", "plate_figure", "shows_percent"]

Row = dict[str, Any]
#: Edge of a well in pixels, and size of its number (0: none), by number of columns.
_SIZES = ((12, 27, 10), (24, 17, 7), (48, 11, 0))
#: Wells that hold nothing to be learnt: neither coloured nor numbered.
_IDLE = ("unused", "unassigned")
#: Percent of vehicle at the ends of the colour scale, the same for every plate.
PERCENT_ENDS = (0.0, 120.0)


def shows_percent(plate: Plate) -> bool:
    """Whether the plate is coloured by percent of vehicle, rather than by signal."""
    return bool(plate.frame["percent"].notna().any())


def _size(plate: Plate) -> tuple[int, int]:
    return next(((edge, font) for columns, edge, font in _SIZES if plate.shape[1] <= columns), _SIZES[-1][1:])


def plate_figure(plate: Plate, *, simulated: bool) -> Any:
    """Figure of one plate.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    percent = shows_percent(plate)
    edge, font = _size(plate)
    width, height = edge * plate.shape[1], edge * plate.shape[0]
    wells = _wells(plate, percent)
    shown = [well["value"] for well in wells if well["value"] is not None]
    ends = PERCENT_ENDS if percent else (min([0.0, *shown]), max([1e-12, *shown]))
    x, y = _axes(plate)
    middle = ends[0] + 0.5 * (ends[1] - ends[0])
    for well in wells:
        well["ink"] = INK if well["value"] is None or well["value"] > middle else "#ffffff"
    base = alt.Chart(data(wells))
    fill = alt.Fill(
        "value:Q", scale=alt.Scale(scheme="cividis", domain=list(ends), clamp=True),
        legend=alt.Legend(
            title="% of vehicle" if percent else "signal", orient="top", direction="horizontal", gradientLength=110,
            gradientThickness=9, tickCount=3, titleOrient="left", offset=4, labelFontSize=10, titleFontSize=10,
            titleFontWeight="normal",
        ),
    )  # fmt: skip
    tip = {"description": alt.Description("tip:N"), "tooltip": alt.Tooltip("tip:N")}
    silent = alt.Chart(data([well for well in wells if well["value"] is None])).mark_rect(fill="#e3e5e8")
    heat = alt.Chart(data([well for well in wells if well["value"] is not None])).mark_rect()
    empty = alt.Chart(data(_empty(plate))).mark_rect(fill="#f1f2f4").encode(x=x, y=y, **tip)
    layers = [empty, silent.encode(x=x, y=y, **tip), heat.encode(x=x, y=y, fill=fill, **tip)]
    if font:
        ink = alt.Color("ink:N", scale=None)
        layers.append(base.mark_text(fontSize=font, aria=False).encode(x=x, y=y, text=alt.Text("text:N"), color=ink))
    layers += _outlines(wells, x, y, edge)
    layers += _signs(wells, x, y, edge)
    plot = alt.layer(
        *layers, width=width, height=height, resolve=alt.Resolve(scale=alt.ScaleResolveMap(fill="independent"))
    )
    subtitle = [SIMULATED] if simulated else []
    title = alt.TitleParams(
        text=plate_title(plate), subtitle=subtitle, fontSize=13, limit=width + 40, offset=8, subtitleFontWeight="bold"
    )
    keys = legend(_keys(wells), width, font=10)
    return alt.vconcat(plot, keys, title=title, config=configuration(simulated=simulated))


def plate_title(plate: Plate) -> str:
    """Name of the plate, and what is on it where the name does not say."""
    parts = [plate.name, plate.cell_line if plate.cell_line not in plate.name else ""]
    parts.append(f"experiment {plate.experiment}" if plate.experiment else "")
    parts.append(format_duration(plate.time_s) if math.isfinite(plate.time_s) else "")
    return " · ".join(part for part in parts if part)


def _axes(plate: Plate) -> tuple[Any, Any]:
    import altair as alt

    rows = [row_label(row) for row in range(plate.shape[0])]
    columns = [str(column + 1) for column in range(plate.shape[1])]
    scale = {"paddingInner": 0.06, "paddingOuter": 0.03}
    axis = alt.Axis(
        orient="top", labelAngle=0, labelFontSize=10, ticks=False, domain=False, title=None, labelPadding=3,
        labelOverlap="parity",
    )  # fmt: skip
    side = alt.Axis(labelFontSize=10, ticks=False, domain=False, title=None, labelPadding=3, labelOverlap="parity")
    return (
        alt.X("column:O", sort=None, scale=alt.Scale(domain=columns, **scale), axis=axis),
        alt.Y("row:O", sort=None, scale=alt.Scale(domain=rows, **scale), axis=side),
    )


def _wells(plate: Plate, percent: bool) -> list[Row]:
    suspects = {suggestion.well for suggestion in plate.quality.suggestions}
    rows = []
    for well in plate.frame.to_dict("records"):
        row, column = row_column(str(well["well"]))
        value = float(well["percent" if percent else "signal"])
        if str(well["role"]) in _IDLE:
            continue
        known = math.isfinite(value)
        rows.append(
            {
                "row": row_label(row), "column": str(column + 1), "value": float(f"{value:.4g}") if known else None,
                "text": _number(value, percent) if known else "", "role": str(well["role"]),
                "excluded": bool(well["excluded"]), "flagged": bool(well["flag"]),
                "suspect": str(well["well"]) in suspects, "tip": _tip(well),
            }
        )  # fmt: skip
    return rows


def _empty(plate: Plate) -> list[Row]:
    """Every position of the plate, so that wells without data are seen to be there."""
    tips = {row_column(str(well["well"])): _tip(well) for well in plate.frame.to_dict("records")}
    return [
        {"row": row_label(row), "column": str(column + 1), "tip": tips.get((row, column), "not read")}
        for row in range(plate.shape[0])
        for column in range(plate.shape[1])
    ]


def _number(value: float, percent: bool) -> str:
    """Number in a well: whole percent, or two digits of the signal, with a true minus and no minus zero."""
    text = f"{round(value) + 0:d}" if percent else f"{float(f'{value:.2g}') + 0.0:g}"
    return text.replace("-", "−")


def _tip(well: dict[Any, Any]) -> str:
    """What a well says when pointed at."""
    dose = float(well["concentration_M"])
    what = str(well["role"]).replace("_", " ")
    if well["role"] in ("sample", "compound_blank") and math.isfinite(dose):
        what = f"{well['compound']} {format_concentration(dose)}" + (" (no cells)" if well["role"] != "sample" else "")
    signal = float(well["signal"])
    parts = [f"{well['well']}: {what}", f"signal {signal:.3g}" if math.isfinite(signal) else "no signal"]
    if math.isfinite(float(well["percent"])):
        parts.append(f"{float(well['percent']):.0f} % of vehicle")
    parts += [f"flag: {well['flag']}"] if well["flag"] else []
    parts += [f"excluded: {well['excluded']}"] if well["excluded"] else []
    return ", ".join(parts)


def _outlines(wells: list[Row], x: Any, y: Any, edge: int) -> list[Any]:
    """Frame of each control well in the colour of its role, and its letter."""
    import altair as alt

    controls = [
        {"row": w["row"], "column": w["column"], "stroke": CONTROLS[w["role"]][0]}
        for w in wells
        if w["role"] in CONTROLS
    ]
    if not controls:
        return []
    frame = (
        alt.Chart(data(controls))
        .mark_rect(fill="transparent", strokeWidth=2 if edge > 14 else 1.2, aria=False)
        .encode(x=x, y=y, stroke=alt.Stroke("stroke:N", scale=None))
    )
    return [frame]


def _signs(wells: list[Row], x: Any, y: Any, edge: int) -> list[Any]:
    """Crosses, strokes and rings."""
    area = (0.62 * edge) ** 2
    looks = {
        "excluded": [
            point(CROSS, "transparent", "#ffffff", 0.6 * area, 4.0),
            point(CROSS, "transparent", INK, 0.6 * area, 1.8),
        ],
        "flagged": [point(SLASH, "transparent", INK, 0.6 * area, 1.8)],
        "suspect": [
            point("circle", "transparent", "#ffffff", 1.5 * area, 3.4),
            point("circle", "transparent", INK, 1.5 * area, 1.6),
        ],
    }  # fmt: skip
    rows = [
        {"row": w["row"], "column": w["column"], **look, "tip": w["tip"]}
        for sign, chosen in looks.items()
        for w in wells
        if w[sign]
        for look in chosen
    ]
    return [points(rows, x, y)] if rows else []


def _keys(wells: list[Row]) -> list[Key]:
    present = {well["role"] for well in wells}
    keys = [
        Key(point("square", "transparent", colour, 70, 2.0), words)
        for role, (colour, _, words) in CONTROLS.items()
        if role in present
    ]
    for sign, look, words in (
        ("excluded", point(CROSS, "transparent", INK, 30, 1.8), "excluded"),
        ("flagged", point(SLASH, "transparent", INK, 30, 1.8), "flagged"),
        ("suspect", point("circle", "transparent", INK, 70, 1.6), "look at this well"),
    ):
        if any(well[sign] for well in wells):
            keys.append(Key(look, words))
    return keys or [Key(point("square", "transparent", INK, 70, 1.0), "sample")]


def plate_alt(plate: Plate) -> str:
    """The plate in words, with its quality."""
    quality = plate.quality
    z = "no Z′" if math.isnan(quality.z_prime) else f"Z′ {quality.z_prime:.2f}"
    excluded = int((plate.frame["excluded"] != "").sum())
    return (
        f"Plate {plate_title(plate)}: {len(plate.frame)} wells of {plate.shape[0]} × {plate.shape[1]}, {z}, "
        f"{excluded} excluded, {quality.n_flagged} flagged, {len(quality.suggestions)} to look at."
    )
