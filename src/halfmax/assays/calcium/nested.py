"""Cells in dishes in days: summaries, how alike neighbours are, comparisons and doses with the day as the sample.

Cells of a dish share its dye, its flow and its moment, dishes of a day share cells and solutions.  A test over
cells takes them for independent and finds differences that are none.  Here a dish becomes one number, a day
the mean of its dishes, and every interval and p-value counts days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError, TableError, nearest
from halfmax.response import Response
from halfmax.units import format_interval, p_value

__all__ = [
    "DishSummaries", "Effect", "GroupComparison", "Summary", "VarianceComponents", "compare_groups", "dish_summaries",
    "responses", "variance_components",
]  # fmt: skip

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Text = NDArray[np.str_]

#: What of a dish is its number.
Summary = Literal["mean", "fraction", "fraction_amplitude"]
#: How two groups are compared.
Effect = Literal["difference", "ratio"]

_SAID = {"mean": "mean", "fraction": "fraction of responders", "fraction_amplitude": "responders × amplitude"}


@dataclass(frozen=True, eq=False)
class DishSummaries:
    """One row a dish, group and concentration; all arrays of shape (rows,).

    Parameters
    ----------
    day, dish, group : array of str
        `group` is what is compared: a compound, a line, a treatment.
    concentration : array, M
        0 for vehicle, NaN where there is none.
    mean, sd : array
        Of the cells that have a value.
    fraction : array
        Called cells among all segmented ones; NaN where nothing was called or refused.
    fraction_amplitude : array
        Sum of the values of the called cells over all cells: fraction × their mean amplitude.
    cells, measured : array of int
        All segmented cells, and those with a value.
    """

    day: Text
    dish: Text
    group: Text
    concentration: Array
    mean: Array
    sd: Array
    fraction: Array
    fraction_amplitude: Array
    cells: Counts
    measured: Counts

    def value(self, summary: Summary) -> Array:
        """The named number of each row.

        Raises
        ------
        RangeError
            If there is no such summary, or the responders were not given.
        """
        if summary not in get_args(Summary):
            raise RangeError(f'unknown summary "{summary}". {nearest(summary, get_args(Summary))}')
        found: Array = getattr(self, summary)
        if not np.isfinite(found).any():
            lacks = "no cell has a value" if summary == "mean" else "it was not said which cells respond (called)"
            raise RangeError(f"the {_SAID[summary]} of the dishes is not known: {lacks}.")
        return found

    def text(self) -> str:
        """The three n: days, dishes, cells."""
        return _three(self.day, self.dish, self.cells)


def dish_summaries(
    value: ArrayLike, *, dish: ArrayLike, day: ArrayLike, group: ArrayLike = "",
    concentration: ArrayLike = float("nan"), called: ArrayLike | None = None,
) -> DishSummaries:  # fmt: skip
    """One row for each day, dish, group and concentration, from the values of cells.

    Parameters
    ----------
    value : array, shape (cells,)
        Peak, area … of each segmented cell; NaN where it has none.
    dish, day, group : array of str, shape (cells,)
        A dish of the same name on another day is another dish.
    concentration : array, shape (cells,), M
    called : array of bool, shape (cells,), optional
        Which cells respond, from `call_responders`.

    Raises
    ------
    TableError
        If there is no cell, the lengths differ, or a dish or day has no name.

    Examples
    --------
    >>> found = dish_summaries([1.0, 3.0, 2.0, np.nan], dish=["a", "a", "b", "b"], day="1", called=[0, 1, 1, 0])
    >>> found.mean.tolist(), found.fraction_amplitude.tolist(), found.text()
    ([2.0, 2.0], [1.5, 1.0], '1 day, 2 dishes, 4 cells')
    """
    values = np.asarray(value, dtype=float).ravel()
    if not values.size:
        raise TableError("there is no cell to summarise.")
    days, dishes, groups = (_column(x, values.size, name) for x, name in ((day, "day"), (dish, "dish"), (group, "")))
    dose = np.asarray(concentration, dtype=float)
    if dose.size not in (1, values.size):
        raise TableError(f"{values.size} cells but {dose.size} concentrations: there must be one a cell.")
    dose = np.broadcast_to(dose.ravel(), values.shape)
    _, first, row = np.unique(
        np.column_stack([days, dishes, groups, dose.astype(str)]), axis=0, return_index=True, return_inverse=True
    )
    first, row = _in_order(first, row.ravel())
    seen = np.isfinite(values)
    count, measured = np.bincount(row), np.bincount(row, seen)
    mean = _ratio(np.bincount(row, np.where(seen, values, 0.0)), measured)
    squares = np.bincount(row, np.where(seen, values - mean[row], 0.0) ** 2)
    fraction = amplitude = np.full(first.size, np.nan)
    if called is not None:
        hit = np.asarray(called, dtype=bool).ravel()
        if hit.size != values.size:
            raise TableError(f"{values.size} cells but {hit.size} calls: there must be one a cell.")
        fraction = np.bincount(row, hit) / count
        amplitude = np.bincount(row, np.where(hit & seen, values, 0.0)) / count
    return DishSummaries(
        days[first], dishes[first], groups[first], dose[first], mean, np.sqrt(_ratio(squares, measured - 1)),
        fraction, amplitude, count.astype(np.int64), measured.astype(np.int64),
    )  # fmt: skip


def _column(labels: ArrayLike, n: int, name: str) -> Text:
    """Labels of cells; one text stands for all."""
    found = np.asarray(labels).astype(str).ravel()
    if found.size not in (1, n):
        raise TableError(f"{n} cells but {found.size} labels of {name or 'group'}: there must be one a cell.")
    if name and (found == "").any():
        raise TableError(f"cell {int((found == '').argmax()) + 1}: no {name} is named. Name every {name}.")
    return np.broadcast_to(found, n)


def _in_order(first: NDArray[np.intp], row: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows in the order in which they first come."""
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return first[order], place[row]


