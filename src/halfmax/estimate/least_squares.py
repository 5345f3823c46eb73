"""Least squares of many curves at once: variable projection and Levenberg–Marquardt, vectorised over curves.

A curve is a sum of columns with linear coefficients (`halfmax.curves.curve`).  The linear
parameters are eliminated in closed form, so that a step moves only the nonlinear ones.
Arrays are laid out points × curves: a sum over the points of all curves is a sum of long rows.

References
----------
.. [1] Golub & Pereyra (2003), Inverse Problems 19:R1, doi 10.1088/0266-5611/19/2/201.
.. [2] Kaufman (1975), BIT 15:49, doi 10.1007/BF01932995.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import FAR, Curve, Shape
from halfmax.estimate import orthogonal

__all__ = ["Problem", "Solution", "dot", "evaluate", "grid_start", "jacobian", "minimise", "solve"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]

#: A valley of the grid is searched too if its sum of squares is less than this many times the lowest.
_RIVAL = 1.1
#: Pivot, as a share of its diagonal, below which a column is taken to depend on those before it.
_DEPENDENT = 1e-13
#: Weight of a plateau, as a share of that of the other, below which the data do not see it.
_OUT_OF_REACH = 1e-14
#: Places of a grid; a finer one is thinned.
_MOST_PLACES = 400
#: Longest step of a nonlinear parameter.
_LONGEST = 2.0
#: A pivot below this is none.
_NOTHING = 1e-280
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Problem:
    """Many data sets to which one family of curves is fitted, padded to the same number of points.

    Parameters
    ----------
    curve : Curve
    u : array, shape (points, curves)
        Abscissa inside: ln concentration, zero and infinity as ∓`FAR`, or whatever the curve takes.
    signal : array, shape (points, curves)
        Mean of the wells of a point.
    weight : array, shape (points, curves)
        Number of wells of a point, or the sum of their weights; 0 where it is padding.
    base : array, shape (curves,)
        Sum of squares of the wells round their points' means, which no curve explains.
    sign : array, shape (curves,)
        1 rising, -1 falling, for families in which these are two curves.
    held : array, shape (linear, curves)
        Linear parameters that are held; NaN where fitted.
    low, high : array, shape (nonlinear, curves)
        Limits; equal where the parameter is held.
    floor, ceiling : array, shape (linear, curves), or None
        Limits of the linear parameters.
    """

    curve: Curve
    u: Array
    signal: Array
    weight: Array
    base: Array
    sign: Array
    held: Array
    low: Array
    high: Array
    floor: Array | None = None
    ceiling: Array | None = None

    @classmethod
    def of(cls, curve: Curve, u: Array, signal: Array, weight: Array, base: Array) -> Problem:
        """Problem with the limits and the held parameters that the family has of itself."""
        ones = np.ones(base.size)
        fixed = [np.nan if term.held is None else term.held for term in curve.terms[curve.q :]]
        held = np.array(fixed)[:, None] * ones
        nothing = np.empty((0, base.size))
        problem = cls(curve, u, signal, weight, base, -ones, held, nothing, nothing)
        ranges = [term.range(*problem.span()) for term in curve.terms[: curve.q]]
        if not ranges:
            return problem
        return replace(problem, low=np.stack([r[0] for r in ranges]), high=np.stack([r[1] for r in ranges]))

    def span(self) -> tuple[Array, Array]:
        """Lowest and highest abscissa of each curve: of ln of the doses above zero, or of times above zero."""
        inside = (np.abs(self.u) < FAR) & (self.weight > 0)
        if not self.curve.logarithmic:
            inside &= self.u > 0
        least = np.where(inside, self.u, np.inf).min(axis=0, initial=np.inf)
        most = np.where(inside, self.u, -np.inf).max(axis=0, initial=-np.inf)
        nowhere = ~inside.any(axis=0)
        return np.where(nowhere, 1.0, least), np.where(nowhere, 1.0, most)

    def at_full_effect(self) -> Flags:
        """Points at infinite dose, shape (points, curves)."""
        return np.asarray((self.u >= FAR) & (self.weight > 0) & self.curve.logarithmic)

    def free(self) -> Flags:
        """Which parameters are fitted, shape (nonlinear + linear, curves)."""
        return np.concatenate([self.low < self.high, np.isnan(self.held)])

    def take(self, rows: Rows) -> Problem:
        """Some of the curves (a curve may be taken several times).

        Rows stay rows in memory, so that sums over points are made in the same order in every batch.
        """
        names = [f.name for f in fields(self) if f.name != "curve"]
        part: dict[str, Any] = {name: getattr(self, name) for name in names}
        taken: dict[str, Any] = {name: np.take(v, rows, axis=-1) for name, v in part.items() if v is not None}
        return replace(self, **taken)

    def holding(self, index: Rows, value: Array) -> Problem:
        """Same problem with one parameter of each curve held; `index` says which: nonlinear ones first, then linear."""
        q, curves = self.curve.q, np.arange(index.size)
        low, high, held = self.low.copy(), self.high.copy(), self.held.copy()
        inner, outer = index < q, index >= q
        low[index[inner], curves[inner]] = high[index[inner], curves[inner]] = value[inner]
        held[index[outer] - q, curves[outer]] = value[outer]
        return replace(self, low=low, high=high, held=held)

    def limited(self, index: int, limits: tuple[float, float]) -> Problem:
        """Same problem with other limits of a nonlinear parameter."""
        low, high = self.low.copy(), self.high.copy()
        low[index], high[index] = limits
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class Solution:
    """Optimum of each curve.

    Parameters
    ----------
    theta : array, shape (nonlinear, curves)
    linear : array, shape (linear, curves)
    rss : array, shape (curves,)
        Residual sum of squares.
    converged : array of bool, shape (curves,)
    """

    theta: Array
    linear: Array
    rss: Array
    converged: Flags

    def parameters(self) -> Array:
        """Nonlinear, then linear, shape (parameters, curves)."""
        return np.concatenate([self.theta, self.linear])

    def take(self, rows: Rows) -> Solution:
        """Some of the curves."""
        return Solution(*(np.take(getattr(self, f.name), rows, axis=-1) for f in fields(self)))

    def put(self, rows: Rows, part: Solution) -> Solution:
        """This solution with `part` at `rows`."""
        values = []
        for f in fields(self):
            column = getattr(self, f.name).copy()
            column[..., rows] = getattr(part, f.name)
            values.append(column)
        return Solution(*values)

    @staticmethod
    def better(one: Solution, other: Solution) -> Solution:
        """Curve by curve the solution with the smaller residual sum of squares."""
        return Solution.choose(other.rss < one.rss, one, other)

    @staticmethod
    def choose(pick: Flags, one: Solution, other: Solution) -> Solution:
        """`other` where picked, else `one`."""
        return Solution(*(np.where(pick, getattr(other, f.name), getattr(one, f.name)) for f in fields(one)))


@dataclass
class _State:
    """A place of each curve, with all that follows from it; every array has the curves as its last axis."""

    theta: Array
    columns: list[Array]
    inner: list[Array]
    linear: Array
    residual: Array
    rss: Array
    fixed: Flags
    below: list[Array]
    pivot: list[Array]

    @classmethod
    def at(cls, problem: Problem, theta: Array) -> _State:
        """Columns, best linear parameters and residuals at a place."""
        shape = problem.curve.at(problem.u, theta, problem.sign)
        weighted = [problem.weight * column for column in shape.columns]
        gram = [[dot(weighted[i], shape.columns[j]) for j in range(i + 1)] for i in range(len(weighted))]
        right = [dot(part, problem.signal) for part in weighted]
        held = problem.held
        least = _least(problem.curve, gram)
        linear, below, pivot = _coefficients(gram, right, held, least)
        if problem.floor is not None and problem.ceiling is not None:
            for _ in range(len(right)):
                outside = np.where(linear < problem.floor, problem.floor, np.nan)
                outside = np.where(linear > problem.ceiling, problem.ceiling, outside)
                if np.isnan(outside).all():
                    break
                held = np.where(np.isnan(outside), held, outside)
                linear, below, pivot = _coefficients(gram, right, held, least)
        residual = problem.signal - linear[0] * shape.columns[0]
        for coefficient, column in zip(linear[1:], shape.columns[1:], strict=True):
            residual -= coefficient * column
        rss = problem.base + dot(problem.weight * residual, residual)
        return cls(theta, shape.columns, shape.inner, linear, residual, rss, ~np.isnan(held), below, pivot)

    def arrays(self) -> list[Any]:
        """All of them."""
        lists = (self.columns, self.inner, self.below, self.pivot)
        return [self.theta, self.linear, self.residual, self.rss, self.fixed, *itertools.chain(*lists)]

    def keep(self, old: _State, rows: Rows) -> None:
        """Go back to `old` for some curves."""
        for new, before in zip(self.arrays(), old.arrays(), strict=True):
            new[..., rows] = before[..., rows]

    def take(self, rows: Rows) -> _State:
        """Some of the curves."""
        parts: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            many = isinstance(value, list)
            parts[f.name] = [np.take(part, rows, axis=-1) for part in value] if many else np.take(value, rows, axis=-1)
        return _State(**parts)

    def solution(self, converged: Flags) -> Solution:
        """As a Solution."""
        return Solution(self.theta, self.linear, self.rss, converged)


def dot(a: Array, b: Array) -> Array:
    """Sum over points of a product, for each curve, both shape (points, curves) and laid out so.

    One curve's is the same sum as it is among many, to the last bit: from the first point to the
    last.  A single column would be summed in another order.
    """
    if a.shape[1] == 1:
        a, b = np.repeat(a, 2, axis=1), np.repeat(b, 2, axis=1)
        return np.asarray(np.einsum("ij,ij->j", a, b)[:1])
    return np.asarray(np.einsum("ij,ij->j", a, b))


def _factor(matrix: list[list[Array]], least: list[Array] | None = None) -> tuple[list[Array], list[Array]]:
    """L D Lᵀ of small symmetric matrices, one a curve, given by their lower triangles.

    L comes as its rows below the diagonal, one after the other.  A row that depends on those
    before it, or whose pivot is below `least`, gets an endless one, thus no weight.
    """
    below: list[Array] = []
    pivot: list[Array] = []
    for i, row in enumerate(matrix):
        line: list[Array] = []
        for j in range(i):
            value = row[j]
            for k in range(j):
                value = value - line[k] * below[j * (j - 1) // 2 + k] * pivot[k]
            line.append(value / pivot[j])
        last = row[i]
        for k in range(i):
            last = last - line[k] * line[k] * pivot[k]
        below += line
        enough = _DEPENDENT * row[i] + (_NOTHING if least is None else least[i])
        pivot.append(np.where(last > enough, last, np.where(row[i] > 0, row[i], 1.0) * 1e20))
    return below, pivot


def _forward(below: list[Array], right: list[Array]) -> list[Array]:
    """L⁻¹ right."""
    result: list[Array] = []
    for i, value in enumerate(right):
        for k in range(i):
            value = value - below[i * (i - 1) // 2 + k] * result[k]
        result.append(value)
    return result


def _solved(below: list[Array], pivot: list[Array], right: list[Array]) -> list[Array]:
    """Solution x of L D Lᵀ x = right."""
    result = [value / d for value, d in zip(_forward(below, right), pivot, strict=True)]
    for i in range(len(result) - 1, 0, -1):
        for j in range(i):
            result[j] = result[j] - below[i * (i - 1) // 2 + j] * result[i]
    return result


def _least(curve: Curve, gram: list[list[Array]]) -> list[Array]:
    """Weight that a column must have to be given a coefficient: a plateau far out of reach has none."""
    plateau = [term.kind == "plateau" for term in curve.terms[curve.q :]]
    most = gram[0][0]
    for row, line in enumerate(gram[1:], 1):
        most = np.maximum(most, line[row])
    nothing = np.full_like(most, _NOTHING)
    return [_OUT_OF_REACH * most + _NOTHING if is_plateau else nothing for is_plateau in plateau]


def _coefficients(
    gram: list[list[Array]], right: list[Array], held: Array, least: list[Array]
) -> tuple[Array, list[Array], list[Array]]:
    """Best linear parameters, those held as they are, and the factor of the normal matrix of the others."""
    fixed = ~np.isnan(held)
    if not fixed.any():
        below, pivot = _factor(gram, least)
        return np.stack(_solved(below, pivot, right)), below, pivot
    p, known = len(right), np.where(fixed, held, 0.0)
    full = [[gram[max(i, j)][min(i, j)] for j in range(p)] for i in range(p)]
    moved = [right[i] - sum(full[i][j] * known[j] for j in range(p)) for i in range(p)]
    rest = [[np.where(fixed[i] | fixed[j], float(i == j), full[i][j]) for j in range(i + 1)] for i in range(p)]
    below, pivot = _factor(rest, [np.where(fixed[i], 0.0, least[i]) for i in range(p)])
    found = _solved(below, pivot, [np.where(fixed[i], 0.0, moved[i]) for i in range(p)])
    return np.where(fixed, held, np.stack(found)), below, pivot


def evaluate(problem: Problem, theta: Array) -> Array:
    """Residual sum of squares at a place, with the best linear parameters."""
    if problem.curve.delicate:
        return orthogonal.residual_squares(problem, theta)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _State.at(problem, theta).rss


def jacobian(problem: Problem, solution: Solution) -> Array:
    """Derivative of each fitted value by each parameter, shape (parameters, points, curves)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shape = problem.curve.at(problem.u, solution.theta, problem.sign)
        slopes = problem.curve.slopes(problem.u, solution.theta, problem.sign, shape, solution.linear)
    return np.stack([*slopes, *shape.columns])


