"""Ki from competition binding."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from halfmax.curves import binding
from halfmax.errors import FitError, RangeError
from halfmax.estimate.binding.surfaces import against_one_site, ordered, pair, searched, sites_named, surface_of
from halfmax.estimate.binding.wells import NSB_LIMITS, Array, Sites, Wells
from halfmax.estimate.binding.wording import (
    between,
    depletion_note,
    if_open,
    opened,
    replaced,
    with_note,
    within_reach,
)
from halfmax.estimate.fitting import fit
from halfmax.estimate.points import FULL_EFFECT_DOUBT
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.surface import Asked, Surface, fit_surface
from halfmax.response import Response
from halfmax.units import format_concentration, p_value

__all__ = ["fit_competition", "fitted_competition"]


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
    wells = Wells.of(radioligand, bound, nonspecific, competitor, unit, label)
    steps = wells.steps(wells.competitor, "competition", 2)
    if homologous:
        _demand_no_kd(kd, sites, label)
        return _homologous(wells, steps, depletion, asked)
    setting = _Setting(_one_radioligand(wells), _demand_kd(kd, kd_se_log, label), receptor, depletion)
    setting.check(wells)
    wells, found = _tied(wells, steps, setting, sites, asked)
    if sites == 1:
        found = within_reach(found, "ki", *setting.reach(steps))
        found = _said_of_competition(_with_apparent(found, _apparent(wells, asked), setting), wells, setting)
    else:
        found = against_one_site(found, _fit_ki(wells, steps, setting, 1, asked))
    if kd_se_log > 0:
        moved = [_fit_ki(wells, steps, setting.moved(kd_se_log, found.level, way), sites, asked) for way in (-1, 1)]
        found = _widened(found, moved, setting, kd_se_log)
    return found


def fitted_competition(
    found: Estimate, competitor: ArrayLike, *, radioligand: float, kd: float, receptor: float | None = None,
    nonspecific: bool = False, depletion: bool = False,
) -> Array:  # fmt: skip
    """Line of a heterologous fit of `fit_competition`, for a figure.

    Parameters
    ----------
    found : Estimate
    competitor : array, M
    radioligand, kd, receptor, depletion
        As for the fit.
    nonspecific : bool
        Whether a masking ligand stands in the well.

    Returns
    -------
    array, in the unit of the fit
    """
    values = {one.name: np.asarray(one.best) for one in found.parameters}
    setting = _Setting(radioligand, kd, receptor, depletion)
    function = setting.molar if "bmax" in values else setting.shared
    return function(np.asarray(competitor, dtype=float), np.asarray(0.0 if nonspecific else 1.0), **values)


@dataclass(frozen=True)
class _Setting:
    """What was set in a heterologous competition: radioligand and its Kd, sites where known, in M."""

    radioligand: float
    kd: float
    receptor: float | None
    depletion: bool

    def check(self, wells: Wells) -> None:
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

    def shared(self, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        """Signal in any unit: a share of the specific binding, and what is left."""
        return np.asarray(values["nonspecific"] + values["specific"] * open * self._share(competitor, values))

    def _share(self, competitor: Array, values: dict[str, Array]) -> Array:
        if self.depletion and self.receptor is not None:
            alone = binding.bound_depleted(self.radioligand, receptor=self.receptor, kd=self.kd)
            return _bound(competitor, self.radioligand, self.receptor, self.kd, values) / alone
        if "ki" in values:
            return np.asarray(1.0 / (1.0 + competitor / (values["ki"] * self.factor)))
        first, second = pair("ki", values)
        part = values["fraction_first"]
        rest = (1.0 - part) / (1.0 + competitor / (second * self.factor))
        return np.asarray(part / (1.0 + competitor / (first * self.factor)) + rest)

    def molar(self, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        """Binding in M, where what is bound is missing from the free radioligand."""
        nsb, receptor = values["nsb"], open * values["bmax"]
        specific = _bound(competitor, self.radioligand, receptor, self.kd * (1.0 + nsb), values)
        return np.asarray(specific + nsb * (self.radioligand - specific) / (1.0 + nsb))

    def share_bound(self) -> float:
        """Share of the radioligand that the sites bind, where their number is known."""
        if self.receptor is None:
            return math.nan
        return float(binding.bound_depleted(self.radioligand, receptor=self.receptor, kd=self.kd)) / self.radioligand


def _one_radioligand(wells: Wells) -> float:
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


def _apparent(wells: Wells, asked: Asked) -> Estimate:
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


def _tied(wells: Wells, steps: Array, setting: _Setting, sites: int, asked: Asked) -> tuple[Wells, Estimate]:
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
        return alone, replace(with_note(free, f"It is not so that {about}: the masked wells take no part."), p_full=p)
    note = f"It is in doubt whether {about}: the masked wells take no part, and the intervals cover both readings."
    return alone, replace(with_note(_covering(free, found), note), p_full=p)


def _p_full(tied: Estimate, free: Estimate, masked: Array) -> float:
    """F-test of masked wells with a mean of their own against those that share the lower plateau of the fit."""
    from scipy import stats

    df, apart = tied.df - 1, free.rss + float(((masked - masked.mean()) ** 2).sum())
    return float(stats.f.sf(max(tied.rss - apart, 0.0) / (apart / df), 1, df)) if df > 0 and apart > 0 else 1.0


def _covering(one: Estimate, other: Estimate) -> Estimate:
    """The first of two estimates, its intervals as wide as both."""
    pairs = zip(one.parameters, other.parameters, strict=True)
    return replace(one, parameters=tuple(between(a, min(a.low, b.low), max(a.high, b.high)) for a, b in pairs))


def _fit_ki(wells: Wells, steps: Array, setting: _Setting, sites: int, asked: Asked) -> Estimate:
    """Direct fit of Ki, or of two."""
    conditions = {"competitor": wells.competitor, "open": wells.open}
    make = _molar_competition if setting.depletion and setting.receptor is None else _shared_competition
    surfaces = [make(wells, steps, setting, sites, which) for which in ("first", "second")[:sites]]
    return ordered([fit_surface(one, conditions, wells.bound, **asked) for one in surfaces], "ki")


def _ki_starts(
    steps: Array, setting: _Setting, sites: int, which: str
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    starts, limits = searched("ki", steps[0] / setting.factor, steps[-1] / setting.factor, which, sites)
    if sites == 2:
        starts["fraction_first"], limits["fraction_first"] = (0.2, 0.5, 0.8), (0.0, 1.0)
    return starts, limits


def _shared_competition(wells: Wells, steps: Array, setting: _Setting, sites: int, which: str) -> Surface:
    """Surface whose specific binding comes in any unit: linear in it and in what is left."""
    starts, limits = _ki_starts(steps, setting, sites, which)
    name = f"competition, {sites_named(sites)}{', ligand depletion' if setting.depletion else ''}"
    return surface_of(setting.shared, starts, ("specific", "nonspecific"), limits, wells, name)


def _molar_competition(wells: Wells, steps: Array, setting: _Setting, sites: int, which: str) -> Surface:
    """Surface of binding in M: the sites are fitted, and everything bound is missing from the free radioligand."""
    starts, limits = _ki_starts(steps, setting, sites, which)
    specific = min(wells.scale(), 0.95 * setting.radioligand)
    sites_in_all = specific * (1.0 + setting.kd / (setting.radioligand - specific))
    starts["bmax"] = tuple(sites_in_all * np.array([0.5, 1.0, 2.0]))
    starts["nsb"], limits["nsb"] = wells.nsb_starts(), NSB_LIMITS
    name = f"competition, {sites_named(sites)}, ligand depletion, in M"
    return surface_of(setting.molar, starts, (), limits, wells, name)


def _bound(
    competitor: Array, added: float, receptor: Array | float, kd: Array | float, values: dict[str, Array]
) -> Array:
    """Radioligand bound beside a competitor to one kind of site or two, M."""
    if "ki" in values:
        return binding.bound_competition(added, competitor, receptor=receptor, kd=kd, ki=values["ki"])
    first, second = pair("ki", values)
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
    return replace(replaced(found, ic50, ki), parts=(apparent,), p_flat=apparent.p_flat)


def _said_of_competition(found: Estimate, wells: Wells, setting: _Setting) -> Estimate:
    """Status and notes in the words of a competition; without a curve there is no Ki but a bound."""
    if not setting.depletion:
        molar = found["specific"].best / setting.radioligand if wells.unit == "M" else math.nan
        found = with_note(found, depletion_note(molar if setting.receptor is None else setting.share_bound()))
    if found.parts[0].status.startswith("no curve"):
        ki = opened(found["ki"], found["ki"].low if (wells.open == 0).any() else 0.0)
        said = f"Reported as Ki {ki.text()}." if ki.operator == ">" else "Ki is not identified."
        status = f"no curve: the competitor takes no radioligand away up to {_top(wells)}. {said}"
        ic50 = replace(opened(ki, ki.low * (1.0 if setting.depletion else setting.factor)), name="ic50")
        classic = replace(ic50.scaled(1.0 / setting.factor, "M"), name="ki_cheng_prusoff")
        return replaced(replace(found, status=status), ki, ic50, classic)
    return if_open(found, found["ki"], "Ki", "concentrations of competitor")


def _top(wells: Wells) -> str:
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
    return with_note(replaced(found, *wider), note)


def _joined(ki: Parameter, moved: list[float], ends: list[_Setting], se: float) -> Parameter:
    shifts = [math.log(one / ki.best) for one in moved]
    down, up = -min(*shifts, 0.0), max(*shifts, 0.0)
    low = ki.best * math.exp(-math.hypot(math.log(ki.best / ki.low), down)) if ki.low > 0 else 0.0
    high = ki.best * math.exp(math.hypot(math.log(ki.high / ki.best), up)) if ki.high < math.inf else math.inf
    slope = (shifts[1] - shifts[0]) / math.log(ends[1].kd / ends[0].kd)
    method = "profile likelihood, error of Kd joined by squares"
    return between(ki, low, high, se=math.hypot(ki.se, slope * se), method=method)


def _homologous(wells: Wells, steps: Array, depletion: bool, asked: Asked) -> Estimate:
    """Kd and Bmax of a radioligand that competes with itself."""
    if depletion:
        wells.demand_molar("")
    conditions = {"radioligand": wells.radioligand, "competitor": wells.competitor, "open": wells.open}
    ends = min(float(wells.radioligand[wells.radioligand > 0].min()), steps[0]), float(steps[-1])
    starts, limits = searched("kd", *ends, "", 1)
    make = _depleted_homologous if depletion else _plain_homologous
    found = fit_surface(make(wells, starts, limits), conditions, wells.bound, **asked)
    if not depletion and wells.unit == "M":
        found = with_note(found, depletion_note(found["bmax"].best / (found["kd"].best + ends[0])))
    return if_open(found, found["kd"], "Kd", "concentrations, of radioligand too")


def _plain_homologous(wells: Wells, starts: dict[str, Any], limits: dict[str, tuple[float, float]]) -> Surface:
    def function(radioligand: Array, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        share = open * radioligand / (values["kd"] + radioligand + competitor)
        return np.asarray(values["bmax"] * share + values["nsb"] * radioligand)

    return surface_of(function, starts, ("bmax", "nsb"), limits, wells, "homologous competition")


def _depleted_homologous(wells: Wells, starts: dict[str, Any], limits: dict[str, tuple[float, float]]) -> Surface:
    starts, limits = dict(starts), dict(limits)
    starts["bmax"] = tuple(wells.scale() * np.array([1.0, 10.0, 100.0]))
    starts["nsb"], limits["nsb"] = wells.nsb_starts(), NSB_LIMITS

    def function(radioligand: Array, competitor: Array, open: Array, **values: Array) -> Array:  # noqa: A002
        wide = 1.0 + values["nsb"]
        hot = binding.bound_homologous(radioligand, competitor, receptor=open * values["bmax"], kd=values["kd"] * wide)
        return np.asarray(hot + values["nsb"] * (radioligand - hot) / wide)

    return surface_of(function, starts, (), limits, wells, "homologous competition, ligand depletion")
