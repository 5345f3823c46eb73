"""Tables of traces and of stimuli: real files, every form, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from halfmax.errors import FileError, RangeError, StudyError
from halfmax.movie import Stimulus, check_stimuli
from halfmax.readers.stimuli import read_stimuli
from halfmax.readers.traces import read_traces
from halfmax.virtual import small_design
from halfmax.virtual.movie import write_stimuli


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Real files


def test_real_multi_measure_looks_like_two_channels(data: Path) -> None:
    path = data / "calcium" / "imagej_multimeasure" / "TSeries-03282024-1506-2677-Results.csv"
    table = read_traces(path)
    assert table.signal.shape == (1, 10, 1000)
    assert np.isnan(table.time_s).all()
    assert any("interleaved" in note for note in table.notes)
    divided = read_traces(path, channels=("green", "red"), interval=0.5)
    assert divided.signal.shape == (2, 10, 500)
    assert divided.signal[:, 0, 0].tolist() == [810.79077, 289.10861]
    assert divided.time_s[-1] == 249.5
    assert divided.notes == ()
    assert divided.sources[0].file == path.name


def test_real_workbooks_have_a_column_a_cell(data: Path) -> None:
    folder = data / "calcium" / "percell_xlsx"
    numbered = read_traces(folder / "Vehicle.xlsx", interval=0.1)
    assert numbered.signal.shape == (1, 150, 800)
    assert numbered.cells[0] == "0001-0274-0460"
    assert numbered.signal[0, 0, 0] == -0.38778
    plain = read_traces(folder / "Waveform_Analysis_ExampleInput.xlsx")
    assert plain.signal.shape == (1, 15, 200)
    assert plain.signal[0, 1, 1] == -0.10656


def test_real_table_of_regions_has_channels_and_frames(data: Path) -> None:
    path = data / "calcium" / "fret_two_channel" / "31.05_H3_Well5.csv"
    table = read_traces(path)
    frame = pd.read_csv(path)
    assert table.signal.shape == (6, 149, 6)
    third = frame[(frame.Ch == 2) & (frame.Frame == 3)]
    np.testing.assert_array_equal(table.signal[1, :, 2], third.Mean)


# Forms


def test_wide_table_has_times_in_the_unit_of_its_title(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "# SIMULATED\nTime (min),c1,c2\n1,5,7\n1.5,,8\n2,6,9\n")
    table = read_traces(path)
    np.testing.assert_allclose(table.time_s, [0.0, 30.0, 60.0])
    assert np.isnan(table.signal[0, 0, 1])
    assert table.simulated


def test_time_unit_may_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,c1\n0,5\n100,7\n")
    with pytest.raises(
        FileError, match=r'the column "time" has times without a unit. Write the unit .* or give time_unit'
    ):
        read_traces(path)
    assert read_traces(path, time_unit="ms").time_s.tolist() == [0.0, 0.1]


def test_decimal_commas_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time (s);c1\n0,5;1,25\n1,5;2,75\n")
    assert read_traces(path).signal[0, 0].tolist() == [1.25, 2.75]


def test_multi_measure_takes_the_means_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", " ,Area1,Mean1,Area2,Mean2\n1,50,5,60,7\n2,50,6,60,8\n")
    table = read_traces(path, interval=1.0)
    assert table.cells == ("1", "2")
    assert table.signal[0].tolist() == [[5.0, 6.0], [7.0, 8.0]]


def test_long_table_is_put_in_order(tmp_path: Path) -> None:
    rows = "".join(
        f"{t},{c},{w},{100 * t + 10 * k + n}\n"
        for t in (1, 0)
        for k, c in enumerate("ab")
        for n, w in enumerate((340, 380))
    )
    table = read_traces(write(tmp_path / "a.csv", "time_s,cell,channel,signal\n" + rows))
    assert (table.channels, table.cells) == (("340", "380"), ("a", "b"))
    assert table.signal[1, 1].tolist() == [11.0, 111.0]


def test_region_names_of_fiji_are_used_where_they_differ(tmp_path: Path) -> None:
    lines = "".join(
        f"{2 * s + r},dish.tif:{name}:{s},{10 * s + r},{s}\n" for s in (1, 2) for r, name in enumerate(("soma", "bleb"))
    )
    table = read_traces(write(tmp_path / "a.csv", " ,Label,Mean,Slice\n" + lines))
    assert table.cells == ("soma", "bleb")
    assert table.signal[0].tolist() == [[10.0, 20.0], [11.0, 21.0]]


# What is refused


@pytest.mark.parametrize(
    ("text", "asked", "message"),
    [
        ("time (s),c1\n0,5\n0,6\n", {}, "times that rise from frame to frame, found 0 s after 0 s"),
        ("time (s),c1\n0,5\n1,abc\n", {}, r'line 3, column "c1": expected a number with a decimal point, found "abc"'),
        ("time (s),c1,c1\n0,5,6\n1,6,7\n", {}, 'two cells are called "c1"'),
        (",c1\n0.0,5\n0.5,6\n", {}, "may be a time in any unit"),
        ("1,5\n2,6\n", {}, "expected a header that names the cells, found numbers"),
        ("c1,c2\nx,y\n", {}, "found no line of numbers"),
        (" ,Mean1\n1,5\n2,6\n3,7\n", {"channels": ("a", "b")}, "each of 2 channels, found 3 lines. A page was dropped"),
        ("time (s),cell,signal\n0,a,5\n0,a,6\n", {}, "cell a has two signals at 0 s"),
        ("time (s),cell,signal\n0,a,5\n1,a,6\n0,b,5\n", {}, "cell b: expected the 2 times of the first cell"),
        (" ,Label,Mean,Ch,Frame\n1,x,5,1,1\n2,x,6,1,1\n3,x,5,1,2\n", {}, "frame 2: expected 2 regions .* found 1"),
        (" ,Label,Mean\n1,x,5\n", {}, 'expected a column "Frame" or "Slice"'),
    ],
)
def test_tables_that_mean_nothing_are_refused(
    tmp_path: Path, text: str, asked: dict[str, object], message: str
) -> None:
    with pytest.raises(FileError, match=message):
        read_traces(write(tmp_path / "a.csv", text), **asked)  # type: ignore[arg-type]


def test_interval_beside_own_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=r"has times of its own. Leave out interval=2"):
        read_traces(write(tmp_path / "a.csv", "time (s),c1\n0,5\n1,6\n"), interval=2.0)


def test_workbook_of_several_sheets_needs_a_choice(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "a.xlsx") as writer:
        for name, first in (("dish 1", 1.0), ("dish 2", 5.0)):
            pd.DataFrame({"time (s)": [0, 1], "c1": [first, 2.5]}).to_excel(writer, sheet_name=name, index=False)
    with pytest.raises(FileError, match=r"expected one sheet that holds a table, found 2 \(dish 1, dish 2\)"):
        read_traces(tmp_path / "a.xlsx")
    assert read_traces(tmp_path / "a.xlsx", sheet="dish 2").signal[0, 0, 0] == 5.0
    with pytest.raises(FileError, match=r'there is no sheet "dish 3"'):
        read_traces(tmp_path / "a.xlsx", sheet="dish 3")


# Stimuli


def test_virtual_stimuli_come_back(tmp_path: Path) -> None:
    design = small_design()
    write_stimuli(tmp_path / "a.csv", design)
    stimuli = read_stimuli(tmp_path / "a.csv")
    assert [(s.name, s.role, s.start_s, s.end_s) for s in stimuli] == [
        (a.name, a.role, a.start_s, a.end_s) for a in sorted(design.additions, key=lambda a: a.start_s)
    ]
    for stimulus, addition in zip(stimuli, sorted(design.additions, key=lambda a: a.start_s), strict=True):
        assert stimulus.concentration == pytest.approx(addition.concentration, nan_ok=True)


def test_units_and_dead_time_are_applied(tmp_path: Path) -> None:
    text = "name;role;concentration_nM;start_min;end;dead time\nATP;Reference;1,5;2;200;5 s\nHBSS;wash;;1;90 s;\n"
    hbss, atp = read_stimuli(write(tmp_path / "a.csv", text))
    assert (hbss.start_s, hbss.end_s, hbss.role) == (60.0, 90.0, "wash")
    assert math.isnan(hbss.concentration)
    assert (atp.start_s, atp.end_s, atp.role) == (125.0, 205.0, "reference")
    assert atp.concentration == pytest.approx(1.5e-9)


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ("CM572,drug,1 µM,10,", FileError, 'line 2, stimulus CM572: expected a role of sample, .* found "drug"'),
        ("CM572,sampel,1 µM,10,", FileError, 'Did you mean "sample"'),
        ("CM572,,10,10,", FileError, 'concentration "10" has no unit'),
        ("CM572,,1 µM,-5,", FileError, 'at or after the first frame, found "-5", before it'),
        ("CM572,,1 µM,soon,", FileError, 'start must be a number with a unit, found "soon"'),
        ("CM572,,1 µM,50,40", FileError, "expected an end after its start at 50 s, found 40 s"),
        (",,1 µM,50,", FileError, "expected the name of a stimulus, found an empty cell"),
        (
            "CM572,,1 µM,50,\nCM572,,10 µM,90,",
            StudyError,
            "one dose at a time, found a dose from 90 s while that from 50 s",
        ),
    ],
)
def test_stimuli_that_mean_nothing_are_refused(tmp_path: Path, lines: str, error: type, message: str) -> None:
    path = write(tmp_path / "a.csv", "name,role,concentration,start,end\n" + lines + "\n")
    with pytest.raises(error, match=message):
        read_stimuli(path)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("name,begin", 'unknown column "begin". Known: name'),
        ("name,role", 'expected a column "start", found "name, role"'),
        ("name,start,start", 'two columns are called "start"'),
    ],
)
def test_headers_of_stimuli_are_checked(tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_stimuli(write(tmp_path / "a.csv", f"{head}\nATP,1,2\n"))


def test_table_without_stimuli_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="a line for each stimulus below the header, found none"):
        read_stimuli(write(tmp_path / "a.csv", "name,start\n"))


def test_stimuli_are_held_against_the_recording() -> None:
    check_stimuli([Stimulus("ATP", 10.0, end_s=20.0), Stimulus("ATP", 20.0), Stimulus("ionomycin", 50.0)], 60.0)
    with pytest.raises(StudyError, match=r"stimulus ATP: .* recording of 60 s, found 60 s, after its end"):
        check_stimuli([Stimulus("ATP", 60.0)], 60.0)
    with pytest.raises(StudyError, match=r"at or after the first frame, found -1 s"):
        check_stimuli([Stimulus("ATP", -1.0)], 60.0)
    with pytest.raises(StudyError, match="expected an end after its start at 10 s, found 5 s"):
        check_stimuli([Stimulus("ATP", 10.0, end_s=5.0)], 60.0)
    with pytest.raises(StudyError, match="one dose at a time"):
        check_stimuli([Stimulus("ATP", 10.0), Stimulus("atp", 20.0)], 60.0)
