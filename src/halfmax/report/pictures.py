"""Pictures of an analysis: cells outlined on a grey image, traces as a heat map, and the stimuli above either."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.report.document import Bar, HeatMap, Outlines
from halfmax.report.marks import Key, data, legend, point, simulated_label, texts
from halfmax.report.style import INK, MUTED, configuration

__all__ = [
    "Stimuli",
    "heat_alt",
    "heat_caption",
    "heat_figure",
    "outlines_alt",
    "outlines_caption",
    "outlines_figure",
    "png_uri",
    "time_unit",
    "viridis",
]

Array = NDArray[np.float64]
#: Viridis at 33 places of equal distance, as red, green and blue in hexadecimal digits.
_VIRIDIS = (
    "440154470d6048196b482373472d7b4537814240863f4a893b528b375a8c34638d306b8e2c728e297a8e27828e23898e21918d1f988b1f9f88"
    "21a78528ae8032b57b3ebc744dc26c5dc9636fce5882d34c96d840abdc32c0e025d5e21beae51bfde725"
)
_NO_VALUE = (220, 223, 228)
#: Pixels of a heat map, at most, and of the longer edge of a grey picture.
COLUMNS, ROWS, EDGE = 600, 400, 600
WIDTH, HEAT_WIDTH, HEAT_HEIGHT = 440, 400, 280
#: Percentiles at the ends of the greys, and of the colours.
GREYS, COLOURS = (0.5, 99.8), (0.5, 99.5)
#: A picture whose mean stands below this share of its greys is brightened.
_DARK, _GAMMA = 0.15, 0.6
#: Corners of one drawn outline.
_CORNERS = 32
_TIMES = ((86400.0, 3 * 86400.0, "d"), (3600.0, 3 * 3600.0, "h"), (60.0, 180.0, "min"), (1.0, -math.inf, "s"))
#: Colour and dash of each group: told apart by either alone.
_LOOKS = {
    "responder": ("#E69F00", (1, 0)),
    "other": ("#56B4E9", (4, 2)),
    "flagged": ("#CC79A7", (1.6, 1.6)),
}
_MORE = (("#009E73", (7, 2, 1.5, 2)), ("#D55E00", (1, 0)), ("#0072B2", (4, 2)))
_SAMPLES = {
    (1, 0): "M-1.6,0L1.6,0",
    (4, 2): "M-1.6,0L-0.9,0M-0.4,0L0.4,0M0.9,0L1.6,0",
    (1.6, 1.6): "M-1.6,0L-1.3,0M-0.95,0L-0.65,0M-0.3,0L0,0M0.35,0L0.65,0M1,0L1.3,0",
    (7, 2, 1.5, 2): "M-1.6,0L-0.2,0M0.2,0L0.5,0M0.9,0L1.6,0",
}
Row = dict[str, Any]


def time_unit(longest: float) -> tuple[float, str]:
    """Seconds of the unit in which times up to `longest` are read, and its name.

    Examples
    --------
    >>> time_unit(90.0), time_unit(1200.0)
    ((1.0, 's'), (60.0, 'min'))
    """
    return next((size, name) for size, least, name in _TIMES if longest >= least)


def viridis() -> NDArray[np.uint8]:
    """The colours of viridis from dark to light, shape (255, 3): perceptually even, and safe for the colour-blind."""
    anchors = np.frombuffer(bytes.fromhex(_VIRIDIS), dtype=np.uint8).reshape(-1, 3)
    places = np.linspace(0, len(anchors) - 1, 255)
    return np.stack([np.rint(np.interp(places, range(len(anchors)), one)) for one in anchors.T], axis=1).astype("u1")


def png_uri(levels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> str:
    """An 8-bit picture as the address that holds it: grey, or in the colours of `palette`, shape (colours, 3)."""
    from PIL import Image

    picture = Image.fromarray(levels)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"


class Stimuli:
    """Stimulus bars above the data: each in the lowest row where neither it nor its label meets another.

    Parameters
    ----------
    bars : sequence of Bar
    low, high : float, s
        Ends of the data; a bar that starts later stretches the axis, what lies before is cut off.
    width : int
        Pixels of the axis.
    """

    font, line, gap, margin = 11, 19, 8.0, 5

    def __init__(self, bars: Sequence[Bar], low: float, high: float, width: int) -> None:
        self.low, self.high, self.width = low, max([high, *(bar.start for bar in bars)]), width
        self.scale = time_unit(self.high)[0]
        self.rows: list[list[tuple[Bar, float, float, float]]] = []
        taken: list[float] = []
        for bar in sorted(bars, key=lambda one: one.start):
            left = min(self._pixel(bar.start), width - 3.0)
            right = max(self._pixel(bar.end), left + 3.0)
            wide = min(0.56 * self.font * len(bar.label), float(width))
            text = min(left, width - wide)
            row = next((k for k, end in enumerate(taken) if end + self.gap <= text), len(taken))
            if row == len(taken):
                taken.append(0.0)
                self.rows.append([])
            taken[row] = max(right, text + wide)
            self.rows[row].append((bar, left, right, text))

    @property
    def height(self) -> int:
        """Pixels that the bars take above the data."""
        return self.line * len(self.rows) + 2 * self.margin * bool(self.rows)

    def _pixel(self, time: float) -> float:
        share = (min(max(time, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return self.width * share

    def _place(self, pixel: float) -> float:
        """Where a pixel stands on the axis, in its unit."""
        return (self.low + pixel / self.width * (self.high - self.low)) / self.scale

    def domain(self) -> list[float]:
        """Ends of the axis in its unit."""
        return [self.low / self.scale, (self.high if self.high > self.low else self.low + 1.0) / self.scale]

    def layers(self, x: Any) -> list[Any]:
        """Bars and labels for altair; `x` is the axis."""
        import altair as alt

        drawn = []
        for row, placed in enumerate(self.rows):
            top = self.margin + self.line * (len(self.rows) - 1 - row)
            bars = [{"x": self._place(left), "x2": self._place(right)} for _, left, right, _ in placed]
            labels = [{"x": self._place(text), "text": bar.label} for bar, _, _, text in placed]
            box = alt.Chart(data(bars)).mark_rect(fill=MUTED, aria=False)
            drawn.append(box.encode(x=x, x2="x2", y=alt.value(top + 13.0), y2=alt.value(top + 17.0)))
            said = {"align": "left", "fontSize": self.font, "limit": self.width}
            drawn.append(texts(labels, x, alt.value(top + 6.0), **said))
        return drawn

    def guides(self, x: Any, foot: float) -> list[Any]:
        """A faint line through the data, down to `foot`, where each bar begins."""
        import altair as alt

        starts = {self._place(left) for placed in self.rows for _, left, _, _ in placed}
        if not starts:
            return []
        rule = alt.Chart(data([{"x": start} for start in sorted(starts)])).mark_rule(
            stroke="#b4bac2", strokeDash=[2, 2], aria=False
        )
        return [rule.encode(x=x, y=alt.value(self.height), y2=alt.value(foot))]

    def words(self) -> str:
        """The bars in words, with their times."""
        unit = time_unit(self.high)[1]
        said = []
        for bar in sorted((bar for placed in self.rows for bar, *_ in placed), key=lambda one: one.start):
            end = f"{bar.end / self.scale:.3g} {unit}" if bar.end < self.high else "the end"
            said.append(f"{bar.label} from {_number(bar.start / self.scale)} {unit} to {end}")
        return f"; stimuli: {', '.join(said)}" if said else ""


def _number(value: float) -> str:
    """Three digits, with a true minus."""
    return f"{value:.3g}".replace("-", "−")


def _title(text: str, below: str = "") -> Any:
    import altair as alt

    lines = textwrap.wrap(text, 60) or [""]
    return alt.TitleParams(
        text=lines if len(lines) > 1 else lines[0],
        subtitle=textwrap.wrap(below, 50),
        subtitleColor=INK,
    )


# --- cells outlined on a picture


def outlines_figure(title: str, one: Outlines, *, simulated: bool) -> Any:
    """A picture with its cells.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    tall, wide = one.picture.shape
    width, height = (round(WIDTH * edge / max(tall, wide)) for edge in (wide, tall))
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.5, wide - 0.5], nice=False, zero=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[tall - 0.5, -0.5], nice=False, zero=False))
    corners = {"x": -0.5, "x2": wide - 0.5, "y": -0.5, "y2": tall - 0.5}
    levels = _shrunk(_grey(one)[0])
    image = alt.Chart(data([corners])).mark_image(
        url=png_uri(levels), aspect=False, smooth=max(levels.shape) >= WIDTH, aria=False
    )
    layers = [image.encode(x=x, x2="x2", y=y, y2="y2"), *_outline_layers(one, x, y), *_scale_bar(one, x, y)]
    drawn = alt.layer(*layers, *simulated_label(simulated, width), width=width, height=height)
    keys = [
        Key(point(_SAMPLES[dash], tone, tone, 60, 2.0), f"{group} ({one.groups.count(group)})")
        for group, (tone, dash) in _looks(one.groups).items()
    ]
    parts = [drawn, legend(keys, width)] if keys else [drawn]
    return alt.vconcat(*parts, title=_title(title, one.title), config=configuration(simulated=simulated))


