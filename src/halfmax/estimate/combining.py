"""Join estimates: independent experiments into one EC50, two EC50s into a ratio.

The experiment is the sample, never the well: between-experiment variation is what
a new experiment would meet, and pooling wells hides it (three experiments with a
standard deviation of 0.1 log between them: pooled wells cover 73 % of the time,
the two-stage interval 95 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from halfmax.errors import FitError
from halfmax.estimate.joint import joint_ratio
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.units import p_value

__all__ = ["combine", "compare"]


class _Names(dict[str, str]):
    """Names of parameters for people; a name without entry stands for itself."""

    def __missing__(self, name: str) -> str:
        return name


_LABELS = _Names(ec50="EC50", ec50_absolute="the absolute EC50")


def combine(
    estimates: Sequence[Estimate], *, parameter: str = "ec50", level: float = 0.95, label: str = ""
) -> Estimate:
    """One value from independent experiments: mean and t interval of the logarithms.

    ``mean(ln ec50) ± t(k - 1) * SD(ln ec50) / sqrt(k)`` over k experiments.

    Parameters
    ----------
    estimates : sequence of Estimate
        One for each independent experiment.
    parameter : str
        Which of their parameters, positive.
    level : float
    label : str
        Who and what, for tables and messages.

    Returns
    -------
    Estimate
        With the parameter, ``sd_log10`` (between experiments, in decades) and
        ``i_squared`` (share of it that the experiments' own errors do not explain).
        Where an experiment gives only a bound, so does the combination.

    Raises
    ------
    FitError
        If there is no experiment.

    References
    ----------
    .. [1] Higgins & Thompson (2002), Stat Med 21:1539, doi 10.1002/sim.1186.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter
    >>> def one(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> combine([one(4e-6), one(5e-6), one(6e-6)])["ec50"].text()
    '4.9 µM (3.0–8.2)'
    """
    if not estimates:
        raise FitError(f"{label or 'combine'}: there is no experiment to combine.")
    parts = [estimate[parameter] for estimate in estimates]
    unit = parts[0].unit
    if any(part.unit != unit for part in parts):
        raise FitError(
            f"{label or 'combine'}: {parameter} comes in different units: {sorted({p.unit for p in parts})}."
        )
    known = [part for part in parts if part.operator != "?"]
    notes: list[str] = []
    if len(known) < len(parts):
        notes.append(f"{len(parts) - len(known)} of {len(parts)} experiments do not identify {_LABELS[parameter]}.")
    joined, status = _join(known, len(parts), parameter, unit, level)
    if len(estimates) == 1 and joined.operator != "=":
        status, notes = estimates[0].status, []
    spread = _heterogeneity([part for part in known if part.operator == "="])
    if not math.isnan(spread.p) and spread.p < 0.05:
        notes.append(
            f"The experiments differ by more than their own errors (Q test, {p_value(spread.p)}; "
            f"I² = {100 * spread.i_squared:.0f} %)."
        )
    extra = (
        Parameter("sd_log10", spread.sd, math.nan, math.nan, method="between experiments", best=spread.sd),
        Parameter("i_squared", spread.i_squared, math.nan, math.nan, method="Q statistic", best=spread.i_squared),
    )
    return Estimate(
        "two-stage t", (joined, *extra), level, len(parts), df=max(len(known) - 1, 0), status=status,
        notes=tuple(notes), parts=tuple(estimates), label=label,
    )  # fmt: skip


def _join(known: Sequence[Parameter], asked: int, name: str, unit: str, level: float) -> tuple[Parameter, str]:
    """Mean of the logarithms with its t interval, or the bound that the experiments give together."""
    label = _LABELS[name]
    if not known:
        return _unknown(name, unit), f"open: none of {asked} experiments identifies {label}."
    operators = {part.operator for part in known} - {"="}
    if operators == {"<", ">"}:
        return _unknown(name, unit), f"open: some experiments bound {label} only from above, others only from below."
    if len(known) == 1:
        part = known[0]
        status = "ok, one experiment: the interval is that within the experiment, and says nothing of the next one"
        if part.operator != "=":
            status = f"open: the one experiment that says anything gives only a bound of {label}"
        return replace(part, name=name, log=True, method="within one experiment"), status
    logs = np.log([part.value for part in known])
    mean, error, half = _t_interval(logs, level)
    low, high = math.exp(mean - half), math.exp(mean + half)
    if not operators:
        return Parameter(name, math.exp(mean), low, high, "=", unit, math.exp(mean), error, True, "two-stage t"), "ok"
    operator: Operator = ">" if operators == {">"} else "<"
    censored = sum(part.operator == operator for part in known)
    bound = low if operator == ">" else high
    ends = (bound, math.inf) if operator == ">" else (0.0, bound)
    joined = Parameter(
        name, bound, *ends, operator, unit, math.exp(mean), error, True, "two-stage t of the bounds"
    )  # fmt: skip
    return joined, f"open: {censored} of {len(known)} experiments give only a bound of {label}"


def _unknown(name: str, unit: str) -> Parameter:
    return Parameter(name, math.nan, 0.0, math.inf, "?", unit, math.nan, math.nan, True, "two-stage t")


def _t_interval(logs: np.ndarray, level: float) -> tuple[float, float, float]:
    """Mean, standard error and half width of the t interval."""
    from scipy import stats

    error = float(logs.std(ddof=1) / math.sqrt(logs.size))
    return float(logs.mean()), error, float(stats.t.ppf(0.5 + level / 2, logs.size - 1)) * error


@dataclass(frozen=True)
class _Heterogeneity:
    sd: float
    i_squared: float
    p: float


def _heterogeneity(parts: Sequence[Parameter]) -> _Heterogeneity:
    """Between-experiment SD of log10, I², and the p-value of Cochran's Q."""
    from scipy import stats

    if len(parts) < 2:
        return _Heterogeneity(math.nan, math.nan, math.nan)
    logs = np.log([part.value for part in parts])
    sd = float(logs.std(ddof=1) / math.log(10))
    errors = np.array([part.se for part in parts])
    if not (np.isfinite(errors) & (errors > 0)).all():
        return _Heterogeneity(sd, math.nan, math.nan)
    weights = errors**-2.0
    q = float((weights * (logs - (weights * logs).sum() / weights.sum()) ** 2).sum())
    freedom = len(parts) - 1
    return _Heterogeneity(sd, max(0.0, 1.0 - freedom / q) if q > 0 else 0.0, float(stats.chi2.sf(q, freedom)))


def compare(
    one: Estimate,
    other: Estimate,
    *,
    parameter: str = "ec50",
    name: str = "ratio",
    level: float = 0.95,
    label: str = "",
) -> Estimate:
    """Ratio of a parameter of two estimates, ``other / one``, with its interval.

    Between two combinations the sample is the experiment: a Welch t interval of
    the difference of the mean logarithms.  Between two fits (of EC50, within one
    experiment) it is the joint profile of the log ratio: the ratios r for which
    some pair of curves with EC50s in that ratio is not significantly worse than
    the two best curves, ``min RSS(r) <= RSS * (1 + F(1, df; level) / df)``, with
    RSS and df those of both fits together.

    Operators are carried: ``=`` over ``>`` is ``<``; a ratio of two bounds that
    point the same way is not identified.

    Parameters
    ----------
    one, other : Estimate
        The selectivity index of a drug is ``other`` (spared cells) over ``one`` (target cells).
    name : str
        Name of the ratio, such as ``selectivity_index``.

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
    """
    a, b = one[parameter], other[parameter]
    if a.unit != b.unit:
        raise FitError(f"{label or name}: {parameter} comes in different units: {a.unit} and {b.unit}.")
    first, second = _only_part(one), _only_part(other)
    if parameter == "ec50" and all(side.response is not None and side.df > 0 for side in (first, second)):
        low, high = joint_ratio(first, second, level)
        error = math.hypot(a.se, b.se)
        result = replace(
            Parameter.bounded(name, b.best / a.best, low, high, log=True, se=error), method="joint profile"
        )
        status = "ok" if result.operator == "=" else "open: the data do not bound the ratio on both sides"
        return _compared(result, one, other, level, label, status)
    if a.operator == "=" and b.operator == "=":
        value, half = b.value / a.value, _welch(a, one.df, b, other.df, level)
        error, ends = math.hypot(a.se, b.se), (b.value / a.value * math.exp(-half), b.value / a.value * math.exp(half))
        result = Parameter(name, value, *ends, "=", "", value, error, True, "two-stage Welch t")
        return _compared(result, one, other, level, label, "ok")
    operator = _operator(a.operator, b.operator)
    if operator == "?":
        result = Parameter(name, math.nan, 0.0, math.inf, "?", "", b.best / a.best if a.best else math.nan, log=True)
        return _compared(result, one, other, level, label, f"open: {parameter} of both does not bound the ratio")
    bound = b.low / a.high if operator == ">" else b.high / a.low
    ends = (bound, math.inf) if operator == ">" else (0.0, bound)
    result = Parameter(name, bound, *ends, operator, "", b.best / a.best, log=True, method="ratio of bounds")
    return _compared(result, one, other, level, label, f"open: one {parameter} is only a bound")


def _only_part(estimate: Estimate) -> Estimate:
    """The one fit that a combination of one experiment was made of."""
    return estimate.parts[0] if estimate.model == "two-stage t" and len(estimate.parts) == 1 else estimate


def _operator(below: Operator, above: Operator) -> Operator:
    """Operator of above / below."""
    inverse: dict[Operator, Operator] = {"=": "=", ">": "<", "<": ">", "?": "?"}
    kinds = {above, inverse[below]} - {"="}
    return kinds.pop() if len(kinds) == 1 else "?"


def _compared(ratio: Parameter, one: Estimate, other: Estimate, level: float, label: str, status: str) -> Estimate:
    notes = tuple(
        f"{part.label or 'One side'} has one experiment: the ratio's interval leaves out what a new one would bring."
        for part in (one, other)
        if part["ec50" if "ec50" in part else ratio.name].method == "within one experiment"
    )
    return Estimate(
        f"ratio, {ratio.method}", (ratio,), level, one.n + other.n, status=status, notes=notes, parts=(one, other),
        label=label,
    )  # fmt: skip


def _welch(a: Parameter, df_a: int, b: Parameter, df_b: int, level: float) -> float:
    """Half width of Welch's interval of ln b - ln a; a side within one experiment counts with a normal quantile."""
    from scipy import stats

    variance = a.se**2 + b.se**2
    if variance == 0:
        return 0.0
    parts = [error**4 / df for error, df in ((a.se, df_a), (b.se, df_b)) if df > 0]
    df = variance**2 / sum(parts) if parts and sum(parts) > 0 else math.inf
    return float(stats.t.ppf(0.5 + level / 2, df)) * math.sqrt(variance)
