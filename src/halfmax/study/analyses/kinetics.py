"""Kinetics entries of a study → analyses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from halfmax.curves import curve
from halfmax.curves import inactivation as covalent
from halfmax.errors import FitError, RangeError, TableError
from halfmax.estimate import Estimate, Parameter
from halfmax.estimate.inactivation import (
    Inactivation,
    fit_binding_in_time,
    fit_competition_in_time,
    fit_endpoint,
    fit_inactivation,
    fit_kobs,
    fit_time_course,
)
from halfmax.estimate.washout import fit_washout
from halfmax.report.analysis import shown, words
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Array, Found, columns_of, needed, places, status_of
from halfmax.study.entries import InactivationEntry, TimeCourseEntry, WashoutEntry
from halfmax.table import Source
from halfmax.units import (
    concentration,
    concentration_factor,
    duration,
    format_concentration,
    format_duration,
    format_interval,
)

__all__ = ["inactivation", "time_course", "washout"]

_SIX_HOURS = 6 * 3600.0
#: Rates above this many per second are said by the second.
_FAST = 0.1


class _Constants(TypedDict):
    kinact: float
    k_inact_half: float


def inactivation(entry: InactivationEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """kinact and K_I of an entry."""
    path = folder / entry.file
    fitted = {"endpoint": _endpoint, "sites": _sites, "rates": _rates}[entry.analysis]
    with _errors_of(path):
        analysis = fitted(entry, path, level)
    yield Found(analysis, [Source.of(path, reader="table")])


def _endpoint(entry: InactivationEntry, path: Path, level: float) -> Analysis:
    second = duration(1, unit=entry.time_unit)
    columns = _columns(
        path, entry.signal_column, {
            entry.concentration_column: concentration_factor(entry.unit), entry.preincubation_column: second,
            entry.incubation_column: second, entry.signal_column: 1.0,
        },
    )  # fmt: skip
    dose, before, during, signal = columns.values()
    assay = covalent.EndpointAssay(
        concentration(entry.substrate), concentration(entry.enzyme), (entry.kcat or math.nan) / second,
        concentration(entry.km), entry.volume_before, entry.volume_after,
    )  # fmt: skip
    found = fit_endpoint(
        dose, before, during, signal, assay=assay, control=None if entry.fit_control else 100.0,
        reversible=entry.reversible, noise=entry.noise, level=level, label=entry.name,
    )  # fmt: skip
    best, at = _best(found.estimate), places(dose)
    constants, k6 = _constants(best), best.get("k6", 0.0)
    stops = np.unique(during)

    def label(time: float, stop: float) -> str:
        said = f"{format_duration(time)} pre-incubation"
        return said if stops.size == 1 else f"{said}, {format_duration(stop)} with substrate"

    def line(time: float, stop: float) -> Array:
        share = covalent.share_of_control(at, time, stop, assay=assay, **constants, k6=k6)
        return best.get("control", 100.0) * share

    series = _series((before, during), dose, signal, at, label, line)
    quantity = entry.quantity or ("product" if entry.fit_control else "% of control")
    method = (
        "kinact, K_I and their ratio were fitted to all pre-incubation times together, by integration of enzyme and "
        "substrate until it no longer changes with the step (Mader and Keillor 2024, ACS Med Chem Lett 15:731); the "
        "ratio has a profile of its own."
    )
    opens = "The bond opens again: kinact is k5, and k6 the rate at which it opens. Together they hold the ligand with "
    notes = (opens + "K_I / (1 + k5 / k6).",) if entry.reversible else ()
    return _inactivated(entry, found, Plot("inhibitor", "concentration", quantity, series), method, notes)


def _sites(entry: InactivationEntry, path: Path, level: float) -> Analysis:
    columns = _columns(
        path, entry.signal_column, {
            entry.concentration_column: concentration_factor(entry.unit),
            entry.time_column: duration(1, unit=entry.time_unit), entry.signal_column: 1.0,
        },
    )  # fmt: skip
    dose, time, signal = columns.values()
    _several(
        entry.concentration_column, dose, "kinact and K_I cannot be told apart with it. Add concentrations below and "
        'above K_I, or fit this course alone: a [[time_course]] with analysis = "single" and model = "dissociation".',
    )  # fmt: skip
    found = fit_inactivation(dose, time, signal, noise=entry.noise, level=level, label=entry.name)
    best, at = _best(found.estimate), _until(time)

    def line(one: float) -> Array:
        return best["start"] * (1 - covalent.inactivated_fraction(one, at, **_constants(best)))

    series = _series((dose,), time, signal, at, _dose("no ligand"), line)
    method = (
        "kinact, K_I and their ratio were fitted to what was left after all times at all concentrations together, free "
        "ligand in excess (Kitz and Wilson 1962, J Biol Chem 237:3245); the ratio has a profile of its own."
    )
    return _inactivated(entry, found, Plot("time with the ligand", "time", entry.quantity or "left", series), method)


def _rates(entry: InactivationEntry, path: Path, level: float) -> Analysis:
    columns = _columns(
        path, entry.signal_column, {
            entry.concentration_column: concentration_factor(entry.unit),
            entry.signal_column: 1 / duration(1, unit=entry.time_unit),
        },
    )  # fmt: skip
    dose, rates = columns.values()
    _several(
        entry.concentration_column, dose,
        "kinact and K_I cannot be told apart with it. Add rates at concentrations below and above K_I.",
    )  # fmt: skip
    found = fit_kobs(dose, rates, noise=entry.noise, level=level, label=entry.name)
    at = places(dose)
    line = covalent.kobs(at, **_constants(_best(found.estimate)))
    scale, unit = (1.0, "/s") if np.nanmax(rates) > _FAST else (60.0, "/min")
    series = Series("k_obs", dose, scale * rates, at, scale * line)
    plot = Plot("ligand", "concentration", f"k_obs ({unit})", (series,), "Every rate is a point; line: the fit.")
    method = (
        "kinact, K_I and their ratio were fitted to the rates k_obs (Kitz and Wilson 1962, J Biol Chem 237:3245); the "
        "ratio has a profile of its own."
    )
    return _inactivated(entry, found, plot, method)


def _inactivated(
    entry: InactivationEntry, found: Inactivation, plot: Plot, method: str, notes: tuple[str, ...] = ()
) -> Analysis:
    """Inactivation as an analysis: the ratio first, then what can be said of kinact and K_I."""
    said = found.sentence
    if said == "ok":
        names = [name for name in ("kinact", "k_inact_half", "k6") if name in found.estimate]
        said = f"{'Both' if len(names) == 2 else 'All'} constants are identified: {_values(found.estimate, *names)}."
    answer = _values(found.estimate, "k_inact_ratio")
    return Analysis("kinetics", entry.name, answer, said, found.estimate, (plot,), notes, (method,))


def time_course(entry: TimeCourseEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """Binding in time of an entry."""
    path = folder / entry.file
    fitted = {"radioligand": _radioligand, "competitor": _competitor, "single": _single}[entry.analysis]
    with _errors_of(path):
        analyses = fitted(entry, path, level)
    sources = [Source.of(path, reader="table")]
    for analysis in analyses:
        yield Found(analysis, sources)
        sources = []


def _radioligand(entry: TimeCourseEntry, path: Path, level: float) -> list[Analysis]:
    time, signal, ligand = _course_columns(entry, path)
    _several(
        entry.concentration_column, ligand, "k_on and k_off cannot be told apart with it. Add courses at other "
        'concentrations, or fit this one alone with analysis = "single".',
    )  # fmt: skip
    estimate = fit_binding_in_time(time, ligand, signal, level=level, label=entry.name)
    best, at = _best(estimate), _until(time)
    rates = {"radioligand_kon": best["kon"], "radioligand_koff": best["kon"] * best["kd"]}

    def line(one: float) -> Array:
        return best["bmax"] * covalent.competition_kinetics(at, radioligand=one, **rates)

    series = _series((ligand,), time, signal, at, _dose("no radioligand"), line)
    method = (
        "k_on, k_off and Kd of the radioligand were fitted to all courses of association together; each has a profile "
        "of its own. What was added was taken as free."
    )
    return [_bound(entry, estimate, "kd", series, method)]


def _competitor(entry: TimeCourseEntry, path: Path, level: float) -> list[Analysis]:
    own_on, own_off = entry.radioligand_rates
    time, signal, dose, *beside = _course_columns(entry, path)
    ligand = beside[0] if beside else np.full(time.size, concentration(entry.radioligand_concentration))
    known = {"radioligand_kon": own_on, "radioligand_koff": own_off}
    estimate = fit_competition_in_time(
        time, dose, signal, radioligand=ligand, **known, level=level, label=entry.name
    )  # fmt: skip
    best, at = _best(estimate), _until(time)
    rates = known | {"kon": best["kon"], "koff": best["kon"] * best["ki"]}
    several = np.unique(ligand).size > 1

    def label(one: float, own: float) -> str:
        said = _dose("no competitor")(one)
        return f"{said}, {format_concentration(own)} radioligand" if several else said

    def line(one: float, own: float) -> Array:
        return best["bmax"] * covalent.competition_kinetics(at, radioligand=own, competitor=one, **rates)

    series = _series((dose, ligand), time, signal, at, label, line)
    method = (
        "k_on, k_off and Ki of the competitor were fitted with the equation of Motulsky and Mahan (1984, Mol Pharmacol "
        "25:1) to all courses together; each has a profile of its own. What was added was taken as free."
    )
    constants = f"k_on {own_on * 60e-6:.3g} /µM/min and k_off {own_off * 60:.3g} /min"
    note = f"{constants} of the radioligand were taken as known: their own uncertainty is not in the intervals."
    return [_bound(entry, estimate, "ki", series, method, (note,))]


def _bound(
    entry: TimeCourseEntry, estimate: Estimate, affinity: str, series: tuple[Series, ...], method: str,
    notes: tuple[str, ...] = (),
) -> Analysis:  # fmt: skip
    """k_on and k_off of a ligand as an analysis."""
    said = status_of(estimate)
    if not said:
        said = f"All three are identified: {words(affinity)} = k_off / k_on is {shown(estimate[affinity])}."
    said = f"{said} {_half_life(estimate['koff'])}".strip()
    plot = Plot("time", "time", entry.quantity, series)
    answer = _values(estimate, "kon", "koff")
    return Analysis("kinetics", entry.name, answer, said, estimate, (plot,), notes, (method,))


def _single(entry: TimeCourseEntry, path: Path, level: float) -> list[Analysis]:
    time, signal, *beside = _course_columns(entry, path)
    dose = beside[0] if beside else np.full(time.size, math.nan)
    titles = {one: f"{entry.name}, {format_concentration(one)}" for one in np.unique(beside)} if beside else {}
    result = []
    for one in np.unique(dose):
        here = dose == one if beside else np.full(time.size, True)
        result.append(_alone(entry, titles.get(one, entry.name), time[here], signal[here], level))
    return result


def _alone(entry: TimeCourseEntry, title: str, time: Array, signal: Array, level: float) -> Analysis:
    """One course of binding or unbinding as an analysis."""
    estimate = fit_time_course(time, signal, model=entry.model, level=level, label=title)
    at, name = _until(time), "kobs" if entry.model == "association" else "koff"
    status = status_of(estimate)
    said = status
    if name == "koff":
        said = f"{status} {_half_life(estimate[name])}".strip()
    elif not status:
        said = "One concentration gives k_obs = k_on × concentration + k_off; several tell the two apart."
    line = estimate.predict(at) if name in estimate else np.full(at.size, math.nan)
    plot = Plot("time", "time", entry.quantity, (Series(entry.model, time, signal, at, line),))
    method = f"{curve(entry.model).title} was fitted to each course alone: {words(name)}, start and plateau."
    return Analysis("kinetics", title, _values(estimate, name), said, estimate, (plot,), (), (method,))


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


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Errors of a fit say which file they are about."""
    try:
        yield
    except (RangeError, FitError) as error:
        raise type(error)(f"{path.name}: {error}") from error


