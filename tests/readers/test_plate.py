"""Files of every format in miniature, made for these tests: read as expected, or refused as expected."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfmax.errors import FileError
from halfmax.readers import read, workbook
from halfmax.readers import sheet as sheet_module
from halfmax.readers.grid import ROWS_OF
from halfmax.table import FLAGS
from halfmax.wells import well_name

CASES = sorted((Path(__file__).parents[1] / "cases" / "readers" / "plate").iterdir())
COLUMNS = ["plate", "well", "channel", "time_s", "signal", "flag"]


def rows_of(table):
    return [
        tuple("" if value != value else value for value in row) for row in table.frame[COLUMNS].itertuples(index=False)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_is_read_or_refused_as_expected(case):
    path = next(case.glob("input.*"))
    if (case / "error.txt").exists():
        with pytest.raises(FileError, match=(case / "error.txt").read_text().strip()):
            read(path)
        return
    with open(case / "expected.csv", newline="") as stream:
        expected = [
            (*row[:3], float(row[3]) if row[3] else "", float(row[4]) if row[4] else "", row[5])
            for row in list(csv.reader(stream))[1:]
        ]
    table = read(path)
    assert rows_of(table) == expected
    assert set(table.frame["role"]) == {"unassigned"}


def save(path, sheets):
    """Workbook with the given rows on each of the given sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def drawn(values, corner=None, first=1):
    """Rows of a drawn plate."""
    head = [corner, *range(first, first + len(values[0]))]
    return [head, *([chr(65 + row), *line] for row, line in enumerate(values))]


PLATE = [[round(0.1 + 0.01 * (6 * row + column), 3) for column in range(6)] for row in range(4)]


def test_sheets_of_a_workbook_are_plates(tmp_path):
    path = save(tmp_path / "w.xlsx", {"Day 1": drawn(PLATE), "notes": [["nothing"]], "Day 2": drawn(PLATE)})
    table = read(path)
    assert table.plates == ["Day 1", "Day 2"]
    assert table.where(plate="Day 2", well="D6").frame["signal"].item() == PLATE[3][5]
    assert table.sources[0].reader == "grid"


def test_a_layout_beside_the_plate_is_left_out(tmp_path):
    names = [["DMSO", "CM572", "CM572"], ["DMSO", "CM572", "blank"]]
    path = save(tmp_path / "w.xlsx", {"OD": drawn([[1, 2, 3], [4, None, 6]]), "map": drawn(names)})
    table = read(path)
    assert rows_of(table)[4] == ("w", "B2", "", "", "", "empty")
    assert len(table) == 6


def test_a_bare_block_in_the_middle_of_a_sheet_is_a_plate(tmp_path):
    values = [[row + column / 100 for column in range(12)] for row in range(8)]
    path = save(tmp_path / "w.xlsx", {"Sheet1": [[], [], *([None, None, *line] for line in values)]})
    assert read(path).where(well="H12").frame["signal"].item() == 7.11


def icontrol(*sections):
    head = [
        ["Application: Tecan i-control", None, None, None, "Tecan i-control , 2.0.10.0"],
        ["Device: infinite 200Pro", None, None, None, "Serial number: 0"],
        [],
        ["Date:", "2030-01-02"],
        ["Plate", None, None, None, "Greiner 96 Flat Bottom Transparent Polystyrol"],
        [],
    ]
    return [*head, *(row for section in sections for row in section), [], ["End Time:", "2030-01-02 10:12:13"]]


def label(name, mode, wavelength):
    return [
        [f"Label: {name}"],
        ["Mode", None, None, None, mode],
        ["Measurement Wavelength", None, None, None, wavelength, "nm"],
        ["Start Time:", "2030-01-02 10:11:12"],
        [],
        [None, "Temperature: 25.1 °C"],
    ]


