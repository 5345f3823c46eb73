"""Many curves: batches of a fixed size, one after the other or side by side, always with the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError, RangeError
from halfmax.estimate.batch import SQUARABLE, Column, fitted, solved
from halfmax.estimate.derived import with_derived
from halfmax.estimate.fitting import (
    _Asked,
    _asked,
    _Batch,
    _estimate,
    _FullEffect,
    _refused,
    _trouble,
    fit_all,
)
from halfmax.estimate.least_squares import Problem
from halfmax.estimate.noise import Noise
from halfmax.estimate.points import Levels, Points
from halfmax.estimate.result import Estimate
from halfmax.estimate.status import Direction, is_plain
from halfmax.parallel import map_batches
from halfmax.readers.long import Curves
from halfmax.response import Response

__all__ = ["BATCH", "WELLS", "FitOptions", "Records", "fit_curves", "fit_many"]

#: Curves in a batch. Fixed, so that results do not depend on what runs them; large, because a batch takes as many
#: steps as its slowest curve.
BATCH = 10_000
#: Wells in a batch; where curves have more, it has fewer curves.
WELLS = 1_000_000
Record = dict[str, object]
Labelled = tuple[dict[str, str], Response]
Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class FitOptions:
    """What is fitted to each of many curves; wrong options are refused here, not in the middle of a run.

    Parameters
    ----------
    model, level, direction, fixed, bounds, noise
        As for `fit`.
    also : sequence of str
        Quantities besides, as for `with_derived`.
    zero : float or None
        Signal of no cells, where the responses do not tell it; the absolute EC50 needs it.

    Raises
    ------
    RangeError, FitError
        If there is no such curve, parameter, noise or quantity, or a number cannot be.
    """

    model: str | Curve = "hill4"
    level: float = 0.95
    direction: Direction = "either"
    fixed: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    noise: Noise | float = "constant"
    also: Sequence[str] = ()
    zero: float | None = None

    def __post_init__(self) -> None:
        self.asked()
        with_derived([], self.also)
        for name in sorted(self.fixed.keys() & self.bounds.keys()):
            raise FitError(f"{name} is held and has limits. Leave one of the two out.")
        if self.zero is not None and not math.isfinite(self.zero):
            raise RangeError(f"zero, the signal of no cells, must be a finite number, found {self.zero:g}.")

    def asked(self) -> _Asked:
        """As the fit takes them."""
        return _asked(self.model, self.level, self.fixed, self.bounds, self.noise)

    @property
    def plain(self) -> bool:
        """Whether arrays will do, or Responses and Estimates are needed."""
        return self.direction == "either" and not self.also and self.zero is None and self.asked().noise == 0

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the parameters that are fitted, and of the quantities besides."""
        return (*(name for name in curve(self.model).parameters if name not in self.fixed), *self.also)

    def records(self, curves: Iterable[Labelled]) -> list[Record]:
        """Labels and record of each curve."""
        labels, responses = zip(*curves, strict=True)
        if self.zero is not None:
            responses = tuple(replace(response, zero=self.zero) for response in responses)
        estimates = fit_all(
            responses, self.model, level=self.level, direction=self.direction, fixed=self.fixed, bounds=self.bounds,
            noise=self.noise,
        )  # fmt: skip
        return [_labelled(*pair) for pair in zip(labels, with_derived(estimates, self.also), strict=True)]


def _labelled(labels: Mapping[str, str], estimate: Estimate) -> Record:
    record = estimate.record()
    for name in labels:
        if name in record:
            raise RangeError(f'column "{name}": a result has the same name. Rename the column.')
    return {**labels, **record}


def fit_many(
    curves: Iterable[Labelled],
    model: str | Curve = "hill4",
    *,
    level: float = 0.95,
    direction: Direction = "either",
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Noise | float = "constant",
    also: Sequence[str] = (),
    skip: int = 0,
    workers: int = 1,
    cluster: str | None = None,
) -> Iterator[list[Record]]:
    """Records of many curves, a batch at a time, in order.

    Parameters
    ----------
    curves : iterable of (labels, Response)
        May be longer than memory: only a few batches are held.
    model, level, direction, fixed, bounds, noise
        As for `fit`.
    also : sequence of str
        Quantities besides, as for `with_derived`.
    skip : int
        Batches at the beginning that are not fitted (a run that is taken up again).
    workers : int
        Processes.
    cluster : str, optional
        Address of a Dask scheduler that does the work instead.

    Yields
    ------
    list of dict
        The labels of each curve and the record of its estimate.

    Raises
    ------
    RangeError
        If a label has the name of a result.

    Examples
    --------
    >>> from halfmax.response import Response
    >>> curve = Response.of([0, 0, 1, 1, 3, 3, 10, 10], [1, 0.98, 0.9, 0.92, 0.6, 0.58, 0.2, 0.21])
    >>> [[record["compound"] for record in batch] for batch in fit_many([({"compound": "a"}, curve)])]
    [['a']]
    """  # fmt: skip
    options = FitOptions(model, level, direction, fixed or {}, bounds or {}, noise, also)
    batches = islice(_batches(iter(curves)), skip, None)
    yield from map_batches(options.records, batches, workers=workers, cluster=cluster)


