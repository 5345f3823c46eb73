"""Real exports, from instruments of other laboratories: shapes, and wells that were looked up in the files by eye.

The files are no part of the repository; `HALFMAX_DATA` says where they are.
"""

from __future__ import annotations

import math

import pytest

from halfmax.errors import FileError
from halfmax.readers import read

# file: (reader, plates, channels, wells a plate, times, flags)
FILES = {
    "plates/bmg_mars_abs_384.csv": ("bmg mars", ["472-0016"], ["484"], 384, 0, {"empty": 285}),
    "plates/bmg_mars_fi_96.csv": ("bmg mars", ["black 384w small volume"], ["580/620"], 384, 0, {"empty": 82}),
    "plates/bmg_mars_labtech.csv": ("bmg mars", ["xxxxxxxxxxxxx"], ["450"], 96, 0, {}),
    "plates/envision_abs_A450.csv": ("envision", ["Plate 1", "Plate 2"], ["450"], 96, 0, {}),
    "plates/envision_lum_01.csv": (
        "envision",
        ["8/22/2023 11:01:43 AM", "8/22/2023 12:16:57 PM"],
        ["0_1 US LUM 384(1)"],
        96,
        0,
        {},
    ),
    "plates/gen5_abs450_96well_OVRFLW.txt": ("gen5", ["Plate 1"], ["450"], 96, 0, {"saturated": 8, "missed": 5}),
    "plates/gen5_abs_endpoint_pathlength.txt": ("gen5", ["Plate 1"], ["977", "900", "260", "280", "230"], 96, 0, {}),
    "plates/gen5_abs_kinetic_growth.txt": ("gen5", ["Plate 2"], ["600"], 24, 20, {}),
    "plates/gen5_abs_stdcurve.txt": ("gen5", ["Plate 1"], ["630"], 96, 0, {}),
    "plates/kaleido_abs_endpoint.csv": ("kaleido", ["V-2020-10-26 16:16:17"], ["450"], 96, 0, {}),
    "plates/sample_types_matrix.txt": ("gen5", ["Plate 1"], ["600"], 96, 3, {}),
    "plates/single_measurement_matrix.txt": ("gen5", ["Plate 1"], ["600", "700", "Fluo:485,528"], 96, 0, {}),
    "plates/skanit_luciferase.xlsx": ("skanit", ["Plate 1"], ["Luminescence 1"], 96, 0, {}),
    "plates/skanit_multiplate.xlsx": (
        "skanit",
        [f"Plate {n}" for n in range(1, 6)],
        ["214", "280"],
        96,
        0,
        {"empty": 692},
    ),
    "plates/softmax_abs_endpoint_01.txt": ("softmax", ["Plate01", "Plate02"], ["450"], 96, 0, {}),
    "plates/softmax_abs_endpoint_plates.txt": ("softmax", ["Plate1"], ["426", "426 #2", "426 #3"], 96, 0, {"error": 1}),
    "plates/softmax_abs_partial_03.txt": ("softmax", ["Quantitation"], ["260", "280", "230"], 24, 0, {}),
    "plates/softmax_fl_kinetic_plates.txt": ("softmax", ["Plate1"], ["485/525", "485/525 #2"], 6, 4, {}),
    "plates/softmax_spectramax340_kinetic.txt": ("softmax", ["Plate#1"], ["405"], 96, 3, {"empty": 72}),
    "plates/tecan_magellan_od.xlsx": ("magellan", ["96WEL008"], ["595"], 96, 0, {}),
    "viability/ezmtt/mtt.txt": ("softmax", ["Plate#1"], ["562", "660"], 96, 0, {}),
    "viability/ic50_nsclc/A549_1.txt": ("grid", ["A549_1"], [""], 384, 0, {}),
    "viability/ic50_nsclc/A549_2.txt": ("grid", ["A549_2"], [""], 384, 0, {}),
    "viability/ic50_nsclc/H322_1.txt": ("grid", ["H322_1"], [""], 384, 0, {}),
    "viability/ic50_nsclc/H322_2.txt": ("grid", ["H322_2"], [""], 384, 0, {}),
}
REFUSED = {
    "plates/biomek_transfer.csv": r"biomek_transfer\.csv, line 9: a liquid-handling transfer list, not a reading",
    "plates/echo_transfer_report.csv": r"echo_transfer_report\.csv, line 11: a liquid-handling transfer list",
    "viability/cellpyability/example_gda_counts.csv": "no plate in a form that halfmax knows",
    "viability/ic50_nsclc/design_mpi384_dilution.txt": "no plate in a form that halfmax knows",
    "viability/ic50_nsclc/design_default384_control.txt": "no plate in a form that halfmax knows",
    "dose_response/kinact/epicfit_sample.csv": "no plate in a form that halfmax knows",
    "blots/B2AR_16w.xls": r'no plate in a form that halfmax knows \(it begins with "ZL"\)',
    "blots/gelquant_gel-example.png": "is a PNG picture",
}
# file: {(plate, channel, well, time): value or flag}, as read off the file on the screen
WELLS = {
    "plates/bmg_mars_abs_384.csv": {
        ("472-0016", "484", "C2", None): 2.496,
        ("472-0016", "484", "A8", None): "empty",
        ("472-0016", "484", "O18", None): 0.03,
        ("472-0016", "484", "P24", None): 0.032,
    },
    "plates/bmg_mars_fi_96.csv": {
        ("black 384w small volume", "580/620", "A20", None): 24361.0,
        ("black 384w small volume", "580/620", "O6", None): 107.0,
        ("black 384w small volume", "580/620", "O11", None): "empty",
        ("black 384w small volume", "580/620", "P12", None): 62.0,
    },
    "plates/bmg_mars_labtech.csv": {
        ("xxxxxxxxxxxxx", "450", "A1", None): 0.073,
        ("xxxxxxxxxxxxx", "450", "C9", None): 0.71,
        ("xxxxxxxxxxxxx", "450", "H12", None): 0.207,
    },
    "plates/envision_abs_A450.csv": {
        ("Plate 1", "450", "A4", None): 1.85,
        ("Plate 2", "450", "C6", None): 2.1,
        ("Plate 2", "450", "H12", None): 0.13,
    },
    "plates/envision_lum_01.csv": {
        ("8/22/2023 11:01:43 AM", "0_1 US LUM 384(1)", "I8", None): 120.0,
        ("8/22/2023 11:01:43 AM", "0_1 US LUM 384(1)", "A1", None): 0.0,
        ("8/22/2023 12:16:57 PM", "0_1 US LUM 384(1)", "E1", None): 80.0,
    },
    "plates/gen5_abs450_96well_OVRFLW.txt": {
        ("Plate 1", "450", "A8", None): "saturated",
        ("Plate 1", "450", "H1", None): "saturated",
        ("Plate 1", "450", "D12", None): "missed",
        ("Plate 1", "450", "H8", None): "missed",
        ("Plate 1", "450", "H12", None): 2.5,
    },
    "plates/gen5_abs_endpoint_pathlength.txt": {
        ("Plate 1", "260", "A1", None): 0.626,
        ("Plate 1", "977", "A1", None): 0.056,
        ("Plate 1", "900", "A1", None): 0.035,
        ("Plate 1", "230", "H12", None): 0.083,
    },
    "plates/gen5_abs_kinetic_growth.txt": {
        ("Plate 2", "600", "A1", 22.0): -0.066,
        ("Plate 2", "600", "D1", 4582.0): -0.051,
        ("Plate 2", "600", "D6", 4582.0): -0.056,
    },
    "plates/gen5_abs_stdcurve.txt": {
        ("Plate 1", "630", "A4", None): 1.998,
        ("Plate 1", "630", "E7", None): 2.744,
        ("Plate 1", "630", "H1", None): 0.001,
    },
    "plates/kaleido_abs_endpoint.csv": {
        ("V-2020-10-26 16:16:17", "450", "A1", None): 2.2075694995298862,
        ("V-2020-10-26 16:16:17", "450", "E2", None): 0.074918695438448979,
    },
    "plates/sample_types_matrix.txt": {
        ("Plate 1", "600", "B5", 2.0): 0.232,
        ("Plate 1", "600", "C6", 62.0): 0.278,
        ("Plate 1", "600", "A1", 122.0): 0.492,
    },
    "plates/single_measurement_matrix.txt": {
        ("Plate 1", "600", "H11", None): 0.106,
        ("Plate 1", "700", "H11", None): 0.101,
        ("Plate 1", "Fluo:485,528", "D3", None): 185.0,
    },
    "plates/skanit_luciferase.xlsx": {
        ("Plate 1", "Luminescence 1", "B10", None): 674100.0,
        ("Plate 1", "Luminescence 1", "H1", None): 48.28,
    },
    "plates/skanit_multiplate.xlsx": {
        ("Plate 1", "214", "A3", None): 0.1,
        ("Plate 1", "280", "C7", None): 6.0,
        ("Plate 5", "280", "F2", None): 1.0,
        ("Plate 5", "214", "G2", None): "empty",
    },
    "plates/softmax_abs_endpoint_01.txt": {
        ("Plate01", "450", "H1", None): 7.66666666666667e-05,
        ("Plate01", "450", "H2", None): -0.000243333333333333,
        ("Plate02", "450", "D10", None): 0.351934519433333,
    },
    "plates/softmax_abs_endpoint_plates.txt": {
        ("Plate1", "426", "A2", None): 0.02,
        ("Plate1", "426", "B1", None): "error",
        ("Plate1", "426", "C1", None): 0.0,
        ("Plate1", "426 #2", "A2", None): 0.04,
        ("Plate1", "426 #3", "H12", None): 2.88,
    },
    "plates/softmax_abs_partial_03.txt": {
        ("Quantitation", "260", "D4", None): 0.000733333333333336,
        ("Quantitation", "260", "E6", None): 0.160933333333333,
        ("Quantitation", "280", "D5", None): 0.0605333333333333,
        ("Quantitation", "230", "D4", None): 0.000933333333333342,
    },
    "plates/softmax_fl_kinetic_plates.txt": {
        ("Plate1", "485/525", "A1", 0.0): 0.0,
        ("Plate1", "485/525", "A1", 90.0): 39.50988,
        ("Plate1", "485/525 #2", "B3", 270.0): 15.83771,
    },
    "plates/softmax_spectramax340_kinetic.txt": {
        ("Plate#1", "405", "A1", 0.0): "empty",
        ("Plate#1", "405", "H10", 0.0): 0.1067,
        ("Plate#1", "405", "A2", 30.0): 0.0565,
        ("Plate#1", "405", "A2", 60.0): 0.0557,
    },
    "plates/tecan_magellan_od.xlsx": {
        ("96WEL008", "595", "B1", None): 0.2118,
        ("96WEL008", "595", "A8", None): 0.1084,
        ("96WEL008", "595", "H12", None): 0.0461,
    },
    "viability/ezmtt/mtt.txt": {
        ("Plate#1", "562", "A6", None): 0.0471,
        ("Plate#1", "562", "H12", None): 0.7763,
        ("Plate#1", "660", "A1", None): 0.0688,
        ("Plate#1", "660", "D12", None): 0.0484,
    },
    "viability/ic50_nsclc/A549_1.txt": {
        ("A549_1", "", "A1", None): 770190.0,
        ("A549_1", "", "B14", None): 418940.0,
        ("A549_1", "", "P24", None): 837890.0,
    },
}


