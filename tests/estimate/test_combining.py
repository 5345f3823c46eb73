"""Experiments into one value, values into ratios."""

import math

import numpy as np
import pytest
from scipy import stats

from halfmax.errors import FitError
from halfmax.estimate import Estimate, Parameter, combine, compare, fit
from halfmax.response import Response


def experiment(value, *, operator="=", se=0.05, unit="M"):
    """One experiment's EC50."""
    low, high = value * 0.9, value * 1.1
    if operator == ">":
        low, high = value, math.inf
    if operator == "<":
        low, high = 0.0, value
    if operator == "?":
        value, low, high = math.nan, 0.0, math.inf
    return Estimate("hill4", (Parameter("ec50", value, low, high, operator, unit, value, se, True),), status="ok")


def test_the_combination_is_the_t_interval_of_the_logarithms():
    values = [4e-6, 5e-6, 7e-6]
    joined = combine([experiment(value) for value in values])["ec50"]
    low, high = stats.t.interval(0.95, 2, np.log(values).mean(), stats.sem(np.log(values)))
    assert (joined.low, joined.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert joined.value == pytest.approx(stats.gmean(values))


def test_experiments_that_differ_by_more_than_their_errors_are_named():
    estimate = combine([experiment(value, se=0.02) for value in (1e-6, 2e-6, 4e-6)])
    assert estimate["i_squared"].value > 0.9
    assert estimate["sd_log10"].value == pytest.approx(np.std(np.log10([1, 2, 4]), ddof=1))
    assert "differ by more than their own errors" in estimate.notes[0]


def test_one_experiment_says_nothing_of_the_next_one():
    estimate = combine([experiment(5e-6)])
    assert "one experiment" in estimate.status
    assert estimate["ec50"].low == pytest.approx(4.5e-6)


def test_a_bound_among_the_experiments_makes_the_combination_a_bound():
    estimate = combine([experiment(5e-6), experiment(8e-6), experiment(1e-5, operator=">")])
    assert estimate["ec50"].operator == ">"
    assert math.isinf(estimate["ec50"].high)
    assert estimate["ec50"].value < stats.gmean([5e-6, 8e-6, 1e-5])
    assert "1 of 3 experiments give only a bound" in estimate.status


def test_bounds_in_both_directions_identify_nothing():
    estimate = combine([experiment(1e-5, operator=">"), experiment(1e-6, operator="<")])
    assert estimate["ec50"].operator == "?"
    assert "only from above, others only from below" in estimate.status


def test_experiments_without_an_answer_are_counted():
    estimate = combine([experiment(5e-6), experiment(6e-6), experiment(1, operator="?")])
    assert estimate["ec50"].operator == "="
    assert estimate.notes[0] == "1 of 3 experiments do not identify EC50."
    assert combine([experiment(1, operator="?")] * 2)["ec50"].operator == "?"


def test_nothing_and_mixed_units_are_refused():
    with pytest.raises(FitError, match="no experiment to combine"):
        combine([])
    with pytest.raises(FitError, match="different units"):
        combine([experiment(1), experiment(2, unit="")])


def test_a_ratio_of_combinations_is_a_welch_interval():
    a, b = [4e-6, 5e-6, 7e-6], [30e-6, 35e-6, 50e-6]
    ratio = compare(combine([experiment(v) for v in a]), combine([experiment(v) for v in b]), name="index")["index"]
    found = stats.ttest_ind(np.log(b), np.log(a), equal_var=False).confidence_interval(0.95)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(found.low), math.exp(found.high)))
    assert ratio.method == "two-stage Welch t"


@pytest.mark.parametrize(
    ("below", "above", "operator"),
    [
        ("=", ">", ">"),
        ("=", "<", "<"),
        (">", "=", "<"),
        ("<", "=", ">"),
        (">", "<", "<"),
        (">", ">", "?"),
        ("=", "?", "?"),
    ],
)
def test_operators_are_carried_through_a_ratio(below, above, operator):
    def side(kind):
        return combine([experiment(v, operator=kind) for v in (4e-6, 5e-6, 7e-6)])

    ratio = compare(side(below), side(above))["ratio"]
    assert ratio.operator == operator
    if operator == "?":
        assert math.isnan(ratio.value)
    else:
        assert math.isfinite(ratio.value)


def test_two_combinations_of_one_experiment_each_are_compared_by_the_joint_profile():
    rng = np.random.default_rng(1)
    doses = np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)
    fits = [
        fit(Response.of(np.r_[np.zeros(6), doses], np.r_[np.ones(6), 1 / (1 + doses / ec50)] + rng.normal(0, 0.03, 30)))
        for ec50 in (2e-6, 6e-6)
    ]
    ratio = compare(combine(fits[:1]), combine(fits[1:]))["ratio"]
    direct = compare(*fits)["ratio"]
    assert ratio.method == "joint profile"
    assert (ratio.low, ratio.high) == (direct.low, direct.high)


def test_a_ratio_over_one_experiment_says_so():
    ratio = compare(combine([experiment(4e-6)]), combine([experiment(v) for v in (3e-5, 4e-5)]))
    assert any("has one experiment" in note for note in ratio.notes)
