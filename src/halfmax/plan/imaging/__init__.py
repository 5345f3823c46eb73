"""A planned calcium experiment: dishes in days, one concentration a dish.

===========  ======================================================================
`design`     what is asked: dye, concentrations, dishes, days, controls, times
`dishes`     the dishes of each day in their order, and what is added to each when
`solutions`  dye, compound, controls: what is pipetted, for one day
`precision`  how many dishes and days a wanted precision or power needs
`protocol`   the sheet for the bench
`picture`    its pictures
`folder`     all of it as files, with the study document that reads the recordings
===========  ======================================================================
"""

from __future__ import annotations

from halfmax.plan.imaging.design import DYES, Bench, Controls, Dye, ImagingDesign, Timing
from halfmax.plan.imaging.dishes import PlannedAddition, PlannedDish, dishes_of, quiet_s
from halfmax.plan.imaging.folder import imaging_toml, write_imaging
from halfmax.plan.imaging.precision import (
    Expected,
    Scatter,
    days_for_power,
    days_needed,
    ec50_sd,
    half_width,
    power,
    precision_table,
    ratio_sd,
)
from halfmax.plan.imaging.protocol import imaging_html
from halfmax.plan.imaging.solutions import Solutions, solutions_of

__all__ = [
    "DYES",
    "Bench",
    "Controls",
    "Dye",
    "Expected",
    "ImagingDesign",
    "PlannedAddition",
    "PlannedDish",
    "Scatter",
    "Solutions",
    "Timing",
    "days_for_power",
    "days_needed",
    "dishes_of",
    "ec50_sd",
    "half_width",
    "imaging_html",
    "imaging_toml",
    "power",
    "precision_table",
    "quiet_s",
    "ratio_sd",
    "solutions_of",
    "write_imaging",
]
