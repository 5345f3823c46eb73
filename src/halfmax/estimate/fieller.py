"""Ratio of two quantities with known standard errors: Fieller's set, and the delta method, on the natural scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Pair", "RatioSet", "delta_ratio", "fieller_ratio"]

#: Shape of a Fieller set: an interval, all numbers outside one, or all numbers.
Shape = Literal["interval", "outside", "everything"]


@dataclass(frozen=True)
class Pair:
    """Two estimates with their standard errors and covariance, all in one unit.

    Parameters
    ----------
    denominator, numerator : float
    denominator_error, numerator_error : float
        Standard errors.
    covariance : float
        Of the two estimates, in the square of their unit.
    """

    denominator: float
    denominator_error: float
    numerator: float
    numerator_error: float
    covariance: float = 0.0


@dataclass(frozen=True)
class RatioSet:
    """The ratios that some data do not contradict.

    Parameters
    ----------
    shape : {"interval", "outside", "everything"}
        ``interval``: from `low` to `high`; ``outside``: below `low` and above `high`;
        ``everything``: all numbers.
    low, high : float
    """

    shape: Shape
    low: float
    high: float

    def positive(self) -> tuple[float, float, bool]:
        """Ends of the smallest interval of positive numbers that holds the set, and whether the set has a gap there.

        Examples
        --------
        >>> RatioSet("outside", -2.0, 0.4).positive()
        (0.4, inf, False)
        """
        if self.shape == "interval":
            return max(self.low, 0.0), self.high, False
        if self.shape == "outside" and self.low <= 0 < self.high:
            return self.high, math.inf, False
        return 0.0, math.inf, self.shape == "outside" and self.low > 0

    def ends(self) -> tuple[float, float, bool]:
        """Ends of the smallest interval of any numbers that holds the set, and whether the set has a gap."""
        if self.shape == "interval":
            return self.low, self.high, False
        return -math.inf, math.inf, self.shape == "outside"


def fieller_ratio(pair: Pair, quantile: float) -> RatioSet:
    """Fieller's set of the ratio numerator / denominator.

    It holds every r for which ``numerator - r * denominator`` is not significantly
    different from zero::

        (b - r a)² <= quantile² (var(b) - 2 r cov(a, b) + r² var(a))

    with denominator a and numerator b. Where a itself is not significantly different
    from zero the set is no interval: it is then all numbers outside one, or all
    numbers, and no finite interval can have its coverage [2]_.

    Parameters
    ----------
    pair : Pair
    quantile : float
        Of Student's t, or the normal distribution.

    Returns
    -------
    RatioSet

    References
    ----------
    .. [1] Fieller (1954), J R Stat Soc B 16:175, doi 10.1111/j.2517-6161.1954.tb00159.x.
    .. [2] Gleser & Hwang (1987), Ann Stat 15:1351, doi 10.1214/aos/1176350597.

    Examples
    --------
    >>> found = fieller_ratio(Pair(10.0, 1.0, 20.0, 1.0), 1.96)
    >>> found.shape, round(found.low, 3), round(found.high, 3)
    ('interval', 1.626, 2.534)
    """
    a, b, square = pair.denominator, pair.numerator, quantile**2
    lead = a * a - square * pair.denominator_error**2
    middle = a * b - square * pair.covariance
    last = b * b - square * pair.numerator_error**2
    inside = middle * middle - lead * last
    if lead == 0 or (lead < 0 and inside <= 0):
        return RatioSet("everything", -math.inf, math.inf)
    root = math.sqrt(max(inside, 0.0))
    low, high = sorted(((middle - root) / lead, (middle + root) / lead))
    return RatioSet("interval" if lead > 0 else "outside", low, high)


def delta_ratio(pair: Pair, quantile: float) -> RatioSet:
    """Interval of the ratio by the delta method: symmetric, and too short above where the denominator is uncertain.

    ``r ± quantile * sqrt(var(b) - 2 r cov(a, b) + r² var(a)) / a`` with r = b / a.

    Examples
    --------
    >>> found = delta_ratio(Pair(10.0, 1.0, 20.0, 1.0), 1.96)
    >>> round(found.low, 3), round(found.high, 3)
    (1.562, 2.438)
    """
    ratio = pair.numerator / pair.denominator
    variance = pair.numerator_error**2 - 2 * ratio * pair.covariance + (ratio * pair.denominator_error) ** 2
    half = quantile * math.sqrt(max(variance, 0.0)) / abs(pair.denominator)
    return RatioSet("interval", ratio - half, ratio + half)
