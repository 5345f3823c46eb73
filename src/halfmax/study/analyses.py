"""Binding, kinetics and receptor theory of a study: each entry → one analysis for the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import binding as equilibrium
from halfmax.curves import inactivation as covalent
from halfmax.curves import receptor
from halfmax.errors import StudyError, TableError, nearest
from halfmax.estimate import Estimate, Parameter, combine
from halfmax.estimate.binding import fit_competition, fit_saturation
from halfmax.estimate.inactivation import fit_endpoint
from halfmax.estimate.receptor import fit_gaddum, fit_schild
from halfmax.estimate.washout import fit_washout
from halfmax.report.document import Analysis, Series
from halfmax.study.document import BindingEntry, FunctionEntry, InactivationEntry, StudyDocument, WashoutEntry
from halfmax.table import Source
from halfmax.units import concentration, concentration_factor, duration, format_concentration, format_duration

__all__ = ["analyses_of", "files_of"]

Array = NDArray[np.float64]
_SIX_HOURS = 6 * 3600.0


def files_of(document: StudyDocument) -> tuple[str, ...]:
    """Files that the analyses of a study are made from."""
    tables = [one.file for one in document.inactivation] + [one.file for one in document.washout]
    tables += [one.file for one in document.function]
    return (*tables, *(name for entry in document.binding for name in (entry.counts, entry.layout)))


def analyses_of(document: StudyDocument, folder: Path, *, simulated: bool) -> Iterator[tuple[Analysis, list[Source]]]:
    """Each analysis of a study with the files it came from, in the order of the report."""
    level = document.study.level
    for one in document.binding:
        yield from _binding(one, folder, level, simulated)
    for two in document.inactivation:
        yield _inactivation(two, folder / two.file, level)
    for three in document.washout:
        yield _washout(three, folder / three.file, level)
    for four in document.function:
        yield _function(four, folder / four.file, level)


# Tables


def _columns(
    path: Path, numbers: Mapping[str, float], texts: tuple[str, ...] = ()
) -> tuple[dict[str, Array], list[str]]:
    """Columns of a table: numbers times a factor, NaN where a cell is empty, and one column of texts."""
    from halfmax.readers.cell import comma_of, number
    from halfmax.readers.column import header_row
    from halfmax.readers.sheet import open_book

    sheet = open_book(path).sheets[0]
    head = header_row(sheet)
    names = [name.strip() for name in sheet.cells(head)]
    places = {}
    for name in (*numbers, *texts):
        if name not in names:
            raise TableError(f'{path.name}: there is no column "{name}". {nearest(name, names)}')
        places[name] = names.index(name)
    rows = [row for row in range(head + 1, len(sheet.rows)) if not sheet.is_blank(row)]
    cells = {name: [_cell(sheet.cells(row), place) for row in rows] for name, place in places.items()}
    comma = comma_of([cell for name in numbers for cell in cells[name]])
    result = {}
    for name, factor in numbers.items():
        values = [math.nan if not cell else number(cell, comma) for cell in cells[name]]
        if None in values:
            at = values.index(None)
            raise TableError(
                f'{path.name}, row {rows[at] + 1}: {name} must be a number, found "{cells[name][at]}". '
                "Correct it, or leave the cell empty where nothing was measured."
            )
        result[name] = factor * np.array(values, dtype=float)
    return result, [cell.casefold() for name in texts for cell in cells[name]]


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place].strip() if place < len(cells) else ""


def _needed(path: Path, columns: Mapping[str, Array], *, without: str) -> None:
    """Refuse an empty cell in what was set; only what was read may be missing."""
    for name, column in columns.items():
        bad = np.flatnonzero(np.isnan(column))
        if name != without and bad.size:
            raise TableError(f"{path.name}: {name} is empty in data row {bad[0] + 1}. Every well needs it.")


def _places(values: Array) -> Array:
    """Places of a smooth line between the concentrations above zero."""
    above = values[values > 0]
    return np.geomspace(above.min(), above.max(), 121)


# Binding


def _binding(
    entry: BindingEntry, folder: Path, level: float, simulated: bool
) -> Iterator[tuple[Analysis, list[Source]]]:
    """One analysis for each compound and experiment of an entry, after that of several experiments together."""
    from halfmax.assays.binding import (
        BindingAssay,
        BindingExperiment,
        Radioligand,
        binding_experiments,
        binding_quality,
    )
    from halfmax.readers.counts import read_counts
    from halfmax.readers.tubes import read_tubes

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
    found: list[BindingExperiment] = binding_experiments(
        table, read_tubes(folder / entry.layout), assay, unit=entry.unit, simulated=simulated
    )
    groups: dict[str, list[tuple[str, Analysis]]] = {}
    for one in found:
        if one.compound or entry.analysis == "saturation":
            notes = (*one.notes, *binding_quality(one).flags)
            analysis = fitted(entry, one, level, (one.label, *notes))
            groups.setdefault(one.compound, []).append((one.experiment, analysis))
    for compound, group in groups.items():
        if len(group) > 1:
            yield _combined(entry, compound, group, level), sources
            sources = []
        for _, analysis in group:
            yield analysis, sources
            sources = []


def _combined(entry: BindingEntry, compound: str, group: Sequence[tuple[str, Analysis]], level: float) -> Analysis:
    """Several experiments as one value: in two stages, since experiments are the sample."""
    first = group[0][1]
    name = next(n for n in ("ki", "kd", "ki_first", "kd_first") if n in first.estimate)
    who = f"{entry.name}: {compound or entry.radioligand}, {len(group)} experiments"
    estimate = combine([one.estimate for _, one in group], parameter=name, level=level, label=who)
    series = tuple(replace(one.series[0], label=f"experiment {experiment}") for experiment, one in group)
    return replace(
        first, title=who, answer=f"{name[:2].capitalize()} {estimate[name].text()}", sentence=_status(estimate),
        estimate=estimate, series=series, notes=(),
        methods=("The experiment is the sample, never the tube: constants of several experiments were joined as the "
                 "mean of their logarithms with a t interval, in two stages.",),
    )  # fmt: skip


def _competition(entry: BindingEntry, one: object, level: float, said: tuple[str, ...]) -> Analysis:
    from halfmax.assays.binding import BindingExperiment

    assert isinstance(one, BindingExperiment)
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
    at = _places(x)
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
    return Analysis(
        "binding", f"{entry.name}: {label}", f"Ki {estimate[name].text()}", _status(estimate), estimate,
        one.compound or "competitor", "concentration", f"bound {entry.radioligand} ({entry.unit})", tuple(series),
        said[1:],
        ("Ki was fitted directly to totals and non-specific wells together, with the radioligand and its Kd in the "
         "equation; the IC50 and the Ki of Cheng and Prusoff stand beside it. " + _depletion(entry.depletion),),
    )  # fmt: skip


def _saturation(entry: BindingEntry, one: object, level: float, said: tuple[str, ...]) -> Analysis:
    from halfmax.assays.binding import BindingExperiment

    assert isinstance(one, BindingExperiment)
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
    return Analysis(
        "binding", f"{entry.name}: {said[0]}", f"Kd {estimate[name].text()}", _status(estimate), estimate,
        entry.radioligand, "concentration", f"bound ({entry.unit})", series, said[1:],
        ("Kd, Bmax and non-specific binding were fitted together, to totals and non-specific wells; nothing was "
         "subtracted. " + _depletion(entry.depletion),),
    )  # fmt: skip


def _depletion(on: bool) -> str:
    return "Bound radioligand was taken off what is free." if on else "What was added was taken as free."


def _names(estimate: Estimate) -> set[str]:
    return {parameter.name for parameter in estimate.parameters}


def _status(estimate: Estimate) -> str:
    return "" if estimate.status == "ok" else estimate.status


# Kinetics


def _inactivation(entry: InactivationEntry, path: Path, level: float) -> tuple[Analysis, list[Source]]:
    second = duration(1, unit=entry.time_unit)
    factors = {
        entry.concentration_column: concentration_factor(entry.unit), entry.preincubation_column: second,
        entry.incubation_column: second, entry.signal_column: 1.0,
    }  # fmt: skip
    columns, _ = _columns(path, factors)
    _needed(path, columns, without=entry.signal_column)
    dose, before, during, signal = columns.values()
    assay = covalent.EndpointAssay(
        concentration(entry.substrate), concentration(entry.enzyme), entry.kcat / second, concentration(entry.km),
        entry.volume_before, entry.volume_after,
    )  # fmt: skip
    found = fit_endpoint(dose, before, during, signal, assay=assay, level=level, label=entry.name)
    series, at = [], _places(dose)
    kinact, half = found["kinact"].best, found["k_inact_half"].best
    for time, stop in sorted(set(zip(before.tolist(), during.tolist(), strict=True))):
        here = (before == time) & (during == stop)
        line = 100.0 * covalent.share_of_control(at, time, stop, assay=assay, kinact=kinact, k_inact_half=half)
        series.append(Series(f"{format_duration(time)} pre-incubation", dose[here], signal[here], at, line))
    answer = f"kinact / K_I {found['k_inact_ratio'].scaled(60e-6, '/µM/min').text()}"
    return Analysis(
        "kinetics", entry.name, answer, found.sentence, found.estimate, "inhibitor", "concentration", "% of control",
        tuple(series), (),
        ("kinact, K_I and their ratio were fitted to all pre-incubation times together, by integration of enzyme and "
         "substrate until it no longer changes with the step; the ratio has a profile of its own.",),
    ), [Source.of(path, reader="table")]  # fmt: skip


def _washout(entry: WashoutEntry, path: Path, level: float) -> tuple[Analysis, list[Source]]:
    columns, arms = _columns(
        path, {entry.time_column: duration(1, unit=entry.time_unit), entry.signal_column: 1.0}, (entry.arm_column,)
    )
    time, signal = columns[entry.time_column], columns[entry.signal_column]
    rival = duration(entry.rival_half_life) if entry.rival_half_life else _SIX_HOURS
    time = np.where(np.isnan(time), 0.0, time)
    found = fit_washout(arms, time, signal, rival_half_life=rival, level=level, label=entry.name)
    at = np.linspace(0.0, float(time.max()), 121)
    estimate = replace(found.estimate, status="ok" if found.told_apart else f"open: {found.sentence}")
    best = {parameter.name: parameter.best for parameter in estimate.parameters}
    washed = best["bmax"] * (1 - best["occupied"] * np.exp(-best["koff"] * at))
    lines = {"control": np.full(at.size, best["bmax"]), "washed": washed, "kept": np.full(at.size, np.nan)}
    names = np.array(arms)
    series = [Series(arm, time[names == arm], signal[names == arm], at, lines[arm]) for arm in dict.fromkeys(arms)]
    return Analysis(
        "kinetics", entry.name, f"sites lost {_percent(found.lost)}", found.sentence, estimate,
        "time after the wash", "time", "specific binding", tuple(series), (),
        ("Wash-out: the share of sites lost is that after the longest recovery; the off-rate is that of a reversible "
         "ligand which held every site at the wash and would explain the data.",),
    ), [Source.of(path, reader="table")]  # fmt: skip


def _percent(share: Parameter) -> str:
    return share.scaled(100.0, "%").text()


# Function


def _function(entry: FunctionEntry, path: Path, level: float) -> tuple[Analysis, list[Source]]:
    factor = concentration_factor(entry.unit)
    columns, _ = _columns(
        path, {entry.agonist_column: factor, entry.antagonist_column: factor, entry.signal_column: 1.0}
    )
    _needed(path, columns, without=entry.signal_column)
    agonist, antagonist, signal = columns.values()
    doses = np.unique(antagonist)
    if (doses > 0).sum() == 1:
        estimate = fit_gaddum(agonist, antagonist, signal, level=level, label=entry.name)
        said = (
            f"{_status(estimate)} With one antagonist concentration the Schild slope cannot be tested, and is taken to "
            "be 1. Add concentrations."
        ).strip()
    else:
        found = fit_schild(agonist, antagonist, signal, level=level, label=entry.name)
        estimate, said = found.estimate, found.status
    at = _places(agonist)
    names = ("ec50", "hill_slope", "pa2", "schild_slope", "emax", "basal")
    best = {name: estimate[name].best for name in names if name in estimate}
    series = []
    for dose in doses.tolist():
        here = antagonist == dose
        label = f"with {format_concentration(dose)}" if dose else "agonist alone"
        series.append(Series(label, agonist[here], signal[here], at, receptor.gaddum(at, dose, **best)))
    return Analysis(
        "function", entry.name, f"pA2 {estimate['pa2'].text()}", said, estimate, "agonist", "concentration",
        entry.quantity, tuple(series), (),
        ("All agonist curves were fitted together with the Gaddum equation; an F-test asks whether the Schild slope is "
         "1, and only then is pA2 the logarithm of an affinity.",),
    ), [Source.of(path, reader="table")]  # fmt: skip


def check_there(document: StudyDocument) -> None:
    """Refuse a study without anything to analyse."""
    some = document.plate or document.table or document.binding or document.inactivation
    if not (some or document.washout or document.function):
        raise StudyError(
            "study.toml names nothing to analyse. Add a [[plate]] with file and layout, a [[table]] with its columns, "
            "or [[binding]], [[inactivation]], [[washout]], [[function]]."
        )