def _ratio(top: ArrayLike, bottom: ArrayLike) -> Array:
    """Quotient; NaN where there is nothing to divide by."""
    top, bottom = np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.nan)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _three(day: Text, dish: Text, cells: Counts) -> str:
    """Days, dishes and cells; a dish that was read at several doses counts once, as do its cells."""
    names = list(zip(day.tolist(), dish.tolist(), strict=True))
    most: dict[tuple[str, str], int] = {}
    for name, number in zip(names, cells.tolist(), strict=True):
        most[name] = max(most.get(name, 0), number)
    return ", ".join(
        (
            _count(len(set(day.tolist())), "day", "days"), _count(len(most), "dish", "dishes"),
            _count(sum(most.values()), "cell", "cells"),
        )
    )  # fmt: skip


@dataclass(frozen=True)
class VarianceComponents:
    """How much days, dishes of a day and cells of a dish differ.

    Parameters
    ----------
    day, dish, cell : float
        Variances; below 0 where an estimate is, NaN where there is one level only (one day, one dish a day).
    icc_dish : float
        Correlation of two cells of one dish, ``(day + dish) / (day + dish + cell)``.
    icc_day : float
        Correlation of two cells of one day in different dishes, ``day / (day + dish + cell)``.
    icc_one_way : float
        Of the dishes, whatever their days; with its interval `low` to `high`.
    low, high, level : float
    days, dishes, cells : int
    """

    day: float
    dish: float
    cell: float
    icc_dish: float
    icc_day: float
    icc_one_way: float
    low: float
    high: float
    level: float
    days: int
    dishes: int
    cells: int

    @property
    def design_effect(self) -> float:
        """``1 + (m − 1) ICC`` with m cells a dish: how many times too small a cell-level variance of a mean is."""
        return 1 + (self.cells / self.dishes - 1) * max(self.icc_one_way, 0.0)

    def text(self) -> str:
        """ICC and the three n."""
        icc = format_interval(self.icc_one_way, self.low, self.high, unit="")
        three = ", ".join(
            (_count(self.days, "day", "days"), _count(self.dishes, "dish", "dishes"),
             _count(self.cells, "cell", "cells"))
        )  # fmt: skip
        return f"ICC {icc}; {three}"


