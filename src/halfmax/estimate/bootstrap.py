"""Bootstrap intervals: all draws of all estimates are one batch of fits.

Replicates enter a least-squares fit only through the mean of each dose, the number of its
wells, and a sum of squares that no curve explains, so a draw is a new mean for each dose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve
from halfmax.curves import curve as curve_of
from halfmax.errors import FitError, nearest
from halfmax.estimate.batch import Constraints, limits, outside, pack, solved
from halfmax.estimate.least_squares import Problem, Solution, minimise
from halfmax.estimate.noise import as_fitted, predicted
from halfmax.estimate.points import FULL_EFFECT_DOUBT, Points, as_points, is_tied
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.status import with_status
from halfmax.response import Response

__all__ = [
    "FEWEST",
    "Ends",
    "Kind",
    "Reading",
    "bca_ends",
    "bootstrap",
    "bootstrap_all",
    "considered",
    "drawn_ends",
    "rebounded",
    "tail_of",
]

Array = NDArray[np.float64]
Kind = Literal["parametric", "case"]
Ends = Literal["bca", "percentile"]

#: Columns of a batch of draws.
_BATCH = 100_000
#: With fewer draws the tails of a 95 % interval are a handful of them.
FEWEST = 200


@dataclass(frozen=True)
class Reading:
    """One reading of a response (with its full-effect wells as the curve's end, or not) and its fit.

    Parameters
    ----------
    index : int
        Which estimate it belongs to.
    wells : tuple of array
        Signals of each dose, sorted, so that the order of rows does not matter.
    problem, best : Problem, Solution
        With one column.
    """

    index: int
    wells: tuple[Array, ...]
    problem: Problem
    best: Solution

    @property
    def fitted(self) -> Array:
        """The curve at each dose."""
        return predicted(self.problem, self.best)[:, 0]

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        df = sum(map(len, self.wells)) - int(self.problem.free().sum())
        return math.sqrt(float(self.best.rss[0]) / max(df, 1))


def bootstrap(
    estimate: Estimate,
    *,
    kind: Kind = "parametric",
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Ends = "bca",
) -> Estimate:
    """The estimate with bootstrap intervals of all its parameters.

    ``parametric`` draws wells from the fitted curve with normal errors of the residual standard
    deviation; it is right where the fit's own assumptions are. ``case`` draws wells with
    replacement within each dose (controls within their role), so that each dose keeps its own
    scatter; because n wells scatter round their own mean by a factor sqrt((n - 1) / n) too
    little, they are first moved away from it by the inverse. With three wells a dose it is too
    narrow all the same: see the page on the bootstrap.

    Where `fit` was told of noise that grows with the signal, its weights are kept.

    The ends are quantiles of the draws, on the logarithm where the parameter is estimated on
    it. Their probabilities are those of the t distribution, ``Phi(±t(df))``, because the scatter is
    itself estimated [2]_; ``bca`` moves them by the bias of the draws and, of cases, by the
    acceleration from the jackknife within doses [1]_ (of normal errors it is zero). An end is open
    where more draws than its tail holds lie beyond what `fit` calls open; ``bca`` has no
    meaning then, and both ends are plain quantiles.

    Parameters
    ----------
    estimate : Estimate
        From `fit`.
    kind : {"parametric", "case"}
    draws : int
        At least 200.
    seed : int
        The same seed gives the same numbers.
    level : float
    method : {"bca", "percentile"}

    Returns
    -------
    Estimate
        Same optimum, other intervals; each parameter's `method` says which.

    Raises
    ------
    FitError
        If the estimate is no fit, or a dose has a single well and cases are asked for.

    References
    ----------
    .. [1] Efron (1987), J Am Stat Assoc 82:171, doi 10.1080/01621459.1987.10478410.
    .. [2] Hesterberg (2015), Am Stat 69:371, doi 10.1080/00031305.2015.1089789.
    .. [3] Davison & Hinkley (1997), Bootstrap Methods and Their Application, sections 3.2 and 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax import Response, fit
    >>> from halfmax.curves import hill
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.1) + np.tile([-0.01, 0.01], 8)
    >>> bootstrap(fit(Response.of(dose, signal)))["ec50"].operator
    '='
    """
    return bootstrap_all([estimate], kind=kind, draws=draws, seed=seed, level=level, method=method)[0]


def bootstrap_all(
    estimates: Sequence[Estimate],
    *,
    kind: Kind = "parametric",
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Ends = "bca",
) -> list[Estimate]:
    """`bootstrap` of many estimates: all their draws in a few batches, with the same numbers as alone."""
    _check(kind, method, draws, level)
    ends: dict[int, tuple[Reading, Array, Array]] = {}
    for family, constraints, rows in _alike(estimates):
        cases = _readings(estimates, rows, family, constraints)
        for start in range(0, len(cases), max(_BATCH // draws, 1)):
            some = cases[start : start + max(_BATCH // draws, 1)]
            found = _values(_drawn(some, kind, draws, seed), some, constraints)
            accelerations = _accelerations(some, constraints) if kind == "case" and method == "bca" else None
            for k, case in enumerate(some):
                tail = tail_of(level, estimates[case.index].df)
                acceleration = 0.0 if accelerations is None else accelerations[:, k]
                low, high = drawn_ends(found[:, k], case, tail, acceleration, method)
                first, least, most = ends.get(case.index, (case, low, high))
                ends[case.index] = first, np.minimum(low, least), np.maximum(high, most)
    name = f"{kind} bootstrap, {'BCa' if method == 'bca' else 'percentile'}"
    return [
        rebounded(one, ends[i][0], ends[i][1:], level=level, method=name) for i, one in enumerate(estimates)
    ]  # fmt: skip


def _check(kind: str, method: str, draws: int, level: float) -> None:
    if kind not in get_args(Kind):
        raise FitError(f'bootstrap: no kind "{kind}". {nearest(kind, get_args(Kind))}')
    if method not in get_args(Ends):
        raise FitError(f'bootstrap: no method "{method}". {nearest(method, get_args(Ends))}')
    if draws < FEWEST:
        raise FitError(f"bootstrap: needs at least {FEWEST} draws, found {draws}: the tails would hold a handful.")
    if not 0 < level < 1:
        raise FitError(f"level must lie between 0 and 1, found {level}.")


def tail_of(level: float, df: int) -> float:
    """Probability beyond an end: of the normal distribution at the t quantile."""
    from scipy import stats

    return float(stats.norm.cdf(-stats.t.ppf(0.5 + level / 2, max(df, 1))))


def _alike(estimates: Sequence[Estimate]) -> list[tuple[Curve, Constraints, list[int]]]:
    """Rows of the estimates that share a family of curves, and what was held and bounded."""
    groups: dict[tuple[int, str], tuple[Curve, Constraints, list[int]]] = {}
    for index, estimate in enumerate(estimates):
        if estimate.response is None or estimate.status.startswith("refused") or estimate.parts:
            raise FitError(
                f"{estimate.label or estimate.model}: a bootstrap needs a fit, and its wells. Give what `fit` returns."
            )
        family = curve_of(estimate.model) if estimate.curve is None else estimate.curve
        constraints = estimate.constraints.of(family)
        groups.setdefault((id(family), str(constraints)), (family, constraints, []))[2].append(index)
    return list(groups.values())


def _readings(
    estimates: Sequence[Estimate], rows: Sequence[int], family: Curve, constraints: Constraints
) -> list[Reading]:
    """What the intervals of these estimates must cover: both readings of the full effect where it is in doubt."""
    plan: list[tuple[int, Points, bool]] = []
    for index in rows:
        response = estimates[index].response
        assert response is not None
        points, tied = as_points(response), is_tied(estimates[index])
        doubt = FULL_EFFECT_DOUBT[1] <= estimates[index].p_full < FULL_EFFECT_DOUBT[0]
        plan += [(index, points, reading) for reading in ((False, True) if doubt else (tied,))]
    packed = pack(family, [points.columns(tied=tied) for _, points, tied in plan])
    owners, tied_ = [estimates[index] for index, _, _ in plan], np.array([tied for _, _, tied in plan])
    problem, best = solved(as_fitted(packed, owners, tied_), constraints)
    known = [family.inside({p.name: p.best for p in estimates[index].parameters})[1] for index, _, _ in plan]
    best = Solution.better(best, minimise(problem, np.concatenate(known, axis=1)))
    found = []
    for k, (index, points, tied) in enumerate(plan):
        response = estimates[index].response
        assert response is not None
        wells = _wells(response, points, tied)
        own = np.array([k])
        part = problem.take(own)
        found.append(Reading(index, wells, _trimmed(part, len(wells)), best.take(own)))
    return found


def _trimmed(problem: Problem, size: int) -> Problem:
    """Without the padding."""
    return replace(problem, u=problem.u[:size], signal=problem.signal[:size], weight=problem.weight[:size])


def _wells(response: Response, points: Points, tied: bool) -> tuple[Array, ...]:
    """Signals of each point, sorted."""
    cells = response.used & np.isin(response.role, ("sample", "vehicle"))
    dose = np.where(response.role == "vehicle", 0.0, response.concentration)
    wells = [np.sort(response.signal[cells & (dose == level.dose)]) for level in points.levels]
    if tied:
        role = "kill" if points.full_role == "kill control" else "blank"
        wells.append(np.sort(response.signal[response.used & (response.role == role)]))
    return tuple(wells)


def _drawn(cases: Sequence[Reading], kind: Kind, draws: int, seed: int) -> Problem:
    """The problem of all draws, case by case; every case draws from the same numbers."""
    signals = []
    for case in cases:
        rng = np.random.default_rng(seed)
        count = case.problem.weight
        if kind == "parametric":
            signals.append(
                case.fitted[:, None] + case.sigma / np.sqrt(count) * rng.standard_normal((count.size, draws))
            )
        else:
            signals.append(np.stack([_resampled(wells, draws, rng) for wells in case.wells]))
    return _spread(cases, signals)


def _resampled(wells: Array, draws: int, rng: np.random.Generator) -> Array:
    """Means of wells drawn with replacement."""
    n = wells.size
    if n < 2:
        raise FitError(
            "bootstrap: a dose with a single well has no cases to draw from, and its scatter would count as none. "
            'Use kind="parametric", or add replicates.'
        )
    mean = wells.mean()
    away = mean + (wells - mean) * math.sqrt(n / (n - 1))
    return np.asarray(away[rng.integers(0, n, (n, draws))].mean(axis=0))


def _spread(cases: Sequence[Reading], signals: Sequence[Array], weights: Sequence[Array] | None = None) -> Problem:
    """One problem with the columns of all cases, padded to the same number of points."""
    longest = max(signal.shape[0] for signal in signals)
    parts = []
    for k, (case, signal) in enumerate(zip(cases, signals, strict=True)):
        part = case.problem.take(np.zeros(signal.shape[1], dtype=np.intp))
        weight = part.weight if weights is None else weights[k]
        pad = ((0, longest - signal.shape[0]), (0, 0))
        parts.append(
            replace(part, u=np.pad(part.u, pad), signal=np.pad(signal, pad), weight=np.pad(weight, pad))
        )  # fmt: skip
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1)
        for name in ("u", "signal", "weight", "base")
    }
    return Problem.of(cases[0].problem.curve, **joined)


def _values(problem: Problem, cases: Sequence[Reading], constraints: Constraints) -> Array:
    """Inside parameters of all draws, shape (parameters, cases, draws), none beyond what `fit` calls open."""
    problem, best = solved(problem, constraints)
    each = np.arange(problem.base.size).reshape(len(cases), -1)
    return np.stack(
        [considered(problem.take(at), best.take(at), case) for at, case in zip(each, cases, strict=True)], 1
    )


def considered(problem: Problem, best: Solution, case: Reading) -> Array:
    """Inside parameters of draws, none beyond what `fit` calls open, shape (parameters, draws).

    A curve that runs the other way has passed through the shallowest slope.
    """
    low, high = limits(case.problem, case.best)
    values = np.clip(best.parameters(), low, high)
    rises = problem.curve.rises
    turned = rises(problem.sign, best.linear) != rises(case.problem.sign, case.best.linear)
    for named in problem.curve.names(False):
        if named.scale == "slope":
            values[named.row, turned] = low[named.row, 0]
    return values


def _accelerations(cases: Sequence[Reading], constraints: Constraints) -> Array:
    """Acceleration of each parameter from the jackknife within doses, shape (parameters, cases)."""
    signals, weights = [], []
    for case in cases:
        signals.append(np.repeat(case.problem.signal, sum(map(len, case.wells)), axis=1))
        weights.append(np.repeat(case.problem.weight, signals[-1].shape[1], axis=1))
        column = 0
        for row, wells in enumerate(case.wells):
            at = slice(column, column + wells.size)
            signals[-1][row, at] = (wells.sum() - wells) / (wells.size - 1)
            weights[-1][row, at] *= 1 - 1 / wells.size
            column += wells.size
    _, best = solved(_spread(cases, signals, weights), constraints)
    values, column, found = best.parameters(), 0, []
    for case in cases:
        low, high = limits(case.problem, case.best)
        cubes, squares = np.zeros((2, values.shape[0]))
        for wells in case.wells:
            part = np.clip(values[:, column : column + wells.size], low, high)
            pull = (part.mean(axis=1, keepdims=True) - part) * (wells.size - 1) / wells.size
            cubes, squares = cubes + (pull**3).sum(axis=1), squares + (pull**2).sum(axis=1)
            column += wells.size
        found.append(cubes / 6.0 / np.where(squares > 0, squares, np.inf) ** 1.5)
    return np.stack(found, axis=1)


def drawn_ends(
    values: Array, case: Reading, tail: float, acceleration: Array | float, method: Ends
) -> tuple[Array, Array]:
    """Ends of the intervals of one reading's parameters from their draws, shape (parameters, draws)."""
    limit = limits(case.problem, case.best)
    floor, ceiling = limit[0][:, 0], limit[1][:, 0]
    best = case.best.parameters()[:, 0]
    held = floor == ceiling
    low, high = np.quantile(values, [tail, 1.0 - tail], axis=1)
    if method == "bca":
        closed = (low > floor) & (high < ceiling) & ~held
        moved = bca_ends(values[closed], best[closed], np.broadcast_to(acceleration, best.shape)[closed], tail)
        low[closed], high[closed] = moved
    low, high = np.where(low <= floor, -np.inf, low), np.where(high >= ceiling, np.inf, high)
    low, high = np.minimum(low, best), np.maximum(high, best)
    return np.where(held, best, low), np.where(held, best, high)


