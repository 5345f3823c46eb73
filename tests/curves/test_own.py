"""A user's own curve: what is accepted, what is refused in words, and that it is fitted like the others."""

from __future__ import annotations

import numpy as np
import pytest

from halfmax import Response, fit
from halfmax.curves import curve, own_curve
from halfmax.errors import FitError, RangeError

X = np.linspace(0.5, 12.0, 24)
NOISE = np.random.default_rng(5).normal(0.0, 0.02, X.size)


def decay(x, a, k, floor):
    """Floor + a * exp(-k x)."""
    return floor + a * np.exp(-k * x)


def made(**chosen):
    return own_curve(decay, **{"starts": {"k": 1.0}, "linear": ["a", "floor"], "positive": ["k"]} | chosen)


def test_it_has_the_names_and_the_words_of_its_function():
    one = made()
    assert one.name == "decay"
    assert one.equation == "Floor + a * exp(-k x)."
    assert one.parameters == one.outside_names == ("k", "a", "floor")
    assert one.page == "own"
    assert made(name="mine", reference="me").reference == "me"


def test_its_value_is_that_of_the_function():
    np.testing.assert_allclose(made().value(X, a=2.0, k=0.4, floor=1.0), decay(X, 2.0, 0.4, 1.0), rtol=1e-14)


def test_its_slopes_are_those_of_the_function():
    slopes = made().derivative(X, a=2.0, k=0.4, floor=1.0)
    fall = np.exp(-0.4 * X)
    np.testing.assert_allclose(slopes[:, 0], -2.0 * 0.4 * X * fall, rtol=1e-8)
    np.testing.assert_allclose(slopes[:, 1:], np.stack([fall, np.ones_like(X)], axis=1), rtol=1e-12)


def test_slopes_at_a_limit_are_taken_from_within():
    root = own_curve(lambda x, b: np.sqrt(b + x), starts={"b": 0.0}, limits={"b": (0.0, 5.0)})
    slope = root.derivative([1.0, 4.0], b=0.0)[:, 0]
    np.testing.assert_allclose(slope, [0.5, 0.25], rtol=1e-6)


def test_linear_parameters_make_no_difference_to_the_answer():
    response = Response.of(X, decay(X, 2.0, 0.4, 1.0) + NOISE)
    one = fit(response, made())
    two = fit(response, own_curve(decay, starts={"k": 1.0, "a": 1.0, "floor": 0.5}))
    assert one.status == two.status == "ok"
    for name in ("a", "k", "floor"):
        assert one[name].best == pytest.approx(two[name].best, rel=1e-7)
        assert one[name].low == pytest.approx(two[name].low, rel=1e-4)
        assert one[name].high == pytest.approx(two[name].high, rel=1e-4)
    assert one["a"].se == pytest.approx(two["a"].se, rel=1e-6)
    assert one["k"].se == pytest.approx(two["k"].se / two["k"].best, rel=1e-6)


def test_starts_may_be_zero():
    response = Response.of(X, decay(X, 2.0, 0.4, 0.0) + NOISE)
    found = fit(response, own_curve(decay, starts={"a": 0.0, "k": 1.0, "floor": 0.0}))
    assert found["k"].best == pytest.approx(fit(response, made())["k"].best, rel=1e-6)


def test_several_starts_find_the_lowest_valley():
    signal = np.sin(2.1 * X)
    wave = own_curve(lambda x, a, w: a * np.sin(w * x), starts={"w": [0.5, 1.0, 1.5, 2.0, 2.5]}, linear=["a"])
    assert fit(Response.of(X, signal + NOISE), wave)["w"].best == pytest.approx(2.1, abs=0.01)


def test_the_scale_of_a_parameter_does_not_matter():
    """A coefficient of the size of 1e-9, one of 1e6: both without a hint."""
    x = np.linspace(1.0, 100.0, 30)
    noise = np.tile([1.0, -1.0], 15) * 1e4
    scaled = own_curve(lambda x, big, small: big * np.exp(-small * 1e7 * x), starts={"big": 1e5, "small": 1e-10})
    found = fit(Response.of(x, 3e6 * np.exp(-4e-9 * 1e7 * x) + noise), scaled)
    assert found.status == "ok"
    assert found["big"].low < 3e6 < found["big"].high
    assert found["small"].low < 4e-9 < found["small"].high


def test_a_limit_holds():
    response = Response.of(X, decay(X, 2.0, 0.4, 1.0) + NOISE)
    found = fit(response, made(limits={"k": (0.5, 3.0)}, starts={"k": 1.0}))
    assert found["k"].best == pytest.approx(0.5)


