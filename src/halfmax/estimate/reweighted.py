"""Robust fits, batched: least squares whose weights follow from its own residuals, repeated until nothing moves.

Here every well is a point of its own.  Wells of full effect that are not the end of the curve
scatter round a centre of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve
from halfmax.errors import FitError
from halfmax.estimate.batch import Constraints, pack, solved
from halfmax.estimate.least_squares import Problem, Solution, minimise
from halfmax.estimate.noise import predicted
from halfmax.response import Response

__all__ = ["Robust", "Rule", "Wells", "optimum", "require_wells", "reweighted", "wells_of"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Rounds of reweighting at most.
_ROUNDS = 80
#: Wells beyond the parameters from which on residuals can tell anything.
LEAST_FREEDOM = 3


@dataclass(frozen=True)
class Wells:
    """Wells of responses as columns: those of a curve, and those that scatter round a centre of their own.

    Parameters
    ----------
    problem : Problem
        Each well a point, of weight 1; 0 where it is padding.
    apart : array, shape (wells, curves)
        Signals of the others, NaN where padding.
    """

    problem: Problem
    apart: Array

    @property
    def points(self) -> int:
        """Entries of the curve, before those of the others."""
        return int(self.problem.weight.shape[0])

    @property
    def signal(self) -> Array:
        """Of all wells, shape (wells, curves); 0 where padding."""
        return np.concatenate([self.problem.signal, np.nan_to_num(self.apart)])

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which entries are wells, shape (wells, curves)."""
        return np.concatenate([self.problem.weight > 0, np.isfinite(self.apart)])

    @property
    def n(self) -> Array:
        """Number of wells of each curve."""
        return np.asarray(self.used.sum(axis=0), dtype=float)

    @property
    def size(self) -> Array:
        """Parameters, the centre among them."""
        return np.asarray(self.problem.free().sum(axis=0) + np.isfinite(self.apart).any(axis=0), dtype=float)

    @property
    def df(self) -> Array:
        """Degrees of freedom, at least 1."""
        return np.maximum(self.n - self.size, 1)

    def take(self, curves: Rows) -> Wells:
        """Those of some curves."""
        return Wells(self.problem.take(curves), self.apart[:, curves])

    def around(self, best: Solution, weight: Array) -> Array:
        """What is expected of each well: the curve, or the weighted mean of those apart; shape (wells, curves)."""
        share = np.where(np.isfinite(self.apart), weight[self.points :], 0.0)
        centre = (share * np.nan_to_num(self.apart)).sum(0) / np.maximum(share.sum(0), np.finfo(float).tiny)
        return np.concatenate([predicted(self.problem, best), np.broadcast_to(centre, self.apart.shape)])

    def residual(self, best: Solution, weight: Array) -> Array:
        """Signal less what is expected, 0 where padding."""
        return np.where(self.used, self.signal - self.around(best, weight), 0.0)


class Rule(Protocol):
    """How far away a well is called, and how much it then counts."""

    def scale(self, residual: Array, wells: Wells, before: Array | None) -> Array:
        """Scale of each curve's residuals, shape (curves,), from the one before; None at the start."""

    def weight(self, t: Array) -> Array:
        """Of residuals of `t` scales."""

    def objective(self, residual: Array, wells: Wells, scale: Array) -> Array:
        """Lower is better, of several optima of a curve."""


@dataclass(frozen=True)
class Robust:
    """Robust optimum of each curve; residuals and weights of shape (wells, curves), scale and objective (curves,)."""

    best: Solution
    residual: Array
    weight: Array
    scale: Array
    objective: Array

    def take(self, curves: Rows) -> Robust:
        """Those of some curves."""
        arrays = (self.residual[:, curves], self.weight[:, curves], self.scale[curves], self.objective[curves])
        return Robust(self.best.take(curves), *arrays)

    @property
    def weighed(self) -> Solution:
        """The curve, with its weighted sum of squares."""
        return replace(self.best, rss=(self.residual**2 * self.weight).sum(axis=0))


