"""Least squares of many sigmoids at once: variable projection and Levenberg–Marquardt, vectorised over curves.

Every curve here is ``y = start * (1 - s) + end * s`` with
``s = 1 / (1 + exp(-m * (ln x - t)))``: `start` is the plateau at dose zero,
`end` the one at infinite dose, ``t = ln EC50`` and ``m = exp(steepness) > 0``.
The two plateaus are linear and eliminated in closed form; a step moves only
(t, steepness).  Arrays are laid out points × curves, so that a sum over the points
of all curves is a sum of long rows.

References
----------
.. [1] Golub & Pereyra (2003), Inverse Problems 19:R1, doi 10.1088/0266-5611/19/2/201.
.. [2] Kaufman (1975), BIT 15:49, doi 10.1007/BF01932995.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEEPNESS_LIMITS", "Problem", "Solution", "evaluate", "grid_start", "jacobian", "minimise", "solve"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]

#: Natural logarithm of the smallest and largest steepness |Hill slope| that is considered.
STEEPNESS_LIMITS = (float(np.log(0.1)), float(np.log(20.0)))
_DECADES_BEYOND = 4.0 * float(np.log(10.0))
_GRID_POSITIONS = np.linspace(-0.05, 1.15, 16)
_GRID_STEEPNESS = np.log([0.4, 0.8, 1.5, 3.0, 7.0])
#: A start is refined too if its sum of squares is less than this many times that of the optimum found so far.
_RIVAL = 1.1
#: Stands for ln 0 (negative) and ln infinity: far enough for s to be 0 or 1 exactly at every steepness.
_FAR = 1e4
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Problem:
    """Many curves to be fitted, padded to the same number of points.

    Parameters
    ----------
    log_dose : array, shape (points, curves)
        ln concentration; -inf at dose zero and +inf at full effect are kept as ∓`_FAR`.
    signal : array, shape (points, curves)
        Mean of the wells of a point.
    weight : array, shape (points, curves)
        Number of wells of a point; 0 where it is padding.
    base : array, shape (curves,)
        Sum of squares of the wells round their points' means, which no curve explains.
    start, end : array, shape (curves,)
        Plateau at zero and at infinite dose where it is held; NaN where it is fitted.
    low, high : array, shape (2, curves)
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
        kept = np.clip(log_dose, -_FAR, _FAR)
        problem = cls(kept, signal, weight, base, start, end, np.empty(0), np.empty(0))
        least, most = problem.doses()
        ones = np.ones_like(least)
        low = np.stack([least - _DECADES_BEYOND, STEEPNESS_LIMITS[0] * ones])
        high = np.stack([most + _DECADES_BEYOND, STEEPNESS_LIMITS[1] * ones])
        return replace(problem, low=low, high=high)

    def doses(self) -> tuple[Array, Array]:
        """ln of the lowest and the highest dose above zero, of each curve."""
        inside = (np.abs(self.log_dose) < _FAR) & (self.weight > 0)
        least = np.where(inside, self.log_dose, np.inf).min(axis=0)
        return least, np.where(inside, self.log_dose, -np.inf).max(axis=0)

    def at_full_effect(self) -> Flags:
        """Points at infinite dose, shape (points, curves)."""
        return np.asarray((self.log_dose >= _FAR) & (self.weight > 0))

    def take(self, rows: Rows) -> Problem:
        """Some of the curves (a curve may be taken several times)."""
        return Problem(*(getattr(self, name)[..., rows] for name in Problem.__dataclass_fields__))

    def holding(self, index: Rows, value: Array) -> Problem:
        """Same problem with one parameter of each curve held.

        `index` says which, curve by curve: 0 t, 1 steepness, 2 start, 3 end.
        """
        low, high = self.low.copy(), self.high.copy()
        for parameter in (0, 1):
            held = index == parameter
            low[parameter, held] = high[parameter, held] = value[held]
        return replace(
            self, low=low, high=high, start=np.where(index == 2, value, self.start),
            end=np.where(index == 3, value, self.end),
        )  # fmt: skip

    def limited(self, index: int, limits: tuple[float, float]) -> Problem:
        """Same problem with other limits of parameter `index` (0: t, 1: steepness)."""
        low, high = self.low.copy(), self.high.copy()
        low[index], high[index] = limits
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

    def parameters(self) -> Array:
        """t, steepness, start, end, shape (4, curves)."""
        return np.stack([self.t, self.steepness, self.start, self.end])

    def take(self, rows: Rows) -> Solution:
        """Some of the curves."""
        return Solution(*(getattr(self, name)[rows] for name in Solution.__dataclass_fields__))

    def put(self, rows: Rows, part: Solution) -> Solution:
        """This solution with `part` at `rows`."""
        values = []
        for name in Solution.__dataclass_fields__:
            column = getattr(self, name).copy()
            column[rows] = getattr(part, name)
            values.append(column)
        return Solution(*values)

    @staticmethod
    def better(one: Solution, other: Solution) -> Solution:
        """Curve by curve the solution with the smaller residual sum of squares."""
        pick = other.rss < one.rss
        return Solution(*(np.where(pick, getattr(other, n), getattr(one, n)) for n in Solution.__dataclass_fields__))