def _ends(values: Array, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Percentiles of what is finite, never equal."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, percentiles).tolist() if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _grey(one: Outlines) -> tuple[NDArray[np.uint8], float]:
    """The picture in 8 bits and the exponent that was taken; what is not finite is black."""
    values = np.asarray(one.picture, dtype=float)
    low, high = _ends(values, GREYS)
    share = np.clip((np.where(np.isfinite(values), values, low) - low) / (high - low), 0.0, 1.0)
    gamma = _GAMMA if share.mean() < _DARK else 1.0
    return np.rint(255 * share**gamma).astype(np.uint8), gamma


def _shrunk(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with at most `EDGE` pixels along its longer edge, averaged."""
    from PIL import Image

    if max(levels.shape) <= EDGE:
        return levels
    tall, wide = (max(round(EDGE * edge / max(levels.shape)), 1) for edge in levels.shape)
    return np.asarray(Image.fromarray(levels).resize((wide, tall), Image.Resampling.BOX))


def _looks(groups: Sequence[str]) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Colour and dash of each group there is, the known ones first."""
    others = [group for group in dict.fromkeys(groups) if group not in _LOOKS]
    known: dict[str, tuple[str, tuple[float, ...]]] = {k: v for k, v in _LOOKS.items() if k in groups}
    return known | {group: _MORE[k % len(_MORE)] for k, group in enumerate(others)}


def _outline_layers(one: Outlines, x: Any, y: Any) -> list[Any]:
    """Each group in its colour and dash, on a dark line that parts it from bright cells."""
    import altair as alt

    cells = [
        (number, group, _corners(outline))
        for number, (outline, group) in enumerate(zip(one.outlines, one.groups, strict=True), start=1)
        if len(outline)
    ]
    layers = []
    for group, (tone, dash) in _looks(one.groups).items():
        rows = [
            {"x": column, "y": row, "cell": number, "order": k, "tip": f"cell {number}, {group}"}
            for number, own, corners in cells
            if own == group
            for k, (row, column) in enumerate(corners)
        ]
        if not rows:
            continue
        chart, order = alt.Chart(data(rows)), alt.Order("order:Q")
        place = {"x": x, "y": y, "detail": alt.Detail("cell:N"), "order": order}
        under = chart.mark_line(stroke="#000000", strokeWidth=2.6, opacity=0.45, clip=True, aria=False)
        over = chart.mark_line(stroke=tone, strokeWidth=1.7, strokeDash=list(dash), clip=True)
        layers += [under.encode(**place), over.encode(description=alt.Description("tip:N"), **place)]
    return layers


def _corners(outline: Array) -> list[tuple[float, float]]:
    """A closed outline with few corners."""
    closed = np.concatenate([outline, outline[:1]]) if not np.array_equal(outline[0], outline[-1]) else outline
    kept = np.unique(np.linspace(0, len(closed) - 1, min(len(closed), _CORNERS + 1)).round().astype(int))
    return [(row, column) for row, column in np.round(closed[kept], 1).tolist()]


def _length(one: Outlines) -> tuple[float, str]:
    """Length of the scale bar in pixels, near a fifth of the picture, and what it is called."""
    known = math.isfinite(one.pixel_um) and one.pixel_um > 0
    pixel, unit = (one.pixel_um, "µm") if known else (1.0, "px")
    wanted = 0.22 * one.picture.shape[1] * pixel
    decade = 10.0 ** math.floor(math.log10(wanted))
    length = decade * next(step for step in (5, 2, 1) if step * decade <= wanted)
    return length / pixel, f"{length:g} {unit}"


def _scale_bar(one: Outlines, x: Any, y: Any) -> list[Any]:
    """Scale bar in the lower right corner, white on a dark ground."""
    import altair as alt

    tall, wide = one.picture.shape
    per = max(tall, wide) / WIDTH
    length, label = _length(one)
    right, foot = wide - 0.5 - 14 * per, tall - 0.5 - 14 * per
    room = max(length, 7.0 * len(label) * per)
    middle = right - room / 2
    boxes = (
        ("#000000", 0.6, middle - room / 2 - 6 * per, middle + room / 2 + 6 * per, foot - 22 * per, foot + 6 * per),
        ("#ffffff", 1.0, middle - length / 2, middle + length / 2, foot - 3 * per, foot),
    )
    drawn = []
    for fill, opacity, left, end, top, bottom in boxes:
        rows = data([{"x": left, "x2": end, "y": top, "y2": bottom}])
        box = alt.Chart(rows).mark_rect(fill=fill, opacity=opacity, aria=False)
        drawn.append(box.encode(x=x, x2="x2", y=y, y2="y2"))
    label_row = [{"x": middle, "y": foot - 11.5 * per, "text": label}]
    return [*drawn, texts(label_row, x, y, color="#ffffff", fontSize=12, align="center", fontWeight="bold")]


def outlines_caption(one: Outlines) -> str:
    """What is seen, how grey the picture is, and how long its bar."""
    gamma = _grey(one)[1]
    how = "" if gamma == 1 else f", brightened with gamma {gamma:g}"
    said = [one.caption, f"Grey from the {GREYS[0]:g}th to the {GREYS[1]:g}th percentile{how}."]
    said.append(f"Bar: {_length(one)[1].replace('px', 'pixels, whose size is not known')}.")
    return " ".join(said)


def outlines_alt(title: str, one: Outlines) -> str:
    """The picture in words, with its numbers."""
    tall, wide = one.picture.shape
    size = f"{wide} × {tall} pixels"
    if math.isfinite(one.pixel_um):
        size += f" ({wide * one.pixel_um:.3g} × {tall * one.pixel_um:.3g} µm)"
    counts = ", ".join(f"{one.groups.count(group)} {group}" for group in _looks(one.groups))
    cells = f"{len(one.groups)} cell{'s' * (len(one.groups) != 1)} outlined" + (f": {counts}" if counts else "")
    return f"{title}{f', {one.title}' if one.title else ''}: picture of {size}, {cells}."


# --- traces as a heat map


def heat_figure(title: str, one: HeatMap, *, simulated: bool) -> Any:
    """Traces as lines of colour, with stimuli above and the scale of colours beside them.

    Returns
    -------
    altair.VConcatChart
    """
    import altair as alt

    starts, stops = _extents(np.asarray(one.x, dtype=float))
    stimuli = Stimuli(one.bars, float(starts[0]), float(stops[-1]), HEAT_WIDTH)
    band, rows = stimuli.height, one.values.shape[0]
    total = band + HEAT_HEIGHT
    unit = time_unit(stimuli.high)[1]
    x = alt.X(
        "x:Q", title=f"{one.x_title} ({unit})", axis=alt.Axis(grid=False, tickCount=6),
        scale=alt.Scale(domain=stimuli.domain(), nice=False, zero=False),
    )  # fmt: skip
    y = alt.Y(
        "y:Q", title=one.y_title, axis=alt.Axis(grid=False, values=_row_ticks(rows), format="d"),
        scale=alt.Scale(domain=[rows + 0.5, 0.5], range=[total, band], nice=False, zero=False),
    )  # fmt: skip
    picture = _averaged(one)
    low, high = _ends(picture, COLOURS)
    place = {"x": starts[0] / stimuli.scale, "x2": stops[-1] / stimuli.scale, "y": 0.5, "y2": rows + 0.5}
    image = alt.Chart(data([place])).mark_image(url=_coloured(picture, low, high), aspect=False, aria=False)
    traces = alt.layer(image.encode(x=x, x2="x2", y=y, y2="y2"), *stimuli.layers(x), *simulated_label(simulated, 400))
    scale = _colour_scale(one.colour_title, low, high, band)
    both = alt.layer(traces, scale, width=HEAT_WIDTH, height=total).resolve_scale(y="independent")
    missing = bool(np.isnan(picture).any())
    grey = "#{:02x}{:02x}{:02x}".format(*_NO_VALUE)
    key = [legend([Key(point("square", grey, grey, 70), "no value")], HEAT_WIDTH)] if missing else []
    return alt.vconcat(both, *key, title=_title(title), config=configuration(simulated=simulated))


def _extents(x: Array) -> tuple[Array, Array]:
    """Where each frame begins and ends: half way to its neighbours, or a step where they are further away."""
    if x.size == 1:
        return x - 0.5, x + 0.5
    gaps = np.diff(x)
    half = np.minimum(gaps, 2 * np.median(gaps)) / 2
    return x - np.concatenate([half[:1], half]), x + np.concatenate([half, half[-1:]])


def _averaged(one: HeatMap) -> Array:
    """The values on an even grid of at most `ROWS` × `COLUMNS`, each the mean of what is known in its cell."""
    values = np.asarray(one.values, dtype=float)
    rows = np.arange(values.shape[0] + 1.0)
    if values.shape[0] > ROWS:
        values = _means(values.T, rows[:-1], rows[1:], np.linspace(0, rows[-1], ROWS + 1)).T
    starts, stops = _extents(np.asarray(one.x, dtype=float))
    columns = round(float((stops[-1] - starts[0]) / np.median(stops - starts)))
    edges = np.linspace(starts[0], stops[-1], min(max(columns, 1), COLUMNS) + 1)
    return _means(values, starts, stops, edges)


def _means(values: Array, starts: Array, stops: Array, edges: Array) -> Array:
    """Mean of each row between neighbouring edges, where its columns last from starts to stops; NaN counts for nothing.

    The integral over the columns is read at the edges, so that cost and memory grow with the number of columns.
    """
    nodes = np.stack([starts, stops], axis=1).ravel()

    def within(density: Array) -> Array:
        done = np.cumsum(density * (stops - starts), axis=1)
        reached = np.repeat(np.concatenate([np.zeros((len(done), 1)), done], axis=1), 2, axis=1)[:, 1:-1]
        return np.diff(np.stack([np.interp(edges, nodes, row) for row in reached]), axis=1)

    known = np.isfinite(values)
    covered = within(known.astype(float))
    enough = covered > 0.05 * np.diff(edges)
    means: Array = np.full(covered.shape, np.nan)
    np.divide(within(np.where(known, values, 0.0)), covered, out=means, where=enough)
    return means


def _coloured(picture: Array, low: float, high: float) -> str:
    """The picture in viridis; few rows and columns are repeated, so that they keep sharp edges when drawn larger."""
    share = np.clip((picture - low) / (high - low), 0.0, 1.0)
    levels = np.where(np.isnan(share), 255, np.rint(254 * np.nan_to_num(share))).astype(np.uint8)
    rows, columns = levels.shape
    larger = np.repeat(np.repeat(levels, max(ROWS // rows, 1), axis=0), max(COLUMNS // columns, 1), axis=1)
    return png_uri(larger, np.concatenate([viridis(), np.array([_NO_VALUE], dtype=np.uint8)]))


def _colour_scale(title: str, low: float, high: float, band: int) -> Any:
    """Bar of the colours at the right, with its ticks."""
    import altair as alt

    strip = png_uri(np.arange(254, -1, -1, dtype=np.uint8)[:, None], viridis())
    y = alt.Y(
        "low:Q", title=title, axis=alt.Axis(orient="right", grid=False, tickCount=5, offset=26, domain=False),
        scale=alt.Scale(domain=[low, high], range=[band + HEAT_HEIGHT, band], nice=False, zero=False),
    )  # fmt: skip
    image = alt.Chart(data([{"low": low, "high": high}])).mark_image(url=strip, aspect=False, width=11, aria=False)
    return image.encode(x=alt.value(HEAT_WIDTH + 18), y=y, y2="high")


def _row_ticks(rows: int) -> list[int]:
    """First row, and round numbers."""
    if rows < 2:
        return [1]
    decade = 10 ** math.floor(math.log10(rows / 2))
    step = next(size * decade for size in (1, 2, 5, 10) if rows / (size * decade) <= 5)
    return [1, *range(step, rows + 1, step)] if step > 1 else list(range(1, rows + 1))


def _sentence(text: str) -> str:
    text = f"{text[:1].upper()}{text[1:]}"
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def heat_caption(one: HeatMap) -> str:
    """What is seen, in which order, and what the colours leave out."""
    rows, columns = one.values.shape
    said = [_sentence(one.caption), _sentence(one.order_note)]
    said.append(f"Colours end at the {COLOURS[0]:g}th and {COLOURS[1]:g}th percentiles.")
    averaged = [f"{rows} rows to {ROWS}"] if rows > ROWS else []
    averaged += [f"{columns} frames to {COLUMNS}"] if columns > COLUMNS else []
    said += [f"Averaged for the picture: {', '.join(averaged)}."] if averaged else []
    return " ".join(part for part in said if part)


def heat_alt(title: str, one: HeatMap) -> str:
    """The heat map in words, with its numbers."""
    rows, columns = one.values.shape
    starts, stops = _extents(np.asarray(one.x, dtype=float))
    stimuli = Stimuli(one.bars, float(starts[0]), float(stops[-1]), HEAT_WIDTH)
    unit = time_unit(stimuli.high)[1]
    first, last = (f"{float(one.x[k]) / stimuli.scale:.3g}" for k in (0, -1))
    said = f"{title}: heat map of {rows} rows ({one.y_title}) over {columns} frames from {first} to {last} {unit}"
    return f"{said}; {one.colour_title} {_range(one.values)}{stimuli.words()}."


def _range(values: Array) -> str:
    known: Array = np.asarray(values, dtype=float)[np.isfinite(values)]
    if not known.size:
        return "without any value"
    summaries: tuple[tuple[str, Callable[[Array], Any]], ...] = (("", np.min), ("to ", np.max), ("median ", np.median))
    low, high, middle = (f"{name}{_number(float(of(known)))}" for name, of in summaries)
    return f"{low} {high}, {middle}"
