"""Positions on a plate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax import wells
from halfmax.errors import RangeError


@given(st.integers(0, 31), st.integers(0, 47))
def test_names_and_positions_are_inverse(row, column):
    name = wells.well_name(row, column)
    assert wells.row_column(name) == (row, column)
    assert wells.row_column(name.lower()) == (row, column)


@pytest.mark.parametrize("text", ["A1", "A01", "a1", " A1 ", "a 01"])
def test_one_well_has_many_spellings(text):
    assert wells.parse_well(text) == "A1"


@pytest.mark.parametrize("text", ["A0", "1A", "AG1", "BA1", "A49", "A100", "", "A1.5", "Ä1"])
def test_what_is_no_well_is_refused(text):
    with pytest.raises(RangeError, match=r"is not a well|lies outside every plate"):
        wells.parse_well(text)


def test_a_well_outside_its_plate_is_named_with_the_plate():
    with pytest.raises(RangeError, match=r"well I1 lies outside a plate of 8 × 12 = 96 wells"):
        wells.parse_well("I1", (8, 12))


@pytest.mark.parametrize("count", [96, 384, 1536])
def test_the_plate_of_all_its_wells_has_its_shape(count):
    shape = wells.PLATE_SHAPES[count]
    names = wells.well_names(shape)
    assert len(names) == len(set(names)) == count
    assert wells.plate_shape(names) == shape


def test_edge_wells_have_distance_zero():
    assert [wells.edge_distance(name, (8, 12)) for name in ("A5", "H1", "D12", "B2", "D6")] == [0, 0, 0, 1, 3]
