"""Curves that no sane instrument writes: each gets an answer, none an exception, and every number is an honest one."""

import json
import math

import numpy as np
import pytest

from halfmax.curves import MODELS, hill
from halfmax.estimate import fit_all, fit_arrays
from halfmax.response import Response

#: What a status may begin with.
ANSWERS = {"ok", "open", "no curve", "not converged", "refused"}
ROLES = np.array(["sample", "vehicle", "kill", "blank"])


def design(rng):
    """Doses of a common experiment, in random order."""
    decades = rng.integers(1, 7)
    doses = np.geomspace(10.0 ** (-4 - decades), 1e-4, rng.integers(4, 12))
    return rng.permutation(np.repeat(doses, rng.integers(1, 5)))


def falling(dose, rng, noise=0.05):
    """A curve that falls from 1, with noise."""
    mean = hill(dose, ec50=10 ** rng.uniform(-8, -4), hill_slope=-rng.uniform(0.3, 5), top=1, bottom=rng.uniform(0, 1))
    return mean + rng.normal(0, noise, dose.size)


def one_dose(rng):
    return np.full(6, 1e-6), rng.normal(1, 0.1, 6)


def two_doses(rng):
    return np.repeat([1e-6, 1e-5], 4), rng.normal(1, 0.1, 8)


def two_doses_and_a_vehicle(rng):
    return np.repeat([0, 1e-6, 1e-5], 4), rng.normal(1, 0.1, 12)


def a_single_well(rng):
    return np.array([1e-6]), rng.normal(1, 0.1, 1)


def nothing(rng):  # noqa: ARG001
    return np.empty(0), np.empty(0)


def vehicle_only(rng):
    return np.zeros(8), rng.normal(1, 0.1, 8)


def zeros(rng):
    dose = design(rng)
    return dose, np.zeros(dose.size)


def negative_zeros(rng):
    dose = design(rng)
    return dose, np.where(rng.random(dose.size) < 0.5, 0.0, -0.0)


def all_missing(rng):
    dose = design(rng)
    return dose, np.full(dose.size, np.nan)


def half_missing(rng):
    dose = design(rng)
    return dose, np.where(rng.random(dose.size) < 0.5, np.nan, falling(dose, rng))


def all_missing_but_one_dose(rng):
    dose = design(rng)
    return dose, np.where(dose == dose[0], 1.0, np.nan)


def noise(rng):
    dose = design(rng)
    return dose, rng.normal(1, 0.1, dose.size)


def noise_round_zero(rng):
    dose = design(rng)
    return dose, rng.normal(0, 1, dose.size)


def heavy_tails(rng):
    dose = design(rng)
    return dose, rng.standard_cauchy(dose.size) ** 3


def a_scale(rng):
    """Signals of any size that a double can hold."""
    dose = design(rng)
    return dose, falling(dose, rng) * 10.0 ** rng.integers(-300, 300)


def as_small_as_can_be(rng):
    dose = design(rng)
    return dose, falling(dose, rng) * 1e-300


def as_large_as_can_be(rng):
    dose = design(rng)
    return dose, falling(dose, rng) * 1e300


def subnormal_signals(rng):
    dose = design(rng)
    return dose, 5e-324 * rng.integers(0, 9, dose.size)


def signals_at_the_edge_of_squares(rng):
    dose = design(rng)
    return dose, falling(dose, rng) * rng.choice([1e-141, 1.1e-140, 1e-139, 1e-120, 1e120, 1e138, 0.9e140, 1e141])


def sizes_of_every_order(rng):
    dose = design(rng)
    return dose, 10.0 ** rng.uniform(-130, 130, dose.size) * rng.choice([-1, 1], dose.size)


def far_doses(rng):
    return np.repeat([1e-300, 1e-6, 1e300], 3), rng.normal(1, 0.1, 9)


def doses_over_600_decades(rng):
    dose = np.repeat(np.geomspace(1e-300, 1e300, 9), rng.integers(1, 4))
    return dose, hill(dose, ec50=1.0, hill_slope=-0.1, top=1, bottom=0) + rng.normal(0, 0.05, dose.size)


