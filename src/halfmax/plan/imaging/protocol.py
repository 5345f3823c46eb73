"""A calcium plan as a sheet for the bench: one HTML file that prints on A4 and needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halfmax import units
from halfmax.plan.dilution import Transfer
from halfmax.plan.imaging.design import ImagingDesign
from halfmax.plan.imaging.dishes import PlannedDish, dishes_of, least_cells, quiet_s
from halfmax.plan.imaging.picture import Span, course_svg, dish_svg
from halfmax.plan.imaging.precision import LARGE, Expected, factor_text, share_text
from halfmax.plan.imaging.solutions import WASH_ML, WASHES, Solutions, prepared_ml, solutions_of
from halfmax.plan.protocol import rendered, shown_volume

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["imaging_html", "schedule"]

#: Minutes from the end of loading to HBSS without dye.
_WASHING_S = 300.0
#: Longest working day that goes unremarked.
_LONG_DAY_S = 9 * 3600.0


def imaging_html(design: ImagingDesign, expected: Expected | None = None) -> str:
    """The protocol sheet of a calcium plan, one HTML document.

    Examples
    --------
    >>> page = imaging_html(ImagingDesign("CM572", "MCF-7"))
    >>> page.splitlines()[0], "340" in page, "Pluronic" in page
    ('<!doctype html>', True, True)
    """
    return rendered("imaging.html.jinja", _page(design, expected or Expected()))


def _page(design: ImagingDesign, expected: Expected) -> dict[str, Any]:
    """Everything the template shows, already as text."""
    made, dishes = solutions_of(design), dishes_of(design)
    heading = f"{design.compound} on {design.cell_line}, {design.dye_facts.name}"
    return {
        "heading": heading,
        "words": heading.split(" "),
        "facts": _facts(design, dishes),
        "fields": _fields(design),
        "workflow": _workflow(design),
        "notes": _notes(design, expected, dishes),
        "course": course_svg(_courses(design, dishes)),
        "keys": _keys(design),
        "why": _why(design),
        "needs": _needs(design, made),
        "excess": design.bench.excess,
        "days": _steps(design, made),
        "solvent": design.bench.solvent,
        "series": [_series_row(tube) for tube in made.tubes if tube.step == "series"],
        "working": _working_rows(made),
        "working_caption": "Solutions, in HBSS" if design.bench.fold == 1 else f"{design.bench.fold:g}× solutions",
        "solvent_words": _solvent_words(design),
        "order": _order(design, dishes),
        "order_words": "Blocks of all concentrations follow each other, each in random order "
        f"(seed {design.seed}). Times count from the first dish (h:mm). File and table carry the name of the dish.",
        **_precision(design, expected),
        "safety": _safety(design),
    }


def _dose(dose: float) -> str:
    return units.format_concentration(dose, digits=3)


def _ml(volume: float) -> str:
    return shown_volume(1000 * volume)


def _said(seconds: float) -> str:
    """A time in words: minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{rest} s" if not minutes else f"{minutes} min" + (f" {rest} s" if rest else "")


def _light(design: ImagingDesign) -> str:
    dye = design.dye_facts
    return f"excitation {'/'.join(map(str, dye.excitation))} nm, emission {dye.emission} nm"


# ── Parts of the sheet ──────────────────────────────────────────────────────────────────────────────


def _facts(design: ImagingDesign, dishes: Sequence[PlannedDish]) -> list[tuple[str, str]]:
    doses, dye = design.doses, design.dye_facts
    several = f"{len(doses)}, from {_dose(doses[0])} to {_dose(doses[-1])}" if len(doses) > 1 else _dose(doses[0])
    longest = max(dish.record_s for dish in dishes if dish.kind != "calibration")
    return [
        ("Concentrations", several),
        ("Dishes", f"{design.dishes} a concentration, {design.dishes_a_day} a day"),
        ("Days", f"{design.days}: the sample"),
        ("Light", _light(design)),
        ("Signal", "ratio 340/380" if dye.ratiometric else "ΔF/F0"),
        ("Recording", f"{_said(longest)}, a frame every {design.timing.interval}"),
    ]


