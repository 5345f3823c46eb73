"""Joint profile of the ratio of two EC50s."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.fitting import one_problem
from halfmax.estimate.profile import held_at
from halfmax.estimate.result import Estimate

__all__ = ["joint_ratio"]

Array = NDArray[np.float64]


def joint_ratio(one: Estimate, other: Estimate, level: float) -> tuple[float, float]:
    """Joint profile interval of the EC50 of `other` over that of `one`, both fits with independent data.

    Ends are 0 or infinity where open.
    """
    from scipy import optimize, stats

    curves = [_excess_of(estimate) for estimate in (one, other)]
    df = one.df + other.df
    allowed = (one.rss + other.rss) / df * float(stats.f.ppf(level, 1, df))
    at = np.linspace(*curves[0].range, 4001)
    own = curves[0].at(at)
    centre = curves[1].best - curves[0].best

    def beyond(ratio: float) -> float:
        inside = (at + ratio >= curves[1].range[0]) & (at + ratio <= curves[1].range[1])
        total = own[inside] + curves[1].at(at[inside] + ratio)
        return float(np.sqrt(max(total.min(), 0.0)) - math.sqrt(allowed))

    ends = []
    for sign in (-1.0, 1.0):
        near, far = (0, 1) if sign > 0 else (1, 0)
        limit = curves[1].range[far] - curves[0].range[near]
        steps = centre + (limit - centre) * np.linspace(0, 1, 120)[1:-1]
        outside = next((step for step in steps if beyond(step) > 0), None)
        if outside is None:
            ends.append(sign * math.inf)
        else:
            ends.append(float(optimize.brentq(beyond, outside - (limit - centre) / 119, outside, xtol=1e-9)))
    return math.exp(ends[0]), math.exp(ends[1])


@dataclass(frozen=True)
class _Excess:
    """Profile of ln EC50 of one curve: excess of the residual sum of squares, by its signed root."""

    best: float
    range: tuple[float, float]
    position: Array
    root: Array

    def at(self, log_ec50: Array) -> Array:
        from scipy.interpolate import PchipInterpolator

        return np.asarray(PchipInterpolator(self.position, self.root)(log_ec50) ** 2, dtype=float)


def _excess_of(estimate: Estimate) -> _Excess:
    """Profile of ln EC50 over the doses and ten-fold beyond, densest round the optimum."""
    problem, best, error, (low, high) = one_problem(estimate)
    t = float(best.theta[0, 0])
    error = min(max(error, 1e-4), 0.5)
    around = t + error * np.linspace(-6, 6, 73)
    position = np.unique(np.clip(np.r_[around, np.linspace(low, high, 97), t], low, high))
    rows = np.zeros(position.size, dtype=np.intp)
    held = held_at(problem.take(rows), rows, position, best.theta[:, rows], iterations=100)
    root = np.sqrt(np.maximum(held.rss - best.rss[0], 0.0)) * np.sign(position - t)
    return _Excess(t, (low, high), position, root)