@dataclass
class _State:
    """A place (t, steepness) of each curve, with all that follows from it."""

    position: Array
    share: Array
    start: Array
    end: Array
    residual: Array
    rss: Array
    gram: tuple[Array, Array, Array]

    @classmethod
    def at(cls, problem: Problem, position: Array) -> _State:
        """Shares, best plateaus and residuals at a place."""
        with np.errstate(over="ignore"):
            share = 1.0 / (1.0 + np.exp(np.exp(position[1]) * (position[0] - problem.log_dose)))
        w, y = problem.weight, problem.signal
        ws = w * share
        b, bb = ws.sum(0), _dot(ws, share)
        aa, ab = np.maximum(w.sum(0) - 2.0 * b + bb, 0.0), b - bb
        yb = _dot(ws, y)
        ya = _dot(w, y) - yb
        start, end = _plateaus(problem, (aa, bb, ab), ya, yb)
        residual = y - start - (end - start) * share
        return cls(position, share, start, end, residual, problem.base + _dot(w * residual, residual), (aa, bb, ab))

    def move(self, other: _State, where: Flags) -> None:
        """Take over `other` for some curves."""
        for name in ("position", "share", "start", "end", "residual", "rss"):
            np.copyto(getattr(self, name), getattr(other, name), where=where)
        for own, new in zip(self.gram, other.gram, strict=True):
            np.copyto(own, new, where=where)

    def take(self, kept: Flags) -> _State:
        """Some of the curves."""
        aa, bb, ab = self.gram
        return _State(
            self.position[:, kept], self.share[:, kept], self.start[kept], self.end[kept], self.residual[:, kept],
            self.rss[kept], (aa[kept], bb[kept], ab[kept]),
        )  # fmt: skip

    def solution(self, converged: Flags) -> Solution:
        """As a Solution."""
        return Solution(self.position[0], self.position[1], self.start, self.end, self.rss, converged)


def _dot(a: Array, b: Array) -> Array:
    """Sum over points of a product, for each curve."""
    return np.asarray(np.einsum("ij,ij->j", a, b))


def _plateaus(problem: Problem, gram: tuple[Array, Array, Array], ya: Array, yb: Array) -> tuple[Array, Array]:
    """Best start and end for given shares; those held stay."""
    aa, bb, ab = gram
    aa, bb = aa + (aa == 0) * 1.0, bb + (bb == 0) * 1.0
    free_start, free_end = np.isnan(problem.start), np.isnan(problem.end)
    determinant = np.maximum(aa * bb - ab * ab, aa * bb * 1e-13 + _TINY)
    start, end = (bb * ya - ab * yb) / determinant, (aa * yb - ab * ya) / determinant
    if not (free_start.all() and free_end.all()):
        start = np.where(free_start, np.where(free_end, start, (ya - problem.end * ab) / aa), problem.start)
        end = np.where(free_end, np.where(free_start, end, (yb - problem.start * ab) / bb), problem.end)
    return start, end


def evaluate(problem: Problem, t: Array, steepness: Array) -> Array:
    """Residual sum of squares at (t, steepness) with the best plateaus."""
    return _State.at(problem, np.stack([t, steepness])).rss


def jacobian(problem: Problem, solution: Solution) -> Array:
    """Derivative of each fitted value by (t, steepness, start, end), shape (4, points, curves)."""
    state = _State.at(problem, np.stack([solution.t, solution.steepness]))
    share = state.share
    slope = np.exp(solution.steepness) * share * (1.0 - share) * (solution.end - solution.start)
    return np.stack([-slope, slope * (problem.log_dose - solution.t), 1.0 - share, share])


