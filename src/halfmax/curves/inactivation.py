"""Inactivation and binding in time: covalent ligands, competition kinetics, endpoint assays, wash-out.

A covalent ligand first binds reversibly (half-maximal at ``k_inact_half``) and then reacts at
``kinact``. Throughout, the reversible step is taken to be at equilibrium, and what is bound
reversibly is not subtracted from the free ligand. Concentrations are M, times s, rates 1/s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halfmax.errors import RangeError

__all__ = [
    "EndpointAssay",
    "Splitting",
    "apparent_ki",
    "competition_kinetics",
    "covalent_sites_left",
    "inactivated_fraction",
    "kobs",
    "product",
    "reversible_sites_left",
    "ridge",
    "share_of_control",
    "splitting_time",
]

Array = NDArray[np.float64]

#: Nodes and weights of Gauss and Legendre on 0…1, for integrals of exponentials over a range of order one.
_NODES, _WEIGHTS = ((np.polynomial.legendre.leggauss(12)[0] + 1) / 2, np.polynomial.legendre.leggauss(12)[1] / 2)
#: Bisections of a bracket of 60 in the logarithm: to the last bit.
_BISECTIONS, _BRACKET = 64, 60.0
#: Change of the extrapolated product, as a share of the largest, at which the steps are fine enough (the error is then
#: a hundredth of it), and most steps of a phase.
_SETTLED, _MOST_STEPS = 1e-9, 1024
_TINY = 1e-200
_SHORTEST, _LONGEST = 300.0, 86400.0


def kobs(concentration: ArrayLike, *, kinact: ArrayLike, k_inact_half: ArrayLike) -> Array:
    """Rate at which receptors are inactivated by a free ligand in excess.

    ::

        kobs = kinact * C / (k_inact_half + C)

    Parameters
    ----------
    concentration : array, M
        Free ligand, >= 0.
    kinact : array, 1/s
        Rate at infinite concentration, >= 0.
    k_inact_half : array, M
        Concentration of half that rate, > 0.

    Returns
    -------
    array, 1/s, of the shape that all broadcast to

    Raises
    ------
    RangeError
        If a concentration or a rate is negative, or `k_inact_half` is not positive.

    References
    ----------
    .. [1] Kitz & Wilson (1962), J Biol Chem 237:3245.

    Examples
    --------
    >>> float(kobs(2e-6, kinact=1e-3, k_inact_half=2e-6))
    0.0005
    """
    c, rate = at_least_zero("concentration", concentration, "M"), at_least_zero("kinact", kinact, "1/s")
    return np.asarray(rate * c / (positive_value("k_inact_half", k_inact_half, "M") + c))


def inactivated_fraction(
    concentration: ArrayLike, time: ArrayLike, *, kinact: ArrayLike, k_inact_half: ArrayLike
) -> Array:
    """Fraction of receptors bound covalently after a time of exposure.

    Two-step inactivation, free ligand in excess::

        kobs = kinact * C / (k_inact_half + C);    fraction = 1 - exp(-kobs * time)

    Parameters
    ----------
    concentration : array, M
        Free ligand, >= 0.
    time : array, s
        Of exposure, >= 0.
    kinact, k_inact_half : array, 1/s and M
        As for `kobs`.

    Returns
    -------
    array, 0…1

    Raises
    ------
    RangeError
        If a concentration, a time or a rate is negative, or `k_inact_half` is not positive.

    References
    ----------
    .. [1] Kitz & Wilson (1962), J Biol Chem 237:3245.

    Examples
    --------
    >>> float(inactivated_fraction(1e-6, 3600.0, kinact=0.0, k_inact_half=1e-6))
    0.0
    """
    rate = kobs(concentration, kinact=kinact, k_inact_half=k_inact_half)
    return np.asarray(-np.expm1(-rate * at_least_zero("time", time, "s")))


def competition_kinetics(
    time: ArrayLike,
    *,
    radioligand: ArrayLike,
    radioligand_kon: ArrayLike,
    radioligand_koff: ArrayLike,
    competitor: ArrayLike = 0.0,
    kon: ArrayLike = 0.0,
    koff: ArrayLike = 0.0,
) -> Array:
    """Share of the receptors that a radioligand holds some time after it and a competitor were added together.

    Both bind one site, neither is depleted::

        d(RL)/dt = radioligand_kon * L * R - radioligand_koff * RL
        d(RI)/dt = kon * I * R - koff * RI;      R = 1 - RL - RI

    It is the equation of Motulsky and Mahan, written with a divided difference so that it stays
    exact where its two rates meet or one of them is zero.

    Parameters
    ----------
    time : array, s
        Since both were added, >= 0.
    radioligand, competitor : array, M
        Free concentrations, >= 0.
    radioligand_kon, kon : array, 1/(M s)
    radioligand_koff, koff : array, 1/s
        >= 0; a competitor with a `koff` of 0 never leaves.

    Returns
    -------
    array, 0…1

    Raises
    ------
    RangeError
        If anything is negative.

    References
    ----------
    .. [1] Motulsky & Mahan (1984), Mol Pharmacol 25:1.

    Examples
    --------
    >>> held = competition_kinetics(3600.0, radioligand=5e-9, radioligand_kon=1e5, radioligand_koff=2e-3)
    >>> print(f"{held:.4f}")
    0.2000
    """
    t = at_least_zero("time", time, "s")
    on = at_least_zero("radioligand", radioligand, "M") * at_least_zero("radioligand_kon", radioligand_kon, "1/(M s)")
    other_on = at_least_zero("competitor", competitor, "M") * at_least_zero("kon", kon, "1/(M s)")
    off = at_least_zero("radioligand_koff", radioligand_koff, "1/s")
    return _competing(t, on, off, other_on, at_least_zero("koff", koff, "1/s"))


def _competing(time: Array, on: Array, off: Array, other_on: Array, other_off: Array) -> Array:
    """Share held by the first ligand; rates of binding are products with the concentrations."""
    one, two = on + off, other_on + other_off
    fast = (one + two + np.sqrt((one - two) ** 2 + 4 * on * other_on)) / 2
    slow = (on * other_off + off * other_on + off * other_off) / np.where(fast > 0, fast, 1.0)
    first = time * _mean_left(fast * time)
    return np.asarray(on * (first + (other_off - slow) * _divided(slow, fast, time)))


def _mean_left(x: Array) -> Array:
    """Mean of exp(-x v) over v from 0 to 1: (1 - exp(-x)) / x."""
    return np.asarray(np.where(x > 0, -np.expm1(-x) / np.where(x > 0, x, 1.0), 1.0))


def _first_moment(x: Array) -> Array:
    """Integral of v exp(-x v) over v from 0 to 1."""
    low = (np.exp(-np.minimum(x, 1.0)[..., None] * _NODES) * _NODES) @ _WEIGHTS
    far = np.maximum(x, 1.0)
    return np.asarray(np.where(x < 1, low, (1 - np.exp(-far) * (1 + far)) / far**2))


def _divided(slow: Array, fast: Array, time: Array) -> Array:
    """(f(slow) - f(fast)) / (fast - slow) of f(rate) = (1 - exp(-rate * time)) / rate, also where the rates meet."""
    x, y = slow * time, np.maximum(fast - slow, 0.0) * time
    near = y < np.maximum(1.0, x)
    inner = np.where(near, y, 0.0)
    close = _first_moment(x[..., None] + inner[..., None] * _NODES) @ _WEIGHTS
    apart = (_mean_left(x) - _mean_left(x + y)) / np.where(near, 1.0, y)
    return np.asarray(time**2 * np.where(near, close, apart))


def apparent_ki(
    *,
    k_inact_half: ArrayLike,
    kinact: ArrayLike,
    incubation_time: ArrayLike,
    radioligand: ArrayLike,
    kd: ArrayLike | None,
    koff: ArrayLike | None = None,
) -> Array:
    """Ki that a radioligand competition reports of a ligand which inactivates the receptor meanwhile.

    The ligand and the radioligand are added together. At the end, the concentration that
    halves specific binding is found, and Cheng and Prusoff's equation applied to it::

        Ki = IC50 / (1 + radioligand / kd)

    With a radioligand that equilibrates at once, receptors are lost at
    ``kinact * C / (C + k_inact_half * (1 + radioligand / kd))``, and the result depends on
    `k_inact_half` and ``kinact * incubation_time`` alone. With its `koff` given, the radioligand
    binds at its own pace. Ligands are not depleted and receptors are not replaced.

    Parameters
    ----------
    k_inact_half : array, M
        > 0; with a `kinact` of 0 it is the Ki.
    kinact : array, 1/s
        >= 0.
    incubation_time : array, s
        > 0.
    radioligand, kd : array, M
        > 0.
    koff : array, 1/s, optional
        Off-rate of the radioligand, > 0.

    Returns
    -------
    array, M, of the shape that all broadcast to

    Raises
    ------
    RangeError
        If a number is not in its range, or `kd` is missing.

    References
    ----------
    .. [1] Cheng & Prusoff (1973), Biochem Pharmacol 22:3099, doi 10.1016/0006-2952(73)90196-2.
    .. [2] Kitz & Wilson (1962), J Biol Chem 237:3245.

    Examples
    --------
    >>> ki = apparent_ki(k_inact_half=1e-6, kinact=6.5e-3, incubation_time=7200.0, radioligand=5e-9, kd=20e-9)
    >>> print(f"{1e9 * ki:.1f} nM")
    14.7 nM
    """
    assay = _Competition.of(incubation_time, radioligand, kd, koff)
    half, rate = positive_value("k_inact_half", k_inact_half, "M"), at_least_zero("kinact", kinact, "1/s")
    half, rate, _ = np.broadcast_arrays(half, rate, assay.time + assay.ratio + assay.off)
    log_share = _root(lambda x: assay.left(np.exp(x), rate) - 0.5, half.shape)
    return np.asarray(half * np.exp(log_share))


@dataclass(frozen=True)
class _Competition:
    """A radioligand competition: its time, radioligand over Kd, and the radioligand's off-rate, infinite if at once."""

    time: Array
    ratio: Array
    off: Array

    @classmethod
    def of(cls, time: ArrayLike, radioligand: ArrayLike, kd: ArrayLike | None, koff: ArrayLike | None) -> _Competition:
        """From what a user gives, checked."""
        if kd is None or np.isnan(np.asarray(kd, dtype=float)).any():
            raise RangeError(
                "the radioligand's kd is missing. No Ki follows from an IC50 without it: "
                "measure it by saturation binding, or give a published one."
            )
        ratio = positive_value("radioligand", radioligand, "M") / positive_value("kd", kd, "M")
        off = np.array(np.inf) if koff is None else positive_value("koff", koff, "1/s")
        return cls(positive_value("incubation_time", time, "s"), ratio, off)

    def left(self, share: Array, kinact: Array) -> Array:
        """Specific binding as a share of that without ligand; `share` is C / (k_inact_half (1 + radioligand / kd))."""
        bound, alone = self.bound(share, kinact), self.bound(np.zeros_like(share), kinact)
        return np.asarray(bound / alone)

    def bound(self, share: Array, kinact: Array) -> Array:
        """Share of the receptors that hold the radioligand at the end."""
        at_once = np.exp(-kinact * share / (1 + share) * self.time) / (1 + share) * self.ratio / (1 + self.ratio)
        if np.isinf(self.off).all():
            return np.asarray(at_once)
        occupied = share * (1 + self.ratio)
        on, lost = self.off * self.ratio / (1 + occupied), kinact * occupied / (1 + occupied)
        total = on + lost + self.off
        fast = (total + np.sqrt((on + lost - self.off) ** 2 + 4 * on * self.off)) / 2
        slow = lost * self.off / fast
        return np.asarray(on * np.exp(-slow * self.time) * self.time * _mean_left((fast - slow) * self.time))


