"""Files and folders that appear whole or not at all."""

import time

import pytest
from openpyxl import load_workbook

from halfmax.errors import FileError
from halfmax.output import csv_text, write_file, write_folder, write_table, xlsx_bytes


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_file(path, "one µ\n")
    write_file(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileError, match=r"missing.a\.txt: cannot be written .*Nothing was written"):
        write_file(tmp_path / "missing" / "a.txt", "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot be written"):
        write_folder(tmp_path / "file" / "folder", lambda _: None)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ValueError, OSError("disk full")])
def test_an_interrupted_folder_leaves_nothing(tmp_path, trouble):
    def fill(new):
        (new / "half").write_text("x")
        raise trouble

    with pytest.raises((KeyboardInterrupt, ValueError, FileError)):
        write_folder(tmp_path / "run", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_used_folder_is_never_touched(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(FileError, match="not empty"):
        write_folder(tmp_path, lambda _: None)
    assert (tmp_path / "mine").read_text() == "x"


def test_text_that_a_spreadsheet_would_run_is_quoted():
    text = csv_text([{"name": "=cmd()", "value": -1.5, "none": None}, {"name": "@x", "=more": "+1", "operator": "="}])
    assert text == "name,value,none,'=more,operator\n'=cmd(),-1.5,,,\n'@x,,,'+1,=\n"


def test_a_workbook_holds_numbers_as_numbers_and_no_formula(tmp_path):
    rows = [{"name": "=cmd()", "value": -1.5, "none": None, "operator": "="}, {"name": "µ", "value": 2, "more": True}]
    write_table(tmp_path / "t.XLSX", rows)
    sheet = load_workbook(tmp_path / "t.XLSX").active
    found = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert found == [
        ["name", "value", "none", "operator", "more"],
        ["'=cmd()", -1.5, None, "=", None],
        ["µ", 2, None, None, True],
    ]
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


def test_the_same_records_give_the_same_workbook(monkeypatch):
    rows = [{"a": 1.0}]
    first = xlsx_bytes(rows)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert xlsx_bytes(rows) == first
