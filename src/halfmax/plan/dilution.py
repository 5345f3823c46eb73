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


@dataclass(frozen=True)
class Recipe:
    """What a series and its working solutions follow from.

    Parameters
    ----------
    doses : tuple of float, M
        Final, ascending.
    stock : float, M
        In pure solvent.
    solvent, medium : str
        In which the series is made, and what each of its tubes goes into.
    solvent_fraction : float
        Share of solvent that the cells see.
    fold : float
        How many times stronger than final a working solution is.
    share : float, µL
        Of a series tube, into its working solution.
    smallest : float, µL
        Smallest volume that is pipetted.
    """

    doses: tuple[float, ...]
    stock: float
    solvent: str
    medium: str
    solvent_fraction: float
    fold: float
    share: float
    smallest: float

    @property
    def added(self) -> float:
        """Medium for a share, µL."""
        return rounded(self.share / (self.solvent_fraction * self.fold) - self.share)


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
    recipe = Recipe(
        plan.doses, plan.stock, plan.options.solvent, "medium", plan.solvent_fraction, plan.addition_fold,
        working_share(plan), plan.smallest_volume,
    )  # fmt: skip
    roles = tuple(role for role in WITH_SOLVENT if role not in ("sample", "compound_blank"))
    wells = plan.plates_per_experiment * plan.plates[0].count(*roles)
    return (*diluted(recipe), vehicle_tube(recipe, wells * plan.addition_volume * (1 + plan.options.excess)))


def diluted(recipe: Recipe) -> tuple[Transfer, ...]:
    """The series in solvent, and then its working solutions."""
    carried = _carried_volume(recipe)
    series = [_strongest(recipe, carried)]
    for k, dose in enumerate(reversed(recipe.doses[:-1]), start=2):
        before = series[-1]
        added = rounded(carried * (before.dose / dose - 1))
        achieved = before.achieved * carried / (carried + added)
        wanted = dose / recipe.solvent_fraction
        series.append(Transfer("series", f"S{k}", before.tube, carried, recipe.solvent, added, wanted, achieved, dose))
    working = []
    for k, tube in enumerate(series, start=1):
        achieved = tube.achieved * recipe.share / (recipe.share + recipe.added)
        wanted = tube.dose * recipe.fold
        working.append(
            Transfer(
                "working", f"W{k}", tube.tube, recipe.share, recipe.medium, recipe.added, wanted, achieved, tube.dose
            )
        )
    return (*series, *working)


def vehicle_tube(recipe: Recipe, total: float) -> Transfer:
    """At least a volume (µL) of medium with the solvent of a working solution and no compound."""
    share = max(up(total * recipe.solvent_fraction * recipe.fold), recipe.smallest)
    added = rounded(share / (recipe.solvent_fraction * recipe.fold) - share)
    return Transfer("working", "WV", recipe.solvent, share, recipe.medium, added, 0.0, 0.0, 0.0)


def wells_of_a_dose(plan: Plan) -> int:
    """Wells that receive one dose, on all plates of one experiment."""
    return plan.plates_per_experiment * (plan.replicates + plan.options.compound_blank)


def working_share(plan: Plan) -> float:
    """Volume of each series tube that goes into medium, µL: enough for all wells with excess."""
    needed = wells_of_a_dose(plan) * plan.addition_volume * (1 + plan.options.excess)
    return max(up(needed * plan.solvent_fraction * plan.addition_fold), plan.smallest_volume)


def _carried_volume(recipe: Recipe) -> float:
    """Volume carried from tube to tube: what stays behind must go into medium with a tenth to spare.

    Five times the smallest volume, where less would do, keeps the series accurate for a few µL of stock.
    """
    if len(recipe.doses) == 1:
        return 0.0
    ratio = min(high / low for low, high in itertools.pairwise(recipe.doses))
    return max(up(1.1 * recipe.share / (ratio - 1)), 5 * recipe.smallest)


def _strongest(recipe: Recipe, carried: float) -> Transfer:
    """The first tube: the stock itself, or the stock diluted."""
    dose, wanted = recipe.doses[-1], recipe.doses[-1] / recipe.solvent_fraction
    total = up(carried + 1.1 * recipe.share)
    stock = total * wanted / recipe.stock
    if stock >= total * (1 - 1e-9):
        return Transfer("series", "S1", "stock", total, recipe.solvent, 0.0, wanted, recipe.stock, dose)
    if stock < recipe.smallest:
        total = recipe.smallest * recipe.stock / wanted
        stock = recipe.smallest
    if total > 2000:
        raise RangeError(
            f"the stock of {recipe.stock * 1e3:g} mM is too strong to be diluted in one step "
            f"({stock:g} µL in {total / 1000:.1f} mL). Dilute it to {10 * wanted * 1e3:.3g} mM, and plan with that."
        )
    stock = rounded(stock)
    added = rounded(total - stock)
    achieved = recipe.stock * stock / (stock + added)
    return Transfer("series", "S1", "stock", stock, recipe.solvent, added, wanted, achieved, dose)


def up(volume: float) -> float:
    """Next volume to which a pipette is set without looking twice, µL."""
    return math.ceil(volume / _STEP - 1e-9) * _STEP


def rounded(volume: float) -> float:
    """Nearest volume to which a pipette can be set, µL."""
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