def bca_ends(values: Array, best: Array, acceleration: Array, tail: float) -> tuple[Array, Array]:
    """Bias-corrected and accelerated ends.

    The share of the draws below the lower end is ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`` with
    ``z = Phi⁻¹(tail)``, the bias ``z0 = Phi⁻¹(share of the draws below the estimate)`` and the
    acceleration a; of the upper end with ``-z``.

    Parameters
    ----------
    values : array, shape (parameters, draws)
    best, acceleration : array, shape (parameters,)
    tail : float
        Probability beyond each end.

    Returns
    -------
    low, high : array, shape (parameters,)

    Examples
    --------
    >>> draws = np.arange(101.0)[None, :]
    >>> [float(round(end[0], 9)) for end in bca_ends(draws, np.array([50.0]), np.zeros(1), 0.025)]
    [2.5, 97.5]
    """
    from scipy.special import ndtr, ndtri

    draws = values.shape[1]
    below = ((values < best[:, None]).mean(axis=1) + (values <= best[:, None]).mean(axis=1)) / 2
    bias = ndtri(np.clip(below, 0.5 / draws, 1.0 - 0.5 / draws))
    ends = []
    for z in (ndtri(tail), -ndtri(tail)):
        share = ndtr(bias + (bias + z) / (1.0 - acceleration * (bias + z)))
        ends.append(np.array([np.quantile(row, s) for row, s in zip(values, share, strict=True)]))
    return ends[0], ends[1]


