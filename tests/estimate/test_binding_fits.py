"""Kd, Bmax and Ki: recovery, depletion on and off, censoring, textbook rows, messages; coverage (slow)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from halfmax.curves.binding import (
    bound_competition,
    bound_depleted,
    bound_homologous,
    bound_sites,
    occupancy_competition,
    total_binding,
    total_depleted,
)
from halfmax.errors import FitError, RangeError
from halfmax.estimate.binding import fit_competition, fit_saturation, published_ki, selectivity

#: Saturation: eight concentrations of radioligand, totals and non-specific wells in duplicate.
ADDED = np.tile(np.repeat(np.geomspace(0.2e-9, 30e-9, 8), 2), 2)
MASKED = np.repeat([False, True], 16)
#: Competition: no competitor, ten concentrations, and a masking ligand.
COMPETITOR = np.r_[np.zeros(4), np.repeat(np.geomspace(1e-10, 1e-5, 10), 2), np.zeros(4)]
HIDDEN = np.arange(28) >= 24
LIGAND, KD, KI, RECEPTOR = 0.2e-9, 1e-9, 1e-8, 1.12e-9
STEPS = np.r_[0.0, np.geomspace(1e-10, 1e-5, 10)]


def saturation(kd=2e-9, bmax=5000.0, nsb=3e10, background=50.0) -> np.ndarray:
    return total_binding(ADDED, kd=kd, bmax=np.where(MASKED, 0.0, bmax), nsb=nsb, background=background)


def competition(ki=KI, competitor=COMPETITOR, hidden=HIDDEN) -> np.ndarray:
    """Counts without depletion: 4000 specific, 300 not."""
    share = occupancy_competition(LIGAND, competitor, kd=KD, ki=ki) * (1 + KD / LIGAND)
    return 300 + 4000 * np.where(hidden, 0.0, share)


def depleted(ki=KI, nsb=0.02, receptor=RECEPTOR) -> np.ndarray:
    """The same in M, where the sites take half of the radioligand."""
    sites = np.where(HIDDEN, 0.0, receptor)
    specific = bound_competition(LIGAND, COMPETITOR, receptor=sites, kd=KD * (1 + nsb), ki=ki)
    return specific + nsb * (LIGAND - specific) / (1 + nsb)


def noise(size: float, count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, count)


# Saturation


def test_saturation_gives_back_what_was_put_in():
    found = fit_saturation(ADDED, saturation(), nonspecific=MASKED, unit="cpm")
    values = [found[name].best for name in ("kd", "bmax", "nsb", "background")]
    assert values == pytest.approx([2e-9, 5000, 3e10, 50], rel=1e-8)
    assert [found[name].unit for name in ("kd", "bmax", "nsb", "background")] == ["M", "cpm", "cpm/M", "cpm"]
    assert found.status == "ok"


@pytest.mark.parametrize("kd", [1e-13, 1e-11, 1e-8, 1e-5, 1e-3])
def test_starts_are_found_from_the_data_at_any_concentration(kd):
    added = np.tile(np.geomspace(0.03, 10, 8), 2) * kd
    masked = np.arange(16) >= 8
    exact = total_depleted(added, kd=kd, bmax=np.where(masked, 0, 2 * kd), nsb=0.03) * (1 + noise(1e-6, 16))
    found = fit_saturation(added, exact, nonspecific=masked, unit="M", depletion=True)
    assert [found[name].best for name in ("kd", "bmax", "nsb")] == pytest.approx([kd, 2 * kd, 0.03], rel=1e-4)
    competitor = np.r_[0, np.geomspace(0.1, 1000, 9)] * kd
    counts = 5 + 100 / (1 + competitor / (3 * kd * 1.5))
    assert fit_competition(competitor, counts, radioligand=0.5 * kd, kd=kd)["ki"].best == pytest.approx(
        3 * kd, rel=1e-7
    )


def test_without_a_mask_of_wells_bound_is_specific_and_negative_values_are_kept():
    added = np.repeat(np.geomspace(1e-10, 3e-8, 8), 3)
    specific = total_binding(added, kd=2e-9, bmax=100.0) + noise(15, 24, 5)
    assert specific.min() < 0
    found = fit_saturation(added, specific, unit="cpm")
    assert [p.name for p in found.parameters] == ["kd", "bmax"]
    assert found["kd"].low < 2e-9 < found["kd"].high
    clipped = fit_saturation(added, np.maximum(specific, 0), unit="cpm")
    assert clipped["kd"].best != found["kd"].best


def test_totals_alone_give_the_nonspecific_line_too():
    found = fit_saturation(ADDED[:16], saturation()[:16], nonspecific=MASKED[:16], unit="cpm")
    assert found["nsb"].best == pytest.approx(3e10, rel=1e-5)
    with_masked = fit_saturation(ADDED, saturation() + noise(50, 32), nonspecific=MASKED)
    alone = fit_saturation(ADDED[:16], (saturation() + noise(50, 32))[:16], nonspecific=MASKED[:16])
    assert alone["bmax"].high - alone["bmax"].low > with_masked["bmax"].high - with_masked["bmax"].low


def test_a_held_background_costs_nothing():
    found = fit_saturation(ADDED, saturation(background=0), nonspecific=MASKED, fixed={"background": 0.0})
    assert found["background"].best == 0
    assert found.df == 32 - 3


def test_a_hill_slope_is_found():
    exact = total_binding(ADDED, kd=3e-9, bmax=np.where(MASKED, 0, 500), hill_slope=1.6)
    found = fit_saturation(ADDED, exact + noise(2, 32), nonspecific=MASKED, hill=True)
    assert found["hill_slope"].low < 1.6 < found["hill_slope"].high
    assert found["hill_slope"].low > 1.3


@pytest.mark.parametrize("depletion", [False, True])
def test_two_sites_are_told_apart_and_named_by_affinity(depletion):
    added, masked = np.tile(np.geomspace(1e-11, 1e-6, 14), 3), np.arange(42) >= 28
    first, second = np.where(masked, 0, 2e-10), np.where(masked, 0, 3e-9)
    if depletion:
        exact = bound_sites(added, receptor_first=first, receptor_second=second, kd_first=1e-10, kd_second=2e-8)
    else:
        exact = total_binding(added, kd=1e-10, bmax=first) + total_binding(added, kd=2e-8, bmax=second)
    bound = exact + noise(1e-11, 42, 2)
    found = fit_saturation(added, bound, nonspecific=masked, sites=2, unit="M", depletion=depletion)
    truth = {"kd_first": 1e-10, "kd_second": 2e-8, "kd_ratio": 200, "bmax_first": 2e-10, "bmax_second": 3e-9}
    for name, value in truth.items():
        assert found[name].low < value < found[name].high
        assert found[name].operator == "="
    assert "Two sites fit better than one" in found.notes[-1]
    assert found.parts[0].model.startswith("saturation, one site")


def test_one_site_is_not_called_two():
    found = fit_saturation(ADDED, saturation() + noise(60, 32), nonspecific=MASKED, sites=2)
    assert "Two sites do not fit significantly better than one" in found.notes[-1]
    assert found["kd_ratio"].operator != "="


def test_saturation_without_depletion_gives_too_high_a_kd_and_says_what_was_bound():
    exact = total_depleted(ADDED, kd=1e-9, bmax=np.where(MASKED, 0, 3e-9), nsb=0.02)
    bound = exact + noise(3e-11, 32)
    right = fit_saturation(ADDED, bound, nonspecific=MASKED, unit="M", depletion=True)
    wrong = fit_saturation(ADDED, bound, nonspecific=MASKED, unit="M")
    assert right["kd"].low < 1e-9 < right["kd"].high
    assert right["bmax"].low < 3e-9 < right["bmax"].high
    assert wrong["kd"].low > 1.5e-9
    assert any("of the radioligand is bound" in note and "use depletion" in note for note in wrong.notes)
    assert not any("use depletion" in note for note in right.notes)


def test_a_kd_above_the_radioligand_is_a_bound():
    found = fit_saturation(ADDED, saturation(kd=6e-7) + noise(10, 32), nonspecific=MASKED)
    assert found["kd"].operator == ">"
    assert found["kd"].value < 6e-7
    assert found.status.startswith("open: the data do not bound Kd from above. Reported as Kd > ")


@pytest.mark.parametrize("excess", [0.0, -400.0])
def test_nonspecific_binding_as_high_as_the_total_is_no_curve(excess):
    found = fit_saturation(ADDED, saturation(bmax=excess) + noise(60, 32), nonspecific=MASKED, unit="cpm")
    assert found.status.startswith("no curve: specific binding is not told from zero")
    assert found["kd"].operator == "?"


# Competition


def test_the_direct_ki_is_that_of_cheng_and_prusoff_without_depletion():
    found = fit_competition(COMPETITOR, competition(), radioligand=LIGAND, kd=KD, nonspecific=HIDDEN, unit="cpm")
    assert found["ki"].best == pytest.approx(KI, rel=1e-8)
    assert found["ki_cheng_prusoff"].best == pytest.approx(KI, rel=1e-8)
    assert found["ic50"].best == pytest.approx(KI * (1 + LIGAND / KD), rel=1e-8)
    assert found.parts[0]["ec50"].best == pytest.approx(found["ic50"].best, rel=1e-8)


def test_both_ki_have_the_same_interval_without_depletion():
    """The IC50 of an ordinary fit of the curve has the interval of the direct fit, times the factor."""
    signal = competition() + noise(120, 28)
    found = fit_competition(COMPETITOR[:24], signal[:24], radioligand=LIGAND, kd=KD)
    direct, classic, curve = found["ki"], found["ki_cheng_prusoff"], found.parts[0]["ec50"]
    assert (classic.low, classic.high) == pytest.approx((direct.low, direct.high), rel=1e-12)
    factor = 1 + LIGAND / KD
    assert (curve.low / factor, curve.high / factor) == pytest.approx((direct.low, direct.high), rel=1e-4)


def test_ki_is_in_its_interval_with_half_of_the_radioligand_bound_and_not_without_depletion():
    exact = depleted()
    assert 0.48 < (exact[0] - exact[-1]) / LIGAND < 0.52
    bound = exact + noise(3e-12, 28, 3)
    given = {"radioligand": LIGAND, "kd": KD, "nonspecific": HIDDEN, "unit": "M"}
    right = fit_competition(COMPETITOR, bound, depletion=True, **given)
    wrong = fit_competition(COMPETITOR, bound, **given)
    assert right["ki"].low < KI < right["ki"].high
    assert right["bmax"].low < RECEPTOR < right["bmax"].high
    assert wrong["ki"].low > KI
    assert any("use depletion" in note for note in wrong.notes)
    assert wrong["ki"].best == pytest.approx(right["ki_cheng_prusoff"].best, rel=1e-6)


def test_with_a_known_receptor_the_signal_may_come_in_any_unit():
    anisotropy = 0.08 + 0.024 * (depleted(nsb=0) / depleted(nsb=0)[0])
    found = fit_competition(
        COMPETITOR, anisotropy, radioligand=LIGAND, kd=KD, receptor=RECEPTOR, nonspecific=HIDDEN, depletion=True
    )
    assert found["ki"].best == pytest.approx(KI, rel=1e-7)
    assert found["specific"].best == pytest.approx(0.024, rel=1e-7)
    in_molar = fit_competition(
        COMPETITOR, depleted(nsb=0) + noise(1e-15, 28), radioligand=LIGAND, kd=KD, nonspecific=HIDDEN,
        depletion=True, unit="M",
    )  # fmt: skip
    assert in_molar["ki"].best == pytest.approx(KI, rel=1e-3)


def test_a_ki_far_below_the_receptor_is_a_bound_from_above():
    share = bound_competition(LIGAND, STEPS, receptor=2e-8, kd=KD, ki=1e-13)
    bound = np.tile(share, 3) + noise(2e-11, 33)
    found = fit_competition(
        np.tile(STEPS, 3), bound, radioligand=LIGAND, kd=KD, receptor=2e-8, depletion=True, unit="M"
    )
    assert found["ki"].operator == "<"
    assert found["ki"].value > 1e-13
    assert found.status.startswith("open: the data do not bound Ki from below. Reported as Ki < ")


def test_a_weak_competitor_is_a_bound_with_masked_wells_and_nothing_without():
    signal = competition(ki=3e-4) + noise(120, 28)
    found = fit_competition(COMPETITOR, signal, radioligand=LIGAND, kd=KD, nonspecific=HIDDEN)
    assert found["ki"].operator == ">"
    assert 1e-6 < found["ki"].value < 3e-4
    alone = fit_competition(COMPETITOR[:24], signal[:24], radioligand=LIGAND, kd=KD)
    assert alone["ki"].operator == "?"
    assert "takes no radioligand away up to 10 µM" in alone.status


def test_what_a_competitor_leaves_above_the_mask_is_fitted_by_itself():
    signal = competition() + np.where(HIDDEN, 0, 600) + noise(60, 28)
    found = fit_competition(COMPETITOR, signal, radioligand=LIGAND, kd=KD, nonspecific=HIDDEN)
    assert found["ki"].low < KI < found["ki"].high
    assert found["nonspecific"].best == pytest.approx(900, abs=100)
    assert any("the masked wells take no part" in note for note in found.notes)


def test_the_error_of_kd_widens_ki_by_its_squares():
    signal = competition() + noise(120, 28)
    given = {"radioligand": LIGAND, "kd": KD, "nonspecific": HIDDEN}
    plain = fit_competition(COMPETITOR, signal, **given)
    wide = fit_competition(COMPETITOR, signal, kd_se_log=0.2, **given)
    slope = LIGAND / (LIGAND + KD)  # of ln Ki by ln Kd, without depletion
    for name in ("ki", "ki_cheng_prusoff"):
        assert wide[name].best == plain[name].best
        assert wide[name].se == pytest.approx(math.hypot(plain[name].se, 0.2 * slope), rel=0.01)
        assert wide[name].low < plain[name].low
        assert wide[name].high > plain[name].high
    shift = math.log((LIGAND / KD + 1) / (LIGAND / KD * math.exp(-1.959964 * 0.2) + 1))
    upper = math.hypot(math.log(plain["ki"].high / plain["ki"].best), shift)
    assert math.log(wide["ki"].high / wide["ki"].best) == pytest.approx(upper, rel=1e-3)
    assert wide["ic50"] == plain["ic50"]


@pytest.mark.parametrize("depletion", [False, True])
def test_a_competitor_at_two_sites(depletion):
    steps, hidden = np.r_[np.repeat(np.r_[0, np.geomspace(1e-12, 1e-4, 17)], 2), np.zeros(4)], np.arange(40) >= 36
    sites = [np.where(hidden, 0, part) for part in (4e-10, 6e-10)] if depletion else [np.where(hidden, 0, 1e-16)] * 2
    exact = bound_sites(
        LIGAND, steps, receptor_first=sites[0], receptor_second=sites[1], kd_first=KD, kd_second=KD, ki_first=1e-10,
        ki_second=1e-6,
    )  # fmt: skip
    scale = 1.0 if depletion else 1e-9 / exact[0]
    found = fit_competition(
        steps, exact * scale + noise(5e-12, 40), radioligand=LIGAND, kd=KD, nonspecific=hidden, sites=2,
        depletion=depletion, unit="M",
    )  # fmt: skip
    truth = {"ki_first": 1e-10, "ki_second": 1e-6, "ki_ratio": 1e4, "fraction_first": 0.4 if depletion else 0.5}
    for name, value in truth.items():
        assert found[name].low < value < found[name].high
    assert "Two sites fit better than one" in found.notes[-1]
    assert "ki" in found.parts[0]


@pytest.mark.parametrize("depletion", [False, True])
def test_homologous_competition_gives_kd_and_bmax(depletion):
    hot, cold = np.repeat([1e-10, 1e-9], 22), np.tile(np.repeat(STEPS, 2), 2)
    exact = bound_homologous(hot, cold, receptor=5e-10, kd=4e-10 * 1.05)
    exact = exact + 0.05 * (hot - exact) / 1.05 if depletion else 5e-10 * hot / (hot + cold + 4e-10) + 0.05 * hot
    found = fit_competition(
        cold, exact + noise(2e-12, 44), radioligand=hot, homologous=True, depletion=depletion, unit="M"
    )
    for name, value in {"kd": 4e-10, "bmax": 5e-10, "nsb": 0.05}.items():
        assert found[name].low < value < found[name].high


def test_noise_in_proportion_to_the_signal_is_weighed():
    signal = competition() * (1 + noise(0.05, 28, 4))
    given = {"radioligand": LIGAND, "kd": KD, "nonspecific": HIDDEN}
    weighed = fit_competition(COMPETITOR, signal, noise="proportional", **given)
    plain = fit_competition(COMPETITOR, signal, **given)
    assert weighed["ki"].low < KI < weighed["ki"].high
    assert (
        weighed["nonspecific"].high - weighed["nonspecific"].low < plain["nonspecific"].high - plain["nonspecific"].low
    )


def test_a_missing_well_is_left_out():
    signal = competition() + noise(60, 28, 2)
    signal[5] = np.nan
    found = fit_competition(COMPETITOR, signal, radioligand=LIGAND, kd=KD, nonspecific=HIDDEN)
    assert found.n == 27
    kept = np.arange(28) != 5
    again = fit_competition(COMPETITOR[kept], signal[kept], radioligand=LIGAND, kd=KD, nonspecific=HIDDEN[kept])
    assert again["ki"].best == pytest.approx(found["ki"].best, rel=1e-9)


def test_the_order_of_the_wells_changes_nothing():
    signal, order = depleted() + noise(3e-12, 28), np.random.default_rng(0).permutation(28)
    given = {"radioligand": LIGAND, "kd": KD, "depletion": True, "unit": "M"}
    one = fit_competition(COMPETITOR, signal, nonspecific=HIDDEN, **given)
    other = fit_competition(COMPETITOR[order], signal[order], nonspecific=HIDDEN[order], **given)
    assert (one["ki"].low, one["ki"].high) == pytest.approx((other["ki"].low, other["ki"].high), rel=1e-6)


# Selectivity


def test_a_censored_ki_stays_censored_in_the_selectivity():
    """CM572: 14.6 nM at sigma-2, at least 10 µM at sigma-1; 685 is the ratio of the printed numbers."""
    ratio = selectivity(published_ki(14.6e-9), published_ki(10e-6, operator=">"))["selectivity"]
    assert (ratio.operator, ratio.value, ratio.high) == (">", pytest.approx(684.9, abs=0.1), math.inf)
    uncertain = selectivity(published_ki(14.6e-9, se=6.9e-9), published_ki(10e-6, operator=">"))["selectivity"]
    assert uncertain.operator == ">"
    assert uncertain.value == pytest.approx(10e-6 / (14.6e-9 * math.exp(1.959964 * 6.9 / 14.6)))
    back = selectivity(published_ki(10e-6, operator=">"), published_ki(14.6e-9))["selectivity"]
    assert back.operator == "<"
    both = selectivity(published_ki(1e-6, operator=">"), published_ki(10e-6, operator=">"))["selectivity"]
    assert both.operator == "?"


def test_a_measured_selectivity_has_an_interval_and_a_measured_bound_an_operator():
    given = {"radioligand": LIGAND, "kd": KD, "nonspecific": HIDDEN}
    target = fit_competition(COMPETITOR, competition() + noise(60, 28, 1), **given)
    other = fit_competition(COMPETITOR, competition(ki=50 * KI) + noise(60, 28, 2), **given)
    ratio = selectivity(target, other)["selectivity"]
    assert ratio.low < 50 < ratio.high
    none = fit_competition(COMPETITOR, competition(ki=3e-4) + noise(60, 28, 2), **given)
    assert selectivity(target, none)["selectivity"].operator == ">"


# Files


def test_textbook_rows_have_their_ic50(data):
    """4 nM and 0.5 nM, with 0.5 nM of radioligand; the row at 0 is the total."""
    table = pd.read_csv(data / "dose_response/binding/homework_competition_cpm.csv")
    dose = table.conc_nM * 1e-9
    for column, ic50 in {"cpm_A": 4e-9, "cpm_B": 0.5e-9}.items():
        found = fit_competition(dose, table[column], radioligand=0.5e-9, kd=0.5e-9, unit="cpm")
        assert found["ic50"].best == pytest.approx(ic50, rel=1e-4)
        assert found["ki"].best == pytest.approx(ic50 / 2, rel=1e-4)
        assert found["specific"].best + found["nonspecific"].best == pytest.approx(table[column][0], rel=1e-4)


def test_an_ic50_equal_to_the_radioligand_leaves_no_kd_to_a_homologous_ligand(data):
    table = pd.read_csv(data / "dose_response/binding/homework_competition_cpm.csv")
    found = fit_competition(table.conc_nM * 1e-9, table.cpm_B, radioligand=0.5e-9, homologous=True, unit="cpm")
    assert found["kd"].operator == "<"
    other = fit_competition(table.conc_nM * 1e-9, table.cpm_A, radioligand=0.5e-9, homologous=True, unit="cpm")
    assert other["kd"].best == pytest.approx(3.5e-9, rel=1e-3)


def anisotropy(data) -> dict[float, pd.DataFrame]:
    table = pd.read_csv(data / "dose_response/binding/fpoli_competition_simulated.csv")
    return {ki * 1e-9: part for ki, part in table.groupby("true_Ki_nM")}


#: The file does not say its conditions. Of all columns together, with Ki as given and 1 nM of probe, least squares
#: give Kd 0.99 and receptor 4.0 nM, and hardly worse with other amounts of probe.
CONDITIONS = {"radioligand": 1e-9, "kd": 1e-9, "receptor": 4e-9}


def test_simulated_anisotropy_comes_out_in_the_order_of_its_ki(data):
    found = {
        ki: fit_competition(part.competitor_nM * 1e-9, part.FA, depletion=True, **CONDITIONS)
        for ki, part in anisotropy(data).items()
    }
    values = [found[ki]["ki"].best for ki in sorted(found)]
    assert len(values) == 9
    assert values == sorted(values)
    for ki, one in found.items():
        assert one["ki"].low < ki < one["ki"].high
    lowest = found[min(found)]
    assert lowest["ki_cheng_prusoff"].best > 10 * min(found)
    assert lowest["ki_cheng_prusoff"].low > 5 * min(found)


def test_columns_that_cannot_be_measured_are_bounds_without_a_number(data):
    """No more competitor than 100 µM; the mask is the lowest well of each column."""
    found = {}
    for ki, part in anisotropy(data).items():
        masked = (part.competitor_nM == part.competitor_nM.max()).to_numpy()
        kept = masked | (part.competitor_nM <= 1e5).to_numpy()
        found[ki] = fit_competition(
            part.competitor_nM[kept] * 1e-9, part.FA[kept], nonspecific=masked[kept], depletion=True, **CONDITIONS
        )["ki"]
    for ki in (1e-2, 1e-3):
        assert found[ki].operator == ">"
        assert found[ki].value < ki
        assert found[ki].text().startswith("> ")
    measured = [found[ki] for ki in sorted(found) if found[ki].operator == "="]
    assert len(measured) >= 6
    assert [one.best for one in measured] == sorted(one.best for one in measured)
    assert max(one.best for one in measured) < 1e-3


# Messages


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: fit_saturation(np.zeros(6), np.ones(6)), RangeError, "saturation: radioligand is 0 in every well"),
        (
            lambda: fit_saturation(np.full(6, 1e-9), np.ones(6)),
            FitError,
            r"saturation needs at least 3 concentrations above 0, found 1 \(1 nM\)\. Add concentrations on both sides",
        ),
        (
            lambda: fit_saturation([1e-9, -2e-9, 3e-9], [1, 2, 3]),
            RangeError,
            "saturation, row 2: radioligand must be a number ≥ 0 in M, found -2e-09",
        ),
        (lambda: fit_saturation([1.0, 2.0, 5.0], [1, 2, 3]), RangeError, "radioligand of 5 M. .* 5 nM is 5e-9"),
        (
            lambda: fit_saturation(ADDED, saturation(), nonspecific=MASKED, unit="cpm", depletion=True),
            FitError,
            'ligand depletion needs bound in M, found unit "cpm"',
        ),
        (
            lambda: fit_saturation(ADDED, saturation(), nonspecific=MASKED, unit="M", depletion=True),
            RangeError,
            "times as much radioligand is bound as was added",
        ),
        (
            lambda: fit_saturation(ADDED, saturation(), nonspecific=np.full(32, 20.0)),
            FitError,
            "nonspecific must say True or False for each well, found float64",
        ),
        (lambda: fit_saturation(ADDED, saturation()[:5]), FitError, r"radioligand has shape \(32,\), bound \(5,\)"),
        (lambda: fit_saturation(ADDED, saturation().reshape(2, 16)), FitError, r"bound must be \(wells,\)"),
        (
            lambda: fit_saturation(ADDED, saturation(), nonspecific=np.ones(32, dtype=bool)),
            FitError,
            "no well shows total binding",
        ),
        (lambda: fit_saturation(ADDED, saturation(), sites=2, hill=True), FitError, "a Hill slope is fitted with one"),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=0.0, kd=KD),
            RangeError,
            "competition: radioligand is 0 in every well",
        ),
        (
            lambda: fit_competition(np.repeat([0, 1e-8], 5), np.ones(10), radioligand=LIGAND, kd=KD),
            FitError,
            r"competition needs at least 2 concentrations above 0, found 1 \(10 nM\)",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND),
            FitError,
            "Ki needs the Kd of the radioligand",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND, kd=-1e-9),
            RangeError,
            "kd must be > 0 M, found -1e-09",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND, kd=KD, kd_se_log=-0.1),
            RangeError,
            "kd_se_log must be ≥ 0, found -0.1",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND, kd=KD, depletion=True, unit="cpm"),
            FitError,
            'needs bound in M, found unit "cpm".*or give receptor in M, or fit with depletion=False',
        ),
        (
            lambda: fit_competition(
                COMPETITOR, competition(), radioligand=LIGAND, kd=KD, depletion=True, receptor=0.0
            ),
            RangeError,
            "receptor must be > 0 M, found 0",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=ADDED[:28], kd=KD),
            RangeError,
            "one concentration of radioligand is expected, found 8",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND, kd=KD, homologous=True),
            FitError,
            "homologous competition finds Kd itself",
        ),
        (
            lambda: fit_competition(COMPETITOR, competition(), radioligand=LIGAND, sites=2, homologous=True),
            FitError,
            "homologous competition is fitted with one site",
        ),
        (lambda: published_ki(-1e-9), RangeError, "ki must be > 0 M, found -1e-09"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_words(call, error, said):
    with pytest.raises(error, match=said):
        call()


# Coverage


@dataclass(frozen=True)
class _Cell:
    """Experiments to simulate: what they hold without noise, its size, how they are fitted, and the truth."""

    exact: np.ndarray
    size: float
    truth: dict[str, float]
    fit: object


def _saturation(**asked):
    return lambda bound: fit_saturation(ADDED, bound, nonspecific=MASKED, **asked)


def _competition(**asked):
    given = {"radioligand": LIGAND, "kd": KD, "nonspecific": HIDDEN} | asked
    return lambda bound: fit_competition(COMPETITOR, bound, **given)


def _cells() -> dict[str, _Cell]:
    taken = total_depleted(ADDED, kd=2e-9, bmax=np.where(MASKED, 0, 3e-9), nsb=0.02)
    share = bound_competition(LIGAND, COMPETITOR, receptor=RECEPTOR, kd=KD, ki=KI)
    share = np.where(HIDDEN, 0, share / bound_depleted(LIGAND, receptor=RECEPTOR, kd=KD))
    sites = {"kd": 2e-9, "bmax": 3e-9}
    known = _competition(depletion=True, receptor=RECEPTOR)
    return {
        "saturation": _Cell(saturation(), 100, {"kd": 2e-9, "bmax": 5000}, _saturation()),
        "saturation, depletion": _Cell(taken, 6e-11, sites, _saturation(depletion=True, unit="M")),
        "competition": _Cell(competition(), 120, {"ki": KI}, _competition()),
        "competition, Ki above the doses": _Cell(competition(ki=2e-5), 120, {"ki": 2e-5}, _competition()),
        "competition, Ki above the doses, no mask": _Cell(
            competition(ki=2e-5)[:24],
            120,
            {"ki": 2e-5},
            lambda bound: fit_competition(COMPETITOR[:24], bound, radioligand=LIGAND, kd=KD),
        ),
        "competition, depletion": _Cell(
            depleted(), 3e-12, {"ki": KI, "bmax": RECEPTOR}, _competition(depletion=True, unit="M")
        ),
        "competition, depletion, receptor known": _Cell(300 + 4000 * share, 120, {"ki": KI}, known),
    }


EXPERIMENTS = 500


@pytest.mark.slow
@pytest.mark.parametrize("name", list(_cells()))
def test_intervals_of_binding_constants_cover(name):
    """93 to 97 %; the upper bound only where most intervals are closed."""
    cell, rng = _cells()[name], np.random.default_rng(20)
    found = [cell.fit(cell.exact + rng.normal(0, cell.size, cell.exact.size)) for _ in range(EXPERIMENTS)]
    for parameter, value in cell.truth.items():
        covered = np.mean([one[parameter].low <= value <= one[parameter].high for one in found])
        opened = np.mean([one[parameter].operator != "=" for one in found])
        print(f"{name}: {parameter} {100 * covered:.1f} % of {EXPERIMENTS} cover, {100 * opened:.0f} % open")
        assert covered >= 0.93
        assert covered <= 0.97 or opened > 0.5


@pytest.mark.slow
def test_ki_does_not_cover_where_depletion_is_left_out():
    rng, exact = np.random.default_rng(21), depleted()
    fit = _competition(unit="M")
    found = [fit(exact + rng.normal(0, 3e-12, 28))["ki"] for _ in range(200)]
    assert np.mean([one.low <= KI <= one.high for one in found]) < 0.1


@pytest.mark.slow
def test_intervals_cover_where_kd_is_uncertain():
    """Kd of each experiment is drawn from its own distribution; with four times Kd of radioligand most of it counts."""
    rng, se, added = np.random.default_rng(22), 0.2, 4 * KD
    exact = np.where(HIDDEN, 300, 300 + 4000 / (1 + COMPETITOR / (KI * (1 + added / KD))))
    found = []
    for _ in range(EXPERIMENTS):
        kd = KD * math.exp(rng.normal(0, se))
        bound = exact + rng.normal(0, 120, exact.size)
        found.append(_competition(radioligand=added, kd=kd, kd_se_log=se)(bound)["ki"])
    covered = np.mean([one.low <= KI <= one.high for one in found])
    print(f"Kd with an error of {se}: Ki {100 * covered:.1f} % of {EXPERIMENTS} cover")
    assert 0.93 <= covered <= 0.97
