"""The absolute EC50: where the signal has fallen half way from the vehicle to no cells at all.

The relative EC50 is the midpoint between the curve's own plateaus.  The two differ
for every drug that does not kill all cells, and they are two numbers with two names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.fitting import BEYOND_DOSES
from halfmax.estimate.least_squares import STEEPNESS_LIMITS
from halfmax.estimate.points import as_points, is_tied, zero_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.response import Response

__all__ = ["absolute_ec50"]

Array = NDArray[np.float64]


def absolute_ec50(estimate: Estimate) -> Parameter:
    """Concentration that halves the signal between vehicle and no cells, with its profile interval.

    The curve is written in terms of the concentration q at which it passes
    ``(start + zero) / 2``; the interval holds every q for which the best such curve
    is not significantly worse than the best of all. The zero is taken as known.

    Parameters
    ----------
    estimate : Estimate
        A falling curve from `fit`, with its response.

    Returns
    -------
    Parameter
        Named ``ec50_absolute``; its operator is ``>`` where the data do not show that
        half of the signal is ever lost; the bound is then never above the highest dose.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves import hill
    >>> from halfmax.estimate import fit
    >>> dose = np.repeat([0, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 2)
    >>> signal = hill(dose, ec50=2e-6, hill_slope=-1.2, top=1.0, bottom=0.6) + np.tile([-0.01, 0.01], 8)
    >>> absolute_ec50(fit(Response.of(dose, signal, zero=0.0))).text()
    '> 100 µM'
    """
    from scipy import stats

    response = estimate.response
    nothing = Parameter("ec50_absolute", math.nan, 0.0, math.inf, "?", estimate["ec50"].unit, log=True)
    if response is None or estimate.df <= 0 or estimate.status.startswith("refused"):
        return nothing
    zero = zero_of(response)
    doses = response.doses()
    if math.isnan(zero) or estimate.model != "hill4":
        return nothing
    excess = _profile(estimate, response, zero)
    low, high = math.log(doses[0] / BEYOND_DOSES), math.log(doses[-1] * BEYOND_DOSES)
    best = _optimum(estimate, zero)
    allowed = estimate.rss / estimate.df * float(stats.f.ppf(estimate.level, 1, estimate.df))
    if not low < best < high:
        start = high
        if excess(high) > allowed:
            return replace(nothing, value=doses[-1], low=doses[-1], operator=">") if math.isinf(best) else nothing
    else:
        start = best
    step = min(max(estimate["ec50"].se, 0.01), 0.5)
    ends = [math.exp(_end(excess, allowed, start, sign * step, limit)) for sign, limit in ((-1, low), (1, high))]
    if math.isinf(ends[1]):
        ends[0] = min(ends[0], doses[-1])
    value = math.exp(best) if math.isfinite(best) else math.inf
    return Parameter.bounded("ec50_absolute", value, *ends, log=True, unit=estimate["ec50"].unit)


def _end(excess: Callable[[float], float], allowed: float, start: float, step: float, limit: float) -> float:
    """Where the profile crosses the threshold on the way from `start` to `limit`; infinite where it does not."""
    from scipy.optimize import brentq

    inside, stride = start, step
    while (limit - inside) * step > 0:
        at = inside + stride if (limit - inside - stride) * step > 0 else limit
        if excess(at) > allowed:
            return float(brentq(lambda q: math.sqrt(excess(q)) - math.sqrt(allowed), inside, at, xtol=1e-5))
        inside, stride = at, stride * 1.5
    return math.copysign(math.inf, step)


def _optimum(estimate: Estimate, zero: float) -> float:
    """Logarithm of the absolute EC50 of the fitted curve; infinite where it never loses half."""
    top, bottom = estimate["top"].best, estimate["bottom"].best
    share = (top - (top + zero) / 2) / (top - bottom) if top != bottom else math.inf
    if not 0 < share < 1 or estimate["hill_slope"].best > 0:
        return math.inf
    return math.log(estimate["ec50"].best) + math.log(share / (1 - share)) / -estimate["hill_slope"].best


def _profile(estimate: Estimate, response: Response, zero: float) -> Callable[[float], float]:
    """Excess of the residual sum of squares when the half-signal concentration is held at exp(q)."""
    from scipy.optimize import least_squares

    points = as_points(response)
    full = points.full if is_tied(estimate) else points.full[:0]
    u = np.r_[points.log_dose, np.full(full.size, np.inf)]
    y = np.r_[points.signal, full]
    low, high = STEEPNESS_LIMITS
    finite = np.isfinite(u)

    def residual(parameters: Array, q: float) -> Array:
        start, logit, squeezed = parameters
        share = 1.0 / (1.0 + math.exp(-min(max(logit, -500.0), 500.0)))
        end = start - (start - zero) / 2 / max(share, 1e-12)
        slope = math.exp(low + (high - low) / (1.0 + math.exp(-min(max(squeezed, -500.0), 500.0))))
        exponent = np.clip(slope * (np.where(finite, u, 0.0) - q) + logit, -500.0, 500.0)
        s = np.where(finite, 1.0 / (1.0 + np.exp(-exponent)), u > 0)
        return np.asarray(start + (end - start) * s - y, dtype=float)

    top = estimate["top"].best
    starts = [np.array([top, logit, slope]) for logit in (0.2, 2.0, -1.5) for slope in (-1.0, 0.5)]

    def excess(q: float) -> float:
        start = min(starts, key=lambda p: float((residual(p, q) ** 2).sum()))
        found = least_squares(residual, start, args=(q,), method="lm", max_nfev=300)
        starts.append(found.x)
        return max(2.0 * float(found.cost) - estimate.rss, 0.0)

    return excess
