"""The absolute EC50: where the signal has fallen half way from the vehicle to no cells at all.

The relative EC50 is the midpoint between the curve's own plateaus.  The two differ
for every drug that does not kill all cells, and they are two numbers with two names.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfmax.curves.curve import STEEPNESS_LIMITS
from halfmax.estimate.batch import BEYOND_DOSES
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
    if math.isnan(zero) or estimate.model not in ("hill4", "gr3"):
        return nothing
    low, high = math.log(doses[0] / BEYOND_DOSES), math.log(doses[-1] * BEYOND_DOSES)
    best = _optimum(estimate, zero)
    unit = estimate["ec50"].unit
    inside = low < best < high
    step = min(max(estimate["ec50"].se, 0.005), 0.3) if math.isfinite(estimate["ec50"].se) else 0.3
    near = best + step * np.linspace(-6, 6, 49) if inside else np.array([])
    at = np.unique(np.clip(np.r_[near, np.linspace(low, high, 40)], low, high))
    root = np.sqrt(_excess(estimate, response, zero, at))
    allowed = math.sqrt(estimate.rss / estimate.df * float(stats.f.ppf(estimate.level, 1, estimate.df)))
    start = int(np.argmin(np.abs(at - best))) if inside else at.size - 1
    if root[start] > allowed:
        return replace(nothing, value=doses[-1], low=doses[-1], operator=">") if math.isinf(best) else nothing
    ends = [
        _end(at[: start + 1][::-1], root[: start + 1][::-1], allowed, 0.0),
        _end(at[start:], root[start:], allowed, math.inf),
    ]
    if math.isinf(ends[1]):
        ends[0] = min(ends[0], doses[-1])
    value = math.exp(best) if math.isfinite(best) else math.inf
    return Parameter.bounded("ec50_absolute", value, *ends, log=True, unit=unit)


def _end(at: Array, root: Array, allowed: float, open_end: float) -> float:
    """Where the root of the profile first crosses the threshold on the way along `at`."""
    outside = np.flatnonzero(root > allowed)
    if outside.size == 0:
        return open_end
    j = int(outside[0])
    share = (allowed - root[j - 1]) / (root[j] - root[j - 1])
    return math.exp(at[j - 1] + share * (at[j] - at[j - 1]))


def _optimum(estimate: Estimate, zero: float) -> float:
    """Logarithm of the absolute EC50 of the fitted curve; infinite where it never loses half."""
    top, bottom = estimate["top"].best, estimate["bottom"].best
    share = (top - (top + zero) / 2) / (top - bottom) if top != bottom else math.inf
    if not 0 < share < 1 or estimate["hill_slope"].best > 0:
        return math.inf
    return math.log(estimate["ec50"].best) + math.log(share / (1 - share)) / -estimate["hill_slope"].best


def _excess(estimate: Estimate, response: Response, zero: float, at: Array) -> Array:
    """Excess of the residual sum of squares when half of the signal is lost at exp(q), for each q of `at`.

    With ``s = expit(m (ln x - q) + l)`` and ``p = expit(l)`` the curve is
    ``zero + (start - zero) (1 - s / (2 p))``, which is half way to zero at q for every
    (l, ln m); `start` is linear and eliminated, the other two go by Levenberg–Marquardt,
    all q at once.
    """
    dose, mean, weight, base = as_points(response).columns(tied=is_tied(estimate))
    with np.errstate(divide="ignore"):
        u = np.log(dose)
    held = 1.0 if estimate.model == "gr3" else None
    y, amplitude = mean - zero, None if held is None else held - zero
    starts = np.array([(logit, slope) for logit in (-1.5, 0.2, 1.5, 4.0) for slope in (-0.5, 0.3, 1.2)])
    first = np.stack([_rss(_shape(u, at, np.tile(start, (at.size, 1)))[0], y, weight, amplitude) for start in starts])
    likely = np.argsort(first, axis=0, kind="stable")[:2]
    found = [_descend(u, y, weight, at, starts[rank], amplitude) for rank in likely]
    return np.maximum(base + np.minimum(*found) - estimate.rss, 0.0)


def _descend(u: Array, y: Array, weight: Array, q: Array, position: Array, amplitude: float | None) -> Array:
    """Smallest residual sum of squares of each q from one start, by Levenberg–Marquardt."""
    position = position.copy()
    damping = np.full(q.size, 1e-3)
    rss = _rss(_shape(u, q, position)[0], y, weight, amplitude)
    moving = np.ones(q.size, dtype=bool)
    for _ in range(100):
        rows = np.flatnonzero(moving)
        if rows.size == 0:
            break
        here = position[rows]
        trial = np.clip(
            here + _step(u, y, weight, q[rows], here, damping[rows], amplitude),
            [-8.0, STEEPNESS_LIMITS[0]],
            [12.0, STEEPNESS_LIMITS[1]],
        )
        new = _rss(_shape(u, q[rows], trial)[0], y, weight, amplitude)
        good = new <= rss[rows]
        gain = np.where(good, rss[rows] - new, np.inf)
        moving[rows] = (np.abs(trial - here).max(axis=1) > 1e-8) & (gain > 1e-10 * rss[rows]) & (damping[rows] < 1e9)
        position[rows[good]], rss[rows[good]] = trial[good], new[good]
        damping[rows] = np.where(good, np.maximum(damping[rows] / 5, 1e-10), damping[rows] * 6)
    return rss


def _shape(u: Array, q: Array, position: Array) -> tuple[Array, tuple[Array, Array]]:
    """1 - s / (2 p), and its derivatives by (l, ln m), shape (curves, points)."""
    finite = np.isfinite(u)
    logit, slope = position[:, :1], np.exp(position[:, 1:])
    distance = np.where(finite, u, 0.0)[None, :] - q[:, None]
    s = np.where(finite, 1.0 / (1.0 + np.exp(-np.clip(slope * distance + logit, -500, 500))), (u > 0)[None, :])
    twice = 2.0 / (1.0 + np.exp(-logit))
    by_logit = -s * (twice / 2 - s) / twice
    by_slope = -s * (1 - s) * slope * np.where(finite, distance, 0.0) / twice
    return 1.0 - s / twice, (by_logit, by_slope)


def _amplitude(phi: Array, y: Array, weight: Array, held: float | None) -> Array:
    if held is not None:
        return np.full(phi.shape[0], held)
    return np.asarray((weight * phi * y).sum(1) / np.maximum((weight * phi * phi).sum(1), 1e-300), dtype=float)


def _rss(phi: Array, y: Array, weight: Array, held: float | None) -> Array:
    return np.asarray((weight * (y - _amplitude(phi, y, weight, held)[:, None] * phi) ** 2).sum(1), dtype=float)


def _step(u: Array, y: Array, weight: Array, q: Array, position: Array, damping: Array, held: float | None) -> Array:
    """Damped Gauss–Newton step of (l, ln m), start projected out unless it is held."""
    phi, slopes = _shape(u, q, position)
    amplitude = _amplitude(phi, y, weight, held)[:, None]
    residual = weight * (y - amplitude * phi)
    a, b = (amplitude * d for d in slopes)
    if held is None:
        norm = np.maximum((weight * phi * phi).sum(1), 1e-300)[:, None]
        a, b = (d - (weight * d * phi).sum(1)[:, None] / norm * phi for d in (a, b))
    aa, bb, ab = (weight * a * a).sum(1), (weight * b * b).sum(1), (weight * a * b).sum(1)
    ga, gb = (a * residual).sum(1), (b * residual).sum(1)
    aa, bb = aa * (1 + damping) + 1e-300, bb * (1 + damping) + 1e-300
    determinant = np.maximum(aa * bb - ab * ab, 1e-300)
    step = np.stack([bb * ga - ab * gb, aa * gb - ab * ga], axis=1) / determinant[:, None]
    return np.asarray(np.clip(step, -2.0, 2.0), dtype=float)
