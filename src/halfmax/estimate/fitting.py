"""Fit a log-logistic curve to raw signals, controls in the likelihood, with profile intervals.

Vehicle wells are points at dose zero and kill wells (or blanks, where no kill
control was plated) points at infinite dose, so that the uncertainty of the
controls is part of every interval.  An F-test asks whether the drug's full effect
really is that of the kill control; where it is not, the plateau is free and the
status says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve, curve
from halfmax.errors import FitError
from halfmax.estimate.batch import (
    SQUARABLE,
    Column,
    Constraints,
    Fitted,
    covariance,
    fitted,
    limits,
    pack,
    roots,
    solved,
)
from halfmax.estimate.least_squares import Problem, Solution, solve
from halfmax.estimate.noise import Noise, as_fitted, power_of, squares_of, weighed
from halfmax.estimate.points import FULL_EFFECT_DOUBT, Points, as_points, is_tied, unit_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.significance import f_tests, unseen_plateau
from halfmax.estimate.status import Direction, in_direction, not_settled, with_status
from halfmax.response import Response

__all__ = ["fit", "fit_all", "one_problem"]

Array = NDArray[np.float64]

_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class _Asked:
    """What a batch is asked for."""

    curve: Curve
    level: float
    constraints: Constraints
    noise: float = 0.0


def fit(
    response: Response,
    model: str | Curve = "hill4",
    *,
    level: float = 0.95,
    direction: Direction = "either",
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Noise | float = "constant",
) -> Estimate:
    """A curve through one response, with profile-likelihood intervals.

    Parameters
    ----------
    response : Response
        Raw signals with their control wells.
    model : str or Curve
        Name of a curve (`halfmax.curves.MODELS`), or a curve of your own (`own_curve`).
    level : float
        Level of the intervals, 0 < level < 1.
    direction : {"either", "falling", "rising"}
        What the assay can mean. A significant curve in the other direction is
        reported as such and gets no EC50.
    fixed : mapping, optional
        Parameters that are held: name → value. Of a Hill slope the size is held; its sign
        follows from the data.
    bounds : mapping, optional
        Parameters that must stay between two values: name → (low, high).
    noise : {"constant", "proportional", "power"} or float
        How the wells' standard deviation grows with the signal: not, in proportion, with a
        power that is estimated, or with a given one.

    Returns
    -------
    Estimate
        With the curve's parameters, for ``hill4`` ``ec50``, ``hill_slope``, ``top`` and
        ``bottom``. An interval that the data do not bound is open and its operator says so.

    Raises
    ------
    FitError
        If there are too few doses or wells for the curve, or it has no parameter of a name.

    References
    ----------
    .. [1] Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> from halfmax.response import Response
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.1) + np.tile([-0.01, 0.01], 8)
    >>> fit(Response.of(dose, signal))["ec50"].text()
    '2.00 µM (1.87–2.14)'
    """
    asked = _asked(model, level, fixed, bounds, noise)
    trouble = _trouble(response, asked)
    if trouble:
        raise FitError(f"{response.label}: {trouble}")
    return _fit_asked([response], asked, direction)[0]


def fit_all(
    responses: Sequence[Response],
    model: str | Curve = "hill4",
    *,
    level: float = 0.95,
    direction: Direction = "either",
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Noise | float = "constant",
) -> list[Estimate]:
    """`fit` of many responses in one batch.

    A response that cannot be fitted does not stop the others: its Estimate has no
    numbers and a status that begins with ``refused``.
    """
    return _fit_asked(responses, _asked(model, level, fixed, bounds, noise), direction)


def _asked(
    model: str | Curve,
    level: float,
    fixed: Mapping[str, float] | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    noise: Noise | float = "constant",
) -> _Asked:
    if not 0 < level < 1:
        raise FitError(f"level must lie between 0 and 1, found {level}.")
    family = curve(model)
    return _Asked(family, level, Constraints(fixed or {}, bounds or {}).of(family), power_of(noise))


def _fit_asked(responses: Sequence[Response], asked: _Asked, direction: Direction) -> list[Estimate]:
    results: list[Estimate | None] = [None] * len(responses)
    todo: list[int] = []
    for index, response in enumerate(responses):
        trouble = _trouble(response, asked)
        if trouble:
            results[index] = _refused(response, asked, trouble)
        else:
            todo.append(index)
    if todo:
        for index, estimate in zip(todo, _fit_batch([responses[i] for i in todo], asked), strict=True):
            results[index] = in_direction(estimate, direction)
    return [result for result in results if result is not None]


def _trouble(response: Response, asked: _Asked) -> str:
    """Why no curve can be fitted at all, or nothing."""
    doses = response.doses()
    size = asked.constraints.size(asked.curve)
    needed = max(size - 1, 1)
    points = int((response.used & np.isin(response.role, ("sample", "vehicle"))).sum())
    if points == 0:
        return "no well holds a finite signal."
    largest = float(np.abs(response.signal[response.used]).max())
    if largest and not SQUARABLE[0] < largest < SQUARABLE[1]:
        return f"signals of the size of {largest:.0e} cannot be squared in double precision. Give them in another unit."
    if doses.size < needed:
        shown = ", ".join(f"{dose:g}" for dose in doses) or "none"
        unit = f" {response.concentration_unit}" if doses.size else ""
        return (
            f"a curve needs at least {needed} doses above zero, found {doses.size} ({shown}{unit}). "
            "Add doses on both sides of the expected EC50."
        )
    if points <= size:
        return f"{points} wells cannot determine {size} parameters. Add replicates or doses."
    return ""


def _refused(response: Response, asked: _Asked, trouble: str) -> Estimate:
    terms = asked.curve.terms
    nothing = tuple(
        Parameter(named.name, math.nan, math.nan, math.nan, "?", unit_of(terms[named.row], response),
                  log=named.scale == "log")
        for named in asked.curve.names(False)
    )  # fmt: skip
    return Estimate(
        asked.curve.name, nothing, asked.level, int(response.used.sum()), status=f"refused: {trouble}",
        response=response, label=response.label, curve=asked.curve,
    )  # fmt: skip


def _solved(
    points: Sequence[Points], curve: Curve, tied: NDArray[np.bool_], constraints: Constraints
) -> tuple[Problem, Solution]:
    """Problem and optimum of a batch; the full-effect wells are a point at infinite dose where tied."""
    rows = [point.columns(tied=bool(tie)) for point, tie in zip(points, tied, strict=True)]
    return solved(pack(curve, rows), constraints)


@dataclass(frozen=True)
class _Weighed:
    """Optimum of a batch under its noise model, with the number of wells, and the tests under constant noise."""

    problem: Problem
    best: Solution
    n: Array
    power: Array
    tests: tuple[Array, Array]

    @classmethod
    def of(cls, points: Sequence[Points], tied: NDArray[np.bool_], asked: _Asked) -> _Weighed:
        """Solve, and where the noise is not constant weigh the wells by the curve found."""
        problem, best = _solved(points, asked.curve, tied, asked.constraints)
        n, tests = problem.weight.sum(axis=0), f_tests(problem, best)
        if asked.noise == 0:
            return cls(problem, best, n, np.zeros(n.size), tests)
        problem, best, power = weighed(problem, best, squares_of(points, tied), asked.noise)
        return cls(problem, best, n, power, tests)

    def fitted(self, asked: _Asked) -> Fitted:
        """With intervals; a power that was estimated costs a degree of freedom."""
        return fitted(self.problem, self.best, self.n - float(math.isnan(asked.noise)), asked.level)


def _fit_batch(responses: Sequence[Response], asked: _Asked) -> list[Estimate]:
    """All curves: tie test, optimum, intervals."""
    if not responses:
        return []
    points = [as_points(response) for response in responses]
    full = _full_effect(points, asked)
    weighed_ = _Weighed.of(points, full.tied, asked)
    lost = ~np.isfinite(weighed_.best.rss)
    if lost.any():
        others = iter(_fit_batch([r for r, gone in zip(responses, lost, strict=True) if not gone], asked))
        trouble = "the curve has no value at these doses from its starts. Give other starts."
        return [_refused(r, asked, trouble) if gone else next(others) for r, gone in zip(responses, lost, strict=True)]
    fits, doubtful = weighed_.fitted(asked), np.flatnonzero(full.doubtful)
    tied = _Weighed.of([points[i] for i in doubtful], full.has[doubtful], asked) if doubtful.size else None
    if tied is not None:
        wider = tied.fitted(asked)
        fits.low[:, doubtful] = np.minimum(fits.low[:, doubtful], wider.low)
        fits.high[:, doubtful] = np.maximum(fits.high[:, doubtful], wider.high)
    batch = _Batch.of(asked, fits, full, weighed_ if asked.noise else None)
    if tied is not None:
        # Flat noise brings such doubt about in up to a fifth of curves, and a free plateau is a second chance
        # to look like a curve: whether there is one is asked of the tied plateau.
        batch.p_flat[doubtful] = tied.tests[0]
    return [_estimate(response, points[i], batch, i) for i, response in enumerate(responses)]


@dataclass(frozen=True)
class _FullEffect:
    """Whether the drug's full effect is that of the kill control, curve by curve."""

    has: NDArray[np.bool_]
    p: Array
    untested: NDArray[np.bool_]

    @property
    def tied(self) -> NDArray[np.bool_]:
        return self.has & ~(self.p < FULL_EFFECT_DOUBT[0])

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        return self.has & (self.p < FULL_EFFECT_DOUBT[0]) & (self.p >= FULL_EFFECT_DOUBT[1])


