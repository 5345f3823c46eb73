"""Quantities that follow from a fitted curve, each with its own profile-likelihood interval.

EC10 or EC90, the response at a dose, the activity area, the absolute EC50: the curve is
written in terms of the quantity (`halfmax.curves.rewritten`) and profiled in it, all curves
of a kind in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from halfmax.curves import Curve
from halfmax.curves.rewritten import AtEffect, Held, SecondSite, at_effect, half_way, second_site, through
from halfmax.curves.sigmoid import Sigmoid
from halfmax.curves.stimulation import Bell, TwoSites
from halfmax.errors import RangeError
from halfmax.estimate.batch import covariance, excess, limits, pack, roots
from halfmax.estimate.least_squares import Problem, solve
from halfmax.estimate.noise import as_fitted
from halfmax.estimate.points import as_points, is_tied, zero_of
from halfmax.estimate.profile import profile
from halfmax.estimate.result import Estimate, Parameter

__all__ = ["absolute_ec50", "activity_area", "effective_concentration", "response_at", "second_ec50", "with_derived"]

Array = NDArray[np.float64]
P = ParamSpec("P")
_TINY = float(np.finfo(float).tiny)


class _Quantity(Protocol[P]):
    """A quantity of an estimate, or of each of several."""

    @overload
    def __call__(self, estimates: Estimate, *args: P.args, **kwargs: P.kwargs) -> Parameter: ...
    @overload
    def __call__(self, estimates: Sequence[Estimate], *args: P.args, **kwargs: P.kwargs) -> list[Parameter]: ...


def _of_one_or_many(work: Callable[Concatenate[Sequence[Estimate], P], list[Parameter]]) -> _Quantity[P]:
    """The quantities of a batch of estimates, or that of a single one."""

    @wraps(work)
    def quantity(
        estimates: Estimate | Sequence[Estimate], *args: P.args, **kwargs: P.kwargs
    ) -> Parameter | list[Parameter]:
        if isinstance(estimates, Estimate):
            return work([estimates], *args, **kwargs)[0]
        return work(list(estimates), *args, **kwargs)

    return quantity  # type: ignore[return-value]


@_of_one_or_many
def effective_concentration(estimates: Sequence[Estimate], percent: float) -> list[Parameter]:
    """Concentration at which the curve has gone a share of the way between its own plateaus.

    Parameters
    ----------
    estimates : Estimate or sequence of Estimate
        Fits of S-shaped curves.
    percent : float
        0 < percent < 100; 50 is the EC50.

    Returns
    -------
    Parameter
        Named ``ec10`` for 10 percent, and so on; one for each estimate of a sequence.

    Raises
    ------
    RangeError
        If `percent` is not between 0 and 100.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax import Response, fit
    >>> from halfmax.curves import hill
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1, top=1, bottom=0.1) + np.tile([-0.01, 0.01], 8)
    >>> effective_concentration(fit(Response.of(dose, signal)), 90).text()
    '18.0 µM (14.8–22.2)'
    """
    if not 0 < percent < 100:
        raise RangeError(f"percent must lie between 0 and 100, found {percent:g}.")
    name = f"ec{percent:g}"
    return _rewritten(estimates, lambda e: _effect_curve(e, percent / 100), name, row=0)


@_of_one_or_many
def response_at(estimates: Sequence[Estimate], concentration: float) -> list[Parameter]:
    """Value of the curve at a concentration.

    Parameters
    ----------
    concentration : float
        > 0, in the unit of the response.

    Returns
    -------
    Parameter
        Named ``response_at``, in the unit of the signal.

    Raises
    ------
    RangeError
        If the concentration is not positive.
    """
    if not concentration > 0:
        raise RangeError(f"concentration must be positive, found {concentration:g}.")
    at = math.log(concentration)
    return _rewritten(estimates, lambda e: _level_curve(e, at), "response_at")


@_of_one_or_many
def activity_area(estimates: Sequence[Estimate]) -> list[Parameter]:
    """Mean of the curve over the logarithm of the tested doses, by trapezoids through them.

    The share of the signal lost on the average is one minus this, over the signal of the
    vehicle: it uses both potency and efficacy, and is bounded even where the EC50 is not.

    Returns
    -------
    Parameter
        Named ``mean_response``, in the unit of the signal.

    References
    ----------
    .. [1] Barretina et al. (2012), Nature 483:603, doi 10.1038/nature11003.
    """
    return _rewritten(estimates, lambda e: _level_curve(e, None), "mean_response")


@_of_one_or_many
def absolute_ec50(estimates: Sequence[Estimate]) -> list[Parameter]:
    """Concentration that halves the signal between vehicle and no cells, with its profile interval.

    The relative EC50 is the midpoint between the curve's own plateaus.  The two differ for
    every drug that does not kill all cells, and they are two numbers with two names.  The zero
    is taken as known.

    Parameters
    ----------
    estimates : Estimate or sequence of Estimate
        Falling curves from `fit`, with their responses.

    Returns
    -------
    Parameter
        Named ``ec50_absolute``; its operator is ``>`` where the data do not show that
        half of the signal is ever lost; the bound is then never above the highest dose.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax import Response, fit
    >>> from halfmax.curves import hill
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.6) + np.tile([-0.01, 0.01], 8)
    >>> absolute_ec50(fit(Response.of(dose, signal, zero=0.0))).text()
    '> 100 µM'
    """
    results = [_nothing(estimate, "ec50_absolute", position=True) for estimate in estimates]
    groups: dict[Curve, list[int]] = {}
    for index, estimate in enumerate(estimates):
        base = _sigmoid(estimate)
        if base is None or base.name not in ("hill4", "gr3") or {"top", "bottom"} & set(estimate.constraints.fixed):
            continue
        if estimate.response is not None and not math.isnan(zero_of(estimate.response)):
            groups.setdefault(half_way(base, 1.0 if base.name == "gr3" else None), []).append(index)
    for curve, members in groups.items():
        some = [estimates[i] for i in members]
        zeros = np.array([zero_of(e.response) for e in some if e.response is not None])
        found = _profiled(curve, some, 0, np.stack([np.full(zeros.size, np.nan), zeros]))
        for index, one in zip(members, found.parameters("ec50_absolute", log=True), strict=True):
            results[index] = _loss(estimates[index], replace(one, unit=results[index].unit))
    return results


@_of_one_or_many
def second_ec50(estimates: Sequence[Estimate]) -> list[Parameter]:
    """The second EC50 of a curve of two sites, or of a bell, with its profile interval.

    Returns
    -------
    Parameter
        Named ``ec50_second``; not identified where the curve has but one.
    """
    return _rewritten(estimates, _second_curve, "ec50_second", row=0)


#: What `with_derived` knows by name.
_BY_NAME: dict[str, Callable[[Sequence[Estimate]], list[Parameter]]] = {
    "ec10": lambda some: effective_concentration(some, 10),
    "ec20": lambda some: effective_concentration(some, 20),
    "ec80": lambda some: effective_concentration(some, 80),
    "ec90": lambda some: effective_concentration(some, 90),
    "ec50_absolute": absolute_ec50,
    "ec50_second": second_ec50,
    "mean_response": activity_area,
}


def with_derived(estimates: Sequence[Estimate], names: Sequence[str]) -> list[Estimate]:
    """Estimates with further quantities among their parameters.

    Parameters
    ----------
    names : sequence of {"ec10", "ec20", "ec80", "ec90", "ec50_absolute", "ec50_second", "mean_response"}

    Raises
    ------
    RangeError
        If a name is none of these.
    """
    for name in names:
        if name not in _BY_NAME:
            raise RangeError(f'unknown quantity "{name}". Known are {", ".join(_BY_NAME)}.')
    further = [_BY_NAME[name](estimates) for name in names]
    return [
        replace(estimate, parameters=(*estimate.parameters, *(column[i] for column in further)))
        for i, estimate in enumerate(estimates)
    ]


def _sigmoid(estimate: Estimate) -> Sigmoid | None:
    """The S-shaped curve of an estimate that has data and freedom, or None."""
    fitted = isinstance(estimate.curve, Sigmoid) and estimate.response is not None and estimate.df > 0
    return estimate.curve if fitted and not estimate.status.startswith("refused") else None  # type: ignore[return-value]


def _effect_curve(estimate: Estimate, effect: float) -> Curve | None:
    base = _sigmoid(estimate)
    nowhere = estimate.status.startswith("no curve") and "ec50" in estimate and estimate["ec50"].operator == "?"
    return None if base is None or nowhere else at_effect(base, effect)


def _second_curve(estimate: Estimate) -> Curve | None:
    base = estimate.curve
    usable = isinstance(base, TwoSites | Bell) and estimate.response is not None and estimate.df > 0
    return second_site(base) if usable and base is not None and not estimate.status.startswith("refused") else None


def _level_curve(estimate: Estimate, dose: float | None) -> Curve | None:
    """The curve in terms of a level; None where both plateaus are held, or one is bounded."""
    base = _sigmoid(estimate)
    if base is None or {"top", "bottom"} & set(estimate.constraints.bounds):
        return None
    held = _held(estimate, base)
    if len(held) > 1:
        return None
    known: Held = "nothing"
    for known_name, _ in held:
        known = known_name
    return through(base, dose, known, held[0][1] if held else 0.0)


def _held(estimate: Estimate, base: Sigmoid) -> list[tuple[Held, float]]:
    """Plateaus that the fit held, as start or end, with their values."""
    rises = estimate["hill_slope"].best > 0
    own = [(term.name, term.held) for term in base.terms[base.q :] if term.held is not None]
    for name, value in estimate.constraints.fixed.items():
        if name in ("top", "bottom"):
            own.append(("end" if (name == "top") == rises else "start", value))
    return [("start" if name == "start" else "end", float(value)) for name, value in own]


def _rewritten(
    estimates: Sequence[Estimate], rewrite: Callable[[Estimate], Curve | None], name: str, *, row: int | None = None
) -> list[Parameter]:
    """The quantity of each estimate, those with equal curves in one batch."""
    groups: dict[Curve, list[int]] = {}
    results = [_nothing(estimate, name, position=row == 0) for estimate in estimates]
    for index, estimate in enumerate(estimates):
        curve = rewrite(estimate)
        if curve is not None:
            groups.setdefault(curve, []).append(index)
    for curve, members in groups.items():
        found = _profiled(curve, [estimates[i] for i in members], curve.q if row is None else row)
        for index, one in zip(members, found.parameters(name, log=row == 0), strict=True):
            results[index] = replace(one, unit=results[index].unit)
    return results


def _nothing(estimate: Estimate, name: str, *, position: bool) -> Parameter:
    response = estimate.response
    unit = "" if response is None else response.concentration_unit if position else response.signal_unit
    return Parameter(name, math.nan, 0.0 if position else -math.inf, math.inf, "?", unit, log=position)


@dataclass(frozen=True)
class _Profiled:
    """One inside parameter of a batch: optimum, ends of the interval (infinite where none fits), standard error."""

    best: Array
    low: Array
    high: Array
    error: Array
    quantile: Array

    def parameters(self, name: str, *, log: bool) -> list[Parameter]:
        """As Parameters."""
        with np.errstate(over="ignore"):
            values = [np.exp(v) if log else v for v in (self.best, self.low, self.high)]
        rows = zip(*values, self.error, self.quantile, strict=True)
        return [
            Parameter.bounded(name, float(v), float(a), float(b), log=log, se=float(e), quantile=float(t))
            for v, a, b, e, t in rows
        ]


def _profiled(curve: Curve, estimates: Sequence[Estimate], row: int, held: Array | None = None) -> _Profiled:
    """Profile of one inside parameter of rewritten curves; `held`, shape (linear, curves), holds plateaus besides."""
    from scipy import stats

    problem = _problem(curve, estimates, held)
    best = solve(problem)
    df = np.array([estimate.df for estimate in estimates], dtype=float)
    ends = limits(problem, best)
    only = np.arange(ends[0].shape[0]) == row
    centre = best.parameters()
    walks = np.where(only[:, None], ends[0], centre), np.where(only[:, None], ends[1], centre)
    unit = covariance(problem, replace(best, rss=np.ones_like(best.rss)), np.ones(df.size))
    level, rss = estimates[0].level, np.array([estimate.rss for estimate in estimates])
    worse = np.maximum(best.rss - rss, 0.0)
    allowed = excess(problem, replace(best, rss=rss), df, level) - worse
    found = profile(problem, best, excess=np.maximum(allowed, _TINY), covariance=unit, limits=walks)
    error = roots(covariance(problem, best, df))[:, row]
    quantile = stats.t.ppf(0.5 + level / 2, df)
    at, never = centre[row], allowed <= 0
    low, high = np.minimum(found.low[row], at), np.maximum(found.high[row], at)
    return _Profiled(at, np.where(never, np.inf, low), np.where(never, np.inf, high), error, quantile)


def _problem(curve: Curve, estimates: Sequence[Estimate], held: Array | None) -> Problem:
    """Data of some estimates for a rewritten curve; what their fits held stays held."""
    tied = np.array([is_tied(estimate) for estimate in estimates])
    rows = [as_points(e.response).columns(tied=is_tied(e)) for e in estimates if e.response is not None]
    problem = as_fitted(pack(curve, rows), estimates, tied)
    low, high, plateaus = problem.low.copy(), problem.high.copy(), problem.held.copy()
    for index, estimate in enumerate(estimates):
        asked, base = estimate.constraints, estimate.curve
        if base is None or not (asked.fixed or asked.bounds):
            continue
        own = asked.apply(pack(base, [rows[index]]), rising=_rises(estimate))
        low[1 : base.q, index], high[1 : base.q, index] = own.low[1:, 0], own.high[1:, 0]
        if isinstance(curve, AtEffect | SecondSite):
            plateaus[:, index] = own.held[:, 0]
    sign = np.array([1.0 if _rises(estimate) else -1.0 for estimate in estimates])
    plateaus = plateaus if held is None else np.where(np.isnan(held), plateaus, held)
    return replace(problem, low=low, high=high, sign=sign, held=plateaus)


def _rises(estimate: Estimate) -> bool:
    return "hill_slope" in estimate and estimate["hill_slope"].best > 0


def _loss(estimate: Estimate, found: Parameter) -> Parameter:
    """The absolute EC50; open above where the fitted curve never loses half, and then never bound above the doses."""
    response = estimate.response
    assert response is not None
    top_dose = response.doses()[-1]
    best, (low, high) = _optimum(estimate, zero_of(response)), (found.low, found.high)
    if math.isinf(best):
        high = math.inf
    if math.isinf(high):
        low = min(low, top_dose)
    one = Parameter.bounded("ec50_absolute", best, low, high, log=True, unit=found.unit, se=found.se)
    return replace(one, best=best, delta_low=math.nan, delta_high=math.nan)


def _optimum(estimate: Estimate, zero: float) -> float:
    """The absolute EC50 of the fitted curve; infinite where it never loses half."""
    top, bottom = estimate["top"].best, estimate["bottom"].best
    share = (top - (top + zero) / 2) / (top - bottom) if top != bottom else math.inf
    if not 0 < share < 1 or estimate["hill_slope"].best > 0:
        return math.inf
    return float(estimate["ec50"].best * (share / (1 - share)) ** (1 / -estimate["hill_slope"].best))