def variance_components(
    value: ArrayLike, *, dish: ArrayLike, day: ArrayLike, group: ArrayLike = "", level: float = 0.95
) -> VarianceComponents:
    """Variances of days, dishes and cells by analysis of variance, for unequal numbers.

    Sums of squares of cells within dishes, dishes within days, days within groups, set equal to what they
    are expected to be [1]_ (N cells, n those of a dish, day or group)::

        E SS_cell = (N − dishes) cell
        E SS_dish = (dishes − days) cell + (N − Σ_day Σ n_dish²/n_day) dish
        E SS_day  = (days − groups) cell + (Σ_day Σ n_dish²/n_day − Σ_group Σ n_dish²/n_group) dish
                    + (N − Σ_group Σ n_day²/n_group) day

    Groups differ by a fixed amount; a day on which two groups were read counts in each.  Negative estimates
    are left as they are, and count as 0 in `icc_dish` and `icc_day`.  The one-way ICC is
    ``(MS_between − MS_cell) / (MS_between + (n0 − 1) MS_cell)``, its interval that of F [1]_,
    which takes dishes for independent: it is too narrow where days differ.

    Parameters
    ----------
    value : array, shape (cells,)
    dish, day, group : array of str, shape (cells,)
    level : float

    Raises
    ------
    TableError
        If there are fewer than two dishes, or no dish has two cells.

    References
    ----------
    .. [1] Searle, Casella & McCulloch (1992), Variance Components, Wiley, chapters 3 and 5.

    Examples
    --------
    >>> found = variance_components([1.0, 1.2, 2.0, 2.2, 1.1, 0.9], dish=[1, 1, 2, 2, 3, 3], day=[1, 1, 1, 1, 2, 2])
    >>> round(found.icc_one_way, 3), found.cells
    (0.947, 6)
    """
    values = np.asarray(value, dtype=float).ravel()
    columns = [_column(x, values.size, name) for x, name in ((group, ""), (day, "day"), (dish, "dish"))]
    seen = np.isfinite(values)
    values, columns = values[seen], [column[seen] for column in columns]
    in_group, in_day, in_dish = (_codes(columns[:k]) for k in (1, 2, 3))
    n_dish, n_day, n_group = (np.bincount(code) for code in (in_dish, in_day, in_group))
    if n_dish.size < 2 or values.size <= n_dish.size:
        raise TableError(
            f"{values.size} cells in {n_dish.size} dishes: an intraclass correlation needs at least two dishes, and "
            "more cells than dishes."
        )
    squares = [_between(values, fine, coarse) for fine, coarse in ((in_dish, in_day), (in_day, in_group))]
    cell = float(((values - _means(values, in_dish)) ** 2).sum()) / (values.size - n_dish.size)
    within_day, within_group = _share(n_dish, in_dish, in_day), _share(n_dish, in_dish, in_group)
    dish_var = day_var = math.nan
    if n_dish.size > n_day.size:
        dish_var = (squares[0] - (n_dish.size - n_day.size) * cell) / (values.size - within_day)
    if n_day.size > n_group.size and math.isfinite(dish_var):
        left = squares[1] - (n_day.size - n_group.size) * cell - (within_day - within_group) * dish_var
        day_var = left / (values.size - _share(n_day, in_day, in_group))
    icc, low, high = _one_way(values, in_dish, in_group, cell, level)
    known = [max(0.0, x) if math.isfinite(x) else 0.0 for x in (day_var, dish_var)]
    total = sum(known) + cell
    return VarianceComponents(
        day_var, dish_var, cell, sum(known) / total if total and math.isfinite(dish_var) else math.nan,
        known[0] / total if total and math.isfinite(day_var) else math.nan, icc, low, high, level,
        len(set(columns[1].tolist())), _codes(columns[1:]).max(initial=-1) + 1, values.size,
    )  # fmt: skip


def _codes(columns: Sequence[Text]) -> NDArray[np.intp]:
    """Number of each cell's combination of labels."""
    return np.asarray(np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel(), dtype=np.intp)


