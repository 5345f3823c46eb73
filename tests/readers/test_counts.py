"""Counts and layouts of tubes: the forms that counters write (simulated here), what is flagged, what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax.errors import FileError, StudyError
from halfmax.readers.counts import read_counts
from halfmax.readers.tubes import read_tubes
from halfmax.table import AssayTable

TRICARB = """Assay Definition

Assay Type: CPM
Nuclide: 3H
Quench Indicator: tSIE/AEC
Count Time (min): 2.00

Cycle 1 Results
S#,Count Time,CPMA,A:2S%,DPM1,SIS,tSIE,MESSAGES
1,2.00,1042.5,4.4,2310,12.2,412,
2,2.00,98,14.3,217,12.9,405,
3,2.00,,,,,,Missing vial
4,2.00,998112,0.1,,,398,Saturated detector
5,0.00,0,0,0,,,
"""
PACKARD = """P#,PID,S#,TIME,CPMA,A:2S%,A:%REF,SIS,DPM1,ELTIME,FLAG,tSIE
1,3,1,2.00,1042.5,4.4,100,12.2,2310,2.5,,412
1,3,2,2.00,98,14.3,9.4,12.9,217,5.1,,405
"""
WIZARD = """Protocol ID,Measurement date & time,Rack,Det,Pos,Time,I-125 Counts,I-125 CPM,I-125 Error %,I-125 Info
65,2024-03-06 12:42:48,1,1,1,300.02,24614.1,4919.63,1.43,
65,2024-03-06 12:42:48,1,2,2,300.02,25874.7,5211.97,1.39,
65,2024-03-06 12:48:05,2,1,1,300.04,93.7,2.72,60.94,I
"""
HIDEX = """SIMULATED
Counting type: Low
Sample start
Samp.;1
Repe.;{first}
Vial;1
WName;A01
CPM;83.970
DPM;126
TDCR;0.664
Counts;140
Time;100
EndTime;30/11/2023 08:44:20
Spectrum:;Alpha;Beta
1;0;0
Sample start
Samp.;{second}
Repe.;1
Vial;2
WName;{well}
CPM;87.570
DPM;136
TDCR;0.644
Counts;146
Time;100
EndTime;30/11/2023 {clock}
Spectrum:;Alpha;Beta
"""
REPORT = """PROTOCOL 7  SIMULATED

  S#   Count Time   CPMA    A:2S%   SIS    tSIE
   1     1.00      1042.0    6.2   12.1    410
   2     1.00        97.5   20.3   12.4    402
   Missing vial 3.