def rebounded(
    estimate: Estimate, case: Reading, ends: tuple[Array, Array], *, level: float, method: str, untested: bool = False
) -> Estimate:
    """The estimate with other ends of its intervals, given for the inside parameters; infinite where open.

    Its parameters bring nothing but their names and standard errors. A curve that is none (a flat line does as
    well, or it runs the wrong way) keeps what was said of its EC50.
    """
    from scipy import stats

    response = estimate.response
    assert response is not None
    low, high = (end[:, None] for end in ends)
    quantile = float(stats.t.ppf(0.5 + level / 2, max(estimate.df, 1)))
    nothing = estimate.status.startswith("no curve")
    parameters = []
    for name, column in outside(case.problem, case.best, low, high, np.zeros_like(low)).items():
        old = estimate[name]
        new = Parameter.bounded(
            name, float(column.best[0]), float(column.low[0]), float(column.high[0]), log=column.log, unit=old.unit,
            se=old.se, quantile=quantile,
        )  # fmt: skip
        parameters.append(old if nothing and name == "ec50" else replace(new, method=method))
    changed = replace(estimate, parameters=tuple(parameters), level=level)
    if nothing:
        return changed
    said = with_status(changed, as_points(response), is_tied(estimate), untested)
    if estimate.status.startswith("not converged"):
        said = replace(said, status=estimate.status)
    return replace(said, notes=tuple(dict.fromkeys((*estimate.notes, *said.notes))))
