"""Many curves as plain arrays: the numerical core without Responses, for millions of curves in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError
from halfmax.estimate.batch import SQUARABLE, Constraints, fitted, outside, solved
from halfmax.estimate.least_squares import Problem

__all__ = ["Fits", "fit_arrays"]

Array = NDArray[np.float64]
#: Curves in one batch: a search costs least a curve where many are still under way together.
_CHUNK = 10_000
#: Numbers in an array that is made and let go before the first batch: an allocator that has seen it keeps the memory of
#: the many small arrays that follow (glibc's thresholds follow the largest), and does not hand it back each time.
_KEPT = 3_000_000


@dataclass(frozen=True)
class Fits:
    """Fits of many curves, each array of shape (curves,).

    Parameters
    ----------
    best, low, high : dict of str to array
        Optimum and ends of the profile interval of each parameter; infinite (0 for a
        positive quantity) where open. `low` and `high` are empty without intervals.
    rss, df : array
        Residual sum of squares and its degrees of freedom.
    converged : array of bool
    """

    best: dict[str, Array]
    low: dict[str, Array]
    high: dict[str, Array]
    rss: Array
    df: Array
    converged: NDArray[np.bool_]


def fit_arrays(
    concentration: ArrayLike,
    signal: ArrayLike,
    model: str | Curve = "hill4",
    *,
    level: float = 0.95,
    intervals: bool = True,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Fits:
    """Fit one family of curves to every row of an array.

    Parameters
    ----------
    concentration : array, shape (points,), M
        Of the columns of `signal`; 0 is the vehicle, infinity the full effect. Replicates
        stand under equal concentrations.
    signal : array, shape (curves, points)
        NaN where a well is missing.
    model : str or Curve
    level : float
    intervals : bool
        Whether to find the profile intervals too.
    fixed, bounds : mapping, optional
        As for `fit`.

    Returns
    -------
    Fits
        A row that cannot be fitted (no more wells than parameters, or signals whose squares are no
        numbers) holds NaN.

    Raises
    ------
    FitError
        If the shapes do not belong together, or a concentration is negative or missing.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> dose = np.repeat(np.geomspace(1e-9, 1e-5, 9), 2)
    >>> signals = np.stack([hill(dose, ec50=e, hill_slope=-1, top=100, bottom=0) for e in (1e-8, 1e-7)])
    >>> fit_arrays(dose, signals, intervals=False).best["ec50"].round(12).tolist()
    [1e-08, 1e-07]
    """
    x, y = np.asarray(concentration, dtype=float), np.asarray(signal, dtype=float)
    if y.ndim != 2 or x.shape != y.shape[1:]:
        raise FitError(f"signal must be (curves, points) and concentration (points,), found {y.shape} and {x.shape}.")
    if not (x >= 0).all():
        raise FitError(f"a concentration must be a number ≥ 0, found {x[~(x >= 0)][0]:g}.")
    family = curve(model)
    constraints = Constraints(fixed or {}, bounds or {}).of(family)
    np.empty(_KEPT)
    parts = [
        _fit(family, constraints, x, y[first : first + _CHUNK], level, intervals)
        for first in range(0, len(y), _CHUNK)
    ]  # fmt: skip
    if not parts:
        nothing = {name: np.empty(0) for name in family.outside_names}
        return Fits(nothing, {}, {}, np.empty(0), np.empty(0), np.empty(0, dtype=bool))
    best, low, high = (_joined([getattr(part, name) for part in parts]) for name in ("best", "low", "high"))
    rss, df = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rss", "df"))
    return Fits(best, low, high, rss, df, np.concatenate([part.converged for part in parts]))


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fit(family: Curve, constraints: Constraints, x: Array, y: Array, level: float, intervals: bool) -> Fits:
    """One batch."""
    with np.errstate(over="ignore", invalid="ignore"):
        problem = Problem.of(family, *_levels(family, x, y))
    n = problem.weight.sum(axis=0)
    largest = np.fmax.reduce(np.abs(y), axis=1, initial=0.0)
    squarable = (largest == 0) | ((largest > SQUARABLE[0]) & (largest < SQUARABLE[1]))
    enough = (n > constraints.size(family)) & squarable
    if not enough.any():
        return _nothing(family, enough.size, intervals)
    problem = problem.take(np.flatnonzero(enough))
    problem, best = solved(problem, constraints)
    df = n[enough] - problem.free().sum(axis=0)
    if intervals:
        fits = fitted(problem, best, n[enough], level)
        best, columns = fits.best, fits.outside()
    else:
        nothing = best.parameters()
        columns = outside(problem, best, nothing, nothing, nothing)
    low, high = (
        {name: _spread(getattr(column, end), enough) for name, column in columns.items()} if intervals else {}
        for end in ("low", "high")
    )
    converged = np.zeros(enough.size, dtype=bool)
    converged[enough] = best.converged
    values = {name: _spread(column.best, enough) for name, column in columns.items()}
    return Fits(values, low, high, _spread(best.rss, enough), _spread(df, enough), converged)


def _nothing(family: Curve, size: int, intervals: bool) -> Fits:
    """Fits of curves that cannot be fitted."""
    none = np.full(size, np.nan)
    values = dict.fromkeys(family.outside_names, none)
    ends = values if intervals else {}
    return Fits(values, ends, ends, none, none, np.zeros(size, dtype=bool))


def _levels(family: Curve, x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Abscissa, mean, number of wells at each distinct concentration, and the wells' squares round their means."""
    distinct, place = np.unique(x, return_inverse=True)
    wells = np.ascontiguousarray(y.T)
    missing = np.isnan(wells)
    count, mean, base = np.zeros((distinct.size, len(y))), np.zeros((distinct.size, len(y))), np.zeros(len(y))
    known = np.where(missing, 0.0, wells)
    for well, level in enumerate(place):
        count[level] += ~missing[well]
        mean[level] += known[well]
    mean /= np.maximum(count, 1.0)
    for well, level in enumerate(place):
        base += np.where(missing[well], 0.0, known[well] - mean[level]) ** 2
    return np.repeat(family.abscissa(distinct)[:, None], len(y), axis=1), mean, count, base


def _spread(values: Array, rows: NDArray[np.bool_]) -> Array:
    """Values at their rows, NaN elsewhere."""
    result = np.full(rows.size, np.nan)
    result[rows] = values
    return result
