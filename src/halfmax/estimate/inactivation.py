"""Fits of covalent ligands: kinact, K_I and their ratio, binding in time, and what each of them can tell.

The ratio kinact/K_I is what most designs determine, so it is a parameter of its own, with a
profile of its own; `kinact` and `k_inact_half` are profiled beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import inactivation as curves
from halfmax.curves.inactivation import EndpointAssay
from halfmax.errors import FitError, RangeError
from halfmax.estimate.fitting import fit
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.surface import Asked, Surface, fit_surface, fit_surface_all
from halfmax.response import Response

__all__ = [
    "Inactivation",
    "fit_binding_in_time",
    "fit_competition_in_time",
    "fit_endpoint",
    "fit_endpoint_all",
    "fit_inactivation",
    "fit_kobs",
    "fit_time_course",
]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Model = Callable[..., Array]

#: Correlation of ln kinact and ln K_I above which two open constants are called not separable.
_INSEPARABLE = 0.95
_UNITS = {
    "k_inact_ratio": "1/(M s)", "kinact": "1/s", "k_inact_half": "M", "k6": "1/s", "kon": "1/(M s)", "koff": "1/s",
    "ki": "M", "kd": "M",
}  # fmt: skip
_KITZ = "Kitz & Wilson (1962), J Biol Chem 237:3245"
_MADER = "Mader & Keillor (2024), ACS Med Chem Lett 15:731"
_MOTULSKY = "Motulsky & Mahan (1984), Mol Pharmacol 25:1"


@dataclass(frozen=True, eq=False)
class Inactivation:
    """Constants of inactivation, and which of them the data tell.

    Parameters
    ----------
    estimate : Estimate
        ``k_inact_ratio`` (kinact/K_I), ``kinact``, ``k_inact_half`` and what else was fitted. Its
        status says in a sentence what was found.
    verdicts : mapping
        Constant → "identified", "one-sided", "not separable" or "not identified".
    correlation : float
        Of ln kinact and ln K_I at the optimum.
    """

    estimate: Estimate
    verdicts: Mapping[str, str]
    correlation: float

    def __getitem__(self, name: str) -> Parameter:
        return self.estimate[name]

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return self.estimate.status


def fit_kobs(
    concentration: ArrayLike,
    kobs: ArrayLike,
    **asked: Unpack[Asked],
) -> Inactivation:
    """kinact, K_I and their ratio from rates of inactivation at several concentrations.

    Parameters
    ----------
    concentration : array, shape (n,), M
        Free ligand, >= 0.
    kobs : array, shape (n,), 1/s
        One rate a row; replicates are rows of their own.
    **asked
        ``level`` and ``noise`` as for `fit`; ``label``, for messages.

    Returns
    -------
    Inactivation

    Raises
    ------
    RangeError
        If a concentration is negative.
    FitError
        If there are fewer than three rates.

    Examples
    --------
    >>> rate = [1.6e-4, 3.4e-4, 4.9e-4, 6.8e-4, 8.2e-4, 8.8e-4]
    >>> found = fit_kobs([2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5], rate)
    >>> found["kinact"].text(), found.verdicts["kinact"]
    ('0.000972 1/s (0.000935–0.00101)', 'identified')
    """
    dose = at_least_zero("concentration", concentration, "M")
    rates = np.asarray(kobs, dtype=float)

    def model(kinact: Array, k_inact_half: Array, concentration: Array) -> Array:
        return np.asarray(kinact * concentration / (k_inact_half + concentration))

    fastest = float(np.nanmax(rates, initial=0.0))
    return _constants(
        model, {"concentration": dose}, rates[None], doses=dose, rates=rates_around(fastest if fastest > 0 else 1e-3),
        name="kobs", reference=_KITZ, asked=asked,
    )[0]  # fmt: skip


def fit_inactivation(
    concentration: ArrayLike,
    time: ArrayLike,
    signal: ArrayLike,
    **asked: Unpack[Asked],
) -> Inactivation:
    """kinact, K_I and their ratio from activity, or free sites, left after several times at several concentrations.

    ``signal = start * (1 - inactivated_fraction)``, all courses at once, one `start`.

    Parameters
    ----------
    concentration, time : array, shape (n,), M and s
        >= 0.
    signal : array, shape (n,)
    **asked
        As for `fit_kobs`.

    Returns
    -------
    Inactivation

    Raises
    ------
    RangeError
        If a concentration or time is negative, or all times are zero.
    """
    dose, t = at_least_zero("concentration", concentration, "M"), _times(time)

    def model(start: Array, **rest: Array) -> Array:
        return start * (1 - _fraction(**rest))

    return _constants(
        model, {"concentration": dose, "time": t}, _row(signal), doses=dose, rates=rates_around(1 / _middle(t)),
        linear=("start",), name="inactivation", reference=_KITZ, asked=asked,
    )[0]  # fmt: skip


def _fraction(concentration: Array, time: Array, kinact: Array, k_inact_half: Array) -> Array:
    return np.asarray(-np.expm1(-kinact * concentration / (k_inact_half + concentration) * time))


def fit_endpoint(
    inhibitor: ArrayLike,
    preincubation_time: ArrayLike,
    incubation_time: ArrayLike,
    signal: ArrayLike,
    *,
    assay: EndpointAssay,
    control: float | None = 100.0,
    reversible: bool = False,
    steps: int | None = None,
    **asked: Unpack[Asked],
) -> Inactivation:
    """kinact, K_I and their ratio from inhibition read once, after several pre-incubations with the inhibitor.

    Parameters
    ----------
    inhibitor : array, shape (n,), M
        In the pre-incubation, >= 0.
    preincubation_time, incubation_time : array, shape (n,), s
        >= 0 and > 0.
    signal : array, shape (n,)
        Product, in any unit.
    assay : EndpointAssay
    control : float or None
        Signal without inhibitor where data were divided by it; None fits it.
    reversible : bool
        Whether the covalent bond opens again, at ``k6`` (EPIC-CoRe); `kinact` is then its k5.
    steps : int, optional
        As for `curves.inactivation.product`.
    **asked
        As for `fit_kobs`.

    Returns
    -------
    Inactivation

    Raises
    ------
    RangeError
        If a concentration or time is out of range, or every inhibitor concentration is zero.
    FitError
        If the columns differ in length, or there are too few wells.

    References
    ----------
    .. [1] Mader & Keillor (2024), ACS Med Chem Lett 15:731.
    .. [2] Mader & Keillor (2025), RSC Med Chem, doi 10.1039/d5md00050e.
    """
    return fit_endpoint_all(
        inhibitor, preincubation_time, incubation_time, _row(signal), assay=assay, control=control,
        reversible=reversible, steps=steps, **asked,
    )[0]  # fmt: skip


def fit_endpoint_all(
    inhibitor: ArrayLike,
    preincubation_time: ArrayLike,
    incubation_time: ArrayLike,
    signals: ArrayLike,
    *,
    assay: EndpointAssay,
    control: float | None = 100.0,
    reversible: bool = False,
    steps: int | None = None,
    **asked: Unpack[Asked],
) -> list[Inactivation]:
    """`fit_endpoint` of many experiments of one design, `signals` of shape (experiments, wells), at once."""
    dose = at_least_zero("inhibitor", inhibitor, "M")
    before = at_least_zero("preincubation_time", preincubation_time, "s")
    during = at_least_zero("incubation_time", incubation_time, "s")
    if (during == 0).any():
        raise RangeError(
            f"incubation_time must be above 0 s, found 0 s at place {int(np.argmin(during)) + 1}: "
            "no product is made in no time. The time without substrate is preincubation_time."
        )
    alone = curves.product(0.0, 0.0, during, assay=assay, kinact=0.0, k_inact_half=1.0)

    def model(
        inhibitor: Array, before: Array, during: Array, alone: Array, kinact: Array,
        k_inact_half: Array, k6: Array | float = 0.0, control: Array | float = control or 0.0,
    ) -> Array:  # fmt: skip
        made = curves._product(
            inhibitor, before, during, assay, np.asarray(kinact), np.asarray(k_inact_half), np.asarray(k6), steps
        )  # fmt: skip
        return control * made / alone

    conditions = {"inhibitor": dose, "before": before, "during": during, "alone": alone}
    total = _middle(np.asarray(before + during))
    return _constants(
        model, conditions, np.asarray(signals, dtype=float), doses=dose, rates=rates_around(1 / total),
        linear=("control",) if control is None else (), more={"k6": rates_around(0.3 / total)} if reversible else {},
        name="endpoint assay", reference=_MADER, asked=asked,
    )  # fmt: skip


def _constants(
    model: Model,
    conditions: Mapping[str, Array],
    signals: Array,
    *,
    doses: Array,
    rates: tuple[float, ...],
    name: str,
    reference: str,
    asked: Asked,
    linear: tuple[str, ...] = (),
    more: Mapping[str, tuple[float, ...]] | None = None,
) -> list[Inactivation]:
    """Fit by ratio and K_I, and by ratio and kinact: three profiles, of parameters that are hardly correlated."""
    halves = spread_of("the inhibitor's concentrations", doses)
    ratios = tuple(float(r / halves[1]) for r in rates)
    others = dict(more or {})
    title = asked.get("label") or name
    named: Asked = {**asked, "label": title}
    first, second = (
        fit_surface_all(
            Surface(
                function, {"k_inact_ratio": ratios, other: starts, **others}, linear=linear,
                positive=("k_inact_ratio", other, *others), units=_UNITS, name=title, reference=reference,
            ),
            conditions, signals, **named,
        )
        for other, function, starts in (
            ("k_inact_half", _by_half(model), halves),
            ("kinact", _by_rate(model), rates),
        )
    )  # fmt: skip
    return [_judged(one, two) for one, two in zip(first, second, strict=True)]


def _by_half(model: Model) -> Model:
    def function(k_inact_ratio: Array, k_inact_half: Array, **rest: Array) -> Array:
        return model(kinact=k_inact_ratio * k_inact_half, k_inact_half=k_inact_half, **rest)

    return function


def _by_rate(model: Model) -> Model:
    def function(k_inact_ratio: Array, kinact: Array, **rest: Array) -> Array:
        return model(kinact=kinact, k_inact_half=kinact / k_inact_ratio, **rest)

    return function


def _judged(by_half: Estimate, by_rate: Estimate) -> Inactivation:
    """Both fits as one estimate, with a verdict on each constant.

    The ratio is that of the fit by `kinact`: a K_I open below stops at the limit of its search, which would close it.
    """
    ratio, rate, half = by_rate["k_inact_ratio"], by_rate["kinact"], by_half["k_inact_half"]
    rest = tuple(p for p in by_rate.parameters if p.name not in ("k_inact_ratio", "kinact"))
    correlation = _correlation(by_rate)
    verdicts = {p.name: _verdict(p) for p in (ratio, rate, half, *rest)}
    if ratio.operator == "=" and "=" not in (rate.operator, half.operator) and correlation > _INSEPARABLE:
        verdicts |= {"kinact": "not separable", "k_inact_half": "not separable"}
    joined = replace(by_rate, parameters=(ratio, rate, half, *rest))
    if by_rate.status.startswith(("ok", "open")) and by_half.status.startswith(("ok", "open")):
        joined = replace(joined, status=_sentence((ratio, rate, half), rest, verdicts, correlation))
    return Inactivation(joined, verdicts, correlation)


def _verdict(parameter: Parameter) -> str:
    return {"=": "identified", "?": "not identified"}.get(parameter.operator, "one-sided")


def _correlation(by_rate: Estimate) -> float:
    """Correlation of ln kinact and ln K_I = ln kinact - ln ratio; 1 where the matrix is singular."""
    assert by_rate.curve is not None
    assert by_rate.covariance is not None
    names = list(by_rate.curve.outside_names)
    order = [names.index("k_inact_ratio"), names.index("kinact")]
    part = by_rate.covariance[np.ix_(order, order)]
    half = part[0, 0] + part[1, 1] - 2 * part[0, 1]
    if not np.isfinite(part).all() or not half > 0 or not part[1, 1] > 0:
        return 1.0
    return float((part[1, 1] - part[0, 1]) / math.sqrt(half * part[1, 1]))


def _sentence(
    constants: Sequence[Parameter], rest: Sequence[Parameter], verdicts: Mapping[str, str], correlation: float
) -> str:
    """What the data say of the constants; "ok" where all are identified."""
    if all(verdict == "identified" for verdict in verdicts.values()):
        return "ok"
    scaled = constants[0].scaled(60e-6, "/µM/min"), constants[1].scaled(60.0, "/min"), constants[2]
    ratio, rate, half = (f"{n} {p.text()}" for n, p in zip(("kinact/K_I", "kinact", "K_I"), scaled, strict=True))
    if verdicts["kinact"] == "not separable":
        size = "above 0.9999" if correlation > 0.9999 else f"{correlation:.4f}"
        ends = " and ".join(said for said, p in zip((rate, half), constants[1:], strict=True) if p.operator != "?")
        return (
            f"open: {ratio}; kinact and K_I are not separable (correlation {size})"
            f"{f', only {ends} can be said' if ends else ''}. "
            "Add concentrations well above K_I, with exposures so short that activity is left there."
        )
    more = "".join(f", {p.name} {p.text()}" for p in rest if p.operator != "=")
    return (
        f"open: {ratio}, {rate}, {half}{more}: the data do not bound all of them on both sides. "
        "Add concentrations below and above K_I."
    )


def fit_time_course(
    time: ArrayLike,
    signal: ArrayLike,
    *,
    model: Literal["association", "dissociation"],
    level: float = 0.95,
    label: str = "",
) -> Estimate:
    """One course of binding or unbinding, as it was read: `kobs` or `koff`, start and plateau.

    Parameters
    ----------
    time : array, shape (n,), s
        In the order of reading: it may stand still (replicates) but not go back.
    signal : array, shape (n,)
    model : {"association", "dissociation"}
    level, label
        As for `fit`.

    Returns
    -------
    Estimate

    Raises
    ------
    RangeError
        If the time goes back, is negative, or is zero throughout.

    Examples
    --------
    >>> time = [0, 60, 120, 300, 600, 1200, 2400]
    >>> fit_time_course(time, [2, 21, 38, 70, 92, 98, 101], model="association")["kobs"].text()
    '0.00391 1/s (0.00357–0.00428)'
    """
    t = _times(time)
    back = np.flatnonzero(np.diff(t) < 0)
    if back.size:
        row = int(back[0]) + 1
        raise RangeError(
            f"{label or model}, row {row + 1}: the time goes back from {t[row - 1]:g} s to {t[row]:g} s. "
            "Sort the rows by time, or give courses one by one."
        )
    response = Response.of(t, signal, role="sample", concentration_unit="s", quantity=label or model)
    return fit(response, model, level=level)


def fit_binding_in_time(
    time: ArrayLike, radioligand: ArrayLike, signal: ArrayLike, *, level: float = 0.95, label: str = ""
) -> Estimate:
    """kon, koff and Kd of a radioligand from its association at several concentrations, all courses at once.

    Parameters
    ----------
    time, radioligand : array, shape (n,), s and M
        >= 0.
    signal : array, shape (n,)
        Specific binding; negative values stay.
    level, label
        As for `fit_kobs`.

    Returns
    -------
    Estimate
        ``kon``, ``koff``, ``kd`` = koff/kon, each with its own profile, and ``bmax``.

    Raises
    ------
    RangeError
        If a time or concentration is negative, or all are zero.
    """
    t, ligand = _times(time), at_least_zero("radioligand", radioligand, "M")

    def model(bmax: Array, kon: Array, koff: Array, time: Array, ligand: Array) -> Array:
        nothing = np.zeros_like(ligand * kon)
        return bmax * curves._competing(time, ligand * kon, koff + nothing, nothing, nothing)

    return _on_and_off(
        model, {"time": t, "ligand": ligand}, signal, "kd", spread_of("the radioligand's concentrations", ligand),
        level=level, label=label or "association",
    )  # fmt: skip


def fit_competition_in_time(
    time: ArrayLike,
    competitor: ArrayLike,
    signal: ArrayLike,
    *,
    radioligand: ArrayLike,
    radioligand_kon: float,
    radioligand_koff: float,
    level: float = 0.95,
    label: str = "",
) -> Estimate:
    """kon, koff and Ki of an unlabelled ligand from the binding of a radioligand beside it (Motulsky and Mahan).

    Parameters
    ----------
    time, competitor : array, shape (n,), s and M
        >= 0. Courses without competitor determine ``bmax``.
    signal : array, shape (n,)
        Specific binding; negative values stay.
    radioligand : array, M
        Of each row, or of all.
    radioligand_kon, radioligand_koff : float, 1/(M s) and 1/s
        Of the radioligand, taken as known.
    level, label
        As for `fit_kobs`.

    Returns
    -------
    Estimate
        ``kon``, ``koff``, ``ki`` = koff/kon, each with its own profile, and ``bmax``.

    Raises
    ------
    RangeError
        If a time or concentration is negative, or all are zero, or a constant of the radioligand is not positive.

    References
    ----------
    .. [1] Motulsky & Mahan (1984), Mol Pharmacol 25:1.
    """
    t, dose = _times(time), at_least_zero("competitor", competitor, "M")
    ligand = curves.positive_value("radioligand", radioligand, "M")
    own_on = curves.positive_value("radioligand_kon", radioligand_kon, "1/(M s)")
    own_off = curves.positive_value("radioligand_koff", radioligand_koff, "1/s")

    def model(bmax: Array, kon: Array, koff: Array, time: Array, dose: Array, ligand: Array) -> Array:
        nothing = np.zeros_like(dose * kon)
        return bmax * curves._competing(time, ligand * own_on + nothing, own_off + nothing, dose * kon, koff + nothing)

    return _on_and_off(
        model, {"time": t, "dose": dose, "ligand": np.asarray(ligand)}, signal, "ki",
        spread_of("the competitor's concentrations", dose), level=level, label=label or "competition in time",
    )  # fmt: skip


def _on_and_off(
    model: Model,
    conditions: Mapping[str, Array],
    signal: ArrayLike,
    affinity: str,
    starts: tuple[float, ...],
    *,
    level: float,
    label: str,
) -> Estimate:
    """The affinity and kon by one fit, koff by another of the same model."""
    rate = 1 / _middle(conditions["time"])

    def by_on(kon: Array, **rest: Array) -> Array:
        return model(kon=kon, koff=kon * rest.pop(affinity), **rest)

    def by_off(koff: Array, **rest: Array) -> Array:
        return model(kon=koff / rest.pop(affinity), koff=koff, **rest)

    first, second = (
        fit_surface(
            Surface(
                function, {name: rates_around(begin), affinity: starts}, linear=("bmax",), positive=(name, affinity),
                units=_UNITS, name=label, reference=_MOTULSKY,
            ),
            conditions, signal, level=level, label=label,
        )
        for name, function, begin in (("kon", by_on, rate / starts[1]), ("koff", by_off, rate))
    )  # fmt: skip
    kept = (first["kon"], second["koff"], first[affinity], first["bmax"])
    opened = [p.name for p in kept if p.operator != "="]
    joined = replace(first, parameters=kept)
    if not opened or not first.status.startswith(("ok", "open")):
        return joined
    said = f"open: the data do not bound {', '.join(opened)} on both sides. Add earlier and later times."
    return replace(joined, status=said)


def at_least_zero(name: str, value: ArrayLike, unit: str) -> Array:
    """Values of a column, checked."""
    return np.atleast_1d(curves.at_least_zero(name, value, unit))


def _times(value: ArrayLike) -> Array:
    """Times of a column, of which some must be above zero."""
    time = at_least_zero("time", value, "s")
    if not (time > 0).any():
        raise RangeError("time is 0 s in every row, so that no rate follows. Give the time of each reading, in s.")
    return time


def _row(signal: ArrayLike) -> Array:
    """Signals of one experiment as a batch of one."""
    row = np.asarray(signal, dtype=float)
    if row.ndim != 1:
        raise FitError(f"signal must be (wells,), found {row.shape}.")
    return row[None]


def _middle(values: Array) -> float:
    """Geometric mean of the lowest and the highest value above zero."""
    above = values[values > 0]
    return float(math.sqrt(above.min() * above.max()))


def rates_around(rate: float) -> tuple[float, ...]:
    """Starts for a rate."""
    return tuple(rate * factor for factor in (0.01, 0.1, 1.0, 10.0, 100.0))


def spread_of(what: str, values: Array) -> tuple[float, float, float]:
    """Lowest, middle and highest concentration above zero: starts for a half-maximal one."""
    above = values[values > 0]
    if above.size == 0:
        raise RangeError(f"{what} are all 0 M. Give some above it, on both sides of the half-maximal one.")
    return float(above.min()), _middle(values), float(above.max())
