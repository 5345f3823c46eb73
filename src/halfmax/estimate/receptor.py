"""Fits of families of receptor curves with shared parameters, each with a profile interval.

What was set in each well (agonist, antagonist, treatment) is a column, and one function of
`halfmax.curves.receptor` goes through all wells of an experiment at once (`fit_surface`).  The
search starts from the data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import receptor
from halfmax.errors import FitError, RangeError, nearest
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.status import SIGNIFICANCE
from halfmax.estimate.surface import Options, Surface, fit_surface_all
from halfmax.units import format_concentration, p_value

__all__ = [
    "Options",
    "ReceptorFamily",
    "Schild",
    "agonist_family",
    "fit_agonists",
    "fit_furchgott",
    "fit_gaddum",
    "fit_irreversible_before",
    "fit_irreversible_together",
    "fit_schild",
    "furchgott_family",
    "gaddum_family",
    "irreversible_family",
    "together_family",
]

Array = NDArray[np.float64]
_SLOPES = (0.1, 20.0)
#: A transducer ratio, and a fraction of receptors left, are looked for between these.
_TAUS, _FRACTIONS = (1e-3, 1e3), (1e-6, 1.0)
#: K_I is looked for so far from the doses, kinact so far from one over the time.
_FAR = 1e4
#: The greatest response is first looked for this share of the range beyond the signals.
_HEADROOM = 0.1


@dataclass(frozen=True)
class _Pair:
    """Two parameters of which data may give the ratio only, ``first^(1/power) / second``."""

    first: str
    second: str
    ratio: str
    unit: str
    power: str = ""

    def by_first(self, values: dict[str, Array]) -> None:
        """Put the second in the place of the ratio."""
        values[self.second] = self.root(values) / values.pop(self.ratio)

    def by_second(self, values: dict[str, Array]) -> None:
        """Put the first in the place of the ratio."""
        product = values.pop(self.ratio) * values[self.second]
        values[self.first] = product ** values[self.power] if self.power else product

    def root(self, values: Mapping[str, Any]) -> Any:
        """What the ratio is one of."""
        return values[self.first] ** (1.0 / values[self.power]) if self.power else values[self.first]


def _with_open_em(estimate: Estimate) -> Estimate:
    """A transducer ratio without a lower bound leaves the greatest response without one beyond the data."""
    if "tau" not in estimate or estimate["tau"].low > 0:
        return estimate
    em = estimate["em"]
    low, high = (em.low, math.inf) if em.best >= estimate["basal"].best else (-math.inf, em.high)
    opened = Parameter.bounded("em", em.best, low, high, se=em.se)
    return replace(estimate, parameters=tuple(opened if one.name == "em" else one for one in estimate.parameters))


def _said(estimate: Estimate) -> Estimate:
    """With a status that names all that is open, of whichever fit it comes."""
    opened = [one.name for one in estimate.parameters if one.operator != "="]
    if not opened or not estimate.status.startswith(("ok", "open")):
        return estimate
    status = f"open: the data do not bound {', '.join(opened)} on both sides. Add points, or hold a parameter."
    return replace(estimate, status=status)


_AFFINITY = _Pair("tau", "ka", "transduction", "1/M")
_KINETICS = _Pair("kinact", "k_inact_half", "inactivation_efficiency", "1/(M s)")


@dataclass(frozen=True)
class ReceptorFamily:
    """A surface with starts from data, and the conditions of its wells: what is fitted to one experiment or many.

    Parameters
    ----------
    surface : Surface
    conditions : mapping of str to array, each shape (wells,)
    pairs : tuple
        Parameters that go up together where the data give their ratio only, such as tau and KA. The
        limit of either would close the interval of the other, so that each is profiled in a fit
        whose other parameter is the ratio.
    """

    surface: Surface
    conditions: Mapping[str, Array]
    pairs: tuple[_Pair, ...] = ()

    def fit(self, signal: ArrayLike, **options: Unpack[Options]) -> Estimate:
        """Estimate of one experiment, `signal` of shape (wells,)."""
        return self.fit_all(np.asarray(signal, dtype=float)[None], **options)[0]

    def fit_all(self, signals: ArrayLike, **options: Unpack[Options]) -> list[Estimate]:
        """Estimates of many experiments with the same conditions, `signals` of shape (experiments, wells), at once."""
        asked = {**(options.get("fixed") or {}), **(options.get("bounds") or {})}
        if not self.pairs or any(name in asked for pair in self.pairs for name in (pair.first, pair.second)):
            return fit_surface_all(self.surface, self.conditions, signals, **options)
        surface = self._by_first()
        found = fit_surface_all(surface, self.conditions, signals, **options)
        near = {name: float(np.median([one[name].best for one in found])) for name in surface.starts}
        others = fit_surface_all(self._by_second(near), self.conditions, signals, **options)
        names = [pair.second for pair in self.pairs]
        return [
            _said(_with_open_em(replace(one, parameters=(*one.parameters, *(other[name] for name in names)))))
            for one, other in zip(found, others, strict=True)
        ]

    def _by_first(self) -> Surface:
        """The surface by the first of each pair and the ratio."""
        middle = {name: np.exp(np.log(np.atleast_1d(v)).mean()) for name, v in self.surface.starts.items()}
        starts = dict(self.surface.starts)
        for pair in self.pairs:
            starts[pair.ratio] = float(pair.root(middle) / middle[pair.second])
            del starts[pair.second]
        return self._turned(_Pair.by_first, starts)

    def _by_second(self, near: Mapping[str, float]) -> Surface:
        """The surface by the second of each pair and the ratio, from near an optimum of the other."""
        starts = dict(near)
        for pair in self.pairs:
            starts[pair.second] = float(pair.root(near)) / near[pair.ratio]
            del starts[pair.first]
        return self._turned(_Pair.by_second, starts)

    def _turned(
        self, turn: Callable[[_Pair, dict[str, Array]], None], starts: Mapping[str, float | Sequence[float]]
    ) -> Surface:
        inner, pairs, old = self.surface.function, self.pairs, self.surface

        def response(**values: Array) -> Array:
            for pair in pairs:
                turn(pair, values)
            return inner(**values)

        positive = {*old.positive, *(pair.ratio for pair in pairs)}
        return replace(
            old, function=response, starts=starts, positive=tuple(name for name in starts if name in positive),
            limits={name: limit for name, limit in old.limits.items() if name in starts},
            units={**old.units, **{pair.ratio: pair.unit for pair in pairs}},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Schild:
    """Agonist curves beside several antagonist concentrations, with the Schild slope free and held at 1.

    Report `free` (also called `estimate`), or `competitive` where a slope of 1 was settled before the
    data were seen. Do not let the test choose: where the slope is 1.1, the test overlooks it most of
    the time, and 64 % of the intervals of pA2 that are chosen so cover.

    Parameters
    ----------
    free, competitive : Estimate
        With the Schild slope fitted, and held at 1; the second has `kb` besides.
    p_slope : float
        P-value of the F-test of a Schild slope of 1.
    status : str
        What the test says, in a sentence.
    """

    free: Estimate
    competitive: Estimate
    p_slope: float
    status: str

    @property
    def estimate(self) -> Estimate:
        """The one to report, whatever the test says: `free`."""
        return self.free

    def __str__(self) -> str:
        return f"{self.status}\n{self.estimate}"


def fit_gaddum(
    agonist: ArrayLike,
    antagonist: ArrayLike,
    signal: ArrayLike,
    **options: Unpack[Options],
) -> Estimate:
    """Affinity of a competitive antagonist from all wells together, the Schild slope held at 1.

    Any design will do that has wells without antagonist: agonist curves beside one or several
    antagonist concentrations, or one agonist curve and an inhibition curve.

    Parameters
    ----------
    agonist, antagonist : array, shape (wells,), M
        What was in each well, >= 0.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    **options
        `Options`, as for `fit_surface`.

    Returns
    -------
    Estimate
        ``ec50``, ``hill_slope``, ``pa2``, ``schild_slope`` (held), ``emax``, ``basal``, and ``kb``,
        which is 10 to the power of minus ``pa2``.

    Raises
    ------
    FitError
        If all agonist or all antagonist concentrations are zero, or no well is without antagonist.
    RangeError
        If a concentration is negative or no number.

    References
    ----------
    .. [1] Gaddum (1937), J Physiol 89:7P.
    .. [2] Lazareno & Birdsall (1993), Br J Pharmacol 109:1110.

    Examples
    --------
    >>> agonist, antagonist = (x.ravel() for x in np.meshgrid(np.geomspace(1e-9, 1e-5, 9), [0, 3e-8, 1e-7, 3e-7]))
    >>> truth = dict(ec50=2e-8, pa2=7.5, emax=100.0)
    >>> signal = receptor.gaddum(agonist, antagonist, **truth) + np.tile([-1.0, 2.0, -1.0], 12)
    >>> fit_gaddum(agonist, antagonist, signal)["pa2"].text()
    '7.50 (7.44–7.55)'
    """
    family = gaddum_family(agonist, antagonist, signal, label=options.get("label", ""))
    return _competitive(family, signal, options)


def _competitive(family: ReceptorFamily, signal: ArrayLike, options: Options) -> Estimate:
    """Fit with the Schild slope held at 1, and the dissociation constant that pA2 then is."""
    held: Options = {**options, "fixed": {**(options.get("fixed") or {}), "schild_slope": 1.0}}
    found = family.fit(signal, **held)
    pa2 = found["pa2"]
    kb = Parameter.bounded(
        "kb", 10.0**-pa2.best, 10.0**-pa2.high, 10.0**-pa2.low, log=True, unit="M", se=pa2.se * math.log(10.0),
    )  # fmt: skip
    return replace(found, parameters=(*found.parameters, kb))


def fit_schild(
    agonist: ArrayLike,
    antagonist: ArrayLike,
    signal: ArrayLike,
    **options: Unpack[Options],
) -> Schild:
    """pA2 and Schild slope from all wells together, with the F-test of a slope of 1.

    No Schild plot: dose ratios are never formed, so that the error of the control curve counts once.

    Parameters
    ----------
    agonist, antagonist : array, shape (wells,), M
        What was in each well, >= 0.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    **options
        `Options`, as for `fit_surface`. The noise must be constant: residual sums of squares are compared.

    Returns
    -------
    Schild

    Raises
    ------
    FitError
        As `fit_gaddum`; and if there is one antagonist concentration only, because the Schild slope
        cannot be tested then.
    RangeError
        If a concentration is negative or no number.

    References
    ----------
    .. [1] Arunlakshana & Schild (1959), Br J Pharmacol 14:48, doi 10.1111/j.1476-5381.1959.tb00928.x.

    Examples
    --------
    >>> agonist, antagonist = (x.ravel() for x in np.meshgrid(np.geomspace(1e-9, 1e-5, 9), [0, 3e-8, 1e-7, 3e-7]))
    >>> truth = dict(ec50=2e-8, pa2=7.5, emax=100.0)
    >>> signal = receptor.gaddum(agonist, antagonist, **truth) + np.tile([-1.0, 2.0, -1.0], 12)
    >>> fit_schild(agonist, antagonist, signal).free["schild_slope"].text()
    '1.00 (0.919–1.09)'
    """
    who = options.get("label") or "Schild"
    used = np.unique(np.asarray(antagonist, dtype=float))
    used = used[used > 0]
    if used.size == 1:
        raise FitError(
            f"{who}: one antagonist concentration above zero ({format_concentration(used[0])}), so the Schild slope "
            "cannot be tested. Add concentrations, or take it to be 1: fit_gaddum."
        )
    if options.get("noise", "constant") != "constant":
        raise FitError(
            f"{who}: the test of the Schild slope needs constant noise, found {options['noise']!r}. Use fit_gaddum."
        )
    family = gaddum_family(agonist, antagonist, signal, label=options.get("label", ""))
    free, competitive = family.fit(signal, **options), _competitive(family, signal, options)
    p = _f_test(competitive, free)
    slope = free["schild_slope"].text()
    said = "differs from 1" if p < SIGNIFICANCE else "is compatible with 1"
    status = f"The Schild slope, {slope}, {said} (F-test, {p_value(p)})."
    if p < SIGNIFICANCE:
        status += " So the antagonist is not shown to be competitive at equilibrium, and pA2 is no -log10 KB."
    return Schild(free, competitive, p, status)


def _f_test(restricted: Estimate, free: Estimate) -> float:
    """P-value of the extra sum of squares of one parameter."""
    from scipy import stats

    if not free.df > 0 or not free.rss > 0:
        return math.nan
    return float(stats.f.sf(max(restricted.rss - free.rss, 0.0) / (free.rss / free.df), 1, free.df))


def gaddum_family(
    agonist: ArrayLike, antagonist: ArrayLike, signal: ArrayLike, *, label: str = ""
) -> ReceptorFamily:  # fmt: skip
    """Surface of `receptor.gaddum` with starts from the data, and its conditions.

    Raises
    ------
    FitError, RangeError
        As `fit_gaddum`.
    """
    who = label or "Gaddum"
    a, b, y = _columns(who, signal, agonist=agonist, antagonist=antagonist)
    _some(who, "agonist", a)
    _some(who, "antagonist", b)
    if not (b == 0).any():
        raise FitError(
            f"{who}: no well is without antagonist (the lowest is {format_concentration(float(b.min()))}), and pA2 is "
            "a shift from there. Add an agonist curve without antagonist."
        )
    middle = _midpoint(a[b == 0], y[b == 0])
    shifts = [_shift(level, _midpoint(a[b == level], y[b == level]) / middle) for level in np.unique(b[b > 0])]
    shifts = [one for one in shifts if math.isfinite(one)]
    typical = -float(np.log10(b[b > 0]).mean())
    guess = float(np.median(shifts)) if shifts else typical
    ends = -math.log10(b.max()) - 6.0, -math.log10(b[b > 0].min()) + 6.0
    surface = Surface(
        receptor.gaddum,
        starts={"ec50": (middle / 3, middle, middle * 3), "hill_slope": (0.7, 1.5),
                "pa2": tuple(sorted({guess, typical})), "schild_slope": 1.0},
        linear=("emax", "basal"),
        positive=("ec50", "hill_slope", "schild_slope"),
        limits={"pa2": ends, "hill_slope": _SLOPES, "schild_slope": (0.05, 20.0)},
        units={"ec50": "M"},
        name="gaddum",
        reference="Arunlakshana & Schild (1959), Br J Pharmacol 14:48",
    )  # fmt: skip
    return ReceptorFamily(surface, {"concentration": a, "antagonist": b})


def _shift(antagonist: float, ratio: float) -> float:
    """pA2 from one dose ratio; NaN from none."""
    return math.log10(ratio - 1.0) - math.log10(antagonist) if ratio > 1.0 else math.nan


def fit_agonists(
    concentration: ArrayLike,
    ligand: Sequence[str],
    signal: ArrayLike,
    *,
    full: str,
    hill_form: bool = False,
    **options: Unpack[Options],
) -> Estimate:
    """Transducer ratio and affinity of partial agonists, from their curves beside that of a full agonist.

    The full agonist is taken to reach the greatest response of the system, so that it gives ``em``.
    Of itself it gives ``transduction``, the ratio tau/KA (1/M): the two apart no curve of its own can give.

    Parameters
    ----------
    concentration : array, shape (wells,), M
    ligand : sequence of str, shape (wells,)
        Which agonist is in each well; wells of concentration 0 may have any.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    full : str
        Which agonist is full.
    hill_form : bool
        `receptor.operational_hill` in place of `receptor.operational`.
    **options
        `Options`, as for `fit_surface`.

    Returns
    -------
    Estimate
        ``transduction_…`` (tau/KA, 1/M) of each agonist, ``tau_…`` and ``ka_…`` of each partial one (what
        is no letter or digit in its name becomes ``_``), ``transducer_slope`` (``hill_slope`` in the
        Hill form, where ``transduction_…`` is tau^(1/n)/KA), ``em`` and ``basal``. An agonist that is
        as good as full has its tau and KA open above.

    Raises
    ------
    FitError
        If all concentrations are zero, or there is no partial agonist: one curve cannot tell tau from KA.
    RangeError
        If a concentration is negative or no number, or `full` is none of the ligands.

    References
    ----------
    .. [1] Black & Leff (1983), Proc R Soc Lond B 220:141, doi 10.1098/rspb.1983.0093.

    Examples
    --------
    >>> dose, ligand = np.tile(np.geomspace(1e-9, 1e-4, 11), 2), np.repeat(["CB-64D", "CM572"], 11)
    >>> signal = receptor.operational(dose, tau=np.repeat([1e4, 1.0], 11), ka=np.repeat([1e-4, 1e-6], 11))
    >>> found = fit_agonists(dose, ligand, signal + np.tile([-0.01, 0.01], 11), full="CB-64D")
    >>> found["tau_CM572"].text(), found["ka_CM572"].text()
    ('1.01 (0.946–1.07)', '1.01 µM (0.81–1.24)')
    """
    label = options.get("label", "")
    family = agonist_family(concentration, ligand, signal, full=full, hill_form=hill_form, label=label)
    return family.fit(signal, **options)


def agonist_family(
    concentration: ArrayLike,
    ligand: Sequence[str],
    signal: ArrayLike,
    *,
    full: str,
    hill_form: bool = False,
    label: str = "",
) -> ReceptorFamily:
    """Surface of a full and several partial agonists with starts from the data, and its conditions.

    Raises
    ------
    FitError, RangeError
        As `fit_agonists`.
    """
    who = label or "agonists"
    a, y = _columns(who, signal, concentration=concentration)
    _some(who, "agonist", a)
    labels = _labels(who, ligand, a.size)
    if full not in labels:
        raise RangeError(f'{who}: no ligand "{full}". {nearest(full, sorted(set(labels.tolist())))}')
    names = [full, *sorted(set(labels[a > 0].tolist()) - {full})]
    if len(names) == 1:
        raise FitError(
            f"{who}: curves of {full} only. One curve cannot tell tau from KA: only their ratio follows from it. "
            "Add a partial agonist, or a curve after partial inactivation of the receptors (fit_furchgott)."
        )
    keys, groups = _identifiers(who, names), [labels == name for name in names]
    starts: dict[str, float | Sequence[float]] = {
        f"transduction_{keys[0]}": 1.0 / _midpoint(a[groups[0]], y[groups[0]])
    }
    for key, own, (_, last) in zip(keys[1:], groups[1:], _shares(a, y, groups)[1:], strict=True):
        starts[f"tau_{key}"] = max(last, 0.02) / (1.0 - last)
        starts[f"ka_{key}"] = _midpoint(a[own], y[own]) / (1.0 - last)
    slope = "hill_slope" if hill_form else "transducer_slope"
    starts[slope] = (0.8, 1.5)
    surface = Surface(
        _agonists(keys, slope),
        starts=starts,
        linear=("em", "basal"),
        positive=tuple(starts),
        limits={slope: _SLOPES} | {f"tau_{key}": _TAUS for key in keys[1:]},
        units={f"ka_{key}": "M" for key in keys[1:]} | {f"transduction_{keys[0]}": "1/M"},
        name="operational model, Hill form" if hill_form else "operational model",
        reference="Black & Leff (1983), Proc R Soc Lond B 220:141",
    )
    index = np.array([names.index(name) if name in names else 0 for name in labels.tolist()], dtype=float)
    power = slope if hill_form else ""
    pairs = tuple(_Pair(f"tau_{key}", f"ka_{key}", f"transduction_{key}", "1/M", power) for key in keys[1:])
    return ReceptorFamily(surface, {"concentration": a, "ligand": index}, pairs)


def _agonists(keys: Sequence[str], slope: str) -> Callable[..., Array]:
    """Response of the ligand whose number is given; the first one is full."""

    def response(concentration: Array, ligand: Array, *, em: Array, basal: Array, **parameters: Array) -> Array:
        n = parameters[slope]
        power, bend = (n, 1.0) if slope == "hill_slope" else (1.0, n)
        drive = (concentration * parameters[f"transduction_{keys[0]}"]) ** power
        whole = np.where(ligand == 0, drive, 0.0)
        for number, key in enumerate(keys[1:], 1):
            bound = concentration**power / (concentration**power + parameters[f"ka_{key}"] ** power)
            whole = np.where(ligand == number, parameters[f"tau_{key}"] * bound, whole)
        return receptor.effect(whole, tau=1.0, em=em, basal=basal, transducer_slope=bend)

    return response


def fit_furchgott(
    concentration: ArrayLike,
    treatment: Sequence[str],
    signal: ArrayLike,
    *,
    control: str,
    **options: Unpack[Options],
) -> Estimate:
    """Affinity and transducer ratio of an agonist from its curves before and after partial inactivation.

    Each treatment leaves a fraction q of the receptors, which is fitted; the operational model with
    tau times q goes through all curves. Nothing is read off and no double-reciprocal line is drawn.

    Parameters
    ----------
    concentration : array, shape (wells,), M
    treatment : sequence of str, shape (wells,)
        What the cells of each well had been treated with.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    control : str
        The treatment that inactivates nothing.
    **options
        `Options`, as for `fit_surface`; a q that is known from binding is held by `fixed`.

    Returns
    -------
    Estimate
        ``tau`` (of the control), ``ka``, ``transduction`` (tau/KA, 1/M), ``transducer_slope``, ``q_…`` of
        each treatment (what is no letter or digit in its name becomes ``_``), ``em`` and ``basal``.

    Raises
    ------
    FitError
        If all concentrations are zero, or there is no treatment but the control.
    RangeError
        If a concentration is negative or no number, or `control` is none of the treatments.

    References
    ----------
    .. [1] Furchgott & Bursztyn (1967), Ann N Y Acad Sci 144:882.
    .. [2] Black, Leff, Shankley & Wood (1985), Br J Pharmacol 84:561, doi 10.1111/j.1476-5381.1985.tb12941.x.

    Examples
    --------
    >>> dose = np.tile(np.geomspace(1e-9, 1e-4, 16), 2)
    >>> treatment, q = np.repeat(["none", "SN79"], 16), np.repeat([1.0, 0.1], 16)
    >>> signal = receptor.response_after_inactivation(dose, q=q, tau=20.0, ka=1e-6)
    >>> found = fit_furchgott(dose, treatment, signal + np.tile([-0.005, 0.005], 16), control="none")
    >>> found["ka"].text(), found["q_SN79"].text()
    ('1.01 µM (0.928–1.09)', '0.0997 (0.0944–0.105)')
    """
    family = furchgott_family(concentration, treatment, signal, control=control, label=options.get("label", ""))
    return family.fit(signal, **options)


def furchgott_family(
    concentration: ArrayLike, treatment: Sequence[str], signal: ArrayLike, *, control: str, label: str = ""
) -> ReceptorFamily:
    """Surface of an agonist before and after inactivation with starts from the data, and its conditions.

    Raises
    ------
    FitError, RangeError
        As `fit_furchgott`.
    """
    who = label or "Furchgott"
    a, y = _columns(who, signal, concentration=concentration)
    _some(who, "agonist", a)
    labels = _labels(who, treatment, a.size)
    if control not in labels:
        raise RangeError(f'{who}: no treatment "{control}". {nearest(control, sorted(set(labels.tolist())))}')
    names = [control, *sorted(set(labels.tolist()) - {control})]
    if len(names) == 1:
        raise FitError(
            f"{who}: the curve of {control} only. One curve cannot tell tau from KA. "
            "Add a curve after partial inactivation of the receptors."
        )
    groups = [labels == name for name in names]
    keys = [f"q_{key}" for key in _identifiers(who, names)[1:]]
    starts = _inactivation_starts(a, y, groups, keys)
    surface = Surface(
        _inactivated(keys),
        starts=starts,
        linear=("em", "basal"),
        positive=tuple(starts),
        limits={"transducer_slope": _SLOPES, "tau": _TAUS} | dict.fromkeys(keys, _FRACTIONS),
        units={"ka": "M"},
        name="Furchgott",
        reference="Black, Leff, Shankley & Wood (1985), Br J Pharmacol 84:561",
    )
    index = np.array([names.index(name) for name in labels.tolist()], dtype=float)
    return ReceptorFamily(surface, {"concentration": a, "treatment": index}, (_AFFINITY,))


def _inactivated(keys: Sequence[str]) -> Callable[..., Array]:
    """Response after the treatment whose number is given; the first one is the control."""

    def response(concentration: Array, treatment: Array, **parameters: Array) -> Array:
        q = np.ones_like(treatment)
        for number, key in enumerate(keys, 1):
            q = np.where(treatment == number, parameters[key], q)
        rest = {name: value for name, value in parameters.items() if name not in keys}
        return receptor.response_after_inactivation(concentration, q=q, **rest)

    return response


def fit_irreversible_before(
    concentration: ArrayLike,
    dose: ArrayLike,
    signal: ArrayLike,
    *,
    time: ArrayLike | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Curves of an agonist after pretreatment with increasing doses of an irreversible partial agonist, and a wash.

    Without `time` each dose has a fraction q of receptors that it leaves, whatever the kinetics.
    With it the fractions follow from kinact and K_I (`receptor.receptors_left`), and the ratio
    kinact/K_I, which is often all that is identified, has an interval of its own.

    Parameters
    ----------
    concentration, dose : array, shape (wells,), M
        Agonist after the wash, and irreversible ligand before it.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    time : array, shape (wells,) or one number, s, optional
        How long the irreversible ligand was there.
    **options
        `Options`, as for `fit_surface`.

    Returns
    -------
    Estimate
        ``tau``, ``ka``, ``transduction`` (tau/KA, 1/M), ``transducer_slope``, ``residual_efficacy``, ``em``,
        ``basal``; and ``q_…`` of each dose (as ``q_100_nM``), or ``kinact`` (1/s), ``k_inact_half`` (M) and
        ``inactivation_efficiency`` (kinact/K_I, 1/(M s)). A residual efficacy whose interval reaches 0
        is a bound (``<``): nothing tells the ligand from an irreversible antagonist.

    Raises
    ------
    FitError
        If all concentrations or all doses are zero, or no well is without the irreversible ligand.
    RangeError
        If a concentration, a dose or a time is negative or no number.

    Examples
    --------
    >>> agonist, dose = (x.ravel() for x in np.meshgrid([0, *np.geomspace(1e-9, 1e-5, 13)], [0, 3e-8, 1e-7, 1e-6]))
    >>> kinetics = dict(kinact=0.03, k_inact_half=5e-6, residual_efficacy=0.3, tau=5.0, ka=1e-7)
    >>> signal = receptor.response_after_pretreatment(agonist, dose, 3600.0, **kinetics)
    >>> found = fit_irreversible_before(agonist, dose, signal + np.tile([-0.005, 0.005], 28))
    >>> found["residual_efficacy"].text()
    '0.300 (0.270–0.331)'
    """
    family = irreversible_family(concentration, dose, signal, time=time, label=options.get("label", ""))
    return family.fit(signal, **options)