def minimise(
    problem: Problem, theta: Array, *, precision: float = 1e-8, damping: Array | float = 1e-3, iterations: int = 200
) -> Solution:
    """Local optimum of each curve from a start, by Levenberg–Marquardt on the projected problem.

    A curve has converged when a step moves it by less than `precision`, or lowers its
    sum of squares by a share of about `precision` squared. Where the start is a neighbour's
    optimum the first steps need hardly any `damping`.
    """
    if problem.curve.delicate:
        found = orthogonal.minimise(problem, theta, precision=precision, damping=damping, iterations=3 * iterations)
        return Solution(*found)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if problem.curve.q == 0:
            state = _State.at(problem, theta)
            return state.solution(np.ones(state.rss.size, dtype=bool))
        return _minimise(problem, theta, precision, damping + np.zeros(theta.shape[1]), iterations)


def _minimise(problem: Problem, theta: Array, precision: float, damping: Array, iterations: int) -> Solution:
    enough = max(1e-13, 10.0 * precision**2)
    state = _State.at(problem, np.clip(theta, problem.low, problem.high))
    rows = np.arange(state.rss.size)
    result = state.solution(np.zeros(rows.size, dtype=bool)).take(rows)
    moving = np.ones(rows.size, dtype=bool)
    before = None
    for turn in range(iterations + 1):
        step, promised = _step(problem, state, damping)
        settled = (np.abs(step).max(axis=0) < precision) | ((promised <= enough * state.rss) & (damping < 1e-2))
        done = np.flatnonzero(moving & (settled | (damping > 1e12) | (turn == iterations)))
        if done.size:
            _finish(result, rows[done], state, done, settled[done])
            moving[done] = False
            left = np.flatnonzero(moving)
            if left.size == 0:
                break
            if left.size < 0.7 * moving.size:
                state, damping, rows, moving = state.take(left), damping[left], rows[left], moving[left]
                step, promised = step.take(left, axis=1), promised[left]
                problem = problem.take(left)
                before = None if before is None else (before[0].take(left, axis=1), before[1].take(left, axis=1))
        ahead = step if before is None else _accelerated(state.theta, step, *before)
        before = state.theta, step
        trial = _State.at(problem, np.clip(state.theta + ahead, problem.low, problem.high))
        good = trial.rss <= state.rss
        share = (state.rss - trial.rss) / np.maximum(promised, _TINY)
        eased = np.clip(1.0 - (2.0 * share - 1.0) ** 3, 0.1, 2.0)
        trial.keep(state, np.flatnonzero(~good))
        state = trial
        damping = np.where(good, np.maximum(damping * eased, 1e-12), np.maximum(damping * 6.0, 1e-4))
    return result