@dataclass(frozen=True)
class _Batch:
    """Everything known of a batch of fitted curves."""

    asked: _Asked
    fits: Fitted
    full: _FullEffect
    columns: dict[str, Column]
    covariance: Array
    quantiles: Array
    n: Array
    power: Array
    p_flat: Array
    p_curve: Array

    @classmethod
    def of(cls, asked: _Asked, fits: Fitted, full: _FullEffect, weighed_: _Weighed | None = None) -> _Batch:
        """With outside parameters, t quantiles and tests."""
        from scipy import stats

        quantiles = stats.t.ppf(0.5 + asked.level / 2, np.maximum(fits.df, 1))
        columns = fits.outside()
        covariance = _outside_covariance(fits, columns)
        if weighed_ is None:
            n = fits.problem.weight.sum(axis=0)
            tests, power = f_tests(fits.problem, fits.best), np.zeros(n.size)
        else:
            n, tests, power = weighed_.n, weighed_.tests, weighed_.power
        return cls(asked, fits, full, columns, covariance, quantiles, n, power, *tests)


def _full_effect(points: Sequence[Points], asked: _Asked) -> _FullEffect:
    """F-test of a plateau of its own against one shared with the full-effect wells."""
    from scipy import stats

    has = np.array([point.full is not None for point in points]) & asked.curve.ends
    if not has.any():
        return _FullEffect(has, np.full(has.size, np.nan), np.zeros_like(has))
    alone, free = _solved(points, asked.curve, np.zeros_like(has), asked.constraints)
    rss_tied = _solved(points, asked.curve, has, asked.constraints)[1].rss
    size = alone.free().sum(axis=0)
    own = np.array([0.0 if p.full is None else p.full.squares for p in points])
    df = np.array([p.n + (0 if p.full is None else p.full.count) for p in points]) - size - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (rss_tied - free.rss - own) / ((free.rss + own) / df)
    p = np.where(has & (df > 0), stats.f.sf(np.nan_to_num(statistic, nan=0.0), 1, np.maximum(df, 1)), np.nan)
    return _FullEffect(has, p, has & unseen_plateau(alone, free))