def subnormal_doses(rng):
    dose = np.repeat(5e-324 * np.array([1, 2, 5, 20, 100, 1000]), 3)
    return dose, np.linspace(1, 0, dose.size) + rng.normal(0, 0.05, dose.size)


def nearly_equal_doses(rng):
    dose = np.repeat(1e-6 * (1 + np.arange(6) * 1e-15), 3)
    return dose, rng.normal(1, 0.1, dose.size)


def doses_a_millionth_apart(rng):
    dose = np.repeat(1e-6 * (1 + np.arange(6) * 1e-6), 3)
    return dose, falling(np.repeat(np.geomspace(1e-8, 1e-4, 6), 3), rng)


def tiny_and_huge_doses(rng):
    dose = design(rng) * rng.choice([1e-290, 1e-200, 1e200, 1e290])
    return dose, rng.normal(1, 0.1, dose.size)


def steps(rng):
    dose = design(rng)
    return dose, (dose > rng.choice(dose)) * 1.0


def two_steps(rng):
    dose = design(rng)
    return dose, (dose > rng.choice(dose)) * 1.0 + (dose > rng.choice(dose)) * rng.choice([-1.0, 1.0])


def a_comb(rng):
    dose = design(rng)
    return dose, np.unique(dose, return_inverse=True)[1] % 2 + 0.0


def reversed_and_without_noise(rng):
    dose = design(rng)
    return dose, 1 / (1 + 1e-6 / dose)


def without_noise(rng):
    dose = design(rng)
    return dose, falling(dose, rng, noise=0.0)


def a_straight_line(rng):
    dose = design(rng)
    return dose, np.log(dose) * rng.choice([-1, 1])


def in_proportion_to_the_dose(rng):
    dose = design(rng)
    return dose, dose * rng.choice([-1, 1])


def tiny_variance(rng):
    dose = design(rng)
    return dose, 1 + rng.normal(0, 1e-15, dose.size)


def a_huge_offset(rng):
    dose = design(rng)
    return dose, falling(dose, rng) + rng.choice([-1, 1]) * 10.0 ** rng.integers(6, 17)


def one_giant_outlier(rng):
    dose = design(rng)
    signal = falling(dose, rng)
    signal[rng.integers(dose.size)] = rng.choice([-1, 1]) * 10.0 ** rng.integers(3, 130)
    return dose, signal


def constant_but_for_one(rng):
    dose = design(rng)
    signal = np.ones(dose.size)
    signal[rng.integers(dose.size)] += rng.choice([-1e-12, 1e-6, 1.0, 1e8])
    return dose, signal


def constant_but_for_one_dose(rng):
    dose = design(rng)
    return dose, np.where(dose == rng.choice(dose), 2.0, 1.0)


def integers(rng):
    dose = design(rng)
    return dose, rng.integers(0, 3, dose.size).astype(float)


def counts(rng):
    dose = design(rng)
    return dose, rng.poisson(np.maximum(5 * falling(dose, rng), 0)).astype(float)


def signs(rng):
    dose = design(rng)
    return dose, rng.choice([-1.0, 1.0], dose.size)


def every_row_twice(rng):
    dose = design(rng)
    return np.tile(dose, 2), np.tile(falling(dose, rng), 2)


def every_row_a_hundred_times(rng):
    dose = np.geomspace(1e-8, 1e-4, 6)
    return np.tile(dose, 100), np.tile(falling(dose, rng), 100)


def a_single_replicate(rng):
    dose = np.geomspace(1e-8, 1e-4, rng.integers(5, 9))
    return dose, falling(dose, rng)


def five_doses_exactly(rng):
    """As many doses as parameters and one: the residuals have one degree of freedom."""
    dose = np.geomspace(1e-8, 1e-4, 5)
    return dose, rng.normal(1, 0.3, 5)