"""


def written(folder: Path, text: str, *, name: str = "run.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def values(table: AssayTable, channel: str = "cpm") -> dict[str, float | str]:
    """Signal, or the flag of a missing one, by tube."""
    frame = table.where(channel=channel).frame
    names = [well or plate for plate, well in zip(frame["plate"], frame["well"], strict=True)]
    return {name: flag or signal for name, signal, flag in zip(names, frame["signal"], frame["flag"], strict=True)}


# Forms


def test_a_tri_carb_file_gives_counts_times_dpm_and_quench(tmp_path):
    table = read_counts(written(tmp_path, TRICARB))
    assert values(table) == {"1": 1042.5, "2": 98.0, "3": "missed", "4": "saturated", "5": "missed"}
    assert values(table, "dpm") == {"1": 2310.0, "2": 217.0}
    assert values(table, "minutes") == {"1": 2.0, "2": 2.0}
    assert values(table, "quench") == {"1": 412.0, "2": 405.0}
    assert values(table, "error_percent") == {"1": 4.4, "2": 14.3}
    assert table.sources[0].reader == "counts"


def test_the_serial_output_of_a_packard_counter_is_read(tmp_path):
    table = read_counts(written(tmp_path, PACKARD))
    assert values(table) == {"1": 1042.5, "2": 98.0}
    assert values(table, "minutes") == {"1": 2.0, "2": 2.0}


def test_a_gamma_counter_names_tubes_by_rack_and_position_and_tells_seconds_by_its_counts(tmp_path):
    table = read_counts(written(tmp_path, WIZARD))
    assert values(table) == {"1/1": 4919.63, "1/2": 5211.97, "2/1": 2.72}
    assert values(table, "minutes")["1/1"] == pytest.approx(300.02 / 60)


def test_blocks_of_a_hidex_counter_are_tubes(tmp_path):
    table = read_counts(written(tmp_path, HIDEX.format(first=1, second=2, well="A02", clock="08:51:04")))
    assert values(table) == {"A1": 83.97, "A2": 87.57}
    assert values(table, "dpm") == {"A1": 126.0, "A2": 136.0}
    assert values(table, "minutes")["A1"] == pytest.approx(100 / 60)


def test_a_tube_counted_again_has_the_time_since_the_first_count(tmp_path):
    table = read_counts(written(tmp_path, HIDEX.format(first=1, second=1, well="A01", clock="08:51:04")))
    assert table.where(channel="cpm").frame["time_s"].tolist() == [0.0, 404.0]


def test_a_report_in_columns_of_blanks_is_read(tmp_path):
    assert values(read_counts(written(tmp_path, REPORT, name="run.txt"))) == {"1": 1042.0, "2": 97.5, "3": "missed"}


def test_a_workbook_is_read(tmp_path):
    book = openpyxl.Workbook()
    for row in (["tube", "cpm", "count time (min)"], [1, 1042.5, 2], [2, "OVRFLW", 2]):
        book.active.append(row)
    book.save(tmp_path / "run.xlsx")
    assert values(read_counts(tmp_path / "run.xlsx")) == {"1": 1042.5, "2": "saturated"}


def test_a_drawn_plate_is_counts_per_minute(tmp_path):
    grid = "cpm," + ",".join(str(n + 1) for n in range(12)) + "\n"
    grid += "".join(f"{row}," + ",".join(str(100 + n) for n in range(12)) + "\n" for row in "ABCDEFGH")
    table = read_counts(written(tmp_path, grid))
    assert table.channels == ["cpm"]
    assert values(table)["B12"] == 111.0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(("sign", "comma"), [("\t", "."), (";", ","), (",", ".")])
def test_encoding_separator_and_decimal_comma_change_nothing(tmp_path, encoding, sign, comma):
    rows = [["Röhrchen am 3.4.", "", ""], ["tube", "cpm", "time (min)"], ["1", f"1042{comma}5", f"2{comma}0"]]
    text = "\r\n".join(sign.join(row) for row in rows) + "\r\n"
    table = read_counts(written(tmp_path, text, encoding=encoding))
    assert values(table) == {"1": 1042.5}
    assert values(table, "minutes") == {"1": 2.0}


def test_counts_without_cpm_are_divided_by_their_time(tmp_path):
    assert values(read_counts(written(tmp_path, "tube,counts,time (min)\n1,600,5\n2,0,0\n"))) == {
        "1": 120.0,
        "2": "missed",
    }


def test_wells_of_several_plates_keep_their_plates(tmp_path):
    table = read_counts(written(tmp_path, "plate,well,cpm\nP1,A01,10\nP2,A01,20\n"))
    assert table.frame[["plate", "well", "signal"]].to_numpy().tolist() == [["P1", "A1", 10.0], ["P2", "A1", 20.0]]


def test_means_and_feet_are_no_tubes_and_a_header_may_come_again(tmp_path):
    text = "tube,cpm\n1,10\n2,20\nMean,15\n\nPage 2\ntube,cpm\n3,30\nEnd of report\n"
    assert values(read_counts(written(tmp_path, text))) == {"1": 10.0, "2": 20.0, "3": 30.0}


def test_of_two_nuclides_the_named_one_is_read(tmp_path):
    text = "Pos,H-3 CPM,H-3 DPM,I-125 CPM,I-125 DPM\n1,10,30,20,25\n"
    table = read_counts(written(tmp_path, text), column="I-125 CPM")
    assert values(table) == {"1": 20.0}
    assert values(table, "dpm") == {"1": 25.0}
    with pytest.raises(FileError, match=r"line 1: expected one column of counts .* found H-3 CPM, I-125 CPM\. Say wh"):
        read_counts(written(tmp_path, text))


@given(st.lists(st.floats(0, 1e7).map(lambda value: round(value, 2)), min_size=1, max_size=30))
def test_what_is_written_is_read(tmp_path_factory, rates):
    text = "tube,cpm\n" + "".join(f"{n},{rate}\n" for n, rate in enumerate(rates, 1))
    table = read_counts(written(tmp_path_factory.mktemp("counts"), text))
    assert list(values(table).values()) == rates


# Cells


@pytest.mark.parametrize(
    ("cell", "flag"), [("", "empty"), ("OVRFLW", "saturated"), ("not counted", "missed"), ("missing", "missed")]
)
def test_a_bad_cell_is_a_flag_and_never_a_number(tmp_path, cell, flag):
    table = read_counts(written(tmp_path, f"tube,cpm,dpm\n1,10,20\n2,{cell},999\n"))
    frame = table.frame[table.frame["plate"] == "2"]
    assert frame["flag"].tolist() == [flag]
    assert all(math.isnan(value) for value in frame["signal"])


REFUSED = {
    "a word for a number": (
        "tube,cpm\n1,ten\n",
        r"run\.csv, line 2, tube 1: cpm must be a number, or a word such as OVRFLW .*, found \"ten\"\. Correct the ce",
    ),
    "an unclear comma": (
        "tube;cpm\n1;1,234\n",
        r"line 2, tube 1: \"1,234\" can be read in two ways .* Export it with decimal points",
    ),
    "a tube twice": (
        "tube,cpm\n1,10\n1,12\n",
        r"line 3, tube 1 stands in this file twice \(also in row 2\), and no elapsed time .* Keep one, or add a column",
    ),
    "a well twice": ("well,cpm\nA1,10\nA01,12\n", r"line 3, well A1 of plate run stands in this file twice"),
    "times that fall": (
        "tube,cpm,elapsed time\n1,10,4.0\n1,12,2.0\n",
        r"line 3, tube 1: the time must rise from one count of a tube to the next, found \"2\.0\" after \"4\.0\"",
    ),
    "a time that is none": (
        "tube,cpm,elapsed time\n1,10,4.0\n1,12,later\n",
        r"line 3, tube 1: expected the time of the count \(minutes, .*\), found \"later\"\. Correct the cell",
    ),
    "a counting time without a unit": (
        "tube,cpm,time\n1,10,4.0\n",
        r"line 1: the column \"time\" of counting times has no unit, .* Name it \"Count time \(min\)\"",
    ),
    "no counts at all": (
        "tube,colour\n1,red\n",
        r"run\.csv: no counts found \(it begins with \"tube\"\)\. Expected a table with a column of tubes .* rename",
    ),
    "a negative counting time": (
        "tube,cpm,time (min)\n1,10,-2\n",
        r"line 2, tube 1: the counting time must be ≥ 0, found -2\. Correct the cell",
    ),
    "a line cut off": (
        "tube,cpm,dpm\n1,10,20\n2,1",
        r"line 3: the file ends inside this line\. Expected 3 cells, found 2\. Export it again",
    ),
    "a hidex block without counts": (
        "Sample start;\nSamp.;1\nSpectrum:;a\n",
        r"line 1: a Hidex block without a vial or without CPM; found Samp\.\. Export it again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_each_mistake_in_counts_is_refused_with_its_place_and_a_way_out(tmp_path, name):
    text, message = REFUSED[name]
    with pytest.raises(FileError, match=message):
        read_counts(written(tmp_path, text))


# Layouts of tubes


def test_a_layout_may_name_several_tubes_in_a_line(tmp_path):
    frame = read_tubes(written(tmp_path, 'tube,role\n1-3,total\n"4,7",nonspecific\n2/1-2/2,x\n2/3-4,added\n'))
    assert frame["tube"].tolist() == ["1", "2", "3", "4", "7", "2/1-2/2", "2/3", "2/4"]
    assert frame.index[0] == "run.csv, line 2, tube 1"


def test_a_layout_in_toml_shares_what_holds_for_all(tmp_path):
    text = "[expt]\nradioligand = '5 nM'\ntime = '120 min'\n[tube.'1-2']\nrole = 'total'\n"
    text += "[tube.3]\nrole = 'NSB'\ntime = '60 min'\n"
    frame = read_tubes(written(tmp_path, text, name="tubes.toml"))
    assert frame.to_numpy().tolist() == [
        ["1", "5 nM", "120 min", "total"],
        ["2", "5 nM", "120 min", "total"],
        ["3", "5 nM", "60 min", "NSB"],
    ]
    assert frame.index[2] == "tubes.toml, [tube.'3'], tube 3"


def test_a_layout_in_a_workbook_and_with_decimal_commas_is_the_same(tmp_path):
    book = openpyxl.Workbook()
    for row in (["tube", "role", "radioligand_nM"], [1, "total", 0.5]):
        book.active.append(row)
    book.save(tmp_path / "tubes.xlsx")
    workbook = read_tubes(tmp_path / "tubes.xlsx")
    text = read_tubes(written(tmp_path, "tube;role;radioligand_nM\n1;total;0,5\n"))
    assert workbook.to_numpy().tolist() == text.to_numpy().tolist() == [["1", "total", "0.5"]]


BAD_LAYOUTS = {
    "no column of tubes": ("role\ntotal\n", r"line 1: expected a column \"tube\" \(or \"well\"\) .* Rename the column"),
    "two columns alike": ("tube,role,Role\n1,a,b\n", r"line 1: two columns are called \"role\"\. .* Keep one"),
    "too many cells": ("tube,role\n1,total,5,6\n", r"line 2: expected 2 cells as in the header, found 4\. Put quotes"),
    "a tube without a name": ("tube,role\n,total\n", r"line 2: expected the name of a tube, found an empty cell"),
    "a range that falls": ("tube,role\n9-3,total\n", r"line 2: expected a range of tubes such as 1-3, found \"9-3\""),
    "an unclear comma": ("tube;l_nM\n1;1,234\n", r"line 2: \"1,234\" can be read in two ways .* decimal point"),
    "no tubes": ("tube,role\n", r"the layout describes no tube\. Expected a line a tube below the header"),
    "bad toml": ("[expt]\nx =\n", r"not valid TOML: .*\. Correct that line"),
    "an unknown section": ("[tube.1]\nrole='total'\n[tubes]\n", r"expected the sections .*, found \"tubes\"\. Did you"),
    "a section that is none": ("[tube]\nrole='total'\n", r"\[tube\.'role'\]: expected a section, found 'total'"),
    "two sayings": (
        "[tube.'1-2']\nrole='total'\n[tube.2]\nrole='added'\n",
        r"\[tube\.'2'\]: tube 2 has role added, but .*\[tube\.'1-2'\] says total\. Keep one",
    ),
    "a list": ("[tube.1]\nrole=['total']\n", r"role must be text or a number, found \['total'\]\. Write one value"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LAYOUTS)
def test_each_mistake_in_a_layout_of_tubes_is_refused_with_its_place(tmp_path, name):
    text, message = BAD_LAYOUTS[name]
    with pytest.raises((FileError, StudyError), match=message):
        read_tubes(written(tmp_path, text))
