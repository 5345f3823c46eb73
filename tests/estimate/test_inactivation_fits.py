"""Constants of covalent ligands from rates, courses, endpoints and wash-outs: found, bounded, or said not to be."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from halfmax.curves.inactivation import (
    EndpointAssay,
    competition_kinetics,
    covalent_sites_left,
    inactivated_fraction,
    kobs,
    reversible_sites_left,
    share_of_control,
)
from halfmax.errors import FitError, RangeError
from halfmax.estimate.inactivation import (
    fit_binding_in_time,
    fit_competition_in_time,
    fit_endpoint,
    fit_endpoint_all,
    fit_inactivation,
    fit_kobs,
    fit_time_course,
)
from halfmax.estimate.washout import fit_saturation_after_wash, fit_washout, wash_time_needed

HOUR = 3600.0
SLOW = math.log(2) / (6 * HOUR)
SAMPLE = EndpointAssay(1.43e-6, 2e-10, 11 / 60, 2.9e-6, volume_before=8e-6, volume_after=10e-6)
DOSES = np.array([1e-8, 3e-8, 1e-7, 3e-7, 1e-6, 3e-6, 1e-5])


@pytest.fixture(scope="module")
def sample(data):
    """Rows of the public calculator's example: pre-incubation and incubation min, inhibitor µM, % of control."""
    path = data / "dose_response" / "kinact" / "epicfit_sample.csv"
    return np.loadtxt(path, delimiter=",", skiprows=1, encoding="utf-8-sig").T


def endpoint(sample, **options):
    before, during, dose, signal = sample
    return fit_endpoint(dose * 1e-6, before * 60, during * 60, signal, assay=SAMPLE, **options)


@pytest.fixture(scope="module")
def fitted(sample):
    return endpoint(sample)


def test_the_public_example_determines_the_ratio(fitted):
    ratio = fitted["k_inact_ratio"]
    assert ratio.value * 60e-6 == pytest.approx(0.571, rel=0.005)
    assert 0.5716 <= float(f"{ratio.value * 60e-6:.4f}") <= 0.5720
    assert ratio.operator == "="
    assert fitted.verdicts["k_inact_ratio"] == "identified"


def test_the_public_example_bounds_both_constants_from_below_only(fitted):
    rate, half = fitted["kinact"], fitted["k_inact_half"]
    assert (rate.operator, half.operator) == (">", ">")
    assert rate.value * 60 == pytest.approx(0.15, abs=0.005)
    assert half.value * 1e6 == pytest.approx(0.26, abs=0.005)
    assert rate.best * 60 == pytest.approx(0.647, rel=0.01)
    assert half.best * 1e6 == pytest.approx(1.134, rel=0.01)


def test_the_public_example_says_that_its_constants_are_not_separable(fitted):
    assert fitted.verdicts["kinact"] == fitted.verdicts["k_inact_half"] == "not separable"
    assert round(fitted.correlation, 4) == 0.9994
    assert fitted.sentence.startswith(
        "open: kinact/K_I 0.572 /µM/min (0.503–0.650); kinact and K_I are not separable (correlation 0.9994), "
        "only kinact > 0.15 /min and K_I > 260 nM can be said."
    )


def test_the_ratio_has_six_digits_when_the_steps_are_halved(sample, fitted):
    halved = endpoint(sample, steps=16)["k_inact_ratio"]
    assert halved.value == pytest.approx(fitted["k_inact_ratio"].value, rel=5e-7)
    assert halved.low == pytest.approx(fitted["k_inact_ratio"].low, rel=1e-5)


def euler(before, during, dose, kinact, half, steps=100):
    """Product in µM by the explicit steps of the published calculator: so many before and so many after substrate."""
    enzyme, inhibitor = np.full_like(dose, 2e-4), dose.copy()
    substrate, made = np.full_like(dose, 1.43), np.zeros_like(dose)
    for _ in range(steps):
        lost = kinact * inhibitor / (inhibitor + half) * enzyme * before / steps
        enzyme, inhibitor = enzyme - lost, inhibitor - lost
    enzyme, inhibitor = 0.8 * enzyme, 0.8 * inhibitor
    for _ in range(steps):
        step = 11 * enzyme * substrate / (substrate + 2.9 * (1 + inhibitor / half)) * during / steps
        lost = kinact * inhibitor / (inhibitor + half * (1 + substrate / 2.9)) * enzyme * during / steps
        substrate, made, enzyme, inhibitor = substrate - step, made + step, enzyme - lost, inhibitor - lost
    return made