def a_bell(rng):
    dose = design(rng)
    at = np.log(dose / 1e-6)
    return dose, np.exp(-at * at) + rng.normal(0, 0.02, dose.size)


def saturated(rng):
    dose = design(rng)
    return dose, np.minimum(falling(dose, rng), 0.7)


def every_well_its_own_dose(rng):
    dose = np.sort(10 ** rng.uniform(-9, -4, 60))
    return dose, falling(dose, rng, noise=0.3)


HOSTILE = (
    one_dose, two_doses, two_doses_and_a_vehicle, a_single_well, nothing, vehicle_only, zeros, negative_zeros,
    all_missing, half_missing, all_missing_but_one_dose, noise, noise_round_zero, heavy_tails, a_scale,
    as_small_as_can_be, as_large_as_can_be, subnormal_signals, signals_at_the_edge_of_squares, sizes_of_every_order,
    far_doses, doses_over_600_decades, subnormal_doses, nearly_equal_doses, doses_a_millionth_apart,
    tiny_and_huge_doses, steps, two_steps, a_comb, reversed_and_without_noise, without_noise, a_straight_line,
    in_proportion_to_the_dose, tiny_variance, a_huge_offset, one_giant_outlier, constant_but_for_one,
    constant_but_for_one_dose, integers, counts, signs, every_row_twice, every_row_a_hundred_times,
    a_single_replicate, five_doses_exactly, a_bell, saturated, every_well_its_own_dose,
)  # fmt: skip
#: These can never be fitted.
HOPELESS = (one_dose, two_doses, a_single_well, nothing, vehicle_only, all_missing, all_missing_but_one_dose,
            as_large_as_can_be)  # fmt: skip


def response(kind, rng):
    """A hostile response; every third one with control wells, good, bad or absurd ones."""
    dose, signal = kind(rng)
    role = np.where(dose == 0, "vehicle", "sample")
    if rng.random() < 1 / 3:
        size = int(rng.integers(1, 9))
        level = rng.choice([0.0, 0.1, 1.0, -3.0, 1e6]) + rng.choice([0.0, 0.05]) * rng.normal(size=size)
        dose, signal = np.r_[dose, np.full(size, np.nan)], np.r_[signal, level]
        role = np.r_[role, np.full(size, rng.choice(["kill", "blank"]))]
    return Response.of(dose, signal, role=role.tolist())


def assert_honest(estimate):
    """A sentence, and numbers that are finite or openly not."""
    assert estimate.status.split(":")[0].split(",")[0] in ANSWERS
    assert estimate.status == "ok" or len(estimate.status.split()) >= 3
    json.dumps(estimate.record(), allow_nan=False)
    refused = estimate.status.startswith("refused")
    assert refused == math.isnan(estimate.rss)
    for p in (estimate.p_flat, estimate.p_full, estimate.p_curve):
        assert math.isnan(p) or 0 <= p <= 1
    if not refused:
        assert 0 <= estimate.rss < math.inf
        assert estimate.df >= 1
    for one in estimate.parameters:
        floor = 0.0 if one.log else -math.inf
        if refused:
            assert (one.operator, math.isnan(one.value), math.isnan(one.best)) == ("?", True, True)
            continue
        assert math.isfinite(one.best)
        assert floor <= one.low <= one.high
        assert one.se >= 0
        if one.operator == "=":
            assert floor < one.low <= one.value == one.best <= one.high < math.inf
        elif one.operator == ">":
            assert floor < one.low == one.value < one.high == math.inf
        elif one.operator == "<":
            assert one.low == floor
            assert one.value == one.high < math.inf
        else:
            assert math.isnan(one.value)
            assert (one.low, one.high) == (floor, math.inf)


