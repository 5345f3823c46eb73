"""Compounds of a kinetic plate at one or two doses: which wells respond, by compound and line; no EC50."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from halfmax.assays.calcium.plate_responses import LineSummary, summarise_lines
from halfmax.errors import StudyError
from halfmax.estimate import Estimate, Parameter
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.kinetic_reading import KineticPlate, Mask, count_of, methods_of, quantity_of, trace_plot
from halfmax.study.analyses.table import Array
from halfmax.units import format_concentration

__all__ = ["screen"]

_NONE: Array = np.array([])
#: Compounds that an answer names.
_MOST_ANSWERS = 3
#: Ratio of the responses to two compounds beyond which they are drawn on a logarithm.
_WIDE = 10.0


class _Group(NamedTuple):
    """Wells of a compound at a dose in a line, and what figure and table call them."""

    compound: str
    dose: float
    line: str
    wells: Mask

    @property
    def stimulus(self) -> str:
        """Compound and dose."""
        return f"{self.compound} {format_concentration(self.dose)}" if self.compound else "vehicle"

    @property
    def label(self) -> str:
        """Compound, dose and line."""
        return f"{self.stimulus}, {self.line}" if self.line else self.stimulus


def screen(plate: KineticPlate, few: Collection[tuple[str, str]], level: float, *, alone: bool) -> Analysis:
    """Responders of all compounds of a plate that stand at too few doses for a curve.

    Parameters
    ----------
    plate : KineticPlate
    few : collection of (compound, line)
        Those without a curve; references come with them.
    level : float
    alone : bool
        Whether this is the only plate of its analysis, so that its title need not name it.
    """
    entry = plate.entry
    if plate.called is None:
        raise StudyError(
            f"{entry.where}: {_why(plate)} Without a dose series, who responds is all that there is to say."
        )
    groups = [one for one in _groups(plate) if (one.compound, one.line) in few or one.compound == entry.reference]
    vehicle = _vehicle(plate)
    there = {"", *(one.compound for one in groups)}
    summaries = summarise_lines(plate.traces, np.where(plate.out, np.nan, plate.shown), level=level)
    means = [one for one in summaries if one.n > 1 and one.compound in there]
    parameters = (
        *(_share(number, group, plate, level) for number, group in enumerate(groups, start=1)),
        *(_mean(one, plate) for one in means),
    )
    stimuli = _stimuli(groups, plate)
    wells = int(sum(stimulus.wells.sum() for stimulus in stimuli))
    estimate = Estimate("responders", parameters, level, wells, label=entry.name)
    title = entry.name if alone else f"{entry.name}: experiment {entry.experiment}, plate {plate.name}"
    sentence = f"{count_of([plate], [np.logical_or.reduce([one.wells for one in groups])])}{_weak(means)}"
    return Analysis(
        "calcium", title, _answer(stimuli, plate), sentence, estimate,
        (_strip(plate, groups, vehicle), _trace_plot(plate, stimuli, vehicle)),
        (_columns_note(groups, vehicle), *plate.traces.notes, *plate.notes),
        (*methods_of([plate]), *_said(level, lines=bool(means))),
    )  # fmt: skip


def _why(plate: KineticPlate) -> str:
    return next(note for note in plate.notes if note.startswith("Responders were not called"))


def _groups(plate: KineticPlate) -> Iterator[_Group]:
    """Wells by compound, dose and line, in the order of the plate; lines of one compound together."""
    traces = plate.traces
    keys = [
        (str(traces.compound[k]), float(traces.concentration[k]), str(traces.cell_line[k]))
        for k in np.flatnonzero(plate.samples)
    ]
    order = list(dict.fromkeys(compound for compound, _, _ in keys))
    for compound, dose, line in sorted(dict.fromkeys(keys), key=lambda key: (order.index(key[0]), key[1])):
        here = plate.wells(compound, line) & (traces.concentration == dose) & plate.samples
        yield _Group(compound, dose, line, np.asarray(here))


def _vehicle(plate: KineticPlate) -> list[_Group]:
    """Vehicle wells of each line."""
    traces = plate.traces
    used = (traces.role == "vehicle") & ~plate.out & np.isfinite(plate.values)
    lines = dict.fromkeys(traces.cell_line[used].tolist())
    return [_Group("", 0.0, line, np.asarray(used & (traces.cell_line == line))) for line in lines]


def _stimuli(groups: Sequence[_Group], plate: KineticPlate) -> list[_Group]:
    """Compounds at a dose, all lines together; the largest share of responders first."""
    found: dict[str, _Group] = {}
    for one in groups:
        earlier = found.get(one.stimulus)
        found[one.stimulus] = one._replace(line="", wells=one.wells | earlier.wells if earlier else one.wells)
    return sorted(found.values(), key=lambda one: -_called(one, plate) / int(one.wells.sum()))


def _called(group: _Group, plate: KineticPlate) -> int:
    return int((plate.called.called & group.wells).sum()) if plate.called else 0


def _answer(stimuli: Sequence[_Group], plate: KineticPlate) -> str:
    """How many wells respond to each compound."""
    by = "lowered by" if plate.entry.mode == "antagonist" else "respond to"
    first, *rest = (f"{_called(one, plate)} of {int(one.wells.sum())} {{}} {one.stimulus}" for one in stimuli)
    shown = [first.format(f"wells {by}"), *(one.format(by.split()[1]) for one in rest[: _MOST_ANSWERS - 1])]
    more = f" and {len(rest) + 1 - len(shown)} more in the table" if len(rest) >= _MOST_ANSWERS else ""
    compounds = [one.compound for one in stimuli]
    doses = "one concentration" if len(set(compounds)) == len(compounds) else "two concentrations at most"
    return f"{', '.join(shown)}{more}; {doses}: no EC50"


def _share(number: int, group: _Group, plate: KineticPlate, level: float) -> Parameter:
    """Share of the wells of a group that respond, with its exact binomial interval."""
    from scipy import stats

    count, wells = _called(group, plate), int(group.wells.sum())
    ends = stats.binomtest(count, wells).proportion_ci(level, "exact")
    value = 100 * count / wells
    return Parameter(
        f"{number}: {group.label}", value, 100 * ends.low, 100 * ends.high, "=", "%", value,
        method=f"binomial, {count}/{wells}",
    )  # fmt: skip


def _mean(one: LineSummary, plate: KineticPlate) -> Parameter:
    """Mean of the lines' means, with the interval that another line would meet."""
    what = _Group(one.compound, one.concentration, "", np.array([], dtype=bool)).stimulus
    unit = "%" if plate.entry.reference else "s" if plate.entry.quantity == "area" else ""
    return Parameter(
        f"{plate.entry.quantity}, {what}", one.mean, one.low, one.high, "=", unit, one.mean,
        method=f"t, {one.n} lines",
    )  # fmt: skip


