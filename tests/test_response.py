"""One quantity against concentration."""

import math

import numpy as np
import pytest

from halfmax.errors import TableError
from halfmax.response import Response


def test_wells_without_compound_are_vehicle_unless_told_otherwise():
    response = Response.of([0, 1e-6], [1.0, 0.5])
    assert response.role.tolist() == ["vehicle", "sample"]


@pytest.mark.parametrize(
    ("concentration", "signal", "role", "message"),
    [
        ([0, -1.0], [1, 1], "", r"row 2: concentration must be a finite number ≥ 0, found -1"),
        ([0, math.inf], [1, 1], "", r"found inf"),
        ([0, math.nan], [1, 1], "sample", r"row 2: a sample well has no concentration"),
        ([0, 1.0], [1, math.inf], "", r"signal is infinite"),
        ([0, 1.0], [1], "", r"2 concentrations but 1 signals"),
    ],
)
def test_impossible_wells_are_refused(concentration, signal, role, message):
    with pytest.raises(TableError, match=message):
        Response.of(concentration, signal, role=role)


def test_an_exclusion_needs_a_reason_and_leaves_the_rest_alone():
    response = Response.of([0, 1, 1], [1.0, 0.5, 0.6], well=["A1", "A2", "A3"])
    without = response.excluding(["A2"], "tip blocked")
    assert without.used.tolist() == [True, False, True]
    assert response.used.all()
    with pytest.raises(TableError, match="needs a reason"):
        response.excluding(["A2"], " ")


def test_flagged_wells_take_no_part():
    response = Response.of([0, 1, 2], [1.0, np.nan, 0.5])
    assert response.used.tolist() == [True, False, True]
    assert response.doses().tolist() == [2.0]
