"""Wash-out: are sites lost for good, or do they come back, and which wash time would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.curves import inactivation as curves
from halfmax.errors import RangeError, nearest
from halfmax.estimate.inactivation import at_least_zero, spread_of
from halfmax.estimate.result import Estimate, Parameter
from halfmax.estimate.surface import Surface, fit_surface
from halfmax.units import format_duration

__all__ = ["Washout", "fit_saturation_after_wash", "fit_washout", "wash_time_needed"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_UNITS = {"koff": "1/s", "kd": "M"}
_ARMS = ("control", "washed", "kept")
_SIX_HOURS = 21600.0


@dataclass(frozen=True, eq=False)
class Washout:
    """What a wash-out experiment says about reversibility.

    Parameters
    ----------
    lost : Parameter
        Share of the control's sites that are not free after the longest recovery.
    kept : Parameter or None
        The same with the ligand kept.
    koff : Parameter
        Off-rate that would explain the data, with a one-sided bound where no site is seen to come back.
    rival_half_life : float, s
        The slowly reversible ligand that was asked about.
    told_apart : bool
        Whether the data exclude either it or an irreversible one.
    wash_time : float, s
        Recovery time that would tell the two apart, beside those that were used; infinite if none would
        (`wash_time_needed`).
    verdict : {"irreversible", "comes back", "no loss", "not told apart"}
    sentence : str
    estimate : Estimate
        The fit with ``bmax``, ``occupied`` and ``koff``.
    """

    lost: Parameter
    kept: Parameter | None
    koff: Parameter
    rival_half_life: float
    told_apart: bool
    wash_time: float
    verdict: str
    sentence: str
    estimate: Estimate


def fit_washout(
    arm: Sequence[str],
    recovery_time: ArrayLike,
    signal: ArrayLike,
    *,
    rival_half_life: float = _SIX_HOURS,
    level: float = 0.95,
    power: float = 0.9,
    label: str = "",
) -> Washout:
    """Share of sites lost after a wash, and the slowest reversible ligand that would explain it.

    ::

        control  bmax
        washed   bmax * (1 - occupied * exp(-koff * recovery));    occupied <= 1
        kept     bmax * (1 - kept)

    `occupied` is not taken from the kept tubes, in which the radioligand competes: a ligand that
    held every site at the wash is the most that reversibility can claim.

    Parameters
    ----------
    arm : sequence of str, length n
        ``control``, ``washed`` or ``kept`` (ligand present throughout).
    recovery_time : array, shape (n,), s
        From the wash to the binding, >= 0; of no account in the other arms.
    signal : array, shape (n,)
        Specific binding; negative values stay.
    rival_half_life : float, s
        Of the slowly reversible ligand that the experiment should exclude.
    level : float
        Of two-sided intervals, and of the one-sided bound of `koff`.
    power : float
        With which the recovery time asked for would exclude the rival.
    label : str
        For messages.

    Returns
    -------
    Washout

    Raises
    ------
    RangeError
        If an arm is unknown or missing, a time negative, or every recovery zero.
    FitError
        If there are too few tubes.
    """
    arms = _arms(arm)
    time = np.where(arms == "washed", at_least_zero("recovery_time", recovery_time, "s"), 0.0)
    bound = np.asarray(signal, dtype=float)
    curves.positive_value("rival_half_life", rival_half_life, "s")
    longest = float(time.max())
    if longest == 0:
        raise RangeError(
            f"{label or 'wash-out'}: all washed tubes have a recovery time of 0 s, so no off-rate follows. "
            "Give the time from the wash to the binding, in s."
        )
    lost = _loss(arms == "control", (arms == "washed") & (time == longest), bound, "lost", level)
    kept = _loss(arms == "control", arms == "kept", bound, "kept", level) if (arms == "kept").any() else None
    rates = _recovery(arms, time, bound, 2 * level - 1, label)
    needed = wash_time_needed(
        min(lost.best, 1.0), noise=rates.sigma / abs(rates["bmax"].best), control=int((arms == "control").sum()),
        washed=int(((arms == "washed") & (time == longest)).sum()), earlier=longest, half_life=rival_half_life,
        level=level, power=power,
    )  # fmt: skip
    return _washed(lost, kept, rates, longest, rival_half_life, needed)


def wash_time_needed(
    lost: float,
    *,
    noise: float,
    washed: int,
    control: int,
    earlier: float | None = None,
    half_life: float = _SIX_HOURS,
    level: float = 0.95,
    power: float = 0.9,
) -> float:
    """Recovery time that tells an irreversible ligand from one of a half-life.

    A reversible ligand holds at most ``exp(-ln 2 * time / half_life)`` of the sites; a lasting
    loss must lie above that by the error of a difference, e = t(level) + z(power) standard errors::

        time = -half_life * log2(lost - e);    e of sqrt(1/washed + (1 - lost)²/control) * noise

    Where sites were already counted at an `earlier` time, their return must be seen as well,
    were the ligand reversible, and the later of the two times is given::

        time = earlier - half_life * log2(1 - e / lost);    e of sqrt(2/washed) * noise

    Parameters
    ----------
    lost : float
        Share of sites that is lost, at the earlier time if there is one; <= 1.
    noise : float
        Standard deviation of a tube, as a share of the control.
    washed, control : int
        Tubes of each.
    earlier : float, s, optional
    half_life : float, s
    level, power : float

    Returns
    -------
    float, s
        Infinite where the loss is too small for such noise.

    Raises
    ------
    RangeError
        If a number is not in its range.

    Examples
    --------
    >>> print(f"{wash_time_needed(0.9, noise=0.05, washed=3, control=3) / 3600:.1f} h")
    1.9 h
    """
    from scipy import stats

    curves.positive_value("half_life", half_life, "s")
    curves.at_least_zero("noise", noise, "of the control")
    if min(washed, control) < 1 or not 0 < level < 1 or not 0 < power < 1 or lost > 1:
        raise RangeError(
            f"there must be tubes of both arms, 0 < level < 1, 0 < power < 1 and lost <= 1, found {washed} and "
            f"{control} tubes, level {level:g}, power {power:g}, lost {lost:g}."
        )
    errors = noise * float(stats.t.ppf(level, max(washed + control - 2, 1)) + stats.norm.ppf(power))
    sure = lost - errors * math.sqrt(1 / washed + (1 - lost) ** 2 / control)
    if not sure > 0:
        return math.inf
    excluded = -half_life * math.log2(sure)
    if earlier is None:
        return max(excluded, 0.0)
    left = 1 - errors * math.sqrt(2 / washed) / lost
    return max(excluded, earlier - half_life * math.log2(left)) if left > 0 else math.inf


def _arms(arm: Sequence[str]) -> NDArray[np.str_]:
    arms = np.asarray(arm, dtype=str)
    for row, name in enumerate(arms):
        if name not in _ARMS:
            raise RangeError(f'row {row + 1}: arm must be control, washed or kept, found "{name}". '
                             f"{nearest(str(name), _ARMS)}")  # fmt: skip
    for name in _ARMS[:2]:
        if name not in arms:
            raise RangeError(f'no tube of arm "{name}": the loss of sites is a difference between washed and control.')
    return arms


def _loss(control: Flags, treated: Flags, bound: Array, name: str, level: float) -> Parameter:
    """Share of the control's binding that is missing in some tubes."""
    rows = np.flatnonzero(control | treated)

    def model(bmax: Array, treated: Array, **share: Array) -> Array:
        return bmax * (1 - treated * share[name])

    surface = Surface(model, {name: (0.1, 0.5, 0.9)}, linear=("bmax",), name=name)
    return fit_surface(surface, {"treated": treated[rows].astype(float)}, bound[rows], level=level)[name]


