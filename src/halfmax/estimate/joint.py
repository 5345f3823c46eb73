"""Several curves as one least-squares problem: shared parameters and their joint optimum.

The inside parameters of each curve are sums of joint parameters (`Design`): one that several
curves share stands in the rows of all of them.  Levenberg–Marquardt runs over all joint
parameters at once.  Its normal matrix is an arrow: what a curve has of its own meets only the
shared parameters, so it is eliminated curve by curve, and a system as large as the number of
shared ones remains.  Many columns (starts, or places on a profile) are solved in one batch;
arrays are laid out parameters × curves × columns.

References
----------
.. [1] Marquardt (1963), J Soc Ind Appl Math 11:431, doi 10.1137/0111030.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.least_squares import Problem, Solution, solve

__all__ = ["OPTIMUM", "PLACE", "Design", "Found", "Joint", "minimise", "promising", "resolved"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]

#: Points × curves × columns that are evaluated at once.
_CHUNK = 400_000
#: A step that promises a smaller share of the sum of squares is the last one: of an optimum, and of a place on a
#: profile, whose excess is then known to a part in a million.
OPTIMUM, PLACE = 1e-14, 1e-10
#: Steps of a fit of an optimum, and of a place on a profile.
_STEPS = {OPTIMUM: 300, PLACE: 60}
#: A fit is given up as crawling along a valley after so many steps that each lower its sum of squares by less than
#: this many times the share above.
_PATIENCE, _CRAWL = 5, 1e3
#: Share of its diagonal that keeps a normal matrix from being singular.
_EASE = 1e-12
#: Longest step of a nonlinear parameter.
_LONGEST = 2.0
#: Residual sum of squares, as a share of that of the signals, below which it is rounding.
_ROUNDING = 1e-24
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Design:
    """Which joint parameter stands in each inside parameter of each curve.

    Parameters
    ----------
    place : array of int, shape (parameters, curves)
        The joint parameter; `size` where the inside parameter is held.
    shift : array of int, shape (parameters, curves)
        A second one that is added to it, such as the logarithm of a ratio; `size` where there is none.
    border : int
        Joint parameters below this number are shared by curves; each of the others is in one curve only.
    size : int
        Number of joint parameters.
    """

    place: Rows
    shift: Rows
    border: int
    size: int

    @cached_property
    def own(self) -> Flags:
        """Inside parameters that are a curve's own, shape (parameters, curves)."""
        return np.asarray((self.place >= self.border) & (self.place < self.size))

    @cached_property
    def sums(self) -> Any:
        """D of ``inside = held + D @ phi``, sparse, shape (parameters * curves, size)."""
        from scipy import sparse

        table = np.stack([self.place.ravel(), self.shift.ravel()])
        which, row = np.nonzero(table < self.size)
        return sparse.csr_array((np.ones(row.size), (row, table[which, row])), shape=(self.place.size, self.size))

    def inside(self, phi: Array, held: Array) -> Array:
        """Inside parameters, shape (parameters, curves, columns), of joint ones, shape (size, columns)."""
        return np.asarray(held[:, :, None] + (self.sums @ phi).reshape(*self.place.shape, -1))

    def gathered(self, gradient: Array) -> Array:
        """Derivatives by the joint parameters, of those by the inside ones."""
        return np.asarray(self.sums.T @ gradient.reshape(self.place.size, -1))

    @cached_property
    def products(self) -> Any:
        """What makes the normal matrix of the shared parameters of those of the curves.

        It is sparse, of shape (border * border, parameters * parameters * curves).
        """
        from scipy import sparse

        table = np.stack([self.place, self.shift])
        first, second = np.broadcast_arrays(table[:, None, :, None], table[None, :, None])
        used = (first < self.border) & (second < self.border)
        entry = np.broadcast_to(np.arange(used[0, 0].size).reshape(used.shape[2:]), used.shape)
        place = (first * self.border + second)[used], entry[used]
        return sparse.csr_array((np.ones(place[0].size), place), shape=(self.border**2, used[0, 0].size))


