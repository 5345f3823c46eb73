"""Small pieces that figures are made of: points with their own look, text, legends without a scale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halfmax.report.style import INK, MUTED, SIMULATED, WARNING

__all__ = ["Key", "data", "legend", "points", "rules", "simulated_label", "texts"]

Row = dict[str, Any]


def data(rows: Sequence[Row]) -> Any:
    """Rows inside the figure itself, as JSON text: altair copies data deeply at every step, and a text is one thing.

    Double quotes in tips become single ones, because vega writes them into attributes unescaped.
    """
    import altair as alt

    text = json.dumps(
        [{**row, "tip": row["tip"].replace('"', "'")} if "tip" in row else row for row in rows],
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    return alt.InlineData(values=text, format=alt.JsonDataFormat(type="json"))


def points(rows: Sequence[Row], x: Any, y: Any, *, clip: bool = False) -> Any:
    """Points whose shape, fill, stroke, size and tooltip stand in the rows."""
    import altair as alt

    return (
        alt.Chart(data(rows))
        .mark_point(filled=False, opacity=1.0, clip=clip)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("shape:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("stroke:N", scale=None),
            size=alt.Size("size:Q", scale=None),
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            description=alt.Description("tip:N"),
            tooltip=alt.Tooltip("tip:N"),
        )
    )


def point(shape: str, fill: str, stroke: str, size: float, width: float = 1.0, tip: str = "") -> Row:
    """Look of one point."""
    return {"shape": shape, "fill": fill, "stroke": stroke, "size": size, "width": width, "tip": tip}


def rules(rows: Sequence[Row], **encoding: Any) -> Any:
    """Lines from (x, y) to (x2, y2) whose colour and width stand in the rows."""
    import altair as alt

    return (
        alt.Chart(data(rows))
        .mark_rule(strokeCap="butt", aria=False)
        .encode(
            stroke=alt.Stroke("stroke:N", scale=None),
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
            **encoding,
        )
    )


def texts(rows: Sequence[Row], x: Any, y: Any, **mark: Any) -> Any:
    """Text that stands in the rows."""
    import altair as alt

    settings = {"fontSize": 12, "color": INK, "baseline": "middle", "aria": False, **mark}
    return alt.Chart(data(rows)).mark_text(**settings).encode(x=x, y=y, text=alt.Text("text:N"))


def simulated_label(simulated: bool, width: int) -> list[Any]:
    """The word on the figure itself, at its upper right corner; nothing where an instrument measured."""
    import altair as alt

    if not simulated:
        return []
    label = texts(
        [{"text": SIMULATED}], alt.value(width), alt.value(-9), align="right", color=WARNING, fontWeight="bold"
    )
    return [label]


@dataclass(frozen=True)
class Key:
    """One entry of a legend: how a point looks, and what it means."""

    look: Row
    label: str


def legend(keys: Sequence[Key], width: int, *, font: int = 11) -> Any:
    """Legend as a strip of its own under a figure, wrapped to the figure's width."""
    import altair as alt

    rows, x, line, height = [], 8.0, 0, font + 8
    for key in keys:
        wide = 22 + 0.56 * font * len(key.label)
        if x > 8.0 and x + wide > width + 12:
            x, line = 8.0, line + 1
        rows.append({"x": x, "label": x + 11, "y": 8.0 + line * height, "text": key.label, **key.look})
        x += wide
    tall = (line + 1) * height
    across = {"scale": alt.Scale(domain=[0, width], nice=False, zero=False), "axis": None}
    y = alt.Y("y:Q", scale=alt.Scale(domain=[tall, 0], nice=False, zero=False), axis=None)
    return alt.layer(
        points(rows, alt.X("x:Q", **across), y),
        texts(rows, alt.X("label:Q", **across), y, align="left", fontSize=font, color=MUTED),
        width=width,
        height=tall,
    )
