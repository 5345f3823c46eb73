"""Growth-rate values and metrics."""

import numpy as np
import pandas as pd
import pytest

from halfmax.assays.growth import gr_value
from halfmax.curves import hill
from halfmax.errors import FitError, RangeError
from halfmax.estimate import fit, fit_all, growth_metrics
from halfmax.response import Response

KEYS = ["cell_line", "agent", "perturbation", "replicate", "time"]


def test_no_effect_is_one_and_stasis_is_zero_however_often_the_control_divided():
    for doublings in (0.5, 1.0, 3.0):
        values = gr_value([100.0 * 2**doublings, 100.0], control=100.0 * 2**doublings, time_zero=100.0)
        assert values.tolist() == pytest.approx([1.0, 0.0])


def test_the_value_does_not_depend_on_the_time_where_rates_are_constant():
    control, treated = 0.03, 0.012  # divisions an hour
    values = [gr_value(2 ** (treated * hours), control=2 ** (control * hours), time_zero=1.0) for hours in (24, 48, 72)]
    assert values == pytest.approx([2 ** (treated / control) - 1] * 3)


@pytest.mark.parametrize(
    ("count", "control", "message"),
    [(0.0, 200.0, r"count must be > 0 everywhere, found 0"), (50.0, 90.0, r"the control did not grow")],
)
def test_what_has_no_growth_rate_is_refused(count, control, message):
    with pytest.raises(RangeError, match=message):
        gr_value(count, control=control, time_zero=100.0)


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


def test_the_interval_of_gr50_covers():
    """300 curves; 95 % within three binomial standard errors."""
    rng = np.random.default_rng(4)
    dose = np.repeat(np.geomspace(0.01, 10, 7), 3)
    mean = hill(dose, ec50=0.3, hill_slope=-1.1, top=1, bottom=-0.1)
    truth = 0.3 * (0.5 / 0.6) ** (1 / 1.1)
    fits = fit_all([Response.of(dose, mean + rng.normal(0, 0.05, dose.size)) for _ in range(300)], "gr3")
    intervals = [growth_metrics(one)["gr50"] for one in fits]
    assert np.mean([i.low <= truth <= i.high for i in intervals]) == pytest.approx(0.95, abs=0.038)


@pytest.fixture(scope="module")
def toy(data):
    """The toy counts of three implementations, fitted here."""
    folder = data / "dose_response/growth_rate"
    frame = pd.read_csv(folder / "toy_example_input1.tsv", sep="\t")
    frame["gr"] = gr_value(frame["cell_count"], control=frame["cell_count__ctrl"], time_zero=frame["cell_count__time0"])
    groups = list(frame.groupby(KEYS))
    fits = fit_all([Response.of(part["concentration"], part["gr"]) for _, part in groups], "gr3")
    return folder, frame, {key: growth_metrics(one) for (key, _), one in zip(groups, fits, strict=True)}


def test_toy_values_agree_with_the_python_implementation(toy):
    folder, frame, _ = toy
    theirs = pd.read_csv(folder / "python_input1_GRvalues.tsv", sep="\t")
    assert frame["gr"].to_numpy() == pytest.approx(theirs["GRvalue"].to_numpy(), abs=1e-10)


def test_toy_metrics_agree_with_three_implementations_to_their_own_spread(toy):
    folder, _, ours = toy
    theirs = {
        name: pd.read_csv(folder / f"{name}_input1_GRmetrics.tsv", sep="\t").set_index(KEYS).sort_index()
        for name in ("R", "python")
    }
    compared = 0
    for key, metrics in ours.items():
        r, python = theirs["R"].loc[key], theirs["python"].loc[key]
        assert metrics["gr_aoc"].value == pytest.approx(r["GR_AOC"], abs=1e-9)
        assert metrics["gr_max"].value == pytest.approx(r["GRmax"], abs=1e-9)
        if r["fit"] == "flat":
            assert metrics.status.startswith("no curve")
            continue
        bounded = r["Hill"] > 4.99 or r["GRinf"] < -0.999  # where theirs stopped at a limit that ours has not
        if metrics["gr50"].operator == "=" and metrics["ec50"].operator == "=" and not bounded:
            spread = abs(np.log(r["GR50"] / python["GR50"]))
            assert abs(np.log(metrics["gr50"].value / r["GR50"])) < max(10 * spread, 1e-4)
            compared += 1
    assert compared > 70


def test_the_documented_curve_of_the_toy_data(toy):
    """BT20, drugA, first replicate at 48 h: GR50 0.0774608 (R), 0.0774860 (MATLAB), 0.0774607 (Python)."""
    metrics = toy[2][("BT20", "drugA", 0, 1, 48)]
    assert metrics["gr50"].value == pytest.approx(0.0774608, rel=1e-5)
    assert metrics["gr_aoc"].value == pytest.approx(0.555553253, abs=1e-9)
    assert metrics["gr_max"].value == pytest.approx(-0.00640568, abs=1e-8)


def test_the_true_parameters_of_the_toy_data_lie_in_most_plateau_intervals(toy):
    """The counts carry noise of their own between replicates, so this is no test of coverage."""
    folder, _, ours = toy
    truth = pd.read_csv(folder / "toy_example_DrugParameters.tsv", sep="\t").set_index(["cell_line", "agent"])
    hits = [m["gr_inf"].low <= truth.loc[key[:2], "GRinf"] <= m["gr_inf"].high for key, m in ours.items()]
    assert np.mean(hits) > 0.9
