"""Wells as points of a curve: vehicle at dose zero, kill control (or blank) at infinite dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.result import Estimate
from halfmax.response import Response

__all__ = ["FULL_EFFECT_DOUBT", "Points", "as_points", "is_tied", "zero_of"]

Array = NDArray[np.float64]

#: P-values of the full-effect test: from the first one up the kill control is the curve's plateau; between the two
#: that is in doubt, and the interval covers both readings; below the second the plateau is fitted.
FULL_EFFECT_DOUBT = (0.05, 0.001)


@dataclass(frozen=True)
class Points:
    """Wells of one response as points of the curve, and the full-effect wells (kill, or blank) apart."""

    log_dose: Array
    signal: Array
    full: Array
    full_role: str
    n_missing: int


def as_points(response: Response) -> Points:
    """Wells of a response as points of its curve."""
    keep = response.used & np.isin(response.role, ("sample", "vehicle"))
    dose = np.where(response.role == "vehicle", 0.0, response.concentration)[keep]
    with np.errstate(divide="ignore"):
        log_dose = np.log(dose)
    kill = response.signal[response.used & (response.role == "kill")]
    blank = response.signal[response.used & (response.role == "blank")]
    full, role = (kill, "kill control") if kill.size else (blank, "blank")
    missing = int((~np.isfinite(response.signal) & (response.excluded == "")).sum())
    return Points(log_dose, response.signal[keep], full, role, missing)


def is_tied(estimate: Estimate) -> bool:
    """Whether the full-effect control is the plateau of this fit."""
    return math.isfinite(estimate.p_full) and estimate.p_full >= FULL_EFFECT_DOUBT[0]


def zero_of(response: Response) -> float:
    """Signal of no cells: the mean of the blank wells, or the stated zero, or NaN where neither is known."""
    blank = response.signal[response.used & (response.role == "blank")]
    if blank.size:
        return float(blank.mean())
    return math.nan if response.zero is None else float(response.zero)
