"""Wells to look at."""

import json

import numpy as np
import pytest
from wild import NOISE, simulated, spoiled

from halfmax.errors import FitError
from halfmax.estimate import find_outliers, find_outliers_all, fit_without
from halfmax.response import Response


def rows(found):
    return {suspect.row for suspect in found.suspects}


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
