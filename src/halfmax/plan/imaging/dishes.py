"""The dishes of each day in their order, and what is added to each when.

Times are chosen so that the analysis can keep its windows: enough quiet time before the first addition
for three sham windows side by side, and room for a whole response and a whole baseline between additions.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from halfmax import units
from halfmax.plan.imaging.design import ImagingDesign, Timing

__all__ = ["PlannedAddition", "PlannedDish", "dishes_of", "least_cells", "quiet_s"]

#: Times are set to whole tens of seconds.
_STEP = 10.0
#: Frames that may be lost where windows and frames do not meet.
_SPARE = 2
#: Calibration: time without calcium, and with saturating calcium.
_ZERO_S, _FULL_S = 600.0, 300.0


@dataclass(frozen=True)
class PlannedAddition:
    """What is added to a dish.

    Parameters
    ----------
    name, role : str
        As in the table of stimuli.
    solution : str
        Label of the tube.
    start_s, end_s : float, s
        When the valve turns, from the first frame; infinity where it stays.
    concentration : float, M
        NaN where there is none.
    """

    name: str
    role: str
    solution: str
    start_s: float
    end_s: float = math.inf
    concentration: float = math.nan

    @property
    def text(self) -> str:
        """In words."""
        dose = f"{units.format_concentration(self.concentration, digits=3)} " if self.concentration > 0 else ""
        return f"{dose}{self.name}"


@dataclass(frozen=True)
class PlannedDish:
    """A dish: its day, its place in the order, what is added, and how long it is recorded.

    Parameters
    ----------
    day, place : int
        From 1.
    kind : str
        ``"sample"``, ``"vehicle"``, ``"reference"`` or ``"calibration"``.
    additions : tuple of PlannedAddition
    record_s : float, s
    """

    day: int
    place: int
    kind: str
    additions: tuple[PlannedAddition, ...]
    record_s: float

    @property
    def name(self) -> str:
        """Says nothing of what is in it, so that nobody knows who need not."""
        return f"{self.day}-{self.place:02d}"

    @property
    def content(self) -> str:
        """What its first solution brings to the cells, in words."""
        return "calibration" if self.kind == "calibration" else self.additions[0].text


def quiet_s(timing: Timing) -> float:
    """Time before the first addition in which `call_responders` finds its sham windows, s.

    A stretch is a baseline, the time to settle and a response. Stretches begin a quarter of a
    response apart, and the last must begin at least two responses after the first, so that
    three windows stand side by side. Two frames more, then rounded up to 10 s::

        frames = baseline + settle + response + smallest multiple of the step ≥ 2 response

    Examples
    --------
    >>> quiet_s(Timing()), quiet_s(Timing(baseline="2 min", response="2 min"))
    (250.0, 490.0)
    """
    from halfmax.assays.calcium.responders import MIN_WINDOWS, MOST_WINDOWS

    base, settle, window = (
        math.ceil(timing.seconds(name) / timing.seconds("interval") - 1e-9)
        for name in ("baseline", "settle", "response")
    )
    apart = (MIN_WINDOWS - 1) * window
    last = apart
    while (step := max(1, window // 4, math.ceil((last + 1) / MOST_WINDOWS))) and last // step * step < apart:
        last += 1
    return _up((base + settle + window + last + _SPARE) * timing.seconds("interval"))


def least_cells() -> int:
    """Cells that a recording must hold for a threshold at 5 % from three sham windows."""
    from halfmax.assays.calcium.responders import MIN_SCORES, MIN_WINDOWS, Rule

    return math.ceil(MIN_SCORES / Rule().level / MIN_WINDOWS)


def dishes_of(design: ImagingDesign) -> tuple[PlannedDish, ...]:
    """All dishes in the order of recording.

    Within each day blocks follow each other, each with one dish of every concentration and its share of the
    vehicle and reference dishes, in random order. Calibration comes last: ionomycin stays in the tubing.

    Examples
    --------
    >>> design = ImagingDesign("CM572", "MCF-7", ("1 µM", "10 µM"), dishes=1, days=1)
    >>> [(dish.name, dish.content) for dish in dishes_of(design)][-2:]
    [('1-05', 'vehicle'), ('1-06', 'calibration')]
    """
    made = []
    for day in range(1, design.days + 1):
        for place, (kind, dose) in enumerate(_order(design, day), start=1):
            additions, record = _course(design, kind, dose)
            made.append(PlannedDish(day, place, kind, additions, record))
    return tuple(made)


def _order(design: ImagingDesign, day: int) -> list[tuple[str, float]]:
    """Kind and dose of the dishes of a day."""
    blocks: list[list[tuple[str, float]]] = [[("sample", dose) for dose in design.doses] for _ in range(design.dishes)]
    for k in range(design.controls.vehicle):
        blocks[k % design.dishes].append(("vehicle", 0.0))
    for k in range(design.controls.reference_dishes):
        blocks[-1 - k % design.dishes].append(("reference", math.nan))
    draw = random.Random(f"{design.seed} day {day}")
    for block in blocks:
        draw.shuffle(block)
    last = [("calibration", math.nan)] * design.calibration_dishes
    return [one for block in blocks for one in block] + last


def _course(design: ImagingDesign, kind: str, dose: float) -> tuple[tuple[PlannedAddition, ...], float]:
    """What is added to a dish when, and how long it is recorded, s."""
    timing, controls = design.timing, design.controls
    start, dead = quiet_s(timing), timing.seconds("dead_time")
    baseline, settle, response = (timing.seconds(name) for name in ("baseline", "settle", "response"))
    room = _SPARE * timing.seconds("interval")
    gap = _up(max(2 * baseline, baseline + settle + response + room, timing.seconds("follow")))
    tail = _up(dead + settle + response + room)
    if kind == "calibration":
        zero = _up(baseline)
        full = zero + _ZERO_S
        first = PlannedAddition("ionomycin without calcium", "wash", "Z", zero, full)
        return (first, PlannedAddition("ionomycin with calcium", "reference", "F", full)), full + _FULL_S
    reference = units.concentration(controls.reference_concentration)
    if kind == "reference":
        return (_reference(design, start, reference),), start + _up(max(gap, tail))
    stays = design.bench.delivery == "pipette" or not controls.reference_after
    end = math.inf if stays else start + gap
    if kind == "vehicle":
        first = PlannedAddition("vehicle", "vehicle", "WV", start, end)
    else:
        tube = f"W{len(design.doses) - design.doses.index(dose)}"
        first = PlannedAddition(design.compound.strip(), "sample", tube, start, end, dose)
    if not controls.reference_after:
        return (first,), start + max(gap, tail)
    return (first, _reference(design, start + gap, reference)), start + gap + tail


def _reference(design: ImagingDesign, start_s: float, concentration: float) -> PlannedAddition:
    return PlannedAddition(design.controls.reference.strip(), "reference", "R", start_s, math.inf, concentration)


def _up(seconds: float) -> float:
    """Next whole ten seconds."""
    return math.ceil(seconds / _STEP - 1e-9) * _STEP