def test_icontrol_endpoint_workbook(tmp_path):
    values = [[0.1, "OVER", 0.3], [0.4, 0.5, 0.6]]
    rows = icontrol(
        label("Label1", "Absorbance", 570),
        drawn(values, corner="<>", first=2),
        [[]],
        label("GFP", "Fluorescence Top Reading", 485),
        drawn(values, corner="<>", first=2),
    )
    table = read(save(tmp_path / "run 7.xlsx", {"Sheet2": rows, "Sheet1": [[]]}))
    assert table.sources[0].reader == "i-control"
    assert table.plates == ["run 7"]
    assert table.channels == ["570", "GFP"]
    assert rows_of(table)[:3] == [
        ("run 7", "A2", "570", "", 0.1, ""),
        ("run 7", "A3", "570", "", "", "saturated"),
        ("run 7", "A4", "570", "", 0.3, ""),
    ]


def test_icontrol_kinetic_workbook_with_wells_downwards(tmp_path):
    def kinetic(base):
        return [
            ["Cycle Nr.", 1, 2],
            ["Time [s]", 0, 300.4],
            ["Temp. [°C]", 37, 37.1],
            ["A1", base, base + 1],
            ["B12", base + 2, None],
        ]

    rows = icontrol(
        label("Label1", "Absorbance", 600),
        label("Label2", "Absorbance", 700),
        [["Label1"]],
        kinetic(1),
        [[], ["Label2"]],
    )
    rows[-2:-2] = kinetic(5)
    table = read(save(tmp_path / "k.xlsx", {"Sheet1": rows}))
    assert table.channels == ["600", "700"]
    assert rows_of(table)[:4] == [
        ("k", "A1", "600", 0.0, 1.0, ""),
        ("k", "A1", "600", 300.4, 2.0, ""),
        ("k", "B12", "600", 0.0, 3.0, ""),
        ("k", "B12", "600", 300.4, "", "empty"),
    ]


def test_icontrol_list_of_several_reads_a_well_gives_the_means(tmp_path):
    rows = icontrol(
        label("Label1", "Absorbance", 600),
        [["Well", "Mean", "StDev", "1;2"], ["A1", 0.1, 0.01, 9], ["A2", 0.2, 0.01, 9]],
    )
    assert [row[4] for row in rows_of(read(save(tmp_path / "m.xlsx", {"Sheet1": rows})))] == [0.1, 0.2]


def test_sheets_of_icontrol_are_plates(tmp_path):
    rows = icontrol(label("Label1", "Absorbance", 570), drawn(PLATE, corner="<>"))
    table = read(save(tmp_path / "s.xlsx", {"Sheet1": rows, "Sheet2": rows}))
    assert table.plates == ["Sheet1", "Sheet2"]


MAGELLAN = [
    ["Raw data", "Well positions", "Plate"],
    [0.5, "A1", "P7"],
    ["OVER", "B1", "P7"],
    [0.7, "C1", None],
    ["Date of measurement: 2030-01-02/Time of measurement: 10:11:12"],
    ["Measurement mode: Absorbance"],
    ["Measurement wavelength: 595 nm"],
]


def test_magellan_list(tmp_path):
    table = read(save(tmp_path / "m.xlsx", {"Magellan Sheet 1": MAGELLAN}))
    assert rows_of(table) == [
        ("P7", "A1", "595", "", 0.5, ""),
        ("P7", "B1", "595", "", "", "saturated"),
        ("P7", "C1", "595", "", 0.7, ""),
    ]


def test_magellan_names_a_duplicate_well_and_both_rows(tmp_path):
    rows = [*MAGELLAN[:3], [0.9, "A1", "P7"], *MAGELLAN[3:]]
    with pytest.raises(FileError, match=r'sheet "Magellan Sheet 1", row 4: well A1 .* twice \(also in row 2\)'):
        read(save(tmp_path / "m.xlsx", {"Magellan Sheet 1": rows}))


def skanit(*blocks):
    head = [["Measurement results"], ["made for a test.skax"], ["1/2/2030"], [" "], ["Absorbance 1"]]
    return [*head, *(row for block in blocks for row in block)]


def skanit_block(wavelength, plate, values, corner="Abs"):
    return [[f"Wavelength: {wavelength} nm"], [" "], [plate], [" "], *drawn(values, corner=corner), []]


