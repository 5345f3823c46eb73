"""A planned viability experiment: its doses, its plates, and what stands in each well.

One plate holds one cell line, one time and one independent experiment, because a
plate is read once and seeded with one suspension.  Every well with compound, and
every vehicle, kill and blank well, receives the same share of solvent; only the
untreated wells receive none.  Volumes are in µL, as a pipette shows them.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halfmax import units
from halfmax.errors import RangeError, nearest
from halfmax.wells import PLATE_SHAPES, edge_distance, row_column, well_name, well_names

if TYPE_CHECKING:
    from halfmax.readers.layout import Layout

__all__ = ["Plan", "PlannedPlate", "ViabilityOptions", "plan_viability"]

#: Roles of wells that hold cells, and of wells that receive the solvent.
WITH_CELLS = ("sample", "vehicle", "kill", "untreated")
WITH_SOLVENT = ("sample", "compound_blank", "vehicle", "kill", "blank")

#: Below this share of solvent the stock is diluted first: smaller volumes cannot be pipetted well.
SMALLEST_SOLVENT_FRACTION = 0.001

#: Cells a well, µL of suspension, µL of compound in medium, µL of solubiliser, by plate.
_DEFAULTS = {96: (8000, 100.0, 100.0, 100.0), 384: (2000, 25.0, 25.0, 50.0)}


@dataclass(frozen=True)
class ViabilityOptions:
    """How an MTT experiment is done at one bench; the defaults suit adherent cells in 96 wells.

    Parameters
    ----------
    wells : int
        96 or 384.
    edges : str
        ``"unused"`` leaves the outermost wells with medium only, ``"used"`` fills them.
    randomise : bool
        Whether each plate gets its own random arrangement; `seed` fixes it.
    stock : str
        Concentration of the compound in pure solvent.
    solvent, solvent_limit : str
        The solvent and the largest share of it that the cells shall see.
    vehicle, blank, kill, untreated : int
        Wells of each control on a plate.
    compound_blank : int
        Wells with compound and no cells, for each dose: coloured compounds, and
        those that reduce MTT themselves, are seen there.
    cells_per_well : int, optional
        By default 8,000 (96 wells) or 2,000 (384 wells).
    cell_volume, addition_volume : str, optional
        Suspension seeded, and compound in medium added to it.
    smallest_volume : str
        Smallest volume that is pipetted by hand.
    excess : float
        Share prepared above what is needed.
    solubiliser : str
        ``"DMSO"`` or ``"SDS/HCl"``.
    kill_agent : str
        What kills the kill control.
    signal, background : int
        Wavelengths that are read, nm.
    """

    wells: int = 96
    edges: str = "unused"
    randomise: bool = False
    seed: int = 0
    stock: str = "20 mM"
    solvent: str = "DMSO"
    solvent_limit: str = "0.5 %"
    vehicle: int = 6
    blank: int = 4
    kill: int = 4
    untreated: int = 3
    compound_blank: int = 1
    cells_per_well: int | None = None
    cell_volume: str | None = None
    addition_volume: str | None = None
    smallest_volume: str = "2 µL"
    excess: float = 0.15
    solubiliser: str = "DMSO"
    kill_agent: str = "Triton X-100"
    signal: int = 570
    background: int = 660

    def __post_init__(self) -> None:
        among("wells", self.wells, (96, 384))
        among("edges", self.edges, ("unused", "used"))
        among("solubiliser", self.solubiliser, ("DMSO", "SDS/HCl"))
        for name, least in (("vehicle", 1), ("blank", 1), ("kill", 0), ("untreated", 0), ("compound_blank", 0)):
            whole_number(name, getattr(self, name), least)
        if not 0.05 <= self.excess <= 0.5:
            raise RangeError(f"excess must lie in 0.05…0.5, found {self.excess:g}.")


@dataclass(frozen=True)
class PlannedPlate:
    """One plate: which line is treated for how long in which experiment, and its layout."""

    name: str
    cell_line: str
    time_s: float
    experiment: str
    layout: Layout

    @property
    def layout_file(self) -> str:
        """Name of the layout's file."""
        return f"layout_{self.name}.toml"

    def count(self, *roles: str) -> int:
        """Number of wells with one of these roles."""
        return int(self.layout.frame["role"].isin(roles).sum())


