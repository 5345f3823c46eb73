"""What is pipetted for one day: compound, controls, dye, buffer.

The compound is diluted in pure solvent first, and each step then goes into HBSS, as in `halfmax.plan.dilution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from halfmax import units
from halfmax.plan.dilution import Recipe, Transfer, diluted, rounded, up, vehicle_tube
from halfmax.plan.imaging.design import ImagingDesign
from halfmax.plan.imaging.dishes import PlannedDish, dishes_of

__all__ = ["Solutions", "solutions_of"]

#: Washes of a dish after loading, and volume of each, mL.
WASHES, WASH_ML = 3, 2.0


@dataclass(frozen=True)
class Solutions:
    """Amounts for one day, with excess.

    Parameters
    ----------
    tubes : tuple of Transfer
        The series ``S``, the working solutions ``W``, the vehicle ``WV``.
    reference : Transfer or None
        The tube ``R``.
    per_dish : dict of str to float, mL
        What one dish takes of each tube, at most.
    loading : float, mL
    dye : float, µL
        Of the dye's stock; of Pluronic F-127, 20 % in DMSO, as much.
    dye_mass : float, µg
    buffer : float, mL
        HBSS for washes, rest, perfusion and solutions.
    calibration : float, mL
        Of each of the two calibration solutions.
    """

    tubes: tuple[Transfer, ...]
    reference: Transfer | None
    per_dish: dict[str, float]
    loading: float
    dye: float
    dye_mass: float
    buffer: float
    calibration: float


def solutions_of(design: ImagingDesign) -> Solutions:
    """Amounts for one day of a design.

    Raises
    ------
    RangeError
        If the stock would have to be pipetted in less than the smallest volume.

    Examples
    --------
    >>> made = solutions_of(ImagingDesign("CM572", "MCF-7", ("1 µM", "10 µM")))
    >>> [(tube.tube, tube.source, tube.source_volume) for tube in made.tubes if tube.step == "series"]
    [('S1', 'stock', 16.0), ('S2', 'S1', 10.0)]
    >>> f"{made.loading:.1f} mL with {made.dye:.1f} µL of dye, {made.dye_mass:.0f} µg"
    '9.2 mL with 18.4 µL of dye, 18 µg'
    """
    dishes = [dish for dish in dishes_of(design) if dish.day == 1]
    more, smallest = 1 + design.bench.excess, 1e6 * units.volume(design.bench.smallest_volume)
    taken = [_taken(design, dish) for dish in dishes]
    needed = {tube: more * sum(one.get(tube, 0.0) for one in taken) for one in taken for tube in one}
    per_dish = {tube: max(one.get(tube, 0.0) for one in taken) for tube in needed}
    share = max(up(1000 * needed["W1"] * design.solvent_fraction * design.bench.fold), smallest)
    recipe = Recipe(
        design.doses, units.concentration(design.bench.stock), design.bench.solvent, "HBSS", design.solvent_fraction,
        design.bench.fold, share, smallest,
    )  # fmt: skip
    tubes = diluted(recipe)
    if "WV" in needed:
        tubes = (*tubes, vehicle_tube(recipe, 1000 * needed["WV"]))
    reference = _reference(design, 1000 * needed["R"], smallest) if "R" in needed else None
    loading = more * len(dishes) * 1000 * units.volume(design.bench.loading_volume)
    dye = 1000 * loading * units.concentration(design.bench.dye_final) / units.concentration(design.bench.dye_stock)
    mass = dye * units.concentration(design.bench.dye_stock) * design.dye_facts.molar_mass
    made = sum(tube.diluent_volume for tube in tubes if tube.step == "working") / 1000
    made += reference.diluent_volume / 1000 if reference else 0.0
    bath = 1000 * units.volume(design.bench.bath)
    buffer = more * (len(dishes) * (WASHES * WASH_ML + bath) + sum(_flushed(design, dish) for dish in dishes))
    calibration = max(needed.get("Z", 0.0), needed.get("F", 0.0))
    return Solutions(tubes, reference, per_dish, loading, dye, mass, loading + made + buffer, calibration)


def _taken(design: ImagingDesign, dish: PlannedDish) -> dict[str, float]:
    """What a dish takes of each tube, mL."""
    bench, bath, volumes = design.bench, 1000 * units.volume(design.bench.bath), {}
    ends = [*(one.start_s for one in dish.additions[1:]), dish.record_s]
    for addition, end in zip(dish.additions, ends, strict=True):
        if bench.delivery == "perfusion":
            lasts = end - addition.start_s + design.timing.seconds("dead_time")
            volumes[addition.solution] = bench.flow_ml_s * lasts
        elif dish.kind == "calibration":
            volumes[addition.solution] = 2 * bath
        else:
            volumes[addition.solution] = bath / (bench.fold - 1)
            bath += volumes[addition.solution]
    return volumes


def _flushed(design: ImagingDesign, dish: PlannedDish) -> float:
    """HBSS through a dish before its first addition, mL."""
    return design.bench.flow_ml_s * dish.additions[0].start_s if design.bench.delivery == "perfusion" else 0.0


def _reference(design: ImagingDesign, total: float, smallest: float) -> Transfer:
    """The reference agonist, from its stock straight into HBSS."""
    final, stock = (
        units.concentration(text) for text in (design.controls.reference_concentration, design.controls.reference_stock)
    )
    share = max(up(total * final * design.bench.fold / stock), smallest)
    strong = final * design.bench.fold
    diluent = rounded(share * (stock / strong - 1))
    achieved = stock * share / (share + max(diluent, 0.0))
    return Transfer(
        "working", "R", f"{design.controls.reference} stock", share, "HBSS", diluent, strong, achieved, final
    )


def prepared_ml(volume: float) -> float:
    """A volume to prepare, mL, rounded up to two digits."""
    step = 10.0 ** (math.floor(math.log10(volume)) - 1)
    return math.ceil(volume / step - 1e-9) * step