def _course_columns(entry: TimeCourseEntry, path: Path) -> list[Array]:
    """Times, signals, and the concentrations that an entry names."""
    factors = {entry.time_column: duration(1, unit=entry.time_unit), entry.signal_column: 1.0}
    named = [name for name in (entry.concentration_column, entry.radioligand_column) if name]
    factors |= {name: concentration_factor(entry.unit) for name in named}
    return list(_columns(path, entry.signal_column, factors).values())


def _columns(path: Path, signal: str, factors: Mapping[str, float]) -> dict[str, Array]:
    """Columns of a table in SI; concentrations and times are all there, and none is below zero."""
    columns, _ = columns_of(path, factors)
    needed(path, columns, without=signal)
    for name, column in columns.items():
        below = np.flatnonzero(column < 0)
        if name != signal and below.size:
            raise TableError(
                f"{path.name}: {name} must be at least 0, found {column[below[0]] / factors[name]:g} in data row "
                f"{below[0] + 1}. Correct it."
            )
    return columns


def _several(name: str, values: Array, otherwise: str) -> None:
    """Refuse a single concentration where a second one is what tells the constants apart."""
    above = np.unique(values[values > 0])
    if above.size == 1:
        raise FitError(f"{name} holds one concentration above 0 ({format_concentration(above[0])}). {otherwise}")


