"""What must not matter to an estimate: units, scales, the order of rows and curves, and what is fitted beside it.

Batches change no digit at all.  Other scales change how numbers are rounded, and so the way of
the search, so that they are held to what a search promises: optima to `OPTIMUM`, ends of
intervals to `END` of the interval's half width.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfmax.curves import hill
from halfmax.estimate import fit_all, fit_arrays, fit_many
from halfmax.estimate import many as many_module
from halfmax.response import Response

FAMILIES = ("hill4", "hill3", "hill5", "weibull1", "lognormal")
#: Relative: the search ends when a step moves a logarithm by 1e-8, or gains 1e-14 of the sum of squares, which is flat
#: to 1e-7 of the parameters' errors there.
OPTIMUM = 1e-6
#: The threshold is met to 3e-6 of its root where the profile is smooth, and the ends with it.
END = 1e-5
#: Where a profile is hard to follow that is eased to 2e-3, and the ends of a narrow valley are flat.
HARD_END = 0.05


def realistic(rng):
    """A curve whose parameters the data determine: doses on both sides, three wells each."""
    dose = np.repeat(np.geomspace(1e-8, 1e-4, 9), 3)
    vehicle, kill = int(rng.choice([0, 6])), int(rng.choice([0, 4]))
    curve = hill(dose, ec50=10 ** rng.uniform(-6.8, -5.6), hill_slope=-rng.uniform(0.9, 2), top=1, bottom=0)
    level = np.r_[np.ones(vehicle), curve, np.zeros(kill)]
    signal = level + rng.normal(0, 0.04, level.size)
    return _response(dose, signal, vehicle, kill)


def ugly(rng):
    """A curve with few doses, anywhere, with missing wells, outliers, integers or much noise."""
    dose = np.repeat(np.geomspace(1e-9, 10 ** rng.uniform(-5, -3), rng.integers(6, 13)), rng.integers(1, 5))
    vehicle, kill = int(rng.integers(0, 7)), int(rng.choice([0, 0, 4]))
    ec50 = 10 ** rng.uniform(-9, -3)
    curve = hill(dose, ec50=ec50, hill_slope=-rng.uniform(0.3, 6), top=1, bottom=rng.choice([0.0, 0.1, 0.6]))
    level = np.r_[np.ones(vehicle), curve, np.full(kill, rng.choice([0.0, 0.1]))]
    signal = level + rng.normal(0, rng.choice([0.01, 0.06, 0.3]), level.size)
    kind = rng.integers(5)
    if kind == 0:
        signal[rng.random(signal.size) < 0.1] = np.nan
    elif kind == 1:
        signal[rng.integers(signal.size)] = 8.0
    elif kind == 2:
        signal = np.round(10 * signal)
    elif kind == 3:
        signal = 1e4 + 3e3 * signal
    return _response(dose, signal, vehicle, kill)


def _response(dose, signal, vehicle, kill):
    role = ["vehicle"] * vehicle + ["sample"] * dose.size + ["kill"] * kill
    return Response.of(np.r_[np.zeros(vehicle), dose, np.full(kill, np.nan)], signal, role=role)


def curves(number, kind=ugly, seed=0):
    rng = np.random.default_rng(seed)
    return [kind(rng) for _ in range(number)]


def changed(response, *, dose=1.0, gain=1.0, offset=0.0, order=None):
    """The same wells in other units, or in another order."""
    order = np.arange(response.signal.size) if order is None else order
    return Response.of(
        response.concentration[order] * dose, response.signal[order] * gain + offset, role=response.role[order].tolist()
    )


def digits(estimate):
    """Every number of an estimate, exactly, and its words."""
    numbers = [estimate.rss, estimate.df, estimate.n, estimate.p_flat, estimate.p_full, estimate.p_curve]
    for p in estimate.parameters:
        numbers += [p.value, p.low, p.high, p.best, p.se, p.delta_low, p.delta_high]
    numbers += [] if estimate.covariance is None else estimate.covariance.ravel().tolist()
    return [float(number).hex() for number in numbers], estimate.status, estimate.notes


def all_digits(estimates):
    return [digits(estimate) for estimate in estimates]


# Batches


@pytest.mark.parametrize("model", FAMILIES)
def test_merging_batches_changes_no_digit(model):
    """Different doses, numbers of wells and controls in one batch, so that most curves are padded."""
    one, other = curves(14), curves(13, seed=1)
    assert all_digits(fit_all(one + other, model)) == all_digits(fit_all(one, model) + fit_all(other, model))


def test_merging_curves_of_one_design_changes_no_digit():
    one, other = curves(25, realistic), curves(7, realistic, seed=1)
    assert all_digits(fit_all(one + other)) == all_digits(fit_all(one) + fit_all(other))


@pytest.mark.parametrize(
    "asked", [{"fixed": {"bottom": 0.0}}, {"fixed": {"hill_slope": -1.0}}, {"bounds": {"top": (0.9, 1.2)}}]
)
def test_merging_batches_with_held_and_bounded_parameters_changes_no_digit(asked):
    one, other = curves(9), curves(8, seed=1)
    assert all_digits(fit_all(one + other, **asked)) == all_digits(fit_all(one, **asked) + fit_all(other, **asked))


def test_a_curve_alone_has_the_digits_that_it_has_among_a_thousand():
    responses = curves(500) + curves(500, realistic)
    together = fit_all(responses)
    for index in range(0, 1000, 29):
        assert digits(fit_all([responses[index]])[0]) == digits(together[index]), index


@pytest.mark.parametrize("model", FAMILIES)
def test_the_order_of_curves_changes_no_digit(model):
    responses = curves(20)
    order = np.random.default_rng(5).permutation(20)
    found = all_digits(fit_all(responses, model))
    assert all_digits(fit_all([responses[i] for i in order], model)) == [found[i] for i in order]


@pytest.mark.parametrize("model", FAMILIES)
def test_the_order_of_wells_changes_no_digit(model):
    rng = np.random.default_rng(6)
    responses = curves(20)
    shuffled = [changed(one, order=rng.permutation(one.signal.size)) for one in responses]
    assert all_digits(fit_all(shuffled, model)) == all_digits(fit_all(responses, model))


def test_names_of_wells_and_plates_change_no_digit():
    for one in curves(5):
        number = range(one.signal.size)
        wells, plates = [f"A{i + 1}" for i in number], [f"plate {i % 3}" for i in number]
        named = Response.of(one.concentration, one.signal, role=one.role.tolist(), well=wells, plate=plates)
        assert all_digits(fit_all([named])) == all_digits(fit_all([one]))


def rows(fits):
    """Every number of each row of an array of fits, exactly."""
    columns = [*fits.best.values(), *fits.low.values(), *fits.high.values(), fits.rss, fits.df, fits.converged]
    return [[float(number).hex() for number in row] for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("model", [*FAMILIES, "association"])
def test_a_row_of_an_array_has_its_digits_whatever_the_other_rows_are(model, missing):
    rng = np.random.default_rng(2)
    dose = np.repeat(np.geomspace(1e-8, 1e-4, 9), 3)
    curve = [hill(dose, ec50=10 ** rng.uniform(-9, -3), hill_slope=-1, top=1, bottom=0.1) for _ in range(40)]
    signal = np.array(curve) + rng.normal(0, 0.08, (40, dose.size))
    signal[rng.random(signal.shape) < missing] = np.nan
    together = rows(fit_arrays(dose, signal, model))
    parts = [signal[:1], signal[1:3], signal[3:16], signal[16:]]
    assert [row for part in parts for row in rows(fit_arrays(dose, part, model))] == together
    assert rows(fit_arrays(dose, signal[::-1], model)) == together[::-1]
    assert rows(fit_arrays(dose, np.asfortranarray(signal), model)) == together


def test_records_do_not_depend_on_the_size_of_a_batch(monkeypatch):
    labelled = [({"compound": str(number)}, response) for number, response in enumerate(curves(23))]
    whole = [record for batch in fit_many(labelled) for record in batch]
    monkeypatch.setattr(many_module, "BATCH", 5)
    parts = list(fit_many(labelled))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    assert [record for part in parts for record in part] == whole


# Scales


def assert_same_curve(one, other, *, dose=1.0, gain=1.0, offset=0.0, end=END):
    """The second estimate is the first in other units: only what has the unit changes."""
    assert other.status.split(":")[0].split(",")[0] == one.status.split(":")[0].split(",")[0]
    assert other.p_flat == pytest.approx(one.p_flat, rel=1e-4, abs=1e-12, nan_ok=True)
    for p in one.parameters:
        q = other[p.name]
        factor, shift = {"ec50": (dose, 0.0), "top": (gain, offset), "bottom": (gain, offset)}.get(p.name, (1.0, 0.0))
        assert q.operator == p.operator, p.name
        scale = (lambda x: math.log(x)) if p.log else (lambda x: x)
        width = 1.0 if p.log else max(abs(p.best), 1.0) * factor
        assert scale(q.best) == pytest.approx(scale(p.best * factor + shift), abs=OPTIMUM * abs(width)), p.name
        if p.operator == "=":
            half = (scale(p.high * factor + shift) - scale(p.low * factor + shift)) / 2
            for before, after in ((p.low, q.low), (p.high, q.high)):
                assert scale(after) == pytest.approx(scale(before * factor + shift), abs=end * half), p.name


@pytest.mark.parametrize("model", FAMILIES)
def test_another_unit_of_the_dose_moves_the_ec50_and_nothing_else(model):
    responses = curves(20, realistic)
    moved = fit_all([changed(one, dose=123.4) for one in responses], model)
    for one, other in zip(fit_all(responses, model), moved, strict=True):
        assert_same_curve(one, other, dose=123.4, end=HARD_END if model == "hill5" else END)


@settings(max_examples=20, deadline=None)
@given(st.floats(-250, 250), st.integers(0, 10**6))
def test_doses_of_any_size_are_the_same_curve(decades, seed):
    (one,) = curves(1, realistic, seed)
    factor = 10.0**decades
    assert_same_curve(*fit_all([one, changed(one, dose=factor)]), dose=factor)


@pytest.mark.parametrize("model", [name for name in FAMILIES if name != "hill3"])
def test_another_scale_and_zero_of_the_signal_move_the_plateaus_and_nothing_else(model):
    responses = curves(20, realistic)
    moved = fit_all([changed(one, gain=3.7, offset=11.0) for one in responses], model)
    for one, other in zip(fit_all(responses, model), moved, strict=True):
        assert_same_curve(one, other, gain=3.7, offset=11.0, end=HARD_END if model == "hill5" else END)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1e-30, 1e-9, 1e9, 1e30]), st.integers(0, 10**6))
def test_signals_of_any_size_are_the_same_curve(gain, seed):
    (one,) = curves(1, realistic, seed)
    assert_same_curve(*fit_all([one, changed(one, gain=gain)]), gain=gain)


@pytest.mark.parametrize("model", ["hill4", "hill3"])
def test_signals_times_a_power_of_two_keep_every_digit(model):
    """Such a scale changes no rounding: any other digit would come from a constant with a hidden unit."""
    responses = curves(40)
    scaled = fit_all([changed(one, gain=2.0**40) for one in responses], model)
    for one, other in zip(fit_all(responses, model), scaled, strict=True):
        assert other.status == one.status
        for p in one.parameters:
            factor = 2.0**40 if p.name in ("top", "bottom") else 1.0
            q = other[p.name]
            assert (q.low, q.best, q.high) == (p.low * factor, p.best * factor, p.high * factor)


@pytest.mark.parametrize("model", FAMILIES)
def test_ugly_curves_in_another_unit_are_nearly_always_the_same(model):
    """Where a profile has several valleys the way of the search may decide which are found: in a hundredth of them.

    Curves without any scatter are left out: their intervals are rounding.
    """
    responses = curves(60, seed=3)
    moved = fit_all([changed(one, dose=1e3) for one in responses], model)
    ends, off = 0, 0
    for one, other in zip(fit_all(responses, model), moved, strict=True):
        for p in one.parameters if one.rss > 1e-9 else ():
            q, factor = other[p.name], 1e3 if p.name == "ec50" else 1.0
            ends += 1
            if p.operator != q.operator:
                off += 1
            elif p.operator == "=" and p.high > p.low:
                scale = np.log if p.log else np.asarray
                half = (scale(p.high) - scale(p.low)) / 2
                moves = abs(scale(q.low) - scale(p.low * factor)), abs(scale(q.high) - scale(p.high * factor))
                off += bool(max(moves) > HARD_END * half)
    assert off <= 0.01 * ends


@pytest.mark.parametrize("model", ["hill4", "lognormal"])
def test_the_mirrored_dose_axis_turns_the_sign_of_the_slope_and_nothing_else(model):
    """x → 1/x, for the families that are their own mirror images."""
    rng = np.random.default_rng(8)
    responses = [realistic(rng) for _ in range(12)]
    samples = [Response.of(r.concentration[r.role == "sample"], r.signal[r.role == "sample"]) for r in responses]
    mirrored = [Response.of(1e-12 / one.concentration, one.signal) for one in samples]
    for one, other in zip(fit_all(samples, model), fit_all(mirrored, model), strict=True):
        assert other["ec50"].value == pytest.approx(1e-12 / one["ec50"].value, rel=OPTIMUM)
        assert (other["ec50"].low, other["ec50"].high) == pytest.approx(
            (1e-12 / one["ec50"].high, 1e-12 / one["ec50"].low), rel=END
        )
        assert (other["hill_slope"].low, other["hill_slope"].high) == pytest.approx(
            (-one["hill_slope"].high, -one["hill_slope"].low), rel=END
        )
        for name in ("top", "bottom"):
            assert other[name].value == pytest.approx(one[name].value, abs=OPTIMUM)
            assert (other[name].low, other[name].high) == pytest.approx((one[name].low, one[name].high), abs=END)
        assert other.rss == pytest.approx(one.rss, rel=1e-9)


@pytest.mark.parametrize("model", ["association", "dissociation"])
def test_another_unit_of_time_moves_the_rate_and_nothing_else(model):
    rng = np.random.default_rng(9)
    time = np.tile(np.linspace(0, 60, 16), 2)
    for number in range(12):
        signal = 1 - 0.8 * np.exp(-rng.uniform(0.05, 0.3) * time) + rng.normal(0, 0.03, time.size)
        minutes, seconds = fit_all([Response.of(t, signal, role="sample") for t in (time, 60 * time)], model)
        rate = minutes.parameters[0]
        for p in minutes.parameters:
            factor = 1 / 60 if p.name == rate.name else 1.0
            q = seconds[p.name]
            assert (q.low, q.value, q.high) == pytest.approx(
                (p.low * factor, p.value * factor, p.high * factor), rel=END, abs=END * factor * (p.high - p.low)
            ), number
