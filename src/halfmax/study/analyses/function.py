"""Receptor theory: function entries of a study → analyses."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import receptor
from halfmax.errors import FitError, TableError
from halfmax.estimate import Estimate, Parameter, fit_together
from halfmax.estimate.receptor import (
    Options,
    ReceptorFamily,
    Schild,
    agonist_family,
    fit_gaddum,
    fit_schild,
    furchgott_family,
    gaddum_family,
    irreversible_family,
    together_family,
)
from halfmax.report.analysis import shown, words
from halfmax.report.document import Analysis, Plot, Series
from halfmax.response import Response
from halfmax.study.analyses.table import Array, Found, columns_of, needed, places, status_of
from halfmax.study.entries import FunctionEntry
from halfmax.table import Source
from halfmax.units import concentration_factor, duration, format_concentration, format_duration

__all__ = ["function"]

_NONE: Array = np.array([])
#: The line of a Schild plot goes on to pA2 where that is at most so many decades below the doses.
_REACH = 1.5
#: What would settle a parameter that is open, by the beginning of its name.
_ADVICE = {
    "tau_": "Add curves of the agonists that are as good as the full one after partial inactivation of the receptors.",
    "tau": "Add a treatment that lowers the greatest response by a third to two thirds.",
    "kinact": "Add doses of the irreversible ligand around and above K_I, for shorter times.",
    "residual_efficacy": "Add higher doses of the irreversible ligand, or longer times.",
    "bound_efficacy": "Add readings soon after the addition, and late ones.",
    "q_": "Add wells around the middle of that curve.",
    "pa2": "Add higher concentrations of the antagonist.",
    "em": "Add higher concentrations of the agonist.",
}


class _Wells(NamedTuple):
    """Columns of an entry: the agonist in M, what was read, and what else was set."""

    agonist: Array
    signal: Array
    numbers: dict[str, Array]
    texts: dict[str, NDArray[np.str_]]


class _Group(NamedTuple):
    """Wells of one condition, and what the legend calls it."""

    label: str
    here: NDArray[np.bool_]


def function(entry: FunctionEntry, folder: Path, level: float, _simulated: bool) -> Iterator[Found]:
    """What the curves of an entry say of affinity and efficacy."""
    path = folder / entry.file
    analysed = {
        "antagonist": _antagonist, "agonists": _agonists, "inactivation": _inactivation,
        "pretreatment": _pretreatment, "together": _together,
    }[entry.analysis]  # fmt: skip
    options: Options = {"level": level, "label": entry.name, "fixed": entry.held}
    yield Found(analysed(entry, _wells(entry, path), options), [Source.of(path, reader="table")])


def _wells(entry: FunctionEntry, path: Path) -> _Wells:
    """Columns that the entry names, in SI; only what was read may be missing."""
    factor = concentration_factor(entry.unit)
    doses = [name for name in (entry.agonist_column, entry.antagonist_column, entry.irreversible_column) if name]
    factors = dict.fromkeys(doses, factor) | {entry.signal_column: 1.0}
    if entry.time_column:
        factors[entry.time_column] = duration(1, unit=entry.time_unit)
    named = tuple(name for name in (entry.ligand_column, entry.treatment_column) if name)
    numbers, texts = columns_of(path, factors, named)
    needed(path, numbers, without=entry.signal_column)
    agonist = numbers[entry.agonist_column]
    for name, cells in texts.items():
        must = agonist > 0 if name == entry.ligand_column else np.ones(agonist.size, dtype=bool)
        empty = [row for row, cell in enumerate(cells, start=1) if not cell and must[row - 1]]
        if empty:
            raise TableError(f"{path.name}: {name} is empty in data row {empty[0]}. Every well needs it.")
    columns = {name: np.array(cells, dtype=str) for name, cells in texts.items()}
    return _Wells(agonist, numbers[entry.signal_column], numbers, columns)


def _antagonist(entry: FunctionEntry, wells: _Wells, options: Options) -> Analysis:
    """pA2, and the Schild plot where there are agonist curves beside several antagonist concentrations."""
    antagonist = wells.numbers[str(entry.antagonist_column)]
    family = gaddum_family(wells.agonist, antagonist, wells.signal, label=entry.name)
    single = np.unique(antagonist[antagonist > 0]).size == 1
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
    if single or "schild_slope" in entry.held:
        estimate = _competitive(entry, wells, antagonist, options)
        answer = f"pA2 {estimate['pa2'].text()}, K_B {estimate['kb'].text()}"
        said = (
            "With one antagonist concentration the Schild slope cannot be tested, and is taken to be 1. Add "
            "concentrations." if single else "The Schild slope is held at 1, and was not tested."
        )  # fmt: skip
    else:
        found = fit_schild(wells.agonist, antagonist, wells.signal, **options)
        estimate, said = found.estimate, _schild_words(found)
        answer = f"pA2 {estimate['pa2'].text()}, Schild slope {estimate['schild_slope'].text()}"
        plots, notes = _schild_plot(entry, found, wells, antagonist)
    estimate = _told(estimate, ())
    return Analysis(
        "function", entry.name, answer, f"{status_of(estimate)} {said}".strip(), estimate,
        (*_gaddum_plots(entry, family, estimate, wells, antagonist), *plots), notes,
        ("All agonist curves were fitted together with the Gaddum equation (Arunlakshana and Schild 1959, "
         "doi:10.1111/j.1476-5381.1959.tb00928.x); an F-test asks whether the Schild slope is 1, and only then is pA2 "
         "the logarithm of an affinity.",),
    )  # fmt: skip


def _competitive(entry: FunctionEntry, wells: _Wells, antagonist: Array, options: Options) -> Estimate:
    """Fit with a Schild slope of 1, the only value that it may be held at."""
    held = dict(entry.held)
    slope = held.pop("schild_slope", 1.0)
    if slope != 1.0:
        raise FitError(f"{entry.name}: the Schild slope can be held at 1 only, found {slope:g}. Correct hold.")
    asked: Options = {**options, "fixed": held}
    return fit_gaddum(wells.agonist, antagonist, wells.signal, **asked)


def _schild_words(found: Schild) -> str:
    pa2, kb = found.competitive["pa2"].text(), found.competitive["kb"].text()
    return (
        f"{found.status} With the slope held at 1, pA2 is {pa2} and K_B {kb}: to be quoted only where a slope of 1 was "
        "settled before the data were seen."
    )


def _gaddum_plots(
    entry: FunctionEntry, family: ReceptorFamily, estimate: Estimate, wells: _Wells, antagonist: Array
) -> Iterator[Plot]:
    """Agonist curves, and inhibition curves where an antagonist was titrated against one agonist concentration."""
    doses = np.unique(antagonist).tolist()
    groups = [_Group(_beside("with", entry, dose, "antagonist"), antagonist == dose) for dose in doses]
    curves = [one for one in groups if np.unique(wells.agonist[one.here]).size > 1]
    drawn = np.logical_or.reduce([one.here for one in curves])
    yield Plot(
        _agonist(entry), "concentration", entry.quantity, _series(family, estimate, wells, curves, _lines_of(wells))
    )
    if not drawn.all():
        levels = np.unique(wells.agonist[~drawn]).tolist()
        others = [_Group(f"with {format_concentration(level)} {_agonist(entry)}", wells.agonist == level)
                  for level in levels]  # fmt: skip
        across = _lines_of(wells._replace(agonist=antagonist), "antagonist")
        yield Plot(
            entry.ligand or "antagonist", "concentration", entry.quantity,
            _series(family, estimate, wells._replace(agonist=antagonist), others, across),
        )  # fmt: skip


def _schild_plot(
    entry: FunctionEntry, found: Schild, wells: _Wells, antagonist: Array
) -> tuple[tuple[Plot, ...], tuple[str, ...]]:
    """Dose ratios from an EC50 of each curve, beside the line that was fitted to all curves at once."""
    try:
        doses, ratio = _dose_ratios(wells, antagonist, found.estimate.level)
    except FitError as error:
        return (), (f"No Schild plot, because the agonist curves have no EC50s of their own. {error}",)
    there = ratio > 1.0
    lost = ", ".join(format_concentration(dose) for dose in doses[~there].tolist())
    notes = (f"Not in the Schild plot, because the dose ratio is open or at most 1: {lost}.",) if lost else ()
    free, unity = found.free, found.competitive
    low = max(min(10.0 ** -free["pa2"].best, doses[0]), doses[0] / 10.0**_REACH)
    at = np.geomspace(low / 1.3, doses[-1] * 1.3, 61)
    lines = [one["schild_slope"].best * (np.log10(at) + one["pa2"].best) for one in (free, unity)]
    series = (
        Series("dose ratios, an EC50 for each curve", doses[there], np.log10(ratio[there] - 1.0), _NONE, _NONE),
        Series(f"fit to all curves, slope {free['schild_slope'].best:.2f}", _NONE, _NONE, at, lines[0]),
        Series("the same, slope held at 1", _NONE, _NONE, at, lines[1]),
    )
    caption = (
        "Schild plot, for the eye: pA2 was fitted to all curves at once, not to these points. The line meets 0 at pA2. "
        "The EC50s behind the dose ratios share plateaus and Hill slope."
    )
    title = entry.ligand or "antagonist"
    return (Plot(title, "concentration", "log10(dose ratio − 1)", series, caption),), notes


def _dose_ratios(wells: _Wells, antagonist: Array, level: float) -> tuple[Array, Array]:
    """Antagonist concentrations and the dose ratios beside them, NaN where an EC50 is open."""
    doses = np.unique(antagonist)
    together = fit_together(
        [Response.of(wells.agonist[antagonist == dose], wells.signal[antagonist == dose],
                     compound=f"agonist with {format_concentration(dose, digits=6)}") for dose in doses.tolist()],
        "hill4", shared=("top", "bottom", "hill_slope"), level=level,
    )  # fmt: skip
    ec50 = np.array([p.best if p.operator == "=" else math.nan for p in (one["ec50"] for one in together.estimates)])
    return doses[1:], ec50[1:] / ec50[0]


def _agonists(entry: FunctionEntry, wells: _Wells, options: Options) -> Analysis:
    """Efficacy and affinity of partial agonists beside a full one."""
    full, ligands = str(entry.full), wells.texts[str(entry.ligand_column)]
    family = agonist_family(
        wells.agonist, ligands.tolist(), wells.signal, full=full, hill_form=entry.hill_form, label=entry.name
    )
    estimate = family.fit(wells.signal, **options)
    partial = [name for name in dict.fromkeys(ligands[wells.agonist > 0].tolist()) if name != full]
    groups = [_Group(name, ligands == name) for name in (full, *partial)]
    alone = ~np.logical_or.reduce([one.here for one in groups])
    series = _series(family, estimate, wells, groups, _lines_of(wells))
    if alone.any():
        series += (Series("no agonist", wells.agonist[alone], wells.signal[alone], _NONE, _NONE),)
    said = [_of_partial(estimate, name, full) for name in partial]
    said.append(f"{full} is taken to be full. If it is not, all τ and K_A are too large.")
    form = "the operational model in its Hill form" if entry.hill_form else "the operational model of agonism"
    return Analysis(
        "function", entry.name, "; ".join(_efficacy(estimate, name) for name in partial), " ".join(said),
        _told(estimate, (full, *partial)), (Plot(_agonist(entry), "concentration", entry.quantity, series),), (),
        (f"Curves of all agonists were fitted together with {form} (Black and Leff 1983, doi:10.1098/rspb.1983.0093): "
         "one greatest response, one basal, one slope.",),
    )  # fmt: skip


def _efficacy(estimate: Estimate, name: str) -> str:
    """The transducer ratio of a partial agonist, and how far up it gets."""
    tau = estimate[f"tau_{_key(name)}"]
    least = "at least " if tau.operator == ">" else "at most " if tau.operator == "<" else ""
    if tau.operator == "?":
        return f"τ of {name} not identified"
    return f"τ of {name} {tau.text()}, reaches {least}{_share(estimate, tau.value):.0f} % of the greatest response"


def _of_partial(estimate: Estimate, name: str, full: str) -> str:
    key = _key(name)
    if estimate[f"tau_{key}"].operator in ">?":
        return (
            f"{name} cannot be told from a full agonist: τ and K_A go up together without an end, and log(τ/K_A) is "
            f"what its curve gives. A curve of {name} after partial inactivation of the receptors would tell."
        )
    affinity = estimate[f"ka_{key}"].text()
    return f"K_A of {name} is {affinity}; it and τ are told apart, because {name} stays below {full}."


def _inactivation(entry: FunctionEntry, wells: _Wells, options: Options) -> Analysis:
    """Affinity and efficacy of an agonist, from curves after some of the receptors were taken."""
    control, treatments = str(entry.control), wells.texts[str(entry.treatment_column)]
    family = furchgott_family(wells.agonist, treatments.tolist(), wells.signal, control=control, label=entry.name)
    estimate = family.fit(wells.signal, **options)
    others = [name for name in dict.fromkeys(treatments.tolist()) if name != control]
    groups = [_Group(control, treatments == control), *(_Group(f"after {one}", treatments == one) for one in others)]
    series = _series(family, estimate, wells, groups, _lines_of(wells))
    left = ", ".join(f"{_percent(estimate[f'q_{_key(name)}'])} after {name}" for name in others)
    said = [f"Receptors left: {left}."]
    said.append(_reserve(estimate, _agonist(entry), "more or fewer of the receptors inactivated"))
    return Analysis(
        "function", entry.name, _affinity(estimate, _agonist(entry)), " ".join(said), _told(estimate, others),
        (Plot(_agonist(entry), "concentration", entry.quantity, series),), (),
        ("Curves before and after inactivation were fitted together with the operational model, τ times the fraction q "
         "of receptors left (Black, Leff, Shankley and Wood 1985, doi:10.1111/j.1476-5381.1985.tb12941.x); no "
         "double-reciprocal line was drawn.",),
    )  # fmt: skip


def _affinity(estimate: Estimate, agonist: str) -> str:
    """tau and KA of an agonist, or their ratio where that is all."""
    if "transduction" in estimate and "=" not in (estimate["tau"].operator, estimate["ka"].operator):
        return f"{agonist}: log(τ/K_A) {shown(estimate['transduction'])}"
    return f"{agonist}: K_A {estimate['ka'].text()}, τ {estimate['tau'].text()}"


def _reserve(estimate: Estimate, agonist: str, remedy: str) -> str:
    """Whether K_A is told, and how much of the receptors half of the effect takes."""
    best = _best(estimate)
    if "=" not in (estimate["tau"].operator, estimate["ka"].operator):
        return f"τ and K_A are not told apart; their ratio is. A curve with {remedy} would tell."
    ec50, _ = receptor.operational_shape(
        tau=best["tau"], ka=best["ka"], transducer_slope=best.get("transducer_slope", 1.0)
    )
    occupied = 100.0 * float(ec50) / (float(ec50) + best["ka"])
    return (
        f"Half of the greatest effect of {agonist}, at {format_concentration(float(ec50))}, takes {occupied:.2g} % of "
        "all receptors."
    )


def _pretreatment(entry: FunctionEntry, wells: _Wells, options: Options) -> Analysis:
    """What an irreversible ligand leaves behind after a wash."""
    dose, time = wells.numbers[str(entry.irreversible_column)], _times(entry, wells)
    family = irreversible_family(wells.agonist, dose, wells.signal, time=time, label=entry.name)
    estimate = family.fit(wells.signal, **options)
    ligand, left = entry.ligand or "the irreversible ligand", estimate["residual_efficacy"]
    said = [_floor_words(estimate, ligand, _agonist(entry))]
    if time is None:
        fractions = [p for p in estimate.parameters if p.name.startswith("q_")]
        said.append("Receptors left: " + ", ".join(f"{_percent(p)} {words(p.name)[2:]}" for p in fractions) + ".")
    else:
        said.append(_kinetics_words(estimate))
    said.append(_reserve(estimate, _agonist(entry), "another dose, which lowers but does not abolish the response,"))
    floor = _floor(estimate) if left.operator == "=" else None
    plots = _by_time(entry, family, estimate, wells, (dose, time), floor)
    answer = f"residual efficacy of {ligand} {left.text()}"
    if left.operator in "=<":
        most = "at most " if left.operator == "<" else ""
        answer += f", a floor of {most}{_percent_floor(estimate)} % of the greatest response"
    kinetics = "" if time is None else ", q following from kinact and K_I"
    return Analysis(
        "function", entry.name, answer, " ".join(said), _told(estimate, ()), plots, (),
        ("Agonist curves after all pretreatments were fitted together with the operational model. The stimulus is that "
         f"of the fraction q of receptors left and of the residual efficacy of those that hold the ligand{kinetics}.",),
    )  # fmt: skip


def _floor_words(estimate: Estimate, ligand: str, agonist: str) -> str:
    """What receptors that hold the irreversible ligand still do."""
    left = estimate["residual_efficacy"]
    if left.operator == "<":
        return (
            f"Nothing tells {ligand} from an irreversible antagonist: receptors that hold it keep less than "
            f"{100 * left.high:.2g} % of the efficacy of {agonist}."
        )
    if left.operator != "=":
        return f"What receptors that hold {ligand} still do is not told."
    return (
        f"Receptors that hold {ligand} keep {_percent(left)} of the efficacy of {agonist}. Once all hold it, the "
        f"response stays at {_percent_floor(estimate)} % of the greatest, and no dose of {ligand} lowers it further."
    )


def _kinetics_words(estimate: Estimate) -> str:
    """Whether kinact and K_I are told apart."""
    if "inactivation_efficiency" not in estimate:
        return f"kinact is {shown(estimate['kinact'])}, K_I {shown(estimate['k_inact_half'])}."
    ratio = shown(estimate["inactivation_efficiency"])
    apart = estimate["kinact"].operator == estimate["k_inact_half"].operator == "="
    verdict = "; kinact and K_I are both identified." if apart else "; kinact and K_I are not told apart."
    return f"kinact / K_I is {ratio}{verdict}"


def _together(entry: FunctionEntry, wells: _Wells, options: Options) -> Analysis:
    """What an irreversible ligand does beside an agonist, while it is held reversibly and afterwards."""
    dose, time = wells.numbers[str(entry.irreversible_column)], _times(entry, wells)
    if time is None:
        raise FitError(f'{entry.name}: no time from the addition to the reading. Add time = "60 min".')
    family = together_family(wells.agonist, dose, wells.signal, time=time, label=entry.name)
    estimate = family.fit(wells.signal, **options)
    ligand = entry.ligand or "the irreversible ligand"
    bound, left = estimate["bound_efficacy"], estimate["residual_efficacy"]
    said = [
        f"Efficacies are shares of that of {_agonist(entry)}: bound, while {ligand} is held reversibly; residual, once "
        f"it is held covalently. {_kinetics_words(estimate)}"
    ]
    if np.unique(time).size == 1 and not {"bound_efficacy", "residual_efficacy"} & set(entry.held):
        said.append("Read at one time, the two are rarely told apart: read at several, or hold one.")
    said.append(_reserve(estimate, _agonist(entry), "more doses of the agonist"))
    return Analysis(
        "function", entry.name,
        f"efficacy of {ligand}: bound {bound.text()}, residual {left.text()}", " ".join(said), _told(estimate, ()),
        _by_time(entry, family, estimate, wells, (dose, time), None), (),
        ("Agonist and irreversible ligand were added together: both compete for the receptors that are left, and all "
         "curves and times were fitted at once with the operational model.",),
    )  # fmt: skip


def _by_time(
    entry: FunctionEntry, family: ReceptorFamily, estimate: Estimate, wells: _Wells,
    doses: tuple[Array, Array | None], floor: float | None,
) -> tuple[Plot, ...]:  # fmt: skip
    """Agonist curves of every dose of an irreversible ligand: a plot for each time."""
    dose, time = doses
    how, plots = "after" if entry.analysis == "pretreatment" else "with", []
    moments = np.unique(time[dose > 0]).tolist() if time is not None else [math.nan]
    for moment in moments:
        now = np.ones(dose.size, dtype=bool) if time is None else time == moment
        groups = [_Group(_beside(how, entry, 0.0, "ligand"), _controls(dose, now))]
        groups += [
            _Group(_beside(how, entry, level, "ligand"), (dose == level) & now)
            for level in np.unique(dose[(dose > 0) & now]).tolist()
        ]
        series = _series(family, estimate, wells, groups, _lines_of(wells))
        if floor is not None:
            at = places(wells.agonist)
            series += (Series("floor: all receptors held", _NONE, _NONE, at, np.full(at.size, floor)),)
        when = "pretreated for" if how == "after" else "read after"
        title = f"{_agonist(entry)}, {when} {format_duration(moment)}" if len(moments) > 1 else _agonist(entry)
        plots.append(Plot(title, "concentration", entry.quantity, series))
    return tuple(plots)


def _controls(dose: Array, now: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Wells without the irreversible ligand at a time; all of them where that time has none."""
    without: NDArray[np.bool_] = dose == 0
    return without & now if (without & now).any() else without