def test_skanit_workbook_leaves_the_sample_names_out(tmp_path):
    names = drawn([["Un0001"] * 6] * 4, corner="Sample")
    rows = skanit(
        skanit_block(570, "Plate 1", PLATE),
        skanit_block(650, "Plate 1", PLATE),
        names,
        [[]],
        skanit_block(570, "Plate 2", PLATE),
    )
    table = read(save(tmp_path / "s.xlsx", {"Absorbance 1_01": rows, "Run log": [["Run log"]]}))
    assert table.sources[0].reader == "skanit"
    assert table.frame.groupby(["plate", "channel"]).size().to_dict() == {
        ("Plate 1", "570"): 24,
        ("Plate 1", "650"): 24,
        ("Plate 2", "570"): 24,
    }


def test_skanit_luminescence_is_named_by_its_step(tmp_path):
    rows = skanit(skanit_block(0, "Plate 1", PLATE, corner="RLU"))
    assert read(save(tmp_path / "s.xlsx", {"Luminescence 1_01": rows})).channels == ["Absorbance 1"]


# What no plate export is


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.txt: the file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"x\.txt: is a PNG picture; expected a text file or a workbook"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"II*\x00" + bytes(50), "is a TIFF picture"),
        (b"ab\x00\x01\x02" * 9, "holds binary data"),
        (b"PK\x03\x04 and no more", "the workbook is damaged or cut off"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "cannot be read as a workbook"),
    ],
)
def test_content_that_is_no_export_is_refused(tmp_path, content, message):
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(FileError, match=message):
        read(tmp_path / "x.txt")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="is a folder; expected one file"):
        read(tmp_path)


def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path):
    (tmp_path / "plate_03.csv").write_text("well,signal\nA1,1\n")
    with pytest.raises(FileError, match=r'there is no such file\. Did you mean "plate_03\.csv"\?'):
        read(tmp_path / "plate_3.csv")
    with pytest.raises(FileError, match="nor the folder"):
        read(tmp_path / "nowhere" / "plate_3.csv")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.csv"
    with open(path, "wb") as stream:
        stream.truncate(sheet_module.LARGEST_TEXT + 1)
    with pytest.raises(FileError, match=r"huge\.csv: 64 MB; .* never larger than 64 MB\. .* `halfmax fit`"):
        read(path)


def test_an_unknown_text_mentions_the_vendor_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("halfmax.readers.plate.importlib.util.find_spec", lambda _: None)
    (tmp_path / "x.txt").write_text("once upon a time\nthere was a plate\n")
    with pytest.raises(FileError, match=r'begins with "once.*pip install "halfmax\[vendor\]"` may help'):
        read(tmp_path / "x.txt")


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.csv": "1"}, r"is a zip archive and not a workbook \(it holds a\.csv\)"),
        ({"content.xml": "", "mimetype": ""}, r"is an OpenDocument file; .* Save it as \.xlsx"),
        ({"xl/workbook.bin": ""}, r"is a binary workbook \(\.xlsb\)"),
    ],
)
def test_other_archives_are_refused(tmp_path, members, message):
    with pytest.raises(FileError, match=message):
        read(archive(tmp_path / "w.xlsx", members))


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "LARGEST_UNPACKED", 2**20)
    bomb = {"xl/workbook.xml": "<workbook/>", "xl/worksheets/sheet1.xml": " " * 2**21}
    with pytest.raises(FileError, match=r"it unpacks to 2 MB; no plate export is that large"):
        read(archive(tmp_path / "bomb.xlsx", bomb))


@pytest.mark.parametrize(
    "cells",
    [
        '<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row>',
        '<row r="1"><c  x="y" r = "XFD1"/></row><row r="900000"><c/></row>',
        "<row>" + "<c/>" * 1_000_001 + "</row>",
    ],
)
def test_a_workbook_that_spans_too_many_cells_is_refused(tmp_path, cells):
    bomb = {"xl/workbook.xml": "<workbook/>", "xl/worksheets/sheet1.xml": f"<sheetData>{cells}</sheetData>"}
    with pytest.raises(FileError, match="spans more than 1,000,000 cells"):
        read(archive(tmp_path / "bomb.xlsx", bomb))