def _fields(design: ImagingDesign) -> list[str]:
    return [
        "Day no.", "Date", "Initials", f"{design.cell_line}: passage, lot", f"{design.compound}: lot",
        f"{design.dye_facts.name} AM: lot", "HBSS: lot, pH", "Temperature at the dish", "Exposure, light, objective",
    ]  # fmt: skip


@dataclass(frozen=True)
class _Step:
    picture: str
    title: str
    text: str


def _workflow(design: ImagingDesign) -> list[_Step]:
    """The six pictures, with the numbers of this plan."""
    timing, added = design.timing, design.bench.delivery == "pipette"
    texts = [
        ("plate", "Plate", f"{design.bench.cells:,} cells on glass"),
        ("load", "Load", f"{design.bench.dye_final} {design.dye_facts.name} AM, {timing.loading} at 37 °C"),
        ("wash", "Wash, rest", f"{WASHES} × HBSS, {timing.rest} in the dark"),
        ("baseline", "Baseline", f"{_said(quiet_s(timing))}, nothing is touched"),
        (
            "pipette" if added else "perfuse",
            "Add" if added else "Perfuse",
            f"{design.compound} or vehicle, {timing.dead_time} to the cells",
        ),
        ("record", "Record", f"go on for {timing.follow} or more"),
    ]
    return [_Step(dish_svg(step, f"{title}: {text}"), title, text) for step, title, text in texts]


def _courses(
    design: ImagingDesign, dishes: Sequence[PlannedDish]
) -> list[tuple[str, list[Span], list[Span], float]]:  # fmt: skip
    """One row for each kind of dish."""
    shown: dict[str, PlannedDish] = {}
    for dish in dishes:
        shown.setdefault("sample" if dish.kind == "vehicle" else dish.kind, dish)
    titles = {"sample": f"{design.compound}\nor vehicle", "reference": design.controls.reference + "\nalone",
              "calibration": "Calibration"}  # fmt: skip
    rows = []
    for kind in (kind for kind in titles if kind in shown):
        dish = shown[kind]
        solutions = [_flow(design, addition) for addition in dish.additions]
        windows = [] if kind == "calibration" else _windows(design, dish)
        rows.append((titles[kind], solutions, windows, dish.record_s))
    return rows


def _flow(design: ImagingDesign, addition: Any) -> Span:
    kind = {"wash": "zero", "reference": "reference"}.get(addition.role, "compound")
    text = {"compound": f"{design.compound} or vehicle", "zero": "no calcium, ionomycin"}.get(kind, addition.text)
    return Span(kind, addition.start_s, addition.end_s, "calcium, ionomycin" if addition.solution == "F" else text)


def _windows(design: ImagingDesign, dish: PlannedDish) -> list[Span]:
    """Baseline, dead time and response of each addition; before the first, windows without a stimulus."""
    timing = design.timing
    baseline, response, settle, dead = (
        timing.seconds(name) for name in ("baseline", "response", "settle", "dead_time")
    )
    spans = []
    first = dish.additions[0].start_s + dead
    for k in range(3, 0, -1):
        spans.append(Span("sham", first - k * response, first - (k - 1) * response, f"sham {4 - k}"))
    for k, addition in enumerate(dish.additions):
        arrives = addition.start_s + dead
        if k:
            spans.append(Span("baseline", arrives - baseline, arrives, "baseline"))
        spans.append(Span("response", arrives + settle, arrives + settle + response, "response"))
    return spans


def _keys(design: ImagingDesign) -> list[tuple[str, str]]:
    timing = design.timing
    return [
        ("#dbe9f4", "HBSS"),
        ("#f0f0ec", f"sham windows; the last {timing.baseline} are the baseline too"),
        ("#cfd6dd", f"baseline, {timing.baseline}"),
        ("#f7c9a3", f"response, {timing.response}"),
    ]


def _why(design: ImagingDesign) -> str:
    timing = design.timing
    hand = "pipette" if design.bench.delivery == "pipette" else "valve"
    return (
        f"The {_said(quiet_s(timing))} before the first addition hold a baseline ({timing.baseline}) and three sham "
        f"windows of {timing.response}: what cells do in these by chance is the threshold for responders. "
        f"A shorter time, or fewer than {least_cells()} cells, and responders are not called. Response windows begin "
        f"{timing.dead_time} after the {hand}, the dead time: measure yours with a drop of dye, and write it into "
        "the tables of stimuli."
    )