def wells_of(responses: Sequence[Response], family: Curve, *, tied: bool) -> tuple[Wells, Solution, list[Rows]]:
    """Wells of responses, their least-squares fits, and the rows they stand in; in an order that is not the rows'.

    Those of full effect (kill, or blank where there is none) are the end of the curve where `tied`.
    """
    rows, packed, apart = [], [], []
    for response in responses:
        cells = np.flatnonzero(response.used & np.isin(response.role, ("sample", "vehicle")))
        full = np.flatnonzero(response.used & (response.role == "kill"))
        if not full.size:
            full = np.flatnonzero(response.used & (response.role == "blank"))
        own = np.concatenate([cells, full])
        dose = np.where(response.role[own] == "vehicle", 0.0, response.concentration[own])
        dose[cells.size :] = np.inf
        own = own[np.lexsort((response.signal[own], dose))]
        dose, signal, on = np.sort(dose), response.signal[own], own.size if tied else cells.size
        rows.append(own)
        packed.append((dose[:on], signal[:on], np.ones(on), 0.0))
        apart.append(signal[on:])
    problem, best = solved(pack(family, packed), Constraints().of(family))
    longest = max(map(len, apart))
    padded = [np.pad(signal, (0, longest - signal.size), constant_values=np.nan) for signal in apart]
    return Wells(problem, np.stack(padded, axis=1)), best, rows


def require_wells(response: Response, family: Curve) -> None:
    """Refuse what has too few wells for its residuals to tell anything."""
    n = int((response.used & np.isin(response.role, ("sample", "vehicle"))).sum())
    doses, needed = response.doses().size, max(family.size - 1, 1)
    if doses < needed:
        raise FitError(f"{response.label}: {family.name} needs at least {needed} doses above zero, found {doses}.")
    if n < family.size + LEAST_FREEDOM:
        raise FitError(
            f"{response.label}: residuals of {n} wells round a curve of {family.size} parameters tell nothing; "
            f"at least {family.size + LEAST_FREEDOM} wells are needed. Add replicates or doses."
        )


def reweighted(wells: Wells, start: Solution, rule: Rule, *, settled: float = 1e-5) -> Robust:
    """Local robust optimum of each curve from a start; `settled` is the relative change at which it stands still."""
    used, floor = wells.used, 1e-12 * (np.abs(wells.signal * wells.used).max(axis=0) + 1e-280)
    best, weight = start, used.astype(float)
    residual = wells.residual(best, weight)
    scale = np.maximum(rule.scale(residual, wells, None), floor)
    rows = np.arange(scale.size)
    for _ in range(_ROUNDS):
        part, before = wells.take(rows), best.theta[:, rows]
        share = np.where(used[:, rows], rule.weight(residual[:, rows] / scale[rows]), 0.0)
        weighed = replace(part.problem, weight=share[: wells.points])
        found = minimise(weighed, before, precision=1e-6, iterations=4)
        left = part.residual(found, share)
        now = np.maximum(rule.scale(left, part, scale[rows]), floor[rows])
        moving = (np.abs(found.theta - before) > settled).any(axis=0) | (np.abs(now / scale[rows] - 1) > settled)
        best = best.put(rows, found)
        residual[:, rows], weight[:, rows], scale[rows] = left, share, now
        rows = rows[moving]
        if rows.size == 0:
            break
    return Robust(best, residual, weight, scale, rule.objective(residual, wells, scale))


def optimum(wells: Wells, best: Solution, rule: Rule) -> Robust:
    """Best robust optimum from several starts: least squares with all wells, and without each of them in turn."""
    place, curves = np.nonzero(wells.problem.weight)
    without = wells.problem.take(curves)
    weight = without.weight.copy()
    weight[place, np.arange(place.size)] = 0.0
    leaving = minimise(replace(without, weight=weight), best.theta[:, curves])
    rows = np.concatenate([np.arange(best.rss.size), curves])
    start = Solution(*(np.concatenate([getattr(best, k), getattr(leaving, k)], axis=-1) for k in vars(best)))
    found = reweighted(wells.take(rows), start, rule)
    order = np.lexsort((np.arange(rows.size), found.objective, rows))
    _, first = np.unique(rows[order], return_index=True)
    return found.take(order[first])
