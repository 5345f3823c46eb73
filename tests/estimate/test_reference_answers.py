"""Reference answers: NIST's certified regressions, R's answers for ryegrass, and truths that made data give back."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from scipy import optimize, stats

from halfmax.curves import curve
from halfmax.estimate import fit, fit_all
from halfmax.response import Response
from halfmax.verify import digits, nist

SETS = nist.SHIPPED + nist.FROM_FOLDER


@pytest.fixture(scope="module")
def certified(data):
    """NIST's sets by name."""
    return {name: nist.read_dat(data / "dose_response/nist" / f"{name}.dat") for name in SETS}


# --- NIST -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linear", [True, False], ids=["linear eliminated", "all searched"])
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", SETS)
def test_certified_values_are_found(certified, name, start, linear):
    one = certified[name]
    estimate = fit(one.response, one.curve(start, linear=linear))
    assert estimate.status == "ok"
    assert digits(estimate.rss, one.squares) >= 9
    for key, (value, deviation, _) in one.parameters.items():
        assert digits(estimate[key].best, value) >= 6, key
        assert digits(estimate[key].se, deviation) >= 5, key
        assert estimate[key].operator == "="
        assert estimate[key].low < value < estimate[key].high


def held_squares(one, key, value):
    """Residual sum of squares with a parameter held, by another optimiser, from three starts."""
    names = list(one.parameters)
    best = np.array([one.parameters[name][0] for name in names])
    scale = np.array([one.parameters[name][1] for name in names])
    whole = one.curve(0, linear=False)
    u = one.response.concentration[:, None]
    free = [k for k, name in enumerate(names) if name != key]

    def residual(step):
        theta = best.copy()
        theta[free] += step * scale[free]
        theta[names.index(key)] = value
        return whole.at(u, theta[:, None], np.ones(1)).columns[0][:, 0] - one.y

    def squares(start):
        return 2 * optimize.least_squares(residual, start, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14).cost

    return min(squares(np.full(len(free), shift)) for shift in (0.0, 0.5, -0.5))


@pytest.mark.parametrize("name", ["Misra1a", "MGH09", "Rat43", "Nelson", "Lanczos3"])
def test_the_ends_of_the_intervals_are_where_the_profile_crosses(certified, name):
    """NIST certifies no intervals: another optimiser says how well the curve fits at each end."""
    one = certified[name]
    estimate = fit(one.response, one.curve(1, linear=True))
    df = one.y.size - len(one.parameters)
    threshold = one.squares * (1 + stats.f.ppf(0.95, 1, df) / df)
    for key in one.parameters:
        for end in (estimate[key].low, estimate[key].high):
            assert held_squares(one, key, end) == pytest.approx(threshold, rel=2e-3), (key, end)


def test_rat43_is_a_richards_curve_of_the_built_in_family(certified):
    """b1 / (1 + exp(b2 - b3 x))**(1/b4) is the Richards curve of exp(x), its lower plateau held at 0."""
    one = certified["Rat43"]
    (b1, sd1), (b2, _), (b3, sd3), (b4, sd4) = (values[:2] for values in one.parameters.values())
    estimate = fit(Response.of(np.exp(one.x), one.y), "hill5", fixed={"bottom": 0.0})
    assert digits(estimate.rss, one.squares) >= 9
    middle = (b2 - math.log(2**b4 - 1)) / b3
    for key, value in (("top", b1), ("hill_slope", b3), ("asymmetry", 1 / b4), ("ec50", math.exp(middle))):
        assert digits(estimate[key].best, value) >= 6, key
    assert digits(estimate["top"].se, sd1) >= 5
    assert digits(estimate["hill_slope"].se, sd3) >= 5
    assert digits(estimate["asymmetry"].se, sd4 / b4) >= 5
    own = fit(one.response, one.curve(1, linear=True))
    assert estimate["top"].low == pytest.approx(own["b1"].low, rel=1e-4)
    assert estimate["top"].high == pytest.approx(own["b1"].high, rel=1e-4)


# --- Ryegrass, R drc and nls ----------------------------------------------------------------------------------------

#: curve → ED50, its relative tolerance, residual sum of squares: R drc 3.0-1.
DRC = {
    "hill3": (3.2633582, 1e-4, 6.6228198),
    "hill4": (3.0579550, 1e-6, 5.4002146),
    "hill5": (3.0235492, 1e-2, 5.2770474),
    "weibull1": (3.0889635, 1e-4, 6.0241509),
    "weibull2": (2.9969126, 1e-4, 5.2925654),
}


