"""Quantities at the edges: text such as ``"4.9 µM"`` or ``"48 h"`` in, numbers in M, s, K inside.

Both code points of the micro sign (U+00B5 and U+03BC) and plain ``u`` are read;
U+00B5 is written.  A number without a unit is refused: nobody can tell whether
``10`` means nanomolar or micromolar.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from tokenize import TokenError
from typing import TYPE_CHECKING

from halfmax.errors import RangeError

if TYPE_CHECKING:
    from pint import UnitRegistry

__all__ = [
    "concentration",
    "concentration_factor",
    "convert",
    "duration",
    "format_concentration",
    "format_duration",
    "format_interval",
    "p_value",
    "split",
    "volume",
]

_NUMBER = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
_PREFIXES = ((1.0, "M"), (1e-3, "mM"), (1e-6, "µM"), (1e-9, "nM"), (1e-12, "pM"), (1e-15, "fM"))
_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@lru_cache(maxsize=1)
def _registry() -> UnitRegistry:
    import pint

    registry: UnitRegistry = pint.UnitRegistry(cache_folder=None)
    return registry


def _normalise(unit: str) -> str:
    """Unit text as pint reads it: micro signs folded, ``M`` as molar, ``u`` as micro."""
    text = unit.strip().replace("\u00b5", "u").replace("\u03bc", "u")
    if re.fullmatch(r"[munpfa]?M", text):
        return text.replace("M", "molar")
    if re.fullmatch(r"d|days?", text):
        return "day"
    if re.fullmatch(r"h|hrs?|hours?", text):
        return "hour"
    return "uL" if text == "ul" else text


@lru_cache(maxsize=256)
def _factor(unit: str, target: str) -> float:
    """Factor from `unit` to `target`, or RangeError naming both."""
    import pint

    if not re.fullmatch(r"[A-Za-zµμ°/*^ ()\d.-]+", unit):
        raise RangeError(f'unknown unit "{unit}"; expected a unit of {target}.')
    registry = _registry()
    try:
        return float(registry.Quantity(1.0, _normalise(unit)).to(target).magnitude)
    except pint.DimensionalityError as error:
        raise RangeError(f'unit "{unit}" is not a unit of {target}: {error}.') from error
    # pint reads units with Python's own tokenizer, whose errors are all about text that is no unit ("(µM", "µM 3").
    except (pint.UndefinedUnitError, ValueError, AttributeError, TypeError, AssertionError, TokenError) as error:
        raise RangeError(f'unknown unit "{unit}"; expected a unit of {target}.') from error


def split(text: str) -> tuple[float, str]:
    """Number and unit of a text such as ``"10 µM"``; the unit is empty where there is none.

    Examples
    --------
    >>> split("4.9 µM")
    (4.9, 'µM')
    """
    match = _NUMBER.match(str(text))
    if match is None:
        raise RangeError(f'expected a number with a unit, found "{text}". Write it as "10 µM".')
    return float(match.group(1)), match.group(2)


def convert(text: str | float, target: str, *, unit: str | None = None, what: str = "quantity") -> float:
    """Value of `text` in the unit `target`.

    Parameters
    ----------
    text : str or float
        ``"10 µM"``, or a bare number when `unit` says its unit.
    target : str
        Unit of the result, as pint writes it (``"molar"``, ``"second"``).
    unit : str, optional
        Unit of bare numbers.
    what : str
        Noun for the messages.

    Raises
    ------
    RangeError
        If there is no number, no unit, the wrong kind of unit, or NaN.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value, own = float(text), ""
    else:
        try:
            value, own = split(str(text))
        except RangeError:
            raise RangeError(
                f'{what} must be a number with a unit, found "{text}". Write it as "10 µM" (a dose) or "48 h" (a time).'
            ) from None
    own = own or (unit or "")
    if not own:
        raise RangeError(f'{what} "{text}" has no unit. Write the unit after the number, as in "10 µM" or "48 h".')
    if not math.isfinite(value):
        raise RangeError(f'{what} must be finite, found "{text}".')
    try:
        return value * _factor(own, target)
    except RangeError as error:
        raise RangeError(f'{what} "{text}": {error}') from None


def concentration(text: str | float, *, unit: str | None = None) -> float:
    """Concentration in M (mol/L), never negative.

    Examples
    --------
    >>> concentration("10 µM")
    1e-05
    >>> concentration(2.5, unit="nM")
    2.5e-09
    """
    value = convert(text, "molar", unit=unit, what="concentration")
    if value < 0:
        raise RangeError(f'concentration must be ≥ 0, found "{text}".')
    return float(f"{value:.15g}")


def concentration_factor(unit: str) -> float:
    """Factor that takes a number in `unit` to M.

    Examples
    --------
    >>> concentration_factor("nM")
    1e-09
    """
    return float(f"{_factor(unit, 'molar'):.15g}")