@pytest.mark.parametrize("file", FILES)
def test_plates_channels_wells_and_times(data, file):
    reader, plates, channels, wells, times, flags = FILES[file]
    table = read(data / file)
    frame = table.frame
    assert (table.sources[0].reader, table.plates, table.channels) == (reader, plates, channels)
    assert frame.groupby("plate")["well"].nunique().tolist() == [wells] * len(plates)
    assert frame["time_s"].nunique() == times
    assert len(frame) == len(plates) * len(channels) * wells * max(times, 1)
    assert frame.loc[frame["flag"] != "", "flag"].value_counts().to_dict() == flags
    assert frame["signal"].isna().sum() == sum(flags.values())


@pytest.mark.parametrize("file", WELLS)
def test_wells_read_by_eye_agree(data, file):
    frame = read(data / file).frame
    for (plate, channel, well, time_s), expected in WELLS[file].items():
        rows = frame[(frame["plate"] == plate) & (frame["channel"] == channel) & (frame["well"] == well)]
        if time_s is not None:
            rows = rows[rows["time_s"] == time_s]
        row = rows.iloc[0]
        assert len(rows) == 1
        if isinstance(expected, str):
            assert row["flag"] == expected
            assert math.isnan(row["signal"])
        else:
            assert (row["signal"], row["flag"]) == (expected, "")


