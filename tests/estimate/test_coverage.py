"""Do 95 % intervals hold the truth 95 % of the time?  Simulated experiments with known truth.

The cells and their simulation are those of benchmarks/coverage.py, which prints the table of
docs/methods/intervals.md: the bounds here are on the very numbers there.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from halfmax.estimate import combine, fit_all

pytestmark = pytest.mark.slow

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
SPECIFICATION = importlib.util.spec_from_file_location("coverage_of_intervals", PATH)
bench = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(bench)

simulated = functools.cache(bench.simulated)
each_cell = pytest.mark.parametrize(
    "cell", bench.CELLS, ids=lambda cell: f"slope {-cell.hill_slope:g} {cell.where}, controls {cell.controls}"
)


def within_noise(share: float) -> float:
    """Three binomial standard errors of a share of a cell's experiments."""
    return 3 * np.sqrt(share * (1 - share) / bench.EXPERIMENTS)


@each_cell
def test_profile_intervals_cover(cell):
    """The upper bound only where most are closed: where most are open, one of the two ways to miss is all but gone."""
    profile, _ = simulated(cell)
    covered = profile.hold.mean()
    assert covered >= 0.935
    if profile.open.mean() < 0.5:
        assert covered <= 0.975


@each_cell
def test_the_finite_end_of_an_open_interval_covers(cell):
    """Each side at its one-sided 97.5 % over all experiments; and by themselves, where most are open at one end."""
    profile, _ = simulated(cell)
    allowed = 0.025 + within_noise(0.025)
    assert np.mean(profile.open_above & profile.too_high) <= allowed
    assert np.mean(profile.open_below & profile.too_low) <= allowed
    if profile.one_sided.mean() >= 0.5:
        assert profile.hold[profile.one_sided].mean() >= 0.935


@pytest.mark.parametrize("controls", ["none", "vehicle"])
@pytest.mark.parametrize("hill_slope", [-0.5, -1.3])
def test_delta_intervals_fail_at_the_top_dose_without_kill_wells(hill_slope, controls):
    """And every one that misses says that the EC50 is lower than it is."""
    cell = next(c for c in bench.CELLS if c[:2] == (hill_slope, "at the top dose") and c.controls == controls)
    _, delta = simulated(cell)
    assert delta.hold.mean() < 0.90
    assert delta.too_low.any()
    assert not delta.too_high.any()


def test_intervals_of_every_parameter_cover():
    """Without kill wells, so that both plateaus are free; 2000 experiments, three binomial standard errors."""
    truth = {"ec50": 3e-6, "hill_slope": -1.3, "top": bench.TOP, "bottom": bench.BOTTOM}
    estimates = fit_all(bench.experiments(np.full(bench.EXPERIMENTS, truth["ec50"]), kill=0, seed=11))
    for name, value in truth.items():
        covered = np.mean([e[name].low <= value <= e[name].high for e in estimates])
        print(f"{name}: {100 * covered:.1f} % of {bench.EXPERIMENTS} intervals cover")
        assert abs(covered - 0.95) <= within_noise(0.95)


def test_two_stage_intervals_over_three_experiments_cover():
    truth, between = 3e-6, 0.1
    rng = np.random.default_rng(7)
    estimates = fit_all(bench.experiments(truth * 10 ** rng.normal(0, between, 1500), seed=8))
    joined = [combine(estimates[i : i + 3])["ec50"] for i in range(0, 1500, 3)]
    covered = np.mean([j.low <= truth <= j.high for j in joined])
    print(f"two-stage, three experiments: {100 * covered:.1f} % of 500 intervals cover")
    assert 0.93 <= covered <= 0.97
