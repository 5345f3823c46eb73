"""Least squares of many sigmoids at once: variable projection and Levenberg–Marquardt, vectorised over curves.

Every curve here is ``y = start * (1 - s) + end * s`` with
``s = 1 / (1 + exp(-m * (ln x - t)))``: `start` is the plateau at dose zero,
`end` the one at infinite dose, ``t = ln EC50`` and ``m = exp(steepness) > 0``.
The two plateaus are linear and eliminated in closed form; a step moves only
(t, steepness).  A parameter is held by marking it as not free.

References
----------
.. [1] Golub & Pereyra (2003), Inverse Problems 19:R1, doi 10.1088/0266-5611/19/2/201.
.. [2] Kaufman (1975), BIT 15:49, doi 10.1007/BF01932995.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEEPNESS_LIMITS", "Problem", "Solution", "evaluate", "grid_starts", "jacobian", "minimise", "solve"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Natural logarithm of the smallest and largest steepness |Hill slope| that is considered.
STEEPNESS_LIMITS = (float(np.log(0.1)), float(np.log(20.0)))
_DECADES_BEYOND = 4.0 * float(np.log(10.0))
_GRID_POSITIONS = 16
_GRID_STEEPNESS = np.log([0.4, 0.8, 1.5, 3.0, 7.0])
_RIDGE = 1e-13


@dataclass(frozen=True)
class Problem:
    """Many curves to be fitted, padded to the same length.

    Parameters
    ----------
    log_dose : array, shape (curves, points)
        ln concentration; -inf at dose zero, +inf at full effect.
    signal : array, shape (curves, points)
        Mean of the wells of a point.
    weight : array, shape (curves, points)
        Number of wells of a point; 0 where it is padding.
    base : array, shape (curves,)
        Sum of squares of the wells round their points' means, which no curve explains.
    start, end : array, shape (curves,)
        Plateau at zero and at infinite dose where it is held; NaN where it is fitted.
    low, high : array, shape (curves, 2)
        Limits of (t, steepness); equal where the parameter is held.
    """

    log_dose: Array
    signal: Array
    weight: Array
    base: Array
    start: Array
    end: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, log_dose: Array, signal: Array, weight: Array, base: Array, *, start: Array, end: Array) -> Problem:
        """Problem with the default limits: four decades beyond the doses, steepness 0.1 to 20."""
        inside = np.isfinite(log_dose) & (weight > 0)
        least = np.where(inside, log_dose, np.inf).min(axis=1)
        most = np.where(inside, log_dose, -np.inf).max(axis=1)
        low = np.stack([least - _DECADES_BEYOND, np.full(least.size, STEEPNESS_LIMITS[0])], axis=1)
        high = np.stack([most + _DECADES_BEYOND, np.full(most.size, STEEPNESS_LIMITS[1])], axis=1)
        return cls(log_dose, signal, weight, base, start, end, low, high)

    def take(self, rows: NDArray[np.intp]) -> Problem:
        """Some of the curves (a curve may be taken several times)."""
        return Problem(*(getattr(self, name)[rows] for name in Problem.__dataclass_fields__))

    def holding(self, name: str, value: Array) -> Problem:
        """Same problem with one parameter held: ``t``, ``steepness``, ``start`` or ``end``."""
        if name in ("start", "end"):
            return replace(self, **{name: value})
        column = {"t": 0, "steepness": 1}[name]
        low, high = self.low.copy(), self.high.copy()
        low[:, column] = high[:, column] = value
        return replace(self, low=low, high=high)

    def low_high(self, index: int) -> tuple[Array, Array]:
        """Limits of parameter `index` (0: t, 1: steepness) of every curve."""
        return self.low[:, index], self.high[:, index]

    def limited(self, index: int, limits: tuple[float, float]) -> Problem:
        """Same problem with other limits of parameter `index` (0: t, 1: steepness)."""
        low, high = self.low.copy(), self.high.copy()
        low[:, index], high[:, index] = limits
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class Solution:
    """Optimum of each curve: t, steepness, both plateaus, residual sum of squares."""

    t: Array
    steepness: Array
    start: Array
    end: Array
    rss: Array
    converged: Flags

    def parameter(self, name: str) -> Array:
        """Values of ``t``, ``steepness``, ``start`` or ``end``."""
        values: Array = getattr(self, name)
        return values

    @staticmethod
    def better(one: Solution, other: Solution) -> Solution:
        """Curve by curve the solution with the smaller residual sum of squares."""
        pick = other.rss < one.rss
        return Solution(*(np.where(pick, getattr(other, n), getattr(one, n)) for n in Solution.__dataclass_fields__))


def _sigmoid(problem: Problem, t: Array, steepness: Array) -> tuple[Array, Array]:
    """Share s of the way from start to end, and ln x - t where it is finite (else 0)."""
    finite = np.isfinite(problem.log_dose)
    distance = np.where(finite, problem.log_dose, 0.0) - t[:, None]
    exponent = np.clip(np.exp(steepness)[:, None] * distance, -700.0, 700.0)
    share = np.where(finite, 1.0 / (1.0 + np.exp(-exponent)), problem.log_dose > 0)
    return share, np.where(finite, distance, 0.0)


def _plateaus(problem: Problem, share: Array) -> tuple[Array, Array, Array, Array]:
    """Best plateaus for given shares: (start, end, columns A, B with held ones zeroed)."""
    free_start, free_end = np.isnan(problem.start), np.isnan(problem.end)
    a, b = 1.0 - share, share
    held = np.where(free_start, 0.0, problem.start)[:, None] * a + np.where(free_end, 0.0, problem.end)[:, None] * b
    rest = problem.signal - held
    column_a, column_b = a * free_start[:, None], b * free_end[:, None]
    x, y = _normal_solve(problem.weight, column_a, column_b, rest)
    return np.where(free_start, x, problem.start), np.where(free_end, y, problem.end), column_a, column_b


def _normal_solve(weight: Array, a: Array, b: Array, y: Array) -> tuple[Array, Array]:
    """Weighted least squares of y on the columns a and b; a zero column gets 0."""
    aa, bb, ab = (weight * a * a).sum(1), (weight * b * b).sum(1), (weight * a * b).sum(1)
    ya, yb = (weight * a * y).sum(1), (weight * b * y).sum(1)
    aa, bb = aa * (1 + _RIDGE) + (aa == 0), bb * (1 + _RIDGE) + (bb == 0)
    determinant = aa * bb - ab * ab
    determinant = np.where(determinant <= 0, np.finfo(float).tiny, determinant)
    return (bb * ya - ab * yb) / determinant, (aa * yb - ab * ya) / determinant


def evaluate(problem: Problem, t: Array, steepness: Array) -> tuple[Array, Array, Array, Array]:
    """Best plateaus, residuals and residual sum of squares at given (t, steepness)."""
    share, _ = _sigmoid(problem, t, steepness)
    start, end, _, _ = _plateaus(problem, share)
    residual = problem.signal - start[:, None] * (1.0 - share) - end[:, None] * share
    return start, end, residual, problem.base + (problem.weight * residual**2).sum(1)


def jacobian(problem: Problem, solution: Solution) -> Array:
    """Derivative of each fitted value by (t, steepness, start, end), shape (curves, points, 4)."""
    share, distance = _sigmoid(problem, solution.t, solution.steepness)
    slope = np.exp(solution.steepness)[:, None] * share * (1.0 - share) * (solution.end - solution.start)[:, None]
    return np.stack([-slope, slope * distance, 1.0 - share, share], axis=-1)


def minimise(problem: Problem, t: Array, steepness: Array, *, iterations: int = 200) -> Solution:
    """Local optimum of each curve from a start, by Levenberg–Marquardt on the projected problem."""
    position = np.clip(np.stack([t, steepness], axis=1), problem.low, problem.high)
    start, end, _, rss = evaluate(problem, position[:, 0], position[:, 1])
    damping = np.full(t.size, 1e-3)
    converged = (problem.low == problem.high).all(axis=1)
    for _ in range(iterations):
        rows = np.flatnonzero(~converged)
        if rows.size == 0:
            break
        part = problem.take(rows)
        step, predicted = _step(part, position[rows], start[rows], end[rows], damping[rows])
        trial = np.clip(position[rows] + step, part.low, part.high)
        moved = np.abs(trial - position[rows]).max(axis=1)
        new_start, new_end, _, new_rss = evaluate(part, trial[:, 0], trial[:, 1])
        good = new_rss <= rss[rows]
        taken = rows[good]
        position[taken], start[taken], end[taken] = trial[good], new_start[good], new_end[good]
        still = (moved < 1e-11) | (good & (moved < 1e-7) & (predicted <= 1e-15 * rss[rows])) | (damping[rows] > 1e13)
        rss[taken] = new_rss[good]
        damping[rows] = np.where(good, np.maximum(damping[rows] / 5.0, 1e-12), damping[rows] * 6.0)
        converged[rows] = still
    return Solution(position[:, 0], position[:, 1], start, end, rss, converged)


def _step(problem: Problem, position: Array, start: Array, end: Array, damping: Array) -> tuple[Array, Array]:
    """Damped Gauss–Newton step of (t, steepness), and the reduction of the sum of squares it promises."""
    share, distance = _sigmoid(problem, position[:, 0], position[:, 1])
    start, end, a, b = _plateaus(problem, share)
    residual = problem.signal - start[:, None] * (1.0 - share) - end[:, None] * share
    slope = np.exp(position[:, 1])[:, None] * share * (1.0 - share) * (end - start)[:, None]
    free = problem.low < problem.high
    columns = [-slope * free[:, :1], slope * distance * free[:, 1:]]
    projected = []
    for column in columns:
        x, y = _normal_solve(problem.weight, a, b, column)
        projected.append(column - x[:, None] * a - y[:, None] * b)
    u, v = projected
    w = problem.weight
    uu, vv, uv = (w * u * u).sum(1), (w * v * v).sum(1), (w * u * v).sum(1)
    gu, gv = (w * columns[0] * residual).sum(1), (w * columns[1] * residual).sum(1)
    gu, gv = _without_blocked(problem, position, gu, gv)
    tiny = np.finfo(float).tiny
    uu, vv = uu * (1 + damping) + tiny, vv * (1 + damping) + tiny
    uu, vv = np.where(uu <= tiny, 1.0, uu), np.where(vv <= tiny, 1.0, vv)
    uv = np.where((gu == 0) | (gv == 0), 0.0, uv)
    determinant = np.maximum(uu * vv - uv * uv, tiny)
    step = np.stack([(vv * gu - uv * gv) / determinant, (uu * gv - uv * gu) / determinant], axis=1)
    step[:, 0] = np.where(gu == 0, 0.0, np.clip(step[:, 0], -3.0, 3.0))
    step[:, 1] = np.where(gv == 0, 0.0, np.clip(step[:, 1], -1.5, 1.5))
    return step, np.abs(step[:, 0] * gu) + np.abs(step[:, 1] * gv)


def _without_blocked(problem: Problem, position: Array, gu: Array, gv: Array) -> tuple[Array, Array]:
    """Gradient without the components that push against a limit already reached."""
    gradient = np.stack([gu, gv], axis=1)
    blocked = ((position >= problem.high) & (gradient > 0)) | ((position <= problem.low) & (gradient < 0))
    gradient[blocked] = 0.0
    return gradient[:, 0], gradient[:, 1]


def solve(problem: Problem, *, starts: int = 3) -> Solution:
    """Global optimum of each curve: a fixed grid of starts, the best of them refined.  Deterministic."""
    best: Solution | None = None
    for t, steepness in grid_starts(problem, starts):
        found = minimise(problem, t, steepness)
        best = found if best is None else Solution.better(best, found)
    assert best is not None
    return best


def grid_starts(problem: Problem, count: int) -> list[tuple[Array, Array]]:
    """The `count` best places (t, steepness) of a fixed grid over the doses, for each curve."""
    inside = np.isfinite(problem.log_dose) & (problem.weight > 0)
    least = np.where(inside, problem.log_dose, np.inf).min(axis=1)
    most = np.where(inside, problem.log_dose, -np.inf).max(axis=1)
    places = [(share, slope) for share in np.linspace(-0.05, 1.15, _GRID_POSITIONS) for slope in _GRID_STEEPNESS]
    t = np.stack([np.clip(least + share * (most - least), *problem.low_high(0)) for share, _ in places])
    slopes = np.stack([np.clip(np.full(least.size, slope), *problem.low_high(1)) for _, slope in places])
    rss = np.stack([evaluate(problem, one, slope)[3] for one, slope in zip(t, slopes, strict=True)])
    order = np.argsort(rss, axis=0, kind="stable")[:count]
    curves = np.arange(least.size)
    return [(t[rank, curves], slopes[rank, curves]) for rank in order]
