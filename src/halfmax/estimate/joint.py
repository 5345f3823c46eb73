"""Several curves as one least-squares problem: shared parameters, joint optimum, joint profiles.

The inside parameters of each curve are sums of joint parameters (`Design`): one that several
curves share stands in the rows of all of them.  Levenberg–Marquardt runs over all joint
parameters at once.  Its normal matrix is an arrow: what a curve has of its own meets only the
shared parameters, so it is eliminated curve by curve, and a system as large as the number of
shared ones remains.  Many columns (starts, or places on a profile) are solved in one batch;
arrays are laid out parameters × curves × columns.

References
----------
.. [1] Marquardt (1963), J Soc Ind Appl Math 11:431, doi 10.1137/0111030.
.. [2] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapter 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import FitError
from halfmax.estimate.fitting import one_problem
from halfmax.estimate.least_squares import Problem, Solution, solve
from halfmax.estimate.profile import held_at
from halfmax.estimate.result import Estimate

__all__ = ["Design", "Found", "Joint", "joint_ratio", "minimise", "profile", "promising", "resolved"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]

#: Points × curves × columns that are evaluated at once.
_CHUNK = 400_000
#: A step that promises a smaller share of the sum of squares is the last one: of an optimum, and of a place on a
#: profile, whose excess is then known to a part in a million.
_OPTIMUM, _PLACE = 1e-14, 1e-10
#: A fit is given up as crawling along a valley after so many steps that each lower its sum of squares by less than
#: this many times the share above.
_PATIENCE, _CRAWL = 5, 1e3
#: Steps of a fit of an optimum, and of a place on a profile.
_STEPS = {_OPTIMUM: 300, _PLACE: 60}
#: How closely a profile must meet its threshold, as a share of the root of the allowed excess; eased where it is hard
#: to follow, up to the coarsest.
_PRECISION, _COARSEST = 1e-6, 1e-3
#: Share of its diagonal that keeps a normal matrix from being singular.
_EASE = 1e-12
#: Longest step of a nonlinear parameter.
_LONGEST = 2.0
#: Residual sum of squares, as a share of that of the signals, below which it is rounding.
_ROUNDING = 1e-24
#: Share by which the residual sum of squares of an estimate lies above the optimum, where it is not that of its data.
_SAME = 1e-4
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

    def inside(self, phi: Array, held: Array) -> Array:
        """Inside parameters, shape (parameters, curves, columns), of joint ones, shape (size, columns)."""
        padded = np.concatenate([phi, np.zeros((1, phi.shape[1]))])
        return np.asarray(padded[self.place] + padded[self.shift] + held[:, :, None])

    def gathered(self, gradient: Array) -> Array:
        """Derivatives by the joint parameters, of those by the inside ones."""
        total = np.zeros((self.size + 1, gradient.shape[-1]))
        np.add.at(total, self.place, gradient)
        np.add.at(total, self.shift, np.where((self.shift < self.size)[:, :, None], gradient, 0.0))
        return total[:-1]

    @cached_property
    def matrix(self) -> Array:
        """D of ``inside = held + D @ phi``, shape (parameters, curves, size)."""
        full = np.zeros((*self.place.shape, self.size + 1))
        row, curve = np.indices(self.place.shape)
        full[row, curve, self.place] = 1.0
        full[row, curve, self.shift] = 1.0
        return full[:, :, :-1]

    @cached_property
    def own(self) -> Flags:
        """Inside parameters that are a curve's own, shape (parameters, curves)."""
        return np.asarray((self.place >= self.border) & (self.place < self.size))

    @cached_property
    def own_rows(self) -> Rows:
        """Inside rows in which some curve has a parameter of its own."""
        return np.flatnonzero(self.own.any(axis=1))

    @cached_property
    def slots(self) -> tuple[Rows, Rows]:
        """Shared parameters as each curve sees them: inside row of each slot, and joint parameter by curve.

        The second has shape (slots, curves) and holds `border` where a curve has nothing there.
        """
        rows, joint = [], []
        for table in (self.place, self.shift):
            for row in np.flatnonzero((table < self.border).any(axis=1)):
                rows.append(row)
                joint.append(np.where(table[row] < self.border, table[row], self.border))
        return np.array(rows, dtype=np.intp), np.array(joint, dtype=np.intp).reshape(len(rows), self.place.shape[1])