def _means(values: Array, code: NDArray[np.intp]) -> Array:
    """Mean of each cell's class, shape (cells,)."""
    return np.asarray((np.bincount(code, values) / np.bincount(code))[code])


def _between(values: Array, fine: NDArray[np.intp], coarse: NDArray[np.intp]) -> float:
    """Sum of squares of classes within coarser ones."""
    return float(((_means(values, fine) - _means(values, coarse)) ** 2).sum())


def _share(n: Counts, fine: NDArray[np.intp], coarse: NDArray[np.intp]) -> float:
    """Sum over coarse classes of the squares of the numbers in their fine ones, over their own."""
    owner = np.zeros(n.size, dtype=np.intp)
    owner[fine] = coarse
    total = np.bincount(coarse)
    return float((np.bincount(owner, n.astype(float) ** 2, total.size) / total).sum())


def _one_way(
    values: Array, in_dish: NDArray[np.intp], in_group: NDArray[np.intp], cell: float, level: float
) -> tuple[float, float, float]:
    """ICC of the dishes and its interval by F."""
    from scipy import stats

    n = np.bincount(in_dish)
    freedom = n.size - int(in_group.max()) - 1
    if freedom < 1:
        return math.nan, math.nan, math.nan
    n0 = (values.size - _share(n, in_dish, in_group)) / freedom
    between = _between(values, in_dish, in_group) / freedom
    if cell <= 0:
        return (1.0, math.nan, 1.0) if between > 0 else (math.nan, math.nan, math.nan)
    ratio = between / cell
    ends = ratio / stats.f.ppf([0.5 + level / 2, 0.5 - level / 2], freedom, values.size - n.size)
    icc, low, high = ((f - 1) / (f + n0 - 1) for f in (ratio, *ends))
    return float(icc), float(max(low, -1.0)), float(high)


@dataclass(frozen=True)
class GroupComparison:
    """Two groups, the day being the sample.

    Parameters
    ----------
    first, second : str
    effect : {"difference", "ratio"}
        ``second − first``, or ``second / first`` of geometric means over days.
    estimate, low, high : float
        Ends are NaN where there is no test.
    p, statistic, df : float
        Two-sided t.
    method : str
    days, dishes, cells : tuple of int
        Of the first and the second group.
    status : str
        Begins with ``ok`` or ``refused``.
    notes : tuple of str
    """

    first: str
    second: str
    effect: Effect
    estimate: float
    low: float
    high: float
    p: float
    statistic: float
    df: float
    method: str
    days: tuple[int, int]
    dishes: tuple[int, int]
    cells: tuple[int, int]
    status: str = "ok"
    notes: tuple[str, ...] = field(default=())

    def text(self) -> str:
        """Estimate, interval, p and the three n of both groups."""
        sign = "−" if self.effect == "difference" else "/"
        value = f"{self.estimate:.3g}"
        if math.isfinite(self.low):
            value = format_interval(self.estimate, self.low, self.high, unit="")
        tested = f", {p_value(self.p)} ({self.method})" if math.isfinite(self.p) else ", no test"
        days, dishes, cells = (f"{a} and {b}" for a, b in (self.days, self.dishes, self.cells))
        return f"{self.second} {sign} {self.first}: {value}{tested}; days {days}, dishes {dishes}, cells {cells}"


