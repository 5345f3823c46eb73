"""Plates of one experiment into one value."""

import math

import numpy as np
import pytest
from experiments import experiment as plate
from scipy import stats

from halfmax.errors import FitError
from halfmax.estimate import average_plates, combine, fit_all
from halfmax.response import Response


def days_of(*values, names, **options):
    return average_plates([plate(value, **options) for value in values], experiments=names)


def test_an_experiment_is_the_mean_of_the_logarithms_with_the_pooled_error_between_plates():
    one, other = days_of(4e-6, 5e-6, 9e-6, 8e-6, 7e-6, names=["1", "1", "2", "2", "2"])
    logs = [np.log([4e-6, 5e-6]), np.log([9e-6, 8e-6, 7e-6])]
    pooled = math.sqrt(sum(((x - x.mean()) ** 2).sum() for x in logs) / 3)
    for day, own in ((one, logs[0]), (other, logs[1])):
        error = pooled / math.sqrt(own.size)
        half = stats.t.ppf(0.975, 3) * error
        ec50 = day["ec50"]
        assert ec50.value == pytest.approx(math.exp(own.mean()))
        assert (ec50.low, ec50.high) == pytest.approx((math.exp(own.mean() - half), math.exp(own.mean() + half)))
        assert (ec50.se, day.df, day.n) == pytest.approx((error, 3, own.size))
        assert day["sd_plate_log10"].value == pytest.approx(pooled / math.log(10))


def test_one_plate_an_experiment_is_left_as_it_is():
    found = days_of(4e-6, 5e-6, names=["1", "2"])
    assert [day["ec50"] for day in found] == [plate(4e-6)["ec50"], plate(5e-6)["ec50"]]
    assert "sd_plate_log10" not in found[0]


def test_a_plate_that_gives_only_a_bound_makes_its_experiment_a_bound():
    plates = [plate(4e-6), plate(9e-6, operator=">"), plate(5e-6)]
    one, other = average_plates(plates, experiments=["1", "1", "2"])
    assert one["ec50"].operator == ">"
    assert one["ec50"].value == pytest.approx(math.sqrt(0.9 * 4e-6 * 9e-6))
    assert "gives only a bound" in one.status
    assert other["ec50"].operator == "="
    (below,) = average_plates([plate(4e-6), plate(2e-6, operator="<")], experiments=["1", "1"])
    assert (below["ec50"].operator, below["ec50"].low) == ("<", 0.0)


def test_plates_that_contradict_or_say_nothing_identify_nothing():
    (torn,) = average_plates([plate(1e-5, operator=">"), plate(1e-6, operator="<")], experiments=["1", "1"])
    (silent,) = average_plates([plate(1e-5, operator="?")], experiments=["1"])
    assert torn["ec50"].operator == silent["ec50"].operator == "?"
    assert "do not identify EC50" in torn.status
    (rest,) = average_plates([plate(1e-5), plate(1.0, operator="?")], experiments=["1", "1"])
    assert rest["ec50"].value == 1e-5
    assert rest.notes == ("1 of 2 plates do not identify EC50.",)


def test_what_cannot_be_averaged_is_refused():
    with pytest.raises(FitError, match="no plate to average"):
        average_plates([])
    with pytest.raises(FitError, match=r"1 fits but 2 names of experiments\. Give one a fit"):
        average_plates([plate(1e-6)], experiments=["1", "2"])
    with pytest.raises(FitError, match=r"of which experiment plate 1 is\. Give the names as experiments="):
        average_plates([plate(1e-6)])


@pytest.mark.slow
def test_the_day_as_the_sample_holds_the_truth_where_plates_and_wells_do_not():
    """Three days of two plates, SD 0.1 decades between days and 0.03 between plates (docs/methods/between-days.md)."""
    rng = np.random.default_rng(5)
    dose = np.repeat([0, 0.3e-6, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4], 3)
    truth, sets = 8e-6, 300
    plates, pooled = [], []
    for _ in range(sets):
        percent = []
        for day in "123":
            shift = rng.normal(0, 0.1)
            for _ in range(2):
                ec50, top = truth * 10 ** (shift + rng.normal(0, 0.03)), rng.uniform(800, 2600)
                signal = top / (1 + (dose / ec50) ** 1.4) + rng.normal(0, 0.06 * top, dose.size)
                plates.append(Response.of(dose, signal, experiment=day))
                percent.append(100 * signal / signal[dose == 0].mean())
        pooled.append(Response.of(np.tile(dose, 6), np.concatenate(percent)))
    fits, wells = fit_all(plates), fit_all(pooled)
    groups = [fits[6 * k : 6 * k + 6] for k in range(sets)]
    hits = {
        "day": sum(holds(combine(average_plates(own)), truth) for own in groups),
        "plate": sum(holds(combine(own), truth) for own in groups),
        "well": sum(holds(own, truth) for own in wells),
    }
    assert stats.binom.cdf(hits["day"], sets, 0.95) > 0.001
    assert stats.binom.sf(hits["day"] - 1, sets, 0.95) > 0.001
    assert stats.binom.cdf(hits["plate"], sets, 0.92) < 0.001
    assert stats.binom.cdf(hits["well"], sets, 0.75) < 0.001


def holds(estimate, truth):
    return estimate["ec50"].low <= truth <= estimate["ec50"].high
