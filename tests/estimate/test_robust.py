"""Fits that wild wells hardly move."""

import math

import numpy as np
import pytest
from wild import NOISE, TRUTH, simulated, spoiled

from halfmax.curves import hill
from halfmax.errors import FitError
from halfmax.estimate import fit, fit_all, robust_fit
from halfmax.response import Response


def contaminated(rng, n):
    """One well in ten scatters eight times as much."""
    return rng.normal(0, NOISE, n) * np.where(rng.random(n) < 0.1, 8, 1)


def test_a_robust_fit_is_that_of_least_squares_where_errors_are_tiny():
    response = simulated(errors=lambda rng, n: rng.normal(0, 1e-4, n))
    one, other = fit(response), robust_fit(response, draws=200)
    for name, value in TRUTH.items():
        assert other[name].best == pytest.approx(one[name].best, rel=1e-3)
        assert other[name].low <= other[name].best <= other[name].high
        assert other[name].best == pytest.approx(value, rel=1e-2)


def test_a_robust_fit_is_hardly_moved_by_wild_wells():
    response = simulated()
    wild = spoiled(response, [12, 16, 22], [3.0, 2.5, -2.0])
    clean, moved, robust = fit(response), fit(wild), robust_fit(wild, draws=200)
    away = abs(math.log(robust["ec50"].best / clean["ec50"].best))
    assert away < 0.15
    assert away < 0.5 * abs(math.log(moved["ec50"].best / clean["ec50"].best))
    assert robust.status == "ok"
    assert robust["ec50"].method.startswith("bootstrap of a fit with Student-t errors")
    assert robust.sigma < 2 * NOISE


def test_the_likelihood_of_a_robust_fit_is_the_highest():
    """With another optimiser, over all parameters at once."""
    from scipy.optimize import minimize

    response = spoiled(simulated(), [12, 19], [1.0, -0.8])
    estimate = robust_fit(response, draws=200)

    def minus_log_likelihood(p, freedom=4.0):
        curve = hill(response.concentration, ec50=math.exp(p[0]), hill_slope=p[1], top=p[2], bottom=p[3])
        t = (response.signal - curve) / math.exp(p[4])
        return response.signal.size * p[4] + (freedom + 1) / 2 * np.log1p(t**2 / freedom).sum()

    best = [math.log(estimate["ec50"].best), *(estimate[name].best for name in ("hill_slope", "top", "bottom"))]
    found = minimize(minus_log_likelihood, [*best, math.log(0.06)], method="Nelder-Mead",
                     options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000})  # fmt: skip
    assert found.x[:4] == pytest.approx(best, abs=2e-3)


def test_a_robust_fit_is_reproducible_and_does_not_depend_on_the_order_of_rows():
    response = simulated(kill=8)
    order = np.random.default_rng(2).permutation(response.signal.size)
    moved = Response.of(response.concentration[order], response.signal[order], role=response.role[order].tolist())
    one, same, other = (robust_fit(r, draws=200) for r in (response, response, moved))
    assert one["ec50"] == same["ec50"]
    assert (other["ec50"].low, other["ec50"].high) == pytest.approx((one["ec50"].low, one["ec50"].high), rel=1e-4)


def test_a_wild_kill_well_does_not_untie_the_curve():
    response = spoiled(simulated(kill=8, ec50=5e-5), [34], 0.6)
    robust = robust_fit(response, draws=300)
    assert robust.p_full >= 0.05
    assert robust["ec50"].operator == "="
    assert robust["ec50"].low < 5e-5 < robust["ec50"].high


def test_a_partial_effect_is_not_tied_in_a_robust_fit():
    estimate = robust_fit(simulated(kill=8, bottom=0.5), draws=200)
    assert estimate.p_full < 0.001
    assert estimate["bottom"].best == pytest.approx(0.5, abs=0.06)


def test_robust_fits_beyond_the_doses_are_open():
    estimates = [robust_fit(simulated(seed, ec50=2e-4), draws=200) for seed in range(6)]
    opened = [estimate for estimate in estimates if estimate["ec50"].operator == ">"]
    assert len(opened) >= 4
    assert all(estimate.status.startswith("open") for estimate in opened)


def test_a_robust_fit_has_a_direction_and_a_flat_response_no_curve():
    assert robust_fit(simulated(), direction="rising", draws=200)["ec50"].operator == "?"
    flat = [
        robust_fit(simulated(seed, top=1.0, bottom=1.0), draws=200).status.startswith("no curve") for seed in range(20)
    ]
    assert np.mean(flat) >= 0.8


def test_what_a_robust_fit_cannot_do_is_said():
    with pytest.raises(FitError, match="needs freedom ≥ 1, draws ≥ 200"):
        robust_fit(simulated(), draws=10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "errors"), [("normal", None), ("one in ten eight times as wide", contaminated)])
def test_robust_intervals_hold_the_truth(name, errors):
    """60 experiments, 200 draws each; three binomial standard errors below 95 %."""
    responses = [simulated(1000 + seed, errors=errors) for seed in range(60)]
    robust, plain = [robust_fit(response, draws=200) for response in responses], fit_all(responses)
    share, width = {}, {}
    for kind, estimates in (("robust", robust), ("least squares", plain)):
        share[kind] = np.mean([e["ec50"].low <= TRUTH["ec50"] <= e["ec50"].high for e in estimates])
        width[kind] = np.median([np.log10(e["ec50"].high / max(e["ec50"].low, 1e-12)) for e in estimates])
        print(f"{name}, {kind}: {100 * share[kind]:.1f} % cover, {width[kind]:.2f} decades wide")
    assert share["robust"] >= 0.866
    assert width["robust"] < (0.75 if errors else 1.15) * width["least squares"]


@pytest.mark.slow
def test_robust_intervals_beyond_the_doses_are_open_rather_than_wrong():
    """30 experiments with the EC50 at twice the highest dose."""
    estimates = [robust_fit(simulated(2000 + seed, ec50=2e-4), draws=200) for seed in range(30)]
    share = np.mean([e["ec50"].low <= 2e-4 <= e["ec50"].high for e in estimates])
    opened = np.mean([e["ec50"].operator != "=" for e in estimates])
    print(f"beyond the doses: {100 * share:.1f} % cover, {100 * opened:.0f} % open")
    assert share >= 0.83
    assert opened >= 0.85
