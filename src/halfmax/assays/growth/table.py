"""Counts of all curves of a table, each with its control and time-zero wells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from halfmax.assays.growth.counts import GrowthCounts, who
from halfmax.errors import TableError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CountColumns", "growth_counts"]


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
    if division_time is not None and time_zero is not None:
        raise TableError("table: both time_zero and division_time are named. Name the one that was measured.")
    references = [_References.of(table, control, by, control_by, names, "control")]
    if division_time is None:
        references.append(_References.of(table, time_zero, by, time_zero_by, names, "time_zero"))
    else:
        _require(table, [names.time, division_time], "table")
    if names.dead is not None:
        _require(table, [names.time], "table")
    curves = []
    for _, rows in treated.groupby(list(by), sort=False):
        labels = _labels(rows, by)
        fields: dict[str, object] = {"trim": trim, "concentration_unit": concentration_unit, "labels": labels}
        for one in references:
            fields |= one.of_curve(rows, labels)
        if division_time is not None:
            fields["doublings"] = _one_value(rows[names.time] / rows[division_time], division_time, labels)
        if names.dead is not None:
            fields |= {"dead": rows[names.dead], "days": _one_value(rows[names.time], names.time, labels) / 24.0}
        curves.append(GrowthCounts.of(rows[names.concentration], rows[names.count], **fields))
    return curves


@dataclass(frozen=True)
class _References:
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
    ) -> _References:
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
        if len(shared) != 1:
            column = next(key for key in self.keys if rows[key].nunique(dropna=False) > 1)
            raise TableError(
                f"{who(labels)}: one curve belongs to several groups of {self.group} wells "
                f'("{column}" differs within it). Add "{column}" to by.'
            )
        key = tuple(map(_text, shared.iloc[0]))
        if key not in self.wells:
            wanted = who(dict(zip(self.keys, key, strict=True)))
            hint = " or give the control's division time" if self.group == "time_zero" else ""
            raise TableError(
                f"{who(labels)}: no {self.group} well with {wanted}. Add it, correct {self.group}_by{hint}."
            )
        found = self.wells[key]
        fields: dict[str, object] = {self.group: found[self.names.count]}
        return fields if self.names.dead is None else fields | {f"dead_{self.group}": found[self.names.dead]}


def _text(value: object) -> str:
    """A key as text: 1 and 1.0 are the same."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _labels(rows: pd.DataFrame, by: Sequence[str]) -> dict[str, str]:
    return {name: _text(rows[name].iloc[0]) for name in by}


def _one_mean(table: pd.DataFrame, by: Sequence[str], means: Sequence[str]) -> pd.DataFrame:
    """The means of the controls of each curve, each once."""
    found = table[[*by, *means]].drop_duplicates()
    several = found[found.duplicated(list(by), keep=False)]
    for _, rows in several.groupby(list(by), sort=False, dropna=False):
        for column in means:
            hint = "Several curves are mixed: add the column that tells them apart to by."
            _one(rows[column], column, _labels(rows, by), hint)
    return found


def _one_value(values: pd.Series, column: str, labels: Mapping[str, str]) -> float:
    return _one(values, f'value of "{column}"', labels, "Add it to by.")


def _one(values: pd.Series, what: str, labels: Mapping[str, str], hint: str) -> float:
    """The number that all rows of a curve share."""
    found = values.unique()
    if len(found) != 1:
        shown = ", ".join(f"{value:g}" for value in found[:4])
        raise TableError(f"{who(labels)}: expected one {what} for the curve, found {shown}. {hint}")
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
            row = treated.iloc[twice[:1]]
            well = row[names.well].iloc[0]
            raise TableError(f"{who(_labels(row, by))}: well {well} stands twice in the curve. Keep one of the rows.")
