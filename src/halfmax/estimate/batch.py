"""From points to optimum, covariance and profile intervals: the arrays of a batch of fits.

What a person asks for (parameters held or bounded, by their outside names) becomes limits of
the inside parameters here, and rising and falling are tried where they are two curves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Curve
from halfmax.errors import FitError, nearest
from halfmax.estimate.least_squares import Problem, Solution, dot, jacobian, minimise, solve
from halfmax.estimate.profile import profile

__all__ = [
    "BEYOND_DOSES",
    "SQUARABLE",
    "Column",
    "Constraints",
    "Fitted",
    "covariance",
    "excess",
    "fitted",
    "limits",
    "outside",
    "pack",
    "profiled",
    "roots",
    "solved",
]

Array = NDArray[np.float64]

#: An interval that leaves the tested doses by more than this factor is called open.
BEYOND_DOSES = 10.0
#: Residual sum of squares, as a share of that of the signals, below which it is rounding (of single precision).
_ROUNDING = 1e-15
#: Sizes of signals whose squares are numbers.
SQUARABLE = (1e-140, 1e140)
#: No linear parameter is followed farther.
_FARTHEST = 1e290
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Constraints:
    """Outside names → a value at which a parameter is held, or the limits between which it must stay."""

    fixed: Mapping[str, float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def of(self, curve: Curve) -> Constraints:
        """These, with what the family itself holds.

        Raises
        ------
        FitError
            If a name is none of the family's parameters, or limits are reversed.
        """
        known = list(curve.outside_names)
        for name in (*self.fixed, *self.bounds):
            if name not in known:
                raise FitError(f'{curve.name} has no parameter "{name}". {nearest(name, known)}')
        for name, (low, high) in self.bounds.items():
            if not low < high:
                raise FitError(f"{curve.name}: limits of {name} must be (low, high), found ({low:g}, {high:g}).")
        own = {name: value for name, value in curve.held.items() if name in known}
        return Constraints({**own, **self.fixed}, self.bounds)

    def size(self, curve: Curve) -> int:
        """Number of parameters left to be fitted."""
        return curve.size - sum(name not in curve.held for name in self.fixed)

    def apply(self, problem: Problem, *, rising: bool) -> Problem:
        """The problem of rising or of falling curves with these constraints."""
        curve, q = problem.curve, problem.curve.q
        low, high, held = problem.low.copy(), problem.high.copy(), problem.held.copy()
        floor, ceiling = np.full_like(held, -np.inf), np.full_like(held, np.inf)
        for named in curve.names(rising):
            least, most = self.bounds.get(named.name, (-np.inf, np.inf))
            if named.name in self.fixed:
                least = most = self.fixed[named.name]
            elif named.name not in self.bounds:
                continue
            if named.row >= q:
                row = named.row - q
                floor[row], ceiling[row] = least, most
                if least == most:
                    held[row] = least
                continue
            if named.scale != "plain":
                least, most = _logarithms(named.name, least, most, signed=named.scale == "slope")
            low[named.row], high[named.row] = np.maximum(low[named.row], least), np.minimum(high[named.row], most)
            if least == most:
                low[named.row] = high[named.row] = least
        bounded = np.isfinite(floor).any() or np.isfinite(ceiling).any()
        sign = np.full_like(problem.sign, 1.0 if rising else -1.0)
        return replace(
            problem, low=low, high=np.maximum(low, high), held=held, sign=sign,
            floor=floor if bounded else None, ceiling=ceiling if bounded else None,
        )  # fmt: skip

    def orients(self, curve: Curve) -> bool:
        """Whether rising and falling must be tried apart."""
        two = {n.name for n, m in zip(curve.names(True), curve.names(False), strict=True) if n.row != m.row}
        return curve.oriented or bool(two & {*self.fixed, *self.bounds})


def _logarithms(name: str, low: float, high: float, *, signed: bool) -> tuple[float, float]:
    """Limits on the logarithm; those of a slope are limits of its size."""
    if signed:
        low, high = min(abs(low), abs(high)), max(abs(low), abs(high))
        low = 0.0 if math.isinf(high) and low == high else low
    if low < 0 or high <= 0:
        raise FitError(f"{name} is positive: its value or limits cannot be ({low:g}, {high:g}).")
    return math.log(low) if low > 0 else -math.inf, math.log(high)


def pack(curve: Curve, rows: Sequence[tuple[Array, Array, Array, float]]) -> Problem:
    """Padded problem of many data sets, each (dose or time, mean, weight, unexplained sum of squares)."""
    longest = max(row[0].size for row in rows)
    x, signal, weight = (np.zeros((longest, len(rows))) for _ in range(3))
    for index, (at, y, count, _) in enumerate(rows):
        x[: at.size, index], signal[: at.size, index], weight[: at.size, index] = at, y, count
    return Problem.of(curve, curve.abscissa(x), signal, weight, np.array([row[3] for row in rows]))


def solved(problem: Problem, constraints: Constraints) -> tuple[Problem, Solution]:
    """Optimum of each curve under constraints; rising or falling, whichever fits better."""
    falling = constraints.apply(problem, rising=False)
    best = solve(falling)
    if not constraints.orients(problem.curve):
        return falling, best
    rising = constraints.apply(problem, rising=True)
    other = solve(rising)
    pick = _proper(other, 1.0) < _proper(best, -1.0)
    chosen: dict[str, Any] = {}
    for name in ("low", "high", "held", "sign", "floor", "ceiling"):
        one, two = getattr(falling, name), getattr(rising, name)
        chosen[name] = None if one is None else np.where(pick, two, one)
    return replace(falling, **chosen), Solution.choose(pick, best, other)


def _proper(solution: Solution, sign: float) -> Array:
    """Sum of squares, a hundredfold where the plateaus are reversed: it is then a curve of the other direction."""
    wrong = sign * (solution.linear[-1] - solution.linear[0]) < 0
    return np.where(wrong, 100.0 * solution.rss, solution.rss)


@dataclass(frozen=True)
class Fitted:
    """A batch of fits, in inside parameters.

    Parameters
    ----------
    problem : Problem
    best : Solution
    df : array, shape (curves,)
        Degrees of freedom of the residuals.
    low, high : array, shape (parameters, curves)
        Ends of the intervals, infinite where open.
    covariance : array, shape (curves, parameters, parameters)
    """

    problem: Problem
    best: Solution
    df: Array
    low: Array
    high: Array
    covariance: Array

    def outside(self) -> dict[str, Column]:
        """Parameters under their outside names."""
        return outside(self.problem, self.best, self.low, self.high, roots(self.covariance).T)


@dataclass(frozen=True)
class Column:
    """One parameter of many curves on its outside scale, each array of shape (curves,).

    `row` is the inside row of each curve; `se` is the standard error, of the logarithm where `log`.
    """

    row: NDArray[np.intp]
    best: Array
    low: Array
    high: Array
    se: Array
    log: bool


def outside(problem: Problem, best: Solution, low: Array, high: Array, errors: Array) -> dict[str, Column]:
    """Parameters of a batch under their outside names; `low`, `high` and `errors` are shape (parameters, curves)."""
    curve, curves = problem.curve, np.arange(best.rss.size)
    rises = curve.rises(problem.sign, best.linear)
    values = best.parameters()
    columns = {}
    for up, down in zip(curve.names(True), curve.names(False), strict=True):
        row = np.where(rises, up.row, down.row)
        value, least, most, error = (array[row, curves] for array in (values, low, high, errors))
        if up.scale != "plain":
            with np.errstate(over="ignore"):
                value, least, most = np.exp(value), np.exp(least), np.exp(most)
        if up.scale == "slope":
            shallow = np.where(least > 0, least, -np.inf)
            least, most = np.where(rises, shallow, -most), np.where(rises, most, -shallow)
            error, value = error * value, np.where(rises, value, -value)
        columns[up.name] = Column(row, value, least, most, error, up.scale == "log")
    return columns


def fitted(problem: Problem, best: Solution, n: Array, level: float) -> Fitted:
    """Intervals and covariance of solved problems; `n` is the number of wells of each curve."""
    df = n - problem.free().sum(axis=0)
    best, low, high = profiled(problem, best, df, level)
    return Fitted(problem, best, df, low, high, covariance(problem, best, df))


def excess(problem: Problem, best: Solution, df: Array, level: float) -> Array:
    """By how much a sum of squares may exceed its minimum within the interval, shape (curves,)."""
    from scipy import stats

    threshold = stats.f.ppf(level, 1, np.maximum(df, 1)) / np.maximum(df, 1)
    return np.asarray(np.maximum(best.rss, _rounding(problem)) * threshold)


def _rounding(problem: Problem) -> Array:
    """Sum of squares below which residuals are rounding, shape (curves,)."""
    return np.asarray(_ROUNDING * dot(problem.weight * problem.signal, problem.signal) + _TINY)


def profiled(problem: Problem, best: Solution, df: Array, level: float) -> tuple[Solution, Array, Array]:
    """Profile intervals of all parameters; a better optimum met on the way is taken."""
    low, high = np.empty((2, *best.parameters().shape))
    rows = np.arange(df.size)
    for _ in range(3):
        part, here = problem.take(rows), best.take(rows)
        allowed = excess(part, here, df[rows], level)
        unit = covariance(part, replace(here, rss=np.ones_like(here.rss)), np.ones(rows.size))
        found = profile(part, here, excess=allowed, covariance=unit, limits=limits(part, here))
        low[:, rows] = np.minimum(found.low, here.parameters())
        high[:, rows] = np.maximum(found.high, here.parameters())
        improved = found.best.rss < here.rss * (1 - 1e-7) - _rounding(part)
        if not improved.any():
            break
        rows, better = rows[improved], found.best.take(np.flatnonzero(improved))
        best = best.put(rows, Solution.better(better, minimise(problem.take(rows), better.theta)))
    _open_perfect(problem, best, low, high)
    values = best.parameters()
    return best, np.minimum(low, values), np.maximum(high, values)


def _open_perfect(problem: Problem, best: Solution, low: Array, high: Array) -> None:
    """Open the ends of intervals of curves without any residual, where the limit fits as perfectly.

    No walk leads there: it starts on a plain, where a search stops at once.
    """
    rows = np.flatnonzero(best.rss <= _rounding(problem))
    if rows.size == 0:
        return
    part = problem.take(rows)
    enough, free = _rounding(part), part.free()
    for limit, end, side in zip(limits(part, best.take(rows)), (low, high), (-np.inf, np.inf), strict=True):
        for parameter, value in enumerate(limit):
            there = solve(part.holding(np.full(rows.size, parameter), value)).rss
            end[parameter, rows[free[parameter] & (there <= enough)]] = side


def limits(problem: Problem, best: Solution) -> tuple[Array, Array]:
    """Where walks end and an interval is called open, shape (parameters, curves)."""
    least, most = problem.span()
    reach = _reach(problem, best)
    low, high = [], []
    for row, term in enumerate(problem.curve.terms[: problem.curve.q]):
        ends = problem.low[row], problem.high[row]
        if term.kind == "position":
            beyond = math.log(BEYOND_DOSES)
            ends = np.maximum(ends[0], least - beyond), np.minimum(ends[1], most + beyond)
        elif not (np.isfinite(ends[0]).all() and np.isfinite(ends[1]).all()):
            far = 1e6 * np.maximum(np.abs(best.theta[row]), 1.0)
            ends = np.maximum(ends[0], best.theta[row] - far), np.minimum(ends[1], best.theta[row] + far)
        held = problem.low[row] == problem.high[row]
        low.append(np.where(held, problem.low[row], ends[0]))
        high.append(np.where(held, problem.low[row], ends[1]))
    for row, centre in enumerate(best.linear):
        far = np.where(np.isnan(problem.held[row]), reach[row], 0.0)
        down, up = centre - far, centre + far
        if problem.floor is not None and problem.ceiling is not None:
            down, up = np.maximum(down, problem.floor[row]), np.minimum(up, problem.ceiling[row])
        low.append(down)
        high.append(up)
    return np.stack(low), np.stack(high)


def _reach(problem: Problem, best: Solution) -> Array:
    """How far a linear parameter is followed, shape (linear, curves): 30 times what would span the signals."""
    used = problem.weight > 0
    spread = np.where(used, problem.signal, -np.inf).max(0) - np.where(used, problem.signal, np.inf).min(0)
    with np.errstate(over="ignore"):
        columns = problem.curve.at(problem.u, best.theta, problem.sign).columns
    size = np.ones_like(best.linear)
    for row, (term, column) in enumerate(zip(problem.curve.terms[problem.curve.q :], columns, strict=True)):
        if term.kind != "plateau":
            size[row] = np.abs(np.where(used, column, 0.0)).max(axis=0)
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(30.0 * spread / np.where(size > 0, size, 1.0), _FARTHEST))


def covariance(problem: Problem, best: Solution, df: Array) -> Array:
    """Gauss–Newton covariance, shape (curves, parameters, parameters); 0 for what is held, infinite where singular."""
    kept = problem.free().T
    slopes = jacobian(problem, best) * np.sqrt(problem.weight) * kept.T[:, None, :]
    with np.errstate(over="ignore", invalid="ignore"):
        size = len(slopes)
        information = np.empty((slopes.shape[2], size, size))
        for i, j in itertools.combinations_with_replacement(range(size), 2):
            information[:, i, j] = information[:, j, i] = dot(slopes[i], slopes[j])
        scale = np.where(kept, np.sqrt(np.maximum(np.einsum("kii->ki", information), _TINY)), 1.0)
        correlation = information / scale[:, :, None] / scale[:, None, :]
    correlation += np.where(kept, 0.0, 1.0)[:, :, None] * np.eye(kept.shape[1])
    finite = np.asarray(np.isfinite(correlation).all(axis=(1, 2)))
    good = finite & (np.linalg.cond(np.where(finite[:, None, None], correlation, 0.0)) < 1e14)
    result = np.full_like(correlation, np.inf)
    scaled = scale[good, :, None] * scale[good, None, :]
    variance = (best.rss / np.maximum(df, 1))[good]
    with np.errstate(over="ignore"):
        result[good] = np.linalg.inv(correlation[good]) / scaled * variance[:, None, None]
    return np.where(kept[:, :, None] & kept[:, None, :], result, 0.0)


def roots(matrix: Array) -> Array:
    """Square roots of the diagonals, shape (curves, parameters)."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("kii->ki", matrix), 0.0)), dtype=float)