@dataclass(frozen=True)
class Joint:
    """A packed problem of several curves, and the design that joins them."""

    problem: Problem
    design: Design

    @cached_property
    def held(self) -> Array:
        """Values of the inside parameters that are held, 0 elsewhere, shape (parameters, curves)."""
        p = self.problem
        return np.where(p.free(), 0.0, np.concatenate([p.low, np.nan_to_num(p.held)]))

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Limits of the joint parameters, each shape (size,): a shared one may be wherever one of its curves can be."""
        p, endless = self.problem, np.full_like(self.problem.held, np.inf)
        floor, ceiling = (-endless if p.floor is None else p.floor), (endless if p.ceiling is None else p.ceiling)
        return self.spanned(np.concatenate([p.low, floor]), np.concatenate([p.high, ceiling]))

    def spanned(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Widest limits of joint parameters, of those of the inside ones; endless for what is only a shift."""
        d = self.design
        least, most = np.full(d.size + 1, np.inf), np.full(d.size + 1, -np.inf)
        plain = np.where(d.shift < d.size, d.size, d.place)
        np.minimum.at(least, plain, low)
        np.maximum.at(most, plain, high)
        alone = least > most
        least[alone], most[alone] = -np.inf, np.inf
        return least[:-1], most[:-1]

    @cached_property
    def nonlinear(self) -> Flags:
        """Joint parameters that are nonlinear, shape (size,)."""
        flags = np.zeros(self.design.size + 1, dtype=bool)
        flags[self.design.place[: self.problem.curve.q]] = True
        flags[self.design.shift[: self.problem.curve.q]] = True
        return flags[:-1]

    def damped(self, normal: Array) -> Array:
        """Weight of the damping for each inside parameter, shape (parameters, curves, columns).

        Only nonlinear ones are damped: by what the curve alone says of them once its linear
        parameters are projected out, and by a little of their whole diagonal.
        """
        q, diagonal = self.problem.curve.q, np.einsum("iick->ick", normal)
        whole, scale = diagonal[:q], _scale(diagonal[q:])
        across = normal[q:, :q] * scale[:, None]
        corner = normal[q:, q:] * scale[:, None] * scale + _diagonal(np.where(scale > 0, _EASE, 1.0))
        taken = (across * _solved(corner, across)).sum(axis=0)
        return np.concatenate([np.maximum(whole - taken, 1e-4 * whole), np.zeros_like(scale)])

    def tiled(self, count: int) -> Problem:
        """The packed problem with each curve repeated, for so many columns."""
        return self.problem.take(np.repeat(np.arange(self.problem.base.size), count))

    @property
    def rounding(self) -> float:
        """Residual sum of squares below which it is rounding."""
        return float(_ROUNDING * (self.problem.weight * self.problem.signal**2).sum() + _TINY)

    def solution(self, phi: Array) -> Solution:
        """Curves of one column of joint parameters, shape (size,), each with its own residual sum of squares."""
        inside, q = self.design.inside(phi[:, None], self.held)[:, :, 0], self.problem.curve.q
        rss = _evaluated(self.problem, inside)[1]
        return Solution(inside[:q], inside[q:], rss, np.ones(rss.size, dtype=bool))

    def covariance(self, phi: Array) -> Array:
        """Gauss–Newton covariance for a residual variance of 1, shape (size, size); infinite where singular."""
        normal = _State.at(self, phi[:, None]).normal[:, :, :, 0]
        matrix = self.design.sums.toarray().reshape(*normal.shape[1:], -1)
        lifted = np.einsum("pqc,qcj->pcj", normal, matrix, optimize=True)
        information = np.tensordot(matrix, lifted, axes=([0, 1], [0, 1]))
        scale = np.sqrt(np.maximum(np.diag(information), _TINY))
        correlation = information / scale[:, None] / scale
        if not np.isfinite(correlation).all():
            return np.full_like(correlation, np.inf)
        sizes = np.linalg.eigvalsh(correlation)
        if sizes.size and not sizes[0] > 1e-14 * sizes[-1]:
            return np.full_like(correlation, np.inf)
        return np.asarray(np.linalg.inv(correlation) / scale[:, None] / scale)


