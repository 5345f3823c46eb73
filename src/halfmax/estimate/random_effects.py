"""Random effects: a mean over experiments that weighs them by their own errors and by how much they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import FitError

__all__ = ["RandomEffects", "random_effects"]

Array = NDArray[np.float64]
_ITERATIONS = 500


@dataclass(frozen=True)
class RandomEffects:
    """Mean of a random-effects model and the variance between its experiments.

    Parameters
    ----------
    mean, error : float
        Weighted mean, and its standard error after Hartung and Knapp, never below the plain one.
    tau2, tau2_low, tau2_high : float
        Variance between experiments by REML, with its Q-profile interval.
    factor : float
        Factor q of Hartung and Knapp before it is held at 1 or more.
    """

    mean: float
    error: float
    tau2: float
    tau2_low: float
    tau2_high: float
    factor: float


def random_effects(value: ArrayLike, error: ArrayLike, *, level: float = 0.95) -> RandomEffects:
    """Random-effects mean of some values with known standard errors.

    With ``w = 1 / (error² + tau²)`` the mean is ``sum(w y) / sum(w)``. tau² maximises
    the restricted likelihood [1]_, by Fisher scoring; its interval holds every tau²
    whose generalised Q lies between the quantiles of chi-square with k - 1 degrees of
    freedom [2]_. The squared standard error of the mean is ``max(1, q) / sum(w)`` with
    ``q = sum(w (y - mean)²) / (k - 1)`` [3]_: the factor of Hartung and Knapp, held at
    1 or more because a small sample that happens to agree would else be given an
    interval narrower than that of its own errors [4]_.

    Parameters
    ----------
    value, error : array, shape (k,), same unit
        Values of k >= 2 experiments and their standard errors, > 0.
    level : float
        Of the interval of tau².

    Raises
    ------
    FitError
        If there are fewer than two values, or a standard error is not positive and finite.

    References
    ----------
    .. [1] Viechtbauer (2005), J Educ Behav Stat 30:261, doi 10.3102/10769986030003261.
    .. [2] Viechtbauer (2007), Stat Med 26:37, doi 10.1002/sim.2514.
    .. [3] Hartung & Knapp (2001), Stat Med 20:3875, doi 10.1002/sim.1009.
    .. [4] Röver, Knapp & Friede (2015), BMC Med Res Methodol 15:99, doi 10.1186/s12874-015-0091-1.

    Examples
    --------
    >>> found = random_effects([1.0, 1.4, 2.1], [0.1, 0.1, 0.1])
    >>> round(found.mean, 3), round(found.tau2, 3)
    (1.5, 0.3)
    """
    y, v = np.asarray(value, dtype=float), np.asarray(error, dtype=float) ** 2
    if y.size < 2:
        raise FitError(f"random effects need at least two experiments, found {y.size}.")
    if not (np.isfinite(v) & (v > 0)).all():
        raise FitError(
            "random effects weigh experiments by their standard errors, which must be positive and finite, found "
            f"{', '.join(f'{e:g}' for e in np.sqrt(v))}. Use the two-stage t interval, which does without."
        )
    tau2 = _reml(y, v)
    w = 1.0 / (v + tau2)
    mean = float((w * y).sum() / w.sum())
    factor = float((w * (y - mean) ** 2).sum() / (y.size - 1))
    low, high = _profile_q(y, v, level)
    return RandomEffects(mean, math.sqrt(max(1.0, factor) / w.sum()), tau2, low, high, factor)


def _restricted(y: Array, v: Array, tau2: float) -> float:
    """Restricted log-likelihood of tau², up to a constant."""
    w = 1.0 / (v + tau2)
    mean = (w * y).sum() / w.sum()
    return float(0.5 * (np.log(w).sum() - math.log(w.sum()) - (w * (y - mean) ** 2).sum()))


def _reml(y: Array, v: Array) -> float:
    """The tau² >= 0 that maximises the restricted likelihood; a step that makes it worse is halved."""
    tau2 = max(0.0, float(y.var(ddof=1) - v.mean()))
    here = _restricted(y, v, tau2)
    for _ in range(_ITERATIONS):
        w = 1.0 / (v + tau2)
        total = w.sum()
        pull = w * (y - (w * y).sum() / total)
        score = pull @ pull - total + (w**2).sum() / total
        information = (w**2).sum() - 2 * (w**3).sum() / total + ((w**2).sum() / total) ** 2
        step = float(score / information)
        for _ in range(60):
            trial = max(0.0, tau2 + step)
            there = _restricted(y, v, trial)
            if there >= here:
                break
            step /= 2
        else:
            return tau2
        moved, tau2, here = abs(trial - tau2), trial, there
        if moved <= 1e-10 * (tau2 + float(v.min())):
            break
    return tau2


def _profile_q(y: Array, v: Array, level: float) -> tuple[float, float]:
    """Interval of tau²: where the generalised Q meets the quantiles of chi-square."""
    from scipy import optimize, stats

    def q(tau2: float) -> float:
        w = 1.0 / (v + tau2)
        return float((w * (y - (w * y).sum() / w.sum()) ** 2).sum())

    ends = []
    for quantile in stats.chi2.ppf([0.5 + level / 2, 0.5 - level / 2], y.size - 1):
        if q(0.0) <= quantile:
            ends.append(0.0)
            continue
        most = float(v.max() + y.var())
        while q(most) > quantile:
            most *= 4.0
        ends.append(float(optimize.brentq(lambda tau2, at=quantile: q(tau2) - at, 0.0, most, xtol=1e-14, rtol=1e-12)))
    return ends[0], ends[1]