def compare_groups(
    summaries: DishSummaries, first: str, second: str, *, summary: Summary = "mean", effect: Effect = "difference",
    level: float = 0.95,
) -> GroupComparison:  # fmt: skip
    """Difference or ratio of two groups by t on the means of days.

    A day is the mean of its dishes, each with the same weight; for a ratio, the logarithm of that.  Where
    both groups were read on the same days, ``t = mean(d) / (SD(d) / √days)`` of their differences d, with
    days − 1 degrees of freedom; else Welch's t.  A single day has no scatter between days: its
    cells or dishes cannot stand for it, and no p-value is given.

    Parameters
    ----------
    summaries : DishSummaries
    first, second : str
        Groups.
    summary : {"mean", "fraction", "fraction_amplitude"}
    effect : {"difference", "ratio"}
    level : float

    Raises
    ------
    TableError
        If a group is not there, or was read at several concentrations.
    RangeError
        If a ratio is asked of means that are not positive.

    Examples
    --------
    >>> cells = dict(dish=["a", "b"] * 3, day=["1", "1", "2", "2", "3", "3"], group=["control", "drug"] * 3)
    >>> compare_groups(dish_summaries([1.0, 1.5, 1.2, 1.8, 0.9, 1.4], **cells), "control", "drug").text()
    'drug − control: 0.53 (0.39–0.68), p = 0.0039 (paired t on days); days 3 and 3, dishes 3 and 3, cells 3 and 3'
    """
    if effect not in get_args(Effect):
        raise RangeError(f'unknown effect "{effect}". {nearest(effect, get_args(Effect))}')
    values = summaries.value(summary)
    rows = [_rows(summaries, values, name) for name in (first, second)]
    days, means = zip(*(_day_means(summaries.day[mine], values[mine]) for mine in rows), strict=True)
    notes: tuple[str, ...] = ()
    if effect == "ratio":
        for name, mean, names in zip((first, second), means, days, strict=True):
            if (mean <= 0).any():
                raise RangeError(
                    f"{name}, day {names[(mean <= 0).argmax()]}: a ratio needs means above 0, found "
                    f"{mean[mean <= 0][0]:.3g}. Take the difference."
                )
        means = tuple(np.log(mean) for mean in means)
    paired = days[0].tolist() == days[1].tolist()
    if not paired and set(days[0].tolist()) & set(days[1].tolist()):
        notes = ("Some days have one group only, so that days are not paired. Read both groups on each day.",)
    t = _t_test(means[0], means[1], paired, level)
    ends = np.array([t.estimate, t.low, t.high])
    ends = np.exp(ends) if effect == "ratio" else ends
    days_n, dishes_n, cells_n = zip(*(_numbers(summaries, mine) for mine in rows), strict=True)
    return GroupComparison(
        first, second, effect, float(ends[0]), float(ends[1]), float(ends[2]), t.p, t.statistic, t.df, t.method,
        days=days_n, dishes=dishes_n, cells=cells_n, status=_verdict(means), notes=notes,
    )  # fmt: skip


@dataclass(frozen=True)
class _T:
    estimate: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    statistic: float = math.nan
    df: float = math.nan
    method: str = "no test"


def _t_test(first: Array, second: Array, paired: bool, level: float) -> _T:
    """Student's paired or Welch's t; no more than the difference where there is no scatter."""
    from scipy import stats

    difference = float(second.mean() - first.mean())
    if min(first.size, second.size) < 2:
        return _T(difference)
    if paired:
        error, df = float((second - first).std(ddof=1)) / math.sqrt(first.size), first.size - 1.0
    else:
        parts = [float(x.var(ddof=1)) / x.size for x in (first, second)]
        error = math.sqrt(sum(parts))
        below = sum(v**2 / (x.size - 1) for v, x in zip(parts, (first, second), strict=True))
        df = error**4 / below if below > 0 else math.nan
    if not error > 0:
        return _T(difference)
    half = float(stats.t.ppf(0.5 + level / 2, df)) * error
    statistic = difference / error
    p = 2 * float(stats.t.sf(abs(statistic), df))
    method = "paired t on days" if paired else "Welch t on days"
    return _T(difference, difference - half, difference + half, p, statistic, df, method)


def _verdict(means: Sequence[Array]) -> str:
    """Whether there is a test, in words."""
    fewest = min(mean.size for mean in means)
    if fewest < 2:
        return (
            "refused: no p-value with one day. The cells and dishes of a day share its cells, dye and solutions: they "
            "show how well that day is known, not whether another would agree. Repeat on at least two more days."
        )
    if all(np.ptp(mean) == 0 for mean in means):
        return "refused: the days do not differ at all, which no measurement does. Look for a value entered twice."
    return "ok" if fewest > 2 else "ok, two days: an interval on so few is very wide"


