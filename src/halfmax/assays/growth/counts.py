"""Counts of one curve with the wells that they are compared with, and their growth-rate values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.assays.growth.value import NO_GROWTH, counted, gr_components, gr_value, growth_rates, positive
from halfmax.errors import RangeError, TableError

__all__ = ["GrowthCounts", "Measure", "who"]

Array = NDArray[np.float64]
Measure = Literal["gr", "static", "toxic"]

#: Share of the cells of time zero below which live and dead cells together are too few: some were washed away.
_ALL_THERE = 0.95
_GROUPS: dict[Measure, tuple[str, ...]] = {
    "gr": ("control", "time_zero"),
    "static": ("control", "time_zero", "dead_control", "dead_time_zero"),
    "toxic": ("control", "time_zero", "dead_control", "dead_time_zero"),
}


def who(labels: Mapping[str, object]) -> str:
    """Labels as words, for messages."""
    return ", ".join(f"{name} {value}" for name, value in labels.items())


@dataclass(frozen=True, eq=False)
class GrowthCounts:
    """Counts of one dose-response curve, with the wells that they are compared with.

    Parameters
    ----------
    concentration : array, shape (n,), in `concentration_unit`
        > 0; untreated wells belong to `control`.
    count : array, shape (n,), cells (or a signal proportional to them)
        Live cells of the treated wells; > 0, or NaN where missing.
    control : array, shape (m,), cells
        Untreated wells read at the same time.
    time_zero : array, shape (k,), cells
        Wells read when the treatment began; empty where `doublings` is given.
    doublings : float
        How often untreated cells divided during the treatment, where no plate was
        read at time zero: duration over division time. Taken as known.
    dead, dead_control, dead_time_zero : array, cells
        Dead cells of the same wells, >= 0; empty where they were not counted.
    days : float, d
        Duration of the treatment; needed for the components only.
    trim : float
        Share of the control (and time-zero) wells left out of their mean, half of it
        at either end: 0 is the mean, 0.5 that of R, Python and MATLAB.
    labels : mapping of str
        Who, in what, when.

    Raises
    ------
    TableError
        If lengths differ, or control wells, or both time zero and doublings, are missing.
    RangeError
        If a number is out of its range.

    Examples
    --------
    >>> counts = GrowthCounts.of([0.1, 1.0, 10.0], [390, 210, 95], control=[400, 410], time_zero=[98, 102])
    >>> counts.values().round(2).tolist()
    [0.96, 0.44, -0.03]
    """

    concentration: Array
    count: Array
    control: Array
    time_zero: Array = field(default_factory=lambda: np.empty(0))
    doublings: float = math.nan
    dead: Array = field(default_factory=lambda: np.empty(0))
    dead_control: Array = field(default_factory=lambda: np.empty(0))
    dead_time_zero: Array = field(default_factory=lambda: np.empty(0))
    days: float = math.nan
    trim: float = 0.0
    concentration_unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, concentration: ArrayLike, count: ArrayLike, **fields: object) -> GrowthCounts:
        """Counts from plain sequences."""
        wells = ("control", "time_zero", "dead", "dead_control", "dead_time_zero")
        made = {
            name: np.asarray(value, dtype=float).ravel() if name in wells else value for name, value in fields.items()
        }
        dose = np.asarray(concentration, dtype=float).ravel()
        return cls(dose, np.asarray(count, dtype=float).ravel(), **made)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.concentration.size != self.count.size:
            raise TableError(
                f"{self.label}: {self.concentration.size} concentrations but {self.count.size} counts: "
                "there must be one count a well."
            )
        bad = np.flatnonzero(~((self.concentration > 0) & np.isfinite(self.concentration)))
        if bad.size:
            raise TableError(
                f"{self.label}, row {bad[0] + 1}: concentration must be a finite number > 0, "
                f"found {self.concentration[bad[0]]:g}. Untreated wells belong to the control."
            )
        if not 0 <= self.trim < 1:
            raise RangeError(f"{self.label}: trim must be >= 0 and < 1, found {self.trim:g}.")
        self._check_references()
        self._check_dead()
        try:
            for name in ("count", "control", "time_zero"):
                positive(name, getattr(self, name))
            for name in ("dead", "dead_control", "dead_time_zero"):
                counted(name, getattr(self, name))
        except RangeError as error:
            raise RangeError(f"{self.label}: {error}") from None

    def _check_references(self) -> None:
        if not np.isfinite(self.control).any():
            raise TableError(f"{self.label}: no control well holds a count. Name the untreated wells of this curve.")
        known = np.isfinite(self.time_zero).any()
        if not known and math.isnan(self.doublings):
            raise TableError(
                f"{self.label}: no time-zero well holds a count, and no division time is given. Growth-rate values "
                "need one of them: add the plate read when the treatment began, or the control's division time."
            )
        if known and not math.isnan(self.doublings):
            raise TableError(
                f"{self.label}: both time-zero wells and a division time are given. Leave out the one that was not "
                "measured in this experiment."
            )
        if self.doublings <= 0:
            raise RangeError(f"{self.label}: doublings must be > 0, found {self.doublings:g}.")

    def _check_dead(self) -> None:
        for name in ("", "_control", "_time_zero"):
            size, wells = getattr(self, f"dead{name}").size, getattr(self, name[1:] or "count").size
            if size not in (0, wells):
                raise TableError(f"{self.label}: {wells} wells of {name[1:] or 'count'} but {size} counts of dead.")

    @property
    def label(self) -> str:
        """Who, in what, when: for messages and headings."""
        return who(self.labels) or "growth"

    def centre(self, group: str) -> float:
        """Trimmed mean of a group of wells such as ``control``; the mean where `trim` is 0."""
        wells = _finite(getattr(self, group))
        out = _left_out(wells.size, self.trim)
        return float(wells[out : wells.size - out].mean()) if wells.size else math.nan

    def centres(self, measure: Measure = "gr") -> dict[str, float]:
        """Centre of each group of wells that the treated ones are compared with, by its name."""
        groups = _GROUPS[measure] if math.isnan(self.doublings) else _GROUPS["gr"][:1]
        return {group: self.centre(group) for group in groups}

    def control_doublings(self, measure: Measure = "gr", **centres: float) -> float:
        """How often the control doubled; for the components, how often its cells divided.

        `centres` stand for those of `centres`.
        """
        at = self.centres(measure) | centres
        if measure == "gr" and not math.isnan(self.doublings):
            return self.doublings
        if measure == "gr":
            return math.log2(at["control"] / at["time_zero"])
        start = {"time_zero": at["time_zero"], "dead_time_zero": at["dead_time_zero"]}
        division, _ = growth_rates(at["control"], at["dead_control"], **start, days=self.days)
        return float(division) * self.days

    def trouble(self, measure: Measure = "gr", **centres: float) -> str:
        """Why there are no growth-rate values, or nothing; `centres` stand for those of `centres`."""
        at = self.centres(measure) | centres
        if measure != "gr":
            missing = [name for name in ("dead", *_GROUPS[measure]) if not np.isfinite(getattr(self, name)).any()]
            if missing:
                return f"{measure} values need dead cells and time zero counted: found no {missing[0]}. Report GR."
            if not self.days > 0:
                return f"{measure} values need the duration of the treatment: days must be > 0, found {self.days:g}."
        if min(at["control"], at.get("time_zero", math.inf)) <= 0:
            return "the control wells scatter so much that their mean may be 0. Add control and time-zero wells."
        if self.control_doublings(measure, **centres) > 0:
            return ""
        verb = "control did not grow" if measure == "gr" else "control's cells did not divide"
        return f"the {verb} ({at['time_zero']:.4g} → {at['control']:.4g}) {NO_GROWTH}"

    def values(self, measure: Measure = "gr", **centres: float) -> Array:
        """Growth-rate values of the treated wells, shape (n,); NaN where a count is missing.

        Parameters
        ----------
        measure : {"gr", "static", "toxic"}
        **centres : float, cells
            Stand for those of `centres`: what the values would be if the control's mean were another.

        Raises
        ------
        RangeError
            If the control did not grow, or what the measure needs was not counted.
        """
        trouble = self.trouble(measure, **centres)
        if trouble:
            raise RangeError(f"{self.label}: {trouble}")
        at = self.centres(measure) | centres
        if measure == "gr":
            return gr_value(self.count, **at, doublings=None if math.isnan(self.doublings) else self.doublings)
        return gr_components(self.count, self.dead, **at, days=self.days)[measure == "toxic"]

    def ends(self, measure: Measure = "gr", *, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Ends of the t interval of each group's centre, where its wells scatter; nothing for a single well.

        For a trimmed mean the standard error is that of Tukey and McLaughlin, from the winsorised wells.

        References
        ----------
        .. [1] Tukey & McLaughlin (1963), Sankhya A 25:331.
        """
        from scipy import stats

        found = {}
        for group in self.centres(measure):
            wells = _finite(getattr(self, group))
            out = _left_out(wells.size, self.trim)
            kept = wells.size - 2 * out
            if kept < 2:
                continue
            winsorised = np.clip(wells, wells[out], wells[wells.size - out - 1])
            error = winsorised.std(ddof=1) * math.sqrt(wells.size) / kept
            half = float(stats.t.ppf(0.5 + level / 2, kept - 1) * error)
            found[group] = (max(self.centre(group) - half, 0.0), self.centre(group) + half)
        return found

    def notes(self, measure: Measure = "gr") -> tuple[str, ...]:
        """What the reader of the values should know: where the references come from, and what was not counted."""
        notes = [self._scatter_note(measure)]
        if measure == "gr" and not math.isnan(self.doublings):
            notes.append(f"The control's {self.doublings:.3g} doublings are taken as known, from its division time.")
        if measure != "gr":
            cells = self.centre("time_zero") + self.centre("dead_time_zero")
            lost = int((self.count + self.dead < _ALL_THERE * cells).sum())
            if lost:
                notes.append(
                    f"{_wells(lost)} fewer cells, live and dead, than time zero: dead cells were lost, and the toxic "
                    "component is underestimated."
                )
        return tuple(notes)

    def _scatter_note(self, measure: Measure) -> str:
        names = {group: group.replace("_", " ") for group in self.centres(measure)}
        known = self.ends(measure)
        single = [name for group, name in names.items() if group not in known]
        several = [f"{_finite(getattr(self, group)).size} {names[group]}" for group in known]
        said = [f"The intervals hold the scatter of {' and '.join(several)} wells."] if several else []
        if single:
            moves = "the error of that value moves" if len(single) == 1 else "their errors move"
            said.append(
                f"No replicate wells of {' and '.join(single)}: {moves} all growth-rate values together, and this is "
                "not in the intervals."
            )
        return " ".join(said)


def _finite(wells: Array) -> Array:
    return np.sort(wells[np.isfinite(wells)])


def _left_out(n: int, trim: float) -> int:
    """Wells left out at either end; half a well is rounded down."""
    return min(math.ceil(n * trim / 2 - 0.5), (n - 1) // 2) if n else 0


def _wells(count: int) -> str:
    return "1 well holds" if count == 1 else f"{count} wells hold"
