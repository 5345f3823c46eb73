"""How the doses of a plan are made: a series in pure solvent, then each step into medium.

Diluting serially in solvent and only then into medium keeps the share of solvent
the same at every dose and the compound in solution.  All volumes are for one
experiment: every plate that is treated on the same day is served from one set.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halfmax.errors import RangeError
from halfmax.plan.design import WITH_SOLVENT, Plan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Transfer", "dilution_table", "dilutions"]

#: A pipette is set to half a µL where the volume is free, to a tenth where it must fit a ratio.
_STEP, _RESOLUTION = 0.5, 0.1


@dataclass(frozen=True)
class Transfer:
    """One tube: what goes into it, and what it then holds.

    Parameters
    ----------
    step : str
        ``"series"`` (in pure solvent) or ``"working"`` (in medium).
    tube : str
        Its label: ``S1`` is the strongest of the series, ``W1`` its dilution in medium,
        ``WV`` medium with the solvent only.
    source, diluent : str
        Where the compound comes from; what it is diluted with.
    source_volume, diluent_volume : float, µL
        Volumes, as set on the pipette.
    concentration, achieved : float, M
        Intended, and made with volumes that a pipette can be set to.
    dose : float, M
        Dose that this tube ends as in the well.
    """

    step: str
    tube: str
    source: str
    source_volume: float
    diluent: str
    diluent_volume: float
    concentration: float
    achieved: float
    dose: float

    @property
    def total_volume(self) -> float:
        """Volume in the tube before anything is taken out, µL."""
        return self.source_volume + self.diluent_volume

    @property
    def error(self) -> float:
        """Relative error of the concentration that comes from rounded volumes."""
        return self.achieved / self.concentration - 1 if self.concentration else 0.0


def dilutions(plan: Plan) -> tuple[Transfer, ...]:
    """All tubes of one experiment, in the order in which they are made.

    Raises
    ------
    RangeError
        If the stock would have to be pipetted in less than the smallest volume.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> first, second, *_ = dilutions(plan_viability("MCF-7", "CM572", times="48 h"))
    >>> second.tube, second.source, second.source_volume, second.diluent_volume
    ('S2', 'S1', 10.0, 21.6)
    """
    tubes: list[Transfer] = []
    strongest = plan.doses[-1] / plan.solvent_fraction
    share = working_share(plan)
    carried = _carried_volume(plan, share)
    series = [_strongest(plan, strongest, carried, share)]
    for k, dose in enumerate(reversed(plan.doses[:-1]), start=2):
        before = series[-1]
        ratio = before.dose / dose
        added = _rounded(carried * (ratio - 1))
        achieved = before.achieved * carried / (carried + added)
        source, wanted = before.tube, dose / plan.solvent_fraction
        series.append(Transfer("series", f"S{k}", source, carried, plan.options.solvent, added, wanted, achieved, dose))
    tubes += series
    medium = _rounded(share / (plan.solvent_fraction * plan.addition_fold) - share)
    for k, tube in enumerate(series, start=1):
        achieved = tube.achieved * share / (share + medium)
        wanted = tube.dose * plan.addition_fold
        tubes.append(Transfer("working", f"W{k}", tube.tube, share, "medium", medium, wanted, achieved, tube.dose))
    tubes.append(_vehicle(plan))
    return tuple(tubes)


def wells_of_a_dose(plan: Plan) -> int:
    """Wells that receive one dose, on all plates of one experiment."""
    return plan.plates_per_experiment * (plan.replicates + plan.options.compound_blank)


def working_share(plan: Plan) -> float:
    """Volume of each series tube that goes into medium, µL: enough for all wells with excess."""
    needed = wells_of_a_dose(plan) * plan.addition_volume * (1 + plan.options.excess)
    return max(_up(needed * plan.solvent_fraction * plan.addition_fold), plan.smallest_volume)


def _carried_volume(plan: Plan, share: float) -> float:
    """Volume carried from tube to tube: what stays behind must go into medium with a tenth to spare.

    Five times the smallest volume, where less would do, keeps the series accurate for a few µL of stock.
    """
    ratio = min(high / low for low, high in itertools.pairwise(plan.doses))
    return max(_up(1.1 * share / (ratio - 1)), 5 * plan.smallest_volume)


def _strongest(plan: Plan, wanted: float, carried: float, share: float) -> Transfer:
    """The first tube: the stock itself, or the stock diluted."""
    total = _up(carried + 1.1 * share)
    stock = total * wanted / plan.stock
    if stock >= total * (1 - 1e-9):
        dose = plan.doses[-1]
        return Transfer("series", "S1", "stock", total, plan.options.solvent, 0.0, wanted, plan.stock, dose)
    if stock < plan.smallest_volume:
        total = plan.smallest_volume * plan.stock / wanted
        stock = plan.smallest_volume
    if total > 2000:
        raise RangeError(
            f"the stock of {plan.stock * 1e3:g} mM is too strong to be diluted in one step "
            f"({stock:g} µL in {total / 1000:.1f} mL). Dilute it to {10 * wanted * 1e3:.3g} mM, and plan with that."
        )
    stock = _rounded(stock)
    added = _rounded(total - stock)
    achieved = plan.stock * stock / (stock + added)
    return Transfer("series", "S1", "stock", stock, plan.options.solvent, added, wanted, achieved, plan.doses[-1])


def _vehicle(plan: Plan) -> Transfer:
    """Medium with the solvent of a dosed well and no compound, for all wells that need it."""
    roles = tuple(role for role in WITH_SOLVENT if role not in ("sample", "compound_blank"))
    wells = plan.plates_per_experiment * plan.plates[0].count(*roles)
    total = wells * plan.addition_volume * (1 + plan.options.excess)
    share = max(_up(total * plan.solvent_fraction * plan.addition_fold), plan.smallest_volume)
    medium = _rounded(share / (plan.solvent_fraction * plan.addition_fold) - share)
    return Transfer("working", "WV", plan.options.solvent, share, "medium", medium, 0.0, 0.0, 0.0)


def _up(volume: float) -> float:
    """Next volume to which a pipette is set without looking twice."""
    return math.ceil(volume / _STEP - 1e-9) * _STEP


def _rounded(volume: float) -> float:
    return round(round(volume / _RESOLUTION) * _RESOLUTION, 1)


def dilution_table(plan: Plan) -> pd.DataFrame:
    """The dilutions as a table, units in the headers.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> table = dilution_table(plan_viability("MCF-7", "CM572", times="48 h"))
    >>> list(table["Tube"])[:2], float(table["Error (%)"].abs().max()) < 2
    (['S1', 'S2'], True)
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "Step": tube.step,
                "Tube": tube.tube,
                "Concentration (µM)": float(f"{tube.concentration * 1e6:.4g}"),
                "From": tube.source,
                "Volume from (µL)": tube.source_volume,
                "Diluent": tube.diluent,
                "Volume of diluent (µL)": tube.diluent_volume,
                "Total (µL)": round(tube.total_volume, 1),
                "Dose in the well (µM)": float(f"{tube.dose * 1e6:.4g}"),
                "Error (%)": round(100 * tube.error, 2),
            }
            for tube in dilutions(plan)
        ]
    )
