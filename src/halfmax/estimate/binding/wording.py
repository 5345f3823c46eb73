"""Estimates of binding in words: open ends, notes, status."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from halfmax.estimate.batch import BEYOND_DOSES
from halfmax.estimate.result import Estimate, Parameter

__all__ = ["between", "depletion_note", "if_ok", "if_open", "opened", "replaced", "with_note", "within_reach"]

#: Share of the radioligand that may be bound before a fit without depletion says so.
DEPLETED = 0.1


def depletion_note(share: float) -> str:
    """What a fit without depletion says of the share of the radioligand that the sites bind."""
    if not share > DEPLETED:
        return ""
    return f"About {100 * share:.0f} % of the radioligand is bound, and none of that was taken off: use depletion."


def with_note(estimate: Estimate, note: str) -> Estimate:
    return replace(estimate, notes=(*estimate.notes, note)) if note else estimate


def within_reach(estimate: Estimate, name: str, least: float, most: float) -> Estimate:
    """The estimate with the ends of a constant open that leave the concentrations by more than tenfold."""
    one = estimate[name]
    low = min(one.low, most * BEYOND_DOSES) if one.low >= least / BEYOND_DOSES else 0.0
    high = max(one.high, least / BEYOND_DOSES) if one.high <= most * BEYOND_DOSES else math.inf
    if (low, high) == (one.low, one.high):
        return estimate
    return replaced(replace(estimate, status="open"), between(one, low, high))


def opened(parameter: Parameter, low: float) -> Parameter:
    """The parameter, bounded by nothing but `low`."""
    return between(parameter, low, math.inf)


def between(parameter: Parameter, low: float, high: float, **changed: Any) -> Parameter:
    """The parameter with other ends, from which its operator follows, and with whatever else is `changed`."""
    one = Parameter.bounded(parameter.name, parameter.best, low, high, log=parameter.log)
    return replace(parameter, value=one.value, low=low, high=high, operator=one.operator, **changed)


def replaced(estimate: Estimate, *parameters: Parameter) -> Estimate:
    """The estimate with some parameters in place of those of the same name, or behind the others."""
    new = {one.name: one for one in parameters}
    kept = tuple(new.pop(one.name, one) for one in estimate.parameters)
    return replace(estimate, parameters=(*kept, *new.values()))


def if_ok(estimate: Estimate, status: str) -> Estimate:
    return replace(estimate, status=status) if estimate.status == "ok" else estimate


def if_open(estimate: Estimate, parameter: Parameter, symbol: str, what: str) -> Estimate:
    """What an open constant is reported as, and what would close it."""
    if not estimate.status.startswith(("ok", "open")) or parameter.operator == "=":
        return estimate
    if parameter.operator == "?":
        status = f"open: the data bound {symbol} on neither side. Not identified. Add {what} on both sides."
    else:
        side, more = ("above", "higher") if parameter.operator == ">" else ("below", "lower")
        status = (
            f"open: the data do not bound {symbol} from {side}. Reported as {symbol} {parameter.text()}. "
            f"Add {more} {what}."
        )
    return replace(estimate, status=status)
