"""Binding at equilibrium: the roots against arithmetic of sixty digits, the balances, the limits, the messages."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax.curves.binding import (
    bound_competition,
    bound_depleted,
    bound_homologous,
    bound_sites,
    cheng_prusoff,
    competition_ic50,
    free_receptor,
    occupancy,
    occupancy_competition,
    scatchard,
    total_binding,
    total_depleted,
)
from halfmax.errors import RangeError

molar = st.floats(-13, -2).map(lambda exponent: 10.0**exponent)


def draws(count: int, columns: int, seed: int = 1) -> np.ndarray:
    """Concentrations of 1e-13 to 1e-2 M."""
    return 10 ** np.random.default_rng(seed).uniform(-13, -2, (columns, count))


def exact(a: float, b: float, r: float, k: float, i: float) -> tuple[float, float, float]:
    """Free receptor and both bound ligands, by Newton steps with sixty digits."""
    with localcontext() as context:
        context.prec = 60
        a, b, r, k, i = (Decimal(float(value)) for value in (a, b, r, k, i))
        free = max(r / (1 + a / k + b / i), r - a - b)
        for _ in range(500):
            over = free + a * free / (k + free) + b * free / (i + free) - r
            step = over / (1 + a * k / (k + free) ** 2 + b * i / (i + free) ** 2)
            free -= step
            if abs(step) < free * Decimal(10) ** -40:
                break
        return float(free), float(a * free / (k + free)), float(b * free / (i + free))


def hard(count: int) -> tuple[np.ndarray, ...]:
    """Ligand, competitor, receptor, kd, ki; many at the equivalence points, where digits cancel."""
    a, b, r, k, i = draws(count, 5)
    fifth = count // 5
    r[:fifth] = (a + b)[:fifth]
    r[fifth : 2 * fifth] = (b * (1 + 1e-9))[fifth : 2 * fifth]
    r[2 * fifth : 3 * fifth] = a[2 * fifth : 3 * fifth]
    return a, b, r, k, i


def test_the_root_of_the_cubic_is_exact_to_1e_12():
    a, b, r, k, i = hard(1000)
    truth = np.array([exact(*row) for row in zip(a, b, r, k, i, strict=True)]).T
    found = (
        free_receptor(a, b, receptor=r, kd=k, ki=i),
        bound_competition(a, b, receptor=r, kd=k, ki=i),
        bound_competition(b, a, receptor=r, kd=i, ki=k),
    )
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_no_receptor_is_lost_in_the_cubic():
    a, b, r, k, i = hard(20_000)
    parts = free_receptor(a, b, receptor=r, kd=k, ki=i)
    parts = parts + bound_competition(a, b, receptor=r, kd=k, ki=i) + bound_competition(b, a, receptor=r, kd=i, ki=k)
    np.testing.assert_allclose(parts, r, rtol=1e-12)


def test_the_cubic_is_the_quadratic_where_the_second_ligand_vanishes():
    a, _, r, k, i = hard(20_000)
    alone = bound_depleted(a, receptor=r, kd=k)
    np.testing.assert_allclose(bound_competition(a, 0.0, receptor=r, kd=k, ki=i), alone, rtol=1e-12)
    faint = 1e-10 * np.minimum.reduce([r, i, k, bound_depleted(a, receptor=r, kd=k)])
    np.testing.assert_allclose(bound_competition(a, faint, receptor=r, kd=k, ki=i), alone, rtol=1e-8)


def test_the_cubic_of_a_ligand_beside_itself_is_the_quadratic_of_both():
    a, b, r, k, _ = hard(20_000)
    np.testing.assert_allclose(
        bound_competition(a, b, receptor=r, kd=k, ki=k), bound_homologous(a, b, receptor=r, kd=k), rtol=1e-11
    )


def test_what_is_bound_obeys_the_law_of_mass_action():
    a, r, k = draws(20_000, 3)
    bound = bound_depleted(a, receptor=r, kd=k)
    free_ligand, free_sites = a - bound, r - bound
    clear = (free_ligand > 1e-3 * a) & (free_sites > 1e-3 * r)
    np.testing.assert_allclose((free_ligand * free_sites)[clear], (k * bound)[clear], rtol=1e-8)


def test_depletion_vanishes_with_the_receptor():
    a, b, k, i = draws(2000, 4)
    r = 1e-12 * np.minimum.reduce([a, b, k, i])
    np.testing.assert_allclose(bound_depleted(a, receptor=r, kd=k) / r, occupancy(a, kd=k), rtol=1e-8)
    found = bound_competition(a, b, receptor=r, kd=k, ki=i) / r
    np.testing.assert_allclose(found, occupancy_competition(a, b, kd=k, ki=i), rtol=1e-8)


def test_two_equal_sites_are_one():
    a, b, r, k, i = hard(5000)
    found = bound_sites(
        a, b, receptor_first=0.3 * r, receptor_second=0.7 * r, kd_first=k, kd_second=k, ki_first=i, ki_second=i
    )
    np.testing.assert_allclose(found, bound_competition(a, b, receptor=r, kd=k, ki=i), rtol=1e-8)


def test_an_empty_second_site_changes_nothing():
    a, r, k, other = draws(5000, 4)
    found = bound_sites(a, receptor_first=r, receptor_second=0.0, kd_first=k, kd_second=other)
    np.testing.assert_allclose(found, bound_depleted(a, receptor=r, kd=k), rtol=1e-8)


def test_no_ligand_is_lost_between_two_sites():
    """What is bound of both ligands leaves the free ones that bind just that much."""
    a, b, r1, r2, k1, k2, i1, i2 = draws(20_000, 8, seed=3)
    bound = bound_sites(
        a, b, receptor_first=r1, receptor_second=r2, kd_first=k1, kd_second=k2, ki_first=i1, ki_second=i2
    )
    other = bound_sites(
        b, a, receptor_first=r1, receptor_second=r2, kd_first=i1, kd_second=i2, ki_first=k1, ki_second=k2
    )
    free, rest = a - bound, b - other
    clear = (free > 1e-3 * a) & (rest > 1e-3 * b)
    again = r1 * free / k1 / (1 + free / k1 + rest / i1) + r2 * free / k2 / (1 + free / k2 + rest / i2)
    assert clear.sum() > 5000
    np.testing.assert_allclose(again[clear], bound[clear], rtol=1e-8)


@given(ligand=molar, kd=molar, bmax=molar, nsb=st.floats(0, 5))
def test_nonspecific_binding_is_missing_from_what_is_free(ligand, kd, bmax, nsb):
    specific = float(bound_depleted(ligand, receptor=bmax, kd=kd * (1 + nsb)))
    free = (ligand - specific) / (1 + nsb)
    total = float(total_depleted(ligand, kd=kd, bmax=bmax, nsb=nsb))
    assert total + free == pytest.approx(ligand, rel=1e-12)
    if free > 1e-4 * ligand:
        assert specific == pytest.approx(bmax * free / (kd + free), rel=1e-8)


@given(ki=molar, radioligand=molar, kd=molar)
def test_cheng_and_prusoff_go_back_and_forth(ki, radioligand, kd):
    ic50 = competition_ic50(ki, radioligand=radioligand, kd=kd)
    assert float(cheng_prusoff(ic50, radioligand=radioligand, kd=kd)) == pytest.approx(ki, rel=1e-14)
    half = occupancy_competition(radioligand, ic50, kd=kd, ki=ki) / occupancy(radioligand, kd=kd)
    assert float(half) == pytest.approx(0.5, rel=1e-12)


@given(kd=molar, slope=st.floats(0.3, 4))
def test_half_of_the_sites_are_taken_at_kd_whatever_the_hill_slope(kd, slope):
    assert float(occupancy(kd, kd=kd, hill_slope=slope)) == 0.5
    assert occupancy([0.0, np.inf], kd=kd, hill_slope=slope).tolist() == [0.0, 1.0]


def test_total_binding_is_specific_and_nonspecific():
    found = total_binding([0.0, 2e-9], kd=2e-9, bmax=100.0, nsb=1e9, background=3.0)
    assert found.tolist() == [3.0, 55.0]


def test_arrays_broadcast():
    found = bound_competition(1e-9, np.zeros((4, 1)), receptor=np.full(3, 1e-9), kd=1e-9, ki=1e-9)
    assert found.shape == (4, 3)
    assert bound_sites(np.full((2, 1), 1e-9), receptor_first=1e-9, receptor_second=np.full(3, 1e-9),
                       kd_first=1e-9, kd_second=1e-8).shape == (2, 3)  # fmt: skip


def test_nothing_binds_where_nothing_is():
    assert float(bound_depleted(0.0, receptor=1e-9, kd=1e-9)) == 0
    assert float(bound_depleted(1e-9, receptor=0.0, kd=1e-9)) == 0
    assert float(bound_competition(0.0, 1e-9, receptor=1e-9, kd=1e-9, ki=1e-9)) == 0
    assert float(bound_competition(1e-9, 1e-9, receptor=0.0, kd=1e-9, ki=1e-9)) == 0
    assert float(bound_homologous(0.0, 0.0, receptor=1e-9, kd=1e-9)) == 0


def test_a_scatchard_plot_keeps_negative_binding_and_has_no_ratio_without_ligand():
    bound, ratio = scatchard([-1.0, 4.0, 3.0], [2.0, 2.0, 0.0])
    assert bound.tolist() == [-1.0, 4.0, 3.0]
    assert ratio[:2].tolist() == [-0.5, 2.0]
    assert np.isnan(ratio[2])


def test_a_scatchard_plot_of_one_site_is_a_line_of_slope_minus_one_over_kd():
    free = np.geomspace(1e-10, 1e-7, 9)
    bound, ratio = scatchard(total_binding(free, kd=2e-9, bmax=50.0), free)
    np.testing.assert_allclose(ratio, (50.0 - bound) / 2e-9, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: occupancy(-1e-9, kd=1e-9), "ligand must be >= 0 M, found -1e-09"),
        (lambda: occupancy(1e-9, kd=0.0), "kd must be > 0 M, found 0"),
        (lambda: occupancy_competition(1e-9, -1.0, kd=1e-9, ki=1e-9), "competitor must be >= 0 M, found -1"),
        (lambda: bound_depleted(1e-9, receptor=-1e-9, kd=1e-9), "receptor must be >= 0 M, found -1e-09"),
        (lambda: free_receptor(1e-9, 0.0, receptor=1e-9, kd=1e-9, ki=0.0), "ki must be > 0 M, found 0"),
        (lambda: bound_homologous(1e-9, -1.0, receptor=1e-9, kd=1e-9), "cold must be >= 0 M, found -1"),
        (lambda: cheng_prusoff(1e-9, radioligand=1e-9, kd=-1e-9), "kd must be > 0 M, found -1e-09"),
    ],
)
def test_what_means_nothing_is_refused(call, said):
    with pytest.raises(RangeError, match=said):
        call()
