"""Profile intervals of the parameters that several curves share or have of their own, by root finding.

The root of the excess is nearly linear in a parameter, so a secant through the last two
places finds the crossing in a few fits, each from the optimum of the last; it is kept
within the bracket.  A crossing is believed only if no other start does better there.

References
----------
.. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapter 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.joint import PLACE, Found, Joint, minimise, resolved

__all__ = ["profile"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: How closely a profile must meet its threshold, as a share of the root of the allowed excess; eased where it is hard
#: to follow, up to the coarsest.
_PRECISION, _COARSEST = 1e-6, 1e-3
#: After so many places a walk ends where it is.
_VISITS = 60
#: Share of the root of the allowed excess below which a fit from another start shows that an end is none.
_LOWER = 0.995


def profile(
    joint: Joint, best: Found, *, excess: float, covariance: Array, limits: tuple[Array, Array],
    which: Rows | None = None,
) -> tuple[Array, Array, Found]:  # fmt: skip
    """Profile intervals of joint parameters.

    Parameters
    ----------
    joint : Joint
    best : Found
        The optimum, one column.
    excess : float
        By how much the residual sum of squares may exceed its minimum.
    covariance : array, shape (size, size)
        By the delta method, for a residual variance of 1: where to look first, and how the others move along.
    limits : (array, array), each shape (size,)
        Where a walk ends and the interval is open.
    which : array of int, optional
        Joint parameters that are wanted; all where not given.

    Returns
    -------
    low, high : array, shape (wanted,)
        Infinite where open.
    met : Found
        The lowest sum of squares met on the way, which is `best` unless that was no optimum.
    """
    which, goal = np.arange(joint.design.size) if which is None else which, math.sqrt(excess)
    walks = _Walks.of(best, which, limits, covariance)
    reach = goal * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    met = _search(joint, best, walks, walks.optimum + walks.sign * reach[walks.index], goal)
    for _ in range(4):
        if not _reopened(joint, best, walks, goal):
            break
        beyond = walks.inner + 0.3 * (walks.inner - walks.optimum)
        met = met.and_also(_search(joint, best, walks, beyond, goal)).best()
    return walks.end[: which.size], walks.end[which.size :], met


@dataclass
class _Walks:
    """Ends of intervals being looked for: one a column, of a joint parameter in a direction.

    Heights are roots of the excess. `warm` is the best fit at the inner end of the bracket, and
    `drift` how all parameters move with the one that is held.
    """

    index: Rows
    sign: Array
    limit: Array
    optimum: Array
    inner: Array
    inner_height: Array
    outer: Array
    outer_height: Array
    end: Array
    warm: Array
    drift: Array

    @classmethod
    def of(cls, best: Found, which: Rows, limits: tuple[Array, Array], covariance: Array) -> _Walks:
        """Both directions of some parameters."""
        index, sign = np.tile(which, 2), np.repeat([-1.0, 1.0], which.size)
        limit = np.where(sign < 0, limits[0][index], limits[1][index])
        optimum, nothing = best.phi[index, 0], np.full(index.size, np.nan)
        over = (limit - optimum) * sign <= 0
        with np.errstate(invalid="ignore", divide="ignore"):
            drift = covariance[:, index] / np.maximum(covariance[index, index], 0.0)
        return cls(
            index, sign, limit, optimum, optimum.copy(), np.zeros(index.size), nothing, nothing.copy(),
            np.where(over, sign * np.inf, np.nan), np.repeat(best.phi, index.size, axis=1), _number(drift),
        )  # fmt: skip

    def take(self, rows: Rows) -> _Walks:
        """Some of the walks."""
        return _Walks(*(getattr(self, f.name)[..., rows] for f in fields(self)))

    def put(self, rows: Rows, part: _Walks) -> None:
        """Write some of the walks."""
        for f in fields(self):
            getattr(self, f.name)[..., rows] = getattr(part, f.name)

    def within(self, at: Array) -> Array:
        """A place between the inner end and the limit; a small step where the guess means nothing."""
        span = np.abs(self.limit - self.inner)
        with np.errstate(invalid="ignore"):
            guess = np.where(np.isfinite(at), np.abs(at - self.inner), np.minimum(0.02 * span, 1.0))
        step = np.clip(guess, np.minimum(1e-6 * span, 1e-6), span)
        return np.asarray(np.where(step >= span, self.limit, self.inner + self.sign * step))

    def note(self, here: Array, height: Array, phi: Array, goal: float, enough: float) -> None:
        """Take note of a place of each walk: bracket, end, where the next fit starts."""
        beyond = height > goal
        self.outer, self.outer_height = np.where(beyond, (here, height), (self.outer, self.outer_height))
        self.inner, self.inner_height = np.where(beyond, (self.inner, self.inner_height), (here, height))
        close = np.abs(height - goal) <= enough * goal
        close |= np.abs(self.outer - self.inner) <= enough * np.abs(here - self.optimum)
        spent = ~beyond & ~close & (here == self.limit)
        self.end = np.where(close, here, np.where(spent, self.sign * np.inf, np.nan))
        with np.errstate(invalid="ignore", divide="ignore"):
            self.drift = _number((phi - self.warm) / (here - self.warm[self.index, np.arange(here.size)]))
        self.warm = np.where(~beyond | close, phi, self.warm)

    def next(self, last: tuple[Array, Array], before: Array, goal: float, halve: bool) -> Array:
        """Where to look next: by the secant, within the bracket, or farther out while there is none."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            secant = last[0] + (goal - last[1]) * (last[0] - before[0]) / (last[1] - before[1])
            chord = (goal - self.inner_height) / (self.outer_height - self.inner_height)
            share = (secant - self.inner) / (self.outer - self.inner)
            growth = np.nan_to_num(goal / self.inner_height, nan=4.0, posinf=4.0)
            step = (secant - self.optimum) / (self.inner - self.optimum)
        share = np.where((share > 0) & (share < 1), share, np.clip(chord, 0.02, 0.98))
        between = self.inner + (0.5 if halve else share) * (self.outer - self.inner)
        growth = np.where(step > 1, np.minimum(growth, step), growth)
        farther = self.optimum + (self.inner - self.optimum) * np.clip(1.01 * growth, 1.05, 4.0)
        return np.where(np.isnan(self.outer), self.within(farther), between)


