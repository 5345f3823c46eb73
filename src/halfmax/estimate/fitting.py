"""Fit a log-logistic curve to raw signals, controls in the likelihood, with profile intervals.

Vehicle wells are points at dose zero and kill wells (or blanks, where no kill
control was plated) points at infinite dose, so that the uncertainty of the
controls is part of every interval.  An F-test asks whether the drug's full effect
really is that of the kill control; where it is not, the plateau is free and the
status says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.hill import Curve, curve
from halfmax.errors import FitError
from halfmax.estimate.least_squares import STEEPNESS_LIMITS, Problem, Solution, jacobian, minimise, solve
from halfmax.estimate.points import FULL_EFFECT_DOUBT, Points, as_points, is_tied
from halfmax.estimate.profile import profile
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.status import Direction, in_direction, with_status
from halfmax.response import Response

__all__ = ["fit", "fit_all", "one_problem"]

Array = NDArray[np.float64]

#: Standard error of the freely fitted plateau, as a share of the window, above which the test above is toothless.
UNTESTED_PLATEAU = 0.15
#: An interval that leaves the tested doses by more than this factor is called open.
BEYOND_DOSES = 10.0
#: Residual sum of squares, as a share of that of the signals, below which it is rounding.
_ROUNDING = 1e-24
#: Sizes of signals whose squares are numbers.
_SQUARABLE = (1e-140, 1e140)
_TINY = float(np.finfo(float).tiny)
_NAMES = ("t", "steepness", "start", "end")


def fit(response: Response, model: str = "hill4", *, level: float = 0.95, direction: Direction = "either") -> Estimate:
    """Log-logistic curve through one response, with profile-likelihood intervals.

    Parameters
    ----------
    response : Response
        Raw signals with their control wells.
    model : {"hill4", "hill3", "gr3"}
        ``hill3`` has its lower plateau at zero; ``gr3``, for growth-rate values, is 1 at dose zero.
    level : float
        Level of the intervals, 0 < level < 1.
    direction : {"either", "falling", "rising"}
        What the assay can mean. A significant curve in the other direction is
        reported as such and gets no EC50.

    Returns
    -------
    Estimate
        With ``ec50``, ``hill_slope``, ``top`` and ``bottom``. An interval that the
        data do not bound is open and its operator says so.

    Raises
    ------
    FitError
        If there are too few doses or wells for any curve.

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
    trouble = _trouble(response, curve(model))
    if trouble:
        raise FitError(f"{response.label}: {trouble}")
    return fit_all([response], model, level=level, direction=direction)[0]


def fit_all(
    responses: Sequence[Response], model: str = "hill4", *, level: float = 0.95, direction: Direction = "either"
) -> list[Estimate]:
    """`fit` of many responses in one batch.

    A response that cannot be fitted does not stop the others: its Estimate has no
    numbers and a status that begins with ``refused``.
    """
    family = curve(model)
    if not 0 < level < 1:
        raise FitError(f"level must lie between 0 and 1, found {level}.")
    results: list[Estimate | None] = [None] * len(responses)
    todo: list[int] = []
    for index, response in enumerate(responses):
        trouble = _trouble(response, family)
        if trouble:
            results[index] = _refused(response, model, level, trouble)
        else:
            todo.append(index)
    if todo:
        for index, estimate in zip(todo, _fit_batch([responses[i] for i in todo], family, level), strict=True):
            results[index] = in_direction(estimate, direction)
    return [result for result in results if result is not None]


def _trouble(response: Response, family: Curve) -> str:
    """Why no curve can be fitted at all, or nothing."""
    doses = response.doses()
    needed = len(family.parameters) - 1
    points = int((response.used & np.isin(response.role, ("sample", "vehicle"))).sum())
    if points == 0:
        return "no well holds a finite signal."
    largest = float(np.abs(response.signal[response.used]).max())
    if largest and not _SQUARABLE[0] < largest < _SQUARABLE[1]:
        return f"signals of the size of {largest:.0e} cannot be squared in double precision. Give them in another unit."
    if doses.size < needed:
        shown = ", ".join(f"{dose:g}" for dose in doses) or "none"
        unit = f" {response.concentration_unit}" if doses.size else ""
        return (
            f"a curve needs at least {needed} doses above zero, found {doses.size} ({shown}{unit}). "
            "Add doses on both sides of the expected EC50."
        )
    if points <= len(family.parameters):
        return f"{points} wells cannot determine {len(family.parameters)} parameters. Add replicates or doses."
    return ""


