"""Noise that grows with the signal: wells weighed by the fitted curve.

The standard deviation of a well is in proportion to |signal of the curve| to a power: 0 for
constant noise, 1 for noise in proportion to the signal.  Weights follow from the fitted
curve, and the curve from the weights, in turn until both stand still (generalised least
squares); the power, where it is asked for, is the one that makes the data likeliest.

References
----------
.. [1] Carroll & Ruppert (1988), Transformation and Weighting in Regression, Chapman and Hall, chapters 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FitError
from halfmax.estimate.least_squares import Problem, Solution, dot, minimise
from halfmax.estimate.points import Points, as_points
from halfmax.estimate.result import Estimate

__all__ = ["Noise", "as_fitted", "power_of", "predicted", "squares_of", "weighed", "weighted"]

Array = NDArray[np.float64]
Noise = Literal["constant", "proportional", "power"]

#: Share of the largest signal below which noise no longer falls: an instrument has noise of its own.
LEAST_SIGNAL = 0.02
_POWERS = np.linspace(0.0, 1.6, 17)
_TURNS = 30


def power_of(noise: Noise | float) -> float:
    """The power of a noise model; NaN where it is to be estimated.

    Raises
    ------
    FitError
        If there is no such model, or the power is not between 0 and 2.

    Examples
    --------
    >>> power_of("proportional")
    1.0
    """
    named = {"constant": 0.0, "proportional": 1.0, "power": float("nan")}
    if isinstance(noise, str):
        if noise not in named:
            raise FitError(f'unknown noise "{noise}". Known are {", ".join(named)}, or a power between 0 and 2.')
        return named[noise]
    if not 0 <= noise <= 2:
        raise FitError(f"the power of the noise must lie between 0 and 2, found {noise:g}.")
    return float(noise)


def squares_of(points: Sequence[Points], tied: NDArray[np.bool_]) -> Array:
    """Sums of squares of the wells of each point round their mean, shape (points, curves), laid out as by `pack`."""
    rows = [point.used(tied=bool(tie)) for point, tie in zip(points, tied, strict=True)]
    squares = np.zeros((max(len(row) for row in rows), len(rows)))
    for index, row in enumerate(rows):
        squares[: len(row), index] = [level.squares for level in row]
    return squares


def as_fitted(problem: Problem, estimates: Sequence[Estimate], tied: NDArray[np.bool_]) -> Problem:
    """A problem of the data of some estimates, laid out as by `pack`, with the weights that their fits had."""
    power = np.array([estimate.noise for estimate in estimates])
    if not power.any():
        return problem
    points = [as_points(estimate.response) for estimate in estimates if estimate.response is not None]
    level = np.zeros_like(problem.signal)
    for index, (estimate, point) in enumerate(zip(estimates, points, strict=True)):
        doses = [one.dose for one in point.used(tied=bool(tied[index]))]
        level[: len(doses), index] = estimate.predict(doses)
    return weighted(problem, squares_of(points, tied), level, power)


def predicted(problem: Problem, best: Solution) -> Array:
    """Fitted values, shape (points, curves)."""
    with np.errstate(over="ignore", invalid="ignore"):
        columns = problem.curve.at(problem.u, best.theta, problem.sign).columns
    return np.asarray(sum(part * column for part, column in zip(best.linear, columns, strict=True)))


def weighted(problem: Problem, squares: Array, level: Array, power: Array) -> Problem:
    """The problem with wells weighed for a power of the noise.

    Parameters
    ----------
    problem : Problem
        With the numbers of wells as weights.
    squares : array, shape (points, curves)
        Sum of squares of the wells of a point round their mean.
    level : array, shape (points, curves)
        Values of the curve from which the weights follow.
    power : array, shape (curves,)

    Returns
    -------
    Problem
        Its weights have a geometric mean of one a well, so that sums of squares of several
        powers may be compared: the smaller, the likelier.
    """
    used = problem.weight > 0
    size = np.where(used, np.abs(level), 0.0)
    size = np.maximum(size, LEAST_SIGNAL * size.max(axis=0))
    logs = -2.0 * power * np.log(np.where(used & (size > 0), size, 1.0))
    logs -= dot(problem.weight, logs) / np.maximum(problem.weight.sum(axis=0), 1.0)
    share = np.exp(np.clip(logs, -300.0, 300.0))
    return replace(problem, weight=problem.weight * share, base=dot(squares, share))


def weighed(
    problem: Problem, best: Solution, squares: Array, power: float
) -> tuple[Problem, Solution, Array]:  # fmt: skip
    """Weights, optimum and power of the noise of each curve; a power of NaN is estimated."""
    size = best.rss.size
    if not np.isnan(power):
        return (*_settled(problem, best, squares, np.full(size, power)), np.full(size, power))
    start, likely = best, np.empty((_POWERS.size, size))
    for row, one in enumerate(_POWERS):
        _, start = _settled(problem, start, squares, np.full(size, one))
        likely[row] = np.log(np.maximum(start.rss, np.finfo(float).tiny))
    powers = _vertex(likely)
    return (*_settled(problem, best, squares, powers), powers)


def _settled(problem: Problem, best: Solution, squares: Array, power: Array) -> tuple[Problem, Solution]:
    """Weights and optimum in turn, until the optimum stands still: of each curve by itself."""
    weight, base, rows = problem.weight.copy(), problem.base.copy(), np.arange(power.size)
    for _ in range(_TURNS):
        part, here = problem.take(rows), best.take(rows)
        asked = weighted(part, np.take(squares, rows, axis=1), predicted(part, here), power[rows])
        found = minimise(asked, here.theta)
        weight[:, rows], base[rows], best = asked.weight, asked.base, best.put(rows, found)
        rows = rows[np.abs(found.theta - here.theta).max(axis=0, initial=0.0) >= 1e-7]
        if rows.size == 0:
            break
    return replace(problem, weight=weight, base=base), best


def _vertex(values: Array) -> Array:
    """Power at the lowest of the values, shape (powers, curves), refined by the parabola through its neighbours."""
    curves, row = np.arange(values.shape[1]), values.argmin(axis=0)
    inner = np.clip(row, 1, _POWERS.size - 2)
    below, here, above = values[inner - 1, curves], values[inner, curves], values[inner + 1, curves]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(row == inner, 0.5 * (below - above) / (below - 2 * here + above), 0.0)
    return np.asarray(_POWERS[row] + np.clip(np.nan_to_num(share), -0.5, 0.5) * (_POWERS[1] - _POWERS[0]))
