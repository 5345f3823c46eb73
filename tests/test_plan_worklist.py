"""Dilutions and worklists: what is pipetted makes the doses, and nothing runs out."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfmax.errors import RangeError
from halfmax.plan import (
    Plan,
    ViabilityOptions,
    dilution_table,
    dilutions,
    echo_source,
    echo_worklist,
    manual_worklist,
    plan_viability,
)

DESIGNS = {
    "default": {},
    "three lines": {"cell_lines": ["MCF-7", "PANC-1", "SK-N-SH"], "times": ["24 h", "48 h", "72 h"]},
    "384 wells": {"options": ViabilityOptions(wells=384)},
    "strong stock": {"highest": "1 µM", "lowest": "0.3 nM", "options": ViabilityOptions(stock="5 mM")},
    "one replicate": {"replicates": 1, "options": ViabilityOptions(compound_blank=0, smallest_volume="1 µL")},
    "close doses": {"lowest": "10 µM", "points": 6},
}


@pytest.fixture(params=DESIGNS, name="plan")
def any_plan(request: pytest.FixtureRequest) -> Plan:
    return made(**DESIGNS[request.param])


def made(**changes: object) -> Plan:
    return plan_viability(**{"cell_lines": "MCF-7", "compound": "CM572", "times": "48 h", "experiments": 2, **changes})


# ── Dilutions ───────────────────────────────────────────────────────────────────────────────────────


def test_no_volume_is_smaller_than_a_pipette_takes(plan):
    for tube in dilutions(plan):
        assert tube.source_volume >= plan.smallest_volume
        assert tube.diluent_volume == 0 or tube.diluent_volume >= plan.smallest_volume


def test_rounded_volumes_change_no_dose_by_two_percent(plan):
    assert max(abs(tube.error) for tube in dilutions(plan)) < 0.02


def test_no_tube_gives_more_than_it_holds(plan):
    held = {tube.tube: tube.total_volume for tube in dilutions(plan)}
    work = manual_worklist(plan)
    for number in range(1, plan.experiments + 1):
        given = work[(work["Experiment"] == number)].groupby("Source")["Volume (uL)"].sum()
        for tube, volume in held.items():
            assert given.get(tube, 0.0) <= volume + 1e-9, tube


def test_a_tenth_more_than_the_wells_need_is_prepared(plan):
    work = manual_worklist(plan)
    plates = work[(work["Step"] == "3 plate") & (work["Experiment"] == 1)].groupby("Source")["Volume (uL)"].sum()
    held = {tube.tube: tube.total_volume for tube in dilutions(plan)}
    assert all(held[tube] >= 1.1 * volume for tube, volume in plates.items() if tube != "medium")


def test_what_is_pipetted_makes_the_doses_and_the_same_solvent_everywhere(plan):
    """Follow compound and solvent through the worklist, tube by tube."""
    compound, solvent, volume = defaultdict(float), defaultdict(float), defaultdict(float)
    volume["stock"], compound["stock"], solvent["stock"] = 1.0, plan.stock, 1.0
    volume[plan.options.solvent] = solvent[plan.options.solvent] = 1.0
    volume["medium"] = 1.0
    work = manual_worklist(plan)
    for row in work[work["Experiment"] == 1].to_dict("records"):
        source, moved = row["Source"], row["Volume (uL)"]
        target = row["Destination"] + (f" {row['Destination Well']}" if row["Destination Well"] else "")
        for amount in (compound, solvent):
            amount[target] += amount[source] / volume[source] * moved
        volume[target] += moved
    filled = sum(len(plate.layout.frame) for plate in plan.plates[: plan.plates_per_experiment])
    assert sum(" " in place for place in volume) == filled
    for plate in plan.plates[: plan.plates_per_experiment]:
        for well in plate.layout.frame.to_dict("records"):
            place = f"{plate.name} {well['well']}"
            assert volume[place] == plan.addition_volume
            dose = well["concentration_M"] if well["role"] in ("sample", "compound_blank") else 0.0
            assert compound[place] / plan.well_volume == pytest.approx(dose, rel=0.02)
            share = 0.0 if well["role"] == "untreated" else plan.solvent_fraction
            assert solvent[place] / plan.well_volume == pytest.approx(share, rel=0.02)


def test_the_table_says_its_units():
    table = dilution_table(made())
    assert [name for name in table if "(" in name] == [
        "Concentration (µM)",
        "Volume from (µL)",
        "Volume of diluent (µL)",
        "Total (µL)",
        "Dose in the well (µM)",
        "Error (%)",
    ]


def test_a_stock_too_strong_for_one_step_is_refused_with_a_way_out():
    with pytest.raises(RangeError, match=r"too strong to be diluted in one step .* Dilute it to 0.01 mM"):
        dilutions(made(highest="1 nM", lowest="1 pM", options=ViabilityOptions(stock="100 mM")))


# ── Acoustic dispenser ──────────────────────────────────────────────────────────────────────────────


def test_an_echo_gets_its_columns_with_the_unit_in_the_header():
    assert list(echo_worklist(made()))[:5] == [
        "Source Plate Name",
        "Source Well",
        "Destination Plate Name",
        "Destination Well",
        "Transfer Volume (nL)",
    ]


def test_an_echo_moves_whole_droplets(plan):
    volumes = echo_worklist(plan)["Transfer Volume (nL)"]
    assert (volumes % 2.5 == 0).all()
    assert (volumes > 0).all()


def test_backfill_gives_every_well_the_same_solvent(plan):
    work = echo_worklist(plan)
    totals = work.groupby(["Destination Plate Name", "Destination Well"])["Transfer Volume (nL)"].sum()
    assert totals.nunique() == 1
    expected = plan.solvent_fraction * plan.well_volume * 1000
    assert totals.iloc[0] == pytest.approx(expected, abs=1.25)
    plate = plan.plates[0]
    wells = plate.layout.frame[~plate.layout.frame["role"].isin(["untreated"])]["well"]
    assert set(totals[plate.name].index) == set(wells)


def test_an_echo_makes_the_doses_it_reports(plan):
    work = echo_worklist(plan)
    dosed = work[work["Content"] == plan.compound]
    achieved = dosed["Transfer Volume (nL)"] * dosed["Source concentration (uM)"] / (plan.well_volume * 1000)
    assert achieved.to_numpy() == pytest.approx(dosed["Achieved (uM)"].to_numpy(), rel=2e-3)
    assert (100 * (achieved / dosed["Dose (uM)"] - 1)).to_numpy() == pytest.approx(
        dosed["Error (%)"].to_numpy(), abs=0.2
    )
    assert dosed["Error (%)"].abs().max() < 13


def test_an_ordinary_echo_plan_rounds_no_dose_by_two_percent():
    assert echo_worklist(made())["Error (%)"].abs().max() < 2


def test_source_wells_hold_one_liquid_and_are_not_overdrawn(plan):
    work, source = echo_worklist(plan), echo_source(plan)
    assert (work.groupby(["Source Plate Name", "Source Well"])["Source concentration (uM)"].nunique() == 1).all()
    assert source["Volume taken (uL)"].max() <= 40
    taken = work.groupby("Source Plate Name")["Transfer Volume (nL)"].sum() / 1000
    assert source.groupby("Source Plate Name")["Volume taken (uL)"].sum().to_dict() == pytest.approx(taken.to_dict())


def test_sources_that_do_not_fit_one_plate_are_refused():
    lines, options = ["MCF-7", "PANC-1", "A", "B"], ViabilityOptions(cell_volume="1 mL", addition_volume="1 mL")
    with pytest.raises(RangeError, match="the sources of one experiment do not fit one plate of 384 wells"):
        echo_worklist(made(cell_lines=lines, times=[f"{k} h" for k in range(1, 12)], experiments=1, options=options))


@given(low=st.floats(-10, -6), decades=st.floats(0.5, 4), points=st.integers(2, 9))
@settings(deadline=None, max_examples=30)
def test_any_range_of_doses_can_be_dispensed(low, decades, points):
    highest = min(10 ** (low + decades), 1e-4)
    if math.log10(highest) - low < 0.3:
        return
    plan = made(lowest=f"{10**low} M", highest=f"{highest} M", points=points, experiments=1)
    work = echo_worklist(plan)
    assert work.groupby("Destination Well")["Transfer Volume (nL)"].sum().nunique() == 1
    assert work["Error (%)"].abs().max() < 13
