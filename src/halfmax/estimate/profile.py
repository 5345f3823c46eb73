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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.least_squares import Problem, Solution, grid_start, minimise

__all__ = ["Profile", "held_at", "profile"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
#: How closely the threshold is met, as a share of the root of the allowed excess.
_PRECISION = 1e-6
#: Precision of the nonlinear parameters in a fit that holds one: its sum of squares is exact to the square of this.
_HELD_PRECISION = 1e-5


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
    with np.errstate(invalid="ignore", divide="ignore"):
        first = walks.optimum + walks.sign * np.sqrt(covariance[c, k, k]) * walks.goal
        drift = np.nan_to_num(covariance[c, : problem.curve.q, k] / covariance[c, k, k, None], posinf=0.0, neginf=0.0).T
    met = _search(problem, best, best, walks, first, drift)
    for _ in range(4):
        rows, found = _elsewhere(problem, best, walks)
        if rows.size == 0:
            break
        again = walks.take(rows)
        again.inner, again.warm, again.inner_height = again.end, found, _height(found, best, again)
        again.end = np.full(rows.size, np.nan)
        still = np.zeros((problem.curve.q, rows.size))
        met = _search(problem, best, met, again, again.inner + 0.3 * (again.inner - again.optimum), still)
        walks.end[rows], walks.warm = again.end, walks.warm.put(rows, again.warm)
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
        best.take(curve),
    )  # fmt: skip


def _height(found: Solution, best: Solution, walks: _Walks) -> Array:
    return np.asarray(np.sqrt(np.maximum(found.rss - best.rss[walks.curve], 0.0)))


def _search(problem: Problem, best: Solution, met: Solution, walks: _Walks, first: Array, drift: Array) -> Solution:
    """Find the ends of `walks` (changed in place), starting at `first`; returns the best solution met.

    `drift`, shape (nonlinear, walks), is how the nonlinear parameters move with the parameter that is held.

    The root of the excess is nearly linear in a parameter, so the secant through the
    last two places finds the crossing in a few steps; it is kept within the bracket,
    which after a few steps every third one halves, because a profile can jump.
    """
    at, outer = _within(first, walks), np.full(walks.sign.size, np.nan)
    before, missed = walks.inner.copy(), walks.inner_height - walks.goal
    over = (walks.limit - walks.inner) * walks.sign <= 0
    walks.end[over] = walks.sign[over] * np.inf
    rows = np.flatnonzero(~over)
    for turn in range(60):
        if rows.size == 0:
            break
        part, here = walks.take(rows), at[rows]
        ahead = here - part.inner
        change = np.clip(drift[:, rows] * ahead, -1.0, 1.0)
        start = replace(part.warm, theta=part.warm.theta + change)
        found = held_at(problem.take(part.curve), part.parameter, here, start)
        met = _with_better(met, part.curve, found)
        miss = _height(found, best, part) - part.goal
        beyond = miss > 0
        outer[rows[beyond]], walks.inner[rows[~beyond]] = here[beyond], here[~beyond]
        walks.inner_height[rows[~beyond]] = (miss + part.goal)[~beyond]
        close = np.abs(miss) <= _PRECISION * part.goal
        close |= np.abs(outer[rows] - walks.inner[rows]) <= _PRECISION * np.abs(here - part.optimum)
        walks.end[rows[close]] = here[close]
        spent = ~beyond & ~close & (here == part.limit)
        walks.end[rows[spent]] = part.sign[spent] * np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = here - miss * (here - before[rows]) / (miss - missed[rows])
            moved = (found.theta - part.warm.theta) / ahead
        drift[:, rows] = np.nan_to_num(moved, posinf=0.0, neginf=0.0)
        kept = np.flatnonzero(~beyond | close)
        walks.warm = walks.warm.put(rows[kept], found.take(kept))
        before[rows], missed[rows] = here, miss
        left = ~(close | spent)
        rows = rows[left]
        guess = secant[left] if turn < 6 or turn % 3 else np.full(rows.size, np.nan)
        at[rows] = _next(walks.take(rows), guess, outer[rows])
    walks.end[rows] = at[rows]
    return met


def _within(at: Array, walks: _Walks) -> Array:
    """A place between the inner end and the limit; a small step where the guess means nothing."""
    span = np.abs(walks.limit - walks.inner)
    guess = np.where(np.isfinite(at), np.abs(at - walks.inner), 0.02 * span)
    step = np.clip(guess, np.minimum(1e-6 * span, 1e-6), span)
    return np.asarray(np.where(step >= span, walks.limit, walks.inner + walks.sign * step))


def _next(walks: _Walks, secant: Array, outer: Array) -> Array:
    """Where to look next: near the secant's place, within the bracket, or beyond the inner end while there is none."""
    bracketed = np.isfinite(outer)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = (secant - walks.inner) / (outer - walks.inner)
        growth = np.nan_to_num(
            (secant - walks.optimum) / (walks.inner - walks.optimum), nan=4.0, posinf=4.0, neginf=4.0
        )
        growth = np.minimum(growth, 4.0)
    between = walks.inner + np.where((share > 0) & (share < 1), share, 0.5) * (outer - walks.inner)
    growth = np.clip(np.where(growth > 1, growth * 1.01, 4.0), 1.05, 4.0)
    farther = _within(walks.optimum + (walks.inner - walks.optimum) * growth, walks)
    return np.where(bracketed, between, farther)


def held_at(problem: Problem, parameter: Rows, value: Array, warm: Solution) -> Solution:
    """Best fit of each curve with one of its parameters held at `value`, from a neighbour's solution."""
    held = problem.holding(parameter, value)
    return minimise(held, warm.theta, precision=_HELD_PRECISION, near=True, iterations=60)


def _elsewhere(problem: Problem, best: Solution, walks: _Walks) -> tuple[Rows, Solution]:
    """Closed ends at which another start fits clearly better, with its solution: they are no ends."""
    closed = np.flatnonzero(np.isfinite(walks.end))
    if closed.size == 0:
        return closed, best.take(closed)
    part = walks.take(closed)
    held = problem.take(part.curve).holding(part.parameter, part.end)
    start = _other_start(held, part.parameter)
    far = (np.abs(start - part.warm.theta) > 0.5).any(axis=0)
    rows = np.flatnonzero(far)
    found = minimise(held.take(rows), start[:, rows], precision=_HELD_PRECISION, iterations=60)
    lower = _height(found, best, part.take(rows)) < 0.999 * part.goal[rows]
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
