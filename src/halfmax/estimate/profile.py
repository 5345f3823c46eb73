"""Profile-likelihood intervals of many curves at once, by root-finding on the profile.

A value v of a parameter belongs to the interval when the best fit that holds the
parameter at v is not significantly worse than the best fit of all::

    RSS(v) <= RSS_min * (1 + F(1, df; level) / df)

The walk starts at the end that the delta method gives and closes in on the crossing,
all parameters, both ends and all curves in one batch.  Where a limit comes first the
interval is open, and its end is infinite.  A crossing is believed only if no other
start does better there.

References
----------
.. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.least_squares import Problem, Solution, evaluate, grid_start, minimise

__all__ = ["Profile", "held_at", "profile"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]
#: Another start is followed if its sum of squares is less than this many times that of the crossing.
_RIVAL = 1.5
#: Iterations of an inner fit before the others go on without it.
_PATIENCE = 6
#: Longest first step, as a share of the way to the limit.
_FIRST = 0.07
#: A bracket that closes on a jump from below this share of the goal is a fit that failed, not a crossing: the walk
#: goes on from its inner end, so many times.
_JUMP, _JUMPS = 0.98, 3
#: After so many places a walk ends: within its bracket, or open if it has none.
_VISITS = 60
#: How often an inner fit that has not converged is taken up again.
_TRIES = 5
#: How closely the threshold is met, as a share of the root of the allowed excess; eased where a profile is hard to
#: follow, up to the coarsest.
_PRECISION, _COARSEST = 3e-6, 2e-3
#: Precision of the nonlinear parameters in a fit that holds one: its sum of squares is exact to the square of this.
_HELD_PRECISION = 1e-4


@dataclass(frozen=True)
class Profile:
    """Ends of the intervals of all parameters, each shape (parameters, curves), infinite where open.

    `best` is the best solution met on the way.
    """

    low: Array
    high: Array
    best: Solution


@dataclass
class _Walks:
    """Ends of intervals being looked for: one a row, of some parameter of some curve, in some direction."""

    curve: Rows
    parameter: Rows
    sign: Array
    optimum: Array
    goal: Array
    limit: Array
    inner: Array
    inner_height: Array
    end: Array
    rate: Array
    warm: Solution

    def take(self, rows: Rows) -> _Walks:
        """Some of the walks."""
        columns = {name: getattr(self, name)[rows] for name in _Walks.__dataclass_fields__ if name != "warm"}
        return _Walks(**columns, warm=self.warm.take(rows))


def profile(
    problem: Problem, best: Solution, *, excess: Array, covariance: Array, limits: tuple[Array, Array]
) -> Profile:
    """Profile intervals of all parameters of every curve.

    Parameters
    ----------
    problem : Problem
    best : Solution
        The optimum from which to walk.
    excess : array, shape (curves,)
        By how much the residual sum of squares may exceed its minimum.
    covariance : array, shape (curves, parameters, parameters)
        By the delta method, as a multiple of the residual sum of squares' excess: where to
        look first, and how the others move along.
    limits : (array, array), each shape (parameters, curves)
        Where a walk ends and the interval is called open; equal for what is held.
    """
    optimum, held = best.parameters(), limits[0] == limits[1]
    walks = _walks(best, excess, held, limits)
    k, c = walks.parameter, walks.curve
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        walks.rate = walks.sign * np.sqrt(covariance[c, k, k])
        reach = _FIRST * np.abs(walks.limit - walks.optimum)
        first = walks.optimum + np.clip(walks.rate * walks.goal, -reach, reach)
        drift = np.nan_to_num(covariance[c, : problem.curve.q, k] / covariance[c, k, k, None], posinf=0.0, neginf=0.0).T
    met = _search(problem, best, best, walks, first, drift)
    rows = np.flatnonzero(np.isfinite(walks.end))
    for _ in range(4):
        rows, found = _elsewhere(problem, best, walks, rows)
        if rows.size == 0:
            break
        again = walks.take(rows)
        again.inner, again.warm, again.inner_height = again.end, found, _height(found, best, again)
        again.end = np.full(rows.size, np.nan)
        still = np.zeros((problem.curve.q, rows.size))
        met = _search(problem, best, met, again, again.inner + 0.3 * (again.inner - again.optimum), still)
        walks.end[rows], walks.warm = again.end, walks.warm.put(rows, again.warm)
        rows = rows[np.isfinite(again.end)]
    low, high = optimum.copy(), optimum.copy()
    below = walks.sign < 0
    low[walks.parameter[below], walks.curve[below]] = walks.end[below]
    high[walks.parameter[~below], walks.curve[~below]] = walks.end[~below]
    return Profile(low, high, met)


def _walks(best: Solution, excess: Array, held: NDArray[np.bool_], limits: tuple[Array, Array]) -> _Walks:
    """Both ends of every parameter that is not held."""
    parameter, curve = np.nonzero(~held)
    parameter, curve = np.tile(parameter, 2), np.tile(curve, 2)
    sign = np.repeat([-1.0, 1.0], parameter.size // 2)
    optimum = best.parameters()[parameter, curve]
    limit = np.where(sign < 0, limits[0][parameter, curve], limits[1][parameter, curve])
    nothing = np.full(sign.size, np.nan)
    return _Walks(
        curve, parameter, sign, optimum, np.sqrt(excess)[curve], limit, optimum.copy(), np.zeros(sign.size), nothing,
        nothing, best.take(curve),
    )  # fmt: skip


def _height(found: Solution, best: Solution, walks: _Walks) -> Array:
    return np.asarray(np.sqrt(np.maximum(found.rss - best.rss[walks.curve], 0.0)))


def _search(problem: Problem, best: Solution, met: Solution, walks: _Walks, first: Array, drift: Array) -> Solution:
    """Find the ends of `walks` (changed in place), starting at `first`; returns the best solution met.

    `drift`, shape (nonlinear, walks), is how the nonlinear parameters move with the parameter that is held.

    The root of the excess is nearly linear in a parameter, with the slope at the optimum
    that the delta method gives, so that inverse interpolation through it and the last two
    places finds the crossing in a few steps; it is kept within the bracket, which after a
    few steps every third one halves, because a profile can jump.
    """
    at = _within(first, walks)
    outer, outer_height = np.full((2, walks.sign.size), np.nan)
    before, height_before = np.full((2, walks.sign.size), np.nan)
    place, tries, visits = np.full_like(drift, np.nan), np.zeros(walks.sign.size), np.zeros(walks.sign.size)
    jumps = np.zeros(walks.sign.size)
    over = (walks.limit - walks.inner) * walks.sign <= 0
    walks.end[over] = walks.sign[over] * np.inf
    rows = np.flatnonzero(~over)
    while rows.size:
        part, here = walks.take(rows), at[rows]
        ahead = here - part.inner
        start = np.where(tries[rows] > 0, place[:, rows], part.warm.theta + np.clip(drift[:, rows] * ahead, -1.0, 1.0))
        found = held_at(
            problem.take(part.curve), part.parameter, here, start, again=tries[rows] > 0,
            iterations=_PATIENCE,
        )  # fmt: skip
        met = _with_better(met, part.curve, found)
        height = _height(found, best, part)
        done = found.converged | (tries[rows] >= _TRIES)
        place[:, rows], tries[rows] = found.theta, np.where(done, 0, tries[rows] + 1)
        waiting, ready = rows[~done], np.flatnonzero(done)
        part, found, height, rows, here = part.take(ready), found.take(ready), height[ready], rows[ready], here[ready]
        miss, beyond = height - part.goal, height > part.goal
        outer[rows[beyond]], walks.inner[rows[~beyond]] = here[beyond], here[~beyond]
        outer_height[rows[beyond]], walks.inner_height[rows[~beyond]] = height[beyond], height[~beyond]
        enough = np.minimum(_PRECISION * 4.0 ** np.maximum(visits[rows] - 3, 0), _COARSEST)
        met_goal = np.abs(miss) <= enough * part.goal
        narrow = ~met_goal & (np.abs(outer[rows] - walks.inner[rows]) <= enough * np.abs(here - part.optimum))
        jump = narrow & (walks.inner_height[rows] < _JUMP * part.goal) & (jumps[rows] < _JUMPS)
        outer[rows[jump]], jumps[rows] = np.nan, jumps[rows] + jump
        close = met_goal | (narrow & ~jump)
        visits[rows] += 1
        spent = ~beyond & ~close & (here == part.limit)
        tired = visits[rows] > _VISITS
        crossed = (close | (tired & np.isfinite(outer[rows]))) & np.isfinite(here)
        walks.end[rows] = np.where(crossed, here, np.where(spent | tired, part.sign * np.inf, np.nan))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            crossing = _crossing(part, (here, height), (before[rows], height_before[rows]))
            moved = (found.theta - part.warm.theta) / (here - part.inner)
        drift[:, rows] = np.where(jump, 0.0, np.nan_to_num(moved, posinf=0.0, neginf=0.0))
        kept = np.flatnonzero(~beyond | close)
        walks.warm = walks.warm.put(rows[kept], found.take(kept))
        before[rows], height_before[rows] = here, height
        left = np.isnan(walks.end[rows])
        rows = rows[left]
        at[rows] = _next(walks.take(rows), crossing[left], (outer[rows], outer_height[rows]), visits[rows])
        rows = np.sort(np.concatenate([rows, waiting]))
    return met


def _crossing(walks: _Walks, last: tuple[Array, Array], before: tuple[Array, Array]) -> Array:
    """Where the root of the excess should reach the goal.

    Inverse interpolation of (place - optimum) / root through its value at the optimum, which
    the delta method gives, and at the places evaluated last.
    """
    ratios = [(place - walks.optimum) / height for place, height in (last, before)]
    slope = (ratios[0] - walks.rate) / last[1]
    bend = (slope - (ratios[1] - walks.rate) / before[1]) / (last[1] - before[1])
    bend = np.where(np.isfinite(bend), bend, 0.0)
    ratio = ratios[0] + (walks.goal - last[1]) * (slope + bend * walks.goal)
    guess = walks.optimum + walks.goal * ratio
    secant = last[0] + (walks.goal - last[1]) * (last[0] - before[0]) / (last[1] - before[1])
    return np.where(np.isfinite(guess), guess, secant)


def _within(at: Array, walks: _Walks) -> Array:
    """A place between the inner end and the limit; a small step where the guess means nothing."""
    span = np.abs(walks.limit - walks.inner)
    guess = np.where(np.isfinite(at), np.abs(at - walks.inner), 0.02 * span)
    step = np.clip(guess, np.minimum(1e-6 * span, 1e-6), span)
    return np.asarray(np.where(step >= span, walks.limit, walks.inner + walks.sign * step))


def _next(walks: _Walks, guess: Array, outer: tuple[Array, Array], visits: Array) -> Array:
    """Where to look next: the guess, the secant, or half way, within the bracket; beyond the inner end without one."""
    place, height = outer
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = (guess - walks.inner) / (place - walks.inner)
        secant = (walks.goal - walks.inner_height) / (height - walks.inner_height)
        growth = (guess - walks.optimum) / (walks.inner - walks.optimum)
    growth = np.where(np.isfinite(growth) & (growth > 1), growth * 1.01, 4.0)
    share = np.where((share > 0) & (share < 1), share, np.clip(secant, 0.02, 0.98))
    share = np.where((visits >= 5) & (visits % 3 == 2), 0.5, share)
    between = walks.inner + share * (place - walks.inner)
    farther = _within(walks.optimum + (walks.inner - walks.optimum) * np.clip(growth, 1.05, 4.0), walks)
    return np.where(np.isfinite(place), between, farther)


def held_at(
    problem: Problem, parameter: Rows, value: Array, start: Array, *, again: Flags | None = None, iterations: int
) -> Solution:
    """Best fit of each curve with a parameter held at `value`, from near it; `again` where that failed before."""
    held = problem.holding(parameter, value)
    damping = np.full(value.size, 1e-7) if again is None else np.where(again, 1e-2, 1e-7)
    return minimise(held, start, precision=_HELD_PRECISION, damping=damping, iterations=iterations)


def _elsewhere(problem: Problem, best: Solution, walks: _Walks, closed: Rows) -> tuple[Rows, Solution]:
    """Those of some closed ends at which another start fits clearly better, with its solution: they are no ends."""
    if closed.size == 0:
        return closed, best.take(closed)
    part = walks.take(closed)
    held = problem.take(part.curve).holding(part.parameter, part.end)
    start = _other_start(held, part.parameter)
    far = (np.abs(start - part.warm.theta) > 0.5).any(axis=0) & (evaluate(held, start) < _RIVAL * part.warm.rss)
    rows = np.flatnonzero(far)
    found = minimise(held.take(rows), start[:, rows], precision=_HELD_PRECISION, iterations=60)
    lower = _height(found, best, part.take(rows)) < 0.995 * part.goal[rows]
    return closed[rows[lower]], found.take(np.flatnonzero(lower))


def _other_start(held: Problem, parameter: Rows) -> Array:
    """Best place of a small grid over what is free, for each curve."""
    q = held.curve.q
    start = np.empty((q, parameter.size))
    kind = np.minimum(parameter, q)
    for which in np.unique(kind):
        rows = np.flatnonzero(kind == which)
        start[:, rows] = grid_start(held.take(rows), without=int(which) if which < q else None)
    return start


def _with_better(met: Solution, curve: Rows, found: Solution) -> Solution:
    """`met` with those of `found` that fit their curve better."""
    better = np.flatnonzero(found.rss < met.rss[curve] * (1 - 1e-9))
    if better.size == 0:
        return met
    order = better[np.lexsort((found.rss[better], curve[better]))]
    _, first = np.unique(curve[order], return_index=True)
    rows = order[first]
    return met.put(curve[rows], found.take(rows))
