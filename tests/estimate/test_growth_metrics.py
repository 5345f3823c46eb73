"""Growth-rate metrics: their agreement with others, and the scatter of the controls in their intervals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from halfmax.assays.growth import GrowthCounts, gr_value, growth_counts
from halfmax.curves import hill
from halfmax.errors import FitError
from halfmax.estimate import fit, fit_all, growth_metrics
from halfmax.estimate.growth import fit_growth, fit_growth_all
from halfmax.response import Response

KEYS = ["cell_line", "agent", "perturbation", "replicate", "time"]
METRICS = ("gr50", "gr_inf", "gr_max", "gr_aoc")
DOSE = np.repeat(np.geomspace(0.01, 30, 8), 3)


def plate(rng=None, *, bottom=-0.1, controls=4, zeros=4, doublings=2.0, scatter=0.07):
    """Counts of a plate whose wells all scatter by the same share."""
    rng = rng or np.random.default_rng(1)
    gr = hill(DOSE, ec50=0.3, hill_slope=-1.1, top=1.0, bottom=bottom)

    def wells(mean, n):
        return mean * np.exp(rng.normal(0, scatter, n) - scatter**2 / 2)

    counts, control = wells(250 * (1 + gr) ** doublings, DOSE.size), wells(250 * 2**doublings, controls)
    return GrowthCounts.of(DOSE, counts, control=control, time_zero=wells(250.0, zeros), concentration_unit="µM")


def metrics_of(estimate):
    return [(p.operator, p.value, p.low, p.high) for p in (estimate[name] for name in METRICS)]


def same(one, other):
    return all(
        a[0] == b[0] and a[1:] == pytest.approx(b[1:], rel=1e-4, abs=1e-4)
        for a, b in zip(metrics_of(one), metrics_of(other), strict=True)
    )


# Metrics of growth-rate values


def test_metrics_need_a_growth_rate_curve():
    dose = np.repeat(np.geomspace(0.01, 10, 7), 2)
    response = Response.of(dose, hill(dose, ec50=0.3, hill_slope=-1, top=1, bottom=-0.2) + np.tile([-0.01, 0.01], 7))
    with pytest.raises(FitError, match='need a fit of "gr3", found "hill4"'):
        growth_metrics(fit(response))
    metrics = growth_metrics(fit(response, "gr3"))
    assert metrics["gr_inf"].low < -0.2 < metrics["gr_inf"].high
    assert metrics["top"].value == 1.0


def test_an_effect_that_never_halves_the_growth_rate_gives_a_bound():
    dose = np.repeat(np.geomspace(0.01, 10, 7), 2)
    response = Response.of(dose, hill(dose, ec50=0.3, hill_slope=-1, top=1, bottom=0.7) + np.tile([-0.01, 0.01], 7))
    gr50 = growth_metrics(fit(response, "gr3"))["gr50"]
    assert (gr50.operator, gr50.value) == (">", pytest.approx(10.0))


def test_area_is_the_trapezoid_through_the_means_and_gr_max_the_lower_of_two():
    dose, values = [1, 1, 10, 10, 100, 1000], [1.0, 0.8, 0.6, 0.4, 0.1, 0.2]
    metrics = growth_metrics(fit(Response.of(dose, values), "gr3"))
    assert metrics["gr_aoc"].value == pytest.approx((0.5 * (0.1 + 0.5) + 0.5 * (0.5 + 0.9) + 0.5 * (0.9 + 0.8)) / 3)
    assert metrics["gr_max"].value == 0.1


@pytest.mark.slow
def test_intervals_of_the_metrics_cover_where_the_controls_are_known():
    """200 curves; 95 % within three binomial standard errors."""
    rng = np.random.default_rng(4)
    dose = np.repeat(np.geomspace(0.01, 10, 7), 3)
    mean = hill(dose, ec50=0.3, hill_slope=-1.1, top=1, bottom=-0.1)
    area = np.trapezoid(1 - mean[::3], np.log10(dose[::3])) / 3
    truth = {"gr50": 0.3 * (0.5 / 0.6) ** (1 / 1.1), "gr_aoc": area, "gr_max": mean[-1]}
    fits = fit_all([Response.of(dose, mean + rng.normal(0, 0.05, dose.size)) for _ in range(200)], "gr3")
    metrics = [growth_metrics(one) for one in fits]
    for name, value in truth.items():
        covered = np.mean([m[name].low <= value <= m[name].high for m in metrics])
        assert covered == pytest.approx(0.95, abs=0.046), name


# Controls that scatter


def test_a_scatter_of_the_controls_widens_every_interval_and_moves_no_value():
    counts = plate()
    known = growth_metrics(fit(Response.of(DOSE, counts.values(), concentration_unit="µM"), "gr3"))
    whole = fit_growth(counts)
    for name in METRICS:
        assert whole[name].value == pytest.approx(known[name].value, rel=1e-9)
        assert whole[name].low < known[name].low
        assert whole[name].high > known[name].high
    assert "The intervals hold the scatter of 4 control and 4 time zero wells." in whole.notes


def test_more_control_wells_make_the_interval_narrower():
    def width(n):
        intervals = [fit_growth(plate(np.random.default_rng(seed), controls=n, zeros=n))["gr_aoc"] for seed in range(5)]
        return np.median([i.high - i.low for i in intervals])

    assert width(4) > 1.3 * width(12) > width(12)


def test_the_widening_is_that_of_the_moved_controls():
    """MOVER by hand, for the metric that is linear in the values."""
    counts = plate()
    known = growth_metrics(fit(Response.of(DOSE, counts.values()), "gr3"))["gr_aoc"]

    def area(**centres):
        means = counts.values(**centres).reshape(8, 3).mean(1)
        return np.trapezoid(1 - means, np.log10(DOSE[::3])) / np.log10(DOSE[-1] / DOSE[0])

    moved = [[area(**{group: end}) for end in ends] for group, ends in counts.ends().items()]
    below = [known.best - known.low, *(known.best - min(pair) for pair in moved)]
    above = [known.high - known.best, *(max(pair) - known.best for pair in moved)]
    found = fit_growth(counts)["gr_aoc"]
    assert found.low == pytest.approx(known.best - np.linalg.norm(below), abs=1e-9)
    assert found.high == pytest.approx(known.best + np.linalg.norm(above), abs=1e-9)


def test_references_without_replicates_are_named_and_widen_nothing():
    counts = replace(plate(), control=np.array([1000.0]), time_zero=np.array([250.0]))
    whole = fit_growth(counts)
    known = growth_metrics(fit(Response.of(DOSE, counts.values(), concentration_unit="µM"), "gr3"))
    assert same(whole, known)
    assert any(
        note.startswith("No replicate wells of control and time zero: their errors move") for note in whole.notes
    )


def test_two_wells_of_each_control_bound_nothing_and_the_note_says_so():
    estimate = fit_growth(plate(controls=2, zeros=2, scatter=0.15))
    assert estimate["gr_aoc"].operator == "?"
    assert any("the control may have divided less than half as often" in note for note in estimate.notes)


def test_a_control_that_shrank_is_refused_alone_and_stops_no_other():
    shrunk = replace(plate(), time_zero=np.array([1500.0, 1400.0]), labels={"line": "A"})
    estimates = fit_growth_all([plate(), shrunk, plate()])
    assert [e.status.split(":")[0] for e in estimates] == ["ok", "refused", "ok"]
    assert np.isnan(estimates[1]["gr50"].value)
    assert same(estimates[0], estimates[2])
    with pytest.raises(FitError, match=r"line A: the control did not grow \(1450 → .*Read later, or report viability"):
        fit_growth(shrunk)


def test_too_few_doses_are_refused_with_the_words_of_the_fit():
    with pytest.raises(FitError, match=r"growth: a curve needs at least 2 doses above zero, found 1"):
        fit_growth(GrowthCounts.of([1.0, 1.0], [500.0, 510.0], control=[1000.0], time_zero=[250.0]))


def test_scale_of_the_counts_and_order_of_the_rows_change_nothing():
    counts = plate()
    expected = fit_growth(counts)
    scaled = replace(counts, **{name: 0.013 * getattr(counts, name) for name in ("count", "control", "time_zero")})
    assert scaled.values() == pytest.approx(counts.values(), abs=1e-12)
    assert same(fit_growth(scaled), expected)
    order = np.random.default_rng(5).permutation(DOSE.size)
    shuffled = replace(
        counts, concentration=counts.concentration[order], count=counts.count[order], control=counts.control[::-1]
    )  # fmt: skip
    assert same(fit_growth(shuffled), expected)


def test_a_division_time_gives_the_metrics_of_time_zero():
    counts = plate()
    doublings = np.log2(counts.centre("control") / counts.centre("time_zero"))
    timed = replace(counts, time_zero=np.array([]), doublings=float(doublings))
    one, other = fit_growth(timed), fit_growth(counts)
    assert [one[name].best for name in METRICS] == pytest.approx([other[name].best for name in METRICS], rel=1e-6)
    assert any("doublings are taken as known" in note for note in one.notes)


@pytest.mark.slow
@pytest.mark.parametrize(("controls", "zeros"), [(4, 4), (8, 8)])
def test_intervals_cover_although_the_controls_scatter(controls, zeros):
    """150 plates: at least 95 % less three binomial standard errors, and those that take the controls as known fail."""
    rng = np.random.default_rng(3)
    plates = [plate(rng, controls=controls, zeros=zeros) for _ in range(150)]
    mean = hill(DOSE[::3], ec50=0.3, hill_slope=-1.1, top=1.0, bottom=-0.1)
    area = np.trapezoid(1 - mean, np.log10(DOSE[::3])) / np.log10(DOSE[-1] / DOSE[0])
    truth = {"gr50": 0.3 * (0.5 / 0.6) ** (1 / 1.1), "gr_max": mean[-1], "gr_inf": -0.1, "gr_aoc": area}
    whole = fit_growth_all(plates)
    known = [growth_metrics(one) for one in fit_all([Response.of(DOSE, p.values()) for p in plates], "gr3")]
    for name, value in truth.items():
        covered, without = (np.mean([e[name].low <= value <= e[name].high for e in es]) for es in (whole, known))
        print(f"{name}: {100 * covered:.1f} % cover, {100 * without:.1f} % with the controls taken as known")
        assert covered >= 0.95 - 0.053
        if name in ("gr50", "gr_aoc"):
            assert without < 0.88


# Static and toxic components


def live_and_dead(rng=None, *, scatter=0.0):
    """Three days of division and death at constant rates; the drug halves one and raises the other."""
    rng = rng or np.random.default_rng(2)
    division = 0.8 * np.log2(1 + hill(DOSE, ec50=0.2, hill_slope=-1.2, top=1.0, bottom=0.2))
    death = 0.05 - np.log2(hill(DOSE, ec50=3.0, hill_slope=-1.5, top=1.0, bottom=0.4))

    def grown(division, death):
        net = np.where(np.abs(division - death) < 1e-9, 1e-9, division - death)
        live = 300 * 2.0 ** (3 * net)
        return [x * np.exp(rng.normal(0, scatter, x.size)) for x in (live, 20 + death / net * (live - 300))]

    live, dead = grown(division, death)
    control, dead_control = grown(np.full(6, 0.8), np.full(6, 0.05))
    zero = np.exp(rng.normal(0, scatter, (2, 6)))
    return GrowthCounts.of(
        DOSE, live, dead=dead, control=control, dead_control=dead_control, time_zero=300 * zero[0],
        dead_time_zero=20 * zero[1], days=3.0,
    )  # fmt: skip


def test_the_curves_of_division_and_death_are_recovered():
    static, toxic = fit_growth(live_and_dead(), "static"), fit_growth(live_and_dead(), "toxic")
    assert static["ec50"].best == pytest.approx(0.2, rel=1e-5)
    assert static["gr_inf"].best == pytest.approx(0.2, abs=1e-5)
    assert toxic["ec50"].best == pytest.approx(3.0, rel=1e-5)
    assert toxic["gr_inf"].best == pytest.approx(-0.6, abs=1e-5)
    passes = 3.0 * (0.5 / 0.1) ** (1 / 1.5)  # GR_toxic = -0.5
    assert toxic["gr50"].best == pytest.approx(passes, rel=1e-4)
    assert any("Fitted as 1 + GR toxic" in note for note in toxic.notes)


def test_the_mixed_curve_lies_below_both_components():
    counts = live_and_dead()
    assert (counts.values() <= np.minimum(counts.values("static"), 1 + counts.values("toxic")) + 0.02).all()


@pytest.mark.parametrize("measure", ["static", "toxic"])
def test_areas_of_the_components_cover(measure):
    """100 plates; the true area is that of the noiseless counts."""
    truth = fit_growth(live_and_dead(), measure)["gr_aoc"].best
    rng = np.random.default_rng(8)
    estimates = fit_growth_all([live_and_dead(rng, scatter=0.05) for _ in range(100)], measure)
    assert np.mean([e["gr_aoc"].low <= truth <= e["gr_aoc"].high for e in estimates]) >= 0.95 - 0.066


def test_the_components_need_no_net_growth_of_the_control():
    """Its cells divide once a day and die as often; GR has no meaning then, the components do."""
    dead = np.full(3, 20 + 3 * np.log(2) * 300.0)
    balanced = replace(live_and_dead(), control=np.full(3, 300.0), dead_control=dead, labels={"line": "A"})
    assert fit_growth(balanced, "static").status.split(":")[0] in ("ok", "open")
    with pytest.raises(FitError, match=r"line A: the control did not grow"):
        fit_growth(balanced)
    still = replace(balanced, dead_control=np.full(3, 20.0))
    with pytest.raises(FitError, match=r"line A: the control's cells did not divide \(300 → 300\)"):
        fit_growth(still, "static")


def test_components_without_dead_cells_are_refused():
    with pytest.raises(FitError, match=r"growth: static values need dead cells and time zero counted: found no dead"):
        fit_growth(plate(), "static")


# The toy example of the three implementations


@pytest.fixture(scope="module")
def toy(data):
    """Our metrics of the 112 curves, and theirs, by key."""
    folder = data / "dose_response/growth_rate"
    table = pd.read_csv(folder / "toy_example_input1.tsv", sep="\t")
    curves = growth_counts(table, by=KEYS, control="cell_count__ctrl", time_zero="cell_count__time0")
    ours = {tuple(c.labels.values()): e for c, e in zip(curves, fit_growth_all(curves), strict=True)}
    names = {"GR_AUC": "GR_AOC", "GEC50": "EC50", "h_GR": "Hill"}
    theirs = {}
    for program in ("R", "matlab", "python"):
        frame = pd.read_csv(folder / f"{program}_input1_GRmetrics.tsv", sep="\t").rename(columns=names)
        theirs[program] = frame.set_index(frame[KEYS].astype(str).agg(tuple, axis=1))
    truth = pd.read_csv(folder / "toy_example_DrugParameters.tsv", sep="\t").set_index(["cell_line", "agent"])
    return ours, theirs, truth


def bounded(row):
    """Whether a fit of theirs is a curve that passes 0.5, and did not stop at a limit that ours has not."""
    return np.isfinite(row["GR50"]) and row["EC50"] > 0 and row["Hill"] < 4.99 and row["GRinf"] > -0.999


@pytest.mark.parametrize("program", ["R", "matlab", "python"])
def test_toy_metrics_of_the_data_agree_with_each_implementation(toy, program):
    ours, theirs, _ = toy
    assert len(ours) == 112
    for key, metrics in ours.items():
        row = theirs[program].loc[[key]].iloc[0]
        assert metrics["gr_aoc"].value == pytest.approx(row["GR_AOC"], abs=1e-10)
        assert metrics["gr_max"].value == pytest.approx(row["GRmax"], abs=1e-10)
        assert metrics.status.startswith("no curve") == (row["EC50"] == 0)


@pytest.mark.parametrize(
    ("program", "typical", "worst"), [("R", 1e-5, 1e-3), ("python", 1e-5, 1e-2), ("matlab", 1e-4, 0.1)]
)
def test_toy_metrics_of_the_curve_agree_with_each_implementation(toy, program, typical, worst):
    ours, theirs, _ = toy
    rows = {key: theirs[program].loc[[key]].iloc[0] for key in ours}
    keys = [key for key, row in rows.items() if bounded(row)]
    assert len(keys) >= 90
    for name, theirs_name in (("gr50", "GR50"), ("ec50", "EC50")):
        off = [abs(np.log(ours[key][name].best / rows[key][theirs_name])) for key in keys]
        assert np.median(off) < typical
        assert max(off) < worst
    off = [abs(ours[key]["gr_inf"].best - rows[key]["GRinf"]) for key in keys]
    assert np.median(off) < typical
    assert max(off) < worst


def test_the_documented_curve_of_the_toy_data(toy):
    """BT20, drugA, first replicate at 48 h: GR50 0.0774608 (R), 0.0774860 (MATLAB), 0.0774607 (Python)."""
    metrics = toy[0][("BT20", "drugA", "0", "1", "48")]
    assert metrics["gr50"].value == pytest.approx(0.0774608, rel=1e-5)
    assert metrics["gr_aoc"].value == pytest.approx(0.555553253, abs=1e-9)
    assert metrics["gr_max"].value == pytest.approx(-0.00640568, abs=1e-8)


def test_the_true_parameters_of_the_toy_data_lie_in_most_plateau_intervals(toy):
    """The counts carry noise of their own between replicates, so this is no test of coverage."""
    ours, _, truth = toy
    hits = [m["gr_inf"].low <= truth.loc[key[:2], "GRinf"] <= m["gr_inf"].high for key, m in ours.items()]
    assert np.mean(hits) > 0.9


def test_the_road_through_plain_arrays_is_the_same():
    counts = plate()
    values = gr_value(counts.count, control=counts.control.mean(), time_zero=counts.time_zero.mean())
    assert counts.values() == pytest.approx(values, abs=1e-12)
