"""Bootstrap intervals: their formula, their invariances, their open ends, their coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from halfmax.curves import hill
from halfmax.errors import FitError
from halfmax.estimate import bootstrap, bootstrap_all, combine, fit, fit_all
from halfmax.estimate.bootstrap import bca_ends
from halfmax.response import Response

TRUTH = {"ec50": 3e-6, "hill_slope": -1.3, "top": 1.0, "bottom": 0.1}


def simulated(seed=3, *, replicates=3, vehicle=8, kill=0, noise=0.05, scatter=None, **truth):
    """8 doses; `scatter` is the SD at each well as a function of its mean, in place of `noise`."""
    rng = np.random.default_rng(seed)
    doses = np.r_[np.zeros(vehicle), np.repeat(np.geomspace(1e-7, 1e-4, 8), replicates)]
    mean = np.r_[hill(doses, **(TRUTH | truth)), np.full(kill, 0.1)]
    spread = noise if scatter is None else scatter(mean)
    role = ["vehicle"] * vehicle + ["sample"] * (doses.size - vehicle) + ["kill"] * kill
    return Response.of(np.r_[doses, np.full(kill, np.nan)], mean + spread * rng.standard_normal(mean.size), role=role)


def ends(estimate):
    return [(p.operator, p.low, p.high) for p in estimate.parameters]


def covered(estimates, name, value=None):
    value = TRUTH[name] if value is None else value
    return float(np.mean([e[name].low <= value <= e[name].high for e in estimates]))


def test_bca_ends_are_those_of_scipy():
    """The mean of a skewed sample, from scipy's own draws."""
    sample = np.random.default_rng(1).exponential(size=40)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=4999, method="BCa", rng=np.random.default_rng(2))
    left_out = (sample.sum() - sample) / (sample.size - 1)
    pull = left_out.mean() - left_out
    acceleration = (pull**3).sum() / 6 / (pull**2).sum() ** 1.5
    low, high = bca_ends(
        theirs.bootstrap_distribution[None, :], np.array([sample.mean()]), np.array([acceleration]), 0.025
    )
    assert (low[0], high[0]) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)


def two_doses(seed, sizes):
    """Skewed wells at two doses, with one mean."""
    rng = np.random.default_rng(seed)
    samples = [1 + rng.exponential(size=size) for size in sizes]
    return samples, Response.of(np.repeat([0.0, 1e-6], sizes), np.concatenate(samples))


def test_cases_of_a_flat_response_are_the_stratified_bootstrap_of_a_mean():
    """Scipy's BCa interval of two samples, but for the wider tails and wells sqrt(n / (n - 1)) farther apart."""
    samples, response = two_doses(4, (20, 40))
    mine = bootstrap(fit(response, "flat"), kind="case", draws=20_000)["mean"]
    tail = stats.norm.cdf(-stats.t.ppf(0.975, 59))
    away = [s.mean() + (s - s.mean()) * math.sqrt(s.size / (s.size - 1)) for s in samples]
    theirs = stats.bootstrap(
        away, lambda a, b, axis=-1: (a.sum(axis) + b.sum(axis)) / 60, n_resamples=20_000, method="BCa",
        confidence_level=1 - 2 * tail, rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert mine.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.02 * width)