def minimise(
    problem: Problem, t: Array, steepness: Array, *, precision: float = 1e-9, near: bool = False, iterations: int = 200
) -> Solution:
    """Local optimum of each curve from a start, by Levenberg–Marquardt on the projected problem.

    A curve has converged when a step moves it by less than `precision`, or lowers its
    sum of squares by a share of about `precision` squared. `near` says that the start
    is a neighbour's optimum, so that the first steps need hardly any damping.
    """
    enough = max(1e-14, 10.0 * precision**2)
    state = _State.at(problem, np.clip(np.stack([t, steepness]), problem.low, problem.high))
    rows = np.arange(t.size)
    result = state.solution(np.zeros(t.size, dtype=bool))
    damping, moving = np.full(t.size, 1e-7 if near else 1e-3), np.ones(t.size, dtype=bool)
    for _ in range(iterations):
        position = state.position + _step(problem, state, damping)
        np.clip(position, problem.low, problem.high, out=position)
        moved = np.abs(position - state.position).max(axis=0)
        trial = _State.at(problem, position)
        good = trial.rss <= state.rss
        gained = state.rss - trial.rss
        settled = (moved < precision) | (good & (moved < 1e3 * precision) & (gained <= enough * state.rss))
        state.move(trial, good)
        damping = np.where(good, np.maximum(damping * 0.1, 1e-12), damping * 6.0)
        moving &= ~(settled | (damping > 1e12))
        left = int(moving.sum())
        if left < 0.7 * moving.size or left == 0:
            done = ~moving
            result = result.put(rows[done], state.take(done).solution(np.ones(int(done.sum()), dtype=bool)))
            if left == 0:
                return result
            state, damping, rows = state.take(moving), damping[moving], rows[moving]
            problem, moving = problem.take(np.flatnonzero(moving)), np.ones(left, dtype=bool)
    return result.put(rows, state.solution(~moving))


def _step(problem: Problem, state: _State, damping: Array) -> Array:
    """Damped Gauss–Newton step of (t, steepness), the plateaus projected out."""
    share, (aa, bb, ab) = state.share, state.gram
    slope = np.exp(state.position[1]) * (state.end - state.start) * share * (1.0 - share)
    weighted = problem.weight * slope
    distance = problem.log_dose - state.position[0]
    by_slope = weighted * distance
    uu, uv, vv = _dot(weighted, slope), -_dot(by_slope, slope), _dot(by_slope, slope * distance)
    ub, vb = -_dot(weighted, share), _dot(by_slope, share)
    ua, va = -weighted.sum(0) - ub, by_slope.sum(0) - vb
    gu, gv = -_dot(weighted, state.residual), _dot(by_slope, state.residual)
    uu, uv, vv = _projected(problem, (aa, bb, ab), (uu, uv, vv), (ua, ub, va, vb))
    free = problem.low < problem.high
    blocked = ((state.position >= problem.high) & (np.stack([gu, gv]) > 0)) | (
        (state.position <= problem.low) & (np.stack([gu, gv]) < 0)
    )
    still = ~free | blocked
    gu, gv = np.where(still[0], 0.0, gu), np.where(still[1], 0.0, gv)
    uv = np.where(still.any(axis=0), 0.0, uv)
    uu, vv = uu * (1 + damping) + _TINY, vv * (1 + damping) + _TINY
    determinant = np.maximum(uu * vv - uv * uv, 1e-12 * uu * vv + _TINY)
    with np.errstate(over="ignore"):
        step = np.stack([(vv * gu - uv * gv) / determinant, (uu * gv - uv * gu) / determinant])
    step[:, ~np.isfinite(step).all(axis=0)] = 0.0
    return np.asarray(np.clip(step, [[-3.0], [-1.5]], [[3.0], [1.5]]))


