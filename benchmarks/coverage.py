"""How often 95 % intervals of EC50 hold the truth: profile likelihood beside delta method, by where the EC50 lies.

    python benchmarks/coverage.py

2000 simulated experiments a row: 8 doses × 3 wells from 0.1 to 100 µM, without controls, with 8
vehicle wells, and with 8 vehicle and 8 kill wells; noise 6 % of the top.  Prints the table of
docs/methods/intervals.md; tests/estimate/test_coverage.py puts bounds on the same numbers.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import hill
from halfmax.estimate import fit_all
from halfmax.response import Response

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
EXPERIMENTS = 2000
SEED = 99
DOSES = np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)
TOP, BOTTOM, NOISE = 1.0, 0.1, 0.06
#: Hill slope, where the EC50 lies, and the EC50 (M).
TRUTHS = (
    (-1.3, "mid-range", 3e-6),
    (-1.3, "half a log below the top dose", 3.16e-5),
    (-1.3, "at the top dose", 1e-4),
    (-1.3, "half a log above it", 3.16e-4),
    (-0.5, "mid-range", 3e-6),
    (-0.5, "at the top dose", 1e-4),
    (-3.0, "mid-range", 3e-6),
    (-3.0, "at the top dose", 1e-4),
)
#: Number of vehicle and of kill wells.
CONTROLS = {"none": (0, 0), "vehicle": (8, 0), "vehicle, kill": (8, 8)}
#: Fewer intervals than this are counted, not given in percent.
FEW = 100
HEAD = "| slope | EC50 lies | controls | profile | delta | its width | open | both ends | finite end | closed |"


class Cell(NamedTuple):
    """A row of the table: a truth, and the controls of its experiments."""

    hill_slope: float
    where: str
    ec50: float
    controls: str
    seed: tuple[int, int]


CELLS = [
    Cell(*truth, controls, (SEED, row)) for row, (truth, controls) in enumerate(itertools.product(TRUTHS, CONTROLS))
]


class Intervals(NamedTuple):
    """Intervals of a known EC50, one an experiment; where open, `low` is 0 or `high` infinite."""

    truth: float
    low: Array
    high: Array

    @property
    def too_high(self) -> Flags:
        """Whether the lower end lies above the truth."""
        return self.low > self.truth

    @property
    def too_low(self) -> Flags:
        """Whether the upper end lies below the truth."""
        return self.high < self.truth

    @property
    def hold(self) -> Flags:
        """Whether the truth is inside."""
        return ~(self.too_high | self.too_low)

    @property
    def open_below(self) -> Flags:
        """Whether the lower end is open."""
        return self.low == 0

    @property
    def open_above(self) -> Flags:
        """Whether the upper end is open."""
        return self.high == np.inf

    @property
    def open(self) -> Flags:
        """Whether an end is open, or both."""
        return self.open_below | self.open_above

    @property
    def one_sided(self) -> Flags:
        """Whether just one end is open."""
        return self.open_below ^ self.open_above


def experiments(
    ec50: ArrayLike, *, hill_slope: float = -1.3, vehicle: int = 8, kill: int = 8, seed: int | tuple[int, int]
) -> list[Response]:
    """Experiments whose EC50s (M) are known, one for each."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(vehicle), DOSES, np.full(kill, np.nan)]
    role = ["vehicle"] * vehicle + ["sample"] * DOSES.size + ["kill"] * kill
    responses = []
    for truth in np.ravel(ec50):
        curve = hill(DOSES, ec50=truth, hill_slope=hill_slope, top=TOP, bottom=BOTTOM)
        level = np.r_[np.full(vehicle, TOP), curve, np.full(kill, BOTTOM)]
        responses.append(Response.of(dose, level + rng.normal(0, NOISE, level.size), role=role))
    return responses


def simulated(cell: Cell) -> tuple[Intervals, Intervals]:
    """Profile intervals of a cell's experiments, and those of the delta method for the same fits, where it has any."""
    vehicle, kill = CONTROLS[cell.controls]
    truths = np.full(EXPERIMENTS, cell.ec50)
    responses = experiments(truths, hill_slope=cell.hill_slope, vehicle=vehicle, kill=kill, seed=cell.seed)
    estimates = fit_all(responses)
    profile = np.array([(one["ec50"].low, one["ec50"].high) for one in estimates])
    curved = [one["ec50"] for one in estimates if not one.status.startswith("no curve")]
    low, high = np.array([(p.delta_low, p.delta_high) for p in curved]).T
    nothing = np.isnan(low)
    return Intervals(cell.ec50, *profile.T), Intervals(
        cell.ec50, np.where(nothing, 0, low), np.where(nothing, np.inf, high)
    )


def main() -> None:
    """Print the table."""
    print(HEAD)
    print("|---" * (HEAD.count("|") - 1) + "|")
    for cell in CELLS:
        profile, delta = simulated(cell)
        row = [
            f"{-cell.hill_slope:g}", cell.where, cell.controls,
            _percent(profile.hold), _percent(delta.hold), _decades(delta),
            _percent(profile.open), _percent(profile.open_below & profile.open_above),
            _percent(profile.hold[profile.one_sided]), _percent(profile.hold[~profile.open]),
        ]  # fmt: skip
        print(f"| {' | '.join(row)} |", flush=True)


def _percent(flags: Flags) -> str:
    """How many in a hundred are true; counted where few, and a dash where there are none."""
    if flags.size >= FEW:
        return f"{100 * flags.mean():.1f}"
    return f"{flags.sum()} of {flags.size}" if flags.size else "–"


def _decades(intervals: Intervals) -> str:
    """Median width in decades."""
    with np.errstate(divide="ignore"):
        width = float(np.median(np.log10(intervals.high) - np.log10(intervals.low)))
    return "> 10" if width > 10 else f"{width:.1f}"


if __name__ == "__main__":
    main()