def irreversible_family(
    concentration: ArrayLike, dose: ArrayLike, signal: ArrayLike, *, time: ArrayLike | None = None, label: str = ""
) -> ReceptorFamily:
    """Surface of an agonist after an irreversible partial agonist with starts from the data, and its conditions.

    Raises
    ------
    FitError, RangeError
        As `fit_irreversible_before`.
    """
    who = label or "irreversible ligand"
    a, c, y = _irreversible_columns(who, concentration, dose, signal)
    levels = np.unique(c)
    groups = [c == level for level in levels]
    keys = _identifiers(who, [f"q_{_plain(level)}" for level in levels[1:]])
    starts = _inactivation_starts(a, y, groups, keys)
    left = {key: float(np.atleast_1d(starts.pop(key))[0]) for key in keys}
    limits = {"transducer_slope": _SLOPES, "tau": _TAUS, "residual_efficacy": (0.0, 10.0)}
    common = {**starts, "residual_efficacy": (0.05, 0.4)}
    if time is None:
        surface = Surface(
            _inactivated(keys),
            starts={**common, **left},
            linear=("em", "basal"),
            positive=(*starts, *keys),
            limits=limits | dict.fromkeys(keys, _FRACTIONS),
            units={"ka": "M"},
            name="irreversible partial agonist before",
        )
        treatment = np.searchsorted(levels, c).astype(float)
        return ReceptorFamily(surface, {"concentration": a, "treatment": treatment}, (_AFFINITY,))
    seconds = _times(who, time, a.size)
    kinetics = _kinetic_limits(levels, seconds)
    surface = Surface(
        receptor.response_after_pretreatment,
        starts={**common, "kinact": _clip(levels[-1] * _efficiency(levels[1:], list(left.values()), seconds),
                                          kinetics["kinact"]), "k_inact_half": float(levels[-1])},
        linear=("em", "basal"),
        positive=(*starts, "kinact", "k_inact_half"),
        limits=limits | kinetics,
        units={"ka": "M", "k_inact_half": "M", "kinact": "1/s"},
        name="irreversible partial agonist before",
    )  # fmt: skip
    return ReceptorFamily(surface, {"concentration": a, "pretreatment": c, "time": seconds}, (_AFFINITY, _KINETICS))


