"""Wells as points of a curve: vehicle at dose zero, kill control (or blank) at infinite dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Term
from halfmax.estimate.result import Estimate
from halfmax.response import Response

__all__ = ["FULL_EFFECT_DOUBT", "Level", "Levels", "Points", "as_points", "is_tied", "unit_of", "zero_of"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: P-values of the full-effect test: from the first one up the kill control is the curve's plateau; between the two
#: that is in doubt, and the interval covers both readings; below the second the plateau is fitted.
FULL_EFFECT_DOUBT = (0.05, 0.001)


@dataclass(frozen=True)
class Level:
    """Wells of one dose: their mean, their number, and their sum of squares round the mean."""

    dose: float
    mean: float
    count: int
    squares: float


@dataclass(frozen=True)
class Points:
    """Wells of one response, dose by dose, and the full-effect wells (kill, or blank) apart.

    Replicates enter a least-squares fit only through their mean and number, and
    through a sum of squares that no curve explains.
    """

    levels: tuple[Level, ...]
    full: Level | None
    full_role: str
    n_missing: int

    @property
    def n(self) -> int:
        """Number of wells with cells."""
        return sum(level.count for level in self.levels)

    @property
    def doses(self) -> list[float]:
        """Doses above zero, ascending."""
        return [level.dose for level in self.levels if level.dose > 0]

    def mean_at(self, dose: float) -> float:
        """Mean of the wells of a dose, NaN where it has none."""
        return next((level.mean for level in self.levels if level.dose == dose), math.nan)

    def used(self, *, tied: bool) -> tuple[Level, ...]:
        """Levels of the curve; the full-effect wells among them where tied."""
        return self.levels if self.full is None or not tied else (*self.levels, self.full)

    def columns(self, *, tied: bool) -> tuple[Array, Array, Array, float]:
        """Dose, mean, number of wells, and unexplained sum of squares; full effect at dose infinity where tied."""
        levels = self.used(tied=tied)
        table = np.array([(level.dose, level.mean, level.count) for level in levels])
        squares = 0.0
        for level in levels:
            squares += level.squares
        return table[:, 0], table[:, 1], table[:, 2], squares


@dataclass(frozen=True)
class Levels:
    """Wells of many responses, dose by dose: curve after curve, ascending; each array of shape (levels,)."""

    curve: Indices
    dose: Array
    mean: Array
    count: Indices
    squares: Array

    @classmethod
    def of(cls, curve: Indices, dose: Array, signal: Array) -> Levels:
        """Levels of wells, each of some curve at some dose; the order of the wells changes no digit."""
        order = np.lexsort((signal, dose, curve))
        whose, where, signal = curve[order], dose[order], signal[order]
        first = np.ones(order.size, dtype=bool)
        first[1:] = (whose[1:] != whose[:-1]) | (where[1:] != where[:-1])
        place = np.cumsum(first) - 1
        count = np.bincount(place)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.bincount(place, signal) / count
            squares = np.asarray(np.bincount(place, (signal - mean[place]) ** 2), dtype=float)
        return cls(whose[first], where[first], mean, count, squares)

    def of_curves(self, number: Indices) -> Levels:
        """Those of some curves, which get other numbers; -1 leaves a curve out."""
        curve = number[self.curve]
        kept = curve >= 0
        return Levels(curve[kept], self.dose[kept], self.mean[kept], self.count[kept], self.squares[kept])

    def of_one(self, rows: slice) -> tuple[Level, ...]:
        """Some of them, one by one."""
        parts = (self.dose[rows], self.mean[rows], self.count[rows], self.squares[rows])
        return tuple(map(Level, *(part.tolist() for part in parts)))

    def padded(self, curves: int) -> tuple[Array, Array, Array, Array]:
        """Dose, mean and number of wells, shape (points, curves), and the unexplained sum of squares of each curve."""
        number = np.bincount(self.curve, minlength=curves)
        row = np.arange(self.curve.size) - (np.cumsum(number) - number)[self.curve]
        dose, mean, count = np.zeros((3, number.max(initial=0), curves))
        dose[row, self.curve], mean[row, self.curve], count[row, self.curve] = self.dose, self.mean, self.count
        return dose, mean, count, np.asarray(np.bincount(self.curve, self.squares, curves), dtype=float)


def as_points(response: Response) -> Points:
    """Wells of a response as points of its curve."""
    keep = response.used & np.isin(response.role, ("sample", "vehicle"))
    dose = np.where(response.role[keep] == "vehicle", 0.0, response.concentration[keep])
    levels = Levels.of(np.zeros(dose.size, dtype=np.intp), dose, response.signal[keep]).of_one(slice(None))
    missing = int((~np.isfinite(response.signal) & (response.excluded == "")).sum())
    for role, name in (("kill", "kill control"), ("blank", "blank")):
        wells = np.sort(response.signal[response.used & (response.role == role)])
        if wells.size:
            squares_full = float(((wells - wells.mean()) ** 2).sum())
            return Points(levels, Level(math.inf, float(wells.mean()), wells.size, squares_full), name, missing)
    return Points(levels, None, "", missing)


def is_tied(estimate: Estimate) -> bool:
    """Whether the full-effect control is the plateau of this fit."""
    return math.isfinite(estimate.p_full) and estimate.p_full >= FULL_EFFECT_DOUBT[0]


def zero_of(response: Response) -> float:
    """Signal of no cells: the mean of the blank wells, or the stated zero, or NaN where neither is known."""
    blank = np.sort(response.signal[response.used & (response.role == "blank")])
    if blank.size:
        return float(blank.mean())
    return math.nan if response.zero is None else float(response.zero)


def unit_of(term: Term, response: Response) -> str:
    """Unit of a parameter of a curve through a response."""
    if term.kind == "position":
        return response.concentration_unit
    if term.kind == "rate":
        return f"1/{response.concentration_unit}"
    return response.signal_unit if term.kind == "plateau" else ""
