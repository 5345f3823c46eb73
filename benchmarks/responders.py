"""How often cells are called that do not respond, and groups found to differ that do not: simulated, truth known.

    python benchmarks/responders.py

Prints the tables of docs/methods/calcium-statistics.md; the slow tests of tests/assays/test_calcium_responders.py
and test_calcium_nested.py put bounds on the same numbers.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfmax.assays.calcium.nested import compare_groups, dish_summaries
from halfmax.assays.calcium.responders import Drift, Recording, ResponderCalls, Rule, Score, call_responders
from halfmax.assays.calcium.windows import Window

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
SEED = 5
#: Coefficients of the autoregressive noise, and how the cells drift.
AUTOCORRELATIONS = (0.0, 0.3, 0.6, 0.9)
DRIFTS = ("none", "each its own", "all alike", "bleaching", "random walk")
#: Frames of baseline, response window, and time before the stimulus.
LENGTHS = ((40, 30, 240), (60, 60, 300), (30, 10, 120))
#: Cells of a simulated case: in so many a rate of 5 % is known to 0.15 % (one standard error).
CELLS = 20_000


class Design(NamedTuple):
    """Days, dishes a day and group, cells a dish; variances of days, of dishes and of cells."""

    days: int = 3
    dishes: int = 2
    cells: int = 40
    day: float = 0.17
    dish: float = 0.16
    cell: float = 0.67

    @property
    def icc(self) -> float:
        """Correlation of two cells of one dish."""
        return (self.day + self.dish) / (self.day + self.dish + self.cell)


def traces(cells: int, frames: int, autocorrelation: float, drift: str, rng: np.random.Generator) -> Array:
    """Simulated traces of cells that do nothing, each with noise of its own size (SD of ln 0.4), and a drift."""
    from scipy.signal import lfilter

    white = rng.normal(size=(cells, frames + 100))
    noise = lfilter([np.sqrt(1 - autocorrelation**2)], [1, -autocorrelation], white, axis=1)[:, 100:]
    time = np.arange(frames) / frames
    moved: Array = {
        "none": np.zeros((1, frames)),
        "each its own": rng.normal(0, 5, (cells, 1)) * time,
        "all alike": -5 * time[None, :],
        "bleaching": 20 * np.exp(-time / 3)[None, :],
        "random walk": np.cumsum(rng.normal(0, 0.1, (cells, frames)), axis=1),
    }[drift]
    return np.asarray(rng.lognormal(0, 0.4, (cells, 1)) * (noise + moved))


def called(
    signal: Array, lengths: tuple[int, int, int], *, drift: Drift = "line", score: Score = "peak"
) -> ResponderCalls:
    """Responders among traces whose stimulus comes after so many frames of a second each."""
    base, window, before = lengths
    recording = Recording.of(
        signal, np.arange(signal.shape[1], dtype=float), response=Window(before, before + window),
        baseline=Window(before - base, before),
    )  # fmt: skip
    return call_responders(recording, rule=Rule(drift=drift, score=score))


def three_sd(signal: Array, lengths: tuple[int, int, int]) -> Flags:
    """What most scripts do: the maximum exceeds the mean of the baseline by three of its standard deviations."""
    base, window, before = lengths
    rest = signal[:, before - base : before]
    top = signal[:, before : before + window].max(axis=1)
    return np.asarray(top > rest.mean(axis=1) + 3 * rest.std(axis=1, ddof=1))


def dishes(design: Design, effect: float, rng: np.random.Generator, runs: int, *, paired: bool = True) -> Array:
    """Simulated values of cells, shape (runs, days, groups, dishes, cells); the second group is higher by `effect`."""
    shape = (runs, design.days, 2, design.dishes, design.cells)
    day = rng.normal(0, np.sqrt(design.day), (*shape[:2], 1 if paired else 2, 1, 1))
    dish = rng.normal(0, np.sqrt(design.dish), (*shape[:4], 1))
    return np.asarray(day + dish + rng.normal(0, np.sqrt(design.cell), shape) + effect * np.arange(2)[:, None, None])


def found(design: Design, effect: float, runs: int, seed: int, *, paired: bool = True) -> tuple[Array, Array, Array]:
    """P-values of `compare_groups`, of t over dishes and of t over cells, each shape (runs,)."""
    from scipy import stats

    values = dishes(design, effect, np.random.default_rng(seed), runs, paired=paired)
    day, group, dish, _ = (axis.ravel().astype(str) for axis in np.indices(values.shape[1:]))
    if not paired:
        day = np.char.add(day, group)
    names = np.char.add(group, dish)
    ours = [compare_groups(dish_summaries(run.ravel(), dish=names, day=day, group=group), "0", "1").p for run in values]
    by_group = np.moveaxis(values, 2, 1)
    means = by_group.mean(axis=4).reshape(runs, 2, -1)
    cells = by_group.reshape(runs, 2, -1)
    return (
        np.array(ours), stats.ttest_ind(means[:, 0], means[:, 1], axis=1).pvalue,
        stats.ttest_ind(cells[:, 0], cells[:, 1], axis=1).pvalue,
    )  # fmt: skip


def main() -> None:
    """Print both tables."""
    print("| autocorrelation | drift | mean + 3 SD | line | level |\n|---|---|---|---|---|")
    for row, (autocorrelation, drift) in enumerate(itertools.product(AUTOCORRELATIONS, DRIFTS)):
        signal = traces(CELLS, 270, autocorrelation, drift, np.random.default_rng((SEED, row)))
        rates = [three_sd(signal, LENGTHS[0]).mean()]
        rates += [called(signal, LENGTHS[0], drift=how).fraction for how in ("line", "level")]
        print(f"| {autocorrelation:g} | {drift} | {' | '.join(f'{100 * rate:.1f}' for rate in rates)} |", flush=True)
    print("\n| autocorrelation | rise, SD of noise | line, found | level, found |\n|---|---|---|---|")
    for autocorrelation, size in itertools.product((0.0, 0.6), (2, 3, 5)):
        signal = traces(2000, 270, autocorrelation, "none", np.random.default_rng((SEED, size)))
        scale = signal[:, :240].std(axis=1)
        signal[:1000, 240:] += size * scale[:1000, None] * np.exp(-np.arange(30) / 15)
        power = [called(signal, LENGTHS[0], drift=how).discovered[:1000].mean() for how in ("line", "level")]
        print(f"| {autocorrelation:g} | {size} | {' | '.join(f'{100 * p:.0f}' for p in power)} |", flush=True)
    print("\n| ICC | days × dishes × cells | effect | days | dishes | cells |\n|---|---|---|---|---|---|")
    designs = [Design(), Design(day=0.05, dish=0.1, cell=0.85), Design(days=5)]
    for row, (design, effect) in enumerate(itertools.product(designs, (0.0, 1.0))):
        shares = [(p < 0.05).mean() for p in found(design, effect, 4000, SEED + row)]
        size = f"{design.days} × {design.dishes} × {design.cells}"
        text = " | ".join(f"{100 * share:.1f}" for share in shares)
        print(f"| {design.icc:.2f} | {size} | {effect:g} | {text} |", flush=True)
    shares = [(p < 0.05).mean() for p in found(Design(), 0.0, 4000, SEED, paired=False)]
    print(f"| 0.33, on other days | 3 × 2 × 40 | 0 | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")


if __name__ == "__main__":
    main()
