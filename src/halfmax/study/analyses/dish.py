"""One recording as an analysis: mean traces, cells, quality, and the tables of traces and events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.dish import Dish, StimulusResponse, outlines_of
from halfmax.assays.calcium.ratio import estimate_alpha
from halfmax.errors import RangeError
from halfmax.estimate import Estimate, Parameter
from halfmax.movie import Movie, Stimulus
from halfmax.report.document import Analysis, Bar, Export, HeatMap, Outlines, Plot, Series
from halfmax.study.analyses.table import Array
from halfmax.study.entries import MovieEntry
from halfmax.table import Source
from halfmax.units import format_concentration

__all__ = ["Recorded", "dish_analysis", "export_name", "exports_of", "is_refused", "said"]

_NONE: Array = np.array([])
#: Cells whose traces are drawn one by one.
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recording of a study: the entry, the dish, and the files."""

    entry: MovieEntry
    dish: Dish
    movie: Movie
    sources: list[Source]

    @property
    def name(self) -> str:
        """Dish and day."""
        dish = self.entry.dish or _stem(self.entry.file)
        return f"{dish}, {self.entry.experiment}" if "experiment" in self.entry.model_fields_set else dish


def dish_analysis(one: Recorded, level: float, *, pictures: bool) -> Analysis:
    """What a dish shows: mean traces, and with `pictures` its cells, all traces, single cells and quality."""
    dish, samples = one.dish, [r for r in one.dish.responses if r.stimulus.role != "wash"]
    bars = tuple(Bar(r.stimulus.start_s, r.stimulus.end_s, said(r.stimulus)) for r in dish.responses)
    plots: list[Plot | Outlines | HeatMap] = [_means_plot(dish, bars)]
    if pictures:
        plots += [_heat_map(dish, bars), _cells_plot(dish, bars), _picture(one), *_quality(dish, bars)]
    asked = [r for r in samples if r.stimulus.role == "sample"] or samples
    counts = _counted(dish, asked)
    sentence = " ".join(f"{said(r.stimulus)}: {r.calls.text()}" for r in asked) or "No stimulus is known."
    flagged = sum(bool(flag) for flag in dish.traces.flags)
    notes = [*dish.notes, *(note for r in asked for note in r.calls.notes)]
    notes += [f"{said(r.stimulus)} steps both channels the same way by {100 * r.artefact.dish_size:.1f} %: an "
              "artefact of the compound." for r in samples if r.artefact and r.artefact.dish_flagged]  # fmt: skip
    notes += [f"{flagged} of {dish.cells} cells are flagged (saturated, or they left the picture)."] if flagged else []
    return Analysis(
        "calcium", one.name, counts or f"{dish.cells} cells", sentence, _dish_estimate(dish, asked, level, one.name),
        tuple(plots), tuple(dict.fromkeys(notes)), _METHODS, exports_of(one),
    )  # fmt: skip


def is_refused(r: StimulusResponse) -> bool:
    """Whether there was too little to call responders by: then none is counted, not even as none."""
    return r.calls.status.startswith("refused")


def _counted(dish: Dish, asked: Sequence[StimulusResponse]) -> str:
    """How many cells respond to each stimulus, and to which it cannot be said."""
    told = [f"{int(r.calls.called.sum())}{{}} to {said(r.stimulus)}" for r in asked if not is_refused(r)]
    lacking = [said(r.stimulus) for r in asked if is_refused(r)]
    counts = [one.format("" if place else f" of {dish.cells} cells respond") for place, one in enumerate(told)]
    return ", ".join([*counts, *([f"responders to {' and '.join(lacking)} not called"] if lacking else [])])


_METHODS = (
    "Frames were registered to the first by the peak of the correlation of low frequencies, to a fraction of a pixel; "
    "the masks were moved, not the picture. The background of each page is a smooth surface through its cell-free "
    "pixels. Ratios are those of the mean lights of a cell, with variances from the camera's gain and read noise. "
    "Bleaching was made good for each channel, log-linearly, from cells that do not respond; where these are too few, "
    "from the time before the first stimulus in all cells.",
    "A cell responds where its smoothed maximum after the stimulus exceeds what windows without a stimulus, or with "
    "vehicle, show in 5 % of cells. The denominator is all cells, active or not.",
)


def said(stimulus: Stimulus) -> str:
    """A stimulus in words."""
    if math.isfinite(stimulus.concentration) and stimulus.concentration > 0:
        return f"{format_concentration(stimulus.concentration)} {stimulus.name}"
    return stimulus.name


def _in_nanomolar(dish: Dish, ratio: Array) -> Array:
    """Calcium of mean ratios in nM, or the signal itself without a calibration."""
    return 1e9 * dish.calibration.concentration(ratio) if dish.calibration and dish.unit == "ratio" else ratio


def _unit(dish: Dish) -> str:
    """What `_in_nanomolar` is, for an axis."""
    if dish.calibration and dish.unit == "ratio":
        return "[Ca²⁺] (nM)"
    return {"ratio": f"ratio {' / '.join(dish.traces.channels)}"}.get(dish.unit, dish.unit)


