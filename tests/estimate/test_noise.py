"""Noise models: what is estimated, coverage, and agreement with a weighted fit by another optimiser."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from halfmax.curves import hill
from halfmax.errors import FitError
from halfmax.estimate import compare, effective_concentration, fit, fit_all
from halfmax.response import Response

DOSES = np.repeat(np.geomspace(1e-8, 1e-4, 8), 3)
LEVEL = hill(DOSES, ec50=1e-6, hill_slope=-1.0, top=1.0, bottom=0.1)


def simulated(seed, *, share=0.0, constant=0.0):
    rng = np.random.default_rng(seed)
    return Response.of(
        DOSES, LEVEL * (1 + share * rng.normal(size=DOSES.size)) + constant * rng.normal(size=DOSES.size)
    )


def test_proportional_noise_gives_what_another_optimiser_finds_with_the_same_weights():
    """The fixed point of weights and curve: at it, scipy's weighted fit does not move."""
    response = simulated(1, share=0.1)
    estimate = fit(response, noise="proportional")
    weight = 1.0 / estimate.predict(DOSES)

    def residual(p):
        return weight * (hill(DOSES, ec50=math.exp(p[0]), hill_slope=p[1], top=p[2], bottom=p[3]) - response.signal)

    start = [math.log(2e-6), -1.5, 0.9, 0.2]
    best = least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    found = [math.log(estimate["ec50"].value), *(estimate[n].value for n in ("hill_slope", "top", "bottom"))]
    assert found == pytest.approx(list(best), rel=1e-5)


def test_a_power_of_zero_is_constant_noise():
    response = simulated(2, constant=0.05)
    plain, zero = fit(response), fit(response, noise=0.0)
    assert zero.record() == plain.record()


def test_a_power_of_one_is_proportional_noise():
    response = simulated(3, share=0.1)
    assert fit(response, noise=1.0).record() == fit(response, noise="proportional").record()


def test_scaling_the_signal_changes_no_weight():
    response = simulated(4, share=0.1)
    scaled = Response.of(DOSES, 1000 * response.signal)
    one, other = (fit(r, noise="power") for r in (response, scaled))
    assert other["ec50"].low == pytest.approx(one["ec50"].low, rel=1e-5)
    assert other.noise == pytest.approx(one.noise, abs=1e-4)
    assert other["top"].value == pytest.approx(1000 * one["top"].value, rel=1e-6)


def test_an_estimated_power_costs_a_degree_of_freedom():
    response = simulated(5, share=0.1)
    assert fit(response, noise="power").df == fit(response).df - 1


def test_what_follows_from_a_weighted_fit_has_its_weights():
    estimate = fit(simulated(6, share=0.1), noise="proportional")
    again = effective_concentration(estimate, 50)
    assert (again.low, again.high) == pytest.approx((estimate["ec50"].low, estimate["ec50"].high), rel=1e-4)
    ratio = compare(estimate, fit(simulated(7, share=0.1), noise="proportional"))["ratio"]
    assert ratio.low < 1 < ratio.high


def test_messages_say_what_is_known():
    with pytest.raises(FitError, match=r'unknown noise "poisson"\. Known are constant, proportional, power'):
        fit(simulated(1), noise="poisson")
    with pytest.raises(FitError, match="must lie between 0 and 2, found 3"):
        fit(simulated(1), noise=3)


@pytest.mark.slow
def test_intervals_cover_and_the_power_is_found():
    """500 data sets with noise of 10 % of the signal; binomial bounds of 95 % ± 3 standard errors."""
    truth = {"ec50": 1e-6, "hill_slope": -1.0, "top": 1.0, "bottom": 0.1}
    responses = [simulated(seed, share=0.1) for seed in range(500)]
    proportional = fit_all(responses, noise="proportional")
    for name, value in truth.items():
        assert 0.921 <= np.mean([e[name].low <= value <= e[name].high for e in proportional]) <= 0.979
    power = fit_all(responses, noise="power")
    assert np.mean([e.noise for e in power]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([e["ec50"].low <= 1e-6 <= e["ec50"].high for e in power]) >= 0.921
    constant = fit_all(responses)
    covered = np.mean([e["top"].low <= 1.0 <= e["top"].high for e in constant])
    assert covered < 0.90  # why a noise model is needed