def _refused(response: Response, model: str, level: float, trouble: str) -> Estimate:
    nothing = tuple(
        Parameter(name, math.nan, math.nan, math.nan, "?", unit, log=name == "ec50")
        for name, unit in (
            ("ec50", response.concentration_unit),
            ("hill_slope", ""),
            ("top", response.signal_unit),
            ("bottom", response.signal_unit),
        )
    )
    return Estimate(
        model, nothing, level, int(response.used.sum()), status=f"refused: {trouble}", response=response,
        label=response.label,
    )  # fmt: skip


def _problem(points: Sequence[Points], family: Curve, tied: NDArray[np.bool_]) -> Problem:
    """Padded batch; the full-effect wells are a point at infinite dose where tied."""
    rows = [point.columns(tied=bool(tie)) for point, tie in zip(points, tied, strict=True)]
    longest = max(row[0].size for row in rows)
    log_dose, signal, weight = (np.zeros((longest, len(rows))) for _ in range(3))
    for index, (u, y, count, _) in enumerate(rows):
        log_dose[: u.size, index], signal[: u.size, index], weight[: u.size, index] = u, y, count
    free = np.full(len(rows), np.nan)
    base = np.array([row[3] for row in rows])
    start = free if family.start is None else np.full(len(rows), family.start)
    problem = Problem.of(log_dose, signal, weight, base, start=start, end=free)
    return problem if family.lower_plateau is None else _with_floor(problem, family.lower_plateau)


def _with_floor(problem: Problem, floor: float) -> Problem:
    """Hold the lower plateau of each curve, whichever end it is."""
    held = np.full(problem.start.size, floor)
    falling, rising = replace(problem, end=held), replace(problem, start=held)
    rises = solve(rising).rss < solve(falling).rss
    return replace(problem, start=np.where(rises, floor, np.nan), end=np.where(rises, np.nan, floor))


def _fit_batch(responses: Sequence[Response], family: Curve, level: float) -> list[Estimate]:
    """All curves: tie test, optimum, intervals."""
    from scipy import stats

    points = [as_points(response) for response in responses]
    full = _full_effect(points, family)
    problem = _problem(points, family, full.tied)
    best = solve(problem)
    df = problem.weight.sum(0) - len(family.parameters)
    best, ends = _intervals(problem, best, df, level)
    doubtful = np.flatnonzero(full.doubtful)
    if doubtful.size:
        other = _problem([points[i] for i in doubtful], family, full.has[doubtful])
        _, wider = _intervals(other, solve(other), other.weight.sum(0) - len(family.parameters), level)
        for name, (low, high) in ends.items():
            low[doubtful] = np.minimum(low[doubtful], wider[name][0])
            high[doubtful] = np.maximum(high[doubtful], wider[name][1])
    covariance = _covariance(problem, best, df)
    quantiles = stats.t.ppf(0.5 + level / 2, np.maximum(df, 1))
    batch = _Batch(
        family, level, problem, best, df, ends, covariance, _roots(covariance), quantiles, full, *_tests(problem, best)
    )
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

    family: Curve
    level: float
    problem: Problem
    best: Solution
    df: Array
    ends: dict[str, tuple[Array, Array]]
    covariance: Array
    errors: Array
    quantiles: Array
    full: _FullEffect
    p_flat: Array
    p_curve: Array


def _full_effect(points: Sequence[Points], family: Curve) -> _FullEffect:
    """F-test of a plateau of its own against one shared with the full-effect wells."""
    from scipy import stats

    has = np.array([point.full is not None for point in points])
    if not has.any():
        return _FullEffect(has, np.full(has.size, np.nan), np.zeros_like(has))
    alone = _problem(points, family, np.zeros_like(has))
    free = solve(alone)
    rss_tied = solve(_problem(points, family, has)).rss
    own = np.array([0.0 if p.full is None else p.full.squares for p in points])
    df = np.array([p.n + (0 if p.full is None else p.full.count) for p in points]) - len(family.parameters) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (rss_tied - free.rss - own) / ((free.rss + own) / df)
    p = np.where(has & (df > 0), stats.f.sf(np.nan_to_num(statistic, nan=0.0), 1, np.maximum(df, 1)), np.nan)
    freedom = np.maximum(alone.weight.sum(0) - len(family.parameters), 1)
    error = _standard_errors(alone, free, freedom)[:, 3]
    untested = has & ~(error < UNTESTED_PLATEAU * np.abs(free.end - free.start))
    return _FullEffect(has, p, untested)


