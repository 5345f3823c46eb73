"""How many independent experiments a wanted precision needs."""

from __future__ import annotations

import math

from halfmax.errors import RangeError

__all__ = ["replicates_for"]


def replicates_for(half_width: float, between_sd: float, *, confidence: float = 0.95, largest: int = 1000) -> int:
    """Number of independent experiments for a wanted interval of log10 EC50.

    The smallest n >= 2 whose t interval is narrow enough::

        t(confidence, n - 1) * between_sd / sqrt(n) <= half_width

    Parameters
    ----------
    half_width : float, log10 units
        Wanted half width of the interval; 0.1 is a factor of 1.26 to either side.
    between_sd : float, log10 units
        Standard deviation of log10 EC50 between experiments.
    confidence : float
        Coverage of the interval.
    largest : int
        Where to give up.

    Raises
    ------
    RangeError
        If a number has no meaning, or more than `largest` experiments are needed.

    Examples
    --------
    >>> replicates_for(0.1, 0.1)
    7
    >>> replicates_for(0.25, 0.1)
    3
    """
    from scipy.stats import t

    if not (half_width > 0 and between_sd >= 0 and math.isfinite(half_width) and math.isfinite(between_sd)):
        raise RangeError(f"half_width must be > 0 and between_sd ≥ 0, found {half_width!r} and {between_sd!r}.")
    if not 0 < confidence < 1:
        raise RangeError(f"confidence must lie between 0 and 1, found {confidence!r}.")
    for number in range(2, largest + 1):
        if t.ppf(0.5 + confidence / 2, number - 1) * between_sd / math.sqrt(number) <= half_width:
            return number
    raise RangeError(
        f"more than {largest} experiments are needed for ± {half_width:g} log units when they differ by an SD of "
        f"{between_sd:g}. Accept a wider interval, or find out why the experiments differ."
    )
