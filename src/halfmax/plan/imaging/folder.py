"""A calcium plan as a folder: sheet, tables of stimuli, amounts, precision, and the study that reads the recordings."""

from __future__ import annotations

import math
from pathlib import Path

from halfmax.output import csv_text, write_texts
from halfmax.plan.imaging.design import ImagingDesign
from halfmax.plan.imaging.dishes import PlannedDish, dishes_of
from halfmax.plan.imaging.precision import Expected
from halfmax.plan.imaging.protocol import imaging_html, schedule
from halfmax.plan.imaging.solutions import solutions_of
from halfmax.readers.layout import toml_value

__all__ = ["imaging_toml", "write_imaging"]


def write_imaging(design: ImagingDesign, folder: str | Path, expected: Expected | None = None) -> Path:
    """Write a calcium plan into a new folder.

    The folder then holds ``protocol.html`` (for the bench), ``order.csv``, ``solutions.csv``,
    ``precision.csv``, ``study.toml``, ``stimuli/`` (a table a dish) and ``recordings/``, where the
    recordings go.

    Raises
    ------
    FileError
        If something is there already, or the folder cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     folder = write_imaging(ImagingDesign("CM572", "MCF-7"), Path(place, "plan"))
    ...     sorted(path.name for path in folder.iterdir())
    ['order.csv', 'precision.csv', 'protocol.html', 'recordings', 'solutions.csv', 'stimuli', 'study.toml']
    """
    return write_texts(Path(folder), _texts(design, expected or Expected()))


def _texts(design: ImagingDesign, expected: Expected) -> dict[str, str]:
    """Contents of the files, by name."""
    dishes = dishes_of(design)
    table = expected.table(design).round(4)
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    return {
        "protocol.html": imaging_html(design, expected),
        "study.toml": imaging_toml(design),
        "order.csv": _BOM + csv_text(_order(design, dishes)),
        "solutions.csv": _BOM + csv_text(_solutions(design)),
        "precision.csv": csv_text({str(key): value for key, value in row.items()} for row in records),
        "recordings/README.txt": "Put the recordings here, under the names that study.toml gives.\n",
    } | {f"stimuli/{dish.name}.csv": _BOM + csv_text(_stimuli(design, dish)) for dish in dishes}


#: Tells a spreadsheet that µ is one letter.
_BOM = "\ufeff"


def _stimuli(design: ImagingDesign, dish: PlannedDish) -> list[dict[str, object]]:
    """The table of stimuli of a dish; times in s from the first frame, dead time apart."""
    return [
        {
            "name": one.name,
            "role": one.role,
            "concentration": float(f"{one.concentration * 1e6:.6g}") if one.concentration > 0 else None,
            "unit": "µM" if one.concentration > 0 else None,
            "start": one.start_s,
            "end": one.end_s if math.isfinite(one.end_s) else None,
            "dead time": design.timing.seconds("dead_time"),
        }
        for one in dish.additions
    ]


def _order(design: ImagingDesign, dishes: tuple[PlannedDish, ...]) -> list[dict[str, object]]:
    when = schedule(design, dishes)
    return [
        {
            "day": dish.day,
            "dish": dish.name,
            "kind": dish.kind,
            "tubes": " ".join(one.solution for one in dish.additions),
            "at the cells": dish.content,
            "dye on (min)": round(when[dish.name][0] / 60, 1),
            "dye off (min)": round(when[dish.name][1] / 60, 1),
            "record (min)": round(when[dish.name][2] / 60, 1),
            "recording (s)": dish.record_s,
        }
        for dish in dishes
    ]


def _solutions(design: ImagingDesign) -> list[dict[str, object]]:
    """Tubes of one day."""
    made = solutions_of(design)
    tubes = [*made.tubes, *([made.reference] if made.reference else [])]
    return [
        {
            "tube": tube.tube,
            "concentration (µM)": float(f"{tube.concentration * 1e6:.4g}"),
            "from": tube.source,
            "volume from (µL)": tube.source_volume,
            "diluent": tube.diluent,
            "volume of diluent (µL)": tube.diluent_volume,
            "at the cells (µM)": float(f"{tube.dose * 1e6:.4g}"),
            "a dish takes (mL)": round(made.per_dish[tube.tube], 3) if tube.tube in made.per_dish else None,
            "error (%)": round(100 * tube.error, 2) + 0.0,
        }
        for tube in tubes
    ]


def imaging_toml(design: ImagingDesign) -> str:
    """The study document that analyses the planned dishes, once their recordings are in ``recordings/``.

    Examples
    --------
    >>> from halfmax.plan.imaging import Controls
    >>> design = ImagingDesign("CM572", "MCF-7", ("10 µM",), dye="fluo8", dishes=1, days=1,
    ...     controls=Controls(vehicle=0, reference_dishes=0))
    >>> print(imaging_toml(design))
    [study]
    title = "Calcium (Fluo-8) in MCF-7 under CM572"
    <BLANKLINE>
    [calcium]
    baseline = "60 s"
    response = "60 s"
    settle = "0 s"
    <BLANKLINE>
    [[movie]]
    file = "recordings/1-01.ome.tif"
    stimuli = "stimuli/1-01.csv"
    cell_line = "MCF-7"
    dish = "1-01"
    experiment = "1"
    <BLANKLINE>
    """
    dishes = dishes_of(design)
    calibration = [dish.name for dish in dishes if dish.kind == "calibration"]
    parts = [f"[study]\ntitle = {toml_value('title', design.title)}\n", _section(design, calibration)]
    channels = ", ".join(f'"{wavelength}"' for wavelength in design.dye_facts.excitation)
    named = f"channels = [{channels}]\n" if design.dye_facts.ratiometric else ""
    for dish in dishes:
        if dish.kind != "calibration":
            parts.append(
                f'[[movie]]\nfile = "recordings/{dish.name}.ome.tif"\nstimuli = "stimuli/{dish.name}.csv"\n{named}'
                f"cell_line = {toml_value('cell_line', design.cell_line)}\n"
                f'dish = "{dish.name}"\nexperiment = "{dish.day}"\n'
            )
    return "\n".join(parts)


def _section(design: ImagingDesign, calibration: list[str]) -> str:
    timing = design.timing
    lines = ["[calcium]", *(f'{key} = "{_time(timing.seconds(key))}"' for key in ("baseline", "response", "settle"))]
    if calibration and design.dye_facts.ratiometric:
        lines += [
            f"# For [Ca²⁺]: ratios and light of the calibration dishes ({', '.join(calibration)}).",
            "# rmin = ",
            "# rmax = ",
            "# beta = ",
            '# kd = "224 nM"',
        ]
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds:g} s"
