"""A plan as a sheet for the bench: one HTML file that prints on A4 and needs no network."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from halfmax import units
from halfmax.plan.design import WITH_CELLS, WITH_SOLVENT, Plan
from halfmax.plan.dilution import Transfer, dilutions
from halfmax.plan.picture import CONTROLS, common_unit, plate_svg, step_svg, swatch_svg

__all__ = ["protocol_html"]


def protocol_html(plan: Plan) -> str:
    """The protocol sheet of a plan, one HTML document.

    Examples
    --------
    >>> from halfmax.plan import plan_viability
    >>> page = protocol_html(plan_viability("MCF-7", "CM572", times="48 h"))
    >>> page.splitlines()[0], "80,000 cells/mL" in page
    ('<!doctype html>', True)
    """
    return rendered("protocol.html.jinja", _page(plan))


def rendered(template: str, page: dict[str, Any]) -> str:
    """A sheet from its template and the texts that it shows."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    from halfmax import __version__

    room = files("halfmax.plan")
    environment = Environment(
        loader=FunctionLoader(lambda name: room.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["svg"] = Markup
    environment.filters["tied"] = tied
    return environment.get_template(template).render(page | {"version": __version__}).rstrip() + "\n"


def _page(plan: Plan) -> dict[str, Any]:
    """Everything the template shows, already as text."""
    return {
        "plan": plan,
        "heading": f"{plan.compound} on {listed(plan.cell_lines)}",
        "words": f"{plan.compound} on {listed(plan.cell_lines)}".split(" "),
        "facts": _facts(plan),
        "fields": _fields(plan),
        "workflow": _workflow(plan),
        "needs": _needs(plan),
        "days": _days(plan),
        "series": _series_rows(plan),
        "vehicle": _vehicle_text(plan),
        "acoustic": f"With an acoustic dispenser: seed in {shown_volume(plan.well_volume)}, and run worklist_echo.csv "
        "in place of these dilutions.",
        "maps": _maps(plan),
        "legend": _legend(plan),
        "reading": _reading_of_map(plan),
        "plates": _plate_rows(plan),
        "notes": _notes(plan),
        "safety": _safety(plan),
    }


# ── Numbers as a person reads them ──────────────────────────────────────────────────────────────────


def shown_volume(volume: float) -> str:
    """A volume in µL as text, in mL from 1 mL on.

    Examples
    --------
    >>> shown_volume(22.5), shown_volume(9200.0), shown_volume(1234.0)
    ('22.5 µL', '9.2 mL', '1.23 mL')
    """
    return f"{round(volume, 1):g} µL" if volume < 1000 else f"{volume / 1000:.3g} mL"


def prepared(volume: float) -> str:
    """A volume to prepare, rounded up to two digits."""
    step = 10.0 ** (math.floor(math.log10(volume)) - 1)
    return shown_volume(math.ceil(volume / step - 1e-9) * step)


def _number(cells: float) -> str:
    """Cells, rounded up to two digits: ``2.3 million``."""
    step = 10.0 ** (math.floor(math.log10(cells)) - 1)
    rounded = math.ceil(cells / step - 1e-9) * step
    return f"{rounded / 1e6:.2g} million" if rounded >= 1e6 else f"{rounded:,.0f}"


def tied(text: str) -> str:
    """Text whose numbers do not part from their units at the end of a line."""
    text = re.sub(r"(?<=\d)–(?=\d)", "–\u2060", text)
    return re.sub(r"(?<=\d) (?=(?:[^\W\d]{1,2}|min)\b|[%°×])", "\u00a0", text)


def listed(names: tuple[str, ...] | list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _dose(dose: float) -> str:
    return units.format_concentration(dose, digits=3)


def _times(plan: Plan) -> str:
    return listed([units.format_duration(time) for time in plan.times])


# ── Parts of the sheet ──────────────────────────────────────────────────────────────────────────────


def _facts(plan: Plan) -> list[tuple[str, str]]:
    return [
        ("Doses", f"{len(plan.doses)}, from {_dose(plan.doses[0])} to {_dose(plan.doses[-1])}"),
        ("Treatment", _times(plan)),
        ("Wells a dose", f"{plan.replicates} on each plate"),
        ("Experiments", f"{plan.experiments} independent"),
        ("Plates", f"{len(plan.plates)} of {plan.options.wells} wells, {plan.plates_per_experiment} an experiment"),
        (plan.options.solvent, f"{100 * plan.solvent_fraction:.2g} % in every well but U"),
    ]


def _fields(plan: Plan) -> list[str]:
    lines = [f"{line}: passage, lot" for line in plan.cell_lines]
    return ["Experiment no.", "Date", "Initials", *lines, f"{plan.compound}: lot", "MTT: lot", "Medium, serum: lot"]


@dataclass(frozen=True)
class _Step:
    picture: str
    title: str
    text: str


def _workflow(plan: Plan) -> list[_Step]:
    """The six pictures, with the numbers of this plan."""
    options = plan.options
    texts = [
        ("seed", "Seed", f"{plan.cells_per_well:,} cells in {shown_volume(plan.cell_volume)}"),
        ("adhere", "Adhere", "overnight, 37 °C, 5 % CO₂"),
        ("treat", "Treat", f"{_dose(plan.doses[0])} to {_dose(plan.doses[-1])}, {_times(plan)}"),
        ("stain", "MTT", "0.5 mg/mL, 3–4 h at 37 °C"),
        ("dissolve", "Dissolve", f"medium off, {shown_volume(plan.solubiliser_volume)} {options.solubiliser}"),
        ("read", "Read", f"{options.signal} nm, reference {options.background} nm"),
    ]
    return [_Step(step_svg(step, f"{title}: {text}"), title, text) for step, title, text in texts]


def _needs(plan: Plan) -> list[tuple[str, str, str]]:
    """What one experiment uses: name, amount, how it comes about."""
    tubes, first = dilutions(plan), plan.plates[0]
    more, plates = 1 + plan.options.excess, plan.plates_per_experiment
    seeded = first.count(*WITH_CELLS) * len(plan.times) * more
    stained = len(first.layout.frame) * plates * more
    solvent = sum(t.diluent_volume for t in tubes if t.diluent == plan.options.solvent) + tubes[-1].source_volume
    working = sum(tube.diluent_volume for tube in tubes if tube.step == "working")
    mtt = stained * plan.mtt_volume
    density = f"{plan.cells_per_well / plan.cell_volume * 1000:,.0f} cells/mL"
    needs = [
        (f"{line} cells", _number(seeded * plan.cells_per_well), f"{prepared(seeded * plan.cell_volume)} at {density}")
        for line in plan.cell_lines
    ]
    strength = units.format_concentration(plan.stock, digits=3)
    taken = sum(tube.source_volume for tube in tubes if tube.source == "stock")
    return [
        *needs,
        (f"{plan.compound} stock", shown_volume(taken), f"{strength} in {plan.options.solvent}"),
        (plan.options.solvent, prepared(solvent), "for the series and the vehicle"),
        ("Medium", prepared(working), "for the working solutions"),
        ("MTT", prepared(mtt), f"5 mg/mL in PBS, sterile-filtered, dark ({5 * mtt / 1000:.2g} mg)"),
        (plan.options.solubiliser, prepared(stained * plan.solubiliser_volume), "to dissolve the formazan"),
    ]


def _days(plan: Plan) -> list[tuple[str, str, list[str]]]:
    """Steps to tick, by day."""
    days = list(dict.fromkeys(f"{1 + int(time // 86400)}" for time in plan.times))
    return [
        ("Day 0", "Seed", _seeding(plan)),
        ("Day 1", "Treat", _treating(plan)),
        (f"{'Day' if len(days) == 1 else 'Days'} {listed(days)}", "Stain and read", _reading(plan)),
    ]


def _seeding(plan: Plan) -> list[str]:
    density = f"{plan.cells_per_well / plan.cell_volume * 1000:,.0f} cells/mL"
    seeded = plan.plates[0].count(*WITH_CELLS) * (1 + plan.options.excess)
    empty = shown_volume(plan.cell_volume)
    return [
        f"Harvest cells in exponential growth, count them, note viability. Dilute each line to {density}; "
        f"a plate takes {prepared(seeded * plan.cell_volume)}.",
        f"Pipette {empty} of suspension ({plan.cells_per_well:,} cells) into every well with cells: doses, V, K, U.",
        f"Pipette {empty} of medium without cells into B and the rings.",
        f"Fill every unused well (grey dot) with {shown_volume(plan.well_volume)} of medium or PBS: less evaporation.",
        "Let the plates stand level for 20 min, then incubate overnight at 37 °C, 5 % CO₂. Check adhesion.",
    ]


def _treating(plan: Plan) -> list[str]:
    solvent, volume = plan.options.solvent, shown_volume(plan.addition_volume)
    fold = f"{plan.addition_fold:.3g}×"
    solvent_controls = listed([CONTROLS[role][0] for role in ("vehicle", "kill", "blank") if role in WITH_SOLVENT])
    return [
        f"Make the series S in {solvent}, then the {fold} working solutions W and WV in medium (table below). "
        "New tip for every tube; mix each before the next. Use W within the hour.",
        f"Add {volume} of each W to the wells of its dose, with and without cells (rings).",
        f"Add {volume} of WV to {solvent_controls}; {volume} of plain medium to U.",
        f"Note the time. Incubate at 37 °C, 5 % CO₂ for {_times(plan)}.",
    ]


def _reading(plan: Plan) -> list[str]:
    options, volume = plan.options, plan.mtt_volume
    final = 5 * volume / (plan.well_volume + volume)
    steps = []
    if options.kill:
        percent = 10 if plan.well_volume / 99 >= plan.smallest_volume else 1
        amount = round(2 * plan.well_volume * 0.1 / (percent - 0.1)) / 2
        how = (
            f"{shown_volume(amount)} of {percent} % {options.kill_agent}"
            if "Triton" in options.kill_agent
            else options.kill_agent
        )
        steps.append(f"Add {how} to K, 15 min before MTT.")
    recipe = "" if options.solubiliser == "DMSO" else " (10 % SDS in 0.01 M HCl)"
    dissolve = (
        "shake 10 min in the dark"
        if options.solubiliser == "DMSO"
        else "leave at 37 °C until all crystals are gone, up to overnight"
    )
    return [
        *steps,
        f"Add {shown_volume(volume)} of MTT (5 mg/mL) to every used well, blanks too: {final:.2g} mg/mL.",
        "Incubate 3–4 h at 37 °C. Look for violet crystals in V under the microscope.",
        f"Take the medium off without touching the crystals. Add {shown_volume(plan.solubiliser_volume)} of "
        f"{options.solubiliser}{recipe}; {dissolve}. No bubbles.",
        f"Read {options.signal} nm and {options.background} nm. Save the export as plates/NAME.txt (names below).",
    ]


def _series_rows(plan: Plan) -> list[dict[str, str]]:
    """One row a dose: its tube in solvent and its tube in medium, strongest first."""
    tubes = dilutions(plan)
    series = [tube for tube in tubes if tube.step == "series"]
    working = {tube.dose: tube for tube in tubes if tube.step == "working"}
    return [_series_row(tube, working[tube.dose]) for tube in series]


def _series_row(series: Transfer, working: Transfer) -> dict[str, str]:
    added = f"{series.diluent_volume:g} µL" if series.diluent_volume else "–"
    return {
        "dose": _dose(series.dose),
        "tube": series.tube,
        "take": f"{shown_volume(series.source_volume)} {series.source}",
        "add": added,
        "gives": _dose(series.concentration),
        "working": working.tube,
        "working_take": f"{shown_volume(working.source_volume)} {series.tube}",
        "working_add": shown_volume(working.diluent_volume),
        "error": f"{round(100 * working.error, 1) + 0.0:+.1f} %".replace("-", "−"),
    }


def _vehicle_text(plan: Plan) -> str:
    vehicle = dilutions(plan)[-1]
    return (
        f"WV: {shown_volume(vehicle.source_volume)} {plan.options.solvent} + {shown_volume(vehicle.diluent_volume)} "
        f"medium, the same {plan.options.solvent} as every W."
    )


def _maps(plan: Plan) -> list[tuple[str, str]]:
    """One picture for all plates, or one for each where they are randomised."""
    if plan.options.randomise:
        return [
            (plate.name, plate_svg(plate.layout, plan.doses, f"Map of plate {plate.name}")) for plate in plan.plates
        ]
    return [("All plates", plate_svg(plan.plates[0].layout, plan.doses, "Map of all plates"))]


def _reading_of_map(plan: Plan) -> str:
    numbers = "Colours are doses" if plan.options.wells > 96 else f"Numbers are {common_unit(plan.doses)[1]}"
    return f"{numbers}, final in the well. Grey dots hold medium only."


def _legend(plan: Plan) -> list[tuple[str, str]]:
    present = set(plan.plates[0].layout.frame["role"])
    legend = [(swatch_svg("sample", dose, plan.doses), _dose(dose)) for dose in plan.doses]
    if "compound_blank" in present:
        legend.append((swatch_svg("compound_blank", plan.doses[-1], plan.doses), "ring: compound, no cells"))
    return legend + [
        (swatch_svg(role, 0.0, plan.doses), text) for role, (_, _, text) in CONTROLS.items() if role in present
    ]


def _plate_rows(plan: Plan) -> list[list[dict[str, str]]]:
    """The plates to tick off, experiment by experiment."""
    rows = [
        {
            "name": plate.name,
            "line": plate.cell_line,
            "time": units.format_duration(plate.time_s),
            "experiment": plate.experiment,
        }
        for plate in plan.plates
    ]
    size = plan.plates_per_experiment
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _notes(plan: Plan) -> list[str]:
    """What the planner should know before starting."""
    notes = []
    if plan.experiments < 3:
        notes.append(
            "Fewer than three independent experiments give no usable interval for EC50 between experiments: "
            "wells of one plate share its history."
        )
    if plan.options.edges == "used":
        notes.append(
            "Edge wells are used: they evaporate faster. Keep the incubator humid and compare edge with centre."
        )
    if not plan.options.kill:
        notes.append("No kill control: the full effect cannot be told from a plateau of survivors.")
    if not plan.options.compound_blank:
        notes.append("No wells with compound but without cells: its colour, or its own reduction of MTT, stays unseen.")
    errors = [abs(tube.error) for tube in dilutions(plan)]
    if max(errors) > 0.05:
        notes.append(f"Rounded volumes shift a dose by up to {max(errors):.0%}. Make larger volumes.")
    return notes


def _safety(plan: Plan) -> list[str]:
    return [
        "MTT irritates and may cause genetic defects: gloves, goggles, weigh it in the hood.",
        f"{plan.options.solvent} carries what it dissolves through the skin; {plan.compound} is of unknown toxicity: "
        "change gloves after a splash.",
        "Collect MTT, formazan, solvent and compound as hazardous liquid waste, not in the sink; "
        "autoclave or disinfect everything that touched cells.",
    ]
