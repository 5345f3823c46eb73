"""Wells to look at, and fits that they do not move."""

import json
import math

import numpy as np
import pytest

from halfmax.curves import hill
from halfmax.errors import FitError
from halfmax.estimate import find_outliers, find_outliers_all, fit, fit_all, fit_without, robust_fit
from halfmax.response import Response

TRUTH = {"ec50": 3e-6, "hill_slope": -1.3, "top": 1.0, "bottom": 0.1}
NOISE = 0.06


def simulated(seed=2, *, replicates=3, doses=8, vehicle=8, kill=0, errors=None, named=False, **truth):
    """Response with known truth; `errors` draws the errors in place of normal ones."""
    rng = np.random.default_rng(seed)
    dose = np.r_[np.zeros(vehicle), np.repeat(np.geomspace(1e-7, 1e-4, doses), replicates)]
    mean = np.r_[hill(dose, **(TRUTH | truth)), np.full(kill, 0.1)]
    signal = mean + (rng.normal(0, NOISE, mean.size) if errors is None else errors(rng, mean.size))
    role = ["vehicle"] * vehicle + ["sample"] * (dose.size - vehicle) + ["kill"] * kill
    well = [f"A{number}" for number in range(1, mean.size + 1)] if named else ""
    return Response.of(np.r_[dose, np.full(kill, np.nan)], signal, role=role, well=well)


def spoiled(response, rows, by):
    signal = response.signal.copy()
    signal[list(rows)] += by
    return Response.of(
        response.concentration, signal, role=response.role.tolist(), well=response.well.tolist(),
        plate=response.plate.tolist(),
    )  # fmt: skip


def rows(found):
    return {suspect.row for suspect in found.suspects}


def contaminated(rng, n):
    """One well in ten scatters eight times as much."""
    return rng.normal(0, NOISE, n) * np.where(rng.random(n) < 0.1, 8, 1)


def test_a_planted_outlier_is_found_with_its_well_and_still_takes_part():
    response = spoiled(simulated(named=True), [15], 0.5)
    found = find_outliers(response)
    suspect = found.suspects[0]
    assert (rows(found), suspect.well, suspect.name) == ({15}, "A16", "A16")
    assert suspect.residual == pytest.approx(suspect.signal - suspect.expected)
    assert suspect.p <= suspect.q < 0.01
    assert found.response.used.all()


def test_outliers_do_not_hide_one_another():
    """Four wells of 32, all to one side: least squares would see none of them."""
    response = spoiled(simulated(), [3, 14, 15, 25], 0.6)
    assert rows(find_outliers(response)) == {3, 14, 15, 25}


@pytest.mark.parametrize("bottom", [0.1, 0.5])
def test_a_control_well_is_held_against_its_own_centre(bottom):
    """Whether or not the drug reaches the kill control."""
    response = simulated(kill=8, bottom=bottom)
    assert rows(find_outliers(spoiled(response, [35], 0.5))) == {35}
    assert rows(find_outliers(spoiled(response, [2], -0.5))) == {2}


def test_neither_the_order_of_rows_nor_the_unit_matters():
    response = spoiled(simulated(kill=6), [10, 34], 0.5)
    order = np.random.default_rng(5).permutation(response.signal.size)
    moved = Response.of(
        response.concentration[order] * 1e6, response.signal[order] * 7, role=response.role[order].tolist()
    )
    one, other = find_outliers(response), find_outliers(moved)
    assert {int(order[row]) for row in rows(other)} == rows(one) == {10, 34}
    assert [s.q for s in other.suspects] == pytest.approx([s.q for s in one.suspects], rel=1e-3)
    assert other.scale == pytest.approx(7 * one.scale, rel=1e-4)


def test_a_response_is_judged_by_itself():
    responses = [spoiled(simulated(1), [9], 0.6), simulated(2, replicates=2, kill=5), simulated(3, vehicle=0)]
    for one, response in zip(find_outliers_all(responses), responses, strict=True):
        alone = find_outliers(response)
        assert rows(one) == rows(alone)
        assert one.scale == pytest.approx(alone.scale, rel=1e-4)


def test_excluded_and_missing_wells_are_not_judged():
    response = spoiled(simulated(named=True), [15], 0.5).excluding(["A16"], "tip blocked")
    found = find_outliers(response)
    assert (found.suspects, found.n) == ((), 31)


def test_a_fit_without_them_records_the_reason():
    response = spoiled(simulated(named=True), [12, 15], 0.6)
    found = find_outliers(response)
    estimate = fit_without(found, "tip blocked")
    assert estimate.response.excluded[15] == "tip blocked"
    assert "2 wells are excluded by the study, with a reason." in estimate.notes
    assert (estimate.response.excluded != "").sum() == 2
    assert response.used.all()
    only = fit_without(found, "bubble", wells=["A16"])
    assert np.flatnonzero(only.response.excluded != "").tolist() == [15]


