"""Growth-rate values, and the rates of division and of death, as functions of counts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = ["NO_GROWTH", "counted", "gr_components", "gr_value", "growth_rates", "positive"]

Array = NDArray[np.float64]

#: Ends the sentence that begins with what the control did not do.
NO_GROWTH = (
    "between time zero and the reading: there is no growth rate to compare with. Read later, or report viability."
)


def gr_value(
    count: ArrayLike, *, control: ArrayLike, time_zero: ArrayLike | None = None, doublings: ArrayLike | None = None
) -> Array:
    """Growth-rate value of treated cells, from the count at time zero or from the control's number of doublings::

        GR = 2 ** (log2(count / time_zero) / log2(control / time_zero)) - 1
        GR = 2 ** (1 + log2(count / control) / doublings) - 1

    Parameters
    ----------
    count, control, time_zero : array, cells (or a signal proportional to them)
        Treated, untreated at the same time, and when the treatment began; all > 0.
        Shapes that broadcast.
    doublings : array
        How often the untreated cells divided during the treatment, > 0: its duration
        over their division time. In place of `time_zero`.

    Returns
    -------
    array
        -1 < GR; 1 where the drug does nothing.

    Raises
    ------
    RangeError
        If a number is not positive, the control did not grow, so that there is no growth
        rate to compare with, or not exactly one of `time_zero` and `doublings` is given.

    References
    ----------
    .. [1] Hafner et al. (2016), Nat Methods 13:521, doi 10.1038/nmeth.3853.

    Examples
    --------
    >>> gr_value([400.0, 100.0, 50.0], control=400.0, time_zero=100.0).round(3).tolist()
    [1.0, 0.0, -0.293]
    >>> gr_value([400.0, 100.0, 50.0], control=400.0, doublings=48 / 24).round(3).tolist()
    [1.0, 0.0, -0.293]
    """
    x, grown = positive("count", count), positive("control", control)
    if (time_zero is None) == (doublings is None):
        given = "neither" if time_zero is None else "both"
        raise RangeError(f"expected either time_zero or doublings, found {given}. Give the one that was measured.")
    if doublings is not None:
        return np.asarray(2.0 ** (1.0 + np.log2(x / grown) / positive("doublings", doublings)) - 1.0, dtype=float)
    assert time_zero is not None
    begun = positive("time_zero", time_zero)
    if (grown <= begun).any():
        raise RangeError(f"the control did not grow {NO_GROWTH}")
    return np.asarray(2.0 ** (np.log2(x / begun) / np.log2(grown / begun)) - 1.0, dtype=float)


def growth_rates(
    live: ArrayLike, dead: ArrayLike, *, time_zero: ArrayLike, dead_time_zero: ArrayLike, days: ArrayLike
) -> tuple[Array, Array]:
    """Rates of division and of death, in doublings a day, of cells that divide and die at constant rates::

        live' = ln(2) * (division - death) * live        dead' = ln(2) * death * live
        division - death = log2(live / time_zero) / days
        death = (dead - dead_time_zero) / (ln(2) * days * mean)
        mean = (live - time_zero) / ln(live / time_zero)

    `mean` is the logarithmic mean, which is the live cells' mean over time; it is
    `time_zero` where live cells neither grow nor shrink.

    Parameters
    ----------
    live, dead : array, cells
        At the end; `live` > 0, `dead` >= 0. Shapes that broadcast.
    time_zero, dead_time_zero : array, cells
        Live and dead cells when the treatment began.
    days : array, d
        Duration of the treatment, > 0.

    Returns
    -------
    division, death : array, doublings / d
        `death` is negative where fewer dead cells are left than there were at time zero.

    Raises
    ------
    RangeError
        If a number is out of its range.

    References
    ----------
    .. [1] Mills et al. (2022), Nat Commun 13:6918, doi 10.1038/s41467-022-34536-7.

    Examples
    --------
    Cells that divide once a day and do not die:

    >>> [float(rate) for rate in growth_rates(400.0, 10.0, time_zero=100.0, dead_time_zero=10.0, days=2.0)]
    [1.0, 0.0]
    """
    x, begun, time = positive("live", live), positive("time_zero", time_zero), positive("days", days)
    gained = counted("dead", dead) - counted("dead_time_zero", dead_time_zero)
    log = np.log(x / begun)
    still = np.abs(log) < 1e-12
    mean = begun * np.where(still, 1.0, np.expm1(log) / np.where(still, 1.0, log))
    death = gained / (math.log(2) * time * mean)
    return np.asarray(log / (math.log(2) * time) + death), np.asarray(death)


def gr_components(
    live: ArrayLike,
    dead: ArrayLike,
    *,
    control: ArrayLike,
    dead_control: ArrayLike,
    time_zero: ArrayLike,
    dead_time_zero: ArrayLike,
    days: ArrayLike,
) -> tuple[Array, Array]:
    """Static and toxic growth-rate value, from live and dead cells::

        GR_static = 2 ** (division / division_of_control) - 1
        GR_toxic = 2 ** (death_of_control - death) - 1

    with the rates of `growth_rates` in doublings a day. They are tied to the growth-rate
    value by ``(1 + GR) ** net = (1 + GR_static) ** division * (1 + GR_toxic) * 2 ** -death``,
    in which the exponents are the rates of the control and ``net = division - death``.

    Parameters
    ----------
    live, dead, control, dead_control, time_zero, dead_time_zero : array, cells
        Of treated and untreated wells at the end, and when the treatment began. Live
        counts > 0, dead counts >= 0. Shapes that broadcast.
    days : array, d
        Duration of the treatment. The unit matters: GR_toxic is defined with rates per day.

    Returns
    -------
    static, toxic : array
        `static` is 1 where division is that of the control and 0 where it stopped;
        `toxic` is 0 where death is that of the control, and goes to -1.

    Raises
    ------
    RangeError
        If a number is out of its range, or the control's cells did not divide.

    References
    ----------
    .. [1] Mills et al. (2022), Nat Commun 13:6918, doi 10.1038/s41467-022-34536-7.

    Examples
    --------
    A drug that only stops division: as many live cells as at time zero, no more dead ones.

    >>> counts = {"control": 400.0, "dead_control": 10.0, "time_zero": 100.0, "dead_time_zero": 10.0}
    >>> [float(value) for value in gr_components(100.0, 10.0, **counts, days=2.0)]
    [0.0, 0.0]
    """
    start = {"time_zero": time_zero, "dead_time_zero": dead_time_zero, "days": days}
    division, death = growth_rates(live, dead, **start)
    own_division, own_death = growth_rates(positive("control", control), dead_control, **start)
    if (own_division <= 0).any():
        raise RangeError(
            "the control's cells did not divide between time zero and the reading: there is no rate of division to "
            "compare with. Read later, or report viability."
        )
    return np.asarray(2.0 ** (division / own_division) - 1.0), np.asarray(2.0 ** (own_death - death) - 1.0)


def positive(name: str, value: ArrayLike) -> Array:
    """Numbers as an array, refused where one is not above zero; NaN is allowed."""
    array = np.asarray(value, dtype=float)
    if (array <= 0).any():
        hint = " A well without a single cell has no growth rate: leave it out, and say so." if name == "count" else ""
        raise RangeError(f"{name} must be > 0 everywhere, found {array[array <= 0].flat[0]:g}.{hint}")
    return array


def counted(name: str, value: ArrayLike) -> Array:
    """The same for numbers that may be zero."""
    array = np.asarray(value, dtype=float)
    if (array < 0).any():
        raise RangeError(f"{name} must be >= 0 everywhere, found {array[array < 0].flat[0]:g}.")
    return array
