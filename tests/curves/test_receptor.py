"""Receptor theory: the identities between the models, their limits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax.curves import hill
from halfmax.curves.receptor import (
    effect,
    equiactive,
    gaddum,
    ic50_from_kb,
    kb_from_ic50,
    operational,
    operational_hill,
    operational_hill_shape,
    operational_shape,
    receptors_left,
    response_after_inactivation,
    response_after_pretreatment,
    response_of_two,
    response_together,
)
from halfmax.errors import RangeError

AGONIST = np.concatenate([[0.0], np.geomspace(1e-10, 1e-3, 29)])
LIGAND = np.array([[0.0], [1e-8], [1e-7], [1e-6], [1e-5]])
AGONISM = {"tau": 7.0, "ka": 2e-7, "em": 110.0, "basal": 4.0}
KINETICS = {"kinact": 0.03, "k_inact_half": 5e-6}
same = {"rtol": 1e-10, "atol": 1e-10}

slopes = st.floats(0.4, 4.0)
taus = st.floats(0.05, 200.0)
concentrations = st.floats(1e-10, 1e-3)


@pytest.mark.parametrize("n", [0.7, 1.0, 2.3])
def test_residual_efficacy_0_is_furchgott(n):
    q = receptors_left(LIGAND, 900.0, **KINETICS)
    after = response_after_pretreatment(
        AGONIST, LIGAND, 900.0, residual_efficacy=0.0, transducer_slope=n, **AGONISM, **KINETICS
    )
    before = operational(equiactive(AGONIST, ka=AGONISM["ka"], q=q), transducer_slope=n, **AGONISM)
    np.testing.assert_allclose(after, before, **same)


def test_residual_efficacy_0_is_a_transducer_ratio_in_proportion_to_the_receptors_left():
    q = receptors_left(LIGAND, 900.0, **KINETICS)
    after = response_after_pretreatment(AGONIST, LIGAND, 900.0, residual_efficacy=0.0, **AGONISM, **KINETICS)
    np.testing.assert_allclose(after, operational(AGONIST, **AGONISM | {"tau": 7.0 * q}), **same)


def test_equiactive_concentrations_lie_on_furchgotts_line():
    before = equiactive(AGONIST[1:], ka=2e-7, q=0.2)
    np.testing.assert_allclose(1 / before, 1 / (0.2 * AGONIST[1:]) + 0.8 / (0.2 * 2e-7), rtol=1e-12)
    assert equiactive(1e3, ka=2e-7, q=0.2) == pytest.approx(0.2 * 2e-7 / 0.8)


@pytest.mark.parametrize("efficacy", [0.0, 0.3, 1.0, 1.4])
@pytest.mark.parametrize("n", [0.7, 1.0, 2.3])
def test_kinact_0_is_partial_agonist_competition(efficacy, n):
    together = response_together(
        AGONIST, LIGAND, 3600.0, kinact=0.0, k_inact_half=5e-8, bound_efficacy=efficacy, residual_efficacy=0.9,
        transducer_slope=n, **AGONISM,
    )  # fmt: skip
    two = response_of_two(
        AGONIST, LIGAND, tau_partial=7.0 * efficacy, ka_partial=5e-8, transducer_slope=n, **AGONISM
    )  # fmt: skip
    np.testing.assert_allclose(together, two, **same)


def test_kinact_0_without_efficacy_is_gaddum():
    together = response_together(
        AGONIST, LIGAND, 3600.0, kinact=0.0, k_inact_half=5e-8, bound_efficacy=0.0, residual_efficacy=0.9, **AGONISM
    )
    ec50, emax = operational_shape(**AGONISM)
    shifted = gaddum(AGONIST, LIGAND, ec50=ec50, pa2=-np.log10(5e-8), emax=emax, basal=4.0)
    np.testing.assert_allclose(together, shifted, **same)


def test_kinact_0_and_a_wash_leave_nothing_behind():
    after = response_after_pretreatment(
        AGONIST, LIGAND, 3600.0, kinact=0.0, k_inact_half=5e-6, residual_efficacy=0.5, **AGONISM
    )
    np.testing.assert_allclose(after, np.broadcast_to(operational(AGONIST, **AGONISM), after.shape), **same)


def test_residual_efficacy_1_is_a_full_irreversible_agonist():
    """Its covalently held receptors do what as many do that the agonist holds; given time it reaches Emax alone."""
    full = {"residual_efficacy": 1.0, **AGONISM, **KINETICS}
    alone = response_after_pretreatment(0.0, LIGAND, 900.0, **full)
    held = 1.0 - np.exp(-0.03 * LIGAND / (5e-6 + LIGAND) * 900.0)
    as_much = 2e-7 * held / np.maximum(1.0 - held, 1e-300)
    np.testing.assert_allclose(alone, operational(as_much, **AGONISM), **same)
    np.testing.assert_allclose(
        response_after_pretreatment(AGONIST, 1e-5, 1e9, **full), operational_shape(**AGONISM)[1], **same
    )


def test_a_full_irreversible_agonist_never_lowers_a_response():
    after = response_after_pretreatment(AGONIST, LIGAND, 900.0, residual_efficacy=1.0, **AGONISM, **KINETICS)
    assert (np.diff(after, axis=0) >= -1e-12).all()


def test_together_without_agonist_and_then_washed_is_the_response_after_pretreatment_without_agonist():
    """Once all ligand that is bound is bound covalently."""
    kinetics = KINETICS | {"residual_efficacy": 0.4} | AGONISM
    together = response_together(0.0, LIGAND[1:], 1e8, bound_efficacy=0.9, **kinetics)
    np.testing.assert_allclose(together, response_after_pretreatment(0.0, LIGAND[1:], 1e8, **kinetics), **same)


def test_an_irreversible_partial_agonist_leaves_a_floor_of_stimulus():
    partial = {"residual_efficacy": 0.4, **AGONISM, **KINETICS}
    after = response_after_pretreatment(AGONIST, LIGAND, 900.0, **partial)
    assert (np.diff(after[:, 0]) > 0).all()
    assert (np.diff(after[:, -1]) < 0).all()
    floor = effect(0.4, tau=7.0, em=110.0, basal=4.0)
    np.testing.assert_allclose(response_after_pretreatment(AGONIST, 1e-3, 1e6, **partial), floor, **same)


def test_no_occupancy_takes_a_static_site_below_what_the_irreversible_ligand_does_alone():
    """S = efficacy (1 - q) + q >= efficacy: why a memoryless site cannot antagonise below its own effect."""
    q = np.linspace(0, 1, 101)
    both = response_after_inactivation(1e3, q=q, residual_efficacy=0.3, **AGONISM)
    assert (both >= response_after_inactivation(0.0, q=0.0, residual_efficacy=0.3, **AGONISM) - 1e-9).all()


def test_the_agonist_protects_the_receptors_from_what_is_added_together():
    with_much = response_together(1e-3, 1e-5, 60.0, bound_efficacy=0, residual_efficacy=0, **AGONISM, **KINETICS)
    after = response_after_pretreatment(1e-3, 1e-5, 60.0, residual_efficacy=0, **AGONISM, **KINETICS)
    assert with_much > after


@pytest.mark.parametrize("kb", [1e-9, 3e-7])
def test_gaddum_with_slope_1_is_the_operational_model_shifted(kb):
    ec50, emax = operational_shape(**AGONISM)
    shifted = operational(AGONIST / (1 + LIGAND / kb), **AGONISM)
    np.testing.assert_allclose(
        gaddum(AGONIST, LIGAND, ec50=ec50, pa2=-np.log10(kb), emax=emax, basal=4.0), shifted, **same
    )


def test_gaddum_without_antagonist_is_hill():
    found = gaddum(AGONIST, 0.0, ec50=3e-8, pa2=7.0, schild_slope=1.3, hill_slope=1.7, emax=90.0, basal=10.0)
    np.testing.assert_allclose(found, hill(AGONIST, ec50=3e-8, hill_slope=1.7, top=90.0, bottom=10.0), **same)


@given(schild=slopes, pa2=st.floats(5.0, 10.0))
def test_pa2_is_the_antagonist_that_doubles_the_ec50_whatever_the_schild_slope(schild, pa2):
    half = gaddum(2e-8, 10**-pa2, ec50=1e-8, pa2=pa2, schild_slope=schild)
    assert half == pytest.approx(0.5, abs=1e-9)


@given(agonist=concentrations, ec50=concentrations)
def test_leff_dougall_is_cheng_prusoff_for_a_hill_slope_of_1(agonist, ec50):
    assert kb_from_ic50(1e-7, agonist, ec50=ec50) == pytest.approx(1e-7 / (1 + agonist / ec50), rel=1e-10)


@given(kb=concentrations, ratio=st.floats(0.01, 1000.0), n=slopes)
def test_leff_dougall_finds_kb_from_the_ic50_of_a_gaddum_curve(kb, ratio, n):
    agonist, ec50 = ratio * 1e-8, 1e-8
    ic50 = ic50_from_kb(kb, agonist, ec50=ec50, hill_slope=n)
    curve = {"ec50": ec50, "pa2": -np.log10(kb), "hill_slope": n}
    assert gaddum(agonist, ic50, **curve) == pytest.approx(0.5 * float(gaddum(agonist, 0.0, **curve)), rel=1e-6)
    assert kb_from_ic50(ic50, agonist, ec50=ec50, hill_slope=n) == pytest.approx(kb, rel=1e-10)


@given(tau=taus, n=slopes)
def test_the_shape_of_the_operational_model_is_that_of_its_curve(tau, n):
    ec50, emax = operational_shape(tau=tau, ka=1e-6, em=100.0, transducer_slope=n, basal=10.0)
    at = operational(ec50, tau=tau, ka=1e-6, em=100.0, transducer_slope=n, basal=10.0)
    assert at == pytest.approx(0.5 * (emax + 10.0), rel=1e-8)


@given(tau=taus, n=slopes)
def test_the_hill_form_is_a_hill_curve_with_its_shape(tau, n):
    ec50, emax = operational_hill_shape(tau=tau, ka=1e-6, em=100.0, hill_slope=n, basal=10.0)
    found = operational_hill(AGONIST, tau=tau, ka=1e-6, em=100.0, hill_slope=n, basal=10.0)
    np.testing.assert_allclose(found, hill(AGONIST, ec50=ec50, hill_slope=n, top=emax, bottom=10.0), rtol=1e-8)


def test_both_forms_agree_where_the_slope_is_1():
    np.testing.assert_allclose(operational(AGONIST, **AGONISM), operational_hill(AGONIST, **AGONISM), **same)


def test_a_weak_agonists_ec50_is_ka_in_the_hill_form_and_in_that_of_black_and_leff_only_with_slope_1():
    for n, ratio in ((0.5, 1 / 3), (1.0, 1.0), (2.0, 1 / (np.sqrt(2) - 1))):
        assert operational_shape(tau=1e-12, ka=1.0, transducer_slope=n)[0] == pytest.approx(ratio, rel=1e-5)
        assert operational_hill_shape(tau=1e-12, ka=1.0, hill_slope=n)[0] == pytest.approx(1.0)


def test_emax_depends_on_the_slope_in_the_form_of_black_and_leff_only():
    assert operational_hill_shape(tau=3.0, ka=1.0, hill_slope=4.0)[1] == pytest.approx(0.75)
    assert operational_shape(tau=3.0, ka=1.0, transducer_slope=4.0)[1] == pytest.approx(81 / 82)


def test_one_curve_has_the_same_shape_for_many_tau_and_ka():
    """Any tau has its em and KA that draw the same curve: nothing tells them apart."""
    reference = operational(AGONIST, tau=5.0, ka=6e-7, em=1.0)
    for tau in (0.2, 50.0):
        other = operational(AGONIST, tau=tau, ka=1e-7 * (1 + tau), em=5 / 6 * (1 + tau) / tau)
        np.testing.assert_allclose(other, reference, **same)


def test_two_agonists_are_the_one_that_is_there():
    two = {"tau_partial": 1.5, "ka_partial": 3e-6, **AGONISM, "transducer_slope": 1.4}
    only = {"em": 110.0, "basal": 4.0, "transducer_slope": 1.4}
    np.testing.assert_allclose(response_of_two(AGONIST, 0.0, **two), operational(AGONIST, tau=7.0, ka=2e-7, **only))
    np.testing.assert_allclose(response_of_two(0.0, AGONIST, **two), operational(AGONIST, tau=1.5, ka=3e-6, **only))


def test_twice_the_same_agonist_is_the_agonist_twice():
    two = response_of_two(AGONIST, AGONIST, tau_partial=7.0, ka_partial=2e-7, **AGONISM)
    np.testing.assert_allclose(two, operational(2 * AGONIST, **AGONISM), **same)


def test_receptors_left_decay_with_the_rate_of_kitz_and_wilson():
    assert receptors_left(5e-6, 60.0, kinact=0.02, k_inact_half=5e-6) == pytest.approx(np.exp(-0.6))
    assert receptors_left(1e-9, 60.0, kinact=0.02, k_inact_half=5e-6) == pytest.approx(1 - 2.4e-4, abs=1e-7)


def test_basal_and_em_enter_linearly():
    low, high = (operational(AGONIST, tau=3.0, ka=1e-7, em=em, basal=basal) for em, basal in ((1.0, 0.0), (0.0, 1.0)))
    both = operational(AGONIST, tau=3.0, ka=1e-7, em=80.0, basal=-5.0)
    np.testing.assert_allclose(both, 80.0 * low - 5.0 * high, **same)


def test_shapes_broadcast():
    assert response_together(
        AGONIST, LIGAND, 60.0, bound_efficacy=0.5, residual_efficacy=0.5, **AGONISM, **KINETICS
    ).shape == (5, 30)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: operational(-1e-9, **AGONISM), "agonist must be ≥ 0, found -1e-09"),
        (lambda: gaddum(1e-9, -1e-8, ec50=1e-9, pa2=7.0), "antagonist must be ≥ 0, found -1e-08"),
        (lambda: receptors_left(1e-9, -60.0, **KINETICS), "time must be ≥ 0, found -60"),
        (lambda: response_of_two(1e-9, -1.0, tau_partial=1, ka_partial=1, **AGONISM), "partial must be ≥ 0, found -1"),
    ],
)
def test_a_negative_concentration_or_time_is_refused(call, message):
    with pytest.raises(RangeError, match=message):
        call()
