"""Values into ratios, and many values into ratios over one reference."""

import math
from pathlib import Path

import numpy as np
import pytest
from experiments import experiment
from scipy import optimize, stats

from halfmax.curves import hill, own_curve
from halfmax.errors import FitError
from halfmax.estimate import Estimate, Parameter, combine, compare, compare_many, fit
from halfmax.estimate.fieller import Pair, fieller_ratio
from halfmax.response import Response

#: Of S.alba in R drc 3.0-1 with shared upper and lower limits: EC50 and SE, residual df, EDcomp.
BENTAZONE, GLYPHOSATE, DF = (28.6323545, 2.0380981), (66.8905447, 5.9688193), 62
RATIO, DELTA, FIELLER = 0.4280479, (0.3402630, 0.5158327), (0.3499032, 0.5299028)


def measured(value, error, *, df=0, unit="M"):
    """An EC50 with a standard error on its own scale."""
    return Estimate("x", (Parameter("ec50", value, 0.0, math.inf, "=", unit, value, error / value, True),), df=df)


def of_three(*values, label=""):
    return combine([experiment(value) for value in values], label=label)


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


def curve_of(ec50, *, seed, factor=1.0, relative=False, kill=0):
    """Response of a Hill curve from 1 to 0.1, times a factor; noise of 4 %, of the plateau or of each signal."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(4), np.repeat(np.geomspace(1e-7, 1e-4, 8), 2)]
    level = np.r_[hill(dose, ec50=ec50, hill_slope=-1.3, top=1.0, bottom=0.1), np.full(kill, 0.1)]
    signal = factor * (level + rng.normal(0, 0.04, level.size) * (level if relative else 1.0))
    role = ["vehicle"] * 4 + ["sample"] * 16 + ["kill"] * kill
    return Response.of(np.r_[dose, np.full(kill, np.nan)], signal, role=role)


@pytest.mark.parametrize(
    ("factor", "options", "held", "limits"),
    [
        (1.0, {"fixed": {"bottom": 0.1}}, {3: 0.1}, {}),
        (1.0, {"fixed": {"hill_slope": -1.3, "bottom": 0.1}}, {1: 1.3, 3: 0.1}, {}),
        (1.0, {"bounds": {"top": (0.9, 0.98)}}, {}, {2: (0.9, 0.98)}),
        (1.0, {"bounds": {"hill_slope": (-1.2, -0.8)}}, {}, {1: (0.8, 1.2)}),
        (1.0, {"noise": "proportional"}, {}, {}),
        (500.0, {"noise": "proportional"}, {}, {}),
        (1.0, {"noise": 0.5}, {}, {}),
    ],
    ids=["bottom held", "two held", "top at its limit", "slope at its limit", "noise in proportion",
         "noise in proportion, other scales", "noise of the root"],
)  # fmt: skip
def test_a_ratio_keeps_what_its_fits_held_bounded_and_weighed(factor, options, held, limits):
    """Both ends are where the F threshold is crossed, found by another optimiser."""
    relative = "noise" in options
    pair = [curve_of(2e-6, seed=1, relative=relative), curve_of(8e-6, seed=2, relative=relative, factor=factor)]
    fits = [fit(response, **options) for response in pair]
    ratio = compare(*fits)["ratio"]
    rows = [k for k in range(8) if k % 4 not in held]
    scale = np.tile([1.0, 1.0, 1.0, 1.0], 2) * np.r_[np.ones(6), factor, factor]
    full = np.array([(math.log(f["ec50"].best), -f["hill_slope"].best, f["top"].best, f["bottom"].best) for f in fits])
    full = full.ravel() / scale
    low, high = np.transpose([limits.get(k % 4, (-np.inf, np.inf)) for k in range(8)])

    def residual(p, log_ratio=None):
        values = full.copy()
        values[rows if log_ratio is None else [k for k in rows if k != 4]] = p
        if log_ratio is not None:
            values[4] = values[0] + log_ratio
        parts = []
        for response, one, v in zip(pair, fits, (values * scale).reshape(2, 4), strict=True):
            dose = np.where(np.isfinite(response.concentration), response.concentration, 0.0)
            clean = hill(dose, ec50=math.exp(v[0]), hill_slope=-v[1], top=v[2], bottom=v[3])
            parts.append((clean - response.signal) / one.predict(dose) ** one.noise)
        return np.concatenate(parts)

    def best(at, log_ratio):
        inside = np.clip(full[at], low[at] + 1e-9, high[at] - 1e-9)
        return 2 * optimize.least_squares(
            residual, inside, bounds=(low[at], high[at]), args=(log_ratio,), x_scale=np.abs(inside) + 0.1, xtol=1e-14,
            ftol=1e-14, gtol=1e-14,
        ).cost  # fmt: skip

    df = sum(one.df for one in fits)
    assert df == 40 - len(rows)
    threshold = best(rows, None) * (1 + stats.f.ppf(0.95, 1, df) / df)
    for end in (ratio.low, ratio.high):
        assert best([k for k in rows if k != 4], math.log(end)) == pytest.approx(threshold, rel=2e-4)


def test_an_ec50_that_was_held_makes_the_ratio_that_of_the_other():
    """What is left is the profile of the other, with the variance of both."""
    other = fit(curve_of(8e-6, seed=2))
    reference = fit(curve_of(2e-6, seed=1), fixed={"ec50": 2e-6})
    ratio, back = compare(reference, other)["ratio"], compare(other, reference)["ratio"]
    assert ratio.value == pytest.approx(other["ec50"].value / 2e-6)
    assert (ratio.low, ratio.high) == pytest.approx((other["ec50"].low / 2e-6, other["ec50"].high / 2e-6), rel=0.1)
    assert (back.low, back.high) == pytest.approx((1 / ratio.high, 1 / ratio.low), rel=1e-4)
    with pytest.raises(FitError, match="both EC50s were held, so there is no ratio"):
        compare(reference, fit(curve_of(8e-6, seed=2), fixed={"ec50": 8e-6}))


def test_a_limit_of_an_ec50_leaves_the_ratio_open():
    ratio = compare(fit(curve_of(2e-6, seed=1)), fit(curve_of(8e-6, seed=2), bounds={"ec50": (1e-7, 8.5e-6)}))["ratio"]
    assert ratio.operator == ">"


def test_the_ec50_of_a_curve_of_your_own_is_compared_wherever_it_stands():
    """Its place among the parameters is not known to be on the axis of the doses: by standard errors."""
    family = own_curve(
        lambda x, h, a, ec50: a * x**h / (x**h + ec50**h), starts={"h": 1.0, "ec50": 3.0}, linear=["a"],
        positive=["ec50", "h"],
    )  # fmt: skip
    x, rng = np.repeat(np.geomspace(0.1, 100, 9), 3), np.random.default_rng(1)
    fits = [
        fit(Response.of(x, 2 * x / (x + e) + rng.normal(0, 0.03, x.size), role="sample"), family) for e in (2.0, 6.0)
    ]
    ratio = compare(*fits)["ratio"]
    assert ratio.low < 3 < ratio.high
    assert ratio.high < 1.5 * ratio.low


def test_a_ratio_over_one_experiment_says_so():
    ratio = compare(combine([experiment(4e-6)]), combine([experiment(v) for v in (3e-5, 4e-5)]))
    assert any("has one experiment" in note for note in ratio.notes)


def covariance_of(ratio, half, numerator, denominator):
    """Covariance that the half width of a delta interval implies."""
    error = half / stats.t.ppf(0.975, DF) * denominator[0]
    return (numerator[1] ** 2 + (ratio * denominator[1]) ** 2 - error**2) / (2 * ratio)


def test_fieller_and_delta_return_the_intervals_of_r():
    """The covariance is not printed by drc; it follows from its delta interval, and Fieller's then from it."""
    covariance = covariance_of(RATIO, (DELTA[1] - DELTA[0]) / 2, BENTAZONE, GLYPHOSATE)
    one, other = measured(*GLYPHOSATE), measured(*BENTAZONE)
    delta = compare(one, other, method="delta", covariance=covariance, df=DF)["ratio"]
    found = compare(one, other, method="fieller", covariance=covariance, df=DF)["ratio"]
    assert delta.value == pytest.approx(RATIO, abs=1e-7)
    assert (delta.low, delta.high) == pytest.approx(DELTA, abs=2e-7)
    assert (found.low, found.high) == pytest.approx(FIELLER, abs=3e-7)
    assert (found.method, delta.method) == ("Fieller", "delta method")


