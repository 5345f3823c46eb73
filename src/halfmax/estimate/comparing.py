"""Two estimates into a ratio, and many into ratios over one reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from halfmax.errors import FitError, nearest
from halfmax.estimate.combining import is_combination, name_of
from halfmax.estimate.fieller import Pair, RatioSet, delta_ratio, fieller_ratio
from halfmax.estimate.ratio import has_profile, joint_ratio
from halfmax.estimate.result import Estimate, Operator, Parameter

__all__ = ["compare", "compare_many", "delta_pec50", "natural_ratio"]

#: How the interval of a ratio is made.
RatioMethod = Literal["auto", "fieller", "delta"]
_NATURAL = {"fieller": ("Fieller", fieller_ratio), "delta": ("delta method", delta_ratio)}


def compare(
    one: Estimate,
    other: Estimate,
    *,
    parameter: str = "ec50",
    method: RatioMethod = "auto",
    covariance: float = 0.0,
    df: float | None = None,
    name: str = "ratio",
    level: float = 0.95,
    label: str = "",
) -> Estimate:
    """Ratio of a parameter of two estimates, ``other / one``, with its interval.

    With ``method="auto"``: between two combinations the sample is the experiment, a
    Welch t interval of the difference of the mean logarithms.  Between two fits (of
    EC50, within one experiment) it is the joint profile of the log ratio: the ratios r
    for which some pair of curves with EC50s in that ratio is not significantly worse
    than the two best curves, ``min RSS(r) <= RSS * (1 + F(1, df; level) / df)``, with
    RSS and df those of both fits together.

    ``fieller`` and ``delta`` work on the natural scale, with the standard error
    ``ec50 * SE(ln ec50)`` (see `halfmax.estimate.fieller`), for comparison with other
    software. A Fieller set that is no interval is reported by its operator.

    Operators are carried: ``=`` over ``>`` is ``<``; a ratio of two bounds that
    point the same way is not identified.

    Parameters
    ----------
    one, other : Estimate
        The selectivity index of a drug is ``other`` (spared cells) over ``one`` (target cells).
    parameter : str
    method : {"auto", "fieller", "delta"}
    covariance : float
        Of the two parameters on the natural scale, in the square of their unit, where
        both come from one fit (with a shared plateau, say); for ``fieller`` and ``delta``.
    df : float, optional
        Degrees of freedom of the t quantile of ``fieller`` and ``delta``; where not
        given, those of Welch and Satterthwaite. Two parameters of one fit have its df.
    name : str
        Name of the ratio, such as ``selectivity_index``.
    level : float
    label : str

    Returns
    -------
    Estimate
        With the ratio and, of EC50s, ``delta_pec50``: its log10, which is pEC50 of
        `one` less pEC50 of `other`.

    Raises
    ------
    FitError
        If the units differ, the method is unknown, a standard error is missing,
        `covariance` is larger than the standard errors allow or given to ``auto``, or
        ``auto`` is asked of a parameter that is not estimated on its logarithm.

    References
    ----------
    .. [1] Welch (1947), Biometrika 34:28, doi 10.1093/biomet/34.1-2.28.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter, combine
    >>> def one(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> tumour = combine([one(4e-6), one(5e-6), one(6e-6)])
    >>> normal = combine([one(3.0e-5), one(3.2e-5), one(3.5e-5)])
    >>> compare(tumour, normal)["ratio"].text()
    '6.5 (4.2–10.2)'
    >>> compare(tumour, normal, method="fieller")["ratio"].text()
    '6.5 (4.4–11.3)'
    """
    a, b, who = one[parameter], other[parameter], label or name
    _check(a, b, method, covariance, who)
    both = a.operator == "=" and b.operator == "="
    first, second = _only_part(one), _only_part(other)
    sides = (a, first.df), (b, second.df)
    if method != "auto" and both:
        result, status = _natural_ratio(name, a, b, method, covariance, _quantile(*sides, level, df), who)
    elif parameter == "ec50" and has_profile(first) and has_profile(second):
        result, status = _profile_ratio(name, a, b, joint_ratio(first, second, level))
    elif both:
        result, status = _welch_ratio(name, a, b, _quantile(*sides, level))
    else:
        result, status = _censored_ratio(name, a, b)
    return _compared(result, one, other, parameter, level, label, status)


def _check(a: Parameter, b: Parameter, method: str, covariance: float, who: str) -> None:
    if a.unit != b.unit:
        raise FitError(f"{who}: {a.name} comes in different units: {a.unit} and {b.unit}.")
    if method not in get_args(RatioMethod):
        raise FitError(f'{who}: no method "{method}". {nearest(method, get_args(RatioMethod))}')
    if method == "auto" and not a.log:
        raise FitError(
            f'{who}: {a.name} is not estimated on its logarithm, as method="auto" needs. Use "fieller" or "delta".'
        )
    if covariance and method == "auto":
        raise FitError(f'{who}: a covariance is only used by method="fieller" and "delta". Name one of them.')


def _profile_ratio(name: str, a: Parameter, b: Parameter, ends: tuple[float, float]) -> tuple[Parameter, str]:
    found = Parameter.bounded(name, b.best / a.best, *ends, log=True, se=math.hypot(a.se, b.se))
    status = "ok" if found.operator == "=" else "open: the data do not bound the ratio on both sides"
    return replace(found, method="joint profile"), status


def _welch_ratio(name: str, a: Parameter, b: Parameter, quantile: float) -> tuple[Parameter, str]:
    """Welch's t interval of the difference of the logarithms."""
    error = math.hypot(a.se, b.se)
    half = quantile * error
    ratio = b.value / a.value
    if math.isnan(half):
        found = Parameter(name, math.nan, 0.0, math.inf, "?", "", ratio, log=True, method="two-stage Welch t")
        return found, f"open: {name_of(a.name)} of one side has no standard error"
    ends = ratio * math.exp(-half), ratio * math.exp(half)
    return Parameter(name, ratio, *ends, "=", "", ratio, error, True, "two-stage Welch t"), "ok"


def _censored_ratio(name: str, a: Parameter, b: Parameter) -> tuple[Parameter, str]:
    """Ratio of which a side is a bound: that of the ends of the intervals."""
    operator = _operator(a.operator, b.operator)
    best = b.best / a.best if a.best else math.nan
    if operator == "?":
        found = Parameter(name, math.nan, 0.0, math.inf, "?", "", best, log=True)
        return found, f"open: {a.name} of both does not bound the ratio"
    bound = b.low / a.high if operator == ">" else b.high / a.low
    ends = (bound, math.inf) if operator == ">" else (0.0, bound)
    found = Parameter(name, bound, *ends, operator, "", best, log=True, method="ratio of bounds")
    return found, f"open: one {a.name} is only a bound"


def _natural_ratio(
    name: str, a: Parameter, b: Parameter, method: str, covariance: float, quantile: float, who: str
) -> tuple[Parameter, str]:
    """Ratio on the natural scale by Fieller's theorem or the delta method."""
    errors = [side.value * side.se if side.log else side.se for side in (a, b)]
    if not all(math.isfinite(error) for error in errors):
        raise FitError(f'{who}: method="{method}" needs the standard errors of both {a.name}. Use method="auto".')
    if abs(covariance) > errors[0] * errors[1] * (1 + 1e-9):
        raise FitError(
            f"{who}: a covariance of {covariance:g} is larger than the product of the standard errors, "
            f"{errors[0]:g} × {errors[1]:g}. Give it on the natural scale, in the square of the unit."
        )
    pair = Pair(a.value, errors[0], b.value, errors[1], covariance)
    error = math.hypot(a.se, b.se) if a.log else math.nan
    result, found, gap = natural_ratio(name, pair, method, quantile, log=a.log, se=error)
    if result.operator == "=":
        return result, "ok"
    why = f"open: {name_of(a.name)} below the line is too uncertain for a ratio with both ends"
    if method == "delta":
        why = "open: the interval of the delta method reaches zero"
    elif found.shape == "interval":
        why = "open: the ratio is not told from zero"
    elif gap:
        why += f" (Fieller: all ratios but those between {found.low:.2g} and {found.high:.2g})"
    return result, why


def natural_ratio(
    name: str, pair: Pair, method: str, quantile: float, *, log: bool, se: float = math.nan
) -> tuple[Parameter, RatioSet, bool]:
    """Ratio by Fieller's theorem or the delta method, with the set that it was made of, and whether that has a gap."""
    said, way = _NATURAL[method]
    found = way(pair, quantile) if math.isfinite(pair.covariance) else RatioSet("everything", -math.inf, math.inf)
    low, high, gap = found.positive() if log else found.ends()
    ratio = Parameter.bounded(name, pair.numerator / pair.denominator, low, high, log=log, se=se)
    return replace(ratio, method=said), found, gap


def _only_part(estimate: Estimate) -> Estimate:
    """The one fit that a combination of one experiment was made of; the estimate itself where there is no such."""
    joined = is_combination(estimate) or estimate.model == "mean of plates"
    return _only_part(estimate.parts[0]) if joined and len(estimate.parts) == 1 else estimate


def _operator(below: Operator, above: Operator) -> Operator:
    """Operator of above / below."""
    inverse: dict[Operator, Operator] = {"=": "=", ">": "<", "<": ">", "?": "?"}
    kinds = {above, inverse[below]} - {"="}
    return kinds.pop() if len(kinds) == 1 else "?"


def _compared(
    ratio: Parameter, one: Estimate, other: Estimate, parameter: str, level: float, label: str, status: str
) -> Estimate:
    notes = tuple(
        f"{part.label or 'One side'} has one experiment: the ratio's interval leaves out what a new one would bring."
        for part in (one, other)
        if part[parameter].method == "within one experiment"
    )
    found = (ratio, delta_pec50(ratio)) if parameter == "ec50" else (ratio,)
    return Estimate(
        f"ratio, {ratio.method}", found, level, one.n + other.n, status=status, notes=notes, parts=(one, other),
        label=label,
    )  # fmt: skip


def delta_pec50(ratio: Parameter) -> Parameter:
    """Difference of pEC50s: log10 of their ratio."""
    value, low, high, best = (_log10_of(x) for x in (ratio.value, ratio.low, ratio.high, ratio.best))
    return Parameter(
        "delta_pec50", value, low, high, ratio.operator, "", best, ratio.se / math.log(10), method=ratio.method
    )


def _log10_of(value: float) -> float:
    if math.isnan(value) or value == math.inf:
        return value
    return math.log10(value) if value > 0 else -math.inf


def _quantile(one: tuple[Parameter, int], other: tuple[Parameter, int], level: float, df: float | None = None) -> float:
    """Quantile of t with some degrees of freedom, those of Welch and Satterthwaite where not given."""
    from scipy import stats

    return float(stats.t.ppf(0.5 + level / 2, _welch_df(one, other) if df is None else df))


def _welch_df(one: tuple[Parameter, int], other: tuple[Parameter, int]) -> float:
    """Degrees of freedom of a difference; a side without any counts as if its error were known."""
    errors = [side.se if side.log else side.se / abs(side.value or 1.0) for side, _ in (one, other)]
    total = sum(error**4 / df for error, (_, df) in zip(errors, (one, other), strict=True) if df > 0)
    return sum(error**2 for error in errors) ** 2 / total if total > 0 else math.inf


def compare_many(
    reference: Estimate,
    others: Sequence[Estimate],
    *,
    parameter: str = "ec50",
    level: float = 0.95,
) -> tuple[Estimate, ...]:
    """Ratios of several estimates over one reference, with what several comparisons at once can claim.

    The intervals hold all together at `level`: each is that of `compare` at
    ``1 - (1 - level) / m`` for m comparisons (Bonferroni). Dunnett's, which take one
    variance and one number of degrees of freedom for all, would be narrower, but
    compounds differ in how much their experiments scatter, and few experiments cannot
    show that they do not. The p-values are those of Welch's t test of the difference
    of the mean logarithms (between fits within one experiment: of the t test with
    their standard errors), alone and adjusted after Holm [1]_.

    Parameters
    ----------
    reference : Estimate
    others : sequence of Estimate
    parameter : str
        Estimated on its logarithm, such as an EC50.
    level : float
        Of all intervals together.

    Returns
    -------
    tuple of Estimate
        In the order of `others`, with the label of each: ``ratio`` (other / reference,
        simultaneous), ``delta_pec50`` where the parameter is an EC50, ``p_value``,
        ``p_holm``. Where a side is only a bound the ratio carries the operator and
        there is no p-value; Holm counts only the comparisons that have one.

    Raises
    ------
    FitError
        If there is nothing to compare, or the parameter is not on a logarithm.

    References
    ----------
    .. [1] Holm (1979), Scand J Stat 6:65, https://www.jstor.org/stable/4615733.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter, combine
    >>> def one(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> parent, amine, ether = (combine([one(v), one(1.2 * v), one(1.1 * v)]) for v in (4e-6, 5e-6, 6e-5))
    >>> [f"{e['ratio'].text()}, p = {e['p_holm'].value:.2g}" for e in compare_many(parent, [amine, ether])]
    ['1.25 (0.96–1.62), p = 0.04', '15.0 (11.6–19.5), p = 6.8e-06']
    """
    if not others:
        raise FitError("compare_many: there is nothing to compare with the reference.")
    if not reference[parameter].log:
        raise FitError(
            f"compare_many: {parameter} is not estimated on its logarithm; ratios are compared on logarithms. "
            "Use compare with a method for each."
        )
    apart = 1.0 - (1.0 - level) / len(others)
    found = [compare(reference, other, parameter=parameter, level=apart, label=other.label) for other in others]
    plain = [_p_value(reference, other, parameter) for other in others]
    return tuple(
        replace(ratio, level=level, parameters=(*ratio.parameters, _p("p_value", p), _p("p_holm", adjusted)))
        for ratio, p, adjusted in zip(found, plain, _holm(plain), strict=True)
    )


def _p(name: str, value: float) -> Parameter:
    method = "Welch t test" if name == "p_value" else "Welch t test, Holm"
    return Parameter(name, value, math.nan, math.nan, method=method, best=value)


def _p_value(one: Estimate, other: Estimate, parameter: str) -> float:
    """Two-sided p-value of the difference of the logarithms; NaN where a side is a bound."""
    from scipy import stats

    a, b = one[parameter], other[parameter]
    error = math.hypot(a.se, b.se)
    if a.operator != "=" or b.operator != "=" or not error > 0:
        return math.nan
    df = _welch_df((a, _only_part(one).df), (b, _only_part(other).df))
    return float(2.0 * stats.t.sf(abs(math.log(b.value / a.value)) / error, df))


def _holm(plain: Sequence[float]) -> list[float]:
    """P-values adjusted after Holm; NaN stays NaN and does not count."""
    order = sorted((p, index) for index, p in enumerate(plain) if not math.isnan(p))
    adjusted, least = [math.nan] * len(plain), 0.0
    for rank, (p, index) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p))
        adjusted[index] = least
    return adjusted
