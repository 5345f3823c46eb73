"""Least squares without normal equations, for curves whose columns or slopes may be nearly alike.

The plateaus of a sigmoid are told apart easily, and the fast way of `least_squares` does them no
harm.  A user's own curve may be a rational function whose terms differ by ten decades, or a
sum of exponentials that hardly differ: normal equations square that condition, and lose it.
Here the linear parameters and each Levenberg–Marquardt step come from singular values, lengths are
measured by what a parameter does to the curve, and a curve has converged when no further step
could gain anything, so that no parameter needs a natural unit.

References
----------
.. [1] Moré (1978), Lecture Notes in Mathematics 630:105, doi 10.1007/BFb0067700.
.. [2] Nielsen (1999), Damping Parameter in Marquardt's Method, Technical University of Denmark, IMM-REP-1999-05.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from halfmax.estimate.least_squares import Problem

__all__ = ["minimise", "residual_squares"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: Singular value, as a share of the largest, below which a direction is none.
_NONE = 1e-14
#: By what share a sum of squares may rise by rounding alone.
_ROUNDING = 1e-12
#: The sum of squares of the signals times this is nothing.
_NOTHING = 1e-31
#: Longest step of a parameter that is a logarithm, or a share; and of any other, as a multiple of what it is.
_LONGEST, _LONGEST_SHARE = 2.0, 10.0
#: Damping beyond which there is no better place in reach.
_STUCK = 1e14
_TINY = float(np.finfo(float).tiny)


def residual_squares(problem: Problem, theta: Array) -> Array:
    """Residual sum of squares at a place, with the best linear parameters."""
    return _Place.at(problem, theta).rss


def minimise(
    problem: Problem, theta: Array, *, precision: float, damping: Array | float, iterations: int
) -> tuple[Array, Array, Array, Flags]:
    """Local optimum of each curve: nonlinear and linear parameters, sum of squares, whether it has converged.

    A curve has converged when a step without any damping would lower its sum of squares by
    less than a share of a tenth of `precision` squared; or by hardly more than rounding, where a
    step has failed: beside large residuals the steps may circle round the optimum for ever.
    """
    place = _Place.at(problem, np.clip(theta, problem.low, problem.high))
    converged = np.ones(place.rss.size, dtype=bool)
    if theta.shape[0]:
        search = _Search(damping + np.zeros(converged.size), np.full(converged.size, 2.0), np.zeros_like(theta.T))
        rows = np.arange(converged.size)
        for _ in range(iterations):
            part, here = problem.take(rows), place.take(rows)
            step, promised, attainable = search.step(part, here)
            size = (part.weight * part.signal**2).sum(axis=0)
            finite = np.isfinite(here.rss)
            converged[rows] = finite & (attainable <= 0.1 * precision**2 * here.rss + _NOTHING * size)
            converged[rows] |= finite & (attainable <= 100 * _ROUNDING * here.rss) & (search.growth > 2.0)
            going = np.flatnonzero(finite & ~converged[rows] & (search.damping < _STUCK))
            rows, search = rows[going], search.take(going)
            if rows.size == 0:
                break
            here, promised = here.take(going), promised[going]
            part = problem.take(rows)
            trial = _Place.at(part, np.clip(here.theta + step[:, going], part.low, part.high))
            good = trial.rss <= here.rss * (1.0 + _ROUNDING)
            search.learn(good, here.rss - trial.rss, promised, here.rss)
            place.put(rows[good], trial.take(np.flatnonzero(good)))
    return place.theta, place.linear, place.rss, converged


@dataclass
class _Place:
    """Where each curve stands: every array has the curves as its last axis, but for `basis`, which has them first.

    `residual` is weighted; `basis`, shape (curves, points, columns), spans the weighted columns.
    """

    theta: Array
    linear: Array
    rss: Array
    residual: Array
    basis: Array

    @classmethod
    def at(cls, problem: Problem, theta: Array) -> _Place:
        """The best linear parameters and the residuals; the sum of squares is endless where the curve is no number."""
        with np.errstate(all="ignore"):
            columns = problem.curve.at(problem.u, theta, problem.sign).columns
            finite = np.isfinite(columns).all(axis=(0, 1))
            columns = [np.where(finite, column, 0.0) for column in columns]
            linear, basis = _bounded(problem, columns)
            residual = problem.signal - sum(value * column for value, column in zip(linear, columns, strict=True))
            residual = residual * np.sqrt(problem.weight)
            rss = problem.base + (residual**2).sum(axis=0)
        return cls(theta, linear, np.where(finite & np.isfinite(rss), rss, np.inf), residual, basis)

    def take(self, rows: NDArray[np.intp]) -> _Place:
        """Some of the curves."""
        theta, linear, residual = self.theta[:, rows], self.linear[:, rows], self.residual[:, rows]
        return _Place(theta, linear, self.rss[rows], residual, self.basis[rows])

    def put(self, rows: NDArray[np.intp], part: _Place) -> None:
        """Move some of the curves."""
        for f in fields(self)[:-1]:
            getattr(self, f.name)[..., rows] = getattr(part, f.name)
        self.basis[rows] = part.basis


@dataclass
class _Search:
    """How each curve's search goes: its damping, by what that grows, and the greatest effect of each parameter."""

    damping: Array
    growth: Array
    effect: Array

    def take(self, rows: NDArray[np.intp]) -> _Search:
        """Some of the curves."""
        return _Search(self.damping[rows], self.growth[rows], self.effect[rows])

    def step(self, problem: Problem, place: _Place) -> tuple[Array, Array, Array]:
        """Damped step, shape (nonlinear, curves), the gain that it promises, and the gain without damping."""
        with np.errstate(all="ignore"):
            slopes = _slopes(problem, place)
            self.effect = np.maximum(self.effect, np.sqrt((slopes**2).sum(axis=1)))
            scale = np.where(self.effect > 0, self.effect, 1.0)
            u, s, vt = _singular(slopes / scale[:, None, :])
            right = np.where(s > 0, _times(u, place.residual.T), 0.0)
            along = s * right / (s * s + self.damping[:, None])
            step = _times(vt, along) / scale
            promised = (along * (2.0 * right - s * along) * s).sum(axis=1)
        plain = np.array([term.kind == "plain" for term in problem.curve.terms[: problem.curve.q]])[:, None]
        longest = np.where(plain, _LONGEST_SHARE * np.abs(place.theta), _LONGEST)
        longest = np.where(longest > 0, longest, np.inf)
        return np.clip(np.nan_to_num(step.T), -longest, longest), promised, (right**2).sum(axis=1)

    def learn(self, good: Flags, gained: Array, promised: Array, rss: Array) -> None:
        """Less damping where a step gained what it promised; more, and ever more, where it did not."""
        with np.errstate(invalid="ignore", over="ignore"):
            share = gained / np.maximum(promised, _TINY)
            eased = np.clip(1.0 - (2.0 * share - 1.0) ** 3, 0.1, 2.0)
        eased = np.where(promised <= 10.0 * _ROUNDING * rss, 0.1, eased)
        self.damping = np.where(good, np.maximum(self.damping * eased, 1e-15), self.damping * self.growth)
        self.growth = np.where(good, 2.0, 2.0 * self.growth)


