"""Quantities at the edges."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfmax import units
from halfmax.errors import RangeError


@pytest.mark.parametrize("micro", ["\u00b5", "\u03bc", "u"])
def test_every_spelling_of_micro_is_the_same(micro):
    assert units.concentration(f"4.9 {micro}M") == 4.9e-6
    assert units.volume(f"100 {micro}L") == 1e-4


@pytest.mark.parametrize(
    ("text", "molar"),
    [("10 µM", 1e-5), ("10µM", 1e-5), ("1e2 nM", 1e-7), ("0 nM", 0.0), (".5 mM", 5e-4), ("3 mol/L", 3.0), ("2 M", 2.0)],
)
def test_concentrations_are_read_with_their_unit(text, molar):
    assert units.concentration(text) == molar


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", r'"10" has no unit\. Write the unit after the number'),
        ("-1 µM", r'must be ≥ 0, found "-1 µM"'),
        ("10 uM?", r'"10 uM\?": unknown unit'),
        ("ten µM", r'must be a number with a unit, found "ten µM"\. Write it as "10 µM"'),
        ("10 h", r"is not a unit of molar"),
        ("", r"must be a number with a unit"),
        (float("nan"), r"must be finite|has no unit"),
    ],
)
def test_what_is_no_concentration_is_refused_in_words(text, message):
    with pytest.raises(RangeError, match=message):
        units.concentration(text)


def test_times_are_read_in_the_units_of_the_bench():
    assert units.duration("48 h") == 172800
    assert units.duration("2 d") == 172800
    assert units.duration("30 min") == 1800
    with pytest.raises(RangeError, match="no unit"):
        units.duration("48")


@given(st.floats(1e-13, 1.0))
def test_a_written_concentration_reads_back_to_its_written_digits(molar):
    text = units.format_concentration(molar, digits=3)
    assert math.isclose(units.concentration(text), molar, rel_tol=6e-3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((4.9032e-6, 3.61e-6, 6.68e-6), "4.9 µM (3.6–6.7)"),
        ((32.31e-6, 20.4e-6, 60.2e-6), "32 µM (20–60)"),
        ((1e-5, 1e-5, math.inf, ">"), "> 10 µM"),
        ((3e-8, 0.0, 3e-8, "<"), "< 30 nM"),
        ((math.nan, 0.0, math.inf, "?"), "not identified"),
        ((5.0e-6, 4.1e-6, 880e-6), "5.00 µM (4.10–880)"),
    ],
)
def test_intervals_are_printed_as_scientists_print_them(arguments, text):
    assert units.format_interval(*arguments) == text


def test_no_printed_zero_has_a_sign():
    assert units.format_interval(-1e-9, -0.02, 0.03, unit="") == "0.000 (-0.020 to 0.030)"
    assert units.format_interval(0.01, -1e-6, 0.02, unit="") == "0.010 (0.000–0.020)"
    assert units.format_interval(-0.0, -0.0, 0.0, unit="") == "0 (0–0)"


def test_no_printed_interval_carries_more_digits_than_its_width_deserves():
    assert "4.9032" not in units.format_interval(4.9032117e-6, 3.6e-6, 6.7e-6)
