"""Fit many responses together, with parameters that they share, and test whether they may share them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError, nearest
from halfmax.estimate.batch import Column, Constraints, covariance, limits, outside, pack, roots, solved
from halfmax.estimate.fieller import Pair, delta_ratio, fieller_ratio
from halfmax.estimate.fitting import UNTESTED_PLATEAU, fit_all
from halfmax.estimate.joint import Design, Found, Joint, minimise, profile, promising, resolved
from halfmax.estimate.least_squares import Problem, Solution, solve
from halfmax.estimate.least_squares import minimise as solve_from
from halfmax.estimate.points import Points, as_points, is_tied, unit_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.status import with_status
from halfmax.response import Response
from halfmax.units import p_value

__all__ = ["ExtraSumOfSquares", "Together", "fit_together"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: Outside name → group of each response; those of one group share the parameter.
Groups = Mapping[str, tuple[int, ...]]

#: A test's p-value below which its hypothesis is given up.
SIGNIFICANCE = 0.05
#: Starts that are followed to their optimum, and places of the grid that they are chosen from.
_STARTS, _MOST_PLACES = 6, 120
_METHOD = "joint profile likelihood"


def fit_together(
    responses: Sequence[Response],
    model: str | Curve = "hill4",
    *,
    shared: Sequence[str] | Mapping[str, Sequence[Hashable]] = ("top", "bottom"),
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    level: float = 0.95,
) -> Together:
    """One least-squares fit of several responses that share parameters.

    All wells have one residual variance, and the sum of squares of all responses together is
    smallest::

        RSS = Σ over responses c, wells i of (y_ci - f(x_ci; own_c, shared))²

    Intervals are joint profiles: a value of a parameter belongs to its interval when the best
    fit of all responses that has it is not significantly worse than the best of all,
    ``RSS(v) <= RSS * (1 + F(1, df; level) / df)`` with df wells less parameters.

    Parameters
    ----------
    responses : sequence of Response
        At least two, in one unit of concentration and one of signal. Each with its control
        wells, which take part as they do in `fit`.
    model : str or Curve
    shared : sequence of str, or mapping
        Names of the parameters that all responses share; or name → one label for each
        response, those with the same label sharing it. Of a Hill slope the size is shared;
        ``top`` of a falling and of a rising curve are one value.
    fixed, bounds : mapping, optional
        As for `fit`; of every response.
    level : float
        Level of the intervals.

    Returns
    -------
    Together

    Raises
    ------
    FitError
        If there are fewer than two responses, their units differ, the curve has no parameter
        of a name, labels are not one a response, or there are too few doses or wells.

    References
    ----------
    .. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, chapters 3 and 6.
    .. [2] Ritz et al. (2015), PLoS ONE 10:e0146021, doi 10.1371/journal.pone.0146021.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> from halfmax.response import Response
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> def response(ec50, compound):
    ...     clean = hill(dose, ec50=ec50, hill_slope=-1.2, top=1.0, bottom=0.1)
    ...     return Response.of(dose, clean + np.tile([-0.01, 0.01], 8), compound=compound)
    >>> found = fit_together([response(2e-6, "parent"), response(1e-5, "amine")])
    >>> found["top"].text(), found["ec50", "amine"].text()
    ('1.000 (0.992–1.01)', '10.00 µM (9.46–10.6)')
    >>> found.ratio(one="parent", other="amine")["ratio"].text()
    '5.00 (4.71–5.31)'
    """
    family = curve(model)
    constraints = Constraints(fixed or {}, bounds or {}).of(family)
    _check(responses)
    groups = _groups(shared, family, len(responses))
    alone = fit_all(responses, family, level=level, fixed=fixed, bounds=bounds)
    data = _Data.of(responses, alone, family, constraints)
    return _together(data, _fitted(data, groups), level)


def _check(responses: Sequence[Response]) -> None:
    """Whether there are several responses in the same units."""
    if len(responses) < 2:
        raise FitError(f"fit_together needs at least two responses, found {len(responses)}. One is fitted by fit.")
    for what in ("concentration_unit", "signal_unit"):
        first = getattr(responses[0], what)
        for index, response in enumerate(responses):
            if getattr(response, what) != first:
                raise FitError(
                    f"{response.label} (response {index}): its {what.replace('_', ' ')} is "
                    f'"{getattr(response, what)}", that of {responses[0].label} "{first}". '
                    "Responses that are fitted together must come in the same units."
                )


def _groups(shared: Sequence[str] | Mapping[str, Sequence[Hashable]], family: Curve, count: int) -> Groups:
    """Group of each response, for every parameter of the curve."""
    if isinstance(shared, str):
        shared = (shared,)
    labels = shared if isinstance(shared, Mapping) else dict.fromkeys(shared, (0,) * count)
    known = list(family.outside_names)
    groups = {name: tuple(range(count)) for name in known}
    for name, given in labels.items():
        if name not in known:
            raise FitError(f'{family.name} has no parameter "{name}" to be shared. {nearest(name, known)}')
        if len(given) != count:
            raise FitError(f"shared: {name} needs one label for each of {count} responses, found {len(given)}.")
        order = {label: place for place, label in enumerate(dict.fromkeys(given))}
        groups[name] = tuple(order[label] for label in given)
    return groups


@dataclass(frozen=True, eq=False)
class _Data:
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
    ) -> _Data:
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
class _Term:
    """A joint parameter: its outside name and the responses that have it."""

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Fit:
    """An optimum of all responses together."""

    groups: Groups
    rises: Flags
    joint: Joint
    terms: tuple[_Term, ...]
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


def _fitted(data: _Data, groups: Groups) -> _Fit:
    """Best joint optimum over the directions that the curves may have."""
    problem, alone = data.separate
    found = _actual(problem, alone)
    votes = found[data.curved] if data.curved.any() else found
    majority = bool(2 * votes.sum() > votes.size)
    todo, done = [np.where(data.curved, found, majority), found], list[_Fit]()
    for rises in todo:
        if any((rises == fit.rises).all() for fit in done):
            continue
        done.append(_fitted_in(data, groups, rises))
        if len(todo) < 5:
            todo.append(done[-1].actual)
    return min(done, key=lambda fit: fit.rss * (100.0 if (fit.actual != fit.rises).any() else 1.0))


def _fitted_in(data: _Data, groups: Groups, rises: Flags) -> _Fit:
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
    return _Fit(groups, rises, joint, terms, found, df)


def _alone(data: _Data, problem: Problem) -> Solution:
    """Each response alone: by the global search, and from where its own fit ended, whichever is better."""
    found = solve(problem)
    theta = found.theta.copy()
    for index, one in enumerate(data.alone):
        best = {parameter.name: parameter.best for parameter in one.parameters}
        if all(map(math.isfinite, best.values())):
            theta[:, index] = data.family.inside(best)[1][:, 0]
    return Solution.better(found, solve_from(problem, theta))


def _check_doses(data: _Data, design: Design) -> None:
    levels, own = (data.packed.weight > 0).sum(axis=0), design.own.sum(axis=0)
    for index in np.flatnonzero(levels < own):
        raise FitError(
            f"{data.labels[int(index)]}: {levels[index]} doses cannot determine {own[index]} parameters of its own. "
            "Share more of them, or add doses."
        )


def _design(
    problem: Problem, rises: Flags, groups: Groups, ratio: tuple[str, int, int] | None = None
) -> tuple[Design, tuple[_Term, ...]]:
    """Joint parameters, the shared ones first.

    With `ratio`, (name, one, other), the parameter of `other` is that of `one` plus a joint parameter.
    """
    free, curves = problem.free(), np.arange(rises.size)
    rows = {
        up.name: np.where(rises, up.row, down.row)
        for up, down in zip(problem.curve.names(True), problem.curve.names(False), strict=True)
    }
    terms = [
        _Term(name, tuple(int(c) for c in curves[free[rows[name], curves]] if group[c] == number))
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


def _starts(joint: Joint, alone: Solution, terms: Sequence[_Term]) -> Array:
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


def _profiled(fit: _Fit, level: float) -> tuple[_Fit, Array, Array]:
    """Profile intervals of all joint parameters; a better optimum met on the way is taken."""
    for _ in range(3):
        low, high, met = profile(
            fit.joint, fit.found, excess=_excess(fit, level), covariance=fit.unit_covariance, limits=fit.ends
        )
        if met.rss[0] >= fit.rss * (1 - 1e-7) - 1e-300:
            break
        fit = replace(fit, found=minimise(fit.joint, met.phi))
    return fit, low, high


def _excess(fit: _Fit, level: float) -> float:
    """By how much the residual sum of squares may exceed its minimum."""
    from scipy import stats

    return max(fit.rss, fit.joint.rounding) * float(stats.f.ppf(level, 1, fit.df)) / fit.df


def _together(data: _Data, fit: _Fit, level: float) -> Together:
    """Intervals, covariance and words of a joint optimum."""
    fit, low, high = _profiled(fit, level)
    estimates = _estimates(data, fit, (low, high), level)
    notes = []
    wrong = [data.labels[int(i)] for i in np.flatnonzero(fit.actual != fit.rises)]
    if wrong:
        notes.append(f"Runs against the direction in which it shares its plateaus: {', '.join(wrong)}.")
    p = _lack_of_fit(data, fit)
    if p < 0.01:
        notes.append(f"The curves together miss the means of the doses (lack of fit, {p_value(p)}).")
    names = tuple(_said(data, term) for term in fit.terms)
    scale = _slope_scale(fit)
    with np.errstate(invalid="ignore"):
        outer = fit.covariance * scale[:, None] * scale
    return Together(
        estimates, tuple(name for name in fit.groups if len(set(fit.groups[name])) < len(data.responses)), names,
        outer, fit.rss, fit.df, data.n, level, p, tuple(notes), data, fit,
    )  # fmt: skip


def _said(data: _Data, term: _Term) -> str:
    """Name of a joint parameter."""
    if len(term.members) == len(data.responses):
        return term.name
    return f"{term.name} of {', '.join(data.labels[i] for i in term.members)}"


def _slope_scale(fit: _Fit) -> Array:
    """Derivative of what is outside by what is inside: the slope itself for a Hill slope, else 1."""
    return np.array(
        [
            math.exp(value) * (1.0 if fit.rises[term.members[0]] else -1.0) if term.name == "hill_slope" else 1.0
            for term, value in zip(fit.terms, fit.phi, strict=True)
        ]
    )


def _lack_of_fit(data: _Data, fit: _Fit) -> float:
    """P-value of the F-test of the joint fit against the means of all doses; NaN where there is none."""
    from scipy import stats

    levels, pure = int((data.packed.weight > 0).sum()), float(data.packed.base.sum())
    more, rest = levels - fit.joint.design.size, data.n - levels
    if more < 1 or rest < 1 or not pure > fit.joint.rounding:
        return math.nan
    return float(stats.f.sf(max(fit.rss - pure, 0.0) / more / (pure / rest), more, rest))


def _estimates(
    data: _Data, fit: _Fit, intervals: tuple[Array, Array], level: float
) -> tuple[Estimate, ...]:  # fmt: skip
    """One estimate for each response; all have the joint sum of squares and its degrees of freedom."""
    from scipy import stats

    design, solution = fit.joint.design, fit.solution
    inside, held = solution.parameters(), design.place == design.size
    least, most = (np.where(held, inside, np.r_[ends, 0.0][design.place]) for ends in intervals)
    place = np.where(held, 0, design.place).T
    matrix = fit.covariance[place[:, :, None], place[:, None, :]]
    matrix = np.where(held.T[:, :, None] | held.T[:, None, :], 0.0, matrix)
    columns = outside(fit.joint.problem, solution, np.minimum(least, inside), np.maximum(most, inside), roots(matrix).T)
    quantile = float(stats.t.ppf(0.5 + level / 2, fit.df))
    untested = _untested(data)
    return tuple(
        with_status(_estimate(data, fit, i, columns, (matrix[i], quantile, level)), data.points[i], bool(data.tied[i]),
                    bool(untested[i]))
        for i in range(len(data.responses))
    )  # fmt: skip


def _estimate(
    data: _Data, fit: _Fit, i: int, columns: Mapping[str, Column], numbers: tuple[Array, float, float]
) -> Estimate:
    """Estimate of one response, before its status."""
    inside, quantile, level = numbers
    response, terms = data.responses[i], data.family.terms
    parameters = []
    for name, column in columns.items():
        unit = unit_of(terms[column.row[i]], response)
        one = Parameter.bounded(
            name, float(column.best[i]), float(column.low[i]), float(column.high[i]), log=column.log, unit=unit,
            se=float(column.se[i]), quantile=quantile,
        )  # fmt: skip
        parameters.append(replace(one, method=_METHOD))
    order = [int(column.row[i]) for column in columns.values()]
    scale = np.array([float(c.best[i]) if name == "hill_slope" else 1.0 for name, c in columns.items()])
    with np.errstate(invalid="ignore"):
        outer = inside[np.ix_(order, order)] * scale[:, None] * scale
    return Estimate(
        _model(data.family, fit.groups), tuple(parameters), level, int(data.packed.weight[:, i].sum()), fit.rss,
        fit.df, response=response, covariance=outer, p_flat=_flat_test(data, fit, i),
        p_full=data.alone[i].p_full, label=response.label, curve=data.family,
    )  # fmt: skip


def _flat_test(data: _Data, fit: _Fit, i: int) -> float:
    """P-value of a response's own test against a flat line; NaN where it shares a plateau with one that is not flat.

    A plateau that another response determines makes a flat line a finding: its EC50 lies beyond.
    """
    for name in ("top", "bottom"):
        group = np.array(fit.groups.get(name, range(len(data.responses))))
        partners = group == group[i]
        if partners.sum() > 1 and data.curved[partners].any():
            return math.nan
    return data.alone[i].p_flat


def _model(family: Curve, groups: Groups) -> str:
    common = [name for name, group in groups.items() if len(set(group)) < len(group) and name in family.parameters]
    return f"{family.name}, {', '.join(common)} shared" if common else f"{family.name}, nothing shared"


def _untested(data: _Data) -> Flags:
    """Responses whose doses do not reach far enough to test the full effect, as in `fit`."""
    result = np.zeros(len(data.points), dtype=bool)
    rows = np.flatnonzero(data.tied)
    if rows.size:
        free = pack(data.family, [data.points[i].columns(tied=False) for i in rows])
        problem, best = solved(free, data.constraints)
        df = np.maximum(problem.weight.sum(0) - problem.free().sum(axis=0), 1)
        error = roots(covariance(problem, best, df))[:, -1]
        result[rows] = ~(error < UNTESTED_PLATEAU * np.abs(best.linear[-1] - best.linear[0]))
    return result


@dataclass(frozen=True)
class ExtraSumOfSquares:
    """F-test of a fit against one that is less restricted.

    ``F = (RSS_restricted - RSS_free) / df / (RSS_free / df_free)``, with df the number of
    parameters that the restriction saves.

    Parameters
    ----------
    f : float
    df, df_free : int
        Degrees of freedom above and below the line.
    rss, rss_free : float
        Residual sums of squares of the restricted and of the free fit.
    p : float
    status : str
        A sentence.
    """

    f: float
    df: int
    df_free: int
    rss: float
    rss_free: float
    p: float
    status: str

    def __str__(self) -> str:
        return self.status

    @property
    def text(self) -> str:
        """F, its degrees of freedom and p-value."""
        return f"F({self.df}, {self.df_free}) = {self.f:.3g}, {p_value(self.p)}"

    @classmethod
    def of(cls, restricted: _Fit, free: _Fit, words: tuple[str, str]) -> ExtraSumOfSquares:
        """The test, with what is said where it is kept and where it is given up."""
        from scipy import stats

        df = free.joint.design.size - restricted.joint.design.size
        f = max(restricted.rss - free.rss, 0.0) / df / max(free.rss / free.df, free.joint.rounding)
        p = float(stats.f.sf(f, df, free.df))
        test = cls(f, df, free.df, restricted.rss, free.rss, p, "")
        said = words[1] if p < SIGNIFICANCE else words[0]
        return replace(test, status=said.replace("{test}", test.text))


@dataclass(frozen=True, eq=False)
class Together:
    """Several responses fitted together.

    Parameters
    ----------
    estimates : tuple of Estimate
        One for each response, in their order. Each has the residual sum of squares and the
        degrees of freedom of the joint fit, and the number of its own wells.
    shared : tuple of str
        Parameters that some of them share.
    names : tuple of str
        Joint parameters, the shared ones first.
    covariance : array, shape (names, names)
        Gauss–Newton covariance of the joint parameters on the scale of estimation (ln ec50,
        hill_slope, top, bottom).
    rss, df : float, int
        Residual sum of squares of all wells, and wells less parameters.
    n : int
        Wells.
    level : float
    p_curve : float
        P-value of the lack-of-fit F-test against the means of all doses; NaN where there are
        no replicates.
    notes : tuple of str
    """

    estimates: tuple[Estimate, ...]
    shared: tuple[str, ...]
    names: tuple[str, ...]
    covariance: Array
    rss: float
    df: int
    n: int
    level: float
    p_curve: float
    notes: tuple[str, ...]
    _data: _Data = field(repr=False)
    _fit: _Fit = field(repr=False)

    def __getitem__(self, key: str | tuple[str, int | str]) -> Parameter:
        """A parameter that all responses share, by name; of one response, by name and its place or label."""
        if isinstance(key, tuple):
            return self.estimates[self._data.find(key[1])][key[0]]
        group = self._fit.groups.get(key)
        if group is not None and len(set(group)) > 1:
            raise FitError(f'{key} is not shared by all responses: ask for one of them, such as ["{key}", 0].')
        return self.estimates[0][key]

    def __str__(self) -> str:
        model, count = self.estimates[0].model, len(self.estimates)
        head = f"{model}: {count} responses, {self.n} wells, RSS {self.rss:.4g}, df {self.df}"
        common = [name for name in self.shared if len(set(self._fit.groups[name])) == 1]
        lines = [f"shared: {name} {self.estimates[0][name].text()}" for name in common]
        for i, one in enumerate(self.estimates):
            own = ", ".join(f"{p.name} {p.text()}" for p in one.parameters if p.name not in common)
            lines.append(f"{self._data.labels[i]}: {own or 'nothing of its own'} [{one.status.split('.')[0]}]")
        return "\n".join([head, *lines, *self.notes])

    def records(self) -> list[dict[str, object]]:
        """One flat record a response, for CSV and JSON."""
        return [{"response": self._data.labels[i], **one.record()} for i, one in enumerate(self.estimates)]

    def ratio(self, parameter: str = "ec50", one: int | str = 0, other: int | str = 1) -> Estimate:
        """Ratio of a parameter of two responses, ``other / one``, with its joint profile interval.

        The fit is written anew with ``ln ec50_other = ln ec50_one + ln r``, and ln r is a joint
        parameter like the others: its profile takes account of all that both curves share.
        ``ratio_fieller`` and ``ratio_delta`` stand beside it, for comparison with other programs:
        both take the standard errors and the covariance of the two EC50s from the joint fit.

        Parameters
        ----------
        parameter : str
            Estimated on its logarithm, such as an EC50, or a Hill slope (the ratio of the sizes).
        one, other : int or str
            Place or label of the responses.

        Returns
        -------
        Estimate
            With ``ratio``, ``ratio_fieller``, ``ratio_delta``, and for EC50s ``delta_pec50``, the log10 of the ratio.
            An EC50 that is open leaves its ratio open.

        Raises
        ------
        FitError
            If the parameter is shared by the two, held, or not estimated on a logarithm.

        References
        ----------
        .. [1] Fieller (1954), J R Stat Soc B 16:175, doi 10.1111/j.2517-6161.1954.tb00159.x.
        """
        return _ratio(self, parameter, self._data.find(one), self._data.find(other))

    def compare(self, other: Together | None = None) -> ExtraSumOfSquares:
        """F-test of this fit against one of the same wells that shares less; against separate fits where not given.

        Raises
        ------
        FitError
            If the other is not a fit of the same wells that shares less, or a response cannot
            be fitted alone.
        """
        free = self._separate() if other is None else other._fit
        if other is not None:
            _check_nested(self, other)
        if free.joint.design.size <= self._fit.joint.design.size:
            raise FitError("compare needs a fit that shares less than this one: the two have the same parameters.")
        what = ", ".join(self.shared) or "what they share"
        return ExtraSumOfSquares.of(self._fit, free, (
            f"ok: sharing {what} fits not significantly worse ({{test}})",
            f"not shared: sharing {what} fits significantly worse ({{test}}). Share less",
        ))  # fmt: skip

    def parallel(self) -> ExtraSumOfSquares:
        """Test of parallelism: all curves have one shape and differ in EC50 only, against curves of their own.

        Raises
        ------
        FitError
            If the curve has no EC50, or a response cannot be fitted alone.
        """
        family, count = self._data.family, len(self.estimates)
        positions = {n.name for n in family.names(False) if family.terms[n.row].kind == "position"}
        if not positions:
            raise FitError(f"{family.name} has no EC50, so its curves cannot be parallel in ln concentration.")
        one = {n: tuple(range(count)) if n in positions else (0,) * count for n in self._fit.groups}
        return ExtraSumOfSquares.of(_fitted(self._data, one), self._separate(), (
            "ok: curves of one shape fit not significantly worse ({test}). As far as these wells tell, one ratio of "
            "EC50s describes them",
            "not parallel: the curves differ in more than EC50 ({test}). A ratio of EC50s holds at half effect only",
        ))  # fmt: skip

    def _separate(self) -> _Fit:
        """The same wells, nothing shared."""
        for one in self._data.alone:
            if one.status.startswith("refused"):
                raise FitError(f"{one.label} cannot be fitted alone: {one.status.removeprefix('refused: ')}")
        count = len(self.estimates)
        return _fitted(self._data, {name: tuple(range(count)) for name in self._fit.groups})


def _check_nested(small: Together, large: Together) -> None:
    """Whether `large` is a fit of the same wells that shares less than `small`."""
    one, two = small._data, large._data
    same = one.packed.curve == two.packed.curve and all(
        np.array_equal(getattr(one.packed, name), getattr(two.packed, name))
        for name in ("u", "signal", "weight", "base")
    )
    if not same:
        raise FitError("compare needs two fits of one curve to the same responses in the same order.")
    held = all(one.constraints.fixed.get(n) == v for n, v in two.constraints.fixed.items())
    for name, group in large._fit.groups.items():
        ours = small._fit.groups[name]
        held &= len(set(zip(group, ours, strict=True))) == len(set(group)) or name in one.constraints.fixed
    if not held or one.constraints.bounds != two.constraints.bounds:
        raise FitError(
            f"compare needs a fit that shares less: this one shares {', '.join(small.shared) or 'nothing'}, "
            f"the other {', '.join(large.shared) or 'nothing'}. Call it on the fit that shares more."
        )


def _ratio(of: Together, name: str, one: int, other: int) -> Estimate:
    """Joint profile of a log ratio, with the other two intervals."""
    from scipy import stats

    pair = _pair(of, name, one, other)
    a, b = of.estimates[one][name], of.estimates[other][name]
    low, high = _ratio_ends(of._fit, (name, one, other), pair, of.level)
    low = 0.0 if _open(a)[1] or _open(b)[0] else _exp(low)
    high = math.inf if _open(a)[0] or _open(b)[1] else _exp(high)
    spread = of._fit.covariance[np.ix_(pair, pair)]
    quantile = float(stats.t.ppf(0.5 + of.level / 2, of.df))
    difference = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]) if np.isfinite(spread).all() else math.inf
    best, error = abs(b.best / a.best), math.sqrt(max(difference, 0.0))
    ratio = Parameter.bounded("ratio", best, low, high, log=True, se=error, quantile=quantile)
    ratio = replace(ratio, method="joint profile")
    beside = _on_natural_scale((abs(a.best), abs(b.best)), spread, quantile)
    parameters = (ratio, *beside, _log10(ratio)) if name == "ec50" else (ratio, *beside)
    return Estimate(
        "ratio, joint profile", parameters, of.level, of.estimates[one].n + of.estimates[other].n, of.rss, of.df,
        status="ok" if ratio.operator == "=" else "open: the data do not bound the ratio on both sides",
        parts=(of.estimates[one], of.estimates[other]), label=f"{of._data.labels[other]} / {of._data.labels[one]}",
    )  # fmt: skip


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _pair(of: Together, name: str, one: int, other: int) -> list[int]:
    """Joint parameters of two responses whose ratio is asked for."""
    fit, family = of._fit, of._data.family
    known = list(fit.groups)
    if name not in known:
        raise FitError(f'{family.name} has no parameter "{name}". {nearest(name, known)}')
    if {n.name: n.scale for n in family.names(False)}[name] == "plain":
        raise FitError(
            f"ratio: {name} is not estimated on a logarithm. Only ratios of positive parameters are profiled."
        )
    first, second = fit.where(name, one), fit.where(name, other)
    if first == second:
        why = "held" if first == fit.joint.design.size else "shared by the two"
        raise FitError(f"ratio: {name} is {why}, so there is no ratio to be estimated.")
    return [first, second]


def _ratio_ends(fit: _Fit, ratio: tuple[str, int, int], pair: list[int], level: float) -> tuple[float, float]:
    """Ends of the log ratio: the fit written anew with it as a joint parameter."""
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
    return float(low[0]), float(high[0])


def _open(parameter: Parameter) -> tuple[bool, bool]:
    """Whether a positive parameter, or the size of a slope, is open below, and above."""
    if parameter.log:
        return not parameter.low > 0, math.isinf(parameter.high)
    low, high = math.isinf(parameter.low), math.isinf(parameter.high)
    return (high, low) if parameter.best < 0 else (low, high)


def _log10(ratio: Parameter) -> Parameter:
    """Difference of pEC50s: log10 of their ratio."""
    with np.errstate(divide="ignore"):
        value, low, high, best = (float(np.log10(x)) for x in (ratio.value, ratio.low, ratio.high, ratio.best))
    return Parameter(
        "delta_pec50", value, low, high, ratio.operator, "", best, ratio.se / math.log(10), method=ratio.method
    )


def _on_natural_scale(values: tuple[float, float], spread: Array, quantile: float) -> tuple[Parameter, ...]:
    """Ratio of the second value over the first after Fieller and by the delta method; `spread` is of their logs."""
    a, b = values
    if not np.isfinite(spread).all():
        spread = np.full((2, 2), np.nan)
    errors = np.sqrt(np.maximum(np.diag(spread), 0.0))
    pair = Pair(a, float(a * errors[0]), b, float(b * errors[1]), float(a * b * spread[0, 1]))
    made = []
    for name, method, way in (
        ("ratio_fieller", "Fieller", fieller_ratio),
        ("ratio_delta", "delta method", delta_ratio),
    ):
        low, high, _ = way(pair, quantile).positive() if math.isfinite(pair.covariance) else (0.0, math.inf, False)
        made.append(replace(Parameter.bounded(name, b / a, low, high, log=True), method=method))
    return tuple(made)