def test_a_workbook_whose_texts_repeat_beyond_measure_is_refused(tmp_path):
    bomb = {
        "xl/workbook.xml": "<workbook/>",
        "xl/sharedStrings.xml": f"<sst><si><t>{'x' * 2_000_000}</t></si></sst>",
        "xl/worksheets/sheet1.xml": '<c t="s"><v>0</v></c>' * 1000,
    }
    with pytest.raises(FileError, match="texts repeat to more than a gigabyte"):
        read(archive(tmp_path / "bomb.xlsx", bomb))


def test_a_workbook_with_a_false_size_is_refused(tmp_path):
    path = archive(tmp_path / "w.xlsx", {"xl/workbook.xml": "<workbook/>" * 999})
    content = path.read_bytes()
    true, false = (10989).to_bytes(4, "little"), (11).to_bytes(4, "little")
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, false))
    with pytest.raises(FileError, match="damaged or cut off"):
        read(path)


def test_a_workbook_cut_off_is_refused(tmp_path):
    path = save(tmp_path / "w.xlsx", {"Sheet1": drawn(PLATE)})
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(FileError, match="damaged or cut off"):
        read(path)


def test_a_protected_workbook_is_refused(tmp_path):
    path = tmp_path / "w.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(FileError, match=r"protected by a password\. Save it without one"):
        read(path)


def test_an_empty_workbook_is_refused(tmp_path):
    with pytest.raises(FileError, match="holds no cell with anything in it"):
        read(save(tmp_path / "w.xlsx", {"Sheet1": [[]]}))


# Invariances


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "mac-roman"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encoding_and_line_ends_do_not_matter(tmp_path, encoding, end):
    case = next(case for case in CASES if case.name == "gen5_matrix_derived")
    text = (case / "input.txt").read_bytes().decode().replace("\r\n", end)
    (tmp_path / "input.txt").write_bytes(text.encode(encoding))
    assert rows_of(read(tmp_path / "input.txt")) == rows_of(read(case / "input.txt"))


def test_the_name_of_a_file_does_not_matter(tmp_path):
    case = next(case for case in CASES if case.name == "envision_two_plates")
    (tmp_path / "photo.jpeg").write_bytes((case / "input.csv").read_bytes())
    assert rows_of(read(tmp_path / "photo.jpeg")) == rows_of(read(case / "input.csv"))


