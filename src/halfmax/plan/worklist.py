"""The transfers of a plan for machines: an Echo pick list in nL, a generic list in µL.

Headers are plain ASCII and carry the unit (``uL``), because robots and
spreadsheets of other countries read these files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halfmax.errors import RangeError
from halfmax.plan.design import Plan, PlannedPlate
from halfmax.plan.dilution import dilutions
from halfmax.wells import PLATE_SHAPES, row_column, well_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["echo_source", "echo_worklist", "manual_worklist"]

#: Droplet of an acoustic dispenser, nL, and the volume taken from one source well of 384 before the next, µL.
DROPLET, USABLE = 2.5, 40.0
_SOURCE_SHAPE = PLATE_SHAPES[384]


# ── Acoustic dispenser ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Shot:
    """One acoustic transfer: a liquid, given by its concentration in M (0 is pure solvent), into a well."""

    plate: PlannedPlate
    well: str
    liquid: float
    volume: float
    dose: float
    achieved: float


def echo_worklist(plan: Plan) -> pd.DataFrame:
    """Pick list for an acoustic dispenser: compound and solvent, straight into the wells.

    Each dose is taken from the weakest of a tenfold series of sources whose
    volume does not exceed the solvent of a well, in droplets of 2.5 nL; pure
    solvent fills up to the same volume in every well but the untreated ones.
    ``Achieved (uM)`` and ``Error (%)`` say what the droplets make of a dose.

    Returns
    -------
    pandas.DataFrame
        One transfer a row, volumes in nL.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> worklist = echo_worklist(plan_viability("MCF-7", "CM572", times="48 h"))
    >>> well = worklist[(worklist["Destination Well"] == "B4") & (worklist["Destination Plate Name"] == "MCF-7_48h_1")]
    >>> well[["Content", "Transfer Volume (nL)"]].values.tolist()
    [['CM572', 315.0], ['DMSO', 685.0]]
    """
    import pandas as pd

    rows = []
    for experiment, shots in _experiments(plan):
        wells = _source_wells(plan, shots)
        for shot, source in zip(shots, wells, strict=True):
            rows.append(_echo_row(plan, experiment, shot, source))
    return pd.DataFrame(rows)


def echo_source(plan: Plan) -> pd.DataFrame:
    """What stands in the source plates of `echo_worklist`, and how much of it is taken.

    Fill each well with what is taken and the dead volume of the source plate.
    """
    import pandas as pd

    rows = []
    for experiment, shots in _experiments(plan):
        taken: dict[str, float] = {}
        holds: dict[str, float] = {}
        for shot, source in zip(shots, _source_wells(plan, shots), strict=True):
            taken[source] = taken.get(source, 0.0) + shot.volume
            holds[source] = shot.liquid
        for well, volume in sorted(taken.items(), key=lambda item: row_column(item[0])):
            row: dict[str, Any] = {"Source Plate Name": f"Source_{experiment}", "Source Well": well}
            row["Content"] = plan.compound if holds[well] else plan.options.solvent
            row["Concentration (uM)"] = float(f"{holds[well] * 1e6:.4g}")
            rows.append({**row, "Volume taken (uL)": round(volume / 1000, 3)})
    return pd.DataFrame(rows)


def _experiments(plan: Plan) -> Iterator[tuple[str, list[_Shot]]]:
    for number in range(1, plan.experiments + 1):
        plates = [plate for plate in plan.plates if plate.experiment == str(number)]
        yield str(number), [shot for plate in plates for shot in _shots(plan, plate)]


def _shots(plan: Plan, plate: PlannedPlate) -> Iterator[_Shot]:
    """Transfers into one plate: the compound, then the solvent that fills up (the backfill)."""
    total = _droplets(plan.solvent_fraction * plan.well_volume * 1000)
    for row in plate.layout.frame.to_dict("records"):
        if row["role"] == "untreated":
            continue
        dose, used = float(row["concentration_M"]), 0.0
        if row["role"] in ("sample", "compound_blank"):
            liquid = _liquid(plan, dose)
            exact = dose * plan.well_volume * 1000 / liquid
            used = min(_droplets(exact), total)
            yield _Shot(plate, row["well"], liquid, used, dose, dose * used / exact)
        if total > used:
            yield _Shot(plate, row["well"], 0.0, total - used, 0.0, 0.0)


def _liquid(plan: Plan, dose: float) -> float:
    """Concentration of the weakest source of the tenfold series that makes a dose within the solvent of a well, M."""
    decades = math.floor(math.log10(plan.doses[-1] / dose) + 1e-9)
    return float(f"{plan.doses[-1] / plan.solvent_fraction / 10**decades:.6g}")


def _droplets(volume: float) -> float:
    """Nearest volume in whole droplets, at least one, nL."""
    return max(round(volume / DROPLET), 1) * DROPLET


def _source_wells(plan: Plan, shots: list[_Shot]) -> list[str]:
    """Source well of each transfer: a liquid begins a row, strongest on top, and moves on when a well is used up."""
    wells: list[str] = [""] * len(shots)
    row = 0
    for liquid in sorted({shot.liquid for shot in shots}, reverse=True):
        column, taken = 0, 0.0
        for index, shot in enumerate(shots):
            if shot.liquid != liquid:
                continue
            if taken + shot.volume > USABLE * 1000:
                column, taken = column + 1, 0.0
            if column == _SOURCE_SHAPE[1]:
                row, column = row + 1, 0
            if row == _SOURCE_SHAPE[0]:
                raise RangeError(
                    f"the sources of one experiment do not fit one plate of 384 wells at {USABLE:g} µL a well. "
                    f"Plan fewer plates at once ({plan.plates_per_experiment} are planned)."
                )
            wells[index] = well_name(row, column)
            taken += shot.volume
        row += 1
    return wells


def _echo_row(plan: Plan, experiment: str, shot: _Shot, source: str) -> dict[str, Any]:
    return {
        "Source Plate Name": f"Source_{experiment}",
        "Source Well": source,
        "Destination Plate Name": shot.plate.name,
        "Destination Well": shot.well,
        "Transfer Volume (nL)": shot.volume,
        "Content": plan.compound if shot.liquid else plan.options.solvent,
        "Source concentration (uM)": float(f"{shot.liquid * 1e6:.4g}"),
        "Dose (uM)": float(f"{shot.dose * 1e6:.4g}"),
        "Achieved (uM)": float(f"{shot.achieved * 1e6:.4g}"),
        "Error (%)": round(100 * (shot.achieved / shot.dose - 1), 2) if shot.dose else 0.0,
    }


# ── Pipetting robot, or a careful hand ──────────────────────────────────────────────────────────────


def manual_worklist(plan: Plan) -> pd.DataFrame:
    """All transfers by pipette, volumes in µL: the series, the dilutions in medium, the plates.

    Vehicle, kill and blank wells are filled with medium that holds the same share
    of solvent (tube ``WV``), untreated wells with plain medium.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> worklist = manual_worklist(plan_viability("MCF-7", "CM572", times="48 h"))
    >>> sorted(set(worklist["Step"]))
    ['1 series', '2 working', '3 plate']
    """
    import pandas as pd

    rows = []
    for number in range(1, plan.experiments + 1):
        for tube in dilutions(plan):
            step = "1 series" if tube.step == "series" else "2 working"
            diluent = (tube.diluent, tube.diluent_volume)
            for source, volume in (diluent, (tube.source, tube.source_volume)):
                if volume > 0:
                    rows.append(_manual_row(number, step, source, tube.tube, "", volume, tube.concentration))
        for plate in plan.plates:
            if plate.experiment == str(number):
                rows += _plate_rows(plan, plate, number)
    return pd.DataFrame(rows)


def _plate_rows(plan: Plan, plate: PlannedPlate, number: int) -> Iterator[dict[str, Any]]:
    tube_of = {tube.dose: tube.tube for tube in dilutions(plan) if tube.step == "working"}
    for row in plate.layout.frame.to_dict("records"):
        dosed = row["role"] in ("sample", "compound_blank")
        dose = float(row["concentration_M"]) if dosed else 0.0
        source = "medium" if row["role"] == "untreated" else tube_of[dose]
        yield _manual_row(number, "3 plate", source, plate.name, row["well"], plan.addition_volume, dose)


def _manual_row(
    number: int, step: str, source: str, destination: str, well: str, volume: float, concentration: float
) -> dict[str, Any]:
    return {
        "Experiment": number,
        "Step": step,
        "Source": source,
        "Destination": destination,
        "Destination Well": well,
        "Volume (uL)": volume,
        "Concentration then (uM)": float(f"{concentration * 1e6:.4g}"),
    }