def test_the_covariance_of_a_shared_limit_is_that_which_r_found(data):
    """The shared fit made here by other means: its covariance closes the circle to R's intervals."""
    x, glyphosate, y = read_alba(data / "dose_response/drc/S.alba.csv")

    def model(p):
        slope, log_e = np.where(glyphosate, p[1], p[0]), np.where(glyphosate, p[5], p[4])
        with np.errstate(divide="ignore"):
            return p[2] + (p[3] - p[2]) / (1 + np.exp(slope * (np.log(x) - log_e)))

    best = optimize.least_squares(lambda p: model(p) - y, [5, 2, 0.7, 4, math.log(28), math.log(66)], xtol=1e-12)
    spread = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / DF
    bentazone, glyphos = np.exp(best.x[4:])
    one, other = (measured(e, e * math.sqrt(spread[k, k])) for e, k in ((glyphos, 5), (bentazone, 4)))
    found = compare(one, other, method="fieller", covariance=bentazone * glyphos * spread[4, 5], df=DF)["ratio"]
    assert 2 * best.cost == pytest.approx(8.5114471, rel=1e-4)
    assert (found.low, found.high) == pytest.approx(FIELLER, rel=0.003)
    without = compare(one, other, method="fieller", df=DF)["ratio"]
    assert without.high - without.low > 1.08 * (found.high - found.low)