def _slopes(problem: Problem, place: _Place) -> Array:
    """Weighted slopes of what may move, the columns projected out, shape (curves, points, nonlinear)."""
    shape = problem.curve.at(problem.u, place.theta, problem.sign)
    found = problem.curve.slopes(problem.u, place.theta, problem.sign, shape, place.linear)
    slopes = _matrix(found, problem.weight)
    gradient = _times(slopes, place.residual.T).T
    still = (problem.low == problem.high) | ((place.theta >= problem.high) & (gradient > 0))
    still |= (place.theta <= problem.low) & (gradient < 0)
    slopes = slopes * ~still.T[:, None, :]
    before = np.sqrt((slopes**2).sum(axis=1))
    for _ in range(2):
        slopes = slopes - place.basis @ (place.basis.transpose(0, 2, 1) @ slopes)
    seen = np.asarray(np.sqrt((slopes**2).sum(axis=1)) > _NONE * before)
    return np.asarray(slopes * seen[:, None, :])


def _bounded(problem: Problem, columns: list[Array]) -> tuple[Array, Array]:
    """Best linear parameters within their limits, and a basis of the columns of those that are free."""
    held = problem.held
    linear, basis = _coefficients(problem, columns, held)
    if problem.floor is None or problem.ceiling is None:
        return linear, basis
    for _ in columns:
        outside = np.where(linear < problem.floor, problem.floor, np.nan)
        outside = np.where(linear > problem.ceiling, problem.ceiling, outside)
        if np.isnan(outside).all():
            break
        held = np.where(np.isnan(outside), held, outside)
        linear, basis = _coefficients(problem, columns, held)
    return linear, basis


def _coefficients(problem: Problem, columns: list[Array], held: Array) -> tuple[Array, Array]:
    """Best linear parameters, those that are not NaN in `held` as they are, and a basis of the other columns."""
    fixed = ~np.isnan(held)
    rest = problem.signal - sum(np.where(f, h, 0.0) * c for f, h, c in zip(fixed, held, columns, strict=True))
    matrix = _matrix([np.where(f, 0.0, c) for f, c in zip(fixed, columns, strict=True)], problem.weight)
    length = np.abs(matrix).max(axis=1)
    length = np.where(length > 0, length, 1.0)
    matrix = matrix / length[:, None, :]
    size = np.sqrt((matrix**2).sum(axis=1))
    size = np.where(size > 0, size, 1.0)
    u, s, vt = _singular(matrix / size[:, None, :])
    right = _times(u, (rest * np.sqrt(problem.weight)).T)
    turned = np.where(s > 0, right / np.where(s > 0, s, 1.0), 0.0)
    found = _times(vt, turned) / size / length
    return np.where(fixed, held, found.T), u * (s > 0)[:, None, :]


def _matrix(parts: list[Array], weight: Array) -> Array:
    """Weighted parts, each shape (points, curves), as matrices, shape (curves, points, parts); 0 where no number."""
    matrix = np.stack(parts, axis=-1).transpose(1, 0, 2) * np.sqrt(weight).T[:, :, None]
    finite = np.asarray(np.isfinite(matrix).all(axis=(1, 2)))
    return np.where(finite[:, None, None], matrix, 0.0)


def _singular(matrix: Array) -> tuple[Array, Array, Array]:
    """Singular vectors and values; what is nothing has the value 0."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return u, np.where(s > _NONE * s[:, :1], s, 0.0), vt


def _times(matrix: Array, vector: Array) -> Array:
    """Transposed matrices, shape (curves, n, m), times vectors, shape (curves, n)."""
    return np.asarray((matrix * vector[:, :, None]).sum(axis=1))
