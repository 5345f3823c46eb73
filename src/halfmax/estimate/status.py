"""Status in words: what the data do not determine, and what would."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halfmax.estimate.batch import Column
from halfmax.estimate.points import FULL_EFFECT_DOUBT, Points, as_points, zero_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.response import Response
from halfmax.units import format_concentration, p_value

__all__ = ["Direction", "in_direction", "is_plain", "not_settled", "with_status"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Direction = Literal["either", "falling", "rising"]

#: A test's p-value below which its hypothesis is given up.
SIGNIFICANCE = 0.05
#: The same of the test whether the curve meets the means of the doses.
LACK_OF_FIT = 0.01


def with_status(estimate: Estimate, points: Points, tied: bool, untested: bool) -> Estimate:
    """Say in words what the data do not determine, and what would."""
    response = estimate.response
    assert response is not None
    notes: list[str] = list(response.notes)
    if points.n_missing:
        notes.append(f"{_wells(points.n_missing)} missing (flagged when read).")
    excluded = int((response.excluded != "").sum())
    if excluded:
        notes.append(f"{_wells(excluded)} excluded by the study, with a reason.")
    if estimate.p_full < FULL_EFFECT_DOUBT[1]:
        notes.append(
            f"The drug's full effect is not that of the {points.full_role} (F-test, {p_value(estimate.p_full)}): "
            "the plateau is fitted, not taken from the control."
        )
    elif estimate.p_full < FULL_EFFECT_DOUBT[0]:
        notes.append(
            f"Whether the drug's full effect is that of the {points.full_role} is in doubt (F-test, "
            f"{p_value(estimate.p_full)}): the plateau is fitted, and the intervals cover both readings."
        )
    elif tied and untested:
        notes.append(
            f"The doses do not reach far enough to test it, so this EC50 assumes that the drug's full effect is "
            f"that of the {points.full_role}."
        )
    if estimate.p_curve < LACK_OF_FIT:
        notes.append(f"The curve misses the means of the doses (lack of fit, {p_value(estimate.p_curve)}).")
    if "ec50" not in estimate or (estimate.curve is not None and not estimate.curve.logarithmic):
        return _without_midpoint(estimate, notes)
    if not estimate.p_flat < SIGNIFICANCE and math.isfinite(estimate.p_flat):
        return _flat(estimate, points, notes, tied)
    ec50 = estimate["ec50"]
    doses = points.doses
    if ec50.operator == "=":
        status = "ok"
        if not doses[0] <= ec50.value <= doses[-1]:
            side = "above the highest" if ec50.value > doses[-1] else "below the lowest"
            status = f"ok, extrapolated: EC50 lies {side} dose"
        if math.inf in (abs(estimate["hill_slope"].low), abs(estimate["hill_slope"].high)):
            notes.append("The slope is steeper than the spacing of the doses resolves.")
    else:
        status = _open(estimate, points, tied)
    return replace(estimate, status=status, notes=tuple(notes))


def is_plain(columns: Mapping[str, Column], p_flat: Array, p_curve: Array, span: tuple[Array, Array]) -> Flags:
    """Curves of which `with_status` says "ok" and nothing else, given that no well is missing, excluded or a control.

    `span` are the lowest and the highest dose of each curve.
    """
    ec50, slope = columns["ec50"], columns["hill_slope"]
    bounded = (ec50.low > 0) & (ec50.high < math.inf) & (span[0] <= ec50.best) & (ec50.best <= span[1])
    significant = (p_flat < SIGNIFICANCE) | ~np.isfinite(p_flat)
    steep = np.isinf(slope.low) | np.isinf(slope.high)
    return np.asarray(bounded & significant & ~steep & ~(p_curve < LACK_OF_FIT))


def not_settled(estimate: Estimate) -> Estimate:
    """An estimate whose search ended before it stood still; one that is open says enough."""
    if not estimate.status.startswith("ok"):
        return estimate
    status = (
        "not converged: the search did not settle, and the numbers are those of the best place it found. "
        "Hold a parameter, give other starts, or add doses."
    )
    return replace(estimate, status=status)


def _without_midpoint(estimate: Estimate, notes: list[str]) -> Estimate:
    """Status of a curve that has no EC50 among its parameters."""
    opened = [p.name for p in estimate.parameters if p.operator != "="]
    status = "ok"
    if not estimate.p_flat < SIGNIFICANCE and math.isfinite(estimate.p_flat):
        status = f"no curve: a flat line does as well (F-test, {p_value(estimate.p_flat)})."
    elif opened:
        status = f"open: the data do not bound {', '.join(opened)} on both sides. Add points, or hold a parameter."
    return replace(estimate, status=status, notes=tuple(notes))


def _wells(count: int) -> str:
    return "1 well is" if count == 1 else f"{count} wells are"


def _show(value: float, response: Response) -> str:
    if response.concentration_unit == "M":
        return format_concentration(value)
    return f"{float(f'{value:.2g}'):g}" + (f" {response.concentration_unit}" if response.concentration_unit else "")


def _share(estimate: Estimate, points: Points, dose: float) -> float:
    """Signal left at a dose, as a share of the window between the vehicle (or the fitted start) and zero."""
    assert estimate.response is not None
    reference = points.mean_at(0.0)
    if math.isnan(reference):
        reference = estimate["top" if estimate["hill_slope"].best < 0 else "bottom"].best
    zero = zero_of(estimate.response)
    zero = 0.0 if math.isnan(zero) else zero
    return (points.mean_at(dose) - zero) / (reference - zero) if reference != zero else math.nan


def _remaining(estimate: Estimate, points: Points, dose: float) -> str:
    assert estimate.response is not None
    share = _share(estimate, points, dose)
    return f"{_show(dose, estimate.response)} leaves {100 * share:.0f} % of the signal at zero dose"


def _open(estimate: Estimate, points: Points, tied: bool) -> str:
    """Status of an EC50 whose interval is open."""
    response, doses, ec50 = estimate.response, points.doses, estimate["ec50"]
    assert response is not None
    if ec50.operator == ">":
        bound = f"Reported as EC50 > {_show(ec50.value, response)}."
        before, last = (_share(estimate, points, dose) for dose in (doses[-2:][0], doses[-1]))
        if estimate["hill_slope"].best < 0 and before > 0.8 and last < 0.2:
            return (
                f"open: the whole fall lies between {_show(doses[-2], response)} ({100 * before:.0f} % of the signal "
                f"at zero dose) and {_show(doses[-1], response)} ({100 * last:.0f} %), with no dose between or above, "
                f"so neither slope nor plateau is determined. {bound} Add doses between and above these two"
                f"{'' if tied else ', and a kill control'}."
            )
        return (
            f"open: the data do not bound EC50 from above ({_remaining(estimate, points, doses[-1])}). {bound} "
            f"Add higher doses{'' if tied else ', or a kill control'}."
        )
    if ec50.operator == "<":
        return (
            f"open: the data do not bound EC50 from below ({_remaining(estimate, points, doses[0])}). "
            f"Reported as EC50 < {_show(ec50.value, response)}. Add lower doses."
        )
    return (
        "open: the data bound EC50 on neither side. Not identified. "
        "Add doses on both sides, replicates, or control wells."
    )


def _flat(estimate: Estimate, points: Points, notes: list[str], tied: bool) -> Estimate:
    """An estimate whose data show no dependence on the concentration."""
    response = estimate.response
    assert response is not None
    ec50 = estimate["ec50"]
    low = ec50.low if tied else 0.0
    opened = Parameter.bounded("ec50", ec50.best, low, math.inf, log=True, unit=ec50.unit, se=ec50.se)
    rest = tuple(opened if p.name == "ec50" else p for p in estimate.parameters)
    found = (
        f"F-test against a flat line, {p_value(estimate.p_flat)}" if estimate.p_flat < 1 else "all signals are equal"
    )
    bound = f" Reported as EC50 > {_show(opened.value, response)}." if opened.operator == ">" else " Not identified."
    status = (
        f"no curve: no dependence on the concentration ({found}; {_remaining(estimate, points, points.doses[-1])})."
        f"{bound} Add higher doses{'' if tied else ', or a kill control'}."
    )
    return replace(estimate, parameters=rest, status=status, notes=tuple(notes))


def in_direction(estimate: Estimate, direction: Direction) -> Estimate:
    """Take the EC50 from a curve that runs against what the assay can mean."""
    if direction == "either" or "hill_slope" not in estimate:
        return estimate
    slope = estimate["hill_slope"].best
    if not estimate.status.startswith(("ok", "open")) or (slope > 0) == (direction == "rising"):
        return estimate
    assert estimate.response is not None
    points, ec50 = as_points(estimate.response), estimate["ec50"]
    opened = Parameter.bounded("ec50", ec50.best, 0.0, math.inf, log=True, unit=ec50.unit, se=ec50.se)
    status = (
        f"no curve: the signal {'rises' if slope > 0 else 'falls'} with the concentration where this assay expects it "
        f"to {'fall' if slope > 0 else 'rise'} ({_remaining(estimate, points, points.doses[-1])}). "
        "Not identified. Look at the positions of the controls, or for a colour of the compound."
    )
    parameters = tuple(opened if p.name == "ec50" else p for p in estimate.parameters)
    return replace(estimate, parameters=parameters, status=status)