@dataclass(frozen=True)
class Joint:
    """A packed problem of several curves, and the design that joins them."""

    problem: Problem
    design: Design

    @cached_property
    def ranges(self) -> tuple[Array, Array]:
        """Limits of the inside parameters, each shape (parameters, curves)."""
        p = self.problem
        nothing = np.full_like(p.held, np.inf)
        floor, ceiling = (-nothing if p.floor is None else p.floor), (nothing if p.ceiling is None else p.ceiling)
        return np.concatenate([p.low, floor]), np.concatenate([p.high, ceiling])

    @cached_property
    def held(self) -> Array:
        """Values of the inside parameters that are held, 0 elsewhere, shape (parameters, curves)."""
        p = self.problem
        value = np.concatenate([p.low, np.nan_to_num(p.held)])
        return np.where(p.free(), 0.0, value)

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Limits of the joint parameters, each shape (size,): a shared one may be wherever one of its curves can be."""
        return self.spanned(*self.ranges)

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
        q, size = self.problem.curve.q, len(normal)
        weight = np.zeros((size, *normal.shape[2:]))
        whole = normal[np.arange(q), np.arange(q)]
        corner = np.moveaxis(normal[q:, q:], (0, 1), (-2, -1)).copy()
        diagonal = np.einsum("ckii->cki", corner)
        scale = np.where(diagonal > 0, 1.0 / np.sqrt(np.maximum(diagonal, _TINY)), 0.0)
        corner *= scale[..., None] * scale[..., None, :]
        corner += np.eye(size - q) * np.where(diagonal > 0, _EASE, 1.0)[..., None]
        across = np.moveaxis(normal[q:, :q], (0, 1), (-2, -1)) * scale[..., None]
        taken = np.einsum("cklq,cklq->qck", across, _solved(corner, across))
        weight[:q] = np.maximum(whole - taken, 1e-4 * whole)
        return weight

    def tiled(self, count: int) -> Problem:
        """The packed problem with each curve repeated, for so many columns."""
        return self.problem.take(np.repeat(np.arange(self.problem.base.size), count))

    @property
    def rounding(self) -> float:
        """Residual sum of squares below which it is rounding."""
        return float(_ROUNDING * (self.problem.weight * self.problem.signal**2).sum() + _TINY)

    def solution(self, phi: Array) -> Solution:
        """Curves of one column of joint parameters, shape (size,), each with its own residual sum of squares."""
        inside = self.design.inside(phi[:, None], self.held)[:, :, 0]
        q = self.problem.curve.q
        rss = _evaluated(self.problem, inside)[1]
        return Solution(inside[:q], inside[q:], rss, np.ones(rss.size, dtype=bool))

    def information(self, phi: Array) -> Array:
        """Normal matrix of all joint parameters at one column, shape (size, size)."""
        normal = _State.at(self, phi[:, None]).normal[:, :, :, 0]
        matrix = self.design.matrix
        lifted = np.einsum("pqc,qcj->pcj", normal, matrix, optimize=True)
        return np.tensordot(matrix, lifted, axes=([0, 1], [0, 1]))

    def covariance(self, phi: Array) -> Array:
        """Gauss–Newton covariance for a residual variance of 1, shape (size, size); infinite where singular."""
        information = self.information(phi)
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
            step = _eliminated(joint.design, part, still, np.zeros((1, 1, 1)) + 0 * part.gradient)
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


def _evaluated(
    problem: Problem, inside: Array, *, linear_only: bool = False
) -> tuple[list[Array], Array, Array]:  # fmt: skip
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
    joint: Joint, start: Array, *, low: Array | None = None, high: Array | None = None, enough: float = _OPTIMUM,
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
    rows, (slot_rows, slots) = design.own_rows, design.slots
    present = (slots < design.border)[:, :, None]
    free = np.concatenate([~still, np.zeros((1, still.shape[1]), dtype=bool)])[design.place[rows]]
    free &= design.own[rows][:, :, None]
    diagonal = state.normal[rows, rows]
    scale = np.where(free & (diagonal > 0), 1.0 / np.sqrt(np.maximum(diagonal, _TINY)), 0.0)
    block = state.normal[np.ix_(rows, rows)] * scale[:, None] * scale
    block[np.arange(rows.size), np.arange(rows.size)] = 1.0 + _EASE + damping[rows] * scale**2
    across = state.normal[np.ix_(rows, slot_rows)] * scale[:, None] * present
    right = np.concatenate([across, (state.gradient[rows] * scale)[:, None]], axis=1)
    found = np.moveaxis(
        _solved(np.moveaxis(block, (0, 1), (-2, -1)), np.moveaxis(right, (0, 1), (-2, -1))), (-2, -1), (0, 1)
    )
    local, own = found[:, :-1], found[:, -1]
    step = np.zeros_like(still, dtype=float)
    if design.border:
        corner = state.normal[np.ix_(slot_rows, slot_rows)] * present[:, None] * present
        reduced = corner - np.einsum("rlck,rmck->lmck", across, local)
        pull = state.gradient[slot_rows] * present - np.einsum("rlck,rck->lck", across, own)
        each = np.arange(len(slots))
        diagonals = corner[each, each], damping[slot_rows] * present
        shared = _bordered(design, diagonals, (reduced, pull), still[: design.border])
        step[: design.border] = shared[:-1]
        own = own - np.einsum("rlck,lck->rck", local, shared[slots])
    mine = design.own[rows]
    step[design.place[rows][mine]] = (own * scale)[mine]
    return step


def _bordered(
    design: Design, diagonals: tuple[Array, Array], parts: tuple[Array, Array], still: Flags
) -> Array:  # fmt: skip
    """Step of the shared parameters, shape (border + 1, columns), the last one zero.

    `diagonals` are the curves' own of the normal matrix and of the damping, `parts` the normal
    matrix with what is a curve's own eliminated, and the gradient.
    """
    slots, s, count = design.slots[1], design.border, still.shape[1]
    matrix = np.zeros((s + 1, s + 1, count))
    diagonal, damping, right = np.zeros((3, s + 1, count))
    np.add.at(matrix, (slots[:, None], slots[None]), parts[0])
    for total, part in ((diagonal, diagonals[0]), (damping, diagonals[1]), (right, parts[1])):
        np.add.at(total, slots, part)
    diagonal = diagonal[:s]
    scale = np.where(~still & (diagonal > 0), 1.0 / np.sqrt(np.maximum(diagonal, _TINY)), 0.0)
    scaled = matrix[:s, :s] * scale[:, None] * scale
    here = np.arange(s)
    scaled[here, here] = np.where(scale > 0, scaled[here, here] + _EASE + damping[:s] * scale**2, 1.0)
    found = _solved(np.moveaxis(scaled, 2, 0), np.moveaxis(right[:s] * scale, 1, 0)[:, :, None])[:, :, 0]
    return np.concatenate([found.T * scale, np.zeros((1, count))])


def _solved(matrix: Array, right: Array) -> Array:
    """Solutions of many small systems; a singular one among them is eased by a part in 10⁸ of its diagonal."""
    if matrix.shape[-1] == 0:
        return right
    try:
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.solve(matrix + 1e-8 * np.eye(matrix.shape[-1]), right))


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
    if d.own_rows.size == 0 or curve.size == 0:
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


@dataclass
class _Walks:
    """Ends of intervals being looked for: one a column, of a joint parameter in a direction."""

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
    def of(cls, best: Found, which: Rows, limits: tuple[Array, Array], drift: Array) -> _Walks:
        """Both directions of some parameters."""
        index, sign = np.tile(which, 2), np.repeat([-1.0, 1.0], which.size)
        limit = np.where(sign < 0, limits[0][index], limits[1][index])
        optimum, nothing = best.phi[index, 0], np.full(index.size, np.nan)
        over = (limit - optimum) * sign <= 0
        return cls(
            index, sign, limit, optimum, optimum.copy(), np.zeros(index.size), nothing.copy(), nothing.copy(),
            np.where(over, sign * np.inf, np.nan), np.repeat(best.phi, index.size, axis=1), drift[:, index],
        )  # fmt: skip


def profile(
    joint: Joint, best: Found, *, excess: float, covariance: Array, limits: tuple[Array, Array],
    which: Rows | None = None,
) -> tuple[Array, Array, Found]:  # fmt: skip
    """Profile intervals of joint parameters, by root finding on the profile.

    The root of the excess is nearly linear in a parameter, so a secant through the last two
    places finds the crossing in a few fits, each from the optimum of the last; it is kept
    within the bracket.  A crossing is believed only if no other start does better there.

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
    which = np.arange(joint.design.size) if which is None else which
    variance = np.maximum(np.diag(covariance), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drift = np.nan_to_num(covariance / variance, posinf=0.0, neginf=0.0)
    reach = math.sqrt(excess) * np.sqrt(variance)
    walks = _Walks.of(best, which, limits, drift)
    met = _search(joint, best, walks, _within(walks, walks.optimum + walks.sign * reach[walks.index]), excess)
    for _ in range(4):
        again = _elsewhere(joint, best, walks, excess)
        if again.size == 0:
            break
        beyond = walks.inner + 0.3 * (walks.inner - walks.optimum)
        met = Found.best(_both(met, _search(joint, best, walks, _within(walks, beyond), excess)))
    return walks.end[: which.size], walks.end[which.size :], met


def _both(one: Found, other: Found) -> Found:
    return Found(np.concatenate([one.phi, other.phi], axis=1), np.r_[one.rss, other.rss])


def _held(joint: Joint, walks: _Walks, rows: Rows, at: Array, start: Array, damping: float) -> Found:
    """Best fits with the parameters of some walks held at `at`, from `start`."""
    low, high = (np.repeat(limit[:, None], rows.size, axis=1) for limit in joint.limits)
    index, columns = walks.index[rows], np.arange(rows.size)
    low[index, columns] = high[index, columns] = at
    return minimise(joint, start, low=low, high=high, enough=_PLACE, damping=damping)


def _search(joint: Joint, best: Found, walks: _Walks, at: Array, excess: float) -> Found:
    """Find the ends of the walks (changed in place), first at `at`; returns the best column met."""
    goal, met = math.sqrt(excess), best
    before, height_before = np.full((2, at.size), np.nan)
    for visit in range(60):
        rows = np.flatnonzero(np.isnan(walks.end))
        if rows.size == 0:
            break
        here = at[rows]
        ahead = np.where(joint.nonlinear[:, None], 1.0, np.inf)
        move = walks.drift[:, rows] * (here - walks.warm[walks.index[rows], rows])
        found = _held(joint, walks, rows, here, walks.warm[:, rows] + np.clip(move, -ahead, ahead), 1e-6)
        met = _both(met, found).best()
        height = np.sqrt(np.maximum(found.rss - best.rss[0], 0.0))
        enough = min(_PRECISION * 4.0 ** max(visit - 4, 0), _COARSEST)
        _moved(walks, rows, (here, height), found, (goal, enough))
        walks.end[rows] = np.where(
            visit == 59, np.where(np.isnan(walks.end[rows]), here, walks.end[rows]), walks.end[rows]
        )
        at[rows] = _next(walks, rows, (here, height), (before[rows], height_before[rows]), goal, visit)
        before[rows], height_before[rows] = here, height
    return met


def _moved(
    walks: _Walks, rows: Rows, place: tuple[Array, Array], found: Found, wanted: tuple[float, float]
) -> None:  # fmt: skip
    """Take note of a place of each of some walks: bracket, end, where the next fit starts."""
    (here, height), (goal, enough) = place, wanted
    beyond = height > goal
    outer, inner = rows[beyond], rows[~beyond]
    walks.outer[outer], walks.outer_height[outer] = here[beyond], height[beyond]
    walks.inner[inner], walks.inner_height[inner] = here[~beyond], height[~beyond]
    close = np.abs(height - goal) <= enough * goal
    close |= np.abs(walks.outer[rows] - walks.inner[rows]) <= enough * np.abs(here - walks.optimum[rows])
    spent = ~beyond & ~close & (here == walks.limit[rows])
    walks.end[rows] = np.where(close, here, np.where(spent, walks.sign[rows] * np.inf, np.nan))
    kept = np.flatnonzero(~beyond | close)
    index = walks.index[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        drift = (found.phi - walks.warm[:, rows]) / (here - walks.warm[index, rows])
    walks.drift[:, rows] = np.nan_to_num(drift, posinf=0.0, neginf=0.0)
    walks.warm[:, rows[kept]] = found.phi[:, kept]


def _next(
    walks: _Walks, rows: Rows, last: tuple[Array, Array], before: tuple[Array, Array], goal: float, visit: int
) -> Array:
    """Where some walks look next: by the secant, within the bracket, or farther out while there is none."""
    inner, outer = walks.inner[rows], walks.outer[rows]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        secant = last[0] + (goal - last[1]) * (last[0] - before[0]) / (last[1] - before[1])
        chord = (goal - walks.inner_height[rows]) / (walks.outer_height[rows] - walks.inner_height[rows])
        share = (secant - inner) / (outer - inner)
        growth = np.nan_to_num(goal / walks.inner_height[rows], nan=4.0, posinf=4.0)
        step = (secant - walks.optimum[rows]) / (inner - walks.optimum[rows])
    share = np.where((share > 0) & (share < 1), share, np.clip(chord, 0.02, 0.98))
    share = np.full_like(share, 0.5) if visit > 5 and visit % 3 == 2 else share
    growth = np.where(step > 1, np.minimum(growth, step), growth)
    farther = walks.optimum[rows] + (inner - walks.optimum[rows]) * np.clip(1.01 * growth, 1.05, 4.0)
    part = replace(walks, inner=inner, limit=walks.limit[rows], sign=walks.sign[rows])
    return np.where(np.isnan(outer), _within(part, farther), inner + share * (outer - inner))


def _within(walks: _Walks, at: Array) -> Array:
    """A place between the inner end and the limit; a small step where the guess means nothing."""
    span = np.abs(walks.limit - walks.inner)
    with np.errstate(invalid="ignore"):
        guess = np.where(np.isfinite(at), np.abs(at - walks.inner), np.minimum(0.02 * span, 1.0))
    step = np.clip(guess, np.minimum(1e-6 * span, 1e-6), span)
    return np.asarray(np.where(step >= span, walks.limit, walks.inner + walks.sign * step))


def _elsewhere(joint: Joint, best: Found, walks: _Walks, excess: float) -> Rows:
    """Open again the walks at whose end another start fits clearly better: they are no ends."""
    rows = np.flatnonzero(np.isfinite(walks.end))
    if rows.size == 0:
        return rows
    index = walks.index[rows]
    member = (joint.design.place[:, :, None] == index).any(axis=0) | (index < joint.design.border)
    curve, column = np.nonzero(member)
    phi = walks.warm[:, rows]
    other = resolved(joint, phi, index, (curve, column))
    changed = np.flatnonzero((other != phi).any(axis=0))
    if changed.size == 0:
        return changed
    rows = rows[changed]
    found = _held(joint, walks, rows, walks.end[rows], other[:, changed], 1e-3)
    lower = found.rss - best.rss[0] < 0.99 * excess
    rows, found = np.asarray(rows[lower]), found.take(np.flatnonzero(lower))
    walks.inner[rows], walks.inner_height[rows] = walks.end[rows], np.sqrt(np.maximum(found.rss - best.rss[0], 0.0))
    walks.outer[rows] = walks.outer_height[rows] = walks.end[rows] = np.nan
    walks.warm[:, rows], walks.drift[:, rows] = found.phi, 0.0
    return rows


def joint_ratio(one: Estimate, other: Estimate, level: float) -> tuple[float, float]:
    """Joint profile interval of the EC50 of `other` over that of `one`, both fits with independent data.

    The profile of the ratio is then the smallest sum of the two curves' own profiles, which
    go on level beyond the doses that bound them: an EC50 that is open leaves the ratio open.
    Ends are 0 or infinity where open.

    Raises
    ------
    FitError
        If an estimate is no fit that its own data give back.
    """
    from scipy import optimize, stats

    curves = [_excess_of(estimate) for estimate in (one, other)]
    df = one.df + other.df
    allowed = (one.rss + other.rss) / df * float(stats.f.ppf(level, 1, df))
    grid = [np.linspace(*curve.range, 4001) for curve in curves]
    centre = curves[1].best - curves[0].best

    def beyond(ratio: float) -> float:
        at = np.r_[grid[0], grid[1] - ratio]
        total = curves[0].at(at) + curves[1].at(at + ratio)
        return float(np.sqrt(max(total.min(), 0.0)) - math.sqrt(allowed))

    ends = []
    for sign in (-1.0, 1.0):
        near, far = (0, 1) if sign > 0 else (1, 0)
        limit = curves[1].range[far] - curves[0].range[near]
        steps = centre + (limit - centre) * np.linspace(0, 1, 120)[1:]
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

        inside = np.clip(log_ec50, *self.range)
        return np.asarray(PchipInterpolator(self.position, self.root)(inside) ** 2, dtype=float)


def _excess_of(estimate: Estimate) -> _Excess:
    """Profile of ln EC50 over the doses and ten-fold beyond, densest round the optimum."""
    problem, best, error, (low, high) = one_problem(estimate)
    rounding = 1e-20 * float((problem.weight * problem.signal**2).sum())
    if best.rss[0] < estimate.rss * (1 - _SAME) - rounding:
        raise FitError(
            f"{estimate.label or estimate.model}: its data alone do not give this fit back: parameters were held or "
            'bounded, or curves fitted together. Use the ratio of fit_together, or method="fieller".'
        )
    t = float(best.theta[0, 0])
    error = min(max(error, 1e-4), 0.5)
    around = t + error * np.linspace(-6, 6, 73)
    position = np.unique(np.clip(np.r_[around, np.linspace(low, high, 97), t], low, high))
    rows = np.zeros(position.size, dtype=np.intp)
    held = held_at(problem.take(rows), rows, position, best.theta[:, rows], iterations=100)
    root = np.sqrt(np.maximum(held.rss - best.rss[0], 0.0)) * np.sign(position - t)
    return _Excess(t, (low, high), position, root)
