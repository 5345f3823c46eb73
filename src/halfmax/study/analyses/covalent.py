"""What the Ki of a covalent ligand leaves open: pairs of K_I and kinact, and which further time splits them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypedDict

import numpy as np

from halfmax.curves.inactivation import apparent_ki, ridge, splitting_time
from halfmax.estimate import Estimate, Parameter
from halfmax.report.document import Analysis, Plot, Series
from halfmax.study.analyses.table import Array
from halfmax.study.entries import BindingEntry
from halfmax.units import concentration, duration, format_concentration, format_duration

__all__ = ["ridge_of"]

#: The ridge is drawn from where it begins to so many times that.
_REACH = 300.0
#: Pairs whose Ki is drawn against time: K_I over that of a reversible ligand.
_SHOWN = (1.0, 1.2, 2.0, 100.0)
#: Times are drawn up to so many times the one that was waited.
_LONGER = 3.0
#: A reversible ligand loses less than this share of its receptors.
_NOTHING = 1e-6
_NONE = np.empty(0)


class _Assay(TypedDict, total=False):
    """What `ridge` and its kin need of a competition."""

    incubation_time: float
    radioligand: float
    kd: float
    koff: float


def ridge_of(entry: BindingEntry, compound: str, ki: Parameter, radioligand: float, level: float) -> Analysis:
    """Every pair of K_I and kinact that gives a Ki, and the further incubation time that splits them best."""
    assay: _Assay = {
        "incubation_time": duration(entry.incubation_time or ""), "radioligand": radioligand,
        "kd": concentration(entry.kd or ""),
    }  # fmt: skip
    if entry.off_half_life:
        assay["koff"] = math.log(2) / duration(entry.off_half_life)
    places = _start(ki.best, assay) * np.geomspace(1.0, _REACH, 61)
    best = splitting_time(ki.best, **assay, k_inact_half=places)
    estimate = _bounds(ki, assay, level, f"{entry.name}: {compound}")
    then = [float(_seen(*pair, assay, best.time)) for pair in _pairs(ki.best, assay, places[[0, -1]])]
    sentence = (
        f"Any pair of K_I and kinact on the line gives a Ki of {format_concentration(ki.best)} after "
        f"{format_duration(assay['incubation_time'])}, so that K_I and kinact are not separable. After "
        f"{format_duration(best.time)} the same pairs give Ki from {format_concentration(min(then))} to "
        f"{format_concentration(max(then))}, {best.fold:.3g}-fold apart: measure Ki after that time too."
    )
    ratio = estimate["k_inact_ratio"].scaled(60e-6, "/µM/min").text()
    return Analysis(
        "kinetics", f"{entry.name}: {compound}, what one Ki leaves open", f"kinact / K_I {ratio}", sentence, estimate,
        (_ridge_plot(ki, assay), _time_plot(ki, assay, best.times)), (),
        ("The competition was simulated with a ligand that inactivates the receptor meanwhile; the pairs of K_I and "
         "kinact that give the Ki were found by root-finding.",),
    )  # fmt: skip


def _start(ki: float, assay: _Assay) -> float:
    """Where the ridge begins: K_I of a ligand that does not inactivate."""
    return float(ridge(ki, **assay)[0][0])


def _bounds(ki: Parameter, assay: _Assay, level: float, label: str) -> Estimate:
    """What follows of the constants from the lower end of Ki's interval: bounds, since the ridge has no end."""
    half, rate = ridge(ki.low, **assay)
    most = float((rate / half).max())
    parameters = (
        Parameter.bounded("k_inact_half", _start(ki.best, assay), float(half[0]), math.inf, log=True, unit="M"),
        Parameter.bounded("kinact", math.nan, 0.0, math.inf, log=True, unit="1/s"),
        Parameter.bounded("k_inact_ratio", most, 0.0, most, log=True, unit="1/(M s)"),
    )
    return Estimate(
        "ridge of one Ki", tuple(replace(one, method="ends of Ki") for one in parameters), level, n=1, label=label,
        status="open: one Ki after one time bounds K_I from below and kinact / K_I from above, and no more.",
    )  # fmt: skip


def _pairs(ki: float, assay: _Assay, half: Array) -> list[tuple[float, float]]:
    columns = ridge(ki, **assay, k_inact_half=half)
    return list(zip(columns[0].tolist(), columns[1].tolist(), strict=True))


def _seen(half: float, rate: float, assay: _Assay, time: Array | float) -> Array:
    """Apparent Ki of a pair after other times, M."""
    return apparent_ki(
        k_inact_half=half, kinact=rate, incubation_time=time, radioligand=assay["radioligand"], kd=assay["kd"],
        koff=assay.get("koff"),
    )  # fmt: skip


def _ridge_plot(ki: Parameter, assay: _Assay) -> Plot:
    series = []
    for value, label in ((ki.best, "Ki as measured"), (ki.low, "lower end of Ki"), (ki.high, "upper end of Ki")):
        half, rate = ridge(value, **assay, k_inact_half=_start(value, assay) * np.geomspace(1.002, _REACH, 91))
        series.append(Series(label, _NONE, _NONE, half, 60.0 * rate))
    return Plot(
        "K_I", "concentration", "kinact (/min)", tuple(series),
        "Every pair of K_I and kinact on a line gives the same Ki after this incubation time.", y_log=True,
    )  # fmt: skip


def _time_plot(ki: Parameter, assay: _Assay, times: Array) -> Plot:
    """Ki that pairs of the ridge would show after other times, and the one that was measured."""
    waited = assay["incubation_time"]
    at = np.unique(np.r_[np.linspace(times.min(), _LONGER * waited, 61), waited])
    series = [Series("measured", np.array([waited]), np.array([1e9 * ki.best]), _NONE, _NONE)]
    for half, rate in _pairs(ki.best, assay, _start(ki.best, assay) * np.array(_SHOWN)):
        seen = 1e9 * _seen(half, rate, assay, at)
        what = f"kinact {60 * rate:.2g} /min" if rate * waited > _NOTHING else "reversible"
        series.append(Series(f"K_I {format_concentration(half)}, {what}", _NONE, _NONE, at, seen))
    return Plot(
        "incubation time", "time", "apparent Ki (nM)", tuple(series),
        "Pairs that one incubation time cannot tell apart, at other times.", y_log=True,
    )  # fmt: skip
