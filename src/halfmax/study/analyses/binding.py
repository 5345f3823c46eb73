"""Binding entries of a study → analyses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from halfmax.assays.binding import (
    BindingAssay,
    BindingExperiment,
    Radioligand,
    binding_experiments,
    binding_quality,
)
from halfmax.curves.binding import scatchard
from halfmax.estimate import combine
from halfmax.estimate.binding import fit_competition, fit_saturation, fitted_competition, fitted_saturation
from halfmax.readers.counts import read_counts
from halfmax.readers.tubes import read_tubes
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.covalent import ridge_of
from halfmax.study.analyses.table import Array, Found, places, status_of
from halfmax.study.entries import BindingEntry
from halfmax.table import Source
from halfmax.units import concentration

__all__ = ["binding"]


class _One(NamedTuple):
    """One compound in one experiment, analysed, with its totals as percent of specific binding."""

    experiment: str
    analysis: Analysis
    percent: Series | None


def binding(entry: BindingEntry, folder: Path, level: float, simulated: bool) -> Iterator[Found]:
    """One analysis for each compound and experiment of an entry, after that of several experiments together."""
    ligand = Radioligand.of(
        entry.radioligand, specific_activity=entry.specific_activity, calibrated=entry.calibrated,
        counted=entry.counted, efficiency=math.nan if entry.efficiency is None else entry.efficiency,
    )  # fmt: skip
    assay = BindingAssay.of(
        ligand, volume=entry.volume, protein=entry.protein, target=entry.target, masking=entry.masking
    )
    table = read_counts(folder / entry.counts)
    sources = [*table.sources, Source.of(folder / entry.layout, reader="layout of tubes")]
    fitted = {"competition": _competition, "saturation": _saturation}[entry.analysis]
    found = binding_experiments(table, read_tubes(folder / entry.layout), assay, unit=entry.unit, simulated=simulated)
    groups: dict[str, list[_One]] = {}
    for one in found:
        if one.compound or entry.analysis == "saturation":
            groups.setdefault(one.compound, []).append(fitted(entry, one, level))
    for compound, group in groups.items():
        percent = tuple(one.percent for one in group if one.percent)
        together = [_combined(entry, compound, group, level)] if len(group) > 1 else []
        first, *rest = (*together, *(one.analysis for one in group))
        yield Found(first, sources, (entry.name, compound.casefold()), percent)
        yield from (Found(analysis, []) for analysis in rest)
        sources = []
        if compound in entry.covalent and "ki" in first.estimate and first.estimate["ki"].operator == "=":
            added = float(np.mean([one.radioligand[one.used].mean() for one in found if one.compound == compound]))
            yield Found(ridge_of(entry, compound, first.estimate["ki"], added, level), [])


def _combined(entry: BindingEntry, compound: str, group: Sequence[_One], level: float) -> Analysis:
    """Several experiments as one value: in two stages, since experiments are the sample."""
    first = group[0].analysis
    name = next(n for n in ("ki", "kd", "ki_first", "kd_first") if n in first.estimate)
    who = f"{entry.name}: {compound or entry.radioligand}, {len(group)} experiments"
    estimate = combine([one.analysis.estimate for one in group], parameter=name, level=level, label=who)
    drawn = [(one, plot) for one in group for plot in one.analysis.plots[:1] if isinstance(plot, Plot)]
    series = tuple(replace(plot.series[0], label=f"experiment {one.experiment}") for one, plot in drawn)
    return replace(
        first, title=who, answer=f"{name[:2].capitalize()} {estimate[name].text()}", sentence=status_of(estimate),
        estimate=estimate, plots=(replace(drawn[0][1], series=series),), notes=(),
        methods=("The experiment is the sample, never the tube: constants of several experiments were joined as the "
                 "mean of their logarithms with a t interval, in two stages.",),
    )  # fmt: skip


def _competition(entry: BindingEntry, one: BindingExperiment, level: float) -> _One:
    keep, kd = one.used, concentration(entry.kd or "")
    x, y, masked, radioligand = one.competitor[keep], one.bound[keep], one.nonspecific[keep], one.radioligand[keep]
    receptor = concentration(entry.receptor) if entry.receptor else None
    estimate = fit_competition(
        x, y, radioligand=radioligand, kd=kd, kd_se_log=entry.kd_se_log, receptor=receptor, nonspecific=masked,
        depletion=entry.depletion, sites=entry.sites, unit=entry.unit, level=level, label=one.label,
    )  # fmt: skip
    at = places(x)

    def line(where: Array, *, nonspecific: bool) -> Array:
        return fitted_competition(
            estimate, where, radioligand=float(radioligand.mean()), kd=kd, receptor=receptor, nonspecific=nonspecific,
            depletion=entry.depletion,
        )  # fmt: skip

    total, nothing = line(at, nonspecific=False), line(at, nonspecific=True)
    ends = (float(line(np.zeros(1), nonspecific=which)[0]) for which in (True, False))
    series = [Series("total", x[~masked], y[~masked], at, total)]
    if masked.any():
        series.append(Series("non-specific", np.zeros(masked.sum()), y[masked], at, nothing))
    plot = Plot(one.compound, "concentration", f"bound {entry.radioligand} ({entry.unit})", tuple(series))
    name = "ki" if "ki" in estimate else "ki_first"
    analysis = Analysis(
        "binding", f"{entry.name}: {one.label}", f"Ki {estimate[name].text()}", status_of(estimate), estimate, (plot,),
        (*one.notes, *binding_quality(one).flags),
        ("Ki was fitted directly to totals and non-specific wells together, with the radioligand and its Kd in the "
         "equation; the IC50 and the Ki of Cheng and Prusoff stand beside it. " + _depletion(entry.depletion),),
    )  # fmt: skip
    return _One(one.experiment, analysis, _percent(series[0], *ends))


def _percent(total: Series, left: float, all_of_it: float) -> Series:
    """Totals as percent of the specific binding that the fit gives without competitor."""
    scale = 100.0 / (all_of_it - left)
    return replace(total, y=scale * (total.y - left), line=scale * (total.line - left))


def _saturation(entry: BindingEntry, one: BindingExperiment, level: float) -> _One:
    keep = one.used
    x, y, masked = one.radioligand[keep], one.bound[keep], one.nonspecific[keep]
    estimate = fit_saturation(
        x, y, nonspecific=masked, depletion=entry.depletion, sites=entry.sites, unit=entry.unit, level=level,
        label=one.label,
    )  # fmt: skip
    at = np.linspace(0.0, float(x.max()), 121)
    total, nothing = (
        fitted_saturation(estimate, at, nonspecific=which, depletion=entry.depletion) for which in (False, True)
    )
    series = (
        Series("total", x[~masked], y[~masked], at, total),
        Series("non-specific", x[masked], y[masked], at, nothing),
    )
    plots = (Plot(entry.radioligand, "concentration", f"bound ({entry.unit})", series), _scatchard(entry, series))
    name = "kd" if "kd" in estimate else "kd_first"
    analysis = Analysis(
        "binding", f"{entry.name}: {one.label}", f"Kd {estimate[name].text()}", status_of(estimate), estimate, plots,
        (*one.notes, *binding_quality(one).flags),
        ("Kd, Bmax and non-specific binding were fitted together, to totals and non-specific wells; nothing was "
         "subtracted. " + _depletion(entry.depletion),),
    )  # fmt: skip
    return _One(one.experiment, analysis, None)


def _scatchard(entry: BindingEntry, series: tuple[Series, Series]) -> Plot:
    """Specific binding over free against specific binding: for the eye, since both axes hold the same error."""
    total, nothing = series
    specific, line = total.y - np.interp(total.x, nothing.at, nothing.line), total.line - nothing.line
    free, free_at = (
        (total.x - total.y, total.at - total.line) if entry.unit == "M" and entry.depletion else (total.x, total.at)
    )
    above = free_at > 0
    wells, curve = scatchard(specific, 1e9 * free), scatchard(line[above], 1e9 * free_at[above])
    one = Series("specific", *wells, *curve)
    return Plot(
        f"specific binding ({entry.unit})", "plain", f"specific binding / free ({entry.unit}/nM)", (one,),
        "Scatchard plot, for the eye only: both axes hold the error of what was bound. The line is that of the fit to "
        "the raw wells.",
    )  # fmt: skip


def _depletion(on: bool) -> str:
    return "Bound radioligand was taken off what is free." if on else "What was added was taken as free."
