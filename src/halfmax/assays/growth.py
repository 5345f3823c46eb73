"""Growth-rate values: what a drug does to the rate of division, not to the number of cells that is left.

A viability relative to the vehicle depends on how often the vehicle's cells divided
meanwhile.  The growth-rate value does not: 1 is no effect, 0 no growth (stasis), below
0 a loss of cells.  Where dead cells are counted too, it is split into what division
has lost (static) and what death has gained (toxic).

`GrowthCounts` holds the counts of one curve with the wells that they are compared
with; `growth_counts` makes them from tables; `halfmax.estimate.fit_growth` fits them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError, TableError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CountColumns", "GrowthCounts", "Measure", "gr_components", "gr_value", "growth_counts", "growth_rates"]

Array = NDArray[np.float64]
Measure = Literal["gr", "static", "toxic"]

#: Share of the cells of time zero below which live and dead cells together are too few: some were washed away.
_ALL_THERE = 0.95
_GROUPS: dict[Measure, tuple[str, ...]] = {
    "gr": ("control", "time_zero"),
    "static": ("control", "time_zero", "dead_control", "dead_time_zero"),
    "toxic": ("control", "time_zero", "dead_control", "dead_time_zero"),
}


def gr_value(
    count: ArrayLike, *, control: ArrayLike, time_zero: ArrayLike | None = None, doublings: ArrayLike | None = None
) -> Array:
    """Growth-rate value of treated cells, from the count at time zero or from the control's number of doublings::

        GR = 2 ** (log2(count / time_zero) / log2(control / time_zero)) - 1
        GR = 2 ** (1 + log2(count / control) / doublings) - 1

    Parameters
    ----------
    count, control, time_zero : array, cells (or a signal proportional to them)
        Treated, untreated at the same time, and when the treatment began; all > 0.
        Shapes that broadcast.
    doublings : array
        How often the untreated cells divided during the treatment, > 0: its duration
        over their division time. In place of `time_zero`.

    Returns
    -------
    array
        -1 < GR; 1 where the drug does nothing.

    Raises
    ------
    RangeError
        If a number is not positive, the control did not grow, so that there is no growth
        rate to compare with, or not exactly one of `time_zero` and `doublings` is given.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.

    Examples
    --------
    >>> gr_value([400.0, 100.0, 50.0], control=400.0, time_zero=100.0).round(3).tolist()
    [1.0, 0.0, -0.293]
    >>> gr_value([400.0, 100.0, 50.0], control=400.0, doublings=48 / 24).round(3).tolist()
    [1.0, 0.0, -0.293]
    """
    x, grown = _positive("count", count), _positive("control", control)
    if (time_zero is None) == (doublings is None):
        given = "neither" if time_zero is None else "both"
        raise RangeError(f"expected either time_zero or doublings, found {given}. Give the one that was measured.")
    if doublings is not None:
        return np.asarray(2.0 ** (1.0 + np.log2(x / grown) / _positive("doublings", doublings)) - 1.0, dtype=float)
    assert time_zero is not None
    begun = _positive("time_zero", time_zero)
    if (grown <= begun).any():
        raise RangeError(f"the control did not grow {_NO_GROWTH}")
    return np.asarray(2.0 ** (np.log2(x / begun) / np.log2(grown / begun)) - 1.0, dtype=float)


_NO_GROWTH = (
    "between time zero and the reading: there is no growth rate to compare with. Read later, or report viability."
)


def growth_rates(
    live: ArrayLike, dead: ArrayLike, *, time_zero: ArrayLike, dead_time_zero: ArrayLike, days: ArrayLike
) -> tuple[Array, Array]:
    """Rates of division and of death, in doublings a day, of cells that divide and die at constant rates::

        live' = ln(2) * (division - death) * live        dead' = ln(2) * death * live
        division - death = log2(live / time_zero) / days
        death = (dead - dead_time_zero) / (ln(2) * days * mean)
        mean = (live - time_zero) / ln(live / time_zero)

    `mean` is the logarithmic mean, which is the live cells' mean over time; it is
    `time_zero` where live cells neither grow nor shrink.

    Parameters
    ----------
    live, dead : array, cells
        At the end; `live` > 0, `dead` >= 0. Shapes that broadcast.
    time_zero, dead_time_zero : array, cells
        Live and dead cells when the treatment began.
    days : array, d
        Duration of the treatment, > 0.

    Returns
    -------
    division, death : array, doublings / d
        `death` is negative where fewer dead cells are left than there were at time zero.

    Raises
    ------
    RangeError
        If a number is out of its range.

    References
    ----------
    .. [1] Mills et al. (2022), Nat Commun 13:6918, doi 10.1038/s41467-022-34536-7.

    Examples
    --------
    Cells that divide once a day and do not die:

    >>> [float(rate) for rate in growth_rates(400.0, 10.0, time_zero=100.0, dead_time_zero=10.0, days=2.0)]
    [1.0, 0.0]
    """
    x, begun, time = _positive("live", live), _positive("time_zero", time_zero), _positive("days", days)
    gained = _counted("dead", dead) - _counted("dead_time_zero", dead_time_zero)
    log = np.log(x / begun)
    still = np.abs(log) < 1e-12
    mean = begun * np.where(still, 1.0, np.expm1(log) / np.where(still, 1.0, log))
    death = gained / (math.log(2) * time * mean)
    return np.asarray(log / (math.log(2) * time) + death), np.asarray(death)


def gr_components(
    live: ArrayLike,
    dead: ArrayLike,
    *,
    control: ArrayLike,
    dead_control: ArrayLike,
    time_zero: ArrayLike,
    dead_time_zero: ArrayLike,
    days: ArrayLike,
) -> tuple[Array, Array]:
    """Static and toxic growth-rate value, from live and dead cells::

        GR_static = 2 ** (division / division_of_control) - 1
        GR_toxic = 2 ** (death_of_control - death) - 1

    with the rates of `growth_rates` in doublings a day. They are tied to the growth-rate
    value by ``(1 + GR) ** net = (1 + GR_static) ** division * (1 + GR_toxic) * 2 ** -death``,
    in which the exponents are the rates of the control and ``net = division - death``.

    Parameters
    ----------
    live, dead, control, dead_control, time_zero, dead_time_zero : array, cells
        Of treated and untreated wells at the end, and when the treatment began. Live
        counts > 0, dead counts >= 0. Shapes that broadcast.
    days : array, d
        Duration of the treatment. The unit matters: GR_toxic is defined with rates per day.

    Returns
    -------
    static, toxic : array
        `static` is 1 where division is that of the control and 0 where it stopped;
        `toxic` is 0 where death is that of the control, and goes to -1.

    Raises
    ------
    RangeError
        If a number is out of its range, or the control's cells did not divide.

    References
    ----------
    .. [1] Mills et al. (2022), Nat Commun 13:6918, doi 10.1038/s41467-022-34536-7.

    Examples
    --------
    A drug that only stops division: as many live cells as at time zero, no more dead ones.

    >>> counts = {"control": 400.0, "dead_control": 10.0, "time_zero": 100.0, "dead_time_zero": 10.0}
    >>> [float(value) for value in gr_components(100.0, 10.0, **counts, days=2.0)]
    [0.0, 0.0]
    """
    start = {"time_zero": time_zero, "dead_time_zero": dead_time_zero, "days": days}
    division, death = growth_rates(live, dead, **start)
    own_division, own_death = growth_rates(_positive("control", control), dead_control, **start)
    if (own_division <= 0).any():
        raise RangeError(
            "the control's cells did not divide between time zero and the reading: there is no rate of division to "
            "compare with. Read later, or report viability."
        )
    return np.asarray(2.0 ** (division / own_division) - 1.0), np.asarray(2.0 ** (own_death - death) - 1.0)


def _positive(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=float)
    if (array <= 0).any():
        hint = " A well without a single cell has no growth rate: leave it out, and say so." if name == "count" else ""
        raise RangeError(f"{name} must be > 0 everywhere, found {array[array <= 0].flat[0]:g}.{hint}")
    return array


def _counted(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=float)
    if (array < 0).any():
        raise RangeError(f"{name} must be >= 0 everywhere, found {array[array < 0].flat[0]:g}.")
    return array


_EMPTY = np.array([])


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
    time_zero: Array = field(default_factory=_EMPTY.copy)
    doublings: float = math.nan
    dead: Array = field(default_factory=_EMPTY.copy)
    dead_control: Array = field(default_factory=_EMPTY.copy)
    dead_time_zero: Array = field(default_factory=_EMPTY.copy)
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
                _positive(name, getattr(self, name))
            for name in ("dead", "dead_control", "dead_time_zero"):
                _counted(name, getattr(self, name))
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
        return ", ".join(f"{name} {value}" for name, value in self.labels.items()) or "growth"

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
        names = {
            "live": "control",
            "dead": "dead_control",
            "time_zero": "time_zero",
            "dead_time_zero": "dead_time_zero",
        }
        division, _ = growth_rates(**{name: at[group] for name, group in names.items()}, days=self.days)
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
        return f"the {verb} ({at['time_zero']:.4g} → {at['control']:.4g}) {_NO_GROWTH}"

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
        groups = list(self.centres(measure))
        known = self.ends(measure)
        single = [group.replace("_", " ") for group in groups if group not in known]
        counted = [
            f"{_finite(getattr(self, group)).size} {group.replace('_', ' ')}" for group in groups if group in known
        ]
        said = f"The intervals hold the scatter of {' and '.join(counted)} wells." if counted else ""
        if single:
            moves = "the error of that value moves" if len(single) == 1 else "their errors move"
            said += (
                f"{' ' if said else ''}No replicate wells of {' and '.join(single)}: {moves} all growth-rate values "
                "together, and this is not in the intervals."
            )
        return said


def _finite(wells: Array) -> Array:
    return np.sort(wells[np.isfinite(wells)])


def _left_out(n: int, trim: float) -> int:
    """Wells left out at either end; half a well is rounded down."""
    return min(math.ceil(n * trim / 2 - 0.5), (n - 1) // 2) if n else 0


def _wells(count: int) -> str:
    return "1 well holds" if count == 1 else f"{count} wells hold"


@dataclass(frozen=True)
class CountColumns:
    """Which columns of a table of counts mean what.

    Parameters
    ----------
    concentration, count : str
        Dose, and live cells.
    time : str
        Hours since the treatment began, or duration of the treatment.
    dead : str or None
        Dead cells, where they were counted.
    well : str or None
        Name of the well: no two rows of a curve may share it.
    """

    concentration: str = "concentration"
    count: str = "cell_count"
    time: str = "time"
    dead: str | None = None
    well: str | None = None

    @property
    def counts(self) -> list[str]:
        """Columns of counts."""
        return [self.count] if self.dead is None else [self.count, self.dead]


def growth_counts(
    table: pd.DataFrame,
    *,
    by: Sequence[str],
    control: str | Sequence[str] | pd.DataFrame | None = None,
    time_zero: str | Sequence[str] | pd.DataFrame | None = None,
    division_time: str | None = None,
    control_by: Sequence[str] = (),
    time_zero_by: Sequence[str] = (),
    columns: CountColumns | None = None,
    trim: float = 0.0,
    concentration_unit: str = "",
) -> list[GrowthCounts]:
    """Counts of all curves of a table, each with its control and time-zero wells.

    The controls may stand in columns of the table (case A of GRmetrics), in tables of
    their own (case B), or among the rows: concentration 0 for the control, time 0 for
    time zero (case C).

    Parameters
    ----------
    table : DataFrame
        One well a row.
    by : sequence of str
        Columns whose values tell the curves apart.
    control, time_zero : str, sequence of str, DataFrame or None
        Column that holds the mean of the controls (two columns where dead cells are
        counted: live, dead), table of control wells, or None for rows of `table`.
    division_time : str, optional
        Column of the untreated cells' division time, in hours, in place of time zero.
    control_by, time_zero_by : sequence of str
        Columns that a curve shares with its control and time-zero wells, where these are rows.
    columns : CountColumns, optional
        Names of the other columns.
    trim, concentration_unit
        As of `GrowthCounts`.

    Returns
    -------
    list of GrowthCounts
        In order of appearance.

    Raises
    ------
    TableError
        If a column is missing, a curve has no control or time-zero well, one curve has
        several means of controls, a well stands twice, or a label is missing.
    RangeError
        If a count is out of its range.

    References
    ----------
    .. [1] Clark et al. (2017), BMC Cancer 17:698, doi 10.1186/s12885-017-3689-3.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"line": ["A"] * 5, "time": [0, 48, 48, 48, 48], "concentration": [0, 0, 0, 1, 10],
    ...      "cell_count": [100, 390, 410, 380, 110]}
    ... )
    >>> (counts,) = growth_counts(table, by=["line"], control_by=["line"], time_zero_by=["line"])
    >>> counts.values().round(2).tolist()
    [0.95, 0.05]
    """  # fmt: skip
    names = columns or CountColumns()
    _require(table, [*by, names.concentration, *names.counts], "table")
    treated = table
    if control is None or time_zero is None:
        _require(table, [names.time], "table")
        treated = table[(table[names.concentration] != 0) & (table[names.time] != 0)]
    _check_keys(treated, by, names)
    controls = _Wells.of(table, control, by, control_by, names, "control")
    zeros = None if division_time is not None else _Wells.of(table, time_zero, by, time_zero_by, names, "time_zero")
    if division_time is not None and time_zero is not None:
        raise TableError("table: both time_zero and division_time are named. Name the one that was measured.")
    curves = []
    for _, rows in treated.groupby(list(by), sort=False):
        labels = {name: _text(rows[name].iloc[0]) for name in by}
        fields: dict[str, object] = {"trim": trim, "concentration_unit": concentration_unit, "labels": labels}
        fields |= controls.of_curve(rows, labels)
        if zeros is not None:
            fields |= zeros.of_curve(rows, labels)
        else:
            assert division_time is not None
            _require(table, [names.time, division_time], "table")
            fields["doublings"] = _one(rows[names.time] / rows[division_time], division_time, labels)
        if names.dead is not None:
            _require(table, [names.time], "table")
            fields |= {"dead": rows[names.dead], "days": _one(rows[names.time], names.time, labels) / 24.0}
        curves.append(GrowthCounts.of(rows[names.concentration], rows[names.count], **fields))
    return curves


@dataclass(frozen=True)
class _Wells:
    """Control or time-zero wells by what they share with a curve."""

    group: str
    keys: tuple[str, ...]
    wells: Mapping[tuple[str, ...], pd.DataFrame]
    names: CountColumns

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        given: str | Sequence[str] | pd.DataFrame | None,
        by: Sequence[str],
        keys: Sequence[str],
        names: CountColumns,
        group: str,
    ) -> _Wells:
        """From a column, a table or rows of the table."""
        import pandas as pd

        if given is None:
            at_zero = table[names.time] == 0
            given = table[at_zero if group == "time_zero" else (table[names.concentration] == 0) & ~at_zero]
        elif not isinstance(given, pd.DataFrame):
            means = [given] if isinstance(given, str) else list(given)
            if len(means) != len(names.counts):
                raise TableError(
                    f"{group}: expected one column for each of {', '.join(names.counts)}, found {', '.join(means)}."
                )
            _require(table, means, "table")
            keys, given = by, _one_mean(table, by, means).rename(columns=dict(zip(means, names.counts, strict=True)))
        if not keys:
            raise TableError(
                f"{group}: the wells are rows, so {group}_by must name the columns that a curve shares with them, "
                f"some of {', '.join(by)}."
            )
        _require(table, keys, "table")
        _require(given, [*keys, *names.counts], group)
        wells = {tuple(map(_text, key)): rows for key, rows in given.groupby(list(keys))}
        return cls(group, tuple(keys), wells, names)

    def of_curve(self, rows: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, object]:
        """Fields of the curve."""
        shared = rows[list(self.keys)].drop_duplicates()
        who = ", ".join(f"{name} {value}" for name, value in labels.items())
        if len(shared) != 1:
            column = next(key for key in self.keys if rows[key].nunique(dropna=False) > 1)
            raise TableError(
                f'{who}: one curve belongs to several groups of {self.group} wells ("{column}" differs within it). '
                f'Add "{column}" to by.'
            )
        key = tuple(map(_text, shared.iloc[0]))
        if key not in self.wells:
            wanted = ", ".join(f"{name} {value}" for name, value in zip(self.keys, key, strict=True))
            hint = " or give the control's division time" if self.group == "time_zero" else ""
            raise TableError(f"{who}: no {self.group} well with {wanted}. Add it, correct {self.group}_by{hint}.")
        found = self.wells[key]
        fields: dict[str, object] = {self.group: found[self.names.count]}
        return fields if self.names.dead is None else fields | {f"dead_{self.group}": found[self.names.dead]}


def _text(value: object) -> str:
    """A key as text: 1 and 1.0 are the same."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _one_mean(table: pd.DataFrame, by: Sequence[str], means: Sequence[str]) -> pd.DataFrame:
    """The means of the controls of each curve, each once."""
    found = table[[*by, *means]].drop_duplicates()
    several = found[found.duplicated(list(by), keep=False)]
    if len(several):
        first = several.iloc[0]
        rows = several[(several[list(by)] == first[list(by)]).all(axis=1)]
        column = next(name for name in means if rows[name].nunique() > 1)
        who = ", ".join(f"{name} {first[name]}" for name in by)
        raise TableError(
            f"{who}: expected one {column} for the curve, found {', '.join(f'{v:g}' for v in rows[column].unique())}. "
            "Several curves are mixed: add the column that tells them apart to by."
        )
    return found


