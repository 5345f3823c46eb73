"""Viability plates: background, colour, quality, responses."""

import numpy as np
import pytest
from scipy import stats

from halfmax.assays import viability
from halfmax.errors import StudyError
from halfmax.estimate import fit_all
from halfmax.table import AssayTable
from halfmax.wells import well_name

DOSES = np.geomspace(1e-7, 1e-4, 10)


def plate(*, seed=1, colour=0.0, noise=0.03, edge=0.0, row_step=0.0, drift=0.0, name="p", experiment="1"):
    """A plate of 96 wells: doses in columns 2–11 of rows B–D, compound without cells in E, controls in F and G."""
    rng = np.random.default_rng(seed)
    rows = []
    for row in range(8):
        for column in range(12):
            well = well_name(row, column)
            role, dose, level = "unused", np.nan, 0.1
            inside = 1 <= column <= 10
            if inside and row in (1, 2, 3):
                role, dose = "sample", DOSES[column - 1]
                level = 0.1 + 0.9 / (1 + (dose / 5e-6) ** 1.5) + colour * dose
            elif inside and row == 4:
                role, dose, level = "compound_blank", DOSES[column - 1], 0.1 + colour * DOSES[column - 1]
            elif row == 5 or (edge and column in (0, 11)):
                role, dose, level = "vehicle", 0.0, 1.0
            elif inside and row == 6:
                role, level = ("kill", 0.1) if column < 6 else ("blank", 0.1)
            level += row_step * row + drift * (row * 12 + column) / 95
            if edge and (row in (0, 7) or column in (0, 11)):
                level += edge
            spread = noise if role in ("sample", "vehicle") else 0.004
            rows.append((well, role, "CM572" if role in ("sample", "compound_blank") else "", dose,
                         level + rng.normal(0, spread)))  # fmt: skip
    wells, roles, compounds, doses, signals = zip(*rows, strict=True)
    return AssayTable.of(
        {
            "plate": [name] * 96,
            "well": wells,
            "role": roles,
            "compound": compounds,
            "concentration_M": doses,
            "signal": signals,
            "channel": ["570"] * 96,
            "experiment": [experiment] * 96,
            "cell_line": ["MCF-7"] * 96,
            "time_s": [172800.0] * 96,
        }
    )


def effects(table):
    return {effect.name: effect for effect in viability.quality(table)[0].effects}


def test_the_background_wavelength_is_subtracted_well_by_well_and_flags_travel():
    table = AssayTable.of(
        {
            "plate": ["p"] * 4,
            "well": ["A1", "A1", "A2", "A2"],
            "channel": ["570", "660"] * 2,
            "signal": [0.8, 0.1, 0.9, np.nan],
            "flag": ["", "", "", "saturated"],
        }
    )
    corrected = viability.correct(table, signal="570", background="660").frame
    assert corrected["signal"].tolist()[0] == pytest.approx(0.7)
    assert np.isnan(corrected["signal"].tolist()[1])
    assert corrected["flag"].tolist() == ["", "saturated"]
    assert set(corrected["channel"]) == {"570 − 660"}


def test_a_channel_that_is_not_there_names_the_nearest():
    with pytest.raises(StudyError, match=r'no reading has the channel "560"\. Did you mean "570"'):
        viability.correct(plate(), signal="560")
    two = AssayTable.of({"well": ["A1", "A1"], "channel": ["570", "660"], "signal": [1.0, 0.1]})
    with pytest.raises(StudyError, match=r"channels 570, 660: say in \[viability\] which is the signal"):
        viability.correct(two)


def test_percent_of_vehicle_is_100_at_the_vehicle_and_0_at_the_blank():
    table = plate(noise=0.0)
    percent = viability.percent_of_vehicle(table)
    assert percent[table.frame["role"] == "vehicle"].mean() == pytest.approx(100)
    assert percent[table.frame["role"] == "blank"].mean() == pytest.approx(0, abs=1e-9)


def test_vehicle_wells_that_name_no_line_serve_every_line():
    table = AssayTable.of(
        {
            "plate": ["p"] * 4,
            "well": ["A1", "A2", "A3", "A4"],
            "cell_line": ["", "MCF-7", "HMEC", ""],
            "role": ["vehicle", "sample", "sample", "blank"],
            "compound": ["", "x", "x", ""],
            "concentration_M": [0.0, 1e-6, 1e-6, 0.0],
            "signal": [1.1, 0.6, 0.35, 0.1],
        }
    )
    assert viability.percent_of_vehicle(table).tolist() == pytest.approx([100, 50, 25, 0])


def test_responses_hold_raw_signals_and_the_controls_of_their_plate():
    (response,) = viability.responses(plate())
    counts = {role: int((response.role == role).sum()) for role in set(response.role)}
    assert counts == {"sample": 30, "vehicle": 12, "kill": 5, "blank": 5}
    assert response.compound == "CM572"
    assert response.cell_line == "MCF-7"
    assert response.signal.max() < 1.2