def _weak(means: Sequence[LineSummary]) -> str:
    return f" Lines are the sample: their means have n = {max(one.n for one in means)}." if means else ""


def _strip(plate: KineticPlate, groups: Sequence[_Group], vehicle: Sequence[_Group]) -> Plot:
    """Every well in the column of its compound, dose and line."""
    called = plate.called.called if plate.called else np.zeros_like(plate.out)
    kinds = {"responds": called, "does not respond": ~called & plate.samples}
    if plate.entry.mode == "antagonist":
        kinds = {"lowered": kinds["responds"], "not lowered": kinds["does not respond"]}
    kinds |= {"vehicle": np.asarray((plate.traces.role == "vehicle") & ~plate.out), "left out": plate.out}
    columns = [*groups, *vehicle]
    series = tuple(_column_points(label, plate, columns, some) for label, some in kinds.items())
    return Plot(
        "compound and line, numbered", "plain", quantity_of(plate), tuple(one for one in series if one.x.size),
        "Every well is a point, shifted sideways so that it can be seen.", y_log=_is_wide(plate, groups),
    )  # fmt: skip


def _columns_note(groups: Sequence[_Group], vehicle: Sequence[_Group]) -> str:
    """Which columns of the first figure are which."""
    first, last = len(groups) + 1, len(groups) + len(vehicle)
    lines = f" ({', '.join(one.line for one in vehicle)})" if vehicle[0].line else ""
    return (
        "Columns of the first figure are numbered as rows of the table; "
        f"{f'{first} to {last}' if last > first else first}: vehicle{lines}."
    )


def _is_wide(plate: KineticPlate, groups: Sequence[_Group]) -> bool:
    """Whether compounds act so differently that one would hide the other on a line from zero."""
    middle = np.array([np.median(plate.shown[one.wells]) for one in groups])
    return bool((middle > 0).all() and middle.max() > _WIDE * middle.min())


def _column_points(label: str, plate: KineticPlate, columns: Sequence[_Group], some: Mask) -> Series:
    traces = plate.traces
    x, y = [], []
    for number, one in enumerate(columns, start=1):
        same = (traces.compound == one.compound) & (traces.cell_line == one.line) & (traces.concentration == one.dose)
        wells = np.flatnonzero(same & np.isfinite(plate.shown))
        shift = np.linspace(-0.25, 0.25, wells.size) if wells.size > 1 else np.zeros(wells.size)
        kept = some[wells]
        x.append((number + shift)[kept])
        y.append(plate.shown[wells][kept])
    return Series(label, np.concatenate(x), np.concatenate(y), _NONE, _NONE)


def _trace_plot(plate: KineticPlate, stimuli: Sequence[_Group], vehicle: Sequence[_Group]) -> Plot:
    """Mean traces of the compounds and of the vehicle."""
    calm = np.logical_or.reduce([one.wells for one in vehicle])
    groups = [("vehicle", np.asarray(calm)), *((one.stimulus, one.wells) for one in stimuli)]
    return trace_plot(plate, groups, "addition")


def _said(level: float, *, lines: bool) -> tuple[str, ...]:
    said = "Shares of wells have exact binomial intervals, which count wells and not cultures."
    if lines:
        said += f" Means over lines have t intervals at {100 * level:.0f} % with the lines as the sample."
    return (said,)
