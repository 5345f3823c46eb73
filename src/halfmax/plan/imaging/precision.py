"""How many dishes and days: expected intervals and power from how much days, dishes and cells differ.

The day is the sample, as in the analysis: its value is the logarithm (base 10) of an EC50, or of the ratio of two
groups read on the same day.  All SDs of days, half widths and effects here are therefore in decades; 0.3 is a factor
of 2.  SDs of dishes and cells are relative to the full response.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import RangeError
from halfmax.plan.imaging.design import ImagingDesign

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Expected", "Scatter", "days_for_power", "days_needed", "ec50_sd", "half_width", "power", "precision_table",
    "ratio_sd",
]  # fmt: skip

#: Concentrations above 0 below which a curve of four parameters is not asked for.
LEAST_DOSES = 4
#: Error of one day's log10 EC50 above which the linear approximation flatters.
LARGE = 0.2


@dataclass(frozen=True)
class Scatter:
    """How much cells, dishes and days differ.

    The defaults are assumptions for a first plan: take your own from the ICC that ``halfmax run`` prints.

    Parameters
    ----------
    cell : float
        SD of the cells of a dish, relative to the full response.
    icc : float
        Correlation of two cells of a dish; dishes then have the SD ``cell √(icc / (1 − icc))``.
    day : float, decades
        SD between days of log10 EC50, or of the log10 of a ratio, that more dishes would not remove.
    """

    cell: float = 0.5
    icc: float = 0.15
    day: float = 0.1

    def __post_init__(self) -> None:
        for name in ("cell", "day"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise RangeError(f"{name} must be an SD ≥ 0, found {value:g}.")
        if not 0 <= self.icc < 1:
            raise RangeError(f"icc must lie from 0 to below 1, found {self.icc:g}.")

    @property
    def dish(self) -> float:
        """SD of dishes, relative to the full response."""
        return self.cell * math.sqrt(self.icc / (1 - self.icc))

    def of_dish(self, cells: int) -> float:
        """SD of the mean of a dish with so many cells, ``√(dish² + cell²/cells)``."""
        return math.sqrt(self.dish**2 + self.cell**2 / cells)


# ── SD of a day ─────────────────────────────────────────────────────────────────────────────────────


def ratio_sd(scatter: Scatter, *, dishes: int, cells: int) -> float:
    """SD of a day's log10 ratio of two groups, `dishes` of each, decades.

    What all dishes of a day share cancels.  To first order::

        SD² = day² + 2 (dish² + cell²/cells) / dishes / ln(10)²

    Examples
    --------
    >>> round(ratio_sd(Scatter(), dishes=2, cells=40), 3)
    0.14
    """
    _counts(dishes=dishes, cells=cells)
    return math.sqrt(scatter.day**2 + 2 * scatter.of_dish(cells) ** 2 / dishes / math.log(10) ** 2)


def ec50_sd(
    scatter: Scatter,
    doses: Sequence[float],
    *,
    dishes: int,
    cells: int,
    vehicle: int = 2,
    ec50: float | None = None,
    hill_slope: float = 1.0,
) -> float:
    """SD of a day's log10 EC50, decades.

    The error of the fit adds to the SD between days.  It is that of least squares with four
    parameters (bottom, top, log10 EC50, slope), linearised at the expected curve, g its gradient::

        SD² = day² + (dish² + cell²/cells) [(Σ n g gᵀ)⁻¹] of log10 EC50

    Above about 0.2 the linear approximation flatters: more doses or dishes are needed then.

    Parameters
    ----------
    scatter : Scatter
    doses : sequence of float, M
    dishes, cells : int
        Dishes of a concentration on a day, cells of a dish.
    vehicle : int
        Vehicle dishes of a day.
    ec50 : float, M, optional
        Expected; the geometric middle of the doses if not given.
    hill_slope : float

    Raises
    ------
    RangeError
        If there are fewer than four concentrations, or they do not tell the four parameters apart.

    Examples
    --------
    >>> round(ec50_sd(Scatter(), [1e-7, 1e-6, 3e-6, 1e-5, 1e-4], dishes=2, cells=40), 2)
    0.33
    """
    _counts(dishes=dishes, cells=cells)
    dose = np.asarray(sorted(doses), dtype=float)
    if dose.size < LEAST_DOSES:
        raise RangeError(f"an EC50 needs at least {LEAST_DOSES} concentrations besides vehicle, found {dose.size}.")
    middle = math.sqrt(dose[0] * dose[-1]) if ec50 is None else ec50
    if not (middle > 0 and hill_slope > 0):
        raise RangeError(f"ec50 and hill_slope must be > 0, found {middle:g} and {hill_slope:g}.")
    gradient = _gradient(dose, middle, hill_slope)
    number = np.full(dose.size + 1, float(dishes))
    number[0] = vehicle
    information = (gradient.T * number) @ gradient
    if np.linalg.cond(information) > 1e12:
        raise RangeError(
            "these concentrations do not tell bottom, top, EC50 and slope apart. Spread them round the expected EC50 "
            f"of {middle:g} M, and plan vehicle dishes."
        )
    fitted = scatter.of_dish(cells) ** 2 * float(np.linalg.inv(information)[2, 2])
    return math.sqrt(scatter.day**2 + fitted)


def _gradient(dose: NDArray[np.float64], ec50: float, hill_slope: float) -> NDArray[np.float64]:
    """Change of a curve from 0 to 1 with bottom, top, log10 EC50 and slope; vehicle first, shape (doses + 1, 4)."""
    log = np.log(dose / ec50)
    occupied = 1 / (1 + np.exp(-hill_slope * log))
    steep = occupied * (1 - occupied)
    above = np.column_stack([1 - occupied, occupied, -math.log(10) * hill_slope * steep, log * steep])
    return np.vstack([[1.0, 0.0, 0.0, 0.0], above])


# ── Days ────────────────────────────────────────────────────────────────────────────────────────────


def half_width(sd: float, days: int, *, level: float = 0.95) -> float:
    """Expected half width of a t interval over days, decades.

    ``t(level, n − 1) c4 SD / √n``; c4 is the expected sample SD over SD: 0.80, 0.89 and 0.94 with 2, 3 and 5 days.

    Examples
    --------
    >>> round(half_width(0.1, 3), 3), round(half_width(0.1, 6), 3)
    (0.22, 0.1)
    """
    from scipy import special, stats

    _sd(sd)
    _counts(days=days)
    if days < 2:
        return math.inf
    freedom = days - 1
    c4 = math.sqrt(2 / freedom) * math.exp(special.gammaln(days / 2) - special.gammaln(freedom / 2))
    return float(stats.t.ppf(0.5 + level / 2, freedom) * c4 * sd / math.sqrt(days))


def days_needed(
    wanted: float, sd: float, *, assurance: float = 0.8, level: float = 0.95, largest: int = 1000
) -> int:  # fmt: skip
    """Days for an interval that is no wider than wanted, with a given chance.

    The smallest n ≥ 2 with::

        P(t(level, n − 1) s / √n ≤ wanted) ≥ assurance,    (n − 1) s² / SD² ~ χ²(n − 1)

    A plan for the expected width alone would miss it in every second study.

    Parameters
    ----------
    wanted : float, decades
        Half width; 0.3 is a factor of 2 to either side.
    sd : float, decades
        Of a day, from `ec50_sd` or `ratio_sd`.
    assurance, level : float
    largest : int
        Where to give up.

    Raises
    ------
    RangeError
        If a number has no meaning, or more than `largest` days are needed.

    Examples
    --------
    >>> days_needed(0.1, 0.1), days_needed(0.1, 0.1, assurance=0.5)
    (8, 6)
    """
    from scipy import stats

    _sd(sd)
    _shares(assurance=assurance, level=level)
    if not (wanted > 0 and math.isfinite(wanted)):
        raise RangeError(f"the wanted half width must be > 0 decades, found {wanted!r}. A factor of 2 is 0.3.")
    for days in range(2, largest + 1):
        allowed = wanted * math.sqrt(days) / float(stats.t.ppf(0.5 + level / 2, days - 1))
        if sd == 0 or stats.chi2.cdf((days - 1) * (allowed / sd) ** 2, days - 1) >= assurance:
            return days
    raise RangeError(
        f"more than {largest} days are needed for ± {wanted:g} decades when they differ by an SD of {sd:g}. "
        "Accept a wider interval, or take more dishes a day."
    )


def power(effect: float, sd: float, days: int, *, level: float = 0.95) -> float:
    """Chance that a paired t over days finds an effect, two-sided at 1 − level.

    From the noncentral t with ``n − 1`` degrees of freedom and ``effect √n / SD``.  0 with one day: no test then.

    Parameters
    ----------
    effect : float, decades
        log10 of the ratio.
    sd : float, decades
        Of a day's log10 ratio.
    days : int
    level : float

    Examples
    --------
    >>> round(power(0.301, 0.14, 3), 2), round(power(0.301, 0.14, 4), 2)
    (0.52, 0.81)
    """
    from scipy import stats

    _sd(sd)
    _counts(days=days)
    _shares(level=level)
    if days < 2:
        return 0.0
    if sd == 0:
        return 1.0 if effect else 1 - level
    critical, shift = float(stats.t.ppf(0.5 + level / 2, days - 1)), abs(effect) * math.sqrt(days) / sd
    found = stats.nct.sf(critical, days - 1, shift) + stats.nct.cdf(-critical, days - 1, shift)
    return float(min(found, 1.0))


def days_for_power(effect: float, sd: float, *, wanted: float = 0.8, level: float = 0.95, largest: int = 1000) -> int:
    """Days for a wanted power.

    Raises
    ------
    RangeError
        If a number has no meaning, or more than `largest` days are needed.

    Examples
    --------
    >>> days_for_power(0.301, 0.14)
    4
    """
    _shares(wanted=wanted)
    for days in range(2, largest + 1):
        if power(effect, sd, days, level=level) >= wanted:
            return days
    raise RangeError(
        f"more than {largest} days are needed to find {effect:g} decades when they differ by an SD of {sd:g}. "
        "Take more dishes a day, or ask for a larger effect."
    )


def precision_table(
    design: ImagingDesign,
    *,
    scatter: Scatter | None = None,
    cells: int = 40,
    effect: float = 2.0,
    days: Sequence[int] = (3, 4, 5, 6, 8),
    dishes: Sequence[int] = (1, 2, 3, 4),
    ec50: float | None = None,
) -> pd.DataFrame:
    """Days × dishes → expected 95 % interval of the EC50 and of a ratio, and power, one row each.

    Parameters
    ----------
    design : ImagingDesign
        Its concentrations and vehicle dishes count; its own days and dishes are among the rows.
    scatter : Scatter, optional
    cells : int
        Of a dish.
    effect : float
        Ratio of two groups that shall be found.
    days, dishes : sequence of int
    ec50 : float, M, optional

    Returns
    -------
    pandas.DataFrame
        ``days``, ``dishes``, ``ec50_sd`` and ``ratio_sd`` (of a day, decades), ``ec50_half_width`` and
        ``ratio_half_width`` (decades), ``ec50_factor`` and ``ratio_factor`` (to either side), ``power``. The columns
        of the EC50 are empty with fewer than four concentrations.

    Examples
    --------
    >>> table = precision_table(ImagingDesign("CM572", "MCF-7"), days=(3, 6), dishes=(2,))
    >>> table[["days", "dishes", "ratio_factor", "power"]].round(2).values.tolist()
    [[3.0, 2.0, 2.03, 0.52], [6.0, 2.0, 1.38, 0.99]]
    """
    import pandas as pd

    spread = scatter or Scatter()
    if not (effect > 0 and effect != 1 and math.isfinite(effect)):
        raise RangeError(f"effect must be a ratio > 0 other than 1, found {effect:g}. Twice as much is 2.")
    rows = []
    for number in sorted({*dishes, design.dishes}):
        ratio = ratio_sd(spread, dishes=number, cells=cells)
        curve = math.nan
        if len(design.doses) >= LEAST_DOSES:
            curve = ec50_sd(
                spread, design.doses, dishes=number, cells=cells, vehicle=design.controls.vehicle, ec50=ec50
            )
        for day in sorted({*days, design.days}):
            wide = [math.nan if math.isnan(sd) else half_width(sd, day) for sd in (curve, ratio)]
            rows.append({
                "days": day, "dishes": number, "ec50_sd": curve, "ec50_half_width": wide[0],
                "ec50_factor": 10 ** min(wide[0], 300), "ratio_sd": ratio, "ratio_half_width": wide[1],
                "ratio_factor": 10 ** min(wide[1], 300), "power": power(math.log10(effect), ratio, day),
            })  # fmt: skip
    return pd.DataFrame(rows).sort_values(["days", "dishes"], ignore_index=True)


@dataclass(frozen=True)
class Expected:
    """What the precision of a plan is computed for.

    Parameters
    ----------
    scatter : Scatter
    cells : int
        In a recording.
    effect : float
        Ratio of two groups that shall be found.
    factor : float
        To either side of the EC50: the half width wanted.
    ec50 : float, M, optional
        Expected; the geometric middle of the concentrations if not given.
    """

    scatter: Scatter = field(default_factory=Scatter)
    cells: int = 40
    effect: float = 2.0
    factor: float = 2.0
    ec50: float | None = None

    def __post_init__(self) -> None:
        if not (self.factor > 1 and math.isfinite(self.factor)):
            raise RangeError(f"the wanted interval must be a factor > 1 to either side, found {self.factor:g}.")

    def table(self, design: ImagingDesign) -> pd.DataFrame:
        """Days × dishes, from `precision_table`."""
        return precision_table(design, scatter=self.scatter, cells=self.cells, effect=self.effect, ec50=self.ec50)

    def of_day(self, design: ImagingDesign) -> tuple[float, float]:
        """SD of a day's log10 EC50 (NaN with too few concentrations) and of its log10 ratio, decades."""
        table = self.table(design)
        mine = table[(table["days"] == design.days) & (table["dishes"] == design.dishes)].iloc[0]
        return float(mine["ec50_sd"]), float(mine["ratio_sd"])

    def fit_error(self, design: ImagingDesign) -> float:
        """Standard error of one day's log10 EC50 from its dishes, decades; 0 where there is no EC50."""
        curve, _ = self.of_day(design)
        return math.sqrt(max(curve**2 - self.scatter.day**2, 0.0)) if math.isfinite(curve) else 0.0

    def sentences(self, design: ImagingDesign) -> tuple[str, ...]:
        """What the plan is expected to tell, and how many days would tell more.

        Examples
        --------
        >>> Expected().sentences(ImagingDesign("CM572", "MCF-7", ("10 µM",)))[0]
        'A ratio of 2 between two groups is found with a chance of 52 % in 3 days; 4 days find it with at least 80 %.'
        """
        curve, ratio = self.of_day(design)
        days = _days(design.days)
        said = []
        if math.isfinite(curve):
            wide = factor_text(10 ** min(half_width(curve, design.days), 300))
            dishes = f"{design.dishes} {'dish' if design.dishes == 1 else 'dishes'}"
            enough = days_needed(math.log10(self.factor), curve)
            said.append(
                f"EC50: a 95 % interval of {wide} is expected from {days} of {dishes}; {_days(enough)} give "
                f"{factor_text(self.factor)} with a chance of 80 %."
            )
        effect = math.log10(self.effect)
        chance, enough = share_text(power(effect, ratio, design.days)), days_for_power(effect, ratio)
        return (
            *said,
            f"A ratio of {self.effect:g} between two groups is found with a chance of {chance} in {days}; "
            f"{_days(enough)} find it with at least 80 %.",
        )


def _days(number: int) -> str:
    return f"{number} {'day' if number == 1 else 'days'}"


def factor_text(value: float) -> str:
    """A factor to either side, as it is printed.

    Examples
    --------
    >>> factor_text(2.04), factor_text(31.7), factor_text(1e9)
    ('×/÷ 2.0', '×/÷ 32', '×/÷ > 100')
    """
    return "×/÷ " + (f"{value:.1f}" if value < 9.95 else f"{value:.0f}" if value < 100 else "> 100")


def share_text(value: float) -> str:
    """A share in percent, as it is printed."""
    return f"{100 * value:.0f} %" if value < 0.995 else "> 99 %"


def _counts(**given: int) -> None:
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise RangeError(f"{name} must be a whole number ≥ 1, found {value!r}.")


def _shares(**given: float) -> None:
    for name, value in given.items():
        if not 0 < value < 1:
            raise RangeError(f"{name} must lie between 0 and 1, found {value!r}.")


def _sd(sd: float) -> None:
    if not (math.isfinite(sd) and sd >= 0):
        raise RangeError(f"the SD of a day must be ≥ 0 decades, found {sd!r}.")
