"""Growth-rate metrics: a fitted curve of growth-rate values, with the scatter of its controls in every interval.

Control and time-zero wells enter each growth-rate value of a plate, so their error
moves all values together.  A fit that takes them as known gives intervals that are
too narrow, most of all for GR_AOC, which averages the scatter of single wells away
and this error not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.growth import GrowthCounts, Measure
from halfmax.errors import FitError
from halfmax.estimate.derived import absolute_ec50
from halfmax.estimate.fitting import fit_all
from halfmax.estimate.result import Estimate, Parameter
from halfmax.response import Response

__all__ = ["fit_growth", "fit_growth_all", "growth_metrics"]

Array = NDArray[np.float64]

#: Share of the control's doublings below which moved references say nothing any more, and an interval is open.
_DOUBLINGS_LEFT = 0.5
_QUANTITY: dict[Measure, str] = {
    "gr": "growth-rate value", "static": "GR static", "toxic": "1 + GR toxic",
}  # fmt: skip


def fit_growth(counts: GrowthCounts, measure: Measure = "gr", *, level: float = 0.95) -> Estimate:
    """Growth-rate metrics of one curve of counts; their intervals hold the scatter of control and time-zero wells.

    The curve ``gr3`` is fitted to the growth-rate values. Then the mean of the control
    wells is moved to either end of its own t interval and the fit repeated, and the
    same with the time-zero wells. What that changes is joined to the interval of the
    fit by its squares (MOVER)::

        low = best - sqrt((best - low_of_fit)**2 + sum over groups (best - lowest_of_group)**2)

    Parameters
    ----------
    counts : GrowthCounts
    measure : {"gr", "static", "toxic"}
        Growth-rate value, or one of its components, which need dead counts. The toxic
        one is fitted as ``1 + GR_toxic``, which is 1 at dose zero; its ``gr50`` is where
        GR_toxic is -0.5, its ``gr_inf`` and ``gr_max`` are given as GR_toxic.
    level : float
        Level of the intervals, 0 < level < 1.

    Returns
    -------
    Estimate
        With the parameters of the curve, and ``gr50``, ``gr_inf``, ``gr_max`` and ``gr_aoc``.
        Its notes say which references had no replicate wells.

    Raises
    ------
    FitError
        If the control did not grow, or no curve can be fitted.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.
    .. [2] Zou & Donner (2008), Stat Med 27:1693, doi 10.1002/sim.3095.

    Examples
    --------
    >>> from halfmax.assays.growth import GrowthCounts
    >>> counts = GrowthCounts.of(
    ...     [0.01, 0.03, 0.1, 0.3, 1, 3, 10], [1180, 1130, 1010, 750, 480, 340, 300],
    ...     control=[1190, 1230, 1210, 1170], time_zero=[290, 310, 300, 305], concentration_unit="µM",
    ... )
    >>> fit_growth(counts)["gr_aoc"].text()
    '0.475 (0.452–0.497)'
    """  # fmt: skip
    estimate = fit_growth_all([counts], measure, level=level)[0]
    if estimate.status.startswith("refused"):
        raise FitError(f"{counts.label}: {estimate.status.removeprefix('refused: ')}")
    return estimate


def fit_growth_all(curves: Sequence[GrowthCounts], measure: Measure = "gr", *, level: float = 0.95) -> list[Estimate]:
    """`fit_growth` of many curves in one batch.

    A curve that cannot be fitted does not stop the others: its Estimate has no numbers
    and a status that begins with ``refused``.
    """
    shifts = [_shifts(counts, measure, level) for counts in curves]
    responses = [_response(counts, measure, {}) for counts in curves]
    moved = [
        _response(counts, measure, {group: centre})
        for counts, ends in zip(curves, shifts, strict=True)
        for group, pair in ends.items()
        for centre in pair
    ]
    plain = fit_all([*responses, *moved], "gr3", level=level)
    fits = [*_with_metrics(plain[: len(curves)]), *plain[len(curves) :]]
    others = iter(fits[len(curves) :])
    estimates = []
    for counts, ends, estimate in zip(curves, shifts, fits, strict=False):
        pairs = [(next(others), next(others)) for _ in ends]
        trouble = counts.trouble(measure)
        if trouble:
            estimates.append(replace(estimate, status=f"refused: {trouble}"))
        else:
            estimates.append(_finish(_with_references(estimate, pairs), measure))
    return estimates


def _shifts(counts: GrowthCounts, measure: Measure, level: float) -> dict[str, tuple[float, float]]:
    return {} if counts.trouble(measure) else counts.ends(measure, level=level)


def _response(counts: GrowthCounts, measure: Measure, centres: dict[str, float]) -> Response:
    """Growth-rate values as a response; without signals where there are none."""
    values = np.full(counts.count.size, np.nan)
    if not counts.trouble(measure, **centres) and (not centres or _says(counts, measure, centres)):
        values = counts.values(measure, **centres) + (1.0 if measure == "toxic" else 0.0)
    return Response.of(
        counts.concentration, values, quantity=counts.label if counts.labels else _QUANTITY[measure],
        concentration_unit=counts.concentration_unit,
        notes=() if centres or counts.trouble(measure) else counts.notes(measure),
    )  # fmt: skip


def _says(counts: GrowthCounts, measure: Measure, centres: dict[str, float]) -> bool:
    """Whether moved references leave the control enough doublings."""
    return counts.control_doublings(measure, **centres) > _DOUBLINGS_LEFT * counts.control_doublings(measure)


def growth_metrics(estimate: Estimate) -> Estimate:
    """GR50, GRinf, GRmax and GR_AOC of a curve of growth-rate values, their controls taken as known.

    ``gr50`` is the concentration at which the curve passes 0.5, with its profile
    interval; ``gr_inf`` the plateau at full effect; ``gr_max`` the lower of the mean
    values at the two highest doses; ``gr_aoc`` the mean of ``1 - GR`` over the logarithm
    of the doses, by trapezoids through the means of the doses. The last two are of the
    data, not of the curve; their t interval is that of the means, with the standard
    deviation of the wells about the curve.

    Where the counts are at hand, use `fit_growth`: its intervals hold the scatter of the
    control and time-zero wells too.

    Parameters
    ----------
    estimate : Estimate
        From ``fit(response, "gr3")``, the response holding growth-rate values.

    Raises
    ------
    FitError
        If it is the fit of another curve.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax import Response, fit
    >>> from halfmax.curves import hill
    >>> dose = np.geomspace(0.001, 10, 9)
    >>> values = hill(dose, ec50=0.1, hill_slope=-1.0, top=1.0, bottom=0.0) + np.tile([0.01, -0.01, 0.0], 3)
    >>> round(growth_metrics(fit(Response.of(dose, values, concentration_unit="µM"), "gr3"))["gr50"].value, 2)
    0.1
    """
    response = estimate.response
    if estimate.model != "gr3" or response is None:
        raise FitError(f'{estimate.label}: growth-rate metrics need a fit of "gr3", found "{estimate.model}".')
    return _with_metrics([estimate])[0]


def _with_metrics(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Fits of growth-rate values with their metrics, in one batch."""
    halves = absolute_ec50([replace(e, response=replace(e.response, zero=0.0)) for e in estimates if e.response])
    results = []
    for estimate, half in zip(estimates, halves, strict=True):
        plateau = estimate["bottom" if estimate["hill_slope"].best < 0 else "top"]
        metrics = (replace(half, name="gr50"), replace(plateau, name="gr_inf"), *_of_data(estimate))
        results.append(replace(estimate, parameters=(*estimate.parameters, *metrics)))
    return results