def _batches(curves: Iterator[Labelled]) -> Iterator[tuple[Labelled, ...]]:
    while some := tuple(islice(curves, BATCH)):
        yield some


@dataclass(frozen=True)
class Records:
    """Records of many estimates as columns.

    Parameters
    ----------
    columns : dict of str to array, each shape (curves,)
        Numbers, NaN where a record has none, or texts.
    """

    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return next(iter(self.columns.values())).size

    @classmethod
    def of(cls, rows: Sequence[Record]) -> Records:
        """Of at least one record; all have the same names."""
        return cls({name: _column([row[name] for row in rows]) for name in rows[0]})

    @property
    def opened(self) -> int:
        """How many estimates are open, refused, or no curve."""
        return sum(not status.startswith("ok") for status in self.columns["status"])

    def put(self, i: int, record: Record) -> None:
        """Change one record."""
        for name, value in record.items():
            self.columns[name][i] = math.nan if value is None else value

    def rows(self) -> list[Record]:
        """One by one, None where there is no number."""
        values = []
        for column in self.columns.values():
            cells = column.tolist()
            values.append([None if cell != cell else cell for cell in cells] if column.dtype == float else cells)
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True)]


def _column(cells: Sequence[object]) -> NDArray[Any]:
    """Texts, or whole numbers, or numbers of which some may be None."""
    if isinstance(cells[0], str):
        return np.array(cells, dtype=object)
    return np.array(cells, dtype=int if isinstance(cells[0], int) else float)


def fit_curves(curves: Curves, options: FitOptions | None = None) -> Records:
    """`fit_all` of curves that are held as arrays: the same records, without a Response for each.

    Only a curve of which there is more to be said than "ok" becomes a Response and an
    Estimate, by the same functions as in `fit_all`. Where the options ask for more than a
    plain fit, all do.

    Raises
    ------
    RangeError
        If a column that tells the curves apart has the name of a result.
    """
    options = options or FitOptions()
    if not options.plain:
        return Records.of(options.records(curves))
    asked = options.asked()
    records = _nothing_yet(curves, asked)
    wells = _Wells.of(curves)
    troubled = wells.troubled(asked)
    for i in np.flatnonzero(troubled).tolist():
        response = curves.response(i)
        records.put(i, _refused(response, asked, _trouble(response, asked)).record())
    rows = np.flatnonzero(~troubled)
    if rows.size and not _fit_rows(curves, rows, wells, asked, records):
        return Records.of(options.records(curves))
    return records


def _nothing_yet(curves: Curves, asked: _Asked) -> Records:
    """Labels and empty columns, laid out as the record of an estimate."""
    columns: dict[str, NDArray[Any]] = dict(zip(curves.columns.by, curves.labels, strict=True))
    record = _labelled(curves.labels_of(0), _refused(curves.response(0), asked, ""))
    empty = Records.of([{name: value for name, value in record.items() if name not in columns}])
    return Records(columns | {name: np.repeat(column, len(curves)) for name, column in empty.columns.items()})


