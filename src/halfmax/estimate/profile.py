"""Profile-likelihood intervals of many curves at once, by root-finding on the profile.

A value v of a parameter belongs to the interval when the best fit that holds the
parameter at v is not significantly worse than the best fit of all::

    RSS(v) <= RSS_min * (1 + F(1, df; level) / df)

The walk starts at the optimum, steps outwards until the profile crosses the
threshold or a limit is reached, and refines the crossing.  Where the limit comes
first the interval is open, and its end is infinite.

References
----------
.. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.least_squares import Problem, Solution, evaluate, grid_starts, minimise

__all__ = ["Profile", "held_at", "profile"]

Array = NDArray[np.float64]
_GROWTH = 1.5
_NUISANCE_STARTS = 9
#: How closely the threshold is met, as a share of the root of the allowed excess.
_PRECISION = 1e-7


@dataclass(frozen=True)
class Profile:
    """Ends of the interval of each curve (infinite where open), and the best solution met on the way."""

    low: Array
    high: Array
    best: Solution


def profile(
    problem: Problem, best: Solution, name: str, *, excess: Array, step: Array, limits: tuple[Array, Array]
) -> Profile:
    """Profile interval of one parameter of every curve.

    Parameters
    ----------
    problem : Problem
    best : Solution
        The optimum from which to walk.
    name : {"t", "steepness", "start", "end"}
    excess : array, shape (curves,)
        By how much the residual sum of squares may exceed its minimum.
    step : array, shape (curves,)
        First step, about half a standard error.
    limits : (array, array), each shape (curves,)
        Where the walk ends and the interval is called open.
    """
    ends, met = [], best
    for sign, limit in ((-1.0, limits[0]), (1.0, limits[1])):
        end, met = _walk(problem, best, met, name, sign, excess, step, limit)
        ends.append(end)
    return Profile(ends[0], ends[1], met)


def _walk(
    problem: Problem, best: Solution, met: Solution, name: str, sign: float, excess: Array, step: Array, limit: Array
) -> tuple[Array, Solution]:
    """One end of the interval of each curve."""
    optimum = best.parameter(name)
    inner, inner_height = optimum.copy(), np.zeros(optimum.size)
    outer, outer_height = np.full(optimum.size, np.nan), np.full(optimum.size, np.nan)
    goal = np.sqrt(excess)
    warm, stride = best, np.maximum(step, 1e-9)
    walking = (limit - optimum) * sign > 0
    for _ in range(200):
        rows = np.flatnonzero(walking)
        if rows.size == 0:
            break
        at = optimum[rows] if rows.size == 0 else inner[rows] + sign * stride[rows]
        at = np.minimum(at, limit[rows]) if sign > 0 else np.maximum(at, limit[rows])
        found = held_at(problem.take(rows), name, at, _pick(warm, rows))
        height = np.sqrt(np.maximum(found.rss - best.rss[rows], 0.0))
        met, warm = _put(met, rows, found), _replace(warm, rows, found)
        crossed = height > goal[rows]
        outer[rows[crossed]], outer_height[rows[crossed]] = at[crossed], height[crossed]
        inside = rows[~crossed]
        inner[inside], inner_height[inside] = at[~crossed], height[~crossed]
        walking[rows[crossed]] = False
        walking[inside] = (limit[inside] - inner[inside]) * sign > 1e-12
        stride[inside] *= _GROWTH
    bounded = np.isfinite(outer)
    end = np.full(optimum.size, sign * np.inf)
    if bounded.any():
        rows = np.flatnonzero(bounded)
        roots, met = _refine(problem, best, met, name, rows, inner, inner_height, outer, outer_height, goal)
        end[rows] = roots
    return end, met


def _refine(
    problem: Problem,
    best: Solution,
    met: Solution,
    name: str,
    rows: NDArray[np.intp],
    inner: Array,
    inner_height: Array,
    outer: Array,
    outer_height: Array,
    goal: Array,
) -> tuple[Array, Solution]:
    """Crossing between inner and outer of each of `rows`, by the Illinois method."""
    a, fa = inner[rows], inner_height[rows] - goal[rows]
    b, fb = outer[rows], outer_height[rows] - goal[rows]
    part, floor, aim = problem.take(rows), best.rss[rows], goal[rows]
    warm = _pick(best, rows)
    scale = np.maximum(np.abs(b - a), 1e-12)
    for _ in range(60):
        if (np.abs(b - a) <= 1e-9 * np.maximum(1.0, np.abs(b)) + 1e-10 * scale).all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            c = b - fb * (b - a) / (fb - fa)
        c = np.where(np.isfinite(c) & ((c - a) * (c - b) < 0), c, 0.5 * (a + b))
        found = held_at(part, name, c, warm)
        met, warm = _put(met, rows, found), found
        fc = np.sqrt(np.maximum(found.rss - floor, 0.0)) - aim
        beyond = fc > 0
        same_side = np.where(beyond, fb > 0, fa > 0)
        halve_a = beyond & same_side
        a, fa = np.where(beyond, a, c), np.where(beyond, np.where(halve_a, fa * 0.5, fa), fc)
        b, fb = np.where(beyond, c, b), np.where(beyond, fc, fb * 0.5)
        if (np.abs(fc) <= _PRECISION * np.maximum(aim, 1e-300)).all():
            return c, met
    return np.where(np.abs(fa) < np.abs(fb), a, b), met


def held_at(problem: Problem, name: str, value: Array, warm: Solution) -> Solution:
    """Best fit with one parameter held at `value`, from the neighbour's solution and from a small grid."""
    held = problem.holding(name, value)
    found = minimise(held, warm.t, warm.steepness, iterations=60)
    if name in ("t", "steepness"):
        t, steepness = _nuisance_start(held, name, value)
    else:
        ((t, steepness),) = grid_starts(held, 1)
    rows = np.flatnonzero(evaluate(held, t, steepness)[3] < found.rss)
    if rows.size:
        found = _put(found, rows, minimise(held.take(rows), t[rows], steepness[rows], iterations=60))
    return found


def _nuisance_start(held: Problem, name: str, value: Array) -> tuple[Array, Array]:
    """Best place on a line through the limits of the one nonlinear parameter that is free."""
    other = 1 if name == "t" else 0
    places = np.linspace(*held.low_high(other), _NUISANCE_STARTS + 2)[1:-1]
    pairs = [(value, place) if name == "t" else (place, value) for place in places]
    pick = np.stack([evaluate(held, t, s)[3] for t, s in pairs]).argmin(axis=0)
    curves = np.arange(value.size)
    return np.stack([t for t, _ in pairs])[pick, curves], np.stack([s for _, s in pairs])[pick, curves]


def _pick(solution: Solution, rows: NDArray[np.intp]) -> Solution:
    return Solution(*(getattr(solution, name)[rows] for name in Solution.__dataclass_fields__))


def _replace(solution: Solution, rows: NDArray[np.intp], part: Solution) -> Solution:
    values = []
    for name in Solution.__dataclass_fields__:
        column = getattr(solution, name).copy()
        column[rows] = getattr(part, name)
        values.append(column)
    return Solution(*values)


def _put(solution: Solution, rows: NDArray[np.intp], part: Solution) -> Solution:
    """`solution` with the better of its own and `part`'s curves at `rows`."""
    return _replace(solution, rows, Solution.better(_pick(solution, rows), part))
