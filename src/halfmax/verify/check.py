"""One number with the answer that it should be, and how many digits of it agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MOST_DIGITS", "Check", "digits", "worst"]

#: Digits beyond which double precision says nothing.
MOST_DIGITS = 15.0


def digits(found: float, expected: float) -> float:
    """Digits that agree: the negative decimal logarithm of the relative error, of the absolute one where 0 is expected.

    Examples
    --------
    >>> round(digits(3.1416, 3.14159265), 1)
    5.6
    >>> digits(2.0, 2.0), digits(float("nan"), 2.0)
    (15.0, 0.0)
    """
    if not (math.isfinite(found) and math.isfinite(expected)):
        return 0.0
    error = abs(found - expected) / (abs(expected) or 1.0)
    return MOST_DIGITS if error == 0 else min(MOST_DIGITS, max(0.0, -math.log10(error)))


@dataclass(frozen=True)
class Check:
    """A number that was computed here, beside its reference answer.

    Parameters
    ----------
    subject : str
        Data set or closed form.
    part : str
        What kind of number it is, such as ``parameters``; one row of the printed table.
    quantity : str
        What it is in words.
    expected, found : float
    required : float
        Digits that must agree.
    source : str
        Where the reference answer comes from.
    run : str
        From where and how it was computed, where there are several ways.
    missing : str
        File that would be needed to run it; empty where it was run.
    """

    subject: str
    part: str
    quantity: str = ""
    expected: float = math.nan
    found: float = math.nan
    required: float = 0.0
    source: str = ""
    run: str = ""
    missing: str = ""

    @property
    def digits(self) -> float:
        """Digits that agree."""
        return digits(self.found, self.expected)

    @property
    def passed(self) -> bool:
        """Whether enough digits agree, or nothing was run."""
        return bool(self.missing) or self.digits >= self.required

    @property
    def verdict(self) -> str:
        """In words."""
        if self.missing:
            return "not run"
        return "ok" if self.passed else f"fewer than {self.required:g} digits"

    def record(self) -> dict[str, object]:
        """Flat record for JSON."""
        numbers = {"expected": self.expected, "found": self.found, "digits": round(self.digits, 1)}
        return {
            "set": self.subject, "part": self.part, "quantity": self.quantity or self.part,
            **{name: value if math.isfinite(value) and not self.missing else None for name, value in numbers.items()},
            "required": self.required, "verdict": self.verdict, "passed": self.passed, "run": self.run,
            "needs": self.missing, "source": self.source,
        }  # fmt: skip


def worst(checks: Iterable[Check]) -> list[Check]:
    """Of each part of each set the check with the fewest digits to spare, in the order of their first appearance."""
    rows: dict[tuple[str, str], Check] = {}
    for check in checks:
        key = check.subject, check.part
        if key not in rows or check.digits - check.required < rows[key].digits - rows[key].required:
            rows[key] = check
    return list(rows.values())
