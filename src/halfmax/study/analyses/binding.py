"""Binding entries of a study → analyses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmax.assays.binding import (
    BindingAssay,
    BindingExperiment,
    Radioligand,
    binding_experiments,
    binding_quality,
)
from halfmax.curves import binding as equilibrium
from halfmax.estimate import Estimate, combine
from halfmax.estimate.binding import fit_competition, fit_saturation
from halfmax.readers.counts import read_counts
from halfmax.readers.tubes import read_tubes
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Found, places, status_of
from halfmax.study.entries import BindingEntry
from halfmax.table import Source
from halfmax.units import concentration

__all__ = ["binding"]


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
    groups: dict[str, list[tuple[str, Analysis]]] = {}
    for one in found:
        if one.compound or entry.analysis == "saturation":
            notes = (*one.notes, *binding_quality(one).flags)
            analysis = fitted(entry, one, level, (one.label, *notes))
            groups.setdefault(one.compound, []).append((one.experiment, analysis))
    for compound, group in groups.items():
        if len(group) > 1:
            yield Found(_combined(entry, compound, group, level), sources)
            sources = []
        for _, analysis in group:
            yield Found(analysis, sources)
            sources = []


def _combined(entry: BindingEntry, compound: str, group: Sequence[tuple[str, Analysis]], level: float) -> Analysis:
    """Several experiments as one value: in two stages, since experiments are the sample."""
    first = group[0][1]
    name = next(n for n in ("ki", "kd", "ki_first", "kd_first") if n in first.estimate)
    who = f"{entry.name}: {compound or entry.radioligand}, {len(group)} experiments"
    estimate = combine([one.estimate for _, one in group], parameter=name, level=level, label=who)
    series = tuple(replace(one.plots[0].series[0], label=f"experiment {experiment}") for experiment, one in group)
    return replace(
        first, title=who, answer=f"{name[:2].capitalize()} {estimate[name].text()}", sentence=status_of(estimate),
        estimate=estimate, plots=(replace(first.plots[0], series=series),), notes=(),
        methods=("The experiment is the sample, never the tube: constants of several experiments were joined as the "
                 "mean of their logarithms with a t interval, in two stages.",),
    )  # fmt: skip


def _competition(entry: BindingEntry, one: BindingExperiment, level: float, said: tuple[str, ...]) -> Analysis:
    assert entry.kd is not None
    kd, keep = concentration(entry.kd), one.used
    radioligand, label = one.radioligand[keep], said[0]
    estimate = fit_competition(
        one.competitor[keep], one.bound[keep], radioligand=radioligand, kd=kd, kd_se_log=entry.kd_se_log,
        nonspecific=one.nonspecific[keep], depletion=entry.depletion, sites=entry.sites, unit=entry.unit,
        level=level, label=label,
    )  # fmt: skip
    total = ~one.nonspecific[keep]
    x, y = one.competitor[keep], one.bound[keep]
    at = places(x)
    line = np.full(at.size, np.nan)
    if entry.sites == 1 and not entry.depletion and {"ki", "specific", "nonspecific"} <= _names(estimate):
        share = equilibrium.occupancy_competition(radioligand.mean(), at, kd=kd, ki=estimate["ki"].best)
        most = equilibrium.occupancy(radioligand.mean(), kd=kd)
        line = estimate["nonspecific"].best + estimate["specific"].best * share / most
    name = "ki" if "ki" in estimate else "ki_first"
    series = [Series("total", x[total], y[total], at, line)]
    if (~total).any():
        level_line = np.full(at.size, float(np.mean(y[~total])))
        series.append(Series("non-specific", np.zeros((~total).sum()), y[~total], at, level_line))
    plot = Plot(
        one.compound or "competitor", "concentration", f"bound {entry.radioligand} ({entry.unit})", tuple(series)
    )
    return Analysis(
        "binding", f"{entry.name}: {label}", f"Ki {estimate[name].text()}", status_of(estimate), estimate, (plot,),
        said[1:],
        ("Ki was fitted directly to totals and non-specific wells together, with the radioligand and its Kd in the "
         "equation; the IC50 and the Ki of Cheng and Prusoff stand beside it. " + _depletion(entry.depletion),),
    )  # fmt: skip


def _saturation(entry: BindingEntry, one: BindingExperiment, level: float, said: tuple[str, ...]) -> Analysis:
    keep = one.used
    x, y, masked = one.radioligand[keep], one.bound[keep], one.nonspecific[keep]
    estimate = fit_saturation(
        x, y, nonspecific=masked, depletion=entry.depletion, sites=entry.sites, unit=entry.unit, level=level,
        label=said[0],
    )  # fmt: skip
    at = np.linspace(0.0, float(x.max()), 121)
    total = nothing = np.full(at.size, np.nan)
    if entry.sites == 1 and not entry.depletion:
        best = {parameter.name: parameter.best for parameter in estimate.parameters}
        nothing = best["nsb"] * at + best.get("background", 0.0)
        total = nothing + best["bmax"] * equilibrium.occupancy(at, kd=best["kd"])
    name = "kd" if "kd" in estimate else "kd_first"
    series = (
        Series("total", x[~masked], y[~masked], at, total),
        Series("non-specific", x[masked], y[masked], at, nothing),
    )
    plot = Plot(entry.radioligand, "concentration", f"bound ({entry.unit})", series)
    return Analysis(
        "binding", f"{entry.name}: {said[0]}", f"Kd {estimate[name].text()}", status_of(estimate), estimate, (plot,),
        said[1:],
        ("Kd, Bmax and non-specific binding were fitted together, to totals and non-specific wells; nothing was "
         "subtracted. " + _depletion(entry.depletion),),
    )  # fmt: skip


def _depletion(on: bool) -> str:
    return "Bound radioligand was taken off what is free." if on else "What was added was taken as free."


def _names(estimate: Estimate) -> set[str]:
    return {parameter.name for parameter in estimate.parameters}
