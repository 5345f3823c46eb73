"""Equilibrium binding: Kd and Bmax from saturation, Ki from competition, selectivity from two Ki.

Wells are rows: radioligand (and competitor) added, what was bound, and whether a masking ligand
stood in the well so that only non-specific binding is left. Totals and non-specific wells are
fitted together, raw: nothing is subtracted, nothing clipped, and a negative signal stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import binding
from halfmax.errors import FitError, RangeError
from halfmax.estimate.batch import BEYOND_DOSES
from halfmax.estimate.comparing import compare
from halfmax.estimate.fitting import fit
from halfmax.estimate.points import FULL_EFFECT_DOUBT
from halfmax.estimate.result import Estimate, Operator, Parameter
from halfmax.estimate.surface import Asked, Surface, fit_surface
from halfmax.response import Response
from halfmax.units import format_concentration, p_value

__all__ = ["fit_competition", "fit_saturation", "published_ki", "selectivity"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sites = Literal[1, 2]

#: Share of the radioligand that may be bound before a fit without depletion says so.
DEPLETED = 0.1
#: A radioligand above this many M was given in another unit.
_MOST_RADIOLIGAND = 0.1
#: A constant is looked for so many times below and above the concentrations.
_REACH = 1e4
#: Second constants over first ones: where to look, and how far.
_RATIOS, _RATIO_LIMITS = (10.0, 100.0, 1000.0), (1.0, 1e7)
#: Non-specific binding, M for each M free, may not be so negative that nothing is free.
_NSB_LIMITS = (-0.9, 1e6)


@dataclass(frozen=True)
class _Wells:
    """Wells of one experiment, checked: each array of shape (wells,), `open` 1 where no masking ligand stood."""

    radioligand: Array
    bound: Array
    open: Array
    competitor: Array
    unit: str
    label: str

    @classmethod
    def of(
        cls, radioligand: ArrayLike, bound: ArrayLike, nonspecific: ArrayLike | None, competitor: ArrayLike,
        unit: str, label: str,
    ) -> _Wells:  # fmt: skip
        """Wells of plain sequences."""
        signal = np.asarray(bound, dtype=float)
        if signal.ndim != 1:
            raise FitError(f"{label}: bound must be (wells,), found shape {signal.shape}.")
        masked = np.zeros(signal.size, dtype=bool) if nonspecific is None else np.asarray(nonspecific)
        if masked.dtype != bool:
            raise FitError(
                f"{label}: nonspecific must say True or False for each well, found {masked.dtype}. "
                "Put the non-specific wells into bound, and mark them."
            )
        columns = {"radioligand": radioligand, "competitor": competitor, "nonspecific": masked}
        for name, column in columns.items():
            if np.ndim(column) and np.shape(column) != signal.shape:
                raise FitError(f"{label}: {name} has shape {np.shape(column)}, bound {signal.shape}: one value a well.")
        added, other = (np.broadcast_to(np.asarray(c, dtype=float), signal.shape) for c in (radioligand, competitor))
        found = cls(added, signal, np.where(masked, 0.0, 1.0), np.where(masked, 0.0, other), unit, label)
        return found._checked()

    def _checked(self) -> _Wells:
        for name, column in (("radioligand", self.radioligand), ("competitor", self.competitor)):
            bad = np.flatnonzero(~(np.isfinite(column) & (column >= 0)))
            if bad.size:
                raise RangeError(
                    f"{self.label}, row {bad[0] + 1}: {name} must be a number ≥ 0 in M, found {column[bad[0]]:g}."
                )
        if not (self.radioligand > 0).any():
            raise RangeError(f"{self.label}: radioligand is 0 in every well. Give what was added, in M.")
        if self.radioligand.max() > _MOST_RADIOLIGAND:
            raise RangeError(
                f"{self.label}: radioligand of {self.radioligand.max():g} M. Concentrations are in M: 5 nM is 5e-9."
            )
        if not self.used.any():
            raise FitError(f"{self.label}: no well shows total binding. All are non-specific or missing.")
        return self

    @property
    def used(self) -> Flags:
        """Wells of total binding that were measured."""
        return np.asarray((self.open > 0) & np.isfinite(self.bound))

    def steps(self, column: Array, what: str, needed: int) -> Array:
        """Distinct concentrations above zero of the totals, ascending."""
        found = np.unique(column[self.used & (column > 0)])
        if found.size < needed:
            shown = ", ".join(format_concentration(value) for value in found) or "none"
            raise FitError(
                f"{self.label}: {what} needs at least {needed} concentrations above 0, found {found.size} ({shown}). "
                "Add concentrations on both sides of the expected constant."
            )
        return found

    def totals(self) -> _Wells:
        """Without those in which a masking ligand stood."""
        rows = self.open > 0
        columns = self.radioligand[rows], self.bound[rows], self.open[rows], self.competitor[rows]
        return _Wells(*columns, self.unit, self.label)

    def demand_molar(self, otherwise: str) -> None:
        """Refuse to balance what is bound against what was added in different units."""
        if self.unit != "M":
            raise FitError(
                f'{self.label}: ligand depletion needs bound in M, found unit "{self.unit}". Convert the counts to M '
                f'and say unit="M"{otherwise}, or fit with depletion=False.'
            )
        share = float(np.nansum(self.bound) / self.radioligand[np.isfinite(self.bound)].sum())
        if share > 1:
            raise RangeError(
                f"{self.label}: {share:.3g} times as much radioligand is bound as was added. "
                "Both must be in M of the same volume."
            )

    def scale(self) -> float:
        """Size of the binding that a masking ligand or competitor takes away, never zero."""
        seen = np.isfinite(self.bound)
        spread = float(self.bound[seen].max() - min(self.bound[seen].min(), 0.0))
        return spread or 1.0

    def nsb_starts(self) -> tuple[float, ...]:
        """Where to look for the non-specific binding, M for each M free."""
        masked = np.isfinite(self.bound) & (self.open == 0) & (self.radioligand > 0)
        seen = np.isfinite(self.bound) & (self.radioligand > 0)
        rows = masked if masked.any() else seen
        share = np.clip(self.bound[rows] / self.radioligand[rows], 1e-6, 0.95)
        one = float(np.median(share) if masked.any() else share.min())
        return (one / (1.0 - one),)

    @property
    def slope_unit(self) -> str:
        """Unit of binding for each M of radioligand."""
        return "" if self.unit == "M" else f"{self.unit or 'signal'}/M"


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
    wells = _Wells.of(radioligand, bound, nonspecific, 0.0, unit, label)
    steps = wells.steps(wells.radioligand, "saturation", 3)
    if hill and (depletion or sites == 2):
        raise FitError(f"{label}: a Hill slope is fitted with one site and without depletion only.")
    if depletion:
        wells.demand_molar("")
    make = _depleted_saturation if depletion else _plain_saturation
    conditions = {"radioligand": wells.radioligand, "open": wells.open}
    surfaces = [make(wells, steps, nonspecific is None, sites, hill, which) for which in ("first", "second")[:sites]]
    found = _ordered([fit_surface(one, conditions, wells.bound, fixed=fixed, **asked) for one in surfaces], "kd")
    if sites == 2:
        one = fit_surface(make(wells, steps, nonspecific is None, 1, hill, ""), conditions, wells.bound, **asked)
        found = _against_one_site(found, one)
    return _said_of_saturation(found, wells, steps, depletion)


def _plain_saturation(wells: _Wells, steps: Array, specific: bool, sites: int, hill: bool, which: str) -> Surface:
    """Surface of radioligand in excess: linear in all but constants and slope."""
    starts, limits = _constants("kd", steps[0], steps[-1], which, sites)
    rest = () if specific else ("nsb", "background")
    if hill:
        starts["hill_slope"], limits["hill_slope"] = (0.6, 1.0, 1.7), (0.1, 20.0)

    def function(radioligand: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        background = values.get("background", 0.0) + values.get("nsb", 0.0) * radioligand
        if sites == 1:
            shares = binding.occupancy(radioligand, kd=values["kd"], hill_slope=values.get("hill_slope", 1.0))
            return np.asarray(open * values["bmax"] * shares + background)
        first, second = _pair("kd", values)
        parts = values["bmax_first"] * binding.occupancy(radioligand, kd=first)
        parts = parts + values["bmax_second"] * binding.occupancy(radioligand, kd=second)
        return np.asarray(open * parts + background)

    linear = (("bmax",) if sites == 1 else ("bmax_first", "bmax_second")) + rest
    return _surface(function, starts, linear, limits, wells, f"saturation, {_count(sites)}")


def _depleted_saturation(wells: _Wells, steps: Array, specific: bool, sites: int, hill: bool, which: str) -> Surface:  # noqa: ARG001
    """Surface of radioligand of which much is bound."""
    starts, limits = _constants("kd", steps[0], steps[-1], which, sites)
    sizes = wells.scale() * np.array([1.0, 3.0])
    starts |= {name: tuple(sizes) for name in (("bmax",) if sites == 1 else ("bmax_first", "bmax_second"))}
    if not specific:
        starts["nsb"], limits["nsb"] = wells.nsb_starts(), _NSB_LIMITS

    def function(radioligand: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        nsb, background = values.get("nsb", 0.0), values.get("background", 0.0)
        wide = 1.0 + np.asarray(nsb)
        if sites == 1:
            sites_bound = binding.bound_depleted(radioligand, receptor=open * values["bmax"], kd=values["kd"] * wide)
        else:
            first, second = _pair("kd", values)
            sites_bound = binding.bound_sites(
                radioligand, receptor_first=open * values["bmax_first"], receptor_second=open * values["bmax_second"],
                kd_first=first * wide, kd_second=second * wide,
            )  # fmt: skip
        return np.asarray(sites_bound + nsb * (radioligand - sites_bound) / wide + background)

    linear = () if specific else ("background",)
    return _surface(function, starts, linear, limits, wells, f"saturation, {_count(sites)}, ligand depletion")


def _constants(
    name: str, least: float, most: float, which: str, sites: int
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    """Starts and limits of one constant, or of one of a pair (`which`) and their ratio."""
    low, high = least / _REACH, most * _REACH
    places = np.geomspace(least / 30.0, most * 3.0, 13 if sites == 1 else 9)
    if sites == 1:
        return {name: tuple(places)}, {name: (low, high)}
    starts = {f"{name}_{which}": tuple(places), f"{name}_ratio": _RATIOS}
    return starts, {f"{name}_{which}": (low, high), f"{name}_ratio": _RATIO_LIMITS}


def _pair(name: str, values: dict[str, Array]) -> tuple[Array, Array]:
    """The two constants, of which one is fitted beside their ratio."""
    ratio = values[f"{name}_ratio"]
    if f"{name}_first" in values:
        return values[f"{name}_first"], values[f"{name}_first"] * ratio
    return values[f"{name}_second"] / ratio, values[f"{name}_second"]


def _surface(
    function: Callable[..., Array], starts: dict[str, Any], linear: tuple[str, ...],
    limits: dict[str, tuple[float, float]], wells: _Wells, name: str,
) -> Surface:  # fmt: skip
    """A surface with the units of its parameters; those with a start are positive, but for shares and the slope."""
    positive = tuple(key for key in starts if key != "nsb" and not key.startswith("fraction"))
    units = dict.fromkeys(linear, wells.unit) | {"nsb": wells.slope_unit}
    for key in starts:
        if key.startswith(("kd", "ki")) and not key.endswith("ratio"):
            units[key] = "M"
        elif key.startswith("bmax"):
            units[key] = wells.unit
    return Surface(function, starts, linear, positive, limits, units, name, "Hulme & Trevethick (2010)")


def _count(sites: int) -> str:
    return "one site" if sites == 1 else "two sites"


def _ordered(fits: list[Estimate], name: str) -> Estimate:
    """The fit in terms of the first constant, with the second one and its interval from the fit in terms of that."""
    first = fits[0]
    if len(fits) == 1:
        return first
    place = [p.name for p in first.parameters].index(f"{name}_first") + 1
    parameters = (*first.parameters[:place], fits[1][f"{name}_second"], *first.parameters[place:])
    return replace(first, parameters=parameters)


def _against_one_site(two: Estimate, one: Estimate) -> Estimate:
    """A fit of two sites beside that of one, with the F-test between them."""
    from scipy import stats

    more = one.df - two.df
    statistic = max(one.rss - two.rss, 0.0) / more / (two.rss / two.df) if two.rss > 0 else math.inf
    p = float(stats.f.sf(statistic, more, two.df))
    verdict = "Two sites fit better than one" if p < 0.05 else "Two sites do not fit significantly better than one"
    note = f"{verdict} (F({more}, {two.df}) = {statistic:.3g}, {p_value(p)})."
    return replace(_with_note(two, note), parts=(one,))


def _said_of_saturation(found: Estimate, wells: _Wells, steps: Array, depletion: bool) -> Estimate:
    """Status and notes in the words of a saturation experiment."""
    if "kd" not in found:
        return found
    found = _within_reach(found, "kd", 0.0 if depletion else steps[0], steps[-1])
    kd, bmax = found["kd"], found["bmax"]
    if not depletion and wells.unit == "M":
        found = _with_note(found, _depletion_note(bmax.best / (kd.best + steps[0])))
    if not bmax.low > 0:
        status = (
            f"no curve: specific binding is not told from zero (bmax {bmax.text()}; non-specific binding may be as "
            "high as the total). Kd is not identified. Use more receptor, or less radioligand."
        )
        return _with(replace(found, status=status), _opened(kd, 0.0))
    if kd.operator == "=" and bmax.operator == "=" and not steps[0] <= kd.best <= steps[-1]:
        side = "above the highest" if kd.best > steps[-1] else "below the lowest"
        return _if_ok(found, f"ok, extrapolated: Kd lies {side} concentration of radioligand")
    return _if_open(found, kd, "Kd", "concentrations of radioligand")


def _depletion_note(share: float) -> str:
    """What a fit without depletion says of the share of the radioligand that the sites bind."""
    if not share > DEPLETED:
        return ""
    return f"About {100 * share:.0f} % of the radioligand is bound, and none of that was taken off: use depletion."


def _with_note(estimate: Estimate, note: str) -> Estimate:
    return replace(estimate, notes=(*estimate.notes, note)) if note else estimate


def _within_reach(estimate: Estimate, name: str, least: float, most: float) -> Estimate:
    """The estimate with the ends of a constant open that leave the concentrations by more than tenfold."""
    one = estimate[name]
    low = min(one.low, most * BEYOND_DOSES) if one.low >= least / BEYOND_DOSES else 0.0
    high = max(one.high, least / BEYOND_DOSES) if one.high <= most * BEYOND_DOSES else math.inf
    if (low, high) == (one.low, one.high):
        return estimate
    return _with(replace(estimate, status="open"), _between(one, low, high))


def _opened(parameter: Parameter, low: float) -> Parameter:
    """The parameter, bounded by nothing but `low`."""
    return _between(parameter, low, math.inf)


def _between(parameter: Parameter, low: float, high: float, **changed: Any) -> Parameter:
    """The parameter with other ends, from which its operator follows, and with whatever else is `changed`."""
    one = Parameter.bounded(parameter.name, parameter.best, low, high, log=parameter.log)
    return replace(parameter, value=one.value, low=low, high=high, operator=one.operator, **changed)


def _with(estimate: Estimate, *parameters: Parameter) -> Estimate:
    """The estimate with some parameters in place of those of the same name, or behind the others."""
    new = {one.name: one for one in parameters}
    kept = tuple(new.pop(one.name, one) for one in estimate.parameters)
    return replace(estimate, parameters=(*kept, *new.values()))


def _if_ok(estimate: Estimate, status: str) -> Estimate:
    return replace(estimate, status=status) if estimate.status == "ok" else estimate


def _if_open(estimate: Estimate, parameter: Parameter, symbol: str, what: str) -> Estimate:
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


def fit_competition(
    competitor: ArrayLike,
    bound: ArrayLike,
    *,
    radioligand: ArrayLike,
    kd: float | None = None,
    kd_se_log: float = 0.0,
    receptor: float | None = None,
    nonspecific: ArrayLike | None = None,
    depletion: bool = False,
    sites: Sites = 1,
    homologous: bool = False,
    unit: str = "",
    **asked: Unpack[Asked],
) -> Estimate:
    """Ki from competition binding, fitted directly, with the IC50 and the Ki of Cheng and Prusoff beside it.

    Without depletion::

        bound = nonspecific + specific * (1 + L / kd) / (1 + L / kd + C / ki)

    With depletion the share is that of Wang's exact cubic. Then either `receptor` is given in M,
    and `bound` may come in any unit (counts, anisotropy); or `bound` is in M, and the sites are
    fitted with it as ``bmax``, beside ``nsb``.

    Parameters
    ----------
    competitor : array, shape (wells,), M
        Added, >= 0; 0 where there was none.
    bound : array, shape (wells,), in `unit`
        NaN where a well is missing. Negative values are kept.
    radioligand : float, or array, shape (wells,), M
        Added, > 0. Several concentrations are for homologous competition.
    kd : float, M
        Of the radioligand; not for homologous competition, which finds it.
    kd_se_log : float
        Standard error of ln `kd`. What moving `kd` to either end of its own interval does to Ki is
        joined to Ki's interval by its squares, as if the two errors were independent.
    receptor : float, M, optional
        Concentration of sites, for depletion; taken as known.
    nonspecific : array of bool, shape (wells,), optional
        Where a masking ligand left only non-specific binding.
    depletion : bool
    sites : {1, 2}
        Of the competitor; the radioligand has the same Kd at both.
    homologous : bool
        Whether the competitor is the radioligand itself without its label.
    unit, **asked
        As for `fit_saturation`.

    Returns
    -------
    Estimate
        ``ki``, ``specific`` and ``nonspecific`` (or ``bmax`` and ``nsb``), ``ic50`` and
        ``ki_cheng_prusoff``; of two sites ``ki_first``, ``ki_second``, ``ki_ratio`` and
        ``fraction_first``; homologous ``kd``, ``bmax``, ``nsb``. Its ``parts`` hold the
        fit of the IC50, or of one site.

    Raises
    ------
    FitError
        If there are too few concentrations or wells, Kd is missing, or depletion has neither `receptor` nor M.
    RangeError
        If a concentration is negative or in another unit, or the radioligand is zero.

    References
    ----------
    .. [1] Wang (1995), FEBS Lett 360:111, doi 10.1016/0014-5793(95)00062-E.
    .. [2] Cheng & Prusoff (1973), Biochem Pharmacol 22:3099, doi 10.1016/0006-2952(73)90196-2.
    .. [3] Zou & Donner (2008), Stat Med 27:1693, doi 10.1002/sim.3095.

    Examples
    --------
    >>> import numpy as np
    >>> competitor = np.repeat([0, 1e-9, 3e-9, 1e-8, 3e-8, 1e-7, 1e-6], 2)
    >>> cpm = 200 + 5000 / (1 + competitor / 2e-8) + np.tile([-60, 60], 7)
    >>> found = fit_competition(competitor, cpm, radioligand=1e-9, kd=1e-9, unit="cpm")
    >>> found["ki"].text(), found["ic50"].text(), found["ki_cheng_prusoff"].text()
    ('10.0 nM (9.12–11.0)', '20.0 nM (18.2–21.9)', '10.0 nM (9.12–11.0)')
    """
    label = asked.setdefault("label", "competition")
    wells = _Wells.of(radioligand, bound, nonspecific, competitor, unit, label)
    steps = wells.steps(wells.competitor, "competition", 2)
    if homologous:
        _demand_no_kd(kd, sites, label)
        return _homologous(wells, steps, depletion, asked)
    setting = _Setting(_one_radioligand(wells), _demand_kd(kd, kd_se_log, label), receptor, depletion)
    setting.check(wells)
    wells, found = _tied(wells, steps, setting, sites, asked)
    if sites == 1:
        found = _within_reach(found, "ki", *setting.reach(steps))
        found = _said_of_competition(_with_apparent(found, _apparent(wells, asked), setting), wells, setting)
    else:
        found = _against_one_site(found, _fit_ki(wells, steps, setting, 1, asked))
    if kd_se_log > 0:
        moved = [_fit_ki(wells, steps, setting.moved(kd_se_log, found.level, way), sites, asked) for way in (-1, 1)]
        found = _widened(found, moved, setting, kd_se_log)
    return found


@dataclass(frozen=True)
class _Setting:
    """What was set in a heterologous competition: radioligand and its Kd, sites where known, in M."""

    radioligand: float
    kd: float
    receptor: float | None
    depletion: bool

    def check(self, wells: _Wells) -> None:
        """Refuse depletion without an amount to balance."""
        if self.receptor is not None and not self.receptor > 0:
            raise RangeError(f"{wells.label}: receptor must be > 0 M, found {self.receptor:g}.")
        if self.depletion and self.receptor is None:
            wells.demand_molar(", or give receptor in M")

    @property
    def factor(self) -> float:
        """IC50 over Ki of Cheng and Prusoff."""
        return 1.0 + self.radioligand / self.kd

    def reach(self, steps: Array) -> tuple[float, float]:
        """Lowest and highest Ki whose IC50 is among the concentrations; with depletion none is too low."""
        return 0.0 if self.depletion else steps[0] / self.factor, steps[-1] / self.factor

    def moved(self, se: float, level: float, way: int) -> _Setting:
        """With Kd at an end of its own interval."""
        from scipy import stats

        return replace(self, kd=self.kd * math.exp(way * float(stats.norm.ppf(0.5 + level / 2)) * se))

    def share_bound(self) -> float:
        """Share of the radioligand that the sites bind, where their number is known."""
        if self.receptor is None:
            return math.nan
        return float(binding.bound_depleted(self.radioligand, receptor=self.receptor, kd=self.kd)) / self.radioligand


def _one_radioligand(wells: _Wells) -> float:
    found = np.unique(wells.radioligand)
    if found.size > 1:
        raise RangeError(
            f"{wells.label}: one concentration of radioligand is expected, found {found.size} "
            f"({format_concentration(found[0])} to {format_concentration(found[-1])}). Fit each by itself."
        )
    return float(found[0])


def _demand_kd(kd: float | None, se: float, label: str) -> float:
    if kd is None:
        raise FitError(f"{label}: Ki needs the Kd of the radioligand. Give kd, from saturation; or homologous=True.")
    if not (math.isfinite(kd) and kd > 0):
        raise RangeError(f"{label}: kd must be > 0 M, found {kd:g}.")
    if not (math.isfinite(se) and se >= 0):
        raise RangeError(f"{label}: kd_se_log must be ≥ 0, found {se:g}: the standard error of kd over kd.")
    return kd


def _demand_no_kd(kd: float | None, sites: int, label: str) -> None:
    if kd is not None:
        raise FitError(f"{label}: homologous competition finds Kd itself. Leave kd out, or homologous.")
    if sites != 1:
        raise FitError(f"{label}: homologous competition is fitted with one site. Fit a saturation with sites=2.")


def _apparent(wells: _Wells, asked: Asked) -> Estimate:
    """IC50 of a plain falling curve of slope 1, with the masked wells as its full effect."""
    masked = wells.open == 0
    roles = np.where(masked, "kill", np.where(wells.competitor == 0, "vehicle", "sample"))
    response = Response.of(
        np.where(masked, np.nan, wells.competitor), wells.bound, role=roles.tolist(), quantity=wells.label,
        signal_unit=wells.unit,
    )  # fmt: skip
    return fit(
        response,
        "hill4",
        direction="falling",
        fixed={"hill_slope": -1.0},
        level=asked.get("level", 0.95),
        noise=asked.get("noise", "constant"),
    )


def _tied(wells: _Wells, steps: Array, setting: _Setting, sites: int, asked: Asked) -> tuple[_Wells, Estimate]:
    """Wells and fit: the masked wells take part if what the competitor leaves is what they show."""
    found = _fit_ki(wells, steps, setting, sites, asked)
    masked = wells.bound[(wells.open == 0) & np.isfinite(wells.bound)]
    alone = wells.totals()
    if masked.size == 0 or _apparent(alone, asked).status.startswith("no curve"):
        return wells, found
    free = _fit_ki(alone, steps, setting, sites, asked)
    if asked.get("noise", "constant") == "constant":
        p = _p_full(found, free, masked)
    else:  # sums of squares of wells that are weighed are not compared
        plain: Asked = {**asked, "noise": "constant"}
        one, other = (_fit_ki(part, steps, setting, sites, plain) for part in (wells, alone))
        p = _p_full(one, other, masked)
    if p >= FULL_EFFECT_DOUBT[0]:
        return wells, found
    about = f"what the competitor leaves is what the masking ligand leaves (F-test, {p_value(p)})"
    if p < FULL_EFFECT_DOUBT[1]:
        return alone, replace(_with_note(free, f"It is not so that {about}: the masked wells take no part."), p_full=p)
    note = f"It is in doubt whether {about}: the masked wells take no part, and the intervals cover both readings."
    return alone, replace(_with_note(_covering(free, found), note), p_full=p)


def _p_full(tied: Estimate, free: Estimate, masked: Array) -> float:
    """F-test of masked wells with a mean of their own against those that share the lower plateau of the fit."""
    from scipy import stats

    df, apart = tied.df - 1, free.rss + float(((masked - masked.mean()) ** 2).sum())
    return float(stats.f.sf(max(tied.rss - apart, 0.0) / (apart / df), 1, df)) if df > 0 and apart > 0 else 1.0


def _covering(one: Estimate, other: Estimate) -> Estimate:
    """The first of two estimates, its intervals as wide as both."""
    pairs = zip(one.parameters, other.parameters, strict=True)
    return replace(one, parameters=tuple(_between(a, min(a.low, b.low), max(a.high, b.high)) for a, b in pairs))


def _fit_ki(wells: _Wells, steps: Array, setting: _Setting, sites: int, asked: Asked) -> Estimate:
    """Direct fit of Ki, or of two."""
    conditions = {"competitor": wells.competitor, "open": wells.open}
    make = _molar_competition if setting.depletion and setting.receptor is None else _shared_competition
    surfaces = [make(wells, steps, setting, sites, which) for which in ("first", "second")[:sites]]
    return _ordered([fit_surface(one, conditions, wells.bound, **asked) for one in surfaces], "ki")


def _ki_starts(
    steps: Array, setting: _Setting, sites: int, which: str
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    starts, limits = _constants("ki", steps[0] / setting.factor, steps[-1] / setting.factor, which, sites)
    if sites == 2:
        starts["fraction_first"], limits["fraction_first"] = (0.2, 0.5, 0.8), (0.0, 1.0)
    return starts, limits


def _shared_competition(wells: _Wells, steps: Array, setting: _Setting, sites: int, which: str) -> Surface:
    """Surface whose specific binding comes in any unit: linear in it and in what is left."""
    starts, limits = _ki_starts(steps, setting, sites, which)
    added, kd = setting.radioligand, setting.kd
    sites_in_all = setting.receptor if setting.depletion and setting.receptor is not None else 0.0
    alone = binding.bound_depleted(added, receptor=sites_in_all, kd=kd) if sites_in_all else 1.0

    def share(competitor: Array, values: dict[str, Array]) -> Array:
        if sites_in_all:
            return _bound(competitor, added, sites_in_all, kd, values) / alone
        if sites == 1:
            return np.asarray(1.0 / (1.0 + competitor / (values["ki"] * setting.factor)))
        first, second = _pair("ki", values)
        part = values["fraction_first"]
        rest = (1.0 - part) / (1.0 + competitor / (second * setting.factor))
        return np.asarray(part / (1.0 + competitor / (first * setting.factor)) + rest)

    def function(competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        return np.asarray(values["nonspecific"] + values["specific"] * open * share(competitor, values))

    name = f"competition, {_count(sites)}{', ligand depletion' if sites_in_all else ''}"
    return _surface(function, starts, ("specific", "nonspecific"), limits, wells, name)


def _molar_competition(wells: _Wells, steps: Array, setting: _Setting, sites: int, which: str) -> Surface:
    """Surface of binding in M: the sites are fitted, and everything bound is missing from the free radioligand."""
    starts, limits = _ki_starts(steps, setting, sites, which)
    added, kd = setting.radioligand, setting.kd
    specific = min(wells.scale(), 0.95 * added)
    starts["bmax"] = tuple(specific * (1.0 + kd / (added - specific)) * np.array([0.5, 1.0, 2.0]))
    starts["nsb"], limits["nsb"] = wells.nsb_starts(), _NSB_LIMITS

    def function(competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        nsb, receptor = values["nsb"], open * values["bmax"]
        specific = _bound(competitor, added, receptor, kd * (1.0 + nsb), values)
        return np.asarray(specific + nsb * (added - specific) / (1.0 + nsb))

    return _surface(function, starts, (), limits, wells, f"competition, {_count(sites)}, ligand depletion, in M")


def _bound(
    competitor: Array, added: float, receptor: Array | float, kd: Array | float, values: dict[str, Array]
) -> Array:
    """Radioligand bound beside a competitor to one kind of site or two, M."""
    if "ki" in values:
        return binding.bound_competition(added, competitor, receptor=receptor, kd=kd, ki=values["ki"])
    first, second = _pair("ki", values)
    part = values["fraction_first"]
    return binding.bound_sites(
        added, competitor, receptor_first=part * receptor, receptor_second=(1.0 - part) * receptor,
        kd_first=kd, kd_second=kd, ki_first=first, ki_second=second,
    )  # fmt: skip


def _with_apparent(found: Estimate, apparent: Estimate, setting: _Setting) -> Estimate:
    """The direct fit with the IC50 and the Ki of Cheng and Prusoff, which without depletion are the same fit."""
    ic50 = apparent["ec50"] if setting.depletion else found["ki"].scaled(setting.factor, "M")
    ic50 = replace(ic50, name="ic50")
    ki = replace(ic50.scaled(1.0 / setting.factor, "M"), name="ki_cheng_prusoff")
    return replace(_with(found, ic50, ki), parts=(apparent,), p_flat=apparent.p_flat)


def _said_of_competition(found: Estimate, wells: _Wells, setting: _Setting) -> Estimate:
    """Status and notes in the words of a competition; without a curve there is no Ki but a bound."""
    if not setting.depletion:
        molar = found["specific"].best / setting.radioligand if wells.unit == "M" else math.nan
        found = _with_note(found, _depletion_note(molar if setting.receptor is None else setting.share_bound()))
    if found.parts[0].status.startswith("no curve"):
        ki = _opened(found["ki"], found["ki"].low if (wells.open == 0).any() else 0.0)
        said = f"Reported as Ki {ki.text()}." if ki.operator == ">" else "Ki is not identified."
        status = f"no curve: the competitor takes no radioligand away up to {_top(wells)}. {said}"
        ic50 = replace(_opened(ki, ki.low * (1.0 if setting.depletion else setting.factor)), name="ic50")
        classic = replace(ic50.scaled(1.0 / setting.factor, "M"), name="ki_cheng_prusoff")
        return _with(replace(found, status=status), ki, ic50, classic)
    return _if_open(found, found["ki"], "Ki", "concentrations of competitor")


def _top(wells: _Wells) -> str:
    return format_concentration(float(wells.competitor[wells.used].max()))


def _widened(found: Estimate, moved: list[Estimate], setting: _Setting, se: float) -> Estimate:
    """Ki and the Ki of Cheng and Prusoff with the error of Kd joined by squares (MOVER on the logarithm)."""
    ends = [setting.moved(se, found.level, way) for way in (-1, 1)]
    names = [name for name in ("ki", "ki_first", "ki_second") if name in found]
    wider = [_joined(found[name], [one[name].best for one in moved], ends, se) for name in names]
    if "ic50" in found:
        classic = [found["ic50"].best / one.factor for one in ends]
        wider.append(_joined(found["ki_cheng_prusoff"], classic, ends, se))
    note = f"The intervals of Ki hold the error of Kd (SE of ln Kd {se:g})."
    return _with_note(_with(found, *wider), note)


def _joined(ki: Parameter, moved: list[float], ends: list[_Setting], se: float) -> Parameter:
    shifts = [math.log(one / ki.best) for one in moved]
    down, up = -min(*shifts, 0.0), max(*shifts, 0.0)
    low = ki.best * math.exp(-math.hypot(math.log(ki.best / ki.low), down)) if ki.low > 0 else 0.0
    high = ki.best * math.exp(math.hypot(math.log(ki.high / ki.best), up)) if ki.high < math.inf else math.inf
    slope = (shifts[1] - shifts[0]) / math.log(ends[1].kd / ends[0].kd)
    method = "profile likelihood, error of Kd joined by squares"
    return _between(ki, low, high, se=math.hypot(ki.se, slope * se), method=method)


def _homologous(wells: _Wells, steps: Array, depletion: bool, asked: Asked) -> Estimate:
    """Kd and Bmax of a radioligand that competes with itself."""
    if depletion:
        wells.demand_molar("")
    conditions = {"radioligand": wells.radioligand, "competitor": wells.competitor, "open": wells.open}
    ends = min(float(wells.radioligand[wells.radioligand > 0].min()), steps[0]), float(steps[-1])
    starts, limits = _constants("kd", *ends, "", 1)
    make = _depleted_homologous if depletion else _plain_homologous
    found = fit_surface(make(wells, starts, limits), conditions, wells.bound, **asked)
    if not depletion and wells.unit == "M":
        found = _with_note(found, _depletion_note(found["bmax"].best / (found["kd"].best + ends[0])))
    return _if_open(found, found["kd"], "Kd", "concentrations, of radioligand too")


def _plain_homologous(wells: _Wells, starts: dict[str, Any], limits: dict[str, tuple[float, float]]) -> Surface:
    def function(radioligand: Array, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        share = open * radioligand / (values["kd"] + radioligand + competitor)
        return np.asarray(values["bmax"] * share + values["nsb"] * radioligand)

    return _surface(function, starts, ("bmax", "nsb"), limits, wells, "homologous competition")


def _depleted_homologous(wells: _Wells, starts: dict[str, Any], limits: dict[str, tuple[float, float]]) -> Surface:
    starts, limits = dict(starts), dict(limits)
    starts["bmax"] = tuple(wells.scale() * np.array([1.0, 10.0, 100.0]))
    starts["nsb"], limits["nsb"] = wells.nsb_starts(), _NSB_LIMITS

    def function(radioligand: Array, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        wide = 1.0 + values["nsb"]
        hot = binding.bound_homologous(radioligand, competitor, receptor=open * values["bmax"], kd=values["kd"] * wide)
        return np.asarray(hot + values["nsb"] * (radioligand - hot) / wide)

    return _surface(function, starts, (), limits, wells, "homologous competition, ligand depletion")


def published_ki(
    ki: float, *, se: float = math.nan, operator: Operator = "=", level: float = 0.95, label: str = "published"
) -> Estimate:
    """A Ki that somebody published, as an estimate: a censored one (≥ 10 µM) stays a bound.

    Parameters
    ----------
    ki : float, M
    se : float, M
        Standard error; the interval is that of a log-normal one with ``se / ki`` as the error of ln ki.
        Without it, the interval is the value alone.
    operator : {"=", ">", "<"}
        Of a bound; it has no standard error.
    level : float
    label : str

    Returns
    -------
    Estimate
        With ``ki``.

    Raises
    ------
    RangeError
        If `ki` is not positive.

    Examples
    --------
    >>> published_ki(10e-6, operator=">")["ki"].text()
    '> 10 µM'
    >>> published_ki(14.6e-9, se=6.9e-9)["ki"].text()
    '14.6 nM (5.8–36.9)'
    """
    from scipy import stats

    if not (math.isfinite(ki) and ki > 0):
        raise RangeError(f"{label}: ki must be > 0 M, found {ki:g}.")
    error = se / ki if math.isfinite(se) else 0.0
    half = float(stats.norm.ppf(0.5 + level / 2)) * error
    low = 0.0 if operator in ("<", "?") else ki * math.exp(-half)
    high = math.inf if operator in (">", "?") else ki * math.exp(half)
    one = Parameter.bounded("ki", ki, low, high, log=True, unit="M", se=error)
    return Estimate("published", (replace(one, method="as published"),), level, label=label)


def selectivity(target: Estimate, other: Estimate, *, level: float = 0.95, label: str = "selectivity") -> Estimate:
    """How many times higher the Ki at another receptor is than at the target, with its interval or its operator.

    A Ki that is only a bound makes the ratio one: the end of the one interval over that of the
    other (`compare`).

    Parameters
    ----------
    target, other : Estimate
        With ``ki``.
    level : float
    label : str

    Returns
    -------
    Estimate
        With ``selectivity``.

    Examples
    --------
    >>> selectivity(published_ki(14.6e-9), published_ki(10e-6, operator=">"))["selectivity"].text()
    '> 680'
    """
    return compare(target, other, parameter="ki", name="selectivity", level=level, label=label)
