"""Responses with known truth, and wells of them that are wrong."""

import numpy as np

from halfmax.curves import hill
from halfmax.response import Response

TRUTH = {"ec50": 3e-6, "hill_slope": -1.3, "top": 1.0, "bottom": 0.1}
NOISE = 0.06


def simulated(seed=2, *, replicates=3, doses=8, vehicle=8, kill=0, errors=None, named=False, **truth):
    """Response with known truth; `errors` draws the errors in place of normal ones."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(vehicle), np.repeat(np.geomspace(1e-7, 1e-4, doses), replicates)]
    mean = np.r_[hill(dose, **(TRUTH | truth)), np.full(kill, 0.1)]
    signal = mean + (rng.normal(0, NOISE, mean.size) if errors is None else errors(rng, mean.size))
    role = ["vehicle"] * vehicle + ["sample"] * (dose.size - vehicle) + ["kill"] * kill
    well = [f"A{number}" for number in range(1, mean.size + 1)] if named else ""
    return Response.of(np.r_[dose, np.full(kill, np.nan)], signal, role=role, well=well)


def spoiled(response, rows, by):
    signal = response.signal.copy()
    signal[list(rows)] += by
    return Response.of(
        response.concentration, signal, role=response.role.tolist(), well=response.well.tolist(),
        plate=response.plate.tolist(),
    )  # fmt: skip