def _intervals(
    problem: Problem, best: Solution, df: Array, level: float
) -> tuple[Solution, dict[str, tuple[Array, Array]]]:
    """Profile interval of (t, steepness, start, end) of every curve; a better optimum met on the way is taken."""
    from scipy import stats

    quantile = stats.f.ppf(level, 1, np.maximum(df, 1))
    low, high, rows = np.empty((4, df.size)), np.empty((4, df.size)), np.arange(df.size)
    for _ in range(3):
        part, here = problem.take(rows), best.take(rows)
        rounding = _ROUNDING * (part.weight * part.signal**2).sum(0) + _TINY
        excess = np.maximum(here.rss, rounding) * quantile[rows] / np.maximum(df[rows], 1)
        unit = _covariance(part, replace(here, rss=np.ones_like(here.rss)), np.ones(rows.size))
        found = profile(part, here, excess=excess, covariance=unit, limits=_limits(part, here))
        low[:, rows] = np.minimum(found.low, here.parameters())
        high[:, rows] = np.maximum(found.high, here.parameters())
        improved = found.best.rss < here.rss * (1 - 1e-7) - 1e-300
        if not improved.any():
            break
        rows, better = rows[improved], found.best.take(np.flatnonzero(improved))
        better = Solution.better(better, minimise(problem.take(rows), better.t, better.steepness))
        best = best.put(rows, better)
    return best, {name: (low[i], high[i]) for i, name in enumerate(_NAMES)}


def _limits(problem: Problem, best: Solution) -> tuple[Array, Array]:
    """Where the walks of (t, steepness, start, end) end and an interval is called open, shape (4, curves)."""
    least, most = problem.doses()
    used = problem.weight > 0
    spread = np.where(used, problem.signal, -np.inf).max(0) - np.where(used, problem.signal, np.inf).min(0)
    beyond, ones = math.log(BEYOND_DOSES), np.ones_like(least)
    low = [least - beyond, STEEPNESS_LIMITS[0] * ones]
    high = [most + beyond, STEEPNESS_LIMITS[1] * ones]
    for centre, held in ((best.start, problem.start), (best.end, problem.end)):
        reach = np.where(np.isnan(held), 30.0 * spread, 0.0)
        low.append(centre - reach)
        high.append(centre + reach)
    return np.stack(low), np.stack(high)


def _standard_errors(problem: Problem, best: Solution, df: Array) -> Array:
    """Gauss–Newton standard errors of (t, steepness, start, end), shape (curves, 4)."""
    return _roots(_covariance(problem, best, df))


def _roots(covariance: Array) -> Array:
    """Square roots of the diagonal, shape (curves, 4)."""
    return np.asarray(np.sqrt(np.maximum(np.einsum("kii->ki", covariance), 0.0)), dtype=float)


def _covariance(problem: Problem, best: Solution, df: Array) -> Array:
    """Gauss–Newton covariance of (t, steepness, start, end); zero for what is held, infinite where singular."""
    free = np.stack([np.ones_like(df, bool), np.ones_like(df, bool), np.isnan(problem.start), np.isnan(problem.end)])
    slopes = jacobian(problem, best) * np.sqrt(problem.weight) * free[:, None, :]
    information = np.einsum("inc,jnc->cij", slopes, slopes, optimize=True)
    scale = np.sqrt(np.maximum(np.einsum("kii->ki", information), _TINY))
    correlation = information / scale[:, :, None] / scale[:, None, :]
    kept = free.T
    correlation += np.where(kept, 0.0, 1.0)[:, :, None] * np.eye(4)
    good = np.linalg.cond(correlation) < 1e14
    covariance = np.full_like(correlation, np.inf)
    scaled = scale[good, :, None] * scale[good, None, :]
    variance = (best.rss / np.maximum(df, 1))[good]
    covariance[good] = np.linalg.inv(correlation[good]) / scaled * variance[:, None, None]
    return np.where(kept[:, :, None] & kept[:, None, :], covariance, 0.0)