@dataclass(frozen=True)
class Plan:
    """An MTT experiment, ready to be carried out and ready to be analysed.

    Made by `plan_viability`; `write` puts everything into one folder.

    Parameters
    ----------
    compound : str
        What is tested.
    cell_lines : tuple of str
        On what.
    doses : tuple of float, M
        Final concentrations in the wells, ascending.
    replicates : int
        Wells of one dose on one plate.
    times : tuple of float, s
        Durations of treatment.
    experiments : int
        Independent repeats of everything.
    stock, solvent_fraction : float
        Concentration of the stock, M; share of solvent in the wells (0.005 is 0.5 %).
    options : ViabilityOptions
        How it is done.
    plates : tuple of PlannedPlate
        One for each line, time and experiment.
    """

    compound: str
    cell_lines: tuple[str, ...]
    doses: tuple[float, ...]
    replicates: int
    times: tuple[float, ...]
    experiments: int
    stock: float
    solvent_fraction: float
    options: ViabilityOptions = field(repr=False)
    plates: tuple[PlannedPlate, ...] = field(repr=False)

    @property
    def title(self) -> str:
        """What this is, in one line."""
        return f"Viability (MTT) of {' and '.join(self.cell_lines)} under {self.compound}"

    @property
    def layouts(self) -> dict[str, Layout]:
        """Layout of each plate, by the plate's name."""
        return {plate.name: plate.layout for plate in self.plates}

    @property
    def plates_per_experiment(self) -> int:
        """Plates that are treated together, from one set of dilutions."""
        return len(self.cell_lines) * len(self.times)

    @property
    def cells_per_well(self) -> int:
        """Cells seeded into a well."""
        return self.options.cells_per_well or _DEFAULTS[self.options.wells][0]

    @property
    def cell_volume(self) -> float:
        """Suspension in a well, µL."""
        return _microlitres(self.options.cell_volume, _DEFAULTS[self.options.wells][1])

    @property
    def addition_volume(self) -> float:
        """Compound in medium that is added to a well, µL."""
        return _microlitres(self.options.addition_volume, _DEFAULTS[self.options.wells][2])

    @property
    def well_volume(self) -> float:
        """Volume in which the cells are treated, µL."""
        return self.cell_volume + self.addition_volume

    @property
    def addition_fold(self) -> float:
        """How many times more concentrated the added solution is than the well."""
        return self.well_volume / self.addition_volume

    @property
    def mtt_volume(self) -> float:
        """5 mg/mL MTT that makes 0.5 mg/mL in a well, µL, to the half µL."""
        return round(2 * self.well_volume * 0.5 / (5.0 - 0.5)) / 2

    @property
    def solubiliser_volume(self) -> float:
        """Solubiliser in a well, µL."""
        return _DEFAULTS[self.options.wells][3]

    @property
    def smallest_volume(self) -> float:
        """Smallest volume pipetted by hand, µL."""
        return _microlitres(self.options.smallest_volume, 2.0)

    def write(self, folder: str | Path) -> Path:
        """Everything as files in a new folder: see `halfmax.plan.folder.write`."""
        from halfmax.plan.folder import write

        return write(self, folder)


def plan_viability(
    cell_lines: str | Sequence[str],
    compound: str,
    *,
    lowest: str = "0.1 µM",
    highest: str = "100 µM",
    points: int | None = None,
    replicates: int = 3,
    times: str | Sequence[str] = ("24 h", "48 h", "72 h"),
    experiments: int = 3,
    options: ViabilityOptions | None = None,
) -> Plan:
    """Plan of an MTT viability experiment from a few words.

    Doses are evenly spaced in log; all wells get the solvent that the highest needs (highest / stock).

    Parameters
    ----------
    cell_lines : str or sequence of str
        Names of the lines; each gets its own plates.
    compound : str
        Name of the compound.
    lowest, highest : str
        Ends of the range of doses, final in the well.
    points : int, optional
        Number of doses, both ends included; by default two a decade.
    replicates : int
        Wells of a dose on a plate.
    times : str or sequence of str
        Durations of treatment; each gets its own plates.
    experiments : int
        Independent repeats. An interval for EC50 across experiments needs three.
    options : ViabilityOptions, optional
        Plate, controls, stock, volumes.

    Raises
    ------
    RangeError
        If a number has no meaning, the wells do not suffice, or the highest dose needs more
        solvent than allowed; the message says which stock would do.

    Examples
    --------
    >>> plan = plan_viability("MCF-7", "CM572", times="48 h")
    >>> [units.format_concentration(dose, digits=3) for dose in plan.doses]
    ['100 nM', '316 nM', '1 µM', '3.16 µM', '10 µM', '31.6 µM', '100 µM']
    >>> [plate.name for plate in plan.plates], f"{plan.solvent_fraction:.1%}"
    (['MCF-7_48h_1', 'MCF-7_48h_2', 'MCF-7_48h_3'], '0.5%')
    """
    options = options or ViabilityOptions()
    lines = names("cell line", [cell_lines] if isinstance(cell_lines, str) else cell_lines)
    (name,) = names("compound", [compound])
    durations = _durations([times] if isinstance(times, str) else times)
    whole_number("replicates", replicates, 1)
    whole_number("experiments", experiments, 1)
    doses = _doses(units.concentration(lowest), units.concentration(highest), points)
    stock = units.concentration(options.stock)
    solvent = solvent_fraction(doses[-1], stock, options.solvent_limit, options.solvent)
    draft = Plan(name, lines, doses, replicates, durations, experiments, stock, solvent, options, plates=())
    return replace(draft, plates=_plates(draft))


