"""Many four-parameter curves: halfmax's batch against scipy's `curve_fit`, one curve at a time.

Both fit the same simulated curves (10 half-log doses × 3 wells); printed are curves a
second, the ratio, and how the residual sums of squares compare.  halfmax's time
includes profile intervals of all parameters in the second row, which the peer has not.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from scipy.optimize import curve_fit

from halfmax.curves import hill
from halfmax.estimate import fit_all
from halfmax.estimate.least_squares import Problem, solve
from halfmax.response import Response

CURVES = 500


def curves() -> tuple[np.ndarray, np.ndarray]:
    """Doses (M) and signals, shape (CURVES, 30)."""
    rng = np.random.default_rng(1)
    dose = np.repeat(np.geomspace(1e-9, 10**-4.5, 10), 3)
    ec50 = 10 ** rng.uniform(-8, -5.5, CURVES)
    slope = -(10 ** rng.uniform(-0.2, 0.4, CURVES))
    level = np.stack([hill(dose, ec50=e, hill_slope=h, top=100, bottom=5) for e, h in zip(ec50, slope, strict=True)])
    return dose, level + rng.normal(0, 5, level.shape)


def peer(dose: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """Residual sums of squares of scipy's `curve_fit`."""

    def model(x: np.ndarray, log_ec50: float, slope: float, top: float, bottom: float) -> np.ndarray:
        return bottom + (top - bottom) / (1 + np.exp(slope * (np.log(x) - log_ec50)))

    rss = np.full(len(signals), np.nan)
    for index, y in enumerate(signals):
        start = [np.log(np.median(dose)), 1.0, y.max(), y.min()]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                best, _ = curve_fit(model, dose, y, start, maxfev=2000)
        except RuntimeError:
            continue
        rss[index] = ((model(dose, *best) - y) ** 2).sum()
    return rss


def main() -> None:
    """Print the table."""
    dose, signals = curves()
    fit_all([Response.of(dose, signals[0])])  # everything is imported before the clock starts
    start = time.perf_counter()
    theirs = peer(dose, signals)
    peer_time = time.perf_counter() - start

    start = time.perf_counter()
    free = np.full(CURVES, np.nan)
    weight, base = np.ones_like(signals), np.zeros(CURVES)
    problem = Problem.of(np.tile(np.log(dose)[:, None], CURVES), signals.T, weight.T, base, start=free, end=free)
    ours = solve(problem).rss
    point_time = time.perf_counter() - start

    responses = [Response.of(dose, y) for y in signals]
    start = time.perf_counter()
    fit_all(responses)
    full_time = time.perf_counter() - start

    print(f"{CURVES} curves, 30 wells each")
    print(f"scipy curve_fit, no intervals        {CURVES / peer_time:8.0f} curves/s  ratio 1.0")
    print(
        f"halfmax batch, no intervals          {CURVES / point_time:8.0f} curves/s  ratio {peer_time / point_time:.1f}"
    )
    print(f"halfmax fit_all, profile intervals   {CURVES / full_time:8.0f} curves/s  ratio {peer_time / full_time:.2f}")
    worse = np.mean(ours > theirs * (1 + 1e-6))
    print(f"halfmax's RSS is larger in {100 * worse:.1f} % of the curves; scipy failed in {np.isnan(theirs).sum()}")


if __name__ == "__main__":
    main()
