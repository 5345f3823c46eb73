"""A planned viability experiment: doses, plates, what stands in the wells."""

from __future__ import annotations

import math
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from halfmax.errors import RangeError
from halfmax.plan import Plan, ViabilityOptions, plan_viability, replicates_for
from halfmax.readers.layout import read_layout, write_layout
from halfmax.table import AssayTable
from halfmax.wells import edge_distance, well_names


def plan(**changes: object) -> Plan:
    return plan_viability(**{"cell_lines": "MCF-7", "compound": "CM572", "times": "48 h", "experiments": 1, **changes})


def test_doses_are_even_on_the_log_axis_and_hold_both_ends():
    doses = plan_viability("MCF-7", "CM572", lowest="10 nM", highest="10 µM", points=10, times="24 h").doses
    steps = [math.log10(high / low) for low, high in pairwise(doses)]
    assert (doses[0], doses[-1], len(doses)) == (1e-8, 1e-5, 10)
    assert steps == pytest.approx([1 / 3] * 9, abs=1e-3)


def test_there_is_a_plate_for_each_line_time_and_experiment():
    made = plan_viability(["MCF-7", "PANC-1"], "CM572", times=["24 h", "48 h"], experiments=3)
    assert len(made.plates) == 12
    assert {(p.cell_line, p.time_s, p.experiment) for p in made.plates} == {
        (line, time, number) for line in ("MCF-7", "PANC-1") for time in (86400.0, 172800.0) for number in "123"
    }


def test_every_dose_and_control_has_its_wells():
    plate = plan().plates[0]
    frame = plate.layout.frame
    samples = frame[frame["role"] == "sample"]
    assert samples["concentration_M"].value_counts().tolist() == [3] * 7
    assert {role: plate.count(role) for role in ("vehicle", "blank", "kill", "untreated", "compound_blank")} == {
        "vehicle": 6,
        "blank": 4,
        "kill": 4,
        "untreated": 3,
        "compound_blank": 7,
    }
    assert len(frame) == 45


def test_replicates_are_numbered_within_their_dose():
    frame = plan().plates[0].layout.frame
    samples = frame[frame["role"] == "sample"]
    assert all(sorted(group["replicate"]) == ["1", "2", "3"] for _, group in samples.groupby("concentration_M"))


def test_edges_are_left_alone_unless_asked_for():
    frame = plan().plates[0].layout.frame
    assert all(edge_distance(well, (8, 12)) > 0 for well in frame["well"])
    filled = plan(points=12, options=ViabilityOptions(edges="used", vehicle=24)).plates[0].layout.frame
    assert any(edge_distance(well, (8, 12)) == 0 for well in filled["well"])


def test_controls_stand_on_both_sides_of_the_doses():
    frame = plan().plates[0].layout.frame
    columns = frame[frame["role"] == "vehicle"]["well"].str[1:].astype(int)
    assert columns.min() == 2
    assert columns.max() >= 10


def test_many_doses_still_find_their_wells():
    made = plan(points=20, replicates=2, options=ViabilityOptions(wells=384, compound_blank=2))
    frame = made.plates[0].layout.frame
    assert frame["role"].value_counts()["sample"] == 40


def test_deep_columns_are_laid_row_by_row():
    made = plan(points=4, replicates=7)
    assert made.plates[0].count("sample") == 28


def test_a_seed_fixes_the_arrangement_and_plates_differ():
    options = ViabilityOptions(randomise=True, seed=7)
    first, second = (plan(experiments=2, options=options) for _ in range(2))
    for one, other in zip(first.plates, second.plates, strict=True):
        pd.testing.assert_frame_equal(one.layout.frame, other.layout.frame)
    assert list(first.plates[0].layout.frame["role"]) != list(first.plates[1].layout.frame["role"])
    other_seed = plan(options=ViabilityOptions(randomise=True, seed=8))
    assert list(other_seed.plates[0].layout.frame["role"]) != list(first.plates[0].layout.frame["role"])


@given(
    points=st.integers(2, 10),
    replicates=st.integers(1, 5),
    randomise=st.booleans(),
    edges=st.sampled_from(["used", "unused"]),
    wells=st.sampled_from([96, 384]),
)
@settings(deadline=None, max_examples=30)
def test_no_well_is_lost_whatever_the_design(points, replicates, randomise, edges, wells):
    options = ViabilityOptions(wells=wells, edges=edges, randomise=randomise)
    needed = points * (replicates + 1) + 17
    try:
        plate = plan(points=points, replicates=replicates, options=options).plates[0]
    except RangeError:
        assert needed > (60 if edges == "unused" else 96)
        assert wells == 96
        return
    frame = plate.layout.frame
    assert len(frame) == needed
    counts = frame[frame["role"] == "sample"]["concentration_M"].value_counts()
    assert counts.tolist() == [replicates] * points


