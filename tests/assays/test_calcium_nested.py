"""Cells in dishes in days: summaries, variance components, comparisons and doses. All data are simulated."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from halfmax.assays.calcium.nested import (
    compare_groups,
    dish_summaries,
    responses,
    variance_components,
)
from halfmax.curves import hill
from halfmax.errors import RangeError, TableError
from halfmax.estimate import combine, fit_all

PATH = Path(__file__).parents[2] / "benchmarks" / "responders.py"
SPECIFICATION = importlib.util.spec_from_file_location("groups_by_chance", PATH)
bench = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(bench)


def nested(design=bench.Design(), *, effect=0.0, seed=1):  # noqa: B008
    """Values of cells and their labels."""
    values = bench.dishes(design, effect, np.random.default_rng(seed), 1)[0]
    day, group, dish, _ = (axis.ravel().astype(str) for axis in np.indices(values.shape))
    return values.ravel(), {"day": day, "group": group, "dish": np.char.add(group, dish)}


# Summaries


def test_a_dish_is_the_mean_of_its_cells_and_its_fraction_is_of_all_cells():
    found = dish_summaries(
        [1.0, 3.0, np.nan, 5.0], dish=["a", "a", "a", "b"], day="1", called=[False, True, True, False]
    )
    assert found.mean.tolist() == [2.0, 5.0]
    assert found.fraction.tolist() == pytest.approx([2 / 3, 0.0])
    assert found.fraction_amplitude.tolist() == pytest.approx([1.0, 0.0])
    assert (found.cells.tolist(), found.measured.tolist()) == ([3, 1], [2, 1])
    assert np.isnan(found.sd[1])
    assert found.text() == "1 day, 2 dishes, 4 cells"


def test_dishes_of_the_same_name_on_other_days_are_other_dishes_and_doses_in_a_dish_are_rows():
    found = dish_summaries([1.0, 2.0, 3.0], dish="a", day=["1", "2", "2"], concentration=[0.0, 0.0, 1e-6])
    assert found.mean.tolist() == [1.0, 2.0, 3.0]
    assert found.text() == "2 days, 2 dishes, 2 cells"


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        ([], {"dish": "a", "day": "1"}, "there is no cell to summarise"),
        ([1.0, 2.0], {"dish": ["a", ""], "day": "1"}, "cell 2: no dish is named. Name every dish"),
        ([1.0, 2.0], {"dish": "a", "day": ["1", "2", "3"]}, "2 cells but 3 labels of day"),
        ([1.0, 2.0], {"dish": "a", "day": "1", "called": [True]}, "2 cells but 1 calls"),
        ([1.0, 2.0], {"dish": "a", "day": "1", "concentration": [1.0, 2.0, 3.0]}, "2 cells but 3 concentrations"),
    ],
)
def test_labels_that_do_not_fit_are_refused(values, labels, message):
    with pytest.raises(TableError, match=message):
        dish_summaries(values, **labels)


# Variance components


def test_components_of_a_balanced_design_agree_with_their_mean_squares():
    values, labels = nested(bench.Design(days=4, dishes=3, cells=5))
    one = labels["group"] == "0"
    table = values[one].reshape(4, 3, 5)
    cell = table.var(axis=2, ddof=1).mean()
    dish = (5 * table.mean(axis=2).var(axis=1, ddof=1).mean() - cell) / 5
    day = table.mean(axis=(1, 2)).var(ddof=1) - dish / 3 - cell / 15
    found = variance_components(values[one], dish=labels["dish"][one], day=labels["day"][one])
    assert_allclose([found.day, found.dish, found.cell], [day, dish, cell])
    assert (found.days, found.dishes, found.cells) == (4, 12, 60)


def test_components_of_an_unbalanced_design_are_unbiased():
    rng, found = np.random.default_rng(3), []
    sizes = rng.integers(3, 60, (6, 3))
    day = np.repeat(np.repeat(np.arange(6), 3), sizes.ravel())
    dish = np.repeat(np.arange(18), sizes.ravel())
    for _ in range(600):
        y = rng.normal(0, 1, 6)[day] + rng.normal(0, 0.7, 18)[dish] + rng.normal(0, 2.0, day.size)
        one = variance_components(y, dish=dish, day=day)
        found.append((one.day, one.dish, one.cell))
    assert_allclose(np.mean(found, axis=0), [1.0, 0.49, 4.0], rtol=0.1)


def test_icc_text_has_its_interval_and_the_three_n():
    values, labels = nested()
    found = variance_components(values, **labels)
    assert found.text().endswith("3 days, 12 dishes, 480 cells")
    assert found.low < found.icc_one_way < found.high
    assert found.design_effect == pytest.approx(1 + 39 * found.icc_one_way)


def test_missing_cells_take_no_part():
    values, labels = nested()
    gap = np.arange(values.size) % 7 == 0
    without = variance_components(values[~gap], **{name: column[~gap] for name, column in labels.items()})
    assert variance_components(np.where(gap, np.nan, values), **labels) == without


def test_one_dish_has_no_icc():
    with pytest.raises(TableError, match="5 cells in 1 dishes: an intraclass correlation needs at least two dishes"):
        variance_components(np.arange(5.0), dish="a", day="1")


# Comparisons


def test_days_are_paired_where_both_groups_were_read_on_each():
    values, labels = nested(effect=1.0)
    found = compare_groups(dish_summaries(values, **labels), "0", "1")
    means = values.reshape(3, 2, 80).mean(axis=2)
    expected = stats.ttest_rel(means[:, 1], means[:, 0])
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.method == "paired t on days"
    assert found.text().endswith("(paired t on days); days 3 and 3, dishes 6 and 6, cells 240 and 240")


def test_days_of_one_group_each_are_compared_after_welch():
    values, labels = nested()
    labels["day"] = np.char.add(labels["day"], labels["group"])
    found = compare_groups(dish_summaries(values, **labels), "0", "1")
    means = values.reshape(3, 2, 80).mean(axis=2)
    assert found.p == pytest.approx(stats.ttest_ind(means[:, 1], means[:, 0], equal_var=False).pvalue)
    assert found.method == "Welch t on days"


def test_dishes_weigh_alike_whatever_their_cells():
    found = dish_summaries(
        [0.0, 0.0, 0.0, 6.0, 1.0, 2.0, 2.0, 2.0], dish=["a", "a", "a", "b", "c", "d", "e", "f"],
        day=["1", "1", "1", "1", "2", "1", "2", "2"], group=["x"] * 5 + ["y"] * 3,
    )  # fmt: skip
    assert compare_groups(found, "x", "y").estimate == pytest.approx(2.0 - (3.0 + 1.0) / 2)


def test_a_p_value_over_cells_of_one_day_is_refused_and_the_difference_given():
    values, labels = nested(bench.Design(days=1), effect=2.0)
    found = compare_groups(dish_summaries(values, **labels), "0", "1")
    assert found.status.startswith("refused: no p-value with one day. The cells and dishes of a day share")
    assert np.isnan([found.p, found.low, found.high]).all()
    means = values.reshape(2, 80).mean(axis=1)
    assert found.estimate == pytest.approx(means[1] - means[0])
    assert "no test" in found.text()


def test_a_ratio_is_of_geometric_means_and_does_not_depend_on_the_unit():
    values, labels = nested(effect=0.5)
    one, other = (
        compare_groups(dish_summaries(factor * np.exp(values), **labels), "0", "1", effect="ratio") for factor in (1, 7)
    )
    assert one.estimate == pytest.approx(other.estimate)
    assert one.p == pytest.approx(other.p)
    means = np.log(np.exp(values).reshape(3, 2, 2, 40).mean(axis=3).mean(axis=2))
    assert one.estimate == pytest.approx(np.exp((means[:, 1] - means[:, 0]).mean()))
    with pytest.raises(RangeError, match=r"0, day 0: a ratio needs means above 0, found -.* Take the difference"):
        compare_groups(dish_summaries(values - 10, **labels), "0", "1", effect="ratio")


def test_days_with_one_group_only_are_named():
    values, labels = nested()
    keep = ~((labels["day"] == "2") & (labels["group"] == "1"))
    some = dish_summaries(values[keep], **{name: column[keep] for name, column in labels.items()})
    found = compare_groups(some, "0", "1")
    assert (found.method, found.days) == ("Welch t on days", (3, 2))
    assert found.notes == ("Some days have one group only, so that days are not paired. Read both groups on each day.",)


def test_what_cannot_be_compared_is_refused():
    values, labels = nested()
    found = dish_summaries(values, **labels)
    with pytest.raises(TableError, match='no cell is of the group "drug"'):
        compare_groups(found, "0", "drug")
    with pytest.raises(RangeError, match=r"it was not said which cells respond \(called\)"):
        compare_groups(found, "0", "1", summary="fraction")
    with pytest.raises(RangeError, match='unknown summary "median"'):
        compare_groups(found, "0", "1", summary="median")
    same = compare_groups(dish_summaries(np.ones(values.size), **labels), "0", "1")
    assert same.status.startswith("refused: the days do not differ at all")
    doses = dish_summaries(values, **labels, concentration=np.where(labels["day"] == "0", 1e-6, 1e-5))
    with pytest.raises(TableError, match="0 was read at 2 concentrations: a comparison is of one"):
        compare_groups(doses, "0", "1")


@pytest.mark.slow
@pytest.mark.parametrize("design", [bench.Design(), bench.Design(day=0.0, dish=0.33), bench.Design(day=0.33, dish=0.0)])
def test_groups_that_are_alike_differ_in_four_to_six_percent(design):
    ours, _, cells = bench.found(design, 0.0, 10_000, 17)
    assert design.icc == pytest.approx(0.33)
    assert 0.04 <= (ours < 0.05).mean() <= 0.06
    if design.dish:
        assert (cells < 0.05).mean() > 0.4


@pytest.mark.slow
def test_real_differences_are_found_and_their_intervals_hold_them():
    ours, _, _ = bench.found(bench.Design(days=5), 1.0, 2000, 18)
    assert (ours < 0.05).mean() > 0.9
    values = bench.dishes(bench.Design(), 1.0, np.random.default_rng(19), 4000)
    labels = nested()[1]
    held = [
        one.low < 1.0 < one.high
        for one in (compare_groups(dish_summaries(run.ravel(), **labels), "0", "1") for run in values)
    ]
    assert 0.94 <= np.mean(held) <= 0.96


@pytest.mark.slow
def test_welch_on_three_days_each_is_never_above_its_level():
    ours, dishes, _ = bench.found(bench.Design(), 0.0, 4000, 20, paired=False)
    assert 0.02 <= (ours < 0.05).mean() <= 0.06
    assert (dishes < 0.05).mean() > (ours < 0.05).mean()


# Dose–response


def dose_response(*, ec50=2e-6, days=4, seed=1):
    """Cells of 8 doses and vehicle, two dishes a dose and day, and which of them respond."""
    rng = np.random.default_rng(seed)
    dose = np.r_[0.0, np.geomspace(3e-8, 1e-4, 8)]
    day, place, dish, _ = (axis.ravel() for axis in np.indices((days, dose.size, 2, 40)))
    mean = np.r_[0.05, hill(dose[1:], ec50=ec50, hill_slope=1.0, bottom=0.05, top=1.0)]
    shared = rng.normal(0, 0.04, (days, dose.size, 2))[day, place, dish]
    value = mean[place] * np.exp(rng.normal(0, 0.1, days))[day] + shared + rng.normal(0, 0.2, day.size)
    names = np.char.add(place.astype(str), np.char.add("-", dish.astype(str)))
    group = np.where(place > 0, "CM572", "vehicle")
    labels = {"dish": names, "day": day.astype(str), "group": group}
    return value, labels | {"concentration": dose[place], "called": value > 0.4}


@pytest.mark.parametrize("summary", ["mean", "fraction_amplitude"])
def test_doses_become_one_response_a_day_and_one_ec50_of_all_days(summary):
    value, labels = dose_response()
    made = responses(dish_summaries(value, **labels), summary=summary, false_positive_rate=0.05, simulated=True)
    assert [(one.compound, one.experiment) for one in made] == [("CM572", day) for day in "0123"]
    assert all((one.role == "vehicle").sum() == 2 and one.signal.size == 18 and one.simulated for one in made)
    assert made[0].notes[0] == "1 day, 18 dishes, 720 cells; the day is the sample."
    joined = combine(fit_all(made, "hill4"))
    assert joined.n == 4
    if summary == "mean":
        assert joined["ec50"].low < 2e-6 < joined["ec50"].high
    else:
        assert "Of cells that do not respond, 5.0 % are called." in made[0].notes
        assert joined["ec50"].operator == "="


def test_days_without_vehicle_say_so_and_doses_must_be_there():
    value, labels = dose_response(days=1)
    drug = labels["concentration"] > 0
    some = dish_summaries(value[drug], **{name: column[drug] for name, column in labels.items()})
    assert (
        "There are no vehicle dishes: the plateau at dose zero rests on the lowest doses." in responses(some)[0].notes
    )
    with pytest.raises(TableError, match="no dish has a concentration above 0"):
        responses(dish_summaries([1.0], dish="a", day="1"))