def test_a_parametric_interval_of_a_mean_is_that_of_student():
    estimate = fit(two_doses(4, (5, 7))[1], "flat")
    level, exact = bootstrap(estimate, draws=40_000)["mean"], estimate["mean"]
    width = exact.high - exact.low
    assert width > 0
    assert (level.low, level.high) == pytest.approx((exact.low, exact.high), abs=0.03 * width)


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_rows(kind):
    response = simulated(kill=8)
    order = np.random.default_rng(8).permutation(response.signal.size)
    moved = Response.of(response.concentration[order], response.signal[order], role=response.role[order].tolist())
    one, same, other = (bootstrap(fit(r), kind=kind, draws=500, seed=7) for r in (response, response, moved))
    assert ends(one) == ends(same)
    for p, q in zip(one.parameters, other.parameters, strict=True):
        assert (q.low, q.high) == pytest.approx((p.low, p.high), rel=1e-5)
    assert ends(one) != ends(bootstrap(fit(response), kind=kind, draws=500, seed=8))


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_an_estimate_has_the_same_interval_alone_and_in_a_batch(kind):
    estimates = fit_all([simulated(1), simulated(2, replicates=4), simulated(3, kill=8)])
    together = bootstrap_all(estimates, kind=kind, draws=300)
    for one, estimate in zip(together, estimates, strict=True):
        for p, q in zip(one.parameters, bootstrap(estimate, kind=kind, draws=300).parameters, strict=True):
            assert (q.low, q.high) == pytest.approx((p.low, p.high), rel=1e-5)


def test_estimates_of_several_families_go_together():
    response = simulated()
    both = bootstrap_all([fit(response), fit(response, "hill3"), fit(response, "hill5")], draws=300)
    assert [one.model for one in both] == ["hill4", "hill3", "hill5"]
    assert ends(both[1]) == ends(bootstrap(fit(response, "hill3"), draws=300))


def test_an_interval_moves_with_the_concentration_scale():
    response = simulated()
    moved = Response.of(response.concentration * 1000, response.signal, role=response.role.tolist())
    one, other = (bootstrap(fit(r), draws=500)["ec50"] for r in (response, moved))
    assert (other.low, other.high) == pytest.approx((1000 * one.low, 1000 * one.high), rel=1e-5)


def test_it_agrees_with_the_profile_where_the_data_say_much():
    estimate = fit(simulated(noise=0.02))
    redone = bootstrap(estimate, draws=4000)
    for old, new in zip(estimate.parameters, redone.parameters, strict=True):
        width = math.log(old.high / old.low)
        assert math.log(new.low / old.low) == pytest.approx(0.0, abs=0.12 * abs(width))
        assert math.log(new.high / old.high) == pytest.approx(0.0, abs=0.12 * abs(width))
        assert new.method == "parametric bootstrap, BCa"
    assert redone.status == estimate.status == "ok"


def test_an_end_that_many_draws_leave_is_open():
    estimate = fit(simulated(ec50=3e-4))
    redone = bootstrap(estimate, draws=1000)
    assert redone["ec50"].operator == ">"
    assert math.isinf(redone["ec50"].high)
    assert "Reported as EC50 >" in redone.status


def test_no_curve_stays_no_curve():
    rng = np.random.default_rng(1)
    estimate = fit(Response.of(np.r_[np.zeros(8), np.repeat(np.geomspace(1e-7, 1e-4, 8), 3)], rng.normal(1, 0.1, 32)))
    assert estimate.status.startswith("no curve")
    redone = bootstrap(estimate, draws=300)
    assert redone.status == estimate.status
    assert redone["ec50"] == estimate["ec50"]


def test_a_doubtful_full_effect_is_covered_in_both_readings():
    found = [
        e for e in fit_all([simulated(seed, kill=8, bottom=0.17) for seed in range(40)]) if 0.001 < e.p_full < 0.05
    ]
    assert found
    redone = bootstrap(found[0], draws=1000)
    assert redone["bottom"].low < 0.1 < found[0]["bottom"].best < redone["bottom"].high


def test_a_parameter_that_was_held_stays_held_and_bounds_are_kept():
    redone = bootstrap(fit(simulated(), fixed={"bottom": 0.1}, bounds={"top": (0.99, 1.01)}), draws=300)
    assert redone["bottom"].low == redone["bottom"].high == pytest.approx(0.1)
    assert redone["top"].operator != "=" or 0.99 <= redone["top"].low <= redone["top"].high <= 1.01


