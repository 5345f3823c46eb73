"""The absolute EC50."""

import numpy as np
import pytest

from halfmax.curves import hill, hill_inverse
from halfmax.estimate import absolute_ec50, fit, fit_all
from halfmax.response import Response

DOSES = np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)


def response(bottom, *, seed=1, blanks=4, zero=None):
    """Response with a known truth."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(6), DOSES, np.full(blanks, np.nan)]
    level = np.r_[np.ones(6), hill(DOSES, ec50=3e-6, hill_slope=-1.3, top=1, bottom=bottom), np.full(blanks, 0.1)]
    role = ["vehicle"] * 6 + ["sample"] * 24 + ["blank"] * blanks
    return Response.of(dose, level + rng.normal(0, 0.03, level.size), role=role, zero=zero)


def simulated(bottom, **options):
    """Its fit."""
    return fit(response(bottom, **options))


def test_it_is_the_dose_that_halves_the_window_between_vehicle_and_blank():
    estimate = simulated(0.3)
    absolute = absolute_ec50(estimate)
    truth = hill_inverse(0.55, ec50=3e-6, hill_slope=-1.3, top=1, bottom=0.3)
    assert absolute.low < truth < absolute.high
    assert absolute.value > estimate["ec50"].value


def test_it_equals_the_relative_one_where_the_drug_kills_all():
    estimate = simulated(0.1)
    assert absolute_ec50(estimate).value == pytest.approx(estimate["ec50"].value, rel=0.05)


def test_it_is_a_bound_at_the_highest_dose_where_half_is_never_lost():
    absolute = absolute_ec50(simulated(0.7))
    assert absolute.operator == ">"
    assert absolute.value == pytest.approx(1e-4)


def test_it_is_unknown_where_zero_is_unknown():
    assert absolute_ec50(simulated(0.3, blanks=0)).operator == "?"
    assert absolute_ec50(simulated(0.3, blanks=0, zero=0.1)).operator == "="


def test_its_interval_covers():
    """100 experiments; 95 % ± three binomial standard errors."""
    truth = hill_inverse(0.55, ec50=3e-6, hill_slope=-1.3, top=1, bottom=0.3)
    intervals = [absolute_ec50(one) for one in fit_all([response(0.3, seed=seed) for seed in range(100, 200)])]
    assert np.mean([i.low <= truth <= i.high for i in intervals]) == pytest.approx(0.95, abs=0.065)