def _accelerated(theta: Array, step: Array, old_theta: Array, old_step: Array) -> Array:
    """A step that takes account of how the last one turned out (Anderson), where steps have become small."""
    change = step - old_step
    size = dot(change, change)
    share = dot(step, change) / np.maximum(size, _TINY)
    usable = (np.abs(step).max(axis=0) < 0.1) & (np.abs(share) < 5.0) & (old_step != step).any(axis=0)
    return np.where(usable, step - share * (theta - old_theta + change), step)


def _finish(result: Solution, rows: Rows, state: _State, done: Rows, converged: Flags) -> None:
    """Write some curves of a state into the result."""
    result.theta[:, rows], result.linear[:, rows] = state.theta[:, done], state.linear[:, done]
    result.rss[rows], result.converged[rows] = state.rss[done], converged


def _step(problem: Problem, state: _State, damping: Array) -> tuple[Array, Array]:
    """Damped Gauss–Newton step of the nonlinear parameters, the linear ones projected out, and the gain it promises."""
    shape = Shape(state.columns, state.inner)
    slopes = problem.curve.slopes(problem.u, state.theta, problem.sign, shape, state.linear)
    weighted = [problem.weight * slope for slope in slopes]
    q = len(slopes)
    cross = [_projections(state, part) for part in weighted]
    matrix = [
        [dot(weighted[i], slopes[j]) - sum(a * b / d for a, b, d in zip(cross[i], cross[j], state.pivot, strict=True))
         for j in range(i + 1)]
        for i in range(q)
    ]  # fmt: skip
    gradient = np.stack([dot(part, state.residual) for part in weighted])
    still = (problem.low == problem.high) | ((state.theta >= problem.high) & (gradient > 0))
    still |= (state.theta <= problem.low) & (gradient < 0)
    if still.any():
        gradient = np.where(still, 0.0, gradient)
        matrix = [[np.where(still[i] | still[j], float(i == j), matrix[i][j]) for j in range(i + 1)] for i in range(q)]
    for i in range(q):
        matrix[i][i] = np.maximum(matrix[i][i], 0.0) * (1.0 + damping) + _TINY
    step = np.stack(_solved(*_factor(matrix), list(gradient)))
    step[:, ~np.isfinite(step).all(axis=0)] = 0.0
    return np.clip(step, -_LONGEST, _LONGEST), dot(step, gradient)