def _of_data(estimate: Estimate) -> tuple[Parameter, Parameter]:
    """GRmax and GR_AOC with their t intervals."""
    means, counts, logs = _dose_means(estimate)
    if means.size < 2:
        return _unknown("gr_max"), _unknown("gr_aoc")
    low = means.size - 2 + int(np.argmin(means[-2:]))
    steps = np.diff(logs)
    weights = 0.5 * (np.append(steps, 0.0) + np.append(0.0, steps)) / steps.sum()
    area_error = estimate.sigma * math.sqrt(float((weights**2 / counts).sum()))
    return (
        _with_t("gr_max", float(means[low]), estimate.sigma / math.sqrt(counts[low]), estimate),
        _with_t("gr_aoc", float((weights * (1.0 - means)).sum()), area_error, estimate),
    )


def _dose_means(estimate: Estimate) -> tuple[Array, Array, Array]:
    """Mean value, number of wells and log10 of each dose."""
    response = estimate.response
    assert response is not None
    doses = response.doses()
    rows = [response.used & (response.concentration == dose) for dose in doses]
    means = np.array([response.signal[row].mean() for row in rows])
    return means, np.array([float(row.sum()) for row in rows]), np.log10(doses)


def _with_t(name: str, value: float, error: float, estimate: Estimate) -> Parameter:
    from scipy import stats

    if not math.isfinite(error):
        return Parameter(name, value, math.nan, math.nan, "=", best=value, method="of the data, without interval")
    half = float(stats.t.ppf(0.5 + estimate.level / 2, estimate.df)) * error
    return Parameter(
        name, value, value - half, value + half, "=", best=value, se=error, method="t interval of means",
        delta_low=value - half, delta_high=value + half,
    )  # fmt: skip