def fit_irreversible_together(
    concentration: ArrayLike,
    ligand: ArrayLike,
    signal: ArrayLike,
    *,
    time: ArrayLike,
    **options: Unpack[Options],
) -> Estimate:
    """Curves of an agonist beside increasing doses of an irreversible partial agonist, added together.

    Parameters
    ----------
    concentration, ligand : array, shape (wells,), M
        Agonist and irreversible ligand.
    signal : array, shape (wells,)
        What was read; NaN where a well is missing.
    time : array, shape (wells,) or one number, s
        From the addition to the reading.
    **options
        `Options`, as for `fit_surface`. With one time only, ``bound_efficacy`` and ``residual_efficacy`` are
        rarely told apart: give several, or hold one.

    Returns
    -------
    Estimate
        As `fit_irreversible_before` with `time`, and ``bound_efficacy``.

    Raises
    ------
    FitError, RangeError
        As `fit_irreversible_before`.

    Examples
    --------
    >>> agonist, dose = (x.ravel() for x in np.meshgrid([0, *np.geomspace(1e-9, 1e-5, 13)], [0, 1e-6, 1e-5, 1e-4]))
    >>> agonist, dose, time = np.tile(agonist, 2), np.tile(dose, 2), np.repeat([30.0, 600.0], 56)
    >>> truth = dict(kinact=0.003, k_inact_half=5e-6, bound_efficacy=0.5, residual_efficacy=0.1, tau=5.0, ka=1e-7)
    >>> signal = receptor.response_together(agonist, dose, time, **truth) + np.tile([-0.005, 0.005], 56)
    >>> found = fit_irreversible_together(agonist, dose, signal, time=time, fixed={"transducer_slope": 1.0})
    >>> found["bound_efficacy"].text()
    '0.498 (0.405–0.589)'
    """
    family = together_family(concentration, ligand, signal, time=time, label=options.get("label", ""))
    return family.fit(signal, **options)