def test_wells_without_names_are_left_out_by_their_row():
    found = find_outliers(spoiled(simulated(), [15], 0.6))
    assert found.suspects[0].name == "row 16"
    assert np.flatnonzero(fit_without(found, "bubble", wells=["row 16"]).response.excluded == "bubble").tolist() == [15]


def test_an_earlier_exclusion_keeps_its_reason():
    response = spoiled(simulated(named=True), [15, 20], 0.6).excluding(["A21"], "tip blocked")
    estimate = fit_without(find_outliers(response), "bubble")
    assert (estimate.response.excluded[20], estimate.response.excluded[15]) == ("tip blocked", "bubble")


def test_an_exclusion_needs_a_reason_and_a_suggestion():
    found = find_outliers(spoiled(simulated(named=True), [15], 0.6))
    with pytest.raises(FitError, match="an exclusion needs a reason"):
        fit_without(found, " ")
    with pytest.raises(FitError, match=r'"A2" is not among the suggested wells \(A16\)'):
        fit_without(found, "bubble", wells=["A2"])


def test_too_few_wells_are_told_what_is_missing():
    with pytest.raises(FitError, match=r"residuals of 6 wells round a curve of 4 parameters .* at least 7 wells"):
        find_outliers(simulated(replicates=1, doses=5, vehicle=1))
    with pytest.raises(FitError, match="hill4 needs at least 3 doses above zero, found 2"):
        find_outliers(simulated(doses=2))


def test_a_rate_is_between_0_and_1():
    with pytest.raises(FitError, match="between 0 and 1, found 0"):
        find_outliers(simulated(), q=0)


def test_perfect_data_have_no_outliers():
    perfect = simulated(errors=lambda _, n: np.zeros(n))
    assert len(find_outliers(perfect)) == 0
    assert rows(find_outliers(spoiled(perfect, [12], 0.2))) == {12}


def test_what_is_suggested_can_be_read():
    found = find_outliers(spoiled(simulated(named=True), [15], 0.5))
    text = str(found)
    assert "1 of 32 wells to look at (false-discovery rate 0.01); all of them still take part" in text
    assert "A16 (sample at 720 nM)" in text
    assert "SD above" in text
    assert "none of 32 wells is suggested" in str(find_outliers(simulated()))
    json.dumps(found.records(), allow_nan=False)
    json.dumps(find_outliers(spoiled(simulated(kill=8), [35], 0.5)).records(), allow_nan=False)


def test_a_robust_fit_is_that_of_least_squares_where_errors_are_tiny():
    response = simulated(errors=lambda rng, n: rng.normal(0, 1e-4, n))
    one, other = fit(response), robust_fit(response, draws=200)
    for name, value in TRUTH.items():
        assert other[name].best == pytest.approx(one[name].best, rel=1e-3)
        assert other[name].low <= other[name].best <= other[name].high
        assert other[name].best == pytest.approx(value, rel=1e-2)


def test_a_robust_fit_is_hardly_moved_by_wild_wells():
    response = simulated()
    wild = spoiled(response, [12, 16, 22], [3.0, 2.5, -2.0])
    clean, moved, robust = fit(response), fit(wild), robust_fit(wild, draws=200)
    away = abs(math.log(robust["ec50"].best / clean["ec50"].best))
    assert away < 0.15
    assert away < 0.5 * abs(math.log(moved["ec50"].best / clean["ec50"].best))
    assert robust.status == "ok"
    assert robust["ec50"].method.startswith("bootstrap of a fit with Student-t errors")
    assert robust.sigma < 2 * NOISE


def test_the_likelihood_of_a_robust_fit_is_the_highest():
    """With another optimiser, over all parameters at once."""
    from scipy.optimize import minimize

    response = spoiled(simulated(), [12, 19], [1.0, -0.8])
    estimate = robust_fit(response, draws=200)

    def minus_log_likelihood(p, freedom=4.0):
        curve = hill(response.concentration, ec50=math.exp(p[0]), hill_slope=p[1], top=p[2], bottom=p[3])
        t = (response.signal - curve) / math.exp(p[4])
        return response.signal.size * p[4] + (freedom + 1) / 2 * np.log1p(t**2 / freedom).sum()

    best = [math.log(estimate["ec50"].best), *(estimate[name].best for name in ("hill_slope", "top", "bottom"))]
    found = minimize(minus_log_likelihood, [*best, math.log(0.06)], method="Nelder-Mead",
                     options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000})  # fmt: skip
    assert found.x[:4] == pytest.approx(best, abs=2e-3)


def test_a_robust_fit_is_reproducible_and_does_not_depend_on_the_order_of_rows():
    response = simulated(kill=8)
    order = np.random.default_rng(2).permutation(response.signal.size)
    moved = Response.of(response.concentration[order], response.signal[order], role=response.role[order].tolist())
    one, same, other = (robust_fit(r, draws=200) for r in (response, response, moved))
    assert one["ec50"] == same["ec50"]
    assert (other["ec50"].low, other["ec50"].high) == pytest.approx((one["ec50"].low, one["ec50"].high), rel=1e-4)