def read_alba(path: Path):
    """Dose, whether glyphosate, dry matter."""
    rows = [line.replace('"', "").split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    place = {name: rows[0].index(name) for name in ("Dose", "Herbicide", "DryMatter")}
    columns = {name: [row[k] for row in rows[1:]] for name, k in place.items()}
    return (
        np.array(columns["Dose"], float),
        np.array(columns["Herbicide"]) == "Glyphosate",
        np.array(columns["DryMatter"], float),
    )


@pytest.mark.parametrize(
    ("pair", "shape"),
    [
        (Pair(10.0, 1.0, 20.0, 1.0), "interval"),
        (Pair(10.0, 1.0, 20.0, 1.0, 0.9), "interval"),
        (Pair(1.0, 0.8, 20.0, 1.0), "outside"),
        (Pair(1.0, 0.8, 0.5, 1.0), "everything"),
    ],
)
def test_a_fieller_set_holds_exactly_the_ratios_that_a_test_does_not_reject(pair, shape):
    found = fieller_ratio(pair, 1.96)
    assert found.shape == shape
    for ratio in np.linspace(-40, 40, 4001):
        variance = pair.numerator_error**2 - 2 * ratio * pair.covariance + (ratio * pair.denominator_error) ** 2
        kept = (pair.numerator - ratio * pair.denominator) ** 2 <= 1.96**2 * variance
        inside = {
            "interval": found.low <= ratio <= found.high,
            "outside": ratio <= found.low or ratio >= found.high,
            "everything": True,
        }
        assert kept == inside[shape]


@pytest.mark.parametrize(
    ("one", "other", "operator", "status"),
    [
        ((1.0, 0.8), (20.0, 1.0), ">", "too uncertain for a ratio with both ends"),
        ((1.0, 0.8), (0.5, 1.0), "?", "too uncertain"),
        ((10.0, 1.0), (1.0, 1.0), "<", "not told from zero"),
    ],
)
def test_a_fieller_set_that_is_no_interval_gives_an_operator(one, other, operator, status):
    estimate = compare(measured(*one), measured(*other), method="fieller", df=30)
    assert estimate["ratio"].operator == operator
    assert status in estimate.status


def test_two_rays_are_told_in_words_and_never_closed_into_an_interval():
    estimate = compare(measured(1.0, 0.9), measured(1.8, 1.0), method="fieller", covariance=0.85, df=1000)
    assert estimate["ratio"].operator == "?"
    assert "all ratios but those between" in estimate.status


def test_fieller_covers_where_the_delta_method_misses_above():
    """Denominator with a relative error of 25 %: Fieller is exact, the delta method errs on one side."""
    rng = np.random.default_rng(3)
    missed = {"fieller": 0, "delta": 0}
    for a, b in rng.normal([4.0, 8.0], [1.0, 0.4], (1000, 2)):
        for method in missed:
            ratio = compare(measured(abs(a), 1.0), measured(b, 0.4), method=method, df=1e9)["ratio"]
            missed[method] += not ratio.low <= 2.0 <= ratio.high
    assert stats.binomtest(missed["fieller"], 1000, 0.05).pvalue > 0.001
    assert missed["delta"] > missed["fieller"]


def test_a_ratio_without_covariance_uses_the_freedom_of_welch():
    one, other = measured(10.0, 1.0, df=4), measured(30.0, 2.0, df=6)
    df = (0.1**2 + (2 / 30) ** 2) ** 2 / (0.1**4 / 4 + (2 / 30) ** 4 / 6)
    found, given = (compare(one, other, method="delta", df=value)["ratio"] for value in (None, df))
    assert (found.low, found.high) == pytest.approx((given.low, given.high))


def test_the_difference_of_pec50_is_the_logarithm_of_the_ratio():
    estimate = compare(of_three(4e-6, 5e-6, 7e-6), of_three(3e-5, 4e-5, 5e-5))
    ratio, difference = estimate["ratio"], estimate["delta_pec50"]
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (math.log10(ratio.value), math.log10(ratio.low), math.log10(ratio.high))
    )
    bound = compare(of_three(4e-6, 5e-6, 7e-6), combine([experiment(1e-4, operator=">")] * 2))["delta_pec50"]
    assert (bound.operator, bound.high) == (">", math.inf)