def test_a_hundred_explicit_steps_give_the_published_constants(sample):
    """They are those of the step size: converged integration is 3 % away, far within what the data leave open."""
    before, during, dose, signal = sample

    def misfit(constants):
        alone = euler(before, during, np.zeros_like(dose), 1.0, 1.0)
        return signal - 100 * euler(before, during, dose, *constants) / alone

    found = least_squares(misfit, [1.0, 1.0], bounds=[0, np.inf]).x
    assert found == pytest.approx([0.6244865, 1.0918177], rel=1e-4)


def wells(doses=DOSES, minutes=(2, 10, 40), replicates=2):
    dose, before = (a.ravel() for a in np.meshgrid(np.repeat([0.0, *doses], replicates), 60.0 * np.array(minutes)))
    return dose, before, np.full(dose.size, 900.0)


def test_doses_around_k_inact_half_and_short_exposures_determine_both_constants():
    rng = np.random.default_rng(1)
    conditions = wells(minutes=(0.5, 2, 8))
    truth = {"kinact": 3e-3, "k_inact_half": 1e-6}
    signal = 100 * share_of_control(*conditions, assay=SAMPLE, **truth) + rng.normal(0, 1, conditions[0].size)
    found = fit_endpoint(*conditions, signal, assay=SAMPLE, control=None, steps=4)
    assert found.sentence == "ok"
    assert set(found.verdicts.values()) == {"identified"}
    for name, value in {**truth, "control": 100.0}.items():
        assert found[name].low < value < found[name].high


def test_a_reversible_covalent_inhibitor_gives_k5_and_k6():
    rng = np.random.default_rng(2)
    conditions = wells(minutes=(0, 2, 8, 30, 120))
    truth = {"kinact": 3e-3, "k_inact_half": 1e-6, "k6": 3e-4}
    signal = 100 * share_of_control(*conditions, assay=SAMPLE, **truth) + rng.normal(0, 1, conditions[0].size)
    found = fit_endpoint(*conditions, signal, assay=SAMPLE, reversible=True, steps=4)
    for name, value in truth.items():
        assert found.verdicts[name] == "identified"
        assert found[name].low < value < found[name].high


def test_rates_around_half_the_maximum_determine_everything():
    dose = np.repeat(DOSES, 2)
    noise = 1 + 0.03 * np.random.default_rng(3).normal(size=dose.size)
    found = fit_kobs(dose, kobs(dose, kinact=1e-3, k_inact_half=5e-7) * noise, noise="proportional")
    assert found.sentence == "ok"
    for name, value in {"kinact": 1e-3, "k_inact_half": 5e-7, "k_inact_ratio": 2e3}.items():
        assert found[name].low < value < found[name].high


def test_rates_far_below_k_inact_half_give_the_ratio_alone():
    dose = np.repeat(DOSES, 2)
    noise = 1 + 0.03 * np.random.default_rng(4).normal(size=dose.size)
    found = fit_kobs(dose, kobs(dose, kinact=1e-1, k_inact_half=1e-3) * noise, noise="proportional")
    assert found.verdicts == {
        "k_inact_ratio": "identified", "kinact": "not separable", "k_inact_half": "not separable",
    }  # fmt: skip
    assert found["k_inact_ratio"].low < 100 < found["k_inact_ratio"].high


def test_rates_far_above_k_inact_half_give_kinact_alone():
    dose = np.repeat(DOSES, 2)
    noise = 1e-5 * np.random.default_rng(5).normal(size=dose.size)
    found = fit_kobs(dose, kobs(dose, kinact=1e-3, k_inact_half=1e-11) + noise)
    assert found.verdicts == {"k_inact_ratio": "one-sided", "kinact": "identified", "k_inact_half": "one-sided"}
    assert (found["k_inact_ratio"].operator, found["k_inact_half"].operator) == (">", "<")
    assert "the data do not bound all of them on both sides" in found.sentence


