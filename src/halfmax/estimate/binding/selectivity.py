"""Published Ki, and ratios of two."""

from __future__ import annotations

import math
from dataclasses import replace

from halfmax.errors import RangeError
from halfmax.estimate.comparing import compare
from halfmax.estimate.result import Estimate, Operator, Parameter

__all__ = ["published_ki", "selectivity"]


def published_ki(
    ki: float, *, se: float = math.nan, operator: Operator = "=", level: float = 0.95, label: str = "published"
) -> Estimate:
    """A Ki that somebody published, as an estimate: a censored one (≥ 10 µM) stays a bound.

    Parameters
    ----------
    ki : float, M
    se : float, M
        Standard error; the interval is that of a log-normal one with ``se / ki`` as the error of ln ki.
        Without it, the interval is the value alone.
    operator : {"=", ">", "<"}
        Of a bound; it has no standard error.
    level : float
    label : str

    Returns
    -------
    Estimate
        With ``ki``.

    Raises
    ------
    RangeError
        If `ki` is not positive.

    Examples
    --------
    >>> published_ki(10e-6, operator=">")["ki"].text()
    '> 10 µM'
    >>> published_ki(14.6e-9, se=6.9e-9)["ki"].text()
    '14.6 nM (5.8–36.9)'
    """
    from scipy import stats

    if not (math.isfinite(ki) and ki > 0):
        raise RangeError(f"{label}: ki must be > 0 M, found {ki:g}.")
    error = se / ki if math.isfinite(se) else 0.0
    half = float(stats.norm.ppf(0.5 + level / 2)) * error
    low = 0.0 if operator in ("<", "?") else ki * math.exp(-half)
    high = math.inf if operator in (">", "?") else ki * math.exp(half)
    one = Parameter.bounded("ki", ki, low, high, log=True, unit="M", se=error)
    return Estimate("published", (replace(one, method="as published"),), level, label=label)


def selectivity(target: Estimate, other: Estimate, *, level: float = 0.95, label: str = "selectivity") -> Estimate:
    """How many times higher the Ki at another receptor is than at the target, with its interval or its operator.

    A Ki that is only a bound makes the ratio one: the end of the one interval over that of the
    other (`compare`).

    Parameters
    ----------
    target, other : Estimate
        With ``ki``.
    level : float
    label : str

    Returns
    -------
    Estimate
        With ``selectivity``.

    Examples
    --------
    >>> selectivity(published_ki(14.6e-9), published_ki(10e-6, operator=">"))["selectivity"].text()
    '> 680'
    """
    return compare(target, other, parameter="ki", name="selectivity", level=level, label=label)