def _estimate(response: Response, points: Points, batch: _Batch, i: int) -> Estimate:
    """Estimate of one curve of the batch, on natural scales, with its status in words."""
    problem, best, ends, errors = batch.problem, batch.best, batch.ends, batch.errors
    quantile = float(batch.quantiles[i])
    rises = bool(best.end[i] >= best.start[i])
    sign = 1.0 if rises else -1.0
    slope = math.exp(best.steepness[i])
    (t_low, t_high), (s_low, s_high) = ((float(np.exp(end[i])) for end in ends[name]) for name in _NAMES[:2])
    parameters = [
        Parameter.bounded(
            "ec50",
            math.exp(best.t[i]),
            t_low,
            t_high,
            log=True,
            unit=response.concentration_unit,
            se=float(errors[i, 0]),
            quantile=quantile,
        ),
        _slope(sign * slope, (s_low, s_high), slope * float(errors[i, 1]), quantile),
    ]
    for name, at_end in (("top", rises), ("bottom", not rises)):
        index, held = (3, problem.end[i]) if at_end else (2, problem.start[i])
        key = _NAMES[index]
        low, high = (held, held) if math.isfinite(held) else (ends[key][0][i], ends[key][1][i])
        parameters.append(
            Parameter.bounded(
                name, float(best.parameters()[index, i]), float(low), float(high), unit=response.signal_unit,
                se=float(errors[i, index]), quantile=quantile,
            )
        )  # fmt: skip
    estimate = Estimate(
        batch.family.name, tuple(parameters), batch.level, int(problem.weight[:, i].sum()), float(best.rss[i]),
        int(batch.df[i]), response=response, covariance=_natural_covariance(batch.covariance[i], sign * slope),
        p_flat=float(batch.p_flat[i]), p_full=float(batch.full.p[i]), p_curve=float(batch.p_curve[i]),
        label=response.label,
    )  # fmt: skip
    return with_status(estimate, points, bool(batch.full.tied[i]), bool(batch.full.untested[i]))


def _slope(best: float, ends: tuple[float, float], error: float, quantile: float) -> Parameter:
    """Hill slope with its sign, from the interval of its size; an end at the limit of what is considered is open."""
    shallow, steep = ends
    if best > 0:
        low, high = shallow if shallow > 0 else -math.inf, steep
    else:
        low, high = -steep, -shallow if shallow > 0 else math.inf
    return Parameter.bounded("hill_slope", best, low, high, se=error, quantile=quantile)


def _natural_covariance(covariance: Array, slope: float) -> Array:
    """Covariance of (ln ec50, hill_slope, top, bottom) from that of (t, steepness, start, end)."""
    order = [0, 1, 3, 2] if slope > 0 else [0, 1, 2, 3]
    scale = np.array([1.0, slope, 1.0, 1.0])
    with np.errstate(invalid="ignore"):
        return np.asarray(covariance[np.ix_(order, order)] * scale[:, None] * scale[None, :], dtype=float)


def _tests(problem: Problem, best: Solution) -> tuple[Array, Array]:
    """P-values of the F-tests against a flat line and against the means of the doses, NaN where there is no test."""
    from scipy import stats

    used, full = problem.weight > 0, problem.at_full_effect()
    n, levels, pure = problem.weight.sum(0), used.sum(0), problem.base
    p = 4 - np.isfinite(problem.start).astype(int) - np.isfinite(problem.end).astype(int)
    cells = np.where(full, 0.0, problem.weight)
    mean = (cells * problem.signal).sum(0) / cells.sum(0)
    rss_flat = pure + (cells * (problem.signal - mean) ** 2).sum(0)
    freedom = p - 1 - full.any(axis=0)
    equal = rss_flat <= np.finfo(float).eps * (problem.weight * problem.signal**2).sum(0)
    noise = np.maximum(best.rss / np.maximum(n - p, 1), _TINY)
    with np.errstate(over="ignore"):
        flat = np.maximum(rss_flat - best.rss, 0.0) / np.maximum(freedom, 1) / noise
    p_flat = np.where(equal, 1.0, stats.f.sf(flat, np.maximum(freedom, 1), np.maximum(n - p, 1)))
    replicated = (n > levels) & (levels > p) & (pure > 0)
    error = np.where(replicated, pure, 1.0) / np.maximum(n - levels, 1)
    misfit = np.maximum(best.rss - pure, 0.0) / np.maximum(levels - p, 1) / error
    p_curve = stats.f.sf(misfit, np.maximum(levels - p, 1), np.maximum(n - levels, 1))
    return np.where((n > p) & (freedom > 0), p_flat, np.nan), np.where(replicated, p_curve, np.nan)


def one_problem(estimate: Estimate) -> tuple[Problem, Solution, float, tuple[float, float]]:
    """Problem that an estimate solved: with its optimum, the standard error of ln EC50, and the walk's limits of it."""
    response = estimate.response
    assert response is not None
    problem = _problem([as_points(response)], curve(estimate.model), np.array([is_tied(estimate)]))
    low, high = (float(limit[0, 0]) for limit in _limits(problem, solve(problem)))
    best = solve(problem.limited(0, (low, high)))
    error = float(_standard_errors(problem, best, np.array([estimate.df]))[0, 0])
    return problem, best, error, (low, high)