@dataclass(frozen=True)
class Found:
    """Optima of several columns.

    Parameters
    ----------
    phi : array, shape (size, columns)
        Joint parameters.
    rss : array, shape (columns,)
        Residual sum of squares of all curves together.
    """

    phi: Array
    rss: Array

    def take(self, columns: Rows) -> Found:
        """Some of the columns."""
        return Found(self.phi[:, columns], self.rss[columns])

    def and_also(self, other: Found) -> Found:
        """These columns and those."""
        return Found(np.concatenate([self.phi, other.phi], axis=1), np.r_[self.rss, other.rss])

    def best(self) -> Found:
        """The column with the lowest sum of squares."""
        return self.take(np.array([int(np.argmin(self.rss))]))


@dataclass
class _State:
    """Places with their sums of squares, normal matrices and gradients by the inside parameters."""

    phi: Array
    rss: Array
    normal: Array
    gradient: Array

    @classmethod
    def at(cls, joint: Joint, phi: Array) -> _State:
        """All that follows from joint parameters, shape (size, columns)."""
        return cls._of(joint, phi, joint.tiled(phi.shape[1]), linear_only=False)

    @classmethod
    def projected(cls, joint: Joint, phi: Array, low: Array, high: Array) -> _State:
        """The same with the linear parameters at their best values within the limits."""
        problem = joint.tiled(phi.shape[1])
        bounded = joint.problem.floor is not None
        for _ in range(joint.problem.curve.p + 1 if bounded else 1):
            part = cls._of(joint, phi, problem, linear_only=True)
            still = part.still(joint, low, high) | joint.nonlinear[:, None]
            step = _eliminated(joint.design, part, still, np.zeros_like(part.gradient))
            phi = np.clip(phi + np.where(np.isfinite(step), step, 0.0), low, high)
        return cls._of(joint, phi, problem, linear_only=False)

    @classmethod
    def _of(cls, joint: Joint, phi: Array, problem: Problem, *, linear_only: bool) -> _State:
        count, curves, q = phi.shape[1], joint.problem.base.size, joint.problem.curve.q
        inside = joint.design.inside(phi, joint.held)
        slopes, rss, residual = _evaluated(problem, inside.reshape(len(inside), -1), linear_only=linear_only)
        size, first = len(inside), q if linear_only else 0
        normal, gradient = np.zeros((size, size, curves, count)), np.zeros((size, curves, count))
        for i, slope in enumerate(slopes, first):
            weighted = problem.weight * slope
            gradient[i] = np.einsum("nc,nc->c", weighted, residual).reshape(curves, count)
            for j in range(first, i + 1):
                product = np.einsum("nc,nc->c", weighted, slopes[j - first])
                normal[i, j] = normal[j, i] = product.reshape(curves, count)
        return cls(phi, rss.reshape(curves, count).sum(axis=0), normal, gradient)

    def still(self, joint: Joint, low: Array, high: Array) -> Flags:
        """Joint parameters that are held, or at a limit beyond which the sum of squares falls."""
        downhill = joint.design.gathered(self.gradient)
        beyond = ((self.phi >= high) & (downhill > 0)) | ((self.phi <= low) & (downhill < 0))
        return np.asarray((low == high) | beyond)

    def take(self, columns: Rows) -> _State:
        """Some of the columns."""
        return _State(*(getattr(self, f.name)[..., columns] for f in fields(self)))

    @staticmethod
    def choose(pick: Flags, one: _State, other: _State) -> _State:
        """`other` where picked, else `one`."""
        return _State(*(np.where(pick, getattr(other, f.name), getattr(one, f.name)) for f in fields(one)))


def _evaluated(problem: Problem, inside: Array, *, linear_only: bool = False) -> tuple[list[Array], Array, Array]:
    """Derivatives by all inside parameters (or the linear ones), sum of squares of each curve, residuals."""
    q = problem.curve.q
    theta, linear = inside[:q], inside[q:]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shape = problem.curve.at(problem.u, theta, problem.sign)
        slopes = [] if linear_only else problem.curve.slopes(problem.u, theta, problem.sign, shape, linear)
        residual = problem.signal - sum(k * column for k, column in zip(linear, shape.columns, strict=True))
        rss = problem.base + np.einsum("nc,nc->c", problem.weight * residual, residual)
    return [*slopes, *shape.columns], rss, residual