def test_a_ratio_without_standard_errors_is_not_identified():
    estimate = compare(measured(1e-6, math.nan), measured(2e-6, 1e-7))
    assert estimate["ratio"].operator == "?"
    assert "has no standard error" in estimate.status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fiellr"}, r'no method "fiellr"\. Did you mean "fieller"'),
        ({"covariance": 1e-14}, r'a covariance is only used by method="fieller" and "delta"'),
        ({"method": "fieller", "covariance": 1.0}, r"larger than the product of the standard errors.*natural scale"),
    ],
)
def test_what_cannot_be_compared_is_refused(options, message):
    with pytest.raises(FitError, match=message):
        compare(measured(1e-6, 1e-7), measured(2e-6, 1e-7), **options)


def test_units_that_differ_and_missing_errors_are_refused():
    with pytest.raises(FitError, match="different units"):
        compare(measured(1e-6, 1e-7), measured(2.0, 0.1, unit=""))
    with pytest.raises(FitError, match=r'method="delta" needs the standard errors.*Use method="auto"'):
        compare(measured(1e-6, math.nan), measured(2e-6, 1e-7), method="delta")


def test_a_plateau_is_compared_on_its_own_scale_or_not_at_all():
    one, other = (Estimate("x", (Parameter("top", v, v - 1, v + 1, best=v, se=0.1),), df=20) for v in (1.0, 2.0))
    with pytest.raises(FitError, match=r'top is not estimated on its logarithm.*Use "fieller" or "delta"'):
        compare(one, other, parameter="top")
    ratio = compare(one, other, parameter="top", method="delta", df=20)
    half = stats.t.ppf(0.975, 20) * 0.1 * math.sqrt(1 + 2.0**2)
    assert (ratio["ratio"].low, ratio["ratio"].high) == pytest.approx((2 - half, 2 + half))
    assert "delta_pec50" not in ratio