def _one(values: pd.Series, column: str, labels: Mapping[str, str]) -> float:
    found = values.unique()
    if len(found) != 1:
        who = ", ".join(f"{name} {value}" for name, value in labels.items())
        shown = ", ".join(f"{value:g}" for value in found[:4])
        raise TableError(f'{who}: expected one value of "{column}" for the curve, found {shown}. Add it to by.')
    return float(found[0])


def _require(table: pd.DataFrame, columns: Sequence[str], which: str) -> None:
    known = [str(name) for name in table.columns]
    for column in columns:
        if known.count(column) != 1:
            found = "no column" if column not in known else f"{known.count(column)} columns"
            hint = nearest(column, known) if column not in known else "Rename all but one."
            raise TableError(f'{which}: expected a column "{column}", found {found} of that name. {hint}')


def _check_keys(treated: pd.DataFrame, by: Sequence[str], names: CountColumns) -> None:
    if not by or len(set(by)) != len(by):
        raise TableError(f"by must name each column that tells the curves apart once, found {list(by)}.")
    for column in by:
        missing = np.flatnonzero(treated[column].isna())
        if missing.size:
            raise TableError(
                f'table, row {treated.index[missing[0]]}: "{column}" is empty. Every treated well needs one.'
            )
    if names.well is not None:
        _require(treated, [names.well], "table")
        twice = np.flatnonzero(treated.duplicated([*by, names.well]))
        if twice.size:
            row = treated.iloc[twice[0]]
            who = ", ".join(f"{name} {row[name]}" for name in by)
            raise TableError(f"{who}: well {row[names.well]} stands twice in the curve. Keep one of the rows.")