def minimise(
    joint: Joint, start: Array, *, low: Array | None = None, high: Array | None = None, enough: float = OPTIMUM,
    damping: float = 1e-3,
) -> Found:  # fmt: skip
    """Local optimum from each column of `start`, shape (size, columns), by Levenberg–Marquardt.

    `low` and `high`, of the same shape, are limits; equal where a parameter is held.
    """
    least, most = (limit[:, None] + 0 * start for limit in joint.limits)
    low, high = (least if low is None else low), (most if high is None else high)
    width = max(1, _CHUNK // max(joint.problem.u.size, 1))
    parts = [
        _minimise(joint, start[:, k : k + width], low[:, k : k + width], high[:, k : k + width], enough, damping)
        for k in range(0, start.shape[1], width)
    ]
    return Found(np.concatenate([p.phi for p in parts], axis=1), np.concatenate([p.rss for p in parts]))


def _minimise(joint: Joint, start: Array, low: Array, high: Array, enough: float, first: float) -> Found:
    state = _State.projected(joint, np.clip(start, low, high), low, high)
    columns, damping = np.arange(start.shape[1]), np.full(start.shape[1], first)
    result, least = Found(state.phi.copy(), state.rss.copy()), joint.rounding
    weight, slow = joint.damped(state.normal), np.zeros(columns.size, dtype=int)
    for turn in range(_STEPS[enough] + 1):
        step, promised = _step(joint, state, low, high, damping * weight)
        settled = (promised <= enough * state.rss + least) & (damping < 1e-2)
        done = settled | (damping > 1e12) | (slow >= _PATIENCE) | (turn == _STEPS[enough])
        if done.any():
            result.phi[:, columns[done]], result.rss[columns[done]] = state.phi[:, done], state.rss[done]
            left = np.flatnonzero(~done)
            if left.size == 0:
                break
            state, low, high, step = state.take(left), low[:, left], high[:, left], step[:, left]
            promised, damping, slow = promised[left], damping[left], slow[left]
            columns, weight = columns[left], weight[:, :, left]
        trial = _State.projected(joint, np.clip(state.phi + step, low, high), low, high)
        good = trial.rss <= state.rss
        with np.errstate(over="ignore"):
            share = (state.rss - trial.rss) / np.maximum(promised, _TINY)
            eased = np.clip(1.0 - (2.0 * share - 1.0) ** 3, 0.1, 2.0)
        crawls = state.rss - trial.rss <= _CRAWL * enough * state.rss
        slow = np.where(good, np.where(crawls, slow + 1, 0), slow)
        state = _State.choose(good, state, trial)
        weight = np.maximum(weight, joint.damped(state.normal))
        damping = np.where(good, np.maximum(damping * eased, 1e-10), np.maximum(damping * 6.0, 1e-4))
    return result


def _step(joint: Joint, state: _State, low: Array, high: Array, damping: Array) -> tuple[Array, Array]:
    """Damped Gauss–Newton step of the joint parameters, and the gain that it promises."""
    gradient, still = joint.design.gathered(state.gradient), state.still(joint, low, high)
    step = _eliminated(joint.design, state, still, damping)
    step[:, ~np.isfinite(step).all(axis=0)] = 0.0
    step[joint.nonlinear] = np.clip(step[joint.nonlinear], -_LONGEST, _LONGEST)
    return step, np.einsum("ij,ij->j", step, np.where(still, 0.0, gradient))


def _eliminated(design: Design, state: _State, still: Flags, damping: Array) -> Array:
    """Solution of the damped normal equations: own parameters are eliminated curve by curve, then put back.

    `damping`, shape (parameters, curves, columns), is added to the diagonals.
    """
    diagonal = np.einsum("iick->ick", state.normal)
    moving = np.concatenate([~still, np.zeros((1, still.shape[1]), dtype=bool)])[design.place]
    own = design.own[:, :, None] & moving & (diagonal > 0)
    scale = np.where(own, _scale(diagonal), 1.0)
    normal = (state.normal + _diagonal(damping + _EASE * diagonal)) * scale[:, None] * scale
    gradient = state.gradient * scale
    block = np.where(own[:, None] & own, normal, 0.0) + _diagonal(~own)
    across = np.where(own[:, None] & ~own, normal, 0.0)
    found = _solved(block, np.concatenate([across, np.where(own, gradient, 0.0)[:, None]], axis=1))
    local, alone = found[:, :-1], found[:, -1]
    step = np.zeros(still.shape)
    if design.border:
        reduced = normal - np.einsum("rlck,rmck->lmck", across, local)
        pull = gradient - np.einsum("rlck,rck->lck", across, alone)
        step[: design.border] = _bordered(design, reduced, pull, still[: design.border])
        moved = design.inside(step, np.zeros(own.shape[:2]))
        alone = alone - np.einsum("rlck,lck->rck", local, moved)
    return step + design.gathered(np.where(own, alone * scale, 0.0))


def _bordered(design: Design, normal: Array, gradient: Array, still: Flags) -> Array:
    """Step of the shared parameters, shape (border, columns): what is a curve's own is eliminated from `normal`."""
    matrix = (design.products @ normal.reshape(-1, still.shape[1])).reshape(*still.shape[:1] * 2, -1)
    scale = np.where(still, 0.0, _scale(np.einsum("iik->ik", matrix)))
    matrix = matrix * scale[:, None] * scale + _diagonal(scale == 0)
    right = design.gathered(gradient)[: design.border] * scale
    return np.asarray(_solved(matrix, right[:, None])[:, 0] * scale)


def _scale(diagonal: Array) -> Array:
    """What makes a diagonal one; 0 where it is none."""
    return np.where(diagonal > 0, 1.0 / np.sqrt(np.maximum(diagonal, _TINY)), 0.0)


def _diagonal(values: NDArray[Any]) -> Array:
    """Matrices with these on their diagonals, the axes of the systems last."""
    size = len(values)
    return np.asarray(np.eye(size).reshape(size, size, *[1] * (values.ndim - 1)) * values)


def _solved(matrix: Array, right: Array) -> Array:
    """Solutions of many small systems, whose axes come last; a singular one is eased by a part in 10⁸."""
    if len(matrix) == 0:
        return right
    a, b = (np.moveaxis(part, (0, 1), (-2, -1)) for part in (matrix, right))
    try:
        found = np.asarray(np.linalg.solve(a, b), dtype=float)
    except np.linalg.LinAlgError:
        found = np.asarray(np.linalg.solve(a + 1e-8 * np.eye(len(matrix)), b), dtype=float)
    return np.moveaxis(found, (-2, -1), (0, 1))


def promising(joint: Joint, starts: Array, count: int) -> Array:
    """The best of many starts, shape (size, at most count), once what is linear and what is a curve's own is solved."""
    low, high = (limit[:, None] + 0 * starts for limit in joint.limits)
    first = _State.projected(joint, np.clip(starts, low, high), low, high).phi
    state = _State.projected(joint, resolved(joint, first), low, high)
    rss = np.where(np.isfinite(state.rss), state.rss, np.inf)
    return np.asarray(state.phi[:, np.argsort(rss, kind="stable")[:count]])


def resolved(joint: Joint, phi: Array, held: Rows | None = None, pairs: tuple[Rows, Rows] | None = None) -> Array:
    """The same columns with what curves have of their own found anew by the global search of `solve`.

    Parameters
    ----------
    joint : Joint
    phi : array, shape (size, columns)
        Its shared parameters stay.
    held : array of int, shape (columns,), optional
        A joint parameter that stays too.
    pairs : (array of int, array of int), optional
        Curves and columns that are looked at; all where not given.
    """
    d, q = joint.design, joint.problem.curve.q
    grid = np.indices((joint.problem.base.size, phi.shape[1])).reshape(2, -1)
    curve, column = (grid[0], grid[1]) if pairs is None else pairs
    if curve.size == 0 or not d.own.any():
        return phi
    inside = d.inside(phi, joint.held)[:, curve, column]
    free = d.own[:, curve]
    if held is not None:
        free = free & (d.place[:, curve] != held[column])
    part = joint.problem.take(curve)
    part = replace(
        part, low=np.where(free[:q], part.low, inside[:q]), high=np.where(free[:q], part.high, inside[:q]),
        held=np.where(free[q:], np.nan, inside[q:]),
    )  # fmt: skip
    found = solve(part)
    better = found.rss < _evaluated(part, inside)[1] * (1 - 1e-9)
    result, values = phi.copy(), found.parameters()
    row, which = np.nonzero(free & better)
    result[d.place[row, curve[which]], column[which]] = values[row, which]
    return result