def together_family(
    concentration: ArrayLike, ligand: ArrayLike, signal: ArrayLike, *, time: ArrayLike, label: str = ""
) -> ReceptorFamily:
    """Surface of an agonist beside an irreversible partial agonist with starts from the data, and its conditions.

    Raises
    ------
    FitError, RangeError
        As `fit_irreversible_together`.
    """
    who = label or "irreversible ligand"
    a, c, y = _irreversible_columns(who, concentration, ligand, signal)
    seconds, levels = _times(who, time, a.size), np.unique(c)
    starts = _inactivation_starts(a, y, [c == 0], [])
    surface = Surface(
        receptor.response_together,
        starts={**starts, "bound_efficacy": (0.05, 0.4), "residual_efficacy": (0.05, 0.4),
                "kinact": 1.0 / _typical(seconds), "k_inact_half": float(levels[-1])},
        linear=("em", "basal"),
        positive=(*starts, "kinact", "k_inact_half"),
        limits={"transducer_slope": _SLOPES, "tau": _TAUS, "bound_efficacy": (0.0, 10.0),
                "residual_efficacy": (0.0, 10.0), **_kinetic_limits(levels, seconds)},
        units={"ka": "M", "k_inact_half": "M", "kinact": "1/s"},
        name="irreversible partial agonist together",
    )  # fmt: skip
    return ReceptorFamily(surface, {"concentration": a, "ligand": c, "time": seconds}, (_AFFINITY, _KINETICS))


