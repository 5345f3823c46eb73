"""Plate maps: what is read, what is refused, and what a layout does to a table."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfmax import errors
from halfmax.errors import FileError, RangeError, StudyError
from halfmax.readers.layout import COLUMNS, ROLE_SYNONYMS, Layout, read_layout, write_layout
from halfmax.table import ROLES, AssayTable, Source
from halfmax.wells import PLATE_SHAPES, well_names

CASES = Path(__file__).parents[1] / "cases" / "readers" / "layout"
READ = sorted(path for path in CASES.iterdir() if path.with_suffix(".expected.csv").exists() and "." not in path.stem)
REFUSED = sorted(path for path in CASES.glob("err_*") if path.suffix != ".error")


def expected(path: Path) -> pd.DataFrame:
    text = dict.fromkeys((name for name in COLUMNS if name not in ("concentration_M", "time_s")), str)
    frame = pd.read_csv(path, dtype=text, encoding="utf-8")
    return frame.assign(**{name: frame[name].fillna("") for name in text})


def text_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def table_of(shape: tuple[int, int], plate: str = "", file: str = "softmax.txt", **columns: object) -> AssayTable:
    wells = well_names(shape)
    return AssayTable.of(
        {"plate": plate, "well": wells, "signal": [1.0] * len(wells), **columns},
        [Source(file, "0" * 64, "test", "0")],
    )


def test_there_are_cases():
    assert len(READ) >= 7
    assert len(REFUSED) >= 25


@pytest.mark.parametrize("path", READ, ids=lambda path: path.name)
def test_each_drawing_gives_its_table(path):
    pd.testing.assert_frame_equal(
        read_layout(path).frame, expected(path.with_suffix(".expected.csv")), check_dtype=False
    )


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.name)
def test_each_mistake_is_refused_with_its_place_and_a_way_out(path):
    kind, message = path.with_suffix(".error").read_text(encoding="utf-8").rstrip().split(": ", maxsplit=1)
    with pytest.raises(getattr(errors, kind)) as caught:
        read_layout(path)
    assert str(caught.value).startswith(message)


# ── Round trip ──────────────────────────────────────────────────────────────────────────────────────

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
doses = st.floats(1e-15, 1.0) | st.sampled_from([1e-7, 3.16e-7, 1e-6, 1e-5, 31.6e-6, 1e-4])
controls = st.sampled_from([role for role in ROLES if role not in ("sample", "compound_blank", "unassigned")])


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shape = draw(st.sampled_from(list(PLATE_SHAPES.values())[:6]))
    rows = []
    for plate in draw(st.lists(names.map(str.strip), min_size=1, max_size=2, unique=True) | st.just([""])):
        for well in draw(st.lists(st.sampled_from(well_names(shape)), min_size=1, max_size=30, unique=True)):
            row = {"plate": plate, "well": well, "cell_line": draw(st.sampled_from(["", "MCF-7", "PANC-1"]))}
            row |= {"time_s": draw(st.sampled_from([None, 86400.0, 172800.0, 0.1]))}
            row |= {"experiment": draw(st.sampled_from(["", "1", "01", "−2"])), "replicate": draw(st.just("1") | names)}
            if draw(st.booleans()):
                row |= {"role": "sample", "compound": draw(names), "concentration_M": draw(doses)}
            else:
                row |= {"role": draw(controls), "compound": draw(st.just("") | names)}
            rows.append(row)
    return Layout(pd.DataFrame(rows), shape)


@given(layouts())
@settings(deadline=None, max_examples=60)
def test_what_is_written_reads_back_as_the_same_layout(tmp_path_factory, layout):
    path = tmp_path_factory.mktemp("layout") / "layout.toml"
    write_layout(layout, path)
    again = read_layout(path)
    assert again.shape == layout.shape
    pd.testing.assert_frame_equal(again.frame, layout.frame)


def test_a_plate_called_wells_is_a_plate(tmp_path):
    layout = Layout(pd.DataFrame({"plate": ["wells"], "well": ["A1"], "role": ["vehicle"]}), (16, 24))
    write_layout(layout, tmp_path / "x.toml")
    assert read_layout(tmp_path / "x.toml").plates == ["wells"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = text_file(tmp_path, "layout.toml", "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    layout = Layout(pd.DataFrame({"well": ["A1"], "role": ["vehicle"]}), (8, 12))
    with pytest.raises(FileError, match=r"layout.toml: cannot be written \(Permission denied\)"):
        write_layout(layout, path)
    assert [file.name for file in tmp_path.iterdir()] == ["layout.toml"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_missing_file_is_named(tmp_path):
    text_file(tmp_path, "somewhere.toml", "")
    with pytest.raises(
        FileError, match=r"nowhere.toml: cannot be read: there is no such file. Did you mean \"somewhere"
    ):
        read_layout(tmp_path / "nowhere.toml")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = text_file(tmp_path, "l.toml", '[well.A1]\nrole = "vehicle"\n')
    monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(FileError, match=r"l.toml: cannot be read \(Permission denied\)"):
        read_layout(path)


# ── What a person may write ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("word", "role"), ROLE_SYNONYMS.items())
def test_synonyms_of_roles_are_understood_in_any_case(tmp_path, word, role):
    dose = 'compound = "x"\nconcentration = "1 µM"' if role in ("sample", "compound_blank") else ""
    path = text_file(tmp_path, "l.toml", f'[well.A1]\nrole = "{word.upper().replace(" ", "-")}"\n{dose}\n')
    assert list(read_layout(path).frame["role"]) == [role]


def test_synonyms_lead_to_roles_and_are_none():
    assert set(ROLE_SYNONYMS.values()) <= set(ROLES)
    assert not set(ROLE_SYNONYMS) & set(ROLES)


@pytest.mark.parametrize(
    "header", ["concentration_uM", "Concentration (µM)", "conc uM", "dose [μM]", "concentration / µM"]
)
def test_the_unit_may_stand_in_the_header(tmp_path, header):
    path = text_file(tmp_path, "l.csv", f"well,compound,{header}\nA1,CM572,10\n")
    assert list(read_layout(path).frame["concentration_M"]) == [1e-5]


def test_a_unit_in_the_cell_wins_over_the_header(tmp_path):
    path = text_file(tmp_path, "l.csv", "well,compound,concentration_uM\nA1,CM572,10 nM\n")
    assert list(read_layout(path).frame["concentration_M"]) == [1e-8]


def test_the_caller_can_give_the_unit_and_the_size(tmp_path):
    path = text_file(tmp_path, "l.csv", "well,compound,concentration\nA1,CM572,10\n")
    layout = read_layout(path, concentration_unit="nM", wells=384)
    assert (layout.shape, list(layout.frame["concentration_M"])) == ((16, 24), [1e-8])


def test_rows_alone_span_the_plate_when_its_size_is_stated(tmp_path):
    path = text_file(tmp_path, "l.toml", '[plate]\nwells = 24\n[row.A]\nrole = "vehicle"\n')
    assert list(read_layout(path).frame["well"]) == ["A1", "A2", "A3", "A4", "A5", "A6"]


def test_wellmaps_own_section_about_files_is_left_to_wellmap(tmp_path):
    path = text_file(tmp_path, "l.toml", '[meta]\npath = "data.xlsx"\n[well.A1]\nrole = "vehicle"\n')
    assert len(read_layout(path).frame) == 1


def test_a_toml_is_known_by_its_content_not_its_name(tmp_path):
    path = text_file(tmp_path, "layout.txt", '# map\n[well.A1]\nrole = "vehicle"\n')
    assert list(read_layout(path).frame["role"]) == ["vehicle"]


def test_the_same_value_twice_is_no_contradiction(tmp_path):
    path = text_file(tmp_path, "l.csv", "well,role\nA1,vehicle\nA01,DMSO\n")
    assert len(read_layout(path).frame) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_files_are_read_as_spreadsheets_save_them(tmp_path, encoding):
    path = tmp_path / "l.csv"
    path.write_bytes("well,compound,concentration (µM)\r\nA1,CM572,10\r\n".encode(encoding))
    assert list(read_layout(path).frame["concentration_M"]) == [1e-5]


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_is_read_like_its_csv(tmp_path):
    head = list(range(1, 13))
    path = workbook(
        tmp_path / "map.xlsx",
        role=[["role", *head], ["A", "vehicle", "sample"]],
        compound=[["compound", *head], ["A", None, "CM572"]],
        dose=[["concentration (µM)", *head], ["A", None, 3.16]],
    )
    assert read_layout(path).frame[["well", "role", "concentration_M"]].values.tolist() == [
        ["A1", "vehicle", 0.0],
        ["A2", "sample", 3.16e-6],
    ]


def test_each_sheet_of_a_workbook_has_its_own_header(tmp_path):
    path = workbook(
        tmp_path / "map.xlsx",
        one=[["well", "role"], ["A1", "DMSO"]],
        two=[["role", 1, 2, 3], ["A", None, "kill"]],
        none=[[]],
    )
    assert read_layout(path).frame[["well", "role"]].values.tolist() == [["A1", "vehicle"], ["A2", "kill"]]


def test_a_mistake_in_a_workbook_is_named_with_its_sheet(tmp_path):
    path = workbook(
        tmp_path / "map.xlsx", one=[["well", "role"], ["A1", "DMSO"]], two=[["well", "role"], ["A1", "kill"]]
    )
    with pytest.raises(
        StudyError, match=r'sheet "two", row 2: well A1 has role "kill", but .* sheet "one", row 2 says'
    ):
        read_layout(path)
    path = workbook(tmp_path / "map.xlsx", one=[["well", "role"], ["A1", "DMSO"]], two=[["passage", 12]])
    with pytest.raises(FileError, match=r'map\.xlsx, sheet "two", row 1: not a plate layout\. .* found "passage, 12"'):
        read_layout(path)


def test_a_workbook_that_would_fill_the_memory_is_refused(tmp_path):
    cells = '<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row>'
    with zipfile.ZipFile(tmp_path / "map.xlsx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("xl/workbook.xml", "<workbook/>")
        bomb.writestr("xl/worksheets/sheet1.xml", f"<sheetData>{cells}</sheetData>")
    with pytest.raises(FileError, match=r"map\.xlsx: .* spans more than 1,000,000 cells; .* Refused"):
        read_layout(tmp_path / "map.xlsx")


@pytest.mark.parametrize(
    "text", ["well;compound;dose_uM\nA1;2,4-DNP;3,162\n", "well;compound;dose\nA1;2,4-DNP;3,162 µM\n"]
)
def test_a_semicolon_means_decimal_commas_in_numbers_only(tmp_path, text):
    frame = read_layout(text_file(tmp_path, "l.csv", text)).frame
    assert frame[["compound", "concentration_M"]].values.tolist() == [["2,4-DNP", 3.162e-6]]


@pytest.mark.parametrize(("other", "dose"), [("0,5", 1.234e-9), ("1,234,567", 1.234e-6)])
def test_without_a_semicolon_the_other_numbers_tell_what_a_comma_means(tmp_path, other, dose):
    path = text_file(tmp_path, "l.tsv", f"well\tcompound\tdose_nM\nA1\tx\t1,234\nA2\tx\t{other}\n")
    assert read_layout(path).frame["concentration_M"][0] == dose


def test_a_comma_that_nothing_explains_is_refused(tmp_path):
    path = text_file(tmp_path, "l.tsv", "well\tcompound\tdose\nA1\tx\t1,234 nM\n")
    with pytest.raises(StudyError, match=r'l\.tsv, line 2, well A1: "1,234 nM" can be read in two ways'):
        read_layout(path)


def test_wells_are_named_as_in_a_table_of_readings(tmp_path):
    path = text_file(tmp_path, "l.csv", "# map of Monday\nRow,Column,Type\nA,1,DMSO\nb,12,kill\n")
    assert read_layout(path).frame[["well", "role"]].values.tolist() == [["A1", "vehicle"], ["B12", "kill"]]


def test_a_stray_quote_swallows_no_wells(tmp_path):
    path = text_file(tmp_path, "l.csv", 'well,role,note\nA1,vehicle,"3 inch\nA2,kill,\n')
    assert list(read_layout(path).frame["role"]) == ["vehicle", "kill"]


def test_a_picture_is_not_a_layout(tmp_path):
    path = tmp_path / "map.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    with pytest.raises(FileError, match=r"map\.png: is a PNG picture; expected a plate layout \(TOML, CSV or XLSX\)"):
        read_layout(path)


# ── A layout on a table ─────────────────────────────────────────────────────────────────────────────


def simple(shape: tuple[int, int] = (8, 12), **columns: object) -> Layout:
    frame = pd.DataFrame({"well": ["A1", "A2"], "role": ["vehicle", "sample"], **columns})
    return Layout(frame.assign(compound="CM572", concentration_M=[None, 1e-5]), shape, "layout.toml")


def test_wells_learn_their_roles_and_the_rest_is_unused():
    frame = simple().apply(table_of((8, 12))).frame
    assert list(frame["role"][:3]) == ["vehicle", "sample", "unused"]
    assert frame["role"].value_counts()["unused"] == 94
    assert list(frame["concentration_M"][:2]) == [0.0, 1e-5]


def test_the_table_keeps_what_the_layout_does_not_say():
    frame = simple().apply(table_of((8, 12), cell_line="MCF-7", time_s=172800.0)).frame
    assert set(frame["cell_line"]) == {"MCF-7"}
    assert set(frame["time_s"]) == {172800.0}


def test_signals_and_sources_are_untouched():
    table = table_of((8, 12), channel="570")
    told = simple().apply(table)
    assert told.sources == table.sources
    pd.testing.assert_series_equal(told.frame["signal"], table.frame["signal"])


def test_row_order_and_channels_are_kept():
    table = AssayTable.of({"well": ["A2", "A1", "A2"], "channel": ["570", "570", "660"], "signal": [1.0, 2.0, 3.0]})
    assert list(simple().apply(table).frame["role"]) == ["sample", "vehicle", "sample"]


def test_named_plates_are_told_apart():
    layout = simple(plate=["p1", "p2"])
    table = AssayTable.concat([table_of((8, 12), "p1"), table_of((8, 12), "p2")])
    frame = layout.apply(table).frame
    found = frame[frame["role"] != "unused"]
    assert found[["plate", "well", "role"]].values.tolist() == [["p1", "A1", "vehicle"], ["p2", "A2", "sample"]]


def test_a_layout_for_another_plate_size_names_both():
    with pytest.raises(
        StudyError,
        match=r"layout.toml is drawn for 96 wells \(8 × 12\), but plate p1 of softmax.txt has 384 wells \(16 × 24\)",
    ):
        simple().apply(table_of((16, 24), "p1"))


def test_a_layout_for_a_larger_plate_is_refused_where_its_wells_were_not_read():
    layout = Layout(pd.DataFrame({"well": ["P24"], "role": ["vehicle"]}), (16, 24), "layout.toml")
    with pytest.raises(StudyError, match=r"drawn for 384 wells \(16 × 24\), but the plate of softmax.txt has 96"):
        layout.apply(table_of((8, 12)))


def test_a_part_of_a_larger_plate_may_be_read():
    assert len(simple((16, 24)).apply(table_of((4, 6))))


def test_a_whole_plate_is_no_part_of_a_larger_one():
    with pytest.raises(StudyError, match=r"drawn for 384 wells \(16 × 24\), but the plate of softmax.txt has 96"):
        simple((16, 24)).apply(table_of((8, 12)))


def test_a_plate_that_the_table_has_not_is_named():
    with pytest.raises(StudyError, match=r'layout.toml names plate "plate 2", which softmax.txt does not have'):
        simple(plate="plate 2").apply(table_of((8, 12), "plate 1"))


def test_a_plate_that_the_layout_forgot_is_named():
    table = AssayTable.concat([table_of((8, 12), "p1"), table_of((8, 12), "p2")])
    with pytest.raises(StudyError, match=r'layout.toml says nothing about plate "p2" of softmax.txt'):
        simple(plate="p1").apply(table)


@pytest.mark.parametrize(
    ("column", "said", "known", "message"),
    [
        ("cell_line", "MCF-7", "PANC-1", "says cell line MCF-7, but the data or the study say PANC-1"),
        ("time_s", 86400.0, 172800.0, "says time 24 h, but the data or the study say 48 h"),
        ("experiment", "1", "2", "says experiment 1, but the data or the study say 2"),
    ],
)
def test_two_plates_mixed_up_are_noticed(column, said, known, message):
    with pytest.raises(StudyError, match=message):
        simple(**{column: said}).apply(table_of((8, 12), **{column: known}))


# ── A layout made by a program ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"well": ["A1", "A1"], "role": ["vehicle", "vehicle"]}, "well A1 is described twice"),
        ({"well": ["A1"], "role": ["boss"]}, 'unknown role "boss"'),
        ({"well": ["Q1"], "role": ["vehicle"]}, "well Q1 lies outside a plate of 8 × 12"),
        ({"well": ["A1"], "rolle": ["vehicle"]}, 'no column "rolle". Did you mean "role"'),
        ({"well": ["A1", "A2"], "plate": ["p", ""]}, "some wells name a plate and some do not"),
        ({"well": []}, "describes no well"),
    ],
)
def test_a_layout_keeps_its_promises_however_it_is_made(columns, message):
    with pytest.raises(StudyError, match=message):
        Layout(pd.DataFrame(columns), (8, 12))


def test_no_plate_has_that_shape():
    with pytest.raises(StudyError, match="no plate has 9 rows and 12 columns"):
        Layout(pd.DataFrame({"well": ["A1"], "role": ["vehicle"]}), (9, 12))


@pytest.mark.parametrize("unit", ["(µM", "µM 3", "'", "1e400", "µ M)("])
def test_a_unit_that_is_none_is_refused_like_any_other(tmp_path, unit):
    path = text_file(tmp_path, "l.toml", f'[well.A1]\ncompound = "x"\nconcentration = "10 {unit}"\n')
    with pytest.raises(RangeError, match=r"l.toml, \[well.A1\], concentration: .* unknown unit"):
        read_layout(path)