def among(name: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse a word that is not one of the known."""
    if value not in known:
        hint = nearest(str(value), [str(word) for word in known])
        raise RangeError(f'{name} must be one of {", ".join(map(str, known))}, found "{value}". {hint}')


def whole_number(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number from `least` on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RangeError(f"{name} must be a whole number ≥ {least}, found {value!r}.")


def names(what: str, given: Sequence[str]) -> tuple[str, ...]:
    """Names without surrounding blanks; none empty, none twice."""
    names = tuple(str(name).strip() for name in given)
    if not names or not all(names):
        raise RangeError(f"the {what} has no name.")
    for index, name in enumerate(names):
        for other in names[:index]:
            if file_part(name).casefold() == file_part(other).casefold():
                raise RangeError(f'{what}s "{other}" and "{name}" cannot be told apart in file names. Rename one.')
    return names


def _durations(times: Sequence[str]) -> tuple[float, ...]:
    """Durations in s; none zero, none twice."""
    durations = tuple(units.duration(time) for time in times)
    if not durations or min(durations) <= 0 or len(set(durations)) < len(durations):
        raise RangeError("times must be durations > 0, each once, such as 24 h, 48 h and 72 h.")
    return durations


def file_part(name: str) -> str:
    """Name as part of a file's name on every system.

    Examples
    --------
    >>> file_part("SK-N-SH (p. 12)")
    'SK-N-SH-p.-12'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "x"


def _microlitres(text: str | None, default: float) -> float:
    return default if text is None else float(f"{units.volume(text) * 1e6:.12g}")


def _doses(lowest: float, highest: float, points: int | None) -> tuple[float, ...]:
    """Doses evenly spaced on the log axis, to 4 significant digits."""
    if not 0 < lowest < highest:
        low, high = units.format_concentration(lowest), units.format_concentration(highest)
        raise RangeError(f"the lowest dose must be > 0 and below the highest, found {low} and {high}.")
    decades = math.log10(highest / lowest)
    number = max(2, round(2 * decades) + 1) if points is None else points
    whole_number("points", number, 2)
    doses = tuple(float(f"{lowest * 10 ** (decades * k / (number - 1)):.4g}") for k in range(number))
    if len(set(doses)) < number:
        raise RangeError(f"{number} doses do not fit between {lowest:g} M and {highest:g} M. Use fewer points.")
    return doses


def solvent_fraction(highest: float, stock: float, solvent_limit: str, solvent: str) -> float:
    """Share of solvent in the wells, or the stock that would be needed."""
    limit = _percent(solvent_limit)
    if not SMALLEST_SOLVENT_FRACTION <= limit <= 0.01:
        raise RangeError(f'solvent_limit must lie in 0.1 %…1 %, found "{solvent_limit}".')
    needed = highest / stock if stock > 0 else math.inf
    if needed > limit * (1 + 1e-9):
        dose, have = units.format_concentration(highest, digits=3), units.format_concentration(stock, digits=3)
        stock_needed = units.format_concentration(highest / limit, digits=3)
        raise RangeError(
            f"{dose} from a stock of {have} needs {needed:.2%} {solvent}, more than the limit of {limit:.2%}. "
            f"Use a stock of at least {stock_needed}, or a highest dose of at most "
            f"{units.format_concentration(stock * limit, digits=3)}."
        )
    return max(needed, SMALLEST_SOLVENT_FRACTION)


def _percent(text: str) -> float:
    """Fraction from ``"0.5 %"``.

    Examples
    --------
    >>> _percent("0.5 %")
    0.005
    """
    value, unit = units.split(text)
    if unit not in ("%", "percent"):
        raise RangeError(f'expected a percentage such as "0.5 %", found "{text}".')
    return value / 100


# ── Plates ──────────────────────────────────────────────────────────────────────────────────────────

#: What stands in a well: role, dose, number of the replicate.
_Content = tuple[str, float, int]


def _plates(plan: Plan) -> tuple[PlannedPlate, ...]:
    plates = []
    for experiment in range(1, plan.experiments + 1):
        for line in plan.cell_lines:
            for time in plan.times:
                duration = units.format_duration(time).replace(" ", "")
                name = f"{file_part(line)}_{duration}_{experiment}"
                layout = _layout(plan, name, line, time, str(experiment))
                plates.append(PlannedPlate(name, line, time, str(experiment), layout))
    return tuple(plates)


def _layout(plan: Plan, name: str, line: str, time: float, experiment: str) -> Layout:
    import pandas as pd

    from halfmax.readers.layout import Layout

    shape = PLATE_SHAPES[plan.options.wells]
    content = _arrangement(plan, shape, name)
    rows = []
    for well, (role, dose, replicate) in content.items():
        row: dict[str, object] = {"well": well, "role": role, "replicate": str(replicate)}
        row |= {"cell_line": line, "time_s": time, "experiment": experiment}
        if dose > 0:
            row |= {"compound": plan.compound, "concentration_M": dose}
        rows.append(row)
    return Layout(pd.DataFrame(rows), shape, f"layout_{name}.toml")


def _arrangement(plan: Plan, shape: tuple[int, int], name: str) -> dict[str, _Content]:
    """What stands in each used well of one plate."""
    used = [well for well in well_names(shape) if plan.options.edges == "used" or edge_distance(well, shape) > 0]
    doses, controls = _columns_of_doses(plan), _controls(plan.options)
    needed = sum(map(len, doses)) + len(controls)
    if needed > len(used):
        spare = ' use the edges (edges="used"),' if plan.options.edges == "unused" else ""
        larger = " or take 384 wells" if plan.options.wells == 96 else ""
        raise RangeError(
            f"{len(plan.doses)} doses × {plan.replicates} replicates and the controls need {needed} wells, but the "
            f"plate offers {len(used)}. Take fewer doses, replicates or controls,{spare}{larger}."
        )
    if plan.options.randomise:
        random.Random(f"{plan.options.seed} {name}").shuffle(used)
        return dict(zip(used, [*itertools.chain.from_iterable(doses), *controls], strict=False))
    return _tidy(doses, controls, used)


def _columns_of_doses(plan: Plan) -> list[list[_Content]]:
    """For each dose its wells with cells, then those without."""
    return [
        [("sample", dose, k + 1) for k in range(plan.replicates)]
        + [("compound_blank", dose, k + 1) for k in range(plan.options.compound_blank)]
        for dose in plan.doses
    ]


def _controls(options: ViabilityOptions) -> list[_Content]:
    """All control wells, the kinds taking turns so that each is spread over the plate."""
    left = {role: getattr(options, role) for role in ("vehicle", "blank", "kill", "untreated")}
    total = dict(left)
    controls: list[_Content] = []
    while any(left.values()):
        role = max(left, key=lambda kind: left[kind] / max(total[kind], 1))
        controls.append((role, 0.0, total[role] - left[role] + 1))
        left[role] -= 1
    return controls


def _tidy(doses: list[list[_Content]], controls: list[_Content], used: list[str]) -> dict[str, _Content]:
    """A dose a column in the middle, controls on both sides; row by row where that does not fit."""
    rows = sorted({row_column(well)[0] for well in used})
    columns = sorted({row_column(well)[1] for well in used})
    depth = max(len(column) for column in doses)
    if len(doses) > len(columns) or depth > len(rows):
        flat = [content for column in zip(*doses, strict=True) for content in column]
        return dict(zip(used, [*flat, *controls], strict=False))
    first = (len(columns) - len(doses)) // 2
    placed: dict[str, _Content] = {}
    for column, contents in zip(columns[first:], doses, strict=False):
        for row, content in zip(rows, contents, strict=False):
            placed[well_name(row, column)] = content
    sides = columns[:first] + columns[first + len(doses) :]
    # Alternately from the left and the right side, so that a gradient across the plate meets all controls.
    turns = list(dict.fromkeys(column for pair in zip(sides, reversed(sides), strict=True) for column in pair))
    free = [
        well_name(row, column)
        for start in range(0, len(turns), 2)
        for row in rows
        for column in turns[start : start + 2]
    ]
    free += [well for well in used if well not in placed and well not in free]
    return placed | dict(zip(free, controls, strict=False))