def test_courses_of_inactivation_are_fitted_together():
    rng = np.random.default_rng(6)
    dose, time = (a.ravel() for a in np.meshgrid([0.0, *DOSES], [0.0, 300.0, 900.0, 1800.0, 3600.0]))
    left = 250 * (1 - inactivated_fraction(dose, time, kinact=1e-3, k_inact_half=5e-7))
    found = fit_inactivation(dose, time, left + rng.normal(0, 5, dose.size))
    assert found.sentence == "ok"
    for name, value in {"kinact": 1e-3, "k_inact_half": 5e-7, "start": 250.0}.items():
        assert found[name].low < value < found[name].high


def test_competition_in_time_gives_kon_koff_and_ki():
    rng = np.random.default_rng(70)
    time, dose = (a.ravel() for a in np.meshgrid(np.geomspace(30, 7200, 12), [0.0, 1e-8, 1e-7, 1e-6]))
    own = {"radioligand": 5e-9, "radioligand_kon": 1e5, "radioligand_koff": 2e-3}
    bound = 1000 * competition_kinetics(time, competitor=dose, kon=5e4, koff=5e-4, **own)
    found = fit_competition_in_time(time, dose, bound + rng.normal(0, 3, time.size), **own)
    assert found.status == "ok"
    for name, value in {"kon": 5e4, "koff": 5e-4, "ki": 1e-8, "bmax": 1000.0}.items():
        assert found[name].low < value < found[name].high
    assert [p.unit for p in found.parameters] == ["1/(M s)", "1/s", "M", ""]


def test_association_at_several_concentrations_gives_kon_koff_and_kd():
    rng = np.random.default_rng(8)
    time, ligand = (a.ravel() for a in np.meshgrid(np.geomspace(30, 3600, 12), [2e-9, 1e-8, 5e-8]))
    bound = 1000 * competition_kinetics(time, radioligand=ligand, radioligand_kon=1e5, radioligand_koff=2e-3)
    found = fit_binding_in_time(time, ligand, bound + rng.normal(0, 10, time.size))
    for name, value in {"kon": 1e5, "koff": 2e-3, "kd": 2e-8, "bmax": 1000.0}.items():
        assert found[name].low < value < found[name].high


def test_association_that_ends_too_early_says_what_is_open():
    rng = np.random.default_rng(9)
    time, ligand = (a.ravel() for a in np.meshgrid([5.0, 10.0, 15.0, 20.0], [2e-9, 1e-8, 5e-8]))
    bound = 1000 * competition_kinetics(time, radioligand=ligand, radioligand_kon=1e5, radioligand_koff=2e-3)
    found = fit_binding_in_time(time, ligand, bound + rng.normal(0, 2, time.size))
    assert found.status.startswith("open: the data do not bound")
    assert "koff" in found.status


def test_a_course_of_dissociation_gives_koff():
    time = np.repeat([0.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0], 2)
    found = fit_time_course(time, 900 * np.exp(-1e-3 * time) + np.tile([-9, 9], 6), model="dissociation")
    assert found["koff"].low < 1e-3 < found["koff"].high
    assert found["koff"].unit == "1/s"


def tubes(times, seed, *, koff=0.0, occupied=0.95, kept=0.97, count=4, noise=0.04):
    """Wash-out experiment: arms, recovery times, specific binding in fmol/mg."""
    arm = ["control"] * count + ["washed"] * count * len(times) + ["kept"] * count
    time = np.concatenate([np.zeros(count), np.repeat(times, count), np.zeros(count)])
    left = np.concatenate([np.ones(count), 1 - occupied * np.exp(-koff * np.repeat(times, count)),
                           np.full(count, 1 - kept)])  # fmt: skip
    return arm, time, 2000 * (left + np.random.default_rng(seed).normal(0, noise, left.size))