@pytest.fixture(scope="module")
def ryegrass(data):
    with (data / "dose_response/drc/ryegrass.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return Response.of([float(row["conc"]) for row in rows], [float(row["rootl"]) for row in rows])


@pytest.mark.parametrize("name", list(DRC))
def test_ryegrass_fits_at_least_as_well_as_with_drc(ryegrass, name):
    ed50, tolerance, squares = DRC[name]
    estimate = fit(ryegrass, name)
    assert estimate.rss <= squares * (1 + 1e-7)
    assert estimate["ec50"].best == pytest.approx(ed50, rel=tolerance)


def test_the_asymmetry_of_ryegrass_is_drcs_and_not_identified(ryegrass):
    asymmetry = fit(ryegrass, "hill5")["asymmetry"]
    assert asymmetry.best == pytest.approx(0.4683, abs=5e-4)
    assert asymmetry.operator == "?"


def test_standard_errors_are_those_of_expected_information(ryegrass):
    """R nls takes expected information as here; drc the observed one, which the Hessian of the squares gives."""
    estimate = fit(ryegrass)
    names = ("hill_slope", "bottom", "top", "ec50")
    assert estimate["ec50"].se == pytest.approx(0.06076899, rel=1e-6)

    def squares(values):
        found = curve("hill4").value(ryegrass.concentration, **dict(zip(names, values, strict=True)))
        return float(((found - ryegrass.signal) ** 2).sum())

    best = np.array([estimate[name].best for name in names])
    hessian, step = np.empty((4, 4)), 1e-4 * np.abs(best)
    for i in range(4):
        for j in range(4):
            one, other = np.eye(4)[i] * step, np.eye(4)[j] * step
            hessian[i, j] = (
                squares(best + one + other) - squares(best + one - other)
                - squares(best - one + other) + squares(best - one - other)
            ) / (4 * step[i] * step[j])  # fmt: skip
    observed = np.sqrt(np.diag(np.linalg.inv(hessian / 2)) * estimate.rss / estimate.df)
    assert observed == pytest.approx([0.4650623, 0.2121924, 0.1885672, 0.1857313], rel=2e-4)
    ours = [estimate[name].se for name in names]
    ours[3] *= estimate["ec50"].best
    assert ours == pytest.approx(observed, rel=0.015)


# --- Made data ------------------------------------------------------------------------------------------------------

DOSE = np.repeat(np.r_[0.0, np.geomspace(0.01, 300.0, 14)], 3)
TIME = np.repeat([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], 3)
TRUTHS = {
    "hill5": {"ec50": 3.0, "hill_slope": -1.5, "asymmetry": 0.7, "top": 1.0, "bottom": 0.1},
    "weibull1": {"ec50": 3.0, "hill_slope": -1.2, "top": 1.0, "bottom": 0.1},
    "weibull2": {"ec50": 3.0, "hill_slope": 1.2, "top": 1.0, "bottom": 0.1},
    "lognormal": {"ec50": 3.0, "hill_slope": -0.8, "top": 1.0, "bottom": 0.1},
    "two_sites": {"ec50_first": 0.2, "gap": math.log(100), "part_first": 0.4, "start": 1.0, "end": 0.0},
    "bell": {
        "ec50_first": 0.3, "gap": math.log(100), "slope_first": 1.5, "slope_second": 2.0, "start": 0.2, "middle": 1.0,
        "end": 0.1,
    },
    "brain_cousens": {"location": 10.0, "steepness": 3.0, "start": 1.0, "end": 0.1, "stimulation": 0.15},
    "crs_a": {"location": 10.0, "steepness": 2.0, "start": 1.0, "end": 0.1, "stimulation": 1.0},
    "crs_b": {"location": 10.0, "steepness": 2.0, "start": 1.0, "end": 0.1, "stimulation": 1.0},
    "crs_c": {"location": 10.0, "steepness": 2.0, "start": 1.0, "end": 0.1, "stimulation": 1.0},
    "flat": {"mean": 0.7},
    "association": {"kobs": 0.15, "start": 0.1, "plateau": 1.0},
    "dissociation": {"koff": 0.08, "start": 1.0, "plateau": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", list(TRUTHS))
def test_made_data_give_their_curve_back(name):
    """Of 60 simulated responses, the 95 % intervals hold each true parameter in 50 or more: P < 1e-3 if they cover."""
    family, truth = curve(name), TRUTHS[name]
    x = DOSE if family.logarithmic else TIME
    level, rng = family.value(x, **truth), np.random.default_rng(20)
    made = [Response.of(x, level + rng.normal(0, 0.03, x.size), role="sample") for _ in range(60)]
    estimates = fit_all(made, name)
    for key, value in truth.items():
        inside = sum(one[key].low <= value <= one[key].high for one in estimates)
        assert inside >= 50, (key, inside)
        assert np.median([one[key].best for one in estimates]) == pytest.approx(value, rel=0.1, abs=0.02), key