def _unknown(name: str) -> Parameter:
    return Parameter(name, math.nan, math.nan, math.nan, "?")


def _with_references(estimate: Estimate, pairs: Sequence[tuple[Estimate, Estimate]]) -> Estimate:
    """The estimate with every interval widened by what moving its references changes."""
    if estimate.status.startswith("refused") or not pairs:
        return estimate
    optima = [(_optima(one), _optima(other)) for one, other in pairs]
    parameters = tuple(
        _widened(p, [(one[p.name], other[p.name]) for one, other in optima]) if p.low < p.high else p
        for p in estimate.parameters
    )
    status, notes = estimate.status, estimate.notes
    widened = replace(estimate, parameters=parameters)
    if any(fit.status.startswith("refused") for pair in pairs for fit in pair):
        notes = (
            *notes,
            "The control and time-zero wells scatter so much that the control may have divided less than half as often "
            "as it seems: no interval can be given. Add such wells.",
        )
    if estimate["ec50"].operator == "=" and widened["ec50"].operator != "=":
        status = (
            "open: the scatter of the control and time-zero wells leaves EC50 unbounded. Add such wells, or let the "
            "cells divide more often."
        )
    return replace(widened, status=status, notes=notes)


def _optima(estimate: Estimate) -> dict[str, float]:
    """Optimum of every metric of one fit; NaN where there is no curve."""
    curve = {p.name: p.best for p in estimate.parameters}
    if estimate.status.startswith(("refused", "no curve")):
        curve = dict.fromkeys(curve, math.nan)
    falls = curve["hill_slope"] < 0
    end = curve["bottom" if falls else "top"]
    share = 0.5 / (0.5 - end) if falls and end < 0.5 else math.inf
    metrics = {"gr50": curve["ec50"] * share ** (1 / abs(curve["hill_slope"])), "gr_inf": end}
    return curve | metrics | {p.name: p.best for p in _of_data(estimate)}


def _widened(parameter: Parameter, pairs: Sequence[tuple[float, float]]) -> Parameter:
    """Parameter whose interval holds the error of the fit and that of each pair of moved references (MOVER)."""
    if parameter.operator == "?":
        return parameter
    log, out = (_log, _exp) if parameter.log else (float, float)
    best, low, high = log(parameter.best), log(parameter.low), log(parameter.high)
    steps = [[log(value) - best if value != parameter.best else 0.0 for value in pair] for pair in pairs]
    blind = any(math.isnan(step) for pair in steps for step in pair)
    down = math.inf if blind else math.hypot(*(min(*pair, 0.0) for pair in steps))
    up = math.inf if blind else math.hypot(*(max(*pair, 0.0) for pair in steps))
    if parameter.operator == "=":
        low, high = best - math.hypot(best - low, down), best + math.hypot(high - best, up)
    else:
        low, high = low - down, high + up
    made = Parameter.bounded(parameter.name, parameter.best, out(low), out(high), log=parameter.log)
    method = f"{parameter.method}, widened by the scatter of the controls"
    return replace(
        parameter, value=made.value, low=made.low, high=made.high, operator=made.operator, method=method
    )  # fmt: skip


def _log(value: float) -> float:
    return math.log(value) if value > 0 else (math.nan if math.isnan(value) else -math.inf)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _finish(estimate: Estimate, measure: Measure) -> Estimate:
    """GRinf and GRmax of the toxic component on its own scale, from 0 to -1."""
    if measure != "toxic":
        return estimate
    ends = ("value", "low", "high", "best", "delta_low", "delta_high")
    parameters = tuple(
        replace(p, **{end: getattr(p, end) - 1.0 for end in ends}) if p.name in ("gr_inf", "gr_max") else p
        for p in estimate.parameters
    )
    note = "Fitted as 1 + GR toxic; gr_inf and gr_max are GR toxic, and gr50 is where it passes -0.5."
    return replace(estimate, parameters=parameters, notes=(*estimate.notes, note))
