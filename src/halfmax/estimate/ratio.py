"""Ratio of the EC50s of two fits whose wells are independent, by its joint profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FitError
from halfmax.estimate.fitting import one_problem
from halfmax.estimate.noise import LEAST_SIGNAL
from halfmax.estimate.points import as_points, is_tied
from halfmax.estimate.profile import held_at
from halfmax.estimate.result import Estimate

__all__ = ["has_profile", "joint_ratio"]

Array = NDArray[np.float64]

#: Share by which the residual sum of squares of an estimate lies above the optimum, where it is not that of its data.
_SAME = 1e-4
#: Places at which the two profiles are added, and ratios tried on the way to where one ends.
_PLACES, _STEPS = 4001, 120


def has_profile(estimate: Estimate) -> bool:
    """Whether an estimate is a fit whose first parameter is an EC50 on the axis of its doses."""
    family = estimate.curve
    placed = family is None or (family.logarithmic and family.terms[0].kind == "position")
    return placed and estimate.response is not None and estimate.df > 0


def joint_ratio(one: Estimate, other: Estimate, level: float) -> tuple[float, float]:
    """Joint profile interval of the EC50 of `other` over that of `one`, both fits with independent data.

    The profile of the ratio is then the smallest sum of the two curves' own profiles, which
    go on level beyond the doses that bound them: an EC50 that is open leaves the ratio open.
    What a fit held or bounded stays so.  Ends are 0 or infinity where open.

    Raises
    ------
    FitError
        If an estimate is no fit that its own data give back, or both EC50s are held.
    """
    from scipy import optimize, stats

    scales = _scales(one, other)
    curves = [_Excess.of(estimate, scale) for estimate, scale in zip((one, other), scales, strict=True)]
    if all(curve.held for curve in curves):
        raise FitError(f"{other.label or other.model}: both EC50s were held, so there is no ratio to be estimated.")
    df, rss = one.df + other.df, one.rss * scales[0] + other.rss * scales[1]
    allowed = rss / df * float(stats.f.ppf(level, 1, df))
    grid = [np.linspace(*curve.range, _PLACES) for curve in curves]
    centre = curves[1].best - curves[0].best

    def beyond(ratio: float) -> float:
        at = np.r_[grid[0], grid[1] - ratio]
        total = curves[0].at(at) + curves[1].at(at + ratio)
        return float(np.sqrt(max(total.min(), 0.0)) - math.sqrt(allowed))

    ends = []
    for sign in (-1.0, 1.0):
        near, far = (0, 1) if sign > 0 else (1, 0)
        steps = np.linspace(centre, curves[1].range[far] - curves[0].range[near], _STEPS)
        outside = next((k for k in range(1, _STEPS) if beyond(steps[k]) > 0), None)
        if outside is None:
            ends.append(sign * math.inf)
        else:
            ends.append(float(optimize.brentq(beyond, steps[outside - 1], steps[outside], xtol=1e-9)))
    return math.exp(ends[0]), math.exp(ends[1])


def _scales(one: Estimate, other: Estimate) -> list[float]:
    """What makes residual sums of squares of two fits alike: 1 of constant noise.

    Weights of growing noise have a geometric mean of one well, so that a sum of squares is that at the geometric
    mean of the signals of its own fit; it is divided by that mean to twice the power (of the two, if they differ,
    the mean power).
    """
    power = (one.noise + other.noise) / 2
    if power == 0:
        return [1.0, 1.0]
    logs = [_mean_log_signal(estimate) for estimate in (one, other)]
    return [math.exp(2.0 * power * (logs[0] - log)) for log in logs]


def _mean_log_signal(estimate: Estimate) -> float:
    """Mean over the wells of the logarithm of the fitted signal, as the noise model takes it."""
    assert estimate.response is not None
    dose, _, count, _ = as_points(estimate.response).columns(tied=is_tied(estimate))
    size = np.abs(estimate.predict(dose))
    return float(np.average(np.log(np.maximum(size, LEAST_SIGNAL * size.max())), weights=count))


@dataclass(frozen=True)
class _Excess:
    """Profile of ln EC50 of one curve: excess of the residual sum of squares, by its signed root."""

    best: float
    range: tuple[float, float]
    position: Array
    root: Array

    @property
    def held(self) -> bool:
        """Whether the fit held the EC50."""
        return self.range[0] == self.range[1]

    def at(self, log_ec50: Array) -> Array:
        """Excess at values of ln EC50; level beyond the range, endless where the EC50 is held at another."""
        from scipy.interpolate import PchipInterpolator

        if self.held:
            return np.where(np.abs(log_ec50 - self.best) < 1e-9, 0.0, np.inf)
        inside = np.clip(log_ec50, *self.range)
        return np.asarray(PchipInterpolator(self.position, self.root)(inside) ** 2, dtype=float)

    @classmethod
    def of(cls, estimate: Estimate, scale: float) -> _Excess:
        """Over the doses and ten-fold beyond, densest round the optimum; sums of squares are multiplied by `scale`."""
        problem, best, error, (low, high) = one_problem(estimate)
        rounding = 1e-20 * float((problem.weight * problem.signal**2).sum())
        if best.rss[0] < estimate.rss * (1 - _SAME) - rounding:
            raise FitError(
                f"{estimate.label or estimate.model}: its data alone do not give this fit back: it is one of curves "
                'that were fitted together. Use the ratio of fit_together, or method="fieller".'
            )
        t = float(best.theta[0, 0])
        around = t + min(max(error, 1e-4), 0.5) * np.linspace(-6, 6, 73)
        position = np.unique(np.clip(np.r_[around, np.linspace(low, high, 97), t], low, high))
        rows = np.zeros(position.size, dtype=np.intp)
        found = held_at(problem.take(rows), rows, position, best.theta[:, rows], iterations=100)
        root = np.sqrt(scale * np.maximum(found.rss - best.rss[0], 0.0)) * np.sign(position - t)
        return cls(t, (low, high), position, root)