def _number(values: Array) -> Array:
    return np.nan_to_num(values, posinf=0.0, neginf=0.0)


def _search(joint: Joint, best: Found, walks: _Walks, first: Array, goal: float) -> Found:
    """Find the ends of the walks (changed in place), first at `first`; returns the best column met."""
    at, met, before = walks.within(first), best, np.full((2, first.size), np.nan)
    ahead = np.where(joint.nonlinear[:, None], 1.0, np.inf)
    for visit in range(_VISITS):
        rows = np.flatnonzero(np.isnan(walks.end))
        if rows.size == 0:
            break
        part, here = walks.take(rows), at[rows]
        move = part.drift * (here - part.warm[part.index, np.arange(rows.size)])
        found = _held(joint, part.index, here, part.warm + np.clip(move, -ahead, ahead), 1e-6)
        met, height = met.and_also(found).best(), _height(found, best)
        part.note(here, height, found.phi, goal, min(_PRECISION * 4.0 ** max(visit - 4, 0), _COARSEST))
        at[rows] = part.next((here, height), before[:, rows], goal, halve=visit > 5 and visit % 3 == 2)
        before[:, rows] = here, height
        walks.put(rows, part)
    walks.end = np.where(np.isnan(walks.end), before[0], walks.end)
    return met


def _held(joint: Joint, index: Rows, at: Array, start: Array, damping: float) -> Found:
    """Best fits from `start` with one joint parameter of each column held at `at`."""
    low, high = (np.repeat(limit[:, None], at.size, axis=1) for limit in joint.limits)
    columns = np.arange(at.size)
    low[index, columns] = high[index, columns] = at
    return minimise(joint, start, low=low, high=high, enough=PLACE, damping=damping)


def _height(found: Found, best: Found) -> Array:
    return np.asarray(np.sqrt(np.maximum(found.rss - best.rss[0], 0.0)))


def _reopened(joint: Joint, best: Found, walks: _Walks, goal: float) -> bool:
    """Open again the walks at whose end another start fits clearly better: they are no ends."""
    rows = np.flatnonzero(np.isfinite(walks.end))
    part, design = walks.take(rows), joint.design
    member = (design.place[:, :, None] == part.index).any(axis=0) | (part.index < design.border)
    curve, column = np.nonzero(member)
    other = resolved(joint, part.warm, part.index, (curve, column))
    changed = np.flatnonzero((other != part.warm).any(axis=0))
    if changed.size == 0:
        return False
    part = part.take(changed)
    found = _held(joint, part.index, part.end, other[:, changed], 1e-3)
    lower = np.flatnonzero(_height(found, best) < _LOWER * goal)
    part, found, rows = part.take(lower), found.take(lower), rows[changed[lower]]
    part.inner, part.inner_height, part.warm = part.end, _height(found, best), found.phi
    part.outer = part.outer_height = part.end = np.full(rows.size, np.nan)
    part.drift = np.zeros_like(part.warm)
    walks.put(rows, part)
    return rows.size > 0