def test_fit_holds_and_bounds_its_parameters():
    response = Response.of(X, decay(X, 2.0, 0.4, 1.0) + NOISE)
    found = fit(response, made(), fixed={"floor": 1.0}, bounds={"k": (0.3, 0.5)})
    assert found["floor"].best == 1.0
    assert found["floor"].se == 0.0
    assert 0.3 < found["k"].best < 0.5


def test_a_log_logistic_curve_of_ones_own_is_the_built_in_one():
    dose = np.repeat([0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0], 3)
    signal = curve("hill4").value(dose, ec50=0.8, hill_slope=-1.3, top=2.0, bottom=0.3)
    signal += np.random.default_rng(1).normal(0, 0.05, dose.size)
    mine = own_curve(
        lambda x, start, end, ec50, slope: start + (end - start) / (1 + (ec50 / x) ** slope),
        starts={"ec50": [0.1, 1.0], "slope": 1.0}, linear=["start", "end"], positive=["ec50", "slope"],
    )  # fmt: skip
    one, two = fit(Response.of(dose, signal), mine), fit(Response.of(dose, signal))
    assert one.rss == pytest.approx(two.rss, rel=1e-10)
    assert one["ec50"].best == pytest.approx(two["ec50"].best, rel=1e-5)
    assert one["ec50"].low == pytest.approx(two["ec50"].low, rel=1e-3)
    assert one["ec50"].high == pytest.approx(two["ec50"].high, rel=1e-3)
    assert one["start"].se == pytest.approx(two["top"].se, rel=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, a, b, k: a * b * np.exp(-k * x),
        lambda x, a, b, k: a * b / (a + b) * np.exp(-k * x),
        lambda x, a, b, k: np.hypot(a, b) * np.exp(-k * x),
        lambda x, a, b, k: (a + np.abs(b)) * np.exp(-k * x),
        lambda x, a, b, k: a * np.exp(-k * x) + b**2,
    ],
    ids=["product", "parallel", "root", "absolute", "square"],
)
def test_what_is_not_linear_is_refused(function):
    with pytest.raises(RangeError, match=r"the function is not linear in a, b\. Give them starts instead\."):
        own_curve(function, starts={"k": 1.0}, linear=["a", "b"])


def test_what_is_linear_is_accepted_where_the_function_has_no_value_everywhere():
    family = own_curve(lambda x, a, b, k: a * np.log(x - 1) + b / (x - k), starts={"k": 1.0}, linear=["a", "b"])
    assert family.value(3.0, a=2.0, b=6.0, k=1.5) == pytest.approx(2 * np.log(2) + 4)


def test_a_function_without_parameters_is_refused():
    with pytest.raises(RangeError, match="needs the abscissa and at least one parameter"):
        own_curve(lambda x: x, starts={}, name="line")


def test_a_missing_start_is_named():
    with pytest.raises(RangeError, match=r'decay: parameter "k" needs a start value, or to be named as linear\.'):
        made(starts={})


@pytest.mark.parametrize("where", ["starts", "linear", "positive", "limits"])
def test_a_name_that_the_function_has_not_is_refused(where):
    wrong = {"starts": {"k": 1.0, "flor": 1.0}, "linear": ["flor"], "positive": ["flor"], "limits": {"flor": (0, 1)}}
    with pytest.raises(RangeError, match=r'decay: "flor" is no parameter of the function\. Did you mean "floor"\?'):
        made(**{where: wrong[where]})


def test_a_start_outside_the_limits_is_refused():
    with pytest.raises(RangeError, match=r'the start of "k" must lie within \(2, 3\), found 1'):
        made(limits={"k": (2.0, 3.0)})


def test_limits_are_in_order():
    with pytest.raises(RangeError, match=r'limits of "k" must be \(low, high\), found \(3, 2\)'):
        made(limits={"k": (3.0, 2.0)})


def test_a_positive_parameter_starts_above_zero():
    with pytest.raises(RangeError, match=r'the start of "k" must be positive, found -1'):
        made(starts={"k": [1.0, -1.0]})


@pytest.mark.parametrize("where", [{"limits": {"a": (0.0, 1.0)}}, {"positive": ["k", "a"]}])
def test_a_linear_parameter_is_bounded_in_the_fit(where):
    with pytest.raises(RangeError, match=r'"a" is linear, so it can be neither positive nor limited here'):
        made(**where)


def test_an_unknown_parameter_is_refused_by_the_fit():
    with pytest.raises(FitError, match='decay has no parameter "flor"'):
        fit(Response.of(X, NOISE), made(), fixed={"flor": 1.0})