def _rows(summaries: DishSummaries, values: Array, group: str) -> NDArray[np.bool_]:
    """Rows of a group that have a value."""
    known = sorted(set(summaries.group.tolist()))
    if group not in known:
        raise TableError(f'no cell is of the group "{group}". {nearest(group, known)}')
    mine = (summaries.group == group) & np.isfinite(values)
    if not mine.any():
        raise TableError(f"{group}: no dish has a value.")
    doses = np.unique(summaries.concentration[mine])
    if doses[np.isfinite(doses)].size > 1:
        raise TableError(
            f"{group} was read at {doses.size} concentrations: a comparison is of one. Fit the doses with `responses`, "
            "or name a group for each."
        )
    return np.asarray(mine)


def _day_means(day: Text, values: Array) -> tuple[Text, Array]:
    """Days in order, and the mean over their dishes."""
    names, place = np.unique(day, return_inverse=True)
    return names, np.bincount(place, values) / np.bincount(place)


def _numbers(summaries: DishSummaries, mine: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Days, dishes and cells of some rows."""
    dishes = set(zip(summaries.day[mine].tolist(), summaries.dish[mine].tolist(), strict=True))
    return len(set(summaries.day[mine].tolist())), len(dishes), int(summaries.cells[mine].sum())


def responses(
    summaries: DishSummaries, *, summary: Summary = "mean", quantity: str = "peak", signal_unit: str = "",
    cell_line: str = "", false_positive_rate: float = float("nan"), simulated: bool = False,
) -> list[Response]:  # fmt: skip
    """One Response for each compound and day, a dish at a dose being a well.

    The groups are the compounds.  Vehicle dishes of the day (concentration 0, of any group) go with each.  Fit
    each with `halfmax.estimate.fit_all` and put the days together with `halfmax.estimate.combine`.

    Parameters
    ----------
    summaries : DishSummaries
    summary : {"mean", "fraction", "fraction_amplitude"}
    quantity : str
        What was measured of a cell: ``peak``, ``area``.
    signal_unit, cell_line : str
    false_positive_rate : float
        Of the calls, to be printed where fractions are fitted.
    simulated : bool

    Raises
    ------
    TableError
        If no dish has a concentration above 0.

    Examples
    --------
    >>> found = dish_summaries([0.1, 0.5, 0.9], dish=["v", "a", "b"], day="1", group=["", "CM572", "CM572"],
    ...     concentration=[0.0, 1e-6, 1e-5])
    >>> [(one.compound, one.experiment, one.role.tolist()) for one in responses(found)]
    [('CM572', '1', ['vehicle', 'sample', 'sample'])]
    """
    values, dose = summaries.value(summary), summaries.concentration
    sample = dose > 0
    if not sample.any():
        raise TableError("no dish has a concentration above 0: there is no dose–response to fit.")
    pairs = list(dict.fromkeys(zip(summaries.group[sample].tolist(), summaries.day[sample].tolist(), strict=True)))
    said = quantity if summary == "mean" else f"{_SAID[summary]} ({quantity})"
    said = _SAID["fraction"] if summary == "fraction" else said
    result = []
    for compound, day in pairs:
        today = summaries.day == day
        vehicle = today & (dose == 0)
        rows = np.flatnonzero(vehicle | (today & sample & (summaries.group == compound)))
        notes = [f"{_three(summaries.day[rows], summaries.dish[rows], summaries.cells[rows])}; the day is the sample."]
        if summary != "mean" and math.isfinite(false_positive_rate):
            notes.append(f"Of cells that do not respond, {100 * false_positive_rate:.1f} % are called.")
        if not vehicle.any():
            notes.append("There are no vehicle dishes: the plateau at dose zero rests on the lowest doses.")
        result.append(
            Response.of(
                dose[rows], values[rows], role=np.where(dose[rows] > 0, "sample", "vehicle").tolist(),
                well=summaries.dish[rows].tolist(), plate=day, compound=compound, cell_line=cell_line, experiment=day,
                quantity=said, signal_unit="" if summary == "fraction" else signal_unit, simulated=simulated,
                notes=tuple(notes),
            )
        )  # fmt: skip
    return result