def _projections(state: _State, slope: Array) -> list[Array]:
    """Products of a slope with the columns, through L⁻¹; none with what is held."""
    products = [dot(slope, column) for column in state.columns]
    if state.fixed.any():
        products = [np.where(fixed, 0.0, value) for fixed, value in zip(state.fixed, products, strict=True)]
    return _forward(state.below, products)


def solve(problem: Problem, *, starts: int = 4) -> Solution:
    """Global optimum of each curve: from the valleys of a fixed grid.  Deterministic.

    The lowest place is one start; others, up to `starts`, are the valleys that lie nearly as
    low: noise has many, a clear curve one.
    """
    size = problem.base.size
    if problem.curve.q == 0:
        return minimise(problem, np.empty((0, size)))
    places, extent = _places(problem)
    rss = _grid_rss(problem, places)
    with np.errstate(over="ignore", invalid="ignore"):
        share = np.fmin(np.maximum(rss, 0.0) / np.maximum(np.fmax.reduce(rss, axis=0), _TINY), 1.0)
    rank, curves = _valleys(share.astype(np.float32), extent, starts)
    found = minimise(problem.take(curves) if curves.size > size else problem, places[:, rank, curves])
    if curves.size == size:
        return found
    order = np.lexsort((np.arange(curves.size), found.rss, curves))
    _, first = np.unique(curves[order], return_index=True)
    return found.take(order[first])