def _irreversible_columns(who: str, concentration: ArrayLike, dose: ArrayLike, signal: ArrayLike) -> list[Array]:
    a, c, y = _columns(who, signal, agonist=concentration, dose=dose)
    _some(who, "agonist", a)
    _some(who, "dose", c)
    if not (c == 0).any():
        raise FitError(
            f"{who}: no well is without the irreversible ligand (the lowest is {format_concentration(float(c.min()))}),"
            " so that nothing says what all receptors do. Add an agonist curve without it."
        )
    return [a, c, y]


def _inactivation_starts(
    a: Array, y: Array, groups: Sequence[NDArray[np.bool_]], keys: Sequence[str]
) -> dict[str, float | Sequence[float]]:
    """Starts of tau, ka, slope and the fractions left, from curves of which the first is the control."""
    middle, tau = _midpoint(a[groups[0]], y[groups[0]]), 5.0
    shares = _shares(a, y, groups)
    starts: dict[str, float | Sequence[float]] = {
        "tau": (1.0, tau, 30.0), "ka": (2.0 * middle, 6.0 * middle, 30.0 * middle), "transducer_slope": (1.0, 1.8),
    }  # fmt: skip
    for key, (first, last) in zip(keys, shares[1:], strict=True):
        starts[key] = min(max((last / (1.0 - last) - first / (1.0 - first)) / tau, 0.005), 0.9)
    return starts