def _root(function: Callable[[Array], Array], shape: tuple[int, ...], *, low: float = -_BRACKET) -> Array:
    """Where falling functions cross zero between `low` and `low` + 60, by bisection."""
    left, right = np.full(shape, low), np.full(shape, low + _BRACKET)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        above = function(middle) > 0
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    return np.asarray((left + right) / 2)


def ridge(
    ki: float,
    *,
    incubation_time: float,
    radioligand: float,
    kd: float | None,
    koff: float | None = None,
    k_inact_half: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """All pairs of ``k_inact_half`` and ``kinact`` that give a measured Ki in an assay: the inverse of `apparent_ki`.

    Parameters
    ----------
    ki : float, M
        What Cheng and Prusoff's equation gave.
    incubation_time, radioligand, kd, koff
        As for `apparent_ki`.
    k_inact_half : array, shape (n,), M, optional
        Where the ridge is wanted; by default 61 places from where it begins to 1000 times that.

    Returns
    -------
    k_inact_half, kinact : array, shape (n,), M and 1/s

    Raises
    ------
    RangeError
        If a `k_inact_half` is so low that no `kinact` gives so high a Ki.

    Examples
    --------
    >>> half, rate = ridge(14.6e-9, incubation_time=7200.0, radioligand=5e-9, kd=20e-9, k_inact_half=[2e-7, 1e-6])
    >>> [f"{60 * one:.3f} /min" for one in rate]
    ['0.076 /min', '0.393 /min']
    """
    measured = positive_value("ki", ki, "M")
    assay = _Competition.of(incubation_time, radioligand, kd, koff)
    reversible = _root(lambda x: assay.left(np.exp(x), np.zeros_like(x)) - 0.5, ())
    least = float(measured / np.exp(reversible))
    half = least * np.geomspace(1.0, 1e3, 61) if k_inact_half is None else np.asarray(k_inact_half, dtype=float)
    half = np.atleast_1d(positive_value("k_inact_half", half, "M"))
    if (half < least * (1 - 1e-12)).any():
        raise RangeError(
            f"k_inact_half must be at least {least:.3g} M, found {half.min():.3g} M: inactivation only lowers a Ki, "
            f"so that none gives {float(measured):.3g} M in this assay. Start at {least:.3g} M."
        )
    share = measured / half
    log_rate = _root(lambda x: assay.left(share, np.exp(x) / assay.time) - 0.5, half.shape, low=-40.0)
    rate = np.where(assay.left(share, np.zeros_like(share)) > 0.5, np.exp(log_rate) / assay.time, 0.0)
    return half, np.asarray(rate)


@dataclass(frozen=True, eq=False)
class Splitting:
    """Which other incubation time tells the pairs of a ridge apart.

    Parameters
    ----------
    time : float, s
        The best of `times`.
    fold : float
        Ratio of the largest to the smallest Ki along the ridge at that time.
    times, folds : array, shape (n,)
        All that were looked at.
    binding : array, shape (n,)
        Specific binding without ligand at each time, as a share of that at equilibrium.
    """

    time: float
    fold: float
    times: Array
    folds: Array
    binding: Array


def splitting_time(
    ki: float,
    *,
    incubation_time: float,
    radioligand: float,
    kd: float | None,
    koff: float | None = None,
    k_inact_half: ArrayLike | None = None,
    times: ArrayLike | None = None,
    least_binding: float = 0.5,
) -> Splitting:
    """Extra incubation time at which the pairs of a `ridge` differ most in their apparent Ki.

    The criterion is the largest difference of log Ki along the ridge. With a radioligand that
    equilibrates at once it is the ratio of the two incubation times, so that the shortest or the
    longest one wins: what a radioligand needs to bind, and a membrane to last, set the limits.

    Parameters
    ----------
    ki, incubation_time, radioligand, kd, koff, k_inact_half
        As for `ridge`.
    times : array, s, optional
        What can be done; by default 13 times from 5 min to 24 h.
    least_binding : float
        Times at which the radioligand alone has not reached this share of its binding are left out.

    Returns
    -------
    Splitting

    Raises
    ------
    RangeError
        If no time lets the radioligand bind.

    Examples
    --------
    >>> best = splitting_time(14.6e-9, incubation_time=7200.0, radioligand=5e-9, kd=20e-9, times=[600.0, 1800.0])
    >>> print(f"{best.time:.0f} s: {best.fold:.1f}-fold")
    600 s: 11.9-fold
    """
    half, rate = ridge(
        ki, incubation_time=incubation_time, radioligand=radioligand, kd=kd, koff=koff, k_inact_half=k_inact_half
    )
    tried = np.geomspace(_SHORTEST, _LONGEST, 13) if times is None else np.atleast_1d(np.asarray(times, dtype=float))
    assay = _Competition.of(tried, radioligand, kd, koff)
    zero = np.zeros_like(tried)
    binding = assay.bound(zero, zero) * (1 + assay.ratio) / assay.ratio
    seen = apparent_ki(
        k_inact_half=half[:, None], kinact=rate[:, None], incubation_time=tried, radioligand=radioligand, kd=kd,
        koff=koff,
    )  # fmt: skip
    folds = seen.max(axis=0) / seen.min(axis=0)
    usable = binding >= least_binding
    if not usable.any():
        raise RangeError(
            f"at none of the times (longest {tried.max():g} s) has the radioligand reached {least_binding:g} of its "
            f"binding at equilibrium, the most is {binding.max():.2g}. Give longer times, or a lower least_binding."
        )
    best = int(np.argmax(np.where(usable, folds, 0.0)))
    return Splitting(float(tried[best]), float(folds[best]), tried, folds, binding)


@dataclass(frozen=True)
class EndpointAssay:
    """An enzyme assay with pre-incubation: enzyme and inhibitor first, substrate added later, product read once.

    Parameters
    ----------
    substrate : float, M
        After its addition.
    enzyme : float, M
        During the pre-incubation, as the inhibitor's concentrations are.
    kcat : float, 1/s
    km : float, M
    volume_before, volume_after : float, L
        Before and after the substrate is added.

    Raises
    ------
    RangeError
        If a number is not positive, or the volume shrinks.

    References
    ----------
    .. [1] Mader & Keillor (2024), ACS Med Chem Lett 15:731.
    """

    substrate: float
    enzyme: float
    kcat: float
    km: float
    volume_before: float = 1.0
    volume_after: float = 1.0

    def __post_init__(self) -> None:
        units = ("M", "M", "1/s", "M", "L", "L")
        for field, unit in zip(fields(self), units, strict=True):
            positive_value(field.name, getattr(self, field.name), unit)
        if self.volume_after < self.volume_before:
            raise RangeError(
                f"volume_after must be at least volume_before ({self.volume_before:g}), found {self.volume_after:g}. "
                "Adding substrate cannot make the volume smaller."
            )

    @property
    def dilution(self) -> float:
        """What is left of a concentration when the substrate has been added."""
        return self.volume_before / self.volume_after


def product(
    inhibitor: ArrayLike,
    preincubation_time: ArrayLike,
    incubation_time: ArrayLike,
    *,
    assay: EndpointAssay,
    kinact: ArrayLike,
    k_inact_half: ArrayLike,
    k6: ArrayLike = 0.0,
    steps: int | None = None,
) -> Array:
    """Product of an endpoint assay in which the inhibitor reacts with the enzyme before and during the reading.

    With EI* the enzyme that has reacted and E the rest, free or reversibly bound::

        d[EI*]/dt = kinact E I / (k_inact_half (1 + S/Km) + I) - k6 [EI*];   I = inhibitor - [EI*]
        dS/dt = -kcat E S / (Km (1 + I/k_inact_half) + S)

    without S before the substrate is added, when all is diluted. Each step solves the reaction
    of enzyme with inhibitor exactly at the saturation of its midpoint; steps are doubled and
    extrapolated until nothing changes.

    Parameters
    ----------
    inhibitor : array, M
        Added to the pre-incubation, >= 0.
    preincubation_time, incubation_time : array, s
        >= 0 and > 0.
    assay : EndpointAssay
    kinact : array, 1/s
        ``k5`` of a reversible covalent inhibitor.
    k_inact_half : array, M
        Its ``Ki``.
    k6 : array, 1/s
        Rate at which the covalent bond opens again; 0 if never.
    steps : int, optional
        Steps of each phase, without extrapolation: to see how the answer depends on them.

    Returns
    -------
    array, M, of the shape that all broadcast to

    Raises
    ------
    RangeError
        If a concentration, time or rate is negative, or no time is left to make product.

    References
    ----------
    .. [1] Mader & Keillor (2024), ACS Med Chem Lett 15:731.
    .. [2] Mader & Keillor (2025), RSC Med Chem, doi 10.1039/d5md00050e.

    Examples
    --------
    >>> assay = EndpointAssay(substrate=1e-6, enzyme=2e-10, kcat=0.2, km=3e-6, volume_before=8e-6, volume_after=10e-6)
    >>> made = product([0.0, 1e-6], 1200.0, 1800.0, assay=assay, kinact=1e-3, k_inact_half=1e-6)
    >>> [f"{1e9 * one:.2f} nM" for one in made]
    ['14.32 nM', '3.59 nM']
    """
    return _product(
        at_least_zero("inhibitor", inhibitor, "M"), at_least_zero("preincubation_time", preincubation_time, "s"),
        positive_value("incubation_time", incubation_time, "s"), assay, at_least_zero("kinact", kinact, "1/s"),
        positive_value("k_inact_half", k_inact_half, "M"), at_least_zero("k6", k6, "1/s"), steps,
    )  # fmt: skip


def share_of_control(
    inhibitor: ArrayLike,
    preincubation_time: ArrayLike,
    incubation_time: ArrayLike,
    *,
    assay: EndpointAssay,
    kinact: ArrayLike,
    k_inact_half: ArrayLike,
    k6: ArrayLike = 0.0,
    steps: int | None = None,
) -> Array:
    """`product` over that without inhibitor after the same times; arguments and errors as there.

    Examples
    --------
    >>> assay = EndpointAssay(substrate=1e-6, enzyme=2e-10, kcat=0.2, km=3e-6)
    >>> float(share_of_control(0.0, 1200.0, 1800.0, assay=assay, kinact=1e-3, k_inact_half=1e-6))
    1.0
    """
    made = product(
        inhibitor, preincubation_time, incubation_time, assay=assay, kinact=kinact, k_inact_half=k_inact_half, k6=k6,
        steps=steps,
    )  # fmt: skip
    alone = product(
        0.0, preincubation_time, incubation_time, assay=assay, kinact=0.0, k_inact_half=1.0, steps=steps
    )  # fmt: skip
    return np.asarray(made / alone)


def _product(
    inhibitor: Array, before: Array, during: Array, assay: EndpointAssay, kinact: Array, half: Array, k6: Array,
    steps: int | None,
) -> Array:  # fmt: skip
    """`product` without its checks."""
    run = _Run(assay, *np.broadcast_arrays(inhibitor, before, during, kinact, half, k6))
    return run.made(steps) if steps else _extrapolated(run.made)


def _extrapolated(made: Callable[[int], Array]) -> Array:
    """Limit of a second-order result as its steps are doubled (Romberg)."""
    row, steps = [made(1)], 2
    while True:
        finer = [made(steps)]
        for order, coarse in enumerate(row, 2):
            finer.append(finer[-1] + (finer[-1] - coarse) / (2.0**order - 1.0))
        close = np.abs(finer[-1] - row[-1]) <= _SETTLED * np.nanmax(np.abs(finer[-1]), initial=0.0)
        if (close | ~np.isfinite(finer[0])).all() or steps >= _MOST_STEPS:
            return np.asarray(finer[-1])
        row, steps = finer, 2 * steps


@dataclass(frozen=True, eq=False)
class _Run:
    """One endpoint assay under many conditions, all of one shape."""

    assay: EndpointAssay
    inhibitor: Array
    before: Array
    during: Array
    kinact: Array
    half: Array
    k6: Array

    def made(self, steps: int) -> Array:
        """Product after so many steps of each phase."""
        enzyme, inhibitor = np.full_like(self.inhibitor, self.assay.enzyme), self.inhibitor
        covalent, used = np.zeros_like(enzyme), np.zeros_like(enzyme)
        for _ in range(steps):
            covalent, _ = self._step(covalent, used, enzyme, inhibitor, self.before / steps, 0.0)
        enzyme, inhibitor, covalent = (one * self.assay.dilution for one in (enzyme, inhibitor, covalent))
        for _ in range(steps):
            covalent, used = self._step(
                covalent, used, enzyme, inhibitor, self.during / steps, self.assay.substrate
            )  # fmt: skip
        return np.asarray(np.maximum(-self.assay.substrate * np.expm1(-used), 0.0))

    def _step(
        self, covalent: Array, used: Array, enzyme: Array, inhibitor: Array, time: Array, substrate: float
    ) -> tuple[Array, Array]:
        """Reacted enzyme and -ln of the substrate's share after a step by the midpoint rule."""
        at = covalent, used
        for share in (0.5, 1.0):
            free, left = np.maximum(inhibitor - at[0], 0.0), substrate * np.exp(-at[1])
            forward = self.kinact / (self.half * (1 + left / self.assay.km) + free)
            speed = self.assay.kcat / (self.assay.km * (1 + free / self.half) + left)
            reacted, active = _reacted(covalent, share * time, enzyme, inhibitor, forward, self.k6)
            at = reacted, used + speed * active
        return at


def _reacted(
    start: Array, time: Array, enzyme: Array, inhibitor: Array, forward: Array, back: Array
) -> tuple[Array, Array]:
    """Complex of enzyme and inhibitor after a time, and the enzyme outside it integrated over that time.

    Exact solution of dc/dt = forward (enzyme - c)(inhibitor - c) - back c from c = start.
    """
    forward = np.maximum(forward, _TINY)
    gap = np.sqrt((forward * (inhibitor - enzyme) + back) ** 2 + 4 * forward * enzyme * back)
    end = 2 * forward * enzyme * inhibitor / (forward * (enzyme + inhibitor) + back + gap)
    away = start - end
    bend = -away * forward * time * _mean_left(gap * time)
    return end + away * np.exp(-gap * time) / (1 + bend), (enzyme - end) * time + np.log1p(bend) / forward


def covalent_sites_left(
    concentration: ArrayLike,
    exposure_time: ArrayLike,
    recovery_time: ArrayLike = 0.0,
    *,
    kinact: ArrayLike,
    k_inact_half: ArrayLike,
    turnover: ArrayLike = 0.0,
) -> Array:
    """Share of sites free after exposure to an irreversible ligand, a wash, and a time of recovery.

    ::

        1 - (1 - exp(-kobs * exposure)) * exp(-turnover * recovery)

    The wash takes away all that is not covalent. Sites come back by new synthesis alone, which
    is left out of the exposure.

    Parameters
    ----------
    concentration : array, M
    exposure_time, recovery_time : array, s
    kinact, k_inact_half : array, 1/s and M
        As for `kobs`.
    turnover : array, 1/s
        Rate at which receptors are replaced; 0 in membranes.

    Returns
    -------
    array, 0…1

    Raises
    ------
    RangeError
        If anything is negative.

    Examples
    --------
    >>> left = covalent_sites_left(1e-6, 3600.0, 86400.0, kinact=1e-3, k_inact_half=1e-6)
    >>> print(f"{left:.3f}")
    0.165
    """
    lost = inactivated_fraction(concentration, exposure_time, kinact=kinact, k_inact_half=k_inact_half)
    after = at_least_zero("recovery_time", recovery_time, "s")
    return np.asarray(1 - lost * np.exp(-at_least_zero("turnover", turnover, "1/s") * after))


def reversible_sites_left(
    concentration: ArrayLike,
    exposure_time: ArrayLike,
    recovery_time: ArrayLike = 0.0,
    *,
    kon: ArrayLike,
    koff: ArrayLike,
) -> Array:
    """Share of sites free after exposure to a reversible ligand, a wash, and a time of recovery.

    ::

        1 - C kon / (C kon + koff) * (1 - exp(-(C kon + koff) * exposure)) * exp(-koff * recovery)

    Nothing binds again after the wash.

    Parameters
    ----------
    concentration : array, M
    exposure_time, recovery_time : array, s
    kon, koff : array, 1/(M s) and 1/s

    Returns
    -------
    array, 0…1

    Raises
    ------
    RangeError
        If anything is negative.

    Examples
    --------
    >>> left = reversible_sites_left(1e-6, 3600.0, 21600.0, kon=1e5, koff=3.209e-5)
    >>> print(f"{left:.3f}")
    0.500
    """
    on = at_least_zero("concentration", concentration, "M") * at_least_zero("kon", kon, "1/(M s)")
    off, exposure = at_least_zero("koff", koff, "1/s"), at_least_zero("exposure_time", exposure_time, "s")
    after = at_least_zero("recovery_time", recovery_time, "s")
    return np.asarray(1 - on * exposure * _mean_left((on + off) * exposure) * np.exp(-off * after))


def at_least_zero(name: str, value: ArrayLike, unit: str) -> Array:
    return _checked(name, value, unit, lambda x: x >= 0, "at least 0")


def positive_value(name: str, value: ArrayLike, unit: str) -> Array:
    return _checked(name, value, unit, lambda x: x > 0, "above 0")


def _checked(name: str, value: ArrayLike, unit: str, good: Callable[[Array], NDArray[np.bool_]], words: str) -> Array:
    """Values as an array, all finite and in their range."""
    array = np.asarray(value, dtype=float)
    bad = ~(np.isfinite(array) & good(array))
    if bad.any():
        first = int(np.argmax(bad.ravel()))
        where = f" at place {first + 1}" if array.ndim else ""
        raise RangeError(f"{name} must be a number {words} {unit}, found {array.ravel()[first]:g}{where}.")
    return array