def _valleys(rss: NDArray[np.float32], extent: tuple[int, ...], starts: int) -> tuple[Rows, Rows]:
    """Places of the grid with no lower neighbour, the lowest ones of each curve, the best first: (place, curve)."""
    size = rss.shape[1]
    grid = rss.reshape(*extent, size)
    valley = np.ones_like(grid, dtype=bool)
    for axis in range(len(extent)):
        lower = np.diff(grid, axis=axis)
        head = tuple(slice(None, -1) if a == axis else slice(None) for a in range(grid.ndim))
        tail = tuple(slice(1, None) if a == axis else slice(None) for a in range(grid.ndim))
        valley[head] &= lower >= 0
        valley[tail] &= lower < 0
    best = rss.argmin(axis=0)
    lowest = rss[best, np.arange(size)]
    rival = valley.reshape(rss.shape) & (rss <= _RIVAL * lowest)
    rival[best, np.arange(size)] = False
    place, curve = np.nonzero(rival)
    if place.size == 0:
        return best, np.arange(size)
    order = np.lexsort((rss[place, curve], curve))
    place, curve = place[order], curve[order]
    number = np.arange(curve.size) - np.searchsorted(curve, curve)
    kept = number < starts - 1
    return np.concatenate([best, place[kept]]), np.concatenate([np.arange(size), curve[kept]])


