"""Wells as points of a curve: vehicle at dose zero, kill control (or blank) at infinite dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import Term
from halfmax.estimate.result import Estimate
from halfmax.response import Response

__all__ = ["FULL_EFFECT_DOUBT", "Level", "Points", "as_points", "is_tied", "unit_of", "zero_of"]

Array = NDArray[np.float64]

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

    def columns(self, *, tied: bool) -> tuple[Array, Array, Array, float]:
        """Dose, mean, number of wells, and unexplained sum of squares; full effect at dose infinity where tied."""
        levels = self.levels if self.full is None or not tied else (*self.levels, self.full)
        table = np.array([(level.dose, level.mean, level.count) for level in levels])
        return table[:, 0], table[:, 1], table[:, 2], float(sum(level.squares for level in levels))


def as_points(response: Response) -> Points:
    """Wells of a response as points of its curve."""
    keep = response.used & np.isin(response.role, ("sample", "vehicle"))
    dose = np.where(response.role[keep] == "vehicle", 0.0, response.concentration[keep])
    distinct, place = np.unique(dose, return_inverse=True)
    counts = np.bincount(place)
    signal = response.signal[keep]
    means = np.bincount(place, signal) / counts
    squares = np.bincount(place, (signal - means[place]) ** 2)
    levels = tuple(map(Level, distinct.tolist(), means.tolist(), counts.tolist(), squares.tolist()))
    missing = int((~np.isfinite(response.signal) & (response.excluded == "")).sum())
    for role, name in (("kill", "kill control"), ("blank", "blank")):
        wells = response.signal[response.used & (response.role == role)]
        if wells.size:
            squares_full = float(((wells - wells.mean()) ** 2).sum())
            return Points(levels, Level(math.inf, float(wells.mean()), wells.size, squares_full), name, missing)
    return Points(levels, None, "", missing)


def is_tied(estimate: Estimate) -> bool:
    """Whether the full-effect control is the plateau of this fit."""
    return math.isfinite(estimate.p_full) and estimate.p_full >= FULL_EFFECT_DOUBT[0]


def zero_of(response: Response) -> float:
    """Signal of no cells: the mean of the blank wells, or the stated zero, or NaN where neither is known."""
    blank = response.signal[response.used & (response.role == "blank")]
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