def _recovery(arms: NDArray[np.str_], time: Array, bound: Array, level: float, label: str) -> Estimate:
    """Fit of the sites that come back."""
    rows = np.flatnonzero(arms != "kept")

    def model(bmax: Array, occupied: Array, koff: Array, washed: Array, time: Array) -> Array:
        return bmax * (1 - washed * occupied * np.exp(-koff * time))

    longest = float(time.max())
    surface = Surface(
        model, {"koff": tuple(x / longest for x in (0.01, 0.1, 1.0, 5.0)), "occupied": (0.3, 0.7, 0.95)},
        linear=("bmax",), positive=("koff",), limits={"occupied": (0.0, 1.0), "koff": (1e-5 / longest, 1e3 / longest)},
        units=_UNITS, name="wash-out",
    )  # fmt: skip
    conditions = {"washed": (arms[rows] == "washed").astype(float), "time": time[rows]}
    return fit_surface(surface, conditions, bound[rows], level=level, label=label or "wash-out")


def _washed(
    lost: Parameter, kept: Parameter | None, rates: Estimate, longest: float, half_life: float, needed: float
) -> Washout:
    """Verdict and sentence."""
    koff, rival = rates["koff"], math.log(2) / half_life
    said = f"{_percent(lost)} of the sites are lost {format_duration(longest)} after the wash. "
    asked = _hours(half_life)
    if koff.low > 0:
        verdict, apart = "comes back", True
        slow, fast = _hours(math.log(2) / koff.low), math.log(2) / koff.high
        said += f"Sites come back, with a half-life of {f'{_hours(fast)} to ' if fast > 0 else 'at most '}{slow}."
    elif not lost.low > 0:
        verdict, apart = "no loss", kept is not None and kept.low > 0
        said += "That is no loss: "
        said += "what the kept tubes show to bind has left." if apart else "nothing shows that the ligand ever bound."
    elif koff.high < rival:
        verdict, apart = "irreversible", True
        said += (
            f"None is seen to come back; a reversible ligand would need a half-life above "
            f"{_hours(math.log(2) / koff.high)}, and one of {asked} is excluded."
        )
    else:
        verdict, apart = "not told apart", False
        said += f"The data fit an irreversible ligand as well as one that leaves with a half-life of {asked}. "
        said += (
            f"Add a recovery time of {_hours(needed)} to tell them apart."
            if math.isfinite(needed)
            else "No later recovery would tell them apart with so small a loss: add an earlier one, or tubes."
        )
    return Washout(lost, kept, koff, half_life, apart, needed, verdict, said, rates)