def _estimate(response: Response, points: Points, batch: _Batch, i: int) -> Estimate:
    """Estimate of one curve of the batch, on natural scales, with its status in words."""
    fits, family, quantile = batch.fits, batch.asked.curve, float(batch.quantiles[i])
    parameters = tuple(
        Parameter.bounded(
            name, float(column.best[i]), float(column.low[i]), float(column.high[i]), log=column.log,
            unit=unit_of(family.terms[column.row[i]], response), se=float(column.se[i]), quantile=quantile,
        )
        for name, column in batch.columns.items()
    )  # fmt: skip
    estimate = Estimate(
        family.name, parameters, batch.asked.level, int(batch.n[i]), float(fits.best.rss[i]),
        int(fits.df[i]), response=response, covariance=batch.covariance[i],
        p_flat=float(batch.p_flat[i]), p_full=float(batch.full.p[i]), p_curve=float(batch.p_curve[i]),
        label=response.label, curve=family, constraints=batch.asked.constraints, noise=float(batch.power[i]),
    )  # fmt: skip
    said = with_status(estimate, points, bool(batch.full.tied[i]), bool(batch.full.untested[i]))
    return said if fits.best.converged[i] else not_settled(said)


def _outside_covariance(fits: Fitted, columns: Mapping[str, Column]) -> Array:
    """Covariance of the outside parameters in the order of their names, shape (curves, parameters, parameters)."""
    order = np.stack([column.row for column in columns.values()], axis=1)
    ones = np.ones(len(order))
    scale = np.stack([c.best if name == "hill_slope" else ones for name, c in columns.items()], axis=1)
    with np.errstate(invalid="ignore"):
        inside = fits.covariance[np.arange(len(order))[:, None, None], order[:, :, None], order[:, None, :]]
        return np.asarray(inside * scale[:, :, None] * scale[:, None, :], dtype=float)


def one_problem(estimate: Estimate) -> tuple[Problem, Solution, float, tuple[float, float]]:
    """Problem that an estimate solved: with its optimum, the standard error of ln EC50, and the walk's limits of it."""
    response = estimate.response
    assert response is not None
    family = curve(estimate.model) if estimate.curve is None else estimate.curve
    constraints = estimate.constraints.of(family)
    tied = np.array([is_tied(estimate)])
    problem, best = _solved([as_points(response)], family, tied, constraints)
    problem = as_fitted(problem, [estimate], tied)
    low, high = (float(limit[0, 0]) for limit in limits(problem, best))
    best = solve(problem.limited(0, (low, high)))
    error = float(roots(covariance(problem, best, np.array([estimate.df])))[0, 0])
    return problem, best, error, (low, high)