@pytest.mark.parametrize("colour", [0.0, 3000.0])
def test_the_compounds_own_colour_is_subtracted_and_named_where_not_small(colour):
    (response,) = viability.responses(plate(colour=colour))
    estimate = fit_all([response], direction="falling")[0]
    assert estimate["ec50"].low < 5e-6 < estimate["ec50"].high
    named = [note for note in response.notes if "without cells gives up to" in note]
    assert len(named) == (1 if colour else 0)
    if colour:
        assert "33 %" in named[0] or "34 %" in named[0] or "32 %" in named[0]


def test_colour_that_is_not_proportional_is_subtracted_dose_by_dose():
    dose = np.repeat([1e-6, 1e-5, 1e-4], 4)
    excess = np.repeat([0.0, 0.30, 0.32], 4) + np.tile([0.001, -0.001, 0.002, -0.002], 3)
    own = viability._colour(dose, excess)
    assert own(np.array([1e-5]))[0] == pytest.approx(0.30)


def test_compound_without_cells_needs_blanks():
    table = plate()
    roles = table.frame["role"].replace("blank", "unused")
    with pytest.raises(StudyError, match="needs blank wells"):
        viability.responses(table.with_columns(role=roles))


def test_plates_of_one_experiment_stand_in_one_response_and_say_so():
    both = AssayTable.concat([plate(name="p"), plate(name="q", seed=2)])
    (response,) = viability.responses(both)
    assert (response.role == "sample").sum() == 60
    assert any("2 plates" in note for note in response.notes)
    assert len(viability.responses(AssayTable.concat([plate(), plate(name="q", experiment="2")]))) == 2


def test_exclusions_are_carried_with_their_reason():
    (response,) = viability.responses(plate(), exclusions={("1", "p", "C7"): "tip blocked"})
    assert response.excluded[response.well == "C7"].tolist() == ["tip blocked"]
    assert (response.excluded != "").sum() == 1


def test_no_sample_is_an_error():
    with pytest.raises(StudyError, match="no sample well"):
        viability.responses(plate().with_columns(role=["vehicle"] * 96, compound=[""] * 96, concentration_M=[0.0] * 96))


def test_z_prime_is_that_of_its_definition():
    (quality,) = viability.quality(plate())
    frame = plate().frame
    vehicle, kill = (frame.loc[frame["role"] == role, "signal"] for role in ("vehicle", "kill"))
    expected = 1 - 3 * (vehicle.std() + kill.std()) / (vehicle.mean() - kill.mean())
    assert quality.z_prime == pytest.approx(expected)
    assert quality.z_prime_low < quality.z_prime < quality.z_prime_high < 1
    assert quality.verdict == "good"
    assert quality.full_role == "kill"


def test_the_interval_of_z_prime_covers():
    """1000 plates with 8 wells a side; 95 % ± 2.5 %."""
    rng = np.random.default_rng(5)
    truth = 1 - 3 * (0.06 + 0.02) / 0.9
    hits = [
        low <= truth <= high
        for _, low, high in (viability.z_prime(rng.normal(1, 0.06, 8), rng.normal(0.1, 0.02, 8)) for _ in range(1000))
    ]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.025)


def test_a_plate_without_controls_says_so():
    table = plate()
    (quality,) = viability.quality(table.with_columns(role=table.frame["role"].replace(["kill", "blank"], "unused")))
    assert quality.verdict == "no controls"
    assert "fewer than two kill or blank wells: no Z′" in quality.notes


@pytest.mark.parametrize(
    ("name", "trouble"),
    [("edge", {"edge": 0.15}), ("rows", {"row_step": 0.05}), ("drift", {"drift": 0.3})],
)
def test_a_planted_effect_of_position_is_found_and_sized(name, trouble):
    found = effects(plate(**trouble))[name]
    assert found.p < 0.01
    assert found.percent == pytest.approx({"edge": 15, "rows": 10, "drift": 30}[name], rel=0.5)


def test_effects_of_position_are_found_by_chance_as_often_as_they_should_be():
    p_values = [effects(plate(seed=seed))["rows"].p for seed in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_an_effect_that_the_doses_hide_is_not_reported():
    assert "columns" not in effects(plate())


def test_a_strange_well_is_suggested_and_never_dropped():
    table = plate()
    signal = table.frame["signal"].where(table.frame["well"] != "C5", 0.2)
    spoiled = table.with_columns(signal=signal)
    (quality,) = viability.quality(spoiled)
    assert [suggestion.well for suggestion in quality.suggestions] == ["C5"]
    (response,) = viability.responses(spoiled)
    assert response.used.sum() == 52


def test_clean_plates_suggest_hardly_any_well():
    """False-discovery rate 1 % under the global null: at most a few of 100 plates suggest anything."""
    assert sum(bool(viability.quality(plate(seed=seed))[0].suggestions) for seed in range(100)) <= 5