def _shares(a: Array, y: Array, groups: Sequence[NDArray[np.bool_]]) -> list[tuple[float, float]]:
    """How far up the range of all signals each curve begins and ends; the first one tells where up is."""
    ends = [_ends(a[group], y[group]) for group in groups]
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    low, high = (low, high) if ends[0][1] >= ends[0][0] else (high, low)
    span = (1.0 + _HEADROOM) * (high - low) or 1.0
    return [(_clipped((first - low) / span), _clipped((last - low) / span)) for first, last in ends]


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 0.95) if math.isfinite(share) else 0.5


def _kinetic_limits(levels: Array, seconds: Array) -> dict[str, tuple[float, float]]:
    """Where kinact and K_I are looked for."""
    time = _typical(seconds)
    return {
        "kinact": (1.0 / (_FAR * time), _FAR / time),
        "k_inact_half": (float(levels[1]) / _FAR, float(levels[-1]) * _FAR),
    }


def _efficiency(levels: Array, left: Sequence[float], seconds: Array) -> float:
    """kinact/K_I from the fractions left, as far below K_I."""
    return float(np.median(-np.log(np.asarray(left)) / (levels * _typical(seconds))))


def _typical(seconds: Array) -> float:
    return max(float(np.median(seconds)), 1e-9)


