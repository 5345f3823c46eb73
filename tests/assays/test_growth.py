"""Growth-rate values, their static and toxic components, and the tables that counts come in."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax.assays.growth import CountColumns, GrowthCounts, gr_components, gr_value, growth_counts, growth_rates
from halfmax.errors import RangeError, TableError

KEYS = ["cell_line", "agent", "perturbation", "replicate", "time"]
ASSIGNED = {"control": "cell_count__ctrl", "time_zero": "cell_count__time0"}
TAGGED = {"control_by": ["ctrl_tag"], "time_zero_by": ["time0_tag"]}
STACKED = {
    "control_by": ["cell_line", "perturbation", "replicate", "time"],
    "time_zero_by": ["cell_line", "perturbation"],
}


def test_no_effect_is_one_and_stasis_is_zero_however_often_the_control_divided():
    for doublings in (0.5, 1.0, 3.0):
        values = gr_value([100.0 * 2**doublings, 100.0], control=100.0 * 2**doublings, time_zero=100.0)
        assert values.tolist() == pytest.approx([1.0, 0.0])


def test_the_value_does_not_depend_on_the_time_where_rates_are_constant():
    control, treated = 0.03, 0.012  # divisions an hour
    values = [gr_value(2 ** (treated * hours), control=2 ** (control * hours), time_zero=1.0) for hours in (24, 48, 72)]
    assert values == pytest.approx([2 ** (treated / control) - 1] * 3)


@given(
    st.lists(st.floats(1.0, 1e5), min_size=1, max_size=6),
    st.floats(1.0, 1e4),
    st.floats(1.05, 50),
    st.floats(1e-3, 1e3),
)
def test_division_time_gives_what_time_zero_gives_and_the_scale_of_the_counts_cancels(counts, begun, growth, scale):
    x, control = np.array(counts), begun * growth
    values = gr_value(x, control=control, time_zero=begun)
    assert gr_value(x, control=control, doublings=np.log2(growth)) == pytest.approx(values, rel=1e-9, abs=1e-9)
    assert gr_value(scale * x, control=scale * control, time_zero=scale * begun) == pytest.approx(
        values, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize(
    ("count", "fields", "message"),
    [
        (
            0.0,
            {"control": 200.0, "time_zero": 100.0},
            r"count must be > 0 everywhere, found 0\. A well without a single",
        ),
        (-3.0, {"control": 200.0, "time_zero": 100.0}, r"count must be > 0 everywhere, found -3"),
        (50.0, {"control": 90.0, "time_zero": 100.0}, r"the control did not grow between time zero and the reading"),
        (50.0, {"control": 90.0, "doublings": 0.0}, r"doublings must be > 0 everywhere, found 0"),
        (50.0, {"control": 90.0}, r"expected either time_zero or doublings, found neither"),
        (50.0, {"control": 90.0, "time_zero": 50.0, "doublings": 1.0}, r"found both\. Give the one that was measured"),
    ],
)
def test_what_has_no_growth_rate_is_refused(count, fields, message):
    with pytest.raises(RangeError, match=message):
        gr_value(count, **fields)


# Static and toxic components


def grown(division, death, *, start=(300.0, 20.0), days=3.0):
    """Live and dead cells after some days, in closed form."""
    live, dead = start
    net = division - death
    end = live * 2.0 ** (net * days)
    return end, dead + (death / net * (end - live) if net else np.log(2) * death * days * live)


@given(st.floats(0.0, 2.0), st.floats(0.0, 2.0), st.floats(0.2, 5.0))
def test_rates_of_division_and_death_are_recovered(division, death, days):
    live, dead = grown(division, death, days=days)
    found = growth_rates(live, dead, time_zero=300.0, dead_time_zero=20.0, days=days)
    assert found == pytest.approx((division, death), abs=1e-6)


def test_rates_are_those_of_the_equations_integrated():
    from scipy.integrate import solve_ivp

    ln2 = np.log(2)
    end = solve_ivp(
        lambda _, y: [ln2 * (0.7 - 0.25) * y[0], ln2 * 0.25 * y[0]], (0, 3), [300.0, 20.0], rtol=1e-10, atol=1e-10
    ).y[:, -1]
    assert growth_rates(*end, time_zero=300.0, dead_time_zero=20.0, days=3.0) == pytest.approx((0.7, 0.25), rel=1e-8)


def components(division, death, *, control=(0.8, 0.05), days=3.0):
    live, dead = grown(division, death, days=days)
    own, own_dead = grown(*control, days=days)
    return gr_components(
        live, dead, control=own, dead_control=own_dead, time_zero=300.0, dead_time_zero=20.0, days=days
    )  # fmt: skip


def test_pure_stasis_is_static_alone_and_pure_killing_is_toxic_alone():
    assert components(0.8, 0.05) == pytest.approx((1.0, 0.0))
    assert components(0.4, 0.05) == pytest.approx((2**0.5 - 1, 0.0))
    assert components(0.0, 0.05) == pytest.approx((0.0, 0.0))
    assert components(0.8, 1.05) == pytest.approx((1.0, -0.5))
    assert components(0.0, 40.05, days=0.1) == pytest.approx((0.0, -1.0))


def test_stasis_of_the_live_cells_has_no_hole():
    """At live == time_zero the textbook ratio is 0 / 0."""
    either = [components(division, 0.3) for division in (0.3 - 1e-7, 0.3, 0.3 + 1e-7)]
    assert np.ptp(np.array(either), axis=0) == pytest.approx([0, 0], abs=1e-6)


@given(st.floats(0.0, 1.5), st.floats(0.0, 1.5), st.floats(0.3, 1.0), st.floats(0.0, 0.2), st.floats(0.5, 4.0))
def test_the_components_multiply_to_the_growth_rate_value(division, death, own_division, own_death, days):
    static, toxic = components(division, death, control=(own_division, own_death), days=days)
    live, control = grown(division, death, days=days)[0], grown(own_division, own_death, days=days)[0]
    gr = gr_value(live, control=control, time_zero=300.0)
    product = (1 + static) ** own_division * (1 + toxic) * 2.0**-own_death
    assert (1 + gr) ** (own_division - own_death) == pytest.approx(product, rel=1e-7)


def test_components_are_those_of_the_published_formula():
    """With ``D`` the dead cells gained over the live cells gained, as the Python and R packages write it."""
    x, d, x0, d0, xc, dc, days = (
        np.array([1342.0, 398.0, 4628.0]),
        np.array([901.0, 1870.0, 958.0]),
        1608.9,
        127.7,
        5426.1,
        484.3,
        3.0,
    )
    ratio, own = (d - d0) / (x - x0), (dc - d0) / (xc - x0)
    gr, gr_own = np.log2(x / x0), np.log2(xc / x0)
    static, toxic = gr_components(
        x, d, control=xc, dead_control=dc, time_zero=x0, dead_time_zero=d0, days=days
    )  # fmt: skip
    assert static == pytest.approx(2 ** ((1 + ratio) * gr / ((1 + own) * gr_own)) - 1, abs=1e-12)
    assert toxic == pytest.approx(2 ** ((own * gr_own - ratio * gr) / days) - 1, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"live": 0.0}, r"live must be > 0 everywhere, found 0"),
        ({"dead": -1.0}, r"dead must be >= 0 everywhere, found -1"),
        ({"days": 0.0}, r"days must be > 0 everywhere, found 0"),
        ({"control": 90.0, "dead_control": 10.0}, r"the control's cells did not divide between time zero"),
    ],
)
def test_components_refuse_what_they_cannot_be_made_of(changed, message):
    fields = {
        "live": 200.0, "dead": 20.0, "control": 400.0, "dead_control": 20.0, "time_zero": 100.0, "dead_time_zero": 10.0,
        "days": 2.0,
    } | changed  # fmt: skip
    with pytest.raises(RangeError, match=message):
        gr_components(fields.pop("live"), fields.pop("dead"), **fields)


# Counts of a curve


def test_the_trimmed_mean_leaves_out_a_quarter_at_either_end():
    counts = GrowthCounts.of(
        [1.0], [500.0], control=[1201, 1196, 1184, 1210, 1258, 1246, 1227, 1212], time_zero=[300], trim=0.5
    )
    assert counts.centre("control") == 1212.5
    assert counts.centre("time_zero") == 300.0


def test_ends_of_the_mean_are_its_t_interval_and_a_single_well_has_none():
    from scipy import stats

    wells = [380.0, 400.0, 410.0, 430.0]
    counts = GrowthCounts.of([1.0], [300.0], control=wells, time_zero=[100.0])
    expected = stats.t.interval(0.9, 3, np.mean(wells), stats.sem(wells))
    assert counts.ends(level=0.9) == {"control": pytest.approx(expected)}


def test_ends_of_the_trimmed_mean_cover():
    rng = np.random.default_rng(2)
    wells = rng.normal(400, 30, (2000, 12))
    ends = [GrowthCounts.of([1.0], [300.0], control=w, time_zero=[100.0], trim=0.5).ends()["control"] for w in wells]
    assert np.mean([low <= 400 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)


def test_notes_say_what_was_not_replicated_and_what_was_lost():
    single = GrowthCounts.of([1.0], [300.0], control=[400.0], doublings=2.0)
    assert single.notes()[0].startswith("No replicate wells of control: the error of that value moves all")
    assert "2 doublings are taken as known" in single.notes()[1]
    both = GrowthCounts.of([1.0], [300.0], control=[400.0, 410.0], time_zero=[100.0, 101.0, 99.0])
    assert both.notes() == ("The intervals hold the scatter of 2 control and 3 time zero wells.",)
    lost = GrowthCounts.of(
        [1.0, 3.0], [300.0, 50.0], dead=[20.0, 30.0], control=[400.0], dead_control=[20.0], time_zero=[100.0],
        dead_time_zero=[10.0], days=2.0,
    )  # fmt: skip
    assert lost.notes("toxic")[1].startswith("1 well holds fewer cells, live and dead, than time zero")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"count": [1.0]}, TableError, r"line A: 2 concentrations but 1 counts"),
        (
            {"concentration": [0.0, 1.0]},
            TableError,
            r"line A, row 1: concentration must be a finite number > 0, found 0",
        ),
        ({"count": [5.0, 0.0]}, RangeError, r"line A: count must be > 0 everywhere, found 0"),
        ({"control": [5.0, -2.0]}, RangeError, r"line A: control must be > 0 everywhere, found -2"),
        ({"control": [np.nan]}, TableError, r"line A: no control well holds a count"),
        ({"time_zero": []}, TableError, r"line A: no time-zero well holds a count, and no division time is given"),
        ({"doublings": 2.0}, TableError, r"line A: both time-zero wells and a division time are given"),
        ({"time_zero": [], "doublings": -1.0}, RangeError, r"line A: doublings must be > 0, found -1"),
        ({"trim": 1.0}, RangeError, r"line A: trim must be >= 0 and < 1, found 1"),
        ({"dead": [1.0]}, TableError, r"line A: 2 wells of count but 1 counts of dead"),
        ({"dead": [1.0, -1.0]}, RangeError, r"line A: dead must be >= 0 everywhere, found -1"),
    ],
)
def test_counts_that_contradict_themselves_are_refused(fields, error, message):
    given = {"concentration": [1.0, 3.0], "count": [300.0, 200.0], "control": [400.0], "time_zero": [100.0]} | fields
    with pytest.raises(error, match=message):
        GrowthCounts.of(given.pop("concentration"), given.pop("count"), labels={"line": "A"}, **given)


def test_values_say_why_there_are_none():
    shrunk = GrowthCounts.of([1.0], [50.0], control=[90.0], time_zero=[100.0])
    with pytest.raises(RangeError, match=r"growth: the control did not grow \(100 → 90\) between time zero"):
        shrunk.values()
    with pytest.raises(
        RangeError, match=r"toxic values need dead cells and time zero counted: found no dead\. Report GR"
    ):
        shrunk.values("toxic")


def test_a_missing_count_stays_missing():
    counts = GrowthCounts.of([1.0, 3.0], [np.nan, 200.0], control=[400.0], time_zero=[100.0])
    assert np.isnan(counts.values()).tolist() == [True, False]


# Tables


def stacked():
    return pd.DataFrame(
        {
            "line": "A", "drug": ["-"] * 4 + ["x"] * 3, "time": [0, 0, 48, 48, 48, 48, 48], "well": list("abcdefg"),
            "concentration": [0, 0, 0, 0, 0.1, 1, 10], "cell_count": [98, 102, 390, 410, 380, 200, 90],
            "dead_count": [5, 5, 12, 14, 13, 20, 60],
        }
    )  # fmt: skip


SHARED = {"by": ["line", "drug"], "control_by": ["line", "time"], "time_zero_by": ["line"]}


def test_rows_of_a_stacked_table_find_their_controls_in_any_order():
    (one,) = growth_counts(stacked(), **SHARED)
    (other,) = growth_counts(stacked().sample(frac=1, random_state=3), **SHARED)
    order = np.argsort(other.concentration)
    assert other.values()[order] == pytest.approx(one.values(), abs=1e-12)
    assert sorted(one.control) == [390, 410]
    assert one.labels == {"line": "A", "drug": "x"}


def test_dead_cells_and_hours_come_along():
    (counts,) = growth_counts(stacked(), columns=CountColumns(dead="dead_count"), **SHARED)
    assert counts.days == 2.0
    assert counts.values("toxic") == pytest.approx(
        gr_components(
            counts.count, counts.dead, control=400.0, dead_control=13.0, time_zero=100.0, dead_time_zero=5.0, days=2.0
        )[1]
    )  # fmt: skip


def test_a_division_time_stands_for_time_zero():
    table = stacked().query("time > 0").assign(doubling_hours=24.0)
    (counts,) = growth_counts(table, division_time="doubling_hours", **SHARED)
    assert counts.doublings == 2.0
    assert counts.values() == pytest.approx(gr_value(counts.count, control=400.0, time_zero=100.0))


def assigned():
    return pd.DataFrame(
        {"line": "A", "concentration": [1.0, 2.0], "cell_count": [300, 200], "ctrl": [400, 400], "zero": [100, 100]}
    )


TWO_MEANS = {"by": ["line"], "control": "ctrl", "time_zero": "zero"}
BY_LINE = {"by": ["line"], "control_by": ["drug"]}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (
            stacked().drop(columns="cell_count"),
            {},
            r'table: expected a column "cell_count", found no column .* Did you mean "dead_count"',
        ),
        (
            stacked().query("time > 0"),
            {},
            r"line A, drug x: no time_zero well with line A\. Add it, .* or give the control's division time",
        ),
        (
            stacked().query("concentration > 0 or time == 0"),
            {},
            r"line A, drug x: no control well with line A, time 48",
        ),
        (stacked(), {"control_by": []}, r"control: the wells are rows, so control_by must name .* some of line, drug"),
        (stacked(), {"by": ["line", "line"]}, r"by must name each column that tells the curves apart once"),
        (stacked().replace({"drug": {"x": None}}), {}, r'table, row 4: "drug" is empty'),
        (
            stacked().replace({"well": {"g": "f"}}),
            {"columns": CountColumns(well="well")},
            r"line A, drug x: well f stands twice in the curve",
        ),
        (stacked(), BY_LINE, r"line A: no control well with drug x"),
        (
            stacked().assign(drug=list("----xyy")),
            BY_LINE,
            r'line A: one curve belongs to several groups of control wells \("drug" differs',
        ),
        (
            assigned().assign(ctrl=[400, np.nan]),
            TWO_MEANS,
            r"line A: expected one ctrl for the curve, found 400, nan\. Several curves are mixed",
        ),
        (
            assigned().assign(ctrl=[400, 380]),
            TWO_MEANS,
            r"line A: expected one ctrl for the curve, found 400, 380",
        ),
        (
            assigned(),
            TWO_MEANS | {"control": ["ctrl", "zero"]},
            r"control: expected one column for each of cell_count, found ctrl, zero",
        ),
        (
            assigned().assign(time=[48, 72], hours=24),
            {"by": ["line"], "control": "ctrl", "division_time": "hours"},
            r'line A: expected one value of "hours" for the curve, found 2, 3\. Add it to by',
        ),
        (
            assigned().assign(time=48, hours=24),
            TWO_MEANS | {"division_time": "hours"},
            r"both time_zero and division_time are named",
        ),
    ],
)
def test_a_table_that_cannot_be_matched_is_refused(table, options, message):
    with pytest.raises(TableError, match=message):
        growth_counts(table, **(SHARED | options))


def test_a_column_that_stands_twice_is_refused():
    table = stacked()
    table.columns = [*table.columns[:-1], "cell_count"]
    with pytest.raises(TableError, match=r'"cell_count", found 2 columns of that name\. Rename all but one'):
        growth_counts(table, **SHARED)


# The toy example of the three implementations


@pytest.fixture(scope="module")
def toy(data):
    """Reader of the files of the toy example."""
    folder = data / "dose_response/growth_rate"
    return lambda name: pd.read_csv(folder / name, sep="\t" if name.endswith("tsv") else ",")


def in_order(frame, values):
    """Values in the order of their keys and doses."""
    doses = frame["concentration"].round(9)
    return pd.Series(
        np.asarray(frame[values]), index=pd.MultiIndex.from_frame(frame[KEYS].assign(dose=doses))
    ).sort_index()


def of_curves(curves):
    parts = [
        pd.DataFrame({**c.labels, "concentration": c.concentration, "value": c.values()}).astype(
            {"perturbation": int, "replicate": int, "time": int}
        )
        for c in curves
    ]
    return in_order(pd.concat(parts), "value")


@pytest.fixture(scope="module")
def expected(toy):
    frame = toy("python_input1_GRvalues.tsv")
    return in_order(frame, "GRvalue")


@pytest.mark.parametrize(
    ("file", "column", "digits"),
    [
        ("R_input1_GRvalues.tsv", "GR", 1e-11),
        ("matlab_input1_GRvalues.tsv", "GRvalue", 1e-11),
        ("python_input1_GRvalues.tsv", "GRvalue", 1e-11),
        ("toy_example_output.tsv", "GRvalue", 1e-5),
    ],
)
def test_toy_values_agree_with_each_implementation(toy, file, column, digits):
    theirs = toy(file)
    ours = of_curves(growth_counts(toy("toy_example_input1.tsv"), by=KEYS, **ASSIGNED))
    assert len(ours) == 1008
    assert ours.to_numpy() == pytest.approx(in_order(theirs, column).loc[ours.index].to_numpy(), abs=digits)


def test_tagged_tables_of_wells_give_the_same_values(toy, expected):
    ours = of_curves(
        growth_counts(
            toy("toy_example_input3_data.tsv"), by=KEYS, trim=0.5, control=toy("toy_example_input3_ctrl.tsv"),
            time_zero=toy("toy_example_input3_time0.tsv"), **TAGGED,
        )
    )  # fmt: skip
    assert ours.to_numpy() == pytest.approx(expected.loc[ours.index].to_numpy(), abs=1e-11)


def test_tagged_tables_of_rounded_means_give_the_same_values_within_their_rounding(toy, expected):
    ours = of_curves(
        growth_counts(
            toy("toy_example_input2_data.tsv"), by=KEYS, control=toy("toy_example_input2_ctrl.tsv"),
            time_zero=toy("toy_example_input2_time0.tsv"), **TAGGED,
        )
    )  # fmt: skip
    assert ours.to_numpy() == pytest.approx(expected.loc[ours.index].to_numpy(), abs=1e-3)


def test_a_stacked_table_gives_the_same_values(toy, expected):
    curves = growth_counts(toy("toy_example_input4.tsv"), by=KEYS, trim=0.5, **STACKED)
    assert {(c.control.size, c.time_zero.size) for c in curves} == {(8, 20)}
    ours = of_curves(curves)
    assert ours.to_numpy() == pytest.approx(expected.loc[ours.index].to_numpy(), abs=1e-11)


def test_case_a_of_the_r_package_lacks_a_column_and_is_caught(toy, expected):
    """It dropped "perturbation", so that a curve holds the controls of two."""
    table, by = toy("R_inputCaseA.csv"), ["cell_line", "treatment", "replicate", "time"]
    with pytest.raises(TableError, match=r"expected one cell_count__ctrl for the curve, found 1212\.5, 811\.75"):
        growth_counts(table, by=by, **ASSIGNED)
    table["perturbation"] = toy("toy_example_input1.tsv")["perturbation"]
    ours = of_curves(growth_counts(table.rename(columns={"treatment": "agent"}), by=KEYS, **ASSIGNED))
    assert ours.to_numpy() == pytest.approx(expected.loc[ours.index].to_numpy(), abs=1e-11)


def test_case_c_of_the_r_package_pools_the_controls_of_two_perturbations(toy, expected):
    table = toy("R_inputCaseC.csv").rename(columns={"treatment": "agent"})
    curves = growth_counts(
        table, by=["cell_line", "agent", "replicate", "time"], trim=0.5, time_zero_by=["cell_line"],
        control_by=["cell_line", "replicate", "time"],
    )  # fmt: skip
    assert {(c.control.size, c.time_zero.size, c.count.size) for c in curves} == {(16, 40, 18)}
    table["perturbation"] = toy("toy_example_input4.tsv")["perturbation"]
    ours = of_curves(growth_counts(table, by=KEYS, trim=0.5, **STACKED))
    assert ours.to_numpy() == pytest.approx(expected.loc[ours.index].to_numpy(), abs=1e-11)
