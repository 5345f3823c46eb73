"""Kinetics entries of a study → analyses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfmax.curves import inactivation as covalent
from halfmax.estimate import Parameter
from halfmax.estimate.inactivation import fit_endpoint
from halfmax.estimate.washout import fit_washout
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Found, columns_of, needed, places
from halfmax.study.entries import InactivationEntry, WashoutEntry
from halfmax.table import Source
from halfmax.units import concentration, concentration_factor, duration, format_duration

__all__ = ["inactivation", "washout"]

_SIX_HOURS = 6 * 3600.0


def inactivation(entry: InactivationEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """kinact and K_I of an entry."""
    path = folder / entry.file
    second = duration(1, unit=entry.time_unit)
    factors = {
        entry.concentration_column: concentration_factor(entry.unit), entry.preincubation_column: second,
        entry.incubation_column: second, entry.signal_column: 1.0,
    }  # fmt: skip
    columns, _ = columns_of(path, factors)
    needed(path, columns, without=entry.signal_column)
    dose, before, during, signal = columns.values()
    assay = covalent.EndpointAssay(
        concentration(entry.substrate), concentration(entry.enzyme), entry.kcat / second, concentration(entry.km),
        entry.volume_before, entry.volume_after,
    )  # fmt: skip
    found = fit_endpoint(dose, before, during, signal, assay=assay, level=level, label=entry.name)
    series, at = [], places(dose)
    kinact, half = found["kinact"].best, found["k_inact_half"].best
    for time, stop in sorted(set(zip(before.tolist(), during.tolist(), strict=True))):
        here = (before == time) & (during == stop)
        line = 100.0 * covalent.share_of_control(at, time, stop, assay=assay, kinact=kinact, k_inact_half=half)
        series.append(Series(f"{format_duration(time)} pre-incubation", dose[here], signal[here], at, line))
    answer = f"kinact / K_I {found['k_inact_ratio'].scaled(60e-6, '/µM/min').text()}"
    plot = Plot("inhibitor", "concentration", "% of control", tuple(series))
    analysis = Analysis(
        "kinetics", entry.name, answer, found.sentence, found.estimate, (plot,), (),
        ("kinact, K_I and their ratio were fitted to all pre-incubation times together, by integration of enzyme and "
         "substrate until it no longer changes with the step; the ratio has a profile of its own.",),
    )  # fmt: skip
    yield Found(analysis, [Source.of(path, reader="table")])


def washout(entry: WashoutEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """Sites lost of an entry."""
    path = folder / entry.file
    columns, texts = columns_of(
        path, {entry.time_column: duration(1, unit=entry.time_unit), entry.signal_column: 1.0}, (entry.arm_column,)
    )
    time, signal = columns[entry.time_column], columns[entry.signal_column]
    arms = [arm.casefold() for arm in texts[entry.arm_column]]
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
    plot = Plot("time after the wash", "time", "specific binding", tuple(series))
    analysis = Analysis(
        "kinetics", entry.name, f"sites lost {_percent(found.lost)}", found.sentence, estimate, (plot,), (),
        ("Wash-out: the share of sites lost is that after the longest recovery; the off-rate is that of a reversible "
         "ligand which held every site at the wash and would explain the data.",),
    )  # fmt: skip
    yield Found(analysis, [Source.of(path, reader="table")])


def _percent(share: Parameter) -> str:
    return share.scaled(100.0, "%").text()