def test_an_irreversible_ligand_is_told_from_one_that_leaves_in_six_hours():
    found = fit_washout(*tubes([HOUR, 24 * HOUR], 1))
    assert (found.verdict, found.told_apart) == ("irreversible", True)
    assert found.koff.operator == "<"
    assert found.koff.high < SLOW
    assert found.lost.low < 0.95 < found.lost.high
    assert found.kept.low < 0.97 < found.kept.high
    assert "of the sites are lost 24 h after the wash. None is seen to come back; a reversible" in found.sentence
    assert found.sentence.endswith("and one of 6 h is excluded.")


def test_a_ligand_that_leaves_in_six_hours_is_told_from_an_irreversible_one():
    found = fit_washout(*tubes([HOUR, 24 * HOUR], 2, koff=SLOW))
    assert (found.verdict, found.told_apart) == ("comes back", True)
    assert found.koff.low < SLOW < found.koff.high
    assert "Sites come back, with a half-life of" in found.sentence


@pytest.mark.parametrize("koff", [0.0, SLOW])
def test_a_short_wash_tells_nothing_apart_and_names_the_time_that_would(koff):
    short = fit_washout(*tubes([0.25 * HOUR], 3, koff=koff))
    assert (short.verdict, short.told_apart) == ("not told apart", False)
    assert HOUR < short.wash_time < 8 * HOUR
    assert "as well as one that leaves with a half-life of 6 h. Add a recovery time of" in short.sentence
    told = [fit_washout(*tubes([0.25 * HOUR, short.wash_time], seed, koff=koff)) for seed in range(30)]
    assert np.mean([one.told_apart for one in told]) >= 0.8
    right = "comes back" if koff else "irreversible"
    assert np.mean([one.verdict == right for one in told]) >= 0.75


def test_binding_that_is_back_after_the_wash_is_no_loss():
    found = fit_washout(*tubes([24 * HOUR], 4, occupied=0.0))
    assert (found.verdict, found.told_apart) == ("no loss", True)
    nothing = fit_washout(*tubes([24 * HOUR], 5, occupied=0.0, kept=0.0))
    assert (nothing.verdict, nothing.told_apart) == ("no loss", False)
    assert nothing.sentence.endswith("That is no loss: nothing shows that the ligand ever bound.")


def test_a_loss_below_the_noise_has_no_wash_time():
    assert wash_time_needed(0.1, noise=0.3, washed=2, control=2) == math.inf
    assert wash_time_needed(1.0, noise=0.0, washed=2, control=2) == 0.0
    quiet = wash_time_needed(0.5, noise=0.0, washed=2, control=2, half_life=HOUR)
    assert quiet == pytest.approx(HOUR)


@pytest.mark.parametrize(
    ("lost", "shift", "words"),
    [
        (0.8, 1.0, "Sites are lost, and Kd is not shifted"),
        (0.0, 5.0, "Kd is shifted and no site is lost"),
        (0.6, 4.0, "Sites are lost and Kd is shifted"),
        (0.0, 1.0, "Neither a loss of sites nor a shift of Kd is seen"),
    ],
)
def test_saturation_after_a_wash_tells_loss_from_shift(lost, shift, words):
    ligand, exposed = np.tile(np.geomspace(1e-9, 3e-7, 8), 4), np.repeat([False, False, True, True], 8)
    bound = 1000 * (1 - exposed * lost) * ligand / (2e-8 * shift**exposed + ligand)
    found = fit_saturation_after_wash(exposed, ligand, bound + np.random.default_rng(10).normal(0, 10, 32))
    assert found.notes[-1].startswith(words)
    assert found["lost"].low < lost < found["lost"].high
    assert found["kd_shift"].low < shift < found["kd_shift"].high


