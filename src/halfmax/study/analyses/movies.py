"""Recordings of a study: each → cells and responses; all of them → dose–response and comparisons by day."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.calibration import Calibration
from halfmax.assays.calcium.camera import Camera
from halfmax.assays.calcium.dish import Dish, Settings, StimulusResponse, analyse_dish
from halfmax.assays.calcium.nested import (
    DishSummaries,
    GroupComparison,
    VarianceComponents,
    compare_groups,
    dish_summaries,
    responses,
    variance_components,
)
from halfmax.curves import hill
from halfmax.errors import HalfmaxError, StudyError
from halfmax.estimate import Estimate, Parameter, combine, fit_all
from halfmax.readers.movie import open_movie
from halfmax.readers.regions import read_regions
from halfmax.readers.stimuli import read_stimuli
from halfmax.report.document import Analysis, Export, Plot, Series
from halfmax.study.analyses.dish import Recorded, dish_analysis, export_name, exports_of, is_refused, said
from halfmax.study.analyses.table import Array, Found, status_of
from halfmax.study.entries import CalciumSection, MovieEntry
from halfmax.table import Source
from halfmax.units import concentration, duration, format_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["movies", "record", "settings_of"]

#: Dishes that are shown one by one; of more, the rest is in the tables.
_SHOWN = 3

Tell = Callable[[str], None]
_NONE: Array = np.array([])


def movies(
    entries: Sequence[MovieEntry], section: CalciumSection, folder: Path, level: float, tell: Tell
) -> Iterator[Found]:
    """Dose–response and comparisons over all dishes, and then each dish."""
    _check_apart(entries)
    recorded = []
    for number, entry in enumerate(entries, start=1):
        tell(f"recording {number} of {len(entries)}: {entry.file}")
        try:
            recorded.append(record(entry, section, folder))
        except HalfmaxError as error:
            raise type(error)(f"movie[{number}] ({entry.file}): {error}") from error
    if len(recorded) > 1:
        yield from _together(recorded, section, level)
    for number, one in enumerate(recorded[:_SHOWN]):
        yield Found(dish_analysis(one, level, pictures=number == 0), one.sources)


def _check_apart(entries: Sequence[MovieEntry]) -> None:
    """Refuse two recordings of one name: their cells would count as those of one dish, their tables be one."""
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        first = seen.setdefault(export_name(entry).casefold(), number)
        if first != number:
            raise StudyError(
                f"movie[{first}] ({entries[first - 1].file}) and movie[{number}] ({entry.file}) are both the same dish "
                f'of experiment "{entry.experiment}". Say in experiment on which day each was recorded, or name the '
                "dishes apart with dish."
            )


def settings_of(section: CalciumSection, *, diameter: float | None = None) -> Settings:
    """How the recordings of a study are analysed."""
    camera = calibration = None
    if section.gain is not None:
        camera = Camera(section.gain, section.read_noise, section.offset)
    if section.rmin is not None and section.rmax is not None:
        calibration = Calibration(
            concentration(section.kd), section.rmin, section.rmax, section.beta, section.kd_error, section.rmin_error,
            section.rmax_error, section.beta_error,
        )  # fmt: skip
    return Settings(
        duration(section.baseline), duration(section.response), duration(section.settle), camera, calibration, diameter,
        section.bleaching,
    )  # fmt: skip


def record(
    entry: MovieEntry, section: CalciumSection, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> Recorded:
    """Open and analyse the recording of an entry."""
    paths = [folder / name for name in (entry.file, *entry.more_files)]
    interval = duration(entry.interval) if entry.interval else None
    movie = open_movie(
        paths if len(paths) > 1 else paths[0], channels=entry.channels, interval=interval, order=entry.order,
        frames=entry.frames,
    )  # fmt: skip
    stimuli = read_stimuli(folder / entry.stimuli) if entry.stimuli else ()
    regions = read_regions(folder / entry.masks, movie.shape) if entry.masks else None
    sources = _Hashing([*paths, *(folder / name for name in (entry.stimuli, entry.masks) if name)])
    dish = analyse_dish(
        movie, masks=regions.labels if regions else None, stimuli=stimuli,
        settings=settings_of(section, diameter=entry.diameter), progress=progress,
    )  # fmt: skip
    notes = (*dish.notes, *(regions.notes if regions else ()))
    return Recorded(entry, replace(dish, notes=notes), movie, sources.wait())


class _Hashing:
    """Sources of files, whose checksums are computed while something else goes on."""

    def __init__(self, paths: Sequence[Path]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self._sources = [self._pool.submit(Source.of, path, reader="recording") for path in paths]

    def wait(self) -> list[Source]:
        """All of them."""
        with self._pool:
            return [one.result() for one in self._sources]


def _together(recorded: Sequence[Recorded], section: CalciumSection, level: float) -> Iterator[Found]:
    """EC50 of each compound that was given in several concentrations, groups compared, and the nesting of cells."""
    cells = _cells(recorded, section)
    rest = [source for one in recorded[_SHOWN:] for source in one.sources]
    if cells is None:
        return
    measured = _quantity(recorded[0].dish, section)
    simulated = any(one.movie.simulated for one in recorded)
    summaries = cells.summaries()
    for compound in dict.fromkeys(summaries.group[summaries.concentration > 0].tolist()):
        if np.unique(summaries.concentration[summaries.group == compound]).size > 1:
            yield Found(_dose_response(compound, summaries, section, measured, level, simulated), [])
    for first, second in _pairs(summaries):
        compared = compare_groups(summaries, first, second, summary=section.summary, effect="ratio", level=level)
        yield Found(_compared(compared, summaries, section, measured, level), [])
    yield Found(_nested(recorded, cells, measured, level), rest)


def _quantity(dish: Dish, section: CalciumSection) -> tuple[str, str]:
    return section.quantity, "nM" if dish.calibration and dish.unit == "ratio" else dish.unit


def _value(r: StimulusResponse, quantity: str) -> Array:
    """What is measured of each cell; a peak in nM where the dye is calibrated."""
    if quantity == "peak" and r.peak.size:
        return 1e9 * (r.peak - r.rest)
    return np.asarray({"peak": r.events.peak, "area": r.events.area, "sustained": r.events.sustained}[quantity])


@dataclass(frozen=True, eq=False)
class _Cells:
    """Every cell after every stimulus: what was measured, and its dish, day, group and concentration (M)."""

    value: Array
    called: NDArray[np.bool_]
    concentration: Array
    dish: NDArray[np.str_]
    day: NDArray[np.str_]
    group: NDArray[np.str_]

    def summaries(self) -> DishSummaries:
        """One row a dish, day, group and concentration."""
        return dish_summaries(
            self.value, dish=self.dish, day=self.day, group=self.group, concentration=self.concentration,
            called=self.called,
        )  # fmt: skip


def _cells(recorded: Sequence[Recorded], section: CalciumSection) -> _Cells | None:
    """All cells. A group is the compound, and what came before it in the dish; vehicle has none."""
    rows = []
    for one in recorded:
        before = ""
        for r in one.dish.responses:
            if r.stimulus.role not in ("vehicle", "sample"):
                continue
            if section.summary != "mean" and r.stimulus.role == "sample" and is_refused(r):
                raise StudyError(
                    f'calcium.summary is "{section.summary}", and the responders of {one.name} to {said(r.stimulus)} '
                    f'cannot be called: {r.calls.status.removeprefix("refused: ")} Or take summary = "mean".'
                )
            group, dose = ("", 0.0) if r.stimulus.role == "vehicle" else (
                r.stimulus.name + before, r.stimulus.concentration
            )  # fmt: skip
            before = before if r.stimulus.role == "vehicle" else f" after {said(r.stimulus)}"
            texts = one.entry.dish or one.entry.file, one.entry.experiment, group
            n = one.dish.cells
            rows.append(
                (_value(r, section.quantity), r.calls.called, np.full(n, dose), *(np.full(n, x) for x in texts))
            )
    return _Cells(*(np.concatenate(column) for column in zip(*rows, strict=True))) if rows else None


def _nested(recorded: Sequence[Recorded], cells: _Cells, measured: tuple[str, str], level: float) -> Analysis:
    """How much cells, dishes and days differ; and the tables of all dishes."""
    summaries, sample = cells.summaries(), cells.group != ""
    conditions = np.array([f"{g} {c:.6g}" for g, c in zip(cells.group, cells.concentration, strict=True)])
    parameters: tuple[Parameter, ...] = ()
    sentence = ""
    if np.unique(cells.dish[sample]).size > 1:
        found = variance_components(
            cells.value[sample], dish=cells.dish[sample], day=cells.day[sample], group=conditions[sample], level=level
        )
        icc = Parameter.bounded("icc", found.icc_one_way, found.low, found.high)
        parameters = (replace(icc, method="analysis of variance"),)
        sentence = f"{_icc_text(found)} {_DAY}"
    days = list(dict.fromkeys(summaries.day.tolist()))
    series = []
    for group in dict.fromkeys(summaries.group.tolist()):
        here = summaries.group == group
        place = np.array([days.index(day) + 1.0 for day in summaries.day[here].tolist()])
        series.append(Series(group or "vehicle", place, summaries.mean[here], _NONE, _NONE))
    plot = Plot("day", "plain", f"{measured[0]} ({measured[1]})", tuple(series), _by_day(days))
    dishes = set(zip(summaries.day.tolist(), summaries.dish.tolist(), strict=True))
    estimate = Estimate("dishes", parameters, level, n=len(dishes), label="cells, dishes, days")
    shown = [export for one in recorded[_SHOWN:] for export in exports_of(one)]
    return Analysis(
        "calcium", "Cells, dishes and days", summaries.text(), sentence, estimate, (plot,), _doubts(recorded),
        ("Cells are nested in dishes and dishes in days; variances are those of an analysis of variance for unequal "
         "numbers.",), (*shown, Export("dishes", _table(summaries))),
    )  # fmt: skip


_DAY = "The day is the sample either way."


def _by_day(days: Sequence[str]) -> str:
    """Caption of dishes against days, whose axis counts them."""
    named = "; ".join(f"{number}: {day}" for number, day in enumerate(days, start=1))
    return f"Every dish is a point. Days: {named}."


def _icc_text(found: VarianceComponents) -> str:
    """The correlation of cells of a dish at one concentration, and what a test over cells would do."""
    icc = f"ICC {format_interval(found.icc_one_way, found.low, found.high, unit='')}"
    if not found.low > 0:
        return f"{icc}: these dishes do not show that cells of a dish are alike, nor that they are not."
    return (
        f"{icc}: two cells of a dish are alike, and a test over cells would take its variance "
        f"{found.design_effect:.3g} times too small."
    )


def _doubts(recorded: Sequence[Recorded]) -> tuple[str, ...]:
    """What is to be said against single dishes, that the tables alone would hide."""
    said_of = []
    for one in recorded[_SHOWN:]:
        flagged = sum(bool(flag) for flag in one.dish.traces.flags)
        artefact = [said(r.stimulus) for r in one.dish.responses if r.artefact and r.artefact.dish_flagged]
        if flagged:
            said_of.append(f"{one.name}: {flagged} of {one.dish.cells} cells are flagged.")
        if artefact:
            said_of.append(f"{one.name}: {', '.join(artefact)} steps both channels the same way, an artefact.")
    return tuple(said_of)


def _table(summaries: DishSummaries) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "day": summaries.day, "dish": summaries.dish, "group": summaries.group,
        "concentration_M": summaries.concentration, "mean": summaries.mean, "sd": summaries.sd,
        "fraction": summaries.fraction, "fraction_amplitude": summaries.fraction_amplitude, "cells": summaries.cells,
        "measured": summaries.measured,
    })  # fmt: skip


def _rows(summaries: DishSummaries, mine: NDArray[np.bool_]) -> DishSummaries:
    """Some rows of the summaries."""
    return DishSummaries(*(getattr(summaries, column.name)[mine] for column in fields(summaries)))


def _dose_response(
    compound: str, summaries: DishSummaries, section: CalciumSection, measured: tuple[str, str], level: float,
    simulated: bool,
) -> Analysis:  # fmt: skip
    """EC50 of a compound: a fit for each day, and the days together."""
    quantity, unit = measured
    mine = [one for one in responses(summaries, summary=section.summary, quantity=quantity, signal_unit=unit,
                                     simulated=simulated) if one.compound == compound]  # fmt: skip
    fits = fit_all(mine, "hill4", direction="rising", level=level)
    estimate = combine(fits, level=level, label=f"{compound}, calcium") if len(fits) > 1 else fits[0]
    series = []
    for fit, response in zip(fits, mine, strict=True):
        dose = np.where(np.isnan(response.concentration), 0.0, response.concentration)
        above = dose[dose > 0]
        at = np.geomspace(above.min(), above.max(), 81)
        best = {p.name: p.best for p in fit.parameters}
        line = hill(at, **{name: best[name] for name in ("ec50", "hill_slope", "top", "bottom")})
        series.append(Series(f"{response.experiment}", dose, response.signal, at, line))
    said = {"mean": f"{quantity}, mean of all cells", "fraction": "share of cells that respond",
            "fraction_amplitude": f"share of cells that respond × their {quantity}"}[section.summary]  # fmt: skip
    title = f"{said} ({unit})" if section.summary != "fraction" else said
    plot = Plot(compound, "concentration", title, tuple(series), "Every dish is a point; lines: the fit of each day.")
    days = len(fits)
    each = "; ".join(f"{fit.response.experiment}: {fit['ec50'].text()}" for fit in fits if fit.response)
    by_day = f" By day: {each}." if days > 1 else " One day: the interval is that of its dishes."
    sentence = status_of(estimate) + by_day
    given = _rows(summaries, summaries.group == compound)
    return Analysis(
        "calcium", f"{compound}: calcium against concentration", f"EC50 {estimate['ec50'].text()}, n = {days} days",
        sentence.strip(), estimate, (plot,), (f"{given.text()}.",),
        ("Each day was fitted by itself through the means of its dishes, and the days were joined in two stages: cells "
         "are nested in dishes and dishes in days.",),
    )  # fmt: skip


def _pairs(summaries: DishSummaries) -> list[tuple[str, str]]:
    """A compound alone, and the same after another, at the one concentration that both have."""
    groups = list(dict.fromkeys(summaries.group.tolist()))
    pairs = [(alone, later) for alone in groups for later in groups if later.startswith(f"{alone} after ")]
    single = {name: np.unique(summaries.concentration[summaries.group == name]) for name in groups}
    return [(a, b) for a, b in pairs if single[a].size == 1 and np.array_equal(single[a], single[b])]


def _compared(
    found: GroupComparison, summaries: DishSummaries, section: CalciumSection, measured: tuple[str, str], level: float
) -> Analysis:
    """A compound after another against the compound alone, by days."""
    days = list(dict.fromkeys(summaries.day.tolist()))
    values, series = summaries.value(section.summary), []
    for name in (found.first, found.second):
        here = summaries.group == name
        place = np.array([days.index(day) + 1.0 for day in summaries.day[here].tolist()])
        series.append(Series(name, place, values[here], _NONE, _NONE))
    ratio = Parameter("ratio", found.estimate, found.low, found.high, "=", "", found.estimate, math.nan, log=True)
    text = f"{found.second} reaches {100 * found.estimate:.0f} % of {found.first} alone"
    return Analysis(
        "calcium", f"{found.second} against {found.first}", text, found.text(),
        Estimate("comparison by days", (replace(ratio, method=found.method),), level, n=min(found.days),
                 status=found.status, label=f"{found.second} against {found.first}"),
        (Plot("day", "plain", f"{measured[0]} ({measured[1]})", tuple(series), _by_day(days)),),
        found.notes,
        ("Groups were compared by the means of days, by their logarithms, paired by day where both were read on it; "
         "a p-value over cells is not given.",),
    )  # fmt: skip