def _projected(
    problem: Problem, gram: tuple[Array, Array, Array], inner: tuple[Array, Array, Array],
    cross: tuple[Array, Array, Array, Array],
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Products of the two slopes after the free plateaus have been projected out."""
    (aa, bb, ab), (uu, uv, vv), (ua, ub, va, vb) = gram, inner, cross
    free_start, free_end = np.isnan(problem.start), np.isnan(problem.end)
    aa, bb = aa + (aa == 0) * 1.0, bb + (bb == 0) * 1.0
    both = free_start & free_end
    determinant = np.where(both, np.maximum(aa * bb - ab * ab, aa * bb * 1e-13 + _TINY), aa * bb)
    paa = np.where(free_start, bb, 0.0) / determinant
    pbb = np.where(free_end, aa, 0.0) / determinant
    pab = np.where(both, -ab, 0.0) / determinant
    uu = uu - (paa * ua * ua + 2 * pab * ua * ub + pbb * ub * ub)
    vv = vv - (paa * va * va + 2 * pab * va * vb + pbb * vb * vb)
    uv = uv - (paa * ua * va + pab * (ua * vb + ub * va) + pbb * ub * vb)
    return np.maximum(uu, 0.0), uv, np.maximum(vv, 0.0)


def solve(problem: Problem, *, starts: int = 4) -> Solution:
    """Global optimum of each curve: a fixed grid of starts, the best of them refined.  Deterministic.

    Further starts, up to `starts`, are refined only for curves in which they begin
    nearly as low as the optimum found so far: noise has many valleys, a clear curve one.
    """
    t, steepness, rss = _grid(problem)
    order = np.argsort(rss, axis=0, kind="stable")[:starts]
    curves = np.arange(problem.base.size)
    best = minimise(problem, t[order[0], curves], steepness[order[0], curves])
    for rank in order[1:]:
        rows = np.flatnonzero(rss[rank, curves] < _RIVAL * best.rss)
        if rows.size:
            places = rank[rows], rows
            again = minimise(problem.take(rows), t[places], steepness[places])
            best = best.put(rows, Solution.better(best.take(rows), again))
    return best


def grid_start(problem: Problem, *, coarse: bool = False) -> tuple[Array, Array]:
    """Best place (t, steepness) of a fixed grid, for each curve, within its limits."""
    t, steepness, rss = _grid(problem, coarse=coarse)
    rank, curves = rss.argmin(axis=0), np.arange(problem.base.size)
    return t[rank, curves], steepness[rank, curves]


def _grid(problem: Problem, *, coarse: bool = False) -> tuple[Array, Array, Array]:
    """A fixed grid over the doses: t, steepness and residual sum of squares, shape (places, curves)."""
    least, most = problem.doses()
    positions, slopes = (_GRID_POSITIONS[::2], _GRID_STEEPNESS[1::2]) if coarse else (_GRID_POSITIONS, _GRID_STEEPNESS)
    places = [(share, slope) for share in positions for slope in slopes]
    t = np.stack([np.clip(least + share * (most - least), problem.low[0], problem.high[0]) for share, _ in places])
    steepness = np.stack([np.clip(np.full(least.size, m), problem.low[1], problem.high[1]) for _, m in places])
    return t, steepness, _grid_rss(problem, t, steepness)


def _grid_rss(problem: Problem, ts: Array, ms: Array) -> Array:
    """Residual sums of squares at every place of a grid, shape (places, curves).

    Curves that share their doses share the shares: their sums of squares are those of
    projections by common matrices, one product for the whole grid.
    """
    first = problem.log_dose[:, :1]
    shared = (
        np.isnan(problem.start).all() and np.isnan(problem.end).all()
        and (problem.log_dose == first).all() and (problem.weight == problem.weight[:, :1]).all()
        and (ts == ts[:, :1]).all() and (ms == ms[:, :1]).all()
    )  # fmt: skip
    if not shared:
        return np.stack([evaluate(problem, t, m) for t, m in zip(ts, ms, strict=True)])
    root = np.sqrt(problem.weight[:, 0])
    with np.errstate(over="ignore"):
        share = 1.0 / (1.0 + np.exp(np.exp(ms[:, :1]) * (ts[:, :1] - first.T)))
    columns = np.stack([(1.0 - share) * root, share * root], axis=-1)
    basis, _ = np.linalg.qr(columns)
    y = problem.signal * root[:, None]
    y = y - root[:, None] * (root @ y) / (root @ root)
    projected = np.einsum("gnk,nb->gkb", basis, y, optimize=True)
    return np.asarray(problem.base + (y**2).sum(0) - (projected**2).sum(axis=1))