def duration(text: str | float, *, unit: str | None = None) -> float:
    """Duration in s, never negative.

    Examples
    --------
    >>> duration("48 h")
    172800.0
    """
    value = convert(text, "second", unit=unit, what="time")
    if value < 0:
        raise RangeError(f'time must be ≥ 0, found "{text}".')
    return float(f"{value:.15g}")


def volume(text: str | float, *, unit: str | None = None) -> float:
    """Volume in L, positive.

    Examples
    --------
    >>> volume("100 µL")
    0.0001
    """
    value = convert(text, "liter", unit=unit, what="volume")
    if value <= 0:
        raise RangeError(f'volume must be > 0, found "{text}".')
    return float(f"{value:.15g}")


def _prefix(value: float) -> tuple[float, str]:
    """Scale and unit in which a person says a concentration (1–999 of it)."""
    for scale, name in _PREFIXES:
        if value >= scale * 0.9995:
            return scale, name
    return _PREFIXES[-1]


def _digits(value: float, step: float) -> str:
    """`value` written to the decimal place of `step`, at most three significant digits behind the point."""
    if value == 0 or not math.isfinite(value):
        return f"{value + 0.0:g}"
    size = math.floor(math.log10(abs(value)))
    place = max(math.floor(math.log10(step)), min(size - 2, 0))
    return f"{round(value, -place) + 0.0:.{max(0, -place)}f}"


def format_concentration(molar: float, *, digits: int = 2) -> str:
    """Concentration as a scientist writes it.

    Examples
    --------
    >>> format_concentration(4.9e-6)
    '4.9 µM'
    >>> format_concentration(1e-7)
    '100 nM'
    >>> format_concentration(0)
    '0 µM'
    """
    if molar == 0:
        return "0 µM"
    if not math.isfinite(molar):
        return "∞" if molar > 0 else "–"
    scale, name = _prefix(float(f"{molar:.{digits}g}"))
    value = float(f"{molar / scale:.{digits}g}")
    return f"{value:g} {name}" if value < 1e6 else f"{value:.3g} {name}"


def format_interval(estimate: float, low: float, high: float, operator: str = "=", *, unit: str = "M") -> str:
    """Estimate with its interval: ``4.9 µM (3.6–6.7)``, or ``> 10 µM`` where an end is open.

    The interval is written to two significant digits of its narrower side and
    the estimate to the same place.  For a plain number give ``unit=""``.

    Examples
    --------
    >>> format_interval(4.9032e-6, 3.61e-6, 6.68e-6)
    '4.9 µM (3.6–6.7)'
    >>> format_interval(1e-5, 1e-5, float("inf"), ">")
    '> 10 µM'
    >>> format_interval(6.59, 4.04, 10.7, unit="")
    '6.6 (4.0–10.7)'
    >>> format_interval(-1.45, -1.7, -1.24, unit="")
    '-1.45 (-1.70 to -1.24)'
    """
    if operator in ("<", ">"):
        shown = format_concentration(estimate) if unit == "M" else f"{float(f'{estimate:.2g}'):g}{_suffix(unit)}"
        return f"{operator} {shown}"
    if operator != "=" or not math.isfinite(estimate):
        return "not identified"
    scale, name = _prefix(abs(estimate)) if unit == "M" else (1.0, unit)
    value, below, above = estimate / scale, low / scale, high / scale
    widths = [w for w in (value - below, above - value) if math.isfinite(w) and w > 0]
    step = 10.0 ** (math.floor(math.log10(min(widths))) - 1) if widths else abs(value) / 10 or 1.0
    low_end, high_end = _digits(below, step), _digits(above, step)
    dash = " to " if low_end.startswith("-") else "–"
    return f"{_digits(value, step)}{_suffix(name)} ({low_end}{dash}{high_end})"


def _suffix(unit: str) -> str:
    return f" {unit}" if unit and unit != "%" else unit


def format_duration(seconds: float) -> str:
    """Duration in the largest unit that keeps it whole.

    Examples
    --------
    >>> format_duration(172800.0)
    '48 h'
    >>> format_duration(90.0)
    '90 s'
    """
    if not math.isfinite(seconds):
        return "–"
    for scale, name in _TIMES[1:]:
        value = seconds / scale
        if value >= 1 and abs(value - round(value)) < 1e-9:
            return f"{round(value)} {name}"
    return f"{seconds:g} s"


def p_value(p: float) -> str:
    """A p-value as it is printed.

    Examples
    --------
    >>> p_value(0.0312), p_value(2.3e-8)
    ('p = 0.031', 'p < 0.0001')
    """
    if not math.isfinite(p):
        return "no test"
    return "p < 0.0001" if p < 1e-4 else f"p = {float(f'{p:.2g}'):g}"
