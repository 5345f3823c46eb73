"""What the surfaces of saturation and competition share: constants to look for, one site against two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from halfmax.estimate.binding.wells import Array, Wells
from halfmax.estimate.binding.wording import (
    with_note,
)
from halfmax.estimate.result import Estimate
from halfmax.estimate.surface import Surface
from halfmax.units import p_value

__all__ = ["against_one_site", "ordered", "pair", "searched", "sites_named", "surface_of"]

#: A constant is looked for so many times below and above the concentrations.
_REACH = 1e4
#: Second constants over first ones: where to look, and how far.
_RATIOS, _RATIO_LIMITS = (10.0, 100.0, 1000.0), (1.0, 1e7)


def searched(
    name: str, least: float, most: float, which: str, sites: int
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    """Starts and limits of one constant, or of one of a pair (`which`) and their ratio."""
    low, high = least / _REACH, most * _REACH
    places = np.geomspace(least / 30.0, most * 3.0, 13 if sites == 1 else 9)
    if sites == 1:
        return {name: tuple(places)}, {name: (low, high)}
    starts = {f"{name}_{which}": tuple(places), f"{name}_ratio": _RATIOS}
    return starts, {f"{name}_{which}": (low, high), f"{name}_ratio": _RATIO_LIMITS}


def pair(name: str, values: dict[str, Array]) -> tuple[Array, Array]:
    """The two constants, of which one is fitted beside their ratio."""
    ratio = values[f"{name}_ratio"]
    if f"{name}_first" in values:
        return values[f"{name}_first"], values[f"{name}_first"] * ratio
    return values[f"{name}_second"] / ratio, values[f"{name}_second"]


def surface_of(
    function: Callable[..., Array], starts: dict[str, Any], linear: tuple[str, ...],
    limits: dict[str, tuple[float, float]], wells: Wells, name: str,
) -> Surface:  # fmt: skip
    """A surface with the units of its parameters; those with a start are positive, but for shares and the slope."""
    positive = tuple(key for key in starts if key != "nsb" and not key.startswith("fraction"))
    units = dict.fromkeys(linear, wells.unit) | {"nsb": wells.slope_unit}
    for key in starts:
        if key.startswith(("kd", "ki")) and not key.endswith("ratio"):
            units[key] = "M"
        elif key.startswith("bmax"):
            units[key] = wells.unit
    reference = "Hulme & Trevethick (2010), Br J Pharmacol 161:1219"
    return Surface(function, starts, linear, positive, limits, units, name, reference)


def sites_named(sites: int) -> str:
    return "one site" if sites == 1 else "two sites"


def ordered(fits: list[Estimate], name: str) -> Estimate:
    """The fit in terms of the first constant, with the second one and its interval from the fit in terms of that."""
    first = fits[0]
    if len(fits) == 1:
        return first
    place = [p.name for p in first.parameters].index(f"{name}_first") + 1
    parameters = (*first.parameters[:place], fits[1][f"{name}_second"], *first.parameters[place:])
    return replace(first, parameters=parameters)


def against_one_site(two: Estimate, one: Estimate) -> Estimate:
    """A fit of two sites beside that of one, with the F-test between them."""
    from scipy import stats

    more = one.df - two.df
    statistic = max(one.rss - two.rss, 0.0) / more / (two.rss / two.df) if two.rss > 0 else math.inf
    p = float(stats.f.sf(statistic, more, two.df))
    verdict = "Two sites fit better than one" if p < 0.05 else "Two sites do not fit significantly better than one"
    note = f"{verdict} (F({more}, {two.df}) = {statistic:.3g}, {p_value(p)})."
    return replace(with_note(two, note), parts=(one,))
