"""Log-logistic (Hill) curves, in the field's sign convention.

``top`` is the upper plateau, ``bottom`` the lower one, and the sign of
``hill_slope`` tells the direction: negative where the signal falls with the
concentration (inhibition, killing), positive where it rises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["fraction", "hill", "hill_derivative", "hill_inverse"]

Array = NDArray[np.float64]


def fraction(concentration: ArrayLike, *, ec50: ArrayLike, hill_slope: ArrayLike) -> Array:
    """Fraction of the way from the lower to the upper plateau.

    Stable for concentrations of 0 and infinity and for any slope::

        fraction = 1 / (1 + (ec50 / concentration) ** hill_slope)

    Examples
    --------
    >>> fraction([0.0, 1.0, float("inf")], ec50=1.0, hill_slope=2.0).tolist()
    [0.0, 0.5, 1.0]
    """
    with np.errstate(divide="ignore", over="ignore"):
        distance = np.log(np.asarray(concentration, dtype=float)) - np.log(np.asarray(ec50, dtype=float))
        exponent = np.asarray(hill_slope, dtype=float) * distance
        result: Array = np.where(exponent >= 0, 1.0, 0.0)
        finite = np.isfinite(exponent)
        bounded = np.clip(np.where(finite, exponent, 0.0), -700, 700)
        return np.asarray(np.where(finite, 1.0 / (1.0 + np.exp(-bounded)), result), dtype=float)


def hill(
    concentration: ArrayLike, *, ec50: ArrayLike, hill_slope: ArrayLike, top: ArrayLike, bottom: ArrayLike = 0.0
) -> Array:
    """Four-parameter log-logistic curve::

        y = bottom + (top - bottom) / (1 + (ec50 / concentration) ** hill_slope)

    Parameters
    ----------
    concentration : array, M
        >= 0; 0 is the vehicle, infinity the full effect.
    ec50 : array, M
        Concentration of the midpoint, > 0.
    hill_slope : array
        Negative where the signal falls.
    top, bottom : array, unit of the response
        Upper and lower plateau.

    Returns
    -------
    array, unit of the response

    References
    ----------
    .. [1] Gadagkar & Call (2015), J Pharmacol Toxicol Methods 71:68, doi 10.1016/j.vascn.2014.08.006.

    Examples
    --------
    >>> float(hill(1e-6, ec50=1e-6, hill_slope=-1.3, top=1.0, bottom=0.5))
    0.75
    """
    share = fraction(concentration, ec50=ec50, hill_slope=hill_slope)
    rest = fraction(concentration, ec50=ec50, hill_slope=-np.asarray(hill_slope, dtype=float))
    low, high = np.asarray(bottom, dtype=float), np.asarray(top, dtype=float)
    near_low = low + (high - low) * share
    near_high = high - (high - low) * rest  # the same, exact where the other plateau lies far away
    return np.asarray(np.where(share < 0.5, near_low, near_high), dtype=float)


def hill_derivative(
    concentration: ArrayLike, *, ec50: float, hill_slope: float, top: float, bottom: float = 0.0
) -> Array:
    """Derivative of `hill` by (ln ec50, hill_slope, top, bottom).

    Parameters
    ----------
    concentration : array, shape (n,), M

    Returns
    -------
    array, shape (n, 4)

    Examples
    --------
    >>> hill_derivative([1e-6], ec50=1e-6, hill_slope=-1.0, top=1.0, bottom=0.0).tolist()
    [[0.25, 0.0, 0.5, 0.5]]
    """
    x = np.atleast_1d(np.asarray(concentration, dtype=float))
    share = fraction(x, ec50=ec50, hill_slope=hill_slope)
    spread = share * (1.0 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(spread > 0, np.log(x) - np.log(ec50), 0.0)
    span = top - bottom
    return np.stack([-span * hill_slope * spread, span * distance * spread, share, 1.0 - share], axis=-1)


def hill_inverse(response: float, *, ec50: float, hill_slope: float, top: float, bottom: float = 0.0) -> float:
    """Concentration at which the curve passes a response; NaN where it never does.

    Examples
    --------
    >>> round(hill_inverse(0.5, ec50=2e-6, hill_slope=-1.0, top=1.0), 12)
    2e-06
    """
    if top == bottom:
        return float("nan")
    share = (response - bottom) / (top - bottom)
    if not 0.0 < share < 1.0:
        return float("nan")
    return float(ec50 * (share / (1.0 - share)) ** (1.0 / hill_slope))
