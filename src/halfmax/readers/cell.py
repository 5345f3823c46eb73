"""One cell of an instrument's file: a number, a word that stands for a missing one, or a time.

What guards against silent error: a comma is read as a decimal sign or as a
thousands separator only where the file itself shows which one it is, and a word
that is not known is no missing value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = ["Comma", "Reading", "clock", "comma_of", "number", "signal"]

#: What a lone comma inside a number means in one file.
Comma = Literal["decimal", "thousands", "unclear"]


class Reading(NamedTuple):
    """One reading of one well, as a reader hands it to the table."""

    plate: str
    well: str
    channel: str
    time_s: float
    signal: float
    flag: str
    replicate: str = ""
    experiment: str = ""

    @property
    def place(self) -> tuple[str, str, str, str, float]:
        """What no two readings of a file share; all end points have the same time here."""
        return self.experiment, self.plate, self.well, self.channel, -1.0 if math.isnan(self.time_s) else self.time_s


_EXPONENT = r"(?:[eE][-+]?\d+)?"
_POINT = re.compile(rf"[-+]?(?:\d+\.?\d*|\.\d+){_EXPONENT}")
_COMMA = re.compile(rf"[-+]?(?:\d+,\d*|,\d+){_EXPONENT}")
_THOUSANDS = re.compile(rf"[-+]?[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d*)?{_EXPONENT}")
_POINT_THOUSANDS = re.compile(rf"[-+]?[1-9]\d{{0,2}}(?:\.\d{{3}})+,\d*{_EXPONENT}")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")

#: Words that stand for a missing number, and the flag they mean. The whole cell must match.
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "saturated",
        re.compile(
            r"ove?r?fl?o?w?|overflow|over|ovr|sat|saturated|#sat|above|too high|>\s*max\.?|>\s*[\d.,]+|#{2,}|\+{2,}"
            r"|\+?inf|infinity|∞",
            re.IGNORECASE,
        ),
    ),
    ("missed", re.compile(r"missed|missing|not read|no read|unread|-{1,3}|–|n\.?d\.?|not measured", re.IGNORECASE)),
    ("masked", re.compile(r"masked|mask|excluded|flagged|outlier", re.IGNORECASE)),
    (
        "error",
        re.compile(
            r"err|err\.|error|fail|failed|invalid|\?+|\*+|#low|low|under|undrflw|underflow|<\s*min\.?|<\s*[\d.,]+|path\?"
            r"|range\?|limits[+-]|#(?:n/a|num!|value!|div/0!|ref!|name\?|null!)|-inf|lamp.?(?:low|error)",
            re.IGNORECASE,
        ),
    ),
    ("empty", re.compile(r"nan|n/a|na|null|none|empty", re.IGNORECASE)),
)
_HOURS = re.compile(r"(?:(\d+)[. d]+)?(\d+):(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_MINUTES = re.compile(r"(\d+):(\d{1,2}(?:[.,]\d+)?)")
_SPOKEN = re.compile(
    r"(?=.)(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m(?:in)?)?\s*(?:(\d+(?:[.,]\d+)?)\s*s(?:ec)?)?", re.IGNORECASE
)


def comma_of(cells: Iterable[str]) -> Comma:
    """What a comma inside a number means, from all cells of a file.

    ``0,02`` can only be a decimal comma, ``1,234.5`` only a thousands separator;
    ``1,234`` alone is either.

    Examples
    --------
    >>> comma_of(["1,234", "0,5"]), comma_of(["1,234", "1,234,567"]), comma_of(["1,234"])
    ('decimal', 'thousands', 'unclear')
    """
    decimal = thousands = False
    for cell in cells:
        text = cell.strip()
        if "," not in text or len(text) > 32:
            continue
        if _POINT_THOUSANDS.fullmatch(text) or (_COMMA.fullmatch(text) and not _EITHER.fullmatch(text)):
            decimal = True
        elif _THOUSANDS.fullmatch(text) and not _EITHER.fullmatch(text):
            thousands = True
    if decimal == thousands:
        return "unclear"
    return "decimal" if decimal else "thousands"


def number(text: str, comma: Comma = "unclear") -> float | None:
    """Number a cell holds, None where it holds none or where its comma could mean two things.

    Examples
    --------
    >>> number("0,02"), number("1,234", "decimal"), number("1,234", "thousands"), number("1,234")
    (0.02, 1.234, 1234.0, None)
    >>> number("1.234,5", "decimal"), number("A1")
    (1234.5, None)
    """
    text = text.strip().replace("\u2212", "-")
    if _POINT.fullmatch(text):
        return float(text)
    if _EITHER.fullmatch(text) and comma == "unclear":
        return None
    if _POINT_THOUSANDS.fullmatch(text):
        return float(text.replace(".", "").replace(",", "."))
    if _COMMA.fullmatch(text) and not (_EITHER.fullmatch(text) and comma == "thousands"):
        return float(text.replace(",", "."))
    if _THOUSANDS.fullmatch(text):
        return float(text.replace(",", ""))
    return None


def signal(text: str, comma: Comma = "unclear") -> tuple[float, str] | None:
    """Signal and flag of a cell of a read area; None where the text is not known.

    Examples
    --------
    >>> signal("2.1"), signal("OVRFLW"), signal(" "), signal("Masked"), signal("abc")
    ((2.1, ''), (nan, 'saturated'), (nan, 'empty'), (nan, 'masked'), None)
    """
    text = text.strip()
    if not text:
        return math.nan, "empty"
    value = number(text, comma)
    if value is not None:
        return (value, "") if math.isfinite(value) else (math.nan, "saturated")
    for flag, words in _WORDS:
        if words.fullmatch(text):
            return math.nan, flag
    return None


def clock(text: str) -> float | None:
    """Seconds of a time as instruments print it, None where the text is no time.

    Two parts are minutes and seconds, three are hours, minutes and seconds; a bare
    number is seconds.

    Examples
    --------
    >>> clock("0:30"), clock("26:50:22"), clock("1 h 15 min"), clock("2.00:00:10"), clock("12.5"), clock("Time")
    (30.0, 96622.0, 4500.0, 172810.0, 12.5, None)
    """
    text = text.strip().lstrip("'")
    if match := _HOURS.fullmatch(text):
        days, hours, minutes, seconds = match.groups()
        return int(days or 0) * 86400.0 + int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    if match := _MINUTES.fullmatch(text):
        return int(match.group(1)) * 60 + float(match.group(2).replace(",", "."))
    if (value := number(text)) is not None:
        return value
    if text and (match := _SPOKEN.fullmatch(text)) and any(match.groups()):
        days, hours, minutes, seconds = match.groups()
        spoken = int(days or 0) * 86400.0 + int(hours or 0) * 3600 + int(minutes or 0) * 60
        return spoken + float((seconds or "0").replace(",", "."))
    return None
