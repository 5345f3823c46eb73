"""Every family: limits, midpoint, slopes, round trip, and the same values as formulas written independently."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from halfmax.curves import MODELS, Curve, curve, hill, hill_derivative, register
from halfmax.curves.curve import Term
from halfmax.curves.sigmoid import Sigmoid
from halfmax.errors import RangeError
from halfmax.estimate.batch import outside
from halfmax.estimate.least_squares import Problem, Solution

#: A plain value of every parameter that a family has.
VALUES = {
    "ec50": 2e-6, "hill_slope": -1.5, "asymmetry": 2.5, "top": 3.0, "bottom": 0.7, "ec50_first": 3e-7, "gap": 2.0,
    "slope_first": 1.2, "slope_second": 2.0, "part_first": 0.4, "start": 1.0, "middle": 3.0, "end": 0.5,
    "location": 2e-6, "steepness": 1.5, "stimulation": 0.4, "mean": 2.0, "kobs": 0.3, "koff": 0.05, "plateau": 2.0,
}  # fmt: skip
DOSES = np.array([0.0, 1e-9, 1e-7, 1e-6, 2e-6, 5e-6, 1e-4, 1e-1, np.inf])
TIMES = np.array([0.0, 0.1, 1.0, 3.0, 10.0, 40.0])
NAMES = list(MODELS)
SHAPES = [name for name, one in MODELS.items() if isinstance(one, Sigmoid)]

positive = st.floats(1e-3, 1e3)
slopes = st.floats(0.15, 15.0).flatmap(lambda size: st.sampled_from([size, -size]))


def values(family: Curve, **changed: float) -> dict[str, float]:
    chosen = {name: VALUES[name] for name in family.outside_names} | dict(family.held)
    if family.page == "hormesis":
        chosen["location"] *= 1e6
    return chosen | changed


def abscissae(family: Curve) -> np.ndarray:
    if family.page == "hormesis":
        return DOSES * 1e6
    return DOSES if family.logarithmic else TIMES


@pytest.mark.parametrize("name", NAMES)
def test_a_family_says_what_it_is(name):
    family = MODELS[name]
    assert family.title
    assert family.equation
    assert family.reference
    assert family.page
    assert family.size == len(family.parameters) - (name == "gr3")
    assert curve(name) is family is curve(family)
    for parameter in family.outside_names:
        assert parameter in family.equation or name in SHAPES


@pytest.mark.parametrize("name", NAMES)
def test_a_curve_is_a_number_at_every_dose(name):
    family = MODELS[name]
    assert np.isfinite(family.value(abscissae(family), **values(family))).all()
    assert np.isfinite(family.derivative(abscissae(family), **values(family))).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_value_has_the_shape_of_its_doses(name):
    family = MODELS[name]
    x = abscissae(family)[1:5].reshape(2, 2)
    table = family.value(x, **values(family))
    assert table.shape == (2, 2)
    assert family.value(x[0, 0], **values(family)).shape == ()
    assert float(family.value(x[1, 0], **values(family))) == table[1, 0]
    assert family.derivative(x[0], **values(family)).shape == (2, len(family.outside_names))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("slope", [-3.0, -0.7, 0.7, 3.0])
def test_a_sigmoid_is_half_way_at_its_ec50(name, slope):
    family = MODELS[name]
    chosen = values(family, hill_slope=slope)
    middle = (chosen["top"] + chosen["bottom"]) / 2
    assert float(family.value(chosen["ec50"], **chosen)) == pytest.approx(middle, rel=1e-14)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("slope", [-1.2, 1.2])
def test_a_sigmoid_ends_at_its_plateaus(name, slope):
    family = MODELS[name]
    chosen = values(family, hill_slope=slope)
    low, high = family.value([0.0, np.inf], **chosen)
    start, end = (chosen["bottom"], chosen["top"]) if slope > 0 else (chosen["top"], chosen["bottom"])
    assert (low, high) == pytest.approx((start, end), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHAPES and MODELS[name].logarithmic])
def test_other_curves_begin_and_end_at_their_plateaus(name):
    family = MODELS[name]
    chosen = values(family)
    low, high = family.value([0.0, np.inf], **chosen)
    level = chosen.get("mean", math.nan)
    assert low == pytest.approx(chosen.get("start", level), rel=1e-12)
    assert high == pytest.approx(chosen.get("end", level), rel=1e-12)


@pytest.mark.parametrize("name", ["association", "dissociation"])
def test_kinetics_begin_at_the_start_and_reach_the_plateau(name):
    family = MODELS[name]
    first, last = family.value([0.0, 1e9], **values(family))
    assert (first, last) == pytest.approx((VALUES["start"], VALUES["plateau"]))


@pytest.mark.parametrize("name", SHAPES)
@given(ec50=positive, slope=slopes, x=st.lists(positive, min_size=2, max_size=5))
def test_a_sigmoid_runs_one_way_and_stays_between_its_plateaus(name, ec50, slope, x):
    family = MODELS[name]
    chosen = values(family, ec50=ec50, hill_slope=slope)
    y = family.value(np.sort(x), **chosen) * np.sign(slope)
    assert (np.diff(y) >= -1e-12).all()
    assert (np.abs(y) <= chosen["top"] * (1 + 1e-12)).all()
    assert (np.abs(y) >= chosen["bottom"] * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", SHAPES)
@given(factor=st.floats(1e-6, 1e6), slope=slopes)
def test_ec50_moves_with_the_concentration_scale(name, factor, slope):
    family = MODELS[name]
    chosen = values(family, hill_slope=slope)
    x = np.array([1e-7, 1e-6, 1e-5])
    moved = family.value(x * factor, **{**chosen, "ec50": chosen["ec50"] * factor})
    np.testing.assert_allclose(moved, family.value(x, **chosen), rtol=1e-9)


def numeric(family: Curve, x: np.ndarray, chosen: dict[str, float], name: str) -> np.ndarray:
    """Derivative by a parameter on its scale of estimation, by central differences."""
    log = next(named.scale for named in family.names(chosen.get("hill_slope", -1) > 0) if named.name == name) == "log"
    step = 1e-6 * (1.0 if log else abs(chosen[name]) or 1.0)
    sides = []
    for sign in (1, -1):
        moved = chosen[name] * math.exp(sign * step) if log else chosen[name] + sign * step
        sides.append(family.value(x, **{**chosen, name: moved}))
    return (sides[0] - sides[1]) / (2 * step)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slope", [-1.5, 1.5])
def test_derivative_is_that_of_finite_differences(name, slope):
    family = MODELS[name]
    chosen = values(family, **({"hill_slope": slope} if name in SHAPES else {}))
    x = abscissae(family)
    exact = family.derivative(x, **chosen)
    for column, parameter in enumerate(family.outside_names):
        found = numeric(family, x, chosen, parameter)
        scale = np.abs(found).max() + 1e-3 * np.abs(family.value(x, **chosen)).max()
        np.testing.assert_allclose(exact[:, column] / scale, found / scale, atol=1e-8, err_msg=parameter)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slope", [-1.5, 1.5])
def test_inside_and_outside_are_each_others_inverse(name, slope):
    family = MODELS[name]
    chosen = values(family, **({"hill_slope": slope} if name in SHAPES else {}))
    sign, theta, linear = family.inside(chosen)
    one = np.ones((1, 1))
    problem = Problem.of(family, one, one, one, np.zeros(1))
    problem.sign[:] = sign
    best = Solution(theta, linear, np.zeros(1), np.ones(1, dtype=bool))
    rows = best.parameters()
    back = outside(problem, best, rows, rows, np.zeros_like(rows))
    assert list(back) == list(family.outside_names)
    for parameter, column in back.items():
        assert float(column.best[0]) == pytest.approx(chosen[parameter], rel=1e-14)


# --- the same curves as R's drc writes them -------------------------------------------------------------------------
# b, c, d, e, f are drc's names: Ritz et al. (2015), PLoS ONE 10:e0146021, and the package's help pages.


def drc_ll(x, b, c, d, e, f=1.0):
    with np.errstate(over="ignore"):
        return c + (d - c) / (1 + np.exp(b * (np.log(x) - np.log(e)))) ** f


def drc_w1(x, b, c, d, e):
    return c + (d - c) * np.exp(-np.exp(b * (np.log(x) - np.log(e))))


def drc_w2(x, b, c, d, e):
    return c + (d - c) * (1 - np.exp(-np.exp(b * (np.log(x) - np.log(e)))))


def drc_ln(x, b, c, d, e):
    return c + (d - c) * norm.cdf(b * (np.log(x) - np.log(e)))


def drc_bc(x, b, c, d, e, f):
    return c + (d - c + f * x) / (1 + np.exp(b * (np.log(x) - np.log(e))))


def drc_crs(x, b, c, d, e, f, alpha):
    return c + (d - c + f * np.exp(-1 / x**alpha)) / (1 + np.exp(b * (np.log(x) - np.log(e))))


X = np.array([0.02, 0.3, 1.1, 2.7, 8.0, 90.0])
LN2 = math.log(2)


@given(b=slopes, e=positive, c=st.floats(-2, 1), d=st.floats(1.5, 4))
def test_log_logistic_is_drcs(b, e, c, d):
    expected = drc_ll(X, b, c, d, e)
    found = curve("hill4").value(X, ec50=e, hill_slope=-b, top=d, bottom=c)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    for name, top, chosen in (("hill3", d, {"top": d}), ("hill2", 1.0, {})):
        found = curve(name).value(X, ec50=e, hill_slope=-b, **chosen)
        np.testing.assert_allclose(found, drc_ll(X, b, 0.0, top, e), rtol=1e-10, atol=1e-12)


@given(b=slopes, e=positive, f=st.floats(0.1, 10))
def test_richards_is_drcs_five_parameters(b, e, f):
    ec50 = e * (2 ** (1 / f) - 1) ** (1 / b)
    found = curve("hill5").value(X, ec50=ec50, hill_slope=-b, asymmetry=f, top=3.0, bottom=1.0)
    np.testing.assert_allclose(found, drc_ll(X, b, 1.0, 3.0, e, f), rtol=1e-9)


@given(b=slopes, e=positive)
def test_weibull_is_drcs_type_one(b, e):
    found = curve("weibull1").value(X, ec50=e * LN2 ** (1 / b), hill_slope=-b, top=3.0, bottom=1.0)
    np.testing.assert_allclose(found, drc_w1(X, b, 1.0, 3.0, e), rtol=1e-9)


@given(b=slopes, e=positive)
def test_weibull_is_drcs_type_two(b, e):
    found = curve("weibull2").value(X, ec50=e * LN2 ** (1 / b), hill_slope=b, top=3.0, bottom=1.0)
    np.testing.assert_allclose(found, drc_w2(X, b, 1.0, 3.0, e), rtol=1e-9)


@given(b=slopes, e=positive)
def test_log_normal_is_drcs(b, e):
    found = curve("lognormal").value(X, ec50=e, hill_slope=b, top=3.0, bottom=1.0)
    np.testing.assert_allclose(found, drc_ln(X, b, 1.0, 3.0, e), rtol=1e-9)


@given(b=st.floats(0.2, 8), e=positive, f=st.floats(-1, 5))
def test_brain_cousens_is_drcs(b, e, f):
    found = curve("brain_cousens").value(X, location=e, steepness=b, start=3.0, end=1.0, stimulation=f)
    np.testing.assert_allclose(found, drc_bc(X, b, 1.0, 3.0, e, f), rtol=1e-9)


@pytest.mark.parametrize(("name", "alpha"), [("crs_a", 1.0), ("crs_b", 0.5), ("crs_c", 0.25)])
@given(b=st.floats(0.2, 8), e=positive, f=st.floats(-1, 5))
def test_cedergreen_ritz_streibig_is_drcs(name, alpha, b, e, f):
    found = curve(name).value(X, location=e, steepness=b, start=3.0, end=1.0, stimulation=f)
    np.testing.assert_allclose(found, drc_crs(X, b, 1.0, 3.0, e, f, alpha), rtol=1e-9)


@given(ec50=positive, slope=slopes, s=st.floats(0.1, 10))
def test_richards_is_prisms_asymmetric_curve(ec50, slope, s):
    with np.errstate(over="ignore"):
        expected = 1.0 + 2.0 / (1 + (2 ** (1 / s) - 1) * (ec50 / X) ** slope) ** s
    found = curve("hill5").value(X, ec50=ec50, hill_slope=slope, asymmetry=s, top=3.0, bottom=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_bell_is_prisms():
    left, dip, right, first, gap = 0.2, 3.0, 1.0, 0.5, math.log(20.0)
    log = np.log10(X)
    section1 = (left - dip) / (1 + 10 ** ((log - math.log10(first)) * 1.3))
    section2 = (right - dip) / (1 + 10 ** ((math.log10(first * 20) - log) * 0.8))
    found = curve("bell").value(
        X, ec50_first=first, gap=gap, slope_first=1.3, slope_second=0.8, start=left, middle=dip, end=right
    )
    np.testing.assert_allclose(found, dip + section1 + section2, rtol=1e-12)


def test_two_sites_are_the_sum_of_two_binding_curves():
    first, second = 0.05, 4.0
    expected = 5.0 - 3.0 * (0.3 * X / (X + first) + 0.7 * X / (X + second))
    found = curve("two_sites").value(
        X, ec50_first=first, gap=math.log(second / first), part_first=0.3, start=5.0, end=2.0
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    both = curve("biphasic").value(
        X, ec50_first=first, gap=math.log(second / first), slope_first=1, slope_second=1, part_first=0.3, start=5, end=2
    )
    np.testing.assert_allclose(found, both, rtol=1e-14)


def test_richards_of_asymmetry_one_is_the_log_logistic_curve():
    chosen = {"ec50": 0.7, "hill_slope": -1.4, "top": 2.0, "bottom": -0.5}
    np.testing.assert_allclose(
        curve("hill5").value(DOSES, asymmetry=1.0, **chosen), curve("hill4").value(DOSES, **chosen), rtol=1e-13
    )


def test_growth_rate_inhibition_is_hafners():
    gr_inf, gec50, h = -0.3, 0.4, 1.6
    expected = gr_inf + (1 - gr_inf) / (1 + (X / gec50) ** h)
    found = curve("gr3").value(X, ec50=gec50, hill_slope=-h, top=1.0, bottom=gr_inf)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_functions_of_one_curve_agree_with_the_family():
    chosen = {"ec50": 0.7, "hill_slope": -1.4, "top": 2.0, "bottom": -0.5}
    np.testing.assert_allclose(hill(DOSES, **chosen), curve("hill4").value(DOSES, **chosen), rtol=1e-13)
    np.testing.assert_allclose(
        hill_derivative(DOSES, **chosen), curve("hill4").derivative(DOSES, **chosen), rtol=1e-11, atol=1e-14
    )


# --- what is refused ------------------------------------------------------------------------------------------------


def test_an_unknown_parameter_is_refused_with_the_nearest_one():
    with pytest.raises(RangeError, match=r'hill4 has no parameter "ec5"\. Did you mean "ec50"\?'):
        curve("hill4").value(1.0, ec5=1.0)


def test_a_missing_parameter_is_named():
    with pytest.raises(RangeError, match=r'hill4 needs its parameter "top"\. It has: ec50, hill_slope, top, bottom\.'):
        curve("hill4").value(1.0, ec50=1.0, hill_slope=1.0, bottom=0.0)


def test_a_negative_concentration_is_refused():
    with pytest.raises(RangeError, match="hill3: ec50 must be positive, found -1"):
        curve("hill3").value(1.0, ec50=-1.0, hill_slope=1.0, top=1.0)


def test_an_unknown_curve_is_refused_with_the_nearest_one():
    with pytest.raises(RangeError, match=r'unknown model "hil4"\. Did you mean "hill4"\?'):
        curve("hil4")


def test_a_taken_name_is_refused():
    with pytest.raises(RangeError, match=r'there is a curve "hill4" already\. Give yours another name\.'):
        register(replace(curve("flat"), name="hill4"))


def test_a_curve_without_columns_is_none():
    with pytest.raises(TypeError, match=r"abstract class Curve .* at.*slopes"):
        Curve("line", "", "", "", (Term("level", "plateau"),))


@pytest.mark.parametrize("model", NAMES)
def test_a_curve_can_be_sent_to_another_process(model):
    sent = pickle.loads(pickle.dumps(curve(model)))
    assert (type(sent), sent.terms, sent.parameters) == (
        type(curve(model)),
        curve(model).terms,
        curve(model).parameters,
    )