def _needs(design: ImagingDesign, made: Solutions) -> list[tuple[str, str, str]]:
    """What one day uses: name, amount, how it comes about."""
    bench, dye = design.bench, design.dye_facts
    number, more = design.dishes_a_day, 1 + bench.excess
    taken = sum(tube.source_volume for tube in made.tubes if tube.source == "stock")
    solvent = sum(tube.diluent_volume for tube in made.tubes if tube.diluent == bench.solvent)
    solvent += sum(tube.source_volume for tube in made.tubes if tube.source == bench.solvent)
    needs = [
        ("Glass-bottom dishes", f"{number}", "35 mm, or coverslips; coated where the line needs it"),
        (f"{design.cell_line} cells", f"{_million(number * more * bench.cells)}", f"{bench.cells:,} a dish in 2 mL"),
        (f"{dye.name} AM", f"{made.dye_mass:.2g} µg", f"{shown_volume(made.dye)} of {bench.dye_stock} in dry DMSO "
         f"(50 µg in {_dissolve(design)})"),
        ("Pluronic F-127, 20 % in DMSO", shown_volume(made.dye), "mixed with the dye first"),
        ("HBSS", _ml(prepared_ml(made.buffer)), "with 1.3 mM Ca²⁺, 20 mM HEPES, pH 7.4, no phenol red"),
        (f"{design.compound} stock", shown_volume(taken), f"{bench.stock} in {bench.solvent}"),
        (bench.solvent, shown_volume(solvent), "for the series and the vehicle"),
    ]  # fmt: skip
    if made.reference:
        needs.append((f"{design.controls.reference} stock", shown_volume(made.reference.source_volume),
                      f"{design.controls.reference_stock}, fresh or thawed once"))  # fmt: skip
    if made.calibration:
        volume = _ml(prepared_ml(made.calibration))
        needs += [
            ("Z, without calcium", volume, "Ca²⁺-free HBSS, 5 mM EGTA, 5 µM ionomycin; pH 7.4 after EGTA"),
            ("F, full calcium", volume, "20 mM HEPES saline without phosphate, 10 mM CaCl₂, 5 µM ionomycin"),
        ]
    return needs


def _dissolve(design: ImagingDesign) -> str:
    """Volume of DMSO for a vial of 50 µg."""
    strength = units.concentration(design.bench.dye_stock)
    return shown_volume(50 / design.dye_facts.molar_mass / strength)


def _million(cells: float) -> str:
    return f"{math.ceil(cells / 1e5 - 1e-9) / 10:g} million"


def _steps(design: ImagingDesign, made: Solutions) -> list[tuple[str, str, list[str]]]:
    return [
        ("1–2 days before", "Plate", _plating(design)),
        ("Day", "Load and wash", _loading(design, made)),
        ("Day", "Record", _recording(design)),
        ("Evening", "Save", _saving(design)),
    ]


def _plating(design: ImagingDesign) -> list[str]:
    return [
        f"Seed {design.bench.cells:,} cells in 2 mL on each of {design.dishes_a_day} glass-bottom dishes, for 50–70 % "
        f"on the day: at least {least_cells()} whole cells in a field, few that touch, and some bare glass.",
        "Grow at 37 °C, 5 % CO₂ for 24–48 h. The same passage and density on all days.",
    ]


def _loading(design: ImagingDesign, made: Solutions) -> list[str]:
    bench, timing = design.bench, design.timing
    return [
        f"Loading solution: mix {shown_volume(made.dye)} of {bench.dye_stock} {design.dye_facts.name} AM with as much "
        f"20 % Pluronic F-127; stir into {_ml(made.loading)} of HBSS: {bench.dye_final}. Keep it dark and cool.",
        "Dish by dish, at the times of the table below: medium off, one rinse with HBSS, then "
        f"{bench.loading_volume} of loading solution, {timing.loading} at 37 °C in the dark.",
        f"Wash {WASHES} times with {WASH_ML:g} mL of HBSS; leave in HBSS for {timing.rest} in the dark, until the "
        "ester is cleaved. Every dish waits equally long.",
        f"Make S, W, WV{' and R' if made.reference else ''} in the meantime (table below).",
    ]