def test_rising_curves_have_rising_slopes():
    response = simulated()
    mirrored = Response.of(response.concentration, 2 - response.signal, role=response.role.tolist())
    slope, other = (bootstrap(fit(r), draws=500)["hill_slope"] for r in (response, mirrored))
    assert slope.low < slope.value < slope.high < 0
    assert 0 < other.low < other.value < other.high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 50}, "needs at least 200 draws, found 50"),
        ({"kind": "cases"}, 'no kind "cases". Did you mean "case"'),
        ({"method": "bc"}, 'no method "bc"'),
        ({"level": 1.0}, "level must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, message):
    with pytest.raises(FitError, match=message):
        bootstrap(fit(simulated()), **arguments)


def test_single_wells_have_no_cases():
    with pytest.raises(FitError, match=r'a dose with a single well has no cases.*kind="parametric"'):
        bootstrap(fit(simulated(replicates=1)), kind="case")


def test_what_is_no_fit_has_no_bootstrap():
    estimates = fit_all([simulated(1), simulated(2), Response.of([0, 1e-6], [1, 0.5])])
    with pytest.raises(FitError, match="needs a fit, and its wells"):
        bootstrap(combine(estimates[:2]))
    with pytest.raises(FitError, match="needs a fit, and its wells"):
        bootstrap(estimates[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method", "least"),
    [("parametric", "percentile", 0.925), ("parametric", "bca", 0.925), ("case", "bca", 0.895)],
)
def test_intervals_hold_the_truth(kind, method, least):
    """600 experiments, 500 draws each; three binomial standard errors below 95 %, of cases below 92 %."""
    estimates = bootstrap_all(
        fit_all([simulated(seed, noise=0.06) for seed in range(600)]), kind=kind, method=method, draws=500
    )
    shares = {name: covered(estimates, name) for name in TRUTH}
    print(f"{kind}, {method}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in shares.items())}")
    assert least <= shares["ec50"] <= 0.975
    assert min(shares.values()) >= least - 0.015


@pytest.mark.slow
def test_cases_keep_their_level_where_the_scatter_grows_with_the_signal():
    """8 wells a dose, SD in proportion to the signal: the profile is too wide at the bottom, too narrow at the top."""
    responses = [simulated(seed, replicates=8, scatter=lambda mean: 0.1 * mean) for seed in range(400)]
    profiles = fit_all(responses)
    cases = bootstrap_all(profiles, kind="case", draws=500)
    for name in TRUTH:
        print(f"{name}: profile {100 * covered(profiles, name):.1f} %, cases {100 * covered(cases, name):.1f} %")
        assert 0.90 <= covered(cases, name) <= 0.975


@pytest.mark.slow
def test_intervals_at_the_top_dose_are_open_rather_than_wrong():
    truth = 1e-4
    estimates = bootstrap_all(fit_all([simulated(s, ec50=truth, noise=0.06) for s in range(200)]), draws=400)
    opened = np.mean([estimate["ec50"].operator != "=" for estimate in estimates])
    print(f"at the top dose: {100 * covered(estimates, 'ec50', truth):.1f} % cover, {100 * opened:.0f} % open")
    assert covered(estimates, "ec50", truth) >= 0.90
    assert opened > 0.7


@pytest.mark.parametrize("kind", ["parametric", "case"])
def test_weights_of_the_noise_are_kept(kind):
    """Noise in proportion to the signal: the interval of the low plateau is narrow, that of the high one wide."""
    response = simulated(5, replicates=8, scatter=lambda mean: 0.1 * mean)
    plain, weighed = fit(response), fit(response, noise="proportional")
    redone = bootstrap(weighed, kind=kind, draws=2000)
    assert redone["bottom"].best == pytest.approx(weighed["bottom"].best, rel=1e-5)
    for name in ("ec50", "top", "bottom"):
        width = math.log(weighed[name].high / weighed[name].low)
        assert math.log(redone[name].high / redone[name].low) == pytest.approx(width, rel=0.3)
    assert redone["bottom"].high - redone["bottom"].low < 0.6 * (plain["bottom"].high - plain["bottom"].low)
