"""How good a binding experiment is: nonspecific share, replicates, depletion, recovery; and what cannot be true."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.binding.experiment import BindingExperiment
from halfmax.errors import StudyError, TableError
from halfmax.units import format_concentration

__all__ = ["BindingQuality", "binding_quality", "check_amounts", "check_totals"]

Array = NDArray[np.float64]
#: Share of the added radioligand above which what is free is no longer what was added.
DEPLETION = 0.10
#: Share of total binding above which the nonspecific is called high.
NONSPECIFIC = 0.50
#: Coefficient of variation of replicates, percent, above which they are said to scatter.
SCATTER = 20.0
#: Recovery of the added radioligand that is called near what was meant.
RECOVERY = (0.8, 1.2)
#: Counting error, percent of total binding, above which the tubes are said to be counted too briefly.
COUNTING = 5.0
#: Error probability of the test that nonspecific is above total.
_SURELY = 0.001


@dataclass(frozen=True)
class BindingQuality:
    """How good a binding experiment is; NaN where the tubes do not tell.

    Parameters
    ----------
    n_total, n_nonspecific, n_excluded : int
        Tubes.
    nonspecific_fraction, nonspecific_fraction_worst : float
        Nonspecific over total without competitor, of the median and of the worst
        radioligand concentration.
    window : float
        Specific over nonspecific, of the median radioligand concentration.
    replicate_cv : float, percent
        Pooled coefficient of variation of totals that are alike.
    counting_cv : float, percent
        Median of counting error over bound, of totals without competitor.
    fraction_bound : float
        Largest mean share of the added radioligand that is bound.
    recovery : float
        Counted over nominal radioligand.
    n_negative : int
        Totals that lie below the mean nonspecific: kept.
    flags : tuple of str
    """

    n_total: int
    n_nonspecific: int
    n_excluded: int
    nonspecific_fraction: float
    nonspecific_fraction_worst: float
    window: float
    replicate_cv: float
    counting_cv: float
    fraction_bound: float
    recovery: float
    n_negative: int
    flags: tuple[str, ...] = ()


def binding_quality(experiment: BindingExperiment) -> BindingQuality:
    """Quality of one experiment, of the tubes that take part.

    Examples
    --------
    >>> one = BindingExperiment.of([5e-9] * 4, [4e-10, 4.2e-10, 1e-10, 1e-10], nonspecific=[0, 0, 1, 1])
    >>> quality = binding_quality(one)
    >>> round(quality.nonspecific_fraction, 2), round(quality.replicate_cv, 1), quality.flags
    (0.24, 3.4, ())
    """
    used, plain = experiment.used, experiment.used & ~experiment.nonspecific
    shares = sorted(below.mean() / total.mean() for _, total, below in _pairs(experiment) if total.mean() > 0)
    share = float(np.median(shares)) if shares else math.nan
    bound = _fraction_bound(experiment)
    alone = plain & (experiment.competitor == 0) & (experiment.bound > 0) & np.isfinite(experiment.bound_sd)
    counting = 100.0 * experiment.bound_sd[alone] / experiment.bound[alone]
    specific = experiment.specific()[plain]
    found = BindingQuality(
        n_total=int(plain.sum()),
        n_nonspecific=int((used & experiment.nonspecific).sum()),
        n_excluded=int((~used).sum()),
        nonspecific_fraction=share,
        nonspecific_fraction_worst=float(shares[-1]) if shares else math.nan,
        window=1.0 / share - 1.0 if shares and share > 0 else math.nan,
        replicate_cv=_replicate_cv(experiment),
        counting_cv=float(np.median(counting)) if counting.size else math.nan,
        fraction_bound=bound,
        recovery=experiment.recovery,
        n_negative=int((specific < 0).sum()),
    )
    return BindingQuality(**{**vars(found), "flags": tuple(_flags(found))})


def _flags(found: BindingQuality) -> Iterator[str]:
    """What deserves a second look, in words."""
    if found.n_nonspecific == 0:
        yield "no nonspecific tubes: the nonspecific binding is a guess of the fit"
    if found.nonspecific_fraction_worst > NONSPECIFIC:
        yield f"nonspecific is up to {100 * found.nonspecific_fraction_worst:.0f} % of total"
    if found.fraction_bound > DEPLETION:
        yield (
            f"{100 * found.fraction_bound:.0f} % of the added radioligand is bound (above {100 * DEPLETION:.0f} %): "
            "fit with depletion"
        )
    if found.replicate_cv > SCATTER:
        yield f"replicates scatter by {found.replicate_cv:.0f} %"
    if found.counting_cv > COUNTING:
        yield f"counting alone gives {found.counting_cv:.0f} % error: count longer"
    if found.recovery < RECOVERY[0] or found.recovery > RECOVERY[1]:
        yield f"{100 * found.recovery:.0f} % of the nominal radioligand was counted as added"


def _pairs(experiment: BindingExperiment) -> Iterator[tuple[str, Array, Array]]:
    """Totals without competitor and the nonspecific of the same radioligand concentration and time."""
    plain = experiment.used & (experiment.competitor == 0)
    times = np.where(np.isnan(experiment.time_s), -1.0, experiment.time_s)
    for level in np.unique(experiment.radioligand[plain]):
        here = plain & (experiment.radioligand == level)
        below = here & experiment.nonspecific
        for time in np.unique(times[here & ~experiment.nonspecific]):
            total = here & ~experiment.nonspecific & (times == time)
            same = below & (times == time)
            chosen = same if same.any() else below
            if chosen.any():
                yield format_concentration(float(level)), experiment.bound[total], experiment.bound[chosen]


def _replicate_cv(experiment: BindingExperiment) -> float:
    """Pooled coefficient of variation of totals that are alike, in percent."""
    plain = experiment.used & ~experiment.nonspecific
    groups: dict[tuple[object, ...], list[float]] = {}
    for i in np.flatnonzero(plain):
        time = float(experiment.time_s[i])
        key = (experiment.radioligand[i], experiment.competitor[i], -1.0 if math.isnan(time) else time)
        groups.setdefault((*key, experiment.wash[i]), []).append(float(experiment.bound[i]))
    squares = freedom = 0.0
    for values in groups.values():
        mean = float(np.mean(values))
        if len(values) > 1 and mean > 0:
            squares += float(np.sum((np.array(values) / mean - 1.0) ** 2))
            freedom += len(values) - 1
    return 100.0 * math.sqrt(squares / freedom) if freedom else math.nan


def _fraction_bound(experiment: BindingExperiment) -> float:
    """Largest mean share of the added radioligand that is bound; NaN where amounts are not known."""
    try:
        share = experiment.fraction_bound()
    except StudyError:
        return math.nan
    plain = experiment.used & ~experiment.nonspecific & (experiment.competitor == 0)
    plain = plain if plain.any() else experiment.used
    levels = np.unique(experiment.radioligand[plain])
    return float(max((share[plain & (experiment.radioligand == level)].mean() for level in levels), default=math.nan))


def check_totals(experiment: BindingExperiment) -> None:
    """Refuse an experiment whose nonspecific is above its total by more than chance explains.

    One-sided t-test (of the counting error where there are no replicates) at 0.001 over
    the number of comparisons. Less than that is a note, and the values are kept.

    Raises
    ------
    TableError
        If so: the roles are then likely to be swapped.
    """
    from scipy import stats

    pairs = list(_pairs(experiment))
    for level, total, below in pairs:
        excess = float(below.mean() - total.mean())
        freedom = total.size + below.size - 2
        if freedom > 0:
            squares = float(((total - total.mean()) ** 2).sum() + ((below - below.mean()) ** 2).sum())
            error = math.sqrt(squares / freedom * (1 / total.size + 1 / below.size))
            limit = float(stats.t.isf(_SURELY / len(pairs), freedom)) * error
        else:
            error = float(np.nanmax(np.where(np.isfinite(experiment.bound_sd), experiment.bound_sd, 0.0)))
            limit = float(stats.norm.isf(_SURELY / len(pairs))) * math.sqrt(2) * error
        if excess > max(limit, 0.0) and excess > 0:
            raise TableError(
                f"{experiment.label}, radioligand {level}: nonspecific is above total. Expected nonspecific ≤ total "
                f"but for chance, found {below.mean():.4g} against {total.mean():.4g} {experiment.unit}. Are the roles "
                "of total and nonspecific tubes swapped in the layout?"
            )


def check_amounts(experiment: BindingExperiment) -> None:
    """Refuse an experiment in which more is bound than was added.

    Raises
    ------
    TableError
        If so in more than half of the tubes, which only a mistake of units explains.
    """
    try:
        share = experiment.fraction_bound()[experiment.used]
    except StudyError:
        return
    if share.size and float(np.median(share)) > 1.0:
        raise TableError(
            f"{experiment.label}: more is bound than was added. Expected bound ≤ added, found bound at "
            f"{float(np.median(share)):.3g} times the added radioligand (median). Check the units of specific "
            "activity, volume and radioligand concentration, and the efficiency."
        )