def test_a_side_of_one_experiment_enters_with_the_freedom_of_its_fit():
    fitted = Estimate("hill4", (Parameter("ec50", 4e-6, 3e-6, 5e-6, "=", "M", 4e-6, 0.1, True),), df=8)
    values = [3e-5, 4e-5, 3.5e-5]
    ratio = compare(combine([fitted]), of_three(*values))["ratio"]
    error = stats.sem(np.log(values))
    df = (error**2 + 0.01) ** 2 / (error**4 / 2 + 1e-4 / 8)
    assert math.log(ratio.high / ratio.value) == pytest.approx(stats.t.ppf(0.975, df) * math.hypot(error, 0.1))


def test_several_ratios_hold_together_and_their_p_values_are_adjusted_after_holm():
    reference = of_three(4e-6, 5e-6, 7e-6)
    sets = [(5e-6, 6e-6, 8e-6), (1.5e-5, 2e-5, 2.2e-5), (9e-5, 6e-5, 8e-5)]
    others = [of_three(*values, label=name) for name, values in zip("abc", sets, strict=True)]
    found = compare_many(reference, others)
    plain = [stats.ttest_ind(np.log(v), np.log([4e-6, 5e-6, 7e-6]), equal_var=False).pvalue for v in sets]
    assert [one["p_value"].value for one in found] == pytest.approx(plain)
    low, middle, high = sorted(plain)
    holm = {low: 3 * low, middle: max(3 * low, 2 * middle), high: max(3 * low, 2 * middle, high)}
    assert [one["p_holm"].value for one in found] == pytest.approx([holm[p] for p in plain])
    alone = compare(reference, others[1], level=1 - 0.05 / 3)["ratio"]
    assert (found[1]["ratio"].low, found[1]["ratio"].high) == (alone.low, alone.high)
    assert [one.label for one in found] == ["a", "b", "c"]
    assert found[0].level == 0.95


def test_holm_against_worked_numbers():
    """P-values .01, .04, .03, .005 give .03, .06, .06, .02 (Wikipedia, Holm–Bonferroni method, and R's p.adjust)."""
    from halfmax.estimate.comparing import _holm

    assert _holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_bound = _holm([0.01, math.nan, 0.04])
    assert (with_bound[0], with_bound[2]) == pytest.approx((0.02, 0.04))
    assert math.isnan(with_bound[1])
    assert _holm([0.7, 0.8]) == [1.0, 1.0]


def test_a_bound_among_many_keeps_its_operator_and_gets_no_p_value():
    reference = of_three(4e-6, 5e-6, 7e-6)
    bound = combine([experiment(1e-4, operator=">")] * 3)
    found = compare_many(reference, [bound, of_three(4e-5, 5e-5, 7e-5)])
    assert found[0]["ratio"].operator == ">"
    assert math.isnan(found[0]["p_value"].value)
    assert math.isnan(found[0]["p_holm"].value)
    assert found[1]["p_holm"].value == found[1]["p_value"].value


def test_nothing_and_a_plateau_are_refused_by_the_comparison_of_many():
    with pytest.raises(FitError, match="nothing to compare with the reference"):
        compare_many(of_three(4e-6, 5e-6, 7e-6), [])
    top = Estimate("x", (Parameter("top", 1.0, 0.9, 1.1, best=1.0, se=0.1),))
    with pytest.raises(FitError, match="top is not estimated on its logarithm"):
        compare_many(top, [top], parameter="top")


@pytest.mark.slow
def test_five_intervals_over_one_reference_hold_together():
    """Family-wise coverage of five ratios, all true ones 1, is at least 95 % (binomial bound)."""
    rng = np.random.default_rng(11)
    sets, hits = 400, 0
    for _ in range(sets):
        sides = [of_three(*np.exp(row)) for row in rng.normal(math.log(5e-6), 0.2, (6, 3))]
        hits += all(one["ratio"].low <= 1 <= one["ratio"].high for one in compare_many(sides[0], sides[1:]))
    assert stats.binom.cdf(hits, sets, 0.95) > 0.001