def _mean(values: Array) -> Array:
    """Mean over the first axis of what there is; NaN where there is nothing, as in a dark frame."""
    seen = np.isfinite(values)
    total, count = np.where(seen, values, 0.0).sum(axis=0), seen.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _means_plot(dish: Dish, bars: tuple[Bar, ...]) -> Plot:
    """Mean of all cells with its interval, and of those that respond and the others."""
    groups = {"all cells": np.ones(dish.cells, dtype=bool)}
    called = dish.responding
    if called.any() and not called.all():
        groups |= {"cells that respond": called, "other cells": ~called}
    series = []
    for label, here in groups.items():
        seen = dish.signal[here]
        count = np.maximum(np.isfinite(seen).sum(axis=0), 1)
        mean = _mean(seen)
        half = 1.96 * np.sqrt(_mean((seen - mean) ** 2) / count)
        low, line, high = (_in_nanomolar(dish, one) for one in (mean - half, mean, mean + half))
        series.append(Series(f"{label} ({int(here.sum())})", _NONE, _NONE, dish.time_s, line, low, high))
    caption = "Mean and its 95 % interval over the cells of this dish, which are no replicates: the sample is the day."
    return Plot("time", "time", _unit(dish), tuple(series), caption, bars=bars)


def _order(dish: Dish) -> NDArray[np.intp]:
    """Cells by the height of their response to the samples, highest first."""
    peaks = [r.events.peak for r in dish.responses if r.stimulus.role == "sample"] or [np.nanmax(dish.signal, axis=1)]
    return np.argsort(-np.nan_to_num(np.nanmax(peaks, axis=0), nan=-np.inf))


def _heat_map(dish: Dish, bars: tuple[Bar, ...]) -> HeatMap:
    values = _in_nanomolar(dish, dish.signal[_order(dish)])
    return HeatMap(
        values, dish.time_s, "time", "cell", _unit(dish), bars, "Every line is a cell.",
        "Cells are in the order of their response, the highest on top.",
    )  # fmt: skip


def _cells_plot(dish: Dish, bars: tuple[Bar, ...]) -> Plot:
    order = _order(dish)
    chosen = order[np.unique(np.linspace(0, order.size - 1, _SHOWN).astype(int))]
    series = tuple(
        Series(f"cell {dish.traces.labels[cell]}", _NONE, _NONE, dish.time_s, _in_nanomolar(dish, dish.signal[cell]))
        for cell in chosen.tolist()
    )
    caption = "Single cells, from the highest response to the lowest in even steps."
    return Plot("time", "time", _unit(dish), series, caption, bars=bars)


def _picture(one: Recorded) -> Outlines:
    dish = one.dish
    groups = np.where(dish.responding, "responder", "other")
    groups = np.where([bool(flag) for flag in dish.traces.flags], "flagged", groups)
    bright = int(np.argmax(dish.picture.mean(axis=(1, 2))))
    channel = dish.traces.channels[bright]
    return Outlines(
        dish.picture[bright], outlines_of(dish.labels), tuple(groups.tolist()), one.movie.pixel_um,
        f"Mean picture{f' at {channel}' if channel else ''} with the outlines of the cells.",
    )  # fmt: skip


def _quality(dish: Dish, bars: tuple[Bar, ...]) -> list[Plot]:
    """Drift, background and bleaching, as they were found."""
    time, traces = dish.time_s, dish.traces
    drift = tuple(
        Series(label, _NONE, _NONE, time, traces.shift[:, axis]) for axis, label in enumerate(("down", "right"))
    )
    plots = [Plot("time", "time", "displacement (pixels)", drift, "Drift of the picture against the first frame.")]
    light = []
    for channel, name in enumerate(traces.channels):
        mean = _mean(traces.signal[channel])
        light.append(Series(f"cells {name}".strip(), _NONE, _NONE, time, 100 * mean / np.nanmean(mean[:5])))
        level = traces.background[channel]
        light.append(Series(f"background {name}".strip(), _NONE, _NONE, time, 100 * level / level[:5].mean()))
    caption = "Mean light of the cells and of the background, before bleaching is made good."
    plots.append(Plot("time", "time", "light (% of the first frames)", tuple(light), caption))
    return [*plots, *_control(dish, bars)]


def _control(dish: Dish, bars: tuple[Bar, ...]) -> list[Plot]:
    """The sum of both lights that calcium does not move, of a dye with two channels."""
    if len(dish.lights.channels) != 2 or not dish.responding.any():
        return []
    for r in dish.responses:
        try:
            alpha = estimate_alpha(dish.lights, r.baseline, r.response)
        except RangeError:  # too few cells respond to this one
            continue
        first, second = (dish.lights.signal[channel][dish.responding] for channel in (0, 1))
        over, under = dish.lights.channels
        lights = {f"{over} + {alpha.value:.3g} × {under}": first + alpha.value * second, over: first, under: second}
        before, series = r.baseline.inside(dish.time_s), []
        for name, light in lights.items():
            mean = _mean(light)
            series.append(Series(name, _NONE, _NONE, dish.time_s, 100 * mean / np.nanmean(mean[before])))
        caption = (
            "Control: calcium moves the two lights against each other, and leaves their weighted sum alone. The weight "
            f"is from the response to {said(r.stimulus)}; mean of the cells that respond."
        )
        return [Plot("time", "time", "light (% of before)", tuple(series), caption, bars=bars)]
    return []