def _recording(design: ImagingDesign) -> list[str]:
    timing, dye = design.timing, design.dye_facts
    start = quiet_s(timing)
    pair = "340 nm first, then 380 nm" if dye.ratiometric else "one exposure a frame"
    flow = f"Start HBSS at {design.bench.flow}. " if design.bench.delivery == "perfusion" else ""
    volume = design.bench.delivery == "pipette"
    how = "pipette the tube of the table gently into the bath" if volume else "turn the valve to the tube of the table"
    exposure = "The brightest pixel stays below 70 % of full scale at rest, in both channels." if dye.ratiometric else (
        "The brightest pixel stays below 25 % of full scale at rest: the light rises several-fold."
    )  # fmt: skip
    steps = [
        f"{_light(design).capitalize()}; {pair}, a frame every {timing.interval}. {exposure} The same on all days.",
        "Ten frames with the shutter closed, once a day: the camera's offset.",
        f"Dish on the stage, 37 °C. {flow}Choose a field by its cells, not by their calcium, with some bare glass.",
        f"Start the recording. {_said(start)}: touch nothing.",
        f"At {_said(start)} {how}. It reaches the cells {timing.dead_time} later.",
    ]
    if design.controls.reference_after:
        after = next(dish for dish in dishes_of(design) if dish.kind == "sample").additions[1].start_s
        final = units.concentration(design.controls.reference_concentration)
        steps.append(
            f"At {_said(after)} the same with R ({_dose(final)} {design.controls.reference}): cells that do not answer "
            "are dead or empty. They stay in the count."
        )
    if design.calibration_dishes:
        steps.append("Last, the calibration dish: Z, then F. Then wash the tubing with 70 % ethanol and water.")
    return [*steps, "A new dish for every concentration; flush the tubing with HBSS between dishes."]


def _saving(design: ImagingDesign) -> list[str]:
    channels = ", channels named 340 and 380" if design.dye_facts.ratiometric else ""
    return [
        f"Save each recording raw, 16 bit, with its times, as OME-TIFF{channels}: recordings/NAME.ome.tif.",
        "Where an addition came early or late, correct its start in stimuli/NAME.csv. Note every dish that was lost.",
    ]


def _series_row(tube: Transfer) -> dict[str, str]:
    return {
        "tube": tube.tube,
        "take": f"{shown_volume(tube.source_volume)} {tube.source}",
        "add": shown_volume(tube.diluent_volume) if tube.diluent_volume else "–",
        "gives": _dose(tube.concentration),
    }


def _working_rows(made: Solutions) -> list[dict[str, str]]:
    tubes = [tube for tube in made.tubes if tube.step == "working"] + ([made.reference] if made.reference else [])
    return [
        {
            "tube": tube.tube,
            "take": f"{shown_volume(tube.source_volume)} {tube.source}",
            "add": shown_volume(tube.diluent_volume),
            "dose": _dose(tube.dose) if tube.dose else "vehicle",
            "dish": _ml(made.per_dish[tube.tube]),
        }
        for tube in tubes
    ]


def _solvent_words(design: ImagingDesign) -> str:
    share = f"{100 * design.solvent_fraction:.2g} % {design.bench.solvent}"
    if design.bench.fold == 1:
        return f"Every W, and WV, holds {share}. R is made from its own stock."
    return (
        f"The cells see {share} with every W and with WV. Tubes are {design.bench.fold:g}× stronger than the bath that "
        f"they go into: {design.bench.bath} the first time."
    )


def schedule(design: ImagingDesign, dishes: Sequence[PlannedDish]) -> dict[str, tuple[float, float, float]]:
    """When each dish gets its dye, loses it, and is recorded: s from the first dish of its day."""
    timing = design.timing
    before = timing.seconds("loading") + _WASHING_S + timing.seconds("rest")
    when, clock, day = {}, 0.0, 0
    for dish in dishes:
        clock = clock if dish.day == day else before
        day = dish.day
        off = clock - timing.seconds("rest") - _WASHING_S
        when[dish.name] = (off - timing.seconds("loading"), off, clock)
        clock += dish.record_s + timing.seconds("between")
    return when


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _order(design: ImagingDesign, dishes: Sequence[PlannedDish]) -> list[tuple[int, list[dict[str, str]]]]:
    when = schedule(design, dishes)
    days: dict[int, list[dict[str, str]]] = {}
    for dish in dishes:
        load, wash, record = (_clock(seconds) for seconds in when[dish.name])
        days.setdefault(dish.day, []).append({
            "name": dish.name, "tubes": ", ".join(addition.solution for addition in dish.additions),
            "content": dish.content, "load": load, "wash": wash, "record": record,
        })  # fmt: skip
    return list(days.items())