def _percent(share: Parameter) -> str:
    if share.operator == "=":
        return f"{100 * share.value:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"
    return "an undetermined share"


def _hours(seconds: float) -> str:
    scale, unit = next(((s, u) for s, u in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")) if seconds >= s), (1.0, "s"))
    return f"{float(f'{seconds / scale:.2g}'):g} {unit}"


def fit_saturation_after_wash(
    exposed: ArrayLike, radioligand: ArrayLike, signal: ArrayLike, *, level: float = 0.95, label: str = ""
) -> Estimate:
    """Loss of Bmax against shift of Kd: saturation of sites that were exposed and washed, beside a control.

    ::

        control  bmax * L / (kd + L);    exposed  bmax * (1 - lost) * L / (kd * kd_shift + L)

    Lost sites are gone; a shift means that a reversible ligand is still there.

    Parameters
    ----------
    exposed : array of bool, shape (n,)
    radioligand : array, shape (n,), M
        Free, >= 0.
    signal : array, shape (n,)
        Specific binding; negative values stay.
    level, label
        As for `fit_kobs`.

    Returns
    -------
    Estimate
        ``kd``, ``kd_shift``, ``lost`` and ``bmax``; its status says which it is.

    Raises
    ------
    RangeError
        If a concentration is negative, or one of the two arms is missing.
    """
    treated, ligand = np.asarray(exposed, dtype=float), at_least_zero("radioligand", radioligand, "M")
    if treated.min(initial=1.0) == treated.max(initial=0.0):
        raise RangeError("saturation after a wash needs both exposed and control tubes, found one of them only.")

    def model(bmax: Array, kd: Array, kd_shift: Array, lost: Array, treated: Array, ligand: Array) -> Array:
        return bmax * (1 - treated * lost) * ligand / (kd * kd_shift**treated + ligand)

    starts = {"kd": spread_of("the radioligand's concentrations", ligand), "kd_shift": (1.0, 4.0), "lost": (0.1, 0.7)}
    surface = Surface(
        model, starts, linear=("bmax",), positive=("kd", "kd_shift"), limits={"lost": (-1.0, 1.0)}, units=_UNITS,
        name="saturation after a wash",
    )  # fmt: skip
    found = fit_surface(surface, {"treated": treated, "ligand": ligand}, signal, level=level, label=label)
    lost, shift = found["lost"].low > 0, found["kd_shift"].low > 1
    text = {
        (True, False): "sites are lost, and Kd is not shifted: irreversible, or not yet left",
        (False, True): "Kd is shifted and no site is lost: reversible ligand is still there, wash longer",
        (True, True): "sites are lost and Kd is shifted: some ligand is still there, wash longer",
        (False, False): "neither a loss of sites nor a shift of Kd is seen",
    }[(lost, shift)]
    return replace(found, notes=(*found.notes, f"{text[0].upper()}{text[1:]}."))