def _times(entry: FunctionEntry, wells: _Wells) -> Array | None:
    if entry.time_column:
        return wells.numbers[entry.time_column]
    return np.full(wells.agonist.size, duration(entry.time)) if entry.time else None


class _Lines(NamedTuple):
    """Where lines are drawn, and the condition that runs along the abscissa."""

    at: Array
    along: str


def _lines_of(wells: _Wells, along: str = "concentration") -> _Lines:
    return _Lines(places(wells.agonist), along)


def _series(
    family: ReceptorFamily, estimate: Estimate, wells: _Wells, groups: Sequence[_Group], lines: _Lines
) -> tuple[Series, ...]:
    """Wells of each condition, and the fitted surface at that condition."""
    best, series = _best(estimate), []
    wanted = {name: best[name] for name in family.surface.parameters}
    for label, here in groups:
        conditions = {name: np.full(lines.at.size, column[here][0]) for name, column in family.conditions.items()}
        conditions[lines.along] = lines.at
        line = np.asarray(family.surface.function(**conditions, **wanted), dtype=float)
        series.append(Series(label, wells.agonist[here], wells.signal[here], lines.at, line))
    return tuple(series)


def _best(estimate: Estimate) -> dict[str, float]:
    """Parameters of the optimum. Of a pair that goes up together, the second follows from their ratio.

    Each of the two was found in a fit of its own, and along a ridge these end at different places.
    """
    best = {one.name: one.best for one in estimate.parameters}
    for name in [name for name in best if name.startswith("transduction")]:
        tail = name.removeprefix("transduction")
        if f"tau{tail}" in best:
            best[f"ka{tail}"] = best[f"tau{tail}"] ** (1.0 / best.get("hill_slope", 1.0)) / best[name]
    if "inactivation_efficiency" in best:
        best["k_inact_half"] = best["kinact"] / best["inactivation_efficiency"]
    return best


