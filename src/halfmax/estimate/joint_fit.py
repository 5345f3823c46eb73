"""Responses that share parameters: their data, their joint parameters, and the joint optimum over all directions."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve
from halfmax.errors import FitError, nearest
from halfmax.estimate.batch import Constraints, covariance, limits, pack, roots, solved
from halfmax.estimate.joint import Design, Found, Joint, minimise, promising, resolved
from halfmax.estimate.joint_profile import profile
from halfmax.estimate.least_squares import Problem, Solution, solve
from halfmax.estimate.least_squares import minimise as solve_from
from halfmax.estimate.points import Points, as_points, is_tied
from halfmax.estimate.result import Estimate
from halfmax.estimate.status import SIGNIFICANCE
from halfmax.response import Response

__all__ = ["Data", "Fit", "Groups", "Term", "fitted", "profiled", "ratio_ends"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
#: Outside name → group of each response; those of one group share the parameter.
Groups = Mapping[str, tuple[int, ...]]

#: Starts that are followed to their optimum, and places of the grid that they are chosen from.
_STARTS, _MOST_PLACES = 6, 120


@dataclass(frozen=True, eq=False)
class Data:
    """What is fitted: wells as points, each response's fit alone, and what is asked of the curve."""

    responses: tuple[Response, ...]
    alone: tuple[Estimate, ...]
    points: tuple[Points, ...]
    tied: Flags
    family: Curve
    constraints: Constraints
    packed: Problem

    @classmethod
    def of(
        cls, responses: Sequence[Response], alone: Sequence[Estimate], family: Curve, constraints: Constraints
    ) -> Data:
        """Points of all responses; the full-effect wells are tied as each response's own fit says."""
        _check_signals(responses, alone, constraints.size(family))
        points = tuple(as_points(response) for response in responses)
        tied = np.array([is_tied(one) for one in alone])
        packed = pack(family, [p.columns(tied=bool(tie)) for p, tie in zip(points, tied, strict=True)])
        return cls(tuple(responses), tuple(alone), points, tied, family, constraints, packed)

    @property
    def n(self) -> int:
        """Number of wells."""
        return int(self.packed.weight.sum())

    @cached_property
    def separate(self) -> tuple[Problem, Solution]:
        """Each response fitted alone."""
        return solved(self.packed, self.constraints)

    @cached_property
    def curved(self) -> Flags:
        """Responses that alone differ from a flat line."""
        return np.array([one.p_flat < SIGNIFICANCE for one in self.alone])

    def directed(self, rises: Flags) -> Problem:
        """The packed problem with constraints, each curve in its direction."""
        falling, rising = (self.constraints.apply(self.packed, rising=up) for up in (False, True))
        chosen: dict[str, Any] = {}
        for name in ("low", "high", "held", "sign", "floor", "ceiling"):
            one, two = getattr(falling, name), getattr(rising, name)
            chosen[name] = None if one is None else np.where(rises, two, one)
        return replace(falling, **chosen)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of the responses; numbered where several have the same."""
        plain = [response.label for response in self.responses]
        count = Counter(plain)
        return tuple(label if count[label] == 1 else f"{label} ({i})" for i, label in enumerate(plain))

    def find(self, which: int | str) -> int:
        """Place of a response, by place or label."""
        if isinstance(which, str):
            if which not in self.labels:
                raise FitError(f'no response is called "{which}". {nearest(which, self.labels)}')
            return self.labels.index(which)
        if not 0 <= which < len(self.labels):
            raise FitError(f"there are {len(self.labels)} responses, counted from 0; found {which}.")
        return which


def _check_signals(responses: Sequence[Response], alone: Sequence[Estimate], size: int) -> None:
    """Refuse what could not be fitted alone, but for a lack of wells that sharing can make good."""
    for response, one in zip(responses, alone, strict=True):
        if not one.status.startswith("refused"):
            continue
        wells = int((response.used & np.isin(response.role, ("sample", "vehicle"))).sum())
        scarce = wells <= size or response.doses().size < size - 1
        if response.doses().size < 2 or not scarce:
            raise FitError(f"{response.label}: {one.status.removeprefix('refused: ')}")


@dataclass(frozen=True)
class Term:
    """A joint parameter: its outside name and the responses that have it."""

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Fit:
    """An optimum of all responses together."""

    groups: Groups
    rises: Flags
    joint: Joint
    terms: tuple[Term, ...]
    found: Found
    df: int

    @property
    def rss(self) -> float:
        """Residual sum of squares of all wells."""
        return float(self.found.rss[0])

    @property
    def phi(self) -> Array:
        """Joint parameters, shape (size,)."""
        return np.asarray(self.found.phi[:, 0])

    @cached_property
    def unit_covariance(self) -> Array:
        """Of the joint parameters, for a residual variance of 1."""
        return self.joint.covariance(self.phi)

    @cached_property
    def covariance(self) -> Array:
        """Of the joint parameters."""
        unit = self.unit_covariance
        return np.where(np.isfinite(unit), unit, 0.0) * self.rss / self.df + np.where(np.isfinite(unit), 0.0, np.inf)

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """Where walks along the joint parameters end."""
        return self.joint.spanned(*limits(self.joint.problem, self.solution))

    @cached_property
    def solution(self) -> Solution:
        """Of each curve."""
        return self.joint.solution(self.phi)

    @property
    def actual(self) -> Flags:
        """Whether each curve really rises."""
        return _actual(self.joint.problem, self.solution)

    def where(self, name: str, index: int) -> int:
        """Joint parameter of a name of a response; `size` where it is held."""
        row = {named.name: named.row for named in self.joint.problem.curve.names(bool(self.rises[index]))}[name]
        return int(self.joint.design.place[row, index])


def _actual(problem: Problem, solution: Solution) -> Flags:
    if problem.curve.oriented:
        return np.asarray(solution.linear[-1] >= solution.linear[0])
    return problem.curve.rises(problem.sign, solution.linear)


def fitted(data: Data, groups: Groups) -> Fit:
    """Best joint optimum over the directions that the curves may have."""
    problem, alone = data.separate
    found = _actual(problem, alone)
    votes = found[data.curved] if data.curved.any() else found
    majority = bool(2 * votes.sum() > votes.size)
    todo, done = [np.where(data.curved, found, majority), found], list[Fit]()
    for rises in todo:
        if any((rises == fit.rises).all() for fit in done):
            continue
        done.append(_fitted_in(data, groups, rises))
        if len(todo) < 5:
            todo.append(done[-1].actual)
    return min(done, key=lambda fit: fit.rss * (100.0 if (fit.actual != fit.rises).any() else 1.0))


def _fitted_in(data: Data, groups: Groups, rises: Flags) -> Fit:
    """Joint optimum for given directions, from separate fits and from a grid over what is shared."""
    problem = data.directed(rises)
    design, terms = _design(problem, rises, groups)
    df = data.n - design.size
    if df < 1:
        raise FitError(
            f"{data.n} wells cannot determine {design.size} parameters. Share more, or add replicates or doses."
        )
    _check_doses(data, design)
    joint = Joint(problem, design)
    found = minimise(joint, promising(joint, _starts(joint, _alone(data, problem), terms), _STARTS)).best()
    other = resolved(joint, found.phi)
    if (other != found.phi).any():
        again = minimise(joint, other)
        found = again if again.rss[0] < found.rss[0] else found
    return Fit(groups, rises, joint, terms, found, df)


def _alone(data: Data, problem: Problem) -> Solution:
    """Each response alone: by the global search, and from where its own fit ended, whichever is better."""
    found = solve(problem)
    theta = found.theta.copy()
    for index, one in enumerate(data.alone):
        best = {parameter.name: parameter.best for parameter in one.parameters}
        if all(map(math.isfinite, best.values())):
            theta[:, index] = data.family.inside(best)[1][:, 0]
    return Solution.better(found, solve_from(problem, theta))


def _check_doses(data: Data, design: Design) -> None:
    levels, own = (data.packed.weight > 0).sum(axis=0), design.own.sum(axis=0)
    for index in np.flatnonzero(levels < own):
        raise FitError(
            f"{data.labels[int(index)]}: {levels[index]} doses cannot determine {own[index]} parameters of its own. "
            "Share more of them, or add doses."
        )


def _design(
    problem: Problem, rises: Flags, groups: Groups, ratio: tuple[str, int, int] | None = None
) -> tuple[Design, tuple[Term, ...]]:
    """Joint parameters, the shared ones first.

    With `ratio`, (name, one, other), the parameter of `other` is that of `one` plus a joint parameter.
    """
    free, curves = problem.free(), np.arange(rises.size)
    rows = {
        up.name: np.where(rises, up.row, down.row)
        for up, down in zip(problem.curve.names(True), problem.curve.names(False), strict=True)
    }
    terms = [
        Term(name, tuple(int(c) for c in curves[free[rows[name], curves]] if group[c] == number))
        for name, group in groups.items()
        for number in dict.fromkeys(group)
    ]
    pair = [] if ratio is None else [t for i in ratio[1:] for t in terms if t.name == ratio[0] and i in t.members]
    border = [term for term in terms if len(term.members) > 1 or term in pair]
    every = (*border, *(term for term in terms if len(term.members) == 1 and term not in pair))
    place = np.full(free.shape, len(every), dtype=np.intp)
    shift = place.copy()
    for number, term in enumerate(every):
        members = np.array(term.members)
        where = (rows[term.name][members], members)
        place[where] = number
        if pair and term == pair[1]:
            place[where], shift[where] = every.index(pair[0]), number
    return Design(place, shift, len(border), len(every)), every


def _starts(joint: Joint, alone: Solution, terms: Sequence[Term]) -> Array:
    """Joint parameters to start from, shape (size, starts).

    Those of separate fits, with medians of what is shared and with means by precision; and the
    first with shared nonlinear parameters at the places of a grid.
    """
    problem, design, values = joint.problem, joint.design, alone.parameters()
    errors = roots(covariance(problem, alone, np.ones(alone.rss.size))).T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precision = np.nan_to_num(1.0 / errors**2, nan=0.0, posinf=0.0)
    start = np.empty((design.size, 2))
    for number in range(design.size):
        here = design.place == number
        start[number] = np.median(values[here])
        if precision[here].sum() > 0:
            start[number, 1] = np.average(values[here], weights=precision[here])
    names = dict.fromkeys(term.name for term, flat in zip(terms, joint.nonlinear, strict=True) if flat)
    shared = [name for name in names if any(term.name == name for term in terms[: design.border])]
    least, most = (np.array([end]) for end in (problem.span()[0].min(), problem.span()[1].max()))
    rows = {named.name: named.row for named in problem.curve.names(False)}
    grids = [problem.curve.terms[rows[name]].grid(least, most, coarse=False)[:, 0] for name in shared]
    if math.prod(map(len, grids)) > _MOST_PLACES:
        grids = grids[:1]
    places = np.array(list(itertools.product(*grids))) if grids else np.empty((0, 0))
    columns = np.repeat(start[:, :1], len(places), axis=1)
    for column, name in enumerate(shared[: len(grids)]):
        for number in range(design.border):
            if terms[number].name == name:
                columns[number] = places[:, column]
    return np.concatenate([start, columns], axis=1)


def profiled(fit: Fit, level: float) -> tuple[Fit, Array, Array]:
    """Profile intervals of all joint parameters; a better optimum met on the way is taken."""
    for _ in range(3):
        low, high, met = profile(
            fit.joint, fit.found, excess=_excess(fit, level), covariance=fit.unit_covariance, limits=fit.ends
        )
        if met.rss[0] >= fit.rss * (1 - 1e-7) - 1e-300:
            break
        fit = replace(fit, found=minimise(fit.joint, met.phi))
    return fit, low, high


def _excess(fit: Fit, level: float) -> float:
    """By how much the residual sum of squares may exceed its minimum."""
    from scipy import stats

    return max(fit.rss, fit.joint.rounding) * float(stats.f.ppf(level, 1, fit.df)) / fit.df


def ratio_ends(fit: Fit, ratio: tuple[str, int, int], pair: list[int], level: float) -> tuple[float, float]:
    """Ends of a ratio: the fit written anew with its logarithm as a joint parameter."""
    design, terms = _design(fit.joint.problem, fit.rises, fit.groups, ratio)
    first, second = pair
    number = terms.index(fit.terms[second])
    turned = np.eye(design.size)[[fit.terms.index(term) for term in terms]]
    turned[number, first] -= 1.0
    ends = np.full(design.size, -np.inf), np.full(design.size, np.inf)
    ends[0][number] = fit.ends[0][second] - fit.ends[1][first]
    ends[1][number] = fit.ends[1][second] - fit.ends[0][first]
    with np.errstate(invalid="ignore"):
        covariance = turned @ fit.unit_covariance @ turned.T
    low, high, _ = profile(
        Joint(fit.joint.problem, design), Found(turned @ fit.found.phi, fit.found.rss), excess=_excess(fit, level),
        covariance=covariance, limits=ends, which=np.array([number]),
    )  # fmt: skip
    with np.errstate(over="ignore"):
        return float(np.exp(low[0])), float(np.exp(high[0]))
