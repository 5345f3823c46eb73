"""Quantities that follow from a curve: R's answers, an independent profile, identities, coverage."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import least_squares

from halfmax.curves import curve, hill
from halfmax.errors import FitError, RangeError
from halfmax.estimate import (
    activity_area,
    effective_concentration,
    fit,
    fit_all,
    response_at,
    second_ec50,
    with_derived,
)
from halfmax.response import Response

DOSES = np.repeat(np.geomspace(1e-8, 1e-4, 9), 3)
SIGMOIDS = ("hill4", "hill3", "hill5", "weibull1", "weibull2", "lognormal")


def simulated(seed=0, *, ec50=1e-6, slope=-1.2, noise=0.05, bottom=0.1):
    rng = np.random.default_rng(seed)
    level = hill(DOSES, ec50=ec50, hill_slope=slope, top=1, bottom=bottom)
    return Response.of(DOSES, level + rng.normal(0, noise, DOSES.size), zero=0.0)


def test_ec10_and_ec90_of_ryegrass_agree_with_r(data):
    """R drc 3.0-1; its standard errors come from the observed Hessian, ours from Gauss–Newton."""
    frame = pd.read_csv(data / "dose_response/drc/ryegrass.csv")
    estimate = fit(Response.of(frame["conc"], frame["rootl"], concentration_unit="mM"))
    for percent, value, error in ((10, 1.46371, 0.18677), (90, 6.38864, 0.84510)):
        found = effective_concentration(estimate, percent)
        assert found.value == pytest.approx(value, abs=2e-5)
        assert found.se * found.value == pytest.approx(error, rel=0.04)


@pytest.mark.parametrize("model", SIGMOIDS)
def test_ec50_is_the_ec50(model):
    estimate = fit(simulated(), model)
    found = effective_concentration(estimate, 50)
    assert (found.value, found.low, found.high) == pytest.approx(
        (estimate["ec50"].value, estimate["ec50"].low, estimate["ec50"].high), rel=1e-4
    )


@pytest.mark.parametrize("model", SIGMOIDS)
@pytest.mark.parametrize("percent", [10.0, 80.0])
def test_an_effective_concentration_lies_on_the_curve(model, percent):
    estimate = fit(simulated(), model)
    found = effective_concentration(estimate, percent)
    start, end = estimate["top"].best, estimate["bottom"].best
    assert float(estimate.predict(found.best)) == pytest.approx(start + percent / 100 * (end - start), rel=1e-6)


@pytest.mark.parametrize("model", SIGMOIDS)
def test_a_response_at_a_dose_is_the_curves_and_its_error_the_bands(model):
    estimate = fit(simulated(), model)
    found = response_at(estimate, 2e-6)
    assert found.value == pytest.approx(float(estimate.predict(2e-6)), rel=1e-6)
    low, high = estimate.band(2e-6)
    assert (found.delta_low, found.delta_high) == pytest.approx((low[0], high[0]), rel=1e-4)


@pytest.mark.parametrize("model", SIGMOIDS)
def test_the_mean_response_is_the_area_under_the_curve_over_the_doses(model):
    estimate = fit(simulated(), model)
    doses = np.unique(DOSES)
    area = np.trapezoid(estimate.predict(doses), np.log(doses)) / math.log(doses[-1] / doses[0])
    assert activity_area(estimate).value == pytest.approx(area, rel=1e-6)


def test_the_interval_of_ec90_ends_where_an_independent_profile_crosses_the_threshold():
    response = simulated(4)
    estimate = fit(response)
    found = effective_concentration(estimate, 90)
    x, y = np.log(response.concentration), response.signal

    def rss(log_ec90):
        def residual(free):
            start, end, log_slope = free
            shift = math.log(9)
            return start + (end - start) / (1 + np.exp(-(np.exp(log_slope) * (x - log_ec90) + shift))) - y

        start = [estimate["top"].best, estimate["bottom"].best, math.log(-estimate["hill_slope"].best)]
        return (least_squares(residual, start, xtol=1e-13, ftol=1e-13, gtol=1e-13).fun ** 2).sum()

    threshold = estimate.rss * (1 + stats.f.ppf(0.95, 1, estimate.df) / estimate.df)
    for end in (found.low, found.high):
        assert rss(math.log(end)) == pytest.approx(threshold, rel=1e-5)


def test_many_estimates_in_one_batch_are_each_as_alone():
    estimates = fit_all([simulated(seed) for seed in range(6)])
    for together, estimate in zip(effective_concentration(estimates, 20), estimates, strict=True):
        alone = effective_concentration(estimate, 20)
        assert (together.value, together.low, together.high) == (alone.value, alone.low, alone.high)


def test_what_the_fit_held_stays_held():
    held = fit(simulated(), fixed={"bottom": 0.1, "hill_slope": -1.0})
    assert held["bottom"].value == 0.1
    assert held["hill_slope"].value == pytest.approx(-1.0)
    ec90 = effective_concentration(held, 90)
    assert ec90.value / held["ec50"].value == pytest.approx(9.0, rel=1e-6)
    assert (ec90.low / held["ec50"].low, ec90.high / held["ec50"].high) == pytest.approx((9.0, 9.0), rel=1e-4)
    at = response_at(held, 1e-6)
    assert at.value == pytest.approx(float(held.predict(1e-6)), rel=1e-6)


def test_bounds_are_kept_and_do_nothing_where_they_do_not_bind():
    response = simulated(1)
    free = fit(response)
    loose = fit(response, bounds={"bottom": (-10, 10), "ec50": (1e-9, 1e-3), "hill_slope": (-10, -0.1)})
    assert loose["ec50"].value == pytest.approx(free["ec50"].value, rel=1e-6)
    tight = fit(response, bounds={"bottom": (0.2, 1.0)})
    assert tight["bottom"].best == pytest.approx(0.2)
    assert tight.rss > free.rss
    oracle = fit(response, fixed={"bottom": 0.2})
    assert tight.rss == pytest.approx(oracle.rss, rel=1e-8)


def test_a_quantity_that_the_data_do_not_bound_is_open():
    rng = np.random.default_rng(2)
    level = hill(DOSES, ec50=8e-5, hill_slope=-1.0, top=1, bottom=0)
    found = effective_concentration(fit(Response.of(DOSES, level + rng.normal(0, 0.03, DOSES.size))), 90)
    assert found.operator == ">"
    assert found.high == math.inf


def test_no_number_is_invented_where_there_is_no_curve():
    refused = fit_all([Response.of([1.0, 2.0], [1.0, 1.0])])[0]
    assert effective_concentration(refused, 10).operator == "?"
    assert math.isnan(response_at(refused, 1.0).value)
    decay = fit(
        Response.of(np.arange(1, 13), np.exp(-0.3 * np.arange(1, 13)) + 0.01 * np.tile([1, -1], 6)), "dissociation"
    )
    assert effective_concentration(decay, 10).operator == "?"


def test_further_quantities_stand_among_the_parameters():
    estimate = with_derived(fit_all([simulated()]), ["ec10", "ec90", "mean_response", "ec50_absolute"])[0]
    assert {"ec10", "ec90", "mean_response", "ec50_absolute"} <= {p.name for p in estimate.parameters}
    assert estimate.record()["ec90_operator"] == "="


def test_messages_say_what_is_wrong():
    estimate = fit(simulated())
    with pytest.raises(RangeError, match="percent must lie between 0 and 100, found 100"):
        effective_concentration(estimate, 100)
    with pytest.raises(RangeError, match="concentration must be positive, found 0"):
        response_at(estimate, 0)
    with pytest.raises(RangeError, match='unknown quantity "ec95"'):
        with_derived([estimate], ["ec95"])
    with pytest.raises(FitError, match=r'hill4 has no parameter "botom"\. Did you mean "bottom"'):
        fit(simulated(), fixed={"botom": 0})
    with pytest.raises(FitError, match=r"limits of bottom must be \(low, high\), found \(1, 0\)"):
        fit(simulated(), bounds={"bottom": (1, 0)})
    with pytest.raises(FitError, match="ec50 is positive"):
        fit(simulated(), bounds={"ec50": (-2, -1)})


def test_the_second_ec50_lies_above_the_first_and_its_interval_holds_the_truth():
    rng = np.random.default_rng(8)
    dose = np.repeat(np.geomspace(1e-9, 1e-3, 13), 3)
    truth = {"ec50_first": 1e-7, "gap": math.log(1e3), "part_first": 0.5, "start": 1.0, "end": 0.0}
    level = curve("two_sites").value(dose, **truth)
    estimate = fit(Response.of(dose, level + rng.normal(0, 0.02, dose.size)), "two_sites")
    second = second_ec50(estimate)
    assert second.low < 1e-4 < second.high
    assert second.value == pytest.approx(estimate["ec50_first"].value * math.exp(estimate["gap"].value), rel=1e-5)
    assert second_ec50(fit(simulated())).operator == "?"


@pytest.mark.slow
def test_intervals_of_derived_quantities_cover():
    """500 data sets; the binomial bounds are those of 95 % ± 3 standard errors."""
    truth = {"ec50": 1e-6, "hill_slope": -1.2, "top": 1.0, "bottom": 0.1}
    estimates = fit_all([simulated(seed) for seed in range(500)])
    doses = np.unique(DOSES)
    mean = np.trapezoid(curve("hill4").value(doses, **truth), np.log(doses)) / math.log(doses[-1] / doses[0])
    cases = {
        9 ** (1 / 1.2) * 1e-6: effective_concentration(estimates, 90),
        9 ** (-1 / 1.2) * 1e-6: effective_concentration(estimates, 10),
        float(curve("hill4").value(3e-6, **truth)): response_at(estimates, 3e-6),
        mean: activity_area(estimates),
    }
    for value, found in cases.items():
        covered = np.mean([one.low <= value <= one.high for one in found])
        assert 0.921 <= covered <= 0.979


def test_a_concentration_of_effect_is_not_identified_where_there_is_no_curve():
    rng = np.random.default_rng(8)
    dose = np.repeat(np.geomspace(1e-8, 1e-4, 8), 3)
    flat = fit_all([Response.of(dose, 1 + rng.normal(0, 0.05, dose.size)) for _ in range(20)])
    silent = [one for one in flat if one.status.startswith("no curve")]
    assert len(silent) > 10
    assert {one.operator for one in effective_concentration(silent, 10)} == {"?"}