def _told(estimate: Estimate, conditions: Sequence[str]) -> Estimate:
    """With a status that calls by its name what is open, and ends with the experiment that would settle it."""
    opened = [one for one in estimate.parameters if one.operator != "="]
    if not opened or not estimate.status.startswith(("ok", "open")):
        return estimate
    ends = {">": "no upper end", "<": "no lower end", "?": "no end"}
    said = [
        f"{', '.join(words(one.name, conditions) for one in opened if one.operator == operator)} with {end}"
        for operator, end in ends.items()
        if any(one.operator == operator for one in opened)
    ]
    advice = [text for start, text in _ADVICE.items() if any(_is_of(one.name, start) for one in opened)]
    remedy = " ".join(advice) or "Add points, or hold a parameter."
    return replace(estimate, status=f"open: {'; '.join(said)}. {remedy}")


def _is_of(name: str, start: str) -> bool:
    return name.startswith(start) if start.endswith("_") else name == start


def _share(estimate: Estimate, tau: float) -> float:
    """Percent of the greatest response that an agonist of this tau reaches."""
    n = _best(estimate).get("transducer_slope", 1.0)
    return 100.0 * float(receptor.effect(1.0, tau=tau, transducer_slope=n))


def _floor(estimate: Estimate) -> float:
    """Response when all receptors hold the irreversible ligand."""
    best = _best(estimate)
    names = ("tau", "em", "basal", "transducer_slope")
    return float(receptor.effect(best["residual_efficacy"], **{name: best[name] for name in names}))


def _percent_floor(estimate: Estimate) -> str:
    """The floor, or its greatest height, as percent of the greatest response."""
    left = estimate["residual_efficacy"]
    efficacy = left.best if left.operator == "=" else left.high
    return f"{_share(estimate, efficacy * _best(estimate)['tau']):.2g}"


def _percent(share: Parameter) -> str:
    return share.scaled(100.0, "%").text()


def _agonist(entry: FunctionEntry) -> str:
    return entry.agonist or "agonist"


def _beside(how: str, entry: FunctionEntry, dose: float, what: str) -> str:
    """A condition in words: ``after 300 nM CM572``."""
    if dose == 0:
        return f"no {entry.ligand or what}"
    return f"{how} {format_concentration(dose)} {entry.ligand}".strip()


def _key(name: str) -> str:
    """A name as it stands in the names of parameters."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