def _dish_estimate(dish: Dish, asked: Sequence[StimulusResponse], level: float, label: str) -> Estimate:
    """Shares of cells and mean calcium of one dish, whose cells are no replicates."""
    parameters, status = [], "ok"
    for r in asked:
        name = "_".join(said(r.stimulus).split())
        if is_refused(r):
            status = r.calls.status
            continue
        low, high = _wilson(int(r.calls.called.sum()), dish.cells, level)
        share = Parameter(f"responding_{name}", 100 * r.calls.fraction, 100 * low, 100 * high, "=", "%",
                          100 * r.calls.fraction, math.nan)  # fmt: skip
        parameters.append(replace(share, method="Wilson, cells of one dish"))
        parameters += [*_levels(dish, r, name, level), *_times(r, name)]
    return Estimate("dish", tuple(parameters), level, n=dish.cells, status=status, label=label)


def _levels(dish: Dish, r: StimulusResponse, name: str, level: float) -> list[Parameter]:
    """Mean calcium before the stimulus and at the peak, with the error of the calibration, which all cells share."""
    if dish.calibration is None or dish.unit != "ratio":
        peak = float(np.nanmean(r.events.peak))
        return [Parameter(f"peak_{name}", peak, math.nan, math.nan, "=", dish.unit, peak, math.nan, method="mean")]
    result = []
    for what, ratio in (("rest", r.events.base), ("peak", r.events.base + r.events.peak)):
        mean = float(np.nanmean(ratio))
        low, high = (float(end) for end in dish.calibration.interval(np.array(mean), level))
        best = float(dish.calibration.concentration(np.array(mean)))
        one = Parameter.bounded(f"{what}_{name}", best, low, high, log=True, unit="M")
        result.append(replace(one, method="error of the calibration"))
    return result


def _times(r: StimulusResponse, name: str) -> list[Parameter]:
    """Rise and decay of the mean of the cells that respond; open where the recording ends first."""
    if r.kinetics is None or str(r.kinetics.status[0]).startswith("refused"):
        return []
    found = []
    for what, one in (("rise", r.kinetics.rise), ("decay", r.kinetics.decay)):
        low, high = float(one.low[0]), float(one.high[0])
        best = float(one.value[0])
        time = Parameter.bounded(f"{what}_{name}", best, 0.0 if one.operator[0] in "<?" else low,
                                 math.inf if one.operator[0] in ">?" else high, log=True, unit="s")  # fmt: skip
        found.append(replace(time, method="profile, mean of responders"))
    return found


def _wilson(count: int, of: int, level: float) -> tuple[float, float]:
    from scipy import stats

    interval = stats.binomtest(count, of).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def _stem(file: str) -> str:
    """Name of a file without its ending, which may be ``.ome.tif``."""
    return Path(file).stem.removesuffix(".ome")


def export_name(entry: MovieEntry) -> str:
    """How the names of the tables of a recording begin: day and dish."""
    said = f"{entry.experiment}_{entry.dish or _stem(entry.file)}"
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in said)


def exports_of(one: Recorded) -> tuple[Export, ...]:
    """Traces and cells as tables."""
    import pandas as pd

    dish, plain = one.dish, export_name(one.entry)
    traces: dict[str, Array] = {"time_s": dish.time_s}
    for row, label in enumerate(dish.traces.labels.tolist()):
        traces[f"cell_{label}_{dish.unit}"] = dish.signal[row]
        if dish.calibration and dish.unit == "ratio":
            traces[f"cell_{label}_nM"] = 1e9 * dish.calibration.concentration(dish.signal[row])
    for channel, name in enumerate(dish.traces.channels):
        traces |= {
            f"cell_{label}_{name or 'light'}_ADU": dish.traces.signal[channel, row]
            for row, label in enumerate(dish.traces.labels.tolist())
        }
    cells: dict[str, object] = {
        "cell": dish.traces.labels, "area_px": dish.traces.area, "row_px": dish.traces.centre[:, 0],
        "column_px": dish.traces.centre[:, 1], "flag": list(dish.traces.flags),
    }  # fmt: skip
    for r in dish.responses:
        about = "_".join(said(r.stimulus).split())
        cells |= {
            f"{about}_base": r.events.base, f"{about}_peak": r.events.peak, f"{about}_area": r.events.area,
            f"{about}_sustained": r.events.sustained, f"{about}_time_to_50_s": r.events.time_to_50_s,
            f"{about}_half_decay_s": r.events.half_decay_s, f"{about}_half_decay": r.events.half_decay_operator,
            f"{about}_responds": r.calls.called, f"{about}_p": r.calls.p, f"{about}_q": r.calls.q,
        }  # fmt: skip
    return Export(f"{plain}_traces", pd.DataFrame(traces)), Export(f"{plain}_cells", pd.DataFrame(cells))