def grid_start(problem: Problem, *, without: int | None = None) -> Array:
    """Best place of a coarse grid, for each curve, shape (nonlinear, curves); `without` names one that is held."""
    places, _ = _places(problem, coarse=True, without=without)
    best = np.stack([evaluate(problem, places[:, k]) for k in range(places.shape[1])]).argmin(axis=0)
    return np.asarray(places[:, best, np.arange(best.size)])


def _places(
    problem: Problem, *, coarse: bool = False, without: int | None = None
) -> tuple[Array, tuple[int, ...]]:  # fmt: skip
    """A fixed grid: places, shape (nonlinear, places, curves), and its extent along each parameter."""
    least, most = problem.span()
    q = problem.curve.q
    axes = [term.grid(least, most, coarse=coarse) for term in problem.curve.terms[:q]]
    for row in range(q):
        low, high = problem.low[row], problem.high[row]
        if row == without or (low == high).all():
            axes[row] = low[None, :]
        axes[row] = np.clip(axes[row], low, high)
    if q == 0:
        return np.empty((0, 1, problem.base.size)), ()
    extent = tuple(len(axis) for axis in axes)
    if not coarse and np.prod(extent) > _MOST_PLACES:
        return _places(problem, coarse=True, without=without)
    index = np.indices(extent).reshape(q, -1)
    return np.stack([axis[index[row]] for row, axis in enumerate(axes)]), extent


def _grid_rss(problem: Problem, places: Array) -> Array:
    """Residual sums of squares at every place of a grid, shape (places, curves).

    Curves that share their doses share the columns: their sums of squares are those of
    projections on common directions, one product for the whole grid.  (Every built-in family
    can be constant, so that the mean may be taken off first; a user's own curve holds a column.)
    The product is no BLAS's: what a curve gets must not depend on those beside it.
    """
    if not np.isnan(problem.held).all() or problem.floor is not None:
        return np.stack([evaluate(problem, places[:, k]) for k in range(places.shape[1])])
    designs = _designs(problem)
    directions = _directions(problem, places, [rows[0] for rows in designs])
    root = np.sqrt(problem.weight)
    y = problem.signal * root
    y = y - root * (dot(root, y) / dot(root, root))
    rest = problem.base + dot(y, y)
    result = np.empty((places.shape[1], rest.size))
    for index, rows in enumerate(designs):
        part = np.take(y, rows if rows.size > 1 else np.repeat(rows, 2), axis=1)
        found = sum(np.einsum("gn,nb->gb", direction[index], part) ** 2 for direction in directions)
        result[:, rows] = rest[rows] - np.asarray(found)[:, : rows.size]
    return result


def _designs(problem: Problem) -> list[Rows]:
    """Curves by what they share: abscissae, weights, limits and sign."""
    key = np.concatenate([problem.u, problem.weight, problem.low, problem.high, problem.sign[None]])
    if (key == key[:, :1]).all():
        return [np.arange(problem.base.size)]
    together: dict[bytes, list[int]] = {}
    for index, row in enumerate(np.ascontiguousarray(key.T)):
        together.setdefault(row.tobytes(), []).append(index)
    return [np.array(rows) for rows in together.values()]


def _directions(problem: Problem, places: Array, curves: Sequence[int]) -> list[Array]:
    """Orthonormal directions of the weighted columns at each place, of some curves: each (curves, places, points)."""
    size, many = len(problem.u), places.shape[1]
    u, root = (np.repeat(a[:, curves], many, axis=1) for a in (problem.u, np.sqrt(problem.weight)))
    at = places[:, :, curves].transpose(0, 2, 1).reshape(len(places), -1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        columns = problem.curve.at(u, at, np.repeat(problem.sign[curves], many)).columns
    found: list[Array] = []
    for column in columns:
        left = column * root
        whole = dot(left, left)
        for _ in range(2):
            for direction in found:
                left = left - direction * dot(direction, left)
        length = dot(left, left)
        found.append(left * np.where(length > _DEPENDENT * whole, 1.0 / np.sqrt(np.maximum(length, _TINY)), 0.0))
    return [np.ascontiguousarray(one.T).reshape(len(curves), many, size) for one in found]
