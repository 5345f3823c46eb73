"""Kinetic plates of a study → analyses: dose–response of each compound and line, or its responders at one dose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmax.assays.calcium.plate_responses import responses
from halfmax.assays.calcium.plates import Artefact
from halfmax.estimate import Direction, Estimate, average_plates, combine, fit_all
from halfmax.report.document import Analysis, Plot, Series
from halfmax.response import Response
from halfmax.study.analyses.kinetic_reading import (
    KineticPlate,
    count_of,
    dose_groups,
    doses_of,
    in_percent,
    listed,
    methods_of,
    quantity_of,
    read_plates,
    trace_plot,
)
from halfmax.study.analyses.kinetic_screen import screen
from halfmax.study.analyses.table import Array, Found, places, status_of
from halfmax.study.entries import KineticPlateEntry

__all__ = ["experiments_of", "kinetic_plate"]

_NONE: Array = np.array([])
#: Doses from which on there is a curve.
_LEAST_DOSES = 3


@dataclass(frozen=True, eq=False)
class _One:
    """A compound and line on one plate, fitted."""

    plate: KineticPlate
    fit: Estimate

    @property
    def response(self) -> Response:
        """The wells of the fit."""
        assert self.fit.response is not None
        return self.fit.response

    @property
    def experiment(self) -> str:
        return self.plate.entry.experiment


def experiments_of(entries: Sequence[KineticPlateEntry]) -> list[tuple[KineticPlateEntry, ...]]:
    """Entries of one name together: experiments of one analysis, and their plates."""
    groups: dict[str, list[KineticPlateEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.name, []).append(entry)
    return [tuple(group) for group in groups.values()]


def kinetic_plate(
    entries: Sequence[KineticPlateEntry], folder: Path, level: float, simulated: bool
) -> Iterator[Found]:  # fmt: skip
    """One analysis for each compound and line with a dose series; then, for each plate, of all at one or two doses."""
    plates, sources = read_plates(entries, folder)
    doses = doses_of(plates)
    fits = [one for plate in plates for one in _fits(plate, level, simulated=simulated)]
    for (compound, line), count in doses.items():
        if count >= _LEAST_DOSES:
            mine = [one for one in fits if (one.response.compound, one.response.cell_line) == (compound, line)]
            yield Found(_curve(compound, line, mine, level), sources)
            sources = []
    few = {key for key, count in doses.items() if count < _LEAST_DOSES}
    for plate in plates:
        if few & doses_of([plate]).keys():
            yield Found(screen(plate, few, level, alone=len(plates) == 1), sources)
            sources = []


def _fits(plate: KineticPlate, level: float, *, simulated: bool) -> Iterator[_One]:
    """Curves of all compounds and lines of a plate; raw signals, wells left out with their reason."""
    entry = plate.entry
    if not doses_of([plate]):
        return
    reasons = dict.fromkeys(entry.exclude, entry.reason)
    found = [
        replace(one, excluded=np.array([reasons.get(well, "") for well in one.well], dtype=str))
        for one in responses(plate.traces, statistic=entry.quantity, window=plate.window, mode=entry.mode,
                             reference=[entry.reference] if entry.reference else [], simulated=simulated)
    ]  # fmt: skip
    direction: Direction = "falling" if entry.mode == "antagonist" else "rising"
    yield from (_One(plate, fit) for fit in fit_all(found, level=level, direction=direction))


def _curve(compound: str, line: str, ones: Sequence[_One], level: float) -> Analysis:
    """EC50 or IC50 of a compound in a line: of one plate, of its plates, or of experiments combined."""
    entry = ones[0].plate.entry
    who = f"{entry.name}: {compound}{f' in {line}' if line else ''}"
    estimate = _told(_together(ones, who, level), entry)
    name = "ic50" if entry.mode == "antagonist" else "ec50"
    sentences = [
        _sentence(status_of(estimate)),
        count_of([one.plate for one in ones], [one.plate.wells(compound, line) for one in ones]),
        _artefact_words([flag for one in ones for flag in one.plate.artefacts if flag.compound == compound]),
    ]
    return Analysis(
        "calcium", who, f"{name[:2].upper()}50 {estimate[name].text()}", " ".join(filter(None, sentences)), estimate,
        (_dose_plot(compound, ones), *_traces(compound, line, ones)), _notes(compound, line, ones),
        (*methods_of([one.plate for one in ones]), *_fit_methods(ones)),
    )  # fmt: skip


def _together(ones: Sequence[_One], label: str, level: float) -> Estimate:
    """The fit of a single plate; else plates averaged within experiments, and experiments combined in two stages."""
    if len(ones) == 1:
        return ones[0].fit
    names = [one.experiment for one in ones]
    fits: Sequence[Estimate] = [one.fit for one in ones]
    if len(set(names)) < len(names):
        fits = average_plates(fits, level=level, experiments=names)
    return fits[0] if len(fits) == 1 else combine(fits, level=level, label=label)


def _sentence(status: str) -> str:
    """A status as a sentence."""
    shown = status.removeprefix("ok, ")
    return f"{shown[:1].upper()}{shown[1:]}{'' if shown.endswith('.') or not shown else '.'}"


#: What the words of a fit on viability mean on a kinetic plate, by mode.
_WORDS = {
    "agonist": ((", or a kill control", ""), ("or a kill control", "")),
    "antagonist": (("a kill control", "wells without agonist"), ("EC50", "IC50")),
}
_SHARE = re.compile(r"[(;] ?[^(;]* leaves \S+ % of the signal at zero dose(?=\))")


def _told(estimate: Estimate, entry: KineticPlateEntry) -> Estimate:
    """An estimate in the words of its mode: IC50 for an antagonist."""

    def said(text: str) -> str:
        if entry.mode == "agonist":  # the vehicle's response is nothing, and no share of it is left
            text = _SHARE.sub("", text).replace(" )", "")
        for old, new in _WORDS[entry.mode]:
            text = text.replace(old, new)
        return text

    if entry.mode == "antagonist":
        named = (replace(one, name=re.sub(r"^ec50", "ic50", one.name)) for one in estimate.parameters)
        estimate = replace(estimate, parameters=tuple(named))
    notes = (said(note) for note in estimate.notes if "excluded by the study" not in note)  # named with the plate
    return replace(estimate, status=said(estimate.status), notes=tuple(notes))


def _artefact_words(flags: Sequence[Artefact]) -> str:
    """Wells in which both channels step alike."""
    if not flags:
        return ""
    wells = listed(f"{flag.well} ({flag.steps[0]:+.0f} % at 340, {flag.steps[1]:+.0f} % at 380)" for flag in flags)
    return f"Light of the compound itself, since both channels step the same way at the addition: {wells}."


def _dose_plot(compound: str, ones: Sequence[_One]) -> Plot:
    """Every well against its dose, with the fit of each plate; its band where there is one plate."""
    several = len({one.experiment for one in ones}) > 1
    series = []
    for one in ones:
        label = f"experiment {one.experiment}" if several else compound if len(ones) == 1 else f"plate {one.plate.name}"
        series.append(_fitted(one, label, band=len(ones) == 1))
    caption = "Every well is a point; lines: the fit"
    caption += ", with its pointwise interval." if len(ones) == 1 else " of each plate."
    return Plot(compound, "concentration", quantity_of(ones[0].plate), (*series, *_beside(ones)), caption)


def _shown(one: _One) -> Array:
    """Responses of the wells of a fit as they are drawn."""
    place = {well: k for k, well in enumerate(one.plate.traces.well.tolist())}
    return one.plate.shown[[place[well] for well in one.response.well.tolist()]]


def _fitted(one: _One, label: str, *, band: bool) -> Series:
    """Wells that take part, with vehicle at dose zero, and the fit."""
    response = one.response
    wells = (response.role != "kill") & (response.excluded == "")
    x, y = response.concentration[wells], _shown(one)[wells]
    at = places(x)
    line, low, high = _line(one, at)
    if band and line.size and np.isfinite(low).all():
        return Series(label, x, y, at, line, low, high)
    return Series(label, x, y, at[: line.size], line)


def _beside(ones: Sequence[_One]) -> Iterator[Series]:
    """Wells without agonist, and those that the study leaves out."""
    for label in ("without agonist", "left out"):
        x, y = [], []
        for one in ones:
            out = one.response.excluded != ""
            some = out if label == "left out" else (one.response.role == "kill") & ~out
            x.append(np.nan_to_num(one.response.concentration[some]))
            y.append(_shown(one)[some])
        if sum(part.size for part in x):
            yield Series(label, np.concatenate(x), np.concatenate(y), _NONE, _NONE)


def _line(one: _One, at: Array) -> tuple[Array, Array, Array]:
    """The fit at doses as it is shown, with its band; nothing where there is none."""
    if one.fit.status.startswith(("refused", "no curve")):
        return _NONE, _NONE, _NONE
    lines = one.fit.predict(at), *one.fit.band(at)
    if not one.plate.entry.reference:
        return lines
    plate, response = one.plate, one.response
    mine = plate.wells(response.compound, response.cell_line) & ~plate.out
    line, low, high = (in_percent(one, plate.values[mine], plate.shown[mine]) for one in lines)
    return line, low, high


def _traces(compound: str, line: str, ones: Sequence[_One]) -> Iterator[Plot]:
    """Mean traces of each plate."""
    for one in ones:
        entry = one.plate.entry
        added = compound if entry.mode == "agonist" else entry.agonist or "agonist"
        name = entry.experiment if len(ones) > 1 else ""
        yield trace_plot(one.plate, dose_groups(one.plate, compound, line), added, name)


def _notes(compound: str, line: str, ones: Sequence[_One]) -> tuple[str, ...]:
    """What is to be said of wells and plates; of which, where there are several."""
    notes: dict[str, list[str]] = {}
    for one in ones:
        plate, entry = one.plate, one.plate.entry
        said = list(plate.notes)
        if len(ones) > 1:
            who = f"{'IC50' if entry.mode == 'antagonist' else 'EC50'} {one.fit['ec50'].text()}"
            said = [f"{who}. {_sentence(_told(one.fit, entry).status.removeprefix('ok'))}".strip(), *said]
            said += [note for note in _told(one.fit, entry).notes if note not in said]
        for note in said:
            notes.setdefault(note, []).append(_name(one, ones))
    told = (note if len(who) == len(ones) else f"{', '.join(who)}: {note}" for note, who in notes.items())
    return (*told, *_common_error(compound, line, ones))


def _name(one: _One, ones: Sequence[_One]) -> str:
    experiment = f"Experiment {one.experiment}"
    same = sum(other.experiment == one.experiment for other in ones)
    return experiment if same == 1 else f"{experiment}, plate {one.plate.name}"


def _common_error(compound: str, line: str, ones: Sequence[_One]) -> Iterator[str]:
    """The error that percent of the reference take from its wells and the vehicle's."""
    plates = [one.plate for one in ones]
    error = np.concatenate([plate.error[plate.wells(compound, line) & ~plate.out] for plate in plates])
    if np.isfinite(error).any():
        yield (
            f"Percent of {plates[0].entry.reference} are for the eye, and share the error of its wells and of the "
            f"vehicle wells: up to {float(np.nanmax(error)):.2g} points (SE), in one direction for all wells of a "
            "plate. The fit is on raw signals."
        )


def _fit_methods(ones: Sequence[_One]) -> tuple[str, ...]:
    entry = ones[0].plate.entry
    controls = "wells with the agonist and solvent as dose zero" if entry.mode == "antagonist" else "vehicle at dose 0"
    said = [
        f"Kinetic plates: raw responses of all wells were fitted with a log-logistic curve, {controls}, so that the "
        "scatter of these wells is in the interval; nothing was normalised or subtracted before."
    ]
    if entry.mode == "antagonist":
        said.append("An IC50 depends on the agonist and its concentration, and is no affinity.")
    if len({one.experiment for one in ones}) > 1:
        said.append(
            "The experiment is the sample, never the well: constants of several experiments were joined as the mean of "
            "their logarithms with a t interval, in two stages."
        )
    return tuple(said)