def _series(
    conditions: Sequence[Array], x: Array, y: Array, at: Array, label: Callable[..., str], line: Callable[..., Array]
) -> tuple[Series, ...]:
    """One series for each combination of conditions, of which label and line are functions."""
    result = []
    for one in np.unique(np.column_stack(conditions), axis=0):
        here = np.logical_and.reduce([column == value for column, value in zip(conditions, one, strict=True)])
        values = [float(value) for value in one]
        result.append(Series(label(*values), x[here], y[here], at, line(*values)))
    return tuple(result)


def _dose(none: str) -> Callable[[float], str]:
    """Label of a concentration, with words for none."""
    return lambda value: format_concentration(value) if value else none


def _until(time: Array) -> Array:
    """Times of a smooth line."""
    return np.linspace(0.0, float(time.max()), 121)


def _best(estimate: Estimate) -> dict[str, float]:
    """Optimum of each parameter, for the lines of a figure."""
    return {parameter.name: parameter.best for parameter in estimate.parameters}


def _constants(best: Mapping[str, float]) -> _Constants:
    """kinact and K_I of one fit: that of K_I alone may stand elsewhere on a ridge."""
    return {"kinact": best["kinact"], "k_inact_half": best["kinact"] / best["k_inact_ratio"]}


def _values(estimate: Estimate, *names: str) -> str:
    """Parameters as a person says them; one that was not found says so."""
    return ", ".join(f"{words(n)} {shown(estimate[n]) if n in estimate else 'not identified'}" for n in names)


def _half_life(koff: Parameter) -> str:
    """Half-life of the complex, in a sentence; nothing where the off-rate is open."""
    if koff.operator != "=":
        return ""
    scale, unit = next((s, u) for s, u in ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if koff.value * s < 1 or s == 1)
    middle, low, high = (math.log(2) / rate / scale for rate in (koff.value, koff.high, koff.low))
    return f"Half of the complex is gone after {format_interval(middle, low, high, unit=unit)}."


def _percent(share: Parameter) -> str:
    return share.scaled(100.0, "%").text()
