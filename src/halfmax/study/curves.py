"""Fits → curves: plates into experiments, experiments into one EC50, and what stands beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from halfmax.errors import HalfmaxError
from halfmax.estimate import Estimate, absolute_ec50, average_plates, combine, fit_all, leave_one_out, zero_of
from halfmax.report.document import Curve
from halfmax.response import Response
from halfmax.study.entries import Viability

if TYPE_CHECKING:
    from halfmax.reference import Value

__all__ = ["curves_of", "pooled_wells"]

Array = NDArray[np.float64]

#: Experiments from which on each is left out in turn.
_LEAST_TO_LEAVE_OUT = 3


def curves_of(fits: Sequence[Estimate], settings: Viability, level: float) -> Iterable[Curve]:
    """One curve a compound, line and time.

    Where an experiment has several fits these are its plates: they are averaged within
    the experiment, and the experiments are combined.
    """
    groups: dict[tuple[str, str, float], list[Estimate]] = {}
    for fit in fits:
        groups.setdefault(_who(fit), []).append(fit)
    for (compound, cell_line, time), own in groups.items():
        label = f"{compound} in {cell_line}" if cell_line else compound
        names = [_response(fit).experiment for fit in own]
        nested = len(set(names)) < len(names)
        experiments = average_plates(own, level=level) if nested else tuple(own)
        count = len(experiments)
        yield Curve(
            compound, cell_line, time if time >= 0 else math.nan, tuple(own),
            combine(experiments, level=level, label=label),
            _absolute(own, names, level, label), _published(compound, cell_line),
            experiments if nested else (),
            pooled_wells(own, settings, level) if count > 1 else None,
            leave_one_out(experiments, level=level, label=label) if count >= _LEAST_TO_LEAVE_OUT else None,
        )  # fmt: skip


def _response(fit: Estimate) -> Response:
    assert fit.response is not None
    return fit.response


def _who(fit: Estimate) -> tuple[str, str, float]:
    """Compound, line and time; a time that is not known is -1, which equals itself."""
    response = _response(fit)
    return response.compound, response.cell_line, response.time_s if math.isfinite(response.time_s) else -1.0


def _absolute(fits: Sequence[Estimate], names: Sequence[str], level: float, label: str) -> Estimate | None:
    """Absolute EC50 of the experiments combined, or None where zero is unknown."""
    parts = [absolute_ec50(fit) for fit in fits]
    if all(part.operator == "?" for part in parts):
        return None
    wrapped: Sequence[Estimate] = [
        Estimate(fit.model, (part,), level, label=fit.label) for fit, part in zip(fits, parts, strict=True)
    ]
    if len(set(names)) < len(names):
        wrapped = average_plates(wrapped, parameter="ec50_absolute", level=level, experiments=names)
    return combine(wrapped, parameter="ec50_absolute", level=level, label=label)


def _published(compound: str, cell_line: str) -> tuple[Value, ...]:
    """EC50s of the literature for the same compound and line, or nothing."""
    from halfmax.reference import values

    try:
        return values(ligand=compound, cell_line=cell_line, quantity="ec50")
    except HalfmaxError:
        return ()


def pooled_wells(fits: Sequence[Estimate], settings: Viability, level: float) -> Estimate:
    """One fit through all wells of all experiments, as if they had come from one: for comparison only.

    Signals are percent of the vehicle of their plate, as wells are pooled in practice;
    raw where a plate has no vehicle. Its interval says how well the curve through these
    wells is known, and nothing of what another experiment would give.
    """
    responses = [_response(fit) for fit in fits]
    percents = [_percent_of_vehicle(response) for response in responses]
    percent = all(signal is not None for signal in percents)
    signals = [p if percent and p is not None else r.signal for p, r in zip(percents, responses, strict=True)]

    first = responses[0]
    pooled = Response.of(
        np.concatenate([r.concentration for r in responses]), np.concatenate(signals),
        **{name: np.concatenate([getattr(r, name) for r in responses]).tolist()
           for name in ("role", "well", "plate", "excluded")},
        compound=first.compound, cell_line=first.cell_line, time_s=first.time_s, quantity=first.quantity,
        zero=0.0 if percent and not math.isnan(zero_of(first)) else first.zero, simulated=first.simulated,
        signal_unit="% of vehicle" if percent else first.signal_unit,
    )  # fmt: skip
    return fit_all([pooled], settings.model, level=level, direction=settings.direction)[0]


def _percent_of_vehicle(response: Response) -> Array | None:
    """Signals as percent of the vehicle of their plate, above zero where it is known; None without a vehicle."""
    zero = zero_of(response)
    zero = 0.0 if math.isnan(zero) else zero
    result = np.full(response.signal.size, np.nan)
    for plate in np.unique(response.plate):
        here = response.plate == plate
        vehicle = response.signal[here & response.used & (response.role == "vehicle")]
        if vehicle.size == 0 or not float(vehicle.mean()) > zero:
            return None
        result[here] = 100.0 * (response.signal[here] - zero) / (float(vehicle.mean()) - zero)
    return result