def test_the_layout_written_is_the_one_the_analysis_reads(tmp_path):
    for plate in plan_viability(["MCF-7", "PANC-1"], "CM572", experiments=1).plates:
        write_layout(plate.layout, tmp_path / plate.layout_file)
        again = read_layout(tmp_path / plate.layout_file)
        pd.testing.assert_frame_equal(again.frame, plate.layout.frame)
        wells = well_names((8, 12))
        told = again.apply(AssayTable.of({"well": wells, "signal": [1.0] * 96})).frame
        assert told["role"].value_counts()["sample"] == 21
        assert told["role"].value_counts()["unused"] == 96 - 45
        used = told[told["role"] != "unused"]
        assert set(used["cell_line"]) == {plate.cell_line}
        assert set(used["time_s"]) == {plate.time_s}


# ── Solvent ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_highest_dose_decides_the_solvent():
    assert plan().solvent_fraction == pytest.approx(0.005)
    assert plan(highest="50 µM").solvent_fraction == pytest.approx(0.0025)


def test_a_strong_stock_is_diluted_rather_than_pipetted_too_small():
    assert plan(highest="1 µM", lowest="1 nM").solvent_fraction == pytest.approx(0.001)


def test_too_much_solvent_names_the_stock_that_would_do():
    with pytest.raises(
        RangeError,
        match=r"100 µM from a stock of 10 mM needs 1.00% DMSO, more than the limit of 0.50%. "
        r"Use a stock of at least 20 mM, or a highest dose of at most 50 µM",
    ):
        plan(options=ViabilityOptions(stock="10 mM"))


def test_a_stricter_limit_asks_for_a_stronger_stock():
    with pytest.raises(RangeError, match=r"Use a stock of at least 100 mM"):
        plan(options=ViabilityOptions(solvent_limit="0.1 %"))
    assert plan(options=ViabilityOptions(solvent_limit="0.1 %", stock="100 mM")).solvent_fraction == pytest.approx(
        0.001
    )


# ── What is refused ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lowest": "100 µM", "highest": "1 µM"},
            "the lowest dose must be > 0 and below the highest, found 100 µM and 1 µM",
        ),
        ({"lowest": "0 µM"}, "the lowest dose must be > 0"),
        ({"lowest": "0.1"}, 'concentration "0.1" has no unit'),
        ({"replicates": 0}, "replicates must be a whole number ≥ 1, found 0"),
        ({"experiments": 1.5}, "experiments must be a whole number ≥ 1, found 1.5"),
        ({"points": 1}, "points must be a whole number ≥ 2"),
        ({"times": []}, "times must be durations > 0"),
        ({"times": ["24 h", "1 d"]}, "each once"),
        ({"cell_lines": []}, "the cell line has no name"),
        ({"cell_lines": ["MCF-7", "mcf 7"]}, 'cell lines "MCF-7" and "mcf 7" cannot be told apart in file names'),
        ({"compound": " "}, "the compound has no name"),
        (
            {"points": 12, "replicates": 4},
            "need 77 wells, but the plate offers 60. Take fewer doses, replicates or controls,",
        ),
    ],
)
def test_senseless_plans_are_refused(changes, message):
    with pytest.raises(RangeError, match=message):
        plan(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wells": 100}, 'wells must be one of 96, 384, found "100"'),
        ({"edges": "unusd"}, 'found "unusd". Did you mean "unused"'),
        ({"solubiliser": "water"}, "solubiliser must be one of DMSO, SDS/HCl"),
        ({"vehicle": 0}, "vehicle must be a whole number ≥ 1"),
        ({"excess": 2.0}, "excess must lie in"),
    ],
)
def test_senseless_options_are_refused(changes, message):
    with pytest.raises(RangeError, match=message):
        ViabilityOptions(**changes)


def test_a_solvent_limit_is_a_percentage():
    with pytest.raises(RangeError, match=r'expected a percentage such as "0\.5 %"'):
        plan(options=ViabilityOptions(solvent_limit="0.005"))
    with pytest.raises(RangeError, match="solvent_limit must lie in"):
        plan(options=ViabilityOptions(solvent_limit="5 %"))


# ── Precision ───────────────────────────────────────────────────────────────────────────────────────


@given(half_width=st.floats(0.05, 2), sd=st.floats(0.01, 0.3))
@settings(deadline=None)
def test_the_number_of_experiments_suffices_and_one_fewer_does_not(half_width, sd):
    number = replicates_for(half_width, sd)

    def reached(n: int) -> float:
        return float(t.ppf(0.975, n - 1) * sd / math.sqrt(n))

    assert reached(number) <= half_width
    assert number == 2 or reached(number - 1) > half_width


def test_experiments_without_spread_need_two():
    assert replicates_for(0.1, 0.0) == 2


def test_precision_beyond_reach_is_said():
    with pytest.raises(RangeError, match=r"more than 1000 experiments are needed for ± 0.001 log units"):
        replicates_for(0.001, 0.3)
    with pytest.raises(RangeError, match="half_width must be > 0"):
        replicates_for(0.0, 0.1)
    with pytest.raises(RangeError, match="confidence must lie between 0 and 1"):
        replicates_for(0.1, 0.1, confidence=95)