@pytest.mark.parametrize(
    "case", [case for case in CASES if (case / "expected.csv").exists()], ids=lambda case: case.name
)
def test_a_text_cut_anywhere_never_reads_as_other_numbers(case, tmp_path):
    """Cut off after any line, a file is refused, or what is read was in the whole file, too."""
    path = next(case.glob("input.*"))
    content = path.read_bytes()
    whole = {(row[1], row[2], row[3], row[4], row[5]) for row in rows_of(read(path))}
    cut = tmp_path / path.name
    for part in range(1, 12):
        cut.write_bytes(content[: len(content) * part // 12 // 2 * 2])
        try:
            found = rows_of(read(cut))
        except FileError:
            continue
        lines = len({row[1:3] for row in found})
        wrong = [row for row in found if row[1:] not in whole and row[5] != "empty"]
        # A list of wells has no end mark: its last number may be cut. Nothing else may differ.
        assert len(wrong) <= 1, wrong
        assert lines <= len({row[:2] for row in whole})


number = st.floats(min_value=-9.0, max_value=1e6, allow_nan=False).map(lambda value: round(value, 4))
word = st.sampled_from([("OVRFLW", "saturated"), ("MISSED", "missed"), ("Masked", "masked"), ("", "empty")])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.sampled_from([12, 24]),
    seed=st.randoms(use_true_random=False),
    cells=st.lists(st.one_of(number, number, number, word), min_size=5, max_size=40),
    delimiter=st.sampled_from([";", "\t"]),
    labelled=st.booleans(),
)
def test_a_plate_written_with_decimal_commas_is_read_back(tmp_path, columns, seed, cells, delimiter, labelled):
    rows = ROWS_OF[columns]
    plate = [[seed.choice(cells) for _ in range(columns)] for _ in range(rows)]
    plate[0][0] = 0.5
    shown = [
        [cell[0] if isinstance(cell, tuple) else f"{cell:.4f}".replace(".", ",") for cell in line] for line in plate
    ]
    if labelled:
        shown = [
            ["", *map(str, range(1, columns + 1))],
            *([well_name(row, 0)[:-1], *line] for row, line in enumerate(shown)),
        ]
    elif any(not any(line) for line in shown):
        return
    path = tmp_path / "p.csv"
    path.write_text("\n".join(delimiter.join(line) for line in shown))
    frame = read(path).frame.set_index("well")
    for row, line in enumerate(plate):
        for column, cell in enumerate(line):
            found = frame.loc[well_name(row, column)]
            if isinstance(cell, tuple):
                assert math.isnan(found["signal"])
                assert found["flag"] == cell[1]
            else:
                assert found["signal"] == cell
                assert found["flag"] == ""


def said_of(path):
    """What reading a file ends with: the number of its readings, or the message of a FileError."""
    try:
        return len(read(path))
    except FileError as error:
        return str(error)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_no_content_fails_but_with_a_file_error(tmp_path, content):
    path = tmp_path / "any.bin"
    path.write_bytes(content)
    said = said_of(path)
    assert path.name in said if isinstance(said, str) else said > 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_file_fails_only_with_a_file_error(case, tmp_path):
    """Lines dropped, doubled or swapped in: every outcome is a table or a FileError."""
    path = next(case.glob("input.*"))
    lines = path.read_bytes().split(b"\n")
    step = max(1, len(lines) // 15)
    damaged = tmp_path / path.name
    for place in range(0, len(lines), step):
        for changed in (lines[:place] + lines[place + 1 :], lines[: place + 1] + lines[place:], lines[place:]):
            damaged.write_bytes(b"\n".join(changed))
            said = said_of(damaged)
            assert path.name in said if isinstance(said, str) else said > 0


def test_flags_of_all_words_are_known():
    from halfmax.readers.cell import _WORDS

    assert {flag for flag, _ in _WORDS} <= set(FLAGS)


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("OVRFLW", "saturated"),
        ("OVER", "saturated"),
        ("Overflow", "saturated"),
        (">9.999", "saturated"),
        ("> 3,5", "saturated"),
        ("####", "saturated"),
        ("+++", "saturated"),
        ("#Sat", "saturated"),
        ("Masked", "masked"),
        ("MISSED", "missed"),
        ("-", "missed"),
        ("Error", "error"),
        ("?????", "error"),
        ("<0.001", "error"),
        ("#DIV/0!", "error"),
        ("NaN", "empty"),
        ("N/A", "empty"),
        ("", "empty"),
    ],
)
def test_a_word_becomes_a_missing_signal_with_a_flag(tmp_path, text, flag):
    path = tmp_path / "p.csv"
    path.write_text(f"well;signal\nA1;{text}\nA2;1.5\n")
    first = read(path).frame.iloc[0]
    assert math.isnan(first["signal"])
    assert first["flag"] == flag


def test_reading_formats_needs_no_heavy_library():
    heavy = "pandas numpy scipy pint openpyxl python_calamine allotropy"
    code = f"import sys, halfmax.readers; print(*[name for name in '{heavy}'.split() if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize(("text", "what"), [("\n" * 50, "lines"), ("1;2;3;4\n" * 20, "cells")])
def test_a_text_of_too_many_lines_or_cells_is_refused(tmp_path, monkeypatch, text, what):
    monkeypatch.setattr(sheet_module, "LARGEST_CELLS", 40)
    (tmp_path / "x.csv").write_text(f"well;signal\n{text}A1;0,5\n")
    with pytest.raises(FileError, match=f"more than 40 {what}; no plate export has as many"):
        read(tmp_path / "x.csv")
