"""The gate through which measured data enter."""

import math

import pytest

from halfmax.errors import FileError, TableError
from halfmax.table import COLUMNS, AssayTable, Source


def table(**columns):
    return AssayTable.of({"plate": ["p"] * 2, "well": ["A1", "A2"], "signal": [1.0, 2.0]} | columns)


def test_missing_columns_are_filled_as_unknown():
    frame = table().frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["role"].tolist() == ["unassigned"] * 2
    assert frame["concentration_M"].isna().all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"well": ["A1", "a01"]}, r"plate p, well A1: measured twice in channel \(unnamed\) \(rows 1 and 2\)"),
        ({"concentration_M": [1e-6, -1e-6]}, r"plate p, well A2: concentration_M must be a finite number ≥ 0 M"),
        ({"concentration_M": [math.inf, 0]}, r"concentration_M must be a finite number"),
        ({"signal": [1.0, math.inf]}, r"well A2: signal is infinite\. Flag the well as saturated"),
        ({"signal": [1.0, math.nan]}, r"well A2: signal is missing but no flag says why"),
        ({"role": ["sample", "vehicel"]}, r'unknown role "vehicel"\. Did you mean "vehicle"'),
        ({"flag": ["", "satured"]}, r'unknown flag "satured"\. Did you mean "saturated"'),
        ({"celline": ["", ""]}, r'no column "celline"\. Did you mean "cell_line"'),
        ({"signal": ["1", "x"]}, r'column "signal" must hold numbers'),
    ],
)
def test_a_broken_promise_is_named_with_its_place(columns, message):
    with pytest.raises(TableError, match=message):
        table(**columns)


def test_a_missing_signal_with_a_flag_is_welcome():
    flagged = table(signal=[1.0, math.nan], flag=["", "saturated"])
    assert flagged.frame["flag"].tolist() == ["", "saturated"]


def test_rows_are_chosen_by_column():
    assert table().where(well="A2").frame["signal"].tolist() == [2.0]
    with pytest.raises(TableError, match='no column "wells"'):
        table().where(wells="A2")


def test_two_tables_may_not_claim_the_same_well():
    with pytest.raises(TableError, match="measured twice"):
        AssayTable.concat([table(), table()])
    joined = AssayTable.concat([table(), table(plate=["q"] * 2)])
    assert joined.plates == ["p", "q"]


def test_a_source_knows_the_file_it_came_from(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"abc")
    source = Source.of(path, reader="tidy csv")
    assert source.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert source.file == "a.csv"
    with pytest.raises(FileError, match=r"cannot be read"):
        Source.of(tmp_path / "b.csv", reader="tidy csv")
