"""Kd and Bmax from saturation binding."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from halfmax.curves import binding
from halfmax.errors import FitError
from halfmax.estimate.binding.surfaces import against_one_site, ordered, pair, searched, sites_named, surface_of
from halfmax.estimate.binding.wells import NSB_LIMITS, Array, Sites, Wells
from halfmax.estimate.binding.wording import (
    depletion_note,
    if_ok,
    if_open,
    opened,
    replaced,
    with_note,
    within_reach,
)
from halfmax.estimate.result import Estimate
from halfmax.estimate.surface import Asked, Surface, fit_surface

__all__ = ["fit_saturation", "fitted_saturation"]


def fit_saturation(
    radioligand: ArrayLike,
    bound: ArrayLike,
    *,
    nonspecific: ArrayLike | None = None,
    depletion: bool = False,
    sites: Sites = 1,
    hill: bool = False,
    unit: str = "",
    fixed: dict[str, float] | None = None,
    **asked: Unpack[Asked],
) -> Estimate:
    """Kd and Bmax from saturation binding, totals and non-specific wells fitted together.

    Without depletion what was added is free::

        bound = bmax * L / (L + kd) + nsb * L + background
        masked = nsb * L + background

    With depletion what is bound is missing from it, specific or not (`halfmax.curves.binding`).

    Parameters
    ----------
    radioligand : array, shape (wells,), M
        Added, >= 0.
    bound : array, shape (wells,), in `unit`
        NaN where a well is missing. Negative values are kept.
    nonspecific : array of bool, shape (wells,), optional
        Where a masking ligand left only non-specific binding. All False: totals only, the
        non-specific binding then comes from their line alone. Not given: `bound` is specific.
    depletion : bool
        Whether to take the bound radioligand off what is free; `bound` must be in M.
    sites : {1, 2}
    hill : bool
        Whether a Hill slope is fitted; with one site, without depletion.
    unit : str
        Of `bound`: ``"M"``, ``"cpm"``, ``"fmol/mg"`` …
    fixed : dict, optional
        Parameters that are held, such as ``{"background": 0}``.
    **asked
        ``level`` and ``noise`` as for `fit`; ``label``, for messages.

    Returns
    -------
    Estimate
        ``kd``, ``bmax`` (of two sites ``kd_first``, ``kd_second``, ``kd_ratio``, ``bmax_first``,
        ``bmax_second``, the first the one of higher affinity), ``hill_slope``, ``nsb``, ``background``.

    Raises
    ------
    FitError
        If there are too few concentrations or wells, or `depletion` is asked of binding that is not in M.
    RangeError
        If a concentration is negative or given in another unit, or the radioligand is zero everywhere.

    References
    ----------
    .. [1] Swillens (1995), Mol Pharmacol 47:1197.
    .. [2] Hulme & Trevethick (2010), Br J Pharmacol 161:1219, doi 10.1111/j.1476-5381.2009.00604.x.

    Examples
    --------
    >>> import numpy as np
    >>> from halfmax.curves.binding import total_binding
    >>> added = np.tile(np.geomspace(0.1e-9, 30e-9, 6), 4)
    >>> masked = np.repeat([False, False, True, True], 6)
    >>> cpm = total_binding(added, kd=2e-9, bmax=np.where(masked, 0, 5000), nsb=2e10, background=30)
    >>> found = fit_saturation(added, cpm + np.tile([-20, 20, 20], 8), nonspecific=masked, unit="cpm")
    >>> found["kd"].text(), found["bmax"].text()
    ('1.99 nM (1.94–2.05)', '4996 cpm (4957–5036)')
    """
    label = asked.setdefault("label", "saturation")
    wells = Wells.of(radioligand, bound, nonspecific, 0.0, unit, label)
    steps = wells.steps(wells.radioligand, "saturation", 3)
    if hill and (depletion or sites == 2):
        raise FitError(f"{label}: a Hill slope is fitted with one site and without depletion only.")
    if depletion:
        wells.demand_molar("")
    make = _depleted_saturation if depletion else _plain_saturation
    conditions = {"radioligand": wells.radioligand, "open": wells.open}
    surfaces = [make(wells, steps, nonspecific is None, sites, hill, which) for which in ("first", "second")[:sites]]
    found = ordered([fit_surface(one, conditions, wells.bound, fixed=fixed, **asked) for one in surfaces], "kd")
    if sites == 2:
        one = fit_surface(make(wells, steps, nonspecific is None, 1, hill, ""), conditions, wells.bound, **asked)
        found = against_one_site(found, one)
    return _said_of_saturation(found, wells, steps, depletion)


def fitted_saturation(
    found: Estimate, radioligand: ArrayLike, *, nonspecific: bool = False, depletion: bool = False
) -> Array:
    """Line of a fit of `fit_saturation`, for a figure.

    Parameters
    ----------
    found : Estimate
    radioligand : array, M
        Added.
    nonspecific : bool
        Whether a masking ligand stands in the well.
    depletion : bool
        As for the fit.

    Returns
    -------
    array, in the unit of the fit
    """
    values = {one.name: np.asarray(one.best) for one in found.parameters}
    function = _depleted if depletion else _plain
    return function(np.asarray(radioligand, dtype=float), np.asarray(0.0 if nonspecific else 1.0), **values)


def _plain(radioligand: Array, open: Array, **values: Array) -> Array:  # noqa: A002
    """Binding of a radioligand in excess."""
    background = values.get("background", 0.0) + values.get("nsb", 0.0) * radioligand
    if "bmax" in values:
        shares = binding.occupancy(radioligand, kd=values["kd"], hill_slope=values.get("hill_slope", 1.0))
        return np.asarray(open * values["bmax"] * shares + background)
    first, second = pair("kd", values)
    parts = values["bmax_first"] * binding.occupancy(radioligand, kd=first)
    parts = parts + values["bmax_second"] * binding.occupancy(radioligand, kd=second)
    return np.asarray(open * parts + background)


def _depleted(radioligand: Array, open: Array, **values: Array) -> Array:  # noqa: A002
    """Binding of a radioligand of which much is bound."""
    nsb, background = values.get("nsb", 0.0), values.get("background", 0.0)
    wide = 1.0 + np.asarray(nsb)
    if "bmax" in values:
        sites_bound = binding.bound_depleted(radioligand, receptor=open * values["bmax"], kd=values["kd"] * wide)
    else:
        first, second = pair("kd", values)
        sites_bound = binding.bound_sites(
            radioligand, receptor_first=open * values["bmax_first"], receptor_second=open * values["bmax_second"],
            kd_first=first * wide, kd_second=second * wide,
        )  # fmt: skip
    return np.asarray(sites_bound + nsb * (radioligand - sites_bound) / wide + background)


def _plain_saturation(wells: Wells, steps: Array, specific: bool, sites: int, hill: bool, which: str) -> Surface:
    """Surface of radioligand in excess: linear in all but constants and slope."""
    starts, limits = searched("kd", steps[0], steps[-1], which, sites)
    rest = () if specific else ("nsb", "background")
    if hill:
        starts["hill_slope"], limits["hill_slope"] = (0.6, 1.0, 1.7), (0.1, 20.0)
    linear = (("bmax",) if sites == 1 else ("bmax_first", "bmax_second")) + rest
    return surface_of(_plain, starts, linear, limits, wells, f"saturation, {sites_named(sites)}")


def _depleted_saturation(wells: Wells, steps: Array, specific: bool, sites: int, hill: bool, which: str) -> Surface:  # noqa: ARG001
    """Surface of radioligand of which much is bound."""
    starts, limits = searched("kd", steps[0], steps[-1], which, sites)
    sizes = wells.scale() * np.array([1.0, 3.0])
    starts |= {name: tuple(sizes) for name in (("bmax",) if sites == 1 else ("bmax_first", "bmax_second"))}
    if not specific:
        starts["nsb"], limits["nsb"] = wells.nsb_starts(), NSB_LIMITS
    linear = () if specific else ("background",)
    return surface_of(_depleted, starts, linear, limits, wells, f"saturation, {sites_named(sites)}, ligand depletion")


def _said_of_saturation(found: Estimate, wells: Wells, steps: Array, depletion: bool) -> Estimate:
    """Status and notes in the words of a saturation experiment."""
    if "kd" not in found:
        return found
    found = within_reach(found, "kd", 0.0 if depletion else steps[0], steps[-1])
    kd, bmax = found["kd"], found["bmax"]
    if not depletion and wells.unit == "M":
        found = with_note(found, depletion_note(bmax.best / (kd.best + steps[0])))
    if not bmax.low > 0:
        status = (
            f"no curve: specific binding is not told from zero (bmax {bmax.text()}; non-specific binding may be as "
            "high as the total). Kd is not identified. Use more receptor, or less radioligand."
        )
        return replaced(replace(found, status=status), opened(kd, 0.0))
    if kd.operator == "=" and bmax.operator == "=" and not steps[0] <= kd.best <= steps[-1]:
        side = "above the highest" if kd.best > steps[-1] else "below the lowest"
        return if_ok(found, f"ok, extrapolated: Kd lies {side} concentration of radioligand")
    return if_open(found, kd, "Kd", "concentrations of radioligand")