def test_a_wild_kill_well_does_not_untie_the_curve():
    response = spoiled(simulated(kill=8, ec50=5e-5), [34], 0.6)
    robust = robust_fit(response, draws=300)
    assert robust.p_full >= 0.05
    assert robust["ec50"].operator == "="
    assert robust["ec50"].low < 5e-5 < robust["ec50"].high


def test_a_partial_effect_is_not_tied_in_a_robust_fit():
    estimate = robust_fit(simulated(kill=8, bottom=0.5), draws=200)
    assert estimate.p_full < 0.001
    assert estimate["bottom"].best == pytest.approx(0.5, abs=0.06)


def test_robust_fits_beyond_the_doses_are_open():
    estimates = [robust_fit(simulated(seed, ec50=2e-4), draws=200) for seed in range(6)]
    opened = [estimate for estimate in estimates if estimate["ec50"].operator == ">"]
    assert len(opened) >= 4
    assert all(estimate.status.startswith("open") for estimate in opened)


def test_a_robust_fit_has_a_direction_and_a_flat_response_no_curve():
    assert robust_fit(simulated(), direction="rising", draws=200)["ec50"].operator == "?"
    flat = [
        robust_fit(simulated(seed, top=1.0, bottom=1.0), draws=200).status.startswith("no curve") for seed in range(20)
    ]
    assert np.mean(flat) >= 0.8


def test_what_a_robust_fit_cannot_do_is_said():
    with pytest.raises(FitError, match="needs freedom ≥ 1, draws ≥ 200"):
        robust_fit(simulated(), draws=10)


@pytest.mark.slow
@pytest.mark.parametrize(("replicates", "kill", "least", "most"), [(3, 8, 0.01, 0.045), (2, 0, 0.01, 0.07)])
def test_normal_scatter_is_seldom_suggested(replicates, kill, least, most):
    """Share of data sets with at least one suggestion at Q = 1 %; published: 1–3 %."""
    found = find_outliers_all([simulated(seed, replicates=replicates, kill=kill) for seed in range(800)])
    false = np.mean([len(one) > 0 for one in found])
    print(f"{found[0].n} wells: {100 * false:.1f} % of 800 data sets with a suggestion")
    assert least <= false <= most


@pytest.mark.slow
def test_most_planted_outliers_are_found_and_few_others():
    rng, truth, responses = np.random.default_rng(1), [], []
    for seed in range(400):
        response = simulated(seed, kill=8)
        planted = rng.choice(response.signal.size, 2, replace=False)
        responses.append(spoiled(response, planted, 7 * NOISE * rng.choice([-1, 1], 2)))
        truth.append(set(planted.tolist()))
    found = list(map(rows, find_outliers_all(responses)))
    power = np.mean([len(f & t) / 2 for f, t in zip(found, truth, strict=True)])
    rate = np.mean([len(f - t) / max(len(f), 1) for f, t in zip(found, truth, strict=True)])
    print(f"7 SD away: {100 * power:.0f} % found, {100 * rate:.1f} % of the suggestions false")
    assert power > 0.93
    assert rate < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("name", "errors"), [("normal", None), ("one in ten eight times as wide", contaminated)])
def test_robust_intervals_hold_the_truth(name, errors):
    """60 experiments, 200 draws each; three binomial standard errors below 95 %."""
    responses = [simulated(1000 + seed, errors=errors) for seed in range(60)]
    robust, plain = [robust_fit(response, draws=200) for response in responses], fit_all(responses)
    share, width = {}, {}
    for kind, estimates in (("robust", robust), ("least squares", plain)):
        share[kind] = np.mean([e["ec50"].low <= TRUTH["ec50"] <= e["ec50"].high for e in estimates])
        width[kind] = np.median([np.log10(e["ec50"].high / max(e["ec50"].low, 1e-12)) for e in estimates])
        print(f"{name}, {kind}: {100 * share[kind]:.1f} % cover, {width[kind]:.2f} decades wide")
    assert share["robust"] >= 0.866
    assert width["robust"] < (0.75 if errors else 1.15) * width["least squares"]


@pytest.mark.slow
def test_robust_intervals_beyond_the_doses_are_open_rather_than_wrong():
    """30 experiments with the EC50 at twice the highest dose."""
    estimates = [robust_fit(simulated(2000 + seed, ec50=2e-4), draws=200) for seed in range(30)]
    share = np.mean([e["ec50"].low <= 2e-4 <= e["ec50"].high for e in estimates])
    opened = np.mean([e["ec50"].operator != "=" for e in estimates])
    print(f"beyond the doses: {100 * share:.1f} % cover, {100 * opened:.0f} % open")
    assert share >= 0.83
    assert opened >= 0.85
