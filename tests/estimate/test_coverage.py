"""Do 95 % intervals hold the truth 95 % of the time?  Simulated experiments with known truth."""

import numpy as np
import pytest

from halfmax.curves import hill
from halfmax.estimate import combine, fit_all
from halfmax.response import Response

pytestmark = pytest.mark.slow

DOSES = np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)
CONTROLS = 8
NOISE = 0.06


def experiments(ec50s, seed):
    """8 doses × 3 wells with 8 vehicle and 8 kill wells, one experiment for each true EC50."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(CONTROLS), DOSES, np.full(CONTROLS, np.nan)]
    role = ["vehicle"] * CONTROLS + ["sample"] * DOSES.size + ["kill"] * CONTROLS
    for ec50 in ec50s:
        mean = hill(DOSES, ec50=ec50, hill_slope=-1.3, top=1.0, bottom=0.1)
        level = np.r_[np.ones(CONTROLS), mean, np.full(CONTROLS, 0.1)]
        yield Response.of(dose, level + rng.normal(0, NOISE, level.size), role=role)


@pytest.mark.parametrize(("where", "ec50"), [("mid-range", 3e-6), ("at the top dose", 1e-4)])
def test_profile_intervals_cover(where, ec50):
    estimates = fit_all(list(experiments([ec50] * 500, seed=20261123)))
    covered = np.mean([e["ec50"].low <= ec50 <= e["ec50"].high for e in estimates])
    print(f"EC50 {where}: {100 * covered:.1f} % of 500 intervals cover")
    assert 0.93 <= covered <= 0.97


def test_intervals_of_every_parameter_cover():
    """Without kill wells, so that both plateaus are free; 2000 experiments, three binomial standard errors."""
    truth = {"ec50": 3e-6, "hill_slope": -1.3, "top": 1.0, "bottom": 0.1}
    responses = [
        Response.of(one.concentration, one.signal, role=np.where(one.role == "kill", "untreated", one.role).tolist())
        for one in experiments([truth["ec50"]] * 2000, seed=11)
    ]
    estimates = fit_all(responses)
    for name, value in truth.items():
        covered = np.mean([e[name].low <= value <= e[name].high for e in estimates])
        print(f"{name}: {100 * covered:.1f} % of 2000 intervals cover")
        assert 0.935 <= covered <= 0.965


def test_two_stage_intervals_over_three_experiments_cover():
    truth, between = 3e-6, 0.1
    rng = np.random.default_rng(7)
    ec50s = truth * 10 ** rng.normal(0, between, 1500)
    estimates = fit_all(list(experiments(ec50s, seed=8)))
    joined = [combine(estimates[i : i + 3])["ec50"] for i in range(0, 1500, 3)]
    covered = np.mean([j.low <= truth <= j.high for j in joined])
    print(f"two-stage, three experiments: {100 * covered:.1f} % of 500 intervals cover")
    assert 0.93 <= covered <= 0.97