# ── Precision ───────────────────────────────────────────────────────────────────────────────────────


def _precision(design: ImagingDesign, expected: Expected) -> dict[str, Any]:
    table = expected.table(design)
    curve = "ec50" if table["ec50_sd"].notna().all() else "ratio"
    title = f"{curve.replace('ec50', 'EC50').replace('ratio', 'Ratio')}: expected 95 % interval"
    grids = [
        _grid(table, design, f"{curve}_factor", title),
        _grid(table, design, "power", f"Power for a ratio of {expected.effect:g}"),
    ]
    scatter = expected.scatter
    return {
        "plan_words": f"{design.days} {'day' if design.days == 1 else 'days'}",
        "answer": " ".join(expected.sentences(design)),
        "grids": grids,
        "assumed": f"Assumed: cells of a dish differ by {100 * scatter.cell:g} % of the full response (SD), ICC "
        f"{scatter.icc:g}, {expected.cells} cells a dish; days by {scatter.day:g} decades. These are not measured: "
        "after the first days, plan again with the ICC of your own report.",
    }


def _grid(table: pd.DataFrame, design: ImagingDesign, column: str, title: str) -> dict[str, Any]:
    shown = share_text if column == "power" else factor_text
    numbers = sorted({int(number) for number in table["dishes"]})
    rows = []
    for day, part in table.groupby("days"):
        cells = {int(row["dishes"]): shown(row[column]) for row in part.to_dict("records")}
        rows.append((day, [(cells[n], day == design.days and n == design.dishes) for n in numbers]))
    return {"title": title, "dishes": numbers, "rows": rows}


def _notes(design: ImagingDesign, expected: Expected, dishes: Sequence[PlannedDish]) -> list[str]:
    """What the planner should know before starting."""
    notes, timing = [], design.timing
    if design.days < 3:
        notes.append(
            "Fewer than three days give no usable interval or test: dishes of a day share cells and solutions."
        )
    if not 30 * 60 <= timing.seconds("loading") <= 60 * 60:
        notes.append(f"Loading for {timing.loading} lies outside the usual 30–60 min: check for dye in compartments.")
    if not design.controls.vehicle:
        notes.append("No vehicle dish: what the addition itself does to the cells stays unseen.")
    if not design.controls.reference_after and not design.controls.reference_dishes:
        notes.append(
            "No reference agonist: cells that are dead or empty cannot be told from cells that do not respond."
        )
    if design.dye_facts.ratiometric and not design.calibration_dishes:
        notes.append("No calibration dish: ratios, but no [Ca²⁺].")
    last = max(dishes, key=lambda dish: (dish.day == 1, dish.place))
    lasts = schedule(design, dishes)[last.name][2] + last.record_s
    if lasts > _LONG_DAY_S:
        notes.append(f"A day lasts {lasts / 3600:.1f} h from the first dye to the last frame. Take fewer dishes a day.")
    if expected.cells < least_cells():
        notes.append(f"{expected.cells} cells in a recording: responders are called from {least_cells()} on.")
    fitted = expected.fit_error(design)
    if fitted > LARGE:
        notes.append(
            f"The EC50 of one day will be known to about ± {fitted:.2g} decades (SE): too few dishes or concentrations "
            "round it. The intervals below are then optimistic."
        )
    return notes


def _safety(design: ImagingDesign) -> list[str]:
    compound = f"{design.compound} is of unknown toxicity: gloves, and change them after a splash."
    return [
        f"{design.bench.solvent} carries what it dissolves through the skin; {compound}",
        "Ionomycin is toxic, EGTA irritates. Ultraviolet excitation harms eyes: keep the shield in place."
        if design.dye_facts.ratiometric
        else "Ionomycin is toxic, EGTA irritates. Keep the light shield in place.",
        "Collect what leaves the perfusion as hazardous liquid waste; autoclave or disinfect what touched cells.",
    ]
