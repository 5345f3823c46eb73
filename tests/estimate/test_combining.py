"""Experiments into one value."""

import math

import numpy as np
import pytest
from experiments import experiment
from scipy import stats

from halfmax.errors import FitError
from halfmax.estimate import Estimate, Parameter, average_plates, combine


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


def test_the_spread_between_experiments_has_its_chi_square_interval():
    logs = np.log10([4e-6, 5e-6, 7e-6])
    sd = combine([experiment(10**value) for value in logs])["sd_log10"]
    variance = np.var(logs, ddof=1)
    low, high = (2 * variance / stats.chi2.ppf(q, 2) for q in (0.975, 0.025))
    assert (sd.low, sd.high) == pytest.approx((math.sqrt(low), math.sqrt(high)))


def test_own_errors_are_taken_off_the_spread_but_never_below_zero():
    values = [4e-6, 5e-6, 7e-6]
    total = np.var(np.log10(values), ddof=1)
    own = np.mean([(0.1 / math.log(10)) ** 2] * 3)
    tau = combine([experiment(value, se=0.1) for value in values])["tau_log10"].value
    assert tau == pytest.approx(math.sqrt(total - own))
    assert combine([experiment(value, se=2.0) for value in values])["tau_log10"].value == 0.0


def test_the_next_experiment_is_expected_in_the_prediction_interval_of_a_sample():
    values = [4e-6, 5e-6, 7e-6]
    found = combine([experiment(value) for value in values])["ec50_next"]
    logs = np.log(values)
    reach = stats.t.ppf(0.975, 2) * logs.std(ddof=1) * math.sqrt(1 + 1 / 3)
    assert (found.low, found.high) == pytest.approx((math.exp(logs.mean() - reach), math.exp(logs.mean() + reach)))


def test_a_parameter_that_is_not_on_its_logarithm_is_averaged_as_it_is():
    slopes = [-1.2, -1.5, -1.9]
    estimates = [Estimate("hill4", (Parameter("hill_slope", v, v - 1, v + 1, best=v, se=0.1),)) for v in slopes]
    for method in ("two-stage t", "random effects"):
        joined = combine(estimates, parameter="hill_slope", method=method)
        assert joined["hill_slope"].low < np.mean(slopes) < joined["hill_slope"].high
        assert joined["sd"].value == pytest.approx(np.std(slopes, ddof=1))
        assert "sd_log10" not in joined


def test_with_equal_errors_random_effects_are_the_two_stage_interval():
    values = [4e-6, 5e-6, 9e-6]
    weighted = combine([experiment(value, se=0.05) for value in values], method="random effects")["ec50"]
    plain = combine([experiment(value, se=0.05) for value in values])["ec50"]
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_random_effects_let_a_poor_experiment_count_less():
    estimates = [experiment(5e-6, se=0.02), experiment(5.2e-6, se=0.02), experiment(2e-5, se=1.0)]
    weighted, plain = combine(estimates, method="random effects")["ec50"], combine(estimates)["ec50"]
    assert abs(math.log(weighted.value / 5.1e-6)) < 0.05 < abs(math.log(plain.value / 5.1e-6))


def test_random_effects_say_that_experiments_that_agree_do_not_show_that_they_always_will():
    estimate = combine([experiment(v, se=0.3) for v in (5e-6, 5.1e-6, 5.2e-6)], method="random effects")
    assert estimate["tau_log10"].value == 0
    assert any("estimated as zero" in note for note in estimate.notes)
    assert any("held at 1" in note for note in estimate.notes)
    plain = 0.3 / math.sqrt(3) * stats.t.ppf(0.975, 2)
    assert math.log(estimate["ec50"].high / estimate["ec50"].value) == pytest.approx(plain)


def test_random_effects_predict_the_next_experiment_after_higgins_and_two_cannot():
    values, error = [4e-6, 5e-6, 9e-6], 0.1
    found = combine([experiment(value, se=error) for value in values], method="random effects")["ec50_next"]
    total = np.var(np.log(values), ddof=1)
    reach = stats.t.ppf(0.975, 1) * math.sqrt(total - error**2 + total / 3)
    assert math.log(found.high / found.value) == pytest.approx(reach)
    two = combine([experiment(value) for value in (4e-6, 9e-6)], method="random effects")["ec50_next"]
    assert (two.operator, two.high) == ("?", math.inf)


def test_bounds_have_no_weight_so_random_effects_fall_back_on_the_two_stages():
    estimates = [experiment(5e-6), experiment(8e-6), experiment(1e-5, operator=">")]
    weighted, plain = combine(estimates, method="random effects"), combine(estimates)
    assert (weighted["ec50"].operator, weighted["ec50"].value) == (">", plain["ec50"].value)
    assert any("A bound has no standard error" in note for note in weighted.notes)


def test_an_unknown_method_and_missing_errors_are_refused():
    with pytest.raises(FitError, match=r'no method "random"\. Did you mean "random effects"'):
        combine([experiment(5e-6), experiment(6e-6)], method="random")
    with pytest.raises(FitError, match=r"must be positive and finite, found 0\.05, nan\. Use the two-stage t"):
        combine([experiment(5e-6), experiment(6e-6, se=math.nan)], method="random effects")


def test_plates_are_counted_within_their_experiment_and_never_as_experiments():
    days = {"1": [4e-6, 4.4e-6], "2": [7e-6, 6e-6, 6.4e-6], "3": [5e-6]}
    plates = [experiment(value) for values in days.values() for value in values]
    joined = combine(average_plates(plates, experiments=[day for day, v in days.items() for _ in v]))
    means = [np.log(values).mean() for values in days.values()]
    low, high = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    assert (joined.n, joined.df) == (3, 2)
    assert (joined["ec50"].low, joined["ec50"].high) == pytest.approx((math.exp(low), math.exp(high)))
    within = [np.log10(value) - np.log10(values).mean() for values in days.values() for value in values]
    assert joined["sd_plate_log10"].value == pytest.approx(math.sqrt(np.square(within).sum() / 3))
    own = np.square(within).sum() / 3 * np.mean([1 / 2, 1 / 3, 1])
    assert joined["tau_log10"].value == pytest.approx(math.sqrt(np.var(np.array(means) / math.log(10), ddof=1) - own))