@pytest.mark.parametrize("file", REFUSED)
def test_what_is_no_plate_is_refused_with_a_reason(data, file):
    with pytest.raises(FileError, match=REFUSED[file]):
        read(data / file)


def test_every_file_of_the_folder_is_named_here(data):
    files = {f"plates/{path.name}" for path in (data / "plates").iterdir()}
    assert files <= set(FILES) | set(REFUSED)


def test_saturated_and_missed_wells_are_never_zero(data):
    frame = read(data / "plates/gen5_abs450_96well_OVRFLW.txt").frame
    assert (frame["flag"] != "").sum() == 13
    assert not (frame["signal"] == 0).any()


def test_mtt_means_of_the_first_quadrant(data):
    """Corrected means that were published with the file: 562 less 660 nm, less the blank of the last column."""
    frame = read(data / "viability/ezmtt/mtt.txt").frame
    wide = frame.pivot_table(index="well", columns="channel", values="signal")
    corrected = wide["562"] - wide["660"]
    means = [corrected[[f"{row}{column}" for row in "ABCD"]].mean() for column in range(1, 7)]
    assert [round(mean, 4) for mean in means] == [0.4244, 0.4087, 0.4161, 0.3550, 0.4417, 0.0050]


@pytest.mark.parametrize("file", [file for file in FILES if not file.endswith("xlsx")])
def test_a_real_file_cut_in_two_is_never_read_as_other_numbers(data, file, tmp_path):
    content = (data / file).read_bytes()
    columns = ["plate", "well", "channel", "time_s", "signal", "flag"]
    whole = {tuple(map(str, row)) for row in read(data / file).frame[columns].itertuples(index=False)}
    path = tmp_path / file.rpartition("/")[2]
    for part in range(1, 24):
        path.write_bytes(content[: len(content) * part // 24 // 2 * 2])
        try:
            frame = read(path).frame
        except FileError:
            continue
        found = {tuple(map(str, row)) for row in frame[columns].itertuples(index=False)}
        assert found <= whole


@pytest.mark.parametrize("place", [44, 48, 60, 2000, 20000])
def test_a_damaged_old_workbook_is_refused_and_ends_nothing(data, tmp_path, place):
    content = bytearray((data / "blots/B2AR_16w.xls").read_bytes())
    content[place : place + 400] = b"\xf7" * 400
    (tmp_path / "old.xls").write_bytes(content)
    with pytest.raises(FileError, match=r"old\.xls: (cannot be read as a workbook|no plate in a form)"):
        read(tmp_path / "old.xls")