def _clip(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _times(who: str, time: ArrayLike, wells: int) -> Array:
    seconds = np.asarray(time, dtype=float)
    if seconds.ndim and seconds.shape != (wells,):
        raise FitError(f"{who}: {wells} signals but {seconds.size} times. There must be one a well, or one for all.")
    if not (np.isfinite(seconds) & (seconds >= 0)).all():
        raise RangeError(f"{who}: a time must be a finite number of seconds ≥ 0, found {seconds.min():g}.")
    return np.asarray(np.broadcast_to(seconds, wells), dtype=float)


def _columns(who: str, signal: ArrayLike, **given: ArrayLike) -> list[Array]:
    """Columns of concentrations and the signal, all of one length."""
    y = np.asarray(signal, dtype=float)
    columns = []
    for name, values in given.items():
        column = np.asarray(values, dtype=float)
        if column.shape != y.shape or y.ndim != 1:
            raise FitError(f"{who}: {y.size} signals but {column.size} values of {name}. There must be one a well.")
        bad = np.flatnonzero(~(np.isfinite(column) & (column >= 0)))
        if bad.size:
            raise RangeError(
                f"{who}, row {bad[0] + 1}: {name} must be a finite concentration ≥ 0, found {column[bad[0]]:g}."
            )
        columns.append(column)
    if not np.isfinite(y).any():
        raise FitError(f"{who}: no well holds a finite signal.")
    return [*columns, y]


def _some(who: str, name: str, column: Array) -> None:
    if not (column > 0).any():
        raise FitError(f"{who}: all concentrations of {name} are zero. Add wells with it.")


def _labels(who: str, labels: Sequence[str], wells: int) -> NDArray[np.str_]:
    column = np.asarray(labels, dtype=str)
    if column.shape != (wells,):
        raise FitError(f"{who}: {wells} signals but {column.size} names. There must be one a well.")
    return column


def _identifiers(who: str, names: Sequence[str]) -> list[str]:
    """Names as parts of parameters' names, all different."""
    keys = [re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") for name in names]
    for index, key in enumerate(keys):
        if not key or key in keys[:index]:
            raise FitError(f'{who}: "{names[index]}" is no name of its own once signs are left out. Rename it.')
    return keys


def _plain(molar: float) -> str:
    return format_concentration(molar, digits=3).replace("µ", "u").replace(".", "p")


def _means(x: Array, y: Array) -> tuple[Array, Array]:
    """Concentrations and mean signals at them."""
    good = np.isfinite(y)
    levels = np.unique(x[good])
    return levels, np.array([y[good & (x == level)].mean() for level in levels])


def _ends(x: Array, y: Array) -> tuple[float, float]:
    """Mean signals at the lowest and the highest concentration."""
    _, means = _means(x, y)
    return (float(means[0]), float(means[-1])) if means.size else (math.nan, math.nan)


def _midpoint(x: Array, y: Array) -> float:
    """Where a curve is half way between its first and its last mean; the middle concentration where it nowhere is."""
    levels, means = _means(x, y)
    inside = levels > 0
    half = 0.5 * (means[0] + means[-1]) if means.size else math.nan
    levels, means = levels[inside], means[inside]
    if levels.size == 0:
        return 1e-6
    across = np.flatnonzero((means[:-1] - half) * (means[1:] - half) <= 0)
    if across.size == 0 or means[across[0]] == means[across[0] + 1]:
        return float(np.exp(np.log(levels).mean()))
    k = across[0]
    share = (half - means[k]) / (means[k + 1] - means[k])
    return float(np.exp(np.log(levels[k]) + share * np.log(levels[k + 1] / levels[k])))
