"""How often 95 % intervals of EC50 hold the truth: profile likelihood and delta method, by where the EC50 lies.

4000 simulated experiments a row: 8 doses × 3 wells from 0.1 to 100 µM, 8 vehicle wells,
with and without 8 kill wells; noise 6 % of the top.
"""

from __future__ import annotations

import numpy as np

from halfmax.curves import hill
from halfmax.estimate import fit_all
from halfmax.response import Response

EXPERIMENTS = 4000
DOSES = np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)
PLACES = {
    "mid-range": 3e-6,
    "half a log below the top dose": 3.16e-5,
    "at the top dose": 1e-4,
    "half a log above": 3.16e-4,
}


def experiments(ec50: float, kill: int, seed: int) -> list[Response]:
    """Experiments with a known EC50 (M)."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(8), DOSES, np.full(kill, np.nan)]
    role = ["vehicle"] * 8 + ["sample"] * DOSES.size + ["kill"] * kill
    curve = hill(DOSES, ec50=ec50, hill_slope=-1.3, top=1.0, bottom=0.1)
    level = np.r_[np.ones(8), curve, np.full(kill, 0.1)]
    return [Response.of(dose, level + rng.normal(0, 0.06, level.size), role=role) for _ in range(EXPERIMENTS)]


def main() -> None:
    """Print the table."""
    print(f"{'EC50':<30} {'kill wells':>10} {'profile':>8} {'delta':>8} {'open':>6}")
    for name, truth in PLACES.items():
        for kill in (0, 8):
            found = [estimate["ec50"] for estimate in fit_all(experiments(truth, kill, seed=99))]
            profile = np.mean([p.low <= truth <= p.high for p in found])
            stated = [p for p in found if np.isfinite(p.delta_low)]
            delta = np.mean([p.delta_low <= truth <= p.delta_high for p in stated])
            opened = np.mean([p.operator != "=" for p in found])
            print(f"{name:<30} {kill:>10} {100 * profile:>7.1f}% {100 * delta:>7.1f}% {100 * opened:>5.0f}%")


if __name__ == "__main__":
    main()
