"""Inactivation, competition in time, the apparent Ki of a covalent ligand, endpoint assays, wash-out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from halfmax.curves.inactivation import (
    EndpointAssay,
    apparent_ki,
    competition_kinetics,
    covalent_sites_left,
    inactivated_fraction,
    kobs,
    product,
    reversible_sites_left,
    ridge,
    share_of_control,
    splitting_time,
)
from halfmax.errors import RangeError

#: SCIENCE.md, section 2: K_I in nM, kinact in 1/min, and the Ki in nM that a 10-min assay reports.
ROWS = [(14.7, 5.7e-5, 14.7), (20, 2.9e-3, 19.4), (50, 0.016, 42.8), (200, 0.076, 107), (1000, 0.39, 161),
        (5000, 1.98, 173)]  # fmt: skip
SIGMA2 = {"radioligand": 5e-9, "kd": 20e-9}
SAMPLE = EndpointAssay(1.43e-6, 2e-10, 11 / 60, 2.9e-6, volume_before=8e-6, volume_after=10e-6)
rates = st.floats(-6, 0).map(lambda x: 10.0**x)


def integrated(rate, start, times):
    return solve_ivp(rate, (0, times[-1]), start, t_eval=times, method="LSODA", rtol=1e-12, atol=1e-20).y


def test_inactivation_is_that_of_the_integrated_scheme():
    """R + C <=> RC -> covalent, the first step at equilibrium."""
    times = np.array([0.0, 60.0, 600.0, 3600.0])
    share = 2e-6 / (2e-6 + 5e-7)
    left = integrated(lambda _, r: -1e-3 * share * r, [1.0], times)[0]
    found = inactivated_fraction(2e-6, times, kinact=1e-3, k_inact_half=5e-7)
    np.testing.assert_allclose(found, 1 - left, atol=1e-10)


def test_a_two_step_scheme_with_fast_binding_tends_to_it():
    on, off, kinact = 1e9, 500.0, 1e-3
    scheme = lambda _, y: [-on * 2e-6 * y[0] + off * y[1], on * 2e-6 * y[0] - (off + kinact) * y[1]]  # noqa: E731
    free, bound = integrated(scheme, [1.0, 0.0], np.array([1800.0]))
    found = inactivated_fraction(2e-6, 1800.0, kinact=kinact, k_inact_half=off / on)
    assert found == pytest.approx(1 - (free + bound)[0], rel=1e-5)


def test_half_the_rate_is_reached_at_k_inact_half_and_conditions_broadcast():
    assert kobs(3e-7, kinact=2e-3, k_inact_half=3e-7) == 1e-3
    assert inactivated_fraction(np.ones((4, 1)), np.ones(3), kinact=1.0, k_inact_half=1.0).shape == (4, 3)


@given(on=rates, off=rates, other_on=rates, other_off=rates)
@settings(max_examples=60, deadline=None)
def test_competition_in_time_is_that_of_the_integrated_scheme_and_ends_at_equilibrium(on, off, other_on, other_off):
    def rate(_, y):
        free = 1 - y[0] - y[1]
        return [on * free - off * y[0], other_on * free - other_off * y[1]]

    times = np.geomspace(1.0, 1e5, 6)
    constants = {"radioligand_kon": on, "radioligand_koff": off, "kon": other_on, "koff": other_off}
    found = competition_kinetics(times, radioligand=1.0, competitor=1.0, **constants)
    np.testing.assert_allclose(found, integrated(rate, [0.0, 0.0], times)[0], atol=1e-8)
    end = competition_kinetics(1e12, radioligand=1.0, competitor=1.0, **constants)
    assert end == pytest.approx((on / off) / (1 + on / off + other_on / other_off), rel=1e-8)


def test_sites_are_conserved_in_competition():
    """The competitor is seen by exchanging the two, the free sites by the rate at which the radioligand binds."""

    def share(time, one=(5e-9, 1e5, 2e-3), other=(1e-8, 5e4, 5e-4)):
        names = ("radioligand", "radioligand_kon", "radioligand_koff", "competitor", "kon", "koff")
        return competition_kinetics(time, **dict(zip(names, (*one, *other), strict=True)))

    time = np.array([10.0, 100.0, 1000.0, 5000.0])
    slope = (share(time + 0.01) - share(time - 0.01)) / 0.02
    free = (slope + 2e-3 * share(time)) / (5e-9 * 1e5)
    bound = share(time) + share(time, (1e-8, 5e4, 5e-4), (5e-9, 1e5, 2e-3))
    np.testing.assert_allclose(bound + free, 1.0, atol=1e-8)


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-8, 1e-4, 1e-2])
def test_competition_in_time_is_smooth_where_the_two_rates_meet(apart):
    """Rates meet as both ligands bind ever less; there the first binds as if alone."""
    found = competition_kinetics(
        1000.0, radioligand=1e-30, radioligand_kon=1.0, radioligand_koff=2e-3 * (1 + apart), competitor=1e-30, kon=1.0,
        koff=2e-3,
    )  # fmt: skip
    off = 2e-3 * (1 + apart)
    assert found == pytest.approx(1e-30 * -np.expm1(-off * 1000.0) / off, rel=1e-12)


def test_a_radioligand_alone_associates_as_an_exponential():
    time = np.array([0.0, 1.0, 100.0, 1e4])
    found = competition_kinetics(time, radioligand=5e-9, radioligand_kon=1e5, radioligand_koff=2e-3)
    np.testing.assert_allclose(found, 0.2 * -np.expm1(-2.5e-3 * time), rtol=1e-13)


@pytest.mark.parametrize(("half", "rate", "short"), ROWS)
def test_apparent_ki_gives_the_rows_of_the_reference(half, rate, short):
    found = [
        apparent_ki(k_inact_half=half * 1e-9, kinact=rate / 60, incubation_time=60 * minutes, **SIGMA2) * 1e9
        for minutes in (120, 10)
    ]
    assert found == pytest.approx([14.6, short], rel=0.02)


@pytest.mark.parametrize("koff", [None, 1e3])
def test_apparent_ki_without_inactivation_is_that_of_cheng_and_prusoff(koff):
    half = np.geomspace(1e-12, 1e-3, 10)
    found = apparent_ki(k_inact_half=half, kinact=0.0, incubation_time=7200.0, koff=koff, **SIGMA2)
    np.testing.assert_allclose(found, half, rtol=1e-10)


@pytest.mark.parametrize(("off", "tolerance"), [(None, 1e-5), (1e-3, 1e-7)])
def test_apparent_ki_halves_binding_in_the_integrated_competition(off, tolerance):
    """Free sites F = R + RC in rapid equilibrium with the ligand, the radioligand at its own pace."""
    half, kinact, time = 2e-7, 1.3e-3, 1800.0
    ki = float(apparent_ki(k_inact_half=half, kinact=kinact, incubation_time=time, koff=off, **SIGMA2))
    pace = off or 100.0

    def bound(ligand):
        share = 1 / (1 + ligand / half)
        rate = lambda _, y: [  # noqa: E731
            -pace / 20e-9 * 5e-9 * share * y[0] + pace * y[1] - kinact * (1 - share) * y[0],
            pace / 20e-9 * 5e-9 * share * y[0] - pace * y[1],
        ]
        return integrated(rate, [1.0, 0.0], np.array([time]))[1, 0]

    assert bound(ki * 1.25) / bound(0.0) == pytest.approx(0.5, abs=tolerance)


def test_with_a_radioligand_at_once_apparent_ki_does_not_depend_on_it():
    common = {"k_inact_half": 1e-6, "kinact": 6.5e-3, "incubation_time": 7200.0}
    found = [apparent_ki(radioligand=d, kd=kd, **common) for d, kd in ((5e-9, 20e-9), (1e-6, 1e-9))]
    assert found[0] == pytest.approx(found[1], rel=1e-12)


@pytest.mark.parametrize("koff", [None, 1e-3])
def test_ridge_is_the_inverse_of_apparent_ki(koff):
    assay = {"incubation_time": 7200.0, "koff": koff, **SIGMA2}
    half, rate = ridge(14.6e-9, **assay)
    assert rate[0] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(rate) > 0).all()
    np.testing.assert_allclose(apparent_ki(k_inact_half=half, kinact=rate, **assay), 14.6e-9, rtol=1e-9)


def test_the_ridge_runs_out_along_one_ratio():
    half, rate = ridge(14.6e-9, incubation_time=7200.0, k_inact_half=[1e-3], **SIGMA2)
    assert rate / half == pytest.approx(np.log(2) / (7200 * 14.6e-9), rel=1e-4)
    assert rate / half == pytest.approx(6.6e3, rel=0.01)


def test_the_shortest_time_splits_the_ridge_unless_the_radioligand_needs_longer():
    assay = {"incubation_time": 7200.0, "times": [300.0, 600.0, 1800.0, 7200.0], **SIGMA2}
    at_once = splitting_time(14.6e-9, **assay)
    assert at_once.time == 300.0
    assert at_once.folds[-1] == pytest.approx(1.0)
    assert splitting_time(14.6e-9, k_inact_half=14.6e-9 * np.array([1.0, 1e4]), **assay).folds[1] == pytest.approx(
        12, rel=1e-3
    )
    slow = splitting_time(14.6e-9, koff=1e-3, **assay)
    assert slow.time == 600.0
    assert slow.binding[0] < 0.5 < slow.binding[1]


def oracle(inhibitor, before, during, kinact, half, k6, assay=SAMPLE):
    """Product by a general solver."""

    def reacting(_, y):
        free = inhibitor - y[0]
        return [kinact * (assay.enzyme - y[0]) * free / (half + free) - k6 * y[0]]

    def reading(_, y):
        free, left = inhibitor * assay.dilution - y[0], assay.substrate - y[1]
        active = assay.enzyme * assay.dilution - y[0]
        return [
            kinact * active * free / (half * (1 + left / assay.km) + free) - k6 * y[0],
            assay.kcat * active * left / (assay.km * (1 + free / half) + left),
        ]

    covalent = integrated(reacting, [0.0], np.array([before]))[0, -1] * assay.dilution
    return integrated(reading, [covalent, 0.0], np.array([during]))[1, -1]


@pytest.mark.parametrize("k6", [0.0, 2e-4])
@pytest.mark.parametrize("enzyme", [2e-10, 3e-8])
@pytest.mark.parametrize("inhibitor", [1e-9, 3e-8, 1e-6])
def test_product_of_an_endpoint_assay_is_that_of_a_general_solver(inhibitor, enzyme, k6):
    """With inhibitor in excess and used up, substrate hardly touched and used up."""
    assay = EndpointAssay(1.43e-6, enzyme, 0.4, 2.9e-6, volume_before=8e-6, volume_after=10e-6)
    expected = oracle(inhibitor, 1200.0, 2700.0, 5e-3, 4e-7, k6, assay)
    found = product(inhibitor, 1200.0, 2700.0, assay=assay, kinact=5e-3, k_inact_half=4e-7, k6=k6)
    assert found == pytest.approx(expected, rel=1e-8)


def test_errors_of_an_endpoint_assay_fall_with_the_square_of_the_step():
    conditions = {"assay": SAMPLE, "kinact": 1e-2, "k_inact_half": 1e-6}
    exact = product(1e-7, 1200.0, 2700.0, **conditions)
    errors = [abs(product(1e-7, 1200.0, 2700.0, steps=n, **conditions) - exact) for n in (8, 16, 32)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.05)


def test_substrate_and_inhibitor_are_used_up_in_a_fixed_relation():
    """Without k6, ln S / ln I falls at (kcat/Km) / (kinact/K_I): what is lost of one tells the other."""
    assay = EndpointAssay(1e-6, 5e-8, 0.5, 3e-6)
    dose, kinact, half = 6e-8, 5e-3, 1e-6
    made = float(product(dose, 0.0, 1e6, assay=assay, kinact=kinact, k_inact_half=half))
    ratio = (assay.kcat / assay.km) / (kinact / half)
    assert made == pytest.approx(assay.substrate * (1 - (1 - assay.enzyme / dose) ** ratio), rel=1e-8)


def test_an_inhibitor_without_kinact_competes_only():
    """With little substrate and little turnover, product is in proportion to Km / (Km (1 + I/Ki) + S)."""
    assay = EndpointAssay(1e-6, 1e-14, 0.1, 2e-6)
    found = share_of_control([0.0, 3e-7], 600.0, 60.0, assay=assay, kinact=0.0, k_inact_half=3e-7)
    np.testing.assert_allclose(found, [1.0, 3.0 / 5.0], rtol=1e-6)


def test_a_reversible_covalent_inhibitor_comes_to_its_overall_constant():
    """Ki* = Ki / (1 + k5/k6), the inhibitor in excess and the substrate scarce."""
    assay = EndpointAssay(1e-12, 1e-14, 1e-3, 1e-6)
    found = share_of_control(2e-8, 1e6, 10.0, assay=assay, kinact=4e-3, k_inact_half=1e-7, k6=1e-3)
    assert found == pytest.approx(1 / (1 + 2e-8 / (1e-7 / 5)), rel=1e-5)


def test_sites_stay_lost_after_an_irreversible_ligand_and_come_back_after_a_reversible_one():
    left = covalent_sites_left(1e-6, 3600.0, [0.0, 1e5], kinact=1e-3, k_inact_half=1e-6)
    assert left[0] == left[1] == pytest.approx(np.exp(-1.8), rel=1e-12)
    off = np.log(2) / 21600
    back = reversible_sites_left(1e-6, 1e6, [0.0, 21600.0, 1e9], kon=1e5, koff=off)
    lost = 0.1 / (0.1 + off)
    np.testing.assert_allclose(back, [1 - lost, 1 - lost / 2, 1.0], rtol=1e-12)
    assert covalent_sites_left(1.0, 1e9, np.log(2) / 1e-5, kinact=1.0, k_inact_half=1.0, turnover=1e-5) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kobs(-1e-6, kinact=1.0, k_inact_half=1.0), "concentration must be a number at least 0 M, found -1"),
        (lambda: kobs([1.0, -1.0], kinact=1.0, k_inact_half=1.0), "found -1 at place 2"),
        (lambda: inactivated_fraction(1.0, -1.0, kinact=1.0, k_inact_half=1.0), "time must be a number at least 0 s"),
        (lambda: kobs(1.0, kinact=1.0, k_inact_half=0.0), "k_inact_half must be a number above 0 M, found 0"),
        (
            lambda: apparent_ki(k_inact_half=1.0, kinact=1.0, incubation_time=1.0, radioligand=1.0, kd=None),
            "radioligand's kd is missing. No Ki follows from an IC50 without it",
        ),
        (
            lambda: apparent_ki(k_inact_half=1.0, kinact=1.0, incubation_time=1.0, radioligand=1.0, kd=np.nan),
            "radioligand's kd is missing",
        ),
        (
            lambda: apparent_ki(k_inact_half=1.0, kinact=1.0, incubation_time=0.0, radioligand=1.0, kd=1.0),
            "incubation_time must be a number above 0 s, found 0",
        ),
        (
            lambda: apparent_ki(k_inact_half=1.0, kinact=1.0, incubation_time=1.0, radioligand=0.0, kd=1.0),
            "radioligand must be a number above 0 M, found 0",
        ),
        (
            lambda: ridge(14.6e-9, incubation_time=7200.0, k_inact_half=[1e-9], **SIGMA2),
            "k_inact_half must be at least 1.46e-08 M, found 1e-09 M: inactivation only lowers a Ki",
        ),
        (
            lambda: splitting_time(14.6e-9, incubation_time=7200.0, koff=1e-6, times=[60.0], **SIGMA2),
            "at none of the times .longest 60 s. has the radioligand reached 0.5",
        ),
        (lambda: EndpointAssay(1e-6, 0.0, 1.0, 1.0), "enzyme must be a number above 0 M, found 0"),
        (
            lambda: EndpointAssay(1e-6, 1e-9, 1.0, 1.0, volume_before=10.0, volume_after=8.0),
            "volume_after must be at least volume_before .10., found 8",
        ),
        (
            lambda: product(1e-6, 60.0, 0.0, assay=SAMPLE, kinact=1.0, k_inact_half=1.0),
            "incubation_time must be a number above 0 s, found 0",
        ),
        (lambda: product(-1e-6, 60.0, 60.0, assay=SAMPLE, kinact=1.0, k_inact_half=1.0), "inhibitor must be a number"),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_named(call, message):
    with pytest.raises(RangeError, match=message):
        call()
