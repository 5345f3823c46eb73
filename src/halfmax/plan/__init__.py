"""Room: an experiment planned so that its analysis is already written down.

=============  =====================================================================
`design`       from a few words to doses and plates
`dilution`     how the doses are made, with volumes a pipette can take
`worklist`     the same as transfers for an acoustic dispenser or a pipetting robot
`protocol`     the same as a sheet for the bench
`folder`       all of it as files, with the study document that reads them
`precision`    how many experiments a wanted precision needs
`imaging`      the same for recordings of calcium: dishes, days, stimuli, sheet
=============  =====================================================================
"""

from __future__ import annotations

from halfmax.plan.design import Plan, PlannedPlate, ViabilityOptions, plan_viability
from halfmax.plan.dilution import Transfer, dilution_table, dilutions
from halfmax.plan.folder import study_toml, write
from halfmax.plan.precision import replicates_for
from halfmax.plan.protocol import protocol_html
from halfmax.plan.worklist import echo_source, echo_worklist, manual_worklist

__all__ = [
    "Plan",
    "PlannedPlate",
    "Transfer",
    "ViabilityOptions",
    "dilution_table",
    "dilutions",
    "echo_source",
    "echo_worklist",
    "manual_worklist",
    "plan_viability",
    "protocol_html",
    "replicates_for",
    "study_toml",
    "write",
]