def test_a_saturated_exposure_with_turnover_looks_like_a_reversible_ligand():
    """The fit cannot know why sites come back: new ones do, too."""
    time = np.repeat([0.0, 4.0, 12.0, 24.0], 4) * HOUR
    left = covalent_sites_left(1e-5, HOUR, time, kinact=1e-2, k_inact_half=1e-6, turnover=SLOW)
    same = reversible_sites_left(1e-3, 1e9, time, kon=1e6, koff=SLOW)
    np.testing.assert_allclose(left, same, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_kobs([-1e-6, 1e-6, 1e-5], [1, 2, 3]), "concentration must be a number at least 0 M, found -1e"),
        (lambda: fit_kobs([0.0, 0.0, 0.0], [1, 2, 3]), "the inhibitor's concentrations are all 0 M"),
        (
            lambda: fit_time_course([0, 60, 30, 90], [1, 2, 3, 4], model="association", label="run 3"),
            "run 3, row 3: the time goes back from 60 s to 30 s. Sort the rows by time",
        ),
        (
            lambda: fit_time_course([0, 0, 0, 0], [1, 2, 3, 4], model="association"),
            "time is 0 s in every row, so that no rate follows",
        ),
        (lambda: fit_inactivation([1e-6, 1e-6], [0, 0], [1, 2]), "time is 0 s in every row"),
        (
            lambda: fit_endpoint([0, 1e-6], [60, 60], [0, 60], [100, 50], assay=SAMPLE),
            "incubation_time must be above 0 s, found 0 s at place 1: no product is made in no time",
        ),
        (
            lambda: fit_endpoint([0, 1e-6], [-60, 60], [60, 60], [100, 50], assay=SAMPLE),
            "preincubation_time must be a number at least 0 s, found -60 at place 1",
        ),
        (
            lambda: fit_washout(["control", "wahsed"], [0, 1], [1, 2]),
            'row 2: arm must be control, washed or kept, found "wahsed". Did you mean "washed"',
        ),
        (lambda: fit_washout(["washed", "kept"], [1, 0], [1, 2]), 'no tube of arm "control"'),
        (
            lambda: fit_washout(["control", "washed"], [0, 0], [1, 2], label="wash 2"),
            "wash 2: all washed tubes have a recovery time of 0 s, so no off-rate follows",
        ),
        (
            lambda: fit_saturation_after_wash([True, True], [1e-9, 1e-8], [1, 2]),
            "needs both exposed and control tubes, found one of them only",
        ),
        (lambda: wash_time_needed(0.9, noise=0.1, washed=0, control=3), "there must be tubes of both arms"),
        (
            lambda: fit_competition_in_time(
                [60.0], [1e-8], [1.0], radioligand=5e-9, radioligand_kon=0.0, radioligand_koff=1e-3
            ),
            r"radioligand_kon must be a number above 0 1/\(M s\), found 0",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(RangeError, match=message):
        call()


def test_signals_of_several_experiments_are_not_taken_for_one():
    with pytest.raises(FitError, match=r"signal must be \(wells,\), found \(2, 3\)"):
        fit_endpoint([0, 1e-6, 1e-5], [60] * 3, [60] * 3, np.ones((2, 3)), assay=SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("half", [1e-6, 1e-4], ids=["both constants identified", "ratio only"])
def test_intervals_of_the_ratio_cover(half):
    """500 endpoint experiments of 24 wells, simulated and fitted with the same steps."""
    rng = np.random.default_rng(11)
    conditions = wells(doses=DOSES[:-1:2], minutes=(1, 5, 20))
    truth = {"kinact": 3e3 * half, "k_inact_half": half}
    shares = share_of_control(*conditions, assay=SAMPLE, steps=1, **truth)
    signals = 100 * shares + rng.normal(0, 4, (500, shares.size))
    found = fit_endpoint_all(*conditions, signals, assay=SAMPLE, steps=1)
    ratios = [one["k_inact_ratio"] for one in found]
    covered = np.mean([one.low <= 3e3 <= one.high for one in ratios])
    opened = np.mean([one.operator != "=" for one in ratios])
    print(f"K_I {half:g} M: {100 * covered:.1f} % of the ratio's intervals cover, {100 * opened:.1f} % are open")
    assert 0.93 <= covered <= 0.97
    separable = np.mean([one.verdicts["kinact"] != "not separable" for one in found])
    assert separable > 0.9 if half == 1e-6 else separable < 0.1