@dataclass(frozen=True)
class _Wells:
    """Measured wells of some curves, and of each curve how many are missing and how large its largest signal is."""

    levels: Levels
    starts: Indices
    missing: Indices
    largest: Array

    @classmethod
    def of(cls, curves: Curves) -> _Wells:
        """Wells of curves."""
        n = len(curves)
        whose = np.repeat(np.arange(n), np.diff(curves.starts))
        measured = np.isfinite(curves.signal)
        curve, signal = whose[measured], curves.signal[measured]
        largest = np.zeros(n)
        np.maximum.at(largest, curve, np.abs(signal))
        dose = np.abs(curves.concentration[measured])
        levels = Levels.of(curve, dose, signal)
        starts = np.searchsorted(levels.curve, np.arange(n + 1))
        return cls(levels, starts, np.bincount(whose[~measured], minlength=n), largest)

    def troubled(self, asked: _Asked) -> Flags:
        """Curves of which `_trouble` has something to say."""
        n, size = self.largest.size, asked.constraints.size(asked.curve)
        wells = np.bincount(self.levels.curve, self.levels.count, n)
        doses = np.bincount(self.levels.curve[self.levels.dose > 0], minlength=n)
        squarable = (self.largest > SQUARABLE[0]) & (self.largest < SQUARABLE[1]) | (self.largest == 0)
        return np.asarray(~squarable | (doses < max(size - 1, 1)) | (wells <= size))

    def problem(self, rows: Indices, asked: _Asked) -> Problem:
        """Some of the curves as a problem."""
        number = np.full(self.largest.size, -1)
        number[rows] = np.arange(rows.size)
        dose, mean, count, squares = self.levels.of_curves(number).padded(rows.size)
        return Problem.of(asked.curve, asked.curve.abscissa(dose), mean, count, squares)

    def points(self, i: int) -> Points:
        """One of the curves."""
        return Points(self.levels.of_one(slice(self.starts[i], self.starts[i + 1])), None, "", int(self.missing[i]))

    def span(self, rows: Indices) -> tuple[Array, Array]:
        """Lowest dose above zero and highest dose of some curves."""
        first = self.starts[rows]
        first = np.where(self.levels.dose[first] > 0, first, first + 1)
        return self.levels.dose[first], self.levels.dose[self.starts[rows + 1] - 1]


def _fit_rows(curves: Curves, rows: Indices, wells: _Wells, asked: _Asked, records: Records) -> bool:
    """Fit some of the curves, and write their records; no, if one of them has no value at its doses."""
    problem, best = solved(wells.problem(rows, asked), asked.constraints)
    if not np.isfinite(best.rss).all():
        return False
    none = np.zeros(rows.size, dtype=bool)
    full = _FullEffect(none, np.full(rows.size, np.nan), none)
    batch = _Batch.of(asked, fitted(problem, best, problem.weight.sum(0), asked.level), full)
    plain = none
    if asked.curve.logarithmic and {"ec50", "hill_slope"} <= batch.columns.keys():
        said = is_plain(batch.columns, batch.p_flat, batch.p_curve, wells.span(rows))
        plain = said & (wells.missing[rows] == 0) & batch.fits.best.converged
        _write(batch, rows, records)
    for k in np.flatnonzero(~plain).tolist():
        i = int(rows[k])
        records.put(i, _estimate(curves.response(i), wells.points(i), batch, k).record())
    return True


def _write(batch: _Batch, rows: Indices, records: Records) -> None:
    """Numbers of all curves of a batch, and the status "ok"."""
    fits, written = batch.fits, records.columns
    for name, column in batch.columns.items():
        values = _bounded(column, batch.quantiles)
        for ending, value in values.items():
            if name + ending in written:
                written[name + ending][rows] = value
    written["rss"][rows] = np.where(np.isfinite(fits.best.rss), fits.best.rss, np.nan)
    written["df"][rows], written["n"][rows] = fits.df, fits.problem.weight.sum(0)
    written["p_flat"][rows], written["status"][rows] = batch.p_flat, "ok"


def _bounded(column: Column, quantiles: Array) -> dict[str, Any]:
    """`Parameter.bounded` and its part of a record for many curves: ending of the name → values, NaN for None."""
    best, low, high = column.best, column.low, column.high
    open_low, open_high = ~(low > (0.0 if column.log else -math.inf)), ~(high < math.inf)
    value = np.select([open_low & open_high, open_high, open_low], [np.full_like(best, np.nan), low, high], best)
    operator = np.select([open_low & open_high, open_high, open_low], ["?", ">", "<"], "=").astype(object)
    numbers = {"": value, "_low": np.where(column.log & (low == 0), np.nan, low), "_high": high}
    if column.log:
        half = [product if product < 700.0 else math.nan for product in (quantiles * column.se).tolist()]
        with np.errstate(over="ignore", invalid="ignore"):
            numbers["_delta_low"] = best * [math.exp(-share) for share in half]
            numbers["_delta_high"] = best * [math.exp(share) for share in half]
    return {"_operator": operator, **{end: np.where(np.isfinite(v), v, np.nan) for end, v in numbers.items()}}