def assert_answered(kinds, responses, model):
    """Fit all, and hold each estimate against what an answer may be."""
    for number, (kind, estimate) in enumerate(zip(kinds, fit_all(responses, model), strict=True)):
        try:
            assert_honest(estimate)
        except AssertionError as error:
            raise AssertionError(f"{model}, curve {number}, {kind.__name__}: {estimate}") from error
        if kind in HOPELESS and model == "hill4":
            assert estimate.status.startswith("refused"), kind.__name__
        if kind in (zeros, negative_zeros) and model == "hill4" and not estimate.status.startswith("refused"):
            assert estimate["ec50"].operator in "?>", kind.__name__


@pytest.mark.parametrize("model", ["hill4", "weibull1", "association"])
def test_each_kind_of_hostile_curve_has_an_answer(model):
    rng = np.random.default_rng(2)
    kinds = [kind for kind in HOSTILE for _ in range(6)]
    assert_answered(kinds, [response(kind, rng) for kind in kinds], model)


@pytest.mark.slow
def test_ten_thousand_hostile_curves_have_an_answer_each():
    rng = np.random.default_rng(1)
    for _ in range(10):
        kinds = [HOSTILE[index % len(HOSTILE)] for index in range(1000)]
        assert_answered(kinds, [response(kind, rng) for kind in kinds], "hill4")


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_family_answers_hostile_curves(model):
    rng = np.random.default_rng(4)
    kinds = [kind for kind in HOSTILE for _ in range(6)]
    assert_answered(kinds, [response(kind, rng) for kind in kinds], model)


def test_the_plateau_beyond_a_step_at_the_last_dose_is_open():
    """Every lower plateau below 9 fits without any residual, with an EC50 farther above the doses."""
    dose = np.repeat(np.geomspace(1e-9, 1e-4, 6), 3)
    (estimate,) = fit_all([Response.of(dose, np.where(dose > 5e-5, 9.0, 10.0))])
    assert estimate["bottom"].operator in "<?"
    assert estimate["ec50"].operator == ">"


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
def test_arrays_of_hostile_curves_hold_honest_numbers(kind):
    """A kind's doses with all kinds of signals, as rows of one array."""
    rng = np.random.default_rng(3)
    for model in ("hill4", "hill3", "weibull1", "brain_cousens", "association"):
        dose, signal = kind(rng)
        rows = [signal, np.zeros(dose.size), np.full(dose.size, np.nan), rng.normal(1, 0.1, dose.size), signal[::-1]]
        fits = fit_arrays(dose, np.array(rows), model)
        for name, best in fits.best.items():
            low, high = fits.low[name], fits.high[name]
            fitted = ~np.isnan(best)
            assert np.isfinite(best[fitted]).all(), (kind.__name__, name)
            assert (low[fitted] <= best[fitted]).all(), (kind.__name__, name)
            assert (best[fitted] <= high[fitted]).all(), (kind.__name__, name)
            assert (np.isnan(fits.rss) == ~fitted).all(), (kind.__name__, name)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hill4", "hill3"])
@pytest.mark.parametrize(("vehicle", "kill"), [(0, 0), (8, 0), (0, 8), (8, 8), (4, 3)])
@pytest.mark.parametrize(("doses", "wells"), [(8, 3), (20, 2)])
def test_flat_noise_is_no_curve_in_95_percent(doses, wells, vehicle, kill, model):
    """4000 responses without any effect, with and without control wells."""
    rng = np.random.default_rng(2)
    sample = np.repeat(np.geomspace(1e-9, 1e-4, doses), wells)
    dose = np.r_[np.zeros(vehicle), sample, np.full(kill, np.nan)]
    role = ["vehicle"] * vehicle + ["sample"] * sample.size + ["kill"] * kill
    level = np.r_[np.ones(dose.size - kill), np.full(kill, 0.0 if model == "hill3" else 0.1)]
    rows = [Response.of(dose, level + rng.normal(0, 0.05, dose.size), role=role) for _ in range(4000)]
    silent = np.mean([estimate.status.startswith("no curve") for estimate in fit_all(rows, model)])
    print(f"{model}, {doses} doses × {wells}, {vehicle} vehicle and {kill} kill wells: {100 * silent:.1f} % no curve")
    assert 0.94 <= silent <= 0.96
